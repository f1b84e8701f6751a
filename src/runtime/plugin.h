/*
 * Plug-ins with user layers (include/kpredict/layer.h), opened for one model: private to runtime.
 */
#ifndef KP_RUNTIME_PLUGIN_H
#define KP_RUNTIME_PLUGIN_H

#include "lower/lower.h"

typedef struct kp_plugins {
    void **so; /* of dlopen */
    size_t n_so;
    const kp_layer_class **classes;
    size_t n_classes;
} kp_plugins;

/* KP_EUSAGE, naming the file: it cannot be opened, is no such plug-in, is of another version, or
 * brings a class that Keras or another plug-in has. */
int kp_plugins_open(kp_plugins *p, kp_arena *mem, const char *const *files, size_t n_files);
void kp_plugins_close(kp_plugins *p);

#endif
