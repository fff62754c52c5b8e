/* sq_train.c - training: from the tables to the shadow tables, both ways.
 *
 *   rec_train('taste')                            INSERT INTO taste(taste) VALUES ('train')
 *   ------------------------------------------    ----------------------------------------------
 *   read     items and interactions, one snapshot read      all of it in the caller's transaction:
 *   fit      no lock is held                      fit       the write lock is held throughout, and
 *                                                 write     ROLLBACK takes the new model back
 *   BEGIN    lock, is it still the same model?
 *            write
 *   COMMIT
 *
 * What is stored (FORMAT.md): <name>_data parts 'model', 'popularity' (the fallback of every algorithm, fitted to
 * the same rows), 'items' (keys in model order), 'users' (keys and a hash of each history); rows of <name>_state;
 * one row an epoch in <name>_log; and last a new generation, which is what readers look at.
 *
 * I1. The old model stays as it was until everything of the new one is written; an error or an interrupt at any
 *     point leaves it so.
 * I2. Model item numbers are catalogue numbers at training: ascending by key.
 * I3. The standalone form writes only if the generation is the one at which it read: a model that was dropped,
 *     redefined or retrained meanwhile is left alone.
 * I4. The first statement of its transaction is a write: so it waits by the busy handler, where an upgrade
 *     from reading to writing would fail at once.
 */
#include "sq_train.h"
#include "sq_eval.h"

#include <math.h>
#include <time.h>

typedef struct training {
    sq_conn *c;
    char *schema, *name; /* owned */
    sq_model_cfg cfg;
    key_affinity user_affinity, item_affinity;
    sq_generation generation; /* at reading */
    bool standalone;
    sqlite3_stmt *pin; /* while it stands on a row, every read is of one snapshot */
    sqlite3_stmt *lock,
        *undo; /* of the writing transaction; prepared before it is needed */
    rec_run run;
    catalog *items;
    corpus *docs;
    keyset *users;
    sq_interactions rows;
    dataset data;
    sq_previous previous;
    int64_t new_rows; /* more than at the last training, if this one goes on from it */
    rec_model *model, *popularity;
    item_graph *near, *alike; /* of a model with many items; NULL */
    sq_embedding outside;
    double liked_value;
    double read_seconds, fit_seconds, write_seconds;
    train_log log;
    const char *keep_if; /* borrowed; the metric of the verdict */
    sq_verdict verdict;
    bool is_judged;
    hybrid_gate gate; /* of a hybrid whose weights are found */
    sq_gate_items gate_items;
    bool has_gate;
} training;

static void training_clear(training *t) {
    if (t->model) t->model->ops->close(t->model);
    if (t->popularity) t->popularity->ops->close(t->popularity);
    near_free(t->near);
    sq_previous_clear(&t->previous);
    near_free(t->alike);
    sq_embed_end(&t->outside);
    dataset_clear(&t->data);
    sq_interactions_clear(&t->rows);
    sq_gate_items_clear(&t->gate_items);
    keyset_free(t->users);
    catalog_free(t->items);
    corpus_free(t->docs);
    sq_cfg_clear(&t->cfg);
    sqlite3_finalize(t->pin);
    sqlite3_finalize(t->lock);
    sqlite3_finalize(t->undo);
    train_log_clear(&t->log);
    rec_free(t->schema);
    rec_free(t->name);
}

/* ---- transactions ---------------------------------------------------------------------------------------- */

/* One snapshot without BEGIN: a transaction would have to be ended, which an interrupt can prevent. While a
 * statement stands on a row, SQLite keeps the read transactions of the connection open. */
static rec_status pin_snapshot(training *t, rec_err *err) {
    bool row;
    if (!t->standalone) return REC_OK;
    rec_status s = sq_prepare(t->c->db, t->name, &t->pin, err,
                              "SELECT k FROM \"%w\".\"%w_state\"", t->schema, t->name);
    return s == REC_OK ? sq_step(t->pin, t->name, &row, err) : s;
}

static void unpin_snapshot(training *t) {
    sqlite3_finalize(t->pin);
    t->pin = NULL;
}

