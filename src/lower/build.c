/* Helpers that add nodes and read configurations, used by every area. */
#include "lower/size.h"

/* A model of a hostile file may call a small nested model exponentially often. */
enum { NODES_MAX = 100000 };

/* Sizes that are used as numbers. */
static int add_sizes(kp_lw *w, kp_node *proto, kp_value *const *in, int n_in, kp_value **out)
{
    kp_value **values = kp_arena_array(w->mem, (size_t)n_in, sizeof *values);
    if (!values)
        return KP_ENOMEM;
    for (int i = 0; i < n_in; i++) {
        values[i] = in[i];
        if (kp_lw_is_sizes(w, in[i]))
            KP_TRY(kp_lw_sizes_value(w, in[i], &values[i]));
    }
    return kp_lw_add(w, proto, values, n_in, out);
}

int kp_lw_add(kp_lw *w, kp_node *proto, kp_value *const *in, int n_in, kp_value **out)
{
    if (++w->n_added > NODES_MAX)
        return kp_fail(KP_ELIMIT, "the model has more than %d operations", NODES_MAX);
    proto->name = w->name;
    for (int i = 0; i < n_in; i++)
        if (kp_lw_is_sizes(w, in[i]))
            return add_sizes(w, proto, in, n_in, out);
    for (int i = 0; i < n_in; i++)
        if (kp_lw_view_find(w, in[i], NULL))
            return kp_lw_view_node(w, proto, in, n_in, out);
    return kp_graph_add(w->g, proto, in, n_in, out);
}

int kp_lw_kernel(kp_lw *w, const kp_kernel_def *def, const void *params, kp_value *const *in,
                 int n_in, kp_value **out)
{
    kp_node n = {.op = KP_OP_KERNEL, .attr.kernel = {def, params}};
    return kp_lw_add(w, &n, in, n_in, out);
}

int kp_lw_unary(kp_lw *w, kp_act act, kp_value *x, kp_value **out)
{
    kp_node n = {.op = KP_OP_UNARY, .attr.unary.act = act};
    if (x->dtype != KP_FLOAT64) {
        kp_act *own = &n.attr.unary.act;
        own->a = (float)act.a;
        own->b = (float)act.b;
        own->c = (float)act.c;
    }
    return kp_lw_add(w, &n, &x, 1, out);
}

int kp_lw_linear(kp_lw *w, double scale, double shift, kp_value *x, kp_value **out)
{
    return kp_lw_unary(w, (kp_act){.kind = KP_ACT_LINEAR, .a = scale, .b = shift}, x, out);
}

int kp_lw_cast(kp_lw *w, kp_dtype dtype, kp_value *x, kp_value **out)
{
    *out = x;
    if (x->dtype == dtype)
        return 0;
    kp_node n = {.op = KP_OP_CAST, .attr.cast.dtype = dtype};
    return kp_lw_add(w, &n, &x, 1, out);
}

bool kp_lw_older(const kp_lw *w, int major, int minor)
{
    return w->major < major || (w->major == major && w->minor < minor);
}

double kp_lw_round(const kp_lw *w, double v)
{
    return w->real == KP_FLOAT64 ? v : (double)(float)v;
}

int kp_lw_float(kp_lw *w, kp_value *x, kp_value **out)
{
    return kp_lw_cast(w, w->real, x, out);
}

int kp_lw_like(kp_lw *w, const kp_value *x, kp_value **out)
{
    return kp_dtype_is_float(x->dtype) ? 0 : kp_lw_cast(w, x->dtype, *out, out);
}

int kp_lw_binary(kp_lw *w, kp_binary_kind kind, kp_value *a, kp_value *b, kp_value **out)
{
    bool ints = a->dtype == b->dtype && !kp_dtype_is_float(a->dtype);
    if (!ints || kind == KP_BIN_DIV || kind == KP_BIN_POW) {
        KP_TRY(kp_lw_float(w, a, &a));
        KP_TRY(kp_lw_float(w, b, &b));
    }
    kp_node n = {.op = KP_OP_BINARY, .attr.binary.kind = kind};
    kp_value *in[2] = {a, b};
    return kp_lw_add(w, &n, in, 2, out);
}

