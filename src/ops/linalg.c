/* Batches of matrices: shapes, and one matrix after the other. */
#include "ops/matrix.h"

enum { SIZE_MAX_AXIS = 1 << 15 }; /* a matrix of more is not for these plain functions */

/* ---- shapes ---- */

static bool is_square(kp_linalg_kind k)
{
    return k <= KP_LA_SOLVE_TRIANGULAR || (k >= KP_LA_EIGH_VALUES && k <= KP_LA_LU_PIVOTS);
}

/* The axes of a result behind the batch's; m, n: those of the matrix. */
static int result_axes(const kp_linalg_params *p, int64_t m, int64_t n, int64_t *out)
{
    int64_t k = m < n ? m : n;
    switch (p->kind) {
    case KP_LA_DET:
    case KP_LA_LOGDET:
    case KP_LA_DET_SIGN:
    case KP_LA_RANK:
    case KP_LA_NORM_NUCLEAR:
    case KP_LA_NORM_LARGEST:
    case KP_LA_NORM_SMALLEST:
        return 0;
    case KP_LA_SVD_S:
    case KP_LA_EIGH_VALUES:
    case KP_LA_LU_PIVOTS:
        out[0] = k;
        return 1;
    case KP_LA_QR_Q:
    case KP_LA_SVD_U:
        out[0] = m, out[1] = p->full ? m : k;
        return 2;
    case KP_LA_QR_R:
        out[0] = p->full ? m : k, out[1] = n;
        return 2;
    case KP_LA_SVD_V:
        out[0] = p->full ? n : k, out[1] = n;
        return 2;
    case KP_LA_PINV:
        out[0] = n, out[1] = m;
        return 2;
    default:
        out[0] = m, out[1] = n;
        return 2;
    }
}

static int infer_matrix(const kp_node *n, const kp_value *a)
{
    const kp_linalg_params *p = n->attr.kernel.params;
    const int64_t *s = a->shape + a->ndim - 2;
    KP_TRY(kp_ops_not_batch(n, a, 2));
    if (s[0] < 0 || s[1] < 0)
        return kp_node_fail(n, KP_ESHAPE, "matrices need sizes that are known");
    if (s[0] > SIZE_MAX_AXIS || s[1] > SIZE_MAX_AXIS)
        return kp_node_fail(n, KP_ELIMIT, "matrices of more than %d rows or columns",
                            SIZE_MAX_AXIS);
    if (is_square(p->kind) && s[0] != s[1])
        return kp_node_fail(n, KP_ESHAPE, "a matrix of %lld x %lld is not square", (long long)s[0],
                            (long long)s[1]);
    return 0;
}

/* Batch axes of a solution: NumPy's rules. */
static int infer_solution(const kp_node *n, const kp_value *a, kp_value *out)
{
    const kp_linalg_params *p = n->attr.kernel.params;
    const kp_value *b;
    int own = p->vector ? 1 : 2;
    KP_TRY(kp_ops_input(n, 1, own, &b));
    KP_TRY(kp_ops_not_batch(n, b, own));
    int na = a->ndim - 2, nb = b->ndim - own, nd = na > nb ? na : nb;
    if (b->shape[nb] != a->shape[na])
        return kp_node_fail(n, KP_ESHAPE, "%lld equations and %lld right sides",
                            (long long)a->shape[na], (long long)b->shape[nb]);
    if (nd + own > KP_MAX_DIMS)
        return kp_node_fail(n, KP_ESHAPE, "more than %d axes", KP_MAX_DIMS);
    for (int i = 0; i < nd; i++) {
        int64_t x = i < nd - na ? 1 : a->shape[i - (nd - na)];
        int64_t y = i < nd - nb ? 1 : b->shape[i - (nd - nb)];
        if (x != y && x != 1 && y != 1)
            return kp_node_fail(n, KP_ESHAPE, "the batch axes do not fit");
        out->shape[i] = x == 1 ? y : x;
    }
    for (int i = 0; i < own; i++)
        out->shape[nd + i] = b->shape[nb + i];
    out->ndim = nd + own;
    return 0;
}