static rec_status begin(training *t, rec_err *err) {
    if (!t->standalone) return REC_OK;
    rec_status s = sq_prepare(t->c->db, t->name, &t->undo, err, "ROLLBACK");
    if (s == REC_OK)
        s = sq_prepare(t->c->db, t->name, &t->lock, err,
                       "UPDATE \"%w\".\"%w_state\" SET v = v WHERE k = 'gen'",
                       t->schema, t->name);
    return s == REC_OK ? sq_exec(t->c->db, t->name, err, "BEGIN") : s;
}

/* No statement runs while the interrupt flag is set, not even ROLLBACK. But a statement that writes and is
 * interrupted makes SQLite roll everything back itself, so the lock is taken once more. */
static void roll_back(training *t) {
    if (!sqlite3_get_autocommit(t->c->db)) sqlite3_step(t->undo);
    if (!sqlite3_get_autocommit(t->c->db)) {
        sqlite3_reset(t->lock);
        sqlite3_step(t->lock);
    }
}

/* Commit, or roll back if s is a failure. */
static rec_status end(training *t, rec_status s, rec_err *err) {
    if (!t->undo) return s;
    if (s == REC_OK) s = sq_exec(t->c->db, t->name, err, "COMMIT");
    if (s != REC_OK) roll_back(t);
    sqlite3_finalize(t->undo);
    sqlite3_finalize(t->lock);
    t->undo = t->lock = NULL;
    return s;
}

static rec_status refuse_transaction(sq_conn *c, const char *name, rec_err *err) {
    const sq_table *t;
    if (sqlite3_get_autocommit(c->db) &&
        sqlite3_txn_state(c->db, NULL) == SQLITE_TXN_NONE)
        return REC_OK;
    rec_status s = sq_table_find(c, NULL, name, &t, err);
    if (s != REC_OK) return s;
    bool is_main = sqlite3_stricmp(t->schema, "main") == 0;
    return rec_fail(
        err, REC_RANGE,
        "rec_train: a transaction is open on this connection; end it first, or "
        "train inside it with INSERT INTO %s%s%s(%s) VALUES ('train')",
        is_main ? "" : t->schema, is_main ? "" : ".", t->name, t->name);
}

/* ---- read -------------------------------------------------------------------------------------------------- */

/* Found pointers last until the next statement only. */
static rec_status find_again(training *t, const sq_table **out, rec_err *err) {
    char *full = sqlite3_mprintf("\"%w\".\"%w\"", t->schema, t->name);
    rec_status s = full ? sq_table_find(t->c, NULL, full, out, err) : rec_nomem(err);
    sqlite3_free(full);
    return s;
}

static rec_status read_definition(training *t, const char *name, rec_err *err) {
    const sq_table *table;
    rec_status s = sq_table_find(t->c, NULL, name, &table, err);
    if (s != REC_OK) return s;
    t->schema = rec_strdup(table->schema);
    t->name = rec_strdup(table->name);
    if (!t->schema || !t->name) return rec_nomem(err);
    s = pin_snapshot(t, err);
    if (s == REC_OK) s = find_again(t, &table, err);
    if (s == REC_OK) s = sq_table_config(t->c, table, NULL, &t->cfg, err);
    if (s == REC_OK) s = find_again(t, &table, err);
    if (s == REC_OK)
        s = sq_table_affinity(t->c, table, &t->user_affinity, &t->item_affinity, err);
    if (s == REC_OK)
        s = sq_generation_read(t->c->db, t->schema, t->name, &t->generation, err);
    return s;
}

static rec_status read_sources(training *t, rec_err *err) {
    sq_frame frame = {0};
    rec_status s = sq_enter(t->c, &frame, t->schema, t->name, err);
    sq_items read = {.want_docs = sq_wants_text(&t->cfg)};
    if (s == REC_OK)
        s = sq_source_catalog(t->c, t->schema, &t->cfg, t->item_affinity, &read,
                              &t->run, err);
    t->items = read.items;
    t->docs = read.docs;
    if (s == REC_OK)
        s = sq_source_interactions(t->c, t->schema, &t->cfg, t->user_affinity,
                                   t->item_affinity, t->items, &t->users, &t->rows,
                                   &t->run, err);
    sq_leave(t->c, &frame);
    return s;
}

