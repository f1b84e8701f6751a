/* Layers and the references between them: the graph changes, the text stays one that is read. */
#include "mutate.h"

#include <stdlib.h>

enum { LISTS_MAX = 32, DEPTH_MAX = 40 };

static const char *const classes[] = {
#include "classes.h"
};

typedef struct lists {
    json_t *list[LISTS_MAX];
    size_t n;
} lists;

/* ---- finding ---- */

static bool is_ref(const json_t *v)
{
    return json_is_array(v) && json_array_size(v) >= 3 && json_is_string(json_array_get(v, 0)) &&
           json_is_integer(json_array_get(v, 1)) && json_is_integer(json_array_get(v, 2));
}

static void find_lists(json_t *v, int depth, lists *out)
{
    if (depth > DEPTH_MAX)
        return;
    const char *key;
    json_t *child;
    size_t i;
    if (json_is_object(v)) {
        json_object_foreach(v, key, child)
        {
            if (strcmp(key, "layers") == 0 && json_is_array(child) && out->n < LISTS_MAX)
                out->list[out->n++] = child;
            find_lists(child, depth + 1, out);
        }
    } else if (json_is_array(v)) {
        json_array_foreach(v, i, child) find_lists(child, depth + 1, out);
    }
}

static json_t *pick_list(kp_rng *r, json_t *top)
{
    lists all = {.n = 0};
    find_lists(top, 0, &all);
    return all.n == 0 ? NULL : all.list[kp_rng_pick(r, all.n)];
}

static json_t *pick_layer(kp_rng *r, const json_t *list)
{
    size_t n = json_array_size(list);
    json_t *layer = n == 0 ? NULL : json_array_get(list, kp_rng_pick(r, n));
    return json_is_object(layer) ? layer : NULL;
}

static const char *name_of(const json_t *layer)
{
    const char *name = json_string_value(json_object_get(layer, "name"));
    if (name == NULL)
        name = json_string_value(json_object_get(json_object_get(layer, "config"), "name"));
    return name;
}

/* ---- references ---- */

/* Calls fn for each reference within v. */
typedef void (*ref_fn)(void *ctx, json_t *ref);
static void each_ref(json_t *v, int depth, ref_fn fn, void *ctx)
{
    const char *key;
    json_t *child;
    size_t i;
    if (depth > DEPTH_MAX)
        return;
    if (is_ref(v))
        fn(ctx, v);
    if (json_is_object(v)) {
        json_object_foreach(v, key, child) each_ref(child, depth + 1, fn, ctx);
    } else if (json_is_array(v)) {
        json_array_foreach(v, i, child) each_ref(child, depth + 1, fn, ctx);
    }
}

struct renaming {
    char from[128], to[128];
};

static void rename_ref(void *ctx, json_t *ref)
{
    const struct renaming *x = ctx;
    if (strcmp(json_string_value(json_array_get(ref, 0)), x->from) == 0)
        json_array_set_new(ref, 0, json_string(x->to));
}

struct nth {
    size_t count, wanted;
    json_t *ref;
};

static void note_ref(void *ctx, json_t *ref)
{
    struct nth *x = ctx;
    if (x->count++ == x->wanted)
        x->ref = ref;
}

static json_t *pick_ref(kp_rng *r, json_t *v)
{
    struct nth all = {.wanted = SIZE_MAX};
    each_ref(v, 0, note_ref, &all);
    if (all.count == 0)
        return NULL;
    struct nth one = {.wanted = kp_rng_pick(r, all.count)};
    each_ref(v, 0, note_ref, &one);
    return one.ref;
}

static void set_name(json_t *layer, const char *name)
{
    if (json_object_get(layer, "name") != NULL)
        json_object_set_new(layer, "name", json_string(name));
    json_t *config = json_object_get(layer, "config");
    if (json_is_object(config) && json_object_get(config, "name") != NULL)
        json_object_set_new(config, "name", json_string(name));
}

/* ---- changes ---- */

/* A copy of `model` comes after `layer` in the list: it takes the layer's output, and what took
 * that takes the copy's. */
