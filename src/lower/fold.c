/* Calls on folded rows: node by node where nodes can be translated (view_node.c), else inside a
 * MAP, whose body sees the folded rows as its batch. */
#include "lower/size.h"

bool kp_lw_has_views(const kp_lw *w, const kp_lw_result *in)
{
    for (int i = 0; i < in->n; i++)
        if (kp_lw_view_find(w, in->values[i], NULL) || kp_lw_view_find(w, in->masks[i], NULL))
            return true;
    return false;
}

/* ---- what the body takes ---- */

enum { SEQUENCES_MAX = 64, TRIES_MAX = 100000 };

typedef struct pair {
    const kp_value *outer;
    kp_value *inner;
} pair;

typedef struct fold {
    kp_lw *w;
    kp_graph *outer;
    kp_lw_view view; /* of all folded tensors, but for raw */
    bool found;
    kp_value *sequences[SEQUENCES_MAX]; /* the MAP's inputs */
    int n_sequences;
    pair *pairs; /* each tensor of the call, and what it is in the body */
    int n_pairs, cap_pairs;
} fold;

static kp_value *inner_of(const fold *f, const kp_value *v)
{
    for (int i = 0; i < f->n_pairs; i++)
        if (f->pairs[i].outer == v)
            return f->pairs[i].inner;
    return NULL;
}

static int add_pair(fold *f, const kp_value *outer, kp_value *inner)
{
    if (f->n_pairs == f->cap_pairs)
        return kp_fail(KP_ELIMIT, "too many tensors");
    f->pairs[f->n_pairs++] = (pair){outer, inner};
    return 0;
}

static int add_folded(fold *f, const kp_value *v, const kp_lw_view *view)
{
    if (f->found && (view->pre != f->view.pre || view->post != f->view.post))
        return kp_lw_view_refuse(f->w, "it takes rows of different numbers");
    if (view->axis != 0)
        return kp_lw_view_refuse(f->w, "it takes a tensor with an axis before the batch");
    if (f->n_sequences == SEQUENCES_MAX)
        return kp_fail(KP_ELIMIT, "more than %d tensors of folded rows", SEQUENCES_MAX);
    f->view = *view;
    f->found = true;
    kp_value *inner;
    KP_TRY(kp_lw_body_input(f->w, view->raw, true, &inner));
    f->sequences[f->n_sequences++] = view->raw;
    return add_pair(f, v, inner);
}

/* What follows from constants alone is made once more in the body. */
static int copy_constant(fold *f, const kp_value *v, int depth, kp_value **out)
{
    const kp_node *n = v->producer;
    kp_node copy = *n;
    kp_value *in[8];
    if (n->op == KP_OP_CONST)
        return kp_graph_add_const(f->w->g, n->name, v->dtype, v->shape, v->ndim, v->data, out);
    if (n->op == KP_OP_INPUT || kp_node_body(n) || n->n_inputs > 8 || depth > 64)
        return kp_lw_view_refuse(f->w, "it takes folded rows together with other tensors");
    for (int i = 0; i < n->n_inputs; i++) {
        in[i] = NULL;
        if (n->inputs[i])
            KP_TRY(copy_constant(f, n->inputs[i], depth + 1, &in[i]));
    }
    return kp_lw_add(f->w, &copy, in, n->n_inputs, out);
}

static int add_tensor(fold *f, kp_value *v)
{
    kp_lw_view view;
    kp_value *inner;
    if (!v || inner_of(f, v))
        return 0;
    if (kp_lw_view_find(f->w, v, &view))
        return add_folded(f, v, &view);
    if (kp_lw_is_sizes(f->w, v))
        return kp_lw_view_refuse(f->w, "it takes folded rows together with sizes");
    if (v->ndim > 0 && v->shape[0] == KP_DIM_BATCH)
        return kp_lw_view_refuse(f->w, "it takes folded rows together with rows of the batch");
    KP_TRY(copy_constant(f, v, 0, &inner));
    return add_pair(f, v, inner);
}

static int instead(void *ctx, kp_value *was, kp_value **now)
{
    kp_value *inner = inner_of(ctx, was);
    *now = inner ? inner : was;
    return 0;
}

/* ---- the MAP ---- */

static int body_inputs(fold *f, const kp_lw_result *in)
{
    for (int i = 0; i < in->n; i++) {
        KP_TRY(add_tensor(f, in->values[i]));
        KP_TRY(add_tensor(f, in->masks[i]));
    }
    return f->found ? 0 : kp_fail(KP_EINTERNAL, "a call without folded rows");
}

typedef struct request {
    const kp_lw_env *env;
    const kp_call *call;
    const kp_lw_result *in;
    kp_lw_once once;
} request;

