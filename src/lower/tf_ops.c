/* Layers of models of Keras 2 that call functions of TensorFlow (TFOpLambda, SlicingOpLambda): each
 * call becomes one of an operation of keras.ops.
 * What is computed from sizes (tf.shape and its elements): tf_size.c. */
#include "lower/tf.h"

enum { WORDS_MAX = 16 };

/* ---- arguments as JSON ---- */

/* The numbers of a size that has been taken from tf.shape. */
static json_t *number_of(const kp_value *v)
{
    int32_t n;
    if (v->producer->op != KP_OP_CONST || v->dtype != KP_INT32 || v->ndim > 1)
        return NULL;
    json_t *list = v->ndim == 1 ? json_array() : NULL;
    for (size_t i = 0; i < v->data_bytes / sizeof n; i++) {
        memcpy(&n, (const char *)v->data + i * sizeof n, sizeof n);
        if (v->ndim == 0)
            return json_integer(n);
        json_array_append_new(list, json_integer(n));
    }
    return list;
}

static json_t *list_json(const kp_lw_call *c, const kp_arg *a)
{
    json_t *list = json_array();
    for (int i = 0; i < a->n_items; i++) {
        json_t *item = kp_tf_json(c, &a->items[i]);
        if (!item || json_array_append_new(list, item) != 0) {
            json_decref(list);
            return NULL;
        }
    }
    return list;
}

json_t *kp_tf_json(const kp_lw_call *c, const kp_arg *a)
{
    kp_value *v;
    switch (a->kind) {
    case KP_ARG_NONE:
        return json_null();
    case KP_ARG_BOOL:
        return json_boolean(a->boolean);
    case KP_ARG_INT:
        return json_integer(a->integer);
    case KP_ARG_FLOAT:
        return json_real(a->real);
    case KP_ARG_STR:
        return json_string(a->str);
    case KP_ARG_LIST:
        return list_json(c, a);
    case KP_ARG_CONST:
        return json_incref((json_t *)(uintptr_t)json_object_get(a->json, "value"));
    case KP_ARG_REF:
        return kp_lw_ref(c->env, a->ref, &v) == 0 ? number_of(v) : NULL;
    default:
        return NULL;
    }
}

/* ---- one operation ---- */

int kp_tf_operation(kp_lw *w, const kp_lw_call *c, const char *op, json_t *config,
                    const kp_arg *args, kp_value **out)
{
    const kp_lw_entry *e = kp_lw_find(op, true);
    kp_layer *layer = kp_arena_alloc(w->mem, sizeof *layer);
    kp_call *call = kp_arena_alloc(w->mem, sizeof *call);
    int status = config ? json_array_append_new(w->made, config) : -1;
    if (!layer || !call || status != 0)
        return KP_ENOMEM;
    if (!e)
        return kp_fail(KP_EMODEL, "layer \"%s\" (%s): the operation %s is not supported",
                       c->layer->path, c->layer->class_name, op);
    *layer = *c->layer;
    layer->class_name = op;
    layer->is_operation = true;
    layer->config = config;
    *call = (kp_call){.layer = layer, .args = *args, .kwargs = {.kind = KP_ARG_DICT}};
    kp_lw_result in;
    KP_TRY(kp_lw_collect(w, c->env, call, &in));
    if (in.n < e->min_in || (e->max_in != 0 && in.n > e->max_in))
        return kp_fail(KP_EMODEL, "layer \"%s\" (%s): %s of %d tensors is not supported",
                       c->layer->path, c->layer->class_name, op, in.n);
    kp_lw_call inner = *c;
    inner.layer = layer;
    inner.call = call;
    inner.in = in.values;
    inner.in_mask = in.masks;
    inner.n_in = in.n;
    inner.variant = e->variant;
    return e->fn(w, &inner, out);
}

/* ---- from the parameters of a function to those of an operation ---- */

