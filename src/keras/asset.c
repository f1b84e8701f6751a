/* Files that an archive holds beside the weights: vocabularies. */
#include "keras/private.h"

#include <sys/stat.h>

enum { ASSET_LIMIT = 256 << 20 };

/* Of an unpacked archive: copied, so that the mapping need not be kept. */
static int read_file(kp_keras *k, const char *path, const char **data, size_t *size)
{
    char *full = kp_arena_printf(k->mem, "%s/%s", k->label, path);
    struct stat st;
    kp_map map;
    if (full == NULL)
        return KP_ENOMEM;
    if (stat(full, &st) != 0)
        return KP_ENOTFOUND;
    KP_TRY(kp_map_open(&map, full));
    char *copy =
        map.size <= ASSET_LIMIT
            ? kp_arena_strndup(k->mem, map.size > 0 ? (const char *)map.data : "", map.size)
            : NULL;
    *data = copy;
    *size = map.size;
    kp_map_close(&map);
    if (*size > ASSET_LIMIT)
        return kp_fail(KP_EMODEL, "%s has more than %d MiB", full, ASSET_LIMIT >> 20);
    return copy != NULL ? 0 : KP_ENOMEM;
}

int kp_keras_asset(kp_keras *k, const kp_layer *layer, const char *name, const char **data,
                   size_t *size)
{
    const kp_layer *twin = ((const kp_store *)layer->store)->twin;
    const uint8_t *bytes;
    int i;
    if (k->format == KP_FORMAT_LEGACY_H5)
        return KP_ENOTFOUND;
    const char *group = kp_v3_group(k, twin != NULL ? twin : layer);
    if (group == NULL || strstr(group, "..") != NULL)
        return KP_ENOTFOUND;
    char *path = kp_arena_printf(k->mem, "assets/%s/%s", group, name);
    if (path == NULL)
        return KP_ENOMEM;
    if (k->zip == NULL)
        return read_file(k, path, data, size);
    if (kp_zip_find(k->zip, path, &i) != 0)
        return KP_ENOTFOUND;
    KP_TRY(kp_zip_read(k->zip, i, ASSET_LIMIT, &bytes, size));
    const _Atomic bool stop = false;
    if (kp_zip_is_unchecked(k->zip, i) && !kp_zip_intact(k->zip, i, &stop))
        return kp_fail(KP_EMODEL, "the archive's member \"%s\" is damaged", path);
    *data = (const char *)bytes;
    return 0;
}
