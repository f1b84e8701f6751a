/* Which steps of one sequence may look at which of another. Part of ops.h. */
#ifndef KP_OPS_BAND_H
#define KP_OPS_BAND_H

#include "graph/graph.h"

/* Two tensors, of which only the sizes of axis 1, T and S, matter: bools (T, S), true at (i, j)
 * where j <= i (causal) and |i - j| < window (0: any distance). */
extern const kp_kernel_def kp_kernel_band;
typedef struct kp_band {
    bool causal;
    int64_t window;
} kp_band;

#endif
