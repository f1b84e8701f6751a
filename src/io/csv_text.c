/*
 * CSV as rows of strings, as RFC 4180 has them: a quoted field may hold commas, line ends and
 * doubled quotes; spaces belong to a field. Strings have one width: that of the longest in the
 * file, which is looked for first.
 */
#include "io/csv.h"

#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

/* A field on its way out of its record: at most `room` bytes are kept, all are counted. */
typedef struct field {
    char *to;
    size_t room, size;
} field;

static void put(field *f, char c)
{
    if (f->size < f->room)
        f->to[f->size] = c;
    f->size++;
}

/* The field at *at of the record that ends at `end`. *at goes behind its comma, to NULL after the
 * last. False: something follows a closing quote, or it is missing. */
static bool take_field(const char **at, const char *end, field *f)
{
    const char *p = *at;
    if (p < end && *p == '"') {
        for (p++; p < end && !(*p == '"' && (p + 1 == end || p[1] != '"')); p++) {
            if (*p == '"')
                p++;
            put(f, *p);
        }
        if (p == end || (p + 1 < end && p[1] != ','))
            return false;
        p++;
    }
    for (; p < end && *p != ','; p++)
        put(f, *p);
    *at = p < end ? p + 1 : NULL;
    return true;
}

static void problem_set(kp_row_problem *p, kp_item_error error, int64_t line, const char *what,
                        size_t number)
{
    p->error = error;
    snprintf(p->message, sizeof p->message, "line %lld: %s %zu", (long long)line, what, number);
}

/* A record's strings to dst, which has room for a row. */
static void read_record(const kp_array *a, const kp_csv_record *r, int64_t line, char *dst,
                        kp_row_problem *problem)
{
    size_t width = (size_t)a->info.string_bytes, n = 0;
    const char *at = r->at;
    memset(dst, 0, a->row_bytes);
    for (; at != NULL; n++) {
        field f = {n < a->row_elems ? dst + n * width : NULL, n < a->row_elems ? width : 0, 0};
        if (!take_field(&at, r->at + r->n, &f)) {
            problem_set(problem, KP_ITEM_DECODE, line, "damaged quotes in field", n + 1);
            return;
        }
        if (n < a->row_elems && f.size > width) {
            problem_set(problem, KP_ITEM_LIMIT, line, "a text has more bytes than", width);
            return;
        }
    }
    if (n != a->row_elems)
        problem_set(problem, KP_ITEM_SHAPE, line,
                    "the number of fields is not the first line's:", n);
}

int kp_csv_read_text(kp_array *a, void *dst, int64_t max_rows, int64_t *n_read,
                     kp_row_problem *problem)
{
    kp_csv *s = a->state;
    char *row = dst;
    for (; *n_read < max_rows; (*n_read)++, row += a->row_bytes) {
        kp_csv_record r = {s->first_text, s->first_size};
        int status = s->first_waiting ? 0 : kp_csv_take(a, &r);
        if (status != 0)
            return status == KP_EEND && *n_read > 0 ? 0 : status;
        s->first_waiting = false;
        read_record(a, &r, s->line, row, problem);
        if (problem->error != KP_ITEM_OK)
            return 0;
    }
    return 0;
}

static size_t longest_field(const kp_csv_record *r, size_t longest)
{
    const char *at = r->at;
    while (at != NULL) {
        field f = {0};
        if (!take_field(&at, r->at + r->n, &f))
            break;
        longest = f.size > longest ? f.size : longest;
    }
    return longest;
}

/* The whole file, read by a second reader. */
static int measure(const kp_array *a, size_t *longest)
{
    kp_array *twin;
    KP_TRY(kp_array_open_csv(&twin, a->path, ((const kp_csv *)a->state)->header));
    const kp_csv *s = twin->state;
    kp_csv_record r = {s->first_text, s->first_size};
    int status = s->first_text != NULL ? 0 : KP_EEND;
    for (*longest = 1; status == 0; status = kp_csv_take(twin, &r))
        *longest = longest_field(&r, *longest);
    kp_array_close(&twin);
    return status == KP_EEND ? 0 : status;
}

/* Fields of the first record: those of numbers were counted, these may be quoted otherwise. */
static size_t count_fields(const kp_csv *s)
{
    const char *at = s->first_text;
    size_t n = 0;
    for (; at != NULL; n++) {
        field f = {0};
        if (!take_field(&at, s->first_text + s->first_size, &f))
            return n + 1;
    }
    return n;
}

int kp_csv_as_text(kp_array *a, int32_t *width)
{
    kp_csv *s = a->state;
    struct stat st;
    size_t longest = KP_CSV_PIPE_TEXT;
    if (fstat(s->fd, &st) == 0 && S_ISREG(st.st_mode))
        KP_TRY(measure(a, &longest));
    if (longest > KP_CSV_TEXT_MAX)
        longest = KP_CSV_TEXT_MAX;
    if (s->first_text != NULL) {
        a->row_elems = count_fields(s);
        a->info.shape[0] = (int64_t)a->row_elems;
    }
    s->text = true;
    a->info.dtype = KP_STRING;
    a->info.string_bytes = *width = (int32_t)longest;
    return kp_array_set_width(a, *width);
}
