/* Activations: by name, as a function or layer object in a configuration, and as layers. */
#include "lower/build.h"

typedef struct named_act {
    const char *name;
    kp_act act;
} named_act;

#define PLAIN(name, kind)                                                                          \
    {                                                                                              \
        name,                                                                                      \
        {                                                                                          \
            kind, 0, 0, 0                                                                          \
        }                                                                                          \
    }

/* Keras' own parameters where a function has some. hard_sigmoid changed with Keras 3. */
static const named_act named[] = {
    {"relu", {KP_ACT_RELU, 0, INFINITY, 0}},
    {"relu6", {KP_ACT_RELU, 0, 6, 0}},
    {"leaky_relu", {KP_ACT_RELU, 0.2, INFINITY, 0}},
    {"elu", {KP_ACT_ELU, 1, 0, 0}},
    {"celu", {KP_ACT_CELU, 1, 0, 0}},
    PLAIN("selu", KP_ACT_SELU),
    PLAIN("gelu", KP_ACT_GELU),
    PLAIN("silu", KP_ACT_SILU),
    PLAIN("swish", KP_ACT_SILU),
    PLAIN("hard_silu", KP_ACT_HARD_SILU),
    PLAIN("hard_swish", KP_ACT_HARD_SILU),
    PLAIN("mish", KP_ACT_MISH),
    PLAIN("sigmoid", KP_ACT_SIGMOID),
    {"hard_sigmoid", {KP_ACT_HARD_SIGMOID, 1.0 / 6, 0.5, 0}},
    PLAIN("log_sigmoid", KP_ACT_LOG_SIGMOID),
    PLAIN("tanh", KP_ACT_TANH),
    PLAIN("hard_tanh", KP_ACT_HARD_TANH),
    PLAIN("tanh_shrink", KP_ACT_TANH_SHRINK),
    PLAIN("softplus", KP_ACT_SOFTPLUS),
    PLAIN("softsign", KP_ACT_SOFTSIGN),
    PLAIN("exponential", KP_ACT_EXP),
    {"hard_shrink", {KP_ACT_HARD_SHRINK, 0.5f, 0, 0}},
    {"soft_shrink", {KP_ACT_SOFT_SHRINK, 0.5f, 0, 0}},
    PLAIN("sparse_plus", KP_ACT_SPARSE_PLUS),
    PLAIN("sparse_sigmoid", KP_ACT_SPARSE_SIGMOID),
    {"squareplus", {KP_ACT_SQUAREPLUS, 4, 0, 0}},
};

static int softmax_last(kp_lw *w, bool log, kp_value *x, kp_value **out)
{
    return kp_lw_softmax(w, &(kp_axes){1, {x->ndim - 1}}, log, x, out);
}

/* Gated: the first half of the axis times the sigmoid of the second. */
int kp_lw_glu(kp_lw *w, const kp_layer *l, int axis, kp_value *x, kp_value **out)
{
    int64_t size;
    kp_value *half[2];
    KP_TRY(kp_lw_known(x, axis, &size));
    if (size % 2 != 0)
        return kp_fail(KP_EMODEL, "layer \"%s\" (%s): glu needs an even axis, not %lld", l->path,
                       l->class_name, (long long)size);
    for (int i = 0; i < 2; i++) {
        kp_node n = {.op = KP_OP_SLICE};
        for (int a = 0; a < x->ndim; a++) {
            n.attr.slice.begin[a] = a == axis ? i * (size / 2) : 0;
            n.attr.slice.end[a] = a == axis ? (i + 1) * (size / 2) : INT64_MAX;
            n.attr.slice.step[a] = 1;
        }
        KP_TRY(kp_lw_add(w, &n, &x, 1, &half[i]));
    }
    KP_TRY(kp_lw_unary(w, (kp_act){.kind = KP_ACT_SIGMOID}, half[1], &half[1]));
    return kp_lw_binary(w, KP_BIN_MUL, half[0], half[1], out);
}

int kp_lw_sparsemax(kp_lw *w, int axis, kp_value *x, kp_value **out)
{
    kp_sparsemax *p = kp_arena_alloc(w->mem, sizeof *p);
    if (!p)
        return KP_ENOMEM;
    p->axis = axis;
    if (!kp_dtype_is_float(x->dtype))
        KP_TRY(kp_lw_float(w, x, &x));
    return kp_lw_kernel(w, &kp_kernel_sparsemax, p, &x, 1, out);
}

/* TensorFlow's names of its functions, as files of Keras 1 and 2 have them. */
static const char *own_name(const char *name)
{
    static const char *const pairs[][2] = {
        {"softmax_v2", "softmax"}, {"log_softmax_v2", "log_softmax"},
        {"identity", "linear"},    {"exp", "exponential"},
        {"relu6_v2", "relu6"},
    };
    if (strncmp(name, "tf.", 3) == 0)
        name = strrchr(name, '.') + 1;
    for (size_t i = 0; i < sizeof pairs / sizeof *pairs; i++)
        if (strcmp(name, pairs[i][0]) == 0)
            return pairs[i][1];
    return name;
}

