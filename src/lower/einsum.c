/* EinsumDense: one product of matrices between transpositions. The letters of the input fall into
 * free ones (only in the result too), shared ones (also in the kernel and the result) and
 * contracted ones (in the kernel, not in the result); the kernel brings the rest of the result. */
#include "lower/quantize.h"

/* Axes as letters; those that "..." stands for are numbered from 1. */
typedef struct letters {
    int n;
    char at[KP_MAX_DIMS];
} letters;

typedef struct einsum {
    letters x, kernel, out;
    letters free, shared, contracted, added;
} einsum;

static int find(const letters *s, char letter)
{
    for (int i = 0; i < s->n; i++)
        if (s->at[i] == letter)
            return i;
    return -1;
}

static bool push(letters *s, char letter)
{
    if (s->n >= KP_MAX_DIMS || find(s, letter) >= 0)
        return false;
    s->at[s->n++] = letter;
    return true;
}

/* One term of `size` characters, of which "..." stands for n_dots axes. */
static bool read_term(const char *text, size_t size, int n_dots, letters *out)
{
    *out = (letters){0};
    for (size_t i = 0; i < size; i++) {
        bool dots = size - i >= 3 && strncmp(text + i, "...", 3) == 0;
        for (int d = 1; dots && d <= n_dots; d++)
            if (!push(out, (char)d))
                return false;
        if (dots)
            i += 2;
        else if (!((text[i] >= 'a' && text[i] <= 'z') || (text[i] >= 'A' && text[i] <= 'Z')) ||
                 !push(out, text[i]))
            return false;
    }
    return true;
}

/* "x,kernel->out" for an input of ndim axes. */
static bool read_equation(const char *text, int ndim, einsum *e)
{
    const char *comma = strchr(text, ','), *arrow = strstr(text, "->"), *dots = strstr(text, "...");
    if (!comma || !arrow || arrow < comma)
        return false;
    int n_x = (int)(comma - text), n_dots = 0;
    if (dots && dots < comma)
        n_dots = ndim - (n_x - 3);
    return n_x <= KP_MAX_DIMS + 3 && n_dots >= 0 && read_term(text, (size_t)n_x, n_dots, &e->x) &&
           read_term(comma + 1, (size_t)(arrow - comma - 1), 0, &e->kernel) &&
           read_term(arrow + 2, strlen(arrow + 2), n_dots, &e->out) && e->x.n == ndim;
}

/* false: a letter comes from nowhere, goes nowhere, or the batch is not in front. */
static bool classify(einsum *e)
{
    for (int i = 0; i < e->x.n; i++) {
        char c = e->x.at[i];
        bool in_kernel = find(&e->kernel, c) >= 0, in_out = find(&e->out, c) >= 0;
        if (!in_kernel && !in_out)
            return false;
        push(!in_kernel ? &e->free : in_out ? &e->shared : &e->contracted, c);
    }
    for (int i = 0; i < e->kernel.n; i++) {
        char c = e->kernel.at[i];
        if (find(&e->x, c) < 0 && (find(&e->out, c) < 0 || !push(&e->added, c)))
            return false;
    }
    return e->out.n == e->free.n + e->shared.n + e->added.n && e->free.n > 0 && e->x.n > 0 &&
           e->out.at[0] == e->x.at[0] && e->free.at[0] == e->x.at[0];
}

static void append(letters *to, const letters *from)
{
    for (int i = 0; i < from->n; i++)
        push(to, from->at[i]);
}

/* x, whose axes are `have`, with its axes in the order `want`. */
static int arrange(kp_lw *w, const letters *have, const letters *want, kp_value *x, kp_value **out)
{
    int perm[KP_MAX_DIMS] = {0};
    for (int i = 0; i < want->n; i++)
        perm[i] = find(have, want->at[i]);
    return kp_lw_transpose(w, perm, x, out);
}

/* The product of the sizes of those letters; -1 when one is open. */
static int64_t size_of(const letters *s, const letters *have, const kp_value *x)
{
    int64_t p = 1;
    for (int i = 0; i < s->n; i++) {
        int64_t size = x->shape[find(have, s->at[i])];
        if (size < 0 || __builtin_mul_overflow(p, size, &p))
            return -1;
    }
    return p;
}

/* The size of a letter that only kernel and result have, as "output_shape" says. */
static int added_size(const kp_lw_call *c, const einsum *e, char letter, int64_t *out)
{
    const json_t *sizes = json_object_get(c->layer->config, "output_shape");
    int at = find(&e->out, letter), n = json_is_array(sizes) ? (int)json_array_size(sizes) : 1;
    bool from_back = e->x.at[0] == 1; /* "..." stands in front */
    int place = from_back ? n - (e->out.n - at) : at - 1;
    const json_t *v = json_is_array(sizes) ? json_array_get(sizes, (size_t)place) : sizes;
    *out = json_integer_value(v);
    if (place >= 0 && json_is_integer(v) && *out >= 1 && *out <= INT32_MAX)
        return 0;
    return kp_fail(KP_EMODEL, "layer \"%s\": \"output_shape\" does not say the size of \"%c\"",
                   c->layer->path, letter);
}

