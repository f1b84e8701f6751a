/* Arrays of which a part is replaced. Part of ops.h. */
#ifndef KP_OPS_UPDATE_H
#define KP_OPS_UPDATE_H

#include "graph/graph.h"

/* x, part (of x's type and rank): x with the part from `start` on; a start that leaves no room is
 * moved back. */
extern const kp_kernel_def kp_kernel_slice_update;
typedef struct kp_slice_update {
    int64_t start[KP_MAX_DIMS]; /* start[0] is 0: the batch */
} kp_slice_update;

#endif
