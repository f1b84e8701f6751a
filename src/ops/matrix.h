/* Dense matrices of doubles in C order: the decompositions that linalg is made of. Private to ops/.
 * Functions that need room return KP_ENOMEM when there is none. */
#ifndef KP_OPS_MATRIX_H
#define KP_OPS_MATRIX_H

#include "ops/kernel.h"

/* a (n, n) becomes L (without its ones) and U of the rows in the order perm, made by swapping row i
 * with row pivots[i], one after the other; *sign: of the permutation. False when a pivot is 0. */
bool kp_mat_lu(double *a, int64_t n, int64_t *perm, int64_t *pivots, int *sign);
/* x (n, k) of A x = b, from kp_mat_lu; x holds b's rows in the order perm. */
void kp_mat_lu_solve(const double *lu, int64_t n, double *x, int64_t k);
/* x (n, k) becomes the solution of A x = x, of which only one triangle is read. */
void kp_mat_triangular_solve(const double *a, int64_t n, bool lower, double *x, int64_t k);
/* The lower triangle of a becomes L, the rest 0. False when a is not positive definite. */
bool kp_mat_cholesky(double *a, int64_t n);
/* a (m, n) = Q R by Householder's reflections with LAPACK's signs: a becomes R, q (m, m) is made.
 */
int kp_mat_qr(double *a, int64_t m, int64_t n, double *q);
/* One step of it: the rows from k on of a (m, n) are reflected so that column k is R's. The vector
 * (m - k numbers, the first is 1) goes into v; returns its factor. */
double kp_mat_reflect(double *a, int64_t m, int64_t n, int64_t k, double *v);
/* Q (m, m) of `steps` such vectors, each m apart, and their factors. */
void kp_mat_unreflect(const double *v, const double *tau, int64_t m, int64_t steps, double *q);
/* Eigenvalues of a symmetric matrix, ascending; a becomes the vectors, as columns. */
int kp_mat_eigh(double *a, int64_t n, double *values);
/* a (m, n) = U diag(s) V': s (min(m, n)) descending; u (m, m) and v (n, n) are full, as columns. */
int kp_mat_svd(const double *a, int64_t m, int64_t n, double *u, double *s, double *v);

#endif
