/* Vocabularies of lookup layers: from the config, or from the archive's assets as Keras reads them
 * back (the lines of a text file, special tokens first). */
#include "lower/categories.h"

#include <errno.h>
#include <stdlib.h>

enum { TOKENS_MAX = 1 << 24 };

/* Tokens as they are stored, with special ones in front or not. */
typedef struct tokens {
    kp_text *texts; /* data NULL: null */
    int64_t *numbers;
    bool *missing; /* of numbers: null */
    int64_t n;
} tokens;

static int fail(const kp_layer *l, const char *why)
{
    return kp_fail(KP_EMODEL, "layer \"%s\" (%s): %s", l->path, l->class_name, why);
}

static int room(kp_lw *w, const kp_lw_lookup *s, int64_t n, tokens *out)
{
    *out = (tokens){0};
    if (n > TOKENS_MAX)
        return kp_fail(KP_ELIMIT, "a vocabulary of %lld tokens is too large", (long long)n);
    size_t room = (size_t)n + 1;
    if (s->texts)
        out->texts = kp_arena_array(w->mem, room, sizeof *out->texts);
    else
        out->numbers = kp_arena_array(w->mem, room, sizeof *out->numbers);
    out->missing = kp_arena_array(w->mem, room, sizeof *out->missing);
    bool made = (out->texts || out->numbers) && out->missing;
    return made ? 0 : KP_ENOMEM;
}

/* ---- from the config ---- */

static bool one_from_config(const json_t *v, const kp_lw_lookup *s, tokens *t)
{
    int64_t i = t->n++;
    if (json_is_null(v)) {
        t->missing[i] = true;
        return true;
    }
    if (s->texts) {
        t->texts[i] = (kp_text){json_string_value(v), json_string_length(v)};
        return json_is_string(v);
    }
    double d = json_number_value(v);
    bool whole = json_is_integer(v) || (json_is_real(v) && fabs(d) < 9e15 && floor(d) == d);
    t->numbers[i] = json_is_integer(v) ? json_integer_value(v) : whole ? (int64_t)d : 0;
    return whole;
}

static int from_config(kp_lw *w, const kp_layer *l, const json_t *list, const kp_lw_lookup *s,
                       tokens *t)
{
    KP_TRY(room(w, s, (int64_t)json_array_size(list), t));
    for (size_t i = 0; i < json_array_size(list); i++)
        if (!one_from_config(json_array_get(list, i), s, t))
            return fail(l, s->texts ? "the vocabulary holds something that is no string"
                                    : "the vocabulary holds something that is no integer");
    return 0;
}

/* ---- from the assets ---- */

/* Bytes of the line end at s by Python's str.splitlines, 0: there is none. */
static size_t line_end(const char *s, size_t n)
{
    const uint8_t *b = (const uint8_t *)s;
    if (b[0] == '\r')
        return n > 1 && b[1] == '\n' ? 2 : 1;
    if ((b[0] >= '\n' && b[0] <= '\f') || (b[0] >= 0x1c && b[0] <= 0x1e))
        return 1;
    if (n > 1 && b[0] == 0xC2 && b[1] == 0x85)
        return 2;
    if (n > 2 && b[0] == 0xE2 && b[1] == 0x80 && (b[2] == 0xA8 || b[2] == 0xA9))
        return 3;
    return 0;
}

/* The next line; *s and *n move behind it. */
static kp_text next_line(const char **s, size_t *n)
{
    kp_text line = {*s, 0};
    size_t end = 0;
    while (line.size < *n && (end = line_end(*s + line.size, *n - line.size)) == 0)
        line.size++;
    *s += line.size + end;
    *n -= line.size + end;
    return line;
}

static int64_t count_lines(const char *s, size_t n)
{
    int64_t lines = 0, filled = 0;
    while (n > 0) {
        lines++;
        if (next_line(&s, &n).size > 0)
            filled = lines; /* empty lines at the end do not count */
    }
    return filled;
}

