/* oneDNN behind the border of onednn.h. */
#include "backend/cpu/onednn.h"

#include <math.h>
#include <oneapi/dnnl/dnnl.h>
#include <stdlib.h>

#if DNNL_VERSION_MAJOR != 2
#error "this file speaks oneDNN's C API 2"
#endif

/* From the OpenMP runtime that oneDNN is linked with. Declared here: no file of ours is compiled
 * with OpenMP. */
void omp_set_num_threads(int n);
int omp_get_max_threads(void);

enum { MOST_DIMS = KP_MAX_SPATIAL + 2, ALIGN = 64 };

struct kp_dnn {
    dnnl_engine_t engine;
    dnnl_stream_t *streams;
    int n_workers;
};

/* Argument objects of one worker: oneDNN keeps the pointers in them. */
typedef struct args {
    dnnl_memory_t src, dst, weights, bias, scratch;
} args;

typedef struct sized {
    int64_t rows;
    dnnl_primitive_t primitive;
    void *packed; /* weights; the first size's when the layouts agree */
    bool owns_packed;
    dnnl_memory_desc_t weights_desc;
    args *workers;
} sized;

struct kp_dnn_op {
    kp_dnn *dnn;
    sized sizes[KP_DNN_SIZES];
    int n_sizes;
    size_t src_row_bytes, dst_row_bytes;
    size_t scratch_bytes, packed_bytes;
    char kernel_text[64];
};

static int fail(dnnl_status_t status, const char *what)
{
    int kp = status == dnnl_out_of_memory ? KP_ENOMEM : KP_EUNSUPPORTED;
    return kp_fail(kp, "oneDNN could not %s (status %d)", what, (int)status);
}

#define DNN_TRY(call, what)                                                                        \
    do {                                                                                           \
        dnnl_status_t dnn_status = (call);                                                         \
        if (dnn_status != dnnl_success)                                                            \
            return fail(dnn_status, what);                                                         \
    } while (0)

int kp_dnn_thread_single(void)
{
    int before = omp_get_max_threads();
    omp_set_num_threads(1);
    return before;
}

void kp_dnn_thread_restore(int threads)
{
    omp_set_num_threads(threads);
}

static int open_steps(kp_dnn *d)
{
    DNN_TRY(dnnl_engine_create(&d->engine, dnnl_cpu, 0), "create its engine");
    d->streams = calloc((size_t)d->n_workers, sizeof *d->streams);
    if (d->streams == NULL)
        return kp_fail(KP_ENOMEM, "out of memory");
    for (int i = 0; i < d->n_workers; i++)
        DNN_TRY(dnnl_stream_create(&d->streams[i], d->engine, dnnl_stream_default_flags),
                "create a stream");
    return 0;
}

int kp_dnn_open(kp_dnn **out, int n_workers)
{
    kp_dnn *d = calloc(1, sizeof *d);
    if (d == NULL)
        return kp_fail(KP_ENOMEM, "out of memory");
    d->n_workers = n_workers;
    int rc = open_steps(d);
    if (rc != 0)
        kp_dnn_close(&d);
    *out = d;
    return rc;
}

void kp_dnn_close(kp_dnn **dnn)
{
    kp_dnn *d = *dnn;
    if (d == NULL)
        return;
    for (int i = 0; d->streams != NULL && i < d->n_workers; i++) {
        if (d->streams[i] != NULL)
            dnnl_stream_destroy(d->streams[i]);
    }
    free(d->streams);
    if (d->engine != NULL)
        dnnl_engine_destroy(d->engine);
    free(d);
    *dnn = NULL;
}

/* ---- functions after a convolution ---- */

static bool act_map(const kp_act *act, dnnl_alg_kind_t *alg, float *alpha, float *beta)
{
    *alpha = 0;
    *beta = 0;
    switch (act->kind) {
    case KP_ACT_RELU:
        if (act->c != 0)
            return false;
        if (act->b < INFINITY && act->a != 0)
            return false;
        *alg = act->b < INFINITY ? dnnl_eltwise_clip : dnnl_eltwise_relu;
        *alpha = (float)act->a;
        *beta = act->b < INFINITY ? (float)act->b : 0;
        return true;
    case KP_ACT_ELU:
        *alg = dnnl_eltwise_elu;
        *alpha = (float)act->a;
        return true;
    case KP_ACT_SILU:
        *alg = dnnl_eltwise_swish;
        *alpha = 1;
        return true;
    case KP_ACT_HARD_SILU:
        *alg = dnnl_eltwise_hardswish;
        return true;
    case KP_ACT_SIGMOID:
        *alg = dnnl_eltwise_logistic;
        return true;
    case KP_ACT_TANH:
        *alg = dnnl_eltwise_tanh;
        return true;
    default:
        return false;
    }
}

