/* Operations of keras.ops.core: types, parts of arrays; and those that hold a function. */
#include "lower/build.h"

#include <float.h>

/* ---- types ---- */

static int read_dtype(const kp_layer *l, kp_dtype dflt, kp_dtype *out)
{
    const char *name;
    KP_TRY(kp_cfg_str(l, "dtype", kp_dtype_name(dflt), &name));
    *out = kp_dtype_from_name(name);
    if (*out != KP_DTYPE_NONE && *out != KP_STRING)
        return 0;
    return kp_fail(KP_EMODEL, "layer \"%s\" (%s): type \"%s\" is not supported", l->path,
                   l->class_name, name);
}

static int do_cast(kp_lw *w, const kp_lw_call *c, kp_value **out)
{
    kp_dtype dtype;
    KP_TRY(read_dtype(c->layer, c->in[0]->dtype, &dtype));
    return kp_lw_cast(w, dtype, c->in[0], out);
}

static int do_nothing(kp_lw *w, const kp_lw_call *c, kp_value **out)
{
    (void)w;
    *out = c->in[0];
    return 0;
}

/* The numbers that a type can hold, as doubles. */
static void limits(kp_dtype t, double *low, double *high)
{
    int bits = (int)kp_dtype_size(t) * 8;
    bool is_signed = t == KP_INT8 || t == KP_INT16 || t == KP_INT32 || t == KP_INT64;
    if (kp_dtype_is_float(t)) {
        *high = t == KP_FLOAT16    ? 65504
                : t == KP_BFLOAT16 ? (double)kp_bfloat16_to_float(0x7f7f)
                : t == KP_FLOAT32  ? (double)FLT_MAX
                                   : DBL_MAX;
        *low = -*high;
    } else if (t == KP_BOOL) {
        *low = 0, *high = 1;
    } else {
        *high = ldexp(1, is_signed ? bits - 1 : bits) - 1;
        *low = is_signed ? -ldexp(1, bits - 1) : 0;
    }
}

/* Both operands in x's type: its maximum (minimum) with v, when v can matter at all. */
static int bound(kp_lw *w, kp_binary_kind kind, double v, kp_value *x, kp_value **out)
{
    void *data = kp_graph_alloc(w->g, sizeof(double));
    kp_value *k;
    kp_node n = {.op = KP_OP_BINARY, .attr.binary.kind = kind};
    if (!data)
        return KP_ENOMEM;
    KP_TRY(kp_convert(x->dtype, data, KP_FLOAT64, &v, 1));
    KP_TRY(kp_graph_add_const(w->g, w->name, x->dtype, NULL, 0, data, &k));
    return kp_lw_add(w, &n, (kp_value *[]){x, k}, 2, out);
}

/* A limit that the input's type cannot hold is moved towards 0 until it can: Keras' own rule. */
static double nudge(kp_dtype t, double v)
{
    if (t != KP_FLOAT32 || fabs((double)(float)v) <= fabs(v))
        return v;
    return (double)nextafterf((float)v, 0);
}

int kp_lw_saturate(kp_lw *w, kp_dtype to, kp_value *x, kp_value **out)
{
    kp_dtype from = x->dtype;
    double low, high, in_low, in_high;
    limits(from, &in_low, &in_high);
    limits(to, &low, &high);
    bool is_float = kp_dtype_is_float(from);
    if (from != KP_BOOL && (low > in_low || is_float))
        KP_TRY(bound(w, KP_BIN_MAX, nudge(from, fmax(low, in_low)), x, &x));
    if (from != KP_BOOL && (high < in_high || is_float))
        KP_TRY(bound(w, KP_BIN_MIN, nudge(from, fmin(high, in_high)), x, &x));
    return kp_lw_cast(w, to, x, out);
}

static int do_saturate_cast(kp_lw *w, const kp_lw_call *c, kp_value **out)
{
    kp_dtype to;
    KP_TRY(read_dtype(c->layer, c->in[0]->dtype, &to));
    return kp_lw_saturate(w, to, c->in[0], out);
}

/* ---- parts of arrays ---- */

/* Whole numbers, one an axis, from an argument that is a list. */
static int read_starts(const kp_lw_call *c, const kp_arg *a, const kp_value *x, int64_t *out)
{
    int n = x->ndim;
    const kp_layer *l = c->layer;
    if (!a || a->kind != KP_ARG_LIST || a->n_items != n)
        return kp_fail(KP_EMODEL, "layer \"%s\" (%s): the start must be %d stored numbers", l->path,
                       l->class_name, n);
    for (int i = 0; i < n; i++) {
        double v;
        if (!kp_lw_arg_number(&a->items[i], &v) || v != floor(v) || fabs(v) > INT32_MAX)
            return kp_fail(KP_EMODEL, "layer \"%s\" (%s): the start is not a list of numbers",
                           l->path, l->class_name);
        out[i] = (int64_t)v;
    }
    return n > 0 && out[0] != 0 ? kp_lw_batch_axis(l, x, &(kp_axes){1, {0}}) : 0;
}

