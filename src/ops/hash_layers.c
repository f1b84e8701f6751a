/* The hashing layers: Hashing and HashedCrossing. */
#include "ops/ops.h"

static bool is_whole(kp_dtype t)
{
    return t >= KP_INT8 && t <= KP_UINT64;
}

static int infer_hash(const kp_node *n, kp_value *out, int64_t *next_symbol)
{
    const kp_hash *p = n->attr.kernel.params;
    const kp_value *x = n->n_inputs == 1 ? n->inputs[0] : NULL;
    (void)next_symbol;
    if (x == NULL || p->hashing.bins == 0 || p->hashing.bins > INT64_MAX)
        return kp_node_fail(n, KP_EINVAL, "hashing takes one input and at least one bin");
    out->dtype = KP_INT64;
    out->ndim = x->ndim;
    memcpy(out->shape, x->shape, sizeof out->shape);
    return 0;
}

/* What TensorFlow's as_string makes of an element; *masked: it is the mask value. */
static kp_text text_of(const kp_hash *p, const kp_tensor *x, int64_t i, char *buf, bool *masked)
{
    if (x->dtype == KP_STRING) {
        kp_text t = ((const kp_text *)x->data)[i];
        *masked = p->masked && t.size == p->mask.size && memcmp(t.data, p->mask.data, t.size) == 0;
        return t;
    }
    const char *at = (const char *)x->data + (size_t)i * kp_dtype_size(x->dtype);
    *masked = p->masked && kp_tensor_get(x, i) == p->mask_number;
    if (x->dtype == KP_BOOL)
        return *at ? (kp_text){"true", 4} : (kp_text){"false", 5};
    if (x->dtype == KP_UINT64) {
        uint64_t u;
        memcpy(&u, at, sizeof u);
        return (kp_text){buf, (size_t)snprintf(buf, KP_DECIMAL, "%llu", (unsigned long long)u)};
    }
    int64_t v = 0;
    kp_convert(KP_INT64, &v, x->dtype, at, 1);
    return kp_decimal(v, buf);
}

static int run_hash(const void *params, const kp_tensor *in, int n_in, kp_tensor *out)
{
    const kp_hash *p = params;
    int64_t n = kp_tensor_count(out), *to = out->data;
    char buf[KP_DECIMAL];
    bool masked = false;
    (void)n_in;
    for (int64_t i = 0; i < n; i++) {
        kp_text t = text_of(p, in, i, buf, &masked);
        to[i] = masked ? 0 : kp_hash_bin(&p->hashing, t) + (p->masked ? 1 : 0);
    }
    return 0;
}

const kp_kernel_def kp_kernel_hash = {.name = "hash", .infer = infer_hash, .run = run_hash};

/* ---- HashedCrossing ---- */

static int infer_cross(const kp_node *n, kp_value *out, int64_t *next_symbol)
{
    const kp_cross *p = n->attr.kernel.params;
    const kp_value *first = n->n_inputs > 0 ? n->inputs[0] : NULL;
    (void)next_symbol;
    if (n->n_inputs < 2 || p->bins == 0 || p->bins > INT64_MAX)
        return kp_node_fail(n, KP_EINVAL, "a crossing takes two inputs and at least one bin");
    for (int i = 0; i < n->n_inputs; i++) {
        const kp_value *x = n->inputs[i];
        if (x == NULL || (x->dtype != KP_STRING && !is_whole(x->dtype)) || x->ndim != first->ndim ||
            memcmp(x->shape, first->shape, (size_t)x->ndim * sizeof *x->shape) != 0)
            return kp_node_fail(n, KP_EINVAL, "a crossing takes strings or integers of one shape");
    }
    out->dtype = KP_INT64;
    out->ndim = first->ndim;
    memcpy(out->shape, first->shape, sizeof out->shape);
    return 0;
}

/* TensorFlow's FingerprintCat64. */
static uint64_t join(uint64_t a, uint64_t b)
{
    const uint64_t mul = 0xc6a4a7935bd1e995u;
    uint64_t r = a ^ mul;
    r ^= ((b * mul) ^ (b * mul) >> 47) * mul;
    r *= mul;
    r = (r ^ r >> 47) * mul;
    return r ^ r >> 47;
}

static uint64_t feature(const kp_tensor *x, int64_t i)
{
    if (x->dtype == KP_STRING) {
        kp_text t = ((const kp_text *)x->data)[i];
        return kp_fingerprint64(t.data, t.size);
    }
    int64_t v = 0;
    kp_convert(KP_INT64, &v, x->dtype, (const char *)x->data + (size_t)i * kp_dtype_size(x->dtype),
               1);
    return (uint64_t)v;
}

static int run_cross(const void *params, const kp_tensor *in, int n_in, kp_tensor *out)
{
    const kp_cross *p = params;
    int64_t n = kp_tensor_count(out), *to = out->data;
    for (int64_t i = 0; i < n; i++) {
        uint64_t h = 0xDECAFCAFFEu; /* TensorFlow's default key */
        for (int k = 0; k < n_in; k++)
            h = join(h, feature(&in[k], i));
        to[i] = (int64_t)(h % p->bins);
    }
    return 0;
}

const kp_kernel_def kp_kernel_cross = {.name = "cross", .infer = infer_cross, .run = run_cross};
