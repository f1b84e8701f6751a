/* Singular values by two-sided Jacobi rotations, of a matrix that is not square after a QR with
 * pivoting. The vectors' signs are free; these are the steps that Eigen takes (which TensorFlow
 * uses for fewer than 16 columns), with its thresholds of float32, so that the signs agree. */
#include "ops/matrix.h"

#include <float.h>

enum { SWEEPS_MAX = 60 };

typedef struct turn {
    double c, s;
} turn;

/* Rows i, j of a: x' = c x + s y, y' = c y - s x. */
static void turn_rows(double *a, int64_t columns, int64_t i, int64_t j, turn t)
{
    for (int64_t k = 0; k < columns; k++) {
        double x = a[i * columns + k], y = a[j * columns + k];
        a[i * columns + k] = t.c * x + t.s * y;
        a[j * columns + k] = t.c * y - t.s * x;
    }
}

/* Columns i, j: x' = c x - s y, y' = s x + c y. */
static void turn_columns(double *a, int64_t rows, int64_t columns, int64_t i, int64_t j, turn t)
{
    for (int64_t k = 0; k < rows; k++) {
        double x = a[k * columns + i], y = a[k * columns + j];
        a[k * columns + i] = t.c * x - t.s * y;
        a[k * columns + j] = t.s * x + t.c * y;
    }
}

static void swap_columns(double *a, int64_t rows, int64_t columns, int64_t i, int64_t j)
{
    for (int64_t k = 0; i != j && k < rows; k++) {
        double x = a[k * columns + i];
        a[k * columns + i] = a[k * columns + j];
        a[k * columns + j] = x;
    }
}

/* The turn that makes the symmetric [x, y; y, z] diagonal. */
static turn jacobi(double x, double y, double z)
{
    double twice = 2 * fabs(y);
    if (twice < (double)FLT_MIN)
        return (turn){1, 0};
    double tau = (x - z) / twice, w = sqrt(tau * tau + 1);
    double t = tau > 0 ? 1 / (tau + w) : 1 / (tau - w), n = 1 / sqrt(t * t + 1);
    return (turn){n, (t > 0 ? -1 : 1) * copysign(1, y) * fabs(t) * n};
}

/* Left and right turns that make rows and columns p, q of a (k, k) diagonal. */
static void two_by_two(const double *a, int64_t k, int64_t p, int64_t q, turn *left, turn *right)
{
    double m[4] = {a[p * k + p], a[p * k + q], a[q * k + p], a[q * k + q]};
    double t = m[0] + m[3], d = m[2] - m[1];
    turn first = {1, 0};
    if (fabs(d) >= (double)FLT_MIN) {
        double u = t / d, length = sqrt(1 + u * u);
        first = (turn){u / length, 1 / length};
    }
    turn_rows(m, 2, 0, 1, first);
    *right = jacobi(m[0], m[1], m[3]);
    turn back = {right->c, -right->s};
    *left = (turn){first.c * back.c - first.s * back.s, first.c * back.s + first.s * back.c};
}

/* a (k, k) becomes diagonal; u (m, m) and v (n, n) turn with it. */
static void sweep(double *a, int64_t k, double *u, int64_t m, double *v, int64_t n)
{
    double largest = 0;
    bool done = false;
    for (int64_t i = 0; i < k; i++)
        largest = fmax(largest, fabs(a[i * (k + 1)]));
    for (int sweeps = 0; !done && sweeps < SWEEPS_MAX; sweeps++) {
        done = true;
        for (int64_t p = 1; p < k; p++)
            for (int64_t q = 0; q < p; q++) {
                double least = fmax((double)FLT_MIN, 2 * (double)FLT_EPSILON * largest);
                /* Smaller rests are turned away too: they do not change signs, but digits. */
                least = sweeps < 2 ? least : 1e-15 * largest;
                turn left, right;
                if (!(fabs(a[p * k + q]) > least || fabs(a[q * k + p]) > least))
                    continue;
                done = false;
                two_by_two(a, k, p, q, &left, &right);
                turn_rows(a, k, p, q, left);
                turn_columns(u, m, m, p, q, (turn){left.c, -left.s});
                turn_columns(a, k, k, p, q, right);
                turn_columns(v, n, n, p, q, right);
                largest = fmax(largest, fmax(fabs(a[p * (k + 1)]), fabs(a[q * (k + 1)])));
            }
    }
}

