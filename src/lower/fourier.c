/* Operations of keras.ops on frequencies: transforms and frames. Complex arrays are pairs. */
#include "lower/build.h"

enum { FFT, FFT2, IFFT2, RFFT, IRFFT, STFT, ISTFT };

/* Both parts of the result, made by the same kernel from two sets of parameters of `size` bytes. */
static int both_parts(kp_lw *w, const kp_lw_call *c, const kp_kernel_def *def, const void *real,
                      const void *imaginary, kp_value *const *in)
{
    kp_value **values;
    KP_TRY(kp_lw_outputs(w, c, 2, &values));
    KP_TRY(kp_lw_kernel(w, def, real, in, c->n_in, &values[0]));
    return kp_lw_kernel(w, def, imaginary, in, c->n_in, &values[1]);
}

static int do_fft(kp_lw *w, const kp_lw_call *c, kp_value **out)
{
    kp_fft_params *p = kp_arena_array(w->mem, 2, sizeof *p);
    if (!p)
        return KP_ENOMEM;
    p->n_axes = c->variant == FFT2 || c->variant == IFFT2 ? 2 : 1;
    p->form = c->variant == RFFT    ? KP_FFT_FROM_REAL
              : c->variant == IRFFT ? KP_FFT_TO_REAL
                                    : KP_FFT_COMPLEX;
    p->inverse = c->variant == IFFT2;
    KP_TRY(kp_cfg_int(c->layer, "fft_length", 0, &p->length));
    p[1] = p[0];
    p[1].imaginary = true;
    if (c->variant == IRFFT)
        return kp_lw_kernel(w, &kp_kernel_fft, p, c->in, c->n_in, out);
    return both_parts(w, c, &kp_kernel_fft, &p[0], &p[1], c->in);
}

int kp_lw_stft_window(kp_lw *w, const kp_layer *l, int64_t length, int64_t fft_length,
                      const double **out)
{
    const json_t *v = json_object_get(l->config, "window");
    int n;
    *out = NULL;
    if (!v || json_is_null(v))
        return 0;
    double *window = kp_arena_array(w->mem, (size_t)fft_length, sizeof *window);
    if (!window)
        return KP_ENOMEM;
    *out = window;
    if (json_is_string(v)) {
        if (kp_stft_window(json_string_value(v), length, fft_length, window))
            return 0;
        return kp_fail(KP_EMODEL, "layer \"%s\" (%s): window \"%s\" is not known", l->path,
                       l->class_name, json_string_value(v));
    }
    KP_TRY(kp_lw_numbers(l, "window", (int)length, window + (fft_length - length) / 2, &n));
    if (n != length)
        return kp_fail(KP_EMODEL, "layer \"%s\" (%s): the window has %d numbers for %lld", l->path,
                       l->class_name, n, (long long)length);
    return 0;
}

static int do_stft(kp_lw *w, const kp_lw_call *c, kp_value **out)
{
    const kp_layer *l = c->layer;
    kp_stft_params *p = kp_arena_array(w->mem, 2, sizeof *p);
    int64_t length;
    if (!p)
        return KP_ENOMEM;
    KP_TRY(kp_cfg_int(l, "sequence_length", 0, &length));
    KP_TRY(kp_cfg_int(l, "sequence_stride", 0, &p->stride));
    KP_TRY(kp_cfg_int(l, "fft_length", 0, &p->fft_length));
    KP_TRY(kp_cfg_int(l, "length", 0, &p->length));
    KP_TRY(kp_cfg_bool(l, "center", true, &p->center));
    if (length < 1 || p->fft_length < length || p->fft_length > 1 << 24)
        return kp_fail(KP_EMODEL, "layer \"%s\" (%s): frames of %lld samples in %lld", l->path,
                       l->class_name, (long long)length, (long long)p->fft_length);
    KP_TRY(kp_lw_stft_window(w, l, length, p->fft_length, &p->window));
    p[1] = p[0];
    p[1].imaginary = true;
    if (c->variant == ISTFT)
        return kp_lw_kernel(w, &kp_kernel_istft, p, c->in, c->n_in, out);
    return both_parts(w, c, &kp_kernel_stft, &p[0], &p[1], c->in);
}

const kp_lw_entry kp_lw_fourier_operations[] = {
    {"FFT", do_fft, FFT, 2, 2, KP_LW_SAME, KP_LW_MASK_DROP},
    {"FFT2", do_fft, FFT2, 2, 2, KP_LW_SAME, KP_LW_MASK_DROP},
    {"IFFT2", do_fft, IFFT2, 2, 2, KP_LW_SAME, KP_LW_MASK_DROP},
    {"RFFT", do_fft, RFFT, KP_LW_ONE, KP_LW_MASK_DROP},
    {"IRFFT", do_fft, IRFFT, 2, 2, KP_LW_SAME, KP_LW_MASK_DROP},
    {"STFT", do_stft, STFT, KP_LW_ONE, KP_LW_MASK_DROP},
    {"ISTFT", do_stft, ISTFT, 2, 2, KP_LW_SAME, KP_LW_MASK_DROP},
    {0},
};
