/* Greedy decoding: the best class of each step. */
#include "ops/kernel.h"

static int infer(const kp_node *n, kp_value *out, int64_t *next_symbol)
{
    const kp_ctc_greedy *p = n->attr.kernel.params;
    const kp_value *x, *steps;
    (void)next_symbol;
    KP_TRY(kp_ops_input(n, 0, 3, &x));
    KP_TRY(kp_ops_input(n, 1, 1, &steps));
    KP_TRY(kp_ops_not_batch(n, x, 2));
    if (x->ndim != 3 || steps->ndim != 1 || !kp_dtype_is_float(x->dtype) ||
        steps->shape[0] != x->shape[0])
        return kp_node_fail(n, KP_ESHAPE, "logits of %d axes, or lengths that do not fit", x->ndim);
    kp_ops_shape(out, p->scores ? x->dtype : KP_INT32, 2, x->shape);
    if (p->scores)
        out->shape[1] = 1;
    return 0;
}

static int64_t best(const kp_tensor *x, int64_t at, int64_t classes)
{
    int64_t most = 0;
    for (int64_t i = 1; i < classes; i++)
        if (kp_tensor_get(x, at + i) > kp_tensor_get(x, at + most))
            most = i;
    return most;
}

static int run(const void *params, const kp_tensor *in, int n_in, kp_tensor *out)
{
    const kp_ctc_greedy *p = params;
    int64_t rows = in[0].shape[0], most = in[0].shape[1], classes = in[0].shape[2];
    int64_t blank = p->blank < 0 ? p->blank + classes : p->blank;
    (void)n_in;
    for (int64_t r = 0; r < rows; r++) {
        int64_t steps = kp_tensor_get_int(&in[1], r), n = 0, before = -1;
        double sum = 0;
        if (steps < 0 || steps > most || classes < 1)
            return kp_fail(KP_ESHAPE, "%lld steps of %lld", (long long)steps, (long long)most);
        for (int64_t t = 0; t < steps; t++) {
            int64_t at = (r * most + t) * classes, class = best(&in[0], at, classes);
            sum -= kp_tensor_get(&in[0], at + class);
            if (!p->scores && class != blank && (p->keep_repeated || class != before))
                kp_tensor_put_int(out, r * most + n++, class);
            before = class;
        }
        for (; !p->scores && n < most; n++)
            kp_tensor_put_int(out, r * most + n, -1);
        if (p->scores)
            kp_tensor_put(out, r, sum);
    }
    return 0;
}

const kp_kernel_def kp_kernel_ctc_greedy = {"ctc_greedy", infer, run};
