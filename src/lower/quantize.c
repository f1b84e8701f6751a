/* Kernels of few bits: as floats, by nodes over constants, which are folded. */
#include "lower/quantize.h"

int kp_lw_stored(kp_lw *w, const char *sub, int index, const char *name, kp_value **out)
{
    return kp_lw_weight_get(w, sub, index, name, -1, NULL, 0, NULL, false, out);
}

int kp_lw_unpack4(kp_lw *w, int axis, int64_t size, bool has_sign, kp_value *x, kp_value **out)
{
    kp_unpack4 *p = kp_graph_alloc(w->g, sizeof *p);
    if (!p)
        return KP_ENOMEM;
    *p = (kp_unpack4){axis, size, has_sign};
    return kp_lw_kernel(w, &kp_kernel_unpack4, p, &x, 1, out);
}

int kp_lw_dequantize(kp_lw *w, int axis, kp_value *q, kp_value *scale, kp_value *zero,
                     kp_value *groups, kp_value **out)
{
    kp_node pick = {.op = KP_OP_GATHER, .attr.gather.axis = axis};
    KP_TRY(kp_lw_cast(w, KP_INT32, groups, &groups));
    KP_TRY(kp_lw_add(w, &pick, (kp_value *[]){scale, groups}, 2, &scale));
    KP_TRY(kp_lw_add(w, &pick, (kp_value *[]){zero, groups}, 2, &zero));
    KP_TRY(kp_lw_binary(w, KP_BIN_SUB, q, zero, &q));
    return kp_lw_binary(w, KP_BIN_MUL, q, scale, out);
}

/* Until Keras 3.13 a kernel of many axes was packed along one of them, the first that is summed
 * over. -1: the shape is not that of such a kernel. */
static int packed_axis(const kp_lw_stored_kernel *k, int ndim, const int64_t *shape)
{
    int axis = -1;
    if (ndim != k->ndim || ndim < 3)
        return -1;
    for (int i = 0; i < ndim; i++) {
        if (shape[i] == k->shape[i])
            continue;
        if (axis >= 0 || shape[i] != k->shape[i] / 2 + k->shape[i] % 2)
            return -1;
        axis = i;
    }
    return axis;
}

int kp_lw_quantized_mode(kp_lw *w, const kp_layer *l, const kp_lw_stored_kernel *k,
                         const char **out)
{
    kp_weight first;
    *out = l->policy.quantization;
    if (*out || *k->sub == '\0')
        return 0;
    KP_TRY(kp_keras_weight(w->k, l, k->sub, 0, "kernel", -1, NULL, &first));
    if (first.dtype == KP_INT8)
        *out = first.ndim == 2 || packed_axis(k, first.ndim, first.shape) >= 0 ? "int4" : "int8";
    return 0;
}

int kp_lw_quantized_rounding(const kp_lw *w, const kp_layer *l, const char *mode,
                             kp_lw_quantized *out)
{
    const json_t *v = json_object_get(l->config, "quantization_config");
    out->rounds = strcmp(mode, "int8") == 0 || kp_lw_older(w, 3, 14);
    out->top = 127;
    out->epsilon = 1e-7;
    if (!json_is_object(v))
        return 0;
    v = json_object_get(json_object_get(v, "config"), "activation_quantizer");
    out->rounds = json_is_object(v);
    const json_t *config = json_object_get(v, "config");
    const json_t *range = json_object_get(config, "value_range");
    if (json_is_array(range)) {
        out->top = json_number_value(json_array_get(range, 1));
        if (out->top <= 0 || json_number_value(json_array_get(range, 0)) > -out->top)
            return kp_fail(KP_EMODEL,
                           "layer \"%s\": inputs rounded to a range that is shorter below 0 than "
                           "above are not supported",
                           l->path);
    }
    if (json_is_number(json_object_get(config, "epsilon")))
        out->epsilon = json_number_value(json_object_get(config, "epsilon"));
    return 0;
}

/* ---- kernels ---- */

