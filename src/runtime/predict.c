/* Arrays in, arrays out: shapes are checked, rows cast and scaled, batches formed. */
#include "runtime/gather.h"
#include "runtime/model.h"
#include "runtime/texts.h"

#include <stdlib.h>

enum { ALIGN = 64 };

/* Keras' Functional model takes an array that has one trailing axis of size 1 too many, or lacks
 * one: the rank is mended before shapes are compared. */
static void mend_rank(const kp_port *port, const kp_tensor *t, int64_t *shape, int *ndim)
{
    memcpy(shape, t->shape, sizeof t->shape);
    *ndim = t->ndim;
    if (t->ndim == port->ndim + 1 && t->shape[t->ndim - 1] == 1) {
        *ndim = t->ndim - 1;
    } else if (t->ndim == port->ndim - 1 && port->shape[port->ndim - 1] == 1) {
        shape[t->ndim] = 1;
        *ndim = t->ndim + 1;
    }
}

static int shape_error(const kp_model *m, size_t i, const int64_t *shape, int ndim)
{
    const kp_port *port = &m->info.inputs[i];
    char got[KP_SHAPE_TEXT], want[KP_SHAPE_TEXT];
    return kp_fail(KP_ESHAPE, "input %zu (\"%s\") has the shape %s, but model \"%s\" expects %s", i,
                   port->name, kp_shape_text(shape, ndim, got, sizeof got), m->info.name,
                   kp_shape_text(port->shape, port->ndim, want, sizeof want));
}

/* Bytes of an element in the caller's arrays; 0: not a type that can be given. */
static size_t border_bytes(const kp_tensor *t)
{
    if (t->dtype == KP_STRING)
        return t->string_bytes > 0 ? (size_t)t->string_bytes : 0;
    return kp_dtype_size(t->dtype);
}

static int check_tensor(const kp_port *port, const kp_tensor *t, size_t i)
{
    int64_t count;
    size_t bytes;
    if (t->ndim < 1 || t->ndim > KP_MAX_DIMS || border_bytes(t) == 0)
        return kp_fail(KP_EINVAL, "input %zu: an array of rank %d of type %s cannot be predicted",
                       i, t->ndim, kp_dtype_name(t->dtype));
    if ((t->dtype == KP_STRING) != (port->dtype == KP_STRING))
        return kp_fail(KP_ESHAPE, "input %zu (\"%s\") is an array of type %s, the model takes %s",
                       i, port->name, kp_dtype_name(t->dtype), kp_dtype_name(port->dtype));
    if (!kp_shape_count(t->shape, t->ndim, &count) ||
        !kp_mul_size((size_t)count, border_bytes(t), &bytes) || bytes > t->size_bytes)
        return kp_fail(KP_EINVAL, "input %zu: its %zu bytes are fewer than its shape says", i,
                       t->size_bytes);
    if (t->data == NULL && bytes > 0)
        return kp_fail(KP_EINVAL, "input %zu has no data", i);
    return 0;
}

/* Checks the inputs; shapes gets what each input looks like to the model, *n_rows their number. */
static int take_inputs(const kp_model *m, const kp_tensor *in, size_t n_in, int64_t *shapes,
                       int64_t *n_rows)
{
    if (n_in != m->info.n_inputs)
        return kp_fail(KP_ESHAPE, "model \"%s\" has %zu inputs, got %zu arrays", m->info.name,
                       m->info.n_inputs, n_in);
    for (size_t i = 0; i < n_in; i++) {
        const kp_port *port = &m->info.inputs[i];
        int64_t *shape = shapes + i * KP_MAX_DIMS;
        int ndim;
        KP_TRY(check_tensor(port, &in[i], i));
        mend_rank(port, &in[i], shape, &ndim);
        if (ndim != port->ndim)
            return shape_error(m, i, in[i].shape, in[i].ndim);
        for (int d = 1; d < ndim; d++) {
            if (port->shape[d] >= 0 && port->shape[d] != shape[d])
                return shape_error(m, i, in[i].shape, in[i].ndim);
        }
        if (i > 0 && shape[0] != *n_rows)
            return kp_fail(KP_ESHAPE, "the inputs differ in their number of rows: %lld and %lld",
                           (long long)*n_rows, (long long)shape[0]);
        *n_rows = shape[0];
    }
    return 0;
}

/* An output array for n_rows rows of elements of elem bytes: the caller's memory is checked,
 * missing memory is allocated. */
