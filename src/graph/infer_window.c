/* Result shapes of what slides a window over an image: convolutions, pooling; and of resizing.
 * The paddings are Keras': SAME gives ceil(size / stride) cells and pads the end by the odd one. */
#include "graph/graph_int.h"

static int check_range(kp_infer *c, const char *what, int64_t v, int64_t low)
{
    if (v >= low && v <= KP_SIZE_LIMIT)
        return 0;
    return kp_node_fail(c->n, KP_EINVAL, "%s %lld is out of range", what, (long long)v);
}

static int check_window(kp_infer *c, const kp_window *w)
{
    if (w->n_spatial < 1 || w->n_spatial > KP_MAX_SPATIAL)
        return kp_node_fail(c->n, KP_EINVAL, "a window of %d dimensions", w->n_spatial);
    if ((unsigned)w->padding > KP_PAD_EXPLICIT)
        return kp_node_fail(c->n, KP_EINVAL, "unknown padding %d", (int)w->padding);
    for (int i = 0; i < w->n_spatial; i++) {
        KP_TRY(check_range(c, "window size", w->size[i], 1));
        KP_TRY(check_range(c, "stride", w->stride[i], 1));
        KP_TRY(check_range(c, "dilation", w->dilation[i], 1));
        if (w->padding != KP_PAD_EXPLICIT)
            continue;
        KP_TRY(check_range(c, "padding", w->pad_before[i], 0));
        KP_TRY(check_range(c, "padding", w->pad_after[i], 0));
    }
    return 0;
}

/* Cells that a dilated window spans. */
static int64_t extent(const kp_window *w, int i)
{
    return (w->size[i] - 1) * w->dilation[i] + 1;
}

static void set_pads(kp_infer *c, int i, int64_t before, int64_t after)
{
    if (c->window == NULL)
        return;
    c->window->pad_before[i] = before;
    c->window->pad_after[i] = after;
}

/* Output size along spatial axis i of an input of `size` cells. */
static int slide(kp_infer *c, const kp_window *w, int i, int64_t size, int64_t *out)
{
    int64_t e = extent(w, i), s = w->stride[i], before = 0, after = 0;
    if (!kp_infer_known(size)) {
        bool same_size = w->padding == KP_PAD_SAME && s == 1;
        *out = same_size ? size : kp_infer_symbol(c);
        return 0;
    }
    if (w->padding == KP_PAD_SAME) {
        *out = size / s + (size % s != 0);
        int64_t total = (*out - 1) * s + e - size;
        total = total > 0 && *out > 0 ? total : 0;
        before = total / 2;
        after = total - before;
    } else {
        if (w->padding == KP_PAD_EXPLICIT) {
            before = w->pad_before[i];
            after = w->pad_after[i];
        }
        int64_t padded = size + before + after;
        if (padded < e)
            return kp_node_fail(c->n, KP_ESHAPE,
                                "a window of %lld cells does not fit in %lld cells of axis %d",
                                (long long)e, (long long)padded, i + 1);
        *out = (padded - e) / s + 1;
    }
    set_pads(c, i, before, after);
    return 0;
}

/* x is (N, spatial..., C), the kernel (spatial..., a, b) of the window's size. */
static int check_kernel(kp_infer *c, const kp_window *w)
{
    const kp_value *x = c->n->inputs[0], *k = c->n->inputs[1];
    char text[KP_SHAPE_TEXT];
    KP_TRY(check_window(c, w));
    KP_TRY(kp_infer_check_float(c, x, "the input"));
    KP_TRY(kp_infer_check_float(c, k, "the kernel"));
    if (x->ndim != w->n_spatial + 2)
        return kp_node_fail(c->n, KP_ESHAPE, "an input of %d dimensions is needed, it has shape %s",
                            w->n_spatial + 2, kp_shape_text(x->shape, x->ndim, text, sizeof text));
    bool fits = k->ndim == w->n_spatial + 2;
    for (int i = 0; fits && i < k->ndim; i++)
        fits = i < w->n_spatial ? k->shape[i] == w->size[i] : k->shape[i] > 0;
    if (!fits)
        return kp_node_fail(c->n, KP_ESHAPE, "a kernel of shape %s does not fit its window",
                            kp_shape_text(k->shape, k->ndim, text, sizeof text));
    return 0;
}

