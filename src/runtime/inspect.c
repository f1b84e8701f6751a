/* Texts about a model: its summary, and what `kpredict inspect` prints: the graph after each pass,
 * what computes each node, memory. */
#include "runtime/model.h"
#include "runtime/summary.h"

#include <math.h>
#include <stdlib.h>

typedef struct report {
    kp_buf text;
    bool json;
    bool first; /* nothing in the present JSON list yet */
} report;

static void list_next(report *r)
{
    if (r->json)
        kp_buf_puts(&r->text, r->first ? "\n  " : ",\n  ");
    r->first = false;
}

static void json_text(report *r, const char *s)
{
    kp_buf_json_string(&r->text, s != NULL ? s : "", s != NULL ? strlen(s) : 0);
}

/* As Python's json writes what is not finite. */
static void json_number(report *r, const char *key, double x, const char *end)
{
    kp_buf_printf(&r->text, "\"%s\": ", key);
    if (isfinite(x))
        kp_buf_printf(&r->text, "%.9g%s", x, end);
    else
        kp_buf_printf(&r->text, "%s%s", isnan(x) ? "NaN" : x > 0 ? "Infinity" : "-Infinity", end);
}

static void add_graph(report *r, const char *title, const kp_graph *g, int n_changes)
{
    kp_buf graph = {0};
    if (kp_graph_print(g, &graph) != 0 || graph.failed)
        r->text.failed = true;
    list_next(r);
    if (r->json) {
        kp_buf_puts(&r->text, "{\"pass\": ");
        json_text(r, title);
        kp_buf_printf(&r->text, ", \"changes\": %d, \"graph\": ", n_changes);
        json_text(r, graph.data);
        kp_buf_puts(&r->text, "}");
    } else {
        kp_buf_printf(&r->text, "== %s", title);
        if (n_changes >= 0)
            kp_buf_printf(&r->text, ": %d change%s", n_changes, n_changes == 1 ? "" : "s");
        kp_buf_printf(&r->text, "\n%s\n", graph.data != NULL ? graph.data : "");
    }
    kp_buf_free(&graph);
}

/* Passes that changed nothing are named without repeating the graph. */
static void after_pass(void *ctx, const kp_pass *pass, const kp_graph *g, int n_changes)
{
    report *r = ctx;
    if (n_changes > 0) {
        char title[96];
        snprintf(title, sizeof title, "after %s", pass->name);
        add_graph(r, title, g, n_changes);
    } else if (!r->json) {
        kp_buf_printf(&r->text, "== after %s: no change\n\n", pass->name);
    }
}

/* The passes run once more on a copy, watched. */
static int add_passes(kp_model *m, report *r)
{
    kp_graph *copy = NULL;
    r->first = true;
    kp_buf_puts(&r->text, r->json ? "{\"passes\": [" : "");
    add_graph(r, "lowered", m->low.graph, r->json ? 0 : -1);
    int rc = kp_graph_specialise(&copy, m->low.graph, m->low.inputs, m->low.n_inputs);
    if (rc == 0)
        rc = kp_graph_optimise(copy, kp_ref_eval, NULL, after_pass, r);
    kp_graph_free(&copy);
    kp_buf_puts(&r->text, r->json ? "]" : "");
    return rc;
}

static void add_node(report *r, const kp_model *m, const kp_node *n)
{
    const char *by = m->backend->supports(n);
    char shape[KP_SHAPE_TEXT];
    kp_shape_text(n->output->shape, n->output->ndim, shape, sizeof shape);
    list_next(r);
    if (r->json) {
        kp_buf_printf(&r->text, "{\"node\": %d, \"op\": \"%s\", \"name\": ", n->id,
                      kp_op_name(n->op));
        json_text(r, n->name);
        kp_buf_printf(&r->text, ", \"shape\": \"%s\", \"implementation\": ", shape);
        json_text(r, by != NULL ? by : "none");
        kp_buf_puts(&r->text, "}");
    } else {
        kp_buf_printf(&r->text, "%4d  %-14s %-8s %-26s %s\n", n->id, kp_op_name(n->op),
                      by != NULL ? by : "none", shape, n->name != NULL ? n->name : "");
    }
}

static void add_nodes(kp_model *m, report *r)
{
    r->first = true;
    if (r->json)
        kp_buf_puts(&r->text, ",\n \"nodes\": [");
    else
        kp_buf_printf(&r->text, "== what computes each node (backend %s, %d threads)\n",
                      m->backend->name, m->info.threads);
    if (m->n_variants > 0) {
        const kp_graph *g = m->variants[m->n_variants - 1]->graph;
        for (int i = 0; i < g->n_nodes; i++) {
            if (g->nodes[i]->op != KP_OP_CONST && g->nodes[i]->op != KP_OP_INPUT)
                add_node(r, m, g->nodes[i]);
        }
    } else if (!r->json) {
        kp_buf_puts(&r->text, "the model leaves sizes open: compiled when the first array comes\n");
    }
    kp_buf_puts(&r->text, r->json ? "]" : "\n");
}

static int add_memory(kp_model *m, report *r)
{
    kp_exec_info info = {0};
    if (m->n_variants > 0)
        KP_TRY(m->backend->info(m->variants[m->n_variants - 1]->exec, &info));
    if (r->json)
        kp_buf_printf(&r->text,
                      ",\n \"memory\": {\"max_batch\": %lld, \"arena_bytes\": %zu, "
                      "\"packed_bytes\": %zu}",
                      (long long)m->info.max_batch, info.arena_bytes, info.packed_bytes);
    else
        kp_buf_printf(&r->text,
                      "== memory for batches of up to %lld\nworking memory %zu bytes, "
                      "weights in the backend's layout %zu bytes\n\n",
                      (long long)m->info.max_batch, info.arena_bytes, info.packed_bytes);
    return 0;
}

