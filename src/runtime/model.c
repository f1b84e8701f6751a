/* Opening, describing and closing a model: file to layers to graph, then the first executable. */
#include "runtime/model.h"

#include <stdlib.h>
#include <strings.h>

void kp_model_options_defaults(kp_model_options *opt)
{
    memset(opt, 0, sizeof *opt);
    opt->struct_size = sizeof *opt;
}

/* The caller's options in today's struct: a program built against an older header gives fewer. */
static int options_take(const kp_model_options *opt, kp_model_options *out)
{
    kp_model_options_defaults(out);
    if (opt == NULL)
        return 0;
    if (opt->struct_size < sizeof opt->struct_size)
        return kp_fail(KP_EINVAL, "the model options were not filled by kp_model_options_defaults");
    memcpy(out, opt, opt->struct_size < sizeof *out ? opt->struct_size : sizeof *out);
    if (out->threads < 0 || out->threads > 1024)
        return kp_fail(KP_EINVAL, "threads %d: give 1 to 1024, or 0 for the usable cores",
                       out->threads);
    if (out->max_batch < 0 || out->max_batch > 1 << 20)
        return kp_fail(KP_EINVAL, "largest batch %lld: give 1 to 1048576, or 0 for the rule",
                       (long long)out->max_batch);
    if (out->precision != NULL && strcmp(out->precision, "float32") != 0)
        return kp_fail(KP_EDEVICE, "precision \"%s\" is not supported on the CPU; use float32",
                       out->precision);
    return 0;
}

static int pick_device(const char *device)
{
    static const char *const cpu[] = {"auto", "cpu", "/CPU:0", "CPU:0", "cpu:0", "/device:CPU:0"};
    if (device == NULL)
        return 0;
    for (size_t i = 0; i < sizeof cpu / sizeof *cpu; i++) {
        if (strcasecmp(device, cpu[i]) == 0)
            return 0;
    }
    return kp_fail(KP_EDEVICE,
                   "device \"%s\" is not there: this build computes on the CPU only; "
                   "use --device cpu",
                   device);
}

static int pick_backend(const char *name, const kp_backend **out)
{
    char why[256] = "";
    if (name != NULL) {
        *out = kp_backend_find(name);
        if (*out == NULL)
            return kp_fail(KP_EDEVICE, "backend \"%s\" is not known; choose cpu or ref", name);
        if ((*out)->probe(why, sizeof why) != 0)
            return kp_fail(KP_EDEVICE, "backend \"%s\" cannot be used here: %s", name, why);
        return 0;
    }
    for (const kp_backend *const *b = kp_backends(); *b != NULL; b++) {
        if ((*b)->probe(why, sizeof why) == 0) {
            *out = *b;
            return 0;
        }
    }
    return kp_fail(KP_EDEVICE, "no backend can be used here: %s", why);
}

/* "none" and NULL: the identity; "auto": what the model asks for. */
static int pick_scaling(kp_model *m, const char *text)
{
    if (text == NULL)
        text = "none";
    if (strcmp(text, "auto") == 0)
        text = m->low.preprocess;
    return kp_scaling_parse(text, &m->scaling);
}

bool kp_port_is_image(const kp_port *port, const kp_scaling *s)
{
    int64_t channels = port->ndim == 4 ? port->shape[3] : -1;
    if (port->dtype == KP_STRING || channels < 1 || channels > 4)
        return false;
    return s->n_channels == 0 || s->n_channels == channels;
}

static int fill_info(kp_model *m, const char *path)
{
    kp_model_info *info = &m->info;
    const kp_layer *root = kp_keras_root(m->keras);
    info->name = root->name;
    info->class_name = root->class_name;
    info->keras_version = kp_keras_version(m->keras);
    info->inputs = m->low.inputs;
    info->n_inputs = (size_t)m->low.n_inputs;
    info->outputs = m->low.outputs;
    info->n_outputs = (size_t)m->low.n_outputs;
    info->softmax_output = m->low.softmax_output;
    info->preprocess = m->low.preprocess;
    info->backend = m->backend->name;
    info->n_params = m->low.total.n_params;
    if (info->n_inputs == 0 || info->n_outputs == 0)
        return kp_fail(KP_EMODEL, "%s: the model has no %s", path,
                       info->n_inputs == 0 ? "input" : "output");
    for (size_t i = 0; i < info->n_inputs; i++) {
        if (info->inputs[i].ndim < 1)
            return kp_fail(KP_EMODEL, "%s: input \"%s\" is of rank %d, which is not supported",
                           path, info->inputs[i].name, info->inputs[i].ndim);
    }
    m->in_now = kp_arena_array(m->mem, info->n_inputs, sizeof *m->in_now);
    m->out_now = kp_arena_array(m->mem, info->n_outputs, sizeof *m->out_now);
    return m->in_now == NULL || m->out_now == NULL ? KP_ENOMEM : 0;
}

