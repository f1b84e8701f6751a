/* kpredict run: options to a job, its progress, the closing lines. */
#include "cli.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

/* What the job's options point to. */
struct run {
    kp_job_options job;
    kp_job_input *inputs;
    char **names; /* copies of NAME of --input NAME=PATH */
    size_t n_names;
    const char **outputs;
    cli_progress progress;
};

int cli_check_device(const char *device)
{
    static const char *const cpu[] = {"auto", "cpu", "/cpu:0", "cpu:0", "/device:cpu:0"};
    for (size_t i = 0; device != NULL && i < sizeof cpu / sizeof *cpu; i++) {
        if (strcasecmp(device, cpu[i]) == 0)
            device = NULL;
    }
    if (device == NULL)
        return 0;
    bool gpu = strcasestr(device, "gpu") != NULL || strcasestr(device, "cuda") != NULL;
    return cli_fail(EXIT_DEVICE,
                    gpu ? "the device \"%s\" cannot be used: this build has no CUDA backend; run "
                          "without --device, or with --device cpu"
                        : "there is no device \"%s\": use --device cpu",
                    device);
}

int cli_check_precision(const char *precision)
{
    if (precision == NULL || strcmp(precision, "float32") == 0)
        return 0;
    return cli_fail(EXIT_USAGE, "the precision %s cannot be used yet: run with --precision float32",
                    precision);
}

static int parse_size(const cli_args *a, kp_pipeline_options *p)
{
    const char *text = cli_value(a, OPT_IMAGE_SIZE);
    int height, width, end = 0;
    if (text == NULL)
        return 0;
    if (sscanf(text, "%5dx%5d%n", &height, &width, &end) != 2 || text[end] != '\0' || height < 1 ||
        width < 1)
        return cli_fail(EXIT_USAGE, "--image-size takes HEIGHTxWIDTH, as 224x224, not \"%s\"",
                        text);
    p->image_height = height;
    p->image_width = width;
    return 0;
}

/* Positional inputs first, then --input, each in the order typed. */
static int collect_inputs(const cli_args *a, struct run *r)
{
    r->inputs = calloc(a->n_words + a->n_given + 1, sizeof *r->inputs);
    r->names = calloc(a->n_given + 1, sizeof *r->names);
    r->outputs = calloc(a->n_given + 1, sizeof *r->outputs);
    if (r->inputs == NULL || r->names == NULL || r->outputs == NULL)
        return cli_fail(EXIT_FAILED, "no memory for the inputs");
    size_t n = 0;
    for (size_t i = 1; i < a->n_words; i++)
        r->inputs[n++].path = a->words[i];
    for (size_t i = 0; i < a->n_given; i++) {
        const char *value = a->given[i].value;
        if (a->given[i].option == OPT_OUTPUT)
            r->outputs[r->job.n_outputs++] = value;
        if (a->given[i].option != OPT_INPUT)
            continue;
        const char *equal = strchr(value, '=');
        if (equal == NULL || equal == value || equal[1] == '\0')
            return cli_fail(EXIT_USAGE, "--input takes NAME=PATH, not \"%s\"", value);
        char *name = strndup(value, (size_t)(equal - value));
        if (name == NULL)
            return cli_fail(EXIT_FAILED, "no memory for the inputs");
        r->names[r->n_names++] = name;
        r->inputs[n++] = (kp_job_input){name, equal + 1};
    }
    r->job.inputs = r->inputs;
    r->job.n_inputs = n;
    r->job.outputs = r->job.n_outputs > 0 ? r->outputs : NULL;
    return 0;
}

