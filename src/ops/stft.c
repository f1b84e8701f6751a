/* Short-time Fourier transforms, both ways. */
#include "ops/kernel.h"

bool kp_stft_window(const char *name, int64_t length, int64_t fft_length, double *out)
{
    bool hann = strcmp(name, "hann") == 0;
    double a = hann ? 0.5 : 0.54;
    if (!hann && strcmp(name, "hamming") != 0)
        return false;
    int64_t left = (fft_length - length) / 2;
    for (int64_t i = 0; i < fft_length; i++)
        out[i] = 0;
    /* TensorFlow's periodic window has its period only when the length is even. */
    double period = (double)(length % 2 == 0 ? length : length - 1);
    for (int64_t i = 0; i < length; i++)
        out[left + i] =
            length == 1 ? 1 : (double)(float)(a - (1 - a) * cos(2 * M_PI * (double)i / period));
    return true;
}

static int check(const kp_node *n, const kp_stft_params *p)
{
    if (p->fft_length < 1 || p->stride < 1 || p->fft_length > INT32_MAX || p->stride > INT32_MAX)
        return kp_node_fail(n, KP_EINVAL, "frames of %lld samples in steps of %lld",
                            (long long)p->fft_length, (long long)p->stride);
    return 0;
}

static int infer_forward(const kp_node *n, kp_value *out, int64_t *next_symbol)
{
    const kp_stft_params *p = n->attr.kernel.params;
    const kp_value *x;
    KP_TRY(check(n, p));
    KP_TRY(kp_ops_input(n, 0, 1, &x));
    KP_TRY(kp_ops_not_batch(n, x, 1));
    if (x->ndim + 1 > KP_MAX_DIMS)
        return kp_node_fail(n, KP_ESHAPE, "more than %d axes", KP_MAX_DIMS);
    int last = x->ndim - 1;
    int64_t half = p->center ? p->fft_length / 2 : 0, size = x->shape[last];
    if (size >= 0 && half > 0 && half >= size)
        return kp_node_fail(n, KP_ESHAPE,
                            "%lld samples cannot be continued by %lld at each end as in a mirror",
                            (long long)size, (long long)half);
    kp_ops_shape(out, KP_FLOAT32, x->ndim, x->shape);
    out->ndim++;
    int64_t rest = size + 2 * half - p->fft_length;
    out->shape[last] = size < 0 ? (*next_symbol)-- : rest < 0 ? 0 : 1 + rest / p->stride;
    out->shape[last + 1] = p->fft_length / 2 + 1;
    return 0;
}

static int64_t mirror(int64_t i, int64_t size)
{
    return i < 0 ? -i : i >= size ? 2 * (size - 1) - i : i;
}

static int run_forward(const void *params, const kp_tensor *in, int n_in, kp_tensor *out)
{
    const kp_stft_params *p = params;
    const kp_tensor *x = &in[0];
    int64_t size = x->shape[x->ndim - 1], frames = out->shape[x->ndim - 1], n = p->fft_length;
    int64_t half = p->center ? n / 2 : 0, bins = n / 2 + 1;
    int64_t rows = kp_ops_product(x, 0, x->ndim - 1);
    (void)n_in;
    kp_fft *f = kp_fft_new(n);
    double *re = kp_ops_scratch(2 * n, sizeof *re);
    bool ok = f != NULL && re != NULL;
    double *im = ok ? re + n : NULL;
    for (int64_t r = 0; ok && r < rows * frames; r++) {
        int64_t row = r / frames, begin = r % frames * p->stride - half;
        for (int64_t i = 0; i < n; i++) {
            double v = kp_tensor_get(x, row * size + mirror(begin + i, size));
            re[i] = p->window ? v * p->window[i] : v;
            im[i] = 0;
        }
        kp_fft_run(f, false, re, im);
        kp_ops_store(out, r * bins, 1, bins, p->imaginary ? im : re);
    }
    free(re);
    kp_fft_free(f);
    return ok ? 0 : KP_ENOMEM;
}

const kp_kernel_def kp_kernel_stft = {"stft", infer_forward, run_forward};

/* ---- back ---- */

