/* tf_evaluate.c - rec_evaluate and rec_compare: how good a model is, and whether another is better.
 *
 *   rec_evaluate('taste', '{"split": "random"}')     metric, k, value, low, high, users, bucket, and how it was done
 *   rec_compare('taste', 'charts', options)          metric, k, a, b, diff, low, high, users
 *
 * Both read the tables in one snapshot, hold a part of the interactions out, fit a copy to the rest in memory and ask
 * it for the lists of all users (sq_evaluate.c). The stored model is neither read nor written: it may even be
 * untrained, and it has seen what the copy is asked about.
 *
 * Invariants
 * I1. Every row states split, mask, denominator, ties, candidates, relevance, users and seed: a figure without them
 *     cannot be compared.
 * I2. rec_compare asks both models about the same users and items; the difference is taken user by user.
 * I3. Equal data, options and seed give equal rows, whatever the number of threads.
 */
#include "sq_eval.h"
#include "tf.h"

#include <math.h>

enum {
    COL_METRIC,
    COL_K,
    COL_VALUE,
    COL_LOW,
    COL_HIGH,
    COL_USERS,
    COL_BUCKET,
    COL_SPLIT,
    COL_MASK,
    COL_DENOMINATOR,
    COL_TIES,
    COL_CANDIDATES,
    COL_RELEVANCE,
    COL_SEED,
    COL_N
};

typedef struct evaluation {
    sq_conn *c;
    const char *function;
    rec_run run;
    eval_options options;
    sqlite3_stmt *pin; /* stands on a row: every read is of one snapshot */
    sq_copy *model[2];
    eval_task task;
    eval_table table[2];
    tvf_rows *rows;
} evaluation;

static void evaluation_clear(evaluation *e) {
    sq_run_finish(&e->run);
    e->c->progress.name = NULL;
    sqlite3_finalize(e->pin);
    eval_task_clear(&e->task);
    for (int i = 0; i < 2; i++) {
        eval_table_clear(&e->table[i]);
        sq_copy_close(e->model[i]);
    }
    eval_options_clear(&e->options);
    tvf_rows_free(e->rows);
}

/* ---- reading -------------------------------------------------------------------------------------------- */

static rec_status pin_snapshot(evaluation *e, const char *name, rec_err *err) {
    const sq_table *t;
    bool row;
    if (e->pin) return REC_OK;
    rec_status s = sq_table_find(e->c, NULL, name, &t, err);
    if (s == REC_OK)
        s = sq_prepare(e->c->db, name, &e->pin, err,
                       "SELECT k FROM \"%w\".\"%w_state\"", t->schema, t->name);
    return s == REC_OK ? sq_step(e->pin, name, &row, err) : s;
}

static rec_status read_model(evaluation *e, sqlite3_value *arg, int i, rec_err *err) {
    const char *name = NULL;
    size_t n;
    rec_status s = tf_text(e->function, "model", arg, &name, &n, err);
    if (s == REC_OK && !name)
        s = rec_fail(err, REC_RANGE,
                     "%s: the model is NULL, expected the name of a rec_model table",
                     e->function);
    e->c->progress.name = name;
    if (s == REC_OK) s = pin_snapshot(e, name, err);
    return s == REC_OK ? sq_copy_read(e->c, NULL, name, &e->run, &e->model[i], err) : s;
}

static rec_status start(evaluation *e, sqlite3_value **arg, int n_model, rec_err *err) {
    const char *text = NULL;
    size_t n;
    sq_run_init(e->c, &e->run, true);
    rec_status s = tf_text(e->function, "options", arg[n_model], &text, &n, err);
    if (s == REC_OK) s = eval_options_read(e->function, text, &e->options, err);
    for (int i = 0; i < n_model && s == REC_OK; i++) s = read_model(e, arg[i], i, err);
    sq_copy *base = s == REC_OK ? sq_copy_base(e->model[0]) : NULL;
    if (s == REC_OK && !base)
        s = rec_fail(err, REC_RANGE,
                     "%s: %s has no interactions: there is nothing to hold out",
                     e->function, e->model[0]->view->name);
    if (s == REC_OK)
        s = eval_task_init(&e->task, e->c, base, &e->options, &e->run, err);
    sqlite3_finalize(e->pin);
    e->pin = NULL;
    for (int i = 0; i < n_model && s == REC_OK; i++)
        s = eval_run(&e->task, e->model[i], &e->table[i], &e->run, err);
    return s;
}

