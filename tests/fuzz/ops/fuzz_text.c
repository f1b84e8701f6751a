/* Texts, vocabularies and hashes on any bytes. The first bytes choose the settings; then come the
 * vocabulary, a line a token, a NUL, and texts, each up to a NUL. Whatever they hold, the size that
 * is measured is the size that is filled, and every index lies in the vocabulary. */
#include "ops/ops.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size);

enum { MOST = 1 << 12, SETTINGS = 4 };

static void must(bool ok)
{
    if (!ok)
        abort();
}

/* The pieces of the bytes up to a NUL, cut at `end`. Returns how many bytes were used. */
static size_t cut(const char *s, size_t n, char end, kp_text *out, int64_t *n_out)
{
    size_t from = 0, i = 0;
    *n_out = 0;
    for (; i <= n && *n_out < MOST; i++) {
        bool stop = i == n || (end != '\0' && s[i] == '\0');
        if (!stop && s[i] != end)
            continue;
        out[(*n_out)++] = (kp_text){s + from, i - from};
        from = i + 1;
        if (stop)
            break;
    }
    return i < n ? i + 1 : n;
}

static kp_texts settings(const uint8_t *b, const kp_vocabulary *v)
{
    kp_texts t = {.lower = b[0] & 1,
                  .strip_punctuation = b[0] & 2,
                  .split = b[0] & 4 ? KP_SPLIT_CHARACTER : KP_SPLIT_WHITESPACE,
                  .n_ngrams = b[1] % 4,
                  .ngrams = {1 + b[2] % 5, 1 + b[3] % 3, 2},
                  .vocabulary = v,
                  .length = -1,
                  .depth = v->first + v->n,
                  .counts = b[0] & 8,
                  .binary = b[0] & 16};
    return t;
}

static void fill(kp_texts *t, kp_tensor *in, int64_t width)
{
    kp_tensor out = {.dtype = KP_INT64, .ndim = 2, .shape = {in->shape[0], width}};
    int64_t n = in->shape[0] * width, *ids = calloc((size_t)n + 1, sizeof *ids);
    must(ids != NULL);
    out.data = ids;
    t->length = width;
    must(kp_kernel_texts.run(t, in, 1, &out) == 0);
    for (int64_t i = 0; i < n; i++)
        must(ids[i] >= 0 && (t->counts || ids[i] < t->depth));
    free(ids);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
    static kp_text tokens[MOST], texts[MOST];
    kp_vocabulary v = {.texts = tokens, .first = 2, .n_oov = 1, .oov_start = 1, .masked = true};
    const char *s = (const char *)bytes + SETTINGS;
    kp_arena *mem;
    int64_t repeated, width = 0;
    if (size < SETTINGS || size > 1 << 16)
        return 0;
    kp_tensor in = {.dtype = KP_STRING, .ndim = 1, .data = texts};
    size_t used = cut(s, size - SETTINGS, '\n', tokens, &v.n);
    cut(s + used, size - SETTINGS - used, '\0', texts, &in.shape[0]);
    v.n_oov = 1 + bytes[1] / 128;
    v.first = 1 + v.n_oov;
    v.oov = (kp_hashing){(uint64_t)v.n_oov, bytes[2] & 128, {bytes[1], bytes[2]}};
    must(kp_arena_new(&mem, 0) == 0);
    if (kp_vocabulary_index(&v, mem, &repeated) == 0) {
        kp_texts t = settings(bytes, &v);
        must(kp_kernel_texts.measure(&t, &in, 1, &width) == 0);
        fill(&t, &in, t.counts ? t.depth : width < MOST ? width : MOST);
    }
    kp_arena_free(&mem);
    return 0;
}