static rec_status refuse_empty(const training *t, rec_err *err) {
    const sq_model_cfg *cfg = &t->cfg;
    if (catalog_n_items(t->items) == 0)
        return rec_fail(err, REC_RANGE,
                        "%s: %s holds no item with a key: there is nothing to train on",
                        t->name, cfg->items ? cfg->items : cfg->interactions);
    if (!(cfg->ops->needs & MODEL_NEEDS_INTERACTIONS) || cfg->ops == &popularity_ops ||
        t->data.n)
        return REC_OK;
    if (t->rows.n_rows == 0)
        return rec_fail(
            err, REC_RANGE,
            "%s: %s holds no row with a user and an item of the catalogue (%zu rows "
            "skipped); algorithm=%s learns from interactions",
            t->name, cfg->interactions, t->rows.n_skipped, cfg->ops->name);
    return rec_fail(
        err, REC_RANGE,
        "%s: none of %zu rows of %s counts%s%s; algorithm=%s learns from interactions",
        t->name, t->rows.n_rows, cfg->interactions,
        cfg->positive ? " under positive=" : "",
        cfg->signal.has_time ? ", since= and until=" : "", cfg->ops->name);
}

static sq_trained trained_of(const training *t) {
    return (sq_trained){t->c,     t->schema, t->name, &t->cfg,
                        &t->data, t->items,  t->users};
}

/* The stored model, if this training may go on from it, and how many rows came since. */
static rec_status read_previous(training *t, bool want_model, rec_err *err) {
    sq_trained now = trained_of(t);
    cell rows = {0};
    rec_status s = sq_previous_read(&now, want_model, &t->previous, err);
    if (s != REC_OK || !t->previous.model) return s;
    s = sq_state_get(t->c->db, t->schema, t->name, "trained_rows", &rows, err);
    t->new_rows = (int64_t)(t->rows.n_rows + t->rows.n_skipped) -
                  (rows.type == CELL_INT ? rows.i : 0);
    sq_cell_free(&rows);
    rec_log_row row = {.phase = "incremental",
                       .loss = NAN,
                       .metric = "new_rows",
                       .value = (double)t->new_rows,
                       .seconds = NAN};
    train_log_add(t->c, &row);
    return s;
}

static rec_status read_all(training *t, bool want_previous, rec_err *err) {
    double start = rec_seconds();
    rec_status s = read_sources(t, err);
    if (s == REC_OK)
        s = dataset_build(&t->cfg.signal, t->rows.row, t->rows.n,
                          (uint32_t)keyset_count(t->users),
                          (uint32_t)catalog_n_items(t->items), &t->data, err);
    rec_free(t->rows.row); /* the dataset has them now */
    t->rows.row = NULL;
    t->data.docs = t->docs;
    t->data.items = t->items;
    if (s == REC_OK) t->liked_value = sq_typical_liking(&t->data);
    if (s == REC_OK) s = read_previous(t, want_previous, err);
    unpin_snapshot(t);
    t->read_seconds = rec_seconds() - start;
    return s == REC_OK ? refuse_empty(t, err) : s;
}

/* ---- fit ------------------------------------------------------------------------------------------------------- */

/* Over so many items that scoring all of them would take longer than a question may. */
static rec_status build_near(training *t, rec_err *err) {
    vec_metric metric = METRIC_IP;
    const rec_model_ops *ops = t->cfg.ops;
    const mat *rows = ops->vectors ? ops->vectors(t->model, &metric) : NULL;
    if (!rows || rows->n_rows < sq_index_min()) return REC_OK;
    rec_status s = near_build(rows, metric, &t->run, &t->near, err);
    if (s != REC_OK || metric == METRIC_COSINE) return s;
    return near_build(rows, METRIC_COSINE, &t->run, &t->alike, err);
}

