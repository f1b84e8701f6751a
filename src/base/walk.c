/* Steps through arrays. */
#include "base/base.h"

void kp_walk_init(kp_walk *w, const int64_t *shape, const int64_t *stride, int ndim)
{
    memset(w, 0, sizeof *w);
    w->ndim = ndim;
    for (int i = 0; i < ndim; i++) {
        w->shape[i] = shape[i];
        w->stride[i] = stride[i];
    }
}

void kp_walk_broadcast(const kp_tensor *t, const kp_tensor *out, int64_t *stride)
{
    int64_t s = 1;
    for (int i = out->ndim - 1; i >= 0; i--) {
        int own = i - (out->ndim - t->ndim);
        int64_t size = own < 0 ? 1 : t->shape[own];
        stride[i] = size == 1 ? 0 : s;
        s *= size;
    }
}
