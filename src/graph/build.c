/* Building a graph: values and nodes in one arena, each node inferred as it is added. */
#include "graph/graph_int.h"

#include <stdlib.h>

enum { FIRST_CAPACITY = 64 };

int kp_graph_new(kp_graph **out)
{
    *out = NULL;
    kp_graph *g = calloc(1, sizeof *g);
    if (g == NULL)
        return kp_fail(KP_ENOMEM, "out of memory");
    int status = kp_arena_new(&g->arena, 0);
    if (status != 0) {
        free(g);
        return status;
    }
    g->next_symbol = KP_DIM_UNKNOWN - 1;
    *out = g;
    return 0;
}

void kp_graph_free(kp_graph **g)
{
    if (*g == NULL)
        return;
    kp_graph_pages_free(*g);
    for (int i = 0; i < (*g)->n_bodies; i++)
        kp_graph_free(&(*g)->bodies[i]);
    free((*g)->bodies);
    kp_arena_free(&(*g)->arena);
    free((*g)->nodes);
    free((*g)->values);
    free((*g)->inputs);
    free(*g);
    *g = NULL;
}

void *kp_graph_alloc(kp_graph *g, size_t size_bytes)
{
    return kp_arena_alloc(g->arena, size_bytes);
}

int64_t kp_graph_new_symbol(kp_graph *g)
{
    return g->next_symbol--;
}

/* Makes room for one more pointer in a list that doubles. */
static int reserve(void *list, int n, int *cap)
{
    if (n < *cap)
        return 0;
    if (*cap > INT32_MAX / 2)
        return kp_fail(KP_ELIMIT, "the graph has too many nodes");
    int bigger = *cap == 0 ? FIRST_CAPACITY : *cap * 2;
    void *p;
    memcpy(&p, list, sizeof p);
    p = realloc(p, (size_t)bigger * sizeof(void *));
    if (p == NULL)
        return kp_fail(KP_ENOMEM, "out of memory");
    memcpy(list, &p, sizeof p);
    *cap = bigger;
    return 0;
}

int kp_graph_adopt(kp_graph *g, kp_graph *body)
{
    int status = reserve(&g->bodies, g->n_bodies, &g->cap_bodies);
    if (status != 0) {
        kp_graph_free(&body);
        return status;
    }
    g->bodies[g->n_bodies++] = body;
    return 0;
}

int kp_graph_new_body(kp_graph *g, kp_graph **out)
{
    KP_TRY(kp_graph_new(out));
    int status = kp_graph_adopt(g, *out);
    if (status != 0)
        *out = NULL;
    return status;
}

kp_graph *kp_node_body(const kp_node *n)
{
    return n->op == KP_OP_MAP || n->op == KP_OP_SCAN ? n->attr.loop.body : NULL;
}

int kp_node_sequences(const kp_node *n)
{
    return n->op == KP_OP_MAP ? n->n_inputs : n->attr.loop.n_seq;
}

/* A node and its value, not yet part of the graph. */
static kp_node *node_new(kp_graph *g, const kp_node *proto, kp_value *const *inputs, int n_inputs)
{
    kp_node *n = kp_graph_alloc(g, sizeof *n);
    kp_value *v = kp_graph_alloc(g, sizeof *v);
    kp_value **in = kp_arena_array(g->arena, (size_t)n_inputs, sizeof *in);
    if (n == NULL || v == NULL || in == NULL)
        return NULL;
    *n = *proto;
    if (proto->name != NULL && (n->name = kp_arena_strdup(g->arena, proto->name)) == NULL)
        return NULL;
    if (n_inputs > 0)
        memcpy(in, inputs, (size_t)n_inputs * sizeof *in);
    n->inputs = in;
    n->n_inputs = n_inputs;
    n->output = v;
    v->producer = n;
    v->name = n->name;
    return n;
}

static int append(kp_graph *g, kp_node *n, kp_value **out)
{
    KP_TRY(reserve(&g->nodes, g->n_nodes, &g->cap_nodes));
    KP_TRY(reserve(&g->values, g->n_values, &g->cap_values));
    n->id = g->n_nodes;
    n->output->id = g->n_values;
    g->nodes[g->n_nodes++] = n;
    g->values[g->n_values++] = n->output;
    *out = n->output;
    return 0;
}

static int add_node(kp_graph *g, const kp_node *proto, kp_value *const *inputs, int n_inputs,
                    kp_value **out)
{
    if (n_inputs < 0 || n_inputs > KP_NODE_INPUTS_MAX)
        return kp_node_fail(proto, KP_ELIMIT, "%d inputs, at most %d are possible", n_inputs,
                            KP_NODE_INPUTS_MAX);
    if (proto->op == KP_OP_INPUT || proto->op == KP_OP_CONST)
        return kp_node_fail(proto, KP_EINVAL, "inputs and constants have calls of their own");
    kp_node *n = node_new(g, proto, inputs, n_inputs);
    if (n == NULL)
        return KP_ENOMEM;
    KP_TRY(kp_graph_infer_node(g, n));
    return append(g, n, out);
}

