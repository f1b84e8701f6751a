/* The callers' side: submit, next, release. Runs on their threads; the lock is held briefly. */
#include "hub/hub.h"

#include <errno.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

void kp_queue_wake_hub(kp_pipeline *p)
{
    if (!p->asleep)
        return;
    uint64_t one = 1;
    ssize_t n = write(p->bell, &one, sizeof one);
    (void)n; /* full: it is awake */
}

bool kp_queue_on_hub_thread(const kp_pipeline *p)
{
    return p->thread_runs && pthread_equal(pthread_self(), p->thread) != 0;
}

static struct timespec deadline_after(int timeout_ms)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    t.tv_sec += timeout_ms / 1000;
    t.tv_nsec += (long)(timeout_ms % 1000) * 1000000L;
    if (t.tv_nsec >= 1000000000L) {
        t.tv_sec++;
        t.tv_nsec -= 1000000000L;
    }
    return t;
}

/* False: the time is over. */
static bool wait_for(kp_pipeline *p, pthread_cond_t *cond, int timeout_ms,
                     const struct timespec *deadline)
{
    if (timeout_ms == 0 || kp_queue_on_hub_thread(p))
        return false;
    if (timeout_ms < 0)
        return pthread_cond_wait(cond, &p->lock) == 0;
    return pthread_cond_timedwait(cond, &p->lock, deadline) != ETIMEDOUT;
}

/* ---- submit ---- */

static int check_rows(const kp_pipeline *p, const kp_item *item, int64_t *n_rows)
{
    const kp_geometry *g = &p->geo;
    if (item->rows == NULL)
        return kp_fail(KP_EINVAL, "an item of rows brought no arrays");
    if (item->n_rows_tensors != g->rows.n)
        return kp_fail(KP_ESHAPE, "an item brought %zu arrays, the model takes %u",
                       item->n_rows_tensors, g->rows.n);
    for (uint32_t i = 0; i < g->rows.n; i++) {
        const kp_tensor *t = &item->rows[i];
        const kp_wire_port *want = &g->rows.port[i];
        if (t->ndim < 1 || t->ndim > KP_MAX_DIMS)
            return kp_fail(KP_EINVAL, "rows for input \"%s\" are of rank %d", want->name, t->ndim);
        if (t->dtype == KP_STRING && want->dtype == KP_STRING &&
            t->string_bytes != want->string_bytes)
            return kp_fail(KP_ESHAPE,
                           "rows for input \"%s\" are strings of %d bytes, but %d were announced",
                           want->name, t->string_bytes, want->string_bytes);
        bool same = (int32_t)t->dtype == want->dtype && t->ndim == want->ndim + 1;
        for (int d = 0; same && d < want->ndim; d++)
            same = t->shape[d + 1] == want->shape[d];
        char got[KP_SHAPE_TEXT], need[KP_SHAPE_TEXT];
        if (!same)
            return kp_fail(KP_ESHAPE,
                           "rows for input \"%s\" are %s %s, but %s %s a row was announced",
                           want->name, kp_dtype_name(t->dtype),
                           kp_shape_text(t->shape, t->ndim, got, sizeof got),
                           kp_dtype_name((kp_dtype)want->dtype),
                           kp_shape_text(want->shape, want->ndim, need, sizeof need));
        if (t->shape[0] < 1 || t->shape[0] > g->rows_per_item ||
            t->shape[0] != item->rows[0].shape[0])
            return kp_fail(KP_ESHAPE,
                           "an item of rows must have 1 to %lld rows, the same for every "
                           "input; input \"%s\" has %lld",
                           (long long)g->rows_per_item, want->name, (long long)t->shape[0]);
        if (t->data == NULL || t->size_bytes < (size_t)t->shape[0] * g->in_row[i])
            return kp_fail(KP_EINVAL, "rows for input \"%s\" have too few bytes", want->name);
    }
    *n_rows = item->rows[0].shape[0];
    return 0;
}

