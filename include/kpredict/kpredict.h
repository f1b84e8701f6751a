/*
 * kpredict: predictions with Keras models, straight from the .keras or .h5 file.
 *
 * Read this header from top to bottom: errors, tensors, a model in this process (kp_model_*), the
 * pipeline of processes (kp_pipeline_*), a whole job from inputs to a result file (kp_job_*).
 *
 * Rules that hold for every call
 *  - A function that can fail returns 0 or a negative KP_E... status. kp_errmsg() then gives the
 *    text for the calling thread: what was tried, on which object, why it failed, what to do.
 *  - Handles are opaque. close/free functions take a pointer to the handle, clear it, and accept
 *    a handle that is NULL.
 *  - Option structs are filled by their *_defaults() call, then changed by the caller. Their first
 *    field is their size, so that a program built against an older header keeps working.
 *  - Strings are UTF-8 or, for file names, the bytes that the system uses; NUL-terminated.
 *  - Nothing that a file, a peer or the system does makes the library abort the process.
 *
 * Predict rows with a model in this process; MODEL is a file like "digits.keras":
 *
 * @example model
 *     kp_model *m;
 *     if (kp_model_open(&m, MODEL, NULL) != 0) {
 *         fprintf(stderr, "%s\n", kp_errmsg());
 *         return 1;
 *     }
 *     float rows[3][5] = {{1, 2, 3, 4, 5}, {0, 1, 0, 1, 0}, {-1, 0.5f, 2, 0, 7}};
 *     kp_tensor in = {.dtype = KP_FLOAT32, .ndim = 2, .shape = {3, 5}, .data = rows,
 *                     .size_bytes = sizeof rows};
 *     kp_tensor out = {0}; // data NULL: the library allocates
 *     if (kp_model_predict(m, &in, 1, &out, 1) != 0) {
 *         fprintf(stderr, "%s\n", kp_errmsg());
 *         return 1;
 *     }
 *     for (int i = 0; i < 3; i++)
 *         printf("row %d: %g\n", i, (double)((float *)out.data)[i * out.shape[1]]);
 *     kp_tensor_release(&out);
 *     kp_model_close(&m);
 * @end
 *
 * Predict files through the pipeline of processes; FILES are names of images:
 *
 * @example pipeline
 *     kp_pipeline_options opt;
 *     kp_pipeline_options_defaults(&opt);
 *     opt.workers = 2;
 *     kp_pipeline *p;
 *     if (kp_pipeline_open(&p, MODEL, &opt) != 0) {
 *         fprintf(stderr, "%s\n", kp_errmsg());
 *         return 1;
 *     }
 *     int next = 0, status = 0;
 *     while (status == 0) {
 *         while (next < N_FILES) { // submit while there is room
 *             kp_item item = {.kind = KP_ITEM_PATH, .tag = (uint64_t)next, .path = FILES[next]};
 *             if (kp_pipeline_submit(p, &item, 0) != 0)
 *                 break; // KP_EAGAIN: full
 *             if (++next == N_FILES)
 *                 kp_pipeline_finish(p); // no more: KP_EEND will come
 *         }
 *         kp_result r;
 *         status = kp_pipeline_next(p, &r, -1);
 *         if (status != 0)
 *             break;
 *         if (r.error != KP_ITEM_OK)
 *             printf("%s: %s: %s\n", FILES[r.tag], kp_item_error_name(r.error), r.message);
 *         else
 *             printf("%s: %g\n", FILES[r.tag], (double)((float *)r.outputs[0].data)[0]);
 *         kp_result_release(p, &r);
 *     }
 *     if (status != KP_EEND)
 *         fprintf(stderr, "%s\n", kp_errmsg());
 *     kp_pipeline_close(&p);
 * @end
 *
 * A folder to a file, as `kpredict run` does it:
 *
 * @example job
 *     kp_job_input input = {.path = FOLDER};
 *     kp_job_options opt;
 *     kp_job_options_defaults(&opt);
 *     opt.model_path = MODEL;
 *     opt.inputs = &input;
 *     opt.n_inputs = 1;
 *     opt.output_path = "preds.csv";
 *     kp_job *job;
 *     if (kp_job_open(&job, &opt) != 0 || kp_job_run(job) != 0) {
 *         fprintf(stderr, "%s\n", kp_errmsg());
 *         return 1;
 *     }
 *     kp_job_report report;
 *     kp_job_report_get(job, &report);
 *     printf("Processed %llu samples.\n", (unsigned long long)report.processed);
 *     kp_job_close(&job);
 * @end
 */
