/* Files that are no model, or a damaged or dishonest one: one line that helps, quickly. */
#include "keras/keras.h"
#include "keras/zip.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "archive.h"

#define MODELS KP_SOURCE_DIR "/tests/keras/models/"
#define INPUT(name)                                                                                \
    "{\"class_name\":\"InputLayer\",\"module\":\"keras.layers\",\"name\":\"" name "\","            \
    "\"config\":{\"batch_shape\":[null,5],\"name\":\"" name "\"},\"inbound_nodes\":[]}"
#define DENSE(name, from)                                                                          \
    "{\"class_name\":\"Dense\",\"module\":\"keras.layers\",\"name\":\"" name "\","                 \
    "\"config\":{\"units\":4,\"name\":\"" name "\"},\"inbound_nodes\":[{\"args\":["                \
    "{\"class_name\":\"__keras_tensor__\",\"config\":{\"keras_history\":[\"" from "\",0,0]}}],"    \
    "\"kwargs\":{}}]}"
#define MODEL(layers, inputs, outputs)                                                             \
    "{\"class_name\":\"Functional\",\"module\":\"keras.src.models.functional\",\"config\":{"       \
    "\"name\":\"m\",\"layers\":[" layers "],\"input_layers\":" inputs                              \
    ",\"output_layers\":" outputs "}}"
#define METADATA "{\"keras_version\":\"3.15.1\"}"

static kp_buf weights; /* the HDF5 part of a real model */

static int load_weights(void **state)
{
    (void)state;
    kp_map map;
    kp_zip *z;
    const uint8_t *data;
    size_t size;
    int i;
    KP_TRY(kp_map_open(&map, MODELS "k3_dicts.keras"));
    KP_TRY(kp_zip_open(&z, map.data, map.size));
    KP_TRY(kp_zip_find(z, "model.weights.h5", &i));
    KP_TRY(kp_zip_read(z, i, SIZE_MAX, &data, &size));
    kp_buf_add(&weights, data, size);
    kp_zip_close(&z);
    kp_map_close(&map);
    return 0;
}

static int free_weights(void **state)
{
    (void)state;
    kp_buf_free(&weights);
    return 0;
}

/* Opens the bytes as a file, asks for every weight of the first-level layers, and closes it. */
static int try_bytes(const void *bytes, size_t size)
{
    const char *path = archive_file("bad", bytes, size);
    kp_keras *k = NULL;
    int status = kp_keras_open(&k, path, NULL);
    const kp_layers *m = status == 0 ? kp_keras_root(k)->model : NULL;
    for (int i = 0; m != NULL && i < m->n_layers; i++)
        for (int j = 0; j < kp_keras_weight_count(k, m->layers[i], "") && status == 0; j++) {
            kp_weight w;
            status = kp_keras_weight(k, m->layers[i], "", j, "kernel", -1, NULL, &w);
        }
    if (status == 0)
        status = kp_keras_check_unused(k);
    kp_keras_close(&k);
    unlink(path);
    return status;
}

static int try_config(const char *config, const char *metadata)
{
    kp_buf zip = {0};
    const archive_member members[] = {
        {.name = "metadata.json", .data = metadata, .size = strlen(metadata)},
        {.name = "config.json", .data = config, .size = strlen(config)},
        {.name = "model.weights.h5", .data = weights.data, .size = weights.len},
    };
    archive_write(&zip, members, 3);
    int status = try_bytes(zip.data, zip.len);
    kp_buf_free(&zip);
    return status;
}

static void expect(int status, const char *text, const char *what)
{
    if (status != KP_EMODEL || strstr(kp_errmsg(), text) == NULL)
        fail_msg("%s: status %d, \"%s\" lacks \"%s\"", what, status, kp_errmsg(), text);
    assert_null(strchr(kp_errmsg(), '\n'));
}

/* Each takes well under a second; sanitizers slow byte loops down beyond any sense of a limit. */
static void assert_quick(double start)
{
#ifdef KP_SANITIZED
    (void)start;
#else
    assert_true(kp_now_s() - start < 10);
#endif
}