static rec_status finish(evaluation *e, rec_status s, tvf_result **out, rec_err *err) {
    if (s == REC_OK) {
        *out = tvf_rows_result(e->rows);
        e->rows = NULL; /* taken */
        if (!*out) s = rec_nomem(err);
    }
    evaluation_clear(e);
    return s;
}

/* ---- rec_evaluate -------------------------------------------------------------------------------------------- */

typedef struct bucket {
    const char *name;
    uint32_t min, max; /* pairs of the history */
} bucket;
static const bucket buckets[] = {
    {"all", 0, UINT32_MAX},    {"history 0", 0, 0},
    {"history 1-4", 1, 4},     {"history 5-9", 5, 9},
    {"history 10-19", 10, 19}, {"history 20-49", 20, 49},
    {"history 50-99", 50, 99}, {"history 100+", 100, UINT32_MAX},
};
#define N_BUCKETS (sizeof buckets / sizeof buckets[0])

static rec_status add_row(evaluation *e, const eval_table *t, size_t m,
                          const char *bucket_name, const boot_result *b, rec_err *err) {
    bool is_whole = !isnan(t->whole[m]);
    char how[160], relevant[40], among[40];
    cell row[COL_N];
    eval_split_text(&e->task, how, sizeof how);
    eval_relevance_text(&e->task, relevant, sizeof relevant);
    rec_format(among, sizeof among, "full(%zu)",
               catalog_n_items(e->model[0]->view->items));
    bool is_masked = !e->options.is_unmasked && !e->model[0]->view->cfg.repeat;
    row[COL_METRIC] = cell_str(eval_names[t->metric[m]]);
    row[COL_K] = t->k[m] ? cell_int((int64_t)t->k[m]) : cell_null();
    row[COL_VALUE] = cell_real(is_whole ? t->whole[m] : b->value);
    row[COL_LOW] = is_whole ? cell_null() : cell_real(b->low);
    row[COL_HIGH] = is_whole ? cell_null() : cell_real(b->high);
    row[COL_USERS] = cell_int((int64_t)(is_whole ? e->task.n_users : b->n_user));
    row[COL_BUCKET] = cell_str(bucket_name);
    row[COL_SPLIT] = cell_str(how);
    row[COL_MASK] = cell_str(is_masked ? "train" : "none");
    row[COL_DENOMINATOR] = cell_str(eval_denominator(&e->options, t->metric[m]));
    row[COL_TIES] = cell_str("hash");
    row[COL_CANDIDATES] = cell_str(among);
    row[COL_RELEVANCE] = cell_str(t->metric[m] == EVAL_RMSE ? "all" : relevant);
    row[COL_SEED] = cell_int((int64_t)e->options.split.seed);
    return tvf_rows_add(e->rows, row, err);
}

static rec_status add_bucket(evaluation *e, const bucket *b, uint32_t *user,
                             boot_result *result, rec_err *err) {
    const eval_task *t = &e->task;
    boot_spec spec = {.user = user,
                      .n_times = e->options.n_times,
                      .level = e->options.level,
                      .seed = e->options.split.seed};
    bool is_all = b == &buckets[0];
    for (uint32_t i = 0; i < t->n_users; i++)
        if (t->history[i] >= b->min && t->history[i] <= b->max) user[spec.n_user++] = i;
    if (!spec.n_user) return REC_OK;
    rec_status s = metrics_bootstrap(&e->table[0].table, &spec, result, &e->run, err);
    for (size_t m = 0; m < e->table[0].table.n_metric && s == REC_OK; m++) {
        bool is_whole = !isnan(e->table[0].whole[m]);
        size_t group = e->table[0].group[m];
        if (is_whole ? is_all : !isnan(result[m].value))
            s = add_row(e, &e->table[0], m, group ? eval_group_name(t, group) : b->name,
                        &result[m], err);
    }
    return s;
}

/* ---- stages of a hybrid: what each member finds, what all of them find, and what is shown ------------------------- */

/* One row a cut, and one for the time. */
static rec_status add_stage(evaluation *e, const eval_table *t, const char *name,
                            rec_err *err) {
    size_t n = e->task.n_users;
    boot_result r[EVAL_MAX_K];
    uint32_t *user = rec_array(n, sizeof *user);
    if (!user) return rec_nomem(err);
    for (uint32_t i = 0; i < n; i++) user[i] = i;
    boot_spec spec = {.user = user,
                      .n_user = n,
                      .n_times = e->options.n_times,
                      .level = e->options.level,
                      .seed = e->options.split.seed};
    rec_status s = metrics_bootstrap(&t->table, &spec, r, &e->run, err);
    for (size_t m = 0; m < t->table.n_metric && s == REC_OK; m++)
        s = add_row(e, t, m, name, &r[m], err);
    rec_free(user);
    if (s != REC_OK || !(t->seconds > 0)) return s;
    cell row[COL_N];
    for (int i = 0; i < COL_N; i++) row[i] = cell_null();
    row[COL_METRIC] = cell_str("milliseconds");
    row[COL_VALUE] = cell_real(1000 * t->seconds / (double)n);
    row[COL_USERS] = cell_int((int64_t)n);
    row[COL_BUCKET] = cell_str(name);
    return tvf_rows_add(e->rows, row, err);
}

