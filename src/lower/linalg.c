/* Operations of keras.ops.linalg. */
#include "lower/build.h"

static int one(kp_lw *w, const kp_lw_call *c, const kp_linalg_params *p, kp_value **out)
{
    kp_linalg_params *copy = kp_arena_alloc(w->mem, sizeof *copy);
    if (!copy)
        return KP_ENOMEM;
    *copy = *p;
    return kp_lw_kernel(w, &kp_kernel_linalg, copy, c->in, c->n_in, out);
}

/* The outputs of a call: the same parameters but for the kind. */
static int several(kp_lw *w, const kp_lw_call *c, kp_linalg_params p, const kp_linalg_kind *kinds,
                   int n)
{
    kp_value **values;
    KP_TRY(kp_lw_outputs(w, c, n, &values));
    for (int i = 0; i < n; i++) {
        p.kind = kinds[i];
        KP_TRY(one(w, c, &p, &values[i]));
    }
    return 0;
}

static int do_matrix(kp_lw *w, const kp_lw_call *c, kp_value **out)
{
    kp_linalg_params p = {.kind = (kp_linalg_kind)c->variant, .cutoff = -1};
    KP_TRY(kp_cfg_bool(c->layer, "upper", false, &p.upper));
    KP_TRY(kp_cfg_float(c->layer, "rcond", -1, &p.cutoff));
    KP_TRY(kp_cfg_float(c->layer, "tol", p.cutoff, &p.cutoff));
    return one(w, c, &p, out);
}

static int do_solve(kp_lw *w, const kp_lw_call *c, kp_value **out)
{
    kp_linalg_params p = {.kind = (kp_linalg_kind)c->variant};
    bool lower;
    KP_TRY(kp_cfg_bool(c->layer, "lower", false, &lower));
    p.upper = !lower;
    p.vector = c->in[1]->ndim == c->in[0]->ndim - 1;
    return one(w, c, &p, out);
}

static int do_qr(kp_lw *w, const kp_lw_call *c, kp_value **out)
{
    const char *mode;
    (void)out;
    KP_TRY(kp_cfg_str(c->layer, "mode", "reduced", &mode));
    return several(w, c, (kp_linalg_params){.full = strcmp(mode, "complete") == 0},
                   (kp_linalg_kind[]){KP_LA_QR_Q, KP_LA_QR_R}, 2);
}

static int do_svd(kp_lw *w, const kp_lw_call *c, kp_value **out)
{
    kp_linalg_params p = {.kind = KP_LA_SVD_S, .cutoff = -1};
    bool vectors;
    KP_TRY(kp_cfg_bool(c->layer, "full_matrices", true, &p.full));
    KP_TRY(kp_cfg_bool(c->layer, "compute_uv", true, &vectors));
    if (!vectors)
        return one(w, c, &p, out);
    return several(w, c, p, (kp_linalg_kind[]){KP_LA_SVD_U, KP_LA_SVD_S, KP_LA_SVD_V}, 3);
}

static int do_eigh(kp_lw *w, const kp_lw_call *c, kp_value **out)
{
    (void)out;
    return several(w, c, (kp_linalg_params){0},
                   (kp_linalg_kind[]){KP_LA_EIGH_VALUES, KP_LA_EIGH_VECTORS}, 2);
}

static int do_lu_factor(kp_lw *w, const kp_lw_call *c, kp_value **out)
{
    (void)out;
    return several(w, c, (kp_linalg_params){0}, (kp_linalg_kind[]){KP_LA_LU, KP_LA_LU_PIVOTS}, 2);
}

static int do_slogdet(kp_lw *w, const kp_lw_call *c, kp_value **out)
{
    (void)out;
    return several(w, c, (kp_linalg_params){0}, (kp_linalg_kind[]){KP_LA_DET_SIGN, KP_LA_LOGDET},
                   2);
}

static int do_eig(kp_lw *w, const kp_lw_call *c, kp_value **out)
{
    (void)w;
    (void)out;
    return kp_fail(KP_EMODEL,
                   "layer \"%s\" (Eig): its results are complex numbers, which are not supported; "
                   "for symmetric matrices use keras.ops.eigh",
                   c->layer->path);
}

