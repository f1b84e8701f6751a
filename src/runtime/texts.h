/* Strings between the border, where they have a fixed width, and the engine, where they are
 * kp_text: private to runtime. */
#ifndef KP_RUNTIME_TEXTS_H
#define KP_RUNTIME_TEXTS_H

#include "graph/graph.h"

/* n strings of `width` bytes each, NUL-padded, as texts that point to them. NULs at the end are
 * padding, NULs before other bytes belong to the text. */
void kp_texts_read(kp_text *dst, const void *src, size_t width, int64_t n);
/* The other way; every text fits the width. */
void kp_texts_write(void *dst, size_t width, const kp_text *src, int64_t n);
/* Bytes of the longest; at least 1. */
size_t kp_texts_longest(const kp_text *t, int64_t n);
/* Bytes of the longest text that the graph can give when its inputs' are at most `width`: texts are
 * only moved and picked, so they come from the inputs or from constants. */
size_t kp_texts_bound(const kp_graph *g, size_t width);

#endif
