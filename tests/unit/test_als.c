/* ALS: the fast solver against the plain one, threads, fold-in, explanations, extremes. */
#include "model_data.h"

#include "../../ext/model/als.h"

static double largest_difference(const rec_model *a, const rec_model *b,
                                 const dataset *d) {
    float *x = malloc((d->n_items + 1) * 4), *y = malloc((d->n_items + 1) * 4);
    double most = 0;
    rec_err err = {0};
    for (uint32_t u = 0; u < d->n_users; u++) {
        model_query q = user_query(d, u);
        CHECK(!a->ops->score(a, &q, NULL, d->n_items, x, &err));
        CHECK(!b->ops->score(b, &q, NULL, d->n_items, y, &err));
        for (size_t i = 0; i < d->n_items; i++) most = fmax(most, fabs(x[i] - y[i]));
    }
    free(x);
    free(y);
    return most;
}

static rec_model *fit_reference(const dataset *d, const char *const *set) {
    model_options o = options_of(&als_ops, set);
    model_fit_args a = {.data = d, .options = &o, .seed = 7};
    rec_model *m = NULL;
    rec_err err = {0};
    CHECK(!als_fit_reference(&a, &m, &err));
    options_clear(&o);
    return m;
}

static void compare(const dataset *d, const char *const *set, double tolerance) {
    rec_model *fast = fit_model(&als_ops, d, set, NULL), *plain = fit_reference(d, set);
    CHECK_NEAR(largest_difference(fast, plain, d), 0, tolerance);
    fast->ops->close(fast);
    plain->ops->close(plain);
}

/* factors=8: most histories are long; 40: all are short; 24: both. */
static void test_reference(void) {
    static const char *const dims[] = {"1", "8", "24", "40"};
    rec_err err = {0};
    for (int f = 0; f < 2; f++) {
        dataset d;
        CHECK(!make_groups((feedback_kind)f, 40, 60, 3, &d, &err));
        for (size_t i = 0; i < 4; i++) {
            const char *const set[] = {"factors", dims[i], "epochs", "4",
                                       "lambda",  ".05",   NULL};
            compare(&d, set, f ? 3e-4 : 1e-4);
        }
        for (size_t j = 0; j < d.n; j += 5) d.weight[j] = f ? .3f : -2; /* dislikes */
        const char *const set[] = {"factors", "24",    "epochs", "4", "lambda",
                                   ".05",     "alpha", "10",     NULL};
        compare(&d, set, f ? 3e-4 : 1e-4);
        const char *const scaled[] = {"factors",    "24",  "epochs",     "4",
                                      "lambda",     ".05", "user_scale", ".5",
                                      "item_scale", ".3",  NULL};
        compare(&d, scaled, f ? 3e-4 : 1e-4);
        dataset_clear(&d);
    }
}

/* Steps and blocks arrive where the exact solver does: a fixed point of all three. */
static void test_iterative(void) {
    static const char *const how[] = {"cg", "blocks"};
    rec_err err = {0};
    for (int f = 0; f < 2; f++)
        for (int s = 0; s < 2; s++) {
            dataset d;
            CHECK(!make_groups((feedback_kind)f, 60, 150, 3, &d, &err));
            for (size_t j = 0; !f && j < d.n; j += 7) d.weight[j] = j % 2 ? -2 : 3;
            const char *const exact[] = {
                "factors", s ? "80" : "24", "epochs", "40", "lambda", ".3", NULL};
            const char *const set[] = {"factors", s ? "80" : "24", "epochs",
                                       "40",      "lambda",        ".3",
                                       "solver",  how[s],          NULL};
            rec_model *a = fit_model(&als_ops, &d, exact, NULL);
            rec_model *b = fit_model(&als_ops, &d, set, NULL);
            CHECK_NEAR(largest_difference(a, b, &d), 0, 5e-3);
            a->ops->close(a);
            b->ops->close(b);
            dataset_clear(&d);
        }
}

