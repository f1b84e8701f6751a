/* The hub's side of kp-device: loading, staging, mapping, its death and restart. */
#include "hub/hub.h"

#include <time.h>
#include <unistd.h>

enum { LOAD_DEATHS = 3, LOAD_SOFT_DEATHS = 10 };

/* ---- start ---- */

static void send_setup(kp_pipeline *p)
{
    kp_wire_device_setup *s = &p->msg->body.device_setup;
    memset(s, 0, sizeof *s);
    snprintf(s->model, sizeof s->model, "%s", p->model_path);
    snprintf(s->architecture, sizeof s->architecture, "%s", p->opt.architecture);
    snprintf(s->plugins, sizeof s->plugins, "%s", p->layer_plugins);
    snprintf(s->layers, sizeof s->layers, "%s", p->layers);
    snprintf(s->device, sizeof s->device, "%s", p->opt.device);
    snprintf(s->precision, sizeof s->precision, "%s", p->opt.precision);
    s->threads = p->opt.threads;
    s->max_batch = p->opt.batch_size;
    kp_channel_send(p->device.child.control, p->msg, KP_MSG_DEVICE_SETUP, NULL, 0);
    kp_place_move(&p->device, KP_PLACE_SETUP);
}

/* ---- a process that stands still ---- */

static const double watch_every_s = 0.5;
/* A process that computes or reads uses more of a core than this; one that is stopped or waits for
 * itself does not. How long a batch may take nobody can know: a slow machine is not a fault. */
static const double least_share = 0.002;

static double still_limit_s(const kp_pipeline *p)
{
    double s = 2 * p->opt.item_timeout_s;
    return s > 2 ? s : 2;
}

/* Is it to answer something? While a worker starts, it waits for us. */
static bool owes_answer(const kp_pipeline *p)
{
    const kp_place *d = &p->device;
    if (d->killed != KP_KILL_NONE)
        return false;
    return d->state == KP_PLACE_READY ? p->n_batches > 0
                                      : !(d->heard && p->phase == KP_PHASE_PORTS);
}

static bool cpu_time_of(pid_t pid, double *seconds)
{
    clockid_t clock;
    struct timespec t;
    if (clock_getcpuclockid(pid, &clock) != 0 || clock_gettime(clock, &t) != 0)
        return false;
    *seconds = (double)t.tv_sec + (double)t.tv_nsec / 1e9;
    return true;
}

/* Ends a process that has an answer to give and uses no processor for long. */
static void watch(kp_pipeline *p)
{
    kp_place *d = &p->device;
    double cpu_s = 0, passed = p->now - p->device_looked_at;
    if (!owes_answer(p))
        p->device_moved_at = p->now;
    if (passed < watch_every_s)
        return;
    p->device_looked_at = p->now;
    bool moves = !cpu_time_of(d->child.pid, &cpu_s) ||
                 cpu_s - p->device_cpu_s > least_share * passed || cpu_s < p->device_cpu_s;
    p->device_cpu_s = cpu_s;
    if (moves)
        p->device_moved_at = p->now;
    if (p->now - p->device_moved_at < still_limit_s(p))
        return;
    kp_log(KP_LOG_WARNING, "kp-device is killed: it has stood still for %g s", still_limit_s(p));
    d->killed = KP_KILL_TIMEOUT;
    kp_child_kill(&d->child, SIGKILL);
}

void kp_device_tick(kp_pipeline *p)
{
    kp_place *d = &p->device;
    if (p->phase == KP_PHASE_FAILED)
        return;
    if (d->state != KP_PLACE_EMPTY) {
        watch(p);
        return;
    }
    if (p->now < d->restart_at)
        return;
    if (kp_place_start(p, d, KP_DEVICE_PLACE) != 0) {
        kp_hub_fail(p, KP_EDEVICE, "%s", kp_errmsg());
        return;
    }
    p->device_moved_at = p->device_looked_at = p->now;
    p->device_cpu_s = 0;
    send_setup(p);
}

