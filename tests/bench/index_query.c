/* index_query.c - queries a second: graphs at equal recall, and exact scans.
 *
 *   queries   Every engine finds its own smallest ef for recall .95 and .99; then all of them
 *             answer all queries at these, in turn, round by round. Recall at given ef, too: our
 *             graph must not be a worse graph than hnswlib's.
 *   flat      Exact scans: kind=flat over float32 and over int8 codes with rescoring, beside
 *             sqlite-vec, each over its own table in memory. */
#include "index_bench.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MAX_EF 2000 /* a level that needs more is not reached */

static const double levels[] = {.95, .99};
#define N_LEVELS (sizeof levels / sizeof *levels)

typedef struct round_times {
    double second[N_LEVELS][MAX_REPEATS];
    uint32_t ef[N_LEVELS]; /* 0: not reached */
    double recall[N_LEVELS];
} round_times;

static double recall_at(engine *e, const data *d, uint32_t ef, int64_t *row) {
    ask_all(e, d, d->n_query, ef, row);
    return data_recall(d, row, d->n_query);
}

/* Recall grows with ef: bisection. 0 if MAX_EF does not do. */
static uint32_t smallest_ef(engine *e, const data *d, double level, int64_t *row,
                            double *recall) {
    uint32_t below = K - 1, enough = 2 * K;
    while ((*recall = recall_at(e, d, enough, row)) < level) {
        if (enough >= MAX_EF) return 0;
        below = enough;
        enough = enough * 2 < MAX_EF ? enough * 2 : MAX_EF;
    }
    while (enough - below > 1) {
        uint32_t middle = below + (enough - below) / 2;
        double r = recall_at(e, d, middle, row);
        if (r < level)
            below = middle;
        else
            enough = middle, *recall = r;
    }
    return enough;
}

/* Seconds of one round of every engine that reached the level. */
static void run_rounds(const setup *s, engine *e, round_times *t, int n, const data *d,
                       int64_t *row) {
    for (int round = 0; round < s->rounds; round++)
        for (size_t level = 0; level < N_LEVELS; level++)
            for (int i = 0; i < n; i++)
                if (t[i].ef[level])
                    t[i].second[level][round] =
                        ask_all(&e[i], d, d->n_query, t[i].ef[level], row);
}

static void print_level(const setup *s, const engine *e, round_times *t, int n,
                        const data *d, size_t level) {
    int percent = (int)(levels[level] * 100 + .5);
    double qps[MAX_ENGINES] = {0};
    for (int i = 0; i < n; i++) {
        if (t[i].ef[level] == 0) {
            fprintf(stderr, "index_bench: %s does not reach recall %.2f with ef=%d\n",
                    e[i].name, levels[level], MAX_EF);
            continue;
        }
        qps[i] = (double)d->n_query / median(t[i].second[level], (size_t)s->rounds);
        line(s, "%.0f", t[i].ef[level], "queries.%d.%s.ef", percent, e[i].name);
        line(s, "%.4f", t[i].recall[level], "queries.%d.%s.recall", percent, e[i].name);
        line(s, "%.0f", qps[i], "queries.%d.%s.qps", percent, e[i].name);
    }
    for (int i = 0; i < n; i++) /* engines start with ours */
        for (int j = i + 1; j < n && strncmp(e[i].name, "rec", 3) == 0; j++)
            if (strncmp(e[j].name, "rec", 3) != 0 && qps[i] > 0 && qps[j] > 0)
                line(s, "%.2f", qps[i] / qps[j], "queries.%d.%s_over_%s", percent,
                     e[i].name, e[j].name);
}

static void print_efs(const setup *s, engine *e, int n, const data *d, int64_t *row) {
    for (const char *at = s->efs; *at;) {
        char *end;
        uint32_t ef = (uint32_t)strtoul(at, &end, 10);
        for (int i = 0; i < n; i++) {
            double t = ask_all(&e[i], d, d->n_query, ef, row);
            line(s, "%.4f", data_recall(d, row, d->n_query), "ef%u.%s.recall", ef,
                 e[i].name);
            line(s, "%.0f", (double)d->n_query / t, "ef%u.%s.qps", ef, e[i].name);
        }
        at = *end == ',' ? end + 1 : end;
    }
}

/* The table that case_build left, in a file in WAL mode; SQLite begins and ends a read transaction
 * for each query. (With a rollback journal that costs eight system calls, in WAL mode two.) */
static bool engine_rec(engine *e, const setup *s, const data *d) {
    char path[600];
    in_dir(s, "rec.db", path);
    FILE *f = fopen(path, "rb");
    if (!f) {
        skip(s, "queries.rec", "there is no rec.db (case build)");
        return false;
    }
    fclose(f);
    engine_sql(e, "rec", host_open(s, path),
               "SELECT id, distance FROM t WHERE v MATCH ?1 AND k = 10 AND ef = ?2",
               d->dim);
    return true;
}

