/* Makes an elementwise function the last step of the node before it. */
#include "graph/passes/passes.h"
#include <stdlib.h>

static bool takes_activation(const kp_node *n)
{
    switch (n->op) {
    case KP_OP_CONV:
    case KP_OP_CONV_TRANSPOSE:
    case KP_OP_DENSE:
    case KP_OP_AFFINE:
    case KP_OP_BINARY:
        return n->act.kind == KP_ACT_NONE && kp_dtype_is_float(n->output->dtype);
    default:
        return false;
    }
}

int kp_pass_activation(kp_graph *g, int *n_changes)
{
    int *uses;
    KP_TRY(kp_pass_uses(g, &uses));
    for (int i = 0; i < g->n_nodes; i++) {
        kp_node *n = g->nodes[i];
        if (n->op != KP_OP_UNARY)
            continue;
        kp_node *before = n->inputs[0]->producer;
        if (!takes_activation(before) || uses[n->inputs[0]->id] != 1 ||
            n->output->dtype != before->output->dtype)
            continue;
        before->act = n->attr.unary.act;
        kp_pass_take_output(before, n);
        ++*n_changes;
    }
    free(uses);
    return 0;
}
