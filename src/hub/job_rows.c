/* Arrays as blocks of rows for the pipeline: one column for each input of the model. */
#include "hub/job.h"

#include <stdlib.h>

enum { BLOCK_BYTES = 1 << 20, FLIGHT_BYTES = 32 << 20, BLOCKS_MIN = 4, BLOCKS_MAX = 64 };

static int no_memory(void)
{
    return kp_fail(KP_ENOMEM, "no memory for the rows of the input");
}

/* The column for an input's name, or by place; made if there is none. NULL: no memory. */
static job_column *column_for(job_rows *r, const char *name, size_t place)
{
    for (size_t i = 0; i < r->n_columns; i++) {
        const job_column *c = &r->columns[i];
        bool hit = name != NULL && c->name != NULL ? strcmp(name, c->name) == 0
                                                   : name == NULL && c->name == NULL && i == place;
        if (hit)
            return &r->columns[i];
    }
    job_column *columns = realloc(r->columns, (r->n_columns + 1) * sizeof *columns);
    if (columns == NULL)
        return NULL;
    r->columns = columns;
    job_column *c = &columns[r->n_columns];
    memset(c, 0, sizeof *c);
    if (name != NULL && (c->name = strdup(name)) == NULL)
        return NULL;
    r->n_columns++;
    return c;
}

/* Takes the array over, also on failure. */
static int add_array(job_rows *r, const char *name, size_t place, kp_array *a)
{
    job_column *c = column_for(r, name, place);
    kp_array **arrays =
        c != NULL ? realloc(c->arrays, (c->n_arrays + 1) * sizeof(kp_array *)) : NULL;
    if (arrays == NULL) {
        kp_array_close(&a);
        return no_memory();
    }
    c->arrays = arrays;
    c->arrays[c->n_arrays++] = a;
    return 0;
}

/* The arrays of an .npz: with --input NAME= the one of that name or the only one; else one column
 * for each, under its name. */
static int add_npz(job_rows *r, const char *name, const char *path)
{
    kp_array **arrays;
    size_t n;
    KP_TRY(kp_array_open_npz(&arrays, &n, path));
    int status = 0;
    bool taken = false;
    for (size_t i = 0; i < n; i++) {
        const char *own = kp_array_describe(arrays[i])->name;
        bool take = name == NULL || n == 1 || strcmp(own, name) == 0;
        if (status != 0 || !take) {
            kp_array_close(&arrays[i]);
            continue;
        }
        taken = true;
        status = add_array(r, name != NULL ? name : n == 1 ? NULL : own, 0, arrays[i]);
    }
    kp_free(arrays);
    if (status == 0 && !taken)
        return kp_fail(KP_EUSAGE, "the input \"%s\" holds no array named \"%s\"", path, name);
    return status;
}

int job_rows_add(job_rows *r, const char *name, const char *path, kp_input_kind kind, bool header)
{
    kp_array *a;
    if (kind == KP_INPUT_NPZ)
        return add_npz(r, name, path);
    if (kind == KP_INPUT_CSV) {
        r->any_csv = true;
        KP_TRY(kp_array_open_csv(&a, path, header));
    } else {
        KP_TRY(kp_array_open_npy(&a, path));
    }
    return add_array(r, name, 0, a);
}

static int64_t column_total(const job_column *c)
{
    int64_t total = 0;
    for (size_t i = 0; i < c->n_arrays; i++) {
        int64_t n = kp_array_describe(c->arrays[i])->n_rows;
        if (n < 0 || __builtin_add_overflow(total, n, &total))
            return -1;
    }
    return total;
}

static const char *column_name(const job_column *c)
{
    return c->name != NULL ? c->name : "(by place)";
}

int job_rows_settle(job_rows *r)
{
    r->total = -1;
    const job_column *first = NULL;
    for (size_t i = 0; i < r->n_columns; i++) {
        const job_column *c = &r->columns[i];
        int64_t n = column_total(c);
        if (n < 0)
            continue;
        if (first != NULL && n != r->total)
            return kp_fail(KP_EUSAGE,
                           "the inputs are not equally long: \"%s\" has %lld rows, \"%s\" %lld",
                           column_name(first), (long long)r->total, column_name(c), (long long)n);
        first = c;
        r->total = n;
    }
    return 0;
}

