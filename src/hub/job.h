/*
 * job: a whole run from inputs to a result file, on the caller's thread: sources of src/io feed a
 * kp_pipeline, whose results go to a sink of src/io. Private to job*.c.
 *
 * One loop submits, takes results and writes; it never waits longer than JOB_TICK_MS at one place,
 * so that a stop is seen soon. What is in flight stands in a queue in the order of submission; an
 * item that failed before it could be submitted (a bad row of a CSV) has its place in it too.
 */
#ifndef KP_HUB_JOB_H
#define KP_HUB_JOB_H

#include "base/base.h"
#include "io/io.h"

#include <locale.h>
#include <stdatomic.h>

enum { JOB_TICK_MS = 50 };

/* ---- rows: arrays of one or several model inputs, side by side ---- */

typedef struct job_column {
    char *name;        /* of the model's input; NULL: by place */
    kp_array **arrays; /* one after another */
    size_t n_arrays, at;
    kp_dtype as;   /* type the rows are cast to; KP_DTYPE_NONE: as they lie */
    kp_tensor row; /* type and shape (first axis: rows) of what is submitted */
    size_t row_bytes;
} job_column;

typedef struct job_block {
    kp_tensor *inputs; /* one per column */
    int64_t n_rows;
    struct job_block *next;
} job_block;

typedef struct job_rows {
    job_column *columns; /* in the model's order once bound */
    size_t n_columns;
    bool any_csv;
    bool named;    /* the user named the inputs: other names are errors */
    int64_t total; /* rows; -1: not known */
    int64_t block_rows;
    job_block *spare;
    size_t n_blocks, max_blocks;
} job_rows;

/* Adds the arrays of a file as rows of the input `name` (NULL: by place). */
int job_rows_add(job_rows *r, const char *name, const char *path, kp_input_kind kind, bool header);
/* After the last file: the total, and that the columns are equally long. */
int job_rows_settle(job_rows *r);
/* Whether the type and shape of the rows can be told to the pipeline before the model is known; if
 * so *example is filled. */
bool job_rows_example(const job_rows *r, kp_tensor *example);
/* Puts the columns in the order of the model's inputs. exact: the rows go as they lie, as the
 * example said; else they are cast to the model's types. KP_ESHAPE, KP_EUSAGE. */
int job_rows_bind(job_rows *r, const kp_model_info *m, bool exact);
/* After the bind: an example for each input; examples has n_columns entries. */
void job_rows_examples(const job_rows *r, kp_tensor *examples);
/* group: 0, or the rows of a batch when they depend on each other. */
void job_rows_set_block(job_rows *r, int64_t most_rows, int64_t group);
/* The next rows, at most `most`. KP_EAGAIN: all blocks are in flight. *block NULL when only a bad
 * row came. KP_EEND. */
int job_rows_next(job_rows *r, int64_t most, job_block **block, kp_row_problem *problem);
void job_rows_give_back(job_rows *r, job_block *b);
int job_rows_skip(job_rows *r, uint64_t n);
void job_rows_free(job_rows *r);

/* ---- what is in flight ---- */

typedef struct job_entry {
    char *file; /* images; NULL: rows */
    int64_t truth;
    uint64_t first_row;
    int64_t n_rows;
    job_block *block;    /* rows: borrowed by the pipeline until the result is taken */
    kp_item_error error; /* not KP_ITEM_OK: failed here, was not submitted */
    char *message;
} job_entry;

typedef struct job_queue {
    job_entry *ring;
    size_t cap, head, n;
} job_queue;

/* The place behind the last; NULL and kp_errmsg. */
job_entry *job_queue_push(job_queue *q);
job_entry *job_queue_head(job_queue *q);
/* Takes the head out; its strings are freed. */
void job_queue_pop(job_queue *q);
void job_queue_free(job_queue *q);

/* ---- the job ---- */

struct kp_job {
    kp_job_options opt;    /* pointers in it are valid in kp_job_open only */
    char *input_text;      /* the inputs in words, for messages */
    kp_paths *paths;       /* images: */
    job_rows rows;         /* arrays: n_columns > 0 */
    kp_path_entry waiting; /* an entry that the pipeline had no room for yet */
    bool has_waiting;
    job_block *held;             /* rows the same */
    kp_row_problem held_problem; /* of the row behind `held` */
    uint64_t to_skip;            /* paths still to pass over */
    int64_t left;                /* items still to read; INT64_MAX: all */
    int64_t total;               /* -1: not known */
    uint64_t row_number;         /* of the next row in its source */
    bool source_ended;

    kp_labels labels;
    int64_t *truth_map; /* folder class -> class of the model; NULL: the same */
    size_t n_truth;

    kp_pipeline *pipeline;
    kp_pipeline_info info;
    size_t *chosen; /* the model's outputs that are written */
    size_t n_chosen;
    kp_sink_output *sink_outputs;
    kp_tensor *tensors; /* of one result, in the chosen order */
    kp_format format;
    int top;
    kp_sink *sink;

    job_queue queue;
    bool has_run; /* once only */
    bool drained; /* the pipeline was told that no more comes */
    bool dropped; /* ... and to forget what nobody has begun */
    _Atomic int stops;
    int64_t most_failures; /* -1: none */
    double most_percent;   /* < 0: none */
    uint64_t index, processed, failed, exif_turned, items;
    uint64_t with_truth, right, right5;
    bool judged; /* the results are compared with the truth */
    double started, run_started, ended, write_s, last_progress, last_flush;
    kp_pipeline_stats stats;
    kp_scaling scaling;
    kp_buf dry_text, dry_input;
};

/* Numbers in files have a point, whatever the caller's locale says: the job runs under this one. */
locale_t job_plain_locale(void);
/* Fails with KP_EEMPTY: the source has ended without an item. */
int job_gave_nothing(const kp_job *job);
/* job_inputs.c: what the inputs are; opens them. */
int job_open_inputs(kp_job *job);
/* job_plan.c: with the model known: outputs, labels, format of the results; opens the sink. */
int job_plan(kp_job *job);
/* job_write.c: one result to the sink, with its rows counted and judged. e is the queue's head. */
int job_write_result(kp_job *job, const job_entry *e, const kp_result *r);
/* The tensors of the chosen outputs of a result. */
void job_choose_tensors(kp_job *job, const kp_result *r);
/* job_run.c: the loop; what the queue's head still holds is given back by job_drop_head. */
int job_loop(kp_job *job);
void job_drop_head(kp_job *job);
/* job_feed.c: submits until the pipeline is full, the source ends, or nothing comes within
 * timeout_ms. */
int job_feed(kp_job *job, int timeout_ms);
/* job_dry.c: runs one item and fills dry_text. */
void job_dry_prepared(void *ctx, uint64_t tag, const kp_tensor *inputs, size_t n_inputs);
int job_dry_run(kp_job *job);

#endif
