/* Layers that make vectors or bins of values: CategoryEncoding, Discretization, Hashing,
 * HashedCrossing. */
#include "lower/categories.h"

enum { BOUNDARIES_MAX = 1 << 20 };

static int fail(const kp_layer *l, const char *why)
{
    return kp_fail(KP_EMODEL, "layer \"%s\" (%s): %s", l->path, l->class_name, why);
}

void *kp_lw_params(kp_lw *w, const void *params, size_t size)
{
    void *copy = kp_arena_alloc(w->mem, size);
    if (copy)
        memcpy(copy, params, size);
    return copy;
}

int kp_lw_output_mode(const kp_layer *l, const char *dflt, kp_lw_mode *out)
{
    static const char *const names[] = {"int",    "one_hot", "multi_hot", "count",
                                        "tf_idf", "binary",  "tf-idf"};
    static const kp_lw_mode modes[] = {KP_LW_INT,    KP_LW_ONE_HOT,   KP_LW_MULTI_HOT, KP_LW_COUNT,
                                       KP_LW_TF_IDF, KP_LW_MULTI_HOT, KP_LW_TF_IDF};
    const char *text;
    KP_TRY(kp_cfg_str(l, "output_mode", dflt, &text));
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        *out = modes[i];
        if (strcmp(text, names[i]) == 0)
            return 0;
    }
    return kp_fail(KP_EMODEL, "layer \"%s\" (%s): output_mode \"%s\" is not known", l->path,
                   l->class_name, text);
}

/* Keras drops a last axis of size 1 before it makes one vector a value. */
static int drop_last(kp_lw *w, kp_value *x, kp_value **out)
{
    *out = x;
    if (!x || x->ndim < 2 || x->shape[x->ndim - 1] != 1)
        return 0;
    return kp_lw_reshape(w, x->ndim - 1, NULL, 0, x, out);
}

int kp_lw_encode(kp_lw *w, kp_lw_mode mode, int64_t depth, kp_dtype dtype, kp_value *ids,
                 kp_value *weights, kp_value **out)
{
    kp_encode e = {.depth = depth, .dtype = dtype};
    *out = ids;
    if (mode == KP_LW_INT)
        return 0;
    e.mode = mode == KP_LW_ONE_HOT     ? KP_ENCODE_ONE_HOT
             : mode == KP_LW_MULTI_HOT ? KP_ENCODE_MULTI_HOT
                                       : KP_ENCODE_COUNT;
    e.strict = mode != KP_LW_ONE_HOT && ids->ndim <= 2;
    if (mode == KP_LW_ONE_HOT)
        KP_TRY(drop_last(w, ids, &ids));
    kp_encode *params = kp_lw_params(w, &e, sizeof e);
    if (!params)
        return KP_ENOMEM;
    return kp_lw_kernel(w, &kp_kernel_encode, params, (kp_value *[]){ids, weights}, weights ? 2 : 1,
                        out);
}

/* ---- CategoryEncoding ---- */

static int do_category(kp_lw *w, const kp_lw_call *c, kp_value **out)
{
    int64_t depth;
    kp_lw_mode mode;
    kp_value *ids, *weights = NULL;
    KP_TRY(kp_lw_output_mode(c->layer, "multi_hot", &mode));
    KP_TRY(kp_cfg_int(c->layer, "num_tokens", 0, &depth));
    if (depth == 0) /* TensorFlow 2.3 to 2.5 */
        KP_TRY(kp_cfg_int(c->layer, "max_tokens", 0, &depth));
    if (depth < 1 || mode == KP_LW_INT || mode == KP_LW_TF_IDF)
        return fail(c->layer, "its settings are not supported");
    if (c->n_in == 2 && mode != KP_LW_COUNT)
        return fail(c->layer, "count_weights without output_mode \"count\"");
    if (c->n_in == 2)
        KP_TRY(kp_lw_float(w, c->in[1], &weights));
    KP_TRY(kp_lw_cast(w, KP_INT64, c->in[0], &ids));
    return kp_lw_encode(w, mode, depth, c->layer->policy.variable, ids, weights, out);
}

/* ---- Discretization ---- */

static int listed_boundaries(kp_lw *w, const kp_layer *l, const char *key, double **out, int *n)
{
    const json_t *list = json_object_get(l->config, key);
    size_t most = json_array_size(list);
    if (!json_is_array(list) || most > BOUNDARIES_MAX)
        return fail(l, "it has no bin_boundaries: adapt() it and save the model again");
    *out = kp_arena_array(w->mem, most + 1, sizeof **out);
    if (!*out)
        return KP_ENOMEM;
    return most > 0 ? kp_lw_numbers(l, key, (int)most, *out, n) : 0;
}