/* The options that shape the pipeline. */
static int pipeline_options(const cli_args *a, kp_pipeline_options *p)
{
    int64_t workers = 0, batch = 0, threads = 0;
    const char *preprocess = cli_value(a, OPT_PREPROCESS);
    int status;
    if ((status = cli_check_device(cli_value(a, OPT_DEVICE))) != 0 ||
        (status = cli_check_precision(cli_value(a, OPT_PRECISION))) != 0 ||
        (status = cli_integer(a, OPT_WORKERS, 1, 256, &workers)) != 0 ||
        (status = cli_integer(a, OPT_BATCH_SIZE, 1, 65536, &batch)) != 0 ||
        (status = cli_integer(a, OPT_THREADS, 1, 1024, &threads)) != 0 ||
        (status = cli_seconds(a, OPT_ITEM_TIMEOUT, &p->item_timeout_s)) != 0 ||
        (status = parse_size(a, p)) != 0)
        return status;
    if (preprocess != NULL && strncmp(preprocess, "python:", 7) == 0)
        return cli_fail(EXIT_USAGE, "--preprocess python: cannot be used yet: write a plug-in in C "
                                    "(include/kpredict/preprocess.h) and use plugin:FILE.so");
    p->workers = (int)workers;
    p->batch_size = batch;
    p->threads = (int)threads;
    p->device = cli_value(a, OPT_DEVICE) != NULL ? "cpu" : p->device;
    p->preprocess = preprocess;
    p->architecture = cli_value(a, OPT_ARCHITECTURE);
    p->plugins = cli_values(a, OPT_PLUGIN, &p->n_plugins);
    p->layers = cli_values(a, OPT_LAYER, &p->n_layers);
    if (cli_has(a, OPT_RESIZE))
        p->resize = cli_value(a, OPT_RESIZE);
    p->decode = cli_value(a, OPT_DECODE);
    p->color_mode = cli_value(a, OPT_COLOR_MODE);
    p->crop_to_aspect_ratio = cli_has(a, OPT_CROP);
    p->pad_to_aspect_ratio = cli_has(a, OPT_PAD);
    p->exif_rotate = cli_has(a, OPT_EXIF_ROTATE);
    p->pixels_uint8 = cli_has(a, OPT_PIXELS) && strcmp(cli_value(a, OPT_PIXELS), "uint8") == 0;
    return 0;
}

/* For an option of which only the last would count, and the others' items would be missing. */
static int only_once(const cli_args *a, cli_option o)
{
    int n = 0;
    for (size_t i = 0; i < a->n_given; i++)
        n += a->given[i].option == o;
    return n <= 1 ? 0
                  : cli_fail(EXIT_USAGE, "--%s is given %d times: give it once",
                             cli_options[o].name, n);
}

/* The inputs among the words that stood before an option; the first word is the model. */
static size_t words_before(const cli_args *a, cli_option o)
{
    size_t n = 0;
    for (size_t i = 0; i < a->n_given; i++) {
        if (a->given[i].option == o)
            n = a->given[i].words_before;
    }
    return n > 0 ? n - 1 : 0;
}

/* The name of standard output is not a file to replace. */
static const char *output_path(const cli_args *a)
{
    const char *path = cli_value(a, OPT_OUTPUT_FILE);
    return path != NULL && strcmp(path, "/dev/stdout") == 0 ? "-" : path;
}

static int job_options(const cli_args *a, struct run *r)
{
    kp_job_options *o = &r->job;
    int64_t skip = 0, limit = -1, top = -1;
    int status;
    kp_job_options_defaults(o);
    if (a->n_words == 0)
        return cli_fail(EXIT_USAGE, "run needs a model: kpredict run MODEL INPUT... -o OUT");
    o->model_path = a->words[0];
    if ((status = collect_inputs(a, r)) != 0 || (status = pipeline_options(a, &o->pipeline)) != 0 ||
        (status = cli_integer(a, OPT_SKIP, 0, INT64_MAX, &skip)) != 0 ||
        (status = cli_integer(a, OPT_LIMIT, 0, INT64_MAX, &limit)) != 0 ||
        (status = cli_integer(a, OPT_TOP, 0, 1000000, &top)) != 0)
        return status;
    o->skip = (uint64_t)skip;
    o->limit = limit;
    o->top = (int)top;
    if ((o->list_path = cli_value(a, OPT_LIST)) != NULL && (status = only_once(a, OPT_LIST)) != 0)
        return status;
    o->inputs_before_list = words_before(a, OPT_LIST);
    o->list_null = cli_has(a, OPT_NULL);
    o->csv_header = cli_has(a, OPT_HEADER);
    o->follow_links = cli_has(a, OPT_FOLLOW_LINKS);
    o->output_path = output_path(a);
    o->format = cli_value(a, OPT_FORMAT);
    o->classes_path = cli_value(a, OPT_CLASSES);
    o->labels_inferred = cli_has(a, OPT_LABELS);
    o->force = cli_has(a, OPT_FORCE);
    o->max_failures = cli_value(a, OPT_MAX_FAILURES);
    o->dry_run = cli_has(a, OPT_DRY_RUN);
    bool to_stdout = o->output_path == NULL || strcmp(o->output_path, "-") == 0;
    if (cli_has(a, OPT_JSON) && o->dry_run)
        return cli_fail(EXIT_USAGE, "--json reports a run, and --dry-run makes none: use one");
    if (cli_has(a, OPT_JSON) && to_stdout)
        return cli_fail(EXIT_USAGE,
                        "--json prints the report on standard output: the results need a file, "
                        "add -o OUT");
    return 0;
}

