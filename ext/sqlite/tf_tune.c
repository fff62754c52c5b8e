/* tf_tune.c - rec_tune: a search for better options, a row per trial.
 *
 *   trial 0   the options as they are          rung 1     1/9 of the users     all trials
 *   trial 1   drawn from the ranges            rung 2     1/3                  the best third
 *   ...       (model_tune of the algorithm)    rung 3     everybody            the best third of those
 *
 *   SELECT trial, options, round(value, 4), status FROM rec_tune('taste', '{"trials": 30, "metric": "ndcg@20"}')
 *
 * Random search with successive halving (Jamieson and Talwalkar 2016): bad options are found out on few users. Small
 * tables have one rung. What is asked about is the last tenth of each user's rows, by time, else in the order of the
 * table; test tables are never read. The last row holds the winner as a CREATE statement.
 *
 * Invariants
 * I1. Nothing is written, and no stored model is read.
 * I2. Trial 0 stands in every rung, so the winner is at least as good as it on the rows held out.
 * I3. Equal data, options and seed try the same, whatever the number of threads; only `seconds` as a bound may end a
 *     search earlier.
 * I4. Options that do not fit together cost their trial, not the search.
 *
 * Cost: a fit and a batch of lists a trial and rung.
 */
#include "sq_eval.h"
#include "tf.h"

#include <math.h>

#define TUNE_DEFAULT_TRIALS 20
#define TUNE_MAX_TRIALS     1000
#define TUNE_MAX_SPACE      16
#define TUNE_MAX_RUNGS      3
#define TUNE_KEEP           3    /* one in so many goes on */
#define TUNE_RUNG_USERS     1000 /* at least */
#define TUNE_SHARE          .1
#define TUNE_MAX_SECONDS    1e7

typedef struct trial {
    char value[TUNE_MAX_SPACE][TUNE_TEXT]; /* of each option of the space */
    double goodness, seconds;
    size_t rung, n_users; /* rung: reached, 0 = not started */
    bool is_alive, is_failed;
    char why[120];
} trial;

typedef struct tuning {
    sq_conn *c;
    rec_run run;
    eval_options options;
    sqlite3_stmt *pin;
    sq_copy *model;
    json *given;         /* owned; options */
    model_options start; /* owned; trial 0 */
    model_tune space
        [TUNE_MAX_SPACE]; /* names and ranges borrowed from the table or from given */
    size_t n_space;
    trial *trial; /* [n_trials] owned */
    size_t n_trials, n_rungs;
    double began, most_seconds;
    tvf_rows *rows;
} tuning;

static void tuning_clear(tuning *t) {
    sq_run_finish(&t->run);
    t->c->progress.name = NULL;
    sqlite3_finalize(t->pin);
    eval_options_clear(&t->options);
    options_clear(&t->start);
    sq_copy_close(t->model);
    json_delete(t->given);
    rec_free(t->trial);
    tvf_rows_free(t->rows);
}

/* ---- what is asked for -------------------------------------------------------------------------------------- */

static rec_status refuse(const char *name, const char *rule, rec_err *err) {
    return rec_fail(err, REC_RANGE, "rec_tune: option %.40s: expected %s", name, rule);
}

static rec_status read_whole(const json *j, double min, double max, double *out,
                             rec_err *err) {
    char rule[64];
    *out = json_is_number(j) ? json_number(j, NAN) : NAN;
    if (*out >= min && *out <= max && *out == floor(*out)) return REC_OK;
    rec_format(rule, sizeof rule, "a whole number from %g to %.16g", min, max);
    return refuse(json_key(j), rule, err);
}