int kp_lw_transpose(kp_lw *w, const int *perm, kp_value *x, kp_value **out)
{
    kp_node n = {.op = KP_OP_TRANSPOSE};
    bool moves = false;
    for (int i = 0; i < x->ndim; i++) {
        n.attr.transpose.perm[i] = perm[i];
        moves = moves || perm[i] != i;
    }
    *out = x;
    return moves ? kp_lw_add(w, &n, &x, 1, out) : 0;
}

int kp_lw_to_last(kp_lw *w, kp_value *x, kp_value **out)
{
    int perm[KP_MAX_DIMS] = {0};
    for (int i = 1; i < x->ndim; i++)
        perm[i] = i + 1 < x->ndim ? i + 1 : 1;
    return kp_lw_transpose(w, perm, x, out);
}

int kp_lw_to_first(kp_lw *w, kp_value *x, kp_value **out)
{
    int perm[KP_MAX_DIMS] = {0};
    for (int i = 1; i < x->ndim; i++)
        perm[i] = i == 1 ? x->ndim - 1 : i - 1;
    return kp_lw_transpose(w, perm, x, out);
}

int kp_lw_reshape(kp_lw *w, int keep, const int64_t *dims, int n, kp_value *x, kp_value **out)
{
    if (keep + n > KP_MAX_DIMS)
        return kp_fail(KP_EMODEL, "a shape of %d axes is not supported (at most %d)", keep + n,
                       KP_MAX_DIMS);
    kp_node node = {.op = KP_OP_RESHAPE, .attr.reshape = {.keep = keep, .n = n}};
    if (n > 0)
        memcpy(node.attr.reshape.dims, dims, (size_t)n * sizeof dims[0]);
    return kp_lw_add(w, &node, &x, 1, out);
}

int kp_lw_const(kp_lw *w, const float *data, const int64_t *shape, int ndim, kp_value **out)
{
    size_t bytes, elem = kp_dtype_size(w->real);
    if (!kp_shape_bytes(shape, ndim, w->real, &bytes))
        return kp_fail(KP_ELIMIT, "a constant is too large");
    void *copy = kp_graph_alloc(w->g, bytes);
    if (!copy)
        return KP_ENOMEM;
    KP_TRY(kp_convert(w->real, copy, KP_FLOAT32, data, bytes / elem));
    return kp_graph_add_const(w->g, w->name, w->real, shape, ndim, copy, out);
}

int kp_lw_softmax(kp_lw *w, const kp_axes *axes, bool log, kp_value *x, kp_value **out)
{
    KP_TRY(kp_lw_float(w, x, &x));
    kp_node n = {.op = KP_OP_SOFTMAX, .attr.softmax = {.axes = *axes, .log = log}};
    return kp_lw_add(w, &n, &x, 1, out);
}

/* ---- configuration ---- */

int kp_lw_axis(const kp_layer *l, int64_t axis, int ndim, int *out)
{
    if (axis < -ndim || axis >= ndim)
        return kp_fail(KP_EMODEL, "layer \"%s\": axis %lld does not exist in an input of %d axes",
                       l->path, (long long)axis, ndim);
    *out = (int)(axis < 0 ? axis + ndim : axis);
    return 0;
}

static int add_axis(const kp_layer *l, int64_t axis, int ndim, kp_axes *out)
{
    int a = 0, at;
    KP_TRY(kp_lw_axis(l, axis, ndim, &a));
    for (at = out->n; at > 0 && out->axis[at - 1] >= a; at--)
        if (out->axis[at - 1] == a)
            return kp_fail(KP_EMODEL, "layer \"%s\": axis %d is named twice", l->path, a);
    memmove(&out->axis[at + 1], &out->axis[at], (size_t)(out->n - at) * sizeof out->axis[0]);
    out->axis[at] = a;
    out->n++;
    return 0;
}

