/*
 * Own vector kernels, one table per instruction set. Each has a plain twin in `ref` and a test that
 * compares them.
 *
 * The bytes of an element depend on its inputs alone, never on its place in an array: tails go
 * through the same vector code with padding, sums run in an order fixed by the sizes of one row.
 * Pointers need only be aligned for float. dst may be src where a kernel is elementwise.
 */
#ifndef KP_CPU_KERNELS_H
#define KP_CPU_KERNELS_H

#include "backend/backend.h"

/* So many products are added before the sums go to y. */
enum { KP_DENSE_K_BLOCK = 1024 };

/* y (m, n) = x (m, k) * w (k, n) + bias + residual. w is packed by kp_dense_pack for the same
 * table. Each element is one chain of additions in the order of k. */
typedef struct kp_dense_args {
    int64_t m, n, k;
    const float *x;
    const float *w;
    const float *bias;     /* padded to a whole panel; NULL: none */
    const float *residual; /* (m, n); y only when k <= KP_DENSE_K_BLOCK; NULL: none */
    float *y;
} kp_dense_args;

typedef struct kp_kernels {
    const char *name;
    int panel; /* columns of a packed panel of kp_dense_args.w */
    /* False: the function is not vectorised, nothing was done. */
    bool (*act)(const kp_act *act, float *dst, const float *src, int64_t n);
    /* dst = a op b. b_step 0: b is one value; swapped: b op a. */
    bool (*binary)(kp_binary_kind kind, bool swapped, float *dst, const float *a, const float *b,
                   int b_step, int64_t n);
    /* dst = src * scale + shift over the last axis of c values. */
    void (*affine)(float *dst, const float *src, const float *scale, const float *shift,
                   int64_t rows, int64_t c);
    void (*dense)(const kp_dense_args *a);
    /* dst (c) = mean of n rows of c values. */
    void (*mean)(float *dst, const float *src, int64_t n, int64_t c);
    /* One row of n values. */
    void (*softmax)(float *dst, const float *src, int64_t n);
} kp_kernels;

/* The best table for this machine. The variable ONEDNN_MAX_CPU_ISA (SSE41, AVX2) holds for ours as
 * for oneDNN's kernels. NULL: the processor lacks SSE4.1. */
const kp_kernels *kp_kernels_get(void);
/* Whether the table's act computes this function. */
bool kp_kernels_has_act(kp_act_kind kind);

size_t kp_dense_packed_floats(const kp_kernels *t, int64_t k, int64_t n);
/* The rows [row0, row1) of w, (k, n) in C order, maybe unaligned. */
void kp_dense_pack(const kp_kernels *t, float *packed, const void *w, int64_t k, int64_t n,
                   int64_t row0, int64_t row1);

/* 64-byte aligned memory for n floats, NULL if there is none; free() it. */
float *kp_floats_new(size_t n);
/* A copy of n biases, padded with 0 to a whole panel; NULL: out of memory. free() it. */
float *kp_dense_bias(const kp_kernels *t, const float *bias, int64_t n);

extern const kp_kernels kp_kernels_sse41;
extern const kp_kernels kp_kernels_avx2;
extern const kp_kernels kp_kernels_avx512;

#endif
