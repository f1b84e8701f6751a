/* BatchNormalization with its moving statistics, LayerNormalization. */
#include "lower/build.h"

static int read_flags(const kp_layer *l, bool *center, bool *scale, double *epsilon)
{
    KP_TRY(kp_cfg_bool(l, "center", true, center));
    KP_TRY(kp_cfg_bool(l, "scale", true, scale));
    KP_TRY(kp_cfg_float(l, "epsilon", 1e-3, epsilon));
    if (*epsilon >= 0)
        return 0;
    return kp_fail(KP_EMODEL, "layer \"%s\": epsilon %g is negative", l->path, *epsilon);
}

/* Variables that only training uses: they count, and must not seem forgotten. */
static int skip_renorm(kp_lw *w, int index, int64_t n)
{
    static const char *const names[] = {"moving_stddev", "renorm_mean", "renorm_stddev"};
    kp_value *unused;
    for (int i = 0; i < 3; i++)
        KP_TRY(kp_lw_vector(w, index + i, names[i], n, false, &unused));
    return 0;
}

static int do_batchnorm(kp_lw *w, const kp_lw_call *c, kp_value **out)
{
    const kp_layer *l = c->layer;
    bool center, scale, renorm;
    double epsilon;
    kp_axes axes;
    int64_t n;
    int index = 0;
    kp_value *in[5] = {0};
    KP_TRY(read_flags(l, &center, &scale, &epsilon));
    KP_TRY(kp_cfg_bool(l, "renorm", false, &renorm));
    KP_TRY(kp_lw_axes(l, "axis", c->in[0]->ndim, -1, &axes));
    if (axes.n != 1)
        return kp_fail(KP_EMODEL, "layer \"%s\" (%s): several axes are not supported", l->path,
                       l->class_name);
    KP_TRY(kp_lw_known(c->in[0], axes.axis[0], &n));
    KP_TRY(kp_lw_float(w, c->in[0], &in[0]));
    if (scale)
        KP_TRY(kp_lw_vector(w, index++, "gamma", n, true, &in[3]));
    if (center)
        KP_TRY(kp_lw_vector(w, index++, "beta", n, true, &in[4]));
    KP_TRY(kp_lw_vector(w, index++, "moving_mean", n, false, &in[1]));
    KP_TRY(kp_lw_vector(w, index++, "moving_variance", n, false, &in[2]));
    if (renorm)
        KP_TRY(skip_renorm(w, index, n));
    kp_node node = {.op = KP_OP_BATCHNORM,
                    .attr.axis = {.axis = axes.axis[0], .epsilon = kp_lw_round(w, epsilon)}};
    return kp_lw_add(w, &node, in, 5, out);
}

/* Keras stores them in the order of the axes as they are named, Keras 3 sorted, negative ones
 * first. */
static int stored_sizes(const kp_lw *w, const kp_layer *l, const kp_value *x, const kp_axes *axes,
                        int64_t *out)
{
    const json_t *v = json_object_get(l->config, "axis");
    int n = 0, at;
    for (size_t j = 0; json_is_array(v) && kp_lw_older(w, 3, 0) && n < axes->n; j++) {
        KP_TRY(kp_lw_axis(l, json_integer_value(json_array_get(v, j)), x->ndim, &at));
        KP_TRY(kp_lw_known(x, at, &out[n++]));
    }
    if (n > 0)
        return 0;
    for (int negative = 1; negative >= 0; negative--)
        for (int i = 0; i < axes->n; i++) {
            bool found = !json_is_array(v) && negative == 0;
            for (size_t j = 0; j < json_array_size(v) && !found; j++) {
                int64_t axis = json_integer_value(json_array_get(v, j));
                KP_TRY(kp_lw_axis(l, axis, x->ndim, &at));
                found = at == axes->axis[i] && (axis < 0) == (negative == 1);
            }
            if (found && n < axes->n)
                KP_TRY(kp_lw_known(x, axes->axis[i], &out[n++]));
        }
    return 0;
}

static int do_layernorm(kp_lw *w, const kp_lw_call *c, kp_value **out)
{
    const kp_layer *l = c->layer;
    bool center, scale, rms;
    double epsilon;
    int64_t shape[KP_MAX_DIMS], stored[KP_MAX_DIMS];
    kp_value *in[3] = {0};
    kp_node node = {.op = KP_OP_LAYERNORM};
    kp_axes *axes = &node.attr.layernorm.axes;
    KP_TRY(read_flags(l, &center, &scale, &epsilon));
    KP_TRY(kp_cfg_bool(l, "rms_scaling", false, &rms));
    KP_TRY(kp_lw_axes(l, "axis", c->in[0]->ndim, -1, axes));
    for (int i = 0; i < axes->n; i++)
        KP_TRY(kp_lw_known(c->in[0], axes->axis[i], &shape[i]));
    KP_TRY(stored_sizes(w, l, c->in[0], axes, stored));
    KP_TRY(kp_lw_float(w, c->in[0], &in[0]));
    if (scale || rms)
        KP_TRY(kp_lw_weight_get(w, "", 0, "gamma", axes->n, stored, axes->n, shape, true, &in[1]));
    if (center && !rms)
        KP_TRY(kp_lw_weight_get(w, "", scale ? 1 : 0, "beta", axes->n, stored, axes->n, shape, true,
                                &in[2]));
    node.attr.layernorm.epsilon = kp_lw_round(w, epsilon);
    node.attr.layernorm.rms_scaling = rms;
    KP_TRY(kp_lw_add(w, &node, in, 3, out));
    KP_TRY(kp_lw_like(w, c->in[0], out));
    return kp_lw_float(w, *out, out);
}

const kp_lw_entry kp_lw_norm_layers[] = {
    {"BatchNormalization", do_batchnorm, 0, 1, 1, KP_LW_TRAINS, KP_LW_MASK_PASS},
    {"BatchNormalizationV1", do_batchnorm, 0, 1, 1, KP_LW_TRAINS, KP_LW_MASK_PASS},
    {"BatchNormalizationV2", do_batchnorm, 0, 1, 1, KP_LW_TRAINS, KP_LW_MASK_PASS},
    {"SyncBatchNormalization", do_batchnorm, 0, 1, 1, KP_LW_TRAINS, KP_LW_MASK_PASS},
    {"LayerNormalization", do_layernorm, 0, KP_LW_ONE, KP_LW_MASK_PASS},
    {0},
};
