/* Configurations of Keras 1 in the words of Keras 2: class names and the names of arguments, in
 * place. What has no counterpart later (Highway, MaxoutDense, ...) keeps its class. */
#include "keras/private.h"

typedef struct renaming {
    const char *from, *to;
} renaming;

static const renaming classes[] = {
    {"Convolution1D", "Conv1D"},
    {"Convolution2D", "Conv2D"},
    {"Convolution3D", "Conv3D"},
    {"AtrousConvolution1D", "Conv1D"},
    {"AtrousConvolution2D", "Conv2D"},
    {"AtrousConv1D", "Conv1D"},
    {"AtrousConv2D", "Conv2D"},
    {"Deconvolution2D", "Conv2DTranspose"},
    {"Deconv2D", "Conv2DTranspose"},
    {"SeparableConvolution2D", "SeparableConv2D"},
    {"SeparableConv2D", "SeparableConv2D"},
    {"TimeDistributedDense", "Dense"},
};

/* Arguments whose meaning does not depend on the class. */
static const renaming arguments[] = {
    {"bias", "use_bias"},
    {"p", "rate"},
    {"sigma", "stddev"},
    {"border_mode", "padding"},
    {"subsample", "strides"},
    {"subsample_length", "strides"},
    {"nb_filter", "filters"},
    {"filter_length", "kernel_size"},
    {"atrous_rate", "dilation_rate"},
    {"inner_activation", "recurrent_activation"},
    {"pool_length", "pool_size"},
    {"stride", "strides"},
    {"length", "size"},
};

static int set(json_t *config, const char *key, json_t *value)
{
    return json_object_set_new(config, key, value) == 0 ? 0 : kp_fail(KP_ENOMEM, "out of memory");
}

static int move(json_t *config, const char *from, const char *to)
{
    json_t *v = json_object_get(config, from);
    if (v == NULL)
        return 0;
    KP_TRY(set(config, to, json_incref(v)));
    json_object_del(config, from);
    return 0;
}

static int gather(json_t *config, const char *const *from, int n)
{
    json_t *list = json_array();
    for (int i = 0; i < n; i++) {
        json_t *v = json_object_get(config, from[i]);
        if (v == NULL || json_array_append(list, v) != 0) {
            json_decref(list);
            return 0;
        }
    }
    return set(config, "kernel_size", list);
}

static int kernel_size(json_t *config)
{
    static const char *const two[] = {"nb_row", "nb_col"};
    static const char *const three[] = {"kernel_dim1", "kernel_dim2", "kernel_dim3"};
    KP_TRY(gather(config, two, 2));
    return gather(config, three, 3);
}

/* "th" or "tf". Layers that resize have it not in their config: they follow the file's others. */
static int data_format(kp_keras *k, const char *class_name, json_t *config)
{
    static const char *const follow[] = {"UpSampling2D",    "UpSampling3D", "ZeroPadding2D",
                                         "ZeroPadding3D",   "Cropping2D",   "Cropping3D",
                                         "SpatialDropout2D"};
    const char *order = kp_json_str(config, "dim_ordering", NULL);
    for (size_t i = 0; order == NULL && i < sizeof follow / sizeof *follow; i++)
        if (strcmp(class_name, follow[i]) == 0)
            order = k->dim_ordering;
    if (order == NULL)
        return 0;
    const char *format = strcmp(order, "th") == 0 ? "channels_first" : "channels_last";
    return set(config, "data_format", json_string(format));
}

/* Merge became a class for each of its modes. */
static int merge(json_t *object, json_t *config)
{
    static const renaming modes[] = {
        {"sum", "Add"},     {"mul", "Multiply"}, {"concat", "Concatenate"},
        {"ave", "Average"}, {"max", "Maximum"},  {"dot", "Dot"},
        {"cos", "Dot"}};
    const char *mode = kp_json_str(config, "mode", "sum");
    for (size_t i = 0; i < sizeof modes / sizeof *modes; i++) {
        if (strcmp(mode, modes[i].from) != 0)
            continue;
        KP_TRY(set(object, "class_name", json_string(modes[i].to)));
        KP_TRY(move(config, "concat_axis", "axis"));
        KP_TRY(move(config, "dot_axes", "axes"));
        return set(config, "normalize", json_boolean(strcmp(mode, "cos") == 0));
    }
    return kp_fail(KP_EMODEL, "layer \"%s\" (Merge): the mode \"%s\" is not supported",
                   kp_json_str(config, "name", ""), mode);
}

static bool is_one_of(const char *s, const char *const *list)
{
    for (; *list != NULL; list++)
        if (strcmp(s, *list) == 0)
            return true;
    return false;
}

static int rename_arguments(const char *class_name, json_t *config)
{
    static const char *const units[] = {
        "Dense", "TimeDistributedDense", "MaxoutDense", "LSTM", "GRU", "SimpleRNN", NULL};
    static const char *const gates[] = {"LSTM", "GRU", "ConvLSTM2D", NULL};
    if (is_one_of(class_name, units))
        KP_TRY(move(config, "output_dim", "units"));
    for (size_t i = 0; i < sizeof arguments / sizeof *arguments; i++)
        KP_TRY(move(config, arguments[i].from, arguments[i].to));
    if (is_one_of(class_name, gates) && json_object_get(config, "recurrent_activation") == NULL)
        KP_TRY(set(config, "recurrent_activation", json_string("hard_sigmoid")));
    return strcmp(class_name, "GRU") == 0 ? set(config, "reset_after", json_false()) : 0;
}

int kp_old_modernise(kp_keras *k, json_t *object)
{
    json_t *config = json_object_get(object, "config");
    const char *name = kp_json_str(object, "class_name", "");
    char class_name[64];
    if (!json_is_object(config))
        return 0;
    snprintf(class_name, sizeof class_name, "%s", name);
    if (strcmp(class_name, "Merge") == 0)
        return merge(object, config);
    if (strcmp(class_name, "BatchNormalization") == 0 &&
        json_integer_value(json_object_get(config, "mode")) != 0)
        return kp_fail(KP_EMODEL,
                       "layer \"%s\" (BatchNormalization): mode %d of Keras 1 is not supported: it "
                       "normalises by what the batch happens to hold",
                       kp_json_str(config, "name", ""),
                       (int)json_integer_value(json_object_get(config, "mode")));
    KP_TRY(rename_arguments(class_name, config));
    KP_TRY(kernel_size(config));
    KP_TRY(data_format(k, class_name, config));
    for (size_t i = 0; i < sizeof classes / sizeof *classes; i++)
        if (strcmp(class_name, classes[i].from) == 0)
            return set(object, "class_name", json_string(classes[i].to));
    return 0;
}

const char *kp_old_dim_ordering(const json_t *v, int depth)
{
    const char *key, *found = NULL;
    json_t *item;
    size_t i;
    if (depth > KP_MODEL_DEPTH * 4)
        return NULL;
    if (json_is_array(v)) {
        json_array_foreach(v, i, item) if (found == NULL) found =
            kp_old_dim_ordering(item, depth + 1);
    } else if (json_is_object(v)) {
        found = kp_json_str(v, "dim_ordering", NULL);
        json_object_foreach((json_t *)(uintptr_t)v, key, item) if (found == NULL) found =
            kp_old_dim_ordering(item, depth + 1);
    }
    return found;
}
