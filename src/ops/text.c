/* Texts: made plain, cut into tokens, joined to n-grams, looked up. */
#include "ops/ops.h"

#include <stdlib.h>

/* The tokens of one text after the other, in memory that grows to the largest. */
typedef struct work {
    const kp_texts *p;
    char *plain; /* the text's bytes, made plain */
    size_t plain_cap;
    kp_text *tokens;
    int64_t n, cap;
    char *gram;
    size_t gram_cap;
} work;

static void work_free(work *w)
{
    free(w->plain);
    free(w->tokens);
    free(w->gram);
}

static int grow(char **buf, size_t *cap, size_t need)
{
    if (need <= *cap)
        return 0;
    need += need / 2 + 64;
    char *made = realloc(*buf, need);
    if (made == NULL)
        return kp_fail(KP_ENOMEM, "out of memory: %zu bytes of text", need);
    *buf = made;
    *cap = need;
    return 0;
}

static int add_token(work *w, const char *data, size_t size)
{
    if (w->n == w->cap) {
        int64_t cap = w->cap * 2 + 64;
        kp_text *made = realloc(w->tokens, (size_t)cap * sizeof *made);
        if (made == NULL)
            return kp_fail(KP_ENOMEM, "out of memory: %lld tokens", (long long)cap);
        w->tokens = made;
        w->cap = cap;
    }
    w->tokens[w->n++] = (kp_text){data, size};
    return 0;
}

static bool is_punctuation(char c)
{
    return (c >= '!' && c <= '/') || (c >= ':' && c <= '@') || (c >= '[' && c <= '`') ||
           (c >= '{' && c <= '~');
}

/* Appends the standardised text at *at of w->plain, which has room. */
static kp_text make_plain(work *w, kp_text t, size_t *at)
{
    char *to = w->plain + *at;
    size_t n = 0;
    for (size_t i = 0; i < t.size; i++) {
        char c = t.data[i];
        if (w->p->strip_punctuation && is_punctuation(c))
            continue;
        to[n++] = w->p->lower && c >= 'A' && c <= 'Z' ? (char)(c + ('a' - 'A')) : c;
    }
    *at += n;
    return (kp_text){to, n};
}

static bool is_space(char c)
{
    return c == ' ' || (c >= '\t' && c <= '\r');
}

static int split_words(work *w, kp_text t)
{
    size_t i = 0;
    while (i < t.size) {
        while (i < t.size && is_space(t.data[i]))
            i++;
        size_t start = i;
        while (i < t.size && !is_space(t.data[i]))
            i++;
        if (i > start)
            KP_TRY(add_token(w, t.data + start, i - start));
    }
    return 0;
}

/* Bytes of the character at s; *good: it is one. A part of a broken character ends before the first
 * byte that cannot continue it (Unicode's "maximal subpart"), as TensorFlow's ICU does it. */
static size_t character(const uint8_t *s, size_t n, bool *good)
{
    uint8_t c = s[0], low = 0x80, high = 0xBF;
    size_t more = c < 0x80 ? 0 : c < 0xE0 ? 1 : c < 0xF0 ? 2 : 3;
    *good = false;
    if ((c >= 0x80 && c < 0xC2) || c > 0xF4)
        return 1;
    if (c == 0xE0)
        low = 0xA0;
    if (c == 0xED)
        high = 0x9F;
    if (c == 0xF0)
        low = 0x90;
    if (c == 0xF4)
        high = 0x8F;
    for (size_t i = 1; i <= more; i++) {
        if (i == n || s[i] < low || s[i] > high)
            return i;
        low = 0x80;
        high = 0xBF;
    }
    *good = true;
    return more + 1;
}

static int split_characters(work *w, kp_text t)
{
    for (size_t i = 0; i < t.size;) {
        bool good;
        size_t n = character((const uint8_t *)t.data + i, t.size - i, &good);
        KP_TRY(good ? add_token(w, t.data + i, n) : add_token(w, "\xEF\xBF\xBD", 3));
        i += n;
    }
    return 0;
}

/* The tokens of row i: of one text, or of the n texts of a row. */
static int tokenise(work *w, const kp_text *row, int64_t n)
{
    size_t at = 0, bytes = 0;
    bool plain = w->p->lower || w->p->strip_punctuation;
    w->n = 0;
    for (int64_t i = 0; plain && i < n; i++)
        bytes += row[i].size;
    KP_TRY(grow(&w->plain, &w->plain_cap, bytes + 1));
    for (int64_t i = 0; i < n; i++) {
        kp_text t = plain ? make_plain(w, row[i], &at) : row[i];
        if (w->p->split == KP_SPLIT_WHITESPACE)
            KP_TRY(split_words(w, t));
        else if (w->p->split == KP_SPLIT_CHARACTER)
            KP_TRY(split_characters(w, t));
        else
            KP_TRY(add_token(w, t.data, t.size));
    }
    return 0;
}

static int64_t count_grams(const kp_texts *p, int64_t n_tokens)
{
    int64_t n = p->n_ngrams == 0 ? n_tokens : 0;
    for (int k = 0; k < p->n_ngrams; k++)
        n += n_tokens >= p->ngrams[k] ? n_tokens - p->ngrams[k] + 1 : 0;
    return n;
}

