/* With the model known: which outputs are written, in which form, under which labels. */
#include "hub/hub.h"
#include "hub/job.h"

#include <stdlib.h>

enum { KP_OUTPUT_NAME = 512 };

/* The name under which output `at` is written: a repeated one gets _1, _2, ... as in a file. */
static const char *written_name(const kp_model_info *m, size_t at, char *buf, size_t size)
{
    const char *name = m->outputs[at].name;
    size_t before = 0;
    for (size_t i = 0; i < at; i++)
        before += strcmp(m->outputs[i].name, name) == 0;
    if (before == 0)
        return name;
    snprintf(buf, size, "%s_%zu", name, before);
    return buf;
}

static void list_outputs(const kp_model_info *m, kp_buf *b)
{
    char name[KP_OUTPUT_NAME];
    for (size_t i = 0; i < m->n_outputs; i++)
        kp_buf_printf(b, "%s\"%s\"", i > 0 ? ", " : "", written_name(m, i, name, sizeof name));
}

static size_t find_output(const kp_model_info *m, const char *wanted)
{
    char name[KP_OUTPUT_NAME];
    size_t at = 0;
    while (at < m->n_outputs && strcmp(written_name(m, at, name, sizeof name), wanted) != 0)
        at++;
    return at;
}

static int refuse_outputs(const kp_model_info *m, const char *what)
{
    kp_buf names = {0};
    list_outputs(m, &names);
    int status = kp_fail(KP_EUSAGE, "%s: the model's outputs are %s", what,
                         names.data != NULL ? names.data : "");
    kp_buf_free(&names);
    return status;
}

static int choose_outputs(kp_job *job)
{
    const kp_model_info *m = &job->info.model;
    const kp_job_options *o = &job->opt;
    size_t n = o->n_outputs > 0 ? o->n_outputs : m->n_outputs;
    job->chosen = calloc(n + 1, sizeof *job->chosen);
    job->sink_outputs = calloc(n + 1, sizeof *job->sink_outputs);
    job->tensors = calloc(n + 1, sizeof *job->tensors);
    if (job->chosen == NULL || job->sink_outputs == NULL || job->tensors == NULL)
        return kp_fail(KP_ENOMEM, "no memory for the outputs");
    for (size_t i = 0; i < n; i++) {
        size_t at = i;
        if (o->n_outputs > 0) {
            at = find_output(m, o->outputs[i]);
            if (at == m->n_outputs) {
                char what[200];
                snprintf(what, sizeof what, "there is no output \"%.100s\"", o->outputs[i]);
                return refuse_outputs(m, what);
            }
        }
        const kp_port *p = &m->outputs[at];
        job->chosen[i] = at;
        const char *name = o->n_outputs > 0 ? o->outputs[i] : p->name;
        job->sink_outputs[i] =
            (kp_sink_output){.name = name,
                             .dtype = p->dtype,
                             .ndim = p->ndim - 1,
                             .string_bytes = kp_pipeline_text_width(job->pipeline, at)};
        memcpy(job->sink_outputs[i].shape, p->shape + 1, sizeof *p->shape * (size_t)(p->ndim - 1));
    }
    job->n_chosen = n;
    if (n > 1 && job->format == KP_FORMAT_NPY)
        return refuse_outputs(
            m, "an .npy holds one output, choose it with --output NAME or write .npz");
    if (n > 1 && job->format == KP_FORMAT_CSV && o->n_outputs == 0)
        return refuse_outputs(
            m, "choose outputs for the CSV with --output NAME, or write .jsonl or .npz");
    return 0;
}

/* Classes of the only output that is written: the size of its row's only axis; -1: it has none. */
static int64_t class_count(const kp_job *job)
{
    const kp_sink_output *o = &job->sink_outputs[0];
    return job->n_chosen == 1 && o->ndim == 1 && o->dtype != KP_STRING ? o->shape[0] : -1;
}

