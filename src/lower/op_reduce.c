/* keras.ops that reduce axes: sums, extremes, means, statistics, with and without regard to NaN. */
#include "lower/build.h"

/* ---- axes ---- */

int kp_lw_reduce_axes(const kp_lw_call *c, const kp_value *x, kp_axes *out)
{
    const json_t *v = json_object_get(c->layer->config, "axis");
    *out = (kp_axes){0};
    if (json_is_array(v) && json_array_size(v) == 0)
        return 0;
    if (v && !json_is_null(v))
        KP_TRY(kp_lw_axes(c->layer, "axis", x->ndim, 0, out));
    for (int i = 0; (!v || json_is_null(v)) && i < x->ndim; i++)
        out->axis[out->n++] = i;
    if (out->n == 0 || x->shape[out->axis[0]] != KP_DIM_BATCH)
        return 0;
    return kp_fail(KP_EMODEL,
                   "layer \"%s\" (%s): it works across the rows of the batch, but rows are "
                   "predicted apart from each other; name the other axes",
                   c->layer->path, c->layer->class_name);
}

int kp_lw_reduce(kp_lw *w, kp_reduce_kind kind, const kp_axes *axes, bool keepdims, kp_value *x,
                 kp_value **out)
{
    kp_node n = {.op = KP_OP_REDUCE,
                 .attr.reduce = {.kind = kind, .axes = *axes, .keepdims = keepdims}};
    *out = x;
    return axes->n == 0 ? 0 : kp_lw_add(w, &n, &x, 1, out);
}

/* A reduction by the layer's own axes and keepdims. */
typedef struct span {
    kp_axes axes;
    bool keepdims;
} span;

static int span_of(const kp_lw_call *c, span *out)
{
    KP_TRY(kp_lw_reduce_axes(c, c->in[0], &out->axes));
    return kp_cfg_bool(c->layer, "keepdims", false, &out->keepdims);
}

static int over(kp_lw *w, const span *s, kp_reduce_kind kind, kp_value *x, kp_value **out)
{
    return kp_lw_reduce(w, kind, &s->axes, s->keepdims, x, out);
}

/* ---- types ---- */

/* Sums and products of short integers are made in 32 bits. */
kp_dtype kp_lw_sum_type(kp_dtype t)
{
    if (t == KP_BOOL || t == KP_INT8 || t == KP_INT16)
        return KP_INT32;
    return t == KP_UINT8 || t == KP_UINT16 ? KP_UINT32 : t;
}

static kp_dtype float_type(kp_dtype t)
{
    return kp_dtype_is_float(t) ? t : KP_FLOAT32;
}

/* ---- the plain ones ---- */

static int do_sum(kp_lw *w, const kp_lw_call *c, kp_value **out)
{
    span s;
    kp_value *x = c->in[0];
    KP_TRY(span_of(c, &s));
    if (c->variant == KP_RED_SUM || kp_lw_is_null(c->layer, "dtype"))
        KP_TRY(kp_lw_cast(w, kp_lw_sum_type(x->dtype), x, &x));
    return over(w, &s, (kp_reduce_kind)c->variant, x, out);
}

static int do_statistic(kp_lw *w, const kp_lw_call *c, kp_value **out)
{
    span s;
    kp_value *x;
    KP_TRY(span_of(c, &s));
    KP_TRY(kp_lw_cast(w, float_type(c->in[0]->dtype), c->in[0], &x));
    if (s.axes.n == 0 && c->variant != KP_RED_MEAN)
        return kp_lw_filled(w, x->dtype, 0, x, out);
    return over(w, &s, (kp_reduce_kind)c->variant, x, out);
}

/* Of booleans the largest is any, the smallest all. */
static int extreme(kp_lw *w, const span *s, bool largest, kp_value *x, kp_value **out)
{
    if (x->dtype == KP_BOOL)
        return over(w, s, largest ? KP_RED_ANY : KP_RED_ALL, x, out);
    return over(w, s, largest ? KP_RED_MAX : KP_RED_MIN, x, out);
}

static int do_extreme(kp_lw *w, const kp_lw_call *c, kp_value **out)
{
    bool largest = c->variant == KP_RED_MAX;
    kp_value *initial;
    span s;
    KP_TRY(span_of(c, &s));
    KP_TRY(extreme(w, &s, largest, c->in[0], out));
    if (kp_lw_is_null(c->layer, "initial"))
        return 0;
    KP_TRY(kp_lw_config_array(w, c->layer, "initial", (*out)->dtype, &initial));
    return kp_lw_pair(w, largest ? KP_BIN_MAX : KP_BIN_MIN, *out, initial, out);
}

static int do_logic(kp_lw *w, const kp_lw_call *c, kp_value **out)
{
    span s;
    kp_value *x;
    KP_TRY(span_of(c, &s));
    KP_TRY(kp_lw_truth(w, c->in[0], &x));
    return over(w, &s, (kp_reduce_kind)c->variant, x, out);
}

