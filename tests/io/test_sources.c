/*
 * What goes in: the order of folders, lists, and arrays that the real NumPy wrote (make_arrays.py
 * tells the values).
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>
#include <fcntl.h>
#include <math.h>
#include <sys/stat.h>
#include <unistd.h>

#include "io/io.h"

#define DATA KP_SOURCE_DIR "/tests/io/data/"
enum { ROWS = 7, ELEMS = 6 };

static char dir[64];

static int make_dir(void **state)
{
    (void)state;
    snprintf(dir, sizeof dir, "/tmp/kp-test-io-XXXXXX");
    return mkdtemp(dir) != NULL ? 0 : -1;
}

static int remove_dir(void **state)
{
    (void)state;
    char command[100];
    snprintf(command, sizeof command, "rm -rf %s", dir);
    return system(command);
}

static const char *path_of(const char *name)
{
    static char path[4][600];
    static int at;
    at = (at + 1) % 4;
    snprintf(path[at], sizeof path[at], "%s/%s", dir, name);
    return path[at];
}

static void put_file(const char *name, const void *data, size_t n)
{
    FILE *f = fopen(path_of(name), "wb");
    assert_non_null(f);
    assert_int_equal(fwrite(data, 1, n, f), n);
    assert_int_equal(fclose(f), 0);
}

static void put_text(const char *name, const char *text)
{
    put_file(name, text, strlen(text));
}

/* ---- names ---- */

static void names_sort_as_python_sorts(void **state)
{
    (void)state;
    /* sorted(map(os.fsdecode, ...)): a byte that is not UTF-8 stands at U+DC80 + (byte - 0x80),
     * which is behind U+D7FF and before U+E000. */
    static const char *const sorted[] = {"",
                                         ".x",
                                         "A",
                                         "a",
                                         "a b",
                                         "a-c",
                                         "a/x",
                                         "a0",
                                         "aa",
                                         "\xc3\xa9",
                                         "\xed\x9f\xbf",
                                         "\x80",
                                         "\xff",
                                         "\xff"
                                         "a",
                                         "\xee\x80\x80",
                                         "\xf0\x9f\x90\xb1"};
    size_t n = sizeof sorted / sizeof *sorted;
    for (size_t i = 0; i < n; i++) {
        for (size_t j = 0; j < n; j++) {
            int c = kp_name_compare(sorted[i], sorted[j]);
            assert_int_equal((c > 0) - (c < 0), (i > j) - (i < j));
        }
    }
}

static void images_are_known_by_their_ending(void **state)
{
    (void)state;
    assert_true(kp_name_is_image("a.JpG"));
    assert_true(kp_name_is_image(".jpeg"));
    assert_true(kp_name_is_image("x.WEBP"));
    assert_false(kp_name_is_image("jpg"));
    assert_false(kp_name_is_image("a.jpg.txt"));
    assert_false(kp_name_is_image("a.tiff"));
}

/* ---- folders and lists ---- */

static void expect_next(kp_paths *p, const char *path, int64_t class_index)
{
    kp_path_entry e;
    assert_int_equal(kp_paths_next(p, &e, 0), 0);
    assert_string_equal(e.path, path);
    assert_int_equal(e.class_index, class_index);
}

static void expect_end(kp_paths *p)
{
    kp_path_entry e;
    assert_int_equal(kp_paths_next(p, &e, 0), KP_EEND);
}

