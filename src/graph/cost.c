/* What a node costs. */
#include "graph/graph_int.h"

/* Elements of one row: the batch and open sizes count once. */
static double count(const int64_t *shape, int ndim)
{
    double n = 1;
    for (int i = 0; i < ndim; i++)
        n *= shape[i] < 0 ? 1 : (double)shape[i];
    return n;
}

/* All steps of a loop. */
static double loop_flops(const kp_node *n)
{
    const kp_graph *body = n->attr.loop.body;
    double sum = 0;
    for (int i = 0; i < body->n_nodes; i++)
        sum += kp_node_flops(body->nodes[i]);
    return sum * count(&n->inputs[0]->shape[1], 1);
}

double kp_node_flops(const kp_node *n)
{
    double out = count(n->output->shape, n->output->ndim);
    const kp_value *x = n->n_inputs > 0 ? n->inputs[0] : NULL;
    const kp_value *k = n->n_inputs > 1 ? n->inputs[1] : NULL;
    switch (n->op) {
    case KP_OP_CONV: /* each result sums over the kernel but its last axis */
    case KP_OP_DENSE:
        return 2 * out * count(k->shape, k->ndim - 1);
    case KP_OP_CONV_TRANSPOSE: /* each input cell touches the kernel but its last axis */
        return 2 * count(x->shape, x->ndim) * count(k->shape, k->ndim - 1);
    case KP_OP_MATMUL:
        return 2 * out * count(x->shape + x->ndim - 1, 1);
    case KP_OP_POOL:
        return out * count(n->attr.pool.window.size, n->attr.pool.window.n_spatial);
    case KP_OP_REDUCE:
        return count(x->shape, x->ndim);
    case KP_OP_UNARY:
    case KP_OP_BINARY:
    case KP_OP_RESIZE:
        return out;
    case KP_OP_BATCHNORM:
    case KP_OP_AFFINE:
        return 2 * out;
    case KP_OP_LAYERNORM:
    case KP_OP_SOFTMAX:
        return 5 * out;
    case KP_OP_MAP:
    case KP_OP_SCAN:
        return loop_flops(n);
    default:
        return 0;
    }
}
