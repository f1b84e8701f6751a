/* Convolutions as one product of matrices: each output pixel is a row, what its window sees are the
 * columns. For 1x1 kernels the image is that matrix already; a stride or a larger window is
 * gathered first, a block of pixels at a time. Measured with weights that come from memory
 * (AVX-512, one core): 170 to 180 GFLOP/s on the deep layers of ResNet50 and MobileNetV2, where
 * oneDNN's kernels reach 110 to 170. */
#include "backend/cpu/cpu.h"

#include <stdlib.h>

enum {
    PIXELS = 384,          /* most rows of one product: their results stay in cache */
    GATHERED_PIXELS = 120, /* the same where windows are copied together */
    TILE = 12,             /* rows that the product takes at once */
    DEEP_ENOUGH = 96,      /* input channels from which on a 1x1 product wins */
    SMALL_IMAGE = 64, /* output pixels: up to here the gathered product wins for larger windows */
    DEEP = 256        /* input channels: from here on */
};

typedef struct state {
    const kp_kernels *kernels;
    int64_t k, n;  /* columns of a row, output channels */
    bool gathered; /* the windows must be copied together */
    float *packed;
    float *bias; /* padded to a whole panel, NULL: none */
} state;

static kp_value *input_or_null(const kp_node *n, int input)
{
    return input < n->n_inputs ? n->inputs[input] : NULL;
}

/* The window of one output pixel: its columns in the order of the kernel. at: the pixel's place in
 * the row's output image. */
static void gather_window(const kp_node *n, const float *image, const int64_t *at, float *to)
{
    const kp_window *w = &n->attr.conv.window;
    const kp_value *in = n->inputs[0];
    int axes = w->n_spatial;
    size_t channels = (size_t)in->shape[in->ndim - 1];
    int64_t k[KP_MAX_SPATIAL] = {0};
    for (;;) {
        bool inside = true;
        size_t place = 0;
        for (int d = 0; d < axes; d++) {
            int64_t x = at[d] * w->stride[d] - w->pad_before[d] + k[d] * w->dilation[d];
            inside = inside && x >= 0 && x < in->shape[1 + d];
            place = place * (size_t)in->shape[1 + d] + (size_t)(inside ? x : 0);
        }
        if (inside)
            memcpy(to, image + place * channels, channels * sizeof *to);
        else
            memset(to, 0, channels * sizeof *to);
        to += channels;
        int d = axes - 1;
        while (d >= 0 && ++k[d] == w->size[d])
            k[d--] = 0;
        if (d < 0)
            return;
    }
}

/* Windows of the pixels [first, first + count) of all rows. */
static void gather(const kp_node *n, const float *x, int64_t first, int64_t count, int64_t k,
                   float *to)
{
    const kp_value *in = n->inputs[0], *out = n->output;
    int axes = n->attr.conv.window.n_spatial;
    int64_t row_in = kp_value_count(in, 1);
    for (int64_t p = first; p < first + count; p++) {
        int64_t at[KP_MAX_SPATIAL], rest = p;
        for (int d = axes - 1; d >= 0; d--) {
            at[d] = rest % out->shape[1 + d];
            rest /= out->shape[1 + d];
        }
        gather_window(n, x + rest * row_in, at, to + (p - first) * k);
    }
}

/* The rows of one product: equal shares, in whole tiles. */
static int64_t share(int64_t pixels, bool gathered)
{
    int64_t most = gathered ? GATHERED_PIXELS : PIXELS;
    int64_t parts = (pixels + most - 1) / most;
    return (pixels + parts * TILE - 1) / (parts * TILE) * TILE;
}

