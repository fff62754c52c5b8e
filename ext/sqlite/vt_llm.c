/* vt_llm.c - llm_rerank, and the tables that show and set what the connection knows of models.
 *
 *   SELECT * FROM llm_rerank(query, candidates [, options])     one row a candidate, best first
 *   INSERT INTO llm_models(name, base_url, model, key_env) VALUES ('local', 'http://127.0.0.1:8080', 'm', NULL)
 *   SELECT * FROM llm_usage                                     the last calls, oldest first
 *
 * llm_models and llm_usage are eponymous: they exist on every connection and hold its memory, no byte of a
 * file. llm_models is declared WITHOUT ROWID, so that SQLite hands DELETE and UPDATE the name and not a number
 * that the deletion of another row would shift.
 *
 * I1. All are SQLITE_VTAB_DIRECTONLY.
 * I2. Rows of llm_models follow neither COMMIT nor ROLLBACK: they are a setting of the connection, as a PRAGMA.
 * I3. A cursor over llm_models sees rows by position; a row deleted under it moves the others up, and the
 *     cursor ends early rather than reading past the end.
 */
#include "tf.h"

#define N_OF(a) (sizeof(a) / sizeof((a)[0]))

/* ---- llm_rerank ----------------------------------------------------------------------------------- */

/* The id as it came: JSON text of a number or a string. */
static rec_status id_cell(const char *id, json **holder, cell *out, rec_err *err) {
    int64_t i;
    *holder = json_parse(id, strlen(id), err);
    if (!*holder) return err->code ? err->code : REC_NOMEM;
    if (json_int64(*holder, &i))
        *out = cell_int(i);
    else if (json_text(*holder))
        *out = cell_str(json_text(*holder));
    else
        *out = cell_real(json_number(*holder, 0));
    return REC_OK;
}

static rec_status add_row(tvf_rows *rows, const rerank_row *r, rec_err *err) {
    json *holder = NULL;
    cell id = cell_null();
    rec_status st = id_cell(r->id, &holder, &id, err);
    cell row[] = {cell_int(r->rank),     id,
                  cell_real(r->score),   cell_str(r->why),
                  cell_str(r->field),    cell_str(r->quote),
                  cell_int(r->grounded), cell_str(r->status)};
    if (!st) st = tvf_rows_add(rows, row, err);
    json_delete(holder);
    return st;
}

static rec_status rerank_open(sq_conn *c, sqlite3_value **arg, tvf_result **out,
                              rec_err *err) {
    static const char name[] = "llm_rerank";
    const char *query, *list, *options;
    size_t n_query, n_list, n_options;
    rerank_result result = {0};
    *out = NULL;
    rec_status st = tf_text(name, "query", arg[0], &query, &n_query, err);
    if (!st) st = tf_text(name, "candidates", arg[1], &list, &n_list, err);
    if (!st) st = tf_text(name, "options", arg[2], &options, &n_options, err);
    if (st) return st;
    tvf_rows *rows = tvf_rows_new(8);
    if (!rows) return rec_nomem(err);
    if (list)
        st = llm_rerank(c->llm, query, n_query, list, n_list, options, &result, err);
    for (size_t i = 0; i < result.n && !st; i++)
        st = add_row(rows, &result.row[i], err);
    rerank_result_clear(&result);
    if (st) {
        tvf_rows_free(rows);
        return st;
    }
    *out = tvf_rows_result(rows);
    return *out ? REC_OK : rec_nomem(err);
}

static const tvf_def llm_rerank_def = {
    .name = "llm_rerank",
    .columns = "rank INTEGER, id, score REAL, why TEXT, field TEXT, quote TEXT, "
               "grounded INTEGER, "
               "status TEXT",
    .args = "query, candidates, options",
    .n_required = 2,
    .direct_only = true,
    .rank_column = 0,
    .cost = 1e6,
    .open = rerank_open,
};

/* ---- llm_preferences -------------------------------------------------------------------------------- */

