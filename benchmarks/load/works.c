/* The works over connections that stay open: echoes, broadcasts, idling. */
#include "load.h"
#include <stdio.h>
#include <string.h>

struct exchange main_exchange;

static void prepare_main(void) {
    unsigned repeats = work->in_flight ? work->in_flight : 1;
    switch (work->payload) {
    case TEXT: prepare_exchange(&main_exchange, repeats, "42[\"%s\",\"%s\"]", work->event, text); break;
    case TYPED: prepare_exchange(&main_exchange, repeats, "42[\"%s\",%s]", work->event, typed); break;
    case BINARY:
        prepare_exchange(&main_exchange, repeats, "451-[\"%s\",{\"_placeholder\":true,\"num\":0}]", work->event);
        attach(&main_exchange, repeats);
    }
}

/* `count` times the work's message in one write, as any client would that has them all at hand. */
void send_messages(struct conn *c, unsigned count, uint64_t since) {
    for (unsigned i = 0; i < count; i++) c->sent_at[(c->oldest + c->in_flight++) % MAX_IN_FLIGHT] = since;
    slice.awaited += count;
    if (c->poller) post_message(c, c->expects);
    else send_bytes(c, c->expects->burst, count * c->expects->frame_size);
}

void record_reply(struct conn *c, struct histogram *h) {
    if (!c->in_flight) die("an echo that was not asked for");
    record(h, now - c->sent_at[c->oldest]);
    c->oldest = (c->oldest + 1) % MAX_IN_FLIGHT;
    c->in_flight--;
    slice.awaited--;
}

/* ---- echo: each connection sends again what has come back ---- */

static void begin_echo(void) {
    for (unsigned i = 0; i < conn_count; i++) send_messages(&conns[i], work->in_flight, now);
}

static void on_echo(struct conn *c) {
    record_reply(c, &latencies[0]);
    c->owed++;
}

static void after_echo(struct conn *c) {
    if (c->owed && time_left()) send_messages(c, c->owed, now);
    c->owed = 0;
}

/* ---- round: ten messages in flight, however many connections there are, each connection in its turn ---- */

enum { GOING_ROUND = 10 };
static unsigned next_conn;

static struct conn *next_idle(void) {
    for (;;) {
        struct conn *c = &conns[next_conn++ % conn_count];
        if (!c->in_flight) return c;
    }
}

static void begin_round(void) {
    for (unsigned i = 0; i < GOING_ROUND && i < conn_count; i++) send_messages(next_idle(), 1, now);
}

static void after_round(struct conn *c) {
    for (; c->owed; c->owed--)
        if (time_left()) send_messages(next_idle(), 1, now);
}

/* ---- rate: so many messages a second, whatever comes back; latency counts from when one was due ---- */

static uint64_t due, interval;
static uint64_t late; /* messages that were still to be sent when the slice ended */

static void begin_rate(void) {
    if (!options.rate) die("this work needs rate=");
    interval = SECOND / options.rate;
    due = now;
    late = 0;
}

static void on_rate(struct conn *c) { record_reply(c, &latencies[0]); }

static void tick_rate(void) {
    while (due <= now && due < slice.deadline) {
        struct conn *c = &conns[next_conn % conn_count];
        if (c->in_flight == MAX_IN_FLIGHT) { /* the server does not keep up */
            if (now >= slice.deadline) late = (slice.deadline - due) / interval, due = slice.deadline;
            return;
        }
        next_conn++;
        send_messages(c, 1, due);
        due += interval;
    }
}

static void report_rate(void) { printf(", \"late\": %llu", (unsigned long long)late); }

/* ---- bcast: the first connection asks; the server emits to all, so that one has its copy too ---- */

static uint64_t asked_at;

static void begin_broadcast(void) {
    asked_at = now;
    slice.awaited = conn_count;
    send_bytes(&conns[0], main_exchange.burst, main_exchange.frame_size);
}

static void on_broadcast(struct conn *c) {
    (void)c;
    if (!slice.awaited) die("a delivery that was not asked for");
    record(&latencies[0], now - asked_at);
    if (!--slice.awaited && time_left()) begin_broadcast();
}

/* ---- idle: nothing is sent but what the server asks for ---- */

static void begin_idle(void) {}
static void tick_idle(void) {}
static void on_unasked(struct conn *c) { (void)c, die("a message to an idle client"); }

#define WEBSOCKET .open = open_websocket, .prepare = prepare_main
static const struct work works[] = {
    {"echo", "echo", TEXT, 1, WEBSOCKET, .begin = begin_echo, .message = on_echo, .after = after_echo},
    {"pipe", "echo", TEXT, 16, WEBSOCKET, .begin = begin_echo, .message = on_echo, .after = after_echo},
    {"typed", "typed", TYPED, 1, WEBSOCKET, .begin = begin_echo, .message = on_echo, .after = after_echo},
    {"binary", "echo", BINARY, 1, WEBSOCKET, .begin = begin_echo, .message = on_echo, .after = after_echo},
    {"polling", "echo", TEXT, 1, .open = open_polling, .refresh = refresh_polling, .prepare = prepare_main, .begin = begin_echo,
     .message = on_echo, .after = after_echo},
    {"round", "echo", TEXT, 1, WEBSOCKET, .begin = begin_round, .message = on_echo, .after = after_round},
    {"rate", "echo", TEXT, 1, WEBSOCKET, .begin = begin_rate, .message = on_rate, .tick = tick_rate,
     .report = report_rate},
    {"bcast", "bcast", TEXT, 1, WEBSOCKET, .begin = begin_broadcast, .message = on_broadcast},
    {"idle", "", TEXT, 0, WEBSOCKET, .begin = begin_idle, .message = on_unasked, .tick = tick_idle},
    {0},
};

const struct work *find_work(const char *name) {
    const struct work *tables[] = {works, room_works, connect_works};
    for (unsigned t = 0; t < 3; t++)
        for (const struct work *w = tables[t]; w->name; w++)
            if (!strcmp(w->name, name)) return w;
    die("unknown work %s", name);
}