static int infer(const kp_node *n, kp_value *out, int64_t *next_symbol)
{
    const kp_linalg_params *p = n->attr.kernel.params;
    const kp_value *a;
    (void)next_symbol;
    KP_TRY(kp_ops_input(n, 0, 2, &a));
    KP_TRY(infer_matrix(n, a));
    bool whole = p->kind == KP_LA_LU_PIVOTS || p->kind == KP_LA_RANK;
    kp_ops_shape(out,
                 whole                    ? KP_INT32
                 : a->dtype == KP_FLOAT64 ? KP_FLOAT64
                                          : KP_FLOAT32,
                 a->ndim - 2, a->shape);
    if (p->kind == KP_LA_SOLVE || p->kind == KP_LA_SOLVE_TRIANGULAR)
        return infer_solution(n, a, out);
    out->ndim +=
        result_axes(p, a->shape[a->ndim - 2], a->shape[a->ndim - 1], out->shape + out->ndim);
    return 0;
}

/* ---- one matrix ---- */

/* Room for one matrix and all that is made of it. */
typedef struct work {
    int64_t m, n, k; /* of a; k: columns of the right side */
    double *a, *u, *s, *v, *result;
    int64_t *perm, *pivots;
} work;

static int singular(void)
{
    return kp_fail(KP_EINVAL, "a matrix is singular");
}

static int determinant(const kp_linalg_params *p, work *w)
{
    int sign;
    double log_det = 0, det = 1;
    kp_mat_lu(w->a, w->n, w->perm, w->pivots, &sign);
    for (int64_t i = 0; i < w->n; i++) {
        double d = w->a[i * (w->n + 1)];
        det *= d;
        log_det += log(fabs(d));
        sign = d < 0 ? -sign : d == 0 ? 0 : sign;
    }
    w->result[0] = p->kind == KP_LA_DET        ? (sign != 0 ? copysign(det, sign) : 0)
                   : p->kind == KP_LA_DET_SIGN ? sign
                                               : log_det;
    return 0;
}

static int invert(work *w)
{
    int sign;
    if (!kp_mat_lu(w->a, w->n, w->perm, w->pivots, &sign))
        return singular();
    for (int64_t r = 0; r < w->n; r++)
        for (int64_t c = 0; c < w->n; c++)
            w->result[r * w->n + c] = w->perm[r] == c;
    kp_mat_lu_solve(w->a, w->n, w->result, w->n);
    return 0;
}

/* u holds the right side. */
static int solve(const kp_linalg_params *p, work *w)
{
    int sign;
    size_t row = (size_t)w->k * sizeof(double);
    bool triangular = p->kind == KP_LA_SOLVE_TRIANGULAR;
    if (!triangular && !kp_mat_lu(w->a, w->n, w->perm, w->pivots, &sign))
        return singular();
    for (int64_t r = 0; r < w->n; r++)
        memcpy(w->result + r * w->k, w->u + (triangular ? r : w->perm[r]) * w->k, row);
    if (triangular)
        kp_mat_triangular_solve(w->a, w->n, !p->upper, w->result, w->k);
    else
        kp_mat_lu_solve(w->a, w->n, w->result, w->k);
    return 0;
}

static void transpose(const double *a, int64_t m, int64_t n, double *out)
{
    for (int64_t r = 0; r < m; r++)
        for (int64_t c = 0; c < n; c++)
            out[c * m + r] = a[r * n + c];
}

static int cholesky(const kp_linalg_params *p, work *w)
{
    if (!kp_mat_cholesky(w->a, w->n))
        return kp_fail(KP_EINVAL, "a matrix is not positive definite");
    if (p->upper)
        transpose(w->a, w->n, w->n, w->result);
    else
        memcpy(w->result, w->a, (size_t)(w->n * w->n) * sizeof(double));
    return 0;
}

