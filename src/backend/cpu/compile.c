/* A graph made executable: the choice of steps, their kernels, the places of values, and each
 * engine thread's memory. */
#include "backend/cpu/cpu.h"

#include <stdlib.h>

enum { ALIGN = 64, CACHE_BYTES = 512 * 1024, PACK_BYTES = 1 << 20, MOST_PIECE_ROWS = 4096 };
enum { SCAN_ROWS = 16, SCAN_BYTES = 64 << 20 };

bool kp_step_choose(kp_step *s, const kp_node *n)
{
    static bool (*const takers[])(kp_step *, const kp_node *) = {
        kp_step_conv_product, kp_step_conv,   kp_step_pool, kp_step_dense, kp_step_matmul,
        kp_step_layernorm,    kp_step_simple, kp_step_move, kp_step_loop,  kp_step_ref};
    for (size_t i = 0; i < sizeof takers / sizeof *takers; i++) {
        memset(s, 0, sizeof *s);
        if (takers[i](s, n)) {
            s->node = n;
            return true;
        }
    }
    memset(s, 0, sizeof *s);
    return false;
}

void kp_act_run(const kp_kernels *k, const kp_act *act, float *x, int64_t n)
{
    if (act->kind == KP_ACT_NONE || k->act(act, x, x, n))
        return;
    for (int64_t i = 0; i < n; i++)
        x[i] = (float)kp_act_apply(act, (double)x[i]);
}

static int choose_steps(kp_exec *e, bool *needs_dnn)
{
    const kp_graph *g = e->graph;
    e->steps = kp_arena_array(e->mem, (size_t)g->n_nodes + 1, sizeof *e->steps);
    e->places = kp_arena_array(e->mem, (size_t)g->n_values + 1, sizeof *e->places);
    if (e->steps == NULL || e->places == NULL)
        return KP_ENOMEM;
    for (int i = 0; i < g->n_nodes; i++) {
        const kp_node *n = g->nodes[i];
        if (n->op == KP_OP_INPUT || n->op == KP_OP_CONST)
            continue;
        kp_step *s = &e->steps[e->n_steps];
        if (!kp_step_choose(s, n))
            return kp_fail(KP_EUNSUPPORTED,
                           "layer \"%s\": the operation %s is not supported on "
                           "these types",
                           n->name != NULL ? n->name : "", kp_op_name(n->op));
        *needs_dnn = *needs_dnn || strcmp(s->by, "onednn") == 0;
        e->n_steps++;
    }
    return 0;
}

/* A kernel that is packed is read where it lies; every other constant must be aligned. */
static bool is_packed(const kp_step *s, int input)
{
    return input == 1 && (s->node->op == KP_OP_CONV || s->node->op == KP_OP_DENSE) &&
           strcmp(s->by, "ref") != 0;
}

/* What has been packed is not read again, unless another step reads the same kernel. */
static void drop_kernel(const kp_exec *e, const kp_step *s, size_t from, size_t to)
{
    const kp_value *kernel = s->node->inputs[1];
    bool last = !e->places[kernel->id].read && kp_graph_count_uses(e->graph, kernel) == 1;
    kp_graph_const_drop(kernel, from, to, last);
}

static int place_constant(kp_exec *e, kp_value *v)
{
    kp_place *place = &e->places[v->id];
    size_t elem = kp_elem_size(v->dtype);
    place->read = true;
    if (v->data == NULL || place->data != NULL)
        return 0;
    if (v->dtype == KP_FLOAT32) {
        place->data = kp_graph_const_f32(e->graph, v);
        return place->data != NULL ? 0 : KP_ENOMEM;
    }
    place->data = v->data;
    if (elem > 1 && (uintptr_t)v->data % elem != 0) {
        void *copy = kp_arena_alloc(e->mem, v->data_bytes);
        if (copy == NULL)
            return KP_ENOMEM;
        memcpy(copy, v->data, v->data_bytes);
        place->data = copy;
    }
    return 0;
}

static int place_constants(kp_exec *e)
{
    for (int s = 0; s < e->n_steps; s++) {
        const kp_node *n = e->steps[s].node;
        for (int i = 0; i < n->n_inputs; i++) {
            if (n->inputs[i] != NULL && !is_packed(&e->steps[s], i))
                KP_TRY(place_constant(e, n->inputs[i]));
        }
    }
    for (int i = 0; i < e->graph->n_outputs; i++)
        KP_TRY(place_constant(e, e->graph->outputs[i]));
    return 0;
}

