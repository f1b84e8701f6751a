/* Beam search, step by step as TensorFlow does it: the tree of all prefixes that have been met, of
 * which the best ones are followed. */
#include "ops/kernel.h"

enum { NODES_MAX = 1 << 24 };

/* Logarithms of probabilities: of the prefix with a blank or its last class at the end, of both. */
typedef struct chance {
    double total, blank, label;
} chance;

typedef struct prefix {
    int parent, child, next; /* -1: none; the first child, the next one of the same parent */
    int64_t label;
    chance was, is;
} prefix;

typedef struct search {
    const kp_ctc_beam *p;
    int64_t classes;
    prefix *nodes;
    int n_nodes, room;
    int *leaves, *sorted; /* of the nodes: up to width */
    int64_t n_leaves;
    double *x; /* the step's log-probabilities by class */
} search;

static const chance none = {-(double)INFINITY, -(double)INFINITY, -(double)INFINITY};

static double log_add(double a, double b)
{
    double most = fmax(a, b);
    return most == -(double)INFINITY ? most : most + log1p(exp(-fabs(a - b)));
}

static bool is_active(const search *s, int node)
{
    return s->nodes[node].is.total != -(double)INFINITY;
}

static int node_new(search *s, int parent, int64_t label, int *out)
{
    if (s->n_nodes == s->room) {
        int room = s->room > 0 ? 2 * s->room : 1024;
        prefix *more = room > NODES_MAX ? NULL : realloc(s->nodes, (size_t)room * sizeof *more);
        if (more == NULL)
            return kp_fail(KP_ELIMIT, "a beam search that meets more than %d prefixes", s->room);
        s->nodes = more;
        s->room = room;
    }
    *out = s->n_nodes++;
    s->nodes[*out] = (prefix){parent, -1, -1, label, none, none};
    if (parent >= 0) {
        s->nodes[*out].next = s->nodes[parent].child;
        s->nodes[parent].child = *out;
    }
    return 0;
}

static int child_of(search *s, int parent, int64_t label, int *out)
{
    for (*out = s->nodes[parent].child; *out >= 0; *out = s->nodes[*out].next)
        if (s->nodes[*out].label == label)
            return 0;
    return node_new(s, parent, label, out);
}

/* The place among the leaves of the least probable one. */
static int64_t bottom(const search *s)
{
    int64_t least = 0;
    for (int64_t i = 1; i < s->n_leaves; i++)
        if (s->nodes[s->leaves[i]].is.total < s->nodes[s->leaves[least]].is.total)
            least = i;
    return least;
}

static bool is_candidate(const search *s, const chance *c)
{
    return c->total > -(double)INFINITY &&
           (s->n_leaves < s->p->width || c->total > s->nodes[s->leaves[bottom(s)]].is.total);
}

/* Descending by probability into s->sorted. */
static void sort_leaves(search *s)
{
    for (int64_t i = 0; i < s->n_leaves; i++) {
        int64_t at = i;
        for (; at > 0 && s->nodes[s->sorted[at - 1]].is.total < s->nodes[s->leaves[i]].is.total;
             at--)
            s->sorted[at] = s->sorted[at - 1];
        s->sorted[at] = s->leaves[i];
    }
}

/* The prefix stays as it is: its last class again, or a blank. */
static void stay(search *s, int node)
{
    prefix *b = &s->nodes[node];
    if (b->parent >= 0) {
        const prefix *before = &s->nodes[b->parent];
        if (is_active(s, b->parent))
            b->is.label = log_add(b->is.label, b->label == before->label ? before->was.blank
                                                                         : before->was.total);
        b->is.label += s->x[b->label];
    }
    b->is.blank = b->was.total + s->x[s->p->blank];
    b->is.total = log_add(b->is.blank, b->is.label);
}

/* The prefix with one more class. */
static int extend(search *s, int node, int64_t label)
{
    int at;
    KP_TRY(child_of(s, node, label, &at));
    const prefix *b = &s->nodes[node];
    prefix *c = &s->nodes[at];
    if (is_active(s, at))
        return 0;
    c->is.blank = none.blank;
    c->is.label = s->x[label] + (label == b->label ? b->was.blank : b->was.total);
    c->is.total = c->is.label;
    if (!is_candidate(s, &c->is)) {
        c->was = c->is = none;
        return 0;
    }
    if (s->n_leaves == s->p->width) {
        int64_t out = bottom(s);
        s->nodes[s->leaves[out]].is = none;
        s->leaves[out] = at;
    } else {
        s->leaves[s->n_leaves++] = at;
    }
    return 0;
}

