/* Embedding and Masking: where tensors from a table and masks begin. */
#include "lower/quantize.h"

static int table_sizes(const kp_layer *l, int64_t *rows, int64_t *columns)
{
    KP_TRY(kp_cfg_int(l, "input_dim", 0, rows));
    KP_TRY(kp_cfg_int(l, "output_dim", 0, columns));
    if (*rows >= 1 && *rows <= INT32_MAX && *columns >= 1 && *columns <= INT32_MAX)
        return 0;
    return kp_fail(KP_EMODEL, "layer \"%s\" (%s): a table of %lld times %lld is no size", l->path,
                   l->class_name, (long long)*rows, (long long)*columns);
}

/* The rows of the table that x names; those below 0 count from the back, as in TensorFlow. */
static int look_up(kp_lw *w, kp_value *table, kp_value *x, kp_value **out)
{
    kp_node n = {.op = KP_OP_GATHER, .attr.gather.wrap_negative = true};
    if (x->dtype != KP_INT32 && x->dtype != KP_INT64)
        KP_TRY(kp_lw_cast(w, KP_INT32, x, &x));
    return kp_lw_add(w, &n, (kp_value *[]){table, x}, 2, out);
}

/* The table's rows, and what is known of how it is stored. */
typedef struct table {
    int64_t rows, columns;
    const char *mode; /* "int8", "int4"; NULL: floats */
    kp_value *floats, *stored; /* stored: without what LoRA adds */
    kp_value *groups;
    int n_variables;
} table;

/* Stored in few bits: (rows) scales that divide, or (rows, groups) that multiply. */
static int small_table(kp_lw *w, bool packed, bool raw, table *t)
{
    kp_value *q, *scale, *zero;
    KP_TRY(kp_lw_stored(w, "", 0, "embeddings", &q));
    if (packed)
        KP_TRY(kp_lw_unpack4(w, q->ndim - 1, t->columns, true, q, &q));
    KP_TRY(kp_lw_stored(w, "", 1, "embeddings_scale", &scale));
    t->n_variables = 2;
    if (scale->ndim == 1) {
        KP_TRY(kp_lw_reshape(w, 1, (int64_t[]){1}, 1, scale, &scale));
        KP_TRY(kp_lw_binary(w, KP_BIN_DIV, q, scale, &t->stored));
    } else {
        t->n_variables = 4;
        KP_TRY(kp_lw_stored(w, "", 2, "embeddings_zero", &zero));
        KP_TRY(kp_lw_stored(w, "", 3, "g_idx", &t->groups));
        KP_TRY(kp_lw_dequantize(w, 1, q, scale, zero, t->groups, &t->stored));
    }
    if (raw)
        t->stored = q;
    return 0;
}

static int tune_table(kp_lw *w, table *t)
{
    kp_value *more;
    KP_TRY(kp_lw_thin_product(w, "embeddings", 2, (int64_t[]){t->rows, t->columns}, &more));
    t->floats = t->stored;
    return more ? kp_lw_binary(w, KP_BIN_ADD, t->stored, more, &t->floats) : 0;
}

static int read_table(kp_lw *w, const kp_layer *l, table *t)
{
    *t = (table){.n_variables = 1};
    KP_TRY(table_sizes(l, &t->rows, &t->columns));
    const char *mode = l->policy.quantization;
    if (mode && (strcmp(mode, "int8") == 0 || strcmp(mode, "int4") == 0)) {
        t->mode = mode;
        KP_TRY(small_table(w, mode[3] == '4', w->raw == l, t));
        int64_t want[2] = {t->rows, t->columns};
        if (t->stored->ndim == 2 && memcmp(t->stored->shape, want, sizeof want) == 0)
            return tune_table(w, t);
        return kp_fail(KP_EMODEL, "layer \"%s\" (%s): the stored table does not fit", l->path,
                       l->class_name);
    }
    KP_TRY(kp_lw_weight_get(w, "", 0, "embeddings", 2, (int64_t[]){t->rows, t->columns}, 0, NULL,
                            true, &t->floats));
    t->stored = t->floats;
    return 0;
}

static int embed(kp_lw *w, const kp_lw_call *c, const table *t, kp_value **out)
{
    bool mask_zero;
    KP_TRY(kp_cfg_bool(c->layer, "mask_zero", false, &mask_zero));
    KP_TRY(look_up(w, t->floats, c->in[0], out));
    return mask_zero ? kp_lw_truth(w, c->in[0], &c->res->masks[0]) : 0;
}

static int do_embedding(kp_lw *w, const kp_lw_call *c, kp_value **out)
{
    table t;
    KP_TRY(read_table(w, c->layer, &t));
    return embed(w, c, &t, out);
}

/* ---- ReversibleEmbedding: from rows back to scores of all rows ---- */