typedef struct stats {
    double min, mean, max;
} stats;

static int weight_stats(const kp_weight *w, stats *s)
{
    int64_t count;
    s->min = s->mean = s->max = NAN;
    if (w->dtype == KP_STRING)
        return 0;
    if (!kp_shape_count(w->shape, w->ndim, &count))
        return kp_fail(KP_EINTERNAL, "%s: its shape has no size", w->where);
    size_t elem = kp_dtype_size(w->dtype);
    double sum = 0;
    for (int64_t i = 0; i < count; i++) {
        double x;
        KP_TRY(
            kp_convert(KP_FLOAT64, &x, w->dtype, (const uint8_t *)w->data + (size_t)i * elem, 1));
        s->min = i == 0 || x < s->min ? x : s->min;
        s->max = i == 0 || x > s->max ? x : s->max;
        sum += x;
    }
    s->mean = sum / (double)count;
    return 0;
}

static int add_weight(report *r, const kp_lowered_variable *v)
{
    stats s;
    char shape[KP_SHAPE_TEXT];
    kp_buf path = {0};
    KP_TRY(weight_stats(&v->weight, &s));
    kp_shape_text(v->weight.shape, v->weight.ndim, shape, sizeof shape);
    kp_buf_printf(&path, "%s/%s%s%s", v->layer->path, v->sub, *v->sub ? "/" : "", v->name);
    list_next(r);
    if (r->json) {
        kp_buf_puts(&r->text, "{\"name\": ");
        json_text(r, path.data);
        kp_buf_printf(&r->text, ", \"shape\": \"%s\", \"dtype\": \"%s\", \"trainable\": %s, ",
                      shape, kp_dtype_name(v->weight.dtype), v->trainable ? "true" : "false");
        json_number(r, "min", s.min, ", ");
        json_number(r, "mean", s.mean, ", ");
        json_number(r, "max", s.max, "}");
    } else {
        kp_buf_printf(&r->text, "%-44s %-20s %-8s min %.6g  mean %.6g  max %.6g\n",
                      path.data ? path.data : "", shape, kp_dtype_name(v->weight.dtype), s.min,
                      s.mean, s.max);
    }
    r->text.failed = r->text.failed || path.failed;
    kp_buf_free(&path);
    return 0;
}

static int add_weights(kp_model *m, report *r)
{
    r->first = true;
    kp_buf_puts(&r->text, r->json ? ",\n \"weights\": [" : "== weights\n");
    for (int i = 0; i < m->low.n_variables; i++)
        if (m->low.variables[i].weight.data)
            KP_TRY(add_weight(r, &m->low.variables[i]));
    kp_buf_puts(&r->text, r->json ? "]" : "\n");
    return 0;
}

int kp_model_inspect(kp_model *m, const kp_inspect_options *opt, char **text)
{
    report r = {.json = opt != NULL && opt->json};
    if (m == NULL || text == NULL)
        return kp_fail(KP_EINVAL, "kp_model_inspect without a model or room for the text");
    *text = NULL;
    int rc = add_passes(m, &r);
    if (rc == 0) {
        add_nodes(m, &r);
        rc = add_memory(m, &r);
    }
    if (rc == 0 && opt != NULL && opt->weights)
        rc = add_weights(m, &r);
    if (r.json)
        kp_buf_puts(&r.text, "}\n");
    if (rc == 0 && r.text.failed)
        rc = kp_fail(KP_ENOMEM, "out of memory while describing the model");
    if (rc != 0) {
        kp_buf_free(&r.text);
        return rc;
    }
    *text = r.text.data;
    return 0;
}

/* Keras' shapes may know less than the graph that runs. */
static int summarise(kp_model *m, const kp_summary_options *opt, kp_buf *out)
{
    kp_lowered low = {0}, twice = {0};
    kp_arena *mem = NULL;
    bool has_twice = false;
    KP_TRY(kp_arena_new(&mem, 0));
    kp_lower_options how = {.keras_shapes = true,
                            .classes = m->plugins.classes,
                            .n_classes = m->plugins.n_classes,
                            .batch = KP_SUMMARY_ROWS};
    int rc = kp_lower(m->keras, mem, &how, &low);
    if (rc != 0) { /* it may take no other number of rows than its own */
        how.batch = m->low.rows;
        rc = kp_lower(m->keras, mem, &how, &low);
    }
    if (rc == 0 && low.rows == KP_SUMMARY_ROWS) {
        how.batch = 2 * KP_SUMMARY_ROWS;
        has_twice = kp_lower(m->keras, mem, &how, &twice) == 0 && twice.n_layers == low.n_layers;
    }
    if (rc == 0)
        rc = kp_summary_text(&low, has_twice ? &twice : NULL, m->keras, opt, out);
    kp_lowered_fini(&twice);
    kp_lowered_fini(&low);
    kp_arena_free(&mem);
    return rc;
}

int kp_model_summary(kp_model *m, const kp_summary_options *opt, char **text)
{
    kp_summary_options options = {.struct_size = sizeof options};
    kp_buf out = {0};
    if (m == NULL || text == NULL)
        return kp_fail(KP_EINVAL, "kp_model_summary without a model or room for the text");
    *text = NULL;
    if (opt != NULL)
        memcpy(&options, opt,
               opt->struct_size < sizeof options ? opt->struct_size : sizeof options);
    int rc = summarise(m, &options, &out);
    if (rc == 0 && out.failed)
        rc = kp_fail(KP_ENOMEM, "out of memory while describing the model");
    if (rc != 0) {
        kp_buf_free(&out);
        return rc;
    }
    *text = out.data;
    return 0;
}
