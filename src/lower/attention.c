/* MultiHeadAttention and GroupQueryAttention: projections to heads, scores, their softmax, and the
 * way back. */
#include "lower/quantize.h"

typedef struct attention {
    const kp_lw_call *c;
    bool grouped; /* GroupQueryAttention */
    int64_t heads, shared_heads, key_dim, value_dim;
    bool bias, gate, causal, wants_scores, fused;
    int64_t window;
    kp_axes axes; /* of the sequences, in query, key and value alike */
    kp_value *query, *key, *value;
    kp_value *own_mask; /* that came with the query: the output's too */
    kp_value *query_mask, *value_mask, *key_mask, *given_mask;
} attention;

/* ---- what the layer and the call say ---- */

static int size_of(const kp_layer *l, const char *key, int64_t dflt, int64_t *out)
{
    KP_TRY(kp_cfg_int(l, key, dflt, out));
    if (*out >= 1 && *out <= INT32_MAX)
        return 0;
    return kp_fail(KP_EMODEL, "layer \"%s\" (%s): %s %lld is not a size", l->path, l->class_name,
                   key, (long long)*out);
}

static int read_heads(const kp_layer *l, attention *a)
{
    KP_TRY(size_of(l, a->grouped ? "num_query_heads" : "num_heads", 0, &a->heads));
    KP_TRY(size_of(l, a->grouped ? "head_dim" : "key_dim", 0, &a->key_dim));
    KP_TRY(size_of(l, a->grouped ? "head_dim" : "value_dim", a->key_dim, &a->value_dim));
    KP_TRY(size_of(l, a->grouped ? "num_key_value_heads" : "num_heads", 0, &a->shared_heads));
    if (a->heads % a->shared_heads != 0)
        return kp_fail(KP_EMODEL,
                       "layer \"%s\" (%s): %lld query heads cannot share %lld heads for keys",
                       l->path, l->class_name, (long long)a->heads, (long long)a->shared_heads);
    return 0;
}

static int read_flags(const kp_lw *w, const kp_lw_call *c, attention *a)
{
    const kp_layer *l = c->layer;
    double dropout;
    KP_TRY(kp_cfg_bool(l, "use_bias", true, &a->bias));
    KP_TRY(kp_cfg_bool(l, "use_gate", false, &a->gate));
    KP_TRY(kp_cfg_float(l, "dropout", 0, &dropout));
    if (!kp_lw_is_null(l, "sliding_window"))
        KP_TRY(size_of(l, "sliding_window", 0, &a->window));
    KP_TRY(kp_lw_arg_flag(c, 9, "use_causal_mask", &a->causal));
    KP_TRY(kp_lw_arg_flag(c, 7, "return_attention_scores", &a->wants_scores));
    a->fused = dropout <= 0 && !a->wants_scores && a->query->ndim == 3;
    return dropout > 0 ? kp_lw_check_training(w, c->call) : 0;
}

/* All axes between batch and features, or those that the layer names. */
static int read_axes(const kp_lw_call *c, attention *a)
{
    int ndim = a->query->ndim;
    if (a->grouped || kp_lw_is_null(c->layer, "attention_axes")) {
        for (int i = 1; i < ndim - 1; i++)
            a->axes.axis[a->axes.n++] = i;
    } else {
        KP_TRY(kp_lw_axes(c->layer, "attention_axes", ndim, 1, &a->axes));
    }
    bool inside = a->axes.n > 0 && a->axes.axis[0] > 0 && a->axes.axis[a->axes.n - 1] < ndim - 1;
    if (ndim >= 3 && inside && (!a->grouped || ndim == 3) && a->key->ndim == ndim &&
        a->value->ndim == ndim && ndim + a->axes.n <= KP_MAX_DIMS)
        return 0;
    return kp_fail(KP_EMODEL,
                   "layer \"%s\" (%s): query, key and value of %d, %d and %d axes, with attention "
                   "along %d of them, are not supported",
                   c->layer->path, c->layer->class_name, ndim, a->key->ndim, a->value->ndim,
                   a->axes.n);
}