static rec_status checkpoint(void *ctx, const char *part, const bytes_writer *w,
                             rec_err *err) {
    training *t = ctx;
    bool row;
    rec_status s = begin(t, err);
    if (s == REC_OK) s = sq_step(t->lock, t->name, &row, err); /* I4 */
    if (s == REC_OK)
        s = sq_part_write(t->c->db, t->schema, t->name, part, w->data, w->n, err);
    return end(t, s, err);
}

static void reach_outside(training *t) {
    t->outside = (sq_embedding){.c = t->c,
                                .schema = t->schema,
                                .name = t->name,
                                .in_transaction = !t->standalone,
                                .keep = t->standalone ? checkpoint : NULL,
                                .keep_ctx = t};
    sq_embed_start(&t->outside);
}

static rec_status fit(training *t, rec_err *err) {
    double start = rec_seconds();
    model_fit_args args = {.data = &t->data,
                           .options = &t->cfg.options,
                           .seed = t->cfg.seed,
                           .previous = t->previous.model,
                           .previous_item = t->previous.item,
                           .run = &t->run,
                           .env = &t->outside.env};
    size_t n_log = t->log.n;
    rec_status s = sq_fit_room(t->name, t->cfg.ops, &args, err);
    if (s == REC_OK) s = t->cfg.ops->fit(&args, &t->model, err);
    if (s == REC_OK) s = build_near(t, err);
    if (s == REC_OK)
        s = sq_fit_popularity(&t->data, t->cfg.seed, &t->run, &t->popularity, err);
    if (s == REC_OK) s = run_check(&t->run, err);
    t->fit_seconds = rec_seconds() - start;
    if (s == REC_OK && t->log.n == n_log) { /* a closed form: one pass, one row */
        rec_log_row once = {t->cfg.ops->name, 1, .loss = NAN, .value = NAN,
                            .seconds = t->fit_seconds};
        train_log_add(t->c, &once);
    }
    return s;
}

/* ---- write ------------------------------------------------------------------------------------------------------ */

static rec_status write_part(training *t, const char *part, bytes_writer *w,
                             rec_err *err) {
    rec_status s = w->status == REC_OK ? REC_OK : rec_nomem(err);
    if (s == REC_OK)
        s = sq_part_write(t->c->db, t->schema, t->name, part, w->data, w->n, err);
    bytes_clear(w);
    return s == REC_OK ? run_check(&t->run, err) : s;
}

static rec_status write_model(training *t, const char *part, const rec_model *m,
                              rec_err *err) {
    bytes_writer w = {0};
    bytes_put_str(&w, m->ops->name, strlen(m->ops->name));
    rec_status s = m->ops->save(m, &w, err);
    if (s == REC_OK) return write_part(t, part, &w, err);
    bytes_clear(&w);
    return s;
}

static rec_status write_near(training *t, const char *part, const item_graph *near,
                             rec_err *err) {
    bytes_writer w = {0};
    if (!near)
        return sq_exec(t->c->db, t->name, err,
                       "DELETE FROM \"%w\".\"%w_data\" WHERE part = '%q'", t->schema,
                       t->name, part);
    rec_status s = near_save(near, &w, err);
    if (s == REC_OK) return write_part(t, part, &w, err);
    bytes_clear(&w);
    return s;
}

static rec_status write_items(training *t, rec_err *err) {
    keyset *keys = keyset_new();
    bytes_writer w = {0};
    uint32_t pos;
    rec_status s = keys ? REC_OK : rec_nomem(err);
    for (uint32_t i = 0; s == REC_OK && i < catalog_n_items(t->items); i++) {
        rec_key key = catalog_key(t->items, i);
        s = keyset_add(keys, &key, &pos, err);
    }
    if (s == REC_OK) {
        keyset_write(keys, &w);
        s = write_part(t, "items", &w, err);
    }
    keyset_free(keys);
    return s;
}

/* Hash of user u's merged rows, as sq_profile.c computes it at query time. */
static rec_status hash_user(const dataset *d, uint32_t u, interaction **scratch,
                            size_t *cap, uint64_t *out, rec_err *err) {
    size_t begin = d->ptr[u], n = d->ptr[u + 1] - begin;
    rec_status s = rec_grow(scratch, cap, n, sizeof **scratch, err);
    if (s != REC_OK) return s;
    for (size_t i = 0; i < n; i++)
        (*scratch)[i] = (interaction){.item = d->item[begin + i],
                                      .weight = d->weight[begin + i],
                                      .value = d->value[begin + i],
                                      .time = d->time[begin + i]};
    *out = interactions_hash(*scratch, n);
    return REC_OK;
}

