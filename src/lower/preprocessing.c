/* Preprocessing layers that live inside a model. */
#include "lower/build.h"

enum { NUMBERS_MAX = 1 << 20 };

static const char *const resize_names[KP_RESIZE_COUNT] = {"nearest",  "bilinear", "bicubic",
                                                          "lanczos3", "lanczos5", "area"};

int kp_lw_resize_kind(const kp_layer *l, const char *text, kp_resize_kind *out)
{
    for (int i = 0; i < KP_RESIZE_COUNT; i++) {
        *out = (kp_resize_kind)i;
        if (strcmp(text, resize_names[i]) == 0)
            return 0;
    }
    return kp_fail(KP_EMODEL, "layer \"%s\" (%s): interpolation \"%s\" is not supported", l->path,
                   l->class_name, text);
}

/* ---- Rescaling ---- */

/* config[key] as a number (n 1) or one number a channel. */
static int read_list(kp_lw *w, const kp_lw_call *c, const char *key, double dflt, float **out,
                     int *n)
{
    double *v = kp_arena_array(w->mem, 4096, sizeof *v);
    *out = kp_arena_array(w->mem, 4096, sizeof **out);
    if (!v || !*out)
        return KP_ENOMEM;
    *n = 1;
    v[0] = dflt;
    if (!kp_lw_is_null(c->layer, key))
        KP_TRY(kp_lw_numbers(c->layer, key, 4096, v, n));
    for (int i = 0; i < *n; i++)
        (*out)[i] = (float)v[i];
    return 0;
}

static int by_list(kp_lw *w, kp_binary_kind kind, const float *v, int n, kp_value *x,
                   kp_value **out)
{
    kp_value *k;
    KP_TRY(kp_lw_const(w, v, (int64_t[]){n}, 1, &k));
    return kp_lw_binary(w, kind, x, k, out);
}

static int do_rescaling(kp_lw *w, const kp_lw_call *c, kp_value **out)
{
    float *scale, *offset;
    int ns, no;
    kp_value *x;
    KP_TRY(read_list(w, c, "scale", 1, &scale, &ns));
    KP_TRY(read_list(w, c, "offset", 0, &offset, &no));
    KP_TRY(kp_lw_float(w, c->in[0], &x));
    if (ns == 1 && no == 1)
        return kp_lw_linear(w, scale[0], offset[0], x, out);
    KP_TRY(by_list(w, KP_BIN_MUL, scale, ns, x, &x));
    return by_list(w, KP_BIN_ADD, offset, no, x, out);
}

/* ---- Normalization ---- */

/* The statistics broadcast against the input: its size on the kept axes, 1 elsewhere. */
typedef struct statistics {
    int64_t shape[KP_MAX_DIMS];
    int ndim;
    int64_t sizes[KP_MAX_DIMS]; /* of the kept axes only: the shape of the weights */
    int n_sizes;
    int64_t count;
} statistics;

static int read_axes(const kp_lw_call *c, statistics *s)
{
    kp_axes axes = {0};
    const kp_value *x = c->in[0];
    const json_t *v = json_object_get(c->layer->config, "axis");
    bool none = (v && json_is_null(v)) || (json_is_array(v) && json_array_size(v) == 0);
    *s = (statistics){.ndim = none ? 0 : x->ndim, .count = 1};
    if (none)
        return 0;
    KP_TRY(kp_lw_axes(c->layer, "axis", x->ndim, -1, &axes));
    for (int a = 0; a < x->ndim; a++)
        s->shape[a] = 1;
    for (int i = 0; i < axes.n; i++) {
        KP_TRY(kp_lw_known(x, axes.axis[i], &s->shape[axes.axis[i]]));
        s->sizes[s->n_sizes++] = s->shape[axes.axis[i]];
    }
    if (!kp_shape_count(s->shape, s->ndim, &s->count) || s->count > NUMBERS_MAX)
        return kp_fail(KP_ELIMIT, "layer \"%s\": the statistics are too large", c->layer->path);
    return 0;
}

