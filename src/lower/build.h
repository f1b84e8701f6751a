/*
 * What the files of this folder share: the state of one lowering, one call of a layer, and the
 * helpers that add nodes. Private to lower/.
 */
#ifndef KP_LOWER_BUILD_H
#define KP_LOWER_BUILD_H

#include "lower/lower.h"
#include "ops/ops.h"
#include <math.h>

/* A weight that is in the graph already: a layer that is called again uses the same constant. */
typedef struct kp_lw_weight {
    struct kp_lw_weight *next;
    const kp_graph *graph; /* the model's, or that of a loop's body */
    bool copy;             /* one of the same layer stands in another graph */
    int index;
    kp_value *value;
    kp_lowered_variable info;
    struct kp_lw_weight *newer; /* of all layers, in the order of creation */
} kp_lw_weight;

/* What one call of a layer gave. */
typedef struct kp_lw_given {
    struct kp_lw_given *next; /* in the order of the calls */
    int node_index;
    kp_value **values;
    int n;
} kp_lw_given;

/* What is known of a layer; found by its address. */
typedef struct kp_lw_record {
    const kp_layer *layer;
    kp_lowered_layer info;
    kp_lw_weight *weights;
    kp_lw_given *given; /* only when kp_lower_options.layers asks for layers */
    int order;          /* of the first call; -1: never called */
    int summed;         /* the sum that counted it last */
    bool at_own;        /* a model whose layers' shapes at its own inputs are known */
} kp_lw_record;

/* A value of no graph: a tensor whose rows are not simply those of the batch (view.h), or sizes
 * that are not known yet (size.h). */
typedef struct kp_lw_handle {
    const kp_value *value; /* NULL: this place of the hash table is free */
    const struct kp_lw_view *view;
    const struct kp_lw_size_list *sizes;
} kp_lw_handle;

typedef struct kp_lw {
    kp_keras *k;
    kp_graph *g;           /* that gets the nodes: the model's, or a loop's body within */
    const kp_graph *whole; /* the model's */
    kp_arena *mem;
    int major, minor; /* of the Keras that wrote the file; minor INT_MAX where none is told */
    bool training;    /* inside a model that is called with training=True */
    kp_lower_options opt;
    kp_lowered *out;
    bool silent;         /* nothing is recorded: the layers' shapes are not Keras' own */
    int64_t fixed_batch; /* of the model that is lowered now */
    int depth;           /* of nested models */
    kp_dtype real; /* what floats are computed in now: float32, or float64 where a policy says so */
    const char *name;            /* of the nodes that are added now: the layer's path */
    kp_lw_record *record;        /* of the layer that is lowered now */
    const kp_layer *raw; /* that a wrapper runs by call(), which takes a kernel of few bits for the
                            numbers that they are, without its scale; NULL: none */
    const struct kp_lw_env *env; /* of the model that is lowered now */
    kp_lw_record *slots;         /* hash table over layers, n_slots a power of two */
    size_t n_slots;
    int n_called;
    kp_lw_weight *oldest, *newest;
    kp_lw_handle *handles; /* hash table by value, cap_handles a power of two */
    size_t n_handles, cap_handles;
    struct kp_lw_symbol *symbols; /* the open sizes that are computed with */
    int n_added;                  /* nodes of all graphs */
    json_t *made; /* configurations made here, of operations that the file does not hold as such */
} kp_lw;

/* What a call gives: its tensors in flat order, and the mask of each (NULL: it has none). */
typedef struct kp_lw_result {
    kp_value **values, **masks;
    int n;
} kp_lw_result;

/* The outputs of the calls of one model, by call number. */
typedef struct kp_lw_env {
    kp_lw_result *results;
    int n_calls;
    const struct kp_lw_env *outer; /* of the model that calls this one, NULL at the top */
} kp_lw_env;

