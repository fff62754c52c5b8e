/* tf_index_stats.c - rec_index_stats: one index in figures, and its recall on a sample.
 *
 *   SELECT kind, rows, waiting, levels, ef, load_ms FROM rec_index_stats('movie_vec')
 *   hnsw | 100000 | 0 | 4 | 64 | 182.4
 *
 *   SELECT recall FROM rec_index_stats('movie_vec', 200)        200 of its own vectors are searched
 *   0.9835                                                      with the default ef, and exactly
 *
 * Invariants
 * I1. Nothing is written; the memory is that of the connection's searches, loaded if it was not.
 * I2. The sample is the same at every call with equal rows.
 *
 * Cost: without a sample that of the first search of a connection; each vector of the sample costs
 * one exact scan.
 */
#include "sq_index.h"
#include "tf.h"

#define SAMPLE_MAX       100000
#define SAMPLE_DEFAULT_K 10
#define SAMPLE_MAX_K     1000
#define SAMPLE_SEED      1

enum {
    STAT_SCHEMA,
    STAT_NAME,
    STAT_KIND,
    STAT_METRIC,
    STAT_TYPE,
    STAT_DIM,
    STAT_CODES,
    STAT_ROWS,
    STAT_WAITING,
    STAT_LEVELS,
    STAT_EF,
    STAT_MEMORY,
    STAT_LOAD_MS,
    STAT_LAST_SEARCH,
    STAT_K,
    STAT_RECALL,
    STAT_N
};

static rec_status read_number(const char *what, sqlite3_value *v, int64_t fallback,
                              int64_t max, int64_t *out, rec_err *err) {
    *out = fallback;
    if (v == NULL || sqlite3_value_type(v) == SQLITE_NULL) return REC_OK;
    *out = sqlite3_value_int64(v);
    if (sqlite3_value_numeric_type(v) == SQLITE_INTEGER && *out >= 1 && *out <= max)
        return REC_OK;
    return rec_fail(err, REC_RANGE,
                    "rec_index_stats: %s is a whole number from 1 to %lld, found %s",
                    what, (long long)max, (const char *)sqlite3_value_text(v));
}

static void describe(const sq_index_def *d, const sq_memory *m, cell *row) {
    index_stats stats;
    m->ix->ops->stats(m->ix, &stats);
    row[STAT_KIND] = cell_str(d->cfg.kind);
    row[STAT_METRIC] = cell_str(vec_metric_name(d->cfg.metric));
    row[STAT_TYPE] = cell_str(vec_type_name(d->type));
    row[STAT_DIM] = cell_int(d->cfg.dim);
    row[STAT_CODES] = cell_str(d->cfg.codes);
    row[STAT_ROWS] = cell_int((int64_t)stats.n_rows);
    row[STAT_MEMORY] = cell_int((int64_t)(stats.nbyte + filter_nbyte(m->cells)));
    row[STAT_LOAD_MS] = cell_real(m->load_seconds * 1000);
    if (!sq_graph_exists(d)) return;
    row[STAT_WAITING] = cell_int((int64_t)stats.n_delta);
    row[STAT_LEVELS] = cell_int(stats.n_levels);
    row[STAT_EF] = cell_int(m->ef ? m->ef : stats.ef);
}

static rec_status measure(sq_conn *c, const sq_index_def *d, const sq_memory *m,
                          int64_t n_sample, int64_t k, cell *row, rec_err *err) {
    recall_args a = {
        .n_sample = (size_t)n_sample, .k = (size_t)k, .ef = m->ef, .seed = SAMPLE_SEED};
    rec_run run;
    double recall;
    sq_run_init(c, &run, false);
    rec_status s = index_recall(m->ix, &d->cfg, &a, &recall, &run, err);
    if (s != REC_OK) return s;
    row[STAT_K] = cell_int(k);
    row[STAT_RECALL] = cell_real(recall);
    return s;
}

static rec_status stats_of(sq_conn *c, const tf_index *t, int64_t n_sample, int64_t k,
                           tvf_rows *rows, rec_err *err) {
    sq_args args = {0};
    sq_index_def d = {.vector_field = -1};
    sq_index *ix = NULL;
    sq_memory *m = NULL;
    cell row[STAT_N];
    for (int i = 0; i < STAT_N; i++) row[i] = cell_null();
    row[STAT_SCHEMA] = cell_str(t->schema);
    row[STAT_NAME] = cell_str(t->name);
    rec_status s = tf_index_arguments(t->arguments, &args, err);
    if (s == REC_OK) s = sq_index_def_parse(&args, t->name, &d, err);
    if (s == REC_OK) s = sq_index_open(c, t->schema, t->name, &ix, err);
    if (s == REC_OK) s = sq_index_memory(ix, &d, &m, err);
    if (s == REC_OK) describe(&d, m, row);
    if (s == REC_OK && ix->last_search)
        row[STAT_LAST_SEARCH] = cell_str(ix->last_search);
    if (s == REC_OK && n_sample > 0) s = measure(c, &d, m, n_sample, k, row, err);
    if (s == REC_OK) s = tvf_rows_add(rows, row, err);
    sq_memory_unref(m);
    sq_index_close(ix);
    sq_index_def_clear(&d);
    sq_args_clear(&args);
    return s;
}

static rec_status stats_open(sq_conn *c, sqlite3_value **arg, tvf_result **out,
                             rec_err *err) {
    const char *name = NULL;
    size_t n_name;
    tf_index t = {0};
    bool found = false;
    int64_t n_sample, k;
    *out = NULL;
    rec_status s = tf_text("rec_index_stats", "index", arg[0], &name, &n_name, err);
    if (s == REC_OK && name == NULL)
        s = rec_fail(err, REC_RANGE, "rec_index_stats: which index? found NULL");
    if (s == REC_OK) s = read_number("sample", arg[1], 0, SAMPLE_MAX, &n_sample, err);
    if (s == REC_OK)
        s = read_number("k", arg[2], SAMPLE_DEFAULT_K, SAMPLE_MAX_K, &k, err);
    if (s == REC_OK) s = tf_index_find(c, name, &found, &t, err);
    if (s == REC_OK && !found)
        s = rec_fail(err, REC_RANGE, "rec_index_stats: there is no rec_index called %s",
                     name);
    tvf_rows *rows = s == REC_OK ? tvf_rows_new(STAT_N) : NULL;
    if (s == REC_OK && rows == NULL) s = rec_nomem(err);
    if (s == REC_OK) s = stats_of(c, &t, n_sample, k, rows, err);
    tf_index_clear(&t);
    if (s != REC_OK) {
        tvf_rows_free(rows);
        return s;
    }
    *out = tvf_rows_result(rows);
    return *out ? REC_OK : rec_nomem(err);
}

const tvf_def tf_index_stats_def = {
    .name = "rec_index_stats",
    .columns =
        "schema TEXT, name TEXT, kind TEXT, metric TEXT, type TEXT, dim INTEGER, "
        "codes TEXT, rows INTEGER, waiting INTEGER, levels INTEGER, ef INTEGER, "
        "memory_bytes INTEGER, load_ms REAL, last_search TEXT, k INTEGER, recall REAL",
    .args = "index, sample, k",
    .n_required = 1,
    .rank_column = -1,
    .cost = 1e6,
    .open = stats_open,
};
