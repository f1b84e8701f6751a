/* Scales per channel. */
#include "backend/ref/ref_int.h"

#include <math.h>
#include <stdlib.h>

/* y = act(x*scale[c] + shift[c]) with channels along an axis. */
static void scale_channels(const kp_node *n, const kp_tensor *x, kp_tensor *out,
                           const double *scale, const double *shift)
{
    int axis = n->attr.axis.axis;
    int64_t channels = x->shape[axis], inner = 1, count = kp_tensor_count(x);
    for (int i = axis + 1; i < x->ndim; i++)
        inner *= x->shape[i];
    const real *from = x->data;
    real *to = out->data;
    for (int64_t i = 0; i < count; i++) {
        int64_t c = i / inner % channels;
        to[i] = (real)kp_act_apply(&n->act, (double)from[i] * scale[c] + shift[c]);
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
    const real *gamma = n_in > 3 ? in[3].data : NULL, *beta = n_in > 4 ? in[4].data : NULL;
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
