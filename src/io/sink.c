/* The life of an output: refusals before the work, OUT.partial, the error file, the final name. */
#include "io/sink.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <strings.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

static const struct {
    const char *name, *ending;
    const kp_sink_writer *writer;
} formats[] = {
    [KP_FORMAT_CSV] = {"csv", ".csv", &kp_csv_writer},
    [KP_FORMAT_JSONL] = {"jsonl", ".jsonl", &kp_jsonl_writer},
    [KP_FORMAT_NPY] = {"npy", ".npy", &kp_npy_writer},
    [KP_FORMAT_NPZ] = {"npz", ".npz", &kp_npz_writer},
    [KP_FORMAT_TABLE] = {"table", "", &kp_table_writer},
};
enum { N_FORMATS = sizeof formats / sizeof *formats };

static bool is_stdout(const char *path)
{
    return path == NULL || strcmp(path, "-") == 0;
}

int kp_format_choose(const char *name, const char *path, kp_format *out)
{
    *out = isatty(STDOUT_FILENO) ? KP_FORMAT_TABLE : KP_FORMAT_JSONL;
    size_t n = path != NULL ? strlen(path) : 0;
    for (int i = KP_FORMAT_CSV; i < N_FORMATS; i++) {
        size_t m = strlen(formats[i].ending);
        bool hit = name != NULL
                       ? strcmp(name, formats[i].name) == 0
                       : m > 0 && n > m && strcasecmp(path + n - m, formats[i].ending) == 0;
        if (hit) {
            *out = (kp_format)i;
            return 0;
        }
    }
    if (name != NULL)
        return kp_fail(KP_EUSAGE, "the format \"%s\" is not known: csv, jsonl, npy, npz or table",
                       name);
    return is_stdout(path)
               ? 0
               : kp_fail(KP_EUSAGE,
                         "cannot tell the format of \"%s\" by its ending: end it in .csv, "
                         ".jsonl, .npy or .npz, or add --format",
                         path);
}

/* The folder of path; free it. NULL: no memory. */
static char *folder_of(const char *path)
{
    const char *slash = strrchr(path, '/');
    if (slash == NULL)
        return strdup(".");
    return strndup(path, slash == path ? 1 : (size_t)(slash - path));
}

static int check_folder(const char *path)
{
    char *dir = folder_of(path);
    if (dir == NULL)
        return kp_fail(KP_ENOMEM, "no memory for the output's path");
    struct stat st;
    int status = 0;
    if (stat(dir, &st) != 0)
        status = kp_fail_errno(KP_EIO, errno, "could not use the output folder \"%s\"", dir);
    else if (!S_ISDIR(st.st_mode))
        status = kp_fail(KP_EIO, "cannot write \"%s\": \"%s\" is not a folder", path, dir);
    else if (access(dir, W_OK | X_OK) != 0)
        status = kp_fail_errno(KP_EIO, errno, "could not write into the folder \"%s\"", dir);
    free(dir);
    return status;
}

int kp_sink_check(kp_format format, const char *path, bool force)
{
    if (is_stdout(path))
        return format == KP_FORMAT_NPY || format == KP_FORMAT_NPZ
                   ? kp_fail(KP_EUSAGE, "a .%s cannot go to standard output: name a file with -o",
                             formats[format].name)
                   : 0;
    struct stat st;
    if (stat(path, &st) != 0) {
        if (errno != ENOENT && errno != ENOTDIR)
            return kp_fail_errno(KP_EIO, errno, "could not use the output \"%s\"", path);
        return check_folder(path);
    }
    if (S_ISDIR(st.st_mode))
        return kp_fail(KP_EUSAGE, "the output \"%s\" is a folder: name a file in it", path);
    if (!S_ISREG(st.st_mode))
        return 0;
    if (!force)
        return kp_fail(KP_EEXIST,
                       "the output \"%s\" exists: add --force to replace it, or choose "
                       "another name",
                       path);
    return check_folder(path);
}

