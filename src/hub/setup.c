/* What the pipeline asks of whom, from its options and from what kp-device says of the model. */
#include "hub/hub.h"

#include <limits.h>
#include <stdlib.h>

static const char *const resize_names[] = {
    "tf-nearest",  "tf-bilinear", "tf-bicubic",       "tf-lanczos3", "tf-lanczos5",
    "tf-area",     "tf-gaussian", "tf-mitchellcubic", "pil-nearest", "pil-bilinear",
    "pil-bicubic", "pil-lanczos", "pil-box",          "pil-hamming"};
enum { N_RESIZE = sizeof resize_names / sizeof resize_names[0] };

static int keep(kp_pipeline *p, const char **text, const char *otherwise)
{
    *text = kp_arena_strdup(p->mem, *text != NULL ? *text : otherwise);
    return *text != NULL ? 0 : KP_ENOMEM;
}

/* One a line, as kp-device gets them. */
static int join_lines(kp_pipeline *p, const char *const *names, size_t n, const char *what,
                      const char **out)
{
    kp_buf lines = {0};
    bool whole = true;
    for (size_t i = 0; i < n; i++) {
        whole = whole && *names[i] != '\0' && strchr(names[i], '\n') == NULL;
        kp_buf_printf(&lines, "%s\n", names[i]);
    }
    whole = whole && lines.len < KP_NAME_BYTES;
    *out = kp_arena_strdup(p->mem, lines.data != NULL ? lines.data : "");
    bool failed = lines.failed || *out == NULL;
    kp_buf_free(&lines);
    if (failed)
        return kp_fail(KP_ENOMEM, "out of memory");
    return whole ? 0
                 : kp_fail(KP_EUSAGE,
                           "the names of %s are empty, hold a line's end or are longer "
                           "than %d bytes together",
                           what, KP_NAME_BYTES - 1);
}

static int check_resize(kp_pipeline *p)
{
    KP_TRY(keep(p, &p->opt.resize, "tf-bilinear"));
    bool known = false;
    for (size_t i = 0; i < N_RESIZE; i++)
        known = known || strcmp(p->opt.resize, resize_names[i]) == 0;
    if (!known) {
        const char *near = kp_nearest_word(p->opt.resize, resize_names, N_RESIZE);
        return kp_fail(KP_EUSAGE, "resize \"%s\" is not known%s%s%s", p->opt.resize,
                       near != NULL ? "; did you mean " : "", near != NULL ? near : "",
                       near != NULL ? "?" : "");
    }
    bool pil = strncmp(p->opt.resize, "pil-", 4) == 0;
    KP_TRY(keep(p, &p->opt.decode, pil ? "pil" : "tf"));
    if (strcmp(p->opt.decode, "pil") != 0 && strcmp(p->opt.decode, "tf") != 0)
        return kp_fail(KP_EUSAGE, "decode \"%s\" is not known; use tf or pil", p->opt.decode);
    if (p->opt.crop_to_aspect_ratio && p->opt.pad_to_aspect_ratio)
        return kp_fail(KP_EUSAGE,
                       "crop-to-aspect-ratio and pad-to-aspect-ratio exclude each other");
    return 0;
}

static int color_channels(const char *mode)
{
    if (strcmp(mode, "rgb") == 0)
        return 3;
    if (strcmp(mode, "grayscale") == 0)
        return 1;
    return strcmp(mode, "rgba") == 0 ? 4 : 0;
}

