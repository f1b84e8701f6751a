/* keras.ops that change the shape or the type of elements, or fill a shape. */
#include "lower/view.h"

int kp_lw_rows_refused(const kp_lw_call *c, const char *what)
{
    return kp_fail(KP_EMODEL,
                   "layer \"%s\" (%s): it %s, but rows are predicted apart from each other",
                   c->layer->path, c->layer->class_name, what);
}

int kp_lw_sizes(const kp_layer *l, const char *key, int64_t *out, int *n)
{
    const json_t *v = json_object_get(l->config, key);
    size_t size = json_is_array(v) ? json_array_size(v) : 1;
    bool fits = v && size <= KP_MAX_DIMS;
    for (size_t i = 0; fits && i < size; i++) {
        const json_t *e = json_is_array(v) ? json_array_get(v, i) : v;
        fits = json_is_integer(e) || json_is_null(e);
        out[i] = json_is_null(e) ? -1 : json_integer_value(e);
    }
    *n = (int)size;
    return fits ? 0
                : kp_fail(KP_EMODEL, "layer \"%s\" (%s): \"%s\" is not a list of at most %d sizes",
                          l->path, l->class_name, key, KP_MAX_DIMS);
}

int kp_lw_call_sizes(const kp_lw_call *c, const char *key, int position, int64_t *out, int *n)
{
    const kp_arg *a = kp_lw_arg(c, position, key);
    if (json_object_get(c->layer->config, key) || !a || a->kind != KP_ARG_LIST ||
        a->n_items > KP_MAX_DIMS)
        return kp_lw_sizes(c->layer, key, out, n);
    *n = a->n_items;
    for (int i = 0; i < a->n_items; i++) {
        if (a->items[i].kind != KP_ARG_INT)
            return kp_lw_sizes(c->layer, key, out, n);
        out[i] = a->items[i].integer;
    }
    return 0;
}

/* ---- shapes ---- */

/* Of several open sizes the first is that of the batch. */
static int do_reshape(kp_lw *w, const kp_lw_call *c, kp_value **out)
{
    kp_lw_size shape[KP_MAX_DIMS] = {0};
    kp_lw_view v;
    int64_t dims[KP_MAX_DIMS] = {0};
    int n, first = -1, open = 0;
    KP_TRY(kp_lw_sizes(c->layer, "newshape", dims, &n));
    if (!kp_lw_view_of(w, c->in[0], &v))
        return kp_lw_reshape(w, 0, dims, n, c->in[0], out);
    for (int i = 0; i < n; i++) {
        shape[i] = dims[i] < 0 ? (kp_lw_size){.hole = true} : (kp_lw_size){.n = dims[i]};
        if (dims[i] < 0 && open++ == 0)
            first = i;
    }
    if (open > 1)
        shape[first] = (kp_lw_size){.batch = 1, .n = 1};
    return kp_lw_view_reshape(w, c->in[0], shape, n, out);
}

static int do_ravel(kp_lw *w, const kp_lw_call *c, kp_value **out)
{
    return kp_lw_flat(w, c->in[0], out);
}

static int do_expand_dims(kp_lw *w, const kp_lw_call *c, kp_value **out)
{
    const json_t *v = json_object_get(c->layer->config, "axis");
    int extra = json_is_array(v) ? (int)json_array_size(v) : 1;
    kp_value *x = c->in[0];
    kp_axes axes;
    if (extra > KP_MAX_DIMS - x->ndim)
        return kp_fail(KP_EMODEL, "layer \"%s\": more than %d axes", c->layer->path, KP_MAX_DIMS);
    KP_TRY(kp_lw_axes(c->layer, "axis", x->ndim + extra, 0, &axes));
    for (int i = 0; i < axes.n; i++)
        KP_TRY(kp_lw_add_axis(w, axes.axis[i], x, &x));
    *out = x;
    return 0;
}

static int do_squeeze(kp_lw *w, const kp_lw_call *c, kp_value **out)
{
    kp_value *x = c->in[0];
    kp_axes axes = {0};
    if (!kp_lw_is_null(c->layer, "axis"))
        KP_TRY(kp_lw_axes(c->layer, "axis", x->ndim, 0, &axes));
    for (int i = 0; kp_lw_is_null(c->layer, "axis") && i < x->ndim; i++)
        if (x->shape[i] == 1)
            axes.axis[axes.n++] = i;
    for (int i = axes.n - 1; i >= 0; i--) {
        int a = axes.axis[i];
        if (x->shape[a] >= 0 && x->shape[a] != 1)
            return kp_fail(KP_EMODEL, "layer \"%s\": axis %d has the size %lld, not 1",
                           c->layer->path, a, (long long)x->shape[a]);
        if (x->shape[a] == KP_DIM_BATCH)
            return kp_lw_rows_refused(c, "removes the batch's axis");
        KP_TRY(kp_lw_drop_axis(w, a, x, &x));
    }
    *out = x;
    return 0;
}