static int join(work *w, int64_t first, int64_t n, kp_text *out)
{
    size_t size = 0;
    for (int64_t i = 0; i < n; i++) {
        kp_text t = w->tokens[first + i];
        KP_TRY(grow(&w->gram, &w->gram_cap, size + t.size + 1));
        if (i > 0)
            w->gram[size++] = ' ';
        if (t.size > 0)
            memcpy(w->gram + size, t.data, t.size);
        size += t.size;
    }
    *out = (kp_text){w->gram, size};
    return 0;
}

typedef int (*sink)(const kp_texts *p, int64_t *row, int64_t at, kp_text gram);

static int put_index(const kp_texts *p, int64_t *row, int64_t at, kp_text gram)
{
    return at < p->length ? kp_vocabulary_text(p->vocabulary, gram, &row[at]) : 0;
}

static int put_count(const kp_texts *p, int64_t *row, int64_t at, kp_text gram)
{
    int64_t index;
    (void)at;
    KP_TRY(kp_vocabulary_text(p->vocabulary, gram, &index));
    if (index >= 0 && index < p->depth)
        row[index] = p->binary ? 1 : row[index] + 1;
    return 0;
}

/* All grams of the tokens, in Keras' order; with a length no more than count. */
static int give(work *w, int64_t *row, sink put)
{
    const kp_texts *p = w->p;
    int64_t at = 0, most = p->counts ? INT64_MAX : p->length;
    for (int64_t i = 0; p->n_ngrams == 0 && i < w->n && at < most; i++)
        KP_TRY(put(p, row, at++, w->tokens[i]));
    for (int k = 0; k < p->n_ngrams; k++)
        for (int64_t i = 0; i <= w->n - p->ngrams[k] && at < most; i++) {
            kp_text gram;
            KP_TRY(join(w, i, p->ngrams[k], &gram));
            KP_TRY(put(p, row, at++, gram));
        }
    return 0;
}

/* ---- the kernel ---- */

static int infer(const kp_node *n, kp_value *out, int64_t *next_symbol)
{
    const kp_texts *p = n->attr.kernel.params;
    const kp_value *x = n->n_inputs == 1 ? n->inputs[0] : NULL;
    if (x == NULL || x->dtype != KP_STRING)
        return kp_node_fail(n, KP_EUNSUPPORTED, "a text of type %s",
                            x != NULL ? kp_dtype_name(x->dtype) : "none");
    int last = x->ndim - 1;
    bool split = p->split != KP_SPLIT_NONE;
    if (split && x->ndim > 1 && x->shape[last] != 1)
        return kp_node_fail(n, KP_EUNSUPPORTED,
                            "texts that are split must be one a row: the last axis must have size "
                            "1");
    if ((!split && x->ndim < 2) || (p->counts && x->ndim > 2))
        return kp_node_fail(n, KP_EUNSUPPORTED, "texts of %d axes with these settings", x->ndim);
    out->dtype = KP_INT64;
    out->ndim = split && x->ndim == 1 ? 2 : x->ndim;
    memcpy(out->shape, x->shape, sizeof out->shape);
    int64_t *size = &out->shape[out->ndim - 1];
    if (p->counts)
        *size = p->depth;
    else if (p->length >= 0)
        *size = p->length;
    else if (!split && x->shape[last] >= 0)
        *size = count_grams(p, x->shape[last]);
    else
        *size = (*next_symbol)--;
    return 0;
}

static int64_t texts_in_row(const kp_texts *p, const kp_tensor *x)
{
    return p->split == KP_SPLIT_NONE ? x->shape[x->ndim - 1] : 1;
}

static int measure(const void *params, const kp_tensor *in, int n_in, int64_t *size)
{
    work w = {.p = params};
    const kp_text *x = in[0].data;
    int64_t step = texts_in_row(w.p, in), n = kp_tensor_count(in);
    int status = 0;
    (void)n_in;
    *size = 0;
    for (int64_t i = 0; i < n && status == 0; i += step) {
        status = tokenise(&w, x + i, step);
        int64_t grams = count_grams(w.p, w.n);
        *size = grams > *size ? grams : *size;
    }
    work_free(&w);
    return status;
}

static int fix(const void *params, int64_t size, kp_arena *mem, const void **out)
{
    kp_texts *fixed = kp_arena_alloc(mem, sizeof *fixed);
    if (fixed == NULL)
        return KP_ENOMEM;
    memcpy(fixed, params, sizeof *fixed);
    fixed->length = size;
    *out = fixed;
    return 0;
}

static int run(const void *params, const kp_tensor *in, int n_in, kp_tensor *out)
{
    kp_texts p;
    memcpy(&p, params, sizeof p);
    work w = {.p = &p};
    const kp_text *x = in[0].data;
    int64_t *row = out->data, step = texts_in_row(&p, in), n = kp_tensor_count(in);
    int64_t width = out->shape[out->ndim - 1];
    int status = 0;
    (void)n_in;
    p.length = width;
    memset(out->data, 0, (size_t)kp_tensor_count(out) * sizeof *row);
    for (int64_t i = 0; i < n && status == 0; i += step, row += width) {
        status = tokenise(&w, x + i, step);
        if (status == 0)
            status = give(&w, row, p.counts ? put_count : put_index);
    }
    work_free(&w);
    return status;
}

const kp_kernel_def kp_kernel_texts = {
    .name = "texts", .infer = infer, .run = run, .measure = measure, .fix = fix};
