/* sq_index.c - what a rec_index stores, and writing it.
 *
 *   <t>_rows    slot | id | v | c0 c1 ... | sum       the truth: a row a vector
 *   <t>_chunks  chunk | ver | live | ids              64 slots: when changed, which are taken
 *               HEAD  | waiting | generation record   see sq_shadow.c
 *   <t>_graph   chunk | ver | bytes                   graph kinds: links of 64 slots, derived
 *   <t>_state   'format', 'ef'
 *
 * An INTEGER key is the rowid of <t>_rows, and the head row comes after every chunk. So a row
 * appended to the table changes two pages: that of the row and the last one of <t>_chunks. (A TEXT
 * key adds that of its index.)
 *
 * A write changes rows only: five short nested statements, whatever the kind. Memory learns of
 * it by reading the touched chunks again before the next search (sq_index_memory.c), and links
 * are made when a transaction is about to commit (sq_index_graph.c). So a failed statement
 * leaves nothing behind, and a writer that never searches never loads anything.
 *
 * I1. Every write transaction, and every write after a savepoint event, makes a new generation
 *     before it changes anything; a chunk's ver is the counter it was last written under.
 * I4. sum is a hash over id, v and the cells: sq_index_check.c finds any changed byte of a row.
 *
 * (I2 is that of sq_index_slot.c, I3 that of sq_index_memory.c, I5 to I7 those of
 * sq_index_graph.c.)
 */
#include "sq_index.h"

#include <inttypes.h>

#define INDEX_MAX_TOUCHED ((size_t)1 << 20)

const char *const sq_index_shadow[] = {"rows", "chunks", "state", "graph", NULL};

/* ---- entries ---------------------------------------------------------------------------- */

void sq_memory_unref(sq_memory *m) {
    if (m == NULL || --m->n_ref > 0) return;
    if (m->ix) m->ix->ops->close(m->ix);
    filter_free(m->cells);
    rec_free(m);
}

void sq_index_drop_memory(sq_index *ix) {
    sq_memory_unref(ix->mem);
    ix->mem = NULL;
    ix->n_segment = ix->n_touched = ix->n_applied = ix->n_saved = 0;
}

static void drop_statements(sq_index *ix) {
    for (int i = 0; i < INDEX_ST_N; i++) {
        sqlite3_finalize(ix->st[i]);
        ix->st[i] = NULL;
    }
}

void sq_index_forget(sq_index *ix) {
    sq_index_drop_memory(ix);
    drop_statements(ix);
    ix->want_bump = true;
    ix->last = (sq_generation){0};
}

static void entry_free(sq_index *ix) {
    sq_index_forget(ix);
    rec_free(ix->segment);
    rec_free(ix->touched);
    rec_free(ix->saved);
    rec_free(ix->schema);
    rec_free(ix->name);
    rec_free(ix);
}

void sq_index_free_all(sq_conn *c) {
    while (c->indexes) {
        sq_index *next = c->indexes->next;
        entry_free(c->indexes);
        c->indexes = next;
    }
}

/* Entries of schemas that were detached. Others stay without a table object: VACUUM and foreign
 * DDL disconnect every table for a moment, and reading 1 GB again for that would hurt. */
static void purge(sq_conn *c) {
    for (sq_index **at = &c->indexes; *at;) {
        sq_index *ix = *at;
        if (ix->n_ref > 0 || sqlite3_db_readonly(c->db, ix->schema) >= 0) {
            at = &ix->next;
            continue;
        }
        *at = ix->next;
        entry_free(ix);
    }
}

rec_status sq_index_open(sq_conn *c, const char *schema, const char *name,
                         sq_index **out, rec_err *err) {
    *out = NULL;
    purge(c);
    for (sq_index *ix = c->indexes; ix; ix = ix->next)
        if (sqlite3_stricmp(ix->schema, schema) == 0 &&
            sqlite3_stricmp(ix->name, name) == 0) {
            ix->n_ref++;
            *out = ix;
            return REC_OK;
        }
    sq_index *ix = rec_zeros(1, sizeof *ix);
    if (ix == NULL) return rec_nomem(err);
    ix->schema = rec_strdup(schema);
    ix->name = rec_strdup(name);
    ix->conn = c;
    ix->n_ref = 1;
    ix->want_bump = true;
    if (ix->schema == NULL || ix->name == NULL) {
        entry_free(ix);
        return rec_nomem(err);
    }
    ix->next = c->indexes;
    c->indexes = ix;
    c->drop_indexes = sq_index_free_all;
    *out = ix;
    return REC_OK;
}

