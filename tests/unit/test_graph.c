/* Graph filters: against plain dense algebra, explanations, threads, warm starts, extremes, damage. */
#include "model_data.h"

#include "../../ext/model/graph.h"

#undef calloc

/* ---- the formulas on a blackboard ---- */

typedef struct plain { /* dense, double */
    size_t n_users, n_items;
    double *r,
        *p; /* R~ n_users x n_items, P n_items x n_items over its largest eigenvalue */
    double *degree;
} plain;

static double edge(const dataset *d, size_t u, uint32_t i) {
    for (size_t j = d->ptr[u]; j < d->ptr[u + 1]; j++)
        if (d->item[j] == i) return d->weight[j] > 0 ? d->weight[j] : 0;
    return 0;
}

static plain plain_graph(const dataset *d, const graph *m) {
    plain g = {d->n_users, d->n_items, calloc(d->n_users * d->n_items, 8),
               calloc((size_t)d->n_items * d->n_items, 8), calloc(d->n_items, 8)};
    for (size_t u = 0; u < g.n_users; u++)
        for (uint32_t i = 0; i < g.n_items; i++)
            g.r[u * g.n_items + i] = edge(d, u, i) / m->deviation;
    for (size_t i = 0; i < g.n_items; i++)
        for (size_t u = 0; u < g.n_users; u++) g.degree[i] += g.r[u * g.n_items + i];
    for (size_t u = 0; u < g.n_users; u++) {
        double sum = 0;
        for (size_t i = 0; i < g.n_items; i++) sum += g.r[u * g.n_items + i];
        for (size_t i = 0; i < g.n_items && sum > 0; i++)
            if (g.degree[i] > 0)
                g.r[u * g.n_items + i] *=
                    pow(sum, -m->user_scale) * pow(g.degree[i], -m->item_scale);
    }
    for (size_t i = 0; i < g.n_items; i++)
        for (size_t j = 0; j < g.n_items; j++)
            for (size_t u = 0; u < g.n_users; u++)
                g.p[i * g.n_items + j] +=
                    g.r[u * g.n_items + i] * g.r[u * g.n_items + j] / m->largest;
    return g;
}

static void plain_clear(plain *g) {
    free(g->r);
    free(g->p);
    free(g->degree);
}

static void plain_hop(const plain *g, const double *x, double *y) {
    for (size_t i = 0; i < g->n_items; i++) {
        y[i] = 0;
        for (size_t j = 0; j < g->n_items; j++) y[i] += g->p[i * g->n_items + j] * x[j];
    }
}

static double power_of(double degree, double by) {
    return degree > 0 ? pow(degree, by) : 0;
}

/* V V' x, where V spans the eigenvectors of P that belong to the model's values: by the projector's
 * polynomial, that is, deflation with power iterations in double. */
static void plain_ideal(const plain *g, size_t n_factors, const double *x, double *y) {
    size_t n = g->n_items;
    double *v = calloc(n_factors * n, 8), *w = calloc(n, 8);
    unsigned long long s = 11;
    memset(y, 0, n * 8);
    for (size_t f = 0; f < n_factors; f++) {
        double *a = v + f * n, norm = 0;
        for (size_t i = 0; i < n; i++) a[i] = unit_uniform(&s) - .5;
        for (int round = 0; round < 3000; round++) {
            plain_hop(g, a, w);
            for (size_t e = 0; e < f; e++) {
                double dot = 0;
                for (size_t i = 0; i < n; i++) dot += w[i] * v[e * n + i];
                for (size_t i = 0; i < n; i++) w[i] -= dot * v[e * n + i];
            }
            norm = 0;
            for (size_t i = 0; i < n; i++) norm += w[i] * w[i];
            norm = sqrt(norm);
            for (size_t i = 0; i < n; i++) a[i] = w[i] / norm;
        }
        double dot = 0;
        for (size_t i = 0; i < n; i++) dot += a[i] * x[i];
        for (size_t i = 0; i < n; i++) y[i] += dot * a[i];
    }
    free(v);
    free(w);
}

