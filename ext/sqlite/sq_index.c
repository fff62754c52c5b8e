/* sq_index.c - what a rec_index stores, and writing it.
 *
 *   <t>_rows    slot | id | v | c0 c1 ... | sum       the truth: a row a vector
 *   <t>_chunks  chunk | ver | live                    64 slots: when changed, which are taken
 *               HEAD  | waiting | generation record   see sq_shadow.c
 *   <t>_graph   chunk | ver | bytes                   graph kinds: links of 64 slots, derived
 *   <t>_state   'format', 'ef'
 *
 * The head row comes after every chunk, so that a row appended to the table changes three pages:
 * that of the row, that of its key, and the last one of <t>_chunks.
 *
 * A write changes rows only: four short nested statements, whatever the kind. Memory learns of
 * it by reading the touched chunks again before the next search (sq_index_memory.c), and links
 * are made when a transaction is about to commit (sq_index_graph.c). So a failed statement
 * leaves nothing behind, and a writer that never searches never loads anything.
 *
 * I1. Every write transaction, and every write after a savepoint event, makes a new generation
 *     before it changes anything; a chunk's ver is the counter it was last written under.
 * I2. slot = 64*chunk + bit; a row's bit in live is set. (A set bit without a row is a slot
 *     lost to a failed statement: harmless, 'optimize' takes it back.)
 * I4. sum is a hash over id, v and the cells: sq_index_check.c finds any changed byte of a row.
 *
 * (I3 is that of sq_index_memory.c, I5 to I7 those of sq_index_graph.c.)
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
    ix->n_written = 0;
}

/* ---- nested statements -------------------------------------------------------------------- */

/* "c0, c1, " with a template that takes the number; sqlite3_free. */
static char *column_list(const sq_index_def *d, const char *fmt) {
    char *list = sqlite3_mprintf("%s", "");
    for (int i = 0; i < d->n_filter && list; i++) {
        char *one = sqlite3_mprintf(fmt, i + (fmt[0] == '?' ? 4 : 0));
        char *longer = one ? sqlite3_mprintf("%s%s", list, one) : NULL;
        sqlite3_free(one);
        sqlite3_free(list);
        list = longer;
    }
    return list;
}

static rec_status prepare_write(sq_index *ix, const sq_index_def *d, bool is_replace,
                                sqlite3_stmt **out, rec_err *err) {
    char *names = column_list(d, "c%d, "), *marks = column_list(d, "?%d, ");
    rec_status s = names && marks ? REC_OK : rec_nomem(err);
    if (s == REC_OK)
        s = sq_prepare(ix->conn->db, d->what, out, err,
                       "%s INTO \"%w\".\"%w_rows\"(slot, id, v, %ssum)"
                       " VALUES(?1, ?2, ?3, %s?%d)",
                       is_replace ? "REPLACE" : "INSERT", ix->schema, ix->name, names,
                       marks, 4 + d->n_filter);
    sqlite3_free(names);
    sqlite3_free(marks);
    return s;
}

