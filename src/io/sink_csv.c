/* CSV as RFC 4180 has it: lines end in CR LF, a field is quoted when it must be. */
#include "io/sink.h"

#include <stdlib.h>

struct csv {
    kp_top top;
    size_t width;     /* fields of values in a row */
    bool width_known; /* and the header line is written */
    kp_buf waiting;   /* files of failed items before that, NUL-terminated */
};

static void put_text(kp_buf *b, const char *text, size_t n)
{
    bool quoted = false;
    for (size_t i = 0; i < n && !quoted; i++)
        quoted = strchr(",\"\r\n", text[i]) != NULL && text[i] != '\0';
    if (!quoted) {
        kp_buf_add(b, text, n);
        return;
    }
    kp_buf_puts(b, "\"");
    for (const char *q; (q = memchr(text, '"', n)) != NULL;) {
        kp_buf_add(b, text, (size_t)(q - text));
        kp_buf_puts(b, "\"\"");
        n -= (size_t)(q + 1 - text);
        text = q + 1;
    }
    kp_buf_add(b, text, n);
    kp_buf_puts(b, "\"");
}

static void put_field(kp_buf *b, const char *text)
{
    put_text(b, text, strlen(text));
}

/* A comma and element i. */
static void put_value(kp_buf *b, kp_dtype dtype, const kp_row_values *v, size_t i)
{
    char text[KP_NUMBER_TEXT + 1] = ",";
    if (dtype == KP_STRING) {
        const char *bytes;
        size_t n = kp_row_text(v, i, &bytes);
        kp_buf_puts(b, ",");
        put_text(b, bytes, n);
        return;
    }
    kp_buf_add(b, text, kp_number_text(text + 1, dtype, v->data + i * v->elem_bytes) + 1);
}

static void put_name(kp_buf *b, const char *name, size_t i)
{
    kp_buf column = {0};
    kp_buf_printf(&column, "%s_%zu", name, i);
    kp_buf_puts(b, ",");
    if (column.data != NULL)
        put_field(b, column.data);
    b->failed |= column.failed;
    kp_buf_free(&column);
}

/* Closes the line: the truth, and the line end. */
static void end_line(kp_sink *s, int64_t truth, bool failed)
{
    kp_buf *b = &s->out.buf;
    if (s->spec.truth)
        kp_buf_puts(b, ",");
    if (s->spec.truth && truth >= 0 && !failed)
        kp_buf_printf(b, "%lld", (long long)truth);
    kp_buf_puts(b, "\r\n");
}

static void failed_line(kp_sink *s, const char *file)
{
    const struct csv *c = s->state;
    put_field(&s->out.buf, file);
    for (size_t i = 0; i < c->width; i++)
        kp_buf_puts(&s->out.buf, ",");
    end_line(s, -1, true);
}

static void begin_values(kp_sink *s, const size_t *widths)
{
    struct csv *c = s->state;
    kp_buf *b = &s->out.buf;
    kp_buf_puts(b, "file");
    for (size_t o = 0; o < s->spec.n_outputs; o++) {
        for (size_t i = 0; i < widths[o]; i++)
            put_name(b, s->names[o], i);
        c->width += widths[o];
    }
    kp_buf_puts(b, s->spec.truth ? ",truth\r\n" : "\r\n");
    c->width_known = true;
    const char *file = c->waiting.data, *end = file != NULL ? file + c->waiting.len : NULL;
    for (; file != end; file += strlen(file) + 1)
        failed_line(s, file);
    kp_buf_free(&c->waiting);
}

static int csv_open(kp_sink *s)
{
    struct csv *c = s->state = calloc(1, sizeof *c);
    if (c == NULL)
        return kp_fail(KP_ENOMEM, "no memory for the output");
    if (s->spec.top > 0) {
        c->width = 4;
        c->width_known = true;
        kp_buf_puts(&s->out.buf, s->spec.truth ? "file,rank,class,label,score,truth\r\n"
                                               : "file,rank,class,label,score\r\n");
        return kp_top_init(&c->top, s->spec.top);
    }
    size_t *widths = calloc(s->spec.n_outputs + 1, sizeof *widths);
    if (widths == NULL)
        return kp_fail(KP_ENOMEM, "no memory for the output");
    bool known = true;
    for (size_t o = 0; o < s->spec.n_outputs; o++) {
        int64_t n;
        known &= kp_shape_count(s->spec.outputs[o].shape, s->spec.outputs[o].ndim, &n);
        widths[o] = known ? (size_t)n : 0;
    }
    if (known)
        begin_values(s, widths);
    free(widths);
    return 0;
}

