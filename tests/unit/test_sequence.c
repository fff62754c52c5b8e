/* The sequence model: a pattern of successors, order by time, the window, stopping, threads, extremes,
 * stored bytes, no memory. */
#include "model_data.h"

#define STATIONS 12
#define WALKERS  60
#define STEPS    7

static const char *const ring_set[] = {
    "factors", "16", "layers", "1", "dropout",    ".1", "rate", ".01",
    "epochs",  "25", "window", "6", "validation", "0",  NULL};
static const char *const judged_set[] = {
    "factors", "16",  "layers",   "1", "dropout",    ".1", "rate", ".01",
    "epochs",  "200", "patience", "2", "validation", "1",  NULL};
static const char *const tiny_set[] = {"factors", "8",      "epochs", "1", "heads",
                                       "1",       "layers", "1",      NULL};
static const char *const wild_set[] = {"factors", "8", "rate", "1",
                                       "epochs",  "3", NULL};

/* Everybody walks round a ring, a step a second; rows are given last step first. */
static void make_ring(dataset *d) {
    signal_spec spec = plain_signal(FEEDBACK_IMPLICIT);
    interaction r[WALKERS * STEPS];
    rec_err err = {0};
    size_t n = 0;
    for (uint32_t u = 0; u < WALKERS; u++)
        for (uint32_t k = STEPS; k-- > 0;)
            r[n++] = (interaction){u, (u + k) % STATIONS, 1, 1, 100. + k};
    CHECK(!dataset_build(&spec, r, n, WALKERS, STATIONS, d, &err));
}

static uint32_t best_of(const rec_model *m, const model_query *q) {
    float out[STATIONS];
    uint32_t best = 0;
    CHECK(scores_finite(m, q, out));
    for (uint32_t i = 1; i < STATIONS; i++)
        if (out[i] > out[best]) best = i;
    return best;
}

static void test_successors(void) {
    dataset d;
    rec_err err = {0};
    make_ring(&d);
    rec_model *m = fit_model(&sequence_ops, &d, ring_set, NULL);
    CHECK(!m->ops->check(m, &err));
    size_t right = 0;
    for (uint32_t u = 0; u < STATIONS; u++) {
        model_query q = user_query(&d, u);
        right += best_of(m, &q) == (u + STEPS) % STATIONS;
    }
    CHECK(right == STATIONS);
    /* The same two items: the order of their times decides. */
    uint32_t item[] = {3, 4};
    float one[] = {1, 1};
    double up[] = {1, 2}, unknown[] = {NAN, 2};
    model_query q = {.item = item, .weight = one, .value = one, .time = up, .n = 2};
    CHECK(best_of(m, &q) == 5);
    q.time = unknown;
    CHECK(best_of(m, &q) == 5);
    q.n = 0;
    CHECK(!m->ops->knows(m, &q));
    float dislike[] = {-1, -1};
    q = (model_query){item, dislike, dislike, up, 2, NULL, 0, NULL};
    CHECK(!m->ops->knows(m, &q));
    q = user_query(&d, 3);
    check_round_trip(m, &q);
    check_hostile_bytes(m, &q);
    m->ops->close(m);
    dataset_clear(&d);
}

typedef struct curve {
    int n;
    double best;
} curve;
static void see(void *ctx, const rec_log_row *row) {
    curve *c = ctx;
    c->n++;
    if (row->metric && row->value > c->best) c->best = row->value;
}

static void test_stops(void) {
    dataset d;
    curve c = {0};
    rec_run run = {.n_threads = 1, .log = see, .ctx = &c};
    make_ring(&d);
    rec_model *m = fit_model(&sequence_ops, &d, judged_set, &run);
    CHECK(c.n < 200 && c.best > .9);
    m->ops->close(m);
    dataset_clear(&d);
}

/* It starts where it ended: one epoch is enough. */
static void test_warm(void) {
    dataset d;
    rec_err err = {0};
    rec_model *next = NULL;
    const char *const set[] = {"factors", "16", "layers",     "1", "window", "6",
                               "epochs",  "1",  "validation", "0", NULL};
    make_ring(&d);
    rec_model *m = fit_model(&sequence_ops, &d, ring_set, NULL);
    model_options o = options_of(&sequence_ops, set);
    model_fit_args a = {.data = &d, .options = &o, .seed = 9, .previous = m};
    CHECK(!sequence_ops.fit(&a, &next, &err));
    model_query q = user_query(&d, 4);
    if (next) CHECK(best_of(next, &q) == (4 + STEPS) % STATIONS);
    if (next) next->ops->close(next);
    m->ops->close(m);
    options_clear(&o);
    dataset_clear(&d);
}

static rec_status count_part(void *ctx, const char *kind, uint32_t item,
                             const char *text, size_t n_text, double weight,
                             rec_err *err) {
    (void)item, (void)text, (void)n_text, (void)err;
    CHECK(isfinite(weight));
    *(size_t *)ctx += strcmp(kind, "item") == 0;
    return REC_OK;
}

static void test_explain(void) {
    dataset d;
    rec_err err = {0};
    size_t n = 0;
    make_ring(&d);
    rec_model *m = fit_model(&sequence_ops, &d, tiny_set, NULL);
    model_query q = user_query(&d, 4);
    CHECK(!m->ops->explain(m, &q, 2, count_part, &n, &err));
    CHECK(n == STEPS);
    float similar[STATIONS];
    CHECK(!m->ops->similar(m, 1, similar, &err));
    CHECK_NEAR(similar[1], 1, 1e-5);
    CHECK(m->ops->similar(m, STATIONS, similar, &err) == REC_RANGE);
    m->ops->close(m);
    dataset_clear(&d);
}

