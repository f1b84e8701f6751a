/*
 * An NPY file as rows. The elements are read in blocks at the place where they lie, not through a
 * mapping: a file that someone cuts short while it is read is then an error and not a SIGBUS, and
 * no page of it ever counts as ours.
 */
#include "io/array.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

struct npy {
    int fd;
    kp_npy_header header;
    uint8_t *raw; /* file bytes before byte order and text are put right */
    size_t raw_bytes;
};

static int read_at(kp_array *a, void *dst, size_t n, uint64_t offset)
{
    struct npy *s = a->state;
    for (size_t done = 0; done < n;) {
        ssize_t got = pread(s->fd, (uint8_t *)dst + done, n - done, (off_t)(offset + done));
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0)
            return kp_fail_errno(KP_EIO, errno, "could not read \"%s\"", a->path);
        if (got == 0)
            return kp_fail(KP_EIO, "could not read \"%s\": it became shorter while it was read",
                           a->path);
        done += (size_t)got;
    }
    return 0;
}

/* C order: the rows lie one after another. */
static int read_c(kp_array *a, uint8_t *dst, int64_t first, int64_t n)
{
    struct npy *s = a->state;
    size_t row = kp_npy_file_row_bytes(a, &s->header), bytes = row * (size_t)n;
    uint64_t at = s->header.data_offset + (uint64_t)first * row;
    if (!s->header.ucs4 && !s->header.big_endian && row == a->row_bytes)
        return read_at(a, dst, bytes, at);
    KP_TRY(kp_array_grow(a, &s->raw, &s->raw_bytes, bytes));
    KP_TRY(read_at(a, s->raw, bytes, at));
    kp_npy_elements(&s->header, a->info.string_bytes, s->raw, dst, a->row_elems * (size_t)n);
    return 0;
}

/* Fortran order: element e of the rows' own Fortran order lies in one run for all rows. Walks the
 * runs and scatters each to its place in C order. */
static int read_fortran(kp_array *a, uint8_t *dst, int64_t first, int64_t n)
{
    struct npy *s = a->state;
    const kp_npy_header *h = &s->header;
    size_t file_elem = h->elem_bytes, elem = a->row_elems > 0 ? a->row_bytes / a->row_elems : 0;
    KP_TRY(kp_array_grow(a, &s->raw, &s->raw_bytes, (file_elem + elem) * (size_t)n + 1));
    uint8_t *run = s->raw, *ready = s->raw + file_elem * (size_t)n;
    int64_t index[KP_MAX_DIMS] = {0}, stride[KP_MAX_DIMS];
    int64_t step = 1;
    for (int d = a->info.ndim - 1; d >= 0; d--) {
        stride[d] = step;
        step *= a->info.shape[d];
    }
    for (size_t e = 0; e < a->row_elems; e++) {
        uint64_t at = ((uint64_t)e * (uint64_t)a->info.n_rows + (uint64_t)first) * file_elem;
        KP_TRY(read_at(a, run, file_elem * (size_t)n, h->data_offset + at));
        kp_npy_elements(h, a->info.string_bytes, run, ready, (size_t)n);
        int64_t to = 0;
        for (int d = 0; d < a->info.ndim; d++)
            to += index[d] * stride[d];
        for (int64_t r = 0; r < n; r++)
            memcpy(dst + (size_t)r * a->row_bytes + (size_t)to * elem, ready + (size_t)r * elem,
                   elem);
        for (int d = 0; d < a->info.ndim && ++index[d] == a->info.shape[d]; d++)
            index[d] = 0;
    }
    return 0;
}

static int npy_read(kp_array *a, void *dst, int64_t max_rows, int64_t *n_read,
                    kp_row_problem *problem)
{
    (void)problem;
    struct npy *s = a->state;
    int64_t left = a->info.n_rows - a->next_row, n = left < max_rows ? left : max_rows;
    if (left <= 0)
        return KP_EEND;
    bool fortran = s->header.fortran_order && a->info.ndim > 0;
    KP_TRY(fortran ? read_fortran(a, dst, a->next_row, n) : read_c(a, dst, a->next_row, n));
    *n_read = n;
    return 0;
}

static int npy_skip(kp_array *a, uint64_t n, uint64_t *skipped)
{
    uint64_t left = (uint64_t)(a->info.n_rows - a->next_row);
    *skipped = n < left ? n : left;
    return 0;
}

static void npy_close(kp_array *a)
{
    struct npy *s = a->state;
    if (s->fd >= 0)
        close(s->fd);
    free(s->raw);
    free((char *)(uintptr_t)(a->info.name[0] != '\0' ? a->info.name : NULL));
}

static const kp_array_reader npy_reader = {.read = npy_read, .skip = npy_skip, .close = npy_close};

static int read_header(kp_array *a, uint64_t size)
{
    struct npy *s = a->state;
    size_t want = size < KP_NPY_HEADER_MAX ? (size_t)size : KP_NPY_HEADER_MAX;
    KP_TRY(kp_array_grow(a, &s->raw, &s->raw_bytes, want + 1));
    KP_TRY(read_at(a, s->raw, want, 0));
    int status = kp_npy_parse(s->raw, want, a->path, &s->header);
    if (status == KP_EAGAIN)
        return kp_fail(KP_EFORMAT, "cannot read \"%s\": it ends within its NPY header", a->path);
    KP_TRY(status);
    KP_TRY(kp_array_from_npy(a, &s->header, a->path));
    uint64_t need = (uint64_t)kp_npy_file_row_bytes(a, &s->header) * (uint64_t)a->info.n_rows;
    if (need > size - s->header.data_offset)
        return kp_fail(
            KP_EFORMAT,
            "cannot read \"%s\": it is cut short: its header tells of %llu bytes, %llu are "
            "there",
            a->path, (unsigned long long)need, (unsigned long long)(size - s->header.data_offset));
    return 0;
}

int kp_array_open_npy_fd(kp_array **out, int fd, uint64_t size, const char *path, const char *name)
{
    *out = NULL;
    kp_array *a = kp_array_new(path, &npy_reader, sizeof(struct npy));
    if (a == NULL) {
        close(fd);
        return KP_ENOMEM;
    }
    ((struct npy *)a->state)->fd = fd;
    int status = read_header(a, size);
    if (status == 0 && name[0] != '\0' && (a->info.name = strdup(name)) == NULL) {
        a->info.name = "";
        status = kp_fail(KP_ENOMEM, "no memory to read \"%s\"", path);
    }
    if (status != 0) {
        kp_array_close(&a);
        return status;
    }
    *out = a;
    return 0;
}

int kp_array_open_npy(kp_array **out, const char *path)
{
    *out = NULL;
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    struct stat st;
    if (fd < 0 || fstat(fd, &st) != 0 || !S_ISREG(st.st_mode)) {
        int err = fd < 0 ? errno : 0;
        if (fd >= 0)
            close(fd);
        return err != 0 ? kp_fail_errno(KP_EIO, err, "could not read \"%s\"", path)
                        : kp_fail(KP_EIO, "cannot read \"%s\": it is not a regular file", path);
    }
    return kp_array_open_npy_fd(out, fd, (uint64_t)st.st_size, path, "");
}
