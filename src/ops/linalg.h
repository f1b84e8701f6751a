/* Linear algebra on batches of matrices: the last two axes. Part of ops.h. */
#ifndef KP_OPS_LINALG_H
#define KP_OPS_LINALG_H

#include "graph/graph.h"

typedef enum kp_linalg_kind {
    KP_LA_CHOLESKY,         /* a (n, n): L, or its transpose when `upper` */
    KP_LA_CHOLESKY_INVERSE, /* the factor (n, n): the inverse of the matrix itself */
    KP_LA_DET,
    KP_LA_LOGDET, /* ln |det| */
    KP_LA_DET_SIGN,
    KP_LA_INV,
    KP_LA_SOLVE,            /* a (n, n), b (n) or (n, k) */
    KP_LA_SOLVE_TRIANGULAR, /* the same, of a's lower or `upper` triangle */
    KP_LA_QR_Q,             /* a (m, n): (m, k), or (m, m) when `full`; k = min(m, n) */
    KP_LA_QR_R,
    KP_LA_SVD_U,
    KP_LA_SVD_S,       /* (k), descending */
    KP_LA_SVD_V,       /* transposed: (k, n), or (n, n) when `full` */
    KP_LA_EIGH_VALUES, /* ascending */
    KP_LA_EIGH_VECTORS,
    KP_LA_LU,
    KP_LA_LU_PIVOTS, /* int32: row i was swapped with row pivots[i], in this order */
    KP_LA_PINV,
    KP_LA_RANK, /* int32 */
    KP_LA_NORM_NUCLEAR,
    KP_LA_NORM_LARGEST, /* singular value */
    KP_LA_NORM_SMALLEST,
    KP_LA_COUNT
} kp_linalg_kind;

/* Real inputs; results are float32, or float64 of float64. Batch axes of two inputs broadcast. */
extern const kp_kernel_def kp_kernel_linalg;
typedef struct kp_linalg_params {
    kp_linalg_kind kind;
    bool upper, full;
    bool vector;   /* of a solution: b is (..., n) instead of (..., n, k) */
    double cutoff; /* PINV: singular values up to this part of the largest are 0; RANK: up to this
                      value; below 0: TensorFlow's rule */
} kp_linalg_params;

/* Lengths of vectors (the last axis) and of matrices (the last two). */
typedef enum kp_norm_kind {
    KP_NORM_POWER, /* (sum |x|^order)^(1/order) of all elements */
    KP_NORM_MAX,   /* of |x| */
    KP_NORM_MIN,
    KP_NORM_COUNT,       /* of elements that are not 0 */
    KP_NORM_COLUMNS_MAX, /* of the sums of |x| of the columns */
    KP_NORM_COLUMNS_MIN,
    KP_NORM_ROWS_MAX,
    KP_NORM_ROWS_MIN
} kp_norm_kind;
/* x of floats (..., n) or (..., m, n) to (...), of x's type. */
extern const kp_kernel_def kp_kernel_norm;
typedef struct kp_norm_params {
    int n_axes; /* 1 or 2 */
    kp_norm_kind kind;
    double order;
} kp_norm_params;

#endif
