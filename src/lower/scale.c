/* Layers that scale by a statistic of the input or a weight: group, RMS and unit normalisation,
 * LayerScale. */
#include "lower/build.h"

static int reduce(kp_lw *w, kp_reduce_kind kind, const kp_axes *axes, kp_value *x, kp_value **out)
{
    kp_node n = {.op = KP_OP_REDUCE,
                 .attr.reduce = {.kind = kind, .axes = *axes, .keepdims = true}};
    return kp_lw_add(w, &n, &x, 1, out);
}

static int square(kp_lw *w, kp_value *x, kp_value **out)
{
    return kp_lw_unary(w, (kp_act){.kind = KP_ACT_SQUARE}, x, out);
}

static int times_rsqrt(kp_lw *w, kp_value *x, kp_value *squares, kp_value **out)
{
    KP_TRY(kp_lw_unary(w, (kp_act){.kind = KP_ACT_RSQRT}, squares, &squares));
    return kp_lw_binary(w, KP_BIN_MUL, x, squares, out);
}

/* ---- groups ---- */

/* Brings the axis to the end, or from there back. */
static int move_axis(kp_lw *w, int axis, bool back, kp_value *x, kp_value **out)
{
    int perm[KP_MAX_DIMS] = {0}, last = x->ndim - 1;
    for (int i = 0; i <= last; i++) {
        if (i < axis)
            perm[i] = i;
        else if (back)
            perm[i] = i == axis ? last : i - 1;
        else
            perm[i] = i == last ? axis : i + 1;
    }
    return kp_lw_transpose(w, perm, x, out);
}

/* x is (batch, ..., channels): normalises each block of channels over all axes but the batch. */
static int normalise_groups(kp_lw *w, int64_t channels, int64_t groups, double epsilon, kp_value *x,
                            kp_value **out)
{
    int last = x->ndim - 1;
    kp_node n = {.op = KP_OP_LAYERNORM, .attr.layernorm.epsilon = kp_lw_round(w, epsilon)};
    kp_axes *axes = &n.attr.layernorm.axes;
    kp_value *in[3] = {0};
    KP_TRY(kp_lw_reshape(w, last, (int64_t[]){groups, channels / groups}, 2, x, &in[0]));
    for (int a = 1; a < in[0]->ndim; a++)
        if (a != last)
            axes->axis[axes->n++] = a;
    KP_TRY(kp_lw_add(w, &n, in, 3, &x));
    return kp_lw_reshape(w, last, &channels, 1, x, out);
}

static int read_groups(const kp_layer *l, int64_t channels, int64_t *out)
{
    KP_TRY(kp_cfg_int(l, "groups", 32, out));
    if (*out == -1)
        *out = channels;
    if (*out >= 1 && channels % *out == 0)
        return 0;
    return kp_fail(KP_EMODEL, "layer \"%s\": %lld groups do not divide %lld channels", l->path,
                   (long long)*out, (long long)channels);
}

static int do_groupnorm(kp_lw *w, const kp_lw_call *c, kp_value **out)
{
    const kp_layer *l = c->layer;
    int axis, index = 0;
    int64_t at, channels, groups;
    bool center, scale;
    double epsilon;
    kp_value *x, *weight;
    KP_TRY(kp_cfg_int(l, "axis", -1, &at));
    KP_TRY(kp_cfg_bool(l, "center", true, &center));
    KP_TRY(kp_cfg_bool(l, "scale", true, &scale));
    KP_TRY(kp_cfg_float(l, "epsilon", 1e-3, &epsilon));
    KP_TRY(kp_lw_axis(l, at, c->in[0]->ndim, &axis));
    if (axis == 0 || !(epsilon >= 0))
        return kp_fail(KP_EMODEL, "layer \"%s\": axis %lld with epsilon %g is not supported",
                       l->path, (long long)at, epsilon);
    KP_TRY(kp_lw_known(c->in[0], axis, &channels));
    KP_TRY(read_groups(l, channels, &groups));
    KP_TRY(kp_lw_float(w, c->in[0], &x));
    KP_TRY(move_axis(w, axis, false, x, &x));
    KP_TRY(normalise_groups(w, channels, groups, epsilon, x, &x));
    if (scale) {
        KP_TRY(kp_lw_vector(w, index++, "gamma", channels, true, &weight));
        KP_TRY(kp_lw_binary(w, KP_BIN_MUL, x, weight, &x));
    }
    if (center) {
        KP_TRY(kp_lw_vector(w, index, "beta", channels, true, &weight));
        KP_TRY(kp_lw_binary(w, KP_BIN_ADD, x, weight, &x));
    }
    KP_TRY(move_axis(w, axis, true, x, out));
    KP_TRY(kp_lw_like(w, c->in[0], out));
    return kp_lw_float(w, *out, out);
}

