/* HTTP long-polling: one connection whose GET waits, and another that POSTs, as browsers have them. */
#define _GNU_SOURCE
#include "load.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

/* What a browser sends along with each request, in short. */
const char browser_headers[] = "User-Agent: Mozilla/5.0 (X11; Linux x86_64)\r\nAccept: */*\r\n"
                               "Accept-Encoding: gzip, deflate\r\nAccept-Language: en\r\n";

struct poller {
    struct conn post;
    bool busy;                    /* a POST has not been answered */
    bool pong_owed;
    unsigned messages_owed;
    char path[120];
    char get[600];
    size_t get_size;
    char *message;                /* the POST of the work's message */
    size_t message_size;
    const char *last;             /* the POST under way: sent again, if the server has just hung up */
    size_t last_size;
    char packet[800];             /* the POST of another packet */
};

size_t get_request(char *to, size_t room, const char *path) {
    int size = snprintf(to, room, "GET %s HTTP/1.1\r\nHost: 127.0.0.1:%u\r\nConnection: keep-alive\r\n%s\r\n",
                        path, port, browser_headers);
    return (size_t)size;
}

size_t post_request(char *to, size_t room, const char *path, const char *body, size_t body_size) {
    int size = snprintf(to, room,
                        "POST %s HTTP/1.1\r\nHost: 127.0.0.1:%u\r\nConnection: keep-alive\r\n%s"
                        "Content-Type: text/plain;charset=UTF-8\r\nContent-Length: %zu\r\n\r\n%.*s",
                        path, port, browser_headers, body_size, (int)body_size, body);
    return (size_t)size;
}

/* The value of a header, or NULL; `name` ends with its colon. */
static const char *header(const char *head, size_t size, const char *name) {
    for (const char *line = head; line < head + size;) {
        if (!strncasecmp(line, name, strlen(name))) return line + strlen(name);
        const char *next = memmem(line, (size_t)(head + size - line), "\r\n", 2);
        if (!next) break;
        line = next + 2;
    }
    return NULL;
}

/* A chunked body, put together at `to`; returns the bytes that it took, 0 if it is not whole yet. */
static size_t join_chunks(const char *data, size_t size, char *to, size_t *joined) {
    size_t at = 0;
    *joined = 0;
    for (;;) {
        const char *line = memmem(data + at, size - at, "\r\n", 2);
        if (!line) return 0;
        size_t chunk = strtoul(data + at, NULL, 16);
        at = (size_t)(line - data) + 2;
        if (chunk > MAX_INPUT / 2 - *joined) die("a chunk of %zu bytes", chunk);
        if (size - at < chunk + 2) return 0;
        memcpy(to + *joined, data + at, chunk);
        *joined += chunk;
        at += chunk + 2;
        if (!chunk) return at;
    }
}

size_t read_http(struct conn *c, const uint8_t *data, size_t size) {
    static char joined[MAX_INPUT / 2];
    size_t at = 0;
    while (size > at) {
        const char *head = (const char *)data + at;
        const char *end = memmem(head, size - at, "\r\n\r\n", 4);
        if (!end) break;
        size_t head_size = (size_t)(end - head) + 4, left = size - at - head_size, body_size, taken;
        const char *body = head + head_size, *length = header(head, head_size - 2, "content-length:");
        if (memcmp(head, "HTTP/1.1 200", 12)) die("the answer %.200s", head);
        if (length) {
            taken = body_size = strtoul(length, NULL, 10);
            if (body_size > MAX_INPUT / 2) die("a body of %zu bytes", body_size);
            if (left < body_size) break;
        } else { /* the only other way to keep the connection */
            if (!header(head, head_size - 2, "transfer-encoding:")) die("a body without end: %.200s", head);
            if (!(taken = join_chunks(body, left, joined, &body_size))) break;
            body = joined;
        }
        at += head_size + taken;
        if (c->state != CLOSING) c->answered(c, body, body_size);
    }
    return at;
}

