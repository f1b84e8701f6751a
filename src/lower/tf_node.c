/* Layers that hold one node of a TensorFlow graph (TensorFlowOpLayer, tf.keras 2.0 to 2.3): the
 * node's inputs are tensors and constants by place, its attributes become named arguments. */
#include "lower/tf.h"

enum { INPUTS_MAX = 64, DEPTH_MAX = 8 };

#define BINARY(name, op)                                                                           \
    {                                                                                              \
        name, op, "x y"                                                                            \
    }
#define UNARY(name, op)                                                                            \
    {                                                                                              \
        name, op, "x"                                                                              \
    }
#define REDUCE(name, op)                                                                           \
    {                                                                                              \
        name, op, "input axis>=null keep_dims>keepdims=false"                                      \
    }

/* As in tf.h; the words are the node's inputs by place, then attributes by name. */
static const kp_tf_function nodes[] = {
    BINARY("Add", "Add"),
    BINARY("AddV2", "Add"),
    BINARY("Sub", "Subtract"),
    BINARY("Mul", "Multiply"),
    BINARY("RealDiv", "TrueDivide"),
    BINARY("Div", "TrueDivide"),
    BINARY("DivNoNan", "DivideNoNan"),
    BINARY("FloorDiv", "FloorDivide"),
    BINARY("FloorMod", "Mod"),
    BINARY("Pow", "Power"),
    BINARY("Maximum", "Maximum"),
    BINARY("Minimum", "Minimum"),
    BINARY("Greater", "Greater"),
    BINARY("GreaterEqual", "GreaterEqual"),
    BINARY("Less", "Less"),
    BINARY("LessEqual", "LessEqual"),
    BINARY("Equal", "Equal"),
    BINARY("NotEqual", "NotEqual"),
    BINARY("LogicalAnd", "LogicalAnd"),
    BINARY("LogicalOr", "LogicalOr"),
    BINARY("BiasAdd", "Add"),
    UNARY("LogicalNot", "LogicalNot"),
    UNARY("Neg", "Negative"),
    UNARY("Abs", "Absolute"),
    UNARY("Square", "Square"),
    UNARY("Sqrt", "Sqrt"),
    UNARY("Rsqrt", "Rsqrt"),
    UNARY("Exp", "Exp"),
    UNARY("Log", "Log"),
    UNARY("Log1p", "Log1p"),
    UNARY("Sin", "Sin"),
    UNARY("Cos", "Cos"),
    UNARY("Erf", "Erf"),
    UNARY("Sign", "Sign"),
    UNARY("Floor", "Floor"),
    UNARY("Ceil", "Ceil"),
    UNARY("Round", "Round"),
    UNARY("Reciprocal", "Reciprocal"),
    UNARY("Sigmoid", "Sigmoid"),
    UNARY("Tanh", "Tanh"),
    UNARY("Relu", "Relu"),
    UNARY("Relu6", "Relu6"),
    UNARY("Elu", "Elu"),
    UNARY("Selu", "Selu"),
    UNARY("Softplus", "Softplus"),
    UNARY("Softsign", "Softsign"),
    UNARY("Identity", NULL),
    UNARY("StopGradient", NULL),
    UNARY("ZerosLike", "ZerosLike"),
    UNARY("OnesLike", "OnesLike"),
    REDUCE("Mean", "Mean"),
    REDUCE("Sum", "Sum"),
    REDUCE("Max", "Max"),
    REDUCE("Min", "Min"),
    REDUCE("Prod", "Prod"),
    REDUCE("Any", "Any"),
    REDUCE("All", "All"),
    {"LeakyRelu", "LeakyRelu", "x alpha>negative_slope=0.2"},
    {"Softmax", "Softmax", "x @axis=-1"},
    {"LogSoftmax", "LogSoftmax", "x @axis=-1"},
    {"Reshape", "Reshape", "x shape>newshape"},
    {"Transpose", "Transpose", "x perm>axes"},
    {"ExpandDims", "ExpandDims", "x axis>"},
    {"Squeeze", "Squeeze", "x squeeze_dims>axis=null"},
    {"Cast", "Cast", "x DstT>dtype"},
    {"Tile", "Tile", "x multiples>repeats"},
    {"Pad", "Pad", "x paddings>pad_width @mode=\"constant\""},
    {"PadV2", "Pad", "x paddings>pad_width value @mode=\"constant\""},
    {"MirrorPad", "Pad", "x paddings>pad_width mode>"},
    {"GatherV2", "Take", "x indices axis> !batch_dims=0"},
    {"Select", "Where", "condition x y"},
    {"SelectV2", "Where", "condition x y"},
    {"Split", "Split", "axis> x num_split>indices_or_sections"},
    {"SplitV", "Split", "x sizes>indices_or_sections axis>"},
    {"Unpack", "Unstack", "x num> axis>"},
    {"ReverseV2", "Flip", "x axis>"},
    {"Cumsum", "Cumsum", "x axis> !exclusive=false !reverse=false"},
    {"DepthToSpace", "DepthToSpace", "x block_size> @data_format=\"channels_last\""},
    {"SpaceToDepth", "SpaceToDepth", "x block_size> @data_format=\"channels_last\""},
    {"MaxPool", "MaxPool", "x ksize>pool_size strides> padding> @data_format=\"channels_last\""},
    {"AvgPool", "AveragePool",
     "x ksize>pool_size strides> padding> @data_format=\"channels_last\""},
    {"ResizeBilinear", "Resize",
     "x size> !half_pixel_centers=true !align_corners=false @interpolation=\"bilinear\" "
     "@antialias=false @crop_to_aspect_ratio=false @pad_to_aspect_ratio=false "
     "@data_format=\"channels_last\""},
    {"ResizeNearestNeighbor", "Resize",
     "x size> !half_pixel_centers=true !align_corners=false @interpolation=\"nearest\" "
     "@antialias=false @crop_to_aspect_ratio=false @pad_to_aspect_ratio=false "
     "@data_format=\"channels_last\""},
};