typedef struct tf_call {
    const kp_lw_call *c;
    const kp_tf_function *f;
    const kp_arg *args, *kwargs;
    kp_arg operands[WORDS_MAX];
    int n_operands;
    json_t *config;
} tf_call;

static const kp_arg *argument(const tf_call *t, int position, const char *name, size_t length)
{
    if (position < t->args->n_items)
        return &t->args->items[position];
    for (int i = 0; i < t->kwargs->n_items; i++)
        if (strncmp(t->kwargs->keys[i], name, length) == 0 && t->kwargs->keys[i][length] == '\0')
            return &t->kwargs->items[i];
    return NULL;
}

static int missing(const tf_call *t, const char *what, const char *word)
{
    return kp_fail(KP_EMODEL, "layer \"%s\" (%s): tf.%s %s (%s)", t->c->layer->path,
                   t->c->layer->class_name, t->f->name, what, word);
}

static int set(tf_call *t, const char *key, json_t *value)
{
    return json_object_set_new(t->config, key, value) == 0 ? 0 : KP_ENOMEM;
}

static int set_text(tf_call *t, const char *key, const char *text)
{
    json_t *v = json_loads(text, JSON_DECODE_ANY, NULL);
    return v ? set(t, key, v) : missing(t, "has a broken entry", text);
}

/* Words in capitals are small in keras.ops ("SAME"), and windows lack the batch and the channels
 * ([1, 2, 2, 1]). v is taken over. */
static json_t *as_operation_has_it(const char *key, json_t *v)
{
    if (json_is_string(v) && (strcmp(key, "padding") == 0 || strcmp(key, "mode") == 0)) {
        char text[32];
        snprintf(text, sizeof text, "%s", json_string_value(v));
        for (char *p = text; *p; p++)
            *p = (char)(*p >= 'A' && *p <= 'Z' ? *p - 'A' + 'a' : *p);
        json_decref(v);
        return json_string(text);
    }
    /* TensorFlow tells the sizes of the parts, keras.ops where they end. */
    if (strcmp(key, "indices_or_sections") == 0 && json_is_array(v) && json_array_size(v) > 0) {
        json_int_t end = 0;
        for (size_t i = 0; i + 1 < json_array_size(v); i++)
            json_array_set_new(v, i, json_integer(end += json_integer_value(json_array_get(v, i))));
        json_array_remove(v, json_array_size(v) - 1);
    }
    if (json_array_size(v) == 4 && (strcmp(key, "strides") == 0 || strcmp(key, "pool_size") == 0 ||
                                    strcmp(key, "dilation_rate") == 0)) {
        json_array_remove(v, 3);
        json_array_remove(v, 0);
    }
    return v;
}

/* "name>key=default", a being the argument or NULL. */
static int take_setting(tf_call *t, const char *word, const kp_arg *a)
{
    char key[48], name[48];
    const char *arrow = strchr(word, '>'), *equal = strchr(arrow, '=');
    size_t length = equal ? (size_t)(equal - arrow - 1) : strlen(arrow + 1);
    snprintf(name, sizeof name, "%.*s", (int)(arrow - word), word);
    snprintf(key, sizeof key, "%.*s", (int)length, arrow + 1);
    const char *to = length > 0 ? key : name;
    if (!a || (a->kind == KP_ARG_NONE && equal))
        return equal ? set_text(t, to, equal + 1) : missing(t, "lacks an argument", name);
    json_t *v = as_operation_has_it(to, kp_tf_json(t->c, a));
    return v ? set(t, to, v) : missing(t, "takes an argument that is computed", name);
}

/* "name=value": the argument, if it is given, must be that. */
static int check_word(tf_call *t, const char *word, int position)
{
    size_t length = strcspn(word, "=");
    const kp_arg *a = argument(t, position, word, length);
    if (!a || a->kind == KP_ARG_NONE)
        return 0;
    json_t *have = kp_tf_json(t->c, a),
           *want = json_loads(word + length + 1, JSON_DECODE_ANY, NULL);
    bool same = have && want && json_equal(have, want);
    json_decref(have);
    json_decref(want);
    return same ? 0 : missing(t, "is only supported with", word);
}

