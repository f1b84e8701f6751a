/*
 * io: what goes in and what comes out of a job: folders, lists and arrays as streams of paths and
 * rows; CSV, JSON Lines, NPY, NPZ and a table as streams of results.
 *
 * Refuses: to decode images, to know of models, processes or batches; to hold an input or an output
 * in memory (of a folder only the names are held).
 * Called by: the job, on its caller's thread; nothing here is shared between threads.
 * Blocks: on files, and on a list that comes through a pipe for as long as the caller allows.
 * What a file holds is untrusted: sizes are checked before memory is taken.
 */
#ifndef KP_IO_H
#define KP_IO_H

#include "base/base.h"

/* ---- names ---- */

/* The order of Python's sorted() over the decoded names: by code point, bytes that are not UTF-8
 * as U+DC80 + (byte - 0x80). <0, 0, >0. */
int kp_name_compare(const char *a, const char *b);
/* Whether the name ends as an image's does: .jpg .jpeg .png .bmp .gif .webp, any case. */
bool kp_name_is_image(const char *name);

typedef enum kp_input_kind {
    KP_INPUT_FOLDER = 1,
    KP_INPUT_IMAGE,
    KP_INPUT_NPY,
    KP_INPUT_NPZ,
    KP_INPUT_CSV
} kp_input_kind;

/* By what lies at path and by its ending; a file with another ending by its first bytes.
 * KP_EIO: missing or unreadable; KP_EUSAGE: none of these. */
int kp_input_detect(const char *path, kp_input_kind *out);

/* ---- paths: folders, image files and lists, one after another ---- */

typedef struct kp_paths kp_paths;

typedef struct kp_path_entry {
    const char *path;    /* to open, and the text for outputs; valid until the next call */
    int64_t class_index; /* its folder's place among the sorted class folders; -1: none */
} kp_path_entry;

int kp_paths_new(kp_paths **out);
/* The folder's images, folders in the order of their full path, then by name. All names are read
 * now. A folder inside that cannot be read becomes one entry: itself. */
int kp_paths_add_folder(kp_paths *p, const char *path, bool follow_links);
int kp_paths_add_file(kp_paths *p, const char *path);
/* One path a line, or NUL-separated; "-" is stdin. Read as it is needed. */
int kp_paths_add_list(kp_paths *p, const char *path, bool separated_by_nul);
/* Number of entries; -1 while a list is among them. */
int64_t kp_paths_total(const kp_paths *p);
/* 0; KP_EEND; KP_EAGAIN when a list has no whole line within timeout_ms; KP_EINTERRUPTED when a
 * signal came; KP_EIO. */
int kp_paths_next(kp_paths *p, kp_path_entry *e, int timeout_ms);
/* The sub-folders directly in the added folders, each name once, sorted; without those that begin
 * with a dot. class_index counts in this list. */
size_t kp_paths_classes(const kp_paths *p, const char *const **names);
/* Memory held for names, for -v and tests. */
size_t kp_paths_bytes(const kp_paths *p);
void kp_paths_free(kp_paths **p);

/* ---- arrays: rows of a file, one after another ---- */

typedef struct kp_array kp_array;

typedef struct kp_array_info {
    const char *name;     /* of the member of an .npz, else "" */
    kp_dtype dtype;       /* of the rows as they are read without a cast; little endian */
    int32_t string_bytes; /* KP_STRING: bytes of one element in UTF-8, NUL-padded */
    int ndim;             /* of one row: the first axis is not counted */
    int64_t shape[KP_MAX_DIMS];
    int64_t n_rows;   /* -1: known at the end only (CSV) */
    const char *path; /* the file, for messages */
} kp_array_info;

/* Why one row could not be read; the others can. */
typedef struct kp_row_problem {
    kp_item_error error; /* KP_ITEM_OK: none */
    char message[200];
} kp_row_problem;

/* KP_EIO: cannot be read; KP_EFORMAT: malformed; KP_EUSAGE: holds what cannot be used (objects). A
 * CSV is one of numbers until kp_array_as_text. */
int kp_array_open_npy(kp_array **out, const char *path);
int kp_array_open_csv(kp_array **out, const char *path, bool header);
/* The arrays of an .npz in the order of the file: *arrays (free with kp_free after closing each).
 */
int kp_array_open_npz(kp_array ***arrays, size_t *n, const char *path);
const kp_array_info *kp_array_describe(const kp_array *a);
/* Bytes of one row as `as`; 0 if that is more than memory holds. KP_DTYPE_NONE: as it lies. */
size_t kp_array_row_bytes(const kp_array *a, kp_dtype as);
/* Up to max_rows rows to dst, cast to `as` (KP_DTYPE_NONE: as they lie). With problem->error set
 * the row after those n_read (which may be 0) was passed over. KP_EEND after the last. */
int kp_array_read(kp_array *a, kp_dtype as, void *dst, int64_t max_rows, int64_t *n_read,
                  kp_row_problem *problem);
/* Takes the array as strings: a CSV's fields are then read as text, as long as its longest (of a
 * pipe: as KP_CSV_PIPE_TEXT). *width: bytes of its longest string. KP_ESHAPE: it holds numbers. */
