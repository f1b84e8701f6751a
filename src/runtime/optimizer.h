/*
 * What the variables of an optimizer take: private to runtime.
 */
#ifndef KP_RUNTIME_OPTIMIZER_H
#define KP_RUNTIME_OPTIMIZER_H

#include "lower/lower.h"

typedef struct kp_optimizer_size {
    bool is_built; /* false: the model is not compiled */
    int64_t n_params;
    double bytes;
} kp_optimizer_size;

/* Of the optimizer that Keras makes when it loads the model. One of a class that Keras does not
 * have counts as none: such a file is loaded without it. */
int kp_optimizer_measure(const kp_lowered *l, kp_keras *k, kp_optimizer_size *out);

#endif
