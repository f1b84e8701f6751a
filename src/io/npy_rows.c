/* Rows of one output as NPY: the header, values, and holes for items that failed. */
#include "io/sink.h"

#include <math.h>
#include <stdlib.h>
#include <zlib.h>

/* NumPy's name of the type; bfloat16 it does not know, so that is widened. */
static const char *descr(kp_dtype dtype)
{
    switch (dtype) {
    case KP_BOOL:
        return "|b1";
    case KP_INT8:
        return "|i1";
    case KP_INT16:
        return "<i2";
    case KP_INT32:
        return "<i4";
    case KP_INT64:
        return "<i8";
    case KP_UINT8:
        return "|u1";
    case KP_UINT16:
        return "<u2";
    case KP_UINT32:
        return "<u4";
    case KP_UINT64:
        return "<u8";
    case KP_FLOAT16:
        return "<f2";
    case KP_FLOAT64:
        return "<f8";
    default:
        return "<f4";
    }
}

static kp_dtype stored_type(kp_dtype dtype)
{
    return dtype == KP_BFLOAT16 ? KP_FLOAT32 : dtype;
}

static int header_text(const kp_npy_rows *w, int64_t n_rows, char *buf, size_t size)
{
    const kp_sink_output *o = &w->output;
    char type[24];
    if (o->dtype == KP_STRING) /* so many characters: no text has more than bytes */
        snprintf(type, sizeof type, "<U%d", o->string_bytes);
    else
        snprintf(type, sizeof type, "%s", descr(o->dtype));
    int n = snprintf(buf, size, "{'descr': '%s', 'fortran_order': False, 'shape': (%lld,", type,
                     (long long)n_rows);
    for (int d = 0; d < o->ndim; d++)
        n += snprintf(buf + n, size - (size_t)n, d + 1 < o->ndim ? " %lld," : " %lld",
                      (long long)o->shape[d]);
    n += snprintf(buf + n, size - (size_t)n, "), }");
    return n;
}

/* The sizes of a row are known: so are the header's length and the bytes of a row. */
static int fix_shape(kp_npy_rows *w)
{
    char text[KP_NPY_HEADER_ROOM];
    if (!kp_border_bytes(w->output.shape, w->output.ndim, stored_type(w->output.dtype),
                         4 * w->output.string_bytes, &w->row_bytes))
        return kp_fail(KP_ELIMIT, "the output \"%s\" is too large", w->output.name);
    int n = header_text(w, INT64_MAX, text, sizeof text);
    w->header_bytes = ((size_t)n + 11 + 63) / 64 * 64;
    w->shape_known = true;
    return 0;
}

int kp_npy_rows_init(kp_npy_rows *w, const kp_sink_output *output)
{
    int64_t n;
    memset(w, 0, sizeof *w);
    w->output = *output;
    w->crc = (uint32_t)crc32(0, NULL, 0);
    if (output->dtype == KP_STRING &&
        (output->string_bytes < 1 || output->string_bytes > INT32_MAX / 4))
        return kp_fail(KP_EUSAGE, "the output \"%s\" is text of any length: write it as .jsonl",
                       output->name);
    return kp_shape_count(output->shape, output->ndim, &n) ? fix_shape(w) : 0;
}

void kp_npy_rows_header(const kp_npy_rows *w, int64_t n_rows, char *header)
{
    char text[KP_NPY_HEADER_ROOM];
    int n = header_text(w, n_rows, text, sizeof text);
    size_t len = w->header_bytes - 10;
    memset(header, ' ', w->header_bytes);
    memcpy(header, "\x93NUMPY\1\0", 8);
    header[8] = (char)(len & 0xff);
    header[9] = (char)(len >> 8);
    memcpy(header + 10, text, (size_t)n);
    header[w->header_bytes - 1] = '\n';
}

/* NaN, or 0 for integers. */
static void put_holes(kp_npy_rows *w, int64_t rows, kp_buf *to)
{
    double nan_value = (double)NAN;
    uint8_t one[8] = {0};
    kp_dtype type = stored_type(w->output.dtype);
    size_t elem = type == KP_STRING ? 4 : kp_dtype_size(type);
    if (kp_dtype_is_float(type))
        kp_convert(type, one, KP_FLOAT64, &nan_value, 1);
    size_t from = to->len;
    for (size_t i = 0; i < (size_t)rows * (w->row_bytes / elem) && !to->failed; i++)
        kp_buf_add(to, one, elem);
    if (!to->failed && to->len > from)
        w->crc = (uint32_t)crc32_z(w->crc, (const uint8_t *)to->data + from, to->len - from);
}