static int check_residual(kp_infer *c)
{
    const kp_value *r = c->n->n_inputs > 3 ? c->n->inputs[3] : NULL;
    if (r == NULL)
        return 0;
    bool fits = r->dtype == c->out->dtype && r->ndim == c->out->ndim;
    for (int i = 0; fits && i < r->ndim; i++) {
        int64_t a = r->shape[i], b = c->out->shape[i];
        fits = a == b || (a <= KP_DIM_UNKNOWN && b != KP_DIM_BATCH) ||
               (b <= KP_DIM_UNKNOWN && a != KP_DIM_BATCH);
    }
    if (!fits)
        return kp_node_fail(c->n, KP_ESHAPE, "the residual does not have the result's shape");
    return 0;
}

int kp_infer_conv(kp_infer *c)
{
    const kp_node *n = c->n;
    const kp_window *w = &n->attr.conv.window;
    KP_TRY(check_kernel(c, w));
    const kp_value *x = n->inputs[0], *k = n->inputs[1];
    int last = x->ndim - 1;
    int64_t groups = n->attr.conv.groups, in = x->shape[last], out = k->shape[last];
    if (groups < 1 || out % groups != 0 || in % groups != 0 || !kp_infer_known(in) ||
        in / groups != k->shape[last - 1])
        return kp_node_fail(n, KP_ESHAPE,
                            "%lld input channels in %lld groups do not fit a kernel of %lld input "
                            "and %lld output channels",
                            (long long)in, (long long)groups, (long long)k->shape[last - 1],
                            (long long)out);
    kp_infer_like(c, x);
    for (int i = 0; i < w->n_spatial; i++)
        KP_TRY(slide(c, w, i, x->shape[i + 1], &c->out->shape[i + 1]));
    c->out->shape[last] = out;
    if (n->n_inputs > 2)
        KP_TRY(kp_infer_check_vector(c, n->inputs[2], out, "the bias"));
    return check_residual(c);
}

/* Keras' rule for the size of a transposed convolution. The full scatter of an input has
 * (i-1)*s + e cells; pad_before of them are cut at the start, pad_after at the end (negative:
 * zeros are added), and neither depends on i. */
static int spread(kp_infer *c, int i, int64_t size, int64_t *out)
{
    const kp_window *w = &c->n->attr.conv_transpose.window;
    bool given = c->n->attr.conv_transpose.has_output_padding;
    int64_t e = extent(w, i), s = w->stride[i];
    int64_t op = given ? c->n->attr.conv_transpose.output_padding[i] : 0;
    int64_t before = 0, after; /* what is cut */
    KP_TRY(check_range(c, "output padding", op, 0));
    if (w->padding == KP_PAD_EXPLICIT) {
        before = w->pad_before[i];
        after = w->pad_after[i];
    } else if (w->padding == KP_PAD_VALID) {
        after = given ? -op : (s > e ? e - s : 0);
    } else {
        int64_t pad_len = given ? e + e % 2 - 2 + op : s + e - 2;
        int64_t left = (pad_len + 1) / 2; /* of the gather form */
        left = left < e - 1 ? left : e - 1;
        before = e - 1 - left;
        after = (given ? e - e % 2 - op : e - s) - before;
    }
    set_pads(c, i, before, after);
    if (!kp_infer_known(size)) {
        *out = kp_infer_symbol(c);
        return 0;
    }
    *out = (size - 1) * s + e - before - after;
    if (size < 1 || *out < 1)
        return kp_node_fail(c->n, KP_ESHAPE, "nothing remains of axis %d", i + 1);
    return 0;
}

