/* The graph as text, one line a node. */
#include "graph/graph_int.h"

const char *kp_op_name(kp_op op)
{
    static const char *const names[KP_OP_COUNT] = {
        [KP_OP_INPUT] = "input",
        [KP_OP_CONST] = "const",
        [KP_OP_CONV] = "conv",
        [KP_OP_CONV_TRANSPOSE] = "conv_transpose",
        [KP_OP_DENSE] = "dense",
        [KP_OP_MATMUL] = "matmul",
        [KP_OP_POOL] = "pool",
        [KP_OP_REDUCE] = "reduce",
        [KP_OP_UNARY] = "unary",
        [KP_OP_BINARY] = "binary",
        [KP_OP_BATCHNORM] = "batchnorm",
        [KP_OP_AFFINE] = "affine",
        [KP_OP_LAYERNORM] = "layernorm",
        [KP_OP_SOFTMAX] = "softmax",
        [KP_OP_CONCAT] = "concat",
        [KP_OP_PAD] = "pad",
        [KP_OP_SLICE] = "slice",
        [KP_OP_RESHAPE] = "reshape",
        [KP_OP_TRANSPOSE] = "transpose",
        [KP_OP_REPEAT] = "repeat",
        [KP_OP_RESIZE] = "resize",
        [KP_OP_CAST] = "cast",
        [KP_OP_BROADCAST] = "broadcast",
        [KP_OP_SELECT] = "select",
        [KP_OP_GATHER] = "gather",
        [KP_OP_KERNEL] = "kernel",
        [KP_OP_MAP] = "map",
        [KP_OP_SCAN] = "scan",
    };
    return (unsigned)op < KP_OP_COUNT ? names[op] : "unknown";
}

const char *kp_act_name(kp_act_kind kind)
{
    static const char *const names[KP_ACT_COUNT] = {
        [KP_ACT_NONE] = "none",
        [KP_ACT_RELU] = "relu",
        [KP_ACT_ELU] = "elu",
        [KP_ACT_CELU] = "celu",
        [KP_ACT_SELU] = "selu",
        [KP_ACT_GELU] = "gelu",
        [KP_ACT_GELU_TANH] = "gelu_tanh",
        [KP_ACT_SILU] = "silu",
        [KP_ACT_HARD_SILU] = "hard_silu",
        [KP_ACT_MISH] = "mish",
        [KP_ACT_SIGMOID] = "sigmoid",
        [KP_ACT_HARD_SIGMOID] = "hard_sigmoid",
        [KP_ACT_LOG_SIGMOID] = "log_sigmoid",
        [KP_ACT_TANH] = "tanh",
        [KP_ACT_HARD_TANH] = "hard_tanh",
        [KP_ACT_TANH_SHRINK] = "tanh_shrink",
        [KP_ACT_SOFTPLUS] = "softplus",
        [KP_ACT_SOFTSIGN] = "softsign",
        [KP_ACT_EXP] = "exp",
        [KP_ACT_HARD_SHRINK] = "hard_shrink",
        [KP_ACT_SOFT_SHRINK] = "soft_shrink",
        [KP_ACT_SPARSE_PLUS] = "sparse_plus",
        [KP_ACT_SPARSE_SIGMOID] = "sparse_sigmoid",
        [KP_ACT_SQUAREPLUS] = "squareplus",
        [KP_ACT_THRESHOLD] = "threshold",
        [KP_ACT_NEG] = "neg",
        [KP_ACT_ABS] = "abs",
        [KP_ACT_SQUARE] = "square",
        [KP_ACT_SQRT] = "sqrt",
        [KP_ACT_RSQRT] = "rsqrt",
        [KP_ACT_LOG] = "log",
        [KP_ACT_RECIPROCAL] = "reciprocal",
        [KP_ACT_LINEAR] = "linear",
        [KP_ACT_SIN] = "sin",
        [KP_ACT_COS] = "cos",
        [KP_ACT_TAN] = "tan",
        [KP_ACT_ASIN] = "asin",
        [KP_ACT_ACOS] = "acos",
        [KP_ACT_ATAN] = "atan",
        [KP_ACT_SINH] = "sinh",
        [KP_ACT_COSH] = "cosh",
        [KP_ACT_ASINH] = "asinh",
        [KP_ACT_ACOSH] = "acosh",
        [KP_ACT_ATANH] = "atanh",
        [KP_ACT_EXP2] = "exp2",
        [KP_ACT_EXPM1] = "expm1",
        [KP_ACT_LOG1P] = "log1p",
        [KP_ACT_LOG2] = "log2",
        [KP_ACT_LOG10] = "log10",
        [KP_ACT_CBRT] = "cbrt",
        [KP_ACT_SINC] = "sinc",
        [KP_ACT_I0] = "i0",
        [KP_ACT_ERF] = "erf",
        [KP_ACT_ERFC] = "erfc",
        [KP_ACT_ERFINV] = "erfinv",
        [KP_ACT_LGAMMA] = "lgamma",
        [KP_ACT_DIGAMMA] = "digamma",
        [KP_ACT_CEIL] = "ceil",
        [KP_ACT_FLOOR] = "floor",
        [KP_ACT_TRUNC] = "trunc",
        [KP_ACT_ROUND] = "round",
        [KP_ACT_SIGN] = "sign",
        [KP_ACT_INVERT] = "invert",
        [KP_ACT_NOT] = "not",
        [KP_ACT_IS_NAN] = "is_nan",
        [KP_ACT_IS_INF] = "is_inf",
        [KP_ACT_IS_FINITE] = "is_finite",
        [KP_ACT_SIGN_BIT] = "sign_bit",
    };
    return (unsigned)kind < KP_ACT_COUNT ? names[kind] : "unknown";
}

