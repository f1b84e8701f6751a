/* Functions of TensorFlow on sizes, and those that take sizes: new shapes, copies, ranges. */
#include "lower/size.h"
#include "lower/tf.h"

typedef struct sized {
    kp_lw *w;
    const kp_lw_call *c;
    const char *name;
    const kp_arg *args, *kwargs;
    int variant;
} sized;

/* done: false when it is no matter of sizes. */
typedef int (*sized_fn)(const sized *s, bool *done, kp_value **out);

static const kp_arg *arg(const sized *s, int position, const char *name)
{
    if (position >= 0 && position < s->args->n_items)
        return &s->args->items[position];
    for (int i = 0; s->kwargs->keys && i < s->kwargs->n_items; i++)
        if (strcmp(s->kwargs->keys[i], name) == 0)
            return &s->kwargs->items[i];
    return NULL;
}

static int named_type(const sized *s, int position, const char *name, kp_dtype dflt, kp_dtype *out)
{
    const kp_arg *a = arg(s, position, name);
    *out = a && a->kind == KP_ARG_STR ? kp_dtype_from_name(a->str) : dflt;
    return kp_dtype_size(*out) > 0 ? 0 : kp_fail(KP_EMODEL, "a type that is not known");
}

/* ---- arguments as lists of sizes ---- */

/* false: the argument is something else. *vector: not a single number; type: NONE of a literal. */
typedef struct list {
    kp_lw_size_list l;
    bool vector;
    kp_dtype type;
} list;

static bool list_of(const sized *s, const kp_arg *a, int depth, list *out);

static bool list_of_items(const sized *s, const kp_arg *a, int depth, list *out)
{
    *out = (list){.vector = true, .l.n = a->n_items};
    if (a->n_items < 1 || a->n_items > KP_LW_SIZES_MAX || depth > 2)
        return false;
    out->l.at = kp_arena_array(s->w->mem, (size_t)a->n_items, sizeof(*out->l.at));
    for (int i = 0; out->l.at && i < a->n_items; i++) {
        list one;
        if (!list_of(s, &a->items[i], depth + 1, &one) || one.vector)
            return false;
        out->l.at[i] = one.l.at[0];
        out->type = one.type != KP_DTYPE_NONE ? one.type : out->type;
    }
    return out->l.at != NULL;
}

static bool list_of(const sized *s, const kp_arg *a, int depth, list *out)
{
    kp_lw_operand o;
    *out = (list){0};
    if (!a)
        return false;
    if (a->kind == KP_ARG_INT) {
        out->l.n = 1;
        out->l.at = kp_arena_array(s->w->mem, 1, sizeof(*out->l.at));
        return out->l.at && kp_lw_expr_number(s->w, a->integer, out->l.at) == 0;
    }
    if (a->kind == KP_ARG_LIST)
        return list_of_items(s, a, depth, out);
    if ((a->kind != KP_ARG_REF && a->kind != KP_ARG_CONST) ||
        kp_lw_operand_of(s->w, s->c, a, &o) != 0 || !o.value ||
        !kp_lw_sizes_of(s->w, o.value, &out->l))
        return false;
    out->vector = o.value->ndim == 1;
    out->type = o.value->dtype;
    return true;
}

static int result(const sized *s, kp_dtype type, bool vector, const kp_lw_size_list *l, bool *done,
                  kp_value **out)
{
    *done = true;
    return kp_lw_sizes_make(s->w, type != KP_DTYPE_NONE ? type : KP_INT32, vector, l->at, l->n,
                            out);
}

static int as_shape(const sized *s, const list *l, kp_lw_size *out)
{
    if (l->l.n > KP_MAX_DIMS)
        return kp_fail(KP_EMODEL, "a shape of %d axes is not supported (at most %d)", l->l.n,
                       KP_MAX_DIMS);
    for (int i = 0; i < l->l.n; i++)
        KP_TRY(kp_lw_expr_size(s->w, l->l.at[i], &out[i]));
    return 0;
}

/* ---- arithmetic of sizes ---- */

