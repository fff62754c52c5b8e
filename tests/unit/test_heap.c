/* Best k and lazy ranking against a full sort, ties and NaN included. */
#include "unit.h"

#include "alloc.h"

enum { N = 3000 };

static int by_value_then_id(const void *a, const void *b) {
    const topk_entry *x = a, *y = b;
    bool xn = isnan(x->value), yn = isnan(y->value);
    if (xn != yn) return xn ? 1 : -1;
    if (!xn && x->value != y->value) return x->value < y->value ? -1 : 1;
    return (x->id > y->id) - (x->id < y->id);
}

static void fill(topk_entry *a, size_t n, int shape) {
    unsigned long long seed = 9 + (unsigned)shape;
    for (size_t i = 0; i < n; i++) {
        uint64_t r = unit_rand(&seed);
        a[i].id = (uint32_t)i;
        a[i].value = shape == 0    ? (float)unit_uniform(&seed)
                     : shape == 1  ? (float)(r % 5) /* ties */
                     : shape == 2  ? (float)i
                     : shape == 3  ? -(float)i
                     : r % 10 == 0 ? NAN
                     : r % 10 == 1 ? INFINITY
                                   : (float)(r % 50);
    }
    for (size_t i = n; i > 1; i--) { /* ids in any order */
        size_t j = unit_rand(&seed) % i;
        uint32_t t = a[i - 1].id;
        if (shape != 2) a[i - 1].id = a[j].id, a[j].id = t;
    }
}

static bool same(topk_entry a, topk_entry b) {
    return a.id == b.id && (a.value == b.value || (isnan(a.value) && isnan(b.value)));
}

static void check_topk(const topk_entry *a, const topk_entry *sorted, size_t n,
                       size_t k) {
    topk h;
    CHECK(!topk_init(&h, k, NULL));
    CHECK(k == 0 || isinf(topk_bound(&h)));
    for (size_t i = 0; i < n; i++) topk_push(&h, a[i].value, a[i].id);
    size_t want = k < n ? k : n, bad = 0;
    CHECK(h.n == want);
    if (k > 0 && k <= n && !isnan(sorted[k - 1].value))
        CHECK(topk_bound(&h) == sorted[k - 1].value);
    topk_sort(&h);
    for (size_t i = 0; i < want; i++) bad += !same(h.a[i], sorted[i]);
    CHECK(bad == 0);
    topk_clear(&h);
}

static void check_ranking(const topk_entry *a, const topk_entry *sorted, size_t n) {
    topk_entry *copy = rec_array(n, sizeof *copy), x;
    memcpy(copy, a, n * sizeof *copy);
    ranking r;
    CHECK(!ranking_init(&r, copy, n, NULL));
    size_t bad = 0;
    for (size_t i = 0; i < n; i++) bad += !ranking_next(&r, &x) || !same(x, sorted[i]);
    CHECK(bad == 0 && !ranking_next(&r, &x) && !ranking_next(&r, &x));
    ranking_clear(&r);
}

int main(void) {
    static topk_entry a[N], sorted[N];
    static const size_t sizes[] = {0,  1,  2,   3,   16,  17,  63,
                                   64, 65, 127, 128, 129, 400, N};
    UNIT_BEGIN("heap");
    alloc_install();
    for (int shape = 0; shape < 5; shape++)
        for (size_t s = 0; s < sizeof sizes / sizeof *sizes; s++) {
            size_t n = sizes[s];
            fill(a, n, shape);
            memcpy(sorted, a, n * sizeof *a);
            qsort(sorted, n, sizeof *a, by_value_then_id);
            check_ranking(a, sorted, n);
            for (size_t k = 0; k < 20; k++) check_topk(a, sorted, n, k);
            check_topk(a, sorted, n, n), check_topk(a, sorted, n, n + 1);
        }
    topk h;
    ALLOC_LOOP(rc = topk_init(&h, 10, NULL); topk_clear(&h));
    CHECK(topk_init(&h, SIZE_MAX / 4, NULL) == REC_NOMEM && h.a == NULL);
    CHECK(unit_live == 0);
    return UNIT_END();
}
