/* Archives: what is read, and what must be refused. */
#include "keras/zip.h"

#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zlib.h>

#include <cmocka.h>

#include "archive.h"

/* Bytes that deflate can shrink a little. */
static void fill(uint8_t *bytes, size_t n)
{
    uint32_t x = 12345;
    for (size_t i = 0; i < n; i++) {
        x = x * 1664525 + 1013904223;
        bytes[i] = (uint8_t)((x >> 24) & 0x3f);
    }
}

static int read_named(const kp_buf *bytes, const char *name, size_t limit, const uint8_t **data,
                      size_t *size, kp_zip **z)
{
    int i;
    KP_TRY(kp_zip_open(z, (const uint8_t *)bytes->data, bytes->len));
    KP_TRY(kp_zip_find(*z, name, &i));
    return kp_zip_read(*z, i, limit, data, size);
}

static void stored_and_deflated(void **state)
{
    (void)state;
    uint8_t plain[5003];
    fill(plain, sizeof plain);
    kp_buf packed = {0}, zip = {0};
    archive_deflate(&packed, plain, sizeof plain);
    assert_true(packed.len < sizeof plain);
    const archive_member members[] = {
        {.name = "dir/"},
        {.name = "dir/stored", .data = plain, .size = sizeof plain},
        {.name = "packed",
         .data = packed.data,
         .size = packed.len,
         .method = 8,
         .true_size = sizeof plain,
         .crc = (uint32_t)crc32_z(0, plain, sizeof plain)},
    };
    archive_write(&zip, members, 3);
    kp_zip *z = NULL;
    const uint8_t *data;
    size_t size;
    assert_int_equal(read_named(&zip, "dir/stored", SIZE_MAX, &data, &size, &z), 0);
    assert_int_equal(size, sizeof plain);
    assert_memory_equal(data, plain, size);
    /* In place: a pointer into the archive. */
    assert_true((const char *)data > zip.data && (const char *)data < zip.data + zip.len);
    int i;
    assert_int_equal(kp_zip_find(z, "packed", &i), 0);
    assert_int_equal(kp_zip_read(z, i, sizeof plain - 1, &data, &size), KP_EMODEL);
    assert_non_null(strstr(kp_errmsg(), "more than the 5002 allowed"));
    assert_int_equal(kp_zip_read(z, i, sizeof plain, &data, &size), 0);
    assert_memory_equal(data, plain, size);
    assert_int_equal(kp_zip_find(z, "nothing", &i), KP_ENOTFOUND);
    assert_int_equal(kp_zip_count(z), 3);
    kp_zip_close(&z);
    kp_buf_free(&packed);
    kp_buf_free(&zip);
}

struct refusal {
    const char *text;
    archive_member members[2];
    size_t n;
};

static void refused(void **state)
{
    (void)state;
    uint8_t plain[300];
    fill(plain, sizeof plain);
    const struct refusal rows[] = {
        {"is encrypted", {{.name = "a", .data = plain, .size = 9, .flags = 1}}, 1},
        {"method 12", {{.name = "a", .data = plain, .size = 9, .method = 12, .crc = 1}}, 1},
        {"two members named \"a/b\"",
         {{.name = "a/b", .data = plain, .size = 9}, {.name = "a\\b", .data = plain, .size = 5}},
         2},
        {"absolute name", {{.name = "/etc/passwd", .data = plain, .size = 9}}, 1},
        {"absolute name", {{.name = "c:\\x", .data = plain, .size = 9}}, 1},
        {"leaves its folder", {{.name = "a/../../b", .data = plain, .size = 9}}, 1},
        {"leaves its folder", {{.name = "..\\b", .data = plain, .size = 9}}, 1},
        {"leaves its folder", {{.name = "a/..", .data = plain, .size = 9}}, 1},
        {"is a link",
         {{.name = "a", .data = plain, .size = 9, .attributes = (S_IFLNK | 0777u) << 16}},
         1},
        {"two different sizes", {{.name = "a", .data = plain, .size = 9, .true_size = 90}}, 1},
        {"decompression bomb",
         {{.name = "a",
           .data = plain,
           .size = 300,
           .method = 8,
           .true_size = 4000000000u,
           .crc = 1}},
         1},
        {"checksum differs", {{.name = "a", .data = plain, .size = 9, .crc = 5}}, 1},
        {"another name in its header",
         {{.name = "a", .data = plain, .size = 9, .local_name = "b"}},
         1},
        {"could not unpack",
         {{.name = "a", .data = plain, .size = 300, .method = 8, .true_size = 1000, .crc = 1}},
         1},
        {"damaged header", {{.name = "a", .data = plain, .size = 9, .local_name = "longer"}}, 1},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        kp_buf zip = {0};
        kp_zip *z = NULL;
        const uint8_t *data;
        size_t size;
        archive_write(&zip, rows[i].members, rows[i].n);
        int status = read_named(&zip, "a", SIZE_MAX, &data, &size, &z);
        if (status != KP_EMODEL || strstr(kp_errmsg(), rows[i].text) == NULL)
            fail_msg("row %zu: status %d, \"%s\" lacks \"%s\"", i, status, kp_errmsg(),
                     rows[i].text);
        kp_zip_close(&z);
        kp_buf_free(&zip);
    }
}

