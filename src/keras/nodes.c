/*
 * Calls of layers, from the two forms in which files hold them.
 *
 * Keras 3: {"args": [...], "kwargs": {...}} with references as __keras_tensor__ objects anywhere.
 * Keras 1 and 2: lists of [layer, node, tensor, kwargs]. While a level is parsed, a reference holds
 * the layer's number in ref.call and the stored node index in integer; resolve.c makes the number
 * of a call of it.
 */
#include "keras/private.h"

enum { MAX_CALLS = 1000000, MAX_PORTS = 4096 };

struct level {
    kp_keras *k;
    kp_layer *owner;
    kp_layers *m;
    json_t *names;        /* layer name -> its number */
    int *first_call;      /* per layer, one more at the end */
    bool legacy;          /* the node being parsed is of the list form */
    const kp_layer *user; /* whose node is being parsed, for messages */
};

static const char *user_path(const struct level *lv)
{
    return lv->user != NULL ? lv->user->path : "the model's inputs and outputs";
}

/* ---- references ---- */

static bool is_triple(const json_t *v)
{
    return json_is_array(v) && json_array_size(v) >= 3 && json_is_string(json_array_get(v, 0)) &&
           json_is_integer(json_array_get(v, 1)) && json_is_integer(json_array_get(v, 2));
}

static int parse_ref(struct level *lv, const json_t *triple, kp_arg *out)
{
    if (!is_triple(triple))
        return kp_fail(KP_EMODEL,
                       "layer \"%s\": a reference to another layer is not of the form "
                       "[name, node, tensor]",
                       user_path(lv));
    const char *name = json_string_value(json_array_get(triple, 0));
    const json_t *number = json_object_get(lv->names, name);
    if (number == NULL)
        return kp_fail(KP_EMODEL,
                       "layer \"%s\" takes its input from layer \"%s\", which model "
                       "\"%s\" does not have",
                       user_path(lv), name, lv->owner->path);
    int64_t tensor = json_integer_value(json_array_get(triple, 2));
    if (tensor < 0 || tensor > 100000)
        return kp_fail(KP_EMODEL, "layer \"%s\" refers to output %lld of layer \"%s\"",
                       user_path(lv), (long long)tensor, name);
    out->kind = KP_ARG_REF;
    out->ref.call = (int)json_integer_value(number);
    out->ref.tensor = (int)tensor;
    out->integer = json_integer_value(json_array_get(triple, 1));
    return 0;
}

/* ---- values ---- */

static int parse_arg(struct level *lv, const json_t *v, kp_arg *out);

static int items_new(struct level *lv, size_t n, kp_arg *out)
{
    out->n_items = (int)n;
    out->items = kp_arena_array(lv->k->mem, n, sizeof *out->items);
    return out->items == NULL ? KP_ENOMEM : 0;
}

static int parse_list(struct level *lv, const json_t *v, kp_arg *out)
{
    size_t n = json_array_size(v);
    out->kind = KP_ARG_LIST;
    KP_TRY(items_new(lv, n, out));
    for (size_t i = 0; i < n; i++)
        KP_TRY(parse_arg(lv, json_array_get(v, i), &out->items[i]));
    return 0;
}

static int parse_dict(struct level *lv, const json_t *v, kp_arg *out)
{
    out->kind = KP_ARG_DICT;
    size_t n = json_object_size(v);
    KP_TRY(items_new(lv, n, out));
    out->keys = kp_arena_array(lv->k->mem, n, sizeof *out->keys);
    if (out->keys == NULL)
        return KP_ENOMEM;
    const char *key;
    json_t *value;
    size_t i = 0;
    json_object_foreach((json_t *)(uintptr_t)v, key, value)
    {
        out->keys[i] = key;
        KP_TRY(parse_arg(lv, value, &out->items[i++]));
    }
    return 0;
}

static int parse_slice(struct level *lv, const json_t *config, kp_arg *out)
{
    static const char *const parts[] = {"start", "stop", "step"};
    out->kind = KP_ARG_SLICE;
    KP_TRY(items_new(lv, 3, out));
    for (int i = 0; i < 3; i++) {
        const json_t *part = json_object_get(config, parts[i]);
        if (part != NULL)
            KP_TRY(parse_arg(lv, part, &out->items[i]));
    }
    return 0;
}

static bool is_slice_dict(const json_t *v)
{
    return json_object_size(v) == 3 && json_object_get(v, "start") != NULL &&
           json_object_get(v, "stop") != NULL && json_object_get(v, "step") != NULL;
}

