/* The graph's outputs: the model's, or those of layers that the caller asks for. */
#include "lower/size.h"

/* One output: the layer that gives it, and its value. */
typedef struct source {
    const kp_layer *layer;
    const char *name;
    kp_value *value;
} source;

/* Rows that are folded by a size that is not known must turn out to be those of the batch. */
static int one_row_each(kp_lw *w, const source *s, kp_value **v)
{
    kp_lw_view view;
    int64_t dims[KP_MAX_DIMS];
    if (kp_lw_is_sizes(w, *v))
        return kp_lw_sizes_value(w, *v, v);
    if (!kp_lw_view_find(w, *v, &view))
        return 0;
    bool open = view.axis == 0 && (view.pre < 0 || view.post < 0);
    for (int i = 2; i < view.raw->ndim; i++) {
        dims[i - 2] = view.raw->shape[i];
        open = open && dims[i - 2] >= 0;
    }
    if (open)
        return kp_lw_reshape(w, 1, dims, view.raw->ndim - 2, view.raw, v);
    return kp_fail(KP_EMODEL,
                   "layer \"%s\" (%s): the output has not one row for each row of the batch",
                   s->layer->path, s->layer->class_name);
}

static int set_output(kp_lw *w, const source *s, kp_port *port, kp_value **out)
{
    kp_value *v = s->value;
    w->name = s->layer->path;
    KP_TRY(kp_lw_output_rows(w, v, &v));
    KP_TRY(one_row_each(w, s, &v));
    if (v->dtype == KP_FLOAT32 && s->layer->policy.compute == KP_FLOAT16)
        KP_TRY(kp_lw_cast(w, KP_FLOAT16, v, &v));
    *out = v;
    *port = (kp_port){kp_arena_strdup(w->mem, s->name), v->dtype, v->ndim, {0}};
    for (int a = 0; a < v->ndim; a++)
        port->shape[a] = v->shape[a] < 0 ? -1 : v->shape[a];
    return port->name ? 0 : KP_ENOMEM;
}

static bool is_softmax(const kp_value *v)
{
    const kp_node *n = v->producer;
    if (v->ndim != 2 || !n)
        return false;
    while (n->op == KP_OP_CAST || n->op == KP_OP_RESHAPE)
        n = n->inputs[0]->producer;
    int last = n->output->ndim - 1;
    return n->op == KP_OP_SOFTMAX && !n->attr.softmax.log && n->attr.softmax.axes.n == 1 &&
           n->attr.softmax.axes.axis[0] == last && n->output->shape[last] == v->shape[1];
}

static int set_all(kp_lw *w, const source *s, int n, kp_lowered *out)
{
    kp_value **values = kp_arena_array(w->mem, (size_t)n + 1, sizeof(kp_value *));
    out->outputs = kp_arena_array(w->mem, (size_t)n + 1, sizeof *out->outputs);
    if (!values || !out->outputs)
        return KP_ENOMEM;
    out->n_outputs = n;
    for (int i = 0; i < n; i++)
        KP_TRY(set_output(w, &s[i], &out->outputs[i], &values[i]));
    out->softmax_output = n == 1 && is_softmax(values[0]);
    return kp_graph_set_outputs(w->g, values, n);
}

/* ---- layers by path ---- */

static const kp_layer *find_layer(const kp_layers *m, const char *path)
{
    for (int i = 0; i < m->n_layers; i++) {
        const kp_layer *l = m->layers[i];
        if (strcmp(l->path, path) == 0)
            return l;
        l = l->model ? find_layer(l->model, path) : NULL;
        if (l)
            return l;
    }
    return NULL;
}

static const kp_lw_given *given_by(kp_lw *w, const kp_layer *root, const char *path)
{
    const kp_layer *l = find_layer(root->model, path);
    return l ? kp_lw_record_of(w, l)->given : NULL;
}

static int layer_outputs(kp_lw *w, const kp_layer *root, kp_lowered *out)
{
    size_t n = 0, at = 0;
    for (size_t i = 0; i < w->opt.n_layers; i++) {
        const char *path = w->opt.layers[i];
        const kp_lw_given *g = given_by(w, root, path);
        if (!g)
            return kp_fail(KP_EUSAGE,
                           "the model calls no layer \"%s\"; kpredict summary --expand-nested "
                           "lists them (inside another: \"outer/inner\")",
                           path);
        for (; g; g = g->next)
            n += (size_t)g->n;
    }
    source *s = kp_arena_array(w->mem, n + 1, sizeof *s);
    if (!s || n > KP_NODE_INPUTS_MAX)
        return s ? kp_fail(KP_EUSAGE, "more outputs than %d", KP_NODE_INPUTS_MAX) : KP_ENOMEM;
    for (size_t i = 0; i < w->opt.n_layers; i++) {
        const kp_layer *l = find_layer(root->model, w->opt.layers[i]);
        for (const kp_lw_given *g = kp_lw_record_of(w, l)->given; g; g = g->next)
            for (int j = 0; j < g->n; j++)
                s[at++] = (source){l, l->path, g->values[j]};
    }
    return set_all(w, s, (int)n, out);
}

int kp_lw_set_outputs(kp_lw *w, const kp_layer *root, const kp_lw_result *made, kp_lowered *out)
{
    const kp_layers *m = root->model;
    if (w->opt.n_layers > 0)
        return layer_outputs(w, root, out);
    source *s = kp_arena_array(w->mem, (size_t)m->n_outputs + 1, sizeof *s);
    if (!s)
        return KP_ENOMEM;
    for (int j = 0; j < m->n_outputs; j++) {
        const kp_layer *l = m->calls[m->flat_outputs[j].call].layer;
        s[j] = (source){l, l->name, made->values[j]};
    }
    return set_all(w, s, m->n_outputs, out);
}