/* ---- lengths ---- */

/* The weight is not put along the axes: as in Keras it meets the last ones. */
static int do_rmsnorm(kp_lw *w, const kp_lw_call *c, kp_value **out)
{
    const kp_layer *l = c->layer;
    kp_axes axes;
    double epsilon;
    int64_t shape[KP_MAX_DIMS];
    kp_value *x, *mean, *scale;
    KP_TRY(kp_cfg_float(l, "epsilon", 1e-6, &epsilon));
    KP_TRY(kp_lw_axes(l, "axis", c->in[0]->ndim, -1, &axes));
    for (int i = 0; i < axes.n; i++)
        KP_TRY(kp_lw_known(c->in[0], axes.axis[i], &shape[i]));
    KP_TRY(kp_lw_float(w, c->in[0], &x));
    KP_TRY(kp_lw_weight_get(w, "", 0, "scale", axes.n, shape, 0, NULL, true, &scale));
    KP_TRY(square(w, x, &mean));
    KP_TRY(reduce(w, KP_RED_MEAN, &axes, mean, &mean));
    KP_TRY(kp_lw_linear(w, 1, epsilon, mean, &mean));
    KP_TRY(times_rsqrt(w, x, mean, &x));
    KP_TRY(kp_lw_binary(w, KP_BIN_MUL, x, scale, out));
    return kp_lw_like(w, c->in[0], out);
}

int kp_lw_unit(kp_lw *w, const kp_axes *axes, float least, kp_value *x, kp_value **out)
{
    kp_value *sum, *floor;
    KP_TRY(square(w, x, &sum));
    KP_TRY(reduce(w, KP_RED_SUM, axes, sum, &sum));
    KP_TRY(kp_lw_const(w, &least, NULL, 0, &floor));
    KP_TRY(kp_lw_binary(w, KP_BIN_MAX, sum, floor, &sum));
    return times_rsqrt(w, x, sum, out);
}

static int do_unitnorm(kp_lw *w, const kp_lw_call *c, kp_value **out)
{
    kp_axes axes;
    kp_value *x;
    KP_TRY(kp_lw_axes(c->layer, "axis", c->in[0]->ndim, -1, &axes));
    KP_TRY(kp_lw_float(w, c->in[0], &x));
    return kp_lw_unit(w, &axes, 1e-24f, x, out);
}

static int do_layer_scale(kp_lw *w, const kp_lw_call *c, kp_value **out)
{
    int64_t n;
    kp_value *x, *gamma;
    KP_TRY(kp_cfg_int(c->layer, "projection_dim", 0, &n));
    KP_TRY(kp_lw_vector(w, 0, "gamma", n, true, &gamma));
    KP_TRY(kp_lw_float(w, c->in[0], &x));
    return kp_lw_binary(w, KP_BIN_MUL, x, gamma, out);
}

const kp_lw_entry kp_lw_scale_layers[] = {
    {"GroupNormalization", do_groupnorm, 0, KP_LW_ONE, KP_LW_MASK_PASS},
    {"RMSNormalization", do_rmsnorm, 0, KP_LW_ONE, KP_LW_MASK_DROP},
    {"UnitNormalization", do_unitnorm, 0, KP_LW_ONE, KP_LW_MASK_PASS},
    {"LayerScale", do_layer_scale, 0, KP_LW_ONE, KP_LW_MASK_DROP},
    {0},
};
