/* Elements by size: sorting, quantiles, searching, counting. */
#include "ops/kernel.h"

/* ---- sorting ---- */

typedef struct item {
    double real;
    int64_t whole; /* of integers; those of uint64 moved down by 2^63 */
    int32_t place;
} item;

static int compare(const void *a, const void *b)
{
    const item *x = a, *y = b;
    bool nan_x = isnan(x->real), nan_y = isnan(y->real);
    if (nan_x != nan_y)
        return nan_x ? 1 : -1;
    if (!nan_x && x->real != y->real)
        return x->real < y->real ? -1 : 1;
    if (x->whole != y->whole)
        return x->whole < y->whole ? -1 : 1;
    return x->place < y->place ? -1 : 1;
}

static int infer_sort(const kp_node *n, kp_value *out, int64_t *next_symbol)
{
    const kp_sort *p = n->attr.kernel.params;
    const kp_value *x;
    (void)next_symbol;
    KP_TRY(kp_ops_input(n, 0, 1, &x));
    if (p->axis < 0 || p->axis >= x->ndim || x->shape[p->axis] > INT32_MAX)
        return kp_node_fail(n, KP_EINVAL, "sorting axis %d", p->axis);
    if (x->shape[p->axis] == KP_DIM_BATCH)
        return kp_node_fail(n, KP_EUNSUPPORTED,
                            "it sorts the rows of the batch, but rows are predicted apart from "
                            "each other");
    kp_ops_shape(out, p->places ? KP_INT32 : x->dtype, x->ndim, x->shape);
    return 0;
}

static void load_items(const kp_tensor *x, int64_t at, int64_t stride, int64_t n, item *items)
{
    bool whole = kp_dtype_is_integer(x->dtype);
    uint64_t flip = x->dtype == KP_UINT64 ? (uint64_t)1 << 63 : 0;
    for (int64_t i = 0; i < n; i++) {
        items[i] = (item){.place = (int32_t)i};
        if (whole)
            items[i].whole = (int64_t)((uint64_t)kp_tensor_get_int(x, at + i * stride) ^ flip);
        else
            items[i].real = kp_tensor_get(x, at + i * stride);
    }
}

static int run_sort(const void *params, const kp_tensor *in, int n_in, kp_tensor *out)
{
    (void)n_in;
    const kp_sort *p = params;
    int64_t n = out->shape[p->axis], inner = kp_ops_product(out, p->axis + 1, out->ndim);
    int64_t count = kp_tensor_count(out);
    size_t elem = kp_dtype_size(in[0].dtype);
    item *items = kp_ops_scratch(n, sizeof *items);
    if (items == NULL)
        return KP_ENOMEM;
    for (int64_t i = 0; i < count / (n > 0 ? n : 1); i++) {
        int64_t at = i / inner * inner * n + i % inner;
        load_items(&in[0], at, inner, n, items);
        qsort(items, (size_t)n, sizeof *items, compare);
        for (int64_t k = 0; k < n; k++) {
            size_t to = (size_t)(at + k * inner), from = (size_t)(at + items[k].place * inner);
            if (p->places)
                ((int32_t *)out->data)[to] = items[k].place;
            else
                memcpy((char *)out->data + to * elem, (const char *)in[0].data + from * elem, elem);
        }
    }
    free(items);
    return 0;
}

const kp_kernel_def kp_kernel_sort = {"sort", infer_sort, run_sort};

/* ---- quantiles ---- */

static int infer_quantile(const kp_node *n, kp_value *out, int64_t *next_symbol)
{
    const kp_quantile *p = n->attr.kernel.params;
    const kp_value *x;
    int a = 0;
    (void)next_symbol;
    KP_TRY(kp_ops_input(n, 0, 1, &x));
    if (!kp_dtype_is_float(x->dtype) || !(p->q >= 0 && p->q <= 1))
        return kp_node_fail(n, KP_EUNSUPPORTED, "the quantile %g of type %s", p->q,
                            kp_dtype_name(x->dtype));
    out->dtype = x->dtype;
    out->ndim = 0;
    for (int i = 0; i < x->ndim; i++) {
        bool reduced = a < p->axes.n && p->axes.axis[a] == i;
        a += reduced;
        if (reduced && (x->shape[i] == KP_DIM_BATCH || x->shape[i] == 0))
            return kp_node_fail(n, KP_EUNSUPPORTED, "a quantile of %s along axis %d",
                                x->shape[i] == 0 ? "nothing" : "the batch", i);
        if (!reduced || p->keepdims)
            out->shape[out->ndim++] = reduced ? 1 : x->shape[i];
    }
    return 0;
}

static int compare_reals(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return x < y ? -1 : x > y;
}

static double between(const double *v, int64_t n, const kp_quantile *p)
{
    double exact = (double)(n - 1) * p->q;
    int64_t low = (int64_t)floor(exact), high = (int64_t)ceil(exact);
    high = high > n - 1 ? n - 1 : high;
    switch (p->method) {
    case KP_QUANTILE_LOWER:
        return v[low];
    case KP_QUANTILE_HIGHER:
        return v[high];
    case KP_QUANTILE_NEAREST:
        return v[(int64_t)rint(exact)];
    case KP_QUANTILE_MIDPOINT:
        return 0.5 * (v[low] + v[high]);
    default:
        low = high > 0 ? high - 1 : 0;
        high = low + 1 < n ? low + 1 : n - 1;
        double part = (double)high - exact;
        return v[high] * (1 - part) + v[low] * part;
    }
}

