/* Maximum and average over windows. An average counts the cells inside the image only, unless
 * count_padding asks for the whole window. */
#include "backend/ref/ref_int.h"

#include <math.h>
#include <stdlib.h>

struct pool {
    const kp_node *n;
    int64_t in[3], size[3], k[3], stride[3], before[3], channels;
};

/* The part of the window along axis i that lies in the image: [*from, *to). */
static void clip_window(const struct pool *p, int i, int64_t o, int64_t *from, int64_t *to)
{
    int64_t start = o * p->stride[i] - p->before[i], end = start + p->k[i];
    *from = start > 0 ? start : 0;
    *to = end < p->in[i] ? end : p->in[i];
}

static void gather(const struct pool *p, double *acc, const real *x)
{
    for (int64_t c = 0; c < p->channels; c++) {
        double v = x[c];
        if (p->n->attr.pool.average)
            acc[c] += v;
        else if (v > acc[c] || isnan(v))
            acc[c] = v;
    }
}

static void pool_cell(const struct pool *p, double *acc, const real *image, const int64_t *o,
                      real *y)
{
    int64_t from[3], to[3];
    for (int i = 0; i < 3; i++)
        clip_window(p, i, o[i], &from[i], &to[i]);
    for (int64_t c = 0; c < p->channels; c++)
        acc[c] = p->n->attr.pool.average ? 0 : -(double)INFINITY;
    int64_t count = 0;
    for (int64_t a = from[0]; a < to[0]; a++) {
        for (int64_t b = from[1]; b < to[1]; b++) {
            for (int64_t c = from[2]; c < to[2]; c++, count++)
                gather(p, acc, image + ((a * p->in[1] + b) * p->in[2] + c) * p->channels);
        }
    }
    if (p->n->attr.pool.count_padding)
        count = p->k[0] * p->k[1] * p->k[2];
    for (int64_t c = 0; c < p->channels; c++)
        y[c] = (real)(p->n->attr.pool.average ? acc[c] / (double)count : acc[c]);
}

static void pool_image(const struct pool *p, double *acc, const real *x, real *y)
{
    int64_t o[3];
    for (o[0] = 0; o[0] < p->size[0]; o[0]++) {
        for (o[1] = 0; o[1] < p->size[1]; o[1]++) {
            for (o[2] = 0; o[2] < p->size[2]; o[2]++, y += p->channels)
                pool_cell(p, acc, x, o, y);
        }
    }
}

int kp_ref_pool(const kp_node *n, const kp_tensor *in, int n_in, kp_tensor *out)
{
    (void)n_in;
    const kp_window *w = &n->attr.pool.window;
    struct pool p = {.n = n, .channels = in[0].shape[in[0].ndim - 1]};
    for (int i = 0; i < 3; i++) {
        int s = i - (3 - w->n_spatial);
        p.in[i] = s < 0 ? 1 : in[0].shape[s + 1];
        p.size[i] = s < 0 ? 1 : out->shape[s + 1];
        p.k[i] = s < 0 ? 1 : w->size[s];
        p.stride[i] = s < 0 ? 1 : w->stride[s];
        p.before[i] = s < 0 ? 0 : w->pad_before[s];
    }
    double *acc = kp_ref_scratch((size_t)p.channels, sizeof *acc);
    if (acc == NULL)
        return KP_ENOMEM;
    int64_t x_image = p.in[0] * p.in[1] * p.in[2] * p.channels;
    int64_t y_image = p.size[0] * p.size[1] * p.size[2] * p.channels;
    for (int64_t i = 0; i < in[0].shape[0]; i++)
        pool_image(&p, acc, (const real *)in[0].data + i * x_image,
                   (real *)out->data + i * y_image);
    free(acc);
    return 0;
}
