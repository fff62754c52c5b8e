/* The models that learn by gradients: taste of a group, threads, strangers, shares of a score, warm
 * starts, extremes, stored bytes, no memory. */
#include "model_data.h"

typedef struct subject {
    const rec_model_ops *ops;
    const char *const *set; /* options that suit data of this size */
} subject;

static const char *const bpr_set[] = {"factors", "8",  "epochs",  "30",   "rate", ".05",
                                      "batch",   "64", "penalty", ".003", NULL};
static const char *const bpr_tiny[] = {"factors", "2", "epochs", "1", NULL};
static const subject subjects[] = {{&bpr_ops, bpr_set}};
static const subject tiny[] = {{&bpr_ops, bpr_tiny}};
#define N_SUBJECTS (sizeof subjects / sizeof subjects[0])

static void test_groups(const subject *s, feedback_kind feedback) {
    dataset d;
    rec_err err = {0};
    float similar[90];
    double gap = 0, own = 0, other = 0;
    CHECK(!make_groups(feedback, 60, 90, 3, &d, &err));
    rec_model *m = fit_model(s->ops, &d, s->set, NULL);
    CHECK(!m->ops->check(m, &err));
    for (uint32_t u = 0; u < 60; u++) gap += group_gap(m, &d, u, 3) / 60;
    CHECK(gap > .1);
    CHECK(!m->ops->similar(m, 4, similar, &err));
    CHECK_NEAR(similar[4], 1, 1e-5);
    for (uint32_t i = 0; i < 90; i++) {
        CHECK(similar[i] >= -1 && similar[i] <= 1);
        if (i % 3 == 1)
            own += similar[i] / 30;
        else
            other += similar[i] / 60;
    }
    CHECK(own > other + .1);
    CHECK(m->ops->similar(m, 90, similar, &err) == REC_RANGE);
    model_query q = user_query(&d, 7);
    check_round_trip(m, &q);
    check_hostile_bytes(m, &q);
    m->ops->close(m);
    dataset_clear(&d);
}

static void saved(const rec_model *m, bytes_writer *w) {
    rec_err err = {0};
    CHECK(!m->ops->save(m, w, &err));
}

static void test_threads(const subject *s) {
    dataset d;
    rec_err err = {0};
    bytes_writer one = {0}, four = {0};
    CHECK(!make_groups(FEEDBACK_IMPLICIT, 300, 400, 4, &d, &err));
    for (int n = 1; n <= 4; n += 3) {
        rec_run run = {.n_threads = n};
        const char *const *set = s->set;
        rec_model *m = fit_model(s->ops, &d, set, &run);
        saved(m, n == 1 ? &one : &four);
        m->ops->close(m);
    }
    CHECK(one.n == four.n && memcmp(one.data, four.data, one.n) == 0);
    bytes_clear(&one);
    bytes_clear(&four);
    dataset_clear(&d);
}

typedef struct parts {
    double sum;
    int n;
} parts;
static rec_status count_part(void *ctx, const char *kind, uint32_t item,
                             const char *text, size_t n_text, double weight,
                             rec_err *err) {
    parts *p = ctx;
    (void)item, (void)text, (void)n_text, (void)err;
    p->sum += weight;
    p->n += strcmp(kind, "item") == 0;
    return REC_OK;
}

static void test_explain(const subject *s) {
    dataset d;
    rec_err err = {0};
    CHECK(!make_groups(FEEDBACK_IMPLICIT, 40, 60, 3, &d, &err));
    rec_model *m = fit_model(s->ops, &d, s->set, NULL);
    model_query q = user_query(&d, 5);
    for (uint32_t item = 0; item < 60; item += 7) {
        parts p = {0};
        float score;
        CHECK(!m->ops->explain(m, &q, item, count_part, &p, &err));
        CHECK(!m->ops->score(m, &q, &item, 1, &score, &err));
        CHECK_NEAR(p.sum, score, 1e-3);
        CHECK(p.n == (int)q.n);
    }
    m->ops->close(m);
    dataset_clear(&d);
}

