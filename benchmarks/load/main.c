/* The load generator of the benchmarks: many Socket.IO clients in one thread.
 *
 *     load PORT WORK [raw] [own] [rooms=N] [batch=N] [rate=N]
 *
 * It takes commands from standard input, one per line, each answered by one line of JSON:
 *
 *     open N          as many clients, by connecting more or by leaving in order
 *     run SECONDS     one slice of the work; connections stay open between slices
 *     quit            (or the end of the input) close everything and end
 *
 * Between slices the clients stay alive: they answer heartbeats, send nothing else, and
 * cost the server nothing. That lets the runner interleave slices of several servers, which
 * is the only way to compare them on a machine whose speed changes from minute to minute.
 *
 * It is in C, and does as little as it can per message, because it must never be what the
 * server waits for: every message that a work sends is encoded and masked once, at the start.
 *
 *     net.c           TCP: connections, bytes out, bytes in
 *     websocket.c     WebSocket frames, and the packets in them
 *     polling.c       HTTP long-polling
 *     exchange.c      what is sent and must come back
 *     latency.c       histograms
 *     works.c rooms.c connect.c    the works: how a slice begins, and what to do with a message
 *
 * Anything unexpected (a wrong echo, a closed connection, silence) ends the program with
 * {"error": ...}: a benchmark that goes on after an error measures something else.
 */
#define _GNU_SOURCE
#include "load.h"
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum { CONNECTING_AT_ONCE = 50 };                  /* below any server's listen backlog */
static const uint64_t OPENING_LIMIT = 120 * SECOND; /* for all connections together, and for leaving */
static const uint64_t DRAIN_LIMIT = 10 * SECOND;   /* for what is in flight when a slice ends */

struct conn *conns;
unsigned conn_count;
const struct work *work;
struct options options;
struct slice slice;
struct histogram latencies[2];
uint16_t port;
uint64_t now;

static struct {
    bool on;
    uint64_t started;
    unsigned wanted, begun, ready, leaving;
} opening;

uint64_t clock_ns(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * SECOND + (uint64_t)t.tv_nsec;
}

bool time_left(void) { return now < slice.deadline; }

void die(const char *format, ...) {
    char message[300];
    va_list args;
    va_start(args, format);
    vsnprintf(message, sizeof message, format, args);
    va_end(args);
    for (char *p = message; *p; p++) /* what the server sent may be quoted: keep it valid JSON */
        if (*p == '"' || *p == '\\' || (unsigned char)*p < 32 || (unsigned char)*p > 126) *p = '\'';
    printf("{\"error\": \"%s\"}\n", message);
    fflush(stdout);
    exit(1);
}

void *allocated(void *memory) {
    if (!memory) die("out of memory");
    return memory;
}

/* ---- clients that stay ---- */

void became_ready(struct conn *c) {
    c->state = READY;
    if (work->open) opening.ready++;
    else work->message(c); /* a work that connects by itself */
}

static void on_left(struct conn *c) {
    (void)c;
    opening.leaving--;
}

static void open_more(void) {
    while (opening.begun < opening.wanted && opening.begun - opening.ready < CONNECTING_AT_ONCE) {
        struct conn *c = &conns[opening.begun];
        c->expects = &main_exchange;
        c->joins = options.rooms;
        if (work->set_up) work->set_up(c, opening.begun);
        opening.begun++;
        work->open(c);
    }
}

static void begin_opening(unsigned count) {
    if (slice.on || opening.on) die("open in the middle of something");
    if (count > MAX_CONNECTIONS) die("at most %d connections", MAX_CONNECTIONS);
    opening.on = true;
    opening.started = clock_ns();
    opening.wanted = count;
    conn_count = count;
    if (!work->open) return;
    for (unsigned i = 0; work->refresh && i < opening.begun; i++) work->refresh(&conns[i]);
    while (opening.begun > count) {
        opening.begun--;
        opening.ready--;
        opening.leaving++;
        close_websocket(&conns[opening.begun], on_left);
    }
}

