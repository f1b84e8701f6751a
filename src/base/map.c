/* A regular file mapped for reading. */
#include "base/base.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

/* The mapped files of this process: kp_map_drop must know them from memory whose bytes would be
 * lost. More than these (a process has one or two) are never dropped. */
enum { MAPS_MAX = 64 };
static pthread_mutex_t maps_lock = PTHREAD_MUTEX_INITIALIZER;
static kp_map maps[MAPS_MAX];

static void note_map(const kp_map *old, const kp_map *now)
{
    pthread_mutex_lock(&maps_lock);
    for (int i = 0; i < MAPS_MAX; i++) {
        if (maps[i].data == old->data && maps[i].size == old->size) {
            maps[i] = *now;
            break;
        }
    }
    pthread_mutex_unlock(&maps_lock);
}

void kp_map_drop(const void *p, size_t size_bytes)
{
    uintptr_t page = (uintptr_t)sysconf(_SC_PAGESIZE), from = (uintptr_t)p, to = from + size_bytes;
    from = (from + page - 1) / page * page;
    to = to / page * page;
    if (from >= to)
        return;
    pthread_mutex_lock(&maps_lock);
    for (int i = 0; i < MAPS_MAX; i++) {
        uintptr_t begin = (uintptr_t)maps[i].data;
        if (begin != 0 && from >= begin && to <= begin + maps[i].size) {
            madvise((void *)from, to - from, MADV_DONTNEED);
            break;
        }
    }
    pthread_mutex_unlock(&maps_lock);
}

int kp_map_open(kp_map *out, const char *path)
{
    memset(out, 0, sizeof *out);
    /* O_NONBLOCK: opening a FIFO without a writer must not wait. */
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (fd < 0)
        return kp_fail_errno(KP_EIO, errno, "could not open \"%s\"", path);
    struct stat st;
    int status = 0;
    if (fstat(fd, &st) != 0)
        status = kp_fail_errno(KP_EIO, errno, "could not read \"%s\"", path);
    else if (!S_ISREG(st.st_mode))
        status = kp_fail(KP_EIO, "cannot read \"%s\": %s", path,
                         S_ISDIR(st.st_mode) ? "it is a directory" : "it is not a regular file");
    else if (st.st_size > 0) {
        void *p = mmap(NULL, (size_t)st.st_size, PROT_READ, MAP_PRIVATE, fd, 0);
        if (p == MAP_FAILED) {
            status = kp_fail_errno(KP_EIO, errno, "could not map \"%s\"", path);
        } else {
            out->data = p;
            out->size = (size_t)st.st_size;
            note_map(&(kp_map){0}, out);
        }
    }
    close(fd);
    return status;
}

void kp_map_close(kp_map *m)
{
    if (m->data == NULL)
        return;
    note_map(m, &(kp_map){0});
    munmap((void *)(uintptr_t)m->data, m->size);
    memset(m, 0, sizeof *m);
}
