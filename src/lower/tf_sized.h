/*
 * Calls of TensorFlow's functions that compute sizes or take them: their arguments as lists of
 * expressions (size.h). Private to lower/.
 */
#ifndef KP_LOWER_TF_SIZED_H
#define KP_LOWER_TF_SIZED_H

#include "lower/size.h"
#include "lower/tf.h"

typedef struct kp_tf_sized_call {
    kp_lw *w;
    const kp_lw_call *c;
    const char *name;
    const kp_arg *args, *kwargs;
    int variant;
} kp_tf_sized_call;

typedef struct kp_tf_list {
    kp_lw_size_list l;
    bool vector;   /* not a single number */
    kp_dtype type; /* KP_DTYPE_NONE: literals alone */
} kp_tf_list;

/* done: false when it is no matter of sizes. */
typedef int (*kp_tf_sized_fn)(const kp_tf_sized_call *s, bool *done, kp_value **out);

typedef struct kp_tf_sized_entry {
    const char *name;
    kp_tf_sized_fn fn;
    int variant;
} kp_tf_sized_entry;

/* By area; each ends with a NULL name. */
extern const kp_tf_sized_entry kp_tf_size_functions[];
extern const kp_tf_sized_entry kp_tf_shape_functions[];
extern const kp_tf_sized_entry kp_tf_part_functions[];

/* By position (-1: none) or name; NULL if absent. */
const kp_arg *kp_tf_arg(const kp_tf_sized_call *s, int position, const char *name);
int kp_tf_named_type(const kp_tf_sized_call *s, int position, const char *name, kp_dtype dflt,
                     kp_dtype *out);
/* At least one number; false: the argument is something else. depth: 0. */
bool kp_tf_list_of(const kp_tf_sized_call *s, const kp_arg *a, int depth, kp_tf_list *out);
int kp_tf_result(const kp_tf_sized_call *s, kp_dtype type, bool vector, const kp_lw_size_list *l,
                 bool *done, kp_value **out);

#endif