/* A member may say less than it holds: no more than it says is unpacked. */
static void longer_than_it_says(void **state)
{
    (void)state;
    static uint8_t plain[100000];
    kp_buf packed = {0}, zip = {0};
    archive_deflate(&packed, plain, sizeof plain);
    const archive_member m = {.name = "a",
                              .data = packed.data,
                              .size = packed.len,
                              .method = 8,
                              .true_size = 1000,
                              .crc = (uint32_t)crc32_z(0, plain, sizeof plain)};
    archive_write(&zip, &m, 1);
    kp_zip *z = NULL;
    const uint8_t *data;
    size_t size;
    assert_int_equal(read_named(&zip, "a", SIZE_MAX, &data, &size, &z), KP_EMODEL);
    assert_non_null(strstr(kp_errmsg(), "could not unpack"));
    kp_zip_close(&z);
    kp_buf_free(&packed);
    kp_buf_free(&zip);
}

/* Any cut: refused, or the member is whole. */
static void truncated(void **state)
{
    (void)state;
    uint8_t plain[700];
    fill(plain, sizeof plain);
    kp_buf zip = {0};
    const archive_member members[] = {{.name = "x", .data = plain, .size = 100},
                                      {.name = "a", .data = plain, .size = sizeof plain}};
    archive_write(&zip, members, 2);
    for (size_t n = 0; n < zip.len; n++) {
        /* A copy of its own, so that a read behind the end is seen. */
        uint8_t *cut = malloc(n + 1);
        memcpy(cut, zip.data, n);
        kp_buf part = {.data = (char *)cut, .len = n};
        kp_zip *z = NULL;
        const uint8_t *data;
        size_t size;
        int status = read_named(&part, "a", SIZE_MAX, &data, &size, &z);
        if (status != KP_EMODEL && status != KP_ENOTFOUND)
            fail_msg("cut at %zu of %zu: %d", n, zip.len, status);
        assert_true(strlen(kp_errmsg()) > 10);
        kp_zip_close(&z);
        free(cut);
    }
    kp_buf_free(&zip);
}

/* ---- beyond 4 GiB ---- */

static void put(kp_buf *b, uint64_t value, int bytes)
{
    for (int i = 0; i < bytes; i++) {
        uint8_t byte = (uint8_t)(i < 8 ? value >> (8 * i) : 0);
        kp_buf_add(b, &byte, 1);
    }
}

/* A header (signature "PK\3\4") or an entry of the directory ("PK\1\2") whose sizes, and in an
 * entry the offset too, are in a 64-bit extra field. */
static void put_member(kp_buf *b, bool entry, const char *name, uint64_t size, uint64_t offset,
                       uint32_t crc)
{
    kp_buf_puts(b, entry ? "PK\1\2" : "PK\3\4");
    if (entry)
        put(b, 45, 2);
    put(b, 45, 2);
    put(b, 0, 8);
    put(b, crc, 4);
    put(b, UINT32_MAX, 4);
    put(b, UINT32_MAX, 4);
    put(b, strlen(name), 2);
    put(b, entry ? 28 : 20, 2);
    if (entry) {
        put(b, 0, 10);
        put(b, UINT32_MAX, 4);
    }
    kp_buf_puts(b, name);
    put(b, 1, 2);
    put(b, entry ? 24 : 16, 2);
    put(b, size, 8);
    put(b, size, 8);
    if (entry)
        put(b, offset, 8);
}