typedef struct kp_lw_call {
    const kp_layer *layer;
    const kp_call *call;
    const kp_lw_env *env;
    kp_value **in; /* the tensors among the arguments, in order; a layer's floats are w->real, those
                      of an operation as they are. Not a layer's "mask": that is in_mask */
    kp_value *
        *in_mask; /* by input: the mask that came with it or was given for it, bool, or NULL */
    int n_in;
    int variant;       /* from the table: number of spatial axes, kind of operation */
    kp_lw_result *res; /* to be filled; one value unless kp_lw_outputs asks for more */
} kp_lw_call;

/* out: c->res->values, room for one. More outputs: kp_lw_outputs. */
typedef int (*kp_lw_fn)(kp_lw *w, const kp_lw_call *c, kp_value **out);

/* Whether training=True in a call changes what it computes. Keras 3 writes it for every
 * augmentation of images, because it is the default of their call(), and predict() overrides it. */
typedef enum kp_lw_trains { KP_LW_SAME, KP_LW_TRAINS, KP_LW_TRAINS_BEFORE_3 } kp_lw_trains;

/* What becomes of the mask (which steps of a sequence count) that came with the first tensor: most
 * layers destroy it, some hand it on, some make their own (res->masks). */
typedef enum kp_lw_mask_rule { KP_LW_MASK_DROP, KP_LW_MASK_PASS, KP_LW_MASK_OWN } kp_lw_mask_rule;

typedef struct kp_lw_entry {
    const char *class_name;
    kp_lw_fn fn;
    int variant;
    int min_in, max_in; /* number of tensors; max_in 0: no limit */
    kp_lw_trains trains;
    kp_lw_mask_rule mask;
} kp_lw_entry;

/* Of an entry: one tensor in, and training=True changes nothing. */
#define KP_LW_ONE 1, 1, KP_LW_SAME

/* NULL when there is none. operation: a node of keras.ops, not a layer. */
const kp_lw_entry *kp_lw_find(const char *class_name, bool operation);

/* ---- model.c ---- */
/* in: one result per input of the model, of one value each. */
int kp_lw_model(kp_lw *w, const kp_layer *layer, const kp_lw_result *in, kp_lw_result *out);
/* Room for n outputs of the call; *out gets the array to fill. */
int kp_lw_outputs(kp_lw *w, const kp_lw_call *c, int n, kp_value ***out);
int kp_lw_result_new(kp_lw *w, int n, kp_lw_result *out);
kp_lw_record *kp_lw_record_of(kp_lw *w, const kp_layer *layer);
/* A graph input for input j of the model. */
int kp_lw_model_input(kp_lw *w, const kp_layers *m, int j, kp_port *port, kp_value **out);
/* The batch size that an InputLayer fixes; 0: none. */
int64_t kp_lw_fixed_batch(const kp_layer *l);
/* KP_EMODEL when the call runs the layer as in training. */
int kp_lw_check_training(const kp_lw *w, const kp_call *call);

/* A call of a layer inside a wrapper, with one tensor and its mask (NULL: none), as if it stood in
 * a model. */
int kp_lw_call_inner(kp_lw *w, kp_layer *inner, kp_value *x, kp_value *mask, kp_lw_result *out);

/* ---- whole.c ---- */
/* The call once more, with arrays of w->opt.rows rows instead of batches. */
typedef int (*kp_lw_once)(kp_lw *w, const kp_lw_env *env, const kp_call *call, kp_lw_result *out);
int kp_lw_whole_call(kp_lw *w, const kp_lw_env *env, const kp_call *call, kp_lw_once once,
                     kp_lw_result *out);
/* Arrays of w->opt.rows rows are batches again; anything else stays as it is. */
int kp_lw_result_rows(kp_lw *w, kp_lw_result *r);
/* The same for an output of the model, which is no view. */
int kp_lw_output_rows(kp_lw *w, kp_value *x, kp_value **out);

/* ---- outputs.c ---- */
/* The graph's outputs, out->outputs and out->softmax_output. made: what the root model gave. */
int kp_lw_set_outputs(kp_lw *w, const kp_layer *root, const kp_lw_result *made, kp_lowered *out);

