/* Diagonals, segments and updates at places. */
#include "ops/kernel.h"

#include <float.h>

/* An input whose sizes are all known, none of them the batch. */
static int closed(const kp_node *n, int i, int min_ndim, const kp_value **out)
{
    KP_TRY(kp_ops_input(n, i, min_ndim, out));
    for (int d = 0; d < (*out)->ndim; d++)
        if ((*out)->shape[d] < 0)
            return kp_node_fail(n, KP_EUNSUPPORTED, "%s of a batch or an open size",
                                n->attr.kernel.def->name);
    return 0;
}

static int integers(const kp_node *n, const kp_value *v)
{
    return kp_dtype_is_integer(v->dtype) && v->dtype != KP_BOOL
               ? 0
               : kp_node_fail(n, KP_EUNSUPPORTED, "places of type %s", kp_dtype_name(v->dtype));
}

/* ---- a diagonal ---- */

static int infer_diag(const kp_node *n, kp_value *out, int64_t *next_symbol)
{
    const kp_diag *p = n->attr.kernel.params;
    const kp_value *x;
    (void)next_symbol;
    KP_TRY(closed(n, 0, 1, &x));
    int64_t size = x->shape[0] + (p->k < 0 ? -p->k : p->k);
    if (x->ndim != 1)
        return kp_node_fail(n, KP_ESHAPE, "a diagonal of %d axes", x->ndim);
    kp_ops_shape(out, x->dtype, 2, (int64_t[]){size, size});
    return 0;
}

static int run_diag(const void *params, const kp_tensor *in, int n_in, kp_tensor *out)
{
    const kp_diag *p = params;
    size_t elem = kp_dtype_size(out->dtype);
    int64_t size = out->shape[0], row = p->k < 0 ? -p->k : 0, column = p->k > 0 ? p->k : 0;
    const char *from = in[0].data;
    char *to = out->data;
    (void)n_in;
    memset(to, 0, (size_t)kp_tensor_count(out) * elem);
    for (int64_t i = 0; i < in[0].shape[0]; i++)
        memcpy(to + (size_t)((row + i) * size + column + i) * elem, from + (size_t)i * elem, elem);
    return 0;
}

const kp_kernel_def kp_kernel_diag = {"diag", infer_diag, run_diag};

/* ---- one element meets another ---- */

static void meet_whole(kp_scatter_kind kind, kp_tensor *out, int64_t at, int64_t v)
{
    int64_t have = kp_tensor_get_int(out, at);
    bool less = out->dtype == KP_UINT64 ? (uint64_t)v < (uint64_t)have : v < have;
    switch (kind) {
    case KP_SCATTER_ADD:
        v = (int64_t)((uint64_t)have + (uint64_t)v);
        break;
    case KP_SCATTER_MUL:
        v = (int64_t)((uint64_t)have * (uint64_t)v);
        break;
    case KP_SCATTER_MAX:
        v = less ? have : v;
        break;
    case KP_SCATTER_MIN:
        v = less ? v : have;
        break;
    case KP_SCATTER_SET:
        break;
    }
    kp_tensor_put_int(out, at, v);
}

static void meet(kp_scatter_kind kind, kp_tensor *out, int64_t at, const kp_tensor *from, int64_t i)
{
    if (kp_dtype_is_integer(out->dtype)) {
        meet_whole(kind, out, at, kp_tensor_get_int(from, i));
        return;
    }
    double v = kp_tensor_get(from, i), have = kp_tensor_get(out, at);
    switch (kind) {
    case KP_SCATTER_ADD:
        v = have + v;
        break;
    case KP_SCATTER_MUL:
        v = have * v;
        break;
    case KP_SCATTER_MAX:
        v = v > have ? v : have;
        break;
    case KP_SCATTER_MIN:
        v = v < have ? v : have;
        break;
    case KP_SCATTER_SET:
        break;
    }
    kp_tensor_put(out, at, v);
}

/* ---- segments ---- */

static int infer_segment(const kp_node *n, kp_value *out, int64_t *next_symbol)
{
    const kp_segment_reduce *p = n->attr.kernel.params;
    const kp_value *x, *at;
    (void)next_symbol;
    KP_TRY(closed(n, 0, 1, &x));
    KP_TRY(closed(n, 1, 1, &at));
    KP_TRY(integers(n, at));
    if (at->ndim != 1 || at->shape[0] != x->shape[0])
        return kp_node_fail(n, KP_ESHAPE, "the numbers of the segments do not fit the rows");
    kp_ops_shape(out, x->dtype, x->ndim, x->shape);
    out->shape[0] = p->n_segments;
    return 0;
}

