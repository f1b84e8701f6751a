/*
 * layer: the border for a user's own layer classes, as a shared object that the engine opens.
 *
 * Build:  cc -shared -fPIC -O2 my_layers.c -o my_layers.so
 * Use:    kpredict run model.keras FILES --plugin ./my_layers.so
 *         or kp_model_options.plugins, kp_pipeline_options.plugins
 *
 * A plug-in brings classes. Each says what a layer of that class computes, in one of two ways:
 *  - lower: a function that writes the layer down in built-in operations, once for each call of a
 *    layer in the model. It gets fused, placed and threaded as Keras' own layers are: prefer it.
 *  - kernel: functions of its own for the shape and the values of the result.
 * Both read the layer's config, weights and call arguments through the host's functions.
 *
 * Rules
 *  - Functions of the host and of the plug-in give 0 or a negative KP_E... status. After a function
 *    of the host has failed, hand its status on: its text is kept. Failures of your own:
 *    `return host->fail(call, "beta must not be 0");`.
 *  - Text and arrays that the host gives live as long as the call of your function, those of
 *    weights as long as the model.
 *  - The plug-in runs inside the process that owns the model (kp-device, or the caller's with
 *    kp_model_open): it is trusted as that process is.
 */
#ifndef KPREDICT_LAYER_H
#define KPREDICT_LAYER_H

#include <kpredict/kpredict.h>

