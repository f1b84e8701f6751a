/*
 * Inside runtime: the open model, its variants (one per input shape: specialised graph and
 * executable) and the gathering of rows. Only files of this folder include it.
 */
#ifndef KP_RUNTIME_MODEL_H
#define KP_RUNTIME_MODEL_H

#include "backend/backend.h"
#include "keras/keras.h"
#include "lower/lower.h"
#include "runtime/plugin.h"
#include "runtime/runtime.h"

/* A model that leaves sizes open is compiled for each shape that it meets. The oldest variant goes
 * when there are more. */
enum { KP_VARIANTS_MAX = 4 };

/* A node whose result has a size that only the data of a batch decide. */
typedef struct kp_open_node {
    kp_node *node;      /* in the lowered graph */
    kp_node *probe;     /* its copy in the probe's graph */
    const void *params; /* as lowered: the size is open */
    const void *fixed;  /* those of the variant that was made last */
} kp_open_node;

/* The model made ready for one shape of its inputs. */
typedef struct kp_variant {
    int64_t
        *shapes; /* n_inputs times KP_MAX_DIMS, the batch as KP_DIM_BATCH: what it was made for */
    int64_t *sizes;  /* n_open: of the open nodes */
    int64_t rows;    /* of a model that is lowered for a number of rows, else 0 */
    kp_lowered low;  /* for these rows, when they are not those of the model's */
    kp_arena *mem;   /* the open nodes' params, what low points to */
    kp_graph *graph; /* specialised and optimised */
    kp_exec *exec;
    int64_t max_batch;
    void **in_buffer;  /* room for max_batch rows of each input, 64-byte aligned; made on demand */
    void **out_buffer; /* the same for outputs */
    uint64_t last_use;
} kp_variant;

struct kp_model {
    kp_arena *mem;
    kp_keras *keras;
    kp_plugins plugins;
    kp_lowered low;
    kp_model_info info;
    const kp_backend *backend;
    int64_t asked_batch; /* options.max_batch, 0: by rule */
    kp_scaling scaling;  /* of image inputs in kp_model_predict */
    bool grouped;        /* rows depend on their batch */
    bool refusing;       /* what a row holds may make the whole call fail */
    kp_open_node *open;
    int n_open;
    kp_variant *probe;  /* n_open > 0: a graph of size 1, never compiled, that inputs are fed to */
    int64_t *sizes_now; /* n_open: measured of the batch that runs */
    int64_t rows_now;   /* low.rows > 0: the rows of the batch that runs */
    kp_lower_options lowering; /* as the model was lowered */
    kp_variant *variants[KP_VARIANTS_MAX];
    int n_variants;
    uint64_t clock;
    kp_staging *staging; /* n_inputs, after kp_model_stage */
    kp_variant *staged;
    size_t staged_width; /* of string outputs */
    const void **in_now; /* n_inputs and n_outputs pointers of the batch that runs */
    void **out_now;
};

/* The variant for these input shapes (n_inputs times KP_MAX_DIMS sizes; the first of each is the
 * batch and ignored), m->sizes_now and m->rows_now, compiled now if there is none. */
int kp_variant_get(kp_model *m, const int64_t *shapes, kp_variant **out);
/* The same without an executable, for m->probe. */
int kp_variant_probe(kp_model *m, const int64_t *shapes, kp_variant **out);
void kp_variant_free(kp_model *m, kp_variant **v);
/* KP_ESHAPE when rows of b's outputs do not go into the arrays of a's. */
int kp_variant_joins(const kp_model *m, const kp_variant *a, const kp_variant *b);
/* Buffers for max_batch rows; a second call does nothing. */
int kp_variant_in_buffer(kp_variant *v, size_t input, void **out);
int kp_variant_out_buffer(kp_variant *v, size_t output, void **out);
/* Bytes of one row of a value of the variant's graph. */
size_t kp_value_row_bytes(const kp_value *v);
/* The specialised graph for the model's own shapes when it leaves none open, else KP_ESHAPE. */
bool kp_model_shapes_closed(const kp_model *m);

/* ---- measure.c ---- */
/* Finds the open nodes, and whether rows depend on their batch. */
int kp_measure_init(kp_model *m);
/* Makes m->probe for these shapes. KP_ESHAPE when an output's own size is open: out of batches of
 * different sizes no array can be made (unless one is all). */
int kp_measure_begin(kp_model *m, const int64_t *shapes, bool one_batch);
/* Fills m->sizes_now from the inputs at m->in_now. */
int kp_measure_run(kp_model *m, int64_t n_rows);

/* The batch size by rule: enough work for each call to hide its cost, little enough to keep
 * activations in cache and to answer soon. port_bytes: of a row's inputs and outputs; row_bytes:
 * the same and its two largest values. */
int64_t kp_batch_rule(double flops_per_row, size_t port_bytes, size_t row_bytes,
                      size_t memory_bytes);

/* Whether the scaling of kp_model_options.preprocess applies to the input: an image. */
bool kp_port_is_image(const kp_port *port, const kp_scaling *s);

#endif
