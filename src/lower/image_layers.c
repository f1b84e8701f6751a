/* Preprocessing layers of images that do something at inference, and pipelines of layers. */
#include "lower/build.h"

static int read_range(const kp_layer *l, float *low, float *high)
{
    double v[2] = {0, 255};
    int n = 2;
    if (!kp_lw_is_null(l, "value_range"))
        KP_TRY(kp_lw_numbers(l, "value_range", 2, v, &n));
    if (n != 2)
        return kp_fail(KP_EMODEL, "layer \"%s\" (%s): \"value_range\" is not two numbers", l->path,
                       l->class_name);
    *low = (float)v[0];
    *high = (float)v[1];
    return 0;
}

/* Keras takes the extremes over axes 1 and 2, whatever the data_format. */
static int do_auto_contrast(kp_lw *w, const kp_lw_call *c, kp_value **out)
{
    kp_contrast_params *p = kp_arena_alloc(w->mem, sizeof *p);
    kp_value *x;
    if (!p)
        return KP_ENOMEM;
    KP_TRY(kp_lw_rank(c, 4));
    KP_TRY(read_range(c->layer, &p->low, &p->high));
    KP_TRY(kp_lw_cast(w, KP_FLOAT32, c->in[0], &x));
    KP_TRY(kp_lw_kernel(w, &kp_kernel_auto_contrast, p, &x, 1, out));
    return kp_lw_float(w, *out, out);
}

static int do_clahe(kp_lw *w, const kp_lw_call *c, kp_value **out)
{
    kp_clahe_params *p = kp_arena_alloc(w->mem, sizeof *p);
    bool first;
    kp_value *x;
    if (!p)
        return KP_ENOMEM;
    KP_TRY(kp_lw_rank(c, 4));
    KP_TRY(read_range(c->layer, &p->low, &p->high));
    KP_TRY(kp_cfg_float(c->layer, "clip_limit", 4, &p->clip_limit));
    KP_TRY(kp_cfg_ints(c->layer, "tile_grid_size", 2, 8, p->grid));
    KP_TRY(kp_lw_channels_first(c->layer, &first));
    KP_TRY(kp_lw_cast(w, KP_FLOAT32, c->in[0], &x));
    if (first)
        KP_TRY(kp_lw_to_last(w, x, &x));
    KP_TRY(kp_lw_kernel(w, &kp_kernel_clahe, p, &x, 1, out));
    KP_TRY(kp_lw_float(w, *out, out));
    return first ? kp_lw_to_first(w, *out, out) : 0;
}

/* ---- images alone or with boxes, labels and masks ---- */

/* Along axis 1 the first `most` elements, or -1 behind those there are. */
static int limit(kp_lw *w, int64_t most, kp_value *x, kp_value **out)
{
    int64_t have;
    KP_TRY(kp_lw_known(x, 1, &have));
    kp_node n = {.op = have > most ? KP_OP_SLICE : KP_OP_PAD};
    for (int i = 0; have > most && i < x->ndim; i++) {
        n.attr.slice.end[i] = i == 1 ? most : INT64_MAX;
        n.attr.slice.step[i] = 1;
    }
    if (have <= most) {
        n.attr.pad.after[1] = most - have;
        n.attr.pad.value = -1;
    }
    *out = x;
    return have == most ? 0 : kp_lw_add(w, &n, &x, 1, out);
}

/* What becomes of each tensor of a call: a float, and of boxes only so many (below 0: all). */
typedef struct parts {
    int64_t most;
    kp_value **values;
    int n;
} parts;

