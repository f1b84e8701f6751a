/* Attention and AdditiveAttention: scores between query and key without projections. */
#include "lower/build.h"

typedef struct attention {
    kp_value *query, *value, *key;
    bool additive, causal, wants_scores;
} attention;

static int read_call(const kp_lw *w, const kp_lw_call *c, attention *a)
{
    double dropout;
    bool old_causal = false;
    KP_TRY(kp_cfg_float(c->layer, "dropout", 0, &dropout));
    if (dropout > 0)
        KP_TRY(kp_lw_check_training(w, c->call));
    KP_TRY(kp_lw_arg_flag(c, 3, "return_attention_scores", &a->wants_scores));
    KP_TRY(kp_lw_arg_flag(c, 4, "use_causal_mask", &a->causal));
    KP_TRY(kp_cfg_bool(c->layer, "causal", false, &old_causal));
    a->causal = a->causal || old_causal;
    a->query = c->in[0];
    a->value = c->in[1];
    a->key = c->in[c->n_in > 2 ? 2 : 1];
    int ndim = a->query->ndim;
    if (ndim >= 3 && a->value->ndim == ndim && a->key->ndim == ndim && ndim < KP_MAX_DIMS)
        return 0;
    return kp_fail(KP_EMODEL, "layer \"%s\" (%s): query, value and key of %d, %d and %d axes",
                   c->layer->path, c->layer->class_name, ndim, a->value->ndim, a->key->ndim);
}

/* ---- scores ---- */

static int scale_by(kp_lw *w, bool there, int index, const char *name, int ndim, int64_t size,
                    kp_value *x, kp_value **out)
{
    kp_value *scale;
    *out = x;
    if (!there)
        return 0;
    KP_TRY(kp_lw_weight_get(w, "", index, name, ndim, &size, 0, NULL, true, &scale));
    return kp_lw_binary(w, KP_BIN_MUL, x, scale, out);
}

static int dot_scores(kp_lw *w, const attention *a, bool scaled, kp_value **out)
{
    int perm[KP_MAX_DIMS] = {0}, n = a->key->ndim;
    kp_value *key, *y;
    for (int i = 0; i < n; i++)
        perm[i] = i == n - 2 ? n - 1 : i == n - 1 ? n - 2 : i;
    KP_TRY(kp_lw_transpose(w, perm, a->key, &key));
    kp_node node = {.op = KP_OP_MATMUL};
    KP_TRY(kp_lw_add(w, &node, (kp_value *[]){a->query, key}, 2, &y));
    return scale_by(w, scaled, 0, "scale", 0, 0, y, out);
}

/* tanh of every sum of a query and a key, summed over the features. */
static int tanh_scores(kp_lw *w, const attention *a, bool scaled, kp_value **out)
{
    int n = a->query->ndim;
    int64_t features = 0;
    kp_value *q, *k, *y;
    kp_node sum = {.op = KP_OP_REDUCE, .attr.reduce = {.kind = KP_RED_SUM, .axes = {1, {n}}}};
    KP_TRY(kp_lw_add_axis(w, n - 1, a->query, &q));
    KP_TRY(kp_lw_add_axis(w, n - 2, a->key, &k));
    KP_TRY(kp_lw_binary(w, KP_BIN_ADD, q, k, &y));
    if (!a->additive)
        KP_TRY(scale_by(w, scaled, 0, "scale", 0, 0, y, &y));
    KP_TRY(kp_lw_unary(w, (kp_act){.kind = KP_ACT_TANH}, y, &y));
    if (a->additive) {
        KP_TRY(kp_lw_known(a->query, n - 1, &features));
        KP_TRY(scale_by(w, scaled, 0, "scale", 1, features, y, &y));
    }
    KP_TRY(kp_lw_add(w, &sum, &y, 1, &y));
    return scale_by(w, !a->additive, scaled ? 1 : 0, "concat_score_weight", 0, 0, y, out);
}