/* Sizes that are known are compiled for at once; a model that leaves sizes open waits for data. */
static int first_variant(kp_model *m)
{
    if (!kp_model_shapes_closed(m)) {
        m->info.max_batch = m->low.rows > 0      ? m->low.rows
                            : m->asked_batch > 0 ? m->asked_batch
                            : m->grouped         ? KP_PREDICT_BATCH
                                                 : 8;
        return 0;
    }
    int64_t *shapes = kp_arena_array(m->mem, m->info.n_inputs, KP_MAX_DIMS * sizeof *shapes);
    if (shapes == NULL)
        return KP_ENOMEM;
    for (size_t i = 0; i < m->info.n_inputs; i++)
        memcpy(shapes + i * KP_MAX_DIMS, m->info.inputs[i].shape, sizeof m->info.inputs[i].shape);
    kp_variant *v;
    m->rows_now = m->low.rows;
    KP_TRY(kp_variant_get(m, shapes, &v));
    m->info.max_batch = v->max_batch;
    return 0;
}

static int open_steps(kp_model *m, const char *path, const kp_model_options *opt)
{
    KP_TRY(pick_device(opt->device));
    KP_TRY(pick_backend(opt->backend, &m->backend));
    m->info.threads = opt->threads > 0 ? opt->threads : kp_machine_get()->usable_cores;
    m->asked_batch = opt->max_batch;
    KP_TRY(kp_arena_new(&m->mem, 0));
    KP_TRY(kp_plugins_open(&m->plugins, m->mem, opt->plugins, opt->n_plugins));
    KP_TRY(kp_keras_open(&m->keras, path, opt->architecture));
    m->lowering = (kp_lower_options){.layers = opt->layers,
                                     .n_layers = opt->n_layers,
                                     .classes = m->plugins.classes,
                                     .n_classes = m->plugins.n_classes,
                                     .batch = m->asked_batch};
    KP_TRY(kp_lower(m->keras, m->mem, &m->lowering, &m->low));
    KP_TRY(fill_info(m, path));
    KP_TRY(pick_scaling(m, opt->preprocess));
    KP_TRY(kp_measure_init(m));
    return first_variant(m);
}

int kp_model_open(kp_model **out, const char *path, const kp_model_options *opt)
{
    if (out == NULL)
        return kp_fail(KP_EINVAL, "kp_model_open without room for the handle");
    *out = NULL;
    if (path == NULL)
        return kp_fail(KP_EINVAL, "kp_model_open without a path");
    kp_model_options options;
    KP_TRY(options_take(opt, &options));
    kp_model *m = calloc(1, sizeof *m);
    if (m == NULL)
        return kp_fail(KP_ENOMEM, "out of memory while opening %s", path);
    int rc = open_steps(m, path, &options);
    if (rc != 0)
        kp_model_close(&m);
    *out = m;
    return rc;
}

int kp_model_describe(const kp_model *m, kp_model_info *info)
{
    if (m == NULL || info == NULL)
        return kp_fail(KP_EINVAL, "kp_model_describe without a model");
    *info = m->info;
    return 0;
}

void kp_model_close(kp_model **model)
{
    if (model == NULL || *model == NULL)
        return;
    kp_model *m = *model;
    for (int i = 0; i < m->n_variants; i++)
        kp_variant_free(m, &m->variants[i]);
    kp_variant_free(m, &m->probe);
    kp_lowered_fini(&m->low);
    kp_plugins_close(&m->plugins);
    kp_keras_close(&m->keras);
    kp_arena_free(&m->mem);
    free(m);
    *model = NULL;
}
