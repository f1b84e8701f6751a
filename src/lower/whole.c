/* Calls that look over the batch. They cannot be made row by row; in a graph for a known number of
 * rows they get arrays without a batch instead. What any call gives has the batch again where its
 * first axis has as many rows: whatever that axis is, the graph runs with that number. */
#include "lower/view.h"

static kp_value *behind(const kp_value *v, const kp_kernel_def *def)
{
    const kp_node *n = v->producer;
    return n->op == KP_OP_KERNEL && n->attr.kernel.def == def ? n->inputs[0] : NULL;
}

static int convert(kp_lw *w, const kp_kernel_def *def, const kp_kernel_def *back, kp_value *x,
                   kp_value **out)
{
    kp_rows *p = kp_arena_alloc(w->mem, sizeof *p);
    *out = behind(x, back);
    if (*out)
        return 0;
    if (!p)
        return KP_ENOMEM;
    p->n = w->opt.rows;
    return kp_lw_kernel(w, def, p, &x, 1, out);
}

static int to_whole(kp_lw *w, kp_value *x, kp_value **out)
{
    kp_lw_view v;
    *out = x;
    if (x && kp_lw_view_find(w, x, &v)) {
        KP_TRY(convert(w, &kp_kernel_whole, &kp_kernel_rows, v.raw, out));
        return kp_lw_view_whole(w, &v, *out, out);
    }
    return !x || x->ndim == 0 || x->shape[0] != KP_DIM_BATCH
               ? 0
               : convert(w, &kp_kernel_whole, &kp_kernel_rows, x, out);
}

static int to_rows(kp_lw *w, kp_value *x, kp_value **out)
{
    *out = x;
    return !x || x->ndim == 0 || x->shape[0] != w->opt.rows || kp_lw_view_find(w, x, NULL)
               ? 0
               : convert(w, &kp_kernel_rows, &kp_kernel_whole, x, out);
}

int kp_lw_output_rows(kp_lw *w, kp_value *x, kp_value **out)
{
    *out = x;
    if (w->opt.rows < 1)
        return 0;
    if (kp_lw_view_find(w, x, NULL))
        KP_TRY(to_whole(w, x, out));
    return to_rows(w, *out, out);
}

int kp_lw_result_rows(kp_lw *w, kp_lw_result *r)
{
    for (int i = 0; w->opt.rows > 0 && i < r->n; i++) {
        KP_TRY(to_rows(w, r->values[i], &r->values[i]));
        KP_TRY(to_rows(w, r->masks[i], &r->masks[i]));
    }
    return 0;
}

/* What a call finds in place of an earlier call's result, for as long as it is lowered. */
typedef struct swap {
    kp_value **at, *was;
} swap;

typedef struct swaps {
    swap *list;
    int n, room;
} swaps;

static int swap_in(kp_lw *w, swaps *s, kp_value **at)
{
    if (s->n == s->room) {
        int room = s->room ? s->room * 2 : 16;
        swap *more = kp_arena_array(w->mem, (size_t)room, sizeof *more);
        if (!more)
            return KP_ENOMEM;
        if (s->n > 0)
            memcpy(more, s->list, (size_t)s->n * sizeof *more);
        s->list = more;
        s->room = room;
    }
    s->list[s->n++] = (swap){at, *at};
    return to_whole(w, *at, at);
}

static int swap_argument(kp_lw *w, const kp_lw_env *env, const kp_arg *a, swaps *s)
{
    kp_value *there;
    if (a->kind == KP_ARG_REF) {
        KP_TRY(kp_lw_ref(env, a->ref, &there));
        KP_TRY(swap_in(w, s, &env->results[a->ref.call].values[a->ref.tensor]));
        return swap_in(w, s, &env->results[a->ref.call].masks[a->ref.tensor]);
    }
    for (int i = 0; (a->kind == KP_ARG_LIST || a->kind == KP_ARG_DICT) && i < a->n_items; i++)
        KP_TRY(swap_argument(w, env, &a->items[i], s));
    return 0;
}

int kp_lw_whole_call(kp_lw *w, const kp_lw_env *env, const kp_call *call, kp_lw_once once,
                     kp_lw_result *out)
{
    swaps s = {0};
    int status = swap_argument(w, env, &call->args, &s);
    if (status == 0)
        status = swap_argument(w, env, &call->kwargs, &s);
    if (status == 0)
        status = once(w, env, call, out);
    while (s.n-- > 0)
        *s.list[s.n].at = s.list[s.n].was;
    return status;
}
