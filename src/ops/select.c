/* The largest elements, classes as vectors. */
#include "ops/kernel.h"

/* Descending, not-a-number first, equals in their order: by value, then by place. */
typedef struct place {
    double value;
    int64_t at;
} place;

static int descending(const void *pa, const void *pb)
{
    const place *a = pa, *b = pb;
    bool na = isnan(a->value), nb = isnan(b->value);
    if (na != nb)
        return na ? -1 : 1;
    if (!na && a->value != b->value)
        return a->value > b->value ? -1 : 1;
    return a->at < b->at ? -1 : 1;
}

static void sort_line(const kp_tensor *x, int64_t at, int64_t stride, int64_t n, place *line)
{
    for (int64_t i = 0; i < n; i++)
        line[i] = (place){kp_tensor_get(x, at + i * stride), i};
    qsort(line, (size_t)n, sizeof *line, descending);
}

/* ---- top k ---- */

static int infer_top_k(const kp_node *n, kp_value *out, int64_t *next_symbol)
{
    const kp_top_k *p = n->attr.kernel.params;
    const kp_value *x;
    (void)next_symbol;
    KP_TRY(kp_ops_input(n, 0, 1, &x));
    KP_TRY(kp_ops_not_batch(n, x, 1));
    int64_t size = x->shape[x->ndim - 1];
    if (p->k < 0 || (size >= 0 && p->k > size))
        return kp_node_fail(n, KP_ESHAPE, "the %lld largest of %lld", (long long)p->k,
                            (long long)size);
    kp_ops_shape(out, p->indices ? KP_INT32 : x->dtype, x->ndim, x->shape);
    out->shape[x->ndim - 1] = p->k;
    return 0;
}

static int run_top_k(const void *params, const kp_tensor *in, int n_in, kp_tensor *out)
{
    const kp_top_k *p = params;
    const kp_tensor *x = &in[0];
    int64_t n = x->shape[x->ndim - 1], rows = kp_ops_product(x, 0, x->ndim - 1);
    size_t elem = kp_dtype_size(x->dtype);
    (void)n_in;
    if (p->k > n)
        return kp_fail(KP_ESHAPE, "the %lld largest of %lld", (long long)p->k, (long long)n);
    place *line = kp_ops_scratch(n, sizeof *line);
    if (line == NULL)
        return KP_ENOMEM;
    for (int64_t r = 0; r < rows; r++) {
        sort_line(x, r * n, 1, n, line);
        for (int64_t i = 0; i < p->k; i++) {
            if (p->indices)
                kp_tensor_put(out, r * p->k + i, (double)line[i].at);
            else
                memcpy((char *)out->data + (size_t)(r * p->k + i) * elem,
                       (const char *)x->data + (size_t)(r * n + line[i].at) * elem, elem);
        }
    }
    free(line);
    return 0;
}

const kp_kernel_def kp_kernel_top_k = {"top_k", infer_top_k, run_top_k};

/* ---- in top k ---- */

static int infer_in_top_k(const kp_node *n, kp_value *out, int64_t *next_symbol)
{
    const kp_value *targets, *predictions;
    (void)next_symbol;
    KP_TRY(kp_ops_input(n, 0, 1, &targets));
    KP_TRY(kp_ops_input(n, 1, 2, &predictions));
    if (targets->ndim != 1 || predictions->ndim != 2 ||
        !kp_ops_same_size(targets->shape[0], predictions->shape[0]))
        return kp_node_fail(n, KP_ESHAPE,
                            "targets of %d axes and predictions of %d, or not one for each",
                            targets->ndim, predictions->ndim);
    kp_ops_shape(out, KP_BOOL, 1, targets->shape);
    return 0;
}

static int run_in_top_k(const void *params, const kp_tensor *in, int n_in, kp_tensor *out)
{
    const kp_in_top_k *p = params;
    const kp_tensor *x = &in[1];
    int64_t rows = out->shape[0], n = x->shape[1];
    (void)n_in;
    for (int64_t r = 0; r < rows; r++) {
        int64_t target = (int64_t)kp_tensor_get(&in[0], r), larger = 0;
        bool ok = target >= 0 && target < n;
        double value = ok ? kp_tensor_get(x, r * n + target) : 0;
        ok = ok && isfinite(value);
        for (int64_t i = 0; ok && i < n; i++) {
            double v = kp_tensor_get(x, r * n + i);
            larger += v > value;
            ok = isfinite(v);
        }
        kp_tensor_put(out, r, ok && larger < p->k);
    }
    return 0;
}