const char *kp_reduce_name(kp_reduce_kind kind)
{
    static const char *const names[KP_RED_COUNT] = {"sum", "mean", "max", "min",    "prod",  "var",
                                                    "std", "any",  "all", "argmax", "argmin"};
    return (unsigned)kind < KP_RED_COUNT ? names[kind] : "unknown";
}

const char *kp_binary_name(kp_binary_kind kind)
{
    static const char *const names[KP_BIN_COUNT] = {
        "add",   "sub",       "mul",       "div",        "max",        "min",
        "pow",   "floor_div", "mod",       "fmax",       "fmin",       "div_no_nan",
        "atan2", "hypot",     "logaddexp", "logaddexp2", "heaviside",  "next_after",
        "gcd",   "bit_and",   "bit_or",    "bit_xor",    "shift_left", "shift_right",
        "equal", "not_equal", "less",      "less_equal", "greater",    "greater_equal",
        "and",   "or",        "xor"};
    return (unsigned)kind < KP_BIN_COUNT ? names[kind] : "unknown";
}

/* " 3x3" */
static void print_sizes(kp_buf *b, const int64_t *v, int n)
{
    for (int i = 0; i < n; i++)
        kp_buf_printf(b, "%s%lld", i == 0 ? " " : "x", (long long)v[i]);
}

static void print_list(kp_buf *b, const char *what, const int64_t *v, int n)
{
    kp_buf_printf(b, " %s", what);
    for (int i = 0; i < n; i++)
        kp_buf_printf(b, "%s%lld", i == 0 ? " " : ",", (long long)v[i]);
}

static void print_axes(kp_buf *b, const kp_axes *axes)
{
    kp_buf_puts(b, " axes");
    for (int i = 0; i < axes->n; i++)
        kp_buf_printf(b, "%s%d", i == 0 ? " " : ",", axes->axis[i]);
}

