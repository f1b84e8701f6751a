/* The table from Keras' class names to functions: the tables of the areas, one after the other. */
#include "lower/build.h"

/* clang-format off: one line an area */
static const kp_lw_entry *const layers[] = {
    kp_lw_activation_layers, kp_lw_adaptive_layers,
    kp_lw_attention_layers,  kp_lw_attention_plain_layers,
    kp_lw_audio_layers,      kp_lw_categorical_layers,
    kp_lw_contract_layers,   kp_lw_conv_layers,
    kp_lw_core_layers,       kp_lw_einsum_layers,
    kp_lw_embedding_layers,  kp_lw_image_layers,
    kp_lw_legacy_layers,     kp_lw_lookup_layers,
    kp_lw_merge_layers,      kp_lw_norm_layers,
    kp_lw_pool_layers,       kp_lw_preprocessing_layers,
    kp_lw_recurrent_layers,  kp_lw_reshape_layers,
    kp_lw_scale_layers,      kp_lw_tf_layers,
    kp_lw_tf_node_layers,    kp_lw_wrapper_layers,
};

static const kp_lw_entry *const operations[] = {
    kp_lw_adaptive_operations,  kp_lw_axes_operations,       kp_lw_core_operations,
    kp_lw_create_operations,    kp_lw_einops_operations,     kp_lw_fourier_operations,
    kp_lw_image_operations,     kp_lw_image_size_operations, kp_lw_index_operations,
    kp_lw_join_operations,      kp_lw_linalg_operations,     kp_lw_math_operations,
    kp_lw_nn_loss_operations,   kp_lw_nn_norm_operations,    kp_lw_nn_operations,
    kp_lw_nn_window_operations, kp_lw_order_operations,      kp_lw_pairs_operations,
    kp_lw_pool_operations,      kp_lw_product_operations,    kp_lw_reduce_operations,
    kp_lw_repeat_operations,    kp_lw_shape_operations,      kp_lw_single_operations,
    kp_lw_whole_operations,     kp_lw_scatter_operations,
};
/* clang-format on */

const kp_lw_entry *kp_lw_find(const char *class_name, bool operation)
{
    const kp_lw_entry *const *t = operation ? operations : layers;
    size_t n = operation ? sizeof operations / sizeof *operations : sizeof layers / sizeof *layers;
    for (size_t i = 0; i < n; i++)
        for (const kp_lw_entry *e = t[i]; e->class_name; e++)
            if (strcmp(e->class_name, class_name) == 0)
                return e;
    return NULL;
}
