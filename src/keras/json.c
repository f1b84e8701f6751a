/*
 * JSON as Python writes it. One pass before jansson checks depth and number of values and rewrites
 * what jansson does not take: NaN, Infinity, -Infinity, integers beyond 64 bits.
 */
#include "keras/private.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>

enum {
    MAX_DEPTH = 256,
    MAX_VALUES = 6000000, /* each takes 24 to 100 bytes once parsed */
};

struct pass {
    const char *text, *end;
    const char *what;
    const char *copied; /* up to here the text is in out, if out is used */
    const char *key;    /* the last string before the present token */
    size_t key_size;
    int depth;
    long values;
    kp_buf out;
};

/* Takes n bytes at p out of the text and puts replacement there. */
static void replace(struct pass *s, const char *p, size_t n, const char *replacement)
{
    kp_buf_add(&s->out, s->copied, (size_t)(p - s->copied));
    kp_buf_puts(&s->out, replacement);
    s->copied = p + n;
}

static const char *skip_string(struct pass *s, const char *p)
{
    const char *start = ++p;
    while (p < s->end && *p != '"')
        p += *p == '\\' && p + 1 < s->end ? 2 : 1;
    s->key = start;
    s->key_size = (size_t)(p - start);
    return p < s->end ? p + 1 : s->end;
}

static bool starts(const struct pass *s, const char *p, const char *word)
{
    size_t n = strlen(word);
    return (size_t)(s->end - p) >= n && memcmp(p, word, n) == 0;
}

/* An integer of more than 18 digits that strtoll cannot hold. */
static void big_integer(struct pass *s, const char *p, size_t n)
{
    kp_buf copy = {0};
    kp_buf_add(&copy, p, n);
    if (copy.failed)
        s->out.failed = true;
    else {
        errno = 0;
        (void)strtoll(copy.data, NULL, 10);
        if (errno == ERANGE) {
            kp_buf fresh = {0};
            static const char id[] = "shared_object_id";
            bool is_id = s->key_size == sizeof id - 1 && memcmp(s->key, id, sizeof id - 1) == 0;
            kp_buf_printf(&fresh, is_id ? "\"%s\"" : "%s.0", copy.data);
            if (fresh.failed)
                s->out.failed = true;
            else
                replace(s, p, n, fresh.data);
            kp_buf_free(&fresh);
        }
    }
    kp_buf_free(&copy);
}

static const char *skip_number(struct pass *s, const char *p)
{
    static const char *const words[] = {"NaN", "Infinity", "-Infinity"};
    for (size_t i = 0; i < 3; i++)
        if (starts(s, p, words[i])) {
            char quoted[16];
            snprintf(quoted, sizeof quoted, "\"%s\"", words[i]);
            replace(s, p, strlen(words[i]), quoted);
            return p + strlen(words[i]);
        }
    const char *start = p;
    bool integer = true;
    for (p++; p < s->end && strchr("0123456789+-.eE", *p) != NULL && *p != '\0'; p++)
        integer = integer && *p >= '0' && *p <= '9';
    if (integer && p - start > 18)
        big_integer(s, start, (size_t)(p - start));
    return p;
}

static int pre_pass(struct pass *s)
{
    const char *p = s->text;
    while (p < s->end) {
        switch (*p) {
        case '"':
            p = skip_string(s, p);
            break;
        case '{':
        case '[':
            s->values++;
            if (++s->depth > MAX_DEPTH)
                return kp_fail(KP_EMODEL, "%s is nested deeper than %d levels", s->what, MAX_DEPTH);
            p++;
            break;
        case '}':
        case ']':
            s->depth--;
            p++;
            break;
        case ',':
        case ':':
            if (++s->values > MAX_VALUES)
                return kp_fail(KP_EMODEL, "%s has more than %d values", s->what, MAX_VALUES);
            p++;
            break;
        default:
            p = *p == '-' || *p == 'N' || *p == 'I' || (*p >= '0' && *p <= '9') ? skip_number(s, p)
                                                                                : p + 1;
        }
    }
    return 0;
}

static int parse(json_t **out, const char *text, size_t size, const char *what)
{
    json_error_t error;
    *out = json_loadb(text, size, JSON_REJECT_DUPLICATES | JSON_DECODE_ANY, &error);
    if (*out == NULL)
        return kp_fail(KP_EMODEL, "%s is not proper JSON: %s (at byte %d)", what, error.text,
                       error.position);
    return 0;
}

int kp_json_read(json_t **out, const char *text, size_t size, const char *what)
{
    *out = NULL;
    if (size > KP_TEXT_LIMIT)
        return kp_fail(KP_EMODEL, "%s has %zu bytes, more than the %d allowed", what, size,
                       KP_TEXT_LIMIT);
    struct pass s = {.text = text, .end = text + size, .what = what, .copied = text, .key = text};
    int status = pre_pass(&s);
    if (status == 0 && s.copied == text) {
        status = parse(out, text, size, what);
    } else if (status == 0) {
        kp_buf_add(&s.out, s.copied, (size_t)(s.end - s.copied));
        status = s.out.failed ? kp_fail(KP_ENOMEM, "out of memory")
                              : parse(out, s.out.data, s.out.len, what);
    }
    kp_buf_free(&s.out);
    return status;
}

bool kp_json_real(const json_t *v, double *out)
{
    if (json_is_number(v)) {
        *out = json_number_value(v);
        return true;
    }
    const char *word = json_string_value(v);
    if (word == NULL)
        return false;
    if (strcmp(word, "NaN") == 0)
        *out = (double)NAN;
    else if (strcmp(word, "Infinity") == 0)
        *out = (double)INFINITY;
    else if (strcmp(word, "-Infinity") == 0)
        *out = -(double)INFINITY;
    else
        return false;
    return true;
}

const char *kp_json_str(const json_t *object, const char *key, const char *dflt)
{
    const char *s = json_string_value(json_object_get(object, key));
    return s != NULL ? s : dflt;
}
