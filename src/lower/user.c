/* Layers of classes that a plug-in brings: finding the class, and its kernels as nodes. */
#include "lower/user.h"

/* "my_package>Swish" where the file has it: as the registered name, or as the class in a legacy
 * file. A class without a package is found by its name alone. */
static bool is_class(const char *name, const kp_layer *l)
{
    return strcmp(name, strchr(name, '>') && *l->registered_name ? l->registered_name
                                                                 : l->class_name) == 0;
}

const kp_layer_class *kp_lw_user_find(const kp_lw *w, const kp_layer *l)
{
    for (size_t i = 0; l->is_custom && i < w->opt.n_classes; i++)
        if (is_class(w->opt.classes[i]->class_name, l))
            return w->opt.classes[i];
    return NULL;
}

static int run_lower(kp_lw *w, const kp_lw_call *c, const kp_layer_class *class, kp_value **out)
{
    kp_layer_call call = {w, c};
    kp_layer_value *value = NULL;
    if (class->kernel)
        return kp_lw_user_kernel(&call, class->kernel, c->in, c->n_in, out);
    kp_errmsg_clear();
    int status = class->lower(&kp_lw_host, &call, &value);
    if (status > 0 || (status == 0 && !value))
        return kp_fail(KP_EMODEL, "the plug-in gave no result for %s", class->class_name);
    if (status < 0 && *kp_errmsg() == '\0')
        return kp_fail(KP_EMODEL, "the plug-in refused it without a reason (%s)",
                       kp_status_name(status));
    *out = (kp_value *)value;
    return status;
}

int kp_lower_check_class(const kp_layer_class *class)
{
    static const char *const others[] = {"Lambda", "InputLayer", "Functional", "Sequential",
                                         "Model"};
    const char *name = class->class_name;
    if (!name || !*name)
        return kp_fail(KP_EUSAGE, "a class has no name");
    if (!class->lower == !class->kernel)
        return kp_fail(KP_EUSAGE, "the class %s must have either lower or kernel", name);
    if (class->kernel && !class->kernel->run)
        return kp_fail(KP_EUSAGE, "the kernel of the class %s lacks run", name);
    bool own = kp_lw_find(name, false) != NULL;
    for (size_t i = 0; i < sizeof others / sizeof *others; i++)
        own = own || strcmp(name, others[i]) == 0;
    if (own)
        return kp_fail(KP_EUSAGE,
                       "the class %s is Keras' own and cannot be replaced; a class of your own "
                       "has its package in front: \"my_package>%s\"",
                       name, name);
    return 0;
}

int kp_lw_user_lower(kp_lw *w, const kp_lw_call *c, const kp_layer_class *class, kp_value **out)
{
    KP_TRY(run_lower(w, c, class, out));
    int held = kp_keras_weight_count(w->k, c->layer, "");
    if (!w->record->weights && held > 0)
        return kp_fail(KP_EMODEL, "the plug-in uses none of the layer's %d variables", held);
    return 0;
}

/* ---- kernels ---- */

static void close_state(const kp_lw_user *u)
{
    if (u->kernel->close)
        u->kernel->close(u->state);
}

void kp_lw_user_close(kp_lw_user *all)
{
    for (; all; all = all->next)
        close_state(all);
}

static void as_port(const kp_value *v, kp_port *out)
{
    *out = (kp_port){NULL, v->dtype, v->ndim, {0}};
    for (int i = 0; i < v->ndim; i++)
        out->shape[i] = v->shape[i] < 0 ? -1 : v->shape[i];
}

static int said(const kp_node *n, const char *what, char *message, size_t size)
{
    message[size - 1] = '\0';
    return kp_node_fail(n, KP_EMODEL, "the plug-in %s: %s", what,
                        *message ? message : "it gave no reason");
}

/* An open size of the result is the first input's of the same axis where that is open too. */
static int take_port(const kp_node *n, const kp_port *port, kp_value *out, int64_t *next_symbol)
{
    const kp_value *first = n->n_inputs > 0 ? n->inputs[0] : NULL;
    if (port->ndim < 1 || port->ndim > KP_MAX_DIMS || kp_dtype_size(port->dtype) == 0)
        return kp_node_fail(n, KP_EMODEL, "the plug-in gave no usable type or rank");
    out->dtype = port->dtype;
    out->ndim = port->ndim;
    for (int i = 0; i < port->ndim; i++) {
        bool alike = first && i < first->ndim && first->shape[i] < 0;
        out->shape[i] = port->shape[i];
        if (port->shape[i] < 0)
            out->shape[i] = i == 0 ? KP_DIM_BATCH : alike ? first->shape[i] : (*next_symbol)--;
        else if (port->shape[i] > INT32_MAX)
            return kp_node_fail(n, KP_ELIMIT, "the plug-in gave an impossible size");
    }
    return 0;
}

static int infer(const kp_node *n, kp_value *out, int64_t *next_symbol)
{
    const kp_lw_user *u = n->attr.kernel.params;
    kp_port in[KP_LAYER_INPUTS_MAX], port = {NULL, KP_FLOAT32, 0, {0}};
    char message[256] = "";
    for (int i = 0; i < n->n_inputs; i++)
        as_port(n->inputs[i], &in[i]);
    if (n->n_inputs > 0)
        port = in[0];
    if (u->kernel->shape &&
        u->kernel->shape(u->state, in, (size_t)n->n_inputs, &port, message, sizeof message) != 0)
        return said(n, "does not take these shapes", message, sizeof message);
    if (!u->kernel->shape && n->n_inputs == 0)
        return kp_node_fail(n, KP_EMODEL, "the plug-in gave no shape");
    return take_port(n, &port, out, next_symbol);
}

static int run(const void *params, const kp_tensor *in, int n_in, kp_tensor *out)
{
    const kp_lw_user *u = params;
    char message[256] = "";
    if (u->kernel->run(u->state, in, (size_t)n_in, out, message, sizeof message) == 0)
        return 0;
    message[sizeof message - 1] = '\0';
    return kp_fail(KP_EDEVICE, "layer \"%s\": the plug-in failed: %s", u->layer,
                   *message ? message : "it gave no reason");
}

int kp_lw_user_kernel(kp_layer_call *c, const kp_layer_kernel *kernel, kp_value *const *in, int n,
                      kp_value **out)
{
    if (n > KP_LAYER_INPUTS_MAX)
        return kp_fail(KP_ELIMIT, "a plug-in's kernel takes at most %d arrays, not %d",
                       KP_LAYER_INPUTS_MAX, n);
    for (int i = 0; i < n; i++)
        if (in[i] && in[i]->dtype == KP_STRING)
            return kp_fail(KP_EMODEL, "a plug-in's kernel takes numbers, and is given strings");
    kp_lw_user *u = kp_arena_alloc(c->w->mem, sizeof *u);
    if (!u)
        return KP_ENOMEM;
    *u = (kp_lw_user){.kernel = kernel, .layer = c->call->layer->path};
    u->def = (kp_kernel_def){
        .name = kernel->name ? kernel->name : "plug-in", .infer = infer, .run = run};
    kp_errmsg_clear();
    int status = kernel->open ? kernel->open(&kp_lw_host, c, &u->state) : 0;
    if (status != 0)
        return *kp_errmsg() ? KP_EMODEL : kp_fail(KP_EMODEL, "the plug-in could not start");
    u->next = c->w->out->users;
    c->w->out->users = u;
    return kp_lw_kernel(c->w, &u->def, u, in, n, out);
}