static int choose_top(kp_job *job)
{
    const kp_model_info *m = &job->info.model;
    bool arrays = job->format == KP_FORMAT_NPY || job->format == KP_FORMAT_NPZ;
    int64_t classes = class_count(job);
    if (job->opt.top > 0 && arrays)
        return kp_fail(KP_EUSAGE,
                       "--top is for CSV, JSON Lines and the table: an array holds all values");
    if (job->opt.top > 0 && classes < 0)
        return kp_fail(KP_EUSAGE,
                       "--top needs one output with a value for each class: choose it with "
                       "--output NAME, or write all values with --top 0");
    job->top = job->opt.top;
    if (job->top < 0)
        job->top = !arrays && m->n_outputs == 1 && m->softmax_output && classes >= 3 ? 5 : 0;
    return 0;
}

/* Words for the classes: a file's, which must fit; else the sub-folders', if they fit. */
static int choose_labels(kp_job *job)
{
    int64_t classes = class_count(job);
    const char *const *folders = NULL;
    size_t n = job->paths != NULL ? kp_paths_classes(job->paths, &folders) : 0;
    if (job->opt.classes_path != NULL && classes < 0)
        return kp_fail(KP_EUSAGE,
                       "--classes needs one output with a value for each class: choose it "
                       "with --output NAME");
    if (job->opt.classes_path != NULL && (int64_t)job->labels.n != classes && classes != 1)
        return kp_fail(KP_EUSAGE, "the label file \"%s\" has %zu label%s, the model %lld classes",
                       job->opt.classes_path, job->labels.n, job->labels.n == 1 ? "" : "s",
                       (long long)classes);
    if (!job->opt.labels_inferred || job->opt.classes_path != NULL || (int64_t)n != classes)
        return 0;
    job->labels.words = calloc(n + 1, sizeof *job->labels.words);
    for (; job->labels.words != NULL && job->labels.n < n; job->labels.n++) {
        job->labels.words[job->labels.n] = strdup(folders[job->labels.n]);
        if (job->labels.words[job->labels.n] == NULL)
            break;
    }
    return job->labels.n == n ? 0 : kp_fail(KP_ENOMEM, "no memory for labels");
}

/* The model's class for each folder: by name when a label file tells the names, else by place. */
static int map_truth(kp_job *job)
{
    if (!job->opt.labels_inferred)
        return 0;
    const char *const *folders;
    size_t n = kp_paths_classes(job->paths, &folders);
    int64_t classes = class_count(job);
    job->judged = classes > 0;
    if (!job->judged)
        return kp_fail(KP_EUSAGE, "--labels inferred needs one output with a value for each class: "
                                  "choose it with --output NAME");
    job->truth_map = calloc(n + 1, sizeof *job->truth_map);
    if (job->truth_map == NULL)
        return kp_fail(KP_ENOMEM, "no memory for labels");
    job->n_truth = n;
    bool by_name = job->opt.classes_path != NULL;
    for (size_t i = 0; i < n; i++) {
        job->truth_map[i] = by_name ? kp_labels_find(&job->labels, folders[i]) : (int64_t)i;
        if (job->truth_map[i] < 0)
            kp_log(KP_LOG_WARNING,
                   "the folder \"%s\" is no class in \"%s\": its items count as without "
                   "a true class",
                   folders[i], job->opt.classes_path);
    }
    if (!by_name && (int64_t)n != classes && classes != 1)
        kp_log(KP_LOG_WARNING,
               "there are %zu sub-folders and %lld classes: the true classes may not be "
               "those of the model; name them with --classes",
               n, (long long)classes);
    return 0;
}

int job_plan(kp_job *job)
{
    KP_TRY(choose_outputs(job));
    KP_TRY(choose_top(job));
    KP_TRY(choose_labels(job));
    KP_TRY(map_truth(job));
    if (job->opt.dry_run)
        return 0;
    kp_sink_spec spec = {
        .format = job->format,
        .path = job->opt.output_path,
        .force = job->opt.force,
        .outputs = job->sink_outputs,
        .n_outputs = job->n_chosen,
        .top = job->top,
        .labels = job->labels.n > 0 ? &job->labels : NULL,
        .truth = job->opt.labels_inferred,
        .n_items = job->total,
    };
    return kp_sink_open(&job->sink, &spec);
}
