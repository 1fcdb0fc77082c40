/* Many sockets read and written without the interpreter. No Python in here: what belongs to Python is a void pointer.
 *
 * A `lane` is one epoll set with what its last reading has brought: `lane_collect` asks which sockets are ready, receives
 * from each into one shared buffer, and leaves a list of events in the order in which they came. A `line` is one
 * connection: the rest of a frame that is not whole yet, and the pieces that wait to leave.
 */
#ifndef SOCKETEER_SOCKETS_H
#define SOCKETEER_SOCKETS_H

#include <errno.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

#include "frames.h"

enum {
    LANE_READY = 64,          /* sockets of one reading */
    LANE_READ = 65536,        /* bytes that one socket may bring in it */
    LANE_REST = 16384,        /* frames above this are gathered in a buffer of their own */
    LANE_BUFFER = 8 * LANE_READ,
    LANE_PIECES = 64,         /* pieces that leave in one call without being copied */
    LANE_COPY = 32768,        /* bytes that are rather copied together than sent as pieces */
};

/* Where a line is in its life. */
enum {
    LINE_OPEN,
    LINE_CLOSING,  /* our close frame is on its way, the peer's is waited for */
    LINE_LEAVING,  /* ends when what is queued has left */
    LINE_CLOSED,   /* has no descriptor any more */
};

/* What an event is. */
enum {
    EVENT_FRAME,
    EVENT_BROKEN, /* `error` says by what */
    EVENT_END,    /* the peer has ended it, or it is lost */
    EVENT_WROTE,  /* something that had waited has left */
};

typedef struct {
    const unsigned char *bytes;
    size_t size;
    void *owner;
} piece;

typedef struct {
    void *owner;
    int fd;
    unsigned char state;
    unsigned char blocked; /* the system takes no more for now: epoll will tell */
    unsigned char queued;  /* stands in one of the lane's lists of lines to be flushed */
    unsigned char urgent;  /* in the one that is flushed first */
    unsigned char paused;  /* above the high-water mark, and not yet below the low one */
    unsigned char broken;  /* what comes cannot be read any more, and is dropped */
    size_t max_size;
    size_t held;           /* bytes that wait to leave */
    piece *pieces;
    piece first;           /* `pieces` points here as long as one is enough */
    unsigned count, room, gone;
    size_t sent;           /* bytes of pieces[gone] that have left */
    unsigned char *rest;   /* of a frame */
    size_t rest_size, rest_room, rest_whole;
} line;

typedef struct {
    line *from;
    unsigned char *payload;
    unsigned char *owned; /* to be freed once the payload is used, or NULL */
    size_t size;
    unsigned char what, kind, fin, ascii;
    signed char error;
} event;

typedef struct {
    int epoll;
    unsigned char *buffer; /* what has been received */
    unsigned char *copy;   /* pieces that leave together */
    event *events;
    size_t count, room;
    unsigned long sends;   /* system calls that have sent something */
    struct epoll_event ready[LANE_READY];
} lane;

typedef struct {
    line **lines;
    size_t count, room;
} line_list;

static int lane_init(lane *self) {
    memset(self, 0, sizeof *self);
    self->buffer = malloc(LANE_BUFFER); /* the system gives it where it is first used */
    self->copy = malloc(LANE_COPY);
    self->epoll = epoll_create1(EPOLL_CLOEXEC);
    return self->epoll < 0 || self->buffer == NULL || self->copy == NULL ? -1 : 0;
}

static void lane_free(lane *self) {
    if (self->epoll >= 0)
        close(self->epoll);
    self->epoll = -1;
    free(self->buffer);
    free(self->copy);
    free(self->events);
    self->buffer = self->copy = NULL;
    self->events = NULL;
}

static event *lane_event(lane *self, line *from, unsigned char what) {
    event *made;
    if (self->count == self->room) {
        size_t room = self->room ? 2 * self->room : 256;
        event *more = realloc(self->events, room * sizeof *more);
        if (more == NULL)
            return NULL;
        self->events = more;
        self->room = room;
    }
    made = &self->events[self->count++];
    memset(made, 0, sizeof *made);
    made->from = from;
    made->what = what;
    return made;
}

/* --- one line ------------------------------------------------------------------------------------------------- */

/* Tell epoll what to look for; what is there already counts as new. Edge-triggered: a socket is not asked again whether
 * it is still ready, which would cost a twentieth of a bare echo. So whoever leaves something unread watches anew. */
static int line_watch(lane *self, line *on, int operation) {
    struct epoll_event wanted;
    memset(&wanted, 0, sizeof wanted);
    wanted.events = EPOLLET | (on->state == LINE_LEAVING ? 0 : EPOLLIN | EPOLLRDHUP) | (on->blocked ? EPOLLOUT : 0);
    wanted.data.ptr = on;
    return epoll_ctl(self->epoll, operation, on->fd, &wanted);
}

static void line_drop_rest(line *on) {
    free(on->rest);
    on->rest = NULL;
    on->rest_size = on->rest_room = on->rest_whole = 0;
}

