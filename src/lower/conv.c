/* Convolutions: plain, depthwise, separable, transposed; one to three spatial axes. */
#include "lower/build.h"

typedef struct conv_spec {
    int n; /* spatial axes */
    bool first, bias;
    int64_t in;
    kp_window window;
} conv_spec;

static int positive(const kp_layer *l, const char *key, const int64_t *v, int n)
{
    for (int i = 0; i < n; i++)
        if (v[i] < 1 || v[i] > INT32_MAX)
            return kp_fail(KP_EMODEL, "layer \"%s\": %s %lld is not a size", l->path, key,
                           (long long)v[i]);
    return 0;
}

/* "half" is what keras/ says for the "same" of files written on Theano. */
static int read_padding(const kp_layer *l, kp_window *win)
{
    const char *padding;
    KP_TRY(kp_cfg_str(l, "padding", "valid", &padding));
    if (strcmp(padding, "valid") == 0) {
        win->padding = KP_PAD_VALID;
    } else if (strcmp(padding, "same") == 0) {
        win->padding = KP_PAD_SAME;
    } else if (strcmp(padding, "half") == 0) {
        win->padding = KP_PAD_EXPLICIT;
        for (int i = 0; i < win->n_spatial; i++) {
            int64_t size = (win->size[i] - 1) * win->dilation[i] + 1;
            win->pad_before[i] = size / 2;
            win->pad_after[i] = (size - 1) / 2;
        }
    } else if (strcmp(padding, "causal") == 0 && win->n_spatial == 1) {
        win->padding = KP_PAD_EXPLICIT;
        win->pad_before[0] = (win->size[0] - 1) * win->dilation[0];
    } else {
        return kp_fail(KP_EMODEL, "layer \"%s\": padding \"%s\" is not known here", l->path,
                       padding);
    }
    return 0;
}

static int read_spec(const kp_lw_call *c, conv_spec *s)
{
    const kp_layer *l = c->layer;
    kp_window *win = &s->window;
    int n = c->variant;
    *s = (conv_spec){.n = n, .window.n_spatial = n};
    KP_TRY(kp_lw_rank(c, n + 2));
    KP_TRY(kp_lw_channels_first(l, &s->first));
    KP_TRY(kp_cfg_bool(l, "use_bias", true, &s->bias));
    KP_TRY(kp_cfg_ints(l, "kernel_size", n, 0, win->size));
    KP_TRY(kp_cfg_ints(l, "strides", n, 1, win->stride));
    KP_TRY(kp_cfg_ints(l, "dilation_rate", n, 1, win->dilation));
    KP_TRY(positive(l, "kernel_size", win->size, n));
    KP_TRY(positive(l, "strides", win->stride, n));
    KP_TRY(positive(l, "dilation_rate", win->dilation, n));
    KP_TRY(read_padding(l, win));
    return kp_lw_known(c->in[0], s->first ? 1 : n + 1, &s->in);
}

static int read_size(const kp_layer *l, const char *key, int64_t dflt, int64_t *out)
{
    KP_TRY(kp_cfg_int(l, key, dflt, out));
    return positive(l, key, out, 1);
}

/* Kernel shape: spatial sizes, then a, then b. */
static void kernel_shape(const conv_spec *s, int64_t a, int64_t b, int64_t *shape)
{
    memcpy(shape, s->window.size, (size_t)s->n * sizeof *shape);
    shape[s->n] = a;
    shape[s->n + 1] = b;
}

static int begin(kp_lw *w, const kp_lw_call *c, const conv_spec *s, kp_value **x)
{
    KP_TRY(kp_lw_float(w, c->in[0], x));
    return s->first ? kp_lw_to_last(w, *x, x) : 0;
}

static int finish(kp_lw *w, const kp_lw_call *c, const conv_spec *s, kp_value *y, kp_value **out)
{
    if (s->first)
        KP_TRY(kp_lw_to_first(w, y, &y));
    return kp_lw_activation(w, c->layer, "activation", y, out);
}

