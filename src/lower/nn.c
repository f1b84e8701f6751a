/* Operations of keras.ops.nn without windows and weights: functions, softmax, classes as vectors.
 */
#include "lower/build.h"

/* ---- functions of one operand ---- */

/* The parameters that an operation keeps in its configuration. */
static int read_parameters(const kp_layer *l, kp_act *act)
{
    double a = act->a, b = act->b;
    bool approximate;
    switch (act->kind) {
    case KP_ACT_ELU:
    case KP_ACT_CELU:
        KP_TRY(kp_cfg_float(l, "alpha", 1, &a));
        break;
    case KP_ACT_RELU:
        KP_TRY(kp_cfg_float(l, "negative_slope", act->a, &a));
        break;
    case KP_ACT_HARD_SHRINK:
    case KP_ACT_SOFT_SHRINK:
        KP_TRY(kp_cfg_float(l, "threshold", 0.5, &a));
        break;
    case KP_ACT_THRESHOLD:
        KP_TRY(kp_cfg_float(l, "threshold_value", 0, &a)); /* until Keras 3.11 */
        KP_TRY(kp_cfg_float(l, "threshold", a, &a));
        KP_TRY(kp_cfg_float(l, "value", 0, &b));
        KP_TRY(kp_cfg_float(l, "default_value", b, &b));
        break;
    case KP_ACT_SQUAREPLUS:
        KP_TRY(kp_cfg_float(l, "b", 4, &a));
        break;
    case KP_ACT_GELU: /* unlike the activation, the operation approximates by default */
        KP_TRY(kp_cfg_bool(l, "approximate", true, &approximate));
        act->kind = approximate ? KP_ACT_GELU_TANH : KP_ACT_GELU;
        break;
    default:
        break;
    }
    act->a = (float)a;
    act->b = (float)b;
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

/* relu and relu6 of integers are integers. */
static int do_function(kp_lw *w, const kp_lw_call *c, kp_value **out)
{
    kp_act act = initial(c->layer->class_name, (kp_act_kind)c->variant);
    kp_value *x = c->in[0];
    kp_dtype type = x->dtype;
    KP_TRY(read_parameters(c->layer, &act));
    if (!kp_dtype_is_float(type))
        KP_TRY(kp_lw_float(w, x, &x));
    KP_TRY(kp_lw_unary(w, act, x, out));
    bool whole = act.kind == KP_ACT_RELU && act.a == 0 && type != KP_BOOL;
    return whole ? kp_lw_cast(w, type, *out, out) : 0;
}

static int do_glu(kp_lw *w, const kp_lw_call *c, kp_value **out)
{
    int64_t axis;
    int a;
    KP_TRY(kp_cfg_int(c->layer, "axis", -1, &axis));
    KP_TRY(kp_lw_axis(c->layer, axis, c->in[0]->ndim, &a));
    return kp_lw_glu(w, c->layer, a, c->in[0], out);
}

/* ---- softmax and its kin ---- */

int kp_lw_batch_axis(const kp_layer *l, const kp_value *x, const kp_axes *axes)
{
    bool batch = false;
    for (int i = 0; i < axes->n && axes->axis[i] < x->ndim; i++)
        batch = batch || x->shape[axes->axis[i]] == KP_DIM_BATCH;
    if (!batch)
        return 0;
    return kp_fail(
        KP_EMODEL,
        "layer \"%s\" (%s): it mixes the rows of the batch, which is not supported: rows "
        "are predicted apart from each other",
        l->path, l->class_name);
}

/* Config "axis", or all axes; without the batch. */
static int read_axes(const kp_layer *l, const char *key, const kp_value *x, int dflt, kp_axes *out)
{
    int ndim = x->ndim;
    const json_t *v = json_object_get(l->config, key);
    if (v && json_is_null(v))
        for (out->n = 0; out->n < ndim; out->n++)
            out->axis[out->n] = out->n;
    else
        KP_TRY(kp_lw_axes(l, key, ndim, dflt, out));
    return kp_lw_batch_axis(l, x, out);
}

static int do_softmax(kp_lw *w, const kp_lw_call *c, kp_value **out)
{
    kp_axes axes;
    KP_TRY(read_axes(c->layer, "axis", c->in[0], -1, &axes));
    return kp_lw_softmax(w, &axes, c->variant != 0, c->in[0], out);
}

static int do_sparsemax(kp_lw *w, const kp_lw_call *c, kp_value **out)
{
    kp_axes axes;
    KP_TRY(read_axes(c->layer, "axis", c->in[0], -1, &axes));
    return kp_lw_sparsemax(w, axes.axis[0], c->in[0], out);
}

/* ---- classes as vectors ---- */

/* The type of a result: config "dtype", float32 by default. */
static int read_dtype(const kp_layer *l, kp_dtype *out)
{
    const char *name;
    KP_TRY(kp_cfg_str(l, "dtype", "float32", &name));
    *out = kp_dtype_from_name(name);
    if (*out != KP_DTYPE_NONE && *out != KP_STRING)
        return 0;
    return kp_fail(KP_EMODEL, "layer \"%s\" (%s): type \"%s\" is not known", l->path, l->class_name,
                   name);
}

static int one_hot(kp_lw *w, const kp_lw_call *c, kp_dtype dtype, kp_value **out)
{
    const kp_layer *l = c->layer;
    kp_one_hot *p = kp_arena_alloc(w->mem, sizeof *p);
    int64_t axis;
    if (!p)
        return KP_ENOMEM;
    p->dtype = dtype;
    KP_TRY(kp_cfg_int(l, "num_classes", 0, &p->n));
    KP_TRY(kp_cfg_int(l, "axis", -1, &axis));
    KP_TRY(kp_lw_axis(l, axis, c->in[0]->ndim + 1, &p->axis));
    if (p->axis == 0 && c->in[0]->ndim > 0 && c->in[0]->shape[0] == KP_DIM_BATCH)
        return kp_lw_rows_refused(c, "puts an axis before the batch");
    return kp_lw_kernel(w, &kp_kernel_one_hot, p, c->in, 1, out);
}

static int do_one_hot(kp_lw *w, const kp_lw_call *c, kp_value **out)
{
    kp_dtype dtype;
    KP_TRY(read_dtype(c->layer, &dtype));
    return one_hot(w, c, dtype, out);
}

/* The classes of all elements along the second axis, or the only one. */
static int do_multi_hot(kp_lw *w, const kp_lw_call *c, kp_value **out)
{
    kp_dtype dtype;
    kp_node n = {.op = KP_OP_REDUCE, .attr.reduce = {.kind = KP_RED_MAX, .axes = {1, {0}}}};
    n.attr.reduce.axes.axis[0] = c->in[0]->ndim > 1;
    KP_TRY(read_dtype(c->layer, &dtype));
    KP_TRY(kp_lw_batch_axis(c->layer, c->in[0], &n.attr.reduce.axes));
    KP_TRY(one_hot(w, c, dtype == KP_BOOL ? KP_UINT8 : dtype, out));
    KP_TRY(kp_lw_add(w, &n, out, 1, out));
    return kp_lw_cast(w, dtype, *out, out);
}

/* ---- statistics ---- */

static int do_moments(kp_lw *w, const kp_lw_call *c, kp_value **out)
{
    kp_axes axes;
    bool keep;
    kp_value **values, *x = c->in[0], *mean, *rest;
    (void)out;
    KP_TRY(read_axes(c->layer, "axes", x, -1, &axes));
    KP_TRY(kp_cfg_bool(c->layer, "keepdims", false, &keep));
    KP_TRY(kp_lw_outputs(w, c, 2, &values));
    if (!kp_dtype_is_float(x->dtype))
        KP_TRY(kp_lw_float(w, x, &x));
    KP_TRY(kp_lw_reduce(w, KP_RED_MEAN, &axes, keep, x, &values[0]));
    KP_TRY(kp_lw_reduce(w, KP_RED_MEAN, &axes, true, x, &mean));
    KP_TRY(kp_lw_binary(w, KP_BIN_SUB, x, mean, &rest));
    KP_TRY(kp_lw_unary(w, (kp_act){.kind = KP_ACT_SQUARE}, rest, &rest));
    return kp_lw_reduce(w, KP_RED_MEAN, &axes, keep, rest, &values[1]);
}

/* Along the axes to length 1, by the norm of that order. */
static int do_normalize(kp_lw *w, const kp_lw_call *c, kp_value **out)
{
    const kp_layer *l = c->layer;
    kp_axes axes;
    kp_lw_norm norm = {.has_order = true, .keepdims = true};
    double epsilon;
    float least;
    kp_value *x = c->in[0], *length, *k;
    KP_TRY(kp_cfg_float(l, "order", 2, &norm.order));
    KP_TRY(kp_cfg_float(l, "epsilon", 1e-7, &epsilon));
    KP_TRY(read_axes(l, "axis", x, -1, &axes));
    if (!kp_dtype_is_float(x->dtype))
        KP_TRY(kp_lw_float(w, x, &x));
    if (norm.order == 2)
        return kp_lw_unit(w, &axes, (float)(epsilon * epsilon), x, out);
    least = (float)epsilon;
    KP_TRY(kp_lw_norm_of(w, l, &norm, x, &length));
    KP_TRY(kp_lw_const(w, &least, NULL, 0, &k));
    KP_TRY(kp_lw_binary(w, KP_BIN_MAX, length, k, &length));
    return kp_lw_binary(w, KP_BIN_DIV, x, length, out);
}

/* ---- what has no meaning here ---- */

static int do_complex(kp_lw *w, const kp_lw_call *c, kp_value **out)
{
    (void)w;
    (void)out;
    return kp_fail(
        KP_EMODEL,
        "layer \"%s\" (%s): its result is complex, which is not supported; keep the real "
        "and the imaginary part as two tensors",
        c->layer->path, c->layer->class_name);
}

const kp_lw_entry kp_lw_nn_operations[] = {
    {"Celu", do_function, KP_ACT_CELU, KP_LW_ONE, KP_LW_MASK_DROP},
    {"Elu", do_function, KP_ACT_ELU, KP_LW_ONE, KP_LW_MASK_DROP},
    {"Gelu", do_function, KP_ACT_GELU, KP_LW_ONE, KP_LW_MASK_DROP},
    {"Glu", do_glu, 0, KP_LW_ONE, KP_LW_MASK_DROP},
    {"HardShrink", do_function, KP_ACT_HARD_SHRINK, KP_LW_ONE, KP_LW_MASK_DROP},
    {"HardSigmoid", do_function, KP_ACT_HARD_SIGMOID, KP_LW_ONE, KP_LW_MASK_DROP},
    {"HardSilu", do_function, KP_ACT_HARD_SILU, KP_LW_ONE, KP_LW_MASK_DROP},
    {"HardTanh", do_function, KP_ACT_HARD_TANH, KP_LW_ONE, KP_LW_MASK_DROP},
    {"LeakyRelu", do_function, KP_ACT_RELU, KP_LW_ONE, KP_LW_MASK_DROP},
    {"LogSigmoid", do_function, KP_ACT_LOG_SIGMOID, KP_LW_ONE, KP_LW_MASK_DROP},
    {"LogSoftmax", do_softmax, 1, KP_LW_ONE, KP_LW_MASK_DROP},
    {"Mish", do_function, KP_ACT_MISH, KP_LW_ONE, KP_LW_MASK_DROP},
    {"Moments", do_moments, 0, KP_LW_ONE, KP_LW_MASK_DROP},
    {"MultiHot", do_multi_hot, 0, KP_LW_ONE, KP_LW_MASK_DROP},
    {"Normalize", do_normalize, 0, KP_LW_ONE, KP_LW_MASK_DROP},
    {"OneHot", do_one_hot, 0, KP_LW_ONE, KP_LW_MASK_DROP},
    {"Polar", do_complex, 0, 1, 2, KP_LW_SAME, KP_LW_MASK_DROP},
    {"Relu", do_function, KP_ACT_RELU, KP_LW_ONE, KP_LW_MASK_DROP},
    {"Relu6", do_function, KP_ACT_RELU, KP_LW_ONE, KP_LW_MASK_DROP},
    {"Selu", do_function, KP_ACT_SELU, KP_LW_ONE, KP_LW_MASK_DROP},
    {"Sigmoid", do_function, KP_ACT_SIGMOID, KP_LW_ONE, KP_LW_MASK_DROP},
    {"Silu", do_function, KP_ACT_SILU, KP_LW_ONE, KP_LW_MASK_DROP},
    {"SoftShrink", do_function, KP_ACT_SOFT_SHRINK, KP_LW_ONE, KP_LW_MASK_DROP},
    {"Softmax", do_softmax, 0, KP_LW_ONE, KP_LW_MASK_DROP},
    {"Softplus", do_function, KP_ACT_SOFTPLUS, KP_LW_ONE, KP_LW_MASK_DROP},
    {"Softsign", do_function, KP_ACT_SOFTSIGN, KP_LW_ONE, KP_LW_MASK_DROP},
    {"SparsePlus", do_function, KP_ACT_SPARSE_PLUS, KP_LW_ONE, KP_LW_MASK_DROP},
    {"SparseSigmoid", do_function, KP_ACT_SPARSE_SIGMOID, KP_LW_ONE, KP_LW_MASK_DROP},
    {"Sparsemax", do_sparsemax, 0, KP_LW_ONE, KP_LW_MASK_DROP},
    {"Squareplus", do_function, KP_ACT_SQUAREPLUS, KP_LW_ONE, KP_LW_MASK_DROP},
    {"TanhShrink", do_function, KP_ACT_TANH_SHRINK, KP_LW_ONE, KP_LW_MASK_DROP},
    {"Threshold", do_function, KP_ACT_THRESHOLD, KP_LW_ONE, KP_LW_MASK_DROP},
    {"ViewAsComplex", do_complex, 0, 1, 2, KP_LW_SAME, KP_LW_MASK_DROP},
    {0},
};
