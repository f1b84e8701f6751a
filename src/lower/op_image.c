/* Operations of keras.ops.image on pixels. Images are (N, H, W, C), or (N, C, H, W) by config. */
#include "lower/build.h"

/* ---- what they share ---- */

typedef struct images {
    kp_value *x; /* channels_last */
    bool first;
    kp_dtype type; /* of the input */
} images;

/* Of three axes the first would be an image's height: that one image is the whole batch. */
static int begin(kp_lw *w, const kp_lw_call *c, bool is_float, images *im)
{
    im->x = c->in[0];
    im->type = im->x->dtype;
    if (im->x->ndim == 3)
        return kp_lw_rows_refused(c, "takes the rows of the batch as those of one image");
    KP_TRY(kp_lw_rank(c, 4));
    KP_TRY(kp_lw_channels_first(c->layer, &im->first));
    if (is_float)
        KP_TRY(kp_lw_float(w, im->x, &im->x));
    return im->first ? kp_lw_to_last(w, im->x, &im->x) : 0;
}

static int finish(kp_lw *w, const images *im, kp_value *y, kp_value **out)
{
    *out = y;
    return im->first ? kp_lw_to_first(w, y, out) : 0;
}

static int through(kp_lw *w, const kp_lw_call *c, const kp_kernel_def *def, const void *params,
                   kp_value **out)
{
    images im;
    kp_value *y;
    KP_TRY(begin(w, c, true, &im));
    KP_TRY(kp_lw_kernel(w, def, params, &im.x, 1, &y));
    return finish(w, &im, y, out);
}

/* ---- colours ---- */

static int do_grayscale(kp_lw *w, const kp_lw_call *c, kp_value **out)
{
    static const float weights[3] = {0.2989f, 0.5870f, 0.1140f};
    images im;
    kp_value *k, *y;
    kp_node n = {.op = KP_OP_DENSE};
    KP_TRY(begin(w, c, true, &im));
    *out = c->in[0];
    if (im.x->shape[3] == 1)
        return 0;
    KP_TRY(kp_lw_const(w, weights, (int64_t[]){3, 1}, 2, &k));
    KP_TRY(kp_lw_add(w, &n, (kp_value *[]){im.x, k}, 2, &y));
    KP_TRY(finish(w, &im, y, out));
    return kp_lw_cast(w, im.type, *out, out);
}

static int do_hsv(kp_lw *w, const kp_lw_call *c, kp_value **out)
{
    static const kp_hsv_params to_hsv = {false}, to_rgb = {true};
    return through(w, c, &kp_kernel_hsv, c->variant ? &to_rgb : &to_hsv, out);
}

/* ---- projections ---- */

static int read_projection(kp_lw *w, const kp_lw_call *c, const kp_project_params **out)
{
    static const char *const modes[] = {"constant", "nearest", "reflect", "wrap"};
    const kp_layer *l = c->layer;
    const char *interpolation, *mode;
    double value;
    kp_project_params *p = kp_arena_alloc(w->mem, sizeof *p);
    if (!p)
        return KP_ENOMEM;
    *out = p;
    KP_TRY(kp_cfg_str(l, "interpolation", "bilinear", &interpolation));
    KP_TRY(kp_cfg_str(l, "fill_mode", "constant", &mode));
    KP_TRY(kp_cfg_float(l, "fill_value", 0, &value));
    p->bilinear = strcmp(interpolation, "bilinear") == 0;
    p->value = (float)value;
    if (!p->bilinear && strcmp(interpolation, "nearest") != 0)
        return kp_fail(KP_EMODEL, "layer \"%s\" (%s): interpolation \"%s\" is not known", l->path,
                       l->class_name, interpolation);
    for (int i = 0; i < 4; i++) {
        p->fill = (kp_fill_mode)i;
        if (strcmp(mode, modes[i]) == 0)
            return 0;
    }
    return kp_fail(KP_EMODEL, "layer \"%s\" (%s): fill_mode \"%s\" is not known", l->path,
                   l->class_name, mode);
}

