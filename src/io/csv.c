/*
 * CSV as rows of numbers (csv_text.c: of strings): one row a line, commas, fields may be quoted, an
 * empty field is NaN. Streams; a row of the wrong length or with a word in it is one failed row.
 */
#include "io/csv.h"

#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <stdlib.h>
#include <unistd.h>

enum { CSV_READ = 1 << 18, CSV_RECORD_MAX = 1 << 25 };

static int csv_fill(kp_array *a)
{
    kp_csv *s = a->state;
    if (s->begin > 0) {
        memmove(s->buf, s->buf + s->begin, s->end - s->begin);
        s->end -= s->begin;
        s->begin = 0;
    }
    /* Doubled and then read full, so that looking for the end of a long line again and again costs
     * no more than its length. */
    if (s->end + CSV_READ + 1 > s->cap) {
        if (s->cap > CSV_RECORD_MAX)
            return kp_fail(KP_ELIMIT, "cannot read \"%s\": line %lld is longer than 64 MB", a->path,
                           (long long)s->next_line);
        size_t cap = s->cap == 0 ? 2 * CSV_READ : s->cap * 2;
        char *buf = realloc(s->buf, cap);
        if (buf == NULL)
            return kp_fail(KP_ENOMEM, "no memory to read \"%s\"", a->path);
        s->buf = buf;
        s->cap = cap;
    }
    ssize_t n = read(s->fd, s->buf + s->end, s->cap - s->end - 1);
    if (n < 0 && errno != EINTR)
        return kp_fail_errno(KP_EIO, errno, "could not read \"%s\"", a->path);
    if (n == 0)
        s->eof = true;
    s->end += n > 0 ? (size_t)n : 0;
    return 0;
}

/* Where the record that begins at `begin` ends: at a line end outside quotes. SIZE_MAX: not seen
 * yet. *lines counts the line ends within. */
static size_t record_end(const kp_csv *s, int64_t *lines)
{
    bool quoted = false;
    *lines = 1;
    const char *nl = memchr(s->buf + s->begin, '\n', s->end - s->begin);
    const char *quote = memchr(s->buf + s->begin, '"',
                               nl != NULL ? (size_t)(nl - s->buf) - s->begin : s->end - s->begin);
    if (quote == NULL)
        return nl != NULL ? (size_t)(nl - s->buf) : SIZE_MAX;
    for (size_t i = (size_t)(quote - s->buf); i < s->end; i++) {
        if (s->buf[i] == '"')
            quoted = !quoted;
        else if (s->buf[i] == '\n' && !quoted)
            return i;
        else if (s->buf[i] == '\n')
            (*lines)++;
    }
    return SIZE_MAX;
}

int kp_csv_take(kp_array *a, kp_csv_record *r)
{
    kp_csv *s = a->state;
    for (;;) {
        int64_t lines = 1;
        size_t stop = s->end > s->begin ? record_end(s, &lines) : SIZE_MAX;
        if (stop == SIZE_MAX && !s->eof) {
            KP_TRY(csv_fill(a));
            continue;
        }
        if (stop == SIZE_MAX && s->end == s->begin)
            return KP_EEND;
        size_t end = stop == SIZE_MAX ? s->end : stop;
        r->at = s->buf + s->begin;
        r->n = end - s->begin;
        s->begin = stop == SIZE_MAX ? end : end + 1;
        s->line = s->next_line;
        s->next_line += lines;
        if (r->n > 0 && r->at[r->n - 1] == '\r')
            r->n--;
        r->at[r->n] = '\0'; /* over the line end, or the spare byte behind the buffer */
        if (strspn(r->at, " \t") < r->n)
            return 0;
    }
}

/* The next field's text, trimmed, NUL-terminated; *rest behind its comma or NULL at the end. NULL:
 * the quotes are damaged or a quoted number is absurdly long. */
static const char *take_field(kp_csv *s, char *at, char **rest)
{
    at += strspn(at, " \t");
    if (*at != '"') {
        char *comma = strchr(at, ',');
        *rest = comma != NULL ? comma + 1 : NULL;
        if (comma != NULL)
            *comma = '\0';
        return at;
    }
    size_t n = 0;
    for (at++; !(*at == '"' && at[1] != '"'); at++) {
        if (*at == '\0' || n + 1 >= sizeof s->field)
            return NULL;
        if (*at == '"')
            at++;
        s->field[n++] = *at;
    }
    s->field[n] = '\0';
    at++;
    at += strspn(at, " \t");
    if (*at != ',' && *at != '\0')
        return NULL;
    *rest = *at == ',' ? at + 1 : NULL;
    return s->field;
}

static bool parse_number(const char *text, double *out)
{
    text += strspn(text, " \t");
    if (*text == '\0') {
        *out = (double)NAN;
        return true;
    }
    char *end;
    *out = strtod(text, &end);
    return end != text && end[strspn(end, " \t")] == '\0';
}

/* A record's numbers to dst (at most max). *n: how many fields there are. Returns the first field
 * that is not a number, from 1, or 0. */
static size_t parse_record(kp_csv *s, const kp_csv_record *r, double *dst, size_t max, size_t *n)
{
    char *rest = r->at;
    size_t bad = 0;
    *n = 0;
    while (rest != NULL) {
        double v = 0;
        const char *text = take_field(s, rest, &rest);
        if ((text == NULL || !parse_number(text, &v)) && bad == 0)
            bad = *n + 1;
        if (text == NULL)
            return bad;
        if (*n < max)
            dst[*n] = v;
        (*n)++;
    }
    return bad;
}

