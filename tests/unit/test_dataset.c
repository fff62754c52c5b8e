/* Datasets: sorting, merging by every rule, decay, and the query-time twin. */
#include "model_data.h"

static void check_row(const dataset *d, uint32_t u, size_t at, uint32_t item,
                      double weight, double value) {
    size_t j = d->ptr[u] + at;
    CHECK(j < d->ptr[u + 1]);
    CHECK(d->item[j] == item);
    CHECK_NEAR(d->weight[j], weight, 1e-6);
    CHECK_NEAR(d->value[j], value, 1e-6);
}

static dataset build(const signal_spec *s, const interaction *row, size_t n) {
    interaction copy[64];
    dataset d;
    rec_err err = {0};
    memcpy(copy, row, n * sizeof *copy);
    CHECK(!dataset_build(s, copy, n, 4, 10, &d, &err));
    return d;
}

static const interaction rows[] = {
    {3, 7, 1, 1, 100}, {0, 5, 2, 2, 50},    {3, 2, 1, 1, 200}, {0, 5, 3, 3, 20},
    {3, 7, 4, 4, 100}, {0, 1, -1, -1, NAN}, {3, 9, 1, 1, 300}, {3, 9, -1, -1, 300},
};
#define N_ROWS (sizeof rows / sizeof rows[0])

static void test_implicit_rules(void) {
    signal_spec s = plain_signal(FEEDBACK_IMPLICIT);
    dataset d = build(&s, rows, N_ROWS);
    CHECK(d.n == 4 && d.now == 300 && d.n_users == 4 && d.n_items == 10);
    CHECK(d.ptr[0] == 0 && d.ptr[1] == 2 && d.ptr[2] == 2 && d.ptr[3] == 2 &&
          d.ptr[4] == 4);
    check_row(&d, 0, 0, 1, -1, -1);
    check_row(&d, 0, 1, 5, 5, 5);
    CHECK(d.time[1] == 50 && isnan(d.time[0]));
    check_row(&d, 3, 0, 2, 1, 1); /* 9 cancelled out */
    check_row(&d, 3, 1, 7, 5, 5);
    dataset_clear(&d);
    s.duplicates = DUP_MAX;
    d = build(&s, rows, N_ROWS);
    CHECK(d.n == 5);
    check_row(&d, 0, 1, 5, 3, 3);
    check_row(&d, 3, 1, 7, 4, 4);
    check_row(&d, 3, 2, 9, 1, 1);
    dataset_clear(&d);
    s.duplicates = DUP_LAST;
    d = build(&s, rows, N_ROWS);
    check_row(&d, 0, 1, 5, 2, 2); /* the newest */
    check_row(&d, 3, 1, 7, 4, 4); /* equal times: the later row */
    check_row(&d, 3, 2, 9, -1, -1);
    dataset_clear(&d);
}

static void test_explicit_rules(void) {
    signal_spec s = plain_signal(FEEDBACK_EXPLICIT);
    interaction r[] = {
        {0, 1, 1, 4, NAN}, {0, 1, 1, 2, NAN}, {0, 2, 1, 5, 10}, {0, 2, 1, 1, 5}};
    dataset d = build(&s, r, 4);
    CHECK(d.n == 2);
    check_row(&d, 0, 0, 1, 1, 2);
    check_row(&d, 0, 1, 2, 1, 5);
    dataset_clear(&d);
    s.duplicates = DUP_MAX;
    d = build(&s, r, 4);
    check_row(&d, 0, 0, 1, 1, 4);
    dataset_clear(&d);
    s.duplicates = DUP_SUM;
    d = build(&s, r, 4);
    check_row(&d, 0, 0, 1, 1, 6);
    check_row(&d, 0, 1, 2, 1, 6);
    dataset_clear(&d);
}

static void test_decay(void) {
    signal_spec s = plain_signal(FEEDBACK_IMPLICIT);
    s.half_life = 100;
    dataset d = build(&s, rows, N_ROWS);
    check_row(&d, 0, 0, 1, -1, -1); /* no time: no decay */
    check_row(&d, 0, 1, 5, 2 * exp2(-2.5) + 3 * exp2(-2.8),
              2 * exp2(-2.5) + 3 * exp2(-2.8));
    check_row(&d, 3, 0, 2, .5, .5);
    dataset_clear(&d);
    s.feedback = FEEDBACK_EXPLICIT;
    d = build(&s, rows, N_ROWS);
    check_row(&d, 3, 0, 2, .5, 1); /* the rating stays, its weight fades */
    dataset_clear(&d);
}

