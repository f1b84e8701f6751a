/*
 * Weights of legacy .h5 files: per layer of the top model a list of named variables.
 *
 * Keras itself matches by order alone, and the order inside a nested model depends on which layers
 * are trainable. Names are surer where they say enough: the variable's name and, inside a nested
 * model, the sublayer's. Where they do not, order.c says which place is meant.
 */
#include "keras/private.h"

/* ---- names ---- */

/* A part of a name between slashes. */
struct word {
    const char *text;
    size_t size;
};

static bool next_word(const char **rest, struct word *w)
{
    if (**rest == '\0')
        return false;
    w->text = *rest;
    w->size = strcspn(*rest, "/");
    *rest += w->size;
    *rest += **rest == '/';
    return true;
}

static bool word_is(struct word w, const char *s)
{
    return strlen(s) == w.size && memcmp(w.text, s, w.size) == 0;
}

static bool word_begins(struct word w, const char *s)
{
    return strlen(s) <= w.size && memcmp(w.text, s, strlen(s)) == 0;
}

/* Without "_12" at its end: what TensorFlow's graph appended to make names unique. */
static struct word without_number(struct word w)
{
    size_t n = w.size;
    while (n > 0 && w.text[n - 1] >= '0' && w.text[n - 1] <= '9')
        n--;
    if (n < w.size && n > 1 && w.text[n - 1] == '_')
        w.size = n - 1;
    return w;
}

static struct word variable_of(const char *slot)
{
    struct word w = {slot, 0};
    for (const char *rest = slot; next_word(&rest, &w);)
        ;
    const char *colon = memchr(w.text, ':', w.size);
    if (colon != NULL)
        w.size = (size_t)(colon - w.text);
    return w;
}

static bool has_word(const char *slot, const char *s, bool begins)
{
    struct word w;
    for (const char *rest = slot; next_word(&rest, &w) && *rest != '\0';)
        if (begins ? word_begins(w, s) : word_is(w, s))
            return true;
    return false;
}

/* ---- one variable ---- */

/* The child of the top model that l belongs to, and the layer within models that l is or is wrapped
 * by: wrapped layers bear no name of their own in the file. */
static const kp_layer *top_of(const kp_layer *l)
{
    while (l->parent != NULL && l->parent->parent != NULL)
        l = l->parent;
    return l;
}

static const kp_layer *site_of(const kp_layer *l)
{
    while (l->parent != NULL && l->parent->model == NULL)
        l = l->parent;
    return l;
}

bool kp_legacy_is_backward(const kp_layer *l, const char *sub)
{
    for (const kp_layer *p = l; p->parent != NULL && p->parent->model == NULL; p = p->parent)
        for (int i = 0; i < p->parent->n_inner; i++)
            if (p->parent->inner[i] == p && strcmp(p->parent->inner_key[i], "backward_layer") == 0)
                return true;
    return strncmp(sub, "backward_layer", 14) == 0;
}

/* How well a slot fits the part of a composite layer that is asked for: 0 or 1. */
static int part_fits(const kp_layer *l, const char *sub, const char *slot)
{
    const kp_layer *site = site_of(l);
    if (strcmp(site->class_name, "Bidirectional") == 0)
        return has_word(slot, kp_legacy_is_backward(l, sub) ? "backward" : "forward", true);
    static const char *const parts[][2] = {{"query_dense", "query"},
                                           {"key_dense", "key"},
                                           {"value_dense", "value"},
                                           {"gate_dense", "gate"},
                                           {"output_dense", "attention_output"}};
    for (size_t i = 0; i < sizeof parts / sizeof *parts; i++)
        if (strcmp(sub, parts[i][0]) == 0)
            return has_word(slot, parts[i][1], false);
    return *sub == '\0' || has_word(slot, sub, false);
}

/* Depthwise convolutions called their kernel depthwise_kernel until Keras 3. */
static bool is_variable(const kp_layer *l, struct word variable, const char *name)
{
    if (word_is(variable, name))
        return true;
    return strncmp(l->class_name, "DepthwiseConv", 13) == 0 &&
           (strcmp(name, "kernel") == 0 || strcmp(name, "depthwise_kernel") == 0) &&
           (word_is(variable, "kernel") || word_is(variable, "depthwise_kernel"));
}

/* -1: not this variable. Else the more the better: names of the sublayer and of the models around
 * it that the slot bears. */
static int score(const kp_layer *l, const char *sub, const char *name, const char *slot)
{
    struct word variable = variable_of(slot);
    if (!is_variable(l, variable, name) && !is_variable(l, without_number(variable), name))
        return -1;
    int points = part_fits(l, sub, slot);
    const kp_layer *top = top_of(l), *site = site_of(l);
    if (site == top)
        return points;
    if (!has_word(slot, site->name, false))
        return -1;
    for (const kp_layer *p = site->parent; p != NULL && p != top; p = p->parent)
        points += 2 * has_word(slot, p->name, false);
    return points;
}

