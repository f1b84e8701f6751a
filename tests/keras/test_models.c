/* The committed models: every weight by type, shape and checksum, and the trees of some. */
#include "keras/keras.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <zlib.h>

#include <cmocka.h>

#define MODELS KP_SOURCE_DIR "/tests/keras/models/"

static kp_keras *open_model(const char *file)
{
    char path[512];
    snprintf(path, sizeof path, "%s%s", MODELS, file);
    kp_keras *k = NULL;
    if (kp_keras_open(&k, path, NULL) != 0)
        fail_msg("%s: %s", file, kp_errmsg());
    return k;
}

static kp_layer *find_layer(kp_layer *l, const char *path)
{
    if (l->parent != NULL && strcmp(l->path, path) == 0)
        return l;
    kp_layer *found = NULL;
    for (int i = 0; l->model != NULL && i < l->model->n_layers && found == NULL; i++)
        found = find_layer(l->model->layers[i], path);
    return found;
}

/* ---- every weight ---- */

enum { FILE_NAME, PATH, SUB, INDEX, NAME, DTYPE, SHAPE, CRC, FIELDS };

static void check_weight(kp_keras *k, char **f)
{
    kp_layer *l = find_layer(kp_keras_root(k), f[PATH]);
    if (l == NULL)
        fail_msg("%s has no layer %s", f[FILE_NAME], f[PATH]);
    kp_weight w;
    if (kp_keras_weight(k, l, f[SUB], atoi(f[INDEX]), f[NAME], -1, NULL, &w) != 0)
        fail_msg("%s: %s", f[FILE_NAME], kp_errmsg());
    char shape[KP_SHAPE_TEXT], crc[16];
    snprintf(crc, sizeof crc, "%08lx", crc32_z(0, w.data, w.size_bytes));
    assert_string_equal(kp_dtype_name(w.dtype), f[DTYPE]);
    assert_string_equal(kp_shape_text(w.shape, w.ndim, shape, sizeof shape), f[SHAPE]);
    if (strcmp(crc, f[CRC]) != 0)
        fail_msg("%s: %s %s %s is %s: other values than Keras'", f[FILE_NAME], f[PATH], f[SUB],
                 f[NAME], w.where);
}

static void finish(kp_keras **k)
{
    if (*k != NULL && kp_keras_check_unused(*k) != 0)
        fail_msg("%s", kp_errmsg());
    kp_keras_close(k);
}

static void every_weight(void **state)
{
    (void)state;
    FILE *list = fopen(MODELS "expected.tsv", "r");
    assert_non_null(list);
    char line[512], file[128] = "";
    kp_keras *k = NULL;
    int n = 0;
    while (fgets(line, sizeof line, list) != NULL) {
        line[strcspn(line, "\n")] = '\0';
        char *f[FIELDS], *rest = line;
        for (int i = 0; i < FIELDS; i++)
            f[i] = strsep(&rest, "\t");
        assert_non_null(f[CRC]);
        if (strcmp(file, f[FILE_NAME]) != 0) {
            finish(&k);
            snprintf(file, sizeof file, "%s", f[FILE_NAME]);
            k = open_model(file);
        }
        check_weight(k, f);
        n++;
    }
    finish(&k);
    fclose(list);
    assert_true(n > 200);
}

/* ---- trees ---- */

static void check_call(const kp_layers *m, int i, const char *layer, int node)
{
    assert_string_equal(m->calls[i].layer->name, layer);
    assert_int_equal(m->calls[i].node_index, node);
}

static int call_of(const kp_layers *m, const char *layer, int node)
{
    for (int i = 0; i < m->n_calls; i++)
        if (strcmp(m->calls[i].layer->name, layer) == 0 && m->calls[i].node_index == node)
            return i;
    fail_msg("no call %d of %s", node, layer);
    return -1;
}

/* The call that argument `item` of a call's first (list) argument comes from. */
static int source(const kp_layers *m, int call, int item)
{
    const kp_arg *a = &m->calls[call].args.items[0];
    a = a->kind == KP_ARG_LIST ? &a->items[item] : a;
    assert_int_equal(a->kind, KP_ARG_REF);
    return a->ref.call;
}

