/* Convolutions whose kernel differs from place to place. */
#include "ops/ops.h"

static int infer(const kp_node *n, kp_value *out, int64_t *next_symbol)
{
    const kp_local *p = n->attr.kernel.params;
    const kp_value *x = n->inputs[0], *k = n->inputs[1];
    int64_t places = 1, cells = 1;
    (void)next_symbol;
    if (x->ndim != p->n_spatial + 2 || k->ndim != 3 || x->dtype != KP_FLOAT32 ||
        k->dtype != KP_FLOAT32)
        return kp_node_fail(n, KP_ESHAPE, "a local convolution of an input of %d dimensions",
                            x->ndim);
    *out = (kp_value){.id = out->id,
                      .producer = out->producer,
                      .name = out->name,
                      .dtype = KP_FLOAT32,
                      .ndim = x->ndim};
    out->shape[0] = x->shape[0];
    for (int i = 0; i < p->n_spatial; i++) {
        if (p->size[i] < 1 || p->stride[i] < 1 || x->shape[i + 1] < p->size[i])
            return kp_node_fail(n, KP_ESHAPE, "a window of %lld does not fit in axis %d",
                                (long long)p->size[i], i + 1);
        out->shape[i + 1] = (x->shape[i + 1] - p->size[i]) / p->stride[i] + 1;
        if (__builtin_mul_overflow(places, out->shape[i + 1], &places) ||
            __builtin_mul_overflow(cells, p->size[i], &cells))
            return kp_node_fail(n, KP_ELIMIT, "a local convolution is too large");
    }
    int64_t in = x->shape[x->ndim - 1], rows;
    if (in < 1 || __builtin_mul_overflow(cells, in, &rows) || k->shape[0] != places ||
        k->shape[1] != rows)
        return kp_node_fail(n, KP_ESHAPE, "the kernel of %lld places and %lld rows does not fit",
                            (long long)k->shape[0], (long long)k->shape[1]);
    out->shape[x->ndim - 1] = k->shape[2];
    return 0;
}

/* One place: the sum over the window's cells and channels. */
static void run_place(const kp_local *p, const float *x, int64_t width, int64_t in,
                      const float *kernel, int64_t filters, float *y)
{
    int64_t rows = p->n_spatial == 2 ? p->size[0] : 1, cols = p->size[p->n_spatial - 1];
    for (int64_t f = 0; f < filters; f++) {
        double sum = 0;
        for (int64_t r = 0; r < rows; r++)
            for (int64_t c = 0; c < cols; c++)
                for (int64_t i = 0; i < in; i++) {
                    int64_t row =
                        p->channels_first ? (i * rows + r) * cols + c : (r * cols + c) * in + i;
                    sum += (double)x[(r * width + c) * in + i] * (double)kernel[row * filters + f];
                }
        y[f] = (float)sum;
    }
}

static int run(const void *params, const kp_tensor *in, int n_in, kp_tensor *out)
{
    const kp_local *p = params;
    const kp_tensor *x = &in[0], *k = &in[1];
    (void)n_in;
    int64_t height = p->n_spatial == 2 ? x->shape[1] : 1, width = x->shape[p->n_spatial];
    int64_t rows = p->n_spatial == 2 ? out->shape[1] : 1, cols = out->shape[p->n_spatial];
    int64_t down = p->n_spatial == 2 ? p->stride[0] : 1, right = p->stride[p->n_spatial - 1];
    int64_t channels = x->shape[x->ndim - 1], filters = k->shape[2];
    for (int64_t b = 0; b < x->shape[0]; b++)
        for (int64_t place = 0; place < rows * cols; place++) {
            int64_t at = (b * height + place / cols * down) * width + place % cols * right;
            run_place(p, (const float *)x->data + at * channels, width, channels,
                      (const float *)k->data + place * k->shape[1] * filters, filters,
                      (float *)out->data + (b * rows * cols + place) * filters);
        }
    return 0;
}

const kp_kernel_def kp_kernel_local = {"local_conv", infer, run};
