/* The forward recursion over labels with a blank between any two, in logarithms. */
#include "ops/kernel.h"

static int infer(const kp_node *n, kp_value *out, int64_t *next_symbol)
{
    const kp_value *labels, *logits, *v;
    (void)next_symbol;
    KP_TRY(kp_ops_input(n, 0, 2, &labels));
    KP_TRY(kp_ops_input(n, 1, 3, &logits));
    for (int i = 2; i < 4; i++) {
        KP_TRY(kp_ops_input(n, i, 1, &v));
        if (v->ndim != 1 || !kp_ops_same_size(v->shape[0], logits->shape[0]))
            return kp_node_fail(n, KP_ESHAPE, "lengths have one axis, of as many rows as logits");
    }
    if (labels->ndim != 2 || logits->ndim != 3 ||
        !kp_ops_same_size(labels->shape[0], logits->shape[0]))
        return kp_node_fail(n, KP_ESHAPE, "labels of %d axes and logits of %d, or not as many rows",
                            labels->ndim, logits->ndim);
    kp_ops_shape(out, KP_FLOAT32, 1, logits->shape);
    return 0;
}

static double log_add(double a, double b)
{
    double most = fmax(a, b);
    return most == -(double)INFINITY ? most : most + log1p(exp(-fabs(a - b)));
}

void kp_ctc_log_softmax(const kp_tensor *logits, int64_t at, int64_t classes, double *x)
{
    double most = -(double)INFINITY, sum = 0;
    kp_ops_load(logits, at, 1, classes, x);
    for (int64_t i = 0; i < classes; i++)
        most = fmax(most, x[i]);
    for (int64_t i = 0; i < classes; i++)
        sum += exp(x[i] - most);
    for (int64_t i = 0; i < classes; i++)
        x[i] -= most + log(sum);
}

typedef struct row {
    int64_t steps, classes, n_labels, blank;
    int64_t *state; /* 2 n_labels + 1: the classes of labels and blanks */
    double *now, *next, *x;
} row;

static void step(row *r, bool first)
{
    int64_t n = 2 * r->n_labels + 1;
    for (int64_t s = 0; s < n; s++) {
        double sum = first ? (s < 2 ? 0 : -(double)INFINITY) : r->now[s];
        if (!first && s > 0)
            sum = log_add(sum, r->now[s - 1]);
        if (!first && s > 1 && r->state[s] != r->blank && r->state[s] != r->state[s - 2])
            sum = log_add(sum, r->now[s - 2]);
        r->next[s] = sum + r->x[r->state[s]];
    }
    double *t = r->now;
    r->now = r->next;
    r->next = t;
}

static double loss(row *r, const kp_tensor *logits, int64_t at)
{
    int64_t last = 2 * r->n_labels;
    for (int64_t t = 0; t < r->steps; t++) {
        kp_ctc_log_softmax(logits, at + t * r->classes, r->classes, r->x);
        step(r, t == 0);
    }
    return -(last > 0 ? log_add(r->now[last], r->now[last - 1]) : r->now[last]);
}

static int read_row(row *r, const kp_tensor *in, int64_t i)
{
    int64_t labels = in[0].shape[1], n = (int64_t)kp_tensor_get(&in[2], i);
    int64_t steps = (int64_t)kp_tensor_get(&in[3], i);
    if (n < 0 || n > labels || steps < 1 || steps > in[1].shape[1])
        return kp_fail(KP_EINVAL, "row %lld has %lld labels and %lld steps", (long long)i,
                       (long long)n, (long long)steps);
    r->n_labels = n;
    r->steps = steps;
    for (int64_t k = 0; k < 2 * n + 1; k++) {
        double v = k % 2 == 0 ? (double)r->blank : kp_tensor_get(&in[0], i * labels + k / 2);
        if (!(v >= 0 && v < (double)r->classes))
            return kp_fail(KP_EINVAL, "row %lld has a label that is no class", (long long)i);
        r->state[k] = (int64_t)v;
    }
    return 0;
}

static int run(const void *params, const kp_tensor *in, int n_in, kp_tensor *out)
{
    const kp_ctc_params *p = params;
    int64_t steps = in[1].shape[1], classes = in[1].shape[2], room = 2 * in[0].shape[1] + 1;
    row r = {.classes = classes, .blank = p->blank < 0 ? p->blank + classes : p->blank};
    double *memory = kp_ops_scratch(2 * room + classes, sizeof *memory);
    int status = 0;
    (void)n_in;
    r.state = kp_ops_scratch(room, sizeof *r.state);
    if (memory == NULL || r.state == NULL)
        status = KP_ENOMEM;
    for (int64_t i = 0; status == 0 && i < out->shape[0]; i++) {
        r.now = memory;
        r.next = memory + room;
        r.x = memory + 2 * room;
        status = read_row(&r, in, i);
        if (status == 0)
            kp_tensor_put(out, i, loss(&r, &in[1], i * steps * classes));
    }
    free(memory);
    free(r.state);
    return status;
}

const kp_kernel_def kp_kernel_ctc_loss = {
    .name = "ctc_loss", .infer = infer, .run = run, .may_refuse = kp_kernel_may_refuse};
