/* zip_dir: the directory of an archive in memory; shared by zip.c and zip_dir.c only. */
#ifndef KP_KERAS_ZIP_DIR_H
#define KP_KERAS_ZIP_DIR_H

#include "base/base.h"

typedef struct kp_zip_member {
    char *name;            /* '/' between folders */
    const uint8_t *packed; /* its bytes as they lie in the archive, all within it */
    uint64_t packed_size, size;
    uint32_t crc;
    int method; /* 0: stored, 8: deflate */
    uint8_t *inflated;
    const uint8_t *unchecked; /* large and stored: packed, once it has been read */
} kp_zip_member;

/* All members, sorted by name; the caller frees them with kp_zip_members_free, also after an
 * error. KP_EMODEL: damaged or refused. */
int kp_zip_directory(const uint8_t *bytes, uint64_t size, kp_zip_member **out, int *n);
void kp_zip_members_free(kp_zip_member *members, int n);

#endif
