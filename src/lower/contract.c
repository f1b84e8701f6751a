/* Dot: each row of the one tensor with each of the other, per sample. */
#include "lower/build.h"

/* Axis a of the one and axis b of the other: an int for both, or a pair; not the batch. */
static int read_axes(const kp_lw_call *c, int *axis)
{
    const json_t *v = json_object_get(c->layer->config, "axes");
    for (int i = 0; i < 2; i++) {
        const json_t *e = json_is_array(v) ? json_array_get(v, (size_t)i) : v;
        if (!json_is_integer(e) || (json_is_array(v) && json_array_size(v) != 2))
            return kp_fail(KP_EMODEL, "layer \"%s\": \"axes\" is not an axis or a pair of axes",
                           c->layer->path);
        KP_TRY(kp_lw_axis(c->layer, json_integer_value(e), c->in[i]->ndim, &axis[i]));
        if (axis[i] == 0)
            return kp_fail(KP_EMODEL, "layer \"%s\": a product over the batch is not possible",
                           c->layer->path);
    }
    return 0;
}

/* The axes of x but the batch and the contracted one, of which one may be open: as sizes for a
 * reshape in dims, -1 for the open one. */
static int rest_of(const kp_lw_call *c, const kp_value *x, int axis, int64_t *dims, int *n)
{
    int open = 0;
    *n = 0;
    for (int i = 1; i < x->ndim; i++) {
        if (i == axis)
            continue;
        open += x->shape[i] < 0;
        dims[(*n)++] = x->shape[i] < 0 ? -1 : x->shape[i];
    }
    if (open <= 1)
        return 0;
    return kp_fail(KP_EMODEL, "layer \"%s\": several open sizes of one input are not supported",
                   c->layer->path);
}

static int64_t product(const int64_t *dims, int n)
{
    int64_t p = 1;
    for (int i = 0; i < n; i++)
        if (dims[i] < 0 || __builtin_mul_overflow(p, dims[i], &p))
            return -1;
    return p;
}

/* x as (batch, rest, contracted), or with the last two exchanged. */
static int as_matrix(kp_lw *w, kp_value *x, int axis, bool second, const int64_t *rest, int n,
                     kp_value **out)
{
    int perm[KP_MAX_DIMS] = {0}, at = second ? 2 : 1;
    int64_t size, flat = product(rest, n);
    KP_TRY(kp_lw_known(x, axis, &size));
    perm[second ? 1 : x->ndim - 1] = axis;
    for (int i = 1, to = at; i < x->ndim; i++)
        if (i != axis)
            perm[to++] = i;
    KP_TRY(kp_lw_transpose(w, perm, x, &x));
    return kp_lw_reshape(w, 1, second ? (int64_t[]){size, flat} : (int64_t[]){flat, size}, 2, x,
                         out);
}

static int do_dot(kp_lw *w, const kp_lw_call *c, kp_value **out)
{
    int axis[2] = {0}, n[2];
    int64_t rest[2][KP_MAX_DIMS], dims[2 * KP_MAX_DIMS];
    bool normalize;
    kp_value *m[2], *y;
    KP_TRY(read_axes(c, axis));
    KP_TRY(kp_cfg_bool(c->layer, "normalize", false, &normalize));
    for (int i = 0; i < 2; i++) {
        KP_TRY(kp_lw_float(w, c->in[i], &m[i]));
        if (!normalize && !kp_dtype_is_float(c->in[i]->dtype)) /* integers stay exact */
            KP_TRY(kp_lw_cast(w, KP_FLOAT64, c->in[i], &m[i]));
        if (normalize)
            KP_TRY(kp_lw_unit(w, &(kp_axes){1, {axis[i]}}, 1e-14f, m[i], &m[i]));
        KP_TRY(rest_of(c, m[i], axis[i], rest[i], &n[i]));
        KP_TRY(as_matrix(w, m[i], axis[i], i == 1, rest[i], n[i], &m[i]));
    }
    kp_node node = {.op = KP_OP_MATMUL};
    KP_TRY(kp_lw_add(w, &node, m, 2, &y));
    memcpy(dims, rest[0], (size_t)n[0] * sizeof dims[0]);
    memcpy(dims + n[0], rest[1], (size_t)n[1] * sizeof dims[0]);
    int total = n[0] + n[1];
    if (total == 0) /* two vectors: their product keeps an axis */
        dims[total++] = 1;
    KP_TRY(kp_lw_reshape(w, 1, dims, total, y, out));
    return c->in[0]->dtype == c->in[1]->dtype && !normalize ? kp_lw_like(w, c->in[0], out) : 0;
}

const kp_lw_entry kp_lw_contract_layers[] = {
    {"Dot", do_dot, 0, 2, 2, KP_LW_SAME, KP_LW_MASK_DROP},
    {0},
};
