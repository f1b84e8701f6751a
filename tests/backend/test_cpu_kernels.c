/* The own kernels of every instruction set that this processor has, against their plain twins:
 * kp_act_apply and loops in double. */
#include "backend/cpu/kernels.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

static const kp_kernels *tables[4];

static void find_tables(void)
{
    const kp_machine *m = kp_machine_get();
    int n = 0;
    if (m->sse41)
        tables[n++] = &kp_kernels_sse41;
    if (m->avx2 && m->fma)
        tables[n++] = &kp_kernels_avx2;
    if (m->avx512)
        tables[n++] = &kp_kernels_avx512;
}

static float spread(int i, int n)
{
    return ((float)i / (float)n - 0.5f) * 40.0f;
}

static const kp_act acts[] = {{KP_ACT_RELU, 0, INFINITY, 0},
                              {KP_ACT_RELU, 0, 6, 0},
                              {KP_ACT_RELU, 0.2f, INFINITY, 0},
                              {KP_ACT_RELU, 0.1f, 4, 1.5f},
                              {KP_ACT_ELU, 0.7f, 0, 0},
                              {KP_ACT_SELU, 0, 0, 0},
                              {KP_ACT_GELU, 0, 0, 0},
                              {KP_ACT_GELU_TANH, 0, 0, 0},
                              {KP_ACT_SILU, 0, 0, 0},
                              {KP_ACT_HARD_SILU, 0, 0, 0},
                              {KP_ACT_MISH, 0, 0, 0},
                              {KP_ACT_SIGMOID, 0, 0, 0},
                              {KP_ACT_HARD_SIGMOID, 0.2f, 0.5f, 0},
                              {KP_ACT_TANH, 0, 0, 0},
                              {KP_ACT_SOFTSIGN, 0, 0, 0},
                              {KP_ACT_EXP, 0, 0, 0},
                              {KP_ACT_NEG, 0, 0, 0},
                              {KP_ACT_ABS, 0, 0, 0},
                              {KP_ACT_SQUARE, 0, 0, 0},
                              {KP_ACT_LINEAR, 0.3f, -7, 0}};

/* Within 4e-7 of the value, or of 1 where the function is a difference of larger numbers. */
static void functions(void **state)
{
    (void)state;
    enum { N = 4003 };
    float *x = malloc(N * sizeof *x), *y = malloc(N * sizeof *y);
    for (int i = 0; i < N; i++)
        x[i] = spread(i, N);
    for (int t = 0; tables[t] != NULL; t++) {
        for (size_t a = 0; a < sizeof acts / sizeof *acts; a++) {
            assert_true(kp_kernels_has_act(acts[a].kind));
            assert_true(tables[t]->act(&acts[a], y, x, N));
            for (int i = 0; i < N; i++) {
                double want = kp_act_apply(&acts[a], (double)x[i]);
                double scale = fabs(want) > 1 ? fabs(want) : 1;
                if (!(fabs((double)y[i] - want) <= 6e-7 * scale))
                    fail_msg("%s, function %d at %.9g: %.9g, not %.9g", tables[t]->name,
                             (int)acts[a].kind, x[i], y[i], want);
            }
        }
    }
    free(x);
    free(y);
}

static void exp_at_the_ends(void **state)
{
    (void)state;
    const kp_act act = {KP_ACT_EXP, 0, 0, 0};
    const float x[] = {0, 88.7f, 89, 1000, INFINITY, -87.3f, -103, -1000, -INFINITY, NAN};
    float y[10];
    for (int t = 0; tables[t] != NULL; t++) {
        assert_true(tables[t]->act(&act, y, x, 10));
        assert_true(y[0] == 1.0f);
        assert_true(fabs((double)y[1] / exp((double)x[1]) - 1) < 4e-7);
        assert_true(isinf(y[2]) && isinf(y[3]) && isinf(y[4]));
        assert_true(fabs((double)y[5] / exp((double)x[5]) - 1) < 4e-7);
        assert_true(y[6] < 1e-40f && y[7] < 1e-40f && y[8] < 1e-40f);
        assert_true(isnan(y[9]));
    }
}

static double random_value(void)
{
    return (double)rand() / RAND_MAX - 0.5;
}

static float *random_array(int64_t n)
{
    float *p = malloc((size_t)n * sizeof *p + 4);
    for (int64_t i = 0; i < n; i++)
        p[i] = (float)random_value();
    return p;
}

static void check_dense(const kp_kernels *t, int64_t m, int64_t n, int64_t k)
{
    float *x = random_array(m * k), *w = random_array(k * n), *r = random_array(m * n);
    float *y = random_array(m * n),
          *packed = random_array((int64_t)kp_dense_packed_floats(t, k, n));
    float *bias = calloc((size_t)(n + t->panel), sizeof *bias);
    for (int64_t i = 0; i < n; i++)
        bias[i] = (float)random_value();
    /* In two parts, as threads share a large kernel. */
    kp_dense_pack(t, packed, w, k, n, k / 3, k);
    kp_dense_pack(t, packed, w, k, n, 0, k / 3);
    kp_dense_args a = {
        .m = m, .n = n, .k = k, .x = x, .w = packed, .bias = bias, .residual = r, .y = y};
    t->dense(&a);
    for (int64_t i = 0; i < m; i++) {
        for (int64_t j = 0; j < n; j++) {
            double want = (double)bias[j] + (double)r[i * n + j];
            for (int64_t l = 0; l < k; l++)
                want += (double)x[i * k + l] * (double)w[l * n + j];
            if (!(fabs((double)y[i * n + j] - want) < 1e-5 * sqrt((double)k + 1)))
                fail_msg("%s dense %d %d %d at %d %d: %g, not %g", t->name, (int)m, (int)n, (int)k,
                         (int)i, (int)j, (double)y[i * n + j], want);
        }
    }
    free(x);
    free(w);
    free(r);
    free(y);
    free(packed);
    free(bias);
}

static void products(void **state)
{
    (void)state;
    static const int64_t sizes[][3] = {{1, 1, 1},    {1, 10, 5},     {13, 2, 10},   {12, 33, 17},
                                       {29, 48, 64}, {7, 100, 1500}, {3, 17, 2049}, {25, 16, 3}};
    for (int t = 0; tables[t] != NULL; t++) {
        for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++)
            check_dense(tables[t], sizes[i][0], sizes[i][1], sizes[i][2]);
    }
}

static void means_and_softmax(void **state)
{
    (void)state;
    for (int t = 0; tables[t] != NULL; t++) {
        for (int64_t c = 1; c < 40; c += 3) {
            enum { ROWS = 131 };
            float *x = random_array(ROWS * c), *y = random_array(c);
            tables[t]->mean(y, x, ROWS, c);
            for (int64_t j = 0; j < c; j++) {
                double want = 0;
                for (int64_t i = 0; i < ROWS; i++)
                    want += (double)x[i * c + j] / ROWS;
                assert_true(fabs((double)y[j] - want) < 1e-7);
            }
            tables[t]->softmax(y, x, c);
            double sum = 0;
            for (int64_t j = 0; j < c; j++)
                sum += exp((double)x[j]);
            for (int64_t j = 0; j < c; j++)
                assert_true(fabs((double)y[j] - exp((double)x[j]) / sum) < 2e-7);
            free(x);
            free(y);
        }
    }
}

int main(void)
{
    find_tables();
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(functions),
        cmocka_unit_test(exp_at_the_ends),
        cmocka_unit_test(products),
        cmocka_unit_test(means_and_softmax),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
