/* Functions of single elements, reductions, scales per channel. */
#include "backend/ref/ref_int.h"

#include <math.h>
#include <stdlib.h>

int kp_ref_unary(const kp_node *n, const kp_tensor *in, int n_in, kp_tensor *out)
{
    (void)n_in;
    int64_t count = kp_tensor_count(out);
    for (int64_t i = 0; i < count; i++)
        kp_tensor_put(out, i, kp_act_apply(&n->attr.unary.act, kp_tensor_get(&in[0], i)));
    return 0;
}

/* The larger (or smaller) of two; not a number wins, as in TensorFlow. */
static double extreme(double a, double b, bool larger)
{
    if (isnan(a) || isnan(b))
        return a + b;
    return (a > b) == larger ? a : b;
}

static double combine(kp_binary_kind kind, double a, double b)
{
    switch (kind) {
    case KP_BIN_ADD:
        return a + b;
    case KP_BIN_SUB:
        return a - b;
    case KP_BIN_MUL:
        return a * b;
    case KP_BIN_DIV:
        return a / b;
    case KP_BIN_POW:
        return pow(a, b);
    default:
        return extreme(a, b, kind == KP_BIN_MAX);
    }
}

int kp_ref_binary(const kp_node *n, const kp_tensor *in, int n_in, kp_tensor *out)
{
    (void)n_in;
    int64_t stride[KP_MAX_DIMS] = {0}, count = kp_tensor_count(out);
    kp_walk a, b;
    kp_walk_broadcast(&in[0], out, stride);
    kp_walk_init(&a, out->shape, stride, out->ndim);
    kp_walk_broadcast(&in[1], out, stride);
    kp_walk_init(&b, out->shape, stride, out->ndim);
    for (int64_t i = 0; i < count; i++) {
        double v = combine(n->attr.binary.kind, kp_tensor_get(&in[0], a.index),
                           kp_tensor_get(&in[1], b.index));
        kp_tensor_put(out, i, kp_act_apply(&n->act, v));
        kp_walk_next(&a);
        kp_walk_next(&b);
    }
    return 0;
}

static double reduce_start(kp_reduce_kind kind)
{
    switch (kind) {
    case KP_RED_MAX:
        return -(double)INFINITY;
    case KP_RED_MIN:
        return (double)INFINITY;
    case KP_RED_PROD:
        return 1;
    default:
        return 0;
    }
}

static double reduce_step(kp_reduce_kind kind, double acc, double v)
{
    switch (kind) {
    case KP_RED_MAX:
    case KP_RED_MIN:
        return extreme(acc, v, kind == KP_RED_MAX);
    case KP_RED_PROD:
        return acc * v;
    default:
        return acc + v;
    }
}

int kp_ref_reduce(const kp_node *n, const kp_tensor *in, int n_in, kp_tensor *out)
{
    (void)n_in;
    kp_reduce_kind kind = n->attr.reduce.kind;
    int64_t stride[KP_MAX_DIMS], groups, count = kp_tensor_count(&in[0]);
    kp_ref_group_strides(&in[0], &n->attr.reduce.axes, stride, &groups);
    double *acc = kp_ref_scratch((size_t)groups, sizeof *acc);
    if (acc == NULL)
        return KP_ENOMEM;
    for (int64_t i = 0; i < groups; i++)
        acc[i] = reduce_start(kind);
    kp_walk w;
    kp_walk_init(&w, in[0].shape, stride, in[0].ndim);
    for (int64_t i = 0; i < count; i++) {
        acc[w.index] = reduce_step(kind, acc[w.index], kp_tensor_get(&in[0], i));
        kp_walk_next(&w);
    }
    double divisor = kind == KP_RED_MEAN && groups > 0 ? (double)(count / groups) : 1;
    for (int64_t i = 0; i < groups; i++)
        kp_tensor_put(out, i, acc[i] / divisor);
    free(acc);
    return 0;
}

/* y = act(x*scale[c] + shift[c]) with channels along an axis. */
static void scale_channels(const kp_node *n, const kp_tensor *x, kp_tensor *out,
                           const double *scale, const double *shift)
{
    int axis = n->attr.axis.axis;
    int64_t channels = x->shape[axis], inner = 1, count = kp_tensor_count(x);
    for (int i = axis + 1; i < x->ndim; i++)
        inner *= x->shape[i];
    const float *from = x->data;
    float *to = out->data;
    for (int64_t i = 0; i < count; i++) {
        int64_t c = i / inner % channels;
        to[i] = (float)kp_act_apply(&n->act, (double)from[i] * scale[c] + shift[c]);
    }
}

int kp_ref_affine(const kp_node *n, const kp_tensor *in, int n_in, kp_tensor *out)
{
    (void)n_in;
    int64_t channels = in[0].shape[n->attr.axis.axis];
    double *scale = kp_ref_scratch((size_t)channels * 2, sizeof *scale);
    if (scale == NULL)
        return KP_ENOMEM;
    for (int64_t c = 0; c < channels; c++) {
        scale[c] = kp_tensor_get(&in[1], c);
        scale[channels + c] = kp_tensor_get(&in[2], c);
    }
    scale_channels(n, &in[0], out, scale, scale + channels);
    free(scale);
    return 0;
}

int kp_ref_batchnorm(const kp_node *n, const kp_tensor *in, int n_in, kp_tensor *out)
{
    int64_t channels = in[0].shape[n->attr.axis.axis];
    const float *gamma = n_in > 3 ? in[3].data : NULL, *beta = n_in > 4 ? in[4].data : NULL;
    double *scale = kp_ref_scratch((size_t)channels * 2, sizeof *scale);
    if (scale == NULL)
        return KP_ENOMEM;
    for (int64_t c = 0; c < channels; c++) {
        double inv = 1 / sqrt(kp_tensor_get(&in[2], c) + (double)n->attr.axis.epsilon);
        scale[c] = gamma != NULL ? inv * (double)gamma[c] : inv;
        scale[channels + c] =
            (beta != NULL ? (double)beta[c] : 0) - kp_tensor_get(&in[1], c) * scale[c];
    }
    scale_channels(n, &in[0], out, scale, scale + channels);
    free(scale);
    return 0;
}
