/* Nodes of keras.ops that stand in models without a layer: arithmetic, functions, reductions. */
#include "lower/build.h"

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
        return kp_lw_unary(w, (kp_act){.kind = (kp_act_kind)f->kind, .b = INFINITY}, x, out);
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
    {"Cumsum", do_op_cumulate, 0, KP_LW_ONE, KP_LW_MASK_DROP},
    {"Cumprod", do_op_cumulate, 1, KP_LW_ONE, KP_LW_MASK_DROP},
    {0},
};
