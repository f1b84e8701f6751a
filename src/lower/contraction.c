/* Products of tensors whose axes have letters, as in einsum: pair by pair, through one product of
 * matrices or element by element. */
#include "lower/contraction.h"

static int place_of(const kp_letters *s, char c)
{
    for (int i = 0; i < s->n; i++)
        if (s->at[i] == c)
            return i;
    return -1;
}

bool kp_letters_has(const kp_letters *s, char c)
{
    return place_of(s, c) >= 0;
}

void kp_letters_push(kp_letters *s, char c)
{
    if (s->n < KP_LETTERS_MAX)
        s->at[s->n++] = c;
}

void kp_letters_add(kp_letters *s, const kp_letters *more)
{
    for (int i = 0; i < more->n; i++)
        kp_letters_push(s, more->at[i]);
}

static bool is_batch(const kp_factor *f, char c)
{
    int at = place_of(&f->axes, c);
    return at >= 0 && f->x->shape[at] == KP_DIM_BATCH;
}

/* The axes in the order `want`, of the same letters. */
static int order(kp_lw *w, const kp_lw_call *c, kp_factor *f, const kp_letters *want)
{
    int perm[KP_MAX_DIMS];
    if (want->n != f->axes.n || want->n > KP_MAX_DIMS)
        return kp_fail(KP_EMODEL, "layer \"%s\" (%s): the letters of the result do not fit",
                       c->layer->path, c->layer->class_name);
    for (int i = 0; i < want->n; i++) {
        perm[i] = place_of(&f->axes, want->at[i]);
        if (perm[i] < 0)
            return kp_fail(KP_EMODEL, "layer \"%s\" (%s): the result has a letter of its own",
                           c->layer->path, c->layer->class_name);
    }
    if (f->x->ndim > 0 && f->x->shape[0] == KP_DIM_BATCH && perm[0] != 0)
        return kp_lw_rows_refused(c, "moves the batch away from the first axis");
    f->axes = *want;
    return kp_lw_transpose(w, perm, f->x, &f->x);
}

/* ---- one factor ---- */

/* Adds along axes that neither the result nor a later factor has. */
static int sum_out(kp_lw *w, const kp_lw_call *c, kp_factor *f, const kp_letters *keep)
{
    kp_axes axes = {0};
    kp_letters left = {0};
    for (int i = 0; i < f->axes.n; i++) {
        if (kp_letters_has(keep, f->axes.at[i])) {
            kp_letters_push(&left, f->axes.at[i]);
            continue;
        }
        if (f->x->shape[i] == KP_DIM_BATCH)
            return kp_lw_rows_refused(c, "adds up the rows of the batch");
        axes.axis[axes.n++] = i;
    }
    f->axes = left;
    return kp_lw_reduce(w, KP_RED_SUM, &axes, false, f->x, &f->x);
}

/* A letter twice in one factor: its diagonal, whose axis comes last. */
static int take_diagonals(kp_lw *w, const kp_lw_call *c, kp_factor *f)
{
    static const int64_t main_diagonal = 0, ends[2] = {-2, -1};
    for (int i = 0; i < f->axes.n; i++)
        for (int k = i + 1; k < f->axes.n; k++) {
            char letter = f->axes.at[i];
            kp_letters left = {0};
            if (f->axes.at[k] != letter)
                continue;
            KP_TRY(kp_lw_moved(w, c, (int64_t[]){i, k}, ends, 2, f->x, &f->x));
            KP_TRY(kp_lw_kernel(w, &kp_kernel_diagonal, &main_diagonal, &f->x, 1, &f->x));
            for (int j = 0; j < f->axes.n; j++)
                if (j != i && j != k)
                    kp_letters_push(&left, f->axes.at[j]);
            kp_letters_push(&left, letter);
            f->axes = left;
            i = -1;
            break;
        }
    return 0;
}

/* ---- two factors ---- */

/* The letters of two factors by what becomes of them. */
typedef struct roles {
    kp_letters shared, summed, left, right; /* in both and kept, in both and added up, in one */
} roles;