/* "plugin:FILE.so[,ARG]" into its parts; the file's path made absolute, as dlopen wants a slash. */
static int parse_plugin(kp_pipeline *p)
{
    const char *spec = p->opt.preprocess + strlen("plugin:");
    const char *comma = strchr(spec, ',');
    size_t n = comma != NULL ? (size_t)(comma - spec) : strlen(spec);
    char *file = kp_arena_strndup(p->mem, spec, n);
    if (file == NULL)
        return KP_ENOMEM;
    p->plugin_arg = comma != NULL ? comma + 1 : "";
    char real[PATH_MAX];
    if (realpath(file, real) == NULL)
        return kp_fail(KP_EUSAGE, "preprocessing plug-in \"%s\" cannot be found", file);
    p->plugin = kp_arena_strdup(p->mem, real);
    if (p->plugin == NULL)
        return KP_ENOMEM;
    if (strlen(p->plugin) >= KP_NAME_BYTES || strlen(p->plugin_arg) >= KP_NAME_BYTES)
        return kp_fail(KP_EUSAGE, "the plug-in's path or argument is too long");
    return 0;
}

static int check_preprocess(kp_pipeline *p)
{
    KP_TRY(keep(p, &p->opt.preprocess, "auto"));
    if (strncmp(p->opt.preprocess, "plugin:", 7) == 0) {
        if (p->opt.kind == KP_PIPELINE_ROWS)
            return kp_fail(KP_EUSAGE, "a preprocessing plug-in takes files, not arrays");
        return parse_plugin(p);
    }
    if (strlen(p->opt.preprocess) >= sizeof p->msg->body.device_stage.scaling)
        return kp_fail(KP_EUSAGE, "the preprocessing text is too long");
    kp_scaling unused;
    return strcmp(p->opt.preprocess, "auto") == 0 ? 0
                                                  : kp_scaling_parse(p->opt.preprocess, &unused);
}

int kp_setup_check_options(kp_pipeline *p)
{
    kp_pipeline_options *o = &p->opt;
    if (o->kind != KP_PIPELINE_IMAGES && o->kind != KP_PIPELINE_ROWS)
        return kp_fail(KP_EINVAL, "unknown kind of pipeline %d", (int)o->kind);
    if (o->workers < 0 || o->workers > KP_WORKERS_MAX)
        return kp_fail(KP_EUSAGE, "the number of workers must be 1 to %d, not %d", KP_WORKERS_MAX,
                       o->workers);
    if (o->batch_size < 0 || o->batch_size > 65536)
        return kp_fail(KP_EUSAGE, "the batch size must be 1 to 65536, not %lld",
                       (long long)o->batch_size);
    if (!(o->item_timeout_s > 0))
        return kp_fail(KP_EUSAGE, "the item timeout must be more than 0 s");
    if (o->image_height < 0 || o->image_width < 0 || o->image_height > 65536 ||
        o->image_width > 65536)
        return kp_fail(KP_EUSAGE, "the image size must be 1 to 65536 pixels a side");
    if (o->color_mode != NULL && color_channels(o->color_mode) == 0)
        return kp_fail(KP_EUSAGE, "color mode \"%s\" is not known; use rgb, grayscale or rgba",
                       o->color_mode);
    if (strlen(p->model_path) >= KP_NAME_BYTES)
        return kp_fail(KP_EUSAGE, "the model's path is too long");
    KP_TRY(keep(p, &o->architecture, ""));
    if (strlen(o->architecture) >= KP_NAME_BYTES)
        return kp_fail(KP_EUSAGE, "the architecture's path is too long");
    KP_TRY(join_lines(p, o->plugins, o->n_plugins, "the plug-ins", &p->layer_plugins));
    KP_TRY(join_lines(p, o->layers, o->n_layers, "the layers", &p->layers));
    KP_TRY(keep(p, &o->device, "auto"));
    KP_TRY(keep(p, &o->precision, ""));
    if (o->color_mode != NULL)
        KP_TRY(keep(p, &o->color_mode, ""));
    KP_TRY(check_resize(p));
    KP_TRY(check_preprocess(p));
    if (o->n_row_examples > KP_WIRE_PORTS)
        return kp_fail(KP_EUSAGE, "at most %d arrays a row are supported", KP_WIRE_PORTS);
    p->n_workers = 0;
    if (o->kind == KP_PIPELINE_IMAGES)
        p->n_workers = (size_t)(o->workers > 0 ? o->workers : kp_machine_get()->usable_cores);
    if (p->n_workers > KP_WORKERS_MAX)
        p->n_workers = KP_WORKERS_MAX;
    return 0;
}

