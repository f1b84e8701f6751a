/* Operations of keras.ops.image that change sizes. */
#include "lower/build.h"

/* Integers stay integers: rounded, half to even. */
static int do_resize(kp_lw *w, const kp_lw_call *c, kp_value **out)
{
    const json_t *size = json_object_get(c->layer->config, "size");
    kp_dtype type = c->in[0]->dtype;
    if (c->in[0]->ndim == 3)
        return kp_lw_rows_refused(c, "takes the rows of the batch as those of one image");
    KP_TRY(kp_lw_resize_to(w, c, json_integer_value(json_array_get(size, 0)),
                           json_integer_value(json_array_get(size, 1)), out));
    if (kp_dtype_is_float(type))
        return kp_lw_cast(w, type, *out, out);
    KP_TRY(kp_lw_unary(w, (kp_act){.kind = KP_ACT_ROUND}, *out, out));
    return kp_lw_saturate(w, type, *out, out);
}

/* Two of: before, after, the result's size. What the third is, given the size. */
static int read_edges(const kp_lw_call *c, const char *const *keys, int axis, int sign,
                      int64_t *before, int64_t *result)
{
    const kp_layer *l = c->layer;
    int64_t v[3], size = c->in[0]->shape[axis];
    for (int i = 0; i < 3; i++) {
        KP_TRY(kp_cfg_int(l, keys[i], -1, &v[i]));
        if (v[i] < -1 || v[i] > INT32_MAX)
            return kp_fail(KP_EMODEL, "layer \"%s\" (%s): %s %lld is not a size", l->path,
                           l->class_name, keys[i], (long long)v[i]);
    }
    if ((v[0] < 0) + (v[1] < 0) + (v[2] < 0) != 1)
        return kp_fail(KP_EMODEL, "layer \"%s\" (%s): not two of %s, %s and %s are given", l->path,
                       l->class_name, keys[0], keys[1], keys[2]);
    KP_TRY(kp_lw_known(c->in[0], axis, &size));
    *before = v[0] >= 0 ? v[0] : sign * (v[2] - size) - v[1];
    *result = v[2] >= 0 ? v[2] : size + sign * (v[0] + v[1]);
    int64_t after = sign * (*result - size) - *before;
    if (*before < 0 || *result < 0 || after < 0)
        return kp_fail(KP_EMODEL, "layer \"%s\" (%s): %lld pixels do not become %lld", l->path,
                       l->class_name, (long long)size, (long long)*result);
    return 0;
}

/* variant: 1 pads, -1 crops. */
static int do_edges(kp_lw *w, const kp_lw_call *c, kp_value **out)
{
    static const char *const pad[2][3] = {{"top_padding", "bottom_padding", "target_height"},
                                          {"left_padding", "right_padding", "target_width"}};
    static const char *const crop[2][3] = {{"top_cropping", "bottom_cropping", "target_height"},
                                           {"left_cropping", "right_cropping", "target_width"}};
    bool first, pads = c->variant > 0;
    kp_node n = {.op = pads ? KP_OP_PAD : KP_OP_SLICE};
    if (c->in[0]->ndim == 3)
        return kp_lw_rows_refused(c, "takes the rows of the batch as those of one image");
    KP_TRY(kp_lw_rank(c, 4));
    KP_TRY(kp_lw_channels_first(c->layer, &first));
    for (int i = 0; !pads && i < 4; i++) {
        n.attr.slice.end[i] = INT64_MAX;
        n.attr.slice.step[i] = 1;
    }
    for (int i = 0; i < 2; i++) {
        int axis = i + (first ? 2 : 1);
        int64_t before = 0, result = 0;
        KP_TRY(read_edges(c, pads ? pad[i] : crop[i], axis, c->variant, &before, &result));
        if (pads) {
            n.attr.pad.before[axis] = before;
            n.attr.pad.after[axis] = result - c->in[0]->shape[axis] - before;
        } else {
            n.attr.slice.begin[axis] = before;
            n.attr.slice.end[axis] = before + result;
        }
    }
    return kp_lw_add(w, &n, c->in, 1, out);
}