/* A size along the batch is that of the batch that the file fixes: then the batch stays whole. */
static int do_slice(kp_lw *w, const kp_lw_call *c, kp_value **out)
{
    const kp_layer *l = c->layer;
    kp_value *x = c->in[0];
    int64_t start[KP_MAX_DIMS] = {0}, shape[KP_MAX_DIMS];
    int n_sizes;
    kp_node n = {.op = KP_OP_SLICE};
    KP_TRY(kp_lw_call_sizes(c, "shape", 2, shape, &n_sizes));
    if (n_sizes != x->ndim)
        return kp_fail(KP_EMODEL, "layer \"%s\" (Slice): \"shape\" is not %d sizes", l->path,
                       x->ndim);
    KP_TRY(read_starts(c, kp_lw_arg(c, 1, "start_indices"), x, start));
    for (int i = 0; i < x->ndim; i++) {
        int64_t size = shape[i];
        bool batch = x->shape[i] == KP_DIM_BATCH, open = batch || size == -1;
        if (batch && size != -1 && size != w->fixed_batch) {
            w->out->named_rows = size > 0 ? size : 0;
            return kp_lw_rows_refused(c, "takes a number of rows");
        }
        if (start[i] < 0 || size < -1 || size > INT32_MAX ||
            (!open && x->shape[i] >= 0 && start[i] + size > x->shape[i]))
            return kp_fail(KP_EMODEL, "layer \"%s\" (Slice): %lld elements from %lld on of axis %d",
                           l->path, (long long)size, (long long)start[i], i);
        n.attr.slice.begin[i] = start[i];
        n.attr.slice.end[i] = open ? INT64_MAX : start[i] + size;
        n.attr.slice.step[i] = 1;
    }
    return kp_lw_add(w, &n, &x, 1, out);
}

static int do_slice_update(kp_lw *w, const kp_lw_call *c, kp_value **out)
{
    kp_slice_update *p = kp_arena_alloc(w->mem, sizeof *p);
    kp_value *in[2];
    if (!p)
        return KP_ENOMEM;
    KP_TRY(kp_lw_tensor_of(w, c, kp_lw_arg(c, 0, "inputs"), &in[0]));
    KP_TRY(kp_lw_tensor_of(w, c, kp_lw_arg(c, 2, "updates"), &in[1]));
    KP_TRY(read_starts(c, kp_lw_arg(c, 1, "start_indices"), in[0], p->start));
    KP_TRY(kp_lw_cast(w, in[0]->dtype, in[1], &in[1]));
    return kp_lw_kernel(w, &kp_kernel_slice_update, p, in, 2, out);
}

static int element(kp_lw *w, int axis, int64_t at, kp_value *x, kp_value **out)
{
    KP_TRY(kp_lw_slice(w, axis, at, at + 1, 1, x, &x));
    return kp_lw_drop_axis(w, axis, x, out);
}

static int do_unstack(kp_lw *w, const kp_lw_call *c, kp_value **out)
{
    int64_t axis, size;
    int a;
    kp_value **values;
    (void)out;
    KP_TRY(kp_cfg_int(c->layer, "axis", 0, &axis));
    KP_TRY(kp_lw_axis(c->layer, axis, c->in[0]->ndim, &a));
    KP_TRY(kp_lw_batch_axis(c->layer, c->in[0], &(kp_axes){1, {a}}));
    KP_TRY(kp_lw_known(c->in[0], a, &size));
    if (size > KP_NODE_INPUTS_MAX)
        return kp_fail(KP_ELIMIT, "layer \"%s\" (Unstack): more than %d outputs", c->layer->path,
                       KP_NODE_INPUTS_MAX);
    KP_TRY(kp_lw_outputs(w, c, (int)size, &values));
    for (int64_t i = 0; i < size; i++)
        KP_TRY(element(w, a, i, c->in[0], &values[i]));
    return 0;
}

/* ---- what has no meaning here ---- */

static int do_function(kp_lw *w, const kp_lw_call *c, kp_value **out)
{
    (void)w;
    (void)out;
    return kp_fail(KP_EMODEL,
                   "layer \"%s\" (%s): it holds Python functions, which a file cannot give; build "
                   "the model from layers and operations without it and save it again",
                   c->layer->path, c->layer->class_name);
}

#define HOLDS_FUNCTION(name)                                                                       \
    {                                                                                              \
        name, do_function, 0, 0, 0, KP_LW_SAME, KP_LW_MASK_DROP                                    \
    }
const kp_lw_entry kp_lw_core_operations[] = {
    {"Cast", do_cast, 0, KP_LW_ONE, KP_LW_MASK_DROP},
    {"ConvertToTensor", do_cast, 0, KP_LW_ONE, KP_LW_MASK_DROP},
    {"SaturateCast", do_saturate_cast, 0, KP_LW_ONE, KP_LW_MASK_DROP},
    {"Slice", do_slice, 0, KP_LW_ONE, KP_LW_MASK_DROP},
    {"SliceUpdate", do_slice_update, 0, 1, 2, KP_LW_SAME, KP_LW_MASK_DROP},
    {"StopGradient", do_nothing, 0, KP_LW_ONE, KP_LW_MASK_DROP},
    {"Unstack", do_unstack, 0, KP_LW_ONE, KP_LW_MASK_DROP},
    HOLDS_FUNCTION("AssociativeScan"),
    HOLDS_FUNCTION("Cond"),
    HOLDS_FUNCTION("ForiLoop"),
    HOLDS_FUNCTION("JVP"),
    HOLDS_FUNCTION("Map"),
    HOLDS_FUNCTION("Scan"),
    HOLDS_FUNCTION("Switch"),
    HOLDS_FUNCTION("VectorizedMap"),
    HOLDS_FUNCTION("WhileLoop"),
    {0},
};
