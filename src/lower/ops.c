/* Nodes of keras.ops that stand in models without a layer: arithmetic, functions, reductions. */
#include "lower/build.h"

/* ---- functions of one operand ---- */

/* The parameters that an operation keeps in its configuration. */
static int read_parameters(const kp_layer *l, kp_act *act)
{
    double v = act->a;
    bool approximate;
    switch (act->kind) {
    case KP_ACT_ELU:
    case KP_ACT_CELU:
        KP_TRY(kp_cfg_float(l, "alpha", 1, &v));
        break;
    case KP_ACT_RELU:
        KP_TRY(kp_cfg_float(l, "negative_slope", act->a, &v));
        break;
    case KP_ACT_HARD_SHRINK:
    case KP_ACT_SOFT_SHRINK:
        KP_TRY(kp_cfg_float(l, "threshold", 0.5, &v));
        break;
    case KP_ACT_SQUAREPLUS:
        KP_TRY(kp_cfg_float(l, "b", 4, &v));
        break;
    case KP_ACT_GELU: /* unlike the activation, the operation approximates by default */
        KP_TRY(kp_cfg_bool(l, "approximate", true, &approximate));
        act->kind = approximate ? KP_ACT_GELU_TANH : KP_ACT_GELU;
        break;
    default:
        break;
    }
    act->a = (float)v;
    return 0;
}

static kp_act initial(const char *class_name, kp_act_kind kind)
{
    kp_act act = {.kind = kind};
    if (kind == KP_ACT_RELU) {
        act.a = strcmp(class_name, "LeakyRelu") == 0 ? 0.2f : 0;
        act.b = strcmp(class_name, "Relu6") == 0 ? 6 : INFINITY;
    } else if (kind == KP_ACT_HARD_SIGMOID) {
        act.a = 1.0f / 6;
        act.b = 0.5f;
    }
    return act;
}

static int do_op_unary(kp_lw *w, const kp_lw_call *c, kp_value **out)
{
    kp_act act = initial(c->layer->class_name, (kp_act_kind)c->variant);
    kp_value *x;
    KP_TRY(read_parameters(c->layer, &act));
    KP_TRY(kp_lw_float(w, c->in[0], &x));
    return kp_lw_unary(w, act, x, out);
}

static int do_op_softmax(kp_lw *w, const kp_lw_call *c, kp_value **out)
{
    kp_axes axes;
    const json_t *v = json_object_get(c->layer->config, "axis");
    if (json_is_null(v))
        return kp_fail(KP_EMODEL, "layer \"%s\": a softmax over all axes is not supported",
                       c->layer->path);
    KP_TRY(kp_lw_axes(c->layer, "axis", c->in[0]->ndim, -1, &axes));
    return kp_lw_softmax(w, &axes, c->variant != 0, c->in[0], out);
}

/* ---- operations that bring their own functions ---- */

static int do_op_cumulate(kp_lw *w, const kp_lw_call *c, kp_value **out)
{
    kp_cumulate *p = kp_arena_alloc(w->mem, sizeof *p);
    int64_t axis;
    if (!p)
        return KP_ENOMEM;
    if (kp_lw_is_null(c->layer, "axis"))
        return kp_fail(KP_EMODEL,
                       "layer \"%s\" (%s): only a running sum along a named axis is supported",
                       c->layer->path, c->layer->class_name);
    KP_TRY(kp_cfg_int(c->layer, "axis", 0, &axis));
    KP_TRY(kp_lw_axis(c->layer, axis, c->in[0]->ndim, &p->axis));
    p->product = c->variant != 0;
    return kp_lw_kernel(w, &kp_kernel_cumulate, p, c->in, 1, out);
}

/* ---- calls of TensorFlow functions in models of Keras 2 ---- */

typedef struct tf_function {
    const char *name;
    enum { TF_BINARY, TF_REVERSED, TF_UNARY } form;
    int kind;
} tf_function;

static const tf_function tf_functions[] = {
    {"__operators__.add", TF_BINARY, KP_BIN_ADD},
    {"__operators__.radd", TF_REVERSED, KP_BIN_ADD},
    {"math.add", TF_BINARY, KP_BIN_ADD},
    {"__operators__.sub", TF_BINARY, KP_BIN_SUB},
    {"__operators__.rsub", TF_REVERSED, KP_BIN_SUB},
    {"math.subtract", TF_BINARY, KP_BIN_SUB},
    {"__operators__.mul", TF_BINARY, KP_BIN_MUL},
    {"__operators__.rmul", TF_REVERSED, KP_BIN_MUL},
    {"math.multiply", TF_BINARY, KP_BIN_MUL},
    {"__operators__.truediv", TF_BINARY, KP_BIN_DIV},
    {"__operators__.rtruediv", TF_REVERSED, KP_BIN_DIV},
    {"math.truediv", TF_BINARY, KP_BIN_DIV},
    {"math.divide", TF_BINARY, KP_BIN_DIV},
    {"math.maximum", TF_BINARY, KP_BIN_MAX},
    {"math.minimum", TF_BINARY, KP_BIN_MIN},
    {"__operators__.neg", TF_UNARY, KP_ACT_NEG},
    {"math.negative", TF_UNARY, KP_ACT_NEG},
    {"math.abs", TF_UNARY, KP_ACT_ABS},
    {"math.square", TF_UNARY, KP_ACT_SQUARE},
    {"math.sqrt", TF_UNARY, KP_ACT_SQRT},
    {"math.rsqrt", TF_UNARY, KP_ACT_RSQRT},
    {"math.exp", TF_UNARY, KP_ACT_EXP},
    {"math.log", TF_UNARY, KP_ACT_LOG},
    {"math.sigmoid", TF_UNARY, KP_ACT_SIGMOID},
    {"math.tanh", TF_UNARY, KP_ACT_TANH},
    {"nn.relu", TF_UNARY, KP_ACT_RELU},
    {"nn.silu", TF_UNARY, KP_ACT_SILU},
};

