/* Layers that join tensors. */
#include "lower/build.h"

/* Keras inserts axes at 1 where ranks differ, then broadcasts as NumPy does. */
static int to_rank(kp_lw *w, int rank, kp_value *x, kp_value **out)
{
    int64_t dims[KP_MAX_DIMS];
    int n = rank - x->ndim, open = 0;
    *out = x;
    if (n == 0 || x->ndim == 0)
        return 0;
    for (int i = 0; i < n; i++)
        dims[i] = 1;
    for (int i = 1; i < x->ndim; i++, n++) {
        dims[n] = x->shape[i] >= 0 ? x->shape[i] : -1;
        open += x->shape[i] < 0;
    }
    if (open > 1)
        return kp_fail(KP_EMODEL, "merging tensors of different rank with several open sizes is "
                                  "not supported");
    return kp_lw_reshape(w, 1, dims, n, x, out);
}

static int join(kp_lw *w, const kp_lw_call *c, kp_binary_kind kind, kp_value **out)
{
    int rank = 0;
    kp_value *y = NULL, *x;
    for (int i = 0; i < c->n_in; i++)
        rank = c->in[i]->ndim > rank ? c->in[i]->ndim : rank;
    for (int i = 0; i < c->n_in; i++) {
        KP_TRY(to_rank(w, rank, c->in[i], &x));
        if (i == 0)
            y = x;
        else
            KP_TRY(kp_lw_binary(w, kind, y, x, &y));
    }
    *out = y;
    return 0;
}

static int do_merge(kp_lw *w, const kp_lw_call *c, kp_value **out)
{
    return join(w, c, (kp_binary_kind)c->variant, out);
}

static int do_average(kp_lw *w, const kp_lw_call *c, kp_value **out)
{
    kp_value *sum;
    KP_TRY(join(w, c, KP_BIN_ADD, &sum));
    KP_TRY(kp_lw_float(w, sum, &sum));
    return kp_lw_linear(w, 1.0 / c->n_in, 0, sum, out);
}

int kp_lw_concat_axis(kp_lw *w, const kp_lw_call *c, int64_t axis, kp_value **out)
{
    kp_node n = {.op = KP_OP_CONCAT};
    kp_value *x = c->in[0];
    bool mixed = false;
    KP_TRY(kp_lw_axis(c->layer, axis, x->ndim, &n.attr.axis.axis));
    if (n.attr.axis.axis == 0)
        return kp_fail(KP_EMODEL, "layer \"%s\": joining along the batch is not supported",
                       c->layer->path);
    for (int i = 1; i < c->n_in; i++)
        mixed = mixed || c->in[i]->dtype != x->dtype;
    for (int i = 0; mixed && i < c->n_in; i++)
        KP_TRY(kp_lw_float(w, c->in[i], &c->in[i]));
    *out = c->in[0];
    return c->n_in == 1 ? 0 : kp_lw_add(w, &n, c->in, c->n_in, out);
}

static int do_concat(kp_lw *w, const kp_lw_call *c, kp_value **out)
{
    int64_t axis;
    KP_TRY(kp_cfg_int(c->layer, "axis", -1, &axis));
    return kp_lw_concat_axis(w, c, axis, out);
}

/* InceptionResNetV2's own layer: the first tensor plus the second times a number. */
static int do_custom_scale(kp_lw *w, const kp_lw_call *c, kp_value **out)
{
    double scale;
    kp_value *y;
    KP_TRY(kp_cfg_float(c->layer, "scale", 1, &scale));
    KP_TRY(kp_lw_linear(w, scale, 0, c->in[1], &y));
    return kp_lw_binary(w, KP_BIN_ADD, c->in[0], y, out);
}

const kp_lw_entry kp_lw_merge_layers[] = {
    {"Add", do_merge, KP_BIN_ADD, 1, 0, KP_LW_SAME, KP_LW_MASK_DROP},
    {"Subtract", do_merge, KP_BIN_SUB, 2, 2, KP_LW_SAME, KP_LW_MASK_DROP},
    {"Multiply", do_merge, KP_BIN_MUL, 1, 0, KP_LW_SAME, KP_LW_MASK_DROP},
    {"Maximum", do_merge, KP_BIN_MAX, 1, 0, KP_LW_SAME, KP_LW_MASK_DROP},
    {"Minimum", do_merge, KP_BIN_MIN, 1, 0, KP_LW_SAME, KP_LW_MASK_DROP},
    {"Average", do_average, 0, 1, 0, KP_LW_SAME, KP_LW_MASK_DROP},
    {"Concatenate", do_concat, 0, 1, 0, KP_LW_SAME, KP_LW_MASK_DROP},
    {"CustomScaleLayer", do_custom_scale, 0, 2, 2, KP_LW_SAME, KP_LW_MASK_DROP},
    {0},
};
