/* A plug-in for the tests: kernels and builder calls over config, weights and arguments; what is
 * wrong on purpose is chosen by the build. */
#include <kpredict/layer.h>

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#ifndef CASES_ABI
#define CASES_ABI KP_LAYER_ABI
#endif

/* ---- Scale: y = x * w^power + call argument "shift", by a kernel ---- */

typedef struct scale {
    const float *w;
    int64_t n;
    double power, shift;
} scale;

static int open_scale(const kp_layer_host *host, kp_layer_call *c, void **state)
{
    kp_tensor w;
    scale *s = calloc(1, sizeof *s);
    const char *json = host->config_json(c);
    if (s == NULL || json == NULL || strstr(json, "\"power\"") == NULL)
        return host->fail(c, "no config");
    *state = s;
    if (host->config_float(c, "power", 1, &s->power) != 0 ||
        host->argument_number(c, 1, "shift", 0.5, &s->shift) != 0 ||
        host->weight_data(c, "", 0, "w", true, &w) != 0)
        return KP_EMODEL;
    if (s->power < 0)
        return host->fail(c, "power must not be negative");
    s->w = w.data;
    s->n = w.shape[0];
    return 0;
}

static int shape_scale(void *state, const kp_port *in, size_t n_in, kp_port *out, char *message,
                       size_t size)
{
    const scale *s = state;
    if (n_in == 1 && in[0].shape[in[0].ndim - 1] == s->n) {
        *out = in[0];
        return 0;
    }
    snprintf(message, size, "the last axis must be %lld", (long long)s->n);
    return 1;
}

static int run_scale(void *state, const kp_tensor *in, size_t n_in, kp_tensor *out, char *message,
                     size_t size)
{
    const scale *s = state;
    const float *x = in[0].data;
    float *y = out->data;
    (void)n_in;
    for (size_t i = 0; i < in[0].size_bytes / sizeof *x; i++) {
        y[i] = x[i] * powf(s->w[i % (size_t)s->n], (float)s->power) + (float)s->shift;
        if (x[i] > 1e6f) {
            snprintf(message, size, "a value is too large");
            return 1;
        }
    }
    return 0;
}

static const kp_layer_kernel scale_kernel = {"scale", open_scale, shape_scale, run_scale, free};

/* ---- Block: an inner Dense, attention over itself, and most builder calls ---- */

static int lower_block(const kp_layer_host *h, kp_layer_call *c, kp_layer_value **out)
{
    kp_layer_value *x = h->input(c, 0), *kernel, *bias, *y, *t, *m, *s;
    kp_port port;
    int64_t units, sizes[2];
    const char *mode;
    h->describe(x, &port);
    if (port.ndim != 3 || port.shape[0] != -1 || h->input(c, 1) != NULL || h->n_inputs(c) != 1)
        return h->fail(c, "one input of three axes is wanted");
    int status = 0;
    if ((status = h->config_int(c, "units", 0, &units)) != 0 ||
        (status = h->config_string(c, "mode", "mean", &mode)) != 0)
        return status;
    if (h->n_weights(c, "dense") != 2)
        return h->fail(c, "the inner layer has not two variables");
    float half = 0.5f;
    sizes[0] = -1;
    sizes[1] = units;
    if ((status = h->weight(c, "dense", 0, "kernel", true, &kernel)) != 0 ||
        (status = h->weight(c, "dense", 1, "bias", true, &bias)) != 0 ||
        (status = h->dense(c, x, kernel, bias, &y)) != 0 ||
        (status = h->transpose(c, (int[]){0, 2, 1}, y, &t)) != 0 ||
        (status = h->matmul(c, y, t, &s)) != 0 || (status = h->softmax(c, -1, s, &s)) != 0 ||
        (status = h->matmul(c, s, y, &m)) != 0 || (status = h->constant(c, &half, NULL, 0, &s)) != 0 ||
        (status = h->binary(c, "mul", m, s, &m)) != 0 ||
        (status = h->concat(c, (kp_layer_value *[]){m, y}, 2, 1, &m)) != 0 ||
        (status = h->unary(c, "tanh", m, &m)) != 0 ||
        (status = h->reshape(c, sizes, 2, m, &m)) != 0)
        return status;
    return h->reduce(c, mode, (int[]){-2}, 1, false, m, out);
}

#ifdef CASES_OWN_CLASS
#define FIRST_NAME "Dense"
#else
#define FIRST_NAME "cases>Scale"
#endif

static const kp_layer_class classes[] = {
    {.class_name = FIRST_NAME, .kernel = &scale_kernel},
    {.class_name = "cases>Block", .lower = lower_block},
};

static const kp_layer_plugin plugin = {CASES_ABI, "cases", classes, 2};

KP_LAYER_EXPORT const kp_layer_plugin *kp_layer_entry(void);
KP_LAYER_EXPORT const kp_layer_plugin *kp_layer_entry(void)
{
    return &plugin;
}