/* Bytes that one row writes on its way: what a piece should keep in cache. */
static size_t row_traffic(const kp_exec *e)
{
    size_t sum = 0;
    for (int s = 0; s < e->n_steps; s++) {
        const kp_value *v = e->steps[s].node->output;
        size_t bytes = (size_t)kp_value_count(v, 1) * kp_elem_size(v->dtype);
        if (!e->steps[s].view && !kp_add_size(sum, bytes, &sum))
            return SIZE_MAX;
    }
    return sum;
}

/* Each step of a loop over time reads all its weights again: rows share that. */
static bool has_scan(const kp_exec *e)
{
    for (int s = 0; s < e->n_steps; s++) {
        if (e->steps[s].node->op == KP_OP_SCAN)
            return true;
    }
    return false;
}

/* How many rows go through the steps together. Convolutions reuse their weights within one image;
 * a few images more help the late, small layers and dense ones. Rows of a table are many to a
 * piece: a step costs some dozens of nanoseconds, a row may cost fewer. */
static void choose_piece(kp_exec *e, bool convolutions)
{
    size_t traffic = row_traffic(e);
    int64_t least = has_scan(e) && traffic < SCAN_BYTES / SCAN_ROWS ? SCAN_ROWS : 1;
    e->row_cost = (double)traffic;
    for (int s = 0; s < e->n_steps; s++)
        e->row_cost += kp_node_flops(e->steps[s].node);
    int64_t rows = 1, most = convolutions ? 8 : MOST_PIECE_ROWS;
    if (convolutions)
        rows = 2;
    while (rows < most && rows * 2 <= e->max_batch &&
           (rows < least || traffic < CACHE_BYTES / (size_t)(rows * 2)))
        rows *= 2;
    for (int i = 0; i < e->graph->n_nodes; i++) {
        const kp_node *n = e->graph->nodes[i];
        e->whole = e->whole || (n->op == KP_OP_KERNEL && n->attr.kernel.def->whole_batch);
    }
    if (rows > e->max_batch || e->whole)
        rows = e->max_batch;
    e->piece_rows = rows;
    for (int64_t size = 8; size >= 1; size /= 2) {
        if (size <= rows && e->n_sizes < KP_DNN_SIZES)
            e->sizes[e->n_sizes++] = size;
    }
}

static int build_piece(void *ctx, int worker, int64_t piece)
{
    kp_exec *e = ctx;
    kp_step *s = &e->steps[piece];
    (void)worker;
    KP_TRY(s->build != NULL ? s->build(e, s) : 0);
    if (is_packed(s, 1) && s->pack == NULL)
        drop_kernel(e, s, 0, s->node->inputs[1]->data_bytes);
    return 0;
}

/* All kernels in pieces of some rows: one large kernel keeps every core busy, and the memory that a
 * piece was read from is given back before the next is packed. */
struct packing {
    kp_exec *e;
    struct piece {
        const kp_step *step;
        int64_t row0, row1;
    } * pieces;
};

static int64_t list_pieces(const kp_exec *e, struct piece *out)
{
    int64_t n = 0;
    for (int i = 0; i < e->n_steps; i++) {
        const kp_step *s = &e->steps[i];
        int64_t rows = s->pack != NULL ? (int64_t)(PACK_BYTES / s->row_bytes) + 1 : 1;
        for (int64_t row = 0; s->pack != NULL && row < s->pack_rows; row += rows, n++) {
            if (out != NULL)
                out[n] =
                    (struct piece){s, row, s->pack_rows - row < rows ? s->pack_rows : row + rows};
        }
    }
    return n;
}

static int pack_piece(void *ctx, int worker, int64_t piece)
{
    const struct packing *p = ctx;
    const struct piece *at = &p->pieces[piece];
    (void)worker;
    at->step->pack(at->step, at->row0, at->row1);
    drop_kernel(p->e, at->step, (size_t)at->row0 * at->step->row_bytes,
                (size_t)at->row1 * at->step->row_bytes);
    return 0;
}

