/* Operations of keras.ops that look at windows: convolutions with a stored kernel, patches, blocks.
 */
#include "lower/build.h"

/* One or n whole numbers of at least `least`. */
static int read_sizes(const kp_layer *l, const char *key, int n, int64_t dflt, int64_t least,
                      int64_t *out)
{
    KP_TRY(kp_cfg_ints(l, key, n, dflt, out));
    for (int i = 0; i < n; i++)
        if (out[i] < least || out[i] > INT32_MAX)
            return kp_fail(KP_EMODEL, "layer \"%s\" (%s): %s %lld is not a size", l->path,
                           l->class_name, key, (long long)out[i]);
    return 0;
}

static int read_same(const kp_layer *l, bool *out)
{
    const char *padding;
    KP_TRY(kp_cfg_str(l, "padding", "valid", &padding));
    *out = strcmp(padding, "same") == 0;
    if (*out || strcmp(padding, "valid") == 0)
        return 0;
    return kp_fail(KP_EMODEL, "layer \"%s\" (%s): padding \"%s\" is not known here", l->path,
                   l->class_name, padding);
}

/* ---- convolutions ---- */

typedef struct convolution {
    int n; /* spatial axes */
    bool first;
    int64_t channels;
    kp_value *x; /* float32, channels_last */
    kp_window window;
} convolution;

/* The kernel's spatial sizes are the window's. */
static int begin(kp_lw *w, const kp_lw_call *c, const kp_value *kernel, convolution *v)
{
    const kp_layer *l = c->layer;
    bool same;
    *v = (convolution){.n = c->in[0]->ndim - 2, .x = c->in[0]};
    v->window.n_spatial = v->n;
    if (v->n < 1 || v->n > KP_MAX_SPATIAL || kernel->ndim != v->n + 2)
        return kp_fail(KP_EMODEL, "layer \"%s\" (%s): a kernel of %d axes for an input of %d",
                       l->path, l->class_name, kernel->ndim, c->in[0]->ndim);
    KP_TRY(kp_lw_channels_first(l, &v->first));
    KP_TRY(read_sizes(l, "strides", v->n, 1, 1, v->window.stride));
    KP_TRY(read_sizes(l, "dilation_rate", v->n, 1, 1, v->window.dilation));
    KP_TRY(read_same(l, &same));
    v->window.padding = same ? KP_PAD_SAME : KP_PAD_VALID;
    for (int i = 0; i < v->n + 2; i++)
        if (kernel->shape[i] < 1)
            return kp_fail(KP_EMODEL, "layer \"%s\" (%s): the kernel must be stored", l->path,
                           l->class_name);
    memcpy(v->window.size, kernel->shape, (size_t)v->n * sizeof(int64_t));
    KP_TRY(kp_lw_float(w, v->x, &v->x));
    if (v->first)
        KP_TRY(kp_lw_to_last(w, v->x, &v->x));
    return kp_lw_known(v->x, v->n + 1, &v->channels);
}

static int finish(kp_lw *w, const convolution *v, kp_value *y, kp_value **out)
{
    *out = y;
    return v->first ? kp_lw_to_first(w, y, out) : 0;
}

static int convolve(kp_lw *w, const kp_window *window, int64_t groups, kp_value *x,
                    kp_value *kernel, kp_value **out)
{
    kp_node n = {.op = KP_OP_CONV, .attr.conv = {.window = *window, .groups = groups}};
    return kp_lw_add(w, &n, (kp_value *[]){x, kernel}, 2, out);
}

static int read_kernel(kp_lw *w, const kp_lw_call *c, int position, const char *name,
                       kp_value **out)
{
    KP_TRY(kp_lw_tensor_of(w, c, kp_lw_arg(c, position, name), out));
    return kp_lw_float(w, *out, out);
}

static int do_conv(kp_lw *w, const kp_lw_call *c, kp_value **out)
{
    convolution v;
    kp_value *kernel, *y;
    KP_TRY(read_kernel(w, c, 1, "kernel", &kernel));
    KP_TRY(begin(w, c, kernel, &v));
    int64_t in = kernel->shape[v.n];
    KP_TRY(convolve(w, &v.window, v.channels % in == 0 ? v.channels / in : 1, v.x, kernel, &y));
    return finish(w, &v, y, out);
}

