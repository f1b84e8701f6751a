/*
 * A whole file, as a user would give it, through archive, JSON, HDF5, lowering, passes, both
 * backends and a prediction. A file whose weights do not fit its text is tried again with weights
 * made up to fit, so that a changed text still goes the whole way.
 *
 * What must hold: a graph that is not refused verifies; a model that opens predicts, or says why
 * not; both backends give the same numbers.
 */
#include "backend/backend.h"
#include "lower/lower.h"

#include <math.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size);
int __real_kp_keras_weight(kp_keras *k, const kp_layer *layer, const char *sub, int index,
                           const char *name, int ndim, const int64_t *shape, kp_weight *out);
int __wrap_kp_keras_weight(kp_keras *k, const kp_layer *layer, const char *sub, int index,
                           const char *name, int ndim, const int64_t *shape, kp_weight *out);
int __real_kp_keras_weight_count(kp_keras *k, const kp_layer *layer, const char *sub);
int __wrap_kp_keras_weight_count(kp_keras *k, const kp_layer *layer, const char *sub);
int __real_kp_keras_check_unused(kp_keras *k);
int __wrap_kp_keras_check_unused(kp_keras *k);

enum { WEIGHT_MAX = 1 << 20, ROWS = 2, OPEN_SIZE = 6, PORTS_MAX = 16, VALUE_MAX = 1 << 20 };
static const double FLOPS_MAX = 2e7;

static bool made_up; /* weights that the file lacks are made up */
static uint8_t room[2 * WEIGHT_MAX];

/* ---- weights ---- */

/* Unaligned on purpose: files promise no alignment. */
int __wrap_kp_keras_weight(kp_keras *k, const kp_layer *layer, const char *sub, int index,
                           const char *name, int ndim, const int64_t *shape, kp_weight *out)
{
    int status = __real_kp_keras_weight(k, layer, sub, index, name, ndim, shape, out);
    if (status == 0 || !made_up)
        return status;
    *out = (kp_weight){.dtype = KP_FLOAT32, .ndim = ndim < 0 ? 0 : ndim, .where = name};
    for (int i = 0; i < ndim; i++)
        out->shape[i] = shape[i] < 0 ? 3 : shape[i];
    if (!kp_shape_bytes(out->shape, out->ndim, KP_FLOAT32, &out->size_bytes) ||
        out->size_bytes > WEIGHT_MAX)
        return kp_fail(KP_EMODEL, "layer \"%s\": too large for this test", layer->path);
    out->data = room + 1 + 4 * (index & 15);
    return 0;
}

int __wrap_kp_keras_weight_count(kp_keras *k, const kp_layer *layer, const char *sub)
{
    int n = __real_kp_keras_weight_count(k, layer, sub);
    return n == 0 && made_up ? 2 : n;
}

int __wrap_kp_keras_check_unused(kp_keras *k)
{
    return made_up ? 0 : __real_kp_keras_check_unused(k);
}

static void fill_room(void)
{
    static bool done;
    for (size_t i = 1; !done && i + sizeof(float) <= sizeof room; i += sizeof(float)) {
        float v = (float)(i / sizeof v * 7919 % 17) * 0.0625f - 0.5f;
        memcpy(room + i, &v, sizeof v);
    }
    done = true;
}

/* ---- what must hold ---- */

static void must(int status, const char *what)
{
    if (status == 0 || status == KP_ENOMEM || status == KP_ELIMIT)
        return;
    fprintf(stderr, "%s: %d: %s\n", what, status, kp_errmsg());
    abort();
}

/* Small enough to be run here: numbers of operations and the largest value. */
static bool is_small(const kp_graph *g)
{
    double flops = 0;
    for (int i = 0; i < g->n_nodes; i++) {
        size_t bytes;
        flops += kp_node_flops(g->nodes[i]);
        if (!kp_value_bytes(g->nodes[i]->output, ROWS, &bytes) || bytes > VALUE_MAX)
            return false;
    }
    return flops < FLOPS_MAX && g->n_nodes < 2000;
}

/* Lowers and specialises: true if the model is one that can be run here. */
static bool lowers(const char *path)
{
    kp_keras *k;
    kp_lowered l;
    kp_arena *mem;
    kp_graph *g = NULL;
    kp_port ports[PORTS_MAX];
    bool small = false;
    if (kp_keras_open(&k, path, NULL) != 0)
        return false;
    if (kp_arena_new(&mem, 256 << 20) != 0)
        abort();
    if (kp_lower(k, mem, NULL, &l) == 0) {
        must(kp_graph_verify(l.graph), "the graph after lowering");
        for (int i = 0; i < l.n_inputs && i < PORTS_MAX; i++) {
            ports[i] = l.inputs[i];
            for (int d = 1; d < ports[i].ndim; d++)
                ports[i].shape[d] = ports[i].shape[d] < 0 ? OPEN_SIZE : ports[i].shape[d];
        }
        if (l.n_inputs <= PORTS_MAX && l.n_outputs <= PORTS_MAX &&
            kp_graph_specialise(&g, l.graph, ports, l.n_inputs) == 0) {
            must(kp_graph_verify(g), "the graph with sizes");
            small = is_small(g);
            kp_graph_free(&g);
        }
        kp_lowered_fini(&l);
    }
    kp_arena_free(&mem);
    kp_keras_close(&k);
    return small;
}

