/* csv: what the two readers of a CSV (numbers, text) have in common. Private to src/io. */
#ifndef KP_IO_CSV_H
#define KP_IO_CSV_H

#include "io/array.h"

/* One record without its line end, NUL-terminated; it lives until the next one is taken. */
typedef struct kp_csv_record {
    char *at;
    size_t n;
} kp_csv_record;

typedef struct kp_csv {
    int fd;
    bool eof;
    bool text;   /* fields are strings */
    bool header; /* the first record is one */
    char *buf;   /* bytes begin..end are unread */
    size_t begin, end, cap;
    char *first_text; /* the first row as it was read at opening, and its numbers */
    size_t first_size, n_first;
    double *first;
    size_t first_bad; /* the field of it that is no number, from 1; 0: none */
    bool first_waiting;
    int64_t line; /* of the record last taken, from 1 */
    int64_t next_line;
    char field[64]; /* a quoted number without its quotes */
} kp_csv;

/* The next record that is not blank. KP_EEND. */
int kp_csv_take(kp_array *a, kp_csv_record *r);
/* csv_text.c: rows of strings; the longest field of the file decides their width. */
int kp_csv_read_text(kp_array *a, void *dst, int64_t max_rows, int64_t *n_read,
                     kp_row_problem *problem);
int kp_csv_as_text(kp_array *a, int32_t *width);

#endif
