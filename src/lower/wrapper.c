/* Layers around one other layer. */
#include "lower/build.h"

static int inner_of(const kp_layer *l, kp_layer **out)
{
    *out = NULL;
    for (int i = 0; i < l->n_inner; i++)
        if (strcmp(l->inner_key[i], "layer") == 0)
            *out = l->inner[i];
    if (*out)
        return 0;
    return kp_fail(KP_EMODEL, "layer \"%s\" (%s): there is no layer inside", l->path,
                   l->class_name);
}

/* The layer inside, called as the wrapper is. It gives one tensor. */
static int call_inner(kp_lw *w, const kp_lw_call *c, kp_layer *inner, kp_value *x, kp_value *mask,
                      kp_value **out)
{
    kp_lw_result result;
    bool training = w->training;
    int said = kp_lw_training(c->call);
    if (said >= 0)
        w->training = said == 1;
    int status = kp_lw_call_inner(w, inner, x, mask, &result);
    w->training = training;
    KP_TRY(status);
    if (result.n != 1)
        return kp_fail(KP_EMODEL, "layer \"%s\" (%s): the layer inside (%s) has %d outputs",
                       c->layer->path, c->layer->class_name, inner->class_name, result.n);
    *out = result.values[0];
    return 0;
}

/* The wrapper's own variables serve training only; the vector counts. A .keras has the kernel
 * once more in front of it, as the wrapper's. */
static int skip_vector(kp_lw *w, const kp_layer *l)
{
    bool twice = kp_keras_format_of(w->k) != KP_FORMAT_LEGACY_H5;
    kp_weight kernel;
    kp_value *unused;
    if (twice)
        KP_TRY(kp_keras_weight(w->k, l, "", 0, "kernel", -1, NULL, &kernel));
    return kp_lw_weight_get(w, "", twice ? 1 : 0, "vector_u", 2, (int64_t[]){1, -1}, 0, NULL, false,
                            &unused);
}

/* Training has left the kernel as it is to be used: prediction runs the inner layer. */
static int do_spectral(kp_lw *w, const kp_lw_call *c, kp_value **out)
{
    kp_layer *inner;
    KP_TRY(inner_of(c->layer, &inner));
    KP_TRY(call_inner(w, c, inner, c->in[0], NULL, out));
    KP_TRY(kp_lw_cast(w, c->in[0]->dtype, *out, out)); /* whatever the layer inside gives */
    return skip_vector(w, c->layer);
}

/* ---- TimeDistributed ---- */

/* Layers that treat every row of the last axis, or every element, alike: they need no loop. */
static bool is_row_wise(const kp_layer *inner)
{
    static const char *const names[] = {
        "Dense",   "Activation", "ReLU",          "LeakyReLU",    "ELU",
        "Dropout", "Identity",   "GaussianNoise", "AlphaDropout", "GaussianDropout"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (strcmp(names[i], inner->class_name) == 0)
            return inner->n_inner == 0; /* an activation that is a layer may look at axes */
    return false;
}

/* The inner layer's graph, for one step. A mask is cut into steps too: one of two axes has none
 * left that an inner layer could use. */
static int map_body(kp_lw *w, const kp_lw_call *c, kp_layer *inner, kp_value *mask, kp_node *node)
{
    kp_graph *outer;
    kp_value *x, *step_mask = NULL, *y;
    KP_TRY(kp_lw_body_begin(w, &outer));
    KP_TRY(kp_lw_body_input(w, c->in[0], true, &x));
    if (mask)
        KP_TRY(kp_lw_body_input(w, mask, true, &step_mask));
    KP_TRY(call_inner(w, c, inner, x, step_mask, &y));
    return kp_lw_body_end(w, outer, &y, 1, &node->attr.loop.body);
}

static int do_time_distributed(kp_lw *w, const kp_lw_call *c, kp_value **out)
{
    kp_layer *inner;
    kp_node n = {.op = KP_OP_MAP};
    kp_value *mask = c->in_mask[0];
    KP_TRY(inner_of(c->layer, &inner));
    if (c->in[0]->ndim < 2)
        return kp_lw_rank(c, 3);
    if (mask && mask->ndim < 3)
        mask = NULL;
    w->raw = inner;
    bool at_once = is_row_wise(inner) && c->in[0]->ndim > 2;
    int status =
        at_once ? call_inner(w, c, inner, c->in[0], NULL, out) : map_body(w, c, inner, mask, &n);
    w->raw = NULL;
    if (status != 0 || at_once)
        return status;
    return kp_lw_add(w, &n, (kp_value *[]){c->in[0], mask}, mask ? 2 : 1, out);
}

const kp_lw_entry kp_lw_wrapper_layers[] = {
    {"SpectralNormalization", do_spectral, 0, 1, 1, KP_LW_TRAINS, KP_LW_MASK_DROP},
    {"TimeDistributed", do_time_distributed, 0, KP_LW_ONE, KP_LW_MASK_PASS},
    {0},
};