/* Of a dictionary the values by ascending key, as Keras counts its outputs. */
static int each_part(kp_lw *w, const kp_lw_call *c, const kp_arg *a, bool boxes, parts *p)
{
    if (a->kind == KP_ARG_REF) {
        kp_value **v = &p->values[p->n++];
        KP_TRY(kp_lw_ref(c->env, a->ref, v));
        KP_TRY(kp_lw_float(w, *v, v));
        return boxes && p->most >= 0 ? limit(w, p->most, *v, v) : 0;
    }
    if (a->kind != KP_ARG_DICT)
        return kp_fail(KP_EMODEL, "layer \"%s\" (%s): the input is not a dictionary of tensors",
                       c->layer->path, c->layer->class_name);
    const char *last = NULL;
    for (int done = 0; done < a->n_items; done++) {
        int next = -1;
        for (int i = 0; i < a->n_items; i++)
            if ((!last || strcmp(a->keys[i], last) > 0) &&
                (next < 0 || strcmp(a->keys[i], a->keys[next]) < 0))
                next = i;
        if (next < 0)
            break;
        last = a->keys[next];
        bool inside = boxes || strcmp(last, "bounding_boxes") == 0;
        KP_TRY(each_part(w, c, &a->items[next], inside, p));
    }
    return 0;
}

static int do_parts(kp_lw *w, const kp_lw_call *c, int64_t most, kp_value **out)
{
    parts p = {.most = most};
    if (c->call->args.n_items > 0 && c->call->args.items[0].kind == KP_ARG_DICT) {
        KP_TRY(kp_lw_outputs(w, c, c->n_in, &p.values));
        return each_part(w, c, &c->call->args.items[0], false, &p);
    }
    return kp_lw_float(w, c->in[0], out); /* images alone */
}

static int do_max_boxes(kp_lw *w, const kp_lw_call *c, kp_value **out)
{
    int64_t most;
    KP_TRY(kp_cfg_int(c->layer, "max_number", 0, &most));
    if (most < 0 || most > INT32_MAX)
        return kp_fail(KP_EMODEL, "layer \"%s\" (%s): %lld boxes", c->layer->path,
                       c->layer->class_name, (long long)most);
    return do_parts(w, c, most, out);
}

/* At inference nothing but a cast. */
static int do_nothing(kp_lw *w, const kp_lw_call *c, kp_value **out)
{
    return do_parts(w, c, -1, out);
}

/* ---- pipelines ---- */

/* One layer of a pipeline; it has no weights of its own, so that its configuration is all. */
static int stage(kp_lw *w, const kp_lw_call *c, const json_t *object, kp_value *x, kp_value **out)
{
    const char *class_name = json_string_value(json_object_get(object, "class_name"));
    const json_t *config = json_object_get(object, "config");
    const kp_lw_entry *e = class_name ? kp_lw_find(class_name, false) : NULL;
    if (!e || !json_is_object(config) || strcmp(class_name, "Pipeline") == 0)
        return kp_fail(KP_EMODEL, "layer \"%s\" (Pipeline): a layer of class %s is not supported",
                       c->layer->path, class_name ? class_name : "?");
    kp_layer *l = kp_arena_alloc(w->mem, sizeof *l);
    kp_lw_result res;
    if (!l)
        return KP_ENOMEM;
    *l = *c->layer;
    l->class_name = class_name;
    l->config = config;
    l->n_inner = 0;
    KP_TRY(kp_lw_result_new(w, 1, &res));
    kp_value *mask = NULL;
    kp_lw_call call = {.layer = l,
                       .call = c->call,
                       .env = c->env,
                       .in = &x,
                       .in_mask = &mask,
                       .n_in = 1,
                       .variant = e->variant,
                       .res = &res};
    KP_TRY(e->fn(w, &call, res.values));
    *out = res.values[0];
    return 0;
}

static int do_pipeline(kp_lw *w, const kp_lw_call *c, kp_value **out)
{
    const json_t *layers = json_object_get(c->layer->config, "layers");
    *out = c->in[0];
    for (size_t i = 0; i < json_array_size(layers); i++)
        KP_TRY(stage(w, c, json_array_get(layers, i), *out, out));
    return 0;
}

