/*
 * What the layers for categories and texts share: vocabularies, output modes. Private to lower/.
 */
#ifndef KP_LOWER_CATEGORIES_H
#define KP_LOWER_CATEGORIES_H

#include "lower/build.h"

/* ---- vocabulary.c ---- */
/* What a lookup layer (or the lookup inside TextVectorization) asks of its vocabulary. */
typedef struct kp_lw_lookup {
    bool texts;   /* tokens are strings, else integers */
    bool indices; /* output_mode "int": the mask has an index of its own */
    bool masked, has_oov;
    kp_text mask, oov; /* of strings */
    int64_t mask_number, oov_number;
    int64_t n_oov;
    bool floormod, salted;
    uint64_t key[2];
    bool pad;           /* pad_to_max_tokens */
    int64_t max_tokens; /* 0: not limited */
    const char *sub;    /* where its weights of inverse document frequency lie too, NULL: nowhere */
    kp_vocabulary *vocabulary; /* from here on filled in by kp_lw_vocabulary */
    int64_t first, depth;      /* index of the first token; size of vectors */
} kp_lw_lookup;

/* Reads the vocabulary from the config or the archive's assets. */
int kp_lw_vocabulary(kp_lw *w, const kp_layer *l, kp_lw_lookup *s);
/* The weights of inverse document frequency, a vector of `depth`. */
int kp_lw_idf(kp_lw *w, const kp_layer *l, const kp_lw_lookup *s, kp_value **out);
/* max_tokens, pad_to_max_tokens. */
int kp_lw_lookup_sizes(const kp_layer *l, kp_lw_lookup *s);
/* "salt": null, a number, or two. */
int kp_lw_salt(const kp_layer *l, bool *salted, uint64_t key[2]);

/* ---- categorical.c ---- */
typedef enum kp_lw_mode {
    KP_LW_INT,
    KP_LW_ONE_HOT,
    KP_LW_MULTI_HOT,
    KP_LW_COUNT,
    KP_LW_TF_IDF
} kp_lw_mode;
int kp_lw_output_mode(const kp_layer *l, const char *dflt, kp_lw_mode *out);
/* Indices as the mode says; KP_LW_INT leaves them. weights may be NULL. */
int kp_lw_encode(kp_lw *w, kp_lw_mode mode, int64_t depth, kp_dtype dtype, kp_value *ids,
                 kp_value *weights, kp_value **out);
/* A copy of a struct of parameters in memory that outlives the graph; NULL: no memory. */
void *kp_lw_params(kp_lw *w, const void *params, size_t size);

#endif