/* A matrix of (rows, columns) as the kernel's shape. */
static int shaped(kp_lw *w, const kp_lw_stored_kernel *k, kp_value *matrix, kp_value **out)
{
    return kp_lw_reshape(w, 0, k->shape, k->ndim, matrix, out);
}

static int int8_kernel(kp_lw *w, bool raw, const kp_lw_stored_kernel *k, kp_lw_quantized *q)
{
    kp_value *scale;
    KP_TRY(kp_lw_weight_get(w, k->sub, 0, "kernel", k->ndim, k->shape, 0, NULL, false, &q->kernel));
    KP_TRY(kp_lw_stored(w, k->sub, 1 + k->bias, "kernel_scale", &scale));
    q->scale = raw ? NULL : scale;
    return 0;
}

/* Packed along the columns; until Keras 3.13 along the rows. */
static int int4_kernel(kp_lw *w, bool raw, const kp_lw_stored_kernel *k, kp_lw_quantized *q)
{
    kp_value *m, *floats, *scale, *zero, *groups;
    int index = 1 + k->bias;
    KP_TRY(kp_lw_stored(w, k->sub, 0, "kernel", &m));
    int packed = packed_axis(k, m->ndim, m->shape);
    if (packed >= 0) {
        KP_TRY(kp_lw_unpack4(w, packed, k->shape[packed], true, m, &q->kernel));
        KP_TRY(kp_lw_stored(w, k->sub, index, "kernel_scale", &scale));
        q->scale = raw ? NULL : scale;
        return 0;
    }
    if (m->ndim != 2)
        return kp_fail(KP_EMODEL, "a kernel of four bits that is stored with %d axes", m->ndim);
    int axis = m->shape[0] == k->rows ? 1 : 0;
    KP_TRY(kp_lw_unpack4(w, axis, axis == 1 ? k->columns : k->rows, true, m, &m));
    KP_TRY(kp_lw_stored(w, k->sub, index, "kernel_scale", &scale));
    if (scale->ndim == 2) {
        KP_TRY(kp_lw_stored(w, k->sub, index + 1, "kernel_zero", &zero));
        KP_TRY(kp_lw_stored(w, k->sub, index + 2, "g_idx", &groups));
        KP_TRY(kp_lw_dequantize(w, 0, m, scale, zero, groups, &floats));
    } else {
        KP_TRY(kp_lw_binary(w, KP_BIN_DIV, m, scale, &floats));
    }
    return shaped(w, k, raw ? m : floats, &q->kernel);
}

static int float8_kernel(kp_lw *w, const kp_layer *l, const kp_lw_stored_kernel *k,
                         kp_lw_quantized *q)
{
    static const char *const rest[] = {"inputs_scale",       "inputs_amax_history",
                                       "kernel_scale",       "kernel_amax_history",
                                       "outputs_grad_scale", "outputs_grad_amax_history"};
    kp_value *v[6], *kernel;
    KP_TRY(kp_lw_weight_get(w, k->sub, 0, "kernel", k->ndim, k->shape, 0, NULL, true, &kernel));
    for (int i = 0; i < 6; i++)
        KP_TRY(
            kp_lw_weight_get(w, k->sub, 1 + k->bias + i, rest[i], -1, NULL, 0, NULL, true, &v[i]));
    if (w->raw == l) {
        q->kernel = kernel;
        return 0;
    }
    q->inputs_scale = v[0];
    q->rounds_bias = l->policy.compute == KP_FLOAT32;
    return kp_lw_kernel(w, &kp_kernel_float8, NULL, (kp_value *[]){kernel, v[2]}, 2, &q->kernel);
}

/* GPTQ and AWQ: stored by columns, (columns, rows), with a scale and a zero for each group of rows.
 */