static int best_slot(const kp_slots *s, const kp_layer *l, const char *sub, const char *name)
{
    int best = -1, best_points = -1;
    for (int i = 0; i < s->n_slots; i++) {
        int points = score(l, sub, name, s->slots[i].name);
        /* Among equals the first that nobody has asked for. */
        bool fresher =
            points == best_points && best >= 0 && s->slots[best].used && !s->slots[i].used;
        if (points > best_points || (points >= 0 && fresher)) {
            best = i;
            best_points = points;
        }
    }
    return best;
}

static int first_unused(const kp_slots *s)
{
    for (int i = 0; i < s->n_slots; i++)
        if (!s->slots[i].used)
            return i;
    return -1;
}

static int slot_of(const kp_slots *s, const kp_layer *l, const char *sub, int index,
                   const char *name)
{
    int i = best_slot(s, l, sub, name);
    if (i >= 0)
        return i;
    const kp_layer *top = top_of(l);
    if (top->model != NULL)
        return kp_legacy_order(top, site_of(l), name, s->n_slots);
    /* A layer of its own: the place in the list is the number among its variables. */
    if (l == top && *sub == '\0')
        return index < s->n_slots ? index : -1;
    return first_unused(s);
}

int kp_legacy_find(kp_keras *k, const kp_layer *l, const char *sub, int index, const char *name,
                   kp_place *out, const char **where)
{
    const kp_layer *top = top_of(l);
    const char *wanted = kp_arena_printf(k->mem, "%s%s/.../%s", k->legacy_prefix, top->name, name);
    kp_slots *s = ((kp_store *)l->store)->slots;
    *where = wanted != NULL ? wanted : "";
    int i = s != NULL ? slot_of(s, l, sub, index, name) : -1;
    if (i < 0)
        return KP_ENOTFOUND;
    s->slots[i].used = true;
    *out = (kp_place){.h5 = k->h5, .object = s->slots[i].object};
    *where = kp_arena_printf(k->mem, "%s%s/%s", k->legacy_prefix, s->layer_name, s->slots[i].name);
    return *where == NULL ? KP_ENOMEM : 0;
}

int kp_legacy_count(kp_keras *k, const kp_layer *l, const char *sub)
{
    (void)k;
    const kp_slots *s = ((kp_store *)l->store)->slots;
    const kp_layer *top = top_of(l), *site = site_of(l);
    if (s == NULL)
        return 0;
    if (top->model == NULL && *sub == '\0')
        return s->n_slots;
    int n = 0;
    for (int i = 0; i < s->n_slots; i++)
        n += (top->model == NULL || has_word(s->slots[i].name, site->name, false)) &&
             part_fits(l, sub, s->slots[i].name) != 0;
    return n;
}

/* ---- what nobody asked for ---- */

/* Random layers of Keras 3 store the state of their generator; Normalization how much it has
 * seen. */
static bool may_stay(const kp_layer *l, const char *slot)
{
    struct word variable = variable_of(slot);
    return word_begins(variable, "seed_generator") || has_word(slot, "seed_generator", true) ||
           word_is(variable, "count") || strcmp(l->class_name, "Normalization") == 0;
}

static int check_top(const kp_layer *top, const kp_slots *s)
{
    for (int i = 0; i < s->n_slots; i++)
        if (!s->slots[i].used && !may_stay(top, s->slots[i].name))
            return kp_fail(KP_EMODEL,
                           "layer \"%s\" (%s): the file has a variable \"%s\" that this "
                           "layer does not use; config and weights do not belong "
                           "together",
                           top->path, top->class_name, s->slots[i].name);
    return 0;
}

static int note_asked(void *ctx, kp_layer *l)
{
    *(bool *)ctx = *(bool *)ctx || ((kp_store *)l->store)->asked;
    return 0;
}

int kp_legacy_check_unused(kp_keras *k)
{
    const kp_layers *m = k->root->model;
    for (int i = 0; i < m->n_layers; i++) {
        kp_layer *top = m->layers[i];
        const kp_slots *s = ((kp_store *)top->store)->slots;
        bool asked = false;
        KP_TRY(kp_layer_walk(top, note_asked, &asked));
        if (s != NULL && asked)
            KP_TRY(check_top(top, s));
    }
    for (int i = 0; i < k->n_groups; i++)
        if (k->groups[i].n_slots > 0 && !k->groups[i].claimed)
            return kp_fail(KP_EMODEL,
                           "the file has weights of a layer \"%s\" that the model does "
                           "not have; config and weights do not belong together",
                           k->groups[i].layer_name);
    return 0;
}
