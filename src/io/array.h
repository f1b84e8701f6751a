/* array: what the readers of NPY, NPZ and CSV have in common. Private to src/io. */
#ifndef KP_IO_ARRAY_H
#define KP_IO_ARRAY_H

#include "io/io.h"

/* Rows as they lie in the file, little endian, C order, kp_array.row_bytes each. */
typedef struct kp_array_reader {
    int (*read)(kp_array *a, void *dst, int64_t max_rows, int64_t *n_read, kp_row_problem *problem);
    int (*skip)(kp_array *a, uint64_t n, uint64_t *skipped);
    void (*close)(kp_array *a);
    /* NULL: only numbers, or strings already. As the public calls. */
    int (*as_text)(kp_array *a, int32_t *width);
    int (*as_numbers)(kp_array *a);
} kp_array_reader;

struct kp_array {
    const kp_array_reader *reader;
    kp_array_info info;
    size_t row_elems, row_bytes;
    int64_t next_row;
    void *staging; /* rows before a cast */
    size_t staging_bytes;
    char *path;  /* for messages; owned */
    void *state; /* the reader's */
};

/* Fills info and the row sizes from a header. KP_ELIMIT, KP_EFORMAT (no axis for rows). */
int kp_array_from_npy(kp_array *a, const kp_npy_header *h, const char *name);
/* Bytes of one row in the file and one row in memory differ for text only. */
size_t kp_npy_file_row_bytes(const kp_array *a, const kp_npy_header *h);
/* Elements as they lie in the file to those of info: byte order, characters to UTF-8. */
void kp_npy_elements(const kp_npy_header *h, int32_t string_bytes, const uint8_t *src, void *dst,
                     size_t n);
/* A zeroed array with its path; NULL and kp_errmsg. */
kp_array *kp_array_new(const char *path, const kp_array_reader *reader, size_t state_bytes);
/* NPY in a file of which the elements can be read at any place. Takes fd over, also on failure.
 * size: bytes of the NPY in the file, which begins at 0. */
int kp_array_open_npy_fd(kp_array **out, int fd, uint64_t size, const char *path, const char *name);

enum { KP_NPY_HEADER_MAX = 65536 + 12 };

/* Makes the array's own buffer for stored rows at least `bytes` long; it keeps what it holds. */
int kp_array_grow(const kp_array *a, uint8_t **raw, size_t *raw_bytes, size_t bytes);

#endif