/* From the configuration: one number, or as many as the statistics have. */
static int from_config(kp_lw *w, const kp_lw_call *c, const char *key, const statistics *s,
                       float **out)
{
    double *v = kp_arena_array(w->mem, (size_t)s->count, sizeof *v);
    *out = kp_arena_array(w->mem, (size_t)s->count, sizeof **out);
    int n;
    if (!v || !*out)
        return KP_ENOMEM;
    KP_TRY(kp_lw_numbers(c->layer, key, (int)s->count, v, &n));
    if (n != 1 && n != s->count)
        return kp_fail(KP_EMODEL, "layer \"%s\": \"%s\" has %d numbers for %lld", c->layer->path,
                       key, n, (long long)s->count);
    for (int64_t i = 0; i < s->count; i++)
        (*out)[i] = (float)v[n == 1 ? 0 : i];
    return 0;
}

static int from_weight(kp_lw *w, const statistics *s, int index, const char *key, float **out)
{
    kp_value *v;
    KP_TRY(kp_lw_weight_get(w, "", index, key, s->n_sizes, s->sizes, 0, NULL, false, &v));
    *out = kp_arena_array(w->mem, (size_t)s->count, sizeof **out);
    if (!*out)
        return KP_ENOMEM;
    return kp_convert(KP_FLOAT32, *out, v->dtype, v->data, (size_t)s->count);
}

static int read_statistics(kp_lw *w, const kp_lw_call *c, const statistics *s, float **mean,
                           float **deviation)
{
    bool given = !kp_lw_is_null(c->layer, "mean") && !kp_lw_is_null(c->layer, "variance");
    kp_value *count;
    if (given) {
        KP_TRY(from_config(w, c, "mean", s, mean));
        KP_TRY(from_config(w, c, "variance", s, deviation));
    } else {
        KP_TRY(from_weight(w, s, 0, "mean", mean));
        KP_TRY(from_weight(w, s, 1, "variance", deviation));
        /* How many rows were seen: of no use here, but the file holds it. */
        KP_TRY(kp_lw_weight_get(w, "", 2, "count", 0, NULL, 0, NULL, false, &count));
    }
    for (int64_t i = 0; i < s->count; i++)
        (*deviation)[i] = fmaxf(sqrtf((*deviation)[i]), 1e-7f);
    return 0;
}

static int do_normalization(kp_lw *w, const kp_lw_call *c, kp_value **out)
{
    statistics s;
    float *mean, *deviation;
    bool invert;
    kp_value *x, *m, *d;
    KP_TRY(kp_cfg_bool(c->layer, "invert", false, &invert));
    KP_TRY(read_axes(c, &s));
    KP_TRY(read_statistics(w, c, &s, &mean, &deviation));
    KP_TRY(kp_lw_float(w, c->in[0], &x));
    KP_TRY(kp_lw_const(w, mean, s.shape, s.ndim, &m));
    KP_TRY(kp_lw_const(w, deviation, s.shape, s.ndim, &d));
    KP_TRY(kp_lw_binary(w, invert ? KP_BIN_MUL : KP_BIN_SUB, x, invert ? d : m, &x));
    return kp_lw_binary(w, invert ? KP_BIN_ADD : KP_BIN_DIV, x, invert ? m : d, out);
}

/* ---- Resizing, CenterCrop ---- */

static int resize(kp_lw *w, const kp_lw_call *c, kp_node *n, kp_value **out)
{
    const kp_layer *l = c->layer;
    bool first;
    kp_value *x;
    KP_TRY(kp_lw_rank(c, 4));
    KP_TRY(kp_lw_channels_first(l, &first));
    if (n->attr.resize.height < 1 || n->attr.resize.width < 1 ||
        n->attr.resize.height > INT32_MAX || n->attr.resize.width > INT32_MAX)
        return kp_fail(KP_EMODEL, "layer \"%s\": %lld x %lld is not a size", l->path,
                       (long long)n->attr.resize.height, (long long)n->attr.resize.width);
    KP_TRY(kp_lw_float(w, c->in[0], &x));
    if (first)
        KP_TRY(kp_lw_to_last(w, x, &x));
    KP_TRY(kp_lw_add(w, n, &x, 1, &x));
    *out = x;
    return first ? kp_lw_to_first(w, x, out) : 0;
}

