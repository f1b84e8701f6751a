/*
 * Keras' model.summary(), which draws a table with the rich library: its column widths, its
 * wrapping of words and its ellipses are followed here, because scripts compare the text.
 */
#include "runtime/summary.h"
#include "runtime/optimizer.h"
#include "runtime/summary_table.h"

enum { TERMINAL_MARGIN = 4, LINE_MAX_LENGTH = 4096 };

typedef struct view {
    const kp_lowered *l, *twice;
    const kp_layer *root;
    const kp_summary_options *opt;
    bool sequential; /* three columns instead of four */
    kp_table table;
} view;

static int make_table(view *v, kp_buf *out)
{
    static const double three[] = {0.45, 0.80, 1.0}, four[] = {0.3, 0.56, 0.74, 1.0};
    kp_table *t = &v->table;
    double positions[KP_TABLE_COLUMNS];
    int length = v->sequential ? 88 : 108;
    t->out = out;
    kp_table_add(t, "Layer (type)", KP_TABLE_LEFT);
    kp_table_add(t, "Output Shape", KP_TABLE_LEFT);
    kp_table_add(t, "Param #", KP_TABLE_RIGHT);
    if (!v->sequential)
        kp_table_add(t, "Connected to", KP_TABLE_LEFT);
    for (int i = 0; i < t->n; i++)
        positions[i] = (v->sequential ? three : four)[i] * (v->opt->show_trainable ? 0.90 : 1.0);
    if (v->opt->show_trainable) {
        length += 12;
        positions[t->n] = 1.0;
        kp_table_add(t, "Trainable", KP_TABLE_CENTRE);
    }
    if (length > KP_TABLE_CONSOLE - TERMINAL_MARGIN)
        length = KP_TABLE_CONSOLE - TERMINAL_MARGIN;
    if (v->opt->line_length > LINE_MAX_LENGTH || v->opt->line_length < 0)
        return kp_fail(KP_EUSAGE, "line length %d: give 1 to %d", v->opt->line_length,
                       LINE_MAX_LENGTH);
    return kp_table_set_widths(t, positions,
                               v->opt->line_length > 0 ? v->opt->line_length : length);
}

/* ---- what stands in the cells ---- */

static const kp_lowered_layer *info_of(const view *v, const kp_layer *layer)
{
    static const kp_lowered_layer none = {0};
    for (int i = 0; i < v->l->n_layers; i++)
        if (v->l->layers[i].layer == layer)
            return &v->l->layers[i];
    return &none;
}

static void put_commas(kp_buf *out, int64_t n)
{
    char digits[32];
    int len = snprintf(digits, sizeof digits, "%lld", (long long)n);
    for (int i = 0; i < len; i++) {
        if (i > 0 && (len - i) % 3 == 0)
            kp_buf_puts(out, ",");
        kp_buf_add(out, &digits[i], 1);
    }
}

/* The size of an axis of output i, as Keras knows it: -1 where it follows the number of rows. */
static int64_t known_size(const view *v, const kp_lowered_layer *info, int i, int axis)
{
    int64_t size = info->outputs[i]->shape[axis];
    if (!v->twice)
        return size;
    const kp_lowered_layer *other = &v->twice->layers[info - v->l->layers];
    bool alike = i < other->n_outputs && axis < other->outputs[i]->ndim;
    return alike && other->outputs[i]->shape[axis] != size ? -1 : size;
}

static void put_shape(const view *v, kp_buf *out, const kp_lowered_layer *info, int i)
{
    const kp_value *value = info->outputs[i];
    kp_buf_puts(out, "(");
    for (int axis = 0; axis < value->ndim; axis++) {
        int64_t size = known_size(v, info, i, axis);
        if (axis == 0 && value->shape[0] < 0 && info->fixed_batch > 0)
            size = info->fixed_batch;
        kp_buf_puts(out, axis > 0 ? ", " : "");
        if (size < 0)
            kp_buf_puts(out, "None");
        else
            kp_buf_printf(out, "%lld", (long long)size);
    }
    kp_buf_puts(out, ")");
}

