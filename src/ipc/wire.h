/*
 * The layout of all that crosses between hub, kp-worker and kp-device. Included by ipc/ipc.h; see
 * docs/SHARED_MEMORY.md for the table of fields with writer, reader and order.
 *
 * Fixed-width fields and offsets only. What is read from here is copied once, checked, then used.
 * All programs come from one build; KP_WIRE_MAGIC changes with the sizes.
 */
#ifndef KP_IPC_WIRE_H
#define KP_IPC_WIRE_H

#include <kpredict/kpredict.h>
#include <stdatomic.h>

enum {
    KP_LINE = 128, /* two cache lines: the prefetcher takes them in pairs */
    KP_RING_ENTRY = 64,
    KP_RING_DEPTH = 8,
    KP_NAME_BYTES = 4096, /* a path with its NUL */
    KP_MESSAGE_BYTES = 256,
    KP_BATCH_ENTRIES = 1024, /* items of one batch at most */
    KP_BATCH_PAGES = 4,
    KP_WIRE_PORTS = 64,
    KP_WIRE_NAME = 192,
    KP_CONTROL_FD = 3,
    KP_MSG_FDS = 4
};

/* Largest encoded item, and the place that each task has in a worker's window. */
#define KP_ITEM_BYTES_MAX ((uint64_t)256 << 20)

/* ---- rings: one producer, one consumer ---- */

typedef struct kp_ring_page {
    _Alignas(KP_LINE) _Atomic uint64_t tail;     /* producer: entries ever written */
    _Alignas(KP_LINE) _Atomic uint32_t sleeping; /* consumer: 1 while it (nearly) sleeps */
    _Alignas(KP_LINE) _Atomic uint32_t bell;     /* producer: futex word, counts rings */
    _Alignas(KP_LINE) unsigned char entry[KP_RING_DEPTH][KP_RING_ENTRY];
} kp_ring_page;
_Static_assert(sizeof(kp_ring_page) == 3 * KP_LINE + KP_RING_DEPTH * KP_RING_ENTRY, "layout");
_Static_assert(ATOMIC_INT_LOCK_FREE == 2 && ATOMIC_LLONG_LOCK_FREE == 2, "lock-free atomics");

/* ---- hub and kp-worker ---- */

typedef struct kp_task {
    uint64_t seq;
    uint32_t slot, gen;
    uint32_t kind;      /* kp_item_kind: KP_ITEM_PATH or KP_ITEM_BYTES */
    uint32_t name_size; /* bytes in kp_worker_page.name of this position, without NUL */
    uint64_t offset;    /* KP_ITEM_BYTES: place in the window */
    uint64_t size;
    uint64_t reserved[3];
} kp_task;
_Static_assert(sizeof(kp_task) == KP_RING_ENTRY, "layout");

enum { KP_DONE_EXIF_TURNED = 1, KP_DONE_MESSAGE = 2 };

typedef struct kp_done {
    uint64_t seq;
    uint32_t slot, gen;
    uint32_t error; /* kp_item_error */
    uint32_t flags; /* KP_DONE_... */
    uint64_t read_ns, decode_ns, resize_ns, wait_ns;
    uint64_t reserved;
} kp_done;
_Static_assert(sizeof(kp_done) == KP_RING_ENTRY, "layout");

typedef enum kp_stage { KP_STAGE_IDLE, KP_STAGE_READ, KP_STAGE_PREPARE, KP_STAGE_COUNT } kp_stage;

/* One per worker, mapped by that worker and the hub. Position n of name and message belongs to
 * the task and completion with that position in its ring. */
typedef struct kp_worker_page {
    kp_ring_page tasks; /* hub -> worker, kp_task */
    kp_ring_page dones; /* worker -> hub, kp_done */
    _Alignas(KP_LINE) _Atomic uint32_t stage;
    _Alignas(KP_LINE) char name[KP_RING_DEPTH][KP_NAME_BYTES];
    char message[KP_RING_DEPTH][KP_MESSAGE_BYTES];
} kp_worker_page;

/* ---- hub and kp-device ---- */

typedef struct kp_batch_task {
    uint64_t seq;
    uint32_t page; /* which kp_batch_page */
    uint32_t n_entries;
    uint64_t reserved[6];
} kp_batch_task;
_Static_assert(sizeof(kp_batch_task) == KP_RING_ENTRY, "layout");

typedef struct kp_batch_done {
    uint64_t seq;
    int32_t status; /* 0 or KP_E...; then the page's message says why */
    uint32_t reserved0;
    uint64_t busy_ns, idle_ns;
    uint64_t reserved[4];
} kp_batch_done;
_Static_assert(sizeof(kp_batch_done) == KP_RING_ENTRY, "layout");

typedef struct kp_batch_entry {
    uint32_t slot; /* rows are read from here */
    uint32_t cell; /* outputs are written here */
    uint32_t n_rows;
    uint32_t reserved;
} kp_batch_entry;