/* The best rank that any list gives: `best` has the shape of the tables. */
static void unite(const eval_task *t, eval_table *best) {
    for (size_t u = 0; u < t->n_users; u++)
        for (size_t m = 0; m < best->table.n_metric; m++) {
            size_t n = t->ptr[u + 1] - t->ptr[u], hits = 0;
            float *x = best->table.cell + (u * best->table.n_metric + m) * 2;
            for (size_t i = t->ptr[u]; i < t->ptr[u + 1]; i++)
                hits += best->rank[i] && best->rank[i] <= best->k[m];
            size_t most = t->options->is_min && best->k[m] < n ? best->k[m] : n;
            x[0] = n ? (float)(hits < most ? hits : most) / (float)most : 0;
            x[1] = n ? 1 : 0;
        }
}

static rec_status add_members(evaluation *e, rec_err *err) {
    sq_copy *hybrid = e->model[0];
    eval_table best = {0}, one = {0};
    rec_status s = REC_OK;
    for (size_t m = 0; m < hybrid->n_member && s == REC_OK; m++) {
        s = eval_ask(&e->task, hybrid->member[m], &one, &e->run, err);
        if (s == REC_OK) s = add_stage(e, &one, hybrid->view->member[m].label, err);
        if (s == REC_OK && m == 0) {
            best = one;
            memset(&one, 0, sizeof one);
            continue;
        }
        for (size_t i = 0; s == REC_OK && i < e->task.ptr[e->task.n_users]; i++)
            if (one.rank[i] && (!best.rank[i] || one.rank[i] < best.rank[i]))
                best.rank[i] = one.rank[i];
        eval_table_clear(&one);
    }
    if (s == REC_OK && hybrid->n_member) {
        unite(&e->task, &best);
        best.seconds = 0;
        s = add_stage(e, &best, "union", err);
    }
    eval_table_clear(&best);
    return s;
}

static rec_status add_stages(evaluation *e, rec_err *err) {
    rec_status s = add_members(e, err);
    return s == REC_OK ? add_stage(e, &e->table[0], "list", err) : s;
}

static rec_status evaluate_open(sq_conn *c, sqlite3_value **arg, tvf_result **out,
                                rec_err *err) {
    evaluation e = {.c = c, .function = "rec_evaluate"};
    *out = NULL;
    rec_status s = start(&e, arg, 1, err);
    uint32_t *user = rec_array(e.task.n_users, sizeof *user);
    boot_result *result = rec_array(e.table[0].table.n_metric, sizeof *result);
    e.rows = tvf_rows_new(COL_N);
    if (s == REC_OK && (!user || !result || !e.rows)) s = rec_nomem(err);
    size_t n = e.options.bucket == BUCKET_HISTORY ? N_BUCKETS : 1;
    if (s == REC_OK && e.options.is_staged) s = add_stages(&e, err);
    for (size_t i = 0; s == REC_OK && !e.options.is_staged && i < n; i++)
        s = add_bucket(&e, &buckets[i], user, result, err);
    rec_free(user);
    rec_free(result);
    return finish(&e, s, out, err);
}

const tvf_def tf_evaluate_def = {
    .name = "rec_evaluate",
    .columns =
        "metric TEXT, k INTEGER, value REAL, low REAL, high REAL, users INTEGER, "
        "bucket TEXT, split TEXT, mask TEXT, denominator TEXT, ties TEXT, "
        "candidates TEXT, relevance TEXT, seed INTEGER",
    .args = "model, options",
    .n_required = 1,
    .rank_column = -1,
    .cost = 1e9,
    .open = evaluate_open,
};

/* ---- rec_compare ----------------------------------------------------------------------------------------------- */

/* Both tables cut down to the figures that both models have. */
static size_t find_same(const eval_table *t, eval_metric metric, size_t k) {
    for (size_t m = 0; m < t->table.n_metric; m++)
        if (t->metric[m] == metric && t->k[m] == k && !t->group[m]) return m;
    return SIZE_MAX;
}

