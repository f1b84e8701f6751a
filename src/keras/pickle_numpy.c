/* How NumPy describes types and arrays in a pickle. */
#include "keras/pickle_int.h"

static int not_numpy(const char *what)
{
    return kp_fail(KP_EMODEL, "the pickle's %s has no form that NumPy writes", what);
}

bool kp_pickle_is_tuple(const kp_pickle_value *v, size_t n)
{
    return v->kind == KP_PICKLE_TUPLE && v->n == n;
}

bool kp_pickle_is_name(const kp_pickle_value *v, const char *text)
{
    return v->kind == KP_PICKLE_NAME && strcmp(v->text, text) == 0;
}

/* NumPy 2 moved its inner modules. */
static bool is_inner(const kp_pickle_value *v, const char *name)
{
    static const char *const modules[] = {"numpy.core.multiarray.", "numpy._core.multiarray."};
    for (size_t i = 0; v->kind == KP_PICKLE_NAME && i < 2; i++) {
        size_t n = strlen(modules[i]);
        if (strncmp(v->text, modules[i], n) == 0 && strcmp(v->text + n, name) == 0)
            return true;
    }
    return false;
}

/* "f4", "i8", "b1"; "O8" is for Python objects. */
static int type_of_code(const kp_pickle_value *code, kp_dtype *out)
{
    static const struct {
        const char *code;
        kp_dtype dtype;
    } codes[] = {{"f2", KP_FLOAT16},   {"f4", KP_FLOAT32}, {"f8", KP_FLOAT64}, {"i1", KP_INT8},
                 {"i2", KP_INT16},     {"i4", KP_INT32},   {"i8", KP_INT64},   {"u1", KP_UINT8},
                 {"u2", KP_UINT16},    {"u4", KP_UINT32},  {"u8", KP_UINT64},  {"b1", KP_BOOL},
                 {"O8", KP_DTYPE_NONE}};
    if (kp_pickle_is_name(code, "ml_dtypes.bfloat16")) {
        *out = KP_BFLOAT16;
        return 0;
    }
    for (size_t i = 0; code->kind == KP_PICKLE_TEXT && i < sizeof codes / sizeof *codes; i++)
        if (code->n == 2 && memcmp(code->bytes, codes[i].code, 2) == 0) {
            *out = codes[i].dtype;
            return 0;
        }
    return kp_fail(KP_EMODEL, "the pickle holds an array whose elements are not numbers");
}

/* Big-endian elements are turned; data stay where they are otherwise. */
static int take_data(kp_arena *mem, const kp_pickle_value *bytes, const kp_pickle_value *dtype,
                     kp_weight *a)
{
    size_t size;
    a->dtype = dtype->dtype;
    if (!kp_shape_bytes(a->shape, a->ndim, a->dtype, &size) || size != bytes->n)
        return kp_fail(KP_EMODEL, "the pickle holds an array whose size does not fit its shape");
    a->data = bytes->bytes;
    a->size_bytes = size;
    size_t width = kp_dtype_size(a->dtype);
    if (!dtype->big_endian || width < 2)
        return 0;
    uint8_t *turned = kp_arena_alloc(mem, size + 1);
    if (turned == NULL)
        return KP_ENOMEM;
    for (size_t i = 0; i < size; i++)
        turned[i] = bytes->bytes[i / width * width + width - 1 - i % width];
    a->data = turned;
    return 0;
}

/* From the order of the first axis running fastest to the usual one. */
static int transpose(kp_arena *mem, kp_weight *a)
{
    size_t width = kp_dtype_size(a->dtype), n = a->size_bytes / width;
    uint8_t *out = kp_arena_alloc(mem, a->size_bytes + 1);
    if (out == NULL)
        return KP_ENOMEM;
    int64_t index[KP_MAX_DIMS] = {0};
    for (size_t i = 0; i < n; i++) {
        int64_t from = 0;
        for (int axis = a->ndim - 1; axis >= 0; axis--)
            from = from * a->shape[axis] + index[axis];
        memcpy(out + i * width, (const uint8_t *)a->data + (size_t)from * width, width);
        for (int axis = a->ndim - 1; axis >= 0 && ++index[axis] == a->shape[axis]; axis--)
            index[axis] = 0;
    }
    a->data = out;
    return 0;
}

