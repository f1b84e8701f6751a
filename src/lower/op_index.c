/* keras.ops that pick elements: x[...], take, take_along_axis. */
#include "lower/view.h"

/* ---- helpers for axes ---- */

int kp_lw_drop_axis(kp_lw *w, int at, kp_value *x, kp_value **out)
{
    int perm[KP_MAX_DIMS] = {0}, open = 0;
    int64_t dims[KP_MAX_DIMS] = {0};
    if (kp_lw_view_find(w, x, NULL))
        return kp_lw_view_drop_axis(w, at, x, out);
    for (int i = at + 1; i < x->ndim; i++) {
        dims[i - at - 1] = x->shape[i] < 0 ? -1 : x->shape[i];
        open += x->shape[i] < 0;
    }
    if (open <= 1)
        return kp_lw_reshape(w, at, dims, x->ndim - at - 1, x, out);
    for (int i = 0; i < x->ndim; i++)
        perm[i] = i + 1 == x->ndim ? at : i < at ? i : i + 1;
    KP_TRY(kp_lw_transpose(w, perm, x, &x));
    return kp_lw_reshape(w, x->ndim - 1, dims, 0, x, out);
}

int kp_lw_slice(kp_lw *w, int axis, int64_t begin, int64_t end, int64_t step, kp_value *x,
                kp_value **out)
{
    kp_node n = {.op = KP_OP_SLICE};
    for (int i = 0; i < x->ndim; i++) {
        n.attr.slice.end[i] = i == axis ? end : INT64_MAX;
        n.attr.slice.begin[i] = i == axis ? begin : 0;
        n.attr.slice.step[i] = i == axis ? step : 1;
    }
    *out = x;
    return begin == 0 && end == INT64_MAX && step == 1 ? 0 : kp_lw_add(w, &n, &x, 1, out);
}

int kp_lw_arrange(kp_lw *w, const kp_arrange *how, kp_value *x, kp_value **out)
{
    kp_arrange *p = kp_arena_alloc(w->mem, sizeof *p);
    if (!p)
        return KP_ENOMEM;
    *p = *how;
    return kp_lw_kernel(w, &kp_kernel_arrange, p, &x, 1, out);
}

int kp_lw_gather(kp_lw *w, int axis, int batch_dims, kp_value *x, kp_value *indices, kp_value **out)
{
    kp_node n = {.op = KP_OP_GATHER,
                 .attr.gather = {.axis = axis, .batch_dims = batch_dims, .wrap_negative = true}};
    return kp_lw_add(w, &n, (kp_value *[]){x, indices}, 2, out);
}

/* ---- x[...] ---- */

static int one_place(kp_lw *w, const kp_lw_call *c, int axis, int64_t i, kp_value *x,
                     kp_value **out)
{
    if (x->shape[axis] == KP_DIM_BATCH)
        return kp_lw_rows_refused(c, "picks rows of the batch");
    int64_t size = x->shape[axis] >= 0 ? x->shape[axis] : INT32_MAX;
    if (i < -size || i >= size)
        return kp_fail(KP_EMODEL, "layer \"%s\" (%s): place %lld does not exist among %lld",
                       c->layer->path, c->layer->class_name, (long long)i, (long long)size);
    KP_TRY(kp_lw_slice(w, axis, i, i == -1 ? INT64_MAX : i + 1, 1, x, &x));
    return kp_lw_drop_axis(w, axis, x, out);
}

/* A member of a slice: *out is dflt when it is None. */
static int member(const kp_lw_call *c, const kp_arg *a, int64_t dflt, int64_t *out)
{
    *out = dflt;
    if (a->kind == KP_ARG_NONE)
        return 0;
    if (a->kind == KP_ARG_INT) {
        *out = a->integer;
        return 0;
    }
    return kp_fail(KP_EMODEL,
                   "layer \"%s\" (%s): a slice whose ends the model computes is not supported",
                   c->layer->path, c->layer->class_name);
}