static rec_status read_option(tuning *t, const json *j, rec_err *err) {
    const char *name = json_key(j);
    double x = 0;
    rec_status s = REC_OK;
    if (strcmp(name, "trials") == 0) {
        s = read_whole(j, 1, TUNE_MAX_TRIALS, &x, err);
        t->n_trials = (size_t)x;
    } else if (strcmp(name, "k") == 0) {
        s = read_whole(j, 1, 1000, &x, err);
        t->options.k[0] = (size_t)x;
    } else if (strcmp(name, "seed") == 0) {
        s = read_whole(j, 0, 9007199254740992.0, &x, err);
        t->options.split.seed = (uint64_t)x;
    } else if (strcmp(name, "seconds") == 0) {
        t->most_seconds = json_is_number(j) ? json_number(j, NAN) : NAN;
        if (!(t->most_seconds > 0 && t->most_seconds <= TUNE_MAX_SECONDS))
            s = refuse(name, "a number of seconds", err);
    } else if (strcmp(name, "metric") == 0) {
        s = json_is_string(j) ? REC_OK : refuse(name, "a name, as in 'ndcg@10'", err);
    } else if (strcmp(name, "space") == 0) {
        s = json_is_object(j)
                ? REC_OK
                : refuse(name, "an object: {\"lambda\": \"log .001 1\"}", err);
    } else {
        s = rec_fail(
            err, REC_RANGE,
            "rec_tune: unknown option %.40s; allowed: trials, metric, k, seed, "
            "seconds, space",
            name);
    }
    return s;
}

static rec_status read_options(tuning *t, sqlite3_value *arg, rec_err *err) {
    const char *text = NULL;
    size_t n;
    rec_err why = {0};
    t->n_trials = TUNE_DEFAULT_TRIALS;
    t->most_seconds = TUNE_MAX_SECONDS;
    rec_status s = tf_text("rec_tune", "options", arg, &text, &n, err);
    if (s == REC_OK) s = eval_options_read("rec_tune", NULL, &t->options, err);
    t->options.split.kind = SPLIT_LAST;
    t->options.split.share = TUNE_SHARE;
    t->options.n_times = 0;
    if (s != REC_OK || !text) return s;
    t->given = json_parse(text, n, &why);
    if (!t->given && why.code == REC_NOMEM) return rec_nomem(err);
    if (!t->given || !json_is_object(t->given))
        return rec_fail(err, REC_RANGE,
                        "rec_tune: options are '%.60s', expected a JSON object", text);
    for (const json *i = json_first(t->given); i && s == REC_OK; i = json_next(i))
        s = read_option(t, i, err);
    return s;
}

/* ndcg, or rmse where ratings are predicted; and what is said of it. */
static rec_status read_metric(tuning *t, rec_err *err) {
    const sq_model_cfg *cfg = &t->model->view->cfg;
    bool predicts =
        cfg->signal.feedback == FEEDBACK_EXPLICIT && (cfg->ops->needs & MODEL_PREDICTS);
    const json *j = t->given ? json_get(t->given, "metric") : NULL;
    rec_status s = eval_metric_read("rec_tune",
                                    j          ? json_text(j)
                                    : predicts ? "rmse"
                                               : "ndcg",
                                    &t->options, err);
    if (s == REC_OK && t->options.wants[EVAL_RMSE] && !predicts)
        s = rec_fail(
            err, REC_RANGE,
            "rec_tune: %s does not predict ratings (algorithm=%s, feedback=%s)",
            t->model->view->name, cfg->ops->name,
            cfg->signal.feedback == FEEDBACK_EXPLICIT ? "explicit" : "implicit");
    return s;
}

static const model_option *find_option(const rec_model_ops *ops, const char *name) {
    for (size_t i = 0; i < ops->n_options; i++)
        if (strcmp(ops->options[i].name, name) == 0) return &ops->options[i];
    return NULL;
}

static rec_status add_range(tuning *t, const char *name, const char *range,
                            rec_err *err) {
    const sq_view *v = t->model->view;
    if (!range) return refuse(name, "a range as text: 'log .001 1'", err);
    if (!find_option(v->cfg.ops, name)) {
        char list[300];
        sq_cfg_options(&v->cfg, list, sizeof list);
        return rec_fail(err, REC_RANGE,
                        "rec_tune: algorithm=%s has no option %.40s: %s",
                        v->cfg.ops->name, name, list);
    }
    if (t->n_space == TUNE_MAX_SPACE) return refuse("space", "at most 16 options", err);
    t->space[t->n_space++] = (model_tune){name, range, NULL};
    return REC_OK;
}