bool kp_dnn_has_act(const kp_act *act)
{
    dnnl_alg_kind_t alg;
    float alpha, beta;
    return act->kind == KP_ACT_NONE || act_map(act, &alg, &alpha, &beta);
}

/* *ops stays with the caller: the attributes take a copy. */
static int post_ops(const kp_dnn_spec *spec, dnnl_primitive_attr_t attr, dnnl_post_ops_t *ops)
{
    dnnl_alg_kind_t alg;
    float alpha, beta;
    DNN_TRY(dnnl_primitive_attr_set_scratchpad_mode(attr, dnnl_scratchpad_mode_user),
            "take our scratch memory");
    DNN_TRY(dnnl_post_ops_create(ops), "create post-operations");
    if (spec->add_to_output)
        DNN_TRY(dnnl_post_ops_append_sum(*ops, 1.0f), "add a residual");
    if (spec->act.kind != KP_ACT_NONE) {
        if (!act_map(&spec->act, &alg, &alpha, &beta))
            return kp_fail(KP_EINTERNAL, "oneDNN has no activation %s",
                           kp_act_name(spec->act.kind));
        DNN_TRY(dnnl_post_ops_append_eltwise(*ops, 1.0f, alg, alpha, beta), "add an activation");
    }
    DNN_TRY(dnnl_primitive_attr_set_post_ops(attr, *ops), "set post-operations");
    return 0;
}

/* ---- descriptions ---- */

/* (rows, channels, spatial...) in oneDNN's order of axes, channels_last in memory. */
static int describe_image(dnnl_memory_desc_t *desc, int n_spatial, int64_t rows, int64_t channels,
                          const int64_t *sizes)
{
    dnnl_dims_t dims, strides;
    int64_t stride = channels;
    dims[0] = rows;
    dims[1] = channels;
    strides[1] = 1;
    for (int d = n_spatial - 1; d >= 0; d--) {
        dims[2 + d] = sizes[d];
        strides[2 + d] = stride;
        stride *= sizes[d];
    }
    strides[0] = stride;
    DNN_TRY(dnnl_memory_desc_init_by_strides(desc, n_spatial + 2, dims, dnnl_f32, strides),
            "describe an image");
    return 0;
}

/* The dimensions of a kernel in oneDNN's order: [groups,] out, in, spatial. */
static int kernel_dims(const kp_dnn_spec *spec, int64_t *dims)
{
    int n = 0;
    if (spec->groups > 1)
        dims[n++] = spec->groups;
    dims[n++] = spec->out_channels / spec->groups;
    dims[n++] = spec->in_channels / spec->groups;
    for (int d = 0; d < spec->n_spatial; d++)
        dims[n++] = spec->window.size[d];
    return n;
}

/* Keras' kernel (k..., in/groups, out) as it lies in memory. */
static int describe_kernel(const kp_dnn_spec *spec, dnnl_memory_desc_t *desc)
{
    dnnl_dims_t dims, strides;
    int n = kernel_dims(spec, dims), at = 0;
    if (spec->groups > 1)
        strides[at++] = spec->out_channels / spec->groups;
    strides[at++] = 1;
    strides[at++] = spec->out_channels;
    int64_t stride = spec->out_channels * (spec->in_channels / spec->groups);
    for (int d = spec->n_spatial - 1; d >= 0; d--) {
        strides[at + d] = stride;
        stride *= spec->window.size[d];
    }
    DNN_TRY(dnnl_memory_desc_init_by_strides(desc, n, dims, dnnl_f32, strides),
            "describe a kernel");
    return 0;
}

/* The window in arrays of oneDNN's length; its dilation counts from 0. */
typedef struct window_dims {
    dnnl_dims_t size, stride, dilation, before, after;
} window_dims;

static void take_window(const kp_dnn_spec *spec, window_dims *w)
{
    memset(w, 0, sizeof *w);
    for (int i = 0; i < spec->n_spatial; i++) {
        w->size[i] = spec->window.size[i];
        w->stride[i] = spec->window.stride[i];
        w->dilation[i] = spec->window.dilation[i] - 1;
        w->before[i] = spec->window.pad_before[i];
        w->after[i] = spec->window.pad_after[i];
    }
}

