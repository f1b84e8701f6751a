/*
 * keras: a Keras file (a .keras archive, a legacy .h5) as a tree of layers, calls and weights.
 *
 * Refuses: anything from the file that would need code (Lambda, custom classes: by name, in lower),
 * links and external data, sizes beyond the limits below. Knows no shapes of activations and does
 * not compute. The file is hostile until proven otherwise.
 * Called by: runtime and lower, one thread. Blocks: to read the file.
 * In config, NaN, Infinity and -Infinity are strings of that spelling (JSON has no such numbers);
 * kp_cfg_float and kp_arg give them as numbers. An InputLayer's config has batch_shape whatever the
 * version wrote; that of a nested Sequential without an InputLayer may lack it: its call gives it.
 */
#ifndef KP_KERAS_H
#define KP_KERAS_H

#include "base/base.h"
#include <jansson.h>

typedef struct kp_keras kp_keras; /* an open file; owns everything below */
typedef struct kp_layer kp_layer;
typedef struct kp_layers kp_layers;
typedef struct kp_call kp_call;
typedef struct kp_arg kp_arg;

/* The layer's dtype policy: what it computes in, what its variables are. Default float32. */
typedef struct kp_policy {
    kp_dtype compute, variable;
    const char *quantization; /* NULL, "int8", "int4", "float8", "gptq", ... */
} kp_policy;

/* An output of a call: call number in kp_layers.calls, index in the call's flattened outputs. */
typedef struct kp_ref {
    int call;
    int tensor;
} kp_ref;

/* One argument of a call, whatever form the file used (Keras 3 args/kwargs, Keras 1/2 lists). */
typedef enum kp_arg_kind {
    KP_ARG_NONE,
    KP_ARG_REF,
    KP_ARG_BOOL,
    KP_ARG_INT,
    KP_ARG_FLOAT,
    KP_ARG_STR,
    KP_ARG_LIST,
    KP_ARG_DICT,
    KP_ARG_SLICE /* items: start, stop, step */,
    KP_ARG_ELLIPSIS,
    KP_ARG_CONST /* __tensor__, __numpy__: json holds value and dtype */
} kp_arg_kind;

struct kp_arg {
    kp_arg_kind kind;
    kp_ref ref;
    bool boolean;
    int64_t integer;
    double real;
    const char *str;
    int n_items;
    kp_arg *items;      /* LIST, DICT (values), SLICE */
    const char **keys;  /* DICT */
    const json_t *json; /* CONST */
};

enum { KP_DICT_MAX = 4096 }; /* items; those of longer dicts are taken as the file has them */

/* The item after the last one (-1: the first) in the order in which Keras flattens structures:
 * dicts by sorted key. n_items: none is left. */
int kp_arg_next(const kp_arg *a, int last);

struct kp_call {
    kp_layer *layer;
    int node_index; /* the layer's how-many-th call */
    kp_arg args;    /* LIST of positional arguments */
    kp_arg kwargs;  /* DICT */
};

/* The inside of a Functional or Sequential model. For Sequential the calls are synthesised: each
 * layer is called with the one before it. */
struct kp_layers {
    kp_layer **layers; /* in the order of the config */
    int n_layers;
    kp_call *calls; /* topological order; an InputLayer is one call without arguments */
    int n_calls;
    kp_arg inputs; /* REF or nested LIST/DICT of REFs, as the file has it */
    kp_arg outputs;
    kp_ref *flat_inputs; /* flattened: lists in order, dicts by sorted key */
    int n_inputs;
    kp_ref *flat_outputs;
    int n_outputs;
    bool sequential;
};

struct kp_layer {
    const char *class_name;      /* "Conv2D", as stored */
    const char *module;          /* "" if the file does not say */
    const char *registered_name; /* "" if null */
    const char *name;
    const char *path;     /* "resnet50/conv1_conv": for messages */
    const json_t *config; /* the object; never NULL */
    bool is_operation;    /* keras.ops node, no Layer (module keras.src.ops...) */
    bool is_custom;       /* module or registered_name says: not Keras' own */
    bool trainable;
    kp_policy policy;
    kp_layers *model; /* nested Functional or Sequential, else NULL */
    kp_layer *parent; /* the model or wrapper that it belongs to, NULL at the top */
    kp_layer **inner; /* of wrappers, by config key: "layer", "backward_layer", "cell" */
    const char **inner_key;
    int n_inner;
    void *store; /* keras/ only: where its weights are */
};