/* "preds.csv" -> "preds.errors.jsonl"; only the ending of the last part is replaced. */
static char *errors_name(const char *path)
{
    const char *slash = strrchr(path, '/'), *base = slash != NULL ? slash + 1 : path;
    const char *dot = strrchr(base, '.');
    size_t n = dot != NULL && dot != base ? (size_t)(dot - path) : strlen(path);
    kp_buf b = {0};
    kp_buf_add(&b, path, n);
    kp_buf_puts(&b, ".errors.jsonl");
    return b.data;
}

static bool name_taken(const kp_sink *s, size_t n, const char *name)
{
    for (size_t i = 0; i < n; i++) {
        if (strcmp(s->names[i], name) == 0)
            return true;
    }
    return false;
}

/* A repeated name gets _1, _2, ... */
static int make_names(kp_sink *s)
{
    s->names = calloc(s->spec.n_outputs + 1, sizeof *s->names);
    for (size_t i = 0; s->names != NULL && i < s->spec.n_outputs; i++) {
        kp_buf b = {0};
        kp_buf_puts(&b, s->spec.outputs[i].name);
        for (int k = 1; !b.failed && name_taken(s, i, b.data); k++) {
            b.len = 0;
            kp_buf_printf(&b, "%s_%d", s->spec.outputs[i].name, k);
        }
        s->names[i] = b.data;
        if (b.failed || b.data == NULL)
            return kp_fail(KP_ENOMEM, "no memory for names");
    }
    return s->names != NULL ? 0 : kp_fail(KP_ENOMEM, "no memory for names");
}

/* Bytes that an array file of known size will take; 0: not known. */
static uint64_t known_bytes(const kp_sink *s)
{
    uint64_t all = 0;
    if ((s->spec.format != KP_FORMAT_NPY && s->spec.format != KP_FORMAT_NPZ) || s->spec.n_items < 0)
        return 0;
    for (size_t i = 0; i < s->spec.n_outputs; i++) {
        const kp_sink_output *o = &s->spec.outputs[i];
        size_t row, bytes;
        if (o->string_bytes > INT32_MAX / 4 ||
            !kp_border_bytes(o->shape, o->ndim, o->dtype, 4 * o->string_bytes, &row))
            return 0;
        if (!kp_mul_size(row, (size_t)s->spec.n_items, &bytes) || bytes > INT64_MAX / 2)
            return UINT64_MAX;
        all += bytes + 256;
    }
    return all;
}

static int check_space(const kp_sink *s)
{
    uint64_t need = known_bytes(s);
    char *dir = folder_of(s->partial);
    struct statvfs fs;
    struct rlimit limit;
    bool known = dir != NULL && statvfs(dir, &fs) == 0;
    free(dir);
    uint64_t left = known ? (uint64_t)fs.f_bavail * fs.f_frsize : UINT64_MAX;
    if (need > left)
        return kp_fail(
            KP_EIO,
            "could not write \"%s\": it will take %llu bytes, %llu are free there; free some "
            "space or choose another place",
            s->path, (unsigned long long)need, (unsigned long long)left);
    if (getrlimit(RLIMIT_FSIZE, &limit) == 0 && need > limit.rlim_cur)
        return kp_fail(
            KP_EIO,
            "could not write \"%s\": it will take %llu bytes, files may have at most %llu here "
            "(ulimit -f)",
            s->path, (unsigned long long)need, (unsigned long long)limit.rlim_cur);
    return 0;
}

static int open_file(kp_sink *s)
{
    s->path = strdup(s->spec.path);
    s->errors_path = errors_name(s->spec.path);
    kp_buf partial = {0};
    struct stat st;
    s->in_place = stat(s->spec.path, &st) == 0 && !S_ISREG(st.st_mode);
    kp_buf_puts(&partial, s->spec.path);
    kp_buf_puts(&partial, s->in_place ? "" : ".partial");
    s->partial = partial.data;
    if (s->path == NULL || s->errors_path == NULL || s->partial == NULL || partial.failed)
        return kp_fail(KP_ENOMEM, "no memory for the output's path");
    if (!s->in_place)
        KP_TRY(check_space(s));
    return kp_out_open(&s->out, s->partial);
}