static void plain_score(const plain *g, const graph *m, const double *h, double *y) {
    size_t n = g->n_items;
    double *x = calloc(n, 8), *z = calloc(n, 8);
    memset(y, 0, n * 8);
    if (m->filter != GRAPH_IDEAL) {
        for (size_t i = 0; i < n; i++)
            x[i] = h[i] * power_of(g->degree[i], -m->linear_in);
        plain_hop(g, x, y);
        for (size_t i = 0; i < n; i++) y[i] *= power_of(g->degree[i], m->linear_out);
    }
    if (m->filter != GRAPH_LINEAR) {
        double w = m->filter == GRAPH_IDEAL ? 1 : m->ideal;
        for (size_t i = 0; i < n; i++)
            x[i] = h[i] * power_of(g->degree[i], -m->ideal_in);
        plain_ideal(g, m->factors, x, z);
        for (size_t i = 0; i < n; i++)
            y[i] += w * z[i] * power_of(g->degree[i], m->ideal_out);
    }
    for (uint32_t s = 0; m->filter == GRAPH_BSPM && s < m->steps; s++) {
        double t = m->sharpen / m->steps, c = 1;
        memcpy(x, y, n * 8);
        for (int k = 1; k <= (m->solver == GRAPH_RK4 ? 4 : 1); k++) {
            plain_hop(g, x, z);
            c *= -t / k;
            for (size_t i = 0; i < n; i++) y[i] += c * z[i];
            memcpy(x, z, n * 8);
        }
    }
    free(x);
    free(z);
}

static double difference(const graph *m, const dataset *d) {
    size_t n = d->n_items;
    plain g = plain_graph(d, m);
    double *h = calloc(n, 8), *y = calloc(n, 8), most = 0, size = 0;
    float *out = calloc(n, 4);
    rec_err err = {0};
    for (uint32_t u = 0; u < d->n_users; u += 7) {
        model_query q = user_query(d, u);
        memset(h, 0, n * 8);
        for (size_t j = 0; j < q.n; j++) h[q.item[j]] = q.weight[j] / m->deviation;
        plain_score(&g, m, h, y);
        CHECK(!m->base.ops->score(&m->base, &q, NULL, n, out, &err));
        for (size_t i = 0; i < n; i++) {
            most = fmax(most, fabs(out[i] - y[i]));
            size = fmax(size, fabs(y[i]));
        }
    }
    free(h);
    free(y);
    free(out);
    plain_clear(&g);
    return most / size;
}

/* Four groups: four eigenvalues stand apart from the rest, so the leading space is well defined. */
static void test_plain(void) {
    static const char *const filter[] = {"linear", "ideal", "gfcf", "bspm", "bspm"};
    rec_err err = {0};
    for (int weighted = 0; weighted < 2; weighted++) {
        dataset d;
        CHECK(!make_groups(FEEDBACK_IMPLICIT, 50, 40, 4, &d, &err));
        for (size_t j = 0; weighted && j < d.n; j++) d.weight[j] = (float)(1 + j % 5);
        for (size_t j = 0; weighted && j < d.n; j += 9) d.weight[j] *= -1;
        for (int f = 0; f < 5; f++) {
            const char *const set[] = {
                "filter",  filter[f], "factors", "4",
                "power",   "8",       "solver",  f < 4 ? "rk4" : "euler",
                "sharpen", "1.5",     "steps",   f < 4 ? "1" : "3",
                NULL};
            rec_model *m = fit_model(&graph_ops, &d, set, NULL);
            CHECK_NEAR(difference(graph_self(m), &d), 0, 2e-3);
            m->ops->close(m);
        }
        dataset_clear(&d);
    }
}

/* ---- what every algorithm must do ---- */

static rec_status add_part(void *ctx, const char *kind, uint32_t item, const char *text,
                           size_t n_text, double weight, rec_err *err) {
    (void)item, (void)text, (void)n_text, (void)err;
    CHECK(strcmp(kind, "item") == 0);
    *(double *)ctx += weight;
    return REC_OK;
}

static void test_explain(void) {
    static const char *const filter[] = {"linear", "ideal", "gfcf", "bspm"};
    rec_err err = {0};
    dataset d;
    CHECK(!make_groups(FEEDBACK_IMPLICIT, 40, 60, 3, &d, &err));
    for (size_t j = 0; j < d.n; j += 6) d.weight[j] = -1;
    for (int f = 0; f < 4; f++) {
        const char *const set[] = {"filter", filter[f], "factors", "8", NULL};
        rec_model *m = fit_model(&graph_ops, &d, set, NULL);
        for (uint32_t item = 0; item < 60; item += 7) {
            model_query q = user_query(&d, 5);
            double sum = 0;
            float score, pair[2];
            uint32_t two[] = {item, 0};
            CHECK(!m->ops->explain(m, &q, item, add_part, &sum, &err));
            CHECK(!m->ops->score(m, &q, &item, 1, &score, &err));
            CHECK(!m->ops->score(m, &q, two, 2, pair, &err));
            CHECK_NEAR(sum, score, 1e-4 * (1 + fabs(score)));
            CHECK_NEAR(pair[0], score, 1e-6);
        }
        m->ops->close(m);
    }
    dataset_clear(&d);
}

