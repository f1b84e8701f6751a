/* Convolutions whose kernel differs from place to place. Part of ops.h. */
#ifndef KP_OPS_LOCAL_H
#define KP_OPS_LOCAL_H

#include "graph/graph.h"

/* x (batch, spatial..., in), kernel (places, window cells * in, out): result (batch, places...,
 * out), places in C order, window "valid". Keras 2: LocallyConnected, implementation 1. */
extern const kp_kernel_def kp_kernel_local;
typedef struct kp_local {
    int n_spatial; /* 1 or 2 */
    int64_t size[2], stride[2];
    bool channels_first; /* the kernel's rows count cells within channels, not channels within cells
                          */
} kp_local;

/* x as the layer has it, kernel (count): result (batch, places..., filters), or (batch, filters,
 * places...) with channels_first. Implementations 2 and 3: the kernel is the matrix from all of a
 * row's numbers to all of the result's, or (listed) the list of those of it that lie in a window,
 * result by result. */
extern const kp_kernel_def kp_kernel_local_flat;
typedef struct kp_local_flat {
    int n_spatial; /* 1 or 2; the arrays below are filled up with ones */
    int64_t in[2], size[2], stride[2], channels, filters;
    bool same, channels_first, listed;
    int64_t out[2], count; /* set by kp_local_flat_size */
} kp_local_flat;
/* false: no such convolution, or it is too large. */
bool kp_local_flat_size(kp_local_flat *p);

#endif
