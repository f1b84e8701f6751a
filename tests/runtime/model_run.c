/* model_run MODEL [--backend B] [--threads N] [--batch N] [--preprocess P] [--architecture F]
 *           in.npy... -o PREFIX
 * Predicts the arrays and writes PREFIX.<i>.npy: the parity tests' way to the engine. */
#include "runtime/npy.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MAX_PORTS = 64 };

typedef struct request {
    const char *model, *prefix;
    const char *inputs[MAX_PORTS];
    size_t n_inputs;
    kp_model_options options;
} request;

static int usage(void)
{
    fprintf(stderr, "usage: model_run MODEL [--backend ref|cpu] [--threads N] [--batch N] "
                    "[--preprocess P] [--architecture F] in.npy... -o out_prefix\n");
    return 2;
}

static bool parse(int argc, char **argv, request *r)
{
    memset(r, 0, sizeof *r);
    kp_model_options_defaults(&r->options);
    for (int i = 1; i < argc; i++) {
        const char *value = i + 1 < argc ? argv[i + 1] : NULL;
        if (argv[i][0] != '-') {
            if (r->model == NULL)
                r->model = argv[i];
            else if (r->n_inputs < MAX_PORTS)
                r->inputs[r->n_inputs++] = argv[i];
            continue;
        }
        if (value == NULL)
            return false;
        i++;
        if (strcmp(argv[i - 1], "--backend") == 0)
            r->options.backend = value;
        else if (strcmp(argv[i - 1], "--threads") == 0)
            r->options.threads = atoi(value);
        else if (strcmp(argv[i - 1], "--batch") == 0)
            r->options.max_batch = atoll(value);
        else if (strcmp(argv[i - 1], "--preprocess") == 0)
            r->options.preprocess = value;
        else if (strcmp(argv[i - 1], "--architecture") == 0)
            r->options.architecture = value;
        else if (strcmp(argv[i - 1], "-o") == 0)
            r->prefix = value;
        else
            return false;
    }
    return r->model != NULL && r->n_inputs > 0 && r->prefix != NULL;
}

static int run(kp_model *m, const request *r, const kp_tensor *in)
{
    kp_model_info info;
    kp_tensor out[MAX_PORTS] = {0};
    int rc = kp_model_describe(m, &info);
    if (rc == 0 && info.n_outputs > MAX_PORTS)
        return 2;
    if (rc == 0)
        rc = kp_model_predict(m, in, r->n_inputs, out, info.n_outputs);
    for (size_t o = 0; rc == 0 && o < info.n_outputs; o++) {
        char path[4096];
        snprintf(path, sizeof path, "%s.%zu.npy", r->prefix, o);
        if (!npy_write(path, &out[o]))
            rc = KP_EIO;
        kp_tensor_release(&out[o]);
    }
    return rc;
}

int main(int argc, char **argv)
{
    request r;
    kp_tensor in[MAX_PORTS] = {0};
    kp_model *m = NULL;
    if (!parse(argc, argv, &r))
        return usage();
    for (size_t i = 0; i < r.n_inputs; i++) {
        if (!npy_read(r.inputs[i], &in[i]))
            return 74;
    }
    int rc = kp_model_open(&m, r.model, &r.options);
    if (rc == 0)
        rc = run(m, &r, in);
    if (rc != 0)
        fprintf(stderr, "model_run: %s: %s\n", kp_status_name(rc), kp_errmsg());
    kp_model_close(&m);
    for (size_t i = 0; i < r.n_inputs; i++)
        kp_tensor_release(&in[i]);
    return rc == 0 ? 0 : rc == KP_EMODEL ? 4 : 1;
}
