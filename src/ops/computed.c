/* Nodes whose attributes are computed from shapes: their rule, and what they become. */
#include "ops/kernel.h"

/* ---- expressions ---- */

static bool floor_div(int64_t a, int64_t b, int64_t *q, int64_t *rest)
{
    if (b == 0 || (a == INT64_MIN && b == -1))
        return false;
    *q = a / b;
    *rest = a % b;
    if (*rest != 0 && (*rest < 0) != (b < 0)) {
        *rest += b;
        --*q;
    }
    return true;
}

typedef enum answer { OPEN, KNOWN, WRONG } answer;

/* Expressions are small: lower limits them. */
static answer value_of(const kp_size_expr *e, kp_value *const *in, int n_in, int64_t *out)
{
    int64_t a, b, q, rest;
    if (e->op == KP_SIZE_NUMBER)
        return *out = e->number, KNOWN;
    if (e->op == KP_SIZE_AXIS) {
        if (e->input >= n_in || in[e->input] == NULL || e->axis >= in[e->input]->ndim)
            return WRONG;
        *out = in[e->input]->shape[e->axis];
        return *out >= 0 ? KNOWN : OPEN;
    }
    answer left = value_of(e->a, in, n_in, &a), right = value_of(e->b, in, n_in, &b);
    if (left != KNOWN || right != KNOWN)
        return left == WRONG || right == WRONG ? WRONG : OPEN;
    switch (e->op) {
    case KP_SIZE_ADD:
        return __builtin_add_overflow(a, b, out) ? WRONG : KNOWN;
    case KP_SIZE_SUB:
        return __builtin_sub_overflow(a, b, out) ? WRONG : KNOWN;
    case KP_SIZE_MUL:
        return __builtin_mul_overflow(a, b, out) ? WRONG : KNOWN;
    case KP_SIZE_MIN:
        return *out = a < b ? a : b, KNOWN;
    case KP_SIZE_MAX:
        return *out = a > b ? a : b, KNOWN;
    default:
        if (!floor_div(a, b, &q, &rest))
            return WRONG;
        return *out = e->op == KP_SIZE_MOD ? rest : q, KNOWN;
    }
}

typedef struct numbers {
    bool known; /* all */
    int64_t at[KP_COMPUTED_MAX];
} numbers;

static int evaluate(const kp_node *n, kp_value *const *in, numbers *out)
{
    const kp_computed *p = n->attr.kernel.params;
    int count = p->kind == KP_COMPUTED_SLICE ? 3 * p->n : p->n;
    out->known = true;
    for (int i = 0; i < count; i++) {
        out->at[i] = -1;
        answer a = p->expr[i] ? value_of(p->expr[i], in, n->n_inputs, &out->at[i]) : KNOWN;
        if (a == WRONG)
            return kp_node_fail(n, KP_ESHAPE, "a size that it computes is out of range");
        if (a == OPEN)
            out->at[i] = -1, out->known = false;
    }
    return 0;
}

/* ---- what it becomes ---- */

static int64_t steps(const int64_t *range)
{
    int64_t from = range[0], to = range[1], by = range[2];
    if (by == 0 || (by > 0 ? to <= from : to >= from))
        return 0;
    return by > 0 ? (to - from - 1) / by + 1 : (from - to - 1) / -by + 1;
}

static bool small(const kp_computed *p, const numbers *v)
{
    for (int i = 0; i < p->n; i++)
        if (v->at[i] < -INT32_MAX || v->at[i] > INT32_MAX)
            return false;
    return true;
}

/* The core operation, without its input. */
static void as_node(const kp_computed *p, const numbers *v, kp_node *out)
{
    *out = p->node;
    for (int i = 0; i < p->n; i++) {
        if (p->kind == KP_COMPUTED_RESHAPE)
            out->attr.reshape.dims[i] = v->at[i];
        else if (p->kind == KP_COMPUTED_BROADCAST)
            out->attr.broadcast.shape[i] = p->expr[i] ? v->at[i] : KP_DIM_BATCH;
    }
    if (p->kind == KP_COMPUTED_RESHAPE) {
        out->op = KP_OP_RESHAPE;
        out->attr.reshape.keep = p->keep;
        out->attr.reshape.n = p->n;
    } else if (p->kind == KP_COMPUTED_BROADCAST) {
        out->op = KP_OP_BROADCAST;
        out->attr.broadcast.ndim = p->n;
    } else if (p->kind == KP_COMPUTED_RESIZE) {
        out->attr.resize.height = v->at[0];
        out->attr.resize.width = v->at[1];
    } else {
        out->op = KP_OP_SLICE;
        for (int i = 0; i < p->n; i++) {
            out->attr.slice.begin[i] = p->expr[3 * i] ? v->at[3 * i] : 0;
            out->attr.slice.end[i] = p->expr[3 * i + 1] ? v->at[3 * i + 1] : INT64_MAX;
            out->attr.slice.step[i] = p->expr[3 * i + 2] ? v->at[3 * i + 2] : 1;
        }
    }
}