/* The inverse of L L', or of U' U, is made of the inverse of the factor. */
static int cholesky_inverse(const kp_linalg_params *p, work *w)
{
    int64_t n = w->n;
    for (int64_t i = 0; i < n * n; i++)
        w->u[i] = i % (n + 1) == 0;
    kp_mat_triangular_solve(w->a, n, !p->upper, w->u, n);
    for (int64_t r = 0; r < n; r++)
        for (int64_t c = 0; c < n; c++) {
            double sum = 0;
            for (int64_t k = 0; k < n; k++)
                sum += p->upper ? w->u[r * n + k] * w->u[c * n + k]
                                : w->u[k * n + r] * w->u[k * n + c];
            w->result[r * n + c] = sum;
        }
    return 0;
}

/* The first rows and columns of a (.., n). */
static void corner(const double *a, int64_t n, int64_t rows, int64_t columns, double *out)
{
    for (int64_t r = 0; r < rows; r++)
        memcpy(out + r * columns, a + r * n, (size_t)columns * sizeof(double));
}

static int qr(const kp_linalg_params *p, work *w)
{
    int64_t k = p->full || w->m < w->n ? w->m : w->n;
    KP_TRY(kp_mat_qr(w->a, w->m, w->n, w->u));
    if (p->kind == KP_LA_QR_Q)
        corner(w->u, w->m, w->m, k, w->result);
    else
        corner(w->a, w->n, k, w->n, w->result);
    return 0;
}

static void pseudo_inverse(const kp_linalg_params *p, const work *w, int64_t k)
{
    int64_t m = w->m, n = w->n;
    double eps = 1.1920928955078125e-07;
    double cutoff = p->cutoff >= 0 ? p->cutoff : 10 * (double)(m > n ? m : n) * eps;
    for (int64_t r = 0; r < n; r++)
        for (int64_t c = 0; c < m; c++) {
            double sum = 0;
            for (int64_t i = 0; i < k; i++)
                if (w->s[i] > cutoff * w->s[0])
                    sum += w->v[r * n + i] / w->s[i] * w->u[c * m + i];
            w->result[r * m + c] = sum;
        }
}

static int svd(const kp_linalg_params *p, work *w)
{
    int64_t m = w->m, n = w->n, k = m < n ? m : n;
    double eps = 1.1920928955078125e-07, sum = 0;
    KP_TRY(kp_mat_svd(w->a, m, n, w->u, w->s, w->v));
    for (int64_t i = 0; i < k; i++)
        sum += w->s[i];
    double least = p->cutoff >= 0 || k == 0 ? p->cutoff : w->s[0] * (double)(m > n ? m : n) * eps;
    switch (p->kind) {
    case KP_LA_SVD_U:
        corner(w->u, m, m, p->full ? m : k, w->result);
        break;
    case KP_LA_SVD_V:
        for (int64_t r = 0; r < (p->full ? n : k); r++)
            for (int64_t c = 0; c < n; c++)
                w->result[r * n + c] = w->v[c * n + r];
        break;
    case KP_LA_SVD_S:
        memcpy(w->result, w->s, (size_t)k * sizeof(double));
        break;
    case KP_LA_PINV:
        pseudo_inverse(p, w, k);
        break;
    case KP_LA_RANK:
        w->result[0] = 0;
        for (int64_t i = 0; i < k; i++)
            w->result[0] += w->s[i] > least;
        break;
    default:
        w->result[0] = p->kind == KP_LA_NORM_NUCLEAR   ? sum
                       : k == 0                        ? 0
                       : p->kind == KP_LA_NORM_LARGEST ? w->s[0]
                                                       : w->s[k - 1];
    }
    return 0;
}

static int eigh(const kp_linalg_params *p, work *w)
{
    KP_TRY(kp_mat_eigh(w->a, w->n, w->s));
    bool values = p->kind == KP_LA_EIGH_VALUES;
    memcpy(w->result, values ? w->s : w->a, (size_t)(values ? w->n : w->n * w->n) * sizeof(double));
    return 0;
}

static int lu(const kp_linalg_params *p, work *w)
{
    int sign;
    if (!kp_mat_lu(w->a, w->n, w->perm, w->pivots, &sign))
        return singular();
    if (p->kind == KP_LA_LU)
        memcpy(w->result, w->a, (size_t)(w->n * w->n) * sizeof(double));
    for (int64_t i = 0; p->kind == KP_LA_LU_PIVOTS && i < w->n; i++)
        w->result[i] = (double)w->pivots[i];
    return 0;
}

