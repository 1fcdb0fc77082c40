/* A client's WebSocket frames, split and unmasked (RFC 6455 section 5.2).
 *
 * Neither Python nor system calls nor memory of its own: bytes in, frames out. fuzz/frames.c runs this file alone
 * under the address sanitizer.
 */
#ifndef SOCKETEER_FRAMES_H
#define SOCKETEER_FRAMES_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

enum {
    WS_CONTINUATION = 0x0,
    WS_TEXT = 0x1,
    WS_BINARY = 0x2,
    WS_CLOSE = 0x8,
    WS_PING = 0x9,
    WS_PONG = 0xA,
};

/* What ws_split finds. Everything below zero ends the connection. */
enum {
    WS_MORE = 0,           /* the frame is not whole yet */
    WS_FRAME = 1,          /* a whole frame */
    WS_RESERVED_BIT = -1,  /* a reserved bit, without an extension that gives it a meaning */
    WS_UNKNOWN_KIND = -2,  /* a reserved opcode */
    WS_NOT_MASKED = -3,    /* a client masks its frames */
    WS_BAD_CONTROL = -4,   /* a control frame in fragments, or of more than 125 bytes */
    WS_TOO_LONG = -5,      /* a payload above the limit */
};

typedef struct {
    unsigned char *payload; /* unmasked, where the frame was */
    size_t size;            /* of the payload */
    size_t whole;           /* bytes of the frame; 0 where its length has not come yet */
    unsigned char kind;     /* the opcode */
    unsigned char fin;
    unsigned char ascii;    /* no byte of the payload is above 127 */
} ws_frame;

/* XOR the payload with the mask, in place; returns whether all of the outcome is ASCII. */
static inline int ws_unmask(unsigned char *payload, size_t size, const unsigned char mask[4]) {
    uint32_t four;
    uint64_t eight, word, seen = 0;
    unsigned char last = 0;
    size_t at = 0;

    memcpy(&four, mask, 4);
    eight = ((uint64_t)four << 32) | four;
    for (; at + 8 <= size; at += 8) {
        memcpy(&word, payload + at, 8);
        word ^= eight;
        seen |= word;
        memcpy(payload + at, &word, 8);
    }
    for (; at < size; at++) {
        payload[at] ^= mask[at & 3];
        last |= payload[at];
    }
    return (seen & UINT64_C(0x8080808080808080)) == 0 && last < 0x80;
}

/* Find the frame that begins at `bytes`, of which `have` are there. Complaints come as early as can be: before the
 * payload is there, and its length is no promise of memory. */
static inline int ws_split(unsigned char *bytes, size_t have, size_t max_size, ws_frame *frame) {
    size_t header = 6;
    uint64_t size;
    int index;

    frame->whole = 0;
    if (have < 1)
        return WS_MORE;
    if (bytes[0] & 0x70)
        return WS_RESERVED_BIT;
    frame->fin = bytes[0] >> 7;
    frame->kind = bytes[0] & 0x0F;
    if ((frame->kind > WS_BINARY && frame->kind < WS_CLOSE) || frame->kind > WS_PONG)
        return WS_UNKNOWN_KIND;
    if (frame->kind >= WS_CLOSE && !frame->fin)
        return WS_BAD_CONTROL;
    if (have < 2)
        return WS_MORE;
    if (!(bytes[1] & 0x80))
        return WS_NOT_MASKED;
    size = bytes[1] & 0x7F;
    if (size > 125) {
        int width = size == 126 ? 2 : 8;
        if (frame->kind >= WS_CLOSE)
            return WS_BAD_CONTROL;
        header += (size_t)width;
        if (have < 2 + (size_t)width)
            return WS_MORE;
        for (size = 0, index = 0; index < width; index++)
            size = (size << 8) | bytes[2 + index];
    }
    if (size > max_size)
        return WS_TOO_LONG;
    frame->size = (size_t)size;
    frame->whole = header + frame->size;
    if (have < frame->whole)
        return WS_MORE;
    frame->payload = bytes + header;
    frame->ascii = (unsigned char)ws_unmask(frame->payload, frame->size, bytes + header - 4);
    return WS_FRAME;
}

#endif