/* At least one is taken from a tensor: literals alone are no matter of sizes. */
static int do_pair(const sized *s, bool *done, kp_value **out)
{
    list a, b;
    if (!list_of(s, arg(s, 0, "x"), 0, &a) || !list_of(s, arg(s, 1, "y"), 0, &b) ||
        (a.type == KP_DTYPE_NONE && b.type == KP_DTYPE_NONE) ||
        (a.l.n != b.l.n && a.l.n != 1 && b.l.n != 1))
        return 0;
    kp_lw_size_list l = {a.l.n > b.l.n ? a.l.n : b.l.n, NULL};
    l.at = kp_arena_array(s->w->mem, (size_t)l.n, sizeof(*l.at));
    if (!l.at)
        return KP_ENOMEM;
    for (int i = 0; i < l.n; i++)
        KP_TRY(kp_lw_expr_pair(s->w, (kp_size_op)s->variant, a.l.at[a.l.n == 1 ? 0 : i],
                               b.l.at[b.l.n == 1 ? 0 : i], &l.at[i]));
    return result(s, a.type != KP_DTYPE_NONE ? a.type : b.type, a.vector || b.vector, &l, done,
                  out);
}

static int do_reduce(const sized *s, bool *done, kp_value **out)
{
    list a;
    const kp_arg *keep = arg(s, 2, "keepdims");
    if (!list_of(s, arg(s, 0, "input_tensor"), 0, &a) || a.type == KP_DTYPE_NONE || !a.vector)
        return 0;
    const kp_lw_expr *sum = a.l.at[0];
    for (int i = 1; i < a.l.n; i++)
        KP_TRY(kp_lw_expr_pair(s->w, (kp_size_op)s->variant, sum, a.l.at[i], &sum));
    bool vector = keep && keep->kind == KP_ARG_BOOL && keep->boolean;
    return result(s, a.type, vector, &(kp_lw_size_list){1, &sum}, done, out);
}

static int do_cast(const sized *s, bool *done, kp_value **out)
{
    list a;
    kp_dtype type;
    if (!list_of(s, arg(s, 0, "x"), 0, &a) || a.type == KP_DTYPE_NONE)
        return 0;
    KP_TRY(named_type(s, 1, arg(s, 1, "dtype") ? "dtype" : "DstT", KP_INT32, &type));
    return type == KP_INT32 || type == KP_INT64 ? result(s, type, a.vector, &a.l, done, out) : 0;
}

/* variant: 1: one number becomes a list, 0: a list of one number becomes it. */
static int do_rank(const sized *s, bool *done, kp_value **out)
{
    list a;
    if (!list_of(s, arg(s, 0, "input"), 0, &a) || a.type == KP_DTYPE_NONE || a.l.n != 1 ||
        a.vector == (s->variant == 1))
        return 0;
    return result(s, a.type, s->variant == 1, &a.l, done, out);
}

static int do_stack(const sized *s, bool *done, kp_value **out)
{
    list a;
    const kp_arg *values = arg(s, 0, "values");
    if (!values || values->kind != KP_ARG_LIST || !list_of(s, values, 0, &a) ||
        a.type == KP_DTYPE_NONE)
        return 0;
    return result(s, a.type, true, &a.l, done, out);
}

static int do_concat(const sized *s, bool *done, kp_value **out)
{
    const kp_arg *values = arg(s, 0, "values");
    const kp_lw_expr *all[KP_LW_SIZES_MAX];
    kp_lw_size_list l = {0, all};
    kp_dtype type = KP_DTYPE_NONE;
    for (int i = 0; values && values->kind == KP_ARG_LIST && i < values->n_items; i++) {
        list a;
        if (!list_of(s, &values->items[i], 0, &a) || !a.vector || l.n + a.l.n > KP_LW_SIZES_MAX)
            return 0;
        memcpy(all + l.n, a.l.at, (size_t)a.l.n * sizeof *all);
        l.n += a.l.n;
        type = a.type != KP_DTYPE_NONE ? a.type : type;
    }
    return type == KP_DTYPE_NONE ? 0 : result(s, type, true, &l, done, out);
}

