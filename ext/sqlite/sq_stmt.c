/* sq_stmt.c - nested statements with errors that name the object.
 *
 *   sq_prepare  format -> text -> statement        PERSISTENT, for reuse
 *   sq_step     one row or the end, nothing else
 *   sq_exec     format -> run to the end
 *
 * I1. Text is built by sqlite3_mprintf alone; names go through "%w", values through binding.
 * I2. SQLITE_DONE never leaves this file: the end is REC_OK with *row false.
 * I3. A statement is reset as soon as it ended or failed, so it holds no lock and no snapshot.
 */
#include "sq.h"

static rec_status prepare_text(sqlite3 *db, const char *what, char *sql,
                               sqlite3_stmt **out, rec_err *err) {
    *out = NULL;
    if (sql == NULL) return rec_nomem(err);
    int rc = sqlite3_prepare_v3(db, sql, -1, SQLITE_PREPARE_PERSISTENT, out, NULL);
    sqlite3_free(sql);
    if (rc == SQLITE_OK) return REC_OK;
    sqlite3_finalize(*out);
    *out = NULL;
    return sq_fail_rc(db, rc, what, err);
}

rec_status sq_prepare(sqlite3 *db, const char *what, sqlite3_stmt **out, rec_err *err,
                      const char *fmt, ...) {
    va_list ap;
    va_start(ap, fmt);
    char *sql = sqlite3_vmprintf(fmt, ap);
    va_end(ap);
    return prepare_text(db, what, sql, out, err);
}

rec_status sq_step(sqlite3_stmt *st, const char *what, bool *row, rec_err *err) {
    *row = false;
    int rc = sqlite3_step(st);
    if (rc == SQLITE_ROW) {
        *row = true;
        return REC_OK;
    }
    rec_status s = REC_OK;
    if (rc != SQLITE_DONE) s = sq_fail_rc(sqlite3_db_handle(st), rc, what, err);
    sqlite3_reset(
        st); /* the code that reset returns is the one of step, already reported */
    return s;
}

rec_status sq_exec(sqlite3 *db, const char *what, rec_err *err, const char *fmt, ...) {
    va_list ap;
    va_start(ap, fmt);
    char *sql = sqlite3_vmprintf(fmt, ap);
    va_end(ap);
    if (sql == NULL) return rec_nomem(err);
    int rc = sqlite3_exec(db, sql, NULL, NULL, NULL);
    sqlite3_free(sql);
    return rc == SQLITE_OK ? REC_OK : sq_fail_rc(db, rc, what, err);
}
