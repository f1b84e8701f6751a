/* Elements in another order; bands and diagonals of matrices; bits as another type. */
#include "ops/kernel.h"

/* ---- axes on their own ---- */

static int arranged_size(const kp_node *n, const kp_arrange *p, int axis, int64_t size,
                         int64_t *out)
{
    int64_t before = p->before[axis], after = p->after[axis];
    kp_arrange_kind kind = p->kind[axis];
    *out = size;
    if (kind != KP_ARRANGE_REFLECT && kind != KP_ARRANGE_SYMMETRIC)
        return 0;
    int64_t most = kind == KP_ARRANGE_REFLECT ? size - 1 : size;
    if (before < 0 || after < 0 || before > INT32_MAX || after > INT32_MAX ||
        (size >= 0 && (before > most || after > most)))
        return kp_node_fail(n, KP_ESHAPE, "%lld and %lld cells cannot mirror %lld of axis %d",
                            (long long)before, (long long)after, (long long)size, axis);
    if (size >= 0)
        *out = size + before + after;
    return 0;
}

static int infer_arrange(const kp_node *n, kp_value *out, int64_t *next_symbol)
{
    const kp_arrange *p = n->attr.kernel.params;
    const kp_value *x = n->n_inputs == 1 ? n->inputs[0] : NULL;
    if (x == NULL)
        return kp_node_fail(n, KP_EINVAL, "the input is missing");
    kp_ops_shape(out, x->dtype, x->ndim, x->shape);
    for (int i = 0; i < x->ndim; i++) {
        if (p->kind[i] == KP_ARRANGE_KEEP)
            continue;
        if (x->shape[i] == KP_DIM_BATCH)
            return kp_node_fail(n, KP_EUNSUPPORTED,
                                "it puts the rows of the batch into another order, but rows are "
                                "predicted apart from each other");
        KP_TRY(arranged_size(n, p, i, x->shape[i], &out->shape[i]));
        if (x->shape[i] < 0 && p->before[i] + p->after[i] > 0 && p->kind[i] >= KP_ARRANGE_REFLECT)
            out->shape[i] = (*next_symbol)--;
    }
    return 0;
}

/* Where element i of the result's axis comes from. */
static int64_t source(const kp_arrange *p, int axis, int64_t size, int64_t i)
{
    int64_t edge = p->kind[axis] == KP_ARRANGE_SYMMETRIC;
    switch (p->kind[axis]) {
    case KP_ARRANGE_REVERSE:
        return size - 1 - i;
    case KP_ARRANGE_ROLL:
        i = (i - p->before[axis] % size) % size;
        return i < 0 ? i + size : i;
    case KP_ARRANGE_REFLECT:
    case KP_ARRANGE_SYMMETRIC:
        i -= p->before[axis];
        if (i < 0)
            return -i - edge;
        return i < size ? i : 2 * (size - 1) - i + edge;
    default:
        return i;
    }
}

static void copy_axis(const kp_arrange *p, const kp_tensor *in, const kp_tensor *out, int axis,
                      size_t elem, const char *from, char *to)
{
    size_t in_step = elem * (size_t)kp_ops_product(in, axis + 1, in->ndim);
    size_t out_step = elem * (size_t)kp_ops_product(out, axis + 1, out->ndim);
    for (int64_t i = 0; i < out->shape[axis]; i++) {
        const char *at = from + (size_t)source(p, axis, in->shape[axis], i) * in_step;
        if (axis + 1 < in->ndim)
            copy_axis(p, in, out, axis + 1, elem, at, to + (size_t)i * out_step);
        else
            memcpy(to + (size_t)i * out_step, at, elem);
    }
}

static int run_arrange(const void *params, const kp_tensor *in, int n_in, kp_tensor *out)
{
    (void)n_in;
    size_t elem = kp_elem_size(out->dtype);
    if (in[0].ndim == 0)
        memcpy(out->data, in[0].data, elem);
    else if (kp_tensor_count(&in[0]) > 0)
        copy_axis(params, &in[0], out, 0, elem, in[0].data, out->data);
    return 0;
}

const kp_kernel_def kp_kernel_arrange = {"arrange", infer_arrange, run_arrange};

/* ---- matrices ---- */

static int infer_triangle(const kp_node *n, kp_value *out, int64_t *next_symbol)
{
    const kp_value *x;
    (void)next_symbol;
    KP_TRY(kp_ops_input(n, 0, 2, &x));
    KP_TRY(kp_ops_not_batch(n, x, 2));
    kp_ops_shape(out, x->dtype, x->ndim, x->shape);
    return 0;
}

