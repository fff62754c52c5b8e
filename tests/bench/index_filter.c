/* index_filter.c - filtered queries: recall, rows and time, whatever the filter has to do with the
 * query.
 *
 * The filters are ordinary ranges over INTEGER columns of the index:
 *   independent       r < share * n; r is a random permutation of the rows
 *   correlated        near_j < share * n; near_j numbers the rows by their distance from anchor j,
 *                     nearest first, and the queries are those nearest to that anchor
 *   anti-correlated   near_j >= (1 - share) * n: the same queries among the rows farthest away
 * Anchors are N_ANCHORS queries; each is asked with the N_NEAR queries nearest to it. The same rows
 * stand in a table of kind=flat, which gives the true answers and the time to beat; the two answer
 * each query in turn. ef is left to the extension, as most programs do. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../../ext/core/core.h"
#include "index_bench.h"
#undef malloc
#undef calloc
#undef free

#define N_ANCHORS 4
#define N_NEAR    10
#define N_PASSES  4 /* over the queries of an anchor, in a round */

enum { INDEPENDENT, CORRELATED, ANTI, N_HOW };
static const char *const how_name[] = {"independent", "correlated", "anti"};
static const double shares[] = {.5, .1, .01, .001};
static const char *const share_name[] = {"50", "10", "1", "0.1"};
#define N_SHARES (sizeof shares / sizeof *shares)

typedef struct attributes {
    uint32_t *random, *near[N_ANCHORS]; /* [n] */
    size_t query[N_ANCHORS][N_NEAR];    /* anchor first */
} attributes;

typedef struct ranked {
    float far;
    uint32_t row;
} ranked;

static int by_distance(const void *a, const void *b) {
    const ranked *x = a, *y = b;
    if (x->far != y->far) return x->far < y->far ? -1 : 1;
    return (x->row > y->row) - (x->row < y->row);
}

/* Vectors by their distance from v, nearest first. */
static ranked *rank_all(const float *v, const float *x, size_t n, uint32_t dim) {
    ranked *r = need(malloc(n * sizeof *r));
    for (size_t i = 0; i < n; i++)
        r[i] = (ranked){-vec_kernels()->dot(v, x + i * dim, dim), (uint32_t)i};
    qsort(r, n, sizeof *r, by_distance);
    return r;
}

static attributes make_attributes(const data *d) {
    attributes a = {.random = need(malloc(d->n * sizeof(uint32_t)))};
    rng random;
    rng_seed(&random, 7, 0);
    for (size_t i = 0; i < d->n; i++) { /* a shuffle, inside out */
        uint32_t j = rng_below(&random, (uint32_t)i + 1);
        a.random[i] = a.random[j];
        a.random[j] = (uint32_t)i;
    }
    for (size_t j = 0; j < N_ANCHORS; j++) {
        const float *anchor = d->query + j * d->dim;
        ranked *rows = rank_all(anchor, d->base, d->n, d->dim);
        ranked *queries = rank_all(anchor, d->query, d->n_query, d->dim);
        a.near[j] = need(malloc(d->n * sizeof(uint32_t)));
        for (size_t i = 0; i < d->n; i++) a.near[j][rows[i].row] = (uint32_t)i;
        for (size_t q = 0; q < N_NEAR; q++) a.query[j][q] = queries[q].row;
        free(rows);
        free(queries);
    }
    return a;
}

static void free_attributes(attributes *a) {
    free(a->random);
    for (size_t j = 0; j < N_ANCHORS; j++) free(a->near[j]);
}

static sqlite3 *make_table(const setup *s, const data *d, const attributes *a,
                           const char *options) {
    sqlite3 *db = host_open(s, ":memory:");
    char *ddl = index_ddl(s, d->dim,
                          ", r INTEGER, near0 INTEGER, near1 INTEGER, near2 INTEGER, "
                          "near3 INTEGER",
                          options);
    bool is_there = try_create(s, db, "filter", ddl);
    sqlite3_free(ddl);
    if (!is_there) {
        sqlite3_close(db);
        return NULL;
    }
    use_threads(s->threads);
    run_sql(db, "BEGIN");
    sqlite3_stmt *st = prepare(db, "INSERT INTO t VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)");
    for (size_t i = 0; i < d->n; i++) {
        sqlite3_bind_int64(st, 1, (sqlite3_int64)i + 1);
        sqlite3_bind_blob(st, 2, d->base + i * d->dim, (int)d->dim * 4, SQLITE_STATIC);
        sqlite3_bind_int64(st, 3, a->random[i]);
        for (int j = 0; j < N_ANCHORS; j++)
            sqlite3_bind_int64(st, 4 + j, a->near[j][i]);
        if (sqlite3_step(st) != SQLITE_DONE) die("filter", sqlite3_errmsg(db));
        sqlite3_reset(st);
    }
    sqlite3_finalize(st);
    run_sql(db, "COMMIT; INSERT INTO t(t) VALUES ('optimize')");
    use_threads(1);
    return db;
}

