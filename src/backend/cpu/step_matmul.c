/* Products of two computed matrices (scores and contexts of attention): the second is packed on the
 * way, then it is the product of dense layers, whose order over k is fixed. */
#include "backend/cpu/cpu.h"

#include <stdlib.h>

typedef struct state {
    const kp_kernels *kernels;
    int64_t m, k, n;
} state;

/* Strides, in matrices, with which a walk over the result's leading axes follows v's. */
static void leading_strides(const kp_value *v, const kp_value *out, int64_t rows, int64_t *stride)
{
    int lead = out->ndim - 2, skip = out->ndim - v->ndim;
    int64_t s = 1;
    for (int d = lead - 1; d >= 0; d--) {
        int64_t size = d < skip ? 1 : v->shape[d - skip];
        size = size == KP_DIM_BATCH ? rows : size;
        stride[d] = size == 1 ? 0 : s;
        s *= size;
    }
}

static void start_walk(kp_walk *w, const kp_value *v, const kp_value *out, int64_t rows)
{
    int64_t shape[KP_MAX_DIMS] = {0}, stride[KP_MAX_DIMS] = {0};
    for (int d = 0; d < out->ndim - 2; d++)
        shape[d] = out->shape[d] == KP_DIM_BATCH ? rows : out->shape[d];
    leading_strides(v, out, rows, stride);
    kp_walk_init(w, shape, stride, out->ndim - 2);
}

static int run(const kp_step *s, kp_call *c)
{
    const state *st = s->state;
    const kp_value *out = s->node->output;
    const float *a = c->at[s->node->inputs[0]->id], *b = c->at[s->node->inputs[1]->id];
    float *y = c->at[out->id];
    int64_t count = kp_value_count(out, c->rows) / (st->m * st->n), packed = -1;
    kp_walk wa, wb;
    start_walk(&wa, s->node->inputs[0], out, c->rows);
    start_walk(&wb, s->node->inputs[1], out, c->rows);
    for (int64_t i = 0; i < count; i++, kp_walk_next(&wa), kp_walk_next(&wb)) {
        if (wb.index != packed)
            kp_dense_pack(st->kernels, c->scratch, b + wb.index * st->k * st->n, st->k, st->n, 0,
                          st->k);
        packed = wb.index;
        kp_dense_args args = {.m = st->m,
                              .n = st->n,
                              .k = st->k,
                              .x = a + wa.index * st->m * st->k,
                              .w = c->scratch,
                              .y = y + i * st->m * st->n};
        st->kernels->dense(&args);
    }
    return 0;
}

static void fini(kp_step *s)
{
    free(s->state);
}

static int build(kp_exec *e, kp_step *s)
{
    const kp_value *a = s->node->inputs[0], *out = s->node->output;
    state *st = calloc(1, sizeof *st);
    s->state = st;
    if (st == NULL)
        return kp_fail(KP_ENOMEM, "out of memory");
    st->kernels = e->kernels;
    st->m = out->shape[out->ndim - 2];
    st->n = out->shape[out->ndim - 1];
    st->k = a->shape[a->ndim - 1];
    if (!kp_mul_size(kp_dense_packed_floats(e->kernels, st->k, st->n), sizeof(float),
                     &s->scratch_bytes))
        return kp_fail(KP_ELIMIT, "layer \"%s\": a product that does not fit in memory",
                       s->node->name != NULL ? s->node->name : "");
    return 0;
}

bool kp_step_matmul(kp_step *s, const kp_node *n)
{
    if (n->op != KP_OP_MATMUL || n->output->dtype != KP_FLOAT32 || n->output->ndim < 2)
        return false;
    for (int i = 0; i < 2; i++) {
        const kp_value *v = n->inputs[i];
        if (v->dtype != KP_FLOAT32 || v->shape[v->ndim - 1] < 1 || v->shape[v->ndim - 2] < 1)
            return false;
    }
    s->by = "own";
    s->run = run;
    s->build = build;
    s->fini = fini;
    s->in_place = -1;
    return true;
}