/* One row: as many steps as it has history rows are exact, and so is one block of everything. */
static void test_one_row(void) {
    mat fixed;
    rec_err err = {0};
    unsigned long long s = 5;
    float spectrum[40], weight[60], target[60], bias[60], x[41], y[41];
    uint32_t row[60];
    CHECK(!mat_init(&fixed, 60, 40, &err));
    for (size_t i = 0; i < 60; i++)
        for (size_t k = 0; k < 40; k++)
            mat_row(&fixed, i)[k] = (float)(unit_uniform(&s) - .5);
    for (size_t k = 0; k < 40; k++) spectrum[k] = (float)unit_uniform(&s);
    for (uint32_t j = 0; j < 60; j++) {
        row[j] = j;
        weight[j] = (float)(unit_uniform(&s) * 3 - .5);
        target[j] = (float)(unit_uniform(&s) * 4 - 2);
        bias[j] = (float)(unit_uniform(&s) - .5);
    }
    for (int is_explicit = 0; is_explicit < 2; is_explicit++)
        for (uint32_t n = 0; n <= 60; n += 12) {
            als_task t = {.fixed = &fixed,
                          .spectrum = is_explicit ? NULL : spectrum,
                          .bias = is_explicit ? bias : NULL,
                          .extra = is_explicit ? 0 : .1f};
            als_history h = {.row = row, .weight = weight, .n = n, .lambda = .3f};
            if (is_explicit) h.target = target;
            als_scratch a;
            CHECK(!als_scratch_init(&a, &t, n, &err));
            double gain = als_solve(&t, &h, &a, x), other;
            for (int how = 0; how < 2; how++) {
                for (size_t k = 0; k < 41; k++) y[k] = (float)(unit_uniform(&s) - .5);
                other = how ? als_blocks(&t, &h, &a, y) : als_cg(&t, &h, 60, &a, y);
                double most = 0;
                for (size_t k = 0; k < 40 + (size_t)is_explicit; k++)
                    most = fmax(most, fabs(x[k] - y[k]));
                CHECK_NEAR(most, 0, 1e-3);
                CHECK_NEAR(gain, other, 1e-2);
            }
            als_scratch_clear(&a);
        }
    mat_clear(&fixed);
}

typedef struct seen_log {
    int validate, train;
    double last;
} seen_log;
static void count_log(void *ctx, const rec_log_row *row) {
    seen_log *l = ctx;
    if (row->metric) {
        l->validate++;
        l->last = row->value;
    } else
        l->train++;
}

/* Ends when nothing improves, and trains again on all rows for as long as was best. */
static void test_early_stop(void) {
    rec_err err = {0};
    for (int f = 0; f < 2; f++) {
        dataset d;
        seen_log l = {0};
        float out[90];
        rec_run run = {.n_threads = 1, .log = count_log, .ctx = &l};
        const char *const set[] = {"factors",    "6", "epochs", "30",
                                   "early_stop", "2", NULL};
        CHECK(!make_groups((feedback_kind)f, 60, 90, 3, &d, &err));
        rec_model *m = fit_model(&als_ops, &d, set, &run);
        CHECK(l.validate >= 3 && l.validate <= 30 && isfinite(l.last));
        CHECK(l.train >= 1 && l.train <= l.validate);
        model_query q = user_query(&d, 3);
        CHECK(scores_finite(m, &q, out));
        m->ops->close(m);
        dataset_clear(&d);
    }
}

/* From the model before an eighth of the epochs gives nearly the same scores. */
static void test_warm(void) {
    rec_err err = {0};
    for (int f = 0; f < 2; f++) {
        dataset d;
        seen_log l = {0};
        rec_run run = {.n_threads = 1, .log = count_log, .ctx = &l};
        const char *const set[] = {"factors", "6",  "epochs", "40",
                                   "lambda",  ".1", NULL};
        CHECK(!make_groups((feedback_kind)f, 60, 90, 3, &d, &err));
        rec_model *old = fit_model(&als_ops, &d, set, NULL), *m = NULL;
        model_options o = options_of(&als_ops, set);
        model_fit_args a = {
            .data = &d, .options = &o, .seed = 99, .previous = old, .run = &run};
        CHECK(!als_ops.fit(&a, &m, &err));
        CHECK(l.train == 5);
        if (m) CHECK_NEAR(largest_difference(old, m, &d), 0, .02);
        if (m) m->ops->close(m);
        old->ops->close(old);
        options_clear(&o);
        dataset_clear(&d);
    }
}

