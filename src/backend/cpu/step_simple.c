/* Elementwise operations, softmax and means over the own kernels. */
#include "backend/cpu/cpu.h"

#include <math.h>
#include <stdlib.h>

static kp_value *input_or_null(const kp_node *n, int input)
{
    return input < n->n_inputs ? n->inputs[input] : NULL;
}

static bool all_float(const kp_node *n)
{
    for (int i = 0; i < n->n_inputs; i++) {
        if (n->inputs[i] != NULL && n->inputs[i]->dtype != KP_FLOAT32)
            return false;
    }
    return n->output->dtype == KP_FLOAT32;
}

typedef struct state {
    const kp_kernels *kernels;
    float *scale, *shift; /* BATCHNORM as x * scale + shift */
} state;

static void fini(kp_step *s)
{
    state *st = s->state;
    if (st == NULL)
        return;
    free(st->scale);
    free(st->shift);
    free(st);
}

static int build(kp_exec *e, kp_step *s)
{
    state *st = calloc(1, sizeof *st);
    s->state = st;
    if (st == NULL)
        return kp_fail(KP_ENOMEM, "out of memory");
    st->kernels = e->kernels;
    return 0;
}

static int64_t last_size(const kp_value *v)
{
    return v->ndim > 0 ? v->shape[v->ndim - 1] : 1;
}

/* ---- unary ---- */

static int run_unary(const kp_step *s, kp_call *c)
{
    const state *st = s->state;
    const float *x = c->at[s->node->inputs[0]->id];
    st->kernels->act(&s->node->attr.unary.act, c->at[s->node->output->id], x,
                     kp_value_count(s->node->output, c->rows));
    return 0;
}

/* ---- x * scale + shift ---- */

static int run_affine(const kp_step *s, kp_call *c)
{
    const state *st = s->state;
    const kp_node *n = s->node;
    int64_t channels = last_size(n->output), count = kp_value_count(n->output, c->rows);
    const float *scale = st->scale, *shift = st->shift;
    if (n->op == KP_OP_AFFINE) {
        scale = c->at[n->inputs[1]->id];
        shift = c->at[n->inputs[2]->id];
    }
    float *y = c->at[n->output->id];
    st->kernels->affine(y, c->at[n->inputs[0]->id], scale, shift, count / channels, channels);
    kp_act_run(st->kernels, &n->act, y, count);
    return 0;
}

static const float *const_data(const kp_exec *e, const kp_node *n, int input)
{
    const kp_value *v = input_or_null(n, input);
    return v != NULL ? e->places[v->id].data : NULL;
}

static int build_batchnorm(kp_exec *e, kp_step *s)
{
    KP_TRY(build(e, s));
    state *st = s->state;
    const kp_node *n = s->node;
    size_t channels = (size_t)last_size(n->output);
    const float *mean = const_data(e, n, 1), *variance = const_data(e, n, 2);
    const float *gamma = const_data(e, n, 3), *beta = const_data(e, n, 4);
    st->scale = calloc(channels + 1, sizeof *st->scale);
    st->shift = calloc(channels + 1, sizeof *st->shift);
    if (st->scale == NULL || st->shift == NULL)
        return kp_fail(KP_ENOMEM, "out of memory");
    for (size_t c = 0; c < channels; c++) {
        double scale = (gamma != NULL ? (double)gamma[c] : 1) /
                       sqrt((double)variance[c] + (double)n->attr.axis.epsilon);
        st->scale[c] = (float)scale;
        st->shift[c] = (float)((beta != NULL ? (double)beta[c] : 0) - (double)mean[c] * scale);
    }
    return 0;
}

static bool take_affine(kp_step *s, const kp_node *n)
{
    if (n->attr.axis.axis != n->output->ndim - 1 || last_size(n->output) < 1)
        return false;
    if (n->op == KP_OP_AFFINE) {
        if (n->n_inputs < 3 || n->inputs[1] == NULL || n->inputs[2] == NULL)
            return false;
    } else {
        for (int i = 1; i < n->n_inputs; i++) {
            if (n->inputs[i] != NULL && n->inputs[i]->data == NULL)
                return false;
        }
        s->build = build_batchnorm;
    }
    s->run = run_affine;
    s->in_place = 0;
    return true;
}

/* ---- two operands ---- */

/* One operand is full; the other repeats over `mid`: element (outer, mid, inner) of the full one
 * meets (outer, inner) of the other. */
typedef struct pattern {
    bool second_full; /* the full operand is input 1 */
    int64_t outer, mid, inner;
} pattern;

static int64_t size_at(const kp_value *v, int d, int ndim, int64_t rows)
{
    int own = d - (ndim - v->ndim);
    int64_t size = own < 0 ? 1 : v->shape[own];
    return size == KP_DIM_BATCH ? rows : size;
}

/* The pattern with `part` as the operand that may repeat; false when it does not have the form
 * kept, repeated, kept. */
static bool match(const kp_node *n, int64_t rows, int part, pattern *p)
{
    const kp_value *full = n->inputs[1 - part], *other = n->inputs[part];
    int ndim = n->output->ndim, zone = 0; /* 0: outer, 1: mid, 2: inner */
    *p = (pattern){.second_full = part == 0, .outer = 1, .mid = 1, .inner = 1};
    for (int d = 0; d < ndim; d++) {
        int64_t size = size_at(n->output, d, ndim, rows);
        if (size == 1)
            continue;
        if (size_at(full, d, ndim, rows) != size)
            return false;
        bool kept = size_at(other, d, ndim, rows) == size;
        if (zone == 0 && !kept)
            zone = 1;
        else if (zone == 1 && kept)
            zone = 2;
        else if (zone == 2 && !kept)
            return false;
        *(zone == 0 ? &p->outer : zone == 1 ? &p->mid : &p->inner) *= size;
    }
    return true;
}

