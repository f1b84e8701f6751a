/* Recurrent cells: configuration and weights. */
#include "lower/rnn.h"

/* ---- configuration ---- */

typedef struct cell_class {
    const char *name;
    kp_cell_kind kind;
    int rank;
    bool cudnn;
} cell_class;

static const cell_class classes[] = {
    {"SimpleRNN", KP_CELL_SIMPLE, 0, false}, {"SimpleRNNCell", KP_CELL_SIMPLE, 0, false},
    {"GRU", KP_CELL_GRU, 0, false},          {"GRUV2", KP_CELL_GRU, 0, false},
    {"GRUCell", KP_CELL_GRU, 0, false},      {"GRUCellV2", KP_CELL_GRU, 0, false},
    {"CuDNNGRU", KP_CELL_GRU, 0, true},      {"LSTM", KP_CELL_LSTM, 0, false},
    {"LSTMV2", KP_CELL_LSTM, 0, false},      {"LSTMCell", KP_CELL_LSTM, 0, false},
    {"LSTMCellV2", KP_CELL_LSTM, 0, false},  {"CuDNNLSTM", KP_CELL_LSTM, 0, true},
    {"ConvLSTM1D", KP_CELL_LSTM, 1, false},  {"ConvLSTM2D", KP_CELL_LSTM, 2, false},
    {"ConvLSTM3D", KP_CELL_LSTM, 3, false},  {"StackedRNNCells", KP_CELL_STACK, 0, false},
};

static const cell_class *class_of(const kp_layer *l)
{
    for (size_t i = 0; i < sizeof classes / sizeof *classes; i++)
        if (!l->is_custom && strcmp(classes[i].name, l->class_name) == 0)
            return &classes[i];
    return NULL;
}

static int read_sizes(const kp_layer *l, const char *key, int n, int64_t dflt, int64_t *out)
{
    KP_TRY(kp_cfg_ints(l, key, n, dflt, out));
    for (int i = 0; i < n; i++)
        if (out[i] < 1 || out[i] > INT32_MAX)
            return kp_fail(KP_EMODEL, "layer \"%s\" (%s): %s %lld is not a size", l->path,
                           l->class_name, key, (long long)out[i]);
    return 0;
}

static int read_window(const kp_layer *l, kp_cell *cell)
{
    const char *padding;
    kp_window *win = &cell->window;
    win->n_spatial = cell->rank;
    KP_TRY(kp_lw_channels_first(l, &cell->channels_first));
    KP_TRY(read_sizes(l, "kernel_size", cell->rank, 0, win->size));
    KP_TRY(read_sizes(l, "strides", cell->rank, 1, win->stride));
    KP_TRY(read_sizes(l, "dilation_rate", cell->rank, 1, win->dilation));
    KP_TRY(kp_cfg_str(l, "padding", "valid", &padding));
    win->padding = strcmp(padding, "same") == 0 ? KP_PAD_SAME : KP_PAD_VALID;
    if (strcmp(padding, "valid") != 0 && win->padding != KP_PAD_SAME)
        return kp_fail(KP_EMODEL, "layer \"%s\": padding \"%s\" is not known here", l->path,
                       padding);
    return 0;
}

/* Keras' names of one kind of cells in a stack are numbered in the file. */
static int read_stack(kp_lw *w, const kp_layer *l, kp_cell *out)
{
    out->cells = kp_arena_array(w->mem, (size_t)l->n_inner + 1, sizeof *out->cells);
    if (!out->cells)
        return KP_ENOMEM;
    for (int i = 0; i < l->n_inner; i++) {
        bool own = strcmp(out->sub, "") == 0;
        kp_cell *cell = &out->cells[out->n_cells++];
        const char *sub =
            own ? "" : kp_arena_printf(w->mem, "%s/cells/%s", out->sub, l->inner[i]->name);
        if (!sub)
            return KP_ENOMEM;
        KP_TRY(kp_cell_read(w, l->inner[i], own ? l->inner[i] : out->owner, sub, cell));
    }
    if (out->n_cells == 0 || kp_cell_states(out) > KP_CELL_STATES_MAX)
        return kp_fail(KP_EMODEL, "layer \"%s\" (%s): a stack of %d cells is not supported",
                       l->path, l->class_name, out->n_cells);
    out->units = out->cells[out->n_cells - 1].units;
    return 0;
}

