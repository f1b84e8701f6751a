/* Elements of tensors of any type, and steps through them: what plain implementations share. Part
 * of base.h. */
#ifndef KP_BASE_WALK_H
#define KP_BASE_WALK_H

/* Elements of a tensor whose sizes are all known. */
static inline int64_t kp_tensor_count(const kp_tensor *t)
{
    int64_t n = 1;
    for (int i = 0; i < t->ndim; i++)
        n *= t->shape[i];
    return n;
}

/* An element of any type as double (64-bit integers beyond 2^53 are rounded: kp_tensor_get_int). */
static inline double kp_tensor_get(const kp_tensor *t, int64_t i)
{
    if (t->dtype == KP_FLOAT32)
        return (double)((const float *)t->data)[i];
    double v = 0;
    kp_convert(KP_FLOAT64, &v, t->dtype,
               (const char *)t->data + (size_t)i * kp_dtype_size(t->dtype), 1);
    return v;
}

static inline void kp_tensor_put(kp_tensor *t, int64_t i, double v)
{
    if (t->dtype == KP_FLOAT32)
        ((float *)t->data)[i] = (float)v;
    else
        kp_convert(t->dtype, (char *)t->data + (size_t)i * kp_dtype_size(t->dtype), KP_FLOAT64, &v,
                   1);
}

static inline bool kp_dtype_is_integer(kp_dtype t)
{
    return t >= KP_BOOL && t <= KP_UINT64;
}

/* An integer or boolean element, exactly (of uint64 the same bits). */
static inline int64_t kp_tensor_get_int(const kp_tensor *t, int64_t i)
{
    switch (t->dtype) {
    case KP_BOOL:
        return ((const uint8_t *)t->data)[i] != 0;
    case KP_INT8:
        return ((const int8_t *)t->data)[i];
    case KP_INT16:
        return ((const int16_t *)t->data)[i];
    case KP_INT32:
        return ((const int32_t *)t->data)[i];
    case KP_UINT8:
        return ((const uint8_t *)t->data)[i];
    case KP_UINT16:
        return ((const uint16_t *)t->data)[i];
    case KP_UINT32:
        return ((const uint32_t *)t->data)[i];
    default:
        return ((const int64_t *)t->data)[i];
    }
}

/* Integers wrap around at the type's width. */
static inline void kp_tensor_put_int(kp_tensor *t, int64_t i, int64_t v)
{
    if (t->dtype == KP_BOOL) {
        ((uint8_t *)t->data)[i] = v != 0;
        return;
    }
    size_t size = kp_dtype_size(t->dtype);
    memcpy((char *)t->data + (size_t)i * size, &v, size); /* little-endian: the low bytes */
}

/* Steps through the places of an array in C order and follows an index into another array whose
 * axes have the given strides (0: that axis stays). */
typedef struct kp_walk {
    int ndim;
    int64_t shape[KP_MAX_DIMS], stride[KP_MAX_DIMS], at[KP_MAX_DIMS];
    int64_t index;
} kp_walk;

void kp_walk_init(kp_walk *w, const int64_t *shape, const int64_t *stride, int ndim);

static inline void kp_walk_next(kp_walk *w)
{
    for (int i = w->ndim - 1; i >= 0; i--) {
        w->index += w->stride[i];
        if (++w->at[i] < w->shape[i])
            return;
        w->index -= w->stride[i] * w->shape[i];
        w->at[i] = 0;
    }
}

/* Strides with which a walk over out's places follows t's elements under NumPy's broadcasting. */
void kp_walk_broadcast(const kp_tensor *t, const kp_tensor *out, int64_t *stride);

#endif
