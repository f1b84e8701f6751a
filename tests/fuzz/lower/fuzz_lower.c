/* The text of a model to a graph and through the passes. Weights are made up: each has the shape
 * that is asked for, so that every layer goes its whole way. Whatever is not refused must be a
 * graph that verifies, before and after the passes. */
#include "keras/private.h"
#include "lower/lower.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size);
int __wrap_kp_keras_weight(kp_keras *k, const kp_layer *layer, const char *sub, int index,
                           const char *name, int ndim, const int64_t *shape, kp_weight *out);
int __wrap_kp_keras_check_unused(kp_keras *k);

enum { WEIGHT_MAX = 1 << 20, NODES_MAX = 2000, MEMORY_MAX = 256 << 20 };

/* Unaligned on purpose: files promise no alignment. */
int __wrap_kp_keras_weight(kp_keras *k, const kp_layer *layer, const char *sub, int index,
                           const char *name, int ndim, const int64_t *shape, kp_weight *out)
{
    (void)sub;
    *out = (kp_weight){.dtype = KP_FLOAT32, .ndim = ndim < 0 ? 0 : ndim, .where = name};
    for (int i = 0; i < ndim; i++)
        out->shape[i] = shape[i] < 0 ? 3 : shape[i];
    if (!kp_shape_bytes(out->shape, out->ndim, KP_FLOAT32, &out->size_bytes) ||
        out->size_bytes > WEIGHT_MAX)
        return kp_fail(KP_EMODEL, "layer \"%s\": too large for this test", layer->path);
    uint8_t *data = kp_arena_alloc(k->mem, out->size_bytes + 1);
    if (data == NULL)
        return KP_ENOMEM;
    for (size_t i = 0; i < out->size_bytes / 4; i++) {
        float v = (float)((i + (size_t)index) % 7) * 0.25f - 0.5f;
        memcpy(data + 1 + 4 * i, &v, sizeof v);
    }
    out->data = data + 1;
    return 0;
}

int __wrap_kp_keras_check_unused(kp_keras *k)
{
    (void)k;
    return 0;
}

static void must(int status)
{
    if (status == 0 || status == KP_ENOMEM || status == KP_ELIMIT)
        return;
    fprintf(stderr, "%s\n", kp_errmsg());
    abort();
}

static void check(kp_keras *k)
{
    kp_lowered l;
    kp_arena *mem;
    if (kp_arena_new(&mem, MEMORY_MAX) != 0)
        abort();
    if (kp_lower(k, mem, NULL, &l) == 0) {
        must(kp_graph_verify(l.graph));
        if (l.graph->n_nodes < NODES_MAX)
            must(kp_graph_optimise(l.graph, NULL, NULL, NULL, NULL));
        must(kp_graph_verify(l.graph));
        kp_lowered_fini(&l);
    }
    kp_arena_free(&mem);
}

/* The first byte chooses the version that the text is said to be from. */
int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
    if (size == 0)
        return 0;
    kp_keras k = {.major = 1 + bytes[0] % 3, .version = "3.5.0", .backend = ""};
    k.format = k.major == 3 ? KP_FORMAT_KERAS_V3 : KP_FORMAT_LEGACY_H5;
    k.made = json_array();
    if (kp_arena_new(&k.mem, MEMORY_MAX) != 0 || k.made == NULL)
        abort();
    if (kp_json_read(&k.config, (const char *)bytes + 1, size - 1, "config.json") == 0 &&
        kp_tree_layer(&k, k.config, NULL, NULL, 0, &k.root) == 0 && k.root->model != NULL)
        check(&k);
    json_decref(k.config);
    json_decref(k.made);
    kp_arena_free(&k.mem);
    return 0;
}