static int check_item(const kp_pipeline *p, const kp_item *item, int64_t *n_rows)
{
    *n_rows = 1;
    if (p->opt.kind == KP_PIPELINE_ROWS) {
        if (item->kind != KP_ITEM_ROWS)
            return kp_fail(KP_EINVAL, "this pipeline takes rows, not files");
        return check_rows(p, item, n_rows);
    }
    if (item->kind == KP_ITEM_PATH && item->path != NULL)
        return 0;
    if (item->kind == KP_ITEM_BYTES && (item->bytes != NULL || item->size_bytes == 0))
        return 0;
    return kp_fail(KP_EINVAL, "an item for an image pipeline must be a path or bytes");
}

/* The record is ours alone here: FILLING. */
static void fill_record(kp_pipeline *p, uint32_t id, const kp_item *item, int64_t n_rows)
{
    kp_record *r = &p->records[id];
    r->kind = item->kind;
    r->tag = item->tag;
    r->bytes = item->bytes;
    r->size_bytes = item->size_bytes;
    r->n_rows = n_rows;
    r->strikes = r->soft_strikes = r->device_deaths = r->device_soft_deaths = 0;
    r->group = 0;
    r->exif_turned = false;
    r->error = KP_ITEM_OK;
    r->message[0] = '\0';
    const char *name = item->path != NULL ? item->path : "";
    size_t size = strlen(name) + 1;
    if (size > r->name_cap) {
        free(r->name);
        r->name = malloc(size);
        r->name_cap = r->name != NULL ? size : 0;
    }
    if (r->name != NULL)
        memcpy(r->name, name, size);
    if (item->kind != KP_ITEM_ROWS)
        return;
    unsigned char *slot = (unsigned char *)p->slots_region.base + id * p->geo.slot_stride;
    for (uint32_t i = 0; i < p->geo.rows.n; i++)
        memcpy(slot + p->geo.slot_offset[i], item->rows[i].data, (size_t)n_rows * p->geo.in_row[i]);
}

/* With the lock: a free record, or why there is none. */
static int acquire(kp_pipeline *p, int timeout_ms, uint32_t *id)
{
    struct timespec deadline = timeout_ms > 0 ? deadline_after(timeout_ms) : (struct timespec){0};
    while (p->status == 0 && !p->finish && p->free.n == 0) {
        p->submit_waiting++;
        bool more = wait_for(p, &p->room, timeout_ms, &deadline);
        p->submit_waiting--;
        if (!more && p->free.n == 0)
            return KP_EAGAIN;
    }
    if (p->status != 0)
        return kp_fail(p->status, "%s", p->text);
    if (p->finish)
        return kp_fail(KP_EINVAL, "items cannot be submitted after kp_pipeline_finish");
    *id = kp_list_pop(p, &p->free);
    kp_record *r = &p->records[*id];
    kp_item_move(r, KP_ITEM_FILLING);
    r->index = p->submitted++;
    p->order[r->index % p->geo.n_cells] = *id;
    p->filling++;
    return 0;
}

int kp_pipeline_submit(kp_pipeline *p, const kp_item *item, int timeout_ms)
{
    if (p == NULL || item == NULL)
        return kp_fail(KP_EINVAL, "kp_pipeline_submit without a pipeline or an item");
    int64_t n_rows;
    uint32_t id = KP_NOBODY;
    KP_TRY(check_item(p, item, &n_rows));
    pthread_mutex_lock(&p->lock);
    int status = acquire(p, timeout_ms, &id);
    pthread_mutex_unlock(&p->lock);
    if (status != 0)
        return status;
    fill_record(p, id, item, n_rows);
    pthread_mutex_lock(&p->lock);
    p->filling--;
    kp_list_push(p, &p->incoming, id);
    kp_queue_wake_hub(p);
    pthread_mutex_unlock(&p->lock);
    return 0;
}

int kp_pipeline_finish(kp_pipeline *p)
{
    if (p == NULL)
        return kp_fail(KP_EINVAL, "kp_pipeline_finish without a pipeline");
    pthread_mutex_lock(&p->lock);
    p->finish = true;
    pthread_cond_broadcast(&p->room);
    pthread_cond_broadcast(&p->results);
    kp_queue_wake_hub(p);
    pthread_mutex_unlock(&p->lock);
    return 0;
}

