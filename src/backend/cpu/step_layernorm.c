/* Layer normalisation over the last axes: sums in double, LANES of them side by side, in an order
 * that depends on the size of a row alone. */
#include "backend/cpu/cpu.h"

#include <math.h>

enum { LANES = 8 };

static double sum_of(const float *x, int64_t n)
{
    double lane[LANES] = {0}, sum = 0;
    int64_t i = 0;
    for (; i + LANES <= n; i += LANES)
        for (int l = 0; l < LANES; l++)
            lane[l] += (double)x[i + l];
    for (; i < n; i++)
        lane[i % LANES] += (double)x[i];
    for (int l = 0; l < LANES; l++)
        sum += lane[l];
    return sum;
}

static double squares_of(const float *x, int64_t n, double mean)
{
    double lane[LANES] = {0}, sum = 0;
    int64_t i = 0;
    for (; i + LANES <= n; i += LANES)
        for (int l = 0; l < LANES; l++) {
            double d = (double)x[i + l] - mean;
            lane[l] += d * d;
        }
    for (; i < n; i++)
        lane[i % LANES] += ((double)x[i] - mean) * ((double)x[i] - mean);
    for (int l = 0; l < LANES; l++)
        sum += lane[l];
    return sum;
}

/* y = x * inv * gamma + (beta - mean * inv * gamma); with rms_scaling neither mean nor beta. */
static void normalise(const kp_node *node, const float *x, const float *gamma, const float *beta,
                      float *y, int64_t n)
{
    double mean = sum_of(x, n) / (double)n, variance = squares_of(x, n, mean) / (double)n;
    double inv = 1 / sqrt(variance + node->attr.layernorm.epsilon);
    bool rms = node->attr.layernorm.rms_scaling;
    for (int64_t i = 0; i < n; i++) {
        double scale = gamma != NULL ? inv * (double)gamma[i] : inv;
        double shift = rms ? 0 : (beta != NULL ? (double)beta[i] : 0) - mean * scale;
        y[i] = (float)((double)x[i] * scale + shift);
    }
}

static const float *weight(const kp_step *s, const kp_call *c, int input)
{
    const kp_value *v = input < s->node->n_inputs ? s->node->inputs[input] : NULL;
    return v != NULL ? c->at[v->id] : NULL;
}

static int run(const kp_step *s, kp_call *c)
{
    const kp_node *node = s->node;
    const kp_axes *axes = &node->attr.layernorm.axes;
    const float *x = c->at[node->inputs[0]->id];
    float *y = c->at[node->output->id];
    int64_t n = 1, count = kp_value_count(node->output, c->rows);
    for (int i = 0; i < axes->n; i++)
        n *= node->output->shape[axes->axis[i]];
    for (int64_t at = 0; at < count; at += n)
        normalise(node, x + at, weight(s, c, 1), weight(s, c, 2), y + at, n);
    return 0;
}

bool kp_step_layernorm(kp_step *s, const kp_node *n)
{
    const kp_axes *axes = &n->attr.layernorm.axes;
    if (n->op != KP_OP_LAYERNORM || n->output->dtype != KP_FLOAT32 || axes->n < 1)
        return false;
    for (int i = 0; i < axes->n; i++) {
        int axis = n->output->ndim - axes->n + i;
        if (axes->axis[i] != axis || axis == 0 || n->output->shape[axis] < 1)
            return false;
    }
    for (int i = 0; i < n->n_inputs; i++)
        if (n->inputs[i] != NULL && n->inputs[i]->dtype != KP_FLOAT32)
            return false;
    s->by = "own";
    s->run = run;
    s->in_place = 0;
    return true;
}
