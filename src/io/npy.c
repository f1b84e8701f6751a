/*
 * The NPY header: magic, version, length, then a Python dict of three keys as text. Read with a
 * small scanner for exactly that: a header that holds more is refused.
 */
#include "io/array.h"

#include <ctype.h>
#include <stdlib.h>

struct scan {
    const char *at, *end, *name;
};

static int malformed(const struct scan *s, const char *what)
{
    return kp_fail(KP_EFORMAT, "cannot read \"%s\": its NPY header %s", s->name, what);
}

static void skip_space(struct scan *s)
{
    while (s->at < s->end && isspace((unsigned char)*s->at))
        s->at++;
}

static bool accept(struct scan *s, char c)
{
    skip_space(s);
    if (s->at == s->end || *s->at != c)
        return false;
    s->at++;
    return true;
}

/* A quoted text without escapes. */
static bool accept_text(struct scan *s, char *buf, size_t size)
{
    skip_space(s);
    if (s->at == s->end || (*s->at != '\'' && *s->at != '"'))
        return false;
    char quote = *s->at;
    const char *from = s->at + 1;
    const char *to = memchr(from, quote, (size_t)(s->end - from));
    if (to == NULL || (size_t)(to - from) >= size)
        return false;
    memcpy(buf, from, (size_t)(to - from));
    buf[to - from] = '\0';
    s->at = to + 1;
    return true;
}

static bool accept_word(struct scan *s, const char *word)
{
    size_t n = strlen(word);
    skip_space(s);
    if ((size_t)(s->end - s->at) < n || memcmp(s->at, word, n) != 0)
        return false;
    s->at += n;
    return true;
}

/* A size; Python 2 wrote a trailing L. */
static bool accept_size(struct scan *s, int64_t *out)
{
    skip_space(s);
    int64_t v = 0;
    const char *from = s->at;
    for (; s->at < s->end && isdigit((unsigned char)*s->at); s->at++) {
        if (__builtin_mul_overflow(v, 10, &v) || __builtin_add_overflow(v, *s->at - '0', &v))
            return false;
    }
    if (s->at == from)
        return false;
    if (s->at < s->end && *s->at == 'L')
        s->at++;
    *out = v;
    return true;
}

static const struct {
    char kind;
    size_t bytes;
    kp_dtype dtype;
} kinds[] = {
    {'b', 1, KP_BOOL},   {'i', 1, KP_INT8},    {'i', 2, KP_INT16},   {'i', 4, KP_INT32},
    {'i', 8, KP_INT64},  {'u', 1, KP_UINT8},   {'u', 2, KP_UINT16},  {'u', 4, KP_UINT32},
    {'u', 8, KP_UINT64}, {'f', 2, KP_FLOAT16}, {'f', 4, KP_FLOAT32}, {'f', 8, KP_FLOAT64},
};

/* "<f4", ">i8", "|u1", "<U12". */
static int parse_descr(const struct scan *s, const char *descr, kp_npy_header *h)
{
    const char *p = descr;
    char order = strchr("<>|=", *p) != NULL && *p != '\0' ? *p++ : '=';
    char kind = *p != '\0' ? *p++ : '?';
    size_t n = 0;
    for (; isdigit((unsigned char)*p) && n <= 1u << 20; p++)
        n = n * 10 + (size_t)(*p - '0');
    if (*p != '\0' || n > 1u << 20)
        kind = '?';
    h->big_endian = order == '>';
    if (kind == 'U' || kind == 'S') {
        h->dtype = KP_STRING;
        h->ucs4 = kind == 'U';
        h->elem_bytes = h->ucs4 ? n * 4 : n;
        return 0;
    }
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++) {
        if (kinds[i].kind == kind && kinds[i].bytes == n) {
            h->dtype = kinds[i].dtype;
            h->elem_bytes = n;
            return 0;
        }
    }
    return kp_fail(KP_EUSAGE,
                   "cannot use \"%s\": its elements are of the type %s; save numbers, e.g. "
                   "x.astype(\"float32\")",
                   s->name, kind == 'O' ? "\"object\"" : descr);
}

static int parse_shape(struct scan *s, kp_npy_header *h)
{
    if (!accept(s, '('))
        return malformed(s, "has no shape");
    while (!accept(s, ')')) {
        if (h->ndim == KP_MAX_DIMS)
            return kp_fail(KP_EUSAGE, "cannot use \"%s\": it has more than %d axes", s->name,
                           KP_MAX_DIMS);
        if (!accept_size(s, &h->shape[h->ndim]))
            return malformed(s, "has a damaged shape");
        h->ndim++;
        if (!accept(s, ',')) {
            if (!accept(s, ')'))
                return malformed(s, "has a damaged shape");
            return 0;
        }
    }
    return 0;
}

static int parse_value(struct scan *s, const char *key, kp_npy_header *h, unsigned *seen)
{
    char descr[32];
    if (strcmp(key, "descr") == 0) {
        *seen |= 1;
        skip_space(s);
        if (s->at < s->end && *s->at == '[')
            return kp_fail(KP_EUSAGE,
                           "cannot use \"%s\": its rows are records with fields; save "
                           "one array of numbers",
                           s->name);
        return accept_text(s, descr, sizeof descr) ? parse_descr(s, descr, h)
                                                   : malformed(s, "has a damaged type");
    }
    if (strcmp(key, "fortran_order") == 0) {
        *seen |= 2;
        h->fortran_order = accept_word(s, "True");
        return h->fortran_order || accept_word(s, "False") ? 0
                                                           : malformed(s, "has a damaged order");
    }
    if (strcmp(key, "shape") == 0) {
        *seen |= 4;
        return parse_shape(s, h);
    }
    return malformed(s, "has an unknown key");
}