/* Since 3.8 MultiHeadAttention takes the query's mask from the tensor only. */
static int read_tensors(kp_lw *w, const kp_lw_call *c, attention *a)
{
    kp_value *given;
    KP_TRY(kp_lw_arg_tensor(w, c, 0, "query", &a->query, &a->query_mask));
    KP_TRY(kp_lw_arg_tensor(w, c, 1, "value", &a->value, &a->value_mask));
    KP_TRY(kp_lw_arg_tensor(w, c, 2, "key", &a->key, &a->key_mask));
    if (!a->query || !a->value)
        return kp_fail(KP_EMODEL, "layer \"%s\" (%s): it is called without a query or a value",
                       c->layer->path, c->layer->class_name);
    if (!a->key)
        a->key = a->value;
    a->own_mask = a->query_mask;
    KP_TRY(kp_lw_arg_tensor(w, c, 3, "query_mask", &given, NULL));
    if (given && (a->grouped || kp_lw_older(w, 3, 8)))
        a->query_mask = given;
    KP_TRY(kp_lw_arg_tensor(w, c, 4, "value_mask", &given, NULL));
    a->value_mask = given ? given : a->value_mask;
    KP_TRY(kp_lw_arg_tensor(w, c, 5, "key_mask", &given, NULL));
    a->key_mask = given ? given : a->key_mask;
    if (kp_lw_older(w, 2, 10)) /* it looked at no mask of a tensor, and passed none on */
        a->own_mask = a->query_mask = a->value_mask = a->key_mask = NULL;
    return kp_lw_arg_tensor(w, c, 6, "attention_mask", &a->given_mask, NULL);
}

/* ---- projections ---- */

/* x (..., d) to heads of `dim` features: (..., heads, dim). */
static int project(kp_lw *w, const attention *a, const char *sub, int64_t heads, int64_t dim,
                   kp_value *x, kp_value **out)
{
    int64_t d;
    KP_TRY(kp_lw_known(x, x->ndim - 1, &d));
    kp_lw_stored_kernel k = {sub, 3, 1, {d, heads, dim}, d, heads * dim, a->bias};
    KP_TRY(kp_lw_project(w, a->c->layer, &k, x, &x));
    return kp_lw_reshape(w, x->ndim - 1, (int64_t[]){heads, dim}, 2, x, out);
}

/* As many heads of keys (values) as of queries: each again and again. */
static int spread(kp_lw *w, const attention *a, kp_value *x, kp_value **out)
{
    kp_node n = {.op = KP_OP_REPEAT};
    *out = x;
    if (a->heads == a->shared_heads)
        return 0;
    for (int i = 0; i < x->ndim; i++)
        n.attr.repeat.times[i] = i == x->ndim - 2 ? a->heads / a->shared_heads : 1;
    return kp_lw_add(w, &n, &x, 1, out);
}

/* The sizes that the layer's output has instead of the query's features. */
static int output_sizes(const kp_lw_call *c, const attention *a, int64_t *sizes, int *n,
                        int64_t *count)
{
    double numbers[KP_MAX_DIMS];
    *n = 1;
    KP_TRY(kp_lw_known(a->query, a->query->ndim - 1, &sizes[0]));
    if (!a->grouped && !kp_lw_is_null(c->layer, "output_shape")) {
        KP_TRY(kp_lw_numbers(c->layer, "output_shape", KP_MAX_DIMS, numbers, n));
        for (int i = 0; i < *n; i++)
            sizes[i] = numbers[i] >= 1 && numbers[i] <= INT32_MAX ? (int64_t)numbers[i] : -1;
    }
    if (kp_shape_count(sizes, *n, count) && *count >= 1 && *count <= INT32_MAX)
        return 0;
    return kp_fail(KP_EMODEL, "layer \"%s\" (%s): \"output_shape\" is not a shape", c->layer->path,
                   c->layer->class_name);
}

