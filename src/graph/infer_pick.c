/* Results of what picks among its inputs, and of operations that bring their own rule. */
#include "graph/graph_int.h"

int kp_infer_select(kp_infer *c)
{
    kp_value *const *in = c->n->inputs;
    kp_value both = {0};
    if (in[0]->dtype != KP_BOOL || in[1]->dtype != in[2]->dtype)
        return kp_node_fail(c->n, KP_EUNSUPPORTED, "select by %s between %s and %s",
                            kp_dtype_name(in[0]->dtype), kp_dtype_name(in[1]->dtype),
                            kp_dtype_name(in[2]->dtype));
    both.ndim = in[1]->ndim > in[2]->ndim ? in[1]->ndim : in[2]->ndim;
    KP_TRY(kp_infer_broadcast_shape(c, in[1], in[1]->ndim, in[2], in[2]->ndim, both.shape));
    c->out->dtype = in[1]->dtype;
    c->out->ndim = both.ndim > in[0]->ndim ? both.ndim : in[0]->ndim;
    return kp_infer_broadcast_shape(c, in[0], in[0]->ndim, &both, both.ndim, c->out->shape);
}

static bool is_integer(kp_dtype t)
{
    return t >= KP_INT8 && t <= KP_UINT64;
}

int kp_infer_gather(kp_infer *c)
{
    const kp_value *x = c->n->inputs[0], *at = c->n->inputs[1];
    int axis = c->n->attr.gather.axis, batch = c->n->attr.gather.batch_dims;
    if (!is_integer(at->dtype))
        return kp_node_fail(c->n, KP_EUNSUPPORTED, "indices of type %s", kp_dtype_name(at->dtype));
    if (axis < 0 || axis >= x->ndim || batch < 0 || batch > axis || batch > at->ndim ||
        x->ndim - 1 + at->ndim - batch > KP_MAX_DIMS)
        return kp_node_fail(c->n, KP_EINVAL,
                            "a gather along axis %d with %d batch axes of inputs "
                            "of %d and %d dimensions",
                            axis, batch, x->ndim, at->ndim);
    if (x->shape[axis] == KP_DIM_BATCH)
        return kp_node_fail(c->n, KP_EUNSUPPORTED, "gathering along the batch is not supported");
    if (x->shape[axis] == 0)
        return kp_node_fail(c->n, KP_ESHAPE, "nothing to pick from: axis %d has size 0", axis);
    kp_value *out = c->out;
    out->dtype = x->dtype;
    out->ndim = 0;
    for (int i = 0; i < axis; i++) {
        out->shape[i] = x->shape[i];
        if (i < batch && x->shape[i] != at->shape[i] && kp_infer_known(x->shape[i]) &&
            kp_infer_known(at->shape[i]))
            return kp_node_fail(c->n, KP_ESHAPE, "sizes %lld and %lld of batch axis %d do not fit",
                                (long long)x->shape[i], (long long)at->shape[i], i);
        out->ndim++;
    }
    for (int i = batch; i < at->ndim; i++)
        out->shape[out->ndim++] = at->shape[i];
    for (int i = axis + 1; i < x->ndim; i++)
        out->shape[out->ndim++] = x->shape[i];
    return 0;
}

int kp_infer_kernel(kp_infer *c)
{
    const kp_kernel_def *def = c->n->attr.kernel.def;
    if (def == NULL)
        return kp_node_fail(c->n, KP_EINTERNAL, "a kernel without functions");
    KP_TRY(def->infer(c->n, c->out, c->next_symbol));
    if (kp_elem_size(c->out->dtype) == 0 || c->out->ndim < 0 || c->out->ndim > KP_MAX_DIMS)
        return kp_node_fail(c->n, KP_EINTERNAL, "%s gives no proper result", def->name);
    return 0;
}
