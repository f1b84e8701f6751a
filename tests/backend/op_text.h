/*
 * op_text: a graph of one operation from one line of text, with random arrays: what the tables of
 * cases and the live comparison with Keras are written in.
 *
 *   conv in:B,7,9,5 const:3,3,5,7 const:7 size=3,3 stride=2,2 pad=same act=relu:0:inf
 *
 * First the operation's name (kp_op_name), then its inputs in order, then attributes.
 *   in:B,7,9[:uint8]     an input of the graph; B is the batch, ? an open size
 *   const:3,3,5,7[:pos]  a constant of normal values; pos: between 0.5 and 1.5
 *   none                 an absent input
 * size stride dilation pad(valid, same, 1:2,0:3) groups outpad countpad kind axes axis keepdims eps
 * rms log before after value begin end(max) step keep dims perm times height width fh fw antialias
 * crop padar center fill dtype shape batch body(op_body.h) seq states last reverse act(name:a:b:c;
 * stride, dilation and step are 1 if not given).
 */
#ifndef KP_TEST_OP_TEXT_H
#define KP_TEST_OP_TEXT_H

#include "graph/graph.h"

enum { OP_TEXT_INPUTS = 8 };

typedef struct op_arg {
    enum { OP_ARG_IN, OP_ARG_CONST, OP_ARG_NONE } kind;
    kp_dtype dtype;
    int ndim;
    int64_t shape[KP_MAX_DIMS];
    bool positive;
} op_arg;

typedef struct op_case {
    kp_node proto;
    int n_args;
    char body[16]; /* of a loop */
    op_arg args[OP_TEXT_INPUTS];
    void *constants[OP_TEXT_INPUTS]; /* by argument, NULL where it is none */
    kp_graph *g;                     /* one node; verified */
    kp_value *result;
} op_case;

/* Parses the line and builds the graph. constants: data by argument, or NULL for random ones. 0 or
 * a status with kp_errmsg. */
int op_case_open(op_case *c, const char *line, const void *const *constants);
void op_case_close(op_case *c);
/* Random arrays for the graph's inputs in in[], 64-byte aligned, each to be freed; integers lie in
 * 0..255. Equal seeds give equal rows: row r's values depend on the seed, the input and r alone. */
int op_case_inputs(const op_case *c, int64_t batch, uint64_t seed, void **in);
/* ||a - b|| / ||b||; infinity when one is NaN where the other is not. */
double op_relative_l2(const float *a, const float *b, size_t n);

#endif
