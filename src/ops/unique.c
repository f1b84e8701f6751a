/* The different elements of an array. */
#include "ops/kernel.h"

/* An element, by what it is compared, and the group of its equals. */
typedef struct element {
    double real; /* of floats */
    int64_t whole;
    int64_t at;
} element;

/* Elements that are equal: where the first one stands, and how many they are. */
typedef struct group {
    int64_t first, count, number; /* number: in ascending order */
} group;

static int ascending(const void *pa, const void *pb)
{
    const element *a = pa, *b = pb;
    if (a->real != b->real)
        return a->real < b->real ? -1 : 1;
    if (a->whole != b->whole)
        return a->whole < b->whole ? -1 : 1;
    return a->at < b->at ? -1 : a->at > b->at;
}

static int by_place(const void *pa, const void *pb)
{
    const group *a = pa, *b = pb;
    return a->first < b->first ? -1 : a->first > b->first;
}

static int infer(const kp_node *n, kp_value *out, int64_t *next_symbol)
{
    const kp_unique *p = n->attr.kernel.params;
    const kp_value *x;
    (void)next_symbol;
    KP_TRY(kp_ops_input(n, 0, 0, &x));
    KP_TRY(kp_ops_not_batch(n, x, x->ndim));
    kp_ops_shape(out, p->kind == KP_UNIQUE_VALUES ? x->dtype : KP_INT32, 1, &p->size);
    if (p->kind == KP_UNIQUE_INVERSE)
        kp_ops_shape(out, KP_INT32, x->ndim, x->shape);
    return 0;
}

/* The sorted elements' groups, and by element the ascending number of its group. */
static int64_t find_groups(element *e, int64_t n, group *groups, int64_t *number)
{
    int64_t count = 0;
    qsort(e, (size_t)n, sizeof *e, ascending);
    for (int64_t i = 0; i < n; i++) {
        if (i == 0 || e[i].real != e[i - 1].real || e[i].whole != e[i - 1].whole) {
            groups[count] = (group){e[i].at, 0, count};
            count++;
        }
        groups[count - 1].count++;
        number[e[i].at] = count - 1;
    }
    return count;
}

static void put(const kp_unique *p, const kp_tensor *x, const group *g, int64_t i, kp_tensor *out)
{
    if (p->kind != KP_UNIQUE_VALUES)
        kp_tensor_put_int(out, i, p->kind == KP_UNIQUE_COUNTS ? g->count : g->first);
    else if (kp_dtype_is_integer(x->dtype))
        kp_tensor_put_int(out, i, kp_tensor_get_int(x, g->first));
    else
        kp_tensor_put(out, i, kp_tensor_get(x, g->first));
}

static void give(const kp_unique *p, const kp_tensor *x, group *groups, int64_t count,
                 const int64_t *number, int64_t *order, kp_tensor *out)
{
    double rest = p->kind == KP_UNIQUE_VALUES ? p->fill : p->kind == KP_UNIQUE_PLACES;
    if (!p->sorted)
        qsort(groups, (size_t)count, sizeof *groups, by_place);
    for (int64_t i = 0; i < count; i++)
        order[groups[i].number] = i;
    for (int64_t i = 0; p->kind == KP_UNIQUE_INVERSE && i < kp_tensor_count(out); i++)
        kp_tensor_put_int(out, i, order[number[i]]);
    for (int64_t i = 0; p->kind != KP_UNIQUE_INVERSE && i < p->size; i++) {
        if (i < count)
            put(p, x, &groups[i], i, out);
        else
            kp_tensor_put(out, i, rest);
    }
}

static int run(const void *params, const kp_tensor *in, int n_in, kp_tensor *out)
{
    int64_t n = kp_tensor_count(&in[0]);
    element *e = kp_ops_scratch(n, sizeof *e);
    group *groups = kp_ops_scratch(n, sizeof *groups);
    int64_t *number = kp_ops_scratch(n, sizeof *number), *order = kp_ops_scratch(n, sizeof *order);
    bool whole = kp_dtype_is_integer(in[0].dtype);
    int rc = e == NULL || groups == NULL || number == NULL || order == NULL ? KP_ENOMEM : 0;
    (void)n_in;
    for (int64_t i = 0; rc == 0 && i < n; i++) {
        e[i] = (element){.at = i, .whole = whole ? kp_tensor_get_int(&in[0], i) : 0};
        e[i].real = whole ? 0 : kp_tensor_get(&in[0], i);
        if (isnan(e[i].real))
            rc = kp_fail(KP_EUNSUPPORTED, "different elements among some that are no numbers");
    }
    if (rc == 0)
        give(params, &in[0], groups, find_groups(e, n, groups, number), number, order, out);
    free(order);
    free(number);
    free(groups);
    free(e);
    return rc;
}

const kp_kernel_def kp_kernel_unique = {"unique", infer, run};
