#include "backend/op_text.h"
#include "backend/op_body.h"

#include <math.h>
#include <stdlib.h>

enum { ALIGN = 64 };

/* ---- numbers and words ---- */

static int word_index(const char *word, const char *const *words, int n)
{
    for (int i = 0; i < n; i++) {
        if (strcmp(word, words[i]) == 0)
            return i;
    }
    return -1;
}

static int64_t number(const char *s, char **end)
{
    if (strncmp(s, "max", 3) == 0) {
        *end = (char *)s + 3;
        return INT64_MAX;
    }
    if (*s == 'B' || *s == '?') {
        *end = (char *)s + 1;
        return *s == 'B' ? KP_DIM_BATCH : KP_DIM_UNKNOWN;
    }
    return strtoll(s, end, 10);
}

/* "3,4,5" into v; gives how many. An empty text is none. */
static int numbers(const char *s, int64_t *v, int most)
{
    int n = 0;
    while (*s != '\0' && *s != ':' && n < most) {
        char *end;
        v[n++] = number(s, &end);
        s = *end == ',' ? end + 1 : end;
    }
    return n;
}

static void axes_from(const char *s, kp_axes *axes)
{
    int64_t v[KP_MAX_DIMS];
    axes->n = numbers(s, v, KP_MAX_DIMS);
    for (int i = 0; i < axes->n; i++)
        axes->axis[i] = (int)v[i];
}

static int act_from(const char *s, kp_act *act)
{
    char name[40];
    size_t len = strcspn(s, ":");
    snprintf(name, sizeof name, "%.*s", (int)len, s);
    double *const p[] = {&act->a, &act->b, &act->c};
    for (int i = 0; i < 3 && s[len] == ':'; i++) {
        char *end;
        *p[i] = strtof(s + len + 1, &end);
        len = (size_t)(end - s);
    }
    for (int k = 0; k < KP_ACT_COUNT; k++) {
        if (strcmp(kp_act_name((kp_act_kind)k), name) == 0) {
            act->kind = (kp_act_kind)k;
            return 0;
        }
    }
    return kp_fail(KP_EINVAL, "unknown activation \"%s\"", name);
}

/* ---- attributes ---- */

static kp_window *window_of(kp_node *n)
{
    return n->op == KP_OP_CONV             ? &n->attr.conv.window
           : n->op == KP_OP_CONV_TRANSPOSE ? &n->attr.conv_transpose.window
                                           : &n->attr.pool.window;
}

static bool has_window(const kp_node *n)
{
    return n->op == KP_OP_CONV || n->op == KP_OP_CONV_TRANSPOSE || n->op == KP_OP_POOL;
}

static void pad_from(const char *s, kp_window *w)
{
    w->padding = strcmp(s, "same") == 0    ? KP_PAD_SAME
                 : strcmp(s, "valid") == 0 ? KP_PAD_VALID
                                           : KP_PAD_EXPLICIT;
    for (int i = 0; w->padding == KP_PAD_EXPLICIT && i < w->n_spatial; i++) {
        w->pad_before[i] = strtoll(s, (char **)&s, 10);
        w->pad_after[i] = strtoll(s + 1, (char **)&s, 10);
        s += *s == ',';
    }
}

static bool window_attr(kp_node *n, const char *key, const char *s)
{
    kp_window *w = window_of(n);
    if (strcmp(key, "size") == 0)
        w->n_spatial = numbers(s, w->size, KP_MAX_SPATIAL);
    else if (strcmp(key, "stride") == 0)
        numbers(s, w->stride, KP_MAX_SPATIAL);
    else if (strcmp(key, "dilation") == 0)
        numbers(s, w->dilation, KP_MAX_SPATIAL);
    else if (strcmp(key, "pad") == 0)
        pad_from(s, w);
    else if (strcmp(key, "groups") == 0 && n->op == KP_OP_CONV)
        n->attr.conv.groups = atoll(s);
    else if (strcmp(key, "outpad") == 0 && n->op == KP_OP_CONV_TRANSPOSE) {
        numbers(s, n->attr.conv_transpose.output_padding, KP_MAX_SPATIAL);
        n->attr.conv_transpose.has_output_padding = true;
    } else if (strcmp(key, "countpad") == 0 && n->op == KP_OP_POOL)
        n->attr.pool.count_padding = true;
    else if (strcmp(key, "kind") == 0 && n->op == KP_OP_POOL)
        n->attr.pool.average = strcmp(s, "avg") == 0;
    else
        return false;
    return true;
}

