/* Opening, describing and closing a pipeline. */
#include "hub/hub.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>

extern char **environ;

void kp_pipeline_options_defaults(kp_pipeline_options *opt)
{
    *opt = (kp_pipeline_options){.struct_size = sizeof *opt, .item_timeout_s = 30};
}

static void copy_options(kp_pipeline_options *to, const kp_pipeline_options *from)
{
    kp_pipeline_options_defaults(to);
    if (from == NULL)
        return;
    /* A program built against an older header knows fewer fields. */
    size_t known = from->struct_size < sizeof *to ? from->struct_size : sizeof *to;
    memcpy(to, from, known);
    to->struct_size = sizeof *to;
}

/* ---- environments ---- */

static bool starts_with(const char *s, const char *prefix)
{
    return strncmp(s, prefix, strlen(prefix)) == 0;
}

/* Variables of ours that a worker needs: where libraries are, how sanitizers behave. */
static int worker_env(kp_pipeline *p)
{
    static const char *const wanted[] = {
        "LD_LIBRARY_PATH=", "ASAN_OPTIONS=", "UBSAN_OPTIONS=", "TSAN_OPTIONS=", "LSAN_OPTIONS="};
    enum { N = sizeof wanted / sizeof wanted[0] };
    p->worker_env = kp_arena_array(p->mem, N + 1, sizeof *p->worker_env);
    size_t n = 0;
    for (char **e = environ; p->worker_env != NULL && e != NULL && *e != NULL; e++)
        for (size_t i = 0; i < N; i++)
            if (n < N && starts_with(*e, wanted[i]) &&
                (p->worker_env[n++] = kp_arena_strdup(p->mem, *e)) == NULL)
                return KP_ENOMEM;
    return p->worker_env != NULL ? 0 : KP_ENOMEM;
}

/* The engine's threads must not spin on cores that the workers need: that costs a third of the
 * throughput. Whoever sets these variables has decided otherwise. */
static int device_env(kp_pipeline *p)
{
    static const char *const passive[] = {"OMP_WAIT_POLICY=passive", "GOMP_SPINCOUNT=0"};
    size_t n = 0;
    bool set[2] = {false, false};
    for (char **e = environ; e != NULL && *e != NULL; e++, n++)
        for (int i = 0; i < 2; i++)
            set[i] |=
                strncmp(*e, passive[i], (size_t)(strchr(passive[i], '=') - passive[i] + 1)) == 0;
    char **env = kp_arena_array(p->mem, n + 3, sizeof *env);
    if (env == NULL)
        return KP_ENOMEM;
    for (size_t i = 0; i < n; i++)
        if ((env[i] = kp_arena_strdup(p->mem, environ[i])) == NULL)
            return KP_ENOMEM;
    for (int i = 0; i < 2; i++)
        if (p->n_workers > 0 && !set[i] && (env[n++] = kp_arena_strdup(p->mem, passive[i])) == NULL)
            return KP_ENOMEM;
    p->device_env = env;
    return 0;
}

/* ---- open ---- */

static int init_sync(kp_pipeline *p)
{
    pthread_condattr_t attr;
    int err = pthread_condattr_init(&attr);
    if (err != 0)
        return kp_fail_errno(KP_ENOMEM, err, "could not prepare a pipeline");
    pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    pthread_mutex_init(&p->lock, NULL);
    pthread_cond_init(&p->opened, &attr);
    pthread_cond_init(&p->room, &attr);
    pthread_cond_init(&p->results, &attr);
    pthread_condattr_destroy(&attr);
    return 0;
}

static void init_tables(kp_pipeline *p)
{
    p->epoll = p->bell = -1;
    p->free = p->incoming = p->queued = p->retry = p->ready = p->done = KP_LIST_EMPTY;
    p->slots_region = p->cells_region = KP_REGION_NONE;
    p->device =
        (kp_place){.child = KP_CHILD_NONE, .page = KP_REGION_NONE, .window = KP_REGION_NONE};
}

static int make_places(kp_pipeline *p)
{
    p->workers = kp_arena_array(p->mem, p->n_workers, sizeof *p->workers);
    p->msg = kp_arena_alloc(p->mem, sizeof *p->msg);
    if (p->workers == NULL || p->msg == NULL)
        return KP_ENOMEM;
    for (size_t i = 0; i < p->n_workers; i++)
        p->workers[i] = p->device;
    for (int i = 0; i < KP_DEVICE_AHEAD; i++)
        if ((p->batch[i] = kp_arena_alloc(p->mem, sizeof *p->batch[i])) == NULL)
            return KP_ENOMEM;
    return 0;
}

