/* Between the rows of a batch and an array that holds them all. Part of ops.h. */
#ifndef KP_OPS_ROWS_H
#define KP_OPS_ROWS_H

#include "graph/graph.h"

/* Both leave the elements as they are. A graph with one of them runs with n rows, no others. */
typedef struct kp_rows {
    int64_t n; /* >= 1 */
} kp_rows;
/* (batch, ...): an array (n, ...) of which no axis is the batch. */
extern const kp_kernel_def kp_kernel_whole;
/* An array (n, ...): (batch, ...). */
extern const kp_kernel_def kp_kernel_rows;

#endif
