/* keras.ops that make sequences and grids out of tensors. */
#include "lower/build.h"

/* Longer constants would be an attack on memory. */
enum { LENGTH_MAX = 1 << 22 };

/* ---- sequences between two operands ---- */

/* What linspace and its kin are asked for. */
typedef struct range {
    int64_t num;
    bool endpoint;
    int axis;
    kp_dtype type; /* of the result */
    kp_value *start, *stop;
} range;

static int read_range(kp_lw *w, const kp_lw_call *c, bool log_first, range *r)
{
    kp_lw_operand start, stop;
    const char *name;
    KP_TRY(kp_cfg_int(c->layer, "num", 50, &r->num));
    KP_TRY(kp_cfg_bool(c->layer, "endpoint", true, &r->endpoint));
    KP_TRY(kp_lw_operand_of(w, c, kp_lw_arg(c, 0, "start"), &start));
    KP_TRY(kp_lw_operand_of(w, c, kp_lw_arg(c, 1, "stop"), &stop));
    KP_TRY(kp_lw_result_type((int[]){start.type, stop.type, KP_LW_WEAK_FLOAT}, 3, &r->type));
    if (log_first)
        r->type = KP_FLOAT32;
    KP_TRY(kp_cfg_str(c->layer, "dtype", kp_dtype_name(r->type), &name));
    r->type = kp_dtype_from_name(name);
    if (r->num < 1 || r->num > LENGTH_MAX || kp_dtype_size(r->type) == 0)
        return kp_fail(KP_EMODEL, "layer \"%s\": %lld numbers of type %s", c->layer->path,
                       (long long)r->num, name);
    KP_TRY(kp_lw_operand_as(w, &start, r->type, &r->start));
    return kp_lw_operand_as(w, &stop, r->type, &r->stop);
}

/* start and stop with the new axis. */
static int place_axis(kp_lw *w, const kp_lw_call *c, range *r)
{
    kp_value **both[2] = {&r->start, &r->stop};
    int rank = r->start->ndim > r->stop->ndim ? r->start->ndim : r->stop->ndim;
    int64_t number;
    KP_TRY(kp_cfg_int(c->layer, "axis", 0, &number));
    KP_TRY(kp_lw_axis(c->layer, number, rank + 1, &r->axis));
    if (rank >= KP_MAX_DIMS)
        return kp_fail(KP_EMODEL, "layer \"%s\": more than %d axes", c->layer->path, KP_MAX_DIMS);
    for (int k = 0; k < 2; k++) {
        bool batch = (*both[k])->ndim > 0 && (*both[k])->shape[0] == KP_DIM_BATCH;
        if (batch && ((*both[k])->ndim < rank || r->axis == 0))
            return kp_lw_rows_refused(c, "puts an axis before the batch");
        while ((*both[k])->ndim < rank)
            KP_TRY(kp_lw_add_axis(w, 0, *both[k], both[k]));
        KP_TRY(kp_lw_add_axis(w, r->axis, *both[k], both[k]));
    }
    return 0;
}

/* 0, 1, ..., num - 1 along the axis, with axes of size 1 behind it. */
static int counter(kp_lw *w, const range *r, kp_dtype type, kp_value **out)
{
    int behind = r->start->ndim - r->axis;
    int64_t shape[KP_MAX_DIMS];
    double *data = kp_graph_alloc(w->g, (size_t)r->num * sizeof *data);
    if (!data)
        return KP_ENOMEM;
    for (int64_t i = 0; i < r->num; i++)
        data[i] = (double)i;
    for (int i = 0; i < behind; i++)
        shape[i] = i == 0 ? r->num : 1;
    KP_TRY(kp_graph_add_const(w->g, w->name, KP_FLOAT64, shape, behind, data, out));
    return kp_lw_cast(w, type, *out, out);
}

/* (stop - start) / n. */
static int step_of(kp_lw *w, kp_value *start, kp_value *stop, int64_t n, kp_value **out)
{
    kp_value *divisor;
    KP_TRY(kp_lw_pair(w, KP_BIN_SUB, stop, start, out));
    KP_TRY(kp_lw_scalar(w, start->dtype, (double)n, &divisor));
    return kp_lw_pair(w, KP_BIN_DIV, *out, divisor, out);
}

