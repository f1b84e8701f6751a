/* What the kernels of this folder share. Private to ops/. */
#ifndef KP_OPS_KERNEL_H
#define KP_OPS_KERNEL_H

#include "ops/ops.h"
#include <math.h>
#include <stdlib.h>

/* kp_kernel_def.may_refuse of a kernel that fails over some data whatever its parameters are. */
static inline bool kp_kernel_may_refuse(const void *params)
{
    (void)params;
    return true;
}

/* ---- for the rules ---- */

static inline void kp_ops_shape(kp_value *out, kp_dtype dtype, int ndim, const int64_t *shape)
{
    out->dtype = dtype;
    out->ndim = ndim;
    memcpy(out->shape, shape, (size_t)ndim * sizeof shape[0]);
}

/* The input at index i, at least min_ndim axes, numbers or booleans. */
static inline int kp_ops_input(const kp_node *n, int i, int min_ndim, const kp_value **out)
{
    *out = i < n->n_inputs ? n->inputs[i] : NULL;
    if (*out == NULL)
        return kp_node_fail(n, KP_EINVAL, "input %d is missing", i);
    if (kp_dtype_size((*out)->dtype) == 0)
        return kp_node_fail(n, KP_EUNSUPPORTED, "input %d cannot be text", i);
    if ((*out)->ndim < min_ndim)
        return kp_node_fail(n, KP_ESHAPE, "input %d has %d axes and needs at least %d", i,
                            (*out)->ndim, min_ndim);
    return 0;
}

/* Refuses when the operation would mix rows: the batch is among the last n_axes of v. */
static inline int kp_ops_not_batch(const kp_node *n, const kp_value *v, int n_axes)
{
    for (int i = v->ndim - n_axes; i < v->ndim; i++)
        if (i >= 0 && v->shape[i] == KP_DIM_BATCH)
            return kp_node_fail(n, KP_EUNSUPPORTED,
                                "%s along the batch is not supported: rows are predicted "
                                "apart from each other",
                                n->attr.kernel.def->name);
    return 0;
}

/* Whether two axes that run side by side may be of one size: they are, or one is still open. */
static inline bool kp_ops_same_size(int64_t a, int64_t b)
{
    return a == b || (a <= KP_DIM_UNKNOWN && b != KP_DIM_BATCH) ||
           (b <= KP_DIM_UNKNOWN && a != KP_DIM_BATCH);
}

/* The same for all axes of two values. */
static inline bool kp_ops_same_shape(const kp_value *a, const kp_value *b)
{
    bool same = a->ndim == b->ndim;
    for (int i = 0; same && i < a->ndim; i++)
        same = kp_ops_same_size(a->shape[i], b->shape[i]);
    return same;
}

/* ---- for the functions ---- */

/* Zeroed; to be freed. NULL and kp_errmsg when there is none. */
static inline void *kp_ops_scratch(int64_t n, size_t elem_bytes)
{
    void *p = n < 0 ? NULL : calloc(n > 0 ? (size_t)n : 1, elem_bytes);
    if (p == NULL)
        kp_fail(KP_ENOMEM, "out of memory: %lld elements of %zu bytes", (long long)n, elem_bytes);
    return p;
}

/* Product of the sizes of t's axes from..to-1. */
static inline int64_t kp_ops_product(const kp_tensor *t, int from, int to)
{
    int64_t n = 1;
    for (int i = from; i < to; i++)
        n *= t->shape[i];
    return n;
}

static inline void kp_ops_load(const kp_tensor *t, int64_t at, int64_t stride, int64_t n,
                               double *to)
{
    for (int64_t i = 0; i < n; i++)
        to[i] = kp_tensor_get(t, at + i * stride);
}

static inline void kp_ops_store(kp_tensor *t, int64_t at, int64_t stride, int64_t n,
                                const double *from)
{
    for (int64_t i = 0; i < n; i++)
        kp_tensor_put(t, at + i * stride, from[i]);
}

#endif