/* Both ways of the solver agree on one history. */
static void test_solver(void) {
    mat fixed;
    rec_err err = {0};
    unsigned long long s = 5;
    float spectrum[50], weight[40], target[40], bias[60], x[51], y[51];
    uint32_t row[40];
    CHECK(!mat_init(&fixed, 60, 50, &err));
    for (size_t i = 0; i < 60; i++)
        for (size_t k = 0; k < 50; k++)
            mat_row(&fixed, i)[k] = (float)(unit_uniform(&s) - .5);
    for (size_t k = 0; k < 50; k++) spectrum[k] = (float)unit_uniform(&s);
    for (size_t i = 0; i < 60; i++) bias[i] = (float)(unit_uniform(&s) - .5);
    for (uint32_t n = 0; n <= 37; n++) {
        for (uint32_t j = 0; j < n; j++) {
            row[j] = j + n / 2;
            weight[j] = (float)(unit_uniform(&s) * 3 - (n % 2 ? 1 : 0));
            target[j] = (float)(unit_uniform(&s) * 4 - 2);
        }
        for (int is_explicit = 0; is_explicit < 2; is_explicit++) {
            als_task t = {.fixed = &fixed,
                          .spectrum = is_explicit ? NULL : spectrum,
                          .bias = is_explicit ? bias : NULL,
                          .extra = is_explicit ? 0 : .1f};
            als_history h = {.row = row, .weight = weight, .n = n, .lambda = .3f};
            if (is_explicit) h.target = target;
            als_scratch a, b;
            CHECK(!als_scratch_init(&a, &t, n, &err));
            double gain = als_solve(&t, &h, &a, x);
            t.dense = true;
            CHECK(!als_scratch_init(&b, &t, n, &err));
            double dense_gain = als_solve(&t, &h, &b, y);
            double most = 0;
            for (size_t k = 0; k < 50 + (size_t)is_explicit; k++)
                most = fmax(most, fabs(x[k] - y[k]));
            CHECK_NEAR(most, 0, 2e-4);
            CHECK_NEAR(gain, dense_gain, 1e-3);
            if (n == 0) CHECK(x[0] == 0 && gain == 0);
            als_scratch_clear(&a);
            als_scratch_clear(&b);
        }
    }
    mat_clear(&fixed);
}

static void test_threads(void) {
    rec_err err = {0};
    for (int f = 0; f < 2; f++) {
        dataset d;
        bytes_writer first = {0};
        CHECK(!make_groups((feedback_kind)f, 300, 500, 5, &d, &err));
        for (int n = 1; n <= 3; n++) {
            const char *const set[] = {"factors", "16", "epochs", "3", NULL};
            rec_run run = {.n_threads = n};
            bytes_writer w = {0};
            rec_model *m = fit_model(&als_ops, &d, set, &run);
            CHECK(!m->ops->save(m, &w, &err));
            if (n == 1)
                first = w;
            else {
                CHECK(w.n == first.n && memcmp(w.data, first.data, w.n) == 0);
                bytes_clear(&w);
            }
            m->ops->close(m);
        }
        bytes_clear(&first);
        dataset_clear(&d);
    }
}

static void keep_losses(void *ctx, const rec_log_row *row) {
    double *loss = ctx;
    CHECK(isfinite(row->loss) && row->epoch >= 1 && row->epoch < 64);
    loss[row->epoch] = row->loss;
}

