/* Masks: booleans that say which steps of a sequence count, and what is done with them. */
#include "lower/build.h"

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
