/*
 * model.weights.npz: per object of the model a member "layers/dense.npy" that holds, as one pickled
 * value, the dictionary {"0": variable, "1": variable, ...}.
 */
#include "keras/pickle.h"
#include "keras/private.h"

enum { MAX_ARRAYS = 400000, MAX_HEADER = 65536 };

struct reading {
    kp_keras *k;
    const char *group; /* of the member being read */
    int room;
};

static int add(void *ctx, const char *key, const kp_weight *array)
{
    struct reading *r = ctx;
    kp_keras *k = r->k;
    if (k->n_arrays == r->room) {
        int room = r->room == 0 ? 64 : 2 * r->room;
        if (room > 2 * MAX_ARRAYS)
            return kp_fail(KP_EMODEL, "the weights have more than %d arrays", MAX_ARRAYS);
        kp_entry *grown = kp_arena_array(k->mem, (size_t)room, sizeof *grown);
        if (grown == NULL)
            return KP_ENOMEM;
        if (r->room > 0)
            memcpy(grown, k->arrays, (size_t)r->room * sizeof *grown);
        k->arrays = grown;
        r->room = room;
    }
    kp_weight *own = kp_arena_alloc(k->mem, sizeof *own);
    const char *path = *r->group == '\0' ? kp_arena_printf(k->mem, "vars/%s", key)
                                         : kp_arena_printf(k->mem, "%s/vars/%s", r->group, key);
    if (own == NULL || path == NULL)
        return KP_ENOMEM;
    *own = *array;
    k->arrays[k->n_arrays++] =
        (kp_entry){.path = path, .place = {.array = own}, .is_dataset = true};
    return 0;
}

/* The header's text must be that of one Python object: {'descr': '|O', 'fortran_order': False,
 * 'shape': (), }. */
static int check_header(const uint8_t *bytes, size_t size, size_t *start)
{
    if (size < 12 || memcmp(bytes, "\x93NUMPY", 6) != 0)
        return kp_fail(KP_EMODEL, "it is not a NumPy array");
    size_t width = bytes[6] == 1 ? 2 : 4, n = 0;
    for (size_t i = 0; i < width; i++)
        n |= (size_t)bytes[8 + i] << (8 * i);
    if (n > MAX_HEADER || n > size - 8 - width)
        return kp_fail(KP_EMODEL, "its header is damaged");
    const uint8_t *text = bytes + 8 + width;
    *start = 8 + width + n;
    if (memmem(text, n, "'|O'", 4) == NULL || memmem(text, n, "'shape': ()", 11) == NULL)
        return kp_fail(KP_EMODEL, "it is an array, not the dictionary that Keras writes");
    return 0;
}

static int read_member(struct reading *r, int i)
{
    const uint8_t *bytes;
    size_t size, start = 0;
    KP_TRY(kp_zip_read(r->k->npz, i, SIZE_MAX, &bytes, &size));
    KP_TRY(check_header(bytes, size, &start));
    return kp_pickle_arrays(r->k->mem, bytes + start, size - start, add, r);
}

/* "layers/dense.npy" to "layers/dense", "__root__.npy" to "". */
static int group_of(kp_keras *k, const char *name, const char **out)
{
    size_t n = strlen(name);
    if (n < 4 || strcmp(name + n - 4, ".npy") != 0)
        return kp_fail(KP_EMODEL, "its member \"%s\" is no array (.npy)", name);
    *out = strcmp(name, "__root__.npy") == 0 ? "" : kp_arena_strndup(k->mem, name, n - 4);
    return *out == NULL ? KP_ENOMEM : 0;
}

static int read_all(kp_keras *k)
{
    struct reading r = {.k = k};
    for (int i = 0; i < kp_zip_count(k->npz); i++) {
        KP_TRY(group_of(k, kp_zip_name(k->npz, i), &r.group));
        int status = read_member(&r, i);
        if (status != 0)
            return kp_fail_prefix(status, "its member \"%s\"", kp_zip_name(k->npz, i));
    }
    return 0;
}

int kp_npz_open(kp_keras *k, const uint8_t *bytes, size_t size)
{
    int status = kp_zip_open(&k->npz, bytes, size);
    if (status == 0)
        status = read_all(k);
    return status == 0 ? 0 : kp_fail_prefix(status, "model.weights.npz");
}
