/* Dense layers through our own product of matrices: its order over k is fixed, so a row's bytes do
 * not depend on the other rows (oneDNN's do on AVX2). */
#include "backend/cpu/cpu.h"

#include <stdlib.h>

/* So many rows go through product and activation at once: the output is still in cache. */
enum { ROWS_AT_ONCE = 96 };

typedef struct state {
    const kp_kernels *kernels;
    int64_t k, n;
    float *packed;
    float *bias; /* padded to a whole panel, NULL: none */
} state;

static kp_value *input_or_null(const kp_node *n, int input)
{
    return input < n->n_inputs ? n->inputs[input] : NULL;
}

static int run(const kp_step *s, kp_call *c)
{
    const state *st = s->state;
    const kp_value *out = s->node->output, *residual = input_or_null(s->node, 3);
    int64_t rows = kp_value_count(out, c->rows) / st->n;
    const float *x = c->at[s->node->inputs[0]->id];
    const float *add = residual != NULL ? c->at[residual->id] : NULL;
    float *y = c->at[out->id];
    for (int64_t at = 0; at < rows; at += ROWS_AT_ONCE) {
        int64_t m = rows - at < ROWS_AT_ONCE ? rows - at : ROWS_AT_ONCE;
        kp_dense_args a = {.m = m,
                           .n = st->n,
                           .k = st->k,
                           .x = x + at * st->k,
                           .w = st->packed,
                           .bias = st->bias,
                           .y = y + at * st->n,
                           .residual = add != NULL ? add + at * st->n : NULL};
        st->kernels->dense(&a);
        kp_act_run(st->kernels, &s->node->act, a.y, m * st->n);
    }
    return 0;
}

static void fini(kp_step *s)
{
    state *st = s->state;
    if (st == NULL)
        return;
    free(st->packed);
    free(st->bias);
    free(st);
}

static void pack(const kp_step *s, int64_t row0, int64_t row1)
{
    const state *st = s->state;
    kp_dense_pack(st->kernels, st->packed, s->node->inputs[1]->data, st->k, st->n, row0, row1);
}

static int build(kp_exec *e, kp_step *s)
{
    const kp_value *kernel = s->node->inputs[1], *bias = input_or_null(s->node, 2);
    state *st = calloc(1, sizeof *st);
    s->state = st;
    if (st == NULL)
        return kp_fail(KP_ENOMEM, "out of memory");
    st->kernels = e->kernels;
    st->k = kernel->shape[0];
    st->n = kernel->shape[1];
    size_t packed = kp_dense_packed_floats(e->kernels, st->k, st->n);
    st->packed = kp_floats_new(packed);
    if (bias != NULL)
        st->bias = kp_dense_bias(e->kernels, e->places[bias->id].data, st->n);
    if (st->packed == NULL || (bias != NULL && st->bias == NULL))
        return kp_fail(KP_ENOMEM, "layer \"%s\": out of memory for weights", s->node->name);
    s->pack_rows = st->k;
    s->row_bytes = (size_t)st->n * sizeof(float);
    s->packed_bytes = packed * sizeof *st->packed;
    return 0;
}

bool kp_step_dense(kp_step *s, const kp_node *n)
{
    if (n->op != KP_OP_DENSE || n->output->dtype != KP_FLOAT32)
        return false;
    for (int i = 0; i < n->n_inputs; i++) {
        const kp_value *v = n->inputs[i];
        bool weight = i == 1 || i == 2;
        if (v != NULL && (v->dtype != KP_FLOAT32 || (weight && v->data == NULL)))
            return false;
    }
    const kp_value *kernel = n->inputs[1];
    if (kernel->ndim != 2 || kernel->shape[0] < 1 || kernel->shape[1] < 1)
        return false;
    s->by = "own";
    s->run = run;
    s->build = build;
    s->pack = pack;
    s->fini = fini;
    s->in_place = -1;
    return true;
}