static int add_conv(kp_lw *w, const kp_window *window, int64_t groups, kp_value *x,
                    kp_value *kernel, kp_value *bias, kp_value **out)
{
    kp_node n = {.op = KP_OP_CONV, .attr.conv = {.window = *window, .groups = groups}};
    kp_value *in[3] = {x, kernel, bias};
    return kp_lw_add(w, &n, in, bias ? 3 : 2, out);
}

static int do_conv(kp_lw *w, const kp_lw_call *c, kp_value **out)
{
    conv_spec s;
    int64_t filters, groups, shape[KP_MAX_SPATIAL + 2];
    kp_value *x, *kernel, *bias = NULL, *y;
    KP_TRY(read_spec(c, &s));
    KP_TRY(read_size(c->layer, "filters", 0, &filters));
    KP_TRY(read_size(c->layer, "groups", 1, &groups));
    if (s.in % groups != 0 || filters % groups != 0)
        return kp_fail(KP_EMODEL,
                       "layer \"%s\": %lld groups do not divide %lld channels and %lld "
                       "filters",
                       c->layer->path, (long long)groups, (long long)s.in, (long long)filters);
    kernel_shape(&s, s.in / groups, filters, shape);
    KP_TRY(begin(w, c, &s, &x));
    KP_TRY(kp_lw_weight_get(w, "", 0, "kernel", s.n + 2, shape, 0, NULL, true, &kernel));
    if (s.bias)
        KP_TRY(kp_lw_vector(w, 1, "bias", filters, true, &bias));
    KP_TRY(add_conv(w, &s.window, groups, x, kernel, bias, &y));
    return finish(w, c, &s, y, out);
}

/* A depthwise kernel (k..., in, mult) is, byte for byte, a grouped one (k..., 1, in*mult). */
static int depthwise_kernel(kp_lw *w, const conv_spec *s, int64_t mult, const char *name,
                            kp_value **out)
{
    int64_t stored[KP_MAX_SPATIAL + 2], shape[KP_MAX_SPATIAL + 2];
    kernel_shape(s, s->in, mult, stored);
    kernel_shape(s, 1, s->in * mult, shape);
    return kp_lw_weight_get(w, "", 0, name, s->n + 2, stored, s->n + 2, shape, true, out);
}

static int do_depthwise(kp_lw *w, const kp_lw_call *c, kp_value **out)
{
    conv_spec s;
    int64_t mult;
    kp_value *x, *kernel, *bias = NULL, *y;
    KP_TRY(read_spec(c, &s));
    KP_TRY(read_size(c->layer, "depth_multiplier", 1, &mult));
    KP_TRY(begin(w, c, &s, &x));
    KP_TRY(depthwise_kernel(w, &s, mult, w->major < 3 ? "depthwise_kernel" : "kernel", &kernel));
    if (s.bias)
        KP_TRY(kp_lw_vector(w, 1, "bias", s.in * mult, true, &bias));
    KP_TRY(add_conv(w, &s.window, s.in, x, kernel, bias, &y));
    return finish(w, c, &s, y, out);
}

static int do_separable(kp_lw *w, const kp_lw_call *c, kp_value **out)
{
    conv_spec s;
    int64_t mult, filters, shape[KP_MAX_SPATIAL + 2];
    kp_value *x, *kernel, *point, *bias = NULL, *y;
    KP_TRY(read_spec(c, &s));
    KP_TRY(read_size(c->layer, "depth_multiplier", 1, &mult));
    KP_TRY(read_size(c->layer, "filters", 0, &filters));
    KP_TRY(begin(w, c, &s, &x));
    KP_TRY(depthwise_kernel(w, &s, mult, "depthwise_kernel", &kernel));
    conv_spec one = {.n = s.n, .window = {.n_spatial = s.n, .padding = KP_PAD_VALID}};
    for (int i = 0; i < s.n; i++)
        one.window.size[i] = one.window.stride[i] = one.window.dilation[i] = 1;
    kernel_shape(&one, s.in * mult, filters, shape);
    KP_TRY(kp_lw_weight_get(w, "", 1, "pointwise_kernel", s.n + 2, shape, 0, NULL, true, &point));
    if (s.bias)
        KP_TRY(kp_lw_vector(w, 2, "bias", filters, true, &bias));
    KP_TRY(add_conv(w, &s.window, s.in, x, kernel, NULL, &y));
    KP_TRY(add_conv(w, &one.window, 1, y, point, bias, &y));
    return finish(w, c, &s, y, out);
}

