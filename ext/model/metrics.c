/* metrics.c - how good a ranked list is, given what the user really chose.
 *
 * One list at a time; means over users are the caller's. The denominators are part of a
 * metric's definition, and published tables differ in them:
 *
 *     recall@k = hits in the first k / n_test          (not min(k, n_test))
 *     ndcg@k   = DCG / ideal DCG over min(k, n_test)   DCG = sum of 1 / log2(rank + 1)
 *
 * Invariants
 *   I1  both lie in [0, 1]; an empty test set gives 0 for both (callers leave such users out).
 *   I2  a list that repeats an item counts it once.
 */
#include "model.h"

#include <math.h>

static bool contains(const uint32_t *sorted, size_t n, uint32_t x) {
    size_t lo = 0, hi = n;
    while (lo < hi) {
        size_t mid = lo + (hi - lo) / 2;
        if (sorted[mid] < x)
            lo = mid + 1;
        else
            hi = mid;
    }
    return lo < n && sorted[lo] == x;
}

static bool was_before(const uint32_t *list, size_t n, uint32_t x) {
    for (size_t i = 0; i < n; i++)
        if (list[i] == x) return true;
    return false;
}

void metrics_at(const uint32_t *ranked, size_t n_ranked, const uint32_t *test,
                size_t n_test, size_t k, double *recall, double *ndcg) {
    double dcg = 0, ideal = 0;
    size_t hits = 0, n_top = n_ranked < k ? n_ranked : k;
    *recall = *ndcg = 0;
    if (n_test == 0 || k == 0) return;
    for (size_t r = 0; r < n_top; r++) {
        if (!contains(test, n_test, ranked[r]) || was_before(ranked, r, ranked[r]))
            continue;
        hits++;
        dcg += 1 / log2((double)r + 2);
    }
    for (size_t r = 0; r < n_test && r < k; r++) ideal += 1 / log2((double)r + 2);
    *recall = (double)hits / (double)n_test;
    *ndcg = dcg / ideal;
}
