/* Normalisations and attention of keras.ops.nn: their statistics and weights are arguments. */
#include "lower/build.h"

/* An optional argument as float32; *out is NULL when there is none. */
static int optional(kp_lw *w, const kp_lw_call *c, int position, const char *name, kp_value **out)
{
    const kp_arg *a = kp_lw_arg(c, position, name);
    *out = NULL;
    if (!a || a->kind == KP_ARG_NONE)
        return 0;
    KP_TRY(kp_lw_tensor_of(w, c, a, out));
    return kp_lw_float(w, *out, out);
}

/* A vector along `axis` of an input of ndim axes, so that it broadcasts. */
static int along(kp_lw *w, int axis, int ndim, kp_value *v, kp_value **out)
{
    int64_t dims[KP_MAX_DIMS];
    *out = v;
    if (!v || axis == ndim - 1)
        return 0;
    for (int i = 0; i < ndim; i++)
        dims[i] = i == axis ? v->shape[0] : 1;
    return kp_lw_reshape(w, 0, dims, ndim, v, out);
}

/* 1 / sqrt(x + epsilon) */
static int inverse_root(kp_lw *w, double epsilon, kp_value *x, kp_value **out)
{
    KP_TRY(kp_lw_linear(w, 1, epsilon, x, &x));
    return kp_lw_unary(w, (kp_act){.kind = KP_ACT_RSQRT}, x, out);
}

static int scale_shift(kp_lw *w, kp_value *x, kp_value *scale, kp_value *shift, kp_value **out)
{
    *out = x;
    if (scale)
        KP_TRY(kp_lw_binary(w, KP_BIN_MUL, *out, scale, out));
    return shift ? kp_lw_binary(w, KP_BIN_ADD, *out, shift, out) : 0;
}

static int do_batch_norm(kp_lw *w, const kp_lw_call *c, kp_value **out)
{
    static const char *const names[4] = {"mean", "variance", "offset", "scale"};
    const kp_layer *l = c->layer;
    kp_value *x, *v[4];
    int64_t axis;
    int a;
    double epsilon;
    KP_TRY(kp_lw_float(w, c->in[0], &x));
    KP_TRY(kp_cfg_int(l, "axis", -1, &axis));
    KP_TRY(kp_cfg_float(l, "epsilon", 1e-3, &epsilon));
    KP_TRY(kp_lw_axis(l, axis, x->ndim, &a));
    for (int i = 0; i < 4; i++) {
        KP_TRY(optional(w, c, i + 1, names[i], &v[i]));
        if (v[i] && v[i]->ndim != 1)
            return kp_fail(KP_EMODEL, "layer \"%s\" (BatchNorm): %s is not a vector", l->path,
                           names[i]);
        KP_TRY(along(w, a, x->ndim, v[i], &v[i]));
    }
    if (!v[0] || !v[1])
        return kp_fail(KP_EMODEL, "layer \"%s\" (BatchNorm): mean or variance is missing", l->path);
    KP_TRY(inverse_root(w, epsilon, v[1], &v[1]));
    KP_TRY(kp_lw_binary(w, KP_BIN_SUB, x, v[0], &x));
    KP_TRY(kp_lw_binary(w, KP_BIN_MUL, x, v[1], &x));
    return scale_shift(w, x, v[3], v[2], out);
}

static int read_axes(const kp_layer *l, const kp_value *x, kp_axes *out)
{
    KP_TRY(kp_lw_axes(l, "axis", x->ndim, -1, out));
    return kp_lw_batch_axis(l, x, out);
}

static int do_rms_norm(kp_lw *w, const kp_lw_call *c, kp_value **out)
{
    kp_axes axes;
    double epsilon;
    kp_value *x, *scale, *v;
    kp_dtype type = c->in[0]->dtype;
    KP_TRY(kp_lw_float(w, c->in[0], &x));
    KP_TRY(read_axes(c->layer, x, &axes));
    KP_TRY(kp_cfg_float(c->layer, "epsilon", 1e-7, &epsilon));
    KP_TRY(optional(w, c, 1, "scale", &scale));
    KP_TRY(kp_lw_unary(w, (kp_act){.kind = KP_ACT_SQUARE}, x, &v));
    KP_TRY(kp_lw_reduce(w, KP_RED_MEAN, &axes, true, v, &v));
    KP_TRY(inverse_root(w, epsilon, v, &v));
    KP_TRY(kp_lw_binary(w, KP_BIN_MUL, x, v, &x));
    KP_TRY(scale_shift(w, x, scale, NULL, out));
    return kp_lw_cast(w, type, *out, out);
}

