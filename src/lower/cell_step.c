/* One step of a recurrent cell, as Keras computes it: the gates lie side by side on the last axis.
 */
#include "lower/rnn.h"

/* ---- pieces ---- */

/* Columns [at, at + n) of the last axis. */
static int columns(kp_lw *w, kp_value *x, int64_t at, int64_t n, kp_value **out)
{
    kp_node node = {.op = KP_OP_SLICE};
    for (int d = 0; d < x->ndim; d++) {
        bool last = d == x->ndim - 1;
        node.attr.slice.begin[d] = last ? at : 0;
        node.attr.slice.end[d] = last ? at + n : INT64_MAX;
        node.attr.slice.step[d] = 1;
    }
    return kp_lw_add(w, &node, &x, 1, out);
}

/* Columns of a constant, as a constant of the graph that is built now. */
static int const_columns(kp_lw *w, const kp_value *v, int64_t at, int64_t n, kp_value **out)
{
    int64_t shape[KP_MAX_DIMS], width = v->shape[v->ndim - 1], rows = 1;
    memcpy(shape, v->shape, sizeof shape);
    shape[v->ndim - 1] = n;
    if (at == 0 && n == width)
        return kp_graph_add_const(w->g, w->name, v->dtype, shape, v->ndim, v->data, out);
    for (int d = 0; d < v->ndim - 1; d++)
        rows *= v->shape[d];
    size_t elem = kp_dtype_size(v->dtype);
    char *to = kp_graph_alloc(w->g, (size_t)(rows * n) * elem);
    if (!to)
        return KP_ENOMEM;
    for (int64_t r = 0; r < rows; r++)
        memcpy(to + (size_t)(r * n) * elem, (const char *)v->data + (size_t)(r * width + at) * elem,
               (size_t)n * elem);
    return kp_graph_add_const(w->g, w->name, v->dtype, shape, v->ndim, to, out);
}

/* Elements of the bias, however many axes it has. */
static int bias_part(kp_lw *w, const kp_cell *cell, int64_t at, int64_t n, kp_value **out)
{
    *out = NULL;
    if (!cell->bias)
        return 0;
    const char *data = cell->bias->data;
    return kp_graph_add_const(w->g, w->name, cell->bias->dtype, &n, 1,
                              data + (size_t)at * kp_dtype_size(cell->bias->dtype), out);
}

/* x times the weights: a dense layer, or a convolution. */
static int product(kp_lw *w, const kp_cell *cell, const kp_window *window, kp_value *x,
                   kp_value *weights, kp_value *bias, kp_value **out)
{
    kp_node n = {.op = KP_OP_DENSE};
    if (cell->rank > 0) {
        n.op = KP_OP_CONV;
        n.attr.conv.window = *window;
        n.attr.conv.groups = 1;
    }
    return kp_lw_add(w, &n, (kp_value *[]){x, weights, bias}, bias ? 3 : 2, out);
}

/* The state times columns of the recurrent weights. */
static int recur(kp_lw *w, const kp_cell *cell, kp_value *h, int64_t at, int64_t n, kp_value *bias,
                 kp_value **out)
{
    kp_value *weights;
    kp_window same = {.n_spatial = cell->rank, .padding = KP_PAD_SAME};
    for (int i = 0; i < cell->rank; i++) {
        same.size[i] = cell->window.size[i];
        same.stride[i] = same.dilation[i] = 1;
    }
    KP_TRY(const_columns(w, cell->recurrent, at, n, &weights));
    return product(w, cell, &same, h, weights, bias, out);
}

/* The function that the config names by key (old_key in Keras 1), else dflt. */
static int activate(kp_lw *w, const kp_cell *cell, bool recurrent, kp_value *x, kp_value **out)
{
    const char *key = recurrent ? "recurrent_activation" : "activation";
    kp_act dflt = {.kind = KP_ACT_TANH};
    if (recurrent)
        dflt = w->major >= 3 || cell->cudnn ? (kp_act){.kind = KP_ACT_SIGMOID}
                                            : (kp_act){KP_ACT_HARD_SIGMOID, 0.2f, 0.5f, 0};
    if (recurrent && !json_object_get(cell->layer->config, key))
        key = "inner_activation";
    if (cell->cudnn || !json_object_get(cell->layer->config, key))
        return kp_lw_unary(w, dflt, x, out);
    if (cell->channels_first)
        KP_TRY(kp_lw_to_first(w, x, &x));
    KP_TRY(kp_lw_activation(w, cell->layer, key, x, &x));
    KP_TRY(kp_lw_float(w, x, &x)); /* a layer may compute in another type than the states have */
    *out = x;
    return cell->channels_first ? kp_lw_to_last(w, x, out) : 0;
}

static int gate(kp_lw *w, const kp_cell *cell, bool recurrent, kp_value *z, int place,
                kp_value **out)
{
    KP_TRY(columns(w, z, place * cell->units, cell->units, &z));
    return activate(w, cell, recurrent, z, out);
}

/* ---- the cells ---- */

static int step_simple(kp_lw *w, const kp_cell *cell, kp_value *x, kp_value **states, kp_value **y)
{
    kp_value *z;
    KP_TRY(recur(w, cell, states[0], 0, cell->units, NULL, &z));
    KP_TRY(kp_lw_binary(w, KP_BIN_ADD, x, z, &z));
    KP_TRY(activate(w, cell, false, z, y));
    states[0] = *y;
    return 0;
}

