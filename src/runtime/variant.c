/* Variants: the model specialised, optimised and compiled for one shape of its inputs. */
#include "runtime/model.h"

#include <stdlib.h>

enum { ALIGN = 64 };

size_t kp_value_row_bytes(const kp_value *v)
{
    size_t bytes;
    return kp_shape_bytes(v->shape + 1, v->ndim - 1, v->dtype, &bytes) ? bytes : 0;
}

bool kp_model_shapes_closed(const kp_model *m)
{
    if (m->n_open > 0)
        return false;
    for (size_t i = 0; i < m->info.n_inputs; i++) {
        for (int d = 1; d < m->info.inputs[i].ndim; d++) {
            if (m->info.inputs[i].shape[d] < 0)
                return false;
        }
    }
    return true;
}

int64_t kp_batch_rule(double flops_per_row, size_t port_bytes, size_t row_bytes,
                      size_t memory_bytes)
{
    /* About 20 GFLOP a call: a tenth of a second on two cores. A call costs some microseconds, so
     * nets of a few hundred operations a row want thousands of rows. */
    int64_t batch = 8;
    while (batch < 8192 && (double)(batch * 2) * flops_per_row <= 20e9)
        batch *= 2;
    /* Rows that come through shared memory should still be in a cache when they are read: photos of
     * 600 kB through a tiny network ran a fifth slower with batches of 512 than of 16. */
    while (batch > 8 && (double)batch * (double)port_bytes > 12e6)
        batch /= 2;
    while (batch > 1 && (double)batch * (double)row_bytes > (double)memory_bytes / 16)
        batch /= 2;
    return batch;
}

/* Bytes of the inputs and outputs of a row. */
static size_t row_ports(const kp_graph *g)
{
    size_t sum = 0;
    for (int i = 0; i < g->n_inputs; i++)
        sum += kp_value_row_bytes(g->inputs[i]);
    for (int i = 0; i < g->n_outputs; i++)
        sum += kp_value_row_bytes(g->outputs[i]);
    return sum;
}

/* Bytes of the inputs, the outputs and the two largest values of a row, and of the largest step of
 * a loop. */
static size_t row_footprint(const kp_graph *g)
{
    size_t sum = row_ports(g), first = 0, second = 0, loop = 0;
    for (int i = 0; i < g->n_nodes; i++) {
        if (g->nodes[i]->op == KP_OP_CONST)
            continue;
        const kp_graph *body = kp_node_body(g->nodes[i]);
        size_t step = body == NULL ? 0 : row_footprint(body);
        loop = step > loop ? step : loop;
        size_t bytes = kp_value_row_bytes(g->nodes[i]->output);
        if (bytes > first) {
            second = first;
            first = bytes;
        } else if (bytes > second) {
            second = bytes;
        }
    }
    return sum + first + second + loop;
}

static double graph_flops(const kp_graph *g)
{
    double flops = 0;
    for (int i = 0; i < g->n_nodes; i++)
        flops += kp_node_flops(g->nodes[i]);
    return flops;
}

static void shapes_to_ports(const kp_model *m, const int64_t *shapes, kp_port *ports)
{
    for (size_t i = 0; i < m->info.n_inputs; i++) {
        ports[i] = m->info.inputs[i];
        for (int d = 1; d < ports[i].ndim; d++)
            ports[i].shape[d] = shapes[i * KP_MAX_DIMS + (size_t)d];
        ports[i].shape[0] = KP_DIM_BATCH;
    }
}

/* Rows are split over batches, so each output must be made of rows. */
static int check_outputs(const kp_model *m, const kp_graph *g)
{
    for (int i = 0; i < g->n_outputs; i++) {
        const kp_value *v = g->outputs[i];
        bool rows = v->ndim >= 1 && v->shape[0] == KP_DIM_BATCH;
        for (int d = 1; d < v->ndim; d++)
            rows = rows && v->shape[d] >= 0;
        if (!rows) {
            char text[KP_SHAPE_TEXT], rows_text[48] = "";
            if (m->rows_now > 0)
                snprintf(rows_text, sizeof rows_text, " of %lld rows", (long long)m->rows_now);
            return kp_fail(KP_EMODEL,
                           "model \"%s\": output %d (%s) has the shape %s, whose first "
                           "axis is not the batch%s",
                           m->info.name, i, m->info.outputs[i].name,
                           kp_shape_text(v->shape, v->ndim, text, sizeof text), rows_text);
        }
    }
    return 0;
}

