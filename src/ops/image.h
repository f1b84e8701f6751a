/* Operations on images (N, H, W, C) of float32. Part of ops.h. */
#ifndef KP_OPS_IMAGE_H
#define KP_OPS_IMAGE_H

#include "graph/graph.h"

/* Three channels in 0..1 between red, green, blue and hue, saturation, value. */
extern const kp_kernel_def kp_kernel_hsv;
typedef struct kp_hsv_params {
    bool to_rgb;
} kp_hsv_params;

/* images, transforms (N, 8) or (1, 8): the pixel at (x, y) comes from
 * ((t0 x + t1 y + t2) / k, (t3 x + t4 y + t5) / k), k = t6 x + t7 y + 1. As TensorFlow's
 * ImageProjectiveTransformV3, in float32: rounding decides which pixel is taken. */
extern const kp_kernel_def kp_kernel_project;
typedef enum kp_fill_mode {
    KP_FILL_CONSTANT,
    KP_FILL_NEAREST,
    KP_FILL_REFLECT,
    KP_FILL_WRAP
} kp_fill_mode;
typedef struct kp_project_params {
    bool bilinear;
    kp_fill_mode fill;
    float value;
} kp_project_params;

/* start, end: corners (N, 4, 2): the transforms (N, 8) that take end to start. */
extern const kp_kernel_def kp_kernel_homography;

/* Vertical and horizontal differences: (N, H, W, C, 2). */
extern const kp_kernel_def kp_kernel_sobel;

/* Two images: their structural similarity (N). */
extern const kp_kernel_def kp_kernel_ssim;
typedef struct kp_ssim_params {
    double max_value, sigma, k1, k2;
    int64_t size; /* of the window */
} kp_ssim_params;

/* Contrast of every tile's own histogram, limited: Keras' CLAHE. */
extern const kp_kernel_def kp_kernel_clahe;
typedef struct kp_clahe_params {
    float low, high; /* what black and white are */
    double clip_limit;
    int64_t grid[2];
} kp_clahe_params;

/* Every channel of every image stretched to all of low..high. */
extern const kp_kernel_def kp_kernel_auto_contrast;
typedef struct kp_contrast_params {
    float low, high;
} kp_contrast_params;

#endif
