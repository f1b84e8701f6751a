/* Views of other shapes: reshapes that fold the batch into other axes and out of them again,
 * transposes, new axes, tensors joined along the batch. */
#include "lower/size.h"

/* ---- products of sizes ---- */

typedef struct product {
    int64_t n; /* -1: not known */
    int n_open;
    int64_t open[2 * KP_MAX_DIMS];
} product;

static void multiply(product *p, int64_t size)
{
    if (size < 0 && p->n_open < 2 * KP_MAX_DIMS)
        p->open[p->n_open++] = size;
    else if (size < 0 || p->n < 0 || __builtin_mul_overflow(p->n, size, &p->n))
        p->n = -1;
}

static product product_of(const kp_value *x, int from, int to)
{
    product p = {.n = 1};
    for (int i = from; i < to; i++)
        multiply(&p, x->shape[i]);
    return p;
}

/* of / by, which is not known where open sizes do not cancel; false: numbers that do not fit. */
static bool divide(const product *of, const product *by, product *out)
{
    *out = *of;
    for (int i = 0; i < by->n_open; i++) {
        int at = 0;
        while (at < out->n_open && out->open[at] != by->open[i])
            at++;
        if (at == out->n_open)
            return out->n = -1, true;
        out->open[at] = out->open[--out->n_open];
    }
    if (of->n < 0 || by->n < 0)
        return out->n = -1, true;
    if (by->n == 0 || of->n % by->n != 0)
        return out->n_open > 0 ? (out->n = -1, true) : false;
    out->n /= by->n;
    return true;
}

/* As a size: a number, an open size, or 0 for what is neither. */
static int64_t as_size(const product *p)
{
    if (p->n >= 0 && p->n_open == 0)
        return p->n;
    return p->n == 1 && p->n_open == 1 ? p->open[0] : 0;
}

static product shape_product(const kp_lw_size *s, int from, int to)
{
    product p = {.n = 1};
    for (int i = from; i < to; i++) {
        multiply(&p, s[i].hole ? 1 : s[i].n);
        if (s[i].open != 0)
            multiply(&p, s[i].open);
    }
    return p;
}

/* ---- reshape ---- */

typedef struct reshape {
    kp_lw *w;
    kp_lw_view from;
    kp_value *x;
    const kp_lw_size *shape;
    int n, axis, hole;      /* axis: that gets the batch; hole: the other one that is open, or -1 */
    product before, behind; /* what stands before and behind the batch, in C order */
    int64_t pre, post;      /* of the result; 0: not known yet */
} reshape;

static bool known(const product *p)
{
    return p->n >= 0 && p->n_open == 0;
}

/* The size of a hole where the number of all elements is known: of a batch of a fixed size. */
static int64_t hole_size(const reshape *r, int64_t batch)
{
    product rest = shape_product(r->shape, 0, r->n);
    int64_t all;
    if (!known(&rest) || rest.n == 0 || __builtin_mul_overflow(r->before.n, r->behind.n, &all) ||
        __builtin_mul_overflow(all, batch, &all) || all % rest.n != 0)
        return -1;
    return all / rest.n;
}

/* With a fixed batch the axis is where the numbers put it. */
static bool find_in_numbers(reshape *r)
{
    int64_t batch = r->w->g == r->w->whole ? r->w->fixed_batch : 0;
    int holes = 0;
    for (int i = 0; i < r->n; i++) {
        holes += r->shape[i].hole;
        if (r->shape[i].open != 0)
            return false;
    }
    if (batch < 1 || !known(&r->before) || !known(&r->behind) || holes > 1)
        return false;
    int64_t fill = holes == 1 ? hole_size(r, batch) : 1;
    int64_t left = 1;
    for (int i = 0; i < r->n && fill > 0; i++) {
        int64_t size = r->shape[i].hole ? fill : r->shape[i].n, right = 1;
        for (int j = i + 1; j < r->n; j++)
            right *= r->shape[j].hole ? fill : r->shape[j].n;
        if (left > 0 && right > 0 && r->before.n % left == 0 && r->behind.n % right == 0 &&
            r->before.n / left * (r->behind.n / right) * batch == size) {
            r->axis = i;
            return true;
        }
        left *= size;
    }
    return false;
}

