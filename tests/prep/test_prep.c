/*
 * The preprocessing against what the real TensorFlow, Keras and Pillow made of the same files
 * (golden/expected.txt, by tools/golden_images.py), and what must hold without them: limits, the
 * fast resize and its plain twin, memory that is used again, malformed EXIF.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>
#include <math.h>

#include "prep/internal.h"

#define GOLDEN KP_SOURCE_DIR "/tests/prep/golden/"

static kp_prep_scratch *scratch;

static uint64_t fnv(const void *data, size_t n)
{
    uint64_t h = 0xcbf29ce484222325u;
    for (size_t i = 0; i < n; i++)
        h = (h ^ ((const uint8_t *)data)[i]) * 0x100000001b3u;
    return h;
}

static kp_map golden_open(const char *name)
{
    char path[512];
    kp_map m;
    snprintf(path, sizeof path, GOLDEN "%s", name);
    if (kp_map_open(&m, path) != 0)
        fail_msg("%s", kp_errmsg());
    return m;
}

/* ---- golden cases ---- */

static void check_decode(const char *line)
{
    char name[128], family[8], hash[24] = "";
    int channels, height = 0, width = 0;
    int n = sscanf(line, "decode %127s %7s %d %d %d %23s", name, family, &channels, &height, &width,
                   hash);
    assert_true(n == 3 || n == 6);
    kp_prep_spec spec = {.channels = channels,
                         .decode = strcmp(family, "tf") == 0 ? KP_DECODE_TF : KP_DECODE_PIL};
    kp_map m = golden_open(name);
    kp_image image;
    kp_prep_report report;
    kp_item_error e = kp_prep_decode(m.data, m.size, &spec, scratch, &image, &report);
    if (n == 3) {
        if (e != KP_ITEM_DECODE && e != KP_ITEM_UNSUPPORTED)
            fail_msg("%s: error %d where the real one refuses", line, e);
        assert_true(report.message[0] != '\0');
    } else {
        if (e != KP_ITEM_OK)
            fail_msg("%s: %s", line, report.message);
        assert_int_equal(image.height, height);
        assert_int_equal(image.width, width);
        assert_int_equal(report.source_height, height);
        assert_int_equal(report.source_width, width);
        size_t bytes = (size_t)height * (size_t)width * (size_t)channels;
        if (fnv(image.pixels, bytes) != strtoull(hash, NULL, 16))
            fail_msg("%s: other pixels", line);
    }
    kp_map_close(&m);
}

/* Resizes a golden file; the caller frees the result. */
static void *resized(const char *name, kp_prep_spec *spec, const char *method)
{
    assert_int_equal(kp_resize_method_parse(method, &spec->resize), 0);
    spec->decode = method[0] == 't' ? KP_DECODE_TF : KP_DECODE_PIL;
    spec->dtype = kp_resize_method_dtype(spec->resize);
    kp_map m = golden_open(name);
    void *out = aligned_alloc(64, (kp_prep_bytes(spec) + 63) / 64 * 64);
    assert_non_null(out);
    kp_prep_report report;
    if (kp_prep_image(m.data, m.size, spec, scratch, out, &report) != KP_ITEM_OK)
        fail_msg("%s %s: %s", name, method, report.message);
    kp_map_close(&m);
    return out;
}

static void check_resize(const char *line)
{
    char name[128], method[32], shape[8], hash[24];
    kp_prep_spec spec = {0};
    assert_int_equal(sscanf(line, "resize %127s %31s %d %d %d %7s %23s", name, method,
                            &spec.channels, &spec.height, &spec.width, shape, hash),
                     7);
    spec.crop_to_aspect_ratio = strcmp(shape, "crop") == 0;
    spec.pad_to_aspect_ratio = strcmp(shape, "pad") == 0;
    void *out = resized(name, &spec, method);
    if (fnv(out, kp_prep_bytes(&spec)) != strtoull(hash, NULL, 16))
        fail_msg("%s: other pixels", line);
    free(out);
}

