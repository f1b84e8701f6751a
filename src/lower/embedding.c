/* Embedding and Masking: where tensors from a table and masks begin. */
#include "lower/build.h"

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

static int do_embedding(kp_lw *w, const kp_lw_call *c, kp_value **out)
{
    int64_t rows, columns;
    bool mask_zero;
    kp_value *table;
    KP_TRY(table_sizes(c->layer, &rows, &columns));
    KP_TRY(kp_cfg_bool(c->layer, "mask_zero", false, &mask_zero));
    KP_TRY(kp_lw_weight_get(w, "", 0, "embeddings", 2, (int64_t[]){rows, columns}, 0, NULL, true,
                            &table));
    KP_TRY(look_up(w, table, c->in[0], out));
    return mask_zero ? kp_lw_truth(w, c->in[0], &c->res->masks[0]) : 0;
}

/* Whether any of the values along the last axis differs from the number. */
static int differs(kp_lw *w, double number, kp_value *x, kp_value **out)
{
    if (number != 0) {
        KP_TRY(kp_lw_float(w, x, &x));
        KP_TRY(kp_lw_linear(w, 1, -number, x, &x));
    }
    KP_TRY(kp_lw_truth(w, x, &x));
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
    KP_TRY(kp_lw_number(w, 0, x->dtype, &zero));
    KP_TRY(kp_lw_select(w, wide, x, zero, out));
    c->res->masks[0] = mask;
    return 0;
}

const kp_lw_entry kp_lw_embedding_layers[] = {
    {"Embedding", do_embedding, 0, KP_LW_ONE, KP_LW_MASK_OWN},
    {"Masking", do_masking, 0, KP_LW_ONE, KP_LW_MASK_OWN},
    {0},
};