static void test_learns(void) {
    static const char *const filter[] = {"linear", "ideal", "gfcf", "bspm"};
    rec_err err = {0};
    for (int explicit = 0; explicit < 2; explicit ++)
        for (int f = 0; f < 4; f++) {
            dataset d;
            double gap = 0, own = 0, other = 0;
            float similar[90];
            const char *const set[] = {"filter", filter[f], "factors", "6", NULL};
            CHECK(!make_groups((feedback_kind) explicit, 60, 90, 3, &d, &err));
            rec_model *m = fit_model(&graph_ops, &d, set, NULL);
            for (uint32_t u = 0; u < d.n_users; u++)
                gap += group_gap(m, &d, u, 3) / d.n_users;
            CHECK(gap > .02);
            CHECK(!m->ops->similar(m, 4, similar, &err));
            CHECK_NEAR(similar[4], 1, 1e-3);
            for (uint32_t i = 0; i < 90; i++) {
                CHECK(similar[i] >= -1 && similar[i] <= 1);
                if (i % 3 == 1)
                    own += similar[i] / 30;
                else
                    other += similar[i] / 60;
            }
            CHECK(own > other + .1);
            CHECK(m->ops->similar(m, 90, similar, &err) == REC_RANGE);
            m->ops->close(m);
            dataset_clear(&d);
        }
}

static void test_strangers(void) {
    dataset d;
    rec_err err = {0};
    float out[60];
    const char *const set[] = {"factors", "6", "filter", "bspm", NULL};
    CHECK(!make_groups(FEEDBACK_IMPLICIT, 40, 60, 3, &d, &err));
    rec_model *m = fit_model(&graph_ops, &d, set, NULL);
    model_query nobody = {0};
    CHECK(!m->ops->knows(m, &nobody) && scores_finite(m, &nobody, out) && out[0] == 0);
    uint32_t item[] = {1, 4, 4000};
    float weight[] = {1, 1, 1}, dislike[] = {-1, -1, -1};
    double time[] = {NAN, NAN, NAN}, group[3] = {0};
    model_query q = {
        .item = item, .weight = weight, .value = weight, .time = time, .n = 3};
    CHECK(m->ops->knows(m, &q) && scores_finite(m, &q, out));
    for (int i = 0; i < 60; i++) group[i % 3] += out[i] / 20;
    CHECK(group[1] > group[0] && group[1] > group[2]);
    q.weight = q.value = dislike;
    CHECK(!m->ops->knows(m, &q) && scores_finite(m, &q, out));
    uint32_t unknown = 4000;
    CHECK(!m->ops->score(m, &q, &unknown, 1, out, &err) && out[0] == 0);
    m->ops->close(m);
    dataset_clear(&d);
}