/* A depthwise kernel (k..., in, mult) is, byte for byte, a grouped one (k..., 1, in*mult). */
static int depthwise(kp_lw *w, const convolution *v, kp_value *kernel, kp_value **out)
{
    int64_t shape[KP_MAX_SPATIAL + 2];
    memcpy(shape, kernel->shape, (size_t)v->n * sizeof(int64_t));
    shape[v->n] = 1;
    shape[v->n + 1] = kernel->shape[v->n] * kernel->shape[v->n + 1];
    KP_TRY(kp_lw_reshape(w, 0, shape, v->n + 2, kernel, &kernel));
    return convolve(w, &v->window, v->channels, v->x, kernel, out);
}

static int do_depthwise(kp_lw *w, const kp_lw_call *c, kp_value **out)
{
    convolution v;
    kp_value *kernel, *y;
    KP_TRY(read_kernel(w, c, 1, "kernel", &kernel));
    KP_TRY(begin(w, c, kernel, &v));
    KP_TRY(depthwise(w, &v, kernel, &y));
    return finish(w, &v, y, out);
}

static int do_separable(kp_lw *w, const kp_lw_call *c, kp_value **out)
{
    convolution v;
    kp_value *kernel, *point, *y;
    kp_window one = {.padding = KP_PAD_VALID};
    KP_TRY(read_kernel(w, c, 1, "depthwise_kernel", &kernel));
    KP_TRY(read_kernel(w, c, 2, "pointwise_kernel", &point));
    KP_TRY(begin(w, c, kernel, &v));
    KP_TRY(depthwise(w, &v, kernel, &y));
    one.n_spatial = v.n;
    for (int i = 0; i < v.n; i++)
        one.size[i] = one.stride[i] = one.dilation[i] = 1;
    KP_TRY(convolve(w, &one, 1, y, point, &y));
    return finish(w, &v, y, out);
}

static int do_transposed(kp_lw *w, const kp_lw_call *c, kp_value **out)
{
    const kp_layer *l = c->layer;
    convolution v;
    kp_value *kernel, *y;
    kp_node n = {.op = KP_OP_CONV_TRANSPOSE};
    KP_TRY(read_kernel(w, c, 1, "kernel", &kernel));
    KP_TRY(begin(w, c, kernel, &v));
    n.attr.conv_transpose.window = v.window;
    n.attr.conv_transpose.has_output_padding = !kp_lw_is_null(l, "output_padding");
    if (n.attr.conv_transpose.has_output_padding)
        KP_TRY(read_sizes(l, "output_padding", v.n, 0, 0, n.attr.conv_transpose.output_padding));
    KP_TRY(kp_lw_add(w, &n, (kp_value *[]){v.x, kernel}, 2, &y));
    return finish(w, &v, y, out);
}

/* ---- patches ---- */

/* x (N, C, H, W): every window of one channel together, windows last: (N, C*k*k, places). */
static int do_unfold(kp_lw *w, const kp_lw_call *c, kp_value **out)
{
    const kp_layer *l = c->layer;
    kp_patches *p = kp_arena_alloc(w->mem, sizeof *p);
    int64_t channels;
    kp_value *x;
    if (!p)
        return KP_ENOMEM;
    p->n = 2;
    KP_TRY(kp_lw_rank(c, 4));
    KP_TRY(read_sizes(l, "kernel_size", 2, 1, 1, p->size));
    KP_TRY(read_sizes(l, "dilation", 2, 1, 1, p->dilation));
    KP_TRY(read_sizes(l, "padding", 2, 0, 0, p->pad));
    KP_TRY(read_sizes(l, "stride", 2, 1, 1, p->stride));
    KP_TRY(kp_lw_known(c->in[0], 1, &channels));
    KP_TRY(kp_lw_to_last(w, c->in[0], &x));
    KP_TRY(kp_lw_kernel(w, &kp_kernel_patches, p, &x, 1, &x));
    KP_TRY(kp_lw_reshape(w, 1, (int64_t[]){-1, p->size[0] * p->size[1], channels}, 3, x, &x));
    KP_TRY(kp_lw_transpose(w, (int[]){0, 3, 2, 1}, x, &x));
    KP_TRY(kp_lw_known(x, 3, &channels));
    return kp_lw_reshape(w, 1, (int64_t[]){-1, channels}, 2, x, out);
}

