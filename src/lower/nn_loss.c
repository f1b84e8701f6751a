/* Losses that stand in graphs as operations: one number a row, or a place. */
#include "lower/build.h"

enum { BINARY, CATEGORICAL, SPARSE };

static int operand(kp_lw *w, const kp_lw_call *c, int position, const char *name, kp_value **out)
{
    return kp_lw_tensor_of(w, c, kp_lw_arg(c, position, name), out);
}

/* Keras goes back to what a sigmoid or softmax was made of, whatever from_logits says. */
static int find_logits(const kp_lw_call *c, kp_value **output, bool *from_logits)
{
    const kp_node *n = (*output)->producer;
    KP_TRY(kp_cfg_bool(c->layer, "from_logits", false, from_logits));
    bool made = n && (c->variant == BINARY
                          ? n->op == KP_OP_UNARY && n->attr.unary.act.kind == KP_ACT_SIGMOID
                          : n->op == KP_OP_SOFTMAX && !n->attr.softmax.log);
    if (made) {
        *output = n->inputs[0];
        *from_logits = true;
    }
    return 0;
}

static int clip_log(kp_lw *w, kp_value *x, kp_value **out)
{
    float least = 1e-7f, most = 1 - 1e-7f;
    kp_value *k;
    KP_TRY(kp_lw_const(w, &least, NULL, 0, &k));
    KP_TRY(kp_lw_binary(w, KP_BIN_MAX, x, k, &x));
    KP_TRY(kp_lw_const(w, &most, NULL, 0, &k));
    KP_TRY(kp_lw_binary(w, KP_BIN_MIN, x, k, out));
    return 0;
}

static int log_of(kp_lw *w, kp_value *x, kp_value **out)
{
    return kp_lw_unary(w, (kp_act){.kind = KP_ACT_LOG}, x, out);
}

/* -(t log p + (1 - t) log(1 - p)); of logits z: log p is -softplus(-z), log(1 - p) -softplus(z). */
static int do_binary(kp_lw *w, const kp_lw_call *c, kp_value **out)
{
    kp_value *target, *p, *yes, *no, *rest;
    bool logits;
    KP_TRY(operand(w, c, 0, "target", &target));
    KP_TRY(operand(w, c, 1, "output", &p));
    KP_TRY(find_logits(c, &p, &logits));
    KP_TRY(kp_lw_float(w, target, &target));
    KP_TRY(kp_lw_float(w, p, &p));
    if (logits) {
        KP_TRY(kp_lw_unary(w, (kp_act){.kind = KP_ACT_LOG_SIGMOID}, p, &yes));
        KP_TRY(kp_lw_linear(w, -1, 0, p, &no));
        KP_TRY(kp_lw_unary(w, (kp_act){.kind = KP_ACT_LOG_SIGMOID}, no, &no));
    } else {
        KP_TRY(clip_log(w, p, &p));
        KP_TRY(log_of(w, p, &yes));
        KP_TRY(kp_lw_linear(w, -1, 1, p, &no));
        KP_TRY(log_of(w, no, &no));
    }
    KP_TRY(kp_lw_linear(w, -1, 1, target, &rest));
    KP_TRY(kp_lw_binary(w, KP_BIN_MUL, target, yes, &yes));
    KP_TRY(kp_lw_binary(w, KP_BIN_MUL, rest, no, &no));
    KP_TRY(kp_lw_binary(w, KP_BIN_ADD, yes, no, &yes));
    return kp_lw_linear(w, -1, 0, yes, out);
}

static int log_softmax(kp_lw *w, const kp_axes *axes, kp_value *x, kp_value **out)
{
    return kp_lw_softmax(w, axes, true, x, out);
}

