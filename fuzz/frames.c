/* Invariant: whatever bytes come, in whatever pieces, the frames found are the same, lie within what came, and nothing
 * is read or written outside of it.
 *
 *   gcc -O1 -g -fsanitize=address,undefined -Isrc/socketeer/engine/carriers/lane fuzz/frames.c -o frames && ./frames 100000
 *   clang -DLIBFUZZER -fsanitize=fuzzer,address -Isrc/socketeer/engine/carriers/lane fuzz/frames.c
 *
 * The first number is how many inputs are made, the second the seed of the first of them.
 */
#include <stdio.h>
#include <stdlib.h>

#include "frames.h"

#define LIMIT 1000

typedef struct {
    unsigned char bytes[1 << 16];
    size_t size;
} account;

static void note(account *into, const void *bytes, size_t size) {
    if (into->size + size > sizeof into->bytes)
        abort();
    if (size)
        memcpy(into->bytes + into->size, bytes, size);
    into->size += size;
}

/* Split `size` bytes that come in pieces of at most `step`, and write down what is found. Each piece's buffer is as
 * long as what it holds, so that the sanitizer sees any step beyond. */
static void split(const unsigned char *bytes, size_t size, size_t step, account *found) {
    size_t done = 0, come = 0;
    while (come < size) {
        size_t have, at = 0;
        unsigned char *buffer;
        int outcome = WS_MORE;
        ws_frame frame;
        come = size - come < step ? size : come + step;
        have = come - done;
        buffer = malloc(have);
        if (buffer == NULL)
            abort();
        memcpy(buffer, bytes + done, have);
        while (at < have && (outcome = ws_split(buffer + at, have - at, LIMIT, &frame)) == WS_FRAME) {
            unsigned char seen = 0, head[3] = {frame.kind, frame.fin, frame.ascii};
            size_t index;
            if (frame.payload < buffer + at || frame.payload + frame.size > buffer + have || frame.size > LIMIT)
                abort();
            for (index = 0; index < frame.size; index++)
                seen |= frame.payload[index];
            if ((seen < 0x80) != frame.ascii)
                abort();
            note(found, head, 3);
            note(found, &frame.size, sizeof frame.size);
            note(found, frame.payload, frame.size);
            at += frame.whole;
        }
        free(buffer);
        done += at;
        if (outcome < 0) {
            note(found, &outcome, sizeof outcome);
            return;
        }
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size) {
    static account whole, pieces;
    size_t step;
    if (size > 4000)
        return 0;
    whole.size = 0;
    split(bytes, size, size ? size : 1, &whole);
    for (step = 1; step < 9; step += 3) {
        pieces.size = 0;
        split(bytes, size, step, &pieces);
        if (pieces.size != whole.size || memcmp(pieces.bytes, whole.bytes, whole.size) != 0)
            abort();
    }
    return 0;
}

#ifndef LIBFUZZER
static uint64_t state;

static uint32_t chance(uint32_t below) { /* xorshift */
    state ^= state << 13;
    state ^= state >> 7;
    state ^= state << 17;
    return (uint32_t)(state >> 32) % below;
}

/* Mostly frames that are right, with a wrong bit here and there: noise alone ends at its first byte. */
static size_t make(unsigned char *bytes, size_t room) {
    static const unsigned char kinds[] = {WS_TEXT, WS_BINARY, WS_CONTINUATION, WS_PING, WS_PONG, WS_CLOSE};
    size_t at = 0, index;
    while (at + 14 + 200 < room && chance(12)) {
        size_t size = chance(3) ? chance(20) : 100 + chance(100);
        bytes[at++] = (unsigned char)(kinds[chance(6)] | (chance(5) ? 0x80 : 0));
        if (size < 126) {
            bytes[at++] = (unsigned char)(0x80 | size);
        } else {
            bytes[at++] = 0x80 | 126;
            bytes[at++] = 0;
            bytes[at++] = (unsigned char)size;
        }
        for (index = 0; index < size + 4; index++)
            bytes[at++] = (unsigned char)chance(256);
    }
    for (index = chance(4); at && index > 1; index--)
        bytes[chance((uint32_t)at)] ^= (unsigned char)(1u << chance(8));
    return at && !chance(3) ? chance((uint32_t)at + 1) : at;
}

int main(int count, char **words) {
    unsigned long runs = count > 1 ? strtoul(words[1], NULL, 10) : 100000, seed = count > 2 ? strtoul(words[2], NULL, 10) : 1, run;
    unsigned char bytes[4000];
    for (run = 0; run < runs; run++) {
        state = (seed + run) * UINT64_C(0x9E3779B97F4A7C15) | 1;
        LLVMFuzzerTestOneInput(bytes, make(bytes, sizeof bytes));
    }
    printf("%lu inputs\n", runs);
    return 0;
}
#endif
