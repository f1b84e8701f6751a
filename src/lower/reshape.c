/* Layers that move or repeat elements: padding, cropping, upsampling, reshaping. */
#include "lower/build.h"

static int bad(const kp_layer *l, const char *key)
{
    return kp_fail(KP_EMODEL, "layer \"%s\" (%s): \"%s\" is not an amount for each side", l->path,
                   l->class_name, key);
}

static bool amount(const json_t *v, int64_t *out)
{
    *out = json_integer_value(v);
    return json_is_integer(v) && *out >= 0 && *out <= INT32_MAX;
}

static bool pair(const json_t *v, int64_t *before, int64_t *after)
{
    if (json_is_integer(v)) {
        *after = 0;
        return amount(v, before) && amount(v, after);
    }
    return json_is_array(v) && json_array_size(v) == 2 && amount(json_array_get(v, 0), before) &&
           amount(json_array_get(v, 1), after);
}

/* An int, [begin, end] for one axis, [a, b] or [[begin, end], ...] for several. */
static int read_sides(const kp_layer *l, const char *key, int n, int64_t *before, int64_t *after)
{
    const json_t *v = json_object_get(l->config, key);
    for (int i = 0; i < n; i++) {
        const json_t *e = v;
        if (n > 1 && json_is_array(v) && json_array_size(v) == (size_t)n)
            e = json_array_get(v, (size_t)i);
        else if (n > 1 && json_is_array(v))
            return bad(l, key);
        if (!pair(e, &before[i], &after[i]))
            return bad(l, key);
    }
    return 0;
}

/* The first spatial axis of the call's input, whose rank is checked. */
static int spatial(const kp_lw_call *c, int *axis)
{
    bool first = false;
    KP_TRY(kp_lw_rank(c, c->variant + 2));
    KP_TRY(kp_lw_channels_first(c->layer, &first));
    *axis = first ? 2 : 1;
    return 0;
}

static int do_zero_padding(kp_lw *w, const kp_lw_call *c, kp_value **out)
{
    int64_t before[KP_MAX_SPATIAL], after[KP_MAX_SPATIAL];
    int axis;
    kp_node n = {.op = KP_OP_PAD};
    KP_TRY(spatial(c, &axis));
    KP_TRY(read_sides(c->layer, "padding", c->variant, before, after));
    for (int i = 0; i < c->variant; i++) {
        n.attr.pad.before[axis + i] = before[i];
        n.attr.pad.after[axis + i] = after[i];
    }
    return kp_lw_add(w, &n, c->in, 1, out);
}

static int do_cropping(kp_lw *w, const kp_lw_call *c, kp_value **out)
{
    int64_t before[KP_MAX_SPATIAL], after[KP_MAX_SPATIAL];
    int axis;
    kp_node n = {.op = KP_OP_SLICE};
    KP_TRY(spatial(c, &axis));
    KP_TRY(read_sides(c->layer, "cropping", c->variant, before, after));
    for (int a = 0; a < c->in[0]->ndim; a++) {
        n.attr.slice.end[a] = INT64_MAX;
        n.attr.slice.step[a] = 1;
    }
    for (int i = 0; i < c->variant; i++) {
        int64_t size = c->in[0]->shape[axis + i];
        if (size >= 0 && before[i] + after[i] >= size)
            return kp_fail(KP_EMODEL, "layer \"%s\": cropping %lld and %lld leaves nothing of %lld",
                           c->layer->path, (long long)before[i], (long long)after[i],
                           (long long)size);
        n.attr.slice.begin[axis + i] = before[i];
        if (after[i] > 0)
            n.attr.slice.end[axis + i] = -after[i];
    }
    return kp_lw_add(w, &n, c->in, 1, out);
}

static int repeat(kp_lw *w, kp_value *x, int axis, const int64_t *times, int n, kp_value **out)
{
    kp_node node = {.op = KP_OP_REPEAT};
    for (int a = 0; a < x->ndim; a++)
        node.attr.repeat.times[a] = a >= axis && a < axis + n ? times[a - axis] : 1;
    return kp_lw_add(w, &node, &x, 1, out);
}

/* Without antialiasing and with half-pixel centres, as Resizing. */
static int enlarge(kp_lw *w, const kp_lw_call *c, kp_resize_kind kind, bool first,
                   const int64_t *size, kp_value **out)
{
    kp_node n = {.op = KP_OP_RESIZE,
                 .attr.resize = {.kind = kind, .factor_h = size[0], .factor_w = size[1]}};
    kp_value *x;
    KP_TRY(kp_lw_float(w, c->in[0], &x));
    if (first)
        KP_TRY(kp_lw_to_last(w, x, &x));
    KP_TRY(kp_lw_add(w, &n, &x, 1, &x));
    *out = x;
    return first ? kp_lw_to_first(w, x, out) : 0;
}

static int do_upsampling(kp_lw *w, const kp_lw_call *c, kp_value **out)
{
    int64_t size[KP_MAX_SPATIAL];
    int axis;
    const char *text;
    kp_resize_kind kind;
    KP_TRY(spatial(c, &axis));
    KP_TRY(kp_cfg_ints(c->layer, "size", c->variant, 2, size));
    for (int i = 0; i < c->variant; i++)
        if (size[i] < 1 || size[i] > 1 << 16)
            return kp_fail(KP_EMODEL, "layer \"%s\": size %lld is not a factor", c->layer->path,
                           (long long)size[i]);
    KP_TRY(kp_cfg_str(c->layer, "interpolation", "nearest", &text));
    KP_TRY(kp_lw_resize_kind(c->layer, text, &kind));
    if (kind == KP_RESIZE_NEAREST || c->variant != 2)
        return repeat(w, c->in[0], axis, size, c->variant, out);
    KP_TRY(enlarge(w, c, kind, axis == 2, size, out));
    return kp_lw_like(w, c->in[0], out);
}

