/*
 * Weights by path, as Keras 3 and the .keras files of 2.12 to 2.15 store them.
 *
 * The writer walks the model: each object in `layers` gets the snake case of its class as group
 * name, numbered per class in the order of the config. 2.13 counts each layer with weights twice
 * and calls the container _layer_checkpoint_dependencies, on Windows every level is one root group
 * with '\' in its name. The index below has all datasets by one normalised path.
 */
#include "keras/private.h"

#include <stdlib.h>

enum { MAX_ENTRIES = 400000, MAX_GROUP_DEPTH = 48 };

/* ---- the index ---- */

struct indexing {
    kp_keras *k;
    kp_h5 *h5; /* the file being gone through */
    kp_entry *entries;
    int n, cap;
    const char *prefix;
    int depth;
};

static int index_group(struct indexing *x, const kp_h5_object *group, const char *prefix);

/* Training's own state is not the model's. */
static bool is_ignored(const char *path)
{
    static const char *const words[] = {"optimizer",       "metrics",          "_metrics",
                                        "compile_metrics", "_compile_metrics", "loss_tracker",
                                        "_loss_tracker"};
    for (size_t i = 0; i < sizeof words / sizeof *words; i++) {
        size_t n = strlen(words[i]);
        if (strncmp(path, words[i], n) == 0 && (path[n] == '/' || path[n] == '\0'))
            return true;
    }
    return false;
}

static int add_entry(struct indexing *x, const char *path, const kp_place *place, bool is_dataset)
{
    if (x->n == x->cap) {
        int cap = x->cap == 0 ? 256 : 2 * x->cap;
        if (cap > 2 * MAX_ENTRIES)
            return kp_fail(KP_EMODEL, "the weights have more than %d groups and datasets",
                           MAX_ENTRIES);
        kp_entry *grown = kp_arena_array(x->k->mem, (size_t)cap, sizeof *grown);
        if (grown == NULL)
            return KP_ENOMEM;
        if (x->n > 0)
            memcpy(grown, x->entries, (size_t)x->n * sizeof *grown);
        x->entries = grown;
        x->cap = cap;
    }
    x->entries[x->n++] = (kp_entry){.path = path, .place = *place, .is_dataset = is_dataset};
    return 0;
}

static int visit_child(void *ctx, const char *name, const kp_h5_object *child)
{
    struct indexing *x = ctx;
    char *path = *x->prefix == '\0' ? kp_arena_strdup(x->k->mem, name)
                                    : kp_arena_printf(x->k->mem, "%s/%s", x->prefix, name);
    if (path == NULL)
        return KP_ENOMEM;
    for (char *p = path; *p != '\0'; p++)
        if (*p == '\\')
            *p = '/';
    if (is_ignored(path))
        return 0;
    const kp_place place = {.h5 = x->h5, .object = *child};
    KP_TRY(add_entry(x, path, &place, child->is_dataset));
    return child->is_group ? index_group(x, child, path) : 0;
}

static int index_group(struct indexing *x, const kp_h5_object *group, const char *prefix)
{
    if (x->depth == MAX_GROUP_DEPTH)
        return kp_fail(KP_EMODEL, "the weights' groups are nested deeper than %d levels",
                       MAX_GROUP_DEPTH);
    const char *outer = x->prefix;
    x->prefix = prefix;
    x->depth++;
    int status = kp_h5_list(x->h5, group, visit_child, x);
    x->depth--;
    x->prefix = outer;
    return status;
}

static int by_path(const void *a, const void *b)
{
    return strcmp(((const kp_entry *)a)->path, ((const kp_entry *)b)->path);
}

static int index_file(struct indexing *x, kp_h5 *h5)
{
    kp_h5_object root;
    x->h5 = h5;
    KP_TRY(kp_h5_root(h5, &root));
    return index_group(x, &root, "");
}

/* Shards share groups; a dataset in two of them would mean two values. */
static int check_unique(const struct indexing *x)
{
    for (int i = 1; i < x->n; i++)
        if ((x->entries[i].is_dataset || x->entries[i - 1].is_dataset) &&
            strcmp(x->entries[i - 1].path, x->entries[i].path) == 0)
            return kp_fail(KP_EMODEL, "the weights hold the variable \"%s\" twice",
                           x->entries[i].path);
    return 0;
}