static int do_categorical(kp_lw *w, const kp_lw_call *c, kp_value **out)
{
    kp_value *target, *p, *sum;
    kp_axes axes;
    bool logits;
    KP_TRY(operand(w, c, 0, "target", &target));
    KP_TRY(operand(w, c, 1, "output", &p));
    KP_TRY(find_logits(c, &p, &logits));
    KP_TRY(kp_lw_float(w, target, &target));
    KP_TRY(kp_lw_float(w, p, &p));
    KP_TRY(kp_lw_axes(c->layer, "axis", p->ndim, -1, &axes));
    KP_TRY(kp_lw_batch_axis(c->layer, p, &axes));
    if (logits) {
        KP_TRY(log_softmax(w, &axes, p, &p));
    } else {
        KP_TRY(kp_lw_reduce(w, KP_RED_SUM, &axes, true, p, &sum));
        KP_TRY(kp_lw_binary(w, KP_BIN_DIV, p, sum, &p));
        KP_TRY(clip_log(w, p, &p));
        KP_TRY(log_of(w, p, &p));
    }
    KP_TRY(kp_lw_binary(w, KP_BIN_MUL, target, p, &p));
    KP_TRY(kp_lw_reduce(w, KP_RED_SUM, &axes, false, p, &p));
    return kp_lw_linear(w, -1, 0, p, out);
}

/* The target is the class's number: its log-probability is picked. Of probabilities too, Keras
 * takes the softmax of the logarithms, which adds them up to 1. */
static int do_sparse(kp_lw *w, const kp_lw_call *c, kp_value **out)
{
    kp_value *target, *p;
    bool logits;
    KP_TRY(operand(w, c, 0, "target", &target));
    KP_TRY(operand(w, c, 1, "output", &p));
    KP_TRY(find_logits(c, &p, &logits));
    KP_TRY(kp_lw_float(w, p, &p));
    KP_TRY(kp_lw_cast(w, KP_INT64, target, &target));
    if (!logits) {
        KP_TRY(clip_log(w, p, &p));
        KP_TRY(log_of(w, p, &p));
    }
    KP_TRY(log_softmax(w, &(kp_axes){1, {p->ndim - 1}}, p, &p));
    kp_node n = {.op = KP_OP_GATHER, .attr.gather = {p->ndim - 1, p->ndim - 1, false}};
    if (target->ndim == p->ndim && target->shape[p->ndim - 1] == 1)
        KP_TRY(kp_lw_reshape(w, p->ndim - 1, NULL, 0, target, &target));
    KP_TRY(kp_lw_add(w, &n, (kp_value *[]){p, target}, 2, &p));
    return kp_lw_linear(w, -1, 0, p, out);
}

static int do_ctc_loss(kp_lw *w, const kp_lw_call *c, kp_value **out)
{
    static const char *const names[4] = {"target", "output", "target_length", "output_length"};
    kp_ctc_params *p = kp_arena_alloc(w->mem, sizeof *p);
    kp_value *in[4];
    if (!p)
        return KP_ENOMEM;
    KP_TRY(kp_cfg_int(c->layer, "mask_index", 0, &p->blank));
    for (int i = 0; i < 4; i++)
        KP_TRY(operand(w, c, i, names[i], &in[i]));
    return kp_lw_kernel(w, &kp_kernel_ctc_loss, p, in, 4, out);
}

/* ---- decoding ---- */

static int ctc_greedy(kp_lw *w, const kp_lw_call *c, int64_t blank, kp_value **in, kp_value **out)
{
    kp_ctc_greedy *p = kp_arena_array(w->mem, 2, sizeof *p);
    bool merge;
    if (!p)
        return KP_ENOMEM;
    KP_TRY(kp_cfg_bool(c->layer, "merge_repeated", true, &merge));
    p[0] = p[1] = (kp_ctc_greedy){.blank = blank, .keep_repeated = !merge};
    p[1].scores = true;
    KP_TRY(kp_lw_kernel(w, &kp_kernel_ctc_greedy, &p[0], in, 2, &out[0]));
    KP_TRY(kp_lw_add_axis(w, 0, out[0], &out[0]));
    return kp_lw_kernel(w, &kp_kernel_ctc_greedy, &p[1], in, 2, &out[1]);
}