#ifdef __cplusplus
extern "C" {
#endif

#define KP_LAYER_ABI 1

typedef struct kp_layer_call kp_layer_call;   /* one call of one layer of the model */
typedef struct kp_layer_value kp_layer_value; /* an array in the model, known by type and shape */

typedef struct kp_layer_kernel kp_layer_kernel;

/* What the host offers. Later versions add fields at the end. */
typedef struct kp_layer_host {
    uint32_t abi_version; /* KP_LAYER_ABI */
    size_t struct_size;

    /* The text that the user will read, with the layer's name in front. Returns KP_EMODEL. */
    int (*fail)(kp_layer_call *c, const char *text);

    /* ---- the layer ---- */
    const char *(*name)(kp_layer_call *c);
    const char *(*config_json)(kp_layer_call *c); /* get_config() as JSON; NULL: out of memory */
    /* A key of the config; a key that is missing or null gives dflt. A wrong type fails. */
    int (*config_int)(kp_layer_call *c, const char *key, int64_t dflt, int64_t *out);
    int (*config_float)(kp_layer_call *c, const char *key, double dflt, double *out);
    int (*config_bool)(kp_layer_call *c, const char *key, bool dflt, bool *out);
    int (*config_string)(kp_layer_call *c, const char *key, const char *dflt, const char **out);
    int (*config_ints)(kp_layer_call *c, const char *key, int n, int64_t dflt, int64_t *out);

    /* ---- the call's arguments ---- */
    int (*n_inputs)(kp_layer_call *c); /* tensors among the arguments: positional ones first */
    kp_layer_value *(*input)(kp_layer_call *c, int i); /* floats are float32; NULL: no such one */
    /* An argument that is no tensor, by position (-1: by name only) or by name. Booleans are 0 and
     * 1. Missing or None: dflt. */
    int (*argument_number)(kp_layer_call *c, int position, const char *name, double dflt,
                           double *out);
    int (*argument_string)(kp_layer_call *c, int position, const char *name, const char *dflt,
                           const char **out);

    /* ---- the layer's weights ---- */
    /* All variables of the file must be asked for, in the order in which the layer made them.
     * sub: "" for the layer's own, else the attribute that holds a layer ("dense"). name: as given
     * to add_weight(). n_weights: how many there are below sub. */
    int (*n_weights)(kp_layer_call *c, const char *sub);
    /* As a constant of float32 in the model. */
    int (*weight)(kp_layer_call *c, const char *sub, int index, const char *name, bool trainable,
                  kp_layer_value **out);
    /* Its values, float32. */
    int (*weight_data)(kp_layer_call *c, const char *sub, int index, const char *name,
                       bool trainable, kp_tensor *out);

    /* ---- building, for lower ---- */
    /* Sizes that are open are -1, so is the batch on the first axis. name is NULL. */
    void (*describe)(const kp_layer_value *v, kp_port *out);
    /* data is copied; float32. */
    int (*constant)(kp_layer_call *c, const float *data, const int64_t *shape, int ndim,
                    kp_layer_value **out);
    /* "relu", "sigmoid", "tanh", "softplus", "exp", "log", "sqrt", "rsqrt", "square", "abs",
     * "neg", "reciprocal", "silu", "gelu" (exact), "selu", "softsign", "mish". */
    int (*unary)(kp_layer_call *c, const char *function, kp_layer_value *x, kp_layer_value **out);
    /* scale * x + shift */
    int (*linear)(kp_layer_call *c, double scale, double shift, kp_layer_value *x,
                  kp_layer_value **out);
    /* "add", "sub", "mul", "div", "max", "min", "pow"; NumPy's broadcasting. */
    int (*binary)(kp_layer_call *c, const char *function, kp_layer_value *a, kp_layer_value *b,
                  kp_layer_value **out);
    /* (..., m, k) times (..., k, n) */
    int (*matmul)(kp_layer_call *c, kp_layer_value *a, kp_layer_value *b, kp_layer_value **out);
    /* x (..., in) times kernel (in, units) plus bias (units), which may be NULL. */
    int (*dense)(kp_layer_call *c, kp_layer_value *x, kp_layer_value *kernel, kp_layer_value *bias,
                 kp_layer_value **out);
    /* "sum", "mean", "max", "min", "prod" over axes; negative ones count from the back. */
    int (*reduce)(kp_layer_call *c, const char *function, const int *axes, int n_axes,
                  bool keepdims, kp_layer_value *x, kp_layer_value **out);
    int (*softmax)(kp_layer_call *c, int axis, kp_layer_value *x, kp_layer_value **out);
    /* n sizes after the batch; one may be -1. */
    int (*reshape)(kp_layer_call *c, const int64_t *sizes, int n, kp_layer_value *x,
                   kp_layer_value **out);
    /* perm[i]: the axis of x that comes to place i; perm[0] is 0, the batch. */
    int (*transpose)(kp_layer_call *c, const int *perm, kp_layer_value *x, kp_layer_value **out);
    int (*concat)(kp_layer_call *c, kp_layer_value *const *x, int n, int axis,
                  kp_layer_value **out);
    /* A kernel of the plug-in as one operation among others; see below. */
    int (*kernel)(kp_layer_call *c, const kp_layer_kernel *kernel, kp_layer_value *const *x, int n,
                  kp_layer_value **out);
} kp_layer_host;

/* Values by the plug-in's own code. */
struct kp_layer_kernel {
    const char *name; /* for inspect and messages */
    /* Reads config, weights and arguments into *state; once for each call of a layer, and again
     * for summary. May be NULL: state is NULL. */
    int (*open)(const kp_layer_host *host, kp_layer_call *c, void **state);
    /* Fills dtype, ndim and shape of the result from those of the inputs (open sizes are -1, the
     * batch too: the first size of the result is the batch). May be NULL: as the first input. 0, or
     * non-zero with a text in message. Called several times, with more sizes known. */
    int (*shape)(void *state, const kp_port *in, size_t n_in, kp_port *out, char *message,
                 size_t message_size);
    /* Computes out, whose type, shape and memory are there, from dense arrays. May run in several
     * threads at once. A row's bytes must not depend on the other rows of the batch. */
    int (*run)(void *state, const kp_tensor *in, size_t n_in, kp_tensor *out, char *message,
               size_t message_size);
    void (*close)(void *state); /* may be NULL */
};

typedef struct kp_layer_class {
    /* The name that Keras registered, "my_package>Swish" (register_keras_serializable(package=
     * "my_package")), or without a package the class's name alone, "Swish". */
    const char *class_name;
    bool keeps_mask; /* supports_masking: the first input's mask goes on to the output */
    /* One of the two; the other is NULL. lower gives the result in *out. */
    int (*lower)(const kp_layer_host *host, kp_layer_call *c, kp_layer_value **out);
    const kp_layer_kernel *kernel;
} kp_layer_class;

/* What the plug-in exports as `const kp_layer_plugin *kp_layer_entry(void)`. Static storage. */
typedef struct kp_layer_plugin {
    uint32_t abi_version; /* KP_LAYER_ABI */
    const char *name;
    const kp_layer_class *classes;
    size_t n_classes;
} kp_layer_plugin;

#define KP_LAYER_EXPORT __attribute__((visibility("default")))

#ifdef __cplusplus
}
#endif
#endif