enum kp_keras_format { KP_FORMAT_KERAS_V3, KP_FORMAT_KERAS_V2_ZIP, KP_FORMAT_LEGACY_H5 };

/* Opens and parses; the file stays mapped until kp_keras_close. architecture: a JSON file (what
 * to_json() or get_config() gave) that holds the model when path holds only weights, and replaces
 * the one in path otherwise; NULL: path holds both. KP_EIO: cannot be read; KP_EMODEL: not a model,
 * truncated, or refused (the text says what it is and the way back). */
int kp_keras_open(kp_keras **out, const char *path, const char *architecture);
void kp_keras_close(kp_keras **k);
/* The top object: a Functional or Sequential (layer->model is set). */
kp_layer *kp_keras_root(kp_keras *k);
const char *kp_keras_version(const kp_keras *k); /* "3.8.0", "" if unknown */
int kp_keras_major(const kp_keras *k);           /* 1, 2, 3 */
enum kp_keras_format kp_keras_format_of(const kp_keras *k);
const char *kp_keras_backend(const kp_keras *k); /* legacy: "tensorflow", "theano"; "" if unknown */

/* A weight of a layer. data is dense, little-endian, maybe unaligned, and lives as long as k. */
typedef struct kp_weight {
    kp_dtype dtype;
    int ndim;
    int64_t shape[KP_MAX_DIMS];
    const void *data;
    size_t size_bytes;
    const char *where; /* its place in the file, for messages and inspect */
} kp_weight;

/* Asks for a variable. sub: path below the layer in the v3 layout ("" own variables, "cell",
 * "query_dense"); index: its number there (vars/INDEX); name: its name in old files ("kernel",
 * "moving_mean"). Ask in the order of creation: old files without usable names are matched by it.
 * shape: what it must be (a size of -1: any); ndim -1: any shape. KP_EMODEL with layer, variable
 * and both shapes in the text when it is missing or does not fit. */
int kp_keras_weight(kp_keras *k, const kp_layer *layer, const char *sub, int index,
                    const char *name, int ndim, const int64_t *shape, kp_weight *out);
/* How many variables the file holds for the layer at sub; 0 if none. */
int kp_keras_weight_count(kp_keras *k, const kp_layer *layer, const char *sub);
/* A file that the archive holds for the layer ("vocabulary.txt"): its bytes live as long as k.
 * KP_ENOTFOUND (no text): there is none; KP_EMODEL: damaged or too large. */
int kp_keras_asset(kp_keras *k, const kp_layer *layer, const char *name, const char **data,
                   size_t *size);
/* Before a model is lowered once more: no weight has been asked for. */
void kp_keras_forget_asked(kp_keras *k);
/* After lowering: KP_EMODEL when a layer that was lowered has variables that nobody asked for, when
 * the file has weights of layers that the model does not have, or when the weights of an archive do
 * not have their checksum (for large ones computed beside the lowering, by a thread of its own). */
int kp_keras_check_unused(kp_keras *k);

/* The first of the layers in the file that are one and the same object, which l belongs to. */
const kp_layer *kp_keras_same(const kp_layer *l);

/* The object (class_name, config) of the optimizer that loading the model makes, and whether Keras
 * makes its variables for the model's weights then (it does not for legacy files). *out NULL: the
 * model is not compiled. Lives as long as k. */
int kp_keras_optimizer(kp_keras *k, const json_t **out, bool *of_weights);

/* Typed access to config with Keras' defaults; wrong types are KP_EMODEL naming layer and key.
 * A missing key or null gives the default. */
int kp_cfg_int(const kp_layer *l, const char *key, int64_t dflt, int64_t *out);
int kp_cfg_float(const kp_layer *l, const char *key, double dflt, double *out);
int kp_cfg_bool(const kp_layer *l, const char *key, bool dflt, bool *out);
int kp_cfg_str(const kp_layer *l, const char *key, const char *dflt, const char **out);
/* An int or a list of n ints (an int, or a list of one, is repeated). */
int kp_cfg_ints(const kp_layer *l, const char *key, int n, int64_t dflt, int64_t *out);

#endif
