/* Layers for sound: STFTSpectrogram, MelSpectrogram. */
#include "lower/build.h"

enum { BINS_MAX = 1 << 22 };

static int fail(const kp_layer *l, const char *why)
{
    return kp_fail(KP_EMODEL, "layer \"%s\" (%s): %s", l->path, l->class_name, why);
}

/* ---- STFTSpectrogram: a convolution with stored waves ---- */

typedef struct spectrogram {
    const char *mode;
    int64_t frame, step, bins, channels;
    bool same, expand, first;
} spectrogram;

static int64_t power_of_two(int64_t n)
{
    int64_t p = 1;
    while (p < n)
        p *= 2;
    return p;
}

static int read_spectrogram(const kp_lw_call *c, spectrogram *s)
{
    const kp_layer *l = c->layer;
    const char *padding;
    int64_t fft;
    KP_TRY(kp_lw_rank(c, 3));
    KP_TRY(kp_cfg_str(l, "mode", "log", &s->mode));
    KP_TRY(kp_cfg_int(l, "frame_length", 256, &s->frame));
    if (s->frame < 1 || s->frame > BINS_MAX)
        return fail(l, "\"frame_length\" is out of range");
    KP_TRY(kp_cfg_int(l, "frame_step", s->frame / 2, &s->step));
    KP_TRY(kp_cfg_int(l, "fft_length", power_of_two(s->frame), &fft));
    KP_TRY(kp_cfg_str(l, "padding", "valid", &padding));
    KP_TRY(kp_cfg_bool(l, "expand_dims", false, &s->expand));
    KP_TRY(kp_lw_channels_first(l, &s->first));
    KP_TRY(kp_lw_known(c->in[0], s->first ? 1 : 2, &s->channels));
    if (s->step < 1 || fft < s->frame || fft > BINS_MAX || s->channels > 4096)
        return fail(l, "its settings are out of range");
    s->bins = fft / 2 + 1;
    s->same = strcmp(padding, "same") == 0;
    return 0;
}

/* The waves (frame, 1, bins) once for each channel: (frame, 1, channels * bins). */
static int repeat_kernel(kp_lw *w, const spectrogram *s, kp_value *kernel, kp_value **out)
{
    const float *from = kp_graph_const_f32(w->g, kernel);
    size_t row = (size_t)s->bins, n;
    float *to;
    if (!from)
        return KP_ENOMEM;
    if (!kp_mul_size((size_t)s->frame * row, (size_t)s->channels, &n) || n > BINS_MAX * 8u ||
        (to = kp_arena_array(w->mem, n, sizeof *to)) == NULL)
        return kp_fail(KP_ELIMIT, "its waves for %lld channels are too large",
                       (long long)s->channels);
    for (int64_t t = 0; t < s->frame; t++)
        for (int64_t c = 0; c < s->channels; c++)
            memcpy(to + (size_t)(t * s->channels + c) * row, from + (size_t)t * row,
                   row * sizeof *to);
    return kp_lw_const(w, to, (int64_t[]){s->frame, 1, s->channels * s->bins}, 3, out);
}

/* x (N, T, channels) to (N, frames, channels, bins). */
static int wave(kp_lw *w, const spectrogram *s, int index, const char *name, kp_value *x,
                kp_value **out)
{
    kp_value *kernel;
    kp_node n = {.op = KP_OP_CONV};
    KP_TRY(kp_lw_weight_get(w, "", index, name, 3, (int64_t[]){s->frame, 1, s->bins}, 0, NULL, true,
                            &kernel));
    KP_TRY(repeat_kernel(w, s, kernel, &kernel));
    n.attr.conv.groups = s->channels;
    n.attr.conv.window = (kp_window){.n_spatial = 1,
                                     .size = {s->frame},
                                     .stride = {s->step},
                                     .dilation = {1},
                                     .padding = s->same ? KP_PAD_SAME : KP_PAD_VALID};
    KP_TRY(kp_lw_add(w, &n, (kp_value *[]){x, kernel}, 2, out));
    return kp_lw_reshape(w, 2, (int64_t[]){s->channels, s->bins}, 2, *out, out);
}

/* (N, frames, channels, bins) as the layer gives it. */
static int arrange(kp_lw *w, const spectrogram *s, kp_value *x, kp_value **out)
{
    int64_t bins = x->shape[3];
    if (s->expand)
        return kp_lw_transpose(w, s->first ? (int[]){0, 2, 1, 3} : (int[]){0, 1, 3, 2}, x, out);
    KP_TRY(kp_lw_reshape(w, 2, (int64_t[]){s->channels * bins}, 1, x, &x));
    *out = x;
    return s->first ? kp_lw_to_first(w, x, out) : 0;
}