static int do_unstack(const sized *s, bool *done, kp_value **out)
{
    list a;
    kp_value **values;
    (void)out;
    if (!list_of(s, arg(s, 0, "value"), 0, &a) || a.type == KP_DTYPE_NONE || !a.vector)
        return 0;
    KP_TRY(kp_lw_outputs(s->w, s->c, a.l.n, &values));
    for (int i = 0; i < a.l.n; i++)
        KP_TRY(result(s, a.type, false, &(kp_lw_size_list){1, &a.l.at[i]}, done, &values[i]));
    return 0;
}

static int gather_sizes(const sized *s, const list *a, bool *done, kp_value **out)
{
    list places;
    const kp_lw_expr *picked[KP_LW_SIZES_MAX];
    if (!list_of(s, arg(s, 1, "indices"), 0, &places))
        return 0;
    for (int i = 0; i < places.l.n; i++) {
        int64_t at;
        if (!kp_lw_expr_is_number(places.l.at[i], &at) || at < 0 || at >= a->l.n)
            return 0;
        picked[i] = a->l.at[at];
    }
    return result(s, a->type, places.vector, &(kp_lw_size_list){places.l.n, picked}, done, out);
}

/* Of each row by its own indices. variant: the place of the axis among the arguments. */
static int do_gather(const sized *s, bool *done, kp_value **out)
{
    list a;
    const kp_arg *dims = arg(s, -1, "batch_dims"), *axis = arg(s, s->variant, "axis");
    kp_value *x, *indices;
    if (list_of(s, arg(s, 0, "params"), 0, &a) && a.type != KP_DTYPE_NONE && a.vector)
        return gather_sizes(s, &a, done, out);
    if (!dims || dims->kind != KP_ARG_INT || dims->integer == 0)
        return 0;
    *done = true;
    KP_TRY(kp_lw_tensor_of(s->w, s->c, arg(s, 0, "params"), &x));
    KP_TRY(kp_lw_tensor_of(s->w, s->c, arg(s, 1, "indices"), &indices));
    int at = 0, n = 0, last = indices->ndim;
    KP_TRY(kp_lw_axis(s->c->layer, dims->integer, last < x->ndim ? last + 1 : x->ndim, &n));
    KP_TRY(kp_lw_axis(s->c->layer, axis && axis->kind == KP_ARG_INT ? axis->integer : n, x->ndim,
                      &at));
    return kp_lw_gather(s->w, at, n, x, indices, out);
}

static int do_size(const sized *s, bool *done, kp_value **out)
{
    const kp_lw_expr *all, *one;
    kp_value *x;
    kp_dtype type;
    KP_TRY(kp_lw_tensor_of(s->w, s->c, arg(s, 0, "input"), &x));
    KP_TRY(named_type(s, -1, "out_type", KP_INT32, &type));
    KP_TRY(kp_lw_expr_number(s->w, 1, &all));
    for (int i = 0; i < x->ndim; i++) {
        KP_TRY(kp_lw_expr_axis(s->w, x, i, &one));
        KP_TRY(kp_lw_expr_pair(s->w, KP_SIZE_MUL, all, one, &all));
    }
    return result(s, type, false, &(kp_lw_size_list){1, &all}, done, out);
}

static int do_shape(const sized *s, bool *done, kp_value **out)
{
    const kp_lw_expr *all[KP_MAX_DIMS];
    kp_value *x;
    kp_dtype type;
    KP_TRY(kp_lw_tensor_of(s->w, s->c, arg(s, 0, "input"), &x));
    KP_TRY(named_type(s, 1, "out_type", KP_INT32, &type));
    if (x->ndim == 0)
        return kp_fail(KP_EMODEL, "layer \"%s\": the shape of a number is empty",
                       s->c->layer->path);
    for (int i = 0; i < x->ndim; i++)
        KP_TRY(kp_lw_expr_axis(s->w, x, i, &all[i]));
    return result(s, type, true, &(kp_lw_size_list){x->ndim, all}, done, out);
}

/* ---- tensors of computed shapes ---- */

static int rows_at(const kp_lw_size *shape, int n)
{
    for (int i = 0; i < n; i++)
        if (shape[i].batch != 0)
            return i;
    return -1;
}

