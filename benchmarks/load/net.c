/* TCP: connections, bytes out and bytes in. */
#define _GNU_SOURCE
#include "load.h"
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

void on_command(void); /* main.c */

enum {
    MAX_EVENTS = 512,
    BETWEEN_URGENT = 16, /* ordinary events until the urgent ones are looked for again */
};

static int epoll, urgent;
static uint8_t scratch[2 * MAX_INPUT];

void start_network(void) {
    struct rlimit files;
    getrlimit(RLIMIT_NOFILE, &files);
    files.rlim_cur = files.rlim_max; /* the usual soft limit of 1024 is too few */
    setrlimit(RLIMIT_NOFILE, &files);
    epoll = epoll_create1(EPOLL_CLOEXEC);
    urgent = epoll_create1(EPOLL_CLOEXEC);
    struct epoll_event commands = {.events = EPOLLIN}; /* data.ptr is NULL: not a connection */
    struct epoll_event others = {.events = EPOLLIN, .data.ptr = &urgent};
    if (epoll < 0 || urgent < 0 || epoll_ctl(epoll, EPOLL_CTL_ADD, STDIN_FILENO, &commands) ||
        epoll_ctl(epoll, EPOLL_CTL_ADD, urgent, &others))
        die("start: %s", strerror(errno));
}

static void watch(struct conn *c, int operation) {
    struct epoll_event e = {.events = EPOLLIN | (c->wants_out ? EPOLLOUT : 0), .data.ptr = c};
    if (epoll_ctl(c->urgent ? urgent : epoll, operation, c->fd, &e)) die("epoll_ctl: %s", strerror(errno));
}

static void keep(struct conn *c, const void *data, size_t size) {
    c->out = allocated(realloc(c->out, c->out_size + size));
    memcpy(c->out + c->out_size, data, size);
    c->out_size += size;
}

/* From a loopback address that changes: one address has too few ports for all that a run connects. */
static void bind_somewhere(int fd) {
    static unsigned next;
    int on = 1;
    setsockopt(fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &on, sizeof on);
    struct sockaddr_in from = {.sin_family = AF_INET};
    from.sin_addr.s_addr = htonl(INADDR_LOOPBACK + 1 + next++ % 250);
    if (bind(fd, (struct sockaddr *)&from, sizeof from)) die("bind: %s", strerror(errno));
}

/* `first` is what is sent as soon as the connection stands. */
void open_tcp(struct conn *c, const void *first, size_t size, reader read) {
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons(port)};
    to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    c->fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (c->fd < 0) die("socket: %s", strerror(errno));
    int on = 1;
    setsockopt(c->fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    bind_somewhere(c->fd);
    if (connect(c->fd, (struct sockaddr *)&to, sizeof to) && errno != EINPROGRESS)
        die("connect: %s", strerror(errno));
    c->read = read;
    c->state = OPENING;
    /* Not connected yet: the request waits in `out` until the socket is writable. */
    if (size) keep(c, first, size);
    c->wants_out = true;
    watch(c, EPOLL_CTL_ADD);
}

void close_tcp(struct conn *c) {
    if (c->fd < 0) return;
    close(c->fd);
    c->fd = -1;
    free(c->in);
    free(c->out);
    c->in = c->out = NULL;
    c->in_size = c->out_size = 0;
    c->wants_out = false;
    c->part = c->owed = c->oldest = c->in_flight = 0;
}

void send_bytes(struct conn *c, const void *data, size_t size) {
    ssize_t sent = 0;
    if (!c->out_size) {
        sent = send(c->fd, data, size, MSG_NOSIGNAL);
        if (sent < 0 && errno != EAGAIN) {
            if (c->state == CLOSING || c->may_end) return; /* it reads the end next */
            die("send: %s", strerror(errno));
        }
        if (sent < 0) sent = 0;
    }
    size_t left = size - (size_t)sent;
    if (!left) return;
    keep(c, (const uint8_t *)data + sent, left);
    if (!c->wants_out) c->wants_out = true, watch(c, EPOLL_CTL_MOD);
}

static void send_rest(struct conn *c) {
    if (c->out_size) {
        ssize_t sent = send(c->fd, c->out, c->out_size, MSG_NOSIGNAL);
        if (sent < 0 && errno != EAGAIN) die("send: %s", strerror(errno));
        if (sent > 0) memmove(c->out, c->out + sent, c->out_size -= (size_t)sent);
    }
    if (!c->out_size) c->wants_out = false, watch(c, EPOLL_CTL_MOD);
}

static void on_end(struct conn *c) {
    if (c->state != CLOSING && !c->may_end) die("the server hung up");
    void (*closed)(struct conn *) = c->closed;
    close_tcp(c);
    if (closed) closed(c);
}

static void on_readable(struct conn *c) {
    if (c->in_size) memcpy(scratch, c->in, c->in_size);
    ssize_t got = recv(c->fd, scratch + c->in_size, MAX_INPUT, 0);
    if (got < 0 && errno == EAGAIN) return;
    if (got < 0 && c->state != CLOSING && !c->may_end) die("recv: %s", strerror(errno));
    if (got <= 0) {
        on_end(c);
        return;
    }
    size_t size = c->in_size + (size_t)got, used = 0;
    for (reader before = NULL; before != c->read;) { /* a reader may hand on to the next one */
        before = c->read;
        used += c->read(c, scratch + used, size - used);
    }
    if (work->after) work->after(c);
    if (c->fd < 0) return;
    size_t left = size - used;
    if (left > MAX_INPUT) die("%zu bytes without a whole frame", left);
    if (left) {
        c->in = allocated(realloc(c->in, left));
        memcpy(c->in, scratch + used, left);
    }
    c->in_size = left;
}

static void on_event(struct epoll_event *e) {
    struct conn *c = e->data.ptr;
    now = clock_ns();
    if (c->fd >= 0 && e->events & EPOLLOUT) send_rest(c);
    if (c->fd >= 0 && e->events & ~(uint32_t)EPOLLOUT) on_readable(c);
}

void serve_urgent(void) {
    struct epoll_event events[MAX_IN_FLIGHT];
    int count = epoll_wait(urgent, events, MAX_IN_FLIGHT, 0);
    for (int i = 0; i < count; i++) on_event(&events[i]);
    now = clock_ns();
    if (slice.on && work->tick) work->tick();
}

void serve(int patience) {
    static struct epoll_event events[MAX_EVENTS];
    int count = epoll_wait(epoll, events, MAX_EVENTS, patience);
    if (count < 0 && errno != EINTR) die("epoll_wait: %s", strerror(errno));
    for (int i = 0; i < count; i++) {
        if (!events[i].data.ptr) on_command();
        else if (events[i].data.ptr == &urgent) serve_urgent();
        else on_event(&events[i]);
        if (slice.on && work->tick && i % BETWEEN_URGENT == BETWEEN_URGENT - 1) serve_urgent();
    }
}