/* numpy.interp(x, xp, fp); xp ascends. */
static double interpolate(double x, const float *xp, const float *fp, int64_t n)
{
    int64_t low = 0, high = n - 1;
    if (!(x > xp[0]))
        return fp[0];
    if (x >= xp[high])
        return fp[high];
    while (high - low > 1) {
        int64_t middle = low + (high - low) / 2;
        *(xp[middle] <= x ? &low : &high) = middle;
    }
    double slope = ((double)fp[high] - fp[low]) / ((double)xp[high] - xp[low]);
    return slope * (x - xp[low]) + fp[low];
}

/* Keras 2 stores what adapt() saw, values and their weights, (2, n). It takes its boundaries from
 * them as Discretization.finalize_state of TF-Keras does: values at even parts of all weights. */
static int adapted_boundaries(kp_lw *w, const kp_layer *l, double **out, int *n)
{
    int64_t bins;
    kp_value *summary;
    KP_TRY(kp_cfg_int(l, "num_bins", 0, &bins));
    if (bins < 1 || bins > BOUNDARIES_MAX)
        return fail(l, "\"num_bins\" is out of range");
    KP_TRY(kp_lw_weight_get(w, "", 0, "summary", 2, (int64_t[]){2, -1}, 0, NULL, false, &summary));
    const float *values = kp_graph_const_f32(w->g, summary);
    int64_t seen = summary->shape[1];
    double part = 1.0 / (double)bins;
    bool few = (double)seen * part < 1;
    *n = few ? (int)seen - 1 : (int)ceil(1 / part) - 1;
    *out = kp_arena_array(w->mem, (size_t)bins + 1, sizeof **out);
    float *share = kp_arena_array(w->mem, (size_t)seen + 1, sizeof *share);
    if (!values || !*out || !share)
        return KP_ENOMEM;
    if (seen < 1)
        return fail(l, "it has seen no data: adapt() it and save the model again");
    for (int64_t i = 0; i < seen; i++)
        share[i] = values[seen + i] + (i > 0 ? share[i - 1] : 0);
    for (int64_t i = 0; i < seen; i++)
        share[i] /= share[seen - 1];
    for (int i = 0; i < *n; i++)
        (*out)[i] = few ? values[i] : interpolate(part + i * part, share, values, seen);
    return 0;
}

static int read_boundaries(kp_lw *w, const kp_layer *l, kp_bins *b)
{
    double *v = NULL;
    bool none = kp_lw_is_null(l, "bin_boundaries");
    if (none && kp_lw_is_null(l, "bins") && kp_keras_weight_count(w->k, l, "") > 0)
        KP_TRY(adapted_boundaries(w, l, &v, &b->n));
    else
        KP_TRY(listed_boundaries(w, l, none ? "bins" : "bin_boundaries", &v, &b->n));
    float *boundaries = kp_arena_array(w->mem, (size_t)b->n + 1, sizeof *boundaries);
    if (!boundaries)
        return KP_ENOMEM;
    for (int i = 0; i < b->n; i++) {
        boundaries[i] = (float)v[i];
        if (i > 0 && !(boundaries[i - 1] <= boundaries[i]))
            return fail(l, "its bin_boundaries do not ascend");
    }
    b->boundaries = boundaries;
    return 0;
}

static int do_discretization(kp_lw *w, const kp_lw_call *c, kp_value **out)
{
    kp_bins b = {0};
    kp_lw_mode mode;
    kp_value *ids;
    KP_TRY(kp_lw_output_mode(c->layer, "int", &mode));
    KP_TRY(read_boundaries(w, c->layer, &b));
    kp_bins *params = kp_lw_params(w, &b, sizeof b);
    if (!params)
        return KP_ENOMEM;
    KP_TRY(kp_lw_kernel(w, &kp_kernel_bins, params, c->in, 1, &ids));
    kp_dtype dtype = c->layer->policy.compute;
    bool whole = !kp_dtype_is_float(dtype) && dtype != KP_STRING;
    if (mode == KP_LW_INT && kp_lw_older(w, 3, 13) && whole)
        KP_TRY(kp_lw_cast(w, dtype, ids, &ids));
    return kp_lw_encode(w, mode, b.n + 1, dtype, ids, NULL, out);
}

/* ---- Hashing ---- */

