/* Messages, encoded and masked once at the start. */
#define _GNU_SOURCE
#include "load.h"
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

const char text[] = "all for one, one for all";

/* Ten fields, as `peers/order.py` has them; every JSON encoder writes them alike. */
const char typed[] =
    "{\"id\":48151623,\"customer\":\"Constance Bonacieux\",\"email\":\"constance@example.org\",\"age\":26,"
    "\"score\":97.25,\"active\":true,\"tags\":[\"paris\",\"palace\",\"linen\"],\"city\":\"Paris\","
    "\"note\":null,\"created\":\"2026-01-31T09:30:00Z\"}";

static void fill_burst(struct exchange *e, unsigned repeats) {
    size_t room = 0;
    for (unsigned i = 0; i < e->part_count; i++) room += e->parts[i].size + 14;
    e->burst = allocated(realloc(e->burst, room * repeats));
    e->frame_size = 0;
    size_t at = 0;
    for (unsigned i = 0; i < repeats; i++) {
        for (unsigned k = 0; k < e->part_count; k++)
            at += put_frame(e->burst + at, e->parts[k].opcode, e->parts[k].data, e->parts[k].size);
        if (!i) e->frame_size = at;
    }
}

void prepare_exchange(struct exchange *e, unsigned repeats, const char *format, ...) {
    va_list args;
    va_start(args, format);
    int size = vsnprintf(e->text, sizeof e->text, format, args);
    va_end(args);
    if (size < 0 || (size_t)size >= sizeof e->text) die("a message that is too long");
    e->parts[0].opcode = 1;
    e->parts[0].data = e->text;
    e->parts[0].size = (size_t)size;
    e->part_count = 1;
    fill_burst(e, repeats);
}

void attach(struct exchange *e, unsigned repeats) {
    uint8_t *attachment = allocated(malloc(ATTACHMENT));
    for (unsigned i = 0; i < ATTACHMENT; i++) attachment[i] = (uint8_t)(i * 31 + (i >> 8));
    e->parts[1].opcode = 2;
    e->parts[1].data = attachment;
    e->parts[1].size = ATTACHMENT;
    e->part_count = 2;
    fill_burst(e, repeats);
}
