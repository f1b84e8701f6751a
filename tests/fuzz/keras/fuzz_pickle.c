/* A pickle of model.weights.npz: every array that it holds is read to its end. */
#include "keras/pickle.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size);

static int take(void *ctx, const char *key, const kp_weight *array)
{
    unsigned *sum = ctx;
    size_t expected;
    if (!kp_shape_bytes(array->shape, array->ndim, array->dtype, &expected) ||
        expected != array->size_bytes)
        abort();
    *sum += (unsigned)strlen(key);
    for (size_t i = 0; i < array->size_bytes; i++)
        *sum += ((const uint8_t *)array->data)[i];
    return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
    kp_arena *mem;
    unsigned sum = 0;
    if (kp_arena_new(&mem, 256 << 20) != 0)
        abort();
    kp_pickle_arrays(mem, bytes, size, take, &sum);
    kp_arena_free(&mem);
    /* Keeps the reads of the data. */
    return sum == 0xffffffffu ? -1 : 0;
}