/* The power of frequencies that stand for two counts twice. */
static int double_inner(kp_lw *w, const spectrogram *s, kp_value *x, kp_value **out)
{
    float *twice = kp_arena_array(w->mem, (size_t)s->bins, sizeof *twice);
    kp_value *k;
    if (!twice)
        return KP_ENOMEM;
    for (int64_t i = 0; i < s->bins; i++)
        twice[i] = i == 0 || i == s->bins - 1 ? 1 : 2;
    KP_TRY(kp_lw_const(w, twice, &s->bins, 1, &k));
    return kp_lw_binary(w, KP_BIN_MUL, x, k, out);
}

static int at_least(kp_lw *w, float least, kp_value *x, kp_value **out)
{
    kp_value *k;
    KP_TRY(kp_lw_const(w, &least, NULL, 0, &k));
    return kp_lw_binary(w, KP_BIN_MAX, x, k, out);
}

static int power_of(kp_lw *w, kp_value *real, kp_value *imag, kp_value **out)
{
    KP_TRY(kp_lw_unary(w, (kp_act){.kind = KP_ACT_SQUARE}, real, &real));
    KP_TRY(kp_lw_unary(w, (kp_act){.kind = KP_ACT_SQUARE}, imag, &imag));
    return kp_lw_binary(w, KP_BIN_ADD, real, imag, out);
}

static int both(kp_lw *w, const kp_lw_call *c, const spectrogram *s, kp_value *real, kp_value *imag,
                kp_value **out)
{
    kp_node concat = {.op = KP_OP_CONCAT, .attr.axis.axis = 3};
    if (strcmp(s->mode, "angle") == 0)
        return kp_lw_binary(w, KP_BIN_ATAN2, imag, real, out);
    if (strcmp(s->mode, "stft") == 0)
        return kp_lw_add(w, &concat, (kp_value *[]){real, imag}, 2, out);
    KP_TRY(power_of(w, real, imag, out));
    if (strcmp(s->mode, "psd") == 0)
        return double_inner(w, s, *out, out);
    KP_TRY(at_least(w, 1e-7f, *out, out));
    KP_TRY(kp_lw_unary(w, (kp_act){.kind = KP_ACT_SQRT}, *out, out));
    if (strcmp(s->mode, "magnitude") == 0)
        return 0;
    if (strcmp(s->mode, "log") != 0)
        return fail(c->layer, "\"mode\" is not known");
    KP_TRY(at_least(w, 1e-7f, *out, out));
    return kp_lw_unary(w, (kp_act){.kind = KP_ACT_LOG}, *out, out);
}

static int do_stft(kp_lw *w, const kp_lw_call *c, kp_value **out)
{
    spectrogram s;
    kp_value *x, *real = NULL, *imag = NULL;
    KP_TRY(read_spectrogram(c, &s));
    bool only_real = strcmp(s.mode, "real") == 0, only_imag = strcmp(s.mode, "imag") == 0;
    KP_TRY(kp_lw_float(w, c->in[0], &x));
    if (s.first)
        KP_TRY(kp_lw_to_last(w, x, &x));
    if (!only_imag)
        KP_TRY(wave(w, &s, 0, "real_kernel", x, &real));
    if (!only_real)
        KP_TRY(wave(w, &s, only_imag ? 0 : 1, "imag_kernel", x, &imag));
    if (only_real || only_imag)
        x = only_real ? real : imag;
    else
        KP_TRY(both(w, c, &s, real, imag, &x));
    return arrange(w, &s, x, out);
}

/* ---- MelSpectrogram ---- */

typedef struct mel {
    int64_t fft, step, frame, bands;
    double rate, low, high, top, exponent, least, reference;
    bool decibel;
} mel;

static int read_mel(const kp_layer *l, mel *m)
{
    KP_TRY(kp_cfg_int(l, "fft_length", 2048, &m->fft));
    KP_TRY(kp_cfg_int(l, "sequence_stride", 512, &m->step));
    KP_TRY(kp_cfg_int(l, "sequence_length", m->fft, &m->frame));
    KP_TRY(kp_cfg_int(l, "num_mel_bins", 128, &m->bands));
    KP_TRY(kp_cfg_float(l, "sampling_rate", 16000, &m->rate));
    KP_TRY(kp_cfg_float(l, "min_freq", 20, &m->low));
    KP_TRY(kp_cfg_float(l, "max_freq", floor(m->rate / 2), &m->high));
    KP_TRY(kp_cfg_bool(l, "power_to_db", true, &m->decibel));
    KP_TRY(kp_cfg_float(l, "top_db", 80, &m->top));
    KP_TRY(kp_cfg_float(l, "mag_exp", 2, &m->exponent));
    KP_TRY(kp_cfg_float(l, "min_power", 1e-10, &m->least));
    KP_TRY(kp_cfg_float(l, "ref_power", 1, &m->reference));
    bool fits = m->fft >= 1 && m->fft <= BINS_MAX && m->step >= 1 && m->frame >= 1 &&
                m->frame <= m->fft && m->bands >= 1 && m->bands <= 1 << 16 &&
                (m->fft / 2 + 1) * m->bands <= BINS_MAX * 4ll && m->rate > 0;
    return fits ? 0 : fail(l, "its settings are out of range");
}

