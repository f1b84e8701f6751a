/* The host's functions of include/kpredict/layer.h: what a plug-in may ask and build. */
#include "lower/user.h"

#include <stdlib.h>

static kp_value *value_of(const kp_layer_value *v)
{
    return (kp_value *)(uintptr_t)v;
}

static int fail(kp_layer_call *c, const char *text)
{
    const kp_layer *l = c->call->layer;
    return kp_fail(KP_EMODEL, "layer \"%s\" (%s): %s", l->path, l->class_name, text);
}

/* ---- the layer ---- */

static const char *name(kp_layer_call *c)
{
    return c->call->layer->name;
}

static const char *config_json(kp_layer_call *c)
{
    char *text = json_dumps(c->call->layer->config, JSON_COMPACT | JSON_ENCODE_ANY);
    char *copy = text ? kp_arena_strdup(c->w->mem, text) : NULL;
    free(text);
    return copy;
}

static int config_int(kp_layer_call *c, const char *key, int64_t dflt, int64_t *out)
{
    return kp_cfg_int(c->call->layer, key, dflt, out);
}

static int config_float(kp_layer_call *c, const char *key, double dflt, double *out)
{
    return kp_cfg_float(c->call->layer, key, dflt, out);
}

static int config_bool(kp_layer_call *c, const char *key, bool dflt, bool *out)
{
    return kp_cfg_bool(c->call->layer, key, dflt, out);
}

static int config_string(kp_layer_call *c, const char *key, const char *dflt, const char **out)
{
    return kp_cfg_str(c->call->layer, key, dflt, out);
}

static int config_ints(kp_layer_call *c, const char *key, int n, int64_t dflt, int64_t *out)
{
    return kp_cfg_ints(c->call->layer, key, n, dflt, out);
}

/* ---- arguments ---- */

static int n_inputs(kp_layer_call *c)
{
    return c->call->n_in;
}

static kp_layer_value *input(kp_layer_call *c, int i)
{
    return i >= 0 && i < c->call->n_in ? (kp_layer_value *)c->call->in[i] : NULL;
}

static const kp_arg *argument(kp_layer_call *c, int position, const char *key)
{
    const kp_arg *a =
        position >= 0 ? kp_lw_arg(c->call, position, key) : kp_lw_keyword(c->call->call, key);
    return a && a->kind != KP_ARG_NONE ? a : NULL;
}

static int argument_number(kp_layer_call *c, int position, const char *key, double dflt,
                           double *out)
{
    const kp_arg *a = argument(c, position, key);
    *out = dflt;
    return !a || kp_lw_arg_number(a, out) ? 0 : fail(c, "an argument of its call is no number");
}

static int argument_string(kp_layer_call *c, int position, const char *key, const char *dflt,
                           const char **out)
{
    const kp_arg *a = argument(c, position, key);
    *out = a && a->kind == KP_ARG_STR ? a->str : dflt;
    return !a || a->kind == KP_ARG_STR ? 0 : fail(c, "an argument of its call is no text");
}

/* ---- weights ---- */

static int n_weights(kp_layer_call *c, const char *sub)
{
    return kp_keras_weight_count(c->w->k, c->call->layer, sub);
}

static int weight(kp_layer_call *c, const char *sub, int index, const char *key, bool trainable,
                  kp_layer_value **out)
{
    kp_value *v = NULL;
    KP_TRY(kp_lw_weight_get(c->w, sub, index, key, -1, NULL, 0, NULL, trainable, &v));
    *out = (kp_layer_value *)v;
    return 0;
}

static int weight_data(kp_layer_call *c, const char *sub, int index, const char *key,
                       bool trainable, kp_tensor *out)
{
    kp_layer_value *made;
    KP_TRY(weight(c, sub, index, key, trainable, &made));
    kp_value *v = value_of(made);
    const float *data = kp_graph_const_f32(c->w->g, v);
    if (!data)
        return KP_ENOMEM;
    *out = (kp_tensor){.dtype = KP_FLOAT32,
                       .ndim = v->ndim,
                       .data = (void *)(uintptr_t)data,
                       .size_bytes = v->data_bytes};
    memcpy(out->shape, v->shape, sizeof out->shape);
    return 0;
}

/* ---- building ---- */

static void describe(const kp_layer_value *value, kp_port *out)
{
    const kp_value *v = value_of(value);
    *out = (kp_port){NULL, v->dtype, v->ndim, {0}};
    for (int i = 0; i < v->ndim; i++)
        out->shape[i] = v->shape[i] < 0 ? -1 : v->shape[i];
}

