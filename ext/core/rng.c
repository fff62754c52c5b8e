/* rng.c - seeded random numbers: xoshiro256** (Blackman and Vigna 2018).
 *
 * Every random choice in the library comes from here and from a seed that the user can set,
 * so that the same data, options and seed give the same model. There is no global
 * generator: who needs numbers owns an rng. Parallel code gives each piece of work its own
 * stream (rng_seed(r, seed, piece)), never each thread: then results do not depend on the
 * number of threads.
 *
 *     seed, stream --splitmix64--> s[4] --xoshiro256**--> 64 bits --> below / unit / normal
 *
 * Invariants
 *   I1  The state is never all zero (the only fixed point of the generator).
 *   I2  rng_normal keeps nothing between calls: the stream position alone decides.
 */
#include "core.h"

#include <math.h>

static uint64_t rotate_left(uint64_t x, int k) {
    return x << k | x >> (64 - k);
}

void rng_seed(rng *r, uint64_t seed, uint64_t stream) {
    uint64_t x = rec_mix(seed) ^ rec_mix(~stream * 0xd1342543de82ef95u);
    for (int i = 0; i < 4; i++)
        r->s[i] = rec_mix(x + (uint64_t)i * 0x9e3779b97f4a7c15u);
    if (!(r->s[0] | r->s[1] | r->s[2] | r->s[3])) r->s[0] = 1; /* I1 */
}

uint64_t rng_u64(rng *r) {
    uint64_t *s = r->s, out = rotate_left(s[1] * 5, 7) * 9, t = s[1] << 17;
    s[2] ^= s[0];
    s[3] ^= s[1];
    s[1] ^= s[2];
    s[0] ^= s[3];
    s[2] ^= t;
    s[3] = rotate_left(s[3], 45);
    return out;
}

/* Multiply and shift; the few products that would favour small results are drawn again
 * (Lemire 2019). */
uint32_t rng_below(rng *r, uint32_t n) {
    uint64_t m = (rng_u64(r) >> 32) * n;
    if ((uint32_t)m < n) {
        uint32_t floor = (0u - n) % n;
        while ((uint32_t)m < floor) m = (rng_u64(r) >> 32) * n;
    }
    return (uint32_t)(m >> 32);
}

double rng_unit(rng *r) {
    return (double)(rng_u64(r) >> 11) * 0x1p-53;
}

/* Marsaglia's polar method; its second number is thrown away (I2). */
double rng_normal(rng *r) {
    double x, y, s;
    do {
        x = 2 * rng_unit(r) - 1;
        y = 2 * rng_unit(r) - 1;
        s = x * x + y * y;
    } while (s >= 1 || s == 0);
    return x * sqrt(-2 * log(s) / s);
}

void rng_shuffle_u32(rng *r, uint32_t *a, size_t n) {
    for (size_t i = n; i > 1; i--) {
        size_t j = rng_below(r, (uint32_t)i);
        uint32_t t = a[i - 1];
        a[i - 1] = a[j];
        a[j] = t;
    }
}
