/* An archive's members: in place where they are stored, else inflated. */
#include "keras/zip.h"

#include "keras/zip_dir.h"

#include <libdeflate.h>
#include <stdatomic.h>
#include <stdlib.h>

enum {
    CRC_LIMIT = 16 << 20, /* the checksum of a larger stored member takes long: 60 ms for 100 MB */
    CHUNK = 1 << 20,
};

struct kp_zip {
    kp_zip_member *members;
    int n_members;
};

int kp_zip_open(kp_zip **out, const uint8_t *bytes, size_t size)
{
    kp_zip *z = calloc(1, sizeof *z);
    if (z == NULL)
        return kp_fail(KP_ENOMEM, "out of memory");
    int status = kp_zip_directory(bytes, size, &z->members, &z->n_members);
    if (status != 0)
        kp_zip_close(&z);
    *out = z;
    return status;
}

void kp_zip_close(kp_zip **z)
{
    if (*z == NULL)
        return;
    kp_zip_members_free((*z)->members, (*z)->n_members);
    free(*z);
    *z = NULL;
}

int kp_zip_count(const kp_zip *z)
{
    return z->n_members;
}

const char *kp_zip_name(const kp_zip *z, int i)
{
    return z->members[i].name;
}

int kp_zip_find(const kp_zip *z, const char *name, int *i)
{
    for (*i = 0; *i < z->n_members; ++*i)
        if (strcmp(z->members[*i].name, name) == 0)
            return 0;
    return kp_fail(KP_ENOTFOUND, "the archive has no member \"%s\"", name);
}

/* ---- content ---- */

static int wrong_checksum(const kp_zip_member *m)
{
    return kp_fail(KP_EMODEL,
                   "the archive's member \"%s\" is damaged (checksum differs): copy the file again",
                   m->name);
}

static int read_stored(kp_zip_member *m)
{
    if (m->size > CRC_LIMIT)
        m->unchecked = m->packed;
    else if (libdeflate_crc32(0, m->packed, (size_t)m->size) != m->crc)
        return wrong_checksum(m);
    return 0;
}

/* Fills exactly m->size bytes from exactly m->packed_size. */
static int inflate_member(kp_zip_member *m)
{
    struct libdeflate_decompressor *d = libdeflate_alloc_decompressor();
    size_t taken = 0;
    m->inflated = malloc((size_t)m->size + 1);
    if (m->inflated == NULL || d == NULL) {
        libdeflate_free_decompressor(d);
        return kp_fail(KP_ENOMEM, "out of memory: %llu bytes for the archive's member \"%s\"",
                       (unsigned long long)m->size, m->name);
    }
    enum libdeflate_result result = libdeflate_deflate_decompress_ex(
        d, m->packed, (size_t)m->packed_size, m->inflated, (size_t)m->size, &taken, NULL);
    libdeflate_free_decompressor(d);
    kp_map_drop(m->packed, (size_t)m->packed_size);
    if (result != LIBDEFLATE_SUCCESS || taken != m->packed_size)
        return kp_fail(KP_EMODEL,
                       "could not unpack the archive's member \"%s\": it is damaged or truncated",
                       m->name);
    return libdeflate_crc32(0, m->inflated, (size_t)m->size) == m->crc ? 0 : wrong_checksum(m);
}

int kp_zip_read(kp_zip *z, int i, size_t size_limit, const uint8_t **data, size_t *size)
{
    kp_zip_member *m = &z->members[i];
    *size = (size_t)m->size;
    if (m->size > size_limit)
        return kp_fail(KP_EMODEL,
                       "the archive's member \"%s\" has %llu bytes, more than the %zu allowed",
                       m->name, (unsigned long long)m->size, size_limit);
    if (m->method == 0) {
        *data = m->packed;
        return read_stored(m);
    }
    int status = m->inflated == NULL ? inflate_member(m) : 0;
    if (status != 0) {
        free(m->inflated);
        m->inflated = NULL;
    }
    *data = m->inflated;
    return status;
}

bool kp_zip_is_unchecked(const kp_zip *z, int i)
{
    return z->members[i].unchecked != NULL;
}

bool kp_zip_intact(const kp_zip *z, int i, const _Atomic bool *stop)
{
    const kp_zip_member *m = &z->members[i];
    uint32_t crc = 0;
    for (uint64_t at = 0; at < m->size; at += CHUNK) {
        if (atomic_load_explicit(stop, memory_order_relaxed))
            return true;
        size_t n = (size_t)(m->size - at < CHUNK ? m->size - at : CHUNK);
        crc = libdeflate_crc32(crc, m->unchecked + at, n);
        kp_map_drop(m->unchecked + at, n);
    }
    return crc == m->crc;
}
