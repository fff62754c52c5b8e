/* vt_index_write.c - INSERT, UPDATE, DELETE and commands of a rec_index.
 *
 *   xUpdate(rowid)                        DELETE
 *   xUpdate(NULL, rowid, columns...)      INSERT, or a command when the command column is set
 *   xUpdate(old, new, columns...)         UPDATE
 *
 *   columns -> affinity applied, vector encoded -> key decided -> conflicts -> sq_index
 *
 * I1. Everything that can be refused is refused before anything is written: a conflict is
 *     decided here (ABORT, IGNORE, FAIL, ROLLBACK by SQLITE_CONSTRAINT, REPLACE by writing).
 * I2. With a TEXT key the rowid is the slot, an internal number that cannot be written.
 * I3. A vector that an UPDATE does not name is copied in its stored form.
 */
#include "sq_index.h"

static int constraint(vt_index *vt, const char *kind) {
    const char *key = "rowid";
    for (size_t i = 0; i < vt->def.n_field; i++)
        if (vt->def.field[i].role == FIELD_KEY) key = vt->def.field[i].name;
    sqlite3_free(vt->base.zErrMsg);
    vt->base.zErrMsg =
        sqlite3_mprintf("%s constraint failed: %s.%s", kind, vt->def.table, key);
    return SQLITE_CONSTRAINT;
}

static rec_status run_command(vt_index *vt, sqlite3_value *v, rec_err *err) {
    const char *text = (const char *)sqlite3_value_text(v);
    const char *what = vt->def.what;
    if (text == NULL) return rec_nomem(err);
    if (strcmp(text, "rebuild") == 0) return sq_index_rebuild(vt->ix, &vt->def, err);
    if (strcmp(text, "optimize") == 0) return sq_index_optimize(vt->ix, &vt->def, err);
    if (strcmp(text, "integrity-check") == 0)
        return sq_index_check(vt->ix, &vt->def, false, err);
    if (strncmp(text, "ef=", 3) == 0 && sq_graph_exists(&vt->def))
        return sq_graph_set_ef(vt->ix, &vt->def, text + 3, err);
    if (strncmp(text, "ef=", 3) == 0)
        return rec_fail(
            err, REC_RANGE,
            "%s: ef belongs to graph indexes; kind=flat compares with every vector and "
            "has nothing to tune",
            what);
    if (strncmp(text, "recall", 6) == 0)
        return rec_fail(err, REC_RANGE,
                        "%s: recall is measured by SELECT recall FROM "
                        "rec_index_stats('%s', 200)",
                        what, vt->def.table);
    return rec_fail(err, REC_RANGE,
                    "%s: command '%s' is unknown; commands are 'rebuild', 'optimize', "
                    "'integrity-check'%s",
                    what, text, sq_graph_exists(&vt->def) ? ", 'ef=128'" : "");
}

typedef struct new_row {
    sq_index_row row;
    uint8_t *v; /* owned; row.v points at it or is NULL */
} new_row;

static void new_row_clear(new_row *r, const sq_index_def *d) {
    sq_cell_free(&r->row.id);
    for (int i = 0; i < d->n_filter && r->row.filter; i++)
        sq_cell_free(&r->row.filter[i]);
    rec_free(r->row.filter);
    rec_free(r->v);
}

/* The stored vector of the row that an UPDATE leaves alone. */
static rec_status keep_vector(vt_index *vt, const sq_place *at, new_row *r,
                              rec_err *err) {
    sqlite3_stmt *st = NULL;
    bool row = false;
    rec_status s = sq_index_select(vt->ix, &vt->def, "WHERE rowid = ?1", &st, err);
    if (s == REC_OK && sqlite3_bind_int64(st, 1, at->rowid)) s = rec_nomem(err);
    if (s == REC_OK) s = sq_step(st, vt->def.what, &row, err);
    if (s == REC_OK && row) {
        cell c = sq_column_cell(st, 2);
        s = sq_index_check_vector(&vt->def, at->slot, &c, err);
        if (s == REC_OK && c.type == CELL_BLOB) {
            memcpy(r->v, c.p, c.nbyte);
            r->row.v = r->v;
        }
    }
    sqlite3_finalize(st);
    return s;
}

static rec_status read_vector(vt_index *vt, sqlite3_value *v, new_row *r,
                              rec_err *err) {
    const sq_index_def *d = &vt->def;
    float *x = NULL;
    uint32_t dim;
    rec_err inner = {0};
    rec_status s = sq_vector(v, d->cfg.dim, d->what, &x, &dim, err);
    if (s != REC_OK || x == NULL) return s;
    s = index_encode(d->type, x, d->cfg.dim, r->v, &inner);
    rec_free(x);
    r->row.v = r->v;
    return s == REC_OK ? s : rec_fail(err, s, "%s: %s", d->what, inner.msg);
}

