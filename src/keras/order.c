/*
 * The order of variables in the weight list of a nested model, where names do not tell.
 *
 * Keras lists all trainable variables of all sublayers, in the order of the layers, then all
 * others; those of a frozen layer, or of a frozen model, stand among the others.
 */
#include "keras/private.h"

/* The variables of a class in order of creation; flag: the config key that drops one when false.
 * Those after the first `trainable` are never trainable. */
struct variables {
    const char *class_name;
    int n, trainable;
    const char *names[4], *flags[4];
};

static const struct variables table[] = {
    {"Dense", 2, 2, {"kernel", "bias"}, {NULL, "use_bias"}},
    {"Conv1D", 2, 2, {"kernel", "bias"}, {NULL, "use_bias"}},
    {"Conv2D", 2, 2, {"kernel", "bias"}, {NULL, "use_bias"}},
    {"Conv3D", 2, 2, {"kernel", "bias"}, {NULL, "use_bias"}},
    {"Conv1DTranspose", 2, 2, {"kernel", "bias"}, {NULL, "use_bias"}},
    {"Conv2DTranspose", 2, 2, {"kernel", "bias"}, {NULL, "use_bias"}},
    {"Conv3DTranspose", 2, 2, {"kernel", "bias"}, {NULL, "use_bias"}},
    {"DepthwiseConv1D", 2, 2, {"kernel", "bias"}, {NULL, "use_bias"}},
    {"DepthwiseConv2D", 2, 2, {"kernel", "bias"}, {NULL, "use_bias"}},
    {"SeparableConv1D",
     3,
     3,
     {"depthwise_kernel", "pointwise_kernel", "bias"},
     {NULL, NULL, "use_bias"}},
    {"SeparableConv2D",
     3,
     3,
     {"depthwise_kernel", "pointwise_kernel", "bias"},
     {NULL, NULL, "use_bias"}},
    {"BatchNormalization",
     4,
     2,
     {"gamma", "beta", "moving_mean", "moving_variance"},
     {"scale", "center", NULL, NULL}},
    {"BatchNormalizationV1",
     4,
     2,
     {"gamma", "beta", "moving_mean", "moving_variance"},
     {"scale", "center", NULL, NULL}},
    {"LayerNormalization", 2, 2, {"gamma", "beta"}, {"scale", "center"}},
    {"GroupNormalization", 2, 2, {"gamma", "beta"}, {"scale", "center"}},
    {"Normalization", 3, 0, {"mean", "variance", "count"}, {NULL}},
    {"Embedding", 1, 1, {"embeddings"}, {NULL}},
    {"PReLU", 1, 1, {"alpha"}, {NULL}},
    {"LSTM", 3, 3, {"kernel", "recurrent_kernel", "bias"}, {NULL, NULL, "use_bias"}},
    {"GRU", 3, 3, {"kernel", "recurrent_kernel", "bias"}, {NULL, NULL, "use_bias"}},
    {"SimpleRNN", 3, 3, {"kernel", "recurrent_kernel", "bias"}, {NULL, NULL, "use_bias"}},
};

struct walk {
    const kp_layer *wanted;
    const char *name;
    int place; /* of the wanted variable, -1 while not met */
    int n;
};

static const struct variables *variables_of(const kp_layer *l)
{
    for (size_t i = 0; i < sizeof table / sizeof *table; i++)
        if (strcmp(table[i].class_name, l->class_name) == 0)
            return &table[i];
    return NULL;
}

enum part { TRAINABLE, OTHERS, BOTH };

static void add_layer(struct walk *w, const kp_layer *l, enum part part)
{
    const struct variables *v = variables_of(l);
    for (int i = 0; v != NULL && i < v->n; i++) {
        bool there = v->flags[i] == NULL || !json_is_false(json_object_get(l->config, v->flags[i]));
        bool trainable = i < v->trainable && l->trainable;
        if (!there || (part == TRAINABLE && !trainable) || (part == OTHERS && trainable))
            continue;
        if (l == w->wanted && strcmp(v->names[i], w->name) == 0)
            w->place = w->n;
        w->n++;
    }
}

static void add(struct walk *w, const kp_layer *l, enum part part)
{
    for (int i = 0; i < l->n_inner; i++)
        add(w, l->inner[i], part);
    if (l->model == NULL) {
        add_layer(w, l, part);
        return;
    }
    if (part == TRAINABLE && !l->trainable)
        return;
    enum part within = part == OTHERS && !l->trainable ? BOTH : part;
    for (int i = 0; i < l->model->n_layers; i++)
        add(w, l->model->layers[i], within);
}

int kp_legacy_order(const kp_layer *top, const kp_layer *l, const char *name, int n)
{
    if (strcmp(name, "depthwise_kernel") == 0 && strncmp(l->class_name, "DepthwiseConv", 13) == 0)
        name = "kernel";
    struct walk w = {.wanted = l, .name = name, .place = -1};
    add(&w, top, TRAINABLE);
    add(&w, top, OTHERS);
    return w.n == n ? w.place : -1;
}

bool kp_legacy_has_variables(const kp_layer *l)
{
    /* Beside those of the table, whose order within a nested model is known. */
    static const char *const more[] = {"MultiHeadAttention",
                                       "GroupQueryAttention",
                                       "AdditiveAttention",
                                       "EinsumDense",
                                       "ConvLSTM1D",
                                       "ConvLSTM2D",
                                       "ConvLSTM3D",
                                       "ConvLSTM2DCell",
                                       "LSTMCell",
                                       "GRUCell",
                                       "SimpleRNNCell",
                                       "CuDNNLSTM",
                                       "CuDNNGRU",
                                       "LocallyConnected1D",
                                       "LocallyConnected2D",
                                       "RMSNormalization",
                                       "ReversibleEmbedding",
                                       "SpectralNormalization",
                                       "TimeDistributedDense",
                                       "Convolution1D",
                                       "Convolution2D",
                                       "Convolution3D",
                                       "Deconvolution2D",
                                       "SeparableConvolution2D",
                                       "AtrousConvolution1D",
                                       "AtrousConvolution2D"};
    struct walk w = {.place = -1};
    add(&w, l, BOTH);
    bool any = w.n > 0;
    for (size_t i = 0; i < sizeof more / sizeof *more && !any; i++)
        any = strcmp(l->class_name, more[i]) == 0;
    if (strcmp(l->class_name, "Attention") == 0)
        any = json_is_true(json_object_get(l->config, "use_scale"));
    for (int i = 0; i < l->n_inner && !any; i++)
        any = kp_legacy_has_variables(l->inner[i]);
    for (int i = 0; l->model != NULL && i < l->model->n_layers && !any; i++)
        any = kp_legacy_has_variables(l->model->layers[i]);
    return any;
}
