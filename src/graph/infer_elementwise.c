/* Result types and shapes of functions of single elements, of pairs, and of reductions. */
#include "graph/graph_int.h"

/* The types that a reduction takes, and its result's. */
static int reduce_type(kp_infer *c, kp_reduce_kind kind, const kp_value *x)
{
    c->out->dtype = x->dtype;
    if (kind == KP_RED_MEAN || kind == KP_RED_VAR || kind == KP_RED_STD)
        return kp_infer_check_float(c, x, "the input");
    bool logic = kind == KP_RED_ANY || kind == KP_RED_ALL;
    if (logic != (x->dtype == KP_BOOL))
        return kp_node_fail(c->n, KP_EUNSUPPORTED, "a reduction of kind %d of type %s", (int)kind,
                            kp_dtype_name(x->dtype));
    if (kind == KP_RED_ARGMAX || kind == KP_RED_ARGMIN)
        c->out->dtype = KP_INT32;
    return 0;
}

int kp_infer_reduce(kp_infer *c)
{
    const kp_value *x = c->n->inputs[0];
    const kp_axes *axes = &c->n->attr.reduce.axes;
    kp_reduce_kind kind = c->n->attr.reduce.kind;
    if ((unsigned)kind >= KP_RED_COUNT)
        return kp_node_fail(c->n, KP_EINTERNAL, "unknown reduction %d", (int)kind);
    KP_TRY(reduce_type(c, kind, x));
    KP_TRY(kp_infer_check_axes(c, axes));
    int out = 0;
    for (int i = 0, a = 0; i < x->ndim; i++) {
        bool reduced = a < axes->n && axes->axis[a] == i;
        a += reduced;
        if (reduced && x->shape[i] == 0)
            return kp_node_fail(c->n, KP_ESHAPE, "nothing to reduce: axis %d has size 0", i);
        if (!reduced)
            c->out->shape[out++] = x->shape[i];
        else if (c->n->attr.reduce.keepdims)
            c->out->shape[out++] = 1;
    }
    c->out->ndim = out;
    return 0;
}

/* Functions whose result on an integer is that integer type again. */
static bool keeps_integers(kp_act_kind k)
{
    return k == KP_ACT_NONE || k == KP_ACT_RELU || k == KP_ACT_NEG || k == KP_ACT_ABS ||
           k == KP_ACT_SQUARE || k == KP_ACT_THRESHOLD || k == KP_ACT_SIGN || k == KP_ACT_INVERT;
}

/* The types that a function takes. */
static int check_operand(kp_infer *c, kp_act_kind kind, const kp_value *x)
{
    if (kind == KP_ACT_NOT || kind == KP_ACT_INVERT) {
        bool fits = kind == KP_ACT_NOT ? x->dtype == KP_BOOL
                                       : kp_dtype_is_integer(x->dtype) && x->dtype != KP_BOOL;
        return fits ? 0
                    : kp_node_fail(c->n, KP_EUNSUPPORTED, "%s of type %s", kp_act_name(kind),
                                   kp_dtype_name(x->dtype));
    }
    return keeps_integers(kind) ? 0 : kp_infer_check_float(c, x, "the input");
}

int kp_infer_unary(kp_infer *c)
{
    const kp_act *act = &c->n->attr.unary.act;
    KP_TRY(kp_infer_check_act(c, act));
    KP_TRY(check_operand(c, act->kind, c->n->inputs[0]));
    kp_infer_like(c, c->n->inputs[0]);
    if (act->kind >= KP_ACT_NOT)
        c->out->dtype = KP_BOOL;
    return 0;
}

/* The types that an operation takes: the operands have one type. */
static int check_operands(kp_infer *c, kp_binary_kind kind, const kp_value *a)
{
    bool fits = true;
    if (kind == KP_BIN_DIV || (kind >= KP_BIN_DIV_NO_NAN && kind <= KP_BIN_NEXT_AFTER))
        return kp_infer_check_float(c, a, "the first operand");
    if (kind >= KP_BIN_GCD && kind <= KP_BIN_SHIFT_RIGHT)
        fits = kp_dtype_is_integer(a->dtype);
    else if (kind >= KP_BIN_AND)
        fits = a->dtype == KP_BOOL;
    return fits ? 0
                : kp_node_fail(c->n, KP_EUNSUPPORTED, "this operation of type %s",
                               kp_dtype_name(a->dtype));
}

int kp_infer_binary(kp_infer *c)
{
    const kp_value *a = c->n->inputs[0], *b = c->n->inputs[1];
    kp_binary_kind kind = c->n->attr.binary.kind;
    char as[KP_SHAPE_TEXT], bs[KP_SHAPE_TEXT];
    if ((unsigned)kind >= KP_BIN_COUNT)
        return kp_node_fail(c->n, KP_EINTERNAL, "unknown binary operation %d", (int)kind);
    KP_TRY(kp_infer_check_same_type(c, a, b));
    KP_TRY(check_operands(c, kind, a));
    c->out->dtype = kind >= KP_BIN_EQUAL ? KP_BOOL : a->dtype;
    c->out->ndim = a->ndim > b->ndim ? a->ndim : b->ndim;
    int status = kp_infer_broadcast_shape(c, a, a->ndim, b, b->ndim, c->out->shape);
    if (status == 0 && !keeps_integers(c->n->act.kind))
        status = kp_infer_check_float(c, c->out, "the input");
    if (status == KP_ESHAPE)
        return kp_node_fail(c->n, status, "inputs of shapes %s and %s do not fit",
                            kp_shape_text(a->shape, a->ndim, as, sizeof as),
                            kp_shape_text(b->shape, b->ndim, bs, sizeof bs));
    return status;
}
