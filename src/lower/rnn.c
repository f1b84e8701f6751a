/* Recurrent layers: the loop around a cell, masks, states. */
#include "lower/rnn.h"

/* ---- configuration ---- */

static int read_options(const kp_layer *l, kp_rnn *r)
{
    bool time_major;
    KP_TRY(kp_cfg_bool(l, "return_sequences", false, &r->sequences));
    KP_TRY(kp_cfg_bool(l, "return_state", false, &r->state));
    KP_TRY(kp_cfg_bool(l, "go_backwards", false, &r->backwards));
    KP_TRY(kp_cfg_bool(l, "zero_output_for_mask", false, &r->zero_output));
    KP_TRY(kp_cfg_bool(l, "unroll", false, &r->unroll));
    KP_TRY(kp_cfg_bool(l, "time_major", false, &time_major));
    if (time_major)
        return kp_fail(KP_EMODEL,
                       "layer \"%s\" (%s): with time_major=True the batch is the second axis of "
                       "its input, which is not supported; transpose around it and save again",
                       l->path, l->class_name);
    return 0;
}

static const char *below(kp_lw *w, const char *sub, const char *part)
{
    return *sub ? kp_arena_printf(w->mem, "%s/%s", sub, part) : part;
}

static kp_layer *cell_of(const kp_layer *l)
{
    for (int i = 0; i < l->n_inner; i++)
        if (strcmp(l->inner_key[i], "cell") == 0)
            return l->inner[i];
    return NULL;
}

int kp_rnn_read(kp_lw *w, const kp_layer *layer, kp_layer *owner, const char *sub, kp_rnn *out)
{
    kp_layer *cell = cell_of(layer);
    KP_TRY(read_options(layer, out));
    if (strcmp(layer->class_name, "RNN") != 0 || !cell) {
        const char *part = w->major == 1 ? sub : below(w, sub, "cell");
        return part ? kp_cell_read(w, layer, owner, part, &out->cell) : KP_ENOMEM;
    }
    if (*sub == '\0')
        return kp_cell_read(w, cell, cell, "", &out->cell);
    sub = below(w, sub, "cell");
    return sub ? kp_cell_read(w, cell, owner, sub, &out->cell) : KP_ENOMEM;
}

/* ---- arguments ---- */

static int add_states(const kp_lw_call *c, const kp_arg *a, kp_value **states, int *n)
{
    if (a->kind == KP_ARG_NONE)
        return 0;
    if (a->kind == KP_ARG_REF && *n < KP_CELL_STATES_MAX)
        return kp_lw_ref(c->env, a->ref, &states[(*n)++]);
    if (a->kind != KP_ARG_LIST)
        return kp_fail(KP_EMODEL, "layer \"%s\": its initial state is not made of tensors",
                       c->layer->path);
    for (int i = 0; i < a->n_items; i++)
        KP_TRY(add_states(c, &a->items[i], states, n));
    return 0;
}

/* (B, T), (B, T, 1), or (B, T, units) where each unit has its own; of any type. */
static int use_mask(kp_lw *w, const kp_lw_call *c, kp_value **mask)
{
    kp_value *m = *mask;
    if (m->ndim == 3 && m->shape[2] == 1)
        KP_TRY(kp_lw_reshape(w, 2, NULL, 0, m, &m));
    if (m->ndim != 2 && m->ndim != 3)
        return kp_fail(KP_EMODEL, "layer \"%s\": a mask of %d axes is not supported",
                       c->layer->path, m->ndim);
    return kp_lw_truth(w, m, mask);
}

/* Keras 3 takes the mask that came with the sequence only when that is the call's one tensor, but
 * hands it on all the same; one that is given by position is used and not handed on. */
static int choose_mask(kp_lw *w, const kp_lw_call *c, bool states, kp_rnn_call *out)
{
    const kp_arg *given = kp_lw_arg(c, 2, "mask");
    bool by_name = given && kp_lw_keyword(c->call, "mask") == given;
    kp_value *came = c->in_mask[0];
    out->mask = states && w->major >= 3 ? NULL : came;
    if (given && given->kind == KP_ARG_REF)
        KP_TRY(kp_lw_ref(c->env, given->ref, &out->mask));
    bool same = by_name || out->mask == came;
    if (out->mask)
        KP_TRY(use_mask(w, c, &out->mask));
    out->mask_on = same ? out->mask : came;
    return 0;
}

