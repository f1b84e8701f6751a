/* The base folder: errors, sizes, arenas, buffers, types, scaling, words. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "base/base.h"

#include <math.h>
#include <stdlib.h>
#include <unistd.h>

static void errors_keep_text_and_status(void **state)
{
    (void)state;
    assert_int_equal(kp_fail(KP_EFORMAT, "layer \"%s\": %d", "a", 3), KP_EFORMAT);
    assert_string_equal(kp_errmsg(), "layer \"a\": 3");
    assert_int_equal(kp_fail_prefix(KP_EMODEL, "file %s", "m.keras"), KP_EMODEL);
    assert_string_equal(kp_errmsg(), "file m.keras: layer \"a\": 3");
    assert_string_equal(kp_status_name(KP_ESHAPE), "KP_ESHAPE");
    assert_string_equal(kp_status_name(77), "KP_E?");
    assert_string_equal(kp_item_error_name(KP_ITEM_TIMEOUT), "timeout");
}

static void sizes_overflow_safely(void **state)
{
    (void)state;
    size_t n;
    int64_t count;
    assert_false(kp_mul_size(SIZE_MAX / 2, 3, &n));
    assert_true(kp_mul_size(7, 6, &n));
    assert_int_equal(n, 42);
    assert_false(kp_add_size(SIZE_MAX, 1, &n));
    int64_t big[3] = {INT64_MAX / 2, 3, 1}, unknown[2] = {-1, 4}, good[3] = {2, 3, 5};
    assert_false(kp_shape_count(big, 3, &count));
    assert_false(kp_shape_count(unknown, 2, &count));
    assert_true(kp_shape_bytes(good, 3, KP_FLOAT64, &n));
    assert_int_equal(n, 240);
}

static void shapes_print_as_python_tuples(void **state)
{
    (void)state;
    char buf[KP_SHAPE_TEXT];
    int64_t shape[4] = {-1, 224, 224, 3};
    assert_string_equal(kp_shape_text(shape, 4, buf, sizeof buf), "(None, 224, 224, 3)");
    assert_string_equal(kp_shape_text(shape + 3, 1, buf, sizeof buf), "(3,)");
    assert_string_equal(kp_shape_text(shape, 0, buf, sizeof buf), "()");
    char tiny[6];
    assert_int_equal(strlen(kp_shape_text(shape, 4, tiny, sizeof tiny)), 5);
}

static void arena_aligns_zeroes_and_limits(void **state)
{
    (void)state;
    kp_arena *a;
    assert_int_equal(kp_arena_new(&a, 1 << 20), 0);
    for (size_t i = 1; i < 3000; i += 97) {
        unsigned char *p = kp_arena_alloc(a, i);
        assert_non_null(p);
        assert_int_equal((uintptr_t)p % 64, 0);
        for (size_t j = 0; j < i; j++)
            assert_int_equal(p[j], 0);
        memset(p, 0xff, i);
    }
    assert_null(kp_arena_alloc(a, 2 << 20));
    assert_non_null(strstr(kp_errmsg(), "limit"));
    assert_null(kp_arena_array(a, SIZE_MAX / 2, 4));
    assert_string_equal(kp_arena_printf(a, "%d-%s", 5, "x"), "5-x");
    kp_arena_free(&a);
    assert_null(a);
}

static void json_strings_are_what_python_reads(void **state)
{
    (void)state;
    kp_buf b = {0};
    const char *text = "a\"\\\n\x01\xc3\xa9\xff\xed\xa0\x80"; /* é, then bytes that are not UTF-8 */
    kp_buf_json_string(&b, text, strlen(text));
    assert_string_equal(b.data, "\"a\\\"\\\\\\n\\u0001\xc3\xa9\\udcff\\udced\\udca0\\udc80\"");
    kp_buf_free(&b);
}

static void halves_and_bfloats_round_to_even(void **state)
{
    (void)state;
    for (uint32_t h = 0; h < 65536; h++) {
        if ((h & 0x7c00) == 0x7c00 && (h & 1023) != 0)
            continue; /* NaN */
        assert_int_equal(kp_float_to_half(kp_half_to_float((uint16_t)h)), h);
        float f = kp_bfloat16_to_float((uint16_t)h);
        if (!isnan(f))
            assert_int_equal(kp_float_to_bfloat16(f), h);
    }
    assert_int_equal(kp_float_to_half(2049.0f), kp_float_to_half(2048.0f));
    assert_int_equal(kp_float_to_half(2051.0f), kp_float_to_half(2052.0f));
    assert_int_equal(kp_float_to_half(65519.0f), 0x7bff);
    assert_int_equal(kp_float_to_half(65520.0f), 0x7c00);
    assert_true(isnan(kp_half_to_float(kp_float_to_half(NAN))));
    assert_true(isnan(kp_bfloat16_to_float(kp_float_to_bfloat16(NAN))));
}

static void conversions_follow_astype(void **state)
{
    (void)state;
    double in[5] = {-3.9, 2.9, 255.0, NAN, 1e300};
    int32_t ints[5];
    float floats[5];
    uint8_t bools[5];
    assert_int_equal(kp_convert(KP_INT32, ints, KP_FLOAT64, in, 5), 0);
    assert_int_equal(ints[0], -3);
    assert_int_equal(ints[1], 2);
    assert_int_equal(kp_convert(KP_FLOAT32, floats, KP_FLOAT64, in, 5), 0);
    assert_true(isinf(floats[4]) && isnan(floats[3]));
    assert_int_equal(kp_convert(KP_BOOL, bools, KP_FLOAT64, in, 5), 0);
    assert_int_equal(bools[3], 1);
    uint64_t big = UINT64_MAX;
    double as_double;
    kp_convert(KP_FLOAT64, &as_double, KP_UINT64, &big, 1);
    assert_true(as_double == 18446744073709551616.0);
    assert_int_equal(kp_convert(KP_STRING, ints, KP_INT8, in, 1), KP_EUNSUPPORTED);
}