static void test_empty(void) {
    signal_spec s = plain_signal(FEEDBACK_IMPLICIT);
    dataset d = build(&s, rows, 0);
    CHECK(d.n == 0 && isnan(d.now) && d.ptr[4] == 0);
    dataset_clear(&d);
    rec_err err = {0};
    CHECK(!dataset_build(&s, NULL, 0, 0, 0, &d, &err) && d.ptr[0] == 0);
    dataset_clear(&d);
    interaction bad = {9, 0, 1, 1, NAN};
    CHECK(dataset_build(&s, &bad, 1, 4, 10, &d, &err) == REC_BUG);
    dataset_clear(&d);
}

/* Each user's rows merged alone give what the whole table gave. */
static void test_twin(void) {
    unsigned long long seed = 4;
    for (int round = 0; round < 60; round++) {
        signal_spec s = plain_signal(round % 2 ? FEEDBACK_EXPLICIT : FEEDBACK_IMPLICIT);
        s.duplicates = (dup_rule)(round / 2 % 4);
        if (round % 3 == 0) s.half_life = 50;
        size_t n = 1 + (size_t)(unit_uniform(&seed) * 300);
        interaction *all = malloc(n * sizeof *all), *copy = malloc(n * sizeof *copy);
        interaction *own = malloc(n * sizeof *own);
        for (size_t i = 0; i < n; i++) {
            float v = (float)(int)(unit_uniform(&seed) * 9 - 3);
            double t =
                unit_uniform(&seed) < .2 ? NAN : (int)(unit_uniform(&seed) * 20) * 10;
            all[i] = (interaction){(uint32_t)(unit_uniform(&seed) * 3),
                                   (uint32_t)(unit_uniform(&seed) * 30),
                                   s.feedback == FEEDBACK_EXPLICIT ? 1 : v, v, t};
        }
        memcpy(copy, all, n * sizeof *all);
        dataset d;
        rec_err err = {0};
        CHECK(!dataset_build(&s, copy, n, 3, 30, &d, &err));
        for (uint32_t u = 0; u < 3; u++) {
            size_t k = 0;
            for (size_t i = 0; i < n; i++)
                if (all[i].user == u) own[k++] = all[i];
            k = interactions_merge(&s, own, k, d.now);
            CHECK(k == d.ptr[u + 1] - d.ptr[u]);
            bool same = true;
            for (size_t i = 0; i < k && i + d.ptr[u] < d.n; i++) {
                size_t j = d.ptr[u] + i;
                same = same && own[i].item == d.item[j] &&
                       own[i].weight == d.weight[j] && own[i].value == d.value[j] &&
                       (i == 0 || own[i].item > own[i - 1].item);
                same = same && memcmp(&own[i].time, &d.time[j], sizeof(double)) == 0;
            }
            CHECK(same);
        }
        dataset_clear(&d);
        free(all);
        free(copy);
        free(own);
    }
}

static void test_hash(void) {
    interaction a[] = {{0, 1, 1, 1, 5}, {0, 2, 1, 1, 5}};
    interaction b[] = {{9, 1, 1, 1, 5}, {9, 2, 1, 1, 5}};
    CHECK(interactions_hash(a, 2) == interactions_hash(b, 2));
    CHECK(interactions_hash(a, 2) != interactions_hash(a, 1));
    CHECK(interactions_hash(a, 0) != interactions_hash(a, 1));
    b[1].weight = 1.5f;
    CHECK(interactions_hash(a, 2) != interactions_hash(b, 2));
}

static void test_extremes(void) {
    signal_spec s = plain_signal(FEEDBACK_IMPLICIT);
    interaction r[40];
    for (int i = 0; i < 40; i++) r[i] = (interaction){0, 0, 1e30f, 1e30f, NAN};
    dataset d = build(&s, r, 40);
    CHECK(d.n == 1 && isfinite(d.weight[0]) && d.weight[0] >= 1e30f);
    dataset_clear(&d);
}

static void test_no_memory(void) {
    signal_spec s = plain_signal(FEEDBACK_IMPLICIT);
    ALLOC_LOOP(interaction copy[N_ROWS]; dataset d = {0}; rec_err err = {0};
               memcpy(copy, rows, sizeof copy);
               rc = dataset_build(&s, copy, N_ROWS, 4, 10, &d, &err);
               dataset_clear(&d));
}

int main(void) {
    UNIT_BEGIN("dataset");
    alloc_install();
    test_implicit_rules();
    test_explicit_rules();
    test_decay();
    test_empty();
    test_twin();
    test_hash();
    test_extremes();
    test_no_memory();
    CHECK(unit_live == 0);
    return UNIT_END();
}
