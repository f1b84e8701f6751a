/* What ref's files share: kernels, elements as double, walks over arrays. */
#ifndef KP_REF_INT_H
#define KP_REF_INT_H

#include "backend/backend.h"

/* Kernels over arrays of `real` are compiled twice: for float32, and by double.c for float64. */
#ifdef KP_REF_DOUBLE
typedef double real;
#define kp_ref_conv           kp_ref_conv_f64
#define kp_ref_conv_transpose kp_ref_conv_transpose_f64
#define kp_ref_dense          kp_ref_dense_f64
#define kp_ref_matmul         kp_ref_matmul_f64
#define kp_ref_pool           kp_ref_pool_f64
#define kp_ref_batchnorm      kp_ref_batchnorm_f64
#define kp_ref_affine         kp_ref_affine_f64
#define kp_ref_layernorm      kp_ref_layernorm_f64
#define kp_ref_softmax        kp_ref_softmax_f64
#define kp_ref_mac            kp_ref_mac_f64
#define kp_ref_mac4           kp_ref_mac4_f64
#else
typedef float real;
#endif

/* One operation. Inputs that are absent have data NULL. Those over `real` get arrays of that type
 * only. */
typedef int (*kp_ref_fn)(const kp_node *n, const kp_tensor *in, int n_in, kp_tensor *out);

int kp_ref_conv(const kp_node *n, const kp_tensor *in, int n_in, kp_tensor *out);
int kp_ref_conv_transpose(const kp_node *n, const kp_tensor *in, int n_in, kp_tensor *out);
int kp_ref_dense(const kp_node *n, const kp_tensor *in, int n_in, kp_tensor *out);
int kp_ref_matmul(const kp_node *n, const kp_tensor *in, int n_in, kp_tensor *out);
int kp_ref_pool(const kp_node *n, const kp_tensor *in, int n_in, kp_tensor *out);
int kp_ref_reduce(const kp_node *n, const kp_tensor *in, int n_in, kp_tensor *out);
int kp_ref_unary(const kp_node *n, const kp_tensor *in, int n_in, kp_tensor *out);
int kp_ref_binary(const kp_node *n, const kp_tensor *in, int n_in, kp_tensor *out);
int kp_ref_batchnorm(const kp_node *n, const kp_tensor *in, int n_in, kp_tensor *out);
int kp_ref_affine(const kp_node *n, const kp_tensor *in, int n_in, kp_tensor *out);
int kp_ref_layernorm(const kp_node *n, const kp_tensor *in, int n_in, kp_tensor *out);
int kp_ref_softmax(const kp_node *n, const kp_tensor *in, int n_in, kp_tensor *out);
int kp_ref_concat(const kp_node *n, const kp_tensor *in, int n_in, kp_tensor *out);
int kp_ref_pad(const kp_node *n, const kp_tensor *in, int n_in, kp_tensor *out);
int kp_ref_slice(const kp_node *n, const kp_tensor *in, int n_in, kp_tensor *out);
int kp_ref_reshape(const kp_node *n, const kp_tensor *in, int n_in, kp_tensor *out);
int kp_ref_transpose(const kp_node *n, const kp_tensor *in, int n_in, kp_tensor *out);
int kp_ref_repeat(const kp_node *n, const kp_tensor *in, int n_in, kp_tensor *out);
int kp_ref_resize(const kp_node *n, const kp_tensor *in, int n_in, kp_tensor *out);
int kp_ref_cast(const kp_node *n, const kp_tensor *in, int n_in, kp_tensor *out);
int kp_ref_broadcast(const kp_node *n, const kp_tensor *in, int n_in, kp_tensor *out);
int kp_ref_select(const kp_node *n, const kp_tensor *in, int n_in, kp_tensor *out);
int kp_ref_gather(const kp_node *n, const kp_tensor *in, int n_in, kp_tensor *out);
int kp_ref_kernel(const kp_node *n, const kp_tensor *in, int n_in, kp_tensor *out);

/* Weights per output channel from its index: rows of (cin) times (cin, cout) added to rows of
 * (cout) in double, in the order of cin. wstride: elements between rows of w. */
void kp_ref_mac(double *acc, const real *x, const real *w, int64_t cin, int64_t wstride,
                int64_t cout);
/* The same for four x at once; acc rows lie accstride apart. Each sum is that of kp_ref_mac. */
void kp_ref_mac4(double *acc, int64_t accstride, const real *const x[4], const real *w, int64_t cin,
                 int64_t wstride, int64_t cout);

/* v as a float of that type holds it. */
double kp_ref_round(kp_dtype dtype, double v);
/* Functions that the C library lacks. */
double kp_ref_i0(double x);
double kp_ref_erfinv(double y);
double kp_ref_digamma(double x);
double kp_ref_lgamma(double x);

/* Memory for one call; NULL with kp_errmsg. Release with free. */
void *kp_ref_scratch(size_t n, size_t elem_bytes);

/* Strides with which a walk over x's places follows the array that remains when the axes are
 * reduced; *n_groups: its elements. */
void kp_ref_group_strides(const kp_tensor *x, const kp_axes *axes, int64_t *stride,
                          int64_t *n_groups);

#endif