/* ---- the node's inputs and attributes as arguments ---- */

static int from_json(kp_lw *w, const json_t *v, int depth, kp_arg *out)
{
    *out = (kp_arg){0};
    if (depth > DEPTH_MAX)
        return kp_fail(KP_ELIMIT, "a constant of more than %d axes", DEPTH_MAX);
    if (json_is_array(v)) {
        size_t n = json_array_size(v);
        out->kind = KP_ARG_LIST;
        out->n_items = (int)n;
        out->items = kp_arena_array(w->mem, n + 1, sizeof *out->items);
        if (!out->items)
            return KP_ENOMEM;
        for (size_t i = 0; i < n; i++)
            KP_TRY(from_json(w, json_array_get(v, i), depth + 1, &out->items[i]));
    } else if (json_is_integer(v)) {
        out->kind = KP_ARG_INT;
        out->integer = json_integer_value(v);
        out->real = (double)out->integer;
    } else if (json_is_real(v)) {
        out->kind = KP_ARG_FLOAT;
        out->real = json_real_value(v);
    } else if (json_is_boolean(v)) {
        out->kind = KP_ARG_BOOL;
        out->boolean = json_is_true(v);
    } else if (json_is_string(v)) {
        out->kind = KP_ARG_STR;
        out->str = json_string_value(v);
    }
    return 0;
}

