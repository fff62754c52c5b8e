/* mem.c - status and error text, the allocator, checked sizes, sorting.
 *
 * Everything else in the library stands on three function pointers. rec.c points them at
 * SQLite's allocator, so that a heap limit of the host holds for us too and so that fault
 * injection in SQLite reaches every allocation here; the unit tests point them at an
 * allocator that fails on demand.
 *
 *     caller -> rec_array(n, size) -> rec_mul (overflow?) -> rec_malloc (too big?) -> host
 *
 * Invariants
 *   I1  No request above REC_MAX_ALLOC reaches the host: SQLite would refuse it, libc would
 *       grant it, and the two must not behave differently.
 *   I2  Products of two run-time sizes go through rec_mul.
 *   I3  A failed rec_realloc or rec_grow leaves the old block and its capacity as they were.
 *
 * The allocator is the only mutable state of the process in this layer besides the chosen
 * kernels; it is set once, before any other call.
 *
 * Cost: rec_sort is O(n log n) comparisons in the worst case and takes no memory.
 */
#define REC_MEM_IMPLEMENTATION
#include "core.h"

#include <stdlib.h>

/* ---- status and error text ------------------------------------------------------- */

static rec_status fail_va(rec_err *err, rec_status code, const char *fmt, va_list ap) {
    if (!err) return code;
    err->code = code;
    rec_vformat(err->msg, sizeof err->msg, fmt, ap);
    return code;
}

rec_status rec_fail(rec_err *err, rec_status code, const char *fmt, ...) {
    va_list ap;
    if (code == REC_NOMEM && err && err->msg[0]) {
        err->code = code;
        return code;
    }
    va_start(ap, fmt);
    fail_va(err, code, fmt, ap);
    va_end(ap);
    return code;
}

rec_status rec_corrupt(rec_err *err, const char *fmt, ...) {
    va_list ap;
    va_start(ap, fmt);
    fail_va(err, REC_CORRUPT, fmt, ap);
    va_end(ap);
    return REC_CORRUPT;
}

rec_status rec_nomem(rec_err *err) {
    return rec_fail(err, REC_NOMEM, "out of memory");
}

/* ---- allocator ---------------------------------------------------------------------- */

static rec_allocator allocator = {malloc, realloc, free};

void rec_set_allocator(const rec_allocator *a) {
    allocator = *a;
}

void *rec_malloc(size_t nbyte) {
    if (nbyte == 0 || nbyte > REC_MAX_ALLOC) return NULL; /* I1 */
    return allocator.alloc(nbyte);
}

void *rec_realloc(void *p, size_t nbyte) {
    if (nbyte == 0 || nbyte > REC_MAX_ALLOC) return NULL;
    return p ? allocator.resize(p, nbyte) : allocator.alloc(nbyte);
}

void rec_free(void *p) {
    if (p) allocator.release(p);
}

bool rec_mul(size_t a, size_t b, size_t *out) {
    if (b != 0 && a > SIZE_MAX / b) {
        *out = 0;
        return false;
    }
    *out = a * b;
    return true;
}

bool rec_add(size_t a, size_t b, size_t *out) {
    if (a > SIZE_MAX - b) {
        *out = 0;
        return false;
    }
    *out = a + b;
    return true;
}

void *rec_array(size_t n, size_t size) {
    size_t nbyte;
    if (!rec_mul(n, size, &nbyte)) return NULL;
    return rec_malloc(nbyte ? nbyte : 1);
}

void *rec_zeros(size_t n, size_t size) {
    void *p = rec_array(n, size);
    if (p) memset(p, 0, n * size); /* rec_array has checked the product */
    return p;
}

char *rec_strndup(const char *s, size_t nbyte) {
    size_t total;
    if (!rec_add(nbyte, 1, &total)) return NULL;
    char *p = rec_malloc(total);
    if (!p) return NULL;
    if (nbyte) memcpy(p, s, nbyte);
    p[nbyte] = 0;
    return p;
}

char *rec_strdup(const char *s) {
    return rec_strndup(s, strlen(s));
}

