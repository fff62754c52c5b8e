/* sq_train_log.c - the log of a training: one row an epoch in <name>_log.
 *
 *     fit --run_log--> train_log in memory --with the model, in its transaction--> <name>_log
 *
 *     phase        epoch  loss   metric    value   seconds
 *     incremental  0      NULL   new_rows  40504   NULL       first, if the stored model was gone on from
 *     train        1      12.3   ...
 *
 * A fit runs without a lock, so its rows wait in memory until the model is written. A lack of memory
 * is kept, and fails the writing.
 *
 * Invariants
 *   I1  The rows of <name>_log are those of the training whose model is stored.
 *   I2  Numbers that are not finite are stored as NULL.
 */
#include "sq_train.h"

#include <math.h>

void train_log_clear(train_log *log) {
    rec_free(log->row);
    memset(log, 0, sizeof *log);
}

void train_log_add(void *conn, const rec_log_row *row) {
    train_log *log = ((sq_conn *)conn)->log;
    if (!log || log->status != REC_OK) return;
    log->status = rec_grow(&log->row, &log->cap, log->n + 1, sizeof *log->row, NULL);
    if (log->status != REC_OK) return;
    log_entry *e = &log->row[log->n++];
    *e = (log_entry){.epoch = row->epoch,
                     .loss = row->loss,
                     .value = row->value,
                     .seconds = row->seconds};
    rec_format(e->phase, sizeof e->phase, "%s", row->phase ? row->phase : "");
    e->has_metric = row->metric != NULL;
    rec_format(e->metric, sizeof e->metric, "%s", row->metric ? row->metric : "");
}

/* NaN is stored as NULL. */
static int bind_real(sqlite3_stmt *st, int i, double x) {
    return isfinite(x) ? sqlite3_bind_double(st, i, x) : sqlite3_bind_null(st, i);
}

rec_status train_log_write(const train_log *log, const sq_trained *now, rec_err *err) {
    sqlite3_stmt *st = NULL;
    bool row;
    rec_status s = log->status == REC_OK ? REC_OK : rec_nomem(err);
    if (s == REC_OK)
        s = sq_exec(now->c->db, now->name, err, "DELETE FROM \"%w\".\"%w_log\"",
                    now->schema, now->name);
    if (s == REC_OK)
        s = sq_prepare(
            now->c->db, now->name, &st, err,
            "INSERT INTO \"%w\".\"%w_log\"(phase, epoch, loss, metric, value, seconds) "
            "VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
            now->schema, now->name);
    for (size_t i = 0; i < log->n && s == REC_OK; i++) {
        const log_entry *e = &log->row[i];
        int rc = sqlite3_bind_text(st, 1, e->phase, -1, SQLITE_STATIC);
        if (rc == SQLITE_OK) rc = sqlite3_bind_int(st, 2, e->epoch);
        if (rc == SQLITE_OK) rc = bind_real(st, 3, e->loss);
        if (rc == SQLITE_OK)
            rc = e->has_metric ? sqlite3_bind_text(st, 4, e->metric, -1, SQLITE_STATIC)
                               : sqlite3_bind_null(st, 4);
        if (rc == SQLITE_OK) rc = bind_real(st, 5, e->has_metric ? e->value : NAN);
        if (rc == SQLITE_OK) rc = bind_real(st, 6, e->seconds);
        s = rc == SQLITE_OK ? sq_step(st, now->name, &row, err)
                            : sq_fail_rc(now->c->db, rc, now->name, err);
    }
    sqlite3_finalize(st);
    return s;
}
