/* NPY files for test programs. */
#include "runtime/npy.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const struct {
    const char *descr;
    kp_dtype dtype;
} types[] = {{"|b1", KP_BOOL},   {"|i1", KP_INT8},    {"<i2", KP_INT16},   {"<i4", KP_INT32},
             {"<i8", KP_INT64},  {"|u1", KP_UINT8},   {"<u2", KP_UINT16},  {"<u4", KP_UINT32},
             {"<u8", KP_UINT64}, {"<f2", KP_FLOAT16}, {"<f4", KP_FLOAT32}, {"<f8", KP_FLOAT64}};

static bool parse_header(const char *h, kp_tensor *t)
{
    const char *descr = strstr(h, "'descr': '"), *shape = strstr(h, "'shape': (");
    if (descr == NULL || shape == NULL || strstr(h, "'fortran_order': False") == NULL)
        return false;
    for (size_t i = 0; i < sizeof types / sizeof *types; i++) {
        if (strncmp(descr + 10, types[i].descr, 3) == 0)
            t->dtype = types[i].dtype;
    }
    int64_t chars = 0;
    t->ndim = 0;
    if (descr[10] == '<' && descr[11] == 'U')
        chars = strtoll(descr + 12, NULL, 10);
    if (descr[10] == '|' && descr[11] == 'S')
        t->string_bytes = (int32_t)strtoll(descr + 12, NULL, 10);
    if (descr[11] == 'U' || descr[11] == 'S')
        t->dtype = KP_STRING;
    t->size_bytes = chars > 0             ? (size_t)chars * 4
                    : t->string_bytes > 0 ? (size_t)t->string_bytes
                                          : kp_dtype_size(t->dtype);
    for (char *at = (char *)shape + 10; *at != ')' && t->ndim < KP_MAX_DIMS;) {
        char *end;
        t->shape[t->ndim] = strtoll(at, &end, 10);
        if (end == at)
            return false;
        t->size_bytes *= (size_t)t->shape[t->ndim++];
        at = end + strspn(end, ", ");
    }
    return t->dtype != KP_DTYPE_NONE;
}

static size_t put_utf8(char *to, uint32_t c)
{
    if (c < 0x80)
        return to[0] = (char)c, 1;
    int more = c < 0x800 ? 1 : c < 0x10000 ? 2 : 3;
    to[0] = (char)(((0xFF00 >> (more + 1)) & 0xFF) | (c >> (6 * more)));
    for (int i = 1; i <= more; i++)
        to[i] = (char)(0x80 | ((c >> (6 * (more - i))) & 0x3F));
    return (size_t)more + 1;
}

/* UCS-4 as NumPy keeps it becomes UTF-8 of the same number of bytes at most. */
static bool to_utf8(kp_tensor *t)
{
    int64_t count = 1;
    for (int d = 0; d < t->ndim; d++)
        count *= t->shape[d];
    t->string_bytes = count > 0 ? (int32_t)(t->size_bytes / (size_t)count) : 4;
    char *made = calloc(1, t->size_bytes + 1);
    for (int64_t i = 0; made != NULL && i < count; i++) {
        const uint8_t *from = (const uint8_t *)t->data + (size_t)(i * t->string_bytes);
        char *to = made + i * t->string_bytes;
        for (int32_t k = 0; k < t->string_bytes / 4; k++) {
            uint32_t c;
            memcpy(&c, from + 4 * k, 4);
            if (c == 0)
                break;
            to += put_utf8(to, c);
        }
    }
    free(t->data);
    t->data = made;
    return made != NULL;
}

bool npy_read(const char *path, kp_tensor *t)
{
    unsigned char head[10];
    char text[1024] = "";
    memset(t, 0, sizeof *t);
    FILE *f = fopen(path, "rb");
    bool ok = f != NULL && fread(head, 1, 10, f) == 10 && memcmp(head, "\x93NUMPY\x01", 7) == 0;
    size_t len = ok ? (size_t)head[8] + 256 * (size_t)head[9] : 0;
    ok = ok && len < sizeof text && fread(text, 1, len, f) == len && parse_header(text, t);
    if (ok) {
        t->data = aligned_alloc(64, (t->size_bytes + 64) / 64 * 64);
        ok = t->data != NULL && fread(t->data, 1, t->size_bytes, f) == t->size_bytes;
    }
    if (ok && t->dtype == KP_STRING && t->string_bytes == 0)
        ok = to_utf8(t);
    if (f != NULL)
        fclose(f);
    if (!ok)
        fprintf(stderr, "%s: cannot be read as NPY\n", path);
    return ok;
}

bool npy_write(const char *path, const kp_tensor *t)
{
    const char *descr = NULL;
    char text_type[24];
    if (t->dtype == KP_STRING) {
        snprintf(text_type, sizeof text_type, "|S%d", (int)t->string_bytes);
        descr = text_type;
    }
    for (size_t i = 0; i < sizeof types / sizeof *types; i++) {
        if (types[i].dtype == t->dtype)
            descr = types[i].descr;
    }
    if (descr == NULL)
        return false;
    char text[256];
    int n =
        snprintf(text, sizeof text, "{'descr': '%s', 'fortran_order': False, 'shape': (", descr);
    for (int d = 0; d < t->ndim; d++)
        n += snprintf(text + n, sizeof text - (size_t)n, "%lld,", (long long)t->shape[d]);
    n += snprintf(text + n, sizeof text - (size_t)n, "), }");
    while ((n + 11) % 64 != 0)
        text[n++] = ' ';
    text[n++] = '\n';
    unsigned char head[10] = {0x93, 'N', 'U', 'M', 'P', 'Y', 1, 0, (unsigned char)n, 0};
    FILE *f = fopen(path, "wb");
    bool ok = f != NULL && fwrite(head, 1, 10, f) == 10 &&
              fwrite(text, 1, (size_t)n, f) == (size_t)n &&
              fwrite(t->data, 1, t->size_bytes, f) == t->size_bytes;
    if (f != NULL && fclose(f) != 0)
        ok = false;
    if (!ok)
        fprintf(stderr, "%s: cannot be written\n", path);
    return ok;
}
