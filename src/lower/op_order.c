/* keras.ops that sort, search, count, run along an axis, or take quantiles. */
#include "lower/build.h"

/* The axis in config["axis"]; null: the first one of *x, which becomes a vector. */
static int own_axis(kp_lw *w, const kp_lw_call *c, int64_t dflt, kp_value **x, int *out)
{
    int64_t number;
    const json_t *v = json_object_get(c->layer->config, "axis");
    if (v ? json_is_null(v) : c->layer->config == NULL) {
        *out = 0;
        return kp_lw_flat(w, *x, x);
    }
    KP_TRY(kp_cfg_int(c->layer, "axis", dflt, &number));
    return kp_lw_axis(c->layer, number, (*x)->ndim, out);
}

/* ---- sorting, searching, counting ---- */

static int do_sort(kp_lw *w, const kp_lw_call *c, kp_value **out)
{
    kp_sort *p = kp_arena_alloc(w->mem, sizeof *p);
    kp_value *x = c->in[0];
    if (!p)
        return KP_ENOMEM;
    KP_TRY(own_axis(w, c, -1, &x, &p->axis));
    p->places = c->variant != 0;
    return kp_lw_kernel(w, &kp_kernel_sort, p, &x, 1, out);
}

static int search(kp_lw *w, bool right, kp_value *limits, kp_value *x, kp_value **out)
{
    kp_search *p = kp_arena_alloc(w->mem, sizeof *p);
    if (!p)
        return KP_ENOMEM;
    p->right = right;
    return kp_lw_kernel(w, &kp_kernel_search, p, (kp_value *[]){limits, x}, 2, out);
}

/* TensorFlow keeps the limits as float32. */
static int do_digitize(kp_lw *w, const kp_lw_call *c, kp_value **out)
{
    kp_value *limits;
    KP_TRY(kp_lw_tensor_of(w, c, kp_lw_arg(c, 1, "bins"), &limits));
    KP_TRY(kp_lw_float(w, limits, &limits));
    return search(w, true, limits, c->in[0], out);
}

static int do_search_sorted(kp_lw *w, const kp_lw_call *c, kp_value **out)
{
    kp_value *limits, *x;
    const char *side;
    KP_TRY(kp_cfg_str(c->layer, "side", "left", &side));
    KP_TRY(kp_lw_tensor_of(w, c, kp_lw_arg(c, 0, "sorted_sequence"), &limits));
    KP_TRY(kp_lw_tensor_of(w, c, kp_lw_arg(c, 1, "values"), &x));
    return search(w, strcmp(side, "right") == 0, limits, x, out);
}

static int do_bincount(kp_lw *w, const kp_lw_call *c, kp_value **out)
{
    kp_bincount *p = kp_arena_alloc(w->mem, sizeof *p);
    kp_value *x = c->in[0];
    if (!p)
        return KP_ENOMEM;
    KP_TRY(kp_cfg_int(c->layer, "minlength", 0, &p->width));
    if (p->width < 1 || !kp_lw_is_null(c->layer, "weights"))
        return kp_lw_rows_refused(c, "counts with a width that depends on all rows (no minlength), "
                                     "or with weights");
    if (!kp_dtype_is_integer(x->dtype))
        KP_TRY(kp_lw_cast(w, KP_INT32, x, &x));
    return kp_lw_kernel(w, &kp_kernel_bincount, p, &x, 1, out);
}

/* ---- along an axis ---- */

/* variant: bit 0 a product, bit 1 NaN counts as 0 (of a product 1). */
static int do_cumulate(kp_lw *w, const kp_lw_call *c, kp_value **out)
{
    kp_cumulate *p = kp_arena_alloc(w->mem, sizeof *p);
    kp_value *x = c->in[0];
    const char *type;
    if (!p)
        return KP_ENOMEM;
    p->product = c->variant & 1;
    KP_TRY(own_axis(w, c, 0, &x, &p->axis));
    if (c->variant & 2)
        KP_TRY(kp_lw_nan_to_num(w, p->product, x, &x));
    KP_TRY(kp_cfg_str(c->layer, "dtype", kp_dtype_name(x->dtype), &type));
    KP_TRY(kp_lw_cast(w, kp_dtype_from_name(type), x, &x));
    if (x->dtype == KP_BOOL)
        KP_TRY(kp_lw_cast(w, KP_INT32, x, &x));
    return kp_lw_kernel(w, &kp_kernel_cumulate, p, &x, 1, out);
}