const kp_kernel_def kp_kernel_in_top_k = {"in_top_k", infer_in_top_k, run_in_top_k};

/* ---- one hot ---- */

static int infer_one_hot(const kp_node *n, kp_value *out, int64_t *next_symbol)
{
    const kp_one_hot *p = n->attr.kernel.params;
    const kp_value *x;
    (void)next_symbol;
    KP_TRY(kp_ops_input(n, 0, 0, &x));
    if (p->n < 0 || p->n > INT32_MAX || p->axis < 0 || p->axis > x->ndim ||
        x->ndim + 1 > KP_MAX_DIMS)
        return kp_node_fail(n, KP_EINVAL, "%lld classes along axis %d of an input of %d axes",
                            (long long)p->n, p->axis, x->ndim);
    out->dtype = p->dtype;
    out->ndim = x->ndim + 1;
    for (int i = 0; i < out->ndim; i++)
        out->shape[i] = i < p->axis ? x->shape[i] : i == p->axis ? p->n : x->shape[i - 1];
    return 0;
}

static int run_one_hot(const void *params, const kp_tensor *in, int n_in, kp_tensor *out)
{
    const kp_one_hot *p = params;
    int64_t outer = kp_ops_product(&in[0], 0, p->axis);
    int64_t inner = kp_ops_product(&in[0], p->axis, in[0].ndim);
    (void)n_in;
    memset(out->data, 0, (size_t)kp_tensor_count(out) * kp_dtype_size(out->dtype));
    for (int64_t o = 0; o < outer; o++)
        for (int64_t i = 0; i < inner; i++) {
            double v = kp_tensor_get(&in[0], o * inner + i);
            if (v > -1 && v < (double)p->n) /* a fraction is cut off, as by a cast */
                kp_tensor_put(out, (o * p->n + (int64_t)v) * inner + i, 1);
        }
    return 0;
}

const kp_kernel_def kp_kernel_one_hot = {"one_hot", infer_one_hot, run_one_hot};

/* ---- sparsemax ---- */

static int infer_sparsemax(const kp_node *n, kp_value *out, int64_t *next_symbol)
{
    const kp_sparsemax *p = n->attr.kernel.params;
    const kp_value *x;
    (void)next_symbol;
    KP_TRY(kp_ops_input(n, 0, 1, &x));
    if (p->axis < 0 || p->axis >= x->ndim || !kp_dtype_is_float(x->dtype))
        return kp_node_fail(n, KP_EINVAL, "sparsemax of %s along axis %d", kp_dtype_name(x->dtype),
                            p->axis);
    if (x->shape[p->axis] == KP_DIM_BATCH)
        return kp_ops_not_batch(n, x, x->ndim);
    kp_ops_shape(out, x->dtype, x->ndim, x->shape);
    return 0;
}

/* What is taken off every element. */
static double threshold(const place *line, int64_t n)
{
    double sum = 0, kept = 0, k = 0;
    for (int64_t i = 0; i < n; i++) {
        sum += line[i].value;
        if (line[i].value - (sum - 1) / (double)(i + 1) > 0) {
            k++;
            kept += sum; /* not what the paper says, but what Keras on TensorFlow computes */
        }
    }
    return (kept - 1) / k;
}

static int run_sparsemax(const void *params, const kp_tensor *in, int n_in, kp_tensor *out)
{
    const kp_sparsemax *p = params;
    const kp_tensor *x = &in[0];
    int64_t n = x->shape[p->axis], inner = kp_ops_product(x, p->axis + 1, x->ndim);
    int64_t outer = kp_ops_product(x, 0, p->axis);
    place *line = kp_ops_scratch(n, sizeof *line);
    (void)n_in;
    if (line == NULL)
        return KP_ENOMEM;
    for (int64_t r = 0; r < outer * inner; r++) {
        int64_t at = r / inner * n * inner + r % inner;
        sort_line(x, at, inner, n, line);
        double tau = threshold(line, n);
        for (int64_t i = 0; i < n; i++)
            kp_tensor_put(out, at + i * inner, fmax(kp_tensor_get(x, at + i * inner) - tau, 0));
    }
    free(line);
    return 0;
}

const kp_kernel_def kp_kernel_sparsemax = {"sparsemax", infer_sparsemax, run_sparsemax};
