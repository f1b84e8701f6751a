/* Where the array is in a pickled variable of Keras: what each backend's own arrays write. */
#include "keras/pickle_int.h"

enum { MAX_DEPTH = 8 }; /* a variable holds a value, that a partial call, that an array */

static const kp_pickle_value *member(const kp_pickle_value *dict, const char *key)
{
    size_t n = strlen(key);
    for (size_t i = 0; dict != NULL && dict->kind == KP_PICKLE_DICT && i < dict->n; i += 2) {
        const kp_pickle_value *k = dict->items[i];
        if (k->kind == KP_PICKLE_TEXT && k->n == n && memcmp(k->bytes, key, n) == 0)
            return dict->items[i + 1];
    }
    return NULL;
}

static const char *name_of(const kp_pickle_value *v)
{
    return v->kind == KP_PICKLE_NAME ? v->text : "";
}

static bool is_keras_variable(const kp_pickle_value *class)
{
    const char *name = name_of(class), *dot = strrchr(name, '.');
    return strncmp(name, "keras.src.", 10) == 0 && strcmp(dot, ".Variable") == 0;
}

/* functools.partial(ResourceVariable, initial_value=array, ...)() */
static const kp_pickle_value *of_tensorflow(const kp_pickle_value *call)
{
    const kp_pickle_value *partial = call->callable;
    if (partial->kind != KP_PICKLE_CALL || partial->state == NULL ||
        !kp_pickle_is_name(partial->callable, "functools.partial") ||
        !kp_pickle_is_tuple(partial->state, 4) ||
        strstr(name_of(partial->state->items[0]), ".ResourceVariable") == NULL)
        return NULL;
    return member(partial->state->items[2], "initial_value");
}

/* _reconstruct_array(fun, args, state, ...) stands for fun(*args).__setstate__(state). */
static int of_jax(kp_arena *mem, const kp_pickle_value *call, const kp_pickle_value **out)
{
    *out = NULL;
    if (!kp_pickle_is_name(call->callable, "jax._src.array._reconstruct_array") ||
        call->args->kind != KP_PICKLE_TUPLE || call->args->n < 3)
        return 0;
    kp_pickle_value **items = call->args->items;
    kp_pickle_value *array = kp_arena_alloc(mem, sizeof *array);
    if (array == NULL)
        return KP_ENOMEM;
    KP_TRY(kp_pickle_call(mem, items[0], items[1], array));
    KP_TRY(kp_pickle_set_state(mem, array, items[2]));
    *out = array;
    return 0;
}

static int no_array(const kp_pickle_value *v)
{
    const char *name = v->kind == KP_PICKLE_CALL ? name_of(v->callable) : "";
    return kp_fail(KP_EMODEL, "the pickle holds %s%s where an array should be",
                   *name == '\0' ? "something else" : "a ", name);
}

static int find(kp_arena *mem, const kp_pickle_value *v, int depth, const kp_weight **out)
{
    if (v->kind == KP_PICKLE_ARRAY && v->built && v->dtype != KP_DTYPE_NONE) {
        *out = &v->array;
        return 0;
    }
    if (v->kind != KP_PICKLE_CALL || depth == MAX_DEPTH)
        return no_array(v);
    const kp_pickle_value *inner =
        is_keras_variable(v->callable) ? member(v->state, "_value") : of_tensorflow(v);
    if (inner == NULL)
        KP_TRY(of_jax(mem, v, &inner));
    return inner == NULL ? no_array(v) : find(mem, inner, depth + 1, out);
}

int kp_pickle_find(kp_arena *mem, const kp_pickle_value *v, const kp_weight **out)
{
    return find(mem, v, 0, out);
}
