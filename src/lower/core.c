/* Dense, and layers that do nothing at inference. */
#include "lower/quantize.h"

static int do_dense(kp_lw *w, const kp_lw_call *c, kp_value **out)
{
    const kp_layer *l = c->layer;
    int64_t units, in;
    bool bias;
    kp_value *x, *y;
    KP_TRY(kp_cfg_int(l, "units", 0, &units));
    KP_TRY(kp_cfg_bool(l, "use_bias", true, &bias));
    if (units < 1 || units > INT32_MAX)
        return kp_fail(KP_EMODEL, "layer \"%s\": units %lld is not a size", l->path,
                       (long long)units);
    if (c->in[0]->ndim < 2)
        return kp_lw_rank(c, 2);
    KP_TRY(kp_lw_known(c->in[0], c->in[0]->ndim - 1, &in));
    KP_TRY(kp_lw_float(w, c->in[0], &x));
    kp_lw_stored_kernel k = {"", 2, 1, {in, units}, in, units, bias};
    KP_TRY(kp_lw_project(w, l, &k, x, &y));
    return kp_lw_activation(w, l, "activation", y, out);
}

static int do_identity(kp_lw *w, const kp_lw_call *c, kp_value **out)
{
    (void)w;
    *out = c->in[0];
    return 0;
}

const kp_lw_entry kp_lw_core_layers[] = {
    {"Dense", do_dense, 0, KP_LW_ONE, KP_LW_MASK_PASS},
    {"Identity", do_identity, 0, KP_LW_ONE, KP_LW_MASK_PASS},
    {"ActivityRegularization", do_identity, 0, KP_LW_ONE, KP_LW_MASK_PASS},
    {"Dropout", do_identity, 0, 1, 1, KP_LW_TRAINS, KP_LW_MASK_PASS},
    {"SpatialDropout1D", do_identity, 0, 1, 1, KP_LW_TRAINS, KP_LW_MASK_PASS},
    {"SpatialDropout2D", do_identity, 0, 1, 1, KP_LW_TRAINS, KP_LW_MASK_PASS},
    {"SpatialDropout3D", do_identity, 0, 1, 1, KP_LW_TRAINS, KP_LW_MASK_PASS},
    {"StochasticDepth", do_identity, 0, 1, 1, KP_LW_TRAINS, KP_LW_MASK_DROP},
    {"GaussianDropout", do_identity, 0, 1, 1, KP_LW_TRAINS, KP_LW_MASK_PASS},
    {"GaussianNoise", do_identity, 0, 1, 1, KP_LW_TRAINS, KP_LW_MASK_PASS},
    {"AlphaDropout", do_identity, 0, 1, 1, KP_LW_TRAINS, KP_LW_MASK_PASS},
    {0},
};
