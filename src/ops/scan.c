/* Running sums and products. */
#include "ops/ops.h"

static int infer(const kp_node *n, kp_value *out, int64_t *next_symbol)
{
    const kp_cumulate *p = n->attr.kernel.params;
    const kp_value *x = n->n_inputs == 1 ? n->inputs[0] : NULL;
    (void)next_symbol;
    if (x == NULL || p->axis < 0 || p->axis >= x->ndim || kp_dtype_size(x->dtype) == 0)
        return kp_node_fail(n, KP_EINVAL, "a running sum along axis %d", p->axis);
    if (x->shape[p->axis] == KP_DIM_BATCH)
        return kp_node_fail(n, KP_EUNSUPPORTED, "a running sum along the batch is not supported");
    out->dtype = x->dtype;
    out->ndim = x->ndim;
    memcpy(out->shape, x->shape, sizeof out->shape);
    return 0;
}

/* Integers exactly. */
static void run_whole(const kp_cumulate *p, const kp_tensor *x, kp_tensor *out, int64_t at,
                      int64_t stride, int64_t n)
{
    uint64_t sum = p->product ? 1 : 0;
    for (int64_t i = 0; i < n; i++) {
        uint64_t v = (uint64_t)kp_tensor_get_int(x, at + i * stride);
        sum = p->product ? sum * v : sum + v;
        kp_tensor_put_int(out, at + i * stride, (int64_t)sum);
    }
}

static int run(const void *params, const kp_tensor *in, int n_in, kp_tensor *out)
{
    const kp_cumulate *p = params;
    int64_t inner = 1, size = out->shape[p->axis], count = kp_tensor_count(out);
    (void)n_in;
    for (int i = p->axis + 1; i < out->ndim; i++)
        inner *= out->shape[i];
    for (int64_t at = 0; at < count; at += inner * size)
        for (int64_t k = 0; k < inner; k++) {
            if (kp_dtype_is_integer(out->dtype)) {
                run_whole(p, &in[0], out, at + k, inner, size);
                continue;
            }
            double sum = p->product ? 1 : 0;
            for (int64_t i = 0; i < size; i++) {
                double v = kp_tensor_get(&in[0], at + i * inner + k);
                sum = p->product ? sum * v : sum + v;
                kp_tensor_put(out, at + i * inner + k, sum);
            }
        }
    return 0;
}

const kp_kernel_def kp_kernel_cumulate = {"cumulate", infer, run};