static int make_output(const kp_value *v, int64_t n_rows, size_t elem, size_t index, kp_tensor *t)
{
    int64_t shape[KP_MAX_DIMS], count;
    size_t bytes, with_room;
    memcpy(shape, v->shape, sizeof shape);
    shape[0] = n_rows;
    if (!kp_shape_count(shape, v->ndim, &count) || !kp_mul_size((size_t)count, elem, &bytes) ||
        !kp_add_size(bytes, ALIGN - 1, &with_room) || elem > INT32_MAX)
        return kp_fail(KP_ELIMIT, "output %zu of %lld rows is too large", index, (long long)n_rows);
    if (t->data != NULL && t->size_bytes < bytes)
        return kp_fail(KP_ESHAPE, "output %zu needs %zu bytes, the given array has %zu", index,
                       bytes, t->size_bytes);
    if (t->data == NULL) {
        with_room &= ~(size_t)(ALIGN - 1);
        t->data = aligned_alloc(ALIGN, with_room < ALIGN ? ALIGN : with_room);
        if (t->data == NULL)
            return kp_fail(KP_ENOMEM, "out of memory: %zu bytes for output %zu", bytes, index);
        t->size_bytes = bytes;
    }
    t->dtype = v->dtype;
    t->ndim = v->ndim;
    t->string_bytes = v->dtype == KP_STRING ? (int32_t)elem : 0;
    memcpy(t->shape, shape, sizeof shape);
    return 0;
}

/* The rows [first, first + n) of input i where the backend can read them: in place when type,
 * scaling and alignment allow, else through the variant's buffer. */
static int feed(kp_model *m, kp_variant *v, const kp_tensor *t, size_t i, int64_t first, int64_t n)
{
    static const kp_scaling none = {.identity = true};
    const kp_value *value = v->graph->inputs[i];
    const kp_scaling *s = kp_port_is_image(&m->info.inputs[i], &m->scaling) ? &m->scaling : &none;
    int64_t row_values = 1;
    for (int d = 1; d < value->ndim; d++)
        row_values *= value->shape[d];
    const uint8_t *src =
        (const uint8_t *)t->data + (size_t)first * (size_t)row_values * border_bytes(t);
    bool texts = t->dtype == KP_STRING;
    if (!texts && s->identity && t->dtype == value->dtype && ((uintptr_t)src & (ALIGN - 1)) == 0) {
        m->in_now[i] = src;
        return 0;
    }
    void *buffer;
    KP_TRY(kp_variant_in_buffer(v, i, &buffer));
    m->in_now[i] = buffer;
    if (texts) {
        kp_texts_read(buffer, src, border_bytes(t), n * row_values);
        return 0;
    }
    int64_t channels = value->ndim > 1 ? value->shape[value->ndim - 1] : 1;
    return kp_gather(s, channels, value->dtype, buffer, t->dtype, src, n * row_values);
}

/* results: an array of all rows for each output, as the engine keeps its elements. The inputs of a
 * model with open sizes have been fed already. */
static int run_batch(kp_model *m, kp_variant *v, const kp_tensor *in, void *const *results,
                     int64_t first, int64_t n)
{
    for (size_t i = 0; m->n_open == 0 && i < m->info.n_inputs; i++)
        KP_TRY(feed(m, v, &in[i], i, first, n));
    for (size_t o = 0; o < m->info.n_outputs; o++) {
        size_t row = kp_value_row_bytes(v->graph->outputs[o]);
        uint8_t *dst = (uint8_t *)results[o] + (size_t)first * row;
        m->out_now[o] = dst;
        if (((uintptr_t)dst & (ALIGN - 1)) != 0)
            KP_TRY(kp_variant_out_buffer(v, o, &m->out_now[o]));
    }
    KP_TRY(m->backend->run(v->exec, m->in_now, m->out_now, n));
    for (size_t o = 0; o < m->info.n_outputs; o++) {
        size_t row = kp_value_row_bytes(v->graph->outputs[o]);
        uint8_t *dst = (uint8_t *)results[o] + (size_t)first * row;
        if (m->out_now[o] != dst)
            memcpy(dst, m->out_now[o], (size_t)n * row);
    }
    return 0;
}

/* Numbers are written where the caller gets them; the width of strings is known at the end. */
static int make_results(const kp_graph *g, int64_t n_rows, kp_tensor *out, void **results)
{
    for (int o = 0; o < g->n_outputs; o++) {
        const kp_value *v = g->outputs[o];
        size_t bytes;
        if (v->dtype != KP_STRING) {
            KP_TRY(make_output(v, n_rows, kp_elem_size(v->dtype), (size_t)o, &out[o]));
            results[o] = out[o].data;
        } else if (!kp_value_bytes(v, n_rows, &bytes) ||
                   (results[o] = calloc(1, bytes > 0 ? bytes : 1)) == NULL) {
            return kp_fail(KP_ENOMEM, "out of memory for output %d of %lld rows", o,
                           (long long)n_rows);
        }
    }
    return 0;
}