/* start + delta * i; the last one is stop itself, which without endpoint comes a step earlier. */
static int fill_range(kp_lw *w, range *r, kp_value **out)
{
    kp_dtype type = kp_dtype_is_float(r->type) ? r->type : KP_FLOAT64;
    kp_value *i, *v, *last, *is_last, *start, *stop, *delta;
    KP_TRY(kp_lw_cast(w, type, r->start, &start));
    KP_TRY(kp_lw_cast(w, type, r->stop, &stop));
    if (!r->endpoint && r->num > 1) {
        KP_TRY(step_of(w, start, stop, r->num, &v));
        KP_TRY(kp_lw_pair(w, KP_BIN_SUB, stop, v, &stop));
    }
    KP_TRY(step_of(w, start, stop, r->num > 1 ? r->num - 1 : 1, &delta));
    KP_TRY(counter(w, r, type, &i));
    KP_TRY(kp_lw_pair(w, KP_BIN_MUL, delta, i, &v));
    KP_TRY(kp_lw_pair(w, KP_BIN_ADD, start, v, &v));
    if (r->num > 1) {
        KP_TRY(kp_lw_scalar(w, type, (double)(r->num - 1), &last));
        KP_TRY(kp_lw_pair(w, KP_BIN_EQUAL, i, last, &is_last));
        KP_TRY(kp_lw_select(w, is_last, stop, v, &v));
    }
    if (!kp_dtype_is_float(r->type))
        KP_TRY(kp_lw_unary(w, (kp_act){.kind = KP_ACT_FLOOR}, v, &v));
    return kp_lw_cast(w, r->type, v, out);
}

static int do_linspace(kp_lw *w, const kp_lw_call *c, kp_value **out)
{
    range r = {0};
    KP_TRY(read_range(w, c, false, &r));
    KP_TRY(place_axis(w, c, &r));
    return fill_range(w, &r, out);
}

static int power_of(kp_lw *w, double base, kp_value *x, kp_value **out)
{
    kp_value *b;
    KP_TRY(kp_lw_scalar(w, x->dtype, base, &b));
    return kp_lw_pair(w, KP_BIN_POW, b, x, out);
}

static int do_logspace(kp_lw *w, const kp_lw_call *c, kp_value **out)
{
    range r = {0};
    double base;
    KP_TRY(kp_cfg_float(c->layer, "base", 10, &base));
    KP_TRY(read_range(w, c, false, &r));
    KP_TRY(place_axis(w, c, &r));
    KP_TRY(fill_range(w, &r, out));
    return power_of(w, base, *out, out);
}

/* log10 |x|. */
static int exponent(kp_lw *w, kp_value *x, kp_value **out)
{
    kp_value *ten;
    KP_TRY(kp_lw_scalar(w, x->dtype, 10, &ten));
    KP_TRY(kp_lw_unary(w, (kp_act){.kind = KP_ACT_LOG}, ten, &ten));
    KP_TRY(kp_lw_unary(w, (kp_act){.kind = KP_ACT_ABS}, x, &x));
    KP_TRY(kp_lw_unary(w, (kp_act){.kind = KP_ACT_LOG}, x, &x));
    return kp_lw_pair(w, KP_BIN_DIV, x, ten, out);
}

static int do_geomspace(kp_lw *w, const kp_lw_call *c, kp_value **out)
{
    range r = {0};
    kp_value *sign;
    KP_TRY(read_range(w, c, true, &r));
    KP_TRY(place_axis(w, c, &r));
    KP_TRY(kp_lw_unary(w, (kp_act){.kind = KP_ACT_SIGN}, r.start, &sign));
    KP_TRY(exponent(w, r.start, &r.start));
    KP_TRY(exponent(w, r.stop, &r.stop));
    KP_TRY(fill_range(w, &r, out));
    KP_TRY(power_of(w, 10, *out, out));
    return kp_lw_pair(w, KP_BIN_MUL, *out, sign, out);
}

/* ---- powers ---- */