static void configs(void **state)
{
    (void)state;
    static const struct {
        const char *config, *text;
    } rows[] = {
        {"", "not proper JSON"},
        {"{", "not proper JSON"},
        {"[]", "is not a layer"},
        {"{\"a\":1,\"a\":2}", "duplicate"},
        {"{\"class_name\":\"Functional\"}", "has no config"},
        {"{\"class_name\":\"MyModel\",\"module\":\"my.code\",\"registered_name\":\"pkg>MyModel\","
         "\"config\":{}}",
         "class \"MyModel\", registered as pkg>MyModel: its graph is in code"},
        {"{\"class_name\":\"Sequential\",\"config\":{\"name\":\"s\",\"layers\":[]}}",
         "has no layers"},
        {"{\"class_name\":\"Sequential\",\"config\":{\"name\":\"s\",\"layers\":[{\"class_name\":"
         "\"Dense\",\"config\":{\"name\":\"d\"}}]}}",
         "was never built"},
        {"{\"class_name\":\"Sequential\",\"config\":{\"name\":\"s\",\"layers\":[7]}}",
         "is not a layer"},
        {MODEL(INPUT("i") "," DENSE("a", "b") "," DENSE("b", "a"), "[[\"i\",0,0]]",
               "[[\"b\",0,0]]"),
         "has a loop: layer \"b\" takes its input from layer \"a\""},
        {MODEL(INPUT("i") "," DENSE("a", "a"), "[[\"i\",0,0]]", "[[\"a\",0,0]]"), "has a loop"},
        {MODEL(INPUT("i") "," DENSE("a", "gone"), "[[\"i\",0,0]]", "[[\"a\",0,0]]"),
         "layer \"a\" takes its input from layer \"gone\", which model \"m\" does not have"},
        {MODEL(INPUT("i") "," DENSE("i", "i"), "[[\"i\",0,0]]", "[[\"i\",0,0]]"),
         "two layers named \"i\""},
        {MODEL(INPUT("i"), "[]", "[[\"i\",0,0]]"), "has no inputs"},
        {MODEL(INPUT("i"), "[[\"i\",0,0]]", "{}"), "has no outputs"},
        {MODEL(INPUT("i"), "7", "[[\"i\",0,0]]"), "input_layers has no form"},
        {MODEL(INPUT("i"), "[\"i\"]", "[[\"i\",0,0]]"), "input_layers has no form"},
        {MODEL(INPUT("i") "," DENSE("a", "i"), "[[\"a\",0,0]]", "[[\"a\",0,0]]"),
         "not an InputLayer"},
        {MODEL(INPUT("i"), "[[\"i\",0,0]]", "[[\"i\",0,-1]]"), "output -1 of layer"},
        {MODEL(INPUT("i") ",{\"class_name\":\"Dense\",\"config\":{\"name\":\"d\"},\"name\":\"d\","
                          "\"inbound_nodes\":[5]}",
               "[[\"i\",0,0]]", "[[\"d\",0,0]]"),
         "\"d\" (Dense): an inbound node has no form"},
        {MODEL(INPUT("i") ",{\"class_name\":\"Dense\",\"config\":{\"name\":\"d\"},\"name\":\"d\","
                          "\"inbound_nodes\":[{\"args\":5}]}",
               "[[\"i\",0,0]]", "[[\"d\",0,0]]"),
         "an inbound node has no form"},
        {MODEL(INPUT("i") ",{\"class_name\":\"Dense\",\"config\":{\"name\":\"d\"},\"name\":\"d\","
                          "\"inbound_nodes\":[]}",
               "[[\"i\",0,0]]", "[[\"d\",0,0]]"),
         "never called"},
        {MODEL(INPUT("i") ",{\"class_name\":\"Dense\",\"config\":{\"name\":\"d\",\"dtype\":\"f8\"},"
                          "\"name\":\"d\",\"inbound_nodes\":[]}",
               "[[\"i\",0,0]]", "[[\"i\",0,0]]"),
         "dtype policy \"f8\" is not supported"},
        {MODEL(INPUT("i") "," DENSE("one", "i") "," DENSE("two", "one"), "[[\"i\",0,0]]",
               "[[\"two\",0,0]]"),
         ""},
    };
    for (size_t i = 0; i + 1 < sizeof rows / sizeof *rows; i++)
        expect(try_config(rows[i].config, METADATA), rows[i].text, rows[i].config);
    /* The last row is a proper tree; the file's weights are of another one. */
    assert_int_equal(try_config(rows[sizeof rows / sizeof *rows - 1].config, METADATA), 0);
    assert_int_equal(try_config(MODEL(INPUT("i"), "[[\"i\",0,0]]", "[[\"i\",0,0]]"), METADATA),
                     KP_EMODEL);
    assert_non_null(strstr(kp_errmsg(), "of a layer that the model does not have"));
}

