/* Histograms, partitions, correlations. */
#include "ops/kernel.h"

static int vector(const kp_node *n, int i, const kp_value **out)
{
    KP_TRY(kp_ops_input(n, i, 1, out));
    KP_TRY(kp_ops_not_batch(n, *out, (*out)->ndim));
    return (*out)->ndim == 1 && (*out)->shape[0] > 0
               ? 0
               : kp_node_fail(n, KP_ESHAPE, "input %d is no vector of a known size", i);
}

/* ---- histograms ---- */

static int infer_edges(const kp_node *n, kp_value *out, int64_t *next_symbol)
{
    const kp_histogram *p = n->attr.kernel.params;
    const kp_value *x;
    (void)next_symbol;
    KP_TRY(vector(n, 0, &x));
    if (!p->given)
        if (!kp_dtype_is_float(x->dtype))
            return kp_node_fail(n, KP_EUNSUPPORTED, "bins between the extremes of integers");
    kp_ops_shape(out, x->dtype, 1, (int64_t[]){p->bins + 1});
    return 0;
}

/* In x's own arithmetic, as TensorFlow's linspace has it. */
static int run_edges(const void *params, const kp_tensor *in, int n_in, kp_tensor *out)
{
    const kp_histogram *p = params;
    double low = p->low, high = p->high;
    bool wide = out->dtype == KP_FLOAT64 && !p->given;
    (void)n_in;
    for (int64_t i = 0; !p->given && i < in[0].shape[0]; i++) {
        double v = kp_tensor_get(&in[0], i);
        low = i == 0 || v < low ? v : low;
        high = i == 0 || v > high ? v : high;
    }
    double step = (high - low) / (double)p->bins;
    float first = (float)low, narrow = ((float)high - first) / (float)p->bins;
    for (int64_t i = 0; i <= p->bins; i++) {
        double v = wide ? low + step * (double)i : (double)(first + narrow * (float)i);
        kp_tensor_put(out, i, i == p->bins ? high : v);
    }
    return 0;
}

const kp_kernel_def kp_kernel_edges = {"edges", infer_edges, run_edges};

static int infer_histogram(const kp_node *n, kp_value *out, int64_t *next_symbol)
{
    const kp_histogram *p = n->attr.kernel.params;
    const kp_value *x, *edges;
    (void)next_symbol;
    KP_TRY(vector(n, 0, &x));
    KP_TRY(vector(n, 1, &edges));
    if (edges->shape[0] != p->bins + 1)
        return kp_node_fail(n, KP_ESHAPE, "edges that do not fit the bins");
    kp_ops_shape(out, x->dtype, 1, &p->bins);
    return 0;
}

/* How many of the edges between the first and the last are <= v. */
static int64_t bin_of(const kp_tensor *edges, int64_t bins, double v)
{
    int64_t from = 1, to = bins;
    while (from < to) {
        int64_t middle = from + (to - from) / 2;
        if (kp_tensor_get(edges, middle) <= v)
            from = middle + 1;
        else
            to = middle;
    }
    return from - 1;
}

static int run_histogram(const void *params, const kp_tensor *in, int n_in, kp_tensor *out)
{
    const kp_histogram *p = params;
    (void)n_in;
    for (int64_t i = 0; i < p->bins; i++)
        kp_tensor_put(out, i, 0);
    for (int64_t i = 0; i < in[0].shape[0]; i++) {
        double v = kp_tensor_get(&in[0], i);
        if (isnan(v) || (p->given && (v < p->low || v > p->high)))
            continue;
        int64_t bin = bin_of(&in[1], p->bins, v);
        kp_tensor_put(out, bin, kp_tensor_get(out, bin) + 1);
    }
    return 0;
}

const kp_kernel_def kp_kernel_histogram = {"histogram", infer_histogram, run_histogram};

/* ---- partitions ---- */

static int infer_argpartition(const kp_node *n, kp_value *out, int64_t *next_symbol)
{
    const kp_value *x;
    (void)next_symbol;
    KP_TRY(kp_ops_input(n, 0, 1, &x));
    KP_TRY(kp_ops_not_batch(n, x, x->ndim));
    if (x->dtype != KP_INT32)
        return kp_node_fail(n, KP_EUNSUPPORTED, "a partition of %s", kp_dtype_name(x->dtype));
    kp_ops_shape(out, KP_INT32, x->ndim, x->shape);
    return 0;
}

/* Places of the `count` largest of sign * x, of equals the first ones. */
typedef struct ranked {
    int32_t value;
    int32_t at;
} ranked;

static int compare(const void *pa, const void *pb)
{
    const ranked *a = pa, *b = pb;
    if (a->value != b->value)
        return a->value > b->value ? -1 : 1;
    return a->at < b->at ? -1 : a->at > b->at;
}