static bool to_number(kp_text line, int64_t *out)
{
    char buf[32], *end;
    if (line.size == 0 || line.size >= sizeof buf)
        return false;
    memcpy(buf, line.data, line.size);
    buf[line.size] = '\0';
    errno = 0;
    *out = strtoll(buf, &end, 10);
    return errno == 0 && *end == '\0';
}

static int from_asset(kp_lw *w, const kp_layer *l, const char *data, size_t size,
                      const kp_lw_lookup *s, tokens *t)
{
    int64_t n = count_lines(data, size);
    KP_TRY(room(w, s, n, t));
    for (; t->n < n; t->n++) {
        kp_text line = next_line(&data, &size);
        if (s->texts)
            t->texts[t->n] = line;
        else if (!to_number(line, &t->numbers[t->n]))
            return fail(l, "its file vocabulary.txt holds a line that is no integer");
    }
    return 0;
}

static int read_tokens(kp_lw *w, const kp_layer *l, const kp_lw_lookup *s, tokens *t)
{
    const json_t *v = json_object_get(l->config, "vocabulary");
    const char *data;
    size_t size;
    if (json_is_array(v))
        return from_config(w, l, v, s, t);
    int status = kp_keras_asset(w->k, l, "vocabulary.txt", &data, &size);
    if (status == KP_ENOTFOUND)
        return fail(l, json_is_string(v)
                           ? "its vocabulary is a path outside of the model file, which is not "
                             "read; give the tokens as a list and save the model again"
                           : "the file does not hold its vocabulary; adapt() the layer and save "
                             "the model as .keras");
    KP_TRY(status);
    return from_asset(w, l, data, size, s, t);
}

/* ---- special tokens ---- */

static bool is_special(const tokens *t, int64_t i, bool there, kp_text text, int64_t number)
{
    if (t->missing[i] || !there)
        return t->missing[i] && !there;
    if (t->texts != NULL)
        return t->texts[i].size == text.size &&
               (text.size == 0 || memcmp(t->texts[i].data, text.data, text.size) == 0);
    return t->numbers[i] == number;
}

static bool starts_special(const kp_lw_lookup *s, const tokens *t)
{
    bool slot = s->masked && s->indices;
    if (t->n < s->first)
        return false;
    for (int64_t i = 0; i < s->first; i++) {
        bool is_mask = slot && i == 0;
        if (!is_special(t, i, is_mask || s->has_oov, is_mask ? s->mask : s->oov,
                        is_mask ? s->mask_number : s->oov_number))
            return false;
    }
    return true;
}

static int check_sizes(const kp_layer *l, kp_lw_lookup *s, int64_t n_tokens)
{
    if (n_tokens < 1)
        return fail(l, "its vocabulary is empty");
    if (s->max_tokens > 0 && s->first + n_tokens > s->max_tokens)
        return fail(l, "its vocabulary has more tokens than max_tokens");
    if (s->pad && s->max_tokens == 0)
        return fail(l, "pad_to_max_tokens without max_tokens");
    s->depth = s->pad ? s->max_tokens : s->first + n_tokens;
    if (s->depth > TOKENS_MAX)
        return kp_fail(KP_ELIMIT, "layer \"%s\": vectors of %lld sizes are too large", l->path,
                       (long long)s->depth);
    return 0;
}