static rec_status add_preference(tvf_rows *rows, const preference *p,
                                 const char *status, rec_err *err) {
    static const char *const kinds[] = {"item", "facet", "word"};
    int64_t key = 0;
    bool is_int = p->kind == PREFERENCE_ITEM && !p->key_is_text;
    for (const char *s = p->key; is_int && *s; s++)
        if (*s >= '0' && *s <= '9') key = key * 10 + (*s - '0');
    if (is_int && p->key[0] == '-') key = -key;
    cell row[] = {cell_str(kinds[p->kind]),
                  is_int                       ? cell_int(key)
                  : p->kind == PREFERENCE_WORD ? cell_null()
                                               : cell_str(p->key),
                  p->value ? cell_str(p->value) : cell_null(),
                  cell_real(p->weight),
                  cell_str(p->quote),
                  cell_str(status)};
    return tvf_rows_add(rows, row, err);
}

static rec_status preferences_open(sq_conn *c, sqlite3_value **arg, tvf_result **out,
                                   rec_err *err) {
    static const char name[] = "llm_preferences";
    const char *text, *options;
    size_t n_text, n_options;
    preference_list list = {0};
    sq_view *view = NULL;
    llm_context language = {0};
    *out = NULL;
    bool has_model = arg[1] && sqlite3_value_type(arg[1]) != SQLITE_NULL;
    rec_status st = tf_text(name, "transcript", arg[0], &text, &n_text, err);
    if (!st) st = tf_text(name, "options", arg[2], &options, &n_options, err);
    if (!st && has_model) st = tf_view(c, name, arg[1], &view, err);
    if (st) return st;
    if (view) sq_view_language(view, &language);
    tvf_rows *rows = tvf_rows_new(6);
    if (!rows) st = rec_nomem(err);
    if (!st && text)
        st = llm_preferences(c->llm, text, n_text, &language, options, &list, err);
    for (size_t i = 0; i < list.n && !st; i++)
        st = add_preference(rows, &list.row[i], list.status, err);
    preference_list_clear(&list);
    if (view) sq_view_close(view);
    if (st) {
        tvf_rows_free(rows);
        return st;
    }
    *out = tvf_rows_result(rows);
    return *out ? REC_OK : rec_nomem(err);
}

static const tvf_def llm_preferences_def = {
    .name = "llm_preferences",
    .columns = "kind TEXT, key, value, weight REAL, quote TEXT, status TEXT",
    .args = "transcript, model, options",
    .n_required = 1,
    .direct_only = true,
    .rank_column = -1,
    .cost = 1e6,
    .open = preferences_open,
};

const tvf_def *const vt_llm_functions[] = {&llm_rerank_def, &llm_preferences_def,
                                           &llm_enrich_each_def, NULL};

/* ---- the two tables: what they share ------------------------------------------------------------------ */

typedef struct llm_table {
    sqlite3_vtab base;
    sq_conn *conn; /* borrowed: the module holds a reference */
} llm_table;

typedef struct llm_cursor {
    sqlite3_vtab_cursor base;
    size_t at;
} llm_cursor;

static int connect_as(sqlite3 *db, void *aux, sqlite3_vtab **out, const char *schema) {
    int rc = sqlite3_declare_vtab(db, schema);
    if (rc == SQLITE_OK) rc = sqlite3_vtab_config(db, SQLITE_VTAB_DIRECTONLY); /* I1 */
    if (rc == SQLITE_OK)
        rc = sqlite3_vtab_config(db, SQLITE_VTAB_CONSTRAINT_SUPPORT, 1);
    llm_table *t = rc == SQLITE_OK ? rec_zeros(1, sizeof *t) : NULL;
    if (rc == SQLITE_OK && !t) rc = SQLITE_NOMEM;
    if (t) t->conn = aux;
    *out = t ? &t->base : NULL;
    return rc;
}

static int vt_llm_disconnect(sqlite3_vtab *v) {
    rec_free(v);
    return SQLITE_OK;
}

static int vt_llm_best_index(sqlite3_vtab *v, sqlite3_index_info *info) {
    (void)v;
    info->estimatedCost = 100;
    info->estimatedRows = 10;
    return SQLITE_OK;
}

static int vt_llm_open(sqlite3_vtab *v, sqlite3_vtab_cursor **out) {
    (void)v;
    llm_cursor *k = rec_zeros(1, sizeof *k);
    *out = k ? &k->base : NULL;
    return k ? SQLITE_OK : SQLITE_NOMEM;
}