static void check_values(const char *line)
{
    char name[128], method[32];
    kp_prep_spec spec = {.channels = 3};
    int at = 0;
    assert_int_equal(
        sscanf(line, "values %127s %31s %d %d %n", name, method, &spec.height, &spec.width, &at),
        4);
    float *out = resized(name, &spec, method);
    char *end = NULL;
    for (int i = 0; i < spec.height * spec.width * 3; i++, at = (int)(end - line)) {
        float want = strtof(line + at, &end);
        assert_true(end != line + at);
        if (fabsf(want - out[i]) >= 1e-3f)
            fail_msg("%s %s: value %d is %g instead of %g", name, method, i, out[i], want);
    }
    free(out);
}

/* Calls check for each line of expected.txt that begins with kind; returns how many. */
static int for_lines(const char *kind, void (*check)(const char *line))
{
    kp_map m = golden_open("expected.txt");
    char *text = malloc(m.size + 1);
    assert_non_null(text);
    memcpy(text, m.data, m.size);
    text[m.size] = '\0';
    int n = 0;
    char *save = NULL;
    for (char *line = strtok_r(text, "\n", &save); line != NULL; line = strtok_r(NULL, "\n", &save))
        if (strncmp(line, kind, strlen(kind)) == 0) {
            check(line);
            n++;
        }
    free(text);
    kp_map_close(&m);
    return n;
}

static void test_golden_decode(void **state)
{
    (void)state;
    assert_true(for_lines("decode ", check_decode) > 1000);
}

static void test_golden_resize(void **state)
{
    (void)state;
    assert_true(for_lines("resize ", check_resize) > 400);
}

static void test_golden_values(void **state)
{
    (void)state;
    assert_int_equal(for_lines("values ", check_values), 4 * 6 * 2);
}

/* ---- memory ---- */

static void test_scratch_is_used_again(void **state)
{
    (void)state;
    kp_prep_scratch *own = kp_prep_scratch_new(), *shared = scratch;
    assert_non_null(own);
    scratch = own;
    for_lines("resize ", check_resize);
    for_lines("decode ", check_decode);
    kp_prep_scratch before = *own;
    for_lines("decode ", check_decode);
    for_lines("resize ", check_resize);
    assert_memory_equal(&before, own, sizeof before); /* the same blocks of the same sizes */
    scratch = shared;
    kp_prep_scratch_free(&own);
    assert_null(own);
}

static void test_huge_memory_is_given_back(void **state)
{
    (void)state;
    kp_prep_mem m = {0};
    assert_non_null(kp_prep_mem_get(&m, 100));
    assert_true(m.cap >= 100);
    assert_non_null(kp_prep_mem_get(&m, 200 << 20));
    assert_non_null(kp_prep_mem_get(&m, 100 << 20)); /* not much smaller: kept */
    assert_true(m.cap >= 200 << 20);
    assert_non_null(kp_prep_mem_get(&m, 1 << 20));
    assert_true(m.cap < 2 << 20);
    assert_null(kp_prep_mem_get(&m, SIZE_MAX - 5));
    free(m.data);
}

/* ---- limits ---- */

static void put_le(uint8_t *p, uint32_t v, int n)
{
    for (int i = 0; i < n; i++)
        p[i] = (uint8_t)(v >> (8 * i));
}

static void put_be(uint8_t *p, uint32_t v, int n)
{
    for (int i = 0; i < n; i++)
        p[i] = (uint8_t)(v >> (8 * (n - 1 - i)));
}

/* The golden file with its header's sizes set to 65,000 or so; the checksum of the PNG's is right.
 */
