/* keras.ops that put elements at places that other elements name, or pick between cells. */
#include "lower/build.h"

enum { SEGMENTS_MAX = 1 << 22 };

static int no_batch(const kp_lw_call *c, kp_value *const *in, int n)
{
    for (int i = 0; i < n; i++)
        if (in[i] && in[i]->ndim > 0 && in[i]->shape[0] == KP_DIM_BATCH)
            return kp_lw_rows_refused(c, "puts elements of the rows of a batch together");
    return 0;
}

static int whole_numbers(kp_lw *w, kp_value **x)
{
    return kp_dtype_is_integer((*x)->dtype) && (*x)->dtype != KP_BOOL
               ? 0
               : kp_lw_cast(w, KP_INT64, *x, x);
}

/* variant: the kind of kp_scatter_kind. */
static int do_segment(kp_lw *w, const kp_lw_call *c, kp_value **out)
{
    kp_segment_reduce *p = kp_arena_alloc(w->mem, sizeof *p);
    kp_value *in[2];
    bool sorted;
    if (!p)
        return KP_ENOMEM;
    p->kind = (kp_scatter_kind)c->variant;
    KP_TRY(kp_cfg_bool(c->layer, "sorted", false, &sorted));
    if (sorted || kp_lw_is_null(c->layer, "num_segments"))
        return kp_fail(KP_EMODEL,
                       "layer \"%s\" (%s): the number of its segments follows from the data; give "
                       "num_segments",
                       c->layer->path, c->layer->class_name);
    KP_TRY(kp_cfg_int(c->layer, "num_segments", 1, &p->n_segments));
    if (p->n_segments < 0 || p->n_segments > SEGMENTS_MAX)
        return kp_fail(KP_EMODEL, "layer \"%s\": %lld segments", c->layer->path,
                       (long long)p->n_segments);
    KP_TRY(kp_lw_tensor_of(w, c, kp_lw_arg(c, 0, "data"), &in[0]));
    KP_TRY(kp_lw_tensor_of(w, c, kp_lw_arg(c, 1, "segment_ids"), &in[1]));
    KP_TRY(no_batch(c, in, 2));
    KP_TRY(whole_numbers(w, &in[1]));
    return kp_lw_kernel(w, &kp_kernel_segment, p, in, 2, out);
}

static int do_scatter(kp_lw *w, const kp_lw_call *c, kp_value **out)
{
    kp_scatter *p = kp_arena_alloc(w->mem, sizeof *p);
    kp_value *in[3] = {NULL};
    if (!p)
        return KP_ENOMEM;
    p->kind = KP_SCATTER_ADD;
    KP_TRY(kp_lw_call_sizes(c, "shape", 2, p->shape, &p->ndim));
    for (int i = 0; i < p->ndim; i++)
        if (p->shape[i] < 0)
            return kp_fail(KP_EMODEL, "layer \"%s\" (Scatter): axis %d of its shape is open",
                           c->layer->path, i);
    KP_TRY(kp_lw_tensor_of(w, c, kp_lw_arg(c, 0, "indices"), &in[1]));
    KP_TRY(kp_lw_tensor_of(w, c, kp_lw_arg(c, 1, "values"), &in[2]));
    KP_TRY(no_batch(c, in, 3));
    KP_TRY(whole_numbers(w, &in[1]));
    return kp_lw_kernel(w, &kp_kernel_scatter, p, in, 3, out);
}

static int do_scatter_update(kp_lw *w, const kp_lw_call *c, kp_value **out)
{
    static const char *const names[] = {"", "add", "max", "min", "mul"};
    kp_scatter *p = kp_arena_alloc(w->mem, sizeof *p);
    kp_value *in[3];
    const char *name;
    if (!p)
        return KP_ENOMEM;
    KP_TRY(kp_cfg_str(c->layer, "reduction", "", &name));
    for (p->kind = KP_SCATTER_SET; strcmp(names[p->kind], name) != 0;)
        if (++p->kind > KP_SCATTER_MUL)
            return kp_fail(KP_EMODEL, "layer \"%s\": the reduction \"%s\" is not known",
                           c->layer->path, name);
    KP_TRY(kp_lw_tensor_of(w, c, kp_lw_arg(c, 0, "inputs"), &in[0]));
    KP_TRY(kp_lw_tensor_of(w, c, kp_lw_arg(c, 1, "indices"), &in[1]));
    KP_TRY(kp_lw_tensor_of(w, c, kp_lw_arg(c, 2, "updates"), &in[2]));
    KP_TRY(no_batch(c, in, 3));
    KP_TRY(whole_numbers(w, &in[1]));
    KP_TRY(kp_lw_cast(w, in[0]->dtype, in[2], &in[2]));
    return kp_lw_kernel(w, &kp_kernel_scatter, p, in, 3, out);
}

static int do_map_coordinates(kp_lw *w, const kp_lw_call *c, kp_value **out)
{
    static const char *const names[] = {"constant", "nearest", "wrap", "mirror", "reflect"};
    kp_coordinates *p = kp_arena_alloc(w->mem, sizeof *p);
    kp_value *in[2];
    const char *name;
    int64_t order;
    int mode = 0;
    if (!p)
        return KP_ENOMEM;
    KP_TRY(kp_cfg_int(c->layer, "order", 1, &order));
    KP_TRY(kp_cfg_str(c->layer, "fill_mode", "constant", &name));
    KP_TRY(kp_cfg_float(c->layer, "fill_value", 0, &p->fill));
    while (mode < 5 && strcmp(names[mode], name) != 0)
        mode++;
    if (mode == 5 || (order != 0 && order != 1))
        return kp_fail(KP_EMODEL, "layer \"%s\": order %lld or fill mode \"%s\" is not known",
                       c->layer->path, (long long)order, name);
    p->mode = (kp_outside)mode;
    p->linear = order == 1;
    KP_TRY(kp_lw_tensor_of(w, c, kp_lw_arg(c, 0, "inputs"), &in[0]));
    KP_TRY(kp_lw_tensor_of(w, c, kp_lw_arg(c, 1, "coordinates"), &in[1]));
    KP_TRY(no_batch(c, in, 2));
    return kp_lw_kernel(w, &kp_kernel_coordinates, p, in, 2, out);
}

#define ANY 1, 0, KP_LW_SAME, KP_LW_MASK_DROP

const kp_lw_entry kp_lw_scatter_operations[] = {
    {"SegmentSum", do_segment, KP_SCATTER_ADD, ANY},
    {"SegmentProd", do_segment, KP_SCATTER_MUL, ANY},
    {"SegmentMax", do_segment, KP_SCATTER_MAX, ANY},
    {"SegmentMin", do_segment, KP_SCATTER_MIN, ANY},
    {"Scatter", do_scatter, 0, ANY},
    {"ScatterUpdate", do_scatter_update, 0, ANY},
    {"MapCoordinates", do_map_coordinates, 0, ANY},
    {0},
};
