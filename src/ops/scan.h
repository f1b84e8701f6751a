/* Running sums and products along an axis. Part of ops.h. */
#ifndef KP_OPS_SCAN_H
#define KP_OPS_SCAN_H

#include "graph/graph.h"

/* x of any number type; the result has x's type and shape. */
extern const kp_kernel_def kp_kernel_cumulate;
typedef struct kp_cumulate {
    int axis; /* 0 <= axis < ndim, not the batch */
    bool product;
} kp_cumulate;

#endif
