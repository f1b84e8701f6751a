/* Weights of layers as constants of the graph: each asked for once, counted once. */
#include "lower/build.h"

static kp_lw_weight *find_weight(const kp_lw *w, const char *sub, int index, bool here)
{
    for (kp_lw_weight *e = w->record->weights; e; e = e->next)
        if (e->index == index && strcmp(e->info.sub, sub) == 0 && (!here || e->graph == w->g))
            return e;
    return NULL;
}

/* The stored bytes if they are of w->real, else a converted copy. */
static int as_real(kp_lw *w, const kp_weight *weight, int64_t count, const void **out)
{
    *out = weight->data;
    if (weight->dtype == w->real)
        return 0;
    if (weight->dtype == KP_STRING)
        return kp_fail(KP_EMODEL, "%s: a weight of strings is not supported", weight->where);
    void *copy = kp_graph_alloc(w->g, (size_t)count * kp_dtype_size(w->real));
    if (!copy)
        return KP_ENOMEM;
    *out = copy;
    KP_TRY(kp_convert(w->real, copy, weight->dtype, weight->data, (size_t)count));
    kp_map_drop(weight->data, weight->size_bytes);
    return 0;
}

static kp_lw_weight *new_entry(kp_lw *w, int index, kp_value *value,
                               const kp_lowered_variable *info, bool copy)
{
    kp_lw_weight *e = kp_arena_alloc(w->mem, sizeof *e);
    if (!e)
        return NULL;
    *e = (kp_lw_weight){w->record->weights, w->g, copy, index, value, *info, NULL};
    return w->record->weights = e;
}

static int keep_weight(kp_lw *w, int index, kp_value *value, const kp_lowered_variable *info)
{
    kp_lw_weight *e = new_entry(w, index, value, info, false);
    if (!e)
        return KP_ENOMEM;
    e->info.sub = kp_arena_strdup(w->mem, info->sub);
    e->info.name = kp_arena_strdup(w->mem, info->name);
    if (!e->info.sub || !e->info.name)
        return KP_ENOMEM;
    if (w->newest)
        w->newest->newer = e;
    else
        w->oldest = e;
    w->newest = e;
    return 0;
}

/* It is in another graph already: a constant of its own over the same memory. */
static int share(kp_lw *w, const kp_lw_weight *e, kp_value **out)
{
    const kp_value *v = e->value;
    KP_TRY(kp_graph_add_const(w->g, w->name, v->dtype, v->shape, v->ndim, v->data, out));
    return new_entry(w, e->index, *out, &e->info, true) ? 0 : KP_ENOMEM;
}

int kp_lw_weight_get(kp_lw *w, const char *sub, int index, const char *name, int ndim,
                     const int64_t *stored, int graph_ndim, const int64_t *shape, bool trainable,
                     kp_value **out)
{
    const kp_lw_weight *e = find_weight(w, sub, index, true);
    if (e) {
        *out = e->value;
        return 0;
    }
    if ((e = find_weight(w, sub, index, false)) != NULL)
        return share(w, e, out);
    kp_weight weight;
    int64_t count;
    const void *data;
    KP_TRY(kp_keras_weight(w->k, w->record->layer, sub, index, name, ndim, stored, &weight));
    if (!kp_shape_count(weight.shape, weight.ndim, &count) || count > INT64_MAX / 8)
        return kp_fail(KP_ELIMIT, "%s: the weight is too large", weight.where);
    KP_TRY(as_real(w, &weight, count, &data));
    if (!shape) {
        shape = weight.shape;
        graph_ndim = weight.ndim;
    }
    KP_TRY(kp_graph_add_const(w->g, w->name, w->real, shape, graph_ndim, data, out));
    return keep_weight(w, index, *out,
                       &(kp_lowered_variable){w->record->layer, sub, name, trainable, weight});
}

int kp_lw_vector(kp_lw *w, int index, const char *name, int64_t n, bool trainable, kp_value **out)
{
    return kp_lw_weight_get(w, "", index, name, 1, &n, 0, NULL, trainable, out);
}
