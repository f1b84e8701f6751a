/* Results of loops: what follows from their bodies, which have been inferred already. */
#include "graph/graph_int.h"

static bool same_size(int64_t a, int64_t b)
{
    return a == b || (a <= KP_DIM_UNKNOWN && b <= KP_DIM_UNKNOWN);
}

/* The node's input k without its time axis is what the body takes. */
static int check_input(kp_infer *c, int k, int time)
{
    const kp_value *v = c->n->inputs[k], *b = c->n->attr.loop.body->inputs[k];
    bool fits = v->dtype == b->dtype && v->ndim == b->ndim + time;
    for (int d = 0; fits && d < b->ndim; d++)
        fits = same_size(v->shape[d == 0 ? 0 : d + time], b->shape[d]);
    char have[KP_SHAPE_TEXT], want[KP_SHAPE_TEXT];
    if (fits)
        return 0;
    return kp_node_fail(
        c->n, KP_ESHAPE, "input %d is %s %s, a step takes %s %s", k, kp_dtype_name(v->dtype),
        kp_shape_text(v->shape, v->ndim, have, sizeof have), kp_dtype_name(b->dtype),
        kp_shape_text(b->shape, b->ndim, want, sizeof want));
}

static int check_inputs(kp_infer *c, int n_seq, int n_state)
{
    const kp_node *n = c->n;
    const kp_graph *body = n->attr.loop.body;
    if (body == NULL || body->n_inputs != n->n_inputs || body->n_outputs != 1 + n_state ||
        n_seq < 1 || n_state < 0 || n_seq + n_state > n->n_inputs)
        return kp_node_fail(n, KP_EINTERNAL, "a loop whose body does not fit");
    for (int k = 0; k < n->n_inputs; k++) {
        bool state = k >= n_seq && k < n_seq + n_state;
        if (n->inputs[k] == NULL && !state)
            return kp_node_fail(n, KP_EINTERNAL, "a loop without its input %d", k);
        if (n->inputs[k] == NULL)
            continue;
        KP_TRY(check_input(c, k, k < n_seq ? 1 : 0));
        if (k < n_seq && !same_size(n->inputs[k]->shape[1], n->inputs[0]->shape[1]))
            return kp_node_fail(n, KP_ESHAPE, "sequences of %lld and %lld steps",
                                (long long)n->inputs[0]->shape[1],
                                (long long)n->inputs[k]->shape[1]);
    }
    return 0;
}

/* A state is after the step what it was before. */
static int check_states(kp_infer *c, int n_seq, int n_state)
{
    const kp_graph *body = c->n->attr.loop.body;
    for (int s = 0; s < n_state; s++) {
        const kp_value *was = body->inputs[n_seq + s], *is = body->outputs[1 + s];
        bool same = was->dtype == is->dtype && was->ndim == is->ndim;
        for (int d = 0; same && d < was->ndim; d++)
            same = same_size(was->shape[d], is->shape[d]);
        if (!same)
            return kp_node_fail(c->n, KP_ESHAPE, "state %d changes its type or shape in a step", s);
    }
    return 0;
}

/* An open size of the body's output: the size of the node's input that it is, or a new one. */
static int64_t open_size(kp_infer *c, int n_seq, int64_t symbol)
{
    for (int k = 0; k < c->n->n_inputs; k++) {
        const kp_value *v = c->n->inputs[k], *b = c->n->attr.loop.body->inputs[k];
        for (int d = 1; v != NULL && d < b->ndim; d++) {
            if (b->shape[d] == symbol)
                return v->shape[d + (k < n_seq ? 1 : 0)];
        }
    }
    return kp_infer_symbol(c);
}

static int infer(kp_infer *c, int n_seq, int n_state, bool last_only)
{
    KP_TRY(check_inputs(c, n_seq, n_state));
    KP_TRY(check_states(c, n_seq, n_state));
    const kp_value *y = c->n->attr.loop.body->outputs[0];
    kp_value *out = c->out;
    int time = last_only ? 0 : 1;
    int64_t steps = c->n->inputs[0]->shape[1];
    if (y->ndim < 1 || y->shape[0] != KP_DIM_BATCH || y->ndim + time > KP_MAX_DIMS)
        return kp_node_fail(c->n, KP_ESHAPE, "a step of %d dimensions, or without the batch",
                            y->ndim);
    if (last_only && steps == 0)
        return kp_node_fail(c->n, KP_ESHAPE, "the last step of a sequence without steps");
    out->dtype = y->dtype;
    out->ndim = y->ndim + time;
    out->shape[0] = KP_DIM_BATCH;
    if (!last_only)
        out->shape[1] = steps;
    for (int d = 1; d < y->ndim; d++)
        out->shape[d + time] =
            y->shape[d] <= KP_DIM_UNKNOWN ? open_size(c, n_seq, y->shape[d]) : y->shape[d];
    return 0;
}

int kp_infer_map(kp_infer *c)
{
    return infer(c, c->n->n_inputs, 0, false);
}

int kp_infer_scan(kp_infer *c)
{
    return infer(c, c->n->attr.loop.n_seq, c->n->attr.loop.n_state, c->n->attr.loop.last_only);
}
