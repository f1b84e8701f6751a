/* What all arrays share: sizes, casts, and the NPY file that is read at any place. */
#include "io/array.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

kp_array *kp_array_new(const char *path, const kp_array_reader *reader, size_t state_bytes)
{
    kp_array *a = calloc(1, sizeof *a);
    if (a != NULL) {
        a->reader = reader;
        a->path = strdup(path);
        a->state = calloc(1, state_bytes);
        a->info.name = "";
        a->info.path = a->path;
    }
    if (a == NULL || a->path == NULL || a->state == NULL) {
        if (a != NULL) {
            free(a->path);
            free(a->state);
            free(a);
        }
        kp_fail(KP_ENOMEM, "no memory to read \"%s\"", path);
        return NULL;
    }
    return a;
}

const kp_array_info *kp_array_describe(const kp_array *a)
{
    return &a->info;
}

static size_t elem_bytes(const kp_array *a, kp_dtype as)
{
    if (as == KP_DTYPE_NONE)
        as = a->info.dtype;
    return as == KP_STRING ? (size_t)a->info.string_bytes : kp_dtype_size(as);
}

size_t kp_array_row_bytes(const kp_array *a, kp_dtype as)
{
    size_t bytes;
    return kp_mul_size(a->row_elems, elem_bytes(a, as), &bytes) ? bytes : 0;
}

int kp_array_from_npy(kp_array *a, const kp_npy_header *h, const char *name)
{
    if (h->ndim == 0)
        return kp_fail(KP_EUSAGE,
                       "cannot use \"%s\": it is a single value without an axis for rows", name);
    a->info.dtype = h->dtype;
    a->info.string_bytes =
        h->dtype == KP_STRING ? (int32_t)(h->elem_bytes > 0 ? h->elem_bytes : 1) : 0;
    a->info.ndim = h->ndim - 1;
    memcpy(a->info.shape, h->shape + 1, sizeof *h->shape * (size_t)(h->ndim - 1));
    a->info.n_rows = h->shape[0];
    int64_t elems, all;
    size_t bytes;
    if (!kp_shape_count(h->shape + 1, h->ndim - 1, &elems) ||
        !kp_shape_count(h->shape, h->ndim, &all) ||
        !kp_mul_size((size_t)all, h->elem_bytes > 0 ? h->elem_bytes : 1, &bytes) ||
        bytes > INT64_MAX)
        return kp_fail(KP_ELIMIT, "cannot use \"%s\": its shape is too large", name);
    a->row_elems = (size_t)elems;
    a->row_bytes = a->row_elems * elem_bytes(a, KP_DTYPE_NONE);
    return 0;
}

size_t kp_npy_file_row_bytes(const kp_array *a, const kp_npy_header *h)
{
    return a->row_elems * h->elem_bytes;
}

static int need_staging(kp_array *a, int64_t rows)
{
    size_t bytes;
    if (!kp_mul_size((size_t)rows, a->row_bytes, &bytes))
        return kp_fail(KP_ELIMIT, "cannot read \"%s\": its rows are too large", a->path);
    if (bytes <= a->staging_bytes)
        return 0;
    void *p = realloc(a->staging, bytes);
    if (p == NULL)
        return kp_fail(KP_ENOMEM, "no memory for rows of \"%s\"", a->path);
    a->staging = p;
    a->staging_bytes = bytes;
    return 0;
}

int kp_array_read(kp_array *a, kp_dtype as, void *dst, int64_t max_rows, int64_t *n_read,
                  kp_row_problem *problem)
{
    problem->error = KP_ITEM_OK;
    *n_read = 0;
    bool cast = as != KP_DTYPE_NONE && as != a->info.dtype;
    if (cast && (as == KP_STRING || a->info.dtype == KP_STRING))
        return kp_fail(KP_ESHAPE, "cannot use \"%s\": it holds %s, the model takes %s", a->path,
                       kp_dtype_name(a->info.dtype), kp_dtype_name(as));
    if (cast)
        KP_TRY(need_staging(a, max_rows));
    KP_TRY(a->reader->read(a, cast ? a->staging : dst, max_rows, n_read, problem));
    a->next_row += *n_read + (problem->error != KP_ITEM_OK);
    return cast ? kp_convert(as, dst, a->info.dtype, a->staging, (size_t)*n_read * a->row_elems)
                : 0;
}

int kp_array_as_text(kp_array *a, int32_t *width)
{
    if (a->reader->as_text != NULL)
        return a->reader->as_text(a, width);
    *width = a->info.string_bytes;
    return a->info.dtype == KP_STRING
               ? 0
               : kp_fail(KP_ESHAPE, "cannot use \"%s\": it holds %s, the model takes strings",
                         a->path, kp_dtype_name(a->info.dtype));
}

int kp_array_as_numbers(kp_array *a)
{
    if (a->info.dtype == KP_STRING)
        return kp_fail(KP_ESHAPE, "cannot use \"%s\": it holds strings, the model takes numbers",
                       a->path);
    return a->reader->as_numbers != NULL ? a->reader->as_numbers(a) : 0;
}

int kp_array_set_width(kp_array *a, int32_t width)
{
    size_t bytes;
    if (a->info.dtype != KP_STRING || width < a->info.string_bytes ||
        !kp_mul_size(a->row_elems, (size_t)width, &bytes))
        return kp_fail(KP_ELIMIT, "cannot use \"%s\": its strings are too large", a->path);
    a->info.string_bytes = width;
    a->row_bytes = bytes;
    return 0;
}

int kp_array_skip(kp_array *a, uint64_t n, uint64_t *skipped)
{
    KP_TRY(a->reader->skip(a, n, skipped));
    a->next_row += (int64_t)*skipped;
    return 0;
}

void kp_array_close(kp_array **array)
{
    kp_array *a = *array;
    if (a == NULL)
        return;
    a->reader->close(a);
    free(a->staging);
    free(a->state);
    free(a->path);
    free(a);
    *array = NULL;
}

int kp_array_grow(const kp_array *a, uint8_t **raw, size_t *raw_bytes, size_t bytes)
{
    if (bytes <= *raw_bytes)
        return 0;
    uint8_t *p = realloc(*raw, bytes);
    if (p == NULL)
        return kp_fail(KP_ENOMEM, "no memory for rows of \"%s\"", a->path);
    *raw = p;
    *raw_bytes = bytes;
    return 0;
}
