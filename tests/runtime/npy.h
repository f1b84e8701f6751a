/* Just enough of the NPY format for test programs: dense C order, little-endian numbers,
 * strings (|S as they are; <U becomes UTF-8; written as |S). */
#ifndef KP_TESTS_NPY_H
#define KP_TESTS_NPY_H

#include <kpredict/kpredict.h>

/* t->data: release with kp_tensor_release. false with a line on stderr when it cannot be read. */
bool npy_read(const char *path, kp_tensor *t);
bool npy_write(const char *path, const kp_tensor *t);

#endif
