/* Convolution and dense layers: cross-correlation with sums in double. A dense layer is a
 * convolution of one cell over a line of rows. */
#include "backend/ref/ref_int.h"

#include <stdlib.h>

enum { BLOCK = 4, CHANNELS = 64 };

/* A convolution over three spatial axes; missing ones have size 1. */
struct conv {
    const kp_node *n;
    const real *x, *w, *bias, *residual;
    real *out;
    int64_t batch, in[3], size[3], k[3], stride[3], dilation[3], before[3]; /* size: of out */
    int64_t cin, cout, groups;
};

void kp_ref_mac(double *restrict acc, const real *restrict x, const real *restrict w, int64_t cin,
                int64_t wstride, int64_t cout)
{
    for (int64_t i = 0; i < cin; i++, w += wstride) {
        double v = x[i];
        for (int64_t o = 0; o < cout; o++)
            acc[o] += v * (double)w[o];
    }
}

void kp_ref_mac4(double *restrict acc, int64_t accstride, const real *const x[4],
                 const real *restrict w, int64_t cin, int64_t wstride, int64_t cout)
{
    double *restrict a1 = acc + accstride, *restrict a2 = a1 + accstride;
    double *restrict a3 = a2 + accstride;
    for (int64_t i = 0; i < cin; i++, w += wstride) {
        double v0 = x[0][i], v1 = x[1][i], v2 = x[2][i], v3 = x[3][i];
        for (int64_t o = 0; o < cout; o++) {
            double k = w[o];
            acc[o] += v0 * k;
            a1[o] += v1 * k;
            a2[o] += v2 * k;
            a3[o] += v3 * k;
        }
    }
}

/* Input place of an output place and a tap along axis i, or -1 in the padding. */
static int64_t source(const struct conv *c, int i, int64_t o, int64_t tap)
{
    int64_t at = o * c->stride[i] - c->before[i] + tap * c->dilation[i];
    return at < c->in[i] ? at : -1;
}

/* One group's channels [c0, c0+n) of one input channel each (depthwise): w is at the tap. */
static void mac_depthwise(const struct conv *c, double *acc, const real *x, const real *w,
                          int64_t c0, int64_t n)
{
    int64_t times = c->cout / c->groups;
    for (int64_t o = 0; o < n; o++)
        acc[o] += (double)x[times == 1 ? c0 + o : (c0 + o) / times] * (double)w[c0 + o];
}

/* Adds one tap for the block of `width` outputs from (o0, o1, o2) on; rows of the input start at
 * `image`. */
static void add_tap(const struct conv *c, double *acc, const real *image, const int64_t *o,
                    const int64_t *tap, int64_t width, int64_t c0, int64_t n)
{
    int64_t i0 = source(c, 0, o[0], tap[0]), i1 = source(c, 1, o[1], tap[1]);
    if (i0 < 0 || i1 < 0)
        return;
    int64_t group_in = c->cin / c->groups, group_out = c->cout / c->groups;
    const real *w = c->w + ((tap[0] * c->k[1] + tap[1]) * c->k[2] + tap[2]) * group_in * c->cout;
    const real *row = image + (i0 * c->in[1] + i1) * c->in[2] * c->cin;
    const real *x[BLOCK];
    bool all = width == BLOCK;
    for (int64_t b = 0; b < width; b++) {
        int64_t i2 = source(c, 2, o[2] + b, tap[2]);
        x[b] = i2 < 0 ? NULL : row + i2 * c->cin;
        all = all && i2 >= 0;
    }
    if (group_in == 1) {
        for (int64_t b = 0; b < width; b++) {
            if (x[b] != NULL)
                mac_depthwise(c, acc + b * CHANNELS, x[b], w, c0, n);
        }
        return;
    }
    int64_t first = c0 / group_out * group_in; /* of the group's input channels */
    for (int64_t b = 0; b < width; b++)
        x[b] = x[b] == NULL ? NULL : x[b] + first;
    if (all)
        kp_ref_mac4(acc, CHANNELS, x, w + c0, group_in, c->cout, n);
    for (int64_t b = 0; !all && b < width; b++) {
        if (x[b] != NULL)
            kp_ref_mac(acc + b * CHANNELS, x[b], w + c0, group_in, c->cout, n);
    }
}

