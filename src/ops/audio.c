/* Mel bands and the range of loudness. */
#include "ops/ops.h"

#include <math.h>

static int infer(const kp_node *n, kp_value *out, int64_t *next_symbol)
{
    const kp_value *x = n->n_inputs == 1 ? n->inputs[0] : NULL;
    (void)next_symbol;
    if (x == NULL || x->dtype != KP_FLOAT32)
        return kp_node_fail(n, KP_EINVAL, "a range of something that is not float32");
    out->dtype = KP_FLOAT32;
    out->ndim = x->ndim;
    memcpy(out->shape, x->shape, sizeof out->shape);
    return 0;
}

static int run(const void *params, const kp_tensor *in, int n_in, kp_tensor *out)
{
    const kp_range *p = params;
    const float *x = in[0].data;
    float *to = out->data, most = -INFINITY;
    int64_t n = kp_tensor_count(out);
    (void)n_in;
    for (int64_t i = 0; i < n; i++)
        most = x[i] > most || isnan(x[i]) ? x[i] : most;
    for (int64_t i = 0; i < n; i++)
        to[i] = x[i] >= most - p->range ? x[i] : most - p->range;
    return 0;
}

const kp_kernel_def kp_kernel_range = {
    .name = "range", .infer = infer, .run = run, .whole_batch = true};

static float mel(float hertz)
{
    return 1127.0f * logf(1.0f + hertz / 700.0f);
}

/* Element i of n even steps, as TensorFlow's linspace has it. */
static float even(float first, float last, int64_t n, int64_t i)
{
    if (i == 0 || n < 2)
        return first;
    return i == n - 1 ? last : first + (last - first) / (float)(n - 1) * (float)i;
}

void kp_mel_weights(int64_t n_bins, int64_t n_bands, float rate, float low, float high, float *out)
{
    float first = mel(low), last = mel(high);
    for (int64_t k = 0; k < n_bands; k++) {
        float lower = even(first, last, n_bands + 2, k);
        float centre = even(first, last, n_bands + 2, k + 1);
        float upper = even(first, last, n_bands + 2, k + 2);
        out[k] = 0; /* the bin of frequency 0 counts nowhere */
        for (int64_t i = 1; i < n_bins; i++) {
            float at = mel(even(0, rate / 2, n_bins, i));
            float up = (at - lower) / (centre - lower), down = (upper - at) / (upper - centre);
            float least = up < down ? up : down;
            out[i * n_bands + k] = least > 0 ? least : 0;
        }
    }
}
