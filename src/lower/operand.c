/* Operands of operations: tensors of the graph, Python numbers, stored arrays, lists of numbers. */
#include "lower/view.h"

/* ---- arrays in JSON ---- */

typedef struct array {
    int ndim;
    int64_t shape[KP_MAX_DIMS];
    bool reals, integers, booleans, strings; /* what it holds */
} array;

/* JSON has no such numbers: they are stored as words. */
static bool word_number(const char *s, double *out)
{
    if (strcmp(s, "NaN") == 0)
        *out = (double)NAN;
    else if (strcmp(s, "Infinity") == 0)
        *out = (double)INFINITY;
    else if (strcmp(s, "-Infinity") == 0)
        *out = -(double)INFINITY;
    else
        return false;
    return true;
}

/* The shape of nested lists and the kinds of their elements; false when they are ragged. */
static bool measure(const json_t *v, int depth, array *a)
{
    double number;
    if (json_is_array(v)) {
        int64_t n = (int64_t)json_array_size(v);
        if (depth >= KP_MAX_DIMS || (depth >= a->ndim && a->shape[depth] == -2))
            return false;
        if (a->shape[depth] >= 0 && a->shape[depth] != n)
            return false;
        a->shape[depth] = n;
        a->ndim = depth + 1 > a->ndim ? depth + 1 : a->ndim;
        for (int64_t i = 0; i < n; i++)
            if (!measure(json_array_get(v, (size_t)i), depth + 1, a))
                return false;
        return true;
    }
    if (depth < KP_MAX_DIMS) {
        if (a->shape[depth] >= 0)
            return false;
        a->shape[depth] = -2; /* elements stand here: no list may */
    }
    bool word = json_is_string(v) && word_number(json_string_value(v), &number);
    a->reals = a->reals || json_is_real(v) || word;
    a->integers = a->integers || json_is_integer(v);
    a->booleans = a->booleans || json_is_boolean(v);
    a->strings = a->strings || (json_is_string(v) && !word);
    return json_is_number(v) || json_is_boolean(v) || json_is_string(v);
}

static void store(const json_t *v, kp_dtype dtype, char **to)
{
    for (size_t i = 0; json_is_array(v) && i < json_array_size(v); i++)
        store(json_array_get(v, i), dtype, to);
    if (json_is_array(v))
        return;
    double real = json_is_boolean(v) ? json_is_true(v) : json_number_value(v);
    int64_t integer = json_integer_value(v);
    if (dtype == KP_STRING)
        memcpy(*to, &(kp_text){json_string_value(v), json_string_length(v)}, sizeof(kp_text));
    else if (json_is_integer(v))
        kp_convert(dtype, *to, KP_INT64, &integer, 1);
    else if (!json_is_string(v) || word_number(json_string_value(v), &real))
        kp_convert(dtype, *to, KP_FLOAT64, &real, 1);
    *to += kp_elem_size(dtype);
}

/* What TensorFlow makes of a list, or what NumPy's and TensorFlow's arrays say of themselves. */
static kp_dtype type_of(const array *a, const char *dtype)
{
    if (dtype)
        return kp_dtype_from_name(dtype);
    return a->strings    ? KP_STRING
           : a->booleans ? KP_BOOL
           : a->reals    ? KP_FLOAT32
           : a->integers ? KP_INT32
                         : KP_FLOAT32;
}

int kp_lw_json_array(kp_lw *w, const json_t *v, const char *dtype, kp_value **out)
{
    array a = {0};
    size_t bytes;
    for (int i = 0; i < KP_MAX_DIMS; i++)
        a.shape[i] = -1;
    if (!measure(v, 0, &a) || (a.strings && (a.reals || a.integers || a.booleans)))
        return kp_fail(KP_EMODEL, "a stored array is not a regular list of at most %d axes",
                       KP_MAX_DIMS);
    kp_dtype type = type_of(&a, dtype);
    if (kp_elem_size(type) == 0 || (type == KP_STRING) != a.strings)
        return kp_fail(KP_EMODEL, "a stored array of type %s is not supported",
                       dtype ? dtype : kp_dtype_name(type));
    if (!kp_shape_bytes(a.shape, a.ndim, type, &bytes))
        return kp_fail(KP_ELIMIT, "a stored array is too large");
    char *data = kp_graph_alloc(w->g, bytes), *to = data;
    if (!data)
        return KP_ENOMEM;
    store(v, type, &to);
    return kp_graph_add_const(w->g, w->name, type, a.shape, a.ndim, data, out);
}

/* ---- lists of arguments ---- */

/* Back to JSON, so that a list is read as a stored array is. NULL: it holds something else. */
static json_t *to_json(const kp_arg *a)
{
    switch (a->kind) {
    case KP_ARG_BOOL:
        return json_boolean(a->boolean);
    case KP_ARG_INT:
        return json_integer(a->integer);
    case KP_ARG_FLOAT:
        return isfinite(a->real) ? json_real(a->real)
                                 : json_string(isnan(a->real) ? "NaN"
                                               : a->real > 0  ? "Infinity"
                                                              : "-Infinity");
    case KP_ARG_LIST:
        break;
    default:
        return NULL;
    }
    json_t *list = json_array();
    for (int i = 0; list && i < a->n_items; i++)
        if (json_array_append_new(list, to_json(&a->items[i])) != 0) {
            json_decref(list);
            return NULL;
        }
    return list;
}

static int from_list(kp_lw *w, const kp_arg *a, kp_value **out)
{
    json_t *list = to_json(a);
    if (!list)
        return kp_fail(KP_EMODEL, "an operand is a list that holds more than numbers");
    int status = kp_lw_json_array(w, list, NULL, out);
    json_decref(list);
    return status;
}

