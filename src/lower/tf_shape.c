/* Functions of TensorFlow that take computed sizes: new shapes, copies, ranges. */
#include "lower/tf_sized.h"

static int as_shape(const kp_tf_sized_call *s, const kp_tf_list *l, kp_lw_size *out)
{
    if (l->l.n > KP_MAX_DIMS)
        return kp_fail(KP_EMODEL, "a shape of %d axes is not supported (at most %d)", l->l.n,
                       KP_MAX_DIMS);
    for (int i = 0; i < l->l.n; i++)
        KP_TRY(kp_lw_expr_size(s->w, l->l.at[i], &out[i]));
    return 0;
}

static int rows_at(const kp_lw_size *shape, int n)
{
    for (int i = 0; i < n; i++)
        if (shape[i].batch != 0)
            return i;
    return -1;
}

/* x, which has no batch, or has it where the shape has the rows, in all places of the shape. */
static int broadcast(const kp_tf_sized_call *s, kp_value *x, const kp_tf_list *l, kp_value **out)
{
    kp_lw_size shape[KP_MAX_DIMS];
    const kp_lw_expr *exprs[KP_MAX_DIMS + 2] = {0};
    kp_lw_view v = {.pre = 1, .post = 1}, own;
    kp_computed p = {.kind = KP_COMPUTED_BROADCAST};
    kp_node node = {.op = KP_OP_BROADCAST};
    int n = 0;
    bool known = true;
    KP_TRY(as_shape(s, l, shape));
    int rows = rows_at(shape, l->l.n);
    bool batch = kp_lw_view_of(s->w, x, &own);
    if (x->ndim > l->l.n || (batch && (rows != own.axis + l->l.n - x->ndim || own.axis != 0 ||
                                       own.pre != 1 || own.post != 1 || x->ndim != l->l.n)))
        return kp_lw_view_refuse(s->w, "it copies rows to another number of rows");
    int at = x->ndim - (l->l.n - rows); /* x's axis where the rows will be */
    if (rows >= 0 && !batch && at >= 0 && x->shape[at] != 1)
        return kp_lw_view_refuse(s->w, "it copies several values to the rows of the batch");
    if (rows >= 0 && !batch && at >= 0)
        KP_TRY(kp_lw_drop_axis(s->w, at, x, &x));
    if (rows >= 0) {
        v.axis = rows;
        n++;
        v.post = shape[rows].open != 0 && shape[rows].n == 1 ? shape[rows].open : shape[rows].n;
        if (shape[rows].open != 0 && shape[rows].n != 1)
            return kp_lw_view_refuse(s->w, "it makes rows of an open number");
        if (v.post != 1 && v.post > 0)
            KP_TRY(kp_lw_expr_number(s->w, v.post, &exprs[n++]));
        else if (v.post != 1)
            exprs[n++] = kp_lw_expr_of(s->w, v.post);
    }
    for (int i = 0; i < l->l.n; i++)
        if (i != rows)
            exprs[n++] = l->l.at[i];
    for (int i = 0; i < n; i++) {
        int64_t *size = &node.attr.broadcast.shape[i];
        *size = KP_DIM_BATCH;
        known = known && ((i == 0 && rows >= 0) || kp_lw_expr_is_number(exprs[i], size));
    }
    node.attr.broadcast.ndim = n;
    if (n > KP_MAX_DIMS)
        return kp_fail(KP_EMODEL, "more than %d axes", KP_MAX_DIMS);
    KP_TRY(known ? kp_lw_add(s->w, &node, &x, 1, &v.raw)
                 : kp_lw_computed(s->w, &p, exprs, n, x, &v.raw));
    return rows >= 0 ? kp_lw_view_make(s->w, &v, out) : (*out = v.raw, 0);
}

static int do_broadcast_to(const kp_tf_sized_call *s, bool *done, kp_value **out)
{
    kp_tf_list l;
    kp_value *x;
    if (!kp_tf_list_of(s, kp_tf_arg(s, 1, "shape"), 0, &l))
        return 0;
    *done = true;
    KP_TRY(kp_lw_tensor_of(s->w, s->c, kp_tf_arg(s, 0, "input"), &x));
    return broadcast(s, x, &l, out);
}

static int do_fill(const kp_tf_sized_call *s, bool *done, kp_value **out)
{
    kp_tf_list l;
    kp_value *x;
    if (!kp_tf_list_of(s, kp_tf_arg(s, 0, "dims"), 0, &l))
        return 0;
    *done = true;
    KP_TRY(kp_lw_tensor_of(s->w, s->c, kp_tf_arg(s, 1, "value"), &x));
    return broadcast(s, x, &l, out);
}

