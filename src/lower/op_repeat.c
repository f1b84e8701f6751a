/* keras.ops that repeat elements and add cells at the edges. */
#include "lower/view.h"

/* ---- repeating ---- */

static int do_tile(kp_lw *w, const kp_lw_call *c, kp_value **out)
{
    int64_t times[KP_MAX_DIMS];
    kp_value *x = c->in[0];
    int n;
    KP_TRY(kp_lw_ints(c->layer, "repeats", KP_MAX_DIMS, times, &n));
    if (n > KP_MAX_DIMS)
        return kp_fail(KP_EMODEL, "layer \"%s\": more than %d axes", c->layer->path, KP_MAX_DIMS);
    while (n > x->ndim)
        KP_TRY(kp_lw_add_axis(w, 0, x, &x));
    for (int i = 0; i < n; i++) {
        int axis = x->ndim - n + i, copies = (int)times[i];
        if (copies < 1 || copies > KP_NODE_INPUTS_MAX)
            return kp_fail(KP_EMODEL, "layer \"%s\": %d copies", c->layer->path, copies);
        kp_value **all = kp_arena_array(w->mem, (size_t)copies, sizeof *all);
        if (!all)
            return KP_ENOMEM;
        for (int k = 0; k < copies; k++)
            all[k] = x;
        if (copies > 1)
            KP_TRY(kp_lw_concat(w, c, axis, all, copies, &x));
    }
    *out = x;
    return 0;
}

/* Places by how often each is repeated, as a constant. */
static int repeated_places(kp_lw *w, const int64_t *times, int n, kp_value **out)
{
    enum { MOST = 1 << 24 };
    int64_t total = 0, at = 0;
    for (int i = 0; i < n; i++)
        total += times[i] > 0 ? times[i] : 0;
    if (total < 1 || total > MOST)
        return kp_fail(KP_EMODEL, "%lld repeated elements", (long long)total);
    int32_t *data = kp_graph_alloc(w->g, (size_t)total * sizeof *data);
    if (!data)
        return KP_ENOMEM;
    for (int i = 0; i < n; i++)
        for (int64_t k = 0; k < times[i]; k++)
            data[at++] = i;
    return kp_graph_add_const(w->g, w->name, KP_INT32, &total, 1, data, out);
}

static int do_repeat(kp_lw *w, const kp_lw_call *c, kp_value **out)
{
    int64_t times[KP_LW_INTS_MAX], number = 0, size;
    kp_node node = {.op = KP_OP_REPEAT};
    kp_value *x = c->in[0], *places;
    int n, axis = 0;
    if (kp_lw_is_null(c->layer, "axis"))
        KP_TRY(kp_lw_flat(w, x, &x));
    else
        KP_TRY(kp_cfg_int(c->layer, "axis", 0, &number));
    KP_TRY(kp_lw_axis(c->layer, number, x->ndim, &axis));
    KP_TRY(kp_lw_ints(c->layer, "repeats", KP_LW_INTS_MAX, times, &n));
    if (x->shape[axis] == KP_DIM_BATCH && n > 1)
        return kp_lw_rows_refused(c, "repeats rows of the batch, each another number of times");
    if (x->shape[axis] == KP_DIM_BATCH)
        return kp_lw_view_repeat(w, times[0], x, out);
    if (n == 1) {
        for (int i = 0; i < x->ndim; i++)
            node.attr.repeat.times[i] = i == axis ? times[0] : 1;
        return kp_lw_add(w, &node, &x, 1, out);
    }
    KP_TRY(kp_lw_known(x, axis, &size));
    if (size != n)
        return kp_fail(KP_EMODEL, "layer \"%s\": %d numbers of repeats for %lld elements",
                       c->layer->path, n, (long long)size);
    KP_TRY(repeated_places(w, times, n, &places));
    return kp_lw_gather(w, axis, 0, x, places, out);
}

/* ---- padding ---- */

static int pad_amounts(const kp_lw_call *c, int ndim, int64_t *before, int64_t *after)
{
    int64_t v[2 * KP_MAX_DIMS];
    int n;
    KP_TRY(kp_lw_ints(c->layer, "pad_width", 2 * KP_MAX_DIMS, v, &n));
    if (n != 2 * ndim)
        return kp_fail(KP_EMODEL, "layer \"%s\": %d amounts for both sides of %d axes",
                       c->layer->path, n, ndim);
    for (int i = 0; i < ndim; i++) {
        before[i] = v[2 * i];
        after[i] = v[2 * i + 1];
    }
    return 0;
}

static int pad_constant(kp_lw *w, const kp_lw_call *c, kp_node *n, kp_value **out)
{
    const kp_arg *a = kp_lw_arg(c, 1, "constant_values");
    if (a && a->kind != KP_ARG_NONE && !kp_lw_arg_number(a, &n->attr.pad.value))
        return kp_fail(KP_EMODEL, "layer \"%s\": \"constant_values\" is not a number",
                       c->layer->path);
    return kp_lw_add(w, n, c->in, 1, out);
}

static int do_pad(kp_lw *w, const kp_lw_call *c, kp_value **out)
{
    kp_value *x = c->in[0];
    kp_node n = {.op = KP_OP_PAD};
    kp_arrange how = {0};
    const char *mode;
    KP_TRY(kp_cfg_str(c->layer, "mode", "constant", &mode));
    KP_TRY(pad_amounts(c, x->ndim, n.attr.pad.before, n.attr.pad.after));
    if (x->ndim > 0 && x->shape[0] == KP_DIM_BATCH &&
        (n.attr.pad.before[0] != 0 || n.attr.pad.after[0] != 0))
        return kp_lw_rows_refused(c, "adds rows to the batch");
    if (strcmp(mode, "constant") == 0)
        return pad_constant(w, c, &n, out);
    kp_arrange_kind kind = strcmp(mode, "reflect") == 0     ? KP_ARRANGE_REFLECT
                           : strcmp(mode, "symmetric") == 0 ? KP_ARRANGE_SYMMETRIC
                                                            : KP_ARRANGE_KEEP;
    if (kind == KP_ARRANGE_KEEP)
        return kp_fail(KP_EMODEL, "layer \"%s\": the mode \"%s\" is not known", c->layer->path,
                       mode);
    for (int i = 0; i < x->ndim; i++) {
        how.before[i] = n.attr.pad.before[i];
        how.after[i] = n.attr.pad.after[i];
        how.kind[i] = how.before[i] != 0 || how.after[i] != 0 ? kind : KP_ARRANGE_KEEP;
    }
    return kp_lw_arrange(w, &how, x, out);
}

const kp_lw_entry kp_lw_repeat_operations[] = {
    {"Tile", do_tile, 0, KP_LW_ONE, KP_LW_MASK_DROP},
    {"Repeat", do_repeat, 0, KP_LW_ONE, KP_LW_MASK_DROP},
    {"Pad", do_pad, 0, 1, 0, KP_LW_SAME, KP_LW_MASK_DROP},
    {0},
};
