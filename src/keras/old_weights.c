/*
 * Weights that old files store in another form: those of Keras 1 (names with the layer's name in
 * front, gates in arrays of their own, kernels in the order of the image's axes), and convolution
 * kernels that were trained on Theano, which turns them by 180 degrees.
 */
#include "keras/private.h"

enum { PIECES_MAX = 4 };

/* Layers whose kernels Theano turns: true convolutions, which Keras 2 mends when it changes
 * engines. */
static bool is_turned(const kp_layer *l)
{
    static const char *const classes[] = {"Conv1D", "Conv2D", "Conv3D", "Conv2DTranspose",
                                          "ConvLSTM2D"};
    for (size_t i = 0; i < sizeof classes / sizeof *classes; i++)
        if (strcmp(l->class_name, classes[i]) == 0)
            return true;
    return false;
}

static bool is_first(const kp_layer *l)
{
    json_t *v = json_object_get(l->config, "data_format");
    return json_is_string(v) && strcmp(json_string_value(v), "channels_first") == 0;
}

/* Names of Keras 1 end in ":0" unless they were written on Theano. */
static bool on_theano(const kp_keras *k, const kp_slots *s)
{
    if (k->major > 1)
        return strcmp(k->backend, "theano") == 0;
    return s != NULL && s->n_slots > 0 && strchr(s->slots[0].name, ':') == NULL;
}

/* ---- arrays ---- */

/* Source element of each place: axes taken in the order of perm, the first n_turned of the result
 * run backwards. Elements are elem bytes wide. */
static int rearrange(kp_keras *k, kp_weight *w, const int *perm, int n_turned)
{
    int64_t stride[KP_MAX_DIMS], shape[KP_MAX_DIMS], at[KP_MAX_DIMS] = {0}, step = 1;
    size_t elem = kp_dtype_size(w->dtype);
    for (int i = w->ndim - 1; i >= 0; step *= w->shape[i--])
        stride[i] = step;
    char *to = kp_arena_alloc(k->mem, w->size_bytes);
    if (to == NULL)
        return KP_ENOMEM;
    for (int i = 0; i < w->ndim; i++)
        shape[i] = w->shape[perm[i]];
    for (int64_t n = 0; n < step; n++) {
        int64_t from = 0;
        for (int i = 0; i < w->ndim; i++)
            from += stride[perm[i]] * (i < n_turned ? shape[i] - 1 - at[i] : at[i]);
        memcpy(to + (size_t)n * elem, (const char *)w->data + (size_t)from * elem, elem);
        for (int i = w->ndim - 1; i >= 0 && ++at[i] == shape[i]; i--)
            at[i] = 0;
    }
    memcpy(w->shape, shape, (size_t)w->ndim * sizeof *shape);
    w->data = to;
    return 0;
}

static int turn(kp_keras *k, kp_weight *w)
{
    static const int same[] = {0, 1, 2, 3, 4, 5, 6, 7};
    return rearrange(k, w, same, w->ndim - 2);
}

/* The pieces side by side along the last axis. */
static int join(kp_keras *k, const kp_weight *piece, int n, kp_weight *out)
{
    *out = *piece;
    size_t elem = kp_dtype_size(out->dtype);
    int64_t inner = out->ndim > 0 ? out->shape[out->ndim - 1] : 0, outer = 1;
    for (int i = 0; i + 1 < out->ndim; i++)
        outer *= out->shape[i];
    for (int i = 0; i < n; i++)
        if (out->ndim < 1 || piece[i].dtype != out->dtype || piece[i].ndim != out->ndim ||
            memcmp(piece[i].shape, out->shape, (size_t)out->ndim * sizeof *out->shape) != 0)
            return kp_fail(KP_EMODEL, "%s: the gates' arrays differ in shape", piece[i].where);
    size_t run = (size_t)inner * elem;
    char *to = kp_arena_array(k->mem, (size_t)outer * (size_t)n + 1, run + 1);
    if (to == NULL)
        return KP_ENOMEM;
    for (int64_t o = 0; o < outer; o++)
        for (int i = 0; i < n; i++)
            memcpy(to + ((size_t)o * (size_t)n + (size_t)i) * run,
                   (const char *)piece[i].data + (size_t)o * run, run);
    out->data = to;
    out->shape[out->ndim - 1] = inner * n;
    out->size_bytes = (size_t)outer * (size_t)n * run;
    return 0;
}

