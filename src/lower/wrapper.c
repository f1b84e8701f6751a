/* Layers around one other layer. */
#include "lower/build.h"

/* What the inner layer holds counts as the wrapper's, as Keras' summary shows it. */
static int lower_inner(kp_lw *w, const kp_lw_call *c, const kp_lw_entry *e, const kp_layer *inner,
                       kp_value **out)
{
    kp_lw_record *outer = w->record, *r = kp_lw_record_of(w, inner);
    kp_lowered_layer before = r->info;
    kp_lw_call call = *c;
    call.layer = inner;
    call.variant = e->variant;
    w->record = r;
    int status = e->fn(w, &call, out);
    w->record = outer;
    outer->info.n_params += r->info.n_params - before.n_params;
    outer->info.param_bytes += r->info.param_bytes - before.param_bytes;
    if (inner->trainable) {
        outer->info.n_trainable += r->info.n_trainable - before.n_trainable;
        outer->info.trainable_bytes += r->info.trainable_bytes - before.trainable_bytes;
    }
    return status;
}

/* The wrapper's own variables serve training only; the vector counts. Keras 3 writes the kernel
 * once more in front of it, as the wrapper's. */
static int skip_vector(kp_lw *w, const kp_layer *l)
{
    bool twice = kp_keras_format_of(w->k) == KP_FORMAT_KERAS_V3;
    kp_weight kernel;
    kp_value *unused;
    if (twice)
        KP_TRY(kp_keras_weight(w->k, l, "", 0, "kernel", -1, NULL, &kernel));
    return kp_lw_weight_get(w, "", twice ? 1 : 0, "vector_u", 2, (int64_t[]){1, -1}, 0, NULL, false,
                            &unused);
}

/* The table's entry of the one layer inside, which is Keras' own and no model. */
static int find_inner(const kp_layer *l, const kp_layer **inner, const kp_lw_entry **entry)
{
    const kp_layer *in = l->n_inner == 1 ? l->inner[0] : NULL;
    bool own = in && !in->is_custom && !in->model && in->n_inner == 0;
    *inner = in;
    *entry = own ? kp_lw_find(in->class_name, false) : NULL;
    if (*entry)
        return 0;
    return kp_fail(KP_EMODEL, "layer \"%s\" (%s): the layer inside (%s) is not supported", l->path,
                   l->class_name, in ? in->class_name : "none");
}

/* Training has left the kernel as it is to be used: prediction runs the inner layer. */
static int do_spectral(kp_lw *w, const kp_lw_call *c, kp_value **out)
{
    const kp_layer *inner;
    const kp_lw_entry *e;
    KP_TRY(find_inner(c->layer, &inner, &e));
    KP_TRY(lower_inner(w, c, e, inner, out));
    return skip_vector(w, c->layer);
}

/* Layers that treat every row of the last axis, or every element, alike: they need no loop. */
static bool is_row_wise(const char *class_name)
{
    static const char *const names[] = {
        "Dense",   "Activation", "ReLU",          "LeakyReLU",    "ELU",
        "Dropout", "Identity",   "GaussianNoise", "AlphaDropout", "GaussianDropout"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (strcmp(names[i], class_name) == 0)
            return true;
    return false;
}

static int do_time_distributed(kp_lw *w, const kp_lw_call *c, kp_value **out)
{
    const kp_layer *inner;
    const kp_lw_entry *e;
    KP_TRY(find_inner(c->layer, &inner, &e));
    if (c->in[0]->ndim < 3)
        return kp_lw_rank(c, 3);
    if (!is_row_wise(inner->class_name))
        return kp_fail(KP_EMODEL, "layer \"%s\" (%s): the layer inside (%s) is not supported",
                       c->layer->path, c->layer->class_name, inner->class_name);
    return lower_inner(w, c, e, inner, out);
}

const kp_lw_entry kp_lw_wrapper_layers[] = {
    {"SpectralNormalization", do_spectral, 0, 1, 1, KP_LW_TRAINS, KP_LW_MASK_DROP},
    {"TimeDistributed", do_time_distributed, 0, 1, 1, KP_LW_TRAINS, KP_LW_MASK_DROP},
    {0},
};
