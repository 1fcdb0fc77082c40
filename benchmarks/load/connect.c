/* The works that connect: each slot connects, leaves, and connects again. A connection counts when its
 * namespace has answered; that it leaves again, and that the server hangs up, is part of its cost. */
#define _GNU_SOURCE
#include "load.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>

static void again(struct conn *c);

static void count(struct conn *c) {
    slice.received++;
    slice.last = now;
    record(&latencies[0], now - c->sent_at[0]);
}

static void left(struct conn *c) {
    slice.awaited--;
    if (time_left()) again(c);
}

static void begin(void) {
    for (unsigned i = 0; i < conn_count; i++) again(&conns[i]);
}

static void start(struct conn *c) {
    slice.awaited++;
    now = clock_ns();
    c->sent_at[0] = now;
}

/* ---- over WebSocket ---- */

static void joined(struct conn *c) {
    count(c);
    close_websocket(c, left);
}

/* ---- by polling, then the upgrade ---- */

struct upgrade {
    struct conn http;
    bool probed, paused;          /* "3probe" has come; the waiting poll has been answered */
    unsigned open;                /* connections that the server has not closed yet */
    char id[60];
    char poll[600];
    size_t poll_size;
};

static struct upgrade *upgrades;

static struct upgrade *of(struct conn *client) { return &upgrades[client - conns]; }

static void end_of_one(struct conn *link) {
    struct conn *c = link->client ? link->client : link;
    if (!--of(c)->open) left(c);
}

static void upgraded_if_both(struct conn *c) {
    struct upgrade *u = of(c);
    if (!u->probed || !u->paused) return;
    send_text(c, "5");
    count(c);
    u->http.state = CLOSING;
    u->http.closed = end_of_one;
    shutdown(u->http.fd, SHUT_WR);
    close_websocket(c, end_of_one);
}

static void probed(struct conn *c) {
    of(c)->probed = true;
    upgraded_if_both(c);
}

static void on_last_poll(struct conn *link, const char *body, size_t size) {
    if (size != 1 || body[0] != '6') die("the last poll brought %.*s", (int)size, body);
    of(link->client)->paused = true;
    upgraded_if_both(link->client);
}

static void on_joined(struct conn *link, const char *body, size_t size) {
    if (size < 3 || memcmp(body, "40{", 3)) die("the second poll brought %.*s", (int)size, body);
    struct upgrade *u = of(link->client);
    char path[160];
    link->answered = on_last_poll;
    send_bytes(link, u->poll, u->poll_size);
    snprintf(path, sizeof path, "/socket.io/?EIO=4&transport=websocket&sid=%s", u->id);
    u->open++;
    upgrade_to_websocket(link->client, path);
}

static void on_posted(struct conn *link, const char *body, size_t size) {
    if (size != 2 || strncasecmp(body, "ok", 2)) die("a POST was answered with %.*s", (int)size, body);
    link->answered = on_joined;
    send_bytes(link, of(link->client)->poll, of(link->client)->poll_size);
}

static void on_opened(struct conn *link, const char *body, size_t size) {
    struct upgrade *u = of(link->client);
    char path[160], request[800];
    session_id(body, size, u->id, sizeof u->id);
    snprintf(path, sizeof path, "/socket.io/?EIO=4&transport=polling&sid=%s", u->id);
    u->poll_size = get_request(u->poll, sizeof u->poll, path);
    link->answered = on_posted;
    send_bytes(link, request, post_request(request, sizeof request, path, "40", 2));
}

static void again_by_polling(struct conn *c) {
    struct upgrade *u = of(c);
    char request[600];
    u->http.client = c;
    u->http.answered = on_opened;
    u->probed = u->paused = false;
    u->open = 1;
    open_tcp(&u->http, request, get_request(request, sizeof request, "/socket.io/?EIO=4&transport=polling"),
             read_http);
}

static void prepare_upgrades(void) {
    upgrades = allocated(calloc(MAX_CONNECTIONS, sizeof *upgrades));
    for (unsigned i = 0; i < MAX_CONNECTIONS; i++) upgrades[i].http.fd = -1;
    on_probe_answer = probed;
}

static void again(struct conn *c) {
    start(c);
    if (upgrades) again_by_polling(c);
    else open_websocket(c);
}

const struct work connect_works[] = {
    {"connect", "", TEXT, 1, .begin = begin, .message = joined},
    {"upgrade", "", TEXT, 1, .prepare = prepare_upgrades, .begin = begin, .message = joined},
    {0},
};