static void put_shapes(const view *v, kp_buf *out, const kp_layer *layer)
{
    const kp_lowered_layer *info = info_of(v, layer);
    if (info->n_outputs == 0)
        kp_buf_puts(out, "?");
    if (info->n_outputs > 1)
        kp_buf_puts(out, "[");
    for (int i = 0; i < info->n_outputs; i++) {
        kp_buf_puts(out, i > 0 ? ", " : "");
        put_shape(v, out, info, i);
    }
    if (info->n_outputs > 1)
        kp_buf_puts(out, "]");
}

/* Calls of the same layer before this one. */
static int place_of(const kp_layers *m, int call)
{
    int n = 0;
    for (int i = 0; i < call; i++)
        n += m->calls[i].layer == m->calls[call].layer;
    return n;
}

static void put_refs(const kp_layers *m, const kp_arg *a, kp_buf *out)
{
    if (a->kind == KP_ARG_REF)
        kp_buf_printf(out, "%s%s[%d][%d]", out->len > 0 ? ", " : "",
                      m->calls[a->ref.call].layer->name, place_of(m, a->ref.call), a->ref.tensor);
    if (a->kind == KP_ARG_LIST || a->kind == KP_ARG_DICT)
        for (int i = kp_arg_next(a, -1); i < a->n_items; i = kp_arg_next(a, i))
            put_refs(m, &a->items[i], out);
}

/* Where the layer's inputs come from, over all its calls in the top model. */
static void put_connections(const view *v, kp_buf *out, const kp_layer *layer)
{
    const kp_layers *m = v->root->model;
    for (int i = 0; i < m->n_calls; i++) {
        if (m->calls[i].layer != layer)
            continue;
        put_refs(m, &m->calls[i].args, out);
        put_refs(m, &m->calls[i].kwargs, out);
    }
    if (out->len == 0)
        kp_buf_puts(out, "-");
}

/* ---- the rows ---- */

/* Keras does not restore the flag of a Sequential, only those of its layers. */
static bool is_trainable(const kp_layer *layer)
{
    return layer->trainable || (layer->model && layer->model->sequential);
}

/* As Python calls it: without its package, and not as Keras exports it. */
static const char *class_of(const kp_layer *layer)
{
    const char *package = strrchr(layer->class_name, '>');
    if (strcmp(layer->class_name, "GroupQueryAttention") == 0)
        return "GroupedQueryAttention";
    return package ? package + 1 : layer->class_name;
}

static int add_row(const view *v, const kp_layer *layer, int level)
{
    const kp_lowered_layer *info = info_of(v, layer);
    kp_buf cell[KP_TABLE_COLUMNS] = {{0}};
    const char *text[KP_TABLE_COLUMNS];
    int n = 3, failed = 0;
    for (int i = 0; i < level; i++)
        kp_buf_puts(&cell[0], "   ");
    kp_buf_printf(&cell[0], "%s%s (%s)", level > 0 ? "└ " : "", layer->name, class_of(layer));
    put_shapes(v, &cell[1], layer);
    put_commas(&cell[2], info->n_params);
    if (!v->sequential)
        put_connections(v, &cell[n++], layer);
    if (v->opt->show_trainable)
        kp_buf_puts(&cell[n++], info->n_params == 0 ? "-" : is_trainable(layer) ? "Y" : "N");
    for (int i = 0; i < n; i++) {
        text[i] = cell[i].data ? cell[i].data : "";
        failed |= cell[i].failed;
    }
    if (!failed)
        kp_table_row(&v->table, text, "│");
    for (int i = 0; i < n; i++)
        kp_buf_free(&cell[i]);
    return failed ? kp_fail(KP_ENOMEM, "out of memory") : 0;
}

/* A Sequential does not list its InputLayer; a nested model lists no operations. */
static bool is_listed(const kp_layers *m, const kp_layer *layer, int level)
{
    if (m->sequential && strcmp(layer->class_name, "InputLayer") == 0)
        return false;
    return level == 0 || !layer->is_operation;
}

