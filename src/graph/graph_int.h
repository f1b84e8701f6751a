/* What the files of graph share among themselves: the state of one inference. */
#ifndef KP_GRAPH_INT_H
#define KP_GRAPH_INT_H

#include "graph/graph.h"

/* Sizes, strides and paddings lie below 2^31, so that products of two never overflow. */
#define KP_SIZE_LIMIT ((int64_t)INT32_MAX)

typedef struct kp_infer {
    const kp_node *n;     /* attributes and inputs */
    kp_window *window;    /* where to write the pads, or NULL */
    kp_value *out;        /* dtype, ndim, shape are filled */
    int64_t *next_symbol; /* where new symbols come from */
} kp_infer;

/* One of an operation: checks the inputs and attributes, fills c->out. */
typedef int (*kp_infer_fn)(kp_infer *c);

int kp_infer_conv(kp_infer *c);
int kp_infer_conv_transpose(kp_infer *c);
int kp_infer_pool(kp_infer *c);
int kp_infer_resize(kp_infer *c);
int kp_infer_concat(kp_infer *c);
int kp_infer_pad(kp_infer *c);
int kp_infer_slice(kp_infer *c);
int kp_infer_reshape(kp_infer *c);
int kp_infer_transpose(kp_infer *c);
int kp_infer_repeat(kp_infer *c);
int kp_infer_broadcast(kp_infer *c);
int kp_infer_dense(kp_infer *c);
int kp_infer_matmul(kp_infer *c);
int kp_infer_reduce(kp_infer *c);
int kp_infer_unary(kp_infer *c);
int kp_infer_binary(kp_infer *c);
int kp_infer_batchnorm(kp_infer *c);
int kp_infer_affine(kp_infer *c);
int kp_infer_layernorm(kp_infer *c);
int kp_infer_softmax(kp_infer *c);
int kp_infer_cast(kp_infer *c);
int kp_infer_select(kp_infer *c);
int kp_infer_gather(kp_infer *c);
int kp_infer_kernel(kp_infer *c);
int kp_infer_map(kp_infer *c);
int kp_infer_scan(kp_infer *c);

/* Infers without touching n and its output: pads go to *window (may be NULL), the result to *out.
 */
int kp_infer_into(const kp_node *n, kp_window *window, kp_value *out, int64_t *next_symbol);
/* The window of a node that has one, else NULL. */
kp_window *kp_node_window(kp_node *n);

/* ---- shared checks ---- */
int64_t kp_infer_symbol(kp_infer *c);
/* A copy of v's dtype and shape becomes the output's. */
void kp_infer_like(kp_infer *c, const kp_value *v);
/* NumPy's rule for one axis: 1 stretches; the batch only meets 1 and itself. An open size meets
 * anything: checked once it is known. */
int kp_infer_broadcast_dim(kp_infer *c, int64_t a, int64_t b, int64_t *out);
/* a and b with NumPy's broadcasting of n leading axes of each, aligned at their ends. */
int kp_infer_broadcast_shape(kp_infer *c, const kp_value *a, int na, const kp_value *b, int nb,
                             int64_t *shape);
/* Ascending, in range, none of them the batch. */
int kp_infer_check_axes(kp_infer *c, const kp_axes *axes);
/* Every size known and not the batch's. */
bool kp_infer_known(int64_t size);
/* v is a float type; KP_EUNSUPPORTED else. */
int kp_infer_check_float(kp_infer *c, const kp_value *v, const char *what);
/* v has the given rank-1 shape (n) and a float type; NULL passes. */
int kp_infer_check_vector(kp_infer *c, const kp_value *v, int64_t n, const char *what);
/* One place for "operands of two types": lower casts where Keras would. */
int kp_infer_check_same_type(kp_infer *c, const kp_value *a, const kp_value *b);
int kp_infer_check_act(kp_infer *c, const kp_act *act);

/* constant.c: gives back what kp_graph_alloc_pages took. */
void kp_graph_pages_free(kp_graph *g);

/* Puts a graph that was made apart among g's bodies, which own it also when this fails. */
int kp_graph_adopt(kp_graph *g, kp_graph *body);

/* True when every value's sizes are known but the batch, in bodies too. */
bool kp_graph_all_known(const kp_graph *g);

#endif
