/* Values of a result: where a row lies, its numbers as text, its best classes. */
#include "io/sink.h"

#include <inttypes.h>
#include <math.h>
#include <stdlib.h>

int kp_result_row_values(const kp_result_row *r, size_t output, kp_row_values *v)
{
    const kp_tensor *t = &r->outputs[output];
    int64_t n;
    size_t bytes;
    v->ndim = t->ndim > 0 ? t->ndim - 1 : 0;
    v->shape = t->shape + 1;
    v->elem_bytes = t->dtype == KP_STRING ? (size_t)t->string_bytes : kp_dtype_size(t->dtype);
    if (!kp_shape_count(v->shape, v->ndim, &n) || !kp_mul_size((size_t)n, v->elem_bytes, &bytes))
        return kp_fail(KP_ELIMIT, "the model's output %zu is too large", output);
    v->n = (size_t)n;
    v->data = (const uint8_t *)t->data + (size_t)r->row * bytes;
    return 0;
}

size_t kp_row_text(const kp_row_values *v, size_t i, const char **text)
{
    size_t n = v->elem_bytes;
    *text = (const char *)v->data + i * v->elem_bytes;
    while (n > 0 && (*text)[n - 1] == '\0')
        n--;
    return n;
}

/* Integers of every type in one; false for floats. */
static bool as_integer(kp_dtype dtype, const void *value, int64_t *i, uint64_t *u)
{
    *i = -1;
    *u = 0;
    if (dtype == KP_UINT64) {
        memcpy(u, value, sizeof *u);
        return true;
    }
    if (kp_dtype_is_float(dtype) || dtype == KP_STRING)
        return false;
    kp_convert(KP_INT64, i, dtype, value, 1);
    *u = (uint64_t)*i;
    return true;
}

static double as_double(kp_dtype dtype, const void *value)
{
    double d = 0;
    kp_convert(KP_FLOAT64, &d, dtype, value, 1);
    return d;
}

static size_t finite_text(char *buf, kp_dtype dtype, double d)
{
    return (size_t)snprintf(buf, KP_NUMBER_TEXT, dtype == KP_FLOAT64 ? "%.17g" : "%.9g", d);
}

static size_t integer_text(char *buf, int64_t i, uint64_t u)
{
    return (size_t)(i < 0 && u == (uint64_t)i ? snprintf(buf, KP_NUMBER_TEXT, "%" PRId64, i)
                                              : snprintf(buf, KP_NUMBER_TEXT, "%" PRIu64, u));
}

static size_t put(char *buf, const char *word)
{
    size_t n = strlen(word);
    memcpy(buf, word, n + 1);
    return n;
}

size_t kp_number_text(char *buf, kp_dtype dtype, const void *value)
{
    int64_t i;
    uint64_t u;
    if (as_integer(dtype, value, &i, &u))
        return integer_text(buf, i, u);
    double d = as_double(dtype, value);
    if (isnan(d))
        return put(buf, "nan");
    if (isinf(d))
        return put(buf, d > 0 ? "inf" : "-inf");
    return finite_text(buf, dtype, d);
}

size_t kp_number_json(char *buf, kp_dtype dtype, const void *value)
{
    int64_t i;
    uint64_t u;
    if (dtype == KP_BOOL)
        return put(buf, *(const uint8_t *)value != 0 ? "true" : "false");
    if (as_integer(dtype, value, &i, &u))
        return integer_text(buf, i, u);
    double d = as_double(dtype, value);
    if (isnan(d))
        return put(buf, "NaN");
    if (isinf(d))
        return put(buf, d > 0 ? "Infinity" : "-Infinity");
    size_t n = finite_text(buf, dtype, d);
    /* A float stays a float for who reads it. */
    return strpbrk(buf, ".e") != NULL ? n : n + put(buf + n, ".0");
}

/* Whether class a goes before class b: larger, NaN last; equal ones by index. */
static bool before(const float *v, int64_t a, int64_t b)
{
    bool nan_a = isnan(v[a]), nan_b = isnan(v[b]);
    if (nan_a != nan_b)
        return nan_b;
    if (!nan_a && v[a] != v[b])
        return v[a] > v[b];
    return a < b;
}

void kp_top_classes(const float *values, int64_t n, int k, int64_t *classes)
{
    int have = 0;
    for (int64_t c = 0; c < n; c++) {
        if (have == k && !before(values, c, classes[k - 1]))
            continue;
        int at = have < k ? have++ : k - 1;
        for (; at > 0 && before(values, c, classes[at - 1]); at--)
            classes[at] = classes[at - 1];
        classes[at] = c;
    }
}

int kp_top_init(kp_top *t, int k)
{
    memset(t, 0, sizeof *t);
    t->k = k;
    t->classes = calloc((size_t)k, sizeof *t->classes);
    t->scores = calloc((size_t)k, sizeof *t->scores);
    return t->classes != NULL && t->scores != NULL
               ? 0
               : kp_fail(KP_ENOMEM, "no memory for the best classes");
}

int kp_top_find(kp_top *t, const kp_result_row *r, kp_dtype dtype, int *n)
{
    kp_row_values v;
    KP_TRY(kp_result_row_values(r, 0, &v));
    if (v.n > t->row_n) {
        float *row = realloc(t->row, v.n * sizeof *row);
        if (row == NULL)
            return kp_fail(KP_ENOMEM, "no memory for the best classes");
        t->row = row;
        t->row_n = v.n;
    }
    KP_TRY(kp_convert(KP_FLOAT32, t->row, dtype, v.data, v.n));
    *n = (int64_t)v.n < t->k ? (int)v.n : t->k;
    kp_top_classes(t->row, (int64_t)v.n, *n, t->classes);
    for (int i = 0; i < *n; i++)
        t->scores[i] = t->row[t->classes[i]];
    return 0;
}

void kp_top_fini(kp_top *t)
{
    free(t->classes);
    free(t->scores);
    free(t->row);
    memset(t, 0, sizeof *t);
}
