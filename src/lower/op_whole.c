/* keras.ops of which every form looks at all rows: sizes, diagonals, correlations, partitions,
 * counts and errors of the whole batch. */
#include "lower/build.h"

/* Longer constants and matrices would be an attack on memory. */
enum { SIDE_MAX = 1 << 14, BINS_MAX = 1 << 22 };

static int no_batch(const kp_lw_call *c, const kp_value *x)
{
    return x->ndim > 0 && x->shape[0] == KP_DIM_BATCH
               ? kp_lw_rows_refused(c, "works across the rows of the batch")
               : 0;
}

static int all_axes(kp_lw *w, const kp_lw_call *c, kp_reduce_kind kind, kp_value *x, kp_value **out)
{
    kp_axes axes = {0};
    KP_TRY(no_batch(c, x));
    for (; axes.n < x->ndim; axes.n++)
        axes.axis[axes.n] = axes.n;
    return kp_lw_reduce(w, kind, &axes, false, x, out);
}

static int do_size(kp_lw *w, const kp_lw_call *c, kp_value **out)
{
    int64_t n = 1, size;
    KP_TRY(no_batch(c, c->in[0]));
    for (int i = 0; i < c->in[0]->ndim; i++) {
        KP_TRY(kp_lw_known(c->in[0], i, &size));
        n *= size;
    }
    return kp_lw_scalar(w, KP_INT32, (double)n, out);
}

/* ---- diagonals ---- */

static int spread(kp_lw *w, const kp_lw_call *c, int64_t k, kp_value *x, kp_value **out)
{
    kp_diag *p = kp_arena_alloc(w->mem, sizeof *p);
    if (!p)
        return KP_ENOMEM;
    p->k = k;
    if (x->shape[0] > SIDE_MAX || k > SIDE_MAX || k < -SIDE_MAX)
        return kp_fail(KP_ELIMIT, "layer \"%s\" (%s): a matrix of more than %d rows",
                       c->layer->path, c->layer->class_name, 2 * SIDE_MAX);
    return kp_lw_kernel(w, &kp_kernel_diag, p, &x, 1, out);
}

static int pick(kp_lw *w, int64_t k, kp_value *x, kp_value **out)
{
    int64_t *offset = kp_arena_alloc(w->mem, sizeof *offset);
    if (!offset)
        return KP_ENOMEM;
    *offset = k;
    return kp_lw_kernel(w, &kp_kernel_diagonal, offset, &x, 1, out);
}

static int do_diag(kp_lw *w, const kp_lw_call *c, kp_value **out)
{
    kp_value *x = c->in[0];
    int64_t k;
    KP_TRY(kp_cfg_int(c->layer, "k", 0, &k));
    KP_TRY(no_batch(c, x));
    if (x->ndim == 1)
        return spread(w, c, k, x, out);
    KP_TRY(kp_lw_rank(c, 2));
    return pick(w, k, x, out);
}

static int do_diagflat(kp_lw *w, const kp_lw_call *c, kp_value **out)
{
    kp_value *x = c->in[0];
    int64_t k;
    KP_TRY(kp_cfg_int(c->layer, "k", 0, &k));
    KP_TRY(no_batch(c, x));
    KP_TRY(kp_lw_reshape(w, 0, (int64_t[]){-1}, 1, x, &x));
    return spread(w, c, k, x, out);
}

/* ---- correlations ---- */

/* x over y's elements as a column times those as a row. */
static int over_outer(kp_lw *w, kp_value *x, kp_value *y, kp_value **out)
{
    kp_value *column, *row;
    KP_TRY(kp_lw_reshape(w, 0, (int64_t[]){-1, 1}, 2, y, &column));
    KP_TRY(kp_lw_reshape(w, 0, (int64_t[]){1, -1}, 2, y, &row));
    KP_TRY(kp_lw_pair(w, KP_BIN_MUL, column, row, &y));
    return kp_lw_pair(w, KP_BIN_DIV, x, y, out);
}