static rec_status write_users(training *t, rec_err *err) {
    bytes_writer w = {0};
    interaction *scratch = NULL;
    size_t cap = 0;
    rec_status s = REC_OK;
    keyset_write(t->users, &w);
    for (uint32_t u = 0; u < t->data.n_users && s == REC_OK; u++) {
        uint64_t hash;
        s = hash_user(&t->data, u, &scratch, &cap, &hash, err);
        if (s == REC_OK) bytes_put_u64(&w, hash);
    }
    rec_free(scratch);
    if (s == REC_OK) return write_part(t, "users", &w, err);
    bytes_clear(&w);
    return s;
}

static rec_status set_real(training *t, const char *row, double x, rec_err *err) {
    cell c = isfinite(x) ? cell_real(x) : cell_null();
    return sq_state_set(t->c->db, t->schema, t->name, row, &c, err);
}

static rec_status set_int(training *t, const char *row, size_t x, rec_err *err) {
    cell c = cell_int((int64_t)x);
    return sq_state_set(t->c->db, t->schema, t->name, row, &c, err);
}

static rec_status write_state(training *t, rec_err *err) {
    cell now = cell_int((int64_t)time(NULL));
    size_t n_items = t->items ? catalog_n_items(t->items) : 0;
    size_t n_users = t->users ? keyset_count(t->users) : 0;
    rec_status s = sq_state_set(t->c->db, t->schema, t->name, "trained_at", &now, err);
    if (s == REC_OK)
        s = set_int(t, "trained_rows", t->rows.n_rows + t->rows.n_skipped, err);
    if (s == REC_OK) s = set_int(t, "n_users", n_users, err);
    if (s == REC_OK) s = set_int(t, "n_items", n_items, err);
    if (s == REC_OK) s = set_real(t, "now", t->data.now, err);
    if (s == REC_OK) s = set_real(t, "liked_value", t->liked_value, err);
    return s;
}

static bool is_missing(rec_status s, const rec_err *err) {
    return s == REC_IO && strstr(err->msg, "no such table") != NULL;
}

static rec_status refuse_changed(const training *t, rec_err *err) {
    return rec_fail(err, REC_RANGE,
                    "rec_train: %s was dropped, redefined or retrained meanwhile; "
                    "nothing was written",
                    t->name);
}

/* I3 and I4. */
static rec_status lock_and_compare(training *t, rec_err *err) {
    sq_generation now;
    bool row;
    rec_status s = sq_step(t->lock, t->name, &row, err);
    if (s == REC_OK) s = sq_generation_read(t->c->db, t->schema, t->name, &now, err);
    if (s == REC_OK && sq_generation_equal(&now, &t->generation)) return REC_OK;
    return is_missing(s, err) || s == REC_OK ? refuse_changed(t, err) : s;
}

/* All that a hybrid stores. */
static rec_status write_gate(training *t, rec_err *err) {
    bytes_writer w = {0};
    if (!t->has_gate)
        return sq_exec(t->c->db, t->name, err,
                       "DELETE FROM \"%w\".\"%w_data\" WHERE part = 'gate'", t->schema,
                       t->name);
    sq_gate_write(&t->cfg, &t->gate, &t->gate_items, &w);
    return write_part(t, "gate", &w, err);
}

