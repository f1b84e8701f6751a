/* The transform itself: mixed radix for small factors, Bluestein's detour over a power of two when
 * a prime factor is large, so that the cost stays near n log n whatever the size. */
#include "ops/kernel.h"

enum { FACTOR_MAX = 31 };

struct kp_fft {
    int64_t n;
    double *cos, *sin; /* of 2 pi i / n */
    double *work;      /* 2 n: the input while the output is made; then 2 p for one butterfly */
    /* Bluestein, when n has a large factor: a convolution of m numbers. */
    kp_fft *power;           /* m, a power of two; NULL when not needed */
    double *chirp;           /* 2 n: exp(-i pi k^2 / n) */
    double *filter, *padded; /* 2 m each */
};

static int64_t smallest_factor(int64_t n)
{
    for (int64_t p = 2; p * p <= n; p++)
        if (n % p == 0)
            return p;
    return n;
}

static int64_t largest_factor(int64_t n)
{
    int64_t p = 1;
    while (n > 1) {
        p = smallest_factor(n);
        n /= p;
    }
    return p;
}

void kp_fft_free(kp_fft *f)
{
    if (f == NULL)
        return;
    kp_fft_free(f->power);
    free(f->cos);
    free(f->work);
    free(f->chirp);
    free(f->filter);
    free(f);
}

static bool prepare_bluestein(kp_fft *f)
{
    int64_t n = f->n, m = 1;
    while (m < 2 * n - 1)
        m *= 2;
    f->power = kp_fft_new(m);
    f->chirp = kp_ops_scratch(2 * n, sizeof(double));
    f->filter = kp_ops_scratch(4 * m, sizeof(double));
    if (f->power == NULL || f->chirp == NULL || f->filter == NULL)
        return false;
    f->padded = f->filter + 2 * m;
    for (int64_t k = 0; k < n; k++) {
        double angle = M_PI * (double)(k * k % (2 * n)) / (double)n;
        f->chirp[k] = cos(angle);
        f->chirp[n + k] = -sin(angle);
        int64_t back = k == 0 ? 0 : m - k;
        f->filter[k] = f->filter[back] = f->chirp[k];
        f->filter[m + k] = f->filter[m + back] = -f->chirp[n + k];
    }
    kp_fft_run(f->power, false, f->filter, f->filter + m);
    return true;
}

kp_fft *kp_fft_new(int64_t n)
{
    kp_fft *f = n < 1 || n > INT32_MAX ? NULL : kp_ops_scratch(1, sizeof *f);
    if (f == NULL)
        return NULL;
    f->n = n;
    bool ok;
    if (largest_factor(n) > FACTOR_MAX) {
        ok = prepare_bluestein(f);
    } else {
        f->cos = kp_ops_scratch(2 * n, sizeof(double));
        f->work = kp_ops_scratch(2 * n + 2 * FACTOR_MAX, sizeof(double));
        ok = f->cos != NULL && f->work != NULL;
        f->sin = ok ? f->cos + n : NULL;
        for (int64_t i = 0; ok && i < n; i++) {
            f->cos[i] = cos(2 * M_PI * (double)i / (double)n);
            f->sin[i] = sin(2 * M_PI * (double)i / (double)n);
        }
    }
    if (ok)
        return f;
    kp_fft_free(f);
    return NULL;
}

/* The p transforms of size m that lie one after another in re, im become one of size p * m. */
static void butterflies(const kp_fft *f, double sign, int64_t p, int64_t m, double *re, double *im)
{
    int64_t step = f->n / (p * m);
    double *t = f->work + 2 * f->n;
    for (int64_t j = 0; j < m; j++) {
        for (int64_t k = 0; k < p; k++) {
            double c = f->cos[j * k * step], s = sign * f->sin[j * k * step];
            double a = re[k * m + j], b = im[k * m + j];
            t[2 * k] = a * c - b * s;
            t[2 * k + 1] = a * s + b * c;
        }
        for (int64_t q = 0; q < p; q++) {
            double sum = 0, sum_im = 0;
            for (int64_t k = 0; k < p; k++) {
                int64_t e = q * k % p * (f->n / p);
                double c = f->cos[e], s = sign * f->sin[e];
                sum += t[2 * k] * c - t[2 * k + 1] * s;
                sum_im += t[2 * k] * s + t[2 * k + 1] * c;
            }
            re[q * m + j] = sum;
            im[q * m + j] = sum_im;
        }
    }
}

/* The n numbers of f->work from `at` on in steps of `stride`, transformed into re, im. */
static void mixed_radix(const kp_fft *f, double sign, int64_t n, int64_t at, int64_t stride,
                        double *re, double *im)
{
    if (n == 1) {
        re[0] = f->work[at];
        im[0] = f->work[f->n + at];
        return;
    }
    int64_t p = smallest_factor(n), m = n / p;
    for (int64_t k = 0; k < p; k++)
        mixed_radix(f, sign, m, at + k * stride, stride * p, re + k * m, im + k * m);
    butterflies(f, sign, p, m, re, im);
}

/* x times the chirp, convolved with the filter, times the chirp. An inverse transform is one of
 * swapped parts. */
static void bluestein(const kp_fft *f, double *re, double *im)
{
    int64_t n = f->n, m = f->power->n;
    double *a = f->padded, *b = f->padded + m;
    memset(a, 0, (size_t)(2 * m) * sizeof *a);
    for (int64_t k = 0; k < n; k++) {
        double c = f->chirp[k], s = f->chirp[n + k];
        a[k] = re[k] * c - im[k] * s;
        b[k] = re[k] * s + im[k] * c;
    }
    kp_fft_run(f->power, false, a, b);
    for (int64_t k = 0; k < m; k++) {
        double c = f->filter[k], s = f->filter[m + k], r = a[k];
        a[k] = r * c - b[k] * s;
        b[k] = r * s + b[k] * c;
    }
    kp_fft_run(f->power, true, a, b);
    for (int64_t k = 0; k < n; k++) {
        double c = f->chirp[k], s = f->chirp[n + k];
        re[k] = (a[k] * c - b[k] * s) / (double)m;
        im[k] = (a[k] * s + b[k] * c) / (double)m;
    }
}

void kp_fft_run(kp_fft *f, bool inverse, double *re, double *im)
{
    if (f->power != NULL) {
        bluestein(f, inverse ? im : re, inverse ? re : im);
        return;
    }
    memcpy(f->work, re, (size_t)f->n * sizeof *re);
    memcpy(f->work + f->n, im, (size_t)f->n * sizeof *im);
    mixed_radix(f, inverse ? 1 : -1, f->n, 0, 1, re, im);
}