static rec_status keep_columns(eval_table *t, const eval_table *other, rec_err *err) {
    size_t n = 0, old = t->table.n_metric,
           at[EVAL_N * EVAL_MAX_K * (EVAL_MAX_GROUPS + 1)];
    for (size_t m = 0; m < old; m++)
        if (!t->group[m] && find_same(other, t->metric[m], t->k[m]) != SIZE_MAX)
            at[n++] = m;
    float *cell_of = rec_array(t->table.n_users * n * 2, sizeof *cell_of);
    if (!cell_of) return rec_nomem(err);
    for (size_t u = 0; u < t->table.n_users; u++)
        for (size_t m = 0; m < n; m++)
            memcpy(cell_of + (u * n + m) * 2, t->table.cell + (u * old + at[m]) * 2,
                   2 * sizeof *cell_of);
    for (size_t m = 0; m < n; m++) {
        t->metric[m] = t->metric[at[m]];
        t->form[m] = t->form[at[m]];
        t->k[m] = t->k[at[m]];
        t->whole[m] = t->whole[at[m]];
        t->group[m] = 0;
    }
    rec_free(t->table.cell);
    t->table.cell = cell_of;
    t->table.n_metric = n;
    return REC_OK;
}

static rec_status add_difference(evaluation *e, size_t m, const boot_result *a,
                                 const boot_result *b, const boot_result *diff,
                                 rec_err *err) {
    const eval_table *t = e->table;
    bool is_whole = !isnan(t[0].whole[m]);
    double x = is_whole ? t[0].whole[m] : a[m].value;
    double y = is_whole ? t[1].whole[m] : b[m].value;
    size_t n = is_whole ? e->task.n_users : a[m].n_user;
    if (isnan(x) || isnan(y)) return REC_OK;
    cell row[] = {cell_str(eval_names[t[0].metric[m]]),
                  t[0].k[m] ? cell_int((int64_t)t[0].k[m]) : cell_null(),
                  cell_real(x),
                  cell_real(y),
                  cell_real(x - y),
                  is_whole ? cell_null() : cell_real(diff[m].low),
                  is_whole ? cell_null() : cell_real(diff[m].high),
                  cell_int((int64_t)n)};
    return tvf_rows_add(e->rows, row, err);
}

static rec_status compare_all(evaluation *e, rec_err *err) {
    size_t n = e->task.n_users, n_metric;
    rec_status s = keep_columns(&e->table[0], &e->table[1], err);
    if (s == REC_OK) s = keep_columns(&e->table[1], &e->table[0], err);
    n_metric = e->table[0].table.n_metric;
    uint32_t *user = rec_array(n, sizeof *user);
    boot_result *r = rec_array(3 * n_metric, sizeof *r);
    if (s == REC_OK && (!user || !r)) s = rec_nomem(err);
    for (uint32_t i = 0; s == REC_OK && i < n; i++) user[i] = i;
    boot_spec spec = {.user = user,
                      .n_user = n,
                      .level = e->options.level,
                      .seed = e->options.split.seed};
    for (int i = 0; i < 2 && s == REC_OK; i++)
        s = metrics_bootstrap(&e->table[i].table, &spec, r + (size_t)i * n_metric,
                              &e->run, err);
    spec.other = &e->table[1].table;
    spec.n_times = e->options.n_times;
    if (s == REC_OK)
        s = metrics_bootstrap(&e->table[0].table, &spec, r + 2 * n_metric, &e->run,
                              err);
    for (size_t m = 0; m < n_metric && s == REC_OK; m++)
        s = add_difference(e, m, r, r + n_metric, r + 2 * n_metric, err);
    rec_free(user);
    rec_free(r);
    return s;
}

static rec_status compare_open(sq_conn *c, sqlite3_value **arg, tvf_result **out,
                               rec_err *err) {
    evaluation e = {.c = c, .function = "rec_compare"};
    *out = NULL;
    rec_status s = start(&e, arg, 2, err);
    if (s == REC_OK && !(e.rows = tvf_rows_new(8))) s = rec_nomem(err);
    if (s == REC_OK) s = compare_all(&e, err);
    return finish(&e, s, out, err);
}

const tvf_def tf_compare_def = {
    .name = "rec_compare",
    .columns =
        "metric TEXT, k INTEGER, a REAL, b REAL, diff REAL, low REAL, high REAL, "
        "users INTEGER",
    .args = "model_a, model_b, options",
    .n_required = 2,
    .rank_column = -1,
    .cost = 1e9,
    .open = compare_open,
};