static int do_corrcoef(kp_lw *w, const kp_lw_call *c, kp_value **out)
{
    static const kp_axes last = {1, {1}};
    kp_value *x = c->in[0], *v, *limit;
    int64_t n;
    KP_TRY(no_batch(c, x));
    KP_TRY(kp_lw_rank(c, 2));
    KP_TRY(kp_lw_known(x, 1, &n));
    if (!kp_dtype_is_float(x->dtype))
        KP_TRY(kp_lw_cast(w, KP_FLOAT32, x, &x));
    KP_TRY(kp_lw_reduce(w, KP_RED_MEAN, &last, true, x, &v));
    KP_TRY(kp_lw_pair(w, KP_BIN_SUB, x, v, &x));
    KP_TRY(kp_lw_transpose(w, (int[]){1, 0}, x, &v));
    kp_node product = {.op = KP_OP_MATMUL};
    KP_TRY(kp_lw_add(w, &product, (kp_value *[]){x, v}, 2, &x));
    KP_TRY(kp_lw_scalar(w, x->dtype, (double)(n - 1), &v));
    KP_TRY(kp_lw_pair(w, KP_BIN_DIV, x, v, &x));
    KP_TRY(pick(w, 0, x, &v));
    KP_TRY(kp_lw_unary(w, (kp_act){.kind = KP_ACT_SQRT}, v, &v));
    KP_TRY(over_outer(w, x, v, &x));
    KP_TRY(kp_lw_scalar(w, x->dtype, -1, &limit));
    KP_TRY(kp_lw_pair(w, KP_BIN_MAX, x, limit, &x));
    KP_TRY(kp_lw_scalar(w, x->dtype, 1, &limit));
    return kp_lw_pair(w, KP_BIN_MIN, x, limit, out);
}

/* Where the results begin and how many there are, of vectors of n and m elements. Before Keras 3.13
 * as TensorFlow pads a convolution, which differs from NumPy where the numbers are even. */
static void correlate_sizes(bool older, bool full, int64_t n, int64_t m, kp_correlate *p)
{
    int64_t all = n + m - 1;
    p->length = full ? all : older || n > m ? n : m;
    if (older && full)
        p->before = (all - 1) / 2 + (all - n) / 2 - (all - m) / 2;
    else if (older)
        p->before = (m - 1) / 2;
    else
        p->before = m - 1 - (full ? 0 : (all - p->length) / 2);
}

static int do_correlate(kp_lw *w, const kp_lw_call *c, kp_value **out)
{
    kp_correlate *p = kp_arena_alloc(w->mem, sizeof *p);
    kp_value *in[2];
    const char *mode;
    int64_t n, m;
    if (!p)
        return KP_ENOMEM;
    KP_TRY(kp_cfg_str(c->layer, "mode", "valid", &mode));
    KP_TRY(kp_lw_two(w, c, false, &in[0], &in[1]));
    kp_dtype type = in[0]->dtype == KP_INT64          ? KP_FLOAT64
                    : kp_dtype_is_float(in[0]->dtype) ? in[0]->dtype
                                                      : KP_FLOAT32;
    for (int i = 0; i < 2; i++) {
        KP_TRY(no_batch(c, in[i]));
        if (in[i]->ndim != 1)
            return kp_fail(KP_EMODEL, "layer \"%s\" (Correlate): an operand is no vector",
                           c->layer->path);
        KP_TRY(kp_lw_cast(w, type, in[i], &in[i]));
    }
    KP_TRY(kp_lw_known(in[0], 0, &n));
    KP_TRY(kp_lw_known(in[1], 0, &m));
    *p = (kp_correlate){0, n - m + 1};
    if (strcmp(mode, "valid") != 0)
        correlate_sizes(kp_lw_older(w, 3, 13), strcmp(mode, "full") == 0, n, m, p);
    return kp_lw_kernel(w, &kp_kernel_correlate, p, in, 2, out);
}

/* ---- partitions and counts ---- */

static int do_argpartition(kp_lw *w, const kp_lw_call *c, kp_value **out)
{
    kp_argpartition *p = kp_arena_alloc(w->mem, sizeof *p);
    kp_value *x = c->in[0];
    int64_t number = 0;
    int axis = 0, perm[KP_MAX_DIMS];
    if (!p)
        return KP_ENOMEM;
    KP_TRY(kp_cfg_int(c->layer, "kth", 0, &p->k));
    p->k = p->k < 0 ? 0 : p->k;
    KP_TRY(no_batch(c, x));
    if (kp_lw_is_null(c->layer, "axis") && json_object_get(c->layer->config, "axis"))
        KP_TRY(kp_lw_reshape(w, 0, (int64_t[]){-1}, 1, x, &x));
    else
        KP_TRY(kp_cfg_int(c->layer, "axis", -1, &number));
    KP_TRY(kp_lw_axis(c->layer, number, x->ndim, &axis));
    for (int i = 0; i < x->ndim; i++)
        perm[i] = i == axis ? x->ndim - 1 : i == x->ndim - 1 ? axis : i;
    KP_TRY(kp_lw_cast(w, KP_INT32, x, &x));
    KP_TRY(kp_lw_transpose(w, perm, x, &x));
    KP_TRY(kp_lw_kernel(w, &kp_kernel_argpartition, p, &x, 1, &x));
    return kp_lw_transpose(w, perm, x, out);
}

