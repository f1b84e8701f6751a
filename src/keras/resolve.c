/*
 * From the node indexes that files store to calls.
 *
 * Versions count differently: a nested model of Keras 2 had a node of its own before its first
 * call, Keras 3 still counts so where a nested Functional is an output, 3.0 and 3.1 count calls
 * outside of the model too, 3.2 wrote 0 everywhere. A layer that is called once needs no index.
 */
#include "keras/private.h"

#include <stdlib.h>

/* The indexes that refer to a layer, in one kind of place. */
struct range {
    int64_t min, max;
    int n;
    int64_t *all; /* of layers that are called more than once */
    int n_all;
};

struct resolving {
    kp_keras *k;
    const kp_layer *owner;
    kp_layers *m;
    const int *first_call;
    struct range *inner; /* per layer: references inside nodes */
    struct range *outer; /* per layer: references in input_layers and output_layers */
    bool outside;        /* at input_layers and output_layers */
    bool *used;          /* per call: it is an output */
    int *next;           /* per layer with lost indexes: its next call to be given out */
};

static int note_range(void *ctx, kp_arg *ref)
{
    struct resolving *s = ctx;
    struct range *r = s->outside ? &s->outer[ref->ref.call] : &s->inner[ref->ref.call];
    if (r->n == 0 || ref->integer < r->min)
        r->min = ref->integer;
    if (r->n == 0 || ref->integer > r->max)
        r->max = ref->integer;
    r->n++;
    return 0;
}

static int note_index(void *ctx, kp_arg *ref)
{
    struct resolving *s = ctx;
    struct range *r = s->outside ? &s->outer[ref->ref.call] : &s->inner[ref->ref.call];
    if (r->all != NULL)
        r->all[r->n_all++] = ref->integer;
    return 0;
}

static int by_size(const void *a, const void *b)
{
    int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
    return (x > y) - (x < y);
}

/* Sorted, each once. */
static void make_unique(struct range *r)
{
    int n = 0;
    if (r->all == NULL)
        return;
    qsort(r->all, (size_t)r->n_all, sizeof *r->all, by_size);
    for (int i = 0; i < r->n_all; i++)
        if (n == 0 || r->all[n - 1] != r->all[i])
            r->all[n++] = r->all[i];
    r->n_all = n;
}

static int calls_of(const struct resolving *s, int layer)
{
    return s->first_call[layer + 1] - s->first_call[layer];
}

static int make_lists(struct resolving *s)
{
    for (int i = 0; i < s->m->n_layers; i++)
        for (int outside = 0; outside < 2 && calls_of(s, i) > 1; outside++) {
            struct range *r = outside == 1 ? &s->outer[i] : &s->inner[i];
            r->all = kp_arena_array(s->k->mem, (size_t)r->n, sizeof *r->all);
            if (r->all == NULL)
                return KP_ENOMEM;
        }
    return 0;
}

/* Which index the file gives to a layer's first call. */
static int64_t base_of(const struct resolving *s, const kp_layer *l, const struct range *r, int n)
{
    if (r->min < 1)
        return 0;
    bool shifted = l->model != NULL && (s->k->major < 3 || (s->outside && !l->model->sequential));
    return r->max >= n || shifted ? 1 : 0;
}

/* The number of the call that the file calls `index`. 3.0 and 3.1 left gaps, of calls outside of
 * the model: when all n calls are referred to, their order tells which is which. */
static int64_t call_number(const struct resolving *s, const kp_layer *l, const struct range *r,
                           int n, int64_t index)
{
    int64_t base = base_of(s, l, r, n);
    if (r->max - base < n || r->n_all != n)
        return index - base;
    int64_t rank = 0;
    while (rank < n && r->all[rank] != index)
        rank++;
    return rank;
}

/* ---- indexes that are lost ---- */

/* Keras 3.2 gave 0 to every call of a shared layer, except among the outputs. Every call of a graph
 * is used, or it would not be there: one that nothing refers to shows such a file. */
static bool is_lost(const struct resolving *s, int layer)
{
    int n = calls_of(s, layer), unused = 0;
    if (s->outside || s->k->major < 3 || n == 1 || s->inner[layer].max != 0)
        return false;
    for (int i = 1; i < n; i++)
        unused += !s->used[s->first_call[layer] + i];
    return unused > 0;
}

