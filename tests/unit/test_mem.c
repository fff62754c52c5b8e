/* Allocator limits, checked sizes, growth, sorting. */
#include "unit.h"

#include "alloc.h"

static void test_sizes(void) {
    size_t x;
    CHECK(rec_mul(3, 4, &x) && x == 12);
    CHECK(rec_mul(0, SIZE_MAX, &x) && x == 0);
    CHECK(rec_mul(SIZE_MAX, 1, &x) && x == SIZE_MAX);
    CHECK(!rec_mul(SIZE_MAX / 2 + 1, 2, &x) && x == 0);
    CHECK(rec_add(SIZE_MAX, 0, &x) && !rec_add(SIZE_MAX, 1, &x));
}

static void test_limits(void) {
    CHECK(rec_malloc(0) == NULL);
    CHECK(rec_malloc(REC_MAX_ALLOC + 1) == NULL);
    CHECK(rec_array(SIZE_MAX, 16) == NULL && rec_zeros(SIZE_MAX / 2, 4) == NULL);
    char *p = rec_array(0, 8);
    CHECK(p != NULL);
    rec_free(p);
    rec_free(NULL);
    p = rec_strndup("hello", 3);
    CHECK(strcmp(p, "hel") == 0);
    CHECK(rec_realloc(p, REC_MAX_ALLOC + 1) == NULL && p[0] == 'h');
    rec_free(p);
    CHECK(unit_live == 0);
}

static void test_grow(void) {
    int *a = NULL;
    size_t cap = 0;
    for (int i = 0; i < 1000; i++) {
        CHECK(!rec_grow(&a, &cap, (size_t)i + 1, sizeof *a, NULL));
        a[i] = i;
    }
    CHECK(a[999] == 999 && cap >= 1000);
    size_t before = cap;
    rec_err err = {0};
    CHECK(rec_grow(&a, &cap, SIZE_MAX / 2, sizeof *a, &err) == REC_NOMEM &&
          cap == before);
    CHECK(strcmp(err.msg, "out of memory") == 0);
    unit_countdown = 0;
    CHECK(rec_grow(&a, &cap, cap + 1, sizeof *a, NULL) == REC_NOMEM && cap == before);
    unit_countdown = -1;
    rec_free(a);
}

static void test_messages(void) {
    rec_err err = {0};
    CHECK(rec_fail(&err, REC_RANGE, "x is %d", 3) == REC_RANGE);
    CHECK(err.code == REC_RANGE && strcmp(err.msg, "x is 3") == 0);
    CHECK(rec_nomem(&err) == REC_NOMEM && err.code == REC_NOMEM);
    CHECK(strcmp(err.msg, "x is 3") == 0);
    CHECK(rec_corrupt(NULL, "y") == REC_CORRUPT);
}

static int compare_ints(const void *a, const void *b, void *ctx) {
    ++*(long *)ctx;
    return (*(const int *)a > *(const int *)b) - (*(const int *)a < *(const int *)b);
}

static void check_sort(int *a, int n) {
    long count = 0, sum = 0, sum_after = 0;
    for (int i = 0; i < n; i++) sum += a[i];
    rec_sort(a, (size_t)n, sizeof *a, compare_ints, &count);
    bool ordered = true;
    for (int i = 0; i < n; i++) {
        sum_after += a[i];
        if (i > 0 && a[i - 1] > a[i]) ordered = false;
    }
    CHECK(ordered && sum == sum_after);
    CHECK(count <= 40L * n + 60L * n * (n > 1000)); /* never quadratic */
}

static void test_sort(void) {
    static int a[20000];
    unsigned long long seed = 3;
    for (int n = 0; n < 70; n++)
        for (int shape = 0; shape < 4; shape++) {
            for (int i = 0; i < n; i++)
                a[i] = shape == 0   ? (int)(unit_rand(&seed) % 1000)
                       : shape == 1 ? i
                       : shape == 2 ? n - i
                                    : (int)(unit_rand(&seed) % 3);
            check_sort(a, n);
        }
    for (int shape = 0; shape < 5; shape++) {
        for (int i = 0; i < 20000; i++)
            a[i] = shape == 0   ? (int)(unit_rand(&seed) % 1000000)
                   : shape == 1 ? i
                   : shape == 2 ? -i
                   : shape == 3 ? (i < 10000 ? i : 20000 - i)
                                : 7;
        check_sort(a, 20000);
    }
}

int main(void) {
    UNIT_BEGIN("mem");
    alloc_install();
    test_sizes();
    test_limits();
    test_grow();
    test_messages();
    test_sort();
    CHECK(unit_live == 0);
    return UNIT_END();
}