static void functional_tree(void **state)
{
    kp_keras *k = open_model(*state);
    const kp_layer *root = kp_keras_root(k);
    const kp_layers *m = root->model;
    assert_non_null(m);
    assert_false(m->sequential);
    assert_null(root->parent);
    assert_int_equal(m->n_layers, 9);
    assert_int_equal(m->n_calls, 10);
    int cat = call_of(m, "cat", 0);
    check_call(m, source(m, cat, 0), "twice", 0);
    check_call(m, source(m, source(m, cat, 1), 0), "twice", 1);
    check_call(m, source(m, call_of(m, "inner", 0), 0), "cat", 0);
    int sum = call_of(m, "sum", 0);
    check_call(m, source(m, sum, 0), "head", 0);
    check_call(m, source(m, sum, 1), "side", 0);
    assert_int_equal(m->n_inputs, 2);
    check_call(m, m->flat_inputs[0].call, "a", 0);
    check_call(m, m->flat_inputs[1].call, "b", 0);
    assert_int_equal(m->n_outputs, 2);
    assert_int_equal(m->flat_outputs[0].call, sum);
    check_call(m, m->flat_outputs[1].call, "side", 0);
    const kp_layer *inner = m->calls[call_of(m, "inner", 0)].layer;
    assert_non_null(inner->model);
    assert_string_equal(inner->model->layers[1]->path, "inner/dw");
    const kp_layer *head = m->calls[call_of(m, "head", 0)].layer;
    assert_true(head->model->sequential);
    assert_int_equal(head->model->n_calls, 5);
    assert_string_equal(head->model->layers[0]->class_name, "InputLayer");
    kp_keras_close(&k);
}

static void sequential_tree(void **state)
{
    kp_keras *k = open_model(*state);
    const kp_layers *m = kp_keras_root(k)->model;
    assert_true(m->sequential);
    assert_int_equal(m->n_layers, 6);
    const json_t *shape = json_object_get(m->layers[0]->config, "batch_shape");
    assert_int_equal(json_array_size(shape), 3);
    assert_true(json_is_null(json_array_get(shape, 0)));
    assert_int_equal(json_integer_value(json_array_get(shape, 2)), 6);
    for (int i = 1; i < m->n_calls; i++)
        assert_int_equal(source(m, i, 0), i - 1);
    const kp_layer *td = m->layers[3];
    assert_int_equal(td->n_inner, 1);
    assert_string_equal(td->inner_key[0], "layer");
    assert_string_equal(td->inner[0]->class_name, "Dense");
    int64_t filters, sizes[2];
    bool bias;
    const char *padding;
    assert_int_equal(kp_cfg_int(m->layers[1], "filters", 0, &filters), 0);
    assert_int_equal(filters, 5);
    assert_int_equal(kp_cfg_ints(m->layers[1], "kernel_size", 2, 1, sizes), 0);
    assert_int_equal(sizes[1], 3);
    assert_int_equal(kp_cfg_bool(m->layers[1], "use_bias", false, &bias), 0);
    assert_true(bias);
    assert_int_equal(kp_cfg_str(m->layers[1], "padding", "?", &padding), 0);
    assert_string_equal(padding, "valid");
    assert_int_equal(kp_cfg_int(m->layers[1], "padding", 0, &filters), KP_EMODEL);
    assert_non_null(strstr(kp_errmsg(), "\"c\" (Conv1D): config \"padding\" must be an integer"));
    kp_keras_close(&k);
}

static void dicts(void **state)
{
    kp_keras *k = open_model(*state);
    const kp_layers *m = kp_keras_root(k)->model;
    assert_int_equal(m->inputs.kind, KP_ARG_DICT);
    check_call(m, m->flat_inputs[0].call, "x", 0);
    check_call(m, m->flat_inputs[1].call, "y", 0);
    check_call(m, m->flat_outputs[0].call, "multiply", 0);
    check_call(m, m->flat_outputs[1].call, "sub", 0);
    const kp_call *multiply = &m->calls[m->flat_outputs[0].call];
    assert_true(multiply->layer->is_operation);
    assert_false(m->calls[m->flat_outputs[1].call].layer->is_operation);
    assert_int_equal(multiply->args.items[1].kind, KP_ARG_FLOAT);
    assert_true(multiply->args.items[1].real == 2.0);
    int sub = m->flat_outputs[1].call;
    check_call(m, source(m, sub, 0), "only", 0);
    check_call(m, source(m, sub, 1), "only", 1);
    kp_keras_close(&k);
}

