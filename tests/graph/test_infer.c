/* Types and shapes of results, and what is refused: one line a case. */
#include "backend/op_text.h"
#include "backend/op_wild.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

/* Sizes as Keras 3 gives them on TensorFlow. */
static const struct {
    const char *line, *shape;
} shapes[] = {
    {"conv in:B,7,8,3 const:3,3,3,5 size=3,3 pad=valid", "(None, 5, 6, 5)"},
    {"conv in:B,7,8,3 const:3,3,3,5 size=3,3 pad=same", "(None, 7, 8, 5)"},
    {"conv in:B,7,8,3 const:3,3,3,5 size=3,3 stride=2,2 pad=same", "(None, 4, 4, 5)"},
    {"conv in:B,7,8,3 const:3,3,3,5 size=3,3 stride=3,3 pad=same", "(None, 3, 3, 5)"},
    {"conv in:B,7,8,3 const:3,3,3,5 size=3,3 stride=2,2 pad=valid", "(None, 3, 3, 5)"},
    {"conv in:B,7,8,3 const:3,3,3,5 size=3,3 dilation=2,3 pad=valid", "(None, 3, 2, 5)"},
    {"conv in:B,7,8,3 const:7,7,3,5 size=7,7 stride=2,2 pad=3:3,3:3", "(None, 4, 4, 5)"},
    {"conv in:B,7,8,6 const:3,3,2,9 size=3,3 pad=same groups=3", "(None, 7, 8, 9)"},
    {"conv in:B,?,8,3 const:3,3,3,5 size=3,3 stride=2,2 pad=same", "(None, None, 4, 5)"},
    {"conv in:B,9,3 const:4,3,5 size=4 stride=3 pad=same", "(None, 3, 5)"},
    {"conv in:B,0,8,3 const:3,3,3,5 size=3,3 pad=same", "(None, 0, 8, 5)"},
    {"conv_transpose in:B,5,6,7 const:3,3,4,7 size=3,3 stride=2,2 pad=same", "(None, 10, 12, 4)"},
    {"conv_transpose in:B,5,6,7 const:3,3,4,7 size=3,3 stride=2,2 pad=valid", "(None, 11, 13, 4)"},
    {"conv_transpose in:B,5,6,7 const:2,2,4,7 size=2,2 stride=3,3 pad=valid", "(None, 15, 18, 4)"},
    {"conv_transpose in:B,5,6,7 const:3,3,4,7 size=3,3 stride=2,2 pad=same outpad=1,0",
     "(None, 10, 11, 4)"},
    {"conv_transpose in:B,5,?,7 const:3,3,4,7 size=3,3 stride=2,2 pad=same", "(None, 10, None, 4)"},
    {"pool in:B,7,8,3 size=3,3 stride=2,2 pad=same kind=max", "(None, 4, 4, 3)"},
    {"pool in:B,7,8,3 size=2,2 stride=2,2 pad=valid kind=avg", "(None, 3, 4, 3)"},
    {"pool in:B,?,8,? size=2,2 stride=2,2 pad=valid kind=avg", "(None, None, 4, None)"},
    {"dense in:B,4,5 const:5,7 const:7", "(None, 4, 7)"},
    {"dense in:B,?,5 const:5,7", "(None, None, 7)"},
    {"matmul in:B,1,4,5 in:B,3,5,2", "(None, 3, 4, 2)"},
    {"matmul in:B,4,? in:B,5,2", "(None, 4, 2)"},
    {"reduce in:B,7,8,3 kind=mean axes=1,2", "(None, 3)"},
    {"reduce in:B,7,8,3 kind=max axes=1,2 keepdims=1", "(None, 1, 1, 3)"},
    {"reduce in:B,?,8,3 kind=sum axes=1", "(None, 8, 3)"},
    {"binary in:B,7,1,3 in:B,1,8,1 kind=add", "(None, 7, 8, 3)"},
    {"binary in:B,7,3 const:3 kind=mul", "(None, 7, 3)"},
    {"binary in:B,?,3 in:B,7,3 kind=mul", "(None, 7, 3)"},
    {"binary in:B,?,3 in:B,?,1 kind=mul", "(None, None, 3)"},
    {"binary const:1,3 in:B,3 kind=sub", "(None, 3)"},
    {"concat in:B,7,3 in:B,7,5 axis=2", "(None, 7, 8)"},
    {"concat in:B,?,3 in:B,7,5 axis=2", "(None, 7, 8)"},
    {"concat in:B,?,3 in:B,7,3 axis=1", "(None, None, 3)"},
    {"pad in:B,7,3 before=0,1,0 after=0,2,4", "(None, 10, 7)"},
    {"pad in:B,?,3 before=0,1,0 after=0,2,4", "(None, None, 7)"},
    {"slice in:B,7,9 begin=0,1,-4 end=max,-1,max step=1,2,3", "(None, 3, 2)"},
    {"slice in:B,7,9 begin=0,-100,0 end=max,100,max", "(None, 7, 9)"},
    {"reshape in:B,7,8,3 keep=1 dims=-1", "(None, 168)"},
    {"reshape in:B keep=1 dims=-1", "(None, 1)"},
    {"reshape in:B,6,10 keep=1 dims=4,-1,5", "(None, 4, 3, 5)"},
    {"reshape in:B,?,10 keep=1 dims=-1", "(None, None)"},
    {"reshape in:B,?,10 keep=1 dims=5,-1", "(None, 5, None)"},
    {"reshape in:B,?,10 keep=2 dims=5,2", "(None, None, 5, 2)"},
    {"transpose in:B,7,?,3 perm=0,3,1,2", "(None, 3, 7, None)"},
    {"repeat in:B,7,?,3 times=1,2,3,1", "(None, 14, None, 3)"},
    {"resize in:B,?,9,3 kind=bilinear height=5 width=6", "(None, 5, 6, 3)"},
    {"resize in:B,?,9,3 kind=bilinear fh=2 fw=3", "(None, None, 27, 3)"},
    {"broadcast in:B,1,3 shape=B,7,3", "(None, 7, 3)"},
    {"broadcast in:B,?,3 shape=B,?,3", "(None, None, 3)"},
    {"batchnorm in:B,?,5 const:5 const:5:pos axis=2 eps=0.1", "(None, None, 5)"},
    {"layernorm in:B,?,5 const:5 none axes=2 eps=0.1", "(None, None, 5)"},
};

