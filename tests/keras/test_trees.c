/* Forms of config that Keras of today does not write: node indexes, lists, bare Sequentials. */
#include "keras/private.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

/* Parses text as the config of a file of Keras `major`, without weights. */
static kp_keras *parse(const char *text, int major, enum kp_keras_format format)
{
    static kp_keras k;
    k = (kp_keras){.major = major, .format = format, .version = "", .backend = ""};
    k.made = json_array();
    assert_int_equal(kp_arena_new(&k.mem, 64 << 20), 0);
    if (kp_json_read(&k.config, text, strlen(text), "config") != 0 ||
        kp_tree_layer(&k, k.config, NULL, NULL, 0, &k.root) != 0)
        fail_msg("%s", kp_errmsg());
    return &k;
}

static void done(kp_keras *k)
{
    json_decref(k->config);
    json_decref(k->made);
    kp_arena_free(&k->mem);
}

#define INPUT                                                                                      \
    "{\"class_name\":\"InputLayer\",\"name\":\"i\",\"inbound_nodes\":[],\"config\":{"              \
    "\"batch_input_shape\":[null,5],\"name\":\"i\"}}"
#define NESTED(nodes)                                                                              \
    "{\"class_name\":\"Functional\",\"name\":\"n\",\"inbound_nodes\":" nodes ",\"config\":{"       \
    "\"name\":\"n\",\"layers\":[" INPUT "],\"input_layers\":[[\"i\",0,0]],"                        \
    "\"output_layers\":[[\"i\",0,0]]}}"
#define LAYER(cls, name, nodes)                                                                    \
    "{\"class_name\":\"" cls "\",\"name\":\"" name "\",\"config\":{\"name\":\"" name               \
    "\",\"trainable\":true},\"inbound_nodes\":" nodes "}"
#define MODEL(layers, outputs)                                                                     \
    "{\"class_name\":\"Functional\",\"config\":{\"name\":\"m\",\"layers\":[" INPUT "," layers      \
    "],\"input_layers\":[[\"i\",0,0]],\"output_layers\":" outputs "}}"
#define K3REF(name, node)                                                                          \
    "{\"class_name\":\"__keras_tensor__\",\"config\":{\"keras_history\":[\"" name "\"," #node      \
    ",0]}}"

/* The text of where call number `call` takes argument 0 from: "layer/node". */
static const char *source_text(const kp_layers *m, const kp_arg *a)
{
    static char text[64];
    if (a->kind != KP_ARG_REF)
        return "none";
    const kp_call *from = &m->calls[a->ref.call];
    snprintf(text, sizeof text, "%s/%d.%d", from->layer->name, from->node_index, a->ref.tensor);
    return text;
}

static const kp_call *call_of(const kp_layers *m, const char *layer)
{
    for (int i = 0; i < m->n_calls; i++)
        if (strcmp(m->calls[i].layer->name, layer) == 0)
            return &m->calls[i];
    fail_msg("no call of %s", layer);
    return NULL;
}

