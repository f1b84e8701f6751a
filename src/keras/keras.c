/* Opening and closing, and a weight's way from the place in the file to the caller. */
#include "keras/private.h"

#include <stdlib.h>

static int read_model(kp_keras *k, const char *path, const char *architecture)
{
    KP_TRY(kp_arena_new(&k->mem, KP_TREE_LIMIT));
    k->version = k->backend = "";
    k->label = kp_arena_strdup(k->mem, path);
    if (k->label == NULL)
        return KP_ENOMEM;
    k->made = json_array();
    if (k->made == NULL)
        return kp_fail(KP_ENOMEM, "out of memory");
    KP_TRY(kp_file_open(k, path, architecture));
    if (k->major == 1)
        k->dim_ordering = kp_old_dim_ordering(k->config, 0);
    KP_TRY(kp_tree_layer(k, k->config, NULL, NULL, 0, &k->root));
    if (k->root->model == NULL && strcmp(k->root->class_name, "Functional") == 0 &&
        !k->root->is_custom)
        return kp_fail(KP_EMODEL, "the model's config has no list \"layers\", \"input_layers\" or "
                                  "\"output_layers\": the file is damaged");
    if (k->root->model == NULL)
        return kp_fail(KP_EMODEL,
                       "the model is of class \"%s\"%s%s: its graph is in code, not in "
                       "the file; only Functional and Sequential models can be run",
                       k->root->class_name,
                       *k->root->registered_name != '\0' ? ", registered as " : "",
                       k->root->registered_name);
    return k->format == KP_FORMAT_LEGACY_H5 ? kp_legacy_open(k) : kp_v3_open(k);
}

int kp_keras_open(kp_keras **out, const char *path, const char *architecture)
{
    *out = NULL;
    kp_keras *k = calloc(1, sizeof *k);
    if (k == NULL)
        return kp_fail(KP_ENOMEM, "out of memory");
    int status = read_model(k, path, architecture);
    if (status == 0) {
        *out = k;
        return 0;
    }
    kp_keras_close(&k);
    if (status == KP_EIO || status == KP_ENOMEM)
        return status;
    return kp_fail_prefix(KP_EMODEL, "cannot load model \"%s\"", path);
}

void kp_keras_close(kp_keras **k)
{
    if (*k == NULL)
        return;
    kp_checker_stop(&(*k)->checker);
    kp_h5_close(&(*k)->h5);
    for (int i = 0; i < (*k)->n_shards; i++) {
        kp_h5_close(&(*k)->shards[i].h5);
        kp_map_close(&(*k)->shards[i].map);
    }
    kp_zip_close(&(*k)->npz);
    kp_zip_close(&(*k)->zip);
    json_decref((*k)->config);
    json_decref((*k)->made);
    kp_map_close(&(*k)->map);
    kp_map_close(&(*k)->weights_map);
    kp_arena_free(&(*k)->mem);
    free(*k);
    *k = NULL;
}

kp_layer *kp_keras_root(kp_keras *k)
{
    return k->root;
}

const char *kp_keras_version(const kp_keras *k)
{
    return k->version;
}

int kp_keras_major(const kp_keras *k)
{
    return k->major;
}

enum kp_keras_format kp_keras_format_of(const kp_keras *k)
{
    return k->format;
}

const char *kp_keras_backend(const kp_keras *k)
{
    return k->backend;
}

/* ---- weights ---- */

const kp_layer *kp_keras_same(const kp_layer *l)
{
    const kp_layer *twin = ((const kp_store *)l->store)->twin;
    return twin != NULL ? twin : l;
}

static int find(kp_keras *k, const kp_layer *l, const char *sub, int index, const char *name,
                kp_place *out, const char **where)
{
    if (k->format == KP_FORMAT_LEGACY_H5)
        return kp_legacy_find(k, l, sub, index, name, out, where);
    return kp_v3_find(k, l, sub, index, name, out, where);
}

static int check_shape(const kp_layer *l, const char *name, const kp_weight *w, int ndim,
                       const int64_t *shape)
{
    bool fits = ndim < 0 || w->ndim == ndim;
    for (int i = 0; fits && i < ndim; i++)
        fits = shape[i] < 0 || shape[i] == w->shape[i];
    if (fits)
        return 0;
    char is[KP_SHAPE_TEXT], must[KP_SHAPE_TEXT];
    return kp_fail(KP_EMODEL,
                   "layer \"%s\" (%s): variable \"%s\" (%s in the file) has shape %s, "
                   "but its config asks for %s",
                   l->path, l->class_name, name, w->where,
                   kp_shape_text(w->shape, w->ndim, is, sizeof is),
                   kp_shape_text(shape, ndim, must, sizeof must));
}