/* ---- names ---- */

static const char *old_name(const char *name)
{
    static const char *const names[][2] = {{"kernel", "W"},
                                           {"recurrent_kernel", "U"},
                                           {"bias", "b"},
                                           {"embeddings", "W"},
                                           {"alpha", "alphas"},
                                           {"moving_mean", "running_mean"},
                                           {"moving_variance", "running_std"}};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (strcmp(name, names[i][0]) == 0)
            return names[i][1];
    return name;
}

/* "global/lstm_1_W_i:0" is piece "W_i" of layer "lstm_1"; forward_lstm_1_W_i of its wrapped half.
 */
static bool is_piece(const char *slot, const char *piece, const char **prefix, int *prefix_size)
{
    const char *base = strrchr(slot, '/'), *colon = strchr(slot, ':');
    base = base != NULL ? base + 1 : slot;
    size_t n = colon != NULL ? (size_t)(colon - base) : strlen(base), m = strlen(piece);
    *prefix = base;
    *prefix_size = (int)(n > m ? n - m - 1 : 0);
    return n > m && base[n - m - 1] == '_' && memcmp(base + n - m, piece, m) == 0;
}

static int score(const kp_layer *l, const char *sub, const char *slot, const char *piece)
{
    const char *prefix;
    int size;
    if (!is_piece(slot, piece, &prefix, &size))
        return -1;
    bool backward = kp_legacy_is_backward(l, sub);
    bool says_backward = strncmp(prefix, "backward_", 9) == 0;
    if (backward != says_backward)
        return -1;
    if (strncmp(prefix, "forward_", 8) == 0 || says_backward) {
        int skip = says_backward ? 9 : 8;
        prefix += skip;
        size -= skip;
    }
    return strlen(l->name) == (size_t)size && memcmp(prefix, l->name, (size_t)size) == 0 ? 2 : 1;
}

static kp_slot *slot_of(const kp_slots *s, const kp_layer *l, const char *sub, const char *piece)
{
    kp_slot *best = NULL;
    int best_points = 0;
    for (int i = 0; i < s->n_slots; i++) {
        int points = score(l, sub, s->slots[i].name, piece);
        if (points > best_points ||
            (points > 0 && points == best_points && best->used && !s->slots[i].used)) {
            best = &s->slots[i];
            best_points = points;
        }
    }
    return best;
}

static int read_piece(kp_keras *k, const kp_slots *s, const kp_layer *l, const char *sub,
                      const char *piece, kp_weight *out)
{
    kp_slot *slot = slot_of(s, l, sub, piece);
    if (slot == NULL)
        return KP_ENOTFOUND;
    slot->used = true;
    out->where = kp_arena_printf(k->mem, "%s%s/%s", k->legacy_prefix, s->layer_name, slot->name);
    if (out->where == NULL)
        return KP_ENOMEM;
    return kp_place_read(&(kp_place){.h5 = k->h5, .object = slot->object}, out);
}

/* ---- Keras 1 ---- */

/* Kernels stood in the order of the image's axes, and those of one dimension had a second one. */
static int modern_kernel(kp_keras *k, const kp_layer *l, kp_weight *w)
{
    static const int two[] = {2, 3, 1, 0}, three[] = {2, 3, 4, 1, 0}, swap[] = {0, 1, 3, 2},
                     back[] = {2, 3, 0, 1};
    bool first = is_first(l);
    if (strcmp(l->class_name, "Conv1D") == 0 && w->ndim == 4) {
        if (w->shape[1] != 1)
            KP_TRY(rearrange(k, w, two, 0));
        w->shape[1] = w->shape[2];
        w->shape[2] = w->shape[3];
        w->ndim = 3;
    } else if (strcmp(l->class_name, "Conv2D") == 0 && w->ndim == 4 && first) {
        return rearrange(k, w, two, 0);
    } else if (strcmp(l->class_name, "ConvLSTM2D") == 0 && w->ndim == 4 && first) {
        return rearrange(k, w, two, 0);
    } else if (strcmp(l->class_name, "Conv2DTranspose") == 0 && w->ndim == 4) {
        return rearrange(k, w, first ? back : swap, 0);
    } else if (strcmp(l->class_name, "Conv3D") == 0 && w->ndim == 5 && first) {
        return rearrange(k, w, three, 0);
    }
    return 0;
}

