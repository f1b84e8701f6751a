/* A model's architecture in a file of its own: what to_json() or get_config() of any version gave.
 */
#include "keras/private.h"

static int not_an_architecture(const json_t *v)
{
    if (json_object_get(v, "weight_map") != NULL)
        return kp_fail(KP_EMODEL, "this is the index of sharded weights: it is the MODEL to give, "
                                  "beside --architecture with the output of model.to_json()");
    return kp_fail(KP_EMODEL, "this is JSON, but not a model's architecture; save that with "
                              "open(\"model.json\", \"w\").write(model.to_json())");
}

/* json.dumps(model.to_json()) is text within text: taken once. Replaces *v. */
static int unquote(json_t **v)
{
    if (!json_is_string(*v))
        return 0;
    json_t *inner = NULL;
    int status = kp_json_read(&inner, json_string_value(*v), json_string_length(*v), "the text");
    json_decref(*v);
    *v = inner;
    return status;
}

static json_t *wrap(const char *class_name, json_t *config)
{
    return json_pack("{ss, so}", "class_name", class_name, "config", config);
}

/* A bare get_config() has no class; its members tell which model it is. Replaces *v. */
static int name_class(json_t **v)
{
    if (json_is_object(*v) && json_is_string(json_object_get(*v, "class_name")))
        return 0;
    bool functional = json_object_get(*v, "input_layers") != NULL;
    bool list =
        json_is_array(*v) && json_is_string(json_object_get(json_array_get(*v, 0), "class_name"));
    if (!list && !json_is_array(json_object_get(*v, "layers")))
        return not_an_architecture(*v);
    *v = wrap(functional ? "Functional" : "Sequential", *v);
    return *v != NULL ? 0 : kp_fail(KP_ENOMEM, "out of memory");
}

static int take(kp_keras *k, const kp_map *map)
{
    KP_TRY(kp_json_read(&k->config, (const char *)map->data, map->size, "the text"));
    KP_TRY(unquote(&k->config));
    KP_TRY(name_class(&k->config));
    const char *backend = kp_json_str(k->config, "backend", NULL);
    if (backend != NULL)
        k->backend = backend;
    return kp_file_set_version(k, kp_json_str(k->config, "keras_version", ""));
}

int kp_architecture_read(kp_keras *k, const char *path)
{
    kp_map map;
    KP_TRY(kp_map_open(&map, path));
    int status = take(k, &map);
    kp_map_close(&map);
    return status == 0 ? 0 : kp_fail_prefix(status, "architecture \"%s\"", path);
}

/* Keras 3 says batch_shape where earlier versions say batch_input_shape, and its nodes have args;
 * one of these stands in every model, near its beginning. depth: that of JSON is limited. */
int kp_architecture_major(const json_t *v)
{
    if (json_is_array(v)) {
        size_t i;
        json_t *item;
        json_array_foreach(v, i, item)
        {
            int major = kp_architecture_major(item);
            if (major != 0)
                return major;
        }
    }
    if (!json_is_object(v))
        return 0;
    if (json_object_get(v, "batch_input_shape") != NULL)
        return 2;
    if (json_object_get(v, "batch_shape") != NULL)
        return 3;
    const char *key;
    json_t *value;
    json_object_foreach((json_t *)(uintptr_t)v, key, value)
    {
        int major = kp_architecture_major(value);
        if (major != 0)
            return major;
    }
    return 0;
}