static uint8_t *huge(const char *name, size_t *size)
{
    kp_map m = golden_open(name);
    uint8_t *b = malloc(m.size);
    assert_non_null(b);
    memcpy(b, m.data, m.size);
    *size = m.size;
    kp_map_close(&m);
    if (memcmp(b, "BM", 2) == 0) {
        put_le(b + 18, 65000, 4);
        put_le(b + 22, 65000, 4);
    } else if (memcmp(b, "GIF8", 4) == 0) {
        for (size_t i = 13; i + 9 < *size; i++)
            if (b[i] == ',' && memcmp(b + i + 1, "\0\0\0\0\x1f\0\x11\0", 8) == 0) {
                put_le(b + i + 5, 65000, 2);
                put_le(b + i + 7, 65000, 2);
                break;
            }
    } else if (b[0] == 0xff) {
        for (size_t i = 2; i + 8 < *size; i++)
            if (b[i] == 0xff && b[i + 1] == 0xc0) {
                put_be(b + i + 5, 65000, 2);
                put_be(b + i + 7, 65000, 2);
                break;
            }
    } else {
        put_be(b + 16, 65000, 4);
        put_be(b + 20, 65000, 4);
        put_be(b + 29, 0x2d354e5d, 4);
    }
    return b;
}

static void test_header_limits(void **state)
{
    (void)state;
    static const char *const names[] = {"png-t2-d8-17x31.png", "jpeg-RGB-420-17x31.jpg",
                                        "bmp-24-17x31.bmp", "gif-17x31.gif"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        for (int family = 0; family < 2; family++) {
            size_t size;
            uint8_t *bytes = huge(names[i], &size);
            kp_prep_scratch *own = kp_prep_scratch_new();
            kp_prep_spec spec = {.channels = 3,
                                 .decode = family == 0 ? KP_DECODE_TF : KP_DECODE_PIL};
            kp_image image;
            kp_prep_report report;
            kp_item_error e = kp_prep_decode(bytes, size, &spec, own, &image, &report);
            if (e != KP_ITEM_LIMIT)
                fail_msg("%s: error %d, \"%s\"", names[i], e, report.message);
            assert_non_null(strstr(report.message, "limit"));
            assert_true(own->pixels.cap + own->frame.cap + own->row.cap == 0);
            kp_prep_scratch_free(&own);
            free(bytes);
        }
}

static void test_limit_can_be_set(void **state)
{
    (void)state;
    static const char *const names[] = {"png-t2-d8-17x31.png", "jpeg-RGB-420-17x31.jpg",
                                        "bmp-24-17x31.bmp", "gif-17x31.gif",
                                        "webp-RGB-lossy-17x31.webp"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        kp_map m = golden_open(names[i]);
        kp_prep_spec spec = {.channels = 3, .max_pixels = 17 * 31};
        kp_image image;
        kp_prep_report report;
        assert_int_equal(kp_prep_decode(m.data, m.size, &spec, scratch, &image, &report),
                         KP_ITEM_OK);
        spec.max_pixels--;
        assert_int_equal(kp_prep_decode(m.data, m.size, &spec, scratch, &image, &report),
                         KP_ITEM_LIMIT);
        assert_null(image.pixels);
        kp_map_close(&m);
    }
}

/* Only TensorFlow's reader comes to the second picture. */
static void test_a_later_huge_picture(void **state)
{
    (void)state;
    kp_map m = golden_open("gif-animated-17x31.gif");
    uint8_t *bytes = malloc(m.size);
    memcpy(bytes, m.data, m.size);
    int seen = 0;
    for (size_t i = 13; i + 9 < m.size; i++)
        if (memcmp(bytes + i, ",\0\0\0\0\x1f\0\x11\0", 9) == 0 && ++seen == 2) {
            put_le(bytes + i + 5, 65000, 2);
            put_le(bytes + i + 7, 65000, 2);
        }
    assert_int_equal(seen, 2);
    for (int family = 0; family < 2; family++) {
        kp_prep_spec spec = {.channels = 3, .decode = family == 0 ? KP_DECODE_TF : KP_DECODE_PIL};
        kp_image image;
        kp_prep_report report;
        assert_int_equal(kp_prep_decode(bytes, m.size, &spec, scratch, &image, &report),
                         family == 0 ? KP_ITEM_LIMIT : KP_ITEM_OK);
    }
    free(bytes);
    kp_map_close(&m);
}

/* A small progressive file whose last scan comes again and again. */
static void test_too_many_scans(void **state)
{
    (void)state;
    enum { TIMES = 1100 };
    kp_map m = golden_open("jpeg-RGB-progressive-17x31.jpg");
    size_t scan = m.size - 1, end = m.size - 2;
    while (m.data[scan - 1] != 0xff || m.data[scan] != 0xda)
        scan--;
    scan--;
    kp_buf b = {0};
    kp_buf_add(&b, m.data, end);
    for (int i = 0; i < TIMES; i++)
        kp_buf_add(&b, m.data + scan, end - scan);
    kp_buf_add(&b, m.data + end, 2);
    assert_false(b.failed);
    for (int family = 0; family < 2; family++) {
        kp_prep_spec spec = {.channels = 3, .decode = family == 0 ? KP_DECODE_TF : KP_DECODE_PIL};
        kp_image image;
        kp_prep_report report;
        assert_int_equal(
            kp_prep_decode((const uint8_t *)b.data, b.len, &spec, scratch, &image, &report),
            KP_ITEM_LIMIT);
        assert_non_null(strstr(report.message, "scans"));
    }
    kp_buf_free(&b);
    kp_map_close(&m);
}

/* ---- the fast bilinear resize and its plain twin ---- */

static uint32_t random_next(uint32_t *s)
{
    *s = *s * 1664525u + 1013904223u;
    return *s >> 8;
}

static kp_resize_job random_job(uint32_t *seed, uint8_t *src, size_t max, kp_prep_scratch *s)
{
    kp_resize_job r = {.src = src, .image = src, .scratch = s};
    static const int channels[] = {1, 3, 4};
    r.channels = channels[random_next(seed) % 3];
    r.src_height = r.image_height = 1 + (int)(random_next(seed) % max);
    r.src_width = r.image_width = 1 + (int)(random_next(seed) % max);
    r.dst_height = 1 + (int)(random_next(seed) % max);
    r.dst_width = 1 + (int)(random_next(seed) % max);
    r.src_stride = (size_t)(r.src_width * r.channels);
    r.dst_stride = (size_t)(r.dst_width * r.channels);
    for (size_t i = 0; i < r.src_stride * (size_t)r.src_height; i++)
        src[i] = (uint8_t)random_next(seed);
    return r;
}

static void test_bilinear_twin(void **state)
{
    (void)state;
    enum { MAX = 70 };
    size_t bytes = MAX * MAX * 4 * sizeof(float);
    uint8_t *src = malloc(MAX * MAX * 4 + 1);
    float *fast = malloc(bytes), *plain = malloc(bytes);
    uint32_t seed = 7;
    for (int i = 0; i < 800; i++) {
        kp_resize_job r = random_job(&seed, src, MAX, scratch);
        memset(fast, 0x5a, bytes); /* what lies behind the result must stay */
        memset(plain, 0x5a, bytes);
        r.dst = fast;
        r.plain = i % 2 == 0;
        assert_true(kp_resize_tf_bilinear(&r));
        r.dst = plain;
        kp_resize_tf_bilinear_plain(&r);
        if (memcmp(fast, plain, bytes) != 0)
            fail_msg("%d x %d to %d x %d, %d channels", r.src_height, r.src_width, r.dst_height,
                     r.dst_width, r.channels);
    }
    free(src);
    free(fast);
    free(plain);
}

static void test_pil_without_wide_instructions(void **state)
{
    (void)state;
    enum { MAX = 70 };
    static bool (*const methods[])(const kp_resize_job *r) = {
        kp_resize_pil_bilinear, kp_resize_pil_bicubic, kp_resize_pil_lanczos, kp_resize_pil_box,
        kp_resize_pil_hamming};
    uint8_t *src = malloc(MAX * MAX * 4 + 1), *wide = malloc(MAX * MAX * 4);
    uint8_t *plain = malloc(MAX * MAX * 4);
    uint32_t seed = 3;
    for (int i = 0; i < 500; i++) {
        kp_resize_job r = random_job(&seed, src, MAX, scratch);
        memset(wide, 0x5a, MAX * MAX * 4); /* what lies behind the result must stay */
        memset(plain, 0x5a, MAX * MAX * 4);
        r.dst = wide;
        assert_true(methods[i % 5](&r));
        r.plain = true;
        r.dst = plain;
        assert_true(methods[i % 5](&r));
        assert_memory_equal(wide, plain, MAX * MAX * 4);
    }
    free(src);
    free(wide);
    free(plain);
}

/* A flat image stays flat whatever the method and the sizes, and nothing behind it is touched. */
static void test_flat_images_stay_flat(void **state)
{
    (void)state;
    enum { MAX = 3000, FLAT = 201 };
    static const int sizes[] = {1, 2, 3, 5, 16, 17, 31, 100, 997, MAX};
    enum { N_SIZES = sizeof sizes / sizeof *sizes };
    uint8_t *flat = malloc(MAX * 4 + 1), *out = malloc((MAX * 4 + 4) * sizeof(float));
    memset(flat, FLAT, MAX * 4 + 1);
    for (int m = 0; m < KP_RESIZE_METHOD_COUNT; m++)
        for (int i = 0; i < N_SIZES * N_SIZES * 4; i++) {
            int from = sizes[i / 4 % N_SIZES], to = sizes[i / 4 / N_SIZES];
            bool tall = i % 2 == 0;
            int channels = i % 4 < 2 ? 1 : 4;
            bool is_float = kp_resize_method_dtype((kp_resize_method)m) == KP_FLOAT32;
            size_t n = (size_t)to * (size_t)channels, bytes = n * (is_float ? 4 : 1);
            kp_resize_job r = {
                .image = flat, .src = flat, .scratch = scratch, .dst = out, .channels = channels};
            r.src_height = r.image_height = tall ? from : 1;
            r.src_width = r.image_width = tall ? 1 : from;
            r.dst_height = tall ? to : 1;
            r.dst_width = tall ? 1 : to;
            r.src_stride = (size_t)(r.src_width * channels);
            r.dst_stride = (size_t)(r.dst_width * channels);
            memset(out, 0x5a, bytes + 16);
            assert_true(kp_resize_run((kp_resize_method)m, &r));
            for (size_t k = 0; k < n; k++) {
                float v = is_float ? ((float *)(void *)out)[k] : out[k];
                /* Pillow's way through alpha may lose a level of colour; the shares of
                 * TensorFlow's area method do not add up to exactly 1. */
                if (fabsf(v - FLAT) > (m == KP_TF_AREA ? 0.1f : is_float ? 1e-3f : 1.0f))
                    fail_msg("%s, %d to %d: %g", kp_resize_method_name((kp_resize_method)m), from,
                             to, v);
            }
            for (size_t k = 0; k < 16; k++)
                assert_int_equal(out[bytes + k], 0x5a);
        }
    free(flat);
    free(out);
}

static double per_second(bool (*run)(const kp_resize_job *r), const kp_resize_job *r)
{
    double start = kp_now_s();
    int n = 0;
    for (; kp_now_s() - start < 0.02; n++)
        run(r);
    return n / (kp_now_s() - start);
}

static bool run_plain(const kp_resize_job *r)
{
    kp_resize_tf_bilinear_plain(r);
    return true;
}

/* The best of several turns: other programs on the machine only make a turn slower. */
static void take_best(double *best, bool (*run)(const kp_resize_job *r), const kp_resize_job *r)
{
    double speed = per_second(run, r);
    *best = speed > *best ? speed : *best;
}

/* The fast paths are several times as fast as the twin: a slower one would mean that they are not
 * taken. */
static void test_bilinear_is_faster_than_its_twin(void **state)
{
    (void)state;
    uint8_t *src = calloc(375 * 500 + 1, 3);
    float *out = malloc(224 * 224 * 3 * sizeof *out);
    kp_resize_job r = {.src = src,
                       .src_height = 375,
                       .src_width = 500,
                       .src_stride = 1500,
                       .dst = out,
                       .dst_height = 224,
                       .dst_width = 224,
                       .dst_stride = 672,
                       .channels = 3,
                       .scratch = scratch};
    double fast = 0, plain = 0, lines = 0;
    for (int turn = 0; turn < 5; turn++) {
        r.plain = false;
        take_best(&fast, kp_resize_tf_bilinear, &r);
        take_best(&plain, run_plain, &r);
        r.plain = true;
        take_best(&lines, kp_resize_tf_bilinear, &r);
    }
    print_message("500x375 to 224x224: %.0f a second, without AVX2 %.0f, plain twin %.0f\n", fast,
                  lines, plain);
#ifndef KP_SANITIZED
    assert_true(fast > plain && lines > plain);
#endif
    free(src);
    free(out);
}

/* ---- words, errors, EXIF ---- */

static void test_methods(void **state)
{
    (void)state;
    for (int i = 0; i < KP_RESIZE_METHOD_COUNT; i++) {
        kp_resize_method m = KP_RESIZE_METHOD_COUNT;
        const char *name = kp_resize_method_name((kp_resize_method)i);
        assert_int_equal(kp_resize_method_parse(name, &m), 0);
        assert_int_equal(m, i);
        bool bytes = strncmp(name, "pil-", 4) == 0 || strcmp(name, "tf-nearest") == 0;
        assert_int_equal(kp_resize_method_dtype(m), bytes ? KP_UINT8 : KP_FLOAT32);
    }
    kp_resize_method m;
    assert_int_equal(kp_resize_method_parse("bilinear", &m), KP_EUSAGE);
    assert_non_null(strstr(kp_errmsg(), "tf-nearest"));
    assert_non_null(strstr(kp_errmsg(), "pil-hamming"));
    assert_string_equal(kp_resize_method_name(KP_RESIZE_METHOD_COUNT), "unknown");
}

static kp_item_error prepare(kp_prep_spec spec, const void *bytes, size_t size,
                             kp_prep_report *report)
{
    static float out[64 * 64 * 4];
    return kp_prep_image(bytes, size, &spec, scratch, out, report);
}

static void test_specs_that_cannot_be(void **state)
{
    (void)state;
    kp_map m = golden_open("png-t2-d8-17x31.png");
    const kp_prep_spec good = {.height = 8, .width = 8, .channels = 3, .dtype = KP_UINT8};
    kp_prep_report report;
    assert_int_equal(prepare(good, m.data, m.size, &report), KP_ITEM_OK);
    kp_prep_spec bad[6] = {good, good, good, good, good, good};
    bad[0].channels = 2;
    bad[1].height = 0;
    bad[2].width = -1;
    bad[3].dtype = KP_FLOAT64;
    bad[4].resize = KP_RESIZE_METHOD_COUNT;
    bad[5] = (kp_prep_spec){
        .height = 1, .width = 4000, .channels = 3, .dtype = KP_UINT8, .pad_to_aspect_ratio = true};
    for (size_t i = 0; i < 6; i++) {
        kp_item_error e = prepare(bad[i], m.data, m.size, &report);
        if (i < 5)
            assert_int_equal(e, KP_ITEM_SHAPE);
        assert_true(e == KP_ITEM_OK || report.message[0] != '\0');
    }
    kp_map_close(&m);
}

static void test_formats_not_read_are_named(void **state)
{
    (void)state;
    static const struct {
        const char *bytes;
        size_t size;
        kp_item_error error;
        const char *word;
    } cases[] = {
        {"", 0, KP_ITEM_DECODE, "empty"},
        {"\xff", 1, KP_ITEM_DECODE, "not an image"},
        {"hello, world", 12, KP_ITEM_DECODE, "not an image"},
        {"II*\0\0\0\0\0", 8, KP_ITEM_UNSUPPORTED, "TIFF"},
        {"\0\0\0 ftypavif\0\0", 14, KP_ITEM_UNSUPPORTED, "AVIF"},
    };
    const kp_prep_spec spec = {.height = 8, .width = 8, .channels = 3, .dtype = KP_UINT8};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        kp_prep_report report;
        assert_int_equal(prepare(spec, cases[i].bytes, cases[i].size, &report), cases[i].error);
        assert_non_null(strstr(report.message, cases[i].word));
    }
}