static bool is_kernel(const char *name)
{
    return strcmp(name, "kernel") == 0 || strcmp(name, "recurrent_kernel") == 0;
}

static int read_gates(kp_keras *k, const kp_slots *s, const kp_layer *l, const char *sub,
                      const char *name, const char *gates, kp_weight *out)
{
    kp_weight piece[PIECES_MAX] = {0};
    int n = (int)strlen(gates);
    for (int i = 0; i < n; i++) {
        char text[32];
        snprintf(text, sizeof text, "%s_%c", old_name(name), gates[i]);
        KP_TRY(read_piece(k, s, l, sub, text, &piece[i]));
        if (is_kernel(name))
            KP_TRY(modern_kernel(k, l, &piece[i]));
    }
    return join(k, piece, n, out);
}

static int read_first(kp_keras *k, const kp_slots *s, const kp_layer *l, const char *sub,
                      const char *name, kp_weight *out)
{
    const char *gates = strcmp(l->class_name, "GRU") == 0          ? "zrh"
                        : strcmp(l->class_name, "LSTM") == 0       ? "ifco"
                        : strcmp(l->class_name, "ConvLSTM2D") == 0 ? "ifco"
                                                                   : "";
    int status = *gates != '\0' ? read_gates(k, s, l, sub, name, gates, out) : KP_ENOTFOUND;
    if (status != KP_ENOTFOUND)
        return status;
    KP_TRY(read_piece(k, s, l, sub, old_name(name), out));
    return is_kernel(name) ? modern_kernel(k, l, out) : 0;
}

int kp_old_weight(kp_keras *k, const kp_layer *l, const char *sub, const char *name, kp_weight *out)
{
    const kp_slots *s = ((const kp_store *)l->store)->slots;
    if (k->format != KP_FORMAT_LEGACY_H5 || k->major != 1 || s == NULL)
        return KP_ENOTFOUND;
    KP_TRY(read_first(k, s, l, sub, name, out));
    return is_kernel(name) && is_turned(l) && on_theano(k, s) ? turn(k, out) : 0;
}

int kp_old_turn(kp_keras *k, const kp_layer *l, const char *name, kp_weight *w)
{
    if (k->format != KP_FORMAT_LEGACY_H5 || k->major != 2 || !is_kernel(name) || !is_turned(l) ||
        !on_theano(k, NULL) || w->ndim < 3)
        return 0;
    return turn(k, w);
}

/* Theano centres a kernel by half its size, whatever the stride; TensorFlow puts what is left over
 * to the end. */
static int note_half(void *ctx, kp_layer *l)
{
    static const char *const classes[] = {"Conv1D", "Conv2D", "Conv3D", "SeparableConv2D",
                                          "DepthwiseConv2D"};
    const kp_keras *k = ctx;
    bool known = false;
    for (size_t i = 0; i < sizeof classes / sizeof *classes; i++)
        known = known || strcmp(l->class_name, classes[i]) == 0;
    if (!known || strcmp(kp_json_str(l->config, "padding", ""), "same") != 0 ||
        !on_theano(k, ((const kp_store *)l->store)->slots))
        return 0;
    return json_object_set_new((json_t *)(uintptr_t)l->config, "padding", json_string("half")) == 0
               ? 0
               : kp_fail(KP_ENOMEM, "out of memory");
}

int kp_old_padding(kp_keras *k)
{
    return k->major < 3 ? kp_layer_walk(k->root, note_half, k) : 0;
}
