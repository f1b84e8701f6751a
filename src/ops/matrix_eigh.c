/* Eigenvalues of symmetric matrices: Householder's reflections to three diagonals, then implicit QR
 * steps. The vectors' signs are free; these are the steps that Eigen takes (which TensorFlow uses),
 * with its thresholds of float32, so that the signs agree. */
#include "ops/matrix.h"

#include <float.h>

enum { STEPS_MAX = 30 }; /* per row */

/* The reflection that leaves only the first of x's n numbers (stride apart): x becomes beta and the
 * vector's rest. */
static double reflection(double *x, int64_t n, int64_t stride, double *beta)
{
    double first = x[0], tail = 0;
    for (int64_t i = 1; i < n; i++)
        tail += x[i * stride] * x[i * stride];
    *beta = first;
    for (int64_t i = 1; tail <= (double)FLT_MIN && i < n; i++)
        x[i * stride] = 0;
    if (tail <= (double)FLT_MIN)
        return 0;
    *beta = first >= 0 ? -sqrt(first * first + tail) : sqrt(first * first + tail);
    for (int64_t i = 1; i < n; i++)
        x[i * stride] /= first - *beta;
    return (*beta - first) / *beta;
}

/* a (lower triangle) becomes the vectors of the reflections; p: room for n numbers. */
static void to_three_diagonals(double *a, int64_t n, double *diag, double *sub, double *tau,
                               double *p)
{
    for (int64_t i = 0; i + 1 < n; i++) {
        int64_t m = n - i - 1;
        double *v = a + (i + 1) * n + i, *rest = a + (i + 1) * n + i + 1, dot = 0;
        tau[i] = reflection(v, m, n, &sub[i]);
        v[0] = 1;
        for (int64_t r = 0; r < m; r++) {
            p[r] = 0;
            for (int64_t c = 0; c < m; c++)
                p[r] += (c <= r ? rest[r * n + c] : rest[c * n + r]) * tau[i] * v[c * n];
        }
        for (int64_t r = 0; r < m; r++)
            dot += p[r] * v[r * n];
        for (int64_t r = 0; r < m; r++)
            p[r] -= 0.5 * tau[i] * dot * v[r * n];
        for (int64_t r = 0; r < m; r++)
            for (int64_t c = 0; c <= r; c++)
                rest[r * n + c] -= v[r * n] * p[c] + p[r] * v[c * n];
    }
    for (int64_t i = 0; i < n; i++)
        diag[i] = a[i * n + i];
}

/* q (n, n) from the reflections, the last one first. */
static void collect(const double *a, int64_t n, const double *tau, double *q)
{
    for (int64_t i = 0; i < n * n; i++)
        q[i] = i % (n + 1) == 0;
    for (int64_t i = n - 2; i >= 0; i--)
        for (int64_t c = 0; c < n; c++) {
            double dot = 0;
            for (int64_t r = i + 1; r < n; r++)
                dot += (r == i + 1 ? 1 : a[r * n + i]) * q[r * n + c];
            for (int64_t r = i + 1; r < n; r++)
                q[r * n + c] -= tau[i] * dot * (r == i + 1 ? 1 : a[r * n + i]);
        }
}

static void givens(double p, double q, double *c, double *s)
{
    if (q == 0) {
        *c = p < 0 ? -1 : 1;
        *s = 0;
    } else if (p == 0) {
        *c = 0;
        *s = q < 0 ? 1 : -1;
    } else if (fabs(p) > fabs(q)) {
        double t = q / p, u = copysign(sqrt(1 + t * t), p);
        *c = 1 / u;
        *s = -t * *c;
    } else {
        double t = p / q, u = copysign(sqrt(1 + t * t), q);
        *s = -1 / u;
        *c = -t * *s;
    }
}

static double shift_of(const double *diag, const double *sub, int64_t end)
{
    double td = (diag[end - 1] - diag[end]) * 0.5, e = sub[end - 1], h = hypot(td, e);
    if (td == 0)
        return diag[end] - fabs(e);
    return e == 0 ? diag[end] : diag[end] - e * e / (td + (td > 0 ? h : -h));
}

static void qr_step(double *diag, double *sub, int64_t start, int64_t end, double *q, int64_t n)
{
    double x = diag[start] - shift_of(diag, sub, end), z = sub[start], c, s;
    for (int64_t k = start; k < end && z != 0; k++) {
        givens(x, z, &c, &s);
        double sdk = s * diag[k] + c * sub[k], dkp = s * sub[k] + c * diag[k + 1];
        diag[k] = c * (c * diag[k] - s * sub[k]) - s * (c * sub[k] - s * diag[k + 1]);
        diag[k + 1] = s * sdk + c * dkp;
        sub[k] = c * sdk - s * dkp;
        if (k > start)
            sub[k - 1] = c * sub[k - 1] - s * z;
        x = sub[k];
        if (k + 1 < end) {
            z = -s * sub[k + 1];
            sub[k + 1] *= c;
        }
        for (int64_t r = 0; r < n; r++) {
            double u = q[r * n + k], v = q[r * n + k + 1];
            q[r * n + k] = c * u - s * v;
            q[r * n + k + 1] = s * u + c * v;
        }
    }
}

static void iterate(double *diag, double *sub, double *q, int64_t n)
{
    int64_t end = n - 1, start = 0;
    for (int64_t steps = 0; end > 0 && steps <= STEPS_MAX * n; steps++) {
        for (int64_t i = start; i < end; i++) {
            double scaled = sub[i] / (double)FLT_EPSILON;
            if (fabs(sub[i]) < (double)FLT_MIN ||
                scaled * scaled <= fabs(diag[i]) + fabs(diag[i + 1]))
                sub[i] = 0;
        }
        while (end > 0 && sub[end - 1] == 0)
            end--;
        if (end <= 0)
            return;
        start = end - 1;
        while (start > 0 && sub[start - 1] != 0)
            start--;
        qr_step(diag, sub, start, end, q, n);
    }
}

static void sort_ascending(double *values, double *q, int64_t n)
{
    for (int64_t i = 0; i < n; i++) {
        int64_t least = i;
        for (int64_t j = i + 1; j < n; j++)
            if (values[j] < values[least])
                least = j;
        for (int64_t r = 0; least != i && r < n; r++) {
            double t = q[r * n + i];
            q[r * n + i] = q[r * n + least];
            q[r * n + least] = t;
        }
        double t = values[i];
        values[i] = values[least];
        values[least] = t;
    }
}

int kp_mat_eigh(double *a, int64_t n, double *values)
{
    double *room = kp_ops_scratch(n * n + 3 * n, sizeof *room), scale = 0;
    if (room == NULL)
        return KP_ENOMEM;
    double *q = room, *sub = q + n * n, *tau = sub + n, *p = tau + n;
    for (int64_t r = 0; r < n; r++)
        for (int64_t c = 0; c <= r; c++)
            scale = fabs(a[r * n + c]) > scale ? fabs(a[r * n + c]) : scale;
    scale = scale == 0 ? 1 : scale;
    for (int64_t i = 0; i < n * n; i++)
        a[i] /= scale;
    to_three_diagonals(a, n, values, sub, tau, p);
    collect(a, n, tau, q);
    iterate(values, sub, q, n);
    sort_ascending(values, q, n);
    for (int64_t i = 0; i < n; i++)
        values[i] *= scale;
    if (n == 1)
        q[0] = 1;
    memcpy(a, q, (size_t)(n * n) * sizeof *a);
    free(room);
    return 0;
}
