/* Constants as aligned float32, and the memory of those that are large. */
#include "graph/graph_int.h"

#include <sys/mman.h>
#include <unistd.h>

enum { ALIGN = 64 };

struct kp_graph_pages {
    struct kp_graph_pages *next;
    void *data;
    size_t size_bytes;
};

void *kp_graph_alloc_pages(kp_graph *g, size_t size_bytes)
{
    struct kp_graph_pages *p = kp_graph_alloc(g, sizeof *p);
    if (p == NULL)
        return NULL;
    p->size_bytes = size_bytes > 0 ? size_bytes : 1;
    p->data = mmap(NULL, p->size_bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (p->data == MAP_FAILED) {
        kp_fail(KP_ENOMEM, "out of memory: %zu bytes", size_bytes);
        return NULL;
    }
    p->next = g->pages;
    g->pages = p;
    return p->data;
}

void kp_graph_pages_free(kp_graph *g)
{
    for (struct kp_graph_pages *p = g->pages; p != NULL; p = p->next)
        munmap(p->data, p->size_bytes);
}

void kp_graph_const_drop(const kp_value *v, size_t from, size_t to, bool last)
{
    if (!v->paged) {
        kp_map_drop((const uint8_t *)v->data + from, to - from);
        return;
    }
    uintptr_t page = (uintptr_t)sysconf(_SC_PAGESIZE), data = (uintptr_t)v->data;
    uintptr_t begin = (data + from + page - 1) / page * page, end = (data + to) / page * page;
    if (to == v->data_bytes) /* nothing else lies in the last page */
        end = (data + to + page - 1) / page * page;
    if (last && begin < end)
        madvise((void *)begin, end - begin, MADV_DONTNEED);
}

const float *kp_graph_const_f32(kp_graph *g, kp_value *v)
{
    if (v->f32 != NULL)
        return v->f32;
    if (v->data == NULL) {
        kp_node_fail(v->producer, KP_EINTERNAL, "its value is not a constant");
        return NULL;
    }
    if (v->dtype == KP_FLOAT32 && (uintptr_t)v->data % ALIGN == 0)
        return v->f32 = v->data;
    int64_t count;
    size_t bytes;
    if (!kp_shape_count(v->shape, v->ndim, &count) ||
        !kp_mul_size((size_t)count, sizeof(float), &bytes)) {
        kp_node_fail(v->producer, KP_ELIMIT, "a constant that does not fit in memory");
        return NULL;
    }
    float *f = kp_graph_alloc(g, bytes);
    if (f == NULL)
        return NULL;
    if (v->dtype == KP_FLOAT32)
        memcpy(f, v->data, bytes);
    else if (kp_convert(KP_FLOAT32, f, v->dtype, v->data, (size_t)count) != 0)
        return NULL;
    kp_map_drop(v->data, v->data_bytes);
    return v->f32 = f;
}
