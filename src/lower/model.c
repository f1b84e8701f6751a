/* One model: its calls in order, each through the table; nested models by recursion. */
#include "lower/user.h"
#include "lower/view.h"

enum { DEPTH_MAX = 64 };

/* ---- layers by address ---- */

kp_lw_record *kp_lw_record_of(kp_lw *w, const kp_layer *layer)
{
    size_t i = ((uintptr_t)layer >> 4) * 0x9E3779B97F4A7C15u;
    for (i ^= i >> 29;; i++) {
        kp_lw_record *r = &w->slots[i & (w->n_slots - 1)];
        if (r->layer == layer)
            return r;
        if (!r->layer) {
            *r = (kp_lw_record){.layer = layer, .order = -1};
            r->info.layer = layer;
            return r;
        }
    }
}

/* ---- what is refused before the table is asked ---- */

static int refuse(const kp_layer *l, const char *why)
{
    return kp_fail(KP_EMODEL, "layer \"%s\" (%s): %s", l->path, l->class_name, why);
}

static int check_layer(const kp_lw *w, const kp_layer *l)
{
    if (strcmp(l->class_name, "Lambda") == 0)
        return refuse(l, "a Lambda layer holds Python code, which is never run; replace it by "
                         "Keras layers or keras.ops and save the model again");
    if (l->is_custom && !kp_lw_user_find(w, l))
        return refuse(l, "a custom class needs its Python code, which is never run; write it as a "
                         "plug-in in C (include/kpredict/layer.h, --plugin), or replace it by "
                         "Keras' own layers and save the model again");
    return 0;
}

int kp_lw_check_training(const kp_lw *w, const kp_call *call)
{
    int training = kp_lw_training(call);
    if (training < 0 ? !w->training : training == 0)
        return 0;
    return refuse(call->layer, "it is called with training=True, so its result is random or "
                               "depends on the batch; call it without and save the model again");
}

static int check_training(const kp_lw *w, const kp_lw_entry *e, const kp_call *call)
{
    if (e->trains == KP_LW_SAME || (e->trains == KP_LW_TRAINS_BEFORE_3 && w->major >= 3))
        return 0;
    return kp_lw_check_training(w, call);
}

static int check_count(const kp_lw_call *c, const kp_lw_entry *e)
{
    if (c->n_in >= e->min_in && (e->max_in == 0 || c->n_in <= e->max_in))
        return 0;
    return kp_fail(KP_EMODEL,
                   "layer \"%s\" (%s): it is called with %d tensors, which is not "
                   "supported",
                   c->layer->path, c->layer->class_name, c->n_in);
}

/* ---- one call ---- */

/* A policy says what a layer computes in; an operation has none and follows its inputs. */
static kp_dtype real_of(const kp_layer *l, const kp_lw_result *in)
{
    bool wide = !l->is_operation && l->policy.compute == KP_FLOAT64;
    for (int i = 0; l->is_operation && i < in->n; i++)
        wide = wide || in->values[i]->dtype == KP_FLOAT64;
    return wide ? KP_FLOAT64 : KP_FLOAT32;
}

/* Keras casts floats to a layer's compute type and leaves other types alone; an operation takes
 * every type as it is. The half policies are computed in float32 throughout (closer to the exact
 * value than Keras' own half arithmetic).
 * Outputs of a float16 layer are rounded to float16, as Keras gives them; those of a bfloat16 layer
 * stay float32, because NumPy and its files have no such type. */
static int cast_floats(kp_lw *w, kp_value **in, int n_in)
{
    for (int i = 0; i < n_in; i++)
        if (kp_dtype_is_float(in[i]->dtype))
            KP_TRY(kp_lw_float(w, in[i], &in[i]));
    return 0;
}

int kp_lw_result_new(kp_lw *w, int n, kp_lw_result *out)
{
    out->n = n;
    out->values = kp_arena_array(w->mem, (size_t)n + 1, sizeof(kp_value *));
    out->masks = kp_arena_array(w->mem, (size_t)n + 1, sizeof(kp_value *));
    return out->values && out->masks ? 0 : KP_ENOMEM;
}