static rec_status find_space(tuning *t, rec_err *err) {
    const rec_model_ops *ops = t->model->view->cfg.ops;
    const json *given = t->given ? json_get(t->given, "space") : NULL;
    bool is_explicit = t->model->view->cfg.signal.feedback == FEEDBACK_EXPLICIT;
    rec_status s = REC_OK;
    for (const json *i = given ? json_first(given) : NULL; i && s == REC_OK;
         i = json_next(i))
        s = add_range(t, json_key(i), json_is_string(i) ? json_text(i) : NULL, err);
    for (size_t i = 0; !given && i < ops->n_tune && s == REC_OK; i++)
        if (tune_applies(ops->tune[i].only, &t->start, is_explicit))
            s = add_range(t, ops->tune[i].name, ops->tune[i].range, err);
    if (s == REC_OK && t->n_space == 0)
        s = rec_fail(err, REC_RANGE,
                     "rec_tune: %s (algorithm=%s) has no option to search%s",
                     t->model->view->name, ops->name,
                     ops->needs & MODEL_NEEDS_MEMBERS ? "; tune its members" : "");
    return s;
}

/* ---- trials ---------------------------------------------------------------------------------------------------- */

static rec_status copy_options(const model_options *from, model_options *to,
                               rec_err *err) {
    bool known;
    rec_status s = REC_OK;
    options_clear(to);
    options_init(to, from->def, from->n);
    for (size_t i = 0; i < from->n && s == REC_OK; i++)
        if (from->is_set[i])
            s = options_set(to, from->def[i].name, from->text[i], &known, err);
    return s;
}

static rec_status draw_trials(tuning *t, rec_err *err) {
    rec_status s = REC_OK;
    rec_err why = {0};
    t->trial = rec_zeros(t->n_trials, sizeof *t->trial);
    if (!t->trial) return rec_nomem(err);
    for (size_t i = 0; i < t->n_trials && s == REC_OK; i++) {
        rng r;
        rng_seed(&r, t->options.split.seed, i);
        t->trial[i].is_alive = true;
        t->trial[i].goodness = NAN;
        for (size_t j = 0; i && j < t->n_space && s == REC_OK; j++)
            s = tune_draw(t->space[j].range,
                          find_option(t->model->view->cfg.ops, t->space[j].name), &r,
                          t->trial[i].value[j], &why);
    }
    return s == REC_OK ? s : rec_fail(err, s, "rec_tune: space: %s", why.msg);
}

static rec_status set_options(tuning *t, const trial *x, rec_err *err) {
    model_options *to = &t->model->view->cfg.options;
    bool known;
    rec_status s = copy_options(&t->start, to, err);
    for (size_t j = 0; j < t->n_space && s == REC_OK; j++)
        if (x->value[j][0])
            s = options_set(to, t->space[j].name, x->value[j], &known, err);
    return s;
}

static rec_status run_trial(tuning *t, const eval_task *task, trial *x, size_t rung,
                            rec_err *err) {
    eval_table table = {0};
    rec_err why = {0};
    double start = rec_seconds();
    rec_status s = set_options(t, x, &why);
    if (s == REC_OK) s = eval_run(task, t->model, &table, &t->run, &why);
    if (s == REC_OK)
        s = eval_goodness(task, &table, &x->goodness, &x->n_users, &t->run, &why);
    eval_table_clear(&table);
    x->seconds += rec_seconds() - start;
    x->rung = rung;
    if (s == REC_RANGE) { /* I4 */
        x->is_failed = true;
        x->is_alive = false;
        rec_format(x->why, sizeof x->why, "failed: %.100s", why.msg);
        return REC_OK;
    }
    if (s != REC_OK && err) *err = why;
    return s;
}

static bool is_better(const trial *a, const trial *b) {
    if (a->rung != b->rung) return a->rung > b->rung;
    if (isnan(a->goodness) || isnan(b->goodness)) return !isnan(a->goodness);
    return a->goodness > b->goodness;
}