static void print_window(kp_buf *b, const kp_window *w)
{
    static const char *const padding[] = {"valid", "same", "explicit"};
    kp_buf_puts(b, " window");
    print_sizes(b, w->size, w->n_spatial);
    kp_buf_puts(b, " stride");
    print_sizes(b, w->stride, w->n_spatial);
    kp_buf_puts(b, " dilation");
    print_sizes(b, w->dilation, w->n_spatial);
    kp_buf_printf(b, " %s", padding[w->padding]);
    for (int i = 0; i < w->n_spatial; i++)
        kp_buf_printf(b, "%s%lld:%lld", i == 0 ? " " : ",", (long long)w->pad_before[i],
                      (long long)w->pad_after[i]);
}

static void print_act(kp_buf *b, const char *what, const kp_act *act)
{
    kp_buf_printf(b, " %s%s", what, kp_act_name(act->kind));
    if (act->a != 0 || act->b != 0 || act->c != 0)
        kp_buf_printf(b, "(%g, %g, %g)", (double)act->a, (double)act->b, (double)act->c);
}

static void print_resize(kp_buf *b, const kp_node *n)
{
    static const char *const kinds[KP_RESIZE_COUNT] = {"nearest",  "bilinear", "bicubic",
                                                       "lanczos3", "lanczos5", "area"};
    kp_buf_printf(b, " %s", kinds[n->attr.resize.kind]);
    if (n->attr.resize.antialias)
        kp_buf_puts(b, " antialias");
    if (n->attr.resize.crop_to_aspect_ratio)
        kp_buf_puts(b, " crop_to_aspect_ratio");
    if (n->attr.resize.pad_to_aspect_ratio)
        kp_buf_printf(b, " pad_to_aspect_ratio %g", (double)n->attr.resize.fill_value);
    if (n->attr.resize.center_crop)
        kp_buf_puts(b, " center_crop");
}

static void print_slice(kp_buf *b, const kp_node *n)
{
    for (int i = 0; i < n->inputs[0]->ndim; i++) {
        kp_buf_printf(b, "%s%lld:", i == 0 ? " " : ",", (long long)n->attr.slice.begin[i]);
        if (n->attr.slice.end[i] != INT64_MAX)
            kp_buf_printf(b, "%lld", (long long)n->attr.slice.end[i]);
        kp_buf_printf(b, ":%lld", (long long)n->attr.slice.step[i]);
    }
}

/* What a node's shape does not tell. */
static void print_attr(kp_buf *b, const kp_node *n)
{
    int ndim = n->n_inputs > 0 && n->inputs[0] != NULL ? n->inputs[0]->ndim : 0;
    switch (n->op) {
    case KP_OP_INPUT:
        kp_buf_printf(b, " %d", n->attr.input.index);
        break;
    case KP_OP_CONV:
        print_window(b, &n->attr.conv.window);
        kp_buf_printf(b, " groups %lld", (long long)n->attr.conv.groups);
        break;
    case KP_OP_CONV_TRANSPOSE:
        print_window(b, &n->attr.conv_transpose.window);
        break;
    case KP_OP_POOL:
        kp_buf_puts(b, n->attr.pool.average ? " average" : " max");
        print_window(b, &n->attr.pool.window);
        break;
    case KP_OP_REDUCE:
        kp_buf_printf(b, " %s", kp_reduce_name(n->attr.reduce.kind));
        print_axes(b, &n->attr.reduce.axes);
        break;
    case KP_OP_UNARY:
        print_act(b, "", &n->attr.unary.act);
        break;
    case KP_OP_BINARY:
        kp_buf_printf(b, " %s", kp_binary_name(n->attr.binary.kind));
        break;
    case KP_OP_BATCHNORM:
        kp_buf_printf(b, " axis %d epsilon %g", n->attr.axis.axis, (double)n->attr.axis.epsilon);
        break;
    case KP_OP_AFFINE:
    case KP_OP_CONCAT:
        kp_buf_printf(b, " axis %d", n->attr.axis.axis);
        break;
    case KP_OP_LAYERNORM:
        print_axes(b, &n->attr.layernorm.axes);
        kp_buf_printf(b, " epsilon %g%s", (double)n->attr.layernorm.epsilon,
                      n->attr.layernorm.rms_scaling ? " rms_scaling" : "");
        break;
    case KP_OP_SOFTMAX:
        print_axes(b, &n->attr.softmax.axes);
        kp_buf_puts(b, n->attr.softmax.log ? " log" : "");
        break;
    case KP_OP_PAD:
        print_list(b, "before", n->attr.pad.before, ndim);
        print_list(b, "after", n->attr.pad.after, ndim);
        kp_buf_printf(b, " value %g", n->attr.pad.value);
        break;
    case KP_OP_SLICE:
        print_slice(b, n);
        break;
    case KP_OP_TRANSPOSE:
        for (int i = 0; i < ndim; i++)
            kp_buf_printf(b, "%s%d", i == 0 ? " " : ",", n->attr.transpose.perm[i]);
        break;
    case KP_OP_REPEAT:
        print_sizes(b, n->attr.repeat.times, ndim);
        break;
    case KP_OP_RESIZE:
        print_resize(b, n);
        break;
    case KP_OP_GATHER:
        kp_buf_printf(b, " axis %d batch_dims %d", n->attr.gather.axis, n->attr.gather.batch_dims);
        break;
    case KP_OP_KERNEL:
        kp_buf_printf(b, " %s", n->attr.kernel.def->name);
        break;
    case KP_OP_SCAN:
        kp_buf_printf(b, " sequences %d states %d%s%s", n->attr.loop.n_seq, n->attr.loop.n_state,
                      n->attr.loop.last_only ? " last_only" : "",
                      n->attr.loop.reverse ? " reverse" : "");
        break;
    default: /* the result's type and shape say it all */
        break;
    }
    if (n->act.kind != KP_ACT_NONE)
        print_act(b, "+ ", &n->act);
}

