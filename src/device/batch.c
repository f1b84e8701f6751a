/* A batch: rows gathered from slots in calls of at most max_batch rows, results put into cells. */
#include "device/batch.h"

#include <stdlib.h>

static int size_of(const kp_wire_port *p, int first_axis, size_t *bytes)
{
    if (p->ndim < first_axis || !kp_border_bytes(p->shape + first_axis, p->ndim - first_axis,
                                                 (kp_dtype)p->dtype, p->string_bytes, bytes))
        return kp_fail(KP_ESHAPE, "a row of \"%s\" has no definite size", p->name);
    return 0;
}

int kp_device_size_rows(kp_device *d, const kp_wire_ports *rows)
{
    d->n_inputs = rows->n;
    for (uint32_t i = 0; i < rows->n; i++)
        KP_TRY(size_of(&rows->port[i], 0, &d->in_row[i]));
    for (uint32_t i = 0; i < d->outputs.n; i++)
        KP_TRY(size_of(&d->outputs.port[i], 1, &d->out_row[i]));
    return 0;
}

static bool fits(uint64_t offset, size_t row, uint64_t rows, uint64_t stride)
{
    size_t bytes;
    return kp_mul_size(row, rows, &bytes) && offset <= stride && bytes <= stride - offset;
}

int kp_device_prepare(kp_device *d)
{
    bool ok = d->map.rows_per_item >= 1 && d->map.rows_per_item <= UINT32_MAX;
    for (uint32_t i = 0; ok && i < d->n_inputs; i++)
        ok = fits(d->map.slot_offset[i], d->in_row[i], d->map.rows_per_item, d->map.slot_stride);
    for (uint32_t i = 0; ok && i < d->outputs.n; i++)
        ok = fits(d->map.cell_offset[i], d->out_row[i], d->map.rows_per_item, d->map.cell_stride);
    if (!ok)
        return kp_fail(KP_EINTERNAL, "kp-device got slots that do not fit the model");
    size_t total = 0;
    for (uint32_t i = 0; i < d->outputs.n; i++) {
        d->scratch_offset[i] = total;
        total += (d->out_row[i] * (size_t)d->max_batch + 63) & ~(size_t)63;
    }
    d->segments = calloc(KP_BATCH_ENTRIES, sizeof *d->segments);
    d->pointers = calloc((size_t)KP_BATCH_ENTRIES * (d->n_inputs + 1), sizeof *d->pointers);
    d->scratch = aligned_alloc(64, total > 0 ? total : 64);
    if (d->segments == NULL || d->pointers == NULL || d->scratch == NULL)
        return kp_fail(KP_ENOMEM, "kp-device has no memory for batches of %lld rows",
                       (long long)d->max_batch);
    return 0;
}

int kp_device_probe(kp_device *d)
{
    size_t largest = 64;
    for (uint32_t i = 0; i < d->n_inputs; i++)
        if (d->in_row[i] > largest)
            largest = d->in_row[i];
    void *zeros = aligned_alloc(64, (largest + 63) & ~(size_t)63);
    if (zeros == NULL)
        return kp_fail(KP_ENOMEM, "kp-device has no memory for one row");
    memset(zeros, 0, largest);
    void *out[KP_WIRE_PORTS];
    for (uint32_t i = 0; i < d->n_inputs; i++)
        d->pointers[i] = zeros;
    for (uint32_t i = 0; i < d->outputs.n; i++)
        out[i] = d->scratch + d->scratch_offset[i];
    kp_segment row = {.n_rows = 1, .inputs = d->pointers};
    int status = d->engine->run(d->state, &row, 1, out);
    free(zeros);
    return status;
}

/* Runs the gathered segments: into the cell itself when one item fills the call. */
static int flush(kp_device *d)
{
    if (d->n_segments == 0)
        return 0;
    bool direct = d->n_segments == 1;
    void *out[KP_WIRE_PORTS];
    unsigned char *cells = d->cells.base;
    for (uint32_t o = 0; o < d->outputs.n; o++)
        out[o] = direct ? cells + d->part[0].cell * d->map.cell_stride + d->map.cell_offset[o] +
                              d->first_row[0] * d->out_row[o]
                        : d->scratch + d->scratch_offset[o];
    KP_TRY(d->engine->run(d->state, d->segments, d->n_segments, out));
    size_t row = 0;
    for (size_t s = 0; !direct && s < d->n_segments; s++) {
        for (uint32_t o = 0; o < d->outputs.n; o++)
            memcpy(cells + d->part[s].cell * d->map.cell_stride + d->map.cell_offset[o] +
                       d->first_row[s] * d->out_row[o],
                   d->scratch + d->scratch_offset[o] + row * d->out_row[o],
                   d->part[s].n_rows * d->out_row[o]);
        row += d->part[s].n_rows;
    }
    d->n_segments = 0;
    d->rows = 0;
    return 0;
}

/* Adds rows of an item to the call under way; flushes calls that are full. */
static int add_entry(kp_device *d, const kp_batch_entry *e)
{
    uint32_t first = 0;
    while (first < e->n_rows) {
        uint32_t n = e->n_rows - first;
        if (n > d->max_batch - d->rows)
            n = (uint32_t)(d->max_batch - d->rows);
        size_t s = d->n_segments++;
        const void **in = d->pointers + s * d->n_inputs;
        unsigned char *slot = (unsigned char *)d->slots.base + e->slot * d->map.slot_stride;
        for (uint32_t i = 0; i < d->n_inputs; i++)
            in[i] = slot + d->map.slot_offset[i] + first * d->in_row[i];
        d->segments[s] = (kp_segment){.n_rows = n, .inputs = in};
        d->part[s] = *e;
        d->part[s].n_rows = n;
        d->first_row[s] = first;
        d->rows += n;
        first += n;
        if (d->rows == d->max_batch || d->n_segments == KP_BATCH_ENTRIES)
            KP_TRY(flush(d));
    }
    /* Rows that depend on their batch never share one with another item's. */
    return d->grouped ? flush(d) : 0;
}

int kp_device_run_batch(kp_device *d, const kp_batch_task *task)
{
    if (task->page >= KP_BATCH_PAGES || task->n_entries > KP_BATCH_ENTRIES)
        return kp_fail(KP_EINTERNAL, "kp-device got a batch that cannot be");
    d->n_segments = 0;
    d->rows = 0;
    for (uint32_t i = 0; i < task->n_entries; i++) {
        kp_batch_entry e = d->page->batch[task->page].entry[i];
        if (e.slot >= d->map.n_slots || e.cell >= d->map.n_cells || e.n_rows > d->map.rows_per_item)
            return kp_fail(KP_EINTERNAL, "kp-device got a batch entry out of range");
        KP_TRY(add_entry(d, &e));
    }
    return flush(d);
}
