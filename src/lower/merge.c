/* Layers that join tensors. */
#include "lower/build.h"

/* Keras inserts axes at 1 where ranks differ, then broadcasts as NumPy does. */
static int to_rank(kp_lw *w, int rank, kp_value *x, kp_value **out)
{
    *out = x;
    while (x->ndim > 0 && (*out)->ndim < rank)
        KP_TRY(kp_lw_add_axis(w, 1, *out, out));
    return 0;
}

/* In Keras 2 a joint mask was true where all masks are, in 3.0 to 3.3 there was none; and no layer
 * left out of its result what is masked. */
static bool joins_all(const kp_lw *w)
{
    return kp_lw_older(w, 3, 4);
}

static bool has_no_joint_mask(const kp_lw *w)
{
    return joins_all(w) && !kp_lw_older(w, 3, 0);
}

/* Where any input counts; no mask when one of them has none. Before: where all that have a mask do.
 */
static int merged_mask(kp_lw *w, const kp_lw_call *c, kp_value **out)
{
    kp_value *all = NULL, *mask;
    *out = NULL;
    for (int i = 0; i < c->n_in && !has_no_joint_mask(w); i++) {
        if (!c->in_mask[i] && joins_all(w))
            continue;
        if (!c->in_mask[i])
            return 0;
        KP_TRY(kp_lw_truth(w, c->in_mask[i], &mask));
        if (all)
            KP_TRY((joins_all(w) ? kp_lw_both : kp_lw_either)(w, all, mask, &mask));
        all = mask;
    }
    *out = all;
    return 0;
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
    KP_TRY(merged_mask(w, c, &c->res->masks[0]));
    return join(w, c, (kp_binary_kind)c->variant, out);
}

/* What the inputs look like where ranks differ: those that get axes lose their masks. */
static int same_ranks(kp_lw *w, const kp_lw_call *c, kp_lw_result *out)
{
    int rank = 0;
    KP_TRY(kp_lw_result_new(w, c->n_in, out));
    for (int i = 0; i < c->n_in; i++)
        rank = c->in[i]->ndim > rank ? c->in[i]->ndim : rank;
    for (int i = 0; i < c->n_in; i++) {
        kp_value *mask = c->in[i]->ndim == rank ? c->in_mask[i] : NULL;
        if (mask) {
            KP_TRY(kp_lw_truth(w, mask, &mask));
            KP_TRY(kp_lw_add_axis(w, mask->ndim, mask, &out->masks[i]));
        }
        KP_TRY(to_rank(w, rank, c->in[i], &out->values[i]));
    }
    return 0;
}

/* Factors count as 1 where they are masked; where all are, the product is 0. */
static int do_multiply(kp_lw *w, const kp_lw_call *c, kp_value **out)
{
    kp_lw_result in;
    kp_value *y = NULL, *all = NULL, *x, *number;
    bool every = true;
    KP_TRY(merged_mask(w, c, &c->res->masks[0]));
    if (joins_all(w))
        return join(w, c, KP_BIN_MUL, out);
    KP_TRY(same_ranks(w, c, &in));
    for (int i = 0; i < in.n; i++) {
        x = in.values[i];
        every = every && in.masks[i];
        if (in.masks[i]) {
            KP_TRY(kp_lw_number(w, 1, x->dtype, &number));
            KP_TRY(kp_lw_select(w, in.masks[i], x, number, &x));
        }
        if (every)
            KP_TRY(i == 0 ? (all = in.masks[i], 0) : kp_lw_either(w, all, in.masks[i], &all));
        KP_TRY(i == 0 ? (y = x, 0) : kp_lw_binary(w, KP_BIN_MUL, y, x, &y));
    }
    *out = y;
    if (!every)
        return 0;
    KP_TRY(kp_lw_number(w, 0, y->dtype, &number));
    return kp_lw_select(w, all, y, number, out);
}

/* Of two of which one is masked, the other one. */
static int do_extreme(kp_lw *w, const kp_lw_call *c, kp_value **out)
{
    kp_lw_result in;
    KP_TRY(merged_mask(w, c, &c->res->masks[0]));
    if (joins_all(w))
        return join(w, c, (kp_binary_kind)c->variant, out);
    KP_TRY(same_ranks(w, c, &in));
    kp_value *y = in.values[0], *all = in.masks[0];
    for (int i = 1; i < in.n; i++) {
        kp_value *x = in.values[i], *mask = in.masks[i];
        if (mask)
            KP_TRY(kp_lw_select(w, mask, x, y, &x));
        if (all)
            KP_TRY(kp_lw_select(w, all, y, x, &y));
        if (all && mask)
            KP_TRY(kp_lw_either(w, all, mask, &all));
        else
            all = NULL;
        KP_TRY(kp_lw_binary(w, (kp_binary_kind)c->variant, y, x, &y));
    }
    *out = y;
    return 0;
}

