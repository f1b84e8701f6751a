/* Calls in an order in which each comes after those that it takes its inputs from. */
#include "keras/private.h"

enum { UNSEEN, OPEN, DONE };

struct sort {
    const kp_layer *owner;
    kp_layers *m;
    int **needs; /* per call: the calls that it refers to */
    int *n_needs;
    int *next; /* per call: how many of its needs have been gone into */
    uint8_t *state;
    int *stack;
    int *number; /* old number -> new number */
    kp_call *sorted;
    int n_sorted;
    int filling; /* the call whose needs are being counted or filled */
};

int kp_arg_next(const kp_arg *a, int last)
{
    if (a->kind != KP_ARG_DICT || a->keys == NULL || a->n_items > KP_DICT_MAX)
        return last + 1;
    int next = a->n_items;
    for (int i = 0; i < a->n_items; i++)
        if ((last < 0 || strcmp(a->keys[i], a->keys[last]) > 0) &&
            (next == a->n_items || strcmp(a->keys[i], a->keys[next]) < 0))
            next = i;
    return next;
}

int kp_arg_refs(kp_arg *a, kp_ref_fn fn, void *ctx)
{
    if (a->kind == KP_ARG_REF)
        return fn(ctx, a);
    for (int i = 0; i < a->n_items; i++)
        KP_TRY(kp_arg_refs(&a->items[i], fn, ctx));
    return 0;
}

static int count_need(void *ctx, kp_arg *ref)
{
    (void)ref;
    struct sort *s = ctx;
    s->n_needs[s->filling]++;
    return 0;
}

static int fill_need(void *ctx, kp_arg *ref)
{
    struct sort *s = ctx;
    s->needs[s->filling][s->next[s->filling]++] = ref->ref.call;
    return 0;
}

static int gather_needs(kp_keras *k, struct sort *s)
{
    for (int i = 0; i < s->m->n_calls; i++) {
        kp_call *call = &s->m->calls[i];
        s->filling = i;
        KP_TRY(kp_arg_refs(&call->args, count_need, s));
        KP_TRY(kp_arg_refs(&call->kwargs, count_need, s));
        s->needs[i] = kp_arena_array(k->mem, (size_t)s->n_needs[i], sizeof(int));
        if (s->needs[i] == NULL)
            return KP_ENOMEM;
        KP_TRY(kp_arg_refs(&call->args, fill_need, s));
        KP_TRY(kp_arg_refs(&call->kwargs, fill_need, s));
        s->next[i] = 0;
    }
    return 0;
}

static int fail_cycle(const struct sort *s, int from, int to)
{
    return kp_fail(KP_EMODEL,
                   "model \"%s\" has a loop: layer \"%s\" takes its input from layer "
                   "\"%s\", which depends on it",
                   s->owner->path, s->m->calls[from].layer->path, s->m->calls[to].layer->path);
}

/* Depth first with a stack of its own: a chain may be as long as the file says. */
static int visit(struct sort *s, int start)
{
    int depth = 0;
    s->stack[depth++] = start;
    s->state[start] = OPEN;
    while (depth > 0) {
        int c = s->stack[depth - 1];
        if (s->next[c] < s->n_needs[c]) {
            int need = s->needs[c][s->next[c]++];
            if (s->state[need] == OPEN)
                return fail_cycle(s, c, need);
            if (s->state[need] == UNSEEN) {
                s->state[need] = OPEN;
                s->stack[depth++] = need;
            }
            continue;
        }
        s->state[c] = DONE;
        s->number[c] = s->n_sorted;
        s->sorted[s->n_sorted++] = s->m->calls[c];
        depth--;
    }
    return 0;
}

static int renumber(void *ctx, kp_arg *ref)
{
    struct sort *s = ctx;
    ref->ref.call = s->number[ref->ref.call];
    return 0;
}

/* ---- flat inputs and outputs ---- */

struct flat {
    kp_ref *refs;
    int n;
};

static void count_flat(const kp_arg *a, int *n)
{
    if (a->kind == KP_ARG_REF)
        ++*n;
    for (int i = 0; i < a->n_items; i++)
        count_flat(&a->items[i], n);
}

/* Dicts by sorted key: the number of keys smaller than key i is its place. */
static void flatten(const kp_arg *a, struct flat *f)
{
    if (a->kind == KP_ARG_REF) {
        f->refs[f->n++] = a->ref;
        return;
    }
    for (int i = kp_arg_next(a, -1); i < a->n_items; i = kp_arg_next(a, i))
        flatten(&a->items[i], f);
}

static int flat_refs(kp_keras *k, const kp_layer *owner, const kp_arg *a, const char *what,
                     kp_ref **refs, int *n)
{
    struct flat f = {0};
    count_flat(a, n);
    if (*n == 0)
        return kp_fail(KP_EMODEL, "model \"%s\" has no %s", owner->path, what);
    if (*n > 4096)
        return kp_fail(KP_EMODEL, "model \"%s\" has %d %s, more than the 4096 allowed", owner->path,
                       *n, what);
    f.refs = *refs = kp_arena_array(k->mem, (size_t)*n, sizeof **refs);
    if (*refs == NULL)
        return KP_ENOMEM;
    flatten(a, &f);
    return 0;
}

static int check_inputs(const kp_layer *owner, const kp_layers *m)
{
    for (int i = 0; i < m->n_inputs; i++) {
        const kp_layer *l = m->calls[m->flat_inputs[i].call].layer;
        if (strcmp(l->class_name, "InputLayer") != 0 || m->flat_inputs[i].tensor != 0)
            return kp_fail(KP_EMODEL,
                           "model \"%s\": input %d is layer \"%s\" (%s), not an "
                           "InputLayer",
                           owner->path, i, l->path, l->class_name);
    }
    return 0;
}

int kp_calls_sort(kp_keras *k, const kp_layer *owner, kp_layers *m)
{
    size_t n = (size_t)m->n_calls;
    struct sort s = {.owner = owner, .m = m};
    s.needs = kp_arena_array(k->mem, n, sizeof *s.needs);
    s.n_needs = kp_arena_array(k->mem, n, sizeof *s.n_needs);
    s.next = kp_arena_array(k->mem, n, sizeof *s.next);
    s.state = kp_arena_array(k->mem, n, sizeof *s.state);
    s.stack = kp_arena_array(k->mem, n, sizeof *s.stack);
    s.number = kp_arena_array(k->mem, n, sizeof *s.number);
    s.sorted = kp_arena_array(k->mem, n, sizeof *s.sorted);
    if (s.needs == NULL || s.n_needs == NULL || s.next == NULL || s.state == NULL ||
        s.stack == NULL || s.number == NULL || s.sorted == NULL)
        return KP_ENOMEM;
    KP_TRY(gather_needs(k, &s));
    for (int i = 0; i < m->n_calls; i++)
        if (s.state[i] == UNSEEN)
            KP_TRY(visit(&s, i));
    m->calls = s.sorted;
    for (int i = 0; i < m->n_calls; i++) {
        KP_TRY(kp_arg_refs(&m->calls[i].args, renumber, &s));
        KP_TRY(kp_arg_refs(&m->calls[i].kwargs, renumber, &s));
    }
    KP_TRY(kp_arg_refs(&m->inputs, renumber, &s));
    KP_TRY(kp_arg_refs(&m->outputs, renumber, &s));
    KP_TRY(flat_refs(k, owner, &m->inputs, "inputs", &m->flat_inputs, &m->n_inputs));
    KP_TRY(flat_refs(k, owner, &m->outputs, "outputs", &m->flat_outputs, &m->n_outputs));
    return check_inputs(owner, m);
}