/* The shortest of the best solutions, by the pseudo-inverse. */
static int do_lstsq(kp_lw *w, const kp_lw_call *c, kp_value **out)
{
    kp_linalg_params *p = kp_arena_alloc(w->mem, sizeof *p);
    kp_value *a, *b, *inverse;
    bool wide;
    if (!p)
        return KP_ENOMEM;
    *p = (kp_linalg_params){.kind = KP_LA_PINV};
    KP_TRY(kp_lw_tensor_of(w, c, kp_lw_arg(c, 0, "a"), &a));
    KP_TRY(kp_lw_tensor_of(w, c, kp_lw_arg(c, 1, "b"), &b));
    bool vector = b->ndim == 1;
    if (a->ndim != 2 || (b->ndim != 2 && !vector))
        return kp_fail(KP_EMODEL, "layer \"%s\" (Lstsq): equations of %d axes", c->layer->path,
                       a->ndim);
    if (a->shape[0] == KP_DIM_BATCH || b->shape[0] == KP_DIM_BATCH)
        return kp_lw_rows_refused(c, "takes the rows of the batch as equations");
    wide = a->dtype == KP_FLOAT64;
    double epsilon = wide ? 0x1p-52 : 0x1p-23;
    double size = (double)(a->shape[0] > a->shape[1] ? a->shape[0] : a->shape[1]);
    KP_TRY(kp_cfg_float(c->layer, "rcond", epsilon * size, &p->cutoff));
    p->cutoff = p->cutoff < 0 ? epsilon : p->cutoff;
    KP_TRY(kp_lw_cast(w, a->dtype, b, &b));
    if (vector)
        KP_TRY(kp_lw_add_axis(w, 1, b, &b));
    KP_TRY(kp_lw_kernel(w, &kp_kernel_linalg, p, &a, 1, &inverse));
    KP_TRY(kp_lw_cast(w, inverse->dtype, b, &b));
    kp_node product = {.op = KP_OP_MATMUL};
    KP_TRY(kp_lw_add(w, &product, (kp_value *[]){inverse, b}, 2, out));
    return vector ? kp_lw_drop_axis(w, 1, *out, out) : 0;
}

/* ---- norms ---- */

/* The kind of a norm over n axes; *spectrum: one of the singular values instead. */
static int norm_kind(const kp_layer *l, const kp_lw_norm *norm, int n, kp_norm_params *p,
                     kp_linalg_kind *spectrum)
{
    double order = norm->order;
    *p = (kp_norm_params){.n_axes = n, .order = order};
    *spectrum = KP_LA_COUNT;
    bool fro = norm->word && strcmp(norm->word, "fro") == 0;
    if (!norm->has_order || (fro && n == 2))
        p->order = 2;
    else if (norm->word && n == 2 && strcmp(norm->word, "nuc") == 0)
        *spectrum = KP_LA_NORM_NUCLEAR;
    else if (norm->word || (n == 2 && !isinf(order) && fabs(order) != 1 && fabs(order) != 2))
        return kp_fail(KP_EMODEL,
                       "layer \"%s\" (%s): this order of a norm over %d axes is not known", l->path,
                       l->class_name, n);
    else if (n == 2 && fabs(order) == 2)
        *spectrum = order > 0 ? KP_LA_NORM_LARGEST : KP_LA_NORM_SMALLEST;
    else if (n == 2 && isinf(order))
        p->kind = order > 0 ? KP_NORM_ROWS_MAX : KP_NORM_ROWS_MIN;
    else if (n == 2)
        p->kind = order > 0 ? KP_NORM_COLUMNS_MAX : KP_NORM_COLUMNS_MIN;
    else if (isinf(order))
        p->kind = order > 0 ? KP_NORM_MAX : KP_NORM_MIN;
    else
        p->kind = order == 0 ? KP_NORM_COUNT : KP_NORM_POWER;
    return 0;
}

/* Config "axis" in its own order: rows come before columns. All axes when there is none. */
static int norm_axes(const kp_layer *l, int ndim, kp_axes *out)
{
    const json_t *v = json_object_get(l->config, "axis");
    size_t n = json_is_array(v) ? json_array_size(v) : json_is_integer(v) ? 1 : (size_t)ndim;
    if (n < 1 || n > 2)
        return kp_fail(KP_EMODEL, "layer \"%s\" (%s): a norm over %zu axes", l->path, l->class_name,
                       n);
    out->n = (int)n;
    for (int i = 0; i < out->n; i++) {
        const json_t *e = json_is_array(v) ? json_array_get(v, (size_t)i) : v;
        int64_t axis = json_is_integer(e) ? json_integer_value(e) : i;
        KP_TRY(kp_lw_axis(l, axis, ndim, &out->axis[i]));
    }
    if (out->n == 2 && out->axis[0] == out->axis[1])
        return kp_fail(KP_EMODEL, "layer \"%s\" (%s): axis %d is named twice", l->path,
                       l->class_name, out->axis[0]);
    return 0;
}

/* The named axes behind the others, in their order. */
static int to_the_end(kp_lw *w, const kp_axes *axes, kp_value *x, kp_value **out)
{
    int perm[KP_MAX_DIMS] = {0}, n = 0;
    for (int i = 0; i < x->ndim; i++)
        if (i != axes->axis[0] && (axes->n == 1 || i != axes->axis[1]))
            perm[n++] = i;
    for (int i = 0; i < axes->n; i++)
        perm[n++] = axes->axis[i];
    return kp_lw_transpose(w, perm, x, out);
}