static int do_average(kp_lw *w, const kp_lw_call *c, kp_value **out)
{
    kp_value *sum;
    KP_TRY(merged_mask(w, c, &c->res->masks[0]));
    KP_TRY(join(w, c, KP_BIN_ADD, &sum));
    /* Python's division: TensorFlow makes doubles of long integers. */
    bool is_long = sum->dtype == KP_INT32 || sum->dtype == KP_INT64;
    if (is_long)
        KP_TRY(kp_lw_cast(w, KP_FLOAT64, sum, &sum));
    else
        KP_TRY(kp_lw_float(w, sum, &sum));
    return kp_lw_linear(w, 1.0 / c->n_in, 0, sum, out);
}

int kp_lw_concat_axis(kp_lw *w, const kp_lw_call *c, int64_t axis, kp_value **out)
{
    kp_node n = {.op = KP_OP_CONCAT};
    kp_value *x = c->in[0];
    bool mixed = false;
    KP_TRY(kp_lw_axis(c->layer, axis, x->ndim, &n.attr.axis.axis));
    if (n.attr.axis.axis == 0 && x->shape[0] == KP_DIM_BATCH)
        return kp_fail(KP_EMODEL, "layer \"%s\": joining along the batch is not supported",
                       c->layer->path);
    for (int i = 1; i < c->n_in; i++)
        mixed = mixed || c->in[i]->dtype != x->dtype;
    for (int i = 0; mixed && i < c->n_in; i++)
        KP_TRY(kp_lw_float(w, c->in[i], &c->in[i]));
    *out = c->in[0];
    return c->n_in == 1 ? 0 : kp_lw_add(w, &n, c->in, c->n_in, out);
}

/* Bools of x's shape: the mask's along its axes, or true. */
static int whole_mask(kp_lw *w, kp_value *x, kp_value *mask, kp_value **out)
{
    kp_value *like, *number;
    KP_TRY(kp_lw_number(w, mask == NULL, KP_BOOL, &number));
    KP_TRY(kp_lw_truth(w, x, &like));
    if (!mask)
        return kp_lw_either(w, like, number, out);
    KP_TRY(kp_lw_truth(w, mask, out));
    if (mask->ndim >= x->ndim)
        return 0;
    KP_TRY(kp_lw_both(w, like, number, &like));
    KP_TRY(kp_lw_add_axis(w, mask->ndim, *out, out));
    return kp_lw_either(w, *out, like, out);
}

static int concat_mask(kp_lw *w, const kp_lw_call *c, int64_t axis, kp_value **out)
{
    kp_node n = {.op = KP_OP_CONCAT}, reduce = {.op = KP_OP_REDUCE};
    kp_lw_result masks;
    bool some = false;
    KP_TRY(kp_lw_result_new(w, c->n_in, &masks));
    for (int i = 0; i < c->n_in; i++)
        some = some || c->in_mask[i];
    if (!some || has_no_joint_mask(w))
        return 0;
    for (int i = 0; i < c->n_in; i++)
        KP_TRY(whole_mask(w, c->in[i], c->in_mask[i], &masks.values[i]));
    KP_TRY(kp_lw_axis(c->layer, axis, masks.values[0]->ndim, &n.attr.axis.axis));
    kp_value *all = masks.values[0];
    if (masks.n > 1)
        KP_TRY(kp_lw_add(w, &n, masks.values, masks.n, &all));
    reduce.attr.reduce.kind = joins_all(w) ? KP_RED_ALL : KP_RED_ANY;
    reduce.attr.reduce.axes = (kp_axes){1, {all->ndim - 1}};
    return kp_lw_add(w, &reduce, &all, 1, out);
}

static int do_concat(kp_lw *w, const kp_lw_call *c, kp_value **out)
{
    int64_t axis;
    KP_TRY(kp_cfg_int(c->layer, "axis", -1, &axis));
    KP_TRY(concat_mask(w, c, axis, &c->res->masks[0]));
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
    {"Add", do_merge, KP_BIN_ADD, 1, 0, KP_LW_SAME, KP_LW_MASK_OWN},
    {"Subtract", do_merge, KP_BIN_SUB, 2, 2, KP_LW_SAME, KP_LW_MASK_OWN},
    {"Multiply", do_multiply, 0, 1, 0, KP_LW_SAME, KP_LW_MASK_OWN},
    {"Maximum", do_extreme, KP_BIN_MAX, 1, 0, KP_LW_SAME, KP_LW_MASK_OWN},
    {"Minimum", do_extreme, KP_BIN_MIN, 1, 0, KP_LW_SAME, KP_LW_MASK_OWN},
    {"Average", do_average, 0, 1, 0, KP_LW_SAME, KP_LW_MASK_OWN},
    {"Concatenate", do_concat, 0, 1, 0, KP_LW_SAME, KP_LW_MASK_OWN},
    {"CustomScaleLayer", do_custom_scale, 0, 2, 2, KP_LW_SAME, KP_LW_MASK_DROP},
    {0},
};