/* Weights over several axes, or over one that is not the last, get the input's rank. */
static int over_axes(kp_lw *w, const kp_axes *axes, const kp_value *x, kp_value *v, kp_value **out)
{
    int64_t dims[KP_MAX_DIMS];
    *out = v;
    if (!v || v->ndim == x->ndim || (axes->n == 1 && axes->axis[0] == x->ndim - 1))
        return 0;
    for (int i = 0; i < x->ndim; i++)
        dims[i] = 1;
    for (int i = 0; i < axes->n; i++)
        KP_TRY(kp_lw_known(x, axes->axis[i], &dims[axes->axis[i]]));
    return kp_lw_reshape(w, 0, dims, x->ndim, v, out);
}

static int do_layer_norm(kp_lw *w, const kp_lw_call *c, kp_value **out)
{
    kp_axes axes;
    double epsilon;
    bool rms;
    kp_value *x, *gamma, *beta, *mean, *rest, *v;
    kp_dtype type = c->in[0]->dtype;
    KP_TRY(kp_lw_float(w, c->in[0], &x));
    KP_TRY(read_axes(c->layer, x, &axes));
    KP_TRY(kp_cfg_float(c->layer, "epsilon", 1e-7, &epsilon));
    KP_TRY(kp_cfg_bool(c->layer, "rms_scaling", false, &rms));
    KP_TRY(optional(w, c, 1, "gamma", &gamma));
    KP_TRY(optional(w, c, 2, "beta", &beta));
    KP_TRY(over_axes(w, &axes, x, gamma, &gamma));
    KP_TRY(over_axes(w, &axes, x, beta, &beta));
    KP_TRY(kp_lw_reduce(w, KP_RED_MEAN, &axes, true, x, &mean));
    KP_TRY(kp_lw_binary(w, KP_BIN_SUB, x, mean, &rest));
    KP_TRY(kp_lw_unary(w, (kp_act){.kind = KP_ACT_SQUARE}, rest, &v));
    KP_TRY(kp_lw_reduce(w, KP_RED_MEAN, &axes, true, v, &v));
    KP_TRY(inverse_root(w, epsilon, v, &v));
    KP_TRY(kp_lw_binary(w, KP_BIN_MUL, rms ? x : rest, v, &x));
    KP_TRY(scale_shift(w, x, gamma, rms ? NULL : beta, out));
    return kp_lw_cast(w, type, *out, out);
}

/* ---- attention ---- */

/* Each head of keys and values serves as many heads of queries. */
static int repeat_heads(kp_lw *w, int64_t times, kp_value *x, kp_value **out)
{
    kp_node n = {.op = KP_OP_REPEAT};
    for (int i = 0; i < 4; i++)
        n.attr.repeat.times[i] = i == 2 ? times : 1;
    *out = x;
    return times > 1 ? kp_lw_add(w, &n, &x, 1, out) : 0;
}

/* Where allowed is false, score is a large negative number that keeps the softmax finite. */
static int forbid(kp_lw *w, kp_value *allowed, kp_value *score, kp_value **out)
{
    float least = (float)(3.38953e38 * -0.7);
    kp_node n = {.op = KP_OP_SELECT};
    kp_value *k;
    KP_TRY(kp_lw_cast(w, KP_BOOL, allowed, &allowed));
    KP_TRY(kp_lw_const(w, &least, NULL, 0, &k));
    return kp_lw_add(w, &n, (kp_value *[]){allowed, score, k}, 3, out);
}

/* Key j may be seen by query i when j <= i. */
static int causal(kp_lw *w, kp_value *score, kp_value **out)
{
    int64_t t, s;
    kp_value *k;
    KP_TRY(kp_lw_known(score, 2, &t));
    KP_TRY(kp_lw_known(score, 3, &s));
    if (t > 1 << 15 || s > 1 << 15)
        return kp_fail(KP_ELIMIT, "attention over more than %d steps", 1 << 15);
    uint8_t *allowed = kp_graph_alloc(w->g, (size_t)(t * s));
    if (!allowed)
        return KP_ENOMEM;
    for (int64_t i = 0; i < t * s; i++)
        allowed[i] = i % s <= i / s;
    KP_TRY(kp_graph_add_const(w->g, w->name, KP_BOOL, (int64_t[]){t, s}, 2, allowed, &k));
    return forbid(w, k, score, out);
}