/* Protocol buffers write 64-bit integers as strings and bytes in base 64. */
static int from_text(kp_lw *w, const char *kind, const char *text, kp_arg *out)
{
    static const char *const words[][2] = {{"U0FNRQ==", "SAME"},
                                           {"VkFMSUQ=", "VALID"},
                                           {"TkhXQw==", "NHWC"},
                                           {"UkVGTEVDVA==", "REFLECT"},
                                           {"U1lNTUVUUklD", "SYMMETRIC"}};
    char *type;
    if (*kind == 'i') {
        *out = (kp_arg){.kind = KP_ARG_INT, .integer = strtoll(text, NULL, 10)};
        return 0;
    }
    *out = (kp_arg){.kind = KP_ARG_STR, .str = text};
    for (size_t i = 0; i < sizeof words / sizeof *words; i++)
        if (strcmp(text, words[i][0]) == 0)
            out->str = words[i][1];
    if (strncmp(text, "DT_", 3) != 0)
        return 0;
    out->str = type = kp_arena_strdup(w->mem, strcmp(text, "DT_FLOAT") == 0 ? "float32" : text + 3);
    if (!type)
        return KP_ENOMEM;
    for (char *p = type; *p; p++)
        *p = (char)(*p >= 'A' && *p <= 'Z' ? *p - 'A' + 'a' : *p);
    return 0;
}

static int attribute(kp_lw *w, const json_t *v, kp_arg *out)
{
    const char *kind = json_object_iter_key(json_object_iter((json_t *)(uintptr_t)v));
    const json_t *value = kind ? json_object_get(v, kind) : NULL;
    if (value && strcmp(kind, "list") == 0) {
        const json_t *items = json_object_get(value, "i");
        size_t n = json_array_size(items);
        *out = (kp_arg){.kind = n > 0 ? KP_ARG_LIST : KP_ARG_NONE, .n_items = (int)n};
        out->items = kp_arena_array(w->mem, n + 1, sizeof *out->items);
        if (!out->items)
            return KP_ENOMEM;
        for (size_t i = 0; i < n; i++) {
            const char *text = json_string_value(json_array_get(items, i));
            KP_TRY(from_text(w, "i", text ? text : "0", &out->items[i]));
        }
        return 0;
    }
    if (json_is_string(value))
        return from_text(w, kind, json_string_value(value), out);
    return from_json(w, value, 0, out);
}

static int read_attributes(kp_lw *w, const json_t *attributes, kp_arg *out)
{
    size_t n = json_object_size(attributes);
    const char *key;
    json_t *v;
    *out = (kp_arg){.kind = KP_ARG_DICT};
    out->items = kp_arena_array(w->mem, n + 1, sizeof *out->items);
    out->keys = kp_arena_array(w->mem, n + 1, sizeof *out->keys);
    if (!out->items || !out->keys)
        return KP_ENOMEM;
    json_object_foreach((json_t *)(uintptr_t)attributes, key, v)
    {
        out->keys[out->n_items] = key;
        KP_TRY(attribute(w, v, &out->items[out->n_items++]));
    }
    return 0;
}

/* The call's tensors fill the places that no constant takes. */
static int read_inputs(kp_lw *w, const kp_lw_call *c, const json_t *constants, kp_arg *out)
{
    const kp_arg *given = &c->call->args;
    if (given->n_items == 1 && given->items[0].kind == KP_ARG_LIST)
        given = &given->items[0];
    size_t n = (size_t)given->n_items + json_object_size(constants);
    if (n > INPUTS_MAX)
        return kp_fail(KP_ELIMIT, "a node with %zu inputs", n);
    *out = (kp_arg){.kind = KP_ARG_LIST};
    out->items = kp_arena_array(w->mem, n + 1, sizeof *out->items);
    if (!out->items)
        return KP_ENOMEM;
    for (int next = 0; (size_t)out->n_items < n;) {
        char place[16];
        snprintf(place, sizeof place, "%d", out->n_items);
        const json_t *constant = json_object_get(constants, place);
        if (constant)
            KP_TRY(from_json(w, constant, 0, &out->items[out->n_items]));
        else if (next < given->n_items)
            out->items[out->n_items] = given->items[next++];
        else
            return kp_fail(KP_EMODEL, "its constants stand at places that it does not have");
        out->n_items++;
    }
    return 0;
}

/* ---- nodes of another form ---- */

static const kp_arg *named(const kp_arg *attributes, const char *name)
{
    for (int i = 0; i < attributes->n_items; i++)
        if (strcmp(attributes->keys[i], name) == 0)
            return &attributes->items[i];
    return NULL;
}

