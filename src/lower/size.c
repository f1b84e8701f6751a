/* Expressions over sizes, and the handles that hold lists of them. */
#include "lower/size.h"

enum { WEIGHT_MAX = 256, SYMBOLS_MAX = 2000 };

/* ---- expressions ---- */

static int new_expr(kp_lw *w, const kp_lw_expr *proto, const kp_lw_expr **out)
{
    kp_lw_expr *e = kp_arena_alloc(w->mem, sizeof *e);
    if (!e)
        return KP_ENOMEM;
    *e = *proto;
    e->weight = 1 + (e->a ? e->a->weight : 0) + (e->b ? e->b->weight : 0);
    e->has_rows = e->rows || (e->a && e->a->has_rows) || (e->b && e->b->has_rows);
    *out = e;
    return e->weight <= WEIGHT_MAX ? 0 : kp_fail(KP_ELIMIT, "a size of too many steps");
}

int kp_lw_expr_number(kp_lw *w, int64_t n, const kp_lw_expr **out)
{
    return new_expr(w, &(kp_lw_expr){.op = KP_SIZE_NUMBER, .number = n}, out);
}

bool kp_lw_expr_is_number(const kp_lw_expr *e, int64_t *out)
{
    *out = e->number;
    return e->op == KP_SIZE_NUMBER && !e->rows;
}

static bool same(const kp_lw_expr *a, const kp_lw_expr *b)
{
    if (a == b)
        return true;
    if (!a || !b || a->op != b->op || a->rows != b->rows || a->number != b->number)
        return false;
    if (a->op == KP_SIZE_AXIS) /* equal symbols are equal sizes */
        return a->value->shape[a->axis] == b->value->shape[b->axis];
    return same(a->a, b->a) && same(a->b, b->b);
}

static bool calculate(kp_size_op op, int64_t a, int64_t b, int64_t *out)
{
    switch (op) {
    case KP_SIZE_ADD:
        return !__builtin_add_overflow(a, b, out);
    case KP_SIZE_SUB:
        return !__builtin_sub_overflow(a, b, out);
    case KP_SIZE_MUL:
        return !__builtin_mul_overflow(a, b, out);
    case KP_SIZE_MIN:
        return *out = a < b ? a : b, true;
    case KP_SIZE_MAX:
        return *out = a > b ? a : b, true;
    default:
        break;
    }
    if (b == 0 || (a == INT64_MIN && b == -1))
        return false;
    int64_t q = a / b, rest = a % b;
    if (rest != 0 && (rest < 0) != (b < 0))
        q--, rest += b;
    return *out = op == KP_SIZE_MOD ? rest : q, true;
}

static bool neutral(kp_size_op op, int64_t b)
{
    return (b == 0 && (op == KP_SIZE_ADD || op == KP_SIZE_SUB)) ||
           (b == 1 && (op == KP_SIZE_MUL || op == KP_SIZE_FLOOR_DIV));
}

/* a * b // b, with b a factor of any place: *out is what remains. */
static int cancel(kp_lw *w, const kp_lw_expr *e, const kp_lw_expr *by, const kp_lw_expr **out)
{
    int64_t a, b;
    *out = NULL;
    if (same(e, by))
        return kp_lw_expr_number(w, 1, out);
    if (kp_lw_expr_is_number(e, &a) && kp_lw_expr_is_number(by, &b) && b != 0 && a % b == 0)
        return kp_lw_expr_number(w, a / b, out);
    if (e->op != KP_SIZE_MUL || e->rows)
        return 0;
    for (int k = 0; k < 2; k++) {
        const kp_lw_expr *part = k == 0 ? e->a : e->b, *other = k == 0 ? e->b : e->a, *rest;
        KP_TRY(cancel(w, part, by, &rest));
        if (rest)
            return kp_lw_expr_pair(w, KP_SIZE_MUL, rest, other, out);
    }
    return 0;
}

int kp_lw_expr_pair(kp_lw *w, kp_size_op op, const kp_lw_expr *a, const kp_lw_expr *b,
                    const kp_lw_expr **out)
{
    int64_t m, n, result;
    bool first = kp_lw_expr_is_number(a, &m), second = kp_lw_expr_is_number(b, &n);
    if (first && second && calculate(op, m, n, &result))
        return kp_lw_expr_number(w, result, out);
    if (second && neutral(op, n))
        return *out = a, 0;
    if (first && (op == KP_SIZE_ADD || op == KP_SIZE_MUL) && neutral(op, m))
        return *out = b, 0;
    if (op == KP_SIZE_FLOOR_DIV) {
        KP_TRY(cancel(w, a, b, out));
        if (*out)
            return 0;
        if (b->op == KP_SIZE_MUL && !b->rows) { /* a // (c * d) where c and d are factors */
            const kp_lw_expr *rest;
            KP_TRY(cancel(w, a, b->a, &rest));
            if (rest)
                return kp_lw_expr_pair(w, op, rest, b->b, out);
        }
    }
    return new_expr(w, &(kp_lw_expr){.op = op, .a = a, .b = b}, out);
}