int kp_lw_outputs(kp_lw *w, const kp_lw_call *c, int n, kp_value ***out)
{
    if (n < 1 || n > KP_NODE_INPUTS_MAX)
        return kp_fail(KP_ELIMIT, "a call with %d outputs", n);
    KP_TRY(kp_lw_result_new(w, n, c->res));
    *out = c->res->values;
    return 0;
}

static int lower_user(kp_lw *w, const kp_lw_env *env, const kp_call *call, const kp_lw_result *in,
                      const kp_layer_class *class, kp_lw_result *out)
{
    kp_lw_call c = {.layer = call->layer,
                    .call = call,
                    .env = env,
                    .in = in->values,
                    .in_mask = in->masks,
                    .n_in = in->n,
                    .res = out};
    KP_TRY(cast_floats(w, in->values, in->n));
    KP_TRY(kp_lw_result_new(w, 1, out));
    KP_TRY(kp_lw_user_lower(w, &c, class, out->values));
    if (class->keeps_mask && in->n > 0)
        out->masks[0] = in->masks[0];
    return 0;
}

static int lower_layer(kp_lw *w, const kp_lw_env *env, const kp_call *call, const kp_lw_result *in,
                       kp_lw_result *out)
{
    const kp_layer *l = call->layer;
    const kp_layer_class *class = kp_lw_user_find(w, l);
    if (class)
        return lower_user(w, env, call, in, class, out);
    const kp_lw_entry *e = kp_lw_find(l->class_name, l->is_operation);
    if (!e)
        return refuse(l, l->is_operation ? "this keras.ops operation is not supported"
                                         : "this layer is not supported");
    kp_lw_call c = {.layer = l,
                    .call = call,
                    .env = env,
                    .in = in->values,
                    .in_mask = in->masks,
                    .n_in = in->n,
                    .variant = e->variant,
                    .res = out};
    KP_TRY(check_count(&c, e));
    KP_TRY(check_training(w, e, call));
    w->real = real_of(l, in);
    if (!l->is_operation)
        KP_TRY(cast_floats(w, in->values, in->n));
    KP_TRY(kp_lw_result_new(w, 1, out));
    KP_TRY(e->fn(w, &c, out->values));
    for (int i = 0; i < out->n; i++)
        if (!out->values[i])
            return kp_fail(KP_EINTERNAL, "layer \"%s\" (%s): no output %d", l->path, l->class_name,
                           i);
    if (e->mask == KP_LW_MASK_PASS && in->n > 0)
        out->masks[0] = in->masks[0];
    return 0;
}

/* A Sequential that got its shape from its call says none itself. */
static bool has_own_shapes(const kp_layers *m)
{
    for (int j = 0; j < m->n_inputs; j++) {
        int call = m->flat_inputs[j].call;
        if (call < 0 || call >= m->n_calls ||
            !json_is_array(json_object_get(m->calls[call].layer->config, "batch_shape")))
            return false;
    }
    return true;
}

/* In a loop's body the inputs would be the body's: a graph apart takes them. */
static int lower_at_own_shapes(kp_lw *w, const kp_layer *l)
{
    const kp_layers *m = l->model;
    kp_graph *here = w->g, *outer;
    kp_lw_result in, out;
    if (w->g != w->whole)
        KP_TRY(kp_lw_body_begin(w, &outer));
    KP_TRY(kp_lw_result_new(w, m->n_inputs, &in));
    for (int j = 0; j < m->n_inputs; j++) {
        kp_port port;
        KP_TRY(kp_lw_model_input(w, m, j, &port, &in.values[j]));
        w->fixed_batch = kp_lw_fixed_batch(m->calls[m->flat_inputs[j].call].layer);
    }
    KP_TRY(kp_lw_model(w, l, &in, &out));
    w->g = here;
    return 0;
}

/* Keras' summary shows the layers of a nested model at the shapes that the model was made for, not
 * at those of its calls: they are recorded before the first call, and no call changes them. */