/* Absent, the output size follows from the input's by Keras' own rule. */
static int read_output_padding(const kp_layer *l, int n, kp_node *node)
{
    int64_t *v = node->attr.conv_transpose.output_padding;
    node->attr.conv_transpose.has_output_padding = !kp_lw_is_null(l, "output_padding");
    if (!node->attr.conv_transpose.has_output_padding)
        return 0;
    KP_TRY(kp_cfg_ints(l, "output_padding", n, 0, v));
    for (int i = 0; i < n; i++)
        if (v[i] < 0 || v[i] > INT32_MAX)
            return kp_fail(KP_EMODEL, "layer \"%s\": output_padding %lld is not a size", l->path,
                           (long long)v[i]);
    return 0;
}

static int do_conv_transpose(kp_lw *w, const kp_lw_call *c, kp_value **out)
{
    conv_spec s;
    int64_t filters, groups, shape[KP_MAX_SPATIAL + 2];
    kp_value *in[3] = {0}, *y;
    kp_node node = {.op = KP_OP_CONV_TRANSPOSE};
    KP_TRY(read_spec(c, &s));
    KP_TRY(read_size(c->layer, "filters", 0, &filters));
    KP_TRY(read_size(c->layer, "groups", 1, &groups));
    if (s.window.padding == KP_PAD_EXPLICIT || groups != 1)
        return kp_fail(KP_EMODEL,
                       "layer \"%s\": a transposed convolution with causal padding or groups is "
                       "not supported",
                       c->layer->path);
    KP_TRY(read_output_padding(c->layer, s.n, &node));
    node.attr.conv_transpose.window = s.window;
    kernel_shape(&s, filters, s.in, shape);
    KP_TRY(begin(w, c, &s, &in[0]));
    KP_TRY(kp_lw_weight_get(w, "", 0, "kernel", s.n + 2, shape, 0, NULL, true, &in[1]));
    if (s.bias)
        KP_TRY(kp_lw_vector(w, 1, "bias", filters, true, &in[2]));
    KP_TRY(kp_lw_add(w, &node, in, s.bias ? 3 : 2, &y));
    return finish(w, c, &s, y, out);
}

const kp_lw_entry kp_lw_conv_layers[] = {
    {"Conv1D", do_conv, 1, KP_LW_ONE, KP_LW_MASK_DROP},
    {"Conv2D", do_conv, 2, KP_LW_ONE, KP_LW_MASK_DROP},
    {"Conv3D", do_conv, 3, KP_LW_ONE, KP_LW_MASK_DROP},
    {"Conv1DTranspose", do_conv_transpose, 1, KP_LW_ONE, KP_LW_MASK_DROP},
    {"Conv2DTranspose", do_conv_transpose, 2, KP_LW_ONE, KP_LW_MASK_DROP},
    {"Conv3DTranspose", do_conv_transpose, 3, KP_LW_ONE, KP_LW_MASK_DROP},
    {"DepthwiseConv1D", do_depthwise, 1, KP_LW_ONE, KP_LW_MASK_DROP},
    {"DepthwiseConv2D", do_depthwise, 2, KP_LW_ONE, KP_LW_MASK_DROP},
    {"SeparableConv1D", do_separable, 1, KP_LW_ONE, KP_LW_MASK_DROP},
    {"SeparableConv2D", do_separable, 2, KP_LW_ONE, KP_LW_MASK_DROP},
    {0},
};
