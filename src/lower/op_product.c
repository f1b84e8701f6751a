/* keras.ops that multiply and add along axes: einsum and all that is one in other words. */
#include "lower/contraction.h"

/* ---- types ---- */

typedef struct types {
    kp_dtype compute, result;
} types;

static kp_dtype at_least_float(kp_dtype t)
{
    return kp_dtype_is_float(t) ? t : KP_FLOAT32;
}

/* ---- einsum ---- */

/* One factor's letters; axes under "..." get digits, from the last one on. */
static bool read_term(const char *s, const char *end, int ndim, kp_letters *out)
{
    int named = 0;
    for (const char *p = s; p < end; p++)
        named += *p != ' ' && *p != '.';
    for (const char *p = s; p < end; p++) {
        if (*p == '.') {
            for (int i = ndim - named; i > 0; i--)
                kp_letters_push(out, (char)('0' + i));
            p += 2;
        } else if (*p != ' ') {
            kp_letters_push(out, *p);
        }
    }
    return out->n == ndim && ndim <= KP_MAX_DIMS;
}

/* Without "->": the digits, then the letters that occur once, by the alphabet. */
static void implied(const kp_factor *f, int n, kp_letters *out)
{
    for (char c = '9'; c > '0'; c--)
        for (int i = 0; i < n; i++)
            if (kp_letters_has(&f[i].axes, c) && !kp_letters_has(out, c))
                kp_letters_push(out, c);
    for (int c = 'A'; c <= 'z'; c++) {
        int times = 0;
        for (int i = 0; i < n; i++)
            for (int k = 0; k < f[i].axes.n; k++)
                times += f[i].axes.at[k] == c;
        if (times == 1)
            kp_letters_push(out, (char)c);
    }
}

static int most_digits(const kp_factor *f, int n)
{
    int most = 0;
    for (int i = 0; i < n; i++)
        for (int k = 0; k < f[i].axes.n; k++)
            if (f[i].axes.at[k] <= '9' && f[i].axes.at[k] - '0' > most)
                most = f[i].axes.at[k] - '0';
    return most;
}

static int bad_equation(const kp_lw_call *c, const char *equation)
{
    return kp_fail(KP_EMODEL, "layer \"%s\" (%s): \"%s\" does not fit its operands", c->layer->path,
                   c->layer->class_name, equation);
}

static int read_equation(const kp_lw_call *c, const char *s, kp_factor *f, int n, kp_letters *out)
{
    const char *arrow = strstr(s, "->"), *end = arrow ? arrow : s + strlen(s), *p = s;
    for (int i = 0; i < n; i++) {
        const char *comma = memchr(p, ',', (size_t)(end - p));
        const char *stop = i + 1 < n ? comma : end;
        if (!stop || (i + 1 == n && comma) || !read_term(p, stop, f[i].x->ndim, &f[i].axes))
            return bad_equation(c, s);
        p = stop + 1;
    }
    if (!arrow) {
        implied(f, n, out);
        return 0;
    }
    int named = 0, dots = strchr(arrow, '.') ? most_digits(f, n) : 0;
    for (p = arrow + 2; *p; p++)
        named += *p != ' ' && *p != '.';
    return read_term(arrow + 2, arrow + strlen(arrow), named + dots, out) ? 0 : bad_equation(c, s);
}

static int do_einsum(kp_lw *w, const kp_lw_call *c, kp_value **out)
{
    int n = c->call->args.n_items;
    kp_factor *f = kp_arena_array(w->mem, (size_t)n + 1, sizeof *f);
    int *kinds = kp_arena_array(w->mem, (size_t)n + 1, sizeof *kinds);
    const char *equation;
    bool bytes = true;
    kp_letters result = {0};
    types t;
    if (!f || !kinds)
        return KP_ENOMEM;
    if (n < 1)
        return kp_fail(KP_EMODEL, "layer \"%s\": no operands", c->layer->path);
    KP_TRY(kp_cfg_str(c->layer, "subscripts", "", &equation));
    for (int i = 0; i < n; i++) {
        KP_TRY(kp_lw_tensor_of(w, c, &c->call->args.items[i], &f[i].x));
        kinds[i] = (int)f[i].x->dtype;
        bytes = bytes && kinds[i] == KP_INT8;
    }
    KP_TRY(kp_lw_result_type(kinds, n, &t.result));
    t.compute = at_least_float(t.result);
    t.result = bytes ? KP_INT32 : t.result;
    for (int i = 0; i < n; i++)
        KP_TRY(kp_lw_cast(w, t.compute, f[i].x, &f[i].x));
    KP_TRY(read_equation(c, equation, f, n, &result));
    KP_TRY(kp_lw_product(w, c, f, n, &result, out));
    return kp_lw_cast(w, t.result, *out, out);
}