/* (..., heads, value_dim) to (..., output sizes). */
static int project_back(kp_lw *w, const attention *a, kp_value *x, kp_value **out)
{
    kp_lw_stored_kernel k = {"output_dense",          2, 2,      {a->heads, a->value_dim},
                             a->heads * a->value_dim, 0, a->bias};
    int64_t sizes[KP_MAX_DIMS];
    int n;
    KP_TRY(output_sizes(a->c, a, sizes, &n, &k.columns));
    if (n + 2 > KP_MAX_DIMS)
        return kp_fail(KP_ELIMIT, "an output of %d axes", n);
    k.ndim = n + 2;
    memcpy(k.shape + 2, sizes, (size_t)n * sizeof *sizes);
    KP_TRY(kp_lw_reshape(w, x->ndim - 2, &k.rows, 1, x, &x));
    KP_TRY(kp_lw_project(w, a->c->layer, &k, x, &x));
    return n == 1 ? (*out = x, 0) : kp_lw_reshape(w, x->ndim - 1, sizes, n, x, out);
}

/* ---- the mask between query and key ---- */

static int merge_mask(kp_lw *w, kp_value *mask, kp_value **all)
{
    if (mask && *all)
        return kp_lw_both(w, mask, *all, all);
    *all = mask ? mask : *all;
    return 0;
}

static int masked_rows(kp_lw *w, kp_value *mask, int at, kp_value **all)
{
    if (!mask)
        return 0;
    KP_TRY(kp_lw_truth(w, mask, &mask));
    KP_TRY(kp_lw_add_axis(w, at < 0 ? mask->ndim + 1 + at : at, mask, &mask));
    return merge_mask(w, mask, all);
}

/* All masks together, with the rank of the scores; NULL: none. */
static int attention_mask(kp_lw *w, const attention *a, kp_value **out)
{
    kp_value *all = NULL, *given = a->given_mask, *band;
    KP_TRY(masked_rows(w, a->query_mask, -1, &all));
    KP_TRY(masked_rows(w, a->value_mask, -2, &all));
    KP_TRY(masked_rows(w, a->key_mask, -2, &all));
    if (a->causal || a->window > 0) {
        kp_band *p = kp_graph_alloc(w->g, sizeof *p);
        if (!p)
            return KP_ENOMEM;
        *p = (kp_band){a->causal, a->window};
        KP_TRY(kp_lw_kernel(w, &kp_kernel_band, p, (kp_value *[]){a->query, a->value}, 2, &band));
        KP_TRY(merge_mask(w, band, &all));
    }
    if (given) {
        KP_TRY((a->grouped && !a->fused && !all ? kp_lw_more_than_half : kp_lw_truth)(w, given,
                                                                                      &given));
        KP_TRY(merge_mask(w, given, &all));
    }
    int rank = a->query->ndim + a->axes.n;
    while (all && all->ndim >= 2 * a->axes.n && all->ndim > 2 && all->ndim < rank)
        KP_TRY(kp_lw_add_axis(w, all->ndim - 2 * a->axes.n, all, &all));
    *out = all;
    return 0;
}

/* ---- scores ---- */

/* x (batch, axes..., heads, dim) as (batch, other axes..., heads, sequence, dim), or with the last
 * two exchanged. */
static int by_heads(kp_lw *w, const attention *a, kp_value *x, bool exchange, kp_value **out)
{
    int perm[KP_MAX_DIMS] = {0}, n = 0, s = 0, dim = x->ndim - 1, lead;
    int64_t size = 1, features = x->shape[dim];
    for (int i = 0; i < dim; i++) {
        bool own = s < a->axes.n && a->axes.axis[s] == i;
        s += own;
        if (!own)
            perm[n++] = i;
    }
    lead = n;
    if (exchange)
        perm[n++] = dim;
    for (s = 0; s < a->axes.n; s++) {
        int64_t one = x->shape[a->axes.axis[s]];
        perm[n++] = a->axes.axis[s];
        size = one < 0 || size < 0 || __builtin_mul_overflow(size, one, &size) ? -1 : size;
    }
    if (!exchange)
        perm[n++] = dim;
    KP_TRY(kp_lw_transpose(w, perm, x, out));
    if (a->axes.n == 1)
        return 0;
    return kp_lw_reshape(w, lead,
                         exchange ? (int64_t[]){features, size} : (int64_t[]){size, features}, 2,
                         *out, out);
}