void sq_index_close(sq_index *ix) {
    if (ix && --ix->n_ref == 0) drop_statements(ix);
}

void sq_index_boundary(sq_index *ix, bool is_transaction) {
    ix->want_bump = true;
    if (!is_transaction) return;
    ix->has_bumped = false;
    ix->n_written = ix->n_uncounted = 0;
}

/* ---- nested statements -------------------------------------------------------------------- */

/* "c0, c1, " with a template that takes numbers from `first` on, then from 4 on; sqlite3_free. */
static char *column_list(const sq_index_def *d, const char *fmt, int first) {
    char *list = sqlite3_mprintf("%s", "");
    for (int i = 0; i < d->n_filter && list; i++) {
        char *one = sqlite3_mprintf(fmt, first + i, 4 + i);
        char *longer = one ? sqlite3_mprintf("%s%s", list, one) : NULL;
        sqlite3_free(one);
        sqlite3_free(list);
        list = longer;
    }
    return list;
}

/* ?1 slot, ?2 id, ?3 v, ?4.. cells, sum; the last one of an UPDATE is the rowid before. */
static rec_status prepare_insert(sq_index *ix, const sq_index_def *d,
                                 sqlite3_stmt **out, rec_err *err) {
    char *names = column_list(d, "c%d, ", 0), *marks = column_list(d, "?%d, ", 4);
    rec_status s = names && marks ? REC_OK : rec_nomem(err);
    if (s == REC_OK)
        s = sq_prepare(ix->conn->db, d->what, out, err,
                       "INSERT INTO \"%w\".\"%w_rows\"(slot, id, v, %ssum)"
                       " VALUES(?1, ?2, ?3, %s?%d)",
                       ix->schema, ix->name, names, marks, 4 + d->n_filter);
    sqlite3_free(names);
    sqlite3_free(marks);
    return s;
}

static rec_status prepare_update(sq_index *ix, const sq_index_def *d,
                                 sqlite3_stmt **out, rec_err *err) {
    char *set = column_list(d, "c%d = ?%d, ", 0);
    rec_status s =
        set ? sq_prepare(ix->conn->db, d->what, out, err,
                         "UPDATE OR REPLACE \"%w\".\"%w_rows\" SET slot = ?1, id = ?2,"
                         " v = ?3, %ssum = ?%d WHERE rowid = ?%d",
                         ix->schema, ix->name, set, 4 + d->n_filter, 5 + d->n_filter)
            : rec_nomem(err);
    sqlite3_free(set);
    return s;
}

rec_status sq_index_select(sq_index *ix, const sq_index_def *d, const char *where,
                           sqlite3_stmt **out, rec_err *err) {
    char *names = column_list(d, "c%d, ", 0);
    *out = NULL;
    rec_status s =
        names ? sq_prepare(ix->conn->db, d->what, out, err,
                           "SELECT slot, id, v, %ssum FROM \"%w\".\"%w_rows\" %s",
                           names, ix->schema, ix->name, where)
              : rec_nomem(err);
    sqlite3_free(names);
    return s;
}