static void largest(const int32_t *x, int64_t n, bool negative, int64_t count, ranked *line,
                    int32_t *out)
{
    for (int64_t i = 0; i < n; i++)
        line[i] = (ranked){negative ? (int32_t)(0u - (uint32_t)x[i]) : x[i], (int32_t)i};
    qsort(line, (size_t)n, sizeof *line, compare);
    for (int64_t i = 0; i < count; i++)
        out[i] = line[i].at;
}

/* Keras strikes out what the first half has picked by a mask that it adds up over the first axis,
 * so that its places are those of the second axis on, each one axis further to the left. */
static int strike_out(const kp_tensor *x, const int32_t *places, int64_t low, int32_t *rest)
{
    int64_t n = x->shape[x->ndim - 1], lines = kp_ops_product(x, 0, x->ndim - 1);
    int64_t shape[KP_MAX_DIMS];
    int last = x->ndim - 1;
    if (x->ndim == 1) {
        for (int64_t k = 0; k < low; k++)
            rest[places[k]] = 0;
        return 0;
    }
    for (int i = 0; i < last - 1; i++)
        shape[i] = x->shape[i + 1];
    shape[last - 1] = low;
    int64_t inner = lines / (x->shape[0] > 0 ? x->shape[0] : 1);
    for (int64_t line = 0; line < lines; line++)
        for (int64_t k = 0; k < low; k++) {
            int64_t at = (line % (inner > 0 ? inner : 1)) * low + k, left = at, flat = 0, unit = n;
            for (int i = last - 1; i >= 0; i--) {
                int64_t digit = left % shape[i];
                left /= shape[i];
                if (digit >= x->shape[i])
                    return kp_fail(KP_ESHAPE, "Keras itself cannot partition this shape");
                flat += digit * unit;
                unit *= x->shape[i];
            }
            rest[flat + places[line * n + k]] = 0;
        }
    return 0;
}

static int partition(const kp_tensor *x, int64_t low, ranked *line, int32_t *rest, int32_t *out)
{
    int64_t n = x->shape[x->ndim - 1], lines = kp_ops_product(x, 0, x->ndim - 1);
    const int32_t *from = x->data;
    for (int64_t i = 0; i < lines; i++)
        largest(from + i * n, n, true, low, line, out + i * n);
    memcpy(rest, from, (size_t)(lines * n) * sizeof *rest);
    KP_TRY(strike_out(x, out, low, rest));
    for (int64_t i = 0; i < lines; i++)
        largest(rest + i * n, n, false, n - low, line, out + i * n + low);
    return 0;
}

static int run_argpartition(const void *params, const kp_tensor *in, int n_in, kp_tensor *out)
{
    const kp_argpartition *p = params;
    int64_t n = in[0].shape[in[0].ndim - 1], low = p->k < n - 1 ? p->k + 1 : n;
    ranked *line = kp_ops_scratch(n, sizeof *line);
    int32_t *rest = kp_ops_scratch(kp_tensor_count(&in[0]), sizeof *rest);
    (void)n_in;
    int rc =
        line == NULL || rest == NULL ? KP_ENOMEM : partition(&in[0], low, line, rest, out->data);
    free(rest);
    free(line);
    return rc;
}

const kp_kernel_def kp_kernel_argpartition = {"argpartition", infer_argpartition, run_argpartition};

/* ---- correlations ---- */

static int infer_correlate(const kp_node *n, kp_value *out, int64_t *next_symbol)
{
    const kp_correlate *p = n->attr.kernel.params;
    const kp_value *a, *b;
    (void)next_symbol;
    KP_TRY(vector(n, 0, &a));
    KP_TRY(vector(n, 1, &b));
    if (a->dtype != b->dtype || p->length < 1)
        return kp_node_fail(n, KP_ESHAPE, "vectors that do not fit");
    kp_ops_shape(out, a->dtype, 1, &p->length);
    return 0;
}

static int run_correlate(const void *params, const kp_tensor *in, int n_in, kp_tensor *out)
{
    const kp_correlate *p = params;
    (void)n_in;
    for (int64_t i = 0; i < p->length; i++) {
        double sum = 0;
        for (int64_t j = 0; j < in[1].shape[0]; j++) {
            int64_t at = i - p->before + j;
            if (at >= 0 && at < in[0].shape[0])
                sum += kp_tensor_get(&in[0], at) * kp_tensor_get(&in[1], j);
        }
        kp_tensor_put(out, i, sum);
    }
    return 0;
}

const kp_kernel_def kp_kernel_correlate = {"correlate", infer_correlate, run_correlate};