int kp_sink_open(kp_sink **out, const kp_sink_spec *spec)
{
    *out = NULL;
    kp_sink *s = calloc(1, sizeof *s);
    if (s == NULL)
        return kp_fail(KP_ENOMEM, "no memory for the output");
    s->spec = *spec;
    s->out.fd = s->errors.fd = -1;
    s->to_stdout = is_stdout(spec->path);
    int status = kp_sink_check(spec->format, spec->path, spec->force);
    if (status == 0)
        status = make_names(s);
    if (status == 0 && s->to_stdout)
        kp_out_stdout(&s->out);
    else if (status == 0)
        status = open_file(s);
    if (status == 0) {
        s->writer = formats[spec->format].writer;
        status = s->writer->open(s);
    }
    if (status != 0) {
        kp_sink_close(&s);
        return status;
    }
    *out = s;
    return 0;
}

static int write_error(kp_sink *s, const kp_result_row *r)
{
    if (s->errors_path == NULL)
        return 0;
    if (!s->has_errors) {
        KP_TRY(kp_out_open(&s->errors, s->errors_path));
        s->has_errors = true;
    }
    kp_buf *b = &s->errors.buf;
    const char *message = r->message != NULL ? r->message : "";
    kp_buf_printf(b, "{\"index\":%llu,\"file\":", (unsigned long long)r->index);
    kp_buf_json_string(b, r->file, strlen(r->file));
    kp_buf_printf(b, ",\"code\":\"%s\",\"message\":", kp_item_error_name(r->error));
    kp_buf_json_string(b, message, strlen(message));
    kp_buf_puts(b, "}\n");
    return b->len >= KP_OUT_BYTES ? kp_out_flush(&s->errors) : 0;
}

int kp_sink_write(kp_sink *s, const kp_result_row *r)
{
    if (r->error != KP_ITEM_OK)
        KP_TRY(write_error(s, r));
    size_t before = s->out.buf.len;
    int status = s->writer->write(s, r);
    if (status != 0) {
        s->out.buf.len = before; /* no half row */
        return status;
    }
    s->n_records++;
    return s->out.buf.len >= KP_OUT_BYTES ? s->writer->flush(s) : 0;
}

int kp_sink_flush(kp_sink *s)
{
    KP_TRY(s->writer->flush(s));
    return s->has_errors ? kp_out_flush(&s->errors) : 0;
}

int kp_sink_finish(kp_sink *s, bool whole)
{
    KP_TRY(s->writer->finish(s));
    KP_TRY(kp_out_close(&s->out));
    KP_TRY(kp_out_close(&s->errors));
    s->finished = true;
    if (s->to_stdout || s->in_place)
        return 0;
    /* A file of an earlier run would tell of failures that this one did not have. */
    if (!s->has_errors)
        unlink(s->errors_path);
    if (!whole)
        return 0;
    if (rename(s->partial, s->path) != 0)
        return kp_fail_errno(KP_EIO, errno, "could not rename \"%s\" to \"%s\"", s->partial,
                             s->path);
    free(s->partial);
    s->partial = strdup(s->path);
    return s->partial != NULL ? 0 : kp_fail(KP_ENOMEM, "no memory for the output's path");
}

const char *kp_sink_path(const kp_sink *s)
{
    return s->partial != NULL ? s->partial : "";
}

const char *kp_sink_errors_path(const kp_sink *s)
{
    return s->has_errors ? s->errors_path : "";
}

const char *kp_sink_label(const kp_sink *s, int64_t class_index)
{
    const kp_labels *l = s->spec.labels;
    return l != NULL && class_index >= 0 && (size_t)class_index < l->n ? l->words[class_index] : "";
}

void kp_sink_close(kp_sink **sink)
{
    kp_sink *s = *sink;
    if (s == NULL)
        return;
    bool empty = s->n_records == 0 && s->out.fd >= 0 && !s->to_stdout && !s->in_place;
    if (s->state != NULL)
        s->writer->close(s);
    free(s->state);
    kp_out_close(&s->out);
    kp_out_close(&s->errors);
    if (empty && !s->finished)
        unlink(s->partial);
    for (size_t i = 0; s->names != NULL && i < s->spec.n_outputs; i++)
        free(s->names[i]);
    free(s->names);
    free(s->path);
    free(s->partial);
    free(s->errors_path);
    free(s);
    *sink = NULL;
}
