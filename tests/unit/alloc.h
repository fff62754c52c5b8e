/* alloc.h - the failing allocator of the unit tests. Include after unit.h.
 *
 *     ALLOC_LOOP(rc = thing_new(&t, &err); thing_clear(&t));
 *
 * runs the statements with the first, second, ... allocation failing (and every later one
 * too) until they succeed: each failure must be REC_NOMEM and leave nothing allocated. */
#ifndef REC_UNIT_ALLOC_H
#define REC_UNIT_ALLOC_H
#include "../../ext/core/core.h"
#undef malloc
#undef realloc
#undef free

static void *alloc_new(size_t n) {
    if (unit_fail_now()) return NULL;
    unit_live++;
    return malloc(n);
}
static void *alloc_resize(void *p, size_t n) {
    return unit_fail_now() ? NULL : realloc(p, n);
}
static void alloc_release(void *p) {
    unit_live--;
    free(p);
}
static inline void alloc_install(void) {
    static const rec_allocator failing = {alloc_new, alloc_resize, alloc_release};
    rec_set_allocator(&failing);
}
#define ALLOC_MAX_TRIES 100000
#define ALLOC_LOOP(...)                                                    \
    do {                                                                   \
        rec_status rc = REC_NOMEM;                                         \
        long live_before = unit_live, tries = 0;                           \
        for (; rc != REC_OK && tries < ALLOC_MAX_TRIES; tries++) {         \
            unit_countdown = tries;                                        \
            __VA_ARGS__;                                                   \
            unit_countdown = -1;                                           \
            if (rc != REC_OK && rc != REC_NOMEM) CHECK(rc == REC_NOMEM);   \
            if (unit_live != live_before) CHECK(unit_live == live_before); \
        }                                                                  \
        CHECK(rc == REC_OK && tries > 1);                                  \
    } while (0)
#endif
