#include "backend/op_wild.h"

static _Thread_local uint64_t wild_state;

static unsigned pick(unsigned n)
{
    wild_state = wild_state * 6364136223846793005u + 1442695040888963407u;
    return (unsigned)(wild_state >> 33) % n;
}

/* Mostly small, sometimes at the edges of a type. */
static int64_t wild(void)
{
    static const int64_t edges[] = {
        0, -1, -2, -3, INT32_MAX, INT32_MIN, INT64_MAX, INT64_MIN, 1LL << 31, 1LL << 40, 1LL << 62};
    return pick(24) == 0 ? edges[pick(sizeof edges / sizeof edges[0])] : (int64_t)pick(6);
}

static void wild_list(int64_t *v, int n)
{
    for (int i = 0; i < n; i++)
        v[i] = wild();
}

static void wild_window(kp_window *w)
{
    w->n_spatial = pick(8) == 0 ? (int)pick(6) - 1 : 1 + (int)pick(2);
    w->padding = (kp_padding)pick(4);
    wild_list(w->size, KP_MAX_SPATIAL);
    wild_list(w->stride, KP_MAX_SPATIAL);
    wild_list(w->dilation, KP_MAX_SPATIAL);
    wild_list(w->pad_before, KP_MAX_SPATIAL);
    wild_list(w->pad_after, KP_MAX_SPATIAL);
}

static void wild_axes(kp_axes *axes)
{
    axes->n = pick(4) == 0 ? (int)pick(12) - 1 : 1;
    for (int i = 0; i < KP_MAX_DIMS; i++)
        axes->axis[i] = (int)wild();
}

static void wild_node(kp_node *n)
{
    memset(n, 0, sizeof *n);
    n->op = (kp_op)pick(KP_OP_COUNT + 1);
    switch (n->op) {
    case KP_OP_CONV:
        wild_window(&n->attr.conv.window);
        n->attr.conv.groups = pick(4) == 0 ? wild() : 1;
        break;
    case KP_OP_CONV_TRANSPOSE:
        wild_window(&n->attr.conv_transpose.window);
        wild_list(n->attr.conv_transpose.output_padding, KP_MAX_SPATIAL);
        n->attr.conv_transpose.has_output_padding = pick(2);
        break;
    case KP_OP_POOL:
        wild_window(&n->attr.pool.window);
        for (int i = 0; pick(4) != 0 && i < KP_MAX_SPATIAL; i++)
            n->attr.pool.window.dilation[i] = 1;
        break;
    case KP_OP_REDUCE:
        wild_axes(&n->attr.reduce.axes);
        n->attr.reduce.keepdims = pick(2);
        break;
    case KP_OP_LAYERNORM:
        wild_axes(&n->attr.layernorm.axes);
        break;
    case KP_OP_SOFTMAX:
        wild_axes(&n->attr.softmax.axes);
        break;
    case KP_OP_RESHAPE:
        n->attr.reshape.keep = (int)wild();
        n->attr.reshape.n = (int)wild();
        wild_list(n->attr.reshape.dims, KP_MAX_DIMS);
        break;
    case KP_OP_RESIZE:
        n->attr.resize.kind = (kp_resize_kind)pick(KP_RESIZE_COUNT + 1);
        wild_list(&n->attr.resize.height, 1);
        wild_list(&n->attr.resize.width, 1);
        wild_list(&n->attr.resize.factor_h, 1);
        wild_list(&n->attr.resize.factor_w, 1);
        break;
    case KP_OP_BROADCAST:
        n->attr.broadcast.ndim = (int)wild();
        wild_list(n->attr.broadcast.shape, KP_MAX_DIMS);
        if (pick(4) != 0)
            n->attr.broadcast.shape[0] = KP_DIM_BATCH;
        break;
    case KP_OP_TRANSPOSE:
        for (int i = 0; i < KP_MAX_DIMS; i++)
            n->attr.transpose.perm[i] = (int)wild();
        break;
    case KP_OP_PAD:
        wild_list(n->attr.pad.before, KP_MAX_DIMS);
        wild_list(n->attr.pad.after, KP_MAX_DIMS);
        break;
    case KP_OP_SLICE:
        wild_list(n->attr.slice.begin, KP_MAX_DIMS);
        wild_list(n->attr.slice.end, KP_MAX_DIMS);
        wild_list(n->attr.slice.step, KP_MAX_DIMS);
        if (pick(4) != 0) {
            n->attr.slice.begin[0] = 0;
            n->attr.slice.end[0] = INT64_MAX;
            n->attr.slice.step[0] = 1;
        }
        break;
    case KP_OP_CAST:
        n->attr.cast.dtype = (kp_dtype)pick(KP_DTYPE_COUNT + 1);
        break;
    case KP_OP_REPEAT:
        wild_list(n->attr.repeat.times, KP_MAX_DIMS);
        break;
    case KP_OP_KERNEL: /* without functions, or a body: refused */
    case KP_OP_MAP:
    case KP_OP_SCAN:
        break;
    case KP_OP_GATHER:
        n->attr.gather.axis = (int)wild();
        n->attr.gather.batch_dims = (int)wild();
        break;
    default:
        n->attr.axis.axis = (int)wild();
        break;
    }
}

