/* Element types, shapes, tensors, conversions between types. */
#include "base/base.h"

#include <math.h>
#include <stdlib.h>

static const struct {
    const char *name;
    size_t size;
} types[KP_DTYPE_COUNT] = {
    [KP_DTYPE_NONE] = {"none", 0}, [KP_BOOL] = {"bool", 1},       [KP_INT8] = {"int8", 1},
    [KP_INT16] = {"int16", 2},     [KP_INT32] = {"int32", 4},     [KP_INT64] = {"int64", 8},
    [KP_UINT8] = {"uint8", 1},     [KP_UINT16] = {"uint16", 2},   [KP_UINT32] = {"uint32", 4},
    [KP_UINT64] = {"uint64", 8},   [KP_FLOAT16] = {"float16", 2}, [KP_BFLOAT16] = {"bfloat16", 2},
    [KP_FLOAT32] = {"float32", 4}, [KP_FLOAT64] = {"float64", 8}, [KP_STRING] = {"string", 0},
};

size_t kp_dtype_size(kp_dtype dtype)
{
    return (unsigned)dtype < KP_DTYPE_COUNT ? types[dtype].size : 0;
}

bool kp_border_bytes(const int64_t *shape, int ndim, kp_dtype dtype, int32_t string_bytes,
                     size_t *out)
{
    int64_t count;
    size_t elem = dtype != KP_STRING ? kp_dtype_size(dtype)
                  : string_bytes > 0 ? (size_t)string_bytes
                                     : 0;
    return elem > 0 && kp_shape_count(shape, ndim, &count) && kp_mul_size((size_t)count, elem, out);
}

size_t kp_elem_size(kp_dtype dtype)
{
    return dtype == KP_STRING ? sizeof(kp_text) : kp_dtype_size(dtype);
}

const char *kp_dtype_name(kp_dtype dtype)
{
    return (unsigned)dtype < KP_DTYPE_COUNT ? types[dtype].name : "unknown";
}

kp_dtype kp_dtype_from_name(const char *name)
{
    for (int i = 1; i < KP_DTYPE_COUNT; i++) {
        if (strcmp(name, types[i].name) == 0)
            return (kp_dtype)i;
    }
    return KP_DTYPE_NONE;
}

bool kp_dtype_is_float(kp_dtype dtype)
{
    return dtype == KP_FLOAT16 || dtype == KP_BFLOAT16 || dtype == KP_FLOAT32 ||
           dtype == KP_FLOAT64;
}

bool kp_shape_count(const int64_t *shape, int ndim, int64_t *out)
{
    int64_t n = 1;
    for (int i = 0; i < ndim; i++) {
        if (shape[i] < 0 || __builtin_mul_overflow(n, shape[i], &n))
            return false;
    }
    *out = n;
    return true;
}

bool kp_shape_bytes(const int64_t *shape, int ndim, kp_dtype dtype, size_t *out)
{
    int64_t n;
    return kp_shape_count(shape, ndim, &n) && kp_mul_size((size_t)n, kp_elem_size(dtype), out);
}

const char *kp_shape_text(const int64_t *shape, int ndim, char *buf, size_t size)
{
    size_t at = 0;
    int n = snprintf(buf, size, "(");
    for (int i = 0; i <= ndim && n >= 0 && at + (size_t)n < size; i++) {
        at += (size_t)n;
        const char *sep = i + 1 < ndim ? ", " : (ndim == 1 ? "," : "");
        if (i == ndim)
            n = snprintf(buf + at, size - at, ")");
        else if (shape[i] < 0)
            n = snprintf(buf + at, size - at, "None%s", sep);
        else
            n = snprintf(buf + at, size - at, "%lld%s", (long long)shape[i], sep);
    }
    return buf;
}

void kp_tensor_release(kp_tensor *t)
{
    if (t == NULL)
        return;
    free(t->data);
    memset(t, 0, sizeof *t);
}

float kp_half_to_float(uint16_t h)
{
    uint32_t sign = (uint32_t)(h >> 15) << 31, exp = (h >> 10) & 31, man = h & 1023, bits;
    float f;
    if (exp == 0) {
        f = ldexpf((float)man, -24);
        return sign ? -f : f;
    }
    bits = exp == 31 ? sign | 0x7f800000u | man << 13 : sign | (exp + 112) << 23 | man << 13;
    memcpy(&f, &bits, sizeof f);
    return f;
}

uint16_t kp_float_to_half(float f)
{
    uint32_t x;
    memcpy(&x, &f, sizeof x);
    uint16_t sign = (uint16_t)(x >> 16 & 0x8000);
    uint32_t abs = x & 0x7fffffff;
    if (abs > 0x7f800000)
        return (uint16_t)(sign | 0x7e00);
    if (abs >= 0x477ff000) /* 65520 and more rounds to infinity */
        return (uint16_t)(sign | 0x7c00);
    if (abs < 0x38800000) { /* below 2^-14: a multiple of 2^-24 */
        float a;
        memcpy(&a, &abs, sizeof a);
        return (uint16_t)(sign | (uint16_t)lrintf(ldexpf(a, 24)));
    }
    uint32_t rounded = abs + 0xfff + (abs >> 13 & 1);
    return (uint16_t)(sign | (rounded - 0x38000000) >> 13);
}