static int call_dtype(const kp_pickle_value *args, kp_pickle_value *out)
{
    if (!kp_pickle_is_tuple(args, 3))
        return not_numpy("dtype");
    out->kind = KP_PICKLE_DTYPE;
    return type_of_code(args->items[0], &out->dtype);
}

/* numpy.float32(3) for instance. */
static int call_scalar(kp_arena *mem, const kp_pickle_value *args, kp_pickle_value *out)
{
    if (!kp_pickle_is_tuple(args, 2) || args->items[0]->kind != KP_PICKLE_DTYPE ||
        args->items[0]->dtype == KP_DTYPE_NONE || args->items[1]->kind != KP_PICKLE_BYTES)
        return not_numpy("number");
    out->kind = KP_PICKLE_ARRAY;
    out->built = true;
    out->dtype = args->items[0]->dtype;
    return take_data(mem, args->items[1], args->items[0], &out->array);
}

static int record(const kp_pickle_value *callable, const kp_pickle_value *args,
                  kp_pickle_value *out)
{
    out->kind = KP_PICKLE_CALL;
    out->callable = callable;
    out->args = args;
    return 0;
}

int kp_pickle_call(kp_arena *mem, const kp_pickle_value *callable, const kp_pickle_value *args,
                   kp_pickle_value *out)
{
    if (kp_pickle_is_name(callable, "numpy.dtype"))
        return call_dtype(args, out);
    if (is_inner(callable, "scalar"))
        return call_scalar(mem, args, out);
    if (!is_inner(callable, "_reconstruct"))
        return record(callable, args, out);
    if (!kp_pickle_is_tuple(args, 3) || !kp_pickle_is_name(args->items[0], "numpy.ndarray"))
        return not_numpy("array");
    out->kind = KP_PICKLE_ARRAY;
    return 0;
}

/* (3, '<', None, None, None, -1, -1, 0): the second is the order of bytes. */
static int set_dtype(kp_pickle_value *dtype, const kp_pickle_value *state)
{
    if (state->kind != KP_PICKLE_TUPLE || state->n < 2 || state->items[1]->kind != KP_PICKLE_TEXT ||
        state->items[1]->n != 1)
        return not_numpy("dtype");
    dtype->big_endian = *state->items[1]->bytes == '>';
    return 0;
}

static int take_shape(const kp_pickle_value *shape, kp_weight *a)
{
    if (shape->kind != KP_PICKLE_TUPLE || shape->n > KP_MAX_DIMS)
        return not_numpy("shape");
    a->ndim = (int)shape->n;
    for (size_t i = 0; i < shape->n; i++) {
        if (shape->items[i]->kind != KP_PICKLE_INT || shape->items[i]->integer < 0)
            return not_numpy("shape");
        a->shape[i] = shape->items[i]->integer;
    }
    return 0;
}

/* (1, shape, dtype, whether the first axis runs fastest, bytes or the list of objects). */
static int set_array(kp_arena *mem, kp_pickle_value *array, const kp_pickle_value *state)
{
    if (!kp_pickle_is_tuple(state, 5) || array->built || state->items[2]->kind != KP_PICKLE_DTYPE ||
        state->items[3]->kind != KP_PICKLE_BOOL)
        return not_numpy("array");
    const kp_pickle_value *dtype = state->items[2], *data = state->items[4];
    kp_weight *a = &array->array;
    KP_TRY(take_shape(state->items[1], a));
    array->built = true;
    array->dtype = dtype->dtype;
    if (dtype->dtype == KP_DTYPE_NONE) {
        if (data->kind != KP_PICKLE_LIST)
            return not_numpy("array of objects");
        array->items = data->items;
        array->n = data->n;
        return 0;
    }
    if (data->kind != KP_PICKLE_BYTES)
        return not_numpy("array");
    KP_TRY(take_data(mem, data, dtype, a));
    return state->items[3]->integer != 0 && a->ndim > 1 ? transpose(mem, a) : 0;
}

int kp_pickle_set_state(kp_arena *mem, kp_pickle_value *object, const kp_pickle_value *state)
{
    if (object->kind == KP_PICKLE_DTYPE)
        return set_dtype(object, state);
    if (object->kind == KP_PICKLE_ARRAY)
        return set_array(mem, object, state);
    if (object->kind != KP_PICKLE_CALL)
        return not_numpy("object");
    object->state = state;
    return 0;
}
