/* Computes nodes whose inputs are all constants. */
#include "graph/passes/passes.h"

/* A constant that is larger than this is cheaper to compute than to keep. */
enum { BYTES_MAX = 64 << 20 };

static bool all_const(const kp_node *n)
{
    for (int i = 0; i < n->n_inputs; i++)
        if (n->inputs[i] && !kp_pass_is_const(n->inputs[i]))
            return false;
    return n->n_inputs > 0 && kp_node_body(n) == NULL;
}

/* Constants of the file may lie unaligned. */
static int as_tensor(kp_graph *g, const kp_value *v, kp_tensor *out)
{
    *out = (kp_tensor){0};
    if (!v)
        return 0;
    out->dtype = v->dtype;
    out->ndim = v->ndim;
    memcpy(out->shape, v->shape, sizeof v->shape);
    out->size_bytes = v->data_bytes;
    out->data = kp_graph_alloc(g, v->data_bytes);
    if (!out->data)
        return KP_ENOMEM;
    memcpy(out->data, v->data, v->data_bytes);
    return 0;
}

static int fold(kp_graph *g, kp_node *n)
{
    const kp_value *v = n->output;
    kp_tensor *in = kp_arena_array(g->arena, (size_t)n->n_inputs, sizeof *in);
    kp_tensor out = {.dtype = v->dtype, .ndim = v->ndim};
    kp_value *folded;
    if (!in || !kp_shape_bytes(v->shape, v->ndim, v->dtype, &out.size_bytes))
        return KP_ENOMEM;
    for (int i = 0; i < n->n_inputs; i++)
        KP_TRY(as_tensor(g, n->inputs[i], &in[i]));
    memcpy(out.shape, v->shape, sizeof v->shape);
    out.data = kp_graph_alloc(g, out.size_bytes);
    if (!out.data)
        return KP_ENOMEM;
    KP_TRY(g->eval(g->eval_ctx, g, n, in, &out));
    KP_TRY(kp_graph_add_const(g, n->name, v->dtype, v->shape, v->ndim, out.data, &folded));
    kp_graph_replace_value(g, n->output, folded);
    return 0;
}

int kp_pass_constants(kp_graph *g, int *n_changes)
{
    int n_nodes = g->n_nodes;
    for (int i = 0; g->eval && i < n_nodes; i++) {
        kp_node *n = g->nodes[i];
        size_t bytes;
        if (!all_const(n) ||
            !kp_shape_bytes(n->output->shape, n->output->ndim, n->output->dtype, &bytes) ||
            bytes > BYTES_MAX)
            continue;
        KP_TRY(fold(g, n));
        ++*n_changes;
    }
    return 0;
}
