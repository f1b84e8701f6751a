/* The largest elements, classes as vectors. Part of ops.h. */
#ifndef KP_OPS_SELECT_H
#define KP_OPS_SELECT_H

#include "graph/graph.h"

/* The k largest along the last axis, of equals the first ones; not-a-number is the largest. */
extern const kp_kernel_def kp_kernel_top_k;
typedef struct kp_top_k {
    int64_t k;
    bool indices; /* the places (int32) instead of the elements */
} kp_top_k;

/* targets (n), predictions (n, classes): whether fewer than k classes are larger than the target.
 */
extern const kp_kernel_def kp_kernel_in_top_k;
typedef struct kp_in_top_k {
    int64_t k;
} kp_in_top_k;

/* x of integers: a new axis of n classes at `axis`; 1 where it is the element, else 0. */
extern const kp_kernel_def kp_kernel_one_hot;
typedef struct kp_one_hot {
    int64_t n;
    int axis;
    kp_dtype dtype;
} kp_one_hot;

/* The projection onto the simplex along `axis`: many results are exactly 0. */
extern const kp_kernel_def kp_kernel_sparsemax;
typedef struct kp_sparsemax {
    int axis;
} kp_sparsemax;

#endif