static void folders_come_in_path_order(void **state)
{
    (void)state;
    static const char *const folders[] = {"t",     "t/a",    "t/a b",  "t/a-c",
                                          "t/a/x", "t/.git", "t/empty"};
    for (size_t i = 0; i < sizeof folders / sizeof *folders; i++)
        assert_int_equal(mkdir(path_of(folders[i]), 0777), 0);
    static const char *const files[] = {"t/z.png",     "t/.h.jpg",     "t/a/2.jpg",
                                        "t/a/10.jpg",  "t/a/n.txt",    "t/a b/q.BMP",
                                        "t/a-c/q.gif", "t/a/x/q.webp", "t/.git/q.jpg"};
    for (size_t i = 0; i < sizeof files / sizeof *files; i++)
        put_text(files[i], "");
    assert_int_equal(symlink("nowhere", path_of("t/a/broken.png")), 0);
    assert_int_equal(symlink("..", path_of("t/a/x/loop")), 0);

    kp_paths *p;
    char typed[128], want[256];
    snprintf(typed, sizeof typed, "%s//", path_of("t"));
    assert_int_equal(kp_paths_new(&p), 0);
    assert_int_equal(kp_paths_add_folder(p, typed, false), 0);
    assert_int_equal(kp_paths_total(p), 9);
    static const struct {
        const char *name;
        int64_t class_index;
    } order[] = {{".h.jpg", -1},   {"z.png", -1},    {".git/q.jpg", -1},
                 {"a/10.jpg", 0},  {"a/2.jpg", 0},   {"a/broken.png", 0},
                 {"a b/q.BMP", 1}, {"a-c/q.gif", 2}, {"a/x/q.webp", 0}};
    for (size_t i = 0; i < sizeof order / sizeof *order; i++) {
        snprintf(want, sizeof want, "%s/t/%s", dir, order[i].name);
        expect_next(p, want, order[i].class_index);
    }
    expect_end(p);
    const char *const *classes;
    assert_int_equal(kp_paths_classes(p, &classes), 4);
    assert_string_equal(classes[0], "a");
    assert_string_equal(classes[3], "empty");
    kp_paths_free(&p);
}

/* A link to a folder above is followed once and not again. */
static void loops_of_links_end(void **state)
{
    (void)state;
    assert_int_equal(mkdir(path_of("l"), 0777), 0);
    assert_int_equal(mkdir(path_of("l/in"), 0777), 0);
    assert_int_equal(mkdir(path_of("other"), 0777), 0);
    put_text("l/in/a.png", "");
    put_text("other/b.png", "");
    assert_int_equal(symlink("..", path_of("l/in/up")), 0);
    assert_int_equal(symlink("../other", path_of("l/side")), 0);
    kp_paths *p;
    assert_int_equal(kp_paths_new(&p), 0);
    assert_int_equal(kp_paths_add_folder(p, path_of("l"), true), 0);
    expect_next(p, path_of("l/in/a.png"), 0);
    expect_next(p, path_of("l/side/b.png"), 1);
    expect_end(p);
    kp_paths_free(&p);
}

static void names_of_a_large_folder_are_held_small(void **state)
{
    (void)state;
    enum { FILES = 5000 };
    assert_int_equal(mkdir(path_of("many"), 0777), 0);
    for (int i = 0; i < FILES; i++) {
        char name[64];
        snprintf(name, sizeof name, "many/picture-%06d.jpg", i);
        put_text(name, "");
    }
    kp_paths *p;
    assert_int_equal(kp_paths_new(&p), 0);
    assert_int_equal(kp_paths_add_folder(p, path_of("many"), false), 0);
    assert_int_equal(kp_paths_total(p), FILES);
    assert_true(kp_paths_bytes(p) < FILES * 30);
    kp_paths_free(&p);
}

static void lists_are_lines(void **state)
{
    (void)state;
    put_text("list", "a.jpg\n\nb c.png\r\nlast");
    put_file("list0", "x\ny\0\0z", 6);
    kp_paths *p;
    assert_int_equal(kp_paths_new(&p), 0);
    assert_int_equal(kp_paths_add_file(p, "single.png"), 0);
    assert_int_equal(kp_paths_total(p), 1);
    assert_int_equal(kp_paths_add_list(p, path_of("list"), false), 0);
    assert_int_equal(kp_paths_add_list(p, path_of("list0"), true), 0);
    assert_int_equal(kp_paths_total(p), -1);
    expect_next(p, "single.png", -1);
    expect_next(p, "a.jpg", -1);
    expect_next(p, "b c.png", -1);
    expect_next(p, "last", -1);
    expect_next(p, "x\ny", -1);
    expect_next(p, "z", -1);
    expect_end(p);
    kp_paths_free(&p);
}

