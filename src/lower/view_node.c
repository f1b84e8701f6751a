/* Nodes on handles, as nodes on the values that they stand for: axes in attributes are those that
 * Keras sees, and move to where they are. */
#include "lower/view.h"

typedef struct task {
    kp_lw *w;
    kp_node n;
    kp_value *in[8];
    int n_in;
    kp_lw_view view; /* of the result, but for raw */
    kp_value *const *given;
} task;

static int refuse(const task *t)
{
    char text[160];
    snprintf(text, sizeof text,
             "it works (%s) on rows that a reshape or transpose has put together with the batch",
             kp_op_name(t->n.op));
    return kp_lw_view_refuse(t->w, text);
}

static int finish(task *t, kp_value **out)
{
    KP_TRY(kp_lw_add(t->w, &t->n, t->in, t->n_in, &t->view.raw));
    return kp_lw_view_make(t->w, &t->view, out);
}

/* The first input is the handle; the others stay. */
static int first_only(task *t)
{
    for (int i = 1; i < t->n_in; i++)
        if (kp_lw_view_find(t->w, t->given[i], NULL))
            return refuse(t);
    if (!kp_lw_view_find(t->w, t->given[0], &t->view))
        return refuse(t);
    t->in[0] = t->view.raw;
    return 0;
}

/* ---- one axis after the other ---- */

static bool move_axes(const task *t, kp_axes *axes)
{
    for (int i = 0; i < axes->n; i++) {
        if (axes->axis[i] == t->view.axis || axes->axis[i] >= t->given[0]->ndim)
            return false;
        axes->axis[i] = kp_lw_view_raw_axis(&t->view, axes->axis[i]);
    }
    return true;
}

static void move_amounts(const task *t, int64_t *amount, int64_t neutral)
{
    int64_t given[KP_MAX_DIMS];
    int folds = kp_lw_view_folded(&t->view);
    memcpy(given, amount, sizeof given);
    for (int i = 0; i < 1 + folds; i++)
        amount[i] = neutral;
    for (int i = 0; i < t->given[0]->ndim; i++)
        if (i != t->view.axis)
            amount[kp_lw_view_raw_axis(&t->view, i)] = given[i];
}

static int do_slice(task *t, kp_value **out)
{
    int a = t->view.axis;
    if (t->n.attr.slice.begin[a] != 0 || t->n.attr.slice.end[a] != INT64_MAX ||
        t->n.attr.slice.step[a] != 1)
        return refuse(t);
    move_amounts(t, t->n.attr.slice.begin, 0);
    move_amounts(t, t->n.attr.slice.end, INT64_MAX);
    move_amounts(t, t->n.attr.slice.step, 1);
    return finish(t, out);
}

static int do_pad(task *t, kp_value **out)
{
    if (t->n.attr.pad.before[t->view.axis] != 0 || t->n.attr.pad.after[t->view.axis] != 0)
        return refuse(t);
    move_amounts(t, t->n.attr.pad.before, 0);
    move_amounts(t, t->n.attr.pad.after, 0);
    return finish(t, out);
}

static int do_repeat(task *t, kp_value **out)
{
    if (t->n.attr.repeat.times[t->view.axis] != 1)
        return refuse(t);
    move_amounts(t, t->n.attr.repeat.times, 1);
    return finish(t, out);
}

static int do_reduce(task *t, kp_value **out)
{
    int dropped = 0;
    for (int i = 0; i < t->n.attr.reduce.axes.n; i++)
        dropped += t->n.attr.reduce.axes.axis[i] < t->view.axis;
    if (!move_axes(t, &t->n.attr.reduce.axes))
        return refuse(t);
    if (!t->n.attr.reduce.keepdims)
        t->view.axis -= dropped;
    return finish(t, out);
}

static int do_axis(task *t, kp_value **out)
{
    if (t->n.attr.axis.axis == t->view.axis)
        return refuse(t);
    t->n.attr.axis.axis = kp_lw_view_raw_axis(&t->view, t->n.attr.axis.axis);
    return finish(t, out);
}

