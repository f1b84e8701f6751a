/* Discrete Fourier transforms. Part of ops.h. */
#ifndef KP_OPS_FFT_H
#define KP_OPS_FFT_H

#include "graph/graph.h"

/* A plan for transforms of n complex numbers, n >= 1: free it with kp_fft_free. NULL and kp_errmsg
 * when there is no memory. A plan has room for one transform at a time: one thread. */
typedef struct kp_fft kp_fft;
kp_fft *kp_fft_new(int64_t n);
void kp_fft_free(kp_fft *f);
/* In place: re + i im becomes sum over k of x[k] exp(-2 pi i j k / n), or with +2 pi i when inverse
 * (without the division by n). */
void kp_fft_run(kp_fft *f, bool inverse, double *re, double *im);

/* Transforms along the last axis or the last two. Inputs: the real part, the imaginary part (of the
 * same shape; absent: zeros). Every output is one of the two parts: a float32 array. */
typedef enum kp_fft_form {
    KP_FFT_COMPLEX, /* n complex numbers to n */
    KP_FFT_FROM_REAL /* n real numbers to the n/2+1 with frequencies that are not negative */,
    KP_FFT_TO_REAL /* n/2+1 complex numbers to n real ones; inverse, divided by n */
} kp_fft_form;
extern const kp_kernel_def kp_kernel_fft;
typedef struct kp_fft_params {
    int n_axes; /* 1, or 2 for KP_FFT_COMPLEX */
    kp_fft_form form;
    bool inverse;   /* KP_FFT_COMPLEX: divided by the number of elements */
    bool imaginary; /* the output is the imaginary part */
    int64_t length; /* n when it is not the input's own: a real input is cut or filled with zeros to
                       it, 0: from the input */
} kp_fft_params;

/* Short-time transforms: frames of fft_length samples, each times the window. x (..., samples) to
 * one part of (..., frames, fft_length/2+1). */
extern const kp_kernel_def kp_kernel_stft;
/* And back: real and imaginary part (..., frames, fft_length/2+1) to (..., samples). */
extern const kp_kernel_def kp_kernel_istft;
typedef struct kp_stft_params {
    int64_t stride, fft_length;
    const double *window; /* fft_length numbers; NULL: ones */
    bool center;          /* fft_length/2 samples are added at both ends, mirrored */
    bool imaginary;       /* stft: the output is the imaginary part */
    int64_t length;       /* istft: of the output; 0: what there is */
} kp_stft_params;
/* "hann" or "hamming" of `length` samples (as TensorFlow has it, rounded to float32), in the
 * middle of fft_length; false for another name. */
bool kp_stft_window(const char *name, int64_t length, int64_t fft_length, double *out);

#endif