rec_status rec_grow(void *parr, size_t *n_cap, size_t n_need, size_t size,
                    rec_err *err) {
    if (n_need <= *n_cap) return REC_OK;
    size_t n_new = *n_cap < 8 ? 8 : *n_cap, nbyte;
    while (n_new < n_need) n_new = n_new > SIZE_MAX / 2 ? n_need : n_new * 2;
    /* Near the largest block doubling would fail where the exact size still fits. */
    if (!rec_mul(n_new, size, &nbyte) || nbyte > REC_MAX_ALLOC) n_new = n_need;
    if (!rec_mul(n_new, size, &nbyte)) return rec_nomem(err);
    void *old;
    memcpy(&old, parr, sizeof old); /* parr is a pointer to a pointer of any type */
    void *p = rec_realloc(old, nbyte);
    if (!p) return rec_nomem(err);
    memcpy(parr, &p, sizeof p);
    *n_cap = n_new;
    return REC_OK;
}

/* ---- sorting ----------------------------------------------------------------------- */

/* Quicksort with the median of three, insertion sort for short ranges, heap sort once a
 * range has been cut too often: no bad input and no memory. Elements move by memcpy, so
 * they need no alignment. */

#define SORT_SHORT    12
#define SORT_MAX_SIZE 64 /* bytes of an element */

typedef struct sorter {
    size_t size;
    rec_compare cmp;
    void *ctx;
} sorter;

static void sort_swap(const sorter *s, char *a, char *b) {
    char t[SORT_MAX_SIZE];
    memcpy(t, a, s->size);
    memcpy(a, b, s->size);
    memcpy(b, t, s->size);
}

static void sort_insertion(const sorter *s, char *a, size_t n) {
    for (size_t i = 1; i < n; i++) {
        char t[SORT_MAX_SIZE];
        char *p = a + i * s->size;
        if (s->cmp(p - s->size, p, s->ctx) <= 0) continue;
        memcpy(t, p, s->size);
        do {
            memcpy(p, p - s->size, s->size);
            p -= s->size;
        } while (p > a && s->cmp(p - s->size, t, s->ctx) > 0);
        memcpy(p, t, s->size);
    }
}

static void sort_sift(const sorter *s, char *a, size_t at, size_t n) {
    for (;;) {
        size_t child = 2 * at + 1;
        if (child >= n) return;
        char *c = a + child * s->size;
        if (child + 1 < n && s->cmp(c, c + s->size, s->ctx) < 0) child++, c += s->size;
        if (s->cmp(a + at * s->size, c, s->ctx) >= 0) return;
        sort_swap(s, a + at * s->size, c);
        at = child;
    }
}

static void sort_heap(const sorter *s, char *a, size_t n) {
    for (size_t i = n / 2; i-- > 0;) sort_sift(s, a, i, n);
    for (size_t i = n; i-- > 1;) {
        sort_swap(s, a, a + i * s->size);
        sort_sift(s, a, 0, i);
    }
}

/* Puts the median of first, middle and last first, parts the range, returns its place. */
static size_t sort_part(const sorter *s, char *a, size_t n) {
    char *mid = a + n / 2 * s->size, *last = a + (n - 1) * s->size;
    if (s->cmp(mid, last, s->ctx) > 0) sort_swap(s, mid, last);
    if (s->cmp(a, last, s->ctx) > 0) sort_swap(s, a, last);
    if (s->cmp(a, mid, s->ctx) < 0) sort_swap(s, a, mid);
    size_t i = 0, j = n;
    for (;;) {
        do i++;
        while (i < n && s->cmp(a + i * s->size, a, s->ctx) < 0);
        do j--;
        while (s->cmp(a + j * s->size, a, s->ctx) > 0);
        if (i >= j) break;
        sort_swap(s, a + i * s->size, a + j * s->size);
    }
    sort_swap(s, a, a + j * s->size);
    return j;
}

static void sort_range(const sorter *s, char *a, size_t n, int budget) {
    while (n > SORT_SHORT) {
        if (budget-- == 0) {
            sort_heap(s, a, n);
            return;
        }
        size_t p = sort_part(s, a, n);
        char *right = a + (p + 1) * s->size;
        size_t n_right = n - p - 1;
        /* Recursion into the shorter side keeps the stack at log2(n) frames. */
        if (p < n_right) {
            sort_range(s, a, p, budget);
            a = right, n = n_right;
        } else {
            sort_range(s, right, n_right, budget);
            n = p;
        }
    }
    sort_insertion(s, a, n);
}

void rec_sort(void *base, size_t n, size_t size, rec_compare cmp, void *ctx) {
    sorter s = {size, cmp, ctx};
    assert(size <= SORT_MAX_SIZE);
    int budget = 2;
    for (size_t m = n; m > 1; m /= 2) budget += 2;
    if (n > 1) sort_range(&s, base, n, budget);
}
