/* ease: both forms against a plain solution, the inverse, the budget, threads, extremes. */
#include "model_data.h"

#include "../../ext/model/ease.h"
#include <stdlib.h>
#undef calloc

/* ---- the inverse ---- */

static void test_inverse(void) {
    static const size_t sizes[] = {1, 2, 127, 128, 129, 300};
    unsigned long long s = 7;
    for (size_t t = 0; t < sizeof sizes / sizeof sizes[0]; t++) {
        size_t n = sizes[t];
        rec_err err = {0};
        float *x = malloc(n * n * 4), *a = malloc(n * n * 4), *p = malloc(n * n * 4);
        for (size_t i = 0; i < n * n; i++) x[i] = (float)unit_uniform(&s) - .5f;
        la_ref_gemm(&(la_gemm_args){.trans_a = true,
                                    .m = n,
                                    .n = n,
                                    .k = n,
                                    .alpha = 1,
                                    .a = x,
                                    .b = x,
                                    .c = a,
                                    .lda = n,
                                    .ldb = n,
                                    .ldc = n});
        for (size_t i = 0; i < n; i++) a[i * n + i] += 1;
        memcpy(p, a, n * n * 4);
        for (size_t i = 0; i < n; i++)
            for (size_t j = 0; j < i; j++) p[i * n + j] = NAN; /* not read */
        CHECK(!la_spd_inverse(p, n, NULL, &err));
        double most = 0;
        for (size_t i = 0; i < n; i++)
            for (size_t j = 0; j < n; j++) {
                double sum = 0;
                for (size_t k = 0; k < n; k++)
                    sum += (double)a[i * n + k] * p[k * n + j];
                most = fmax(most, fabs(sum - (i == j)));
            }
        CHECK_NEAR(most, 0, 1e-3);
        free(x);
        free(a);
        free(p);
    }
    float bad[4] = {1, 2, 2, 1};
    rec_err err = {0};
    CHECK(la_spd_inverse(bad, 2, NULL, &err) == REC_RANGE);
}

/* ---- a plain solution ---- */

static void solve_plainly(double *a, double *b, size_t n) { /* Gauss, diagonal pivots */
    for (size_t k = 0; k < n; k++)
        for (size_t r = k + 1; r < n; r++) {
            double f = a[r * n + k] / a[k * n + k];
            for (size_t c = k; c < n; c++) a[r * n + c] -= f * a[k * n + c];
            b[r] -= f * b[k];
        }
    for (size_t k = n; k-- > 0;) {
        for (size_t c = k + 1; c < n; c++) b[k] -= a[k * n + c] * b[c];
        b[k] /= a[k * n + k];
    }
}

typedef struct gram {
    size_t n;
    double *g, *degree; /* scaled Gram matrix without a penalty */
} gram;

static gram gram_of(const dataset *d, double user_scale, double item_scale) {
    gram out = {.n = d->n_items};
    out.g = calloc(out.n * out.n, sizeof *out.g);
    out.degree = calloc(out.n, sizeof *out.degree);
    for (size_t j = 0; j < d->n; j++) out.degree[d->item[j]]++;
    for (size_t u = 0; u < d->n_users; u++)
        for (size_t a = d->ptr[u]; a < d->ptr[u + 1]; a++)
            for (size_t b = d->ptr[u]; b < d->ptr[u + 1]; b++)
                out.g[d->item[a] * out.n + d->item[b]] +=
                    pow((double)(d->ptr[u + 1] - d->ptr[u]), -user_scale) /
                    pow(out.degree[d->item[a]] * out.degree[d->item[b]], item_scale);
    return out;
}

/* Largest difference between the model's column and the regression on the items that the column
 * names (all, when it is dense). */
static double column_error(const linked *m, const gram *g, size_t item,
                           const char *lambda) {
    size_t n = 0, *id = malloc(g->n * sizeof *id);
    for (size_t j = 0; j < g->n; j++)
        if (links_find(&m->rows, (uint32_t)j, (uint32_t)item) != 0) id[n++] = j;
    double *a = malloc((n * n + 1) * sizeof *a), *b = malloc((n + 1) * sizeof *b),
           most = 0;
    for (size_t r = 0; r < n; r++) {
        for (size_t c = 0; c < n; c++) a[r * n + c] = g->g[id[r] * g->n + id[c]];
        a[r * n + r] += atof(lambda);
        b[r] = g->g[id[r] * g->n + item];
    }
    solve_plainly(a, b, n);
    for (size_t r = 0; r < n; r++) {
        double want = b[r] * pow(g->degree[item], .3) / pow(g->degree[id[r]], .34);
        most = fmax(most,
                    fabs(want - links_find(&m->rows, (uint32_t)id[r], (uint32_t)item)));
    }
    free(id);
    free(a);
    free(b);
    return n ? most : 1;
}

static void test_regression(void) {
    static const char *const forms[] = {"dense", "sparse", "sparse"};
    static const char *const many[] = {"100", "100", "12"};
    dataset d;
    rec_err err = {0};
    CHECK(!make_groups(FEEDBACK_IMPLICIT, 50, 70, 3, &d, &err));
    gram g = gram_of(&d, .5, .34);
    for (int f = 0; f < 3; f++) {
        const char *const set[] = {"form",       forms[f], "neighbours",   many[f],
                                   "lambda",     ".4",     "user_scale",   ".5",
                                   "item_scale", ".34",    "target_scale", ".3",
                                   NULL};
        rec_model *m = fit_model(&ease_ops, &d, set, NULL);
        for (size_t i = 0; i < 70; i += 7)
            CHECK_NEAR(column_error((const linked *)m, &g, i, ".4"), 0, 2e-3);
        if (f == 2) CHECK(links_count(&((const linked *)m)->rows) <= 70 * 12);
        m->ops->close(m);
    }
    free(g.g);
    free(g.degree);
    dataset_clear(&d);
}