static void test_learns(void) {
    rec_err err = {0};
    for (int f = 0; f < 2; f++) {
        dataset d;
        double loss[64] = {0}, gap = 0;
        rec_run run = {.n_threads = 1, .log = keep_losses, .ctx = loss};
        const char *const set[] = {"factors", "8",   "epochs", "10",
                                   "lambda",  ".02", NULL};
        CHECK(!make_groups((feedback_kind)f, 60, 90, 3, &d, &err));
        rec_model *m = fit_model(&als_ops, &d, set, &run);
        for (int e = 2; e <= 10; e++) CHECK(loss[e] <= loss[e - 1] * (1 + 1e-5));
        for (uint32_t u = 0; u < d.n_users; u++)
            gap += group_gap(m, &d, u, 3) / d.n_users;
        CHECK(gap > (f ? 1 : .15));
        float similar[90];
        double own = 0, other = 0;
        CHECK(!m->ops->similar(m, 4, similar, &err));
        CHECK_NEAR(similar[4], 1, 1e-5);
        for (uint32_t i = 0; i < 90; i++) {
            CHECK(similar[i] >= -1 && similar[i] <= 1);
            if (i % 3 == 1)
                own += similar[i] / 30;
            else
                other += similar[i] / 60;
        }
        if (!f) CHECK(own > other + .2);
        CHECK(m->ops->similar(m, 90, similar, &err) == REC_RANGE);
        m->ops->close(m);
        dataset_clear(&d);
    }
}

/* Is the loss what the objective says, over every pair? The users of the last half-epoch are not
 * kept, but at convergence folding them in again gives the same. */
static void test_exact_loss(void) {
    dataset d;
    rec_err err = {0};
    double loss[64] = {0}, sum = 0;
    rec_run run = {.n_threads = 1, .log = keep_losses, .ctx = loss};
    const char *const set[] = {"factors", "4",  "epochs", "60", "lambda", ".3",
                               "alpha0",  ".2", "nu",     "0",  NULL};
    CHECK(!make_groups(FEEDBACK_IMPLICIT, 12, 15, 3, &d, &err));
    rec_model *m = fit_model(&als_ops, &d, set, &run);
    const mat *items = als_item_factors(m);
    float spectrum[4] = {0}, x[4];
    for (size_t i = 0; i < 15; i++)
        for (size_t k = 0; k < 4; k++) {
            double y = mat_row(items, i)[k];
            spectrum[k] += (float)(.2 * y * y);
            sum += .3 * y * y;
        }
    als_task t = {.fixed = items, .spectrum = spectrum};
    als_scratch scratch;
    CHECK(!als_scratch_init(&scratch, &t, 15, &err));
    for (uint32_t u = 0; u < d.n_users; u++) {
        model_query q = user_query(&d, u);
        als_history h = {.row = q.item, .weight = q.weight, .n = q.n, .lambda = .3f};
        als_solve(&t, &h, &scratch, x);
        for (uint32_t i = 0, j = 0; i < 15; i++) {
            double s = 0;
            for (size_t k = 0; k < 4; k++) s += (double)x[k] * mat_row(items, i)[k];
            sum += .2 * s * s;
            if (j < q.n && q.item[j] == i) sum += (1 - s) * (1 - s), j++;
        }
        for (size_t k = 0; k < 4; k++) sum += .3 * (double)x[k] * x[k];
    }
    CHECK_NEAR(loss[60] * (double)d.n, sum, 1e-3 * sum);
    als_scratch_clear(&scratch);
    m->ops->close(m);
    dataset_clear(&d);
}

typedef struct parts {
    double sum;
    int n_item, n_bias;
} parts;
static rec_status count_part(void *ctx, const char *kind, uint32_t item,
                             const char *text, size_t n_text, double weight,
                             rec_err *err) {
    parts *p = ctx;
    (void)item, (void)text, (void)n_text, (void)err;
    p->sum += weight;
    p->n_item += strcmp(kind, "item") == 0;
    p->n_bias += strcmp(kind, "bias") == 0;
    return REC_OK;
}

static void test_explain(void) {
    rec_err err = {0};
    for (int f = 0; f < 2; f++) {
        dataset d;
        const char *const set[] = {"factors", "12", "epochs", "4", NULL};
        CHECK(!make_groups((feedback_kind)f, 40, 60, 3, &d, &err));
        rec_model *m = fit_model(&als_ops, &d, set, NULL);
        for (uint32_t item = 0; item < 60; item += 7) {
            model_query q = user_query(&d, 5);
            parts p = {0};
            float score;
            CHECK(!m->ops->explain(m, &q, item, count_part, &p, &err));
            CHECK(!m->ops->score(m, &q, &item, 1, &score, &err));
            CHECK_NEAR(p.sum, score, 1e-3);
            CHECK(p.n_item == (int)q.n && p.n_bias == f);
        }
        m->ops->close(m);
        dataset_clear(&d);
    }
}