void kp_queue_drop(kp_pipeline *p)
{
    pthread_mutex_lock(&p->lock);
    p->finish = p->drop = true;
    pthread_cond_broadcast(&p->room);
    pthread_cond_broadcast(&p->results);
    kp_queue_wake_hub(p);
    pthread_mutex_unlock(&p->lock);
}

/* ---- next ---- */

static bool next_is_finished(const kp_pipeline *p)
{
    return p->taken < p->submitted && p->records[p->order[p->taken % p->geo.n_cells]].finished;
}

/* With the lock: the oldest record, which is finished, becomes a result. */
static void take(kp_pipeline *p, kp_result *out)
{
    kp_record *r = &p->records[p->order[p->taken++ % p->geo.n_cells]];
    kp_item_move(r, KP_ITEM_DELIVERED);
    *out = (kp_result){.tag = r->tag,
                       .index = r->index,
                       .error = r->error,
                       .message = r->message,
                       .n_rows = r->n_rows,
                       .exif_turned = r->exif_turned,
                       .owner = r};
    if (r->error != KP_ITEM_OK)
        return;
    for (uint32_t o = 0; o < p->geo.outputs.n; o++) {
        r->outputs[o].shape[0] = r->n_rows;
        r->outputs[o].size_bytes = (size_t)r->n_rows * p->geo.out_row[o];
    }
    out->outputs = r->outputs;
    out->n_outputs = p->geo.outputs.n;
}

static void give_back(kp_pipeline *p, kp_record *r)
{
    r->finished = false;
    kp_item_move(r, KP_ITEM_FREE);
    kp_list_push(p, &p->free, (uint32_t)(r - p->records));
    if (p->submit_waiting > 0)
        pthread_cond_signal(&p->room);
}

int kp_pipeline_next(kp_pipeline *p, kp_result *out, int timeout_ms)
{
    if (p == NULL || out == NULL)
        return kp_fail(KP_EINVAL, "kp_pipeline_next without a pipeline or room for a result");
    memset(out, 0, sizeof *out);
    struct timespec deadline = timeout_ms > 0 ? deadline_after(timeout_ms) : (struct timespec){0};
    bool by_callback = p->opt.on_result != NULL;
    int status = KP_EAGAIN;
    pthread_mutex_lock(&p->lock);
    for (;;) {
        if (!by_callback && next_is_finished(p)) {
            take(p, out);
            status = 0;
            break;
        }
        if (p->status != 0) {
            status = kp_fail(p->status, "%s", p->text);
            break;
        }
        if (p->finish && p->taken == p->submitted && !p->delivering) {
            status = KP_EEND;
            break;
        }
        if (!wait_for(p, &p->results, timeout_ms, &deadline))
            break;
    }
    pthread_mutex_unlock(&p->lock);
    return status;
}

void kp_result_release(kp_pipeline *p, kp_result *r)
{
    if (p == NULL || r == NULL || r->owner == NULL)
        return;
    /* A copy of a result that was released, or one of another pipeline, is not taken again. */
    uintptr_t at = (uintptr_t)r->owner - (uintptr_t)p->records;
    size_t id = at / sizeof *p->records;
    pthread_mutex_lock(&p->lock);
    if (id < p->geo.n_cells && &p->records[id] == r->owner &&
        kp_item_may_move(p->records[id].state, KP_ITEM_FREE))
        give_back(p, r->owner);
    pthread_mutex_unlock(&p->lock);
    memset(r, 0, sizeof *r);
}

/* ---- the hub thread's calls ---- */

/* With the lock: one more than the last item that somebody has begun. Results leave in order, so
 * what stands before it is needed. */
static uint64_t end_of_begun(const kp_pipeline *p)
{
    uint64_t end = p->taken;
    for (uint32_t i = 0; i < p->geo.n_cells; i++) {
        const kp_record *r = &p->records[i];
        bool begun =
            r->state != KP_ITEM_FREE && r->state != KP_ITEM_FILLING && r->state != KP_ITEM_QUEUED;
        if (begun && r->index >= end)
            end = r->index + 1;
    }
    return end;
}