static void test_refused(void) {
    dataset d;
    rec_err err = {0};
    rec_model *m = NULL;
    const char *const set[] = {"factors", "10", "heads", "4", NULL};
    make_ring(&d);
    model_options o = options_of(&sequence_ops, set);
    model_fit_args a = {.data = &d, .options = &o};
    CHECK(sequence_ops.fit(&a, &m, &err) == REC_RANGE && !m);
    CHECK(strstr(err.msg, "heads=4") != NULL);
    options_clear(&o);
    dataset_clear(&d);
}

/* A rate beyond reason: a model of finite numbers, or an error that says so. */
static void test_wild(void) {
    dataset d;
    rec_err err = {0};
    rec_model *m = NULL;
    make_ring(&d);
    model_options o = options_of(&sequence_ops, wild_set);
    model_fit_args a = {.data = &d, .options = &o};
    rec_status st = sequence_ops.fit(&a, &m, &err);
    CHECK(st == REC_RANGE || (!st && !m->ops->check(m, &err)));
    if (m) m->ops->close(m);
    options_clear(&o);
    dataset_clear(&d);
}

static void test_extremes(void) {
    rec_err err = {0};
    float out[8];
    for (uint32_t n_users = 0; n_users < 3; n_users++)
        for (uint32_t n_items = 0; n_items < 4; n_items++) {
            signal_spec spec = plain_signal(FEEDBACK_IMPLICIT);
            interaction r[8];
            size_t n = 0;
            for (uint32_t u = 0; u < n_users; u++)
                for (uint32_t i = 0; i < n_items; i++)
                    r[n++] = (interaction){u, i, 1, 1, i ? 5 : NAN};
            dataset d;
            CHECK(!dataset_build(&spec, r, n, n_users, n_items, &d, &err));
            rec_model *m = fit_model(&sequence_ops, &d, tiny_set, NULL);
            model_query q = {0};
            CHECK(scores_finite(m, &q, out));
            if (n_users) q = user_query(&d, 0);
            CHECK(scores_finite(m, &q, out));
            check_round_trip(m, &q);
            m->ops->close(m);
            dataset_clear(&d);
        }
}

/* A history far longer than the window is learned from in pieces. */
static void test_long(void) {
    enum { N = 3000 };
    static interaction r[N];
    signal_spec spec = plain_signal(FEEDBACK_IMPLICIT);
    dataset d;
    rec_err err = {0};
    for (uint32_t i = 0; i < N; i++) r[i] = (interaction){0, i, 1, 1, N - (double)i};
    CHECK(!dataset_build(&spec, r, N, 1, N, &d, &err));
    rec_model *m = fit_model(&sequence_ops, &d, tiny_set, NULL);
    model_query q = user_query(&d, 0);
    float one;
    uint32_t item = 7;
    CHECK(!m->ops->score(m, &q, &item, 1, &one, &err) && isfinite(one));
    m->ops->close(m);
    dataset_clear(&d);
}

static void test_no_memory(void) {
    dataset d;
    rec_err err = {0};
    CHECK(!make_groups(FEEDBACK_IMPLICIT, 6, 8, 2, &d, &err));
    model_query q = user_query(&d, 1);
    check_without_memory(&sequence_ops, &d, tiny_set, &q);
    dataset_clear(&d);
}

static void test_threads(void) {
    dataset d;
    rec_err err = {0};
    bytes_writer w[2] = {{0}, {0}};
    const char *const set[] = {"factors", "16", "epochs", "2", "validation", "1", NULL};
    CHECK(!make_groups(FEEDBACK_IMPLICIT, 200, 300, 4, &d, &err));
    for (int k = 0; k < 2; k++) {
        rec_run run = {.n_threads = k ? 4 : 1};
        rec_model *m = fit_model(&sequence_ops, &d, set, &run);
        CHECK(!m->ops->save(m, &w[k], &err));
        m->ops->close(m);
    }
    CHECK(w[0].n == w[1].n && memcmp(w[0].data, w[1].data, w[0].n) == 0);
    bytes_clear(&w[0]);
    bytes_clear(&w[1]);
    dataset_clear(&d);
}

static bool stop_now(void *ctx) {
    return ++*(int *)ctx > 3;
}

static void test_interrupt(void) {
    dataset d;
    rec_err err = {0};
    int asked = 0;
    rec_run run = {.n_threads = 2, .interrupted = stop_now, .ctx = &asked};
    rec_model *m = NULL;
    CHECK(!make_groups(FEEDBACK_IMPLICIT, 300, 400, 4, &d, &err));
    model_options o = options_of(&sequence_ops, ring_set);
    model_fit_args a = {.data = &d, .options = &o, .run = &run};
    CHECK(sequence_ops.fit(&a, &m, &err) == REC_INTR && !m);
    options_clear(&o);
    dataset_clear(&d);
}

int main(void) {
    UNIT_BEGIN("sequence");
    alloc_install();
    test_successors();
    test_stops();
    test_warm();
    test_explain();
    test_refused();
    test_wild();
    test_extremes();
    test_long();
    test_no_memory();
    CHECK(unit_live == 0);
    static const rec_allocator libc = {malloc, realloc,
                                       free}; /* counting is not for threads */
    rec_set_allocator(&libc);
    test_threads();
    test_interrupt();
    return UNIT_END();
}