static const char *const statement_text[INDEX_ST_N] = {
    [INDEX_ST_GEN_GET] =
        "SELECT live, ver FROM \"%w\".\"%w_chunks\" WHERE chunk = " INDEX_HEAD_TEXT,
    [INDEX_ST_GEN_SET] = "UPDATE \"%w\".\"%w_chunks\" SET live = ?1, ver = ?2"
                         " WHERE chunk = " INDEX_HEAD_TEXT,
    [INDEX_ST_FIND] = "SELECT slot, id FROM \"%w\".\"%w_rows\" WHERE id = ?1",
    [INDEX_ST_MAX_ID] = "SELECT coalesce(max(id), 0) FROM \"%w\".\"%w_rows\"",
    [INDEX_ST_FREE] = "SELECT chunk, live, ids FROM \"%w\".\"%w_chunks\""
                      " WHERE chunk >= ?1 AND chunk < " INDEX_HEAD_TEXT
                      " AND live <> -1 ORDER BY chunk LIMIT 1",
    [INDEX_ST_NEXT_CHUNK] =
        "SELECT coalesce(max(chunk) + 1, 0) FROM \"%w\".\"%w_chunks\""
        " WHERE chunk < " INDEX_HEAD_TEXT,
    [INDEX_ST_CHUNK_COUNT] = "SELECT count(*) FROM \"%w\".\"%w_chunks\""
                             " WHERE chunk < " INDEX_HEAD_TEXT,
    [INDEX_ST_CHUNK_GET] =
        "SELECT chunk, live, ids FROM \"%w\".\"%w_chunks\" WHERE chunk = ?1",
    [INDEX_ST_CHUNK_SET] = "REPLACE INTO \"%w\".\"%w_chunks\"(chunk, ver, live, ids)"
                           " VALUES(?1, ?2, ?3, ?4)",
    [INDEX_ST_CHUNK_TOUCH] =
        "UPDATE \"%w\".\"%w_chunks\" SET ver = ?2 WHERE chunk = ?1",
    [INDEX_ST_DELETE] = "DELETE FROM \"%w\".\"%w_rows\" WHERE rowid = ?1",
    [INDEX_ST_NEWER] = "SELECT chunk FROM \"%w\".\"%w_chunks\""
                       " WHERE ver > ?1 AND chunk < " INDEX_HEAD_TEXT,
    [INDEX_ST_GRAPH_NEWER] = "SELECT chunk FROM \"%w\".\"%w_graph\" WHERE ver > ?1",
    [INDEX_ST_GRAPH_GET] = "SELECT chunk, ver, bytes FROM \"%w\".\"%w_graph\""
                           " WHERE chunk = ?1",
    [INDEX_ST_GRAPH_SET] =
        "REPLACE INTO \"%w\".\"%w_graph\"(chunk, ver, bytes) VALUES(?1, ?2, ?3)",
    [INDEX_ST_WAITING_ADD] = "UPDATE \"%w\".\"%w_chunks\" SET ver = ver + ?1"
                             " WHERE chunk = " INDEX_HEAD_TEXT " RETURNING ver",
    [INDEX_ST_WAITING_SET] = "UPDATE \"%w\".\"%w_chunks\" SET ver = ?1"
                             " WHERE chunk = " INDEX_HEAD_TEXT,
    [INDEX_ST_EF_GET] = "SELECT v FROM \"%w\".\"%w_state\" WHERE k = 'ef'",
};

rec_status sq_index_statement(sq_index *ix, const sq_index_def *d, int which,
                              sqlite3_stmt **out, rec_err *err) {
    rec_status s = REC_OK;
    if (ix->st[which] == NULL) {
        if (which == INDEX_ST_INSERT)
            s = prepare_insert(ix, d, &ix->st[which], err);
        else if (which == INDEX_ST_UPDATE)
            s = prepare_update(ix, d, &ix->st[which], err);
        else if (which == INDEX_ST_CHUNK_ROWS)
            s = sq_index_select(ix, d, "WHERE rowid BETWEEN ?1 AND ?2", &ix->st[which],
                                err);
        else
            s = sq_prepare(ix->conn->db, d->what, &ix->st[which], err,
                           statement_text[which], ix->schema, ix->name);
    }
    *out = ix->st[which];
    return s;
}

/* Run a statement of integer arguments that gives no row. */
rec_status sq_index_run(sq_index *ix, const sq_index_def *d, int which,
                        const int64_t *arg, int n_arg, rec_err *err) {
    sqlite3_stmt *st = NULL;
    bool row = false;
    rec_status s = sq_index_statement(ix, d, which, &st, err);
    for (int i = 0; i < n_arg && s == REC_OK; i++)
        if (sqlite3_bind_int64(st, i + 1, arg[i]) != SQLITE_OK) s = rec_nomem(err);
    if (s == REC_OK) s = sq_step(st, d->what, &row, err);
    return s;
}