static void go_on_opening(void) {
    if (work->open) open_more();
    uint64_t spent = clock_ns() - opening.started;
    if (spent > OPENING_LIMIT)
        die("%u of %u clients connected, %u have not left", opening.ready, opening.wanted, opening.leaving);
    if (work->open && (opening.ready < opening.wanted || opening.leaving)) return;
    opening.on = false;
    printf("{\"open\": %u, \"seconds\": %.6f}\n", opening.wanted, (double)spent / 1e9);
    fflush(stdout);
}

/* ---- slices and commands ---- */

static void begin_slice(double seconds) {
    if (slice.on || opening.on) die("run in the middle of something");
    if (!(seconds > 0) || seconds > MAX_SECONDS) die("a slice of %g seconds", seconds);
    memset(latencies, 0, sizeof latencies);
    memset(&slice, 0, sizeof slice);
    slice.on = true;
    now = slice.started = slice.last = clock_ns();
    slice.deadline = now + (uint64_t)(seconds * (double)SECOND);
    work->begin();
}

/* A slice ends when all that was sent has come back, so that the server's CPU time, taken
   before and after, belongs to exactly the messages counted. */
static void end_slice_if_done(void) {
    now = clock_ns();
    if (work->tick) work->tick();
    if (slice.awaited || (work->tick && time_left())) {
        if (now > slice.deadline + DRAIN_LIMIT)
            die("%llu messages did not come back", (unsigned long long)slice.awaited);
        return;
    }
    slice.on = false;
    uint64_t end = work->tick ? now : slice.last;
    printf("{\"messages\": %llu, \"seconds\": %.6f", (unsigned long long)slice.received,
           (double)(end - slice.started) / 1e9);
    if (latencies[0].count) print_latencies(&latencies[0], "");
    if (work->report) work->report();
    printf("}\n");
    fflush(stdout);
}

void on_command(void) {
    static char line[100];
    static size_t size;
    ssize_t got = read(STDIN_FILENO, line + size, sizeof line - 1 - size);
    if (got <= 0) exit(0);
    line[size += (size_t)got] = 0;
    char *end = strchr(line, '\n');
    if (!end && size < sizeof line - 1) return;
    double seconds;
    unsigned count;
    if (!strcmp(line, "quit\n")) exit(0);
    size = 0; /* one command at a time: the runner waits for each answer */
    if (end && sscanf(line, "run %lf", &seconds) == 1) begin_slice(seconds);
    else if (end && sscanf(line, "open %u", &count) == 1) begin_opening(count);
    else die("unknown command %s", line);
}

static void parse_arguments(int argc, char **argv) {
    if (argc < 3) die("usage: load PORT WORK [raw] [own] [rooms=N] [batch=N] [rate=N]");
    port = (uint16_t)atoi(argv[1]);
    work = find_work(argv[2]);
    for (int i = 3; i < argc; i++) {
        unsigned number;
        if (!strcmp(argv[i], "raw")) options.raw = true;
        else if (!strcmp(argv[i], "own")) options.own_rooms = true;
        else if (sscanf(argv[i], "rooms=%u", &number) == 1) options.rooms = number;
        else if (sscanf(argv[i], "batch=%u", &number) == 1) options.batch = number;
        else if (sscanf(argv[i], "rate=%u", &number) == 1) options.rate = number;
        else die("unknown option %s", argv[i]);
    }
}

int main(int argc, char **argv) {
    parse_arguments(argc, argv);
    conns = allocated(calloc(MAX_CONNECTIONS, sizeof *conns));
    for (unsigned i = 0; i < MAX_CONNECTIONS; i++) conns[i].fd = -1;
    start_network();
    if (work->prepare) work->prepare();
    for (;;) {
        /* During a slice it does not sleep. On one machine the server's write also pays for waking
           a client that sleeps, which no server pays over a network; and how often it would have
           to depends on the timing of its writes, so sleeping favoured servers that write in bursts. */
        serve(slice.on ? 0 : opening.on ? 100 : -1);
        if (slice.on) serve_urgent(), end_slice_if_done();
        if (opening.on) go_on_opening();
    }
}
