/*
 * A hostile worker and a hostile device: arbitrary bytes in their completion rings, fed to the
 * hub's drain functions. Whatever they say, an item has at most one end, a slot one owner, and
 * nothing outside the tables is touched.
 *
 * Input: blocks of 1 + 8 + 512 bytes: who speaks, by how much the tail moves, the ring's entries.
 * A flag in the first byte puts the true words of the oldest task into the next entry, so that
 * the fuzzer gets past the checks.
 */
#include "hub/hub.h"

#include <assert.h>
#include <stdint.h>
#include <stdlib.h>

enum { ITEMS = 12, SLOTS = 12, BLOCK = 1 + 8 + KP_RING_DEPTH * KP_RING_ENTRY };

typedef struct world {
    kp_pipeline p;
    kp_place worker;
    kp_record records[ITEMS];
    kp_slot slots[SLOTS];
    uint32_t free_slot[SLOTS];
    kp_batch batches[KP_DEVICE_AHEAD];
    char name[8];
} world;

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static world *build(void)
{
    world *w = calloc(1, sizeof *w);
    kp_worker_page *wp = aligned_alloc(KP_LINE, sizeof *wp);
    kp_device_page *dp = aligned_alloc(KP_LINE, sizeof *dp);
    if (w == NULL || wp == NULL || dp == NULL)
        abort();
    memset(wp, 0, sizeof *wp);
    memset(dp, 0, sizeof *dp);
    kp_pipeline *p = &w->p;
    p->phase = KP_PHASE_RUNNING;
    p->opt.item_timeout_s = 1;
    p->geo.max_batch = 4;
    p->geo.n_slots = SLOTS;
    p->geo.n_cells = ITEMS;
    p->records = w->records;
    p->slots = w->slots;
    p->free_slot = w->free_slot;
    p->workers = &w->worker;
    p->n_workers = 1;
    snprintf(w->name, sizeof w->name, "x");
    p->free = p->incoming = p->queued = p->retry = p->ready = p->done = KP_LIST_EMPTY;
    pthread_mutex_init(&p->lock, NULL);
    w->worker = (kp_place){.state = KP_PLACE_READY, .child = KP_CHILD_NONE};
    w->worker.page = (kp_region){.fd = -1, .base = wp, .size = sizeof *wp};
    w->worker.window = KP_REGION_NONE;
    w->worker.tasks.page = &wp->tasks;
    w->worker.dones.page = &wp->dones;
    p->device = w->worker;
    p->device.page = (kp_region){.fd = -1, .base = dp, .size = sizeof *dp};
    p->device.tasks.page = &dp->tasks;
    p->device.dones.page = &dp->dones;
    for (int i = 0; i < KP_DEVICE_AHEAD; i++)
        p->batch[i] = &w->batches[i];
    for (uint32_t i = 0; i < SLOTS; i++)
        p->free_slot[p->n_free_slots++] = i;
    for (uint32_t i = 0; i < ITEMS; i++) {
        w->records[i] = (kp_record){
            .state = KP_ITEM_QUEUED, .kind = KP_ITEM_PATH, .name = w->name, .n_rows = 1};
        kp_list_push(p, &p->queued, i);
    }
    return w;
}

static void tear_down(world *w)
{
    free(w->worker.page.base);
    free(w->p.device.page.base);
    pthread_mutex_destroy(&w->p.lock);
    free(w);
}

/* The words that the hub expects next from this speaker, at the place it reads next. */
static void speak_truly(world *w, bool device)
{
    kp_ring *ring = device ? &w->p.device.dones : &w->worker.dones;
    unsigned char *entry = ring->page->entry[ring->pos % KP_RING_DEPTH];
    if (device && w->p.n_batches > 0) {
        kp_batch_done d;
        memcpy(&d, entry, sizeof d);
        d.seq = w->p.batch[0]->seq;
        memcpy(entry, &d, sizeof d);
    } else if (!device && w->worker.n_flight > 0) {
        const kp_flight *f = &w->worker.flight[w->worker.first];
        kp_done d;
        memcpy(&d, entry, sizeof d);
        d.seq = f->seq;
        d.slot = f->slot;
        d.gen = f->gen;
        d.error %= 16;
        memcpy(entry, &d, sizeof d);
    }
}

static void check(const world *w)
{
    const kp_pipeline *p = &w->p;
    unsigned ended = 0, owned = 0, free_slots = 0;
    for (int i = 0; i < ITEMS; i++)
        ended += w->records[i].state == KP_ITEM_DONE || w->records[i].state == KP_ITEM_FAILED;
    assert(ended == p->count.processed + p->count.failed);
    /* A failure publishes what has ended before it is told. */
    assert(ended == p->done.n || (p->phase == KP_PHASE_FAILED && p->done.n == 0));
    for (int i = 0; i < SLOTS; i++) {
        owned += w->slots[i].state == KP_SLOT_OWNED;
        free_slots += w->slots[i].state == KP_SLOT_FREE;
    }
    assert(owned == p->n_owned && owned == w->worker.n_flight);
    assert(free_slots == p->n_free_slots);
    assert(p->n_batches <= KP_DEVICE_AHEAD && w->worker.n_flight <= KP_WORKER_AHEAD);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    world *w = build();
    kp_pipeline *p = &w->p;
    for (; size >= BLOCK; data += BLOCK, size -= BLOCK) {
        bool device = (data[0] & 1) != 0;
        kp_ring *ring = device ? &p->device.dones : &w->worker.dones;
        uint64_t ahead;
        memcpy(&ahead, data + 1, sizeof ahead);
        memcpy(ring->page->entry, data + 9, sizeof ring->page->entry);
        memcpy(((kp_worker_page *)w->worker.page.base)->message[0], data + 9, KP_MESSAGE_BYTES);
        if ((data[0] & 2) != 0) {
            speak_truly(w, device);
            ahead = 1 + ahead % 2;
        }
        atomic_store(&ring->page->tail, ring->pos + ahead);
        p->now += 0.01 * (data[0] >> 4);
        kp_tasks_drain(p, 0);
        kp_batcher_drain(p);
        kp_tasks_dispatch(p);
        kp_batcher_form(p);
        check(w);
        if (p->phase == KP_PHASE_FAILED)
            break;
    }
    tear_down(w);
    return 0;
}
