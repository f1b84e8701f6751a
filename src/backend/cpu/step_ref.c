/* What nothing else takes is computed by the plain reference, node by node. */
#include "backend/cpu/cpu.h"

#include <stdlib.h>

static void describe(kp_tensor *t, const kp_value *v, const kp_call *c)
{
    memset(t, 0, sizeof *t);
    if (v == NULL)
        return;
    t->dtype = v->dtype;
    t->ndim = v->ndim;
    t->size_bytes = kp_elem_size(v->dtype);
    for (int d = 0; d < v->ndim; d++) {
        t->shape[d] = v->shape[d] == KP_DIM_BATCH ? c->rows : v->shape[d];
        t->size_bytes *= (size_t)t->shape[d];
    }
    t->data = c->at[v->id];
}

/* The tensors of the engine threads, side by side, so that nothing is allocated in a run. */
typedef struct state {
    kp_tensor *in;
} state;

static int run(const kp_step *s, kp_call *c)
{
    const state *st = s->state;
    const kp_node *n = s->node;
    kp_tensor *in = st->in + (size_t)c->worker * (size_t)(n->n_inputs + 1), out;
    for (int i = 0; i < n->n_inputs; i++)
        describe(&in[i], n->inputs[i], c);
    describe(&out, n->output, c);
    return kp_ref_run_node(n, in, n->n_inputs, &out);
}

static int build(kp_exec *e, kp_step *s)
{
    state *st = calloc(1, sizeof *st);
    s->state = st;
    if (st != NULL)
        st->in = calloc((size_t)e->threads * (size_t)(s->node->n_inputs + 1), sizeof *st->in);
    return st != NULL && st->in != NULL ? 0 : kp_fail(KP_ENOMEM, "out of memory");
}

static void fini(kp_step *s)
{
    state *st = s->state;
    if (st != NULL)
        free(st->in);
    free(st);
}

bool kp_step_ref(kp_step *s, const kp_node *n)
{
    s->by = "ref";
    s->run = run;
    s->build = build;
    s->fini = fini;
    s->in_place = -1;
    return kp_ref_supports(n);
}
