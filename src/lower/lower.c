/* The way in: the model's inputs, its layers, its outputs, and what callers are told about it. */
#include "lower/user.h"
#include <limits.h>

static size_t count_layers(const kp_layer *l)
{
    size_t n = 1 + (size_t)l->n_inner;
    for (int i = 0; l->model && i < l->model->n_layers; i++)
        n += count_layers(l->model->layers[i]);
    for (int i = 0; i < l->n_inner; i++)
        n += count_layers(l->inner[i]);
    return n;
}

static int start(kp_lw *w, const kp_layer *root)
{
    size_t n = count_layers(root);
    for (w->n_slots = 64; w->n_slots < 4 * n;)
        w->n_slots *= 2;
    w->slots = kp_arena_array(w->mem, w->n_slots, sizeof *w->slots);
    return w->slots ? 0 : KP_ENOMEM;
}

/* ---- inputs ---- */

static int input_dtype(const kp_layer *l, kp_dtype *out)
{
    const json_t *v = json_object_get(l->config, "dtype");
    if (json_is_object(v)) /* a policy instead of a name */
        v = json_object_get(json_object_get(v, "config"), "name");
    const char *name = json_is_string(v) ? json_string_value(v) : "float32";
    *out = kp_dtype_from_name(name);
    if (*out == KP_DTYPE_NONE)
        return kp_fail(KP_EMODEL, "layer \"%s\" (%s): inputs of type %s are not supported", l->path,
                       l->class_name, name);
    return 0;
}

static int input_shape(const kp_layer *l, kp_port *port)
{
    const json_t *v = json_object_get(l->config, "batch_shape");
    if (!json_is_array(v))
        v = json_object_get(l->config, "batch_input_shape");
    size_t n = json_is_array(v) ? json_array_size(v) : 0;
    if (n < 1 || n > KP_MAX_DIMS)
        return kp_fail(KP_EMODEL,
                       "layer \"%s\" (%s): the input's shape is missing or has more "
                       "than %d axes",
                       l->path, l->class_name, KP_MAX_DIMS);
    port->ndim = (int32_t)n;
    port->shape[0] = -1;
    for (size_t i = 1; i < n; i++) {
        const json_t *e = json_array_get(v, i);
        bool open = json_is_null(e);
        port->shape[i] = open ? -1 : json_integer_value(e);
        if (!open && (!json_is_integer(e) || port->shape[i] < 1 || port->shape[i] > INT32_MAX))
            return kp_fail(KP_EMODEL,
                           "layer \"%s\" (%s): axis %zu of the input's shape is not a "
                           "size",
                           l->path, l->class_name, i);
    }
    return 0;
}

int64_t kp_lw_fixed_batch(const kp_layer *l)
{
    const json_t *v = json_object_get(l->config, "batch_shape");
    const json_t *size = json_array_get(v ? v : json_object_get(l->config, "batch_input_shape"), 0);
    return json_is_integer(size) && json_integer_value(size) > 0 ? json_integer_value(size) : 0;
}

static int add_input(kp_lw *w, const kp_layer *l, kp_port *port, kp_value **out)
{
    bool ragged, sparse;
    if (strcmp(l->class_name, "InputLayer") != 0)
        return kp_fail(KP_EMODEL,
                       "layer \"%s\" (%s): the model does not say the shape of its "
                       "input; call build() or add an Input and save it again",
                       l->path, l->class_name);
    KP_TRY(kp_cfg_bool(l, "ragged", false, &ragged));
    KP_TRY(kp_cfg_bool(l, "sparse", false, &sparse));
    if (ragged || sparse)
        return kp_fail(KP_EMODEL, "layer \"%s\" (%s): %s inputs are not supported", l->path,
                       l->class_name, ragged ? "ragged" : "sparse");
    port->name = kp_arena_strdup(w->mem, l->name);
    KP_TRY(input_dtype(l, &port->dtype));
    KP_TRY(input_shape(l, port));
    return kp_graph_add_input(w->g, port->name, port->dtype, port->shape, port->ndim, out);
}

int kp_lw_model_input(kp_lw *w, const kp_layers *m, int j, kp_port *port, kp_value **out)
{
    int call = m->flat_inputs[j].call;
    if (call < 0 || call >= m->n_calls)
        return kp_fail(KP_EMODEL, "input %d of the model does not exist", j);
    return add_input(w, m->calls[call].layer, port, out);
}