/* The kernel (columns, rows) of the way back: the table's, or one of its own. */
static int back_kernel(kp_lw *w, const kp_layer *l, const table *t, kp_value **out)
{
    bool tied;
    int index = t->n_variables;
    kp_value *q, *scale, *zero;
    KP_TRY(kp_cfg_bool(l, "tie_weights", true, &tied));
    if (tied)
        return kp_lw_transpose(w, (int[]){1, 0}, t->stored, out);
    if (!t->mode)
        return kp_lw_weight_get(w, "", index, "reverse_embeddings", 2,
                                (int64_t[]){t->columns, t->rows}, 0, NULL, true, out);
    KP_TRY(kp_lw_stored(w, "", index, "reverse_embeddings", &q));
    KP_TRY(kp_lw_stored(w, "", index + 1, "reverse_embeddings_scale", &scale));
    if (t->mode[3] == '4')
        KP_TRY(kp_lw_unpack4(w, 0, t->columns, true, q, &q));
    if (!t->groups)
        return kp_lw_binary(w, KP_BIN_DIV, q, scale, out);
    KP_TRY(kp_lw_stored(w, "", index + 2, "reverse_embeddings_zero", &zero));
    return kp_lw_dequantize(w, 0, q, scale, zero, t->groups, out);
}

static int to_reverse_type(kp_lw *w, const kp_layer *l, kp_value **x, kp_value **kernel)
{
    const char *name;
    KP_TRY(kp_cfg_str(l, "reverse_dtype", "", &name));
    if (*name == '\0')
        return 0;
    w->real = strcmp(name, "float64") == 0 ? KP_FLOAT64 : KP_FLOAT32;
    KP_TRY(kp_lw_float(w, *x, x));
    return kp_lw_float(w, *kernel, kernel);
}

static int soft_cap(kp_lw *w, const kp_layer *l, kp_value *x, kp_value **out)
{
    double cap;
    *out = x;
    if (kp_lw_is_null(l, "logit_soft_cap"))
        return 0;
    KP_TRY(kp_cfg_float(l, "logit_soft_cap", 0, &cap));
    KP_TRY(kp_lw_linear(w, 1 / cap, 0, x, &x));
    KP_TRY(kp_lw_unary(w, (kp_act){.kind = KP_ACT_TANH}, x, &x));
    return kp_lw_linear(w, cap, 0, x, out);
}

static int do_reversible(kp_lw *w, const kp_lw_call *c, kp_value **out)
{
    table t;
    bool reverse;
    kp_value *kernel, *x, *rows = NULL;
    kp_lw_quantized q = {0};
    kp_node n = {.op = KP_OP_DENSE};
    KP_TRY(kp_lw_arg_flag(c, 1, "reverse", &reverse));
    KP_TRY(read_table(w, c->layer, &t));
    KP_TRY(back_kernel(w, c->layer, &t, &kernel));
    if (!reverse)
        return embed(w, c, &t, out);
    KP_TRY(kp_lw_float(w, c->in[0], &x));
    if (t.mode)
        KP_TRY(kp_lw_quantized_rounding(w, c->layer, t.mode, &q));
    else
        KP_TRY(to_reverse_type(w, c->layer, &x, &kernel));
    KP_TRY(kp_lw_quantized_input(w, &q, &(kp_axes){1, {x->ndim - 1}}, x, &x, &rows));
    KP_TRY(kp_lw_add(w, &n, (kp_value *[]){x, kernel}, 2, &x));
    if (rows)
        KP_TRY(kp_lw_binary(w, KP_BIN_DIV, x, rows, &x));
    return soft_cap(w, c->layer, x, out);
}

/* ---- Masking ---- */

/* Whether any of the values along the last axis differs from the number. */
static int differs(kp_lw *w, double number, kp_value *x, kp_value **out)
{
    kp_value *same;
    if (!kp_dtype_is_float(x->dtype))
        KP_TRY(kp_lw_float(w, x, &x));
    /* Keras 3 makes a tensor of the number first: of float32. */
    number = kp_lw_older(w, 3, 0) ? number : (double)(float)number;
    KP_TRY(kp_lw_scalar(w, x->dtype, number, &same));
    KP_TRY(kp_lw_pair(w, KP_BIN_NOT_EQUAL, x, same, &x));
    kp_node n = {.op = KP_OP_REDUCE,
                 .attr.reduce = {.kind = KP_RED_ANY, .axes = {1, {x->ndim - 1}}}};
    return kp_lw_add(w, &n, &x, 1, out);
}

static int do_masking(kp_lw *w, const kp_lw_call *c, kp_value **out)
{
    double number = 0;
    int n;
    kp_value *x = c->in[0], *mask, *wide, *zero;
    if (x->ndim < 2)
        return kp_lw_rank(c, 2);
    if (!kp_lw_is_null(c->layer, "mask_value"))
        KP_TRY(kp_lw_numbers(c->layer, "mask_value", 1, &number, &n));
    KP_TRY(differs(w, number, x, &mask));
    KP_TRY(kp_lw_add_axis(w, mask->ndim, mask, &wide));
    if (x->dtype == KP_BOOL) /* it meets the integer 0 */
        KP_TRY(kp_lw_cast(w, KP_INT32, x, &x));
    KP_TRY(kp_lw_number(w, 0, x->dtype, &zero));
    KP_TRY(kp_lw_select(w, wide, x, zero, out));
    c->res->masks[0] = mask;
    return 0;
}

const kp_lw_entry kp_lw_embedding_layers[] = {
    {"Embedding", do_embedding, 0, KP_LW_ONE, KP_LW_MASK_OWN},
    {"ReversibleEmbedding", do_reversible, 0, KP_LW_ONE, KP_LW_MASK_OWN},
    {"Masking", do_masking, 0, KP_LW_ONE, KP_LW_MASK_OWN},
    {0},
};