static int write_top(kp_sink *s, const kp_result_row *r)
{
    struct csv *c = s->state;
    kp_buf *b = &s->out.buf;
    int n;
    KP_TRY(kp_top_find(&c->top, r, s->spec.outputs[0].dtype, &n));
    for (int i = 0; i < n; i++) {
        char score[KP_NUMBER_TEXT];
        kp_number_text(score, KP_FLOAT32, &c->top.scores[i]);
        put_field(b, r->file);
        kp_buf_printf(b, ",%d,%lld,", i + 1, (long long)c->top.classes[i]);
        put_field(b, kp_sink_label(s, c->top.classes[i]));
        kp_buf_puts(b, ",");
        kp_buf_puts(b, score);
        end_line(s, r->truth, false);
    }
    return 0;
}

static int learn_width(kp_sink *s, const kp_result_row *r)
{
    size_t *widths = calloc(s->spec.n_outputs + 1, sizeof *widths);
    int status = widths != NULL ? 0 : kp_fail(KP_ENOMEM, "no memory for the output");
    for (size_t o = 0; status == 0 && o < s->spec.n_outputs; o++) {
        kp_row_values v;
        status = kp_result_row_values(r, o, &v);
        widths[o] = status == 0 ? v.n : 0;
    }
    if (status == 0)
        begin_values(s, widths);
    free(widths);
    return status;
}

static int write_values(kp_sink *s, const kp_result_row *r)
{
    struct csv *c = s->state;
    kp_buf *b = &s->out.buf;
    if (!c->width_known)
        KP_TRY(learn_width(s, r));
    size_t n = 0;
    put_field(b, r->file);
    for (size_t o = 0; o < s->spec.n_outputs; o++) {
        kp_row_values v;
        KP_TRY(kp_result_row_values(r, o, &v));
        n += v.n;
        for (size_t i = 0; n <= c->width && i < v.n; i++)
            put_value(b, r->outputs[o].dtype, &v, i);
    }
    end_line(s, r->truth, false);
    return n == c->width ? 0
                         : kp_fail(KP_ESHAPE,
                                   "the results of \"%s\" have %zu values, those before %zu: "
                                   "write them as .jsonl",
                                   r->file, n, c->width);
}

static int csv_write(kp_sink *s, const kp_result_row *r)
{
    struct csv *c = s->state;
    if (r->error == KP_ITEM_OK)
        return s->spec.top > 0 ? write_top(s, r) : write_values(s, r);
    if (c->width_known)
        failed_line(s, r->file);
    else
        kp_buf_add(&c->waiting, r->file, strlen(r->file) + 1);
    return c->waiting.failed ? kp_fail(KP_ENOMEM, "no memory for the output") : 0;
}

static int csv_flush(kp_sink *s)
{
    return kp_out_flush(&s->out);
}

/* No item was good and the sizes are open: one column for each output. */
static int csv_finish(kp_sink *s)
{
    struct csv *c = s->state;
    size_t *ones = calloc(s->spec.n_outputs + 1, sizeof *ones);
    if (ones == NULL)
        return kp_fail(KP_ENOMEM, "no memory for the output");
    for (size_t o = 0; o < s->spec.n_outputs; o++)
        ones[o] = 1;
    if (!c->width_known)
        begin_values(s, ones);
    free(ones);
    return kp_out_flush(&s->out);
}

static void csv_close(kp_sink *s)
{
    struct csv *c = s->state;
    kp_top_fini(&c->top);
    kp_buf_free(&c->waiting);
}

const kp_sink_writer kp_csv_writer = {csv_open, csv_write, csv_flush, csv_finish, csv_close};