/* ---- symbols ---- */

static int symbol_of(kp_lw *w, const kp_lw_expr *e, int64_t *out)
{
    int n = 0;
    for (const kp_lw_symbol *s = w->symbols; s; s = s->next, n++)
        if (same(s->expr, e))
            return *out = s->symbol, 0;
    kp_lw_symbol *s = kp_arena_alloc(w->mem, sizeof *s);
    if (!s || n > SYMBOLS_MAX)
        return s ? kp_fail(KP_ELIMIT, "too many sizes are computed") : KP_ENOMEM;
    *out = e->op == KP_SIZE_AXIS ? e->value->shape[e->axis] : kp_graph_new_symbol(w->g);
    *s = (kp_lw_symbol){w->symbols, *out, e};
    w->symbols = s;
    return 0;
}

const kp_lw_expr *kp_lw_expr_of(const kp_lw *w, int64_t symbol)
{
    for (const kp_lw_symbol *s = w->symbols; s; s = s->next)
        if (s->symbol == symbol)
            return s->expr;
    return NULL;
}

static int open_or_number(kp_lw *w, kp_value *x, int axis, const kp_lw_expr **out)
{
    int64_t symbol;
    if (x->shape[axis] >= 0)
        return kp_lw_expr_number(w, x->shape[axis], out);
    KP_TRY(new_expr(w, &(kp_lw_expr){.op = KP_SIZE_AXIS, .value = x, .axis = axis}, out));
    const kp_lw_expr *known = kp_lw_expr_of(w, x->shape[axis]);
    if (known)
        return *out = known, 0;
    return symbol_of(w, *out, &symbol);
}

/* A factor of the folded rows. */
static int factor(kp_lw *w, const kp_lw_view *v, int64_t size, const kp_lw_expr **out)
{
    if (size > 0)
        return kp_lw_expr_number(w, size, out);
    *out = kp_lw_expr_of(w, size);
    if (*out)
        return 0;
    return v->raw->shape[1] == size
               ? open_or_number(w, v->raw, 1, out)
               : kp_lw_view_refuse(w, "it computes with a number of rows that is folded of sizes "
                                      "that are open");
}

int kp_lw_expr_axis(kp_lw *w, kp_value *x, int axis, const kp_lw_expr **out)
{
    kp_lw_view v;
    const kp_lw_expr *pre, *post;
    if (!kp_lw_view_of(w, x, &v))
        return open_or_number(w, x, axis, out);
    if (axis != v.axis)
        return open_or_number(w, v.raw, kp_lw_view_raw_axis(&v, axis), out);
    KP_TRY(new_expr(w, &(kp_lw_expr){.rows = true}, out));
    KP_TRY(factor(w, &v, v.pre, &pre));
    KP_TRY(factor(w, &v, v.post, &post));
    KP_TRY(kp_lw_expr_pair(w, KP_SIZE_MUL, pre, *out, out));
    return kp_lw_expr_pair(w, KP_SIZE_MUL, *out, post, out);
}

/* The factors of e: a number, the rows, and what is open, as a product. */
typedef struct factors {
    int64_t n;
    int rows;
    const kp_lw_expr *open;
    bool wrong;
} factors;

static int take_factors(kp_lw *w, const kp_lw_expr *e, factors *f)
{
    int64_t n;
    if (e->rows) {
        f->rows++;
    } else if (kp_lw_expr_is_number(e, &n)) {
        f->wrong = f->wrong || n < 0 || __builtin_mul_overflow(f->n, n, &f->n);
    } else if (e->op == KP_SIZE_MUL) {
        KP_TRY(take_factors(w, e->a, f));
        KP_TRY(take_factors(w, e->b, f));
    } else {
        f->wrong = f->wrong || e->has_rows;
        if (f->open)
            return kp_lw_expr_pair(w, KP_SIZE_MUL, f->open, e, &f->open);
        f->open = e;
    }
    return 0;
}

