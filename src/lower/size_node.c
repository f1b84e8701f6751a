/* Nodes whose sizes are expressions: they name the tensors whose shapes count as inputs. */
#include "lower/size.h"

enum { INPUTS_MAX = 32 };

typedef struct builder {
    kp_lw *w;
    kp_value *in[INPUTS_MAX];
    int n_in;
} builder;

/* A body sees its own values only. */
static bool is_here(const kp_lw *w, const kp_value *v)
{
    return v->id >= 0 && v->id < w->g->n_values && w->g->values[v->id] == v;
}

static int input_of(builder *b, kp_value *v, int *out)
{
    for (*out = 0; *out < b->n_in; ++*out)
        if (b->in[*out] == v)
            return 0;
    if (b->n_in == INPUTS_MAX)
        return kp_fail(KP_ELIMIT, "a size that depends on too many tensors");
    if (!is_here(b->w, v))
        return kp_lw_view_refuse(b->w, "a size that it computes comes from outside a loop");
    b->in[b->n_in++] = v;
    return 0;
}

static int translate(builder *b, const kp_lw_expr *e, const kp_size_expr **out)
{
    kp_size_expr *made = kp_arena_alloc(b->w->mem, sizeof *made);
    if (!made)
        return KP_ENOMEM;
    *made = (kp_size_expr){.op = e->op, .number = e->number, .axis = e->axis};
    *out = made;
    if (e->rows && b->w->g == b->w->whole)
        made->number = b->w->opt.rows > 0 ? b->w->opt.rows : b->w->fixed_batch;
    if (e->rows && made->number > 0)
        return 0;
    if (e->rows)
        return kp_lw_view_refuse(b->w, "it computes with the number of rows of the batch");
    if (e->op == KP_SIZE_AXIS)
        return input_of(b, e->value, &made->input);
    if (e->op == KP_SIZE_NUMBER)
        return 0;
    KP_TRY(translate(b, e->a, &made->a));
    return translate(b, e->b, &made->b);
}

/* What a size of the result is while it is open: the symbol of its expression. */
static int open_size(kp_lw *w, const kp_lw_expr *e, int64_t *out)
{
    kp_lw_size size;
    KP_TRY(kp_lw_expr_size(w, e, &size));
    *out = size.hole        ? kp_graph_new_symbol(w->g)
           : size.open == 0 ? size.n
           : size.n == 1    ? size.open
                            : kp_graph_new_symbol(w->g);
    return 0;
}

static int set_symbols(kp_lw *w, kp_computed *p, const kp_lw_expr *const *exprs)
{
    int step = p->kind == KP_COMPUTED_SLICE ? 3 : 1;
    if (p->kind == KP_COMPUTED_NUMBERS)
        return 0;
    if (p->kind == KP_COMPUTED_RANGE || p->kind == KP_COMPUTED_SLICE) {
        for (int i = 0; i < (step == 3 ? p->n : 1); i++)
            if (step == 1 || exprs[3 * i] || exprs[3 * i + 1] || exprs[3 * i + 2])
                p->symbol[i] = kp_graph_new_symbol(w->g);
        return 0;
    }
    int at = p->kind == KP_COMPUTED_RESHAPE ? p->keep : p->kind == KP_COMPUTED_RESIZE ? 1 : 0;
    for (int i = 0; i < p->n; i++) {
        int64_t *symbol = &p->symbol[at + i];
        if (exprs[i])
            KP_TRY(open_size(w, exprs[i], symbol));
        else
            *symbol = p->kind == KP_COMPUTED_BROADCAST ? KP_DIM_BATCH : kp_graph_new_symbol(w->g);
        if (*symbol == 0)
            return kp_lw_view_refuse(w, "it makes a tensor without elements");
    }
    return 0;
}

/* from 0 to n in steps of 1 has n numbers. */
static int settle_range(kp_lw *w, kp_computed *p, const kp_lw_expr *const *exprs)
{
    int64_t from, by;
    if (p->kind == KP_COMPUTED_RANGE && kp_lw_expr_is_number(exprs[0], &from) && from == 0 &&
        kp_lw_expr_is_number(exprs[2], &by) && by == 1)
        return open_size(w, exprs[1], &p->symbol[0]);
    return 0;
}

int kp_lw_computed(kp_lw *w, const kp_computed *proto, const kp_lw_expr *const *exprs, int n,
                   kp_value *x, kp_value **out)
{
    kp_computed *p = kp_arena_alloc(w->mem, sizeof *p);
    builder b = {.w = w};
    if (!p)
        return KP_ENOMEM;
    *p = *proto;
    p->n = p->kind == KP_COMPUTED_SLICE ? n / 3 : n;
    if (n > KP_COMPUTED_MAX || (p->kind != KP_COMPUTED_NUMBERS && p->n + p->keep > KP_MAX_DIMS))
        return kp_fail(KP_ELIMIT, "a shape of %d sizes", n);
    if (x)
        b.in[b.n_in++] = x;
    for (int i = 0; i < n; i++)
        if (exprs[i])
            KP_TRY(translate(&b, exprs[i], &p->expr[i]));
    KP_TRY(set_symbols(w, p, exprs));
    KP_TRY(settle_range(w, p, exprs));
    kp_node node = {.op = KP_OP_KERNEL,
                    .n_inputs = b.n_in,
                    .inputs = b.in,
                    .name = w->name,
                    .attr.kernel = {&kp_kernel_computed, p}};
    KP_TRY(kp_kernel_computed.settle(&node, b.in, w->g, out)); /* all may be known by now */
    return *out ? 0 : kp_lw_kernel(w, &kp_kernel_computed, p, b.in, b.n_in, out);
}

int kp_lw_computed_reshape(kp_lw *w, int keep, const int64_t *dims, int n, kp_value *x,
                           kp_value **out)
{
    const kp_lw_expr *exprs[KP_MAX_DIMS] = {0};
    kp_computed p = {.kind = KP_COMPUTED_RESHAPE, .keep = keep};
    int holes = 0;
    for (int i = 0; i < n; i++) {
        if (dims[i] >= 0)
            KP_TRY(kp_lw_expr_number(w, dims[i], &exprs[i]));
        else if (dims[i] < -1)
            exprs[i] = kp_lw_expr_of(w, dims[i]);
        for (int d = 1; d < x->ndim && dims[i] < -1 && !exprs[i]; d++)
            if (x->shape[d] == dims[i])
                KP_TRY(kp_lw_expr_axis(w, x, d, &exprs[i]));
        holes += exprs[i] == NULL;
    }
    if (holes > 1)
        return kp_lw_view_refuse(w, "its new shape has more than one open size");
    return kp_lw_computed(w, &p, exprs, n, x, out);
}