/* Vector and filter cells from the arguments; old: the row of an UPDATE. value[i]: column i. */
static rec_status read_cells(vt_index *vt, sqlite3_value **value, const sq_place *old,
                             new_row *r, rec_err *err) {
    const sq_index_def *d = &vt->def;
    rec_status s = REC_OK;
    r->v = rec_malloc(vec_nbyte(d->type, d->cfg.dim));
    r->row.filter = rec_zeros((size_t)d->n_filter, sizeof(cell));
    if (r->v == NULL || r->row.filter == NULL) return rec_nomem(err);
    for (size_t i = 0; i < d->n_field && s == REC_OK; i++) {
        const index_field *f = &d->field[i];
        if (f->role == FIELD_FILTER)
            s = sq_value_as(value[i], f->affinity, &r->row.filter[f->cell - 1], err);
        else if (f->role == FIELD_VECTOR)
            s = old->slot != SQ_NO_SLOT && sqlite3_value_nochange(value[i])
                    ? keep_vector(vt, old, r, err)
                    : read_vector(vt, value[i], r, err);
    }
    for (int i = 0; i < INDEX_COMMAND && s == REC_OK; i++) {
        static const char *const names[] = {"distance", "k", "ef"};
        sqlite3_value *v = value[d->n_field + (size_t)i];
        if (sqlite3_value_type(v) != SQLITE_NULL && !sqlite3_value_nochange(v))
            s = rec_fail(err, REC_RANGE, "%s: %s cannot be written", d->what, names[i]);
    }
    return s;
}

/* The key that an INSERT gives: of the key column, else the rowid, else the next number.
 * REC_OK with CELL_NULL: a TEXT key is missing. */
static rec_status insert_key(vt_index *vt, sqlite3_value *rowid, sqlite3_value *key,
                             cell *out, bool *is_next, rec_err *err) {
    const sq_index_def *d = &vt->def;
    rec_status s = REC_OK;
    *is_next = false;
    bool has_rowid = sqlite3_value_type(rowid) != SQLITE_NULL;
    if (key && sqlite3_value_type(key) != SQLITE_NULL) {
        s = sq_value_as(key, d->key == INDEX_KEY_TEXT ? 't' : 'i', out, err);
        if (s == REC_OK &&
            out->type != (d->key == INDEX_KEY_TEXT ? CELL_TEXT : CELL_INT))
            return rec_fail(err, REC_RANGE, "%s: a key is %s, found %s", d->what,
                            d->key == INDEX_KEY_TEXT ? "TEXT" : "a whole number",
                            out->type == CELL_BLOB
                                ? "a BLOB"
                                : (const char *)sqlite3_value_text(key));
        if (has_rowid &&
            (d->key == INDEX_KEY_TEXT || sqlite3_value_int64(rowid) != out->i))
            return rec_fail(err, REC_RANGE, "%s: the key and the rowid are both given",
                            d->what);
        return s;
    }
    if (d->key == INDEX_KEY_TEXT) return REC_OK;
    *out = (cell){.type = CELL_INT};
    if (has_rowid) {
        out->i = sqlite3_value_int64(rowid);
        return REC_OK;
    }
    s = sq_index_max_id(vt->ix, d, &out->i, err);
    if (s == REC_OK && out->i == INT64_MAX)
        return rec_fail(err, REC_RANGE, "%s: no key is left above %lld", d->what,
                        (long long)out->i);
    out->i = out->i < 0 ? 1 : out->i + 1;
    *is_next = true;
    return s;
}

/* The key after an UPDATE: of the key column if that changed, else the rowid. */
static rec_status update_key(vt_index *vt, sqlite3_value **argv, sqlite3_value *key,
                             cell *out, rec_err *err) {
    const sq_index_def *d = &vt->def;
    int64_t before = sqlite3_value_int64(argv[0]), after = sqlite3_value_int64(argv[1]);
    if (d->key == INDEX_KEY_TEXT) {
        if (sqlite3_value_type(argv[1]) != SQLITE_INTEGER || before != after)
            return rec_fail(err, REC_RANGE,
                            "%s: the rowid of a table with a TEXT key is fixed",
                            d->what);
    } else if (key == NULL || before != after) {
        *out = (cell){.type = CELL_INT, .i = after};
        if (sqlite3_value_type(argv[1]) == SQLITE_INTEGER) return REC_OK;
        return rec_fail(err, REC_RANGE, "%s: a rowid is a whole number", d->what);
    }
    if (sqlite3_value_type(key) == SQLITE_NULL) return REC_OK;
    rec_status s = sq_value_as(key, d->key == INDEX_KEY_TEXT ? 't' : 'i', out, err);
    if (s == REC_OK && out->type != (d->key == INDEX_KEY_TEXT ? CELL_TEXT : CELL_INT))
        return rec_fail(err, REC_RANGE, "%s: a key is %s", d->what,
                        d->key == INDEX_KEY_TEXT ? "TEXT" : "a whole number");
    return s;
}