static int scores_of(kp_lw *w, const kp_lw_call *c, const attention *a, kp_value **out)
{
    bool scaled;
    const char *mode;
    KP_TRY(kp_cfg_bool(c->layer, "use_scale", a->additive, &scaled));
    KP_TRY(kp_cfg_str(c->layer, "score_mode", "dot", &mode));
    if (a->additive || strcmp(mode, "concat") == 0)
        return tanh_scores(w, a, scaled, out);
    if (strcmp(mode, "dot") == 0)
        return dot_scores(w, a, scaled, out);
    return kp_fail(KP_EMODEL, "layer \"%s\": score_mode \"%s\" is not known", c->layer->path, mode);
}

/* ---- masks ---- */

/* Of the scores' rank or less; NULL: none. */
static int score_mask(kp_lw *w, const kp_lw_call *c, const attention *a, kp_value **out)
{
    kp_value *mask = c->in_mask[1], *band;
    static const kp_band causal = {.causal = true};
    *out = NULL;
    if (mask) {
        KP_TRY(kp_lw_truth(w, mask, &mask));
        if (mask->ndim == 2 || a->causal)
            KP_TRY(kp_lw_add_axis(w, mask->ndim - 1, mask, &mask));
        *out = mask;
    }
    if (!a->causal)
        return 0;
    if (a->query->ndim != 3)
        return kp_fail(KP_EMODEL, "layer \"%s\": a causal mask over %d axes is not supported",
                       c->layer->path, a->query->ndim);
    KP_TRY(kp_lw_kernel(w, &kp_kernel_band, &causal, (kp_value *[]){a->query, a->key}, 2, &band));
    return *out ? kp_lw_both(w, *out, band, out) : (*out = band, 0);
}

/* Masked scores lie 1e9 lower: where all are masked, what is left of them are equal shares. */
static int weigh(kp_lw *w, kp_value *mask, kp_value *scores, kp_value **out)
{
    kp_value *low;
    if (mask) {
        KP_TRY(kp_lw_linear(w, 1, -1e9, scores, &low));
        KP_TRY(kp_lw_select(w, mask, scores, low, &scores));
    }
    return kp_lw_softmax(w, &(kp_axes){1, {scores->ndim - 1}}, false, scores, out);
}

static int hide_rows(kp_lw *w, kp_value *mask, kp_value *x, kp_value **out)
{
    kp_value *zero;
    *out = x;
    if (!mask)
        return 0;
    KP_TRY(kp_lw_truth(w, mask, &mask));
    KP_TRY(kp_lw_add_axis(w, mask->ndim, mask, &mask));
    KP_TRY(kp_lw_number(w, 0, x->dtype, &zero));
    return kp_lw_select(w, mask, x, zero, out);
}

/* variant 1: additive. */
static int do_attention(kp_lw *w, const kp_lw_call *c, kp_value **out)
{
    attention a = {.additive = c->variant == 1};
    kp_node product = {.op = KP_OP_MATMUL};
    kp_value *scores, *mask, *y, **results;
    KP_TRY(read_call(w, c, &a));
    KP_TRY(scores_of(w, c, &a, &scores));
    KP_TRY(score_mask(w, c, &a, &mask));
    KP_TRY(weigh(w, mask, scores, &scores));
    KP_TRY(kp_lw_add(w, &product, (kp_value *[]){scores, a.value}, 2, &y));
    KP_TRY(hide_rows(w, c->in_mask[0], y, out));
    if (a.wants_scores) {
        y = *out;
        KP_TRY(kp_lw_outputs(w, c, 2, &results));
        results[0] = y;
        results[1] = scores;
    }
    c->res->masks[0] = c->in_mask[0];
    return 0;
}

const kp_lw_entry kp_lw_attention_plain_layers[] = {
    {"Attention", do_attention, 0, 2, 3, KP_LW_SAME, KP_LW_MASK_OWN},
    {"AdditiveAttention", do_attention, 1, 2, 3, KP_LW_SAME, KP_LW_MASK_OWN},
    {0},
};
