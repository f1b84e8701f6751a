/* The recurrent layers of Keras, and Bidirectional around one. */
#include "lower/rnn.h"

static int check_rank(const kp_lw_call *c, const kp_rnn *r)
{
    return kp_lw_rank(c, r->cell.rank + 3);
}

static int check_states(const kp_lw_call *c, int n, int wanted)
{
    if (n == 0 || n == wanted)
        return 0;
    return kp_fail(KP_EMODEL, "layer \"%s\" (%s): %d initial states are given, it has %d",
                   c->layer->path, c->layer->class_name, n, wanted);
}

static int do_rnn(kp_lw *w, const kp_lw_call *c, kp_value **out)
{
    kp_rnn r;
    kp_rnn_result result;
    kp_rnn_call a;
    KP_TRY(kp_rnn_check_training(w, c, c->layer));
    KP_TRY(kp_rnn_read(w, c->layer, c->call->layer, "", &r));
    KP_TRY(check_rank(c, &r));
    KP_TRY(kp_rnn_arguments(w, c, &a));
    KP_TRY(check_states(c, a.n_states, kp_cell_states(&r.cell)));
    KP_TRY(kp_rnn_run(w, &r, c->in[0], a.mask, a.n_states > 0 ? a.states : NULL, &result));
    KP_TRY(kp_lw_outputs(w, c, 1 + result.n_states, &out));
    out[0] = result.y;
    memcpy(out + 1, result.states, (size_t)result.n_states * sizeof *out);
    c->res->masks[0] = r.sequences ? a.mask_on : NULL;
    return 0;
}

/* ---- Bidirectional ---- */

static kp_layer *inner_of(const kp_layer *l, const char *key)
{
    for (int i = 0; i < l->n_inner; i++)
        if (strcmp(l->inner_key[i], key) == 0)
            return l->inner[i];
    return NULL;
}

/* Without a layer for the way back in the file it is a copy of the other, with weights below
 * Bidirectional itself. */
static int read_ways(kp_lw *w, const kp_lw_call *c, kp_rnn *forward, kp_rnn *backward)
{
    kp_layer *there = inner_of(c->layer, "layer"), *back = inner_of(c->layer, "backward_layer");
    if (!there)
        return kp_fail(KP_EMODEL, "layer \"%s\" (%s): there is no layer inside", c->layer->path,
                       c->layer->class_name);
    KP_TRY(kp_rnn_read(w, there, there, "", forward));
    if (back) {
        KP_TRY(kp_rnn_read(w, back, back, "", backward));
    } else {
        KP_TRY(kp_rnn_read(w, there, c->call->layer, "backward_layer", backward));
        backward->backwards = !forward->backwards;
    }
    forward->zero_output = forward->sequences;
    backward->zero_output = backward->sequences;
    if (forward->sequences == backward->sequences && forward->state == backward->state)
        return 0;
    return kp_fail(KP_EMODEL, "layer \"%s\" (%s): its two layers give different things",
                   c->layer->path, c->layer->class_name);
}

/* The steps of the way back in the order of the way there: along axis 1, from the end. */
static int flip_steps(kp_lw *w, kp_value **y)
{
    kp_node n = {.op = KP_OP_SCAN};
    kp_graph *outer;
    kp_value *step;
    KP_TRY(kp_lw_body_begin(w, &outer));
    KP_TRY(kp_lw_body_input(w, *y, true, &step));
    KP_TRY(kp_lw_body_end(w, outer, &step, 1, &n.attr.loop.body));
    n.attr.loop.n_seq = 1;
    n.attr.loop.reverse = true;
    return kp_lw_add(w, &n, y, 1, y);
}