static int vt_llm_close(sqlite3_vtab_cursor *k) {
    rec_free(k);
    return SQLITE_OK;
}

static int vt_llm_filter(sqlite3_vtab_cursor *k, int num, const char *str, int n,
                         sqlite3_value **v) {
    (void)num, (void)str, (void)n, (void)v;
    ((llm_cursor *)k)->at = 0;
    return SQLITE_OK;
}

static int vt_llm_next(sqlite3_vtab_cursor *k) {
    ((llm_cursor *)k)->at++;
    return SQLITE_OK;
}

static llm_session *session_of(sqlite3_vtab *v) {
    return ((llm_table *)v)->conn->llm;
}

static void result_str(sqlite3_context *ctx, const char *s) {
    if (s) sqlite3_result_text(ctx, s, -1, SQLITE_TRANSIENT);
}

/* ---- llm_models ------------------------------------------------------------------------------------------ */

enum { M_NAME, M_PROTOCOL, M_BASE_URL, M_MODEL, M_KEY_ENV, M_OPTIONS, M_N };

static int vt_models_connect(sqlite3 *db, void *aux, int argc, const char *const *argv,
                             sqlite3_vtab **out, char **msg) {
    (void)argc, (void)argv, (void)msg;
    return connect_as(
        db, aux, out,
        "CREATE TABLE x(name TEXT PRIMARY KEY NOT NULL, protocol TEXT, base_url TEXT, "
        "model TEXT, key_env TEXT, options TEXT) WITHOUT ROWID");
}

static int vt_models_eof(sqlite3_vtab_cursor *k) {
    return ((llm_cursor *)k)->at >= llm_config_count(session_of(k->pVtab)); /* I3 */
}

static int vt_models_column(sqlite3_vtab_cursor *k, sqlite3_context *ctx, int i) {
    llm_session *s = session_of(k->pVtab);
    size_t at = ((llm_cursor *)k)->at;
    if (at >= llm_config_count(s)) return SQLITE_OK;
    const llm_config *c = llm_config_at(s, at);
    const char *const column[M_N] = {c->name,  c->protocol, c->base_url,
                                     c->model, c->key_env,  c->options};
    if (i >= 0 && i < M_N) result_str(ctx, column[i]);
    return SQLITE_OK;
}

static int vt_models_rowid(sqlite3_vtab_cursor *k, sqlite3_int64 *out) {
    *out = (sqlite3_int64)((llm_cursor *)k)->at;
    return SQLITE_OK;
}

/* A text column of the row to be written; anything but text or NULL is refused, without its value. */
static rec_status column_text(sqlite3_value *v, const char *what, char **out,
                              rec_err *err) {
    size_t n;
    return tf_text("llm_models", what, v, (const char **)out, &n, err);
}

static rec_status read_row(sqlite3_value **v, llm_config *c, rec_err *err) {
    static const char *const names[M_N] = {"name",  "protocol", "base_url",
                                           "model", "key_env",  "options"};
    *c = (llm_config){0};
    char **to[M_N] = {&c->name,  &c->protocol, &c->base_url,
                      &c->model, &c->key_env,  &c->options};
    rec_status st = REC_OK;
    for (int i = 0; i < M_N && !st; i++) st = column_text(v[i], names[i], to[i], err);
    return st;
}

/* A name that is taken: what the statement's conflict clause says. */
static int conflict(llm_table *t, const char *name, rec_err *err) {
    if (sqlite3_vtab_on_conflict(t->conn->db) == SQLITE_REPLACE) return SQLITE_OK;
    rec_fail(err, REC_RANGE, "llm_models: there is a row '%.60s' already", name);
    sq_vtab_error(&t->base, err);
    return SQLITE_CONSTRAINT;
}