static int group_kernel(kp_lw *w, bool awq, const kp_lw_stored_kernel *k, kp_lw_quantized *q)
{
    kp_value *m, *scale, *zero, *groups, *rows = NULL;
    int index = k->bias;
    q->bias_index = 0;
    if (kp_keras_weight_count(w->k, w->record->layer, k->sub) == index + 3 + awq)
        return kp_fail(KP_EMODEL,
                       "the file lacks the zero points of a kernel of few bits: Keras 3.15 "
                       "leaves them out of a .keras archive; save the model as .h5");
    KP_TRY(kp_lw_stored(w, k->sub, index, "kernel", &m));
    KP_TRY(kp_lw_stored(w, k->sub, index + 1, "kernel_scale", &scale));
    KP_TRY(kp_lw_stored(w, k->sub, index + 2, "kernel_zero", &zero));
    if (awq)
        KP_TRY(kp_lw_stored(w, k->sub, index + 3, "awq_scales", &rows));
    KP_TRY(kp_lw_stored(w, k->sub, index + 3 + awq, "g_idx", &groups));
    if (m->ndim != 2 || scale->ndim != 2)
        return kp_fail(KP_EMODEL, "a kernel that is stored in %d axes", m->ndim);
    if (awq || m->shape[0] != k->columns)
        KP_TRY(kp_lw_unpack4(w, 0, k->columns, false, m, &m));
    KP_TRY(kp_lw_dequantize(w, 1, m, scale, zero, groups, &m));
    if (rows)
        KP_TRY(kp_lw_binary(w, KP_BIN_DIV, m, rows, &m));
    KP_TRY(kp_lw_transpose(w, (int[]){1, 0}, m, &m));
    return shaped(w, k, m, &q->kernel);
}

int kp_lw_quantized_kernel(kp_lw *w, const kp_layer *l, const char *mode,
                           const kp_lw_stored_kernel *k, kp_lw_quantized *out)
{
    bool raw = w->raw == l;
    *out = (kp_lw_quantized){.bias_index = 1};
    if (strcmp(mode, "int8") == 0 || strcmp(mode, "int4") == 0) {
        KP_TRY(kp_lw_quantized_rounding(w, l, mode, out));
        out->rounds = out->rounds && !raw;
        KP_TRY((mode[3] == '8' ? int8_kernel : int4_kernel)(w, raw, k, out));
        return *k->sub ? 0 : kp_lw_thin_product(w, "kernel", k->ndim, k->shape, &out->tuned);
    }
    if (strcmp(mode, "float8") == 0)
        return float8_kernel(w, l, k, out);
    if (raw)
        return kp_fail(KP_EMODEL,
                       "layer \"%s\" (%s): Keras does not scale a kernel of few bits within "
                       "TimeDistributed; save the model before quantize()",
                       l->path, l->class_name);
    if (strcmp(mode, "gptq") == 0 || strcmp(mode, "awq") == 0)
        return group_kernel(w, mode[0] == 'a', k, out);
    return kp_fail(KP_EMODEL,
                   "layer \"%s\" (%s): the quantization \"%s\" is not supported; save the "
                   "model before quantize()",
                   l->path, l->class_name, mode);
}

/* ---- inputs ---- */

/* As Keras rounds: scale = top / (largest + epsilon), x * scale to the nearest, halves to even. */
static int round_rows(kp_lw *w, const kp_lw_quantized *q, const kp_axes *axes, kp_value *x,
                      kp_value **out, kp_value **scale)
{
    kp_node most = {.op = KP_OP_REDUCE,
                    .attr.reduce = {.kind = KP_RED_MAX, .axes = *axes, .keepdims = true}};
    kp_value *top;
    KP_TRY(kp_lw_unary(w, (kp_act){.kind = KP_ACT_ABS}, x, scale));
    KP_TRY(kp_lw_add(w, &most, scale, 1, scale));
    KP_TRY(kp_lw_linear(w, 1, q->epsilon, *scale, scale));
    KP_TRY(kp_lw_number(w, (float)q->top, x->dtype, &top));
    KP_TRY(kp_lw_binary(w, KP_BIN_DIV, top, *scale, scale));
    KP_TRY(kp_lw_binary(w, KP_BIN_MUL, x, *scale, &x));
    return kp_lw_unary(w, (kp_act){.kind = KP_ACT_ROUND}, x, out);
}

