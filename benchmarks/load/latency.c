/* Latencies: a histogram, 32 steps per power of two, so within 3 % at any size. */
#include "load.h"
#include <stdio.h>

void record(struct histogram *h, uint64_t ns) {
    int power = 63 - __builtin_clzll(ns | 1);
    h->steps[power < 5 ? ns : (uint64_t)(power - 4) * 32 + ((ns >> (power - 5)) & 31)]++;
    h->count++;
    if (ns > h->most) h->most = ns;
}

static double percentile_us(const struct histogram *h, double share) {
    uint64_t seen = 0, wanted = (uint64_t)(share * (double)h->count);
    for (unsigned i = 0; i < 64 * 32; i++) {
        seen += h->steps[i];
        if (seen > wanted) {
            if (i < 32) return i / 1e3;
            double step = (double)(1ull << (i / 32 - 1));
            return ((32 + i % 32) * step + step / 2) / 1e3;
        }
    }
    return 0;
}

void print_latencies(const struct histogram *h, const char *prefix) {
    static const struct { const char *name; double share; } shares[] = {
        {"p50", .5}, {"p90", .9}, {"p99", .99}, {"p999", .999},
    };
    for (unsigned i = 0; i < sizeof shares / sizeof *shares; i++)
        printf(", \"%s%s_us\": %.1f", prefix, shares[i].name, percentile_us(h, shares[i].share));
    printf(", \"%smax_us\": %.1f", prefix, (double)h->most / 1e3);
}