static int vt_models_update(sqlite3_vtab *v, int argc, sqlite3_value **arg,
                            sqlite3_int64 *rowid) {
    llm_table *t = (llm_table *)v;
    llm_session *s = t->conn->llm;
    rec_err err = {0};
    (void)rowid;
    const char *old = sqlite3_value_type(arg[0]) == SQLITE_TEXT
                          ? (const char *)sqlite3_value_text(arg[0])
                          : NULL;
    if (argc == 1) {
        if (old) llm_config_delete(s, old);
        return SQLITE_OK;
    }
    llm_config c;
    rec_status st = read_row(arg + 2, &c, &err);
    bool moves = !st && (!old || !c.name || strcmp(old, c.name) != 0);
    if (moves && c.name && llm_config_find(s, c.name)) {
        int rc = conflict(t, c.name, &err);
        if (rc != SQLITE_OK) return rc;
    }
    if (!st) st = llm_config_put(s, &c, &err);
    if (st) return sq_vtab_error(v, &err);
    if (old && moves) llm_config_delete(s, old);
    return SQLITE_OK;
}

static const sqlite3_module models_module = {
    .xConnect = vt_models_connect,
    .xBestIndex = vt_llm_best_index,
    .xDisconnect = vt_llm_disconnect,
    .xOpen = vt_llm_open,
    .xClose = vt_llm_close,
    .xFilter = vt_llm_filter,
    .xNext = vt_llm_next,
    .xEof = vt_models_eof,
    .xColumn = vt_models_column,
    .xRowid = vt_models_rowid,
    .xUpdate = vt_models_update,
};

/* ---- llm_usage --------------------------------------------------------------------------------------------- */

static int vt_usage_connect(sqlite3 *db, void *aux, int argc, const char *const *argv,
                            sqlite3_vtab **out, char **msg) {
    (void)argc, (void)argv, (void)msg;
    return connect_as(
        db, aux, out,
        "CREATE TABLE x(at_ms INTEGER, function TEXT, model TEXT, status TEXT, "
        "http INTEGER, retries INTEGER, cache_hit INTEGER, prompt_tokens INTEGER, "
        "completion_tokens INTEGER, ms INTEGER)");
}

static int vt_usage_eof(sqlite3_vtab_cursor *k) {
    return ((llm_cursor *)k)->at >= llm_usage_count(session_of(k->pVtab));
}

static int vt_usage_column(sqlite3_vtab_cursor *k, sqlite3_context *ctx, int i) {
    llm_usage_row r = llm_usage_at(session_of(k->pVtab), ((llm_cursor *)k)->at);
    const int64_t number[] = {r.at_ms,
                              0,
                              0,
                              0,
                              r.http,
                              r.retries,
                              r.cache_hit,
                              r.prompt_tokens,
                              r.completion_tokens,
                              r.ms};
    const char *const text[] = {NULL, r.function, r.model, r.status};
    if (i >= 1 && i <= 3)
        result_str(ctx, text[i]);
    else if (i >= 0 && (size_t)i < N_OF(number))
        sqlite3_result_int64(ctx, number[i]);
    return SQLITE_OK;
}

static const sqlite3_module usage_module = {
    .xConnect = vt_usage_connect,
    .xBestIndex = vt_llm_best_index,
    .xDisconnect = vt_llm_disconnect,
    .xOpen = vt_llm_open,
    .xClose = vt_llm_close,
    .xFilter = vt_llm_filter,
    .xNext = vt_llm_next,
    .xEof = vt_usage_eof,
    .xColumn = vt_usage_column,
    .xRowid = vt_models_rowid,
};

/* ---- registration ------------------------------------------------------------------------------------------ */

/* The user's own BEGIN with something written: a call to a server would hold the lock for as long. */
static bool in_write_transaction(void *conn) {
    sqlite3 *db = ((sq_conn *)conn)->db;
    return !sqlite3_get_autocommit(db) &&
           sqlite3_txn_state(db, NULL) == SQLITE_TXN_WRITE;
}

int vt_llm_register(sq_conn *c) {
    llm_session_set_in_write(c->llm, in_write_transaction, c);
    sq_conn_ref(c);
    int rc =
        sqlite3_create_module_v2(c->db, "llm_models", &models_module, c, sq_conn_unref);
    if (rc != SQLITE_OK) return rc;
    sq_conn_ref(c);
    rc = sqlite3_create_module_v2(c->db, "llm_usage", &usage_module, c, sq_conn_unref);
    return rc != SQLITE_OK ? rc : vt_llm_cache_register(c);
}
