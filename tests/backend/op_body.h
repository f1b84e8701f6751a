/* Bodies of loops for the cases of op_text, by name. Private to it. */
#ifndef KP_TEST_OP_BODY_H
#define KP_TEST_OP_BODY_H

#include "graph/graph.h"

/* Builds the body for a MAP or SCAN of g with these inputs (NULL: an absent state, (N, 7)) and puts
 * it into n. Constants follow from the seed.
 *   dense  x -> 7 columns; conv  3x3, 5 channels; cell  tanh(x W + s U [+ the other values])
 *   swap   y = x + s0, states s1 and y; loop  the last y of a SCAN with cell over axis 1 */
int op_body_make(kp_graph *g, const char *name, uint64_t seed, kp_value *const *in, int n_in,
                 kp_node *n);
/* Random numbers for a constant: op_text's own. */
int op_text_fill(void *data, kp_dtype dtype, int64_t n, bool positive, uint64_t seed);

#endif
