/* Windows of images as rows of numbers, and back. */
#include "ops/kernel.h"

/* ---- geometry ---- */

/* Places along one axis of `size` cells, and the cells in front of the first. */
static int64_t places(const kp_patches *p, int axis, int64_t size, int64_t *before)
{
    int64_t extent = (p->size[axis] - 1) * p->dilation[axis] + 1, s = p->stride[axis];
    if (p->same) {
        int64_t n = (size + s - 1) / s, missing = (n - 1) * s + extent - size;
        *before = missing > 0 ? missing / 2 : 0;
        return n;
    }
    *before = p->pad[axis];
    int64_t room = size + 2 * p->pad[axis] - extent;
    return room < 0 ? 0 : room / s + 1;
}

static int check(const kp_node *n, const kp_patches *p)
{
    for (int i = 0; i < p->n; i++) {
        bool sizes = p->size[i] >= 1 && p->stride[i] >= 1 && p->dilation[i] >= 1 && p->pad[i] >= 0;
        if (!sizes || p->size[i] > INT32_MAX || p->stride[i] > INT32_MAX ||
            p->dilation[i] > INT32_MAX || p->pad[i] > INT32_MAX ||
            p->size[i] > INT32_MAX / p->dilation[i])
            return kp_node_fail(n, KP_EINVAL, "windows of %lld cells in steps of %lld",
                                (long long)p->size[i], (long long)p->stride[i]);
    }
    return 0;
}

/* Cells of a window times channels; false when there are too many. */
static bool row_length(const kp_patches *p, int64_t channels, int64_t *out)
{
    *out = channels;
    for (int i = 0; i < p->n; i++)
        if (__builtin_mul_overflow(*out, p->size[i], out))
            return false;
    return true;
}

static int infer_patches(const kp_node *n, kp_value *out, int64_t *next_symbol)
{
    const kp_patches *p = n->attr.kernel.params;
    const kp_value *x;
    int64_t before;
    KP_TRY(kp_ops_input(n, 0, p->n + 1, &x));
    KP_TRY(kp_ops_not_batch(n, x, p->n + 1));
    KP_TRY(check(n, p));
    kp_ops_shape(out, x->dtype, x->ndim, x->shape);
    int first = x->ndim - 1 - p->n;
    for (int i = 0; i < p->n; i++) {
        int64_t size = x->shape[first + i];
        out->shape[first + i] = size < 0 ? (*next_symbol)-- : places(p, i, size, &before);
    }
    int64_t channels = x->shape[x->ndim - 1];
    if (channels < 0 || !row_length(p, channels, &out->shape[x->ndim - 1]))
        return kp_node_fail(n, KP_ESHAPE, "windows need a known number of channels");
    return 0;
}

/* Walks over the cells of all windows of one image: f(cell's index, row's index) for those inside.
 */
typedef struct window_walk {
    const kp_patches *p;
    int64_t cells[KP_MAX_SPATIAL], n_places[KP_MAX_SPATIAL], before[KP_MAX_SPATIAL];
    int64_t n_windows, n_cells; /* places in all, cells of a window */
} window_walk;

static void walk_init(window_walk *w, const kp_patches *p, const int64_t *cells)
{
    *w = (window_walk){.p = p, .n_windows = 1, .n_cells = 1};
    for (int i = 0; i < p->n; i++) {
        w->cells[i] = cells[i];
        w->n_places[i] = places(p, i, cells[i], &w->before[i]);
        w->n_windows *= w->n_places[i];
        w->n_cells *= p->size[i];
    }
}

/* The cell of the image under cell k of window j; -1: outside. */
static int64_t cell_of(const window_walk *w, int64_t j, int64_t k)
{
    int64_t at[KP_MAX_SPATIAL], index = 0;
    for (int i = w->p->n - 1; i >= 0; i--) {
        at[i] = j % w->n_places[i] * w->p->stride[i] - w->before[i] +
                k % w->p->size[i] * w->p->dilation[i];
        if (at[i] < 0 || at[i] >= w->cells[i])
            return -1;
        j /= w->n_places[i];
        k /= w->p->size[i];
    }
    for (int i = 0; i < w->p->n; i++)
        index = index * w->cells[i] + at[i];
    return index;
}

static int run_patches(const void *params, const kp_tensor *in, int n_in, kp_tensor *out)
{
    const kp_patches *p = params;
    const kp_tensor *x = &in[0];
    int first = x->ndim - 1 - p->n;
    int64_t images = kp_ops_product(x, 0, first), pixels = kp_ops_product(x, first, x->ndim - 1);
    size_t run = (size_t)x->shape[x->ndim - 1] * kp_dtype_size(x->dtype);
    window_walk w;
    char *to = out->data;
    (void)n_in;
    walk_init(&w, p, x->shape + first);
    for (int64_t b = 0; b < images; b++)
        for (int64_t j = 0; j < w.n_windows; j++)
            for (int64_t k = 0; k < w.n_cells; k++, to += run) {
                int64_t cell = cell_of(&w, j, k);
                if (cell < 0)
                    memset(to, 0, run);
                else
                    memcpy(to, (const char *)x->data + (size_t)(b * pixels + cell) * run, run);
            }
    return 0;
}

const kp_kernel_def kp_kernel_patches = {"patches", infer_patches, run_patches};

/* ---- back ---- */

