/*
 * graph: the model as a list of operations on values: building it, inferring types and shapes,
 * verifying, printing, rewriting (passes), planning memory.
 *
 * Refuses: to know about Keras' classes and files (lower does) and to compute (backends do).
 * Called by: lower (builds), runtime (passes, specialises), backends (read). One thread at a time
 * per graph.
 * Blocks: nothing.
 *
 * Layout: every value is dense and in C order. Images are channels_last; lower transposes where a
 * layer says channels_first. The sizes of a shape are >= 0 when known, KP_DIM_BATCH for the batch
 * (on the first axis only), <= KP_DIM_UNKNOWN for other open sizes (equal symbols are equal sizes).
 */
#ifndef KP_GRAPH_H
#define KP_GRAPH_H

#include "base/base.h"

enum { KP_DIM_BATCH = -1, KP_DIM_UNKNOWN = -2 };
enum { KP_MAX_SPATIAL = 3, KP_NODE_INPUTS_MAX = 4096 };

typedef enum kp_op {
    KP_OP_INPUT,          /* no inputs; the model's input, by attr.input.index */
    KP_OP_CONST,          /* no inputs; value->data */
    KP_OP_CONV,           /* x, kernel (k..., in/groups, out), [bias (out)], [residual] */
    KP_OP_CONV_TRANSPOSE, /* x, kernel (k..., out, in), [bias (out)] */
    KP_OP_DENSE,          /* x (..., in), kernel (in, out), [bias (out)], [residual] */
    KP_OP_MATMUL,         /* a (..., m, k), b (..., k, n), numpy broadcasting of leading axes */
    KP_OP_POOL,           /* x; maximum or average over windows */
    KP_OP_REDUCE,         /* x; over attr.reduce.axes */
    KP_OP_UNARY,          /* x; elementwise, attr.unary.act */
    KP_OP_BINARY,         /* a, b; elementwise with numpy broadcasting */
    KP_OP_BATCHNORM,      /* x, mean, variance, [gamma], [beta], each (C) along attr.axis.axis */
    KP_OP_AFFINE,    /* x, scale (C), shift (C) along attr.axis.axis: x*scale + shift; fused act */
    KP_OP_LAYERNORM, /* x, [gamma], [beta] over attr.layernorm.axes */
    KP_OP_SOFTMAX,   /* x; over attr.softmax.axes together */
    KP_OP_CONCAT,    /* n inputs along attr.axis.axis */
    KP_OP_PAD,       /* x; attr.pad */
    KP_OP_SLICE,     /* x; attr.slice: begin, end, step per axis */
    KP_OP_RESHAPE,   /* x; attr.reshape */
    KP_OP_TRANSPOSE, /* x; attr.transpose.perm */
    KP_OP_REPEAT,    /* x; each element attr.repeat.times[axis] times along each axis */
    KP_OP_RESIZE,    /* x (N,H,W,C); attr.resize */
    KP_OP_CAST,      /* x; to attr.cast.dtype */
    KP_OP_BROADCAST, /* x; to attr.broadcast.shape, numpy rules */
    KP_OP_SELECT,    /* condition (bool), a, b of one type; numpy broadcasting of all three */
    KP_OP_GATHER,    /* x, indices (integers); attr.gather */
    KP_OP_KERNEL,    /* any inputs; attr.kernel: an operation that brings its own functions */
    KP_OP_MAP,       /* sequences (B, T, ...): attr.loop.body on each step by itself */
    KP_OP_SCAN,      /* sequences, states, other values: attr.loop.body step after step */
    KP_OP_COUNT
} kp_op;

/* Elementwise functions. a, b, c are parameters; the formula is Keras 3's unless named. RELU is
 * also leaky, capped and with threshold: b is INFINITY when there is no maximum, not 0. */
