/* One node, computed plainly: finds the kernel, and lets kernels written for float32 or float64
 * work on other types through copies. */
#include "backend/ref/ref_int.h"

#include <stdlib.h>

#define PROTOTYPE(name) int name(const kp_node *n, const kp_tensor *in, int n_in, kp_tensor *out)
PROTOTYPE(kp_ref_conv_f64);
PROTOTYPE(kp_ref_conv_transpose_f64);
PROTOTYPE(kp_ref_dense_f64);
PROTOTYPE(kp_ref_matmul_f64);
PROTOTYPE(kp_ref_pool_f64);
PROTOTYPE(kp_ref_batchnorm_f64);
PROTOTYPE(kp_ref_affine_f64);
PROTOTYPE(kp_ref_layernorm_f64);
PROTOTYPE(kp_ref_softmax_f64);

static const struct {
    kp_ref_fn run;
    bool float32;   /* the kernel takes float32 arrays only */
    kp_ref_fn wide; /* its twin for float64 arrays, NULL: none */
} kernels[KP_OP_COUNT] = {
    [KP_OP_CONV] = {kp_ref_conv, true, kp_ref_conv_f64},
    [KP_OP_CONV_TRANSPOSE] = {kp_ref_conv_transpose, true, kp_ref_conv_transpose_f64},
    [KP_OP_DENSE] = {kp_ref_dense, true, kp_ref_dense_f64},
    [KP_OP_MATMUL] = {kp_ref_matmul, true, kp_ref_matmul_f64},
    [KP_OP_POOL] = {kp_ref_pool, true, kp_ref_pool_f64},
    [KP_OP_REDUCE] = {kp_ref_reduce, false, NULL},
    [KP_OP_UNARY] = {kp_ref_unary, false, NULL},
    [KP_OP_BINARY] = {kp_ref_binary, false, NULL},
    [KP_OP_BATCHNORM] = {kp_ref_batchnorm, true, kp_ref_batchnorm_f64},
    [KP_OP_AFFINE] = {kp_ref_affine, true, kp_ref_affine_f64},
    [KP_OP_LAYERNORM] = {kp_ref_layernorm, true, kp_ref_layernorm_f64},
    [KP_OP_SOFTMAX] = {kp_ref_softmax, true, kp_ref_softmax_f64},
    [KP_OP_CONCAT] = {kp_ref_concat, false, NULL},
    [KP_OP_PAD] = {kp_ref_pad, false, NULL},
    [KP_OP_SLICE] = {kp_ref_slice, false, NULL},
    [KP_OP_RESHAPE] = {kp_ref_reshape, false, NULL},
    [KP_OP_TRANSPOSE] = {kp_ref_transpose, false, NULL},
    [KP_OP_REPEAT] = {kp_ref_repeat, false, NULL},
    [KP_OP_RESIZE] = {kp_ref_resize, true, NULL},
    [KP_OP_CAST] = {kp_ref_cast, false, NULL},
    [KP_OP_BROADCAST] = {kp_ref_broadcast, false, NULL},
    [KP_OP_SELECT] = {kp_ref_select, false, NULL},
    [KP_OP_GATHER] = {kp_ref_gather, false, NULL},
    [KP_OP_KERNEL] = {kp_ref_kernel, false, NULL},
};

bool kp_ref_supports(const kp_node *n)
{
    if ((unsigned)n->op >= KP_OP_COUNT)
        return false;
    return n->op == KP_OP_INPUT || n->op == KP_OP_CONST || kernels[n->op].run != NULL;
}

void *kp_ref_scratch(size_t n, size_t elem_bytes)
{
    void *p = calloc(n > 0 ? n : 1, elem_bytes);
    if (p == NULL)
        kp_fail(KP_ENOMEM, "out of memory: %zu elements of %zu bytes", n, elem_bytes);
    return p;
}

void kp_ref_group_strides(const kp_tensor *x, const kp_axes *axes, int64_t *stride,
                          int64_t *n_groups)
{
    int a = axes->n - 1;
    *n_groups = 1;
    for (int i = x->ndim - 1; i >= 0; i--) {
        if (a >= 0 && axes->axis[a] == i) {
            stride[i] = 0;
            a--;
        } else {
            stride[i] = *n_groups;
            *n_groups *= x->shape[i];
        }
    }
}

/* Replaces t's data by a copy of that type (converted if fill). */
static int to_type(kp_tensor *t, kp_dtype dtype, bool fill)
{
    size_t n = (size_t)kp_tensor_count(t);
    void *data = kp_ref_scratch(n, kp_dtype_size(dtype));
    if (data == NULL)
        return KP_ENOMEM;
    int status = fill ? kp_convert(dtype, data, t->dtype, t->data, n) : 0;
    t->data = data;
    t->dtype = dtype;
    t->size_bytes = n * kp_dtype_size(dtype);
    return status;
}

/* Runs a kernel for one type on arrays of which some have another. */
static int run_converted(kp_ref_fn run, kp_dtype dtype, const kp_node *n, const kp_tensor *in,
                         int n_in, kp_tensor *out)
{
    kp_tensor *copies = kp_ref_scratch((size_t)n_in + 1, sizeof *copies);
    if (copies == NULL)
        return KP_ENOMEM;
    memcpy(copies, in, (size_t)n_in * sizeof *in);
    copies[n_in] = *out;
    int status = 0;
    for (int i = 0; i <= n_in && status == 0; i++) {
        if (copies[i].data != NULL && copies[i].dtype != dtype)
            status = to_type(&copies[i], dtype, i < n_in);
    }
    if (status == 0)
        status = run(n, copies, n_in, &copies[n_in]);
    if (status == 0 && copies[n_in].data != out->data)
        status = kp_convert(out->dtype, out->data, dtype, copies[n_in].data,
                            (size_t)kp_tensor_count(out));
    for (int i = 0; i <= n_in; i++) {
        if (copies[i].data != (i < n_in ? in[i].data : out->data))
            free(copies[i].data);
    }
    free(copies);
    return status;
}

int kp_ref_run_node(const kp_node *n, const kp_tensor *in, int n_in, kp_tensor *out)
{
    if ((unsigned)n->op >= KP_OP_COUNT || kernels[n->op].run == NULL)
        return kp_node_fail(n, KP_EUNSUPPORTED, "ref cannot compute %s", kp_op_name(n->op));
    if (n_in != n->n_inputs)
        return kp_node_fail(n, KP_EINTERNAL, "%d arrays for %d inputs", n_in, n->n_inputs);
    if (!kernels[n->op].float32)
        return kernels[n->op].run(n, in, n_in, out);
    bool wide = out->dtype == KP_FLOAT64 && kernels[n->op].wide != NULL;
    kp_dtype dtype = wide ? KP_FLOAT64 : KP_FLOAT32;
    kp_ref_fn run = wide ? kernels[n->op].wide : kernels[n->op].run;
    bool others = out->dtype != dtype;
    for (int i = 0; i < n_in; i++)
        others = others || (in[i].data != NULL && in[i].dtype != dtype);
    return others ? run_converted(run, dtype, n, in, n_in, out) : run(n, in, n_in, out);
}

int kp_ref_eval(void *ctx, kp_graph *g, const kp_node *n, const kp_tensor *in, kp_tensor *out)
{
    (void)ctx;
    (void)g;
    return kp_ref_run_node(n, in, n->n_inputs, out);
}
