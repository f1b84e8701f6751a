/* Elements in another order or again: reversed, rolled, mirrored at the edges; bands and diagonals
 * of matrices; bits read as another type. Part of ops.h. */
#ifndef KP_OPS_ARRANGE_H
#define KP_OPS_ARRANGE_H

#include "graph/graph.h"

/* x of any type, each axis on its own. The batch stays as it is. */
extern const kp_kernel_def kp_kernel_arrange;
typedef enum kp_arrange_kind {
    KP_ARRANGE_KEEP,
    KP_ARRANGE_REVERSE,
    KP_ARRANGE_ROLL,     /* by `before` places towards the end; what falls out comes in in front */
    KP_ARRANGE_REFLECT,  /* before and after more cells, mirrored without the edge, ... */
    KP_ARRANGE_SYMMETRIC /* ... or with it; at most the size (less 1) */
} kp_arrange_kind;
typedef struct kp_arrange {
    kp_arrange_kind kind[KP_MAX_DIMS];
    int64_t before[KP_MAX_DIMS], after[KP_MAX_DIMS];
} kp_arrange;

/* x (..., rows, columns) of numbers: 0 outside low <= column - row <= high. */
extern const kp_kernel_def kp_kernel_triangle;
typedef struct kp_diagonals {
    int64_t low, high;
} kp_diagonals;

/* x (..., rows, columns): the elements with column - row = *params, an int64_t. */
extern const kp_kernel_def kp_kernel_diagonal;

/* The same bytes as another number type; the last axis shrinks or grows. params: a kp_dtype. */
extern const kp_kernel_def kp_kernel_bitcast;

#endif