static int by_name(kp_lw *w, const kp_layer *l, const char *name, kp_value *x, kp_value **out)
{
    *out = x;
    name = own_name(name);
    if (strcmp(name, "linear") == 0)
        return 0;
    KP_TRY(kp_lw_float(w, x, &x));
    if (strcmp(name, "softmax") == 0 || strcmp(name, "log_softmax") == 0)
        return softmax_last(w, name[0] == 'l', x, out);
    if (strcmp(name, "glu") == 0)
        return kp_lw_glu(w, l, x->ndim - 1, x, out);
    if (strcmp(name, "sparsemax") == 0)
        return kp_lw_sparsemax(w, x->ndim - 1, x, out);
    for (size_t i = 0; i < sizeof named / sizeof *named; i++) {
        if (strcmp(name, named[i].name) != 0)
            continue;
        kp_act act = named[i].act;
        if (act.kind == KP_ACT_HARD_SIGMOID && w->major < 3)
            act.a = 0.2;
        return kp_lw_unary(w, act, x, out);
    }
    if (strcmp(name, "threshold") == 0)
        return kp_fail(KP_EMODEL,
                       "layer \"%s\": activation \"threshold\" needs parameters that "
                       "the file does not hold",
                       l->path);
    return kp_fail(KP_EMODEL,
                   "layer \"%s\" (%s): activation \"%s\" is not supported; if it is your "
                   "own function, replace it by Keras' own and save the model again",
                   l->path, l->class_name, name);
}

/* ---- activation layers, also as objects inside another layer's configuration ---- */

static int relu_act(const kp_layer *l, kp_act *out)
{
    double slope, max, threshold;
    KP_TRY(kp_cfg_float(l, "negative_slope", 0, &slope));
    KP_TRY(kp_cfg_float(l, "max_value", INFINITY, &max));
    KP_TRY(kp_cfg_float(l, "threshold", 0, &threshold));
    *out = (kp_act){KP_ACT_RELU, slope, max, threshold};
    return 0;
}

static int leaky_act(const kp_layer *l, kp_act *out)
{
    double old, slope;
    KP_TRY(kp_cfg_float(l, "alpha", 0.3, &old)); /* Keras 2's name */
    KP_TRY(kp_cfg_float(l, "negative_slope", old, &slope));
    *out = (kp_act){KP_ACT_RELU, slope, INFINITY, 0};
    return 0;
}

static int elu_act(const kp_layer *l, kp_act *out)
{
    double alpha;
    KP_TRY(kp_cfg_float(l, "alpha", 1, &alpha));
    *out = (kp_act){KP_ACT_ELU, alpha, 0, 0};
    return 0;
}

static int unary_layer(kp_lw *w, int (*read)(const kp_layer *, kp_act *), const kp_layer *l,
                       kp_value *x, kp_value **out)
{
    kp_act act;
    KP_TRY(read(l, &act));
    KP_TRY(kp_lw_float(w, x, &x));
    return kp_lw_unary(w, act, x, out);
}

/* A layer as another one's activation: called as if it stood in a model. */
static int by_layer(kp_lw *w, const kp_layer *l, const char *key, kp_value *x, kp_value **out)
{
    kp_lw_result result;
    kp_layer *inner = NULL;
    for (int i = 0; i < l->n_inner; i++)
        if (strcmp(l->inner_key[i], key) == 0)
            inner = l->inner[i];
    if (!inner)
        return kp_fail(KP_EMODEL, "layer \"%s\" (%s): \"%s\" has no config", l->path, l->class_name,
                       key);
    KP_TRY(kp_lw_call_inner(w, inner, x, NULL, &result));
    if (result.n != 1)
        return kp_fail(KP_EMODEL, "layer \"%s\" (%s): its activation (%s) has %d outputs", l->path,
                       l->class_name, inner->class_name, result.n);
    *out = result.values[0];
    return 0;
}

int kp_lw_activation(kp_lw *w, const kp_layer *l, const char *key, kp_value *x, kp_value **out)
{
    const json_t *v = json_object_get(l->config, key);
    *out = x;
    if (!v || json_is_null(v))
        return 0;
    if (json_is_string(v))
        return by_name(w, l, json_string_value(v), x, out);
    const json_t *class_name = json_object_get(v, "class_name");
    const json_t *config = json_object_get(v, "config");
    if (!json_is_string(class_name)) /* a lambda is kept as its byte code */
        return kp_fail(KP_EMODEL,
                       "layer \"%s\" (%s): \"%s\" is neither a name nor an object; if it is a "
                       "lambda, replace it by one of Keras' own and save the model again",
                       l->path, l->class_name, key);
    if (json_is_string(config)) /* a function by its name */
        return by_name(w, l, json_string_value(config), x, out);
    return by_layer(w, l, key, x, out);
}