int kp_array_as_text(kp_array *a, int32_t *width);
enum { KP_CSV_PIPE_TEXT = 4096, KP_CSV_TEXT_MAX = 1 << 20 };
/* Strings are read with this width from now on; not less than their own. */
int kp_array_set_width(kp_array *a, int32_t width);
/* Takes the array as numbers. KP_EUSAGE: a CSV whose first line is none. */
int kp_array_as_numbers(kp_array *a);
/* Passes over up to n rows; *skipped says how many there were. */
int kp_array_skip(kp_array *a, uint64_t n, uint64_t *skipped);
void kp_array_close(kp_array **a);

/* The header of an NPY file from its first bytes, as the fuzz target and the readers use it.
 * *data_offset: where the elements begin. */
typedef struct kp_npy_header {
    kp_dtype dtype; /* KP_STRING for <U and <S */
    bool big_endian;
    bool fortran_order;
    bool ucs4;         /* <U: 4 bytes a character */
    size_t elem_bytes; /* of one element in the file */
    int ndim;
    int64_t shape[KP_MAX_DIMS];
    size_t data_offset;
} kp_npy_header;
/* KP_EAGAIN: size is too small for the whole header. name: for messages. */
int kp_npy_parse(const uint8_t *bytes, size_t size, const char *name, kp_npy_header *out);

/* ---- labels ---- */

typedef struct kp_labels {
    char **words; /* what is printed */
    char **ids;   /* another name of the class (ImageNet's n01440764), or NULL */
    size_t n;
} kp_labels;
/* One label a line, or Keras' imagenet_class_index.json. KP_EIO, KP_EFORMAT. */
int kp_labels_load(kp_labels *out, const char *path);
/* The class whose word or id is name; -1 if none. */
int64_t kp_labels_find(const kp_labels *l, const char *name);
void kp_labels_free(kp_labels *l);

/* ---- results ---- */

typedef enum kp_format {
    KP_FORMAT_NONE = 0,
    KP_FORMAT_CSV,
    KP_FORMAT_JSONL,
    KP_FORMAT_NPY,
    KP_FORMAT_NPZ,
    KP_FORMAT_TABLE
} kp_format;

/* By name ("csv"), or by the ending of path when name is NULL; stdout (path NULL or "-") is a table
 * on a terminal and JSON Lines else. KP_EUSAGE. */
int kp_format_choose(const char *name, const char *path, kp_format *out);

/* One output of the model; shape of one row, -1 where it may differ from run to run. */
typedef struct kp_sink_output {
    const char *name;
    kp_dtype dtype;
    int ndim;
    int64_t shape[KP_MAX_DIMS];
    int32_t string_bytes; /* KP_STRING: bytes of the longest string, for arrays */
} kp_sink_output;

typedef struct kp_sink_spec {
    kp_format format;
    const char *path; /* NULL or "-": stdout */
    bool force;
    const kp_sink_output *outputs; /* borrowed while the sink lives */
    size_t n_outputs;
    int top;                 /* > 0: the best classes of the only output; 0: all values */
    const kp_labels *labels; /* NULL: none; borrowed */
    bool truth;              /* adds the column truth */
    int64_t n_items;         /* -1: not known */
} kp_sink_spec;

/* One item's result. */
typedef struct kp_result_row {
    uint64_t index;
    const char *file;
    int64_t truth; /* -1: none */
    kp_item_error error;
    const char *message;
    const kp_tensor *outputs; /* as many as the spec's; first axis: rows */
    int64_t row;              /* which of them */
} kp_result_row;

typedef struct kp_sink kp_sink;

/* What can be said of the output before anything else is done: its folder is there, it does not
 * exist yet or may be replaced, the format can go there. KP_EIO, KP_EEXIST, KP_EUSAGE. */
int kp_sink_check(kp_format format, const char *path, bool force);
/* Opens OUT.partial. KP_EIO also when an array of known size does not fit on the disk. */
int kp_sink_open(kp_sink **out, const kp_sink_spec *spec);
/* Records come in order of index, none left out. KP_EIO: disk full and the like. */
int kp_sink_write(kp_sink *s, const kp_result_row *r);
/* Writes what is held back, so that a reader sees all whole rows so far. */
int kp_sink_flush(kp_sink *s);
/* Completes the file. whole: it gets its name, else it is left as OUT.partial with all rows that
 * were written. Removes a result's old error file when nothing failed. */
int kp_sink_finish(kp_sink *s, bool whole);
/* Where the result lies now; "" for stdout. */
const char *kp_sink_path(const kp_sink *s);
/* The error file; "" if nothing failed or there is none. */
const char *kp_sink_errors_path(const kp_sink *s);
/* Closes; a file that was not finished stays as OUT.partial, an empty one is removed. */
void kp_sink_close(kp_sink **s);

/* Indices of the k largest values of n, ties and NaN: the lower class first, NaN last. */
void kp_top_classes(const float *values, int64_t n, int k, int64_t *classes);

#endif
