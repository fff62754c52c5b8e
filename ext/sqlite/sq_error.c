/* sq_error.c - the border between rec_status and SQLite's result codes.
 *
 * Pure code knows eight states and a text; SQLite knows a number and a text. Both directions
 * are here and nowhere else, so that one breakpoint finds every error.
 *
 * I1. A nested statement that failed keeps SQLite's own code (err->host): a host program that
 *     retries on SQLITE_BUSY or reports SQLITE_FULL sees what it would see without us.
 * I2. A message names the object first: "rec_index(movie_vec): no such table: x".
 */
#include "sq.h"

int sq_code(rec_status s) {
    switch (s) {
    case REC_OK: return SQLITE_OK;
    case REC_NOMEM: return SQLITE_NOMEM;
    case REC_CORRUPT: return SQLITE_CORRUPT_VTAB;
    case REC_INTR: return SQLITE_INTERRUPT;
    default: return SQLITE_ERROR;
    }
}

static int code_of(const rec_err *err) {
    if (err->code == REC_IO && err->host != 0) return err->host;
    return err->code == REC_OK ? SQLITE_ERROR : sq_code(err->code);
}

rec_status sq_fail_rc(sqlite3 *db, int rc, const char *what, rec_err *err) {
    switch (rc & 0xff) {
    case SQLITE_NOMEM: return rec_nomem(err);
    case SQLITE_INTERRUPT: return rec_fail(err, REC_INTR, "interrupted");
    case SQLITE_CORRUPT:
    case SQLITE_NOTADB: return rec_corrupt(err, "%s: %s", what, sqlite3_errmsg(db));
    default: break;
    }
    rec_status s = rec_fail(err, REC_IO, "%s: %s", what, sqlite3_errmsg(db));
    if (err) err->host = rc;
    return s;
}

void sq_result_error(sqlite3_context *ctx, const rec_err *err) {
    if (err->code == REC_NOMEM) {
        sqlite3_result_error_nomem(ctx);
        return;
    }
    sqlite3_result_error(ctx, err->msg[0] ? err->msg : "rec: unknown error", -1);
    sqlite3_result_error_code(ctx, code_of(err));
}

int sq_vtab_error(sqlite3_vtab *vtab, const rec_err *err) {
    int rc = code_of(err);
    if (rc == SQLITE_NOMEM) return rc;
    sqlite3_free(vtab->zErrMsg);
    vtab->zErrMsg =
        sqlite3_mprintf("%s", err->msg[0] ? err->msg : "rec: unknown error");
    return vtab->zErrMsg ? rc : SQLITE_NOMEM;
}

/* SQLite takes the code of xDestroy and leaves the message, for ever. */
int sq_vtab_destroy_error(sqlite3_vtab *vtab, const rec_err *err) {
    int rc = sq_vtab_error(vtab, err);
    sqlite3_free(vtab->zErrMsg);
    vtab->zErrMsg = NULL;
    return rc;
}
