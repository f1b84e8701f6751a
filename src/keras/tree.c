/* The config's objects to a tree of layers, with the models and wrappers inside each other. */
#include "keras/private.h"

enum { MAX_LAYERS = 10000 }; /* of one model; the largest published ones have about 1500 */

/* Keeps a value made here alive as long as the file. Takes the reference. */
static int keep(kp_keras *k, json_t *made)
{
    if (made == NULL || json_array_append_new(k->made, made) != 0)
        return kp_fail(KP_ENOMEM, "out of memory");
    return 0;
}

/* ---- whose class is it? ---- */

static bool module_within(const char *module, const char *package)
{
    size_t n = strlen(package);
    return strncmp(module, package, n) == 0 && (module[n] == '\0' || module[n] == '.');
}

/* Files before 2.12 name no module: then only a prefix such as "Custom>" tells. */
static bool is_custom(const json_t *object, const kp_layer *l)
{
    static const char *const own[] = {"keras", "keras_core", "tf_keras", "tensorflow.keras",
                                      "tensorflow.python.keras"};
    if (strchr(l->registered_name, '>') != NULL || strchr(l->class_name, '>') != NULL)
        return true;
    if (json_object_get(object, "module") == NULL)
        return false;
    for (size_t i = 0; i < sizeof own / sizeof *own; i++)
        if (module_within(l->module, own[i]))
            return false;
    return true;
}

/* Keras 3 names no module in an .h5, where the layer Multiply and the operation Multiply look
 * alike: only a layer's config says trainable (dtype stands in that of some operations too). */
static bool is_operation(const kp_keras *k, const json_t *object, const kp_layer *l)
{
    static const char *const packages[] = {"keras.src.ops", "keras.ops", "keras_core.src.ops",
                                           "keras_core.ops", "keras_core.operations"};
    /* Layers that leave it out, and an operation that is the same as the layer. */
    static const char *const layers[] = {"InputLayer",       "SpatialDropout1D", "SpatialDropout2D",
                                         "SpatialDropout3D", "Discretization",   "HashedCrossing",
                                         "ReLU"};
    bool layer = false;
    for (size_t i = 0; i < sizeof layers / sizeof *layers; i++)
        layer = layer || strcmp(l->class_name, layers[i]) == 0;
    if (k->format == KP_FORMAT_LEGACY_H5 && k->major >= 3 &&
        json_object_get(object, "module") == NULL)
        return !layer && json_object_get(l->config, "trainable") == NULL &&
               json_object_get(l->config, "layers") == NULL;
    for (size_t i = 0; i < sizeof packages / sizeof *packages; i++)
        if (module_within(l->module, packages[i]))
            return true;
    return false;
}

static bool is_functional(const kp_layer *l)
{
    /* A subclass that was built from inputs and outputs keeps its graph in the config. */
    return json_is_array(json_object_get(l->config, "layers")) &&
           json_object_get(l->config, "input_layers") != NULL &&
           json_object_get(l->config, "output_layers") != NULL;
}

static bool is_sequential(const kp_layer *l)
{
    return strcmp(l->class_name, "Sequential") == 0;
}

/* ---- one layer ---- */

/* Keras 1 and 2 up to 2.2 store a Sequential's config as the bare list of its layers. */
static int config_of(kp_keras *k, json_t *object, const char *class_name, json_t **out)
{
    json_t *config = json_object_get(object, "config");
    if (json_is_array(config) && strcmp(class_name, "Sequential") == 0) {
        json_t *list =
            json_is_array(json_array_get(config, 0)) ? json_array_get(config, 0) : config;
        *out = json_pack("{sO}", "layers", list);
        return keep(k, *out);
    }
    if (!json_is_object(config))
        return kp_fail(KP_EMODEL, "the model's config: an object of class \"%.80s\" has no config",
                       class_name);
    *out = config;
    return 0;
}