static int one(const kp_linalg_params *p, work *w)
{
    switch (p->kind) {
    case KP_LA_CHOLESKY:
        return cholesky(p, w);
    case KP_LA_CHOLESKY_INVERSE:
        return cholesky_inverse(p, w);
    case KP_LA_DET:
    case KP_LA_LOGDET:
    case KP_LA_DET_SIGN:
        return determinant(p, w);
    case KP_LA_INV:
        return invert(w);
    case KP_LA_SOLVE:
    case KP_LA_SOLVE_TRIANGULAR:
        return solve(p, w);
    case KP_LA_QR_Q:
    case KP_LA_QR_R:
        return qr(p, w);
    case KP_LA_EIGH_VALUES:
    case KP_LA_EIGH_VECTORS:
        return eigh(p, w);
    case KP_LA_LU:
    case KP_LA_LU_PIVOTS:
        return lu(p, w);
    default:
        return svd(p, w);
    }
}

/* ---- all of them ---- */

static int work_new(work *w, int64_t result)
{
    int64_t big = w->m > w->n ? w->m : w->n,
            right = w->n * w->k > big * big ? w->n * w->k : big * big;
    w->a = kp_ops_scratch(w->m * w->n + right + big + big * big + result, sizeof(double));
    w->perm = kp_ops_scratch(2 * big, sizeof *w->perm);
    if (w->a == NULL || w->perm == NULL)
        return KP_ENOMEM;
    w->pivots = w->perm + big;
    w->u = w->a + w->m * w->n;
    w->s = w->u + right;
    w->v = w->s + big;
    w->result = w->v + big * big;
    return 0;
}

/* The shape of t's batch, ones in front, and the walk over it as out's batch is stepped through. */
static void batch_walk(const kp_tensor *t, int own, const kp_tensor *out, int n_batch, kp_walk *w)
{
    int64_t stride[KP_MAX_DIMS] = {0};
    kp_tensor a = *t, b = *out;
    a.ndim = t->ndim - own;
    b.ndim = n_batch;
    kp_walk_broadcast(&a, &b, stride);
    kp_walk_init(w, out->shape, stride, n_batch);
}

static int run(const void *params, const kp_tensor *in, int n_in, kp_tensor *out)
{
    const kp_linalg_params *p = params;
    const kp_tensor *a = &in[0], *b = n_in > 1 ? &in[1] : NULL;
    work w = {.m = a->shape[a->ndim - 2], .n = a->shape[a->ndim - 1], .k = 1};
    int64_t axes[2], size = 1, batch;
    int own = p->vector ? 1 : 2, n_own = b ? own : result_axes(p, w.m, w.n, axes);
    int n_batch = out->ndim - n_own;
    if (b != NULL && !p->vector)
        w.k = b->shape[b->ndim - 1];
    size = kp_ops_product(out, n_batch, out->ndim);
    batch = kp_ops_product(out, 0, n_batch);
    kp_walk wa, wb = {0};
    batch_walk(a, 2, out, n_batch, &wa);
    if (b != NULL)
        batch_walk(b, own, out, n_batch, &wb);
    int status = work_new(&w, size);
    for (int64_t i = 0; status == 0 && i < batch; i++) {
        kp_ops_load(a, wa.index * w.m * w.n, 1, w.m * w.n, w.a);
        if (b != NULL)
            kp_ops_load(b, wb.index * w.n * w.k, 1, w.n * w.k, w.u);
        status = one(p, &w);
        if (status == 0)
            kp_ops_store(out, i * size, 1, size, w.result);
        kp_walk_next(&wa);
        if (b != NULL)
            kp_walk_next(&wb);
    }
    free(w.a);
    free(w.perm);
    return status;
}

const kp_kernel_def kp_kernel_linalg = {
    .name = "linalg", .infer = infer, .run = run, .may_refuse = kp_kernel_may_refuse};