typedef enum kp_act_kind {
    KP_ACT_NONE = 0,
    KP_ACT_RELU, /* a = negative_slope, b = max_value, c = threshold */
    KP_ACT_ELU,  /* x>0 ? x : a(e^x-1) */
    KP_ACT_CELU, /* a = alpha */
    KP_ACT_SELU,
    KP_ACT_GELU,      /* exact, erf */
    KP_ACT_GELU_TANH, /* approximate */
    KP_ACT_SILU,
    KP_ACT_HARD_SILU, /* x*clip(x/6+0.5,0,1) */
    KP_ACT_MISH,
    KP_ACT_SIGMOID,
    KP_ACT_HARD_SIGMOID, /* clip(a*x+b,0,1): Keras 3: a=1/6, b=0.5; Keras 1 and 2: 0.2, 0.5 */
    KP_ACT_LOG_SIGMOID,
    KP_ACT_TANH,
    KP_ACT_HARD_TANH,
    KP_ACT_TANH_SHRINK,
    KP_ACT_SOFTPLUS,
    KP_ACT_SOFTSIGN,
    KP_ACT_EXP,
    KP_ACT_HARD_SHRINK, /* a = threshold */
    KP_ACT_SOFT_SHRINK, /* a = threshold */
    KP_ACT_SPARSE_PLUS,
    KP_ACT_SPARSE_SIGMOID,
    KP_ACT_SQUAREPLUS, /* a = b of the formula */
    KP_ACT_THRESHOLD,  /* x > a ? x : b */
    KP_ACT_NEG,
    KP_ACT_ABS,
    KP_ACT_SQUARE,
    KP_ACT_SQRT,
    KP_ACT_RSQRT,
    KP_ACT_LOG,
    KP_ACT_RECIPROCAL,
    KP_ACT_LINEAR, /* a*x + b */
    KP_ACT_SIN,
    KP_ACT_COS,
    KP_ACT_TAN,
    KP_ACT_ASIN,
    KP_ACT_ACOS,
    KP_ACT_ATAN,
    KP_ACT_SINH,
    KP_ACT_COSH,
    KP_ACT_ASINH,
    KP_ACT_ACOSH,
    KP_ACT_ATANH,
    KP_ACT_EXP2,
    KP_ACT_EXPM1,
    KP_ACT_LOG1P,
    KP_ACT_LOG2,
    KP_ACT_LOG10,
    KP_ACT_CBRT,
    KP_ACT_SINC, /* sin(pi x) / (pi x) */
    KP_ACT_I0,   /* the modified Bessel function of order 0 */
    KP_ACT_ERF,
    KP_ACT_ERFC,
    KP_ACT_ERFINV,
    KP_ACT_LGAMMA,
    KP_ACT_DIGAMMA,
    KP_ACT_CEIL,
    KP_ACT_FLOOR,
    KP_ACT_TRUNC,
    KP_ACT_ROUND, /* half to even */
    KP_ACT_SIGN,
    KP_ACT_INVERT, /* the bits of an integer */
    KP_ACT_NOT,    /* from here on the result is bool; not x: x is bool */
    KP_ACT_IS_NAN, /* of floats */
    KP_ACT_IS_INF,
    KP_ACT_IS_FINITE,
    KP_ACT_SIGN_BIT, /* also of -0 */
    KP_ACT_COUNT
} kp_act_kind;

typedef struct kp_act {
    kp_act_kind kind;
    double a, b, c; /* of a function of float32 as that type holds them */
} kp_act;