/* x, which has no batch, or has it where the shape has the rows, in all places of the shape. */
static int broadcast(const sized *s, kp_value *x, const list *l, kp_value **out)
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

static int do_broadcast_to(const sized *s, bool *done, kp_value **out)
{
    list l;
    kp_value *x;
    if (!list_of(s, arg(s, 1, "shape"), 0, &l))
        return 0;
    *done = true;
    KP_TRY(kp_lw_tensor_of(s->w, s->c, arg(s, 0, "input"), &x));
    return broadcast(s, x, &l, out);
}

static int do_fill(const sized *s, bool *done, kp_value **out)
{
    list l;
    kp_value *x;
    if (!list_of(s, arg(s, 0, "dims"), 0, &l))
        return 0;
    *done = true;
    KP_TRY(kp_lw_tensor_of(s->w, s->c, arg(s, 1, "value"), &x));
    return broadcast(s, x, &l, out);
}

/* variant: the number. */
static int do_filled(const sized *s, bool *done, kp_value **out)
{
    list l;
    kp_value *x;
    kp_dtype type;
    if (!list_of(s, arg(s, 0, "shape"), 0, &l))
        return 0;
    *done = true;
    KP_TRY(named_type(s, 1, "dtype", KP_FLOAT32, &type));
    KP_TRY(kp_lw_scalar(s->w, type, s->variant, &x));
    return broadcast(s, x, &l, out);
}

