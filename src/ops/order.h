/* Elements by size: sorted, counted, searched for; quantiles. Part of ops.h. */
#ifndef KP_OPS_ORDER_H
#define KP_OPS_ORDER_H

#include "graph/graph.h"

/* x of numbers, ascending along an axis; equal ones keep their order, NaN comes last. The result
 * is x's type, or int32: the places that the elements had. */
extern const kp_kernel_def kp_kernel_sort;
typedef struct kp_sort {
    int axis;
    bool places;
} kp_sort;

/* x of floats; its result over the axes, of x's type. Any NaN makes a NaN, or all are skipped. */
extern const kp_kernel_def kp_kernel_quantile;
typedef enum kp_quantile_method {
    KP_QUANTILE_LINEAR,
    KP_QUANTILE_LOWER,
    KP_QUANTILE_HIGHER,
    KP_QUANTILE_NEAREST,
    KP_QUANTILE_MIDPOINT
} kp_quantile_method;
typedef struct kp_quantile {
    kp_axes axes;
    bool keepdims, skip_nan;
    kp_quantile_method method;
    double q; /* 0..1 */
} kp_quantile;

/* limits (n), values of any shape: how many limits lie before each value (right: or at it), as
 * int32. */
extern const kp_kernel_def kp_kernel_search;
typedef struct kp_search {
    bool right;
} kp_search;

/* x (..., n) of integers: how often 0, 1, ..., width - 1 occurs, as int32. An element outside is an
 * error of the run. */
extern const kp_kernel_def kp_kernel_bincount;
typedef struct kp_bincount {
    int64_t width;
} kp_bincount;

#endif
