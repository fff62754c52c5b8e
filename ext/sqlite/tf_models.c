/* tf_models.c - rec_models: every model and index of the connection, and what is wrong with it.
 *
 *   SELECT name, trained_rows, new_rows, warning FROM rec_models
 *   taste | 1832 | 12 | 12 rows came after training; loans has no index on reader_id: CREATE INDEX ...
 *
 * Invariants
 * I1. One damaged, untrained or orphaned model never hides the others: what went wrong with it
 *     is its warning. Only lack of memory and an interrupt end the statement.
 * I2. Every number is counted when it is read; nothing here is kept.
 *
 * Cost: a few counts over the interactions of each model. Not a table to join with.
 */
#include "tf.h"

#define WAITING_WARN 10000 /* rows without links that are worth a word */

enum {
    COL_SCHEMA,
    COL_NAME,
    COL_KIND,
    COL_ALGORITHM,
    COL_USERS,
    COL_ITEMS,
    COL_ROWS,
    COL_BYTES,
    COL_TRAINED_AT,
    COL_TRAINED_ROWS,
    COL_NEW_ROWS,
    COL_UNKNOWN_USERS,
    COL_WARNING,
    N_COLUMNS
};

typedef struct listing {
    sq_conn *conn;
    tvf_rows *rows;
    bytes_writer warning; /* of the row at hand */
    cell row[N_COLUMNS];
} listing;

static bool is_final(rec_status s) { /* I1 */
    return s == REC_NOMEM || s == REC_INTR;
}

static bool is_said(const listing *l, const char *text) {
    size_t n = strlen(text);
    for (size_t i = 0; i + n <= l->warning.n; i++)
        if (memcmp((const char *)l->warning.data + i, text, n) == 0) return true;
    return false;
}

static void warn(listing *l, const char *text) {
    if (l->warning.n && is_said(l, text)) return; /* members may read the same table */
    if (l->warning.n) bytes_puts(&l->warning, "; ");
    bytes_puts(&l->warning, text);
}

/* A step that failed becomes a warning, unless it has to end the statement. */
static rec_status soften(listing *l, rec_status s, rec_err *why, rec_err *err) {
    if (s == REC_OK) return REC_OK;
    if (is_final(s)) {
        *err = *why;
        err->code = s;
        return s;
    }
    warn(l, why->msg);
    return REC_OK;
}

static void row_start(listing *l, const char *schema, const char *name,
                      const char *kind) {
    for (int i = 0; i < N_COLUMNS; i++) l->row[i] = cell_null();
    l->row[COL_SCHEMA] = cell_str(schema);
    l->row[COL_NAME] = cell_str(name);
    l->row[COL_KIND] = cell_str(kind);
    l->warning.n = 0;
}

static rec_status row_end(listing *l, rec_err *err) {
    if (l->warning.status != REC_OK) return rec_nomem(err);
    if (l->warning.n)
        l->row[COL_WARNING] = cell_text((const char *)l->warning.data, l->warning.n);
    return tvf_rows_add(l->rows, l->row, err);
}

/* ---- sizes -------------------------------------------------------------------------------------- */

/* One integer from a prepared statement; finalizes it. */
static rec_status take_count(sqlite3_stmt *st, const char *what, int64_t *out,
                             rec_err *err) {
    bool row = false;
    rec_status s = sq_step(st, what, &row, err);
    *out = s == REC_OK && row ? sqlite3_column_int64(st, 0) : 0;
    sqlite3_finalize(st);
    return s;
}

/* Bytes of all values of one shadow table. */
static rec_status table_bytes(sq_conn *c, const char *schema, const char *table,
                              int64_t *out, rec_err *err) {
    sqlite3_stmt *st = NULL;
    int64_t n = 0;
    rec_status s =
        sq_prepare(c->db, table, &st, err,
                   "SELECT 'SELECT total(0' || group_concat(' + coalesce(length(\"' || "
                   "replace(name, '\"', '\"\"') || '\"), 0)', '') || ') FROM ' FROM "
                   "pragma_table_info(%Q, %Q)",
                   table, schema);
    bool row = false;
    sqlite3_stmt *sum = NULL;
    if (s == REC_OK) s = sq_step(st, table, &row, err);
    if (s == REC_OK && row && sqlite3_column_type(st, 0) == SQLITE_TEXT)
        s = sq_prepare(c->db, table, &sum, err, "%s\"%w\".\"%w\"",
                       sqlite3_column_text(st, 0), schema, table);
    sqlite3_finalize(st);
    if (s == REC_OK && sum) s = take_count(sum, table, &n, err);
    *out += n;
    return s;
}

