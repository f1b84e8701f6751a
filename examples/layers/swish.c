/*
 * A layer of one's own for kpredict: Swish(beta), x * sigmoid(beta * x), as a Keras user would
 * write and register it (my_layers.py beside this file). Written down in built-in operations, so
 * it is fused and threaded as Keras' own layers are.
 *
 * Build:  cc -shared -fPIC -O2 swish.c -o swish.so
 * Use:    kpredict run swish.keras rows.npy -o out.npy --plugin ./swish.so
 */
#include <kpredict/layer.h>

static int lower_swish(const kp_layer_host *host, kp_layer_call *call, kp_layer_value **out)
{
    kp_layer_value *x = host->input(call, 0), *gate;
    double beta;
    int status = host->config_float(call, "beta", 1.0, &beta);
    if (status == 0)
        status = host->linear(call, beta, 0, x, &gate);
    if (status == 0)
        status = host->unary(call, "sigmoid", gate, &gate);
    if (status == 0)
        status = host->binary(call, "mul", x, gate, out);
    return status;
}

static const kp_layer_class classes[] = {
    {.class_name = "my_package>Swish", .keeps_mask = true, .lower = lower_swish},
};

static const kp_layer_plugin plugin = {
    .abi_version = KP_LAYER_ABI,
    .name = "swish",
    .classes = classes,
    .n_classes = sizeof classes / sizeof *classes,
};

KP_LAYER_EXPORT const kp_layer_plugin *kp_layer_entry(void);
KP_LAYER_EXPORT const kp_layer_plugin *kp_layer_entry(void)
{
    return &plugin;
}