static int add_rows(const view *v, const kp_layers *m, int level, int *n_rows)
{
    for (int i = 0; i < m->n_layers; i++) {
        const kp_layer *layer = m->layers[i];
        if (!is_listed(m, layer, level))
            continue;
        if ((*n_rows)++ > 0)
            kp_table_rule(&v->table, "├", "─", "┼", "┤");
        KP_TRY(add_row(v, layer, level));
        if (v->opt->expand_nested && layer->model)
            KP_TRY(add_rows(v, layer->model, level + 1, n_rows));
    }
    return 0;
}

/* ---- is it a chain? ---- */

static int count_refs(const kp_arg *a)
{
    int n = a->kind == KP_ARG_REF;
    for (int i = 0; (a->kind == KP_ARG_LIST || a->kind == KP_ARG_DICT) && i < a->n_items; i++)
        n += count_refs(&a->items[i]);
    return n;
}

static void deepen(const kp_arg *a, int depth, int *depths)
{
    if (a->kind == KP_ARG_REF && depths[a->ref.call] < depth)
        depths[a->ref.call] = depth;
    for (int i = 0; (a->kind == KP_ARG_LIST || a->kind == KP_ARG_DICT) && i < a->n_items; i++)
        deepen(&a->items[i], depth, depths);
}

/* Keras leaves out the fourth column when no call has two inputs, no two calls are equally far
 * from the outputs, and no layer is called twice. */
static int find_chain(const kp_layers *m, kp_arena *mem, bool *chain)
{
    int *depths = kp_arena_array(mem, (size_t)m->n_calls + 1, sizeof *depths);
    bool *seen = kp_arena_array(mem, (size_t)m->n_calls + 1, sizeof *seen);
    if (!depths || !seen)
        return KP_ENOMEM;
    *chain = true;
    for (int i = m->n_calls - 1; i >= 0; i--) {
        const kp_call *c = &m->calls[i];
        if (count_refs(&c->args) + count_refs(&c->kwargs) > 1 || place_of(m, i) > 0 ||
            seen[depths[i]])
            *chain = false;
        if (!*chain)
            return 0;
        seen[depths[i]] = true;
        deepen(&c->args, depths[i] + 1, depths);
        deepen(&c->kwargs, depths[i] + 1, depths);
    }
    return 0;
}

/* ---- totals ---- */

static double count_flops(const view *v)
{
    double flops = 0;
    for (int i = 0; i < v->l->graph->n_nodes; i++)
        flops += kp_node_flops(v->l->graph->nodes[i]);
    return flops;
}

static void put_total(kp_buf *out, const char *what, int64_t n, double bytes)
{
    static const char *const units[] = {"B", "KB", "MB", "GB", "TB", "PB"};
    int unit = 0;
    for (; unit < 5 && bytes / 1024 >= 1; unit++)
        bytes /= 1024;
    kp_buf_printf(out, " %s: ", what);
    put_commas(out, n);
    kp_buf_printf(out, " (%.2f %s)\n", bytes, units[unit]);
}

static int put_totals(const view *v, kp_keras *k, kp_buf *out)
{
    const kp_lowered_layer *t = &v->l->total;
    kp_optimizer_size o;
    KP_TRY(kp_optimizer_measure(v->l, k, &o));
    put_total(out, "Total params", t->n_params + o.n_params, (double)t->param_bytes + o.bytes);
    put_total(out, "Trainable params", t->n_trainable, (double)t->trainable_bytes);
    put_total(out, "Non-trainable params", t->n_params - t->n_trainable,
              (double)(t->param_bytes - t->trainable_bytes));
    if (o.is_built)
        put_total(out, "Optimizer params", o.n_params, o.bytes);
    if (!v->opt->cost)
        return 0;
    double flops = count_flops(v);
    kp_buf_puts(out, " FLOPs for one row: ");
    put_commas(out, (int64_t)flops);
    kp_buf_printf(out, " (%.3f G)\n", flops / 1e9);
    return 0;
}

/* ---- as JSON ---- */