/* The sum runs over the kernel's letters that the result lacks. GPTQ and AWQ take the kernel for a
 * matrix by where its largest size stands. */
static void matrix_sizes(const einsum *e, bool by_largest, kp_lw_stored_kernel *k)
{
    int largest = 0;
    k->rows = k->columns = 1;
    for (int i = 1; i < k->ndim; i++)
        largest = k->shape[i] > k->shape[largest] ? i : largest;
    for (int i = 0; i < k->ndim; i++) {
        bool row = by_largest ? i < (k->ndim == 3 && largest > 0 ? 2 : 1)
                              : find(&e->out, e->kernel.at[i]) < 0;
        *(row ? &k->rows : &k->columns) *= k->shape[i];
    }
}

static int get_kernel(kp_lw *w, const kp_lw_call *c, const einsum *e, kp_lw_quantized *out)
{
    kp_lw_stored_kernel k = {.sub = "", .ndim = e->kernel.n};
    const char *mode = c->layer->policy.quantization;
    for (int i = 0; i < e->kernel.n; i++) {
        int at = find(&e->x, e->kernel.at[i]);
        k.shape[i] = -1;
        if (at >= 0)
            KP_TRY(kp_lw_known(c->in[0], at, &k.shape[i]));
        else if (mode)
            KP_TRY(added_size(c, e, e->kernel.at[i], &k.shape[i]));
    }
    *out = (kp_lw_quantized){.bias_index = 1};
    if (!mode)
        return kp_lw_weight_get(w, "", 0, "kernel", k.ndim, k.shape, 0, NULL, true, &out->kernel);
    k.bias = !kp_lw_is_null(c->layer, "bias_axes");
    matrix_sizes(e, strcmp(mode, "gptq") == 0 || strcmp(mode, "awq") == 0, &k);
    return kp_lw_quantized_kernel(w, c->layer, mode, &k, out);
}

/* y, whose axes are `order`, over what its rows of inputs were scaled by. */
static int divide_rows(kp_lw *w, const einsum *e, const letters *order, kp_value *y, kp_value *rows,
                       kp_value **out)
{
    letters want = {0};
    int64_t ones[KP_MAX_DIMS];
    for (int i = 0; i < order->n; i++)
        if (find(&e->x, order->at[i]) >= 0)
            push(&want, order->at[i]);
    int kept = want.n;
    append(&want, &e->contracted);
    for (int i = 0; i < e->added.n; i++)
        ones[i] = 1;
    KP_TRY(arrange(w, &e->x, &want, rows, &rows));
    KP_TRY(kp_lw_reshape(w, kept, ones, e->added.n, rows, &rows));
    return kp_lw_binary(w, KP_BIN_DIV, y, rows, out);
}

/* Without shared letters: a Dense over the contracted ones. *order: the axes of *out. */
static int as_dense(kp_lw *w, const einsum *e, kp_value *x, kp_value *kernel, letters *order,
                    kp_value **out)
{
    letters from = e->free, matrix = e->contracted;
    int64_t k = size_of(&e->contracted, &e->kernel, kernel);
    int64_t m = size_of(&e->added, &e->kernel, kernel), dims[KP_MAX_DIMS];
    append(&from, &e->contracted);
    append(&matrix, &e->added);
    for (int i = 0; i < e->added.n; i++)
        dims[i] = kernel->shape[find(&e->kernel, e->added.at[i])];
    KP_TRY(arrange(w, &e->x, &from, x, &x));
    KP_TRY(kp_lw_reshape(w, e->free.n, &k, 1, x, &x));
    KP_TRY(arrange(w, &e->kernel, &matrix, kernel, &kernel));
    KP_TRY(kp_lw_reshape(w, 0, (int64_t[]){k, m}, 2, kernel, &kernel));
    kp_node n = {.op = KP_OP_DENSE};
    KP_TRY(kp_lw_add(w, &n, (kp_value *[]){x, kernel}, 2, &x));
    *order = e->free;
    append(order, &e->added);
    return kp_lw_reshape(w, e->free.n, dims, e->added.n, x, out);
}

