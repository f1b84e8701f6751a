/* The order of the passes, and what they share. */
#include "graph/passes/passes.h"
#include <stdlib.h>

/* Transposes first: they stand between the nodes that other passes join. Normalisation becomes
 * affine before it is folded; activations go into additions before these go into convolutions. */
const kp_pass kp_passes[] = {
    {"identities", kp_pass_identities}, {"transposes", kp_pass_transposes},
    {"constants", kp_pass_constants},   {"batchnorm", kp_pass_batchnorm},
    {"padding", kp_pass_padding},       {"affine", kp_pass_affine},
    {"prescale", kp_pass_prescale},     {"activation", kp_pass_activation},
    {"residual", kp_pass_residual},     {NULL, NULL},
};

enum { PAGED_BYTES = 64 << 10 };

int kp_pass_uses(const kp_graph *g, int **out)
{
    int *uses = calloc((size_t)g->n_values + 1, sizeof *uses);
    *out = uses;
    if (!uses)
        return kp_fail(KP_ENOMEM, "out of memory");
    for (int i = 0; i < g->n_nodes; i++)
        for (int k = 0; k < g->nodes[i]->n_inputs; k++)
            if (g->nodes[i]->inputs[k])
                uses[g->nodes[i]->inputs[k]->id]++;
    for (int i = 0; i < g->n_outputs; i++)
        uses[g->outputs[i]->id]++;
    return 0;
}

bool kp_pass_is_const(const kp_value *v)
{
    return v && v->producer->op == KP_OP_CONST;
}

int kp_pass_new_const(kp_graph *g, const kp_node *like, const int64_t *shape, int ndim,
                      float **data, kp_value **out)
{
    size_t bytes;
    if (!kp_shape_bytes(shape, ndim, KP_FLOAT32, &bytes))
        return kp_fail(KP_ELIMIT, "a constant that does not fit in memory");
    bool paged = bytes >= PAGED_BYTES;
    *data = paged ? kp_graph_alloc_pages(g, bytes) : kp_graph_alloc(g, bytes);
    if (!*data)
        return KP_ENOMEM;
    KP_TRY(kp_graph_add_const(g, like->name, KP_FLOAT32, shape, ndim, *data, out));
    (*out)->paged = paged;
    return 0;
}

void kp_pass_take_output(kp_node *into, kp_node *from)
{
    kp_value *old = into->output;
    into->output = from->output;
    into->output->producer = into;
    from->output = old;
    old->producer = from;
}

int kp_pass_set_input(kp_graph *g, kp_node *n, int place, kp_value *v)
{
    if (place >= n->n_inputs) {
        kp_value **inputs = kp_arena_array(g->arena, (size_t)place + 1, sizeof *inputs);
        if (!inputs)
            return KP_ENOMEM;
        memcpy(inputs, n->inputs, (size_t)n->n_inputs * sizeof *inputs);
        n->inputs = inputs;
        n->n_inputs = place + 1;
    }
    n->inputs[place] = v;
    return 0;
}

bool kp_pass_is_open(const kp_node *n)
{
    return (n->op == KP_OP_CONV || n->op == KP_OP_DENSE) && n->act.kind == KP_ACT_NONE &&
           (n->n_inputs < 4 || !n->inputs[3]);
}