int kp_rnn_arguments(kp_lw *w, const kp_lw_call *c, kp_rnn_call *out)
{
    const kp_arg *first = kp_lw_arg(c, 0, "sequences");
    const kp_arg *initial = kp_lw_arg(c, 1, "initial_state");
    kp_value **states = out->states;
    int *n = &out->n_states;
    *n = 0;
    for (int i = 1; first && first->kind == KP_ARG_LIST && i < first->n_items; i++)
        KP_TRY(add_states(c, &first->items[i], states, n));
    if (initial)
        KP_TRY(add_states(c, initial, states, n));
    for (int i = 0; i < *n; i++)
        KP_TRY(kp_lw_float(w, states[i], &states[i]));
    return choose_mask(w, c, *n > 0, out);
}

int kp_rnn_check_training(const kp_lw *w, const kp_lw_call *c, const kp_layer *l)
{
    static const char *const keys[] = {"dropout", "recurrent_dropout", "dropout_W", "dropout_U"};
    int said = kp_lw_training(c->call);
    bool on = said < 0 ? w->training : said == 1;
    for (size_t i = 0; on && i < sizeof keys / sizeof *keys; i++)
        if (json_number_value(json_object_get(l->config, keys[i])) > 0)
            return kp_fail(KP_EMODEL,
                           "layer \"%s\" (%s): it is called with training=True and has dropout, so "
                           "its result is random; call it without and save the model again",
                           l->path, l->class_name);
    for (int i = 0; i < l->n_inner; i++)
        KP_TRY(kp_rnn_check_training(w, c, l->inner[i]));
    return 0;
}

/* ---- the projection of all steps ---- */

/* A convolution has no axis for time: its steps are rows of a loop of their own. */
static int project_maps(kp_lw *w, const kp_cell *cell, kp_value *x, kp_value **out)
{
    kp_node n = {.op = KP_OP_MAP};
    kp_graph *outer;
    kp_value *step, *y;
    KP_TRY(kp_lw_body_begin(w, &outer));
    KP_TRY(kp_lw_body_input(w, x, true, &step));
    KP_TRY(kp_cell_project(w, cell, step, &y));
    KP_TRY(kp_lw_body_end(w, outer, &y, 1, &n.attr.loop.body));
    return kp_lw_add(w, &n, &x, 1, out);
}

/* The channels of every step to the end, or back to the front. */
static int turn_steps(kp_lw *w, bool to_last, kp_value *x, kp_value **out)
{
    int perm[KP_MAX_DIMS] = {0, 1};
    for (int i = 2; i < x->ndim; i++)
        perm[i] = to_last ? (i + 1 < x->ndim ? i + 1 : 2) : (i == 2 ? x->ndim - 1 : i - 1);
    return kp_lw_transpose(w, perm, x, out);
}

static int project(kp_lw *w, kp_cell *cell, kp_value *x, kp_value **out)
{
    int64_t features;
    KP_TRY(kp_lw_float(w, x, &x));
    if (cell->channels_first)
        KP_TRY(turn_steps(w, true, x, &x));
    KP_TRY(kp_lw_known(x, x->ndim - 1, &features));
    KP_TRY(kp_cell_load(w, cell, features));
    return cell->rank > 0 ? project_maps(w, cell, x, out) : kp_cell_project(w, cell, x, out);
}

/* ---- the loop ---- */

/* What is put together while the body is built. Its inputs: x, [mask], states, [the last y]. */
typedef struct loop {
    const kp_rnn *rnn;
    kp_value *x, *mask;                   /* outside */
    kp_value *in[KP_CELL_STATES_MAX + 3]; /* of the SCAN */
    int n_in;
    kp_value *step_x, *step_mask; /* inside */
    kp_value *states[KP_CELL_STATES_MAX + 1];
    int n_states; /* of the cell */
    bool repeats; /* a masked step gives the last y again, which is one more state */
    int n_packed; /* values side by side in the result: y, then states */
    int64_t width[KP_CELL_STATES_MAX + 1];
    bool state0_is_y;
} loop;

/* The shape of a state behind the batch. */
static int state_shape(const loop *p, int64_t units, int64_t *shape)
{
    int rank = p->rnn->cell.rank;
    for (int i = 0; i < rank; i++)
        shape[i] = p->x->shape[2 + i];
    shape[rank] = units;
    return rank + 1;
}

