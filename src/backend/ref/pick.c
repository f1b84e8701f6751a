/* Picking elements of every type, and operations that bring their own function. */
#include "backend/ref/ref_int.h"

int kp_ref_select(const kp_node *n, const kp_tensor *in, int n_in, kp_tensor *out)
{
    (void)n;
    int64_t stride[KP_MAX_DIMS] = {0}, count = kp_tensor_count(out);
    size_t elem = kp_elem_size(out->dtype);
    kp_walk w[3];
    for (int i = 0; i < n_in; i++) {
        kp_walk_broadcast(&in[i], out, stride);
        kp_walk_init(&w[i], out->shape, stride, out->ndim);
    }
    for (int64_t i = 0; i < count; i++) {
        int from = ((const uint8_t *)in[0].data)[w[0].index] != 0 ? 1 : 2;
        memcpy((char *)out->data + (size_t)i * elem,
               (const char *)in[from].data + (size_t)w[from].index * elem, elem);
        for (int k = 0; k < n_in; k++)
            kp_walk_next(&w[k]);
    }
    return 0;
}

static int64_t product(const int64_t *shape, int from, int to)
{
    int64_t n = 1;
    for (int i = from; i < to; i++)
        n *= shape[i];
    return n;
}

static int read_index(const kp_node *n, const kp_tensor *indices, int64_t i, int64_t size,
                      int64_t *out)
{
    int64_t at = 0;
    size_t elem = kp_dtype_size(indices->dtype);
    kp_convert(KP_INT64, &at, indices->dtype, (const char *)indices->data + (size_t)i * elem, 1);
    *out = at < 0 && n->attr.gather.wrap_negative ? at + size : at;
    if (*out >= 0 && *out < size)
        return 0;
    return kp_node_fail(n, KP_EINVAL, "index %lld is out of range: it picks among %lld",
                        (long long)at, (long long)size);
}

/* x as (batch, outer, size, inner), indices as (batch, picks). */
int kp_ref_gather(const kp_node *n, const kp_tensor *in, int n_in, kp_tensor *out)
{
    (void)n_in;
    const kp_tensor *x = &in[0], *at = &in[1];
    int axis = n->attr.gather.axis, nb = n->attr.gather.batch_dims;
    int64_t batch = product(x->shape, 0, nb), outer = product(x->shape, nb, axis);
    int64_t size = x->shape[axis], picks = product(at->shape, nb, at->ndim), index;
    size_t run = (size_t)product(x->shape, axis + 1, x->ndim) * kp_elem_size(x->dtype);
    char *to = out->data;
    for (int64_t b = 0; b < batch; b++)
        for (int64_t o = 0; o < outer; o++) {
            const char *from = (const char *)x->data + (size_t)((b * outer + o) * size) * run;
            for (int64_t p = 0; p < picks; p++, to += run) {
                KP_TRY(read_index(n, at, b * picks + p, size, &index));
                memcpy(to, from + (size_t)index * run, run);
            }
        }
    return 0;
}

int kp_ref_kernel(const kp_node *n, const kp_tensor *in, int n_in, kp_tensor *out)
{
    int status = n->attr.kernel.def->run(n->attr.kernel.params, in, n_in, out);
    return status == 0 || n->name == NULL ? status
                                          : kp_fail_prefix(status, "layer \"%s\"", n->name);
}