static bool same_rows(const kp_array_info *a, const kp_array_info *b)
{
    return a->dtype == b->dtype && a->string_bytes == b->string_bytes && a->ndim == b->ndim &&
           memcmp(a->shape, b->shape, sizeof *a->shape * (size_t)a->ndim) == 0;
}

static void row_tensor(const kp_array_info *info, kp_tensor *t)
{
    *t = (kp_tensor){
        .dtype = info->dtype, .ndim = info->ndim + 1, .string_bytes = info->string_bytes};
    t->shape[0] = 1;
    memcpy(t->shape + 1, info->shape, sizeof *info->shape * (size_t)info->ndim);
}

bool job_rows_example(const job_rows *r, kp_tensor *example)
{
    if (r->n_columns != 1 || r->any_csv)
        return false;
    const job_column *c = &r->columns[0];
    const kp_array_info *first = kp_array_describe(c->arrays[0]);
    for (size_t i = 1; i < c->n_arrays; i++) {
        if (!same_rows(first, kp_array_describe(c->arrays[i])))
            return false;
    }
    row_tensor(first, example);
    return true;
}

/* ---- the model's inputs ---- */

static int input_named(const kp_model_info *m, const char *name)
{
    for (size_t i = 0; i < m->n_inputs; i++) {
        if (strcmp(m->inputs[i].name, name) == 0)
            return (int)i;
    }
    return -1;
}

static void list_inputs(const kp_model_info *m, kp_buf *b)
{
    for (size_t i = 0; i < m->n_inputs; i++)
        kp_buf_printf(b, "%s\"%s\"", i > 0 ? ", " : "", m->inputs[i].name);
}

static int wrong_count(const job_rows *r, const kp_model_info *m)
{
    kp_buf names = {0};
    list_inputs(m, &names);
    int status =
        kp_fail(KP_EUSAGE,
                "the model takes %zu input%s (%s), %zu %s given: name each with "
                "--input NAME=PATH, or put the arrays into one .npz",
                m->n_inputs, m->n_inputs == 1 ? "" : "s", names.data != NULL ? names.data : "",
                r->n_columns, r->n_columns == 1 ? "is" : "are");
    kp_buf_free(&names);
    return status;
}

static int unknown_name(const job_rows *r, const kp_model_info *m)
{
    kp_buf names = {0};
    list_inputs(m, &names);
    const char *bad = "";
    for (size_t i = 0; i < r->n_columns; i++) {
        if (r->columns[i].name != NULL && input_named(m, r->columns[i].name) < 0)
            bad = r->columns[i].name;
    }
    int status = kp_fail(KP_EUSAGE, "the model has no input \"%s\": it has %s", bad,
                         names.data != NULL ? names.data : "none");
    kp_buf_free(&names);
    return status;
}

/* Columns of an .npz whose names the model does not know are taken in order. */
static int order_columns(job_rows *r, const kp_model_info *m)
{
    size_t known = 0;
    for (size_t i = 0; i < r->n_columns; i++)
        known += r->columns[i].name != NULL && input_named(m, r->columns[i].name) >= 0;
    if (known != r->n_columns && r->named)
        return unknown_name(r, m);
    if (known != r->n_columns)
        return 0;
    for (size_t i = 0; i < r->n_columns; i++) {
        /* Each exchange brings one column to its place. */
        for (size_t to; (to = (size_t)input_named(m, r->columns[i].name)) != i;) {
            job_column t = r->columns[i];
            r->columns[i] = r->columns[to];
            r->columns[to] = t;
        }
    }
    return 0;
}

/* An .npz may hold more arrays than the model takes: those of its inputs' names are kept. */
static void drop_strangers(job_rows *r, const kp_model_info *m)
{
    size_t known = 0;
    for (size_t i = 0; i < r->n_columns; i++)
        known += r->columns[i].name != NULL && input_named(m, r->columns[i].name) >= 0;
    if (known != m->n_inputs || r->n_columns <= m->n_inputs)
        return;
    size_t kept = 0;
    for (size_t i = 0; i < r->n_columns; i++) {
        job_column *c = &r->columns[i];
        if (c->name != NULL && input_named(m, c->name) >= 0) {
            job_column t = r->columns[kept];
            r->columns[kept++] = *c;
            *c = t;
        }
    }
    for (size_t i = kept; i < r->n_columns; i++) {
        for (size_t a = 0; a < r->columns[i].n_arrays; a++)
            kp_array_close(&r->columns[i].arrays[a]);
        free(r->columns[i].arrays);
        free(r->columns[i].name);
    }
    r->n_columns = kept;
}