static int name_of(kp_keras *k, kp_layer *l, const char *name)
{
    if (name == NULL)
        name = kp_json_str(l->config, "name", NULL);
    if (name == NULL)
        name = kp_snake_case(k->mem, l->class_name);
    l->name = name;
    bool nested = l->parent != NULL && l->parent->parent != NULL;
    l->path = nested ? kp_arena_printf(k->mem, "%s/%s", l->parent->path, name) : name;
    return l->name == NULL || l->path == NULL ? KP_ENOMEM : 0;
}

/* What Keras 3 and the .keras files of 2.12 to 2.15 mark an object with that they met before. */
static int shared_id(kp_keras *k, const json_t *object, kp_store *store)
{
    const json_t *id = json_object_get(object, "shared_object_id");
    if (json_is_string(id))
        store->shared_id = json_string_value(id);
    else if (json_is_integer(id))
        store->shared_id = kp_arena_printf(k->mem, "%lld", (long long)json_integer_value(id));
    return json_is_integer(id) && store->shared_id == NULL ? KP_ENOMEM : 0;
}

/* Keras 2 says batch_input_shape where Keras 3 says batch_shape: one spelling for all callers. */
static int normalise_input(kp_layer *l, json_t *config)
{
    json_t *shape = json_object_get(config, "batch_input_shape");
    if (strcmp(l->class_name, "InputLayer") == 0 && shape != NULL &&
        json_object_get(config, "batch_shape") == NULL &&
        json_object_set(config, "batch_shape", shape) != 0)
        return kp_fail(KP_ENOMEM, "out of memory");
    return 0;
}

static int inner_layers(kp_keras *k, kp_layer *l, int depth);
static int sequential(kp_keras *k, kp_layer *l, json_t *object, json_t *config, int depth);
static int functional(kp_keras *k, kp_layer *l, json_t *config, int depth);

int kp_tree_layer(kp_keras *k, json_t *object, kp_layer *parent, const char *name, int depth,
                  kp_layer **out)
{
    if (k->major < 3)
        KP_TRY(kp_old_branches(k, object));
    if (k->major == 1 ||
        (k->major == 2 && strcmp(kp_json_str(object, "class_name", ""), "Merge") == 0))
        KP_TRY(kp_old_modernise(k, object));
    const char *class_name = kp_json_str(object, "class_name", NULL);
    if (class_name == NULL || *class_name == '\0')
        return kp_fail(KP_EMODEL, "the model's config: %s is not a layer (no class_name)",
                       name != NULL     ? name
                       : parent != NULL ? "an entry"
                                        : "the top object");
    if (depth > KP_MODEL_DEPTH)
        return kp_fail(KP_EMODEL, "the model's config: more than %d models inside each other",
                       KP_MODEL_DEPTH);
    kp_layer *l = kp_arena_alloc(k->mem, sizeof *l);
    kp_store *store = kp_arena_alloc(k->mem, sizeof *store);
    if (l == NULL || store == NULL)
        return KP_ENOMEM;
    json_t *config = NULL;
    KP_TRY(config_of(k, object, class_name, &config));
    *l = (kp_layer){.class_name = class_name,
                    .module = kp_json_str(object, "module", ""),
                    .registered_name = kp_json_str(object, "registered_name", ""),
                    .config = config,
                    .parent = parent,
                    .trainable = !json_is_false(json_object_get(config, "trainable")),
                    .store = store};
    l->is_custom = is_custom(object, l);
    l->is_operation = !l->is_custom && is_operation(k, object, l);
    KP_TRY(name_of(k, l, name));
    KP_TRY(kp_policy_parse(k, l, json_object_get(config, "dtype"), &l->policy));
    KP_TRY(shared_id(k, object, store));
    KP_TRY(normalise_input(l, config));
    *out = l;
    if (is_sequential(l))
        return sequential(k, l, object, config, depth);
    if (is_functional(l))
        return functional(k, l, config, depth);
    return inner_layers(k, l, depth);
}

/* ---- wrappers ---- */

