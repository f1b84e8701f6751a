/* BatchNormalization at inference is x * scale + shift with one pair a channel. */
#include "graph/passes/passes.h"
#include <math.h>

static const float *vector(kp_graph *g, kp_node *n, int place)
{
    if (place >= n->n_inputs || !n->inputs[place])
        return NULL;
    return kp_graph_const_f32(g, n->inputs[place]);
}

static bool all_const(const kp_node *n)
{
    for (int i = 1; i < n->n_inputs; i++)
        if (n->inputs[i] && !kp_pass_is_const(n->inputs[i]))
            return false;
    return true;
}

static int to_affine(kp_graph *g, kp_node *n)
{
    int64_t size = n->inputs[1]->shape[0];
    const float *mean = vector(g, n, 1), *variance = vector(g, n, 2);
    const float *gamma = vector(g, n, 3), *beta = vector(g, n, 4);
    float *scale, *shift;
    kp_value *scale_value, *shift_value;
    if (!mean || !variance)
        return KP_ENOMEM;
    KP_TRY(kp_pass_new_const(g, n, &size, 1, &scale, &scale_value));
    KP_TRY(kp_pass_new_const(g, n, &size, 1, &shift, &shift_value));
    for (int64_t i = 0; i < size; i++) {
        double s = (gamma ? gamma[i] : 1.0) / sqrt((double)variance[i] + n->attr.axis.epsilon);
        scale[i] = (float)s;
        shift[i] = (float)((beta ? beta[i] : 0.0) - mean[i] * s);
    }
    n->op = KP_OP_AFFINE;
    n->inputs[1] = scale_value;
    n->inputs[2] = shift_value;
    n->n_inputs = 3;
    return 0;
}

int kp_pass_batchnorm(kp_graph *g, int *n_changes)
{
    int n_nodes = g->n_nodes;
    for (int i = 0; i < n_nodes; i++) {
        kp_node *n = g->nodes[i];
        if (n->op != KP_OP_BATCHNORM || n->output->dtype != KP_FLOAT32 || !all_const(n))
            continue;
        KP_TRY(to_affine(g, n));
        ++*n_changes;
    }
    return 0;
}