/* Take it out of the set and let the descriptor go. What it holds of Python's is the caller's to release. */
static void line_close(lane *self, line *on) {
    if (on->fd >= 0) {
        epoll_ctl(self->epoll, EPOLL_CTL_DEL, on->fd, NULL);
        close(on->fd);
        on->fd = -1;
    }
    on->state = LINE_CLOSED;
    line_drop_rest(on);
}

/* Queue a piece; 0 where there is no memory for it. */
static int line_add(line *on, const unsigned char *bytes, size_t size, void *owner) {
    piece *made;
    if (on->room == 0) {
        on->pieces = &on->first;
        on->room = 1;
    }
    if (on->count == on->room) {
        unsigned room = on->room == 1 ? 8 : 2 * on->room;
        piece *more = on->room == 1 ? malloc(room * sizeof *more) : realloc(on->pieces, room * sizeof *more);
        if (more == NULL)
            return 0;
        if (on->room == 1)
            more[0] = on->first;
        on->pieces = more;
        on->room = room;
    }
    made = &on->pieces[on->count++];
    made->bytes = bytes;
    made->size = size;
    made->owner = owner;
    on->held += size;
    return 1;
}

/* Forget the pieces that have left; their owners have been released. */
static void line_forget(line *on) {
    on->count -= on->gone;
    if (on->count > 0) {
        memmove(on->pieces, on->pieces + on->gone, on->count * sizeof *on->pieces);
    } else if (on->room > 1) {
        free(on->pieces);
        on->pieces = &on->first;
        on->room = 1;
    }
    on->gone = 0;
}

static void line_left(line *on, size_t size) {
    on->held -= size;
    on->sent += size;
    while (on->gone < on->count && on->sent >= on->pieces[on->gone].size)
        on->sent -= on->pieces[on->gone++].size;
}

static ssize_t line_send_once(lane *self, line *on) {
    struct iovec vector[LANE_PIECES];
    struct msghdr message;
    unsigned at = on->gone, used;
    size_t skip = on->sent, size = 0;

    if (on->count - at == 1)
        return send(on->fd, on->pieces[at].bytes + skip, on->pieces[at].size - skip, MSG_NOSIGNAL | MSG_DONTWAIT);
    if (on->held <= LANE_COPY) {
        for (; at < on->count; at++, skip = 0) {
            memcpy(self->copy + size, on->pieces[at].bytes + skip, on->pieces[at].size - skip);
            size += on->pieces[at].size - skip;
        }
        return send(on->fd, self->copy, size, MSG_NOSIGNAL | MSG_DONTWAIT);
    }
    for (used = 0; at < on->count && used < LANE_PIECES; at++, used++, skip = 0) {
        vector[used].iov_base = (void *)(on->pieces[at].bytes + skip);
        vector[used].iov_len = on->pieces[at].size - skip;
    }
    memset(&message, 0, sizeof message);
    message.msg_iov = vector;
    message.msg_iovlen = used;
    return sendmsg(on->fd, &message, MSG_NOSIGNAL | MSG_DONTWAIT);
}

/* Send what is queued, as far as the system takes it. */
static void line_send(lane *self, line *on) {
    unsigned was_blocked = on->blocked;
    on->blocked = 0;
    while (on->fd >= 0 && on->gone < on->count) {
        ssize_t size = line_send_once(self, on);
        if (size >= 0) {
            self->sends++;
            line_left(on, (size_t)size);
        } else if (errno == EAGAIN || errno == EWOULDBLOCK) {
            on->blocked = 1;
            break;
        } else if (errno != EINTR) {
            /* It cannot be written any more: the reading side will find the end, behind what has come before. */
            on->gone = on->count;
            on->held = on->sent = 0;
            shutdown(on->fd, SHUT_RDWR);
        }
    }
    if (on->fd >= 0 && was_blocked != on->blocked)
        line_watch(self, on, EPOLL_CTL_MOD);
}

/* Nothing more will be sent; what still comes is read, so that the last words are not lost. */
static void line_finish(line *on) {
    shutdown(on->fd, SHUT_WR);
}

static int line_list_add(line_list *self, line *on) {
    if (self->count == self->room) {
        size_t room = self->room ? 2 * self->room : 64;
        line **more = realloc(self->lines, room * sizeof *more);
        if (more == NULL)
            return 0;
        self->lines = more;
        self->room = room;
    }
    self->lines[self->count++] = on;
    return 1;
}

/* Send what the first `count` of them have queued. */
static void line_list_send(lane *self, line_list *list, size_t count) {
    size_t index;
    for (index = 0; index < count; index++) {
        line *on = list->lines[index];
        if (on->count && !on->blocked && on->fd >= 0)
            line_send(self, on);
    }
}

/* --- reading -------------------------------------------------------------------------------------------------- */

static void lane_broken(lane *self, line *from, int error) {
    event *made = lane_event(self, from, EVENT_BROKEN);
    line_drop_rest(from);
    from->broken = 1;
    if (made != NULL)
        made->error = (signed char)error;
}