static bool is_layer_object(const json_t *v)
{
    return json_is_object(v) && json_is_string(json_object_get(v, "class_name")) &&
           (json_is_object(json_object_get(v, "config")) ||
            json_is_array(json_object_get(v, "config")));
}

static int add_inner(kp_keras *k, kp_layer *l, const char *key, json_t *object, int depth)
{
    if (!is_layer_object(object))
        return 0;
    kp_layer *inner = NULL;
    KP_TRY(kp_tree_layer(k, object, l, NULL, depth + 1, &inner));
    l->inner[l->n_inner] = inner;
    l->inner_key[l->n_inner++] = key;
    return 0;
}

static int inner_layers(kp_keras *k, kp_layer *l, int depth)
{
    static const char *const keys[] = {"layer",      "backward_layer",       "cell",
                                       "activation", "recurrent_activation", NULL};
    json_t *cells = json_object_get(l->config, "cells");
    size_t room = json_array_size(cells) + 5;
    bool any = json_is_array(cells);
    for (int i = 0; keys[i] != NULL; i++)
        any = any || is_layer_object(json_object_get(l->config, keys[i]));
    if (!any || l->is_operation)
        return 0;
    l->inner = kp_arena_array(k->mem, room, sizeof(kp_layer *));
    l->inner_key = kp_arena_array(k->mem, room, sizeof *l->inner_key);
    if (l->inner == NULL || l->inner_key == NULL)
        return KP_ENOMEM;
    for (int i = 0; keys[i] != NULL; i++)
        KP_TRY(add_inner(k, l, keys[i], json_object_get(l->config, keys[i]), depth));
    for (size_t i = 0; i < json_array_size(cells); i++)
        KP_TRY(add_inner(k, l, "cells", json_array_get(cells, i), depth));
    return 0;
}

/* ---- models ---- */

static int model_new(kp_keras *k, kp_layer *l, size_t n_layers)
{
    if (n_layers > MAX_LAYERS)
        return kp_fail(KP_EMODEL, "model \"%s\" has %zu layers, more than the %d allowed", l->path,
                       n_layers, MAX_LAYERS);
    l->model = kp_arena_alloc(k->mem, sizeof *l->model);
    if (l->model == NULL)
        return KP_ENOMEM;
    l->model->layers = kp_arena_array(k->mem, n_layers + 1, sizeof(kp_layer *));
    return l->model->layers == NULL ? KP_ENOMEM : 0;
}

static int add_layer(kp_keras *k, kp_layer *owner, json_t *object, const char *name, int depth)
{
    kp_layers *m = owner->model;
    KP_TRY(kp_tree_layer(k, object, owner, name, depth + 1, &m->layers[m->n_layers]));
    m->n_layers++;
    return 0;
}

static int functional(kp_keras *k, kp_layer *l, json_t *config, int depth)
{
    json_t *entries = json_object_get(config, "layers");
    KP_TRY(model_new(k, l, json_array_size(entries)));
    for (size_t i = 0; i < json_array_size(entries); i++) {
        json_t *entry = json_array_get(entries, i);
        KP_TRY(add_layer(k, l, entry, kp_json_str(entry, "name", NULL), depth));
    }
    return kp_nodes_parse(k, l, l->model, entries);
}

/* What a Sequential's first layer takes, from wherever a version of Keras has put it: the layer's
 * own config, the config of what it wraps, the InputLayer of the model that it is. NULL: unknown.
 * A new reference. */