/* The largest number of a type, or the smallest. */
static double extreme(kp_dtype t, bool largest)
{
    if (!kp_dtype_is_integer(t)) {
        double most = t == KP_FLOAT64    ? DBL_MAX
                      : t == KP_FLOAT16  ? 65504
                      : t == KP_BFLOAT16 ? 0x1.fep127
                                         : (double)FLT_MAX;
        return largest ? most : -most;
    }
    int bits = (int)(8 * kp_dtype_size(t));
    if (t >= KP_UINT8)
        return largest ? ldexp(1, bits) - 1 : 0;
    return largest ? ldexp(1, bits - 1) - 1 : -ldexp(1, bits - 1);
}

static void fill(kp_tensor *out, kp_scatter_kind kind)
{
    bool wide = out->dtype == KP_INT64 || out->dtype == KP_UINT64; /* beyond a double's digits */
    int64_t largest = out->dtype == KP_INT64 ? INT64_MAX : -1;
    int64_t smallest = out->dtype == KP_INT64 ? INT64_MIN : 0;
    double v = kind == KP_SCATTER_MUL ? 1
               : kind == KP_SCATTER_ADD || kind == KP_SCATTER_SET
                   ? 0
                   : extreme(out->dtype, kind == KP_SCATTER_MIN);
    for (int64_t i = 0; i < kp_tensor_count(out); i++) {
        if (wide && (kind == KP_SCATTER_MIN || kind == KP_SCATTER_MAX))
            kp_tensor_put_int(out, i, kind == KP_SCATTER_MIN ? largest : smallest);
        else
            kp_tensor_put(out, i, v);
    }
}

static int run_segment(const void *params, const kp_tensor *in, int n_in, kp_tensor *out)
{
    const kp_segment_reduce *p = params;
    int64_t row = kp_ops_product(&in[0], 1, in[0].ndim);
    (void)n_in;
    fill(out, p->kind);
    for (int64_t i = 0; i < in[1].shape[0]; i++) {
        int64_t to = kp_tensor_get_int(&in[1], i);
        if (to >= p->n_segments)
            return kp_fail(KP_ESHAPE, "segment %lld of %lld", (long long)to,
                           (long long)p->n_segments);
        for (int64_t k = 0; to >= 0 && k < row; k++)
            meet(p->kind, out, to * row + k, &in[0], i * row + k);
    }
    return 0;
}

const kp_kernel_def kp_kernel_segment = {"segment", infer_segment, run_segment};

/* ---- updates ---- */

static int infer_scatter(const kp_node *n, kp_value *out, int64_t *next_symbol)
{
    const kp_scatter *p = n->attr.kernel.params;
    const kp_value *base = NULL, *at, *part;
    (void)next_symbol;
    if (n->n_inputs > 0 && n->inputs[0] != NULL)
        KP_TRY(closed(n, 0, 0, &base));
    KP_TRY(closed(n, 1, 1, &at));
    KP_TRY(closed(n, 2, 0, &part));
    KP_TRY(integers(n, at));
    kp_ops_shape(out, part->dtype, base != NULL ? base->ndim : p->ndim,
                 base != NULL ? base->shape : p->shape);
    int64_t depth = at->shape[at->ndim - 1];
    bool fits = depth <= out->ndim && part->ndim == at->ndim - 1 + out->ndim - (int)depth &&
                (base == NULL || base->dtype == part->dtype);
    for (int i = 0; fits && i < part->ndim; i++)
        fits = part->shape[i] ==
               (i < at->ndim - 1 ? at->shape[i] : out->shape[i - (at->ndim - 1) + (int)depth]);
    return fits ? 0 : kp_node_fail(n, KP_ESHAPE, "the updates do not fit their places");
}

/* The element that indices i name, in units of `row` elements; -1: there is none. */
static int64_t place(const kp_tensor *at, int64_t i, int64_t depth, const kp_tensor *out)
{
    int64_t flat = 0;
    for (int64_t d = 0; d < depth; d++) {
        int64_t v = kp_tensor_get_int(at, i * depth + d);
        if (v < 0 || v >= out->shape[d])
            return -1;
        flat = flat * out->shape[d] + v;
    }
    return flat;
}

