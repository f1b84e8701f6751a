/* Reductions over axes: floats in double, integers exactly. */
#include "backend/ref/ref_int.h"

#include <float.h>
#include <math.h>
#include <stdlib.h>

/* What is known of one element of the result so far. */
typedef struct group {
    double real, mean; /* mean: of VAR and STD, made in a first round */
    int64_t whole;     /* of integers: the sum, product, extreme */
    int64_t seen, at;  /* elements so far, and which of them is the extreme */
} group;

typedef struct reduction {
    kp_reduce_kind kind;
    const kp_tensor *x;
    int64_t stride[KP_MAX_DIMS], n_groups;
    group *groups;
    void (*add)(const struct reduction *r, group *g, int64_t i);
} reduction;

static void add_sum(const reduction *r, group *g, int64_t i)
{
    g->real += kp_tensor_get(r->x, i);
}

static void add_square(const reduction *r, group *g, int64_t i)
{
    double d = kp_tensor_get(r->x, i) - g->mean;
    g->real += d * d;
}

static void add_product(const reduction *r, group *g, int64_t i)
{
    g->real = (g->seen == 0 ? 1 : g->real) * kp_tensor_get(r->x, i);
}

/* Not a number wins, as in TensorFlow. */
static void add_extreme(const reduction *r, group *g, int64_t i)
{
    double v = kp_tensor_get(r->x, i);
    bool better = r->kind == KP_RED_MAX ? v > g->real : v < g->real;
    if (g->seen == 0 || isnan(v) || better)
        g->real = isnan(g->real) && g->seen > 0 ? g->real : v;
}

/* Keras counts -0 as the largest number below 0. */
static void add_place(const reduction *r, group *g, int64_t i)
{
    double v = kp_tensor_get(r->x, i);
    if (v == 0 && signbit(v))
        v = r->x->dtype == KP_FLOAT64 ? -DBL_MIN : -(double)FLT_MIN;
    bool better = r->kind == KP_RED_ARGMAX ? v > g->real : v < g->real;
    if (g->seen == 0 || better) {
        g->real = v;
        g->at = g->seen;
    }
}

static bool beats(const reduction *r, int64_t v, int64_t best)
{
    bool below = r->x->dtype == KP_UINT64 ? (uint64_t)v < (uint64_t)best : v < best;
    return r->kind == KP_RED_MIN || r->kind == KP_RED_ARGMIN ? below : !below && v != best;
}

static void add_whole(const reduction *r, group *g, int64_t i)
{
    int64_t v = kp_tensor_get_int(r->x, i);
    if (r->kind == KP_RED_SUM) {
        g->whole = (int64_t)((uint64_t)g->whole + (uint64_t)v);
    } else if (g->seen == 0) {
        g->whole = v;
    } else if (r->kind == KP_RED_PROD) {
        g->whole = (int64_t)((uint64_t)g->whole * (uint64_t)v);
    } else if (r->kind == KP_RED_ANY || r->kind == KP_RED_ALL) {
        g->whole = r->kind == KP_RED_ANY ? g->whole | v : g->whole & v;
    } else if (beats(r, v, g->whole)) {
        g->whole = v;
        g->at = g->seen;
    }
}

static void run_through(const reduction *r)
{
    kp_walk w;
    int64_t count = kp_tensor_count(r->x);
    kp_walk_init(&w, r->x->shape, r->stride, r->x->ndim);
    for (int64_t i = 0; i < count; i++) {
        group *g = &r->groups[w.index];
        r->add(r, g, i);
        g->seen++;
        kp_walk_next(&w);
    }
}

static void finish(const reduction *r, kp_tensor *out)
{
    bool whole = r->add == add_whole;
    bool places = r->kind == KP_RED_ARGMAX || r->kind == KP_RED_ARGMIN;
    for (int64_t i = 0; i < r->n_groups; i++) {
        const group *g = &r->groups[i];
        double v = g->real;
        if (r->kind == KP_RED_MEAN || r->kind == KP_RED_VAR || r->kind == KP_RED_STD)
            v /= (double)g->seen;
        if (whole || places)
            kp_tensor_put_int(out, i, places ? g->at : g->whole);
        else
            kp_tensor_put(out, i, r->kind == KP_RED_STD ? sqrt(v) : v);
    }
}

static void choose(reduction *r)
{
    switch (r->kind) {
    case KP_RED_MAX:
    case KP_RED_MIN:
        r->add = add_extreme;
        break;
    case KP_RED_PROD:
        r->add = add_product;
        break;
    case KP_RED_ARGMAX:
    case KP_RED_ARGMIN:
        r->add = add_place;
        break;
    default:
        r->add = add_sum;
        break;
    }
    if (kp_dtype_is_integer(r->x->dtype))
        r->add = add_whole;
}

int kp_ref_reduce(const kp_node *n, const kp_tensor *in, int n_in, kp_tensor *out)
{
    (void)n_in;
    reduction r = {.kind = n->attr.reduce.kind, .x = &in[0]};
    kp_ref_group_strides(&in[0], &n->attr.reduce.axes, r.stride, &r.n_groups);
    r.groups = kp_ref_scratch((size_t)r.n_groups, sizeof *r.groups);
    if (r.groups == NULL)
        return KP_ENOMEM;
    choose(&r);
    run_through(&r);
    if (r.kind == KP_RED_VAR || r.kind == KP_RED_STD) {
        for (int64_t i = 0; i < r.n_groups; i++)
            r.groups[i] = (group){.mean = r.groups[i].real / (double)r.groups[i].seen};
        r.add = add_square;
        run_through(&r);
    }
    finish(&r, out);
    free(r.groups);
    return 0;
}