/* variant: the number. */
static int do_filled(const kp_tf_sized_call *s, bool *done, kp_value **out)
{
    kp_tf_list l;
    kp_value *x;
    kp_dtype type;
    if (!kp_tf_list_of(s, kp_tf_arg(s, 0, "shape"), 0, &l))
        return 0;
    *done = true;
    KP_TRY(kp_tf_named_type(s, 1, "dtype", KP_FLOAT32, &type));
    KP_TRY(kp_lw_scalar(s->w, type, s->variant, &x));
    return broadcast(s, x, &l, out);
}

static int do_reshape(const kp_tf_sized_call *s, bool *done, kp_value **out)
{
    kp_tf_list l, x_sizes;
    kp_lw_size shape[KP_MAX_DIMS];
    kp_lw_view v;
    kp_value *x;
    int64_t dims[KP_MAX_DIMS] = {0};
    if (!kp_tf_list_of(s, kp_tf_arg(s, 1, "shape"), 0, &l) || !l.vector)
        return 0;
    if (kp_tf_list_of(s, kp_tf_arg(s, 0, "tensor"), 0, &x_sizes) && x_sizes.type != KP_DTYPE_NONE &&
        l.l.n == 1)
        return kp_tf_result(s, x_sizes.type, true, &x_sizes.l, done, out);
    *done = true;
    KP_TRY(kp_lw_tensor_of(s->w, s->c, kp_tf_arg(s, 0, "tensor"), &x));
    KP_TRY(as_shape(s, &l, shape));
    if (kp_lw_view_of(s->w, x, &v))
        return kp_lw_view_reshape(s->w, x, shape, l.l.n, out);
    bool known = true;
    for (int i = 0; i < l.l.n; i++)
        known = known && kp_lw_expr_is_number(l.l.at[i], &dims[i]);
    if (known)
        return kp_lw_reshape(s->w, 0, dims, l.l.n, x, out);
    for (int i = 0; i < l.l.n; i++)
        if (kp_lw_expr_is_number(l.l.at[i], &dims[i]) && dims[i] == -1)
            l.l.at[i] = NULL;
    kp_computed p = {.kind = KP_COMPUTED_RESHAPE};
    return kp_lw_computed(s->w, &p, l.l.at, l.l.n, x, out);
}

/* One axis `times` times, an open number or as often as there are rows. */
static int tile_axis(const kp_tf_sized_call *s, int axis, const kp_lw_expr *times, kp_value *x,
                     kp_value **out)
{
    const kp_lw_expr *sizes[KP_MAX_DIMS + 1];
    kp_tf_list l = {.vector = true, .l = {x->ndim, sizes}};
    int64_t number;
    if (kp_lw_expr_is_number(times, &number)) {
        if (number < 1 || number > KP_NODE_INPUTS_MAX)
            return kp_fail(KP_EMODEL, "layer \"%s\": %lld copies", s->c->layer->path,
                           (long long)number);
        kp_value **all = kp_arena_array(s->w->mem, (size_t)number, sizeof *all);
        if (!all)
            return KP_ENOMEM;
        for (int64_t k = 0; k < number; k++)
            all[k] = x;
        return kp_lw_concat(s->w, s->c, axis, all, (int)number, out);
    }
    if (x->shape[axis] != 1)
        return kp_lw_view_refuse(s->w,
                                 "it copies an axis of several cells an open number of times");
    for (int i = 0; i < x->ndim; i++)
        KP_TRY(kp_lw_expr_axis(s->w, x, i, &sizes[i]));
    sizes[axis] = times;
    return broadcast(s, x, &l, out);
}

static int do_tile(const kp_tf_sized_call *s, bool *done, kp_value **out)
{
    kp_tf_list l;
    kp_value *x;
    if (!kp_tf_list_of(s, kp_tf_arg(s, 1, "multiples"), 0, &l))
        return 0;
    *done = true;
    KP_TRY(kp_lw_tensor_of(s->w, s->c, kp_tf_arg(s, 0, "input"), &x));
    if (l.l.n != x->ndim)
        return kp_fail(KP_EMODEL, "layer \"%s\": %d numbers of copies for %d axes",
                       s->c->layer->path, l.l.n, x->ndim);
    for (int k = 0; k < 2; k++) { /* known numbers first */
        for (int i = 0; i < l.l.n; i++) {
            int64_t number;
            if (kp_lw_expr_is_number(l.l.at[i], &number) == (k == 0))
                KP_TRY(tile_axis(s, i, l.l.at[i], x, &x));
        }
    }
    *out = x;
    return 0;
}