static int run_triangle(const void *params, const kp_tensor *in, int n_in, kp_tensor *out)
{
    (void)n_in;
    const kp_diagonals *p = params;
    int64_t columns = out->shape[out->ndim - 1], rows = out->shape[out->ndim - 2];
    int64_t count = kp_tensor_count(out);
    size_t elem = kp_elem_size(out->dtype);
    memcpy(out->data, in[0].data, (size_t)count * elem);
    for (int64_t i = 0; i < count; i++) {
        int64_t distance = i % columns - i / columns % rows;
        if (distance < p->low || distance > p->high)
            memset((char *)out->data + (size_t)i * elem, 0, elem);
    }
    return 0;
}

const kp_kernel_def kp_kernel_triangle = {"triangle", infer_triangle, run_triangle};

static int64_t diagonal_length(int64_t rows, int64_t columns, int64_t offset)
{
    int64_t r = offset < 0 ? rows + offset : rows, c = offset > 0 ? columns - offset : columns;
    int64_t n = r < c ? r : c;
    return n < 0 ? 0 : n;
}

static int infer_diagonal(const kp_node *n, kp_value *out, int64_t *next_symbol)
{
    const kp_value *x;
    const int64_t *offset = n->attr.kernel.params;
    KP_TRY(kp_ops_input(n, 0, 2, &x));
    KP_TRY(kp_ops_not_batch(n, x, 2));
    if (*offset < -INT32_MAX || *offset > INT32_MAX)
        return kp_node_fail(n, KP_EINVAL, "there is no diagonal %lld", (long long)*offset);
    kp_ops_shape(out, x->dtype, x->ndim - 1, x->shape);
    int64_t rows = x->shape[x->ndim - 2], columns = x->shape[x->ndim - 1];
    out->shape[out->ndim - 1] =
        rows < 0 || columns < 0 ? (*next_symbol)-- : diagonal_length(rows, columns, *offset);
    if (out->shape[out->ndim - 1] == 0)
        return kp_node_fail(n, KP_ESHAPE, "there is no diagonal %lld", (long long)*offset);
    return 0;
}

static int run_diagonal(const void *params, const kp_tensor *in, int n_in, kp_tensor *out)
{
    (void)n_in;
    int64_t offset = *(const int64_t *)params, length = out->shape[out->ndim - 1];
    int64_t columns = in[0].shape[in[0].ndim - 1], rows = in[0].shape[in[0].ndim - 2];
    int64_t count = kp_tensor_count(out), start = offset < 0 ? -offset * columns : offset;
    size_t elem = kp_elem_size(out->dtype);
    for (int64_t i = 0; i < count; i++) {
        int64_t from = i / length * rows * columns + start + i % length * (columns + 1);
        memcpy((char *)out->data + (size_t)i * elem, (const char *)in[0].data + (size_t)from * elem,
               elem);
    }
    return 0;
}

const kp_kernel_def kp_kernel_diagonal = {"diagonal", infer_diagonal, run_diagonal};

/* ---- bits ---- */

static int infer_bitcast(const kp_node *n, kp_value *out, int64_t *next_symbol)
{
    const kp_value *x;
    kp_dtype to = *(const kp_dtype *)n->attr.kernel.params;
    size_t have, want = kp_dtype_size(to);
    (void)next_symbol;
    KP_TRY(kp_ops_input(n, 0, 0, &x));
    have = kp_dtype_size(x->dtype);
    if (want == 0)
        return kp_node_fail(n, KP_EUNSUPPORTED, "a view as %s", kp_dtype_name(to));
    kp_ops_shape(out, to, x->ndim, x->shape);
    if (have == want)
        return 0;
    int64_t last = x->ndim > 0 ? x->shape[x->ndim - 1] : -1;
    if (last < 0 || (uint64_t)last * have % want != 0)
        return kp_node_fail(n, KP_ESHAPE, "a view of the last axis as %s does not fit",
                            kp_dtype_name(to));
    out->shape[x->ndim - 1] = (int64_t)((uint64_t)last * have / want);
    return 0;
}

static int run_bitcast(const void *params, const kp_tensor *in, int n_in, kp_tensor *out)
{
    (void)params;
    (void)n_in;
    memcpy(out->data, in[0].data, (size_t)kp_tensor_count(out) * kp_dtype_size(out->dtype));
    return 0;
}

const kp_kernel_def kp_kernel_bitcast = {"bitcast", infer_bitcast, run_bitcast};
