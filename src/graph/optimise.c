/* Runs the passes in the order of their table. */
#include "graph/graph_int.h"

/* The pass over the bodies of the loops, then over the graph; sweeps what has changed. */
static int apply(kp_graph *g, const kp_pass *pass, int *n_changes)
{
    int changes = 0;
    for (int i = 0; i < g->n_nodes; i++) {
        kp_graph *body = kp_node_body(g->nodes[i]);
        if (body == NULL)
            continue;
        body->eval = g->eval;
        body->eval_ctx = g->eval_ctx;
        int status = apply(body, pass, n_changes);
        body->eval = NULL;
        body->eval_ctx = NULL;
        KP_TRY(status);
    }
    KP_TRY(pass->run(g, &changes));
    if (changes > 0)
        KP_TRY(kp_graph_sweep(g));
    *n_changes += changes;
    return 0;
}

static int run_pass(kp_graph *g, const kp_pass *pass, kp_pass_observer after, void *ctx)
{
    int n_changes = 0, status = apply(g, pass, &n_changes);
#ifdef KP_DEBUG
    if (status == 0)
        status = kp_graph_verify(g);
#endif
    if (status != 0)
        return kp_fail_prefix(status, "pass %s", pass->name);
    if (after != NULL)
        after(ctx, pass, g, n_changes);
    return 0;
}

/* Lowering leaves nodes that nothing uses, in bodies too. */
static int sweep_all(kp_graph *g)
{
    KP_TRY(kp_graph_sweep(g));
    for (int i = 0; i < g->n_nodes; i++) {
        if (kp_node_body(g->nodes[i]) != NULL)
            KP_TRY(sweep_all(kp_node_body(g->nodes[i])));
    }
    return 0;
}

int kp_graph_optimise(kp_graph *g, kp_eval_fn eval, void *eval_ctx, kp_pass_observer after,
                      void *ctx)
{
    g->eval = eval;
    g->eval_ctx = eval_ctx;
    int status = sweep_all(g);
    for (const kp_pass *pass = kp_passes; status == 0 && pass->name != NULL; pass++)
        status = run_pass(g, pass, after, ctx);
    g->eval = NULL;
    g->eval_ctx = NULL;
    return status;
}
