/* The mutator of fuzz_model: files that stay archives, HDF5 and JSON while what they say changes.
 */
#ifndef KP_FUZZ_MUTATE_H
#define KP_FUZZ_MUTATE_H

#include "base/base.h"
#include <jansson.h>

typedef struct kp_rng {
    uint64_t state;
} kp_rng;

/* 0 to n - 1; n > 0. */
size_t kp_rng_pick(kp_rng *r, size_t n);

/* mutate_json.c: changes the text of a model; *out is malloc'd and NUL-terminated, NULL when the
 * text is no JSON. other: the text of a second model whose layers may be taken over, or NULL. */
char *kp_mutate_json(kp_rng *r, const char *text, size_t size, const char *other,
                     size_t other_size);
/* mutate_layers.c: adds, takes out, renames and rewires layers; false if there is nothing to do. */
bool kp_mutate_layers(kp_rng *r, json_t *top, const json_t *other);
/* mutate_h5.c: changes sizes, addresses and types in place. */
void kp_mutate_h5(kp_rng *r, uint8_t *bytes, size_t size);

#endif