const kp_lw_entry kp_lw_image_layers[] = {
    {"AutoContrast", do_auto_contrast, 0, KP_LW_ONE, KP_LW_MASK_DROP},
    {"ContrastLimitedAdaptiveHistogramEqualization", do_clahe, 0, KP_LW_ONE, KP_LW_MASK_DROP},
    {"MaxNumBoundingBoxes", do_max_boxes, 0, 1, 0, KP_LW_SAME, KP_LW_MASK_DROP},
    {"Pipeline", do_pipeline, 0, KP_LW_ONE, KP_LW_MASK_DROP},
    {"AugMix", do_nothing, 0, 1, 0, KP_LW_TRAINS_BEFORE_3, KP_LW_MASK_DROP},
    {"CutMix", do_nothing, 0, 1, 0, KP_LW_TRAINS_BEFORE_3, KP_LW_MASK_DROP},
    {"Equalization", do_nothing, 0, 1, 0, KP_LW_TRAINS_BEFORE_3, KP_LW_MASK_DROP},
    {"MixUp", do_nothing, 0, 1, 0, KP_LW_TRAINS_BEFORE_3, KP_LW_MASK_DROP},
    {"RandAugment", do_nothing, 0, 1, 0, KP_LW_TRAINS_BEFORE_3, KP_LW_MASK_DROP},
    {"RandomBrightness", do_nothing, 0, 1, 0, KP_LW_TRAINS_BEFORE_3, KP_LW_MASK_DROP},
    {"RandomColorDegeneration", do_nothing, 0, 1, 0, KP_LW_TRAINS_BEFORE_3, KP_LW_MASK_DROP},
    {"RandomColorJitter", do_nothing, 0, 1, 0, KP_LW_TRAINS_BEFORE_3, KP_LW_MASK_DROP},
    {"RandomContrast", do_nothing, 0, 1, 0, KP_LW_TRAINS_BEFORE_3, KP_LW_MASK_DROP},
    {"RandomElasticTransform", do_nothing, 0, 1, 0, KP_LW_TRAINS_BEFORE_3, KP_LW_MASK_DROP},
    {"RandomErasing", do_nothing, 0, 1, 0, KP_LW_TRAINS_BEFORE_3, KP_LW_MASK_DROP},
    {"RandomFlip", do_nothing, 0, 1, 0, KP_LW_TRAINS_BEFORE_3, KP_LW_MASK_DROP},
    {"RandomGaussianBlur", do_nothing, 0, 1, 0, KP_LW_TRAINS_BEFORE_3, KP_LW_MASK_DROP},
    {"RandomGrayscale", do_nothing, 0, 1, 0, KP_LW_TRAINS_BEFORE_3, KP_LW_MASK_DROP},
    {"RandomHue", do_nothing, 0, 1, 0, KP_LW_TRAINS_BEFORE_3, KP_LW_MASK_DROP},
    {"RandomInvert", do_nothing, 0, 1, 0, KP_LW_TRAINS_BEFORE_3, KP_LW_MASK_DROP},
    {"RandomPerspective", do_nothing, 0, 1, 0, KP_LW_TRAINS_BEFORE_3, KP_LW_MASK_DROP},
    {"RandomPosterization", do_nothing, 0, 1, 0, KP_LW_TRAINS_BEFORE_3, KP_LW_MASK_DROP},
    {"RandomRotation", do_nothing, 0, 1, 0, KP_LW_TRAINS_BEFORE_3, KP_LW_MASK_DROP},
    {"RandomSaturation", do_nothing, 0, 1, 0, KP_LW_TRAINS_BEFORE_3, KP_LW_MASK_DROP},
    {"RandomSharpness", do_nothing, 0, 1, 0, KP_LW_TRAINS_BEFORE_3, KP_LW_MASK_DROP},
    {"RandomShear", do_nothing, 0, 1, 0, KP_LW_TRAINS_BEFORE_3, KP_LW_MASK_DROP},
    {"RandomTranslation", do_nothing, 0, 1, 0, KP_LW_TRAINS_BEFORE_3, KP_LW_MASK_DROP},
    {"RandomZoom", do_nothing, 0, 1, 0, KP_LW_TRAINS_BEFORE_3, KP_LW_MASK_DROP},
    {"Solarization", do_nothing, 0, 1, 0, KP_LW_TRAINS_BEFORE_3, KP_LW_MASK_DROP},
    {0},
};