static json_t *shape_within(const json_t *object, int depth)
{
    const json_t *config = json_object_get(object, "config");
    const json_t *layers = json_is_array(config) ? config : json_object_get(config, "layers");
    if (json_is_array(json_array_get(layers, 0)))
        layers = json_array_get(layers, 0);
    static const char *const keys[] = {"batch_input_shape", "batch_shape", "build_input_shape"};
    for (size_t i = 0; i < 3; i++) {
        json_t *shape = json_object_get(config, keys[i]);
        if (json_is_array(shape))
            return json_incref(shape);
    }
    json_t *shape = json_object_get(config, "input_shape");
    if (json_is_array(shape)) {
        json_t *whole = json_pack("[n]");
        if (whole != NULL)
            json_array_extend(whole, shape);
        return whole;
    }
    json_t *dim = json_object_get(config, "input_dim");
    if (json_is_integer(dim) && strcmp(kp_json_str(object, "class_name", ""), "Embedding") != 0)
        return json_pack("[nO]", dim);
    if (depth < KP_MODEL_DEPTH && json_array_size(layers) > 0)
        return shape_within(json_array_get(layers, 0), depth + 1);
    return NULL;
}

json_t *kp_tree_input_shape(const json_t *object)
{
    return shape_within(object, 0);
}

static json_t *sequential_shape(const json_t *object, json_t *config, json_t *first)
{
    json_t *shape = json_object_get(config, "build_input_shape");
    if (json_is_array(shape))
        return json_incref(shape);
    shape = json_object_get(json_object_get(object, "build_config"), "input_shape");
    if (json_is_array(shape))
        return json_incref(shape);
    return shape_within(first, 0);
}

/* The type of a synthesised input: what the first layer says, else its policy's. */
const char *kp_tree_input_dtype(const json_t *first)
{
    const json_t *config = json_object_get(first, "config");
    const char *dtype = kp_json_str(config, "input_dtype", NULL);
    if (dtype == NULL)
        dtype = kp_json_str(config, "dtype", NULL);
    return dtype != NULL && kp_dtype_from_name(dtype) != KP_DTYPE_NONE ? dtype : "float32";
}

/* A Sequential without InputLayer gets one; a nested one may lack the shape, its call gives it. */
static int make_input(kp_keras *k, kp_layer *l, json_t *object, json_t *config, json_t *first)
{
    json_t *shape = sequential_shape(object, config, first);
    if (shape == NULL && l->parent == NULL)
        return kp_fail(KP_EMODEL,
                       "model \"%s\" was never built: it has no input shape and no "
                       "weights; call it once or add an Input layer, then save it again",
                       l->name);
    const char *first_name = kp_json_str(json_object_get(first, "config"), "name", NULL);
    char *name = first_name != NULL && k->major < 3
                     ? kp_arena_printf(k->mem, "%s_input", first_name)
                     : kp_arena_strdup(k->mem, "input_layer");
    if (name == NULL) {
        json_decref(shape);
        return KP_ENOMEM;
    }
    json_t *made = json_pack("{ss, s{ss, ss}}", "class_name", "InputLayer", "config", "name", name,
                             "dtype", kp_tree_input_dtype(first));
    if (shape != NULL &&
        json_object_set_new(json_object_get(made, "config"), "batch_shape", shape) != 0) {
        json_decref(made);
        made = NULL;
    }
    KP_TRY(keep(k, made));
    return add_layer(k, l, made, NULL, 0);
}

static int sequential(kp_keras *k, kp_layer *l, json_t *object, json_t *config, int depth)
{
    json_t *entries = json_object_get(config, "layers");
    if (!json_is_array(entries) || json_array_size(entries) == 0)
        return kp_fail(KP_EMODEL, "model \"%s\" (Sequential) has no layers", l->path);
    KP_TRY(model_new(k, l, json_array_size(entries) + 1));
    json_t *first = json_array_get(entries, 0);
    if (!json_is_object(first))
        return kp_fail(KP_EMODEL, "model \"%s\" (Sequential): its first entry is not a layer",
                       l->path);
    if (strcmp(kp_json_str(first, "class_name", ""), "InputLayer") != 0)
        KP_TRY(make_input(k, l, object, config, first));
    for (size_t i = 0; i < json_array_size(entries); i++)
        KP_TRY(add_layer(k, l, json_array_get(entries, i), NULL, depth));
    return kp_nodes_chain(k, l, l->model);
}
