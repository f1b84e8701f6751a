/* Nodes of keras.ops that stand in models without a layer: arithmetic, functions, reductions. */
#include "lower/build.h"

/* ---- operations that bring their own functions ---- */

static int do_op_cumulate(kp_lw *w, const kp_lw_call *c, kp_value **out)
{
    kp_cumulate *p = kp_arena_alloc(w->mem, sizeof *p);
    int64_t axis;
    if (!p)
        return KP_ENOMEM;
    if (kp_lw_is_null(c->layer, "axis"))
        return kp_fail(KP_EMODEL,
                       "layer \"%s\" (%s): only a running sum along a named axis is supported",
                       c->layer->path, c->layer->class_name);
    KP_TRY(kp_cfg_int(c->layer, "axis", 0, &axis));
    KP_TRY(kp_lw_axis(c->layer, axis, c->in[0]->ndim, &p->axis));
    p->product = c->variant != 0;
    return kp_lw_kernel(w, &kp_kernel_cumulate, p, c->in, 1, out);
}

const kp_lw_entry kp_lw_ops_operations[] = {
    {"Cumsum", do_op_cumulate, 0, KP_LW_ONE, KP_LW_MASK_DROP},
    {"Cumprod", do_op_cumulate, 1, KP_LW_ONE, KP_LW_MASK_DROP},
    {0},
};
