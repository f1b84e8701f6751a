/* What the file says about training: only as much as summary prints. */
#include "keras/private.h"

static int read_training_config(kp_keras *k, json_t **out)
{
    kp_h5_object root, weights;
    kp_h5_data text;
    *out = NULL;
    KP_TRY(kp_h5_root(k->h5, &root));
    /* Keras leaves an optimizer whose state the file does not hold without variables. */
    if (kp_h5_lookup(k->h5, &root, "optimizer_weights", &weights) != 0 ||
        kp_h5_attr_read(k->h5, &root, "training_config", &text) != 0 || text.strings == NULL ||
        text.count != 1)
        return 0;
    KP_TRY(kp_json_read(out, text.strings[0], text.string_sizes[0], "training_config"));
    if (json_array_append_new(k->made, *out) != 0)
        return kp_fail(KP_ENOMEM, "out of memory");
    return 0;
}

int kp_keras_optimizer(kp_keras *k, const json_t **out, bool *of_weights)
{
    const json_t *from = json_object_get(k->config, "compile_config");
    const char *key = "optimizer";
    *of_weights = k->format != KP_FORMAT_LEGACY_H5;
    if (k->format == KP_FORMAT_LEGACY_H5) {
        json_t *training;
        KP_TRY(read_training_config(k, &training));
        from = training;
        key = "optimizer_config";
    }
    from = json_object_get(from, key);
    *out = json_is_object(from) ? from : NULL;
    return 0;
}
