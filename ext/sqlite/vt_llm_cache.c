/* vt_llm_cache.c - llm_cache: answers that the connection keeps, and a table that keeps them beyond it.
 *
 *   SELECT function, model, status, bytes, age, hits FROM llm_cache    what memory holds
 *   DELETE FROM llm_cache                                              forgets it, and the same rows of the table
 *   INSERT INTO llm_cache(llm_cache) VALUES ('table=answers')          main.answers is made, read and written
 *   INSERT INTO llm_cache(llm_cache) VALUES ('table=')                 it is left alone from now on
 *   INSERT INTO llm_cache(llm_cache) VALUES ('ttl=86400')              nothing older is given out
 *
 * The table is an ordinary one of the user's, (request, function, model, answer, created):
 *
 *   an answer is not in memory --> SELECT by the whole request --> into memory
 *   an answer comes            --> INSERT, in the caller's transaction if there is one
 *
 * C1. Nothing in a file names the table: each connection says so anew. A file that somebody sends cannot make a
 *     connection believe its answers.
 * C2. A row that cannot be read or written (locked, read-only, dropped) is as if there were none: a cache that fails costs a
 *     call, never a statement.
 * C3. Failures and answers that were rejected never get there; what is rejected is deleted.
 */
#include "tf.h"

#define MAX_NAME 64
#define MAX_TTL  ((int64_t)3650 * 86400)

typedef struct keeper {       /* the module's own data */
    sq_conn *conn;            /* a reference */
    char table[MAX_NAME + 1]; /* empty: none */
} keeper;

typedef struct cache_table {
    sqlite3_vtab base;
    keeper *k; /* borrowed: lives as long as the module */
} cache_table;

typedef struct cache_cursor {
    sqlite3_vtab_cursor base;
    size_t at;
} cache_cursor;

/* ---- the user's table ------------------------------------------------------------------------------- */

/* A statement of which ?1 is the request; NULL where there is none to be had. */
static sqlite3_stmt *prepare(const keeper *k, const char *format, const char *key,
                             size_t nbyte) {
    sqlite3_stmt *st = NULL;
    rec_err err = {0};
    if (sq_prepare(k->conn->db, "llm_cache", &st, &err, format, k->table)) return NULL;
    if (sqlite3_bind_text64(st, 1, key, nbyte, SQLITE_STATIC, SQLITE_UTF8) == SQLITE_OK)
        return st;
    sqlite3_finalize(st);
    return NULL;
}

static char *store_get(void *ctx, const char *key, size_t nbyte, double *age) {
    const keeper *k = ctx;
    sqlite3_stmt *st = prepare(k,
                               "SELECT answer, strftime('%%s', 'now') - created FROM "
                               "main.\"%w\" WHERE request = ?1",
                               key, nbyte);
    char *text = NULL;
    bool row = false;
    rec_err err = {0};
    if (st && sq_step(st, "llm_cache", &row, &err) == REC_OK && row &&
        sqlite3_column_type(st, 0) == SQLITE_TEXT) {
        *age = sqlite3_column_double(st, 1);
        text = rec_strndup((const char *)sqlite3_column_text(st, 0),
                           (size_t)sqlite3_column_bytes(st, 0));
    }
    sqlite3_finalize(st);
    return text;
}

static void store_put(void *ctx, const llm_answer *a) {
    const keeper *k = ctx;
    bool row;
    rec_err err = {0};
    sqlite3_stmt *st =
        prepare(k,
                "INSERT OR REPLACE INTO main.\"%w\"(request, function, model, answer, "
                "created) VALUES (?1, ?2, ?3, ?4, CAST(strftime('%%s', 'now') AS "
                "INTEGER))",
                a->key, a->n_key);
    if (!st) return;
    sqlite3_bind_text(st, 2, a->function, -1, SQLITE_STATIC);
    sqlite3_bind_text(st, 3, a->model, -1, SQLITE_STATIC);
    sqlite3_bind_text(st, 4, a->text, -1, SQLITE_STATIC);
    sq_step(st, "llm_cache", &row, &err); /* C2 */
    sqlite3_finalize(st);
}

static void store_drop(void *ctx, const char *key, size_t nbyte) {
    bool row;
    rec_err err = {0};
    sqlite3_stmt *st =
        prepare(ctx, "DELETE FROM main.\"%w\" WHERE request = ?1", key, nbyte);
    if (st) sq_step(st, "llm_cache", &row, &err);
    sqlite3_finalize(st);
}