static int do_place(kp_lw *w, const kp_lw_call *c, kp_value **out)
{
    span s;
    KP_TRY(span_of(c, &s));
    return over(w, &s, (kp_reduce_kind)c->variant, c->in[0], out);
}

static int do_count_nonzero(kp_lw *w, const kp_lw_call *c, kp_value **out)
{
    span s = {0};
    kp_value *x;
    KP_TRY(kp_lw_reduce_axes(c, c->in[0], &s.axes));
    KP_TRY(kp_lw_truth(w, c->in[0], &x));
    KP_TRY(kp_lw_cast(w, KP_INT32, x, &x));
    return over(w, &s, KP_RED_SUM, x, out);
}

static int do_ptp(kp_lw *w, const kp_lw_call *c, kp_value **out)
{
    span s;
    kp_value *high, *low;
    KP_TRY(span_of(c, &s));
    KP_TRY(over(w, &s, KP_RED_MAX, c->in[0], &high));
    KP_TRY(over(w, &s, KP_RED_MIN, c->in[0], &low));
    return kp_lw_pair(w, KP_BIN_SUB, high, low, out);
}

/* ---- averages with weights ---- */

/* A vector of weights for one axis, as an array of x's rank. */
static int along(kp_lw *w, const kp_lw_call *c, const kp_axes *axes, const kp_value *x,
                 kp_value *weights, kp_value **out)
{
    int64_t dims[KP_MAX_DIMS];
    if (axes->n != 1 || weights->ndim != 1)
        return kp_fail(KP_EMODEL,
                       "layer \"%s\" (%s): weights of %d axes do not fit values of %d axes",
                       c->layer->path, c->layer->class_name, weights->ndim, x->ndim);
    for (int i = 0; i < x->ndim; i++)
        dims[i] = i == axes->axis[0] ? -1 : 1;
    return kp_lw_reshape(w, 0, dims, x->ndim, weights, out);
}

static int do_average(kp_lw *w, const kp_lw_call *c, kp_value **out)
{
    const kp_arg *given = kp_lw_arg(c, 1, "weights");
    bool weighted = given && given->kind != KP_ARG_NONE;
    int types[3] = {(int)c->in[0]->dtype, KP_LW_WEAK_FLOAT, KP_LW_WEAK_FLOAT};
    kp_value *x = c->in[0], *weights = NULL;
    span s = {0};
    kp_dtype type;
    KP_TRY(kp_lw_reduce_axes(c, x, &s.axes));
    if (weighted) {
        KP_TRY(kp_lw_tensor_of(w, c, given, &weights));
        types[2] = (int)weights->dtype;
    }
    KP_TRY(kp_lw_result_type(types, 3, &type));
    KP_TRY(kp_lw_cast(w, type, x, &x));
    if (!weighted)
        return over(w, &s, KP_RED_MEAN, x, out);
    KP_TRY(kp_lw_cast(w, type, weights, &weights));
    if (weights->ndim != x->ndim)
        KP_TRY(along(w, c, &s.axes, x, weights, &weights));
    KP_TRY(kp_lw_pair(w, KP_BIN_MUL, x, weights, &x));
    KP_TRY(over(w, &s, KP_RED_SUM, x, &x));
    KP_TRY(over(w, &s, KP_RED_SUM, weights, &weights));
    return kp_lw_pair(w, KP_BIN_DIV, x, weights, out);
}

/* ---- with regard to NaN ---- */

/* x with v in place of NaN, and where NaN stood. */
static int without_nan(kp_lw *w, double v, kp_value *x, kp_value **bad, kp_value **out)
{
    kp_value *by;
    KP_TRY(kp_lw_scalar(w, x->dtype, v, &by));
    KP_TRY(kp_lw_unary(w, (kp_act){.kind = KP_ACT_IS_NAN}, x, bad));
    return kp_lw_select(w, *bad, by, x, out);
}

static int do_nan_sum(kp_lw *w, const kp_lw_call *c, kp_value **out)
{
    span s;
    kp_value *x = c->in[0], *bad;
    bool product = c->variant == KP_RED_PROD;
    KP_TRY(span_of(c, &s));
    if (kp_dtype_is_float(x->dtype))
        KP_TRY(without_nan(w, product, x, &bad, &x));
    KP_TRY(kp_lw_cast(w, kp_lw_sum_type(x->dtype), x, &x));
    return over(w, &s, (kp_reduce_kind)c->variant, x, out);
}