/* The shape of the operands k: random, or one that fits an input of `channels` (0: no such). */
static int operand_shape(const kp_node *n, int64_t channels, int64_t *shape)
{
    const kp_window *w =
        n->op == KP_OP_CONV ? &n->attr.conv.window : &n->attr.conv_transpose.window;
    bool window = n->op == KP_OP_CONV || n->op == KP_OP_CONV_TRANSPOSE;
    int ndim = 1 + (int)pick(4);
    for (int i = 0; i < ndim; i++)
        shape[i] = 1 + pick(5);
    if (channels == 0 || (!window && n->op != KP_OP_DENSE && n->op != KP_OP_MATMUL))
        return ndim;
    ndim = 0;
    for (int i = 0; window && i < w->n_spatial && i < KP_MAX_SPATIAL; i++)
        shape[ndim++] = w->size[i] > 0 && w->size[i] < 6 ? w->size[i] : 1;
    shape[ndim++] = n->op == KP_OP_CONV_TRANSPOSE ? 2 : channels;
    shape[ndim++] = n->op == KP_OP_CONV_TRANSPOSE ? channels : 2;
    return ndim;
}

/* x and three constants. */
static int wild_values(kp_graph *g, const kp_node *n, kp_value **v)
{
    static float data[1 << 12];
    static const int32_t zeros[1 << 12];
    for (int i = 0; data[0] == 0 && i < 1 << 12; i++)
        data[i] = (float)(1 + i * 7919 % 97) / 50;
    int64_t shape[KP_MAX_DIMS] = {KP_DIM_BATCH}, channels = pick(3) == 0 ? 0 : 1 + (int64_t)pick(4);
    int ndim = pick(2) ? 4 : 1 + (int)pick(5);
    for (int d = 1; d < ndim; d++)
        shape[d] = pick(6) == 0 ? INT32_MAX : pick(6);
    if (channels != 0 && ndim > 1)
        shape[ndim - 1] = channels;
    kp_dtype dtype = n->op == KP_OP_SELECT ? KP_BOOL : KP_FLOAT32;
    KP_TRY(kp_graph_add_input(g, "x", dtype, shape, ndim, &v[0]));
    for (int i = 1; i < 4; i++) {
        ndim = i == 1 ? operand_shape(n, channels, shape) : 1;
        shape[0] = i > 1 ? 2 : shape[0];
        bool gather = n->op == KP_OP_GATHER;
        KP_TRY(kp_graph_add_const(g, "k", gather ? KP_INT32 : KP_FLOAT32, shape, ndim,
                                  gather ? (const void *)zeros : data, &v[i]));
    }
    return 0;
}

static int build(kp_graph *g)
{
    kp_value *v[4], *out;
    kp_node n;
    wild_node(&n);
    KP_TRY(wild_values(g, &n, v));
    KP_TRY(kp_graph_add(g, &n, v, (int)pick(4), &out));
    return kp_graph_set_outputs(g, &out, 1);
}

kp_graph *op_wild_graph(uint64_t seed)
{
    kp_graph *g;
    wild_state = seed * 0x9e3779b97f4a7c15u + 1;
    if (kp_graph_new(&g) == 0 && build(g) != 0)
        kp_graph_free(&g);
    return g;
}

bool op_wild_is_small(const kp_graph *g)
{
    size_t bytes;
    for (int i = 0; i < g->n_values; i++) {
        if (!kp_value_bytes(g->values[i], 2, &bytes) || bytes > 1 << 18)
            return false;
        for (int d = 0; d < g->values[i]->ndim; d++) {
            if (g->values[i]->shape[d] > 1 << 12)
                return false;
        }
    }
    return kp_node_flops(g->outputs[0]->producer) < 1e6;
}