static bool fits(const int64_t *row, int ndim, const kp_port *p)
{
    if (ndim != p->ndim - 1)
        return false;
    for (int d = 0; d < ndim; d++) {
        if (p->shape[d + 1] >= 0 && p->shape[d + 1] != row[d])
            return false;
    }
    return true;
}

/* The shape in which rows of `info` go into port p, as Keras adapts them: a last axis of 1 may be
 * added or dropped; a line of a CSV is cut to the port's sizes. False: they do not fit. */
static bool adapt(const kp_array_info *info, const kp_port *p, bool csv, int64_t *shape, int *ndim)
{
    *ndim = info->ndim;
    memcpy(shape, info->shape, sizeof *shape * KP_MAX_DIMS);
    if (fits(shape, *ndim, p))
        return true;
    if (*ndim == p->ndim - 2 && p->shape[p->ndim - 1] == 1) {
        shape[(*ndim)++] = 1;
        return fits(shape, *ndim, p);
    }
    if (*ndim == p->ndim && shape[*ndim - 1] == 1) {
        (*ndim)--;
        return fits(shape, *ndim, p);
    }
    int64_t n;
    if (!csv || !kp_shape_count(p->shape + 1, p->ndim - 1, &n) || n != info->shape[0])
        return false;
    *ndim = p->ndim - 1;
    memcpy(shape, p->shape + 1, sizeof *shape * (size_t)*ndim);
    return true;
}

static int does_not_fit(const kp_array_info *info, const kp_port *p)
{
    char rows[KP_SHAPE_TEXT], port[KP_SHAPE_TEXT];
    int64_t shape[KP_MAX_DIMS + 1] = {-1};
    memcpy(shape + 1, info->shape, sizeof *shape * (size_t)info->ndim);
    return kp_fail(KP_ESHAPE,
                   "\"%s\": rows of shape %s do not fit the model's input \"%s\", which is %s",
                   info->path, kp_shape_text(shape, info->ndim + 1, rows, sizeof rows), p->name,
                   kp_shape_text(p->shape, p->ndim, port, sizeof port));
}

/* The arrays as what the input takes: numbers, or strings of one width. */
static int settle_type(job_column *c, const kp_port *p)
{
    int32_t widest = 1, width;
    for (size_t i = 0; i < c->n_arrays; i++) {
        if (p->dtype != KP_STRING) {
            KP_TRY(kp_array_as_numbers(c->arrays[i]));
            continue;
        }
        KP_TRY(kp_array_as_text(c->arrays[i], &width));
        widest = width > widest ? width : widest;
    }
    for (size_t i = 0; p->dtype == KP_STRING && i < c->n_arrays; i++)
        KP_TRY(kp_array_set_width(c->arrays[i], widest));
    return 0;
}

static int bind_column(job_column *c, const kp_port *p, bool exact)
{
    KP_TRY(settle_type(c, p));
    for (size_t i = 0; i < c->n_arrays; i++) {
        const kp_array_info *info = kp_array_describe(c->arrays[i]);
        int64_t shape[KP_MAX_DIMS];
        int ndim;
        bool csv = info->n_rows < 0;
        if (info->n_rows == 0 && c->n_arrays > 1)
            continue;
        if (!adapt(info, p, csv, shape, &ndim))
            return does_not_fit(info, p);
        kp_tensor row = {.dtype = exact ? info->dtype : p->dtype,
                         .ndim = ndim + 1,
                         .shape = {1},
                         .string_bytes = info->string_bytes};
        memcpy(row.shape + 1, shape, sizeof *shape * (size_t)ndim);
        bool other = c->row.ndim != 0 &&
                     (c->row.ndim != row.ndim ||
                      memcmp(c->row.shape, row.shape, sizeof row.shape[0] * (size_t)row.ndim) != 0);
        if (other)
            return kp_fail(KP_ESHAPE,
                           "the files for the input \"%s\" have rows of different shapes", p->name);
        c->row = row;
        c->as = exact ? KP_DTYPE_NONE : p->dtype;
        c->row_bytes = kp_array_row_bytes(c->arrays[i], c->as);
        if (c->row_bytes == 0 && c->row.dtype != KP_STRING &&
            kp_array_row_bytes(c->arrays[i], KP_UINT8) != 0)
            return kp_fail(KP_ELIMIT, "a row for the input \"%s\" is larger than memory", p->name);
    }
    return 0;
}

