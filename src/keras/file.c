/* The containers: an archive, an unpacked archive, an HDF5 file, an index of shards. */
#include "keras/private.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/stat.h>

static const char config_name[] = "config.json", metadata_name[] = "metadata.json",
                  weights_name[] = "model.weights.h5", npz_name[] = "model.weights.npz",
                  index_name[] = "model.weights.json";

int kp_file_set_version(kp_keras *k, const char *version)
{
    k->version = kp_arena_strdup(k->mem, version);
    k->major = version[0] >= '1' && version[0] <= '9' ? atoi(version) : 0;
    return k->version == NULL ? KP_ENOMEM : 0;
}

static int read_metadata(kp_keras *k, const uint8_t *text, size_t size)
{
    json_t *metadata = NULL;
    KP_TRY(kp_json_read(&metadata, (const char *)text, size, metadata_name));
    int status = kp_file_set_version(k, kp_json_str(metadata, "keras_version", ""));
    json_decref(metadata);
    return status;
}

static int read_config(kp_keras *k, const uint8_t *text, size_t size)
{
    return kp_json_read(&k->config, (const char *)text, size, config_name);
}

static int open_weights(kp_keras *k, const char *name, const uint8_t *bytes, size_t size)
{
    if (!kp_is_hdf5(bytes, size))
        return kp_fail(KP_EMODEL, "%s is not HDF5", name);
    int status = kp_file_open_h5(&k->h5, bytes, size);
    return status == 0 ? 0 : kp_fail_prefix(status, "%s", name);
}

/* ---- .keras ---- */

static int read_npz_member(kp_keras *k)
{
    int i;
    const uint8_t *bytes;
    size_t size;
    if (kp_zip_find(k->zip, npz_name, &i) != 0)
        return kp_fail(KP_EMODEL,
                       "the archive has no %s: the model was saved without its weights "
                       "or is not complete",
                       weights_name);
    KP_TRY(kp_zip_read(k->zip, i, SIZE_MAX, &bytes, &size));
    if (kp_zip_is_unchecked(k->zip, i))
        kp_checker_start(&k->checker, k->zip, i);
    return kp_npz_open(k, bytes, size);
}

static int read_weights_member(kp_keras *k)
{
    int i;
    const uint8_t *bytes;
    size_t size;
    if (kp_zip_find(k->zip, weights_name, &i) != 0)
        return read_npz_member(k);
    KP_TRY(kp_zip_read(k->zip, i, SIZE_MAX, &bytes, &size));
    if (kp_zip_is_unchecked(k->zip, i))
        kp_checker_start(&k->checker, k->zip, i);
    return open_weights(k, weights_name, bytes, size);
}

static int open_archive(kp_keras *k)
{
    KP_TRY(kp_zip_open(&k->zip, k->map.data, k->map.size));
    int i;
    const uint8_t *text;
    size_t size;
    bool has_config = kp_zip_find(k->zip, config_name, &i) == 0;
    if (!has_config && (k->config == NULL || kp_zip_find(k->zip, weights_name, &i) != 0))
        return kp_refuse_archive(k->zip);
    if (k->config == NULL) {
        KP_TRY(kp_zip_read(k->zip, i, KP_TEXT_LIMIT, &text, &size));
        KP_TRY(read_config(k, text, size));
    }
    if (k->major == 0 && kp_zip_find(k->zip, metadata_name, &i) == 0) {
        KP_TRY(kp_zip_read(k->zip, i, 1 << 20, &text, &size));
        KP_TRY(read_metadata(k, text, size));
    }
    return read_weights_member(k);
}

/* ---- an unpacked archive ---- */

static char *path_in(kp_keras *k, const char *folder, const char *name)
{
    return kp_arena_printf(k->mem, "%s/%s", folder, name);
}

static int map_in(kp_keras *k, const char *folder, const char *name, kp_map *out)
{
    const char *path = path_in(k, folder, name);
    return path == NULL ? KP_ENOMEM : kp_map_open(out, path);
}

static int read_in(kp_keras *k, const char *folder, const char *name,
                   int (*read)(kp_keras *, const uint8_t *, size_t))
{
    kp_map map;
    KP_TRY(map_in(k, folder, name, &map));
    int status = read(k, map.data, map.size);
    kp_map_close(&map);
    return status;
}

static bool exists_in(kp_keras *k, const char *folder, const char *name)
{
    const char *path = path_in(k, folder, name);
    struct stat st;
    return path != NULL && stat(path, &st) == 0;
}

static int open_folder_weights(kp_keras *k, const char *path, const char *name)
{
    KP_TRY(map_in(k, path, name, &k->weights_map));
    const uint8_t *bytes = k->weights_map.data;
    size_t size = k->weights_map.size;
    if (name == npz_name)
        return kp_npz_open(k, bytes, size);
    if (name != index_name)
        return open_weights(k, name, bytes, size);
    const char *index = path_in(k, path, name);
    return index == NULL ? KP_ENOMEM : kp_shards_open(k, index, bytes, size);
}

static int open_folder(kp_keras *k, const char *path)
{
    static const char *const names[] = {weights_name, npz_name, index_name};
    size_t i = 0;
    while (i < 3 && !exists_in(k, path, names[i]))
        i++;
    if (i == 3 || (k->config == NULL && !exists_in(k, path, config_name)))
        return kp_refuse_folder(path);
    if (k->config == NULL)
        KP_TRY(read_in(k, path, config_name, read_config));
    if (k->major == 0 && exists_in(k, path, metadata_name))
        KP_TRY(read_in(k, path, metadata_name, read_metadata));
    return open_folder_weights(k, path, names[i]);
}

/* ---- any of them ---- */

static int open_shards(kp_keras *k, const char *path)
{
    if (k->config == NULL)
        return kp_fail(KP_EMODEL, "this is the index of sharded weights, without the model: give "
                                  "the model with --architecture FILE.json, where FILE.json is the "
                                  "output of model.to_json()");
    return kp_shards_open(k, path, k->map.data, k->map.size);
}

static int open_container(kp_keras *k, const char *path)
{
    struct stat st;
    if (stat(path, &st) != 0)
        return kp_fail_errno(KP_EIO, errno, "could not open \"%s\"", path);
    if (S_ISDIR(st.st_mode))
        return open_folder(k, path);
    KP_TRY(kp_map_open(&k->map, path));
    if (k->map.size >= 4 && memcmp(k->map.data, "PK\3\4", 4) == 0)
        return open_archive(k);
    if (kp_is_hdf5(k->map.data, k->map.size))
        return kp_file_open_hdf5(k, k->map.data, k->map.size);
    if (kp_is_shard_index(k->map.data, k->map.size))
        return open_shards(k, path);
    return kp_refuse_bytes(k->map.data, k->map.size);
}

int kp_file_open(kp_keras *k, const char *path, const char *architecture)
{
    k->format = KP_FORMAT_KERAS_V3;
    if (architecture != NULL)
        KP_TRY(kp_architecture_read(k, architecture));
    KP_TRY(open_container(k, path));
    if (k->major == 0)
        k->major = kp_architecture_major(k->config);
    if (k->major == 0)
        k->major = 3;
    if (k->major < 3 && k->format == KP_FORMAT_KERAS_V3)
        k->format = KP_FORMAT_KERAS_V2_ZIP;
    return 0;
}