/* ---- questions ------------------------------------------------------------------------------------ */

typedef struct tally {
    double second[2][MAX_REPEATS]; /* graph, exact */
    size_t n_hit, n_true, n_short; /* n_short: queries with fewer rows than there are */
    size_t fewest;                 /* rows of a query */
} tally;

typedef struct question {
    int how, round;
    size_t share, anchor;
} question;

static const char *filter_sql(const question *q, char sql[200]) {
    char column[20] = "r";
    if (q->how != INDEPENDENT) snprintf(column, sizeof column, "near%zu", q->anchor);
    snprintf(sql, 200,
             "SELECT id, distance FROM t WHERE v MATCH ?1 AND k = 10 AND %s %s ?2",
             column, q->how == ANTI ? ">=" : "<");
    return sql;
}

static void count(tally *t, const int64_t *got, size_t n_got, const int64_t *want,
                  size_t n_want) {
    t->n_true += n_want;
    t->n_short += n_got < n_want;
    if (n_got < t->fewest) t->fewest = n_got;
    for (size_t i = 0; i < n_got; i++)
        for (size_t j = 0; j < n_want; j++) t->n_hit += got[i] == want[j];
}

/* The queries of one anchor, each asked of both tables, who comes first in turn; ?2 is the bound of
 * the filter. */
static void ask_anchor(tally *t, sqlite3 *const db[2], const data *d,
                       const attributes *a, const question *at) {
    double want = shares[at->share] * (double)d->n;
    uint32_t bound = (uint32_t)(at->how == ANTI ? (double)d->n - want : want);
    char sql[200];
    engine e[2];
    int64_t row[2][K];
    for (int i = 0; i < 2; i++)
        engine_sql(&e[i], "filter", db[i], filter_sql(at, sql), d->dim);
    for (size_t q = 0; q < N_NEAR * N_PASSES; q++) {
        const float *query = d->query + a->query[at->anchor][q % N_NEAR] * d->dim;
        size_t n[2];
        for (size_t turn = 0; turn < 2; turn++) {
            size_t i = (q + q / N_NEAR + turn) % 2;
            double begin = now();
            n[i] = e[i].ask(&e[i], query, bound, row[i]);
            t->second[i][at->round] += now() - begin;
        }
        count(t, row[0], n[0], row[1], n[1]);
    }
    for (int i = 0; i < 2; i++) sqlite3_finalize(e[i].st);
}

static void run_filter(const setup *s, sqlite3 *const db[2], const data *d,
                       const attributes *a, int how, size_t share) {
    tally *t = need(calloc(1, sizeof *t));
    char name[60];
    t->fewest = K;
    for (int round = 0; round < s->rounds; round++)
        for (size_t anchor = 0; anchor < N_ANCHORS; anchor++)
            ask_anchor(t, db, d, a, &(question){how, round, share, anchor});
    double n = N_ANCHORS * N_NEAR * N_PASSES, us[2];
    for (int i = 0; i < 2; i++)
        us[i] = 1e6 * median(t->second[i], (size_t)s->rounds) / n;
    snprintf(name, sizeof name, "filter.%s_%s%%", how_name[how], share_name[share]);
    line(s, "%.4f", (double)t->n_hit / (double)(t->n_true ? t->n_true : 1), "%s.recall",
         name);
    line(s, "%.0f", (double)t->fewest, "%s.fewest_rows", name);
    line(s, "%.0f", (double)t->n_short, "%s.queries_short", name);
    line(s, "%.1f", us[0], "%s.us", name);
    line(s, "%.1f", us[1], "%s.exact_us", name);
    line(s, "%.3f", us[0] / us[1], "%s.time_over_exact", name);
    free(t);
}

int case_filter(const setup *s) {
    data d = data_open(s, true);
    if (d.n_query < N_NEAR) die("filter", "too few queries");
    attributes a = make_attributes(&d);
    sqlite3 *db[2] = {make_table(s, &d, &a, s->graph)};
    if (db[0]) db[1] = make_table(s, &d, &a, "kind=flat");
    if (db[0] && db[1])
        for (int how = 0; how < N_HOW; how++)
            for (size_t share = 0; share < N_SHARES; share++)
                run_filter(s, db, &d, &a, how, share);
    for (int i = 0; i < 2; i++)
        if (db[i]) sqlite3_close(db[i]);
    free_attributes(&a);
    data_close(&d);
    return 0;
}