static int parse_object(struct level *lv, const json_t *v, kp_arg *out)
{
    const char *class_name = kp_json_str(v, "class_name", "");
    const json_t *config = json_object_get(v, "config");
    if (strcmp(class_name, "__keras_tensor__") == 0)
        return parse_ref(lv, json_object_get(config, "keras_history"), out);
    if (strcmp(class_name, "__tensor__") == 0 || strcmp(class_name, "__numpy__") == 0) {
        out->kind = KP_ARG_CONST;
        out->json = config != NULL ? config : v;
        return 0;
    }
    if (strcmp(class_name, "__slice__") == 0)
        return parse_slice(lv, config, out);
    if (strcmp(class_name, "__ellipsis__") == 0) {
        out->kind = KP_ARG_ELLIPSIS;
        return 0;
    }
    if (strcmp(class_name, "__tuple__") == 0)
        return parse_list(lv, json_object_get(v, "items"), out);
    if (strcmp(class_name, "__lambda__") == 0)
        return kp_fail(KP_EMODEL,
                       "layer \"%s\" is called with a Python function: code from a file "
                       "is never run",
                       user_path(lv));
    if (lv->legacy && is_slice_dict(v))
        return parse_slice(lv, v, out);
    return parse_dict(lv, v, out);
}

static int parse_arg(struct level *lv, const json_t *v, kp_arg *out)
{
    switch (json_typeof(v)) {
    case JSON_OBJECT:
        return parse_object(lv, v, out);
    case JSON_ARRAY:
        if (lv->legacy && json_array_size(v) <= 4 && is_triple(v) &&
            json_object_get(lv->names, json_string_value(json_array_get(v, 0))) != NULL)
            return parse_ref(lv, v, out);
        return parse_list(lv, v, out);
    case JSON_STRING:
        out->kind = kp_json_real(v, &out->real) ? KP_ARG_FLOAT : KP_ARG_STR;
        out->str = json_string_value(v);
        return 0;
    case JSON_INTEGER:
        out->kind = KP_ARG_INT;
        out->integer = json_integer_value(v);
        out->real = (double)out->integer;
        return 0;
    case JSON_REAL:
        out->kind = KP_ARG_FLOAT;
        out->real = json_real_value(v);
        return 0;
    case JSON_TRUE:
    case JSON_FALSE:
        out->kind = KP_ARG_BOOL;
        out->boolean = json_is_true(v);
        return 0;
    case JSON_NULL:
        break;
    }
    out->kind = KP_ARG_NONE;
    return 0;
}

/* ---- nodes ---- */

static int bad_node(const struct level *lv)
{
    return kp_fail(KP_EMODEL, "layer \"%s\" (%s): an inbound node has no form that Keras writes",
                   lv->user->path, lv->user->class_name);
}

static int parse_node_k3(struct level *lv, const json_t *node, kp_call *call)
{
    const json_t *args = json_object_get(node, "args"), *kwargs = json_object_get(node, "kwargs");
    if ((args != NULL && !json_is_array(args)) || (kwargs != NULL && !json_is_object(kwargs)))
        return bad_node(lv);
    call->args.kind = KP_ARG_LIST;
    call->kwargs.kind = KP_ARG_DICT;
    if (args != NULL)
        KP_TRY(parse_list(lv, args, &call->args));
    return kwargs != NULL ? parse_dict(lv, kwargs, &call->kwargs) : 0;
}

/* The type of nested lists of numbers: a real among integers makes all real. NULL: something else
 * stands among them, or nothing. */
static const char *list_dtype(const json_t *v)
{
    if (!json_is_array(v))
        return json_is_real(v)      ? "float32"
               : json_is_integer(v) ? "int32"
               : json_is_boolean(v) ? "bool"
                                    : NULL;
    const char *all = NULL;
    size_t i;
    json_t *item;
    json_array_foreach(v, i, item)
    {
        const char *one = list_dtype(item);
        if (one == NULL)
            return NULL;
        if (all == NULL || strcmp(all, one) == 0)
            all = one;
        else if (*all == 'b' || *one == 'b')
            return NULL;
        else
            all = "float32";
    }
    return all;
}

