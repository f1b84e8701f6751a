/* Layers that files of older Keras versions hold and Keras 3 has no more. */
#include "lower/build.h"

/* ---- LocallyConnected1D, 2D ---- */

static int local_kernel(kp_lw *w, const kp_lw_call *c, const kp_value *x, const kp_local *p,
                        kp_value **out)
{
    int64_t shape[3] = {1, x->shape[x->ndim - 1], -1}, filters;
    for (int i = 0; i < p->n_spatial; i++) {
        if (x->shape[i + 1] < p->size[i] || p->stride[i] < 1 || p->size[i] < 1)
            return kp_fail(KP_EMODEL, "layer \"%s\" (%s): the window does not fit its input",
                           c->layer->path, c->layer->class_name);
        shape[0] *= (x->shape[i + 1] - p->size[i]) / p->stride[i] + 1;
        shape[1] *= p->size[i];
    }
    KP_TRY(kp_cfg_int(c->layer, "filters", -1, &filters));
    shape[2] = filters;
    return kp_lw_weight_get(w, "", 0, "kernel", 3, shape, 0, NULL, true, out);
}

/* The bias is stored as (places..., filters); Keras reads the same numbers as (filters, places...)
 * when channels come first. */
static int add_local_bias(kp_lw *w, const kp_lw_call *c, const kp_local *p, kp_value *y,
                          kp_value **out)
{
    bool use_bias;
    int64_t stored[3];
    kp_value *bias;
    *out = y;
    KP_TRY(kp_cfg_bool(c->layer, "use_bias", true, &use_bias));
    if (!use_bias)
        return 0;
    for (int i = 0; i <= p->n_spatial; i++)
        stored[i] = y->shape[p->channels_first ? (i < p->n_spatial ? i + 2 : 1) : i + 1];
    KP_TRY(kp_lw_weight_get(w, "", 1, "bias", p->n_spatial + 1, stored, p->n_spatial + 1,
                            y->shape + 1, true, &bias));
    return kp_lw_binary(w, KP_BIN_ADD, y, bias, out);
}

/* Implementations 2 and 3 store the whole matrix, or what of it is not zero. */
static int flat_params(const kp_lw_call *c, int implementation, kp_local_flat *p)
{
    const kp_value *x = c->in[0];
    const char *padding;
    p->n_spatial = c->variant;
    p->listed = implementation == 3;
    KP_TRY(kp_lw_channels_first(c->layer, &p->channels_first));
    KP_TRY(kp_cfg_str(c->layer, "padding", "valid", &padding));
    KP_TRY(kp_cfg_ints(c->layer, "kernel_size", p->n_spatial, 1, p->size));
    KP_TRY(kp_cfg_ints(c->layer, "strides", p->n_spatial, 1, p->stride));
    KP_TRY(kp_cfg_int(c->layer, "filters", -1, &p->filters));
    p->same = strcmp(padding, "same") == 0;
    for (int i = 0; i < p->n_spatial; i++)
        p->in[i] = x->shape[i + (p->channels_first ? 2 : 1)];
    p->channels = x->shape[p->channels_first ? 1 : x->ndim - 1];
    return kp_local_flat_size(p)
               ? 0
               : kp_fail(KP_EMODEL, "layer \"%s\" (%s): the window does not fit its input",
                         c->layer->path, c->layer->class_name);
}

static int flat_local(kp_lw *w, const kp_lw_call *c, int implementation, kp_value **out)
{
    kp_local_flat *p = kp_arena_alloc(w->mem, sizeof *p);
    kp_value *in[2] = {c->in[0]};
    int64_t stored[6] = {0};
    int n = c->variant, first = 0;
    if (!p)
        return KP_ENOMEM;
    KP_TRY(flat_params(c, implementation, p));
    first = p->channels_first ? 1 : 0;
    for (int i = 0; i < n; i++) {
        stored[first + i] = p->in[i];
        stored[n + 1 + first + i] = p->out[i];
    }
    stored[first ? 0 : n] = p->channels;
    stored[n + 1 + (first ? 0 : n)] = p->filters;
    if (p->listed)
        stored[0] = p->count;
    KP_TRY(kp_lw_weight_get(w, "", 0, "kernel", p->listed ? 1 : 2 * n + 2, stored, 1, &p->count,
                            true, &in[1]));
    return kp_lw_kernel(w, &kp_kernel_local_flat, p, in, 2, out);
}