/* ---- commands ------------------------------------------------------------------------------------------ */

static rec_status set_table(keeper *k, const char *name, rec_err *err) {
    size_t n = strlen(name);
    bool ok = n <= MAX_NAME;
    for (size_t i = 0; i < n; i++)
        ok = ok &&
             ((name[i] >= 'a' && name[i] <= 'z') || name[i] == '_' ||
              (name[i] >= 'A' && name[i] <= 'Z') || (name[i] >= '0' && name[i] <= '9'));
    if (!ok)
        return rec_fail(err, REC_RANGE,
                        "llm_cache: table=%.60s: a name of letters, digits and _, at "
                        "most %d",
                        name, MAX_NAME);
    llm_cache_set_store(k->conn->llm, NULL);
    k->table[0] = 0;
    if (n == 0) return REC_OK;
    rec_status st =
        sq_exec(k->conn->db, "llm_cache", err,
                "CREATE TABLE IF NOT EXISTS main.\"%w\"(request TEXT PRIMARY "
                "KEY, function TEXT, model TEXT, answer TEXT NOT NULL, "
                "created INTEGER NOT NULL) WITHOUT ROWID",
                name);
    if (!st) /* a table of that name that is another's is told now, not at the first call */
        st =
            sq_exec(k->conn->db, "llm_cache", err,
                    "SELECT request, function, model, answer, created FROM main.\"%w\" "
                    "LIMIT 0",
                    name);
    if (st) return st;
    memcpy(k->table, name, n + 1);
    llm_store store = {
        .ctx = k, .get = store_get, .put = store_put, .drop = store_drop};
    llm_cache_set_store(k->conn->llm, &store);
    return REC_OK;
}

static rec_status command(keeper *k, sqlite3_value *v, rec_err *err) {
    const char *text;
    size_t n;
    double seconds;
    rec_status st = tf_text("llm_cache", "the command", v, &text, &n, err);
    if (st) return st;
    if (text && strncmp(text, "table=", 6) == 0) return set_table(k, text + 6, err);
    if (!text || strncmp(text, "ttl=", 4) != 0)
        return rec_fail(
            err, REC_RANGE,
            "llm_cache: no command '%.60s' (there are table=name, ttl=seconds)",
            text ? text : "");
    if (!rec_parse_number(text + 4, n - 4, &seconds) || seconds < 0 ||
        seconds > (double)MAX_TTL)
        return rec_fail(err, REC_RANGE,
                        "llm_cache: %.60s: a number of seconds from 0 (no end) to %lld",
                        text, (long long)MAX_TTL);
    llm_cache_set_ttl(k->conn->llm, (int64_t)seconds);
    return REC_OK;
}

/* ---- the table of what memory holds -------------------------------------------------------------------- */

enum { C_FUNCTION, C_MODEL, C_STATUS, C_BYTES, C_AGE, C_HITS, C_COMMAND };

static llm_session *session_of(sqlite3_vtab *v) {
    return ((cache_table *)v)->k->conn->llm;
}

static int vt_cache_connect(sqlite3 *db, void *aux, int argc, const char *const *argv,
                            sqlite3_vtab **out, char **msg) {
    (void)argc, (void)argv, (void)msg;
    *out = NULL;
    int rc = sqlite3_declare_vtab(
        db, "CREATE TABLE x(function TEXT, model TEXT, status TEXT, bytes INTEGER, age "
            "REAL, hits INTEGER, llm_cache HIDDEN)");
    if (rc == SQLITE_OK) rc = sqlite3_vtab_config(db, SQLITE_VTAB_DIRECTONLY);
    if (rc != SQLITE_OK) return rc;
    cache_table *t = rec_zeros(1, sizeof *t);
    if (!t) return SQLITE_NOMEM;
    t->k = aux;
    *out = &t->base;
    return SQLITE_OK;
}

static int vt_cache_disconnect(sqlite3_vtab *v) {
    rec_free(v);
    return SQLITE_OK;
}

static int vt_cache_best_index(sqlite3_vtab *v, sqlite3_index_info *info) {
    (void)v;
    info->estimatedCost = LLM_CACHE_ROWS;
    info->estimatedRows = LLM_CACHE_ROWS;
    return SQLITE_OK;
}

