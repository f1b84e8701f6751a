/*
 * Layers of classes that a plug-in brings: private to lower/.
 */
#ifndef KP_LOWER_USER_H
#define KP_LOWER_USER_H

#include "lower/build.h"

/* What stands behind the plug-in's opaque kp_layer_call; a kp_layer_value is a kp_value. */
struct kp_layer_call {
    kp_lw *w;
    const kp_lw_call *call;
};

/* A kernel of a plug-in with the state that its open() made: the parameters of a KP_OP_KERNEL. */
typedef struct kp_lw_user {
    const kp_layer_kernel *kernel;
    void *state;
    const char *layer; /* its path, for messages */
    kp_kernel_def def;
    struct kp_lw_user *next;
} kp_lw_user;

extern const kp_layer_host kp_lw_host;

/* NULL when no plug-in has the layer's class. */
const kp_layer_class *kp_lw_user_find(const kp_lw *w, const kp_layer *l);
int kp_lw_user_lower(kp_lw *w, const kp_lw_call *c, const kp_layer_class *class, kp_value **out);
/* A node of the kernel; its state is kept for kp_lowered_fini. */
int kp_lw_user_kernel(kp_layer_call *c, const kp_layer_kernel *kernel, kp_value *const *in, int n,
                      kp_value **out);
void kp_lw_user_close(kp_lw_user *all);

#endif
