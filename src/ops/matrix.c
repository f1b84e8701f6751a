/* Triangular decompositions, and what is solved with them. */
#include "ops/matrix.h"

static void swap_rows(double *a, int64_t n, int64_t i, int64_t j)
{
    for (int64_t k = 0; k < n; k++) {
        double t = a[i * n + k];
        a[i * n + k] = a[j * n + k];
        a[j * n + k] = t;
    }
}

bool kp_mat_lu(double *a, int64_t n, int64_t *perm, int64_t *pivots, int *sign)
{
    bool regular = true;
    *sign = 1;
    for (int64_t i = 0; i < n; i++)
        perm[i] = i;
    for (int64_t c = 0; c < n; c++) {
        int64_t pivot = c;
        for (int64_t r = c + 1; r < n; r++)
            if (fabs(a[r * n + c]) > fabs(a[pivot * n + c]))
                pivot = r;
        pivots[c] = pivot;
        if (pivot != c) {
            int64_t t = perm[c];
            swap_rows(a, n, c, pivot);
            perm[c] = perm[pivot];
            perm[pivot] = t;
            *sign = -*sign;
        }
        if (a[c * n + c] == 0) {
            regular = false;
            continue;
        }
        for (int64_t r = c + 1; r < n; r++) {
            double f = a[r * n + c] /= a[c * n + c];
            for (int64_t k = c + 1; k < n; k++)
                a[r * n + k] -= f * a[c * n + k];
        }
    }
    return regular;
}

void kp_mat_lu_solve(const double *lu, int64_t n, double *x, int64_t k)
{
    for (int64_t r = 0; r < n; r++)
        for (int64_t c = 0; c < r; c++)
            for (int64_t i = 0; i < k; i++)
                x[r * k + i] -= lu[r * n + c] * x[c * k + i];
    kp_mat_triangular_solve(lu, n, false, x, k);
}

void kp_mat_triangular_solve(const double *a, int64_t n, bool lower, double *x, int64_t k)
{
    for (int64_t step = 0; step < n; step++) {
        int64_t r = lower ? step : n - 1 - step;
        for (int64_t c = lower ? 0 : r + 1; c < (lower ? r : n); c++)
            for (int64_t i = 0; i < k; i++)
                x[r * k + i] -= a[r * n + c] * x[c * k + i];
        for (int64_t i = 0; i < k; i++)
            x[r * k + i] /= a[r * n + r];
    }
}

bool kp_mat_cholesky(double *a, int64_t n)
{
    for (int64_t r = 0; r < n; r++)
        for (int64_t c = 0; c < n; c++) {
            double sum = a[r * n + c];
            for (int64_t k = 0; k < (c < r ? c : r); k++)
                sum -= a[r * n + k] * a[c * n + k];
            if (c > r)
                a[r * n + c] = 0;
            else if (c < r)
                a[r * n + c] = sum / a[c * n + c];
            else if (sum > 0)
                a[r * n + c] = sqrt(sum);
            else
                return false;
        }
    return true;
}

/* x - tau v (v' x) of the columns from..n-1 of the rows from `row` on; v[0] is 1. */
static void reflect(double *a, int64_t n, int64_t row, int64_t rows, int64_t from, const double *v,
                    double tau)
{
    for (int64_t c = from; c < n; c++) {
        double dot = 0;
        for (int64_t r = 0; r < rows; r++)
            dot += v[r] * a[(row + r) * n + c];
        for (int64_t r = 0; r < rows; r++)
            a[(row + r) * n + c] -= tau * dot * v[r];
    }
}

double kp_mat_reflect(double *a, int64_t m, int64_t n, int64_t k, double *v)
{
    double first = a[k * n + k], tail = 0;
    v[0] = 1;
    for (int64_t r = k + 1; r < m; r++)
        tail += a[r * n + k] * a[r * n + k];
    if (tail == 0) /* the column is as it should be, whatever its sign */
        return 0;
    double beta = first >= 0 ? -sqrt(first * first + tail) : sqrt(first * first + tail);
    double tau = (beta - first) / beta;
    for (int64_t r = k + 1; r < m; r++)
        v[r - k] = a[r * n + k] / (first - beta);
    reflect(a, n, k, m - k, k, v, tau);
    for (int64_t r = k + 1; r < m; r++)
        a[r * n + k] = 0;
    return tau;
}

void kp_mat_unreflect(const double *v, const double *tau, int64_t m, int64_t steps, double *q)
{
    for (int64_t i = 0; i < m * m; i++)
        q[i] = i % (m + 1) == 0;
    for (int64_t k = steps - 1; k >= 0; k--)
        reflect(q, m, k, m - k, 0, v + k * m, tau[k]);
}

int kp_mat_qr(double *a, int64_t m, int64_t n, double *q)
{
    int64_t steps = m < n ? m : n;
    double *v = kp_ops_scratch(m * steps + steps, sizeof *v);
    if (v == NULL)
        return KP_ENOMEM;
    double *tau = v + m * steps;
    for (int64_t k = 0; k < steps; k++)
        tau[k] = kp_mat_reflect(a, m, n, k, v + k * m);
    kp_mat_unreflect(v, tau, m, steps, q);
    free(v);
    return 0;
}
