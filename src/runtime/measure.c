/* Sizes that the data of a batch decide: what TextVectorization pads to when the model does not
 * say. Before a batch runs, the nodes in front of each such node are computed plainly and it is
 * asked. */
#include "runtime/model.h"

#include <stdlib.h>

static bool has_size(const kp_value *v, int64_t size)
{
    for (int d = 0; d < v->ndim; d++) {
        if (v->shape[d] == size)
            return true;
    }
    return false;
}

/* Whether the node's result has an open size that none of its inputs has. */
static bool is_open(const kp_node *n)
{
    if (n->op != KP_OP_KERNEL || n->attr.kernel.def->measure == NULL)
        return false;
    for (int d = 0; d < n->output->ndim; d++) {
        bool own = n->output->shape[d] < KP_DIM_BATCH;
        for (int i = 0; own && i < n->n_inputs; i++)
            own = n->inputs[i] == NULL || !has_size(n->inputs[i], n->output->shape[d]);
        if (own)
            return true;
    }
    return false;
}

static bool may_refuse(const kp_node *n)
{
    const kp_graph *body = kp_node_body(n);
    for (int i = 0; body != NULL && i < body->n_nodes; i++)
        if (may_refuse(body->nodes[i]))
            return true;
    return n->op == KP_OP_KERNEL && n->attr.kernel.def->may_refuse != NULL &&
           n->attr.kernel.def->may_refuse(n->attr.kernel.params);
}

int kp_measure_init(kp_model *m)
{
    const kp_graph *g = m->low.graph;
    m->open = kp_arena_array(m->mem, (size_t)g->n_nodes + 1, sizeof *m->open);
    m->sizes_now = kp_arena_array(m->mem, (size_t)g->n_nodes + 1, sizeof *m->sizes_now);
    if (m->open == NULL || m->sizes_now == NULL)
        return KP_ENOMEM;
    for (int i = 0; i < g->n_nodes; i++) {
        kp_node *n = g->nodes[i];
        if (is_open(n))
            m->open[m->n_open++] = (kp_open_node){.node = n, .params = n->attr.kernel.params};
        m->grouped = m->grouped || (n->op == KP_OP_KERNEL && n->attr.kernel.def->whole_batch);
        m->refusing = m->refusing || may_refuse(n);
    }
    if (m->n_open > 0 && m->low.rows > 0)
        return kp_fail(KP_EMODEL,
                       "layer \"%s\": texts as long as the longest of their batch in a model "
                       "whose layers look over the batch are not supported; set "
                       "output_sequence_length",
                       m->open[0].node->name);
    m->grouped = m->grouped || m->n_open > 0 || m->low.rows > 0;
    return 0;
}

bool kp_model_is_grouped(const kp_model *m)
{
    return m->grouped;
}

bool kp_model_may_refuse(const kp_model *m)
{
    return m->refusing;
}

/* Outputs that have a size of their own in each batch. */
static int check_outputs(kp_model *m)
{
    for (int i = 0; i < m->n_open; i++)
        m->sizes_now[i] = 2;
    kp_variant *other;
    KP_TRY(kp_variant_probe(m, m->probe->shapes, &other));
    int rc = 0;
    for (int o = 0; rc == 0 && o < other->graph->n_outputs; o++) {
        const kp_value *a = m->probe->graph->outputs[o], *b = other->graph->outputs[o];
        if (memcmp(a->shape, b->shape, (size_t)a->ndim * sizeof *a->shape) != 0)
            rc = kp_fail(KP_ESHAPE,
                         "output \"%s\" has rows that are as long as the longest text of their "
                         "batch of %lld: they make no array; set output_sequence_length in the "
                         "TextVectorization layer, or give fewer rows at once",
                         m->info.outputs[o].name, (long long)m->info.max_batch);
    }
    kp_variant_free(m, &other);
    return rc;
}

/* The open nodes in the probe's graph, right after it was made. */
static void find_copies(kp_model *m)
{
    const kp_graph *g = m->probe->graph;
    for (int k = 0; k < m->n_open; k++) {
        for (int i = 0; i < g->n_nodes; i++) {
            if (g->nodes[i]->op == KP_OP_KERNEL &&
                g->nodes[i]->attr.kernel.params == m->open[k].fixed)
                m->open[k].probe = g->nodes[i];
        }
    }
}

int kp_measure_begin(kp_model *m, const int64_t *shapes, bool one_batch)
{
    kp_variant_free(m, &m->probe);
    for (int i = 0; i < m->n_open; i++)
        m->sizes_now[i] = 1;
    KP_TRY(kp_variant_probe(m, shapes, &m->probe));
    find_copies(m);
    return one_batch ? 0 : check_outputs(m);
}

/* What has been computed of the probe's graph for one batch. */
typedef struct probing {
    kp_model *m;
    int64_t n_rows;
    void **made; /* by value id */
} probing;

static int compute(probing *p, const kp_value *v, kp_tensor *out);

static int compute_node(probing *p, const kp_node *n, kp_tensor *out)
{
    kp_tensor *in = calloc((size_t)n->n_inputs + 1, sizeof *in);
    out->data = p->made[n->output->id] = calloc(1, out->size_bytes + 1);
    int rc = in == NULL || out->data == NULL ? kp_fail(KP_ENOMEM, "out of memory") : 0;
    for (int i = 0; rc == 0 && i < n->n_inputs; i++) {
        if (n->inputs[i] != NULL)
            rc = compute(p, n->inputs[i], &in[i]);
    }
    if (rc == 0)
        rc = kp_ref_run_node(n, in, n->n_inputs, out);
    free(in);
    return rc;
}

static int compute(probing *p, const kp_value *v, kp_tensor *out)
{
    const kp_node *n = v->producer;
    *out = (kp_tensor){.dtype = v->dtype, .ndim = v->ndim};
    for (int d = 0; d < v->ndim; d++)
        out->shape[d] = v->shape[d] == KP_DIM_BATCH ? p->n_rows : v->shape[d];
    if (!kp_value_bytes(v, p->n_rows, &out->size_bytes))
        return kp_fail(KP_ELIMIT, "a value of a batch is too large");
    union {
        const void *from;
        void *to;
    } data = {.from = v->data}; /* kp_tensor has no const */
    if (n->op == KP_OP_INPUT)
        data.from = p->m->in_now[n->attr.input.index];
    else if (n->op != KP_OP_CONST)
        data.to = p->made[v->id];
    out->data = data.to;
    return out->data != NULL || n->op == KP_OP_INPUT || n->op == KP_OP_CONST
               ? 0
               : compute_node(p, n, out);
}

/* The size of the node's first input's array decides: all open nodes have one input. */
static int measure_node(probing *p, const kp_node *n, int64_t *size)
{
    kp_tensor in;
    KP_TRY(compute(p, n->inputs[0], &in));
    return n->attr.kernel.def->measure(n->attr.kernel.params, &in, 1, size);
}

int kp_measure_run(kp_model *m, int64_t n_rows)
{
    const kp_graph *g = m->probe->graph;
    probing p = {m, n_rows, calloc((size_t)g->n_values + 1, sizeof *p.made)};
    int rc = p.made == NULL ? kp_fail(KP_ENOMEM, "out of memory") : 0;
    for (int i = 0; rc == 0 && i < m->n_open; i++)
        rc = measure_node(&p, m->open[i].probe, &m->sizes_now[i]);
    for (int i = 0; p.made != NULL && i < g->n_values; i++)
        free(p.made[i]);
    free(p.made);
    return rc;
}