static int do_diff(kp_lw *w, const kp_lw_call *c, kp_value **out)
{
    kp_value *x = c->in[0], *first, *second;
    int64_t n;
    int axis = 0;
    KP_TRY(kp_cfg_int(c->layer, "n", 1, &n));
    KP_TRY(own_axis(w, c, -1, &x, &axis));
    if (x->shape[axis] == KP_DIM_BATCH)
        return kp_lw_rows_refused(c, "takes differences between rows of the batch");
    if (n < 0 || n > 1000)
        return kp_fail(KP_EMODEL, "layer \"%s\": differences of order %lld", c->layer->path,
                       (long long)n);
    for (int64_t i = 0; i < n; i++) {
        KP_TRY(kp_lw_slice(w, axis, 1, INT64_MAX, 1, x, &second));
        KP_TRY(kp_lw_slice(w, axis, 0, -1, 1, x, &first));
        KP_TRY(
            kp_lw_pair(w, x->dtype == KP_BOOL ? KP_BIN_NOT_EQUAL : KP_BIN_SUB, second, first, &x));
    }
    *out = x;
    return 0;
}

/* The heights between neighbours, averaged, times their distance, added up. */
static int do_trapezoid(kp_lw *w, const kp_lw_call *c, kp_value **out)
{
    kp_value *y = c->in[0], *first, *second, *distance, *half;
    kp_dtype type = kp_dtype_is_float(c->in[0]->dtype) ? c->in[0]->dtype : KP_FLOAT32;
    double dx;
    int axis = 0;
    KP_TRY(own_axis(w, c, -1, &y, &axis));
    KP_TRY(kp_lw_cast(w, type, y, &y));
    KP_TRY(kp_lw_slice(w, axis, 1, INT64_MAX, 1, y, &second));
    KP_TRY(kp_lw_slice(w, axis, 0, -1, 1, y, &first));
    KP_TRY(kp_lw_pair(w, KP_BIN_ADD, second, first, &y));
    KP_TRY(kp_lw_scalar(w, type, 0.5, &half));
    KP_TRY(kp_lw_pair(w, KP_BIN_MUL, half, y, &y));
    if (kp_lw_is_null(c->layer, "x")) {
        KP_TRY(kp_cfg_float(c->layer, "dx", 1, &dx));
        KP_TRY(kp_lw_scalar(w, type, dx, &distance));
    } else {
        KP_TRY(kp_lw_config_array(w, c->layer, "x", type, &distance));
        int own = axis - (y->ndim - distance->ndim);
        if (own < 0)
            return kp_fail(KP_EMODEL, "layer \"%s\": \"x\" lacks axis %d", c->layer->path, axis);
        KP_TRY(kp_lw_slice(w, own, 1, INT64_MAX, 1, distance, &second));
        KP_TRY(kp_lw_slice(w, own, 0, -1, 1, distance, &first));
        KP_TRY(kp_lw_pair(w, KP_BIN_SUB, second, first, &distance));
    }
    KP_TRY(kp_lw_pair(w, KP_BIN_MUL, y, distance, &y));
    return kp_lw_reduce(w, KP_RED_SUM, &(kp_axes){1, {axis}}, false, y, out);
}

/* ---- quantiles ---- */

static int method_of(const kp_lw_call *c, kp_quantile_method *out)
{
    static const char *const names[] = {"linear", "lower", "higher", "nearest", "midpoint"};
    const char *name;
    KP_TRY(kp_cfg_str(c->layer, "method", "linear", &name));
    for (int i = 0; i < 5; i++)
        if (strcmp(name, names[i]) == 0) {
            *out = (kp_quantile_method)i;
            return 0;
        }
    return kp_fail(KP_EMODEL, "layer \"%s\": the method \"%s\" is not known", c->layer->path, name);
}

/* Which quantiles are asked for. */
enum { QUANTILES_MAX = 256 };
typedef struct quantiles {
    double q[QUANTILES_MAX];
    int n;
    bool is_list; /* they get an axis, in front of all others */
} quantiles;

/* Numbers between 0 and 1 as Keras computes them. */
static void as_fraction(double *q, bool exact, bool percent)
{
    if (percent)
        *q = (double)((float)*q / 100.0f);
    else if (!exact)
        *q = (double)(float)*q;
}

/* A number or a vector. */
static int which_quantiles(kp_lw *w, const kp_lw_call *c, bool percent, bool skip_nan,
                           quantiles *out)
{
    const kp_arg *a = kp_lw_arg(c, 1, "q");
    kp_lw_operand o = {0};
    if (!a || a->kind == KP_ARG_REF)
        return kp_fail(KP_EMODEL, "layer \"%s\" (%s): quantiles that the model computes",
                       c->layer->path, c->layer->class_name);
    KP_TRY(kp_lw_operand_of(w, c, a, &o));
    kp_value *v = o.value;
    bool exact = v && v->dtype == KP_FLOAT64 && !percent && !skip_nan;
    out->is_list = v && v->ndim == 1;
    out->n = out->is_list && v->shape[0] <= QUANTILES_MAX ? (int)v->shape[0] : 1;
    if (v && (!v->data || v->ndim > 1 || (out->is_list && v->shape[0] != out->n)))
        return kp_fail(KP_EMODEL, "layer \"%s\" (%s): its quantiles are not a list of at most %d",
                       c->layer->path, c->layer->class_name, QUANTILES_MAX);
    out->q[0] = o.type == KP_LW_WEAK_INT ? (double)o.integer : o.real;
    for (int i = 0; i < out->n; i++) {
        if (v) {
            size_t size = kp_dtype_size(v->dtype);
            KP_TRY(kp_convert(KP_FLOAT64, &out->q[i], v->dtype,
                              (const uint8_t *)v->data + (size_t)i * size, 1));
        }
        as_fraction(&out->q[i], exact, percent);
    }
    return 0;
}