#ifndef KPREDICT_KPREDICT_H
#define KPREDICT_KPREDICT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define KP_VERSION_STRING "0.1.0"

#ifdef __cplusplus
extern "C" {
#endif

#if defined(__GNUC__)
#define KP_API __attribute__((visibility("default")))
#else
#define KP_API
#endif

/* ---- errors -------------------------------------------------------------------------------- */

/* One list of statuses for the whole library: name, value, short text. */
#define KP_STATUS_LIST(X)                                                                          \
    X(KP_EINVAL, -1, "invalid argument")                                                           \
    X(KP_ENOMEM, -2, "out of memory")                                                              \
    X(KP_EIO, -3, "input/output error")                                                            \
    X(KP_EFORMAT, -4, "malformed file")                                                            \
    X(KP_ELIMIT, -5, "limit exceeded")                                                             \
    X(KP_EUNSUPPORTED, -6, "not supported")                                                        \
    X(KP_ENOTFOUND, -7, "not found")                                                               \
    X(KP_EEXIST, -8, "already exists")                                                             \
    X(KP_EAGAIN, -9, "try again: queue full, or nothing ready yet")                                \
    X(KP_EEND, -10, "end of stream")                                                               \
    X(KP_EDEVICE, -11, "device error")                                                             \
    X(KP_EMODEL, -12, "model cannot be loaded")                                                    \
    X(KP_ESHAPE, -13, "shape does not fit")                                                        \
    X(KP_EUSAGE, -14, "options that contradict or do not fit")                                     \
    X(KP_EINTERRUPTED, -15, "interrupted")                                                         \
    X(KP_ETOOMANY, -16, "too many items failed")                                                   \
    X(KP_EEMPTY, -17, "nothing to do")                                                             \
    X(KP_EINTERNAL, -18, "internal error")

#define KP_STATUS_ENUM(name, value, text) name = (value),
enum kp_status { KP_OK = 0, KP_STATUS_LIST(KP_STATUS_ENUM) };
#undef KP_STATUS_ENUM

/* The text of the last error in this thread; "" if there was none. Valid until the next call that
 * fails in this thread. */
KP_API const char *kp_errmsg(void);
/* "KP_EFORMAT" for -4. Static storage; "KP_E?" for an unknown value. */
KP_API const char *kp_status_name(int status);
/* The version of the library that runs, e.g. "0.1.0". Static storage. */
KP_API const char *kp_version(void);

/* Where messages for people go. Default: none. The callback may be called from any thread of the
 * library, one call at a time; line has no newline. level: 0 error, 1 warning, 2 note, 3 detail. */
typedef void (*kp_log_fn)(void *ctx, int level, const char *line);
KP_API void kp_log_set(kp_log_fn fn, void *ctx, int max_level);

/* Frees what a call returned as "free with kp_free". Accepts NULL. */
KP_API void kp_free(void *p);

/* ---- tensors ------------------------------------------------------------------------------- */

typedef enum kp_dtype {
    KP_DTYPE_NONE = 0,
    KP_BOOL,
    KP_INT8,
    KP_INT16,
    KP_INT32,
    KP_INT64,
    KP_UINT8,
    KP_UINT16,
    KP_UINT32,
    KP_UINT64,
    KP_FLOAT16,
    KP_BFLOAT16,
    KP_FLOAT32,
    KP_FLOAT64,
    KP_STRING, /* elements are fixed-width byte strings, see kp_tensor.string_bytes */
    KP_DTYPE_COUNT
} kp_dtype;

enum { KP_MAX_DIMS = 8 };

/* An array in C order (last axis fastest), no gaps. The struct never owns `data` unless a call
 * says so; then release it with kp_tensor_release(). */
typedef struct kp_tensor {
    kp_dtype dtype;
    int32_t ndim;
    int64_t shape[KP_MAX_DIMS];
    void *data;
    size_t size_bytes;    /* bytes at data */
    int32_t string_bytes; /* KP_STRING only: bytes of one element, NUL-padded */
} kp_tensor;

/* Bytes of one element: 4 for KP_FLOAT32; 0 for KP_STRING and unknown values. */
KP_API size_t kp_dtype_size(kp_dtype dtype);
/* "float32"; Keras' and NumPy's names. Static storage. */
KP_API const char *kp_dtype_name(kp_dtype dtype);
/* Frees data that the library allocated and clears the struct. */
KP_API void kp_tensor_release(kp_tensor *t);

/* ---- a model in this process --------------------------------------------------------------- */

/* What a model takes and gives. Sizes in shape: the first axis is the batch and is -1; another
 * -1 is a size that the model leaves open. */
typedef struct kp_port {
    const char *name;
    kp_dtype dtype;
    int32_t ndim;
    int64_t shape[KP_MAX_DIMS];
} kp_port;

typedef struct kp_model_info {
    const char *name;          /* the model's own name */
    const char *class_name;    /* "Functional", "Sequential" */
    const char *keras_version; /* the Keras that wrote the file; "" if it does not say */
    const kp_port *inputs;
    size_t n_inputs;
    const kp_port *outputs;
    size_t n_outputs;
    bool softmax_output;    /* the only output is a softmax over its last axis, of rank 2 */
    const char *preprocess; /* "caffe", "tf", "torch" when the model is one of keras.applications
                               that needs it, else "none" */
    int64_t n_params;       /* number of weights */
    int64_t max_batch;      /* the largest batch that is run at once */
    const char *backend;    /* "cpu", "ref" */
    int threads;            /* engine threads */
} kp_model_info;

typedef struct kp_model kp_model;

typedef struct kp_model_options {
    size_t struct_size;
    const char *device;       /* "auto", "cpu", "/CPU:0"; others: KP_EDEVICE */
    const char *backend;      /* NULL: the fastest of the device; "ref": the plain C reference */
    const char *precision;    /* NULL or "float32" */
    int threads;              /* 0: usable cores (affinity and cgroup quota counted) */
    int64_t max_batch;        /* 0: by rule */
    const char *preprocess;   /* scaling of image inputs before the model; NULL or "none": none;
                                 "auto": as kp_model_info.preprocess says; "tf", "torch", "caffe",
                                 "scale=S,mean=A:B:C,std=A:B:C" */
    const char *architecture; /* NULL: path holds the whole model. Else a JSON file with the model,
                                 as model.to_json() or json.dumps(model.get_config()) of any Keras
                                 gave it, and of path only the weights are taken */
    const char *const *plugins; /* shared objects with user layers (kpredict/layer.h) */
    size_t n_plugins;
    const char *const *layers; /* paths of layers ("outer/inner") whose outputs take the place of
                                  the model's: of each all calls in their order; none: the model's
                                  own */
    size_t n_layers;
} kp_model_options;

KP_API void kp_model_options_defaults(kp_model_options *opt);

/* Loads the model at path: a .keras file (also unpacked, a folder), a whole-model .h5, or, with
 * opt->architecture, weights alone (.weights.h5, .h5, the .weights.json of shards). opt may be
 * NULL. Blocks until the model is ready. The model belongs to
 * the caller; any thread may use it, one call at a time. KP_EMODEL: not a model, or one that needs
 * what is not supported (the text names layer, class and place); KP_EIO: cannot be read. */
KP_API int kp_model_open(kp_model **out, const char *path, const kp_model_options *opt);

/* Pointers in *info live as long as the model. */
KP_API int kp_model_describe(const kp_model *m, kp_model_info *info);

/* Runs n_in arrays (one per input, in the model's order, equal first axis) through the model and
 * fills n_out arrays. Inputs are cast to the model's types. out[i].data NULL: allocated here,
 * release it with kp_tensor_release(); else it must have room for the result (size_bytes is
 * checked) and is written. Any number of rows: batches are formed inside. Text: KP_STRING, UTF-8,
 * each element string_bytes wide and padded with NUL bytes; results of text come in the width of
 * their longest. KP_EINVAL also when a layer refuses what a row holds (a word without an index):
 * then no row has a result. */
KP_API int kp_model_predict(kp_model *m, const kp_tensor *in, size_t n_in, kp_tensor *out,
                            size_t n_out);
KP_API void kp_model_close(kp_model **m);

typedef struct kp_summary_options {
    size_t struct_size;
    int line_length; /* 0: Keras' default */
    bool expand_nested;
    bool show_trainable;
    bool cost; /* adds FLOPs and bytes */
    bool json;
} kp_summary_options;

/* The text of Keras' model.summary(). *text: free with kp_free. */
KP_API int kp_model_summary(kp_model *m, const kp_summary_options *opt, char **text);

typedef struct kp_inspect_options {
    size_t struct_size;
    bool weights; /* list variables with shape, type, min, mean, max */
    bool json;
} kp_inspect_options;

/* The graph after each pass, which backend runs what, the memory plan. *text: kp_free. */
KP_API int kp_model_inspect(kp_model *m, const kp_inspect_options *opt, char **text);

/* ---- the pipeline of processes --------------------------------------------------------------
 *
 * Worker processes turn items (a path, or bytes) into tensors; one process owns the model and the
 * device; batches are formed from whatever is ready; results come back in the order of submission.
 * Items that are arrays already go to the device process directly, as blocks of rows.
 */

typedef enum kp_item_kind {
    KP_ITEM_PATH = 1, /* a file that a worker reads */
    KP_ITEM_BYTES,    /* the encoded bytes of a file */
    KP_ITEM_ROWS      /* rows of the model's inputs, ready */
} kp_item_kind;

typedef struct kp_item {
    kp_item_kind kind;
    uint64_t tag;      /* comes back in the result */
    const char *path;  /* KP_ITEM_PATH: the file; KP_ITEM_BYTES: a name for messages, may be NULL */
    const void *bytes; /* KP_ITEM_BYTES */
    size_t size_bytes;
    const kp_tensor *rows; /* KP_ITEM_ROWS: one per input, equal first axis, at most
                              kp_pipeline_info.rows_per_item rows */
    size_t n_rows_tensors;
} kp_item;

/* Why an item failed: a closed list. */
#define KP_ITEM_ERROR_LIST(X)                                                                      \
    X(KP_ITEM_OK, "ok")                                                                            \
    X(KP_ITEM_OPEN, "open")               /* missing, unreadable, vanished */                      \
    X(KP_ITEM_DECODE, "decode")           /* not an image, truncated, corrupt */                   \
    X(KP_ITEM_LIMIT, "limit")             /* more pixels or bytes than allowed */                  \
    X(KP_ITEM_UNSUPPORTED, "unsupported") /* a variety that is not read */                         \
    X(KP_ITEM_SHAPE, "shape")             /* does not fit the model's input */                     \
    X(KP_ITEM_PLUGIN, "plugin")           /* the user's preprocessing said no */                   \
    X(KP_ITEM_TIMEOUT, "timeout")         /* took longer than item_timeout_s */                    \
    X(KP_ITEM_CRASH, "crash")             /* killed its worker twice */                            \
    X(KP_ITEM_DEVICE, "device")           /* killed the device process, alone */

#define KP_ITEM_ENUM(name, text) name,
typedef enum kp_item_error { KP_ITEM_ERROR_LIST(KP_ITEM_ENUM) KP_ITEM_ERROR_COUNT } kp_item_error;
#undef KP_ITEM_ENUM

/* "decode" for KP_ITEM_DECODE. Static storage. */
KP_API const char *kp_item_error_name(kp_item_error e);

typedef struct kp_result {
    uint64_t tag;
    uint64_t index;           /* 0, 1, 2, ... in order of submission */
    kp_item_error error;      /* KP_ITEM_OK or why there are no outputs */
    const char *message;      /* text for error, "" otherwise */
    int64_t n_rows;           /* 1 for files; the item's rows for arrays */
    const kp_tensor *outputs; /* n_outputs arrays, first axis n_rows; NULL on error */
    size_t n_outputs;
    bool exif_turned; /* the photo's EXIF asks for a turn (and it was not made) */
    void *owner;      /* the library's; do not touch */
} kp_result;

typedef enum kp_pipeline_kind {
    KP_PIPELINE_IMAGES = 0, /* items are paths or bytes; one row each */
    KP_PIPELINE_ROWS        /* items are KP_ITEM_ROWS */
} kp_pipeline_kind;

typedef struct kp_pipeline_options {
    size_t struct_size;
    kp_pipeline_kind kind;
    int workers;        /* 0: usable cores */
    int64_t batch_size; /* largest batch; 0: by rule */
    const char *device; /* as kp_model_options.device */
    int threads;        /* engine threads, 0: by rule */
    const char *precision;
    const char *preprocess; /* NULL: "auto"; see kp_model_options.preprocess; or
                               "plugin:FILE.so[,ARG]" (include/kpredict/preprocess.h) */
    const char *resize;     /* "tf-bilinear" (default), "tf-nearest", ..., "pil-bilinear", ... */
    const char *decode;     /* NULL: the family of resize; "tf", "pil" */
    int image_height;       /* 0: the model's */
    int image_width;
    const char *color_mode; /* NULL: by the model's channels; "rgb", "grayscale", "rgba" */
    bool crop_to_aspect_ratio;
    bool pad_to_aspect_ratio;
    bool exif_rotate;
    bool pixels_uint8;            /* round after resizing: a quarter of the traffic */
    double item_timeout_s;        /* 30 */
    const kp_tensor *row_example; /* KP_PIPELINE_ROWS: one per input: dtype and shape (first axis
                                     ignored) of the rows to come, of strings their width;
                                     NULL: as the model's inputs */
    size_t n_row_examples;
    void (*on_result)(void *ctx, const kp_result *r); /* by callback instead of kp_pipeline_next:
                                 called in order on the hub's thread; r is valid during the call */
    void *on_result_ctx;
    /* Called on the hub's thread with each item that workers have prepared: one array per input,
     * first axis 1, before scaling. For looking at what the model gets; it slows the hub. */
    void (*on_prepared)(void *ctx, uint64_t tag, const kp_tensor *inputs, size_t n_inputs);
    void *on_prepared_ctx;
    size_t memory_bytes;        /* what arenas and window may take together; 0: by rule */
    const char *architecture;   /* as kp_model_options.architecture */
    const char *const *plugins; /* as kp_model_options.plugins and layers */
    size_t n_plugins;
    const char *const *layers;
    size_t n_layers;
} kp_pipeline_options;

KP_API void kp_pipeline_options_defaults(kp_pipeline_options *opt);

typedef struct kp_pipeline_info {
    kp_model_info model;
    int workers;
    int64_t batch_size;
    int64_t rows_per_item; /* KP_PIPELINE_ROWS: most rows of one item */
    int64_t slots;
    size_t slot_bytes;
    size_t slot_arena_bytes;
    size_t result_arena_bytes;
    int64_t window;         /* items between the oldest unfinished one and the newest accepted */
    const char *device;     /* "cpu" */
    const char *precision;  /* "float32" */
    const char *preprocess; /* in words: what scaling is applied and why */
    const char *sandbox;    /* in words: what confines the workers */
} kp_pipeline_info;

typedef struct kp_pipeline_stats {
    uint64_t submitted, processed, failed, delivered; /* items */
    uint64_t rows;                                    /* rows predicted */
    uint64_t batches;
    uint64_t worker_restarts, device_restarts, retries;
    double seconds;                                 /* since open */
    double read_s, decode_s, resize_s, wait_slot_s; /* summed over workers */
    double device_s;                                /* the device process computing */
    double device_idle_s;                           /* ... waiting for batches */
    size_t peak_rss_bytes;  /* private memory of all our processes plus shared memory once */
    const char *limited_by; /* "decoding", "device", "source", "sink", ... static storage */
    char verdict[200];      /* one sentence with figures */
} kp_pipeline_stats;

typedef struct kp_pipeline kp_pipeline;

/* Starts the processes, loads the model. Blocks until the device process is ready (or says why
 * not: KP_EMODEL, KP_EDEVICE, KP_EUSAGE). The hub's thread belongs to the pipeline. */
KP_API int kp_pipeline_open(kp_pipeline **out, const char *model_path,
                            const kp_pipeline_options *opt);
/* Pointers in *info live as long as the pipeline. */
KP_API int kp_pipeline_describe(const kp_pipeline *p, kp_pipeline_info *info);

/* Gives an item to the pipeline. Any thread. Paths are copied; bytes and rows are borrowed until
 * the item's result has been taken with kp_pipeline_next (or given to on_result). Rows of text are
 * KP_STRING arrays, as wide as options.row_example says. A layer that refuses what an item's rows
 * hold (a word without an index) costs that item alone.
 * timeout_ms 0: KP_EAGAIN if full; < 0: waits until there is room. */
KP_API int kp_pipeline_submit(kp_pipeline *p, const kp_item *item, int timeout_ms);
/* No more items: what is in flight is finished, then kp_pipeline_next gives KP_EEND. */
KP_API int kp_pipeline_finish(kp_pipeline *p);
/* The next result in order. 0; KP_EAGAIN after timeout_ms (0: at once, < 0: no limit); KP_EEND
 * when all were taken; another error when the pipeline has failed (KP_EDEVICE). Any one thread.
 * With on_result no result comes this way: the call waits for the end and gives KP_EEND. One thread
 * that submits more than the window holds must take results in between: a full pipeline stays full
 * until its oldest results are taken. */
KP_API int kp_pipeline_next(kp_pipeline *p, kp_result *out, int timeout_ms);
/* Gives the result's memory back. Every result of kp_pipeline_next needs it. */
KP_API void kp_result_release(kp_pipeline *p, kp_result *r);
KP_API int kp_pipeline_stats_get(kp_pipeline *p, kp_pipeline_stats *out);
/* Ends at once: processes are killed and reaped, memory is released. Call after KP_EEND for a
 * clean end; before it, what was in flight is dropped. */
KP_API void kp_pipeline_close(kp_pipeline **p);

/* ---- a whole job: inputs to a result file --------------------------------------------------- */

typedef struct kp_job_input {
    const char *name; /* the model's input, NULL: the only one, or all of an .npz */
    const char *path;
} kp_job_input;

typedef struct kp_job_progress {
    uint64_t done, failed;
    int64_t total; /* items; -1: not known yet */
    double seconds;
} kp_job_progress;

typedef struct kp_job_options {
    size_t struct_size;
    const char *model_path;
    const kp_job_input *inputs;
    size_t n_inputs;
    const char *list_path; /* --list: one path a line; "-": stdin */
    bool list_null;        /* separated by NUL */
    bool csv_header;       /* CSV inputs have a header line */
    bool follow_links;
    uint64_t skip;
    int64_t limit;              /* -1: all */
    const char *output_path;    /* "-" or NULL: stdout */
    const char *format;         /* NULL: by the ending; "csv", "jsonl", "npy", "npz", "table" */
    const char *const *outputs; /* names of outputs to write; NULL: all */
    size_t n_outputs;
    int top; /* -1: by rule (5 for a softmax of 3 or more classes); 0: all values */
    const char *classes_path; /* labels, one a line, or Keras' imagenet_class_index.json */
    bool labels_inferred;     /* sub-folder = true class */
    bool force;               /* replace an existing output */
    const char *max_failures; /* NULL: none; "10" or "5%" */
    bool dry_run;
    kp_pipeline_options pipeline;
    void (*on_progress)(void *ctx, const kp_job_progress *p); /* at most 10 times a second */
    void *progress_ctx;
    size_t inputs_before_list; /* the list's place among the inputs; SIZE_MAX: behind all */
} kp_job_options;

KP_API void kp_job_options_defaults(kp_job_options *opt);

typedef struct kp_job_report {
    int64_t items; /* items read */
    uint64_t processed, failed, exif_turned;
    double seconds; /* from open to the last row */
    double items_per_second;
    double mean_batch;
    double write_s;
    bool has_accuracy; /* labels_inferred */
    double accuracy, top5_accuracy;
    kp_pipeline_info info;
    kp_pipeline_stats stats;
    const char *output_path;  /* the file written: OUT, or OUT.partial after an interruption */
    const char *errors_path;  /* "" if nothing failed */
    const char *dry_run_text; /* dry_run: what would run; "" otherwise */
} kp_job_report;

typedef struct kp_job kp_job;

/* Checks all that can be known before the model is loaded (inputs there, output folder, options),
 * then starts the pipeline and checks the rest. KP_EUSAGE, KP_EIO, KP_EEXIST, KP_EEMPTY, and what
 * kp_pipeline_open gives. */
KP_API int kp_job_open(kp_job **out, const kp_job_options *opt);
/* Runs to the end on the caller's thread, once. 0; KP_EINTERRUPTED after kp_job_stop (the file is
 * valid and left as OUT.partial); KP_ETOOMANY; KP_EIO; KP_EDEVICE. */
KP_API int kp_job_run(kp_job *job);
/* Ask for a clean stop; safe in a signal handler and from any thread. The first call: what
 * workers and device have begun is finished and written, the rest is dropped. The second: that too
 * is dropped. The file is completed up to its last whole row. */
KP_API void kp_job_stop(kp_job *job);
/* Pointers in *out live as long as the job. */
KP_API int kp_job_report_get(kp_job *job, kp_job_report *out);
KP_API void kp_job_close(kp_job **job);

/* ---- the machine ---------------------------------------------------------------------------- */

/* What `kpredict doctor` prints: CPU features, device, libraries, sandbox, what is missing and
 * what it would give. *text: free with kp_free. */
KP_API int kp_doctor(bool json, char **text);
/* Backends and library versions, one a line. *text: free with kp_free. */
KP_API int kp_versions(char **text);

#ifdef __cplusplus
}
#endif
#endif