/* ---- products of two operands ---- */

/* Letters of their own for both; axis from[i] of a and to[i] of b are then the same. */
static void name_axes(kp_factor *f)
{
    for (int k = 0; k < 2; k++) {
        f[k].axes.n = 0;
        for (int i = 0; i < f[k].x->ndim; i++)
            kp_letters_push(&f[k].axes, (char)('a' + k * KP_MAX_DIMS + i));
    }
}

/* The sum over pairs of axes; result: a's other axes, then b's. */
static int along(kp_lw *w, const kp_lw_call *c, kp_factor *f, const int64_t *from,
                 const int64_t *to, int n, types t, kp_value **out)
{
    kp_letters result = {0};
    int a = 0, b = 0;
    name_axes(f);
    for (int i = 0; i < n; i++) {
        KP_TRY(kp_lw_axis(c->layer, from[i], f[0].x->ndim, &a));
        KP_TRY(kp_lw_axis(c->layer, to[i], f[1].x->ndim, &b));
        f[1].axes.at[b] = f[0].axes.at[a];
    }
    for (int k = 0; k < 2; k++) {
        KP_TRY(kp_lw_cast(w, t.compute, f[k].x, &f[k].x));
        for (int i = 0; i < f[k].axes.n; i++)
            if (!kp_letters_has(&f[1 - k].axes, f[k].axes.at[i]))
                kp_letters_push(&result, f[k].axes.at[i]);
    }
    KP_TRY(kp_lw_product(w, c, f, 2, &result, out));
    return kp_lw_cast(w, t.result, *out, out);
}

static int operands(kp_lw *w, const kp_lw_call *c, kp_factor *f, types *t)
{
    KP_TRY(kp_lw_two(w, c, false, &f[0].x, &f[1].x));
    t->result = f[0].x->dtype;
    t->compute = at_least_float(t->result);
    return 0;
}

/* Between a's last axis and b's: `to` counts from the back. */
static int last_axes(kp_lw *w, const kp_lw_call *c, kp_factor *f, int64_t to, types t,
                     kp_value **out)
{
    static const int64_t last = -1;
    if (f[0].x->ndim == 0 || f[1].x->ndim == 0)
        return kp_lw_pair(w, KP_BIN_MUL, f[0].x, f[1].x, out);
    return along(w, c, f, &last, &to, 1, t, out);
}

static int do_dot(kp_lw *w, const kp_lw_call *c, kp_value **out)
{
    kp_factor f[2] = {0};
    types t;
    KP_TRY(operands(w, c, f, &t));
    return last_axes(w, c, f, f[1].x->ndim == 1 ? -1 : -2, t, out);
}

static int do_inner(kp_lw *w, const kp_lw_call *c, kp_value **out)
{
    kp_factor f[2] = {0};
    types t;
    KP_TRY(operands(w, c, f, &t));
    return last_axes(w, c, f, -1, t, out);
}

static int do_vdot(kp_lw *w, const kp_lw_call *c, kp_value **out)
{
    kp_factor f[2] = {0};
    types t;
    KP_TRY(operands(w, c, f, &t));
    KP_TRY(kp_lw_flat(w, f[0].x, &f[0].x));
    KP_TRY(kp_lw_flat(w, f[1].x, &f[1].x));
    return last_axes(w, c, f, -1, t, out);
}

static int do_matmul(kp_lw *w, const kp_lw_call *c, kp_value **out)
{
    kp_factor f[2] = {0};
    types t;
    KP_TRY(operands(w, c, f, &t));
    if (f[0].x->ndim < 2 || f[1].x->ndim < 2)
        return last_axes(w, c, f, f[1].x->ndim == 1 ? -1 : -2, t, out);
    bool bytes = true;
    for (int i = 0; i < c->n_in; i++)
        bytes = bytes && c->in[i]->dtype == KP_INT8;
    if (t.result == KP_INT8 && bytes)
        t.result = KP_INT32;
    for (int i = 0; i < 2; i++)
        KP_TRY(kp_lw_cast(w, t.compute, f[i].x, &f[i].x));
    KP_TRY(kp_lw_matrix_product(w, f[0].x, f[1].x, out));
    return kp_lw_cast(w, t.result, *out, out);
}

