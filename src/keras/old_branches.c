/* A Sequential of Keras 1 may begin with a Merge of whole models. Their layers become layers of one
 * Functional beside those that follow, as they stand in the file's list of weights. */
#include "keras/private.h"

typedef struct flat {
    kp_keras *k;
    json_t *layers; /* the Functional's; owned by its config */
    json_t *inputs; /* its input_layers */
    json_t *refs;   /* references to calls, [layer, node, tensor]: others borrow them from here */
} flat;

enum { MAX_LAYERS = 10000 };

static int failed(void)
{
    return kp_fail(KP_ENOMEM, "out of memory");
}

static json_t *find(const flat *f, const char *name)
{
    json_t *entry;
    size_t i;
    json_array_foreach(f->layers, i,
                       entry) if (strcmp(kp_json_str(entry, "name", ""), name) == 0) return entry;
    return NULL;
}

/* What entry gives at its last call. */
static int result_of(flat *f, const json_t *entry, json_t **out)
{
    size_t n = json_array_size(json_object_get(entry, "inbound_nodes"));
    *out = json_pack("[sii]", kp_json_str(entry, "name", ""), n > 0 ? (int)n - 1 : 0, 0);
    return json_array_append_new(f->refs, *out) == 0 ? 0 : failed();
}

static int append(flat *f, json_t *entry)
{
    if (json_array_size(f->layers) >= MAX_LAYERS)
        return kp_fail(KP_EMODEL, "the model has more than the %d layers allowed", MAX_LAYERS);
    return json_array_append(f->layers, entry) == 0 ? 0 : failed();
}

/* Adds the layer, or finds the one of that name: branches may share layers. */
static int add(flat *f, const json_t *object, json_t **out)
{
    const json_t *config = json_object_get(object, "config");
    const char *class_name = kp_json_str(object, "class_name", "");
    const char *name = kp_json_str(config, "name", NULL);
    if (name == NULL)
        name = kp_arena_printf(f->k->mem, "%s_%zu", class_name, json_array_size(f->layers));
    if (name == NULL)
        return KP_ENOMEM;
    *out = find(f, name);
    if (*out != NULL)
        return 0;
    *out = json_pack("{sssssOs[]}", "class_name", class_name, "name", name, "config", config,
                     "inbound_nodes");
    int status = *out != NULL ? append(f, *out) : failed();
    json_decref(*out);
    return status;
}

/* Calls the layer on from, a list of references. */
static int call(json_t *entry, json_t *from)
{
    return json_array_append(json_object_get(entry, "inbound_nodes"), from) == 0 ? 0 : failed();
}

/* The input of a branch that begins with first; its reference to *out. */
static int add_input(flat *f, const json_t *first, json_t **out)
{
    const char *name = kp_json_str(json_object_get(first, "config"), "name", "branch");
    char *own = kp_arena_printf(f->k->mem, "%s_input", name);
    json_t *shape = kp_tree_input_shape(first), *entry;
    if (shape == NULL)
        return kp_fail(KP_EMODEL,
                       "a branch of the model begins with layer \"%s\", which has no "
                       "input shape",
                       name);
    json_t *object = json_pack("{sss{sssssO}}", "class_name", "InputLayer", "config", "name", own,
                               "dtype", kp_tree_input_dtype(first), "batch_input_shape", shape);
    json_decref(shape);
    if (object == NULL)
        return failed();
    int status = add(f, object, &entry);
    json_decref(object);
    KP_TRY(status);
    KP_TRY(result_of(f, entry, out));
    return json_array_append(f->inputs, *out) == 0 ? 0 : failed();
}

static int merged(flat *f, json_t *object, int depth, json_t **out);

static int call_on(json_t *entry, json_t *at)
{
    json_t *from = json_pack("[O]", at);
    int status = from != NULL ? call(entry, from) : KP_ENOMEM;
    json_decref(from);
    return status;
}