static void test_exif_blocks(void **state)
{
    (void)state;
    uint8_t little[] = {'I',  'I', 42, 0, 8, 0, 0, 0, 1, 0, /* one entry */
                        0x12, 1,   3,  0, 1, 0, 0, 0, 6, 0, 0, 0};
    uint8_t big[] = {'M', 'M',  0, 42, 0, 0, 0, 8, 0, 2, /* another entry first */
                     1,   0,    0, 3,  0, 0, 0, 1, 0, 8, 0, 0,
                     1,   0x12, 0, 3,  0, 0, 0, 1, 0, 3, 0, 0};
    assert_int_equal(kp_prep_exif_orientation(little, sizeof little), 6);
    assert_int_equal(kp_prep_exif_orientation(big, sizeof big), 3);
    for (size_t n = 0; n < sizeof big; n++) {
        uint8_t *exact = malloc(n + 1); /* a sanitizer sees a read beyond it */
        memcpy(exact + 1, big, n);
        assert_int_equal(kp_prep_exif_orientation(exact + 1, n), 1);
        free(exact);
    }
    little[18] = 9;
    assert_int_equal(kp_prep_exif_orientation(little, sizeof little), 1);
    little[18] = 6;
    little[4] = 0xff, little[7] = 0xff;
    assert_int_equal(kp_prep_exif_orientation(little, sizeof little), 1);
}

