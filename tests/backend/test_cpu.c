/* cpu: every case of the table against ref, and the row test: a row's bytes depend on nothing but
 * the row, whatever its place, the batch's size and the number of threads. */
#include "backend/backend.h"
#include "backend/op_cases.h"
#include "backend/op_text.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

enum { MAX_BATCH = 11 };

/* Beyond the table: choices that only this backend has. */
static const char *const own_cases[] = {
    /* more columns than are added at once, with a residual */
    "conv in:B,3,3,1200 const:1,1,1200,40 const:40 in:B,3,3,40 size=1,1 pad=valid act=relu:0:inf",
    "conv in:B,5,5,256 const:3,3,256,40 const:40 in:B,5,5,40 size=3,3 pad=same act=relu:0:inf",
    "conv in:B,5,4,256 const:3,2,256,17 size=3,2 stride=2,1 dilation=1,2 pad=1:2,0:1 act=silu",
    "conv in:B,14,13,140 const:1,1,140,70 const:70 size=1,1 stride=2,2 pad=valid act=mish",
    "conv in:B,5,4,3,260 const:2,2,2,260,9 const:9 size=2,2,2 pad=same",
    "conv in:B,14,14,100 const:1,1,100,40 none in:B,14,14,40 size=1,1 pad=same act=silu",
    "dense in:B,1500 const:1500,33 const:33 act=tanh",
    /* matrices that are packed on the way: several, shared, long */
    "matmul in:B,3,9,17 in:B,3,17,35",
    "matmul in:B,3,9,17 in:B,1,17,35",
    "matmul in:B,1,5,7 in:B,3,7,40",
    "matmul in:B,4,1100 in:B,1100,33",
    "matmul in:B,4,6 const:6,33",
    /* work for all threads */
    "conv in:B,40,40,16 const:3,3,16,32 const:32 size=3,3 pad=same act=relu:0:6",
};

enum { OWN_CASES = sizeof own_cases / sizeof *own_cases, ALL_CASES = OP_CASES_COUNT + OWN_CASES };

static const char *case_line(int i)
{
    return i < OP_CASES_COUNT ? op_cases[i] : own_cases[i - OP_CASES_COUNT];
}

typedef struct opened {
    op_case c;
    size_t in_row[OP_TEXT_INPUTS], out_row;
    void *in[OP_TEXT_INPUTS]; /* MAX_BATCH rows */
} opened;

static void open_case(opened *o, const char *line)
{
    memset(o, 0, sizeof *o);
    if (op_case_open(&o->c, line, NULL) != 0 || op_case_inputs(&o->c, MAX_BATCH, 7, o->in) != 0)
        fail_msg("%s: %s", line, kp_errmsg());
    for (int k = 0; k < o->c.g->n_inputs; k++)
        assert_true(kp_value_bytes(o->c.g->inputs[k], 1, &o->in_row[k]));
    assert_true(kp_value_bytes(o->c.result, 1, &o->out_row));
}

static void close_case(opened *o)
{
    for (int k = 0; k < o->c.g->n_inputs; k++)
        free(o->in[k]);
    op_case_close(&o->c);
}

static kp_exec *compiled(const kp_backend *b, opened *o, int64_t max_batch, int threads)
{
    kp_exec *e = NULL;
    const kp_compile_options opt = {sizeof opt, max_batch, threads};
    if (b->compile(&e, o->c.g, &opt) != 0)
        fail_msg("%s: %s", b->name, kp_errmsg());
    return e;
}

/* Rows [first, first + n) into out, which is filled with a pattern before. */
static void run_rows(const kp_backend *b, kp_exec *e, const opened *o, int64_t first, int64_t n,
                     void *out)
{
    const void *in[OP_TEXT_INPUTS];
    for (int k = 0; k < o->c.g->n_inputs; k++)
        in[k] = (const char *)o->in[k] + (size_t)first * o->in_row[k];
    memset(out, 0xa5, (size_t)n * o->out_row);
    if (b->run(e, in, &out, n) != 0)
        fail_msg("%s: %s", b->name, kp_errmsg());
}

static void *room(const opened *o)
{
    void *p = aligned_alloc(64, (MAX_BATCH * o->out_row + 127) / 64 * 64);
    assert_non_null(p);
    return p;
}

/* float32 within rounding of ref's doubles; other types the same. */
static void compare(const opened *o, const void *got, const void *want, const char *line)
{
    size_t bytes = MAX_BATCH * o->out_row;
    if (o->c.result->dtype != KP_FLOAT32) {
        if (memcmp(got, want, bytes) != 0)
            fail_msg("differs from ref: %s", line);
        return;
    }
    double l2 = op_relative_l2(got, want, bytes / sizeof(float));
    if (!(l2 <= 4e-6))
        fail_msg("relative L2 to ref %g: %s", l2, line);
}

static void equals_ref(void **state)
{
    (void)state;
    for (int i = 0; i < ALL_CASES; i++) {
        opened o;
        open_case(&o, case_line(i));
        kp_exec *cpu = compiled(&kp_backend_cpu, &o, MAX_BATCH, 2);
        kp_exec *ref = compiled(&kp_backend_ref, &o, MAX_BATCH, 1);
        void *got = room(&o), *want = room(&o);
        run_rows(&kp_backend_cpu, cpu, &o, 0, MAX_BATCH, got);
        run_rows(&kp_backend_ref, ref, &o, 0, MAX_BATCH, want);
        compare(&o, got, want, case_line(i));
        kp_backend_cpu.close(&cpu);
        kp_backend_ref.close(&ref);
        free(got);
        free(want);
        close_case(&o);
    }
}