static int add_state(kp_lw *w, loop *p, int64_t units, kp_value *initial)
{
    int64_t shape[KP_MAX_DIMS];
    int ndim = state_shape(p, units, shape), at = p->n_states++;
    p->in[p->n_in++] = initial;
    return kp_lw_body_state(w, shape, ndim, &p->states[at]);
}

static int add_cell_states(kp_lw *w, loop *p, const kp_cell *cell, kp_value *const *initial)
{
    for (int i = 0; i < cell->n_cells; i++)
        KP_TRY(add_cell_states(w, p, &cell->cells[i], initial));
    for (int i = 0; cell->n_cells == 0 && i < kp_cell_states(cell); i++)
        KP_TRY(add_state(w, p, cell->units, initial ? initial[p->n_states] : NULL));
    return 0;
}

static int body_inputs(kp_lw *w, loop *p, kp_value *const *initial)
{
    p->in[p->n_in++] = p->x;
    KP_TRY(kp_lw_body_input(w, p->x, true, &p->step_x));
    if (p->mask) {
        p->in[p->n_in++] = p->mask;
        KP_TRY(kp_lw_body_input(w, p->mask, true, &p->step_mask));
    }
    KP_TRY(add_cell_states(w, p, &p->rnn->cell, initial));
    if (!p->repeats)
        return 0;
    KP_TRY(add_state(w, p, p->rnn->cell.units, NULL));
    p->n_states--;
    return 0;
}

/* One value a step for all units, or one a unit: Keras takes that in a loop, with as many units. */
static int step_mask(kp_lw *w, const loop *p, kp_value **out)
{
    static const int64_t ones[KP_MAX_DIMS] = {1, 1, 1, 1, 1, 1, 1, 1};
    *out = p->step_mask;
    if (p->step_mask->ndim == 1)
        return kp_lw_reshape(w, 1, ones, p->rnn->cell.rank + 1, p->step_mask, out);
    bool fits = p->rnn->cell.rank == 0 && !p->rnn->unroll;
    for (int i = 0; i < p->n_states; i++)
        fits = fits && p->states[i]->shape[1] == p->step_mask->shape[1];
    return fits ? 0
                : kp_fail(KP_EMODEL,
                          "layer \"%s\": a mask with an axis of its own for features "
                          "needs as many as there are units",
                          w->name);
}

/* A masked step leaves the states as they are. Its y is the last one, or 0. */
static int apply_mask(kp_lw *w, const loop *p, kp_value *const *old, kp_value **states,
                      kp_value **y)
{
    kp_value *mask, *instead = p->states[p->n_states];
    KP_TRY(step_mask(w, p, &mask));
    for (int i = 0; i < p->n_states; i++)
        KP_TRY(kp_lw_select(w, mask, states[i], old[i], &states[i]));
    if (!p->repeats)
        KP_TRY(kp_lw_const(w, (float[]){0}, NULL, 0, &instead));
    return kp_lw_select(w, mask, *y, instead, y);
}

/* y and, when they are asked for, the states side by side: a loop has one result. */
static int pack(kp_lw *w, loop *p, kp_value *y, kp_value *const *states, kp_value **out)
{
    kp_value *all[KP_CELL_STATES_MAX + 1] = {y};
    p->n_packed = 1;
    p->state0_is_y = states[0] == y;
    for (int i = p->state0_is_y; p->rnn->state && i < p->n_states; i++)
        all[p->n_packed++] = states[i];
    for (int i = 0; i < p->n_packed; i++)
        p->width[i] = all[i]->shape[all[i]->ndim - 1];
    *out = y;
    kp_node n = {.op = KP_OP_CONCAT, .attr.axis.axis = y->ndim - 1};
    return p->n_packed > 1 ? kp_lw_add(w, &n, all, p->n_packed, out) : 0;
}

static int build_body(kp_lw *w, loop *p, kp_value *const *initial, kp_graph **body)
{
    kp_graph *outer;
    kp_value *states[KP_CELL_STATES_MAX], *outputs[KP_CELL_STATES_MAX + 2], *y, *packed;
    KP_TRY(kp_lw_body_begin(w, &outer));
    KP_TRY(body_inputs(w, p, initial));
    memcpy(states, p->states, sizeof states);
    KP_TRY(kp_cell_step(w, &p->rnn->cell, p->step_x, states, &y));
    if (p->mask)
        KP_TRY(apply_mask(w, p, p->states, states, &y));
    KP_TRY(pack(w, p, y, states, &packed));
    outputs[0] = packed;
    memcpy(outputs + 1, states, (size_t)p->n_states * sizeof *states);
    outputs[1 + p->n_states] = y;
    return kp_lw_body_end(w, outer, outputs, 1 + p->n_states + p->repeats, body);
}