/* w (m, n), m >= n, becomes R of its columns in the order perm, the longest rest first. q (m, m).
 */
static int qr_pivoted(double *w, int64_t m, int64_t n, double *q, int64_t *perm)
{
    double *v = kp_ops_scratch(m * n + n, sizeof *v);
    if (v == NULL)
        return KP_ENOMEM;
    double *tau = v + m * n;
    for (int64_t i = 0; i < n; i++)
        perm[i] = i;
    for (int64_t k = 0; k < n; k++) {
        int64_t longest = k;
        double most = -1;
        for (int64_t c = k; c < n; c++) {
            double length = 0;
            for (int64_t r = k; r < m; r++)
                length += w[r * n + c] * w[r * n + c];
            /* Equal up to float32's rounding: the first one. */
            if (length > most * (1 + 1e-6)) {
                most = length;
                longest = c;
            }
        }
        swap_columns(w, m, n, k, longest);
        int64_t t = perm[k];
        perm[k] = perm[longest];
        perm[longest] = t;
        tau[k] = kp_mat_reflect(w, m, n, k, v + k * m);
    }
    kp_mat_unreflect(v, tau, m, n, q);
    free(v);
    return 0;
}

/* Descending; both sets of vectors go along. */
static void sort_descending(double *s, int64_t k, double *u, int64_t m, double *v, int64_t n)
{
    for (int64_t i = 0; i < k; i++) {
        int64_t most = i;
        for (int64_t j = i + 1; j < k; j++)
            if (s[j] > s[most])
                most = j;
        double t = s[i];
        s[i] = s[most];
        s[most] = t;
        swap_columns(u, m, m, i, most);
        swap_columns(v, n, n, i, most);
    }
}

/* For m >= n, a scaled: the square part into w (n, n), what comes before it into u and v. `tall` is
 * false for the transposed problem: w is transposed too. */
static int to_square(double *a, int64_t m, int64_t n, double *u, double *v, double *w, bool tall)
{
    int64_t *perm = kp_ops_scratch(n, sizeof *perm);
    if (perm == NULL)
        return KP_ENOMEM;
    int status = qr_pivoted(a, m, n, u, perm);
    for (int64_t r = 0; status == 0 && r < n; r++) {
        for (int64_t c = 0; c < n; c++) {
            w[tall ? r * n + c : c * n + r] = c >= r ? a[r * n + c] : 0;
            v[r * n + c] = perm[c] == r;
        }
    }
    free(perm);
    return status;
}

int kp_mat_svd(const double *a, int64_t m, int64_t n, double *u, double *s, double *v)
{
    int64_t k = m < n ? m : n;
    double scale = 0, *copy = kp_ops_scratch(m * n + k * k, sizeof *copy), *w = copy;
    int status = 0;
    if (copy == NULL)
        return KP_ENOMEM;
    for (int64_t i = 0; i < m * n; i++)
        scale = fmax(scale, fabs(a[i]));
    scale = scale == 0 ? 1 : scale;
    for (int64_t i = 0; i < m * n; i++)
        copy[m >= n ? i : i % n * m + i / n] = a[i] / scale;
    if (m != n) {
        w = copy + m * n;
        status =
            m > n ? to_square(copy, m, n, u, v, w, true) : to_square(copy, n, m, v, u, w, false);
    } else {
        for (int64_t i = 0; i < n * n; i++)
            u[i] = v[i] = i % (n + 1) == 0;
    }
    if (status == 0)
        sweep(w, k, u, m, v, n);
    for (int64_t i = 0; status == 0 && i < k; i++) {
        double d = w[i * (k + 1)];
        s[i] = fabs(d) * scale;
        for (int64_t r = 0; d < 0 && r < m; r++)
            u[r * m + i] = -u[r * m + i];
    }
    if (status == 0)
        sort_descending(s, k, u, m, v, n);
    free(copy);
    return status;
}
