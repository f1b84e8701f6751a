/* Operations that only move data, whatever its type: views, joining, padding, cutting out. */
#include "backend/cpu/cpu.h"

static int64_t size_at(const kp_value *v, int d, int64_t rows)
{
    return v->shape[d] == KP_DIM_BATCH ? rows : v->shape[d];
}

/* ---- joining ---- */

static int run_concat(const kp_step *s, kp_call *c)
{
    const kp_node *n = s->node;
    int axis = n->attr.axis.axis;
    size_t elem = kp_elem_size(n->output->dtype), out_run = elem, at = 0;
    int64_t outer = 1;
    for (int d = 0; d < axis; d++)
        outer *= size_at(n->output, d, c->rows);
    for (int d = axis; d < n->output->ndim; d++)
        out_run *= (size_t)size_at(n->output, d, c->rows);
    for (int i = 0; i < n->n_inputs; i++) {
        const kp_value *in = n->inputs[i];
        size_t run = elem;
        for (int d = axis; d < in->ndim; d++)
            run *= (size_t)size_at(in, d, c->rows);
        const uint8_t *src = c->at[in->id];
        uint8_t *dst = (uint8_t *)c->at[n->output->id] + at;
        for (int64_t o = 0; o < outer; o++)
            memcpy(dst + (size_t)o * out_run, src + (size_t)o * run, run);
        at += run;
    }
    return 0;
}

static bool take_concat(kp_step *s, const kp_node *n)
{
    for (int i = 0; i < n->n_inputs; i++) {
        if (n->inputs[i] == NULL || n->inputs[i]->dtype != n->output->dtype)
            return false;
    }
    s->run = run_concat;
    return true;
}

/* ---- a block of one array to a place in another ---- */

typedef struct block {
    int ndim;
    size_t elem;
    int64_t size[KP_MAX_DIMS];                  /* of the block */
    int64_t src[KP_MAX_DIMS], dst[KP_MAX_DIMS]; /* sizes of the arrays */
    int64_t src_at[KP_MAX_DIMS], dst_at[KP_MAX_DIMS];
} block;

/* The first axis from which on the block is whole in both arrays: behind it, one run of memory. */
static int whole_from(const block *b)
{
    int d = b->ndim;
    while (d > 0 && b->size[d - 1] == b->src[d - 1] && b->size[d - 1] == b->dst[d - 1])
        d--;
    return d;
}

static size_t place_of(const int64_t *index, const int64_t *at, const int64_t *sizes, int ndim)
{
    size_t place = 0;
    for (int d = 0; d < ndim; d++)
        place = place * (size_t)sizes[d] + (size_t)(index[d] + at[d]);
    return place;
}

static void copy_block(const block *b, uint8_t *dst, const uint8_t *src)
{
    int whole = whole_from(b), axes = whole > 0 ? whole - 1 : 0;
    size_t unit = b->elem;
    for (int d = whole; d < b->ndim; d++)
        unit *= (size_t)b->size[d];
    size_t run = whole > 0 ? unit * (size_t)b->size[whole - 1] : unit;
    int64_t index[KP_MAX_DIMS] = {0};
    for (int d = 0; d < b->ndim; d++) {
        if (b->size[d] == 0)
            return;
    }
    for (;;) {
        memcpy(dst + place_of(index, b->dst_at, b->dst, whole) * unit,
               src + place_of(index, b->src_at, b->src, whole) * unit, run);
        int d = axes - 1;
        while (d >= 0 && ++index[d] == b->size[d])
            index[d--] = 0;
        if (d < 0)
            return;
    }
}

static void block_sizes(block *b, const kp_node *n, int64_t rows)
{
    memset(b, 0, sizeof *b);
    b->ndim = n->output->ndim;
    b->elem = kp_elem_size(n->output->dtype);
    for (int d = 0; d < b->ndim; d++) {
        b->src[d] = size_at(n->inputs[0], d, rows);
        b->dst[d] = size_at(n->output, d, rows);
        b->size[d] = b->src[d] < b->dst[d] ? b->src[d] : b->dst[d];
    }
}

static int run_pad(const kp_step *s, kp_call *c)
{
    const kp_node *n = s->node;
    block b;
    block_sizes(&b, n, c->rows);
    for (int d = 0; d < b.ndim; d++)
        b.dst_at[d] = n->attr.pad.before[d];
    float *y = c->at[n->output->id], value = (float)n->attr.pad.value;
    int64_t count = kp_value_count(n->output, c->rows);
    for (int64_t i = 0; i < count; i++)
        y[i] = value;
    copy_block(&b, (uint8_t *)y, c->at[n->inputs[0]->id]);
    return 0;
}

static bool take_pad(kp_step *s, const kp_node *n)
{
    for (int d = 0; d < n->output->ndim; d++) {
        if (n->attr.pad.before[d] < 0 || n->attr.pad.after[d] < 0)
            return false;
    }
    s->run = run_pad;
    return n->inputs[0]->dtype == KP_FLOAT32 && n->output->dtype == KP_FLOAT32;
}

static int run_slice(const kp_step *s, kp_call *c)
{
    const kp_node *n = s->node;
    block b;
    block_sizes(&b, n, c->rows);
    for (int d = 0; d < b.ndim; d++) {
        int64_t begin = n->attr.slice.begin[d];
        begin = begin < 0 ? begin + b.src[d] : begin;
        b.src_at[d] = begin < 0 ? 0 : begin > b.src[d] ? b.src[d] : begin;
    }
    copy_block(&b, c->at[n->output->id], c->at[n->inputs[0]->id]);
    return 0;
}

static bool take_slice(kp_step *s, const kp_node *n)
{
    for (int d = 0; d < n->output->ndim; d++) {
        if (n->attr.slice.step[d] != 1)
            return false;
    }
    s->run = run_slice;
    return n->inputs[0]->shape[0] == n->output->shape[0];
}

/* ---- types ---- */

static int run_cast(const kp_step *s, kp_call *c)
{
    const kp_value *in = s->node->inputs[0], *out = s->node->output;
    return kp_convert(out->dtype, c->at[out->id], in->dtype, c->at[in->id],
                      (size_t)kp_value_count(out, c->rows));
}

static bool take_cast(kp_step *s, const kp_node *n)
{
    s->view = n->inputs[0]->dtype == n->output->dtype;
    s->run = s->view ? NULL : run_cast;
    return kp_dtype_is_float(n->output->dtype) && n->inputs[0]->dtype != KP_STRING;
}

bool kp_step_move(kp_step *s, const kp_node *n)
{
    s->by = "own";
    s->in_place = -1;
    if (kp_elem_size(n->output->dtype) == 0)
        return false;
    switch (n->op) {
    case KP_OP_RESHAPE:
        s->view = true;
        return true;
    case KP_OP_CONCAT:
        return take_concat(s, n);
    case KP_OP_PAD:
        return take_pad(s, n);
    case KP_OP_SLICE:
        return take_slice(s, n);
    case KP_OP_CAST:
        return take_cast(s, n);
    default:
        return false;
    }
}
