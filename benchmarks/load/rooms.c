/* The works with rooms: broadcasts into one, joining and leaving, and what others notice of a broadcast. */
#include "load.h"
#include <stdio.h>

static struct exchange joins, leaves, shouts;

static void prepare_shout(const char *room) {
    prepare_exchange(&shouts, 1, "42[\"shout\",\"%s\",\"%s\"]", room, text);
}

/* ---- room: as bcast, but into a room that all have joined, among others ---- */

static uint64_t asked_at;

static void prepare_room(void) {
    if (!options.rooms || options.own_rooms) die("this work needs rooms=, and everybody's");
    prepare_shout("all 0");
}

static void expect_shout(struct conn *c, unsigned index) { (void)index, c->expects = &shouts; }

static void begin_room(void) {
    asked_at = now;
    slice.awaited = conn_count;
    send_bytes(&conns[0], shouts.burst, shouts.frame_size);
}

static void on_room(struct conn *c) {
    (void)c;
    if (!slice.awaited) die("a delivery that was not asked for");
    record(&latencies[0], now - asked_at);
    if (!--slice.awaited && time_left()) begin_room();
}

/* ---- membership: ten clients join a batch of rooms, and leave it; counted per room joined and left ---- */

enum { MOVING = 10 };

static void prepare_membership(void) {
    unsigned batch = options.batch ? options.batch : 10;
    prepare_exchange(&joins, 1, "42[\"joined\",\"moving \",%u]", batch);
    prepare_exchange(&leaves, 1, "42[\"left\",\"moving \",%u]", batch);
}

static void ask(struct conn *c, const struct exchange *next) {
    char packet[80];
    snprintf(packet, sizeof packet, "42[\"%s\",\"moving \",%u]", next == &joins ? "join" : "leave",
             options.batch ? options.batch : 10);
    c->expects = next;
    slice.awaited++;
    send_text(c, packet);
}

static void begin_membership(void) {
    for (unsigned i = 0; i < MOVING && i < conn_count; i++) ask(&conns[i], &joins);
}

static void on_membership(struct conn *c) {
    slice.awaited--;
    slice.received--; /* not messages are counted, but rooms */
    if (c->expects == &joins) {
        ask(c, &leaves);
        return;
    }
    slice.received += options.batch ? options.batch : 10;
    if (time_left()) ask(c, &joins);
}

/* ---- crowd: echoes at a fixed rate on a few connections, while one emit goes to all others ---- */

enum { OTHERS = 10, RATE = 1000 };
static const uint64_t PAUSE = SECOND / 20; /* between two emits, for echoes without one */
static struct {
    uint64_t echo_due;
    uint64_t asked_at, done_at, next_at;
    unsigned deliveries;          /* still to come */
    uint64_t emits, lasted;
} crowd;

static void set_up_crowd(struct conn *c, unsigned index) {
    c->urgent = index < OTHERS;
    c->expects = index < OTHERS ? &main_exchange : &shouts;
    c->joins = index < OTHERS ? 0 : 1; /* the others are in no room */
}

static void prepare_crowd(void) {
    prepare_exchange(&main_exchange, 1, "42[\"echo\",\"%s\"]", text);
    prepare_shout("all 0");
}

static void begin_crowd(void) {
    if (conn_count <= OTHERS) die("this work needs more connections");
    crowd.echo_due = now;
    crowd.next_at = now + PAUSE;
    crowd.asked_at = crowd.done_at = 0;
    crowd.emits = crowd.lasted = 0;
    crowd.deliveries = 0;
}

static void on_crowd(struct conn *c) {
    if (c->expects == &main_exchange) {
        uint64_t since = c->sent_at[c->oldest];
        bool during = crowd.deliveries || since <= crowd.done_at;
        record_reply(c, &latencies[during]);
        slice.received--;
        return;
    }
    if (!crowd.deliveries) die("a delivery that was not asked for");
    slice.awaited--;
    if (--crowd.deliveries) return;
    crowd.done_at = now;
    crowd.next_at = now + PAUSE;
    crowd.lasted += now - crowd.asked_at;
    crowd.emits++;
}

static void tick_crowd(void) {
    static unsigned turn;
    while (crowd.echo_due <= now && crowd.echo_due < slice.deadline) {
        struct conn *c = &conns[turn++ % OTHERS];
        if (c->in_flight == MAX_IN_FLIGHT) break;
        send_messages(c, 1, crowd.echo_due);
        crowd.echo_due += SECOND / RATE;
    }
    if (crowd.deliveries || now < crowd.next_at || !time_left()) return;
    crowd.deliveries = conn_count - OTHERS;
    crowd.asked_at = now;
    slice.awaited += crowd.deliveries;
    send_bytes(&conns[OTHERS], shouts.burst, shouts.frame_size);
}

static void report_crowd(void) {
    print_latencies(&latencies[1], "during_");
    printf(", \"emits\": %llu, \"emit_us\": %.1f", (unsigned long long)crowd.emits,
           crowd.emits ? (double)crowd.lasted / 1e3 / (double)crowd.emits : 0);
}

const struct work room_works[] = {
    {"room", "shout", TEXT, 1, .open = open_websocket, .prepare = prepare_room, .set_up = expect_shout,
     .begin = begin_room, .message = on_room},
    {"membership", "join", TEXT, 1, .open = open_websocket, .prepare = prepare_membership,
     .begin = begin_membership, .message = on_membership},
    {"crowd", "shout", TEXT, 1, .open = open_websocket, .prepare = prepare_crowd, .set_up = set_up_crowd,
     .begin = begin_crowd, .message = on_crowd, .tick = tick_crowd, .report = report_crowd},
    {0},
};
