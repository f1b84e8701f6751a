/* A run allocates nothing: the linker sends our objects' calls of malloc and its kin through the
 * counters here. */
#include "backend/backend.h"
#include "backend/op_text.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

static atomic_long calls;

void *__real_malloc(size_t size);
void *__real_calloc(size_t n, size_t size);
void *__real_realloc(void *p, size_t size);
void *__real_aligned_alloc(size_t align, size_t size);
void __real_free(void *p);
void *__wrap_malloc(size_t size);
void *__wrap_calloc(size_t n, size_t size);
void *__wrap_realloc(void *p, size_t size);
void *__wrap_aligned_alloc(size_t align, size_t size);
void __wrap_free(void *p);

void *__wrap_malloc(size_t size)
{
    atomic_fetch_add(&calls, 1);
    return __real_malloc(size);
}

void *__wrap_calloc(size_t n, size_t size)
{
    atomic_fetch_add(&calls, 1);
    return __real_calloc(n, size);
}

void *__wrap_realloc(void *p, size_t size)
{
    atomic_fetch_add(&calls, 1);
    return __real_realloc(p, size);
}

void *__wrap_aligned_alloc(size_t align, size_t size)
{
    atomic_fetch_add(&calls, 1);
    return __real_aligned_alloc(align, size);
}

void __wrap_free(void *p)
{
    atomic_fetch_add(&calls, 1);
    __real_free(p);
}

static const char *const lines[] = {
    "conv in:B,9,9,16 const:3,3,16,8 const:8 size=3,3 pad=same act=mish",
    "dense in:B,17 const:17,7 none act=sigmoid",
    "matmul in:B,3,9,17 in:B,3,17,35",
    "pool in:B,9,8,17 size=3,3 stride=2,2 pad=same kind=max",
    "reduce in:B,7,7,32 kind=mean axes=1,2",
    "softmax in:B,10 axes=1",
    "binary in:B,7,9,5 in:B,1,1,5 kind=mul",
    "concat in:B,7,9,5 in:B,7,9,17 axis=3",
    "map in:B,4,7,6,3 body=conv",
    "scan in:B,6,5 in:B,7 seq=1 states=1 body=cell",
    "pad in:B,7,9,3 before=0,1,1,0 after=0,1,1,0",
};

static void run_allocates_nothing(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof lines / sizeof *lines; i++) {
        op_case c;
        kp_exec *e;
        void *in[OP_TEXT_INPUTS] = {NULL}, *out;
        size_t bytes;
        const kp_compile_options opt = {sizeof opt, 8, 2};
        assert_int_equal(op_case_open(&c, lines[i], NULL), 0);
        assert_int_equal(op_case_inputs(&c, 8, 1, in), 0);
        assert_true(kp_value_bytes(c.result, 8, &bytes));
        assert_non_null(out = aligned_alloc(64, (bytes + 63) / 64 * 64));
        assert_int_equal(kp_backend_cpu.compile(&e, c.g, &opt), 0);
        assert_true(atomic_load(&calls) > 0);
        atomic_store(&calls, 0);
        for (int64_t n = 1; n <= 8; n++)
            assert_int_equal(kp_backend_cpu.run(e, (const void *const *)in, &out, n), 0);
        if (atomic_load(&calls) != 0)
            fail_msg("%ld calls: %s", atomic_load(&calls), lines[i]);
        kp_backend_cpu.close(&e);
        free(out);
        for (int k = 0; k < c.g->n_inputs; k++)
            free(in[k]);
        op_case_close(&c);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(run_allocates_nothing)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
