/* Indices as vectors: one hot, several hot, counts; and bins of numbers. Part of ops.h. */
#ifndef KP_OPS_ENCODE_H
#define KP_OPS_ENCODE_H

#include "graph/graph.h"

typedef enum kp_encode_mode {
    KP_ENCODE_ONE_HOT,
    KP_ENCODE_MULTI_HOT,
    KP_ENCODE_COUNT
} kp_encode_mode;

/* ids (integers), [weights of the same shape: counts only]. ONE_HOT appends an axis of `depth`; the
 * others gather axis 1 into it (Keras: the axis after the batch, whatever the rank). An index
 * beyond `depth` is left out; one below 0 too, but an error when `strict`. */
extern const kp_kernel_def kp_kernel_encode;
typedef struct kp_encode {
    kp_encode_mode mode;
    int64_t depth;
    kp_dtype dtype; /* of the result, unless there are weights: then theirs */
    bool strict;
} kp_encode;

/* x of numbers; the result is int32 of x's shape: how many boundaries are <= the element (all of
 * them for NaN). */
extern const kp_kernel_def kp_kernel_bins;
typedef struct kp_bins {
    const float *boundaries; /* ascending */
    int n;
} kp_bins;

#endif