int kp_lw_vocabulary(kp_lw *w, const kp_layer *l, kp_lw_lookup *s)
{
    tokens t = {0};
    kp_vocabulary *v = kp_arena_alloc(w->mem, sizeof *v);
    int64_t repeated;
    if (!v)
        return KP_ENOMEM;
    if (s->n_oov < 0 || s->n_oov > TOKENS_MAX)
        return fail(l, "\"num_oov_indices\" is out of range");
    v->oov_start = s->masked && s->indices ? 1 : 0;
    s->first = v->first = v->oov_start + s->n_oov;
    KP_TRY(read_tokens(w, l, s, &t));
    int64_t skip = starts_special(s, &t) ? s->first : 0;
    KP_TRY(check_sizes(l, s, t.n - skip));
    for (int64_t i = skip; i < t.n; i++)
        if (t.missing[i])
            return fail(l, "its vocabulary holds null among the tokens");
    v->texts = t.texts ? t.texts + skip : NULL;
    v->numbers = t.numbers ? t.numbers + skip : NULL;
    v->n = t.n - skip;
    v->masked = s->masked;
    v->mask = s->mask;
    v->mask_number = s->mask_number;
    v->mask_index = s->indices ? 0 : INT64_MAX;
    v->n_oov = s->n_oov;
    v->floormod = s->floormod;
    v->oov = (kp_hashing){(uint64_t)s->n_oov, s->salted, {s->key[0], s->key[1]}};
    s->vocabulary = v;
    int status = kp_vocabulary_index(v, w->mem, &repeated);
    return status == KP_EMODEL ? fail(l, "its vocabulary holds a token twice") : status;
}

/* ---- weights of inverse document frequency ---- */

/* As stored: of the whole vector already. */
static int idf_stored(kp_lw *w, const kp_layer *l, const kp_lw_lookup *s, const char *sub,
                      float *out)
{
    kp_weight weight;
    KP_TRY(kp_keras_weight(w->k, l, sub, 0, "idf_weights", 1, &s->depth, &weight));
    return kp_convert(KP_FLOAT32, out, weight.dtype, weight.data, (size_t)s->depth);
}

/* From the config: of the vocabulary as it was given; special tokens get the mean. */
static int idf_config(kp_lw *w, const kp_layer *l, const kp_lw_lookup *s, float *out)
{
    double *v = kp_arena_array(w->mem, (size_t)s->depth + 1, sizeof *v), sum = 0;
    int n, front = 0;
    if (!v)
        return KP_ENOMEM;
    KP_TRY(kp_lw_numbers(l, "idf_weights", (int)s->depth, v, &n));
    if (n == s->vocabulary->n)
        front = (int)s->first;
    else if (n != s->vocabulary->n + s->first)
        return fail(l, "\"idf_weights\" does not have a number for each token");
    for (int i = 0; i < n; i++)
        sum += v[i];
    for (int i = 0; i < front; i++)
        out[i] = (float)(sum / n);
    for (int i = 0; i < n; i++)
        out[front + i] = (float)v[i];
    return 0;
}

int kp_lw_idf(kp_lw *w, const kp_layer *l, const kp_lw_lookup *s, kp_value **out)
{
    float *v = kp_arena_array(w->mem, (size_t)s->depth, sizeof *v);
    bool stored = kp_keras_weight_count(w->k, l, "") > 0;
    if (!v)
        return KP_ENOMEM;
    if (s->sub && kp_keras_weight_count(w->k, l, s->sub) > 0)
        KP_TRY(idf_stored(w, l, s, s->sub, v));
    KP_TRY(stored ? idf_stored(w, l, s, "", v) : idf_config(w, l, s, v));
    return kp_lw_const(w, v, &s->depth, 1, out);
}

/* ---- settings ---- */

int kp_lw_lookup_sizes(const kp_layer *l, kp_lw_lookup *s)
{
    KP_TRY(kp_cfg_int(l, "max_tokens", 0, &s->max_tokens));
    if (s->max_tokens < 0 || s->max_tokens > TOKENS_MAX)
        return fail(l, "\"max_tokens\" is out of range");
    return kp_cfg_bool(l, "pad_to_max_tokens", false, &s->pad);
}

int kp_lw_salt(const kp_layer *l, bool *salted, uint64_t key[2])
{
    const json_t *v = json_object_get(l->config, "salt");
    bool list = json_is_array(v);
    *salted = !kp_lw_is_null(l, "salt");
    for (size_t i = 0; *salted && i < 2; i++) {
        const json_t *e = list ? json_array_get(v, i) : v;
        if (!json_is_integer(e) || (list && json_array_size(v) != 2))
            return fail(l, "\"salt\" is not a number or a list of two");
        key[i] = (uint64_t)json_integer_value(e);
    }
    return 0;
}
