/* kp-device's life: load, stage, map, then batches from the ring until the hub goes away. */
#include "device/batch.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <unistd.h>

enum { IDLE_CHECK_MS = 400 };

static int expect(kp_msg *msg, uint32_t type, int *fds)
{
    KP_TRY(kp_channel_recv(KP_CONTROL_FD, msg, fds, true));
    if (msg->type != type)
        return kp_fail(KP_EINTERNAL, "kp-device got message %u instead of %u", msg->type, type);
    return 0;
}

static int load(kp_device *d, kp_msg *msg)
{
    int fds[KP_MSG_FDS];
    KP_TRY(expect(msg, KP_MSG_DEVICE_SETUP, fds));
    kp_wire_device_setup *setup = malloc(sizeof *setup);
    if (setup == NULL)
        return kp_fail(KP_ENOMEM, "kp-device has no memory to start");
    *setup = msg->body.device_setup;
    memset(&msg->body, 0, sizeof msg->body);
    int status = d->engine->open(&d->state, setup, &msg->body.device_info);
    free(setup);
    KP_TRY(status);
    d->max_batch = msg->body.device_info.max_batch;
    d->grouped = msg->body.device_info.grouped != 0;
    if (d->max_batch < 1)
        return kp_fail(KP_EINTERNAL, "the engine gave no batch size");
    return kp_channel_send(KP_CONTROL_FD, msg, KP_MSG_DEVICE_INFO, NULL, 0);
}

static int stage(kp_device *d, kp_msg *msg)
{
    int fds[KP_MSG_FDS];
    KP_TRY(expect(msg, KP_MSG_DEVICE_STAGE, fds));
    KP_TRY(d->engine->stage(d->state, &msg->body.device_stage, &d->outputs));
    KP_TRY(kp_device_size_rows(d, &msg->body.device_stage.rows));
    msg->body.ports = d->outputs;
    return kp_channel_send(KP_CONTROL_FD, msg, KP_MSG_STAGED, NULL, 0);
}

static int map_regions(kp_device *d, kp_msg *msg)
{
    int fds[KP_MSG_FDS];
    KP_TRY(expect(msg, KP_MSG_DEVICE_MAP, fds));
    d->map = msg->body.device_map;
    d->bell = fds[3];
    size_t slots, cells;
    if (!kp_mul_size(d->map.slot_stride, d->map.n_slots, &slots) ||
        !kp_mul_size(d->map.cell_stride, d->map.n_cells, &cells))
        return kp_fail(KP_EINTERNAL, "kp-device got impossible sizes");
    KP_TRY(kp_region_map(&d->page_region, fds[0], sizeof(kp_device_page)));
    KP_TRY(kp_region_map(&d->slots, fds[1], slots));
    KP_TRY(kp_region_map(&d->cells, fds[2], cells));
    d->page = d->page_region.base;
    d->tasks.page = &d->page->tasks;
    d->dones.page = &d->page->dones;
    KP_TRY(kp_device_prepare(d));
    if (d->map.probe)
        KP_TRY(kp_device_probe(d));
    return kp_channel_send(KP_CONTROL_FD, msg, KP_MSG_READY, NULL, 0);
}

static void do_batch(kp_device *d, const kp_batch_task *task, uint64_t idle_ns)
{
    double start = kp_now_s();
    kp_batch_done done = {.seq = task->seq, .idle_ns = idle_ns};
    done.status = kp_device_run_batch(d, task);
    if (done.status != 0 && task->page < KP_BATCH_PAGES)
        snprintf(d->page->batch[task->page].message, KP_MESSAGE_BYTES, "%s", kp_errmsg());
    done.busy_ns = (uint64_t)((kp_now_s() - start) * 1e9);
    kp_ring_put(&d->dones, &done);
    if (kp_ring_publish(&d->dones)) {
        uint64_t one = 1;
        ssize_t n = write(d->bell, &one, sizeof one);
        (void)n; /* cannot fail but when the hub is gone */
    }
}

static int run(kp_device *d)
{
    uint64_t idle_ns = 0;
    for (;;) {
        kp_batch_task task;
        int n = kp_ring_pull(&d->tasks, &task);
        if (n < 0)
            return n;
        if (n > 0) {
            do_batch(d, &task, idle_ns);
            idle_ns = 0;
            continue;
        }
        double start = kp_now_s();
        kp_ring_wait(&d->tasks, IDLE_CHECK_MS);
        double waited = kp_now_s() - start;
        idle_ns += (uint64_t)(waited * 1e9);
        if (waited * 1000 > IDLE_CHECK_MS / 2 && kp_child_orphaned())
            return KP_EEND;
    }
}

int kp_device_serve(const kp_device_engine *engine)
{
    struct rlimit no_core = {0, 0};
    setrlimit(RLIMIT_CORE, &no_core);
    kp_device *d = calloc(1, sizeof *d);
    kp_msg *msg = calloc(1, sizeof *msg);
    int status = KP_ENOMEM;
    if (d != NULL && msg != NULL) {
        d->engine = engine;
        status = load(d, msg);
        if (status == 0)
            status = stage(d, msg);
        if (status == 0)
            status = map_regions(d, msg);
        if (status != 0 && status != KP_EEND) {
            msg->body.refused.status = status;
            snprintf(msg->body.refused.text, sizeof msg->body.refused.text, "%s", kp_errmsg());
            kp_channel_send(KP_CONTROL_FD, msg, KP_MSG_REFUSED, NULL, 0);
        }
        if (status == 0)
            status = run(d);
    }
    free(msg);
    free(d);
    return status == KP_EEND ? 0 : 1;
}
