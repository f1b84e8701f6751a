/* keras.ops that change the order of axes and of elements along them; parts of matrices. */
#include "lower/view.h"

/* ---- the order of axes ---- */

static int do_transpose(kp_lw *w, const kp_lw_call *c, kp_value **out)
{
    kp_value *x = c->in[0];
    int64_t axes[KP_MAX_DIMS];
    int perm[KP_MAX_DIMS], n = 0;
    bool given = !kp_lw_is_null(c->layer, "axes");
    if (given)
        KP_TRY(kp_lw_sizes(c->layer, "axes", axes, &n));
    if (n == 0)
        given = false;
    if (given && n != x->ndim)
        return kp_fail(KP_EMODEL, "layer \"%s\": an order of %d axes for %d", c->layer->path, n,
                       x->ndim);
    for (int i = 0; i < x->ndim; i++) {
        perm[i] = x->ndim - 1 - i;
        if (given)
            KP_TRY(kp_lw_axis(c->layer, axes[i], x->ndim, &perm[i]));
    }
    return kp_lw_view_transpose(w, perm, x, out);
}

static int do_swapaxes(kp_lw *w, const kp_lw_call *c, kp_value **out)
{
    kp_value *x = c->in[0];
    int64_t a, b;
    int perm[KP_MAX_DIMS], first = 0, second = 0;
    KP_TRY(kp_cfg_int(c->layer, "axis1", 0, &a));
    KP_TRY(kp_cfg_int(c->layer, "axis2", 0, &b));
    KP_TRY(kp_lw_axis(c->layer, a, x->ndim, &first));
    KP_TRY(kp_lw_axis(c->layer, b, x->ndim, &second));
    for (int i = 0; i < x->ndim; i++)
        perm[i] = i == first ? second : i == second ? first : i;
    return kp_lw_view_transpose(w, perm, x, out);
}

/* The axes `from` come to the places `to`; the others keep their order. */
static int move_axes(const kp_lw_call *c, const int64_t *from, const int64_t *to, int n, int ndim,
                     int *perm)
{
    bool used[KP_MAX_DIMS] = {0};
    int next = 0;
    for (int i = 0; i < ndim; i++)
        perm[i] = -1;
    for (int i = 0; i < n; i++) {
        int source = 0, target = 0;
        KP_TRY(kp_lw_axis(c->layer, from[i], ndim, &source));
        KP_TRY(kp_lw_axis(c->layer, to[i], ndim, &target));
        if (used[source] || perm[target] >= 0)
            return kp_fail(KP_EMODEL, "layer \"%s\": an axis is moved twice", c->layer->path);
        used[source] = true;
        perm[target] = source;
    }
    for (int i = 0; i < ndim; i++) {
        while (perm[i] < 0 && used[next])
            next++;
        if (perm[i] < 0)
            perm[i] = next++;
    }
    return 0;
}

int kp_lw_moved(kp_lw *w, const kp_lw_call *c, const int64_t *from, const int64_t *to, int n,
                kp_value *x, kp_value **out)
{
    int perm[KP_MAX_DIMS];
    KP_TRY(move_axes(c, from, to, n, x->ndim, perm));
    return kp_lw_view_transpose(w, perm, x, out);
}

static int do_moveaxis(kp_lw *w, const kp_lw_call *c, kp_value **out)
{
    int64_t from[KP_MAX_DIMS], to[KP_MAX_DIMS];
    int n, n_to;
    KP_TRY(kp_lw_sizes(c->layer, "source", from, &n));
    KP_TRY(kp_lw_sizes(c->layer, "destination", to, &n_to));
    if (n != n_to)
        return kp_fail(KP_EMODEL, "layer \"%s\": %d axes go to %d places", c->layer->path, n, n_to);
    return kp_lw_moved(w, c, from, to, n, c->in[0], out);
}

/* ---- the order of elements ---- */

