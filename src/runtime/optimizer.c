/* The variables that Keras' optimizers make: their own, and some for each trainable weight. */
#include "runtime/optimizer.h"

typedef struct measure {
    const json_t *config;
    const kp_lowered *l;
    bool of_weights;
    kp_optimizer_size size;
} measure;

static void add(measure *m, int64_t n, size_t elem_bytes)
{
    m->size.n_params += n;
    m->size.bytes += (double)n * (double)elem_bytes;
}

static bool is_on(const measure *m, const char *key)
{
    const json_t *v = json_object_get(m->config, key);
    return json_is_true(v) || (json_is_number(v) && json_number_value(v) != 0);
}

/* ---- for each trainable weight ---- */

static void add_alike(measure *m, const kp_lowered_variable *v, int64_t count, int times)
{
    add(m, times * count, kp_dtype_size(v->dtype));
}

/* The mean over each of the last two axes; a number in their place for vectors. */
static void add_factors(measure *m, const kp_lowered_variable *v, int64_t count)
{
    const kp_weight *w = &v->weight;
    if (w->ndim < 2) {
        add(m, 2, sizeof(float));
        return;
    }
    for (int axis = w->ndim - 2; axis < w->ndim; axis++)
        if (w->shape[axis] > 0)
            add(m, count / w->shape[axis], kp_dtype_size(v->dtype));
}

static bool is_embedding(const kp_lowered_variable *v)
{
    return strcasestr(v->layer->path, "embedding") || strcasestr(v->name, "embedding");
}

typedef enum rule { ALIKE, FACTORED, MUON } rule;

static void add_for_weights(measure *m, int times, rule how)
{
    bool embeddings = is_on(m, "exclude_embeddings");
    times += is_on(m, "use_ema") + is_on(m, "gradient_accumulation_steps");
    for (int i = 0; m->of_weights && i < m->l->n_variables; i++) {
        const kp_lowered_variable *v = &m->l->variables[i];
        int64_t count;
        if (!v->trainable || !kp_shape_count(v->weight.shape, v->weight.ndim, &count))
            continue;
        bool by_adam = how == MUON && (v->weight.ndim != 2 || (embeddings && is_embedding(v)));
        add_alike(m, v, count, times + by_adam);
        if (how == FACTORED)
            add_factors(m, v, count);
    }
}

/* ---- the classes ---- */

static const struct {
    const char *name;
    int times; /* variables like each weight */
    rule how;
    const char *more[2]; /* options that add one more */
} classes[] = {
    {"SGD", 0, ALIKE, {"momentum", NULL}},    {"RMSprop", 1, ALIKE, {"momentum", "centered"}},
    {"Adam", 2, ALIKE, {"amsgrad", NULL}},    {"AdamW", 2, ALIKE, {"amsgrad", NULL}},
    {"Adadelta", 2, ALIKE, {NULL, NULL}},     {"Adagrad", 1, ALIKE, {NULL, NULL}},
    {"Adamax", 2, ALIKE, {NULL, NULL}},       {"Nadam", 2, ALIKE, {NULL, NULL}},
    {"Ftrl", 2, ALIKE, {NULL, NULL}},         {"Lion", 1, ALIKE, {NULL, NULL}},
    {"Lamb", 2, ALIKE, {NULL, NULL}},         {"ScheduleFreeAdamW", 2, ALIKE, {NULL, NULL}},
    {"Adafactor", 1, FACTORED, {NULL, NULL}}, {"Muon", 1, MUON, {NULL, NULL}},
};

/* The step's number, and the learning rate where it is not a schedule. */
static void add_own(measure *m)
{
    add(m, 1, sizeof(int64_t));
    if (!json_is_object(json_object_get(m->config, "learning_rate")))
        add(m, 1, sizeof(float));
}

static bool add_class(measure *m, const char *name)
{
    for (size_t i = 0; i < sizeof classes / sizeof *classes; i++) {
        if (strcasecmp(classes[i].name, name) != 0)
            continue;
        int times = classes[i].times;
        for (int j = 0; j < 2; j++)
            times += classes[i].more[j] && is_on(m, classes[i].more[j]);
        add_own(m);
        if (strcasecmp(name, "Nadam") == 0) /* a product over all steps */
            add(m, 1, sizeof(float));
        add_for_weights(m, times, classes[i].how);
        return true;
    }
    return false;
}

int kp_optimizer_measure(const kp_lowered *l, kp_keras *k, kp_optimizer_size *out)
{
    const json_t *optimizer;
    measure m = {.l = l};
    *out = (kp_optimizer_size){0};
    KP_TRY(kp_keras_optimizer(k, &optimizer, &m.of_weights));
    const char *name = json_string_value(json_object_get(optimizer, "class_name"));
    m.config = json_object_get(optimizer, "config");
    if (name && strcasecmp(name, "LossScaleOptimizer") == 0) {
        add_own(&m);
        add(&m, 1, sizeof(int64_t)); /* steps since the scale changed */
        add(&m, 1, sizeof(float));   /* the scale */
        const json_t *inner = json_object_get(m.config, "inner_optimizer");
        name = json_string_value(json_object_get(inner, "class_name"));
        m.config = json_object_get(inner, "config");
    }
    if (!name || !add_class(&m, name))
        return 0;
    *out = m.size;
    out->is_built = true;
    return 0;
}
