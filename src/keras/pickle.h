/*
 * pickle: the arrays of a dictionary, out of a pickle of NumPy arrays or of Keras' variables.
 *
 * Nothing is executed. A pickle is a program that names functions and calls them; here a call only
 * makes a record of what was named and given, and arrays are found in the few records that NumPy
 * and the variables of Keras on TensorFlow, JAX and NumPy make. What names a module of anyone else
 * is refused by name. Memory is a small multiple of the pickle's size. Called by: npz.c.
 */
#ifndef KP_KERAS_PICKLE_H
#define KP_KERAS_PICKLE_H

#include "keras/keras.h"

/* The array's data lie in the pickle where they can, else in mem; where is NULL. */
typedef int (*kp_pickle_visit)(void *ctx, const char *key, const kp_weight *array);

/* Calls visit for each member of the dictionary that is all the pickle holds (an array without axes
 * around it, as numpy.save adds, is seen through). bytes must live as long as the arrays.
 * KP_EMODEL: damaged, or more than arrays. */
int kp_pickle_arrays(kp_arena *mem, const uint8_t *bytes, size_t size, kp_pickle_visit visit,
                     void *ctx);

#endif