static void deep_and_long(void **state)
{
    (void)state;
    kp_buf deep = {0};
    for (int i = 0; i < 100000; i++)
        kp_buf_puts(&deep, "[");
    expect(try_config(deep.data, METADATA), "nested deeper than", "deep");
    kp_buf_free(&deep);
    kp_buf models = {0};
    for (int i = 0; i < 40; i++)
        kp_buf_puts(&models, "{\"class_name\":\"Sequential\",\"config\":{\"name\":\"s\","
                             "\"build_input_shape\":[null,5],\"layers\":[");
    kp_buf_puts(&models, INPUT("i"));
    for (int i = 0; i < 40; i++)
        kp_buf_puts(&models, "]}}");
    expect(try_config(models.data, METADATA), "models inside each other", "models");
    kp_buf_free(&models);
    kp_buf many = {0};
    kp_buf_puts(&many, "[0");
    for (int i = 0; i < 7000000; i++)
        kp_buf_puts(&many, ",0");
    double start = kp_now_s();
    expect(try_config(many.data, METADATA), "more than 6000000 values", "many");
    assert_quick(start);
    kp_buf_free(&many);
}

/* A chain as long as the limits allow must not take the stack, nor long. */
static void long_chain(void **state)
{
    (void)state;
    kp_buf text = {0};
    kp_buf_puts(
        &text,
        "{\"class_name\":\"Functional\",\"config\":{\"name\":\"m\",\"layers\":[" INPUT("l0"));
    for (int i = 9999; i > 0; i--)
        kp_buf_printf(&text,
                      "%s{\"class_name\":\"ReLU\",\"name\":\"l%d\",\"config\":{},"
                      "\"inbound_nodes\":[[[\"l%d\",0,0,{}]]]}",
                      ",", i, i - 1);
    kp_buf_puts(&text, "],\"input_layers\":[[\"l0\",0,0]],\"output_layers\":[[\"l9999\",0,0]]}}");
    double start = kp_now_s();
    int status = try_config(text.data, METADATA);
    expect(status, "of a layer that the model does not have", "long chain");
    assert_quick(start);
    kp_buf_free(&text);
}

static void python_numbers(void **state)
{
    (void)state;
    static const char config[] = MODEL(
        INPUT("i") ",{\"class_name\":\"Clip\",\"module\":\"keras.src.ops.numpy\","
                   "\"config\":{\"x_min\":-Infinity,\"x_max\":NaN,\"n\":"
                   "123456789012345678901234567890},"
                   "\"shared_object_id\":99999999999999999999,\"name\":\"NaN\",\"inbound_nodes\":"
                   "[{\"args\":[{\"class_name\":\"__keras_tensor__\",\"config\":{\"keras_history\":"
                   "[\"i\",0,0]}},Infinity],\"kwargs\":{}}]}",
        "[\"i\",0,0]", "[\"NaN\",0,0]");
    kp_buf zip = {0};
    const archive_member members[] = {
        {.name = "config.json", .data = config, .size = strlen(config)},
        {.name = "model.weights.h5", .data = weights.data, .size = weights.len},
    };
    archive_write(&zip, members, 2);
    const char *path = archive_file("numbers", zip.data, zip.len);
    kp_keras *k;
    if (kp_keras_open(&k, path, NULL) != 0)
        fail_msg("%s", kp_errmsg());
    const kp_layers *m = kp_keras_root(k)->model;
    double x;
    assert_int_equal(kp_cfg_float(m->layers[1], "x_min", 0, &x), 0);
    assert_true(x < -1e308);
    assert_int_equal(kp_cfg_float(m->layers[1], "x_max", 0, &x), 0);
    assert_true(x != x);
    assert_int_equal(kp_cfg_float(m->layers[1], "n", 0, &x), 0);
    assert_true(x > 1.2e29 && x < 1.3e29);
    assert_int_equal(m->calls[1].args.items[1].kind, KP_ARG_FLOAT);
    assert_true(m->calls[1].args.items[1].real > 1e308);
    kp_keras_close(&k);
    unlink(path);
    kp_buf_free(&zip);
}