/* With shared letters: (batch, shared, free, contracted) times (shared, contracted, added). */
static int as_matmul(kp_lw *w, const einsum *e, kp_value *x, kp_value *kernel, letters *order,
                     kp_value **out)
{
    letters batch = {1, {e->x.at[0]}}, inner = {0}, from = batch, stack = e->shared;
    int64_t dims[KP_MAX_DIMS];
    int n = 0;
    for (int i = 1; i < e->free.n; i++)
        push(&inner, e->free.at[i]);
    int64_t s = size_of(&e->shared, &e->x, x), f = size_of(&inner, &e->x, x);
    int64_t k = size_of(&e->contracted, &e->x, x), m = size_of(&e->added, &e->kernel, kernel);
    append(&from, &e->shared);
    *order = from;
    append(order, &inner);
    append(order, &e->added);
    append(&from, &inner);
    append(&from, &e->contracted);
    append(&stack, &e->contracted);
    append(&stack, &e->added);
    for (int i = 1; i < order->n; i++) {
        int at = find(&e->x, order->at[i]), own = find(&e->kernel, order->at[i]);
        dims[n++] = own >= 0 ? kernel->shape[own] : x->shape[at] < 0 ? -1 : x->shape[at];
    }
    KP_TRY(arrange(w, &e->x, &from, x, &x));
    KP_TRY(kp_lw_reshape(w, 1, (int64_t[]){s, f, k}, 3, x, &x));
    KP_TRY(arrange(w, &e->kernel, &stack, kernel, &kernel));
    KP_TRY(kp_lw_reshape(w, 0, (int64_t[]){s, k, m}, 3, kernel, &kernel));
    kp_node node = {.op = KP_OP_MATMUL};
    KP_TRY(kp_lw_add(w, &node, (kp_value *[]){x, kernel}, 2, &x));
    return kp_lw_reshape(w, 1, dims, n, x, out);
}

/* The bias spans the result's axes from the first of its letters on, with 1 for other letters. */
static int add_bias(kp_lw *w, const kp_lw_call *c, const einsum *e, const kp_lw_quantized *q,
                    kp_value *y, kp_value **out)
{
    const char *axes;
    int64_t shape[KP_MAX_DIMS];
    int n = 0;
    kp_value *bias;
    *out = y;
    if (kp_lw_is_null(c->layer, "bias_axes"))
        return 0;
    KP_TRY(kp_cfg_str(c->layer, "bias_axes", "", &axes));
    for (int i = 0; i < e->out.n; i++) {
        bool own = strchr(axes, e->out.at[i]) != NULL;
        if (own)
            KP_TRY(kp_lw_known(y, i, &shape[n]));
        else
            shape[n] = 1;
        n += own || n > 0;
    }
    if (n == 0)
        return 0;
    KP_TRY(kp_lw_weight_get(w, "", q->bias_index, "bias", n, shape, 0, NULL, true, &bias));
    KP_TRY(kp_lw_quantized_bias(w, q, bias, &bias));
    return kp_lw_binary(w, KP_BIN_ADD, y, bias, out);
}

/* Keras takes a size that output_shape leaves open as not known, though the input's is. */
static void open_sizes(kp_lw *w, const kp_layer *l, kp_value *y)
{
    const json_t *sizes = json_object_get(l->config, "output_shape");
    for (int i = 1; w->opt.keras_shapes && i < y->ndim; i++)
        if (json_is_null(json_array_get(sizes, (size_t)i - 1)))
            y->shape[i] = kp_graph_new_symbol(w->g);
}

static int do_einsum_dense(kp_lw *w, const kp_lw_call *c, kp_value **out)
{
    const char *equation;
    einsum e = {0};
    letters order;
    kp_value *x, *plain, *y, *more, *rows;
    kp_lw_quantized q;
    kp_axes summed = {0};
    KP_TRY(kp_cfg_str(c->layer, "equation", "", &equation));
    if (!read_equation(equation, c->in[0]->ndim, &e) || !classify(&e))
        return kp_fail(KP_EMODEL,
                       "layer \"%s\" (%s): the equation \"%s\" is not supported for an input of %d "
                       "axes",
                       c->layer->path, c->layer->class_name, equation, c->in[0]->ndim);
    KP_TRY(kp_lw_float(w, c->in[0], &x));
    KP_TRY(get_kernel(w, c, &e, &q));
    for (int i = 0; i < e.x.n; i++)
        if (find(&e.contracted, e.x.at[i]) >= 0)
            summed.axis[summed.n++] = i;
    plain = x;
    KP_TRY(kp_lw_quantized_input(w, &q, &summed, x, &x, &rows));
    KP_TRY((e.shared.n > 0 ? as_matmul : as_dense)(w, &e, x, q.kernel, &order, &y));
    if (rows)
        KP_TRY(divide_rows(w, &e, &order, y, rows, &y));
    KP_TRY(arrange(w, &order, &e.out, y, &y));
    if (q.scale)
        KP_TRY(kp_lw_binary(w, KP_BIN_DIV, y, q.scale, &y));
    if (q.tuned) {
        KP_TRY((e.shared.n > 0 ? as_matmul : as_dense)(w, &e, plain, q.tuned, &order, &more));
        KP_TRY(arrange(w, &order, &e.out, more, &more));
        KP_TRY(kp_lw_binary(w, KP_BIN_ADD, y, more, &y));
    }
    KP_TRY(add_bias(w, c, &e, &q, y, &y));
    KP_TRY(kp_lw_activation(w, c->layer, "activation", y, out));
    open_sizes(w, c->layer, *out);
    return 0;
}

const kp_lw_entry kp_lw_einsum_layers[] = {
    {"EinsumDense", do_einsum_dense, 0, KP_LW_ONE, KP_LW_MASK_DROP},
    {0},
};