static int add_inputs(kp_lw *w, const kp_layers *m, kp_lowered *out, kp_lw_result *in)
{
    out->n_inputs = m->n_inputs;
    out->inputs = kp_arena_array(w->mem, (size_t)m->n_inputs + 1, sizeof *out->inputs);
    if (!out->inputs)
        return KP_ENOMEM;
    KP_TRY(kp_lw_result_new(w, m->n_inputs, in));
    for (int j = 0; j < m->n_inputs; j++) {
        KP_TRY(kp_lw_model_input(w, m, j, &out->inputs[j], &in->values[j]));
        out->fixed_batch = kp_lw_fixed_batch(m->calls[m->flat_inputs[j].call].layer);
    }
    w->fixed_batch = out->fixed_batch;
    return 0;
}

/* ---- records for summary ---- */

/* What one variable adds. */
static void add_variable(const kp_lowered_variable *v, bool trainable, kp_lowered_layer *sum)
{
    int64_t count = 0;
    kp_shape_count(v->weight.shape, v->weight.ndim, &count); /* checked when it was read */
    size_t bytes = (size_t)count * kp_dtype_size(v->dtype);
    sum->n_params += count;
    sum->param_bytes += bytes;
    if (!trainable)
        return;
    sum->n_trainable += count;
    sum->trainable_bytes += bytes;
}

/* Adds what the layer and those inside it hold to sum: each once, also one that several models
 * share. Whether a variable is trainable is said by the layer that has it, not by the models
 * around; a wrapper speaks for what it wraps. */
static void add_up(kp_lw *w, const kp_layer *l, bool trainable, int number, kp_lowered_layer *sum)
{
    kp_lw_record *r = kp_lw_record_of(w, kp_keras_same(l));
    if (r->summed == number)
        return;
    r->summed = number;
    for (int i = 0; l->model && i < l->model->n_layers; i++)
        add_up(w, l->model->layers[i], trainable, number, sum);
    if (l->model)
        return;
    trainable = trainable && l->trainable;
    for (const kp_lw_weight *e = kp_lw_record_of(w, l)->weights; e; e = e->next)
        if (!e->copy)
            add_variable(&e->info, trainable && e->info.trainable, sum);
    for (int i = 0; i < l->n_inner; i++)
        add_up(w, l->inner[i], trainable, number, sum);
}

static void sum_model(kp_lw *w, const kp_layer *l, int depth, int *number)
{
    for (int i = 0; i < l->model->n_layers; i++) {
        const kp_layer *child = l->model->layers[i];
        kp_lowered_layer sum = {0}, *info = &kp_lw_record_of(w, child)->info;
        add_up(w, child, true, ++*number, &sum);
        info->depth = depth;
        info->n_params = sum.n_params;
        info->n_trainable = sum.n_trainable;
        info->param_bytes = sum.param_bytes;
        info->trainable_bytes = sum.trainable_bytes;
        if (child->model)
            sum_model(w, child, depth + 1, number);
    }
}

static void list_layers(kp_lw *w, const kp_layer *l, kp_lowered *out)
{
    for (int i = 0; i < l->model->n_layers; i++) {
        const kp_layer *child = l->model->layers[i];
        out->layers[out->n_layers++] = kp_lw_record_of(w, child)->info;
        if (child->model)
            list_layers(w, child, out);
    }
}

/* A wrapper speaks for the layer inside it. */
static bool is_trainable(const kp_layer *l)
{
    for (; l && !l->model; l = l->parent)
        if (!l->trainable)
            return false;
    return true;
}

static int list_variables(kp_lw *w, kp_lowered *out)
{
    size_t n = 0;
    for (const kp_lw_weight *e = w->oldest; e; e = e->newer)
        n++;
    out->variables = kp_arena_array(w->mem, n + 1, sizeof *out->variables);
    if (!out->variables)
        return KP_ENOMEM;
    for (const kp_lw_weight *e = w->oldest; e; e = e->newer) {
        kp_lowered_variable *v = &out->variables[out->n_variables];
        if (kp_keras_same(e->info.layer) != e->info.layer)
            continue;
        *v = e->info;
        v->trainable = v->trainable && is_trainable(v->layer);
        out->n_variables++;
    }
    return 0;
}