static int constant(kp_layer_call *c, const float *data, const int64_t *shape, int ndim,
                    kp_layer_value **out)
{
    kp_value *v = NULL;
    int64_t count;
    if (ndim < 0 || ndim > KP_MAX_DIMS || !kp_shape_count(shape, ndim, &count) || count > INT32_MAX)
        return fail(c, "the plug-in's constant has no usable shape");
    float *copy = kp_graph_alloc(c->w->g, (size_t)count * sizeof *copy);
    if (!copy)
        return KP_ENOMEM;
    memcpy(copy, data, (size_t)count * sizeof *copy);
    KP_TRY(kp_graph_add_const(c->w->g, c->w->name, KP_FLOAT32, shape, ndim, copy, &v));
    *out = (kp_layer_value *)v;
    return 0;
}

static int find_word(kp_layer_call *c, const char *const *words, int n, const char *word, int *out)
{
    for (*out = 0; *out < n; ++*out)
        if (strcmp(words[*out], word) == 0)
            return 0;
    return kp_fail(KP_EMODEL,
                   "layer \"%s\": the plug-in asks for the function \"%s\", which is "
                   "not known",
                   c->call->layer->path, word);
}

static int unary(kp_layer_call *c, const char *function, kp_layer_value *x, kp_layer_value **out)
{
    static const struct {
        const char *name;
        kp_act act;
    } known[] = {
        {"relu", {KP_ACT_RELU, 0, INFINITY, 0}}, {"sigmoid", {KP_ACT_SIGMOID, 0, 0, 0}},
        {"tanh", {KP_ACT_TANH, 0, 0, 0}},        {"softplus", {KP_ACT_SOFTPLUS, 0, 0, 0}},
        {"exp", {KP_ACT_EXP, 0, 0, 0}},          {"log", {KP_ACT_LOG, 0, 0, 0}},
        {"sqrt", {KP_ACT_SQRT, 0, 0, 0}},        {"rsqrt", {KP_ACT_RSQRT, 0, 0, 0}},
        {"square", {KP_ACT_SQUARE, 0, 0, 0}},    {"abs", {KP_ACT_ABS, 0, 0, 0}},
        {"neg", {KP_ACT_NEG, 0, 0, 0}},          {"reciprocal", {KP_ACT_RECIPROCAL, 0, 0, 0}},
        {"silu", {KP_ACT_SILU, 0, 0, 0}},        {"gelu", {KP_ACT_GELU, 0, 0, 0}},
        {"selu", {KP_ACT_SELU, 0, 0, 0}},        {"softsign", {KP_ACT_SOFTSIGN, 0, 0, 0}},
        {"mish", {KP_ACT_MISH, 0, 0, 0}}};
    enum { N = sizeof known / sizeof *known };
    const char *words[N];
    int which;
    for (int i = 0; i < N; i++)
        words[i] = known[i].name;
    KP_TRY(find_word(c, words, N, function, &which));
    return kp_lw_unary(c->w, known[which].act, value_of(x), (kp_value **)out);
}

static int linear(kp_layer_call *c, double scale, double shift, kp_layer_value *x,
                  kp_layer_value **out)
{
    return kp_lw_linear(c->w, scale, shift, value_of(x), (kp_value **)out);
}

static int binary(kp_layer_call *c, const char *function, kp_layer_value *a, kp_layer_value *b,
                  kp_layer_value **out)
{
    static const char *const words[] = {"add", "sub", "mul", "div", "max", "min", "pow"};
    static const kp_binary_kind kinds[] = {KP_BIN_ADD, KP_BIN_SUB, KP_BIN_MUL, KP_BIN_DIV,
                                           KP_BIN_MAX, KP_BIN_MIN, KP_BIN_POW};
    int which;
    KP_TRY(find_word(c, words, sizeof words / sizeof *words, function, &which));
    return kp_lw_binary(c->w, kinds[which], value_of(a), value_of(b), (kp_value **)out);
}

static int matmul(kp_layer_call *c, kp_layer_value *a, kp_layer_value *b, kp_layer_value **out)
{
    kp_node n = {.op = KP_OP_MATMUL};
    return kp_lw_add(c->w, &n, (kp_value *[]){value_of(a), value_of(b)}, 2, (kp_value **)out);
}

