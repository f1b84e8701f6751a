/* Numbers of few bits: unpacking halves of bytes, rounding to eight bits. */
#include "ops/ops.h"

#include <math.h>

static int infer_unpack(const kp_node *n, kp_value *out, int64_t *next_symbol)
{
    const kp_unpack4 *p = n->attr.kernel.params;
    const kp_value *x = n->inputs[0];
    (void)next_symbol;
    if (!kp_dtype_is_float(x->dtype) || p->axis < 0 || p->axis >= x->ndim ||
        x->shape[p->axis] != (p->size + 1) / 2)
        return kp_node_fail(n, KP_ESHAPE, "%lld numbers of four bits do not fit what is stored",
                            (long long)p->size);
    out->dtype = x->dtype;
    out->ndim = x->ndim;
    memcpy(out->shape, x->shape, sizeof out->shape);
    out->shape[p->axis] = p->size;
    return 0;
}

static int run_unpack(const void *params, const kp_tensor *in, int n_in, kp_tensor *out)
{
    const kp_unpack4 *p = params;
    int64_t inner = 1, size = out->shape[p->axis], stored = in[0].shape[p->axis];
    int64_t count = kp_tensor_count(out);
    (void)n_in;
    for (int i = p->axis + 1; i < out->ndim; i++)
        inner *= out->shape[i];
    for (int64_t i = 0; i < count; i++) {
        int64_t at = i / inner % size, outer = i / inner / size, k = i % inner;
        int byte = (int)kp_tensor_get(&in[0], (outer * stored + at / 2) * inner + k) & 0xFF;
        int v = at % 2 == 0 ? byte & 0xF : byte >> 4;
        kp_tensor_put(out, i, p->has_sign && v >= 8 ? v - 16 : v);
    }
    return 0;
}

const kp_kernel_def kp_kernel_unpack4 = {"unpack4", infer_unpack, run_unpack};

/* Nearest float of 3 bits behind the point and exponents from -6, halves to even. */
static double round_float8(double v)
{
    const double most = 448;
    if (isnan(v) || v == 0)
        return v;
    v = v < -most ? -most : v > most ? most : v;
    int exponent;
    frexp(v, &exponent); /* |v| = f * 2^exponent, f in [1/2, 1) */
    double step = ldexp(1, (exponent - 1 < -6 ? -6 : exponent - 1) - 3);
    return rint(v / step) * step;
}

static int infer_float8(const kp_node *n, kp_value *out, int64_t *next_symbol)
{
    const kp_value *x = n->inputs[0], *scale = n->inputs[1];
    (void)next_symbol;
    if (!kp_dtype_is_float(x->dtype) || scale->dtype != x->dtype || scale->ndim != 0)
        return kp_node_fail(n, KP_EUNSUPPORTED, "float8 takes floats and one scale of their type");
    out->dtype = x->dtype;
    out->ndim = x->ndim;
    memcpy(out->shape, x->shape, sizeof out->shape);
    return 0;
}

static int run_float8(const void *params, const kp_tensor *in, int n_in, kp_tensor *out)
{
    double scale = kp_tensor_get(&in[1], 0);
    int64_t count = kp_tensor_count(out);
    (void)params;
    (void)n_in;
    for (int64_t i = 0; i < count; i++) {
        kp_tensor_put(out, i, kp_tensor_get(&in[0], i) / scale); /* rounded to the type */
        kp_tensor_put(out, i, round_float8(kp_tensor_get(out, i)) * scale);
    }
    return 0;
}

const kp_kernel_def kp_kernel_float8 = {"float8", infer_float8, run_float8};
