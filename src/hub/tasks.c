/* Tasks: items to workers, completions back. */
#include "hub/hub.h"

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

/* Pages of the window that one item leaves behind are given back beyond this size. */
enum { KEEP_WINDOW = 4 << 20 };

void kp_tasks_free_slot(kp_pipeline *p, uint32_t slot)
{
    kp_slot *s = &p->slots[slot];
    kp_slot_move(s, KP_SLOT_FREE);
    s->owner = KP_NOBODY;
    s->item = KP_NOBODY;
    if (p->opt.kind != KP_PIPELINE_ROWS)
        p->free_slot[p->n_free_slots++] = slot;
}

/* ---- dispatch ---- */

/* Hands encoded bytes over; each ring position has its own part of the window. */
static bool write_window(kp_place *w, const kp_record *r, uint64_t offset)
{
    const char *bytes = r->bytes;
    for (size_t done = 0; done < r->size_bytes;) {
        ssize_t n =
            pwrite(w->window.fd, bytes + done, r->size_bytes - done, (off_t)(offset + done));
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return false;
        done += (size_t)n;
    }
    return true;
}

/* False: the item cannot be given to anybody; it has got its error. */
static bool can_be_given(kp_pipeline *p, uint32_t id)
{
    kp_record *r = &p->records[id];
    if (r->name == NULL)
        kp_hub_finish_item(p, id, KP_ITEM_LIMIT, "not enough memory for its name");
    else if (r->kind == KP_ITEM_PATH && strlen(r->name) >= KP_NAME_BYTES)
        kp_hub_finish_item(p, id, KP_ITEM_OPEN, "its path is longer than %d bytes",
                           KP_NAME_BYTES - 1);
    else if (r->kind == KP_ITEM_BYTES && r->size_bytes > KP_ITEM_BYTES_MAX)
        kp_hub_finish_item(p, id, KP_ITEM_LIMIT, "has %zu bytes, more than the limit of %llu",
                           r->size_bytes, (unsigned long long)KP_ITEM_BYTES_MAX);
    else
        return true;
    return false;
}

static void assign(kp_pipeline *p, uint32_t number, uint32_t id)
{
    kp_place *w = &p->workers[number];
    kp_record *r = &p->records[id];
    kp_worker_page *page = w->page.base;
    uint64_t at = w->tasks.pos % KP_RING_DEPTH;
    kp_task task = {.kind = r->kind};
    if (r->kind == KP_ITEM_BYTES) {
        task.offset = at * KP_ITEM_BYTES_MAX;
        task.size = r->size_bytes;
        if (!write_window(w, r, task.offset)) {
            kp_hub_finish_item(p, id, KP_ITEM_LIMIT, "not enough memory to hand its bytes over");
            return;
        }
    }
    /* The private record first: whatever happens next, it says whose slot this is. */
    uint32_t slot = p->free_slot[--p->n_free_slots];
    kp_slot *s = &p->slots[slot];
    kp_slot_move(s, KP_SLOT_OWNED);
    kp_item_move(r, KP_ITEM_TASKED);
    s->gen++;
    s->owner = number;
    s->item = id;
    r->slot = slot;
    p->n_owned++;
    if (w->n_flight == 0)
        w->deadline = p->now + p->opt.item_timeout_s;
    kp_flight *f = &w->flight[(w->first + w->n_flight++) % KP_RING_DEPTH];
    *f = (kp_flight){.seq = ++p->seq, .item = id, .slot = slot, .gen = s->gen};
    task.seq = f->seq;
    task.slot = slot;
    task.gen = s->gen;
    size_t n = strnlen(r->name, KP_NAME_BYTES - 1);
    memcpy(page->name[at], r->name, n);
    page->name[at][n] = '\0';
    task.name_size = (uint32_t)n;
    kp_ring_put(&w->tasks, &task);
    w->touched = true;
}

static bool takes_tasks(const kp_place *w)
{
    return w->state == KP_PLACE_READY && w->killed == KP_KILL_NONE && !w->alone;
}

