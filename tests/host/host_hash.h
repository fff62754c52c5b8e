/* host_hash.h - the checksum of stored bytes, written down a second time (ext/FORMAT.md: rec_hash). */
#ifndef REC_HOST_HASH_H
#define REC_HOST_HASH_H

#include <stddef.h>
#include <stdint.h>

static inline uint64_t host_mix(uint64_t x) {
    x += 0x9e3779b97f4a7c15u;
    x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9u;
    x = (x ^ (x >> 27)) * 0x94d049bb133111ebu;
    return x ^ (x >> 31);
}

static inline uint64_t host_word(const unsigned char *p, size_t n) {
    uint64_t x = 0;
    for (size_t i = 0; i < n && i < 8; i++) x |= (uint64_t)p[i] << (8 * i);
    return x;
}

static inline uint64_t host_hash(const unsigned char *p, size_t n, uint64_t seed) {
    uint64_t h = host_mix(seed ^ (uint64_t)n * 0xff51afd7ed558ccdu), lane[4];
    if (n >= 32) {
        for (uint64_t i = 0; i < 4; i++) lane[i] = host_mix(h + i);
        for (; n >= 32; n -= 32, p += 32)
            for (int i = 0; i < 4; i++) {
                uint64_t x = (lane[i] ^ host_word(p + 8 * i, 8)) * 0x9fb21c651e98df25u;
                lane[i] = x ^ x >> 32;
            }
        for (int i = 0; i < 4; i++) h = host_mix(h ^ lane[i]);
    }
    for (; n > 0; p += 8, n -= n < 8 ? n : 8) h = host_mix(h ^ host_word(p, n));
    return h;
}
#endif