/* Settles the open nodes' sizes in the lowered graph while the variant is made of it. */
static int fix_sizes(kp_model *m, kp_variant *v)
{
    memcpy(v->sizes, m->sizes_now, (size_t)m->n_open * sizeof *v->sizes);
    KP_TRY(kp_arena_new(&v->mem, 0));
    for (int i = 0; i < m->n_open; i++) {
        const kp_kernel_def *def = m->open[i].node->attr.kernel.def;
        KP_TRY(def->fix(m->open[i].params, v->sizes[i], v->mem, &m->open[i].fixed));
        m->open[i].node->attr.kernel.params = m->open[i].fixed;
    }
    return 0;
}

static void open_sizes_again(kp_model *m)
{
    for (int i = 0; i < m->n_open; i++)
        m->open[i].node->attr.kernel.params = m->open[i].params;
}

int kp_variant_joins(const kp_model *m, const kp_variant *a, const kp_variant *b)
{
    bool same = true;
    for (int i = 0; i < a->graph->n_outputs; i++) {
        const kp_value *x = a->graph->outputs[i], *y = b->graph->outputs[i];
        same = same && x->dtype == y->dtype && x->ndim == y->ndim;
        for (int d = 0; same && d < x->ndim; d++)
            same = x->shape[d] == y->shape[d];
    }
    return same ? 0
                : kp_fail(KP_ESHAPE,
                          "model \"%s\": its outputs have other shapes for a batch of %lld rows "
                          "than for one of %lld: they make no array; give as many rows as whole "
                          "batches have",
                          m->info.name, (long long)b->rows, (long long)a->rows);
}

/* The lowered graph for the variant's rows. */
static int graph_of(kp_model *m, kp_variant *v, kp_graph **out)
{
    *out = m->low.graph;
    v->rows = m->rows_now;
    if (v->rows == m->low.rows)
        return 0;
    kp_lower_options how = m->lowering;
    how.rows = v->rows;
    KP_TRY(kp_arena_new(&v->mem, 0));
    KP_TRY(kp_lower(m->keras, v->mem, &how, &v->low));
    *out = v->low.graph;
    return 0;
}

static int variant_build(kp_model *m, const int64_t *shapes, kp_variant *v, bool probe)
{
    size_t n_in = m->info.n_inputs, n_out = m->info.n_outputs;
    v->shapes = calloc(n_in * KP_MAX_DIMS + 1, sizeof *v->shapes);
    v->in_buffer = calloc(n_in + 1, sizeof *v->in_buffer);
    v->out_buffer = calloc(n_out + 1, sizeof *v->out_buffer);
    v->sizes = calloc((size_t)m->n_open + 1, sizeof *v->sizes);
    kp_port *ports = calloc(n_in + 1, sizeof *ports);
    int rc = 0;
    if (v->sizes == NULL || v->shapes == NULL || v->in_buffer == NULL || v->out_buffer == NULL ||
        ports == NULL) {
        rc = kp_fail(KP_ENOMEM, "out of memory while compiling the model");
        goto done;
    }
    memcpy(v->shapes, shapes, n_in * KP_MAX_DIMS * sizeof *v->shapes);
    shapes_to_ports(m, shapes, ports);
    kp_graph *from;
    rc = graph_of(m, v, &from);
    if (rc == 0 && m->n_open > 0)
        rc = fix_sizes(m, v);
    if (rc == 0)
        rc = kp_graph_specialise(&v->graph, from, ports, (int)n_in);
    open_sizes_again(m);
    if (probe) {
        v->max_batch = m->info.max_batch;
        goto done;
    }
    if (rc == 0)
        rc = kp_graph_optimise(v->graph, kp_ref_eval, NULL, NULL, NULL);
    if (rc == 0)
        rc = check_outputs(m, v->graph);
    if (rc != 0)
        goto done;
    v->max_batch = v->rows > 0          ? v->rows
                   : m->asked_batch > 0 ? m->asked_batch
                   : m->grouped
                       ? KP_PREDICT_BATCH
                       : kp_batch_rule(graph_flops(v->graph), row_ports(v->graph),
                                       row_footprint(v->graph), kp_machine_get()->memory_bytes);
    kp_compile_options opt = {
        .struct_size = sizeof opt, .max_batch = v->max_batch, .threads = m->info.threads};
    rc = m->backend->compile(&v->exec, v->graph, &opt);
done:
    free(ports);
    return rc;
}