static int window_local(kp_lw *w, const kp_lw_call *c, kp_local *p, kp_value **out)
{
    kp_value *x = c->in[0], *in[2];
    KP_TRY(kp_cfg_ints(c->layer, "kernel_size", p->n_spatial, 1, p->size));
    KP_TRY(kp_cfg_ints(c->layer, "strides", p->n_spatial, 1, p->stride));
    if (p->channels_first)
        KP_TRY(kp_lw_to_last(w, x, &x));
    in[0] = x;
    KP_TRY(local_kernel(w, c, x, p, &in[1]));
    KP_TRY(kp_lw_kernel(w, &kp_kernel_local, p, in, 2, out));
    return p->channels_first ? kp_lw_to_first(w, *out, out) : 0;
}

static int do_local(kp_lw *w, const kp_lw_call *c, kp_value **out)
{
    kp_local *p = kp_arena_alloc(w->mem, sizeof *p);
    kp_value *x;
    int64_t implementation;
    if (!p)
        return KP_ENOMEM;
    p->n_spatial = c->variant;
    KP_TRY(kp_lw_rank(c, p->n_spatial + 2));
    KP_TRY(kp_lw_channels_first(c->layer, &p->channels_first));
    KP_TRY(kp_cfg_int(c->layer, "implementation", 1, &implementation));
    if (implementation == 1)
        KP_TRY(window_local(w, c, p, &x));
    else if (implementation == 2 || implementation == 3)
        KP_TRY(flat_local(w, c, (int)implementation, &x));
    else
        return kp_fail(KP_EMODEL, "layer \"%s\" (%s): implementation %lld is none that Keras has",
                       c->layer->path, c->layer->class_name, (long long)implementation);
    KP_TRY(add_local_bias(w, c, p, x, &x));
    return kp_lw_activation(w, c->layer, "activation", x, out);
}

/* ---- Keras 1 ---- */

static int dense_of(kp_lw *w, int index, const char *kernel_name, const char *bias_name, bool bias,
                    int64_t units, kp_value *x, kp_value **out)
{
    kp_node n = {.op = KP_OP_DENSE};
    int64_t in;
    kp_value *all[3] = {x};
    KP_TRY(kp_lw_known(x, x->ndim - 1, &in));
    int64_t shape[2] = {in, units};
    KP_TRY(kp_lw_weight_get(w, "", index, kernel_name, 2, shape, 0, NULL, true, &all[1]));
    if (bias)
        KP_TRY(kp_lw_weight_get(w, "", index + 2, bias_name, 1, &units, 0, NULL, true, &all[2]));
    return kp_lw_add(w, &n, all, bias ? 3 : 2, out);
}

/* Keras 1: y = t * act(x W + b) + (1 - t) * x with t = sigmoid(x W_carry + b_carry). */
static int do_highway(kp_lw *w, const kp_lw_call *c, kp_value **out)
{
    kp_value *x = c->in[0], *t, *y, *rest;
    int64_t units;
    bool bias;
    KP_TRY(kp_lw_rank(c, 2));
    KP_TRY(kp_lw_known(x, 1, &units));
    KP_TRY(kp_cfg_bool(c->layer, "use_bias", true, &bias));
    KP_TRY(dense_of(w, 1, "W_carry", "b_carry", bias, units, x, &t));
    KP_TRY(kp_lw_unary(w, (kp_act){.kind = KP_ACT_SIGMOID}, t, &t));
    KP_TRY(dense_of(w, 0, "kernel", "bias", bias, units, x, &y));
    KP_TRY(kp_lw_activation(w, c->layer, "activation", y, &y));
    KP_TRY(kp_lw_binary(w, KP_BIN_MUL, y, t, &y));
    KP_TRY(kp_lw_linear(w, -1, 1, t, &rest));
    KP_TRY(kp_lw_binary(w, KP_BIN_MUL, rest, x, &rest));
    return kp_lw_binary(w, KP_BIN_ADD, y, rest, out);
}

/* Keras 1: the largest of nb_feature dense layers; the kernel is (features, in, units). */
static int do_maxout(kp_lw *w, const kp_lw_call *c, kp_value **out)
{
    int64_t in, units, features;
    bool use_bias;
    kp_value *x = c->in[0], *kernel, *bias;
    KP_TRY(kp_lw_rank(c, 2));
    KP_TRY(kp_lw_known(x, 1, &in));
    KP_TRY(kp_cfg_int(c->layer, "units", -1, &units));
    KP_TRY(kp_cfg_int(c->layer, "nb_feature", 4, &features));
    KP_TRY(kp_cfg_bool(c->layer, "use_bias", true, &use_bias));
    int64_t shape[3] = {features, in, units};
    KP_TRY(kp_lw_weight_get(w, "", 0, "kernel", 3, shape, 0, NULL, true, &kernel));
    KP_TRY(kp_lw_reshape(w, 1, (int64_t[]){1, in}, 2, x, &x));
    KP_TRY(kp_lw_reshape(w, 1, (int64_t[]){1, 1, in}, 3, x, &x));
    kp_node product = {.op = KP_OP_MATMUL}; /* (batch, 1, 1, in) by (features, in, units) */
    KP_TRY(kp_lw_add(w, &product, (kp_value *[]){x, kernel}, 2, &x));
    KP_TRY(kp_lw_reshape(w, 1, (int64_t[]){features, units}, 2, x, &x));
    if (use_bias) {
        KP_TRY(kp_lw_weight_get(w, "", 1, "bias", 2, (int64_t[]){features, units}, 0, NULL, true,
                                &bias));
        KP_TRY(kp_lw_binary(w, KP_BIN_ADD, x, bias, &x));
    }
    kp_node most = {.op = KP_OP_REDUCE,
                    .attr.reduce = {.kind = KP_RED_MAX, .axes = {.n = 1, .axis = {1}}}};
    return kp_lw_add(w, &most, &x, 1, out);
}