/* The sizes of x along the attention's axes, -1 for the first open one. */
static int sequence_sizes(const attention *a, const kp_value *x, int64_t *dims, int *open)
{
    for (int s = 0; s < a->axes.n; s++) {
        dims[s] = x->shape[a->axes.axis[s]];
        if (dims[s] < 0) {
            dims[s] = -1;
            ++*open;
        }
    }
    return *open <= 1 ? 0
                      : kp_fail(KP_EMODEL, "several open sizes under one attention are not "
                                           "supported; give the Input a shape without None");
}

/* (..., sequence, sequence) to an axis for each axis of the attention. */
static int unfold(kp_lw *w, const attention *a, kp_value *x, kp_value **out)
{
    int64_t dims[2 * KP_MAX_DIMS];
    int open = 0;
    *out = x;
    if (a->axes.n == 1)
        return 0;
    KP_TRY(sequence_sizes(a, a->query, dims, &open));
    KP_TRY(sequence_sizes(a, a->value, dims + a->axes.n, &open));
    return kp_lw_reshape(w, x->ndim - 2, dims, 2 * a->axes.n, x, out);
}

/* Probabilities from scores; whatever axes the attention has are the last ones. */
static int weigh(kp_lw *w, const attention *a, kp_value *scores, kp_value **out)
{
    kp_value *mask;
    kp_axes axes = {.n = a->axes.n};
    KP_TRY(attention_mask(w, a, &mask));
    KP_TRY(unfold(w, a, scores, &scores));
    for (int i = 0; i < axes.n; i++)
        axes.axis[i] = scores->ndim - axes.n + i;
    bool zeros = !a->fused && !kp_lw_older(w, 3, 10);
    return kp_lw_masked_softmax(w, &axes, mask, zeros, scores, out);
}

/* (batch, other axes..., heads, sequence, dim) back to (batch, axes..., heads, dim). */
static int by_place(kp_lw *w, const attention *a, kp_value *x, kp_value **out)
{
    int64_t dims[KP_MAX_DIMS];
    int perm[KP_MAX_DIMS] = {0}, open = 0, n = 0, s = 0, other = 0;
    if (a->axes.n > 1) {
        KP_TRY(sequence_sizes(a, a->query, dims, &open));
        dims[a->axes.n] = a->value_dim;
        KP_TRY(kp_lw_reshape(w, x->ndim - 2, dims, a->axes.n + 1, x, &x));
    }
    int rank = x->ndim, first = rank - 1 - a->axes.n;
    for (; n < rank - 2; n++) {
        bool own = s < a->axes.n && a->axes.axis[s] == n;
        perm[n] = own ? first + s++ : other++;
    }
    perm[n++] = first - 1;
    perm[n] = rank - 1;
    return kp_lw_transpose(w, perm, x, out);
}

/* A size counted from the back, for a reshape. */
static int64_t size_or_open(const kp_value *x, int from_back)
{
    int64_t size = x->shape[x->ndim + from_back];
    return size < 0 ? -1 : size;
}