static rec_status write_all(training *t, rec_err *err) {
    double start = rec_seconds();
    sq_trained now = trained_of(t);
    rec_status s = begin(t, err);
    if (is_missing(s, err)) s = refuse_changed(t, err);
    if (s == REC_OK && t->standalone) s = lock_and_compare(t, err);
    if (s == REC_OK && t->model) s = write_model(t, "model", t->model, err);
    if (s == REC_OK && t->popularity)
        s = write_model(t, "popularity", t->popularity, err);
    if (s == REC_OK) s = write_near(t, "near", t->near, err);
    if (s == REC_OK) s = write_near(t, "alike", t->alike, err);
    if (s == REC_OK) s = sq_previous_write(&now, &t->previous, err);
    if (s == REC_OK && t->outside.c && t->cfg.ops == &content_ops)
        s = sq_embed_write(&t->outside, err);
    if (s == REC_OK) s = write_gate(t, err);
    if (s == REC_OK && t->items) s = write_items(t, err);
    if (s == REC_OK && t->users) s = write_users(t, err);
    if (s == REC_OK) s = train_log_write(&t->log, &now, err);
    if (s == REC_OK) s = write_state(t, err);
    if (s == REC_OK) s = sq_state_seal(t->c->db, t->schema, t->name, err);
    s = end(t, s, err);
    t->write_seconds = rec_seconds() - start;
    return s;
}

/* ---- rec_train's options ---------------------------------------------------------------------------------------- */

typedef struct train_options {
    double
        if_stale; /* share of new rows below which nothing is done; NaN = always train */
    char keep_if[40]; /* metric by which the old model may stay; "" = none */
    bool is_full;     /* start from nothing, whatever is stored */
} train_options;

static rec_status parse_option(const json *j, train_options *out, rec_err *err) {
    const char *name = json_key(j);
    if (strcmp(name, "if_stale") == 0) {
        out->if_stale = json_is_number(j) ? json_number(j, NAN) : NAN;
        if (out->if_stale >= 0 && out->if_stale <= 1e9) return REC_OK;
        return rec_fail(
            err, REC_RANGE,
            "rec_train: if_stale is the share of new rows, a number from 0");
    }
    if (strcmp(name, "keep_if") == 0) {
        const char *metric = json_is_string(j) ? json_text(j) : "";
        eval_options ignored = {.k = {10}};
        if (strlen(metric) < sizeof out->keep_if) {
            rec_format(out->keep_if, sizeof out->keep_if, "%s", metric);
            return eval_metric_read("rec_train", metric, &ignored, err);
        }
    }
    if (strcmp(name, "full") == 0) {
        out->is_full = json_truth(j, false);
        if (json_is_bool(j)) return REC_OK;
        return rec_fail(err, REC_RANGE,
                        "rec_train: full is true (start from nothing) or false");
    }
    return rec_fail(err, REC_RANGE,
                    "rec_train: unknown option %.60s; allowed: if_stale (a share), "
                    "keep_if (a metric, as in 'ndcg@10'), full (true, false)",
                    name);
}

static rec_status parse_options(const char *text, train_options *out, rec_err *err) {
    *out = (train_options){.if_stale = NAN};
    if (!text) return REC_OK;
    rec_err why = {0};
    json *j = json_parse(text, strlen(text), &why);
    rec_status s = REC_OK;
    if (!j && why.code == REC_NOMEM) return rec_nomem(err);
    if (!j || !json_is_object(j))
        s = rec_fail(err, REC_RANGE,
                     "rec_train: options are '%.60s', expected a JSON object", text);
    for (const json *i = s == REC_OK ? json_first(j) : NULL; i && s == REC_OK;
         i = json_next(i))
        s = parse_option(i, out, err);
    json_delete(j);
    return s;
}

/* Are fewer than `share` of the trained rows new? An untrained model is never fresh. */
static rec_status is_fresh(training *t, double share, bool *yes, rec_err *err) {
    cell rows;
    sqlite3_stmt *st = NULL;
    bool row = false;
    *yes = false;
    if (isnan(share) || !t->cfg.interactions) return REC_OK;
    rec_status s =
        sq_state_get(t->c->db, t->schema, t->name, "trained_rows", &rows, err);
    if (s != REC_OK || rows.type != CELL_INT) {
        sq_cell_free(&rows);
        return s;
    }
    sq_select q = {.schema = t->schema, .source = t->cfg.interactions};
    bytes_puts(&q.list, "count(*)");
    s = sq_select_prepare(t->c, &q, &st, err);
    if (s == REC_OK) s = sq_step(st, t->cfg.interactions, &row, err);
    if (s == REC_OK && row)
        *yes = fabs((double)(sqlite3_column_int64(st, 0) - rows.i)) <
               share * (double)rows.i;
    sqlite3_finalize(st);
    return s;
}

