/* Operations that only move elements, for every type: all of them are copies between two views of
 * memory with strides. */
#include "backend/ref/ref_int.h"

enum { VIEW_DIMS = 2 * KP_MAX_DIMS }; /* REPEAT splits each axis in two */

/* Places of a copy: sizes, and bytes between neighbours along each axis on both sides. */
struct view {
    int ndim;
    int64_t shape[VIEW_DIMS], to[VIEW_DIMS], from[VIEW_DIMS];
};

static void copy_run(const struct view *v, char *to, const char *from, size_t elem)
{
    int64_t n = v->shape[v->ndim - 1], st = v->to[v->ndim - 1], sf = v->from[v->ndim - 1];
    if (st == (int64_t)elem && sf == (int64_t)elem) {
        memcpy(to, from, (size_t)n * elem);
        return;
    }
    for (int64_t i = 0; i < n; i++)
        memcpy(to + i * st, from + i * sf, elem);
}

static void copy_view(const struct view *v, char *to, const char *from, size_t elem)
{
    int64_t at[VIEW_DIMS] = {0};
    for (int i = 0; i < v->ndim; i++) {
        if (v->shape[i] == 0)
            return;
    }
    for (;;) {
        copy_run(v, to, from, elem);
        int i = v->ndim - 2;
        for (; i >= 0; i--) {
            to += v->to[i];
            from += v->from[i];
            if (++at[i] < v->shape[i])
                break;
            to -= v->to[i] * v->shape[i];
            from -= v->from[i] * v->shape[i];
            at[i] = 0;
        }
        if (i < 0)
            return;
    }
}

/* Bytes between neighbours along each axis of a dense array. */
static void dense_strides(const kp_tensor *t, int64_t *stride)
{
    int64_t s = (int64_t)kp_elem_size(t->dtype);
    for (int i = t->ndim - 1; i >= 0; i--) {
        stride[i] = s;
        s *= t->shape[i];
    }
}

static void add_axis(struct view *v, int64_t size, int64_t to, int64_t from)
{
    v->shape[v->ndim] = size;
    v->to[v->ndim] = to;
    v->from[v->ndim++] = from;
}

/* A view always has an axis, also that of a scalar. */
static void copy_all(struct view *v, kp_tensor *out, int64_t to_offset, const kp_tensor *in,
                     int64_t from_offset)
{
    size_t elem = kp_elem_size(out->dtype);
    if (v->ndim == 0)
        add_axis(v, 1, (int64_t)elem, (int64_t)elem);
    copy_view(v, (char *)out->data + to_offset, (const char *)in->data + from_offset, elem);
}

int kp_ref_concat(const kp_node *n, const kp_tensor *in, int n_in, kp_tensor *out)
{
    int64_t to[KP_MAX_DIMS], from[KP_MAX_DIMS], offset = 0;
    dense_strides(out, to);
    for (int k = 0; k < n_in; k++) {
        struct view v = {0};
        dense_strides(&in[k], from);
        for (int i = 0; i < out->ndim; i++)
            add_axis(&v, in[k].shape[i], to[i], from[i]);
        copy_all(&v, out, offset, &in[k], 0);
        offset += in[k].shape[n->attr.axis.axis] * to[n->attr.axis.axis];
    }
    return 0;
}

int kp_ref_pad(const kp_node *n, const kp_tensor *in, int n_in, kp_tensor *out)
{
    (void)n_in;
    int64_t to[KP_MAX_DIMS], from[KP_MAX_DIMS], offset = 0, count = kp_tensor_count(out);
    struct view v = {0};
    dense_strides(out, to);
    dense_strides(&in[0], from);
    for (int i = 0; i < out->ndim; i++) {
        add_axis(&v, in[0].shape[i], to[i], from[i]);
        offset += n->attr.pad.before[i] * to[i];
    }
    for (int64_t i = 0; i < count; i++)
        kp_tensor_put(out, i, n->attr.pad.value);
    copy_all(&v, out, offset, &in[0], 0);
    return 0;
}

int kp_ref_slice(const kp_node *n, const kp_tensor *in, int n_in, kp_tensor *out)
{
    (void)n_in;
    int64_t to[KP_MAX_DIMS], from[KP_MAX_DIMS], offset = 0;
    struct view v = {0};
    dense_strides(out, to);
    dense_strides(&in[0], from);
    for (int i = 0; i < out->ndim; i++) {
        int64_t begin = n->attr.slice.begin[i], size = in[0].shape[i];
        if (begin < 0)
            begin = begin < -size ? 0 : begin + size;
        /* A step may be larger than any size when one cell remains. */
        int64_t step = out->shape[i] > 1 ? n->attr.slice.step[i] : 1;
        add_axis(&v, out->shape[i], to[i], from[i] * step);
        offset += begin * from[i];
    }
    copy_all(&v, out, 0, &in[0], offset);
    return 0;
}

int kp_ref_reshape(const kp_node *n, const kp_tensor *in, int n_in, kp_tensor *out)
{
    (void)n;
    (void)n_in;
    if (out->data != in[0].data)
        memcpy(out->data, in[0].data, (size_t)kp_tensor_count(out) * kp_elem_size(out->dtype));
    return 0;
}

int kp_ref_transpose(const kp_node *n, const kp_tensor *in, int n_in, kp_tensor *out)
{
    (void)n_in;
    int64_t to[KP_MAX_DIMS], from[KP_MAX_DIMS];
    struct view v = {0};
    dense_strides(out, to);
    dense_strides(&in[0], from);
    for (int i = 0; i < out->ndim; i++)
        add_axis(&v, out->shape[i], to[i], from[n->attr.transpose.perm[i]]);
    copy_all(&v, out, 0, &in[0], 0);
    return 0;
}

int kp_ref_repeat(const kp_node *n, const kp_tensor *in, int n_in, kp_tensor *out)
{
    (void)n_in;
    int64_t to[KP_MAX_DIMS], from[KP_MAX_DIMS];
    struct view v = {0};
    dense_strides(out, to);
    dense_strides(&in[0], from);
    for (int i = 0; i < out->ndim; i++) {
        add_axis(&v, in[0].shape[i], to[i] * n->attr.repeat.times[i], from[i]);
        add_axis(&v, n->attr.repeat.times[i], to[i], 0);
    }
    copy_all(&v, out, 0, &in[0], 0);
    return 0;
}

int kp_ref_broadcast(const kp_node *n, const kp_tensor *in, int n_in, kp_tensor *out)
{
    (void)n;
    (void)n_in;
    int64_t to[KP_MAX_DIMS], from[KP_MAX_DIMS];
    struct view v = {0};
    dense_strides(out, to);
    dense_strides(&in[0], from);
    for (int i = 0; i < out->ndim; i++) {
        int own = i - (out->ndim - in[0].ndim);
        add_axis(&v, out->shape[i], to[i], own < 0 || in[0].shape[own] == 1 ? 0 : from[own]);
    }
    copy_all(&v, out, 0, &in[0], 0);
    return 0;
}

int kp_ref_cast(const kp_node *n, const kp_tensor *in, int n_in, kp_tensor *out)
{
    (void)n;
    (void)n_in;
    return kp_convert(out->dtype, out->data, in[0].dtype, in[0].data, (size_t)kp_tensor_count(out));
}
