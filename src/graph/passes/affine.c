/* Folds x * scale + shift a channel into the weights of the convolution or dense layer before it.
 */
#include "graph/passes/passes.h"
#include <stdlib.h>

/* The kernel's last axis is the output channel, so one number scales one column. The stored bytes
 * may be unaligned: they are copied first and scaled in place. */
static int scale_kernel(kp_graph *g, kp_node *n, const float *scale, int64_t channels)
{
    const kp_value *old = n->inputs[1];
    kp_value *value;
    float *data;
    int64_t count;
    if (!kp_shape_count(old->shape, old->ndim, &count))
        return kp_fail(KP_ELIMIT, "a constant that does not fit in memory");
    KP_TRY(kp_pass_new_const(g, n, old->shape, old->ndim, &data, &value));
    memcpy(data, old->data, (size_t)count * sizeof *data);
    for (int64_t i = 0; i < count; i += channels)
        for (int64_t c = 0; c < channels; c++)
            data[i + c] = (float)((double)data[i + c] * scale[c]);
    kp_map_drop(old->data, old->data_bytes);
    n->inputs[1] = value;
    return 0;
}

static int scale_bias(kp_graph *g, kp_node *n, const float *scale, const float *shift,
                      int64_t channels)
{
    kp_value *old = n->n_inputs > 2 ? n->inputs[2] : NULL, *value;
    const float *from = old ? kp_graph_const_f32(g, old) : NULL;
    float *to;
    if (old && !from)
        return KP_ENOMEM;
    KP_TRY(kp_pass_new_const(g, n, &channels, 1, &to, &value));
    for (int64_t c = 0; c < channels; c++)
        to[c] = (float)((from ? from[c] : 0.0) * (double)scale[c] + shift[c]);
    return kp_pass_set_input(g, n, 2, value);
}

static bool fits(const kp_node *affine, const int *uses)
{
    const kp_value *x = affine->inputs[0];
    const kp_node *n = x->producer;
    return kp_pass_is_open(n) && uses[x->id] == 1 && x->dtype == KP_FLOAT32 &&
           affine->attr.axis.axis == x->ndim - 1 && kp_pass_is_const(n->inputs[1]) &&
           n->inputs[1]->dtype == KP_FLOAT32 &&
           (n->n_inputs < 3 || !n->inputs[2] || kp_pass_is_const(n->inputs[2])) &&
           kp_pass_is_const(affine->inputs[1]) && kp_pass_is_const(affine->inputs[2]);
}

static int fold(kp_graph *g, kp_node *affine)
{
    kp_node *n = affine->inputs[0]->producer;
    int64_t channels = affine->inputs[1]->shape[0];
    const float *scale = kp_graph_const_f32(g, affine->inputs[1]);
    const float *shift = kp_graph_const_f32(g, affine->inputs[2]);
    if (!scale || !shift)
        return KP_ENOMEM;
    KP_TRY(scale_kernel(g, n, scale, channels));
    KP_TRY(scale_bias(g, n, scale, shift, channels));
    n->act = affine->act;
    kp_pass_take_output(n, affine);
    return 0;
}

int kp_pass_affine(kp_graph *g, int *n_changes)
{
    int *uses, status = 0, n_nodes = g->n_nodes;
    KP_TRY(kp_pass_uses(g, &uses));
    for (int i = 0; status == 0 && i < n_nodes; i++) {
        kp_node *n = g->nodes[i];
        if (n->op != KP_OP_AFFINE || !fits(n, uses))
            continue;
        status = fold(g, n);
        ++*n_changes;
    }
    free(uses);
    return status;
}