rec_status sq_index_generation(sq_index *ix, const sq_index_def *d, sq_index_gen *g,
                               rec_err *err) {
    sqlite3_stmt *st = NULL;
    bool row = false;
    g->raw = (cell){0};
    rec_status s = sq_index_statement(ix, d, INDEX_ST_GEN_GET, &st, err);
    if (s == REC_OK) s = sq_step(st, d->what, &row, err);
    if (s == REC_OK && row) {
        g->raw = sq_column_cell(st, 0);
        g->waiting = sqlite3_column_int64(st, 1);
        if (g->raw.type == CELL_BLOB && g->raw.nbyte <= sizeof g->bytes) {
            memcpy(g->bytes, g->raw.p, g->raw.nbyte);
            g->raw.p = g->bytes;
        } else {
            g->raw = (cell){0};
        }
    }
    if (st) sqlite3_reset(st);
    rec_err inner = {0};
    if (s == REC_OK &&
        sq_generation_parse(d->table, &g->raw, &g->now, &inner) != REC_OK)
        s = rec_corrupt(err,
                        "%s: row %s of %s_chunks, the generation record, is missing or "
                        "damaged; 'rebuild' repairs that",
                        d->what, INDEX_HEAD_TEXT, d->table);
    return s;
}

/* ---- creation ------------------------------------------------------------------------------- */

rec_status sq_index_create(sqlite3 *db, const char *schema, const sq_index_def *d,
                           rec_err *err) {
    char *names = column_list(d, "c%d, ", 0);
    cell format = {.type = CELL_INT, .i = INDEX_FORMAT};
    if (names == NULL) return rec_nomem(err);
    rec_status s = sq_exec(
        db, d->what, err, "CREATE TABLE \"%w\".\"%w_rows\"(%s, v BLOB, %ssum INTEGER)",
        schema, d->table,
        d->key == INDEX_KEY_TEXT ? "slot INTEGER PRIMARY KEY, id TEXT UNIQUE NOT NULL"
                                 : "id INTEGER PRIMARY KEY, slot INTEGER NOT NULL",
        names);
    sqlite3_free(names);
    if (s == REC_OK)
        s = sq_exec(db, d->what, err,
                    "CREATE TABLE \"%w\".\"%w_chunks\"(" INDEX_CHUNKS_COLUMNS ")",
                    schema, d->table);
    if (s == REC_OK) s = sq_index_head_create(db, schema, d, err);
    if (s == REC_OK && sq_graph_exists(d))
        s = sq_graph_create(db, schema, d, false, err);
    if (s == REC_OK) s = sq_state_create(db, schema, d->table, err);
    if (s == REC_OK) s = sq_state_set(db, schema, d->table, "format", &format, err);
    return s;
}

/* A head row with a first generation, unless a sound one is there. */
rec_status sq_index_head_create(sqlite3 *db, const char *schema, const sq_index_def *d,
                                rec_err *err) {
    sqlite3_stmt *st = NULL;
    bytes_writer w = {0};
    cell none = {0};
    sq_generation first;
    bool row = false;
    rec_status s = sq_generation_next(&none, false, &first, &w, err);
    if (s == REC_OK)
        s = sq_prepare(db, d->what, &st, err,
                       "REPLACE INTO \"%w\".\"%w_chunks\"(chunk, ver, live)"
                       " VALUES(" INDEX_HEAD_TEXT ", 0, ?1)",
                       schema, d->table);
    if (s == REC_OK) {
        cell c = {.type = CELL_BLOB, .p = (const char *)w.data, .nbyte = w.n};
        s = sq_bind_cell(st, 1, &c, err);
    }
    if (s == REC_OK) s = sq_step(st, d->what, &row, err);
    sqlite3_finalize(st);
    bytes_clear(&w);
    return s;
}

/* ---- writing ----------------------------------------------------------------------------------- */

static rec_status store_generation(sq_index *ix, const sq_index_def *d,
                                   const sq_index_gen *g, int64_t waiting,
                                   rec_err *err) {
    bool is_same = sq_generation_equal(&g->now, &ix->last) && ix->has_bumped;
    bytes_writer w = {0};
    sqlite3_stmt *st = NULL;
    sq_generation next;
    bool row = false;
    rec_status s = sq_generation_next(&g->raw, is_same, &next, &w, err);
    if (s == REC_OK) s = sq_index_statement(ix, d, INDEX_ST_GEN_SET, &st, err);
    if (s == REC_OK) {
        cell c = {.type = CELL_BLOB, .p = (const char *)w.data, .nbyte = w.n};
        s = sq_bind_cell(st, 1, &c, err);
        if (s == REC_OK && sqlite3_bind_int64(st, 2, waiting)) s = rec_nomem(err);
        if (s == REC_OK) s = sq_step(st, d->what, &row, err);
    }
    bytes_clear(&w);
    if (s != REC_OK) return s;
    ix->last = next;
    ix->waiting = waiting;
    ix->want_bump = false;
    ix->has_bumped = true;
    if (ix->mem) s = sq_index_push_segment(ix, &next, err);
    if (s != REC_OK) sq_index_drop_memory(ix);
    return s;
}