/* Which axis of the result holds the batch. */
static int find_axis(reshape *r)
{
    int n_holes = 0, first = -1;
    r->axis = r->hole = -1;
    for (int i = 0; i < r->n; i++) {
        if (r->shape[i].batch != 0 && r->axis >= 0)
            return kp_lw_view_refuse(r->w, "its new shape holds the number of rows twice");
        if (r->shape[i].batch != 0)
            r->axis = i;
        if (r->shape[i].hole && n_holes++ == 0)
            first = i;
    }
    if (r->axis < 0 && !find_in_numbers(r) && first >= 0)
        r->axis = first;
    product rest = shape_product(r->shape, 1, r->n);
    if (r->axis < 0 && r->n > 0 && known(&r->before) && r->before.n == 1 && known(&r->behind) &&
        known(&rest) && rest.n == r->behind.n)
        r->axis = 0; /* a number of rows of which the model is */
    if (r->axis < 0)
        return kp_lw_view_refuse(r->w, "its new shape changes the number of rows of the batch");
    for (int i = 0; i < r->n; i++)
        if (r->shape[i].hole && i != r->axis && r->hole >= 0)
            return kp_lw_view_refuse(r->w, "its new shape has more than one open size");
        else if (r->shape[i].hole && i != r->axis)
            r->hole = i;
    return 0;
}

/* How many rows become one of the batch, or one many: pre and post. */
static int find_factors(reshape *r)
{
    product left = shape_product(r->shape, 0, r->axis),
            right = shape_product(r->shape, r->axis + 1, r->n), pre = {.n = 1}, post = {.n = 1};
    const kp_lw_size *own = &r->shape[r->axis];
    bool fits = true;
    if (own->batch == 1 && own->n == 1 && own->open == 0) {
        ; /* the shape says it: the rows of the batch themselves */
    } else if (r->hole < 0) {
        fits = divide(&r->before, &left, &pre) && divide(&r->behind, &right, &post);
    } else {
        product all = shape_product(own, 0, 1); /* pre * post, as the shape says */
        if (own->batch == 0 && r->w->fixed_batch > 0)
            all.n /= r->w->fixed_batch;
        if (r->hole > r->axis)
            fits = divide(&r->before, &left, &pre) && divide(&all, &pre, &post);
        else
            fits = divide(&r->behind, &right, &post) && divide(&all, &post, &pre);
    }
    if (!fits)
        return kp_lw_view_refuse(r->w, "its new shape cuts rows of the batch into pieces");
    r->pre = as_size(&pre);
    r->post = as_size(&post);
    return 0;
}

/* The handle's elements in C order behind the batch: what stood before it, then the rest. */
static int in_order(reshape *r, kp_value **out)
{
    int perm[KP_MAX_DIMS], n = 0, before = r->from.axis;
    *out = r->from.raw;
    if (before == 0 || !kp_lw_view_folded(&r->from))
        return 0;
    perm[n++] = 0;
    for (int i = 0; i < before; i++)
        perm[n++] = 2 + i;
    perm[n++] = 1;
    for (; n < r->from.raw->ndim; n++)
        perm[n] = n;
    return kp_lw_transpose(r->w, perm, *out, out);
}

/* dims behind the batch, of which one may be open beyond those that stay. */
static int reshape_rows(kp_lw *w, const int64_t *dims, int n, kp_value *x, kp_value **out)
{
    int64_t rest[KP_MAX_DIMS] = {0};
    int same = 0, open = 0;
    while (same < n && same + 1 < x->ndim && dims[same] == x->shape[same + 1])
        same++;
    for (int i = same; i < n; i++) {
        rest[i - same] = dims[i] < 0 ? -1 : dims[i];
        open += dims[i] < 0;
    }
    if (open > 1)
        return kp_lw_computed_reshape(w, same + 1, dims + same, n - same, x, out);
    *out = x;
    return same == n && x->ndim == n + 1 ? 0 : kp_lw_reshape(w, same + 1, rest, n - same, x, out);
}

/* The folded axis, which stands where the batch will be, comes behind the batch. */
static int fold_first(kp_lw *w, int axis, kp_value *x, kp_value **out)
{
    int perm[KP_MAX_DIMS], n = 2;
    perm[0] = 0;
    perm[1] = 1 + axis;
    for (int i = 1; i < x->ndim; i++)
        if (i != 1 + axis)
            perm[n++] = i;
    return kp_lw_transpose(w, perm, x, out);
}

/* A factor that no number told is now an axis of the graph. */
static int64_t settle(kp_lw *w, int64_t size, int64_t other, int64_t axis)
{
    if (size != 0)
        return size;
    return other == 1 ? axis : kp_graph_new_symbol(w->g);
}

/* pre * post, -1 when it is not known (0: one of them is not). */
static int64_t folded_size(int64_t pre, int64_t post)
{
    int64_t all;
    if (pre == 0 || post == 0)
        return -1;
    if (pre == 1 || post == 1)
        return pre == 1 ? post : pre;
    return pre > 0 && post > 0 && !__builtin_mul_overflow(pre, post, &all) ? all : -1;
}

