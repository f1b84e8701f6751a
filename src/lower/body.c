/* The bodies of loops: graphs within the graph, built by the same helpers. */
#include "lower/build.h"

int kp_lw_body_begin(kp_lw *w, kp_graph **outer)
{
    *outer = w->g;
    kp_graph *body;
    KP_TRY(kp_graph_new_body(w->g, &body));
    w->g = body;
    return 0;
}

int kp_lw_body_input(kp_lw *w, const kp_value *v, bool sequence, kp_value **out)
{
    int64_t shape[KP_MAX_DIMS];
    int n = 0;
    for (int d = 0; d < v->ndim; d++)
        if (!sequence || d != 1)
            shape[n++] = v->shape[d];
    return kp_graph_add_input(w->g, w->name, v->dtype, shape, n, out);
}

int kp_lw_body_state(kp_lw *w, const int64_t *shape, int ndim, kp_value **out)
{
    int64_t whole[KP_MAX_DIMS] = {KP_DIM_BATCH};
    if (ndim >= KP_MAX_DIMS)
        return kp_fail(KP_EMODEL, "a state of %d axes is not supported", ndim + 1);
    memcpy(whole + 1, shape, (size_t)ndim * sizeof *shape);
    return kp_graph_add_input(w->g, w->name, w->real, whole, ndim + 1, out);
}

int kp_lw_body_end(kp_lw *w, kp_graph *outer, kp_value *const *outputs, int n, kp_graph **body)
{
    *body = w->g;
    w->g = outer;
    return kp_graph_set_outputs(*body, outputs, n);
}