static int step_lstm(kp_lw *w, const kp_cell *cell, kp_value *x, kp_value **states, kp_value **y)
{
    kp_value *z, *i, *f, *g, *o, *c, *kept, *added;
    KP_TRY(recur(w, cell, states[0], 0, 4 * cell->units, NULL, &z));
    KP_TRY(kp_lw_binary(w, KP_BIN_ADD, x, z, &z));
    KP_TRY(gate(w, cell, true, z, 0, &i));
    KP_TRY(gate(w, cell, true, z, 1, &f));
    KP_TRY(gate(w, cell, false, z, 2, &g));
    KP_TRY(gate(w, cell, true, z, 3, &o));
    KP_TRY(kp_lw_binary(w, KP_BIN_MUL, f, states[1], &kept));
    KP_TRY(kp_lw_binary(w, KP_BIN_MUL, i, g, &added));
    KP_TRY(kp_lw_binary(w, KP_BIN_ADD, kept, added, &c));
    states[1] = c;
    KP_TRY(activate(w, cell, false, c, &c));
    KP_TRY(kp_lw_binary(w, KP_BIN_MUL, o, c, y));
    states[0] = *y;
    return 0;
}

/* The candidate's part of the old state: r works on it behind the product, or in front. */
static int candidate(kp_lw *w, const kp_cell *cell, kp_value *inner, kp_value *r, kp_value *h,
                     kp_value **out)
{
    int64_t u = cell->units;
    if (!cell->reset_after) {
        KP_TRY(kp_lw_binary(w, KP_BIN_MUL, r, h, &h));
        return recur(w, cell, h, 2 * u, u, NULL, out);
    }
    KP_TRY(columns(w, inner, 2 * u, u, &inner));
    return kp_lw_binary(w, KP_BIN_MUL, r, inner, out);
}

static int step_gru(kp_lw *w, const kp_cell *cell, kp_value *x, kp_value **states, kp_value **y)
{
    int64_t u = cell->units, width = cell->reset_after ? 3 * u : 2 * u;
    kp_value *h = states[0], *bias = NULL, *inner, *zr, *mine, *z, *r, *hh, *xh;
    if (cell->reset_after)
        KP_TRY(bias_part(w, cell, 3 * u, 3 * u, &bias));
    KP_TRY(recur(w, cell, h, 0, width, bias, &inner));
    KP_TRY(columns(w, x, 0, 2 * u, &zr));
    KP_TRY(columns(w, inner, 0, 2 * u, &mine));
    KP_TRY(kp_lw_binary(w, KP_BIN_ADD, zr, mine, &zr));
    KP_TRY(gate(w, cell, true, zr, 0, &z));
    KP_TRY(gate(w, cell, true, zr, 1, &r));
    KP_TRY(candidate(w, cell, inner, r, h, &hh));
    KP_TRY(columns(w, x, 2 * u, u, &xh));
    KP_TRY(kp_lw_binary(w, KP_BIN_ADD, xh, hh, &hh));
    KP_TRY(activate(w, cell, false, hh, &hh));
    /* z*h + (1-z)*hh */
    KP_TRY(kp_lw_binary(w, KP_BIN_MUL, z, h, &h));
    KP_TRY(kp_lw_linear(w, -1, 1, z, &z));
    KP_TRY(kp_lw_binary(w, KP_BIN_MUL, z, hh, &hh));
    KP_TRY(kp_lw_binary(w, KP_BIN_ADD, h, hh, y));
    states[0] = *y;
    return 0;
}

/* Each cell of a stack takes what the one before gives. */
static int step_stack(kp_lw *w, const kp_cell *cell, kp_value *x, kp_value **states, kp_value **y)
{
    for (int i = 0; i < cell->n_cells; i++) {
        const kp_cell *part = &cell->cells[i];
        if (i > 0)
            KP_TRY(kp_cell_project(w, part, x, &x));
        KP_TRY(kp_cell_step(w, part, x, states, &x));
        states += kp_cell_states(part);
    }
    *y = x;
    return 0;
}

int kp_cell_step(kp_lw *w, const kp_cell *cell, kp_value *projected, kp_value **states,
                 kp_value **y)
{
    switch (cell->kind) {
    case KP_CELL_SIMPLE:
        return step_simple(w, cell, projected, states, y);
    case KP_CELL_GRU:
        return step_gru(w, cell, projected, states, y);
    case KP_CELL_LSTM:
        return step_lstm(w, cell, projected, states, y);
    default:
        return step_stack(w, cell, projected, states, y);
    }
}

int kp_cell_project(kp_lw *w, const kp_cell *cell, kp_value *x, kp_value **out)
{
    kp_value *kernel, *bias;
    if (cell->kind == KP_CELL_STACK)
        return kp_cell_project(w, &cell->cells[0], x, out);
    int64_t width = cell->kernel->shape[cell->kernel->ndim - 1];
    KP_TRY(const_columns(w, cell->kernel, 0, width, &kernel));
    KP_TRY(bias_part(w, cell, 0, width, &bias));
    return product(w, cell, &cell->window, x, kernel, bias, out);
}