/* ---- body.c: graphs within loops ---- */
/* From here until kp_lw_body_end nodes go into the body of a new loop. */
int kp_lw_body_begin(kp_lw *w, kp_graph **outer);
/* The body's next input, for a value of the outer graph; of a sequence one step (without axis 1).
 */
int kp_lw_body_input(kp_lw *w, const kp_value *v, bool sequence, kp_value **out);
/* The same for a state that begins as zeros: the shape behind the batch. */
int kp_lw_body_state(kp_lw *w, const int64_t *shape, int ndim, kp_value **out);
int kp_lw_body_end(kp_lw *w, kp_graph *outer, kp_value *const *outputs, int n, kp_graph **body);

/* ---- args.c ---- */
/* All tensors of a call's arguments: positional ones first, lists in order. */
int kp_lw_collect(kp_lw *w, const kp_lw_env *env, const kp_call *call, kp_lw_result *out);
int kp_lw_ref(const kp_lw_env *env, kp_ref ref, kp_value **out);
/* The mask that came with it, NULL if none. */
kp_value *kp_lw_ref_mask(const kp_lw_env *env, kp_ref ref);
/* What a call finds in place of earlier calls' results while it is lowered. */
typedef struct kp_lw_swap {
    struct kp_lw_swap *before;
    kp_value **at, *was;
} kp_lw_swap;
typedef struct kp_lw_swaps {
    int (*instead)(void *ctx, kp_value *was, kp_value **now); /* *now is was when it is called */
    void *ctx;
    kp_lw_swap *newest;
} kp_lw_swaps;
/* The tensors among the call's arguments, and their masks, become what s->instead says; also after
 * a failure kp_lw_swap_back puts them back. */
int kp_lw_swap_in(kp_lw *w, const kp_lw_env *env, const kp_call *call, kp_lw_swaps *s);
void kp_lw_swap_back(kp_lw_swaps *s);
/* An argument by name only; NULL if absent. */
const kp_arg *kp_lw_keyword(const kp_call *call, const char *name);
/* An argument by position or, if it is not there, by name; NULL if absent. */
const kp_arg *kp_lw_arg(const kp_lw_call *c, int position, const char *name);
/* A tensor argument (floats as w->real) and the mask that came with it (NULL: not asked for); both
 * NULL when the call does not give it. */
int kp_lw_arg_tensor(kp_lw *w, const kp_lw_call *c, int position, const char *name, kp_value **out,
                     kp_value **mask);
/* True or false; false when the call does not say. */
int kp_lw_arg_flag(const kp_lw_call *c, int position, const char *name, bool *out);
/* From now on the tensor has no mask, in any call that gave it. */
void kp_lw_forget_mask(const kp_lw_env *env, kp_ref ref);
/* A number: *is_number is false for a tensor. */
bool kp_lw_arg_number(const kp_arg *a, double *out);
/* What the call says about training: 1, 0, or -1 when it does not say. */
int kp_lw_training(const kp_call *call);

/* ---- types.c: Keras' promotion of types ---- */
/* The type of an operand: a kp_dtype, or that of a Python number, which gives way to a tensor's. */
enum { KP_LW_WEAK_INT = KP_DTYPE_COUNT, KP_LW_WEAK_FLOAT };
/* keras.backend.result_type of n >= 1 types. KP_EMODEL: they have no common type. */
int kp_lw_result_type(const int *types, int n, kp_dtype *out);

