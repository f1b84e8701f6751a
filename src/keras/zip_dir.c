/*
 * The directory at an archive's end, with the 64-bit forms that members or archives of 4 GiB and
 * more need and that some writers use for small ones too.
 *
 * Sizes are those of the directory: a streamed member's own header may leave them open. Where that
 * header does tell, both must agree, so that no other reader sees another file than we do.
 */
#include "keras/zip_dir.h"

#include <stdlib.h>
#include <sys/stat.h>

enum {
    MAX_MEMBERS = 20000,
    MAX_NAME = 1024,
    MAX_COMMENT = 65535,
    END_BYTES = 22,
    LOCATOR_BYTES = 20,
    END64_BYTES = 56,
    ENTRY_BYTES = 46,
    HEADER_BYTES = 30,
    ENCRYPTED = 0x2041, /* flag bits: encrypted, strongly encrypted, masked headers */
    STREAMED = 8,       /* flag bit: sizes and checksum follow the data */
    STORED = 0,
    DEFLATED = 8,
    RATIO_FREE = 64 << 20, /* below this size any ratio is taken: weights may be all zeros */
    MAX_RATIO = 100,
};

struct directory {
    const uint8_t *bytes;
    uint64_t size;   /* of the archive */
    uint64_t before; /* bytes in front of the archive: offsets count from its own start */
    uint64_t start, end;
    uint64_t n;
};

/* One entry as the directory has it. */
struct entry {
    unsigned flags, method, name_size, extra_size, comment_size;
    uint32_t crc, attributes;
    uint64_t packed, size, offset;
    const uint8_t *name, *extra;
};

static unsigned u16(const uint8_t *p)
{
    return (unsigned)p[0] | (unsigned)p[1] << 8;
}

static uint32_t u32(const uint8_t *p)
{
    return (uint32_t)u16(p) | (uint32_t)u16(p + 2) << 16;
}

static uint64_t u64(const uint8_t *p)
{
    return (uint64_t)u32(p) | (uint64_t)u32(p + 4) << 32;
}

static bool is_mark(const uint8_t *p, char a, char b)
{
    return p[0] == 'P' && p[1] == 'K' && p[2] == (uint8_t)a && p[3] == (uint8_t)b;
}

/* ---- the end record ---- */

static int damaged(void)
{
    return kp_fail(KP_EMODEL, "the archive's directory is damaged");
}

static const uint8_t *find_end(const uint8_t *bytes, uint64_t size)
{
    for (uint64_t back = 4; back <= size && back <= END_BYTES + MAX_COMMENT; back++) {
        const uint8_t *p = bytes + size - back;
        if (is_mark(p, 5, 6))
            return back >= END_BYTES && u16(p + 20) <= back - END_BYTES ? p : NULL;
    }
    return NULL;
}

/* Where the directory lies, whose records end at `end`. */
static int place(struct directory *d, uint64_t end, uint64_t size, uint64_t offset)
{
    if (size > end || offset > end - size)
        return damaged();
    d->before = end - size - offset;
    d->start = end - size;
    d->end = end;
    return 0;
}

/* The 64-bit record stands right before its locator. */
static int place64(struct directory *d, uint64_t locator)
{
    const uint8_t *p = d->bytes + locator;
    uint64_t at = u64(p + 8);
    if (u32(p + 4) != 0 || u32(p + 16) > 1)
        return kp_fail(KP_EMODEL, "the archive is one of several parts; join them first");
    if (locator < END64_BYTES || at > locator - END64_BYTES)
        return damaged();
    p = d->bytes + at;
    if (!is_mark(p, 6, 6) || u64(p + 4) != locator - at - 12)
        return damaged();
    d->n = u64(p + 32);
    if (u32(p + 16) != 0 || u32(p + 20) != 0 || u64(p + 24) != d->n)
        return kp_fail(KP_EMODEL, "the archive is one of several parts; join them first");
    KP_TRY(place(d, at, u64(p + 40), u64(p + 48)));
    return d->before == 0 ? 0 : damaged();
}

