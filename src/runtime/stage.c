/* Rows that lie in segments of other memory: gathered, cast and scaled in one pass, then run. */
#include "runtime/gather.h"
#include "runtime/model.h"
#include "runtime/texts.h"

enum { ALIGN = 64 };

static int64_t row_values(const kp_staging *s)
{
    int64_t n = 1;
    for (int d = 0; d < s->ndim; d++)
        n *= s->shape[d];
    return n;
}

/* A staged row fits when its sizes are the input's; a trailing axis of size 1 may be missing or
 * too many, as in kp_model_predict. shape: the input's sizes, the batch first. */
static int fit_row(const kp_model *m, size_t i, const kp_staging *s, int64_t *shape)
{
    const kp_port *port = &m->info.inputs[i];
    int ndim = s->ndim;
    size_t bytes;
    bool fits = s->ndim >= 0 && s->ndim < KP_MAX_DIMS &&
                (s->dtype == KP_STRING) == (port->dtype == KP_STRING) &&
                kp_border_bytes(s->shape, s->ndim, s->dtype, s->string_bytes, &bytes);
    if (fits) {
        memcpy(shape + 1, s->shape, (size_t)ndim * sizeof *shape);
        if (ndim == port->ndim && s->shape[ndim - 1] == 1)
            ndim--;
        else if (ndim == port->ndim - 2 && port->shape[port->ndim - 1] == 1)
            shape[++ndim] = 1;
        fits = ndim == port->ndim - 1;
    }
    shape[0] = KP_DIM_BATCH;
    for (int d = 1; fits && d < port->ndim; d++)
        fits = port->shape[d] < 0 || port->shape[d] == shape[d];
    if (fits)
        return 0;
    char got[KP_SHAPE_TEXT], want[KP_SHAPE_TEXT];
    return kp_fail(KP_ESHAPE,
                   "a row of input %zu (\"%s\") has the shape %s, but model \"%s\" "
                   "expects %s",
                   i, port->name,
                   kp_shape_text(s->shape, s->ndim < 0 || s->ndim > KP_MAX_DIMS ? 0 : s->ndim, got,
                                 sizeof got),
                   m->info.name, kp_shape_text(port->shape + 1, port->ndim - 1, want, sizeof want));
}

static size_t widest_input(const kp_model *m)
{
    int32_t widest = 1;
    for (size_t i = 0; i < m->info.n_inputs; i++) {
        if (m->staging[i].dtype == KP_STRING && m->staging[i].string_bytes > widest)
            widest = m->staging[i].string_bytes;
    }
    return (size_t)widest;
}

static void describe_outputs(const kp_model *m, const kp_variant *v, kp_port *outputs)
{
    for (size_t o = 0; o < m->info.n_outputs; o++) {
        const kp_value *value = v->graph->outputs[o];
        outputs[o].name = m->info.outputs[o].name;
        outputs[o].dtype = value->dtype;
        outputs[o].ndim = value->ndim;
        memcpy(outputs[o].shape, value->shape, sizeof outputs[o].shape);
    }
}

size_t kp_model_staged_width(const kp_model *m)
{
    return m->staged_width;
}

int kp_model_stage(kp_model *m, const kp_staging *inputs, size_t n_inputs, kp_port *outputs)
{
    if (n_inputs != m->info.n_inputs)
        return kp_fail(KP_ESHAPE, "model \"%s\" has %zu inputs, %zu are staged", m->info.name,
                       m->info.n_inputs, n_inputs);
    if (m->staging == NULL) {
        m->staging = kp_arena_array(m->mem, n_inputs, sizeof *m->staging);
        if (m->staging == NULL)
            return KP_ENOMEM;
    }
    int64_t *shapes = kp_arena_array(m->mem, n_inputs, KP_MAX_DIMS * sizeof *shapes);
    if (shapes == NULL)
        return KP_ENOMEM;
    for (size_t i = 0; i < n_inputs; i++)
        KP_TRY(fit_row(m, i, &inputs[i], shapes + i * KP_MAX_DIMS));
    kp_variant *v;
    void *unused;
    if (m->n_open > 0) {
        KP_TRY(kp_measure_begin(m, shapes, false));
        for (int i = 0; i < m->n_open; i++)
            m->sizes_now[i] = 1; /* whatever the texts: the outputs are the same */
    }
    m->rows_now = m->low.rows;
    KP_TRY(kp_variant_get(m, shapes, &v));
    for (size_t i = 0; i < n_inputs; i++)
        KP_TRY(kp_variant_in_buffer(v, i, &unused));
    for (size_t o = 0; o < m->info.n_outputs; o++)
        KP_TRY(kp_variant_out_buffer(v, o, &unused));
    memcpy(m->staging, inputs, n_inputs * sizeof *inputs);
    m->staged = v;
    m->staged_width = kp_texts_bound(v->graph, widest_input(m));
    m->info.max_batch = v->max_batch;
    if (outputs != NULL)
        describe_outputs(m, v, outputs);
    return 0;
}

