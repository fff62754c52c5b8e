/* Random numbers: repeatable, unbiased, independent streams. */
#include "unit.h"

#include "alloc.h"

int main(void) {
    UNIT_BEGIN("rng");
    rng a, b, c;
    rng_seed(&a, 1, 0), rng_seed(&b, 1, 0), rng_seed(&c, 1, 1);
    int same = 0, equal = 0;
    for (int i = 0; i < 1000; i++) {
        uint64_t x = rng_u64(&a);
        same += x == rng_u64(&b);
        equal += x == rng_u64(&c);
    }
    CHECK(same == 1000 && equal == 0);
    long count[7] = {0};
    for (int i = 0; i < 70000; i++) count[rng_below(&a, 7)]++;
    for (int i = 0; i < 7; i++) CHECK(count[i] > 9500 && count[i] < 10500);
    for (int i = 0; i < 100; i++) CHECK(rng_below(&a, 1) == 0);
    uint32_t most = 0;
    for (int i = 0; i < 1000; i++) {
        uint32_t x = rng_below(&a, UINT32_MAX);
        if (x > most) most = x;
    }
    CHECK(most > UINT32_MAX / 100 * 98 && most < UINT32_MAX);
    double sum = 0, square = 0, mean = 0;
    for (int i = 0; i < 100000; i++) {
        double u = rng_unit(&a), z = rng_normal(&a);
        if (u < 0 || u >= 1) CHECK(0);
        mean += u, sum += z, square += z * z;
    }
    CHECK_NEAR(mean / 1e5, 0.5, 0.01);
    CHECK_NEAR(sum / 1e5, 0, 0.02);
    CHECK_NEAR(square / 1e5, 1, 0.03);
    uint32_t p[100], seen[100] = {0};
    int moved = 0;
    for (uint32_t i = 0; i < 100; i++) p[i] = i;
    rng_shuffle_u32(&a, p, 100);
    for (uint32_t i = 0; i < 100; i++) seen[p[i]]++, moved += p[i] != i;
    for (int i = 0; i < 100; i++) CHECK(seen[i] == 1);
    CHECK(moved > 80);
    rng_shuffle_u32(&a, p, 0);
    return UNIT_END();
}
