/* MAP: all steps of all rows are rows of the body, where they lie. SCAN: step after step, states in
 * two sets of arrays that change places. */
#include "backend/loop.h"

enum { ALIGN = 64, MAP_ROWS_MAX = 1024 };

/* Bytes of one row of the body's value. */
static size_t row_bytes(const kp_value *v)
{
    size_t bytes = 0;
    kp_value_bytes(v, 1, &bytes);
    return bytes;
}

static int64_t steps_of(const kp_node *n)
{
    return n->inputs[0]->shape[1];
}

int64_t kp_loop_body_rows(const kp_node *n, int64_t rows)
{
    if (n->op == KP_OP_SCAN)
        return rows;
    int64_t steps = steps_of(n) > 0 ? steps_of(n) : 1;
    return rows > MAP_ROWS_MAX / steps ? MAP_ROWS_MAX : rows * steps;
}

/* ---- memory: pointers, then one array each ---- */

typedef struct rooms {
    uint8_t *next;
    size_t used;
    bool fits;
} rooms;

/* Counts, and hands out when there is memory. */
static void *room(rooms *r, size_t bytes)
{
    size_t whole;
    if (!kp_add_size(bytes, ALIGN - 1, &whole) ||
        !kp_add_size(r->used, whole / ALIGN * ALIGN, &r->used)) {
        r->fits = false;
        return NULL;
    }
    uint8_t *p = r->next;
    if (p != NULL)
        r->next += whole / ALIGN * ALIGN;
    return p;
}

static void *value_room(rooms *r, const kp_value *v, int64_t rows)
{
    size_t bytes;
    if (kp_value_bytes(v, rows, &bytes))
        return room(r, bytes);
    r->fits = false;
    return NULL;
}

typedef struct places {
    const void **in; /* of the body */
    void **out;
    void **step;      /* by sequence: its step */
    void **states[2]; /* by state */
    void *y;
} places;

static void lay_out(rooms *r, const kp_node *n, int64_t rows, places *p)
{
    const kp_graph *body = kp_node_body(n);
    int n_seq = kp_node_sequences(n), n_state = n->op == KP_OP_SCAN ? n->attr.loop.n_state : 0;
    p->in = room(r, (size_t)n->n_inputs * sizeof *p->in);
    p->out = room(r, (size_t)body->n_outputs * sizeof *p->out);
    p->step = room(r, (size_t)n_seq * sizeof *p->step);
    p->states[0] = room(r, (size_t)n_state * sizeof(void *));
    p->states[1] = room(r, (size_t)n_state * sizeof(void *));
    for (int i = 0; n->op == KP_OP_SCAN && i < n_seq; i++) {
        void *at = value_room(r, body->inputs[i], rows);
        if (p->step != NULL)
            p->step[i] = at;
    }
    for (int i = 0; i < 2 * n_state; i++) {
        void *at = value_room(r, body->inputs[n_seq + i / 2], rows);
        if (p->states[i % 2] != NULL)
            p->states[i % 2][i / 2] = at;
    }
    if (n->op == KP_OP_SCAN)
        p->y = value_room(r, body->outputs[0], rows);
}

bool kp_loop_memory(const kp_node *n, int64_t rows, size_t *out)
{
    rooms r = {.fits = true};
    places p;
    lay_out(&r, n, rows, &p);
    *out = r.used;
    return r.fits;
}

/* ---- MAP ---- */

static int run_map(const kp_loop *l, const void *const *in, void *out, int64_t rows, places *p)
{
    const kp_graph *body = kp_node_body(l->node);
    int64_t total = rows * steps_of(l->node);
    for (int64_t at = 0; at < total; at += l->body_rows) {
        int64_t part = total - at < l->body_rows ? total - at : l->body_rows;
        for (int i = 0; i < body->n_inputs; i++)
            p->in[i] = (const uint8_t *)in[i] + (size_t)at * row_bytes(body->inputs[i]);
        p->out[0] = (uint8_t *)out + (size_t)at * row_bytes(body->outputs[0]);
        KP_TRY(l->body(l->ctx, p->in, p->out, part));
    }
    return 0;
}

/* ---- SCAN ---- */

/* Step t of every row of a sequence, side by side. Of one row it lies so already. */
static const void *take_step(const void *sequence, void *step, size_t bytes, int64_t n_steps,
                             int64_t t, int64_t rows)
{
    const uint8_t *from = (const uint8_t *)sequence + (size_t)t * bytes;
    if (rows == 1)
        return from;
    for (int64_t r = 0; r < rows; r++)
        memcpy((uint8_t *)step + (size_t)r * bytes, from + (size_t)(r * n_steps) * bytes, bytes);
    return step;
}

static void put_step(void *sequence, const void *step, size_t bytes, int64_t n_steps, int64_t t,
                     int64_t rows)
{
    uint8_t *to = (uint8_t *)sequence + (size_t)t * bytes;
    for (int64_t r = 0; r < rows; r++)
        memcpy(to + (size_t)(r * n_steps) * bytes, (const uint8_t *)step + (size_t)r * bytes,
               bytes);
}

/* What stays the same, and the states before the first step. */
static void begin(const kp_loop *l, const void *const *in, int64_t rows, places *p)
{
    const kp_node *n = l->node;
    const kp_graph *body = kp_node_body(n);
    int n_seq = n->attr.loop.n_seq, n_state = n->attr.loop.n_state;
    for (int i = n_seq; i < n->n_inputs; i++)
        p->in[i] = in[i];
    for (int s = 0; s < n_state; s++) {
        if (in[n_seq + s] != NULL)
            continue;
        memset(p->states[1][s], 0, (size_t)rows * row_bytes(body->inputs[n_seq + s]));
        p->in[n_seq + s] = p->states[1][s];
    }
}

static int run_scan(const kp_loop *l, const void *const *in, void *out, int64_t rows, places *p)
{
    const kp_node *n = l->node;
    const kp_graph *body = kp_node_body(n);
    int n_seq = n->attr.loop.n_seq, n_state = n->attr.loop.n_state;
    int64_t n_steps = steps_of(n);
    size_t y_bytes = row_bytes(body->outputs[0]);
    bool all = !n->attr.loop.last_only, direct = rows == 1 || !all;
    begin(l, in, rows, p);
    for (int64_t i = 0; i < n_steps; i++) {
        int64_t t = n->attr.loop.reverse ? n_steps - 1 - i : i;
        for (int k = 0; k < n_seq; k++)
            p->in[k] = take_step(in[k], p->step[k], row_bytes(body->inputs[k]), n_steps, t, rows);
        p->out[0] = direct ? (uint8_t *)out + (all ? (size_t)i * y_bytes : 0) : p->y;
        for (int s = 0; s < n_state; s++)
            p->out[1 + s] = p->states[i % 2][s];
        KP_TRY(l->body(l->ctx, p->in, p->out, rows));
        if (!direct)
            put_step(out, p->y, y_bytes, n_steps, i, rows);
        for (int s = 0; s < n_state; s++)
            p->in[n_seq + s] = p->states[i % 2][s];
    }
    return 0;
}

int kp_loop_run(const kp_loop *l, const void *const *in, void *out, int64_t rows, void *memory)
{
    rooms r = {.next = memory, .fits = true};
    places p;
    lay_out(&r, l->node, rows, &p);
    return l->node->op == KP_OP_MAP ? run_map(l, in, out, rows, &p)
                                    : run_scan(l, in, out, rows, &p);
}
