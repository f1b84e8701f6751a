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

/* ---- weights that were fine-tuned by two thin matrices (LoRA) ---- */

enum {
    THIN_MAX_SHIFT = 40, /* elements of a thin matrix: 2 to this */
    THIN_A = 1000,       /* the matrices' numbers among the layer's variables */
    THIN_B = 1001
};

/* The rank of the matrices that tune this weight of the current layer; 0: none do. */
static int thin_rank(const kp_lw *w, const char *name, int ndim, int64_t *rank)
{
    const kp_layer *l = w->record->layer;
    *rank = 0;
    if ((strcmp(name, "kernel") != 0 && strcmp(name, "embeddings") != 0) || ndim < 2 ||
        kp_lw_is_null(l, "lora_rank"))
        return 0;
    KP_TRY(kp_cfg_int(l, "lora_rank", 0, rank));
    if (*rank < 0 || *rank > INT32_MAX)
        return kp_fail(KP_EMODEL, "layer \"%s\" (%s): lora_rank %lld", l->path, l->class_name,
                       (long long)*rank);
    return 0;
}

/* A variable that Keras makes anew when it loads the file: without data. */
static int add_unstored(kp_lw *w, int index, const char *name, int ndim, const int64_t *shape)
{
    kp_lowered_variable v = {w->record->layer, "", name, true, KP_FLOAT32, {.ndim = ndim}};
    int64_t count;
    if (find_weight(w, "", index, false))
        return 0;
    if (!kp_shape_count(shape, ndim, &count) || count >> THIN_MAX_SHIFT > 0)
        return kp_fail(KP_ELIMIT, "layer \"%s\": %s is too large", v.layer->path, name);
    memcpy(v.weight.shape, shape, (size_t)ndim * sizeof *shape);
    return keep_weight(w, index, NULL, &v);
}

static double number_at(const kp_value *v, int64_t i)
{
    return v->dtype == KP_FLOAT64 ? ((const double *)v->data)[i] : ((const float *)v->data)[i];
}

static void put_number(kp_dtype dtype, void *to, int64_t i, double x)
{
    if (dtype == KP_FLOAT64)
        ((double *)to)[i] = x;
    else
        ((float *)to)[i] = (float)x;
}

static int multiply_thin(kp_lw *w, const kp_value *a, const kp_value *b, double factor, int ndim,
                         const int64_t *shape, kp_value **out)
{
    int64_t count, rank = b->shape[0], columns = b->shape[1];
    if (!kp_shape_count(shape, ndim, &count) || count > INT64_MAX / 8)
        return kp_fail(KP_ELIMIT, "layer \"%s\": its weight is too large", w->record->layer->path);
    void *data = kp_graph_alloc(w->g, (size_t)count * kp_dtype_size(w->real));
    if (!data)
        return KP_ENOMEM;
    for (int64_t i = 0; i < count; i++) {
        double sum = 0;
        for (int64_t r = 0; r < rank; r++)
            sum += number_at(a, i / columns * rank + r) * number_at(b, r * columns + i % columns);
        put_number(w->real, data, i, factor * sum);
    }
    return kp_graph_add_const(w->g, w->name, w->real, shape, ndim, data, out);
}

int kp_lw_thin_product(kp_lw *w, const char *name, int ndim, const int64_t *shape, kp_value **out)
{
    bool table = strcmp(name, "embeddings") == 0;
    const char *name_a = table ? "lora_embeddings_a" : "lora_kernel_a";
    const char *name_b = table ? "lora_embeddings_b" : "lora_kernel_b";
    int64_t rank, shape_a[KP_MAX_DIMS];
    double alpha;
    kp_value *a, *b;
    *out = NULL;
    KP_TRY(thin_rank(w, name, ndim, &rank));
    if (rank == 0)
        return 0;
    int64_t shape_b[2] = {rank, shape[ndim - 1]};
    memcpy(shape_a, shape, (size_t)ndim * sizeof *shape);
    shape_a[ndim - 1] = rank;
    if (kp_keras_format_of(w->k) != KP_FORMAT_LEGACY_H5) {
        KP_TRY(add_unstored(w, THIN_A, name_a, ndim, shape_a));
        return add_unstored(w, THIN_B, name_b, 2, shape_b);
    }
    KP_TRY(kp_cfg_float(w->record->layer, "lora_alpha", (double)rank, &alpha));
    KP_TRY(kp_lw_weight_get(w, "", THIN_A, name_a, ndim, shape_a, 0, NULL, true, &a));
    KP_TRY(kp_lw_weight_get(w, "", THIN_B, name_b, 2, shape_b, 0, NULL, true, &b));
    return multiply_thin(w, a, b, alpha / (double)rank, ndim, shape, out);
}

/* A weight that is tuned stays as it is in training, while the thin matrices learn. One of few bits
 * gets their product where it is unpacked. */
static int tune(kp_lw *w, kp_lowered_variable *v, int64_t count, const void **data)
{
    const char *mode = v->layer->policy.quantization;
    int64_t rank = 0;
    kp_value *product;
    if (*v->sub == '\0')
        KP_TRY(thin_rank(w, v->name, v->weight.ndim, &rank));
    if (rank == 0)
        return 0;
    v->trainable = false;
    if (mode && strcmp(mode, "float8") != 0)
        return 0;
    v->dtype = v->layer->policy.variable; /* with the product in it, it is stored as it computes */
    KP_TRY(kp_lw_thin_product(w, v->name, v->weight.ndim, v->weight.shape, &product));
    if (!product)
        return 0;
    if (mode)
        return kp_fail(KP_EMODEL,
                       "layer \"%s\" (%s): Keras does not run LoRA in float8; save the model as "
                       ".keras, which merges the matrices into the kernel",
                       v->layer->path, v->layer->class_name);
    void *sum = kp_graph_alloc(w->g, (size_t)count * kp_dtype_size(w->real));
    if (!sum)
        return KP_ENOMEM;
    kp_value weight = {.dtype = w->real, .data = *data};
    for (int64_t i = 0; i < count; i++)
        put_number(w->real, sum, i, number_at(&weight, i) + number_at(product, i));
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
    kp_lowered_variable v = {w->record->layer, sub, name, trainable, weight.dtype, weight};
    KP_TRY(tune(w, &v, count, &data));
    if (!shape) {
        shape = weight.shape;
        graph_ndim = weight.ndim;
    }
    KP_TRY(kp_graph_add_const(w->g, w->name, w->real, shape, graph_ndim, data, out));
    return keep_weight(w, index, *out, &v);
}

int kp_lw_vector(kp_lw *w, int index, const char *name, int64_t n, bool trainable, kp_value **out)
{
    return kp_lw_weight_get(w, "", index, name, 1, &n, 0, NULL, trainable, out);
}
