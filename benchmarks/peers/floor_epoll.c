/* A floor, not a peer: a bare WebSocket echo in C on epoll, no Engine.IO and no Socket.IO.
 *
 *     floor_epoll PORT
 *
 * What a server must do at the least: one epoll_wait, one recv and one send for each message (or for all
 * that one recv has brought), the payload unmasked and copied behind a new header. It trusts its client, the
 * load generator: short requests, the generator's one key, whole frames within BUFFER bytes.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

enum { BUFFER = 1 << 20, MAX_EVENTS = 512 };

/* The answer to the key that the generator sends (RFC 6455, section 1.3: its example). */
static const char welcome[] = "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n"
                              "Connection: Upgrade\r\nSec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n";

struct peer {
    int fd;
    bool open;             /* the handshake is done */
    uint8_t *rest;         /* a frame that is not whole yet */
    size_t rest_size;
};

static int epoll;
static uint8_t in[2 * BUFFER], out[2 * BUFFER];

static void end(struct peer *p) {
    close(p->fd);
    free(p->rest);
    free(p);
}

static bool send_all(int fd, const uint8_t *data, size_t size) {
    while (size) {
        ssize_t sent = send(fd, data, size, MSG_NOSIGNAL);
        if (sent < 0 && errno != EAGAIN) return false;
        if (sent > 0) data += sent, size -= (size_t)sent;
    }
    return true;
}

/* The echoes of all whole frames; returns how many bytes of the input they were. */
static size_t answer(const uint8_t *data, size_t size, size_t *answered, bool *closed) {
    size_t at = 0, to = 0;
    while (size - at >= 6) {
        const uint8_t *f = data + at;
        size_t length = f[1] & 0x7f, header = 6;
        if (length == 126) {
            if (size - at < (header = 8)) break;
            length = (size_t)f[2] << 8 | f[3];
        } else if (length == 127) {
            if (size - at < (header = 14)) break;
            length = (size_t)f[6] << 24 | (size_t)f[7] << 16 | (size_t)f[8] << 8 | f[9];
        }
        if (length > BUFFER - 14) exit(1);
        if (size - at < header + length) break;
        if ((f[0] & 0x0f) == 8) *closed = true;
        size_t own = header - 4; /* the header without the key */
        memcpy(out + to, f, own);
        out[to + 1] &= 0x7f;
        uint64_t key;
        memcpy(&key, f + own, 4);
        key = (key & 0xffffffff) | key << 32;
        uint8_t *target = out + to + own;
        const uint8_t *source = f + header;
        size_t i = 0;
        for (; i + 8 <= length; i += 8) {
            uint64_t word;
            memcpy(&word, source + i, 8);
            word ^= key;
            memcpy(target + i, &word, 8);
        }
        for (; i < length; i++) target[i] = source[i] ^ f[own + (i & 3)];
        to += own + length;
        at += header + length;
    }
    *answered = to;
    return at;
}

static void on_readable(struct peer *p) {
    if (p->rest_size) memcpy(in, p->rest, p->rest_size);
    ssize_t got = recv(p->fd, in + p->rest_size, BUFFER, 0);
    if (got < 0 && errno == EAGAIN) return;
    if (got <= 0) {
        end(p);
        return;
    }
    size_t size = p->rest_size + (size_t)got, used = 0, answered = 0;
    bool closed = false;
    if (!p->open) {
        if (size >= 4 && !memcmp(in + size - 4, "\r\n\r\n", 4)) {
            p->open = true;
            used = size;
            memcpy(out, welcome, answered = sizeof welcome - 1);
        }
    } else
        used = answer(in, size, &answered, &closed);
    if (answered && !send_all(p->fd, out, answered)) closed = true;
    if (closed) {
        end(p);
        return;
    }
    size_t left = size - used;
    if (left > BUFFER) exit(1);
    if (left) {
        p->rest = realloc(p->rest, left);
        if (!p->rest) exit(1);
        memcpy(p->rest, in + used, left);
    }
    p->rest_size = left;
}

static void on_connection(int listener) {
    int fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC), on = 1;
    if (fd < 0) return;
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    struct peer *p = calloc(1, sizeof *p);
    if (!p) exit(1);
    p->fd = fd;
    struct epoll_event e = {.events = EPOLLIN, .data.ptr = p};
    if (epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &e)) exit(1);
}

int main(int argc, char **argv) {
    if (argc < 2) return 2;
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_port = htons((uint16_t)atoi(argv[1]))};
    at.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    int listener = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0), on = 1;
    setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    if (bind(listener, (struct sockaddr *)&at, sizeof at) || listen(listener, 1024)) return 1;
    epoll = epoll_create1(EPOLL_CLOEXEC);
    struct epoll_event e = {.events = EPOLLIN}; /* data.ptr is NULL: the listener */
    if (epoll_ctl(epoll, EPOLL_CTL_ADD, listener, &e)) return 1;
    for (;;) {
        struct epoll_event events[MAX_EVENTS];
        int count = epoll_wait(epoll, events, MAX_EVENTS, -1);
        for (int i = 0; i < count; i++) {
            if (events[i].data.ptr) on_readable(events[i].data.ptr);
            else on_connection(listener);
        }
    }
}
