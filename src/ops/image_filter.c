/* Neighbourhoods: edges, similarity, contrast. */
#include "ops/kernel.h"

static int check_image(const kp_node *n, int i, const kp_value **out)
{
    KP_TRY(kp_ops_input(n, i, 4, out));
    if ((*out)->ndim != 4 || (*out)->dtype != KP_FLOAT32)
        return kp_node_fail(n, KP_ESHAPE, "images of type %s with %d axes",
                            kp_dtype_name((*out)->dtype), (*out)->ndim);
    return 0;
}

/* ---- edges ---- */

static int infer_sobel(const kp_node *n, kp_value *out, int64_t *next_symbol)
{
    const kp_value *x;
    (void)next_symbol;
    KP_TRY(check_image(n, 0, &x));
    if (x->shape[1] == 1 || x->shape[2] == 1)
        return kp_node_fail(n, KP_ESHAPE, "edges need images of at least 2 x 2 pixels");
    kp_ops_shape(out, x->dtype, 4, x->shape);
    out->shape[out->ndim++] = 2;
    return 0;
}

static int64_t mirror(int64_t i, int64_t n)
{
    return i < 0 ? -i : i >= n ? 2 * (n - 1) - i : i;
}

static int run_sobel(const void *params, const kp_tensor *in, int n_in, kp_tensor *out)
{
    static const double weight[3] = {1, 2, 1};
    const kp_tensor *x = &in[0];
    int64_t h = x->shape[1], w = x->shape[2], c = x->shape[3], count = kp_tensor_count(x);
    const float *data = x->data;
    float *to = out->data;
    (void)params;
    (void)n_in;
    if (h < 2 || w < 2)
        return kp_fail(KP_ESHAPE, "edges need images of at least 2 x 2 pixels");
    for (int64_t i = 0; i < count; i++) {
        int64_t col = i / c % w, row = i / c / w % h, base = i / (c * w * h) * (c * w * h) + i % c;
        double dy = 0, dx = 0;
        for (int64_t k = -1; k <= 1; k++)
            for (int64_t side = -1; side <= 1; side += 2) {
                int64_t v = mirror(row + side, h) * w + mirror(col + k, w);
                int64_t u = mirror(row + k, h) * w + mirror(col + side, w);
                dy += (double)side * weight[k + 1] * (double)data[base + v * c];
                dx += (double)side * weight[k + 1] * (double)data[base + u * c];
            }
        to[2 * i] = (float)dy;
        to[2 * i + 1] = (float)dx;
    }
    return 0;
}

const kp_kernel_def kp_kernel_sobel = {"sobel", infer_sobel, run_sobel};

/* ---- similarity ---- */

static int infer_ssim(const kp_node *n, kp_value *out, int64_t *next_symbol)
{
    const kp_ssim_params *p = n->attr.kernel.params;
    const kp_value *a, *b;
    (void)next_symbol;
    KP_TRY(check_image(n, 0, &a));
    KP_TRY(check_image(n, 1, &b));
    for (int i = 0; i < 4; i++)
        if (!kp_ops_same_size(a->shape[i], b->shape[i]))
            return kp_node_fail(n, KP_ESHAPE, "the two images differ along axis %d", i);
    if (p->size < 1 || p->size > 1024)
        return kp_node_fail(n, KP_EINVAL, "a window of %lld pixels", (long long)p->size);
    kp_ops_shape(out, a->dtype, 1, a->shape);
    return 0;
}

/* Of one window: means, variances and covariance under the weights, and from them the similarity.
 */
static double window_ssim(const kp_ssim_params *p, const double *weight, const float *a,
                          const float *b, int64_t row, int64_t c)
{
    double ma = 0, mb = 0, aa = 0, bb = 0, ab = 0;
    for (int64_t y = 0; y < p->size; y++)
        for (int64_t x = 0; x < p->size; x++) {
            double k = weight[y] * weight[x];
            double u = (double)a[y * row + x * c], v = (double)b[y * row + x * c];
            ma += k * u, mb += k * v, aa += k * u * u, bb += k * v * v, ab += k * u * v;
        }
    double c1 = p->k1 * p->max_value * p->k1 * p->max_value;
    double c2 = p->k2 * p->max_value * p->k2 * p->max_value;
    return (2 * ma * mb + c1) * (2 * (ab - ma * mb) + c2) /
           ((ma * ma + mb * mb + c1) * (aa - ma * ma + bb - mb * mb + c2));
}