static int prepare(kp_pipeline *p, const char *model_path)
{
    KP_TRY(kp_arena_new(&p->mem, 0));
    p->model_path = kp_arena_strdup(p->mem, model_path);
    if (p->model_path == NULL)
        return KP_ENOMEM;
    KP_TRY(kp_setup_check_options(p));
    KP_TRY(make_places(p));
    KP_TRY(kp_locate_helper(p->mem, "kp-device", &p->device_program));
    if (p->n_workers > 0)
        KP_TRY(kp_locate_helper(p->mem, "kp-worker", &p->worker_program));
    KP_TRY(worker_env(p));
    KP_TRY(device_env(p));
    p->epoll = epoll_create1(EPOLL_CLOEXEC);
    p->bell = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (p->epoll < 0 || p->bell < 0)
        return kp_fail_errno(KP_EIO, errno, "could not create the hub's descriptors");
    /* Edge-triggered: every ring of the bell is one event, and nobody has to read the counter. */
    return kp_hub_watch(p, p->bell, EPOLLIN | EPOLLET, KP_EVENT(KP_EV_BELL, 0));
}

/* The thread takes no signals: they are the program's. */
static int start_thread(kp_pipeline *p)
{
    sigset_t all, before;
    sigfillset(&all);
    pthread_sigmask(SIG_BLOCK, &all, &before);
    int err = pthread_create(&p->thread, NULL, kp_hub_main, p);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (err != 0)
        return kp_fail_errno(KP_ENOMEM, err, "could not start the hub's thread");
    p->thread_runs = true;
    return 0;
}

static int wait_until_open(kp_pipeline *p)
{
    pthread_mutex_lock(&p->lock);
    while (p->phase != KP_PHASE_RUNNING && p->phase != KP_PHASE_FAILED)
        pthread_cond_wait(&p->opened, &p->lock);
    int status = p->phase == KP_PHASE_FAILED ? kp_fail(p->status, "%s", p->text) : 0;
    pthread_mutex_unlock(&p->lock);
    return status;
}

int kp_pipeline_open(kp_pipeline **out, const char *model_path, const kp_pipeline_options *opt)
{
    if (out == NULL || model_path == NULL)
        return kp_fail(KP_EINVAL, "kp_pipeline_open without a model");
    *out = NULL;
    if (opt != NULL && opt->struct_size < sizeof opt->struct_size)
        return kp_fail(KP_EINVAL,
                       "the pipeline options were not filled by kp_pipeline_options_defaults");
    kp_pipeline *p = calloc(1, sizeof *p);
    if (p == NULL)
        return kp_fail(KP_ENOMEM, "not enough memory for a pipeline");
    init_tables(p);
    copy_options(&p->opt, opt);
    int status = init_sync(p);
    if (status != 0) {
        free(p);
        return status;
    }
    status = prepare(p, model_path);
    if (status == 0)
        status = start_thread(p);
    if (status == 0)
        status = wait_until_open(p);
    if (status != 0)
        kp_pipeline_close(&p);
    *out = p;
    return status;
}

int64_t kp_pipeline_group(const kp_pipeline *p)
{
    return p->geo.grouped ? p->geo.max_batch : 0;
}

int32_t kp_pipeline_text_width(const kp_pipeline *p, size_t output)
{
    return output < p->geo.outputs.n ? p->geo.outputs.port[output].string_bytes : 0;
}

int kp_pipeline_describe(const kp_pipeline *p, kp_pipeline_info *info)
{
    if (p == NULL || info == NULL)
        return kp_fail(KP_EINVAL, "kp_pipeline_describe without a pipeline");
    *info = p->info;
    return 0;
}

int kp_pipeline_stats_get(kp_pipeline *p, kp_pipeline_stats *out)
{
    if (p == NULL || out == NULL)
        return kp_fail(KP_EINVAL, "kp_pipeline_stats_get without a pipeline");
    pthread_mutex_lock(&p->lock);
    *out = p->stats;
    out->submitted = p->submitted;
    out->delivered = p->taken;
    kp_stats_verdict(p, out);
    pthread_mutex_unlock(&p->lock);
    return 0;
}

void kp_pipeline_close(kp_pipeline **handle)
{
    if (handle == NULL || *handle == NULL)
        return;
    kp_pipeline *p = *handle;
    if (kp_queue_on_hub_thread(p)) {
        kp_log(KP_LOG_ERROR, "kp_pipeline_close was called inside of a callback; it is ignored");
        return;
    }
    *handle = NULL;
    if (p->thread_runs) {
        pthread_mutex_lock(&p->lock);
        p->closing = true;
        kp_queue_wake_hub(p);
        pthread_mutex_unlock(&p->lock);
        pthread_join(p->thread, NULL);
    }
    for (uint32_t i = 0; p->records != NULL && i < p->geo.n_cells; i++)
        free(p->records[i].name);
    for (size_t i = 0; p->workers != NULL && i < p->n_workers; i++) {
        kp_region_close(&p->workers[i].page);
        kp_region_close(&p->workers[i].window);
    }
    kp_region_close(&p->device.page);
    kp_region_close(&p->slots_region);
    kp_region_close(&p->cells_region);
    if (p->bell >= 0)
        close(p->bell);
    if (p->epoll >= 0)
        close(p->epoll);
    pthread_mutex_destroy(&p->lock);
    pthread_cond_destroy(&p->opened);
    pthread_cond_destroy(&p->room);
    pthread_cond_destroy(&p->results);
    kp_arena_free(&p->mem);
    free(p);
}
