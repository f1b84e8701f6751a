/* Vocabularies: tokens (texts or integers) to indices and back. Part of ops.h. */
#ifndef KP_OPS_LOOKUP_H
#define KP_OPS_LOOKUP_H

#include "ops/hash.h"

/* Token i has the index first + i. The arrays live as long as the graph. */
typedef struct kp_vocabulary {
    const kp_text *texts;   /* n tokens, or NULL: */
    const int64_t *numbers; /* n tokens */
    int64_t n;
    int64_t first;
    uint32_t *slots; /* by hash: token + 1, 0: free; n_slots is a power of two */
    size_t n_slots;
    bool masked; /* what equals the mask gets mask_index */
    kp_text mask;
    int64_t mask_number;
    int64_t mask_index;
    int64_t n_oov, oov_start; /* unknown tokens: an error, the index oov_start, or one of n_oov */
    bool floormod;            /* numbers: by the remainder instead of a hash of their digits */
    kp_hashing oov;           /* n_oov > 1: bins are n_oov */
} kp_vocabulary;

/* Makes slots in mem. KP_ENOMEM; KP_EMODEL: *repeated is a token that is there twice. */
int kp_vocabulary_index(kp_vocabulary *v, kp_arena *mem, int64_t *repeated);
/* The index of a token; KP_EINVAL naming it when it is unknown and n_oov is 0. */
int kp_vocabulary_text(const kp_vocabulary *v, kp_text t, int64_t *out);
int kp_vocabulary_number(const kp_vocabulary *v, int64_t t, int64_t *out);

/* x of strings, or int64 for a vocabulary of numbers; the result is int64 of x's shape. The
 * parameters are a kp_vocabulary. */
extern const kp_kernel_def kp_kernel_lookup;

/* x (int64) with every index outside 0..size-1 replaced by `size`: for a gather from a vector whose
 * last element stands for all others. */
extern const kp_kernel_def kp_kernel_inside;
typedef struct kp_inside {
    int64_t size;
} kp_inside;

#endif