/* ---- operands ---- */

static int from_string(kp_lw *w, const char *s, kp_value **out)
{
    kp_text *text = kp_graph_alloc(w->g, sizeof *text);
    if (!text)
        return KP_ENOMEM;
    *text = (kp_text){s, strlen(s)};
    return kp_graph_add_const(w->g, w->name, KP_STRING, NULL, 0, text, out);
}

static int from_const(kp_lw *w, const json_t *json, kp_value **out)
{
    bool object = json_is_object(json);
    const json_t *v = object ? json_object_get(json, "value") : json;
    const char *dtype = object ? json_string_value(json_object_get(json, "dtype")) : NULL;
    return kp_lw_json_array(w, v, dtype, out);
}

int kp_lw_operand_of(kp_lw *w, const kp_lw_call *c, const kp_arg *a, kp_lw_operand *out)
{
    *out = (kp_lw_operand){0};
    switch (a ? a->kind : KP_ARG_NONE) {
    case KP_ARG_INT:
        out->type = KP_LW_WEAK_INT;
        out->integer = a->integer;
        return 0;
    case KP_ARG_FLOAT:
        out->type = KP_LW_WEAK_FLOAT;
        out->real = a->real;
        return 0;
    case KP_ARG_REF:
        KP_TRY(kp_lw_ref(c->env, a->ref, &out->value));
        break;
    case KP_ARG_CONST:
        KP_TRY(from_const(w, a->json, &out->value));
        break;
    case KP_ARG_STR:
        KP_TRY(from_string(w, a->str, &out->value));
        break;
    case KP_ARG_BOOL:
    case KP_ARG_LIST:
        KP_TRY(from_list(w, a, &out->value));
        break;
    default:
        return kp_fail(KP_EMODEL,
                       "layer \"%s\" (%s): an operand is missing or neither a tensor "
                       "nor a number",
                       c->layer->path, c->layer->class_name);
    }
    out->type = (int)out->value->dtype;
    return 0;
}

void kp_lw_operand_settle(kp_lw_operand *o)
{
    if (!o->value)
        o->type = o->type == KP_LW_WEAK_INT ? KP_INT32 : KP_FLOAT32;
}

int kp_lw_operand_as(kp_lw *w, const kp_lw_operand *o, kp_dtype dtype, kp_value **out)
{
    if (o->value)
        return kp_lw_cast(w, dtype, o->value, out);
    bool whole = o->type == KP_LW_WEAK_INT || o->type == KP_INT32;
    void *data = kp_graph_alloc(w->g, sizeof(double));
    if (!data)
        return KP_ENOMEM;
    if (whole)
        KP_TRY(kp_convert(dtype, data, KP_INT64, &o->integer, 1));
    else
        KP_TRY(kp_convert(dtype, data, KP_FLOAT64, &o->real, 1));
    return kp_graph_add_const(w->g, w->name, dtype, NULL, 0, data, out);
}

int kp_lw_tensor_of(kp_lw *w, const kp_lw_call *c, const kp_arg *a, kp_value **out)
{
    kp_lw_operand o;
    KP_TRY(kp_lw_operand_of(w, c, a, &o));
    kp_lw_operand_settle(&o);
    return kp_lw_operand_as(w, &o, (kp_dtype)o.type, out);
}

int kp_lw_config_array(kp_lw *w, const kp_layer *l, const char *key, kp_dtype type, kp_value **out)
{
    const json_t *v = json_object_get(l->config, key), *config = json_object_get(v, "config");
    int status = config ? from_const(w, config, out) : kp_lw_json_array(w, v, NULL, out);
    if (status != 0)
        return kp_fail_prefix(status, "layer \"%s\": \"%s\"", l->path, key);
    return type == KP_DTYPE_NONE ? 0 : kp_lw_cast(w, type, *out, out);
}

int kp_lw_ints(const kp_layer *l, const char *key, int max, int64_t *out, int *n)
{
    double v[KP_LW_INTS_MAX];
    KP_TRY(kp_lw_numbers(l, key, max < KP_LW_INTS_MAX ? max : KP_LW_INTS_MAX, v, n));
    for (int i = 0; i < *n; i++) {
        if (!(fabs(v[i]) <= INT32_MAX))
            return kp_fail(KP_EMODEL, "layer \"%s\": \"%s\" holds %g", l->path, key, v[i]);
        out[i] = (int64_t)v[i];
    }
    return 0;
}

int kp_lw_scalar(kp_lw *w, kp_dtype type, double v, kp_value **out)
{
    kp_lw_operand number = {.type = KP_LW_WEAK_FLOAT, .real = v};
    return kp_lw_operand_as(w, &number, type, out);
}

int kp_lw_filled(kp_lw *w, kp_dtype type, double v, kp_value *x, kp_value **out)
{
    kp_value *yes, *fill;
    KP_TRY(kp_lw_scalar(w, KP_BOOL, 1, &yes));
    KP_TRY(kp_lw_scalar(w, type, v, &fill));
    KP_TRY(kp_lw_cast(w, type, x, &x));
    return kp_lw_select(w, yes, fill, x, out);
}

int kp_lw_flat(kp_lw *w, kp_value *x, kp_value **out)
{
    *out = x;
    if (x->ndim == 1)
        return 0;
    if (x->ndim == 0 || x->shape[0] != KP_DIM_BATCH)
        return kp_lw_reshape(w, 0, (int64_t[]){-1}, 1, x, out);
    return kp_lw_view_reshape(w, x, &(kp_lw_size){.hole = true}, 1, out);
}
