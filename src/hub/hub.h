/*
 * hub: the pipeline of processes: the item and slot tables, the batcher, the order window, the
 * supervision of kp-worker and kp-device. kp_pipeline_* of the public header live here.
 *
 * Refuses: to touch a pixel or a weight, to load a compute library, to believe what a child says.
 * Called by: the caller's threads (queue.c, pipeline.c) and the pipeline's own hub thread (the
 * rest). What both touch stands under `lock`; all else belongs to the hub thread.
 * Blocks: the hub thread only in epoll_wait; callers in submit and next, as the header says.
 */
#ifndef KP_HUB_H
#define KP_HUB_H

#include "ipc/ipc.h"

#include <pthread.h>
#include <signal.h>
#include <sys/epoll.h>

enum {
    KP_WORKER_AHEAD = 4, /* tasks that a worker has at most, <= KP_RING_DEPTH */
    KP_DEVICE_AHEAD = 2, /* batches at kp-device: one runs, one waits */
    KP_WORKERS_MAX = 256,
    /* Kills that nobody can attribute, per item: 50, or 5 while the kernel was short of memory. */
    KP_SOFT_STRIKES = 50,
    KP_SOFT_STRIKE_OOM = 10,
    KP_START_FAILURES = 3
};
#define KP_NOBODY UINT32_MAX
#define KP_CALLER (UINT32_MAX - 1) /* owner of a slot that a submitting thread fills */

/* ---- states (state.c) ---- */

/*
 * FREE -> FILLING -> QUEUED -> TASKED -> READY -> BATCHED -> DONE --> DELIVERED -> FREE
 *            |         ^ |       | |       ^         |        |      (QUEUED -> FREE: dropped)
 *            |         | |       | |       +---------+        |  (device died: run again)
 *            |         +-|-------+ |                 |        |  (worker died: try again)
 *            |           +---------+-----------------+-> FAILED
 *            +-> READY (rows: no worker)
 */
#define KP_ITEM_STATES(X)                                                                          \
    X(KP_ITEM_FREE, "free")                                                                        \
    X(KP_ITEM_FILLING, "filling")                                                                  \
    X(KP_ITEM_QUEUED, "queued")                                                                    \
    X(KP_ITEM_TASKED, "tasked")                                                                    \
    X(KP_ITEM_READY, "ready")                                                                      \
    X(KP_ITEM_BATCHED, "batched")                                                                  \
    X(KP_ITEM_DONE, "done") X(KP_ITEM_FAILED, "failed") X(KP_ITEM_DELIVERED, "delivered")
/* FREE -> OWNED (a worker writes) -> READY (nobody writes) -> INBATCH (the device reads) -> FREE;
 * OWNED -> FREE after a failure or the owner's confirmed death; INBATCH -> READY when the device
 * died. */
#define KP_SLOT_STATES(X)                                                                          \
    X(KP_SLOT_FREE, "free")                                                                        \
    X(KP_SLOT_OWNED, "owned") X(KP_SLOT_READY, "ready") X(KP_SLOT_INBATCH, "inbatch")
/* EMPTY -> STARTED (process runs) -> SETUP (knows what to do) -> MAPPED (has its memory) -> READY;
 * from each of them -> EMPTY when its death is confirmed. A process that was killed but is not dead
 * yet stays where it is, with `killed` set. */
#define KP_PLACE_STATES(X)                                                                         \
    X(KP_PLACE_EMPTY, "empty")                                                                     \
    X(KP_PLACE_STARTED, "started")                                                                 \
    X(KP_PLACE_SETUP, "setup") X(KP_PLACE_MAPPED, "mapped") X(KP_PLACE_READY, "ready")

#define KP_STATE_ENUM(id, name) id,
typedef enum kp_item_state { KP_ITEM_STATES(KP_STATE_ENUM) KP_ITEM_STATE_COUNT } kp_item_state;
typedef enum kp_slot_state { KP_SLOT_STATES(KP_STATE_ENUM) KP_SLOT_STATE_COUNT } kp_slot_state;
typedef enum kp_place_state { KP_PLACE_STATES(KP_STATE_ENUM) KP_PLACE_STATE_COUNT } kp_place_state;
#undef KP_STATE_ENUM

bool kp_item_may_move(kp_item_state from, kp_item_state to);
bool kp_slot_may_move(kp_slot_state from, kp_slot_state to);
bool kp_place_may_move(kp_place_state from, kp_place_state to);
const char *kp_item_state_name(kp_item_state s);
const char *kp_slot_state_name(kp_slot_state s);
const char *kp_place_state_name(kp_place_state s);

