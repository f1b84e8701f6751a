/* Windows of images as rows of numbers, and back. Part of ops.h. Channels are last. */
#ifndef KP_OPS_PATCHES_H
#define KP_OPS_PATCHES_H

#include "graph/graph.h"

/* x (..., spatial axes, C) of any numbers: every window as one row of size[0] * ... * C numbers, in
 * C order: (..., places, size * C). What lies outside is 0. */
extern const kp_kernel_def kp_kernel_patches;
/* x (..., places, size * C) back to (..., spatial axes of `output`, C): rows are added up. */
extern const kp_kernel_def kp_kernel_fold;
typedef struct kp_patches {
    int n; /* spatial axes: 1 to 3 */
    int64_t size[KP_MAX_SPATIAL], stride[KP_MAX_SPATIAL], dilation[KP_MAX_SPATIAL];
    bool same;                      /* as many places as strides, what is missing split evenly */
    int64_t pad[KP_MAX_SPATIAL];    /* at both ends, unless same */
    int64_t output[KP_MAX_SPATIAL]; /* fold only */
} kp_patches;

/* Blocks of block x block cells between the spatial axes and the channels: x (N, H, W, C). */
extern const kp_kernel_def kp_kernel_blocks;
typedef struct kp_blocks {
    int64_t block;
    bool to_depth; /* (N, H/b, W/b, b*b*C); else (N, H*b, W*b, C/(b*b)) */
} kp_blocks;

#endif