static int64_t mask(const kp_arg *attributes, const char *name)
{
    const kp_arg *a = named(attributes, name);
    return !a ? 0 : a->kind == KP_ARG_BOOL ? a->boolean : a->kind == KP_ARG_INT ? a->integer : 0;
}

/* All tensors first, the axis last. */
static int do_concat(kp_lw *w, const kp_lw_call *c, kp_arg *in, kp_value **out)
{
    static const kp_tf_function f = {"concat", "Concatenate", "values axis>"};
    kp_arg two[2], kwargs = {.kind = KP_ARG_DICT};
    bool done;
    if (in->n_items < 2)
        return kp_fail(KP_EMODEL, "it joins nothing");
    two[1] = in->items[--in->n_items];
    two[0] = *in;
    KP_TRY(kp_tf_sized(w, c, "concat", &(kp_arg){.kind = KP_ARG_LIST, .n_items = 2, .items = two},
                       &kwargs, &done, out));
    if (done)
        return 0;
    return kp_tf_apply(w, c, &f, &(kp_arg){.kind = KP_ARG_LIST, .n_items = 2, .items = two},
                       &kwargs, out);
}

/* Tensors side by side along a new axis; or sizes, of which a new shape is made. */
static int do_pack(kp_lw *w, const kp_lw_call *c, kp_arg *in, const kp_arg *attributes,
                   kp_value **out)
{
    static const kp_tf_function f = {"stack", "Stack", "values axis>=0"};
    kp_arg one[1] = {*in};
    bool done;
    KP_TRY(kp_tf_sized(w, c, "stack", &(kp_arg){.kind = KP_ARG_LIST, .n_items = 1, .items = one},
                       attributes, &done, out));
    if (done)
        return 0;
    return kp_tf_apply(w, c, &f, &(kp_arg){.kind = KP_ARG_LIST, .n_items = 1, .items = one},
                       attributes, out);
}

/* begin, end and strides as lists, with masks: bit i of a mask speaks of place i. */
static int slice_key(kp_lw *w, const kp_arg *begin, const kp_arg *end, const kp_arg *stride,
                     const kp_arg *attributes, kp_arg *key)
{
    int64_t begins = mask(attributes, "begin_mask"), ends = mask(attributes, "end_mask");
    int64_t shrinks = mask(attributes, "shrink_axis_mask"),
            news = mask(attributes, "new_axis_mask");
    int64_t dots = mask(attributes, "ellipsis_mask");
    int n = begin->n_items;
    *key = (kp_arg){.kind = KP_ARG_LIST, .n_items = n};
    key->items = kp_arena_array(w->mem, (size_t)n + 1, sizeof *key->items);
    kp_arg *parts = kp_arena_array(w->mem, (size_t)n + 1, 3 * sizeof *parts);
    if (!key->items || !parts)
        return KP_ENOMEM;
    for (int i = 0; i < n && i < 63; i++) {
        int64_t bit = (int64_t)1 << i;
        kp_arg *k = &key->items[i], *p = &parts[3 * i];
        if ((dots & bit) != 0)
            k->kind = KP_ARG_ELLIPSIS;
        else if ((news & bit) != 0)
            k->kind = KP_ARG_NONE;
        else if ((shrinks & bit) != 0)
            *k = begin->items[i];
        else {
            *k = (kp_arg){.kind = KP_ARG_SLICE, .n_items = 3, .items = p};
            if ((begins & bit) == 0)
                p[0] = begin->items[i];
            if ((ends & bit) == 0)
                p[1] = end->items[i];
            p[2] = stride->items[i];
        }
    }
    return 0;
}

/* The places may be computed: then they come packed from another node. */
static int places(kp_lw *w, const kp_lw_call *c, const kp_arg *a, kp_lw_env *env, kp_arg *out)
{
    *out = *a;
    return a->kind == KP_ARG_LIST ? 0 : kp_tf_elements(w, c, a, env, out);
}

