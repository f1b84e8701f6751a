/* The lists of variables in a legacy file, and which layer of the model each belongs to. */
#include "keras/private.h"

/* ---- the index ---- */

static int read_slots(kp_keras *k, const kp_h5_object *weights, const char *layer_name,
                      kp_slots *out)
{
    kp_h5_object group;
    out->layer_name = layer_name;
    int status = kp_h5_lookup(k->h5, weights, layer_name, &group);
    if (status == KP_ENOTFOUND)
        return kp_fail(KP_EMODEL, "layer_names lists \"%s\", but the file has no such group",
                       layer_name);
    KP_TRY(status);
    const char **names;
    status = kp_h5_attr_strings(k, &group, "weight_names", &names, &out->n_slots);
    if (status != 0)
        return status == KP_ENOTFOUND ? 0 : status;
    out->slots = kp_arena_array(k->mem, (size_t)out->n_slots, sizeof *out->slots);
    if (out->slots == NULL)
        return KP_ENOMEM;
    for (int i = 0; i < out->n_slots; i++) {
        out->slots[i].name = names[i];
        status = kp_h5_lookup(k->h5, &group, names[i], &out->slots[i].object);
        if (status == KP_ENOTFOUND || (status == 0 && !out->slots[i].object.is_dataset))
            return kp_fail(KP_EMODEL,
                           "layer \"%s\": weight_names lists \"%s\", but the file has "
                           "no such dataset",
                           layer_name, names[i]);
        KP_TRY(status);
    }
    return 0;
}

static int make_index(kp_keras *k)
{
    const char **names;
    KP_TRY(kp_h5_attr_strings(k, &k->legacy, "layer_names", &names, &k->n_groups));
    k->groups = kp_arena_array(k->mem, (size_t)k->n_groups, sizeof *k->groups);
    if (k->groups == NULL)
        return KP_ENOMEM;
    for (int i = 0; i < k->n_groups; i++)
        KP_TRY(read_slots(k, &k->legacy, names[i], &k->groups[i]));
    return 0;
}

/* ---- which list is a layer's ---- */

static int give_slots(void *ctx, kp_layer *l)
{
    ((kp_store *)l->store)->slots = ctx;
    return 0;
}

static int claim(kp_slots *group, kp_layer *l)
{
    group->claimed = true;
    return kp_layer_walk(l, give_slots, group);
}

static int add_group(json_t *by_name, const kp_slots *group, int number)
{
    if (json_object_get(by_name, group->layer_name) != NULL)
        return kp_fail(KP_EMODEL, "layer_names lists \"%s\" twice", group->layer_name);
    if (json_object_set_new(by_name, group->layer_name, json_integer(number)) != 0)
        return kp_fail(KP_EMODEL, "layer_names holds a name that is not proper text");
    return 0;
}

static int claim_by_name(kp_keras *k, const json_t *by_name)
{
    const kp_layers *m = k->root->model;
    for (int i = 0; i < m->n_layers; i++) {
        const json_t *number = json_object_get(by_name, m->layers[i]->name);
        if (number != NULL)
            KP_TRY(claim(&k->groups[json_integer_value(number)], m->layers[i]));
    }
    return 0;
}

/* Keras numbers its names through a session: an architecture saved in another one than the weights
 * may say dense_2 where they say dense_7. Keras pairs layers that have weights by order; so do we,
 * where there are as many of both. */
static int claim_by_order(kp_keras *k)
{
    const kp_layers *m = k->root->model;
    int wanted = 0, found = 0, g = 0;
    for (int i = 0; i < m->n_layers; i++)
        wanted += kp_legacy_has_variables(m->layers[i]);
    for (int i = 0; i < k->n_groups; i++)
        found += k->groups[i].n_slots > 0;
    if (wanted != found)
        return kp_fail(KP_EMODEL,
                       "the architecture has %d layers with weights, the file has weights of %d; "
                       "architecture and weights do not belong together",
                       wanted, found);
    for (int i = 0; i < k->n_groups; i++)
        k->groups[i].claimed = false;
    for (int i = 0; i < m->n_layers; i++) {
        bool has = kp_legacy_has_variables(m->layers[i]);
        while (has && k->groups[g].n_slots == 0)
            g++;
        KP_TRY(kp_layer_walk(m->layers[i], give_slots, NULL));
        if (has)
            KP_TRY(claim(&k->groups[g++], m->layers[i]));
    }
    return 0;
}

static int assign(kp_keras *k, json_t *by_name)
{
    for (int i = 0; i < k->n_groups; i++)
        KP_TRY(add_group(by_name, &k->groups[i], i));
    KP_TRY(claim_by_name(k, by_name));
    bool all = true;
    for (int i = 0; i < k->n_groups; i++)
        all = all && (k->groups[i].n_slots == 0 || k->groups[i].claimed);
    return all || *k->legacy_prefix != '\0' ? 0 : claim_by_order(k);
}

int kp_legacy_open(kp_keras *k)
{
    KP_TRY(make_index(k));
    json_t *by_name = json_object();
    int status = by_name != NULL ? assign(k, by_name) : kp_fail(KP_ENOMEM, "out of memory");
    json_decref(by_name);
    return status == 0 ? kp_old_padding(k) : status;
}