/* Bytes in the shadow tables <name>_... of a table. */
static rec_status stored_bytes(listing *l, const char *schema, const char *name,
                               rec_err *err) {
    sqlite3_stmt *st = NULL;
    int64_t total = 0;
    rec_status s =
        sq_prepare(l->conn->db, name, &st, err,
                   "SELECT name FROM pragma_table_list WHERE schema = %Q AND type = "
                   "'shadow' AND substr(name, 1, length(%Q) + 1) = %Q || '_'",
                   schema, name, name);
    while (s == REC_OK) {
        bool row;
        s = sq_step(st, name, &row, err);
        if (s != REC_OK || !row) break;
        const char *table = (const char *)sqlite3_column_text(st, 0);
        s = table ? table_bytes(l->conn, schema, table, &total, err) : rec_nomem(err);
    }
    sqlite3_finalize(st);
    if (s == REC_OK) l->row[COL_BYTES] = cell_int(total);
    return s;
}

/* ---- a model's interactions as they are now ------------------------------------------------------- */

static rec_status count_rows(listing *l, const sq_view *v, const char *table,
                             rec_err *err) {
    sqlite3_stmt *st = NULL;
    int64_t n = 0;
    char text[64];
    rec_status s = sq_prepare(l->conn->db, v->cfg.interactions, &st, err,
                              "SELECT count(*) FROM %s", table);
    if (s == REC_OK) s = take_count(st, v->cfg.interactions, &n, err);
    if (s != REC_OK) return s;
    l->row[COL_ROWS] = cell_int(n);
    if (v->trained_at <= 0) return REC_OK;
    int64_t more = n - v->trained_rows;
    l->row[COL_TRAINED_ROWS] = cell_int(v->trained_rows);
    l->row[COL_NEW_ROWS] = cell_int(more > 0 ? more : 0);
    if (more <= 0) return REC_OK;
    rec_format(text, sizeof text, "%lld new row%s since training", (long long)more,
               more == 1 ? "" : "s");
    warn(l, text);
    return REC_OK;
}

static rec_status count_unknown(listing *l, const sq_view *v, const char *table,
                                rec_err *err) {
    sqlite3_stmt *st = NULL;
    int64_t unknown = 0;
    if (!v->trained_users) return REC_OK;
    rec_status s = sq_prepare(l->conn->db, v->cfg.interactions, &st, err,
                              "SELECT DISTINCT \"%w\" FROM %s WHERE \"%w\" IS NOT NULL",
                              v->cfg.user, table, v->cfg.user);
    while (s == REC_OK) {
        bool row;
        char buf[32];
        rec_key key;
        s = sq_step(st, v->cfg.interactions, &row, err);
        if (s != REC_OK || !row) break;
        cell c = sq_column_cell(st, 0);
        if (c.type == CELL_BLOB) continue;
        if (sq_key(&c, v->user_affinity, buf, &key, &s, err) && s == REC_OK)
            unknown += keyset_find(v->trained_users, &key) == KEYS_NONE;
    }
    sqlite3_finalize(st);
    if (s == REC_OK) l->row[COL_UNKNOWN_USERS] = cell_int(unknown);
    return s;
}

/* Reading one user's rows should be a search: every query for a user does it. Views are not
 * looked into. */
