/* The ref backend: a memory plan, aligned constants, and the nodes run one after the other. */
#include "backend/loop.h"
#include "backend/ref/ref_int.h"

#include <stdlib.h>

enum { ALIGN = 64 };

/* A loop's compiled body. */
typedef struct body {
    kp_exec *exec; /* NULL: the node is no loop */
    int64_t rows;
    void *memory;    /* of the loop */
    const void **in; /* of the loop node */
} body;

struct kp_exec {
    const kp_graph *g;
    kp_arena *mem;
    kp_plan plan;
    int64_t max_batch;
    uint8_t *arena;         /* of the values */
    const void **constants; /* by value id: aligned data */
    int *output_of;         /* by value id: the first output that it is, or -1 */
    kp_tensor *tensors;     /* for the inputs of one node */
    body *bodies;           /* by node id */
};

static int ref_probe(char *why, size_t why_size)
{
    if (why_size > 0)
        why[0] = '\0';
    return 0;
}

static const char *ref_node(const kp_node *n)
{
    const kp_graph *inside = kp_node_body(n);
    if (inside == NULL)
        return kp_ref_supports(n) ? "ref" : NULL;
    for (int i = 0; i < inside->n_nodes; i++) {
        if (ref_node(inside->nodes[i]) == NULL)
            return NULL;
    }
    return "ref";
}

static void ref_close(kp_exec **e)
{
    if (*e == NULL)
        return;
    for (int i = 0; (*e)->bodies != NULL && i < (*e)->g->n_nodes; i++)
        ref_close(&(*e)->bodies[i].exec);
    free((*e)->arena);
    kp_arena_free(&(*e)->mem);
    free(*e);
    *e = NULL;
}

/* A constant's data, copied if they are not aligned for their type. */
static int take_constant(kp_exec *e, const kp_value *v)
{
    e->constants[v->id] = v->data;
    if ((uintptr_t)v->data % kp_elem_size(v->dtype) == 0)
        return 0;
    void *copy = kp_arena_alloc(e->mem, v->data_bytes);
    if (copy == NULL)
        return KP_ENOMEM;
    memcpy(copy, v->data, v->data_bytes);
    e->constants[v->id] = copy;
    return 0;
}

static int ref_compile(kp_exec **out, kp_graph *g, const kp_compile_options *opt);

static int take_body(kp_exec *e, const kp_node *n)
{
    body *b = &e->bodies[n->id];
    size_t bytes;
    b->rows = kp_loop_body_rows(n, e->max_batch);
    const kp_compile_options opt = {sizeof opt, b->rows, 1};
    if (!kp_loop_memory(n, e->max_batch, &bytes))
        return kp_node_fail(n, KP_ELIMIT, "its steps do not fit in memory");
    b->memory = kp_arena_alloc(e->mem, bytes);
    b->in = kp_arena_array(e->mem, (size_t)n->n_inputs, sizeof *b->in);
    if (b->memory == NULL || b->in == NULL)
        return KP_ENOMEM;
    return ref_compile(&b->exec, kp_node_body(n), &opt);
}

static int prepare(kp_exec *e)
{
    const kp_graph *g = e->g;
    size_t n = (size_t)g->n_values;
    int most = 1;
    KP_TRY(kp_arena_new(&e->mem, 0));
    KP_TRY(kp_graph_plan(g, e->max_batch, e->mem, &e->plan));
    e->constants = kp_arena_array(e->mem, n, sizeof *e->constants);
    e->output_of = kp_arena_array(e->mem, n, sizeof *e->output_of);
    e->bodies = kp_arena_array(e->mem, (size_t)g->n_nodes, sizeof *e->bodies);
    if (e->constants == NULL || e->output_of == NULL || e->bodies == NULL)
        return KP_ENOMEM;
    for (int i = 0; i < g->n_values; i++)
        e->output_of[i] = -1;
    for (int i = g->n_outputs - 1; i >= 0; i--)
        e->output_of[g->outputs[i]->id] = i;
    for (int i = 0; i < g->n_nodes; i++) {
        const kp_node *node = g->nodes[i];
        most = node->n_inputs > most ? node->n_inputs : most;
        if (kp_node_body(node) != NULL)
            KP_TRY(take_body(e, node));
        else if (!kp_ref_supports(node))
            return kp_node_fail(node, KP_EUNSUPPORTED, "ref cannot compute it");
        if (node->op == KP_OP_CONST)
            KP_TRY(take_constant(e, node->output));
    }
    e->tensors = kp_arena_array(e->mem, (size_t)most, sizeof *e->tensors);
    if (e->tensors == NULL)
        return KP_ENOMEM;
    size_t bytes;
    if (!kp_add_size(e->plan.arena_bytes, ALIGN, &bytes))
        return kp_fail(KP_ELIMIT, "the model's values do not fit in memory");
    e->arena = aligned_alloc(ALIGN, bytes / ALIGN * ALIGN);
    return e->arena == NULL ? kp_fail(KP_ENOMEM, "out of memory: %zu bytes", bytes) : 0;
}