static const tf_function *find_tf(const char *name)
{
    for (size_t i = 0; i < sizeof tf_functions / sizeof *tf_functions; i++)
        if (strcmp(tf_functions[i].name, name) == 0)
            return &tf_functions[i];
    return NULL;
}

static int do_tf_op(kp_lw *w, const kp_lw_call *c, kp_value **out)
{
    const char *name;
    kp_value *x;
    KP_TRY(kp_cfg_str(c->layer, "function", "", &name));
    const tf_function *f = find_tf(name);
    if (!f)
        return kp_fail(KP_EMODEL, "layer \"%s\" (%s): the function tf.%s is not supported",
                       c->layer->path, c->layer->class_name, name);
    if (f->form == TF_UNARY) {
        KP_TRY(kp_lw_float(w, c->in[0], &x));
        return kp_lw_unary(w, initial("", (kp_act_kind)f->kind), x, out);
    }
    const kp_arg *a = kp_lw_arg(c, 0, "x"), *b = kp_lw_arg(c, 1, "y");
    bool reversed = f->form == TF_REVERSED;
    return kp_lw_arithmetic(w, c, (kp_binary_kind)f->kind, reversed ? b : a, reversed ? a : b, out);
}

const kp_lw_entry kp_lw_ops_layers[] = {
    {"TFOpLambda", do_tf_op, 0, 1, 2, KP_LW_SAME, KP_LW_MASK_DROP},
    {0},
};

const kp_lw_entry kp_lw_ops_operations[] = {
    {"Relu", do_op_unary, KP_ACT_RELU, KP_LW_ONE, KP_LW_MASK_DROP},
    {"Relu6", do_op_unary, KP_ACT_RELU, KP_LW_ONE, KP_LW_MASK_DROP},
    {"LeakyRelu", do_op_unary, KP_ACT_RELU, KP_LW_ONE, KP_LW_MASK_DROP},
    {"Elu", do_op_unary, KP_ACT_ELU, KP_LW_ONE, KP_LW_MASK_DROP},
    {"Celu", do_op_unary, KP_ACT_CELU, KP_LW_ONE, KP_LW_MASK_DROP},
    {"Selu", do_op_unary, KP_ACT_SELU, KP_LW_ONE, KP_LW_MASK_DROP},
    {"Gelu", do_op_unary, KP_ACT_GELU, KP_LW_ONE, KP_LW_MASK_DROP},
    {"Silu", do_op_unary, KP_ACT_SILU, KP_LW_ONE, KP_LW_MASK_DROP},
    {"HardSilu", do_op_unary, KP_ACT_HARD_SILU, KP_LW_ONE, KP_LW_MASK_DROP},
    {"Sigmoid", do_op_unary, KP_ACT_SIGMOID, KP_LW_ONE, KP_LW_MASK_DROP},
    {"HardSigmoid", do_op_unary, KP_ACT_HARD_SIGMOID, KP_LW_ONE, KP_LW_MASK_DROP},
    {"LogSigmoid", do_op_unary, KP_ACT_LOG_SIGMOID, KP_LW_ONE, KP_LW_MASK_DROP},
    {"HardTanh", do_op_unary, KP_ACT_HARD_TANH, KP_LW_ONE, KP_LW_MASK_DROP},
    {"TanhShrink", do_op_unary, KP_ACT_TANH_SHRINK, KP_LW_ONE, KP_LW_MASK_DROP},
    {"Softplus", do_op_unary, KP_ACT_SOFTPLUS, KP_LW_ONE, KP_LW_MASK_DROP},
    {"Softsign", do_op_unary, KP_ACT_SOFTSIGN, KP_LW_ONE, KP_LW_MASK_DROP},
    {"SoftShrink", do_op_unary, KP_ACT_SOFT_SHRINK, KP_LW_ONE, KP_LW_MASK_DROP},
    {"HardShrink", do_op_unary, KP_ACT_HARD_SHRINK, KP_LW_ONE, KP_LW_MASK_DROP},
    {"SparsePlus", do_op_unary, KP_ACT_SPARSE_PLUS, KP_LW_ONE, KP_LW_MASK_DROP},
    {"SparseSigmoid", do_op_unary, KP_ACT_SPARSE_SIGMOID, KP_LW_ONE, KP_LW_MASK_DROP},
    {"Squareplus", do_op_unary, KP_ACT_SQUAREPLUS, KP_LW_ONE, KP_LW_MASK_DROP},
    {"Rsqrt", do_op_unary, KP_ACT_RSQRT, KP_LW_ONE, KP_LW_MASK_DROP},
    {"Softmax", do_op_softmax, 0, KP_LW_ONE, KP_LW_MASK_DROP},
    {"Cumsum", do_op_cumulate, 0, KP_LW_ONE, KP_LW_MASK_DROP},
    {"Cumprod", do_op_cumulate, 1, KP_LW_ONE, KP_LW_MASK_DROP},
    {"LogSoftmax", do_op_softmax, 1, KP_LW_ONE, KP_LW_MASK_DROP},
    {0},
};
