/* JSON Lines: one object an item. */
#include "io/sink.h"

#include <stdlib.h>

static int jsonl_open(kp_sink *s)
{
    kp_top *top = s->state = calloc(1, sizeof *top);
    if (top == NULL)
        return kp_fail(KP_ENOMEM, "no memory for the output");
    return s->spec.top > 0 ? kp_top_init(top, s->spec.top) : 0;
}

static void put_error(kp_buf *b, const kp_result_row *r)
{
    const char *message = r->message != NULL ? r->message : "";
    kp_buf_printf(b, ",\"error\":{\"code\":\"%s\",\"message\":", kp_item_error_name(r->error));
    kp_buf_json_string(b, message, strlen(message));
    kp_buf_puts(b, "}");
}

static int put_top(kp_sink *s, kp_buf *b, const kp_result_row *r)
{
    kp_top *top = s->state;
    int n;
    KP_TRY(kp_top_find(top, r, s->spec.outputs[0].dtype, &n));
    kp_buf_puts(b, ",\"top\":[");
    for (int i = 0; i < n; i++) {
        const char *label = kp_sink_label(s, top->classes[i]);
        char score[KP_NUMBER_TEXT];
        kp_number_json(score, KP_FLOAT32, &top->scores[i]);
        kp_buf_printf(b, "%s{\"class\":%lld,\"label\":", i > 0 ? "," : "",
                      (long long)top->classes[i]);
        kp_buf_json_string(b, label, strlen(label));
        kp_buf_printf(b, ",\"score\":%s}", score);
    }
    kp_buf_puts(b, "]");
    return 0;
}

static void put_value(kp_buf *b, kp_dtype dtype, const kp_row_values *v, size_t i)
{
    char text[KP_NUMBER_TEXT];
    if (dtype == KP_STRING) {
        const char *bytes;
        size_t n = kp_row_text(v, i, &bytes);
        kp_buf_json_string(b, bytes, n);
        return;
    }
    kp_buf_add(b, text, kp_number_json(text, dtype, v->data + i * v->elem_bytes));
}

/* Opens and closes a bracket wherever an axis begins or ends: element i is the first of axis d when
 * i is a multiple of the product of the sizes from d on. */
static void put_nested(kp_buf *b, const kp_row_values *v, kp_dtype dtype)
{
    size_t block[KP_MAX_DIMS + 1];
    size_t size = 1;
    for (int d = v->ndim; d-- > 0;)
        block[d] = size *= (size_t)v->shape[d];
    for (size_t i = 0; i < v->n; i++) {
        if (i > 0)
            kp_buf_add(b, ",", 1);
        for (int d = 0; d < v->ndim; d++) {
            if (i % block[d] == 0)
                kp_buf_add(b, "[", 1);
        }
        put_value(b, dtype, v, i);
        for (int d = v->ndim; d-- > 0;) {
            if ((i + 1) % block[d] == 0)
                kp_buf_add(b, "]", 1);
        }
    }
    if (v->n == 0)
        kp_buf_puts(b, "[]");
}

static int put_outputs(kp_sink *s, kp_buf *b, const kp_result_row *r)
{
    kp_buf_puts(b, ",\"outputs\":{");
    for (size_t o = 0; o < s->spec.n_outputs; o++) {
        kp_row_values v;
        KP_TRY(kp_result_row_values(r, o, &v));
        if (o > 0)
            kp_buf_puts(b, ",");
        kp_buf_json_string(b, s->names[o], strlen(s->names[o]));
        kp_buf_puts(b, ":");
        put_nested(b, &v, r->outputs[o].dtype);
    }
    kp_buf_puts(b, "}");
    return 0;
}

static int jsonl_write(kp_sink *s, const kp_result_row *r)
{
    kp_buf *b = &s->out.buf;
    kp_buf_printf(b, "{\"index\":%llu,\"file\":", (unsigned long long)r->index);
    kp_buf_json_string(b, r->file, strlen(r->file));
    if (r->error != KP_ITEM_OK)
        put_error(b, r);
    else
        KP_TRY(s->spec.top > 0 ? put_top(s, b, r) : put_outputs(s, b, r));
    if (s->spec.truth && r->truth >= 0)
        kp_buf_printf(b, ",\"truth\":%lld", (long long)r->truth);
    kp_buf_puts(b, "}\n");
    return 0;
}

static int jsonl_flush(kp_sink *s)
{
    return kp_out_flush(&s->out);
}

static void jsonl_close(kp_sink *s)
{
    kp_top_fini(s->state);
}

const kp_sink_writer kp_jsonl_writer = {jsonl_open, jsonl_write, jsonl_flush, jsonl_flush,
                                        jsonl_close};
