/* Pooling over windows and over everything. */
#include "lower/build.h"

/* The largest of integers is one of them: doubles hold them exactly on the way. */
static int as_real(kp_lw *w, bool average, kp_value *x, kp_value **out)
{
    bool exact = !average && !kp_dtype_is_float(x->dtype);
    return exact ? kp_lw_cast(w, KP_FLOAT64, x, out) : kp_lw_float(w, x, out);
}

static int pool(kp_lw *w, const kp_lw_call *c, bool average, kp_value **out)
{
    const kp_layer *l = c->layer;
    int n = c->variant;
    bool first;
    const char *padding;
    kp_value *x = c->in[0];
    kp_node node = {.op = KP_OP_POOL, .attr.pool = {.average = average}};
    kp_window *win = &node.attr.pool.window;
    win->n_spatial = n;
    KP_TRY(kp_lw_rank(c, n + 2));
    KP_TRY(kp_lw_channels_first(l, &first));
    KP_TRY(kp_cfg_ints(l, "pool_size", n, 2, win->size));
    memcpy(win->stride, win->size, sizeof win->size);
    if (!kp_lw_is_null(l, "strides"))
        KP_TRY(kp_cfg_ints(l, "strides", n, 1, win->stride));
    KP_TRY(kp_cfg_str(l, "padding", "valid", &padding));
    win->padding = strcmp(padding, "same") == 0 ? KP_PAD_SAME : KP_PAD_VALID;
    if (win->padding == KP_PAD_VALID && strcmp(padding, "valid") != 0)
        return kp_fail(KP_EMODEL, "layer \"%s\": padding \"%s\" is not known here", l->path,
                       padding);
    for (int i = 0; i < n; i++) {
        win->dilation[i] = 1;
        if (win->size[i] < 1 || win->stride[i] < 1 || win->size[i] > INT32_MAX ||
            win->stride[i] > INT32_MAX)
            return kp_fail(KP_EMODEL,
                           "layer \"%s\": pool_size %lld with strides %lld is not "
                           "possible",
                           l->path, (long long)win->size[i], (long long)win->stride[i]);
    }
    KP_TRY(as_real(w, average, x, &x));
    if (first)
        KP_TRY(kp_lw_to_last(w, x, &x));
    KP_TRY(kp_lw_add(w, &node, &x, 1, &x));
    if (first)
        KP_TRY(kp_lw_to_first(w, x, &x));
    *out = x;
    return average ? 0 : kp_lw_like(w, c->in[0], out);
}

static int do_max_pool(kp_lw *w, const kp_lw_call *c, kp_value **out)
{
    return pool(w, c, false, out);
}

static int do_average_pool(kp_lw *w, const kp_lw_call *c, kp_value **out)
{
    return pool(w, c, true, out);
}

/* variant: spatial axes for the average, negative for the maximum. */
static int do_global_pool(kp_lw *w, const kp_lw_call *c, kp_value **out)
{
    int n = c->variant < 0 ? -c->variant : c->variant;
    bool first, keepdims;
    kp_value *x;
    KP_TRY(kp_lw_rank(c, n + 2));
    KP_TRY(kp_lw_channels_first(c->layer, &first));
    KP_TRY(kp_cfg_bool(c->layer, "keepdims", false, &keepdims));
    KP_TRY(as_real(w, c->variant > 0, c->in[0], &x));
    kp_value *mask = c->n_in > 1 ? c->in[1] : c->in_mask[0];
    if (c->variant == 1 && mask)
        return kp_lw_masked_mean(w, first ? 2 : 1, keepdims, mask, x, out);
    kp_node node = {.op = KP_OP_REDUCE,
                    .attr.reduce = {.kind = c->variant < 0 ? KP_RED_MAX : KP_RED_MEAN,
                                    .axes.n = n,
                                    .keepdims = keepdims}};
    for (int i = 0; i < n; i++)
        node.attr.reduce.axes.axis[i] = i + (first ? 2 : 1);
    KP_TRY(kp_lw_add(w, &node, &x, 1, out));
    if (c->variant < 0)
        return kp_lw_like(w, c->in[0], out);
    return kp_dtype_is_float(c->in[0]->dtype) ? 0 : kp_lw_cast(w, KP_FLOAT32, *out, out);
}

const kp_lw_entry kp_lw_pool_layers[] = {
    {"MaxPooling1D", do_max_pool, 1, KP_LW_ONE, KP_LW_MASK_DROP},
    {"MaxPooling2D", do_max_pool, 2, KP_LW_ONE, KP_LW_MASK_DROP},
    {"MaxPooling3D", do_max_pool, 3, KP_LW_ONE, KP_LW_MASK_DROP},
    {"AveragePooling1D", do_average_pool, 1, KP_LW_ONE, KP_LW_MASK_DROP},
    {"AveragePooling2D", do_average_pool, 2, KP_LW_ONE, KP_LW_MASK_DROP},
    {"AveragePooling3D", do_average_pool, 3, KP_LW_ONE, KP_LW_MASK_DROP},
    {"GlobalAveragePooling1D", do_global_pool, 1, 1, 2, KP_LW_SAME, KP_LW_MASK_DROP},
    {"GlobalAveragePooling2D", do_global_pool, 2, KP_LW_ONE, KP_LW_MASK_DROP},
    {"GlobalAveragePooling3D", do_global_pool, 3, KP_LW_ONE, KP_LW_MASK_DROP},
    {"GlobalMaxPooling1D", do_global_pool, -1, KP_LW_ONE, KP_LW_MASK_DROP},
    {"GlobalMaxPooling2D", do_global_pool, -2, KP_LW_ONE, KP_LW_MASK_DROP},
    {"GlobalMaxPooling3D", do_global_pool, -3, KP_LW_ONE, KP_LW_MASK_DROP},
    {0},
};

/* The operations have the layers' configuration; how many spatial axes the input says. */
static int do_op_pool(kp_lw *w, const kp_lw_call *c, kp_value **out)
{
    kp_lw_call inner = *c;
    kp_dtype type = c->in[0]->dtype;
    inner.variant = c->in[0]->ndim - 2;
    if (inner.variant < 1 || inner.variant > KP_MAX_SPATIAL)
        return kp_lw_rank(c, 4);
    KP_TRY(pool(w, &inner, c->variant != 0, out));
    return c->variant == 0 ? kp_lw_cast(w, type, *out, out) : 0;
}

const kp_lw_entry kp_lw_pool_operations[] = {
    {"AveragePool", do_op_pool, 1, KP_LW_ONE, KP_LW_MASK_DROP},
    {"MaxPool", do_op_pool, 0, KP_LW_ONE, KP_LW_MASK_DROP},
    {0},
};