/* Sorts the n values; NaN by the rule. */
static double quantile_of(double *v, int64_t n, const kp_quantile *p)
{
    int64_t good = 0;
    for (int64_t i = 0; i < n; i++)
        if (!isnan(v[i]))
            v[good++] = v[i];
    if (good == 0 || (good < n && !p->skip_nan))
        return (double)NAN;
    qsort(v, (size_t)good, sizeof *v, compare_reals);
    return between(v, good, p);
}

static int run_quantile(const void *params, const kp_tensor *in, int n_in, kp_tensor *out)
{
    (void)n_in;
    const kp_quantile *p = params;
    const kp_tensor *x = &in[0];
    int64_t groups = kp_tensor_count(out), size = 1, stride[KP_MAX_DIMS], s = 1;
    for (int i = 0; i < p->axes.n; i++)
        size *= x->shape[p->axes.axis[i]];
    for (int i = x->ndim - 1, a = p->axes.n - 1; i >= 0; i--) {
        bool reduced = a >= 0 && p->axes.axis[a] == i;
        stride[i] = reduced ? 0 : s;
        s *= reduced ? 1 : x->shape[i];
        a -= reduced;
    }
    double *v = kp_ops_scratch(groups * size, sizeof *v);
    int64_t *seen = kp_ops_scratch(groups, sizeof *seen), count = kp_tensor_count(x);
    kp_walk w;
    kp_walk_init(&w, x->shape, stride, x->ndim);
    for (int64_t i = 0; v != NULL && seen != NULL && i < count; i++) {
        v[w.index * size + seen[w.index]++] = kp_tensor_get(x, i);
        kp_walk_next(&w);
    }
    for (int64_t g = 0; v != NULL && seen != NULL && g < groups; g++)
        kp_tensor_put(out, g, quantile_of(v + g * size, size, p));
    int status = v != NULL && seen != NULL ? 0 : KP_ENOMEM;
    free(v);
    free(seen);
    return status;
}

const kp_kernel_def kp_kernel_quantile = {"quantile", infer_quantile, run_quantile};

/* ---- searching ---- */

static int infer_search(const kp_node *n, kp_value *out, int64_t *next_symbol)
{
    const kp_value *limits, *x;
    (void)next_symbol;
    KP_TRY(kp_ops_input(n, 0, 1, &limits));
    KP_TRY(kp_ops_input(n, 1, 0, &x));
    if (limits->ndim != 1 || limits->shape[0] > INT32_MAX)
        return kp_node_fail(n, KP_ESHAPE, "the limits have %d axes", limits->ndim);
    KP_TRY(kp_ops_not_batch(n, limits, 1));
    kp_ops_shape(out, KP_INT32, x->ndim, x->shape);
    return 0;
}

static int run_search(const void *params, const kp_tensor *in, int n_in, kp_tensor *out)
{
    (void)n_in;
    const kp_search *p = params;
    int64_t count = kp_tensor_count(out);
    for (int64_t i = 0; i < count; i++) {
        double v = kp_tensor_get(&in[1], i);
        int64_t low = 0, high = in[0].shape[0];
        while (low < high) {
            int64_t middle = (low + high) / 2;
            double limit = kp_tensor_get(&in[0], middle);
            bool before = p->right ? !(v < limit) : limit < v;
            if (before)
                low = middle + 1;
            else
                high = middle;
        }
        ((int32_t *)out->data)[i] = (int32_t)low;
    }
    return 0;
}

const kp_kernel_def kp_kernel_search = {"search", infer_search, run_search};

/* ---- counting ---- */

static int infer_bincount(const kp_node *n, kp_value *out, int64_t *next_symbol)
{
    const kp_bincount *p = n->attr.kernel.params;
    const kp_value *x;
    (void)next_symbol;
    KP_TRY(kp_ops_input(n, 0, 1, &x));
    KP_TRY(kp_ops_not_batch(n, x, 1));
    if (!kp_dtype_is_integer(x->dtype) || p->width < 1 || p->width > INT32_MAX)
        return kp_node_fail(n, KP_EINVAL, "%lld counts of type %s", (long long)p->width,
                            kp_dtype_name(x->dtype));
    kp_ops_shape(out, KP_INT32, x->ndim, x->shape);
    out->shape[x->ndim - 1] = p->width;
    return 0;
}

static int run_bincount(const void *params, const kp_tensor *in, int n_in, kp_tensor *out)
{
    (void)n_in;
    const kp_bincount *p = params;
    int64_t n = in[0].shape[in[0].ndim - 1], count = kp_tensor_count(&in[0]);
    int32_t *counts = out->data;
    memset(counts, 0, (size_t)kp_tensor_count(out) * sizeof *counts);
    for (int64_t i = 0; i < count; i++) {
        int64_t v = kp_tensor_get_int(&in[0], i);
        if (v < 0 || v >= p->width)
            return kp_fail(KP_EINVAL,
                           "bincount of %lld: only 0 to %lld have a place, because the width of "
                           "the result may not depend on other rows",
                           (long long)v, (long long)p->width - 1);
        counts[i / n * p->width + v]++;
    }
    return 0;
}

const kp_kernel_def kp_kernel_bincount = {.name = "bincount",
                                          .infer = infer_bincount,
                                          .run = run_bincount,
                                          .may_refuse = kp_kernel_may_refuse};
