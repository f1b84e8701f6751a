/* Drawing a table: widths, wrapping and cutting as the rich library does them. */
#include "runtime/summary_table.h"

/* ---- text: a character takes one cell, two or none ---- */

static size_t char_bytes(const char *s)
{
    size_t n = 1;
    while (((unsigned char)s[n] & 0xC0) == 0x80)
        n++;
    return n;
}

static uint32_t code_point(const char *s)
{
    size_t n = char_bytes(s);
    uint32_t c = (unsigned char)s[0];
    if (n > 1)
        c &= 0x7Fu >> n;
    for (size_t i = 1; i < n; i++)
        c = c << 6 | ((unsigned char)s[i] & 0x3F);
    return c;
}

/* The scripts of East Asia and pictures are wide; marks on the letter before take no room. */
static int char_cells(const char *s)
{
    static const struct {
        uint32_t first, last;
        int cells;
    } ranges[] = {
        {0x0300, 0x036F, 0},   {0x1100, 0x115F, 2},   {0x200B, 0x200F, 0},   {0x2E80, 0x303E, 2},
        {0x3041, 0x3247, 2},   {0x3250, 0xA4C6, 2},   {0xA960, 0xA97C, 2},   {0xAC00, 0xD7A3, 2},
        {0xF900, 0xFAFF, 2},   {0xFE00, 0xFE0F, 0},   {0xFE10, 0xFE19, 2},   {0xFE30, 0xFE6B, 2},
        {0xFF01, 0xFF60, 2},   {0xFFE0, 0xFFE6, 2},   {0x17000, 0x18DF2, 2}, {0x1F300, 0x1F320, 2},
        {0x1F400, 0x1F43E, 2}, {0x1F442, 0x1F4FC, 2}, {0x1F5FB, 0x1F64F, 2}, {0x1F680, 0x1F6C5, 2},
        {0x1F947, 0x1F9FF, 2}, {0x20000, 0x3FFFD, 2}};
    uint32_t c = code_point(s);
    for (size_t i = 0; c >= 0x0300 && i < sizeof ranges / sizeof *ranges; i++)
        if (c >= ranges[i].first && c <= ranges[i].last)
            return ranges[i].cells;
    return 1;
}

static int cells(const char *s, const char *end)
{
    int n = 0;
    for (; s < end; s += char_bytes(s))
        n += char_cells(s);
    return n;
}

/* As much of s to end as fits; *rest: cells that stay empty because a wide one does not. */
static const char *fit(const char *s, const char *end, int width, int *rest)
{
    for (; s < end && char_cells(s) <= width; s += char_bytes(s))
        width -= char_cells(s);
    *rest = width;
    return s;
}

/* Past the word at s, with the spaces before and after it. */
static const char *word_end(const char *s, const char **trimmed)
{
    while (*s == ' ')
        s++;
    while (*s && *s != ' ')
        s++;
    *trimmed = s;
    while (*s == ' ')
        s++;
    return s;
}

/* Where the line that begins at s ends: words are moved to the next line whole. A word that is
 * wider than a line stands alone and is cut when it is drawn. */
static const char *line_end(const char *s, int width)
{
    const char *at = s, *trimmed, *next;
    int used = 0;
    for (; *at; at = next) {
        next = word_end(at, &trimmed);
        if (at != s && cells(at, trimmed) > width - used)
            return at;
        used += cells(at, next);
    }
    return at;
}

static void repeat(kp_buf *out, const char *s, int n)
{
    for (int i = 0; i < n; i++)
        kp_buf_puts(out, s);
}

/* One line of a cell: s to end, cut with an ellipsis or filled with spaces. */
static void draw_line(kp_buf *out, const char *s, const char *end, int width, kp_table_align align)
{
    while (end > s && end[-1] == ' ' && (align != KP_TABLE_LEFT || cells(s, end) > width))
        end--;
    int n = cells(s, end), rest = 0;
    bool cut = n > width;
    if (cut) {
        n = width;
        end = fit(s, end, width - 1, &rest);
    }
    int left = align == KP_TABLE_RIGHT ? width - n : align == KP_TABLE_CENTRE ? (width - n) / 2 : 0;
    repeat(out, " ", left);
    kp_buf_add(out, s, (size_t)(end - s));
    repeat(out, " ", rest);
    if (cut)
        kp_buf_puts(out, "…");
    repeat(out, " ", width - n - left);
}

/* ---- the table ---- */

/* A console of 80 columns cuts what is wider. */
static void end_line(kp_buf *line, kp_buf *out)
{
    int rest = 0;
    if (line->data) {
        const char *end = fit(line->data, line->data + line->len, KP_TABLE_CONSOLE, &rest);
        kp_buf_add(out, line->data, (size_t)(end - line->data));
        if (*end)
            repeat(out, " ", rest);
    }
    kp_buf_puts(out, "\n");
    out->failed = out->failed || line->failed;
    kp_buf_free(line);
}

void kp_table_rule(const kp_table *t, const char *left, const char *fill, const char *cross,
                   const char *right)
{
    kp_buf line = {0};
    for (int i = 0; i < t->n; i++) {
        kp_buf_puts(&line, i == 0 ? left : cross);
        repeat(&line, fill, t->width[i] + 2);
    }
    kp_buf_puts(&line, right);
    end_line(&line, t->out);
}

void kp_table_row(const kp_table *t, const char *const *cell, const char *bar)
{
    const char *rest[KP_TABLE_COLUMNS];
    bool more = true;
    for (int i = 0; i < t->n; i++)
        rest[i] = cell[i];
    for (int first = 1; more || first; first = 0) {
        kp_buf line = {0};
        more = false;
        for (int i = 0; i < t->n; i++) {
            const char *end = line_end(rest[i], t->width[i]);
            kp_buf_printf(&line, "%s ", bar);
            draw_line(&line, rest[i], end, t->width[i], t->align[i]);
            kp_buf_puts(&line, " ");
            rest[i] = end;
            more = more || *end;
        }
        kp_buf_puts(&line, bar);
        end_line(&line, t->out);
    }
}

void kp_table_add(kp_table *t, const char *name, kp_table_align align)
{
    t->header[t->n] = name;
    t->align[t->n++] = align;
}

/* Half to even, as Python's round. */
static int divide_rounded(int a, int b)
{
    int q = a / b, twice = 2 * (a % b);
    return q + (twice > b || (twice == b && q % 2 == 1));
}

/* Keras asks for widths that, with spaces and borders, do not fit its own line: rich takes the
 * excess from the columns in equal parts. */
int kp_table_set_widths(kp_table *t, const double *positions, int line_length)
{
    int current = 0, excess = 0;
    for (int i = 0; i < t->n; i++) {
        t->width[i] = (int)(positions[i] * line_length) - current;
        if (t->width[i] < 4)
            return kp_fail(KP_EUSAGE, "a line of %d columns is too short for the summary",
                           line_length);
        current += t->width[i];
        t->width[i] += 2;
        excess += t->width[i];
    }
    excess -= line_length - (t->n + 1);
    for (int i = 0; i < t->n; i++) {
        int part = divide_rounded(excess, t->n - i);
        t->width[i] -= part + 2;
        excess -= part;
        if (t->width[i] < 1)
            return kp_fail(KP_EUSAGE, "a line of %d columns is too short for the summary",
                           line_length);
    }
    return 0;
}