/* A line longer than the buffer is one entry, cut; the next line is whole. */
static void a_line_of_a_megabyte_is_one_entry(void **state)
{
    (void)state;
    char *text = malloc(1 << 20);
    memset(text, 'x', 1 << 20);
    memcpy(text + (1 << 20) - 6, "\nnext\n", 6);
    put_file("long", text, 1 << 20);
    free(text);
    kp_paths *p;
    kp_path_entry e;
    assert_int_equal(kp_paths_new(&p), 0);
    assert_int_equal(kp_paths_add_list(p, path_of("long"), false), 0);
    assert_int_equal(kp_paths_next(p, &e, 0), 0);
    assert_int_equal(strlen(e.path), 65536);
    expect_next(p, "next", -1);
    expect_end(p);
    kp_paths_free(&p);
}

static void a_silent_pipe_does_not_hold_the_caller(void **state)
{
    (void)state;
    assert_int_equal(mkfifo(path_of("pipe"), 0600), 0);
    int fd = open(path_of("pipe"), O_RDWR);
    kp_paths *p;
    kp_path_entry e;
    assert_int_equal(kp_paths_new(&p), 0);
    assert_int_equal(kp_paths_add_list(p, path_of("pipe"), false), 0);
    assert_int_equal(kp_paths_next(p, &e, 0), KP_EAGAIN);
    assert_int_equal(write(fd, "half", 4), 4);
    assert_int_equal(kp_paths_next(p, &e, 0), KP_EAGAIN);
    assert_int_equal(write(fd, "-line\n", 6), 6);
    expect_next(p, "half-line", -1);
    close(fd);
    expect_end(p);
    kp_paths_free(&p);
}

static void inputs_are_told_apart(void **state)
{
    (void)state;
    kp_input_kind kind;
    put_text("what.txt", "hello");
    put_text("png-without-ending", "\x89PNG\r\n\x1a\n....");
    assert_int_equal(kp_input_detect(dir, &kind), 0);
    assert_int_equal(kind, KP_INPUT_FOLDER);
    assert_int_equal(kp_input_detect(path_of("png-without-ending"), &kind), 0);
    assert_int_equal(kind, KP_INPUT_IMAGE);
    assert_int_equal(kp_input_detect(DATA "stored.npz", &kind), 0);
    assert_int_equal(kind, KP_INPUT_NPZ);
    assert_int_equal(kp_input_detect(path_of("what.txt"), &kind), KP_EUSAGE);
    assert_int_equal(kp_input_detect(path_of("missing.npy"), &kind), KP_EIO);
}

/* ---- arrays ---- */

static double expected(int64_t row, size_t e, bool bits)
{
    int v = (int)((row * ELEMS + (int64_t)e) * 3 % 101);
    return bits ? v & 1 : v;
}

/* Reads all rows as float64 in steps of `step` rows, the first `skip` passed over. */
static void check_rows(kp_array *a, bool bits, int64_t step, int64_t skip)
{
    double rows[ROWS * ELEMS];
    int64_t at = skip, n;
    uint64_t skipped;
    kp_row_problem problem;
    assert_int_equal(kp_array_skip(a, (uint64_t)skip, &skipped), 0);
    assert_int_equal(skipped, skip);
    while (kp_array_read(a, KP_FLOAT64, rows, step, &n, &problem) == 0) {
        assert_int_equal(problem.error, KP_ITEM_OK);
        for (int64_t r = 0; r < n; r++) {
            for (size_t e = 0; e < ELEMS; e++)
                assert_true(rows[(size_t)r * ELEMS + e] == expected(at + r, e, bits));
        }
        at += n;
    }
    assert_int_equal(at, ROWS);
}

static void check_npy(const char *name, kp_dtype dtype)
{
    char path[600];
    snprintf(path, sizeof path, DATA "%s", name);
    for (int64_t step = 1; step <= ROWS; step += 2) {
        kp_array *a;
        assert_int_equal(kp_array_open_npy(&a, path), 0);
        const kp_array_info *info = kp_array_describe(a);
        assert_int_equal(info->dtype, dtype);
        assert_int_equal(info->n_rows, ROWS);
        assert_int_equal(info->ndim, 2);
        assert_int_equal(info->shape[0], 2);
        assert_int_equal(info->shape[1], 3);
        assert_int_equal(kp_array_row_bytes(a, KP_DTYPE_NONE), ELEMS * kp_dtype_size(dtype));
        check_rows(a, dtype == KP_BOOL, step, step / 2);
        kp_array_close(&a);
    }
}