void kp_variant_free(kp_model *m, kp_variant **variant)
{
    kp_variant *v = *variant;
    if (v == NULL)
        return;
    if (v->exec != NULL)
        m->backend->close(&v->exec);
    kp_graph_free(&v->graph);
    kp_lowered_fini(&v->low);
    kp_arena_free(&v->mem);
    free(v->sizes);
    for (size_t i = 0; v->in_buffer != NULL && i < m->info.n_inputs; i++)
        free(v->in_buffer[i]);
    for (size_t i = 0; v->out_buffer != NULL && i < m->info.n_outputs; i++)
        free(v->out_buffer[i]);
    free(v->in_buffer);
    free(v->out_buffer);
    free(v->shapes);
    free(v);
    *variant = NULL;
}

static bool same_shapes(const kp_model *m, const int64_t *a, const int64_t *b)
{
    for (size_t i = 0; i < m->info.n_inputs; i++) {
        for (int d = 1; d < m->info.inputs[i].ndim; d++) {
            if (a[i * KP_MAX_DIMS + (size_t)d] != b[i * KP_MAX_DIMS + (size_t)d])
                return false;
        }
    }
    return true;
}

/* A free place in the list; the variant that was not used for longest makes room. The staged one
 * stays: its owner runs it without asking again. */
static int place_for_variant(kp_model *m)
{
    if (m->n_variants < KP_VARIANTS_MAX)
        return m->n_variants++;
    int oldest = -1;
    for (int i = 0; i < m->n_variants; i++) {
        if (m->variants[i] != m->staged &&
            (oldest < 0 || m->variants[i]->last_use < m->variants[oldest]->last_use))
            oldest = i;
    }
    kp_variant_free(m, &m->variants[oldest]);
    return oldest;
}

int kp_variant_get(kp_model *m, const int64_t *shapes, kp_variant **out)
{
    m->clock++;
    for (int i = 0; i < m->n_variants; i++) {
        if (m->variants[i]->rows == m->rows_now && same_shapes(m, m->variants[i]->shapes, shapes) &&
            memcmp(m->variants[i]->sizes, m->sizes_now, (size_t)m->n_open * sizeof(int64_t)) == 0) {
            m->variants[i]->last_use = m->clock;
            *out = m->variants[i];
            return 0;
        }
    }
    kp_variant *v = calloc(1, sizeof *v);
    if (v == NULL)
        return kp_fail(KP_ENOMEM, "out of memory while compiling the model");
    int rc = variant_build(m, shapes, v, false);
    if (rc != 0) {
        kp_variant_free(m, &v);
        return rc;
    }
    v->last_use = m->clock;
    m->variants[place_for_variant(m)] = v;
    *out = v;
    return 0;
}

int kp_variant_probe(kp_model *m, const int64_t *shapes, kp_variant **out)
{
    *out = calloc(1, sizeof **out);
    if (*out == NULL)
        return kp_fail(KP_ENOMEM, "out of memory");
    int rc = variant_build(m, shapes, *out, true);
    if (rc != 0)
        kp_variant_free(m, out);
    return rc;
}

static int buffer_make(size_t row_bytes, int64_t rows, void **out)
{
    if (*out != NULL)
        return 0;
    size_t bytes;
    if (!kp_mul_size(row_bytes, (size_t)rows, &bytes) || !kp_add_size(bytes, ALIGN - 1, &bytes))
        return kp_fail(KP_ELIMIT, "a batch of %lld rows of %zu bytes is too large", (long long)rows,
                       row_bytes);
    *out = aligned_alloc(ALIGN, bytes < ALIGN ? ALIGN : bytes & ~(size_t)(ALIGN - 1));
    if (*out == NULL)
        return kp_fail(KP_ENOMEM, "out of memory: %zu bytes for a batch", bytes);
    return 0;
}

int kp_variant_in_buffer(kp_variant *v, size_t input, void **out)
{
    KP_TRY(buffer_make(kp_value_row_bytes(v->graph->inputs[input]), v->max_batch,
                       &v->in_buffer[input]));
    *out = v->in_buffer[input];
    return 0;
}

int kp_variant_out_buffer(kp_variant *v, size_t output, void **out)
{
    KP_TRY(buffer_make(kp_value_row_bytes(v->graph->outputs[output]), v->max_batch,
                       &v->out_buffer[output]));
    *out = v->out_buffer[output];
    return 0;
}