static int do_axes(task *t, kp_axes *axes, kp_value **out)
{
    return move_axes(t, axes) ? finish(t, out) : refuse(t);
}

/* The last axis is what is computed along. */
static int do_dense(task *t, kp_value **out)
{
    return t->view.axis == t->given[0]->ndim - 1 ? refuse(t) : finish(t, out);
}

static int do_gather(task *t, kp_value **out)
{
    int axis = t->n.attr.gather.axis;
    if (axis == t->view.axis || t->n.attr.gather.batch_dims != 0 ||
        (t->in[1]->ndim > 0 && t->in[1]->shape[0] == KP_DIM_BATCH))
        return refuse(t);
    t->n.attr.gather.axis = kp_lw_view_raw_axis(&t->view, axis);
    if (axis < t->view.axis)
        t->view.axis += t->in[1]->ndim - 1;
    return finish(t, out);
}

static int do_reshape(task *t, kp_value **out)
{
    kp_lw_size shape[KP_MAX_DIMS] = {0};
    int keep = t->n.attr.reshape.keep, n = t->n.attr.reshape.n;
    for (int i = 0; i < keep; i++) {
        int64_t size = t->given[0]->shape[i];
        shape[i] = size < 0 ? (kp_lw_size){.n = 1, .open = size} : (kp_lw_size){.n = size};
        if (i == t->view.axis)
            shape[i] = (kp_lw_size){.batch = 1, .n = 1, .hole = false};
    }
    if (keep > t->view.axis) {
        kp_lw_size *own = &shape[t->view.axis];
        if ((t->view.pre < 0 && t->view.post < 0) ||
            (t->view.pre > 0 && t->view.post > 0 &&
             __builtin_mul_overflow(t->view.pre, t->view.post, &own->n)))
            return refuse(t);
        if (t->view.pre < 0 || t->view.post < 0) {
            own->open = t->view.pre < 0 ? t->view.pre : t->view.post;
            own->n = t->view.pre < 0 ? t->view.post : t->view.pre;
        }
    }
    for (int i = 0; i < n; i++)
        shape[keep + i] = t->n.attr.reshape.dims[i] < 0
                              ? (kp_lw_size){.hole = true}
                              : (kp_lw_size){.n = t->n.attr.reshape.dims[i]};
    return kp_lw_view_reshape(t->w, t->given[0], shape, keep + n, out);
}

static int do_transpose(task *t, kp_value **out)
{
    return kp_lw_view_transpose(t->w, t->n.attr.transpose.perm, t->given[0], out);
}

/* ---- several tensors ---- */

static int do_concat(task *t, kp_value *const *in, int n_in, kp_value **out)
{
    kp_lw_view v;
    kp_value **all = kp_arena_array(t->w->mem, (size_t)n_in, sizeof *all);
    if (!all)
        return KP_ENOMEM;
    for (int i = 0; i < n_in; i++) {
        bool batch = kp_lw_view_of(t->w, in[i], &v);
        if (i == 0)
            t->view = v;
        if (!batch || v.axis != t->view.axis || v.pre != t->view.pre || v.post != t->view.post ||
            in[i]->ndim != in[0]->ndim)
            return refuse(t);
        all[i] = v.raw;
    }
    if (t->n.attr.axis.axis == t->view.axis)
        return refuse(t);
    t->n.attr.axis.axis = kp_lw_view_raw_axis(&t->view, t->n.attr.axis.axis);
    KP_TRY(kp_lw_add(t->w, &t->n, all, n_in, &t->view.raw));
    return kp_lw_view_make(t->w, &t->view, out);
}

/* Broadcasting counts axes from the back: `behind` stand behind the batch in all inputs. An input
 * without the batch must have the size 1 there. Those that stand before it are made as many. */
