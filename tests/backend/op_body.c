#include "backend/op_body.h"

enum { UNITS = 7 };

typedef struct body {
    kp_graph *g;
    uint64_t seed;
    kp_value *in[8];
    int n_in;
} body;

static int constant(body *b, const int64_t *shape, int ndim, kp_value **out)
{
    size_t bytes;
    if (!kp_shape_bytes(shape, ndim, KP_FLOAT32, &bytes))
        return kp_fail(KP_EINVAL, "a constant of unknown size");
    float *data = kp_graph_alloc(b->g, bytes);
    if (data == NULL)
        return KP_ENOMEM;
    KP_TRY(op_text_fill(data, KP_FLOAT32, (int64_t)(bytes / sizeof *data), false, b->seed++));
    for (size_t i = 0; i < bytes / sizeof *data; i++)
        data[i] *= 0.4f;
    return kp_graph_add_const(b->g, NULL, KP_FLOAT32, shape, ndim, data, out);
}

static int dense(body *b, kp_value *x, kp_value **out)
{
    const kp_node n = {.op = KP_OP_DENSE};
    kp_value *w;
    KP_TRY(constant(b, (int64_t[]){x->shape[x->ndim - 1], UNITS}, 2, &w));
    return kp_graph_add(b->g, &n, (kp_value *[]){x, w}, 2, out);
}

static int conv(body *b, kp_value *x, kp_value **out)
{
    kp_node n = {.op = KP_OP_CONV, .act.kind = KP_ACT_TANH, .attr.conv.groups = 1};
    n.attr.conv.window = (kp_window){.n_spatial = 2,
                                     .size = {3, 3},
                                     .stride = {1, 1},
                                     .dilation = {1, 1},
                                     .padding = KP_PAD_SAME};
    kp_value *w;
    KP_TRY(constant(b, (int64_t[]){3, 3, x->shape[3], 5}, 4, &w));
    return kp_graph_add(b->g, &n, (kp_value *[]){x, w}, 2, out);
}

static int add(body *b, kp_value *x, kp_value *y, kp_value **out)
{
    const kp_node n = {.op = KP_OP_BINARY, .attr.binary.kind = KP_BIN_ADD};
    return kp_graph_add(b->g, &n, (kp_value *[]){x, y}, 2, out);
}

static int cell(body *b, kp_value **y)
{
    const kp_node tanh = {.op = KP_OP_UNARY, .attr.unary.act.kind = KP_ACT_TANH};
    kp_value *x, *s;
    KP_TRY(dense(b, b->in[0], &x));
    KP_TRY(dense(b, b->in[1], &s));
    KP_TRY(add(b, x, s, &x));
    for (int i = 2; i < b->n_in; i++)
        KP_TRY(add(b, x, b->in[i], &x));
    return kp_graph_add(b->g, &tanh, &x, 1, y);
}

static int loop(body *b, kp_value **y)
{
    kp_node n = {.op = KP_OP_SCAN, .attr.loop = {.n_seq = 1, .n_state = 1, .last_only = true}};
    kp_value *in[2] = {b->in[0], NULL};
    KP_TRY(op_body_make(b->g, "cell", b->seed, in, 2, &n));
    return kp_graph_add(b->g, &n, in, 2, y);
}

/* The body's inputs, for those of the loop. */
static int take_inputs(body *b, kp_value *const *in, int n_in, int n_seq)
{
    for (int i = 0; i < n_in; i++) {
        int64_t shape[KP_MAX_DIMS] = {KP_DIM_BATCH, UNITS};
        int ndim = 2, time = i < n_seq ? 1 : 0;
        for (int d = 1; in[i] != NULL && d + time < in[i]->ndim; d++)
            shape[d] = in[i]->shape[d + time];
        if (in[i] != NULL)
            ndim = in[i]->ndim - time;
        KP_TRY(kp_graph_add_input(b->g, "step", in[i] != NULL ? in[i]->dtype : KP_FLOAT32, shape,
                                  ndim, &b->in[b->n_in++]));
    }
    return 0;
}

int op_body_make(kp_graph *g, const char *name, uint64_t seed, kp_value *const *in, int n_in,
                 kp_node *n)
{
    body b = {.seed = seed};
    kp_value *out[3] = {NULL};
    int n_out = n->op == KP_OP_MAP ? 1 : 1 + n->attr.loop.n_state;
    KP_TRY(kp_graph_new_body(g, &b.g));
    KP_TRY(take_inputs(&b, in, n_in, n->op == KP_OP_MAP ? n_in : n->attr.loop.n_seq));
    if (strcmp(name, "dense") == 0)
        KP_TRY(dense(&b, b.in[0], &out[0]));
    else if (strcmp(name, "conv") == 0)
        KP_TRY(conv(&b, b.in[0], &out[0]));
    else if (strcmp(name, "loop") == 0)
        KP_TRY(loop(&b, &out[0]));
    else if (strcmp(name, "cell") == 0)
        KP_TRY(cell(&b, &out[0]));
    else
        KP_TRY(add(&b, b.in[0], b.in[1], &out[0]));
    out[1] = strcmp(name, "swap") == 0 ? b.in[2] : out[0];
    out[2] = out[0];
    n->attr.loop.body = b.g;
    return kp_graph_set_outputs(b.g, out, n_out);
}
