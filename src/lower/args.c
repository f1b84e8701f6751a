/* The arguments of a call: tensors by reference, numbers, training. */
#include "lower/build.h"

int kp_lw_ref(const kp_lw_env *env, kp_ref ref, kp_value **out)
{
    if (ref.call < 0 || ref.call >= env->n_calls || ref.tensor < 0 ||
        ref.tensor >= env->results[ref.call].n)
        return kp_fail(KP_EMODEL, "the model refers to output %d of call %d, which does not exist",
                       ref.tensor, ref.call);
    *out = env->results[ref.call].values[ref.tensor];
    return 0;
}

kp_value *kp_lw_ref_mask(const kp_lw_env *env, kp_ref ref)
{
    bool there = ref.call >= 0 && ref.call < env->n_calls && ref.tensor >= 0 &&
                 ref.tensor < env->results[ref.call].n;
    return there ? env->results[ref.call].masks[ref.tensor] : NULL;
}

/* out->n counts all tensors; they are written when there is room (values NULL: only counted).
 * constants: an array that the file holds counts as a tensor, too. */
static int walk(kp_lw *w, const kp_lw_env *env, const kp_arg *a, bool constants, kp_lw_result *out)
{
    bool constant = constants && a->kind == KP_ARG_CONST;
    if (a->kind == KP_ARG_REF || constant) {
        if (out->values && constant) {
            kp_lw_operand o;
            KP_TRY(kp_lw_operand_of(w, NULL, a, &o));
            out->values[out->n] = o.value;
        } else if (out->values) {
            KP_TRY(kp_lw_ref(env, a->ref, &out->values[out->n]));
            out->masks[out->n] = kp_lw_ref_mask(env, a->ref);
        }
        if (++out->n > KP_NODE_INPUTS_MAX)
            return kp_fail(KP_ELIMIT, "a call has more than %d inputs", KP_NODE_INPUTS_MAX);
    }
    if (a->kind == KP_ARG_LIST || a->kind == KP_ARG_DICT)
        for (int i = kp_arg_next(a, -1); i < a->n_items; i = kp_arg_next(a, i))
            KP_TRY(walk(w, env, &a->items[i], constants, out));
    return 0;
}

static const kp_arg *item_of(const kp_arg *dict, const char *key)
{
    for (int i = 0; i < dict->n_items; i++)
        if (dict->keys && strcmp(dict->keys[i], key) == 0)
            return &dict->items[i];
    return NULL;
}

static const char *input_name(const kp_layers *m, int j)
{
    return m->calls[m->flat_inputs[j].call].layer->name;
}

/* The dict of a call whose model has its inputs in a list and takes them by their names; else NULL.
 */
static const kp_arg *by_name(const kp_call *call)
{
    const kp_layers *m = call->layer->model;
    const kp_arg *dict = call->args.n_items == 1 ? &call->args.items[0] : NULL;
    if (!m || !dict || dict->kind != KP_ARG_DICT || dict->n_items > KP_DICT_MAX ||
        m->inputs.kind == KP_ARG_DICT)
        return NULL;
    for (int j = 0; j < m->n_inputs; j++)
        if (!item_of(dict, input_name(m, j)))
            return NULL;
    return dict;
}

static int walk_named(kp_lw *w, const kp_lw_env *env, const kp_layers *m, const kp_arg *dict,
                      kp_lw_result *out)
{
    for (int j = 0; j < m->n_inputs; j++)
        KP_TRY(walk(w, env, item_of(dict, input_name(m, j)), true, out));
    return 0;
}

/* A layer's "mask" is no input of its own: it belongs to the inputs. Operations see to constants
 * themselves: they know which argument each is. */
static int walk_call(kp_lw *w, const kp_lw_env *env, const kp_call *call, kp_lw_result *out)
{
    bool operation = call->layer->is_operation || strstr(call->layer->class_name, "OpLambda");
    const kp_arg *named = by_name(call);
    out->n = 0;
    if (named)
        return walk_named(w, env, call->layer->model, named, out);
    KP_TRY(walk(w, env, &call->args, !operation, out));
    const kp_arg *mask = call->layer->is_operation ? NULL : kp_lw_keyword(call, "mask");
    for (int i = 0; i < call->kwargs.n_items; i++)
        if (&call->kwargs.items[i] != mask)
            KP_TRY(walk(w, env, &call->kwargs.items[i], false, out));
    return 0;
}

/* The masks that the call gives: one for its first tensor, or a list for the first ones, where None
 * means that there is none; a model's inputs then keep their own. Keras takes a dict in the order of
 * its keys, also for a model that finds its inputs by name. */
static int given_masks(const kp_lw_env *env, const kp_call *call, kp_lw_result *out)
{
    const kp_arg *mask = call->layer->is_operation ? NULL : kp_lw_keyword(call, "mask");
    bool list = mask && (mask->kind == KP_ARG_LIST || mask->kind == KP_ARG_DICT);
    int n = !mask ? 0 : list ? mask->n_items : 1;
    for (int i = 0, at = -1; i < n && i < out->n; i++) {
        at = list ? kp_arg_next(mask, at) : at;
        if (list && at >= n)
            break;
        const kp_arg *a = list ? &mask->items[at] : mask;
        if (list && !call->layer->model)
            out->masks[i] = NULL;
        if (a->kind == KP_ARG_REF)
            KP_TRY(kp_lw_ref(env, a->ref, &out->masks[i]));
    }
    return 0;
}