static int align(task *t, int i, int behind, int before)
{
    kp_value *x = t->given[i];
    kp_lw_view v;
    if (!kp_lw_view_of(t->w, x, &v)) {
        int at = x->ndim - 1 - behind;
        if (at >= 0 && x->shape[at] != 1)
            return refuse(t);
        return at >= 0 ? kp_lw_drop_axis(t->w, at, x, &t->in[i]) : (t->in[i] = x, 0);
    }
    t->in[i] = v.raw;
    for (int k = v.axis; k < before; k++)
        KP_TRY(kp_lw_add_axis(t->w, 1 + kp_lw_view_folded(&v), t->in[i], &t->in[i]));
    return 0;
}

/* within: so many axes at the end are not broadcast (of matrices). */
static int do_broadcasting(task *t, int within, kp_value **out)
{
    bool first = true;
    int behind = 0, rank = 0;
    for (int i = 0; i < t->n_in; i++) {
        kp_lw_view v;
        rank = t->given[i]->ndim > rank ? t->given[i]->ndim : rank;
        if (!kp_lw_view_of(t->w, t->given[i], &v))
            continue;
        int own = t->given[i]->ndim - 1 - v.axis;
        if (first)
            t->view = v, behind = own;
        else if (own != behind || v.pre != t->view.pre || v.post != t->view.post)
            return refuse(t);
        first = false;
    }
    if (behind < within)
        return refuse(t);
    t->view.axis = rank - 1 - behind;
    for (int i = 0; i < t->n_in; i++)
        KP_TRY(align(t, i, behind, t->view.axis));
    return finish(t, out);
}

/* Rows of a may be the batch where b is one matrix. */
static int do_matmul(task *t, kp_value **out)
{
    kp_lw_view v;
    bool one = kp_lw_view_find(t->w, t->given[0], &v) && t->given[1]->ndim == 2 &&
               !kp_lw_view_of(t->w, t->given[1], &(kp_lw_view){0});
    if (!one)
        return do_broadcasting(t, 2, out);
    KP_TRY(first_only(t));
    return do_dense(t, out);
}

int kp_lw_view_node(kp_lw *w, const kp_node *proto, kp_value *const *in, int n_in, kp_value **out)
{
    task t = {.w = w, .n = *proto, .n_in = n_in, .given = in};
    if (proto->op == KP_OP_CONCAT)
        return do_concat(&t, in, n_in, out);
    if (n_in > (int)(sizeof t.in / sizeof *t.in))
        return refuse(&t);
    memcpy(t.in, in, (size_t)n_in * sizeof *in);
    if (proto->op == KP_OP_BINARY || proto->op == KP_OP_SELECT)
        return do_broadcasting(&t, 0, out);
    if (proto->op == KP_OP_MATMUL)
        return do_matmul(&t, out);
    KP_TRY(first_only(&t));
    switch (proto->op) {
    case KP_OP_UNARY:
    case KP_OP_CAST:
        return finish(&t, out);
    case KP_OP_SLICE:
        return do_slice(&t, out);
    case KP_OP_PAD:
        return do_pad(&t, out);
    case KP_OP_REPEAT:
        return do_repeat(&t, out);
    case KP_OP_REDUCE:
        return do_reduce(&t, out);
    case KP_OP_AFFINE:
    case KP_OP_BATCHNORM:
        return do_axis(&t, out);
    case KP_OP_SOFTMAX:
        return do_axes(&t, &t.n.attr.softmax.axes, out);
    case KP_OP_LAYERNORM:
        return do_axes(&t, &t.n.attr.layernorm.axes, out);
    case KP_OP_DENSE:
        return do_dense(&t, out);
    case KP_OP_GATHER:
        return do_gather(&t, out);
    case KP_OP_RESHAPE:
        return do_reshape(&t, out);
    case KP_OP_TRANSPOSE:
        return do_transpose(&t, out);
    default:
        return refuse(&t);
    }
}