/* For an item on its second try: a process that has seen no other item. When none is there and
 * none is coming, any idle one. */
static uint32_t fresh_worker(const kp_pipeline *p)
{
    uint32_t idle = KP_NOBODY;
    bool coming = false;
    for (uint32_t i = 0; i < p->n_workers; i++) {
        const kp_place *w = &p->workers[i];
        coming = coming || w->state != KP_PLACE_READY || w->killed != KP_KILL_NONE;
        if (!takes_tasks(w) || w->n_flight > 0)
            continue;
        if (w->finished == 0)
            return i;
        idle = i;
    }
    return coming ? KP_NOBODY : idle;
}

static uint32_t least_loaded(const kp_pipeline *p)
{
    uint32_t best = KP_NOBODY;
    unsigned least = KP_WORKER_AHEAD;
    for (uint32_t i = 0; i < p->n_workers; i++) {
        const kp_place *w = &p->workers[i];
        if (!takes_tasks(w) || w->n_flight >= least)
            continue;
        /* Fresh processes are kept for the items that need one. */
        if (p->retry.n > 0 && w->finished == 0 && w->n_flight == 0)
            continue;
        best = i;
        least = w->n_flight;
    }
    return best;
}

static void publish_tasks(kp_pipeline *p)
{
    for (uint32_t i = 0; i < p->n_workers; i++) {
        kp_place *w = &p->workers[i];
        if (!w->touched)
            continue;
        w->touched = false;
        if (kp_ring_publish(&w->tasks))
            kp_ring_bell(&w->tasks);
    }
}

bool kp_tasks_dispatch(kp_pipeline *p)
{
    bool any = false;
    while (p->retry.n > 0 && p->n_free_slots > 0) {
        uint32_t number = fresh_worker(p);
        if (number == KP_NOBODY)
            break;
        uint32_t id = kp_list_pop(p, &p->retry);
        assign(p, number, id);
        p->workers[number].alone = p->workers[number].n_flight > 0;
        any = true;
    }
    while (p->queued.n > 0 && p->n_free_slots > 0) {
        uint32_t number = least_loaded(p);
        if (number == KP_NOBODY)
            break;
        uint32_t id = kp_list_pop(p, &p->queued);
        any = true;
        if (can_be_given(p, id))
            assign(p, number, id);
    }
    if (any)
        publish_tasks(p);
    return any;
}

/* ---- completions ---- */

/* The worker may say these of an item; the rest is for the hub to say. */
static bool plausible(const kp_done *d)
{
    return d->error <= KP_ITEM_PLUGIN;
}

static void copy_message(kp_record *r, const char *from)
{
    memcpy(r->message, from, KP_MESSAGE_BYTES);
    r->message[KP_MESSAGE_BYTES - 1] = '\0';
    for (char *c = r->message; *c != '\0'; c++)
        if ((unsigned char)*c < ' ' || *c == 0x7f)
            *c = '?';
}

static void count_times(kp_pipeline *p, const kp_done *d)
{
    /* A worker's figures are only believed up to a day. */
    const double most = 86400e9;
    double read = (double)d->read_ns, decode = (double)d->decode_ns, resize = (double)d->resize_ns;
    double wait = (double)d->wait_ns;
    if (read > most || decode > most || resize > most || wait > most)
        return;
    p->count.read_s += read / 1e9;
    p->count.decode_s += decode / 1e9;
    p->count.resize_s += resize / 1e9;
    p->count.wait_slot_s += wait / 1e9;
}

