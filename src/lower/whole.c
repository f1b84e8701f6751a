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

static int instead(void *ctx, kp_value *was, kp_value **now)
{
    return to_whole(ctx, was, now);
}

int kp_lw_whole_call(kp_lw *w, const kp_lw_env *env, const kp_call *call, kp_lw_once once,
                     kp_lw_result *out)
{
    kp_lw_swaps swaps = {.instead = instead, .ctx = w};
    int status = kp_lw_swap_in(w, env, call, &swaps);
    if (status == 0)
        status = once(w, env, call, out);
    kp_lw_swap_back(&swaps);
    return status;
}