static int merge(kp_lw *w, const kp_layer *l, const char *mode, kp_value *a, kp_value *b,
                 kp_value **out)
{
    kp_node n = {.op = KP_OP_CONCAT, .attr.axis.axis = a->ndim - 1};
    if (strcmp(mode, "concat") == 0)
        return kp_lw_add(w, &n, (kp_value *[]){a, b}, 2, out);
    if (strcmp(mode, "mul") == 0)
        return kp_lw_binary(w, KP_BIN_MUL, a, b, out);
    if (strcmp(mode, "sum") != 0 && strcmp(mode, "ave") != 0)
        return kp_fail(KP_EMODEL, "layer \"%s\": merge_mode \"%s\" is not known", l->path, mode);
    KP_TRY(kp_lw_binary(w, KP_BIN_ADD, a, b, out));
    return mode[0] == 'a' ? kp_lw_linear(w, 0.5, 0, *out, out) : 0;
}

/* y, or both ys when they are not merged, then the states of both. */
static int give(kp_lw *w, const kp_lw_call *c, const kp_rnn_result *there, kp_rnn_result *back,
                kp_value *mask, bool sequences)
{
    const char *mode;
    kp_value *y = NULL, **out;
    bool both = json_is_null(json_object_get(c->layer->config, "merge_mode"));
    int at = both ? 2 : 1;
    KP_TRY(kp_cfg_str(c->layer, "merge_mode", "concat", &mode));
    if (!both)
        KP_TRY(merge(w, c->layer, mode, there->y, back->y, &y));
    KP_TRY(kp_lw_outputs(w, c, at + there->n_states + back->n_states, &out));
    out[0] = both ? there->y : y;
    if (both)
        out[1] = back->y;
    memcpy(out + at, there->states, (size_t)there->n_states * sizeof *out);
    memcpy(out + at + there->n_states, back->states, (size_t)back->n_states * sizeof *out);
    for (int i = 0; sequences && i < at; i++)
        c->res->masks[i] = mask;
    return 0;
}

static int do_bidirectional(kp_lw *w, const kp_lw_call *c, kp_value **out)
{
    kp_rnn forward, backward;
    kp_rnn_result there, back;
    kp_rnn_call a;
    (void)out; /* several, by kp_lw_outputs */
    KP_TRY(kp_rnn_check_training(w, c, c->layer));
    KP_TRY(read_ways(w, c, &forward, &backward));
    KP_TRY(check_rank(c, &forward));
    KP_TRY(check_rank(c, &backward));
    KP_TRY(kp_rnn_arguments(w, c, &a));
    int mine = kp_cell_states(&forward.cell);
    kp_value **first = a.n_states > 0 ? a.states : NULL, **second = first ? first + mine : NULL;
    KP_TRY(check_states(c, a.n_states, mine + kp_cell_states(&backward.cell)));
    KP_TRY(kp_rnn_run(w, &forward, c->in[0], a.mask, first, &there));
    KP_TRY(kp_rnn_run(w, &backward, c->in[0], a.mask, second, &back));
    if (backward.sequences)
        KP_TRY(flip_steps(w, &back.y));
    return give(w, c, &there, &back, a.mask_on, forward.sequences);
}

#define RECURRENT 1, 0, KP_LW_SAME, KP_LW_MASK_OWN

const kp_lw_entry kp_lw_recurrent_layers[] = {
    {"SimpleRNN", do_rnn, 0, RECURRENT},
    {"GRU", do_rnn, 0, RECURRENT},
    {"GRUV2", do_rnn, 0, RECURRENT},
    {"CuDNNGRU", do_rnn, 0, RECURRENT},
    {"LSTM", do_rnn, 0, RECURRENT},
    {"LSTMV2", do_rnn, 0, RECURRENT},
    {"CuDNNLSTM", do_rnn, 0, RECURRENT},
    {"ConvLSTM1D", do_rnn, 0, RECURRENT},
    {"ConvLSTM2D", do_rnn, 0, RECURRENT},
    {"ConvLSTM3D", do_rnn, 0, RECURRENT},
    {"RNN", do_rnn, 0, RECURRENT},
    {"Bidirectional", do_bidirectional, 0, RECURRENT},
    {0},
};