static int attend(kp_lw *w, const attention *a, kp_value *q, kp_value *k, kp_value *v,
                  kp_value **context, kp_value **scores)
{
    kp_node product = {.op = KP_OP_MATMUL};
    kp_value *flat;
    /* TensorFlow makes a float32 of the factor, whatever it multiplies. */
    KP_TRY(kp_lw_linear(w, (float)(1 / sqrt((double)a->key_dim)), 0, q, &q));
    KP_TRY(by_heads(w, a, q, false, &q));
    KP_TRY(by_heads(w, a, k, true, &k));
    KP_TRY(by_heads(w, a, v, false, &v));
    KP_TRY(kp_lw_add(w, &product, (kp_value *[]){q, k}, 2, &flat));
    KP_TRY(weigh(w, a, flat, scores));
    kp_value *p = *scores;
    if (a->axes.n > 1)
        KP_TRY(kp_lw_reshape(w, flat->ndim - 2,
                             (int64_t[]){size_or_open(flat, -2), size_or_open(flat, -1)}, 2, p,
                             &p));
    KP_TRY(kp_lw_add(w, &product, (kp_value *[]){p, v}, 2, &flat));
    return by_place(w, a, flat, context);
}

/* ---- the layers ---- */

/* Since 3.8 MultiHeadAttention takes the masks off its tensors: layers called later do not see
 * them. */
static void forget_masks(const kp_lw_call *c)
{
    static const char *const names[] = {"query", "value", "key"};
    for (int i = 0; i < 3; i++) {
        const kp_arg *a = kp_lw_arg(c, i, names[i]);
        if (a && a->kind == KP_ARG_REF)
            kp_lw_forget_mask(c->env, a->ref);
    }
}

/* Keras takes scores to be of the query's length in both directions, whatever the axes. */
static void keras_scores(const attention *a, kp_value *scores)
{
    scores->ndim = 4;
    scores->shape[0] = a->query->shape[0];
    scores->shape[1] = a->heads;
    scores->shape[2] = scores->shape[3] = a->query->shape[1];
}

static int do_attention(kp_lw *w, const kp_lw_call *c, kp_value **out)
{
    attention a = {.c = c, .grouped = c->variant == 1};
    kp_value *q, *k, *v, *gate = NULL, *context, *scores, **results;
    KP_TRY(read_tensors(w, c, &a));
    KP_TRY(read_heads(c->layer, &a));
    KP_TRY(read_flags(w, c, &a));
    KP_TRY(read_axes(c, &a));
    KP_TRY(project(w, &a, "query_dense", a.heads, a.key_dim, a.query, &q));
    KP_TRY(project(w, &a, "key_dense", a.shared_heads, a.key_dim, a.key, &k));
    if (a.gate)
        KP_TRY(project(w, &a, "gate_dense", a.heads, a.value_dim, a.query, &gate));
    KP_TRY(project(w, &a, "value_dense", a.shared_heads, a.value_dim, a.value, &v));
    KP_TRY(spread(w, &a, k, &k));
    KP_TRY(spread(w, &a, v, &v));
    KP_TRY(attend(w, &a, q, k, v, &context, &scores));
    if (gate) {
        KP_TRY(kp_lw_unary(w, (kp_act){.kind = KP_ACT_SIGMOID}, gate, &gate));
        KP_TRY(kp_lw_binary(w, KP_BIN_MUL, context, gate, &context));
    }
    KP_TRY(project_back(w, &a, context, out));
    if (a.wants_scores) {
        kp_value *first = *out;
        KP_TRY(kp_lw_outputs(w, c, 2, &results));
        results[0] = first;
        results[1] = scores;
        if (w->opt.keras_shapes && !a.grouped)
            keras_scores(&a, scores);
    }
    c->res->masks[0] = a.own_mask;
    if (!a.grouped && !kp_lw_older(w, 3, 8))
        forget_masks(c);
    return 0;
}

const kp_lw_entry kp_lw_attention_layers[] = {
    {"MultiHeadAttention", do_attention, 0, 1, 0, KP_LW_SAME, KP_LW_MASK_OWN},
    {"GroupQueryAttention", do_attention, 1, 1, 0, KP_LW_SAME, KP_LW_MASK_OWN},
    {"GroupedQueryAttention", do_attention, 1, 1, 0, KP_LW_SAME, KP_LW_MASK_OWN}, /* in .h5 */
    {0},
};