/* I1. What every write does first. */
rec_status sq_index_begin_write(sq_index *ix, const sq_index_def *d, size_t n_row,
                                rec_err *err) {
    sq_index_gen g;
    rec_status s = sq_index_generation(ix, d, &g, err);
    if (s != REC_OK) return s;
    bool is_ours = sq_generation_equal(&g.now, &ix->last);
    if (!is_ours) { /* others wrote, or a rollback freed slots */
        ix->first_free = 0;
        ix->has_filling = false;
    }
    if (ix->mem && !sq_generation_equal(&g.now, &ix->segment[ix->n_segment - 1].gen))
        s = sq_index_revalidate(ix, d, &g, err);
    ix->n_written += n_row;
    if (s != REC_OK) return s;
    if (ix->want_bump || !is_ours) /* these rows are counted at once */
        return store_generation(ix, d, &g, (int64_t)((uint64_t)g.waiting + n_row), err);
    ix->n_uncounted += n_row;
    return REC_OK;
}

static rec_status touch(sq_index *ix, int64_t slot, rec_err *err) {
    uint32_t chunk = (uint32_t)(slot / 64);
    if (ix->mem == NULL) return REC_OK;
    if (ix->n_touched > ix->segment[ix->n_segment - 1].first &&
        ix->n_touched > ix->n_applied && ix->touched[ix->n_touched - 1] == chunk)
        return REC_OK;
    rec_status s = REC_OK;
    if (ix->n_touched < INDEX_MAX_TOUCHED)
        s = rec_grow(&ix->touched, &ix->cap_touched, ix->n_touched + 1,
                     sizeof *ix->touched, err);
    if (s != REC_OK || ix->n_touched == INDEX_MAX_TOUCHED)
        sq_index_drop_memory(ix);
    else
        ix->touched[ix->n_touched++] = chunk;
    return s;
}

sq_place sq_index_place(const sq_index_def *d, sqlite3_stmt *st) {
    sq_place at = {.slot = SQ_NO_SLOT};
    if (sqlite3_column_type(st, 0) == SQLITE_INTEGER)
        at.slot = sqlite3_column_int64(st, 0);
    at.rowid = d->key == INDEX_KEY_TEXT ? at.slot : sqlite3_column_int64(st, 1);
    return at;
}

static rec_status check_slot(const sq_index_def *d, int64_t slot, rec_err *err) {
    if (slot >= 0 && slot < INDEX_MAX_SLOT) return REC_OK;
    return rec_corrupt(err,
                       "%s: %s_rows holds the slot %" PRId64
                       ", allowed are 0 to %" PRId64 "; 'rebuild' repairs that",
                       d->what, d->table, slot, INDEX_MAX_SLOT - 1);
}

rec_status sq_index_find(sq_index *ix, const sq_index_def *d, const cell *id,
                         sq_place *at, rec_err *err) {
    sqlite3_stmt *st = NULL;
    bool row = false;
    *at = (sq_place){.slot = SQ_NO_SLOT};
    rec_status s = sq_index_statement(ix, d, INDEX_ST_FIND, &st, err);
    if (s == REC_OK) s = sq_bind_cell(st, 1, id, err);
    if (s == REC_OK) s = sq_step(st, d->what, &row, err);
    if (s == REC_OK && row) {
        *at = sq_index_place(d, st);
        s = check_slot(d, at->slot, err);
    }
    if (st) sqlite3_reset(st);
    return s;
}

rec_status sq_index_max_id(sq_index *ix, const sq_index_def *d, int64_t *out,
                           rec_err *err) {
    sqlite3_stmt *st = NULL;
    bool row = false;
    *out = 0;
    rec_status s = sq_index_statement(ix, d, INDEX_ST_MAX_ID, &st, err);
    if (s == REC_OK) s = sq_step(st, d->what, &row, err);
    if (s == REC_OK && row) *out = sqlite3_column_int64(st, 0);
    if (st) sqlite3_reset(st);
    return s;
}

