/*
 * An NPZ is a zip of NPY members. A member is unpacked from the start to the end as its rows are
 * asked for; one in Fortran order, which is read at many places, goes through an unlinked temporary
 * file. Each array has the archive open for itself: their cursors are independent.
 */
#include "io/array.h"

#include <errno.h>
#include <fcntl.h>
#include <minizip/unzip.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

enum { MEMBERS_MAX = 1024, NAME_MAX_BYTES = 512 };

struct npz {
    unzFile zip;
    kp_npy_header header;
    uint8_t *raw;
    size_t raw_bytes;
};

static int read_member(kp_array *a, void *dst, size_t n)
{
    struct npz *s = a->state;
    for (size_t done = 0; done < n;) {
        size_t part = n - done < (1u << 30) ? n - done : 1u << 30;
        int got = unzReadCurrentFile(s->zip, (uint8_t *)dst + done, (unsigned)part);
        if (got <= 0)
            return kp_fail(KP_EFORMAT, "cannot read \"%s\" in \"%s\": it is damaged or cut short",
                           a->info.name, a->path);
        done += (size_t)got;
    }
    return 0;
}

static int npz_read(kp_array *a, void *dst, int64_t max_rows, int64_t *n_read,
                    kp_row_problem *problem)
{
    (void)problem;
    struct npz *s = a->state;
    int64_t left = a->info.n_rows - a->next_row, n = left < max_rows ? left : max_rows;
    if (left <= 0)
        return KP_EEND;
    size_t bytes = kp_npy_file_row_bytes(a, &s->header) * (size_t)n;
    if (!s->header.ucs4 && !s->header.big_endian && bytes == a->row_bytes * (size_t)n) {
        KP_TRY(read_member(a, dst, bytes));
    } else {
        KP_TRY(kp_array_grow(a, &s->raw, &s->raw_bytes, bytes + 1));
        KP_TRY(read_member(a, s->raw, bytes));
        kp_npy_elements(&s->header, a->info.string_bytes, s->raw, dst, a->row_elems * (size_t)n);
    }
    *n_read = n;
    return 0;
}

static int npz_skip(kp_array *a, uint64_t n, uint64_t *skipped)
{
    struct npz *s = a->state;
    uint64_t left = (uint64_t)(a->info.n_rows - a->next_row);
    *skipped = n < left ? n : left;
    size_t row = kp_npy_file_row_bytes(a, &s->header);
    KP_TRY(kp_array_grow(a, &s->raw, &s->raw_bytes, row + 1));
    for (uint64_t i = 0; i < *skipped; i++)
        KP_TRY(read_member(a, s->raw, row));
    return 0;
}

static void npz_close(kp_array *a)
{
    struct npz *s = a->state;
    if (s->zip != NULL) {
        unzCloseCurrentFile(s->zip);
        unzClose(s->zip);
    }
    free(s->raw);
    free((char *)(uintptr_t)(a->info.name[0] != '\0' ? a->info.name : NULL));
}

static const kp_array_reader npz_reader = {.read = npz_read, .skip = npz_skip, .close = npz_close};

/* The header in steps: first its length, then the whole. */
static int read_header(kp_array *a, uint64_t size)
{
    struct npz *s = a->state;
    KP_TRY(kp_array_grow(a, &s->raw, &s->raw_bytes, KP_NPY_HEADER_MAX + 1));
    size_t have = size < 12 ? (size_t)size : 12;
    KP_TRY(read_member(a, s->raw, have));
    int status = kp_npy_parse(s->raw, have, a->info.name, &s->header);
    if (status == KP_EAGAIN && have == 12) {
        size_t len = (size_t)s->raw[8] | (size_t)s->raw[9] << 8, all = 10 + len;
        if (s->raw[6] > 1)
            all = 12 + (len | (size_t)s->raw[10] << 16 | (size_t)s->raw[11] << 24);
        if (all < 12 || all > KP_NPY_HEADER_MAX || all > size)
            return kp_fail(KP_EFORMAT, "cannot read \"%s\" in \"%s\": its NPY header is damaged",
                           a->info.name, a->path);
        KP_TRY(read_member(a, s->raw + 12, all - 12));
        status = kp_npy_parse(s->raw, all, a->info.name, &s->header);
    }
    if (status == KP_EAGAIN)
        status = kp_fail(KP_EFORMAT, "cannot read \"%s\" in \"%s\": it is no NPY array",
                         a->info.name, a->path);
    KP_TRY(status);
    KP_TRY(kp_array_from_npy(a, &s->header, a->path));
    uint64_t need = (uint64_t)kp_npy_file_row_bytes(a, &s->header) * (uint64_t)a->info.n_rows;
    if (need != size - s->header.data_offset)
        return kp_fail(KP_EFORMAT, "cannot read \"%s\" in \"%s\": its size does not fit its header",
                       a->info.name, a->path);
    return 0;
}

