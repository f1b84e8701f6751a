/* Causal masks and sliding windows. */
#include "ops/ops.h"

static int infer(const kp_node *n, kp_value *out, int64_t *next_symbol)
{
    (void)next_symbol;
    if (n->n_inputs != 2 || n->inputs[0] == NULL || n->inputs[1] == NULL ||
        n->inputs[0]->ndim < 2 || n->inputs[1]->ndim < 2)
        return kp_node_fail(n, KP_EINVAL, "a mask between sequences needs two with a length");
    out->dtype = KP_BOOL;
    out->ndim = 2;
    out->shape[0] = n->inputs[0]->shape[1];
    out->shape[1] = n->inputs[1]->shape[1];
    return 0;
}

static int run(const void *params, const kp_tensor *in, int n_in, kp_tensor *out)
{
    const kp_band *p = params;
    uint8_t *to = out->data;
    (void)in;
    (void)n_in;
    for (int64_t i = 0; i < out->shape[0]; i++)
        for (int64_t j = 0; j < out->shape[1]; j++) {
            int64_t distance = i < j ? j - i : i - j;
            *to++ = (!p->causal || j <= i) && (p->window == 0 || distance < p->window);
        }
    return 0;
}

const kp_kernel_def kp_kernel_band = {"band", infer, run};