/* h5py writes bfloat16 as two opaque bytes; Keras adds an attribute that says what they are. */
static int weight_dtype(const kp_place *p, const kp_h5_data *d, kp_dtype *out)
{
    *out = d->type.dtype;
    if (*out != KP_DTYPE_NONE)
        return 0;
    kp_h5_data name;
    if (d->type.cls == KP_H5_OPAQUE && d->type.size == 2 &&
        kp_h5_attr_read(p->h5, &p->object, "dtype", &name) == 0 && name.strings != NULL &&
        name.count == 1 && strcmp(name.strings[0], "bfloat16") == 0) {
        *out = KP_BFLOAT16;
        return 0;
    }
    return kp_fail(KP_EMODEL, "its values are not numbers");
}

/* Type and shape alone. */
static int read_form(const kp_place *p, kp_weight *out)
{
    kp_h5_data d;
    if (p->h5 == NULL) {
        out->ndim = p->array->ndim;
        memcpy(out->shape, p->array->shape, sizeof out->shape);
        return 0;
    }
    KP_TRY(kp_h5_dataset_info(p->h5, &p->object, &d));
    KP_TRY(weight_dtype(p, &d, &out->dtype));
    if (d.ndim > KP_MAX_DIMS)
        return kp_fail(KP_EMODEL, "it has %d axes, more than the %d supported", d.ndim,
                       KP_MAX_DIMS);
    out->ndim = d.ndim;
    memcpy(out->shape, d.shape, (size_t)d.ndim * sizeof *d.shape);
    return 0;
}

static int read_dataset(const kp_place *p, kp_weight *out)
{
    kp_h5_data d;
    KP_TRY(kp_h5_dataset_read(p->h5, &p->object, &d));
    out->data = d.data;
    out->size_bytes = d.size_bytes;
    return 0;
}

int kp_place_read(const kp_place *p, kp_weight *out)
{
    const char *where = out->where;
    KP_TRY(read_form(p, out));
    if (p->h5 != NULL)
        KP_TRY(read_dataset(p, out));
    else
        *out = *p->array;
    out->where = where;
    size_t expected;
    if (!kp_shape_bytes(out->shape, out->ndim, out->dtype, &expected) ||
        expected != out->size_bytes || (out->data == NULL && expected != 0))
        return kp_fail(KP_EMODEL, "its size does not fit its shape");
    return 0;
}

/* Whether as many values are stored as are asked for, known before they are unpacked. */
static bool fits_count(const kp_weight *w, int ndim, const int64_t *shape)
{
    int64_t stored, asked;
    for (int i = 0; i < ndim; i++)
        if (shape[i] < 0)
            return true;
    return ndim < 0 || (kp_shape_count(w->shape, w->ndim, &stored) &&
                        kp_shape_count(shape, ndim, &asked) && stored == asked);
}

static int read_variable(kp_keras *k, const kp_layer *l, const char *sub, int index,
                         const char *name, int ndim, const int64_t *shape, kp_weight *out)
{
    kp_place place;
    int status = kp_old_weight(k, l, sub, name, out);
    if (status != KP_ENOTFOUND)
        return status;
    KP_TRY(find(k, l, sub, index, name, &place, &out->where));
    KP_TRY(read_form(&place, out));
    if (!fits_count(out, ndim, shape))
        return 0; /* what the caller refuses then */
    KP_TRY(kp_place_read(&place, out));
    return kp_old_turn(k, l, name, out);
}

int kp_keras_weight(kp_keras *k, const kp_layer *layer, const char *sub, int index,
                    const char *name, int ndim, const int64_t *shape, kp_weight *out)
{
    memset(out, 0, sizeof *out);
    const kp_layer *l = kp_keras_same(layer);
    ((kp_store *)l->store)->asked = true;
    int status = read_variable(k, l, sub, index, name, ndim, shape, out);
    if (status == KP_ENOTFOUND)
        return kp_fail(KP_EMODEL,
                       "layer \"%s\" (%s): the file has no variable \"%s\" (looked for "
                       "%s)",
                       layer->path, layer->class_name, name, out->where);
    if (status != 0)
        return kp_fail_prefix(status == KP_ENOMEM ? status : KP_EMODEL,
                              "layer \"%s\" (%s): could not read variable \"%s\" (%s in the file)",
                              layer->path, layer->class_name, name, out->where);
    return check_shape(layer, name, out, ndim, shape);
}

void kp_keras_forget_asked(kp_keras *k)
{
    for (int i = 0; i < k->n_groups; i++)
        for (int j = 0; j < k->groups[i].n_slots; j++)
            k->groups[i].slots[j].used = false;
}

int kp_keras_weight_count(kp_keras *k, const kp_layer *layer, const char *sub)
{
    const kp_layer *l = kp_keras_same(layer);
    return k->format == KP_FORMAT_LEGACY_H5 ? kp_legacy_count(k, l, sub) : kp_v3_count(k, l, sub);
}

static int check_unused(kp_keras *k)
{
    KP_TRY(kp_checker_finish(&k->checker));
    return k->format == KP_FORMAT_LEGACY_H5 ? kp_legacy_check_unused(k) : kp_v3_check_unused(k);
}

int kp_keras_check_unused(kp_keras *k)
{
    int status = check_unused(k);
    return status == KP_EMODEL ? kp_fail_prefix(status, "cannot load model \"%s\"", k->label)
                               : status;
}