int job_rows_bind(job_rows *r, const kp_model_info *m, bool exact)
{
    drop_strangers(r, m);
    if (r->n_columns != m->n_inputs)
        return wrong_count(r, m);
    KP_TRY(order_columns(r, m));
    for (size_t i = 0; i < r->n_columns; i++) {
        r->columns[i].row = (kp_tensor){0};
        KP_TRY(bind_column(&r->columns[i], &m->inputs[i], exact));
    }
    return job_rows_settle(r);
}

void job_rows_examples(const job_rows *r, kp_tensor *examples)
{
    for (size_t i = 0; i < r->n_columns; i++)
        examples[i] = r->columns[i].row;
}

/* ---- blocks ---- */

void job_rows_set_block(job_rows *r, int64_t most_rows, int64_t group)
{
    size_t row = 1;
    for (size_t i = 0; i < r->n_columns; i++)
        row += r->columns[i].row_bytes;
    int64_t rows = (int64_t)(BLOCK_BYTES / row);
    rows = rows < 1 ? 1 : rows;
    r->block_rows = most_rows > 0 && rows > most_rows ? most_rows : rows;
    /* Rows that depend on their batch: every block but the last is whole batches. */
    if (group > 0)
        r->block_rows = r->block_rows > group ? r->block_rows / group * group : group;
    size_t blocks = FLIGHT_BYTES / ((size_t)r->block_rows * row);
    r->max_blocks = blocks < BLOCKS_MIN ? BLOCKS_MIN : blocks > BLOCKS_MAX ? BLOCKS_MAX : blocks;
}

static void block_free(job_block *b, size_t n)
{
    for (size_t i = 0; b->inputs != NULL && i < n; i++)
        free(b->inputs[i].data);
    free(b->inputs);
    free(b);
}

static job_block *block_new(const job_rows *r)
{
    job_block *b = calloc(1, sizeof *b);
    if (b == NULL || (b->inputs = calloc(r->n_columns, sizeof *b->inputs)) == NULL) {
        free(b);
        return NULL;
    }
    for (size_t i = 0; i < r->n_columns; i++) {
        size_t bytes;
        b->inputs[i] = r->columns[i].row;
        if (kp_mul_size(r->columns[i].row_bytes, (size_t)r->block_rows, &bytes))
            b->inputs[i].data = malloc(bytes + 1);
        if (b->inputs[i].data == NULL) {
            block_free(b, r->n_columns);
            return NULL;
        }
    }
    return b;
}

static int take_block(job_rows *r, job_block **out)
{
    *out = r->spare;
    if (r->spare != NULL) {
        r->spare = r->spare->next;
        return 0;
    }
    if (r->n_blocks == r->max_blocks)
        return KP_EAGAIN;
    *out = block_new(r);
    if (*out == NULL)
        return no_memory();
    r->n_blocks++;
    return 0;
}

void job_rows_give_back(job_rows *r, job_block *b)
{
    b->next = r->spare;
    r->spare = b;
}

/* Rows of one column, over the ends of its files. KP_EEND with *n 0. */
static int read_column(job_column *c, uint8_t *dst, int64_t most, int64_t *n,
                       kp_row_problem *problem)
{
    *n = 0;
    problem->error = KP_ITEM_OK;
    while (*n < most && problem->error == KP_ITEM_OK && c->at < c->n_arrays) {
        int64_t got = 0;
        int status = kp_array_read(c->arrays[c->at], c->as, dst + (size_t)*n * c->row_bytes,
                                   most - *n, &got, problem);
        if (status == KP_EEND)
            c->at++;
        else
            KP_TRY(status);
        *n += got;
    }
    return *n == 0 && problem->error == KP_ITEM_OK ? KP_EEND : 0;
}