static roles roles_of(const kp_factor *a, const kp_factor *b, const kp_letters *keep)
{
    roles r = {0};
    for (int i = 0; i < a->axes.n; i++) {
        char c = a->axes.at[i];
        kp_letters_push(!kp_letters_has(&b->axes, c) ? &r.left
                        : kp_letters_has(keep, c)    ? &r.shared
                                                     : &r.summed,
                        c);
    }
    for (int i = 0; i < b->axes.n; i++)
        if (!kp_letters_has(&a->axes, b->axes.at[i]))
            kp_letters_push(&r.right, b->axes.at[i]);
    return r;
}

/* The axes from `first` on become one; where there are none, one of size 1. */
static int merge(kp_lw *w, kp_factor *f, int first, int n)
{
    int64_t dims[KP_MAX_DIMS];
    int open = 0, rest = f->x->ndim - first - n, at = 0;
    if (n == 1)
        return 0;
    dims[at] = 1;
    for (int i = first; i < first + n; i++) {
        bool known = f->x->shape[i] >= 0 && dims[0] > 0;
        if (!known || __builtin_mul_overflow(dims[0], f->x->shape[i], &dims[0]))
            dims[0] = -1;
    }
    open += dims[at++] < 0;
    for (int i = 0; i < rest; i++, at++) {
        dims[at] = f->x->shape[first + n + i] < 0 ? -1 : f->x->shape[first + n + i];
        open += dims[at] < 0;
    }
    if (open > 1)
        return kp_fail(KP_EMODEL, "a product along several axes of open sizes is not supported");
    return kp_lw_reshape(w, first, dims, at, f->x, &f->x);
}

/* No axis is added up: element by element, each factor with axes of size 1 for the other's. */
static int multiply(kp_lw *w, const kp_lw_call *c, kp_factor *a, kp_factor *b, const roles *r)
{
    kp_letters all = {0}, rest = r->shared;
    kp_factor *both[2] = {a, b};
    kp_letters_add(&rest, &r->left);
    kp_letters_add(&rest, &r->right);
    for (int pass = 0; pass < 2; pass++) /* the batch comes first */
        for (int i = 0; i < rest.n; i++)
            if ((is_batch(a, rest.at[i]) || is_batch(b, rest.at[i])) == (pass == 0))
                kp_letters_push(&all, rest.at[i]);
    if (all.n > KP_MAX_DIMS)
        return kp_fail(KP_EMODEL, "layer \"%s\": more than %d axes", c->layer->path, KP_MAX_DIMS);
    for (int k = 0; k < 2; k++) {
        kp_letters own = {0};
        for (int i = 0; i < all.n; i++)
            if (kp_letters_has(&both[k]->axes, all.at[i]))
                kp_letters_push(&own, all.at[i]);
        KP_TRY(order(w, c, both[k], &own));
        for (int i = 0; i < all.n; i++)
            if (!kp_letters_has(&own, all.at[i]) &&
                (i > 0 || both[k]->x->ndim == 0 || both[k]->x->shape[0] != KP_DIM_BATCH))
                KP_TRY(kp_lw_add_axis(w, i, both[k]->x, &both[k]->x));
    }
    a->axes = all;
    return kp_lw_pair(w, KP_BIN_MUL, a->x, b->x, &a->x);
}

int kp_lw_matrix_product(kp_lw *w, kp_value *a, kp_value *b, kp_value **out)
{
    bool dense = b->ndim == 2 && b->data != NULL && b->dtype == KP_FLOAT32;
    kp_node n = {.op = dense ? KP_OP_DENSE : KP_OP_MATMUL};
    return kp_lw_add(w, &n, (kp_value *[]){a, b}, 2, out);
}

/* The letters that stay apart in front of the matrices: the batch, then the shared ones. */
static void leading(const kp_factor *a, roles *r, kp_letters *front)
{
    kp_letters rest = {0};
    int apart = r->shared.n == 0 ? r->left.n - 1 : 0; /* nothing to merge when b is one matrix */
    for (int i = 0; i < r->left.n; i++)
        kp_letters_push(i < apart || is_batch(a, r->left.at[i]) ? front : &rest, r->left.at[i]);
    kp_letters_add(front, &r->shared);
    r->left = rest;
}