/* ---- what is no model ---- */

/* A literal and its size without the NUL. */
#define BYTES(s) s, sizeof(s) - 1

static void strangers(void **state)
{
    (void)state;
    static const struct {
        const char *bytes;
        size_t size;
        const char *text;
    } rows[] = {
        {BYTES(""), "is empty"},
        {BYTES("hello"), "neither a .keras archive nor an HDF5 file"},
        {BYTES("\x1c\0\0\0TFL3"), "TensorFlow Lite"},
        {BYTES("\x08\x09\x12\x07pytorch"), "ONNX"},
        {BYTES("\x08\x01\x12\x04xxxx"), "SavedModel"},
        {BYTES("\x80\x04\x95"), "pickle"},
        {BYTES("version https://git-lfs.github.com/spec/v1\n"), "Git LFS pointer"},
        {BYTES("<!DOCTYPE html>"), "web page"},
        {BYTES("\x1f\x8b\x08"), "gzip"},
        {BYTES("{\"class_name\": \"Sequential\"}"), "architecture (JSON) without its weights"},
        {BYTES("{\"weight_map\": {}}"), "sharded weights"},
        {BYTES("{\"modelTopology\": {\"class_name\": 1}}"), "TensorFlow.js"},
        {BYTES("\"{\\\"class_name\\\": 1}\""), "give the weights' file as the model"},
        {"\x0a\x07\x0a\x01x\x12\x05"
         "Const",
         12, "a TensorFlow graph"},
        {BYTES("\x0a\x20\x12\x04root\"_tf_keras_sequential"), "keras_metadata.pb"},
        {BYTES("model_checkpoint_path: \"w\""), "load_weights"},
        {BYTES("\0\0\0\0\x57\xfb\x80\x8b\x24\x75\x47\xdb"), "TensorFlow checkpoint"},
        {BYTES("\x89HDF\r\n\x1a\n"), "cannot load model"},
        {BYTES("PK\3\4"), "truncated or damaged"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        expect(try_bytes(rows[i].bytes, rows[i].size), rows[i].text, rows[i].text);
}

static void other_archives(void **state)
{
    (void)state;
    static const struct {
        const char *name, *text;
    } rows[] = {
        {"archive/data.pkl", "PyTorch"},        {"x/saved_model.pb", "SavedModel"},
        {"arr_0.npy", "NumPy archive"},         {"my/config.json", "without the folder"},
        {"best.keras", "unpack it first"},      {"readme.txt", "no config.json"},
        {"config.json", "no model.weights.h5"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        kp_buf zip = {0};
        const archive_member m = {.name = rows[i].name, .data = "{}", .size = 2};
        archive_write(&zip, &m, 1);
        expect(try_bytes(zip.data, zip.len), rows[i].text, rows[i].name);
        kp_buf_free(&zip);
    }
}

static void folders_and_missing(void **state)
{
    (void)state;
    kp_keras *k;
    assert_int_equal(kp_keras_open(&k, "/no/such/model.keras", NULL), KP_EIO);
    assert_null(k);
    assert_non_null(strstr(kp_errmsg(), "/no/such/model.keras"));
    expect(kp_keras_open(&k, MODELS, NULL), "a folder, not a model file", "folder");
    char folder[] = KP_BUILD_DIR "/tests/keras_savedXXXXXX", file[256];
    assert_non_null(mkdtemp(folder));
    snprintf(file, sizeof file, "%s/saved_model.pb", folder);
    FILE *f = fopen(file, "w");
    assert_non_null(f);
    fclose(f);
    expect(kp_keras_open(&k, folder, NULL), "SavedModel folder", "saved");
    unlink(file);
    rmdir(folder);
}

static void unpacked_folder(void **state)
{
    (void)state;
    char folder[] = KP_BUILD_DIR "/tests/keras_folderXXXXXX", file[256];
    assert_non_null(mkdtemp(folder));
    kp_map map;
    kp_zip *z;
    assert_int_equal(kp_map_open(&map, MODELS "k3_dicts.keras"), 0);
    assert_int_equal(kp_zip_open(&z, map.data, map.size), 0);
    for (int i = 0; i < kp_zip_count(z); i++) {
        const uint8_t *data;
        size_t size;
        assert_int_equal(kp_zip_read(z, i, SIZE_MAX, &data, &size), 0);
        snprintf(file, sizeof file, "%s/%s", folder, kp_zip_name(z, i));
        FILE *f = fopen(file, "wb");
        assert_non_null(f);
        assert_int_equal(fwrite(data, 1, size, f), size);
        fclose(f);
    }
    kp_keras *k;
    if (kp_keras_open(&k, folder, NULL) != 0)
        fail_msg("%s", kp_errmsg());
    assert_string_equal(kp_keras_version(k), "3.15.1");
    kp_weight w;
    kp_layer *l = kp_keras_root(k)->model->layers[1];
    assert_int_equal(kp_keras_weight(k, l, "", 0, "kernel", 2, (int64_t[]){5, 4}, &w), 0);
    kp_keras_close(&k);
    for (int i = 0; i < kp_zip_count(z); i++) {
        snprintf(file, sizeof file, "%s/%s", folder, kp_zip_name(z, i));
        unlink(file);
    }
    rmdir(folder);
    kp_zip_close(&z);
    kp_map_close(&map);
}

/* ---- damage ---- */

static const char *const real_files[] = {"k3_dicts.keras", "k3_dicts.h5", "k2_functional.h5",
                                         "k3_functional.keras", "k2_windows.keras"};

static void truncated(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof real_files / sizeof *real_files; i++) {
        char path[512];
        kp_map map;
        snprintf(path, sizeof path, MODELS "%s", real_files[i]);
        assert_int_equal(kp_map_open(&map, path), 0);
        size_t step = map.size / 67;
        for (size_t n = 0; n < map.size; n += step)
            expect(try_bytes(map.data, n), "", real_files[i]);
        expect(try_bytes(map.data, map.size - 1), "", real_files[i]);
        kp_map_close(&map);
    }
}

/* Any one bit: refused in words, or, where it fell on a value, loaded. Never a crash. */
static void flipped(void **state)
{
    (void)state;
    int refused = 0;
    for (size_t i = 0; i < sizeof real_files / sizeof *real_files; i++) {
        char path[512];
        kp_map map;
        snprintf(path, sizeof path, MODELS "%s", real_files[i]);
        assert_int_equal(kp_map_open(&map, path), 0);
        uint8_t *copy = malloc(map.size);
        memcpy(copy, map.data, map.size);
        for (size_t n = 0; n < 150; n++) {
            size_t at = n * 7919 * 13 % map.size;
            copy[at] ^= (uint8_t)(1 << n % 8);
            int status = try_bytes(copy, map.size);
            assert_true(status == 0 || status == KP_EMODEL);
            refused += status != 0;
            copy[at] = map.data[at];
        }
        free(copy);
        kp_map_close(&map);
    }
    assert_true(refused > 100);
}

/* The checksum of large weights is computed beside the rest; its verdict comes at the end. */
static void large_weights(void **state)
{
    (void)state;
    static const char config[] =
        MODEL(INPUT("i") "," DENSE("d", "i") "," DENSE("e", "d"), "[\"i\",0,0]", "[\"e\",0,0]");
    kp_buf large = {0}, zip = {0};
    kp_buf_add(&large, weights.data, weights.len);
    uint8_t *rest = calloc(1, 17 << 20);
    kp_buf_add(&large, rest, 17 << 20);
    const archive_member members[] = {
        {.name = "config.json", .data = config, .size = strlen(config)},
        {.name = "model.weights.h5", .data = large.data, .size = large.len},
    };
    archive_write(&zip, members, 2);
    assert_int_equal(try_bytes(zip.data, zip.len), 0);
    zip.data[zip.len / 2] = 1;
    expect(try_bytes(zip.data, zip.len), "checksum differs", "large");
    free(rest);
    kp_buf_free(&large);
    kp_buf_free(&zip);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(configs),
        cmocka_unit_test(deep_and_long),
        cmocka_unit_test(long_chain),
        cmocka_unit_test(python_numbers),
        cmocka_unit_test(strangers),
        cmocka_unit_test(other_archives),
        cmocka_unit_test(folders_and_missing),
        cmocka_unit_test(unpacked_folder),
        cmocka_unit_test(truncated),
        cmocka_unit_test(flipped),
        cmocka_unit_test(large_weights),
    };
    return cmocka_run_group_tests(tests, load_weights, free_weights);
}
