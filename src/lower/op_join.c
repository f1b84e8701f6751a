/* keras.ops that join, split and choose between tensors. */
#include "lower/view.h"

/* ---- lists of tensors ---- */

typedef struct list {
    kp_value **at;
    int n;
} list;

/* The tensors of a list argument in their common type. */
static int list_of(kp_lw *w, const kp_lw_call *c, const kp_arg *a, list *out)
{
    int *types = a ? kp_arena_array(w->mem, (size_t)a->n_items + 1, sizeof *types) : NULL;
    kp_dtype type;
    if (!a || a->kind != KP_ARG_LIST || a->n_items < 1 || a->n_items > KP_NODE_INPUTS_MAX)
        return kp_fail(KP_EMODEL, "layer \"%s\" (%s): it is not called with a list of tensors",
                       c->layer->path, c->layer->class_name);
    out->n = a->n_items;
    out->at = kp_arena_array(w->mem, (size_t)out->n, sizeof *out->at);
    if (!types || !out->at)
        return KP_ENOMEM;
    for (int i = 0; i < out->n; i++) {
        KP_TRY(kp_lw_tensor_of(w, c, &a->items[i], &out->at[i]));
        types[i] = (int)out->at[i]->dtype;
    }
    KP_TRY(kp_lw_result_type(types, out->n, &type));
    for (int i = 0; i < out->n; i++)
        KP_TRY(kp_lw_cast(w, type, out->at[i], &out->at[i]));
    return 0;
}

int kp_lw_concat(kp_lw *w, const kp_lw_call *c, int64_t axis, kp_value *const *x, int n_x,
                 kp_value **out)
{
    kp_node n = {.op = KP_OP_CONCAT};
    KP_TRY(kp_lw_axis(c->layer, axis, x[0]->ndim, &n.attr.axis.axis));
    *out = x[0];
    if (n_x == 1)
        return 0;
    for (int i = 0; i < n_x; i++)
        if (n.attr.axis.axis < x[i]->ndim && x[i]->shape[n.attr.axis.axis] == KP_DIM_BATCH)
            return kp_lw_view_concat(w, x, n_x, out);
    return kp_lw_add(w, &n, x, n_x, out);
}

static int do_concatenate(kp_lw *w, const kp_lw_call *c, kp_value **out)
{
    list l;
    int64_t axis;
    KP_TRY(kp_cfg_int(c->layer, "axis", 0, &axis));
    KP_TRY(list_of(w, c, kp_lw_arg(c, 0, "xs"), &l));
    return kp_lw_concat(w, c, axis, l.at, l.n, out);
}

static int do_append(kp_lw *w, const kp_lw_call *c, kp_value **out)
{
    kp_value *both[2];
    list l = {both, 2};
    int64_t axis;
    KP_TRY(kp_lw_two(w, c, false, &both[0], &both[1]));
    if (kp_lw_is_null(c->layer, "axis")) {
        axis = 0;
        KP_TRY(kp_lw_flat(w, both[0], &both[0]));
        KP_TRY(kp_lw_flat(w, both[1], &both[1]));
    } else {
        KP_TRY(kp_cfg_int(c->layer, "axis", 0, &axis));
    }
    return kp_lw_concat(w, c, axis, l.at, l.n, out);
}

static int do_stack(kp_lw *w, const kp_lw_call *c, kp_value **out)
{
    list l;
    int64_t number;
    int axis = 0;
    KP_TRY(kp_cfg_int(c->layer, "axis", 0, &number));
    KP_TRY(list_of(w, c, kp_lw_arg(c, 0, "x"), &l));
    KP_TRY(kp_lw_axis(c->layer, number, l.at[0]->ndim + 1, &axis));
    if (l.at[0]->ndim >= KP_MAX_DIMS)
        return kp_fail(KP_EMODEL, "layer \"%s\": more than %d axes", c->layer->path, KP_MAX_DIMS);
    for (int i = 0; i < l.n; i++)
        KP_TRY(kp_lw_add_axis(w, axis, l.at[i], &l.at[i]));
    return kp_lw_concat(w, c, axis, l.at, l.n, out);
}