static void test_exif_turn(void **state)
{
    (void)state;
    for (int i = 1; i <= 8; i++) {
        char name[40];
        snprintf(name, sizeof name, "jpeg-exif%d-17x31.jpg", i);
        kp_map m = golden_open(name);
        kp_prep_spec spec = {.channels = 3};
        kp_image image;
        kp_prep_report report;
        assert_int_equal(kp_prep_decode(m.data, m.size, &spec, scratch, &image, &report), 0);
        assert_int_equal(image.height, 17);
        assert_int_equal(report.exif_turned, i != 1);
        uint8_t corner[3];
        memcpy(corner, image.pixels, 3);
        spec.exif_rotate = true;
        assert_int_equal(kp_prep_decode(m.data, m.size, &spec, scratch, &image, &report), 0);
        assert_int_equal(image.height, i >= 5 ? 31 : 17);
        assert_int_equal(image.width, i >= 5 ? 17 : 31);
        /* Where the first stored pixel is shown: the corner that the EXIF standard names. */
        bool bottom = i == 3 || i == 4 || i == 7 || i == 8;
        bool right = i == 2 || i == 3 || i == 6 || i == 7;
        size_t y = bottom ? (size_t)image.height - 1 : 0, x = right ? (size_t)image.width - 1 : 0;
        assert_memory_equal(image.pixels + 3 * (y * (size_t)image.width + x), corner, 3);
        kp_map_close(&m);
    }
}

int main(void)
{
    scratch = kp_prep_scratch_new();
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_golden_decode),
        cmocka_unit_test(test_golden_resize),
        cmocka_unit_test(test_golden_values),
        cmocka_unit_test(test_scratch_is_used_again),
        cmocka_unit_test(test_huge_memory_is_given_back),
        cmocka_unit_test(test_header_limits),
        cmocka_unit_test(test_limit_can_be_set),
        cmocka_unit_test(test_a_later_huge_picture),
        cmocka_unit_test(test_too_many_scans),
        cmocka_unit_test(test_bilinear_twin),
        cmocka_unit_test(test_pil_without_wide_instructions),
        cmocka_unit_test(test_flat_images_stay_flat),
        cmocka_unit_test(test_bilinear_is_faster_than_its_twin),
        cmocka_unit_test(test_methods),
        cmocka_unit_test(test_specs_that_cannot_be),
        cmocka_unit_test(test_formats_not_read_are_named),
        cmocka_unit_test(test_exif_blocks),
        cmocka_unit_test(test_exif_turn),
    };
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    kp_prep_scratch_free(&scratch);
    return failed;
}