int case_queries(const setup *s) {
    data d = data_open(s, true);
    engine e[MAX_ENGINES];
    round_times *t = need(calloc(MAX_ENGINES, sizeof *t));
    int64_t *row = need(malloc(d.n_query * K * sizeof *row));
    int n = 0;
    if (engine_rec(&e[n], s, &d)) n++;
    if (s->has_c) engine_c(&e[n++], s, &d);
    if (engine_hnswlib(&e[n], s, &d)) n++;
    if (engine_vectorlite(&e[n], s, &d)) n++;
    for (int i = 0; i < n; i++)
        for (size_t level = 0; level < N_LEVELS; level++)
            t[i].ef[level] =
                smallest_ef(&e[i], &d, levels[level], row, &t[i].recall[level]);
    run_rounds(s, e, t, n, &d, row);
    for (size_t level = 0; level < N_LEVELS; level++)
        print_level(s, e, t, n, &d, level);
    print_efs(s, e, n, &d, row);
    for (int i = 0; i < n; i++) e[i].close(&e[i]);
    data_close(&d);
    free(t);
    free(row);
    return 0;
}

/* ---- exact ------------------------------------------------------------------------------------------ */

#define FLAT_QUERIES 100  /* a round; sqlite-vec answers some 35 a second */
#define FLAT_RECALL  1000 /* queries over which recall is counted */
#define SELECT_FLAT  "SELECT id, distance FROM t WHERE v MATCH ?1 AND k = 10"

static void fill(sqlite3 *db, const char *source) {
    run_sql(db,
            "ATTACH '%q' AS s; BEGIN; INSERT INTO t(id, v) SELECT id, v FROM s.src; "
            "COMMIT",
            source);
}

static bool engine_flat(engine *e, const setup *s, const data *d, const char *codes) {
    char source[600], options[40], name[40];
    setup flat = *s;
    if (strcmp(s->metric, "cosine") == 0) flat.metric = "l2"; /* as sqlite-vec (F4) */
    snprintf(options, sizeof options, "kind=flat, codes=%s", codes);
    snprintf(name, sizeof name, "flat.rec_%s", codes);
    sqlite3 *db = host_open(s, ":memory:");
    char *ddl = index_ddl(&flat, d->dim, "", options);
    bool is_there = try_create(s, db, name, ddl);
    sqlite3_free(ddl);
    if (!is_there) {
        sqlite3_close(db);
        return false;
    }
    fill(db, in_dir(s, "source.db", source));
    engine_sql(e, strcmp(codes, "none") ? "rec_int8" : "rec", db, SELECT_FLAT, d->dim);
    return true;
}

static bool engine_vec0(engine *e, const setup *s, const data *d) {
    char source[600];
    if (!s->vec0 || strcmp(s->metric, "ip") == 0) {
        skip(s, "flat.sqlite_vec",
             s->vec0 ? "it has no inner product" : "it is not there");
        return false;
    }
    sqlite3 *db = host_open_peer(":memory:", s->vec0);
    run_sql(db,
            "CREATE VIRTUAL TABLE t USING vec0(id INTEGER PRIMARY KEY, v float[%u])",
            d->dim);
    fill(db, in_dir(s, "source.db", source));
    engine_sql(e, "sqlite_vec", db, SELECT_FLAT " ORDER BY distance", d->dim);
    return true;
}

int case_flat(const setup *s) {
    data d = data_open(s, true);
    engine e[MAX_ENGINES];
    static double second[MAX_ENGINES][MAX_REPEATS];
    double qps[MAX_ENGINES];
    size_t n_query = d.n_query < FLAT_QUERIES ? d.n_query : FLAT_QUERIES;
    size_t n_recall = d.n_query < FLAT_RECALL ? d.n_query : FLAT_RECALL;
    int64_t *row = need(malloc(n_recall * K * sizeof *row));
    int n = 0;
    make_source(s, &d);
    if (engine_flat(&e[n], s, &d, "none")) n++;
    if (engine_flat(&e[n], s, &d, "int8")) n++;
    if (engine_vec0(&e[n], s, &d)) n++;
    for (int round = -1; round < s->rounds; round++) /* the first one warms up */
        for (int i = 0; i < n; i++) {
            double t = ask_all(&e[i], &d, n_query, 0, row);
            if (round >= 0) second[i][round] = t;
        }
    for (int i = 0; i < n; i++) {
        bool is_ours = strncmp(e[i].name, "rec", 3) == 0;
        size_t over = is_ours ? n_recall : n_query;
        ask_all(&e[i], &d, over, 0, row);
        qps[i] = (double)n_query / median(second[i], (size_t)s->rounds);
        line(s, "%.1f", qps[i], "flat.%s.qps", e[i].name);
        line(s, "%.4f", data_recall(&d, row, over), "flat.%s.recall", e[i].name);
    }
    for (int i = 0; i + 1 < n && strcmp(e[n - 1].name, "sqlite_vec") == 0; i++)
        line(s, "%.2f", qps[i] / qps[n - 1], "flat.%s_over_sqlite_vec", e[i].name);
    for (int i = 0; i < n; i++) e[i].close(&e[i]);
    data_close(&d);
    free(row);
    return 0;
}