static void gives_shapes(void **state)
{
    (void)state;
    char text[KP_SHAPE_TEXT];
    for (size_t i = 0; i < sizeof shapes / sizeof shapes[0]; i++) {
        op_case c;
        if (op_case_open(&c, shapes[i].line, NULL) != 0)
            fail_msg("%s: %s", shapes[i].line, kp_errmsg());
        kp_shape_text(c.result->shape, c.result->ndim, text, sizeof text);
        if (strcmp(text, shapes[i].shape) != 0)
            fail_msg("%s: %s, not %s", shapes[i].line, text, shapes[i].shape);
        op_case_close(&c);
    }
}

static const struct {
    const char *line;
    int status;
    const char *text; /* part of the message */
} refused[] = {
    {"conv in:B,2,8,3 const:3,3,3,5 size=3,3 pad=valid", KP_ESHAPE, "does not fit in 2 cells"},
    {"conv in:B,7,8,4 const:3,3,3,5 size=3,3 pad=same", KP_ESHAPE, "4 input channels"},
    {"conv in:B,7,8,4 const:3,3,2,5 size=3,3 pad=same groups=2", KP_ESHAPE, "2 groups"},
    {"conv in:B,7,8,? const:3,3,3,5 size=3,3 pad=same", KP_ESHAPE, "channels"},
    {"conv in:B,7,8,3 const:3,2,3,5 size=3,3 pad=same", KP_ESHAPE, "does not fit its window"},
    {"conv in:B,7,3 const:3,3,3,5 size=3,3 pad=same", KP_ESHAPE, "4 dimensions"},
    {"conv in:B,7,8,3 const:3,3,3,5 const:4 size=3,3 pad=same", KP_ESHAPE, "the bias"},
    {"conv in:B,7,8,3 const:3,3,3,5 size=3,3 stride=0,1 pad=same", KP_EINVAL, "stride 0"},
    {"conv in:B,7,8,3 const:3,3,3,5 size=3,3 dilation=1,-1 pad=same", KP_EINVAL, "dilation -1"},
    {"conv in:B,7,8,3 const:3,3,3,5 size=3,3 stride=9999999999,1 pad=same", KP_EINVAL, "stride"},
    {"conv in:B,7,8,3 const:3,3,3,5 size=3,3 pad=9999999999:0,0:0", KP_EINVAL, "padding"},
    {"conv in:B,7,8,3 const:3,3,3,5 none in:B,7,7,5 size=3,3 pad=same", KP_ESHAPE, "residual"},
    {"conv in:B,7,8,3:uint8 const:3,3,3,5 size=3,3 pad=same", KP_EUNSUPPORTED, "uint8"},
    {"conv in:B,7,8,3 size=3,3 pad=same", KP_EINTERNAL, "1 inputs"},
    {"conv in:B,7,8,3 none size=3,3 pad=same", KP_EINTERNAL, "without its input 1"},
    {"conv_transpose in:B,5,6,7 const:3,3,4,5 size=3,3 pad=same", KP_ESHAPE, "7 input channels"},
    {"conv_transpose in:B,2147483647,1,1 const:2,1,1,1 size=2,1 stride=2147483647,1 pad=valid",
     KP_ELIMIT, "too large"},
    {"pool in:B,2,8,3 size=3,3 pad=valid kind=max", KP_ESHAPE, "does not fit"},
    {"pool in:B,7,8,3 size=3,3 dilation=2,2 pad=same kind=max", KP_EUNSUPPORTED, "dilated"},
    {"dense in:B,4 const:5,7", KP_ESHAPE, "(None, 4)"},
    {"dense in:B,? const:5,7", KP_ESHAPE, "do not fit"},
    {"dense in:B const:5,7", KP_ESHAPE, "do not fit"},
    {"matmul in:B,4,5 in:B,6,2", KP_ESHAPE, "sizes 5 and 6"},
    {"matmul in:B,4 in:B,4", KP_EUNSUPPORTED, "over the batch"},
    {"reduce in:B,7,8,3 kind=mean axes=0,1", KP_EUNSUPPORTED, "over the batch"},
    {"reduce in:B,7,8,3 kind=mean axes=1,1", KP_EINVAL, "axis 1"},
    {"reduce in:B,7,8,3 kind=mean axes=4", KP_EINVAL, "axis 4"},
    {"reduce in:B,0,3 kind=max axes=1", KP_ESHAPE, "nothing to reduce"},
    {"reduce in:B,7:uint8 kind=mean axes=1", KP_EUNSUPPORTED, "uint8"},
    {"unary in:B,7:int32 act=exp", KP_EUNSUPPORTED, "int32"},
    {"unary in:B,7 act=elu:nan", KP_EINVAL, "not a number"},
    {"binary in:B,7,3 in:B,8,3 kind=add", KP_ESHAPE, "(None, 7, 3) and (None, 8, 3)"},
    {"binary in:B,5 const:3,5 kind=add", KP_ESHAPE, "do not fit"},
    {"binary in:B,5 const:3,1,5 kind=add", KP_ESHAPE, "axis 1"},
    {"binary in:B,5 in:B,5:int32 kind=add", KP_EUNSUPPORTED, "float32 and int32"},
    {"binary in:B,5:int32 in:B,5:int32 kind=add act=sigmoid", KP_EUNSUPPORTED, "int32"},
    {"concat in:B,7,3 in:B,8,3 axis=2", KP_ESHAPE, "along axis 2"},
    {"concat in:B,7,3 in:B,7,3 axis=0", KP_EUNSUPPORTED, "batch"},
    {"concat in:B,7,3 in:B,7 axis=1", KP_ESHAPE, "joined"},
    {"concat in:B,2147483647 in:B,7 axis=1", KP_ELIMIT, "too large"},
    {"pad in:B,7 before=0,-1", KP_EINVAL, "padding -1"},
    {"pad in:B,7 before=1,0", KP_EUNSUPPORTED, "batch"},
    {"slice in:B,7 begin=0,5 end=max,5", KP_ESHAPE, "nothing remains"},
    {"slice in:B,7 begin=0,9", KP_ESHAPE, "nothing remains"},
    {"slice in:B,7 begin=1,0", KP_EUNSUPPORTED, "batch"},
    {"slice in:B,7 step=1,0", KP_EINVAL, "step 0"},
    {"reshape in:B,7 keep=1 dims=2,-1", KP_ESHAPE, "cannot become"},
    {"reshape in:B,7 keep=1 dims=8", KP_ESHAPE, "cannot become"},
    {"reshape in:B,6 keep=1 dims=-1,-1", KP_EINVAL, "-1"},
    {"reshape in:B,6 keep=1 dims=0,-1", KP_ESHAPE, "cannot become"},
    {"reshape in:B,6 keep=0 dims=-1,3", KP_EUNSUPPORTED, "batch"},
    {"reshape in:B,6 keep=1 dims=2147483647,2147483647,2147483647", KP_ELIMIT, "too large"},
    {"transpose in:B,7,3 perm=0,1,1", KP_EINVAL, "axis 1"},
    {"transpose in:B,7,3 perm=1,0,2", KP_ESHAPE, "batch"},
    {"repeat in:B,7 times=1,0", KP_EINVAL, "0 times"},
    {"repeat in:B,7 times=1,2147483647", KP_ELIMIT, "too large"},
    {"resize in:B,7,9 kind=nearest height=3 width=3", KP_ESHAPE, "images"},
    {"resize in:B,7,9,3 kind=nearest", KP_EINVAL, "factor 0"},
    {"resize in:B,7,9,3 kind=nearest height=3 width=3 crop=1 padar=1", KP_EINVAL, "exclude"},
    {"resize in:B,0,9,3 kind=nearest height=3 width=3", KP_ESHAPE, "without pixels"},
    {"resize in:B,7,9,3:uint8 kind=bilinear height=3 width=3", KP_EUNSUPPORTED, "uint8"},
    {"broadcast in:B,2 shape=B,7", KP_ESHAPE, "axis 1"},
    {"broadcast in:B,2 shape=3,2", KP_ESHAPE, "axis 0"},
    {"batchnorm in:B,5 const:5 const:4:pos axis=1 eps=0.1", KP_ESHAPE, "the moving variance"},
    {"batchnorm in:B,? const:5 const:5:pos axis=1 eps=0.1", KP_ESHAPE, "no known size"},
    {"layernorm in:B,7,5 const:7 none axes=2 eps=0.1", KP_ESHAPE, "gamma"},
    {"softmax in:B,7 axes=0", KP_EUNSUPPORTED, "over the batch"},
    {"cast in:B,7 dtype=string", KP_EUNSUPPORTED, "string"},
    {"pad in:B,7 before=0,1 act=tanh", KP_EINTERNAL, "no fused activation"},
};