/* Bias, residual and activation, then the one rounding to float32. */
static void finish(const struct conv *c, const double *acc, int64_t at, int64_t c0, int64_t n)
{
    for (int64_t o = 0; o < n; o++) {
        double v = acc[o];
        if (c->bias != NULL)
            v += (double)c->bias[c0 + o];
        if (c->residual != NULL)
            v += (double)c->residual[at + c0 + o];
        c->out[at + c0 + o] = (real)kp_act_apply(&c->n->act, v);
    }
}

/* Outputs (o0, o1, o2 .. o2+width-1), channels c0 .. c0+n-1 of one group. */
static void compute_block(const struct conv *c, int64_t image, const int64_t *o, int64_t width,
                          int64_t c0, int64_t n)
{
    double acc[BLOCK * CHANNELS] = {0};
    const real *x = c->x + image * c->in[0] * c->in[1] * c->in[2] * c->cin;
    int64_t tap[3];
    for (tap[0] = 0; tap[0] < c->k[0]; tap[0]++) {
        for (tap[1] = 0; tap[1] < c->k[1]; tap[1]++) {
            for (tap[2] = 0; tap[2] < c->k[2]; tap[2]++)
                add_tap(c, acc, x, o, tap, width, c0, n);
        }
    }
    int64_t at = ((image * c->size[0] + o[0]) * c->size[1] + o[1]) * c->size[2] + o[2];
    for (int64_t b = 0; b < width; b++)
        finish(c, acc + b * CHANNELS, (at + b) * c->cout, c0, n);
}

/* Channels are taken in pieces that do not cross a group, unless each group has one input. */
static int64_t piece(const struct conv *c, int64_t c0)
{
    int64_t span = c->cin == c->groups ? c->cout : c->cout / c->groups;
    int64_t left = span - c0 % span;
    return left < CHANNELS ? left : CHANNELS;
}

static void compute(const struct conv *c)
{
    for (int64_t c0 = 0, n; c0 < c->cout; c0 += n) {
        n = piece(c, c0);
        for (int64_t image = 0; image < c->batch; image++) {
            int64_t o[3];
            for (o[0] = 0; o[0] < c->size[0]; o[0]++) {
                for (o[1] = 0; o[1] < c->size[1]; o[1]++) {
                    for (o[2] = 0; o[2] < c->size[2]; o[2] += BLOCK) {
                        int64_t left = c->size[2] - o[2];
                        compute_block(c, image, o, left < BLOCK ? left : BLOCK, c0, n);
                    }
                }
            }
        }
    }
}

static void set_arrays(struct conv *c, const kp_node *n, const kp_tensor *in, int n_in,
                       kp_tensor *out)
{
    c->n = n;
    c->x = in[0].data;
    c->w = in[1].data;
    c->bias = n_in > 2 ? in[2].data : NULL;
    c->residual = n_in > 3 ? in[3].data : NULL;
    c->out = out->data;
}

int kp_ref_conv(const kp_node *n, const kp_tensor *in, int n_in, kp_tensor *out)
{
    const kp_window *w = &n->attr.conv.window;
    struct conv c = {.batch = in[0].shape[0],
                     .cin = in[0].shape[in[0].ndim - 1],
                     .cout = out->shape[out->ndim - 1],
                     .groups = n->attr.conv.groups};
    set_arrays(&c, n, in, n_in, out);
    for (int i = 0; i < 3; i++) {
        int s = i - (3 - w->n_spatial); /* spatial axes stand at the end */
        c.in[i] = s < 0 ? 1 : in[0].shape[s + 1];
        c.size[i] = s < 0 ? 1 : out->shape[s + 1];
        c.k[i] = s < 0 ? 1 : w->size[s];
        c.stride[i] = s < 0 ? 1 : w->stride[s];
        c.dilation[i] = s < 0 ? 1 : w->dilation[s];
        c.before[i] = s < 0 ? 0 : w->pad_before[s];
    }
    compute(&c);
    return 0;
}

int kp_ref_dense(const kp_node *n, const kp_tensor *in, int n_in, kp_tensor *out)
{
    int64_t rows = 1;
    for (int i = 0; i < in[0].ndim - 1; i++)
        rows *= in[0].shape[i];
    struct conv c = {.batch = 1,
                     .in = {1, 1, rows},
                     .size = {1, 1, rows},
                     .k = {1, 1, 1},
                     .stride = {1, 1, 1},
                     .dilation = {1, 1, 1},
                     .cin = in[1].shape[0],
                     .cout = in[1].shape[1],
                     .groups = 1};
    set_arrays(&c, n, in, n_in, out);
    compute(&c);
    return 0;
}
