/* HDF5 files: which of Keras' layouts they have, and the attributes with the model in legacy ones.
 */
#include "keras/private.h"

bool kp_is_hdf5(const uint8_t *bytes, size_t size)
{
    static const char magic[8] = {'\x89', 'H', 'D', 'F', '\r', '\n', '\x1a', '\n'};
    /* A user block may come first; the signature then stands at a power of two. */
    for (size_t at = 0; at < size && size - at >= sizeof magic; at = at == 0 ? 512 : 2 * at)
        if (memcmp(bytes + at, magic, sizeof magic) == 0)
            return true;
    return false;
}

int kp_file_open_h5(kp_h5 **out, const uint8_t *bytes, size_t size)
{
    /* As for the members of an archive: weights that are all zeros shrink a thousand times, but a
     * large file of those is a bomb. */
    const size_t free_bytes = (size_t)256 << 20, most = (size_t)8 << 30;
    kp_h5_limits limits = {.memory_bytes = size < most / 100 ? size * 100 : most};
    if (limits.memory_bytes < free_bytes)
        limits.memory_bytes = free_bytes;
    return kp_h5_open(out, bytes, size, &limits);
}

/* ---- attributes ---- */

static int append_strings(kp_keras *k, const kp_h5_data *d, const char ***out, int *n)
{
    if (d->strings == NULL || d->count <= 0)
        return 0;
    if (d->count > 1000000 - *n)
        return kp_fail(KP_EMODEL, "an attribute holds more than a million strings");
    const char **all = kp_arena_array(k->mem, (size_t)(*n + d->count), sizeof *all);
    if (all == NULL)
        return KP_ENOMEM;
    if (*n > 0)
        memcpy(all, *out, (size_t)*n * sizeof *all);
    memcpy(all + *n, d->strings, (size_t)d->count * sizeof *all);
    *out = all;
    *n += (int)d->count;
    return 0;
}

int kp_h5_attr_strings(kp_keras *k, const kp_h5_object *obj, const char *name, const char ***out,
                       int *n)
{
    kp_h5_data d;
    *out = NULL;
    *n = 0;
    int status = kp_h5_attr_read(k->h5, obj, name, &d);
    if (status != KP_ENOTFOUND)
        return status == 0 ? append_strings(k, &d, out, n) : status;
    /* A list too long for one object header is split by Keras. */
    for (int i = 0;; i++) {
        char part[80];
        snprintf(part, sizeof part, "%.60s%d", name, i);
        status = kp_h5_attr_read(k->h5, obj, part, &d);
        if (status == KP_ENOTFOUND)
            return i > 0 ? 0 : KP_ENOTFOUND;
        KP_TRY(status);
        KP_TRY(append_strings(k, &d, out, n));
    }
}

static bool has_attr(kp_keras *k, const kp_h5_object *obj, const char *name)
{
    kp_h5_data d;
    return kp_h5_attr_read(k->h5, obj, name, &d) != KP_ENOTFOUND;
}

static bool has_layer_names(kp_keras *k, const kp_h5_object *obj)
{
    return has_attr(k, obj, "layer_names") || has_attr(k, obj, "layer_names0");
}

/* A scalar string; "" if the attribute is missing or something else. */
static int attr_text(kp_keras *k, const kp_h5_object *obj, const char *name, const char **out)
{
    kp_h5_data d;
    *out = "";
    int status = kp_h5_attr_read(k->h5, obj, name, &d);
    if (status == KP_ENOTFOUND)
        return 0;
    KP_TRY(status);
    if (d.strings != NULL && d.count == 1)
        *out = d.strings[0];
    return 0;
}

/* ---- layouts ---- */

/* The writer's version and backend, unless the architecture has told them. */
static int read_writer(kp_keras *k, const kp_h5_object *obj)
{
    const char *text;
    KP_TRY(attr_text(k, obj, "keras_version", &text));
    if (k->major == 0)
        KP_TRY(kp_file_set_version(k, text));
    KP_TRY(attr_text(k, obj, "backend", &text));
    if (*k->backend == '\0')
        k->backend = text;
    return 0;
}

static int find_v3(void *ctx, const char *name, const kp_h5_object *child)
{
    static const char *const groups[] = {"layers", "vars", "_layer_checkpoint_dependencies"};
    for (size_t i = 0; i < sizeof groups / sizeof *groups; i++) {
        size_t n = strlen(groups[i]);
        if (child->is_group && strncmp(name, groups[i], n) == 0 &&
            (name[n] == '\0' || name[n] == '\\'))
            *(bool *)ctx = true;
    }
    return 0;
}

/* The group with layer_names, or else the v3 layout. */
static int find_weights(kp_keras *k, const kp_h5_object *root)
{
    int status = kp_h5_lookup(k->h5, root, "model_weights", &k->legacy);
    bool whole = status == 0;
    if (!whole && status != KP_ENOTFOUND)
        return status;
    k->legacy_prefix = whole ? "model_weights/" : "";
    if (!whole)
        k->legacy = *root;
    if (has_layer_names(k, &k->legacy)) {
        k->format = KP_FORMAT_LEGACY_H5;
        return read_writer(k, root);
    }
    if (whole)
        return kp_fail(KP_EMODEL, "the group model_weights has no layer_names: the file is damaged "
                                  "or was not written by Keras");
    bool v3 = false;
    KP_TRY(kp_h5_list(k->h5, root, find_v3, &v3));
    return v3 ? 0 : kp_fail(KP_EMODEL, "this HDF5 file holds no weights that Keras wrote");
}

static int read_model_config(kp_keras *k, const kp_h5_object *root)
{
    kp_h5_data config;
    KP_TRY(kp_h5_attr_read(k->h5, root, "model_config", &config));
    if (config.strings == NULL || config.count != 1)
        return kp_fail(KP_EMODEL, "the attribute model_config is not a string");
    return kp_json_read(&k->config, config.strings[0], config.string_sizes[0], "model_config");
}

/* No model_config and no architecture: what is it? */
static int refuse(kp_keras *k, const kp_h5_object *root)
{
    if (find_weights(k, root) == 0)
        return kp_fail(KP_EMODEL,
                       "this HDF5 file holds weights without the model (saved with save_weights): "
                       "give the model with --architecture FILE.json, where FILE.json is the "
                       "output of model.to_json(), or save the whole model with "
                       "model.save(\"model.keras\")");
    return kp_fail(KP_EMODEL, "this HDF5 file is not a Keras model: it has no model_config");
}

int kp_file_open_hdf5(kp_keras *k, const uint8_t *bytes, size_t size)
{
    kp_h5_object root;
    bool own_config = k->config == NULL;
    KP_TRY(kp_file_open_h5(&k->h5, bytes, size));
    KP_TRY(kp_h5_root(k->h5, &root));
    if (own_config) {
        if (!has_attr(k, &root, "model_config"))
            return refuse(k, &root);
        KP_TRY(read_model_config(k, &root));
        kp_h5_object weights;
        if (kp_h5_lookup(k->h5, &root, "model_weights", &weights) == KP_ENOTFOUND)
            return kp_fail(KP_EMODEL, "the file has a model_config but no model_weights: the model "
                                      "was saved without its weights");
    }
    KP_TRY(find_weights(k, &root));
    if (own_config && k->major == 0)
        k->major = 1;
    return 0;
}
