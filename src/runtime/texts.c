/* Strings of a fixed width to texts and back. */
#include "runtime/texts.h"

void kp_texts_read(kp_text *dst, const void *src, size_t width, int64_t n)
{
    for (int64_t i = 0; i < n; i++) {
        const char *text = (const char *)src + (size_t)i * width;
        size_t size = width;
        while (size > 0 && text[size - 1] == '\0')
            size--;
        dst[i] = (kp_text){text, size};
    }
}

void kp_texts_write(void *dst, size_t width, const kp_text *src, int64_t n)
{
    memset(dst, 0, (size_t)n * width);
    for (int64_t i = 0; i < n; i++) {
        if (src[i].size > 0)
            memcpy((char *)dst + (size_t)i * width, src[i].data, src[i].size);
    }
}

size_t kp_texts_longest(const kp_text *t, int64_t n)
{
    size_t longest = 1;
    for (int64_t i = 0; i < n; i++) {
        if (t[i].size > longest)
            longest = t[i].size;
    }
    return longest;
}

size_t kp_texts_bound(const kp_graph *g, size_t width)
{
    for (int i = 0; i < g->n_nodes; i++) {
        const kp_value *v = g->nodes[i]->output;
        if (g->nodes[i]->op != KP_OP_CONST || v->dtype != KP_STRING)
            continue;
        for (size_t k = 0; k < v->data_bytes / sizeof(kp_text); k++) {
            kp_text t;
            memcpy(&t, (const char *)v->data + k * sizeof t, sizeof t);
            if (t.size > width)
                width = t.size;
        }
    }
    return width > 0 ? width : 1;
}