int kp_device_send_stage(kp_pipeline *p)
{
    kp_wire_device_stage *s = &p->msg->body.device_stage;
    memset(s, 0, sizeof *s);
    snprintf(s->scaling, sizeof s->scaling, "%s", kp_setup_scaling(p));
    s->rows = p->ports;
    /* A phase is entered once: what the first process brought about (arenas, tables) stays. */
    if (p->phase < KP_PHASE_STAGING)
        kp_hub_enter(p, KP_PHASE_STAGING);
    /* It died in between and loads once more: it is asked when it has told what it takes. */
    if (p->device.state != KP_PLACE_SETUP || !p->device.heard)
        return 0;
    return kp_channel_send(p->device.child.control, p->msg, KP_MSG_DEVICE_STAGE, NULL, 0);
}

int kp_device_send_map(kp_pipeline *p)
{
    kp_place *d = &p->device;
    if (d->page.base == NULL)
        KP_TRY(kp_region_create(&d->page, "kp-device", sizeof(kp_device_page), true));
    kp_device_page *page = d->page.base;
    d->tasks = (kp_ring){.page = &page->tasks};
    d->dones = (kp_ring){.page = &page->dones};
    const kp_geometry *g = &p->geo;
    kp_wire_device_map *m = &p->msg->body.device_map;
    *m = (kp_wire_device_map){.slot_stride = g->slot_stride,
                              .n_slots = g->n_slots,
                              .cell_stride = g->cell_stride,
                              .n_cells = g->n_cells,
                              .rows_per_item = (uint64_t)g->rows_per_item,
                              .probe = p->blamed >= KP_START_FAILURES};
    memcpy(m->slot_offset, g->slot_offset, sizeof m->slot_offset);
    memcpy(m->cell_offset, g->cell_offset, sizeof m->cell_offset);
    int fds[KP_MSG_FDS] = {d->page.fd, p->slots_region.fd, p->cells_region.fd, p->bell};
    KP_TRY(kp_channel_send(d->child.control, p->msg, KP_MSG_DEVICE_MAP, fds, KP_MSG_FDS));
    kp_place_move(d, KP_PLACE_MAPPED);
    return 0;
}

/* ---- its words ---- */

static bool same_model(const kp_wire_device_info *a, const kp_wire_device_info *b)
{
    return a->n_params == b->n_params && strcmp(a->preprocess, b->preprocess) == 0 &&
           memcmp(&a->inputs, &b->inputs, sizeof a->inputs) == 0 &&
           memcmp(&a->outputs, &b->outputs, sizeof a->outputs) == 0;
}

static int take_info(kp_pipeline *p)
{
    p->device.heard = true;
    if (p->phase == KP_PHASE_LOADING)
        p->model = p->msg->body.device_info;
    else if (!same_model(&p->model, &p->msg->body.device_info))
        return kp_fail(KP_EMODEL, "\"%s\" has become another model while it was in use",
                       p->model_path);
    /* A process that was started again: the rest is known already. */
    if (p->phase > KP_PHASE_PORTS)
        return kp_device_send_stage(p);
    if (p->opt.kind == KP_PIPELINE_ROWS) {
        KP_TRY(kp_setup_rows_from_example(p, &p->ports));
        return kp_device_send_stage(p);
    }
    KP_TRY(kp_setup_check_images(p));
    if (p->phase == KP_PHASE_LOADING) {
        kp_hub_enter(p, KP_PHASE_PORTS);
        for (uint32_t i = 0; i < p->n_workers; i++)
            if (p->workers[i].state == KP_PLACE_STARTED)
                kp_worker_setup(p, i);
    }
    return 0;
}

static int take_staged(kp_pipeline *p)
{
    if (p->phase != KP_PHASE_STAGING)
        return kp_device_send_map(p);
    p->geo.rows = p->ports;
    p->geo.outputs = p->msg->body.ports;
    p->geo.max_batch = p->model.max_batch;
    p->geo.grouped = p->model.grouped != 0;
    p->geo.refusing = p->model.refusing != 0;
    KP_TRY(kp_geometry_choose(&p->geo, p->n_workers, p->opt.kind == KP_PIPELINE_ROWS,
                              p->opt.memory_bytes));
    KP_TRY(kp_setup_tables(p));
    kp_hub_enter(p, KP_PHASE_MAPPING);
    for (uint32_t i = 0; i < p->n_workers; i++)
        if (p->workers[i].heard && p->workers[i].state == KP_PLACE_SETUP)
            kp_worker_map(p, i);
    return kp_device_send_map(p);
}

