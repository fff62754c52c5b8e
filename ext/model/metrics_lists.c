/* metrics_lists.c - what lists are like, apart from being right.
 *
 *     coverage         items that stand in at least one list / all items
 *     gini             how unequal items are shown: 0 all alike, towards 1 a few fill every list
 *     novelty          mean of -log2(share of users who had the item)      bits an item
 *     diversity        1 - mean likeness of two items of a list            (Ziegler et al. 2005)
 *     serendipity      chosen items that the most popular ones would not have given / k  (Ge et al. 2010)
 *     calibration      Kullback-Leibler divergence of the list's mix of facet values from that of the
 *                      user's history; 0 = the same mix                     (Steck 2018)
 *     popularity_lift  mean popularity of what is shown / of what users had, less one
 *
 * Likeness of two items: the Jaccard index of their facet values where there are facets, else the
 * cosine of the sets of users who had them.
 *
 * Cost: diversity O(k^2 * (length of the two sets)); the others O(k).
 */
#include "model.h"

#include <math.h>

static int ascending(const void *a, const void *b, void *ctx) {
    uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
    (void)ctx;
    return x < y ? -1 : x > y;
}

double metrics_coverage(const uint32_t *shown, size_t n) {
    size_t some = 0;
    for (size_t i = 0; i < n; i++) some += shown[i] > 0;
    return n ? (double)some / (double)n : NAN;
}

/* sorted ascending: sum over i of (2 i - n - 1) x_i / (n sum x), i = 1..n. */
double metrics_gini(uint32_t *shown, size_t n) {
    double sum = 0, weighted = 0;
    rec_sort(shown, n, sizeof *shown, ascending, NULL);
    for (size_t i = 0; i < n; i++) {
        sum += shown[i];
        weighted += (2 * (double)(i + 1) - (double)n - 1) * shown[i];
    }
    return sum > 0 ? weighted / ((double)n * sum) : NAN;
}

double metrics_novelty(const uint32_t *ranked, size_t n, const uint32_t *degree,
                       size_t n_users) {
    double bits = 0;
    for (size_t i = 0; i < n; i++) {
        double had = degree[ranked[i]] ? degree[ranked[i]] : 1;
        bits -= log2(had / (double)(n_users ? n_users : 1));
    }
    return n ? bits / (double)n : NAN;
}

/* Both ascending. */
static size_t in_both(const uint32_t *a, size_t n, const uint32_t *b, size_t m) {
    size_t both = 0;
    for (size_t i = 0, j = 0; i < n && j < m;) {
        if (a[i] == b[j])
            both++, i++, j++;
        else if (a[i] < b[j])
            i++;
        else
            j++;
    }
    return both;
}

double metrics_jaccard(const uint32_t *a, size_t n, const uint32_t *b, size_t m) {
    size_t both = in_both(a, n, b, m);
    return n + m > both ? (double)both / (double)(n + m - both) : 0;
}

double metrics_cosine(const uint32_t *a, size_t n, const uint32_t *b, size_t m) {
    if (!n || !m) return 0;
    return (double)in_both(a, n, b, m) / sqrt((double)n * (double)m);
}

double metrics_diversity(const uint32_t *ranked, size_t n, metrics_alike alike,
                         const void *ctx) {
    double sum = 0;
    for (size_t i = 0; i < n; i++)
        for (size_t j = i + 1; j < n; j++) sum += alike(ctx, ranked[i], ranked[j]);
    return n > 1 ? 1 - sum / ((double)n * (double)(n - 1) / 2) : NAN;
}

double metrics_serendipity(const metrics_list *l, const uint32_t *popular,
                           size_t n_popular, size_t k) {
    size_t n_top = l->n_ranked < k ? l->n_ranked : k, hits = 0;
    for (size_t r = 0; r < n_top; r++) {
        bool is_test = false, is_popular = false;
        for (size_t i = 0; i < l->n_test && !is_test; i++)
            is_test = l->test[i] == l->ranked[r];
        for (size_t i = 0; i < n_popular && is_test && !is_popular; i++)
            is_popular = popular[i] == l->ranked[r];
        hits += is_test && !is_popular;
    }
    return k ? (double)hits / (double)k : NAN;
}

double metrics_calibration(const double *had, const double *shown, size_t n) {
    double sum_had = 0, sum_shown = 0, kl = 0;
    for (size_t i = 0; i < n; i++) sum_had += had[i], sum_shown += shown[i];
    if (!(sum_had > 0) || !(sum_shown > 0)) return NAN;
    for (size_t i = 0; i < n; i++) {
        double p = had[i] / sum_had, q = shown[i] / sum_shown;
        if (p > 0) kl += p * log2(p / ((1 - METRICS_KL_MIX) * q + METRICS_KL_MIX * p));
    }
    return kl;
}