/* From an open packet: 0{"sid":"...",...} */
void session_id(const char *body, size_t size, char *id, size_t room) {
    static const char name[] = "\"sid\":\"";
    const char *begin = memmem(body, size, name, sizeof name - 1);
    if (!begin) die("no session id in %.*s", (int)(size < 200 ? size : 200), body);
    begin += sizeof name - 1;
    const char *end = memchr(begin, '"', size - (size_t)(begin - body));
    if (!end || (size_t)(end - begin) >= room) die("a session id without end");
    memcpy(id, begin, (size_t)(end - begin));
    id[end - begin] = 0;
}

static void post(struct conn *c, const char *request, size_t size) {
    struct poller *p = c->poller;
    p->busy = true;
    p->last = request;
    p->last_size = size;
    if (p->post.fd < 0) open_tcp(&p->post, request, size, read_http);
    else send_bytes(&p->post, request, size);
}

/* Servers hang up on connections without a request, most after five seconds: it is opened again when needed. */
static void on_post_end(struct conn *link) {
    struct poller *p = link->client->poller;
    if (p->busy) open_tcp(link, p->last, p->last_size, read_http);
}

void refresh_polling(struct conn *c) {
    if (c->poller->post.fd < 0) open_tcp(&c->poller->post, NULL, 0, read_http);
}

static void post_packet(struct conn *c, const char *packet) {
    struct poller *p = c->poller;
    post(c, p->packet, post_request(p->packet, sizeof p->packet, p->path, packet, strlen(packet)));
}

static void post_owed(struct conn *c) {
    struct poller *p = c->poller;
    if (p->busy) return;
    if (p->pong_owed) {
        p->pong_owed = false;
        post_packet(c, "3");
    } else if (p->messages_owed) {
        p->messages_owed--;
        post(c, p->message, p->message_size);
    }
}

void post_message(struct conn *c, const struct exchange *e) {
    struct poller *p = c->poller;
    if (!p->message) {
        size_t room = e->parts[0].size + 800;
        p->message = allocated(malloc(room));
        p->message_size = post_request(p->message, room, p->path, e->parts[0].data, e->parts[0].size);
    }
    p->messages_owed++;
    post_owed(c);
}

static void on_posted(struct conn *link, const char *body, size_t size) {
    if (size != 2 || strncasecmp(body, "ok", 2)) die("a POST was answered with %.*s", (int)size, body);
    struct conn *c = link->client;
    c->poller->busy = false;
    post_owed(c);
}

static void on_polled_packet(struct conn *c, const char *packet, size_t size) {
    if (size == 1 && packet[0] == '2') {
        c->poller->pong_owed = true;
        post_owed(c);
    } else if (c->state == READY && size > 1 && packet[0] == '4')
        take_message(c, 1, (const uint8_t *)packet, size);
    else if (c->state == OPENING && size > 2 && packet[0] == '4' && packet[1] == '0')
        became_ready(c);
    else
        die("unexpected packet %.*s", (int)(size < 200 ? size : 200), packet);
}

static void on_polled(struct conn *c, const char *body, size_t size) {
    send_bytes(c, c->poller->get, c->poller->get_size); /* the next poll, before what this one brought is read */
    for (const char *end = body + size; body < end;) {
        const char *stop = memchr(body, 0x1e, (size_t)(end - body));
        if (!stop) stop = end;
        on_polled_packet(c, body, (size_t)(stop - body));
        body = stop + 1;
    }
}

static void on_opened(struct conn *c, const char *body, size_t size) {
    struct poller *p = c->poller;
    char id[60];
    session_id(body, size, id, sizeof id);
    snprintf(p->path, sizeof p->path, "/socket.io/?EIO=4&transport=polling&sid=%s", id);
    p->get_size = get_request(p->get, sizeof p->get, p->path);
    c->answered = on_polled;
    p->post.answered = on_posted;
    p->post.may_end = true;
    p->post.closed = on_post_end;
    post_packet(c, "40");
    send_bytes(c, p->get, p->get_size);
}

void open_polling(struct conn *c) {
    char request[600];
    c->poller = allocated(calloc(1, sizeof *c->poller));
    c->poller->post.fd = -1;
    c->poller->post.client = c;
    c->answered = on_opened;
    open_tcp(c, request, get_request(request, sizeof request, "/socket.io/?EIO=4&transport=polling"), read_http);
}
