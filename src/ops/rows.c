/* Where a graph for a known number of rows stops treating them apart, and where it starts again. */
#include "ops/kernel.h"

static int infer(const kp_node *n, kp_value *out, int64_t from, int64_t to)
{
    const kp_value *x = n->n_inputs == 1 ? n->inputs[0] : NULL;
    if (x == NULL || x->ndim < 1 || x->shape[0] != from)
        return kp_node_fail(n, KP_ESHAPE, "%lld rows that are none",
                            (long long)((const kp_rows *)n->attr.kernel.params)->n);
    kp_ops_shape(out, x->dtype, x->ndim, x->shape);
    out->shape[0] = to;
    return 0;
}

static int infer_whole(const kp_node *n, kp_value *out, int64_t *next_symbol)
{
    const kp_rows *p = n->attr.kernel.params;
    (void)next_symbol;
    return infer(n, out, KP_DIM_BATCH, p->n);
}

static int infer_rows(const kp_node *n, kp_value *out, int64_t *next_symbol)
{
    const kp_rows *p = n->attr.kernel.params;
    (void)next_symbol;
    return infer(n, out, p->n, KP_DIM_BATCH);
}

static int run(const void *params, const kp_tensor *in, int n_in, kp_tensor *out)
{
    const kp_rows *p = params;
    (void)n_in;
    if (in[0].shape[0] != p->n || out->shape[0] != p->n)
        return kp_fail(KP_EINTERNAL, "a graph for %lld rows runs with %lld", (long long)p->n,
                       (long long)(in[0].shape[0] != p->n ? in[0].shape[0] : out->shape[0]));
    memcpy(out->data, in[0].data, (size_t)kp_tensor_count(out) * kp_elem_size(out->dtype));
    return 0;
}

const kp_kernel_def kp_kernel_whole = {
    .name = "whole", .infer = infer_whole, .run = run, .whole_batch = true};
const kp_kernel_def kp_kernel_rows = {
    .name = "rows", .infer = infer_rows, .run = run, .whole_batch = true};
