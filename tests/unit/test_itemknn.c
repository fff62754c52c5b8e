/* itemknn: every similarity against its formula, the best k, threads, explanations, extremes. */
#include "model_data.h"

#include "../../ext/model/links.h"

#include <float.h>
#undef calloc

static float weight_of(const rec_model *m, uint32_t j, uint32_t i) {
    return links_find(&((const linked *)m)->rows, j, i);
}

/* ---- the formulas, plainly ---- */

typedef struct plain {
    size_t n_users, n_items;
    double *x;           /* [n_users x n_items] */
    double *user, *item; /* sums of x */
} plain;

static plain read_plain(const dataset *d) {
    plain p = {.n_users = d->n_users, .n_items = d->n_items};
    double mean = 0;
    p.x = calloc(p.n_users * p.n_items + 1, sizeof *p.x);
    p.user = calloc(p.n_users + 1, sizeof *p.user);
    p.item = calloc(p.n_items + 1, sizeof *p.item);
    for (size_t j = 0; j < d->n; j++) mean += d->weight[j] / (double)d->n;
    for (size_t u = 0; u < p.n_users; u++)
        for (size_t j = d->ptr[u]; j < d->ptr[u + 1]; j++) {
            double x = log2(1 + d->weight[j] / mean);
            p.x[u * p.n_items + d->item[j]] = x;
            p.user[u] += x;
            p.item[d->item[j]] += x;
        }
    return p;
}

static void free_plain(plain *p) {
    free(p->x);
    free(p->user);
    free(p->item);
}

static double items_of(const plain *p, size_t u) {
    double n = 0;
    for (size_t i = 0; i < p->n_items; i++) n += p->x[u * p->n_items + i] != 0;
    return n;
}

/* One entry of a user's row as the similarity sees it, without the user's factor. */
static double seen_as(const plain *p, int kind, size_t u, size_t i) {
    double x = p->x[u * p->n_items + i], mean = 0;
    for (size_t j = 0; j < p->n_items; j++) mean += p->item[j] / (double)p->n_items;
    if (x == 0) return 0;
    if (kind == 2) return sqrt(x);
    if (kind == 3) return x * 2.2 / (1.2 * (.25 + .75 * p->item[i] / mean) + x);
    if (kind == 4) return pow(x, .55);
    return x;
}

static double user_factor(const plain *p, int kind, size_t u) {
    double idf = log((double)p->n_items / (1 + items_of(p, u)));
    if (kind == 0) return pow(p->user[u], -.73);
    if (kind == 4) return pow(p->user[u], -.55);
    if (kind >= 2) return idf > 0 ? idf * idf : 0;
    return 1;
}

static double product(const plain *p, int kind, size_t j, size_t i) {
    double sum = 0;
    for (size_t u = 0; u < p->n_users; u++) {
        if (p->x[u * p->n_items + j] == 0 || p->x[u * p->n_items + i] == 0) continue;
        sum +=
            user_factor(p, kind, u) * seen_as(p, kind, u, j) * seen_as(p, kind, u, i);
    }
    return sum;
}

static double expected(const plain *p, int kind, size_t j, size_t i) {
    double c = product(p, kind, j, i);
    if (j == i || c == 0) return 0;
    if (kind == 1 || kind == 2)
        return c / sqrt(product(p, kind, j, j) * product(p, kind, i, i)) * c / (c + 10);
    if (kind == 0) return c / (pow(p->item[j], .68) * pow(p->item[i], .3));
    if (kind == 4) return c / (pow(p->item[j], .55) * pow(p->item[i], .3));
    return c;
}

static void test_formulas(void) {
    static const char *const kinds[] = {"general", "cosine", "tfidf", "bm25",
                                        "rp3beta"};
    dataset d;
    rec_err err = {0};
    CHECK(!make_groups(FEEDBACK_IMPLICIT, 30, 40, 3, &d, &err));
    for (size_t j = 0; j < d.n; j += 3) d.weight[j] = 4; /* more than once */
    plain p = read_plain(&d);
    for (int kind = 0; kind < 5; kind++) {
        const char *const set[] = {"similarity", kinds[kind], NULL};
        rec_model *m = fit_model(&itemknn_ops, &d, set, NULL);
        double most = 0;
        for (uint32_t j = 0; j < d.n_items; j++)
            for (uint32_t i = 0; i < d.n_items; i++) {
                double want = expected(&p, kind, j, i), got = weight_of(m, j, i);
                most = fmax(most, fabs(want - got) / fmax(fabs(want), 1e-3));
            }
        CHECK_NEAR(most, 0, 2e-3); /* half precision */
        m->ops->close(m);
    }
    free_plain(&p);
    dataset_clear(&d);
}