static int do_histogram(kp_lw *w, const kp_lw_call *c, kp_value **out)
{
    kp_histogram *p = kp_arena_alloc(w->mem, sizeof *p);
    kp_value **values;
    double range[2];
    int n = 0;
    (void)out;
    if (!p)
        return KP_ENOMEM;
    KP_TRY(kp_cfg_int(c->layer, "bins", 10, &p->bins));
    KP_TRY(no_batch(c, c->in[0]));
    if (p->bins < 1 || p->bins > BINS_MAX)
        return kp_fail(KP_EMODEL, "layer \"%s\" (Histogram): %lld bins", c->layer->path,
                       (long long)p->bins);
    if (!kp_lw_is_null(c->layer, "range"))
        KP_TRY(kp_lw_numbers(c->layer, "range", 2, range, &n));
    if (n == 2)
        *p = (kp_histogram){p->bins, true, range[0], range[1]};
    KP_TRY(kp_lw_outputs(w, c, 2, &values));
    KP_TRY(kp_lw_kernel(w, &kp_kernel_edges, p, c->in, 1, &values[1]));
    return kp_lw_kernel(w, &kp_kernel_histogram, p, (kp_value *[]){c->in[0], values[1]}, 2,
                        &values[0]);
}

static int unique(kp_lw *w, const kp_unique *like, kp_unique_kind kind, kp_value *x, kp_value **out)
{
    kp_unique *p = kp_arena_alloc(w->mem, sizeof *p);
    if (!p)
        return KP_ENOMEM;
    *p = *like;
    p->kind = kind;
    return kp_lw_kernel(w, &kp_kernel_unique, p, &x, 1, out);
}

/* Their number is known when the call names one. */
static int do_unique(kp_lw *w, const kp_lw_call *c, kp_value **out)
{
    static const char *const keys[] = {"return_index", "return_inverse", "return_counts"};
    static const kp_unique_kind kinds[] = {KP_UNIQUE_PLACES, KP_UNIQUE_INVERSE, KP_UNIQUE_COUNTS};
    kp_unique p = {0};
    kp_value *x = c->in[0], **values;
    bool more[3];
    int n = 1;
    (void)out;
    KP_TRY(kp_cfg_bool(c->layer, "sorted", true, &p.sorted));
    KP_TRY(kp_cfg_int(c->layer, "size", -1, &p.size));
    if (!kp_lw_is_null(c->layer, "fill_value"))
        KP_TRY(kp_cfg_float(c->layer, "fill_value", 0, &p.fill));
    if (p.size < 0 || p.size > BINS_MAX)
        return kp_lw_rows_refused(c, "has as many results as the data say (no size)");
    if (!kp_lw_is_null(c->layer, "axis") && x->ndim != 1)
        return kp_fail(KP_EMODEL,
                       "layer \"%s\" (Unique): parts of an array that differ along an axis",
                       c->layer->path);
    KP_TRY(no_batch(c, x));
    for (int i = 0; i < 3; i++) {
        KP_TRY(kp_cfg_bool(c->layer, keys[i], false, &more[i]));
        n += more[i];
    }
    KP_TRY(kp_lw_outputs(w, c, n, &values));
    KP_TRY(unique(w, &p, KP_UNIQUE_VALUES, x, values++));
    for (int i = 0; i < 3; i++)
        if (more[i])
            KP_TRY(unique(w, &p, kinds[i], x, values++));
    return 0;
}

/* ---- comparisons ---- */