static void refuses(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof refused / sizeof refused[0]; i++) {
        op_case c;
        int status = op_case_open(&c, refused[i].line, NULL);
        if (status == 0)
            op_case_close(&c);
        if (status != refused[i].status || strstr(kp_errmsg(), refused[i].text) == NULL)
            fail_msg("%s: %s, \"%s\"", refused[i].line, kp_status_name(status), kp_errmsg());
        assert_non_null(strstr(kp_errmsg(), "layer \""));
    }
}

/* Keras puts the odd cell of SAME at the end; it depends on the input's size. */
static void pads_at_the_end(void **state)
{
    (void)state;
    static const struct {
        const char *line;
        int64_t before[2], after[2];
    } t[] = {
        {"conv in:B,8,7,3 const:3,3,3,5 size=3,3 stride=2,2 pad=same", {0, 1}, {1, 1}},
        {"conv in:B,8,7,3 const:4,4,3,5 size=4,4 pad=same", {1, 1}, {2, 2}},
        {"conv in:B,8,7,3 const:5,5,3,5 size=5,5 stride=3,3 pad=same", {1, 2}, {2, 2}},
        {"conv in:B,9,7,3 const:1,1,3,5 size=1,1 stride=2,3 pad=same", {0, 0}, {0, 0}},
        {"conv in:B,9,7,3 const:3,3,3,5 size=3,3 dilation=2,1 pad=same", {2, 1}, {2, 1}},
    };
    for (size_t i = 0; i < sizeof t / sizeof t[0]; i++) {
        op_case c;
        assert_int_equal(op_case_open(&c, t[i].line, NULL), 0);
        const kp_window *w = &c.result->producer->attr.conv.window;
        for (int d = 0; d < 2; d++) {
            if (w->pad_before[d] != t[i].before[d] || w->pad_after[d] != t[i].after[d])
                fail_msg("%s: %d:%d", t[i].line, (int)w->pad_before[d], (int)w->pad_after[d]);
        }
        op_case_close(&c);
    }
}