static int record_at_own_shapes(kp_lw *w, const kp_layer *l)
{
    kp_lw_record *r = kp_lw_record_of(w, l);
    int64_t batch = w->fixed_batch;
    bool in_loop = w->g != w->out->graph; /* what stands in one is not listed */
    if (!w->opt.keras_shapes || in_loop || !has_own_shapes(l->model))
        return 0;
    if (!r->at_own) {
        r->at_own = true;
        w->silent = false;
        KP_TRY(lower_at_own_shapes(w, l));
        w->fixed_batch = batch;
    }
    w->silent = true;
    return 0;
}

static int lower_nested(kp_lw *w, const kp_call *call, const kp_lw_result *in, kp_lw_result *out)
{
    if (in->n != call->layer->model->n_inputs)
        return kp_fail(KP_EMODEL,
                       "layer \"%s\" (%s): it is called with %d tensors but has %d "
                       "inputs",
                       call->layer->path, call->layer->class_name, in->n,
                       call->layer->model->n_inputs);
    if (w->depth >= DEPTH_MAX)
        return kp_fail(KP_ELIMIT, "layer \"%s\": models are nested deeper than %d",
                       call->layer->path, DEPTH_MAX);
    bool training = w->training;
    int said = kp_lw_training(call);
    if (said >= 0)
        w->training = said == 1;
    w->depth++;
    bool silent = w->silent;
    int status = record_at_own_shapes(w, call->layer);
    if (status == 0)
        status = kp_lw_model(w, call->layer, in, out);
    w->silent = silent;
    w->depth--;
    w->training = training;
    return status;
}

/* For callers that ask for the outputs of layers: all calls, in the order of the file. */
static int keep_given(kp_lw *w, kp_lw_record *r, int node_index, const kp_lw_result *out)
{
    kp_lw_given **at = &r->given, *g = kp_arena_alloc(w->mem, sizeof *g);
    if (!g)
        return KP_ENOMEM;
    while (*at && (*at)->node_index <= node_index)
        at = &(*at)->next;
    *g = (kp_lw_given){*at, node_index, out->values, out->n};
    *at = g;
    return 0;
}

/* What summary tells about the layer: the first call's nodes, the last call's outputs. */
static int record_call(kp_lw *w, kp_lw_record *r, const kp_call *call, int first_node,
                       const kp_lw_result *out)
{
    bool within = w->g != w->whole; /* a loop, whose steps have no output of their own */
    if (w->opt.n_layers > 0 && !within)
        KP_TRY(keep_given(w, r, call->node_index, out));
    if (w->silent)
        return 0;
    r->info.fixed_batch = w->fixed_batch;
    if (r->order < 0) {
        r->order = w->n_called++;
        r->info.first_node = first_node;
        r->info.n_nodes = within ? 0 : w->g->n_nodes - first_node;
    }
    r->info.outputs = out->values;
    r->info.n_outputs = out->n;
    return 0;
}

static int lower_as_is(kp_lw *w, const kp_lw_env *env, const kp_call *call, kp_lw_result *out)
{
    kp_lw_result in;
    KP_TRY(kp_lw_collect(w, env, call, &in));
    return call->layer->model ? lower_nested(w, call, &in, out)
                              : lower_layer(w, env, call, &in, out);
}

static int lower_once(kp_lw *w, const kp_lw_env *env, const kp_call *call, kp_lw_result *out)
{
    kp_lw_result in;
    w->name = call->layer->path;
    w->record = kp_lw_record_of(w, call->layer);
    KP_TRY(kp_lw_collect(w, env, call, &in));
    return kp_lw_has_views(w, &in) ? kp_lw_fold_call(w, env, call, &in, lower_as_is, out)
                                   : lower_as_is(w, env, call, out);
}

/* What is no matter of memory or size may work with all rows of a batch in one array. The calls
 * inside a model are tried one by one; a loop's steps have rows of their own. */
static bool may_be_whole(const kp_lw *w, const kp_layer *l, int status)
{
    return w->opt.rows > 0 && w->g == w->whole && !l->model && status != 0 && status != KP_ENOMEM &&
           status != KP_ELIMIT;
}

