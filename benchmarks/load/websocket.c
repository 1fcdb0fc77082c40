/* WebSocket, and Engine.IO and Socket.IO over it, as far as a client needs them. */
#define _GNU_SOURCE
#include "load.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void (*on_probe_answer)(struct conn *c);

/* A client's frame: masked, as the protocol demands. One fixed key: the server unmasks all the same. */
size_t put_frame(uint8_t *to, uint8_t opcode, const void *payload, size_t size) {
    static const uint8_t key[4] = {0x5a, 0xc3, 0x17, 0x8e};
    size_t n = 0;
    to[n++] = 0x80 | opcode;
    if (size < 126) {
        to[n++] = 0x80 | (uint8_t)size;
    } else if (size < 65536) {
        to[n++] = 0x80 | 126;
        to[n++] = (uint8_t)(size >> 8);
        to[n++] = (uint8_t)size;
    } else {
        to[n++] = 0x80 | 127;
        for (int shift = 56; shift >= 0; shift -= 8) to[n++] = (uint8_t)(size >> shift);
    }
    memcpy(to + n, key, 4);
    n += 4;
    for (size_t i = 0; i < size; i++) to[n + i] = ((const uint8_t *)payload)[i] ^ key[i & 3];
    return n + size;
}

static void send_frame(struct conn *c, uint8_t opcode, const void *payload, size_t size) {
    uint8_t frame[160];
    if (size > 125) die("a frame of %zu bytes to send", size);
    send_bytes(c, frame, put_frame(frame, opcode, payload, size));
}

void send_text(struct conn *c, const char *text_) { send_frame(c, 1, text_, strlen(text_)); }

/* One frame of a message that belongs to a work: it must be exactly what is expected. */
void take_message(struct conn *c, uint8_t opcode, const uint8_t *data, size_t size) {
    if (!slice.on) die("a message outside of a slice");
    const struct exchange *e = c->expects;
    if (opcode != e->parts[c->part].opcode || size != e->parts[c->part].size ||
        memcmp(data, e->parts[c->part].data, size))
        die("the server sent %.*s", (int)(size < 200 ? size : 200), (const char *)data);
    if (++c->part < e->part_count) return;
    c->part = 0;
    slice.received++;
    slice.last = now;
    work->message(c);
}

static void send_joins(struct conn *c) {
    char join[100];
    if (options.own_rooms) snprintf(join, sizeof join, "42[\"join\",\"%ld \",%u]", (long)(c - conns), c->joins);
    else snprintf(join, sizeof join, "42[\"join\",\"all \",%u]", c->joins);
    c->state = SETTING_UP;
    send_text(c, join);
}

/* A packet before the connection is ready. */
static void greet(struct conn *c, const char *data, size_t size) {
    if (c->state == OPENING && data[0] == '0') {
        send_text(c, "40");
    } else if (c->state == OPENING && size > 2 && data[0] == '4' && data[1] == '0') {
        if (c->joins) send_joins(c);
        else became_ready(c);
    } else if (c->state == SETTING_UP && size > 10 && !memcmp(data, "42[\"joined\"", 11)) {
        became_ready(c);
    } else if (c->state == OPENING && on_probe_answer && size == 6 && !memcmp(data, "3probe", 6)) {
        on_probe_answer(c);
    } else
        die("unexpected packet %.*s", (int)(size < 200 ? size : 200), data);
}

/* One Engine.IO packet. The first character is its type; 4 is a message, a Socket.IO packet. */
static void on_packet(struct conn *c, const uint8_t *data, size_t size) {
    if (c->state == CLOSING || !size) return;
    if (size == 1 && data[0] == '2') {
        send_text(c, "3");
        if (slice.on && !work->in_flight) slice.received++; /* heartbeats are the work */
    } else if (c->state == READY && size > 1 && data[0] == '4')
        take_message(c, 1, data, size);
    else
        greet(c, (const char *)data, size);
}

static void on_frame(struct conn *c, uint8_t first, const uint8_t *data, size_t size) {
    switch (first) {
    case 0x81:
        if (options.raw) take_message(c, 1, data, size);
        else on_packet(c, data, size);
        break;
    case 0x82: take_message(c, 2, data, size); break;
    case 0x88:
        if (c->state != CLOSING) die("the server closed a connection");
        break;
    case 0x89: /* some servers have WebSocket pings beside Engine.IO's */
        if (size > 125) die("a ping of %zu bytes", size);
        if (c->state != CLOSING) send_frame(c, 10, data, size);
        break;
    case 0x8a: break;
    default: die("unexpected frame, first byte 0x%02x", first);
    }
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
        on_frame(c, f[0], f + header, length);
        at += header + length;
    }
    return at;
}

/* The key and its answer are RFC 6455's own example (section 1.3). */
static size_t read_upgrade_answer(struct conn *c, const uint8_t *data, size_t size) {
    const uint8_t *end = memmem(data, size, "\r\n\r\n", 4);
    if (!end) return 0;
    if (size < 12 || memcmp(data, "HTTP/1.1 101", 12)) die("no upgrade: %.80s", (const char *)data);
    if (!memmem(data, size, "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=", 28)) die("the wrong Sec-WebSocket-Accept");
    c->read = read_frames;
    if (options.raw) became_ready(c);
    if (on_probe_answer) send_text(c, "2probe");
    return (size_t)(end - data) + 4;
}

void upgrade_to_websocket(struct conn *c, const char *path) {
    char request[800];
    int size = snprintf(request, sizeof request,
                        "GET %s HTTP/1.1\r\nHost: 127.0.0.1:%u\r\nUpgrade: websocket\r\n"
                        "Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
                        "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n%s\r\n",
                        path, port, browser_headers);
    open_tcp(c, request, (size_t)size, read_upgrade_answer);
}

void open_websocket(struct conn *c) {
    upgrade_to_websocket(c, options.raw ? "/" : "/socket.io/?EIO=4&transport=websocket");
}

/* As the official client leaves: its namespace, then the WebSocket. `closed` is told when the server has hung up. */
void close_websocket(struct conn *c, void (*closed)(struct conn *c)) {
    uint8_t frames[40];
    size_t size = options.raw ? 0 : put_frame(frames, 1, "41", 2);
    size += put_frame(frames + size, 8, "\x03\xe8", 2);
    c->state = CLOSING;
    c->closed = closed;
    send_bytes(c, frames, size);
}
