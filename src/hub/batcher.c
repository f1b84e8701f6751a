/* Batches: which ready items go to kp-device together, and what comes back. */
#include "hub/hub.h"

#include <string.h>

/* How long an idle device waits for more items while more are on their way. */
static const double max_delay_s = 0.02;

void kp_batcher_ready(kp_pipeline *p, uint32_t item)
{
    if (p->ready.n == 0)
        p->ready_since = p->now;
    p->ready_rows += p->records[item].n_rows;
    kp_list_push(p, &p->ready, item);
}

/* Will more items become ready without any of the present ones being taken? */
static bool more_to_come(const kp_pipeline *p)
{
    return p->n_owned > 0 || (p->queued.n > 0 && p->n_free_slots > 0) ||
           (p->retry.n > 0 && p->n_free_slots > 0);
}

/* Rows that are worth a batch. Small models have a large max_batch; to wait until all of it is
 * there would leave the device idle between few, long batches. */
static int64_t enough_rows(const kp_pipeline *p)
{
    int64_t most = p->geo.max_batch;
    if (most <= 32)
        return most;
    return most / 8 > 32 ? most / 8 : 32;
}

static bool is_enough(const kp_pipeline *p)
{
    return p->ready_rows >= enough_rows(p) || p->ready.n >= KP_BATCH_ENTRIES;
}

double kp_batcher_wake_at(const kp_pipeline *p)
{
    bool waits = p->ready.n > 0 && p->n_batches == 0 && p->device.state == KP_PLACE_READY;
    return waits ? p->ready_since + max_delay_s : 0;
}

/* Shall the head of the ready list go now? */
static bool time_to_send(const kp_pipeline *p)
{
    const kp_record *head = &p->records[p->ready.head];
    if (head->group != 0)
        return p->n_batches == 0;
    if (p->n_batches > 0 && p->batch[0]->exclusive)
        return false;
    if (is_enough(p))
        return true;
    if (more_to_come(p))
        return p->n_batches == 0 && p->now >= p->ready_since + max_delay_s;
    /* Nothing is on its way: an idle device takes what is there, a busy one lets it grow. */
    return p->n_batches == 0;
}

/* Moves items from the ready list into b: one suspect, one suspect batch, or as many as fit. */
static void collect(kp_pipeline *p, kp_batch *b)
{
    const kp_record *head = &p->records[p->ready.head];
    uint32_t group = head->group;
    bool one = head->device_deaths >= 2;
    b->n = 0;
    b->rows = 0;
    b->exclusive = group != 0;
    while (p->ready.n > 0 && b->n < KP_BATCH_ENTRIES && !(one && b->n == 1)) {
        const kp_record *r = &p->records[p->ready.head];
        if (r->group != group || (b->n > 0 && b->rows + r->n_rows > p->geo.max_batch))
            break;
        b->rows += r->n_rows;
        p->ready_rows -= r->n_rows;
        b->item[b->n++] = kp_list_pop(p, &p->ready);
    }
    p->ready_since = p->now;
}

static void send(kp_pipeline *p, kp_batch *b)
{
    kp_device_page *page = p->device.page.base;
    b->seq = ++p->seq;
    b->page = p->next_page++ % KP_BATCH_PAGES;
    kp_batch_entry *entry = page->batch[b->page].entry;
    for (uint32_t i = 0; i < b->n; i++) {
        kp_record *r = &p->records[b->item[i]];
        kp_item_move(r, KP_ITEM_BATCHED);
        kp_slot_move(&p->slots[r->slot], KP_SLOT_INBATCH);
        entry[i] =
            (kp_batch_entry){.slot = r->slot, .cell = b->item[i], .n_rows = (uint32_t)r->n_rows};
    }
    kp_batch_task task = {.seq = b->seq, .page = b->page, .n_entries = b->n};
    kp_ring_put(&p->device.tasks, &task);
    if (kp_ring_publish(&p->device.tasks))
        kp_ring_bell(&p->device.tasks);
    p->n_batches++;
}

bool kp_batcher_form(kp_pipeline *p)
{
    bool any = false;
    while (p->device.state == KP_PLACE_READY && p->device.killed == KP_KILL_NONE &&
           p->n_batches < KP_DEVICE_AHEAD && p->ready.n > 0 && time_to_send(p)) {
        kp_batch *b = p->batch[p->n_batches];
        collect(p, b);
        send(p, b);
        any = true;
    }
    return any;
}

/* ---- what comes back ---- */

static void shift_batches(kp_pipeline *p)
{
    kp_batch *first = p->batch[0];
    p->n_batches--;
    memmove(&p->batch[0], &p->batch[1], (KP_DEVICE_AHEAD - 1) * sizeof p->batch[0]);
    p->batch[KP_DEVICE_AHEAD - 1] = first;
}

