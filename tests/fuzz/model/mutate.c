/* libFuzzer's hooks: the file is taken apart, a part of it changed, and put together again. */
#include "mutate.h"
#include "archive.h"
#include "keras/zip.h"

#include <stdlib.h>

size_t LLVMFuzzerMutate(uint8_t *data, size_t size, size_t max_size);
size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t max_size, unsigned seed);
size_t LLVMFuzzerCustomCrossOver(const uint8_t *data1, size_t size1, const uint8_t *data2,
                                 size_t size2, uint8_t *out, size_t max_size, unsigned seed);

enum { MEMBERS_MAX = 16, MEMBER_BYTES_MAX = 1 << 20 };

static bool is_archive(const uint8_t *data, size_t size)
{
    return size >= 4 && memcmp(data, "PK\3\4", 4) == 0;
}

/* ---- text within HDF5: it has a fixed room ---- */

/* The longest room for JSON that begins as a model does. */
static const char *find_text(const uint8_t *data, size_t size, size_t *room)
{
    static const char begin[] = "{\"class_name\"", begin3[] = "{\"module\"";
    const char *at = memmem(data, size, begin, sizeof begin - 1);
    json_error_t error;
    if (at == NULL)
        at = memmem(data, size, begin3, sizeof begin3 - 1);
    if (at == NULL)
        return NULL;
    json_t *v =
        json_loadb(at, size - (size_t)(at - (const char *)data), JSON_DISABLE_EOF_CHECK, &error);
    *room = v != NULL ? (size_t)error.position : 0;
    json_decref(v);
    return v != NULL ? at : NULL;
}

static size_t mutate_hdf5(kp_rng *r, uint8_t *data, size_t size, const char *other,
                          size_t other_size)
{
    size_t room;
    const char *text = find_text(data, size, &room);
    if (text == NULL || kp_rng_pick(r, 3) == 0) {
        kp_mutate_h5(r, data, size);
        return size;
    }
    char *changed = kp_mutate_json(r, text, room, other, other_size);
    size_t n = changed != NULL ? strlen(changed) : 0;
    if (n > 0 && n <= room) {
        uint8_t *to = data + ((const uint8_t *)text - data);
        memset(to, ' ', room);
        memcpy(to, changed, n);
    }
    free(changed);
    return size;
}

/* ---- archives ---- */

typedef struct parts {
    archive_member member[MEMBERS_MAX];
    uint8_t *owned[MEMBERS_MAX];
    size_t n;
} parts;

static bool take_apart(kp_zip *z, parts *p)
{
    for (int i = 0; i < kp_zip_count(z) && p->n < MEMBERS_MAX; i++) {
        const uint8_t *data;
        size_t size;
        if (kp_zip_read(z, i, MEMBER_BYTES_MAX, &data, &size) != 0)
            return false;
        uint8_t *copy = malloc(size + 1);
        if (copy == NULL)
            abort();
        memcpy(copy, data, size);
        p->owned[p->n] = copy;
        p->member[p->n++] = (archive_member){.name = kp_zip_name(z, i), .data = copy, .size = size};
    }
    return p->n > 0;
}

static archive_member *find(parts *p, const char *name)
{
    for (size_t i = 0; i < p->n; i++) {
        if (strcmp(p->member[i].name, name) == 0)
            return &p->member[i];
    }
    return NULL;
}

static void change_config(kp_rng *r, parts *p, const char *other, size_t other_size)
{
    archive_member *m = find(p, "config.json");
    char *text = m != NULL ? kp_mutate_json(r, m->data, m->size, other, other_size) : NULL;
    if (text == NULL)
        return;
    free(p->owned[m - p->member]);
    p->owned[m - p->member] = (uint8_t *)text;
    m->data = text;
    m->size = strlen(text);
}

static void change_version(kp_rng *r, parts *p)
{
    static const char *const texts[] = {
        "{\"keras_version\": \"3.0.5\"}", "{\"keras_version\": \"3.15.1\"}",
        "{\"keras_version\": \"2.15.0\"}", "{\"keras_version\": \"2.13.1\"}"};
    archive_member *m = find(p, "metadata.json");
    if (m != NULL) {
        m->data = texts[kp_rng_pick(r, sizeof texts / sizeof *texts)];
        m->size = strlen(m->data);
    }
}

static void change_parts(kp_rng *r, parts *p, const char *other, size_t other_size)
{
    size_t what = kp_rng_pick(r, 16);
    if (other != NULL || what < 11) {
        change_config(r, p, other, other_size);
    } else if (what == 11) {
        change_version(r, p);
    } else {
        archive_member *m = what < 15 ? find(p, "model.weights.h5") : NULL;
        if (m == NULL)
            m = &p->member[kp_rng_pick(r, p->n)];
        for (size_t i = 1 + kp_rng_pick(r, 3); m->data == p->owned[m - p->member] && i > 0; i--)
            kp_mutate_h5(r, p->owned[m - p->member], m->size);
    }
}

/* 0 if the archive cannot be taken apart or what comes out is too large. */
static size_t mutate_archive(kp_rng *r, uint8_t *data, size_t size, size_t max_size,
                             const char *other, size_t other_size)
{
    kp_zip *z;
    parts p = {.n = 0};
    kp_buf out = {0};
    size_t done = 0;
    if (kp_zip_open(&z, data, size) != 0)
        return 0;
    if (take_apart(z, &p)) {
        change_parts(r, &p, other, other_size);
        archive_write(&out, p.member, p.n);
        if (out.len <= max_size) {
            memcpy(data, out.data, out.len);
            done = out.len;
        }
    }
    kp_buf_free(&out);
    for (size_t i = 0; i < p.n; i++)
        free(p.owned[i]);
    kp_zip_close(&z);
    return done;
}

static size_t mutate(kp_rng *r, uint8_t *data, size_t size, size_t max_size, const char *other,
                     size_t other_size)
{
    if (!is_archive(data, size))
        return mutate_hdf5(r, data, size, other, other_size);
    return mutate_archive(r, data, size, max_size, other, other_size);
}

size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t max_size, unsigned seed)
{
    kp_rng r = {seed};
    size_t n = kp_rng_pick(&r, 24) == 0 ? 0 : mutate(&r, data, size, max_size, NULL, 0);
    return n > 0 ? n : LLVMFuzzerMutate(data, size, max_size);
}

/* A layer of the second model comes into the first. */
size_t LLVMFuzzerCustomCrossOver(const uint8_t *data1, size_t size1, const uint8_t *data2,
                                 size_t size2, uint8_t *out, size_t max_size, unsigned seed)
{
    kp_rng r = {seed};
    kp_zip *z = NULL;
    const uint8_t *text = NULL;
    size_t size = 0;
    int member;
    if (size1 > max_size)
        return 0;
    memcpy(out, data1, size1);
    if (!is_archive(data2, size2))
        text = (const uint8_t *)find_text(data2, size2, &size);
    else if (kp_zip_open(&z, data2, size2) == 0 && kp_zip_find(z, "config.json", &member) == 0 &&
             kp_zip_read(z, member, MEMBER_BYTES_MAX, &text, &size) != 0)
        text = NULL;
    size_t n = text != NULL ? mutate(&r, out, size1, max_size, (const char *)text, size) : 0;
    kp_zip_close(&z);
    return n > 0 ? n : size1;
}