static int find_directory(struct directory *d)
{
    const uint8_t *p = find_end(d->bytes, d->size);
    if (p == NULL)
        return kp_fail(KP_EMODEL, "the archive has no directory at its end: the file is "
                                  "truncated or damaged, copy it again");
    uint64_t end = (uint64_t)(p - d->bytes);
    if (end >= LOCATOR_BYTES && is_mark(p - LOCATOR_BYTES, 6, 7))
        return place64(d, end - LOCATOR_BYTES);
    d->n = u16(p + 10);
    if (u16(p + 4) != 0 || u16(p + 6) != 0 || u16(p + 8) != d->n)
        return kp_fail(KP_EMODEL, "the archive is one of several parts; join them first");
    return place(d, end, u32(p + 12), u32(p + 16));
}

/* ---- entries ---- */

static const uint8_t *find_extra(const struct entry *e, unsigned id, unsigned *size)
{
    const uint8_t *p = e->extra;
    *size = 0;
    for (unsigned left = e->extra_size; left >= 4;) {
        unsigned n = u16(p + 2);
        if (n > left - 4)
            break;
        if (u16(p) == id) {
            *size = n;
            return p + 4;
        }
        p += 4 + n;
        left -= 4 + n;
    }
    return NULL;
}

/* What stands as all ones in the entry is in its extra field, in this order. */
static int take_zip64(struct entry *e)
{
    uint64_t *const values[] = {&e->size, &e->packed, &e->offset};
    unsigned left;
    const uint8_t *p = find_extra(e, 1, &left);
    for (size_t i = 0; i < sizeof values / sizeof *values; i++) {
        if (*values[i] != UINT32_MAX)
            continue;
        if (left < 8)
            return damaged();
        *values[i] = u64(p);
        p += 8;
        left -= 8;
    }
    return 0;
}

static int read_entry(const struct directory *d, uint64_t at, struct entry *e, uint64_t *next)
{
    if (d->end - at < ENTRY_BYTES || !is_mark(d->bytes + at, 1, 2))
        return damaged();
    const uint8_t *p = d->bytes + at;
    *e = (struct entry){.flags = u16(p + 8),
                        .method = u16(p + 10),
                        .crc = u32(p + 16),
                        .packed = u32(p + 20),
                        .size = u32(p + 24),
                        .name_size = u16(p + 28),
                        .extra_size = u16(p + 30),
                        .comment_size = u16(p + 32),
                        .attributes = u32(p + 38),
                        .offset = u32(p + 42),
                        .name = p + ENTRY_BYTES,
                        .extra = p + ENTRY_BYTES + u16(p + 28)};
    uint64_t all = (uint64_t)e->name_size + e->extra_size + e->comment_size;
    if (d->end - at - ENTRY_BYTES < all)
        return damaged();
    *next = at + ENTRY_BYTES + all;
    return take_zip64(e);
}

static int check_name(const char *name, size_t size)
{
    if (size == 0 || strlen(name) != size)
        return kp_fail(KP_EMODEL, "the archive has a member without a proper name");
    if (name[0] == '/' || (size > 1 && name[1] == ':'))
        return kp_fail(KP_EMODEL, "the archive's member \"%s\" has an absolute name", name);
    for (const char *p = name; p != NULL; p = strchr(p, '/')) {
        p += *p == '/';
        if (strncmp(p, "..", 2) == 0 && (p[2] == '/' || p[2] == '\0'))
            return kp_fail(KP_EMODEL, "the archive's member \"%s\" leaves its folder", name);
    }
    return 0;
}

static int check_kind(const char *name, const struct entry *e)
{
    if ((e->flags & ENCRYPTED) != 0)
        return kp_fail(KP_EMODEL, "the archive's member \"%s\" is encrypted", name);
    if (e->method != STORED && e->method != DEFLATED)
        return kp_fail(KP_EMODEL,
                       "the archive's member \"%s\" is packed with method %u, only stored and "
                       "deflate are supported: zip it again with one of those",
                       name, e->method);
    if (S_ISLNK(e->attributes >> 16))
        return kp_fail(KP_EMODEL, "the archive's member \"%s\" is a link", name);
    if (e->method == STORED && e->packed != e->size)
        return kp_fail(KP_EMODEL, "the archive's member \"%s\" has two different sizes", name);
    if (e->size > RATIO_FREE && e->size / MAX_RATIO > e->packed)
        return kp_fail(KP_EMODEL,
                       "the archive's member \"%s\" would grow from %llu to %llu bytes: refused as "
                       "a decompression bomb",
                       name, (unsigned long long)e->packed, (unsigned long long)e->size);
    return 0;
}