/* ---- the whole ------------------------------------------------------------------------------------------------------ */

static double rounded(double seconds) {
    return floor(seconds * 1000 + .5) / 1000;
}

/* What keep_if found. */
static bool report_verdict(const training *t, json *j) {
    json *v = json_new_object();
    bool ok = json_set(v, "metric", json_new_text(t->keep_if, strlen(t->keep_if)));
    if (t->verdict.n_users) {
        ok = json_set(v, "old", json_new_number(fabs(t->verdict.before))) && ok;
        ok = json_set(v, "new", json_new_number(fabs(t->verdict.now))) && ok;
    }
    ok = json_set(v, "users", json_new_int((int64_t)t->verdict.n_users)) && ok;
    return json_set(j, "keep_if", v) && ok;
}

/* That the stored model was gone on from: rows more than then, and the share of pairs that came or went. */
static bool report_growth(const training *t, json *j) {
    json *g = json_new_object();
    bool ok = json_set(g, "new_rows", json_new_int(t->new_rows));
    ok = json_set(g, "changed", json_new_number(rounded(t->previous.changed))) && ok;
    return json_set(j, "incremental", g) && ok;
}

/* What each member weighs for a usual question. */
static bool report_weights(const training *t, json *j) {
    json *weights = json_new_object();
    double w[HYBRID_MAX_MEMBERS];
    bool ok = true;
    memcpy(w, t->gate.bias, sizeof w);
    gate_softmax(t->gate.n_member, w);
    for (size_t m = 0; m < t->gate.n_member; m++)
        ok = json_set(weights, t->cfg.member[m].label,
                      json_new_number(floor(w[m] * 1000 + .5) / 1000)) &&
             ok;
    return json_set(j, "weights", weights) && ok;
}

static rec_status write_report(const training *t, bool is_trained, char **out,
                               rec_err *err) {
    json *j = json_new_object(), *seconds = json_new_object();
    bool ok = json_set(j, "model", json_new_text(t->name, strlen(t->name)));
    ok = json_set(j, "algorithm",
                  json_new_text(t->cfg.ops->name, strlen(t->cfg.ops->name))) &&
         ok;
    if (!is_trained) ok = json_set(j, "trained", json_new_bool(false)) && ok;
    if (t->is_judged) ok = report_verdict(t, j) && ok;
    if (is_trained && t->items) {
        ok = json_set(j, "users", json_new_int((int64_t)keyset_count(t->users))) && ok;
        ok = json_set(j, "items", json_new_int((int64_t)catalog_n_items(t->items))) &&
             ok;
        ok = json_set(j, "interactions", json_new_int((int64_t)t->data.n)) && ok;
        ok = json_set(j, "skipped", json_new_int((int64_t)t->rows.n_skipped)) && ok;
        if (t->rows.n_undated) /* they have no place in a window and do not decay */
            ok = json_set(j, "undated", json_new_int((int64_t)t->rows.n_undated)) && ok;
    }
    if (t->previous.model) ok = report_growth(t, j) && ok;
    if (t->has_gate) ok = report_weights(t, j) && ok;
    ok = json_set(seconds, "read", json_new_number(rounded(t->read_seconds))) && ok;
    ok = json_set(seconds, "fit", json_new_number(rounded(t->fit_seconds))) && ok;
    ok = json_set(seconds, "write", json_new_number(rounded(t->write_seconds))) && ok;
    ok = json_set(j, "seconds", seconds) && ok;
    *out = ok ? json_print(j) : NULL;
    json_delete(j);
    return *out ? REC_OK : rec_nomem(err);
}

static void watch(training *t) {
    t->c->progress.name = t->name;
    t->c->log = &t->log;
    sq_run_init(t->c, &t->run, true);
    t->run.log = train_log_add;
}

