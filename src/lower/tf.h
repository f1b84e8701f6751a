/* Functions of TensorFlow, as models of Keras 2 hold them, in terms of the operations of keras.ops.
 * Private to lower/. */
#ifndef KP_LOWER_TF_H
#define KP_LOWER_TF_H

#include "lower/build.h"

/* How a function's parameters become those of an operation. Words between spaces:
 *   x            an operand: the next positional argument
 *   x?           the same, left out when it is not given
 *   axis>        the configuration's "axis"; perm>axes: its "axes"
 *   axis>=-1     with the value that holds when it is not given (JSON)
 *   @k=v         the configuration's "k" is v (JSON), always
 *   !k=v         "k" must be absent, null or v (JSON): nothing else is supported
 *   -name        of no meaning here
 * In the order of the function's own parameters, so that positional arguments find their words. */
typedef struct kp_tf_function {
    const char *name; /* "math.reduce_mean" */
    const char *op;   /* class of keras.ops; NULL: the first operand as it is */
    const char *params;
} kp_tf_function;

/* tf_table.c: NULL when the function is not known. */
const kp_tf_function *kp_tf_find(const char *name);

/* tf_ops.c: the call with these arguments as the operation f names. */
int kp_tf_apply(kp_lw *w, const kp_lw_call *c, const kp_tf_function *f, const kp_arg *args,
                const kp_arg *kwargs, kp_value **out);
/* One operation of keras.ops on these arguments; config is taken over. */
int kp_tf_operation(kp_lw *w, const kp_lw_call *c, const char *op, json_t *config,
                    const kp_arg *args, kp_value **out);
/* The value of a constant argument as JSON (a new reference), NULL when it depends on a tensor
 * whose numbers are not known. */
json_t *kp_tf_json(const kp_lw_call *c, const kp_arg *a);
/* tf_size.c: a function (or a node's operation) that computes sizes, or takes computed ones. done:
 * false when it is no matter of sizes. */
int kp_tf_sized(kp_lw *w, const kp_lw_call *c, const char *name, const kp_arg *args,
                const kp_arg *kwargs, bool *done, kp_value **out);
/* x's elements, or sizes, at the key, whose references are those of c->env. */
int kp_tf_slice(kp_lw *w, const kp_lw_call *c, kp_value *x, const kp_arg *key, kp_value **out);
/* The tensor a, a list of sizes, as a list of references to results of env, to which they are added
 * (room for KP_TF_PLACES_MAX more). KP_EMODEL when it depends on the data. */
enum { KP_TF_PLACES_MAX = 16 };
int kp_tf_elements(kp_lw *w, const kp_lw_call *c, const kp_arg *a, kp_lw_env *env, kp_arg *out);
int kp_tf_matmul(kp_lw *w, const kp_lw_call *c, bool turn_a, bool turn_b, kp_value **out);

#endif
