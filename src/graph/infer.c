/* Types and shapes of results: arity and the table of rules; the rules themselves lie in infer_*.c.
 * Shapes follow Keras 3 on TensorFlow. */
#include "graph/graph_int.h"

/* No value of one row may be larger: far above any machine, far below an overflow. */
#define ROW_BYTES_LIMIT ((size_t)1 << 48)

static const struct {
    int min_inputs, max_inputs; /* inputs below min must not be NULL */
    kp_infer_fn infer;
} rules[KP_OP_COUNT] = {
    [KP_OP_CONV] = {2, 4, kp_infer_conv},
    [KP_OP_CONV_TRANSPOSE] = {2, 3, kp_infer_conv_transpose},
    [KP_OP_DENSE] = {2, 4, kp_infer_dense},
    [KP_OP_MATMUL] = {2, 2, kp_infer_matmul},
    [KP_OP_POOL] = {1, 1, kp_infer_pool},
    [KP_OP_REDUCE] = {1, 1, kp_infer_reduce},
    [KP_OP_UNARY] = {1, 1, kp_infer_unary},
    [KP_OP_BINARY] = {2, 2, kp_infer_binary},
    [KP_OP_BATCHNORM] = {3, 5, kp_infer_batchnorm},
    [KP_OP_AFFINE] = {3, 3, kp_infer_affine},
    [KP_OP_LAYERNORM] = {1, 3, kp_infer_layernorm},
    [KP_OP_SOFTMAX] = {1, 1, kp_infer_softmax},
    [KP_OP_CONCAT] = {1, KP_NODE_INPUTS_MAX, kp_infer_concat},
    [KP_OP_PAD] = {1, 1, kp_infer_pad},
    [KP_OP_SLICE] = {1, 1, kp_infer_slice},
    [KP_OP_RESHAPE] = {1, 1, kp_infer_reshape},
    [KP_OP_TRANSPOSE] = {1, 1, kp_infer_transpose},
    [KP_OP_REPEAT] = {1, 1, kp_infer_repeat},
    [KP_OP_RESIZE] = {1, 1, kp_infer_resize},
    [KP_OP_CAST] = {1, 1, kp_infer_cast},
    [KP_OP_BROADCAST] = {1, 1, kp_infer_broadcast},
    [KP_OP_SELECT] = {3, 3, kp_infer_select},
    [KP_OP_GATHER] = {2, 2, kp_infer_gather},
    [KP_OP_KERNEL] = {0, KP_NODE_INPUTS_MAX, kp_infer_kernel},
    [KP_OP_MAP] = {1, KP_NODE_INPUTS_MAX, kp_infer_map},
    [KP_OP_SCAN] = {1, KP_NODE_INPUTS_MAX, kp_infer_scan},
};

int kp_node_fail(const kp_node *n, int status, const char *fmt, ...)
{
    char text[512];
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(text, sizeof text, fmt, ap);
    va_end(ap);
    return kp_fail(status, "layer \"%s\": %s", n->name != NULL ? n->name : kp_op_name(n->op), text);
}

kp_window *kp_node_window(kp_node *n)
{
    switch (n->op) {
    case KP_OP_CONV:
        return &n->attr.conv.window;
    case KP_OP_CONV_TRANSPOSE:
        return &n->attr.conv_transpose.window;
    case KP_OP_POOL:
        return &n->attr.pool.window;
    default:
        return NULL;
    }
}

/* The fused activation belongs to few operations. */
static int check_fused(kp_infer *c)
{
    const kp_node *n = c->n;
    if (n->act.kind == KP_ACT_NONE)
        return 0;
    if (n->op != KP_OP_CONV && n->op != KP_OP_CONV_TRANSPOSE && n->op != KP_OP_DENSE &&
        n->op != KP_OP_AFFINE && n->op != KP_OP_BINARY)
        return kp_node_fail(n, KP_EINTERNAL, "%s takes no fused activation", kp_op_name(n->op));
    return kp_infer_check_act(c, &n->act);
}