static int lower_call(kp_lw *w, kp_lw_env *env, int i, const kp_call *call)
{
    const kp_layer *l = call->layer;
    const kp_lw_env *here = w->env;
    kp_lw_result out = {0};
    kp_graph *g = w->g;
    int first_node = g->n_nodes;
    KP_TRY(check_layer(w, l));
    int status = lower_once(w, env, call, &out);
    w->g = g; /* a loop's body may have been begun */
    w->env = here;
    if (may_be_whole(w, l, status))
        status = kp_lw_whole_call(w, env, call, lower_once, &out);
    if (status == 0 && g == w->whole)
        status = kp_lw_result_rows(w, &out);
    if (status != 0) {
        if (status != KP_ENOMEM && status != KP_ELIMIT)
            status = KP_EMODEL;
        return strstr(kp_errmsg(), l->path)
                   ? status
                   : kp_fail_prefix(status, "layer \"%s\" (%s)", l->path, l->class_name);
    }
    env->results[i] = out;
    return record_call(w, kp_lw_record_of(w, l), call, first_node, &out);
}

int kp_lw_call_inner(kp_lw *w, kp_layer *inner, kp_value *x, kp_value *mask, kp_lw_result *out)
{
    kp_lw_result results[2] = {{&x, &mask, 1}};
    kp_lw_env env = {.results = results, .n_calls = 2, .outer = w->env};
    kp_arg input = {.kind = KP_ARG_REF}; /* output 0 of call 0 */
    kp_call call = {.layer = inner,
                    .args = {.kind = KP_ARG_LIST, .n_items = 1, .items = &input},
                    .kwargs = {.kind = KP_ARG_DICT}};
    kp_lw_record *record = w->record;
    const char *name = w->name;
    kp_dtype real = w->real;
    w->env = &env;
    int status = lower_call(w, &env, 1, &call);
    w->env = env.outer;
    w->record = record;
    w->name = name;
    w->real = real;
    *out = results[1];
    return status;
}

/* ---- a model ---- */

static int env_new(kp_lw *w, int n_calls, kp_lw_env *env)
{
    env->n_calls = n_calls;
    env->outer = w->env;
    env->results = kp_arena_array(w->mem, (size_t)n_calls + 1, sizeof *env->results);
    return env->results ? 0 : KP_ENOMEM;
}

/* Input j of the model is the output of an InputLayer's call: put the given value there. */
static int bind_inputs(kp_lw *w, const kp_layers *m, kp_lw_env *env, const kp_lw_result *in)
{
    for (int j = 0; j < m->n_inputs; j++) {
        int call = m->flat_inputs[j].call;
        if (call < 0 || call >= m->n_calls || m->flat_inputs[j].tensor != 0)
            return kp_fail(KP_EMODEL, "input %d of the model does not exist", j);
        kp_lw_record *r = kp_lw_record_of(w, m->calls[call].layer);
        env->results[call] = (kp_lw_result){&in->values[j], &in->masks[j], 1};
        KP_TRY(
            record_call(w, r, &m->calls[call], in->values[j]->producer->id, &env->results[call]));
    }
    return 0;
}

int kp_lw_model(kp_lw *w, const kp_layer *layer, const kp_lw_result *in, kp_lw_result *out)
{
    const kp_layers *m = layer->model;
    kp_lw_env env;
    int status = 0;
    KP_TRY(env_new(w, m->n_calls, &env));
    KP_TRY(bind_inputs(w, m, &env, in));
    w->env = &env;
    for (int i = 0; i < m->n_calls && status == 0; i++)
        if (!env.results[i].values)
            status = lower_call(w, &env, i, &m->calls[i]);
    w->env = env.outer;
    KP_TRY(status);
    KP_TRY(kp_lw_result_new(w, m->n_outputs, out));
    for (int i = 0; i < m->n_outputs; i++) {
        KP_TRY(kp_lw_ref(&env, m->flat_outputs[i], &out->values[i]));
        out->masks[i] = kp_lw_ref_mask(&env, m->flat_outputs[i]);
    }
    return 0;
}