/* ---- running ---- */

typedef struct result {
    int status;
    size_t n;
    kp_tensor out[PORTS_MAX];
} result;

static int make_input(const kp_port *port, size_t index, kp_tensor *t)
{
    *t = (kp_tensor){.dtype = KP_FLOAT32, .ndim = port->ndim};
    for (int d = 0; d < port->ndim; d++)
        t->shape[d] = d == 0 ? ROWS : port->shape[d] < 0 ? OPEN_SIZE : port->shape[d];
    int64_t n;
    if (!kp_shape_bytes(t->shape, t->ndim, t->dtype, &t->size_bytes) ||
        !kp_shape_count(t->shape, t->ndim, &n) || t->size_bytes > 4 * VALUE_MAX)
        return KP_ELIMIT;
    float *p = t->data = malloc(t->size_bytes + 1);
    for (int64_t i = 0; p != NULL && i < n; i++)
        p[i] = (float)((i * 31 + (int64_t)index) % 23) * 0.25f - 1;
    return p != NULL ? 0 : KP_ENOMEM;
}

static void ask_texts(kp_model *m)
{
    char *text = NULL;
    if (kp_model_summary(m, NULL, &text) == 0)
        kp_free(text);
}

static void run(const char *path, const char *backend, result *r)
{
    kp_model_options opt;
    kp_model *m;
    kp_model_info info;
    kp_tensor in[PORTS_MAX] = {0};
    kp_model_options_defaults(&opt);
    opt.backend = backend;
    opt.threads = 1;
    opt.max_batch = ROWS;
    *r = (result){.status = kp_model_open(&m, path, &opt)};
    if (r->status != 0)
        return;
    kp_model_describe(m, &info);
    ask_texts(m);
    r->n = info.n_outputs;
    for (size_t i = 0; r->status == 0 && i < info.n_inputs; i++)
        r->status = make_input(&info.inputs[i], i, &in[i]);
    if (r->status == 0)
        r->status = kp_model_predict(m, in, info.n_inputs, r->out, info.n_outputs);
    for (size_t i = 0; i < info.n_inputs; i++)
        free(in[i].data);
    kp_model_close(&m);
}

static float largest(const float *x, size_t n)
{
    float most = 0;
    for (size_t i = 0; i < n; i++) {
        if (!isfinite(x[i]))
            return INFINITY;
        most = fabsf(x[i]) > most ? fabsf(x[i]) : most;
    }
    return most;
}

/* Values that have grown out of all measure differ for good reasons. */
static void compare(const result *a, const result *b)
{
    if (a->status != 0 || b->status != 0)
        return;
    for (size_t o = 0; o < a->n; o++) {
        const kp_tensor *x = &a->out[o], *y = &b->out[o];
        if (x->ndim != y->ndim || x->dtype != y->dtype || x->size_bytes != y->size_bytes ||
            memcmp(x->shape, y->shape, (size_t)x->ndim * sizeof *x->shape) != 0) {
            fprintf(stderr, "output %zu: the backends disagree on its form\n", o);
            abort();
        }
        size_t n = x->size_bytes / sizeof(float);
        if (x->dtype != KP_FLOAT32 || largest(x->data, n) > 1e4f || largest(y->data, n) > 1e4f)
            continue;
        float within = 1e-3f + 1e-2f * largest(x->data, n);
        for (size_t i = 0; i < n; i++) {
            float p = ((const float *)x->data)[i], q = ((const float *)y->data)[i];
            if (fabsf(p - q) <= within)
                continue;
            fprintf(stderr, "output %zu, value %zu: ref %g, cpu %g\n", o, i, (double)p, (double)q);
            if (getenv("KP_FUZZ_COMPARE") != NULL)
                abort();
        }
    }
}

static void release(result *r)
{
    for (size_t o = 0; o < r->n; o++)
        kp_tensor_release(&r->out[o]);
}

static bool try_file(const char *path, bool both)
{
    static result ref, cpu;
    if (!lowers(path))
        return false;
    run(path, "ref", &ref);
    /* Its kernels are compiled for the shapes, which takes long: for a part of the inputs. */
    if (both) {
        run(path, "cpu", &cpu);
        compare(&ref, &cpu);
        release(&cpu);
    }
    release(&ref);
    return true;
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
    char path[64];
    int fd = memfd_create("fuzz", MFD_CLOEXEC);
    if (fd < 0 || write(fd, bytes, size) != (ssize_t)size)
        abort();
    fill_room();
    snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    made_up = false;
    bool both = size > 0 && bytes[size / 2] % 4 == 0;
    if (!try_file(path, both)) {
        made_up = true;
        try_file(path, both);
    }
    close(fd);
    return 0;
}