static void every_type_order_and_layout_is_read(void **state)
{
    (void)state;
    static const struct {
        const char *code;
        kp_dtype dtype;
    } types[] = {{"b1", KP_BOOL},   {"i1", KP_INT8},    {"i2", KP_INT16},   {"i4", KP_INT32},
                 {"i8", KP_INT64},  {"u1", KP_UINT8},   {"u2", KP_UINT16},  {"u4", KP_UINT32},
                 {"u8", KP_UINT64}, {"f2", KP_FLOAT16}, {"f4", KP_FLOAT32}, {"f8", KP_FLOAT64}};
    static const char *const kinds[] = {"le_C", "le_F", "be_C", "be_F"};
    for (size_t t = 0; t < sizeof types / sizeof *types; t++) {
        for (size_t k = 0; k < 4; k++) {
            char name[40];
            snprintf(name, sizeof name, "%s_%s.npy", types[t].code, kinds[k]);
            check_npy(name, types[t].dtype);
        }
    }
    check_npy("version_2.npy", KP_FLOAT32);
    check_npy("version_3.npy", KP_FLOAT32);
}

static void members_of_an_npz_are_arrays(void **state)
{
    (void)state;
    static const char *const files[] = {DATA "stored.npz", DATA "deflated.npz"};
    for (size_t f = 0; f < 2; f++) {
        for (int64_t step = 1; step < ROWS; step += 4) {
            kp_array **arrays;
            size_t n;
            assert_int_equal(kp_array_open_npz(&arrays, &n, files[f]), 0);
            assert_int_equal(n, 2);
            assert_string_equal(kp_array_describe(arrays[0])->name, "first");
            assert_string_equal(kp_array_describe(arrays[1])->name, "second");
            assert_int_equal(kp_array_describe(arrays[1])->dtype, KP_INT16);
            check_rows(arrays[1], false, step, 2);
            check_rows(arrays[0], false, step, 3);
            kp_array_close(&arrays[0]);
            kp_array_close(&arrays[1]);
            kp_free(arrays);
        }
    }
}

static void text_becomes_utf8(void **state)
{
    (void)state;
    static const char *const words[] = {"", "cat", "dög", "鳥", "owl"};
    static const char *const files[] = {DATA "text_u_le.npy", DATA "text_u_be.npy"};
    for (size_t f = 0; f < 2; f++) {
        kp_array *a;
        char rows[5][12];
        int64_t n;
        kp_row_problem problem;
        assert_int_equal(kp_array_open_npy(&a, files[f]), 0);
        assert_int_equal(kp_array_describe(a)->dtype, KP_STRING);
        assert_int_equal(kp_array_describe(a)->string_bytes, 12);
        assert_int_equal(kp_array_read(a, KP_DTYPE_NONE, rows, 5, &n, &problem), 0);
        for (int i = 0; i < 5; i++)
            assert_string_equal(rows[i], words[i]);
        assert_int_equal(kp_array_read(a, KP_FLOAT32, rows, 5, &n, &problem), KP_ESHAPE);
        kp_array_close(&a);
    }
}

static void refuse_npy(const char *name, int status, const char *word)
{
    kp_array *a;
    char path[600];
    snprintf(path, sizeof path, name[0] == '/' ? "%s" : DATA "%s", name);
    assert_int_equal(kp_array_open_npy(&a, path), status);
    assert_null(a);
    assert_non_null(strstr(kp_errmsg(), word));
}