/* Of the k that are kept none is smaller than one that is not; there are k of them. */
static void test_best(void) {
    dataset d;
    rec_err err = {0};
    CHECK(!make_groups(FEEDBACK_IMPLICIT, 60, 200, 4, &d, &err));
    rec_model *all = fit_model(&itemknn_ops, &d, NULL, NULL);
    static const char *const ks[] = {"1", "7", "150"};
    for (size_t t = 0; t < 3; t++) {
        const char *const set[] = {"k", ks[t], NULL};
        rec_model *some = fit_model(&itemknn_ops, &d, set, NULL);
        size_t k = t == 0 ? 1 : t == 1 ? 7 : 150;
        for (uint32_t j = 0; j < d.n_items; j++) {
            float least = FLT_MAX, most_left = 0;
            size_t n = 0, n_all = 0;
            for (uint32_t i = 0; i < d.n_items; i++) {
                float a = weight_of(all, j, i), s = weight_of(some, j, i);
                n_all += a > 0;
                n += s > 0;
                if (s > 0) least = fminf(least, a);
                if (s == 0) most_left = fmaxf(most_left, a);
            }
            CHECK(n == (n_all < k ? n_all : k));
            CHECK(n == 0 || least >= most_left * .9995f);
        }
        some->ops->close(some);
    }
    all->ops->close(all);
    dataset_clear(&d);
}

static void test_power(void) {
    dataset d;
    rec_err err = {0};
    CHECK(!make_groups(FEEDBACK_IMPLICIT, 30, 20, 3, &d, &err));
    const char *const set[] = {"power", "2", NULL};
    rec_model *a = fit_model(&itemknn_ops, &d, NULL, NULL),
              *b = fit_model(&itemknn_ops, &d, set, NULL);
    for (uint32_t i = 1; i < 20; i++) {
        double w = weight_of(a, 0, i);
        CHECK_NEAR(weight_of(b, 0, i), w * w, 4e-3 * w * w + 1e-9);
    }
    a->ops->close(a);
    b->ops->close(b);
    dataset_clear(&d);
}

/* ---- what every model must do ---- */

static void same_bytes(const dataset *d, const char *const *set) {
    bytes_writer w[2] = {{0}, {0}};
    rec_err err = {0};
    for (int t = 0; t < 2; t++) {
        rec_run run = {.n_threads = t ? 5 : 1};
        rec_model *m = fit_model(&itemknn_ops, d, set, &run);
        CHECK(!m->ops->save(m, &w[t], &err));
        m->ops->close(m);
    }
    CHECK(w[0].n == w[1].n && memcmp(w[0].data, w[1].data, w[0].n) == 0);
    bytes_clear(&w[0]);
    bytes_clear(&w[1]);
}

static rec_status add_part(void *ctx, const char *kind, uint32_t item, const char *text,
                           size_t n_text, double weight, rec_err *err) {
    (void)kind, (void)item, (void)text, (void)n_text, (void)err;
    *(double *)ctx += weight;
    return REC_OK;
}

static void check_model(feedback_kind feedback, const char *const *set) {
    dataset d;
    rec_err err = {0};
    CHECK(!make_groups(feedback, 90, 150, 3, &d, &err));
    if (feedback == FEEDBACK_IMPLICIT)
        for (size_t j = 0; j < d.n; j += 9) d.weight[j] = -1; /* dislikes */
    rec_model *m = fit_model(&itemknn_ops, &d, set, NULL);
    model_query q = user_query(&d, 5);
    float *out = malloc(d.n_items * sizeof *out), some[3];
    double gap = 0, sum = 0;
    for (uint32_t u = 0; u < 30; u++) gap += group_gap(m, &d, u, 3);
    CHECK(gap > 0);
    CHECK(!m->ops->score(m, &q, NULL, d.n_items, out, &err));
    const uint32_t which[] = {7, 149, 4000};
    CHECK(!m->ops->score(m, &q, which, 3, some, &err));
    CHECK(some[0] == out[7] && some[1] == out[149]);
    CHECK(some[2] == m->ops->cold_score(m, &q));
    CHECK(!m->ops->explain(m, &q, 7, add_part, &sum, &err));
    CHECK_NEAR(sum, out[7], 1e-4 * (1 + fabs(sum)));
    CHECK(m->ops->knows(m, &q) && !m->ops->check(m, &err));
    CHECK(!m->ops->similar(m, 3, out, &err) && out[3] == 1);
    CHECK(m->ops->similar(m, 150, out, &err) == REC_RANGE);
    check_round_trip(m, &q);
    check_hostile_bytes(m, &q);
    same_bytes(&d, set);
    free(out);
    m->ops->close(m);
    dataset_clear(&d);
}

