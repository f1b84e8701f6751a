/*
 * What the files of this folder share: the open file, its container, the index of its weights.
 *
 * A file is opened in four steps: sniff.c says what it is, file.c (zip.c for archives) finds
 * its text and HDF5 bytes, json.c parses the text, tree.c with nodes.c and topo.c makes
 * layers and calls of it, store_v3.c or store_h5.c says where the weights of each layer are.
 * Everything else is asked for later, weight by weight.
 */
#ifndef KP_KERAS_PRIVATE_H
#define KP_KERAS_PRIVATE_H

#include "keras/h5/h5.h"
#include "keras/keras.h"
#include "keras/zip.h"

#include <pthread.h>

enum {
    KP_MODEL_DEPTH = 32,       /* models and wrappers inside each other */
    KP_TEXT_LIMIT = 64 << 20,  /* bytes of config.json or model_config */
    KP_TREE_LIMIT = 768 << 20, /* bytes that layers, calls and indexes may take */
};

/* Where a variable's values are: a dataset of an open HDF5 file or an array of an npz archive. */
typedef struct kp_place {
    kp_h5 *h5; /* NULL: array */
    kp_h5_object object;
    const kp_weight *array;
} kp_place;

/* One dataset or group of v3 weights. */
typedef struct kp_entry {
    const char *path; /* '/' between names, also where Windows wrote '\' */
    kp_place place;
    bool is_dataset;
    bool used;
    bool covered; /* it lies under a layer of the model */
} kp_entry;

/* One variable of a legacy file, in the order of weight_names. */
typedef struct kp_slot {
    const char *name; /* as stored: "conv1/kernel:0" */
    kp_h5_object object;
    bool used;
} kp_slot;

/* The variables that a legacy file holds for one layer of the top model. */
typedef struct kp_slots {
    const char *layer_name;
    kp_slot *slots;
    int n_slots;
    bool claimed; /* by a layer of the model */
} kp_slots;

/* Where a layer's weights are; kp_layer.store. */
typedef struct kp_store {
    const char *group;     /* v3: "layers/dense"; NULL in legacy files */
    kp_slots *slots;       /* legacy: of the top-level layer that this layer belongs to */
    const char *shared_id; /* the object's shared_object_id, NULL if it has none */
    const kp_layer *twin;  /* the same object, met earlier in the tree: it has the data */
    bool asked;
    bool named; /* v3: the group's name attribute has been looked at */
} kp_store;

/* checker.c: the checksum of a large weights member, computed beside the rest of the work: most of
 * it is waiting for the same pages. */
typedef struct kp_checker {
    const kp_zip *zip;
    int member;
    pthread_t thread;
    bool running;
    _Atomic bool stop; /* written by the owner, read by the thread */
    bool intact;       /* written by the thread before it ends, read after the join */
} kp_checker;
void kp_checker_start(kp_checker *c, const kp_zip *zip, int member);
/* Waits for the result: KP_EMODEL if the bytes are damaged. */
int kp_checker_finish(kp_checker *c);
/* Ends it without a result. */
void kp_checker_stop(kp_checker *c);

/* One HDF5 file of several that hold a model's weights together. */
typedef struct kp_shard {
    kp_map map;
    kp_h5 *h5;
} kp_shard;

struct kp_keras {
    kp_arena *mem;
    const char *dim_ordering; /* Keras 1: what the file's first layer with one says, or NULL */
    char *label;              /* the path as given, for messages */
    kp_map map, weights_map;  /* weights_map: only of an unpacked archive */
    kp_zip *zip;
    json_t *config; /* the top object; layers point into it */
    json_t *made;   /* objects made here that layers point to */
    kp_h5 *h5;      /* NULL when the weights are in shards or in an npz archive */
    kp_shard *shards;
    int n_shards;
    kp_zip *npz;
    kp_entry *arrays; /* of npz */
    int n_arrays;
    kp_h5_object legacy;       /* the group with layer_names */
    const char *legacy_prefix; /* its place: "model_weights/", "" in a file of weights only */
    const char *version, *backend;
    int major;
    enum kp_keras_format format;
    kp_layer *root;
    kp_entry *entries; /* v3: sorted by path */
    int n_entries;
    kp_slots *groups; /* legacy: in the order of layer_names */
    int n_groups;
    kp_checker checker;
};