/* NaN (of places: -1) where there is nothing else. */
static int do_nan_extreme(kp_lw *w, const kp_lw_call *c, kp_value **out)
{
    bool place = c->variant == KP_RED_ARGMAX || c->variant == KP_RED_ARGMIN;
    bool largest = c->variant == KP_RED_MAX || c->variant == KP_RED_ARGMAX;
    double infinity = (double)INFINITY;
    span s;
    kp_value *x = c->in[0], *bad, *nothing;
    KP_TRY(span_of(c, &s));
    if (kp_dtype_is_integer(x->dtype))
        return place ? over(w, &s, (kp_reduce_kind)c->variant, x, out)
                     : extreme(w, &s, largest, x, out);
    KP_TRY(without_nan(w, largest ? -infinity : infinity, x, &bad, &x));
    KP_TRY(over(w, &s, KP_RED_ALL, bad, &bad));
    KP_TRY(over(w, &s, (kp_reduce_kind)c->variant, x, &x));
    KP_TRY(kp_lw_scalar(w, x->dtype, place ? -1 : (double)NAN, &nothing));
    return kp_lw_select(w, bad, nothing, x, out);
}

/* The sum over what is not NaN, and its number. */
static int nan_mean(kp_lw *w, const span *s, kp_value *x, kp_value **out)
{
    kp_value *bad, *good, *count;
    kp_dtype type = x->dtype;
    KP_TRY(without_nan(w, 0, x, &bad, &x));
    KP_TRY(kp_lw_not(w, bad, &good));
    KP_TRY(kp_lw_cast(w, type, good, &count));
    KP_TRY(over(w, s, KP_RED_SUM, count, &count));
    KP_TRY(over(w, s, KP_RED_SUM, x, &x));
    return kp_lw_pair(w, KP_BIN_DIV, x, count, out);
}

static int do_nan_mean(kp_lw *w, const kp_lw_call *c, kp_value **out)
{
    span s;
    kp_value *x = c->in[0];
    KP_TRY(span_of(c, &s));
    *out = x;
    if (s.axes.n == 0)
        return 0;
    KP_TRY(kp_lw_cast(w, float_type(x->dtype), x, &x));
    return nan_mean(w, &s, x, out);
}

static int do_nan_variance(kp_lw *w, const kp_lw_call *c, kp_value **out)
{
    span s, kept;
    kp_value *x, *mean;
    KP_TRY(span_of(c, &s));
    kept = (span){s.axes, true};
    KP_TRY(kp_lw_cast(w, float_type(c->in[0]->dtype), c->in[0], &x));
    KP_TRY(nan_mean(w, &kept, x, &mean));
    KP_TRY(kp_lw_pair(w, KP_BIN_SUB, x, mean, &x));
    KP_TRY(kp_lw_unary(w, (kp_act){.kind = KP_ACT_SQUARE}, x, &x));
    KP_TRY(nan_mean(w, &s, x, out));
    return c->variant ? kp_lw_unary(w, (kp_act){.kind = KP_ACT_SQRT}, *out, out) : 0;
}

#define REDUCE KP_LW_ONE, KP_LW_MASK_DROP

const kp_lw_entry kp_lw_reduce_operations[] = {
    {"Sum", do_sum, KP_RED_SUM, REDUCE},
    {"Prod", do_sum, KP_RED_PROD, REDUCE},
    {"Mean", do_statistic, KP_RED_MEAN, REDUCE},
    {"Var", do_statistic, KP_RED_VAR, REDUCE},
    {"Std", do_statistic, KP_RED_STD, REDUCE},
    {"Max", do_extreme, KP_RED_MAX, REDUCE},
    {"Amax", do_extreme, KP_RED_MAX, REDUCE},
    {"Min", do_extreme, KP_RED_MIN, REDUCE},
    {"Amin", do_extreme, KP_RED_MIN, REDUCE},
    {"Any", do_logic, KP_RED_ANY, REDUCE},
    {"All", do_logic, KP_RED_ALL, REDUCE},
    {"Argmax", do_place, KP_RED_ARGMAX, REDUCE},
    {"Argmin", do_place, KP_RED_ARGMIN, REDUCE},
    {"CountNonzero", do_count_nonzero, 0, REDUCE},
    {"Ptp", do_ptp, 0, REDUCE},
    {"Average", do_average, 0, 1, 2, KP_LW_SAME, KP_LW_MASK_DROP},
    {"Nansum", do_nan_sum, KP_RED_SUM, REDUCE},
    {"Nanprod", do_nan_sum, KP_RED_PROD, REDUCE},
    {"Nanmax", do_nan_extreme, KP_RED_MAX, REDUCE},
    {"Nanmin", do_nan_extreme, KP_RED_MIN, REDUCE},
    {"Nanargmax", do_nan_extreme, KP_RED_ARGMAX, REDUCE},
    {"Nanargmin", do_nan_extreme, KP_RED_ARGMIN, REDUCE},
    {"Nanmean", do_nan_mean, 0, REDUCE},
    {"Nanvar", do_nan_variance, 0, REDUCE},
    {"Nanstd", do_nan_variance, 1, REDUCE},
    {0},
};
