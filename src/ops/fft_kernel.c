/* Fourier transforms of arrays. */
#include "ops/kernel.h"

static int infer(const kp_node *n, kp_value *out, int64_t *next_symbol)
{
    const kp_fft_params *p = n->attr.kernel.params;
    const kp_value *re, *im;
    KP_TRY(kp_ops_input(n, 0, p->n_axes, &re));
    KP_TRY(kp_ops_not_batch(n, re, p->n_axes));
    if (n->n_inputs > 1) {
        KP_TRY(kp_ops_input(n, 1, re->ndim, &im));
        if (!kp_ops_same_shape(re, im))
            return kp_node_fail(n, KP_ESHAPE, "the real and the imaginary part differ");
    }
    kp_ops_shape(out, KP_FLOAT32, re->ndim, re->shape);
    int64_t *last = &out->shape[re->ndim - 1], size = p->length > 0 ? p->length : *last;
    if (p->length < 0 || p->length > INT32_MAX || *last == 0)
        return kp_node_fail(n, KP_ESHAPE, "a Fourier transform of no numbers");
    if (p->form == KP_FFT_FROM_REAL)
        *last = size < 0 ? (*next_symbol)-- : size / 2 + 1;
    else if (p->form == KP_FFT_TO_REAL)
        *last = p->length > 0 ? p->length : size < 0 ? (*next_symbol)-- : 2 * (size - 1);
    return 0;
}

static void load(const kp_tensor *in, int n_in, int64_t at, int64_t stride, int64_t n, double *re,
                 double *im)
{
    kp_ops_load(&in[0], at, stride, n, re);
    if (n_in > 1)
        kp_ops_load(&in[1], at, stride, n, im);
    else
        memset(im, 0, (size_t)n * sizeof *im);
}

/* One or two axes of complex numbers: the rows, then the columns. */
static int run_complex(const kp_fft_params *p, const kp_tensor *in, int n_in, kp_tensor *out)
{
    int64_t w = out->shape[out->ndim - 1], h = p->n_axes == 2 ? out->shape[out->ndim - 2] : 1;
    int64_t size = h * w, count = kp_tensor_count(out), column = w > h ? w : h;
    double scale = p->inverse ? 1 / (double)size : 1;
    kp_fft *rows = kp_fft_new(w), *columns = kp_fft_new(h);
    double *re = kp_ops_scratch(2 * size + 2 * column, sizeof *re);
    bool ok = rows != NULL && columns != NULL && re != NULL;
    double *im = ok ? re + size : NULL, *line = ok ? im + size : NULL;
    for (int64_t at = 0; ok && at < count; at += size) {
        load(in, n_in, at, 1, size, re, im);
        for (int64_t y = 0; y < h; y++)
            kp_fft_run(rows, p->inverse, re + y * w, im + y * w);
        for (int64_t x = 0; h > 1 && x < w; x++) {
            for (int64_t y = 0; y < h; y++)
                line[y] = re[y * w + x], line[column + y] = im[y * w + x];
            kp_fft_run(columns, p->inverse, line, line + column);
            for (int64_t y = 0; y < h; y++)
                re[y * w + x] = line[y], im[y * w + x] = line[column + y];
        }
        for (int64_t i = 0; i < size; i++)
            kp_tensor_put(out, at + i, (p->imaginary ? im : re)[i] * scale);
    }
    free(re);
    kp_fft_free(rows);
    kp_fft_free(columns);
    return ok ? 0 : KP_ENOMEM;
}

/* n real numbers to half of the frequencies, or back; the other half is the conjugate. */
static int run_real(const kp_fft_params *p, const kp_tensor *in, int n_in, kp_tensor *out)
{
    bool back = p->form == KP_FFT_TO_REAL;
    int64_t from = in[0].shape[in[0].ndim - 1], to = out->shape[out->ndim - 1];
    int64_t n = back ? to : p->length > 0 ? p->length : from;
    int64_t used = back ? (n / 2 + 1 < from ? n / 2 + 1 : from) : n < from ? n : from;
    int64_t rows = from > 0 ? kp_tensor_count(&in[0]) / from : 0;
    if (n < 1 || used < 1)
        return 0;
    kp_fft *f = kp_fft_new(n);
    double *re = kp_ops_scratch(2 * n, sizeof *re);
    bool ok = f != NULL && re != NULL;
    double *im = ok ? re + n : NULL;
    for (int64_t r = 0; ok && r < rows; r++) {
        memset(re, 0, (size_t)(2 * n) * sizeof *re);
        load(in, n_in, r * from, 1, used, re, im);
        if (back)
            im[0] = 0;
        if (back && n % 2 == 0 && used == n / 2 + 1)
            im[n / 2] = 0;
        for (int64_t k = 1; back && k < used; k++)
            if (n - k > n / 2)
                re[n - k] = re[k], im[n - k] = -im[k];
        kp_fft_run(f, back, re, im);
        for (int64_t i = 0; i < to; i++)
            kp_tensor_put(out, r * to + i, back ? re[i] / (double)n : (p->imaginary ? im : re)[i]);
    }
    free(re);
    kp_fft_free(f);
    return ok ? 0 : KP_ENOMEM;
}

static int run(const void *params, const kp_tensor *in, int n_in, kp_tensor *out)
{
    const kp_fft_params *p = params;
    if (kp_tensor_count(out) == 0)
        return 0;
    return p->form == KP_FFT_COMPLEX ? run_complex(p, in, n_in, out) : run_real(p, in, n_in, out);
}

const kp_kernel_def kp_kernel_fft = {"fft", infer, run};
