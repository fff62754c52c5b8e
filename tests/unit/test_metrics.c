/* Metrics: lists small enough to work out by hand. */
#include "model_data.h"

static void at(const uint32_t *ranked, size_t n, const uint32_t *test, size_t n_test,
               size_t k, double recall, double ndcg) {
    double r, g;
    metrics_at(ranked, n, test, n_test, k, &r, &g);
    CHECK_NEAR(r, recall, 1e-9);
    CHECK_NEAR(g, ndcg, 1e-9);
}

static void ranked_lists(void) {
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
    metrics_list l = {ranked, 4, test, 3};
    metrics_ranked m;
    metrics_rank(&l, 4, &m); /* hits at ranks 1 and 4 */
    CHECK_NEAR(m.map, (1. / 1 + 2. / 4) / 3, 1e-12);
    CHECK_NEAR(m.mrr, 1, 1e-12);
    CHECK_NEAR(m.precision, 2. / 4, 1e-12);
    CHECK(m.hit == 1);
    metrics_rank(&l, 2, &m);
    CHECK_NEAR(m.recall, 1. / 3, 1e-12);
    CHECK_NEAR(m.recall_min, 1. / 2, 1e-12); /* two places, three items */
    const uint32_t late[] = {1, 9, 3};
    l = (metrics_list){late, 3, test, 3};
    metrics_rank(&l, 10, &m);
    CHECK_NEAR(m.mrr, 1. / 3, 1e-12);
    CHECK_NEAR(m.precision, 1. / 10, 1e-12); /* of k, not of the list */
    metrics_rank(&l, 2, &m);
    CHECK(m.mrr == 0 && m.hit == 0 && m.map == 0);
}

/* Candidates 0..4 but 3; chosen 1 and 4. Right order: (1 > 0), (1 > 2); 4 ties with 0, is above 2. */
static void auc(void) {
    const float score[] = {.5f, .9f, .1f, 7, .5f};
    const uint32_t test[] = {1, 4}, masked[] = {3};
    float scratch[2];
    rec_err err = {0};
    bitmap b;
    CHECK(bitmap_init(&b, 5, true, &err) == REC_OK);
    bitmap_unset(&b, 3);
    CHECK_NEAR(metrics_auc(score, &b, test, 2, scratch), (1 + 1 + .5 + 1) / 4., 1e-12);
    CHECK(isnan(metrics_auc(score, &b, masked, 1, scratch)));
    CHECK(isnan(metrics_auc(score, &b, test, 0, scratch)));
    bitmap_clear(&b);
}

static double nothing_alike(const void *ctx, uint32_t a, uint32_t b) {
    (void)ctx;
    return a + b == 1 ? 1 : 0; /* only 0 and 1 are alike */
}

static void lists(void) {
    uint32_t even[] = {3, 3, 3, 3}, one[] = {0, 8, 0, 0}, none[] = {0, 0};
    CHECK_NEAR(metrics_coverage(one, 4), .25, 1e-12);
    CHECK_NEAR(metrics_gini(even, 4), 0, 1e-12);
    CHECK_NEAR(metrics_gini(one, 4), .75, 1e-12); /* (n - 1) / n */
    CHECK(isnan(metrics_gini(none, 2)));
    const uint32_t list[] = {0, 1, 2}, degree[] = {8, 4, 0};
    /* of 8 users: all, half, nobody (counted as one): 0, 1 and 3 bits */
    CHECK_NEAR(metrics_novelty(list, 3, degree, 8), 4. / 3, 1e-12);
    CHECK_NEAR(metrics_diversity(list, 3, nothing_alike, NULL), 1 - 1. / 3, 1e-12);
    CHECK(isnan(metrics_diversity(list, 1, nothing_alike, NULL)));
    const uint32_t x[] = {1, 4, 6}, y[] = {4, 6, 7, 9};
    CHECK_NEAR(metrics_jaccard(x, 3, y, 4), 2. / 5, 1e-12);
    CHECK_NEAR(metrics_cosine(x, 3, y, 4), 2 / sqrt(12), 1e-12);
    CHECK(metrics_cosine(x, 0, y, 4) == 0 && metrics_jaccard(x, 0, y, 0) == 0);
    const uint32_t test[] = {1, 2}, popular[] = {2, 0};
    metrics_list l = {list, 3, test,
                      2}; /* 1 and 2 are hits; 2 is what everybody gets */
    CHECK_NEAR(metrics_serendipity(&l, popular, 2, 3), 1. / 3, 1e-12);
    const double had[] = {3, 1}, same[] = {6, 2}, other[] = {0, 5};
    CHECK_NEAR(metrics_calibration(had, same, 2), 0, 1e-12);
    /* p = .75, .25; q = 0, 1, mixed with .01 p */
    double kl = .75 * log2(.75 / .0075) + .25 * log2(.25 / (.99 + .0025));
    CHECK_NEAR(metrics_calibration(had, other, 2), kl, 1e-12);
    const double empty[] = {0, 0};
    CHECK(isnan(metrics_calibration(had, empty, 2)));
}

/* Three users; a mean of .5, 1 and (does not count), and squared errors 1/1, 8/2, 0/1. */
static void bootstrap(void) {
    float cell_of[] = {.5f, 1, 1, 1, 1, 1, 8, 2, 0, 0, 0, 1};
    float less[] = {.25f, 1, 1, 1, .75f, 1, 8, 2, 0, 0, 0, 1};
    const metrics_form form[] = {FORM_MEAN, FORM_ROOT};
    const uint32_t user[] = {0, 1, 2};
    metrics_table t = {3, 2, cell_of, form}, u = {3, 2, less, form};
    boot_spec spec = {
        .user = user, .n_user = 3, .n_times = 500, .level = .9, .seed = 7};
    boot_result r[2], again[2];
    rec_err err = {0};
    rec_run two = {.n_threads = 2};
    CHECK(metrics_bootstrap(&t, &spec, r, NULL, &err) == REC_OK);
    CHECK_NEAR(r[0].value, .75, 1e-12);
    CHECK(r[0].n_user == 2 && r[1].n_user == 3);
    CHECK_NEAR(r[1].value, sqrt(9. / 4), 1e-12);
    CHECK(r[0].low >= .5 && r[0].low <= .75 && r[0].high >= .75 && r[0].high <= 1);
    CHECK(r[1].low < r[1].high);
    CHECK(metrics_bootstrap(&t, &spec, again, &two, &err) == REC_OK);
    CHECK(memcmp(r, again, sizeof r) == 0); /* whatever the number of threads */
    spec.other = &u;                        /* user by user: .25, .25 and nothing */
    CHECK(metrics_bootstrap(&t, &spec, r, NULL, &err) == REC_OK);
    CHECK_NEAR(r[0].value, .25, 1e-7);
    CHECK_NEAR(r[0].low, .25, 1e-7);
    CHECK_NEAR(r[0].high, .25, 1e-7);
    CHECK(r[1].value == 0 && r[1].low == 0 && r[1].high == 0);
    spec = (boot_spec){.user = user, .n_user = 0, .n_times = 10, .level = .9};
    CHECK(metrics_bootstrap(&t, &spec, r, NULL, &err) == REC_OK);
    CHECK(isnan(r[0].value) && isnan(r[0].low) && r[0].n_user == 0);
}

int main(void) {
    UNIT_BEGIN("metrics");
    ranked_lists();
    auc();
    lists();
    bootstrap();
    return UNIT_END();
}