rec_status sq_index_select(sq_index *ix, const sq_index_def *d, const char *where,
                           sqlite3_stmt **out, rec_err *err) {
    char *names = column_list(d, "c%d, ");
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
        "SELECT live FROM \"%w\".\"%w_chunks\" WHERE chunk = " INDEX_HEAD_TEXT,
    [INDEX_ST_GEN_SET] =
        "UPDATE \"%w\".\"%w_chunks\" SET live = ?1 WHERE chunk = " INDEX_HEAD_TEXT,
    [INDEX_ST_FIND] = "SELECT slot FROM \"%w\".\"%w_rows\" WHERE id = ?1",
    [INDEX_ST_MAX_ID] = "SELECT coalesce(max(id), 0) FROM \"%w\".\"%w_rows\"",
    [INDEX_ST_FREE] = "SELECT chunk, live FROM \"%w\".\"%w_chunks\""
                      " WHERE chunk >= ?1 AND chunk < " INDEX_HEAD_TEXT
                      " AND live <> -1 ORDER BY chunk LIMIT 1",
    [INDEX_ST_NEXT_CHUNK] =
        "SELECT coalesce(max(chunk) + 1, 0) FROM \"%w\".\"%w_chunks\""
        " WHERE chunk < " INDEX_HEAD_TEXT,
    [INDEX_ST_CHUNK_SET] =
        "INSERT INTO \"%w\".\"%w_chunks\"(chunk, ver, live) VALUES(?1, ?2, ?3)"
        " ON CONFLICT(chunk) DO UPDATE SET ver = ?2, live = live | ?3",
    [INDEX_ST_CHUNK_UNSET] =
        "UPDATE \"%w\".\"%w_chunks\" SET ver = ?2, live = live & ~?3"
        " WHERE chunk = ?1",
    [INDEX_ST_DELETE] = "DELETE FROM \"%w\".\"%w_rows\" WHERE slot = ?1",
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
        if (which == INDEX_ST_INSERT || which == INDEX_ST_REPLACE)
            s = prepare_write(ix, d, which == INDEX_ST_REPLACE, &ix->st[which], err);
        else if (which == INDEX_ST_CHUNK_ROWS)
            s = sq_index_select(ix, d, "WHERE slot BETWEEN ?1 AND ?2", &ix->st[which],
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
    char *names = column_list(d, "c%d, ");
    cell format = {.type = CELL_INT, .i = INDEX_FORMAT};
    if (names == NULL) return rec_nomem(err);
    rec_status s =
        sq_exec(db, d->what, err,
                "CREATE TABLE \"%w\".\"%w_rows\"(slot INTEGER PRIMARY KEY, id %s UNIQUE"
                " NOT NULL, v BLOB, %ssum INTEGER)",
                schema, d->table, d->key == INDEX_KEY_TEXT ? "TEXT" : "INTEGER", names);
    sqlite3_free(names);
    if (s == REC_OK)
        s = sq_exec(
            db, d->what, err,
            "CREATE TABLE \"%w\".\"%w_chunks\"(chunk INTEGER PRIMARY KEY, ver INTEGER,"
            " live INTEGER)",
            schema, d->table);
    if (s == REC_OK) s = sq_index_head_create(db, schema, d, err);
    if (s == REC_OK && sq_graph_exists(d)) s = sq_graph_create(db, schema, d, err);
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
                                   const sq_index_gen *g, bool is_same, rec_err *err) {
    bytes_writer w = {0};
    sqlite3_stmt *st = NULL;
    sq_generation next;
    bool row = false;
    rec_status s = sq_generation_next(&g->raw, is_same, &next, &w, err);
    if (s == REC_OK) s = sq_index_statement(ix, d, INDEX_ST_GEN_SET, &st, err);
    if (s == REC_OK) {
        cell c = {.type = CELL_BLOB, .p = (const char *)w.data, .nbyte = w.n};
        s = sq_bind_cell(st, 1, &c, err);
        if (s == REC_OK) s = sq_step(st, d->what, &row, err);
    }
    bytes_clear(&w);
    if (s != REC_OK) return s;
    ix->last = next;
    ix->want_bump = false;
    ix->has_bumped = true;
    if (ix->mem) s = sq_index_push_segment(ix, &next, err);
    if (s != REC_OK) sq_index_drop_memory(ix);
    return s;
}

/* I1. What every write does first. */
rec_status sq_index_begin_write(sq_index *ix, const sq_index_def *d, rec_err *err) {
    sq_index_gen g;
    rec_status s = sq_index_generation(ix, d, &g, err);
    if (s != REC_OK) return s;
    bool is_ours = sq_generation_equal(&g.now, &ix->last);
    if (!is_ours) ix->first_free = 0; /* others wrote, or a rollback freed slots */
    if (ix->mem && !sq_generation_equal(&g.now, &ix->segment[ix->n_segment - 1].gen))
        s = sq_index_revalidate(ix, d, &g, err);
    if (s == REC_OK && (ix->want_bump || !is_ours))
        s = store_generation(ix, d, &g, is_ours && ix->has_bumped, err);
    return s;
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

rec_status sq_index_find(sq_index *ix, const sq_index_def *d, const cell *id,
                         int64_t *slot, rec_err *err) {
    sqlite3_stmt *st = NULL;
    bool row = false;
    *slot = SQ_NO_SLOT;
    rec_status s = sq_index_statement(ix, d, INDEX_ST_FIND, &st, err);
    if (s == REC_OK) s = sq_bind_cell(st, 1, id, err);
    if (s == REC_OK) s = sq_step(st, d->what, &row, err);
    if (s == REC_OK && row) *slot = sqlite3_column_int64(st, 0);
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

/* The smallest free slot. */
static rec_status free_slot(sq_index *ix, const sq_index_def *d, int64_t *slot,
                            rec_err *err) {
    sqlite3_stmt *st = NULL;
    bool row = false;
    rec_status s = sq_index_statement(ix, d, INDEX_ST_FREE, &st, err);
    if (s == REC_OK && sqlite3_bind_int64(st, 1, ix->first_free)) s = rec_nomem(err);
    if (s == REC_OK) s = sq_step(st, d->what, &row, err);
    if (s != REC_OK) return s;
    if (row) {
        int64_t chunk = sqlite3_column_int64(st, 0);
        uint64_t free_bits = ~(uint64_t)sqlite3_column_int64(st, 1);
        sqlite3_reset(st);
        if (free_bits == 0)
            return rec_corrupt(err, "%s: %s_chunks is damaged", d->what, d->table);
        ix->first_free = chunk;
        *slot = chunk * 64 + __builtin_ctzll(free_bits);
    } else {
        s = sq_index_statement(ix, d, INDEX_ST_NEXT_CHUNK, &st, err);
        if (s == REC_OK) s = sq_step(st, d->what, &row, err);
        if (s != REC_OK) return s;
        ix->first_free = sqlite3_column_int64(st, 0);
        sqlite3_reset(st);
        *slot = ix->first_free * 64;
    }
    if (*slot < 0 || *slot >= INDEX_MAX_SLOT)
        return rec_corrupt(err, "%s: no slot is free below %" PRId64, d->what,
                           INDEX_MAX_SLOT);
    return REC_OK;
}

/* Note in _chunks that the slot changed; set: it is taken, else free. */
static rec_status mark(sq_index *ix, const sq_index_def *d, int64_t slot, int which,
                       bool has_bit, rec_err *err) {
    int64_t bit = has_bit ? (int64_t)((uint64_t)1 << slot % 64) : 0;
    int64_t arg[3] = {slot / 64, (int64_t)ix->last.counter, bit};
    return sq_index_run(ix, d, which, arg, 3, err);
}

static rec_status write_row(sq_index *ix, const sq_index_def *d,
                            const sq_index_row *row, int64_t slot, bool is_new,
                            rec_err *err) {
    sqlite3_stmt *st = NULL;
    size_t n_v = vec_nbyte(d->type, d->cfg.dim);
    cell number = {.type = CELL_INT, .i = slot}, v = {0}, sum = {.type = CELL_INT};
    bool more = false;
    rec_status s = sq_index_statement(
        ix, d, is_new ? INDEX_ST_INSERT : INDEX_ST_REPLACE, &st, err);
    if (s != REC_OK) return s;
    if (row->v) v = (cell){.type = CELL_BLOB, .p = row->v, .nbyte = n_v};
    s = sq_index_row_sum(d, row, &sum.i, err);
    if (s == REC_OK) s = sq_bind_cell(st, 1, &number, err);
    if (s == REC_OK) s = sq_bind_cell(st, 2, &row->id, err);
    if (s == REC_OK) s = sq_bind_cell(st, 3, &v, err);
    for (int i = 0; i < d->n_filter && s == REC_OK; i++)
        s = sq_bind_cell(st, 4 + i, &row->filter[i], err);
    if (s == REC_OK) s = sq_bind_cell(st, 4 + d->n_filter, &sum, err);
    if (s == REC_OK) s = sq_step(st, d->what, &more, err);
    sqlite3_clear_bindings(st);
    return s;
}

/* The bit is set before the row is written and cleared after it went (I2). */
rec_status sq_index_put(sq_index *ix, const sq_index_def *d, const sq_index_row *row,
                        int64_t *slot, rec_err *err) {
    ix->n_written++;
    int64_t other = SQ_NO_SLOT;
    bool is_new = *slot == SQ_NO_SLOT;
    rec_status s = sq_index_begin_write(ix, d, err);
    if (s == REC_OK)
        s = is_new ? free_slot(ix, d, slot, err)
                   : sq_index_find(ix, d, &row->id, &other, err);
    if (s == REC_OK) s = touch(ix, *slot, err);
    if (s == REC_OK) s = mark(ix, d, *slot, INDEX_ST_CHUNK_SET, true, err);
    bool has_other = other != SQ_NO_SLOT && other != *slot;
    if (s == REC_OK && has_other) s = touch(ix, other, err);
    if (s == REC_OK) s = write_row(ix, d, row, *slot, is_new, err);
    if (s == REC_OK && has_other) {
        s = mark(ix, d, other, INDEX_ST_CHUNK_UNSET, true, err);
        ix->first_free = 0;
    }
    return s;
}

rec_status sq_index_delete(sq_index *ix, const sq_index_def *d, int64_t slot,
                           rec_err *err) {
    ix->n_written++;
    rec_status s = sq_index_begin_write(ix, d, err);
    if (s == REC_OK) s = touch(ix, slot, err);
    if (s == REC_OK) s = mark(ix, d, slot, INDEX_ST_CHUNK_UNSET, false, err);
    if (s == REC_OK) s = sq_index_run(ix, d, INDEX_ST_DELETE, &slot, 1, err);
    if (s == REC_OK) s = mark(ix, d, slot, INDEX_ST_CHUNK_UNSET, true, err);
    if (slot / 64 < ix->first_free) ix->first_free = slot / 64;
    return s;
}