static int read_mask(const kp_lw_call *c, kp_hash *h)
{
    const json_t *v = json_object_get(c->layer->config, "mask_value");
    h->masked = v && !json_is_null(v) && h->hashing.bins > 1;
    if (!h->masked)
        return 0;
    h->hashing.bins--; /* bin 0 is the mask's */
    h->mask = (kp_text){json_string_value(v), json_string_length(v)};
    h->mask_number = json_number_value(v);
    bool fits = c->in[0]->dtype == KP_STRING ? json_is_string(v) : json_is_number(v);
    return fits ? 0 : fail(c->layer, "mask_value is not of the input's type");
}

static int do_hashing(kp_lw *w, const kp_lw_call *c, kp_value **out)
{
    kp_hash h = {0};
    kp_lw_mode mode;
    kp_value *x = c->in[0];
    int64_t bins;
    KP_TRY(kp_cfg_int(c->layer, "num_bins", 0, &bins));
    KP_TRY(kp_lw_output_mode(c->layer, "int", &mode));
    if (bins < 1 || mode == KP_LW_TF_IDF)
        return fail(c->layer, "its settings are not supported");
    h.hashing.bins = (uint64_t)bins;
    KP_TRY(read_mask(c, &h));
    KP_TRY(kp_lw_salt(c->layer, &h.hashing.salted, h.hashing.key));
    if (mode == KP_LW_ONE_HOT)
        KP_TRY(drop_last(w, x, &x));
    kp_hash *params = kp_lw_params(w, &h, sizeof h);
    if (!params)
        return KP_ENOMEM;
    KP_TRY(kp_lw_kernel(w, &kp_kernel_hash, params, &x, 1, &x));
    if (mode == KP_LW_INT)
        return kp_lw_cast(w, c->layer->policy.variable == KP_INT32 ? KP_INT32 : KP_INT64, x, out);
    return kp_lw_encode(w, mode, bins, c->layer->policy.variable, x, NULL, out);
}

/* ---- HashedCrossing ---- */

static int do_crossing(kp_lw *w, const kp_lw_call *c, kp_value **out)
{
    kp_lw_mode mode;
    kp_value *ids;
    int64_t bins;
    KP_TRY(kp_cfg_int(c->layer, "num_bins", 0, &bins));
    KP_TRY(kp_lw_output_mode(c->layer, "int", &mode));
    if (bins < 1 || (mode != KP_LW_INT && mode != KP_LW_ONE_HOT))
        return fail(c->layer, "its settings are not supported");
    kp_cross *params = kp_lw_params(w, &(kp_cross){(uint64_t)bins}, sizeof *params);
    if (!params)
        return KP_ENOMEM;
    KP_TRY(kp_lw_kernel(w, &kp_kernel_cross, params, c->in, c->n_in, &ids));
    if (mode == KP_LW_INT)
        return kp_lw_cast(w, c->layer->policy.compute, ids, out);
    return kp_lw_encode(w, mode, bins, c->layer->policy.compute, ids, NULL, out);
}

/* ---- the two layers that FeatureSpace adds to a model ---- */

static int do_identity(kp_lw *w, const kp_lw_call *c, kp_value **out)
{
    (void)w;
    *out = c->in[0];
    return 0;
}

/* Types that differ meet in float32. */
static int do_concat(kp_lw *w, const kp_lw_call *c, kp_value **out)
{
    int64_t axis;
    bool same = true;
    KP_TRY(kp_cfg_int(c->layer, "axis", -1, &axis));
    for (int i = 1; i < c->n_in; i++)
        same = same && c->in[i]->dtype == c->in[0]->dtype;
    for (int i = 0; !same && i < c->n_in; i++)
        KP_TRY(kp_lw_float(w, c->in[i], &c->in[i]));
    return kp_lw_concat_axis(w, c, axis, out);
}

const kp_lw_entry kp_lw_categorical_layers[] = {
    {"CategoryEncoding", do_category, 0, 1, 2, KP_LW_SAME, KP_LW_MASK_DROP},
    {"Discretization", do_discretization, 0, KP_LW_ONE, KP_LW_MASK_DROP},
    {"Hashing", do_hashing, 0, KP_LW_ONE, KP_LW_MASK_DROP},
    {"HashedCrossing", do_crossing, 0, 2, 0, KP_LW_SAME, KP_LW_MASK_DROP},
    {"TFDConcat", do_concat, 0, 1, 0, KP_LW_SAME, KP_LW_MASK_DROP},
    {"TFDIdentity", do_identity, 0, KP_LW_ONE, KP_LW_MASK_PASS},
    {0},
};