/* ---- once the model is known ---- */

/* Height, width and channels of the images, from the options or else from the model. */
static int image_size(kp_pipeline *p)
{
    const kp_wire_port *in = &p->model.inputs.port[0];
    char text[KP_SHAPE_TEXT];
    kp_shape_text(in->shape, in->ndim, text, sizeof text);
    int channels = p->opt.color_mode != NULL ? color_channels(p->opt.color_mode) : 0;
    if (channels == 0)
        channels = in->shape[3] == -1 ? 3 : (int)in->shape[3];
    if (channels != 1 && channels != 3 && channels != 4)
        return kp_fail(KP_EUSAGE, "the model's input \"%s\" %s has %d channels, which no image has",
                       in->name, text, channels);
    for (int axis = 1; axis <= 2; axis++) {
        int *size = axis == 1 ? &p->opt.image_height : &p->opt.image_width;
        if (*size == 0 && in->shape[axis] > 0 && in->shape[axis] <= 65536)
            *size = (int)in->shape[axis];
        if (*size == 0)
            return kp_fail(KP_EUSAGE,
                           "the model's input \"%s\" %s leaves the size of the images "
                           "open; give one with --image-size HxW",
                           in->name, text);
    }
    kp_scaling scaling;
    KP_TRY(kp_scaling_parse(kp_setup_scaling(p), &scaling));
    if (scaling.n_channels > 1 && scaling.n_channels != channels)
        return kp_fail(KP_EUSAGE, "preprocess \"%s\" is for %d channels, the images have %d",
                       kp_setup_scaling(p), scaling.n_channels, channels);
    p->opt.color_mode = channels == 3 ? "rgb" : channels == 1 ? "grayscale" : "rgba";
    return 0;
}

int kp_setup_check_images(kp_pipeline *p)
{
    if (p->plugin != NULL)
        return 0;
    if (p->model.inputs.n != 1)
        return kp_fail(KP_EUSAGE,
                       "the model has %u inputs; files can feed it only through a "
                       "preprocessing plug-in",
                       p->model.inputs.n);
    const kp_wire_port *in = &p->model.inputs.port[0];
    char text[KP_SHAPE_TEXT];
    if (in->ndim != 4)
        return kp_fail(KP_EUSAGE, "the model's input \"%s\" %s is not a batch of images", in->name,
                       kp_shape_text(in->shape, in->ndim, text, sizeof text));
    return image_size(p);
}

/* The model's inputs as rows: without the batch axis. */
static void drop_batch(const kp_wire_ports *from, kp_wire_ports *to)
{
    *to = *from;
    for (uint32_t i = 0; i < to->n; i++) {
        kp_wire_port *port = &to->port[i];
        if (port->ndim == 0)
            continue;
        port->ndim--;
        memmove(port->shape, port->shape + 1, (size_t)port->ndim * sizeof port->shape[0]);
    }
}

int kp_setup_rows_from_example(kp_pipeline *p, kp_wire_ports *rows)
{
    drop_batch(&p->model.inputs, rows);
    for (uint32_t i = 0; i < rows->n; i++)
        rows->port[i].string_bytes = rows->port[i].dtype == KP_STRING; /* none was announced */
    if (p->opt.row_example == NULL)
        return 0;
    if (p->opt.n_row_examples != rows->n)
        return kp_fail(KP_EUSAGE, "%zu arrays are given, the model takes %u", p->opt.n_row_examples,
                       rows->n);
    for (uint32_t i = 0; i < rows->n; i++) {
        const kp_tensor *t = &p->opt.row_example[i];
        if (t->ndim < 1 || t->ndim > KP_MAX_DIMS ||
            (kp_dtype_size(t->dtype) == 0 && (t->dtype != KP_STRING || t->string_bytes < 1)))
            return kp_fail(KP_EUSAGE,
                           "the array for input \"%s\" has no rows of numbers or strings",
                           rows->port[i].name);
        rows->port[i].dtype = (int32_t)t->dtype;
        rows->port[i].string_bytes = t->dtype == KP_STRING ? t->string_bytes : 0;
        rows->port[i].ndim = t->ndim - 1;
        memcpy(rows->port[i].shape, t->shape + 1, (size_t)(t->ndim - 1) * sizeof t->shape[0]);
    }
    return 0;
}

