/* Products of matrices with NumPy's broadcasting of the leading axes. */
#include "backend/ref/ref_int.h"

enum { COLUMNS = 64 };

/* One (m, k) times (k, n). */
static void multiply(const real *a, const real *b, real *out, int64_t m, int64_t k, int64_t n)
{
    for (int64_t row = 0; row < m; row++) {
        for (int64_t c0 = 0; c0 < n; c0 += COLUMNS) {
            double acc[COLUMNS] = {0};
            int64_t width = n - c0 < COLUMNS ? n - c0 : COLUMNS;
            kp_ref_mac(acc, a + row * k, b + c0, k, n, width);
            for (int64_t i = 0; i < width; i++)
                out[row * n + c0 + i] = (real)acc[i];
        }
    }
}

/* Strides in matrices with which a walk over the output's leading axes follows t's. */
static void leading_strides(const kp_tensor *t, const kp_tensor *out, int64_t *stride)
{
    int64_t s = 1;
    for (int i = out->ndim - 3; i >= 0; i--) {
        int own = i - (out->ndim - t->ndim);
        int64_t size = own < 0 ? 1 : t->shape[own];
        stride[i] = size == 1 ? 0 : s;
        s *= size;
    }
}

int kp_ref_matmul(const kp_node *n, const kp_tensor *in, int n_in, kp_tensor *out)
{
    (void)n;
    (void)n_in;
    int lead = out->ndim - 2;
    int64_t m = out->shape[lead], k = in[0].shape[in[0].ndim - 1], cols = out->shape[lead + 1];
    int64_t stride[KP_MAX_DIMS] = {0}, count = 1;
    kp_walk a, b;
    leading_strides(&in[0], out, stride);
    kp_walk_init(&a, out->shape, stride, lead);
    leading_strides(&in[1], out, stride);
    kp_walk_init(&b, out->shape, stride, lead);
    for (int i = 0; i < lead; i++)
        count *= out->shape[i];
    for (int64_t i = 0; i < count; i++) {
        multiply((const real *)in[0].data + a.index * m * k,
                 (const real *)in[1].data + b.index * k * cols, (real *)out->data + i * m * cols, m,
                 k, cols);
        kp_walk_next(&a);
        kp_walk_next(&b);
    }
    return 0;
}