static int do_extract_patches(kp_lw *w, const kp_lw_call *c, kp_value **out)
{
    const kp_layer *l = c->layer;
    const json_t *size = json_object_get(l->config, "size");
    const char *padding;
    bool first;
    kp_value *x = c->in[0];
    kp_patches *p = kp_arena_alloc(w->mem, sizeof *p);
    if (!p)
        return KP_ENOMEM;
    p->n = json_array_size(size) == 3 ? 3 : 2;
    if (x->ndim == p->n + 1)
        return kp_lw_rows_refused(c, "takes the rows of the batch as those of one image");
    KP_TRY(kp_lw_rank(c, p->n + 2));
    KP_TRY(kp_lw_channels_first(l, &first));
    KP_TRY(kp_cfg_ints(l, "size", p->n, 1, p->size));
    memcpy(p->stride, p->size, sizeof p->size);
    if (!kp_lw_is_null(l, "strides"))
        KP_TRY(kp_cfg_ints(l, "strides", p->n, 1, p->stride));
    KP_TRY(kp_cfg_ints(l, "dilation_rate", p->n, 1, p->dilation));
    KP_TRY(kp_cfg_str(l, "padding", "valid", &padding));
    p->same = strcmp(padding, "same") == 0;
    if (first)
        KP_TRY(kp_lw_to_last(w, x, &x));
    KP_TRY(kp_lw_kernel(w, &kp_kernel_patches, p, &x, 1, &x));
    *out = x;
    return first ? kp_lw_to_first(w, x, out) : 0;
}

/* ---- scale and translate ---- */

typedef struct scaling {
    double (*kernel)(double);
    bool antialias;
} scaling;

static double triangle(double x)
{
    return fmax(0, 1 - x);
}

static double cubic(double x)
{
    return x >= 2 ? 0 : x >= 1 ? ((-0.5 * x + 2.5) * x - 4) * x + 2 : (1.5 * x - 2.5) * x * x + 1;
}

static double lanczos(double radius, double x)
{
    if (x > radius)
        return 0;
    return x > 1e-3 ? radius * sin(M_PI * x) * sin(M_PI * x / radius) / (M_PI * M_PI * x * x) : 1;
}

static double lanczos3(double x)
{
    return lanczos(3, x);
}

static double lanczos5(double x)
{
    return lanczos(5, x);
}

static int read_method(const kp_layer *l, scaling *out)
{
    static const struct {
        const char *name;
        double (*kernel)(double);
    } methods[] = {{"linear", triangle},   {"bilinear", triangle}, {"trilinear", triangle},
                   {"cubic", cubic},       {"bicubic", cubic},     {"tricubic", cubic},
                   {"lanczos3", lanczos3}, {"lanczos5", lanczos5}};
    const char *name;
    KP_TRY(kp_cfg_str(l, "method", "", &name));
    KP_TRY(kp_cfg_bool(l, "antialias", true, &out->antialias));
    for (size_t i = 0; i < sizeof methods / sizeof *methods; i++)
        if (strcmp(name, methods[i].name) == 0) {
            out->kernel = methods[i].kernel;
            return 0;
        }
    return kp_fail(KP_EMODEL, "layer \"%s\" (%s): method \"%s\" is not known", l->path,
                   l->class_name, name);
}

/* One column of the matrix from `in` cells to `out`: what cell o is made of. */
static void weights_of(const scaling *s, double scale, double shift, int64_t in, int64_t out,
                       int64_t o, float *m)
{
    double inverse = 1 / scale, stretch = s->antialias && inverse > 1 ? inverse : 1, sum = 0;
    double at = ((double)o + 0.5) * inverse - shift * inverse - 0.5;
    bool inside = at >= -0.5 && at <= (double)in - 0.5;
    for (int64_t i = 0; i < in; i++)
        sum += s->kernel(fabs(at - (double)i) / stretch);
    for (int64_t i = 0; i < in; i++)
        m[i * out + o] = inside && fabs(sum) > 1000 * 1.1920929e-07
                             ? (float)(s->kernel(fabs(at - (double)i) / stretch) / sum)
                             : 0;
}

