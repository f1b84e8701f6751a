/*
 * lower: Keras layers to a graph. One table from class name to a function that adds nodes; one
 * file an area (core, conv, pool, norm, merge, reshape, activation, preprocessing).
 *
 * Refuses: layers that need code or are not supported: KP_EMODEL naming layer, class and place.
 * Called by: runtime, one thread. Blocks: nothing.
 */
#ifndef KP_LOWER_H
#define KP_LOWER_H

#include "graph/graph.h"
#include "keras/keras.h"
#include <kpredict/layer.h>

/* What summary prints of one call of a layer: filled while lowering, in the order of calls. */
typedef struct kp_lowered_layer {
    const kp_layer *layer;
    int depth; /* 0: the top model's own layers */
    int64_t n_params, n_trainable;
    size_t param_bytes, trainable_bytes; /* in the variables' types */
    int n_outputs;
    kp_value **outputs;      /* of the last call, as Keras' summary shows them */
    int64_t fixed_batch;     /* that the InputLayers of the model around it fix; 0: none */
    int first_node, n_nodes; /* the nodes that the first call added */
} kp_lowered_layer;

/* A variable that a layer asked for, as the file has it. weight.data NULL: the file has none, Keras
 * makes it anew. */
typedef struct kp_lowered_variable {
    const kp_layer *layer;
    const char *sub, *name; /* below the layer, as kp_keras_weight takes them */
    bool trainable;
    kp_dtype dtype; /* the variable's; the file may hold it in another one */
    kp_weight weight;
} kp_lowered_variable;

typedef struct kp_lowered {
    kp_graph *graph; /* before passes */
    kp_port *inputs; /* names, types and shapes as the model's InputLayers say */
    int n_inputs;
    kp_port *outputs; /* name: the layer that produces it */
    int n_outputs;
    kp_lowered_layer *layers; /* every layer of every nested model, each once, parents first */
    int n_layers;
    kp_lowered_layer total; /* params and bytes of all */
    kp_lowered_variable
        *variables; /* in the order of creation; one that several layers are, once */
    int n_variables;
    int64_t fixed_batch;      /* the batch size that the file's InputLayers fix; 0: none */
    int64_t rows;             /* the graph is for so many rows, no others; 0: for any number */
    int64_t named_rows;       /* rows, because an operation names them as the whole batch; else 0 */
    struct kp_lw_user *users; /* states of plug-ins' kernels, which nodes of the graph hold */
    bool softmax_output;
    json_t *made;           /* configurations of operations that stand for others in the file */
    const char *preprocess; /* "none", "tf", "torch", "caffe" by name and layers */
} kp_lowered;

typedef struct kp_lower_options {
    bool keras_shapes; /* for summary: the shapes that Keras' layers know, with nested models at
                          their own inputs' shapes; not to be run */
    const char *const *layers; /* paths of layers whose outputs are to be the model's: of each all
                                  calls in their order. None: the model's own outputs */
    size_t n_layers;
    const kp_layer_class *const *classes; /* of plug-ins; checked by kp_lower_check_class */
    size_t n_classes;
    int64_t batch; /* rows of a batch, for a model whose rows depend on each other in more ways than
                      a kernel's whole_batch; 0: as the file's InputLayers fix it, else
                      KP_PREDICT_BATCH */
    int64_t rows;  /* > 0: the graph is for so many rows, no others */
} kp_lower_options;

/* Where rows depend on the batch that they are in, batches are those of Keras' predict: so many
 * rows from the first one on, unless the caller fixes another number. */
enum { KP_PREDICT_BATCH = 32 };

enum { KP_LAYER_INPUTS_MAX = 64 }; /* arrays that a plug-in's kernel takes */

/* KP_EUSAGE when a class of a plug-in is not whole or has the name of one of Keras' own. */
int kp_lower_check_class(const kp_layer_class *class);
/* opt may be NULL. A model that cannot be computed row by row is lowered for opt->batch rows, or
 * for those that its operations name, if only then its outputs are rows. KP_EUSAGE: the model has
 * no such layer. */
int kp_lower(kp_keras *k, kp_arena *mem, const kp_lower_options *opt, kp_lowered *out);
/* Frees the graph and what plug-ins hold; the rest lies in mem. */
void kp_lowered_fini(kp_lowered *l);

#endif