static void test_strangers(void) {
    dataset d;
    rec_err err = {0};
    const char *const set[] = {"factors", "8", "alpha0", ".1", "lambda", ".003", NULL};
    float out[60];
    CHECK(!make_groups(FEEDBACK_IMPLICIT, 40, 60, 3, &d, &err));
    rec_model *m = fit_model(&als_ops, &d, set, NULL);
    model_query nobody = {0};
    CHECK(!m->ops->knows(m, &nobody) && scores_finite(m, &nobody, out) && out[0] == 0);
    uint32_t item[] = {1, 4, 4000};
    float weight[] = {1, 1, 1}, dislike[] = {-1, -1, -1};
    double time[] = {NAN, NAN, NAN};
    model_query q = {
        .item = item, .weight = weight, .value = weight, .time = time, .n = 3};
    CHECK(m->ops->knows(m, &q) && scores_finite(m, &q, out));
    double group[3] = {0};
    for (int i = 0; i < 60; i++) group[i % 3] += out[i] / 20;
    CHECK(group[1] > group[0] + .2 && group[1] > group[2] + .2); /* that of 1 and 4 */
    q.weight = q.value = dislike;
    CHECK(!m->ops->knows(m, &q) && scores_finite(m, &q, out));
    uint32_t unknown = 4000;
    CHECK(!m->ops->score(m, &q, &unknown, 1, out, &err) && out[0] == 0);
    q = (model_query){
        .item = &unknown, .weight = weight, .value = weight, .time = time, .n = 1};
    CHECK(!m->ops->knows(m, &q));
    m->ops->close(m);
    dataset_clear(&d);
}

static void test_extremes(void) {
    static const char *const set[] = {"factors", "20", "epochs", "3", NULL};
    static const char *const wild[] = {"factors", "9",    "epochs", "3", "alpha0", "0",
                                       "lambda",  "1e-6", "nu",     "0", NULL};
    const float sizes[] = {1e-30f, 1, 1e30f};
    rec_err err = {0};
    float out[64];
    for (int f = 0; f < 2; f++)
        for (uint32_t n_users = 0; n_users < 3; n_users++)
            for (uint32_t n_items = 0; n_items < 4; n_items++)
                for (int k = 0; k < 3; k++) {
                    signal_spec s = plain_signal((feedback_kind)f);
                    interaction r[16];
                    size_t n = 0;
                    for (uint32_t u = 0; u < n_users; u++)
                        for (uint32_t i = 0; i < n_items; i++)
                            r[n++] =
                                (interaction){u, i, f ? 1 : sizes[k],
                                              (i % 2 ? -1.f : 1.f) * sizes[k], NAN};
                    dataset d;
                    CHECK(!dataset_build(&s, r, n, n_users, n_items, &d, &err));
                    for (int w = 0; w < 2; w++) {
                        rec_model *m = fit_model(&als_ops, &d, w ? wild : set, NULL);
                        model_query q = {0};
                        if (!m) continue;
                        CHECK(scores_finite(m, &q, out) && !m->ops->check(m, &err));
                        if (n_users) q = user_query(&d, 0);
                        CHECK(scores_finite(m, &q, out));
                        if (n_items)
                            CHECK(!m->ops->similar(m, 0, out, &err) &&
                                  isfinite(out[0]));
                        check_round_trip(m, &q);
                        m->ops->close(m);
                    }
                    dataset_clear(&d);
                }
}