int kp_cell_read(kp_lw *w, const kp_layer *layer, kp_layer *owner, const char *sub, kp_cell *out)
{
    const cell_class *k = class_of(layer);
    if (!k)
        return kp_fail(KP_EMODEL, "layer \"%s\" (%s): this cell is not supported", layer->path,
                       layer->class_name);
    *out = (kp_cell){.kind = k->kind,
                     .layer = layer,
                     .owner = owner,
                     .sub = sub,
                     .cudnn = k->cudnn,
                     .rank = k->rank};
    if (out->kind == KP_CELL_STACK)
        return read_stack(w, layer, out);
    bool old = kp_lw_is_null(layer, "units") && k->rank == 0; /* Keras 1 */
    if (old && kp_lw_is_null(layer, "output_dim"))
        return kp_fail(KP_EMODEL,
                       "layer \"%s\" (%s): the file does not say what the cell is made of (early "
                       "versions of Keras 2 did not store it): load the weights into the model in "
                       "a later Keras and save it again",
                       layer->path, layer->class_name);
    KP_TRY(read_sizes(layer,
                      k->rank > 0 ? "filters"
                      : old       ? "output_dim"
                                  : "units",
                      1, 0, &out->units));
    KP_TRY(kp_cfg_bool(layer, "use_bias", true, &out->has_bias));
    KP_TRY(kp_cfg_bool(layer, "reset_after", w->major >= 3 || k->cudnn, &out->reset_after));
    return k->rank > 0 ? read_window(layer, out) : 0;
}

int kp_cell_states(const kp_cell *cell)
{
    int n = cell->kind == KP_CELL_LSTM ? 2 : 1;
    for (int i = 0; i < cell->n_cells; i++)
        n = (i > 0 ? n : 0) + kp_cell_states(&cell->cells[i]);
    return n;
}

/* ---- weights as cuDNN takes them ---- */

/* The kernel's blocks of columns, one a gate, were handed over row by row and read as matrices of
 * the other order. */
static int turn_blocks(kp_lw *w, int64_t units, kp_value **v)
{
    int64_t rows = (*v)->shape[0], columns = (*v)->shape[1];
    const float *from = kp_graph_const_f32(w->g, *v);
    float *to = kp_graph_alloc(w->g, (size_t)(rows * columns) * sizeof *to);
    if (!from || !to)
        return KP_ENOMEM;
    for (int64_t gate = 0; gate < columns / units; gate++)
        for (int64_t i = 0; i < rows; i++)
            for (int64_t j = 0; j < units; j++) {
                int64_t at = j * rows + i; /* in the block, row by row */
                to[i * columns + gate * units + j] =
                    from[at / units * columns + gate * units + at % units];
            }
    return kp_graph_add_const(w->g, w->name, KP_FLOAT32, (*v)->shape, 2, to, v);
}

/* An LSTM's two biases are always added to each other. */
static int add_halves(kp_lw *w, kp_value **bias)
{
    int64_t n = (*bias)->shape[0] / 2;
    const float *from = kp_graph_const_f32(w->g, *bias);
    float *to = kp_graph_alloc(w->g, (size_t)n * sizeof *to);
    if (!from || !to)
        return KP_ENOMEM;
    for (int64_t i = 0; i < n; i++)
        to[i] = from[i] + from[n + i];
    return kp_graph_add_const(w->g, w->name, KP_FLOAT32, &n, 1, to, bias);
}

static int from_cudnn(kp_lw *w, kp_cell *cell)
{
    KP_TRY(turn_blocks(w, cell->units, &cell->kernel));
    KP_TRY(turn_blocks(w, cell->units, &cell->recurrent));
    return cell->kind == KP_CELL_LSTM ? add_halves(w, &cell->bias) : 0;
}

/* ---- weights of Keras 1: one array a gate ---- */

/* Columns of one array a gate, side by side in the order of the gates. */
static int join_gates(kp_lw *w, kp_value *const *parts, int n, kp_value **out)
{
    int64_t rows = parts[0]->ndim == 2 ? parts[0]->shape[0] : 1;
    int64_t units = parts[0]->shape[parts[0]->ndim - 1];
    int64_t shape[2] = {rows, units * n};
    bool flat = parts[0]->ndim == 1;
    float *to = kp_graph_alloc(w->g, (size_t)(rows * units * n) * sizeof *to);
    if (!to)
        return KP_ENOMEM;
    for (int k = 0; k < n; k++) {
        const float *from = kp_graph_const_f32(w->g, parts[k]);
        if (!from)
            return KP_ENOMEM;
        for (int64_t r = 0; r < rows; r++)
            memcpy(to + r * units * n + k * units, from + r * units, (size_t)units * sizeof *to);
    }
    return kp_graph_add_const(w->g, w->name, KP_FLOAT32, flat ? shape + 1 : shape, flat ? 1 : 2, to,
                              out);
}