/* |x - y| <= atol + rtol * |y| where both are finite, or equal; of the whole arrays. */
static int do_allclose(kp_lw *w, const kp_lw_call *c, kp_value **out)
{
    kp_value *x, *y, *v, *limit, *close, *both[2];
    double rtol, atol;
    bool equal_nan;
    KP_TRY(kp_cfg_float(c->layer, "rtol", 1e-5, &rtol));
    KP_TRY(kp_cfg_float(c->layer, "atol", 1e-8, &atol));
    KP_TRY(kp_cfg_bool(c->layer, "equal_nan", false, &equal_nan));
    KP_TRY(kp_lw_two(w, c, false, &x, &y));
    KP_TRY(kp_lw_pair(w, KP_BIN_EQUAL, x, y, &close));
    if (!kp_dtype_is_float(x->dtype))
        return all_axes(w, c, KP_RED_ALL, close, out);
    KP_TRY(kp_lw_unary(w, (kp_act){.kind = KP_ACT_ABS}, y, &limit));
    KP_TRY(kp_lw_linear(w, rtol, atol, limit, &limit));
    KP_TRY(kp_lw_pair(w, KP_BIN_SUB, x, y, &v));
    KP_TRY(kp_lw_unary(w, (kp_act){.kind = KP_ACT_ABS}, v, &v));
    KP_TRY(kp_lw_pair(w, KP_BIN_LESS_EQUAL, v, limit, &v));
    for (int i = 0; i < 2; i++) {
        KP_TRY(kp_lw_unary(w, (kp_act){.kind = KP_ACT_IS_FINITE}, i == 0 ? x : y, &both[i]));
        KP_TRY(kp_lw_both(w, v, both[i], &v));
    }
    KP_TRY(kp_lw_either(w, close, v, &close));
    if (equal_nan) {
        KP_TRY(kp_lw_unary(w, (kp_act){.kind = KP_ACT_IS_NAN}, x, &both[0]));
        KP_TRY(kp_lw_unary(w, (kp_act){.kind = KP_ACT_IS_NAN}, y, &both[1]));
        KP_TRY(kp_lw_both(w, both[0], both[1], &v));
        KP_TRY(kp_lw_either(w, close, v, &close));
    }
    return all_axes(w, c, KP_RED_ALL, close, out);
}

/* The base-10 logarithm, scaled. */
static int decibels(kp_lw *w, double scale, kp_value *x, kp_value **out)
{
    KP_TRY(kp_lw_unary(w, (kp_act){.kind = KP_ACT_LOG}, x, &x));
    return kp_lw_linear(w, scale / log(10), 0, x, out);
}

static int do_psnr(kp_lw *w, const kp_lw_call *c, kp_value **out)
{
    kp_value *x, *y, *most;
    double max_val;
    KP_TRY(kp_lw_two(w, c, true, &x, &y));
    KP_TRY(kp_cfg_float(c->layer, "max_val", 1, &max_val));
    KP_TRY(kp_lw_scalar(w, x->dtype, max_val, &most));
    KP_TRY(kp_lw_pair(w, KP_BIN_SUB, x, y, &x));
    KP_TRY(kp_lw_unary(w, (kp_act){.kind = KP_ACT_SQUARE}, x, &x));
    KP_TRY(all_axes(w, c, KP_RED_MEAN, x, &x));
    KP_TRY(decibels(w, 10, x, &x));
    KP_TRY(decibels(w, 20, most, &most));
    return kp_lw_pair(w, KP_BIN_SUB, most, x, out);
}

#define ONE_INPUT KP_LW_ONE, KP_LW_MASK_DROP
#define TWO       1, 2, KP_LW_SAME, KP_LW_MASK_DROP

const kp_lw_entry kp_lw_whole_operations[] = {
    {"Size", do_size, 0, ONE_INPUT},
    {"Diag", do_diag, 0, ONE_INPUT},
    {"Diagflat", do_diagflat, 0, ONE_INPUT},
    {"Corrcoef", do_corrcoef, 0, ONE_INPUT},
    {"Correlate", do_correlate, 0, TWO},
    {"Argpartition", do_argpartition, 0, ONE_INPUT},
    {"Histogram", do_histogram, 0, KP_LW_ONE, KP_LW_MASK_OWN},
    {"Unique", do_unique, 0, KP_LW_ONE, KP_LW_MASK_OWN},
    {"AllClose", do_allclose, 0, TWO},
    {"PSNR", do_psnr, 0, TWO},
    {0},
};
