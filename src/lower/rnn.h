/*
 * Cells, and the loops of recurrent layers around them. Private to the recurrent files of lower/.
 *
 * A cell's weights are read in the outer graph; its product with the input is computed there for
 * all steps at once ("projection"), and the rest, one step, in the loop's body.
 */
#ifndef KP_LOWER_RNN_H
#define KP_LOWER_RNN_H

#include "lower/build.h"

enum { KP_CELL_STATES_MAX = 64 };

typedef enum kp_cell_kind { KP_CELL_SIMPLE, KP_CELL_GRU, KP_CELL_LSTM, KP_CELL_STACK } kp_cell_kind;

typedef struct kp_cell {
    kp_cell_kind kind;
    const kp_layer *layer; /* whose config has units, activation, ... */
    kp_layer *owner;       /* its weights are this layer's, at sub */
    const char *sub;
    bool cudnn; /* stored as cuDNN took them */
    bool has_bias, reset_after;
    int rank;            /* spatial axes of a ConvLSTM, 0: none */
    bool channels_first; /* activations see the channels in front */
    kp_window window;    /* of the input's convolution */
    int64_t units;
    kp_value *kernel, *recurrent, *bias; /* float32 constants; bias NULL: none */
    struct kp_cell *cells;               /* of a stack */
    int n_cells;
} kp_cell;

/* What a recurrent layer is, from its config. */
typedef struct kp_rnn {
    kp_cell cell;
    bool sequences, state, backwards, zero_output, unroll;
} kp_rnn;

/* What it is called with beside the sequence. */
typedef struct kp_rnn_call {
    kp_value *mask;    /* (B, T) bool or NULL */
    kp_value *mask_on; /* of the result, if that is a sequence */
    kp_value *states[KP_CELL_STATES_MAX];
    int n_states; /* 0: none are given */
} kp_rnn_call;

/* What it gives: y (all steps, or the last) and the states after the last step. */
typedef struct kp_rnn_result {
    kp_value *y, *states[KP_CELL_STATES_MAX];
    int n_states;
} kp_rnn_result;

/* ---- cell.c ---- */
/* layer: of class LSTM, LSTMCell, StackedRNNCells, ...; its weights are owner's, below sub. */
int kp_cell_read(kp_lw *w, const kp_layer *layer, kp_layer *owner, const char *sub, kp_cell *out);
int kp_cell_states(const kp_cell *cell);
/* Reads the weights, for steps of so many features. */
int kp_cell_load(kp_lw *w, kp_cell *cell, int64_t features);
/* ---- cell_step.c ---- */
/* x (..., features) times the kernel: what kp_cell_step takes of the first cell. */
int kp_cell_project(kp_lw *w, const kp_cell *cell, kp_value *x, kp_value **out);
/* states: kp_cell_states of them, replaced by the new ones. */
int kp_cell_step(kp_lw *w, const kp_cell *cell, kp_value *projected, kp_value **states,
                 kp_value **y);

/* ---- rnn.c ---- */
/* The layer's configuration; weights below sub of owner ("" for the layer itself). */
int kp_rnn_read(kp_lw *w, const kp_layer *layer, kp_layer *owner, const char *sub, kp_rnn *out);
/* mask: (B, T) bool or NULL. initial: kp_cell_states values, or NULL for zeros. */
int kp_rnn_run(kp_lw *w, kp_rnn *r, kp_value *x, kp_value *mask, kp_value *const *initial,
               kp_rnn_result *out);
/* The arguments of a call, wherever the file has them. */
int kp_rnn_arguments(kp_lw *w, const kp_lw_call *c, kp_rnn_call *out);
/* Stored randomness: dropout in a call with training=True. */
int kp_rnn_check_training(const kp_lw *w, const kp_lw_call *c, const kp_layer *l);

#endif