/* ---- operand.c: operands of operations ---- */
typedef struct kp_lw_operand {
    kp_value *value; /* NULL: a Python number */
    int type;        /* a kp_dtype, or the weak type of a Python number */
    int64_t integer; /* of a number with type KP_LW_WEAK_INT */
    double real;     /* of any other number */
} kp_lw_operand;
/* Of a tensor, a number, a stored array (__numpy__, __tensor__), a list of numbers, a string. */
int kp_lw_operand_of(kp_lw *w, const kp_lw_call *c, const kp_arg *a, kp_lw_operand *out);
/* A Python number becomes int32 or float32, as by convert_to_tensor: it gives way no more. */
void kp_lw_operand_settle(kp_lw_operand *o);
/* As a value of that type. */
int kp_lw_operand_as(kp_lw *w, const kp_lw_operand *o, kp_dtype dtype, kp_value **out);
/* The three steps in one: convert_to_tensor(a). */
int kp_lw_tensor_of(kp_lw *w, const kp_lw_call *c, const kp_arg *a, kp_value **out);
/* A constant from nested lists; dtype NULL: as TensorFlow takes a list. */
int kp_lw_json_array(kp_lw *w, const json_t *v, const char *dtype, kp_value **out);

/* An operation's stored array or number config[key], as that type. */
int kp_lw_config_array(kp_lw *w, const kp_layer *l, const char *key, kp_dtype type, kp_value **out);
/* Up to max (at most KP_LW_INTS_MAX) integers of at most 32 bits in config[key], nested or not. */
enum { KP_LW_INTS_MAX = 1024 };
int kp_lw_ints(const kp_layer *l, const char *key, int max, int64_t *out, int *n);
int kp_lw_scalar(kp_lw *w, kp_dtype type, double v, kp_value **out);
/* v in an array of x's shape. */
int kp_lw_filled(kp_lw *w, kp_dtype type, double v, kp_value *x, kp_value **out);
/* x as a vector: of all rows of the batch, if it has one. */
int kp_lw_flat(kp_lw *w, kp_value *x, kp_value **out);

/* ---- op_pairs.c, op_reduce.c ---- */
/* Of two values of one type. */
int kp_lw_pair(kp_lw *w, kp_binary_kind kind, kp_value *a, kp_value *b, kp_value **out);
/* Add, subtract, multiply, divide, ... two arguments by Keras' rules. */
int kp_lw_arithmetic(kp_lw *w, const kp_lw_call *c, kp_binary_kind kind, const kp_arg *a,
                     const kp_arg *b, kp_value **out);
/* Both operands of a call (x1 and x2, x and y) in their common type. */
int kp_lw_two(kp_lw *w, const kp_lw_call *c, bool at_least_float, kp_value **x, kp_value **y);
/* The axes of x in config["axis"], all when it is null; none of them may be the batch. */
int kp_lw_reduce_axes(const kp_lw_call *c, const kp_value *x, kp_axes *out);
/* Without axes x itself. */
int kp_lw_reduce(kp_lw *w, kp_reduce_kind kind, const kp_axes *axes, bool keepdims, kp_value *x,
                 kp_value **out);

/* NaN becomes the number, an infinity the type's largest; integers stay. */
int kp_lw_nan_to_num(kp_lw *w, double nan, kp_value *x, kp_value **out);
/* Sums and products of short integers are made in 32 bits. */
kp_dtype kp_lw_sum_type(kp_dtype t);

/* ---- op_index.c, op_shape.c ---- */
/* x without the axis `at`, which has the size 1. */
int kp_lw_drop_axis(kp_lw *w, int at, kp_value *x, kp_value **out);
/* Of one axis: begin and end as KP_OP_SLICE has them. */
int kp_lw_slice(kp_lw *w, int axis, int64_t begin, int64_t end, int64_t step, kp_value *x,
                kp_value **out);
int kp_lw_arrange(kp_lw *w, const kp_arrange *how, kp_value *x, kp_value **out);
/* Indices below 0 count from the back. */
int kp_lw_gather(kp_lw *w, int axis, int batch_dims, kp_value *x, kp_value *indices,
                 kp_value **out);
/* x[key] as Python does it. */
int kp_lw_get_item(kp_lw *w, const kp_lw_call *c, const kp_arg *key, kp_value *x, kp_value **out);
/* The axes `from` moved to the places `to`, all n at once; the others keep their order. */
int kp_lw_moved(kp_lw *w, const kp_lw_call *c, const int64_t *from, const int64_t *to, int n,
                kp_value *x, kp_value **out);
