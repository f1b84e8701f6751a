/* Layers whose kernel the file stores in few bits, and whose inputs may be rounded. */
#ifndef KP_LOWER_QUANTIZE_H
#define KP_LOWER_QUANTIZE_H

#include "lower/build.h"

/* What a layer asks for: the kernel as it was before quantize(). */
typedef struct kp_lw_stored_kernel {
    const char *sub;
    int ndim, lead; /* the first `lead` axes are rows, where it is used as a matrix */
    int64_t shape[KP_MAX_DIMS];
    int64_t rows, columns; /* as a matrix: what is summed over, and the rest */
    bool bias;
} kp_lw_stored_kernel;

typedef struct kp_lw_quantized {
    kp_value *kernel; /* of the asked shape */
    kp_value *scale;  /* divides the result; NULL: none */
    kp_value *tuned;  /* more of the kernel, for inputs as they were (LoRA); NULL: none */
    int bias_index;   /* of the bias among the variables */
    bool rounds;      /* inputs become integers, a row's largest becoming `top` */
    double top, epsilon;
    kp_value *inputs_scale; /* inputs become float8 by this scale; NULL: they do not */
    bool rounds_bias;       /* to bfloat16 */
} kp_lw_quantized;

/* "int8", ... of a layer's part: by its policy, or by what is stored; NULL: plain floats. */
int kp_lw_quantized_mode(kp_lw *w, const kp_layer *l, const kp_lw_stored_kernel *k,
                         const char **out);
int kp_lw_quantized_kernel(kp_lw *w, const kp_layer *l, const char *mode,
                           const kp_lw_stored_kernel *k, kp_lw_quantized *out);
/* *scale divides the product's rows: x's shape with 1 along the axes; NULL: none. */
int kp_lw_quantized_input(kp_lw *w, const kp_lw_quantized *q, const kp_axes *axes, kp_value *x,
                          kp_value **out, kp_value **scale);
/* How the configuration says that inputs are rounded. */
int kp_lw_quantized_rounding(const kp_lw *w, const kp_layer *l, const char *mode,
                             kp_lw_quantized *out);
/* (q - zero) * scale; `groups` says for each place along the axis which group it belongs to. */
int kp_lw_dequantize(kp_lw *w, int axis, kp_value *q, kp_value *scale, kp_value *zero,
                     kp_value *groups, kp_value **out);
int kp_lw_unpack4(kp_lw *w, int axis, int64_t size, bool has_sign, kp_value *x, kp_value **out);
/* The layer's bias, rounded if q says so. */
int kp_lw_quantized_bias(kp_lw *w, const kp_lw_quantized *q, kp_value *bias, kp_value **out);
/* x (..., rows) times the kernel plus bias: (..., columns); plain or quantized. */
int kp_lw_project(kp_lw *w, const kp_layer *l, const kp_lw_stored_kernel *k, kp_value *x,
                  kp_value **out);
/* A variable in its stored shape, whatever that is. */
int kp_lw_stored(kp_lw *w, const char *sub, int index, const char *name, kp_value **out);

#endif