/* at->rowid: that of the row before, or of a new one. */
static rec_status write_row(sq_index *ix, const sq_index_def *d,
                            const sq_index_row *row, const sq_place *at, int which,
                            rec_err *err) {
    sqlite3_stmt *st = NULL;
    size_t n_v = vec_nbyte(d->type, d->cfg.dim);
    cell sum = {.type = CELL_INT};
    bool more = false;
    rec_status s = sq_index_statement(ix, d, which, &st, err);
    if (s != REC_OK) return s;
    s = sq_index_row_sum(d, row, &sum.i, err);
    if (s == REC_OK && sqlite3_bind_int64(st, 1, at->slot)) s = rec_nomem(err);
    if (s == REC_OK) s = sq_bind_cell(st, 2, &row->id, err);
    if (s == REC_OK && row->v && sqlite3_bind_blob64(st, 3, row->v, n_v, SQLITE_STATIC))
        s = rec_nomem(err);
    for (int i = 0; i < d->n_filter && s == REC_OK; i++)
        s = sq_bind_cell(st, 4 + i, &row->filter[i], err);
    if (s == REC_OK) s = sq_bind_cell(st, 4 + d->n_filter, &sum, err);
    if (s == REC_OK && which == INDEX_ST_UPDATE &&
        sqlite3_bind_int64(st, 5 + d->n_filter, at->rowid))
        s = rec_nomem(err);
    if (s == REC_OK) s = sq_step(st, d->what, &more, err);
    sqlite3_clear_bindings(st);
    return s;
}

/* A slot is taken before its row is written, and free after the row went (I2). */
rec_status sq_index_insert(sq_index *ix, const sq_index_def *d, const sq_index_row *row,
                           sq_place *at, rec_err *err) {
    rec_status s = sq_index_begin_write(ix, d, 1, err);
    if (s == REC_OK) s = sq_slot_take(ix, d, &row->id, &at->slot, err);
    if (s != REC_OK) return s;
    at->rowid = d->key == INDEX_KEY_TEXT ? at->slot : row->id.i;
    s = touch(ix, at->slot, err);
    return s == REC_OK ? write_row(ix, d, row, at, INDEX_ST_INSERT, err) : s;
}

/* Memory and other connections learn of a change at the place. */
static rec_status touch_both(sq_index *ix, const sq_index_def *d, const sq_place *at,
                             rec_err *err) {
    if (at->slot == SQ_NO_SLOT) return REC_OK;
    rec_status s = touch(ix, at->slot, err);
    return s == REC_OK ? sq_slot_touch(ix, d, at->slot, err) : s;
}

/* A row whose INTEGER key changes gets another slot: then the old one and the new one are sound
 * whatever fails in between. */
rec_status sq_index_replace(sq_index *ix, const sq_index_def *d,
                            const sq_index_row *row, sq_place *at, rec_err *err) {
    const sq_place before = *at;
    sq_place other;
    rec_status s = check_slot(d, before.slot, err);
    if (s == REC_OK) s = sq_index_begin_write(ix, d, 1, err);
    if (s == REC_OK) s = sq_index_find(ix, d, &row->id, &other, err);
    if (s != REC_OK) return s;
    if (other.slot == before.slot) other.slot = SQ_NO_SLOT;
    bool is_moved = d->key != INDEX_KEY_TEXT && row->id.i != before.rowid;
    s = touch_both(ix, d, &before, err);
    if (s == REC_OK) s = touch_both(ix, d, &other, err);
    if (s == REC_OK && is_moved) s = sq_slot_take(ix, d, &row->id, &at->slot, err);
    if (s == REC_OK && is_moved) s = touch(ix, at->slot, err);
    if (s == REC_OK) s = write_row(ix, d, row, at, INDEX_ST_UPDATE, err);
    if (s == REC_OK && is_moved) s = sq_slot_release(ix, d, &before, err);
    if (s == REC_OK && other.slot != SQ_NO_SLOT)
        s = sq_slot_release(ix, d, &other, err);
    at->rowid = d->key == INDEX_KEY_TEXT ? at->slot : row->id.i;
    return s;
}

rec_status sq_index_delete(sq_index *ix, const sq_index_def *d, const sq_place *at,
                           rec_err *err) {
    rec_status s = check_slot(d, at->slot, err);
    if (s == REC_OK) s = sq_index_begin_write(ix, d, 1, err);
    if (s == REC_OK) s = touch_both(ix, d, at, err);
    if (s == REC_OK) s = sq_index_run(ix, d, INDEX_ST_DELETE, &at->rowid, 1, err);
    return s == REC_OK ? sq_slot_release(ix, d, at, err) : s;
}
