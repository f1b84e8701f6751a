/* Colours, and images seen through a projection. */
#include "ops/matrix.h"

static int same_image(const kp_node *n, kp_value *out)
{
    const kp_value *x;
    KP_TRY(kp_ops_input(n, 0, 4, &x));
    if (x->ndim != 4 || x->dtype != KP_FLOAT32)
        return kp_node_fail(n, KP_ESHAPE, "images of type %s with %d axes", kp_dtype_name(x->dtype),
                            x->ndim);
    kp_ops_shape(out, x->dtype, x->ndim, x->shape);
    return 0;
}

/* ---- hue, saturation, value ---- */

static int infer_hsv(const kp_node *n, kp_value *out, int64_t *next_symbol)
{
    (void)next_symbol;
    KP_TRY(same_image(n, out));
    return out->shape[3] == 3 ? 0
                              : kp_node_fail(n, KP_ESHAPE, "colours need 3 channels, not %lld",
                                             (long long)out->shape[3]);
}

static double within(double v, double low, double high)
{
    return v < low ? low : v > high ? high : v;
}

static void to_hsv(const float *p, float *out)
{
    double r = (double)p[0], g = (double)p[1], b = (double)p[2];
    double v = fmax(r, fmax(g, b)), range = v - fmin(r, fmin(g, b));
    double h = r == v   ? (g - b) / (6 * range)
               : g == v ? (b - r) / (6 * range) + 2.0 / 6
                        : (r - g) / (6 * range) + 4.0 / 6;
    h = range > 0 ? h : 0;
    out[0] = (float)(h < 0 ? h + 1 : h);
    out[1] = (float)(v > 0 ? range / v : 0);
    out[2] = (float)v;
}

static void to_rgb(const float *p, float *out)
{
    double h = (double)p[0] * 6, s = (double)p[1], v = (double)p[2];
    double d[3] = {fabs(h - 3) - 1, 2 - fabs(h - 2), 2 - fabs(h - 4)};
    for (int i = 0; i < 3; i++)
        out[i] = (float)((1 - s + s * within(d[i], 0, 1)) * v);
}

static int run_hsv(const void *params, const kp_tensor *in, int n_in, kp_tensor *out)
{
    const kp_hsv_params *p = params;
    int64_t count = kp_tensor_count(out);
    (void)n_in;
    for (int64_t i = 0; i < count; i += 3)
        (p->to_rgb ? to_rgb : to_hsv)((const float *)in[0].data + i, (float *)out->data + i);
    return 0;
}

const kp_kernel_def kp_kernel_hsv = {"hsv", infer_hsv, run_hsv};

/* ---- projections ---- */

static int infer_project(const kp_node *n, kp_value *out, int64_t *next_symbol)
{
    const kp_value *t;
    (void)next_symbol;
    KP_TRY(same_image(n, out));
    KP_TRY(kp_ops_input(n, 1, 2, &t));
    if (t->ndim != 2 || t->shape[1] != 8 || (t->shape[0] != 1 && t->shape[0] != out->shape[0]) ||
        t->dtype != KP_FLOAT32)
        return kp_node_fail(n, KP_ESHAPE, "a transform is 8 numbers, one for all images or each");
    return 0;
}

/* A coordinate outside an axis of len cells, brought back by the rule of the mode. */
static float back_inside(kp_fill_mode mode, float at, int64_t len)
{
    float last = (float)(len - 1);
    if (mode == KP_FILL_CONSTANT)
        return at;
    if (mode != KP_FILL_NEAREST && (at < 0 || at > last)) {
        if (len <= 1)
            return 0;
        int64_t size = mode == KP_FILL_REFLECT ? 2 * len : len - 1;
        if (mode == KP_FILL_WRAP)
            at = at < 0 ? at + (float)(len * ((int64_t)(-at / (float)size) + 1))
                        : at - (float)(len * (int64_t)(at / (float)size));
        else if (at < 0) {
            at = (float)(size * (int64_t)(-at / (float)size)) + at;
            at = at < (float)-len ? at + (float)size : -at - 1;
        } else {
            at -= (float)(size * (int64_t)(at / (float)size));
            at = at >= (float)len ? (float)size - at - 1 : at;
        }
    }
    return at < 0 ? 0 : at > last ? last : at;
}

typedef struct view {
    const float *data;
    int64_t h, w, c;
    const kp_project_params *p;
} view;

static float pixel(const view *v, float y, float x, int64_t c)
{
    if (!(y >= 0 && y < (float)v->h && x >= 0 && x < (float)v->w))
        return v->p->value;
    return v->data[((int64_t)y * v->w + (int64_t)x) * v->c + c];
}

