/* Products of tensors whose axes have letters, as in einsum. Private to lower/. */
#ifndef KP_LOWER_CONTRACTION_H
#define KP_LOWER_CONTRACTION_H

#include "lower/build.h"

/* A letter for each axis; equal letters are equal sizes. */
enum { KP_LETTERS_MAX = 3 * KP_MAX_DIMS };
typedef struct kp_letters {
    int n;
    char at[KP_LETTERS_MAX];
} kp_letters;

/* A tensor whose axes have letters. */
typedef struct kp_factor {
    kp_value *x;
    kp_letters axes;
} kp_factor;

bool kp_letters_has(const kp_letters *s, char c);
/* Letters beyond the room are dropped: the result then does not fit, which is an error. */
void kp_letters_push(kp_letters *s, char c);
void kp_letters_add(kp_letters *s, const kp_letters *more);

/* The product of n >= 1 factors of one float type, summed over all letters that `out` lacks; its
 * axes are in the order of `out`. f is used up. Refuses what mixes rows of the batch. */
int kp_lw_product(kp_lw *w, const kp_lw_call *c, kp_factor *f, int n, const kp_letters *out,
                  kp_value **y);
/* Of matrices, as NumPy's matmul of at least 2 axes each. */
int kp_lw_matrix_product(kp_lw *w, kp_value *a, kp_value *b, kp_value **out);

#endif