/* A size in the member's own header: open, or the directory's. */
static bool agrees(uint32_t own, uint64_t size, bool streamed)
{
    return own == size || own == UINT32_MAX || (streamed && own == 0);
}

static int check_header(const struct directory *d, const struct entry *e, const char *name,
                        const uint8_t **data)
{
    uint64_t room = e->offset < d->start - d->before ? d->start - d->before - e->offset : 0;
    const uint8_t *p = d->bytes + d->before + (room > 0 ? e->offset : 0);
    if (room < HEADER_BYTES || !is_mark(p, 3, 4) || u16(p + 26) != e->name_size ||
        u16(p + 8) != e->method || (u16(p + 6) & ENCRYPTED) != 0 ||
        room - HEADER_BYTES < (uint64_t)u16(p + 26) + u16(p + 28))
        return kp_fail(KP_EMODEL, "the archive's member \"%s\" has a damaged header", name);
    if (memcmp(p + HEADER_BYTES, e->name, e->name_size) != 0)
        return kp_fail(KP_EMODEL, "the archive's member \"%s\" has another name in its header",
                       name);
    bool streamed = (u16(p + 6) & STREAMED) != 0;
    if (!agrees(u32(p + 18), e->packed, streamed) || !agrees(u32(p + 22), e->size, streamed))
        return kp_fail(KP_EMODEL, "the archive's member \"%s\" has another size in its header",
                       name);
    uint64_t skip = HEADER_BYTES + (uint64_t)u16(p + 26) + u16(p + 28);
    if (room - skip < e->packed)
        return kp_fail(KP_EMODEL,
                       "the archive's member \"%s\" ends beyond the file's end: the file is "
                       "truncated, copy it again",
                       name);
    *data = p + skip;
    return 0;
}

static int read_member(const struct directory *d, const struct entry *e, kp_zip_member *m)
{
    if (e->name_size > MAX_NAME)
        return kp_fail(KP_EMODEL, "the archive has a member with a name of %u bytes", e->name_size);
    char name[MAX_NAME + 1];
    memcpy(name, e->name, e->name_size);
    name[e->name_size] = '\0';
    /* Keras 2 on Windows wrote '\' between folders. */
    for (char *p = name; *p != '\0'; p++)
        if (*p == '\\')
            *p = '/';
    KP_TRY(check_name(name, e->name_size));
    KP_TRY(check_kind(name, e));
    KP_TRY(check_header(d, e, name, &m->packed));
    m->packed_size = e->packed;
    m->size = e->size;
    m->crc = e->crc;
    m->method = (int)e->method;
    m->name = strdup(name);
    return m->name == NULL ? kp_fail(KP_ENOMEM, "out of memory") : 0;
}

static int by_name(const void *a, const void *b)
{
    return strcmp(((const kp_zip_member *)a)->name, ((const kp_zip_member *)b)->name);
}

static int check_unique(kp_zip_member *members, int n)
{
    qsort(members, (size_t)n, sizeof *members, by_name);
    for (int i = 1; i < n; i++)
        if (strcmp(members[i - 1].name, members[i].name) == 0)
            return kp_fail(KP_EMODEL, "the archive has two members named \"%s\"", members[i].name);
    return 0;
}

int kp_zip_directory(const uint8_t *bytes, uint64_t size, kp_zip_member **out, int *n)
{
    struct directory d = {.bytes = bytes, .size = size};
    *out = NULL;
    *n = 0;
    KP_TRY(find_directory(&d));
    if (d.n == 0)
        return kp_fail(KP_EMODEL, "the archive has no members");
    if (d.n > MAX_MEMBERS)
        return kp_fail(KP_EMODEL, "the archive has %llu members, more than the %d allowed",
                       (unsigned long long)d.n, MAX_MEMBERS);
    *out = calloc((size_t)d.n, sizeof **out);
    if (*out == NULL)
        return kp_fail(KP_ENOMEM, "out of memory");
    uint64_t at = d.start;
    for (uint64_t i = 0; i < d.n; i++) {
        struct entry e;
        KP_TRY(read_entry(&d, at, &e, &at));
        KP_TRY(read_member(&d, &e, &(*out)[i]));
        ++*n;
    }
    if (at != d.end)
        return damaged();
    return check_unique(*out, *n);
}

void kp_zip_members_free(kp_zip_member *members, int n)
{
    for (int i = 0; i < n; i++) {
        free(members[i].name);
        free(members[i].inflated);
    }
    free(members);
}