static int make_index(kp_keras *k)
{
    struct indexing x = {.k = k, .prefix = ""};
    if (k->h5 != NULL)
        KP_TRY(index_file(&x, k->h5));
    for (int i = 0; i < k->n_shards; i++)
        KP_TRY(index_file(&x, k->shards[i].h5));
    for (int i = 0; i < k->n_arrays; i++)
        if (!is_ignored(k->arrays[i].path))
            KP_TRY(add_entry(&x, k->arrays[i].path, &k->arrays[i].place, true));
    if (x.n > 0)
        qsort(x.entries, (size_t)x.n, sizeof *x.entries, by_path);
    k->entries = x.entries;
    k->n_entries = x.n;
    return check_unique(&x);
}

/* The first entry whose path is not before `path`. */
static int lower_bound(const kp_keras *k, const char *path)
{
    int low = 0, high = k->n_entries;
    while (low < high) {
        int middle = low + (high - low) / 2;
        if (strcmp(k->entries[middle].path, path) < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

static kp_entry *entry_at(const kp_keras *k, const char *path, bool dataset)
{
    for (int i = lower_bound(k, path); i < k->n_entries; i++) {
        if (strcmp(k->entries[i].path, path) != 0)
            return NULL;
        if (k->entries[i].is_dataset == dataset)
            return &k->entries[i];
    }
    return NULL;
}

static bool has_prefix(const char *path, const char *prefix)
{
    return strncmp(path, prefix, strlen(prefix)) == 0;
}

/* "" or "a/b/" of the two parts. */
static char *join(kp_keras *k, const char *group, const char *name)
{
    return *group == '\0' ? kp_arena_strdup(k->mem, name)
                          : kp_arena_printf(k->mem, "%s/%s", group, name);
}

static char *folder(kp_keras *k, const char *group, const char *name)
{
    return *group == '\0' ? kp_arena_printf(k->mem, "%s/", name)
                          : kp_arena_printf(k->mem, "%s/%s/", group, name);
}

static bool any_below(const kp_keras *k, const char *prefix)
{
    int i = lower_bound(k, prefix);
    return i < k->n_entries && has_prefix(k->entries[i].path, prefix);
}

/* ---- which group is a layer's ---- */

/* Counts one more use of word and gives the number before. */
static int count_up(json_t *counts, const char *word, int *before)
{
    *before = (int)json_integer_value(json_object_get(counts, word));
    return json_object_set_new(counts, word, json_integer(*before + 1)) == 0
               ? 0
               : kp_fail(KP_EMODEL, "a class name is not proper text");
}

static char *numbered(kp_keras *k, const char *prefix, const char *snake, int number)
{
    return number == 0 ? kp_arena_printf(k->mem, "%s%s", prefix, snake)
                       : kp_arena_printf(k->mem, "%s%s_%d", prefix, snake, number);
}

/* The number in "dense_12" for class "dense", 0 for "dense", -1 for another class's name. n: length
 * of the name. */
static int suffix_of(const char *name, size_t n, const char *snake)
{
    size_t m = strlen(snake);
    if (n < m || strncmp(name, snake, m) != 0)
        return -1;
    if (n == m)
        return 0;
    if (name[m] != '_' || n - m > 8 || n - m < 2)
        return -1;
    int number = 0;
    for (size_t i = m + 1; i < n; i++) {
        if (name[i] < '0' || name[i] > '9')
            return -1;
        number = 10 * number + (name[i] - '0');
    }
    return number;
}

static int by_number(const void *a, const void *b)
{
    return *(const int *)a - *(const int *)b;
}

/* The numbers of the groups of one class that have data below prefix, sorted. */
static int numbers_with_data(kp_keras *k, const char *prefix, const char *snake, int max, int *out)
{
    int n = 0;
    size_t skip = strlen(prefix);
    for (int i = lower_bound(k, prefix); i < k->n_entries && has_prefix(k->entries[i].path, prefix);
         i++) {
        const char *name = k->entries[i].path + skip;
        int number = suffix_of(name, strcspn(name, "/"), snake);
        if (!k->entries[i].is_dataset || number < 0)
            continue;
        bool known = false;
        for (int j = n - 1; j >= 0 && !known; j--)
            known = out[j] == number;
        if (known)
            continue;
        if (n == max)
            return max + 1;
        out[n++] = number;
    }
    qsort(out, (size_t)n, sizeof *out, by_number);
    return n;
}

/* Keras 2's numberings differ by version: when as many groups of a class have data as there are
 * layers of it, they belong together in order, whatever the numbers are. numbers: per layer, filled
 * in for all layers of layer `first`'s class; snakes[i] is NULL for one without a group. */
static int renumber_class(kp_keras *k, const char *prefix, char *const *snakes, int n_layers,
                          int first, int *numbers)
{
    const char *snake = snakes[first];
    int total = 0;
    for (int i = first; i < n_layers; i++)
        total += snakes[i] != NULL && strcmp(snakes[i], snake) == 0;
    int *found = kp_arena_array(k->mem, (size_t)total + 1, sizeof *found);
    if (found == NULL)
        return KP_ENOMEM;
    if (numbers_with_data(k, prefix, snake, total, found) != total)
        return 0;
    for (int i = first, which = 0; i < n_layers; i++)
        if (snakes[i] != NULL && strcmp(snakes[i], snake) == 0)
            numbers[i] = found[which++];
    return 0;
}

static int assign(kp_keras *k, kp_layer *l, const char *group);

/* Since 2.14 an object that was met before takes no number, and in 2.13, where it does, it has no
 * data: for the matching above it is not there. */
static bool is_stored_elsewhere(const kp_keras *k, const kp_layer *l)
{
    return k->format == KP_FORMAT_KERAS_V2_ZIP && ((const kp_store *)l->store)->twin != NULL;
}

static int assign_level(kp_keras *k, const kp_layers *m, const char *prefix, json_t *counts)
{
    char **snakes = kp_arena_array(k->mem, (size_t)m->n_layers, sizeof *snakes);
    int *numbers = kp_arena_array(k->mem, (size_t)m->n_layers, sizeof *numbers);
    if (snakes == NULL || numbers == NULL)
        return KP_ENOMEM;
    for (int i = 0; i < m->n_layers; i++) {
        if (m->layers[i]->is_operation || is_stored_elsewhere(k, m->layers[i]))
            continue;
        snakes[i] = kp_snake_case(k->mem, m->layers[i]->class_name);
        if (snakes[i] == NULL)
            return KP_ENOMEM;
        KP_TRY(count_up(counts, snakes[i], &numbers[i]));
    }
    for (int i = 0; i < m->n_layers && k->format == KP_FORMAT_KERAS_V2_ZIP; i++)
        if (snakes[i] != NULL && numbers[i] == 0)
            KP_TRY(renumber_class(k, prefix, snakes, m->n_layers, i, numbers));
    for (int i = 0; i < m->n_layers; i++) {
        if (snakes[i] == NULL)
            continue;
        char *group = numbered(k, prefix, snakes[i], numbers[i]);
        if (group == NULL)
            return KP_ENOMEM;
        KP_TRY(assign(k, m->layers[i], group));
    }
    return 0;
}

static int assign_model(kp_keras *k, const kp_layers *m, const char *group)
{
    char *prefix = folder(k, group, "layers");
    char *old = folder(k, group, "_layer_checkpoint_dependencies");
    json_t *counts = json_object();
    int status = prefix == NULL || old == NULL || counts == NULL ? KP_ENOMEM : 0;
    if (status == 0) {
        bool is_old = !any_below(k, prefix) && any_below(k, old);
        status = assign_level(k, m, is_old ? old : prefix, counts);
    }
    json_decref(counts);
    return status;
}

/* Cells of a stack are numbered per class. */
static int assign_cells(kp_keras *k, kp_layer *l, const char *group)
{
    char *prefix = folder(k, group, "cells");
    json_t *counts = json_object();
    int status = prefix == NULL || counts == NULL ? KP_ENOMEM : 0;
    for (int i = 0; status == 0 && i < l->n_inner; i++) {
        int number = 0;
        if (strcmp(l->inner_key[i], "cells") != 0)
            continue;
        char *snake = kp_snake_case(k->mem, l->inner[i]->class_name);
        status = snake == NULL ? KP_ENOMEM : count_up(counts, snake, &number);
        char *path = status == 0 ? numbered(k, prefix, snake, number) : NULL;
        if (status == 0)
            status = path == NULL ? KP_ENOMEM : assign(k, l->inner[i], path);
    }
    json_decref(counts);
    return status;
}

static int assign_inner(kp_keras *k, kp_layer *l, const char *group)
{
    for (int i = 0; i < l->n_inner; i++) {
        const char *key = l->inner_key[i];
        if (strcmp(key, "cells") == 0)
            continue;
        bool forward = strcmp(key, "layer") == 0 && strcmp(l->class_name, "Bidirectional") == 0;
        char *path = join(k, group, forward ? "forward_layer" : key);
        if (path == NULL)
            return KP_ENOMEM;
        KP_TRY(assign(k, l->inner[i], path));
    }
    return assign_cells(k, l, group);
}

static bool has_data(const kp_keras *k, const char *prefix)
{
    for (int i = lower_bound(k, prefix); i < k->n_entries && has_prefix(k->entries[i].path, prefix);
         i++)
        if (k->entries[i].is_dataset)
            return true;
    return false;
}

static int assign(kp_keras *k, kp_layer *l, const char *group)
{
    kp_store *s = l->store;
    s->group = group;
    if (s->twin != NULL) {
        char *own = kp_arena_printf(k->mem, "%s/", group);
        if (own == NULL)
            return KP_ENOMEM;
        if (has_data(k, own)) /* no twin after all */
            s->twin = NULL;
    }
    KP_TRY(assign_inner(k, l, group));
    return l->model != NULL ? assign_model(k, l->model, group) : 0;
}

int kp_v3_open(kp_keras *k)
{
    KP_TRY(make_index(k));
    KP_TRY(kp_twins_find(k));
    return assign(k, k->root, "");
}

/* ---- one variable ---- */

/* The name attribute of a group's vars (written since 3.10), NULL if it has none. */
static const char *group_name(kp_keras *k, const char *group)
{
    char *path = join(k, group, "vars");
    const kp_entry *e = path != NULL ? entry_at(k, path, false) : NULL;
    kp_h5_data d;
    if (e == NULL || kp_h5_attr_read(e->place.h5, &e->place.object, "name", &d) != 0 ||
        d.strings == NULL || d.count != 1)
        return NULL;
    return d.strings[0];
}

/* Where the file says another name than the config, the group of the class that bears the right
 * name is taken; without one the numbering stands, and shapes decide. */
static void check_name(kp_keras *k, const kp_layer *l, kp_store *s)
{
    s->named = true;
    if (l->parent == NULL || l->parent->model == NULL)
        return;
    const char *name = group_name(k, s->group);
    if (name == NULL || strcmp(name, l->name) == 0)
        return;
    const char *slash = strrchr(s->group, '/');
    char *prefix =
        slash == NULL ? NULL : kp_arena_strndup(k->mem, s->group, (size_t)(slash - s->group) + 1);
    char *snake = kp_snake_case(k->mem, l->class_name);
    if (prefix == NULL || snake == NULL)
        return;
    for (int number = 0; number < l->parent->model->n_layers; number++) {
        char *group = numbered(k, prefix, snake, number);
        name = group != NULL ? group_name(k, group) : NULL;
        if (name != NULL && strcmp(name, l->name) == 0) {
            s->group = group;
            return;
        }
    }
}

static char *vars_path(kp_keras *k, const char *group, const char *mark, const char *sub)
{
    if (*sub == '\0')
        return folder(k, group, "vars");
    char *inner = kp_arena_printf(k->mem, "%s%s/vars", mark, sub);
    return inner == NULL ? NULL : folder(k, group, inner);
}

/* By number, or by name where a layer stores its variables itself (idf_weights of a lookup). */
static kp_entry *dataset(kp_keras *k, const char *vars, int index, const char *name)
{
    char *path = kp_arena_printf(k->mem, "%s%d", vars, index);
    kp_entry *e = path != NULL ? entry_at(k, path, true) : NULL;
    char *named = e == NULL ? kp_arena_printf(k->mem, "%s%s", vars, name) : NULL;
    return named != NULL ? entry_at(k, named, true) : e;
}

int kp_v3_find(kp_keras *k, const kp_layer *l, const char *sub, int index, const char *name,
               kp_place *out, const char **where)
{
    kp_store *s = l->store;
    *where = "its group";
    if (s->group == NULL) /* an operation: it has none */
        return KP_ENOTFOUND;
    if (!s->named)
        check_name(k, l, s);
    char *vars = vars_path(k, s->group, "", sub);
    /* Before 3.0.3 and in Keras 2 the parts of attention layers begin with "_". */
    char *old = vars_path(k, s->group, "_", sub);
    char *wanted = vars != NULL ? kp_arena_printf(k->mem, "%s%d", vars, index) : NULL;
    if (vars == NULL || old == NULL || wanted == NULL)
        return KP_ENOMEM;
    *where = wanted;
    kp_entry *e = dataset(k, vars, index, name);
    if (e == NULL && *sub != '\0')
        e = dataset(k, old, index, name);
    if (e == NULL)
        return KP_ENOTFOUND;
    e->used = true;
    *where = e->path;
    *out = e->place;
    return 0;
}

int kp_v3_count(kp_keras *k, const kp_layer *l, const char *sub)
{
    kp_store *s = l->store;
    if (s->group == NULL)
        return 0;
    if (!s->named)
        check_name(k, l, s);
    int n = 0;
    for (int mark = 0; mark < 2 && n == 0; mark++) {
        char *vars = vars_path(k, s->group, mark == 0 ? "" : "_", sub);
        if (vars == NULL)
            return 0;
        size_t skip = strlen(vars);
        for (int i = lower_bound(k, vars); i < k->n_entries && has_prefix(k->entries[i].path, vars);
             i++)
            n += k->entries[i].is_dataset && strchr(k->entries[i].path + skip, '/') == NULL;
    }
    return n;
}

const char *kp_v3_group(kp_keras *k, const kp_layer *l)
{
    kp_store *s = l->store;
    if (s->group != NULL && !s->named)
        check_name(k, l, s);
    return s->group;
}

/* ---- what nobody asked for ---- */

/* Normalization also stores how many values it has seen; 3.0 to 3.2 stored the variables of a
 * frozen layer twice. */
static bool may_stay(const kp_keras *k, const kp_layer *l)
{
    return strcmp(l->class_name, "Normalization") == 0 ||
           (k->major == 3 && strncmp(k->version, "3.", 2) == 0 && atoi(k->version + 2) < 3);
}

static int check_layer(void *ctx, kp_layer *l)
{
    kp_keras *k = ctx;
    const kp_store *s = l->store;
    if (l->model != NULL || s->group == NULL || *s->group == '\0')
        return 0;
    char *prefix = kp_arena_printf(k->mem, "%s/", s->group);
    if (prefix == NULL)
        return KP_ENOMEM;
    for (int i = lower_bound(k, prefix); i < k->n_entries && has_prefix(k->entries[i].path, prefix);
         i++) {
        kp_entry *e = &k->entries[i];
        e->covered = true;
        if (s->asked && e->is_dataset && !e->used && !may_stay(k, l))
            return kp_fail(KP_EMODEL,
                           "layer \"%s\" (%s): the file has a variable \"%s\" that this "
                           "layer does not use; config and weights do not belong "
                           "together",
                           l->path, l->class_name, e->path);
    }
    return 0;
}

int kp_v3_check_unused(kp_keras *k)
{
    KP_TRY(kp_layer_walk(k->root, check_layer, k));
    for (int i = 0; i < k->n_entries; i++) {
        const kp_entry *e = &k->entries[i];
        bool of_layer = has_prefix(e->path, "layers/") ||
                        has_prefix(e->path, "_layer_checkpoint_dependencies/");
        if (e->is_dataset && of_layer && !e->covered && !e->used)
            return kp_fail(KP_EMODEL,
                           "the file has a variable \"%s\" of a layer that the model "
                           "does not have; config and weights do not belong together",
                           e->path);
    }
    return 0;
}