/* The call inside a body of its own, of which one result is taken: a loop has one. *made: that
 * result, which may be one of the body's inputs. */
static int lower_body(fold *f, const request *r, kp_lw_result *out)
{
    kp_lw_swaps swaps = {.instead = instead, .ctx = f};
    int status = body_inputs(f, r->in);
    if (status == 0)
        status = kp_lw_swap_in(f->w, r->env, r->call, &swaps);
    if (status == 0)
        status = r->once(f->w, r->env, r->call, out);
    kp_lw_swap_back(&swaps);
    return status;
}

/* A result that is a tensor of the call, as it is in the body, is that tensor. */
static kp_value *given_as(const fold *f, const kp_value *inner)
{
    for (int i = 0; i < f->n_pairs; i++)
        if (f->pairs[i].inner == inner)
            return (kp_value *)(uintptr_t)f->pairs[i].outer;
    return NULL;
}

/* Output `which` of the call (n + which: its mask), as a MAP of its own. *inside: what the call
 * gave there. */
static int map_output(fold *f, const request *r, int which, kp_lw_result *inside, kp_value **out)
{
    kp_node n = {.op = KP_OP_MAP};
    kp_lw *w = f->w;
    f->n_pairs = f->n_sequences = 0;
    f->found = false;
    KP_TRY(kp_lw_body_begin(w, &f->outer));
    int status = lower_body(f, r, inside);
    kp_graph *body = w->g;
    w->g = f->outer;
    KP_TRY(status);
    kp_value *y = which < inside->n ? inside->values[which] : inside->masks[which - inside->n];
    *out = y ? given_as(f, y) : NULL;
    if (!y || *out)
        return 0;
    if (y->ndim < 1 || y->shape[0] != KP_DIM_BATCH || kp_lw_view_find(w, y, NULL))
        return kp_lw_view_refuse(w, "it folds rows that are folded already in another way");
    KP_TRY(kp_graph_set_outputs(body, &y, 1));
    n.attr.loop.body = body;
    kp_lw_view view = f->view;
    KP_TRY(kp_lw_add(w, &n, f->sequences, f->n_sequences, &view.raw));
    return kp_lw_view_make(w, &view, out);
}

static int map_call(kp_lw *w, const request *r, kp_lw_result *out)
{
    fold f = {.w = w, .cap_pairs = 2 * r->in->n};
    kp_lw_result inside = {0};
    kp_value *first;
    f.pairs = kp_arena_array(w->mem, (size_t)f.cap_pairs + 1, sizeof *f.pairs);
    if (!f.pairs)
        return KP_ENOMEM;
    KP_TRY(map_output(&f, r, 0, &inside, &first));
    KP_TRY(kp_lw_result_new(w, inside.n, out));
    out->values[0] = first;
    for (int i = 1; i < inside.n; i++)
        KP_TRY(map_output(&f, r, i, &inside, &out->values[i]));
    for (int i = 0; i < inside.n; i++)
        if (inside.masks[i])
            KP_TRY(map_output(&f, r, inside.n + i, &inside, &out->masks[i]));
    return 0;
}

/* ---- both ways ---- */

/* What a failed try leaves behind but for nodes that nothing uses. */
static int try_to(kp_lw *w, const request *r, bool map, kp_lw_result *out)
{
    kp_lw was = *w;
    if (++w->n_added > TRIES_MAX)
        return kp_fail(KP_ELIMIT, "too many calls on folded rows");
    int status = map ? map_call(w, r, out) : r->once(w, r->env, r->call, out);
    if (status == 0)
        return 0;
    w->g = was.g;
    w->silent = was.silent;
    w->training = was.training;
    w->fixed_batch = was.fixed_batch;
    w->depth = was.depth;
    w->real = was.real;
    w->name = was.name;
    w->record = was.record;
    w->env = was.env;
    return status;
}

int kp_lw_fold_call(kp_lw *w, const kp_lw_env *env, const kp_call *call, const kp_lw_result *in,
                    kp_lw_once once, kp_lw_result *out)
{
    request r = {env, call, in, once};
    bool map_first = call->layer->model != NULL; /* whose nodes are better off in one loop */
    bool mappable = true;
    for (int i = 0; i < in->n; i++) {
        kp_lw_view v;
        if (kp_lw_view_find(w, in->values[i], &v) && v.axis != 0)
            mappable = false;
    }
    if (!mappable)
        return try_to(w, &r, false, out);
    int status = try_to(w, &r, map_first, out);
    if (status != KP_EMODEL && status != KP_ESHAPE && status != KP_EUNSUPPORTED)
        return status;
    return try_to(w, &r, !map_first, out);
}