/* The directory's 64-bit end record, its locator and the old one that points nowhere. */
static void put_end64(kp_buf *b, uint64_t entries, uint64_t start, uint64_t end)
{
    kp_buf_puts(b, "PK\6\6");
    put(b, 44, 8);
    put(b, 45, 2);
    put(b, 45, 2);
    put(b, 0, 8);
    put(b, entries, 8);
    put(b, entries, 8);
    put(b, end - start, 8);
    put(b, start, 8);
    kp_buf_puts(b, "PK\6\7");
    put(b, 0, 4);
    put(b, end, 8);
    put(b, 1, 4);
    kp_buf_puts(b, "PK\5\6");
    put(b, 0, 4);
    put(b, UINT16_MAX, 2);
    put(b, UINT16_MAX, 2);
    put(b, UINT32_MAX, 4);
    put(b, UINT32_MAX, 4);
    put(b, 0, 2);
}

static void write_at(int fd, uint64_t at, const kp_buf *b)
{
    assert_int_equal(pwrite(fd, b->data, b->len, (off_t)at), b->len);
}

/* A member of 4.5 GiB of nothing (a hole in the file) with one behind it. */
static void beyond_4_gib(void **state)
{
    (void)state;
    const uint64_t big = 4500ull << 20;
    char path[512];
    snprintf(path, sizeof path, "%s", archive_file("big.zip", "", 0));
    int fd = open(path, O_RDWR);
    assert_true(fd >= 0);
    kp_buf head = {0}, tail = {0};
    put_member(&head, false, "big", big, 0, 7);
    write_at(fd, 0, &head);
    uint64_t second = head.len + big;
    put_member(&tail, false, "small", 5, 0, 0);
    kp_buf_puts(&tail, "hello");
    uint64_t start = second + tail.len;
    put_member(&tail, true, "big", big, 0, 7);
    put_member(&tail, true, "small", 5, second, (uint32_t)crc32_z(0, (const uint8_t *)"hello", 5));
    put_end64(&tail, 2, start, second + tail.len);
    write_at(fd, second, &tail);
    close(fd);
    kp_map map;
    kp_zip *z = NULL;
    const uint8_t *data;
    size_t size;
    int i;
    assert_int_equal(kp_map_open(&map, path), 0);
    if (kp_zip_open(&z, map.data, map.size) != 0)
        fail_msg("%s", kp_errmsg());
    assert_int_equal(kp_zip_find(z, "big", &i), 0);
    assert_int_equal(kp_zip_read(z, i, SIZE_MAX, &data, &size), 0);
    assert_int_equal(size, big);
    assert_ptr_equal(data, map.data + head.len);
    assert_true(kp_zip_is_unchecked(z, i));
    assert_int_equal(kp_zip_find(z, "small", &i), 0);
    /* The small one's own header says 0 where the directory has the checksum: only that counts. */
    assert_int_equal(kp_zip_read(z, i, SIZE_MAX, &data, &size), 0);
    assert_int_equal(size, 5);
    assert_memory_equal(data, "hello", 5);
    kp_zip_close(&z);
    kp_map_close(&map);
    unlink(path);
    kp_buf_free(&head);
    kp_buf_free(&tail);
}

/* A 64-bit archive with any of its bytes changed is read, or refused; never read beyond. */
static void damaged_64(void **state)
{
    (void)state;
    kp_buf zip = {0};
    put_member(&zip, false, "a", 5, 0, 0);
    kp_buf_puts(&zip, "hello");
    uint64_t start = zip.len;
    put_member(&zip, true, "a", 5, 0, (uint32_t)crc32_z(0, (const uint8_t *)"hello", 5));
    put_end64(&zip, 1, start, zip.len);
    kp_zip *z = NULL;
    const uint8_t *data;
    size_t size;
    assert_int_equal(read_named(&zip, "a", SIZE_MAX, &data, &size, &z), 0);
    kp_zip_close(&z);
    int refusals = 0;
    for (size_t at = 0; at < zip.len; at++) {
        for (int bit = 0; bit < 8; bit++) {
            uint8_t *copy = malloc(zip.len);
            memcpy(copy, zip.data, zip.len);
            copy[at] ^= (uint8_t)(1 << bit);
            kp_buf other = {.data = (char *)copy, .len = zip.len};
            int status = read_named(&other, "a", 1 << 20, &data, &size, &z);
            if (status == 0)
                assert_memory_equal(data, "hello", 5);
            refusals += status != 0;
            kp_zip_close(&z);
            free(copy);
        }
    }
    /* Free to differ: version numbers, times, attributes. */
    assert_true(refusals > (int)zip.len * 5);
    kp_buf_free(&zip);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(stored_and_deflated), cmocka_unit_test(refused),
        cmocka_unit_test(longer_than_it_says), cmocka_unit_test(truncated),
        cmocka_unit_test(beyond_4_gib),        cmocka_unit_test(damaged_64),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
