/* Convolutions and pooling through oneDNN. */
#include "backend/cpu/cpu.h"

#include <stdlib.h>

typedef struct state {
    kp_dnn_op *op;
    kp_act later; /* what oneDNN cannot fuse: applied to its output */
    const kp_kernels *kernels;
} state;

static bool all_float(const kp_node *n)
{
    for (int i = 0; i < n->n_inputs; i++) {
        if (n->inputs[i] != NULL && n->inputs[i]->dtype != KP_FLOAT32)
            return false;
    }
    return n->output->dtype == KP_FLOAT32;
}

static bool constant_or_absent(const kp_node *n, int input)
{
    return input >= n->n_inputs || n->inputs[input] == NULL || n->inputs[input]->data != NULL;
}

static kp_value *input_or_null(const kp_node *n, int input)
{
    return input < n->n_inputs ? n->inputs[input] : NULL;
}

/* The batch is the first axis and nothing is empty: what oneDNN is asked for. */
static bool image_like(const kp_value *v)
{
    for (int d = 1; d < v->ndim; d++) {
        if (v->shape[d] < 1)
            return false;
    }
    return v->ndim >= 3 && v->ndim <= 2 + KP_MAX_SPATIAL && v->shape[0] == KP_DIM_BATCH;
}

static void fini(kp_step *s)
{
    state *st = s->state;
    if (st == NULL)
        return;
    kp_dnn_op_free(&st->op);
    free(st);
}

static int run(const kp_step *s, kp_call *c)
{
    const state *st = s->state;
    const kp_node *n = s->node;
    const void *src = c->at[n->inputs[0]->id];
    float *dst = c->at[n->output->id];
    const kp_value *residual = n->op == KP_OP_CONV ? input_or_null(n, 3) : NULL;
    int64_t count = kp_value_count(n->output, c->rows);
    if (residual != NULL && c->at[residual->id] != dst)
        memcpy(dst, c->at[residual->id], (size_t)count * sizeof *dst);
    KP_TRY(kp_dnn_op_run(st->op, c->worker, src, dst, c->rows, c->scratch));
    if (st->later.kind != KP_ACT_NONE)
        kp_act_run(st->kernels, &st->later, dst, count);
    return 0;
}

static void take_sizes(const kp_node *n, kp_dnn_spec *spec)
{
    const kp_value *in = n->inputs[0], *out = n->output;
    spec->n_spatial = in->ndim - 2;
    for (int d = 0; d < spec->n_spatial; d++) {
        spec->in[d] = in->shape[1 + d];
        spec->out[d] = out->shape[1 + d];
    }
    spec->in_channels = in->shape[in->ndim - 1];
    spec->out_channels = out->shape[out->ndim - 1];
}

static int build(kp_exec *e, kp_step *s)
{
    const kp_node *n = s->node;
    kp_dnn_spec spec = {0};
    int rc = 0;
    state *st = calloc(1, sizeof *st);
    s->state = st;
    if (st == NULL)
        return kp_fail(KP_ENOMEM, "out of memory");
    st->kernels = e->kernels;
    take_sizes(n, &spec);
    if (n->op == KP_OP_CONV) {
        spec.window = n->attr.conv.window;
        spec.groups = n->attr.conv.groups;
        spec.kernel = n->inputs[1]->data;
        if (input_or_null(n, 2) != NULL)
            spec.bias = e->places[n->inputs[2]->id].data;
        spec.add_to_output = input_or_null(n, 3) != NULL;
        if (kp_dnn_has_act(&n->act))
            spec.act = n->act;
        else
            st->later = n->act;
        rc = kp_dnn_conv_new(&st->op, e->dnn, &spec, e->sizes, e->n_sizes);
    } else {
        spec.window = n->attr.pool.window;
        spec.average = n->attr.pool.average;
        spec.count_padding = n->attr.pool.count_padding;
        rc = kp_dnn_pool_new(&st->op, e->dnn, &spec, e->sizes, e->n_sizes);
    }
    if (rc != 0)
        return kp_fail_prefix(rc, "layer \"%s\"", n->name != NULL ? n->name : "");
    s->scratch_bytes = kp_dnn_op_scratch_bytes(st->op);
    s->packed_bytes = kp_dnn_op_packed_bytes(st->op);
    return 0;
}

static void take(kp_step *s, int in_place)
{
    s->by = "onednn";
    s->run = run;
    s->build = build;
    s->fini = fini;
    s->in_place = in_place;
}

bool kp_step_conv(kp_step *s, const kp_node *n)
{
    if (n->op != KP_OP_CONV || !all_float(n) || !image_like(n->inputs[0]) ||
        !image_like(n->output) || n->inputs[1] == NULL || n->inputs[1]->data == NULL ||
        !constant_or_absent(n, 2))
        return false;
    take(s, input_or_null(n, 3) != NULL ? 3 : -1);
    return true;
}

bool kp_step_pool(kp_step *s, const kp_node *n)
{
    if (n->op != KP_OP_POOL || !all_float(n) || !image_like(n->inputs[0]) || !image_like(n->output))
        return false;
    const kp_window *w = &n->attr.pool.window;
    for (int d = 0; d < w->n_spatial; d++) {
        if (w->dilation[d] > 1 || w->pad_before[d] >= w->size[d] || w->pad_after[d] >= w->size[d])
            return false;
    }
    take(s, -1);
    return true;
}