/* Backwards: x[a:b:-s] is the reversed axis from -1-a to -1-b, both as Python counts. */
static int slice_of(kp_lw *w, const kp_lw_call *c, int axis, const kp_arg *a, kp_value *x,
                    kp_value **out)
{
    int64_t begin, end, step;
    if (a->n_items != 3)
        return kp_fail(KP_EMODEL, "layer \"%s\": a slice without its three parts", c->layer->path);
    KP_TRY(member(c, &a->items[2], 1, &step));
    if (step == 0 || step < -INT32_MAX)
        return kp_fail(KP_EMODEL, "layer \"%s\": a slice of step %lld", c->layer->path,
                       (long long)step);
    KP_TRY(member(c, &a->items[0], step > 0 ? 0 : INT64_MAX, &begin));
    KP_TRY(member(c, &a->items[1], step > 0 ? INT64_MAX : INT64_MIN, &end));
    if (x->shape[axis] == KP_DIM_BATCH && (begin != 0 || end != INT64_MAX || step != 1))
        return kp_lw_rows_refused(c, "picks rows of the batch");
    if (step < 0) {
        kp_arrange how = {0};
        how.kind[axis] = KP_ARRANGE_REVERSE;
        KP_TRY(kp_lw_arrange(w, &how, x, &x));
        step = -step;
        begin = begin == INT64_MAX ? 0 : -1 - begin;
        end = end == INT64_MIN ? INT64_MAX : -1 - end;
    }
    return kp_lw_slice(w, axis, begin, end, step, x, out);
}

static bool takes_axis(const kp_arg *a)
{
    return a->kind != KP_ARG_NONE && a->kind != KP_ARG_ELLIPSIS;
}

/* One part of the key; *axis moves to the next axis of the result. */
static int apply(kp_lw *w, const kp_lw_call *c, const kp_arg *a, int n_whole, int *axis,
                 kp_value *x, kp_value **out)
{
    double number;
    *out = x;
    switch (a->kind) {
    case KP_ARG_NONE:
        if (x->ndim >= KP_MAX_DIMS)
            return kp_fail(KP_EMODEL, "layer \"%s\": more than %d axes", c->layer->path,
                           KP_MAX_DIMS);
        KP_TRY(kp_lw_add_axis(w, *axis, x, out));
        ++*axis;
        return 0;
    case KP_ARG_ELLIPSIS:
        *axis += n_whole;
        return 0;
    case KP_ARG_INT:
        return one_place(w, c, *axis, a->integer, x, out);
    case KP_ARG_CONST:
        if (!kp_lw_arg_number(a, &number))
            break;
        return one_place(w, c, *axis, (int64_t)number, x, out);
    case KP_ARG_SLICE:
        KP_TRY(slice_of(w, c, *axis, a, x, out));
        ++*axis;
        return 0;
    default:
        break;
    }
    return kp_fail(KP_EMODEL,
                   "layer \"%s\" (%s): only numbers, slices, None and ... are supported in "
                   "brackets; use take for indices that the model computes",
                   c->layer->path, c->layer->class_name);
}

int kp_lw_get_item(kp_lw *w, const kp_lw_call *c, const kp_arg *key, kp_value *x, kp_value **out)
{
    int taken = 0, axis = 0, n = key->kind == KP_ARG_LIST ? key->n_items : 1;
    const kp_arg *parts = key->kind == KP_ARG_LIST ? key->items : key;
    for (int i = 0; i < n; i++)
        taken += takes_axis(&parts[i]);
    if (taken > x->ndim)
        return kp_fail(KP_EMODEL, "layer \"%s\": %d indices of a tensor of %d axes", c->layer->path,
                       taken, x->ndim);
    int whole = x->ndim - taken;
    for (int i = 0; i < n; i++)
        KP_TRY(apply(w, c, &parts[i], whole, &axis, x, &x));
    *out = x;
    return 0;
}

static int do_get_item(kp_lw *w, const kp_lw_call *c, kp_value **out)
{
    const kp_arg *key = kp_lw_arg(c, 1, "key");
    if (!key)
        return kp_fail(KP_EMODEL, "layer \"%s\": the index is missing", c->layer->path);
    return kp_lw_get_item(w, c, key, c->in[0], out);
}

/* ---- take ---- */