static int run_ssim(const void *params, const kp_tensor *in, int n_in, kp_tensor *out)
{
    const kp_ssim_params *p = params;
    int64_t h = in[0].shape[1], w = in[0].shape[2], c = in[0].shape[3], size = h * w * c;
    int64_t rows = h - p->size + 1, columns = w - p->size + 1;
    double *weight = kp_ops_scratch(p->size, sizeof *weight), total = 0;
    (void)n_in;
    if (weight == NULL)
        return KP_ENOMEM;
    for (int64_t i = 0; i < p->size; i++) {
        double x = (double)i - (double)(p->size - 1) / 2;
        weight[i] = exp(-x * x / (2 * p->sigma * p->sigma));
        total += weight[i];
    }
    for (int64_t i = 0; i < p->size; i++)
        weight[i] /= total;
    for (int64_t n = 0; n < out->shape[0]; n++) {
        const float *a = (const float *)in[0].data + n * size;
        const float *b = (const float *)in[1].data + n * size;
        double sum = 0;
        for (int64_t y = 0; y < rows; y++)
            for (int64_t i = 0; i < columns * c; i++)
                sum += window_ssim(p, weight, a + y * w * c + i, b + y * w * c + i, w * c, c);
        kp_tensor_put(out, n, sum / ((double)rows * (double)columns * (double)c));
    }
    free(weight);
    return 0;
}

const kp_kernel_def kp_kernel_ssim = {"ssim", infer_ssim, run_ssim};

/* ---- contrast of whole channels ---- */

static int infer_contrast(const kp_node *n, kp_value *out, int64_t *next_symbol)
{
    const kp_value *x;
    (void)next_symbol;
    KP_TRY(check_image(n, 0, &x));
    kp_ops_shape(out, x->dtype, 4, x->shape);
    return 0;
}

/* Keras' change of range, in float32 as there. */
static float ranged(float v, float from_low, float from_high, float to_low, float to_high)
{
    if (from_low == to_low && from_high == to_high)
        return v;
    return (v - from_low) / (from_high - from_low) * (to_high - to_low) + to_low;
}

static int run_contrast(const void *params, const kp_tensor *in, int n_in, kp_tensor *out)
{
    const kp_contrast_params *p = params;
    const kp_tensor *t = &in[0];
    int64_t pixels = t->shape[1] * t->shape[2], c = t->shape[3];
    (void)n_in;
    for (int64_t k = 0; k < t->shape[0] * c; k++) {
        const float *x = (const float *)t->data + k / c * pixels * c + k % c;
        float *y = (float *)out->data + k / c * pixels * c + k % c, low = INFINITY,
              high = -INFINITY;
        for (int64_t i = 0; i < pixels; i++) {
            float v = ranged(x[i * c], p->low, p->high, 0, 255);
            low = v < low ? v : low;
            high = v > high ? v : high;
        }
        float scale = 255.0f / (high - low), offset = -low * scale;
        for (int64_t i = 0; i < pixels; i++) {
            float v = ranged(x[i * c], p->low, p->high, 0, 255) * scale + offset;
            v = ranged(v < 0 ? 0 : v > 255 ? 255 : v, 0, 255, p->low, p->high);
            y[i * c] = isnan(v) ? x[i * c] : v;
        }
    }
    return 0;
}

const kp_kernel_def kp_kernel_auto_contrast = {"auto_contrast", infer_contrast, run_contrast};

/* ---- contrast of tiles ---- */

enum { BINS = 256 };

typedef struct tiles {
    const kp_clahe_params *p;
    int64_t h, w, c, tile_h, tile_w;
    double *map; /* grid x grid x BINS of one channel: what each grey becomes */
} tiles;

static int grey(const tiles *t, const float *x, int64_t row, int64_t col)
{
    /* Beyond the edge the image goes on as in a mirror on the edge itself. */
    row = row >= t->h ? 2 * t->h - 1 - row : row;
    col = col >= t->w ? 2 * t->w - 1 - col : col;
    float v = ranged(x[(row * t->w + col) * t->c], t->p->low, t->p->high, 0, 255);
    return v > 0 ? v < 255 ? (int)v : 255 : 0;
}