static int learn_shape(kp_npy_rows *w, const kp_row_values *v, kp_buf *to)
{
    w->output.ndim = v->ndim;
    memcpy(w->output.shape, v->shape, sizeof *v->shape * (size_t)v->ndim);
    KP_TRY(fix_shape(w));
    put_holes(w, w->n_waiting, to);
    w->n_waiting = 0;
    return 0;
}

static bool same_shape(const kp_npy_rows *w, const kp_row_values *v)
{
    return v->ndim == w->output.ndim &&
           memcmp(v->shape, w->output.shape, sizeof *v->shape * (size_t)v->ndim) == 0;
}

/* The code point at s, as Python reads UTF-8 with surrogateescape; *n: its bytes. */
static uint32_t code_point(const uint8_t *s, size_t left, size_t *n)
{
    uint32_t c = s[0], least = 0x80;
    size_t more = c < 0x80 ? 0 : c < 0xC2 ? 9 : c < 0xE0 ? 1 : c < 0xF0 ? 2 : c < 0xF5 ? 3 : 9;
    *n = 1;
    if (more == 0)
        return c;
    uint32_t value = more < 9 ? c & (0x3Fu >> more) : 0;
    for (size_t i = 1; more < 9 && i <= more; i++) {
        if (i >= left || (s[i] & 0xC0) != 0x80)
            return 0xDC00 + c;
        value = value << 6 | (s[i] & 0x3Fu);
    }
    least = more == 2 ? 0x800 : more == 3 ? 0x10000 : 0x80;
    if (more == 9 || value < least || value > 0x10FFFF || (value >= 0xD800 && value < 0xE000))
        return 0xDC00 + c;
    *n = more + 1;
    return value;
}

/* String i as NumPy's <U: UCS-4, NUL-padded. */
static void put_characters(const kp_row_values *v, size_t i, int32_t room, kp_buf *to)
{
    const char *text;
    size_t n = kp_row_text(v, i, &text), at = 0, used;
    for (int32_t k = 0; k < room; k++) {
        uint32_t c = 0;
        if (at < n) {
            c = code_point((const uint8_t *)text + at, n - at, &used);
            at += used;
        }
        kp_buf_add(to, &c, sizeof c);
    }
}

static int put_row(kp_npy_rows *w, const kp_result_row *r, size_t o, kp_buf *to)
{
    kp_row_values v;
    KP_TRY(kp_result_row_values(r, o, &v));
    if (!w->shape_known)
        KP_TRY(learn_shape(w, &v, to));
    if (!same_shape(w, &v) || r->outputs[o].dtype != w->output.dtype) {
        char here[KP_SHAPE_TEXT], there[KP_SHAPE_TEXT];
        return kp_fail(KP_ESHAPE,
                       "the result of \"%s\" is %s, those before are %s: write them as .jsonl",
                       r->file, kp_shape_text(v.shape, v.ndim, here, sizeof here),
                       kp_shape_text(w->output.shape, w->output.ndim, there, sizeof there));
    }
    size_t from = to->len;
    if (w->output.dtype == KP_STRING) {
        for (size_t i = 0; i < v.n; i++)
            put_characters(&v, i, w->output.string_bytes, to);
    } else if (w->output.dtype == KP_BFLOAT16) {
        for (size_t i = 0; i < v.n; i++) {
            float f;
            kp_convert(KP_FLOAT32, &f, KP_BFLOAT16, v.data + i * 2, 1);
            kp_buf_add(to, &f, sizeof f);
        }
    } else {
        kp_buf_add(to, v.data, w->row_bytes);
    }
    if (!to->failed && to->len > from)
        w->crc = (uint32_t)crc32_z(w->crc, (const uint8_t *)to->data + from, to->len - from);
    return 0;
}

int kp_npy_rows_add(kp_npy_rows *w, const kp_result_row *r, size_t o, kp_buf *to)
{
    if (r->error == KP_ITEM_OK)
        KP_TRY(put_row(w, r, o, to));
    else if (w->shape_known)
        put_holes(w, 1, to);
    else
        w->n_waiting++;
    w->n_rows++;
    return to->failed ? kp_fail(KP_ENOMEM, "no memory for a row of the output") : 0;
}

int kp_npy_rows_settle(kp_npy_rows *w, kp_buf *to)
{
    if (w->shape_known)
        return 0;
    for (int d = 0; d < w->output.ndim; d++)
        w->output.shape[d] = w->output.shape[d] < 0 ? 0 : w->output.shape[d];
    KP_TRY(fix_shape(w));
    put_holes(w, w->n_waiting, to);
    return to->failed ? kp_fail(KP_ENOMEM, "no memory for a row of the output") : 0;
}