static int infer_fold(const kp_node *n, kp_value *out, int64_t *next_symbol)
{
    const kp_patches *p = n->attr.kernel.params;
    const kp_value *x;
    int64_t cells, windows = 1, before;
    (void)next_symbol;
    KP_TRY(kp_ops_input(n, 0, 2, &x));
    KP_TRY(kp_ops_not_batch(n, x, 2));
    KP_TRY(check(n, p));
    if (!row_length(p, 1, &cells) || x->shape[x->ndim - 1] % cells != 0)
        return kp_node_fail(n, KP_ESHAPE, "rows of %lld numbers are not windows of %lld cells",
                            (long long)x->shape[x->ndim - 1], (long long)cells);
    if (x->ndim - 1 + p->n > KP_MAX_DIMS)
        return kp_node_fail(n, KP_ESHAPE, "more than %d axes", KP_MAX_DIMS);
    kp_ops_shape(out, x->dtype, x->ndim - 2, x->shape);
    for (int i = 0; i < p->n; i++) {
        if (p->output[i] < 1 || p->output[i] > INT32_MAX ||
            __builtin_mul_overflow(windows, places(p, i, p->output[i], &before), &windows))
            return kp_node_fail(n, KP_EINVAL, "an image of %lld cells", (long long)p->output[i]);
        out->shape[out->ndim++] = p->output[i];
    }
    if (x->shape[x->ndim - 2] != windows)
        return kp_node_fail(n, KP_ESHAPE, "%lld rows for %lld windows",
                            (long long)x->shape[x->ndim - 2], (long long)windows);
    out->shape[out->ndim++] = x->shape[x->ndim - 1] / cells;
    return 0;
}

static int run_fold(const void *params, const kp_tensor *in, int n_in, kp_tensor *out)
{
    const kp_patches *p = params;
    const kp_tensor *x = &in[0];
    int first = out->ndim - 1 - p->n;
    int64_t images = kp_ops_product(out, 0, first), channels = out->shape[out->ndim - 1];
    int64_t size = kp_ops_product(out, first, out->ndim), from = 0;
    double *sum = kp_ops_scratch(size, sizeof *sum);
    window_walk w;
    (void)n_in;
    if (sum == NULL)
        return KP_ENOMEM;
    walk_init(&w, p, out->shape + first);
    for (int64_t b = 0; b < images; b++) {
        memset(sum, 0, (size_t)size * sizeof *sum);
        for (int64_t j = 0; j < w.n_windows; j++)
            for (int64_t k = 0; k < w.n_cells; k++, from += channels) {
                int64_t cell = cell_of(&w, j, k);
                for (int64_t c = 0; cell >= 0 && c < channels; c++)
                    sum[cell * channels + c] += kp_tensor_get(x, from + c);
            }
        kp_ops_store(out, b * size, 1, size, sum);
    }
    free(sum);
    return 0;
}

const kp_kernel_def kp_kernel_fold = {"fold", infer_fold, run_fold};

/* ---- blocks ---- */

static int infer_blocks(const kp_node *n, kp_value *out, int64_t *next_symbol)
{
    const kp_blocks *p = n->attr.kernel.params;
    const kp_value *x;
    int64_t b = p->block;
    KP_TRY(kp_ops_input(n, 0, 4, &x));
    if (x->ndim != 4 || b < 1 || b > 1 << 15 || x->shape[3] < 0)
        return kp_node_fail(n, KP_EINVAL, "blocks of %lld cells in an input of %d axes",
                            (long long)b, x->ndim);
    kp_ops_shape(out, x->dtype, 4, x->shape);
    for (int i = 1; i < 3; i++)
        if (x->shape[i] < 0)
            out->shape[i] = (*next_symbol)--;
        else if (p->to_depth && x->shape[i] % b != 0)
            return kp_node_fail(n, KP_ESHAPE, "%lld cells are not blocks of %lld",
                                (long long)x->shape[i], (long long)b);
        else
            out->shape[i] = p->to_depth ? x->shape[i] / b : x->shape[i] * b;
    if (!p->to_depth && x->shape[3] % (b * b) != 0)
        return kp_node_fail(n, KP_ESHAPE, "%lld channels are not blocks of %lld x %lld",
                            (long long)x->shape[3], (long long)b, (long long)b);
    out->shape[3] = p->to_depth ? x->shape[3] * b * b : x->shape[3] / (b * b);
    return 0;
}

/* Of both directions: `deep` (N, H, W, b*b*C) and `wide` (N, H*b, W*b, C) hold the same runs. */
static int run_blocks(const void *params, const kp_tensor *in, int n_in, kp_tensor *out)
{
    const kp_blocks *p = params;
    const kp_tensor *deep = p->to_depth ? out : &in[0], *wide = p->to_depth ? &in[0] : out;
    int64_t b = p->block, h = deep->shape[1], w = deep->shape[2];
    size_t run = (size_t)wide->shape[3] * kp_dtype_size(out->dtype), at = 0;
    (void)n_in;
    if (wide->shape[1] != h * b || wide->shape[2] != w * b)
        return kp_fail(KP_ESHAPE, "the cells are not blocks of %lld", (long long)b);
    for (int64_t n = 0; n < deep->shape[0]; n++)
        for (int64_t y = 0; y < h; y++)
            for (int64_t x = 0; x < w; x++)
                for (int64_t k = 0; k < b * b; k++, at += run) {
                    int64_t row = (n * h + y) * b + k / b, other = row * w * b + x * b + k % b;
                    char *d = (char *)deep->data + at,
                         *s = (char *)wide->data + (size_t)other * run;
                    memcpy(p->to_depth ? d : s, p->to_depth ? s : d, run);
                }
    return 0;
}

const kp_kernel_def kp_kernel_blocks = {"blocks", infer_blocks, run_blocks};
