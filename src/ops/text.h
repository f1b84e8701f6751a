/* Text to tokens to indices, as TextVectorization does it on TensorFlow. Part of ops.h. */
#ifndef KP_OPS_TEXT_H
#define KP_OPS_TEXT_H

#include "ops/lookup.h"

typedef enum kp_split { KP_SPLIT_NONE, KP_SPLIT_WHITESPACE, KP_SPLIT_CHARACTER } kp_split;

enum { KP_NGRAMS_MAX = 64 };

typedef struct kp_texts {
    bool lower;             /* bytes A to Z */
    bool strip_punctuation; /* the 32 ASCII marks */
    kp_split split;
    int n_ngrams;                  /* 0: tokens as they are */
    int64_t ngrams[KP_NGRAMS_MAX]; /* all n-grams of the first width, then of the next, ... */
    const kp_vocabulary *vocabulary;
    int64_t length; /* indices a text: cut, or padded with 0; -1: as many as the longest text of the
                       batch has; of texts that are not split -1 is as many as they give */
    int64_t depth;  /* counts: size of the last axis */
    bool counts;    /* a vector of counts a text instead of indices */
    bool binary;    /* 1 instead of the count */
} kp_texts;

/* x of strings. Split: the last axis of x, if it has more than one, is of size 1 and becomes the
 * indices (or counts) of its text. Not split: the strings along the last axis are the tokens. The
 * result is int64. */
extern const kp_kernel_def kp_kernel_texts;

#endif