/* Integers wrap around at their width; a division of integers by 0 is an error of the run. */
typedef enum kp_binary_kind {
    KP_BIN_ADD,
    KP_BIN_SUB,
    KP_BIN_MUL,
    KP_BIN_DIV, /* of floats */
    KP_BIN_MAX, /* not a number wins */
    KP_BIN_MIN,
    KP_BIN_POW,
    KP_BIN_FLOOR_DIV,
    KP_BIN_MOD,  /* with the divisor's sign */
    KP_BIN_FMAX, /* not a number loses */
    KP_BIN_FMIN,
    KP_BIN_DIV_NO_NAN, /* of floats; x / 0 is 0 */
    KP_BIN_ATAN2,      /* of floats, as are the next ones */
    KP_BIN_HYPOT,
    KP_BIN_LOGADDEXP,
    KP_BIN_LOGADDEXP2,
    KP_BIN_HEAVISIDE,
    KP_BIN_NEXT_AFTER, /* the next double, then rounded to the type */
    KP_BIN_GCD,        /* of integers, as are the next ones */
    KP_BIN_BIT_AND,
    KP_BIN_BIT_OR,
    KP_BIN_BIT_XOR,
    KP_BIN_SHIFT_LEFT, /* by at least 0, at most the width - 1 */
    KP_BIN_SHIFT_RIGHT,
    KP_BIN_EQUAL, /* from here on the result is bool */
    KP_BIN_NOT_EQUAL,
    KP_BIN_LESS,
    KP_BIN_LESS_EQUAL,
    KP_BIN_GREATER,
    KP_BIN_GREATER_EQUAL,
    KP_BIN_AND, /* of bools, as are the next ones */
    KP_BIN_OR,
    KP_BIN_XOR,
    KP_BIN_COUNT
} kp_binary_kind;

typedef enum kp_reduce_kind {
    KP_RED_SUM,
    KP_RED_MEAN, /* of floats */
    KP_RED_MAX,
    KP_RED_MIN,
    KP_RED_PROD,
    KP_RED_VAR, /* of floats; over n, not n - 1 */
    KP_RED_STD,
    KP_RED_ANY, /* of bools */
    KP_RED_ALL,
    KP_RED_ARGMAX, /* int32; the first of equals, counted over the axes in C order */
    KP_RED_ARGMIN,
    KP_RED_COUNT
} kp_reduce_kind;

typedef enum kp_padding { KP_PAD_VALID, KP_PAD_SAME, KP_PAD_EXPLICIT } kp_padding;

typedef enum kp_resize_kind {
    KP_RESIZE_NEAREST,
    KP_RESIZE_BILINEAR,
    KP_RESIZE_BICUBIC,
    KP_RESIZE_LANCZOS3,
    KP_RESIZE_LANCZOS5,
    KP_RESIZE_AREA,
    KP_RESIZE_COUNT
} kp_resize_kind;

/* Window of a convolution or pooling. SAME depends on the input size (Keras: extra goes to the
 * end); kp_graph_infer_node fills pad_before/pad_after whenever the sizes are known. Of a
 * transposed convolution they are what is cut off the full scatter of (i-1)*stride + extent cells,
 * whatever the size; pad_after may be negative there: cells that only get the bias are added. */
typedef struct kp_window {
    int n_spatial; /* 1, 2 or 3 */
    int64_t size[KP_MAX_SPATIAL], stride[KP_MAX_SPATIAL], dilation[KP_MAX_SPATIAL];
    kp_padding padding;
    int64_t pad_before[KP_MAX_SPATIAL], pad_after[KP_MAX_SPATIAL];
} kp_window;

typedef struct kp_axes {
    int n;
    int axis[KP_MAX_DIMS]; /* 0 <= axis < ndim, ascending */
} kp_axes;

typedef struct kp_node kp_node;
typedef struct kp_value kp_value;
typedef struct kp_graph kp_graph;

/* An operation that brings its own rule and function: what is too rare for a kp_op of its own, and
 * user layers. Static storage or memory that outlives every graph that holds it. */
typedef struct kp_kernel_def {
    const char *name; /* for messages and inspect: "cumsum" */
    /* Fills out->dtype, ndim and shape from n->inputs (an absent input is NULL) and
     * n->attr.kernel.params. Sizes may be KP_DIM_BATCH (first axis only) or open; for an open size
     * of the result that is not an input's size take (*next_symbol)--. Errors by kp_node_fail. */
    int (*infer)(const kp_node *n, kp_value *out, int64_t *next_symbol);
    /* Computes out (its shape has all sizes, its memory does not overlap an input's) from dense
     * arrays; an absent input has data NULL. May run in several threads at once. A row's bytes
     * must not depend on the other rows, unless whole_batch is set. */
    int (*run)(const void *params, const kp_tensor *in, int n_in, kp_tensor *out);
    /* NULL but for an operation that leaves a size of its result open until it sees the data of a
     * whole batch: measure gives that size, fix copies params into mem with the size settled. */
    int (*measure)(const void *params, const kp_tensor *in, int n_in, int64_t *size);
    int (*fix)(const void *params, int64_t size, kp_arena *mem, const void **out);
    bool whole_batch; /* a row's result depends on the other rows, too */
    /* Whether run may fail over what a row holds; NULL: it never does. */
    bool (*may_refuse)(const void *params);
    /* NULL but for an operation that is another one, or a constant, once the sizes of its inputs
     * are known: adds that to g, of which the inputs are; *out stays NULL while they are open. */
    int (*settle)(const kp_node *n, kp_value *const *in, kp_graph *g, kp_value **out);
} kp_kernel_def;