static int give_strings(const kp_graph *g, int64_t n_rows, void *const *results, kp_tensor *out)
{
    for (int o = 0; o < g->n_outputs; o++) {
        const kp_value *v = g->outputs[o];
        size_t bytes;
        if (v->dtype != KP_STRING || !kp_value_bytes(v, n_rows, &bytes))
            continue;
        int64_t n = (int64_t)(bytes / sizeof(kp_text));
        size_t width = kp_texts_longest(results[o], n);
        KP_TRY(make_output(v, n_rows, width, (size_t)o, &out[o]));
        kp_texts_write(out[o].data, width, results[o], n);
    }
    return 0;
}

/* The variant for the rows [first, first + n): of a model with open sizes they are measured, of one
 * for a number of rows they are counted. */
static int variant_for(kp_model *m, const int64_t *shapes, const kp_tensor *in, int64_t first,
                       int64_t n, kp_variant **v)
{
    if (m->low.rows > 0) {
        m->rows_now = n > 0 ? n : m->low.rows;
        return kp_variant_get(m, shapes, v);
    }
    if (m->n_open == 0)
        return 0;
    for (size_t i = 0; i < m->info.n_inputs; i++)
        KP_TRY(feed(m, m->probe, &in[i], i, first, n));
    KP_TRY(kp_measure_run(m, n));
    return kp_variant_get(m, shapes, v);
}

static int first_variant(kp_model *m, const int64_t *shapes, const kp_tensor *in, int64_t n_rows,
                         kp_variant **v)
{
    int64_t batch = m->info.max_batch;
    if (m->n_open == 0 && m->low.rows == 0)
        return kp_variant_get(m, shapes, v);
    if (m->n_open > 0)
        KP_TRY(kp_measure_begin(m, shapes, n_rows <= batch));
    return variant_for(m, shapes, in, 0, n_rows < batch ? n_rows : batch, v);
}

static int predict_rows(kp_model *m, const int64_t *shapes, kp_variant *v, const kp_tensor *in,
                        kp_tensor *out, int64_t n_rows)
{
    const kp_graph *g = v->graph;
    int64_t batch = v->max_batch;
    void **results = calloc(m->info.n_outputs, sizeof *results);
    int rc = results == NULL ? kp_fail(KP_ENOMEM, "out of memory")
                             : make_results(g, n_rows, out, results);
    for (int64_t first = 0; rc == 0 && first < n_rows; first += batch) {
        int64_t n = n_rows - first < batch ? n_rows - first : batch;
        const kp_variant *before = v;
        rc = first == 0 ? 0 : variant_for(m, shapes, in, first, n, &v);
        if (rc == 0 && m->low.rows > 0)
            rc = kp_variant_joins(m, before, v);
        if (rc == 0)
            rc = run_batch(m, v, in, results, first, n);
    }
    if (rc == 0)
        rc = give_strings(v->graph, n_rows, results, out);
    for (size_t o = 0; results != NULL && o < m->info.n_outputs; o++) {
        if (m->low.outputs[o].dtype == KP_STRING)
            free(results[o]);
    }
    free(results);
    return rc;
}

int kp_model_predict(kp_model *m, const kp_tensor *in, size_t n_in, kp_tensor *out, size_t n_out)
{
    if (m == NULL || in == NULL || out == NULL)
        return kp_fail(KP_EINVAL, "kp_model_predict without a model, inputs or outputs");
    if (n_out != m->info.n_outputs)
        return kp_fail(KP_EINVAL, "model \"%s\" has %zu outputs, room for %zu was given",
                       m->info.name, m->info.n_outputs, n_out);
    int64_t *shapes = calloc(m->info.n_inputs, KP_MAX_DIMS * sizeof *shapes);
    bool *given = calloc(n_out, sizeof *given);
    int64_t n_rows = 0;
    kp_variant *v = NULL;
    int rc = shapes == NULL || given == NULL ? kp_fail(KP_ENOMEM, "out of memory") : 0;
    if (rc == 0)
        rc = take_inputs(m, in, n_in, shapes, &n_rows);
    if (rc == 0 && m->low.rows > 0 && m->low.named_rows == m->low.rows && n_rows != m->low.rows)
        rc = kp_fail(KP_ESHAPE, "model \"%s\" is made for batches of %lld rows, got %lld",
                     m->info.name, (long long)m->low.rows, (long long)n_rows);
    if (rc == 0)
        rc = first_variant(m, shapes, in, n_rows, &v);
    for (size_t o = 0; rc == 0 && o < n_out; o++)
        given[o] = out[o].data != NULL;
    if (rc == 0) {
        rc = predict_rows(m, shapes, v, in, out, n_rows);
        for (size_t o = 0; rc != 0 && o < n_out; o++) {
            if (!given[o])
                kp_tensor_release(&out[o]);
        }
    }
    free(given);
    free(shapes);
    return rc;
}