static uint64_t worker_memory(const kp_pipeline *p)
{
    /* Room for the largest image that is accepted, decoded and resized; a plug-in may want more. */
    uint64_t room = (uint64_t)(p->plugin != NULL ? 8 : 4) << 30;
    uint64_t machine = kp_machine_get()->memory_bytes;
    return room < machine ? room : machine;
}

void kp_setup_fill_worker(kp_pipeline *p, kp_wire_worker_setup *s)
{
    const kp_pipeline_options *o = &p->opt;
    memset(s, 0, sizeof *s);
    if (p->plugin != NULL) {
        snprintf(s->plugin, sizeof s->plugin, "%s", p->plugin);
        snprintf(s->plugin_arg, sizeof s->plugin_arg, "%s", p->plugin_arg);
    }
    snprintf(s->resize, sizeof s->resize, "%s", o->resize);
    snprintf(s->decode, sizeof s->decode, "%s", o->decode);
    s->height = o->image_height;
    s->width = o->image_width;
    s->channels = o->color_mode != NULL ? color_channels(o->color_mode) : 0;
    s->crop = o->crop_to_aspect_ratio;
    s->pad = o->pad_to_aspect_ratio;
    s->exif_rotate = o->exif_rotate;
    s->pixels_uint8 = o->pixels_uint8;
    s->memory_bytes = worker_memory(p);
    drop_batch(&p->model.inputs, &s->inputs);
}

const char *kp_setup_scaling(const kp_pipeline *p)
{
    if (p->plugin != NULL)
        return "none";
    if (strcmp(p->opt.preprocess, "auto") != 0)
        return p->opt.preprocess;
    /* Arrays are taken as they are: whether they are scaled already, nobody can know. */
    return p->opt.kind == KP_PIPELINE_ROWS || p->model.preprocess[0] == '\0' ? "none"
                                                                             : p->model.preprocess;
}

/* ---- tables ---- */

static int make_records(kp_pipeline *p)
{
    const kp_geometry *g = &p->geo;
    p->records = kp_arena_array(p->mem, g->n_cells, sizeof *p->records);
    p->order = kp_arena_array(p->mem, g->n_cells, sizeof *p->order);
    kp_tensor *outputs = kp_arena_array(p->mem, (size_t)g->n_cells * g->outputs.n, sizeof *outputs);
    if (p->records == NULL || p->order == NULL || outputs == NULL)
        return KP_ENOMEM;
    for (uint32_t i = 0; i < g->n_cells; i++) {
        kp_record *r = &p->records[i];
        r->outputs = outputs + (size_t)i * g->outputs.n;
        r->slot = KP_NOBODY;
        for (uint32_t o = 0; o < g->outputs.n; o++) {
            kp_tensor *t = &r->outputs[o];
            t->dtype = (kp_dtype)g->outputs.port[o].dtype;
            t->ndim = g->outputs.port[o].ndim;
            memcpy(t->shape, g->outputs.port[o].shape, sizeof t->shape);
            t->string_bytes = g->outputs.port[o].string_bytes;
            t->data =
                (unsigned char *)p->cells_region.base + i * g->cell_stride + g->cell_offset[o];
        }
        kp_list_push(p, &p->free, i);
    }
    return 0;
}