/* When there are as many references as calls that are no outputs, each call has one, and they stand
 * in the order of the calls unless the author's code turned it round. */
static int give_out(struct resolving *s, kp_arg *ref)
{
    int layer = ref->ref.call, n = calls_of(s, layer), free = 0;
    const bool *used = s->used + s->first_call[layer];
    const kp_layer *l = s->m->layers[layer];
    const char *space = *s->k->version != '\0' ? " " : "";
    for (int i = 0; i < n; i++)
        free += !used[i];
    if (free != s->inner[layer].n)
        return kp_fail(KP_EMODEL,
                       "model \"%s\": layer \"%s\" (%s) is called %d times, but Keras%s%s did not "
                       "store which of the calls is used where; build the model again and save it "
                       "with another version",
                       s->owner->path, l->path, l->class_name, n, space, s->k->version);
    if (s->next[layer] == 0)
        kp_log(
            KP_LOG_WARNING,
            "model \"%s\": Keras%s%s did not store which of the %d calls of layer \"%s\" is used "
            "where; they are taken in their order",
            s->owner->path, space, s->k->version, n, l->path);
    int call = s->next[layer];
    while (used[call])
        call++;
    s->next[layer] = call + 1;
    ref->ref.call = s->first_call[layer] + call;
    return 0;
}

/* ---- all of them ---- */

static int resolve(void *ctx, kp_arg *ref)
{
    struct resolving *s = ctx;
    int number = ref->ref.call, n = calls_of(s, number);
    const kp_layer *l = s->m->layers[number];
    if (n == 0)
        return kp_fail(KP_EMODEL, "model \"%s\": layer \"%s\" is used as an input but never called",
                       s->owner->path, l->path);
    if (is_lost(s, number))
        return give_out(s, ref);
    const struct range *r = s->outside ? &s->outer[number] : &s->inner[number];
    int64_t node = n == 1 ? 0 : call_number(s, l, r, n, ref->integer);
    if (node < 0 || node >= n)
        return kp_fail(KP_EMODEL,
                       "model \"%s\": call %lld of layer \"%s\" is used, but it is called %d times",
                       s->owner->path, (long long)ref->integer, l->path, n);
    ref->ref.call = s->first_call[number] + (int)node;
    ref->integer = 0;
    if (s->outside)
        s->used[ref->ref.call] = true;
    return 0;
}

static int each_inside(struct resolving *s, kp_ref_fn fn)
{
    s->outside = false;
    for (int i = 0; i < s->m->n_calls; i++) {
        KP_TRY(kp_arg_refs(&s->m->calls[i].args, fn, s));
        KP_TRY(kp_arg_refs(&s->m->calls[i].kwargs, fn, s));
    }
    return 0;
}

static int each_outside(struct resolving *s, kp_ref_fn fn)
{
    s->outside = true;
    KP_TRY(kp_arg_refs(&s->m->inputs, fn, s));
    return kp_arg_refs(&s->m->outputs, fn, s);
}

int kp_refs_resolve(kp_keras *k, const kp_layer *owner, kp_layers *m, const int *first_call)
{
    struct resolving s = {.k = k, .owner = owner, .m = m, .first_call = first_call};
    size_t n = (size_t)m->n_layers;
    s.inner = kp_arena_array(k->mem, n, sizeof *s.inner);
    s.outer = kp_arena_array(k->mem, n, sizeof *s.outer);
    s.next = kp_arena_array(k->mem, n, sizeof *s.next);
    s.used = kp_arena_array(k->mem, (size_t)m->n_calls, sizeof *s.used);
    if (s.inner == NULL || s.outer == NULL || s.next == NULL || s.used == NULL)
        return KP_ENOMEM;
    KP_TRY(each_inside(&s, note_range));
    KP_TRY(each_outside(&s, note_range));
    KP_TRY(make_lists(&s));
    KP_TRY(each_inside(&s, note_index));
    KP_TRY(each_outside(&s, note_index));
    for (int i = 0; i < m->n_layers; i++) {
        make_unique(&s.inner[i]);
        make_unique(&s.outer[i]);
    }
    KP_TRY(each_outside(&s, resolve));
    return each_inside(&s, resolve);
}
