/* metrics.c - how good a ranked list is, given what the user really chose.
 *
 * One list at a time; means over users are metrics_boot.c's. The denominators are part of a
 * metric's definition, and published tables differ in them:
 *
 *     recall@k     hits in the first k / n_test          (or / min(k, n_test), if asked for)
 *     ndcg@k       DCG / ideal DCG over min(k, n_test)   DCG = sum of 1 / log2(rank + 1)
 *     map@k        sum over hits of precision at their rank / min(k, n_test)
 *     mrr@k        1 / rank of the first hit, 0 without one
 *     hit@k        1 if there is a hit
 *     precision@k  hits / k, also where the list is shorter
 *     auc          share of (chosen, not chosen) pairs of candidates in the right order, ties half
 *
 *     ranked   5 1 9 3        test  3 5 8       k = 4
 *              *     *        recall 2/3   ndcg (1 + 1/log2 5) / (1 + 1/log2 3 + 1/2)
 *                             map (1/1 + 2/4) / 3   mrr 1   precision 2/4
 *
 * Invariants
 *   I1  all lie in [0, 1]; an empty test set or k = 0 gives 0 (callers leave such users out).
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

void metrics_rank(const metrics_list *l, size_t k, metrics_ranked *out) {
    double dcg = 0, ideal = 0, precisions = 0;
    size_t hits = 0, n_top = l->n_ranked < k ? l->n_ranked : k;
    memset(out, 0, sizeof *out);
    if (l->n_test == 0 || k == 0) return;
    size_t most = l->n_test < k ? l->n_test : k;
    for (size_t r = 0; r < n_top; r++) {
        if (!contains(l->test, l->n_test, l->ranked[r]) ||
            was_before(l->ranked, r, l->ranked[r]))
            continue;
        hits++;
        dcg += 1 / log2((double)r + 2);
        precisions += (double)hits / (double)(r + 1);
        if (hits == 1) out->mrr = 1 / (double)(r + 1);
    }
    for (size_t r = 0; r < most; r++) ideal += 1 / log2((double)r + 2);
    out->recall = (double)hits / (double)l->n_test;
    out->recall_min = (double)hits / (double)most;
    out->ndcg = dcg / ideal;
    out->map = precisions / (double)most;
    out->hit = hits > 0;
    out->precision = (double)hits / (double)k;
}

void metrics_at(const uint32_t *ranked, size_t n_ranked, const uint32_t *test,
                size_t n_test, size_t k, double *recall, double *ndcg) {
    metrics_list l = {ranked, n_ranked, test, n_test};
    metrics_ranked m;
    metrics_rank(&l, k, &m);
    *recall = m.recall;
    *ndcg = m.ndcg;
}

static int ascending(const void *a, const void *b, void *ctx) {
    float x = *(const float *)a, y = *(const float *)b;
    (void)ctx;
    return x < y ? -1 : x > y;
}

/* How many of sorted[0..n) are below x, and how many equal it. */
static void place(const float *sorted, size_t n, float x, size_t *below,
                  size_t *equal) {
    size_t lo = 0, hi = n, first;
    while (lo < hi) {
        size_t mid = lo + (hi - lo) / 2;
        if (sorted[mid] < x)
            lo = mid + 1;
        else
            hi = mid;
    }
    first = lo;
    while (lo < n && sorted[lo] == x) lo++;
    *below = first;
    *equal = lo - first;
}

double metrics_auc(const float *score, const bitmap *allowed, const uint32_t *test,
                   size_t n_test, float *scratch) {
    size_t n = 0, n_other = 0, at = 0;
    double right = 0;
    for (size_t i = 0; i < n_test; i++)
        if (bitmap_has(allowed, test[i])) scratch[n++] = score[test[i]];
    rec_sort(scratch, n, sizeof *scratch, ascending, NULL);
    for (uint32_t i = 0; i < allowed->n_bit; i++) {
        size_t below, equal;
        while (at < n_test && test[at] < i) at++;
        if (!bitmap_has(allowed, i) || (at < n_test && test[at] == i)) continue;
        place(scratch, n, score[i], &below, &equal);
        right += (double)(n - below - equal) + .5 * (double)equal;
        n_other++;
    }
    return n && n_other ? right / ((double)n * (double)n_other) : NAN;
}