static int step(search *s)
{
    int64_t n = s->n_leaves;
    sort_leaves(s);
    for (int64_t i = 0; i < n; i++)
        s->nodes[s->sorted[i]].was = s->nodes[s->sorted[i]].is;
    for (int64_t i = 0; i < n; i++)
        stay(s, s->sorted[i]);
    for (int64_t i = 0; i < n; i++) {
        int node = s->sorted[i];
        if (!is_candidate(s, &s->nodes[node].was))
            continue;
        for (int64_t label = 0; label < s->classes; label++)
            if (label != s->p->blank)
                KP_TRY(extend(s, node, label));
    }
    return 0;
}

static int search_row(search *s, const kp_tensor *logits, int64_t at, int64_t steps)
{
    int root;
    s->n_nodes = 0;
    KP_TRY(node_new(s, -1, -1, &root));
    s->nodes[root].is = (chance){.total = 0, .blank = 0, .label = none.label};
    s->leaves[0] = root;
    s->n_leaves = 1;
    for (int64_t t = 0; t < steps; t++) {
        kp_ctc_log_softmax(logits, at + t * s->classes, s->classes, s->x);
        KP_TRY(step(s));
    }
    sort_leaves(s);
    return s->n_leaves >= s->p->paths
               ? 0
               : kp_fail(KP_ESHAPE, "a row of %lld steps has fewer than %lld paths",
                         (long long)steps, (long long)s->p->paths);
}

static void put_path(const search *s, int node, kp_tensor *out, int64_t at, int64_t most)
{
    int64_t n = 0;
    for (int i = node; s->nodes[i].parent >= 0; i = s->nodes[i].parent)
        n++;
    for (int64_t t = n; t < most; t++)
        kp_tensor_put_int(out, at + t, -1);
    for (int i = node; s->nodes[i].parent >= 0; i = s->nodes[i].parent)
        kp_tensor_put_int(out, at + --n, s->nodes[i].label);
}

static int search_all(search *s, const kp_tensor *in, kp_tensor *out)
{
    int64_t rows = in[0].shape[0], most = in[0].shape[1];
    for (int64_t r = 0; r < rows; r++) {
        int64_t steps = kp_tensor_get_int(&in[1], r);
        if (steps < 0 || steps > most)
            return kp_fail(KP_ESHAPE, "%lld steps of %lld", (long long)steps, (long long)most);
        KP_TRY(search_row(s, &in[0], r * most * s->classes, steps));
        for (int64_t k = 0; k < s->p->paths; k++) {
            if (s->p->scores)
                kp_tensor_put(out, r * s->p->paths + k, s->nodes[s->sorted[k]].is.total);
            else
                put_path(s, s->sorted[k], out, (k * rows + r) * most, most);
        }
    }
    return 0;
}

static int infer(const kp_node *n, kp_value *out, int64_t *next_symbol)
{
    const kp_ctc_beam *p = n->attr.kernel.params;
    const kp_value *x, *steps;
    (void)next_symbol;
    KP_TRY(kp_ops_input(n, 0, 3, &x));
    KP_TRY(kp_ops_input(n, 1, 1, &steps));
    KP_TRY(kp_ops_not_batch(n, x, 3));
    if (x->ndim != 3 || steps->ndim != 1 || !kp_dtype_is_float(x->dtype) ||
        steps->shape[0] != x->shape[0] || x->shape[2] <= p->blank)
        return kp_node_fail(n, KP_ESHAPE, "logits of %d axes, or lengths that do not fit", x->ndim);
    if (p->scores)
        kp_ops_shape(out, x->dtype, 2, (int64_t[]){x->shape[0], p->paths});
    else
        kp_ops_shape(out, KP_INT32, 3, (int64_t[]){p->paths, x->shape[0], x->shape[1]});
    return 0;
}

static int run(const void *params, const kp_tensor *in, int n_in, kp_tensor *out)
{
    search s = {.p = params, .classes = in[0].shape[2]};
    (void)n_in;
    s.leaves = kp_ops_scratch(s.p->width, sizeof *s.leaves);
    s.sorted = kp_ops_scratch(s.p->width, sizeof *s.sorted);
    s.x = kp_ops_scratch(s.classes, sizeof *s.x);
    int rc =
        s.leaves == NULL || s.sorted == NULL || s.x == NULL ? KP_ENOMEM : search_all(&s, in, out);
    free(s.nodes);
    free(s.x);
    free(s.sorted);
    free(s.leaves);
    return rc;
}

const kp_kernel_def kp_kernel_ctc_beam = {"ctc_beam", infer, run};