/* json.c: text to values. Bare NaN, Infinity and -Infinity become strings of that spelling;
 * integers beyond 64 bits become reals, or strings where they are a shared_object_id. what names
 * the text in messages. The caller owns *out. */
int kp_json_read(json_t **out, const char *text, size_t size, const char *what);
/* True if v is a number or one of the strings above. */
bool kp_json_real(const json_t *v, double *out);
/* The member if it is a string, else dflt. */
const char *kp_json_str(const json_t *object, const char *key, const char *dflt);

/* file.c: fills in config, version, format and opens the weights; a given architecture replaces
 * the file's own config. */
int kp_file_open(kp_keras *k, const char *path, const char *architecture);
/* Sets version and major; an empty version leaves major 0. */
int kp_file_set_version(kp_keras *k, const char *version);
/* A HDF5 file, maybe behind a user block. */
bool kp_is_hdf5(const uint8_t *bytes, size_t size);
int kp_file_open_h5(kp_h5 **out, const uint8_t *bytes, size_t size);
/* file_h5.c: a whole HDF5 file: a legacy model, or weights of either layout for k->config. */
int kp_file_open_hdf5(kp_keras *k, const uint8_t *bytes, size_t size);
/* architecture.c: config, and version and backend where they stand there, from the text of
 * to_json() or get_config(). */
int kp_architecture_read(kp_keras *k, const char *path);
/* The major version of a Keras that wrote such a config, where nothing else tells: 2 or 3. */
int kp_architecture_major(const json_t *config);
/* shards.c: opens the files that an index (NAME.weights.json, at path) lists. */
bool kp_is_shard_index(const uint8_t *bytes, size_t size);
int kp_shards_open(kp_keras *k, const char *path, const uint8_t *text, size_t size);
/* npz.c: opens model.weights.npz. */
int kp_npz_open(kp_keras *k, const uint8_t *bytes, size_t size);
/* The strings of an attribute of k->h5, also one that is split into NAME0, NAME1, ...; n 0 if there
 * is none or it is an empty list. */
int kp_h5_attr_strings(kp_keras *k, const kp_h5_object *obj, const char *name, const char ***out,
                       int *n);
/* sniff.c: KP_EMODEL saying what a file that is no model is, and the way back. */
int kp_refuse_bytes(const uint8_t *bytes, size_t size);
int kp_refuse_archive(const kp_zip *z);
int kp_refuse_folder(const char *path);

/* tree.c: the object of a layer or model to a kp_layer. name: the graph's name for it or NULL. */
int kp_tree_layer(kp_keras *k, json_t *object, kp_layer *parent, const char *name, int depth,
                  kp_layer **out);
/* The shape of the input that a model needs whose first layer is object, without a batch size:
 * null; a new reference, or NULL if none is known. And its type. */
json_t *kp_tree_input_shape(const json_t *object);
const char *kp_tree_input_dtype(const json_t *first);
/* old_branches.c: a Sequential that begins with a Merge of models becomes a Functional, in place.
 */
int kp_old_branches(kp_keras *k, json_t *object);
/* old.c: an object of Keras 1 in the words of later versions, in place. */
int kp_old_modernise(kp_keras *k, json_t *object);
/* The first dim_ordering within, NULL if there is none. */
const char *kp_old_dim_ordering(const json_t *v, int depth);
/* old_weights.c: a variable of a file of Keras 1 in today's form. KP_ENOTFOUND: the file is none,
 * or has no such name. */
