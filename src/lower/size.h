/*
 * Sizes as values: what models of Keras 2 take from tf.shape and compute with. Numbers that are
 * known are constants. Others are handles, as views are (view.h): a list of expressions over
 * the number of rows and open sizes. They serve in new shapes, ranges and slices; used as numbers
 * they become a node (ops/computed.h), which the number of rows cannot. Private to lower/.
 */
#ifndef KP_LOWER_SIZE_H
#define KP_LOWER_SIZE_H

#include "lower/view.h"

typedef struct kp_lw_expr {
    kp_size_op op;
    bool rows;       /* the number of rows of the batch; op does not count */
    bool has_rows;   /* somewhere within */
    int64_t number;  /* NUMBER */
    kp_value *value; /* AXIS: of this value of the graph, whose axis has an open size */
    int axis;
    const struct kp_lw_expr *a, *b;
    int weight; /* nodes, limited */
} kp_lw_expr;

typedef struct kp_lw_size_list {
    int n;
    const kp_lw_expr **at;
} kp_lw_size_list;

/* An expression that stands for an open size. */
typedef struct kp_lw_symbol {
    struct kp_lw_symbol *next;
    int64_t symbol;
    const kp_lw_expr *expr;
} kp_lw_symbol;

enum { KP_LW_SIZES_MAX = 64 };

/* ---- size.c ---- */
int kp_lw_expr_number(kp_lw *w, int64_t n, const kp_lw_expr **out);
/* The size of an axis, as Keras sees it. */
int kp_lw_expr_axis(kp_lw *w, kp_value *x, int axis, const kp_lw_expr **out);
int kp_lw_expr_pair(kp_lw *w, kp_size_op op, const kp_lw_expr *a, const kp_lw_expr *b,
                    const kp_lw_expr **out);
bool kp_lw_expr_is_number(const kp_lw_expr *e, int64_t *out);
/* As a size of a new shape: refused where it is not a multiple of the number of rows. */
int kp_lw_expr_size(kp_lw *w, const kp_lw_expr *e, kp_lw_size *out);
/* NULL: nothing is known of the symbol. */
const kp_lw_expr *kp_lw_expr_of(const kp_lw *w, int64_t symbol);

/* A value of ndim 0 or 1. */
int kp_lw_sizes_make(kp_lw *w, kp_dtype dtype, int ndim, const kp_lw_expr **at, int n,
                     kp_value **out);
/* The numbers of a handle, or of a small constant of integers; false: it is neither. */
bool kp_lw_sizes_of(kp_lw *w, const kp_value *v, kp_lw_size_list *out);
bool kp_lw_is_sizes(const kp_lw *w, const kp_value *v);
/* The handle as a value of the graph. */
int kp_lw_sizes_value(kp_lw *w, const kp_value *v, kp_value **out);

/* ---- size_node.c: nodes whose sizes are expressions ---- */
/* A node of kind p->kind on x (NULL: none); exprs as p->expr has them. */
int kp_lw_computed(kp_lw *w, const kp_computed *p, const kp_lw_expr *const *exprs, int n,
                   kp_value *x, kp_value **out);
/* x behind its batch in n new sizes, numbers and symbols; -1 at most once. */
int kp_lw_computed_reshape(kp_lw *w, int keep, const int64_t *dims, int n, kp_value *x,
                           kp_value **out);

#endif
