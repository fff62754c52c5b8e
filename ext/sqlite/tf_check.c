/* tf_check.c - rec_check: is what models and indexes have stored sound?
 *
 *   SELECT schema, name, message FROM rec_check            every model and index of the connection
 *   main | movie_vec | ok
 *   main | taste     | taste: part 'model' is damaged ...
 *
 *   SELECT message FROM rec_check('movie_vec')             one of them: 'name' or 'schema.name'
 *
 * The same checks as the command 'integrity-check', which is an INSERT: it needs the write lock and a file that may
 * be written. This only reads, so it works on a read-only file, beside a writer, and with SQLite before 3.44, whose
 * PRAGMA integrity_check passes virtual tables by.
 *
 * Invariants
 * I1. Nothing is written, and nothing that memory holds is believed: all is read again.
 * I2. What is wrong with one of them is its message and never hides the others. Only lack of memory, an interrupt
 *     and a lock of somebody else end the statement.
 *
 * Cost: that of reading everything that is checked.
 */
#include "sq_index.h"
#include "tf.h"

enum { CHECK_SCHEMA, CHECK_NAME, CHECK_KIND, CHECK_MESSAGE, CHECK_N };

typedef struct checks {
    sq_conn *conn;
    const char *schema, *name; /* the one that is asked for; NULL = any */
    tvf_rows *rows;
    size_t n;
} checks;

static rec_status add(checks *k, const char *schema, const char *name, const char *kind,
                      rec_status found, const rec_err *why, rec_err *err) {
    cell row[CHECK_N];
    int host = why->host & 0xff;
    bool is_locked = host == SQLITE_BUSY || host == SQLITE_LOCKED;
    if (found == REC_NOMEM || found == REC_INTR || is_locked) { /* I2 */
        *err = *why;
        err->code = found;
        return found;
    }
    row[CHECK_SCHEMA] = cell_str(schema);
    row[CHECK_NAME] = cell_str(name);
    row[CHECK_KIND] = cell_str(kind);
    row[CHECK_MESSAGE] = cell_str(found == REC_OK ? "ok" : why->msg);
    k->n++;
    return tvf_rows_add(k->rows, row, err);
}

static rec_status check_model(void *ctx, const char *schema, const char *name,
                              rec_err *err) {
    checks *k = ctx;
    rec_err why = {0};
    if (k->name && sqlite3_stricmp(k->name, name) != 0) return REC_OK;
    if (k->schema && sqlite3_stricmp(k->schema, schema) != 0) return REC_OK;
    rec_status s = sq_model_check(k->conn, schema, name, &why);
    return add(k, schema, name, "model", s, &why, err);
}

static rec_status check_index(void *ctx, tf_index *t, rec_err *err) {
    checks *k = ctx;
    sq_args args = {0};
    sq_index_def d = {.vector_field = -1};
    sq_index *ix = NULL;
    rec_err why = {0};
    rec_status s = tf_index_arguments(t->arguments, &args, &why);
    if (s == REC_OK) s = sq_index_def_parse(&args, t->name, &d, &why);
    if (s == REC_OK) s = sq_index_open(k->conn, t->schema, t->name, &ix, &why);
    if (s == REC_OK) s = sq_index_check(ix, &d, false, &why);
    sq_index_close(ix);
    sq_index_def_clear(&d);
    sq_args_clear(&args);
    return add(k, t->schema, t->name, "index", s, &why, err);
}

static rec_status check_all(checks *k, rec_err *err) {
    rec_status s = sq_model_each(k->conn, check_model, k, err);
    if (s == REC_OK)
        s = tf_index_each(k->conn, k->schema, k->name, check_index, k, err);
    return s;
}

/* 'schema.name', if nothing is called so altogether. */
static rec_status check_named(checks *k, const char *name, rec_err *err) {
    k->name = name;
    rec_status s = check_all(k, err);
    const char *dot = strchr(name, '.');
    if (s == REC_OK && k->n == 0 && dot) {
        char *schema = rec_strndup(name, (size_t)(dot - name));
        if (schema == NULL) return rec_nomem(err);
        k->schema = schema;
        k->name = dot + 1;
        s = check_all(k, err);
        k->schema = NULL;
        rec_free(schema);
    }
    if (s == REC_OK && k->n == 0)
        s = rec_fail(err, REC_RANGE,
                     "rec_check: there is no rec_index or rec_model called %s", name);
    return s;
}

static rec_status check_open(sq_conn *c, sqlite3_value **arg, tvf_result **out,
                             rec_err *err) {
    checks k = {.conn = c};
    const char *name = NULL;
    size_t n_name;
    *out = NULL;
    rec_status s = tf_text("rec_check", "name", arg[0], &name, &n_name, err);
    if (s != REC_OK) return s;
    if (arg[0] && name == NULL)
        return rec_fail(err, REC_RANGE, "rec_check: which model or index? found NULL");
    k.rows = tvf_rows_new(CHECK_N);
    if (k.rows == NULL) return rec_nomem(err);
    s = name ? check_named(&k, name, err) : check_all(&k, err);
    if (s != REC_OK) {
        tvf_rows_free(k.rows);
        return s;
    }
    *out = tvf_rows_result(k.rows);
    return *out ? REC_OK : rec_nomem(err);
}

const tvf_def tf_check_def = {
    .name = "rec_check",
    .columns = "schema TEXT, name TEXT, kind TEXT, message TEXT",
    .args = "name",
    .n_required = 0,
    .rank_column = -1,
    .cost = 1e6,
    .open = check_open,
};
