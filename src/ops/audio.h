/* What spectrograms need beside transforms. Part of ops.h. */
#ifndef KP_OPS_AUDIO_H
#define KP_OPS_AUDIO_H

#include "graph/graph.h"

/* x (float32): nothing is more than `range` below the largest element of the whole batch. */
extern const kp_kernel_def kp_kernel_range;
typedef struct kp_range {
    float range;
} kp_range;

/* Weights (n_bins, n_bands) that sum a spectrum of frequencies 0 to rate/2 in triangles which are
 * even on the mel scale between low and high Hz; in float32 step by step, as Keras computes them.
 */
void kp_mel_weights(int64_t n_bins, int64_t n_bands, float rate, float low, float high, float *out);

#endif