/* An unlinked file in the folder for temporary files. */
static int open_temporary(void)
{
    const char *dir = getenv("TMPDIR");
    if (dir == NULL || dir[0] == '\0')
        dir = "/tmp";
    int fd = open(dir, O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
    if (fd >= 0)
        return fd;
    char path[4096];
    if (snprintf(path, sizeof path, "%s/kpredict-XXXXXX", dir) >= (int)sizeof path)
        return -1;
    fd = mkostemp(path, O_CLOEXEC);
    if (fd >= 0)
        unlink(path);
    return fd;
}

/* Unpacks the rest of the present member behind its header into fd. */
static int unpack(kp_array *a, int fd, uint64_t size)
{
    struct npz *s = a->state;
    uint8_t block[16384];
    uint64_t left = size - s->header.data_offset;
    if (pwrite(fd, s->raw, s->header.data_offset, 0) != (ssize_t)s->header.data_offset)
        return kp_fail_errno(KP_EIO, errno, "could not write a temporary file for \"%s\"", a->path);
    for (off_t at = (off_t)s->header.data_offset; left > 0;) {
        size_t n = left < sizeof block ? (size_t)left : sizeof block;
        KP_TRY(read_member(a, block, n));
        if (pwrite(fd, block, n, at) != (ssize_t)n)
            return kp_fail_errno(KP_EIO, errno, "could not write a temporary file for \"%s\"",
                                 a->path);
        at += (off_t)n;
        left -= n;
    }
    return 0;
}

static int through_file(kp_array **array, uint64_t size)
{
    kp_array *a = *array;
    int fd = open_temporary();
    if (fd < 0)
        return kp_fail_errno(KP_EIO, errno, "could not make a temporary file to unpack \"%s\"",
                             a->path);
    int status = unpack(a, fd, size);
    if (status != 0) {
        close(fd);
        return status;
    }
    kp_array *file;
    KP_TRY(kp_array_open_npy_fd(&file, fd, size, a->path, a->info.name));
    kp_array_close(array);
    *array = file;
    return 0;
}

/* The name without ".npy"; owned by the array. */
static int set_name(kp_array *a, const char *member)
{
    size_t n = strlen(member);
    if (n > 4 && strcmp(member + n - 4, ".npy") == 0)
        n -= 4;
    char *name = n > 0 ? strndup(member, n) : NULL;
    if (n > 0 && name == NULL)
        return kp_fail(KP_ENOMEM, "no memory to read \"%s\"", a->path);
    a->info.name = n > 0 ? name : "";
    return 0;
}

static int open_member(kp_array **out, const char *path, const unz64_file_pos *pos)
{
    *out = NULL;
    kp_array *a = kp_array_new(path, &npz_reader, sizeof(struct npz));
    if (a == NULL)
        return KP_ENOMEM;
    struct npz *s = a->state;
    unz_file_info64 info;
    char name[NAME_MAX_BYTES];
    int status = 0;
    s->zip = unzOpen64(path);
    if (s->zip == NULL || unzGoToFilePos64(s->zip, pos) != UNZ_OK ||
        unzGetCurrentFileInfo64(s->zip, &info, name, sizeof name, NULL, 0, NULL, 0) != UNZ_OK ||
        info.size_filename >= sizeof name || (info.flag & 1) != 0 ||
        (info.uncompressed_size != UINT32_MAX && unzOpenCurrentFile(s->zip) != UNZ_OK))
        status = kp_fail(KP_EFORMAT,
                         "cannot read \"%s\": a member cannot be opened (damaged, "
                         "encrypted, or packed in a way that is not known)",
                         path);
    /* minizip 1.1 does not find the 64-bit sizes of such a member. */
    if (status == 0 && info.uncompressed_size == UINT32_MAX)
        status = kp_fail(KP_EUSAGE,
                         "cannot use \"%s\": its member \"%s\" is of 4 GiB or more; save it as "
                         "an .npy",
                         path, name);
    if (status == 0)
        status = set_name(a, name);
    if (status == 0)
        status = read_header(a, info.uncompressed_size);
    if (status == 0 && s->header.fortran_order && a->info.ndim > 0)
        status = through_file(&a, info.uncompressed_size);
    if (status != 0) {
        kp_array_close(&a);
        return status;
    }
    *out = a;
    return 0;
}

static int open_all(unzFile zip, const char *path, size_t count, kp_array **arrays, size_t *n)
{
    for (int at = unzGoToFirstFile(zip); at == UNZ_OK && *n < count; at = unzGoToNextFile(zip)) {
        unz64_file_pos pos;
        if (unzGetFilePos64(zip, &pos) != UNZ_OK)
            return kp_fail(KP_EFORMAT, "cannot read \"%s\": its list of members is damaged", path);
        KP_TRY(open_member(&arrays[*n], path, &pos));
        (*n)++;
    }
    return 0;
}

int kp_array_open_npz(kp_array ***arrays, size_t *n, const char *path)
{
    *arrays = NULL;
    *n = 0;
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return kp_fail_errno(KP_EIO, errno, "could not read \"%s\"", path);
    close(fd);
    unzFile zip = unzOpen64(path);
    unz_global_info64 info;
    if (zip == NULL || unzGetGlobalInfo64(zip, &info) != UNZ_OK || info.number_entry == 0 ||
        info.number_entry > MEMBERS_MAX) {
        if (zip != NULL)
            unzClose(zip);
        return kp_fail(KP_EFORMAT, "cannot read \"%s\": it is no zip archive of 1 to %d arrays",
                       path, MEMBERS_MAX);
    }
    *arrays = calloc((size_t)info.number_entry, sizeof **arrays);
    int status = *arrays != NULL ? open_all(zip, path, (size_t)info.number_entry, *arrays, n)
                                 : kp_fail(KP_ENOMEM, "no memory to read \"%s\"", path);
    unzClose(zip);
    for (size_t i = 0; status != 0 && i < *n; i++)
        kp_array_close(&(*arrays)[i]);
    if (status != 0) {
        free(*arrays);
        *arrays = NULL;
        *n = 0;
    }
    return status;
}
