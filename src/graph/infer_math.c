/* Result types and shapes of products and normalisations; and the checks that all rules share. */
#include "graph/graph_int.h"

#include <math.h>

int64_t kp_infer_symbol(kp_infer *c)
{
    return (*c->next_symbol)--;
}

void kp_infer_like(kp_infer *c, const kp_value *v)
{
    c->out->dtype = v->dtype;
    c->out->ndim = v->ndim;
    memcpy(c->out->shape, v->shape, sizeof v->shape);
}

bool kp_infer_known(int64_t size)
{
    return size >= 0;
}

int kp_infer_check_float(kp_infer *c, const kp_value *v, const char *what)
{
    if (kp_dtype_is_float(v->dtype))
        return 0;
    return kp_node_fail(c->n, KP_EUNSUPPORTED, "%s of %s has type %s, a float type is needed", what,
                        kp_op_name(c->n->op), kp_dtype_name(v->dtype));
}

int kp_infer_check_vector(kp_infer *c, const kp_value *v, int64_t n, const char *what)
{
    char text[KP_SHAPE_TEXT];
    if (v == NULL)
        return 0;
    KP_TRY(kp_infer_check_float(c, v, what));
    if (v->ndim == 1 && v->shape[0] == n)
        return 0;
    return kp_node_fail(c->n, KP_ESHAPE, "%s has shape %s, (%lld,) is needed", what,
                        kp_shape_text(v->shape, v->ndim, text, sizeof text), (long long)n);
}

int kp_infer_check_act(kp_infer *c, const kp_act *act)
{
    if ((unsigned)act->kind >= KP_ACT_COUNT)
        return kp_node_fail(c->n, KP_EINTERNAL, "unknown activation %d", (int)act->kind);
    if (isnan(act->a) || isnan(act->b) || isnan(act->c))
        return kp_node_fail(c->n, KP_EINVAL, "a parameter of activation %s is not a number",
                            kp_act_name(act->kind));
    return 0;
}

int kp_infer_broadcast_dim(kp_infer *c, int64_t a, int64_t b, int64_t *out)
{
    if (a == b || b == 1)
        *out = a;
    else if (a == 1)
        *out = b;
    else if (a == KP_DIM_BATCH || b == KP_DIM_BATCH) {
        if (kp_infer_known(a) || kp_infer_known(b))
            return kp_node_fail(c->n, KP_ESHAPE, "the batch and size %lld do not fit",
                                (long long)(a < 0 ? b : a));
        *out = KP_DIM_BATCH;
    } else if (kp_infer_known(a) && kp_infer_known(b))
        return kp_node_fail(c->n, KP_ESHAPE, "sizes %lld and %lld do not fit", (long long)a,
                            (long long)b);
    else if (kp_infer_known(a))
        *out = a;
    else
        *out = kp_infer_known(b) ? b : kp_infer_symbol(c);
    return 0;
}

int kp_infer_broadcast_shape(kp_infer *c, const kp_value *a, int na, const kp_value *b, int nb,
                             int64_t *shape)
{
    int n = na > nb ? na : nb;
    for (int i = 0; i < n; i++) {
        int64_t da = i < n - na ? 1 : a->shape[i - (n - na)];
        int64_t db = i < n - nb ? 1 : b->shape[i - (n - nb)];
        KP_TRY(kp_infer_broadcast_dim(c, da, db, &shape[i]));
    }
    return 0;
}

int kp_infer_check_axes(kp_infer *c, const kp_axes *axes)
{
    const kp_value *x = c->n->inputs[0];
    if (axes->n < 1 || axes->n > x->ndim)
        return kp_node_fail(c->n, KP_EINVAL, "%d axes of an input of %d dimensions", axes->n,
                            x->ndim);
    for (int i = 0; i < axes->n; i++) {
        int a = axes->axis[i];
        if (a < 0 || a >= x->ndim || (i > 0 && a <= axes->axis[i - 1]))
            return kp_node_fail(c->n, KP_EINVAL, "axis %d of an input of %d dimensions", a,
                                x->ndim);
        if (x->shape[a] == KP_DIM_BATCH)
            return kp_node_fail(c->n, KP_EUNSUPPORTED, "%s over the batch is not supported",
                                kp_op_name(c->n->op));
    }
    return 0;
}

int kp_infer_check_same_type(kp_infer *c, const kp_value *a, const kp_value *b)
{
    if (a->dtype == b->dtype)
        return 0;
    return kp_node_fail(c->n, KP_EUNSUPPORTED, "%s of types %s and %s", kp_op_name(c->n->op),
                        kp_dtype_name(a->dtype), kp_dtype_name(b->dtype));
}