int kp_lw_quantized_input(kp_lw *w, const kp_lw_quantized *q, const kp_axes *axes, kp_value *x,
                          kp_value **out, kp_value **scale)
{
    *out = x;
    *scale = NULL;
    if (q->inputs_scale)
        return kp_lw_kernel(w, &kp_kernel_float8, NULL, (kp_value *[]){x, q->inputs_scale}, 2, out);
    return q->rounds ? round_rows(w, q, axes, x, out, scale) : 0;
}

int kp_lw_quantized_bias(kp_lw *w, const kp_lw_quantized *q, kp_value *bias, kp_value **out)
{
    *out = bias;
    if (!q->rounds_bias)
        return 0;
    KP_TRY(kp_lw_cast(w, KP_BFLOAT16, bias, &bias));
    return kp_lw_float(w, bias, out);
}

/* ---- products ---- */

/* y plus x (..., rows) times the kernel's thin part. */
static int add_tuned(kp_lw *w, const kp_lw_stored_kernel *k, kp_value *tuned, kp_value *x,
                     kp_value *y, kp_value **out)
{
    kp_node n = {.op = KP_OP_DENSE};
    KP_TRY(kp_lw_reshape(w, 0, (int64_t[]){k->rows, k->columns}, 2, tuned, &tuned));
    KP_TRY(kp_lw_add(w, &n, (kp_value *[]){x, tuned}, 2, &x));
    return kp_lw_binary(w, KP_BIN_ADD, y, x, out);
}

static int get_bias(kp_lw *w, const kp_lw_stored_kernel *k, int index, kp_value **out)
{
    return kp_lw_weight_get(w, k->sub, index, "bias", k->ndim - k->lead, k->shape + k->lead, 1,
                            &k->columns, true, out);
}

static int project_quantized(kp_lw *w, const kp_layer *l, const char *mode,
                             const kp_lw_stored_kernel *k, kp_value *x, kp_value **out)
{
    kp_lw_quantized q;
    kp_value *kernel, *rows, *bias, *plain = x;
    kp_node n = {.op = KP_OP_DENSE};
    KP_TRY(kp_lw_quantized_kernel(w, l, mode, k, &q));
    KP_TRY(kp_lw_quantized_input(w, &q, &(kp_axes){1, {x->ndim - 1}}, x, &x, &rows));
    KP_TRY(kp_lw_reshape(w, 0, (int64_t[]){k->rows, k->columns}, 2, q.kernel, &kernel));
    KP_TRY(kp_lw_add(w, &n, (kp_value *[]){x, kernel}, 2, out));
    if (rows)
        KP_TRY(kp_lw_binary(w, KP_BIN_DIV, *out, rows, out));
    if (q.scale) {
        KP_TRY(kp_lw_reshape(w, 0, &k->columns, 1, q.scale, &q.scale));
        KP_TRY(kp_lw_binary(w, KP_BIN_DIV, *out, q.scale, out));
    }
    if (q.tuned)
        KP_TRY(add_tuned(w, k, q.tuned, plain, *out, out));
    if (!k->bias)
        return 0;
    KP_TRY(get_bias(w, k, q.bias_index, &bias));
    KP_TRY(kp_lw_quantized_bias(w, &q, bias, &bias));
    return kp_lw_binary(w, KP_BIN_ADD, *out, bias, out);
}

int kp_lw_project(kp_lw *w, const kp_layer *l, const kp_lw_stored_kernel *k, kp_value *x,
                  kp_value **out)
{
    const char *mode;
    kp_value *in[3] = {x};
    kp_node n = {.op = KP_OP_DENSE};
    KP_TRY(kp_lw_quantized_mode(w, l, k, &mode));
    if (mode)
        return project_quantized(w, l, mode, k, x, out);
    KP_TRY(kp_lw_weight_get(w, k->sub, 0, "kernel", k->ndim, k->shape, 2,
                            (int64_t[]){k->rows, k->columns}, true, &in[1]));
    if (k->bias)
        KP_TRY(get_bias(w, k, 1, &in[2]));
    return kp_lw_add(w, &n, in, k->bias ? 3 : 2, out);
}