/* axes: a number of axes, a pair of axes, or a pair of lists. */
static int tensordot_axes(const kp_lw_call *c, int ndim, int64_t *from, int64_t *to, int *n)
{
    const json_t *v = json_object_get(c->layer->config, "axes"), *a, *b;
    if (json_is_integer(v)) {
        *n = (int)json_integer_value(v);
        for (int i = 0; i < *n && i < KP_MAX_DIMS; i++) {
            from[i] = ndim - *n + i;
            to[i] = i;
        }
        if (*n >= 0 && *n <= ndim)
            return 0;
    } else if (json_array_size(v) == 2) {
        a = json_array_get(v, 0);
        b = json_array_get(v, 1);
        *n = json_is_integer(a) ? 1 : (int)json_array_size(a);
        for (int i = 0; i < *n && i < KP_MAX_DIMS; i++) {
            from[i] = json_integer_value(json_is_integer(a) ? a : json_array_get(a, (size_t)i));
            to[i] = json_integer_value(json_is_integer(b) ? b : json_array_get(b, (size_t)i));
        }
        if (*n <= KP_MAX_DIMS && (json_is_integer(b) || json_array_size(b) == (size_t)*n))
            return 0;
    }
    return kp_fail(KP_EMODEL, "layer \"%s\": \"axes\" does not fit tensors of %d axes",
                   c->layer->path, ndim);
}

/* Whole numbers are multiplied exactly. */
static int do_tensordot(kp_lw *w, const kp_lw_call *c, kp_value **out)
{
    int64_t from[KP_MAX_DIMS], to[KP_MAX_DIMS];
    kp_factor f[2] = {0};
    types t;
    int n = 0;
    KP_TRY(operands(w, c, f, &t));
    if (t.result == KP_INT32 || t.result == KP_INT64)
        t.compute = KP_FLOAT64;
    KP_TRY(tensordot_axes(c, f[0].x->ndim, from, to, &n));
    return along(w, c, f, from, to, n, t, out);
}

static int do_outer(kp_lw *w, const kp_lw_call *c, kp_value **out)
{
    kp_factor f[2] = {0};
    types t;
    KP_TRY(operands(w, c, f, &t));
    t.compute = t.result;
    KP_TRY(kp_lw_flat(w, f[0].x, &f[0].x));
    KP_TRY(kp_lw_flat(w, f[1].x, &f[1].x));
    return along(w, c, f, NULL, NULL, 0, t, out);
}

/* x with `n` axes in all (ones in front), each from `first` on followed (before: preceded) by 1. */
static int interleave(kp_lw *w, int n, int first, bool before, kp_value *x, kp_value **out)
{
    for (int have = x->ndim; have < n; have++)
        KP_TRY(kp_lw_add_axis(w, 0, x, &x));
    for (int i = n - 1; i >= first; i--)
        KP_TRY(kp_lw_add_axis(w, before ? i : i + 1, x, &x));
    *out = x;
    return 0;
}

/* The axes before `first` are the batch, which one factor has. */
static int kron(kp_lw *w, int n, int first, kp_value *x, kp_value *y, kp_value **out)
{
    int64_t dims[KP_MAX_DIMS];
    KP_TRY(interleave(w, n, first, false, x, &x));
    KP_TRY(interleave(w, n, first, true, y, &y));
    KP_TRY(kp_lw_pair(w, KP_BIN_MUL, x, y, out));
    for (int i = first; i < n; i++) {
        int64_t one, other;
        KP_TRY(kp_lw_known(*out, 2 * i - first, &one));
        KP_TRY(kp_lw_known(*out, 2 * i + 1 - first, &other));
        dims[i - first] = one * other;
    }
    return kp_lw_reshape(w, first, dims, n - first, *out, out);
}

static int do_kron(kp_lw *w, const kp_lw_call *c, kp_value **out)
{
    kp_factor f[2] = {0};
    types t;
    int first = 0;
    KP_TRY(operands(w, c, f, &t));
    int n = f[0].x->ndim > f[1].x->ndim ? f[0].x->ndim : f[1].x->ndim;
    for (int k = 0; k < 2; k++) {
        kp_value *x = f[k].x, *y = f[1 - k].x;
        bool batch = x->ndim > 0 && x->shape[0] == KP_DIM_BATCH;
        if (batch && (x->ndim < n || (y->ndim == n && y->shape[0] != 1)))
            return kp_lw_rows_refused(c, "changes the number of rows of the batch");
        first = batch ? 1 : first;
    }
    if (2 * n - first > KP_MAX_DIMS)
        return kp_fail(KP_EMODEL, "layer \"%s\": a Kronecker product of %d axes", c->layer->path,
                       n);
    return kron(w, n, first, f[0].x, f[1].x, out);
}

