/* kp_job_*: opening with all checks, the report, the end. */
#include "hub/job.h"
#include "hub/hub.h"

#include <errno.h>
#include <locale.h>
#include <math.h>
#include <pthread.h>
#include <stdlib.h>
#include <sys/stat.h>

void kp_job_options_defaults(kp_job_options *opt)
{
    memset(opt, 0, sizeof *opt);
    opt->struct_size = sizeof *opt;
    opt->limit = -1;
    opt->top = -1;
    opt->inputs_before_list = SIZE_MAX;
    kp_pipeline_options_defaults(&opt->pipeline);
}

static int parse_failures(kp_job *job)
{
    const char *text = job->opt.max_failures;
    job->most_failures = -1;
    job->most_percent = -1;
    if (text == NULL)
        return 0;
    char *end;
    errno = 0;
    double v = strtod(text, &end);
    bool percent = end != text && strcmp(end, "%") == 0;
    bool fine = end != text && text[0] != '-' && errno == 0 && isfinite(v) && v < 1e15;
    if (fine && percent && v <= 100)
        job->most_percent = v;
    else if (fine && *end == '\0' && v == floor(v))
        job->most_failures = (int64_t)v;
    else
        return kp_fail(KP_EUSAGE,
                       "--max-failures \"%s\" is neither a number of items nor a percentage "
                       "like 5%%",
                       text);
    return 0;
}

/* What a program may have left out. */
static int check_given(const kp_job_options *opt)
{
    if (opt->model_path == NULL)
        return kp_fail(KP_EUSAGE, "no model is given");
    for (size_t i = 0; i < opt->n_inputs; i++) {
        if (opt->inputs == NULL || opt->inputs[i].path == NULL)
            return kp_fail(KP_EINVAL, "the job's input %zu has no path", i);
    }
    for (size_t i = 0; i < opt->n_outputs; i++) {
        if (opt->outputs == NULL || opt->outputs[i] == NULL)
            return kp_fail(KP_EINVAL, "the job's output %zu has no name", i);
    }
    return 0;
}

/* What is known without the model. */
static int check_early(kp_job *job)
{
    const kp_job_options *o = &job->opt;
    struct stat st;
    KP_TRY(check_given(o));
    if (o->top < -1)
        return kp_fail(KP_EUSAGE, "--top %d is negative", o->top);
    KP_TRY(parse_failures(job));
    KP_TRY(kp_format_choose(o->format, o->output_path, &job->format));
    if (o->top > 0 && (job->format == KP_FORMAT_NPY || job->format == KP_FORMAT_NPZ))
        return kp_fail(KP_EUSAGE,
                       "--top is for CSV, JSON Lines and the table: an array holds all values");
    if (stat(o->model_path, &st) != 0)
        return kp_fail_errno(KP_EMODEL, errno, "could not read the model \"%s\"", o->model_path);
    KP_TRY(job_open_inputs(job));
    if (!o->dry_run)
        KP_TRY(kp_sink_check(job->format, o->output_path, o->force));
    return o->classes_path != NULL ? kp_labels_load(&job->labels, o->classes_path) : 0;
}

/* Whatever keeps the model from being loaded is the model's fault for the caller. */
static int open_pipeline(kp_job *job, const kp_tensor *examples, size_t n)
{
    kp_pipeline_options p = job->opt.pipeline;
    bool rows = job->paths == NULL;
    p.kind = rows ? KP_PIPELINE_ROWS : KP_PIPELINE_IMAGES;
    p.row_example = examples;
    p.n_row_examples = n;
    if (job->opt.dry_run && !rows) {
        p.on_prepared = job_dry_prepared;
        p.on_prepared_ctx = job;
    }
    kp_pipeline_close(&job->pipeline);
    int status = kp_pipeline_open(&job->pipeline, job->opt.model_path, &p);
    if (status == KP_EIO || status == KP_EFORMAT || status == KP_ELIMIT ||
        status == KP_EUNSUPPORTED || status == KP_ENOTFOUND)
        status = KP_EMODEL;
    KP_TRY(status);
    KP_TRY(kp_pipeline_describe(job->pipeline, &job->info));
    const char *scaling = p.preprocess == NULL || strcmp(p.preprocess, "auto") == 0
                              ? job->info.model.preprocess
                              : p.preprocess;
    if (strncmp(scaling, "plugin:", 7) == 0 || (rows && scaling == job->info.model.preprocess))
        scaling = "none";
    return kp_scaling_parse(scaling, &job->scaling);
}

/* Whether the rows must be known before the pipeline can be: open sizes, widths of strings. */
static bool open_sizes(const kp_model_info *m)
{
    for (size_t i = 0; i < m->n_inputs; i++) {
        if (m->inputs[i].dtype == KP_STRING)
            return true;
        for (int d = 1; d < m->inputs[i].ndim; d++) {
            if (m->inputs[i].shape[d] < 0)
                return true;
        }
    }
    return false;
}

/*
 * The rows of a single array are told to the pipeline as they lie, so that they travel in their own
 * type. With several inputs their order is known only with the model, and rows that do not fit as
 * they are may fit when adapted as Keras does: then the pipeline is opened for the model's own
 * types, and once more if the model leaves sizes open.
 */
