/* A batch through a compiled graph, piece by piece. Nothing is allocated here. */
#include "backend/cpu/cpu.h"

typedef struct batch {
    kp_exec *e;
    const void *const *in;
    void *const *out;
    int64_t rows, piece_rows;
} batch;

static size_t row_bytes(const kp_value *v)
{
    return (size_t)kp_value_count(v, 1) * kp_elem_size(v->dtype);
}

/* Where the caller's arrays hold this piece. */
static void aim(const batch *b, void **at, int64_t first)
{
    const kp_graph *g = b->e->graph;
    for (int i = 0; i < g->n_values; i++) {
        const kp_place *p = &b->e->places[i];
        if (p->kind == KP_PLACE_INPUT)
            at[i] = (uint8_t *)(uintptr_t)b->in[p->index] +
                    (size_t)first * row_bytes(g->inputs[p->index]);
        else if (p->kind == KP_PLACE_OUTPUT)
            at[i] = (uint8_t *)b->out[p->index] + (size_t)first * row_bytes(g->outputs[p->index]);
    }
}

/* Outputs that lie elsewhere: constants, inputs, a value that is an output twice. */
static void copy_outputs(const batch *b, void **at, int64_t first, int64_t rows)
{
    const kp_graph *g = b->e->graph;
    for (int o = 0; o < g->n_outputs; o++) {
        const kp_value *v = g->outputs[o];
        uint8_t *dst = (uint8_t *)b->out[o] + (size_t)first * row_bytes(v);
        if (at[v->id] != dst)
            memcpy(dst, at[v->id], (size_t)rows * row_bytes(v));
    }
}

static int run_piece(void *ctx, int worker, int64_t piece)
{
    const batch *b = ctx;
    kp_exec *e = b->e;
    int64_t first = piece * b->piece_rows;
    int64_t rows = b->rows - first < b->piece_rows ? b->rows - first : b->piece_rows;
    kp_call c = {.worker = worker,
                 .rows = rows,
                 .at = e->workers[worker].at,
                 .scratch = e->workers[worker].scratch};
    aim(b, c.at, first);
    for (int s = 0; s < e->n_steps; s++) {
        if (e->steps[s].run != NULL)
            KP_TRY(e->steps[s].run(&e->steps[s], &c));
    }
    copy_outputs(b, c.at, first, rows);
    return 0;
}

/* So little work that waking the other threads costs more than they save. */
static const double alone_cost = 1e6;

static int run_alone(batch *b, int64_t n_pieces)
{
    for (int64_t piece = 0; piece < n_pieces; piece++)
        KP_TRY(run_piece(b, 0, piece));
    return 0;
}

int kp_cpu_run(kp_exec *e, const void *const *in, void *const *out, int64_t rows)
{
    batch b = {.e = e, .in = in, .out = out, .rows = rows, .piece_rows = e->piece_rows};
    bool alone = (double)rows * e->row_cost < alone_cost;
    /* Fewer rows than the pieces of all threads hold: smaller pieces, so that none is idle. */
    int64_t share = (rows + e->threads - 1) / e->threads;
    if (!alone && !e->whole && share < b.piece_rows)
        b.piece_rows = share < 1 ? 1 : share;
    int64_t n_pieces = (rows + b.piece_rows - 1) / b.piece_rows;
    int before = kp_dnn_thread_single();
    int rc = alone ? run_alone(&b, n_pieces) : kp_team_run(e->team, n_pieces, run_piece, &b);
    kp_dnn_thread_restore(before);
    return rc;
}

int kp_cpu_run_body(kp_exec *e, int worker, const void *const *in, void *const *out, int64_t rows)
{
    batch b = {.e = e, .in = in, .out = out, .rows = rows, .piece_rows = e->piece_rows};
    for (int64_t piece = 0; piece * b.piece_rows < rows; piece++)
        KP_TRY(run_piece(&b, worker, piece));
    return 0;
}