/* Input i of all segments in one place: where it lies when that will do, else gathered. */
static int gather_input(kp_model *m, kp_variant *v, size_t i, const kp_segment *segments,
                        size_t n_segments)
{
    const kp_staging *s = &m->staging[i];
    const kp_value *value = v->graph->inputs[i];
    const void *only = segments[0].inputs[i];
    bool texts = s->dtype == KP_STRING;
    if (n_segments == 1 && !texts && s->scaling.identity && s->dtype == value->dtype &&
        ((uintptr_t)only & (ALIGN - 1)) == 0) {
        m->in_now[i] = only;
        return 0;
    }
    int64_t n_values = row_values(s);
    int64_t channels = value->ndim > 1 ? value->shape[value->ndim - 1] : 1;
    uint8_t *dst = v->in_buffer[i];
    m->in_now[i] = dst;
    for (size_t k = 0; k < n_segments; k++) {
        int64_t n = segments[k].n_rows * n_values;
        if (texts)
            kp_texts_read((kp_text *)(void *)dst, segments[k].inputs[i], (size_t)s->string_bytes,
                          n);
        else
            KP_TRY(kp_gather(&s->scaling, channels, value->dtype, dst, s->dtype,
                             segments[k].inputs[i], n));
        dst += (size_t)n * kp_elem_size(value->dtype);
    }
    return 0;
}

/* All inputs; of a model with open sizes or for a number of rows *v becomes the variant for what
 * the rows hold. */
static int gather_inputs(kp_model *m, kp_variant **v, const kp_segment *segments, size_t n_segments,
                         int64_t n_rows)
{
    kp_variant *to = m->n_open > 0 ? m->probe : *v;
    void *unused;
    for (size_t i = 0; i < m->info.n_inputs; i++) {
        KP_TRY(kp_variant_in_buffer(to, i, &unused));
        KP_TRY(gather_input(m, to, i, segments, n_segments));
    }
    if (m->n_open > 0)
        KP_TRY(kp_measure_run(m, n_rows));
    if (m->low.rows > 0)
        m->rows_now = n_rows;
    if (m->n_open > 0 || m->low.rows > 0)
        KP_TRY(kp_variant_get(m, m->staged->shapes, v));
    return m->low.rows > 0 ? kp_variant_joins(m, m->staged, *v) : 0;
}

static void put_strings(const kp_model *m, const kp_variant *v, size_t o, int64_t n_rows, void *out)
{
    size_t bytes;
    if (kp_value_bytes(v->graph->outputs[o], n_rows, &bytes))
        kp_texts_write(out, m->staged_width, m->out_now[o], (int64_t)(bytes / sizeof(kp_text)));
}

int kp_model_run_staged(kp_model *m, const kp_segment *segments, size_t n_segments,
                        void *const *out)
{
    kp_variant *v = m->staged;
    if (v == NULL)
        return kp_fail(KP_EINVAL, "rows were given before kp_model_stage");
    int64_t n_rows = 0;
    for (size_t k = 0; k < n_segments; k++) {
        if (segments[k].n_rows < 1 || segments[k].n_rows > v->max_batch - n_rows)
            return kp_fail(KP_EINVAL, "segment %zu of %lld rows: a batch is 1 to %lld rows", k,
                           (long long)segments[k].n_rows, (long long)v->max_batch);
        n_rows += segments[k].n_rows;
    }
    if (n_rows == 0)
        return kp_fail(KP_EINVAL, "a batch without rows cannot be run");
    KP_TRY(gather_inputs(m, &v, segments, n_segments, n_rows));
    for (size_t o = 0; o < m->info.n_outputs; o++) {
        bool direct =
            ((uintptr_t)out[o] & (ALIGN - 1)) == 0 && v->graph->outputs[o]->dtype != KP_STRING;
        m->out_now[o] = out[o];
        if (!direct)
            KP_TRY(kp_variant_out_buffer(v, o, &m->out_now[o]));
    }
    KP_TRY(m->backend->run(v->exec, m->in_now, m->out_now, n_rows));
    for (size_t o = 0; o < m->info.n_outputs; o++) {
        if (v->graph->outputs[o]->dtype == KP_STRING)
            put_strings(m, v, o, n_rows, out[o]);
        else if (m->out_now[o] != out[o])
            memcpy(out[o], m->out_now[o],
                   (size_t)n_rows * kp_value_row_bytes(v->graph->outputs[o]));
    }
    return 0;
}