static int ended_early(const job_rows *r, size_t i)
{
    return kp_fail(KP_EUSAGE,
                   "the inputs are not equally long: \"%s\" has fewer rows than the others",
                   column_name(&r->columns[i]));
}

/* One row of every column; a problem in any of them is the row's. */
static int read_one(job_rows *r, job_block *b, int64_t at, kp_row_problem *problem)
{
    size_t ended = 0;
    problem->error = KP_ITEM_OK;
    for (size_t i = 0; i < r->n_columns; i++) {
        kp_row_problem own;
        int64_t n;
        job_column *c = &r->columns[i];
        int status =
            read_column(c, (uint8_t *)b->inputs[i].data + (size_t)at * c->row_bytes, 1, &n, &own);
        if (status == KP_EEND && i == ended) {
            ended++;
            continue;
        }
        if (status == KP_EEND || ended > 0)
            return ended_early(r, ended > 0 ? 0 : i);
        KP_TRY(status);
        if (own.error != KP_ITEM_OK)
            *problem = own;
    }
    return ended > 0 ? KP_EEND : 0;
}

static int fill_row_by_row(job_rows *r, job_block *b, int64_t most, kp_row_problem *problem)
{
    for (b->n_rows = 0; b->n_rows < most; b->n_rows++) {
        int status = read_one(r, b, b->n_rows, problem);
        if (status == KP_EEND && b->n_rows > 0)
            return 0;
        KP_TRY(status);
        if (problem->error != KP_ITEM_OK)
            return 0;
    }
    return 0;
}

static int fill_block(job_rows *r, job_block *b, int64_t most, kp_row_problem *problem)
{
    problem->error = KP_ITEM_OK;
    if (r->n_columns > 1 && r->any_csv)
        return fill_row_by_row(r, b, most, problem);
    KP_TRY(read_column(&r->columns[0], b->inputs[0].data, most, &b->n_rows, problem));
    for (size_t i = 1; i < r->n_columns; i++) {
        int64_t n;
        kp_row_problem none;
        int status = read_column(&r->columns[i], b->inputs[i].data, b->n_rows, &n, &none);
        if (status == KP_EEND || (status == 0 && n < b->n_rows))
            return ended_early(r, i);
        KP_TRY(status);
    }
    return 0;
}

int job_rows_next(job_rows *r, int64_t most, job_block **block, kp_row_problem *problem)
{
    job_block *b;
    *block = NULL;
    KP_TRY(take_block(r, &b));
    int status = fill_block(r, b, most < r->block_rows ? most : r->block_rows, problem);
    if (status != 0 || b->n_rows == 0) {
        job_rows_give_back(r, b);
        return status;
    }
    for (size_t i = 0; i < r->n_columns; i++) {
        b->inputs[i].shape[0] = b->n_rows;
        b->inputs[i].size_bytes = (size_t)b->n_rows * r->columns[i].row_bytes;
    }
    *block = b;
    return 0;
}

int job_rows_skip(job_rows *r, uint64_t n)
{
    for (size_t i = 0; i < r->n_columns; i++) {
        job_column *c = &r->columns[i];
        for (uint64_t left = n; left > 0 && c->at < c->n_arrays;) {
            uint64_t skipped;
            KP_TRY(kp_array_skip(c->arrays[c->at], left, &skipped));
            left -= skipped;
            if (left > 0)
                c->at++;
        }
    }
    return 0;
}

void job_rows_free(job_rows *r)
{
    while (r->spare != NULL) {
        job_block *b = r->spare;
        r->spare = b->next;
        block_free(b, r->n_columns);
    }
    for (size_t i = 0; i < r->n_columns; i++) {
        for (size_t a = 0; a < r->columns[i].n_arrays; a++)
            kp_array_close(&r->columns[i].arrays[a]);
        free(r->columns[i].arrays);
        free(r->columns[i].name);
    }
    free(r->columns);
    memset(r, 0, sizeof *r);
}