static int do_fold(kp_lw *w, const kp_lw_call *c, kp_value **out)
{
    const kp_layer *l = c->layer;
    kp_patches *p = kp_arena_alloc(w->mem, sizeof *p);
    int64_t rows, cells;
    kp_value *x = c->in[0];
    if (!p)
        return KP_ENOMEM;
    p->n = 2;
    KP_TRY(kp_lw_rank(c, 3));
    KP_TRY(read_sizes(l, "output_size", 2, 0, 1, p->output));
    KP_TRY(read_sizes(l, "kernel_size", 2, 1, 1, p->size));
    KP_TRY(read_sizes(l, "dilation", 2, 1, 1, p->dilation));
    KP_TRY(read_sizes(l, "padding", 2, 0, 0, p->pad));
    KP_TRY(read_sizes(l, "stride", 2, 1, 1, p->stride));
    KP_TRY(kp_lw_known(x, 1, &rows));
    KP_TRY(kp_lw_known(x, 2, &cells));
    int64_t size = p->size[0] * p->size[1];
    if (rows % size != 0)
        return kp_fail(KP_EMODEL, "layer \"%s\" (Fold): %lld numbers are not windows of %lld cells",
                       l->path, (long long)rows, (long long)size);
    KP_TRY(kp_lw_reshape(w, 1, (int64_t[]){rows / size, size, cells}, 3, x, &x));
    KP_TRY(kp_lw_transpose(w, (int[]){0, 3, 2, 1}, x, &x));
    KP_TRY(kp_lw_reshape(w, 1, (int64_t[]){cells, rows}, 2, x, &x));
    KP_TRY(kp_lw_kernel(w, &kp_kernel_fold, p, &x, 1, &x));
    return kp_lw_to_first(w, x, out);
}

/* variant: whether to depth. */
static int do_blocks(kp_lw *w, const kp_lw_call *c, kp_value **out)
{
    kp_blocks *p = kp_arena_alloc(w->mem, sizeof *p);
    bool first;
    kp_value *x = c->in[0];
    if (!p)
        return KP_ENOMEM;
    p->to_depth = c->variant != 0;
    KP_TRY(kp_lw_rank(c, 4));
    KP_TRY(kp_cfg_int(c->layer, "block_size", 0, &p->block));
    KP_TRY(kp_lw_channels_first(c->layer, &first));
    if (first)
        KP_TRY(kp_lw_to_last(w, x, &x));
    KP_TRY(kp_lw_kernel(w, &kp_kernel_blocks, p, &x, 1, &x));
    *out = x;
    return first ? kp_lw_to_first(w, x, out) : 0;
}

/* Overlapping parts of the last axis. */
static int do_extract_sequences(kp_lw *w, const kp_lw_call *c, kp_value **out)
{
    kp_patches *p = kp_arena_alloc(w->mem, sizeof *p);
    kp_value *x = c->in[0];
    int n = x->ndim;
    if (!p)
        return KP_ENOMEM;
    p->n = 1;
    p->dilation[0] = 1;
    KP_TRY(read_sizes(c->layer, "sequence_length", 1, 0, 1, p->size));
    KP_TRY(read_sizes(c->layer, "sequence_stride", 1, 0, 1, p->stride));
    KP_TRY(kp_lw_reshape(w, n, (int64_t[]){1}, 1, x, &x));
    return kp_lw_kernel(w, &kp_kernel_patches, p, &x, 1, out);
}

const kp_lw_entry kp_lw_nn_window_operations[] = {
    {"Conv", do_conv, 0, 1, 2, KP_LW_SAME, KP_LW_MASK_DROP},
    {"ConvTranspose", do_transposed, 0, 1, 2, KP_LW_SAME, KP_LW_MASK_DROP},
    {"DepthToSpace", do_blocks, 0, KP_LW_ONE, KP_LW_MASK_DROP},
    {"DepthwiseConv", do_depthwise, 0, 1, 2, KP_LW_SAME, KP_LW_MASK_DROP},
    {"ExtractSequences", do_extract_sequences, 0, KP_LW_ONE, KP_LW_MASK_DROP},
    {"Fold", do_fold, 0, KP_LW_ONE, KP_LW_MASK_DROP},
    {"SeparableConv", do_separable, 0, 1, 3, KP_LW_SAME, KP_LW_MASK_DROP},
    {"SpaceToDepth", do_blocks, 1, KP_LW_ONE, KP_LW_MASK_DROP},
    {"Unfold", do_unfold, 0, KP_LW_ONE, KP_LW_MASK_DROP},
    {0},
};