int kp_infer_conv_transpose(kp_infer *c)
{
    const kp_node *n = c->n;
    const kp_window *w = &n->attr.conv_transpose.window;
    KP_TRY(check_kernel(c, w));
    const kp_value *x = n->inputs[0], *k = n->inputs[1];
    int last = x->ndim - 1;
    if (x->shape[last] != k->shape[last])
        return kp_node_fail(n, KP_ESHAPE, "%lld input channels do not fit a kernel for %lld",
                            (long long)x->shape[last], (long long)k->shape[last]);
    kp_infer_like(c, x);
    for (int i = 0; i < w->n_spatial; i++)
        KP_TRY(spread(c, i, x->shape[i + 1], &c->out->shape[i + 1]));
    c->out->shape[last] = k->shape[last - 1];
    return n->n_inputs > 2 ? kp_infer_check_vector(c, n->inputs[2], k->shape[last - 1], "the bias")
                           : 0;
}

int kp_infer_pool(kp_infer *c)
{
    const kp_window *w = &c->n->attr.pool.window;
    const kp_value *x = c->n->inputs[0];
    char text[KP_SHAPE_TEXT];
    KP_TRY(check_window(c, w));
    KP_TRY(kp_infer_check_float(c, x, "the input"));
    if (x->ndim != w->n_spatial + 2)
        return kp_node_fail(c->n, KP_ESHAPE, "an input of %d dimensions is needed, it has shape %s",
                            w->n_spatial + 2, kp_shape_text(x->shape, x->ndim, text, sizeof text));
    for (int i = 0; i < w->n_spatial; i++) {
        if (w->dilation[i] != 1)
            return kp_node_fail(c->n, KP_EUNSUPPORTED, "dilated pooling is not supported");
    }
    kp_infer_like(c, x);
    for (int i = 0; i < w->n_spatial; i++)
        KP_TRY(slide(c, w, i, x->shape[i + 1], &c->out->shape[i + 1]));
    return 0;
}

/* Output size of one axis: given, or a multiple. */
static int resized(kp_infer *c, int64_t in, int64_t size, int64_t factor, int64_t *out)
{
    if (in == 0)
        return kp_node_fail(c->n, KP_ESHAPE, "an image without pixels cannot be resized");
    if (size != 0) {
        KP_TRY(check_range(c, "size", size, 1));
        *out = size;
        return 0;
    }
    KP_TRY(check_range(c, "factor", factor, 1));
    *out = kp_infer_known(in) ? in * factor : factor == 1 ? in : kp_infer_symbol(c);
    return 0;
}

int kp_infer_resize(kp_infer *c)
{
    const kp_node *n = c->n;
    const kp_value *x = n->inputs[0];
    bool keeps_aspect = n->attr.resize.crop_to_aspect_ratio || n->attr.resize.pad_to_aspect_ratio ||
                        n->attr.resize.center_crop;
    if ((unsigned)n->attr.resize.kind >= KP_RESIZE_COUNT)
        return kp_node_fail(n, KP_EINTERNAL, "unknown interpolation %d", (int)n->attr.resize.kind);
    if (n->attr.resize.kind != KP_RESIZE_NEAREST)
        KP_TRY(kp_infer_check_float(c, x, "the input"));
    if (x->ndim != 4)
        return kp_node_fail(n, KP_ESHAPE, "resizing needs images (batch, height, width, channels)");
    if (n->attr.resize.crop_to_aspect_ratio && n->attr.resize.pad_to_aspect_ratio)
        return kp_node_fail(n, KP_EINVAL,
                            "crop_to_aspect_ratio and pad_to_aspect_ratio exclude "
                            "each other");
    if (keeps_aspect && (n->attr.resize.height == 0 || n->attr.resize.width == 0))
        return kp_node_fail(n, KP_EINVAL, "an aspect ratio needs height and width");
    kp_infer_like(c, x);
    KP_TRY(
        resized(c, x->shape[1], n->attr.resize.height, n->attr.resize.factor_h, &c->out->shape[1]));
    return resized(c, x->shape[2], n->attr.resize.width, n->attr.resize.factor_w,
                   &c->out->shape[2]);
}