static void scaling_is_keras_preprocess_input(void **state)
{
    (void)state;
    kp_scaling s;
    assert_int_equal(kp_scaling_parse("tf", &s), 0);
    assert_true(kp_scaling_apply(&s, 100.0f, 1) == 100.0f / 127.5f - 1.0f);
    assert_int_equal(kp_scaling_parse("torch", &s), 0);
    assert_true(kp_scaling_apply(&s, 100.0f, 2) == (100.0f / 255.0f - 0.406f) / 0.225f);
    assert_int_equal(kp_scaling_parse("caffe", &s), 0);
    assert_true(s.reverse_channels && kp_scaling_apply(&s, 100.0f, 0) == 100.0f - 103.939f);
    assert_int_equal(kp_scaling_parse("scale=0.5,mean=1:2:3,std=2:4:8", &s), 0);
    assert_true(kp_scaling_apply(&s, 100.0f, 2) == (50.0f - 3.0f) / 8.0f);
    assert_int_equal(kp_scaling_parse("scale=2,mean=7", &s), 0);
    assert_true(s.n_channels == 0 && kp_scaling_apply(&s, 5.0f, 1) == 3.0f);
    static const char *const bad[] = {"",
                                      "Tf",
                                      "scale",
                                      "scale=",
                                      "scale=1:2",
                                      "mean=1:2:3:4:5",
                                      "mean=1:2,std=1:2:3",
                                      "std=0",
                                      "scale=nan",
                                      "scale=1,x=2",
                                      "mean=1::2"};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        assert_int_equal(kp_scaling_parse(bad[i], &s), KP_EUSAGE);
}

static void near_words_are_found(void **state)
{
    (void)state;
    static const char *const verbs[] = {"run", "summary", "inspect", "doctor"};
    assert_string_equal(kp_nearest_word("sumary", verbs, 4), "summary");
    assert_string_equal(kp_nearest_word("rum", verbs, 4), "run");
    assert_null(kp_nearest_word("frobnicate", verbs, 4));
}

static void maps_refuse_what_is_not_a_file(void **state)
{
    (void)state;
    kp_map m;
    assert_int_equal(kp_map_open(&m, "/"), KP_EIO);
    assert_non_null(strstr(kp_errmsg(), "directory"));
    assert_int_equal(kp_map_open(&m, "/no/such/file"), KP_EIO);
    char path[] = "/tmp/kp_test_base_XXXXXX";
    int fd = mkstemp(path);
    assert_true(fd >= 0);
    assert_int_equal(kp_map_open(&m, path), 0);
    assert_int_equal(m.size, 0);
    assert_int_equal(write(fd, "abc", 3), 3);
    assert_int_equal(kp_map_open(&m, path), 0);
    assert_memory_equal(m.data, "abc", 3);
    kp_map_close(&m);
    close(fd);
    unlink(path);
}

/* Pages of a file come back when they are read again; other memory keeps what it holds. */
static void dropped_pages_come_back(void **state)
{
    (void)state;
    enum { BYTES = 64 << 10 };
    char path[] = "/tmp/kp_dropXXXXXX";
    uint8_t *bytes = aligned_alloc(4096, BYTES);
    for (size_t i = 0; i < BYTES; i++)
        bytes[i] = (uint8_t)(i * 7 >> 3);
    int fd = mkstemp(path);
    assert_int_equal(write(fd, bytes, BYTES), BYTES);
    close(fd);
    kp_map m;
    assert_int_equal(kp_map_open(&m, path), 0);
    assert_memory_equal(m.data, bytes, BYTES);
    kp_map_drop(m.data + 100, BYTES - 200);
    kp_map_drop(m.data, 2 * BYTES); /* more than the map holds: not a part of it */
    kp_map_drop(bytes, BYTES);
    assert_memory_equal(m.data, bytes, BYTES);
    assert_int_equal(bytes[12345], (uint8_t)(12345 * 7 >> 3));
    kp_map_close(&m);
    unlink(path);
    free(bytes);
}

static void the_machine_has_a_core_and_memory(void **state)
{
    (void)state;
    const kp_machine *m = kp_machine_get();
    assert_true(m->usable_cores >= 1 && m->usable_cores <= sysconf(_SC_NPROCESSORS_CONF));
    assert_true(m->memory_bytes > 1 << 20);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(errors_keep_text_and_status),
        cmocka_unit_test(sizes_overflow_safely),
        cmocka_unit_test(shapes_print_as_python_tuples),
        cmocka_unit_test(arena_aligns_zeroes_and_limits),
        cmocka_unit_test(json_strings_are_what_python_reads),
        cmocka_unit_test(halves_and_bfloats_round_to_even),
        cmocka_unit_test(conversions_follow_astype),
        cmocka_unit_test(scaling_is_keras_preprocess_input),
        cmocka_unit_test(near_words_are_found),
        cmocka_unit_test(maps_refuse_what_is_not_a_file),
        cmocka_unit_test(dropped_pages_come_back),
        cmocka_unit_test(the_machine_has_a_core_and_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