static int dense(kp_layer_call *c, kp_layer_value *x, kp_layer_value *kernel, kp_layer_value *bias,
                 kp_layer_value **out)
{
    kp_node n = {.op = KP_OP_DENSE};
    kp_value *in[] = {value_of(x), value_of(kernel), value_of(bias)};
    return kp_lw_add(c->w, &n, in, bias ? 3 : 2, (kp_value **)out);
}

static int axes_of(kp_layer_call *c, const int *axes, int n, int ndim, kp_axes *out)
{
    bool wanted[KP_MAX_DIMS] = {false};
    *out = (kp_axes){0};
    for (int i = 0; i < n; i++) {
        int axis;
        KP_TRY(kp_lw_axis(c->call->layer, axes[i], ndim, &axis));
        wanted[axis] = true;
    }
    for (int i = 0; i < ndim; i++)
        if (wanted[i])
            out->axis[out->n++] = i;
    return 0;
}

static int reduce(kp_layer_call *c, const char *function, const int *axes, int n_axes,
                  bool keepdims, kp_layer_value *x, kp_layer_value **out)
{
    static const char *const words[] = {"sum", "mean", "max", "min", "prod"};
    static const kp_reduce_kind kinds[] = {KP_RED_SUM, KP_RED_MEAN, KP_RED_MAX, KP_RED_MIN,
                                           KP_RED_PROD};
    kp_node n = {.op = KP_OP_REDUCE};
    kp_value *v = value_of(x);
    int which;
    KP_TRY(find_word(c, words, sizeof words / sizeof *words, function, &which));
    n.attr.reduce.kind = kinds[which];
    n.attr.reduce.keepdims = keepdims;
    KP_TRY(axes_of(c, axes, n_axes, v->ndim, &n.attr.reduce.axes));
    return kp_lw_add(c->w, &n, &v, 1, (kp_value **)out);
}

static int softmax(kp_layer_call *c, int axis, kp_layer_value *x, kp_layer_value **out)
{
    kp_axes axes;
    KP_TRY(axes_of(c, &axis, 1, value_of(x)->ndim, &axes));
    return kp_lw_softmax(c->w, &axes, false, value_of(x), (kp_value **)out);
}

static int reshape(kp_layer_call *c, const int64_t *sizes, int n, kp_layer_value *x,
                   kp_layer_value **out)
{
    if (n < 0 || n >= KP_MAX_DIMS)
        return fail(c, "the plug-in reshapes to more axes than there can be");
    return kp_lw_reshape(c->w, 1, sizes, n, value_of(x), (kp_value **)out);
}

static int transpose(kp_layer_call *c, const int *perm, kp_layer_value *x, kp_layer_value **out)
{
    return kp_lw_transpose(c->w, perm, value_of(x), (kp_value **)out);
}

static int concat(kp_layer_call *c, kp_layer_value *const *x, int n, int axis, kp_layer_value **out)
{
    kp_node node = {.op = KP_OP_CONCAT};
    if (n < 1)
        return fail(c, "the plug-in joins no arrays");
    KP_TRY(kp_lw_axis(c->call->layer, axis, value_of(x[0])->ndim, &node.attr.axis.axis));
    return kp_lw_add(c->w, &node, (kp_value *const *)x, n, (kp_value **)out);
}

static int kernel(kp_layer_call *c, const kp_layer_kernel *k, kp_layer_value *const *x, int n,
                  kp_layer_value **out)
{
    return kp_lw_user_kernel(c, k, (kp_value *const *)x, n, (kp_value **)out);
}

const kp_layer_host kp_lw_host = {.abi_version = KP_LAYER_ABI,
                                  .struct_size = sizeof(kp_layer_host),
                                  .fail = fail,
                                  .name = name,
                                  .config_json = config_json,
                                  .config_int = config_int,
                                  .config_float = config_float,
                                  .config_bool = config_bool,
                                  .config_string = config_string,
                                  .config_ints = config_ints,
                                  .n_inputs = n_inputs,
                                  .input = input,
                                  .argument_number = argument_number,
                                  .argument_string = argument_string,
                                  .n_weights = n_weights,
                                  .weight = weight,
                                  .weight_data = weight_data,
                                  .describe = describe,
                                  .constant = constant,
                                  .unary = unary,
                                  .linear = linear,
                                  .binary = binary,
                                  .matmul = matmul,
                                  .dense = dense,
                                  .reduce = reduce,
                                  .softmax = softmax,
                                  .reshape = reshape,
                                  .transpose = transpose,
                                  .concat = concat,
                                  .kernel = kernel};