static int run_scatter(const void *params, const kp_tensor *in, int n_in, kp_tensor *out)
{
    const kp_scatter *p = params;
    const kp_tensor *at = &in[1];
    int64_t depth = at->shape[at->ndim - 1], count = kp_ops_product(at, 0, at->ndim - 1);
    int64_t row = kp_ops_product(out, (int)depth, out->ndim);
    size_t bytes = (size_t)kp_tensor_count(out) * kp_dtype_size(out->dtype);
    (void)n_in;
    if (in[0].data != NULL)
        memcpy(out->data, in[0].data, bytes);
    else
        memset(out->data, 0, bytes);
    for (int64_t i = 0; i < count; i++) {
        int64_t to = place(at, i, depth, out);
        if (to < 0)
            return kp_fail(KP_ESHAPE, "an update at a place that does not exist");
        for (int64_t k = 0; k < row; k++)
            meet(p->kind, out, to * row + k, &in[2], i * row + k);
    }
    return 0;
}

const kp_kernel_def kp_kernel_scatter = {"scatter", infer_scatter, run_scatter};

/* ---- between cells ---- */

static int infer_coordinates(const kp_node *n, kp_value *out, int64_t *next_symbol)
{
    const kp_coordinates *p = n->attr.kernel.params;
    const kp_value *x, *at;
    (void)next_symbol;
    KP_TRY(closed(n, 0, 1, &x));
    KP_TRY(closed(n, 1, 2, &at));
    if (at->shape[0] != x->ndim)
        return kp_node_fail(n, KP_ESHAPE, "%lld coordinates of %d axes", (long long)at->shape[0],
                            x->ndim);
    if (p->linear && !kp_dtype_is_float(at->dtype))
        return kp_node_fail(n, KP_EUNSUPPORTED, "coordinates of type %s", kp_dtype_name(at->dtype));
    for (int i = 0; i < x->ndim; i++)
        if (x->shape[i] == 0)
            return kp_node_fail(n, KP_ESHAPE, "nothing to pick from: axis %d has size 0", i);
    kp_ops_shape(out, x->dtype, at->ndim - 1, at->shape + 1);
    return 0;
}

/* A cell on an axis: its place, and whether it is one of the array. */
static int64_t cell_of(const kp_coordinates *p, int64_t i, int64_t size, bool *inside)
{
    int64_t twice = 2 * size;
    switch (p->mode) {
    case KP_OUTSIDE_CONSTANT:
        *inside = *inside && i >= 0 && i < size;
        return i < 0 ? 0 : i < size ? i : size - 1;
    case KP_OUTSIDE_NEAREST:
        return i < 0 ? 0 : i < size ? i : size - 1;
    case KP_OUTSIDE_WRAP:
        return (i % size + size) % size;
    default:
        break;
    }
    i = (i < 0 ? -i : i) % twice;
    if (i < size)
        return i;
    return twice - i - (p->mode == KP_OUTSIDE_REFLECT ? 1 : 0);
}

/* Of one corner among 2^rank: its weight, and x there; -1 where TensorFlow has no such cell. */
static int corner(const kp_coordinates *p, const kp_tensor *x, const double *at, int bits,
                  double *weight, double *v)
{
    int64_t flat = 0;
    bool inside = true;
    *weight = 1;
    for (int d = 0; d < x->ndim; d++) {
        double low = p->linear ? floor(at[d]) : rint(at[d]);
        double up = (double)((float)at[d] - (float)low);
        bool high = bits >> d & 1;
        if (!(fabs(low) < 1e9))
            return -1;
        int64_t i = cell_of(p, (int64_t)low + high, x->shape[d], &inside);
        if (i < 0 || i >= x->shape[d])
            return -1;
        flat = flat * x->shape[d] + i;
        if (p->linear)
            *weight *= high ? up : 1 - up;
    }
    *v = inside ? kp_tensor_get(x, flat) : p->fill;
    return 0;
}

static int run_coordinates(const void *params, const kp_tensor *in, int n_in, kp_tensor *out)
{
    const kp_coordinates *p = params;
    const kp_tensor *x = &in[0];
    int64_t count = kp_tensor_count(out);
    int corners = p->linear ? 1 << x->ndim : 1;
    (void)n_in;
    for (int64_t i = 0; i < count; i++) {
        double at[KP_MAX_DIMS], sum = 0, weight, v;
        for (int d = 0; d < x->ndim; d++)
            at[d] = kp_tensor_get(&in[1], d * count + i);
        for (int bits = 0; bits < corners; bits++) {
            if (corner(p, x, at, bits, &weight, &v) != 0)
                return kp_fail(KP_ESHAPE, "a coordinate outside of what this fill mode takes");
            sum += weight * v;
        }
        kp_tensor_put(out, i, kp_dtype_is_integer(out->dtype) ? rint(sum) : sum);
    }
    return 0;
}

const kp_kernel_def kp_kernel_coordinates = {"coordinates", infer_coordinates, run_coordinates};