static void put_json_string(kp_buf *out, const char *s)
{
    kp_buf_json_string(out, s, strlen(s));
}

static void put_json_layer(const view *v, kp_buf *out, const kp_lowered_layer *info)
{
    double flops = 0;
    kp_buf_puts(out, "{\"name\":");
    put_json_string(out, info->layer->path);
    kp_buf_puts(out, ",\"class\":");
    put_json_string(out, info->layer->class_name);
    kp_buf_puts(out, ",\"output_shapes\":[");
    for (int i = 0; i < info->n_outputs; i++) {
        kp_buf_puts(out, i > 0 ? ",[" : "[");
        for (int a = 0; a < info->outputs[i]->ndim; a++) {
            int64_t size = known_size(v, info, i, a);
            kp_buf_puts(out, a > 0 ? "," : "");
            if (size < 0)
                kp_buf_puts(out, "null");
            else
                kp_buf_printf(out, "%lld", (long long)size);
        }
        kp_buf_puts(out, "]");
    }
    kp_buf_printf(out, "],\"params\":%lld,\"trainable_params\":%lld", (long long)info->n_params,
                  (long long)info->n_trainable);
    for (int i = 0; i < info->n_nodes && i + info->first_node < v->l->graph->n_nodes; i++)
        flops += kp_node_flops(v->l->graph->nodes[i + info->first_node]);
    if (v->opt->cost)
        kp_buf_printf(out, ",\"flops\":%.0f", flops);
    kp_buf_puts(out, "}");
}

static void put_json(const view *v, kp_buf *out)
{
    const kp_lowered_layer *t = &v->l->total;
    bool first = true;
    kp_buf_puts(out, "{\"name\":");
    put_json_string(out, v->root->name);
    kp_buf_puts(out, ",\"class\":");
    put_json_string(out, v->root->class_name);
    kp_buf_puts(out, ",\"layers\":[");
    for (int i = 0; i < v->l->n_layers; i++) {
        if (v->l->layers[i].depth > 0 && !v->opt->expand_nested)
            continue;
        kp_buf_puts(out, first ? "" : ",");
        put_json_layer(v, out, &v->l->layers[i]);
        first = false;
    }
    kp_buf_printf(out, "],\"params\":%lld,\"trainable_params\":%lld,\"bytes\":%.0f",
                  (long long)t->n_params, (long long)t->n_trainable, (double)t->param_bytes);
    if (v->opt->cost)
        kp_buf_printf(out, ",\"flops\":%.0f", count_flops(v));
    kp_buf_puts(out, "}\n");
}

/* ---- all of it ---- */

static int put_text(view *v, kp_keras *k, kp_arena *mem, kp_buf *out)
{
    int n_rows = 0;
    v->sequential = v->root->model->sequential;
    if (!v->sequential)
        KP_TRY(find_chain(v->root->model, mem, &v->sequential));
    KP_TRY(make_table(v, out));
    kp_buf_printf(out, "Model: \"%s\"\n", v->root->name);
    kp_table_rule(&v->table, "┏", "━", "┳", "┓");
    kp_table_row(&v->table, v->table.header, "┃");
    kp_table_rule(&v->table, "┡", "━", "╇", "┩");
    KP_TRY(add_rows(v, v->root->model, 0, &n_rows));
    kp_table_rule(&v->table, "└", "─", "┴", "┘");
    return put_totals(v, k, out);
}

int kp_summary_text(const kp_lowered *l, const kp_lowered *twice, kp_keras *k,
                    const kp_summary_options *opt, kp_buf *out)
{
    view v = {.l = l, .twice = twice, .root = kp_keras_root(k), .opt = opt};
    kp_arena *mem = NULL;
    int status = 0;
    KP_TRY(kp_arena_new(&mem, 0));
    if (opt->json)
        put_json(&v, out);
    else
        status = put_text(&v, k, mem, out);
    kp_arena_free(&mem);
    if (status == 0 && out->failed)
        status = kp_fail(KP_ENOMEM, "out of memory");
    return status;
}
