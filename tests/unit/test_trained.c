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
static const char *const sum_set[] = {"factors", "8",  "epochs", "30",
                                      "batch",   "32", NULL};
static const char *const sum_tiny[] = {"factors", "2", "epochs", "1", NULL};
static const char *const deep_tiny[] = {"factors", "2", "epochs", "1",
                                        "layers",  "5", NULL};
static const subject subjects[] = {
    {&bpr_ops, bpr_set}, {&lightgcn_ops, sum_set}, {&two_tower_ops, sum_set}};
static const subject tiny[] = {
    {&bpr_ops, bpr_tiny}, {&lightgcn_ops, deep_tiny}, {&two_tower_ops, sum_tiny}};
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

/* Numbers of items changed since: each finds its own vector again, new ones start afresh. */
static void test_renumbered(const subject *s) {
    dataset d;
    rec_err err = {0};
    uint32_t was[90];
    double gap = 0;
    CHECK(!make_groups(FEEDBACK_IMPLICIT, 60, 90, 3, &d, &err));
    rec_model *m = fit_model(s->ops, &d, s->set, NULL), *next = NULL;
    for (uint32_t i = 0; i < 90; i++) was[i] = i % 10 == 9 ? KEYS_NONE : (i + 30) % 90;
    model_options o = options_of(s->ops, s->set);
    model_fit_args a = {
        .data = &d, .options = &o, .seed = 8, .previous = m, .previous_item = was};
    CHECK(!s->ops->fit(&a, &next, &err));
    for (uint32_t u = 0; next && u < 60; u++) gap += group_gap(next, &d, u, 3) / 60;
    CHECK(gap > .1);
    if (next) next->ops->close(next);
    m->ops->close(m);
    options_clear(&o);
    dataset_clear(&d);
}

/* Texts: words of a group stand for it when an item is new; a warm start keeps the language. */
static void test_features(void) {
    dataset d;
    rec_err err = {0};
    CHECK(!make_groups(FEEDBACK_IMPLICIT, 60, 90, 3, &d, &err));
    corpus *docs = make_texts(90, 3), *late = make_texts(6, 3);
    d.docs = docs;
    rec_model *m = fit_model(&two_tower_ops, &d, sum_set, NULL), *next = NULL;
    double gap = 0;
    for (uint32_t u = 0; u < 60; u++) gap += group_gap(m, &d, u, 3) / 60;
    CHECK(gap > .1);
    model_query q = user_query(&d, 7); /* group 1 */
    check_round_trip(m, &q);
    check_hostile_bytes(m, &q);
    uint32_t which[] = {0, 1, 2, 5000};
    float out[94];
    CHECK(!m->ops->extend(m, late, NULL, which, 4, &err));
    CHECK(m->ops->n_items(m) == 94);
    CHECK(!m->ops->score(m, &q, NULL, 94, out, &err));
    CHECK(out[91] > out[90] && out[91] > out[92]);
    CHECK(isfinite(out[93])); /* an item without text */
    model_options o = options_of(&two_tower_ops, sum_set);
    model_fit_args a = {.data = &d, .options = &o, .seed = 8, .previous = m};
    CHECK(!two_tower_ops.fit(&a, &next, &err));
    gap = 0;
    for (uint32_t u = 0; next && u < 60; u++) gap += group_gap(next, &d, u, 3) / 60;
    CHECK(gap > .1);
    if (next) next->ops->close(next);
    m->ops->close(m);
    options_clear(&o);
    corpus_free(docs);
    corpus_free(late);
    dataset_clear(&d);
}

static void test_features_no_memory(void) {
    dataset d;
    rec_err err = {0};
    CHECK(!make_groups(FEEDBACK_IMPLICIT, 6, 8, 2, &d, &err));
    corpus *docs = make_texts(8, 2);
    model_query q = user_query(&d, 1);
    d.docs = docs;
    check_without_memory(&two_tower_ops, &d, sum_tiny, &q);
    corpus_free(docs);
    dataset_clear(&d);
}

/* Even layers end at items. */
static void test_layers(void) {
    dataset d;
    rec_err err = {0};
    const char *const set[] = {"layers", "2", NULL};
    rec_model *m = NULL;
    CHECK(!make_groups(FEEDBACK_IMPLICIT, 6, 8, 2, &d, &err));
    model_options o = options_of(&lightgcn_ops, set);
    model_fit_args a = {.data = &d, .options = &o};
    CHECK(lightgcn_ops.fit(&a, &m, &err) == REC_RANGE && !m &&
          strstr(err.msg, "layers=2"));
    options_clear(&o);
    dataset_clear(&d);
}

/* The direction of a question orders items as the scores do. */
static void test_direction(const subject *s) {
    dataset d;
    rec_err err = {0};
    float x[9], out[60];
    vec_metric metric;
    CHECK(!make_groups(FEEDBACK_IMPLICIT, 40, 60, 3, &d, &err));
    rec_model *m = fit_model(s->ops, &d, s->set, NULL);
    const mat *v = m->ops->vectors(m, &metric);
    CHECK(v->dim <= sizeof x / sizeof x[0]);
    model_query q = user_query(&d, 5);
    CHECK(!m->ops->direction(m, &q, x, &err));
    CHECK(!m->ops->score(m, &q, NULL, 60, out, &err));
    double scale = 0;
    for (size_t i = 0; i < 60; i++) {
        double p = 0,
               norm = metric == METRIC_COSINE ? vec_norm(mat_row(v, i), v->dim) : 1;
        for (size_t k = 0; k < v->dim; k++) p += (double)x[k] * mat_row(v, i)[k];
        if (scale == 0 && fabs(out[i]) > .01) scale = p / norm / out[i];
        if (scale != 0) CHECK_NEAR(p / norm, scale * out[i], 1e-3 * fabs(scale));
    }
    CHECK(scale > 0);
    m->ops->close(m);
    dataset_clear(&d);
}

static bool stop_now(void *ctx) {
    return ++*(int *)ctx > 3;
}

static void test_interrupt(const subject *s) {
    dataset d;
    rec_err err = {0};
    int asked = 0;
    rec_run run = {.n_threads = 2, .interrupted = stop_now, .ctx = &asked};
    const char *const set[] = {"epochs", "10000", NULL};
    rec_model *m = NULL;
    CHECK(!make_groups(FEEDBACK_IMPLICIT, 300, 400, 4, &d, &err));
    model_options o = options_of(s->ops, set);
    model_fit_args a = {.data = &d, .options = &o, .run = &run};
    CHECK(s->ops->fit(&a, &m, &err) == REC_INTR && !m);
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
        test_renumbered(&subjects[i]);
        test_direction(&subjects[i]);
        test_extremes(&tiny[i]);
        test_no_memory(&tiny[i]);
    }
    test_features();
    test_features_no_memory();
    test_layers();
    CHECK(unit_live == 0);
    static const rec_allocator libc = {malloc, realloc,
                                       free}; /* counting is not for threads */
    rec_set_allocator(&libc);
    for (size_t i = 0; i < N_SUBJECTS; i++) {
        test_threads(&subjects[i]);
        test_interrupt(&subjects[i]);
    }
    return UNIT_END();
}
