/* unit.h - the whole test framework: CHECK counts, UNIT_END reports.
 *
 *   UNIT_BEGIN("heap");
 *   CHECK(topk_bound(&h) == 3.0f);
 *   CHECK_NEAR(x, 1.5, 1e-6);
 *   return UNIT_END();                prints "heap: 12 passed, 0 failed"
 */
#ifndef REC_UNIT_H
#define REC_UNIT_H
#include <math.h>
#include <stdio.h>

static const char *unit_name;
static int unit_passed, unit_failed;

#define UNIT_BEGIN(name) (unit_name = (name))
#define CHECK(cond)                                                                  \
    ((cond) ? (void)unit_passed++                                                    \
            : (void)(unit_failed++, fprintf(stderr, "%s:%d: failed: %s\n", __FILE__, \
                                            __LINE__, #cond)))
#define CHECK_NEAR(a, b, eps)                                                  \
    do {                                                                       \
        double unit_a = (a), unit_b = (b);                                     \
        if (fabs(unit_a - unit_b) <= (eps))                                    \
            unit_passed++;                                                     \
        else {                                                                 \
            unit_failed++;                                                     \
            fprintf(stderr, "%s:%d: failed: %s = %.9g, expected %.9g +- %g\n", \
                    __FILE__, __LINE__, #a, unit_a, unit_b, (double)(eps));    \
        }                                                                      \
    } while (0)

static inline int unit_report(void) {
    printf("%s: %d passed, %d failed\n", unit_name, unit_passed, unit_failed);
    return unit_failed != 0;
}
#define UNIT_END() unit_report()

/* Deterministic stream for test data. */
static inline unsigned long long unit_rand(unsigned long long *s) {
    *s ^= *s << 13, *s ^= *s >> 7, *s ^= *s << 17;
    return *s;
}
static inline double unit_uniform(unsigned long long *s) { /* [0,1) */
    return (double)(unit_rand(s) >> 11) / 9007199254740992.0;
}

/* Allocator that fails from the n-th allocation on and counts what is live. */
#include <stdlib.h>
__attribute__((unused)) static long unit_live, unit_countdown = -1; /* -1: never fail */
static inline int unit_fail_now(void) {
    return unit_countdown >= 0 && unit_countdown-- == 0 ? (unit_countdown = 0, 1) : 0;
}
#endif