/* One weight of 1e30 among ones, and equal ratings throughout. */
static void test_uneven(void) {
    rec_err err = {0};
    float out[60];
    dataset d;
    const char *const set[] = {"factors", "8", "epochs", "3", NULL};
    CHECK(!make_groups(FEEDBACK_IMPLICIT, 20, 60, 3, &d, &err));
    d.weight[3] = 1e30f;
    d.weight[9] = -1e30f;
    rec_model *m = fit_model(&als_ops, &d, set, NULL);
    model_query q = user_query(&d, 0);
    CHECK(scores_finite(m, &q, out));
    m->ops->close(m);
    dataset_clear(&d);
    CHECK(!make_groups(FEEDBACK_EXPLICIT, 20, 60, 3, &d, &err));
    for (size_t i = 0; i < d.n; i++) d.value[i] = 3;
    m = fit_model(&als_ops, &d, set, NULL);
    q = user_query(&d, 0);
    CHECK(scores_finite(m, &q, out));
    CHECK_NEAR(out[0], 3, 1e-4);
    CHECK_NEAR(m->ops->cold_score(m, &q), 3, 1e-4);
    m->ops->close(m);
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
    model_options o = options_of(&als_ops, NULL);
    rec_model *m = NULL;
    CHECK(!make_groups(FEEDBACK_IMPLICIT, 200, 400, 4, &d, &err));
    model_fit_args a = {.data = &d, .options = &o, .run = &run};
    double start = rec_seconds();
    CHECK(als_ops.fit(&a, &m, &err) == REC_INTR && !m);
    CHECK(rec_seconds() - start < 5);
    options_clear(&o);
    dataset_clear(&d);
}

/* Small positive definite systems against a plain solution, for every padded size. */
static void test_spd(void) {
    const spd_kernels *k = spd_routines();
    unsigned long long s = 3;
    for (size_t n = 1; n <= 80; n += n < 20 ? 1 : 13) {
        size_t ld = spd_stride(n), pad = spd_pad(n);
        float *a = rec_zeros(pad * ld, 4), *p = rec_zeros((n + 5) * ld, 4),
              *x = rec_zeros(pad, 4);
        double *b = rec_zeros(n, 8);
        for (size_t r = 0; r < n + 5; r++)
            for (size_t j = 0; j < n; j++)
                p[r * ld + j] = (float)(unit_uniform(&s) - .5);
        for (size_t j = 0; j < pad; j++) a[j * ld + j] = 1;
        k->rank_k(a, pad, ld, p, n + 5);
        for (size_t i = 0; i < n; i++) { /* b = (I + P'P) 1 */
            b[i] = 1;
            for (size_t r = 0; r < n + 5; r++)
                for (size_t j = 0; j < n; j++)
                    b[i] += (double)p[r * ld + i] * p[r * ld + j];
            x[i] = (float)b[i];
        }
        k->chol(a, pad, ld);
        k->solve(a, pad, ld, x);
        double most = 0;
        for (size_t i = 0; i < pad; i++)
            most = fmax(most, fabs(x[i] - (i < n ? 1 : 0)));
        CHECK_NEAR(most, 0, 1e-4);
        rec_free(a);
        rec_free(p);
        rec_free(x);
        rec_free(b);
    }
}

int main(void) {
    UNIT_BEGIN("als");
    alloc_install();
    test_spd();
    test_solver();
    test_reference();
    test_iterative();
    test_one_row();
    test_early_stop();
    test_warm();
    test_learns();
    test_exact_loss();
    test_explain();
    test_strangers();
    test_extremes();
    test_uneven();
    for (int f = 0; f < 2; f++) {
        dataset d;
        rec_err err = {0};
        const char *const set[] = {"factors", "6", "epochs", "2", NULL};
        CHECK(!make_groups((feedback_kind)f, 12, 20, 2, &d, &err));
        model_query q = user_query(&d, 0);
        rec_model *m = fit_model(&als_ops, &d, set, NULL);
        check_round_trip(m, &q);
        check_hostile_bytes(m, &q);
        m->ops->close(m);
        check_without_memory(&als_ops, &d, set, &q);
        const char *const more[] = {"factors", "3",          "epochs", "2", "solver",
                                    "cg",      "early_stop", "1",      NULL};
        check_without_memory(&als_ops, &d, more, &q);
        dataset_clear(&d);
    }
    CHECK(unit_live == 0);
    static const rec_allocator libc = {malloc, realloc,
                                       free}; /* counting is not for threads */
    rec_set_allocator(&libc);
    test_threads();
    test_interrupt();
    return UNIT_END();
}