/* A hybrid answers once every member does. Its own view may be damaged: training mends it. */
static rec_status check_members(training *t, rec_err *err) {
    rec_status s = REC_OK;
    for (size_t i = 0; s == REC_OK && i < t->cfg.n_member; i++) {
        sq_view *v = NULL;
        s = sq_view_open_in(t->c, t->schema, t->cfg.member[i].model, &v, err);
        if (s == REC_OK) s = sq_view_require_trained(v, err);
        sq_view_close(v);
    }
    return s;
}

/* Nothing of its own to fit but the weights of its members, if they are to be found. */
static rec_status compute_hybrid(training *t, rec_err *err) {
    sq_copy *m = NULL;
    t->data.now = t->liked_value = NAN;
    rec_status s = check_members(t, err);
    if (s != REC_OK || !sq_gate_is_fitted(&t->cfg)) return s;
    char *name = sqlite3_mprintf("\"%w\".\"%w\"", t->schema, t->name);
    double start = rec_seconds();
    watch(t);
    s = name ? sq_copy_read(t->c, NULL, name, &t->run, &m, err) : rec_nomem(err);
    sqlite3_free(name);
    unpin_snapshot(t);
    t->read_seconds = rec_seconds() - start;
    if (s == REC_OK) s = sq_gate_fit(m, NULL, &t->gate, &t->gate_items, &t->run, err);
    t->fit_seconds = rec_seconds() - start - t->read_seconds;
    t->has_gate = s == REC_OK;
    sq_copy_close(m);
    return s == REC_OK ? run_check(&t->run, err) : s;
}

static rec_status compute(training *t, const train_options *o, rec_err *err) {
    watch(t);
    reach_outside(t);
    rec_status s = read_all(t, !o->is_full, err);
    if (s == REC_OK) s = fit(t, err);
    return s;
}

/* A model that was never trained, or that holds none of its own, has nothing to keep. */
static rec_status judge(training *t, const train_options *o, rec_err *err) {
    cell trained;
    if (!o->keep_if[0]) return REC_OK;
    if (t->cfg.ops->needs & MODEL_NEEDS_MEMBERS)
        return rec_fail(err, REC_RANGE,
                        "rec_train: keep_if: %s holds no model of its own; train its "
                        "members",
                        t->name);
    rec_status s =
        sq_state_get(t->c->db, t->schema, t->name, "trained_at", &trained, err);
    bool has_old = trained.type == CELL_INT;
    sq_cell_free(&trained);
    if (s != REC_OK || !has_old || !t->cfg.interactions) return s;
    t->c->progress.name = t->name;
    sq_run_init(t->c, &t->run, true);
    t->is_judged = true;
    t->keep_if = o->keep_if;
    s = sq_keep_check(t->c, t->schema, t->name, o->keep_if, &t->run, &t->verdict, err);
    sq_run_finish(&t->run);
    return s;
}

static rec_status train(training *t, const char *name, const char *options,
                        char **report, rec_err *err) {
    train_options o;
    bool fresh = false;
    rec_status s = parse_options(options, &o, err);
    if (s == REC_OK) s = read_definition(t, name, err);
    if (s == REC_OK) s = is_fresh(t, o.if_stale, &fresh, err);
    if (s == REC_OK && !fresh) s = judge(t, &o, err);
    if (s == REC_OK && (fresh || (t->is_judged && t->verdict.is_worse)))
        return write_report(t, false, report, err);
    if (s == REC_OK)
        s = t->cfg.ops->needs & MODEL_NEEDS_MEMBERS ? compute_hybrid(t, err)
                                                    : compute(t, &o, err);
    unpin_snapshot(t);
    if (s == REC_OK) s = write_all(t, err);
    return s == REC_OK ? write_report(t, true, report, err) : s;
}

rec_status sq_train(sq_conn *c, const char *name, const char *options, bool standalone,
                    char **report, rec_err *err) {
    training t = {.c = c, .standalone = standalone};
    *report = NULL;
    if (standalone) {
        rec_status s = refuse_transaction(c, name, err);
        if (s != REC_OK) return s;
    }
    rec_status s = train(&t, name, options, report, err);
    if (t.run.ctx) sq_run_finish(&t.run);
    c->log = NULL;
    c->progress.name = NULL;
    training_clear(&t);
    return s;
}