int kp_lw_collect(kp_lw *w, const kp_lw_env *env, const kp_call *call, kp_lw_result *out)
{
    *out = (kp_lw_result){0};
    KP_TRY(walk_call(w, env, call, out));
    KP_TRY(kp_lw_result_new(w, out->n, out));
    KP_TRY(walk_call(w, env, call, out));
    return given_masks(env, call, out);
}

/* ---- tensors that stand for others while a call is lowered ---- */

static int swap_at(kp_lw *w, kp_lw_swaps *s, kp_value **at)
{
    kp_value *now = *at;
    if (now)
        KP_TRY(s->instead(s->ctx, *at, &now));
    kp_lw_swap *swap = now != *at ? kp_arena_alloc(w->mem, sizeof *swap) : NULL;
    if (now == *at)
        return 0;
    if (!swap)
        return KP_ENOMEM;
    *swap = (kp_lw_swap){s->newest, at, *at};
    s->newest = swap;
    *at = now;
    return 0;
}

static int swap_argument(kp_lw *w, const kp_lw_env *env, const kp_arg *a, kp_lw_swaps *s)
{
    kp_value *there;
    if (a->kind == KP_ARG_REF) {
        KP_TRY(kp_lw_ref(env, a->ref, &there));
        KP_TRY(swap_at(w, s, &env->results[a->ref.call].values[a->ref.tensor]));
        KP_TRY(swap_at(w, s, &env->results[a->ref.call].masks[a->ref.tensor]));
    }
    if (a->kind == KP_ARG_LIST || a->kind == KP_ARG_DICT || a->kind == KP_ARG_SLICE)
        for (int i = 0; i < a->n_items; i++)
            KP_TRY(swap_argument(w, env, &a->items[i], s));
    return 0;
}

int kp_lw_swap_in(kp_lw *w, const kp_lw_env *env, const kp_call *call, kp_lw_swaps *s)
{
    KP_TRY(swap_argument(w, env, &call->args, s));
    return swap_argument(w, env, &call->kwargs, s);
}

void kp_lw_swap_back(kp_lw_swaps *s)
{
    for (; s->newest; s->newest = s->newest->before)
        *s->newest->at = s->newest->was;
}

const kp_arg *kp_lw_keyword(const kp_call *call, const char *name)
{
    for (int i = 0; i < call->kwargs.n_items; i++)
        if (call->kwargs.keys && strcmp(call->kwargs.keys[i], name) == 0)
            return &call->kwargs.items[i];
    return NULL;
}

const kp_arg *kp_lw_arg(const kp_lw_call *c, int position, const char *name)
{
    if (position < c->call->args.n_items)
        return &c->call->args.items[position];
    return kp_lw_keyword(c->call, name);
}

int kp_lw_arg_tensor(kp_lw *w, const kp_lw_call *c, int position, const char *name, kp_value **out,
                     kp_value **mask)
{
    const kp_arg *a = kp_lw_arg(c, position, name);
    *out = NULL;
    if (mask)
        *mask = NULL;
    if (!a || a->kind == KP_ARG_NONE)
        return 0;
    if (a->kind != KP_ARG_REF)
        return kp_fail(KP_EMODEL, "layer \"%s\": the argument \"%s\" is not a tensor",
                       c->layer->path, name);
    KP_TRY(kp_lw_ref(c->env, a->ref, out));
    if (mask)
        *mask = kp_lw_ref_mask(c->env, a->ref);
    return kp_dtype_is_float((*out)->dtype) ? kp_lw_float(w, *out, out) : 0;
}

int kp_lw_arg_flag(const kp_lw_call *c, int position, const char *name, bool *out)
{
    const kp_arg *a = kp_lw_arg(c, position, name);
    *out = a && ((a->kind == KP_ARG_BOOL && a->boolean) || (a->kind == KP_ARG_INT && a->integer));
    if (!a || a->kind == KP_ARG_NONE || a->kind == KP_ARG_BOOL || a->kind == KP_ARG_INT)
        return 0;
    return kp_fail(KP_EMODEL, "layer \"%s\": the argument \"%s\" is not true or false",
                   c->layer->path, name);
}

/* The tensor may be known by other calls, which hand on what they get, and outside the model. */
void kp_lw_forget_mask(const kp_lw_env *env, kp_ref ref)
{
    kp_value *value, *mask = kp_lw_ref_mask(env, ref);
    if (!mask || kp_lw_ref(env, ref, &value) != 0)
        return;
    for (; env; env = env->outer)
        for (int i = 0; i < env->n_calls; i++)
            for (int j = 0; j < env->results[i].n; j++)
                if (env->results[i].values[j] == value && env->results[i].masks[j] == mask)
                    env->results[i].masks[j] = NULL;
}

bool kp_lw_arg_number(const kp_arg *a, double *out)
{
    switch (a->kind) {
    case KP_ARG_INT:
        *out = (double)a->integer;
        return true;
    case KP_ARG_FLOAT:
        *out = a->real;
        return true;
    case KP_ARG_BOOL:
        *out = a->boolean;
        return true;
    case KP_ARG_CONST: {
        const json_t *v = json_is_object(a->json) ? json_object_get(a->json, "value") : a->json;
        *out = json_number_value(v);
        return json_is_number(v);
    }
    default:
        return false;
    }
}

int kp_lw_training(const kp_call *call)
{
    const kp_arg *a = kp_lw_keyword(call, "training");
    for (int i = 1; !a && i < call->args.n_items; i++)
        if (call->args.items[i].kind == KP_ARG_BOOL)
            a = &call->args.items[i];
    if (!a)
        return -1;
    if (a->kind == KP_ARG_BOOL)
        return a->boolean;
    return a->kind == KP_ARG_INT ? a->integer != 0 : -1;
}
