/* The checks that every pass must leave true. */
#include "graph/graph_int.h"

static int broken(const kp_node *n, const char *what)
{
    return kp_node_fail(n, KP_EINTERNAL, "broken graph: %s (node %d)", what, n->id);
}

static bool same_size(int64_t a, int64_t b)
{
    return a == b || (a <= KP_DIM_UNKNOWN && b <= KP_DIM_UNKNOWN);
}

/* What the node says of its output is what inference says. */
static int check_shape(const kp_node *n, int64_t symbol)
{
    kp_node copy = *n;
    kp_value v = *n->output;
    kp_window *w = kp_node_window(&copy), had = {0};
    if (w != NULL)
        had = *w;
    int status = kp_infer_into(n, w, &v, &symbol);
    if (status != 0)
        return kp_fail_prefix(KP_EINTERNAL, "broken graph, node %d", n->id);
    bool same = v.dtype == n->output->dtype && v.ndim == n->output->ndim;
    bool pads_known = true;
    for (int i = 0; same && i < v.ndim; i++)
        same = same_size(v.shape[i], n->output->shape[i]);
    for (int i = 0; w != NULL && i < n->inputs[0]->ndim; i++)
        pads_known = pads_known && n->inputs[0]->shape[i] >= KP_DIM_BATCH;
    if (!same)
        return broken(n, "the result's type or shape is not what follows from the inputs");
    if (w != NULL && pads_known &&
        (memcmp(had.pad_before, w->pad_before, sizeof had.pad_before) != 0 ||
         memcmp(had.pad_after, w->pad_after, sizeof had.pad_after) != 0))
        return broken(n, "the paddings do not follow from the input's size");
    return 0;
}

static int check_leaf(const kp_graph *g, const kp_node *n)
{
    const kp_value *v = n->output;
    size_t bytes;
    if (n->n_inputs != 0)
        return broken(n, "an input or constant with inputs");
    if (n->op == KP_OP_INPUT) {
        int i = n->attr.input.index;
        if (i < 0 || i >= g->n_inputs || g->inputs[i] != v)
            return broken(n, "an input that the graph does not list");
        if (v->ndim < 1 || v->shape[0] != KP_DIM_BATCH)
            return broken(n, "an input without batch");
        return 0;
    }
    if (v->data == NULL || !kp_shape_bytes(v->shape, v->ndim, v->dtype, &bytes) ||
        bytes != v->data_bytes)
        return broken(n, "a constant whose data do not have its size");
    return 0;
}

/* A loop's body belongs to the graph and is sound itself. */
static int check_body(const kp_graph *g, const kp_node *n)
{
    const kp_graph *body = kp_node_body(n);
    for (int i = 0; i < g->n_bodies; i++) {
        if (g->bodies[i] == body)
            return kp_graph_verify(body);
    }
    return broken(n, "a body that is not of this graph");
}

static int check_node(const kp_graph *g, const kp_node *n, int i)
{
    if (n->id != i || (unsigned)n->op >= KP_OP_COUNT || n->output == NULL)
        return broken(n, "a node with a wrong id, operation or no result");
    const kp_value *v = n->output;
    if (v->producer != n || v->id < 0 || v->id >= g->n_values || g->values[v->id] != v)
        return broken(n, "a result that the graph does not list");
    for (int k = 0; k < n->n_inputs; k++) {
        const kp_value *in = n->inputs[k];
        if (in == NULL)
            continue;
        if (in->id < 0 || in->id >= g->n_values || g->values[in->id] != in)
            return broken(n, "an input that is not of this graph");
        if (in->producer->id >= i)
            return broken(n, "an input that is made later");
    }
    if (kp_node_body(n) != NULL)
        KP_TRY(check_body(g, n));
    return n->op == KP_OP_INPUT || n->op == KP_OP_CONST ? check_leaf(g, n)
                                                        : check_shape(n, g->next_symbol);
}

int kp_graph_verify(const kp_graph *g)
{
    if (g->n_nodes != g->n_values)
        return kp_fail(KP_EINTERNAL, "broken graph: %d nodes and %d values", g->n_nodes,
                       g->n_values);
    for (int i = 0; i < g->n_nodes; i++)
        KP_TRY(check_node(g, g->nodes[i], i));
    for (int i = 0; i < g->n_inputs; i++) {
        if (g->inputs[i]->producer->op != KP_OP_INPUT)
            return broken(g->inputs[i]->producer, "listed as an input");
    }
    if (g->n_outputs < 1)
        return kp_fail(KP_EINTERNAL, "broken graph: it has no outputs");
    for (int i = 0; i < g->n_outputs; i++) {
        const kp_value *v = g->outputs[i];
        if (v->id < 0 || v->id >= g->n_values || g->values[v->id] != v)
            return kp_fail(KP_EINTERNAL, "broken graph: output %d is not one of its values", i);
    }
    if (g->specialised && !kp_graph_all_known(g))
        return kp_fail(KP_EINTERNAL, "broken graph: specialised, but not all sizes are known");
    return 0;
}