static rec_status check_index(listing *l, const sq_view *v, const char *table,
                              rec_err *err) {
    sqlite3_stmt *st = NULL;
    const sq_model_cfg *cfg = &v->cfg;
    int64_t is_table = 0;
    bool is_scan = false;
    rec_status s =
        sq_prepare(l->conn->db, cfg->interactions, &st, err,
                   "SELECT count(*) FROM \"%w\".sqlite_schema WHERE type = 'table' AND "
                   "name = %Q COLLATE NOCASE",
                   v->schema, cfg->interactions);
    if (s == REC_OK) s = take_count(st, cfg->interactions, &is_table, err);
    st = NULL;
    if (s != REC_OK || !is_table) return s;
    s = sq_prepare(l->conn->db, cfg->interactions, &st, err,
                   "EXPLAIN QUERY PLAN SELECT 1 FROM %s WHERE \"%w\" = ?", table,
                   cfg->user);
    while (s == REC_OK) {
        bool row;
        s = sq_step(st, cfg->interactions, &row, err);
        if (s != REC_OK || !row) break;
        const char *detail = (const char *)sqlite3_column_text(st, 3);
        if (detail && strncmp(detail, "SCAN", 4) == 0) is_scan = true;
    }
    sqlite3_finalize(st);
    if (s != REC_OK || !is_scan) return s;
    char *text = sqlite3_mprintf(
        "%s has no index on %s: CREATE INDEX \"%w_%w\" ON \"%w\"(\"%w\")",
        cfg->interactions, cfg->user, cfg->interactions, cfg->user, cfg->interactions,
        cfg->user);
    if (!text) return rec_nomem(err);
    warn(l, text);
    sqlite3_free(text);
    return REC_OK;
}

static rec_status read_interactions(listing *l, const sq_view *v, rec_err *err) {
    rec_err why = {0};
    if (!v->cfg.interactions || !v->cfg.user) return REC_OK;
    char *table = tf_source_name(v, v->cfg.interactions, err);
    if (!table) return REC_NOMEM;
    sq_frame frame = {0};
    rec_status s = sq_enter(v->conn, &frame, v->schema, v->name, &why);
    if (s == REC_OK) s = count_rows(l, v, table, &why);
    if (s == REC_OK) s = count_unknown(l, v, table, &why);
    if (s == REC_OK) s = check_index(l, v, table, &why);
    sq_leave(v->conn, &frame);
    sqlite3_free(table);
    return soften(l, s, &why, err);
}

/* The rules of the model, and all that its members read at query time, must be there. */
static rec_status check_sources(listing *l, const sq_view *v, bool is_member,
                                rec_err *err) {
    const char *source[] = {v->cfg.eligible, v->cfg.owned, v->cfg.lexical,
                            v->cfg.preferences, is_member ? v->cfg.interactions : NULL};
    rec_status s = REC_OK;
    for (size_t i = 0; i < sizeof source / sizeof source[0] && s == REC_OK; i++) {
        rec_err why = {0};
        sq_columns t = {0};
        if (!source[i]) continue;
        s = sq_columns_read(l->conn, v->schema, source[i], &t, &why);
        sq_columns_clear(&t);
        s = soften(l, s, &why, err);
    }
    for (size_t i = 0; i < v->n_member && s == REC_OK; i++)
        s = check_sources(l, v->member[i].view, true, err);
    return s;
}

/* ---- rows -------------------------------------------------------------------------------------------- */

static rec_status describe_view(listing *l, const sq_view *v, rec_err *err) {
    rec_err why = {0};
    l->row[COL_ALGORITHM] = cell_str(v->cfg.ops->name);
    l->row[COL_ITEMS] = cell_int((int64_t)sq_view_n_items(v));
    if (v->trained_users)
        l->row[COL_USERS] = cell_int((int64_t)keyset_count(v->trained_users));
    if (v->trained_at > 0) l->row[COL_TRAINED_AT] = cell_int((int64_t)v->trained_at);
    rec_status s = soften(l, sq_view_require_trained(v, &why), &why, err);
    if (s == REC_OK) s = read_interactions(l, v, err);
    return s == REC_OK ? check_sources(l, v, false, err) : s;
}

/* What CREATE says, for a model that cannot be opened. */
static rec_status describe_create(listing *l, const char *schema, const char *name,
                                  rec_err *err) {
    const sq_table *t = NULL;
    sq_model_cfg cfg = {0};
    rec_err why = {0};
    rec_status s = sq_table_find(l->conn, schema, name, &t, &why);
    if (s == REC_OK) s = sq_table_config(l->conn, t, NULL, &cfg, &why);
    if (s == REC_OK) l->row[COL_ALGORITHM] = cell_str(cfg.ops->name);
    sq_cfg_clear(&cfg);
    if (!is_final(s)) return REC_OK; /* the warning stands already */
    *err = why;
    return s;
}