static int take_word(tf_call *t, const char *word, int position)
{
    size_t length = strcspn(word, ">?");
    const kp_arg *a = argument(t, position, word, length);
    if (strchr(word, '>'))
        return take_setting(t, word, a);
    if (!a || a->kind == KP_ARG_NONE)
        return word[length] == '?' ? 0 : missing(t, "lacks an argument", word);
    t->operands[t->n_operands++] = *a;
    return 0;
}

static int take_words(tf_call *t)
{
    char words[256], *save, *word;
    int position = 0;
    snprintf(words, sizeof words, "%s", t->f->params);
    for (word = strtok_r(words, " ", &save); word; word = strtok_r(NULL, " ", &save)) {
        if (t->n_operands == WORDS_MAX - 1)
            return missing(t, "has too many operands", word);
        if (*word == '@') {
            char *equal = strchr(word, '=');
            *equal = '\0';
            KP_TRY(set_text(t, word + 1, equal + 1));
        } else if (*word == '!') {
            KP_TRY(check_word(t, word + 1, position++));
        } else if (*word == '-') {
            position++;
        } else {
            KP_TRY(take_word(t, word, position++));
        }
    }
    return 0;
}

int kp_tf_apply(kp_lw *w, const kp_lw_call *c, const kp_tf_function *f, const kp_arg *args,
                const kp_arg *kwargs, kp_value **out)
{
    tf_call t = {.c = c, .f = f, .args = args, .kwargs = kwargs, .config = json_object()};
    int status = t.config ? take_words(&t) : KP_ENOMEM;
    if (status != 0) {
        json_decref(t.config);
        return status;
    }
    if (!f->op) {
        json_decref(t.config);
        return t.operands[0].kind == KP_ARG_REF ? kp_lw_ref(c->env, t.operands[0].ref, out)
                                                : missing(&t, "needs a tensor", "x");
    }
    kp_arg list = {.kind = KP_ARG_LIST, .n_items = t.n_operands};
    list.items = kp_arena_array(w->mem, WORDS_MAX, sizeof *list.items);
    if (!list.items) {
        json_decref(t.config);
        return KP_ENOMEM;
    }
    memcpy(list.items, t.operands, sizeof t.operands);
    return kp_tf_operation(w, c, f->op, t.config, &list, out);
}

/* ---- layers ---- */

static int do_slicing(kp_lw *w, const kp_lw_call *c, kp_value **out)
{
    const kp_arg *key = kp_lw_keyword(c->call, "slice_spec");
    kp_value *x;
    if (!key || c->call->args.n_items != 1)
        return kp_fail(KP_EMODEL, "layer \"%s\" (%s): only slices with known ends are supported",
                       c->layer->path, c->layer->class_name);
    KP_TRY(kp_lw_tensor_of(w, c, &c->call->args.items[0], &x));
    return kp_tf_slice(w, c, x, key, out);
}

/* ---- functions of several operations ---- */

static int do_add_n(kp_lw *w, const kp_lw_call *c, kp_value **out)
{
    *out = c->in[0];
    for (int i = 1; i < c->n_in; i++)
        KP_TRY(kp_lw_binary(w, KP_BIN_ADD, *out, c->in[i], out));
    return 0;
}

static bool is_set(const kp_lw_call *c, const char *name)
{
    const kp_arg *a = kp_lw_keyword(c->call, name);
    return a && a->kind == KP_ARG_BOOL && a->boolean;
}

static int turn(kp_lw *w, bool really, kp_value *x, kp_value **out)
{
    int perm[KP_MAX_DIMS];
    for (int i = 0; i < x->ndim; i++)
        perm[i] = i;
    if (really && x->ndim >= 2) {
        perm[x->ndim - 1] = x->ndim - 2;
        perm[x->ndim - 2] = x->ndim - 1;
    }
    return kp_lw_transpose(w, perm, x, out);
}