/* Arrays are taken as they are: of their preprocessing there is something to say only when it was
 * asked for. */
static void say_plan(const cli_args *a, const kp_job_report *r, bool rows)
{
    const kp_pipeline_info *p = &r->info;
    if (cli_has(a, OPT_QUIET))
        return;
    if ((!rows || cli_has(a, OPT_PREPROCESS)) && p->preprocess != NULL && p->preprocess[0] != '\0')
        fprintf(stderr, "preprocessing: %s\n", p->preprocess);
    if (!cli_has(a, OPT_VERBOSE))
        return;
    fprintf(stderr, "model %s (%s), backend %s, %d threads\n", p->model.name, p->model.class_name,
            p->model.backend, p->model.threads);
    fprintf(stderr, "%d workers, batches of at most %lld, window of %lld items\n", p->workers,
            (long long)p->batch_size, (long long)p->window);
    fprintf(stderr, "%lld slots of %zu bytes, %zu bytes of slots, %zu bytes of results\n",
            (long long)p->slots, p->slot_bytes, p->slot_arena_bytes, p->result_arena_bytes);
    fprintf(stderr, "sandbox: %s\n", p->sandbox != NULL ? p->sandbox : "");
}

/* The count that succeeded, for the statuses that end with it. */
static int last_line(const kp_job_report *r, int exit_status)
{
    fprintf(stderr, "Processed %llu samples.\n", (unsigned long long)r->processed);
    return exit_status;
}

static void say_accuracy(const cli_args *a, const kp_job_report *r)
{
    if (r->has_accuracy && !cli_has(a, OPT_QUIET))
        fprintf(stderr, "accuracy %.4f, top-5 accuracy %.4f\n", r->accuracy, r->top5_accuracy);
}

static int say_end(const cli_args *a, kp_job *job, int status, bool rows)
{
    kp_job_report r;
    kp_job_report_get(job, &r);
    bool dry = cli_has(a, OPT_DRY_RUN), ended = status == 0 || status == KP_EINTERRUPTED;
    if (dry && status == 0)
        return cli_print(r.dry_run_text) ? last_line(&r, EXIT_DONE) : EXIT_IO;
    if (!dry && !cli_has(a, OPT_QUIET)) {
        say_accuracy(a, &r);
        if (status == KP_EINTERRUPTED && r.output_path[0] != '\0')
            fprintf(stderr, "interrupted: %llu rows are in %s\n",
                    (unsigned long long)(r.processed + r.failed), r.output_path);
        cli_report_facts(&r, rows);
    }
    if (!dry && ended && cli_has(a, OPT_JSON) && cli_report_json(&r) != EXIT_DONE)
        return EXIT_IO;
    if (status == KP_EINTERRUPTED)
        return last_line(&r, 128 + (cli_signal_seen() != 0 ? cli_signal_seen() : 2));
    if (status == 0)
        return last_line(&r, r.failed > 0 ? EXIT_SOME_FAILED : EXIT_DONE);
    return cli_fail_status(status);
}

static int run_job(const cli_args *a, struct run *r)
{
    kp_job *job;
    kp_job_report plan;
    int status = kp_job_open(&job, &r->job);
    if (status != 0)
        return cli_fail_status(status);
    cli_signals_watch(job);
    kp_job_report_get(job, &plan);
    bool rows = plan.info.workers == 0;
    say_plan(a, &plan, rows);
    status = kp_job_run(job);
    cli_progress_end(&r->progress);
    int exit_status = say_end(a, job, status, rows);
    cli_signals_end();
    kp_job_close(&job);
    return exit_status;
}

int cli_run(const cli_args *a)
{
    struct run r = {0};
    int status = job_options(a, &r);
    if (status == 0) {
        cli_progress_init(&r.progress, a, "predict", "it");
        r.job.on_progress = cli_progress_update;
        r.job.progress_ctx = &r.progress;
        status = run_job(a, &r);
    }
    for (size_t i = 0; i < r.n_names; i++)
        free(r.names[i]);
    free(r.names);
    free(r.inputs);
    free(r.outputs);
    return status;
}
