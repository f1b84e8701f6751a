/* ref: known values, rows that do not depend on the batch, every case of the table. */
#include "backend/backend.h"
#include "backend/op_cases.h"
#include "backend/op_text.h"
#include "backend/op_wild.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#define OK(call)                                                                                   \
    do {                                                                                           \
        if ((call) != 0)                                                                           \
            fail_msg("%s: %s", #call, kp_errmsg());                                                \
    } while (0)

static void *array(size_t bytes)
{
    void *p = aligned_alloc(64, bytes / 64 * 64 + 64);
    assert_non_null(p);
    memset(p, 0xa5, bytes);
    return p;
}

/* Compiles for max_batch and runs `batch` rows; the result is to be freed. */
static void *run_rows(op_case *c, int64_t max_batch, int64_t batch, void *const *in)
{
    kp_exec *e;
    size_t bytes;
    const kp_compile_options opt = {sizeof opt, max_batch, 1};
    OK(kp_backend_ref.compile(&e, c->g, &opt));
    assert_true(kp_value_bytes(c->result, batch, &bytes));
    void *out = array(bytes);
    OK(kp_backend_ref.run(e, (const void *const *)in, &out, batch));
    kp_backend_ref.close(&e);
    assert_null(e);
    return out;
}

/* Each case: a row alone gives the bytes that it gives in a batch of 3. */
static void rows_do_not_depend_on_the_batch(void **state)
{
    (void)state;
    for (int i = 0; i < OP_CASES_COUNT; i++) {
        op_case c;
        void *in[OP_TEXT_INPUTS] = {NULL}, *one[OP_TEXT_INPUTS] = {NULL};
        size_t row, in_row;
        if (op_case_open(&c, op_cases[i], NULL) != 0)
            fail_msg("%s: %s", op_cases[i], kp_errmsg());
        OK(op_case_inputs(&c, 3, 42, in));
        uint8_t *three = run_rows(&c, 3, 3, in);
        assert_true(kp_value_bytes(c.result, 1, &row));
        for (int64_t r = 0; r < 3; r++) {
            for (int k = 0; k < c.g->n_inputs; k++) {
                assert_true(kp_value_bytes(c.g->inputs[k], 1, &in_row));
                one[k] = (char *)in[k] + (size_t)r * in_row;
            }
            uint8_t *alone = run_rows(&c, 5, 1, one);
            if (memcmp(alone, three + (size_t)r * row, row) != 0)
                fail_msg("row %d differs: %s", (int)r, op_cases[i]);
            free(alone);
        }
        free(three);
        for (int k = 0; k < c.g->n_inputs; k++)
            free(in[k]);
        op_case_close(&c);
    }
}

/* Every operation and every elementwise function has a case. */
static void table_is_complete(void **state)
{
    (void)state;
    bool ops[KP_OP_COUNT] = {[KP_OP_INPUT] = true, [KP_OP_CONST] = true, [KP_OP_KERNEL] = true};
    bool acts[KP_ACT_COUNT] = {[KP_ACT_NONE] = true,       [KP_ACT_SQRT] = true,
                               [KP_ACT_RSQRT] = true,      [KP_ACT_LOG] = true,
                               [KP_ACT_RECIPROCAL] = true, [KP_ACT_ASIN] = true,
                               [KP_ACT_ACOS] = true,       [KP_ACT_ACOSH] = true,
                               [KP_ACT_ATANH] = true,      [KP_ACT_LOG1P] = true,
                               [KP_ACT_LOG2] = true,       [KP_ACT_LOG10] = true,
                               [KP_ACT_ERFINV] = true,     [KP_ACT_LGAMMA] = true,
                               [KP_ACT_DIGAMMA] = true}; /* poles: below */
    for (int i = 0; i < OP_CASES_COUNT; i++) {
        op_case c;
        OK(op_case_open(&c, op_cases[i], NULL));
        ops[c.proto.op] = true;
        if (c.proto.op == KP_OP_UNARY)
            acts[c.proto.attr.unary.act.kind] = true;
        op_case_close(&c);
    }
    for (int i = 0; i < KP_OP_COUNT; i++) {
        if (!ops[i])
            fail_msg("no case for %s", kp_op_name((kp_op)i));
    }
    for (int i = 0; i < KP_ACT_COUNT; i++) {
        if (!acts[i])
            fail_msg("no case for %s", kp_act_name((kp_act_kind)i));
    }
}

static void known_functions(void **state)
{
    (void)state;
    static const struct {
        kp_act act;
        double x, y;
    } t[] = {
        {{KP_ACT_RELU, 0, INFINITY, 0}, -2, 0},
        {{KP_ACT_RELU, 0, 6, 0}, 7, 6},
        {{KP_ACT_RELU, 0.25f, INFINITY, 0}, -2, -0.5},
        {{KP_ACT_RELU, 0, INFINITY, 1}, 0.5, 0},
        {{KP_ACT_RELU, 0.5f, INFINITY, 1}, 0.5, -0.25},
        {{KP_ACT_RELU, 0, INFINITY, -1}, -0.5, -0.5},
        {{KP_ACT_SQRT, 0, 0, 0}, 9, 3},
        {{KP_ACT_RSQRT, 0, 0, 0}, 4, 0.5},
        {{KP_ACT_LOG, 0, 0, 0}, 1, 0},
        {{KP_ACT_RECIPROCAL, 0, 0, 0}, 4, 0.25},
        {{KP_ACT_ASIN, 0, 0, 0}, 1, M_PI_2},
        {{KP_ACT_ACOS, 0, 0, 0}, -1, M_PI},
        {{KP_ACT_ACOSH, 0, 0, 0}, 2, 1.3169578969248168},
        {{KP_ACT_ATANH, 0, 0, 0}, -0.5, -0.54930614433405489},
        {{KP_ACT_LOG1P, 0, 0, 0}, 1, M_LN2},
        {{KP_ACT_LOG2, 0, 0, 0}, 8, 3},
        {{KP_ACT_LOG10, 0, 0, 0}, 0.01, -2},
        {{KP_ACT_ERFINV, 0, 0, 0}, 0.25, 0.22531205501217808},
        {{KP_ACT_ERFINV, 0, 0, 0}, -0.999, -2.3267537655135246},
        {{KP_ACT_LGAMMA, 0, 0, 0}, -0.5, 1.2655121234846454},
        {{KP_ACT_DIGAMMA, 0, 0, 0}, 1, -0.57721566490153286},
        {{KP_ACT_DIGAMMA, 0, 0, 0}, -0.5, 0.036489973978576520},
        {{KP_ACT_I0, 0, 0, 0}, -2, 2.2795853023360673},
        {{KP_ACT_ROUND, 0, 0, 0}, -2.5, -2},
        {{KP_ACT_SIGMOID, 0, 0, 0}, 0, 0.5},
        {{KP_ACT_SIGMOID, 0, 0, 0}, -1000, 0},
        {{KP_ACT_SOFTPLUS, 0, 0, 0}, 1000, 1000},
        {{KP_ACT_THRESHOLD, 2, -7, 0}, 2, -7},
        {{KP_ACT_LINEAR, 0.5f, -1, 0}, 4, 1},
        {{KP_ACT_SPARSE_PLUS, 0, 0, 0}, 0, 0.25},
        {{KP_ACT_SOFT_SHRINK, 0.5f, 0, 0}, -2, -1.5},
    };
    for (size_t i = 0; i < sizeof t / sizeof t[0]; i++) {
        double y = kp_act_apply(&t[i].act, t[i].x);
        if (fabs(y - t[i].y) > 1e-12)
            fail_msg("%s(%g) = %g, not %g", kp_act_name(t[i].act.kind), t[i].x, y, t[i].y);
    }
    const kp_act relu = {KP_ACT_RELU, 0, INFINITY, 0};
    assert_true(isnan(kp_act_apply(&relu, NAN)));
}

/* Other float types are computed in float32 and rounded once. */
static void half_types(void **state)
{
    (void)state;
    op_case c;
    void *in[OP_TEXT_INPUTS] = {NULL};
    OK(op_case_open(&c, "dense in:B,7:float16 const:7,5 const:5", NULL));
    assert_int_equal(c.result->dtype, KP_FLOAT16);
    OK(op_case_inputs(&c, 2, 7, in));
    uint16_t *out = run_rows(&c, 2, 2, in);
    const float *w = c.constants[1], *b = c.constants[2];
    for (int r = 0; r < 2; r++) {
        for (int o = 0; o < 5; o++) {
            double v = 0;
            for (int k = 0; k < 7; k++)
                v += (double)kp_half_to_float(((uint16_t *)in[0])[r * 7 + k]) * w[k * 5 + o];
            assert_int_equal(out[r * 5 + o], kp_float_to_half((float)(v + b[o])));
        }
    }
    free(out);
    free(in[0]);
    op_case_close(&c);
}

/* A chain in which memory is shared, an output is used again, given twice and an input passes. */
static void runs_graphs(void **state)
{
    (void)state;
    kp_graph *g;
    kp_value *x, *a, *flat, *b, *k;
    const int64_t shape[] = {KP_DIM_BATCH, 2, 3};
    static const float two = 2;
    OK(kp_graph_new(&g));
    OK(kp_graph_add_input(g, "x", KP_FLOAT32, shape, 3, &x));
    OK(kp_graph_add_const(g, "two", KP_FLOAT32, shape, 0, &two, &k));
    kp_node mul = {.op = KP_OP_BINARY, .attr.binary.kind = KP_BIN_MUL};
    kp_node reshape = {.op = KP_OP_RESHAPE, .attr.reshape = {.keep = 1, .n = 1, .dims = {-1}}};
    kp_node neg = {.op = KP_OP_UNARY, .attr.unary.act.kind = KP_ACT_NEG};
    OK(kp_graph_add(g, &mul, (kp_value *[]){x, k}, 2, &a));
    OK(kp_graph_add(g, &reshape, (kp_value *[]){a}, 1, &flat));
    OK(kp_graph_add(g, &neg, (kp_value *[]){flat}, 1, &b));
    OK(kp_graph_set_outputs(g, (kp_value *[]){b, x, b, k, flat}, 5));
    kp_exec *e;
    const kp_compile_options opt = {sizeof opt, 4, 1};
    OK(kp_backend_ref.compile(&e, g, &opt));
    float *in = array(48), *out[5];
    for (int i = 0; i < 5; i++)
        out[i] = array(48);
    for (int i = 0; i < 12; i++)
        in[i] = (float)i;
    OK(kp_backend_ref.run(e, (const void *[]){in}, (void *const *)out, 2));
    for (int i = 0; i < 12; i++) {
        assert_true(out[0][i] == -2 * (float)i && out[2][i] == -2 * (float)i);
        assert_true(out[1][i] == (float)i && out[4][i] == 2 * (float)i);
    }
    assert_true(out[3][0] == 2);
    assert_int_equal(kp_backend_ref.run(e, (const void *[]){in}, (void *const *)out, 5), KP_EINVAL);
    kp_backend_ref.close(&e);
    kp_graph_free(&g);
    free(in);
    for (int i = 0; i < 5; i++)
        free(out[i]);
}

/* Constants in a mapped file may lie anywhere. */
static void unaligned_constants(void **state)
{
    (void)state;
    op_case c;
    void *in[OP_TEXT_INPUTS] = {NULL};
    OK(op_case_open(&c, "dense in:B,3 const:3,2", NULL));
    OK(op_case_inputs(&c, 1, 1, in));
    float *want = run_rows(&c, 1, 1, in);
    char moved[25];
    memcpy(moved + 1, c.constants[1], 24);
    c.g->nodes[1]->output->data = moved + 1;
    float *got = run_rows(&c, 1, 1, in);
    assert_memory_equal(want, got, 8);
    const float *f = kp_graph_const_f32(c.g, c.g->nodes[1]->output);
    assert_non_null(f);
    assert_int_equal((uintptr_t)f % 64, 0);
    assert_memory_equal(f, c.constants[1], 24);
    free(want);
    free(got);
    free(in[0]);
    op_case_close(&c);
}

/* What inference accepts can be computed: every size and offset holds (under the address sanitizer
 * this is the proof), and the two rows of equal numbers give equal bytes. */
static void computes_what_inference_accepts(void **state)
{
    (void)state;
    int computed = 0;
    for (uint64_t seed = 0; seed < 60000; seed++) {
        kp_graph *g = op_wild_graph(seed);
        if (g == NULL || !op_wild_is_small(g)) {
            kp_graph_free(&g);
            continue;
        }
        size_t in_row, out_row;
        assert_true(kp_value_bytes(g->inputs[0], 1, &in_row));
        assert_true(kp_value_bytes(g->outputs[0], 1, &out_row));
        float *in = array(2 * in_row);
        for (size_t i = 0; i < in_row / 4; i++)
            in[i] = (float)(i * 31 % 17) - 8;
        memcpy((char *)in + in_row, in, in_row);
        char *out = array(2 * out_row);
        kp_exec *e;
        const kp_compile_options opt = {sizeof opt, 2, 1};
        OK(kp_backend_ref.compile(&e, g, &opt));
        OK(kp_backend_ref.run(e, (const void *[]){in}, (void *const[]){out}, 2));
        if (g->outputs[0]->ndim > 0 && g->outputs[0]->shape[0] == KP_DIM_BATCH)
            assert_memory_equal(out, out + out_row, out_row);
        kp_backend_ref.close(&e);
        kp_graph_free(&g);
        free(in);
        free(out);
        computed++;
    }
    assert_true(computed > 1500);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(table_is_complete),
        cmocka_unit_test(known_functions),
        cmocka_unit_test(rows_do_not_depend_on_the_batch),
        cmocka_unit_test(computes_what_inference_accepts),
        cmocka_unit_test(half_types),
        cmocka_unit_test(runs_graphs),
        cmocka_unit_test(unaligned_constants),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