static bool find_pattern(const kp_node *n, int64_t rows, pattern *p)
{
    return match(n, rows, 1, p) || match(n, rows, 0, p);
}

static int run_binary(const kp_step *s, kp_call *c)
{
    const state *st = s->state;
    const kp_node *n = s->node;
    kp_binary_kind kind = n->attr.binary.kind;
    pattern p;
    if (!find_pattern(n, c->rows, &p))
        return kp_fail(KP_EINTERNAL, "node %d: shapes do not repeat as planned", n->id);
    bool swap = p.second_full;
    const float *full = c->at[n->inputs[swap ? 1 : 0]->id];
    const float *part = c->at[n->inputs[swap ? 0 : 1]->id];
    float *y = c->at[n->output->id];
    if (p.mid == 1) {
        st->kernels->binary(kind, swap, y, full, part, 1, p.outer * p.inner);
    } else {
        int64_t calls = p.inner == 1 ? 1 : p.mid, length = p.inner == 1 ? p.mid : p.inner;
        for (int64_t o = 0; o < p.outer; o++) {
            for (int64_t m = 0; m < calls; m++) {
                int64_t at = o * p.mid * p.inner + m * length;
                st->kernels->binary(kind, swap, y + at, full + at, part + o * p.inner, p.inner != 1,
                                    length);
            }
        }
    }
    kp_act_run(st->kernels, &n->act, y, kp_value_count(n->output, c->rows));
    return 0;
}

static bool take_binary(kp_step *s, const kp_node *n)
{
    pattern p;
    if (n->attr.binary.kind >= KP_BIN_POW || !find_pattern(n, 2, &p) || !find_pattern(n, 1, &p))
        return false;
    find_pattern(n, 2, &p);
    s->run = run_binary;
    s->in_place = p.second_full ? 1 : 0;
    return true;
}

/* ---- softmax and means ---- */

static int run_softmax(const kp_step *s, kp_call *c)
{
    const state *st = s->state;
    int64_t n = last_size(s->node->output), rows = kp_value_count(s->node->output, c->rows) / n;
    const float *x = c->at[s->node->inputs[0]->id];
    float *y = c->at[s->node->output->id];
    for (int64_t r = 0; r < rows; r++)
        st->kernels->softmax(y + r * n, x + r * n, n);
    return 0;
}

static bool take_softmax(kp_step *s, const kp_node *n)
{
    const kp_axes *axes = &n->attr.softmax.axes;
    if (n->attr.softmax.log || axes->n != 1 || axes->axis[0] != n->output->ndim - 1 ||
        last_size(n->output) < 1)
        return false;
    s->run = run_softmax;
    s->in_place = 0;
    return true;
}

/* The axes of the mean are neighbours: sizes before, of and behind them. */
static void mean_sizes(const kp_node *n, int64_t rows, int64_t *outer, int64_t *mid, int64_t *inner)
{
    const kp_value *in = n->inputs[0];
    const kp_axes *axes = &n->attr.reduce.axes;
    *outer = *mid = *inner = 1;
    for (int d = 0; d < in->ndim; d++) {
        int64_t size = in->shape[d] == KP_DIM_BATCH ? rows : in->shape[d];
        *(d < axes->axis[0] ? outer : d <= axes->axis[axes->n - 1] ? mid : inner) *= size;
    }
}

static int run_mean(const kp_step *s, kp_call *c)
{
    const state *st = s->state;
    int64_t outer, mid, inner;
    mean_sizes(s->node, c->rows, &outer, &mid, &inner);
    const float *x = c->at[s->node->inputs[0]->id];
    float *y = c->at[s->node->output->id];
    for (int64_t o = 0; o < outer; o++)
        st->kernels->mean(y + o * inner, x + o * mid * inner, mid, inner);
    return 0;
}

static bool take_mean(kp_step *s, const kp_node *n)
{
    const kp_axes *axes = &n->attr.reduce.axes;
    if (n->attr.reduce.kind != KP_RED_MEAN || axes->n < 1 || axes->axis[0] == 0 ||
        axes->axis[axes->n - 1] != axes->axis[0] + axes->n - 1)
        return false;
    int64_t outer, mid, inner;
    mean_sizes(n, 1, &outer, &mid, &inner);
    if (mid < 1 || inner < 4)
        return false;
    s->run = run_mean;
    return true;
}

bool kp_step_simple(kp_step *s, const kp_node *n)
{
    s->by = "own";
    s->in_place = -1;
    s->build = build;
    s->fini = fini;
    if (!all_float(n))
        return false;
    switch (n->op) {
    case KP_OP_UNARY:
        s->run = run_unary;
        s->in_place = 0;
        return kp_kernels_has_act(n->attr.unary.act.kind);
    case KP_OP_AFFINE:
    case KP_OP_BATCHNORM:
        return take_affine(s, n);
    case KP_OP_BINARY:
        return take_binary(s, n);
    case KP_OP_SOFTMAX:
        return take_softmax(s, n);
    case KP_OP_REDUCE:
        return take_mean(s, n);
    default:
        return false;
    }
}