/* All rows alone, then every batch size at every first row. */
static void check_rows(opened *o, int threads, int64_t max_batch, const uint8_t *alone,
                       const char *line)
{
    kp_exec *e = compiled(&kp_backend_cpu, o, max_batch, threads);
    uint8_t *out = room(o);
    for (int64_t n = 1; n <= max_batch; n++) {
        for (int64_t first = 0; first + n <= MAX_BATCH; first += n > 4 ? 1 : 2) {
            run_rows(&kp_backend_cpu, e, o, first, n, out);
            if (memcmp(out, alone + (size_t)first * o->out_row, (size_t)n * o->out_row) != 0)
                fail_msg("%d rows from row %d on, %d threads, largest batch %d: %s", (int)n,
                         (int)first, threads, (int)max_batch, line);
        }
    }
    free(out);
    kp_backend_cpu.close(&e);
}

static void rows_depend_on_nothing_else(void **state)
{
    (void)state;
    for (int i = 0; i < ALL_CASES; i++) {
        opened o;
        open_case(&o, case_line(i));
        uint8_t *alone = room(&o), *out = room(&o);
        kp_exec *e = compiled(&kp_backend_cpu, &o, 1, 1);
        for (int64_t r = 0; r < MAX_BATCH; r++) {
            run_rows(&kp_backend_cpu, e, &o, r, 1, out);
            memcpy(alone + (size_t)r * o.out_row, out, o.out_row);
        }
        kp_backend_cpu.close(&e);
        check_rows(&o, 1, MAX_BATCH, alone, case_line(i));
        check_rows(&o, 2, MAX_BATCH, alone, case_line(i));
        check_rows(&o, 3, 8, alone, case_line(i));
        free(alone);
        free(out);
        close_case(&o);
    }
}

/* What the networks of the first release are made of does not fall back to ref. */
static void common_operations_are_fast(void **state)
{
    (void)state;
    static const char *const lines[] = {
        "conv in:B,9,9,16 const:3,3,16,8 const:8 size=3,3 pad=same act=relu:0:6",
        "conv in:B,9,9,16 const:3,3,1,16 const:16 size=3,3 pad=same groups=16",
        "dense in:B,5 const:5,10 const:10 act=relu:0:inf",
        "pool in:B,9,9,16 size=2,2 stride=2,2 pad=valid kind=max",
        "reduce in:B,7,7,32 kind=mean axes=1,2",
        "softmax in:B,10 axes=1",
        "binary in:B,7,7,32 in:B,1,1,32 kind=mul",
        "affine in:B,7,9,17 const:17 const:17 axis=3 act=relu:0:inf",
        "concat in:B,7,9,32 in:B,7,9,16 axis=3",
        "pad in:B,7,9,3 before=0,1,1,0 after=0,1,1,0",
        "reshape in:B,7,9,5 keep=1 dims=-1",
    };
    for (size_t i = 0; i < sizeof lines / sizeof *lines; i++) {
        op_case c;
        if (op_case_open(&c, lines[i], NULL) != 0)
            fail_msg("%s: %s", lines[i], kp_errmsg());
        const char *by = kp_backend_cpu.supports(c.result->producer);
        if (by == NULL || strcmp(by, "ref") == 0)
            fail_msg("falls back to ref: %s", lines[i]);
        op_case_close(&c);
    }
}

/* NaN in a row comes out of it and of no other. */
static void nan_stays_in_its_row(void **state)
{
    (void)state;
    static const char *const lines[] = {"dense in:B,5 const:5,10 const:10 act=relu:0:inf",
                                        "unary in:B,17 act=relu:0:inf",
                                        "unary in:B,17 act=relu:0:6",
                                        "unary in:B,17 act=tanh",
                                        "unary in:B,17 act=hard_sigmoid:0.2:0.5",
                                        "softmax in:B,10 axes=1"};
    for (size_t i = 0; i < sizeof lines / sizeof *lines; i++) {
        opened o;
        open_case(&o, lines[i]);
        float *x = o.in[0], *y = room(&o);
        size_t in_values = o.in_row[0] / sizeof *x, out_values = o.out_row / sizeof *y;
        for (size_t k = 0; k < in_values; k++)
            x[3 * in_values + k] = NAN;
        kp_exec *e = compiled(&kp_backend_cpu, &o, MAX_BATCH, 2);
        run_rows(&kp_backend_cpu, e, &o, 0, MAX_BATCH, y);
        for (size_t r = 0; r < MAX_BATCH; r++) {
            for (size_t k = 0; k < out_values; k++) {
                if (isnan(y[r * out_values + k]) != (r == 3))
                    fail_msg("row %zu: %s", r, lines[i]);
            }
        }
        kp_backend_cpu.close(&e);
        free(y);
        close_case(&o);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(equals_ref),
        cmocka_unit_test(rows_depend_on_nothing_else),
        cmocka_unit_test(common_operations_are_fast),
        cmocka_unit_test(nan_stays_in_its_row),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