struct kp_value {
    int id; /* its place in graph->values */
    kp_dtype dtype;
    int ndim;
    int64_t shape[KP_MAX_DIMS];
    kp_node *producer;
    const char *name; /* for messages, may be NULL */
    /* Of constants: dense data of the shape, maybe unaligned (it can lie in the mapped file):
     * read it with memcpy or through kp_graph_const_f32. NULL otherwise. */
    const void *data;
    size_t data_bytes;
    const float *f32; /* what kp_graph_const_f32 has made of it, else NULL */
    bool paged;       /* data is of kp_graph_alloc_pages */
};

struct kp_node {
    int id;
    kp_op op;
    int n_inputs;
    kp_value **inputs; /* an absent optional input is NULL */
    kp_value *output;  /* every operation has one output */
    const char *name;  /* the layer's path, for messages: "model/block1_conv1" */
    kp_act act;        /* fused after CONV, CONV_TRANSPOSE, DENSE, AFFINE, BINARY (order: + bias,
                          + residual, act) */
    union {
        struct {
            int index;
        } input;
        struct {
            kp_window window;
            int64_t groups;
        } conv;
        struct {
            kp_window window;
            int64_t output_padding[KP_MAX_SPATIAL];
            bool has_output_padding;
        } conv_transpose;
        struct {
            kp_window window;
            bool average;
            bool count_padding; /* average: divide by the whole window */
        } pool;
        struct {
            kp_reduce_kind kind;
            kp_axes axes;
            bool keepdims;
        } reduce;
        struct {
            kp_act act;
        } unary;
        struct {
            kp_binary_kind kind;
        } binary;
        struct {
            int axis;
            double epsilon;
        } axis; /* BATCHNORM (epsilon), AFFINE, CONCAT */
        struct {
            kp_axes axes;
            double epsilon;
            bool rms_scaling;
        } layernorm;
        struct {
            kp_axes axes;
            bool log;
        } softmax;
        struct {
            int64_t before[KP_MAX_DIMS], after[KP_MAX_DIMS];
            double value;
        } pad;
        struct { /* step > 0; begin and end below 0 count from the back, INT64_MAX: to the end */
            int64_t begin[KP_MAX_DIMS], end[KP_MAX_DIMS], step[KP_MAX_DIMS];
        } slice;
        struct { /* the first `keep` axes stay; then come n sizes, of which one may be -1 */
            int keep, n;
            int64_t dims[KP_MAX_DIMS];
        } reshape;
        struct {
            int perm[KP_MAX_DIMS];
        } transpose;
        struct {
            int64_t times[KP_MAX_DIMS];
        } repeat;
        struct {
            kp_resize_kind kind;
            int64_t height, width; /* output size, or 0 with factors */
            int64_t factor_h, factor_w;
            bool antialias;
            bool crop_to_aspect_ratio, pad_to_aspect_ratio;
            float fill_value;
            bool center_crop; /* CenterCrop: an input of at least height x width is cropped in the
                middle; a smaller one as with crop_to_aspect_ratio */
        } resize;
        struct {
            kp_dtype dtype;
        } cast;
        struct {
            int ndim;
            int64_t shape[KP_MAX_DIMS]; /* KP_DIM_BATCH keeps the batch */
        } broadcast;
        struct { /* result: x's axes before `axis`, those of indices behind `batch_dims`, x's axes
                    behind `axis`; the first batch_dims (<= axis) axes of both go together */
            int axis, batch_dims;
            bool wrap_negative; /* indices below 0 count from the back; else they are an error */
        } gather;
        struct {
            const kp_kernel_def *def;
            const void *params; /* borrowed: lives as long as every graph that holds the node */
        } kernel;
        /* Axis 1 of the first n_seq inputs (all of a MAP) is time, of one length. The body's inputs
         * are, by index, those of the node, sequences without their time axis; its outputs all have
         * the batch. MAP: the steps of all rows are rows of the body, its output (B, ...) becomes
         * (B, T, ...). SCAN: the next n_state inputs are the states before the first step (NULL:
         * zeros), the rest stays the same; the body's outputs are y and the states after the step.
         * Result: y of the last step, or of all (B, T, ...) in the order in which they ran. */
        struct {
            kp_graph *body;          /* of the graph that holds the node: kp_graph_new_body */
            int n_seq, n_state;      /* SCAN */
            bool last_only, reverse; /* SCAN; reverse: from the last step to the first */
        } loop;
    } attr;
};