/* Each row: two calls of a nested model, x takes one of them, the output is another. */
static void node_indexes(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        int major;
        enum kp_keras_format format;
        const char *x_from, *output;
    } rows[] = {
        /* Keras 2: a nested model's own node is 0, so its calls are 1 and 2. */
        {MODEL(NESTED("[[[\"i\",0,0,{}]],[[\"i\",0,0,{}]]]") "," LAYER("ReLU", "x",
                                                                       "[[[\"n\",1,0,{}]]]"),
               "[[\"n\",2,0],[\"x\",0,0]]"),
         2, KP_FORMAT_LEGACY_H5, "n/0.0", "n/1.0"},
        /* One call: the index says nothing. */
        {MODEL(NESTED("[[[\"i\",0,0,{}]]]") "," LAYER("ReLU", "x", "[[[\"n\",1,0,{}]]]"),
               "[[\"n\",7,0]]"),
         2, KP_FORMAT_LEGACY_H5, "n/0.0", "n/0.0"},
        /* An ordinary layer counts from 0. */
        {MODEL(LAYER("ReLU", "n", "[[[\"i\",0,0,{}]],[[\"i\",0,0,{}]]]") "," LAYER(
                   "ReLU", "x", "[[[\"n\",1,0,{}]]]"),
               "[[\"n\",0,0],[\"x\",0,0]]"),
         2, KP_FORMAT_LEGACY_H5, "n/1.0", "n/0.0"},
        /* Keras 3: 0 in nodes, 1 for a nested Functional in outputs. */
        {MODEL(NESTED("[{\"args\":[" K3REF("i", 0) "],\"kwargs\":{}},{\"args\":[" K3REF(
                   "i", 0) "],\"kwargs\":{}}]") "," LAYER("ReLU", "x",
                                                          "[{\"args\":[" K3REF(
                                                              "n", 0) "],\"kwargs\":{}}]"),
               "[[\"n\",2,0],[\"x\",0,0]]"),
         3, KP_FORMAT_KERAS_V3, "n/0.0", "n/1.0"},
        {MODEL(NESTED("[{\"args\":[" K3REF("i", 0) "],\"kwargs\":{}},{\"args\":[" K3REF(
                   "i", 0) "],\"kwargs\":{}}]") "," LAYER("ReLU", "x",
                                                          "[{\"args\":[" K3REF(
                                                              "n", 1) "],\"kwargs\":{}}]"),
               "[\"n\",1,0]"),
         3, KP_FORMAT_KERAS_V3, "n/1.0", "n/0.0"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        kp_keras *k = parse(rows[i].text, rows[i].major, rows[i].format);
        const kp_layers *m = k->root->model;
        assert_string_equal(source_text(m, &call_of(m, "x")->args.items[0]), rows[i].x_from);
        const kp_arg *out = m->outputs.kind == KP_ARG_REF ? &m->outputs : &m->outputs.items[0];
        assert_string_equal(source_text(m, out), rows[i].output);
        done(k);
    }
}

static void list_nodes(void **state)
{
    (void)state;
    kp_keras
        *k = parse(MODEL(
                       LAYER("TFOpLambda", "plus", "[[\"i\",0,0,{\"y\":2.5,\"name\":null}]]") "," LAYER("TFOpLambda", "both", "[[\"i\",0,0,{\"y\":[\"plus\",0,0]}]]") "," LAYER(
                           "SlicingOpLambda", "cut",
                           "[[\"i\",0,0,{\"slice_spec\":{\"start\":null,\"stop\":3,\"step\":null}}]"
                           "]") "," LAYER("Add", "add",
                                          "[[[\"plus\",0,0,{}],[\"both\",0,0,{}],[\"cut\",0,0,{}]]"
                                          "]") "," LAYER("LSTM", "lstm",
                                                         "[[[\"i\",0,0,{\"mask\":null}],[\"add\",0,"
                                                         "0,{}],"
                                                         "[\"both\",0,0,{}]]]") "," LAYER("Multipl"
                                                                                          "y",
                                                                                          "const",
                                                                                          "[[["
                                                                                          "\"lstm\""
                                                                                          ",0,1,{}]"
                                                                                          ",[\"_"
                                                                                          "CONSTANT"
                                                                                          "_VALUE\""
                                                                                          ",-1,[1,"
                                                                                          "2.5],{}]"
                                                                                          "]]"),
                       "[[\"const\",0,0]]"),
                   2, KP_FORMAT_LEGACY_H5);
    const kp_layers *m = k->root->model;
    const kp_call *plus = call_of(m, "plus");
    assert_string_equal(source_text(m, &plus->args.items[0]), "i/0.0");
    assert_string_equal(plus->kwargs.keys[0], "y");
    assert_int_equal(plus->kwargs.items[0].kind, KP_ARG_FLOAT);
    assert_true(plus->kwargs.items[0].real == 2.5);
    assert_int_equal(plus->kwargs.items[1].kind, KP_ARG_NONE);
    assert_string_equal(source_text(m, &call_of(m, "both")->kwargs.items[0]), "plus/0.0");
    const kp_arg *slice = &call_of(m, "cut")->kwargs.items[0];
    assert_int_equal(slice->kind, KP_ARG_SLICE);
    assert_int_equal(slice->items[0].kind, KP_ARG_NONE);
    assert_int_equal(slice->items[1].integer, 3);
    const kp_arg *added = &call_of(m, "add")->args.items[0];
    assert_int_equal(added->kind, KP_ARG_LIST);
    assert_int_equal(added->n_items, 3);
    assert_string_equal(source_text(m, &added->items[2]), "cut/0.0");
    const kp_call *lstm = call_of(m, "lstm");
    assert_int_equal(lstm->args.n_items, 1);
    assert_string_equal(source_text(m, &lstm->args.items[0]), "i/0.0");
    assert_int_equal(lstm->kwargs.n_items, 2);
    assert_string_equal(lstm->kwargs.keys[1], "initial_state");
    assert_int_equal(lstm->kwargs.items[1].n_items, 2);
    assert_string_equal(source_text(m, &lstm->kwargs.items[1].items[1]), "both/0.0");
    const kp_arg *operands = &call_of(m, "const")->args.items[0];
    assert_string_equal(source_text(m, &operands->items[0]), "lstm/0.1");
    assert_int_equal(operands->items[1].kind, KP_ARG_CONST);
    const json_t *constant = operands->items[1].json;
    assert_string_equal(json_string_value(json_object_get(constant, "dtype")), "float32");
    assert_true(json_real_value(json_array_get(json_object_get(constant, "value"), 1)) == 2.5);
    done(k);
}