/* Sizes may be the batch's (a number in front, which the batch then must have). */
static int broadcast(kp_lw *w, const kp_lw_call *c, const char *key, kp_value *x, kp_value **out)
{
    kp_node n = {.op = KP_OP_BROADCAST};
    int64_t *shape = n.attr.broadcast.shape;
    bool batch = x->ndim > 0 && x->shape[0] == KP_DIM_BATCH;
    KP_TRY(kp_lw_sizes(c->layer, key, shape, &n.attr.broadcast.ndim));
    if (batch && n.attr.broadcast.ndim != x->ndim)
        return kp_lw_rows_refused(c, "puts an axis before the batch");
    if (batch)
        shape[0] = KP_DIM_BATCH;
    return kp_lw_add(w, &n, &x, 1, out);
}

static int do_broadcast_to(kp_lw *w, const kp_lw_call *c, kp_value **out)
{
    return broadcast(w, c, "shape", c->in[0], out);
}

static int config_type(const kp_lw_call *c, kp_dtype dflt, kp_dtype *out)
{
    const char *name;
    const kp_arg *given = kp_lw_keyword(c->call, "dtype"); /* before Keras 3.12 */
    bool told = given && given->kind == KP_ARG_STR;
    KP_TRY(kp_cfg_str(c->layer, "dtype", told ? given->str : kp_dtype_name(dflt), &name));
    *out = kp_dtype_from_name(name);
    return kp_dtype_size(*out) > 0
               ? 0
               : kp_fail(KP_EMODEL, "layer \"%s\": the type \"%s\" is not known", c->layer->path,
                         name);
}

static int do_full(kp_lw *w, const kp_lw_call *c, kp_value **out)
{
    kp_dtype type;
    kp_value *x;
    KP_TRY(config_type(c, KP_FLOAT32, &type));
    KP_TRY(kp_lw_cast(w, type, c->in[0], &x));
    return broadcast(w, c, "shape", x, out);
}

/* variant: the number. */
static int do_like(kp_lw *w, const kp_lw_call *c, kp_value **out)
{
    kp_dtype type;
    KP_TRY(config_type(c, c->in[0]->dtype, &type));
    return kp_lw_filled(w, type, c->variant, c->in[0], out);
}

static int do_full_like(kp_lw *w, const kp_lw_call *c, kp_value **out)
{
    kp_lw_operand fill;
    kp_value *x = c->in[0], *v, *yes;
    kp_dtype type;
    KP_TRY(config_type(c, x->dtype, &type));
    KP_TRY(kp_lw_operand_of(w, c, kp_lw_arg(c, 1, "fill_value"), &fill));
    KP_TRY(kp_lw_operand_as(w, &fill, type, &v));
    KP_TRY(kp_lw_scalar(w, KP_BOOL, 1, &yes));
    KP_TRY(kp_lw_cast(w, type, x, &x));
    return kp_lw_select(w, yes, v, x, out);
}

static int do_array(kp_lw *w, const kp_lw_call *c, kp_value **out)
{
    kp_dtype type;
    KP_TRY(config_type(c, c->in[0]->dtype, &type));
    return kp_lw_cast(w, type, c->in[0], out);
}

static int do_view(kp_lw *w, const kp_lw_call *c, kp_value **out)
{
    kp_dtype *type = kp_arena_alloc(w->mem, sizeof *type);
    if (!type)
        return KP_ENOMEM;
    KP_TRY(config_type(c, c->in[0]->dtype, type));
    return kp_lw_kernel(w, &kp_kernel_bitcast, type, c->in, 1, out);
}

static int do_ndim(kp_lw *w, const kp_lw_call *c, kp_value **out)
{
    return kp_lw_scalar(w, KP_INT32, c->in[0]->ndim, out);
}

#define SHAPE KP_LW_ONE, KP_LW_MASK_DROP

const kp_lw_entry kp_lw_shape_operations[] = {
    {"Reshape", do_reshape, 0, SHAPE},
    {"Ravel", do_ravel, 0, SHAPE},
    {"ExpandDims", do_expand_dims, 0, SHAPE},
    {"Squeeze", do_squeeze, 0, SHAPE},
    {"BroadcastTo", do_broadcast_to, 0, SHAPE},
    {"Full", do_full, 0, SHAPE},
    {"FullLike", do_full_like, 0, 1, 2, KP_LW_SAME, KP_LW_MASK_DROP},
    {"ZerosLike", do_like, 0, SHAPE},
    {"EmptyLike", do_like, 0, SHAPE},
    {"OnesLike", do_like, 1, SHAPE},
    {"Array", do_array, 0, SHAPE},
    {"View", do_view, 0, SHAPE},
    {"Ndim", do_ndim, 0, SHAPE},
    {0},
};