/* a as (front, left, summed) times b as (shared, summed, right). */
static int matrices(kp_lw *w, const kp_lw_call *c, kp_factor *a, kp_factor *b, roles *r)
{
    kp_letters front = {0}, want_a, want_b = r->shared;
    int64_t dims[KP_MAX_DIMS];
    int n = 0, open = 0;
    leading(a, r, &front);
    want_a = front;
    kp_letters_add(&want_a, &r->left);
    kp_letters_add(&want_a, &r->summed);
    kp_letters_add(&want_b, &r->summed);
    kp_letters_add(&want_b, &r->right);
    KP_TRY(order(w, c, a, &want_a));
    KP_TRY(order(w, c, b, &want_b));
    for (int i = 0; i < r->left.n + r->right.n && n < KP_MAX_DIMS; i++, n++) {
        const kp_factor *from = i < r->left.n ? a : b;
        char letter = i < r->left.n ? r->left.at[i] : r->right.at[i - r->left.n];
        dims[n] = from->x->shape[place_of(&from->axes, letter)];
        dims[n] = dims[n] < 0 ? -1 : dims[n];
        open += dims[n] < 0;
    }
    KP_TRY(merge(w, a, front.n + r->left.n, r->summed.n));
    KP_TRY(merge(w, a, front.n, r->left.n));
    KP_TRY(merge(w, b, r->shared.n + r->summed.n, r->right.n));
    KP_TRY(merge(w, b, r->shared.n, r->summed.n));
    KP_TRY(kp_lw_matrix_product(w, a->x, b->x, &a->x));
    a->axes = front;
    kp_letters_add(&a->axes, &r->left);
    kp_letters_add(&a->axes, &r->right);
    if (r->left.n == 1 && r->right.n == 1)
        return 0;
    if (open > 1 || front.n + n > KP_MAX_DIMS)
        return kp_fail(KP_EMODEL,
                       "layer \"%s\" (%s): a product with several axes of open sizes is "
                       "not supported",
                       c->layer->path, c->layer->class_name);
    return kp_lw_reshape(w, front.n, dims, n, a->x, &a->x);
}

/* Of two letters for the batch the product would pair every row with every other. */
static int check_batches(const kp_lw_call *c, const kp_factor *a, const kp_factor *b,
                         const roles *r)
{
    const kp_letters *all[3] = {&r->summed, &r->left, &r->right};
    bool batch[3] = {0};
    for (int k = 0; k < 3; k++)
        for (int i = 0; i < all[k]->n; i++)
            batch[k] = batch[k] || is_batch(a, all[k]->at[i]) || is_batch(b, all[k]->at[i]);
    if (batch[0])
        return kp_lw_rows_refused(c, "adds up the rows of the batch");
    return batch[1] && batch[2] ? kp_lw_rows_refused(c, "multiplies every row with every other")
                                : 0;
}

/* a becomes the product, its axes being those of both that are in keep. */
static int contract(kp_lw *w, const kp_lw_call *c, kp_factor *a, kp_factor *b,
                    const kp_letters *keep)
{
    kp_letters wanted_a = *keep, wanted_b = *keep;
    kp_letters_add(&wanted_a, &b->axes);
    kp_letters_add(&wanted_b, &a->axes);
    KP_TRY(sum_out(w, c, a, &wanted_a));
    KP_TRY(sum_out(w, c, b, &wanted_b));
    roles r = roles_of(a, b, keep);
    KP_TRY(check_batches(c, a, b, &r));
    for (int i = 0; i < r.right.n; i++)
        if (is_batch(b, r.right.at[i])) { /* the factor with the batch comes first */
            kp_factor first = *b;
            *b = *a;
            *a = first;
            r = roles_of(a, b, keep);
            break;
        }
    return r.summed.n == 0 ? multiply(w, c, a, b, &r) : matrices(w, c, a, b, &r);
}

/* All factors, from the first on; the result's axes in the order `out`. */
int kp_lw_product(kp_lw *w, const kp_lw_call *c, kp_factor *f, int n, const kp_letters *out,
                  kp_value **y)
{
    for (int i = 0; i < n; i++)
        KP_TRY(take_diagonals(w, c, &f[i]));
    for (int i = 1; i < n; i++) {
        kp_letters keep = *out;
        for (int k = i + 1; k < n; k++)
            kp_letters_add(&keep, &f[k].axes);
        KP_TRY(contract(w, c, &f[0], &f[i], &keep));
    }
    KP_TRY(sum_out(w, c, &f[0], out));
    KP_TRY(order(w, c, &f[0], out));
    *y = f[0].x;
    return 0;
}
