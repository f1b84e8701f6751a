/*
 * The loop of MAP and SCAN, which all backends share: it walks over time and cuts the steps out of
 * the sequences; the backend's function computes the body for a number of rows.
 */
#ifndef KP_BACKEND_LOOP_H
#define KP_BACKEND_LOOP_H

#include "graph/graph.h"

/* Computes the body for `rows` rows: dense arrays of its inputs and outputs. */
typedef int (*kp_body_fn)(void *ctx, const void *const *in, void *const *out, int64_t rows);

typedef struct kp_loop {
    const kp_node *node;
    int64_t body_rows; /* the most that the body takes at once */
    kp_body_fn body;
    void *ctx;
} kp_loop;

/* The rows for which the body is compiled when the node runs with up to `rows`. */
int64_t kp_loop_body_rows(const kp_node *n, int64_t rows);
/* Bytes of working memory of a run with up to `rows` rows; false on overflow. */
bool kp_loop_memory(const kp_node *n, int64_t rows, size_t *out);
/* in: the node's inputs (NULL for an absent state). memory: 64-byte aligned. Allocates nothing. */
int kp_loop_run(const kp_loop *l, const void *const *in, void *out, int64_t rows, void *memory);

#endif