static int make(reshape *r, kp_value **out)
{
    int64_t dims[KP_MAX_DIMS + 1];
    int n = 0;
    bool folds = r->pre != 1 || r->post != 1;
    kp_value *x;
    if (r->n > KP_MAX_DIMS - 1)
        return kp_fail(KP_EMODEL, "a shape of %d axes is not supported (at most %d)", r->n,
                       KP_MAX_DIMS - 1);
    for (int i = 0; i < r->n; i++) {
        const kp_lw_size *s = &r->shape[i];
        if (i != r->axis)
            dims[n++] = s->hole || (s->open != 0 && s->n != 1) ? -1 : s->open ? s->open : s->n;
        else if (folds)
            dims[n++] = folded_size(r->pre, r->post);
    }
    KP_TRY(in_order(r, &x));
    KP_TRY(reshape_rows(r->w, dims, n, x, &x));
    int64_t size = folds ? x->shape[1 + r->axis] : 1;
    if (folds && r->axis > 0)
        KP_TRY(fold_first(r->w, r->axis, x, &x));
    int64_t pre = settle(r->w, r->pre, r->post, size), post = settle(r->w, r->post, r->pre, size);
    return kp_lw_view_make(r->w, &(kp_lw_view){x, r->axis, pre, post}, out);
}

int kp_lw_view_reshape(kp_lw *w, kp_value *x, const kp_lw_size *shape, int n, kp_value **out)
{
    reshape r = {.w = w, .x = x, .shape = shape, .n = n};
    if (!kp_lw_view_of(w, x, &r.from))
        return kp_lw_view_refuse(w, "its new shape holds the number of rows");
    r.before = product_of(x, 0, r.from.axis);
    multiply(&r.before, r.from.pre);
    r.behind = product_of(x, r.from.axis + 1, x->ndim);
    multiply(&r.behind, r.from.post);
    KP_TRY(find_axis(&r));
    KP_TRY(find_factors(&r));
    return make(&r, out);
}

/* ---- the order and number of axes ---- */

int kp_lw_view_transpose(kp_lw *w, const int *perm, kp_value *x, kp_value **out)
{
    kp_lw_view v;
    int raw[KP_MAX_DIMS], n = 1, axis = 0;
    if (!kp_lw_view_of(w, x, &v))
        return kp_lw_transpose(w, perm, x, out);
    raw[0] = 0;
    if (kp_lw_view_folded(&v))
        raw[n++] = 1;
    for (int i = 0; i < x->ndim; i++) {
        if (perm[i] == v.axis)
            axis = i;
        else
            raw[n++] = kp_lw_view_raw_axis(&v, perm[i]);
    }
    v.axis = axis;
    KP_TRY(kp_lw_transpose(w, raw, v.raw, &v.raw));
    return kp_lw_view_make(w, &v, out);
}

int kp_lw_view_add_axis(kp_lw *w, int at, kp_value *x, kp_value **out)
{
    kp_lw_view v;
    if (!kp_lw_view_of(w, x, &v))
        return kp_lw_add_axis(w, at, x, out);
    if (x->ndim + 1 + kp_lw_view_folded(&v) > KP_MAX_DIMS)
        return kp_fail(KP_EMODEL, "more than %d axes", KP_MAX_DIMS);
    if (at <= v.axis)
        v.axis++;
    KP_TRY(kp_lw_add_axis(w, kp_lw_view_raw_axis(&v, at), v.raw, &v.raw));
    return kp_lw_view_make(w, &v, out);
}

int kp_lw_view_drop_axis(kp_lw *w, int at, kp_value *x, kp_value **out)
{
    kp_lw_view v;
    if (!kp_lw_view_of(w, x, &v))
        return kp_lw_drop_axis(w, at, x, out);
    if (at == v.axis)
        return kp_lw_view_refuse(w, "it removes the batch's axis");
    KP_TRY(kp_lw_drop_axis(w, kp_lw_view_raw_axis(&v, at), v.raw, &v.raw));
    if (at < v.axis)
        v.axis--;
    return kp_lw_view_make(w, &v, out);
}

/* ---- along the batch ---- */

/* The folded axis as two: pre, post. */
static int parted(kp_lw *w, const kp_lw_view *v, kp_value **out)
{
    int64_t dims[KP_MAX_DIMS];
    int folds = kp_lw_view_folded(v), n = 0;
    if (v->raw->ndim + 2 - folds > KP_MAX_DIMS)
        return kp_fail(KP_EMODEL, "more than %d axes", KP_MAX_DIMS);
    dims[n++] = v->pre;
    dims[n++] = v->post;
    for (int i = 1 + folds; i < v->raw->ndim; i++)
        dims[n++] = v->raw->shape[i];
    int64_t open = 0;
    for (int i = 0; i < n; i++)
        open += dims[i] < 0;
    if (open <= 1)
        return reshape_rows(w, dims, n, v->raw, out);
    *out = v->raw;
    for (int k = folds; k < 2; k++)
        KP_TRY(kp_lw_add_axis(w, folds && v->pre == 1 ? 1 : 1 + k, *out, out));
    return folds && v->pre != 1 && v->post != 1
               ? kp_lw_view_refuse(w, "its rows are folded by sizes that are open")
               : 0;
}

