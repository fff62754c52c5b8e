/* Popularity: counts, damped means, and everything that a model must withstand. */
#include "model_data.h"

static float score_of(const rec_model *m, uint32_t item) {
    model_query q = {0};
    float out = NAN;
    rec_err err = {0};
    CHECK(!m->ops->score(m, &q, &item, 1, &out, &err));
    CHECK(out == popularity_score(m, item));
    return out;
}

static rec_model *fit_rows(feedback_kind feedback, const interaction *row, size_t n,
                           const char *const *set) {
    signal_spec s = plain_signal(feedback);
    interaction copy[64];
    dataset d;
    rec_err err = {0};
    memcpy(copy, row, n * sizeof *copy);
    CHECK(!dataset_build(&s, copy, n, 4, 5, &d, &err));
    rec_model *m = fit_model(&popularity_ops, &d, set, NULL);
    dataset_clear(&d);
    return m;
}

static void test_implicit(void) {
    interaction r[] = {{0, 1, 1, 1, NAN}, {1, 1, 1, 1, NAN},   {2, 1, 1, 1, NAN},
                       {0, 2, 2, 2, NAN}, {1, 3, -9, -9, NAN}, {2, 3, 1, 1, NAN}};
    rec_model *m = fit_rows(FEEDBACK_IMPLICIT, r, 6, NULL);
    CHECK_NEAR(score_of(m, 0), 0, 0);
    CHECK_NEAR(score_of(m, 1), .75, 1e-7);
    CHECK_NEAR(score_of(m, 2), .5, 1e-7);
    CHECK_NEAR(score_of(m, 3), .25, 1e-7); /* dislikes do not count */
    CHECK(popularity_score(m, 99) == 0);
    model_query q = {0};
    CHECK(m->ops->knows(m, &q) && m->ops->cold_score(m, &q) == 0);
    m->ops->close(m);
}

static void test_explicit(void) {
    interaction r[] = {{0, 1, 1, 5, NAN}, {1, 2, 1, 4, NAN}, {2, 2, 1, 4, NAN},
                       {0, 3, 1, 1, NAN}, {1, 3, 1, 2, NAN}, {2, 3, 1, 2, NAN}};
    const char *const prior[] = {"prior", "2", NULL};
    const char *const none[] = {"prior", "0", NULL};
    rec_model *m = fit_rows(FEEDBACK_EXPLICIT, r, 6, prior);
    CHECK_NEAR(score_of(m, 0), 3, 1e-6); /* the mean */
    CHECK_NEAR(score_of(m, 1), 11. / 3, 1e-6);
    CHECK_NEAR(score_of(m, 2), 14. / 4, 1e-6);
    CHECK_NEAR(score_of(m, 3), 11. / 5, 1e-6);
    model_query q = {0};
    CHECK_NEAR(m->ops->cold_score(m, &q), 3, 1e-6);
    m->ops->close(m);
    m = fit_rows(FEEDBACK_EXPLICIT, r, 6, none);
    CHECK_NEAR(score_of(m, 0), 3, 1e-6);
    CHECK_NEAR(score_of(m, 1), 5, 1e-6);
    m->ops->close(m);
}

static void test_decayed(void) {
    signal_spec s = plain_signal(FEEDBACK_IMPLICIT);
    interaction r[] = {{0, 0, 1, 1, 0}, {1, 0, 1, 1, 0}, {0, 1, 1, 1, 200}};
    dataset d;
    rec_err err = {0};
    s.half_life = 50;
    CHECK(!dataset_build(&s, r, 3, 2, 2, &d, &err));
    rec_model *m = fit_model(&popularity_ops, &d, NULL, NULL);
    CHECK_NEAR(score_of(m, 0), 1. / 16, 1e-6);
    CHECK_NEAR(score_of(m, 1), .5, 1e-6);
    m->ops->close(m);
    dataset_clear(&d);
}

static rec_status keep_text(void *ctx, const char *kind, uint32_t item,
                            const char *text, size_t n_text, double weight,
                            rec_err *err) {
    (void)item, (void)weight, (void)err;
    rec_format(ctx, 128, "%s: %.*s", kind, (int)n_text, text);
    return REC_OK;
}

static void test_explain(void) {
    interaction r[] = {{0, 1, 1, 5, NAN}, {1, 1, 1, 4, NAN}};
    char out[128];
    model_query q = {0};
    rec_err err = {0};
    float similar[5];
    rec_model *m = fit_rows(FEEDBACK_EXPLICIT, r, 2, NULL);
    CHECK(!m->ops->explain(m, &q, 1, keep_text, out, &err));
    CHECK(strcmp(out, "popularity: 2 ratings, damped mean 4.50") == 0);
    CHECK(m->ops->similar(m, 0, similar, &err) == REC_RANGE &&
          strstr(err.msg, "alike"));
    m->ops->close(m);
    m = fit_rows(FEEDBACK_IMPLICIT, r, 2, NULL);
    CHECK(!m->ops->explain(m, &q, 1, keep_text, out, &err));
    CHECK(strcmp(out, "popularity: chosen 2 times by 4 users") == 0);
    m->ops->close(m);
}

static void test_extremes(void) {
    float out[16];
    model_query q = {0};
    for (int f = 0; f < 2; f++) {
        signal_spec s = plain_signal((feedback_kind)f);
        interaction r[] = {{0, 0, 1e30f, 1e30f, NAN}, {0, 1, 1e30f, -1e30f, NAN}};
        dataset d;
        rec_err err = {0};
        for (uint32_t n = 0; n < 3; n++) {
            CHECK(!dataset_build(&s, r, n, n ? 1 : 0, n, &d, &err));
            rec_model *m = fit_model(&popularity_ops, &d, NULL, NULL);
            CHECK(scores_finite(m, &q, out) && !m->ops->check(m, &err));
            check_round_trip(m, &q);
            m->ops->close(m);
            dataset_clear(&d);
        }
    }
}

int main(void) {
    UNIT_BEGIN("popularity");
    alloc_install();
    test_implicit();
    test_explicit();
    test_decayed();
    test_explain();
    test_extremes();
    dataset d;
    rec_err err = {0};
    CHECK(!make_groups(FEEDBACK_EXPLICIT, 6, 12, 2, &d, &err));
    model_query q = user_query(&d, 0);
    rec_model *m = fit_model(&popularity_ops, &d, NULL, NULL);
    check_round_trip(m, &q);
    check_hostile_bytes(m, &q);
    m->ops->close(m);
    check_without_memory(&popularity_ops, &d, NULL, &q);
    dataset_clear(&d);
    CHECK(unit_live == 0);
    return UNIT_END();
}