static void test_extremes(void) {
    static const char *const set[] = {"filter", "bspm", "factors", "20", NULL};
    static const char *const plainest[] = {"filter", "linear", NULL};
    const float sizes[] = {1e-30f, 1, 1e30f, -1};
    rec_err err = {0};
    float out[64];
    for (int f = 0; f < 2; f++)
        for (uint32_t n_users = 0; n_users < 3; n_users++)
            for (uint32_t n_items = 0; n_items < 4; n_items++)
                for (int k = 0; k < 4; k++) {
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
                        rec_model *m =
                            fit_model(&graph_ops, &d, w ? plainest : set, NULL);
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

/* One weight of 1e30 among ones, equal ratings, and a user who took everything. */
static void test_uneven(void) {
    rec_err err = {0};
    float out[60];
    dataset d;
    const char *const set[] = {"factors", "8", "filter", "bspm", NULL};
    for (int f = 0; f < 2; f++) {
        CHECK(!make_groups((feedback_kind)f, 20, 60, 3, &d, &err));
        if (f)
            for (size_t i = 0; i < d.n; i++) d.value[i] = 3;
        else
            d.weight[3] = 1e30f, d.weight[9] = -1e30f;
        rec_model *m = fit_model(&graph_ops, &d, set, NULL);
        model_query q = user_query(&d, 0);
        CHECK(m->ops->knows(m, &q) && scores_finite(m, &q, out));
        m->ops->close(m);
        dataset_clear(&d);
    }
    interaction all[60];
    signal_spec s = plain_signal(FEEDBACK_IMPLICIT);
    for (uint32_t i = 0; i < 60; i++) all[i] = (interaction){0, i, 1, 1, NAN};
    CHECK(!dataset_build(&s, all, 60, 1, 60, &d, &err));
    rec_model *m = fit_model(&graph_ops, &d, set, NULL);
    model_query q = user_query(&d, 0);
    CHECK(scores_finite(m, &q, out) && out[0] == out[59]);
    m->ops->close(m);
    dataset_clear(&d);
}

static void test_threads(void) {
    rec_err err = {0};
    dataset d;
    bytes_writer first = {0};
    CHECK(!make_groups(FEEDBACK_IMPLICIT, 300, 500, 5, &d, &err));
    for (int n = 1; n <= 3; n++) {
        const char *const set[] = {"factors", "16", NULL};
        rec_run run = {.n_threads = n};
        bytes_writer w = {0};
        rec_model *m = fit_model(&graph_ops, &d, set, &run);
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

/* Training again from the model before, whose items had other numbers: the same space. */
static void test_warm(void) {
    rec_err err = {0};
    dataset d, turned;
    uint32_t was[500];
    size_t n = 0;
    CHECK(!make_groups(FEEDBACK_IMPLICIT, 300, 500, 5, &d, &err));
    interaction *r = malloc(d.n * sizeof *r);
    for (uint32_t u = 0; u < d.n_users; u++)
        for (size_t j = d.ptr[u]; j < d.ptr[u + 1]; j++)
            if (j % 5) r[n++] = (interaction){u, 499 - d.item[j], 1, 1, NAN};
    signal_spec s = plain_signal(FEEDBACK_IMPLICIT);
    CHECK(!dataset_build(&s, r, n, 300, 500, &turned, &err));
    const char *const set[] = {"factors", "5", "filter", "ideal", "power", "8", NULL};
    rec_model *old = fit_model(&graph_ops, &turned, set, NULL), *warm = NULL;
    rec_model *cold = fit_model(&graph_ops, &d, set, NULL);
    for (uint32_t i = 0; i < 500; i++) was[i] = 499 - i;
    model_options o = options_of(&graph_ops, set);
    model_fit_args a = {
        .data = &d, .options = &o, .previous = old, .previous_item = was};
    CHECK(!graph_ops.fit(&a, &warm, &err));
    float x[500], y[500];
    for (uint32_t u = 0; u < 300 && warm; u += 50) {
        model_query q = user_query(&d, u);
        double most = 0, size = 0;
        CHECK(!graph_ops.score(warm, &q, NULL, 500, x, &err));
        CHECK(!graph_ops.score(cold, &q, NULL, 500, y, &err));
        for (int i = 0; i < 500; i++) {
            most = fmax(most, fabs(x[i] - y[i]));
            size = fmax(size, fabs(y[i]));
        }
        CHECK(most < .01 * size);
    }
    options_clear(&o);
    if (warm) graph_close(warm);
    graph_close(old);
    graph_close(cold);
    free(r);
    dataset_clear(&d);
    dataset_clear(&turned);
}

/* Few new edges and a new item: the eigenvectors stay, and the item's row follows from its users. */
static void test_inherit(void) {
    rec_err err = {0};
    dataset d, all;
    CHECK(!make_groups(FEEDBACK_IMPLICIT, 100, 90, 3, &all, &err));
    signal_spec s = plain_signal(FEEDBACK_IMPLICIT);
    interaction *r = malloc(all.n * sizeof *r);
    size_t n = 0;
    for (uint32_t u = 0; u < 100; u++)
        for (size_t j = all.ptr[u]; j < all.ptr[u + 1]; j++)
            if (all.item[j] != 7) r[n++] = (interaction){u, all.item[j], 1, 1, NAN};
    CHECK(!dataset_build(&s, r, n, 100, 90, &d, &err));
    const char *const set[] = {"factors", "3", "filter", "ideal", "power", "8", NULL};
    rec_model *old = fit_model(&graph_ops, &d, set, NULL), *m = NULL;
    model_options o = options_of(&graph_ops, set);
    model_fit_args a = {.data = &all, .options = &o, .previous = old};
    CHECK(!graph_ops.fit(&a, &m, &err));
    if (m) {
        float similar[90];
        double own = 0, other = 0;
        CHECK(graph_self(m)->basis == graph_self(old)->basis);
        CHECK(!m->ops->similar(m, 7, similar, &err));
        for (uint32_t i = 0; i < 90; i++) {
            if (i % 3 == 1)
                own += similar[i] / 30;
            else
                other += similar[i] / 60;
        }
        CHECK(own > other + .1);
        model_query q = user_query(&all, 7);
        check_round_trip(m, &q);
        graph_close(m);
    }
    graph_close(old);
    options_clear(&o);
    free(r);
    dataset_clear(&d);
    dataset_clear(&all);
}

/* A list of a block is that of the user alone, bit for bit. */
static void test_block(void) {
    static const char *const filter[] = {"linear", "ideal", "gfcf", "bspm"};
    rec_err err = {0};
    dataset d;
    enum { N_USERS = 37, N_ITEMS = 70, K = 9 };
    uint32_t place[N_ITEMS];
    CHECK(!make_groups(FEEDBACK_IMPLICIT, N_USERS, N_ITEMS, 3, &d, &err));
    for (size_t j = 0; j < d.n; j += 4) d.weight[j] = j % 3 ? 2 : -1;
    for (uint32_t i = 0; i < N_ITEMS; i++) place[i] = (i * 3) % N_ITEMS;
    for (int f = 0; f < 4; f++) {
        const char *const set[] = {"filter", filter[f], "factors", "7", NULL};
        rec_run run = {.n_threads = 2};
        rec_model *m = fit_model(&graph_ops, &d, set, NULL);
        model_query q[N_USERS];
        bitmap allowed[N_USERS];
        topk found[N_USERS];
        float out[N_ITEMS];
        for (uint32_t u = 0; u < N_USERS; u++) {
            q[u] = user_query(&d, u);
            CHECK(!bitmap_init(&allowed[u], N_ITEMS, true, &err));
            bitmap_unset(&allowed[u], u);
            CHECK(!topk_init(&found[u], K, &err));
        }
        model_best b = {q, allowed, place, found, N_USERS};
        CHECK(!graph_ops.best(m, &b, &run, &err));
        for (uint32_t u = 0; u < N_USERS; u++) {
            topk want;
            CHECK(!topk_init(&want, K, &err));
            CHECK(!m->ops->score(m, &q[u], NULL, N_ITEMS, out, &err));
            for (uint32_t i = 0; i < N_ITEMS; i++)
                if (bitmap_has(&allowed[u], i)) topk_push(&want, -out[i], place[i]);
            topk_sort(&want);
            topk_sort(&found[u]);
            CHECK(want.n == found[u].n);
            for (size_t k = 0; k < want.n; k++)
                CHECK(want.a[k].id == found[u].a[k].id &&
                      want.a[k].value == found[u].a[k].value);
            topk_clear(&want);
            topk_clear(&found[u]);
            bitmap_clear(&allowed[u]);
        }
        graph_close(m);
    }
    dataset_clear(&d);
}

static bool stop_now(void *ctx) {
    return ++*(int *)ctx > 2;
}

static void test_interrupt(void) {
    dataset d;
    rec_err err = {0};
    int asked = 0;
    rec_run run = {.n_threads = 2, .interrupted = stop_now, .ctx = &asked};
    model_options o = options_of(&graph_ops, NULL);
    rec_model *m = NULL;
    CHECK(!make_groups(FEEDBACK_IMPLICIT, 400, 800, 4, &d, &err));
    model_fit_args a = {.data = &d, .options = &o, .run = &run};
    CHECK(graph_ops.fit(&a, &m, &err) == REC_INTR && !m);
    options_clear(&o);
    dataset_clear(&d);
}

int main(void) {
    UNIT_BEGIN("graph");
    alloc_install();
    test_plain();
    test_explain();
    test_learns();
    test_strangers();
    test_extremes();
    test_uneven();
    for (int f = 0; f < 3; f++) {
        dataset d;
        rec_err err = {0};
        const char *const set[] = {"factors", "3", "filter", f == 2 ? "linear" : "bspm",
                                   NULL};
        CHECK(!make_groups((feedback_kind)(f == 1), 12, 20, 2, &d, &err));
        model_query q = user_query(&d, 0);
        rec_model *m = fit_model(&graph_ops, &d, set, NULL);
        check_round_trip(m, &q);
        check_hostile_bytes(m, &q);
        m->ops->close(m);
        check_without_memory(&graph_ops, &d, set, &q);
        dataset_clear(&d);
    }
    CHECK(unit_live == 0);
    static const rec_allocator libc = {malloc, realloc,
                                       free}; /* counting is not for threads */
    rec_set_allocator(&libc);
    test_threads();
    test_warm();
    test_block();
    test_inherit();
    test_interrupt();
    return UNIT_END();
}
