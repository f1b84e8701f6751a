/* Which table of kernels this machine takes, and the packing of dense weights. */
#include "backend/cpu/kernels.h"

#include <stdlib.h>
#include <strings.h>

const kp_kernels *kp_kernels_get(void)
{
    const kp_machine *machine = kp_machine_get();
    const char *cap = getenv("ONEDNN_MAX_CPU_ISA");
    bool most_sse = cap != NULL && strcasecmp(cap, "SSE41") == 0;
    bool most_avx2 =
        cap != NULL && strncasecmp(cap, "AVX", 3) == 0 && strncasecmp(cap, "AVX512", 6) != 0;
    if (machine->avx512 && !most_sse && !most_avx2)
        return &kp_kernels_avx512;
    if (machine->avx2 && machine->fma && !most_sse)
        return &kp_kernels_avx2;
    return machine->sse41 ? &kp_kernels_sse41 : NULL;
}

bool kp_kernels_has_act(kp_act_kind kind)
{
    switch (kind) {
    case KP_ACT_NONE:
    case KP_ACT_RELU:
    case KP_ACT_ELU:
    case KP_ACT_SELU:
    case KP_ACT_GELU:
    case KP_ACT_GELU_TANH:
    case KP_ACT_SILU:
    case KP_ACT_HARD_SILU:
    case KP_ACT_MISH:
    case KP_ACT_SIGMOID:
    case KP_ACT_HARD_SIGMOID:
    case KP_ACT_TANH:
    case KP_ACT_SOFTSIGN:
    case KP_ACT_EXP:
    case KP_ACT_NEG:
    case KP_ACT_ABS:
    case KP_ACT_SQUARE:
    case KP_ACT_SQRT:
    case KP_ACT_RECIPROCAL:
    case KP_ACT_LINEAR:
        return true;
    default:
        return false;
    }
}

size_t kp_dense_packed_floats(const kp_kernels *t, int64_t k, int64_t n)
{
    int64_t panels = (n + t->panel - 1) / t->panel;
    return (size_t)(panels * t->panel * k);
}

void kp_dense_pack(const kp_kernels *t, float *packed, const void *w, int64_t k, int64_t n,
                   int64_t row0, int64_t row1)
{
    const uint8_t *src = w;
    for (int64_t at = 0; at < n; at += t->panel) {
        size_t width = (size_t)(n - at < t->panel ? n - at : t->panel);
        float *to = packed + at * k + row0 * t->panel;
        for (int64_t row = row0; row < row1; row++) {
            memcpy(to, src + (size_t)(row * n + at) * sizeof *to, width * sizeof *to);
            memset(to + width, 0, ((size_t)t->panel - width) * sizeof *to);
            to += t->panel;
        }
    }
}

float *kp_floats_new(size_t n)
{
    enum { ALIGN = 64 };
    size_t bytes;
    if (!kp_mul_size(n, sizeof(float), &bytes) || !kp_add_size(bytes, ALIGN - 1, &bytes))
        return NULL;
    return aligned_alloc(ALIGN, bytes & ~(size_t)(ALIGN - 1));
}

float *kp_dense_bias(const kp_kernels *t, const float *bias, int64_t n)
{
    size_t padded = (size_t)(n + t->panel);
    float *copy = kp_floats_new(padded);
    if (copy != NULL) {
        memset(copy, 0, padded * sizeof *copy);
        memcpy(copy, bias, (size_t)n * sizeof *copy);
    }
    return copy;
}