/* config[key] as up to KP_MAX_DIMS integers, null being -1. */
int kp_lw_sizes(const kp_layer *l, const char *key, int64_t *out, int *n);
/* The same; where the configuration has none, the argument at this position of the call, as older
 * versions of Keras 3 have it. */
int kp_lw_call_sizes(const kp_lw_call *c, const char *key, int position, int64_t *out, int *n);
/* n tensors of one type along an axis; refused along the batch. */
int kp_lw_concat(kp_lw *w, const kp_lw_call *c, int64_t axis, kp_value *const *x, int n_x,
                 kp_value **out);
/* The error of what cannot be done row by row: "it <what>, but rows are predicted apart". */
int kp_lw_rows_refused(const kp_lw_call *c, const char *what);

/* ---- build.c: nodes ---- */
int kp_lw_add(kp_lw *w, kp_node *proto, kp_value *const *in, int n_in, kp_value **out);
int kp_lw_unary(kp_lw *w, kp_act act, kp_value *x, kp_value **out);
int kp_lw_linear(kp_lw *w, double scale, double shift, kp_value *x, kp_value **out);
/* A node that brings its own functions; params lie in w->mem or static storage. */
int kp_lw_kernel(kp_lw *w, const kp_kernel_def *def, const void *params, kp_value *const *in,
                 int n_in, kp_value **out);
/* Brings both to one type first. */
int kp_lw_binary(kp_lw *w, kp_binary_kind kind, kp_value *a, kp_value *b, kp_value **out);
int kp_lw_cast(kp_lw *w, kp_dtype dtype, kp_value *x, kp_value **out);
/* Of a result that Keras gives the type of its input: where that is one of integers, *out becomes
 * so. */
int kp_lw_like(kp_lw *w, const kp_value *x, kp_value **out);
/* To w->real. */
int kp_lw_float(kp_lw *w, kp_value *x, kp_value **out);
/* A parameter as w->real holds it. */
/* Whether the file was written by a Keras before major.minor. */
bool kp_lw_older(const kp_lw *w, int major, int minor);
double kp_lw_round(const kp_lw *w, double v);
int kp_lw_transpose(kp_lw *w, const int *perm, kp_value *x, kp_value **out);
/* n dims after `keep` leading axes. */
int kp_lw_reshape(kp_lw *w, int keep, const int64_t *dims, int n, kp_value *x, kp_value **out);
/* Of w->real. */
int kp_lw_const(kp_lw *w, const float *data, const int64_t *shape, int ndim, kp_value **out);
/* Between channels_first and channels_last; x has batch, channels and spatial axes. */
int kp_lw_to_last(kp_lw *w, kp_value *x, kp_value **out);
int kp_lw_to_first(kp_lw *w, kp_value *x, kp_value **out);
/* x over its length along the axes, of whose square at least `least` is taken. */
int kp_lw_unit(kp_lw *w, const kp_axes *axes, float least, kp_value *x, kp_value **out);
int kp_lw_softmax(kp_lw *w, const kp_axes *axes, bool log, kp_value *x, kp_value **out);

/* ---- build.c: configuration ---- */
/* "axis" as an int or a list of ints (default dflt), each put into 0..ndim-1, ascending. */
int kp_lw_axes(const kp_layer *l, const char *key, int ndim, int dflt, kp_axes *out);
int kp_lw_axis(const kp_layer *l, int64_t axis, int ndim, int *out);
int kp_lw_channels_first(const kp_layer *l, bool *out);
int kp_lw_rank(const kp_lw_call *c, int rank);
/* The size of an axis that must be there and known (channels, features). */
int kp_lw_known(const kp_value *x, int axis, int64_t *out);
/* A number, a list of numbers, or a stored array as up to max doubles. */
int kp_lw_numbers(const kp_layer *l, const char *key, int max, double *out, int *n);
bool kp_lw_is_null(const kp_layer *l, const char *key);