/* x times the matrix along the axis. */
static int scale_axis(kp_lw *w, const kp_lw_call *c, const scaling *s, int axis, int64_t out_size,
                      double scale, double shift, kp_value *x, kp_value **out)
{
    int64_t in;
    int perm[KP_MAX_DIMS] = {0}, back[KP_MAX_DIMS] = {0}, n = 0;
    kp_value *k;
    kp_node node = {.op = KP_OP_DENSE};
    KP_TRY(kp_lw_known(x, axis, &in));
    if (out_size < 1 || in < 1 || in > 1 << 14 || out_size > 1 << 14 || scale == 0)
        return kp_fail(KP_EMODEL, "layer \"%s\" (%s): %lld cells to %lld", c->layer->path,
                       c->layer->class_name, (long long)in, (long long)out_size);
    float *m = kp_graph_alloc(w->g, (size_t)(in * out_size) * sizeof *m);
    if (!m)
        return KP_ENOMEM;
    for (int64_t o = 0; o < out_size; o++)
        weights_of(s, scale, shift, in, out_size, o, m);
    KP_TRY(kp_graph_add_const(w->g, w->name, KP_FLOAT32, (int64_t[]){in, out_size}, 2, m, &k));
    for (int i = 0; i < x->ndim; i++)
        if (i != axis)
            perm[n++] = i;
    perm[n] = axis;
    for (int i = 0; i < x->ndim; i++)
        back[perm[i]] = i;
    KP_TRY(kp_lw_transpose(w, perm, x, &x));
    KP_TRY(kp_lw_add(w, &node, (kp_value *[]){x, k}, 2, &x));
    return kp_lw_transpose(w, back, x, out);
}

static int stored_numbers(kp_lw *w, const kp_lw_call *c, int position, const char *name, int n,
                          double *out)
{
    kp_value *v;
    KP_TRY(kp_lw_tensor_of(w, c, kp_lw_arg(c, position, name), &v));
    if (!v->data || v->ndim > 1 || (v->ndim == 1 && v->shape[0] != n))
        return kp_fail(KP_EMODEL, "layer \"%s\" (%s): %s must be %d stored numbers", c->layer->path,
                       c->layer->class_name, name, n);
    for (int i = 0; i < n; i++)
        KP_TRY(kp_convert(
            KP_FLOAT64, &out[i], v->dtype,
            (const char *)v->data + (size_t)(v->ndim == 0 ? 0 : i) * kp_dtype_size(v->dtype), 1));
    return 0;
}

static int do_scale_and_translate(kp_lw *w, const kp_lw_call *c, kp_value **out)
{
    const kp_layer *l = c->layer;
    scaling s;
    const json_t *dims = json_object_get(l->config, "spatial_dims");
    int n = (int)json_array_size(dims);
    double shape[KP_MAX_DIMS], scale[KP_MAX_DIMS], shift[KP_MAX_DIMS];
    kp_value *x = c->in[0];
    if (n > KP_MAX_DIMS || !kp_dtype_is_float(x->dtype))
        return kp_fail(KP_EMODEL,
                       "layer \"%s\" (ScaleAndTranslate): images of integers are not supported, "
                       "because their extremes over the batch limit the result",
                       l->path);
    KP_TRY(read_method(l, &s));
    KP_TRY(stored_numbers(w, c, 1, "output_shape", x->ndim, shape));
    KP_TRY(stored_numbers(w, c, 2, "scale", n, scale));
    KP_TRY(stored_numbers(w, c, 3, "translation", n, shift));
    KP_TRY(kp_lw_float(w, x, out));
    for (int i = 0; i < n; i++) {
        int axis;
        KP_TRY(kp_lw_axis(l, json_integer_value(json_array_get(dims, (size_t)i)), x->ndim, &axis));
        KP_TRY(kp_lw_batch_axis(l, x, &(kp_axes){1, {axis}}));
        if (!(shape[axis] >= 1 && shape[axis] <= INT32_MAX))
            return kp_fail(KP_EMODEL, "layer \"%s\": axis %d gets no size", l->path, axis);
        KP_TRY(scale_axis(w, c, &s, axis, (int64_t)shape[axis], scale[i], shift[i], *out, out));
    }
    return 0;
}

const kp_lw_entry kp_lw_image_size_operations[] = {
    {"CropImages", do_edges, -1, KP_LW_ONE, KP_LW_MASK_DROP},
    {"ExtractPatches", do_extract_patches, 0, KP_LW_ONE, KP_LW_MASK_DROP},
    {"PadImages", do_edges, 1, KP_LW_ONE, KP_LW_MASK_DROP},
    {"Resize", do_resize, 0, KP_LW_ONE, KP_LW_MASK_DROP},
    {"ScaleAndTranslate", do_scale_and_translate, 0, 1, 3, KP_LW_SAME, KP_LW_MASK_DROP},
    {0},
};
