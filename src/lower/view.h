/*
 * Views: tensors whose rows are not simply those of the batch. A reshape folds other axes into the
 * batch (B, T, d) -> (B*T, d), a transpose or a stack puts axes before it (3, B, d). Such a tensor
 * is a handle: a value of no graph that has the shape Keras sees (KP_DIM_BATCH on the axis that
 * holds the batch) and stands for a value of the graph that has the batch in front as ever. Private
 * to lower/.
 *
 * Every node goes through kp_lw_add, which translates nodes on handles to nodes on what they stand
 * for, or refuses. What cannot be translated but works row by row is lowered inside a MAP
 * (kp_lw_fold_call).
 */
#ifndef KP_LOWER_VIEW_H
#define KP_LOWER_VIEW_H

#include "lower/build.h"

typedef struct kp_lw_view {
    kp_value *raw;     /* (B, [pre*post], the other axes in their order) */
    int axis;          /* that holds the batch: pre * B * post rows in C order */
    int64_t pre, post; /* numbers or open sizes; both 1: raw has no axis for them */
} kp_lw_view;

/* A size of a new shape. */
typedef struct kp_lw_size {
    bool hole;    /* whatever remains */
    int batch;    /* times the batch: 0 or 1 */
    int64_t n;    /* a number >= 0 */
    int64_t open; /* times an open size (a symbol), 0: none */
} kp_lw_size;

/* ---- view.c ---- */
/* NULL: it is none. */
const kp_lw_handle *kp_lw_handle_find(const kp_lw *w, const kp_value *v);
int kp_lw_handle_add(kp_lw *w, const kp_lw_handle *h);
/* Is it a handle? *out may be NULL. */
bool kp_lw_view_find(const kp_lw *w, const kp_value *v, kp_lw_view *out);
/* The same for any value that has the batch, as it is with pre = post = 1; false: it has none. */
bool kp_lw_view_of(const kp_lw *w, kp_value *v, kp_lw_view *out);
/* A handle, or raw itself where it needs none. */
int kp_lw_view_make(kp_lw *w, const kp_lw_view *v, kp_value **out);
bool kp_lw_view_folded(const kp_lw_view *v);
/* Where the handle's axis is in raw; that of the batch: 0. */
int kp_lw_view_raw_axis(const kp_lw_view *v, int axis);
int kp_lw_view_refuse(const kp_lw *w, const char *what);

/* ---- view_shape.c ---- */
/* x (a handle or with the batch) in another shape. */
int kp_lw_view_reshape(kp_lw *w, kp_value *x, const kp_lw_size *shape, int n, kp_value **out);
int kp_lw_view_transpose(kp_lw *w, const int *perm, kp_value *x, kp_value **out);
int kp_lw_view_add_axis(kp_lw *w, int at, kp_value *x, kp_value **out);
int kp_lw_view_drop_axis(kp_lw *w, int at, kp_value *x, kp_value **out);
/* n tensors one after the other along the axis that holds the batch. */
int kp_lw_view_concat(kp_lw *w, kp_value *const *x, int n, kp_value **out);
/* Each row n times in a row. */
int kp_lw_view_repeat(kp_lw *w, int64_t n, kp_value *x, kp_value **out);
/* The rows [begin, end) of n equal pieces along the axis that holds the batch, which a concat has
 * put there. */
int kp_lw_view_piece(kp_lw *w, int64_t piece, int64_t n, kp_value *x, kp_value **out);

/* What the view shows, as an array without a batch: x is its raw value as such an array. */
int kp_lw_view_whole(kp_lw *w, const kp_lw_view *v, kp_value *x, kp_value **out);

/* ---- view_node.c ---- */
int kp_lw_view_node(kp_lw *w, const kp_node *proto, kp_value *const *in, int n_in, kp_value **out);

/* ---- fold.c ---- */
/* Are tensors of the call folded rows? */
bool kp_lw_has_views(const kp_lw *w, const kp_lw_result *in);
/* A call with handles among `in`, its tensors, by `once`: node by node where that works, else row
 * by row inside a MAP, for which the tensors in env are replaced meanwhile; a model the other way
 * round. */
int kp_lw_fold_call(kp_lw *w, const kp_lw_env *env, const kp_call *call, const kp_lw_result *in,
                    kp_lw_once once, kp_lw_result *out);

#endif