/* ---- tables ---- */

typedef struct kp_slot {
    kp_slot_state state;
    uint32_t gen;   /* counts uses: a late word about an earlier use is recognised */
    uint32_t owner; /* place of the worker, KP_CALLER or KP_NOBODY */
    uint32_t item;
} kp_slot;

/* One accepted item and its cell of the result arena: both have the same number. */
typedef struct kp_record {
    kp_item_state state;
    kp_item_kind kind;
    uint64_t tag, index;
    char *name; /* the path; kept from item to item */
    size_t name_cap;
    const void *bytes;
    size_t size_bytes;
    int64_t n_rows;
    uint32_t slot;
    uint32_t next; /* in the one list it stands in */
    int strikes, soft_strikes;
    int device_deaths, device_soft_deaths;
    uint32_t group; /* not 0: its batch killed the device; that batch is run by itself */
    bool finished;  /* under lock: DONE or FAILED and visible to the consumer */
    bool exif_turned;
    kp_item_error error;
    char message[KP_MESSAGE_BYTES + 64];
    kp_tensor *outputs; /* n_outputs, data in its cell */
} kp_record;

/* A list of records, linked by `next`. */
typedef struct kp_list {
    uint32_t head, tail, n;
} kp_list;

/* What a worker has been given, oldest first. */
typedef struct kp_flight {
    uint64_t seq;
    uint32_t item, slot, gen;
} kp_flight;

typedef enum kp_kill { KP_KILL_NONE, KP_KILL_TIMEOUT, KP_KILL_HOSTILE, KP_KILL_START } kp_kill;

/* Text from a child's stdout and stderr, cut into lines. */
typedef struct kp_lines {
    char text[512];
    size_t len;
    char last[256]; /* the last whole line */
} kp_lines;

typedef struct kp_place {
    kp_place_state state;
    kp_child child;
    kp_lines lines;
    kp_kill killed;
    uint64_t late;     /* KP_KILL_TIMEOUT: the task that took too long */
    double deadline;   /* of the oldest task, or of the start */
    double restart_at; /* EMPTY: when to start the next process */
    /* workers */
    kp_region page, window;
    kp_ring tasks, dones;
    kp_flight flight[KP_RING_DEPTH];
    unsigned first, n_flight;
    bool alone;        /* has an item on its second try; gets no other */
    bool touched;      /* has tasks that are not published yet */
    bool heard;        /* has told what it writes (worker) or what it takes (device) */
    uint64_t finished; /* items of this process */
} kp_place;

typedef struct kp_batch {
    uint64_t seq;
    uint32_t page;
    uint32_t n;
    int64_t rows;
    bool exclusive; /* runs by itself: it, or its like, killed a device process */
    uint32_t item[KP_BATCH_ENTRIES];
} kp_batch;

/* How slots and cells are laid out; fixed when the pipeline has opened. */
typedef struct kp_geometry {
    kp_wire_ports rows;    /* one row in a slot */
    kp_wire_ports outputs; /* first axis: the batch */
    size_t in_row[KP_WIRE_PORTS], out_row[KP_WIRE_PORTS];
    uint64_t slot_offset[KP_WIRE_PORTS], cell_offset[KP_WIRE_PORTS];
    size_t slot_stride, cell_stride;
    uint32_t n_slots, n_cells;
    int64_t rows_per_item, max_batch;
    bool grouped;  /* rows depend on their batch */
    bool refusing; /* what a row holds may make its batch fail */
} kp_geometry;

typedef enum kp_phase {
    KP_PHASE_LOADING, /* kp-device reads the model */
    KP_PHASE_PORTS,   /* a worker tells what it writes */
    KP_PHASE_STAGING, /* kp-device compiles for it */
    KP_PHASE_MAPPING, /* arenas exist, kp-device maps them */
    KP_PHASE_RUNNING,
    KP_PHASE_FAILED
} kp_phase;

struct kp_pipeline {
    /* fixed before the hub thread starts */
    kp_pipeline_options opt; /* strings in mem */
    kp_arena *mem;
    const char *model_path;
    const char *layer_plugins, *layers; /* of the options, one a line */
    const char *plugin, *plugin_arg;    /* NULL: built-in preprocessing */
    char *worker_program, *device_program;
    char **worker_env, **device_env;
    size_t n_workers;
    pthread_t thread;
    bool thread_runs;