static bool insert_after(kp_rng *r, json_t *top, json_t *list, const json_t *layer,
                         const json_t *model)
{
    const char *name = name_of(layer);
    json_t *copy = json_deep_copy(model);
    struct renaming away = {0}, back = {0};
    size_t at = 0;
    if (name == NULL || copy == NULL) {
        json_decref(copy);
        return false;
    }
    while (at < json_array_size(list) && json_array_get(list, at) != layer)
        at++;
    snprintf(away.from, sizeof away.from, "%.100s", name);
    snprintf(away.to, sizeof away.to, "%.20s_%zu", name, kp_rng_pick(r, 10000));
    each_ref(top, 0, rename_ref, &away);
    json_t *nodes = json_object_get(copy, "inbound_nodes");
    for (int i = 0; nodes != NULL && i < 8; i++) {
        json_t *ref = pick_ref(r, nodes);
        if (ref == NULL)
            break;
        snprintf(back.from, sizeof back.from, "%.100s", json_string_value(json_array_get(ref, 0)));
        snprintf(back.to, sizeof back.to, "%s", away.from);
        each_ref(nodes, 0, rename_ref, &back);
        json_array_set_new(ref, 1, json_integer(0));
        json_array_set_new(ref, 2, json_integer(0));
    }
    set_name(copy, away.to);
    json_array_insert_new(list, at + 1, copy);
    return true;
}

/* Takes a layer out; what took its output takes its input. */
static bool take_out(kp_rng *r, json_t *top, json_t *list)
{
    size_t n = json_array_size(list), at = n == 0 ? 0 : kp_rng_pick(r, n);
    json_t *layer = json_array_get(list, at);
    const char *name = name_of(layer);
    if (name == NULL || n < 2)
        return false;
    json_t *nodes = json_object_get(layer, "inbound_nodes");
    json_t *ref = nodes != NULL ? pick_ref(r, nodes) : NULL;
    if (ref != NULL) {
        struct renaming x = {0};
        snprintf(x.from, sizeof x.from, "%.100s", name);
        snprintf(x.to, sizeof x.to, "%.100s", json_string_value(json_array_get(ref, 0)));
        each_ref(top, 0, rename_ref, &x);
    }
    json_array_remove(list, at);
    return true;
}

static bool rewire(kp_rng *r, json_t *top, json_t *list)
{
    json_t *ref = pick_ref(r, top), *layer = pick_layer(r, list);
    if (ref == NULL || layer == NULL)
        return false;
    const char *name = name_of(layer);
    size_t what = kp_rng_pick(r, 4);
    if (what < 2 && name != NULL)
        json_array_set_new(ref, 0, json_string(name));
    else
        json_array_set_new(ref, what < 3 ? 1 : 2, json_integer((json_int_t)kp_rng_pick(r, 4) - 1));
    return true;
}

static bool change_class(kp_rng *r, const json_t *list)
{
    json_t *layer = pick_layer(r, list);
    size_t n = sizeof classes / sizeof *classes;
    return layer != NULL &&
           json_object_set_new(layer, "class_name", json_string(classes[kp_rng_pick(r, n)])) == 0;
}

static bool swap(kp_rng *r, json_t *list)
{
    size_t n = json_array_size(list);
    if (n < 2)
        return false;
    size_t i = kp_rng_pick(r, n), j = kp_rng_pick(r, n);
    json_t *a = json_incref(json_array_get(list, i));
    json_array_set(list, i, json_array_get(list, j));
    json_array_set_new(list, j, a);
    return true;
}

/* One more call of a layer: its list of nodes gets a copy of one of them, with another input. */
static bool call_again(kp_rng *r, json_t *list)
{
    json_t *layer = pick_layer(r, list), *from = pick_layer(r, list);
    json_t *nodes = json_object_get(layer, "inbound_nodes");
    if (json_array_size(nodes) == 0 || from == NULL || name_of(from) == NULL)
        return false;
    json_t *copy = json_deep_copy(json_array_get(nodes, kp_rng_pick(r, json_array_size(nodes))));
    json_t *ref = copy != NULL ? pick_ref(r, copy) : NULL;
    if (ref != NULL)
        json_array_set_new(ref, 0, json_string(name_of(from)));
    return json_array_append_new(nodes, copy) == 0;
}

bool kp_mutate_layers(kp_rng *r, json_t *top, const json_t *other)
{
    json_t *list = pick_list(r, top), *layer = list != NULL ? pick_layer(r, list) : NULL;
    if (layer == NULL)
        return false;
    if (other != NULL && kp_rng_pick(r, 3) > 0) {
        lists theirs = {.n = 0};
        find_lists((json_t *)(uintptr_t)other, 0, &theirs);
        const json_t *theirs_one =
            theirs.n > 0 ? pick_layer(r, theirs.list[kp_rng_pick(r, theirs.n)]) : NULL;
        return theirs_one != NULL && insert_after(r, top, list, layer, theirs_one);
    }
    switch (kp_rng_pick(r, 6)) {
    case 0: {
        const json_t *model = pick_layer(r, list);
        return model != NULL && insert_after(r, top, list, layer, model);
    }
    case 1:
        return take_out(r, top, list);
    case 2:
        return rewire(r, top, list);
    case 3:
        return change_class(r, list);
    case 4:
        return swap(r, list);
    default:
        return call_again(r, list);
    }
}