static int do_vander(kp_lw *w, const kp_lw_call *c, kp_value **out)
{
    kp_value *x = c->in[0], *powers;
    kp_dtype type = kp_dtype_is_float(x->dtype) && x->dtype != KP_FLOAT16 && x->dtype != KP_BFLOAT16
                        ? x->dtype
                        : KP_FLOAT32;
    int64_t n;
    bool increasing;
    if (!kp_lw_is_null(c->layer, "N"))
        KP_TRY(kp_cfg_int(c->layer, "N", 1, &n));
    else if (x->ndim > 0 && x->shape[0] >= 0)
        n = x->shape[0];
    else
        return kp_lw_rows_refused(c, "needs the number of rows of the batch (no N)");
    KP_TRY(kp_cfg_bool(c->layer, "increasing", false, &increasing));
    if (n < 1 || n > LENGTH_MAX)
        return kp_fail(KP_EMODEL, "layer \"%s\": %lld powers", c->layer->path, (long long)n);
    double *data = kp_graph_alloc(w->g, (size_t)n * sizeof *data);
    if (!data)
        return KP_ENOMEM;
    for (int64_t i = 0; i < n; i++)
        data[i] = (double)(increasing ? i : n - 1 - i);
    KP_TRY(kp_graph_add_const(w->g, w->name, KP_FLOAT64, &n, 1, data, &powers));
    KP_TRY(kp_lw_cast(w, type, powers, &powers));
    KP_TRY(kp_lw_cast(w, type, x, &x));
    KP_TRY(kp_lw_add_axis(w, x->ndim, x, &x));
    KP_TRY(kp_lw_pair(w, KP_BIN_POW, x, powers, &x));
    return kp_lw_cast(w, c->in[0]->dtype, x, out);
}

/* ---- grids ---- */

static int do_meshgrid(kp_lw *w, const kp_lw_call *c, kp_value **out)
{
    kp_node n = {.op = KP_OP_BROADCAST};
    int count = c->call->args.n_items;
    const char *indexing;
    kp_value **grids;
    (void)out;
    KP_TRY(kp_cfg_str(c->layer, "indexing", "xy", &indexing));
    if (count < 1 || count > KP_MAX_DIMS)
        return kp_fail(KP_EMODEL, "layer \"%s\": a grid of %d axes", c->layer->path, count);
    KP_TRY(kp_lw_outputs(w, c, count, &grids));
    n.attr.broadcast.ndim = count;
    bool swapped = strcmp(indexing, "xy") == 0 && count > 1;
    for (int i = 0; i < count; i++) {
        int at = swapped && i < 2 ? 1 - i : i;
        int64_t dims[KP_MAX_DIMS];
        KP_TRY(kp_lw_tensor_of(w, c, &c->call->args.items[i], &grids[i]));
        KP_TRY(kp_lw_flat(w, grids[i], &grids[i]));
        bool batch = grids[i]->shape[0] == KP_DIM_BATCH;
        if (batch && at != 0)
            return kp_lw_rows_refused(c, "moves the batch away from the first axis");
        n.attr.broadcast.shape[at] = grids[i]->shape[0];
        for (int k = 0; k < count; k++)
            dims[k] = k == at ? -1 : 1;
        KP_TRY(kp_lw_reshape(w, batch, dims + batch, count - batch, grids[i], &grids[i]));
    }
    for (int i = 0; i < count; i++)
        KP_TRY(kp_lw_add(w, &n, &grids[i], 1, &grids[i]));
    return 0;
}

/* Keras walks the shape backwards for a vector of indices, but forwards for other shapes. */
static int do_unravel_index(kp_lw *w, const kp_lw_call *c, kp_value **out)
{
    double shape[KP_MAX_DIMS];
    kp_value *x = c->in[0], **places, *size;
    int n;
    (void)out;
    KP_TRY(kp_lw_numbers(c->layer, "shape", KP_MAX_DIMS, shape, &n));
    KP_TRY(kp_lw_outputs(w, c, n, &places));
    for (int i = n - 1; i >= 0; i--) {
        KP_TRY(kp_lw_scalar(w, x->dtype, shape[x->ndim == 1 ? i : n - 1 - i], &size));
        KP_TRY(kp_lw_pair(w, KP_BIN_MOD, x, size, &places[i]));
        KP_TRY(kp_lw_pair(w, KP_BIN_FLOOR_DIV, x, size, &x));
    }
    return 0;
}

#define ANY 1, 0, KP_LW_SAME

const kp_lw_entry kp_lw_create_operations[] = {
    {"Linspace", do_linspace, 0, ANY, KP_LW_MASK_DROP},
    {"Logspace", do_logspace, 0, ANY, KP_LW_MASK_DROP},
    {"Geomspace", do_geomspace, 0, ANY, KP_LW_MASK_DROP},
    {"Vander", do_vander, 0, ANY, KP_LW_MASK_DROP},
    {"Meshgrid", do_meshgrid, 0, ANY, KP_LW_MASK_OWN},
    {"UnravelIndex", do_unravel_index, 0, ANY, KP_LW_MASK_OWN},
    {0},
};