static void tile_map(const tiles *t, const float *x, int64_t gy, int64_t gx, double *map)
{
    double pixels = (double)(t->tile_h * t->tile_w), excess = 0, sum = 0;
    double limit = (double)(float)(t->p->clip_limit * pixels / BINS);
    memset(map, 0, BINS * sizeof *map);
    for (int64_t i = 0; i < t->tile_h * t->tile_w; i++)
        map[grey(t, x, gy * t->tile_h + i / t->tile_w, gx * t->tile_w + i % t->tile_w)]++;
    for (int i = 0; t->p->clip_limit > 0 && i < BINS; i++) {
        excess += map[i] > limit ? map[i] - limit : 0;
        map[i] = map[i] > limit ? limit : map[i];
    }
    for (int i = 0; i < BINS; i++) {
        sum += map[i] + excess / BINS;
        map[i] = sum;
    }
    double first = map[0], rest = pixels - first;
    for (int i = 0; i < BINS; i++) {
        double v = (map[i] - first) * 255 / (rest == 0 ? 1 : rest);
        map[i] = v < 0 ? 0 : v > 255 ? 255 : v;
    }
}

/* The tile (with one ring of copies around the grid) before a pixel, and how far to the next. */
static int64_t place(int64_t at, int64_t tile, int64_t grid, double *part)
{
    double v = ((double)at - (double)tile / 2) / (double)tile + 1, low = floor(v);
    *part = v - low;
    int64_t g = (int64_t)low - 1;
    return g < 0 ? -1 : g >= grid ? grid : g;
}

static const double *map_at(const tiles *t, int64_t gy, int64_t gx)
{
    int64_t y = gy < 0 ? 0 : gy >= t->p->grid[0] ? t->p->grid[0] - 1 : gy;
    int64_t x = gx < 0 ? 0 : gx >= t->p->grid[1] ? t->p->grid[1] - 1 : gx;
    return t->map + (y * t->p->grid[1] + x) * BINS;
}

static void clahe_channel(const tiles *t, const float *x, float *y)
{
    for (int64_t g = 0; g < t->p->grid[0] * t->p->grid[1]; g++)
        tile_map(t, x, g / t->p->grid[1], g % t->p->grid[1], t->map + g * BINS);
    for (int64_t i = 0; i < t->h * t->w; i++) {
        double wy, wx;
        int v = grey(t, x, i / t->w, i % t->w);
        int64_t gy = place(i / t->w, t->tile_h, t->p->grid[0], &wy);
        int64_t gx = place(i % t->w, t->tile_w, t->p->grid[1], &wx);
        double top = map_at(t, gy, gx)[v] * (1 - wx) + map_at(t, gy, gx + 1)[v] * wx;
        double bottom = map_at(t, gy + 1, gx)[v] * (1 - wx) + map_at(t, gy + 1, gx + 1)[v] * wx;
        y[i * t->c] = ranged((float)(top * (1 - wy) + bottom * wy), 0, 255, t->p->low, t->p->high);
    }
}

static int infer_clahe(const kp_node *n, kp_value *out, int64_t *next_symbol)
{
    const kp_clahe_params *p = n->attr.kernel.params;
    KP_TRY(infer_contrast(n, out, next_symbol));
    for (int i = 0; i < 2; i++)
        if (p->grid[i] < 1 || p->grid[i] > 4096)
            return kp_node_fail(n, KP_EINVAL, "%lld tiles", (long long)p->grid[i]);
    return 0;
}

static int run_clahe(const void *params, const kp_tensor *in, int n_in, kp_tensor *out)
{
    const kp_clahe_params *p = params;
    tiles t = {p, in[0].shape[1], in[0].shape[2], in[0].shape[3], 0, 0, NULL};
    int64_t size = t.h * t.w * t.c;
    (void)n_in;
    t.tile_h = (t.h + p->grid[0] - 1) / p->grid[0];
    t.tile_w = (t.w + p->grid[1] - 1) / p->grid[1];
    if (t.tile_h * p->grid[0] > 2 * t.h || t.tile_w * p->grid[1] > 2 * t.w)
        return kp_fail(KP_ESHAPE, "images of %lld x %lld pixels are too small for the tiles",
                       (long long)t.h, (long long)t.w);
    t.map = kp_ops_scratch(p->grid[0] * p->grid[1] * BINS, sizeof *t.map);
    if (t.map == NULL)
        return KP_ENOMEM;
    for (int64_t k = 0; k < out->shape[0] * t.c; k++) {
        int64_t at = k / t.c * size + k % t.c;
        clahe_channel(&t, (const float *)in[0].data + at, (float *)out->data + at);
    }
    free(t.map);
    return 0;
}

const kp_kernel_def kp_kernel_clahe = {"clahe", infer_clahe, run_clahe};