/* In the order of the file: an LSTM's i, c, f, o, a GRU's z, r, h; W, U and b of each. */
static int load_gates(kp_lw *w, kp_cell *cell, int64_t features)
{
    static const char *const lstm[] = {"i", "c", "f", "o"}, *const gru[] = {"z", "r", "h"};
    static const int lstm_place[] = {0, 2, 1, 3}, gru_place[] = {0, 1, 2};
    bool is_lstm = cell->kind == KP_CELL_LSTM;
    int n = is_lstm ? 4 : 3;
    kp_value *kernel[4], *recurrent[4], *bias[4];
    for (int g = 0; g < n; g++) {
        const char *gate = is_lstm ? lstm[g] : gru[g];
        int to = is_lstm ? lstm_place[g] : gru_place[g];
        const char *k = kp_arena_printf(w->mem, "W_%s", gate);
        const char *r = kp_arena_printf(w->mem, "U_%s", gate);
        const char *b = kp_arena_printf(w->mem, "b_%s", gate);
        if (!k || !r || !b)
            return KP_ENOMEM;
        KP_TRY(kp_lw_weight_get(w, cell->sub, 3 * g, k, 2, (int64_t[]){features, cell->units}, 0,
                                NULL, true, &kernel[to]));
        KP_TRY(kp_lw_weight_get(w, cell->sub, 3 * g + 1, r, 2,
                                (int64_t[]){cell->units, cell->units}, 0, NULL, true,
                                &recurrent[to]));
        KP_TRY(kp_lw_weight_get(w, cell->sub, 3 * g + 2, b, 1, &cell->units, 0, NULL, true,
                                &bias[to]));
    }
    KP_TRY(join_gates(w, kernel, n, &cell->kernel));
    KP_TRY(join_gates(w, recurrent, n, &cell->recurrent));
    return join_gates(w, bias, n, &cell->bias);
}

/* ---- weights ---- */

static int bias_shape(const kp_cell *cell, int64_t width, int64_t *shape)
{
    bool two = cell->kind == KP_CELL_GRU && cell->reset_after;
    shape[0] = two && !cell->cudnn ? 2 : width;
    shape[1] = width;
    if (cell->cudnn)
        shape[0] = 2 * width;
    return two && !cell->cudnn ? 2 : 1;
}

static int load_whole(kp_lw *w, kp_cell *cell, int64_t features)
{
    static const char *const names[2][3] = {{"kernel", "recurrent_kernel", "bias"},
                                            {"W", "U", "b"}};
    const char *const *name = names[w->major == 1];
    int gates = cell->kind == KP_CELL_LSTM ? 4 : cell->kind == KP_CELL_GRU ? 3 : 1;
    int64_t width = gates * cell->units, shape[KP_MAX_SPATIAL + 2], bias[2];
    int n = cell->rank;
    memcpy(shape, cell->window.size, (size_t)n * sizeof *shape);
    shape[n] = features;
    shape[n + 1] = width;
    KP_TRY(kp_lw_weight_get(w, cell->sub, 0, name[0], n + 2, shape, 0, NULL, true, &cell->kernel));
    shape[n] = cell->units;
    KP_TRY(
        kp_lw_weight_get(w, cell->sub, 1, name[1], n + 2, shape, 0, NULL, true, &cell->recurrent));
    if (!cell->has_bias)
        return 0;
    int bias_ndim = bias_shape(cell, width, bias);
    return kp_lw_weight_get(w, cell->sub, 2, name[2], bias_ndim, bias, 0, NULL, true, &cell->bias);
}

static int load(kp_lw *w, kp_cell *cell, int64_t features)
{
    const char *mode = json_string_value(json_object_get(cell->layer->config, "consume_less"));
    bool gates = w->major == 1 && cell->kind != KP_CELL_SIMPLE && cell->rank == 0 &&
                 (!mode || strcmp(mode, "gpu") != 0);
    if (cell->units > INT32_MAX / 8)
        return kp_fail(KP_EMODEL, "layer \"%s\": %lld units are too many", cell->layer->path,
                       (long long)cell->units);
    KP_TRY(gates ? load_gates(w, cell, features) : load_whole(w, cell, features));
    return cell->cudnn ? from_cudnn(w, cell) : 0;
}

int kp_cell_load(kp_lw *w, kp_cell *cell, int64_t features)
{
    for (int i = 0; i < cell->n_cells; i++) {
        KP_TRY(kp_cell_load(w, &cell->cells[i], features));
        features = cell->cells[i].units;
    }
    if (cell->kind == KP_CELL_STACK)
        return 0;
    kp_lw_record *record = w->record;
    w->record = kp_lw_record_of(w, cell->owner);
    int status = load(w, cell, features);
    w->record = record;
    return status;
}