/* A stored array for all images gets a first axis of 1. */
static int per_image(kp_lw *w, const kp_lw_call *c, int position, const char *name, int ndim,
                     kp_value **out)
{
    int64_t dims[KP_MAX_DIMS] = {1};
    KP_TRY(kp_lw_tensor_of(w, c, kp_lw_arg(c, position, name), out));
    KP_TRY(kp_lw_float(w, *out, out));
    kp_value *v = *out;
    if (v->ndim != ndim - 1)
        return 0;
    for (int i = 0; i < v->ndim; i++)
        dims[i + 1] = v->shape[i];
    if (v->ndim > 0 && v->shape[0] == KP_DIM_BATCH)
        return kp_lw_rows_refused(c, "takes numbers of a whole batch for one image");
    return kp_lw_reshape(w, 0, dims, ndim, v, out);
}

static int project(kp_lw *w, const kp_lw_call *c, kp_value *transform, kp_value **out)
{
    images im;
    kp_value *y;
    const kp_project_params *p;
    KP_TRY(read_projection(w, c, &p));
    KP_TRY(begin(w, c, true, &im));
    KP_TRY(kp_lw_kernel(w, &kp_kernel_project, p, (kp_value *[]){im.x, transform}, 2, &y));
    KP_TRY(finish(w, &im, y, out));
    return kp_lw_cast(w, im.type, *out, out);
}

static int do_affine(kp_lw *w, const kp_lw_call *c, kp_value **out)
{
    kp_value *t;
    KP_TRY(per_image(w, c, 1, "transform", 2, &t));
    return project(w, c, t, out);
}

static int do_perspective(kp_lw *w, const kp_lw_call *c, kp_value **out)
{
    kp_value *corners[2], *t;
    KP_TRY(per_image(w, c, 1, "start_points", 3, &corners[0]));
    KP_TRY(per_image(w, c, 2, "end_points", 3, &corners[1]));
    KP_TRY(kp_lw_kernel(w, &kp_kernel_homography, NULL, corners, 2, &t));
    return project(w, c, t, out);
}

/* ---- filters ---- */

static void gauss(double *out, int64_t n, double sigma)
{
    double sum = 0;
    for (int64_t i = 0; i < n; i++) {
        double x = ((double)i - (double)(n - 1) / 2) / sigma;
        out[i] = exp(-0.5 * x * x);
        sum += out[i];
    }
    for (int64_t i = 0; i < n; i++)
        out[i] /= sum;
}

/* Keras multiplies the first size and sigma into the columns and then gives the result the shape
 * (size[0], size[1]), whatever the sizes are. */
static int blur_kernel(kp_lw *w, const kp_layer *l, int64_t channels, kp_value **out)
{
    int64_t size[2];
    double sigma[2] = {1, 1}, g[2][256];
    int n = 2;
    KP_TRY(kp_cfg_ints(l, "kernel_size", 2, 3, size));
    if (!kp_lw_is_null(l, "sigma"))
        KP_TRY(kp_lw_numbers(l, "sigma", 2, sigma, &n));
    if (n == 1)
        sigma[1] = sigma[0];
    if (size[0] < 1 || size[1] < 1 || size[0] > 256 || size[1] > 256 || channels > 1 << 16)
        return kp_fail(KP_EMODEL, "layer \"%s\" (%s): a kernel of %lld x %lld", l->path,
                       l->class_name, (long long)size[0], (long long)size[1]);
    for (int i = 0; i < 2; i++)
        gauss(g[i], size[i], sigma[i]);
    float *k = kp_graph_alloc(w->g, (size_t)(size[0] * size[1] * channels) * sizeof *k);
    if (!k)
        return KP_ENOMEM;
    for (int64_t i = 0; i < size[0] * size[1] * channels; i++) {
        int64_t at = i / channels;
        k[i] = (float)(g[1][at / size[0]] * g[0][at % size[0]]);
    }
    return kp_graph_add_const(w->g, w->name, KP_FLOAT32, (int64_t[]){size[0], size[1], 1, channels},
                              4, k, out);
}

