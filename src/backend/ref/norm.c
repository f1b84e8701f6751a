/* Softmax and layer normalisation over any axes. */
#include "backend/ref/ref_int.h"

#include <math.h>
#include <stdlib.h>

/* Walks over x; w.index names the group of elements that are normalised together. */
static void walk_groups(kp_walk *w, const kp_tensor *x, const int64_t *stride)
{
    kp_walk_init(w, x->shape, stride, x->ndim);
}

static void softmax_into(const kp_node *n, const kp_tensor *x, kp_tensor *out,
                         const int64_t *stride, double *max, double *sum)
{
    const real *from = x->data;
    real *to = out->data;
    int64_t count = kp_tensor_count(x);
    kp_walk w;
    walk_groups(&w, x, stride);
    for (int64_t i = 0; i < count; i++, kp_walk_next(&w)) {
        if ((double)from[i] > max[w.index])
            max[w.index] = from[i];
    }
    walk_groups(&w, x, stride);
    for (int64_t i = 0; i < count; i++, kp_walk_next(&w))
        sum[w.index] += exp((double)from[i] - max[w.index]);
    walk_groups(&w, x, stride);
    for (int64_t i = 0; i < count; i++, kp_walk_next(&w)) {
        double d = (double)from[i] - max[w.index];
        to[i] = (real)(n->attr.softmax.log ? d - log(sum[w.index]) : exp(d) / sum[w.index]);
    }
}

int kp_ref_softmax(const kp_node *n, const kp_tensor *in, int n_in, kp_tensor *out)
{
    (void)n_in;
    int64_t stride[KP_MAX_DIMS], groups;
    kp_ref_group_strides(&in[0], &n->attr.softmax.axes, stride, &groups);
    double *max = kp_ref_scratch((size_t)groups * 2, sizeof *max);
    if (max == NULL)
        return KP_ENOMEM;
    for (int64_t i = 0; i < groups; i++)
        max[i] = -(double)INFINITY;
    softmax_into(n, &in[0], out, stride, max, max + groups);
    free(max);
    return 0;
}

/* Mean and biased variance of each group, by two passes. */
static void moments(const kp_tensor *x, const int64_t *stride, int64_t groups, double *mean,
                    double *var)
{
    const real *from = x->data;
    int64_t count = kp_tensor_count(x);
    double size = groups > 0 ? (double)(count / groups) : 1;
    kp_walk w;
    walk_groups(&w, x, stride);
    for (int64_t i = 0; i < count; i++, kp_walk_next(&w))
        mean[w.index] += (double)from[i];
    for (int64_t g = 0; g < groups; g++)
        mean[g] /= size;
    walk_groups(&w, x, stride);
    for (int64_t i = 0; i < count; i++, kp_walk_next(&w)) {
        double d = (double)from[i] - mean[w.index];
        var[w.index] += d * d;
    }
    for (int64_t g = 0; g < groups; g++)
        var[g] /= size;
}

/* Strides with which a walk over x follows gamma and beta, which have the axes' shape. */
static void weight_strides(const kp_tensor *x, const kp_axes *axes, int64_t *stride)
{
    int64_t s = 1;
    memset(stride, 0, KP_MAX_DIMS * sizeof *stride);
    for (int a = axes->n - 1; a >= 0; a--) {
        stride[axes->axis[a]] = s;
        s *= x->shape[axes->axis[a]];
    }
}

/* In Keras' order: inv = rsqrt(var + epsilon)*gamma; y = x*inv + (beta - mean*inv). With
 * rms_scaling there is neither mean nor beta. */
static void layernorm_into(const kp_node *n, const kp_tensor *in, int n_in, kp_tensor *out,
                           const int64_t *stride, const double *mean, const double *var)
{
    bool rms = n->attr.layernorm.rms_scaling;
    const real *x = in[0].data, *gamma = n_in > 1 ? in[1].data : NULL;
    const real *beta = n_in > 2 && !rms ? in[2].data : NULL;
    real *y = out->data;
    int64_t wstride[KP_MAX_DIMS], count = kp_tensor_count(&in[0]);
    kp_walk w, weight;
    walk_groups(&w, &in[0], stride);
    weight_strides(&in[0], &n->attr.layernorm.axes, wstride);
    kp_walk_init(&weight, in[0].shape, wstride, in[0].ndim);
    for (int64_t i = 0; i < count; i++) {
        double inv = 1 / sqrt(var[w.index] + (double)n->attr.layernorm.epsilon);
        if (gamma != NULL)
            inv *= (double)gamma[weight.index];
        double shift = rms ? 0 : -mean[w.index] * inv;
        if (beta != NULL)
            shift += (double)beta[weight.index];
        y[i] = (real)((double)x[i] * inv + shift);
        kp_walk_next(&w);
        kp_walk_next(&weight);
    }
}

int kp_ref_layernorm(const kp_node *n, const kp_tensor *in, int n_in, kp_tensor *out)
{
    int64_t stride[KP_MAX_DIMS], groups;
    kp_ref_group_strides(&in[0], &n->attr.layernorm.axes, stride, &groups);
    double *mean = kp_ref_scratch((size_t)groups * 2, sizeof *mean);
    if (mean == NULL)
        return KP_ENOMEM;
    moments(&in[0], stride, groups, mean, mean + groups);
    layernorm_into(n, in, n_in, out, stride, mean, mean + groups);
    free(mean);
    return 0;
}
