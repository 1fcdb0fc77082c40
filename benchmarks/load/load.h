/* What the parts of the load generator share. `main.c` says what it does as a whole. */
#ifndef LOAD_H
#define LOAD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
    MAX_CONNECTIONS = 20000,
    MAX_SECONDS = 120,      /* of one slice */
    MAX_IN_FLIGHT = 64,     /* on one connection */
    MAX_INPUT = 1 << 20,    /* bytes of one connection's input that are not a whole frame yet */
    MAX_TEXT = 2048,        /* of a message that is no attachment */
    ATTACHMENT = 64 * 1024,
};
#define SECOND 1000000000ull

struct conn;
struct poller; /* polling.c */
/* Takes whole units (an HTTP answer, a frame) off the input; returns the bytes it used. */
typedef size_t (*reader)(struct conn *c, const uint8_t *data, size_t size);

enum state { OPENING, SETTING_UP, READY, CLOSING };

/* One TCP connection. A client is the one that it speaks WebSocket over, or its first by polling. */
struct conn {
    int fd;                       /* -1: none */
    enum state state;
    bool wants_out;               /* the socket was full: EPOLLOUT is asked for */
    bool urgent;                  /* read before all others */
    bool may_end;                 /* the server may hang up: `closed` is told */
    unsigned part;                /* of the message that is coming in */
    const struct exchange *expects;
    unsigned joins;               /* rooms, when it has connected */
    unsigned owed;                /* replies read whose next message is still to be sent */
    unsigned oldest, in_flight;   /* sent_at is a ring: servers answer in order */
    uint64_t sent_at[MAX_IN_FLIGHT];
    reader read;
    uint8_t *in, *out;            /* an unfinished frame; bytes the socket did not take */
    size_t in_size, out_size;
    struct poller *poller;        /* of a client by polling */
    struct conn *client;          /* of its second connection */
    void (*answered)(struct conn *c, const char *body, size_t size); /* an HTTP answer with status 200 */
    void (*closed)(struct conn *c);                                   /* the end that was waited for */
};

/* What is sent, and what must come back: one message, with an attachment or without. */
struct exchange {
    struct { uint8_t opcode; const void *data; size_t size; } parts[2];
    unsigned part_count;
    uint8_t *burst;               /* the frames of one message, masked, `repeats` times over */
    size_t frame_size;
    char text[MAX_TEXT];
};

struct work {
    const char *name;
    const char *event;            /* the event sent, and the event that comes back */
    enum { TEXT, TYPED, BINARY } payload;
    unsigned in_flight;           /* messages kept in flight on each connection */
    void (*open)(struct conn *c); /* NULL: the work opens its connections by itself */
    void (*refresh)(struct conn *c); /* what has ended meanwhile is opened again; may be NULL */
    void (*prepare)(void);        /* before any connection; may be NULL */
    void (*set_up)(struct conn *c, unsigned index); /* a connection is about to open; may be NULL */
    void (*begin)(void);          /* a slice starts: send the first messages */
    void (*message)(struct conn *c); /* the expected message came */
    void (*after)(struct conn *c);   /* all that one read brought has been handled */
    void (*tick)(void);           /* as often as can be, and the slice lasts to its end; may be NULL */
    void (*report)(void);         /* further members of the answer; may be NULL */
};

struct histogram { uint64_t steps[64 * 32], count, most; };

struct slice {
    bool on;
    uint64_t started, deadline, last;
    uint64_t received, awaited;   /* messages that came; messages still to come */
};

struct options {
    unsigned rooms;               /* that each client joins when it has connected, unless the work says otherwise */
    bool own_rooms;               /* each client's rooms are its own; otherwise they are everybody's */
    unsigned batch;               /* rooms in one message */
    unsigned rate;                /* messages a second */
    bool raw;                     /* bare WebSocket echo: neither Engine.IO nor Socket.IO */
};

/* main.c */
extern struct conn *conns;
extern unsigned conn_count;
extern const struct work *work;
extern struct options options;
extern struct slice slice;
extern struct histogram latencies[2];
extern uint16_t port;
extern uint64_t now; /* read once per wake-up of a connection */
__attribute__((noreturn, format(printf, 1, 2))) void die(const char *format, ...);
uint64_t clock_ns(void);
bool time_left(void);
void became_ready(struct conn *c);
void *allocated(void *memory);

/* latency.c */
void record(struct histogram *h, uint64_t ns);
void print_latencies(const struct histogram *h, const char *prefix);

/* net.c */
void start_network(void);
void open_tcp(struct conn *c, const void *first, size_t size, reader read);
void close_tcp(struct conn *c);
void send_bytes(struct conn *c, const void *data, size_t size);
void serve_urgent(void);
void serve(int patience);

/* websocket.c */
void open_websocket(struct conn *c);
void upgrade_to_websocket(struct conn *c, const char *path);
void close_websocket(struct conn *c, void (*closed)(struct conn *c));
void send_text(struct conn *c, const char *text);
size_t put_frame(uint8_t *to, uint8_t opcode, const void *payload, size_t size);
void take_message(struct conn *c, uint8_t opcode, const uint8_t *data, size_t size);
extern void (*on_probe_answer)(struct conn *c); /* "3probe" has come */

/* polling.c */
extern const char browser_headers[];
void open_polling(struct conn *c);
void refresh_polling(struct conn *c);
void post_message(struct conn *c, const struct exchange *e);
size_t read_http(struct conn *c, const uint8_t *data, size_t size);
size_t post_request(char *to, size_t room, const char *path, const char *body, size_t body_size);
size_t get_request(char *to, size_t room, const char *path);
void session_id(const char *body, size_t size, char *id, size_t room);

/* exchange.c */
void prepare_exchange(struct exchange *e, unsigned repeats, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
void attach(struct exchange *e, unsigned repeats);
extern const char text[], typed[];

/* works.c, rooms.c, connect.c */
extern struct exchange main_exchange;
void send_messages(struct conn *c, unsigned count, uint64_t since);
void record_reply(struct conn *c, struct histogram *h);
const struct work *find_work(const char *name);
extern const struct work room_works[], connect_works[];

#endif
