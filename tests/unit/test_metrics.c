/* Metrics: lists small enough to work out by hand. */
#include "model_data.h"

static void at(const uint32_t *ranked, size_t n, const uint32_t *test, size_t n_test,
               size_t k, double recall, double ndcg) {
    double r, g;
    metrics_at(ranked, n, test, n_test, k, &r, &g);
    CHECK_NEAR(r, recall, 1e-9);
    CHECK_NEAR(g, ndcg, 1e-9);
}

int main(void) {
    UNIT_BEGIN("metrics");
    const uint32_t ranked[] = {5, 1, 9, 3}, twice[] = {5, 5, 5, 5}, test[] = {3, 5, 8};
    const uint32_t all[] = {1, 3, 5, 9};
    double d1 = 1, d2 = 1 / log2(3), d3 = .5, d4 = 1 / log2(5);
    at(ranked, 4, test, 3, 4, 2. / 3, (d1 + d4) / (d1 + d2 + d3));
    at(ranked, 4, test, 3, 1, 1. / 3, 1);
    at(ranked, 4, test, 3, 2, 1. / 3, d1 / (d1 + d2)); /* ideal over min(k, n_test) */
    at(ranked, 4, test, 3, 20, 2. / 3, (d1 + d4) / (d1 + d2 + d3));
    at(ranked, 4, all, 4, 4, 1, 1);
    at(twice, 4, test, 3, 4, 1. / 3, d1 / (d1 + d2 + d3)); /* an item counts once */
    at(ranked, 0, test, 3, 4, 0, 0);
    at(ranked, 4, test, 0, 4, 0, 0);
    at(ranked, 4, test, 3, 0, 0, 0);
    return UNIT_END();
}