static float look(const view *v, float y, float x, int64_t c)
{
    if (!v->p->bilinear)
        return pixel(v, roundf(y), roundf(x), c);
    float y0 = floorf(y), x0 = floorf(x), y1 = y0 + 1, x1 = x0 + 1;
    float top = (x1 - x) * pixel(v, y0, x0, c) + (x - x0) * pixel(v, y0, x1, c);
    float bottom = (x1 - x) * pixel(v, y1, x0, c) + (x - x0) * pixel(v, y1, x1, c);
    return (y1 - y) * top + (y - y0) * bottom;
}

static void project_image(const view *v, const float *t, float *out)
{
    for (int64_t i = 0; i < v->h * v->w; i++) {
        float x = (float)(i % v->w), y = (float)(i / v->w);
        float k = t[6] * x + t[7] * y + 1.0f;
        float sx = (t[0] * x + t[1] * y + t[2]) / k, sy = (t[3] * x + t[4] * y + t[5]) / k;
        bool nowhere = k == 0 || isnan(sx) || isnan(sy) || fabsf(sx) > 1e9f || fabsf(sy) > 1e9f;
        float fx = nowhere ? 0 : back_inside(v->p->fill, sx, v->w);
        float fy = nowhere ? 0 : back_inside(v->p->fill, sy, v->h);
        for (int64_t c = 0; c < v->c; c++)
            out[i * v->c + c] = nowhere ? v->p->value : look(v, fy, fx, c);
    }
}

static int run_project(const void *params, const kp_tensor *in, int n_in, kp_tensor *out)
{
    const kp_tensor *x = &in[0];
    view v = {x->data, x->shape[1], x->shape[2], x->shape[3], params};
    const float *t = in[1].data;
    float *to = out->data;
    int64_t size = v.h * v.w * v.c;
    (void)n_in;
    for (int64_t b = 0; b < x->shape[0]; b++, v.data += size, to += size)
        project_image(&v, t + (in[1].shape[0] == 1 ? 0 : b * 8), to);
    return 0;
}

const kp_kernel_def kp_kernel_project = {"project", infer_project, run_project};

/* ---- from corners to a projection ---- */

static int infer_homography(const kp_node *n, kp_value *out, int64_t *next_symbol)
{
    const kp_value *v[2];
    (void)next_symbol;
    for (int i = 0; i < 2; i++) {
        KP_TRY(kp_ops_input(n, i, 3, &v[i]));
        if (v[i]->ndim != 3 || v[i]->shape[1] != 4 || v[i]->shape[2] != 2)
            return kp_node_fail(n, KP_ESHAPE, "corners are 4 x 2 numbers");
    }
    if (v[0]->shape[0] != v[1]->shape[0])
        return kp_node_fail(n, KP_ESHAPE,
                            "there are not as many corners at the end as at the "
                            "start");
    kp_ops_shape(out, KP_FLOAT32, 2, (int64_t[]){v[0]->shape[0], 8});
    return 0;
}

static int run_homography(const void *params, const kp_tensor *in, int n_in, kp_tensor *out)
{
    double a[64], rhs[8];
    int64_t perm[8], pivots[8];
    int sign;
    (void)params;
    (void)n_in;
    for (int64_t b = 0; b < out->shape[0]; b++) {
        for (int64_t i = 0; i < 4; i++) {
            double s[2], x = kp_tensor_get(&in[1], b * 8 + 2 * i);
            double y = kp_tensor_get(&in[1], b * 8 + 2 * i + 1);
            for (int64_t k = 0; k < 2; k++) {
                double *row = a + (2 * i + k) * 8;
                s[k] = kp_tensor_get(&in[0], b * 8 + 2 * i + k);
                memset(row, 0, 8 * sizeof *row);
                row[3 * k] = x, row[3 * k + 1] = y, row[3 * k + 2] = 1;
                row[6] = -s[k] * x, row[7] = -s[k] * y;
                rhs[2 * i + k] = s[k];
            }
        }
        if (!kp_mat_lu(a, 8, perm, pivots, &sign))
            return kp_fail(KP_EINVAL, "the corners of image %lld do not make a projection",
                           (long long)b);
        double t[8];
        for (int i = 0; i < 8; i++)
            t[i] = rhs[perm[i]];
        kp_mat_lu_solve(a, 8, t, 1);
        kp_ops_store(out, b * 8, 1, 8, t);
    }
    return 0;
}

const kp_kernel_def kp_kernel_homography = {.name = "homography",
                                            .infer = infer_homography,
                                            .run = run_homography,
                                            .may_refuse = kp_kernel_may_refuse};