static bool kind_attr(kp_node *n, const char *s)
{
    const char *reduce[KP_RED_COUNT], *binary[KP_BIN_COUNT];
    for (int i = 0; i < KP_RED_COUNT; i++)
        reduce[i] = kp_reduce_name((kp_reduce_kind)i);
    for (int i = 0; i < KP_BIN_COUNT; i++)
        binary[i] = kp_binary_name((kp_binary_kind)i);
    static const char *const resize[] = {"nearest",  "bilinear", "bicubic",
                                         "lanczos3", "lanczos5", "area"};
    int k = -1;
    if (n->op == KP_OP_REDUCE) {
        k = word_index(s, reduce, KP_RED_COUNT);
        n->attr.reduce.kind = (kp_reduce_kind)k;
    } else if (n->op == KP_OP_BINARY) {
        k = word_index(s, binary, KP_BIN_COUNT);
        n->attr.binary.kind = (kp_binary_kind)k;
    } else if (n->op == KP_OP_RESIZE) {
        k = word_index(s, resize, KP_RESIZE_COUNT);
        n->attr.resize.kind = (kp_resize_kind)k;
    }
    return k >= 0;
}

static bool resize_attr(kp_node *n, const char *key, const char *s)
{
    static const char *const keys[] = {"height",    "width", "fh",    "fw",    "fill",
                                       "antialias", "crop",  "padar", "center"};
    switch (word_index(key, keys, 9)) {
    case 0:
        n->attr.resize.height = atoll(s);
        return true;
    case 1:
        n->attr.resize.width = atoll(s);
        return true;
    case 2:
        n->attr.resize.factor_h = atoll(s);
        return true;
    case 3:
        n->attr.resize.factor_w = atoll(s);
        return true;
    case 4:
        n->attr.resize.fill_value = strtof(s, NULL);
        return true;
    case 5:
        n->attr.resize.antialias = true;
        return true;
    case 6:
        n->attr.resize.crop_to_aspect_ratio = true;
        return true;
    case 7:
        n->attr.resize.pad_to_aspect_ratio = true;
        return true;
    case 8:
        n->attr.resize.center_crop = true;
        return true;
    default:
        return false;
    }
}

static bool norm_attr(kp_node *n, const char *key, const char *s)
{
    kp_axes *axes = n->op == KP_OP_REDUCE      ? &n->attr.reduce.axes
                    : n->op == KP_OP_LAYERNORM ? &n->attr.layernorm.axes
                                               : &n->attr.softmax.axes;
    if (strcmp(key, "axes") == 0)
        axes_from(s, axes);
    else if (strcmp(key, "keepdims") == 0 && n->op == KP_OP_REDUCE)
        n->attr.reduce.keepdims = true;
    else if (strcmp(key, "eps") == 0 && n->op == KP_OP_LAYERNORM)
        n->attr.layernorm.epsilon = strtof(s, NULL);
    else if (strcmp(key, "rms") == 0 && n->op == KP_OP_LAYERNORM)
        n->attr.layernorm.rms_scaling = true;
    else if (strcmp(key, "log") == 0 && n->op == KP_OP_SOFTMAX)
        n->attr.softmax.log = true;
    else
        return false;
    return true;
}

