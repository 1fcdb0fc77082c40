/* A connection that waits on a listening socket is accepted, and looked at: what has come of it stays unread. No Python. */
#ifndef SOCKETEER_INCOMING_H
#define SOCKETEER_INCOMING_H

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>

enum { INCOMING_SEEN = 8192 }; /* bytes that are looked at, at most: a longer head is none that is read in one go */

typedef struct {
    int fd;
    unsigned port;
    char host[INET6_ADDRSTRLEN];
    size_t size; /* of what has come */
    char seen[INCOMING_SEEN];
} incoming;

/* Returns 0, or -1 with `errno`: EAGAIN where nobody waits. A connection that is lost already looks like a silent one. */
static int incoming_accept(int listener, incoming *self) {
    struct sockaddr_storage from;
    socklen_t length = sizeof from;
    const void *address = &((struct sockaddr_in *)&from)->sin_addr;
    ssize_t size;

    self->fd = accept4(listener, (struct sockaddr *)&from, &length, SOCK_NONBLOCK | SOCK_CLOEXEC);
    if (self->fd < 0)
        return -1;
    if (from.ss_family == AF_INET6)
        address = &((struct sockaddr_in6 *)&from)->sin6_addr;
    self->port = ntohs(((struct sockaddr_in *)&from)->sin_port); /* at the same place in both */
    if (inet_ntop(from.ss_family, address, self->host, sizeof self->host) == NULL)
        self->host[0] = 0;
    size = recv(self->fd, self->seen, sizeof self->seen, MSG_PEEK);
    self->size = size < 0 ? 0 : (size_t)size;
    return 0;
}

/* Take from a connection what has been seen of it. Should it be lost, whoever reads next will notice. */
static void incoming_skip(int fd, size_t size) {
    char dropped[INCOMING_SEEN];
    ssize_t taken;
    while (size > 0 && (taken = recv(fd, dropped, size < sizeof dropped ? size : sizeof dropped, MSG_DONTWAIT)) > 0)
        size -= (size_t)taken;
}

#endif
