/* A copy of a graph in which the inputs have given shapes. */
#include "graph/graph_int.h"

/* The shape of input i in the copy: the sizes of the port where the graph leaves them open. */
static int fit_port(const kp_graph *g, int i, const kp_port *port, int64_t *shape)
{
    const kp_value *v = g->inputs[i];
    char have[KP_SHAPE_TEXT], want[KP_SHAPE_TEXT];
    bool fits = port->ndim == v->ndim && port->ndim <= KP_MAX_DIMS;
    for (int d = 1; fits && d < v->ndim; d++) {
        bool open = v->shape[d] <= KP_DIM_UNKNOWN;
        fits = open || port->shape[d] < 0 || port->shape[d] == v->shape[d];
        shape[d] = open && port->shape[d] >= 0 ? port->shape[d] : v->shape[d];
    }
    shape[0] = KP_DIM_BATCH;
    if (!fits)
        return kp_fail(KP_ESHAPE, "input \"%s\" has shape %s, the model takes %s",
                       v->name != NULL ? v->name : "",
                       kp_shape_text(port->shape, port->ndim, have, sizeof have),
                       kp_shape_text(v->shape, v->ndim, want, sizeof want));
    return 0;
}

/* Equal symbols are equal sizes: also between the inputs. */
static int check_symbols(const kp_graph *g, const kp_port *ports)
{
    for (int i = 0; i < g->n_inputs; i++) {
        for (int j = 0; j <= i; j++) {
            const kp_value *a = g->inputs[i], *b = g->inputs[j];
            for (int k = 1; k < a->ndim; k++) {
                for (int l = 1; l < b->ndim; l++) {
                    if (a->shape[k] <= KP_DIM_UNKNOWN && a->shape[k] == b->shape[l] &&
                        ports[i].shape[k] != ports[j].shape[l])
                        return kp_fail(KP_ESHAPE,
                                       "axis %d of input \"%s\" and axis %d of input \"%s\" must "
                                       "have one size, not %lld and %lld",
                                       k, a->name != NULL ? a->name : "", l,
                                       b->name != NULL ? b->name : "", (long long)ports[i].shape[k],
                                       (long long)ports[j].shape[l]);
                }
            }
        }
    }
    return 0;
}

/* ---- bodies of loops ---- */

/* The size that the body's symbol stands for: it is also an axis of an input that is there. */
static int64_t size_of_symbol(const kp_node *n, kp_value *const *in, int64_t symbol)
{
    for (int i = 0; i < n->n_inputs; i++) {
        const kp_value *b = n->attr.loop.body->inputs[i];
        int time = i < kp_node_sequences(n) ? 1 : 0;
        for (int d = 1; in[i] != NULL && d < b->ndim; d++) {
            if (b->shape[d] == symbol)
                return in[i]->shape[d + time];
        }
    }
    return -1;
}

/* What the body's inputs are when the loop's are `in`. */
static void body_ports(const kp_node *n, kp_value *const *in, kp_port *ports)
{
    for (int i = 0; i < n->n_inputs; i++) {
        const kp_value *b = n->attr.loop.body->inputs[i];
        ports[i] = (kp_port){b->name, b->dtype, b->ndim, {-1}};
        for (int d = 1; d < b->ndim; d++)
            ports[i].shape[d] = b->shape[d] >= 0 ? b->shape[d] : size_of_symbol(n, in, b->shape[d]);
    }
}

/* A loop gets a body of its own, for the sizes of its new inputs. */
static int copy_loop(kp_graph *to, const kp_node *n, kp_value *const *in, kp_value **made)
{
    kp_node copy = *n;
    kp_port *ports = kp_arena_array(to->arena, (size_t)n->n_inputs, sizeof *ports);
    if (ports == NULL)
        return KP_ENOMEM;
    body_ports(n, in, ports);
    KP_TRY(kp_graph_specialise(&copy.attr.loop.body, n->attr.loop.body, ports, n->n_inputs));
    KP_TRY(kp_graph_adopt(to, copy.attr.loop.body));
    return kp_graph_add(to, &copy, in, n->n_inputs, made);
}

/* ---- the graph ---- */

static int copy_node(kp_graph *to, const kp_graph *from, const kp_node *n, const kp_port *ports,
                     kp_value **map)
{
    kp_value *const v = n->output;
    kp_value *made = NULL, **in;
    int64_t shape[KP_MAX_DIMS];
    if (n->op == KP_OP_INPUT) {
        int index = n->attr.input.index;
        KP_TRY(fit_port(from, index, &ports[index], shape));
        KP_TRY(kp_graph_add_input(to, n->name, v->dtype, shape, v->ndim, &made));
    } else if (n->op == KP_OP_CONST) {
        KP_TRY(kp_graph_add_const(to, n->name, v->dtype, v->shape, v->ndim, v->data, &made));
        made->f32 = v->f32;
    } else {
        in = kp_arena_array(to->arena, (size_t)n->n_inputs, sizeof *in);
        if (in == NULL)
            return KP_ENOMEM;
        for (int i = 0; i < n->n_inputs; i++)
            in[i] = n->inputs[i] == NULL ? NULL : map[n->inputs[i]->id];
        if (n->op == KP_OP_KERNEL && n->attr.kernel.def->settle != NULL)
            KP_TRY(n->attr.kernel.def->settle(n, in, to, &made));
        if (made == NULL)
            KP_TRY(kp_node_body(n) != NULL ? copy_loop(to, n, in, &made)
                                           : kp_graph_add(to, n, in, n->n_inputs, &made));
    }
    map[v->id] = made;
    return 0;
}

static int copy_graph(kp_graph *to, const kp_graph *from, const kp_port *ports)
{
    kp_value **map = kp_arena_array(to->arena, (size_t)from->n_values, sizeof *map);
    kp_value **outputs = kp_arena_array(to->arena, (size_t)from->n_outputs, sizeof *outputs);
    if (map == NULL || outputs == NULL)
        return KP_ENOMEM;
    to->next_symbol = from->next_symbol;
    /* Inputs first and in their order, wherever they stand among the nodes. */
    for (int i = 0; i < from->n_inputs; i++)
        KP_TRY(copy_node(to, from, from->inputs[i]->producer, ports, map));
    for (int i = 0; i < from->n_nodes; i++) {
        if (from->nodes[i]->op != KP_OP_INPUT)
            KP_TRY(copy_node(to, from, from->nodes[i], ports, map));
    }
    for (int i = 0; i < from->n_outputs; i++)
        outputs[i] = map[from->outputs[i]->id];
    return kp_graph_set_outputs(to, outputs, from->n_outputs);
}

int kp_graph_specialise(kp_graph **out, kp_graph *g, const kp_port *inputs, int n_inputs)
{
    *out = NULL;
    if (n_inputs != g->n_inputs)
        return kp_fail(KP_ESHAPE, "%d inputs are given, the model takes %d", n_inputs, g->n_inputs);
    for (int i = 0; i < n_inputs; i++) {
        int64_t shape[KP_MAX_DIMS];
        KP_TRY(fit_port(g, i, &inputs[i], shape));
    }
    KP_TRY(check_symbols(g, inputs));
    kp_graph *made;
    KP_TRY(kp_graph_new(&made));
    int status = copy_graph(made, g, inputs);
    if (status != 0) {
        kp_graph_free(&made);
        return status;
    }
    *out = made;
    return 0;
}