static bool move_attr(kp_node *n, const char *key, const char *s)
{
    int64_t v[KP_MAX_DIMS];
    if (n->op == KP_OP_PAD && strcmp(key, "value") == 0)
        n->attr.pad.value = strtod(s, NULL);
    else if (n->op == KP_OP_PAD && strcmp(key, "before") == 0)
        numbers(s, n->attr.pad.before, KP_MAX_DIMS);
    else if (n->op == KP_OP_PAD && strcmp(key, "after") == 0)
        numbers(s, n->attr.pad.after, KP_MAX_DIMS);
    else if (n->op == KP_OP_SLICE && strcmp(key, "begin") == 0)
        numbers(s, n->attr.slice.begin, KP_MAX_DIMS);
    else if (n->op == KP_OP_SLICE && strcmp(key, "end") == 0)
        numbers(s, n->attr.slice.end, KP_MAX_DIMS);
    else if (n->op == KP_OP_SLICE && strcmp(key, "step") == 0)
        numbers(s, n->attr.slice.step, KP_MAX_DIMS);
    else if (n->op == KP_OP_RESHAPE && strcmp(key, "keep") == 0)
        n->attr.reshape.keep = atoi(s);
    else if (n->op == KP_OP_RESHAPE && strcmp(key, "dims") == 0)
        n->attr.reshape.n = numbers(s, n->attr.reshape.dims, KP_MAX_DIMS);
    else if (n->op == KP_OP_REPEAT && strcmp(key, "times") == 0)
        numbers(s, n->attr.repeat.times, KP_MAX_DIMS);
    else if (n->op == KP_OP_BROADCAST && strcmp(key, "shape") == 0)
        n->attr.broadcast.ndim = numbers(s, n->attr.broadcast.shape, KP_MAX_DIMS);
    else if (n->op == KP_OP_GATHER && strcmp(key, "axis") == 0)
        n->attr.gather.axis = atoi(s);
    else if (n->op == KP_OP_GATHER && strcmp(key, "batch") == 0)
        n->attr.gather.batch_dims = atoi(s);
    else if (n->op == KP_OP_CAST && strcmp(key, "dtype") == 0)
        n->attr.cast.dtype = kp_dtype_from_name(s);
    else if (n->op == KP_OP_TRANSPOSE && strcmp(key, "perm") == 0) {
        for (int i = 0, c = numbers(s, v, KP_MAX_DIMS); i < c; i++)
            n->attr.transpose.perm[i] = (int)v[i];
    } else
        return false;
    return true;
}

static bool loop_attr(kp_node *n, const char *key, const char *s)
{
    if (strcmp(key, "seq") == 0)
        n->attr.loop.n_seq = atoi(s);
    else if (strcmp(key, "states") == 0)
        n->attr.loop.n_state = atoi(s);
    else if (strcmp(key, "last") == 0)
        n->attr.loop.last_only = true;
    else if (strcmp(key, "reverse") == 0)
        n->attr.loop.reverse = true;
    else
        return false;
    return true;
}

static int set_attr(kp_node *n, const char *key, const char *s)
{
    bool normal = n->op == KP_OP_BATCHNORM || n->op == KP_OP_AFFINE || n->op == KP_OP_CONCAT;
    if (strcmp(key, "act") == 0)
        return act_from(s, n->op == KP_OP_UNARY ? &n->attr.unary.act : &n->act);
    if (has_window(n) && window_attr(n, key, s))
        return 0;
    if (strcmp(key, "kind") == 0 && kind_attr(n, s))
        return 0;
    if (n->op == KP_OP_RESIZE && resize_attr(n, key, s))
        return 0;
    if ((n->op == KP_OP_REDUCE || n->op == KP_OP_LAYERNORM || n->op == KP_OP_SOFTMAX) &&
        norm_attr(n, key, s))
        return 0;
    if (normal && strcmp(key, "axis") == 0) {
        n->attr.axis.axis = atoi(s);
        return 0;
    }
    if (normal && strcmp(key, "eps") == 0) {
        n->attr.axis.epsilon = strtof(s, NULL);
        return 0;
    }
    if (n->op == KP_OP_SCAN && loop_attr(n, key, s))
        return 0;
    if (move_attr(n, key, s))
        return 0;
    return kp_fail(KP_EINVAL, "%s has no attribute %s=%s", kp_op_name(n->op), key, s);
}