static void order_is_topological(void **state)
{
    (void)state;
    kp_keras *k = parse(
        MODEL(LAYER("ReLU", "c", "[[[\"b\",0,0,{}]]]") "," LAYER(
                  "ReLU", "b", "[[[\"a\",0,0,{}]]]") "," LAYER("ReLU", "a", "[[[\"i\",0,0,{}]]]"),
              "[[\"c\",0,0]]"),
        2, KP_FORMAT_LEGACY_H5);
    const kp_layers *m = k->root->model;
    static const char *const order[] = {"i", "a", "b", "c"};
    for (int i = 0; i < 4; i++)
        assert_string_equal(m->calls[i].layer->name, order[i]);
    /* The layers stay as the config has them. */
    assert_string_equal(m->layers[1]->name, "c");
    done(k);
}

#define SEQUENTIAL(more, first)                                                                    \
    "{\"class_name\":\"Sequential\",\"config\":{\"name\":\"s\"" more ",\"layers\":[" first "]}}"
#define FIRST(cls, config) "{\"class_name\":\"" cls "\",\"config\":{\"name\":\"f\"," config "}}"

static void sequential_inputs(void **state)
{
    (void)state;
    static const struct {
        const char *text, *shape, *name;
    } rows[] = {
        {SEQUENTIAL("", FIRST("Dense", "\"batch_input_shape\":[null,5],\"units\":3")), "[null,5]",
         "f_input"},
        {SEQUENTIAL(",\"build_input_shape\":[null,4,2]", FIRST("Conv1D", "\"filters\":3")),
         "[null,4,2]", "f_input"},
        {SEQUENTIAL("", FIRST("Dense", "\"input_dim\":7")), "[null,7]", "f_input"},
        {SEQUENTIAL("", FIRST("Dense", "\"input_shape\":[7,2]")), "[null,7,2]", "f_input"},
        {SEQUENTIAL("", SEQUENTIAL("", FIRST("Dense", "\"batch_input_shape\":[2,5]"))), "[2,5]",
         "s_input"},
        {"{\"class_name\":\"Sequential\",\"config\":[" FIRST("Dense",
                                                             "\"batch_input_shape\":[null,5]") "]}",
         "[null,5]", "f_input"},
        {"{\"class_name\":\"Sequential\",\"config\":[[" FIRST(
             "Dense", "\"batch_input_shape\":[null,5]") "]]}",
         "[null,5]", "f_input"},
        {SEQUENTIAL("", FIRST("InputLayer", "\"batch_input_shape\":[null,9]")), "[null,9]", "f"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        kp_keras *k = parse(rows[i].text, 2, KP_FORMAT_LEGACY_H5);
        const kp_layers *m = k->root->model;
        assert_string_equal(m->layers[0]->class_name, "InputLayer");
        assert_string_equal(m->layers[0]->name, rows[i].name);
        char *shape = json_dumps(json_object_get(m->layers[0]->config, "batch_shape"),
                                 JSON_COMPACT | JSON_ENCODE_ANY);
        assert_string_equal(shape, rows[i].shape);
        kp_free(shape);
        assert_int_equal(m->n_calls, m->n_layers);
        done(k);
    }
}

static void whose_class(void **state)
{
    (void)state;
    static const struct {
        const char *head;
        bool custom, operation;
    } rows[] = {
        {"\"class_name\":\"Add\",\"module\":\"keras.layers\",\"registered_name\":null", false,
         false},
        {"\"class_name\":\"Add\",\"module\":\"keras.src.ops.numpy\"", false, true},
        {"\"class_name\":\"Log1p\",\"module\":null,\"registered_name\":\"Custom>Log1p\"", true,
         false},
        {"\"class_name\":\"Dense\",\"module\":\"keras_hub.layers\"", true, false},
        {"\"class_name\":\"Dense\",\"module\":\"tf_keras.src.layers\"", false, false},
        {"\"class_name\":\"Mine>Block\"", true, false},
        {"\"class_name\":\"LayerScale\",\"module\":\"keras.src.applications.convnext\"", false,
         false},
        {"\"class_name\":\"Dense\"", false, false},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        char text[256];
        snprintf(text, sizeof text, "{%s,\"config\":{}}", rows[i].head);
        kp_keras *k = parse(text, 3, KP_FORMAT_KERAS_V3);
        assert_int_equal(k->root->is_custom, rows[i].custom);
        assert_int_equal(k->root->is_operation, rows[i].operation);
        done(k);
    }
}

static void policies(void **state)
{
    (void)state;
    static const struct {
        const char *dtype;
        kp_dtype compute, variable;
        const char *quantization;
    } rows[] = {
        {"null", KP_FLOAT32, KP_FLOAT32, ""},
        {"\"mixed_float16\"", KP_FLOAT16, KP_FLOAT32, ""},
        {"\"int8_from_mixed_bfloat16\"", KP_BFLOAT16, KP_FLOAT32, "int8"},
        {"\"string\"", KP_STRING, KP_STRING, ""},
        {"{\"class_name\":\"DTypePolicy\",\"config\":{\"name\":\"float64\"}}", KP_FLOAT64,
         KP_FLOAT64, ""},
        {"{\"class_name\":\"Policy\",\"config\":{\"name\":\"mixed_bfloat16\"}}", KP_BFLOAT16,
         KP_FLOAT32, ""},
        {"{\"class_name\":\"Int4DTypePolicy\",\"config\":{\"mode\":\"int4/128\",\"source_name\":"
         "\"float32\"}}",
         KP_FLOAT32, KP_FLOAT32, "int4"},
        {"{\"class_name\":\"DTypePolicyMap\",\"config\":{\"default_policy\":\"float16\","
         "\"policy_map\":{}}}",
         KP_FLOAT16, KP_FLOAT16, ""},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        char text[256];
        snprintf(text, sizeof text, "{\"class_name\":\"Dense\",\"config\":{\"dtype\":%s}}",
                 rows[i].dtype);
        kp_keras *k = parse(text, 3, KP_FORMAT_KERAS_V3);
        const kp_policy *p = &k->root->policy;
        assert_int_equal(p->compute, rows[i].compute);
        assert_int_equal(p->variable, rows[i].variable);
        assert_string_equal(p->quantization != NULL ? p->quantization : "", rows[i].quantization);
        done(k);
    }
}

static void group_names(void **state)
{
    (void)state;
    static const char *const rows[][2] = {
        {"Conv2D", "conv2d"},
        {"Conv2DTranspose", "conv2d_transpose"},
        {"LeakyReLU", "leaky_re_lu"},
        {"PReLU", "p_re_lu"},
        {"ELU", "elu"},
        {"LSTMCell", "lstm_cell"},
        {"ConvLSTM2D", "conv_lstm2d"},
        {"RMSNormalization", "rms_normalization"},
        {"STFTSpectrogram", "stft_spectrogram"},
        {"UpSampling2D", "up_sampling2d"},
        {"GroupQueryAttention", "grouped_query_attention"},
        {"ResNet50", "res_net50"},
        {"TFOpLambda", "tf_op_lambda"},
        {"SeparableConv2D", "separable_conv2d"},
        {"InputLayer", "input_layer"},
        {"GlobalAveragePooling2D", "global_average_pooling2d"},
    };
    kp_arena *mem;
    assert_int_equal(kp_arena_new(&mem, 0), 0);
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        assert_string_equal(kp_snake_case(mem, rows[i][0]), rows[i][1]);
    kp_arena_free(&mem);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(node_indexes),         cmocka_unit_test(list_nodes),
        cmocka_unit_test(order_is_topological), cmocka_unit_test(sequential_inputs),
        cmocka_unit_test(whose_class),          cmocka_unit_test(policies),
        cmocka_unit_test(group_names),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
