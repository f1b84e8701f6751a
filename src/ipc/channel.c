/* The control socket: typed messages of fixed size, checked on arrival, with descriptors. */
#include "ipc/ipc.h"

#include <errno.h>
#include <sys/socket.h>
#include <unistd.h>

static size_t body_size(uint32_t type)
{
    static const size_t sizes[KP_MSG_TYPE_COUNT] = {
        [KP_MSG_WORKER_SETUP] = sizeof(kp_wire_worker_setup),
        [KP_MSG_PORTS] = sizeof(kp_wire_ports),
        [KP_MSG_WORKER_MAP] = sizeof(kp_wire_worker_map),
        [KP_MSG_DEVICE_SETUP] = sizeof(kp_wire_device_setup),
        [KP_MSG_DEVICE_INFO] = sizeof(kp_wire_device_info),
        [KP_MSG_DEVICE_STAGE] = sizeof(kp_wire_device_stage),
        [KP_MSG_STAGED] = sizeof(kp_wire_ports),
        [KP_MSG_DEVICE_MAP] = sizeof(kp_wire_device_map),
        [KP_MSG_REFUSED] = sizeof(kp_wire_refused),
    };
    return type < KP_MSG_TYPE_COUNT ? sizes[type] : 0;
}

int kp_channel_send(int fd, kp_msg *msg, uint32_t type, const int *fds, size_t n_fds)
{
    msg->magic = KP_WIRE_MAGIC;
    msg->type = type;
    msg->size = (uint32_t)body_size(type);
    msg->reserved = 0;
    struct iovec iov = {msg, offsetof(kp_msg, body) + msg->size};
    union {
        char bytes[CMSG_SPACE(KP_MSG_FDS * sizeof(int))];
        struct cmsghdr align;
    } control = {{0}};
    struct msghdr h = {.msg_iov = &iov, .msg_iovlen = 1};
    if (n_fds > 0) {
        h.msg_control = control.bytes;
        h.msg_controllen = CMSG_SPACE(n_fds * sizeof(int));
        struct cmsghdr *c = CMSG_FIRSTHDR(&h);
        c->cmsg_level = SOL_SOCKET;
        c->cmsg_type = SCM_RIGHTS;
        c->cmsg_len = CMSG_LEN(n_fds * sizeof(int));
        memcpy(CMSG_DATA(c), fds, n_fds * sizeof(int));
    }
    ssize_t n;
    do
        n = sendmsg(fd, &h, MSG_NOSIGNAL);
    while (n < 0 && errno == EINTR);
    if (n < 0)
        return kp_fail_errno(KP_EIO, errno, "could not send a control message");
    return 0;
}

static bool check_ports(kp_wire_ports *ports)
{
    if (ports->n > KP_WIRE_PORTS)
        return false;
    for (uint32_t i = 0; i < ports->n; i++) {
        kp_wire_port *p = &ports->port[i];
        p->name[KP_WIRE_NAME - 1] = '\0';
        if (p->dtype <= KP_DTYPE_NONE || p->dtype >= KP_DTYPE_COUNT || p->ndim < 0 ||
            p->ndim > KP_MAX_DIMS)
            return false;
    }
    return true;
}

#define TERMINATE(field) ((field)[sizeof(field) - 1] = '\0')

/* Makes the body safe to read as what its type says. */
static bool check_body(kp_msg *m)
{
    switch (m->type) {
    case KP_MSG_PORTS:
    case KP_MSG_STAGED:
        return check_ports(&m->body.ports);
    case KP_MSG_WORKER_SETUP:
        TERMINATE(m->body.worker_setup.plugin);
        TERMINATE(m->body.worker_setup.plugin_arg);
        TERMINATE(m->body.worker_setup.resize);
        TERMINATE(m->body.worker_setup.decode);
        return check_ports(&m->body.worker_setup.inputs);
    case KP_MSG_DEVICE_SETUP:
        TERMINATE(m->body.device_setup.model);
        TERMINATE(m->body.device_setup.architecture);
        TERMINATE(m->body.device_setup.plugins);
        TERMINATE(m->body.device_setup.layers);
        TERMINATE(m->body.device_setup.device);
        TERMINATE(m->body.device_setup.precision);
        return true;
    case KP_MSG_DEVICE_INFO:
        TERMINATE(m->body.device_info.name);
        TERMINATE(m->body.device_info.class_name);
        TERMINATE(m->body.device_info.keras_version);
        TERMINATE(m->body.device_info.preprocess);
        TERMINATE(m->body.device_info.backend);
        return check_ports(&m->body.device_info.inputs) &&
               check_ports(&m->body.device_info.outputs);
    case KP_MSG_DEVICE_STAGE:
        TERMINATE(m->body.device_stage.scaling);
        return check_ports(&m->body.device_stage.rows);
    case KP_MSG_REFUSED:
        TERMINATE(m->body.refused.text);
        return m->body.refused.status < 0;
    default:
        return true;
    }
}

static void take_fds(struct msghdr *h, int *fds)
{
    int n = 0;
    for (struct cmsghdr *c = CMSG_FIRSTHDR(h); c != NULL; c = CMSG_NXTHDR(h, c)) {
        if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS)
            continue;
        size_t count = (c->cmsg_len - CMSG_LEN(0)) / sizeof(int);
        for (size_t i = 0; i < count; i++) {
            int fd;
            memcpy(&fd, CMSG_DATA(c) + i * sizeof(int), sizeof fd);
            if (n < KP_MSG_FDS)
                fds[n++] = fd;
            else
                close(fd);
        }
    }
}

int kp_channel_recv(int fd, kp_msg *msg, int *fds, bool block)
{
    struct iovec iov = {msg, sizeof *msg};
    union {
        char bytes[CMSG_SPACE(KP_MSG_FDS * sizeof(int))];
        struct cmsghdr align;
    } control = {{0}};
    struct msghdr h = {.msg_iov = &iov,
                       .msg_iovlen = 1,
                       .msg_control = control.bytes,
                       .msg_controllen = sizeof control.bytes};
    for (int i = 0; i < KP_MSG_FDS; i++)
        fds[i] = -1;
    ssize_t n;
    do
        n = recvmsg(fd, &h, MSG_CMSG_CLOEXEC | (block ? 0 : MSG_DONTWAIT));
    while (n < 0 && errno == EINTR);
    if (n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK))
        return KP_EAGAIN;
    if (n < 0 && errno != ECONNRESET)
        return kp_fail_errno(KP_EIO, errno, "could not read a control message");
    if (n <= 0)
        return KP_EEND;
    take_fds(&h, fds);
    size_t head = offsetof(kp_msg, body);
    if ((size_t)n < head || msg->magic != KP_WIRE_MAGIC || msg->type == 0 ||
        msg->type >= KP_MSG_TYPE_COUNT || msg->size != body_size(msg->type) ||
        (size_t)n != head + msg->size || (h.msg_flags & (MSG_TRUNC | MSG_CTRUNC)) != 0 ||
        !check_body(msg)) {
        for (int i = 0; i < KP_MSG_FDS; i++)
            if (fds[i] >= 0)
                close(fds[i]);
        return kp_fail(KP_EINTERNAL, "a control message is malformed; all of kpredict's programs "
                                     "must come from the same build");
    }
    return 0;
}