static int do_take(kp_lw *w, const kp_lw_call *c, kp_value **out)
{
    kp_value *x, *indices;
    int64_t number = 0;
    int axis = 0;
    KP_TRY(kp_lw_tensor_of(w, c, kp_lw_arg(c, 0, "x"), &x));
    KP_TRY(kp_lw_tensor_of(w, c, kp_lw_arg(c, 1, "indices"), &indices));
    if (!kp_dtype_is_integer(indices->dtype))
        KP_TRY(kp_lw_cast(w, KP_INT64, indices, &indices));
    if (kp_lw_is_null(c->layer, "axis"))
        KP_TRY(kp_lw_flat(w, x, &x));
    else
        KP_TRY(kp_cfg_int(c->layer, "axis", 0, &number));
    KP_TRY(kp_lw_axis(c->layer, number, x->ndim, &axis));
    if (x->shape[axis] == KP_DIM_BATCH)
        return kp_lw_rows_refused(c, "picks rows of the batch");
    return kp_lw_gather(w, axis, 0, x, indices, out);
}

/* Both with the same sizes but along the last axis. */
static int match_leading(kp_lw *w, kp_value **x, kp_value **y)
{
    kp_node n = {.op = KP_OP_BROADCAST};
    kp_value **both[2] = {x, y};
    int last = (*x)->ndim - 1;
    for (int k = 0; k < 2; k++) {
        kp_value *v = *both[k], *other = *both[1 - k];
        bool same = true;
        n.attr.broadcast.ndim = v->ndim;
        for (int i = 0; i <= last; i++) {
            bool stretch = i < last && v->shape[i] == 1 && other->shape[i] != 1;
            n.attr.broadcast.shape[i] = stretch ? other->shape[i] : v->shape[i];
            same = same && !stretch;
        }
        if (!same)
            KP_TRY(kp_lw_add(w, &n, &v, 1, both[k]));
    }
    return 0;
}

static int do_take_along_axis(kp_lw *w, const kp_lw_call *c, kp_value **out)
{
    kp_value *x, *indices;
    int64_t number = 0;
    int axis = 0, perm[KP_MAX_DIMS];
    KP_TRY(kp_lw_tensor_of(w, c, kp_lw_arg(c, 0, "x"), &x));
    KP_TRY(kp_lw_tensor_of(w, c, kp_lw_arg(c, 1, "indices"), &indices));
    KP_TRY(kp_lw_cast(w, KP_INT64, indices, &indices));
    if (kp_lw_is_null(c->layer, "axis"))
        KP_TRY(kp_lw_flat(w, x, &x));
    else
        KP_TRY(kp_cfg_int(c->layer, "axis", 0, &number));
    KP_TRY(kp_lw_axis(c->layer, number, x->ndim, &axis));
    if (x->shape[axis] == KP_DIM_BATCH)
        return kp_lw_rows_refused(c, "picks rows of the batch");
    if (indices->ndim != x->ndim)
        return kp_fail(KP_EMODEL, "layer \"%s\" (%s): indices of %d axes for %d axes",
                       c->layer->path, c->layer->class_name, indices->ndim, x->ndim);
    for (int i = 0; i < x->ndim; i++)
        perm[i] = i == axis ? x->ndim - 1 : i;
    perm[x->ndim - 1] = axis;
    KP_TRY(kp_lw_transpose(w, perm, x, &x));
    KP_TRY(kp_lw_transpose(w, perm, indices, &indices));
    KP_TRY(match_leading(w, &x, &indices));
    KP_TRY(kp_lw_gather(w, x->ndim - 1, x->ndim - 1, x, indices, out));
    return kp_lw_transpose(w, perm, *out, out);
}

const kp_lw_entry kp_lw_index_operations[] = {
    {"GetItem", do_get_item, 0, 1, 0, KP_LW_SAME, KP_LW_MASK_DROP},
    {"Take", do_take, 0, 1, 2, KP_LW_SAME, KP_LW_MASK_DROP},
    {"TakeAlongAxis", do_take_along_axis, 0, 1, 2, KP_LW_SAME, KP_LW_MASK_DROP},
    {0},
};