int kp_lw_axes(const kp_layer *l, const char *key, int ndim, int dflt, kp_axes *out)
{
    const json_t *v = json_object_get(l->config, key);
    *out = (kp_axes){0};
    if (!v || json_is_null(v))
        return add_axis(l, dflt, ndim, out);
    if (json_is_integer(v))
        return add_axis(l, json_integer_value(v), ndim, out);
    size_t n = json_is_array(v) ? json_array_size(v) : 0;
    if (n == 0 || n > (size_t)ndim)
        return kp_fail(KP_EMODEL, "layer \"%s\": \"%s\" is not a list of axes", l->path, key);
    for (size_t i = 0; i < n; i++) {
        const json_t *e = json_array_get(v, i);
        if (!json_is_integer(e))
            return kp_fail(KP_EMODEL, "layer \"%s\": \"%s\" is not a list of axes", l->path, key);
        KP_TRY(add_axis(l, json_integer_value(e), ndim, out));
    }
    return 0;
}

int kp_lw_channels_first(const kp_layer *l, bool *out)
{
    const char *text;
    KP_TRY(kp_cfg_str(l, "data_format", "channels_last", &text));
    *out = strcmp(text, "channels_first") == 0;
    if (!*out && strcmp(text, "channels_last") != 0)
        return kp_fail(KP_EMODEL, "layer \"%s\": data_format \"%s\" is not known", l->path, text);
    return 0;
}

int kp_lw_rank(const kp_lw_call *c, int rank)
{
    char text[KP_SHAPE_TEXT];
    if (c->in[0]->ndim == rank)
        return 0;
    return kp_fail(KP_EMODEL, "layer \"%s\": the input has the shape %s but must have %d axes",
                   c->layer->path,
                   kp_shape_text(c->in[0]->shape, c->in[0]->ndim, text, sizeof text), rank);
}

int kp_lw_known(const kp_value *x, int axis, int64_t *out)
{
    char text[KP_SHAPE_TEXT];
    if (axis < 0 || axis >= x->ndim)
        return kp_fail(KP_EMODEL, "the input %s has too few axes",
                       kp_shape_text(x->shape, x->ndim, text, sizeof text));
    *out = x->shape[axis];
    if (*out >= 0)
        return 0;
    return kp_fail(KP_EMODEL, "axis %d of the input %s must have a size that the model fixes", axis,
                   kp_shape_text(x->shape, x->ndim, text, sizeof text));
}

bool kp_lw_is_null(const kp_layer *l, const char *key)
{
    const json_t *v = json_object_get(l->config, key);
    return !v || json_is_null(v);
}

static bool add_numbers(const json_t *v, int depth, int max, double *out, int *n)
{
    if (json_is_number(v)) {
        if (*n >= max)
            return false;
        out[(*n)++] = json_number_value(v);
        return true;
    }
    if (json_is_object(v)) { /* a stored array: {"class_name": "__numpy__", "config": {"value":}} */
        const json_t *config = json_object_get(v, "config");
        v = json_object_get(config ? config : v, "value");
    }
    if (!json_is_array(v) || depth > KP_MAX_DIMS)
        return false;
    for (size_t i = 0; i < json_array_size(v); i++)
        if (!add_numbers(json_array_get(v, i), depth + 1, max, out, n))
            return false;
    return true;
}

int kp_lw_numbers(const kp_layer *l, const char *key, int max, double *out, int *n)
{
    *n = 0;
    if (add_numbers(json_object_get(l->config, key), 0, max, out, n) && *n > 0)
        return 0;
    return kp_fail(KP_EMODEL,
                   "layer \"%s\": \"%s\" is not a number or a list of at most %d numbers", l->path,
                   key, max);
}
