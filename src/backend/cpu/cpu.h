/*
 * Inside the cpu backend. A compiled graph is a list of steps, one per node, and a place for every
 * value. A batch is cut into pieces of a few rows; an engine thread takes a piece through all steps
 * in its own working memory, which stays in its core's cache.
 */
#ifndef KP_CPU_H
#define KP_CPU_H

#include "backend/backend.h"
#include "backend/cpu/kernels.h"
#include "backend/cpu/onednn.h"
#include "backend/cpu/team.h"

typedef struct kp_step kp_step;

/* One piece on its way. */
typedef struct kp_call {
    int worker;
    int64_t rows;
    void **at;     /* data of each value, by id */
    void *scratch; /* as much as the largest kp_step.scratch_bytes */
} kp_call;

struct kp_step {
    const kp_node *node;
    const char *by; /* "onednn", "own", "ref" */
    /* NULL: nothing to do (the output is the input's memory). */
    int (*run)(const kp_step *s, kp_call *c);
    /* Packs weights and makes kernels; any thread, no other step's data. NULL: nothing to do. */
    int (*build)(kp_exec *e, kp_step *s);
    /* Packs rows of the kernel (input 1) into memory that build has made; any thread, several at
     * once with other rows. NULL: build has packed all. */
    void (*pack)(const kp_step *s, int64_t row0, int64_t row1);
    int64_t pack_rows; /* set by build */
    size_t row_bytes;
    void (*fini)(kp_step *s);
    void *state;
    size_t scratch_bytes;
    size_t packed_bytes;
    size_t body_bytes; /* working memory of a loop's body, of all engine threads */
    bool view;         /* the output is input 0's memory */
    int in_place;      /* the input whose memory the output may take, -1: none */
};

/* Where a value lies. */
typedef enum kp_place_kind {
    KP_PLACE_NONE,
    KP_PLACE_ARENA,
    KP_PLACE_INPUT,
    KP_PLACE_OUTPUT,
    KP_PLACE_CONST
} kp_place_kind;

typedef struct kp_place {
    kp_place_kind kind;
    size_t offset;    /* in the arena */
    int index;        /* of the graph's input or output */
    const void *data; /* of a constant */
    bool read;        /* a constant that a step reads when it runs, not only to pack it */
} kp_place;

typedef struct kp_worker_memory {
    uint8_t *arena;
    void *scratch;
    void **at;
} kp_worker_memory;

struct kp_exec {
    kp_graph *graph;
    kp_arena *mem;
    const kp_kernels *kernels;
    kp_team *team; /* NULL: a loop's body */
    kp_dnn *dnn;   /* NULL: no step needs it */
    int threads;
    int64_t max_batch;
    int64_t piece_rows;          /* most rows of a piece */
    bool whole;                  /* rows depend on each other: a batch is one piece */
    double row_cost;             /* operations and bytes of one row */
    int64_t sizes[KP_DNN_SIZES]; /* rows that oneDNN's primitives are made for */
    int n_sizes;
    kp_step *steps;
    int n_steps;
    kp_place *places; /* by value id */
    size_t arena_bytes, scratch_bytes;
    kp_worker_memory *workers;
};

/* ---- steps: which implementation computes a node ---- */
/* Fills by, run, build, ... when the implementation takes the node; false when it does not. Looks
 * at the node only. */
bool kp_step_conv_product(kp_step *s, const kp_node *n);
bool kp_step_conv(kp_step *s, const kp_node *n);
bool kp_step_pool(kp_step *s, const kp_node *n);
bool kp_step_dense(kp_step *s, const kp_node *n);
bool kp_step_matmul(kp_step *s, const kp_node *n);
bool kp_step_layernorm(kp_step *s, const kp_node *n);
bool kp_step_simple(kp_step *s, const kp_node *n);
bool kp_step_move(kp_step *s, const kp_node *n);
bool kp_step_loop(kp_step *s, const kp_node *n);
bool kp_step_ref(kp_step *s, const kp_node *n);
/* The first of these that takes the node. */
bool kp_step_choose(kp_step *s, const kp_node *n);

/* ---- places ---- */
int kp_places_make(kp_exec *e);

/* ---- the functions of kp_backend ---- */
int kp_cpu_compile(kp_exec **out, kp_graph *g, const kp_compile_options *opt);
void kp_cpu_close(kp_exec **e);
int kp_cpu_run(kp_exec *e, const void *const *in, void *const *out, int64_t rows);

/* A loop's body: no team of its own, it runs on the engine thread that runs the loop. */
int kp_cpu_compile_body(kp_exec **out, kp_graph *g, int64_t max_rows, int threads);
int kp_cpu_run_body(kp_exec *e, int worker, const void *const *in, void *const *out, int64_t rows);
size_t kp_cpu_arena_bytes(const kp_exec *e);
size_t kp_cpu_packed_bytes(const kp_exec *e);

/* ---- helpers ---- */
/* Elements of a value for this many rows. */
int64_t kp_value_count(const kp_value *v, int64_t rows);
/* The activation in place: vectorised, or value by value. */
void kp_act_run(const kp_kernels *k, const kp_act *act, float *x, int64_t n);

#endif
