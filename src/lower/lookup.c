/* Layers with a vocabulary: StringLookup, IntegerLookup, TextVectorization. */
#include "lower/categories.h"

static int fail(const kp_layer *l, const char *why)
{
    return kp_fail(KP_EMODEL, "layer \"%s\" (%s): %s", l->path, l->class_name, why);
}

/* ---- StringLookup, IntegerLookup ---- */

/* config[key], a token: null or missing leaves *there false. */
static int read_token(const kp_layer *l, const char *key, const kp_lw_lookup *s, bool *there,
                      kp_text *text, int64_t *number)
{
    const json_t *v = json_object_get(l->config, key);
    *there = v && !json_is_null(v);
    if (!*there)
        return 0;
    if (!s->texts)
        return kp_cfg_int(l, key, 0, number);
    *text = (kp_text){json_string_value(v), json_string_length(v)};
    return json_is_string(v) ? 0 : fail(l, "a special token is no string");
}

static int read_settings(const kp_lw_call *c, kp_lw_lookup *s, kp_lw_mode *mode)
{
    const kp_layer *l = c->layer;
    const char *method;
    *s = (kp_lw_lookup){.texts = c->variant == 1};
    KP_TRY(kp_lw_output_mode(l, "int", mode));
    s->indices = *mode == KP_LW_INT;
    s->has_oov = true;
    s->oov = (kp_text){"[UNK]", 5};
    s->oov_number = -1;
    if (json_object_get(l->config, "oov_token"))
        KP_TRY(read_token(l, "oov_token", s, &s->has_oov, &s->oov, &s->oov_number));
    KP_TRY(read_token(l, "mask_token", s, &s->masked, &s->mask, &s->mask_number));
    KP_TRY(kp_cfg_int(l, "num_oov_indices", 1, &s->n_oov));
    KP_TRY(kp_cfg_str(l, "oov_method", "floormod", &method));
    s->floormod = strcmp(method, "farmhash") != 0;
    KP_TRY(kp_lw_salt(l, &s->salted, s->key));
    return kp_lw_lookup_sizes(l, s);
}

/* What is counted: whole numbers; in Keras 2 the layer's type, of texts floats. Until
 * TensorFlow 2.5 the layer's type was that of its vocabulary. */
static kp_dtype encoded(const kp_lw *w, const kp_layer *l, bool texts)
{
    if (!kp_lw_older(w, 3, 0))
        return KP_INT64;
    bool floats = texts || kp_lw_older(w, 2, 6) || l->policy.compute == KP_STRING;
    return floats ? KP_FLOAT32 : l->policy.compute;
}

static int do_find(kp_lw *w, const kp_lw_call *c, kp_lw_lookup *s, kp_lw_mode mode, kp_value **out)
{
    kp_value *x = c->in[0], *ids, *idf;
    if (!s->texts)
        KP_TRY(kp_lw_cast(w, KP_INT64, x, &x));
    KP_TRY(kp_lw_kernel(w, &kp_kernel_lookup, s->vocabulary, &x, 1, &ids));
    KP_TRY(kp_lw_encode(w, mode, s->depth, encoded(w, c->layer, false), ids, NULL, out));
    if (mode == KP_LW_INT && kp_lw_older(w, 3, 0) && c->layer->policy.compute == KP_INT32)
        return kp_lw_cast(w, KP_INT32, *out, out);
    if (mode != KP_LW_TF_IDF)
        return 0;
    KP_TRY(kp_lw_idf(w, c->layer, s, &idf));
    return kp_lw_binary(w, KP_BIN_MUL, *out, idf, out);
}

