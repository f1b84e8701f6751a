/* A whole file, as a user would give it: opened, each weight of each layer asked for by several
 * names, then closed. */
#include "keras/keras.h"

#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size);

static unsigned sum;

static void ask(kp_keras *k, kp_layer *l, const char *sub)
{
    static const char *const names[] = {"kernel", "bias", "gamma", "moving_mean"};
    int n = kp_keras_weight_count(k, l, sub);
    for (int i = 0; i < n + 1 && i < 4; i++) {
        kp_weight w;
        if (kp_keras_weight(k, l, sub, i, names[i], -1, NULL, &w) != 0)
            continue;
        const uint8_t *data = w.data;
        for (size_t j = 0; j < w.size_bytes; j += 64)
            sum += data[j];
        if (w.size_bytes > 0)
            sum += data[w.size_bytes - 1];
    }
}

static void walk(kp_keras *k, kp_layer *l)
{
    int64_t ints[2];
    double number;
    ask(k, l, "");
    ask(k, l, "cell");
    ask(k, l, "query_dense");
    if (kp_cfg_ints(l, "strides", 2, 1, ints) == 0 && kp_cfg_float(l, "epsilon", 1, &number) == 0)
        sum += (unsigned)ints[0];
    for (int i = 0; i < l->n_inner; i++)
        walk(k, l->inner[i]);
    for (int i = 0; l->model != NULL && i < l->model->n_layers; i++)
        walk(k, l->model->layers[i]);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
    char path[64];
    int fd = memfd_create("fuzz", MFD_CLOEXEC);
    if (fd < 0 || write(fd, bytes, size) != (ssize_t)size)
        abort();
    snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    kp_keras *k;
    if (kp_keras_open(&k, path, NULL) == 0) {
        walk(k, kp_keras_root(k));
        kp_keras_check_unused(k);
        kp_keras_close(&k);
    }
    close(fd);
    return sum == 0xffffffffu ? -1 : 0;
}
