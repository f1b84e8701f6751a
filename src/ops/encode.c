/* Indices as vectors, numbers as bins. */
#include "ops/kernel.h"

static int infer_encode(const kp_node *n, kp_value *out, int64_t *next_symbol)
{
    const kp_encode *p = n->attr.kernel.params;
    const kp_value *x = n->n_inputs > 0 ? n->inputs[0] : NULL;
    const kp_value *weights = n->n_inputs > 1 ? n->inputs[1] : NULL;
    (void)next_symbol;
    if (x == NULL || x->dtype == KP_STRING || kp_dtype_is_float(x->dtype) || p->depth < 1)
        return kp_node_fail(n, KP_EINVAL, "an encoding of something that is no index");
    if (weights != NULL &&
        (weights->ndim != x->ndim || weights->dtype == KP_STRING ||
         memcmp(weights->shape, x->shape, (size_t)x->ndim * sizeof *x->shape) != 0))
        return kp_node_fail(n, KP_ESHAPE, "the weights do not have the shape of the indices");
    out->dtype = weights != NULL ? weights->dtype : p->dtype;
    if (out->dtype == KP_STRING)
        return kp_node_fail(n, KP_EINVAL, "an encoding in strings");
    out->ndim = 0;
    if (p->mode != KP_ENCODE_ONE_HOT && x->ndim < 2)
        return kp_node_fail(n, KP_EUNSUPPORTED,
                            "it would count over the rows: each row must have an axis of its own");
    for (int i = 0; i < x->ndim; i++)
        if (p->mode == KP_ENCODE_ONE_HOT || i != 1)
            out->shape[out->ndim++] = x->shape[i];
    if (out->ndim >= KP_MAX_DIMS)
        return kp_node_fail(n, KP_EUNSUPPORTED, "a result of more than %d axes", KP_MAX_DIMS);
    out->shape[out->ndim++] = p->depth;
    return 0;
}

static int64_t index_at(const kp_tensor *x, int64_t i)
{
    int64_t v = 0;
    kp_convert(KP_INT64, &v, x->dtype, (const char *)x->data + (size_t)i * kp_dtype_size(x->dtype),
               1);
    return v;
}

static void mark(const kp_encode *p, kp_tensor *out, int64_t at, double by)
{
    kp_tensor_put(out, at, p->mode == KP_ENCODE_COUNT ? kp_tensor_get(out, at) + by : 1);
}

static int run_encode(const void *params, const kp_tensor *in, int n_in, kp_tensor *out)
{
    const kp_encode *p = params;
    const kp_tensor *x = &in[0], *weights = n_in > 1 && in[1].data != NULL ? &in[1] : NULL;
    int64_t n = kp_tensor_count(x), steps = 1, inner = 1;
    if (p->mode != KP_ENCODE_ONE_HOT) {
        steps = x->shape[1];
        for (int i = 2; i < x->ndim; i++)
            inner *= x->shape[i];
    }
    memset(out->data, 0, (size_t)kp_tensor_count(out) * kp_dtype_size(out->dtype));
    for (int64_t i = 0; i < n; i++) {
        int64_t v = index_at(x, i);
        if (v < 0 && p->strict)
            return kp_fail(KP_EINVAL, "the index %lld is below 0", (long long)v);
        int64_t row = i / (steps * inner) * inner + i % inner;
        if (v >= 0 && v < p->depth)
            mark(p, out, row * p->depth + v, weights != NULL ? kp_tensor_get(weights, i) : 1);
    }
    return 0;
}

const kp_kernel_def kp_kernel_encode = {
    .name = "encode", .infer = infer_encode, .run = run_encode, .may_refuse = kp_kernel_may_refuse};

/* ---- bins ---- */

static int infer_bins(const kp_node *n, kp_value *out, int64_t *next_symbol)
{
    const kp_value *x = n->n_inputs == 1 ? n->inputs[0] : NULL;
    (void)next_symbol;
    if (x == NULL || x->dtype == KP_STRING)
        return kp_node_fail(n, KP_EINVAL, "bins of something that is no number");
    out->dtype = KP_INT32;
    out->ndim = x->ndim;
    memcpy(out->shape, x->shape, sizeof out->shape);
    return 0;
}

static int run_bins(const void *params, const kp_tensor *in, int n_in, kp_tensor *out)
{
    const kp_bins *p = params;
    int64_t n = kp_tensor_count(out);
    int32_t *to = out->data;
    (void)n_in;
    for (int64_t i = 0; i < n; i++) {
        double v = kp_tensor_get(&in[0], i);
        int low = 0, high = p->n;
        while (low < high) {
            int middle = low + (high - low) / 2;
            if (v < (double)p->boundaries[middle])
                high = middle;
            else
                low = middle + 1;
        }
        to[i] = low;
    }
    return 0;
}

const kp_kernel_def kp_kernel_bins = {.name = "bins", .infer = infer_bins, .run = run_bins};