int kp_old_weight(kp_keras *k, const kp_layer *l, const char *sub, const char *name,
                  kp_weight *out);
/* Turns the kernel of a convolution of Keras 2 that was trained on Theano; else does nothing. */
int kp_old_turn(kp_keras *k, const kp_layer *l, const char *name, kp_weight *w);
/* Convolutions written on Theano that say padding "same" get "half", which is what they did there.
 */
int kp_old_padding(kp_keras *k);

/* policy.c */
int kp_policy_parse(kp_keras *k, const kp_layer *l, const json_t *dtype, kp_policy *out);
/* nodes.c: calls, inputs and outputs of a Functional whose layers are parsed; entries are the
 * objects in the order of m->layers. */
int kp_nodes_parse(kp_keras *k, kp_layer *owner, kp_layers *m, const json_t *entries);
/* The calls of a Sequential: a chain. */
int kp_nodes_chain(kp_keras *k, kp_layer *owner, kp_layers *m);
/* resolve.c: references that hold a layer's number (ref.call) and a stored node index (integer)
 * become references to calls; layer i's calls begin at first_call[i] and end at first_call[i + 1].
 */
int kp_refs_resolve(kp_keras *k, const kp_layer *owner, kp_layers *m, const int *first_call);
/* topo.c: sorts m->calls and renumbers the references. */
int kp_calls_sort(kp_keras *k, const kp_layer *owner, kp_layers *m);
/* Calls fn for each reference in a, nested ones too; stops at the first that is not 0. */
typedef int (*kp_ref_fn)(void *ctx, kp_arg *ref);
int kp_arg_refs(kp_arg *a, kp_ref_fn fn, void *ctx);

/* keras.c: the values at a place; out->where stays. KP_EMODEL: no numbers, or not as many as its
 * shape says. */
int kp_place_read(const kp_place *p, kp_weight *out);

/* twins.c: fills in kp_store.twin of all layers. */
int kp_twins_find(kp_keras *k);
/* store_v3.c: weights by path. open makes the index and says where each layer's group is; find
 * gives KP_ENOTFOUND when there is no such variable, *where is set in any case. */
int kp_v3_open(kp_keras *k);
int kp_v3_find(kp_keras *k, const kp_layer *l, const char *sub, int index, const char *name,
               kp_place *out, const char **where);
/* The path of the layer's group, "layers/dense"; NULL if it has none. */
const char *kp_v3_group(kp_keras *k, const kp_layer *l);
int kp_v3_count(kp_keras *k, const kp_layer *l, const char *sub);
int kp_v3_check_unused(kp_keras *k);
/* index_h5.c and store_h5.c: weights by layer_names and weight_names; as above. */
int kp_legacy_open(kp_keras *k);
int kp_legacy_find(kp_keras *k, const kp_layer *l, const char *sub, int index, const char *name,
                   kp_place *out, const char **where);
/* Whether the layer, or its part sub, is the backward half of a Bidirectional. */
bool kp_legacy_is_backward(const kp_layer *l, const char *sub);
int kp_legacy_count(kp_keras *k, const kp_layer *l, const char *sub);
int kp_legacy_check_unused(kp_keras *k);

/* order.c: the place in the weight list of a legacy top-level model (top) that variable name of
 * layer l, somewhere within it, has by Keras' order; -1 if the list cannot be of n weights. */
int kp_legacy_order(const kp_layer *top, const kp_layer *l, const char *name, int n);
/* Whether l, or anything within it, is of a class with variables. */
bool kp_legacy_has_variables(const kp_layer *l);

/* names.c: Keras' snake case of a class name ("Conv2D" -> "conv2d"), in the arena. */
char *kp_snake_case(kp_arena *mem, const char *class_name);
/* Calls fn for the layer, its inner layers and those of its model, parents first. */
typedef int (*kp_layer_fn)(void *ctx, kp_layer *l);
int kp_layer_walk(kp_layer *l, kp_layer_fn fn, void *ctx);

#endif