static int vt_cache_open(sqlite3_vtab *v, sqlite3_vtab_cursor **out) {
    (void)v;
    cache_cursor *c = rec_zeros(1, sizeof *c);
    *out = c ? &c->base : NULL;
    return c ? SQLITE_OK : SQLITE_NOMEM;
}

static int vt_cache_close(sqlite3_vtab_cursor *c) {
    rec_free(c);
    return SQLITE_OK;
}

static void to_next_row(cache_cursor *c) {
    llm_cache_row row;
    while (c->at < LLM_CACHE_ROWS &&
           !llm_cache_at(session_of(c->base.pVtab), c->at, &row))
        c->at++;
}

static int vt_cache_filter(sqlite3_vtab_cursor *cur, int num, const char *str, int n,
                           sqlite3_value **v) {
    (void)num, (void)str, (void)n, (void)v;
    ((cache_cursor *)cur)->at = 0;
    to_next_row((cache_cursor *)cur);
    return SQLITE_OK;
}

static int vt_cache_next(sqlite3_vtab_cursor *cur) {
    ((cache_cursor *)cur)->at++;
    to_next_row((cache_cursor *)cur);
    return SQLITE_OK;
}

static int vt_cache_eof(sqlite3_vtab_cursor *cur) {
    return ((cache_cursor *)cur)->at >= LLM_CACHE_ROWS;
}

static int vt_cache_column(sqlite3_vtab_cursor *cur, sqlite3_context *ctx, int i) {
    llm_cache_row r;
    if (!llm_cache_at(session_of(cur->pVtab), ((cache_cursor *)cur)->at, &r))
        return SQLITE_OK; /* forgotten under the cursor */
    const char *const text[] = {r.function, r.model, r.status};
    if (i <= C_STATUS && text[i])
        sqlite3_result_text(ctx, text[i], -1, SQLITE_TRANSIENT);
    else if (i == C_BYTES)
        sqlite3_result_int64(ctx, (sqlite3_int64)r.nbyte);
    else if (i == C_AGE)
        sqlite3_result_double(ctx, r.age);
    else if (i == C_HITS)
        sqlite3_result_int64(ctx, r.hits);
    return SQLITE_OK;
}

static int vt_cache_rowid(sqlite3_vtab_cursor *cur, sqlite3_int64 *out) {
    *out = (sqlite3_int64)((cache_cursor *)cur)->at;
    return SQLITE_OK;
}

static int vt_cache_update(sqlite3_vtab *v, int argc, sqlite3_value **arg,
                           sqlite3_int64 *rowid) {
    rec_err err = {0};
    (void)rowid;
    if (argc == 1) {
        sqlite3_int64 at = sqlite3_value_int64(arg[0]);
        if (at >= 0 && at < LLM_CACHE_ROWS) llm_cache_forget(session_of(v), (size_t)at);
        return SQLITE_OK;
    }
    rec_status st;
    if (sqlite3_value_type(arg[0]) != SQLITE_NULL)
        st = rec_fail(&err, REC_RANGE, "llm_cache: rows may be deleted, not changed");
    else
        st = command(((cache_table *)v)->k, arg[2 + C_COMMAND], &err);
    return st ? sq_vtab_error(v, &err) : SQLITE_OK;
}

static const sqlite3_module cache_module = {
    .xConnect = vt_cache_connect,
    .xBestIndex = vt_cache_best_index,
    .xDisconnect = vt_cache_disconnect,
    .xOpen = vt_cache_open,
    .xClose = vt_cache_close,
    .xFilter = vt_cache_filter,
    .xNext = vt_cache_next,
    .xEof = vt_cache_eof,
    .xColumn = vt_cache_column,
    .xRowid = vt_cache_rowid,
    .xUpdate = vt_cache_update,
};

static void keeper_free(void *p) {
    keeper *k = p;
    llm_cache_set_store(k->conn->llm, NULL);
    sq_conn_unref(k->conn);
    rec_free(k);
}

int vt_llm_cache_register(sq_conn *c) {
    keeper *k = rec_zeros(1, sizeof *k);
    if (!k) return SQLITE_NOMEM;
    k->conn = c;
    sq_conn_ref(c);
    return sqlite3_create_module_v2(c->db, "llm_cache", &cache_module, k, keeper_free);
}
