/*
 * The text of Keras' model.summary(): private to runtime.
 */
#ifndef KP_RUNTIME_SUMMARY_H
#define KP_RUNTIME_SUMMARY_H

#include "lower/lower.h"

/* The batch of a model that is lowered for a number of rows, when only its shapes are wanted: many
 * numbers divide it. */
enum { KP_SUMMARY_ROWS = 30240 };

/* Appends what Keras 3 prints for the model when its output is not a terminal (80 columns), for a
 * model without a compiled optimizer; with opt->json an object instead. The graph is the one that
 * lowering made. twice: the model lowered for another number of rows, which tells the sizes that
 * follow it (NULL: it is for any number, or for one only). KP_EUSAGE: the line length leaves no
 * room for the columns. */
int kp_summary_text(const kp_lowered *l, const kp_lowered *twice, kp_keras *k,
                    const kp_summary_options *opt, kp_buf *out);

#endif