/* A weight of the shape of one row. */
static int row_weight(kp_lw *w, int index, const char *name, const kp_value *x, kp_value **out)
{
    return kp_lw_weight_get(w, "", index, name, x->ndim - 1, x->shape + 1, 0, NULL, true, out);
}

/* Keras 1: alpha * softplus(beta * x). */
static int do_parametric_softplus(kp_lw *w, const kp_lw_call *c, kp_value **out)
{
    kp_value *x = c->in[0], *alpha, *beta;
    KP_TRY(row_weight(w, 0, "alpha", x, &alpha));
    KP_TRY(row_weight(w, 1, "betas", x, &beta));
    KP_TRY(kp_lw_binary(w, KP_BIN_MUL, x, beta, &x));
    KP_TRY(kp_lw_unary(w, (kp_act){.kind = KP_ACT_SOFTPLUS}, x, &x));
    return kp_lw_binary(w, KP_BIN_MUL, x, alpha, out);
}

/* max(x - t, 0) or, negative, min(x - t, 0): what lies beyond the threshold t. */
static int beyond(kp_lw *w, bool negative, kp_value *x, kp_value *t, kp_value **out)
{
    float zero = 0;
    kp_value *none;
    KP_TRY(kp_lw_binary(w, KP_BIN_SUB, x, t, &x));
    KP_TRY(kp_lw_const(w, &zero, NULL, 0, &none));
    return kp_lw_binary(w, negative ? KP_BIN_MIN : KP_BIN_MAX, x, none, out);
}

/* Keras 1, after Jin et al. (2015): y = t_r + a_r (x - t_r) above t_r, t_l + a_l (x - t_l) below
 * t_l, x between; t_r is stored as its distance from t_l. */
static int do_srelu(kp_lw *w, const kp_lw_call *c, kp_value **out)
{
    kp_value *x = c->in[0], *tl, *al, *tr, *ar, *low, *high, *middle;
    KP_TRY(row_weight(w, 0, "t_left", x, &tl));
    KP_TRY(row_weight(w, 1, "a_left", x, &al));
    KP_TRY(row_weight(w, 2, "t_right", x, &tr));
    KP_TRY(row_weight(w, 3, "a_right", x, &ar));
    KP_TRY(kp_lw_unary(w, (kp_act){.kind = KP_ACT_ABS}, tr, &tr));
    KP_TRY(kp_lw_binary(w, KP_BIN_ADD, tl, tr, &tr));
    KP_TRY(beyond(w, true, x, tl, &low));
    KP_TRY(kp_lw_binary(w, KP_BIN_MUL, low, al, &low));
    KP_TRY(beyond(w, false, x, tr, &high));
    KP_TRY(kp_lw_binary(w, KP_BIN_MUL, high, ar, &high));
    KP_TRY(kp_lw_binary(w, KP_BIN_MAX, x, tl, &middle));
    KP_TRY(kp_lw_binary(w, KP_BIN_MIN, middle, tr, &middle));
    KP_TRY(kp_lw_binary(w, KP_BIN_ADD, middle, low, &middle));
    return kp_lw_binary(w, KP_BIN_ADD, middle, high, out);
}

const kp_lw_entry kp_lw_legacy_layers[] = {
    {"LocallyConnected1D", do_local, 1, KP_LW_ONE, KP_LW_MASK_DROP},
    {"LocallyConnected2D", do_local, 2, KP_LW_ONE, KP_LW_MASK_DROP},
    {"Highway", do_highway, 0, KP_LW_ONE, KP_LW_MASK_DROP},
    {"MaxoutDense", do_maxout, 0, KP_LW_ONE, KP_LW_MASK_DROP},
    {"ParametricSoftplus", do_parametric_softplus, 0, KP_LW_ONE, KP_LW_MASK_PASS},
    {"SReLU", do_srelu, 0, KP_LW_ONE, KP_LW_MASK_PASS},
    {0},
};