static void bad_arrays_are_refused_in_words(void **state)
{
    (void)state;
    refuse_npy("no_axis.npy", KP_EUSAGE, "without an axis");
    refuse_npy("objects.npy", KP_EUSAGE, "object");
    refuse_npy("records.npy", KP_EUSAGE, "fields");
    refuse_npy("complex.npy", KP_EUSAGE, "c8");
    put_text("not.npy", "this is not an array at all");
    refuse_npy(path_of("not.npy"), KP_EFORMAT, "not an NPY");
    put_text("zero.npy", "");
    refuse_npy(path_of("zero.npy"), KP_EFORMAT, "ends within");
    kp_map whole;
    assert_int_equal(kp_map_open(&whole, DATA "f8_le_C.npy"), 0);
    put_file("cut.npy", whole.data, whole.size - 1);
    kp_map_close(&whole);
    refuse_npy(path_of("cut.npy"), KP_EFORMAT, "cut short");
    kp_array **arrays;
    size_t n;
    assert_int_equal(kp_array_open_npz(&arrays, &n, path_of("not.npy")), KP_EFORMAT);
}

/* A file that someone cuts short while it is read is an error, not the end of the process. */
static void a_shrinking_file_is_an_error(void **state)
{
    (void)state;
    kp_map whole;
    assert_int_equal(kp_map_open(&whole, DATA "f8_le_C.npy"), 0);
    put_file("shrink.npy", whole.data, whole.size);
    kp_array *a;
    double rows[ROWS * ELEMS];
    int64_t n;
    kp_row_problem problem;
    assert_int_equal(kp_array_open_npy(&a, path_of("shrink.npy")), 0);
    assert_int_equal(truncate(path_of("shrink.npy"), (off_t)whole.size - 100), 0);
    kp_map_close(&whole);
    assert_int_equal(kp_array_read(a, KP_DTYPE_NONE, rows, ROWS, &n, &problem), KP_EIO);
    assert_non_null(strstr(kp_errmsg(), "shorter"));
    kp_array_close(&a);
}

static void csv_rows_are_numbers(void **state)
{
    (void)state;
    put_text("x.csv", "\xef\xbb\xbf"
                      "1,2.5,-3e2\r\n\n \"4\" , ,\"6\"\n7,x,9\n7,8\n7,8,9,10\n10,11,nan");
    kp_array *a;
    double rows[8 * 3];
    int64_t n;
    kp_row_problem problem;
    assert_int_equal(kp_array_open_csv(&a, path_of("x.csv"), false), 0);
    assert_int_equal(kp_array_describe(a)->shape[0], 3);
    assert_int_equal(kp_array_describe(a)->n_rows, -1);
    assert_int_equal(kp_array_read(a, KP_FLOAT64, rows, 1, &n, &problem), 0);
    assert_int_equal(n, 1);
    assert_true(rows[0] == 1 && rows[1] == 2.5 && rows[2] == -300);
    assert_int_equal(kp_array_read(a, KP_FLOAT64, rows, 8, &n, &problem), 0);
    assert_int_equal(n, 1);
    assert_true(rows[0] == 4 && isnan(rows[1]) && rows[2] == 6);
    assert_int_equal(problem.error, KP_ITEM_DECODE);
    assert_string_equal(problem.message, "line 4: field 2 is not a number");
    for (int i = 0; i < 2; i++) {
        assert_int_equal(kp_array_read(a, KP_FLOAT64, rows, 8, &n, &problem), 0);
        assert_int_equal(n, 0);
        assert_int_equal(problem.error, KP_ITEM_SHAPE);
    }
    assert_string_equal(problem.message, "line 6: 4 fields instead of 3");
    assert_int_equal(kp_array_read(a, KP_FLOAT64, rows, 8, &n, &problem), 0);
    assert_int_equal(n, 1);
    assert_true(rows[0] == 10 && isnan(rows[2]));
    assert_int_equal(kp_array_read(a, KP_FLOAT64, rows, 8, &n, &problem), KP_EEND);
    kp_array_close(&a);
}

static void csv_headers_are_asked_for(void **state)
{
    (void)state;
    put_text("h.csv", "a,\"b\nc\"\n1,2\n3,4\n");
    kp_array *a;
    double rows[4];
    int64_t n;
    uint64_t skipped;
    kp_row_problem problem;
    assert_int_equal(kp_array_open_csv(&a, path_of("h.csv"), false), 0);
    assert_int_equal(kp_array_as_numbers(a), KP_EUSAGE);
    assert_non_null(strstr(kp_errmsg(), "--header"));
    assert_int_equal(kp_array_read(a, KP_FLOAT64, rows, 2, &n, &problem), KP_EUSAGE);
    kp_array_close(&a);
    assert_int_equal(kp_array_open_csv(&a, path_of("h.csv"), true), 0);
    assert_int_equal(kp_array_skip(a, 1, &skipped), 0);
    assert_int_equal(kp_array_read(a, KP_FLOAT64, rows, 2, &n, &problem), 0);
    assert_int_equal(n, 1);
    assert_true(rows[0] == 3 && rows[1] == 4);
    kp_array_close(&a);
}