static int conv_describe(kp_dnn *d, const kp_dnn_spec *spec, int64_t rows,
                         dnnl_primitive_attr_t attr, dnnl_primitive_desc_t *out)
{
    dnnl_memory_desc_t src, dst, weights, bias;
    dnnl_dims_t dims;
    window_dims w;
    take_window(spec, &w);
    int n = kernel_dims(spec, dims);
    KP_TRY(describe_image(&src, spec->n_spatial, rows, spec->in_channels, spec->in));
    KP_TRY(describe_image(&dst, spec->n_spatial, rows, spec->out_channels, spec->out));
    DNN_TRY(dnnl_memory_desc_init_by_tag(&weights, n, dims, dnnl_f32, dnnl_format_tag_any),
            "describe a kernel");
    dims[0] = spec->out_channels;
    DNN_TRY(dnnl_memory_desc_init_by_tag(&bias, 1, dims, dnnl_f32, dnnl_a), "describe a bias");
    dnnl_convolution_desc_t desc;
    DNN_TRY(dnnl_dilated_convolution_forward_desc_init(
                &desc, dnnl_forward_inference, dnnl_convolution_direct, &src, &weights,
                spec->bias != NULL ? &bias : NULL, &dst, w.stride, w.dilation, w.before, w.after),
            "describe a convolution");
    DNN_TRY(dnnl_primitive_desc_create(out, &desc, attr, d->engine, NULL), "make a convolution");
    return 0;
}

static int pool_describe(kp_dnn *d, const kp_dnn_spec *spec, int64_t rows,
                         dnnl_primitive_attr_t attr, dnnl_primitive_desc_t *out)
{
    dnnl_memory_desc_t src, dst;
    dnnl_pooling_desc_t desc;
    window_dims w;
    take_window(spec, &w);
    KP_TRY(describe_image(&src, spec->n_spatial, rows, spec->in_channels, spec->in));
    KP_TRY(describe_image(&dst, spec->n_spatial, rows, spec->out_channels, spec->out));
    dnnl_alg_kind_t alg = !spec->average        ? dnnl_pooling_max
                          : spec->count_padding ? dnnl_pooling_avg_include_padding
                                                : dnnl_pooling_avg_exclude_padding;
    DNN_TRY(dnnl_pooling_forward_desc_init(&desc, dnnl_forward_inference, alg, &src, &dst, w.stride,
                                           w.size, w.before, w.after),
            "describe a pooling");
    DNN_TRY(dnnl_primitive_desc_create(out, &desc, attr, d->engine, NULL), "make a pooling");
    return 0;
}

/* ---- weights ---- */

static int reorder(kp_dnn *d, const dnnl_memory_desc_t *from, void *src,
                   const dnnl_memory_desc_t *to, void *dst)
{
    dnnl_memory_t a = NULL, b = NULL;
    dnnl_primitive_desc_t pd = NULL;
    dnnl_primitive_t primitive = NULL;
    dnnl_stream_t stream = NULL;
    dnnl_status_t st = dnnl_memory_create(&a, from, d->engine, src);
    if (st == dnnl_success)
        st = dnnl_memory_create(&b, to, d->engine, dst);
    if (st == dnnl_success)
        st = dnnl_reorder_primitive_desc_create(&pd, from, d->engine, to, d->engine, NULL);
    if (st == dnnl_success)
        st = dnnl_primitive_create(&primitive, pd);
    /* A stream of its own: several threads pack at once. */
    if (st == dnnl_success)
        st = dnnl_stream_create(&stream, d->engine, dnnl_stream_default_flags);
    if (st == dnnl_success) {
        dnnl_exec_arg_t exec[2] = {{DNNL_ARG_FROM, a}, {DNNL_ARG_TO, b}};
        st = dnnl_primitive_execute(primitive, stream, 2, exec);
    }
    if (stream != NULL)
        dnnl_stream_destroy(stream);
    if (primitive != NULL)
        dnnl_primitive_destroy(primitive);
    if (pd != NULL)
        dnnl_primitive_desc_destroy(pd);
    if (b != NULL)
        dnnl_memory_destroy(b);
    if (a != NULL)
        dnnl_memory_destroy(a);
    return st == dnnl_success ? 0 : fail(st, "pack weights");
}