/* ---- the line ---- */

static int set_arg(op_case *c, const char *word)
{
    if (c->n_args == OP_TEXT_INPUTS)
        return kp_fail(KP_EINVAL, "more than %d inputs", OP_TEXT_INPUTS);
    op_arg *a = &c->args[c->n_args++];
    a->dtype = KP_FLOAT32;
    if (strcmp(word, "none") == 0) {
        a->kind = OP_ARG_NONE;
        return 0;
    }
    a->kind = word[0] == 'i' ? OP_ARG_IN : OP_ARG_CONST;
    const char *shape = strchr(word, ':') + 1;
    a->ndim = numbers(shape, a->shape, KP_MAX_DIMS);
    const char *more = strchr(shape, ':');
    if (more == NULL)
        return 0;
    if (strcmp(more + 1, "pos") == 0)
        a->positive = true;
    else
        a->dtype = kp_dtype_from_name(more + 1);
    return 0;
}

static int set_defaults(kp_node *n, const char *name)
{
    n->name = name;
    for (int op = 0; op <= KP_OP_COUNT; op++) {
        if (op == KP_OP_COUNT)
            return kp_fail(KP_EINVAL, "unknown operation \"%s\"", name);
        if (strcmp(kp_op_name((kp_op)op), name) == 0) {
            n->op = (kp_op)op;
            break;
        }
    }
    for (int i = 0; has_window(n) && i < KP_MAX_SPATIAL; i++)
        window_of(n)->stride[i] = window_of(n)->dilation[i] = 1;
    if (n->op == KP_OP_CONV)
        n->attr.conv.groups = 1;
    for (int i = 0; n->op == KP_OP_SLICE && i < KP_MAX_DIMS; i++) {
        n->attr.slice.end[i] = INT64_MAX;
        n->attr.slice.step[i] = 1;
    }
    return 0;
}

static int parse(op_case *c, char *line)
{
    char *save, *word = strtok_r(line, " ", &save);
    if (word == NULL)
        return kp_fail(KP_EINVAL, "an empty line");
    KP_TRY(set_defaults(&c->proto, word));
    while ((word = strtok_r(NULL, " ", &save)) != NULL) {
        char *eq = strchr(word, '=');
        if (eq == NULL) {
            KP_TRY(set_arg(c, word));
            continue;
        }
        *eq = '\0';
        if (strcmp(word, "body") == 0) {
            snprintf(c->body, sizeof c->body, "%s", eq + 1);
            continue;
        }
        KP_TRY(set_attr(&c->proto, word, eq + 1));
    }
    return 0;
}

/* ---- random arrays ---- */

/* splitmix64: small, and good enough for test data. */
static uint64_t next_random(uint64_t *state)
{
    uint64_t z = *state += 0x9e3779b97f4a7c15u;
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return z ^ (z >> 31);
}

static double uniform(uint64_t *state)
{
    return (double)(next_random(state) >> 11) * 0x1p-53;
}

static double normal(uint64_t *state)
{
    double s = 0;
    for (int i = 0; i < 12; i++)
        s += uniform(state);
    return s - 6;
}

int op_text_fill(void *data, kp_dtype dtype, int64_t n, bool positive, uint64_t seed)
{
    for (int64_t i = 0; i < n; i++) {
        double v = !kp_dtype_is_float(dtype)
                       ? floor(uniform(&seed) * (dtype == KP_INT8 ? 128 : 256))
                   : positive ? 0.5 + uniform(&seed)
                              : normal(&seed);
        KP_TRY(
            kp_convert(dtype, (char *)data + (size_t)i * kp_dtype_size(dtype), KP_FLOAT64, &v, 1));
    }
    return 0;
}

static int aligned_array(void **out, size_t bytes)
{
    *out = aligned_alloc(ALIGN, (bytes + ALIGN) / ALIGN * ALIGN);
    return *out == NULL ? kp_fail(KP_ENOMEM, "out of memory") : 0;
}

