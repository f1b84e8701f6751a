/* sink: what the writers of results have in common. Private to src/io. */
#ifndef KP_IO_SINK_H
#define KP_IO_SINK_H

#include "io/io.h"

/* A file that is written in whole rows: text gathers in buf and goes out at kp_out_row, so what
 * lies in the file ends with a row whenever the process stops. */
typedef struct kp_out {
    int fd; /* -1: not open */
    bool own_fd, regular;
    const char *name; /* for messages; borrowed */
    kp_buf buf;
    uint64_t written;
} kp_out;

enum { KP_OUT_BYTES = 1 << 18 };

int kp_out_open(kp_out *o, const char *path);
/* An unlinked file in the folder of path. */
int kp_out_open_temporary(kp_out *o, const char *path);
void kp_out_stdout(kp_out *o);
int kp_out_flush(kp_out *o);
/* Bytes at a place that was written before. */
int kp_out_rewrite(kp_out *o, const void *data, size_t n, uint64_t offset);
/* Flushes and closes; a failure that the system tells only at closing is an error too. */
int kp_out_close(kp_out *o);

typedef struct kp_sink_writer {
    int (*open)(kp_sink *s);
    int (*write)(kp_sink *s, const kp_result_row *r); /* appends to out.buf, or to its own */
    int (*flush)(kp_sink *s);
    int (*finish)(kp_sink *s);
    void (*close)(kp_sink *s);
} kp_sink_writer;

struct kp_sink {
    kp_sink_spec spec;
    const kp_sink_writer *writer;
    void *state;
    char **names; /* of the outputs, each different: a repeated one got _1, _2 */
    kp_out out, errors;
    char *path, *partial, *errors_path;
    bool to_stdout, in_place; /* in_place: a device or a pipe, written without a partial file */
    bool has_errors, finished;
    uint64_t n_records;
};

extern const kp_sink_writer kp_csv_writer, kp_jsonl_writer, kp_npy_writer, kp_npz_writer,
    kp_table_writer;

/* One row of an output. */
typedef struct kp_row_values {
    const uint8_t *data;
    int ndim;
    const int64_t *shape;
    size_t n, elem_bytes;
} kp_row_values;
/* KP_ELIMIT when the shape is not one of memory. */
int kp_result_row_values(const kp_result_row *r, size_t output, kp_row_values *v);

/* One value as text: %.9g, %.17g, integers; "nan" "inf" "-inf", or as JSON "NaN" "Infinity". */
enum { KP_NUMBER_TEXT = 40 };
size_t kp_number_text(char *buf, kp_dtype dtype, const void *value);
size_t kp_number_json(char *buf, kp_dtype dtype, const void *value);
/* The bytes of string i. */
size_t kp_row_text(const kp_row_values *v, size_t i, const char **text);
/* The k best of a record's only output; *values: its row as float32 (valid until the next call). */
typedef struct kp_top {
    int k;
    int64_t *classes;
    float *scores; /* of the classes, for the order */
    float *row;
    size_t row_n;
} kp_top;
int kp_top_init(kp_top *t, int k);
/* *n: how many there are, at most k. */
int kp_top_find(kp_top *t, const kp_result_row *r, kp_dtype dtype, int *n);
void kp_top_fini(kp_top *t);
/* The word for a class, "" without labels. */
const char *kp_sink_label(const kp_sink *s, int64_t class_index);

/* ---- rows of an NPY, for the writers of NPY and NPZ ---- */
typedef struct kp_npy_rows {
    kp_sink_output output;
    bool shape_known;
    int64_t n_rows;
    int64_t n_waiting; /* failed rows before the shape was known */
    size_t row_bytes, header_bytes;
    uint32_t crc; /* of the rows that were given out */
} kp_npy_rows;
enum { KP_NPY_HEADER_ROOM = 512 };
int kp_npy_rows_init(kp_npy_rows *w, const kp_sink_output *output);
/* Appends the record's row of output o, or its hole. */
int kp_npy_rows_add(kp_npy_rows *w, const kp_result_row *r, size_t o, kp_buf *to);
/* The header for n_rows rows, header_bytes long whatever n_rows is. */
void kp_npy_rows_header(const kp_npy_rows *w, int64_t n_rows, char *header);
/* No row was good: the shape is taken with 0 where it is open, and the waiting holes are written.
 */
int kp_npy_rows_settle(kp_npy_rows *w, kp_buf *to);

#endif