static int do_flatten(kp_lw *w, const kp_lw_call *c, kp_value **out)
{
    bool first;
    kp_value *x = c->in[0];
    KP_TRY(kp_lw_channels_first(c->layer, &first));
    if (x->ndim == 0)
        return kp_lw_rank(c, 1);
    if (first && x->ndim > 2)
        KP_TRY(kp_lw_to_last(w, x, &x));
    return kp_lw_reshape(w, 1, (int64_t[]){x->ndim == 1 ? 1 : -1}, 1, x, out);
}

static int do_reshape(kp_lw *w, const kp_lw_call *c, kp_value **out)
{
    const json_t *v = json_object_get(c->layer->config, "target_shape");
    int64_t dims[KP_MAX_DIMS];
    size_t n = json_is_array(v) ? json_array_size(v) : KP_MAX_DIMS;
    if (n >= KP_MAX_DIMS)
        return kp_fail(KP_EMODEL, "layer \"%s\": target_shape is not a list of at most %d sizes",
                       c->layer->path, KP_MAX_DIMS - 1);
    for (size_t i = 0; i < n; i++) {
        const json_t *e = json_array_get(v, i);
        dims[i] = json_is_null(e) ? -1 : json_integer_value(e);
        if ((!json_is_null(e) && !json_is_integer(e)) || dims[i] < -1)
            return kp_fail(KP_EMODEL,
                           "layer \"%s\": target_shape holds something that is not a "
                           "size",
                           c->layer->path);
    }
    return kp_lw_reshape(w, 1, dims, (int)n, c->in[0], out);
}

static int do_permute(kp_lw *w, const kp_lw_call *c, kp_value **out)
{
    int64_t dims[KP_MAX_DIMS];
    int perm[KP_MAX_DIMS] = {0}, n = c->in[0]->ndim - 1;
    unsigned seen = 0;
    const json_t *v = json_object_get(c->layer->config, "dims");
    if (n < 1 || !json_is_array(v) || json_array_size(v) != (size_t)n)
        return kp_fail(KP_EMODEL, "layer \"%s\": dims does not fit an input of %d axes",
                       c->layer->path, n + 1);
    KP_TRY(kp_cfg_ints(c->layer, "dims", n, 0, dims));
    for (int i = 0; i < n; i++) {
        if (dims[i] < 1 || dims[i] > n || (seen & 1u << dims[i]))
            return kp_fail(KP_EMODEL, "layer \"%s\": dims is not an order of the axes 1 to %d",
                           c->layer->path, n);
        seen |= 1u << dims[i];
        perm[i + 1] = (int)dims[i];
    }
    return kp_lw_transpose(w, perm, c->in[0], out);
}

static int do_repeat_vector(kp_lw *w, const kp_lw_call *c, kp_value **out)
{
    int64_t n, size;
    kp_value *x;
    KP_TRY(kp_lw_rank(c, 2));
    KP_TRY(kp_cfg_int(c->layer, "n", 0, &n));
    if (n < 1 || n > INT32_MAX)
        return kp_fail(KP_EMODEL, "layer \"%s\": n %lld is not a count", c->layer->path,
                       (long long)n);
    KP_TRY(kp_lw_known(c->in[0], 1, &size));
    KP_TRY(kp_lw_reshape(w, 1, (int64_t[]){1, size}, 2, c->in[0], &x));
    return repeat(w, x, 1, &n, 1, out);
}

const kp_lw_entry kp_lw_reshape_layers[] = {
    {"ZeroPadding1D", do_zero_padding, 1, KP_LW_ONE, KP_LW_MASK_DROP},
    {"ZeroPadding2D", do_zero_padding, 2, KP_LW_ONE, KP_LW_MASK_DROP},
    {"ZeroPadding3D", do_zero_padding, 3, KP_LW_ONE, KP_LW_MASK_DROP},
    {"Cropping1D", do_cropping, 1, KP_LW_ONE, KP_LW_MASK_DROP},
    {"Cropping2D", do_cropping, 2, KP_LW_ONE, KP_LW_MASK_DROP},
    {"Cropping3D", do_cropping, 3, KP_LW_ONE, KP_LW_MASK_DROP},
    {"UpSampling1D", do_upsampling, 1, KP_LW_ONE, KP_LW_MASK_DROP},
    {"UpSampling2D", do_upsampling, 2, KP_LW_ONE, KP_LW_MASK_DROP},
    {"UpSampling3D", do_upsampling, 3, KP_LW_ONE, KP_LW_MASK_DROP},
    {"Flatten", do_flatten, 0, KP_LW_ONE, KP_LW_MASK_DROP},
    {"Reshape", do_reshape, 0, KP_LW_ONE, KP_LW_MASK_DROP},
    {"Permute", do_permute, 0, KP_LW_ONE, KP_LW_MASK_DROP},
    {"RepeatVector", do_repeat_vector, 0, KP_LW_ONE, KP_LW_MASK_DROP},
    {0},
};