    /* under lock */
    pthread_mutex_t lock;
    pthread_cond_t opened, room, results;
    kp_phase phase;
    int status; /* why the pipeline has failed */
    char text[1024];
    bool asleep; /* the hub thread is in epoll_wait: wake it by the bell */
    bool finish, closing;
    bool delivering; /* on_result is being called */
    bool drop;       /* asked for by kp_queue_drop, not done yet */
    kp_list free, incoming;
    uint32_t *order;           /* record of item index % n_cells */
    uint64_t submitted, taken; /* items accepted; results handed out */
    uint32_t filling;          /* records that submitting threads are filling */
    kp_pipeline_stats stats;
    size_t submit_waiting;
    double shown_sink_s, shown_source_s; /* as stats: copies of the hub's */

    /* written once before `opened`, read by all */
    kp_geometry geo;
    kp_wire_device_info model;
    kp_pipeline_info info;
    kp_record *records;
    kp_region slots_region, cells_region;

    /* hub thread only */
    int epoll, bell;
    kp_msg *msg;
    kp_wire_ports ports; /* what the workers said */
    kp_place *workers;
    kp_place device;
    kp_batch *batch[KP_DEVICE_AHEAD]; /* oldest first */
    unsigned n_batches;
    uint32_t next_page;
    uint64_t seq;
    kp_slot *slots;
    uint32_t *free_slot;
    uint32_t n_free_slots;
    kp_list queued, retry, ready, done;
    int64_t ready_rows;
    double ready_since;
    uint32_t n_owned;   /* slots that workers write */
    uint32_t group;     /* last number given to a batch that killed the device */
    uint64_t oom_kills; /* of the whole system, when last looked */
    int start_failures, soft_deaths, load_deaths, load_soft_deaths, blamed;
    double device_looked_at, device_moved_at; /* is it computing at all? see device.c */
    double device_cpu_s;
    double opened_at, now, sampled_at, last_round;
    kp_pipeline_stats count;     /* the hub's own; copied to stats under lock */
    bool sink_late, source_late; /* at the last look under the lock */
    double sink_s, source_s;     /* time in which the consumer, the source held everything up */
    uint64_t ignored;            /* completions that matched nothing */
};

void kp_list_push(kp_pipeline *p, kp_list *l, uint32_t item);
void kp_list_push_front(kp_pipeline *p, kp_list *l, uint32_t item);
uint32_t kp_list_pop(kp_pipeline *p, kp_list *l); /* KP_NOBODY when empty */
#define KP_LIST_EMPTY ((kp_list){KP_NOBODY, KP_NOBODY, 0})

/* The only functions that change a state; an illegal move is a bug of the hub: assertion. */
void kp_item_move(kp_record *r, kp_item_state to);
void kp_slot_move(kp_slot *s, kp_slot_state to);
void kp_place_move(kp_place *w, kp_place_state to);

/* ---- setup.c: what to ask of whom while the pipeline opens ---- */
int kp_setup_check_options(kp_pipeline *p); /* before anything is started */
void kp_setup_fill_worker(kp_pipeline *p, kp_wire_worker_setup *s);
int kp_setup_check_images(kp_pipeline *p); /* once the model is known */
int kp_setup_rows_from_example(kp_pipeline *p, kp_wire_ports *rows);
/* The layout and the arenas, once rows and outputs are known. geometry.c */
int kp_geometry_choose(kp_geometry *g, size_t workers, bool rows_kind, size_t memory_bytes);
int kp_setup_tables(kp_pipeline *p);
void kp_setup_describe(kp_pipeline *p);
/* The text that kp_scaling_parse gets, and in words why. */
const char *kp_setup_scaling(const kp_pipeline *p);

/* ---- locate.c ---- */
int kp_locate_helper(kp_arena *mem, const char *name, char **out);
/* The folder of the shared object (or program) that this code is in. */
bool kp_locate_own_folder(char *buf, size_t size);

/* ---- loop.c ---- */
void *kp_hub_main(void *pipeline);
void kp_hub_enter(kp_pipeline *p, kp_phase phase);
/* Ends the pipeline with a status and text; what is done stays to be taken. Hub thread. */
void kp_hub_fail(kp_pipeline *p, int status, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));
int kp_hub_watch(kp_pipeline *p, int fd, uint32_t events, uint64_t what);
/* Closes a watched descriptor. A copy that the caller's program has forked would keep it in epoll
 * for ever, so it is taken out first. */
