/* kp-device's engine: a kp_model. */
#include "device/device.h"

#include <stdlib.h>

typedef struct engine {
    kp_model *model;
    kp_model_info info;
} engine;

static int copy_ports(kp_wire_ports *to, const kp_port *from, size_t n, const char *what)
{
    if (n > KP_WIRE_PORTS)
        return kp_fail(KP_EMODEL, "the model has %zu %s; at most %d are supported in a pipeline", n,
                       what, KP_WIRE_PORTS);
    *to = (kp_wire_ports){.n = (uint32_t)n};
    for (size_t i = 0; i < n; i++) {
        snprintf(to->port[i].name, sizeof to->port[i].name, "%s", from[i].name);
        to->port[i].dtype = (int32_t)from[i].dtype;
        to->port[i].ndim = from[i].ndim;
        memcpy(to->port[i].shape, from[i].shape, sizeof to->port[i].shape);
    }
    return 0;
}

enum { NAMES_MAX = KP_NAME_BYTES / 2 };

/* One name a line; the text is cut up. */
static size_t split_lines(char *text, const char **out)
{
    size_t n = 0;
    for (char *end; (end = strchr(text, '\n')) != NULL; text = end + 1) {
        *end = '\0';
        out[n++] = text;
    }
    return n;
}

static int open_model(void **state, const kp_wire_device_setup *setup, kp_wire_device_info *info)
{
    engine *e = calloc(1, sizeof *e);
    if (e == NULL)
        return kp_fail(KP_ENOMEM, "kp-device has no memory to start");
    *state = e;
    kp_model_options opt;
    kp_model_options_defaults(&opt);
    opt.device = setup->device;
    if (setup->architecture[0] != '\0')
        opt.architecture = setup->architecture;
    char plugins[sizeof setup->plugins], layers[sizeof setup->layers];
    const char *plugin[NAMES_MAX], *layer[NAMES_MAX];
    memcpy(plugins, setup->plugins, sizeof plugins);
    memcpy(layers, setup->layers, sizeof layers);
    opt.n_plugins = split_lines(plugins, plugin);
    opt.plugins = plugin;
    opt.n_layers = split_lines(layers, layer);
    opt.layers = layer;
    if (setup->precision[0] != '\0')
        opt.precision = setup->precision;
    opt.threads = setup->threads;
    opt.max_batch = setup->max_batch;
    opt.preprocess = "none"; /* the staging scales */
    KP_TRY(kp_model_open(&e->model, setup->model, &opt));
    KP_TRY(kp_model_describe(e->model, &e->info));
    const kp_model_info *m = &e->info;
    snprintf(info->name, sizeof info->name, "%s", m->name);
    snprintf(info->class_name, sizeof info->class_name, "%s", m->class_name);
    snprintf(info->keras_version, sizeof info->keras_version, "%s", m->keras_version);
    snprintf(info->preprocess, sizeof info->preprocess, "%s", m->preprocess);
    snprintf(info->backend, sizeof info->backend, "%s", m->backend);
    info->threads = m->threads;
    info->softmax_output = m->softmax_output;
    info->n_params = m->n_params;
    info->max_batch = m->max_batch;
    info->grouped = kp_model_is_grouped(e->model);
    info->refusing = kp_model_may_refuse(e->model);
    KP_TRY(copy_ports(&info->inputs, m->inputs, m->n_inputs, "inputs"));
    return copy_ports(&info->outputs, m->outputs, m->n_outputs, "outputs");
}

static int stage(void *state, const kp_wire_device_stage *wire, kp_wire_ports *outputs)
{
    engine *e = state;
    kp_scaling scaling;
    KP_TRY(kp_scaling_parse(wire->scaling, &scaling));
    kp_staging in[KP_WIRE_PORTS];
    for (uint32_t i = 0; i < wire->rows.n; i++) {
        in[i].dtype = (kp_dtype)wire->rows.port[i].dtype;
        in[i].ndim = wire->rows.port[i].ndim;
        memcpy(in[i].shape, wire->rows.port[i].shape, sizeof in[i].shape);
        in[i].string_bytes = wire->rows.port[i].string_bytes;
        in[i].scaling = scaling;
    }
    kp_port out[KP_WIRE_PORTS];
    memcpy(out, e->info.outputs, e->info.n_outputs * sizeof out[0]);
    KP_TRY(kp_model_stage(e->model, in, wire->rows.n, out));
    KP_TRY(copy_ports(outputs, out, e->info.n_outputs, "outputs"));
    for (uint32_t i = 0; i < outputs->n; i++) {
        if (outputs->port[i].dtype == KP_STRING)
            outputs->port[i].string_bytes = (int32_t)kp_model_staged_width(e->model);
    }
    return 0;
}

static int run(void *state, const kp_segment *segments, size_t n, void *const *out)
{
    return kp_model_run_staged(((engine *)state)->model, segments, n, out);
}

const kp_device_engine kp_device_runtime = {open_model, stage, run};