/* pre and post as one axis, or none. */
static int joined(kp_lw *w, kp_lw_view *v, kp_value *x, kp_value **out)
{
    int64_t dims[KP_MAX_DIMS];
    int n = 0;
    if (kp_lw_view_folded(v))
        dims[n++] = folded_size(v->pre, v->post);
    for (int i = 3; i < x->ndim; i++)
        dims[n++] = x->shape[i];
    KP_TRY(reshape_rows(w, dims, n, x, &v->raw));
    return kp_lw_view_make(w, v, out);
}

int kp_lw_view_concat(kp_lw *w, kp_value *const *x, int n, kp_value **out)
{
    kp_node node = {.op = KP_OP_CONCAT, .attr.axis.axis = 1};
    kp_lw_view v = {0}, other;
    int64_t pre = 0;
    kp_value **all = kp_arena_array(w->mem, (size_t)n, sizeof *all);
    if (!all)
        return KP_ENOMEM;
    for (int i = 0; i < n; i++) {
        bool batch = kp_lw_view_of(w, x[i], &other);
        if (i == 0)
            v = other;
        if (!batch || other.axis != v.axis || other.post != v.post || other.pre < 1 ||
            x[i]->ndim != x[0]->ndim)
            return kp_lw_view_refuse(w, "it joins rows of different kinds");
        pre += other.pre;
        KP_TRY(parted(w, &other, &all[i]));
    }
    v.pre = pre;
    KP_TRY(kp_lw_add(w, &node, all, n, &all[0]));
    return joined(w, &v, all[0], out);
}

int kp_lw_view_repeat(kp_lw *w, int64_t n, kp_value *x, kp_value **out)
{
    kp_node node = {.op = KP_OP_REPEAT};
    kp_lw_view v;
    kp_value *y;
    if (!kp_lw_view_of(w, x, &v) || v.post < 1 || n < 1 || n > INT32_MAX || v.post > INT32_MAX)
        return kp_lw_view_refuse(w, "it repeats rows of an open number");
    KP_TRY(parted(w, &v, &y));
    for (int i = 0; i < y->ndim; i++)
        node.attr.repeat.times[i] = i == 2 ? n : 1;
    KP_TRY(kp_lw_add(w, &node, &y, 1, &y));
    v.post *= n;
    return joined(w, &v, y, out);
}

int kp_lw_view_piece(kp_lw *w, int64_t piece, int64_t n, kp_value *x, kp_value **out)
{
    kp_lw_view v;
    kp_value *y;
    if (n < 1 || !kp_lw_view_of(w, x, &v) || v.pre < 1 || v.pre % n != 0)
        return kp_lw_view_refuse(w, "it splits the batch");
    KP_TRY(parted(w, &v, &y));
    v.pre /= n;
    KP_TRY(kp_lw_slice(w, 1, piece * v.pre, (piece + 1) * v.pre, 1, y, &y));
    return joined(w, &v, y, out);
}

int kp_lw_view_whole(kp_lw *w, const kp_lw_view *v, kp_value *x, kp_value **out)
{
    int64_t dims[KP_MAX_DIMS] = {0};
    int perm[KP_MAX_DIMS], n = 0, folds = kp_lw_view_folded(v), ndim = v->raw->ndim;
    bool two = folds && v->pre != 1 && v->post != 1;
    if (two && (v->pre < 1 || v->post < 1 || ndim == KP_MAX_DIMS))
        return kp_lw_view_refuse(w, "its rows are folded by sizes that are open");
    if (two) {
        dims[0] = v->pre;
        dims[1] = v->post;
        for (int i = 2; i < ndim; i++)
            dims[i] = x->shape[i] < 0 ? -1 : x->shape[i];
        KP_TRY(kp_lw_reshape(w, 1, dims, ndim, x, &x));
    }
    /* Axes before the batch, pre, the batch, post, axes behind it. */
    int first = 1 + folds + two;
    for (int i = 0; i < v->axis; i++)
        perm[n++] = first + i;
    if (folds && v->pre != 1)
        perm[n++] = 1;
    perm[n++] = 0;
    if (folds && v->post != 1)
        perm[n++] = 1 + two;
    for (int i = first + v->axis; i < x->ndim; i++)
        perm[n++] = i;
    KP_TRY(kp_lw_transpose(w, perm, x, &x));
    *out = x;
    if (!folds)
        return 0;
    n = 0;
    dims[n++] = -1;
    for (int i = v->axis + 1 + folds + two; i < x->ndim; i++)
        dims[n++] = x->shape[i];
    return kp_lw_reshape(w, v->axis, dims, n, x, out);
}
