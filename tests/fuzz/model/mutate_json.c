/* The text of a model: one value is changed, or the graph of its layers is. */
#include "mutate.h"

#include <stdlib.h>

enum { SLOTS_MAX = 20000, DEPTH_MAX = 40 };

/* A place that holds a value. */
typedef struct slot {
    json_t *parent, *value;
    const char *key; /* NULL: in a list, at index */
    size_t index;
} slot;

typedef struct slots {
    slot *slot;
    size_t n;
} slots;

static const char *const words[] = {
#include "words.h"
};

static const char *const keys[] = {
    "activation",
    "axis",
    "axes",
    "data_format",
    "dtype",
    "filters",
    "kernel_size",
    "strides",
    "padding",
    "dilation_rate",
    "groups",
    "units",
    "use_bias",
    "pool_size",
    "size",
    "epsilon",
    "center",
    "scale",
    "input_dim",
    "output_dim",
    "mask_zero",
    "target_shape",
    "dims",
    "n",
    "rate",
    "num_heads",
    "key_dim",
    "value_dim",
    "depth_multiplier",
    "output_padding",
    "interpolation",
    "height",
    "width",
    "return_sequences",
    "return_state",
    "go_backwards",
    "reset_after",
    "unroll",
    "stateful",
    "batch_shape",
    "shape",
    "ragged",
    "sparse",
    "trainable",
    "negative_slope",
    "max_value",
    "threshold",
    "alpha",
    "keepdims",
    "training",
    "mask",
    "x_min",
    "x_max",
    "indices",
    "num_classes",
    "vocabulary",
    "output_mode",
    "max_tokens",
    "bin_boundaries",
    "equation",
    "output_shape",
    "bias_axes",
    "mean",
    "variance",
    "value",
    "module",
    "registered_name",
    "shared_object_id",
    "noise_shape",
    "merge_mode",
    "cell",
    "layer",
    "newshape",
    "repeats",
    "approximate",
    "cropping",
    "implementation",
    "name",
    "optional",
};

size_t kp_rng_pick(kp_rng *r, size_t n)
{
    r->state = r->state * 6364136223846793005u + 1442695040888963407u;
    return (size_t)((r->state >> 33) % n);
}

static void gather(json_t *v, int depth, slots *out)
{
    const char *key;
    json_t *child;
    size_t i;
    if (depth > DEPTH_MAX)
        return;
    if (json_is_object(v)) {
        json_object_foreach(v, key, child)
        {
            if (out->n < SLOTS_MAX)
                out->slot[out->n++] = (slot){v, child, key, 0};
            gather(child, depth + 1, out);
        }
    } else if (json_is_array(v)) {
        json_array_foreach(v, i, child)
        {
            if (out->n < SLOTS_MAX)
                out->slot[out->n++] = (slot){v, child, NULL, i};
            gather(child, depth + 1, out);
        }
    }
}

static void put(const slot *s, json_t *value)
{
    if (s->key != NULL)
        json_object_set_new(s->parent, s->key, value);
    else
        json_array_set_new(s->parent, s->index, value);
}

static json_t *odd_number(kp_rng *r)
{
    static const json_int_t ints[] = {0,         1,
                                      -1,        2,
                                      3,         4,
                                      5,         7,
                                      8,         16,
                                      -2,        -3,
                                      100,       255,
                                      1000,      65536,
                                      1 << 20,   INT32_MAX,
                                      INT32_MIN, INT64_MAX,
                                      INT64_MIN, (json_int_t)1 << 32};
    static const double reals[] = {0.0, 0.5, -0.5, 1e-7, 1e30, -1e30, 1e308, 1.0, 2.5};
    if (kp_rng_pick(r, 5) == 0)
        return json_real(reals[kp_rng_pick(r, sizeof reals / sizeof *reals)]);
    return json_integer(ints[kp_rng_pick(r, sizeof ints / sizeof *ints)]);
}

static json_t *odd_list(kp_rng *r)
{
    json_t *list = json_array();
    for (size_t i = kp_rng_pick(r, 6); i > 0; i--)
        json_array_append_new(list, kp_rng_pick(r, 4) == 0
                                        ? json_null()
                                        : json_integer((json_int_t)kp_rng_pick(r, 6)));
    return list;
}

