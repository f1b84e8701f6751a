/*
 * How large slots and cells are and how many there are: a bound in bytes for each arena, and the
 * largest batch and window that fit. Slots take at most a quarter, results an eighth of the memory
 * that the process may use.
 */
#include "hub/hub.h"

/* Blocks of rows: large enough that a message costs nothing beside them. */
static const size_t block_bytes = 256 << 10;
static const size_t block_result_bytes = 4 << 20;
static const int64_t block_rows_max = 65536;
/* More than this is not reserved for results, even if it were allowed. */
static const size_t cells_wanted_bytes = 256 << 20;
static const uint32_t window_max = 4096;

/* Bytes of n rows of each port one after the other, each at a multiple of 64. */
static bool lay_out(const size_t *row, uint32_t n_ports, int64_t n_rows, uint64_t *offset,
                    size_t *stride)
{
    size_t total = 0;
    for (uint32_t i = 0; i < n_ports; i++) {
        size_t bytes;
        offset[i] = total;
        if (!kp_mul_size(row[i], (size_t)n_rows, &bytes) || !kp_add_size(bytes, 63, &bytes) ||
            !kp_add_size(total, bytes & ~(size_t)63, &total))
            return false;
    }
    *stride = total > 0 ? total : 64;
    return true;
}

static int row_bytes(const kp_wire_ports *ports, int first_axis, size_t *row, size_t *sum)
{
    *sum = 0;
    for (uint32_t i = 0; i < ports->n; i++) {
        const kp_wire_port *port = &ports->port[i];
        int n = port->ndim - first_axis;
        if (n < 0 ||
            !kp_border_bytes(port->shape + first_axis, n, (kp_dtype)port->dtype, port->string_bytes,
                             &row[i]) ||
            !kp_add_size(*sum, row[i], sum))
            return kp_fail(KP_ESHAPE,
                           "\"%s\" has no definite size; give the size of the images or "
                           "rows",
                           port->name);
    }
    return 0;
}

static int64_t rows_of_a_block(size_t in, size_t out)
{
    int64_t n = (int64_t)(block_bytes / (in > 0 ? in : 1));
    int64_t by_result = (int64_t)(block_result_bytes / (out > 0 ? out : 1));
    if (by_result < n)
        n = by_result;
    if (n > block_rows_max)
        n = block_rows_max;
    return n > 1 ? n : 1;
}

static uint32_t at_most(size_t wanted, size_t budget, size_t stride)
{
    size_t fit = budget / stride;
    size_t n = wanted < fit ? wanted : fit;
    return n < UINT32_MAX / 2 ? (uint32_t)n : UINT32_MAX / 2;
}

static int too_little(const kp_geometry *g, size_t memory)
{
    return kp_fail(KP_ENOMEM,
                   "one item takes %zu bytes in shared memory and its result %zu; that "
                   "does not fit into %zu bytes even one by one",
                   g->slot_stride, g->cell_stride, memory);
}

/* Files: slots for two batches and what the workers write; batch and window shrink to fit. */
static int choose_files(kp_geometry *g, size_t workers, size_t slots_max, size_t cells_max)
{
    if (g->max_batch > KP_BATCH_ENTRIES)
        g->max_batch = KP_BATCH_ENTRIES;
    size_t cells_wanted = cells_max < cells_wanted_bytes ? cells_max : cells_wanted_bytes;
    for (;; g->max_batch /= 2) {
        size_t batch = (size_t)g->max_batch;
        size_t want = 2 * batch + workers * KP_WORKER_AHEAD;
        size_t need = batch > 1 ? 2 * batch + workers : 1;
        g->n_slots = at_most(want, slots_max, g->slot_stride);
        g->n_cells = at_most(4 * want, cells_wanted, g->cell_stride);
        if (g->n_cells < need)
            g->n_cells = at_most(need, cells_max, g->cell_stride);
        if (g->n_cells > window_max)
            g->n_cells = window_max;
        if (g->n_slots >= need && g->n_cells >= (batch > 1 ? 2 * batch : 1))
            return 0;
        if (batch == 1)
            return too_little(g, slots_max);
    }
}

/* Rows: a slot belongs to a cell, so there are as many; the block shrinks to fit. */
static int choose_rows(kp_geometry *g, size_t in, size_t out, size_t slots_max, size_t cells_max)
{
    /* Where a row may be refused each is an item of its own: the others have their results. */
    g->rows_per_item = g->refusing ? 1 : rows_of_a_block(in, out);
    /* An item's rows are batched from its first one on: whole batches, so that items do not show.
     */
    if (g->grouped)
        g->rows_per_item = g->rows_per_item > g->max_batch
                               ? g->rows_per_item / g->max_batch * g->max_batch
                               : g->max_batch;
    for (;; g->rows_per_item = g->grouped ? g->max_batch : g->rows_per_item / 2) {
        if (!lay_out(g->in_row, g->rows.n, g->rows_per_item, g->slot_offset, &g->slot_stride) ||
            !lay_out(g->out_row, g->outputs.n, g->rows_per_item, g->cell_offset, &g->cell_stride))
            return too_little(g, slots_max);
        size_t batch = (size_t)((g->max_batch + g->rows_per_item - 1) / g->rows_per_item);
        size_t want = 3 * batch + 4;
        if (want < 8)
            want = 8;
        if (want > window_max)
            want = window_max;
        g->n_slots = g->n_cells =
            at_most(at_most(want, slots_max, g->slot_stride), cells_max, g->cell_stride);
        if (g->n_slots >= 3 || (g->n_slots >= 1 && g->rows_per_item == 1))
            return 0;
        if (g->rows_per_item == (g->grouped ? g->max_batch : 1))
            return too_little(g, slots_max);
    }
}

int kp_geometry_choose(kp_geometry *g, size_t workers, bool rows_kind, size_t memory_bytes)
{
    size_t machine = kp_machine_get()->memory_bytes;
    size_t slots_max = machine / 4, cells_max = machine / 8;
    if (memory_bytes > 0 && memory_bytes / 3 * 2 < slots_max)
        slots_max = memory_bytes / 3 * 2;
    if (memory_bytes > 0 && memory_bytes / 3 < cells_max)
        cells_max = memory_bytes / 3;
    size_t in, out;
    KP_TRY(row_bytes(&g->rows, 0, g->in_row, &in));
    KP_TRY(row_bytes(&g->outputs, 1, g->out_row, &out));
    if (rows_kind)
        return choose_rows(g, in, out, slots_max, cells_max);
    g->rows_per_item = 1;
    if (!lay_out(g->in_row, g->rows.n, 1, g->slot_offset, &g->slot_stride) ||
        !lay_out(g->out_row, g->outputs.n, 1, g->cell_offset, &g->cell_stride))
        return too_little(g, slots_max);
    return choose_files(g, workers, slots_max, cells_max);
}
