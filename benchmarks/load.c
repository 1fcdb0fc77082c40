/* The load generator of the benchmarks: many WebSocket clients in one thread.
 *
 *     load PORT WORK CONNECTIONS [raw]
 *
 * It connects CONNECTIONS clients to 127.0.0.1:PORT, prints {"ready": N}, and then takes
 * commands from standard input, one per line, each answered by one line of JSON:
 *
 *     run SECONDS     one slice of the work; connections stay open between slices
 *     quit            (or the end of the input) close everything and end
 *
 * Between slices the clients stay alive: they answer heartbeats, send nothing else, and
 * cost the server nothing. That lets the runner interleave slices of several servers, which
 * is the only way to compare them on a machine whose speed changes from minute to minute.
 *
 * It is in C, and does as little as it can per message, because it must never be what the
 * server waits for: every frame that a work sends is encoded and masked once, at the start.
 *
 * A connection has a `read` function that takes bytes off its input; it changes with the
 * phase (HTTP answer, then frames), so another transport is another reader. A work is one
 * row of `works`: how a slice begins, and what to do with a message. To add a work, add a row.
 *
 * Anything unexpected (a wrong echo, a closed connection, silence) ends the program with
 * {"error": ...}: a benchmark that goes on after an error measures something else.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum {
    MAX_CONNECTIONS = 20000,
    MAX_SECONDS = 60,       /* of one slice */
    MAX_IN_FLIGHT = 64,     /* on one connection */
    MAX_INPUT = 1 << 20,    /* bytes of one connection's input that are not a whole frame yet */
    MAX_EVENTS = 512,
    CONNECTING_AT_ONCE = 50, /* below any server's listen backlog */
};
#define SECOND 1000000000ull
static const uint64_t OPENING_LIMIT = 60 * SECOND; /* for all connections together */
static const uint64_t DRAIN_LIMIT = 10 * SECOND;   /* for what is in flight when a slice ends */

struct conn;
/* Takes whole units (an HTTP answer, a frame) off the input; returns the bytes it used. */
typedef size_t (*reader)(struct conn *c, const uint8_t *data, size_t size);

struct conn {
    int fd;
    bool ready;
    bool wants_out;               /* the socket was full: EPOLLOUT is asked for */
    unsigned owed;                /* replies read whose next message is still to be sent */
    unsigned oldest, in_flight;   /* sent_at is a ring: servers answer in order */
    uint64_t sent_at[MAX_IN_FLIGHT];
    reader read;
    uint8_t *in, *out;            /* an unfinished frame; bytes the socket did not take */
    size_t in_size, out_size;
};

struct work {
    const char *name;
    const char *event;            /* the event sent, and the event that comes back */
    unsigned in_flight;           /* messages kept in flight on each connection */
    void (*begin)(void);          /* a slice starts: send the first messages */
    void (*message)(struct conn *c); /* the expected message came */
    void (*after)(struct conn *c);   /* all that one read brought has been handled */
};

static struct conn *conns;
static unsigned conn_count, opened_count, ready_count;
static const struct work *work;
static bool raw; /* bare WebSocket echo: neither Engine.IO nor Socket.IO */
static uint16_t port;
static int epoll;
static uint64_t now; /* read once per wake-up of a connection */
static uint8_t scratch[2 * MAX_INPUT];

static char expected[512];                 /* the message that the server must send back */
static size_t expected_size;
static uint8_t burst[MAX_IN_FLIGHT * 600]; /* the work's frame, masked, MAX_IN_FLIGHT times over */
static size_t frame_size;

static struct {
    bool on;
    uint64_t started, deadline, last;
    uint64_t received, awaited;   /* messages that came; messages still to come */
} slice;

static uint64_t clock_ns(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * SECOND + (uint64_t)t.tv_nsec;
}

__attribute__((noreturn, format(printf, 1, 2))) static void die(const char *format, ...) {
    char text[300];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    for (char *p = text; *p; p++) /* what the server sent may be quoted: keep it valid JSON */
        if (*p == '"' || *p == '\\' || (unsigned char)*p < 32 || (unsigned char)*p > 126) *p = '\'';
    printf("{\"error\": \"%s\"}\n", text);
    fflush(stdout);
    exit(1);
}

/* ---- latencies: a histogram, 32 steps per power of two, so within 3 % at any size ---- */

static uint64_t histogram[64 * 32];

static void record_latency(uint64_t ns) {
    int power = 63 - __builtin_clzll(ns | 1);
    histogram[power < 5 ? ns : (uint64_t)(power - 4) * 32 + ((ns >> (power - 5)) & 31)]++;
}