/* The magnitude of frames (..., frames, bins). */
static int magnitude(kp_lw *w, const kp_lw_call *c, const mel *m, kp_value *x, kp_value **out)
{
    kp_stft_params *p = kp_arena_array(w->mem, 2, sizeof *p);
    kp_value *real, *imag;
    if (!p)
        return KP_ENOMEM;
    *p = (kp_stft_params){.stride = m->step, .fft_length = m->fft, .center = true};
    KP_TRY(kp_lw_stft_window(w, c->layer, m->frame, m->fft, &p->window));
    p[1] = p[0];
    p[1].imaginary = true;
    KP_TRY(kp_lw_kernel(w, &kp_kernel_stft, &p[0], &x, 1, &real));
    KP_TRY(kp_lw_kernel(w, &kp_kernel_stft, &p[1], &x, 1, &imag));
    KP_TRY(power_of(w, real, imag, &x));
    return kp_lw_unary(w, (kp_act){.kind = KP_ACT_SQRT}, x, out);
}

static int to_bands(kp_lw *w, const mel *m, kp_value *x, kp_value **out)
{
    int64_t bins = m->fft / 2 + 1;
    float *weights = kp_arena_array(w->mem, (size_t)(bins * m->bands), sizeof *weights);
    kp_value *k;
    kp_node dense = {.op = KP_OP_DENSE};
    if (!weights)
        return KP_ENOMEM;
    kp_mel_weights(bins, m->bands, (float)m->rate, (float)m->low, (float)m->high, weights);
    KP_TRY(kp_lw_const(w, weights, (int64_t[]){bins, m->bands}, 2, &k));
    return kp_lw_add(w, &dense, (kp_value *[]){x, k}, 2, out);
}

static int to_decibel(kp_lw *w, const mel *m, kp_value *x, kp_value **out)
{
    double reference = fmax(fabs(m->reference), m->least);
    kp_range *range = kp_arena_alloc(w->mem, sizeof *range);
    if (!range)
        return KP_ENOMEM;
    range->range = (float)m->top;
    KP_TRY(at_least(w, (float)m->least, x, &x));
    KP_TRY(kp_lw_unary(w, (kp_act){.kind = KP_ACT_LOG}, x, &x));
    KP_TRY(kp_lw_linear(w, 10 / log(10.0), -10 * log10(reference), x, &x));
    return kp_lw_kernel(w, &kp_kernel_range, range, &x, 1, out);
}

static int do_mel(kp_lw *w, const kp_lw_call *c, kp_value **out)
{
    mel m;
    kp_value *x, *exponent;
    int perm[KP_MAX_DIMS];
    KP_TRY(read_mel(c->layer, &m));
    if (c->in[0]->ndim < 2)
        return fail(c->layer, "the input must have an axis of samples beside the batch");
    KP_TRY(kp_lw_float(w, c->in[0], &x));
    KP_TRY(magnitude(w, c, &m, x, &x));
    float power = (float)m.exponent;
    KP_TRY(kp_lw_const(w, &power, NULL, 0, &exponent));
    KP_TRY(kp_lw_binary(w, KP_BIN_POW, x, exponent, &x));
    KP_TRY(to_bands(w, &m, x, &x));
    if (m.decibel)
        KP_TRY(to_decibel(w, &m, x, &x));
    for (int i = 0; i < x->ndim; i++)
        perm[i] = i < x->ndim - 2 ? i : i == x->ndim - 2 ? i + 1 : i - 1;
    return kp_lw_transpose(w, perm, x, out);
}

const kp_lw_entry kp_lw_audio_layers[] = {
    {"MelSpectrogram", do_mel, 0, KP_LW_ONE, KP_LW_MASK_DROP},
    {"STFTSpectrogram", do_stft, 0, KP_LW_ONE, KP_LW_MASK_DROP},
    {0},
};