/* The layers of a Sequential after each other. */
static int add_chain(flat *f, const json_t *list, int depth, json_t **out)
{
    json_t *at = NULL;
    for (size_t i = 0; i < json_array_size(list); i++) {
        json_t *object = json_array_get(list, i), *entry;
        if (i == 0 && strcmp(kp_json_str(object, "class_name", ""), "Merge") == 0) {
            KP_TRY(merged(f, object, depth + 1, &at));
            continue;
        }
        KP_TRY(add(f, object, &entry));
        bool called = json_array_size(json_object_get(entry, "inbound_nodes")) > 0;
        if (at == NULL && !called)
            KP_TRY(add_input(f, object, &at));
        if (at != NULL)
            KP_TRY(call_on(entry, at));
        KP_TRY(result_of(f, entry, &at));
    }
    *out = at;
    return at != NULL ? 0 : kp_fail(KP_EMODEL, "a branch of the model has no layers");
}

static int add_graph(flat *f, const json_t *config, json_t **out)
{
    json_t *entry;
    size_t i;
    json_array_foreach(json_object_get(config, "layers"), i, entry)
    {
        if (find(f, kp_json_str(entry, "name", "")) == NULL)
            KP_TRY(append(f, entry));
    }
    json_array_foreach(json_object_get(config, "input_layers"), i, entry)
    {
        if (json_array_append(f->inputs, entry) != 0)
            return failed();
    }
    *out = json_array_get(json_object_get(config, "output_layers"), 0);
    return *out != NULL ? 0 : kp_fail(KP_EMODEL, "a branch of the model has no output");
}

static int add_branch(flat *f, json_t *object, int depth, json_t **out)
{
    json_t *config = json_object_get(object, "config");
    if (depth > KP_MODEL_DEPTH)
        return kp_fail(KP_EMODEL, "the model's config: more than %d models inside each other",
                       KP_MODEL_DEPTH);
    if (json_is_array(config))
        return add_chain(f, config, depth, out);
    if (json_is_array(json_object_get(config, "layers")))
        return add_graph(f, config, out);
    json_t *list = json_pack("[O]", object);
    int status = add_chain(f, list, depth, out);
    json_decref(list);
    return status;
}

static int add_branches(flat *f, json_t *branches, json_t *from, int depth)
{
    json_t *branch, *at;
    size_t i;
    json_array_foreach(branches, i, branch)
    {
        KP_TRY(add_branch(f, branch, depth, &at));
        if (json_array_append(from, at) != 0)
            return failed();
    }
    return 0;
}

static int merged(flat *f, json_t *object, int depth, json_t **out)
{
    json_t *config = json_object_get(object, "config"), *entry = NULL;
    json_t *from = json_array();
    int status = add_branches(f, json_object_get(config, "layers"), from, depth);
    if (status == 0)
        status = add(f, object, &entry);
    if (status == 0)
        status = call(entry, from);
    json_decref(from);
    return status != 0 ? status : result_of(f, entry, out);
}

static int flatten(flat *f, json_t *list, json_t *config)
{
    json_t *last;
    KP_TRY(add_chain(f, list, 0, &last));
    return json_object_set_new(config, "output_layers", json_pack("[O]", last)) == 0 ? 0 : failed();
}

int kp_old_branches(kp_keras *k, json_t *object)
{
    json_t *list = json_object_get(object, "config"), *first = json_array_get(list, 0);
    if (strcmp(kp_json_str(object, "class_name", ""), "Sequential") != 0 ||
        strcmp(kp_json_str(first, "class_name", ""), "Merge") != 0 ||
        json_array_size(json_object_get(json_object_get(first, "config"), "layers")) == 0)
        return 0;
    json_t *config = json_pack("{sss[]s[]}", "name", "sequential", "layers", "input_layers");
    flat f = {k, json_object_get(config, "layers"), json_object_get(config, "input_layers"),
              json_array()};
    int status = config != NULL && f.refs != NULL ? flatten(&f, list, config) : failed();
    json_decref(f.refs);
    if (status == 0 && (json_object_set(object, "config", config) != 0 ||
                        json_object_set_new(object, "class_name", json_string("Model")) != 0))
        status = failed();
    json_decref(config);
    return status;
}
