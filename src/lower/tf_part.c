/* Slices whose ends may be computed, of tensors and of lists of sizes. */
#include "lower/tf_sized.h"

/* How many diagonals stay below and above the main one; less than 0: all. */
static int do_band(const kp_tf_sized_call *s, bool *done, kp_value **out)
{
    kp_tf_list low, high;
    int64_t below, above;
    kp_value *x;
    kp_diagonals *p = kp_arena_alloc(s->w->mem, sizeof *p);
    if (!p)
        return KP_ENOMEM;
    if (!kp_tf_list_of(s, kp_tf_arg(s, 1, "num_lower"), 0, &low) ||
        !kp_tf_list_of(s, kp_tf_arg(s, 2, "num_upper"), 0, &high) ||
        !kp_lw_expr_is_number(low.l.at[0], &below) || !kp_lw_expr_is_number(high.l.at[0], &above))
        return 0;
    *done = true;
    p->low = below < 0 ? -INT64_MAX : -below;
    p->high = above < 0 ? INT64_MAX : above;
    KP_TRY(kp_lw_tensor_of(s->w, s->c, kp_tf_arg(s, 0, "input"), &x));
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
static int do_slice(const kp_tf_sized_call *s, bool *done, kp_value **out)
{
    kp_tf_list begin, size;
    kp_value *x;
    const kp_lw_expr *open[3 * KP_MAX_DIMS] = {0};
    if (!kp_tf_list_of(s, kp_tf_arg(s, 1, "begin"), 0, &begin) ||
        !kp_tf_list_of(s, kp_tf_arg(s, 2, "size"), 0, &size))
        return 0;
    *done = true;
    KP_TRY(kp_lw_tensor_of(s->w, s->c, kp_tf_arg(s, 0, "input_"), &x));
    if (begin.l.n != x->ndim || size.l.n != x->ndim)
        return kp_fail(KP_EMODEL, "layer \"%s\": a slice of another rank", s->c->layer->path);
    for (int i = 0; i < x->ndim; i++) {
        int64_t from, n;
        bool rest = kp_lw_expr_is_number(size.l.at[i], &n) && n == -1;
        kp_lw_size have;
        bool first = kp_lw_expr_is_number(begin.l.at[i], &from);
        KP_TRY(kp_lw_expr_size(s->w, size.l.at[i], &have));
        if ((first && (from < -INT32_MAX || from > INT32_MAX)) || have.n > INT32_MAX)
            return kp_fail(KP_EMODEL, "layer \"%s\": a slice out of range", s->c->layer->path);
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
static int settle_part(const kp_tf_sized_call *s, kp_arg *a, const kp_lw_expr **expr)
{
    kp_tf_list l;
    int64_t n;
    *expr = NULL;
    if (a->kind != KP_ARG_REF && a->kind != KP_ARG_CONST)
        return 0;
    if (!kp_tf_list_of(s, a, 0, &l) || l.vector)
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
static int settle_key(const kp_tf_sized_call *s, kp_arg *key, int ndim, const kp_lw_expr **open)
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

/* Counted from the back when below 0; -1..n. */
static int64_t within(int64_t at, int64_t n)
{
    if (at < 0)
        return at < -n ? -1 : at + n;
    return at > n ? n : at;
}

/* An element or a range of a list of sizes. */
static int pick_sizes(const kp_tf_sized_call *s, const kp_tf_list *l, const kp_arg *key, bool *done,
                      kp_value **out)
{
    const kp_lw_expr *picked[KP_LW_SIZES_MAX] = {0};
    int64_t n = l->l.n;
    int count = 0;
    if (key->kind == KP_ARG_INT) {
        int64_t i = key->integer < 0 ? key->integer + n : key->integer;
        return i < 0 || i >= n
                   ? 0
                   : kp_tf_result(s, l->type, false, &(kp_lw_size_list){1, &l->l.at[i]}, done, out);
    }
    if (key->kind != KP_ARG_SLICE || key->n_items != 3)
        return 0;
    const kp_arg *a = &key->items[0], *b = &key->items[1], *c = &key->items[2];
    int64_t step = c->kind == KP_ARG_INT ? c->integer : 1;
    if (step == 0 || step < -n || step > KP_LW_SIZES_MAX)
        return 0;
    int64_t from = a->kind == KP_ARG_INT ? a->integer : step > 0 ? 0 : n - 1;
    int64_t to = b->kind == KP_ARG_INT ? b->integer : step > 0 ? n : -n - 1;
    from = within(from, n);
    to = within(to, n);
    from = step > 0 && from < 0 ? 0 : step < 0 && from == n ? n - 1 : from;
    for (int64_t i = from; step > 0 ? i < to : i > to; i += step)
        if (i >= 0 && i < n)
            picked[count++] = l->l.at[i];
    return kp_tf_result(s, l->type, true, &(kp_lw_size_list){count, picked}, done, out);
}

int kp_tf_elements(kp_lw *w, const kp_lw_call *c, const kp_arg *a, kp_lw_env *env, kp_arg *out)
{
    kp_tf_sized_call s = {.w = w, .c = c};
    kp_tf_list l;
    if (!kp_tf_list_of(&s, a, 0, &l) || !l.vector || l.l.n > KP_TF_PLACES_MAX)
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
    kp_tf_sized_call s = {.w = w, .c = c, .args = given, .kwargs = given};
    const kp_lw_expr *open[3 * KP_MAX_DIMS] = {0};
    kp_arg key = {.kind = KP_ARG_LIST, .n_items = given->kind == KP_ARG_LIST ? given->n_items : 1};
    kp_tf_list l = {0};
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

const kp_tf_sized_entry kp_tf_part_functions[] = {
    {"linalg.band_part", do_band, 0},
    {"MatrixBandPart", do_band, 0},
    {"slice", do_slice, 0},
    {"Slice", do_slice, 0},
    {0},
};