static int scores(kp_lw *w, const kp_lw_call *c, kp_value *query, kp_value *key, kp_value **out)
{
    const kp_arg *mask = kp_lw_arg(c, 4, "mask"), *scale = kp_lw_arg(c, 5, "scale");
    kp_node product = {.op = KP_OP_MATMUL};
    kp_value *bias, *allowed;
    int64_t depth;
    double factor;
    bool is_causal;
    KP_TRY(kp_lw_known(key, 3, &depth));
    if (!scale || !kp_lw_arg_number(scale, &factor))
        factor = 1 / sqrt((double)depth);
    KP_TRY(kp_lw_transpose(w, (int[]){0, 2, 1, 3}, query, &query));
    KP_TRY(kp_lw_transpose(w, (int[]){0, 2, 3, 1}, key, &key));
    KP_TRY(kp_lw_add(w, &product, (kp_value *[]){query, key}, 2, out));
    KP_TRY(kp_lw_linear(w, factor, 0, *out, out));
    KP_TRY(optional(w, c, 3, "bias", &bias));
    if (bias)
        KP_TRY(kp_lw_binary(w, KP_BIN_ADD, *out, bias, out));
    if (mask && mask->kind != KP_ARG_NONE) {
        KP_TRY(kp_lw_tensor_of(w, c, mask, &allowed));
        KP_TRY(forbid(w, allowed, *out, out));
    }
    KP_TRY(kp_cfg_bool(c->layer, "is_causal", false, &is_causal));
    return is_causal ? causal(w, *out, out) : 0;
}

/* (N, T, heads, depth) each */
static int do_attention(kp_lw *w, const kp_lw_call *c, kp_value **out)
{
    static const char *const names[3] = {"query", "key", "value"};
    kp_node product = {.op = KP_OP_MATMUL};
    kp_value *v[3], *score;
    int64_t heads, own;
    kp_dtype type = KP_FLOAT32;
    for (int i = 0; i < 3; i++) {
        KP_TRY(kp_lw_tensor_of(w, c, kp_lw_arg(c, i, names[i]), &v[i]));
        if (v[i]->ndim != 4)
            return kp_fail(KP_EMODEL,
                           "layer \"%s\" (DotProductAttention): the %s has %d axes, not "
                           "4",
                           c->layer->path, names[i], v[i]->ndim);
        type = i == 0 || type == v[i]->dtype ? v[i]->dtype : KP_FLOAT32;
        KP_TRY(kp_lw_float(w, v[i], &v[i]));
    }
    KP_TRY(kp_lw_known(v[0], 2, &heads));
    KP_TRY(kp_lw_known(v[1], 2, &own));
    for (int i = 1; i < 3 && heads > own && own > 1; i++)
        KP_TRY(repeat_heads(w, heads / own, v[i], &v[i]));
    KP_TRY(scores(w, c, v[0], v[1], &score));
    KP_TRY(kp_lw_softmax(w, &(kp_axes){1, {3}}, false, score, &score));
    KP_TRY(kp_lw_transpose(w, (int[]){0, 2, 1, 3}, v[2], &v[2]));
    KP_TRY(kp_lw_add(w, &product, (kp_value *[]){score, v[2]}, 2, out));
    KP_TRY(kp_lw_transpose(w, (int[]){0, 2, 1, 3}, *out, out));
    return kp_dtype_is_float(type) ? kp_lw_cast(w, type, *out, out) : 0;
}

const kp_lw_entry kp_lw_nn_norm_operations[] = {
    {"BatchNorm", do_batch_norm, 0, 1, 5, KP_LW_SAME, KP_LW_MASK_DROP},
    {"DotProductAttention", do_attention, 0, 1, 5, KP_LW_SAME, KP_LW_MASK_DROP},
    {"LayerNorm", do_layer_norm, 0, 1, 3, KP_LW_SAME, KP_LW_MASK_DROP},
    {"RMSNorm", do_rms_norm, 0, 1, 2, KP_LW_SAME, KP_LW_MASK_DROP},
    {0},
};