static json_t *odd_value(kp_rng *r)
{
    switch (kp_rng_pick(r, 9)) {
    case 0:
        return json_null();
    case 1:
        return json_true();
    case 2:
        return json_false();
    case 3:
        return json_object();
    case 4:
        return json_string(kp_rng_pick(r, 2) == 0 ? "" : "NaN");
    case 5:
        return odd_list(r);
    case 6:
        return json_string(words[kp_rng_pick(r, sizeof words / sizeof *words)]);
    default:
        return odd_number(r);
    }
}

static json_t *near(kp_rng *r, const json_t *v)
{
    if (kp_rng_pick(r, 3) == 0)
        return odd_number(r);
    if (json_is_real(v))
        return json_real(json_real_value(v) * (kp_rng_pick(r, 2) == 0 ? 2 : -1));
    json_int_t by = (json_int_t)kp_rng_pick(r, 5) - 2, old = json_integer_value(v);
    return json_integer((json_int_t)((uint64_t)old + (uint64_t)by));
}

/* ---- the changes ---- */

static void change_value(kp_rng *r, const slot *s)
{
    if (json_is_number(s->value) && kp_rng_pick(r, 4) > 0)
        put(s, near(r, s->value));
    else if (json_is_string(s->value) && kp_rng_pick(r, 4) > 0)
        put(s, json_string(words[kp_rng_pick(r, sizeof words / sizeof *words)]));
    else if (json_is_boolean(s->value) && kp_rng_pick(r, 4) > 0)
        put(s, json_is_true(s->value) ? json_false() : json_true());
    else
        put(s, odd_value(r));
}

/* The value of another place takes this one's; one with the same key if the search finds it. */
static void take_value(kp_rng *r, const slots *all, const slot *s)
{
    const slot *from = &all->slot[kp_rng_pick(r, all->n)];
    for (int i = 0; i < 40 && s->key != NULL; i++) {
        const slot *other = &all->slot[kp_rng_pick(r, all->n)];
        if (other->key != NULL && strcmp(other->key, s->key) == 0 && other != s) {
            from = other;
            break;
        }
    }
    put(s, json_deep_copy(from->value));
}

static void change_list(kp_rng *r, const slot *s)
{
    json_t *list = s->key == NULL ? s->parent : json_is_array(s->value) ? s->value : NULL;
    size_t n = json_array_size(list);
    if (n == 0)
        return;
    size_t at = kp_rng_pick(r, n);
    json_t *e = json_array_get(list, at);
    switch (kp_rng_pick(r, 3)) {
    case 0:
        json_array_remove(list, at);
        break;
    case 1:
        json_array_insert_new(list, at, json_deep_copy(e));
        break;
    default:
        json_array_append_new(list, json_deep_copy(e));
    }
}

static void change_keys(kp_rng *r, const slot *s)
{
    if (s->key == NULL)
        return;
    if (kp_rng_pick(r, 2) == 0)
        json_object_del(s->parent, s->key);
    else
        json_object_set_new(s->parent, keys[kp_rng_pick(r, sizeof keys / sizeof *keys)],
                            kp_rng_pick(r, 2) == 0 ? odd_value(r) : json_deep_copy(s->value));
}

static void change_one(kp_rng *r, json_t *top, const json_t *other)
{
    if ((other != NULL || kp_rng_pick(r, 3) == 0) && kp_mutate_layers(r, top, other))
        return;
    slots all = {.slot = malloc(SLOTS_MAX * sizeof *all.slot)};
    if (all.slot == NULL)
        abort();
    gather(top, 0, &all);
    if (all.n > 0) {
        const slot *s = &all.slot[kp_rng_pick(r, all.n)];
        size_t what = kp_rng_pick(r, 8);
        if (what < 4)
            change_value(r, s);
        else if (what < 6)
            take_value(r, &all, s);
        else if (what == 6)
            change_list(r, s);
        else
            change_keys(r, s);
    }
    free(all.slot);
}

char *kp_mutate_json(kp_rng *r, const char *text, size_t size, const char *other, size_t other_size)
{
    json_t *top = json_loadb(text, size, 0, NULL);
    json_t *second = other != NULL ? json_loadb(other, other_size, 0, NULL) : NULL;
    char *out = NULL;
    if (top != NULL) {
        change_one(r, top, second);
        for (size_t more = kp_rng_pick(r, 3); more > 0; more--)
            change_one(r, top, NULL);
        out = json_dumps(top, JSON_COMPACT);
    }
    json_decref(top);
    json_decref(second);
    return out;
}