/* Ones where axes were: v has the shape of x without them. */
static int keep_axes(kp_lw *w, const kp_axes *axes, int ndim, kp_value *v, kp_value **out)
{
    int64_t dims[KP_MAX_DIMS] = {0};
    int n = 0, from = 0, first = axes->axis[0];
    if (axes->n == 2 && axes->axis[1] < first)
        first = axes->axis[1];
    for (int i = first; i < ndim; i++) {
        bool gone = i == axes->axis[0] || (axes->n == 2 && i == axes->axis[1]);
        int64_t size = gone ? 1 : v->shape[first + from++];
        if (size < 0)
            return kp_fail(KP_EMODEL, "a norm that keeps its axes needs sizes that are known");
        dims[n++] = size;
    }
    return kp_lw_reshape(w, first, dims, n, v, out);
}

int kp_lw_norm_of(kp_lw *w, const kp_layer *l, const kp_lw_norm *norm, kp_value *x, kp_value **out)
{
    kp_axes axes = {0};
    kp_norm_params *p = kp_arena_alloc(w->mem, sizeof *p);
    kp_linalg_params *la = kp_arena_alloc(w->mem, sizeof *la);
    int ndim = x->ndim;
    if (!p || !la)
        return KP_ENOMEM;
    la->cutoff = -1;
    KP_TRY(norm_axes(l, ndim, &axes));
    KP_TRY(norm_kind(l, norm, axes.n, p, &la->kind));
    if (!kp_dtype_is_float(x->dtype))
        KP_TRY(kp_lw_float(w, x, &x));
    KP_TRY(to_the_end(w, &axes, x, &x));
    if (la->kind == KP_LA_COUNT)
        KP_TRY(kp_lw_kernel(w, &kp_kernel_norm, p, &x, 1, out));
    else
        KP_TRY(kp_lw_kernel(w, &kp_kernel_linalg, la, &x, 1, out));
    return norm->keepdims ? keep_axes(w, &axes, ndim, *out, out) : 0;
}

static int do_norm(kp_lw *w, const kp_lw_call *c, kp_value **out)
{
    kp_lw_norm norm = {.has_order = !kp_lw_is_null(c->layer, "ord")};
    const char *word = json_string_value(json_object_get(c->layer->config, "ord"));
    if (word && strstr(word, "Infinity") == NULL)
        norm.word = word;
    else
        KP_TRY(kp_cfg_float(c->layer, "ord", 2, &norm.order));
    KP_TRY(kp_cfg_bool(c->layer, "keepdims", false, &norm.keepdims));
    return kp_lw_norm_of(w, c->layer, &norm, c->in[0], out);
}

const kp_lw_entry kp_lw_linalg_operations[] = {
    {"Cholesky", do_matrix, KP_LA_CHOLESKY, KP_LW_ONE, KP_LW_MASK_DROP},
    {"CholeskyInverse", do_matrix, KP_LA_CHOLESKY_INVERSE, KP_LW_ONE, KP_LW_MASK_DROP},
    {"Det", do_matrix, KP_LA_DET, KP_LW_ONE, KP_LW_MASK_DROP},
    {"Eig", do_eig, 0, KP_LW_ONE, KP_LW_MASK_DROP},
    {"Eigh", do_eigh, 0, KP_LW_ONE, KP_LW_MASK_DROP},
    {"Inv", do_matrix, KP_LA_INV, KP_LW_ONE, KP_LW_MASK_DROP},
    {"Logdet", do_matrix, KP_LA_LOGDET, KP_LW_ONE, KP_LW_MASK_DROP},
    {"Lstsq", do_lstsq, 0, 1, 2, KP_LW_SAME, KP_LW_MASK_DROP},
    {"LuFactor", do_lu_factor, 0, KP_LW_ONE, KP_LW_MASK_DROP},
    {"MatrixRank", do_matrix, KP_LA_RANK, KP_LW_ONE, KP_LW_MASK_DROP},
    {"Norm", do_norm, 0, KP_LW_ONE, KP_LW_MASK_DROP},
    {"Pinv", do_matrix, KP_LA_PINV, KP_LW_ONE, KP_LW_MASK_DROP},
    {"Qr", do_qr, 0, KP_LW_ONE, KP_LW_MASK_DROP},
    {"SVD", do_svd, 0, KP_LW_ONE, KP_LW_MASK_DROP},
    {"Slogdet", do_slogdet, 0, KP_LW_ONE, KP_LW_MASK_DROP},
    {"Solve", do_solve, KP_LA_SOLVE, 2, 2, KP_LW_SAME, KP_LW_MASK_DROP},
    {"SolveTriangular", do_solve, KP_LA_SOLVE_TRIANGULAR, 2, 2, KP_LW_SAME, KP_LW_MASK_DROP},
    {0},
};