/* ---- the cross product ---- */

/* The last axis: 3 numbers, or 2 and a 0. */
static int three(kp_lw *w, const kp_lw_call *c, kp_value *x, kp_value **out)
{
    kp_node pad = {.op = KP_OP_PAD};
    int64_t size;
    KP_TRY(kp_lw_known(x, x->ndim - 1, &size));
    if (size != 2 && size != 3)
        return kp_fail(KP_EMODEL, "layer \"%s\" (%s): vectors of %lld numbers", c->layer->path,
                       c->layer->class_name, (long long)size);
    pad.attr.pad.after[x->ndim - 1] = 1;
    *out = x;
    return size == 3 ? 0 : kp_lw_add(w, &pad, &x, 1, out);
}

/* The numbers of the last axis rolled towards the front. */
static int rolled(kp_lw *w, int by, kp_value *x, kp_value **out)
{
    kp_arrange how = {0};
    how.kind[x->ndim - 1] = KP_ARRANGE_ROLL;
    how.before[x->ndim - 1] = -by;
    return kp_lw_arrange(w, &how, x, out);
}

static int cross_axes(const kp_lw_call *c, int64_t *a, int64_t *b, int64_t *to)
{
    KP_TRY(kp_cfg_int(c->layer, "axisa", -1, a));
    KP_TRY(kp_cfg_int(c->layer, "axisb", -1, b));
    KP_TRY(kp_cfg_int(c->layer, "axisc", -1, to));
    if (!kp_lw_is_null(c->layer, "axis")) {
        KP_TRY(kp_cfg_int(c->layer, "axis", -1, a));
        *b = *to = *a;
    }
    return 0;
}

static int do_cross(kp_lw *w, const kp_lw_call *c, kp_value **out)
{
    static const int64_t last = -1;
    kp_value *x, *y, *x1, *y1, *x2, *y2;
    int64_t a, b, to;
    KP_TRY(cross_axes(c, &a, &b, &to));
    KP_TRY(kp_lw_two(w, c, false, &x, &y));
    KP_TRY(kp_lw_moved(w, c, &a, &last, 1, x, &x));
    KP_TRY(kp_lw_moved(w, c, &b, &last, 1, y, &y));
    bool plane = x->shape[x->ndim - 1] == 2 && y->shape[y->ndim - 1] == 2;
    KP_TRY(three(w, c, x, &x));
    KP_TRY(three(w, c, y, &y));
    KP_TRY(rolled(w, 1, x, &x1));
    KP_TRY(rolled(w, 2, x, &x2));
    KP_TRY(rolled(w, 1, y, &y1));
    KP_TRY(rolled(w, 2, y, &y2));
    KP_TRY(kp_lw_pair(w, KP_BIN_MUL, x1, y2, &x));
    KP_TRY(kp_lw_pair(w, KP_BIN_MUL, x2, y1, &y));
    KP_TRY(kp_lw_pair(w, KP_BIN_SUB, x, y, &x));
    if (!plane)
        return kp_lw_moved(w, c, &last, &to, 1, x, out);
    KP_TRY(kp_lw_slice(w, x->ndim - 1, 2, 3, 1, x, &x));
    return kp_lw_drop_axis(w, x->ndim - 1, x, out);
}

#define TWO 1, 2, KP_LW_SAME, KP_LW_MASK_DROP

const kp_lw_entry kp_lw_product_operations[] = {
    {"Matmul", do_matmul, 0, TWO},
    {"Dot", do_dot, 0, TWO},
    {"Inner", do_inner, 0, TWO},
    {"Vdot", do_vdot, 0, TWO},
    {"Outer", do_outer, 0, TWO},
    {"Kron", do_kron, 0, TWO},
    {"Tensordot", do_tensordot, 0, TWO},
    {"Cross", do_cross, 0, TWO},
    {"Einsum", do_einsum, 0, 1, 0, KP_LW_SAME, KP_LW_MASK_DROP},
    {0},
};