void kp_hub_unwatch(kp_pipeline *p, int *fd);
/* Gives the item its end; it is shown to the consumer at the end of the round. */
void kp_hub_finish_item(kp_pipeline *p, uint32_t item, kp_item_error error, const char *fmt, ...)
    __attribute__((format(printf, 4, 5)));
enum { KP_EV_BELL, KP_EV_PID, KP_EV_CONTROL, KP_EV_OUTPUT };
#define KP_DEVICE_PLACE       UINT32_MAX
#define KP_EVENT(kind, place) (((uint64_t)(kind) << 32) | (uint32_t)(place))

/* ---- place.c: starting, hearing and burying a child, worker or device ---- */
int kp_place_start(kp_pipeline *p, kp_place *c, uint32_t number);
void kp_place_log(kp_pipeline *p, kp_place *c, uint32_t number);
/* What a SIGKILL of nobody's counts: KP_SOFT_STRIKE_OOM when the kernel's out-of-memory killer has
 * been at work since the last call (or cannot be asked): the item may be why; else 1. */
int kp_place_kill_weight(kp_pipeline *p);
void kp_place_bury(kp_pipeline *p, kp_place *c, uint32_t number);

/* ---- workers.c ---- */
void kp_workers_tick(kp_pipeline *p); /* restarts and deadlines */
/* Does its deadline count? Not while it waits for something from us. */
bool kp_worker_is_timed(const kp_place *w);
void kp_worker_control(kp_pipeline *p, uint32_t number);
/* Kills a worker whose words are impossible. */
void kp_worker_distrust(kp_pipeline *p, uint32_t number, const char *why);
void kp_worker_died(kp_pipeline *p, uint32_t number, const kp_child_end *end);
void kp_worker_setup(kp_pipeline *p, uint32_t number);
void kp_worker_map(kp_pipeline *p, uint32_t number);

/* ---- tasks.c ---- */
bool kp_tasks_dispatch(kp_pipeline *p);
/* Takes the worker's completions; kills it when its words are impossible. */
bool kp_tasks_drain(kp_pipeline *p, uint32_t number);
/* All that it has but the oldest `keep`, without a strike. */
void kp_tasks_requeue(kp_pipeline *p, kp_place *w, unsigned keep);
void kp_tasks_free_slot(kp_pipeline *p, uint32_t slot);

/* ---- device.c: the hub's side of kp-device ---- */
void kp_device_tick(kp_pipeline *p);
void kp_device_control(kp_pipeline *p);
void kp_device_died(kp_pipeline *p, const kp_child_end *end);
int kp_device_send_stage(kp_pipeline *p);
int kp_device_send_map(kp_pipeline *p);

/* ---- batcher.c ---- */
void kp_batcher_ready(kp_pipeline *p, uint32_t item);
bool kp_batcher_form(kp_pipeline *p);
bool kp_batcher_drain(kp_pipeline *p);
/* The device died: its batches go back to the ready list. text: how it died. */
void kp_batcher_device_died(kp_pipeline *p, bool soft, const char *text);
/* When a batch that is not full is sent all the same; 0: nothing waits. */
double kp_batcher_wake_at(const kp_pipeline *p);

/* ---- queue.c: the callers' side of the item table ---- */
uint32_t kp_queue_take_incoming(kp_pipeline *p);
void kp_queue_publish(kp_pipeline *p);  /* done items and statistics */
void kp_queue_wake_hub(kp_pipeline *p); /* with the lock held */
/* kp_pipeline_finish, and items of files that come after all that was begun are forgotten, as if
 * they had not been submitted: an early end that takes no longer than what is under way. */
void kp_queue_drop(kp_pipeline *p);
/* Rows that are run together when rows depend on each other: items should be multiples; else 0. */
int64_t kp_pipeline_group(const kp_pipeline *p);
/* Bytes of an element of an output of strings; else 0. */
int32_t kp_pipeline_text_width(const kp_pipeline *p, size_t output);
/* Is this a callback? What would wait for the hub must not wait here. */
bool kp_queue_on_hub_thread(const kp_pipeline *p);

/* ---- stats.c ---- */
void kp_stats_sample(kp_pipeline *p); /* memory; when it is time, or all is done */
void kp_stats_account(kp_pipeline *p);
/* Any thread, with the lock held. */
void kp_stats_verdict(const kp_pipeline *p, kp_pipeline_stats *s);

#endif