/* A constant array of Keras 2. An operation's list of integers may be a shape, and stays a list. */
static int parse_constant(struct level *lv, const json_t *v, kp_arg *out)
{
    const char *dtype = json_is_array(v) ? list_dtype(v) : NULL;
    bool operation = strstr(lv->user->class_name, "OpLambda") != NULL;
    if (dtype == NULL || (operation && *dtype == 'i'))
        return parse_arg(lv, v, out);
    json_t *made = json_pack("{ss, sO}", "dtype", dtype, "value", (json_t *)(uintptr_t)v);
    out->kind = KP_ARG_CONST;
    out->json = made;
    return made == NULL || json_array_append_new(lv->k->made, made) != 0
               ? kp_fail(KP_ENOMEM, "out of memory")
               : 0;
}

/* One [layer, node, tensor, kwargs], or a constant in its place. */
static int parse_entry(struct level *lv, const json_t *entry, kp_arg *out);

/* A list among the entries holds entries itself. */
static int parse_entry_list(struct level *lv, const json_t *list, kp_arg *out)
{
    out->kind = KP_ARG_LIST;
    KP_TRY(items_new(lv, json_array_size(list), out));
    for (size_t i = 0; i < json_array_size(list); i++) {
        const json_t *entry = json_array_get(list, i);
        if (json_is_array(json_array_get(entry, 0)))
            return bad_node(lv);
        KP_TRY(parse_entry(lv, entry, &out->items[i]));
    }
    return 0;
}

static int parse_entry_dict(struct level *lv, const json_t *dict, kp_arg *out)
{
    const char *key;
    json_t *entry;
    size_t i = 0;
    out->kind = KP_ARG_DICT;
    KP_TRY(items_new(lv, json_object_size(dict), out));
    out->keys = kp_arena_array(lv->k->mem, json_object_size(dict), sizeof *out->keys);
    if (out->keys == NULL)
        return KP_ENOMEM;
    json_object_foreach((json_t *)(uintptr_t)dict, key, entry)
    {
        out->keys[i] = key;
        KP_TRY(parse_entry(lv, entry, &out->items[i++]));
    }
    return 0;
}

static int parse_entry(struct level *lv, const json_t *entry, kp_arg *out)
{
    if (json_is_object(entry))
        return parse_entry_dict(lv, entry, out);
    if (json_is_array(json_array_get(entry, 0)))
        return parse_entry_list(lv, entry, out);
    if (is_triple(entry) || !json_is_array(entry) || json_array_size(entry) < 3) {
        const char *name = json_string_value(json_array_get(entry, 0));
        if (name == NULL || strcmp(name, "_CONSTANT_VALUE") != 0)
            return parse_ref(lv, entry, out);
    }
    const char *name = json_string_value(json_array_get(entry, 0));
    if (name == NULL || strcmp(name, "_CONSTANT_VALUE") != 0)
        return bad_node(lv);
    return parse_constant(lv, json_array_get(entry, 2), out);
}

static const json_t *entry_kwargs(const json_t *entry)
{
    const json_t *kwargs = json_array_get(entry, 3);
    return json_is_object(kwargs) ? kwargs : NULL;
}

static bool takes_states(const char *class_name)
{
    static const char *const classes[] = {"RNN",        "SimpleRNN",    "LSTM",       "GRU",
                                          "ConvLSTM1D", "ConvLSTM2D",   "ConvLSTM3D", "CuDNNLSTM",
                                          "CuDNNGRU",   "Bidirectional"};
    for (size_t i = 0; i < sizeof classes / sizeof *classes; i++)
        if (strcmp(class_name, classes[i]) == 0)
            return true;
    return false;
}

/* Recurrent layers of older files list their initial states after the sequence. */
static int split_states(struct level *lv, kp_arg *entries, kp_call *call)
{
    kp_arg states = {
        .kind = KP_ARG_LIST, .n_items = entries->n_items - 1, .items = entries->items + 1};
    kp_arg *old = &call->kwargs;
    entries->n_items = 1;
    for (int i = 0; i < old->n_items; i++) {
        if (strcmp(old->keys[i], "initial_state") == 0) { /* named as well, as null */
            old->items[i] = states;
            return 0;
        }
    }
    size_t n = (size_t)old->n_items + 1;
    kp_arg *items = kp_arena_array(lv->k->mem, n, sizeof *items);
    const char **keys = kp_arena_array(lv->k->mem, n, sizeof *keys);
    if (items == NULL || keys == NULL)
        return KP_ENOMEM;
    if (n > 1) {
        memcpy(items, old->items, (n - 1) * sizeof *items);
        memcpy(keys, old->keys, (n - 1) * sizeof *keys);
    }
    items[n - 1] = states;
    keys[n - 1] = "initial_state";
    old->items = items;
    old->keys = keys;
    old->n_items = (int)n;
    return 0;
}

