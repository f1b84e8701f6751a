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

/* What summary prints of one call of a layer: filled while lowering, in the order of calls. */
typedef struct kp_lowered_layer {
    const kp_layer *layer;
    int depth; /* 0: the top model's own layers */
    int64_t n_params, n_trainable;
    size_t param_bytes, trainable_bytes; /* in the variables' types */
    int n_outputs;
    kp_value **outputs;      /* of the last call, as Keras' summary shows them */
    int first_node, n_nodes; /* the nodes that the first call added */
} kp_lowered_layer;

typedef struct kp_lowered {
    kp_graph *graph; /* before passes */
    kp_port *inputs; /* names, types and shapes as the model's InputLayers say */
    int n_inputs;
    kp_port *outputs; /* name: the layer that produces it */
    int n_outputs;
    kp_lowered_layer *layers; /* every layer of every nested model, each once, parents first */
    int n_layers;
    int64_t fixed_batch; /* the batch size that the file's InputLayers fix; 0: none */
    bool softmax_output;
    const char *preprocess; /* "none", "tf", "torch", "caffe" by name and layers */
} kp_lowered;

int kp_lower(kp_keras *k, kp_arena *mem, kp_lowered *out);
/* Frees the graph; the rest lies in mem. */
void kp_lowered_fini(kp_lowered *l);

#endif