static int make_slots(kp_pipeline *p)
{
    uint32_t n = p->geo.n_slots;
    p->slots = kp_arena_array(p->mem, n, sizeof *p->slots);
    p->free_slot = kp_arena_array(p->mem, n, sizeof *p->free_slot);
    if (p->slots == NULL || p->free_slot == NULL)
        return KP_ENOMEM;
    for (uint32_t i = 0; i < n; i++) {
        p->slots[i].owner = p->slots[i].item = KP_NOBODY;
        /* The lowest on top: neighbours fill up together, and a batch of them is one copy. */
        if (p->opt.kind != KP_PIPELINE_ROWS)
            p->free_slot[p->n_free_slots++] = n - 1 - i;
    }
    return 0;
}

int kp_setup_tables(kp_pipeline *p)
{
    const kp_geometry *g = &p->geo;
    bool rows = p->opt.kind == KP_PIPELINE_ROWS;
    KP_TRY(kp_region_create(&p->slots_region, "kp-slots", g->slot_stride * g->n_slots,
                            rows || p->opt.on_prepared != NULL));
    KP_TRY(kp_region_create(&p->cells_region, "kp-results", g->cell_stride * g->n_cells, true));
    KP_TRY(make_slots(p));
    return make_records(p);
}

/* ---- what describe tells ---- */

static kp_port *public_ports(kp_pipeline *p, const kp_wire_ports *from)
{
    kp_port *to = kp_arena_array(p->mem, from->n, sizeof *to);
    for (uint32_t i = 0; to != NULL && i < from->n; i++) {
        to[i].name = from->port[i].name;
        to[i].dtype = (kp_dtype)from->port[i].dtype;
        to[i].ndim = from->port[i].ndim;
        memcpy(to[i].shape, from->port[i].shape, sizeof to[i].shape);
    }
    return to;
}

static const char *preprocess_words(kp_pipeline *p)
{
    const char *scaling = kp_setup_scaling(p);
    if (p->plugin != NULL)
        return kp_arena_printf(p->mem, "plug-in %s", p->plugin);
    if (strcmp(p->opt.preprocess, "auto") != 0)
        return kp_arena_printf(p->mem, "%s (asked for)", scaling);
    if (strcmp(scaling, "none") != 0)
        return kp_arena_printf(p->mem, "%s (the model is %s of keras.applications)", scaling,
                               p->model.name);
    return p->opt.kind == KP_PIPELINE_ROWS ? "none (arrays are taken as they are)"
                                           : "none (the model gets 0..255)";
}

void kp_setup_describe(kp_pipeline *p)
{
    const kp_wire_device_info *m = &p->model;
    const kp_geometry *g = &p->geo;
    kp_pipeline_info *i = &p->info;
    i->model = (kp_model_info){.name = m->name,
                               .class_name = m->class_name,
                               .keras_version = m->keras_version,
                               .inputs = public_ports(p, &m->inputs),
                               .n_inputs = m->inputs.n,
                               .outputs = public_ports(p, &g->outputs),
                               .n_outputs = g->outputs.n,
                               .softmax_output = m->softmax_output != 0,
                               .preprocess = m->preprocess,
                               .n_params = m->n_params,
                               .max_batch = m->max_batch,
                               .backend = m->backend,
                               .threads = m->threads};
    i->workers = (int)p->n_workers;
    i->batch_size = g->max_batch;
    i->rows_per_item = g->rows_per_item;
    i->slots = g->n_slots;
    i->slot_bytes = g->slot_stride;
    i->slot_arena_bytes = g->slot_stride * g->n_slots;
    i->result_arena_bytes = g->cell_stride * g->n_cells;
    i->window = g->n_cells;
    i->device = "cpu";
    i->precision = p->opt.precision[0] != '\0' ? p->opt.precision : "float32";
    i->preprocess = preprocess_words(p);
    i->sandbox = p->n_workers > 0 ? "no_new_privs, resource limits, closed descriptors"
                                  : "none (no workers)";
}