/* All but the best third, and trial 0, end here. */
static void halve(tuning *t) {
    size_t n = 0, kept = 0;
    for (size_t i = 0; i < t->n_trials; i++) n += t->trial[i].is_alive;
    size_t most = (n + TUNE_KEEP - 1) / TUNE_KEEP;
    bool *keeps = rec_zeros(t->n_trials, sizeof *keeps);
    if (!keeps) return; /* nobody is sent away */
    for (; kept < most; kept++) {
        size_t best = t->n_trials;
        for (size_t i = 0; i < t->n_trials; i++)
            if (t->trial[i].is_alive && !keeps[i] &&
                (best == t->n_trials || is_better(&t->trial[i], &t->trial[best])))
                best = i;
        if (best < t->n_trials) keeps[best] = true;
    }
    for (size_t i = 1; i < t->n_trials; i++)
        if (!keeps[i]) t->trial[i].is_alive = false;
    rec_free(keeps);
}

static rec_status run_rung(tuning *t, size_t rung, rec_err *err) {
    eval_task task = {0};
    t->options.split.sample = pow(TUNE_KEEP, -(double)(t->n_rungs - rung));
    rec_status s = eval_task_init(&task, t->c, t->model, &t->options, &t->run, err);
    for (size_t i = 0; i < t->n_trials && s == REC_OK; i++) {
        if (!t->trial[i].is_alive) continue;
        if (rec_seconds() - t->began > t->most_seconds) break;
        s = run_trial(t, &task, &t->trial[i], rung, err);
    }
    eval_task_clear(&task);
    if (s == REC_OK && rung < t->n_rungs) halve(t);
    return s;
}

/* ---- rows ---------------------------------------------------------------------------------------------------------- */

static const trial *find_best(const tuning *t) {
    const trial *best = NULL;
    for (size_t i = 0; i < t->n_trials; i++) {
        const trial *x = &t->trial[i];
        if (x->rung && !x->is_failed && !isnan(x->goodness) &&
            (!best || is_better(x, best)))
            best = x;
    }
    return best;
}

static void describe(const tuning *t, const trial *x, bytes_writer *w) {
    for (size_t j = 0; j < t->n_space; j++)
        if (x->value[j][0])
            bytes_printf(w, "%s%s=%s", w->n ? ", " : "", t->space[j].name, x->value[j]);
}

static eval_metric wanted(const tuning *t) {
    int m = 0;
    while (!t->options.wants[m]) m++;
    return (eval_metric)m;
}

static const char *status_of(const tuning *t, const trial *x) {
    if (x->is_failed) return x->why;
    if (x == find_best(t)) return "best";
    if (!x->rung) return "skipped";
    return x->rung < t->n_rungs ? "stopped" : "finished";
}

static rec_status add_trial(tuning *t, const trial *x, const char *text, bool is_create,
                            rec_err *err) {
    eval_metric m = wanted(t);
    double value = m == EVAL_RMSE ? -x->goodness : x->goodness;
    bool has_cut = m != EVAL_AUC && m != EVAL_RMSE;
    cell row[] = {is_create ? cell_null() : cell_int(x - t->trial),
                  cell_str(text ? text : ""),
                  cell_str(eval_names[m]),
                  has_cut ? cell_int((int64_t)t->options.k[0]) : cell_null(),
                  cell_real(value),
                  cell_real(is_create ? rec_seconds() - t->began : x->seconds),
                  x->rung ? cell_int((int64_t)x->rung) : cell_null(),
                  x->rung ? cell_int((int64_t)x->n_users) : cell_null(),
                  cell_str(is_create ? "create" : status_of(t, x))};
    return tvf_rows_add(t->rows, row, err);
}

static rec_status write_create(const tuning *t, const trial *best, char **out,
                               rec_err *err) {
    const sq_table *table;
    sq_arg set[TUNE_MAX_SPACE];
    size_t n = 0;
    for (size_t j = 0; j < t->n_space; j++)
        if (best->value[j][0])
            set[n++] =
                (sq_arg){(char *)t->space[j].name, (char *)(uintptr_t)best->value[j]};
    char *full =
        sqlite3_mprintf("\"%w\".\"%w\"", t->model->view->schema, t->model->view->name);
    rec_status s = full ? sq_table_find(t->c, NULL, full, &table, err) : rec_nomem(err);
    if (s == REC_OK) s = sq_table_create_text(t->c, table, set, n, out, err);
    sqlite3_free(full);
    return s;
}