/* Indices to tokens: a gather from a vector with the token for all unknown indices at its end. */
static int do_invert(kp_lw *w, const kp_lw_call *c, const kp_lw_lookup *s, kp_value **out)
{
    const kp_vocabulary *v = s->vocabulary;
    int64_t n = s->first + v->n + 1;
    kp_dtype dtype = s->texts ? KP_STRING : KP_INT64;
    char *data = kp_graph_alloc(w->g, (size_t)n * kp_elem_size(dtype));
    kp_inside *inside = kp_lw_params(w, &(kp_inside){n - 1}, sizeof *inside);
    kp_value *table, *x;
    if (!data || !inside)
        return KP_ENOMEM;
    if (!s->has_oov)
        return fail(c->layer, "oov_token null with invert");
    for (int64_t i = 0; i < n; i++) {
        bool mask = i == 0 && s->masked, token = i >= s->first && i < n - 1;
        if (s->texts)
            ((kp_text *)(void *)data)[i] = mask ? s->mask : token ? v->texts[i - s->first] : s->oov;
        else
            ((int64_t *)(void *)data)[i] = mask    ? s->mask_number
                                           : token ? v->numbers[i - s->first]
                                                   : s->oov_number;
    }
    KP_TRY(kp_graph_add_const(w->g, w->name, dtype, &n, 1, data, &table));
    KP_TRY(kp_lw_cast(w, KP_INT64, c->in[0], &x));
    KP_TRY(kp_lw_kernel(w, &kp_kernel_inside, inside, &x, 1, &x));
    kp_node node = {.op = KP_OP_GATHER};
    return kp_lw_add(w, &node, (kp_value *[]){table, x}, 2, out);
}

static int do_lookup(kp_lw *w, const kp_lw_call *c, kp_value **out)
{
    kp_lw_lookup s;
    kp_lw_mode mode;
    bool invert;
    KP_TRY(read_settings(c, &s, &mode));
    KP_TRY(kp_cfg_bool(c->layer, "invert", false, &invert));
    KP_TRY(kp_lw_vocabulary(w, c->layer, &s));
    return invert ? do_invert(w, c, &s, out) : do_find(w, c, &s, mode, out);
}

/* ---- TextVectorization ---- */

/* config[key] as a word; NULL for null. A function is Python code. */
static int read_word(const kp_layer *l, const char *key, const char *dflt, const char **out)
{
    const json_t *v = json_object_get(l->config, key);
    *out = v ? json_string_value(v) : dflt;
    if (v && !json_is_string(v) && !json_is_null(v))
        return kp_fail(KP_EMODEL,
                       "layer \"%s\" (%s): \"%s\" is a Python function, which is never run; use "
                       "one of Keras' own modes and save the model again",
                       l->path, l->class_name, key);
    return 0;
}

static int read_standardize(const kp_layer *l, kp_texts *t)
{
    const char *word;
    KP_TRY(read_word(l, "standardize", "lower_and_strip_punctuation", &word));
    bool both = word && strcmp(word, "lower_and_strip_punctuation") == 0;
    t->lower = both || (word && strcmp(word, "lower") == 0);
    t->strip_punctuation = both || (word && strcmp(word, "strip_punctuation") == 0);
    return !word || t->lower || t->strip_punctuation ? 0 : fail(l, "\"standardize\" is not known");
}

static int read_split(const kp_layer *l, kp_texts *t)
{
    const char *word;
    KP_TRY(read_word(l, "split", "whitespace", &word));
    t->split = !word                            ? KP_SPLIT_NONE
               : strcmp(word, "character") == 0 ? KP_SPLIT_CHARACTER
                                                : KP_SPLIT_WHITESPACE;
    return !word || t->split == KP_SPLIT_CHARACTER || strcmp(word, "whitespace") == 0
               ? 0
               : fail(l, "\"split\" is not known");
}

