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

static double number_at(const kp_value *v, int64_t i)
{
    return v->dtype == KP_FLOAT64 ? ((const double *)v->data)[i] : ((const float *)v->data)[i];
}

/* A weight that was fine-tuned by two thin matrices: .h5 files hold all three, .keras files the
 * weight with their product already in it. */
static int add_lora(kp_lw *w, const char *name, const kp_weight *to, int64_t count,
                    const void **data)
{
    const kp_layer *l = w->record->layer;
    bool table = strcmp(name, "embeddings") == 0;
    int64_t rank, shape[KP_MAX_DIMS], columns;
    double alpha;
    kp_value *a, *b;
    if (kp_keras_format_of(w->k) != KP_FORMAT_LEGACY_H5 || kp_lw_is_null(l, "lora_rank") ||
        (!table && strcmp(name, "kernel") != 0) || to->ndim < 2)
        return 0;
    KP_TRY(kp_cfg_int(l, "lora_rank", 0, &rank));
    KP_TRY(kp_cfg_float(l, "lora_alpha", (double)rank, &alpha));
    memcpy(shape, to->shape, (size_t)to->ndim * sizeof shape[0]);
    columns = shape[to->ndim - 1];
    shape[to->ndim - 1] = rank;
    KP_TRY(kp_lw_weight_get(w, "", 2, table ? "lora_embeddings_a" : "lora_kernel_a", to->ndim,
                            shape, 0, NULL, true, &a));
    KP_TRY(kp_lw_weight_get(w, "", 3, table ? "lora_embeddings_b" : "lora_kernel_b", 2,
                            (int64_t[]){rank, columns}, 0, NULL, true, &b));
    void *sum = kp_graph_alloc(w->g, (size_t)count * kp_dtype_size(w->real));
    if (!sum)
        return KP_ENOMEM;
    for (int64_t i = 0; i < count; i++) {
        double more = 0;
        for (int64_t r = 0; r < rank; r++)
            more += number_at(a, i / columns * rank + r) * number_at(b, r * columns + i % columns);
        if (w->real == KP_FLOAT64)
            ((double *)sum)[i] = ((const double *)*data)[i] + alpha / (double)rank * more;
        else
            ((float *)sum)[i] = (float)(((const float *)*data)[i] + alpha / (double)rank * more);
    }
    *data = sum;
    return 0;
}

/* ---- variables that a file need not hold ---- */

/* A layer that is another one's activation gets its variables when data first runs through it. A
 * file from before that has none: they begin as the initializer says. */
static bool is_unbuilt(kp_lw *w, const char *sub, int index, const char *name)
{
    kp_weight any;
    const kp_layer *l = w->record->layer, *p = l->parent;
    for (int i = 0; p && *sub == '\0' && i < p->n_inner; i++)
        if (p->inner[i] == l && strstr(p->inner_key[i], "activation"))
            return kp_keras_weight(w->k, l, "", index, name, -1, NULL, &any) != 0;
    return false;
}

enum { INITIAL_MAX = 1 << 24 }; /* elements of what no file holds */

static int initial(kp_lw *w, int index, const char *name, int ndim, const int64_t *shape,
                   kp_value **out)
{
    const kp_layer *l = w->record->layer;
    char *key = kp_arena_printf(w->mem, "%s_initializer", name);
    if (!key)
        return KP_ENOMEM;
    const json_t *v = json_object_get(l->config, key);
    const char *class_name = json_string_value(json_object_get(v, "class_name"));
    double value = json_number_value(json_object_get(json_object_get(v, "config"), "value"));
    bool ones = class_name && strcmp(class_name, "Ones") == 0;
    if (!class_name ||
        (!ones && strcmp(class_name, "Zeros") != 0 && strcmp(class_name, "Constant") != 0))
        return kp_fail(KP_EMODEL,
                       "layer \"%s\" (%s): the file has no variable \"%s\", which begins at "
                       "random; run the model once and save it again",
                       l->path, l->class_name, name);
    value = ones ? 1 : class_name[0] == 'Z' ? 0 : value;
    int64_t count;
    if (!kp_shape_count(shape, ndim, &count) || count > INITIAL_MAX)
        return kp_fail(KP_ELIMIT, "layer \"%s\": the weight \"%s\" is too large", l->path, name);
    void *data = kp_graph_alloc(w->g, (size_t)count * kp_dtype_size(w->real));
    if (!data)
        return KP_ENOMEM;
    for (int64_t i = 0; i < count; i++) {
        if (w->real == KP_FLOAT64)
            ((double *)data)[i] = value;
        else
            ((float *)data)[i] = (float)value;
    }
    KP_TRY(kp_graph_add_const(w->g, w->name, w->real, shape, ndim, data, out));
    kp_lowered_variable info = {.layer = l, .sub = "", .name = name};
    return new_entry(w, index, *out, &info, true) ? 0 : KP_ENOMEM;
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
    if (is_unbuilt(w, sub, index, name))
        return shape ? initial(w, index, name, graph_ndim, shape, out)
                     : initial(w, index, name, ndim, stored, out);
    KP_TRY(kp_keras_weight(w->k, w->record->layer, sub, index, name, ndim, stored, &weight));
    if (!kp_shape_count(weight.shape, weight.ndim, &count) || count > INT64_MAX / 8)
        return kp_fail(KP_ELIMIT, "%s: the weight is too large", weight.where);
    KP_TRY(as_real(w, &weight, count, &data));
    KP_TRY(add_lora(w, name, &weight, count, &data));
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