static void without_memory(feedback_kind feedback) {
    dataset d;
    rec_err err = {0};
    CHECK(!make_groups(feedback, 6, 8, 2, &d, &err));
    model_query q = user_query(&d, 0);
    check_without_memory(&itemknn_ops, &d, NULL, &q);
    dataset_clear(&d);
}

/* An explicit score lies near the rating that the group would give. */
static void test_ratings(void) {
    dataset d;
    rec_err err = {0};
    CHECK(!make_groups(FEEDBACK_EXPLICIT, 90, 60, 3, &d, &err));
    rec_model *m = fit_model(&itemknn_ops, &d, NULL, NULL);
    float out[60];
    double error = 0;
    for (uint32_t u = 0; u < 90; u++) {
        model_query q = user_query(&d, u);
        CHECK(!m->ops->score(m, &q, NULL, 60, out, &err));
        for (size_t j = 0; j < q.n; j++)
            error += fabs(out[q.item[j]] - q.value[j]) / (double)d.n;
    }
    CHECK(error < .8);
    m->ops->close(m);
    dataset_clear(&d);
}

static void try_rows(interaction *row, size_t n, uint32_t n_users, uint32_t n_items,
                     feedback_kind feedback) {
    dataset d;
    rec_err err = {0};
    signal_spec spec = plain_signal(feedback);
    const char *const set[] = {"max_history", "4", NULL};
    CHECK(!dataset_build(&spec, row, n, n_users, n_items, &d, &err));
    rec_model *m = fit_model(&itemknn_ops, &d, set, NULL);
    float *out = malloc((n_items + 1) * sizeof *out);
    model_query q = n_users ? user_query(&d, 0) : (model_query){0};
    CHECK(scores_finite(m, &q, out) && !m->ops->check(m, &err));
    check_round_trip(m, &q);
    free(out);
    m->ops->close(m);
    dataset_clear(&d);
}

static void test_extremes(void) {
    for (int f = 0; f < 2; f++) {
        feedback_kind feedback = (feedback_kind)f;
        interaction row[300];
        try_rows(row, 0, 0, 0, feedback);
        try_rows(row, 0, 3, 4, feedback);
        row[0] = (interaction){0, 0, 1, 1, NAN};
        try_rows(row, 1, 1, 1, feedback);
        for (uint32_t i = 0; i < 300; i++) row[i] = (interaction){0, i, 1, 3, NAN};
        try_rows(row, 300, 1, 300, feedback); /* one user took everything */
        for (uint32_t i = 0; i < 300; i++) row[i] = (interaction){i, 0, 1, 3, NAN};
        try_rows(row, 300, 300, 1, feedback); /* one item */
        for (uint32_t i = 0; i < 300; i++)
            row[i] = (interaction){i % 20, i / 20, i % 2 ? 1e30f : 1e-30f,
                                   i % 2 ? 1e30f : -1e30f, NAN};
        try_rows(row, 300, 20, 15, feedback); /* huge and tiny */
        for (uint32_t i = 0; i < 300; i++)
            row[i] = (interaction){i % 20, i / 20, -1, 3, NAN};
        try_rows(row, 300, 20, 15, feedback); /* dislikes alone; constant ratings */
    }
}

int main(void) {
    UNIT_BEGIN("itemknn");
    static const char *const cosine[] = {"similarity", "cosine", "k", "20", NULL};
    static const char *const power[] = {"power", "1.1", "k", "40", NULL};
    alloc_install();
    without_memory(FEEDBACK_IMPLICIT);
    without_memory(FEEDBACK_EXPLICIT);
    CHECK(unit_live == 0);
    static const rec_allocator libc = {malloc, realloc,
                                       free}; /* counting is not for threads */
    rec_set_allocator(&libc);
    test_formulas();
    test_best();
    test_power();
    test_ratings();
    check_model(FEEDBACK_IMPLICIT, NULL);
    check_model(FEEDBACK_IMPLICIT, cosine);
    check_model(FEEDBACK_IMPLICIT, power);
    check_model(FEEDBACK_EXPLICIT, NULL);
    test_extremes();
    return UNIT_END();
}
