/* Transposed convolution, as a scatter: each input cell adds x*K[tap] to the outputs it touches. */
#include "backend/ref/ref_int.h"

#include <stdlib.h>

struct deconv {
    const real *x, *w;
    int64_t in[3], size[3], k[3], stride[3], dilation[3], cut[3]; /* cut: cells cropped in front */
    int64_t cin, cout;
};

/* Adds K[tap] times the input cell's channels to the output cell's. */
static void add_cell(const struct deconv *d, double *acc, const real *x, const real *w)
{
    for (int64_t f = 0; f < d->cout; f++) {
        double sum = 0;
        for (int64_t c = 0; c < d->cin; c++)
            sum += (double)x[c] * (double)w[f * d->cin + c];
        acc[f] += sum;
    }
}

/* Index of the output cell that input cell p touches by a tap, or -1. */
static int64_t target(const struct deconv *d, const int64_t *p, const int64_t *tap)
{
    int64_t index = 0;
    for (int i = 0; i < 3; i++) {
        int64_t o = p[i] * d->stride[i] + tap[i] * d->dilation[i] - d->cut[i];
        if (o < 0 || o >= d->size[i])
            return -1;
        index = index * d->size[i] + o;
    }
    return index;
}

static void scatter_cell(const struct deconv *d, double *acc, const real *x, const int64_t *p)
{
    const real *w = d->w;
    int64_t tap[3];
    for (tap[0] = 0; tap[0] < d->k[0]; tap[0]++) {
        for (tap[1] = 0; tap[1] < d->k[1]; tap[1]++) {
            for (tap[2] = 0; tap[2] < d->k[2]; tap[2]++, w += d->cout * d->cin) {
                int64_t o = target(d, p, tap);
                if (o >= 0)
                    add_cell(d, acc + o * d->cout, x, w);
            }
        }
    }
}

static void scatter_image(const struct deconv *d, double *acc, const real *x)
{
    int64_t p[3];
    for (p[0] = 0; p[0] < d->in[0]; p[0]++) {
        for (p[1] = 0; p[1] < d->in[1]; p[1]++) {
            for (p[2] = 0; p[2] < d->in[2]; p[2]++, x += d->cin)
                scatter_cell(d, acc, x, p);
        }
    }
}

static void set_window(struct deconv *d, const kp_window *w, const kp_tensor *x,
                       const kp_tensor *out)
{
    for (int i = 0; i < 3; i++) {
        int s = i - (3 - w->n_spatial);
        d->in[i] = s < 0 ? 1 : x->shape[s + 1];
        d->size[i] = s < 0 ? 1 : out->shape[s + 1];
        d->k[i] = s < 0 ? 1 : w->size[s];
        d->stride[i] = s < 0 ? 1 : w->stride[s];
        d->dilation[i] = s < 0 ? 1 : w->dilation[s];
        d->cut[i] = s < 0 ? 0 : w->pad_before[s];
    }
}

int kp_ref_conv_transpose(const kp_node *n, const kp_tensor *in, int n_in, kp_tensor *out)
{
    struct deconv d = {
        .w = in[1].data, .cin = in[0].shape[in[0].ndim - 1], .cout = out->shape[out->ndim - 1]};
    const real *bias = n_in > 2 ? in[2].data : NULL;
    set_window(&d, &n->attr.conv_transpose.window, &in[0], out);
    int64_t x_image = d.in[0] * d.in[1] * d.in[2] * d.cin;
    int64_t out_image = d.size[0] * d.size[1] * d.size[2] * d.cout;
    double *acc = kp_ref_scratch((size_t)out_image, sizeof *acc);
    if (acc == NULL)
        return KP_ENOMEM;
    for (int64_t image = 0; image < in[0].shape[0]; image++) {
        real *y = (real *)out->data + image * out_image;
        memset(acc, 0, (size_t)out_image * sizeof *acc);
        scatter_image(&d, acc, (const real *)in[0].data + image * x_image);
        for (int64_t i = 0; i < out_image; i++) {
            double v = bias != NULL ? acc[i] + (double)bias[i % d.cout] : acc[i];
            y[i] = (real)kp_act_apply(&n->act, v);
        }
    }
    free(acc);
    return 0;
}
