/* Masks: booleans that say which steps of a sequence count, and what is done with them. */
#include "lower/view.h"

int kp_lw_truth(kp_lw *w, kp_value *x, kp_value **out)
{
    return kp_lw_cast(w, KP_BOOL, x, out);
}

int kp_lw_either(kp_lw *w, kp_value *a, kp_value *b, kp_value **out)
{
    return kp_lw_binary(w, KP_BIN_OR, a, b, out);
}

int kp_lw_both(kp_lw *w, kp_value *a, kp_value *b, kp_value **out)
{
    return kp_lw_binary(w, KP_BIN_AND, a, b, out);
}

int kp_lw_number(kp_lw *w, float v, kp_dtype dtype, kp_value **out)
{
    KP_TRY(kp_lw_const(w, &v, NULL, 0, out));
    return kp_lw_cast(w, dtype, *out, out);
}

int kp_lw_not(kp_lw *w, kp_value *x, kp_value **out)
{
    return kp_lw_unary(w, (kp_act){.kind = KP_ACT_NOT}, x, out);
}

int kp_lw_select(kp_lw *w, kp_value *condition, kp_value *a, kp_value *b, kp_value **out)
{
    kp_node n = {.op = KP_OP_SELECT};
    return kp_lw_add(w, &n, (kp_value *[]){condition, a, b}, 3, out);
}

int kp_lw_add_axis(kp_lw *w, int at, kp_value *x, kp_value **out)
{
    int perm[KP_MAX_DIMS] = {0}, open = 0;
    int64_t dims[KP_MAX_DIMS] = {1};
    bool batch = x->ndim > 0 && x->shape[0] == KP_DIM_BATCH;
    if (kp_lw_view_find(w, x, NULL) || (at == 0 && batch))
        return kp_lw_view_add_axis(w, at, x, out);
    for (int i = at; i < x->ndim && i + 1 - at < KP_MAX_DIMS; i++) {
        dims[i + 1 - at] = x->shape[i] < 0 ? -1 : x->shape[i];
        open += x->shape[i] < 0;
    }
    if (open <= 1)
        return kp_lw_reshape(w, at, dims, x->ndim - at + 1, x, out);
    KP_TRY(kp_lw_reshape(w, x->ndim, (int64_t[]){1}, 1, x, &x));
    for (int i = 0; i < x->ndim; i++)
        perm[i] = i < at ? i : i == at ? x->ndim - 1 : i - 1;
    return kp_lw_transpose(w, perm, x, out);
}

int kp_lw_more_than_half(kp_lw *w, kp_value *x, kp_value **out)
{
    if (x->dtype == KP_BOOL)
        return *out = x, 0;
    if (kp_dtype_is_float(x->dtype))
        KP_TRY(kp_lw_linear(w, 1, -0.5, x, &x));
    KP_TRY(kp_lw_unary(w, (kp_act){.kind = KP_ACT_RELU, .b = INFINITY}, x, &x));
    return kp_lw_truth(w, x, out);
}

int kp_lw_masked_softmax(kp_lw *w, const kp_axes *axes, kp_value *mask, bool zeros, kp_value *x,
                         kp_value **out)
{
    kp_value *low, *zero;
    if (!mask)
        return kp_lw_softmax(w, axes, false, x, out);
    KP_TRY(kp_lw_number(w, -1e9f, x->dtype, &low));
    KP_TRY(kp_lw_select(w, mask, x, low, &x));
    KP_TRY(kp_lw_softmax(w, axes, false, x, out));
    if (!zeros)
        return 0;
    KP_TRY(kp_lw_number(w, 0, x->dtype, &zero));
    return kp_lw_select(w, mask, *out, zero, out);
}

int kp_lw_masked_mean(kp_lw *w, int axis, bool keepdims, kp_value *mask, kp_value *x,
                      kp_value **out)
{
    kp_node sum = {.op = KP_OP_REDUCE,
                   .attr.reduce = {.kind = KP_RED_SUM, .axes = {1, {axis}}, .keepdims = keepdims}};
    kp_value *zero, *n;
    KP_TRY(kp_lw_truth(w, mask, &mask));
    KP_TRY(kp_lw_add_axis(w, axis == 1 ? 2 : 1, mask, &mask));
    KP_TRY(kp_lw_number(w, 0, x->dtype, &zero));
    KP_TRY(kp_lw_select(w, mask, x, zero, &x));
    KP_TRY(kp_lw_float(w, mask, &n));
    KP_TRY(kp_lw_add(w, &sum, &x, 1, &x));
    KP_TRY(kp_lw_add(w, &sum, &n, 1, &n));
    return kp_lw_binary(w, KP_BIN_DIV, x, n, out);
}