static int read_ngrams(const kp_layer *l, kp_texts *t)
{
    const json_t *v = json_object_get(l->config, "ngrams");
    bool list = json_is_array(v);
    int64_t n = list ? (int64_t)json_array_size(v) : json_integer_value(v);
    if (!v || json_is_null(v))
        return 0;
    if ((!list && !json_is_integer(v)) || n < 1 || n > KP_NGRAMS_MAX)
        return fail(l, "\"ngrams\" is not a number or a list of at most 64 numbers");
    for (t->n_ngrams = 0; t->n_ngrams < n; t->n_ngrams++) {
        const json_t *e = list ? json_array_get(v, (size_t)t->n_ngrams) : NULL;
        int64_t width = list ? json_integer_value(e) : t->n_ngrams + 1;
        if (width < 1 || width > INT32_MAX)
            return fail(l, "\"ngrams\" holds something that is no width");
        t->ngrams[t->n_ngrams] = width;
    }
    return 0;
}

static int read_texts(const kp_layer *l, kp_lw_mode mode, kp_texts *t)
{
    bool ragged;
    KP_TRY(read_standardize(l, t));
    KP_TRY(read_split(l, t));
    KP_TRY(read_ngrams(l, t));
    KP_TRY(kp_cfg_int(l, "output_sequence_length", -1, &t->length));
    KP_TRY(kp_cfg_bool(l, "ragged", false, &ragged));
    if (ragged)
        return fail(l, "ragged=True is not supported: rows of different lengths are no array; set "
                       "output_sequence_length instead");
    if (t->length < -1 || t->length > INT32_MAX)
        return fail(l, "\"output_sequence_length\" is out of range");
    bool split = t->split != KP_SPLIT_NONE;
    if (split && mode == KP_LW_ONE_HOT)
        return fail(l, "output_mode \"one_hot\" of split texts gives rows of different lengths, "
                       "which are no array");
    t->counts = split && mode != KP_LW_INT;
    t->binary = mode == KP_LW_MULTI_HOT;
    return 0;
}

static int do_text(kp_lw *w, const kp_lw_call *c, kp_value **out)
{
    kp_lw_lookup s = {.texts = true,
                      .masked = true,
                      .mask = {"", 0},
                      .has_oov = true,
                      .oov = {"[UNK]", 5},
                      .n_oov = 1,
                      .sub = "_lookup_layer"};
    kp_texts t = {0};
    kp_lw_mode mode;
    kp_value *idf;
    KP_TRY(kp_lw_output_mode(c->layer, "int", &mode));
    s.indices = mode == KP_LW_INT;
    KP_TRY(kp_lw_lookup_sizes(c->layer, &s));
    KP_TRY(read_texts(c->layer, mode, &t));
    KP_TRY(kp_lw_vocabulary(w, c->layer, &s));
    t.vocabulary = s.vocabulary;
    t.depth = s.depth;
    kp_texts *params = kp_lw_params(w, &t, sizeof t);
    if (!params)
        return KP_ENOMEM;
    KP_TRY(kp_lw_kernel(w, &kp_kernel_texts, params, c->in, 1, out));
    if (!t.counts)
        KP_TRY(kp_lw_encode(w, mode, s.depth, encoded(w, c->layer, true), *out, NULL, out));
    else
        KP_TRY(kp_lw_cast(w, encoded(w, c->layer, true), *out, out));
    if (mode == KP_LW_TF_IDF) {
        KP_TRY(kp_lw_idf(w, c->layer, &s, &idf));
        KP_TRY(kp_lw_binary(w, KP_BIN_MUL, *out, idf, out));
    }
    /* Keras takes it that an axis of one text a row stays. */
    bool stays = w->opt.keras_shapes && t.counts && c->in[0]->ndim == 2;
    return stays ? kp_lw_add_axis(w, 1, *out, out) : 0;
}

const kp_lw_entry kp_lw_lookup_layers[] = {
    {"IntegerLookup", do_lookup, 0, KP_LW_ONE, KP_LW_MASK_DROP},
    {"StringLookup", do_lookup, 1, KP_LW_ONE, KP_LW_MASK_DROP},
    {"TextVectorization", do_text, 0, KP_LW_ONE, KP_LW_MASK_DROP},
    {0},
};