static int do_range(const kp_tf_sized_call *s, bool *done, kp_value **out)
{
    kp_tf_list from, to, by;
    const kp_lw_expr *zero, *one, *exprs[3];
    kp_computed p = {.kind = KP_COMPUTED_RANGE};
    const kp_arg *a = kp_tf_arg(s, 0, "start"), *b = kp_tf_arg(s, 1, "limit"),
                 *c = kp_tf_arg(s, 2, "delta");
    if (!b || b->kind == KP_ARG_NONE) /* tf.range(limit) */
        b = a, a = NULL;
    KP_TRY(kp_lw_expr_number(s->w, 0, &zero));
    KP_TRY(kp_lw_expr_number(s->w, 1, &one));
    if ((a && !kp_tf_list_of(s, a, 0, &from)) || !kp_tf_list_of(s, b, 0, &to) ||
        (c && c->kind != KP_ARG_NONE && !kp_tf_list_of(s, c, 0, &by)))
        return 0;
    exprs[0] = a ? from.l.at[0] : zero;
    exprs[1] = to.l.at[0];
    exprs[2] = c && c->kind != KP_ARG_NONE ? by.l.at[0] : one;
    *done = true;
    KP_TRY(
        kp_tf_named_type(s, 3, "dtype", to.type != KP_DTYPE_NONE ? to.type : KP_INT32, &p.dtype));
    return kp_lw_computed(s->w, &p, exprs, 3, NULL, out);
}

/* Images to open sizes; known ones are no matter of this file. */
static int do_resize(const kp_tf_sized_call *s, bool *done, kp_value **out)
{
    kp_tf_list l;
    int64_t n;
    kp_value *x;
    bool nearest = strcmp(s->name, "ResizeNearestNeighbor") == 0;
    const kp_arg *method = nearest ? NULL : kp_tf_arg(s, 2, "method"),
                 *smooth = kp_tf_arg(s, 4, "antialias"),
                 *ratio = kp_tf_arg(s, 3, "preserve_aspect_ratio");
    kp_computed p = {.kind = KP_COMPUTED_RESIZE, .node.op = KP_OP_RESIZE};
    if (!kp_tf_list_of(s, kp_tf_arg(s, 1, "size"), 0, &l) || l.l.n != 2 ||
        (kp_lw_expr_is_number(l.l.at[0], &n) && kp_lw_expr_is_number(l.l.at[1], &n)))
        return 0;
    if (ratio && ratio->kind == KP_ARG_BOOL && ratio->boolean)
        return kp_fail(KP_EMODEL,
                       "layer \"%s\": preserve_aspect_ratio with a computed size is not supported",
                       s->c->layer->path);
    const char *text = nearest ? "nearest" : "bilinear";
    if (method && method->kind == KP_ARG_STR)
        text = method->str;
    KP_TRY(kp_lw_resize_kind(s->c->layer, text, &p.node.attr.resize.kind));
    p.node.attr.resize.antialias = smooth && smooth->kind == KP_ARG_BOOL && smooth->boolean;
    *done = true;
    KP_TRY(kp_lw_tensor_of(s->w, s->c, kp_tf_arg(s, 0, "images"), &x));
    if (kp_lw_view_find(s->w, x, NULL) || x->ndim != 4)
        return kp_lw_view_refuse(s->w, "it resizes what is not one image a row");
    KP_TRY(kp_lw_float(s->w, x, &x));
    return kp_lw_computed(s->w, &p, l.l.at, 2, x, out);
}

const kp_tf_sized_entry kp_tf_shape_functions[] = {
    {"reshape", do_reshape, 0},
    {"Reshape", do_reshape, 0},
    {"keras.backend.reshape", do_reshape, 0},
    {"tile", do_tile, 0},
    {"Tile", do_tile, 0},
    {"keras.backend.tile", do_tile, 0},
    {"broadcast_to", do_broadcast_to, 0},
    {"BroadcastTo", do_broadcast_to, 0},
    {"fill", do_fill, 0},
    {"Fill", do_fill, 0},
    {"zeros", do_filled, 0},
    {"ones", do_filled, 1},
    {"range", do_range, 0},
    {"Range", do_range, 0},
    {"image.resize", do_resize, 0},
    {"ResizeBilinear", do_resize, 0},
    {"ResizeNearestNeighbor", do_resize, 0},
    {0},
};
