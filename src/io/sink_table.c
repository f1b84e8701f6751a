/* A table of the first rows for people; it is printed at the end, when the columns' widths are
 * known. */
#include "io/sink.h"

#include <stdlib.h>

enum { ROWS = 20, COLUMNS = 9, CELL_MAX = 40 };

struct table {
    kp_top top;
    char *cells[ROWS + 1][COLUMNS]; /* row 0: the names */
    int n_rows, n_columns;
    uint64_t n_more;
    bool values_cut; /* there are more values than columns */
};

/* What a terminal can show: control characters become '?', long texts lose their middle. */
static char *cell_text(const char *text)
{
    size_t n = strlen(text);
    kp_buf b = {0};
    if (n > CELL_MAX) {
        kp_buf_puts(&b, "...");
        text += n - (CELL_MAX - 3);
        while (((unsigned char)*text & 0xc0) == 0x80)
            text++;
    }
    for (; *text != '\0'; text++) {
        unsigned char c = (unsigned char)*text;
        kp_buf_add(&b, c < 0x20 || c == 0x7f ? "?" : text, 1);
    }
    kp_buf_puts(&b, "");
    return b.data;
}

static void set_cell(struct table *t, int row, int column, const char *text)
{
    if (column < COLUMNS)
        t->cells[row][column] = cell_text(text);
    if (column >= t->n_columns)
        t->n_columns = column < COLUMNS ? column + 1 : COLUMNS;
}

/* The next row to fill, 0 if the table is full. */
static int next_row(struct table *t, const char *file)
{
    if (t->n_rows == ROWS) {
        t->n_more++;
        return 0;
    }
    set_cell(t, ++t->n_rows, 0, file);
    return t->n_rows;
}

static int table_open(kp_sink *s)
{
    struct table *t = s->state = calloc(1, sizeof *t);
    if (t == NULL)
        return kp_fail(KP_ENOMEM, "no memory for the output");
    set_cell(t, 0, 0, "file");
    if (s->spec.top == 0)
        return 0;
    static const char *const names[] = {"rank", "class", "label", "score", "truth"};
    for (int i = 0; i < (s->spec.truth ? 5 : 4); i++)
        set_cell(t, 0, i + 1, names[i]);
    return kp_top_init(&t->top, s->spec.top);
}

static int top_rows(kp_sink *s, struct table *t, const kp_result_row *r)
{
    int n;
    KP_TRY(kp_top_find(&t->top, r, s->spec.outputs[0].dtype, &n));
    for (int i = 0; i < n; i++) {
        char text[KP_NUMBER_TEXT];
        int row = next_row(t, r->file);
        if (row == 0)
            continue;
        snprintf(text, sizeof text, "%d", i + 1);
        set_cell(t, row, 1, text);
        snprintf(text, sizeof text, "%lld", (long long)t->top.classes[i]);
        set_cell(t, row, 2, text);
        set_cell(t, row, 3, kp_sink_label(s, t->top.classes[i]));
        snprintf(text, sizeof text, "%.4f", (double)t->top.scores[i]);
        set_cell(t, row, 4, text);
        if (s->spec.truth && r->truth >= 0) {
            snprintf(text, sizeof text, "%lld", (long long)r->truth);
            set_cell(t, row, 5, text);
        }
    }
    return 0;
}

/* A string without what would move the cursor, cut to what a cell holds. */
static void value_text(char *buf, size_t size, kp_dtype dtype, const kp_row_values *v, size_t i)
{
    if (dtype != KP_STRING) {
        kp_number_text(buf, dtype, v->data + i * v->elem_bytes);
        return;
    }
    const char *bytes;
    size_t n = kp_row_text(v, i, &bytes), at = 0;
    for (; at < n && at + 1 < size; at++)
        buf[at] = (unsigned char)bytes[at] < ' ' || bytes[at] == 127 ? ' ' : bytes[at];
    buf[at] = '\0';
}

static int value_row(kp_sink *s, struct table *t, const kp_result_row *r)
{
    int row = next_row(t, r->file), column = 1;
    for (size_t o = 0; row > 0 && o < s->spec.n_outputs; o++) {
        kp_row_values v;
        KP_TRY(kp_result_row_values(r, o, &v));
        for (size_t i = 0; i < v.n; i++, column++) {
            char text[200], name[200];
            if (column >= COLUMNS) {
                t->values_cut = true;
                break;
            }
            snprintf(name, sizeof name, "%s_%zu", s->names[o], i);
            if (t->cells[0][column] == NULL)
                set_cell(t, 0, column, name);
            value_text(text, sizeof text, r->outputs[o].dtype, &v, i);
            set_cell(t, row, column, text);
        }
    }
    return 0;
}

static int table_write(kp_sink *s, const kp_result_row *r)
{
    struct table *t = s->state;
    if (r->error == KP_ITEM_OK)
        return s->spec.top > 0 ? top_rows(s, t, r) : value_row(s, t, r);
    char text[80];
    int row = next_row(t, r->file);
    snprintf(text, sizeof text, "failed: %s", kp_item_error_name(r->error));
    if (row > 0)
        set_cell(t, row, 1, text);
    return 0;
}

static int table_flush(kp_sink *s)
{
    (void)s;
    return 0;
}

static int width_of(const char *text)
{
    int n = 0;
    for (; text != NULL && *text != '\0'; text++)
        n += ((unsigned char)*text & 0xc0) != 0x80;
    return n;
}

static void print_row(kp_sink *s, const struct table *t, int row, const int *widths)
{
    for (int c = 0; c < t->n_columns; c++) {
        const char *text = t->cells[row][c] != NULL ? t->cells[row][c] : "";
        kp_buf_puts(&s->out.buf, text);
        if (c + 1 < t->n_columns)
            kp_buf_printf(&s->out.buf, "%*s", widths[c] - width_of(text) + 2, "");
    }
    kp_buf_puts(&s->out.buf, "\n");
}

static int table_finish(kp_sink *s)
{
    struct table *t = s->state;
    int widths[COLUMNS] = {0};
    for (int r = 0; r <= t->n_rows; r++) {
        for (int c = 0; c < t->n_columns; c++) {
            int w = width_of(t->cells[r][c]);
            widths[c] = w > widths[c] ? w : widths[c];
        }
    }
    for (int r = 0; r <= t->n_rows; r++)
        print_row(s, t, r, widths);
    if (t->values_cut)
        kp_buf_puts(&s->out.buf, "... not all values are shown, use -o FILE\n");
    if (t->n_more > 0)
        kp_buf_printf(&s->out.buf, "... %llu more rows, use -o FILE\n",
                      (unsigned long long)t->n_more);
    return kp_out_flush(&s->out);
}

static void table_close(kp_sink *s)
{
    struct table *t = s->state;
    kp_top_fini(&t->top);
    for (int r = 0; r <= ROWS; r++) {
        for (int c = 0; c < COLUMNS; c++)
            free(t->cells[r][c]);
    }
}

const kp_sink_writer kp_table_writer = {table_open, table_write, table_flush, table_finish,
                                        table_close};
