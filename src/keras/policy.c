/* The dtype policy of a layer: a name, or an object with a name or a mode and a source. */
#include "keras/private.h"

/* Fills in the types that a name such as "float32" or "mixed_bfloat16" stands for. */
static bool types_of(const char *name, kp_policy *out)
{
    if (strcmp(name, "mixed_float16") == 0 || strcmp(name, "mixed_bfloat16") == 0) {
        out->compute = kp_dtype_from_name(name + strlen("mixed_"));
        out->variable = KP_FLOAT32;
        return true;
    }
    kp_dtype dtype = kp_dtype_from_name(name);
    /* TensorFlow 2.x: variables take the type of the first input. */
    if (strcmp(name, "_infer") == 0 || strcmp(name, "infer") == 0)
        dtype = KP_FLOAT32;
    out->compute = out->variable = dtype;
    return dtype != KP_DTYPE_NONE;
}

static int from_name(kp_keras *k, const kp_layer *l, const char *name, kp_policy *out)
{
    const char *from = strstr(name, "_from_");
    if (from != NULL) {
        size_t kind = strcspn(name, "/"), whole = (size_t)(from - name);
        out->quantization = kp_arena_strndup(k->mem, name, kind < whole ? kind : whole);
        if (out->quantization == NULL)
            return KP_ENOMEM;
        name = from + strlen("_from_");
    }
    if (!types_of(name, out))
        return kp_fail(KP_EMODEL, "layer \"%s\" (%s): the dtype policy \"%.60s\" is not supported",
                       l->path, l->class_name, name);
    return 0;
}

/* "int4/128", "gptq/4/32": the part before the slash is the kind. */
static int from_mode(kp_keras *k, const kp_layer *l, const json_t *config, kp_policy *out)
{
    const char *mode = kp_json_str(config, "mode", "");
    out->quantization = kp_arena_strndup(k->mem, mode, strcspn(mode, "/"));
    if (out->quantization == NULL)
        return KP_ENOMEM;
    const char *source = kp_json_str(config, "source_name", "float32");
    if (!types_of(source, out))
        return kp_fail(KP_EMODEL, "layer \"%s\" (%s): the dtype policy \"%.60s\" is not supported",
                       l->path, l->class_name, source);
    return 0;
}

static int parse(kp_keras *k, const kp_layer *l, const json_t *dtype, int depth, kp_policy *out)
{
    *out = (kp_policy){.compute = KP_FLOAT32, .variable = KP_FLOAT32};
    if (dtype == NULL || json_is_null(dtype))
        return 0;
    if (json_is_string(dtype))
        return from_name(k, l, json_string_value(dtype), out);
    const json_t *config = json_object_get(dtype, "config");
    if (json_object_get(config, "default_policy") != NULL && depth < 4)
        return parse(k, l, json_object_get(config, "default_policy"), depth + 1, out);
    const char *name = kp_json_str(config, "name", NULL);
    if (json_is_string(json_object_get(config, "mode")))
        return from_mode(k, l, config, out);
    if (name != NULL)
        return from_name(k, l, name, out);
    return kp_fail(KP_EMODEL, "layer \"%s\" (%s): config \"dtype\" is not a dtype policy", l->path,
                   l->class_name);
}

int kp_policy_parse(kp_keras *k, const kp_layer *l, const json_t *dtype, kp_policy *out)
{
    return parse(k, l, dtype, 0, out);
}