/* args becomes a list of one: the single entry, or the list of entries. */
static int parse_entries(struct level *lv, const json_t *node, kp_call *call)
{
    size_t n = json_array_size(node);
    kp_arg all = {.kind = KP_ARG_LIST};
    KP_TRY(items_new(lv, n, &all));
    for (size_t i = 0; i < n; i++)
        KP_TRY(parse_entry(lv, json_array_get(node, i), &all.items[i]));
    const json_t *kwargs = entry_kwargs(json_array_get(node, 0));
    if (kwargs != NULL)
        KP_TRY(parse_dict(lv, kwargs, &call->kwargs));
    if (n > 1 && takes_states(call->layer->class_name))
        KP_TRY(split_states(lv, &all, call));
    KP_TRY(items_new(lv, 1, &call->args));
    call->args.items[0] = all.n_items == 1 ? all.items[0] : all;
    return 0;
}

/* Called with a dict: its values are entries. */
static int parse_dict_node(struct level *lv, const json_t *node, kp_call *call)
{
    const json_t *first = json_object_iter_value(json_object_iter((json_t *)(uintptr_t)node));
    const json_t *kwargs = entry_kwargs(first);
    KP_TRY(items_new(lv, 1, &call->args));
    KP_TRY(parse_entry_dict(lv, node, &call->args.items[0]));
    return kwargs != NULL ? parse_dict(lv, kwargs, &call->kwargs) : 0;
}

static int parse_node_list(struct level *lv, const json_t *node, kp_call *call)
{
    call->args.kind = KP_ARG_LIST;
    call->kwargs.kind = KP_ARG_DICT;
    if (json_is_object(node))
        return parse_dict_node(lv, node, call);
    if (!json_is_array(node) || json_array_size(node) == 0)
        return bad_node(lv);
    if (!json_is_string(json_array_get(node, 0)))
        return parse_entries(lv, node, call);
    /* A flat node: the entry of a TFOpLambda's single tensor. */
    KP_TRY(items_new(lv, 1, &call->args));
    KP_TRY(parse_entry(lv, node, &call->args.items[0]));
    const json_t *kwargs = entry_kwargs(node);
    return kwargs != NULL ? parse_dict(lv, kwargs, &call->kwargs) : 0;
}

static int parse_node(struct level *lv, const json_t *node, kp_call *call)
{
    lv->user = call->layer;
    lv->legacy = !json_is_object(node) ||
                 (json_object_get(node, "args") == NULL && json_object_get(node, "kwargs") == NULL);
    int status = lv->legacy ? parse_node_list(lv, node, call) : parse_node_k3(lv, node, call);
    lv->user = NULL;
    return status;
}

/* ---- a level's calls ---- */

static bool is_input(const kp_layer *l)
{
    return strcmp(l->class_name, "InputLayer") == 0;
}

static int count_calls(struct level *lv, const json_t *entries)
{
    kp_layers *m = lv->m;
    int64_t total = 0;
    for (int i = 0; i < m->n_layers; i++) {
        const json_t *nodes = json_object_get(json_array_get(entries, (size_t)i), "inbound_nodes");
        lv->first_call[i] = (int)total;
        if (nodes != NULL && !json_is_array(nodes))
            return kp_fail(KP_EMODEL, "layer \"%s\" (%s): inbound_nodes is not a list",
                           m->layers[i]->path, m->layers[i]->class_name);
        total += is_input(m->layers[i]) ? 1 : (int64_t)json_array_size(nodes);
        if (total > MAX_CALLS)
            return kp_fail(KP_EMODEL, "model \"%s\" has more than %d calls of layers",
                           lv->owner->path, MAX_CALLS);
    }
    lv->first_call[m->n_layers] = (int)total;
    m->n_calls = (int)total;
    m->calls = kp_arena_array(lv->k->mem, (size_t)total, sizeof *m->calls);
    return m->calls == NULL ? KP_ENOMEM : 0;
}

static int parse_calls(struct level *lv, const json_t *entries)
{
    for (int i = 0; i < lv->m->n_layers; i++) {
        const json_t *nodes = json_object_get(json_array_get(entries, (size_t)i), "inbound_nodes");
        for (int c = lv->first_call[i]; c < lv->first_call[i + 1]; c++) {
            kp_call *call = &lv->m->calls[c];
            call->layer = lv->m->layers[i];
            call->node_index = c - lv->first_call[i];
            call->args.kind = KP_ARG_LIST;
            call->kwargs.kind = KP_ARG_DICT;
            if (!is_input(call->layer))
                KP_TRY(parse_node(lv, json_array_get(nodes, (size_t)call->node_index), call));
        }
    }
    return 0;
}