/* ---- the result ---- */

/* Columns of the packed result; of all steps, or of the last one. */
static int unpack(kp_lw *w, const loop *p, kp_value *packed, int place, bool last, kp_value **out)
{
    kp_node n = {.op = KP_OP_SLICE};
    int64_t at = 0, dims[KP_MAX_DIMS];
    for (int i = 0; i < place; i++)
        at += p->width[i];
    for (int d = 0; d < packed->ndim; d++) {
        n.attr.slice.end[d] = INT64_MAX;
        n.attr.slice.step[d] = 1;
    }
    n.attr.slice.begin[packed->ndim - 1] = at;
    n.attr.slice.end[packed->ndim - 1] = at + p->width[place];
    n.attr.slice.begin[1] = last ? -1 : n.attr.slice.begin[1];
    KP_TRY(kp_lw_add(w, &n, &packed, 1, out));
    if (!last)
        return 0;
    for (int d = 2; d < packed->ndim; d++)
        dims[d - 2] = (*out)->shape[d] < 0 ? -1 : (*out)->shape[d];
    return kp_lw_reshape(w, 1, dims, packed->ndim - 2, *out, out);
}

static int results(kp_lw *w, const loop *p, kp_value *packed, kp_rnn_result *out)
{
    const kp_rnn *r = p->rnn;
    out->y = packed;
    if (p->n_packed > 1)
        KP_TRY(unpack(w, p, packed, 0, false, &out->y));
    out->n_states = r->state ? p->n_states : 0;
    for (int i = 0; i < out->n_states; i++)
        KP_TRY(unpack(w, p, packed, p->state0_is_y ? i : i + 1, r->sequences, &out->states[i]));
    if (!r->cell.channels_first)
        return 0;
    KP_TRY(r->sequences ? turn_steps(w, false, out->y, &out->y)
                        : kp_lw_to_first(w, out->y, &out->y));
    for (int i = 0; i < out->n_states; i++)
        KP_TRY(kp_lw_to_first(w, out->states[i], &out->states[i]));
    return 0;
}

/* Keras on TensorFlow, unrolled and backwards, puts the zeros where the mask has them read forwards
 * though the steps lie backwards; the others repeat the last y. */
static int zero_late(kp_lw *w, kp_value *mask, kp_value **y)
{
    static const int64_t ones[KP_MAX_DIMS] = {1, 1, 1, 1, 1, 1, 1, 1};
    kp_value *zero;
    KP_TRY(kp_lw_reshape(w, 2, ones, (*y)->ndim - 2, mask, &mask));
    KP_TRY(kp_lw_const(w, (float[]){0}, NULL, 0, &zero));
    return kp_lw_select(w, mask, *y, zero, y);
}

int kp_rnn_run(kp_lw *w, kp_rnn *r, kp_value *x, kp_value *mask, kp_value *const *initial,
               kp_rnn_result *out)
{
    kp_node n = {.op = KP_OP_SCAN};
    kp_value *first[KP_CELL_STATES_MAX], *packed;
    bool late = mask && r->zero_output && r->unroll && r->backwards && r->sequences;
    loop p = {.rnn = r, .mask = mask, .repeats = mask && (!r->zero_output || late)};
    KP_TRY(project(w, &r->cell, x, &p.x));
    for (int i = 0; initial && i < kp_cell_states(&r->cell); i++) {
        first[i] = initial[i];
        if (r->cell.channels_first)
            KP_TRY(kp_lw_to_last(w, first[i], &first[i]));
    }
    KP_TRY(build_body(w, &p, initial ? first : NULL, &n.attr.loop.body));
    n.attr.loop.n_seq = mask ? 2 : 1;
    n.attr.loop.n_state = p.n_states + p.repeats;
    n.attr.loop.last_only = !r->sequences;
    n.attr.loop.reverse = r->backwards;
    KP_TRY(kp_lw_add(w, &n, p.in, p.n_in, &packed));
    KP_TRY(results(w, &p, packed, out));
    return late ? zero_late(w, mask, &out->y) : 0;
}
