/* Building, verifying, rewriting, specialising and printing whole graphs. */
#include "graph/graph.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#define OK(call)                                                                                   \
    do {                                                                                           \
        if ((call) != 0)                                                                           \
            fail_msg("%s: %s", #call, kp_errmsg());                                                \
    } while (0)

static const float weights[3 * 3 * 3 * 5];

/* x (N, open, 9, 3) -> conv -> relu -> pool; the values by name. */
struct model {
    kp_graph *g;
    kp_value *x, *k, *conv, *relu, *pool;
};

static void make_model(struct model *m)
{
    const int64_t shape[] = {KP_DIM_BATCH, KP_DIM_UNKNOWN, 9, 3}, kernel[] = {3, 3, 3, 5};
    kp_node conv = {.op = KP_OP_CONV, .name = "m/conv", .attr.conv.groups = 1};
    conv.attr.conv.window = (kp_window){.n_spatial = 2,
                                        .size = {3, 3},
                                        .stride = {2, 2},
                                        .dilation = {1, 1},
                                        .padding = KP_PAD_SAME};
    kp_node relu = {
        .op = KP_OP_UNARY, .name = "m/relu", .attr.unary.act = {KP_ACT_RELU, 0, INFINITY, 0}};
    kp_node pool = {.op = KP_OP_REDUCE,
                    .name = "m/pool",
                    .attr.reduce = {.kind = KP_RED_MEAN, .axes = {2, {1, 2}}}};
    memset(m, 0, sizeof *m);
    OK(kp_graph_new(&m->g));
    OK(kp_graph_add_input(m->g, "x", KP_FLOAT32, shape, 4, &m->x));
    OK(kp_graph_add_const(m->g, "kernel", KP_FLOAT32, kernel, 4, weights, &m->k));
    OK(kp_graph_add(m->g, &conv, (kp_value *[]){m->x, m->k}, 2, &m->conv));
    OK(kp_graph_add(m->g, &relu, &m->conv, 1, &m->relu));
    OK(kp_graph_add(m->g, &pool, &m->relu, 1, &m->pool));
    OK(kp_graph_set_outputs(m->g, &m->pool, 1));
    OK(kp_graph_verify(m->g));
}

static void prints(void **state)
{
    (void)state;
    struct model m;
    kp_buf text = {0};
    make_model(&m);
    OK(kp_graph_print(m.g, &text));
    assert_string_equal(text.data,
                        "%0 = input 0 : float32 (N, ?1, 9, 3) \"x\"\n"
                        "%1 = const : float32 (3, 3, 3, 5) \"kernel\"\n"
                        "%2 = conv %0 %1 window 3x3 stride 2x2 dilation 1x1 same 0:0,1:1 groups 1 "
                        ": float32 (N, ?2, 5, 5) \"m/conv\"\n"
                        "%3 = unary %2 relu(0, inf, 0) : float32 (N, ?2, 5, 5) \"m/relu\"\n"
                        "%4 = reduce %3 mean axes 1,2 : float32 (N, 5) \"m/pool\"\n"
                        "outputs %4\n");
    kp_buf_free(&text);
    kp_graph_free(&m.g);
    assert_null(m.g);
}

/* x (N, T, H, 3), T and H open -> a scan whose body adds a state that begins as zeros. */
static kp_graph *make_loop(bool last_only)
{
    kp_graph *g;
    kp_value *x, *step, *state, *sum, *y;
    const int64_t shape[] = {KP_DIM_BATCH, KP_DIM_UNKNOWN, KP_DIM_UNKNOWN, 3};
    kp_node add = {.op = KP_OP_BINARY, .attr.binary.kind = KP_BIN_ADD};
    kp_node scan = {.op = KP_OP_SCAN,
                    .name = "m/sum",
                    .attr.loop = {.n_seq = 1, .n_state = 1, .last_only = last_only}};
    OK(kp_graph_new(&g));
    OK(kp_graph_add_input(g, "x", KP_FLOAT32, shape, 4, &x));
    OK(kp_graph_new_body(g, &scan.attr.loop.body));
    kp_graph *body = scan.attr.loop.body;
    const int64_t inner[] = {KP_DIM_BATCH, x->shape[2], 3};
    OK(kp_graph_add_input(body, "step", KP_FLOAT32, inner, 3, &step));
    OK(kp_graph_add_input(body, "state", KP_FLOAT32, inner, 3, &state));
    OK(kp_graph_add(body, &add, (kp_value *[]){step, state}, 2, &sum));
    OK(kp_graph_set_outputs(body, (kp_value *[]){sum, sum}, 2));
    OK(kp_graph_add(g, &scan, (kp_value *[]){x, NULL}, 2, &y));
    OK(kp_graph_set_outputs(g, &y, 1));
    OK(kp_graph_verify(g));
    return g;
}

static void loops_have_bodies(void **state)
{
    (void)state;
    kp_graph *g = make_loop(false), *s;
    kp_buf text = {0};
    assert_false(g->specialised);
    kp_port port = {.name = "x", .dtype = KP_FLOAT32, .ndim = 4, .shape = {-1, 7, 5, 3}};
    OK(kp_graph_specialise(&s, g, &port, 1));
    OK(kp_graph_optimise(s, NULL, NULL, NULL, NULL));
    OK(kp_graph_verify(s));
    assert_true(s->specialised);
    OK(kp_graph_print(s, &text));
    assert_string_equal(text.data, "%0 = input 0 : float32 (N, 7, 5, 3) \"x\"\n"
                                   "%1 = scan %0 - sequences 1 states 1 : float32 (N, 7, 5, 3) "
                                   "\"m/sum\"\n"
                                   "  %0 = input 0 : float32 (N, 5, 3) \"step\"\n"
                                   "  %1 = input 1 : float32 (N, 5, 3) \"state\"\n"
                                   "  %2 = binary %0 %1 add : float32 (N, 5, 3)\n"
                                   "  outputs %2 %2\n"
                                   "outputs %1\n");
    assert_true(kp_node_flops(s->nodes[1]) == 7 * 5 * 3);
    kp_buf_free(&text);
    kp_graph_free(&s);
    kp_graph_free(&g);
    g = make_loop(true);
    assert_int_equal(g->outputs[0]->ndim, 3);
    assert_true(g->outputs[0]->shape[1] == g->inputs[0]->shape[2]); /* the same symbol */
    port.shape[1] = 0;
    assert_int_equal(kp_graph_specialise(&s, g, &port, 1), KP_ESHAPE); /* no last step */
    kp_graph_free(&g);
}

/* What does not fit together is refused when the loop is added. */
static void loops_are_checked(void **state)
{
    (void)state;
    kp_graph *g = make_loop(false);
    kp_node scan = *g->nodes[1];
    kp_value *x = g->inputs[0], *y, *other;
    const int64_t shape[] = {KP_DIM_BATCH, 4, 3};
    OK(kp_graph_add_input(g, "other", KP_FLOAT32, shape, 3, &other));
    assert_int_equal(kp_graph_add(g, &scan, (kp_value *[]){other, NULL}, 2, &y), KP_ESHAPE);
    assert_int_equal(kp_graph_add(g, &scan, (kp_value *[]){x, other}, 2, &y), KP_ESHAPE);
    assert_int_equal(kp_graph_add(g, &scan, (kp_value *[]){NULL, NULL}, 2, &y), KP_EINTERNAL);
    scan.attr.loop.n_state = 0;
    assert_int_equal(kp_graph_add(g, &scan, (kp_value *[]){x, NULL}, 2, &y), KP_EINTERNAL);
    scan.attr.loop.body = NULL;
    assert_int_equal(kp_graph_add(g, &scan, (kp_value *[]){x, NULL}, 2, &y), KP_EINTERNAL);
    kp_graph_free(&g);
}

static void specialises(void **state)
{
    (void)state;
    struct model m;
    kp_graph *s;
    make_model(&m);
    assert_false(m.g->specialised);
    kp_port port = {.name = "x", .dtype = KP_FLOAT32, .ndim = 4, .shape = {-1, 8, 9, 3}};
    OK(kp_graph_specialise(&s, m.g, &port, 1));
    OK(kp_graph_verify(s));
    assert_true(s->specialised);
    const kp_value *conv = s->nodes[2]->output;
    assert_int_equal(conv->shape[1], 4);
    assert_int_equal(conv->producer->attr.conv.window.pad_before[0], 0);
    assert_int_equal(conv->producer->attr.conv.window.pad_after[0], 1);
    assert_ptr_equal(s->nodes[1]->output->data, weights);
    kp_graph_free(&s);

    port.shape[2] = 10;
    assert_int_equal(kp_graph_specialise(&s, m.g, &port, 1), KP_ESHAPE);
    assert_null(s);
    assert_string_equal(kp_errmsg(), "input \"x\" has shape (None, 8, 10, 3), the model takes "
                                     "(None, None, 9, 3)");
    port.ndim = 3;
    assert_int_equal(kp_graph_specialise(&s, m.g, &port, 1), KP_ESHAPE);
    assert_int_equal(kp_graph_specialise(&s, m.g, &port, 0), KP_ESHAPE);
    kp_graph_free(&m.g);
}

/* One symbol in two inputs is one size. */
static void symbols_bind_inputs(void **state)
{
    (void)state;
    kp_graph *g, *s;
    kp_value *v[3];
    OK(kp_graph_new(&g));
    const int64_t shape[] = {KP_DIM_BATCH, kp_graph_new_symbol(g)};
    OK(kp_graph_add_input(g, "a", KP_FLOAT32, shape, 2, &v[0]));
    OK(kp_graph_add_input(g, "b", KP_FLOAT32, shape, 2, &v[1]));
    kp_node add = {.op = KP_OP_BINARY, .attr.binary.kind = KP_BIN_ADD};
    OK(kp_graph_add(g, &add, v, 2, &v[2]));
    assert_int_equal(v[2]->shape[1], shape[1]);
    OK(kp_graph_set_outputs(g, &v[2], 1));
    kp_port ports[] = {{.ndim = 2, .shape = {-1, 7}}, {.ndim = 2, .shape = {-1, 1}}};
    assert_int_equal(kp_graph_specialise(&s, g, ports, 2), KP_ESHAPE);
    assert_non_null(strstr(kp_errmsg(), "must have one size, not 1 and 7"));
    ports[1].shape[1] = 7;
    OK(kp_graph_specialise(&s, g, ports, 2));
    assert_true(s->specialised);
    kp_graph_free(&s);
    kp_graph_free(&g);
}

/* Each break of one rule is seen; mending it passes again. */
static void verifier_sees(struct model *m, const char *what)
{
    if (kp_graph_verify(m->g) != KP_EINTERNAL)
        fail_msg("not seen: %s", what);
    assert_non_null(strstr(kp_errmsg(), "broken graph"));
}

static void verifier_sees_broken_graphs(void **state)
{
    (void)state;
    struct model m;
    make_model(&m);
    m.relu->shape[3] = 6;
    verifier_sees(&m, "a shape that does not follow");
    m.relu->shape[3] = 5;
    m.relu->dtype = KP_FLOAT16;
    verifier_sees(&m, "a type that does not follow");
    m.relu->dtype = KP_FLOAT32;
    m.relu->producer->inputs[0] = m.pool;
    verifier_sees(&m, "an input made later");
    m.relu->producer->inputs[0] = m.conv;
    kp_value stranger = *m.conv;
    m.relu->producer->inputs[0] = &stranger;
    verifier_sees(&m, "an input of no graph");
    m.relu->producer->inputs[0] = m.conv;
    m.g->outputs[0] = &stranger;
    verifier_sees(&m, "an output of no graph");
    m.g->outputs[0] = m.pool;
    m.conv->producer->id = 1;
    verifier_sees(&m, "an id out of place");
    m.conv->producer->id = 2;
    m.conv->producer->attr.conv.groups = 2;
    verifier_sees(&m, "an attribute out of range");
    m.conv->producer->attr.conv.groups = 1;
    m.k->data_bytes--;
    verifier_sees(&m, "a constant of another size");
    m.k->data_bytes++;
    m.g->specialised = true;
    verifier_sees(&m, "specialised with open sizes");
    m.g->specialised = false;
    m.g->n_outputs = 0;
    verifier_sees(&m, "no outputs");
    m.g->n_outputs = 1;
    OK(kp_graph_verify(m.g));

    kp_port port = {.ndim = 4, .shape = {-1, 8, 9, 3}};
    struct model s = {0};
    OK(kp_graph_specialise(&s.g, m.g, &port, 1));
    s.g->nodes[2]->attr.conv.window.pad_after[0] = 0;
    verifier_sees(&s, "a padding that does not follow");
    kp_graph_free(&s.g);
    kp_graph_free(&m.g);
}

/* A pass appends nodes and replaces values: the sweep drops the unused and restores the order. */
static void sweeps(void **state)
{
    (void)state;
    struct model m;
    kp_value *tanh_value, *dead;
    make_model(&m);
    kp_node tanh_node = {.op = KP_OP_UNARY, .name = "m/tanh", .attr.unary.act.kind = KP_ACT_TANH};
    OK(kp_graph_add(m.g, &tanh_node, &m.conv, 1, &tanh_value));
    OK(kp_graph_add(m.g, &tanh_node, &m.relu, 1, &dead));
    kp_graph_replace_value(m.g, m.relu, tanh_value);
    assert_int_equal(kp_graph_count_uses(m.g, m.relu), 0);
    assert_int_equal(kp_graph_count_uses(m.g, tanh_value), 2);
    verifier_sees(&m, "a node behind its user");
    OK(kp_graph_sweep(m.g));
    OK(kp_graph_verify(m.g));
    assert_int_equal(m.g->n_nodes, 5);
    assert_ptr_equal(m.g->nodes[3], tanh_value->producer);
    assert_int_equal(kp_graph_count_uses(m.g, tanh_value), 1);

    /* A value that is wrapped: its maker keeps it, everybody else gets the new one. */
    kp_value *wrapped;
    OK(kp_graph_add(m.g, &tanh_node, &m.pool, 1, &wrapped));
    kp_graph_replace_value(m.g, m.pool, wrapped);
    assert_ptr_equal(wrapped->producer->inputs[0], m.pool);
    assert_ptr_equal(m.g->outputs[0], wrapped);
    OK(kp_graph_sweep(m.g));
    OK(kp_graph_verify(m.g));

    tanh_value->producer->inputs[0] = wrapped;
    assert_int_equal(kp_graph_sweep(m.g), KP_EINTERNAL);
    assert_non_null(strstr(kp_errmsg(), "depends on itself"));
    kp_graph_free(&m.g);
}

/* Unused inputs stay: their index is the caller's. */
static void keeps_inputs(void **state)
{
    (void)state;
    struct model m;
    kp_value *unused;
    const int64_t shape[] = {KP_DIM_BATCH, 2};
    make_model(&m);
    OK(kp_graph_add_input(m.g, "unused", KP_INT32, shape, 2, &unused));
    OK(kp_graph_sweep(m.g));
    OK(kp_graph_verify(m.g));
    assert_int_equal(m.g->n_inputs, 2);
    assert_ptr_equal(m.g->values[unused->id], unused);
    kp_graph_free(&m.g);
}

static void refuses_to_build(void **state)
{
    (void)state;
    struct model m;
    kp_value *v;
    make_model(&m);
    const int64_t fixed[] = {2, 3}, negative[] = {3, -5}, large[] = {1LL << 40}, batch[] = {-1};
    assert_int_equal(kp_graph_add_input(m.g, "y", KP_FLOAT32, fixed, 2, &v), KP_ESHAPE);
    assert_int_equal(kp_graph_add_input(m.g, "y", KP_FLOAT32, fixed, 0, &v), KP_ESHAPE);
    assert_int_equal(kp_graph_add_input(m.g, "y", KP_DTYPE_NONE, batch, 1, &v), KP_EUNSUPPORTED);
    assert_int_equal(kp_graph_add_const(m.g, "k", KP_FLOAT32, negative, 2, weights, &v), KP_ESHAPE);
    assert_int_equal(kp_graph_add_const(m.g, "k", KP_FLOAT32, large, 1, weights, &v), KP_ELIMIT);
    assert_int_equal(kp_graph_add_const(m.g, "k", KP_FLOAT32, fixed, 2, NULL, &v), KP_EINVAL);
    assert_int_equal(kp_graph_add_const(m.g, "k", KP_FLOAT32, fixed, 9, weights, &v), KP_ELIMIT);
    kp_node n = {.op = KP_OP_COUNT};
    assert_int_equal(kp_graph_add(m.g, &n, &m.x, 1, &v), KP_EINTERNAL);
    n.op = KP_OP_CONST;
    assert_int_equal(kp_graph_add(m.g, &n, NULL, 0, &v), KP_EINVAL);
    n.op = KP_OP_CONCAT;
    assert_int_equal(kp_graph_add(m.g, &n, &m.x, KP_NODE_INPUTS_MAX + 1, &v), KP_ELIMIT);
    assert_int_equal(kp_graph_set_outputs(m.g, &m.x, 0), KP_ELIMIT);
    OK(kp_graph_verify(m.g));
    assert_null(kp_graph_const_f32(m.g, m.x));
    kp_graph_free(&m.g);
}

/* Constants of other types become float32 once. */
static void constants_as_float(void **state)
{
    (void)state;
    static const double wide[] = {1.5, -2.25, 1e10};
    const int64_t shape[] = {3};
    kp_graph *g;
    kp_value *v;
    OK(kp_graph_new(&g));
    OK(kp_graph_add_const(g, "wide", KP_FLOAT64, shape, 1, wide, &v));
    const float *f = kp_graph_const_f32(g, v);
    assert_non_null(f);
    for (int i = 0; i < 3; i++)
        assert_true(f[i] == (float)wide[i]);
    assert_ptr_equal(kp_graph_const_f32(g, v), f);
    assert_int_equal((uintptr_t)f % 64, 0);
    kp_graph_free(&g);
}

/* ---- the driver of the passes ---- */

static int count_evaluations(void *ctx, kp_graph *g, const kp_node *n, const kp_tensor *in,
                             kp_tensor *out)
{
    (void)g;
    ++*(int *)ctx;
    assert_int_equal(n->op, KP_OP_UNARY);
    ((float *)out->data)[0] = 2 * ((const float *)in[0].data)[0];
    return 0;
}

static void count_pass(void *ctx, const kp_pass *pass, const kp_graph *g, int n_changes)
{
    assert_non_null(pass->name);
    assert_true(n_changes >= 0);
    OK(kp_graph_verify(g));
    ++*(int *)ctx;
}

/* All passes run once, in order, and constants are folded through the given function. */
static void optimises(void **state)
{
    (void)state;
    static const float three = 3;
    const int64_t shape[] = {KP_DIM_BATCH, 1}, one[] = {1};
    const kp_node square = {.op = KP_OP_UNARY, .attr.unary.act.kind = KP_ACT_SQUARE};
    const kp_node max = {.op = KP_OP_BINARY, .attr.binary.kind = KP_BIN_MAX};
    kp_graph *g;
    kp_value *in[2], *v;
    int evaluations = 0, passes = 0, want = 0;
    OK(kp_graph_new(&g));
    OK(kp_graph_add_input(g, "x", KP_FLOAT32, shape, 2, &in[0]));
    OK(kp_graph_add_const(g, "three", KP_FLOAT32, one, 1, &three, &v));
    OK(kp_graph_add(g, &square, &v, 1, &in[1]));
    OK(kp_graph_add(g, &max, in, 2, &v));
    OK(kp_graph_set_outputs(g, &v, 1));
    while (kp_passes[want].name != NULL)
        want++;
    OK(kp_graph_optimise(g, count_evaluations, &evaluations, count_pass, &passes));
    assert_int_equal(passes, want);
    assert_int_equal(evaluations, 1);
    assert_int_equal(g->n_nodes, 3);
    assert_true(kp_graph_const_f32(g, g->outputs[0]->producer->inputs[1])[0] == 6);
    assert_null(g->eval);
    kp_graph_free(&g);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(loops_have_bodies),
        cmocka_unit_test(loops_are_checked),
        cmocka_unit_test(prints),
        cmocka_unit_test(specialises),
        cmocka_unit_test(symbols_bind_inputs),
        cmocka_unit_test(verifier_sees_broken_graphs),
        cmocka_unit_test(sweeps),
        cmocka_unit_test(keeps_inputs),
        cmocka_unit_test(refuses_to_build),
        cmocka_unit_test(constants_as_float),
        cmocka_unit_test(optimises),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