static void print_shape(kp_buf *b, const kp_value *v)
{
    kp_buf_printf(b, "%s (", kp_dtype_name(v->dtype));
    for (int i = 0; i < v->ndim; i++) {
        const char *sep = i > 0 ? ", " : "";
        if (v->shape[i] == KP_DIM_BATCH)
            kp_buf_printf(b, "%sN", sep);
        else if (v->shape[i] < 0)
            kp_buf_printf(b, "%s?%lld", sep, (long long)(KP_DIM_UNKNOWN - v->shape[i]));
        else
            kp_buf_printf(b, "%s%lld", sep, (long long)v->shape[i]);
    }
    kp_buf_puts(b, ")");
}

static void print_node(kp_buf *out, const kp_node *n)
{
    kp_buf_printf(out, "%%%d = %s", n->output->id, kp_op_name(n->op));
    for (int k = 0; k < n->n_inputs; k++) {
        if (n->inputs[k] == NULL)
            kp_buf_puts(out, " -");
        else
            kp_buf_printf(out, " %%%d", n->inputs[k]->id);
    }
    print_attr(out, n);
    kp_buf_puts(out, " : ");
    print_shape(out, n->output);
    if (n->name != NULL) {
        kp_buf_puts(out, " ");
        kp_buf_json_string(out, n->name, strlen(n->name));
    }
    kp_buf_puts(out, "\n");
}

/* The body of a loop follows its node, indented. */
static void print_graph(kp_buf *out, const kp_graph *g, int depth)
{
    for (int i = 0; i < g->n_nodes; i++) {
        kp_buf_printf(out, "%*s", 2 * depth, "");
        print_node(out, g->nodes[i]);
        if (kp_node_body(g->nodes[i]) != NULL)
            print_graph(out, kp_node_body(g->nodes[i]), depth + 1);
    }
    kp_buf_printf(out, "%*soutputs", 2 * depth, "");
    for (int i = 0; i < g->n_outputs; i++)
        kp_buf_printf(out, " %%%d", g->outputs[i]->id);
    kp_buf_puts(out, "\n");
}

int kp_graph_print(const kp_graph *g, kp_buf *out)
{
    print_graph(out, g, 0);
    return out->failed ? kp_fail(KP_ENOMEM, "out of memory") : 0;
}
