/* The handles of views: found by address. */
#include "lower/view.h"

static kp_lw_handle *place(kp_lw_handle *table, size_t n, const kp_value *v)
{
    size_t i = ((uintptr_t)v >> 4) * 0x9E3779B97F4A7C15u;
    for (i ^= i >> 29; table[i & (n - 1)].value && table[i & (n - 1)].value != v;)
        i++;
    return &table[i & (n - 1)];
}

const kp_lw_handle *kp_lw_handle_find(const kp_lw *w, const kp_value *v)
{
    const kp_lw_handle *h =
        w->n_handles == 0 || v == NULL ? NULL : place(w->handles, w->cap_handles, v);
    return h && h->value ? h : NULL;
}

bool kp_lw_view_find(const kp_lw *w, const kp_value *v, kp_lw_view *out)
{
    const kp_lw_handle *h = kp_lw_handle_find(w, v);
    if (!h || !h->view)
        return false;
    if (out)
        *out = *h->view;
    return true;
}

bool kp_lw_view_of(const kp_lw *w, kp_value *v, kp_lw_view *out)
{
    if (kp_lw_view_find(w, v, out))
        return true;
    *out = (kp_lw_view){.raw = v, .pre = 1, .post = 1};
    return v->ndim > 0 && v->shape[0] == KP_DIM_BATCH;
}

bool kp_lw_view_folded(const kp_lw_view *v)
{
    return v->pre != 1 || v->post != 1;
}

int kp_lw_view_raw_axis(const kp_lw_view *v, int axis)
{
    if (axis == v->axis)
        return 0;
    return (axis < v->axis ? axis : axis - 1) + 1 + kp_lw_view_folded(v);
}

static int grow(kp_lw *w)
{
    size_t n = w->cap_handles > 0 ? 2 * w->cap_handles : 64;
    kp_lw_handle *table = kp_arena_array(w->mem, n, sizeof *table);
    if (!table)
        return KP_ENOMEM;
    for (size_t i = 0; i < w->cap_handles; i++)
        if (w->handles[i].value)
            *place(table, n, w->handles[i].value) = w->handles[i];
    w->handles = table;
    w->cap_handles = n;
    return 0;
}

int kp_lw_handle_add(kp_lw *w, const kp_lw_handle *h)
{
    if (2 * (w->n_handles + 1) > w->cap_handles)
        KP_TRY(grow(w));
    *place(w->handles, w->cap_handles, h->value) = *h;
    w->n_handles++;
    return 0;
}

int kp_lw_view_make(kp_lw *w, const kp_lw_view *v, kp_value **out)
{
    *out = v->raw;
    if (v->axis == 0 && !kp_lw_view_folded(v))
        return 0;
    kp_value *h = kp_arena_alloc(w->mem, sizeof *h);
    kp_lw_view *view = kp_arena_alloc(w->mem, sizeof *view);
    if (!h || !view)
        return KP_ENOMEM;
    *view = *v;
    *h = (kp_value){.id = v->raw->id,
                    .dtype = v->raw->dtype,
                    .ndim = v->raw->ndim - kp_lw_view_folded(v),
                    .producer = v->raw->producer,
                    .name = v->raw->name};
    for (int i = 0; i < h->ndim; i++)
        h->shape[i] = v->raw->shape[kp_lw_view_raw_axis(v, i)];
    return *out = h, kp_lw_handle_add(w, &(kp_lw_handle){h, view, NULL});
}

int kp_lw_view_refuse(const kp_lw *w, const char *what)
{
    return kp_fail(KP_EMODEL, "layer \"%s\": %s, but rows are predicted apart from each other",
                   w->name ? w->name : "", what);
}