/* ---- weights.c ---- */
/* A weight of the current layer as a constant of w->real; counted once. `stored` is the shape in
 * the file, `shape` the one in the graph (same number of elements; NULL: as stored). */
int kp_lw_weight_get(kp_lw *w, const char *sub, int index, const char *name, int ndim,
                     const int64_t *stored, int graph_ndim, const int64_t *shape, bool trainable,
                     kp_value **out);
/* What the two thin matrices that tune the current layer's weight of this name and shape (LoRA) add
 * to it. NULL: it has none, or the file's weight holds it already; then Keras makes the matrices
 * anew, and they are counted. */
int kp_lw_thin_product(kp_lw *w, const char *name, int ndim, const int64_t *shape, kp_value **out);
/* A vector of n elements. */
int kp_lw_vector(kp_lw *w, int index, const char *name, int64_t n, bool trainable, kp_value **out);

/* ---- activation.c ---- */
/* The activation in config[key] (a name, a function, a layer, null) applied to x. */
int kp_lw_activation(kp_lw *w, const kp_layer *l, const char *key, kp_value *x, kp_value **out);
int kp_lw_glu(kp_lw *w, const kp_layer *l, int axis, kp_value *x, kp_value **out);
int kp_lw_sparsemax(kp_lw *w, int axis, kp_value *x, kp_value **out);

/* ---- op_core.c ---- */
/* A cast in which what the type cannot hold becomes the nearest number that it can. */
int kp_lw_saturate(kp_lw *w, kp_dtype to, kp_value *x, kp_value **out);

/* ---- nn.c ---- */
/* KP_EMODEL when the batch is among x's axes (ascending): rows do not see each other. */
int kp_lw_batch_axis(const kp_layer *l, const kp_value *x, const kp_axes *axes);

/* ---- preprocessing.c ---- */
int kp_lw_resize_kind(const kp_layer *l, const char *text, kp_resize_kind *out);
/* The call's images resized by the layer's configuration ("interpolation", "antialias", ...). */
int kp_lw_resize_to(kp_lw *w, const kp_lw_call *c, int64_t height, int64_t width, kp_value **out);

/* ---- fourier.c ---- */
/* config "window" by name, as numbers, or none (NULL), in the middle of fft_length. */
int kp_lw_stft_window(kp_lw *w, const kp_layer *l, int64_t length, int64_t fft_length,
                      const double **out);

/* ---- linalg.c ---- */
typedef struct kp_lw_norm {
    bool has_order, keepdims;
    double order;
    const char *word; /* "fro", "nuc"; NULL: order */
} kp_lw_norm;
/* The norm of x over config "axis": one axis, or rows and columns. */
int kp_lw_norm_of(kp_lw *w, const kp_layer *l, const kp_lw_norm *norm, kp_value *x, kp_value **out);

/* ---- merge.c ---- */
int kp_lw_concat_axis(kp_lw *w, const kp_lw_call *c, int64_t axis, kp_value **out);

/* ---- family.c ---- */
const char *kp_lw_preprocess(const kp_layer *root);

/* ---- mask.c ---- */
/* x != 0, as bool. */
int kp_lw_truth(kp_lw *w, kp_value *x, kp_value **out);
/* Of two bools. */
int kp_lw_either(kp_lw *w, kp_value *a, kp_value *b, kp_value **out);
int kp_lw_both(kp_lw *w, kp_value *a, kp_value *b, kp_value **out);
int kp_lw_not(kp_lw *w, kp_value *x, kp_value **out);
/* a where the condition (bool) holds, else b; of one type. */
int kp_lw_select(kp_lw *w, kp_value *condition, kp_value *a, kp_value *b, kp_value **out);
/* A constant without axes. */
int kp_lw_number(kp_lw *w, float v, kp_dtype dtype, kp_value **out);
/* x > 0.5, as bool: what counts as true in masks of numbers. */
int kp_lw_more_than_half(kp_lw *w, kp_value *x, kp_value **out);
/* Softmax over the places where the mask holds (NULL: everywhere). A group without any place gives
 * equal shares, or zeros. */