static rec_status add_model(void *ctx, const char *schema, const char *name,
                            rec_err *err) {
    listing *l = ctx;
    rec_err why = {0};
    sq_view *v = NULL;
    row_start(l, schema, name, "model");
    char *full = sqlite3_mprintf("%s.%s", schema, name);
    if (!full) return rec_nomem(err);
    rec_status s = sq_view_open(l->conn, full, &v, &why);
    sqlite3_free(full);
    bool is_open = s == REC_OK;
    s = soften(l, s, &why, err);
    if (s == REC_OK)
        s = is_open ? describe_view(l, v, err) : describe_create(l, schema, name, err);
    rec_err unread = {0};
    if (s == REC_OK)
        s = soften(l, stored_bytes(l, schema, name, &unread), &unread, err);
    if (s == REC_OK) s = row_end(l, err);
    if (v) sq_view_close(v);
    return s;
}

static rec_status count_index(listing *l, const tf_index *ix, rec_err *err) {
    sqlite3_stmt *st = NULL;
    int64_t n = 0;
    rec_status s =
        sq_prepare(l->conn->db, ix->name, &st, err,
                   "SELECT count(*) FROM \"%w\".\"%w\"", ix->schema, ix->name);
    if (s == REC_OK) s = take_count(st, ix->name, &n, err);
    if (s == REC_OK) l->row[COL_ITEMS] = l->row[COL_ROWS] = cell_int(n);
    return s;
}

/* Graph kinds: rows that every search compares one by one. */
static rec_status check_waiting(listing *l, const tf_index *ix, rec_err *err) {
    sqlite3_stmt *st = NULL;
    int64_t n = 0;
    char text[200];
    rec_status s = sq_prepare(l->conn->db, ix->name, &st, err,
                              "SELECT ver FROM \"%w\".\"%w_chunks\""
                              " ORDER BY chunk DESC LIMIT 1",
                              ix->schema, ix->name);
    if (s == REC_OK) s = take_count(st, ix->name, &n, err);
    if (s != REC_OK || n <= WAITING_WARN || strcmp(ix->kind, "flat") == 0) return s;
    rec_format(text, sizeof text,
               "%lld rows have no links yet, every search compares them one by one: "
               "INSERT INTO %s(%s) VALUES ('optimize')",
               (long long)n, ix->name, ix->name);
    warn(l, text);
    return s;
}

static rec_status add_index(void *ctx, tf_index *ix, rec_err *err) {
    listing *l = ctx;
    rec_err why = {0};
    row_start(l, ix->schema, ix->name, "index");
    l->row[COL_ALGORITHM] = cell_str(ix->kind);
    rec_status s = soften(l, count_index(l, ix, &why), &why, err);
    rec_err unread = {0}, hidden = {0};
    if (s == REC_OK) s = soften(l, check_waiting(l, ix, &hidden), &hidden, err);
    if (s == REC_OK)
        s = soften(l, stored_bytes(l, ix->schema, ix->name, &unread), &unread, err);
    return s == REC_OK ? row_end(l, err) : s;
}

static rec_status models_open(sq_conn *c, sqlite3_value **arg, tvf_result **out,
                              rec_err *err) {
    listing l = {.conn = c, .rows = tvf_rows_new(N_COLUMNS)};
    (void)arg;
    *out = NULL;
    if (!l.rows) return rec_nomem(err);
    rec_status s = sq_model_each(c, add_model, &l, err);
    if (s == REC_OK) s = tf_index_each(c, NULL, NULL, add_index, &l, err);
    bytes_clear(&l.warning);
    if (s == REC_OK)
        *out = tvf_rows_result(l.rows);
    else
        tvf_rows_free(l.rows);
    return s;
}

const tvf_def tf_models_def = {
    .name = "rec_models",
    .columns = "schema TEXT, name TEXT, kind TEXT, algorithm TEXT, users INTEGER, "
               "items INTEGER, "
               "rows INTEGER, bytes INTEGER, trained_at INTEGER, trained_rows INTEGER, "
               "new_rows INTEGER, unknown_users INTEGER, warning TEXT",
    .args = "",
    .n_required = 0,
    .rank_column = -1,
    .cost = 1e6,
    .open = models_open,
};
