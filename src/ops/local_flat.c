/* Local convolutions whose kernel is the matrix from all of the input to all of the output. */
#include "ops/ops.h"

enum { AXIS_MAX = 1 << 16 }; /* the matrix grows with the square */

typedef struct extent {
    int64_t from, to;
} extent;

/* The cells along axis a that place sees: fewer than the window's at the rim if it is padded. */
static extent seen(const kp_local_flat *p, int a, int64_t place)
{
    int64_t left = p->size[a] / 2, at = place * p->stride[a] + (p->same ? 0 : left);
    extent e = {at - left, at - left + p->size[a]};
    e.from = e.from < 0 ? 0 : e.from;
    e.to = e.to > p->in[a] ? p->in[a] : e.to;
    return e;
}

static bool times(int64_t *n, int64_t by)
{
    return by > 0 && !__builtin_mul_overflow(*n, by, n);
}

bool kp_local_flat_size(kp_local_flat *p)
{
    int64_t cells = 1, in = p->channels, out = p->filters;
    if (p->n_spatial < 2)
        p->in[1] = p->out[1] = p->size[1] = p->stride[1] = 1;
    for (int a = 0; a < 2; a++) {
        int64_t sum = 0;
        if (p->size[a] < 1 || p->stride[a] < 1 || p->in[a] < 1 || p->in[a] > AXIS_MAX ||
            p->size[a] > AXIS_MAX || p->stride[a] > AXIS_MAX)
            return false;
        if (a < p->n_spatial)
            p->out[a] = p->same ? (p->in[a] + p->stride[a] - 1) / p->stride[a]
                                : (p->in[a] - p->size[a] + p->stride[a]) / p->stride[a];
        for (int64_t i = 0; i < p->out[a]; i++)
            sum += seen(p, a, i).to - seen(p, a, i).from;
        if (!times(&cells, sum) || !times(&in, p->in[a]) || !times(&out, p->out[a]))
            return false;
    }
    p->count = p->listed ? cells : in;
    return p->channels > 0 && p->filters > 0 &&
           (p->listed ? times(&p->count, p->channels) && times(&p->count, p->filters)
                      : times(&p->count, out));
}

static int infer(const kp_node *n, kp_value *out, int64_t *next_symbol)
{
    const kp_local_flat *p = n->attr.kernel.params;
    const kp_value *x = n->inputs[0], *k = n->inputs[1];
    (void)next_symbol;
    int first = p->channels_first ? 2 : 1, channel = p->channels_first ? 1 : x->ndim - 1;
    if (x->ndim != p->n_spatial + 2 || x->dtype != KP_FLOAT32 || k->dtype != KP_FLOAT32 ||
        k->ndim != 1 || k->shape[0] != p->count || x->shape[channel] != p->channels)
        return kp_node_fail(n, KP_ESHAPE, "the kernel does not fit the input");
    *out = (kp_value){.id = out->id,
                      .producer = out->producer,
                      .name = out->name,
                      .dtype = KP_FLOAT32,
                      .ndim = x->ndim};
    out->shape[0] = x->shape[0];
    out->shape[channel] = p->filters;
    for (int a = 0; a < p->n_spatial; a++) {
        if (x->shape[first + a] != p->in[a])
            return kp_node_fail(n, KP_ESHAPE, "the kernel does not fit the input");
        out->shape[first + a] = p->out[a];
    }
    return 0;
}

/* One number of one row; *at counts the kernel's numbers where it is a list. */
static float value_of(const kp_local_flat *p, const float *x, const float *kernel, int64_t n_out,
                      int64_t o, int64_t *at)
{
    int64_t places = p->out[0] * p->out[1];
    int64_t place = p->channels_first ? o % places : o / p->filters;
    extent r = seen(p, 0, place / p->out[1]), c = seen(p, 1, place % p->out[1]);
    int64_t outer = p->channels_first ? p->channels : 1;
    int64_t inner = p->channels_first ? 1 : p->channels;
    double sum = 0;
    for (int64_t i = 0; i < outer; i++)
        for (int64_t y = r.from; y < r.to; y++)
            for (int64_t z = c.from; z < c.to; z++)
                for (int64_t j = 0; j < inner; j++) {
                    int64_t cell = ((i * p->in[0] + y) * p->in[1] + z) * inner + j;
                    sum += (double)x[cell] * (double)kernel[p->listed ? (*at)++ : cell * n_out + o];
                }
    return (float)sum;
}

static int run(const void *params, const kp_tensor *in, int n_in, kp_tensor *out)
{
    const kp_local_flat *p = params;
    const float *x = in[0].data, *kernel = in[1].data;
    float *y = out->data;
    (void)n_in;
    int64_t n_in_row = p->in[0] * p->in[1] * p->channels;
    int64_t n_out = p->out[0] * p->out[1] * p->filters;
    for (int64_t b = 0; b < out->shape[0]; b++, x += n_in_row, y += n_out)
        for (int64_t o = 0, at = 0; o < n_out; o++)
            y[o] = value_of(p, x, kernel, n_out, o, &at);
    return 0;
}

const kp_kernel_def kp_kernel_local_flat = {"local_conv_flat", infer, run};
