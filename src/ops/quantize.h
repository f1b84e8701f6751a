/* Numbers of few bits. Part of ops.h. */
#ifndef KP_OPS_QUANTIZE_H
#define KP_OPS_QUANTIZE_H

#include "graph/graph.h"

/* Floats that are bytes (-128..255), each two numbers of four bits, the low half first: the floats
 * of these numbers. One axis grows to `size`. */
extern const kp_kernel_def kp_kernel_unpack4;
typedef struct kp_unpack4 {
    int axis; /* 0 <= axis < ndim */
    int64_t size;
    bool has_sign; /* -8..7, else 0..15 */
} kp_unpack4;

/* x, scale (one number): x / scale as the nearest float8 of kind e4m3 (at most 448), times scale.
 */
extern const kp_kernel_def kp_kernel_float8;

#endif