static void test_budget(void) {
    dataset d;
    rec_err err = {0};
    rec_model *m = NULL;
    CHECK(!make_groups(FEEDBACK_IMPLICIT, 20, 100, 3, &d, &err));
    const char *const set[] = {"form", "dense", "max_bytes", "60000", NULL};
    model_options o = options_of(&ease_ops, set);
    model_fit_args a = {.data = &d, .options = &o};
    CHECK(ease_ops.fit(&a, &m, &err) == REC_RANGE && !m);
    CHECK(strstr(err.msg, "max_bytes=60000") != NULL);
    options_clear(&o);
    const char *const set_auto[] = {"max_bytes", "60000", "neighbours", "5", NULL};
    m = fit_model(&ease_ops, &d, set_auto, NULL); /* auto: sparse */
    CHECK(links_count(&((const linked *)m)->rows) <= 500);
    m->ops->close(m);
    dataset_clear(&d);
}

/* ---- what every model must do ---- */

static void same_bytes(const dataset *d, const char *const *set) {
    bytes_writer w[2] = {{0}, {0}};
    rec_err err = {0};
    for (int t = 0; t < 2; t++) {
        rec_run run = {.n_threads = t ? 5 : 1};
        rec_model *m = fit_model(&ease_ops, d, set, &run);
        CHECK(!m->ops->save(m, &w[t], &err));
        m->ops->close(m);
    }
    CHECK(w[0].n == w[1].n && memcmp(w[0].data, w[1].data, w[0].n) == 0);
    bytes_clear(&w[0]);
    bytes_clear(&w[1]);
}

static void check_model(feedback_kind feedback, const char *form) {
    const char *const set[] = {"form", form, "neighbours", "20", NULL};
    dataset d;
    rec_err err = {0};
    CHECK(!make_groups(feedback, 90, 150, 3, &d, &err));
    if (feedback == FEEDBACK_IMPLICIT)
        for (size_t j = 0; j < d.n; j += 9) d.weight[j] = -1; /* dislikes */
    rec_model *m = fit_model(&ease_ops, &d, set, NULL);
    model_query q = user_query(&d, 5);
    float *out = malloc(d.n_items * sizeof *out);
    double gap = 0, sum = 0;
    for (uint32_t u = 0; u < 30; u++) gap += group_gap(m, &d, u, 3);
    CHECK(gap > 0);
    CHECK(!m->ops->score(m, &q, NULL, d.n_items, out, &err));
    CHECK(!m->ops->explain(m, &q, 7, ignore_part, &sum, &err));
    CHECK_NEAR(sum, out[7], 1e-4 * (1 + fabs(sum)));
    check_round_trip(m, &q);
    check_hostile_bytes(m, &q);
    same_bytes(&d, set);
    free(out);
    m->ops->close(m);
    dataset_clear(&d);
}

static void without_memory(const char *form) {
    const char *const set[] = {"form", form, NULL};
    dataset d;
    rec_err err = {0};
    CHECK(!make_groups(FEEDBACK_EXPLICIT, 6, 8, 2, &d, &err));
    model_query q = user_query(&d, 0);
    check_without_memory(&ease_ops, &d, set, &q);
    dataset_clear(&d);
}

static void try_rows(interaction *row, size_t n, uint32_t n_users, uint32_t n_items,
                     feedback_kind feedback, const char *form) {
    dataset d;
    rec_err err = {0};
    signal_spec spec = plain_signal(feedback);
    const char *const set[] = {"form", form, NULL};
    CHECK(!dataset_build(&spec, row, n, n_users, n_items, &d, &err));
    rec_model *m = fit_model(&ease_ops, &d, set, NULL);
    float *out = malloc((n_items + 1) * sizeof *out);
    model_query q = n_users ? user_query(&d, 0) : (model_query){0};
    CHECK(scores_finite(m, &q, out) && !m->ops->check(m, &err));
    free(out);
    m->ops->close(m);
    dataset_clear(&d);
}

static void test_extremes(feedback_kind f, const char *form) {
    interaction row[300];
    try_rows(row, 0, 0, 0, f, form);
    try_rows(row, 0, 3, 4, f, form);
    row[0] = (interaction){0, 0, 1, 1, NAN};
    try_rows(row, 1, 1, 1, f, form);
    for (uint32_t i = 0; i < 300; i++) row[i] = (interaction){0, i, 1, 3, NAN};
    try_rows(row, 300, 1, 300, f, form); /* one user took everything */
    for (uint32_t i = 0; i < 300; i++) row[i] = (interaction){i, 0, 1, 3, NAN};
    try_rows(row, 300, 300, 1, f, form); /* one item */
    for (uint32_t i = 0; i < 300; i++)
        row[i] = (interaction){i % 20, i / 20, -1, 3, NAN};
    try_rows(row, 300, 20, 15, f, form); /* dislikes alone; constant ratings */
}

int main(void) {
    UNIT_BEGIN("ease");
    alloc_install();
    without_memory("dense");
    without_memory("sparse");
    CHECK(unit_live == 0);
    static const rec_allocator libc = {malloc, realloc,
                                       free}; /* counting is not for threads */
    rec_set_allocator(&libc);
    test_inverse();
    test_regression();
    test_budget();
    for (int f = 0; f < 2; f++) {
        check_model((feedback_kind)f, "dense");
        check_model((feedback_kind)f, "sparse");
        test_extremes((feedback_kind)f, "dense");
        test_extremes((feedback_kind)f, "sparse");
    }
    return UNIT_END();
}