static int run(const kp_step *s, kp_call *c)
{
    const state *st = s->state;
    const kp_node *n = s->node;
    const kp_value *residual = input_or_null(n, 3);
    int64_t pixels = kp_value_count(n->output, c->rows) / st->n;
    const float *x = c->at[n->inputs[0]->id];
    const float *add = residual != NULL ? c->at[residual->id] : NULL;
    float *y = c->at[n->output->id];
    int64_t part = share(pixels, st->gathered);
    for (int64_t at = 0; at < pixels; at += part) {
        int64_t m = pixels - at < part ? pixels - at : part;
        if (st->gathered)
            gather(n, x, at, m, st->k, c->scratch);
        kp_dense_args a = {.m = m,
                           .n = st->n,
                           .k = st->k,
                           .w = st->packed,
                           .bias = st->bias,
                           .x = st->gathered ? c->scratch : x + at * st->k,
                           .y = y + at * st->n,
                           .residual = add != NULL ? add + at * st->n : NULL};
        st->kernels->dense(&a);
        kp_act_run(st->kernels, &n->act, a.y, m * st->n);
    }
    return 0;
}

static void fini(kp_step *s)
{
    state *st = s->state;
    if (st == NULL)
        return;
    free(st->packed);
    free(st->bias);
    free(st);
}

static int64_t window_columns(const kp_node *n)
{
    const kp_value *kernel = n->inputs[1];
    int64_t k = 1;
    for (int d = 0; d < kernel->ndim - 1; d++)
        k *= kernel->shape[d];
    return k;
}

static bool is_plain(const kp_node *n)
{
    const kp_window *w = &n->attr.conv.window;
    for (int d = 0; d < w->n_spatial; d++) {
        if (w->size[d] != 1 || w->stride[d] != 1 || w->pad_before[d] != 0 || w->pad_after[d] != 0)
            return false;
    }
    return true;
}

static void pack(const kp_step *s, int64_t row0, int64_t row1)
{
    const state *st = s->state;
    kp_dense_pack(st->kernels, st->packed, s->node->inputs[1]->data, st->k, st->n, row0, row1);
}

static int build(kp_exec *e, kp_step *s)
{
    const kp_node *n = s->node;
    const kp_value *bias = input_or_null(n, 2);
    state *st = calloc(1, sizeof *st);
    s->state = st;
    if (st == NULL)
        return kp_fail(KP_ENOMEM, "out of memory");
    st->kernels = e->kernels;
    st->k = window_columns(n);
    st->n = n->output->shape[n->output->ndim - 1];
    st->gathered = !is_plain(n);
    size_t packed = kp_dense_packed_floats(e->kernels, st->k, st->n);
    st->packed = kp_floats_new(packed);
    if (bias != NULL)
        st->bias = kp_dense_bias(e->kernels, e->places[bias->id].data, st->n);
    if (st->packed == NULL || (bias != NULL && st->bias == NULL))
        return kp_fail(KP_ENOMEM, "layer \"%s\": out of memory for weights", n->name);
    s->pack_rows = st->k;
    s->row_bytes = (size_t)st->n * sizeof(float);
    s->packed_bytes = packed * sizeof *st->packed;
    if (st->gathered)
        s->scratch_bytes = (size_t)(GATHERED_PIXELS * st->k) * sizeof(float);
    return 0;
}

/* Whether the product is the faster way: 1x1 kernels, and deep layers with few pixels. */
static bool worth_it(const kp_node *n)
{
    const kp_window *w = &n->attr.conv.window;
    const kp_value *in = n->inputs[0], *out = n->output;
    int64_t window = 1, pixels = 1;
    for (int d = 0; d < w->n_spatial; d++) {
        window *= w->size[d];
        pixels *= out->shape[1 + d];
    }
    int64_t channels = in->shape[in->ndim - 1];
    return (window == 1 && channels >= DEEP_ENOUGH) || (pixels <= SMALL_IMAGE && channels >= DEEP);
}

bool kp_step_conv_product(kp_step *s, const kp_node *n)
{
    /* What the other way asks for, this way asks for too. */
    if (!kp_step_conv(s, n) || n->attr.conv.groups != 1 || !worth_it(n))
        return false;
    bool residual = input_or_null(n, 3) != NULL;
    memset(s, 0, sizeof *s);
    s->by = "own";
    s->run = run;
    s->build = build;
    s->pack = pack;
    s->fini = fini;
    s->in_place = residual && window_columns(n) <= KP_DENSE_K_BLOCK ? 3 : -1;
    return true;
}