/* An open size keeps its name where the operation keeps the size. */
static void symbols_live_on(void **state)
{
    (void)state;
    static const struct {
        const char *line;
        bool same;
    } t[] = {
        {"conv in:B,?,8,3 const:3,3,3,5 size=3,3 pad=same", true},
        {"conv in:B,?,8,3 const:3,3,3,5 size=3,3 pad=valid", false},
        {"conv in:B,?,8,3 const:3,3,3,5 size=3,3 stride=2,2 pad=same", false},
        {"unary in:B,?,3 act=tanh", true},
        {"binary in:B,?,3 const:3 kind=add", true},
        {"pad in:B,?,3 before=0,1", false},
        {"pad in:B,?,3 before=0,0,1", true},
        {"slice in:B,?,3 begin=0,0,1", true},
        {"reshape in:B,?,3 keep=2 dims=3,1", true},
        {"reshape in:B,?,6 keep=1 dims=-1,2,3", true},
        {"repeat in:B,?,3 times=1,1,2", true},
        {"resize in:B,?,9,3 kind=bilinear fh=1 fw=2", true},
    };
    for (size_t i = 0; i < sizeof t / sizeof t[0]; i++) {
        op_case c;
        if (op_case_open(&c, t[i].line, NULL) != 0)
            fail_msg("%s: %s", t[i].line, kp_errmsg());
        assert_true(c.result->shape[1] <= KP_DIM_UNKNOWN);
        if ((c.result->shape[1] == c.g->inputs[0]->shape[1]) != t[i].same)
            fail_msg("%s", t[i].line);
        assert_false(c.g->specialised);
        op_case_close(&c);
    }
}

