/* Lengths of vectors and matrices. */
#include "ops/kernel.h"

static int infer(const kp_node *n, kp_value *out, int64_t *next_symbol)
{
    const kp_norm_params *p = n->attr.kernel.params;
    const kp_value *x;
    (void)next_symbol;
    KP_TRY(kp_ops_input(n, 0, p->n_axes, &x));
    KP_TRY(kp_ops_not_batch(n, x, p->n_axes));
    if (!kp_dtype_is_float(x->dtype))
        return kp_node_fail(n, KP_EUNSUPPORTED, "a norm of type %s", kp_dtype_name(x->dtype));
    kp_ops_shape(out, x->dtype, x->ndim - p->n_axes, x->shape);
    return 0;
}

static double of_all(const kp_norm_params *p, const double *x, int64_t n)
{
    double sum = 0, most = 0, least = (double)INFINITY;
    for (int64_t i = 0; i < n; i++) {
        double v = fabs(x[i]);
        sum += p->kind == KP_NORM_COUNT ? v != 0 : p->order == 2 ? v * v : pow(v, p->order);
        most = v > most || isnan(v) ? v : most;
        least = v < least || isnan(v) ? v : least;
    }
    return p->kind == KP_NORM_MAX     ? most
           : p->kind == KP_NORM_MIN   ? least
           : p->kind == KP_NORM_COUNT ? sum
           : p->order == 2            ? sqrt(sum)
                                      : pow(sum, 1 / p->order);
}

static double of_sums(const kp_norm_params *p, const double *x, int64_t m, int64_t n)
{
    bool rows = p->kind == KP_NORM_ROWS_MAX || p->kind == KP_NORM_ROWS_MIN;
    bool largest = p->kind == KP_NORM_ROWS_MAX || p->kind == KP_NORM_COLUMNS_MAX;
    double best = largest ? 0 : (double)INFINITY;
    for (int64_t i = 0; i < (rows ? m : n); i++) {
        double sum = 0;
        for (int64_t k = 0; k < (rows ? n : m); k++)
            sum += fabs(rows ? x[i * n + k] : x[k * n + i]);
        best = isnan(sum) || (largest ? sum > best : sum < best) ? sum : best;
    }
    return best;
}

static int run(const void *params, const kp_tensor *in, int n_in, kp_tensor *out)
{
    const kp_norm_params *p = params;
    const kp_tensor *x = &in[0];
    int64_t n = x->shape[x->ndim - 1], m = p->n_axes == 2 ? x->shape[x->ndim - 2] : 1;
    int64_t count = kp_tensor_count(out);
    double *v = kp_ops_scratch(m * n, sizeof *v);
    (void)n_in;
    if (v == NULL)
        return KP_ENOMEM;
    for (int64_t i = 0; i < count; i++) {
        kp_ops_load(x, i * m * n, 1, m * n, v);
        kp_tensor_put(out, i, p->kind <= KP_NORM_COUNT ? of_all(p, v, m * n) : of_sums(p, v, m, n));
    }
    free(v);
    return 0;
}

const kp_kernel_def kp_kernel_norm = {"norm", infer, run};