static void describe_problem(const kp_array *a, int64_t line, size_t n, size_t bad,
                             kp_row_problem *p)
{
    if (bad != 0) {
        p->error = KP_ITEM_DECODE;
        snprintf(p->message, sizeof p->message, "line %lld: field %zu is not a number",
                 (long long)line, bad);
    } else {
        p->error = KP_ITEM_SHAPE;
        snprintf(p->message, sizeof p->message, "line %lld: %zu fields instead of %zu",
                 (long long)line, n, a->row_elems);
    }
}

static int csv_as_numbers(kp_array *a)
{
    const kp_csv *s = a->state;
    if (s->first_bad == 0)
        return 0;
    return kp_fail(KP_EUSAGE, "cannot use \"%s\": field %zu of line %lld is not a number%s",
                   a->path, s->first_bad, (long long)s->line,
                   s->header ? "" : "; if that line is a header, add --header");
}

static int csv_read(kp_array *a, void *dst, int64_t max_rows, int64_t *n_read,
                    kp_row_problem *problem)
{
    kp_csv *s = a->state;
    double *row = dst;
    if (s->text)
        return kp_csv_read_text(a, dst, max_rows, n_read, problem);
    if (s->first_waiting) {
        KP_TRY(csv_as_numbers(a));
        memcpy(row, s->first, a->row_bytes);
        s->first_waiting = false;
        *n_read = 1;
        return 0;
    }
    for (; *n_read < max_rows; (*n_read)++, row += a->row_elems) {
        kp_csv_record r;
        size_t n;
        int status = kp_csv_take(a, &r);
        if (status != 0)
            return status == KP_EEND && *n_read > 0 ? 0 : status;
        size_t bad = parse_record(s, &r, row, a->row_elems, &n);
        if (bad != 0 || n != a->row_elems) {
            describe_problem(a, s->line, n, bad, problem);
            return 0;
        }
    }
    return 0;
}

static int csv_skip(kp_array *a, uint64_t n, uint64_t *skipped)
{
    kp_csv *s = a->state;
    *skipped = 0;
    if (n > 0 && s->first_waiting) {
        s->first_waiting = false;
        *skipped = 1;
    }
    for (; *skipped < n; (*skipped)++) {
        kp_csv_record r;
        int status = kp_csv_take(a, &r);
        if (status != 0)
            return status == KP_EEND ? 0 : status;
    }
    return 0;
}

static void csv_close(kp_array *a)
{
    kp_csv *s = a->state;
    if (s->fd >= 0)
        close(s->fd);
    free(s->buf);
    free(s->first);
    free(s->first_text);
}

static const kp_array_reader csv_reader = {csv_read, csv_skip, csv_close, kp_csv_as_text,
                                           csv_as_numbers};

/* Fields of a record, without looking into them. */
static size_t count_fields(const kp_csv_record *r)
{
    size_t n = 1;
    bool quoted = false;
    for (size_t i = 0; i < r->n; i++) {
        quoted ^= r->at[i] == '"';
        n += r->at[i] == ',' && !quoted;
    }
    return n;
}

/* The first row of numbers gives the width that all others must have. */
static int read_first(kp_array *a)
{
    kp_csv *s = a->state;
    kp_csv_record r;
    int status = s->header ? kp_csv_take(a, &r) : 0;
    if (status == 0)
        status = kp_csv_take(a, &r);
    if (status == KP_EEND) {
        a->info.n_rows = 0;
        return 0;
    }
    KP_TRY(status);
    size_t width = count_fields(&r), n;
    s->first = calloc(width, sizeof *s->first);
    s->first_text = malloc(r.n + 1);
    if (s->first == NULL || s->first_text == NULL)
        return kp_fail(KP_ENOMEM, "no memory to read \"%s\"", a->path);
    memcpy(s->first_text, r.at, r.n + 1);
    s->first_size = r.n;
    s->first_bad = parse_record(s, &r, s->first, width, &n);
    n = s->first_bad != 0 ? width : n;
    a->row_elems = n;
    a->row_bytes = n * sizeof(double);
    a->info.ndim = 1;
    a->info.shape[0] = (int64_t)n;
    s->first_waiting = true;
    return 0;
}

static void skip_byte_order_mark(kp_csv *s)
{
    if (s->end - s->begin >= 3 && memcmp(s->buf + s->begin, "\xef\xbb\xbf", 3) == 0)
        s->begin += 3;
}

int kp_array_open_csv(kp_array **out, const char *path, bool header)
{
    *out = NULL;
    kp_array *a = kp_array_new(path, &csv_reader, sizeof(kp_csv));
    if (a == NULL)
        return KP_ENOMEM;
    kp_csv *s = a->state;
    s->fd = open(path, O_RDONLY | O_CLOEXEC);
    s->next_line = 1;
    a->info.dtype = KP_FLOAT64;
    a->info.n_rows = -1;
    int status =
        s->fd < 0 ? kp_fail_errno(KP_EIO, errno, "could not read \"%s\"", path) : csv_fill(a);
    if (status == 0) {
        skip_byte_order_mark(s);
        s->header = header;
        status = read_first(a);
    }
    if (status != 0) {
        kp_array_close(&a);
        return status;
    }
    *out = a;
    return 0;
}