static int add_names(struct level *lv)
{
    for (int i = 0; i < lv->m->n_layers; i++) {
        const kp_layer *l = lv->m->layers[i];
        if (json_object_get(lv->names, l->name) != NULL)
            return kp_fail(KP_EMODEL, "model \"%s\" has two layers named \"%s\"", lv->owner->path,
                           l->name);
        if (json_object_set_new(lv->names, l->name, json_integer(i)) != 0)
            return kp_fail(KP_EMODEL, "model \"%s\": a layer's name is not proper text",
                           lv->owner->path);
    }
    return 0;
}

/* ---- inputs and outputs ---- */

static int parse_structure(struct level *lv, const json_t *v, const char *what, kp_arg *out)
{
    if (is_triple(v) && json_array_size(v) == 3)
        return parse_ref(lv, v, out);
    size_t n = json_is_array(v) ? json_array_size(v) : json_object_size(v);
    if (!json_is_array(v) && !json_is_object(v))
        return kp_fail(KP_EMODEL, "model \"%s\": %s has no form that Keras writes", lv->owner->path,
                       what);
    if (n > MAX_PORTS)
        return kp_fail(KP_EMODEL, "model \"%s\": %s has %zu members, more than the %d allowed",
                       lv->owner->path, what, n, MAX_PORTS);
    out->kind = json_is_array(v) ? KP_ARG_LIST : KP_ARG_DICT;
    KP_TRY(items_new(lv, n, out));
    if (json_is_array(v)) {
        for (size_t i = 0; i < n; i++)
            KP_TRY(parse_structure(lv, json_array_get(v, i), what, &out->items[i]));
        return 0;
    }
    out->keys = kp_arena_array(lv->k->mem, n, sizeof *out->keys);
    if (out->keys == NULL)
        return KP_ENOMEM;
    const char *key;
    json_t *value;
    size_t i = 0;
    json_object_foreach((json_t *)(uintptr_t)v, key, value)
    {
        out->keys[i] = key;
        KP_TRY(parse_structure(lv, value, what, &out->items[i++]));
    }
    return 0;
}

static int parse_level(struct level *lv, const json_t *entries)
{
    const json_t *config = lv->owner->config;
    KP_TRY(add_names(lv));
    KP_TRY(count_calls(lv, entries));
    KP_TRY(parse_calls(lv, entries));
    KP_TRY(parse_structure(lv, json_object_get(config, "input_layers"), "input_layers",
                           &lv->m->inputs));
    KP_TRY(parse_structure(lv, json_object_get(config, "output_layers"), "output_layers",
                           &lv->m->outputs));
    KP_TRY(kp_refs_resolve(lv->k, lv->owner, lv->m, lv->first_call));
    return kp_calls_sort(lv->k, lv->owner, lv->m);
}

int kp_nodes_parse(kp_keras *k, kp_layer *owner, kp_layers *m, const json_t *entries)
{
    struct level lv = {.k = k, .owner = owner, .m = m, .names = json_object()};
    size_t n = (size_t)m->n_layers + 1;
    lv.first_call = kp_arena_array(k->mem, n, sizeof *lv.first_call);
    int status = KP_ENOMEM;
    if (lv.names != NULL && lv.first_call != NULL)
        status = parse_level(&lv, entries);
    json_decref(lv.names);
    return status;
}

int kp_nodes_chain(kp_keras *k, kp_layer *owner, kp_layers *m)
{
    m->sequential = true;
    m->n_calls = m->n_layers;
    m->calls = kp_arena_array(k->mem, (size_t)m->n_layers, sizeof *m->calls);
    kp_arg *args = kp_arena_array(k->mem, (size_t)m->n_layers, sizeof *args);
    if (m->calls == NULL || args == NULL)
        return KP_ENOMEM;
    for (int i = 0; i < m->n_layers; i++) {
        m->calls[i].layer = m->layers[i];
        m->calls[i].args.kind = KP_ARG_LIST;
        m->calls[i].kwargs.kind = KP_ARG_DICT;
        if (i == 0)
            continue;
        args[i].kind = KP_ARG_REF;
        args[i].ref.call = i - 1;
        m->calls[i].args.n_items = 1;
        m->calls[i].args.items = &args[i];
    }
    m->inputs.kind = m->outputs.kind = KP_ARG_REF;
    m->outputs.ref.call = m->n_layers - 1;
    return kp_calls_sort(k, owner, m);
}
