/*
 * Weights in several HDF5 files with an index: {"weight_map": {"/layers/dense/vars": FILE, or a
 * list of FILEs over which the group's variables are spread}}, the files beside the index.
 */
#include "keras/private.h"

#include <stdlib.h>

enum { MAX_SHARDS = 4096 };

bool kp_is_shard_index(const uint8_t *bytes, size_t size)
{
    static const char key[] = "\"weight_map\"";
    size_t i = 0;
    while (i < size && (bytes[i] == ' ' || (bytes[i] >= '\t' && bytes[i] <= '\r')))
        i++;
    return i < size && bytes[i] == '{' &&
           memmem(bytes, size < 65536 ? size : 65536, key, sizeof key - 1) != NULL;
}

static int check_name(const json_t *file, const char *group)
{
    const char *name = json_string_value(file);
    if (name == NULL || *name == '\0')
        return kp_fail(KP_EMODEL, "weight_map gives no file for \"%s\"", group);
    if (strpbrk(name, "/\\") != NULL || strcmp(name, "..") == 0 || strcmp(name, ".") == 0)
        return kp_fail(KP_EMODEL,
                       "weight_map names the file \"%s\": only files in the index's own folder are "
                       "read",
                       name);
    return 0;
}

/* The names of all files, each once, as keys of *out. */
static int collect(const json_t *map, json_t *out)
{
    const char *group;
    json_t *value;
    json_object_foreach((json_t *)(uintptr_t)map, group, value)
    {
        size_t n = json_is_array(value) ? json_array_size(value) : 1;
        for (size_t i = 0; i < n; i++) {
            const json_t *file = json_is_array(value) ? json_array_get(value, i) : value;
            KP_TRY(check_name(file, group));
            if (json_object_set_new(out, json_string_value(file), json_true()) != 0)
                return kp_fail(KP_EMODEL, "weight_map holds a name that is not proper text");
        }
    }
    if (json_object_size(out) > MAX_SHARDS)
        return kp_fail(KP_EMODEL, "weight_map names %zu files, more than the %d allowed",
                       json_object_size(out), MAX_SHARDS);
    return 0;
}

static int open_shard(kp_keras *k, const char *folder, const char *name)
{
    kp_shard *s = &k->shards[k->n_shards];
    const char *path = kp_arena_printf(k->mem, "%s%s", folder, name);
    if (path == NULL)
        return KP_ENOMEM;
    KP_TRY(kp_map_open(&s->map, path));
    k->n_shards++;
    if (!kp_is_hdf5(s->map.data, s->map.size))
        return kp_fail(KP_EMODEL, "\"%s\" is not HDF5", path);
    int status = kp_file_open_h5(&s->h5, s->map.data, s->map.size);
    return status == 0 ? 0 : kp_fail_prefix(status, "%s", name);
}

static int open_all(kp_keras *k, const char *path, const json_t *files)
{
    const char *slash = strrchr(path, '/');
    const char *folder =
        kp_arena_strndup(k->mem, path, slash == NULL ? 0 : (size_t)(slash - path) + 1);
    k->shards = kp_arena_array(k->mem, json_object_size(files), sizeof *k->shards);
    if (folder == NULL || k->shards == NULL)
        return KP_ENOMEM;
    const char *name;
    json_t *value;
    json_object_foreach((json_t *)(uintptr_t)files, name, value)
        KP_TRY(open_shard(k, folder, name));
    return 0;
}

int kp_shards_open(kp_keras *k, const char *path, const uint8_t *text, size_t size)
{
    json_t *index = NULL, *files = json_object();
    int status = files == NULL ? kp_fail(KP_ENOMEM, "out of memory")
                               : kp_json_read(&index, (const char *)text, size, "the index");
    const json_t *map = json_object_get(index, "weight_map");
    if (status == 0 && !json_is_object(map))
        status = kp_fail(KP_EMODEL, "the index of sharded weights has no weight_map");
    if (status == 0)
        status = collect(map, files);
    if (status == 0)
        status = open_all(k, path, files);
    json_decref(index);
    json_decref(files);
    return status;
}
