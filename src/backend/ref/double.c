/* The kernels over arrays of `real` once more, for float64. */
#define KP_REF_DOUBLE
#include "backend/ref/conv.c"
#include "backend/ref/conv_transpose.c"
#include "backend/ref/matmul.c"
#include "backend/ref/norm.c"
#include "backend/ref/pool.c"
#include "backend/ref/scale.c"
