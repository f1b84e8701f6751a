/* Operations of keras.ops.math that are not transforms. */
#include "lower/build.h"

static int do_function(kp_lw *w, const kp_lw_call *c, kp_value **out)
{
    kp_value *x = c->in[0];
    if (!kp_dtype_is_float(x->dtype))
        KP_TRY(kp_lw_float(w, x, &x));
    return kp_lw_unary(w, (kp_act){.kind = (kp_act_kind)c->variant}, x, out);
}

static int do_top_k(kp_lw *w, const kp_lw_call *c, kp_value **out)
{
    kp_top_k *p = kp_arena_array(w->mem, 2, sizeof *p);
    kp_value **values;
    (void)out;
    if (!p)
        return KP_ENOMEM;
    KP_TRY(kp_cfg_int(c->layer, "k", 1, &p->k));
    p[1] = p[0];
    p[1].indices = true;
    KP_TRY(kp_lw_outputs(w, c, 2, &values));
    for (int i = 0; i < 2; i++)
        KP_TRY(kp_lw_kernel(w, &kp_kernel_top_k, &p[i], c->in, 1, &values[i]));
    return 0;
}

static int do_in_top_k(kp_lw *w, const kp_lw_call *c, kp_value **out)
{
    kp_in_top_k *p = kp_arena_alloc(w->mem, sizeof *p);
    kp_value *in[2];
    if (!p)
        return KP_ENOMEM;
    KP_TRY(kp_cfg_int(c->layer, "k", 1, &p->k));
    KP_TRY(kp_lw_tensor_of(w, c, kp_lw_arg(c, 0, "targets"), &in[0]));
    KP_TRY(kp_lw_tensor_of(w, c, kp_lw_arg(c, 1, "predictions"), &in[1]));
    return kp_lw_kernel(w, &kp_kernel_in_top_k, p, in, 2, out);
}

/* The largest element along the axes, or 0 where it is not finite. */
static int finite_maximum(kp_lw *w, const kp_axes *axes, bool keepdims, kp_value *x, kp_value **out)
{
    float nought = 0;
    kp_node n = {.op = KP_OP_SELECT};
    kp_value *in[3];
    KP_TRY(kp_lw_reduce(w, KP_RED_MAX, axes, keepdims, x, &in[1]));
    KP_TRY(kp_lw_unary(w, (kp_act){.kind = KP_ACT_IS_FINITE}, in[1], &in[0]));
    KP_TRY(kp_lw_const(w, &nought, NULL, 0, &in[2]));
    KP_TRY(kp_lw_cast(w, x->dtype, in[2], &in[2]));
    return kp_lw_add(w, &n, in, 3, out);
}

static int do_logsumexp(kp_lw *w, const kp_lw_call *c, kp_value **out)
{
    const kp_layer *l = c->layer;
    kp_axes axes;
    bool keep;
    kp_value *x = c->in[0], *most;
    KP_TRY(kp_lw_reduce_axes(c, x, &axes));
    KP_TRY(kp_cfg_bool(l, "keepdims", false, &keep));
    if (!kp_dtype_is_float(x->dtype))
        KP_TRY(kp_lw_float(w, x, &x));
    KP_TRY(finite_maximum(w, &axes, true, x, &most));
    KP_TRY(kp_lw_binary(w, KP_BIN_SUB, x, most, out));
    KP_TRY(kp_lw_unary(w, (kp_act){.kind = KP_ACT_EXP}, *out, out));
    KP_TRY(kp_lw_reduce(w, KP_RED_SUM, &axes, keep, *out, out));
    KP_TRY(kp_lw_unary(w, (kp_act){.kind = KP_ACT_LOG}, *out, out));
    KP_TRY(finite_maximum(w, &axes, keep, x, &most));
    return kp_lw_binary(w, KP_BIN_ADD, *out, most, out);
}

/* Distances between all rows of x (..., n, d) and all of y (..., m, d). */
static int do_cdist(kp_lw *w, const kp_lw_call *c, kp_value **out)
{
    kp_value *x, *y;
    int64_t d, of_y;
    KP_TRY(kp_lw_tensor_of(w, c, kp_lw_arg(c, 0, "x"), &x));
    KP_TRY(kp_lw_tensor_of(w, c, kp_lw_arg(c, 1, "y"), &y));
    if (x->ndim < 2 || y->ndim < 2)
        return kp_fail(KP_EMODEL, "layer \"%s\": it takes two tensors of 2 axes or more",
                       c->layer->path);
    KP_TRY(kp_lw_float(w, x, &x));
    KP_TRY(kp_lw_float(w, y, &y));
    KP_TRY(kp_lw_known(x, x->ndim - 1, &d));
    KP_TRY(kp_lw_known(y, y->ndim - 1, &of_y));
    if (d != of_y)
        return kp_fail(KP_EMODEL, "layer \"%s\": distances between rows of %lld and of %lld",
                       c->layer->path, (long long)d, (long long)of_y);
    KP_TRY(kp_lw_reshape(w, x->ndim - 1, (int64_t[]){1, d}, 2, x, &x));
    KP_TRY(kp_lw_reshape(w, y->ndim - 2, (int64_t[]){1, -1, d}, 3, y, &y));
    KP_TRY(kp_lw_binary(w, KP_BIN_SUB, x, y, &x));
    KP_TRY(kp_lw_unary(w, (kp_act){.kind = KP_ACT_SQUARE}, x, &x));
    KP_TRY(kp_lw_reduce(w, KP_RED_SUM, &(kp_axes){1, {x->ndim - 1}}, false, x, &x));
    return kp_lw_unary(w, (kp_act){.kind = KP_ACT_SQRT}, x, out);
}

/* There are no complex tensors here: the imaginary part is 0. */
static int do_view_as_real(kp_lw *w, const kp_lw_call *c, kp_value **out)
{
    kp_value *x = c->in[0];
    kp_node n = {.op = KP_OP_PAD};
    KP_TRY(kp_lw_reshape(w, x->ndim, (int64_t[]){1}, 1, x, &x));
    n.attr.pad.after[x->ndim - 1] = 1;
    return kp_lw_add(w, &n, &x, 1, out);
}

const kp_lw_entry kp_lw_math_operations[] = {
    {"CDist", do_cdist, 0, 1, 2, KP_LW_SAME, KP_LW_MASK_DROP},
    {"Erf", do_function, KP_ACT_ERF, KP_LW_ONE, KP_LW_MASK_DROP},
    {"Erfc", do_function, KP_ACT_ERFC, KP_LW_ONE, KP_LW_MASK_DROP},
    {"Erfinv", do_function, KP_ACT_ERFINV, KP_LW_ONE, KP_LW_MASK_DROP},
    {"InTopK", do_in_top_k, 0, 1, 2, KP_LW_SAME, KP_LW_MASK_DROP},
    {"Logsumexp", do_logsumexp, 0, KP_LW_ONE, KP_LW_MASK_DROP},
    {"Rsqrt", do_function, KP_ACT_RSQRT, KP_LW_ONE, KP_LW_MASK_DROP},
    {"TopK", do_top_k, 0, KP_LW_ONE, KP_LW_MASK_DROP},
    {"ViewAsReal", do_view_as_real, 0, KP_LW_ONE, KP_LW_MASK_DROP},
    {0},
};
