/* Counts, partitions and correlations of whole vectors. Part of ops.h. */
#ifndef KP_OPS_COUNT_H
#define KP_OPS_COUNT_H

#include "graph/graph.h"

/* x (n): the bins + 1 edges of equal bins between its extremes, or `low` and `high`; of x's type.
 */
extern const kp_kernel_def kp_kernel_edges;
/* x (n), edges (bins + 1) ascending: how many elements each bin has, of x's type. */
extern const kp_kernel_def kp_kernel_histogram;
typedef struct kp_histogram {
    int64_t bins; /* >= 1 */
    bool given;   /* low and high */
    double low, high;
} kp_histogram;

/* x (..., n) of int32: places along the last axis, as Keras makes them of two top_k. */
extern const kp_kernel_def kp_kernel_argpartition;
typedef struct kp_argpartition {
    int64_t k; /* 0 <= k */
} kp_argpartition;

/* a (n), b (m) of one float type: the sums of a[i + j] b[j] for i from -before on. */
extern const kp_kernel_def kp_kernel_correlate;
typedef struct kp_correlate {
    int64_t before, length;
} kp_correlate;

/* x of any shape, as a vector: its different elements, how often each occurs, where it stands first
 * (each `size` results: the first ones, or filled up), or which of them each element is (x's
 * shape).
 */
typedef enum kp_unique_kind {
    KP_UNIQUE_VALUES, /* filled up with `fill` */
    KP_UNIQUE_COUNTS, /* int32, with 0 */
    KP_UNIQUE_PLACES, /* int32, with 1, as Keras does it */
    KP_UNIQUE_INVERSE /* int32 */
} kp_unique_kind;
extern const kp_kernel_def kp_kernel_unique;
typedef struct kp_unique {
    kp_unique_kind kind;
    bool sorted; /* ascending; else in the order of their first places */
    int64_t size;
    double fill;
} kp_unique;

#endif