/* Computes a node whose inputs are all constants and fills out->data (room for out's shape). */
typedef int (*kp_eval_fn)(void *ctx, kp_graph *g, const kp_node *n, const kp_tensor *in,
                          kp_tensor *out);

struct kp_graph {
    kp_arena *arena;
    kp_node **nodes; /* topological order: producers first */
    int n_nodes, cap_nodes;
    kp_value **values;
    int n_values, cap_values;
    kp_value **inputs; /* by input index */
    int n_inputs;
    kp_value **outputs;
    int n_outputs;
    bool specialised; /* all sizes but the batch are known */
    int64_t next_symbol;
    struct kp_graph_pages *pages; /* of kp_graph_alloc_pages */
    kp_graph **bodies;            /* of the loops, also of those that are swept away */
    int n_bodies, cap_bodies;
    kp_eval_fn eval; /* for constant folding, while kp_graph_optimise runs; may be NULL */
    void *eval_ctx;
};

/* ---- building ---- */
int kp_graph_new(kp_graph **out);
void kp_graph_free(kp_graph **g);

/* Adds a node with n inputs, infers its output and returns it in *out. `proto` gives op, act, attr
 * and name (copied); its inputs, output and id are ignored. The error text names the node:
 * KP_ESHAPE when the inputs do not fit, KP_EUNSUPPORTED for a type that the operation does not
 * take, KP_EINVAL for an attribute out of range. Operands must be of one type: cast first. */
int kp_graph_add(kp_graph *g, const kp_node *proto, kp_value *const *inputs, int n_inputs,
                 kp_value **out);
/* shape[0] is KP_DIM_BATCH; an open size (-1 or KP_DIM_UNKNOWN) further on gets a symbol. */
int kp_graph_add_input(kp_graph *g, const char *name, kp_dtype dtype, const int64_t *shape,
                       int ndim, kp_value **out);
/* data is borrowed and must outlive the graph (mapped file, or memory of kp_graph_alloc). */
int kp_graph_add_const(kp_graph *g, const char *name, kp_dtype dtype, const int64_t *shape,
                       int ndim, const void *data, kp_value **out);
void *kp_graph_alloc(kp_graph *g, size_t size_bytes);
/* Memory in whole pages, zeroed, for the large constants that passes make: it can be given back
 * before the graph ends. */
void *kp_graph_alloc_pages(kp_graph *g, size_t size_bytes);
/* The bytes [from, to) of a constant have been read: the memory that they took is given back. Those
 * of a mapped file can be read again. Those of kp_graph_alloc_pages are lost, so they are only
 * given back when the caller is the last to read them. */
void kp_graph_const_drop(const kp_value *v, size_t from, size_t to, bool last);
int kp_graph_set_outputs(kp_graph *g, kp_value *const *outputs, int n);
/* An empty graph for a loop's body; freed with g. */
int kp_graph_new_body(kp_graph *g, kp_graph **out);
/* The body of a MAP or SCAN, else NULL. */
kp_graph *kp_node_body(const kp_node *n);
/* How many inputs of a MAP or SCAN are sequences. */
int kp_node_sequences(const kp_node *n);
/* A new symbol for a size that is not known. */
int64_t kp_graph_new_symbol(kp_graph *g);

