/* The filter pipeline: deflate, shuffle, fletcher32, undone in reverse. */
#include "keras/h5/internal.h"

#include <libdeflate.h>

enum { DEFLATE = 1, SHUFFLE = 2, FLETCHER32 = 3 };

static const char *filter_name(uint16_t id, char *buf, size_t size)
{
    static const struct {
        uint16_t id;
        const char *name;
    } known[] = {{4, "szip"},           {5, "nbit"},    {6, "scaleoffset"}, {305, "lzo"},
                 {307, "bzip2"},        {32000, "lzf"}, {32001, "blosc"},   {32004, "lz4"},
                 {32008, "bitshuffle"}, {32013, "zfp"}, {32015, "zstd"},    {32026, "blosc2"}};
    for (size_t i = 0; i < sizeof known / sizeof known[0]; i++) {
        if (known[i].id == id)
            return known[i].name;
    }
    snprintf(buf, size, "number %u", id);
    return buf;
}

static int parse_filter(kp_rd *r, uint8_t version, uint32_t type_size, kp_h5_filter *f)
{
    f->id = kp_rd_u16(r);
    uint64_t name = version == 1 || f->id >= 256 ? kp_rd_u16(r) : 0;
    kp_rd_take(r, 2); /* flags: whether a writer may leave it out */
    uint64_t n_values = kp_rd_u16(r);
    kp_rd_take(r, version == 1 ? (name + 7) / 8 * 8 : name);
    uint32_t first = n_values > 0 ? kp_rd_u32(r) : 0;
    if (n_values > 0)
        kp_rd_take(r, 4 * (n_values - 1));
    if (version == 1 && n_values % 2 != 0)
        kp_rd_take(r, 4);
    f->element = first != 0 ? first : type_size;
    if (r->bad)
        return kp_fail(KP_EFORMAT, "filter message is truncated");
    char buf[24];
    if (f->id < DEFLATE || f->id > FLETCHER32)
        return kp_fail(KP_EUNSUPPORTED,
                       "its storage uses the filter %s, which is not supported; "
                       "write it with gzip or without compression",
                       filter_name(f->id, buf, sizeof buf));
    return 0;
}

int kp_h5_pipeline_parse(kp_rd rd, uint32_t type_size, kp_h5_pipeline *out)
{
    memset(out, 0, sizeof *out);
    uint8_t version = kp_rd_u8(&rd), n = kp_rd_u8(&rd);
    if (version < 1 || version > 2)
        return kp_fail(KP_EUNSUPPORTED, "filter message version %u is not supported", version);
    if (n > KP_H5_MAX_FILTERS)
        return kp_fail(KP_EUNSUPPORTED, "its storage uses %u filters, %d are supported", n,
                       KP_H5_MAX_FILTERS);
    if (version == 1)
        kp_rd_take(&rd, 6);
    for (; out->n < n; out->n++) {
        KP_TRY(parse_filter(&rd, version, type_size, &out->filters[out->n]));
        out->deflates |= out->filters[out->n].id == DEFLATE;
    }
    return 0;
}

static int inflate_all(const uint8_t *from, size_t size, uint8_t *to, size_t room, size_t *got)
{
    struct libdeflate_decompressor *d = libdeflate_alloc_decompressor();
    if (d == NULL)
        return kp_fail(KP_ENOMEM, "out of memory");
    enum libdeflate_result result = libdeflate_zlib_decompress(d, from, size, to, room, got);
    libdeflate_free_decompressor(d);
    if (result != LIBDEFLATE_SUCCESS)
        return kp_fail(KP_EFORMAT, "compressed data is damaged%s",
                       result == LIBDEFLATE_INSUFFICIENT_SPACE ? " or larger than its chunk" : "");
    return 0;
}

static void unshuffle(const uint8_t *from, size_t size, uint32_t element, uint8_t *to)
{
    size_t n = size / element;
    for (uint32_t b = 0; b < element; b++) {
        for (size_t i = 0; i < n; i++)
            to[i * element + b] = from[b * n + i];
    }
    memcpy(to + n * element, from + n * element, size - n * element);
}

static int check_fletcher(const uint8_t *from, size_t *size)
{
    if (*size < 4)
        return kp_fail(KP_EFORMAT, "chunk is too small for its checksum");
    *size -= 4;
    if ((uint32_t)kp_le(from + *size, 4) != kp_h5_fletcher32(from, *size))
        return kp_fail(KP_EFORMAT, "chunk has a wrong checksum; the file is damaged");
    return 0;
}

int kp_h5_pipeline_undo(const kp_h5_pipeline *p, uint32_t mask, const uint8_t *stored,
                        size_t stored_size, size_t size, uint8_t *a, uint8_t *b,
                        const uint8_t **out)
{
    const uint8_t *now = stored;
    size_t n = stored_size, room = size + KP_H5_FILTER_SPARE;
    for (int i = p->n - 1; i >= 0; i--) {
        if ((mask >> i & 1) != 0)
            continue;
        const kp_h5_filter *f = &p->filters[i];
        uint8_t *to = now == a ? b : a;
        if (f->id == FLETCHER32) {
            KP_TRY(check_fletcher(now, &n));
        } else if (f->id == DEFLATE) {
            KP_TRY(inflate_all(now, n, to, room, &n));
            now = to;
        } else if (f->element > 1 && n >= f->element) {
            if (n > room)
                return kp_fail(KP_EFORMAT, "chunk is larger than its shape; the file is damaged");
            unshuffle(now, n, f->element, to);
            now = to;
        }
    }
    if (n != size)
        return kp_fail(KP_EFORMAT, "chunk has %zu bytes instead of %zu; the file is damaged", n,
                       size);
    *out = now;
    return 0;
}
