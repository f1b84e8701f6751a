/* Functions of TensorFlow on sizes: tf.shape, arithmetic, lists. */
#include "lower/tf_sized.h"

const kp_arg *kp_tf_arg(const kp_tf_sized_call *s, int position, const char *name)
{
    if (position >= 0 && position < s->args->n_items)
        return &s->args->items[position];
    for (int i = 0; s->kwargs->keys && i < s->kwargs->n_items; i++)
        if (strcmp(s->kwargs->keys[i], name) == 0)
            return &s->kwargs->items[i];
    return NULL;
}

int kp_tf_named_type(const kp_tf_sized_call *s, int position, const char *name, kp_dtype dflt,
                     kp_dtype *out)
{
    const kp_arg *a = kp_tf_arg(s, position, name);
    *out = a && a->kind == KP_ARG_STR ? kp_dtype_from_name(a->str) : dflt;
    return kp_dtype_size(*out) > 0 ? 0 : kp_fail(KP_EMODEL, "a type that is not known");
}

/* ---- arguments as lists of sizes ---- */

static bool list_of_items(const kp_tf_sized_call *s, const kp_arg *a, int depth, kp_tf_list *out)
{
    *out = (kp_tf_list){.vector = true, .l.n = a->n_items};
    if (a->n_items < 1 || a->n_items > KP_LW_SIZES_MAX || depth > 2)
        return false;
    out->l.at = kp_arena_array(s->w->mem, (size_t)a->n_items, sizeof(*out->l.at));
    for (int i = 0; out->l.at && i < a->n_items; i++) {
        kp_tf_list one;
        if (!kp_tf_list_of(s, &a->items[i], depth + 1, &one) || one.vector)
            return false;
        out->l.at[i] = one.l.at[0];
        out->type = one.type != KP_DTYPE_NONE ? one.type : out->type;
    }
    return out->l.at != NULL;
}