static int add_numbers(const kp_node *n, const numbers *v, kp_graph *g, kp_value **out)
{
    const kp_computed *p = n->attr.kernel.params;
    bool range = p->kind == KP_COMPUTED_RANGE;
    if (!small(p, v))
        return kp_node_fail(n, KP_ELIMIT, "a number that it computes is too large");
    int64_t count = range ? steps(v->at) : p->n;
    if (count > 1 << 24)
        return kp_node_fail(n, KP_ELIMIT, "a range of %lld numbers", (long long)count);
    int64_t *wide = kp_graph_alloc(g, (size_t)(count + 1) * sizeof *wide);
    void *data = kp_graph_alloc(g, (size_t)(count + 1) * sizeof *wide);
    if (wide == NULL || data == NULL)
        return KP_ENOMEM;
    for (int64_t i = 0; i < count; i++)
        wide[i] = range ? v->at[0] + i * v->at[2] : v->at[i];
    KP_TRY(kp_convert(p->dtype, data, KP_INT64, wide, (size_t)count));
    return kp_graph_add_const(g, n->name, p->dtype, &count, range || !p->scalar ? 1 : 0, data, out);
}

static int settle(const kp_node *n, kp_value *const *in, kp_graph *g, kp_value **out)
{
    const kp_computed *p = n->attr.kernel.params;
    numbers v;
    kp_node node;
    *out = NULL;
    KP_TRY(evaluate(n, in, &v));
    if (!v.known)
        return 0;
    if (p->kind == KP_COMPUTED_NUMBERS || p->kind == KP_COMPUTED_RANGE)
        return add_numbers(n, &v, g, out);
    as_node(p, &v, &node);
    node.name = n->name;
    return kp_graph_add(g, &node, in, 1, out);
}

/* ---- the rule while sizes are open ---- */

static int infer(const kp_node *n, kp_value *out, int64_t *next_symbol)
{
    const kp_computed *p = n->attr.kernel.params;
    numbers v;
    (void)next_symbol; /* lower has taken them */
    KP_TRY(evaluate(n, n->inputs, &v));
    const kp_value *x = n->n_inputs > 0 ? n->inputs[0] : NULL;
    if (x == NULL)
        return kp_node_fail(n, KP_EINVAL, "the input is missing");
    if (p->kind == KP_COMPUTED_NUMBERS || p->kind == KP_COMPUTED_RANGE) {
        bool range = p->kind == KP_COMPUTED_RANGE;
        out->dtype = p->dtype;
        out->ndim = range || !p->scalar ? 1 : 0;
        out->shape[0] = range ? (v.known ? steps(v.at) : p->symbol[0]) : p->n;
        return 0;
    }
    out->dtype = x->dtype;
    out->ndim = p->kind == KP_COMPUTED_RESHAPE ? p->keep + p->n : p->n;
    if (p->kind == KP_COMPUTED_RESIZE)
        out->ndim = x->ndim;
    for (int i = 0; i < out->ndim; i++) {
        out->shape[i] = i < x->ndim ? x->shape[i] : p->symbol[i];
        if (p->symbol[i] != 0)
            out->shape[i] = p->symbol[i];
    }
    return 0;
}

static int run(const void *params, const kp_tensor *in, int n_in, kp_tensor *out)
{
    (void)params;
    (void)in;
    (void)n_in;
    (void)out;
    return kp_fail(KP_EINTERNAL, "a size that is computed is still open");
}

const kp_kernel_def kp_kernel_computed = {
    .name = "computed", .infer = infer, .run = run, .settle = settle};