static void take_ready(kp_pipeline *p)
{
    kp_place_move(&p->device, KP_PLACE_READY);
    if (p->blamed >= KP_START_FAILURES)
        p->blamed = 0; /* it has passed the probe: the items were at fault */
    if (p->phase != KP_PHASE_MAPPING)
        return;
    kp_setup_describe(p);
    kp_hub_enter(p, KP_PHASE_RUNNING);
}

static int take_message(kp_pipeline *p)
{
    switch (p->msg->type) {
    case KP_MSG_REFUSED: /* its word counts, also when it could not read: KP_EIO */
        kp_hub_fail(p, p->msg->body.refused.status, "%s", p->msg->body.refused.text);
        return 0;
    case KP_MSG_DEVICE_INFO:
        if (p->device.state == KP_PLACE_SETUP)
            return take_info(p);
        break;
    case KP_MSG_STAGED:
        if (p->device.state == KP_PLACE_SETUP)
            return take_staged(p);
        break;
    case KP_MSG_READY:
        if (p->device.state == KP_PLACE_MAPPED) {
            take_ready(p);
            return 0;
        }
        break;
    default:
        break;
    }
    return kp_fail(KP_EINTERNAL, "kp-device sent message %u out of turn", p->msg->type);
}

void kp_device_control(kp_pipeline *p)
{
    kp_place *d = &p->device;
    int fds[KP_MSG_FDS];
    while (d->state != KP_PLACE_EMPTY && d->child.control >= 0 && p->phase != KP_PHASE_FAILED) {
        int status = kp_channel_recv(d->child.control, p->msg, fds, false);
        if (status == KP_EAGAIN)
            return;
        if (status == KP_EEND || status == KP_EIO) {
            kp_hub_unwatch(p, &d->child.control); /* its death follows */
            return;
        }
        for (int i = 0; i < KP_MSG_FDS; i++)
            if (status == 0 && fds[i] >= 0)
                close(fds[i]);
        if (status == 0)
            status = take_message(p);
        /* A send that failed means that the process is dying: its death decides. */
        if (status != 0 && status != KP_EIO)
            kp_hub_fail(p, status, "%s", kp_errmsg());
    }
}

/* ---- death ---- */

static void died_loading(kp_pipeline *p, bool soft, const char *cause)
{
    if (soft ? ++p->load_soft_deaths >= LOAD_SOFT_DEATHS : ++p->load_deaths >= LOAD_DEATHS) {
        const char *said = p->device.lines.last;
        kp_hub_fail(p, KP_EDEVICE,
                    "the device process ended %d times while it loaded \"%s\" (%s)%s%s",
                    soft ? p->load_soft_deaths : p->load_deaths, p->model_path, cause,
                    said[0] != '\0' ? "; it said last: " : "", said);
    }
}

void kp_device_died(kp_pipeline *p, const kp_child_end *end)
{
    kp_place *d = &p->device;
    char cause[64];
    char text[KP_MESSAGE_BYTES];
    if (d->killed == KP_KILL_TIMEOUT)
        snprintf(cause, sizeof cause, "it stood still for %g s", still_limit_s(p));
    else
        kp_child_end_text(end, cause, sizeof cause);
    kp_device_control(p); /* it may have said why */
    kp_batcher_drain(p);  /* batches that it finished before it died count */
    bool soft = d->killed == KP_KILL_NONE && kp_child_end_is_foreign(end);
    bool was_ready = d->state == KP_PLACE_READY;
    bool had_batch = p->n_batches > 0;
    snprintf(text, sizeof text, "ended the device process when run alone: %s", cause);
    kp_log(KP_LOG_DETAIL, "kp-device ended: %s", cause);
    kp_batcher_device_died(p, soft, text);
    kp_place_bury(p, d, KP_DEVICE_PLACE);
    d->restart_at = p->now;
    p->count.device_restarts++;
    if (!was_ready || !had_batch)
        died_loading(p, soft, cause);
}