static int parse_dict(struct scan *s, kp_npy_header *h)
{
    unsigned seen = 0;
    char key[16];
    if (!accept(s, '{'))
        return malformed(s, "is damaged");
    while (!accept(s, '}')) {
        h->ndim = seen & 4 ? h->ndim : 0;
        if (!accept_text(s, key, sizeof key) || !accept(s, ':'))
            return malformed(s, "is damaged");
        if (strcmp(key, "shape") == 0)
            h->ndim = 0;
        KP_TRY(parse_value(s, key, h, &seen));
        if (!accept(s, ',')) {
            if (!accept(s, '}'))
                return malformed(s, "is damaged");
            break;
        }
    }
    return seen == 7 ? 0 : malformed(s, "lacks its type, order or shape");
}

int kp_npy_parse(const uint8_t *bytes, size_t size, const char *name, kp_npy_header *h)
{
    memset(h, 0, sizeof *h);
    if (size < 10)
        return size < 6 || memcmp(bytes, "\x93NUMPY", 6) == 0
                   ? KP_EAGAIN
                   : kp_fail(KP_EFORMAT, "cannot read \"%s\": it is not an NPY file", name);
    if (memcmp(bytes, "\x93NUMPY", 6) != 0)
        return kp_fail(KP_EFORMAT, "cannot read \"%s\": it is not an NPY file", name);
    if (bytes[6] < 1 || bytes[6] > 3)
        return kp_fail(KP_EFORMAT, "cannot read \"%s\": NPY version %d is not known", name,
                       bytes[6]);
    size_t at = bytes[6] == 1 ? 10 : 12;
    size_t len = (size_t)bytes[8] | (size_t)bytes[9] << 8;
    if (bytes[6] > 1 && size < 12)
        return KP_EAGAIN;
    if (bytes[6] > 1)
        len |= (size_t)bytes[10] << 16 | (size_t)bytes[11] << 24;
    if (len > KP_NPY_HEADER_MAX - 12)
        return kp_fail(KP_ELIMIT, "cannot read \"%s\": its NPY header is longer than 64 kB", name);
    if (size < at + len)
        return KP_EAGAIN;
    const char *text = (const char *)bytes + at;
    struct scan s = {text, text + len, name};
    KP_TRY(parse_dict(&s, h));
    h->data_offset = at + len;
    return 0;
}

/* UTF-8 of one code point; what is none becomes U+FFFD. Returns its length, at most 4. */
static size_t put_utf8(uint32_t c, uint8_t *out)
{
    if (c > 0x10ffff || (c >= 0xd800 && c < 0xe000))
        c = 0xfffd;
    if (c < 0x80) {
        out[0] = (uint8_t)c;
        return 1;
    }
    size_t n = c < 0x800 ? 2 : c < 0x10000 ? 3 : 4;
    static const uint8_t lead[] = {0, 0, 0xc0, 0xe0, 0xf0};
    for (size_t i = n; i-- > 1; c >>= 6)
        out[i] = (uint8_t)(0x80 | (c & 0x3f));
    out[0] = (uint8_t)(lead[n] | c);
    return n;
}

static void text_element(const kp_npy_header *h, const uint8_t *src, uint8_t *dst)
{
    size_t n = h->elem_bytes / 4;
    for (size_t i = 0; i < n; i++, src += 4) {
        uint32_t c =
            h->big_endian
                ? (uint32_t)src[0] << 24 | (uint32_t)src[1] << 16 | (uint32_t)src[2] << 8 | src[3]
                : (uint32_t)src[3] << 24 | (uint32_t)src[2] << 16 | (uint32_t)src[1] << 8 | src[0];
        if (c != 0)
            dst += put_utf8(c, dst);
    }
}

static void swap_elements(uint8_t *p, size_t elem_bytes, size_t n)
{
    for (size_t i = 0; i < n; i++, p += elem_bytes) {
        for (size_t a = 0, b = elem_bytes - 1; a < b; a++, b--) {
            uint8_t t = p[a];
            p[a] = p[b];
            p[b] = t;
        }
    }
}

void kp_npy_elements(const kp_npy_header *h, int32_t string_bytes, const uint8_t *src, void *dst,
                     size_t n)
{
    if (h->ucs4) {
        memset(dst, 0, n * (size_t)string_bytes);
        for (size_t i = 0; i < n; i++)
            text_element(h, src + i * h->elem_bytes, (uint8_t *)dst + i * (size_t)string_bytes);
        return;
    }
    if (h->dtype == KP_STRING && (size_t)string_bytes != h->elem_bytes) {
        memset(dst, 0, n * (size_t)string_bytes);
        for (size_t i = 0; i < n; i++)
            memcpy((uint8_t *)dst + i * (size_t)string_bytes, src + i * h->elem_bytes,
                   h->elem_bytes);
        return;
    }
    memcpy(dst, src, n * h->elem_bytes);
    if (h->big_endian && h->dtype != KP_STRING && h->elem_bytes > 1)
        swap_elements(dst, h->elem_bytes, n);
}