static void versions(void **state)
{
    (void)state;
    static const struct {
        const char *file;
        enum kp_keras_format format;
        int major;
        const char *backend;
    } rows[] = {{"k3_dicts.keras", KP_FORMAT_KERAS_V3, 3, ""},
                {"k3_dicts.h5", KP_FORMAT_LEGACY_H5, 3, "tensorflow"},
                {"k2_windows.keras", KP_FORMAT_KERAS_V2_ZIP, 2, ""},
                {"k2_older.h5", KP_FORMAT_LEGACY_H5, 2, "tensorflow"}};
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        kp_keras *k = open_model(rows[i].file);
        assert_int_equal(kp_keras_format_of(k), rows[i].format);
        assert_int_equal(kp_keras_major(k), rows[i].major);
        assert_string_equal(kp_keras_backend(k), rows[i].backend);
        kp_keras_close(&k);
    }
}

static void shape_is_checked(void **state)
{
    kp_keras *k = open_model(*state);
    kp_layer *l = find_layer(kp_keras_root(k), "inner/sep");
    kp_weight w;
    int64_t fits[] = {1, 1, -1, 7}, other[] = {1, 1, 10, 8};
    assert_int_equal(kp_keras_weight(k, l, "", 1, "pointwise_kernel", 4, fits, &w), 0);
    assert_int_equal(w.shape[2], 10);
    assert_int_equal(kp_keras_weight(k, l, "", 1, "pointwise_kernel", 4, other, &w), KP_EMODEL);
    assert_non_null(strstr(kp_errmsg(), "layer \"inner/sep\" (SeparableConv2D): variable "
                                        "\"pointwise_kernel\""));
    assert_non_null(strstr(kp_errmsg(), "(1, 1, 10, 7)"));
    assert_non_null(strstr(kp_errmsg(), "(1, 1, 10, 8)"));
    assert_int_equal(kp_keras_weight(k, l, "", 7, "nothing", -1, NULL, &w), KP_EMODEL);
    assert_non_null(strstr(kp_errmsg(), "no variable \"nothing\""));
    kp_keras_close(&k);
}

static void unasked_is_told(void **state)
{
    kp_keras *k = open_model(*state);
    kp_layer *l = find_layer(kp_keras_root(k), "side");
    kp_weight w;
    assert_int_equal(kp_keras_check_unused(k), 0);
    assert_int_equal(kp_keras_weight_count(k, l, ""), 2);
    assert_int_equal(kp_keras_weight(k, l, "", 0, "kernel", -1, NULL, &w), 0);
    assert_int_equal(kp_keras_check_unused(k), KP_EMODEL);
    assert_non_null(strstr(kp_errmsg(), "layer \"side\" (Dense): the file has a variable"));
    assert_int_equal(kp_keras_weight(k, l, "", 1, "bias", -1, NULL, &w), 0);
    assert_int_equal(kp_keras_check_unused(k), 0);
    kp_keras_close(&k);
}

#define CASE(test, file)                                                                           \
    {                                                                                              \
#test " " file, test, NULL, NULL, (void *)(uintptr_t)file                                  \
    }

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_weight),
        CASE(functional_tree, "k3_functional.keras"),
        CASE(functional_tree, "k3_functional.h5"),
        CASE(functional_tree, "k2_functional.keras"),
        CASE(functional_tree, "k2_functional.h5"),
        CASE(sequential_tree, "k3_sequential.keras"),
        CASE(sequential_tree, "k3_sequential.h5"),
        CASE(sequential_tree, "k2_sequential.keras"),
        CASE(sequential_tree, "k2_sequential.h5"),
        CASE(sequential_tree, "k2_older.h5"),
        CASE(dicts, "k3_dicts.keras"),
        CASE(dicts, "k3_dicts.h5"),
        cmocka_unit_test(versions),
        CASE(shape_is_checked, "k3_functional.keras"),
        CASE(shape_is_checked, "k2_functional.h5"),
        CASE(unasked_is_told, "k3_functional.keras"),
        CASE(unasked_is_told, "k2_functional.h5"),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