int kp_infer_dense(kp_infer *c)
{
    const kp_value *x = c->n->inputs[0], *w = c->n->inputs[1];
    char xs[KP_SHAPE_TEXT], ws[KP_SHAPE_TEXT];
    KP_TRY(kp_infer_check_float(c, x, "the input"));
    KP_TRY(kp_infer_check_float(c, w, "the kernel"));
    if (x->ndim < 1 || w->ndim != 2 || !kp_infer_known(w->shape[0]) ||
        !kp_infer_known(w->shape[1]) || x->shape[x->ndim - 1] != w->shape[0])
        return kp_node_fail(c->n, KP_ESHAPE, "input %s and kernel %s do not fit",
                            kp_shape_text(x->shape, x->ndim, xs, sizeof xs),
                            kp_shape_text(w->shape, w->ndim, ws, sizeof ws));
    kp_infer_like(c, x);
    c->out->shape[x->ndim - 1] = w->shape[1];
    if (c->n->n_inputs > 2)
        KP_TRY(kp_infer_check_vector(c, c->n->inputs[2], w->shape[1], "the bias"));
    const kp_value *r = c->n->n_inputs > 3 ? c->n->inputs[3] : NULL;
    if (r == NULL)
        return 0;
    KP_TRY(kp_infer_check_same_type(c, x, r));
    if (r->ndim != c->out->ndim ||
        memcmp(r->shape, c->out->shape, sizeof r->shape[0] * (size_t)r->ndim) != 0)
        return kp_node_fail(c->n, KP_ESHAPE, "the residual does not have the result's shape");
    return 0;
}

int kp_infer_matmul(kp_infer *c)
{
    const kp_value *a = c->n->inputs[0], *b = c->n->inputs[1];
    KP_TRY(kp_infer_check_float(c, a, "the first operand"));
    KP_TRY(kp_infer_check_same_type(c, a, b));
    if (a->ndim < 2 || b->ndim < 2)
        return kp_node_fail(c->n, KP_ESHAPE, "matmul needs operands of at least 2 dimensions");
    int64_t ka = a->shape[a->ndim - 1], kb = b->shape[b->ndim - 2];
    if (ka == KP_DIM_BATCH || kb == KP_DIM_BATCH)
        return kp_node_fail(c->n, KP_EUNSUPPORTED, "matmul over the batch is not supported");
    if (kp_infer_known(ka) && kp_infer_known(kb) && ka != kb)
        return kp_node_fail(c->n, KP_ESHAPE, "matmul of sizes %lld and %lld", (long long)ka,
                            (long long)kb);
    int n = a->ndim > b->ndim ? a->ndim : b->ndim;
    c->out->dtype = a->dtype;
    c->out->ndim = n;
    KP_TRY(kp_infer_broadcast_shape(c, a, a->ndim - 2, b, b->ndim - 2, c->out->shape));
    c->out->shape[n - 2] = a->shape[a->ndim - 2];
    c->out->shape[n - 1] = b->shape[b->ndim - 1];
    return 0;
}

/* x, and vectors along one axis whose size must be known. */
static int infer_per_channel(kp_infer *c, const char *const *names)
{
    const kp_node *n = c->n;
    const kp_value *x = n->inputs[0];
    int axis = n->attr.axis.axis;
    KP_TRY(kp_infer_check_float(c, x, "the input"));
    if (axis < 0 || axis >= x->ndim || !kp_infer_known(x->shape[axis]))
        return kp_node_fail(n, KP_ESHAPE, "axis %d of its input has no known size", axis);
    for (int i = 1; i < n->n_inputs; i++)
        KP_TRY(kp_infer_check_vector(c, n->inputs[i], x->shape[axis], names[i - 1]));
    kp_infer_like(c, x);
    return 0;
}

int kp_infer_batchnorm(kp_infer *c)
{
    static const char *const names[] = {"the moving mean", "the moving variance", "gamma", "beta"};
    return infer_per_channel(c, names);
}

int kp_infer_affine(kp_infer *c)
{
    static const char *const names[] = {"the scale", "the shift"};
    return infer_per_channel(c, names);
}

int kp_infer_layernorm(kp_infer *c)
{
    const kp_node *n = c->n;
    const kp_value *x = n->inputs[0];
    const kp_axes *axes = &n->attr.layernorm.axes;
    char text[KP_SHAPE_TEXT];
    KP_TRY(kp_infer_check_float(c, x, "the input"));
    KP_TRY(kp_infer_check_axes(c, axes));
    for (int i = 1; i < n->n_inputs; i++) {
        const kp_value *v = n->inputs[i];
        if (v == NULL)
            continue;
        KP_TRY(kp_infer_check_float(c, v, i == 1 ? "gamma" : "beta"));
        bool fits = v->ndim == axes->n;
        for (int d = 0; fits && d < axes->n; d++)
            fits = v->shape[d] == x->shape[axes->axis[d]];
        if (!fits)
            return kp_node_fail(n, KP_ESHAPE, "%s of shape %s does not fit its axes",
                                i == 1 ? "gamma" : "beta",
                                kp_shape_text(v->shape, v->ndim, text, sizeof text));
    }
    kp_infer_like(c, x);
    return 0;
}

int kp_infer_softmax(kp_infer *c)
{
    KP_TRY(kp_infer_check_float(c, c->n->inputs[0], "the input"));
    KP_TRY(kp_infer_check_axes(c, &c->n->attr.softmax.axes));
    kp_infer_like(c, c->n->inputs[0]);
    return 0;
}

int kp_infer_cast(kp_infer *c)
{
    kp_dtype dtype = c->n->attr.cast.dtype;
    if (kp_dtype_size(dtype) == 0 || kp_dtype_size(c->n->inputs[0]->dtype) == 0)
        return kp_node_fail(c->n, KP_EUNSUPPORTED, "a cast from type %s to %s is not supported",
                            kp_dtype_name(c->n->inputs[0]->dtype), kp_dtype_name(dtype));
    kp_infer_like(c, c->n->inputs[0]);
    c->out->dtype = dtype;
    return 0;
}