static double latency_us(double share) {
    uint64_t seen = 0, wanted = (uint64_t)(share * (double)slice.received);
    for (unsigned i = 0; i < 64 * 32; i++) {
        seen += histogram[i];
        if (seen > wanted) {
            if (i < 32) return i / 1e3;
            double step = (double)(1ull << (i / 32 - 1));
            return ((32 + i % 32) * step + step / 2) / 1e3;
        }
    }
    return 0;
}

/* ---- bytes out ---- */

static void watch(struct conn *c, int operation) {
    struct epoll_event e = {.events = EPOLLIN | (c->wants_out ? EPOLLOUT : 0), .data.ptr = c};
    if (epoll_ctl(epoll, operation, c->fd, &e)) die("epoll_ctl: %s", strerror(errno));
}

static void send_bytes(struct conn *c, const void *data, size_t size) {
    ssize_t sent = 0;
    if (!c->out_size) {
        sent = send(c->fd, data, size, MSG_NOSIGNAL);
        if (sent < 0 && errno != EAGAIN) die("send: %s", strerror(errno));
        if (sent < 0) sent = 0;
    }
    size_t left = size - (size_t)sent;
    if (!left) return;
    c->out = realloc(c->out, c->out_size + left);
    if (!c->out) die("out of memory");
    memcpy(c->out + c->out_size, (const uint8_t *)data + sent, left);
    c->out_size += left;
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

/* A client's frame: masked, as the protocol demands. One fixed key: the server unmasks all the same. */
static size_t put_frame(uint8_t *to, uint8_t opcode, const void *payload, size_t size) {
    static const uint8_t key[4] = {0x5a, 0xc3, 0x17, 0x8e};
    size_t n = 0;
    to[n++] = 0x80 | opcode;
    if (size < 126) {
        to[n++] = 0x80 | (uint8_t)size;
    } else { /* nothing here sends more than 64 KiB */
        to[n++] = 0x80 | 126;
        to[n++] = (uint8_t)(size >> 8);
        to[n++] = (uint8_t)size;
    }
    memcpy(to + n, key, 4);
    n += 4;
    for (size_t i = 0; i < size; i++) to[n + i] = ((const uint8_t *)payload)[i] ^ key[i & 3];
    return n + size;
}

static void send_frame(struct conn *c, uint8_t opcode, const void *payload, size_t size) {
    uint8_t frame[160];
    send_bytes(c, frame, put_frame(frame, opcode, payload, size));
}

/* `count` times the work's message in one write, as any client would that has them all at hand. */
static void send_messages(struct conn *c, unsigned count) {
    for (unsigned i = 0; i < count; i++)
        c->sent_at[(c->oldest + c->in_flight++) % MAX_IN_FLIGHT] = now;
    slice.awaited += count;
    send_bytes(c, burst, count * frame_size);
}

/* ---- the works ---- */

static bool time_left(void) { return now < slice.deadline; }

static void begin_echo(void) {
    for (unsigned i = 0; i < conn_count; i++) send_messages(&conns[i], work->in_flight);
}

static void on_echo(struct conn *c) {
    if (!c->in_flight) die("an echo that was not asked for");
    record_latency(now - c->sent_at[c->oldest]);
    c->oldest = (c->oldest + 1) % MAX_IN_FLIGHT;
    c->in_flight--;
    slice.awaited--;
    c->owed++;
}

static void after_echo(struct conn *c) {
    if (c->owed && time_left()) send_messages(c, c->owed);
    c->owed = 0;
}

/* The first connection asks; the server emits to all, so that one has its copy too. */
static uint64_t asked_at;

static void begin_broadcast(void) {
    asked_at = now;
    slice.awaited = conn_count;
    send_bytes(&conns[0], burst, frame_size);
}

static void on_broadcast(struct conn *c) {
    (void)c;
    if (!slice.awaited) die("a delivery that was not asked for");
    record_latency(now - asked_at);
    if (!--slice.awaited && time_left()) begin_broadcast();
}

static void after_broadcast(struct conn *c) { (void)c; }

static const struct work works[] = {
    {"echo", "echo", 1, begin_echo, on_echo, after_echo},
    {"pipe", "echo", 16, begin_echo, on_echo, after_echo},
    {"bcast", "bcast", 1, begin_broadcast, on_broadcast, after_broadcast},
};

/* ---- bytes in ---- */

static void become_ready(struct conn *c) {
    c->ready = true;
    ready_count++;
}

static void on_message(struct conn *c, const uint8_t *data, size_t size) {
    if (!slice.on) die("a message outside of a slice");
    if (size != expected_size || memcmp(data, expected, size))
        die("the server sent %.*s", (int)(size < 200 ? size : 200), (const char *)data);
    slice.received++;
    slice.last = now;
    work->message(c);
}

/* One Engine.IO packet. The first character is its type; 4 is a message, a Socket.IO packet. */
static void on_packet(struct conn *c, const uint8_t *data, size_t size) {
    if (size > 1 && data[0] == '4' && data[1] == '2' && c->ready) on_message(c, data, size);
    else if (size == 1 && data[0] == '2') send_frame(c, 1, "3", 1);
    else if (size > 1 && data[0] == '0' && !c->ready) send_frame(c, 1, "40", 2);
    else if (size > 2 && data[0] == '4' && data[1] == '0' && !c->ready) become_ready(c);
    else die("unexpected packet %.*s", (int)(size < 200 ? size : 200), (const char *)data);
}

static size_t read_frames(struct conn *c, const uint8_t *data, size_t size) {
    size_t at = 0;
    while (size - at >= 2) {
        const uint8_t *f = data + at;
        size_t header = 2, length = f[1];
        if (length & 0x80) die("the server sent a masked frame");
        if (length == 126) {
            if (size - at < (header = 4)) break;
            length = (size_t)f[2] << 8 | f[3];
        } else if (length == 127) {
            if (size - at < (header = 10)) break;
            length = 0;
            for (int i = 2; i < 10; i++) length = length << 8 | f[i];
        }
        if (length > MAX_INPUT - header) die("a frame of %zu bytes", length);
        if (size - at < header + length) break;
        switch (f[0]) {
        case 0x81: raw ? on_message(c, f + header, length) : on_packet(c, f + header, length); break;
        case 0x88: die("the server closed a connection");
        case 0x89: /* some servers have WebSocket pings beside Engine.IO's */
            if (length > 125) die("a ping of %zu bytes", length);
            send_frame(c, 10, f + header, length);
            break;
        case 0x8a: break;
        default: die("unexpected frame, first byte 0x%02x", f[0]);
        }
        at += header + length;
    }
    return at;
}

static size_t read_upgrade_answer(struct conn *c, const uint8_t *data, size_t size) {
    const uint8_t *end = memmem(data, size, "\r\n\r\n", 4);
    if (!end) return 0;
    if (size < 12 || memcmp(data, "HTTP/1.1 101", 12)) die("no upgrade: %.80s", (const char *)data);
    c->read = read_frames;
    if (raw) become_ready(c);
    return (size_t)(end - data) + 4;
}

static void on_readable(struct conn *c) {
    if (c->in_size) memcpy(scratch, c->in, c->in_size);
    ssize_t got = recv(c->fd, scratch + c->in_size, MAX_INPUT, 0);
    if (got < 0 && errno == EAGAIN) return;
    if (got < 0) die("recv: %s", strerror(errno));
    if (!got) die("the server hung up");
    size_t size = c->in_size + (size_t)got, used = 0;
    for (reader before = NULL; before != c->read;) { /* a reader may hand on to the next one */
        before = c->read;
        used += c->read(c, scratch + used, size - used);
    }
    work->after(c);
    size_t left = size - used;
    if (left > MAX_INPUT) die("%zu bytes without a whole frame", left);
    if (left) {
        c->in = realloc(c->in, left);
        if (!c->in) die("out of memory");
        memcpy(c->in, scratch + used, left);
    }
    c->in_size = left;
}

/* ---- connections ---- */

static void open_connection(struct conn *c) {
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons(port)};
    to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    c->fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (c->fd < 0) die("socket: %s", strerror(errno));
    int on = 1;
    setsockopt(c->fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    if (connect(c->fd, (struct sockaddr *)&to, sizeof to) && errno != EINPROGRESS)
        die("connect: %s", strerror(errno));
    c->read = read_upgrade_answer;
    char request[400];
    int size = snprintf(request, sizeof request,
                        "GET %s HTTP/1.1\r\nHost: 127.0.0.1:%u\r\nUpgrade: websocket\r\n"
                        "Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
                        "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n",
                        raw ? "/" : "/socket.io/?EIO=4&transport=websocket", port);
    /* Not connected yet: the request waits in `out` until the socket is writable. */
    c->out = malloc((size_t)size);
    if (!c->out) die("out of memory");
    memcpy(c->out, request, (size_t)size);
    c->out_size = (size_t)size;
    c->wants_out = true;
    watch(c, EPOLL_CTL_ADD);
}

static void open_more(void) {
    while (opened_count < conn_count && opened_count - ready_count < CONNECTING_AT_ONCE)
        open_connection(&conns[opened_count++]);
}

/* ---- slices and commands ---- */

static void begin_slice(double seconds) {
    if (slice.on) die("a slice is running");
    if (!(seconds > 0) || seconds > MAX_SECONDS) die("a slice of %g seconds", seconds);
    memset(histogram, 0, sizeof histogram);
    memset(&slice, 0, sizeof slice);
    slice.on = true;
    now = slice.started = slice.last = clock_ns();
    slice.deadline = now + (uint64_t)(seconds * (double)SECOND);
    work->begin();
}

/* A slice ends when all that was sent has come back, so that the server's CPU time, taken
   before and after, belongs to exactly the messages counted. */
static void end_slice_if_done(void) {
    if (slice.awaited) {
        if (clock_ns() > slice.deadline + DRAIN_LIMIT)
            die("%llu messages did not come back", (unsigned long long)slice.awaited);
        return;
    }
    slice.on = false;
    printf("{\"messages\": %llu, \"seconds\": %.6f,"
           " \"p50_us\": %.1f, \"p90_us\": %.1f, \"p99_us\": %.1f}\n",
           (unsigned long long)slice.received, (double)(slice.last - slice.started) / 1e9,
           latency_us(.5), latency_us(.9), latency_us(.99));
    fflush(stdout);
}

static void on_command(void) {
    static char line[100];
    static size_t size;
    ssize_t got = read(STDIN_FILENO, line + size, sizeof line - 1 - size);
    if (got <= 0) exit(0);
    line[size += (size_t)got] = 0;
    char *end = strchr(line, '\n');
    if (!end && size < sizeof line - 1) return;
    double seconds;
    if (!strcmp(line, "quit\n")) exit(0);
    if (!end || sscanf(line, "run %lf", &seconds) != 1) die("unknown command %s", line);
    size = 0; /* one command at a time: the runner waits for each answer */
    begin_slice(seconds);
}

static void prepare_message(void) {
    static const char text[] = "all for one, one for all";
    if (raw) expected_size = (size_t)snprintf(expected, sizeof expected, "%s", text);
    else
        expected_size = (size_t)snprintf(expected, sizeof expected, "42[\"%s\",\"%s\"]", work->event, text);
    for (unsigned i = 0; i < work->in_flight; i++)
        frame_size = put_frame(burst + i * frame_size, 1, expected, expected_size);
}

static void parse_arguments(int argc, char **argv) {
    if (argc < 4) die("usage: load PORT WORK CONNECTIONS [raw]");
    port = (uint16_t)atoi(argv[1]);
    for (size_t i = 0; i < sizeof works / sizeof *works; i++)
        if (!strcmp(works[i].name, argv[2])) work = &works[i];
    if (!work) die("unknown work %s", argv[2]);
    long count = strtol(argv[3], NULL, 10);
    if (count < 1 || count > MAX_CONNECTIONS) die("1 to %d connections", MAX_CONNECTIONS);
    conn_count = (unsigned)count;
    raw = argc > 4 && !strcmp(argv[4], "raw");
}

int main(int argc, char **argv) {
    parse_arguments(argc, argv);
    prepare_message();
    struct rlimit files;
    getrlimit(RLIMIT_NOFILE, &files);
    files.rlim_cur = files.rlim_max; /* the usual soft limit of 1024 is too few */
    setrlimit(RLIMIT_NOFILE, &files);
    conns = calloc(conn_count, sizeof *conns);
    epoll = epoll_create1(EPOLL_CLOEXEC);
    struct epoll_event commands = {.events = EPOLLIN}; /* data.ptr is NULL: not a connection */
    if (!conns || epoll < 0 || epoll_ctl(epoll, EPOLL_CTL_ADD, STDIN_FILENO, &commands))
        die("start: %s", strerror(errno));

    uint64_t opening_since = clock_ns();
    bool all_ready = false;
    open_more();
    for (;;) {
        static struct epoll_event events[MAX_EVENTS];
        /* During a slice it does not sleep. On one machine the server's write also pays for waking
           a client that sleeps, which no server pays over a network; and how often it would have
           to depends on the timing of its writes, so sleeping favoured servers that write in bursts. */
        int patience = slice.on ? 0 : all_ready ? -1 : 100;
        int count = epoll_wait(epoll, events, MAX_EVENTS, patience);
        if (count < 0 && errno != EINTR) die("epoll_wait: %s", strerror(errno));
        for (int i = 0; i < count; i++) {
            struct conn *c = events[i].data.ptr;
            if (!c) {
                on_command();
                continue;
            }
            now = clock_ns();
            if (events[i].events & EPOLLOUT) send_rest(c);
            if (events[i].events & ~(uint32_t)EPOLLOUT) on_readable(c);
        }
        if (slice.on) end_slice_if_done();
        if (all_ready) continue;
        open_more();
        if (ready_count == conn_count) {
            all_ready = true;
            printf("{\"ready\": %u}\n", ready_count);
            fflush(stdout);
        } else if (clock_ns() - opening_since > OPENING_LIMIT)
            die("%u of %u connections opened", ready_count, conn_count);
    }
}
