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

#endif