static bool any_list(const kp_tf_sized_call *s, const kp_arg *a, int depth, kp_tf_list *out)
{
    kp_lw_operand o;
    *out = (kp_tf_list){0};
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

bool kp_tf_list_of(const kp_tf_sized_call *s, const kp_arg *a, int depth, kp_tf_list *out)
{
    return any_list(s, a, depth, out) && out->l.n > 0;
}

int kp_tf_result(const kp_tf_sized_call *s, kp_dtype type, bool vector, const kp_lw_size_list *l,
                 bool *done, kp_value **out)
{
    *done = true;
    return kp_lw_sizes_make(s->w, type != KP_DTYPE_NONE ? type : KP_INT32, vector, l->at, l->n,
                            out);
}

/* ---- arithmetic of sizes ---- */

/* At least one is taken from a tensor: literals alone are no matter of sizes. */
static int do_pair(const kp_tf_sized_call *s, bool *done, kp_value **out)
{
    kp_tf_list a, b;
    if (!kp_tf_list_of(s, kp_tf_arg(s, 0, "x"), 0, &a) ||
        !kp_tf_list_of(s, kp_tf_arg(s, 1, "y"), 0, &b) ||
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
    return kp_tf_result(s, a.type != KP_DTYPE_NONE ? a.type : b.type, a.vector || b.vector, &l,
                        done, out);
}

static int do_reduce(const kp_tf_sized_call *s, bool *done, kp_value **out)
{
    kp_tf_list a;
    const kp_arg *keep = kp_tf_arg(s, 2, "keepdims");
    if (!kp_tf_list_of(s, kp_tf_arg(s, 0, "input_tensor"), 0, &a) || a.type == KP_DTYPE_NONE ||
        !a.vector)
        return 0;
    const kp_lw_expr *sum = a.l.at[0];
    for (int i = 1; i < a.l.n; i++)
        KP_TRY(kp_lw_expr_pair(s->w, (kp_size_op)s->variant, sum, a.l.at[i], &sum));
    bool vector = keep && keep->kind == KP_ARG_BOOL && keep->boolean;
    return kp_tf_result(s, a.type, vector, &(kp_lw_size_list){1, &sum}, done, out);
}

static int do_cast(const kp_tf_sized_call *s, bool *done, kp_value **out)
{
    kp_tf_list a;
    kp_dtype type;
    if (!kp_tf_list_of(s, kp_tf_arg(s, 0, "x"), 0, &a) || a.type == KP_DTYPE_NONE)
        return 0;
    KP_TRY(kp_tf_named_type(s, 1, kp_tf_arg(s, 1, "dtype") ? "dtype" : "DstT", KP_INT32, &type));
    return type == KP_INT32 || type == KP_INT64 ? kp_tf_result(s, type, a.vector, &a.l, done, out)
                                                : 0;
}

/* variant: 1: one number becomes a list, 0: a list of one number becomes it. */
static int do_rank(const kp_tf_sized_call *s, bool *done, kp_value **out)
{
    kp_tf_list a;
    if (!kp_tf_list_of(s, kp_tf_arg(s, 0, "input"), 0, &a) || a.type == KP_DTYPE_NONE ||
        a.l.n != 1 || a.vector == (s->variant == 1))
        return 0;
    return kp_tf_result(s, a.type, s->variant == 1, &a.l, done, out);
}

static int do_stack(const kp_tf_sized_call *s, bool *done, kp_value **out)
{
    kp_tf_list a;
    const kp_arg *values = kp_tf_arg(s, 0, "values");
    if (!values || values->kind != KP_ARG_LIST || !kp_tf_list_of(s, values, 0, &a) ||
        a.type == KP_DTYPE_NONE)
        return 0;
    return kp_tf_result(s, a.type, true, &a.l, done, out);
}

static int do_concat(const kp_tf_sized_call *s, bool *done, kp_value **out)
{
    const kp_arg *values = kp_tf_arg(s, 0, "values");
    const kp_lw_expr *all[KP_LW_SIZES_MAX];
    kp_lw_size_list l = {0, all};
    kp_dtype type = KP_DTYPE_NONE;
    for (int i = 0; values && values->kind == KP_ARG_LIST && i < values->n_items; i++) {
        kp_tf_list a;
        if (!any_list(s, &values->items[i], 0, &a) || !a.vector || l.n + a.l.n > KP_LW_SIZES_MAX)
            return 0;
        memcpy(all + l.n, a.l.at, (size_t)a.l.n * sizeof *all);
        l.n += a.l.n;
        type = a.type != KP_DTYPE_NONE ? a.type : type;
    }
    return type == KP_DTYPE_NONE ? 0 : kp_tf_result(s, type, true, &l, done, out);
}

static int do_unstack(const kp_tf_sized_call *s, bool *done, kp_value **out)
{
    kp_tf_list a;
    kp_value **values;
    (void)out;
    if (!kp_tf_list_of(s, kp_tf_arg(s, 0, "value"), 0, &a) || a.type == KP_DTYPE_NONE || !a.vector)
        return 0;
    KP_TRY(kp_lw_outputs(s->w, s->c, a.l.n, &values));
    for (int i = 0; i < a.l.n; i++)
        KP_TRY(kp_tf_result(s, a.type, false, &(kp_lw_size_list){1, &a.l.at[i]}, done, &values[i]));
    return 0;
}

static int gather_sizes(const kp_tf_sized_call *s, const kp_tf_list *a, bool *done, kp_value **out)
{
    kp_tf_list places;
    const kp_lw_expr *picked[KP_LW_SIZES_MAX];
    if (!kp_tf_list_of(s, kp_tf_arg(s, 1, "indices"), 0, &places))
        return 0;
    for (int i = 0; i < places.l.n; i++) {
        int64_t at;
        if (!kp_lw_expr_is_number(places.l.at[i], &at) || at < 0 || at >= a->l.n)
            return 0;
        picked[i] = a->l.at[at];
    }
    return kp_tf_result(s, a->type, places.vector, &(kp_lw_size_list){places.l.n, picked}, done,
                        out);
}

/* Of each row by its own indices. variant: the place of the axis among the arguments. */
static int do_gather(const kp_tf_sized_call *s, bool *done, kp_value **out)
{
    kp_tf_list a;
    const kp_arg *dims = kp_tf_arg(s, -1, "batch_dims"), *axis = kp_tf_arg(s, s->variant, "axis");
    kp_value *x, *indices;
    if (kp_tf_list_of(s, kp_tf_arg(s, 0, "params"), 0, &a) && a.type != KP_DTYPE_NONE && a.vector)
        return gather_sizes(s, &a, done, out);
    if (!dims || dims->kind != KP_ARG_INT || dims->integer == 0)
        return 0;
    *done = true;
    KP_TRY(kp_lw_tensor_of(s->w, s->c, kp_tf_arg(s, 0, "params"), &x));
    KP_TRY(kp_lw_tensor_of(s->w, s->c, kp_tf_arg(s, 1, "indices"), &indices));
    int at = 0, n = 0, last = indices->ndim;
    KP_TRY(kp_lw_axis(s->c->layer, dims->integer, last < x->ndim ? last + 1 : x->ndim, &n));
    KP_TRY(kp_lw_axis(s->c->layer, axis && axis->kind == KP_ARG_INT ? axis->integer : n, x->ndim,
                      &at));
    return kp_lw_gather(s->w, at, n, x, indices, out);
}

static int do_size(const kp_tf_sized_call *s, bool *done, kp_value **out)
{
    const kp_lw_expr *all, *one;
    kp_value *x;
    kp_dtype type;
    KP_TRY(kp_lw_tensor_of(s->w, s->c, kp_tf_arg(s, 0, "input"), &x));
    KP_TRY(kp_tf_named_type(s, -1, "out_type", KP_INT32, &type));
    KP_TRY(kp_lw_expr_number(s->w, 1, &all));
    for (int i = 0; i < x->ndim; i++) {
        KP_TRY(kp_lw_expr_axis(s->w, x, i, &one));
        KP_TRY(kp_lw_expr_pair(s->w, KP_SIZE_MUL, all, one, &all));
    }
    return kp_tf_result(s, type, false, &(kp_lw_size_list){1, &all}, done, out);
}

static int do_shape(const kp_tf_sized_call *s, bool *done, kp_value **out)
{
    const kp_lw_expr *all[KP_MAX_DIMS];
    kp_value *x;
    kp_dtype type;
    KP_TRY(kp_lw_tensor_of(s->w, s->c, kp_tf_arg(s, 0, "input"), &x));
    KP_TRY(kp_tf_named_type(s, 1, "out_type", KP_INT32, &type));
    if (x->ndim == 0)
        return kp_fail(KP_EMODEL, "layer \"%s\": the shape of a number is empty",
                       s->c->layer->path);
    for (int i = 0; i < x->ndim; i++)
        KP_TRY(kp_lw_expr_axis(s->w, x, i, &all[i]));
    return kp_tf_result(s, type, true, &(kp_lw_size_list){x->ndim, all}, done, out);
}

/* ---- by name ---- */

const kp_tf_sized_entry kp_tf_size_functions[] = {
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
    {0},
};

int kp_tf_sized(kp_lw *w, const kp_lw_call *c, const char *name, const kp_arg *args,
                const kp_arg *kwargs, bool *done, kp_value **out)
{
    static const kp_tf_sized_entry *const tables[] = {kp_tf_size_functions, kp_tf_shape_functions,
                                                      kp_tf_part_functions};
    kp_tf_sized_call s = {w, c, name, args, kwargs, 0};
    *done = false;
    for (size_t i = 0; i < sizeof tables / sizeof *tables; i++)
        for (const kp_tf_sized_entry *e = tables[i]; e->name; e++)
            if (strcmp(e->name, name) == 0) {
                s.variant = e->variant;
                return e->fn(&s, done, out);
            }
    return 0;
}