static int pack_weights(kp_dnn_op *op, sized *s, const kp_dnn_spec *spec)
{
    const sized *first = &op->sizes[0];
    if (s != first && dnnl_memory_desc_equal(&s->weights_desc, &first->weights_desc)) {
        s->packed = first->packed;
        return 0;
    }
    dnnl_memory_desc_t plain;
    KP_TRY(describe_kernel(spec, &plain));
    size_t bytes = (dnnl_memory_desc_get_size(&s->weights_desc) + ALIGN - 1) & ~(size_t)(ALIGN - 1);
    s->packed = aligned_alloc(ALIGN, bytes);
    if (s->packed == NULL)
        return kp_fail(KP_ENOMEM, "out of memory: %zu bytes for weights", bytes);
    s->owns_packed = true;
    op->packed_bytes += bytes;
    return reorder(op->dnn, &plain, (void *)(uintptr_t)spec->kernel, &s->weights_desc, s->packed);
}

/* ---- operations ---- */

static int make_args(kp_dnn_op *op, sized *s, const kp_dnn_spec *spec, dnnl_primitive_desc_t pd)
{
    dnnl_engine_t engine = op->dnn->engine;
    const dnnl_memory_desc_t *src = dnnl_primitive_desc_query_md(pd, dnnl_query_src_md, 0);
    const dnnl_memory_desc_t *dst = dnnl_primitive_desc_query_md(pd, dnnl_query_dst_md, 0);
    const dnnl_memory_desc_t *scratch =
        dnnl_primitive_desc_query_md(pd, dnnl_query_scratchpad_md, 0);
    const dnnl_memory_desc_t *bias = dnnl_primitive_desc_query_md(pd, dnnl_query_weights_md, 1);
    size_t need = dnnl_memory_desc_get_size(scratch);
    op->scratch_bytes = need > op->scratch_bytes ? need : op->scratch_bytes;
    op->src_row_bytes = dnnl_memory_desc_get_size(src) / (size_t)s->rows;
    op->dst_row_bytes = dnnl_memory_desc_get_size(dst) / (size_t)s->rows;
    s->workers = calloc((size_t)op->dnn->n_workers, sizeof *s->workers);
    if (s->workers == NULL)
        return kp_fail(KP_ENOMEM, "out of memory");
    for (int i = 0; i < op->dnn->n_workers; i++) {
        args *a = &s->workers[i];
        DNN_TRY(dnnl_memory_create(&a->src, src, engine, NULL), "make an argument");
        DNN_TRY(dnnl_memory_create(&a->dst, dst, engine, NULL), "make an argument");
        DNN_TRY(dnnl_memory_create(&a->scratch, scratch, engine, NULL), "make an argument");
        if (s->packed != NULL)
            DNN_TRY(dnnl_memory_create(&a->weights, &s->weights_desc, engine, s->packed),
                    "make an argument");
        if (spec->bias != NULL)
            DNN_TRY(dnnl_memory_create(&a->bias, bias, engine, (void *)(uintptr_t)spec->bias),
                    "make an argument");
    }
    return 0;
}

static void note_kernel(kp_dnn_op *op, dnnl_primitive_desc_t pd)
{
    const char *name = NULL;
    if (dnnl_primitive_desc_query(pd, dnnl_query_impl_info_str, 0, &name) == dnnl_success)
        snprintf(op->kernel_text, sizeof op->kernel_text, "%s", name);
}

static int make_size(kp_dnn_op *op, sized *s, const kp_dnn_spec *spec, dnnl_primitive_desc_t pd)
{
    DNN_TRY(dnnl_primitive_create(&s->primitive, pd), "compile a kernel");
    if (spec->kernel != NULL) {
        s->weights_desc = *dnnl_primitive_desc_query_md(pd, dnnl_query_weights_md, 0);
        KP_TRY(pack_weights(op, s, spec));
    }
    if (s == &op->sizes[0])
        note_kernel(op, pd);
    return make_args(op, s, spec, pd);
}

static int op_size(kp_dnn_op *op, const kp_dnn_spec *spec, int64_t rows)
{
    sized *s = &op->sizes[op->n_sizes++];
    dnnl_primitive_attr_t attr = NULL;
    dnnl_post_ops_t ops = NULL;
    dnnl_primitive_desc_t pd = NULL;
    s->rows = rows;
    dnnl_status_t st = dnnl_primitive_attr_create(&attr);
    int rc = st == dnnl_success ? 0 : fail(st, "create attributes");
    if (rc == 0)
        rc = post_ops(spec, attr, &ops);
    if (rc == 0)
        rc = spec->kernel != NULL ? conv_describe(op->dnn, spec, rows, attr, &pd)
                                  : pool_describe(op->dnn, spec, rows, attr, &pd);
    if (rc == 0)
        rc = make_size(op, s, spec, pd);
    if (pd != NULL)
        dnnl_primitive_desc_destroy(pd);
    if (ops != NULL)
        dnnl_post_ops_destroy(ops);
    if (attr != NULL)
        dnnl_primitive_attr_destroy(attr);
    return rc;
}