static int add_records(kp_lw *w, const kp_layer *root, kp_lowered *out)
{
    int number = 1;
    add_up(w, root, true, number, &out->total);
    if (!root->trainable)
        out->total.n_trainable = 0, out->total.trainable_bytes = 0;
    sum_model(w, root, 0, &number);
    out->layers = kp_arena_array(w->mem, count_layers(root), sizeof *out->layers);
    if (!out->layers)
        return KP_ENOMEM;
    list_layers(w, root, out);
    return list_variables(w, out);
}

/* ---- all of it ---- */

static int lower_root(kp_lw *w, const kp_layer *root, kp_lowered *out)
{
    kp_lw_result in, made;
    KP_TRY(start(w, root));
    KP_TRY(add_inputs(w, root->model, out, &in));
    KP_TRY(kp_lw_model(w, root, &in, &made));
    KP_TRY(kp_lw_set_outputs(w, root, &made, out));
    KP_TRY(kp_keras_check_unused(w->k));
    out->preprocess = kp_lw_preprocess(root);
    return add_records(w, root, out);
}

static int lower_for(kp_keras *k, kp_arena *mem, const kp_lower_options *opt, kp_lowered *out)
{
    kp_lw w = {.k = k,
               .mem = mem,
               .real = KP_FLOAT32,
               .major = kp_keras_major(k),
               .minor = INT_MAX,
               .opt = *opt,
               .out = out};
    sscanf(kp_keras_version(k), "%*d.%d", &w.minor);
    *out = (kp_lowered){.rows = opt->rows};
    const kp_layer *root = kp_keras_root(k);
    if (!root || !root->model)
        return kp_fail(KP_EMODEL, "the file holds no Functional or Sequential model");
    kp_keras_forget_asked(k);
    w.made = out->made = json_array();
    int status = w.made ? kp_graph_new(&out->graph) : KP_ENOMEM;
    w.g = out->graph;
    w.whole = out->graph;
    return status == 0 ? lower_root(&w, root, out) : status;
}

static bool gives_rows(const kp_lowered *l)
{
    bool rows = true;
    for (int i = 0; i < l->graph->n_outputs; i++) {
        const kp_value *v = l->graph->outputs[i];
        rows = rows && v->ndim > 0 && v->shape[0] == KP_DIM_BATCH;
    }
    return rows;
}

/* A file may name any number, but memory is made for the rows of a batch. */
static int64_t from_file(int64_t rows, int64_t dflt)
{
    enum { MOST = 4096 };
    return rows > 0 && rows <= MOST ? rows : dflt;
}

/* For a number of rows: the caller's, the file's, Keras' own. Where its operations name another one
 * and with that the outputs are rows, that is the model's batch. */
static int lower_whole(kp_keras *k, kp_arena *mem, kp_lower_options how, kp_lowered *out)
{
    int64_t first = from_file(out->fixed_batch, KP_PREDICT_BATCH);
    int64_t named = how.batch > 0 ? 0 : from_file(out->named_rows, 0);
    first = how.rows = how.batch > 0 ? how.batch : first;
    kp_lowered_fini(out);
    int status = lower_for(k, mem, &how, out);
    out->named_rows = 0;
    if (named == 0 || named == first || (status == 0 && gives_rows(out)))
        return status;
    how.rows = named;
    kp_lowered_fini(out);
    if (lower_for(k, mem, &how, out) == 0 && gives_rows(out)) {
        out->named_rows = named;
        return 0;
    }
    how.rows = first;
    kp_lowered_fini(out);
    status = lower_for(k, mem, &how, out);
    out->named_rows = 0;
    return status;
}

/* Row by row; if that cannot be, for a number of rows. */
int kp_lower(kp_keras *k, kp_arena *mem, const kp_lower_options *opt, kp_lowered *out)
{
    kp_lower_options how = opt ? *opt : (kp_lower_options){0};
    int status = lower_for(k, mem, &how, out);
    if (status == KP_EMODEL && how.rows == 0 && out->graph)
        status = lower_whole(k, mem, how, out);
    if (status != 0)
        kp_lowered_fini(out);
    return status;
}

void kp_lowered_fini(kp_lowered *l)
{
    kp_graph_free(&l->graph);
    kp_lw_user_close(l->users);
    json_decref(l->made);
    *l = (kp_lowered){0};
}