/* Puts a batch's items back to the front of the ready list, in their order. */
static void give_back(kp_pipeline *p, const kp_batch *b)
{
    for (uint32_t i = b->n; i-- > 0;) {
        kp_record *r = &p->records[b->item[i]];
        kp_slot_move(&p->slots[r->slot], KP_SLOT_READY);
        kp_item_move(r, KP_ITEM_READY);
        p->ready_rows += r->n_rows;
        kp_list_push_front(p, &p->ready, b->item[i]);
    }
    p->ready_since = p->now;
}

static void finish_batch(kp_pipeline *p, const kp_batch *b)
{
    for (uint32_t i = 0; i < b->n; i++) {
        kp_tasks_free_slot(p, p->records[b->item[i]].slot);
        kp_hub_finish_item(p, b->item[i], KP_ITEM_OK, NULL);
    }
    p->count.batches++;
    p->count.rows += (uint64_t)b->rows;
    p->blamed = 0;
    p->load_deaths = p->load_soft_deaths = 0;
}

static void blame(kp_pipeline *p, uint32_t item, const char *text)
{
    kp_tasks_free_slot(p, p->records[item].slot);
    kp_hub_finish_item(p, item, KP_ITEM_DEVICE, "%s", text);
}

/* The engine answered with an error but lives: alone, each item shows whether it is the cause. */
static void batch_failed(kp_pipeline *p, const kp_batch *b, int status, const char *message)
{
    char text[KP_MESSAGE_BYTES];
    snprintf(text, sizeof text, "%.*s", KP_MESSAGE_BYTES - 1, message);
    bool data = status == KP_EINVAL; /* what an item holds is at fault, not the device */
    if (status == KP_EDEVICE || (!data && p->blamed >= KP_START_FAILURES)) {
        kp_hub_fail(p, KP_EDEVICE, "the device failed: %s", text);
        return;
    }
    if (b->n == 1) {
        blame(p, b->item[0], text);
        p->blamed += !data;
        return;
    }
    p->group++;
    for (uint32_t i = 0; i < b->n; i++) {
        p->records[b->item[i]].device_deaths = 2;
        p->records[b->item[i]].group = p->group;
    }
    give_back(p, b);
}

static void distrust(kp_pipeline *p, const char *why)
{
    if (p->device.killed != KP_KILL_NONE)
        return;
    kp_log(KP_LOG_WARNING, "kp-device is killed: %s", why);
    p->device.killed = KP_KILL_HOSTILE;
    kp_child_kill(&p->device.child, SIGKILL);
}

static void take_done(kp_pipeline *p, const kp_batch_done *d)
{
    const double most = 86400e9;
    if ((double)d->busy_ns < most && (double)d->idle_ns < most) {
        p->count.device_s += (double)d->busy_ns / 1e9;
        p->count.device_idle_s += (double)d->idle_ns / 1e9;
    }
    kp_batch *b = p->batch[0];
    shift_batches(p);
    const kp_device_page *page = p->device.page.base;
    if (d->status == 0)
        finish_batch(p, b);
    else
        batch_failed(p, b, d->status, page->batch[b->page].message);
}

bool kp_batcher_drain(kp_pipeline *p)
{
    if (p->device.dones.page == NULL || p->device.state != KP_PLACE_READY)
        return false;
    bool any = false;
    kp_batch_done done;
    int n;
    while ((n = kp_ring_pull(&p->device.dones, &done)) > 0) {
        if (p->n_batches == 0 || done.seq != p->batch[0]->seq) {
            p->ignored++;
            distrust(p, "its word about a batch that it does not have");
            break;
        }
        any = true;
        take_done(p, &done);
    }
    if (n < 0)
        distrust(p, kp_errmsg());
    return any;
}

/* The batch that ran gets a strike, unless nobody knows who killed the process. */
static void strike(kp_pipeline *p, const kp_batch *b, bool soft)
{
    bool hard = !soft;
    int weight = soft ? kp_place_kill_weight(p) : 0;
    for (uint32_t i = 0; soft && i < b->n; i++) {
        kp_record *r = &p->records[b->item[i]];
        r->device_soft_deaths += weight;
        hard = hard || r->device_soft_deaths >= KP_SOFT_STRIKES;
    }
    if (!hard)
        return;
    p->group++;
    for (uint32_t i = 0; i < b->n; i++) {
        p->records[b->item[i]].device_deaths++;
        p->records[b->item[i]].group = p->group;
    }
}

void kp_batcher_device_died(kp_pipeline *p, bool soft, const char *text)
{
    if (p->n_batches > 0) {
        kp_batch *b = p->batch[0];
        strike(p, b, soft);
        const kp_record *r = &p->records[b->item[0]];
        if (p->n_batches > 1)
            give_back(p, p->batch[1]);
        if (b->n == 1 && r->device_deaths >= 2) {
            blame(p, b->item[0], text);
            p->blamed++;
        } else {
            give_back(p, b);
        }
    }
    p->n_batches = 0;
}
