/* Pooling to a given number of cells. Along one axis of L cells, output j of n is over the cells
 * from floor(j*L/n) to ceil((j+1)*L/n); a box is pooled axis after axis, since its edges are
 * straight. */
#include "lower/build.h"

static int read_sizes(const kp_lw_call *c, int n, int first_axis, int64_t *out)
{
    const json_t *v = json_object_get(c->layer->config, "output_size");
    for (int i = 0; i < n; i++) {
        const json_t *e = json_is_array(v) ? json_array_get(v, (size_t)i) : v;
        bool keeps = json_is_array(v) && json_is_null(e);
        out[i] = keeps ? c->in[0]->shape[first_axis + i] : json_integer_value(e);
        if ((!keeps && (!json_is_integer(e) || out[i] < 1 || out[i] > INT32_MAX)) ||
            (json_is_array(v) && json_array_size(v) != (size_t)n))
            return kp_fail(KP_EMODEL, "layer \"%s\" (%s): \"output_size\" is not %d sizes",
                           c->layer->path, c->layer->class_name, n);
    }
    return 0;
}

static int part(kp_lw *w, int axis, int64_t from, int64_t to, kp_value *x, kp_value **out)
{
    kp_node n = {.op = KP_OP_SLICE};
    for (int a = 0; a < x->ndim; a++) {
        n.attr.slice.begin[a] = a == axis ? from : 0;
        n.attr.slice.end[a] = a == axis ? to : INT64_MAX;
        n.attr.slice.step[a] = 1;
    }
    return kp_lw_add(w, &n, &x, 1, out);
}

static int pool_axis(kp_lw *w, kp_reduce_kind kind, int axis, int64_t size, kp_value *x,
                     kp_value **out)
{
    int64_t have;
    kp_node reduce = {.op = KP_OP_REDUCE,
                      .attr.reduce = {.kind = kind, .axes = {1, {axis}}, .keepdims = true}};
    kp_node concat = {.op = KP_OP_CONCAT, .attr.axis.axis = axis};
    KP_TRY(kp_lw_known(x, axis, &have));
    *out = x;
    if (have == size)
        return 0;
    if (size > KP_NODE_INPUTS_MAX)
        return kp_fail(KP_ELIMIT, "pooling to more than %d cells is not supported",
                       KP_NODE_INPUTS_MAX);
    kp_value **cells = kp_arena_array(w->mem, (size_t)size, sizeof(kp_value *));
    if (!cells)
        return KP_ENOMEM;
    for (int64_t j = 0; j < size; j++) {
        int64_t from = j * have / size, to = ((j + 1) * have + size - 1) / size;
        KP_TRY(part(w, axis, from, to, x, &cells[j]));
        KP_TRY(kp_lw_add(w, &reduce, &cells[j], 1, &cells[j]));
    }
    *out = cells[0];
    return size == 1 ? 0 : kp_lw_add(w, &concat, cells, (int)size, out);
}

/* variant: spatial axes for the average, negative for the maximum. */
static int do_adaptive_pool(kp_lw *w, const kp_lw_call *c, kp_value **out)
{
    int n = c->variant < 0 ? -c->variant : c->variant;
    kp_reduce_kind kind = c->variant < 0 ? KP_RED_MAX : KP_RED_MEAN;
    int64_t size[KP_MAX_SPATIAL];
    bool first;
    kp_value *x;
    KP_TRY(kp_lw_rank(c, n + 2));
    KP_TRY(kp_lw_channels_first(c->layer, &first));
    int axis = first ? 2 : 1;
    KP_TRY(read_sizes(c, n, axis, size));
    KP_TRY(kp_lw_float(w, c->in[0], &x));
    for (int i = 0; i < n; i++)
        if (size[i] >= 0) /* an open size that is kept needs no pooling */
            KP_TRY(pool_axis(w, kind, axis + i, size[i], x, &x));
    *out = x;
    return 0;
}

const kp_lw_entry kp_lw_adaptive_layers[] = {
    {"AdaptiveAveragePooling1D", do_adaptive_pool, 1, KP_LW_ONE, KP_LW_MASK_DROP},
    {"AdaptiveAveragePooling2D", do_adaptive_pool, 2, KP_LW_ONE, KP_LW_MASK_DROP},
    {"AdaptiveAveragePooling3D", do_adaptive_pool, 3, KP_LW_ONE, KP_LW_MASK_DROP},
    {"AdaptiveMaxPooling1D", do_adaptive_pool, -1, KP_LW_ONE, KP_LW_MASK_DROP},
    {"AdaptiveMaxPooling2D", do_adaptive_pool, -2, KP_LW_ONE, KP_LW_MASK_DROP},
    {"AdaptiveMaxPooling3D", do_adaptive_pool, -3, KP_LW_ONE, KP_LW_MASK_DROP},
    {0},
};

static int do_op_adaptive(kp_lw *w, const kp_lw_call *c, kp_value **out)
{
    kp_lw_call inner = *c;
    int n = c->in[0]->ndim - 2;
    if (n < 1 || n > KP_MAX_SPATIAL)
        return kp_lw_rank(c, 4);
    inner.variant = c->variant * n;
    return do_adaptive_pool(w, &inner, out);
}

const kp_lw_entry kp_lw_adaptive_operations[] = {
    {"AdaptiveAveragePool", do_op_adaptive, 1, KP_LW_ONE, KP_LW_MASK_DROP},
    {"AdaptiveMaxPool", do_op_adaptive, -1, KP_LW_ONE, KP_LW_MASK_DROP},
    {0},
};