static void counts_flops(void **state)
{
    (void)state;
    static const struct {
        const char *line;
        double flops;
    } t[] = {
        {"conv in:B,7,8,6 const:3,3,2,9 size=3,3 pad=same groups=3", 2.0 * 7 * 8 * 9 * 9 * 2},
        {"dense in:B,4,5 const:5,7", 2.0 * 4 * 5 * 7},
        {"matmul in:B,4,5 in:B,5,7", 2.0 * 4 * 5 * 7},
        {"conv_transpose in:B,5,6,7 const:3,3,4,7 size=3,3 stride=2,2 pad=same",
         2.0 * 5 * 6 * 7 * 9 * 4},
        {"reshape in:B,7,8 keep=1 dims=-1", 0},
    };
    for (size_t i = 0; i < sizeof t / sizeof t[0]; i++) {
        op_case c;
        assert_int_equal(op_case_open(&c, t[i].line, NULL), 0);
        assert_true(kp_node_flops(c.result->producer) == t[i].flops);
        op_case_close(&c);
    }
}

/* Whatever the numbers, an operation is refused or gives a graph that verifies and prints; run
 * under the undefined behaviour sanitizer this also shows that no size overflows. */
static void takes_any_number(void **state)
{
    (void)state;
    int accepted[KP_OP_COUNT] = {0};
    for (uint64_t seed = 0; seed < 90000; seed++) {
        kp_graph *g = op_wild_graph(seed);
        kp_buf text = {0};
        if (g != NULL) {
            const kp_value *out = g->outputs[0];
            accepted[out->producer->op]++;
            if (kp_graph_verify(g) != 0)
                fail_msg("%s", kp_errmsg());
            assert_int_equal(kp_graph_print(g, &text), 0);
            assert_true(kp_node_flops(out->producer) >= 0);
        }
        kp_buf_free(&text);
        kp_graph_free(&g);
    }
    for (int op = KP_OP_CONV; op < KP_OP_COUNT; op++) {
        bool brings_more = op == KP_OP_KERNEL || op == KP_OP_MAP || op == KP_OP_SCAN;
        if (accepted[op] == 0 && !brings_more)
            fail_msg("%s was never accepted", kp_op_name((kp_op)op));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(gives_shapes),    cmocka_unit_test(refuses),
        cmocka_unit_test(pads_at_the_end), cmocka_unit_test(symbols_live_on),
        cmocka_unit_test(counts_flops),    cmocka_unit_test(takes_any_number),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