float kp_bfloat16_to_float(uint16_t b)
{
    uint32_t bits = (uint32_t)b << 16;
    float f;
    memcpy(&f, &bits, sizeof f);
    return f;
}

uint16_t kp_float_to_bfloat16(float f)
{
    uint32_t x;
    memcpy(&x, &f, sizeof x);
    if ((x & 0x7fffffff) > 0x7f800000)
        return (uint16_t)(x >> 16 | 0x40);
    return (uint16_t)((x + 0x7fff + (x >> 16 & 1)) >> 16);
}

/* An element is read as one of three kinds that hold every type exactly. */
struct number {
    enum { SIGNED, UNSIGNED, REAL } kind;
    int64_t i;
    uint64_t u;
    double f;
};

#define LOAD(type)                                                                                 \
    type v;                                                                                        \
    memcpy(&v, p, sizeof v)

static struct number load(kp_dtype t, const uint8_t *p)
{
    struct number n = {.kind = REAL};
    switch (t) {
    case KP_BOOL:
        n.kind = UNSIGNED;
        n.u = *p != 0;
        break;
    case KP_UINT8:
        n.kind = UNSIGNED;
        n.u = *p;
        break;
    case KP_INT8: {
        LOAD(int8_t);
        n.kind = SIGNED;
        n.i = v;
        break;
    }
    case KP_INT16: {
        LOAD(int16_t);
        n.kind = SIGNED;
        n.i = v;
        break;
    }
    case KP_INT32: {
        LOAD(int32_t);
        n.kind = SIGNED;
        n.i = v;
        break;
    }
    case KP_INT64: {
        LOAD(int64_t);
        n.kind = SIGNED;
        n.i = v;
        break;
    }
    case KP_UINT16: {
        LOAD(uint16_t);
        n.kind = UNSIGNED;
        n.u = v;
        break;
    }
    case KP_UINT32: {
        LOAD(uint32_t);
        n.kind = UNSIGNED;
        n.u = v;
        break;
    }
    case KP_UINT64: {
        LOAD(uint64_t);
        n.kind = UNSIGNED;
        n.u = v;
        break;
    }
    case KP_FLOAT16: {
        LOAD(uint16_t);
        n.f = (double)kp_half_to_float(v);
        break;
    }
    case KP_BFLOAT16: {
        LOAD(uint16_t);
        n.f = (double)kp_bfloat16_to_float(v);
        break;
    }
    case KP_FLOAT32: {
        LOAD(float);
        n.f = (double)v;
        break;
    }
    default: {
        LOAD(double);
        n.f = v;
        break;
    }
    }
    return n;
}

/* Truncation as astype does it; values that do not fit give the smallest int64, as x86 does, so
 * that no conversion is undefined. */
static int64_t to_int64(const struct number *n)
{
    if (n->kind == SIGNED)
        return n->i;
    if (n->kind == UNSIGNED)
        return (int64_t)n->u;
    if (n->f >= -9223372036854775808.0 && n->f < 9223372036854775808.0)
        return (int64_t)n->f;
    if (n->f >= 9223372036854775808.0 && n->f < 18446744073709551616.0)
        return (int64_t)(uint64_t)n->f;
    return INT64_MIN;
}

static double to_double(const struct number *n)
{
    return n->kind == REAL ? n->f : n->kind == SIGNED ? (double)n->i : (double)n->u;
}

#define STORE(type, value)                                                                         \
    type v = (type)(value);                                                                        \
    memcpy(p, &v, sizeof v)

static void store(kp_dtype t, uint8_t *p, const struct number *n)
{
    switch (t) {
    case KP_BOOL:
        *p = to_double(n) != 0;
        break;
    case KP_INT8:
    case KP_UINT8: {
        STORE(uint8_t, to_int64(n));
        break;
    }
    case KP_INT16:
    case KP_UINT16: {
        STORE(uint16_t, to_int64(n));
        break;
    }
    case KP_INT32:
    case KP_UINT32: {
        STORE(uint32_t, to_int64(n));
        break;
    }
    case KP_INT64:
    case KP_UINT64: {
        STORE(int64_t, to_int64(n));
        break;
    }
    case KP_FLOAT16: {
        STORE(uint16_t, kp_float_to_half((float)to_double(n)));
        break;
    }
    case KP_BFLOAT16: {
        STORE(uint16_t, kp_float_to_bfloat16((float)to_double(n)));
        break;
    }
    case KP_FLOAT32: {
        STORE(float, to_double(n));
        break;
    }
    default: {
        STORE(double, to_double(n));
        break;
    }
    }
}

int kp_convert(kp_dtype to, void *dst, kp_dtype from, const void *src, size_t n)
{
    size_t ts = kp_dtype_size(to), fs = kp_dtype_size(from);
    if (ts == 0 || fs == 0)
        return kp_fail(KP_EUNSUPPORTED, "cannot convert %s to %s", kp_dtype_name(from),
                       kp_dtype_name(to));
    if (to == from) {
        if (n > 0)
            memcpy(dst, src, n * ts);
        return 0;
    }
    for (size_t i = 0; i < n; i++) {
        struct number v = load(from, (const uint8_t *)src + i * fs);
        store(to, (uint8_t *)dst + i * ts, &v);
    }
    return 0;
}
