/* Loops: the body is compiled like a graph of its own, its weights packed once; it runs on the
 * thread that runs the loop, in that thread's memory. */
#include "backend/cpu/cpu.h"
#include "backend/loop.h"

#include <stdlib.h>

typedef struct state {
    kp_exec *body;
    int64_t body_rows;
    const void **in; /* of the node, by engine thread */
} state;

/* What the driver calls back with. */
typedef struct turn {
    kp_exec *body;
    int worker;
} turn;

static int run_body(void *ctx, const void *const *in, void *const *out, int64_t rows)
{
    const turn *t = ctx;
    return kp_cpu_run_body(t->body, t->worker, in, out, rows);
}

static int run(const kp_step *s, kp_call *c)
{
    const state *st = s->state;
    const kp_node *n = s->node;
    turn t = {st->body, c->worker};
    kp_loop l = {n, st->body_rows, run_body, &t};
    const void **in = st->in + (size_t)c->worker * (size_t)n->n_inputs;
    for (int i = 0; i < n->n_inputs; i++)
        in[i] = n->inputs[i] == NULL ? NULL : c->at[n->inputs[i]->id];
    return kp_loop_run(&l, in, c->at[n->output->id], c->rows, c->scratch);
}

static int build(kp_exec *e, kp_step *s)
{
    const kp_node *n = s->node;
    state *st = calloc(1, sizeof *st);
    s->state = st;
    if (st != NULL)
        st->in = calloc((size_t)e->threads * (size_t)n->n_inputs, sizeof *st->in);
    if (st == NULL || st->in == NULL)
        return kp_fail(KP_ENOMEM, "out of memory");
    st->body_rows = kp_loop_body_rows(n, e->piece_rows);
    if (!kp_loop_memory(n, e->piece_rows, &s->scratch_bytes))
        return kp_node_fail(n, KP_ELIMIT, "its steps do not fit in memory");
    KP_TRY(kp_cpu_compile_body(&st->body, kp_node_body(n), st->body_rows, e->threads));
    s->body_bytes = kp_cpu_arena_bytes(st->body);
    s->packed_bytes = kp_cpu_packed_bytes(st->body);
    return 0;
}

static void fini(kp_step *s)
{
    state *st = s->state;
    if (st == NULL)
        return;
    kp_cpu_close(&st->body);
    free(st->in);
    free(st);
}

bool kp_step_loop(kp_step *s, const kp_node *n)
{
    const kp_graph *body = kp_node_body(n);
    kp_step inside;
    for (int i = 0; body != NULL && i < body->n_nodes; i++) {
        kp_op op = body->nodes[i]->op;
        if (op != KP_OP_INPUT && op != KP_OP_CONST && !kp_step_choose(&inside, body->nodes[i]))
            return false;
    }
    s->by = "own";
    s->run = run;
    s->build = build;
    s->fini = fini;
    s->in_place = -1;
    return body != NULL;
}