int kp_tf_matmul(kp_lw *w, const kp_lw_call *c, bool turn_a, bool turn_b, kp_value **out)
{
    kp_node n = {.op = KP_OP_MATMUL};
    kp_value *in[2];
    if (c->n_in != 2)
        return kp_fail(KP_EMODEL, "layer \"%s\" (%s): a product with a constant is not supported",
                       c->layer->path, c->layer->class_name);
    KP_TRY(turn(w, turn_a, c->in[0], &in[0]));
    KP_TRY(turn(w, turn_b, c->in[1], &in[1]));
    return kp_lw_add(w, &n, in, 2, out);
}

static int do_matmul(kp_lw *w, const kp_lw_call *c, kp_value **out)
{
    return kp_tf_matmul(w, c, is_set(c, "transpose_a") || is_set(c, "adjoint_a"),
                        is_set(c, "transpose_b") || is_set(c, "adjoint_b"), out);
}

static int do_squared_difference(kp_lw *w, const kp_lw_call *c, kp_value **out)
{
    static const kp_tf_function subtract = {"math.squared_difference", "Subtract", "x y -name"};
    KP_TRY(kp_tf_apply(w, c, &subtract, &c->call->args, &c->call->kwargs, out));
    return kp_lw_unary(w, (kp_act){.kind = KP_ACT_SQUARE}, *out, out);
}

/* TensorFlow counts places in int64, keras.ops in int32. */
static int do_arg(kp_lw *w, const kp_lw_call *c, const char *op, kp_value **out)
{
    kp_tf_function f = {"math.argmax", op, "input axis>=0 -output_type -name @keepdims=false"};
    const kp_arg *type = kp_lw_keyword(c->call, "output_type");
    bool narrow = type && type->kind == KP_ARG_STR && strcmp(type->str, "int32") == 0;
    KP_TRY(kp_tf_apply(w, c, &f, &c->call->args, &c->call->kwargs, out));
    return narrow ? 0 : kp_lw_cast(w, KP_INT64, *out, out);
}

static int do_argmax(kp_lw *w, const kp_lw_call *c, kp_value **out)
{
    return do_arg(w, c, "Argmax", out);
}

static int do_argmin(kp_lw *w, const kp_lw_call *c, kp_value **out)
{
    return do_arg(w, c, "Argmin", out);
}

static const struct {
    const char *name;
    kp_lw_fn fn;
} composed[] = {
    {"math.argmax", do_argmax},
    {"math.argmin", do_argmin},
    {"math.add_n", do_add_n},
    {"linalg.matmul", do_matmul},
    {"__operators__.matmul", do_matmul},
    {"math.squared_difference", do_squared_difference},
};

static int do_tf_function(kp_lw *w, const kp_lw_call *c, kp_value **out)
{
    const char *name;
    bool done;
    KP_TRY(kp_cfg_str(c->layer, "function", "", &name));
    KP_TRY(kp_tf_sized(w, c, name, &c->call->args, &c->call->kwargs, &done, out));
    if (done)
        return 0;
    for (size_t i = 0; i < sizeof composed / sizeof *composed; i++)
        if (strcmp(composed[i].name, name) == 0)
            return composed[i].fn(w, c, out);
    const kp_tf_function *f = kp_tf_find(name);
    if (!f)
        return kp_fail(KP_EMODEL, "layer \"%s\" (%s): the function tf.%s is not supported",
                       c->layer->path, c->layer->class_name, name);
    return kp_tf_apply(w, c, f, &c->call->args, &c->call->kwargs, out);
}

const kp_lw_entry kp_lw_tf_layers[] = {
    {"TFOpLambda", do_tf_function, 0, 1, 0, KP_LW_SAME, KP_LW_MASK_DROP},
    {"SlicingOpLambda", do_slicing, 0, 1, 0, KP_LW_SAME, KP_LW_MASK_DROP},
    {0},
};
