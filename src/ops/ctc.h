/* Connectionist temporal classification. Part of ops.h. */
#ifndef KP_OPS_CTC_H
#define KP_OPS_CTC_H

#include "graph/graph.h"

/* labels (N, L), logits (N, T, classes), number of labels (N), number of steps (N): minus the
 * logarithm of the labels' probability over all alignments, (N) float32. */
extern const kp_kernel_def kp_kernel_ctc_loss;
typedef struct kp_ctc_params {
    int64_t blank; /* its class; below 0: from the back */
} kp_ctc_params;

/* logits (N, T, classes), number of steps (N): the class of the largest logit at each step, without
 * repetitions and blanks, (N, T) int32 filled up with -1; or minus the sum of these logits, (N, 1).
 */
extern const kp_kernel_def kp_kernel_ctc_greedy;
typedef struct kp_ctc_greedy {
    int64_t blank;
    bool keep_repeated, scores;
} kp_ctc_greedy;

/* The same inputs: the most probable sequences of classes, (paths, N, T) int32 filled up with -1,
 * or the logarithms of their probabilities, (N, paths). `width` of them are followed from step to
 * step. KP_ESHAPE: a row has fewer. */
extern const kp_kernel_def kp_kernel_ctc_beam;
typedef struct kp_ctc_beam {
    int64_t blank; /* 0 <= blank < classes */
    int64_t width, paths;
    bool scores;
} kp_ctc_beam;

/* x[classes]: the logarithms of the probabilities of the classes whose logits begin at element
 * `at`. */
void kp_ctc_log_softmax(const kp_tensor *logits, int64_t at, int64_t classes, double *x);

#endif