int kp_lw_resize_to(kp_lw *w, const kp_lw_call *c, int64_t height, int64_t width, kp_value **out)
{
    const char *kind, *fill;
    double value;
    kp_node n = {.op = KP_OP_RESIZE, .attr.resize = {.height = height, .width = width}};
    KP_TRY(kp_cfg_str(c->layer, "interpolation", "bilinear", &kind));
    KP_TRY(kp_lw_resize_kind(c->layer, kind, &n.attr.resize.kind));
    KP_TRY(kp_cfg_bool(c->layer, "antialias", false, &n.attr.resize.antialias));
    KP_TRY(
        kp_cfg_bool(c->layer, "crop_to_aspect_ratio", false, &n.attr.resize.crop_to_aspect_ratio));
    KP_TRY(kp_cfg_bool(c->layer, "pad_to_aspect_ratio", false, &n.attr.resize.pad_to_aspect_ratio));
    KP_TRY(kp_cfg_str(c->layer, "fill_mode", "constant", &fill));
    KP_TRY(kp_cfg_float(c->layer, "fill_value", 0, &value));
    if (n.attr.resize.pad_to_aspect_ratio && strcmp(fill, "constant") != 0)
        return kp_fail(KP_EMODEL, "layer \"%s\": fill_mode \"%s\" is not supported", c->layer->path,
                       fill);
    n.attr.resize.fill_value = (float)value;
    return resize(w, c, &n, out);
}

static int read_target(const kp_layer *l, int64_t *height, int64_t *width)
{
    KP_TRY(kp_cfg_int(l, "height", 0, height));
    return kp_cfg_int(l, "width", 0, width);
}

static int do_resizing(kp_lw *w, const kp_lw_call *c, kp_value **out)
{
    int64_t height, width;
    KP_TRY(read_target(c->layer, &height, &width));
    return kp_lw_resize_to(w, c, height, width, out);
}

static int do_center_crop(kp_lw *w, const kp_lw_call *c, kp_value **out)
{
    kp_node n = {.op = KP_OP_RESIZE,
                 .attr.resize = {.kind = KP_RESIZE_BILINEAR, .center_crop = true}};
    KP_TRY(read_target(c->layer, &n.attr.resize.height, &n.attr.resize.width));
    return resize(w, c, &n, out);
}

/* Since Keras 3.6 nothing happens at inference, though Keras still tells the target's shape; before,
 * the largest box in the middle that has the target's aspect ratio was resized to it. */
static int do_random_crop(kp_lw *w, const kp_lw_call *c, kp_value **out)
{
    kp_node n = {.op = KP_OP_RESIZE,
                 .attr.resize = {.kind = KP_RESIZE_BILINEAR, .crop_to_aspect_ratio = true}};
    if (!kp_lw_older(w, 3, 6) && !w->opt.keras_shapes)
        return kp_lw_float(w, c->in[0], out);
    KP_TRY(read_target(c->layer, &n.attr.resize.height, &n.attr.resize.width));
    return resize(w, c, &n, out);
}

const kp_lw_entry kp_lw_preprocessing_layers[] = {
    {"Rescaling", do_rescaling, 0, KP_LW_ONE, KP_LW_MASK_PASS},
    {"Normalization", do_normalization, 0, KP_LW_ONE, KP_LW_MASK_PASS},
    {"Resizing", do_resizing, 0, KP_LW_ONE, KP_LW_MASK_DROP},
    {"CenterCrop", do_center_crop, 0, KP_LW_ONE, KP_LW_MASK_DROP},
    {"RandomCrop", do_random_crop, 0, 1, 1, KP_LW_TRAINS_BEFORE_3, KP_LW_MASK_DROP},
    {0},
};