static int do_flip(kp_lw *w, const kp_lw_call *c, kp_value **out)
{
    kp_value *x = c->in[0];
    kp_arrange how = {0};
    kp_axes axes = {1, {c->variant}};
    if (c->variant < 0 && kp_lw_is_null(c->layer, "axis"))
        for (axes.n = 0; axes.n < x->ndim; axes.n++)
            axes.axis[axes.n] = axes.n;
    else if (c->variant < 0)
        KP_TRY(kp_lw_axes(c->layer, "axis", x->ndim, 0, &axes));
    for (int i = 0; i < axes.n && axes.axis[i] < KP_MAX_DIMS; i++)
        how.kind[axes.axis[i]] = KP_ARRANGE_REVERSE;
    if (axes.n > 0 && axes.axis[axes.n - 1] >= x->ndim)
        return kp_fail(KP_EMODEL, "layer \"%s\": there is no axis %d", c->layer->path,
                       axes.axis[axes.n - 1]);
    if (axes.n > 0 && axes.axis[0] == 0 && x->shape[0] == KP_DIM_BATCH)
        return kp_lw_rows_refused(c, "puts the rows of the batch into another order");
    return kp_lw_arrange(w, &how, x, out);
}

/* All elements in one row, which gets its shape again. */
static int roll_all(kp_lw *w, const kp_lw_call *c, const int64_t *shift, int n, kp_value **out)
{
    kp_value *x = c->in[0];
    kp_arrange how = {.kind = {KP_ARRANGE_ROLL}};
    if (x->ndim > 0 && x->shape[0] == KP_DIM_BATCH)
        return kp_lw_rows_refused(c, "moves elements from row to row");
    for (int i = 0; i < n; i++)
        how.before[0] = (how.before[0] + shift[i] % INT32_MAX) % INT32_MAX;
    KP_TRY(kp_lw_reshape(w, 0, (int64_t[]){-1}, 1, x, out));
    KP_TRY(kp_lw_arrange(w, &how, *out, out));
    return kp_lw_reshape(w, 0, x->shape, x->ndim, *out, out);
}

/* Several shifts of one axis add up. */
static int do_roll(kp_lw *w, const kp_lw_call *c, kp_value **out)
{
    kp_value *x = c->in[0];
    kp_arrange how = {0};
    int64_t shift[KP_MAX_DIMS], axis[KP_MAX_DIMS];
    int n, n_axes, at = 0;
    KP_TRY(kp_lw_sizes(c->layer, "shift", shift, &n));
    if (kp_lw_is_null(c->layer, "axis"))
        return roll_all(w, c, shift, n, out);
    KP_TRY(kp_lw_sizes(c->layer, "axis", axis, &n_axes));
    if (n != n_axes)
        return kp_fail(KP_EMODEL, "layer \"%s\": %d shifts of %d axes", c->layer->path, n, n_axes);
    for (int i = 0; i < n; i++) {
        KP_TRY(kp_lw_axis(c->layer, axis[i], x->ndim, &at));
        how.kind[at] = KP_ARRANGE_ROLL;
        how.before[at] = (how.before[at] + shift[i] % INT32_MAX) % INT32_MAX;
    }
    return kp_lw_arrange(w, &how, x, out);
}

/* A quarter turn of the last two axes. */
static int quarter_turn(kp_lw *w, kp_value *x, kp_value **out)
{
    kp_arrange how = {0};
    int perm[KP_MAX_DIMS];
    how.kind[x->ndim - 1] = KP_ARRANGE_REVERSE;
    for (int i = 0; i < x->ndim; i++)
        perm[i] = i == x->ndim - 1 ? i - 1 : i == x->ndim - 2 ? i + 1 : i;
    KP_TRY(kp_lw_arrange(w, &how, x, &x));
    return kp_lw_transpose(w, perm, x, out);
}

/* Keras reads the turned array of two turns as if it had the old sizes again, which matters when
 * the plane is no square. */
static int half_turn(kp_lw *w, kp_value *x, kp_value **out)
{
    int rows = x->ndim - 2;
    int64_t size[2];
    KP_TRY(kp_lw_known(x, rows, &size[0]));
    KP_TRY(kp_lw_known(x, rows + 1, &size[1]));
    for (int i = 0; i < 2; i++) {
        KP_TRY(quarter_turn(w, x, &x));
        KP_TRY(kp_lw_reshape(w, rows, size, 2, x, &x));
    }
    *out = x;
    return 0;
}