int kp_lw_expr_size(kp_lw *w, const kp_lw_expr *e, kp_lw_size *out)
{
    factors f = {.n = 1};
    int64_t n;
    *out = (kp_lw_size){.n = 1};
    if (kp_lw_expr_is_number(e, &n) && n == -1)
        return out->hole = true, 0;
    KP_TRY(take_factors(w, e, &f));
    if (f.wrong || f.rows > 1)
        return kp_lw_view_refuse(w, "a size that it computes is not a multiple of the rows");
    out->n = f.n;
    out->batch = f.rows;
    return f.open ? symbol_of(w, f.open, &out->open) : 0;
}

/* ---- handles ---- */

bool kp_lw_is_sizes(const kp_lw *w, const kp_value *v)
{
    const kp_lw_handle *h = kp_lw_handle_find(w, v);
    return h && h->sizes;
}

static int as_constant(kp_lw *w, kp_dtype dtype, int ndim, const kp_lw_expr **at, int n,
                       kp_value **out)
{
    int64_t wide[KP_LW_SIZES_MAX] = {0}, shape = n;
    for (int i = 0; i < n; i++)
        wide[i] = at[i]->number;
    void *data = kp_graph_alloc(w->g, sizeof wide);
    if (!data)
        return KP_ENOMEM;
    KP_TRY(kp_convert(dtype, data, KP_INT64, wide, (size_t)n));
    return kp_graph_add_const(w->g, w->name, dtype, &shape, ndim, data, out);
}

int kp_lw_sizes_make(kp_lw *w, kp_dtype dtype, int ndim, const kp_lw_expr **at, int n,
                     kp_value **out)
{
    bool known = true;
    int64_t number;
    if (n < 0 || n > KP_LW_SIZES_MAX)
        return kp_fail(KP_ELIMIT, "a list of %d sizes", n);
    known = n > 0; /* a graph has no constants without elements */
    for (int i = 0; i < n; i++)
        known = known && kp_lw_expr_is_number(at[i], &number);
    if (known)
        return as_constant(w, dtype, ndim, at, n, out);
    kp_value *h = kp_arena_alloc(w->mem, sizeof *h);
    kp_lw_size_list *s = kp_arena_alloc(w->mem, sizeof *s);
    const kp_lw_expr **copy = kp_arena_array(w->mem, (size_t)n + 1, sizeof(*copy));
    if (!h || !s || !copy)
        return KP_ENOMEM;
    memcpy(copy, at, (size_t)n * sizeof *at);
    *s = (kp_lw_size_list){n, copy};
    *h = (kp_value){.id = -1,
                    .dtype = dtype,
                    .ndim = ndim,
                    .shape = {n},
                    .producer = w->whole->inputs[0]->producer,
                    .name = w->name};
    return *out = h, kp_lw_handle_add(w, &(kp_lw_handle){h, NULL, s});
}

bool kp_lw_sizes_of(kp_lw *w, const kp_value *v, kp_lw_size_list *out)
{
    const kp_lw_handle *h = kp_lw_handle_find(w, v);
    if (h && h->sizes)
        return *out = *h->sizes, true;
    size_t elem = kp_dtype_size(v->dtype);
    bool fits = !h && v->producer->op == KP_OP_CONST && v->ndim <= 1 &&
                (v->dtype == KP_INT32 || v->dtype == KP_INT64) && v->data_bytes >= elem &&
                v->data_bytes / elem <= KP_LW_SIZES_MAX;
    *out = (kp_lw_size_list){fits ? (int)(v->data_bytes / elem) : 0, NULL};
    out->at = fits ? kp_arena_array(w->mem, (size_t)out->n, sizeof(*out->at)) : NULL;
    for (int i = 0; out->at && i < out->n; i++) {
        int64_t n = 0;
        if (kp_convert(KP_INT64, &n, v->dtype, (const char *)v->data + (size_t)i * elem, 1) != 0 ||
            kp_lw_expr_number(w, n, &out->at[i]) != 0)
            return false;
    }
    return out->at != NULL;
}

int kp_lw_sizes_value(kp_lw *w, const kp_value *v, kp_value **out)
{
    kp_lw_size_list s;
    kp_computed p = {.kind = KP_COMPUTED_NUMBERS, .dtype = v->dtype, .scalar = v->ndim == 0};
    if (!kp_lw_sizes_of(w, v, &s) || s.n > KP_COMPUTED_MAX)
        return kp_fail(KP_EINTERNAL, "not a list of sizes");
    return kp_lw_computed(w, &p, s.at, s.n, NULL, out);
}