static int do_gaussian_blur(kp_lw *w, const kp_lw_call *c, kp_value **out)
{
    images im;
    int64_t channels;
    kp_value *k, *y;
    kp_node n = {.op = KP_OP_CONV, .attr.conv.window = {.n_spatial = 2, .padding = KP_PAD_SAME}};
    KP_TRY(begin(w, c, true, &im));
    KP_TRY(kp_lw_known(im.x, 3, &channels));
    KP_TRY(blur_kernel(w, c->layer, channels, &k));
    n.attr.conv.groups = channels;
    for (int i = 0; i < 2; i++) {
        n.attr.conv.window.size[i] = k->shape[i];
        n.attr.conv.window.stride[i] = n.attr.conv.window.dilation[i] = 1;
    }
    KP_TRY(kp_lw_add(w, &n, (kp_value *[]){im.x, k}, 2, &y));
    return finish(w, &im, y, out);
}

static int do_sobel(kp_lw *w, const kp_lw_call *c, kp_value **out)
{
    images im;
    kp_value *y;
    KP_TRY(begin(w, c, true, &im));
    KP_TRY(kp_lw_kernel(w, &kp_kernel_sobel, NULL, &im.x, 1, &y));
    return kp_lw_transpose(w, im.first ? (int[]){0, 3, 1, 2, 4} : (int[]){0, 1, 2, 3, 4}, y, out);
}

static int do_ssim(kp_lw *w, const kp_lw_call *c, kp_value **out)
{
    const kp_layer *l = c->layer;
    kp_ssim_params *p = kp_arena_alloc(w->mem, sizeof *p);
    images im[2];
    kp_value *in[2];
    kp_lw_call other = *c;
    if (!p)
        return KP_ENOMEM;
    KP_TRY(kp_cfg_float(l, "max_val", 1, &p->max_value));
    KP_TRY(kp_cfg_float(l, "filter_sigma", 1.5, &p->sigma));
    KP_TRY(kp_cfg_float(l, "k1", 0.01, &p->k1));
    KP_TRY(kp_cfg_float(l, "k2", 0.03, &p->k2));
    KP_TRY(kp_cfg_int(l, "filter_size", 11, &p->size));
    for (int i = 0; i < 2; i++) {
        KP_TRY(kp_lw_tensor_of(w, c, kp_lw_arg(c, i, i ? "image2" : "image1"), &in[i]));
        other.in = &in[i];
        KP_TRY(begin(w, &other, true, &im[i]));
        in[i] = im[i].x;
    }
    KP_TRY(kp_lw_kernel(w, &kp_kernel_ssim, p, in, 2, out));
    return kp_lw_cast(w, im[0].type, *out, out);
}

/* ---- what has no meaning here ---- */

static int do_random(kp_lw *w, const kp_lw_call *c, kp_value **out)
{
    (void)w;
    (void)out;
    return kp_fail(KP_EMODEL,
                   "layer \"%s\" (%s): its result is random at inference too, so that there is "
                   "nothing to predict; take it out of the model",
                   c->layer->path, c->layer->class_name);
}

const kp_lw_entry kp_lw_image_operations[] = {
    {"AffineTransform", do_affine, 0, 1, 2, KP_LW_SAME, KP_LW_MASK_DROP},
    {"ElasticTransform", do_random, 0, KP_LW_ONE, KP_LW_MASK_DROP},
    {"GaussianBlur", do_gaussian_blur, 0, KP_LW_ONE, KP_LW_MASK_DROP},
    {"HSVToRGB", do_hsv, 1, KP_LW_ONE, KP_LW_MASK_DROP},
    {"PerspectiveTransform", do_perspective, 0, 1, 3, KP_LW_SAME, KP_LW_MASK_DROP},
    {"RGBToGrayscale", do_grayscale, 0, KP_LW_ONE, KP_LW_MASK_DROP},
    {"RGBToHSV", do_hsv, 0, KP_LW_ONE, KP_LW_MASK_DROP},
    {"SSIM", do_ssim, 0, 1, 2, KP_LW_SAME, KP_LW_MASK_DROP},
    {"SobelEdges", do_sobel, 0, KP_LW_ONE, KP_LW_MASK_DROP},
    {0},
};
