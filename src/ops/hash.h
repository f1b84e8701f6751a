/* Hashes of texts and numbers as TensorFlow computes them, and the layers' use of them: bins of
 * values, bins of crossed features. Part of ops.h. */
#ifndef KP_OPS_HASH_H
#define KP_OPS_HASH_H

#include "graph/graph.h"

/* FarmHash's Fingerprint64 ("na"). */
uint64_t kp_fingerprint64(const char *s, size_t n);
/* SipHash-2-4. */
uint64_t kp_siphash(const uint64_t key[2], const char *s, size_t n);
/* The decimal text of v, as tf.strings.as_string gives it; buf takes KP_DECIMAL bytes. */
enum { KP_DECIMAL = 24 };
kp_text kp_decimal(int64_t v, char *buf);

/* How a text becomes a bin. */
typedef struct kp_hashing {
    uint64_t bins; /* at least 1 */
    bool salted;
    uint64_t key[2]; /* salted: of SipHash */
} kp_hashing;
int64_t kp_hash_bin(const kp_hashing *h, kp_text t);

/* x of strings, integers, booleans or floats (cut to integers); the result has x's shape, int64. */
extern const kp_kernel_def kp_kernel_hash;
typedef struct kp_hash {
    kp_hashing hashing;
    bool masked;  /* what equals the mask becomes 0, the others 1 + their bin */
    kp_text mask; /* of strings */
    double mask_number;
} kp_hash;

/* At least two inputs of one shape, each strings or integers; the result is int64. */
extern const kp_kernel_def kp_kernel_cross;
typedef struct kp_cross {
    uint64_t bins;
} kp_cross;

#endif
