/*
 * base: what every other folder stands on: errors, log lines, arenas, buffers, checked sizes,
 * tensors and types, the scaling of pixel values, the machine's features.
 *
 * Refuses: to know about files of models, images, processes or devices.
 * Called by: every process and thread; nothing here is shared between threads unless said.
 * Blocks: nothing.
 */
#ifndef KP_BASE_H
#define KP_BASE_H

#include <kpredict/kpredict.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

/* ---- errors: one text per thread ---- */

/* Stores the text and returns status: `return kp_fail(KP_EFORMAT, "layer \"%s\": ...", name)`.
 * Lower case, no final period; what was tried, on which object, why. */
int kp_fail(int status, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
/* kp_fail with ": <strerror(err)>" at the end. */
int kp_fail_errno(int status, int err, const char *fmt, ...) __attribute__((format(printf, 3, 4)));
/* Puts "<prefix>: " before the present text and returns status (for context on the way up). */
int kp_fail_prefix(int status, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
void kp_errmsg_clear(void);

#define KP_TRY(call)                                                                               \
    do {                                                                                           \
        int kp_try_status = (call);                                                                \
        if (kp_try_status != 0)                                                                    \
            return kp_try_status;                                                                  \
    } while (0)

/* ---- log lines for people ---- */
enum { KP_LOG_ERROR = 0, KP_LOG_WARNING, KP_LOG_NOTE, KP_LOG_DETAIL };
void kp_log(int level, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/* ---- checked sizes: false when the result does not fit ---- */
bool kp_mul_size(size_t a, size_t b, size_t *out);
bool kp_add_size(size_t a, size_t b, size_t *out);
/* Number of elements of a shape without negative sizes; false on overflow or a negative size. */
bool kp_shape_count(const int64_t *shape, int ndim, int64_t *out);
/* Bytes of a dense array inside the engine (elements of kp_elem_size); false on overflow. */
bool kp_shape_bytes(const int64_t *shape, int ndim, kp_dtype dtype, size_t *out);

/* "(None, 224, 224, 3)" into buf; negative sizes print as None. Returns buf. */
const char *kp_shape_text(const int64_t *shape, int ndim, char *buf, size_t size);
enum { KP_SHAPE_TEXT = 200 };
/* KP_DTYPE_NONE if unknown. */
kp_dtype kp_dtype_from_name(const char *name);
bool kp_dtype_is_float(kp_dtype dtype);

/* An element of a KP_STRING value inside the engine: bytes that live elsewhere (a constant, the
 * batch's input), not NUL-terminated. At the border (kp_tensor, files, slots) strings have a fixed
 * width instead: kp_tensor.string_bytes. */
typedef struct kp_text {
    const char *data;
    size_t size;
} kp_text;
/* Bytes of a dense array at the border, where strings have string_bytes each; false on overflow, a
 * negative size, or a type without a size. */
bool kp_border_bytes(const int64_t *shape, int ndim, kp_dtype dtype, int32_t string_bytes,
                     size_t *out);
/* Bytes of one element of a value inside the engine: kp_dtype_size, and a kp_text for strings. */
size_t kp_elem_size(kp_dtype dtype);

/* IEEE half and bfloat16 to float and back (round to nearest even). */
float kp_half_to_float(uint16_t h);
uint16_t kp_float_to_half(float f);
float kp_bfloat16_to_float(uint16_t b);
uint16_t kp_float_to_bfloat16(float f);
/* Converts n elements; src and dst may be unaligned and must not overlap. Floats to ints truncate,
 * as NumPy's astype. KP_EUNSUPPORTED for KP_STRING. */
int kp_convert(kp_dtype to, void *dst, kp_dtype from, const void *src, size_t n);

/* ---- arena: memory with one end ---- */
typedef struct kp_arena kp_arena;
/* limit_bytes 0: none; otherwise an allocation beyond it fails with KP_ELIMIT in kp_errmsg. */
int kp_arena_new(kp_arena **out, size_t limit_bytes);
void kp_arena_free(kp_arena **a);
/* Zeroed memory aligned to 64; NULL (and kp_errmsg) when there is none. size 0 gives a pointer. */
void *kp_arena_alloc(kp_arena *a, size_t size_bytes);
void *kp_arena_array(kp_arena *a, size_t n, size_t elem_bytes);
char *kp_arena_strdup(kp_arena *a, const char *s);
char *kp_arena_strndup(kp_arena *a, const char *s, size_t n);
char *kp_arena_printf(kp_arena *a, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
size_t kp_arena_used(const kp_arena *a);

/* ---- growing byte buffer ---- */
typedef struct kp_buf {
    char *data; /* NUL-terminated when not NULL */
    size_t len, cap;
    bool failed; /* an append ran out of memory; later appends do nothing */
} kp_buf;
void kp_buf_add(kp_buf *b, const void *data, size_t n);
void kp_buf_puts(kp_buf *b, const char *s);
void kp_buf_printf(kp_buf *b, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
/* s as a JSON string with quotes; bytes that are not UTF-8 become \udcXX. */
void kp_buf_json_string(kp_buf *b, const char *s, size_t n);
void kp_buf_free(kp_buf *b);

/* ---- file mapped for reading ---- */
typedef struct kp_map {
    const uint8_t *data;
    size_t size;
} kp_map;
/* Maps a regular file whole. KP_EIO with the reason; an empty file gives data NULL, size 0. */
int kp_map_open(kp_map *out, const char *path);
void kp_map_close(kp_map *m);
/* Bytes of a mapped file that were read for the last time: their pages no longer count as memory of
 * this process; a later read brings them back. Other memory is left alone. Any thread. */
void kp_map_drop(const void *p, size_t size_bytes);

/* ---- scaling of pixel values: --preprocess none|tf|torch|caffe|scale=... ---- */
typedef struct kp_scaling {
    bool identity;
    bool reverse_channels; /* RGB -> BGR, before the rest */
    float divisor;         /* x / divisor first (1: not done) */
    float scale;           /* x * scale (1: not done) */
    int n_channels;        /* 0: mean[0], std[0] hold for all channels */
    float mean[4], std[4]; /* then (x - mean) / std */
} kp_scaling;
/* KP_EUSAGE if the text is none of the known forms. "auto" and plug-ins are not handled here. */
int kp_scaling_parse(const char *text, kp_scaling *out);
/* One pixel value, float32 arithmetic in the order of Keras' preprocess_input. c: channel after a
 * reversal. */
float kp_scaling_apply(const kp_scaling *s, float x, int c);

/* ---- the machine ---- */
typedef struct kp_machine {
    int usable_cores;    /* affinity and cgroup quota counted, at least 1 */
    size_t memory_bytes; /* what this process may use, cgroup counted */
    bool sse41, avx2, fma, avx512;
    char cpu_name[80];
} kp_machine;
const kp_machine *kp_machine_get(void);
double kp_now_s(void); /* monotonic clock, seconds */

/* Nearest of n words to `word` by edit distance, NULL if none is near ("did you mean"). */
const char *kp_nearest_word(const char *word, const char *const *words, size_t n);

#include "base/walk.h"

#endif
