/* Vocabularies as hash tables with open addressing. */
#include "ops/ops.h"

static uint64_t scatter(uint64_t v)
{
    v *= 0x9E3779B97F4A7C15u;
    return v ^ v >> 32;
}

static bool same_text(kp_text a, kp_text b)
{
    return a.size == b.size && (a.size == 0 || memcmp(a.data, b.data, a.size) == 0);
}

/* The slot of a token, or the free one where it would be. */
static uint32_t *slot_of(const kp_vocabulary *v, kp_text text, int64_t number)
{
    uint64_t h = v->texts != NULL ? kp_fingerprint64(text.data, text.size) : (uint64_t)number;
    for (uint64_t i = scatter(h);; i++) {
        uint32_t *slot = &v->slots[i & (v->n_slots - 1)];
        if (*slot == 0 || (v->texts != NULL ? same_text(v->texts[*slot - 1], text)
                                            : v->numbers[*slot - 1] == number))
            return slot;
    }
}

int kp_vocabulary_index(kp_vocabulary *v, kp_arena *mem, int64_t *repeated)
{
    *repeated = -1;
    if (v->n < 0 || v->n > INT32_MAX / 2)
        return kp_fail(KP_ELIMIT, "a vocabulary of %lld tokens", (long long)v->n);
    for (v->n_slots = 16; v->n_slots < 2 * (size_t)v->n;)
        v->n_slots *= 2;
    v->slots = kp_arena_array(mem, v->n_slots, sizeof *v->slots);
    if (v->slots == NULL)
        return KP_ENOMEM;
    for (int64_t i = 0; i < v->n; i++) {
        uint32_t *slot = slot_of(v, v->texts != NULL ? v->texts[i] : (kp_text){0},
                                 v->numbers != NULL ? v->numbers[i] : 0);
        if (*slot != 0) {
            *repeated = i;
            return kp_fail(KP_EMODEL, "the vocabulary holds a token twice");
        }
        *slot = (uint32_t)i + 1;
    }
    return 0;
}

int kp_vocabulary_text(const kp_vocabulary *v, kp_text t, int64_t *out)
{
    if (v->masked && same_text(t, v->mask)) {
        *out = v->mask_index;
        return 0;
    }
    uint32_t at = *slot_of(v, t, 0);
    *out = at != 0 ? v->first + at - 1 : v->oov_start;
    if (at != 0)
        return 0;
    if (v->n_oov == 0)
        return kp_fail(KP_EINVAL,
                       "\"%.*s\" is not in the vocabulary, and the layer has no index for such "
                       "values (num_oov_indices=0)",
                       (int)(t.size < 100 ? t.size : 100), t.size > 0 ? t.data : "");
    if (v->n_oov > 1)
        *out += kp_hash_bin(&v->oov, t);
    return 0;
}

int kp_vocabulary_number(const kp_vocabulary *v, int64_t t, int64_t *out)
{
    char buf[KP_DECIMAL];
    if (v->masked && t == v->mask_number) {
        *out = v->mask_index;
        return 0;
    }
    uint32_t at = *slot_of(v, (kp_text){0}, t);
    *out = at != 0 ? v->first + at - 1 : v->oov_start;
    if (at != 0)
        return 0;
    if (v->n_oov == 0)
        return kp_fail(KP_EINVAL,
                       "%lld is not in the vocabulary, and the layer has no index for such values "
                       "(num_oov_indices=0)",
                       (long long)t);
    if (v->n_oov > 1 && v->floormod)
        *out += (t % v->n_oov + v->n_oov) % v->n_oov;
    else if (v->n_oov > 1)
        *out += kp_hash_bin(&v->oov, kp_decimal(t, buf));
    return 0;
}

static int infer(const kp_node *n, kp_value *out, int64_t *next_symbol)
{
    const kp_vocabulary *v = n->attr.kernel.params;
    const kp_value *x = n->n_inputs == 1 ? n->inputs[0] : NULL;
    (void)next_symbol;
    if (x == NULL || x->dtype != (v->texts != NULL ? KP_STRING : KP_INT64))
        return kp_node_fail(n, KP_EUNSUPPORTED, "a vocabulary of %s is asked for values of type %s",
                            v->texts != NULL ? "strings" : "integers",
                            x != NULL ? kp_dtype_name(x->dtype) : "none");
    out->dtype = KP_INT64;
    out->ndim = x->ndim;
    memcpy(out->shape, x->shape, sizeof out->shape);
    return 0;
}

static int run(const void *params, const kp_tensor *in, int n_in, kp_tensor *out)
{
    const kp_vocabulary *v = params;
    int64_t n = kp_tensor_count(out), *to = out->data;
    (void)n_in;
    for (int64_t i = 0; i < n; i++) {
        if (v->texts != NULL)
            KP_TRY(kp_vocabulary_text(v, ((const kp_text *)in[0].data)[i], &to[i]));
        else
            KP_TRY(kp_vocabulary_number(v, ((const int64_t *)in[0].data)[i], &to[i]));
    }
    return 0;
}

static bool may_refuse(const void *params)
{
    return ((const kp_vocabulary *)params)->n_oov == 0;
}

const kp_kernel_def kp_kernel_lookup = {
    .name = "lookup", .infer = infer, .run = run, .may_refuse = may_refuse};

static int infer_inside(const kp_node *n, kp_value *out, int64_t *next_symbol)
{
    const kp_value *x = n->n_inputs == 1 ? n->inputs[0] : NULL;
    (void)next_symbol;
    if (x == NULL || x->dtype != KP_INT64)
        return kp_node_fail(n, KP_EINVAL, "an index of another type than int64");
    out->dtype = KP_INT64;
    out->ndim = x->ndim;
    memcpy(out->shape, x->shape, sizeof out->shape);
    return 0;
}

static int run_inside(const void *params, const kp_tensor *in, int n_in, kp_tensor *out)
{
    const kp_inside *p = params;
    int64_t n = kp_tensor_count(out), *to = out->data;
    const int64_t *from = in[0].data;
    (void)n_in;
    for (int64_t i = 0; i < n; i++)
        to[i] = from[i] >= 0 && from[i] < p->size ? from[i] : p->size;
    return 0;
}

const kp_kernel_def kp_kernel_inside = {.name = "inside", .infer = infer_inside, .run = run_inside};