static int op_new(kp_dnn_op **out, kp_dnn *d, const kp_dnn_spec *spec, const int64_t *rows,
                  int n_rows)
{
    kp_dnn_op *op = calloc(1, sizeof *op);
    if (op == NULL)
        return kp_fail(KP_ENOMEM, "out of memory");
    op->dnn = d;
    int rc = 0;
    for (int i = 0; rc == 0 && i < n_rows && i < KP_DNN_SIZES; i++)
        rc = op_size(op, spec, rows[i]);
    if (rc != 0)
        kp_dnn_op_free(&op);
    *out = op;
    return rc;
}

int kp_dnn_conv_new(kp_dnn_op **out, kp_dnn *d, const kp_dnn_spec *spec, const int64_t *rows,
                    int n_rows)
{
    return op_new(out, d, spec, rows, n_rows);
}

int kp_dnn_pool_new(kp_dnn_op **out, kp_dnn *d, const kp_dnn_spec *spec, const int64_t *rows,
                    int n_rows)
{
    return op_new(out, d, spec, rows, n_rows);
}

static void free_args(args *a)
{
    dnnl_memory_t all[] = {a->src, a->dst, a->weights, a->bias, a->scratch};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) {
        if (all[i] != NULL)
            dnnl_memory_destroy(all[i]);
    }
}

void kp_dnn_op_free(kp_dnn_op **dnn_op)
{
    kp_dnn_op *op = *dnn_op;
    if (op == NULL)
        return;
    for (int i = 0; i < op->n_sizes; i++) {
        sized *s = &op->sizes[i];
        for (int w = 0; s->workers != NULL && w < op->dnn->n_workers; w++)
            free_args(&s->workers[w]);
        free(s->workers);
        if (s->primitive != NULL)
            dnnl_primitive_destroy(s->primitive);
        if (s->owns_packed)
            free(s->packed);
    }
    free(op);
    *dnn_op = NULL;
}

size_t kp_dnn_op_scratch_bytes(const kp_dnn_op *op)
{
    return op->scratch_bytes;
}

size_t kp_dnn_op_packed_bytes(const kp_dnn_op *op)
{
    return op->packed_bytes;
}

const char *kp_dnn_op_kernel(const kp_dnn_op *op)
{
    return op->kernel_text;
}

static int run_size(const kp_dnn_op *op, const sized *s, int worker, const uint8_t *src,
                    uint8_t *dst, void *scratch)
{
    const args *a = &s->workers[worker];
    dnnl_exec_arg_t exec[5] = {
        {DNNL_ARG_SRC, a->src}, {DNNL_ARG_DST, a->dst}, {DNNL_ARG_SCRATCHPAD, a->scratch}};
    int n = 3;
    if (a->weights != NULL)
        exec[n++] = (dnnl_exec_arg_t){DNNL_ARG_WEIGHTS, a->weights};
    if (a->bias != NULL)
        exec[n++] = (dnnl_exec_arg_t){DNNL_ARG_BIAS, a->bias};
    dnnl_memory_set_data_handle(a->src, (void *)(uintptr_t)src);
    dnnl_memory_set_data_handle(a->dst, dst);
    dnnl_memory_set_data_handle(a->scratch, scratch);
    DNN_TRY(dnnl_primitive_execute(s->primitive, op->dnn->streams[worker], n, exec),
            "run a kernel");
    return 0;
}

int kp_dnn_op_run(const kp_dnn_op *op, int worker, const void *src, void *dst, int64_t rows,
                  void *scratch)
{
    const uint8_t *from = src;
    uint8_t *to = dst;
    for (int i = 0; i < op->n_sizes; i++) {
        const sized *s = &op->sizes[i];
        for (; rows >= s->rows; rows -= s->rows) {
            KP_TRY(run_size(op, s, worker, from, to, scratch));
            from += (size_t)s->rows * op->src_row_bytes;
            to += (size_t)s->rows * op->dst_row_bytes;
        }
    }
    return 0;
}