static void test_strangers(const subject *s) {
    dataset d;
    rec_err err = {0};
    float out[60];
    CHECK(!make_groups(FEEDBACK_IMPLICIT, 40, 60, 3, &d, &err));
    rec_model *m = fit_model(s->ops, &d, s->set, NULL);
    model_query nobody = {0};
    CHECK(!m->ops->knows(m, &nobody) && scores_finite(m, &nobody, out) && out[0] == 0);
    uint32_t item[] = {1, 4, 4000};
    float weight[] = {1, 1, 1}, dislike[] = {-1, -1, -1};
    double time[] = {NAN, NAN, NAN}, group[3] = {0};
    model_query q = {
        .item = item, .weight = weight, .value = weight, .time = time, .n = 3};
    CHECK(m->ops->knows(m, &q) && scores_finite(m, &q, out));
    for (int i = 0; i < 60; i++) group[i % 3] += out[i] / 20;
    CHECK(group[1] > group[0] + .05 && group[1] > group[2] + .05); /* that of 1 and 4 */
    q.weight = q.value = dislike;
    CHECK(!m->ops->knows(m, &q) && scores_finite(m, &q, out));
    uint32_t unknown = 4000;
    CHECK(!m->ops->score(m, &q, &unknown, 1, out, &err) && out[0] == 0);
    m->ops->close(m);
    dataset_clear(&d);
}

/* A model that starts from another one learns less long, and agrees with it. */
static void test_warm(const subject *s) {
    dataset d;
    rec_err err = {0};
    CHECK(!make_groups(FEEDBACK_IMPLICIT, 60, 90, 3, &d, &err));
    rec_model *m = fit_model(s->ops, &d, s->set, NULL), *next = NULL;
    model_options o = options_of(s->ops, s->set);
    model_fit_args a = {.data = &d, .options = &o, .seed = 8, .previous = m};
    CHECK(!s->ops->fit(&a, &next, &err));
    double gap = 0;
    for (uint32_t u = 0; next && u < 60; u++) gap += group_gap(next, &d, u, 3) / 60;
    CHECK(gap > .1);
    if (next) next->ops->close(next);
    m->ops->close(m);
    options_clear(&o);
    dataset_clear(&d);
}

static void test_extremes(const subject *s) {
    const float sizes[] = {1e-30f, 1, 1e30f};
    rec_err err = {0};
    float out[64];
    for (int f = 0; f < 2; f++)
        for (uint32_t n_users = 0; n_users < 3; n_users++)
            for (uint32_t n_items = 0; n_items < 4; n_items++)
                for (int k = 0; k < 3; k++) {
                    signal_spec spec = plain_signal((feedback_kind)f);
                    interaction r[16];
                    size_t n = 0;
                    for (uint32_t u = 0; u < n_users; u++)
                        for (uint32_t i = 0; i < n_items; i++)
                            r[n++] =
                                (interaction){u, i, f ? 1 : sizes[k],
                                              (i % 2 ? -1.f : 1.f) * sizes[k], NAN};
                    dataset d;
                    CHECK(!dataset_build(&spec, r, n, n_users, n_items, &d, &err));
                    rec_model *m = fit_model(s->ops, &d, s->set, NULL);
                    model_query q = {0};
                    if (m) {
                        CHECK(scores_finite(m, &q, out) && !m->ops->check(m, &err));
                        if (n_users) q = user_query(&d, 0);
                        CHECK(scores_finite(m, &q, out));
                        check_round_trip(m, &q);
                        m->ops->close(m);
                    }
                    dataset_clear(&d);
                }
}

static void test_no_memory(const subject *s) {
    dataset d;
    rec_err err = {0};
    CHECK(!make_groups(FEEDBACK_IMPLICIT, 6, 8, 2, &d, &err));
    model_query q = user_query(&d, 1);
    check_without_memory(s->ops, &d, s->set, &q);
    dataset_clear(&d);
}

int main(void) {
    UNIT_BEGIN("trained");
    alloc_install();
    for (size_t i = 0; i < N_SUBJECTS; i++) {
        test_groups(&subjects[i], FEEDBACK_IMPLICIT);
        test_groups(&subjects[i], FEEDBACK_EXPLICIT);
        test_explain(&subjects[i]);
        test_strangers(&subjects[i]);
        test_warm(&subjects[i]);
        test_extremes(&tiny[i]);
        test_no_memory(&tiny[i]);
    }
    CHECK(unit_live == 0);
    static const rec_allocator libc = {malloc, realloc,
                                       free}; /* counting is not for threads */
    rec_set_allocator(&libc);
    for (size_t i = 0; i < N_SUBJECTS; i++) test_threads(&subjects[i]);
    return UNIT_END();
}