static int do_activation_layer(kp_lw *w, const kp_lw_call *c, kp_value **out)
{
    return kp_lw_activation(w, c->layer, "activation", c->in[0], out);
}

static int do_relu(kp_lw *w, const kp_lw_call *c, kp_value **out)
{
    return unary_layer(w, relu_act, c->layer, c->in[0], out);
}

static int do_leaky_relu(kp_lw *w, const kp_lw_call *c, kp_value **out)
{
    return unary_layer(w, leaky_act, c->layer, c->in[0], out);
}

static int do_elu(kp_lw *w, const kp_lw_call *c, kp_value **out)
{
    return unary_layer(w, elu_act, c->layer, c->in[0], out);
}

static int do_softmax(kp_lw *w, const kp_lw_call *c, kp_value **out)
{
    kp_axes axes;
    kp_value *x, *mask = c->n_in > 1 ? c->in[1] : c->in_mask[0];
    KP_TRY(kp_lw_axes(c->layer, "axis", c->in[0]->ndim, -1, &axes));
    KP_TRY(kp_lw_float(w, c->in[0], &x));
    if (c->n_in < 2 && kp_lw_older(w, 2, 5)) /* it looked at no mask of a tensor */
        mask = NULL;
    if (mask)
        KP_TRY(kp_lw_more_than_half(w, mask, &mask));
    return kp_lw_masked_softmax(w, &axes, mask, !kp_lw_older(w, 3, 10), x, out);
}

/* Keras 2: x above theta, else 0. */
static int do_threshold_relu(kp_lw *w, const kp_lw_call *c, kp_value **out)
{
    double theta;
    kp_value *x;
    KP_TRY(kp_cfg_float(c->layer, "theta", 1, &theta));
    KP_TRY(kp_lw_float(w, c->in[0], &x));
    return kp_lw_unary(w, (kp_act){KP_ACT_THRESHOLD, theta, 0, 0}, x, out);
}

/* relu(x) + alpha * min(x, 0); alpha has the input's shape, 1 on shared axes. */
static int do_prelu(kp_lw *w, const kp_lw_call *c, kp_value **out)
{
    kp_axes shared = {0};
    int64_t shape[KP_MAX_DIMS] = {0};
    kp_value *x, *alpha, *above, *below;
    KP_TRY(kp_lw_float(w, c->in[0], &x));
    if (x->ndim < 2)
        return kp_lw_rank(c, 2);
    if (!kp_lw_is_null(c->layer, "shared_axes"))
        KP_TRY(kp_lw_axes(c->layer, "shared_axes", x->ndim, 0, &shared));
    for (int a = 1; a < x->ndim; a++)
        shape[a - 1] = -1;
    for (int i = 0; i < shared.n; i++)
        if (shared.axis[i] > 0)
            shape[shared.axis[i] - 1] = 1;
    for (int a = 1; a < x->ndim; a++)
        if (shape[a - 1] < 0)
            KP_TRY(kp_lw_known(x, a, &shape[a - 1]));
    KP_TRY(kp_lw_weight_get(w, "", 0, "alpha", x->ndim - 1, shape, 0, NULL, true, &alpha));
    kp_act relu = {KP_ACT_RELU, 0, INFINITY, 0};
    KP_TRY(kp_lw_unary(w, relu, x, &above));
    KP_TRY(kp_lw_linear(w, -1, 0, x, &below));
    KP_TRY(kp_lw_unary(w, relu, below, &below));
    KP_TRY(kp_lw_binary(w, KP_BIN_MUL, below, alpha, &below));
    return kp_lw_binary(w, KP_BIN_SUB, above, below, out);
}

const kp_lw_entry kp_lw_activation_layers[] = {
    {"Activation", do_activation_layer, 0, KP_LW_ONE, KP_LW_MASK_PASS},
    {"ReLU", do_relu, 0, KP_LW_ONE, KP_LW_MASK_PASS},
    {"LeakyReLU", do_leaky_relu, 0, KP_LW_ONE, KP_LW_MASK_PASS},
    {"ELU", do_elu, 0, KP_LW_ONE, KP_LW_MASK_PASS},
    {"PReLU", do_prelu, 0, KP_LW_ONE, KP_LW_MASK_PASS},
    {"Softmax", do_softmax, 0, 1, 2, KP_LW_SAME, KP_LW_MASK_PASS},
    {"ThresholdedReLU", do_threshold_relu, 0, KP_LW_ONE, KP_LW_MASK_PASS},
    {0},
};