static rec_status old_place(vt_index *vt, sqlite3_value *rowid, sq_place *at,
                            rec_err *err) {
    cell id = {.type = CELL_INT, .i = sqlite3_value_int64(rowid)};
    *at = (sq_place){.slot = id.i, .rowid = id.i};
    return vt->def.key == INDEX_KEY_TEXT
               ? REC_OK
               : sq_index_find(vt->ix, &vt->def, &id, at, err);
}

static sqlite3_value *key_value(const vt_index *vt, sqlite3_value **value) {
    for (size_t i = 0; i < vt->def.n_field; i++)
        if (vt->def.field[i].role == FIELD_KEY) return value[i];
    return NULL;
}

/* INSERT (old NULL) or UPDATE. *rc: SQLITE_CONSTRAINT when the key does not allow it. */
static rec_status write_row(vt_index *vt, sqlite3_value **argv, sqlite3_int64 *rowid,
                            int *rc, rec_err *err) {
    const sq_index_def *d = &vt->def;
    bool is_insert = sqlite3_value_type(argv[0]) == SQLITE_NULL;
    sqlite3_value **value = argv + 2, *key = key_value(vt, value);
    sq_place at = {.slot = SQ_NO_SLOT}, other = at;
    bool is_next = false; /* nobody has that key */
    new_row r = {0};
    rec_status s = is_insert ? insert_key(vt, argv[1], key, &r.row.id, &is_next, err)
                             : update_key(vt, argv, key, &r.row.id, err);
    if (s == REC_OK && !is_insert) s = old_place(vt, argv[0], &at, err);
    bool is_gone = s == REC_OK && !is_insert && at.slot == SQ_NO_SLOT;
    if (s == REC_OK && !is_gone) s = read_cells(vt, value, &at, &r, err);
    if (s == REC_OK && !is_gone && r.row.id.type == CELL_NULL)
        *rc = constraint(vt, "NOT NULL");
    if (s == REC_OK && *rc == SQLITE_OK && !is_gone) {
        if (!is_next) s = sq_index_find(vt->ix, d, &r.row.id, &other, err);
        if (s == REC_OK && other.slot != SQ_NO_SLOT &&
            (is_insert || other.rowid != at.rowid)) {
            if (sqlite3_vtab_on_conflict(vt->conn->db) != SQLITE_REPLACE)
                *rc = constraint(vt, "UNIQUE");
            else if (is_insert)
                at = other; /* the new row takes the place of the old */
        }
        if (s == REC_OK && *rc == SQLITE_OK)
            s = at.slot == SQ_NO_SLOT ? sq_index_insert(vt->ix, d, &r.row, &at, err)
                                      : sq_index_replace(vt->ix, d, &r.row, &at, err);
        if (is_insert) *rowid = at.rowid;
    }
    new_row_clear(&r, d);
    return s;
}

int vt_index_update(sqlite3_vtab *base, int argc, sqlite3_value **argv,
                    sqlite3_int64 *rowid) {
    vt_index *vt = (vt_index *)base;
    rec_err err = {0};
    rec_status s = REC_OK;
    int rc = SQLITE_OK;
    sqlite3_int64 last = sqlite3_last_insert_rowid(vt->conn->db);
    if (argc == 1) {
        sq_place at;
        s = old_place(vt, argv[0], &at, &err);
        if (s == REC_OK && at.slot != SQ_NO_SLOT)
            s = sq_index_delete(vt->ix, &vt->def, &at, &err);
    } else {
        sqlite3_value *command = argv[2 + vt->def.n_field + INDEX_COMMAND];
        bool is_insert = sqlite3_value_type(argv[0]) == SQLITE_NULL;
        bool is_command = sqlite3_value_type(command) != SQLITE_NULL;
        if (is_command && !is_insert)
            s = rec_fail(&err, REC_RANGE,
                         "%s: a command is an INSERT: INSERT INTO %s(%s) VALUES "
                         "('optimize'); UPDATE has none",
                         vt->def.what, vt->def.table, vt->def.table);
        else if (is_command)
            s = run_command(vt, command, &err);
        else
            s = write_row(vt, argv, rowid, &rc, &err);
    }
    sqlite3_set_last_insert_rowid(vt->conn->db,
                                  last); /* nested INSERTs are nobody's business */
    return s == REC_OK ? rc : sq_vtab_error(base, &err);
}
