/* Inside kp-device: its state, and running one batch from slots to cells. */
#ifndef KP_DEVICE_BATCH_H
#define KP_DEVICE_BATCH_H

#include "device/device.h"

typedef struct kp_device {
    const kp_device_engine *engine;
    void *state;
    int64_t max_batch;
    bool grouped; /* rows depend on their batch */
    uint32_t n_inputs;
    size_t in_row[KP_WIRE_PORTS];  /* bytes of one row of each input */
    size_t out_row[KP_WIRE_PORTS]; /* ... of each output */
    kp_wire_ports outputs;
    kp_wire_device_map map;
    kp_region page_region, slots, cells;
    kp_device_page *page;
    kp_ring tasks, dones;
    int bell;
    /* One engine call: up to max_batch segments, their input pointers, a dense result. */
    kp_segment *segments;
    const void **pointers; /* max_batch x n_inputs */
    size_t n_segments;
    int64_t rows;
    kp_batch_entry part[KP_BATCH_ENTRIES]; /* where each segment's rows go; n_rows: its rows */
    uint32_t first_row[KP_BATCH_ENTRIES];  /* ... within the item */
    unsigned char *scratch;
    size_t scratch_offset[KP_WIRE_PORTS];
} kp_device;

/* Row sizes from what the slots hold and from d->outputs. */
int kp_device_size_rows(kp_device *d, const kp_wire_ports *rows);
/* Working memory for batches, once the regions are mapped; checks the map against the row sizes. */
int kp_device_prepare(kp_device *d);
/* One row of zeros through the model: does it work at all? */
int kp_device_probe(kp_device *d);
/* Copies the batch's entries, checks them, runs them. 0 or a status with a text. */
int kp_device_run_batch(kp_device *d, const kp_batch_task *task);

#endif