/* On the thread that builds a loop's step when there is no team: that one is busy with the step. */
static int by_team(kp_exec *e, int64_t n, kp_team_fn fn, void *ctx)
{
    if (e->team != NULL)
        return kp_team_run(e->team, n, fn, ctx);
    for (int64_t i = 0; i < n; i++)
        KP_TRY(fn(ctx, 0, i));
    return 0;
}

static int pack_all(kp_exec *e)
{
    struct packing p = {.e = e};
    int64_t n = list_pieces(e, NULL);
    p.pieces = calloc((size_t)n + 1, sizeof *p.pieces);
    if (p.pieces == NULL)
        return kp_fail(KP_ENOMEM, "out of memory");
    list_pieces(e, p.pieces);
    int rc = by_team(e, n, pack_piece, &p);
    free(p.pieces);
    return rc;
}

static int make_memory(kp_exec *e)
{
    for (int s = 0; s < e->n_steps; s++) {
        if (e->steps[s].scratch_bytes > e->scratch_bytes)
            e->scratch_bytes = e->steps[s].scratch_bytes;
    }
    e->workers = kp_arena_array(e->mem, (size_t)e->threads, sizeof *e->workers);
    if (e->workers == NULL)
        return KP_ENOMEM;
    for (int w = 0; w < e->threads; w++) {
        kp_worker_memory *m = &e->workers[w];
        m->arena = kp_arena_alloc(e->mem, e->arena_bytes + ALIGN);
        m->scratch = kp_arena_alloc(e->mem, e->scratch_bytes + ALIGN);
        m->at = kp_arena_array(e->mem, (size_t)e->graph->n_values + 1, sizeof *m->at);
        if (m->arena == NULL || m->scratch == NULL || m->at == NULL)
            return KP_ENOMEM;
        for (int v = 0; v < e->graph->n_values; v++) {
            const kp_place *place = &e->places[v];
            if (place->kind == KP_PLACE_ARENA)
                m->at[v] = m->arena + place->offset;
            else if (place->kind == KP_PLACE_CONST)
                m->at[v] = (void *)(uintptr_t)place->data;
        }
    }
    return 0;
}

static int compile_steps(kp_exec *e, bool is_body)
{
    bool needs_dnn = false;
    e->kernels = kp_kernels_get();
    if (e->kernels == NULL)
        return kp_fail(KP_EDEVICE, "the processor lacks SSE4.1");
    KP_TRY(choose_steps(e, &needs_dnn));
    KP_TRY(place_constants(e));
    choose_piece(e, needs_dnn);
    KP_TRY(kp_places_make(e));
    if (needs_dnn)
        KP_TRY(kp_dnn_open(&e->dnn, e->threads));
    if (!is_body)
        KP_TRY(kp_team_new(&e->team, e->threads));
    KP_TRY(by_team(e, e->n_steps, build_piece, e));
    KP_TRY(pack_all(e));
    return make_memory(e);
}

void kp_cpu_close(kp_exec **exec)
{
    kp_exec *e = *exec;
    if (e == NULL)
        return;
    kp_team_free(&e->team);
    for (int s = 0; s < e->n_steps; s++) {
        if (e->steps[s].fini != NULL)
            e->steps[s].fini(&e->steps[s]);
    }
    kp_dnn_close(&e->dnn);
    kp_arena_free(&e->mem);
    free(e);
    *exec = NULL;
}

static int compile(kp_exec **out, kp_graph *g, int64_t max_batch, int threads, bool is_body)
{
    kp_exec *e = calloc(1, sizeof *e);
    *out = NULL;
    if (e == NULL)
        return kp_fail(KP_ENOMEM, "out of memory");
    e->graph = g;
    e->threads = threads > 0 ? threads : 1;
    e->max_batch = max_batch;
    int rc = kp_arena_new(&e->mem, 0);
    if (rc == 0) {
        int before = kp_dnn_thread_single();
        rc = compile_steps(e, is_body);
        kp_dnn_thread_restore(before);
    }
    if (rc != 0)
        kp_cpu_close(&e);
    *out = e;
    return rc;
}

int kp_cpu_compile(kp_exec **out, kp_graph *g, const kp_compile_options *opt)
{
    return compile(out, g, opt->max_batch, opt->threads, false);
}

int kp_cpu_compile_body(kp_exec **out, kp_graph *g, int64_t max_rows, int threads)
{
    return compile(out, g, max_rows, threads, true);
}