/* Aligned float32 data of a constant; converted or copied into the graph's arena when the stored
 * data is unaligned or of another type. NULL (and kp_errmsg) on failure. */
const float *kp_graph_const_f32(kp_graph *g, kp_value *v);

/* ---- inference, checks, text ---- */
/* Infers dtype and shape of n->output from the inputs. Never computes. */
int kp_graph_infer_node(kp_graph *g, kp_node *n);
/* kp_fail with `layer "<name>": ` in front (the operation's name when the node has none). */
int kp_node_fail(const kp_node *n, int status, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));
/* A copy in which the inputs have the given shapes (first axis stays KP_DIM_BATCH); constants are
 * shared, so the original must live longer. KP_ESHAPE when a shape does not fit. */
int kp_graph_specialise(kp_graph **out, kp_graph *g, const kp_port *inputs, int n_inputs);
/* Producers before users, ids in place, shapes as inferred, attributes in range. KP_EINTERNAL. */
int kp_graph_verify(const kp_graph *g);
int kp_graph_print(const kp_graph *g, kp_buf *out);
const char *kp_op_name(kp_op op);
const char *kp_act_name(kp_act_kind kind);
const char *kp_binary_name(kp_binary_kind kind);
const char *kp_reduce_name(kp_reduce_kind kind);
/* Multiply-adds times two of one row, for costs. */
double kp_node_flops(const kp_node *n);

/* ---- passes ---- */
typedef int (*kp_pass_fn)(kp_graph *g, int *n_changes);
typedef struct kp_pass {
    const char *name;
    kp_pass_fn run;
} kp_pass;
/* The passes in the order in which they run; ends with a NULL name. One file each in passes/. */
extern const kp_pass kp_passes[];
/* Runs all passes, with a sweep after each that changed something. after (may be NULL) is called
 * with the pass that has run and its changes; debug builds verify after each. Constant folding
 * computes through g->eval, which is `eval` here (may be NULL: skipped). */
typedef void (*kp_pass_observer)(void *ctx, const kp_pass *pass, const kp_graph *g, int n_changes);
int kp_graph_optimise(kp_graph *g, kp_eval_fn eval, void *eval_ctx, kp_pass_observer after,
                      void *ctx);

/* Helpers for passes. */
/* Every use of `from` (also as an output) becomes `to`, except in the node that makes `to`. */
void kp_graph_replace_value(kp_graph *g, kp_value *from, kp_value *to);
/* Input places that hold v, plus outputs that are v. */
int kp_graph_count_uses(const kp_graph *g, const kp_value *v);
/* Removes nodes that nothing uses (the inputs stay), brings the others into topological order
 * where a pass has appended nodes that earlier ones use, numbers ids anew. KP_EINTERNAL: a cycle.
 */
int kp_graph_sweep(kp_graph *g);

/* ---- memory plan ---- */
/* Places of the values in one arena for a batch: offset[value id] (a multiple of 64), or -1 for
 * constants, the graph's inputs and outputs, and values of no use (their nodes need not run).
 * Lifetimes that do not overlap share memory; a node's output never lies on one of its inputs,
 * except a RESHAPE's, which may be its input in place: then alias[value id] is the input's id
 * (offsets are equal, nothing to copy); else alias is -1. */
typedef struct kp_plan {
    size_t arena_bytes;
    int64_t *offset; /* n_values */
    int *alias;      /* n_values */
} kp_plan;
/* The graph is specialised; bodies of loops have plans of their own. KP_ELIMIT when the batch needs
 * more than fits a size. */
int kp_graph_plan(const kp_graph *g, int64_t batch, kp_arena *mem, kp_plan *out);
/* Bytes of a value for a batch; false on overflow or an unknown size. */
bool kp_value_bytes(const kp_value *v, int64_t batch, size_t *out);

#endif