/* One after the other, then side by side on an axis of their own. */
static int each_quantile(kp_lw *w, const kp_lw_call *c, const kp_quantile *like,
                         const quantiles *which, kp_value *x, kp_value **out)
{
    kp_value *all[QUANTILES_MAX];
    for (int i = 0; i < which->n; i++) {
        kp_quantile *p = kp_arena_alloc(w->mem, sizeof *p);
        if (!p)
            return KP_ENOMEM;
        *p = *like;
        p->q = which->q[i];
        KP_TRY(kp_lw_kernel(w, &kp_kernel_quantile, p, &x, 1, &all[i]));
        if (which->is_list && all[i]->ndim > 0 && all[i]->shape[0] == KP_DIM_BATCH)
            return kp_lw_rows_refused(c, "puts an axis of quantiles before the batch");
        if (which->is_list)
            KP_TRY(kp_lw_add_axis(w, 0, all[i], &all[i]));
    }
    return kp_lw_concat(w, c, 0, all, which->n, out);
}

/* variant: bit 0 a percentage, bit 1 NaN is skipped, bit 2 the median. Quantile itself (0) does not
 * hand its method on when it stands in a model: Keras computes it linearly, whatever the file says.
 */
static int do_quantile(kp_lw *w, const kp_lw_call *c, kp_value **out)
{
    kp_value *x = c->in[0];
    kp_quantile p = {.skip_nan = c->variant & 2};
    quantiles which = {.q = {0.5}, .n = 1};
    if (!(c->variant & 4))
        KP_TRY(which_quantiles(w, c, c->variant & 1, p.skip_nan, &which));
    KP_TRY(kp_lw_reduce_axes(c, x, &p.axes));
    KP_TRY(kp_cfg_bool(c->layer, "keepdims", false, &p.keepdims));
    if (c->variant != 0)
        KP_TRY(method_of(c, &p.method));
    KP_TRY(kp_lw_cast(w, kp_dtype_is_float(x->dtype) ? x->dtype : KP_FLOAT32, x, &x));
    if (which.is_list)
        return each_quantile(w, c, &p, &which, x, out);
    kp_quantile *one = kp_arena_alloc(w->mem, sizeof *one);
    if (!one)
        return KP_ENOMEM;
    *one = p;
    one->q = which.q[0];
    return kp_lw_kernel(w, &kp_kernel_quantile, one, &x, 1, out);
}

/* ---- what has no meaning for one row ---- */

static int do_refuse(kp_lw *w, const kp_lw_call *c, kp_value **out)
{
    static const char *const why[] = {
        "has as many results as elements that differ or are not 0",
        "has as many results as the data say",
    };
    (void)w;
    (void)out;
    return kp_lw_rows_refused(c, why[c->variant]);
}

#define ANY 1, 0, KP_LW_SAME, KP_LW_MASK_DROP

const kp_lw_entry kp_lw_order_operations[] = {
    {"Sort", do_sort, 0, ANY},
    {"Argsort", do_sort, 1, ANY},
    {"Digitize", do_digitize, 0, ANY},
    {"SearchSorted", do_search_sorted, 0, ANY},
    {"Bincount", do_bincount, 0, ANY},
    {"Cumsum", do_cumulate, 0, ANY},
    {"Cumprod", do_cumulate, 1, ANY},
    {"Nancumsum", do_cumulate, 2, ANY},
    {"Nancumprod", do_cumulate, 3, ANY},
    {"Diff", do_diff, 0, ANY},
    {"Trapezoid", do_trapezoid, 0, ANY},
    {"Median", do_quantile, 4, ANY},
    {"Nanmedian", do_quantile, 6, ANY},
    {"Quantile", do_quantile, 0, ANY},
    {"Percentile", do_quantile, 1, ANY},
    {"Nanquantile", do_quantile, 2, ANY},
    {"Nanpercentile", do_quantile, 3, ANY},
    {"Nonzero", do_refuse, 0, ANY},
    {"Arange", do_refuse, 1, ANY},
    {0},
};
