/* kpredict summary, inspect, doctor: a text of the library on stdout. */
#include "cli.h"

#include <stdio.h>

int cli_model_options(const cli_args *a, kp_model_options *opt)
{
    int64_t threads = 0;
    int status;
    kp_model_options_defaults(opt);
    if ((status = cli_check_device(cli_value(a, OPT_DEVICE))) != 0 ||
        (status = cli_check_precision(cli_value(a, OPT_PRECISION))) != 0 ||
        (status = cli_integer(a, OPT_THREADS, 1, 1024, &threads)) != 0)
        return status;
    opt->threads = (int)threads;
    opt->backend = cli_value(a, OPT_BACKEND);
    opt->architecture = cli_value(a, OPT_ARCHITECTURE);
    opt->plugins = cli_values(a, OPT_PLUGIN, &opt->n_plugins);
    return 0;
}

static int one_model(const cli_args *a)
{
    if (a->n_words == 1)
        return 0;
    return cli_fail(EXIT_USAGE, "%s needs one model: kpredict %s MODEL", a->verb->name,
                    a->verb->name);
}

/* Whatever keeps the file from being a model is about the model. */
int cli_fail_model(int status)
{
    bool file =
        status == KP_EIO || status == KP_EFORMAT || status == KP_ENOTFOUND || status == KP_ELIMIT;
    return cli_fail_status(file ? KP_EMODEL : status);
}

static int print_and_free(int status, char *text)
{
    if (status != 0)
        return cli_fail_status(status);
    bool ok = cli_print(text);
    kp_free(text);
    return ok ? EXIT_DONE : EXIT_IO;
}

static int open_model(const cli_args *a, kp_model **m)
{
    kp_model_options opt;
    int status = one_model(a);
    if (status == 0)
        status = cli_model_options(a, &opt);
    if (status != 0)
        return status;
    status = kp_model_open(m, a->words[0], &opt);
    return status != 0 ? cli_fail_model(status) : 0;
}

int cli_summary(const cli_args *a)
{
    kp_summary_options opt = {.struct_size = sizeof opt};
    int64_t length = 0;
    kp_model *m;
    int status = cli_integer(a, OPT_LINE_LENGTH, 20, 1000, &length);
    if (status == 0)
        status = open_model(a, &m);
    if (status != 0)
        return status;
    char *text = NULL;
    opt.line_length = (int)length;
    opt.expand_nested = cli_has(a, OPT_EXPAND_NESTED);
    opt.show_trainable = cli_has(a, OPT_SHOW_TRAINABLE);
    opt.cost = cli_has(a, OPT_COST);
    opt.json = cli_has(a, OPT_JSON);
    status = kp_model_summary(m, &opt, &text);
    status = print_and_free(status, text);
    kp_model_close(&m);
    return status;
}

int cli_inspect(const cli_args *a)
{
    kp_inspect_options opt = {.struct_size = sizeof opt};
    kp_model *m;
    int status = open_model(a, &m);
    if (status != 0)
        return status;
    char *text = NULL;
    opt.weights = cli_has(a, OPT_WEIGHTS);
    opt.json = cli_has(a, OPT_JSON);
    status = kp_model_inspect(m, &opt, &text);
    status = print_and_free(status, text);
    kp_model_close(&m);
    return status;
}

int cli_doctor(const cli_args *a)
{
    char *text = NULL;
    if (a->n_words > 0)
        return cli_fail(EXIT_USAGE, "doctor takes no arguments");
    int status = kp_doctor(cli_has(a, OPT_JSON), &text);
    return print_and_free(status, text);
}