static int do_reshape(const sized *s, bool *done, kp_value **out)
{
    list l, x_sizes;
    kp_lw_size shape[KP_MAX_DIMS];
    kp_lw_view v;
    kp_value *x;
    int64_t dims[KP_MAX_DIMS] = {0};
    if (!list_of(s, arg(s, 1, "shape"), 0, &l) || !l.vector)
        return 0;
    if (list_of(s, arg(s, 0, "tensor"), 0, &x_sizes) && x_sizes.type != KP_DTYPE_NONE && l.l.n == 1)
        return result(s, x_sizes.type, true, &x_sizes.l, done, out);
    *done = true;
    KP_TRY(kp_lw_tensor_of(s->w, s->c, arg(s, 0, "tensor"), &x));
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
static int tile_axis(const sized *s, int axis, const kp_lw_expr *times, kp_value *x, kp_value **out)
{
    const kp_lw_expr *sizes[KP_MAX_DIMS + 1];
    list l = {.vector = true, .l = {x->ndim, sizes}};
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

static int do_tile(const sized *s, bool *done, kp_value **out)
{
    list l;
    kp_value *x;
    if (!list_of(s, arg(s, 1, "multiples"), 0, &l))
        return 0;
    *done = true;
    KP_TRY(kp_lw_tensor_of(s->w, s->c, arg(s, 0, "input"), &x));
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

static int do_range(const sized *s, bool *done, kp_value **out)
{
    list from, to, by;
    const kp_lw_expr *zero, *one, *exprs[3];
    kp_computed p = {.kind = KP_COMPUTED_RANGE};
    const kp_arg *a = arg(s, 0, "start"), *b = arg(s, 1, "limit"), *c = arg(s, 2, "delta");
    if (!b || b->kind == KP_ARG_NONE) /* tf.range(limit) */
        b = a, a = NULL;
    KP_TRY(kp_lw_expr_number(s->w, 0, &zero));
    KP_TRY(kp_lw_expr_number(s->w, 1, &one));
    if ((a && !list_of(s, a, 0, &from)) || !list_of(s, b, 0, &to) ||
        (c && c->kind != KP_ARG_NONE && !list_of(s, c, 0, &by)))
        return 0;
    exprs[0] = a ? from.l.at[0] : zero;
    exprs[1] = to.l.at[0];
    exprs[2] = c && c->kind != KP_ARG_NONE ? by.l.at[0] : one;
    *done = true;
    KP_TRY(named_type(s, 3, "dtype", to.type != KP_DTYPE_NONE ? to.type : KP_INT32, &p.dtype));
    return kp_lw_computed(s->w, &p, exprs, 3, NULL, out);
}

/* Images to open sizes; known ones are no matter of this file. */
static int do_resize(const sized *s, bool *done, kp_value **out)
{
    list l;
    int64_t n;
    kp_value *x;
    bool nearest = strcmp(s->name, "ResizeNearestNeighbor") == 0;
    const kp_arg *method = nearest ? NULL : arg(s, 2, "method"), *smooth = arg(s, 4, "antialias"),
                 *ratio = arg(s, 3, "preserve_aspect_ratio");
    kp_computed p = {.kind = KP_COMPUTED_RESIZE, .node.op = KP_OP_RESIZE};
    if (!list_of(s, arg(s, 1, "size"), 0, &l) || l.l.n != 2 ||
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
    KP_TRY(kp_lw_tensor_of(s->w, s->c, arg(s, 0, "images"), &x));
    if (kp_lw_view_find(s->w, x, NULL) || x->ndim != 4)
        return kp_lw_view_refuse(s->w, "it resizes what is not one image a row");
    KP_TRY(kp_lw_float(s->w, x, &x));
    return kp_lw_computed(s->w, &p, l.l.at, 2, x, out);
}

/* ---- parts of tensors ---- */

/* How many diagonals stay below and above the main one; less than 0: all. */
static int do_band(const sized *s, bool *done, kp_value **out)
{
    list low, high;
    int64_t below, above;
    kp_value *x;
    kp_diagonals *p = kp_arena_alloc(s->w->mem, sizeof *p);
    if (!p)
        return KP_ENOMEM;
    if (!list_of(s, arg(s, 1, "num_lower"), 0, &low) ||
        !list_of(s, arg(s, 2, "num_upper"), 0, &high) ||
        !kp_lw_expr_is_number(low.l.at[0], &below) || !kp_lw_expr_is_number(high.l.at[0], &above))
        return 0;
    *done = true;
    p->low = below < 0 ? -INT64_MAX : -below;
    p->high = above < 0 ? INT64_MAX : above;
    KP_TRY(kp_lw_tensor_of(s->w, s->c, arg(s, 0, "input"), &x));
    return kp_lw_kernel(s->w, &kp_kernel_triangle, p, &x, 1, out);
}

static int cut(kp_lw *w, kp_value *x, const kp_lw_expr *const *exprs, kp_value **out)
{
    const kp_lw_expr *raw[3 * KP_MAX_DIMS] = {0};
    kp_computed p = {.kind = KP_COMPUTED_SLICE};
    kp_lw_view v;
    bool batch = kp_lw_view_of(w, x, &v), any = false;
    for (int i = 0; i < x->ndim; i++)
        for (int k = 0; k < 3; k++) {
            int at = batch ? kp_lw_view_raw_axis(&v, i) : i;
            raw[3 * at + k] = exprs[3 * i + k];
            any = any || exprs[3 * i + k];
            if (exprs[3 * i + k] && batch && i == v.axis)
                return kp_lw_view_refuse(w, "it picks rows of the batch");
        }
    *out = x;
    if (!any)
        return 0;
    if (!batch)
        return kp_lw_computed(w, &p, raw, 3 * x->ndim, x, out);
    KP_TRY(kp_lw_computed(w, &p, raw, 3 * v.raw->ndim, v.raw, &v.raw));
    return kp_lw_view_make(w, &v, out);
}

/* tf.slice: a size of -1 is what remains. */
static int do_slice(const sized *s, bool *done, kp_value **out)
{
    list begin, size;
    kp_value *x;
    const kp_lw_expr *open[3 * KP_MAX_DIMS] = {0};
    if (!list_of(s, arg(s, 1, "begin"), 0, &begin) || !list_of(s, arg(s, 2, "size"), 0, &size))
        return 0;
    *done = true;
    KP_TRY(kp_lw_tensor_of(s->w, s->c, arg(s, 0, "input_"), &x));
    if (begin.l.n != x->ndim || size.l.n != x->ndim)
        return kp_fail(KP_EMODEL, "layer \"%s\": a slice of another rank", s->c->layer->path);
    for (int i = 0; i < x->ndim; i++) {
        int64_t from, n;
        bool rest = kp_lw_expr_is_number(size.l.at[i], &n) && n == -1;
        kp_lw_size have;
        bool first = kp_lw_expr_is_number(begin.l.at[i], &from);
        KP_TRY(kp_lw_expr_size(s->w, size.l.at[i], &have));
        if (first && from == 0 && (rest || (have.batch == 1 && x->shape[i] == KP_DIM_BATCH)))
            continue;
        if (first && (rest || kp_lw_expr_is_number(size.l.at[i], &n))) {
            if (x->shape[i] == KP_DIM_BATCH)
                return kp_lw_rows_refused(s->c, "picks rows of the batch");
            KP_TRY(kp_lw_slice(s->w, i, from, rest ? INT64_MAX : from + n, 1, x, &x));
            continue;
        }
        open[3 * i] = begin.l.at[i];
        if (!rest)
            KP_TRY(
                kp_lw_expr_pair(s->w, KP_SIZE_ADD, begin.l.at[i], size.l.at[i], &open[3 * i + 1]));
    }
    return cut(s->w, x, open, out);
}

/* A part of a key that is computed: a number where it is known, else *expr. */
static int settle_part(const sized *s, kp_arg *a, const kp_lw_expr **expr)
{
    list l;
    int64_t n;
    *expr = NULL;
    if (a->kind != KP_ARG_REF && a->kind != KP_ARG_CONST)
        return 0;
    if (!list_of(s, a, 0, &l) || l.vector)
        return kp_fail(KP_EMODEL,
                       "layer \"%s\" (%s): a slice whose ends depend on the data is not supported",
                       s->c->layer->path, s->c->layer->class_name);
    if (kp_lw_expr_is_number(l.l.at[0], &n))
        *a = (kp_arg){.kind = KP_ARG_INT, .integer = n};
    else
        *expr = l.l.at[0];
    return 0;
}

/* Parts of the key with open ends are cut first, and then whole axes. */
static int settle_key(const sized *s, kp_arg *key, int ndim, const kp_lw_expr **open)
{
    int taken = 0, axis = 0;
    for (int i = 0; i < key->n_items; i++)
        taken += key->items[i].kind != KP_ARG_NONE && key->items[i].kind != KP_ARG_ELLIPSIS;
    for (int i = 0; i < key->n_items; i++) {
        kp_arg *a = &key->items[i];
        const kp_lw_expr *one, *e;
        if (a->kind == KP_ARG_NONE)
            continue;
        if (a->kind == KP_ARG_ELLIPSIS) {
            axis += ndim - taken;
            continue;
        }
        if (axis < 0 || axis >= KP_MAX_DIMS)
            return kp_fail(KP_EMODEL, "layer \"%s\": more indices than axes", s->c->layer->path);
        if (a->kind == KP_ARG_SLICE && a->n_items == 3) {
            kp_arg *parts = kp_arena_array(s->w->mem, 3, sizeof *parts);
            if (!parts)
                return KP_ENOMEM;
            memcpy(parts, a->items, 3 * sizeof *parts);
            a->items = parts;
            for (int k = 0; k < 3; k++)
                KP_TRY(settle_part(s, &parts[k], &open[3 * axis + k]));
            for (int k = 0; k < 3; k++) { /* the known parts go along with an open one */
                bool any = open[3 * axis] || open[3 * axis + 1] || open[3 * axis + 2];
                if (any && !open[3 * axis + k] && parts[k].kind == KP_ARG_INT)
                    KP_TRY(kp_lw_expr_number(s->w, parts[k].integer, &open[3 * axis + k]));
                if (k == 2 && any)
                    parts[0] = parts[1] = parts[2] = (kp_arg){.kind = KP_ARG_NONE};
            }
        } else if (a->kind == KP_ARG_REF || a->kind == KP_ARG_CONST) {
            KP_TRY(settle_part(s, a, &e));
            if (e) {
                KP_TRY(kp_lw_expr_number(s->w, 1, &one));
                open[3 * axis] = e;
                KP_TRY(kp_lw_expr_pair(s->w, KP_SIZE_ADD, e, one, &open[3 * axis + 1]));
                *a = (kp_arg){.kind = KP_ARG_INT};
            }
        }
        axis++;
    }
    return 0;
}

/* An element or a range of a list of sizes. */
static int pick_sizes(const sized *s, const list *l, const kp_arg *key, bool *done, kp_value **out)
{
    const kp_lw_expr *picked[KP_LW_SIZES_MAX] = {0};
    int64_t n = l->l.n;
    int count = 0;
    if (key->kind == KP_ARG_INT) {
        int64_t i = key->integer < 0 ? key->integer + n : key->integer;
        return i < 0 || i >= n
                   ? 0
                   : result(s, l->type, false, &(kp_lw_size_list){1, &l->l.at[i]}, done, out);
    }
    if (key->kind != KP_ARG_SLICE || key->n_items != 3)
        return 0;
    const kp_arg *a = &key->items[0], *b = &key->items[1], *c = &key->items[2];
    int64_t step = c->kind == KP_ARG_INT ? c->integer : 1;
    if (step == 0 || step < -n || step > KP_LW_SIZES_MAX)
        return 0;
    int64_t from = a->kind == KP_ARG_INT ? a->integer : step > 0 ? 0 : n - 1;
    int64_t to = b->kind == KP_ARG_INT ? b->integer : step > 0 ? n : -n - 1;
    from += from < 0 ? n : 0;
    to += to < 0 ? n : 0;
    for (int64_t i = from; step > 0 ? i < to : i > to; i += step)
        if (i >= 0 && i < n)
            picked[count++] = l->l.at[i];
    return result(s, l->type, true, &(kp_lw_size_list){count, picked}, done, out);
}

int kp_tf_elements(kp_lw *w, const kp_lw_call *c, const kp_arg *a, kp_lw_env *env, kp_arg *out)
{
    sized s = {.w = w, .c = c};
    list l;
    if (!list_of(&s, a, 0, &l) || !l.vector || l.l.n > KP_TF_PLACES_MAX)
        return kp_fail(KP_EMODEL,
                       "layer \"%s\" (%s): a slice whose ends depend on the data is not supported",
                       c->layer->path, c->layer->class_name);
    *out = (kp_arg){.kind = KP_ARG_LIST, .n_items = l.l.n};
    out->items = kp_arena_array(w->mem, (size_t)l.l.n, sizeof *out->items);
    if (!out->items)
        return KP_ENOMEM;
    for (int i = 0; i < l.l.n; i++) {
        kp_lw_result *r = &env->results[env->n_calls];
        int64_t n;
        out->items[i] = (kp_arg){.kind = KP_ARG_REF, .ref = {env->n_calls++, 0}};
        KP_TRY(kp_lw_result_new(w, 1, r));
        KP_TRY(kp_lw_sizes_make(w, KP_INT32, 0, &l.l.at[i], 1, r->values));
        if (kp_lw_expr_is_number(l.l.at[i], &n))
            out->items[i] = (kp_arg){.kind = KP_ARG_INT, .integer = n};
    }
    return 0;
}

int kp_tf_slice(kp_lw *w, const kp_lw_call *c, kp_value *x, const kp_arg *given, kp_value **out)
{
    sized s = {.w = w, .c = c, .args = given, .kwargs = given};
    const kp_lw_expr *open[3 * KP_MAX_DIMS] = {0};
    kp_arg key = {.kind = KP_ARG_LIST, .n_items = given->kind == KP_ARG_LIST ? given->n_items : 1};
    list l = {0};
    bool done = false;
    key.items = kp_arena_array(w->mem, (size_t)key.n_items + 1, sizeof *key.items);
    if (!key.items)
        return KP_ENOMEM;
    memcpy(key.items, given->kind == KP_ARG_LIST ? given->items : given,
           (size_t)key.n_items * sizeof *key.items);
    KP_TRY(settle_key(&s, &key, x->ndim, open));
    l.type = x->dtype;
    if (key.n_items == 1 && x->ndim == 1 && kp_lw_sizes_of(w, x, &l.l))
        KP_TRY(pick_sizes(&s, &l, &key.items[0], &done, out));
    if (done)
        return 0;
    KP_TRY(cut(w, x, open, &x));
    return kp_lw_get_item(w, c, &key, x, out);
}

/* ---- the functions by name ---- */

static const struct {
    const char *name;
    sized_fn fn;
    int variant;
} functions[] = {
    {"shape", do_shape, 0},
    {"compat.v1.shape", do_shape, 0},
    {"keras.backend.shape", do_shape, 0},
    {"Shape", do_shape, 0},
    {"size", do_size, 0},
    {"compat.v1.size", do_size, 0},
    {"Size", do_size, 0},
    {"__operators__.add", do_pair, KP_SIZE_ADD},
    {"math.add", do_pair, KP_SIZE_ADD},
    {"Add", do_pair, KP_SIZE_ADD},
    {"AddV2", do_pair, KP_SIZE_ADD},
    {"__operators__.sub", do_pair, KP_SIZE_SUB},
    {"math.subtract", do_pair, KP_SIZE_SUB},
    {"Sub", do_pair, KP_SIZE_SUB},
    {"__operators__.mul", do_pair, KP_SIZE_MUL},
    {"math.multiply", do_pair, KP_SIZE_MUL},
    {"Mul", do_pair, KP_SIZE_MUL},
    {"__operators__.floordiv", do_pair, KP_SIZE_FLOOR_DIV},
    {"math.floordiv", do_pair, KP_SIZE_FLOOR_DIV},
    {"compat.v1.floor_div", do_pair, KP_SIZE_FLOOR_DIV},
    {"FloorDiv", do_pair, KP_SIZE_FLOOR_DIV},
    {"__operators__.mod", do_pair, KP_SIZE_MOD},
    {"math.floormod", do_pair, KP_SIZE_MOD},
    {"math.mod", do_pair, KP_SIZE_MOD},
    {"FloorMod", do_pair, KP_SIZE_MOD},
    {"math.maximum", do_pair, KP_SIZE_MAX},
    {"Maximum", do_pair, KP_SIZE_MAX},
    {"math.minimum", do_pair, KP_SIZE_MIN},
    {"Minimum", do_pair, KP_SIZE_MIN},
    {"math.reduce_prod", do_reduce, KP_SIZE_MUL},
    {"Prod", do_reduce, KP_SIZE_MUL},
    {"math.reduce_sum", do_reduce, KP_SIZE_ADD},
    {"Sum", do_reduce, KP_SIZE_ADD},
    {"math.reduce_max", do_reduce, KP_SIZE_MAX},
    {"Max", do_reduce, KP_SIZE_MAX},
    {"math.reduce_min", do_reduce, KP_SIZE_MIN},
    {"Min", do_reduce, KP_SIZE_MIN},
    {"cast", do_cast, 0},
    {"Cast", do_cast, 0},
    {"expand_dims", do_rank, 1},
    {"ExpandDims", do_rank, 1},
    {"squeeze", do_rank, 0},
    {"Squeeze", do_rank, 0},
    {"stack", do_stack, 0},
    {"concat", do_concat, 0},
    {"unstack", do_unstack, 0},
    {"Unpack", do_unstack, 0},
    {"gather", do_gather, 3},
    {"compat.v1.gather", do_gather, 4},
    {"GatherV2", do_gather, 2},
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
    {"linalg.band_part", do_band, 0},
    {"MatrixBandPart", do_band, 0},
    {"slice", do_slice, 0},
    {"Slice", do_slice, 0},
};

int kp_tf_sized(kp_lw *w, const kp_lw_call *c, const char *name, const kp_arg *args,
                const kp_arg *kwargs, bool *done, kp_value **out)
{
    sized s = {w, c, name, args, kwargs, 0};
    *done = false;
    for (size_t i = 0; i < sizeof functions / sizeof *functions; i++)
        if (strcmp(functions[i].name, name) == 0) {
            s.variant = functions[i].variant;
            return functions[i].fn(&s, done, out);
        }
    return 0;
}