/* variant: the axis; a tensor of fewer axes gets it at its end, a vector also one in front. */
static int do_stack_along(kp_lw *w, const kp_lw_call *c, kp_value **out)
{
    int axis = c->variant;
    list l;
    KP_TRY(list_of(w, c, kp_lw_arg(c, 0, "xs"), &l));
    if (axis == 1 && l.at[0]->ndim == 1)
        axis = 0;
    for (int i = 0; axis == 2 && i < l.n; i++) {
        if (l.at[i]->ndim == 1 && l.at[i]->shape[0] == KP_DIM_BATCH)
            return kp_lw_rows_refused(c, "puts an axis before the batch");
        while (l.at[i]->ndim < 2)
            KP_TRY(kp_lw_add_axis(w, 0, l.at[i], &l.at[i]));
        if (l.at[i]->ndim == 2)
            KP_TRY(kp_lw_add_axis(w, 2, l.at[i], &l.at[i]));
    }
    return kp_lw_concat(w, c, axis, l.at, l.n, out);
}

/* ---- splitting ---- */

/* Where the pieces begin; n + 1 places, the last being the end. */
typedef struct cuts {
    int n;
    int64_t *at;
} cuts;

static int cuts_new(kp_lw *w, const kp_lw_call *c, int64_t n, cuts *out)
{
    if (n < 1 || n > KP_NODE_INPUTS_MAX)
        return kp_fail(KP_EMODEL, "layer \"%s\": %lld pieces", c->layer->path, (long long)n);
    out->n = (int)n;
    out->at = kp_arena_array(w->mem, (size_t)n + 1, sizeof *out->at);
    return out->at ? 0 : KP_ENOMEM;
}

/* Equal pieces; the first ones get what is over, which only ArraySplit allows. */
static int equal_cuts(kp_lw *w, const kp_lw_call *c, int64_t n, int64_t size, cuts *out)
{
    KP_TRY(cuts_new(w, c, n, out));
    if (size % n != 0 && strcmp(c->layer->class_name, "ArraySplit") != 0)
        return kp_fail(KP_EMODEL, "layer \"%s\": %lld cells in %lld equal pieces", c->layer->path,
                       (long long)size, (long long)n);
    for (int64_t i = 0; i <= n; i++)
        out->at[i] = i * (size / n) + (i < size % n ? i : size % n);
    return 0;
}

static int read_cuts(kp_lw *w, const kp_lw_call *c, int64_t size, cuts *out)
{
    const json_t *v = json_object_get(c->layer->config, "indices_or_sections");
    int64_t numbers[256];
    int n;
    if (json_is_integer(v))
        return equal_cuts(w, c, json_integer_value(v), size, out);
    KP_TRY(kp_lw_ints(c->layer, "indices_or_sections", 256, numbers, &n));
    KP_TRY(cuts_new(w, c, n + 1, out));
    for (int i = 0; i < n; i++) {
        out->at[i + 1] = numbers[i];
        if (out->at[i + 1] < out->at[i] || out->at[i + 1] > size)
            return kp_fail(KP_EMODEL, "layer \"%s\": a piece ends at %lld of %lld", c->layer->path,
                           (long long)out->at[i + 1], (long long)size);
    }
    out->at[n + 1] = size;
    return 0;
}

/* Equal pieces of rows that a concatenation has put one after the other. */
static int split_rows(kp_lw *w, const kp_lw_call *c)
{
    const json_t *v = json_object_get(c->layer->config, "indices_or_sections");
    kp_value **pieces;
    cuts at = {0};
    if (!json_is_integer(v))
        return kp_lw_rows_refused(c, "splits the batch");
    KP_TRY(cuts_new(w, c, json_integer_value(v), &at));
    KP_TRY(kp_lw_outputs(w, c, at.n, &pieces));
    for (int i = 0; i < at.n; i++)
        KP_TRY(kp_lw_view_piece(w, i, at.n, c->in[0], &pieces[i]));
    return 0;
}

static int split(kp_lw *w, const kp_lw_call *c, int64_t number)
{
    kp_value *x = c->in[0], **pieces;
    int axis = 0;
    int64_t size;
    cuts at;
    KP_TRY(kp_lw_axis(c->layer, number, x->ndim, &axis));
    if (x->shape[axis] == KP_DIM_BATCH)
        return split_rows(w, c);
    KP_TRY(kp_lw_known(x, axis, &size));
    KP_TRY(read_cuts(w, c, size, &at));
    KP_TRY(kp_lw_outputs(w, c, at.n, &pieces));
    for (int i = 0; i < at.n; i++)
        KP_TRY(kp_lw_slice(w, axis, at.at[i], at.at[i + 1], 1, x, &pieces[i]));
    return 0;
}