typedef struct kp_batch_page {
    _Alignas(KP_LINE) kp_batch_entry entry[KP_BATCH_ENTRIES]; /* hub */
    char message[KP_MESSAGE_BYTES];                           /* device */
} kp_batch_page;

typedef struct kp_device_page {
    kp_ring_page tasks; /* hub -> device, kp_batch_task */
    kp_ring_page dones; /* device -> hub, kp_batch_done */
    kp_batch_page batch[KP_BATCH_PAGES];
} kp_device_page;

/* ---- messages of the control socket ---- */

enum kp_msg_type {
    KP_MSG_WORKER_SETUP = 1, /* hub -> worker: what to prepare */
    KP_MSG_PORTS,            /* worker -> hub: what it will write, per row */
    KP_MSG_WORKER_MAP,       /* hub -> worker: descriptors page, slots, window, bell */
    KP_MSG_DEVICE_SETUP,     /* hub -> device: which model */
    KP_MSG_DEVICE_INFO,      /* device -> hub: what it takes and gives */
    KP_MSG_DEVICE_STAGE,     /* hub -> device: what the slots will hold */
    KP_MSG_STAGED,           /* device -> hub: the outputs that result */
    KP_MSG_DEVICE_MAP,       /* hub -> device: descriptors page, slots, results, bell */
    KP_MSG_READY,            /* child -> hub: it reads its ring now */
    KP_MSG_REFUSED,          /* child -> hub: status and text; it ends */
    KP_MSG_TYPE_COUNT
};

typedef struct kp_wire_port {
    char name[KP_WIRE_NAME];
    int32_t dtype, ndim;
    int64_t shape[KP_MAX_DIMS];
    int32_t string_bytes; /* KP_STRING in slots and cells: bytes of one element */
    int32_t reserved;
} kp_wire_port;

typedef struct kp_wire_ports {
    uint32_t n, reserved;
    kp_wire_port port[KP_WIRE_PORTS];
} kp_wire_ports;

typedef struct kp_wire_refused {
    int32_t status;
    char text[1024];
} kp_wire_refused;

typedef struct kp_wire_worker_setup {
    char plugin[KP_NAME_BYTES]; /* "": the built-in preprocessing */
    char plugin_arg[KP_NAME_BYTES];
    char resize[32], decode[32];
    int32_t height, width, channels;
    uint8_t crop, pad, exif_rotate, pixels_uint8;
    uint64_t memory_bytes; /* address space beyond the regions; 0: no limit */
    kp_wire_ports inputs;  /* the model's rows, -1 where open */
} kp_wire_worker_setup;

typedef struct kp_wire_worker_map {
    uint64_t slot_stride, n_slots;
    uint64_t offset[KP_WIRE_PORTS]; /* of each tensor in a slot */
} kp_wire_worker_map;

typedef struct kp_wire_device_setup {
    char model[KP_NAME_BYTES];
    char architecture[KP_NAME_BYTES];                   /* "": the model's file has it */
    char plugins[KP_NAME_BYTES], layers[KP_NAME_BYTES]; /* one a line; see kp_model_options */
    char device[64], precision[32];
    int32_t threads, reserved;
    int64_t max_batch;
} kp_wire_device_setup;

typedef struct kp_wire_device_info {
    char name[KP_WIRE_NAME], class_name[64], keras_version[64], preprocess[64], backend[64];
    int32_t threads;
    uint32_t softmax_output;
    uint32_t grouped;  /* rows depend on their batch: an item's rows run max_batch by max_batch */
    uint32_t refusing; /* what a row holds may make its batch fail */
    int64_t n_params, max_batch;
    kp_wire_ports inputs, outputs;
} kp_wire_device_info;

typedef struct kp_wire_device_stage {
    char scaling[512];  /* as kp_scaling_parse reads it */
    kp_wire_ports rows; /* one row of every input, sizes known */
} kp_wire_device_stage;

typedef struct kp_wire_device_map {
    uint64_t slot_stride, n_slots;
    uint64_t cell_stride, n_cells;
    uint64_t rows_per_item;
    uint64_t slot_offset[KP_WIRE_PORTS]; /* of each input in a slot */
    uint64_t cell_offset[KP_WIRE_PORTS]; /* of each output in a cell */
    uint32_t probe;                      /* run one row of zeros before saying ready */
    uint32_t reserved;
} kp_wire_device_map;

#define KP_WIRE_MAGIC                                                                              \
    ((uint32_t)(0x6b700000u + sizeof(kp_wire_worker_setup) + 3 * sizeof(kp_wire_worker_map) +      \
                5 * sizeof(kp_wire_device_setup) + 7 * sizeof(kp_wire_device_info) +               \
                11 * sizeof(kp_wire_device_stage) + 13 * sizeof(kp_wire_device_map) +              \
                17 * sizeof(kp_worker_page) + 19 * sizeof(kp_device_page)))

#endif