/* Samples of `frames` frames before the ends are cut. */
static bool whole(const kp_stft_params *p, int64_t frames, int64_t *out)
{
    return !__builtin_mul_overflow(frames - 1, p->stride, out) &&
           !__builtin_add_overflow(*out, p->fft_length, out) && frames >= 1;
}

static int infer_back(const kp_node *n, kp_value *out, int64_t *next_symbol)
{
    const kp_stft_params *p = n->attr.kernel.params;
    const kp_value *re, *im;
    KP_TRY(check(n, p));
    KP_TRY(kp_ops_input(n, 0, 2, &re));
    KP_TRY(kp_ops_input(n, 1, 2, &im));
    KP_TRY(kp_ops_not_batch(n, re, 2));
    int at = re->ndim - 2;
    int64_t half = p->center ? p->fft_length / 2 : 0, frames = re->shape[at], size = 0;
    if (!kp_ops_same_shape(re, im))
        return kp_node_fail(n, KP_ESHAPE, "the real and the imaginary part differ");
    if (frames >= 0 && !whole(p, frames, &size))
        return kp_node_fail(n, KP_ESHAPE, "%lld frames do not make a signal", (long long)frames);
    kp_ops_shape(out, KP_FLOAT32, re->ndim - 1, re->shape);
    if (frames < 0) {
        out->shape[at] = (*next_symbol)--;
        return 0;
    }
    int64_t end = p->length > 0 ? half + p->length : size - half;
    end = end > size ? size : end;
    out->shape[at] = end > half ? end - half : 0;
    return 0;
}

/* What each sample of a frame is multiplied by: the window over the sum of the squares of all
 * windows that lie on that sample. */
static void back_window(const kp_stft_params *p, double *out)
{
    for (int64_t i = 0; i < p->fft_length; i++) {
        double sum = 0;
        for (int64_t k = i % p->stride; p->window && k < p->fft_length; k += p->stride)
            sum += p->window[k] * p->window[k];
        out[i] = !p->window ? 1 : sum == 0 ? 0 : p->window[i] / sum;
    }
}

static int run_back(const void *params, const kp_tensor *in, int n_in, kp_tensor *out)
{
    const kp_stft_params *p = params;
    int nd = in[0].ndim;
    int64_t n = p->fft_length, frames = in[0].shape[nd - 2], bins = in[0].shape[nd - 1], size;
    int64_t half = p->center ? n / 2 : 0, rows = kp_ops_product(&in[0], 0, nd - 2);
    int64_t kept = out->shape[nd - 2], used = bins < n / 2 + 1 ? bins : n / 2 + 1;
    (void)n_in;
    if (!whole(p, frames, &size))
        return kp_fail(KP_ESHAPE, "%lld frames do not make a signal", (long long)frames);
    kp_fft *f = kp_fft_new(n);
    double *re = kp_ops_scratch(3 * n, sizeof *re), *sum = kp_ops_scratch(size, sizeof *sum);
    bool ok = f != NULL && re != NULL && sum != NULL;
    double *im = ok ? re + n : NULL, *window = ok ? im + n : NULL;
    if (ok)
        back_window(p, window);
    for (int64_t r = 0; ok && r < rows; r++) {
        memset(sum, 0, (size_t)size * sizeof *sum);
        for (int64_t t = 0; t < frames; t++) {
            memset(re, 0, (size_t)(2 * n) * sizeof *re);
            kp_ops_load(&in[0], (r * frames + t) * bins, 1, used, re);
            kp_ops_load(&in[1], (r * frames + t) * bins, 1, used, im);
            im[0] = 0;
            if (n % 2 == 0)
                im[n / 2] = 0;
            for (int64_t k = 1; k < n - k; k++)
                re[n - k] = re[k], im[n - k] = -im[k];
            kp_fft_run(f, true, re, im);
            for (int64_t i = 0; i < n; i++)
                sum[t * p->stride + i] += re[i] / (double)n * window[i];
        }
        kp_ops_store(out, r * kept, 1, kept, sum + half);
    }
    free(re);
    free(sum);
    kp_fft_free(f);
    return ok ? 0 : KP_ENOMEM;
}

const kp_kernel_def kp_kernel_istft = {"istft", infer_back, run_back};
