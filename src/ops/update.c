/* Arrays of which a part is replaced. */
#include "ops/kernel.h"

static int infer(const kp_node *n, kp_value *out, int64_t *next_symbol)
{
    const kp_value *x, *part;
    (void)next_symbol;
    KP_TRY(kp_ops_input(n, 0, 1, &x));
    KP_TRY(kp_ops_input(n, 1, x->ndim, &part));
    if (part->dtype != x->dtype || part->ndim != x->ndim)
        return kp_node_fail(n, KP_ESHAPE, "a part of type %s and %d axes",
                            kp_dtype_name(part->dtype), part->ndim);
    for (int i = 0; i < x->ndim; i++)
        if ((x->shape[i] == KP_DIM_BATCH && part->shape[i] != KP_DIM_BATCH) ||
            (x->shape[i] >= 0 && part->shape[i] > x->shape[i]))
            return kp_node_fail(n, KP_ESHAPE, "the part is larger than the array along axis %d", i);
    kp_ops_shape(out, x->dtype, x->ndim, x->shape);
    return 0;
}

static int run(const void *params, const kp_tensor *in, int n_in, kp_tensor *out)
{
    const kp_slice_update *p = params;
    const kp_tensor *part = &in[1];
    size_t elem = kp_dtype_size(out->dtype);
    int64_t stride[KP_MAX_DIMS] = {0}, step = 1, count = kp_tensor_count(part), at = 0;
    kp_walk w;
    (void)n_in;
    memcpy(out->data, in[0].data, (size_t)kp_tensor_count(out) * elem);
    for (int i = out->ndim - 1; i >= 0; i--) {
        int64_t room = out->shape[i] - part->shape[i], start = p->start[i];
        if (room < 0)
            return kp_fail(KP_ESHAPE, "the part is larger than the array along axis %d", i);
        start = start < 0 ? start + out->shape[i] : start;
        at += (start < 0 ? 0 : start > room ? room : start) * step;
        stride[i] = step;
        step *= out->shape[i];
    }
    kp_walk_init(&w, part->shape, stride, part->ndim);
    for (int64_t i = 0; i < count; i++, kp_walk_next(&w))
        memcpy((char *)out->data + (size_t)(at + w.index) * elem,
               (const char *)part->data + (size_t)i * elem, elem);
    return 0;
}

const kp_kernel_def kp_kernel_slice_update = {"slice_update", infer, run};