/* Shows the caller what a worker wrote for an item. Nobody writes the slot any more. */
static void show_prepared(kp_pipeline *p, const kp_record *r)
{
    const kp_geometry *g = &p->geo;
    kp_tensor inputs[KP_WIRE_PORTS] = {0};
    for (uint32_t i = 0; i < g->rows.n; i++) {
        const kp_wire_port *port = &g->rows.port[i];
        kp_tensor *t = &inputs[i];
        t->dtype = (kp_dtype)port->dtype;
        t->ndim = port->ndim + 1;
        t->shape[0] = 1;
        memcpy(t->shape + 1, port->shape, (size_t)port->ndim * sizeof t->shape[0]);
        t->data = (uint8_t *)p->slots_region.base + r->slot * g->slot_stride + g->slot_offset[i];
        t->size_bytes = g->in_row[i];
        t->string_bytes = port->string_bytes;
    }
    p->opt.on_prepared(p->opt.on_prepared_ctx, r->tag, inputs, g->rows.n);
}

/* Copied, then checked against the private record: slot, use, sequence and owner. */
static bool is_about_oldest(const kp_pipeline *p, const kp_place *w, const kp_done *d)
{
    const kp_flight *f = &w->flight[w->first];
    return w->n_flight > 0 && d->seq == f->seq && d->slot == f->slot && d->gen == f->gen &&
           p->slots[f->slot].item == f->item && plausible(d);
}

static void take_done(kp_pipeline *p, kp_place *w, const kp_done *d, const char *message)
{
    const kp_flight *f = &w->flight[w->first];
    uint32_t id = f->item, slot = f->slot;
    uint64_t at = (w->dones.pos - 1) % KP_RING_DEPTH;
    kp_record *r = &p->records[id];
    w->first = (w->first + 1) % KP_RING_DEPTH;
    w->n_flight--;
    w->finished++;
    w->alone = false;
    w->deadline = p->now + p->opt.item_timeout_s;
    p->start_failures = 0;
    p->soft_deaths = 0;
    p->n_owned--;
    count_times(p, d);
    r->exif_turned = (d->flags & KP_DONE_EXIF_TURNED) != 0;
    if (r->kind == KP_ITEM_BYTES && r->size_bytes > KEEP_WINDOW)
        fallocate(w->window.fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE,
                  (off_t)(at * KP_ITEM_BYTES_MAX), (off_t)r->size_bytes);
    if (d->error == KP_ITEM_OK) {
        kp_slot_move(&p->slots[slot], KP_SLOT_READY);
        kp_item_move(r, KP_ITEM_READY);
        if (p->opt.on_prepared != NULL)
            show_prepared(p, r);
        kp_batcher_ready(p, id);
        return;
    }
    kp_tasks_free_slot(p, slot);
    if ((d->flags & KP_DONE_MESSAGE) != 0)
        copy_message(r, message + at * KP_MESSAGE_BYTES);
    kp_hub_finish_item(p, id, (kp_item_error)d->error, NULL);
}

bool kp_tasks_drain(kp_pipeline *p, uint32_t number)
{
    kp_place *w = &p->workers[number];
    if (w->dones.page == NULL || w->state != KP_PLACE_READY)
        return false;
    const kp_worker_page *page = w->page.base;
    bool any = false;
    kp_done done;
    int n;
    while ((n = kp_ring_pull(&w->dones, &done)) > 0) {
        if (!is_about_oldest(p, w, &done)) {
            /* From here on its places in the ring are not those of its tasks. */
            p->ignored++;
            kp_worker_distrust(p, number, "its word about a task that it does not have");
            break;
        }
        any = true;
        take_done(p, w, &done, page->message[0]);
    }
    if (n < 0)
        kp_worker_distrust(p, number, kp_errmsg());
    return any;
}

void kp_tasks_requeue(kp_pipeline *p, kp_place *w, unsigned keep)
{
    while (w->n_flight > keep) {
        const kp_flight *f = &w->flight[(w->first + --w->n_flight) % KP_RING_DEPTH];
        kp_tasks_free_slot(p, f->slot);
        p->n_owned--;
        kp_record *r = &p->records[f->item];
        kp_item_move(r, KP_ITEM_QUEUED);
        kp_list_push_front(p, r->strikes > 0 ? &p->retry : &p->queued, f->item);
    }
}
