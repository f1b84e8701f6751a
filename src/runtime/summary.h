/*
 * The text of Keras' model.summary(): private to runtime.
 */
#ifndef KP_RUNTIME_SUMMARY_H
#define KP_RUNTIME_SUMMARY_H

#include "lower/lower.h"

/* The batch of a model that is lowered for a number of rows, when only its shapes are wanted: many
 * numbers divide it, and no layer has as many features, so that it is known again among the sizes.
 */
enum { KP_SUMMARY_ROWS = 30240 };

/* Appends what Keras 3 prints for the model when its output is not a terminal (80 columns), for a
 * model without a compiled optimizer; with opt->json an object instead. The graph is the one that
 * lowering made. KP_EUSAGE: the line length leaves no room for the columns. */
int kp_summary_text(const kp_lowered *l, kp_keras *k, const kp_summary_options *opt, kp_buf *out);

#endif