int kp_graph_add(kp_graph *g, const kp_node *proto, kp_value *const *inputs, int n_inputs,
                 kp_value **out)
{
    kp_value *made = NULL; /* out may be one of the inputs */
    int status = add_node(g, proto, inputs, n_inputs, &made);
    *out = made;
    return status;
}

/* Checks the type and shape of an input or a constant and puts them in v. */
static int set_type(const kp_node *n, kp_value *v, kp_dtype dtype, const int64_t *shape, int ndim)
{
    if (kp_elem_size(dtype) == 0)
        return kp_node_fail(n, KP_EUNSUPPORTED, "type %s is not supported", kp_dtype_name(dtype));
    if (ndim < 0 || ndim > KP_MAX_DIMS)
        return kp_node_fail(n, KP_ELIMIT, "%d dimensions, at most %d are possible", ndim,
                            KP_MAX_DIMS);
    v->dtype = dtype;
    v->ndim = ndim;
    for (int i = 0; i < ndim; i++) {
        if (shape[i] > KP_SIZE_LIMIT)
            return kp_node_fail(n, KP_ELIMIT, "size %lld of axis %d is too large",
                                (long long)shape[i], i);
        v->shape[i] = shape[i];
    }
    return 0;
}

int kp_graph_add_input(kp_graph *g, const char *name, kp_dtype dtype, const int64_t *shape,
                       int ndim, kp_value **out)
{
    *out = NULL;
    kp_node proto = {.op = KP_OP_INPUT, .name = name, .attr.input.index = g->n_inputs};
    if (ndim < 1 || shape[0] != KP_DIM_BATCH)
        return kp_node_fail(&proto, KP_ESHAPE, "the first axis of an input is the batch");
    if (g->n_inputs >= KP_NODE_INPUTS_MAX)
        return kp_node_fail(&proto, KP_ELIMIT, "more than %d inputs", KP_NODE_INPUTS_MAX);
    kp_node *n = node_new(g, &proto, NULL, 0);
    if (n == NULL)
        return KP_ENOMEM;
    KP_TRY(set_type(n, n->output, dtype, shape, ndim));
    for (int i = 1; i < ndim; i++) {
        if (shape[i] == KP_DIM_BATCH || shape[i] == KP_DIM_UNKNOWN)
            n->output->shape[i] = kp_graph_new_symbol(g);
        else if (shape[i] < 0 && shape[i] <= g->next_symbol)
            g->next_symbol = shape[i] - 1; /* the caller's own symbol: ours stay apart */
    }
    kp_value **inputs = realloc(g->inputs, (size_t)(g->n_inputs + 1) * sizeof(void *));
    if (inputs == NULL)
        return kp_fail(KP_ENOMEM, "out of memory");
    g->inputs = inputs;
    KP_TRY(append(g, n, out));
    g->inputs[g->n_inputs++] = *out;
    return 0;
}

int kp_graph_add_const(kp_graph *g, const char *name, kp_dtype dtype, const int64_t *shape,
                       int ndim, const void *data, kp_value **out)
{
    *out = NULL;
    kp_node proto = {.op = KP_OP_CONST, .name = name};
    kp_node *n = node_new(g, &proto, NULL, 0);
    if (n == NULL)
        return KP_ENOMEM;
    KP_TRY(set_type(n, n->output, dtype, shape, ndim));
    if (data == NULL)
        return kp_node_fail(n, KP_EINVAL, "a constant without data");
    if (!kp_shape_bytes(shape, ndim, dtype, &n->output->data_bytes))
        return kp_node_fail(n, KP_ESHAPE, "a constant's sizes must be known and fit in memory");
    n->output->data = data;
    return append(g, n, out);
}

int kp_graph_set_outputs(kp_graph *g, kp_value *const *outputs, int n)
{
    if (n < 1 || n > KP_NODE_INPUTS_MAX)
        return kp_fail(KP_ELIMIT, "a graph of %d outputs is not possible", n);
    kp_value **list = kp_arena_array(g->arena, (size_t)n, sizeof *list);
    if (list == NULL)
        return KP_ENOMEM;
    memcpy(list, outputs, (size_t)n * sizeof *list);
    g->outputs = list;
    g->n_outputs = n;
    g->specialised = kp_graph_all_known(g);
    return 0;
}
