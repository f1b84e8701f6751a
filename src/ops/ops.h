/*
 * ops: operations that are too rare for a kp_op of their own (src/graph): each a kp_kernel_def (the
 * rule for its result, and a plain function) with a struct of parameters. One header an area; this
 * one includes them all.
 *
 * Refuses: to know about Keras' classes and files (lower does) and about backends, which run these
 * through the node. Called by: lower (takes the definitions); a backend calls their functions,
 * several threads at once. Blocks: nothing.
 *
 * Every function computes in double where the type is a float, in int64 where it is an integer, and
 * is exact for integers, booleans and strings. A row's bytes do not depend on the other rows,
 * where an input has the batch; what a function does with an array that holds all rows is another
 * matter (rows.h).
 */
#ifndef KP_OPS_H
#define KP_OPS_H

#include "graph/graph.h"

#include "ops/arrange.h"
#include "ops/audio.h"
#include "ops/band.h"
#include "ops/computed.h"
#include "ops/count.h"
#include "ops/ctc.h"
#include "ops/encode.h"
#include "ops/fft.h"
#include "ops/hash.h"
#include "ops/image.h"
#include "ops/linalg.h"
#include "ops/local.h"
#include "ops/lookup.h"
#include "ops/order.h"
#include "ops/patches.h"
#include "ops/quantize.h"
#include "ops/rows.h"
#include "ops/scan.h"
#include "ops/scatter.h"
#include "ops/select.h"
#include "ops/text.h"
#include "ops/update.h"

#endif