int kp_lw_masked_softmax(kp_lw *w, const kp_axes *axes, kp_value *mask, bool zeros, kp_value *x,
                         kp_value **out);
/* The mean along an axis of the steps for which the mask (batch, steps) holds. */
int kp_lw_masked_mean(kp_lw *w, int axis, bool keepdims, kp_value *mask, kp_value *x,
                      kp_value **out);
/* An axis of size 1 at place `at` (0..ndim). */
int kp_lw_add_axis(kp_lw *w, int at, kp_value *x, kp_value **out);

/* ---- the layers and operations, by area: each table ends with a NULL name ---- */
extern const kp_lw_entry kp_lw_activation_layers[];
extern const kp_lw_entry kp_lw_adaptive_layers[];
extern const kp_lw_entry kp_lw_attention_layers[];
extern const kp_lw_entry kp_lw_attention_plain_layers[];
extern const kp_lw_entry kp_lw_audio_layers[];
extern const kp_lw_entry kp_lw_categorical_layers[];
extern const kp_lw_entry kp_lw_contract_layers[];
extern const kp_lw_entry kp_lw_conv_layers[];
extern const kp_lw_entry kp_lw_core_layers[];
extern const kp_lw_entry kp_lw_einsum_layers[];
extern const kp_lw_entry kp_lw_embedding_layers[];
extern const kp_lw_entry kp_lw_lookup_layers[];
extern const kp_lw_entry kp_lw_legacy_layers[];
extern const kp_lw_entry kp_lw_image_layers[];
extern const kp_lw_entry kp_lw_merge_layers[];
extern const kp_lw_entry kp_lw_norm_layers[];
extern const kp_lw_entry kp_lw_tf_layers[];
extern const kp_lw_entry kp_lw_tf_node_layers[];
extern const kp_lw_entry kp_lw_pool_layers[];
extern const kp_lw_entry kp_lw_preprocessing_layers[];
extern const kp_lw_entry kp_lw_recurrent_layers[];
extern const kp_lw_entry kp_lw_reshape_layers[];
extern const kp_lw_entry kp_lw_scale_layers[];
extern const kp_lw_entry kp_lw_wrapper_layers[];
extern const kp_lw_entry kp_lw_core_operations[];
extern const kp_lw_entry kp_lw_math_operations[];
extern const kp_lw_entry kp_lw_image_operations[];
extern const kp_lw_entry kp_lw_image_size_operations[];
extern const kp_lw_entry kp_lw_einops_operations[];
extern const kp_lw_entry kp_lw_fourier_operations[];
extern const kp_lw_entry kp_lw_linalg_operations[];
extern const kp_lw_entry kp_lw_adaptive_operations[];
extern const kp_lw_entry kp_lw_nn_operations[];
extern const kp_lw_entry kp_lw_nn_loss_operations[];
extern const kp_lw_entry kp_lw_nn_norm_operations[];
extern const kp_lw_entry kp_lw_nn_window_operations[];
extern const kp_lw_entry kp_lw_pool_operations[];
extern const kp_lw_entry kp_lw_axes_operations[];
extern const kp_lw_entry kp_lw_index_operations[];
extern const kp_lw_entry kp_lw_repeat_operations[];
extern const kp_lw_entry kp_lw_join_operations[];
extern const kp_lw_entry kp_lw_shape_operations[];
extern const kp_lw_entry kp_lw_pairs_operations[];
extern const kp_lw_entry kp_lw_product_operations[];
extern const kp_lw_entry kp_lw_order_operations[];
extern const kp_lw_entry kp_lw_create_operations[];
extern const kp_lw_entry kp_lw_reduce_operations[];
extern const kp_lw_entry kp_lw_single_operations[];
extern const kp_lw_entry kp_lw_whole_operations[];
extern const kp_lw_entry kp_lw_scatter_operations[];

#endif