static int do_rot90(kp_lw *w, const kp_lw_call *c, kp_value **out)
{
    static const int64_t last[2] = {-2, -1};
    kp_value *x = c->in[0];
    int64_t k, axes[KP_MAX_DIMS];
    int n;
    KP_TRY(kp_cfg_int(c->layer, "k", 1, &k));
    KP_TRY(kp_lw_sizes(c->layer, "axes", axes, &n));
    if (n != 2 || x->ndim < 2)
        return kp_fail(KP_EMODEL, "layer \"%s\": a plane of %d axes among %d", c->layer->path, n,
                       x->ndim);
    k = (k % 4 + 4) % 4;
    *out = x;
    if (k == 0)
        return 0;
    KP_TRY(kp_lw_moved(w, c, axes, last, 2, x, &x));
    if (k == 2)
        KP_TRY(half_turn(w, x, &x));
    else
        for (int i = 0; i < k; i++)
            KP_TRY(quarter_turn(w, x, &x));
    return kp_lw_moved(w, c, last, axes, 2, x, out);
}

static int do_triangle(kp_lw *w, const kp_lw_call *c, kp_value **out)
{
    kp_diagonals *p = kp_arena_alloc(w->mem, sizeof *p);
    int64_t k;
    if (!p)
        return KP_ENOMEM;
    KP_TRY(kp_cfg_int(c->layer, "k", 0, &k));
    p->low = c->variant ? k : -INT64_MAX;
    p->high = c->variant ? INT64_MAX : k;
    return kp_lw_kernel(w, &kp_kernel_triangle, p, c->in, 1, out);
}

static int diagonal(kp_lw *w, const kp_lw_call *c, kp_value *x, kp_value **out)
{
    int64_t *offset = kp_arena_alloc(w->mem, sizeof *offset), axes[2], ends[2] = {-2, -1};
    if (!offset)
        return KP_ENOMEM;
    KP_TRY(kp_cfg_int(c->layer, "offset", 0, offset));
    KP_TRY(kp_cfg_int(c->layer, "axis1", 0, &axes[0]));
    KP_TRY(kp_cfg_int(c->layer, "axis2", 1, &axes[1]));
    KP_TRY(kp_lw_moved(w, c, axes, ends, 2, x, &x));
    return kp_lw_kernel(w, &kp_kernel_diagonal, offset, &x, 1, out);
}

static int do_diagonal(kp_lw *w, const kp_lw_call *c, kp_value **out)
{
    return diagonal(w, c, c->in[0], out);
}

static int do_trace(kp_lw *w, const kp_lw_call *c, kp_value **out)
{
    kp_value *x;
    KP_TRY(kp_lw_cast(w, kp_lw_sum_type(c->in[0]->dtype), c->in[0], &x));
    KP_TRY(diagonal(w, c, x, &x));
    kp_axes last = {1, {x->ndim - 1}};
    return kp_lw_reduce(w, KP_RED_SUM, &last, false, x, out);
}

#define ORDER KP_LW_ONE, KP_LW_MASK_DROP

const kp_lw_entry kp_lw_axes_operations[] = {
    {"Transpose", do_transpose, 0, ORDER},
    {"Swapaxes", do_swapaxes, 0, ORDER},
    {"Moveaxis", do_moveaxis, 0, ORDER},
    {"Flip", do_flip, -1, ORDER},
    {"Fliplr", do_flip, 1, ORDER},
    {"Flipud", do_flip, 0, ORDER},
    {"Roll", do_roll, 0, ORDER},
    {"Rot90", do_rot90, 0, ORDER},
    {"Tril", do_triangle, 0, ORDER},
    {"Triu", do_triangle, 1, ORDER},
    {"Diagonal", do_diagonal, 0, ORDER},
    {"Trace", do_trace, 0, ORDER},
    {0},
};