/* Split what has been received; returns how much of it the events refer to. */
static size_t lane_split(lane *self, line *from, unsigned char *bytes, size_t have) {
    size_t at = 0;
    ws_frame frame;
    int found = WS_MORE;

    frame.whole = 0;
    while (at < have && (found = ws_split(bytes + at, have - at, from->max_size, &frame)) == WS_FRAME) {
        event *made = lane_event(self, from, EVENT_FRAME);
        if (made == NULL)
            break;
        made->payload = frame.payload;
        made->size = frame.size;
        made->kind = frame.kind;
        made->fin = frame.fin;
        made->ascii = frame.ascii;
        at += frame.whole;
    }
    if (at == have)
        return at;
    if (found == WS_MORE && (from->rest = malloc(have - at)) != NULL) {
        memcpy(from->rest, bytes + at, have - at);
        from->rest_size = from->rest_room = have - at;
        from->rest_whole = frame.whole;
    } else {
        lane_broken(self, from, found < 0 ? found : WS_TOO_LONG); /* or there is no memory for it */
    }
    return at;
}

/* Split what somebody else has received before the socket was ours. */
static int lane_feed(lane *self, line *to, const char *bytes, size_t size) {
    self->count = 0;
    if (size > LANE_BUFFER)
        return -1;
    memcpy(self->buffer, bytes, size);
    lane_split(self, to, self->buffer, size);
    return 0;
}

/* Receive more of a long frame, into the buffer that has its beginning. It grows with what comes, not with what is
 * announced. */
static ssize_t lane_read_rest(lane *self, line *from) {
    ssize_t size;
    if (from->rest_size == from->rest_room) {
        size_t room = 2 * from->rest_room < 2 * LANE_REST ? 2 * LANE_REST : 2 * from->rest_room;
        unsigned char *more;
        if (room > from->rest_whole)
            room = from->rest_whole;
        more = realloc(from->rest, room);
        if (more == NULL) {
            lane_broken(self, from, WS_TOO_LONG);
            return 1;
        }
        from->rest = more;
        from->rest_room = room;
    }
    size = recv(from->fd, from->rest + from->rest_size, from->rest_room - from->rest_size, MSG_DONTWAIT);
    if (size <= 0)
        return size;
    from->rest_size += (size_t)size;
    if (from->rest_size == from->rest_whole) {
        unsigned char *bytes = from->rest;
        size_t before = self->count;
        from->rest = NULL;
        lane_split(self, from, bytes, from->rest_whole);
        line_drop_rest(from);
        if (self->count > before && self->events[before].what == EVENT_FRAME)
            self->events[before].owned = bytes;
        else
            free(bytes);
    }
    return size;
}

/* Receive once; returns how much of the shared buffer is used from `bytes` on. `ending`: the peer has sent its last. */
static size_t lane_read(lane *self, line *from, unsigned char *bytes, int ending) {
    size_t used = 0;
    ssize_t size;
    int more = ending;

    if (from->broken) {
        size = recv(from->fd, bytes, LANE_READ, MSG_DONTWAIT);
        more |= size == LANE_READ;
    } else if (from->rest_whole > LANE_REST) {
        size = lane_read_rest(self, from);
        more = 1;
    } else {
        size_t before = from->rest_size;
        size = recv(from->fd, bytes + before, LANE_READ, MSG_DONTWAIT);
        more |= size == LANE_READ;
        if (size > 0) {
            if (before) {
                memcpy(bytes, from->rest, before);
                line_drop_rest(from);
            }
            used = lane_split(self, from, bytes, before + (size_t)size);
        }
    }
    if (size == 0 || (size < 0 && errno != EAGAIN && errno != EWOULDBLOCK && errno != EINTR))
        lane_event(self, from, EVENT_END);
    else if (size > 0 ? more : errno == EINTR)
        line_watch(self, from, EPOLL_CTL_MOD);
    return used;
}

/* Ask which sockets are ready, receive from them, go on sending to those that had enough. The events are valid until
 * the next call. Returns how many sockets were ready, or -1. */
static int lane_collect(lane *self) {
    size_t used = 0;
    int index, ready;

    self->count = 0;
    ready = epoll_wait(self->epoll, self->ready, LANE_READY, 0);
    if (ready < 0)
        return errno == EINTR ? 0 : -1;
    for (index = 0; index < ready; index++) {
        line *to = self->ready[index].data.ptr;
        if (self->ready[index].events & EPOLLOUT && to->state != LINE_CLOSED) {
            line_send(self, to);
            lane_event(self, to, EVENT_WROTE);
        }
    }
    for (index = 0; index < ready; index++) {
        line *from = self->ready[index].data.ptr;
        if (!(self->ready[index].events & (EPOLLIN | EPOLLRDHUP | EPOLLHUP | EPOLLERR)) || from->state == LINE_CLOSED)
            continue;
        if (from->state == LINE_LEAVING)
            lane_event(self, from, EVENT_END);
        else if (used + LANE_REST + LANE_READ <= LANE_BUFFER)
            used += lane_read(
                self, from, self->buffer + used, self->ready[index].events & (EPOLLRDHUP | EPOLLHUP | EPOLLERR));
        else
            line_watch(self, from, EPOLL_CTL_MOD);
    }
    return ready;
}

#endif