static int do_split(kp_lw *w, const kp_lw_call *c, kp_value **out)
{
    int64_t axis;
    (void)out;
    KP_TRY(kp_cfg_int(c->layer, "axis", 0, &axis));
    return split(w, c, axis);
}

static int do_split_along(kp_lw *w, const kp_lw_call *c, kp_value **out)
{
    (void)out;
    return split(w, c, c->variant == 1 && c->in[0]->ndim == 1 ? 0 : c->variant);
}

/* ---- choosing ---- */

static int do_where(kp_lw *w, const kp_lw_call *c, kp_value **out)
{
    const kp_arg *a = kp_lw_arg(c, 1, "x1"), *b = kp_lw_arg(c, 2, "x2");
    kp_lw_operand x, y;
    kp_value *condition, *yes, *no;
    kp_dtype type;
    if (!a || a->kind == KP_ARG_NONE || !b || b->kind == KP_ARG_NONE)
        return kp_lw_rows_refused(c, "gives as many elements as conditions hold");
    KP_TRY(kp_lw_tensor_of(w, c, kp_lw_arg(c, 0, "condition"), &condition));
    KP_TRY(kp_lw_truth(w, condition, &condition));
    KP_TRY(kp_lw_operand_of(w, c, a, &x));
    KP_TRY(kp_lw_operand_of(w, c, b, &y));
    KP_TRY(kp_lw_result_type((int[]){x.type, y.type}, 2, &type));
    KP_TRY(kp_lw_operand_as(w, &x, type, &yes));
    KP_TRY(kp_lw_operand_as(w, &y, type, &no));
    return kp_lw_select(w, condition, yes, no, out);
}

/* The first choice whose condition holds, else the default. */
static int do_select(kp_lw *w, const kp_lw_call *c, kp_value **out)
{
    const kp_arg *conditions = kp_lw_arg(c, 0, "condlist"),
                 *choices = kp_lw_arg(c, 1, "choicelist");
    const kp_arg *dflt = kp_lw_arg(c, 2, "default");
    static const kp_arg zero = {.kind = KP_ARG_INT};
    list l;
    kp_lw_operand other;
    kp_value *condition;
    KP_TRY(list_of(w, c, choices, &l));
    if (!conditions || conditions->kind != KP_ARG_LIST || conditions->n_items != l.n)
        return kp_fail(KP_EMODEL, "layer \"%s\": conditions and choices are not as many",
                       c->layer->path);
    KP_TRY(kp_lw_operand_of(w, c, dflt && dflt->kind != KP_ARG_NONE ? dflt : &zero, &other));
    kp_dtype type;
    KP_TRY(kp_lw_result_type((int[]){(int)l.at[0]->dtype, other.type}, 2, &type));
    KP_TRY(kp_lw_operand_as(w, &other, type, out));
    for (int i = l.n - 1; i >= 0; i--) {
        KP_TRY(kp_lw_tensor_of(w, c, &conditions->items[i], &condition));
        KP_TRY(kp_lw_truth(w, condition, &condition));
        KP_TRY(kp_lw_cast(w, type, l.at[i], &l.at[i]));
        KP_TRY(kp_lw_select(w, condition, l.at[i], *out, out));
    }
    return 0;
}

#define LIST 1, 0, KP_LW_SAME, KP_LW_MASK_DROP

const kp_lw_entry kp_lw_join_operations[] = {
    {"Concatenate", do_concatenate, 0, LIST},
    {"Append", do_append, 0, LIST},
    {"Stack", do_stack, 0, LIST},
    {"Vstack", do_stack_along, 0, LIST},
    {"Hstack", do_stack_along, 1, LIST},
    {"Dstack", do_stack_along, 2, LIST},
    {"Split", do_split, 0, KP_LW_ONE, KP_LW_MASK_OWN},
    {"ArraySplit", do_split, 0, KP_LW_ONE, KP_LW_MASK_OWN},
    {"Vsplit", do_split_along, 0, KP_LW_ONE, KP_LW_MASK_OWN},
    {"Hsplit", do_split_along, 1, KP_LW_ONE, KP_LW_MASK_OWN},
    {"Dsplit", do_split_along, 2, KP_LW_ONE, KP_LW_MASK_OWN},
    {"Where", do_where, 0, LIST},
    {"Select", do_select, 0, LIST},
    {0},
};