int op_case_inputs(const op_case *c, int64_t batch, uint64_t seed, void **in)
{
    for (int i = 0; i < c->g->n_inputs; i++) {
        const kp_value *v = c->g->inputs[i];
        size_t row;
        if (!kp_value_bytes(v, 1, &row))
            return kp_fail(KP_ELIMIT, "too large");
        KP_TRY(aligned_array(&in[i], row * (size_t)batch));
        for (int64_t r = 0; r < batch; r++)
            KP_TRY(op_text_fill((char *)in[i] + row * (size_t)r, v->dtype,
                                (int64_t)(row / kp_dtype_size(v->dtype)), false,
                                seed + (uint64_t)i * 1000003 + (uint64_t)r * 7919));
    }
    return 0;
}

static uint64_t hash(const char *s)
{
    uint64_t h = 0xcbf29ce484222325u;
    for (; *s != '\0'; s++)
        h = (h ^ (uint8_t)*s) * 0x100000001b3u;
    return h;
}

/* ---- the graph ---- */

static int make_constant(op_case *c, int i, const void *data, uint64_t seed, kp_value **out)
{
    const op_arg *a = &c->args[i];
    size_t bytes;
    if (!kp_shape_bytes(a->shape, a->ndim, a->dtype, &bytes))
        return kp_fail(KP_EINVAL, "a constant of unknown size");
    if (data == NULL) {
        KP_TRY(aligned_array(&c->constants[i], bytes));
        KP_TRY(op_text_fill(c->constants[i], a->dtype, (int64_t)(bytes / kp_dtype_size(a->dtype)),
                            a->positive, seed + (uint64_t)i));
        data = c->constants[i];
    }
    return kp_graph_add_const(c->g, NULL, a->dtype, a->shape, a->ndim, data, out);
}

static int build(op_case *c, const char *line, const void *const *constants)
{
    kp_value *in[OP_TEXT_INPUTS] = {NULL};
    KP_TRY(kp_graph_new(&c->g));
    for (int i = 0; i < c->n_args; i++) {
        const op_arg *a = &c->args[i];
        const void *data = constants == NULL ? NULL : constants[i];
        if (a->kind == OP_ARG_IN)
            KP_TRY(kp_graph_add_input(c->g, "x", a->dtype, a->shape, a->ndim, &in[i]));
        else if (a->kind == OP_ARG_CONST)
            KP_TRY(make_constant(c, i, data, hash(line), &in[i]));
    }
    if (c->body[0] != '\0')
        KP_TRY(op_body_make(c->g, c->body, hash(line), in, c->n_args, &c->proto));
    KP_TRY(kp_graph_add(c->g, &c->proto, in, c->n_args, &c->result));
    KP_TRY(kp_graph_set_outputs(c->g, &c->result, 1));
    return kp_graph_verify(c->g);
}

int op_case_open(op_case *c, const char *line, const void *const *constants)
{
    memset(c, 0, sizeof *c);
    char *copy = strdup(line);
    if (copy == NULL)
        return kp_fail(KP_ENOMEM, "out of memory");
    int status = parse(c, copy);
    if (status == 0)
        status = build(c, line, constants);
    c->proto.name = NULL;
    free(copy);
    if (status != 0)
        op_case_close(c);
    return status;
}

void op_case_close(op_case *c)
{
    for (int i = 0; i < OP_TEXT_INPUTS; i++)
        free(c->constants[i]);
    kp_graph_free(&c->g);
    memset(c, 0, sizeof *c);
}

double op_relative_l2(const float *a, const float *b, size_t n)
{
    double diff = 0, norm = 0;
    for (size_t i = 0; i < n; i++) {
        if (isnan(a[i]) != isnan(b[i]))
            return INFINITY;
        if (isnan(a[i]) || a[i] == b[i]) {
            norm += isfinite(b[i]) ? (double)b[i] * b[i] : 0;
            continue;
        }
        diff += ((double)a[i] - b[i]) * ((double)a[i] - b[i]);
        norm += (double)b[i] * b[i];
    }
    return diff == 0 ? 0 : sqrt(diff) / fmax(sqrt(norm), 1e-30);
}
