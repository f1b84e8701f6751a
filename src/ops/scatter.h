/* Elements that go to places that other elements name. Part of ops.h. */
#ifndef KP_OPS_SCATTER_H
#define KP_OPS_SCATTER_H

#include "graph/graph.h"

/* x (n): a matrix (n + |k|, n + |k|) that is 0 but for its k-th diagonal. */
extern const kp_kernel_def kp_kernel_diag;
typedef struct kp_diag {
    int64_t k; /* |k| < 2^31 */
} kp_diag;

typedef enum kp_scatter_kind {
    KP_SCATTER_SET, /* of equal places the last one wins */
    KP_SCATTER_ADD,
    KP_SCATTER_MAX,
    KP_SCATTER_MIN,
    KP_SCATTER_MUL
} kp_scatter_kind;

/* data (n, ...), segments (n) of integers: (n_segments, ...), each made of the rows of its number;
 * rows of a number below 0 are left out. What no row belongs to is 0, 1 of MUL, the type's smallest
 * number of MAX, its largest of MIN. */
extern const kp_kernel_def kp_kernel_segment;
typedef struct kp_segment_reduce {
    kp_scatter_kind kind;
    int64_t n_segments;
} kp_segment_reduce;

/* base (NULL: zeros of `shape`), indices (..., k) of integers, updates (..., the axes of base from
 * k on): base with the updates put at the places that the indices name. */
extern const kp_kernel_def kp_kernel_scatter;
typedef struct kp_scatter {
    kp_scatter_kind kind;
    int ndim;
    int64_t shape[KP_MAX_DIMS];
} kp_scatter;

/* x of any rank r, coordinates (r, ...): x between its cells there, (...). */
typedef enum kp_outside {
    KP_OUTSIDE_CONSTANT,
    KP_OUTSIDE_NEAREST,
    KP_OUTSIDE_WRAP,
    KP_OUTSIDE_MIRROR,
    KP_OUTSIDE_REFLECT
} kp_outside;
extern const kp_kernel_def kp_kernel_coordinates;
typedef struct kp_coordinates {
    bool linear; /* else the nearest cell */
    kp_outside mode;
    double fill;
} kp_coordinates;

#endif
