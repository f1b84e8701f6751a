/* Keras' promotion of types: the lattice of JAX, in which a Python number gives way to a tensor. */
#include "lower/build.h"

enum { NODES = KP_LW_WEAK_FLOAT + 1 };

/* The types right above each in the lattice. */
static unsigned next_above(int node)
{
    switch (node) {
    case KP_BOOL:
        return 1u << KP_LW_WEAK_INT;
    case KP_LW_WEAK_INT:
        return 1u << KP_UINT8 | 1u << KP_INT8;
    case KP_UINT8:
        return 1u << KP_INT16 | 1u << KP_UINT16;
    case KP_UINT16:
        return 1u << KP_INT32 | 1u << KP_UINT32;
    case KP_UINT32:
        return 1u << KP_INT64 | 1u << KP_UINT64;
    case KP_INT8:
        return 1u << KP_INT16;
    case KP_INT16:
        return 1u << KP_INT32;
    case KP_INT32:
        return 1u << KP_INT64;
    case KP_INT64:
    case KP_UINT64:
        return 1u << KP_LW_WEAK_FLOAT;
    case KP_LW_WEAK_FLOAT:
        return 1u << KP_BFLOAT16 | 1u << KP_FLOAT16;
    case KP_BFLOAT16:
    case KP_FLOAT16:
        return 1u << KP_FLOAT32;
    case KP_FLOAT32:
        return 1u << KP_FLOAT64;
    default:
        return 0;
    }
}

/* The type itself and all above it. */
static unsigned bounds_of(int node)
{
    unsigned above = 1u << node, next = next_above(node);
    for (int i = 0; i < NODES; i++)
        if (next >> i & 1)
            above |= bounds_of(i);
    return above;
}

/* The common bound that lies below all other common bounds. */
static int least_bound(unsigned common)
{
    for (int i = 0; i < NODES; i++)
        if ((common >> i & 1) && (common & ~bounds_of(i)) == 0)
            return i;
    return KP_DTYPE_NONE;
}

/* Weak types become those of floatx; 64 bits without a sign become 32, as with JAX. */
static kp_dtype resolve(int node)
{
    switch (node) {
    case KP_LW_WEAK_INT:
        return KP_INT32;
    case KP_LW_WEAK_FLOAT:
        return KP_FLOAT32;
    case KP_UINT64:
        return KP_UINT32;
    default:
        return (kp_dtype)node;
    }
}

int kp_lw_result_type(const int *types, int n, kp_dtype *out)
{
    unsigned common = ~0u;
    bool same = true;
    for (int i = 0; i < n; i++) {
        common &= bounds_of(types[i]);
        same = same && types[i] == types[0];
    }
    *out = resolve(same ? types[0] : least_bound(common));
    if (*out != KP_DTYPE_NONE)
        return 0;
    return kp_fail(KP_EMODEL, "the types %s and %s have no common type",
                   kp_dtype_name((kp_dtype)types[0]), kp_dtype_name((kp_dtype)types[n - 1]));
}