static void drop_after(kp_pipeline *p, kp_list *l, uint64_t end)
{
    for (uint32_t n = l->n; n > 0; n--) {
        uint32_t id = kp_list_pop(p, l);
        kp_record *r = &p->records[id];
        if (r->index < end) {
            kp_list_push(p, l, id);
        } else {
            kp_item_move(r, KP_ITEM_FREE);
            kp_list_push(p, &p->free, id);
        }
    }
}

/* Nobody can submit any more; whoever is still filling an item will hand it over: then again. */
static void drop_waiting(kp_pipeline *p)
{
    pthread_mutex_lock(&p->lock);
    if (p->filling == 0 && p->incoming.n == 0) {
        uint64_t end = p->opt.kind == KP_PIPELINE_ROWS ? p->submitted : end_of_begun(p);
        drop_after(p, &p->queued, end);
        drop_after(p, &p->retry, end);
        p->submitted = end;
        p->drop = false;
        pthread_cond_broadcast(&p->results);
    }
    pthread_mutex_unlock(&p->lock);
}

uint32_t kp_queue_take_incoming(kp_pipeline *p)
{
    pthread_mutex_lock(&p->lock);
    kp_list list = p->incoming;
    p->incoming = KP_LIST_EMPTY;
    bool drop = p->drop;
    pthread_mutex_unlock(&p->lock);
    uint32_t n = list.n;
    while (list.n > 0) {
        uint32_t id = kp_list_pop(p, &list);
        kp_record *r = &p->records[id];
        if (r->kind != KP_ITEM_ROWS) {
            kp_item_move(r, KP_ITEM_QUEUED);
            kp_list_push(p, &p->queued, id);
            continue;
        }
        /* Rows lie in the slot of the record's own number: the caller has written them. */
        kp_slot *s = &p->slots[id];
        kp_slot_move(s, KP_SLOT_OWNED);
        kp_slot_move(s, KP_SLOT_READY);
        s->gen++;
        s->item = r->slot = id;
        s->owner = KP_CALLER;
        kp_item_move(r, KP_ITEM_READY);
        kp_batcher_ready(p, id);
    }
    if (drop)
        drop_waiting(p);
    return n;
}

/* By callback: everything that is next in order, without the lock around the caller's code. */
static void deliver(kp_pipeline *p)
{
    pthread_mutex_lock(&p->lock);
    while (next_is_finished(p)) {
        kp_result result;
        take(p, &result);
        p->delivering = true;
        pthread_mutex_unlock(&p->lock);
        p->opt.on_result(p->opt.on_result_ctx, &result);
        pthread_mutex_lock(&p->lock);
        p->delivering = false;
        give_back(p, result.owner);
    }
    if (p->finish && p->taken == p->submitted)
        pthread_cond_broadcast(&p->results);
    pthread_mutex_unlock(&p->lock);
}

/* Nothing is under way, or there is no room for more: the caller has something to take or to give.
 */
static void note_who_is_late(kp_pipeline *p)
{
    bool waiting = next_is_finished(p);
    bool idle =
        !p->finish && p->incoming.n == 0 && p->count.processed + p->count.failed == p->submitted;
    p->sink_late = waiting && (idle || p->free.n == 0);
    p->source_late = idle && !waiting;
}

void kp_queue_publish(kp_pipeline *p)
{
    bool any = p->done.n > 0;
    pthread_mutex_lock(&p->lock);
    while (p->done.n > 0)
        p->records[kp_list_pop(p, &p->done)].finished = true;
    p->count.submitted = p->submitted;
    p->count.delivered = p->taken;
    p->count.seconds = p->now - p->opened_at;
    p->stats = p->count;
    p->shown_sink_s = p->sink_s;
    p->shown_source_s = p->source_s;
    note_who_is_late(p);
    if (any && next_is_finished(p))
        pthread_cond_broadcast(&p->results);
    pthread_mutex_unlock(&p->lock);
    if (any && p->opt.on_result != NULL)
        deliver(p);
}