static int do_strided_slice(kp_lw *w, const kp_lw_call *c, const kp_arg *in,
                            const kp_arg *attributes, kp_value **out)
{
    kp_arg key, at[3];
    kp_value *x;
    kp_lw_env env = {0};
    kp_lw_call inner = *c;
    env.results = kp_arena_array(w->mem, 3 * KP_TF_PLACES_MAX, sizeof *env.results);
    if (!env.results)
        return KP_ENOMEM;
    if (in->n_items != 4)
        return kp_fail(KP_EMODEL, "a slice without its four inputs");
    for (int i = 0; i < 3; i++)
        KP_TRY(places(w, c, &in->items[1 + i], &env, &at[i]));
    if (at[1].n_items != at[0].n_items || at[2].n_items != at[0].n_items)
        return kp_fail(KP_EMODEL, "a slice whose ends are not as many as its beginnings");
    KP_TRY(slice_key(w, &at[0], &at[1], &at[2], attributes, &key));
    KP_TRY(kp_lw_tensor_of(w, c, &in->items[0], &x));
    inner.env = &env;
    return kp_tf_slice(w, &inner, x, &key, out);
}

/* TensorFlow counts places in int64 if it is not told otherwise, keras.ops in int32. */
static int do_arg(kp_lw *w, const kp_lw_call *c, const char *op, const kp_arg *in,
                  const kp_arg *attributes, kp_value **out)
{
    kp_tf_function f = {op, op[3] == 'M' && op[4] == 'a' ? "Argmax" : "Argmin",
                        "input axis>=0 @keepdims=false"};
    const kp_arg *type = named(attributes, "output_type");
    bool narrow = type && type->kind == KP_ARG_STR && strcmp(type->str, "int32") == 0;
    KP_TRY(kp_tf_apply(w, c, &f, in, attributes, out));
    return narrow ? 0 : kp_lw_cast(w, KP_INT64, *out, out);
}

static int do_node(kp_lw *w, const kp_lw_call *c, kp_value **out)
{
    const json_t *node = json_object_get(c->layer->config, "node_def");
    const char *op = json_string_value(json_object_get(node, "op"));
    kp_arg in, attributes;
    bool done;
    if (!op)
        return kp_fail(KP_EMODEL, "layer \"%s\" (%s): it does not say which operation it is",
                       c->layer->path, c->layer->class_name);
    KP_TRY(read_inputs(w, c, json_object_get(c->layer->config, "constants"), &in));
    KP_TRY(read_attributes(w, json_object_get(node, "attr"), &attributes));
    if (strcmp(op, "ConcatV2") == 0)
        return do_concat(w, c, &in, out);
    if (strcmp(op, "Pack") == 0)
        return do_pack(w, c, &in, &attributes, out);
    if (strcmp(op, "StridedSlice") == 0)
        return do_strided_slice(w, c, &in, &attributes, out);
    KP_TRY(kp_tf_sized(w, c, op, &in, &attributes, &done, out));
    if (done)
        return 0;
    if (strcmp(op, "ArgMax") == 0 || strcmp(op, "ArgMin") == 0)
        return do_arg(w, c, op, &in, &attributes, out);
    if (strcmp(op, "MatMul") == 0 || strncmp(op, "BatchMatMul", 11) == 0)
        return kp_tf_matmul(w, c, mask(&attributes, "adj_x") + mask(&attributes, "transpose_a") > 0,
                            mask(&attributes, "adj_y") + mask(&attributes, "transpose_b") > 0, out);
    for (size_t i = 0; i < sizeof nodes / sizeof *nodes; i++)
        if (strcmp(nodes[i].name, op) == 0)
            return kp_tf_apply(w, c, &nodes[i], &in, &attributes, out);
    return kp_fail(KP_EMODEL, "layer \"%s\" (%s): the operation %s is not supported",
                   c->layer->path, c->layer->class_name, op);
}

const kp_lw_entry kp_lw_tf_node_layers[] = {
    {"TensorFlowOpLayer", do_node, 0, 1, 0, KP_LW_SAME, KP_LW_MASK_DROP},
    {0},
};