static void csv_rows_are_strings(void **state)
{
    (void)state;
    put_text("t.csv", "a,\"b, \"\"x\"\"\nc\"\n, longest of all\nonly\n");
    kp_array *a;
    char rows[2][2][15];
    int32_t width;
    int64_t n;
    kp_row_problem problem;
    assert_int_equal(kp_array_open_csv(&a, path_of("t.csv"), false), 0);
    assert_int_equal(kp_array_as_text(a, &width), 0);
    assert_int_equal(width, 15);
    assert_int_equal(kp_array_describe(a)->shape[0], 2);
    assert_int_equal(kp_array_read(a, KP_STRING, rows, 2, &n, &problem), 0);
    assert_int_equal(n, 2);
    assert_string_equal(rows[0][0], "a");
    assert_string_equal(rows[0][1], "b, \"x\"\nc");
    assert_string_equal(rows[1][0], "");
    assert_memory_equal(rows[1][1], " longest of all", 15);
    assert_int_equal(kp_array_read(a, KP_STRING, rows, 2, &n, &problem), 0);
    assert_int_equal(problem.error, KP_ITEM_SHAPE);
    kp_array_close(&a);
}

/* ---- labels ---- */

static void labels_are_lines_or_an_index(void **state)
{
    (void)state;
    kp_labels l;
    put_text("labels.txt", "cat\r\ndog, big\n\nowl\n");
    assert_int_equal(kp_labels_load(&l, path_of("labels.txt")), 0);
    assert_int_equal(l.n, 4);
    assert_string_equal(l.words[0], "cat");
    assert_string_equal(l.words[1], "dog, big");
    assert_int_equal(kp_labels_find(&l, "owl"), 3);
    assert_int_equal(kp_labels_find(&l, "cow"), -1);
    kp_labels_free(&l);
    put_text("index.json", "{\"1\": [\"n02\", \"dog\"], \"0\": [\"n01\", \"cat\"]}");
    assert_int_equal(kp_labels_load(&l, path_of("index.json")), 0);
    assert_int_equal(l.n, 2);
    assert_string_equal(l.words[1], "dog");
    assert_int_equal(kp_labels_find(&l, "n01"), 0);
    kp_labels_free(&l);
    put_text("index.json", "{\"0\": [\"n01\", \"cat\"], \"2\": [\"n02\", \"dog\"]}");
    assert_int_equal(kp_labels_load(&l, path_of("index.json")), KP_EFORMAT);
    put_text("labels.txt", "");
    assert_int_equal(kp_labels_load(&l, path_of("labels.txt")), KP_EFORMAT);
    assert_int_equal(kp_labels_load(&l, path_of("none")), KP_EIO);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, make_dir, remove_dir)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(names_sort_as_python_sorts),
        TEST(images_are_known_by_their_ending),
        TEST(folders_come_in_path_order),
        TEST(loops_of_links_end),
        TEST(names_of_a_large_folder_are_held_small),
        TEST(lists_are_lines),
        TEST(a_line_of_a_megabyte_is_one_entry),
        TEST(a_silent_pipe_does_not_hold_the_caller),
        TEST(inputs_are_told_apart),
        TEST(every_type_order_and_layout_is_read),
        TEST(members_of_an_npz_are_arrays),
        TEST(text_becomes_utf8),
        TEST(bad_arrays_are_refused_in_words),
        TEST(a_shrinking_file_is_an_error),
        TEST(csv_rows_are_numbers),
        TEST(csv_headers_are_asked_for),
        TEST(csv_rows_are_strings),
        TEST(labels_are_lines_or_an_index),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