static int ctc_beam(kp_lw *w, const kp_lw_call *c, int64_t blank, kp_value **in, kp_value **out)
{
    enum { MOST = 1024 };
    kp_ctc_beam *p = kp_arena_array(w->mem, 2, sizeof *p);
    if (!p)
        return KP_ENOMEM;
    p[0].blank = blank;
    if (json_integer_value(json_object_get(c->layer->config, "mask_index")) == -1)
        return kp_fail(KP_EMODEL,
                       "layer \"%s\" (CTCDecode): of mask_index=-1 Keras makes a search with every "
                       "class twice, which has no result of its own; give the class's number",
                       c->layer->path);
    KP_TRY(kp_cfg_int(c->layer, "beam_width", 100, &p->width));
    KP_TRY(kp_cfg_int(c->layer, "top_paths", 1, &p->paths));
    if (p->width < 1 || p->width > MOST || p->paths < 1 || p->paths > p->width)
        return kp_fail(KP_EMODEL, "layer \"%s\" (CTCDecode): %lld paths of %lld", c->layer->path,
                       (long long)p->paths, (long long)p->width);
    p[1] = p[0];
    p[1].scores = true;
    KP_TRY(kp_lw_kernel(w, &kp_kernel_ctc_beam, &p[0], in, 2, &out[0]));
    return kp_lw_kernel(w, &kp_kernel_ctc_beam, &p[1], in, 2, &out[1]);
}

/* The paths, in front of the batch, and their scores. */
static int do_ctc_decode(kp_lw *w, const kp_lw_call *c, kp_value **out)
{
    const char *strategy;
    kp_value *in[2], **values;
    int64_t classes, blank;
    (void)out;
    KP_TRY(kp_cfg_str(c->layer, "strategy", "greedy", &strategy));
    bool beam = strcmp(strategy, "beam_search") == 0;
    KP_TRY(kp_lw_tensor_of(w, c, kp_lw_arg(c, 0, "inputs"), &in[0]));
    KP_TRY(kp_lw_tensor_of(w, c, kp_lw_arg(c, 1, "sequence_lengths"), &in[1]));
    if (in[0]->ndim > 0 && in[0]->shape[0] == KP_DIM_BATCH)
        return kp_lw_rows_refused(c, "puts the paths in front of the batch");
    if (!kp_dtype_is_float(in[0]->dtype))
        KP_TRY(kp_lw_float(w, in[0], &in[0]));
    KP_TRY(kp_lw_cast(w, KP_INT32, in[1], &in[1]));
    KP_TRY(kp_lw_rank(c, 3));
    KP_TRY(kp_lw_known(in[0], 2, &classes));
    if (kp_lw_is_null(c->layer, "mask_index") && json_object_get(c->layer->config, "mask_index"))
        blank = -1;
    else
        KP_TRY(kp_cfg_int(c->layer, "mask_index", 0, &blank));
    blank = blank < 0 ? blank + classes : blank;
    if (blank < 0 || blank >= classes || (!beam && strcmp(strategy, "greedy") != 0))
        return kp_fail(KP_EMODEL, "layer \"%s\" (CTCDecode): blank %lld of %lld classes, \"%s\"",
                       c->layer->path, (long long)blank, (long long)classes, strategy);
    KP_TRY(kp_lw_outputs(w, c, 2, &values));
    return (beam ? ctc_beam : ctc_greedy)(w, c, blank, in, values);
}

const kp_lw_entry kp_lw_nn_loss_operations[] = {
    {"CTCDecode", do_ctc_decode, 0, 1, 2, KP_LW_SAME, KP_LW_MASK_OWN},
    {"CTCLoss", do_ctc_loss, 0, 1, 4, KP_LW_SAME, KP_LW_MASK_DROP},
    {"BinaryCrossentropy", do_binary, BINARY, 1, 2, KP_LW_SAME, KP_LW_MASK_DROP},
    {"CategoricalCrossentropy", do_categorical, CATEGORICAL, 1, 2, KP_LW_SAME, KP_LW_MASK_DROP},
    {"SparseCategoricalCrossentropy", do_sparse, SPARSE, 1, 2, KP_LW_SAME, KP_LW_MASK_DROP},
    {0},
};