static int ref_compile(kp_exec **out, kp_graph *g, const kp_compile_options *opt)
{
    *out = NULL;
    kp_exec *e = calloc(1, sizeof *e);
    if (e == NULL)
        return kp_fail(KP_ENOMEM, "out of memory");
    e->g = g;
    e->max_batch = opt->max_batch;
    int status = prepare(e);
    if (status != 0) {
        ref_close(&e);
        return status;
    }
    *out = e;
    return 0;
}

/* The memory of a value in this run. */
static void *place_of(kp_exec *e, const kp_value *v, const void *const *in, void *const *out)
{
    union {
        const void *from;
        void *to;
    } p; /* inputs and constants are read only: kp_tensor has no const */
    if (v->producer->op == KP_OP_INPUT) {
        p.from = in[v->producer->attr.input.index];
        return p.to;
    }
    if (v->producer->op == KP_OP_CONST) {
        p.from = e->constants[v->id];
        return p.to;
    }
    if (e->output_of[v->id] >= 0)
        return out[e->output_of[v->id]];
    return e->plan.offset[v->id] < 0 ? NULL : e->arena + e->plan.offset[v->id];
}

static void set_tensor(kp_tensor *t, const kp_value *v, void *data, int64_t batch)
{
    memset(t, 0, sizeof *t);
    if (v == NULL)
        return;
    t->dtype = v->dtype;
    t->ndim = v->ndim;
    for (int i = 0; i < v->ndim; i++)
        t->shape[i] = v->shape[i] == KP_DIM_BATCH ? batch : v->shape[i];
    t->data = data;
    kp_value_bytes(v, batch, &t->size_bytes);
}

static int ref_run(kp_exec *e, const void *const *in, void *const *out, int64_t batch);

static int run_body(void *ctx, const void *const *in, void *const *out, int64_t rows)
{
    return ref_run(ctx, in, out, rows);
}

static int run_loop(kp_exec *e, const kp_node *n, const void *const *in, void *const *out,
                    int64_t batch)
{
    body *b = &e->bodies[n->id];
    kp_loop l = {n, b->rows, run_body, b->exec};
    for (int i = 0; i < n->n_inputs; i++)
        b->in[i] = n->inputs[i] == NULL ? NULL : place_of(e, n->inputs[i], in, out);
    return kp_loop_run(&l, b->in, place_of(e, n->output, in, out), batch, b->memory);
}

static int run_node(kp_exec *e, const kp_node *n, const void *const *in, void *const *out,
                    int64_t batch)
{
    kp_tensor result;
    void *to = place_of(e, n->output, in, out);
    if (n->op == KP_OP_INPUT || n->op == KP_OP_CONST || to == NULL)
        return 0;
    if (kp_node_body(n) != NULL)
        return run_loop(e, n, in, out, batch);
    set_tensor(&result, n->output, to, batch);
    for (int i = 0; i < n->n_inputs; i++) {
        const kp_value *v = n->inputs[i];
        set_tensor(&e->tensors[i], v, v == NULL ? NULL : place_of(e, v, in, out), batch);
    }
    return kp_ref_run_node(n, e->tensors, n->n_inputs, &result);
}

/* Outputs that no node has written: a second place of one value, an input, a constant. */
static void copy_outputs(kp_exec *e, const void *const *in, void *const *out, int64_t batch)
{
    for (int i = 0; i < e->g->n_outputs; i++) {
        const kp_value *v = e->g->outputs[i];
        const void *from = place_of(e, v, in, out);
        size_t bytes;
        if (from != out[i] && kp_value_bytes(v, batch, &bytes))
            memcpy(out[i], from, bytes);
    }
}

static int ref_run(kp_exec *e, const void *const *in, void *const *out, int64_t batch)
{
    if (batch < 1 || batch > e->max_batch)
        return kp_fail(KP_EINVAL, "a batch of %lld, compiled for 1 to %lld", (long long)batch,
                       (long long)e->max_batch);
    for (int i = 0; i < e->g->n_nodes; i++)
        KP_TRY(run_node(e, e->g->nodes[i], in, out, batch));
    copy_outputs(e, in, out, batch);
    return 0;
}

static int ref_info(const kp_exec *e, kp_exec_info *out)
{
    out->arena_bytes = e->plan.arena_bytes;
    out->packed_bytes = 0;
    for (int i = 0; i < e->g->n_nodes; i++) {
        kp_exec_info inside = {0};
        if (e->bodies[i].exec != NULL)
            ref_info(e->bodies[i].exec, &inside);
        out->arena_bytes += inside.arena_bytes;
    }
    return 0;
}

const kp_backend kp_backend_ref = {
    .abi_version = KP_BACKEND_ABI,
    .name = "ref",
    .probe = ref_probe,
    .supports = ref_node,
    .compile = ref_compile,
    .run = ref_run,
    .info = ref_info,
    .close = ref_close,
};
