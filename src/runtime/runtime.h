/*
 * runtime: a model made ready and run on arrays: opens the file, lowers, optimises, specialises and
 * compiles per input shape, forms batches. The kp_model_* calls of the public header live here.
 *
 * Refuses: images, processes. Called by: kp-device and, through libkpredict-engine.so, users of
 * kp_model_*. One call at a time per model. Blocks: to load and to compute.
 */
#ifndef KP_RUNTIME_H
#define KP_RUNTIME_H

#include "base/base.h"

/* Whether rows depend on the batch that they are in: such a model runs info.max_batch rows at once,
 * counted from the first row of what the caller gives together, as Keras' predict does. */
bool kp_model_is_grouped(const kp_model *m);
/* Whether what a row holds may make the call fail (a token without an index): rows that shall not
 * share that fate are run apart. */
bool kp_model_may_refuse(const kp_model *m);

/* How rows reach the model from memory that is not one array: kp-device's slots. For each input
 * the element type and the sizes of one row (without batch) of what the segments hold. */
typedef struct kp_staging {
    kp_dtype dtype;
    int ndim;
    int64_t shape[KP_MAX_DIMS];
    int32_t string_bytes; /* KP_STRING: bytes of one element */
    kp_scaling scaling;   /* applied while the rows are gathered and cast to the input's type */
} kp_staging;

/* n_rows consecutive rows of every input. */
typedef struct kp_segment {
    int64_t n_rows;
    const void *const *inputs;
} kp_segment;

/* Fixes the staging and compiles for it. KP_ESHAPE with both shapes in the text when a row does
 * not fit an input. outputs (n_outputs ports, may be NULL) get the shapes that result. */
int kp_model_stage(kp_model *m, const kp_staging *inputs, size_t n_inputs, kp_port *outputs);
/* After kp_model_stage: bytes of an element of the outputs that are strings. */
size_t kp_model_staged_width(const kp_model *m);
/* Gathers the segments (together 1 to max_batch rows), runs, writes the rows of output o to
 * out[o], dense. */
int kp_model_run_staged(kp_model *m, const kp_segment *segments, size_t n_segments,
                        void *const *out);

#endif