static rec_status add_rows(tuning *t, rec_err *err) {
    const trial *best = find_best(t);
    rec_status s = REC_OK;
    for (size_t i = 0; i < t->n_trials && s == REC_OK; i++) {
        bytes_writer w = {0};
        describe(t, &t->trial[i], &w);
        bytes_put_u8(&w, 0);
        s = w.status == REC_OK ? add_trial(t, &t->trial[i], (char *)w.data, false, err)
                               : rec_nomem(err);
        bytes_clear(&w);
    }
    if (s != REC_OK || !best) return s;
    char *create = NULL;
    s = write_create(t, best, &create, err);
    if (s == REC_OK) s = add_trial(t, best, create, true, err);
    rec_free(create);
    return s;
}

/* ---- the whole ------------------------------------------------------------------------------------------------------ */

static rec_status read_model(tuning *t, sqlite3_value *arg, rec_err *err) {
    const char *name = NULL;
    size_t n;
    const sq_table *table;
    bool row;
    rec_status s = tf_text("rec_tune", "model", arg, &name, &n, err);
    if (s == REC_OK && !name)
        s = rec_fail(
            err, REC_RANGE,
            "rec_tune: the model is NULL, expected the name of a rec_model table");
    t->c->progress.name = name;
    if (s == REC_OK) s = sq_table_find(t->c, NULL, name, &table, err);
    if (s == REC_OK)
        s = sq_prepare(t->c->db, name, &t->pin, err,
                       "SELECT k FROM \"%w\".\"%w_state\"", table->schema, table->name);
    if (s == REC_OK) s = sq_step(t->pin, name, &row, err);
    return s == REC_OK ? sq_copy_read(t->c, NULL, name, &t->run, &t->model, err) : s;
}

static void plan_rungs(tuning *t) {
    double users = t->model->n_users, trials = (double)t->n_trials;
    t->n_rungs = 1;
    while (t->n_rungs < TUNE_MAX_RUNGS && users / TUNE_KEEP >= TUNE_RUNG_USERS &&
           trials > TUNE_KEEP) {
        t->n_rungs++;
        users /= TUNE_KEEP;
        trials /= TUNE_KEEP;
    }
}

static rec_status search(tuning *t, rec_err *err) {
    rec_status s = REC_OK;
    if (sq_copy_base(t->model) != t->model)
        return rec_fail(err, REC_RANGE, "rec_tune: %s has no interactions of its own%s",
                        t->model->view->name,
                        t->model->n_member ? "; tune its members" : "");
    s = copy_options(&t->model->view->cfg.options, &t->start, err);
    if (s == REC_OK) s = read_metric(t, err);
    if (s == REC_OK) s = find_space(t, err);
    if (s == REC_OK) s = draw_trials(t, err);
    plan_rungs(t);
    for (size_t rung = 1; rung <= t->n_rungs && s == REC_OK; rung++)
        s = run_rung(t, rung, err);
    return s;
}

static rec_status tune_open(sq_conn *c, sqlite3_value **arg, tvf_result **out,
                            rec_err *err) {
    tuning t = {.c = c, .began = rec_seconds()};
    *out = NULL;
    sq_run_init(c, &t.run, true);
    rec_status s = read_options(&t, arg[1], err);
    if (s == REC_OK) s = read_model(&t, arg[0], err);
    sqlite3_finalize(t.pin);
    t.pin = NULL;
    if (s == REC_OK) s = search(&t, err);
    if (s == REC_OK && !(t.rows = tvf_rows_new(9))) s = rec_nomem(err);
    if (s == REC_OK) s = add_rows(&t, err);
    if (s == REC_OK) {
        *out = tvf_rows_result(t.rows);
        t.rows = NULL; /* taken */
        if (!*out) s = rec_nomem(err);
    }
    tuning_clear(&t);
    return s;
}

const tvf_def tf_tune_def = {
    .name = "rec_tune",
    .columns = "trial INTEGER, options TEXT, metric TEXT, k INTEGER, value REAL, "
               "seconds REAL, rung INTEGER, users INTEGER, status TEXT",
    .args = "model, options",
    .n_required = 1,
    .direct_only = true,
    .rank_column = -1,
    .cost = 1e12,
    .open = tune_open,
};
