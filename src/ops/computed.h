/* Sizes that a model computes from the shapes of its tensors (tf.shape and arithmetic): nodes that
 * become ordinary ones, or constants, once the sizes of the inputs are known. */
#ifndef KP_OPS_COMPUTED_H
#define KP_OPS_COMPUTED_H

#include "graph/graph.h"

typedef enum kp_size_op {
    KP_SIZE_NUMBER,
    KP_SIZE_AXIS, /* of a tensor, not the batch */
    KP_SIZE_ADD,
    KP_SIZE_SUB,
    KP_SIZE_MUL,
    KP_SIZE_FLOOR_DIV,
    KP_SIZE_MOD, /* with the divisor's sign */
    KP_SIZE_MIN,
    KP_SIZE_MAX
} kp_size_op;

typedef struct kp_size_expr {
    kp_size_op op;
    int64_t number;
    int input, axis;
    const struct kp_size_expr *a, *b;
} kp_size_expr;

enum { KP_COMPUTED_MAX = 3 * KP_MAX_DIMS };

/* The inputs of a node: what it works on (not of NUMBERS and RANGE), then tensors whose shapes
 * count. */
typedef enum kp_computed_kind {
    KP_COMPUTED_NUMBERS,   /* the n numbers, without an axis if `scalar` */
    KP_COMPUTED_RANGE,     /* from 0 to before 1 in steps of 2 */
    KP_COMPUTED_RESHAPE,   /* the first `keep` axes stay, n new sizes */
    KP_COMPUTED_BROADCAST, /* to n sizes */
    KP_COMPUTED_SLICE,     /* of each axis begin, end, step */
    KP_COMPUTED_RESIZE,    /* to 0 by 1; the rest as `node` says */
} kp_computed_kind;

typedef struct kp_computed {
    kp_computed_kind kind;
    kp_dtype dtype; /* of NUMBERS and RANGE */
    bool scalar;
    int keep, n;
    /* NULL: BROADCAST: the batch; RESHAPE: what remains; SLICE: the neutral value. */
    const kp_size_expr *expr[KP_COMPUTED_MAX];
    int64_t symbol[KP_MAX_DIMS]; /* of a size of the result while it is open */
    kp_node node;
} kp_computed;

extern const kp_kernel_def kp_kernel_computed;

#endif