static int open_for_rows(kp_job *job)
{
    kp_tensor example;
    if (job_rows_example(&job->rows, &example)) {
        int status = open_pipeline(job, &example, 1);
        if (status == 0 && job->info.model.n_inputs == 1)
            return job_rows_bind(&job->rows, &job->info.model, true);
        if (status != 0 && status != KP_ESHAPE && status != KP_EUSAGE && status != KP_EINVAL)
            return status;
    }
    KP_TRY(open_pipeline(job, NULL, 0));
    KP_TRY(job_rows_bind(&job->rows, &job->info.model, false));
    if (!open_sizes(&job->info.model))
        return 0;
    kp_tensor *examples = calloc(job->rows.n_columns, sizeof *examples);
    if (examples == NULL)
        return kp_fail(KP_ENOMEM, "no memory for the inputs");
    job_rows_examples(&job->rows, examples);
    int status = open_pipeline(job, examples, job->rows.n_columns);
    free(examples);
    return status;
}

/* --input NAME=FOLDER: the name must be that of the model's only input. */
static int check_image_names(const kp_job *job)
{
    const kp_model_info *m = &job->info.model;
    for (size_t i = 0; i < job->opt.n_inputs; i++) {
        const char *name = job->opt.inputs[i].name;
        if (name != NULL && (m->n_inputs != 1 || strcmp(m->inputs[0].name, name) != 0))
            return kp_fail(KP_EUSAGE,
                           "images can be the only input of a model, and \"%s\" is not that of "
                           "this one (its first is \"%s\", of %zu)",
                           name, m->inputs[0].name, m->n_inputs);
    }
    return 0;
}

static int prepare(kp_job *job)
{
    KP_TRY(check_early(job));
    if (job->paths != NULL) {
        KP_TRY(open_pipeline(job, NULL, 0));
        KP_TRY(check_image_names(job));
        job->to_skip = job->opt.skip;
    } else {
        KP_TRY(open_for_rows(job));
        job_rows_set_block(&job->rows, job->info.rows_per_item, kp_pipeline_group(job->pipeline));
        KP_TRY(job_rows_skip(&job->rows, job->opt.skip));
        job->row_number = job->opt.skip;
    }
    return job_plan(job);
}

static locale_t plain;
static pthread_once_t plain_once = PTHREAD_ONCE_INIT;

static void make_plain(void)
{
    plain = newlocale(LC_ALL_MASK, "C", (locale_t)0);
}

locale_t job_plain_locale(void)
{
    pthread_once(&plain_once, make_plain);
    return plain != (locale_t)0 ? plain : LC_GLOBAL_LOCALE;
}

int kp_job_open(kp_job **out, const kp_job_options *opt)
{
    if (out == NULL)
        return kp_fail(KP_EINVAL, "kp_job_open without room for the handle");
    *out = NULL;
    if (opt == NULL || opt->struct_size < sizeof opt->struct_size)
        return kp_fail(KP_EINVAL, "the job options were not filled by kp_job_options_defaults");
    kp_job *job = calloc(1, sizeof *job);
    if (job == NULL)
        return kp_fail(KP_ENOMEM, "no memory for the job");
    locale_t callers = uselocale(job_plain_locale());
    kp_job_options_defaults(&job->opt);
    memcpy(&job->opt, opt, opt->struct_size < sizeof *opt ? opt->struct_size : sizeof *opt);
    job->started = kp_now_s();
    int status = prepare(job);
    uselocale(callers);
    if (status != 0) {
        kp_job_close(&job);
        return status;
    }
    *out = job;
    return 0;
}

void kp_job_stop(kp_job *job)
{
    if (job != NULL)
        atomic_fetch_add(&job->stops, 1);
}

int kp_job_report_get(kp_job *job, kp_job_report *out)
{
    if (job == NULL || out == NULL)
        return kp_fail(KP_EINVAL, "kp_job_report_get without a job or room for the report");
    memset(out, 0, sizeof *out);
    out->items = (int64_t)job->items;
    out->processed = job->processed;
    out->failed = job->failed;
    out->exif_turned = job->exif_turned;
    out->seconds = (job->ended > 0 ? job->ended : kp_now_s()) - job->started;
    out->items_per_second = out->seconds > 0 ? (double)job->index / out->seconds : 0;
    out->info = job->info;
    out->stats = job->stats;
    out->mean_batch =
        job->stats.batches > 0 ? (double)job->stats.rows / (double)job->stats.batches : 0;
    out->write_s = job->write_s;
    out->has_accuracy = job->judged && job->with_truth > 0;
    if (out->has_accuracy) {
        out->accuracy = (double)job->right / (double)job->with_truth;
        out->top5_accuracy = (double)job->right5 / (double)job->with_truth;
    }
    out->output_path = job->sink != NULL ? kp_sink_path(job->sink) : "";
    out->errors_path = job->sink != NULL ? kp_sink_errors_path(job->sink) : "";
    out->dry_run_text = job->dry_text.data != NULL ? job->dry_text.data : "";
    return 0;
}

void kp_job_close(kp_job **handle)
{
    if (handle == NULL || *handle == NULL)
        return;
    kp_job *job = *handle;
    char why[1024]; /* closing must not hide why the job failed */
    snprintf(why, sizeof why, "%s", kp_errmsg());
    kp_sink_close(&job->sink);
    kp_pipeline_close(&job->pipeline);
    while (job->queue.n > 0)
        job_drop_head(job);
    job_queue_free(&job->queue);
    if (job->held != NULL)
        job_rows_give_back(&job->rows, job->held);
    job_rows_free(&job->rows);
    kp_paths_free(&job->paths);
    kp_labels_free(&job->labels);
    kp_buf_free(&job->dry_text);
    kp_buf_free(&job->dry_input);
    free(job->truth_map);
    free(job->chosen);
    free(job->sink_outputs);
    free(job->tensors);
    free(job->input_text);
    free(job);
    *handle = NULL;
    if (why[0] != '\0')
        kp_fail(0, "%s", why);
}