/* Strings are moved and picked; only operations that bring their own functions read them. */
static bool takes_strings(kp_op op)
{
    switch (op) {
    case KP_OP_CONCAT:
    case KP_OP_SLICE:
    case KP_OP_RESHAPE:
    case KP_OP_TRANSPOSE:
    case KP_OP_REPEAT:
    case KP_OP_BROADCAST:
    case KP_OP_SELECT:
    case KP_OP_GATHER:
    case KP_OP_KERNEL:
    case KP_OP_MAP:
    case KP_OP_SCAN:
        return true;
    default:
        return false;
    }
}

static int check_inputs(kp_infer *c)
{
    const kp_node *n = c->n;
    if (n->n_inputs < rules[n->op].min_inputs || n->n_inputs > rules[n->op].max_inputs)
        return kp_node_fail(n, KP_EINTERNAL, "%s with %d inputs", kp_op_name(n->op), n->n_inputs);
    for (int i = 0; i < n->n_inputs; i++) {
        bool required = i < rules[n->op].min_inputs || n->op == KP_OP_CONCAT;
        if (n->inputs[i] == NULL && required)
            return kp_node_fail(n, KP_EINTERNAL, "%s without its input %d", kp_op_name(n->op), i);
        if (n->inputs[i] != NULL && n->inputs[i]->dtype == KP_STRING && !takes_strings(n->op))
            return kp_node_fail(n, KP_EUNSUPPORTED, "%s of strings", kp_op_name(n->op));
    }
    return check_fused(c);
}

static int check_output(kp_infer *c)
{
    const kp_value *v = c->out;
    char text[KP_SHAPE_TEXT];
    size_t bytes = kp_elem_size(v->dtype);
    for (int i = 0; i < v->ndim; i++) {
        if (v->shape[i] == KP_DIM_BATCH && i > 0)
            return kp_node_fail(c->n, KP_ESHAPE, "the batch cannot become axis %d of the result",
                                i);
        size_t size = v->shape[i] < 0 ? 1 : (size_t)v->shape[i];
        if (v->shape[i] > KP_SIZE_LIMIT || !kp_mul_size(bytes, size, &bytes) ||
            bytes > ROW_BYTES_LIMIT)
            return kp_node_fail(c->n, KP_ELIMIT, "a result of shape %s is too large",
                                kp_shape_text(v->shape, v->ndim, text, sizeof text));
    }
    return 0;
}

int kp_infer_into(const kp_node *n, kp_window *window, kp_value *out, int64_t *next_symbol)
{
    if ((unsigned)n->op >= KP_OP_COUNT)
        return kp_fail(KP_EINTERNAL, "a node of an unknown operation");
    if (rules[n->op].infer == NULL)
        return n->n_inputs == 0 ? 0 : kp_node_fail(n, KP_EINTERNAL, "it takes no inputs");
    kp_infer c = {.n = n, .window = window, .out = out, .next_symbol = next_symbol};
    KP_TRY(check_inputs(&c));
    KP_TRY(rules[n->op].infer(&c));
    return check_output(&c);
}

int kp_graph_infer_node(kp_graph *g, kp_node *n)
{
    return kp_infer_into(n, kp_node_window(n), n->output, &g->next_symbol);
}

bool kp_graph_all_known(const kp_graph *g)
{
    for (int i = 0; i < g->n_values; i++) {
        const kp_value *v = g->values[i];
        for (int d = 0; d < v->ndim; d++) {
            if (v->shape[d] < KP_DIM_BATCH)
                return false;
        }
    }
    for (int i = 0; i < g->n_nodes; i++) {
        const kp_graph *body = kp_node_body(g->nodes[i]);
        if (body != NULL && !kp_graph_all_known(body))
            return false;
    }
    return true;
}
