/* Singular values by Jacobi's rotations: slow for large matrices, but accurate to the last digits
 * and short. */
#include "ops/matrix.h"

enum { SWEEPS_MAX = 60 };

/* The rotation that makes a symmetric 2 x 2 matrix [p, q; q, r] diagonal. */
static void rotation(double p, double q, double r, double *c, double *s)
{
    double theta = (r - p) / (2 * q);
    double t = (theta >= 0 ? 1 : -1) / (fabs(theta) + sqrt(theta * theta + 1));
    *c = 1 / sqrt(t * t + 1);
    *s = t * *c;
}

static void rotate_columns(double *a, int64_t rows, int64_t n, int64_t i, int64_t j, double c,
                           double s)
{
    for (int64_t k = 0; k < rows; k++) {
        double x = a[k * n + i], y = a[k * n + j];
        a[k * n + i] = c * x - s * y;
        a[k * n + j] = s * x + c * y;
    }
}

static void swap_columns(double *a, int64_t rows, int64_t n, int64_t i, int64_t j)
{
    for (int64_t k = 0; i != j && k < rows; k++) {
        double t = a[k * n + i];
        a[k * n + i] = a[k * n + j];
        a[k * n + j] = t;
    }
}

/* Turns the columns of w (m, n) until they are orthogonal; v (n, n) turns with them. */
static void orthogonalise(double *w, int64_t m, int64_t n, double *v)
{
    bool turned = true;
    for (int sweep = 0; turned && sweep < SWEEPS_MAX; sweep++) {
        turned = false;
        for (int64_t i = 0; i < n; i++)
            for (int64_t j = i + 1; j < n; j++) {
                double p = 0, q = 0, r = 0, c, s;
                for (int64_t k = 0; k < m; k++) {
                    p += w[k * n + i] * w[k * n + i];
                    q += w[k * n + i] * w[k * n + j];
                    r += w[k * n + j] * w[k * n + j];
                }
                if (!(fabs(q) > 1e-15 * sqrt(p * r)))
                    continue;
                rotation(p, q, r, &c, &s);
                rotate_columns(w, m, n, i, j, c, s);
                rotate_columns(v, n, n, i, j, c, s);
                turned = true;
            }
    }
}

/* The columns from..m-1 of u (m, m) become unit vectors at right angles to those before. */
static void complete(double *u, int64_t m, int64_t from)
{
    for (int64_t c = from, axis = 0; c < m && axis < m + m; axis++) {
        for (int64_t k = 0; k < m; k++)
            u[k * m + c] = k == axis % m;
        for (int twice = 0; twice < 2; twice++)
            for (int64_t b = 0; b < c; b++) {
                double dot = 0;
                for (int64_t k = 0; k < m; k++)
                    dot += u[k * m + b] * u[k * m + c];
                for (int64_t k = 0; k < m; k++)
                    u[k * m + c] -= dot * u[k * m + b];
            }
        double length = 0;
        for (int64_t k = 0; k < m; k++)
            length += u[k * m + c] * u[k * m + c];
        if (length < 0.25 / (double)m) /* nearly within the span of the others: try another axis */
            continue;
        for (int64_t k = 0; k < m; k++)
            u[k * m + c] /= sqrt(length);
        c++;
    }
}

/* For m >= n; w (m, n) holds the matrix and is destroyed. */
static void svd_tall(double *w, int64_t m, int64_t n, double *u, double *s, double *v)
{
    for (int64_t i = 0; i < n * n; i++)
        v[i] = i % (n + 1) == 0;
    orthogonalise(w, m, n, v);
    for (int64_t i = 0; i < n; i++) {
        s[i] = 0;
        for (int64_t k = 0; k < m; k++)
            s[i] += w[k * n + i] * w[k * n + i];
        s[i] = sqrt(s[i]);
    }
    for (int64_t i = 0; i < n; i++) {
        int64_t most = i;
        for (int64_t j = i + 1; j < n; j++)
            if (s[j] > s[most])
                most = j;
        double t = s[i];
        s[i] = s[most];
        s[most] = t;
        swap_columns(w, m, n, i, most);
        swap_columns(v, n, n, i, most);
    }
    int64_t rank = 0;
    while (rank < n && s[rank] > s[0] * 1e-15)
        rank++;
    for (int64_t i = 0; i < rank; i++)
        for (int64_t k = 0; k < m; k++)
            u[k * m + i] = w[k * n + i] / s[i];
    complete(u, m, rank);
}

int kp_mat_svd(const double *a, int64_t m, int64_t n, double *u, double *s, double *v)
{
    double *w = kp_ops_scratch(m * n, sizeof *w);
    if (w == NULL)
        return KP_ENOMEM;
    if (m >= n) {
        memcpy(w, a, (size_t)(m * n) * sizeof *w);
        svd_tall(w, m, n, u, s, v);
    } else {
        for (int64_t r = 0; r < m; r++)
            for (int64_t c = 0; c < n; c++)
                w[c * m + r] = a[r * n + c];
        svd_tall(w, n, m, v, s, u);
    }
    free(w);
    return 0;
}
