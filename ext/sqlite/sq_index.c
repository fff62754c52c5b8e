/* sq_index.c - the memory and the shadow tables of a rec_index, always in step.
 *
 *   <t>_rows    slot | id | v | c0 c1 ... | sum       the truth: a row a vector
 *   <t>_chunks  chunk | ver | live                    64 slots: when changed, which are taken
 *   <t>_state   'gen' -> generation record            see sq_shadow.c
 *
 *   xFilter --> sq_index_memory: stored generation == that of the memory?   use it
 *                                a pair of our own line of history is       re-read the chunks
 *                                in the stored record                       we touched since, and
 *                                                                           those with a newer ver
 *                                neither                                    read everything
 *
 * A write changes the tables only; the memory learns of it by re-reading the touched chunks
 * before the next search. So there is one path from bytes to memory, and a failed statement
 * leaves nothing behind. `segment` is a generation that this connection saw or made, and
 * where in `touched` the writes under it begin:
 *
 *   segment   G7        G8 (savepoint)   G9
 *   touched   [3 3 5    | 0 5            | 9 ]          chunk numbers
 *                    ^ applied: memory knows the writes before this
 *
 * ROLLBACK TO that leads back to G7 shows as 'gen' = G7: chunks 0 5 9 are read again. No
 * callback is needed for that; callbacks only say when the next write must make a new pair.
 *
 * I1. Every write transaction, and every write after a savepoint event, makes a new pair
 *     before it changes anything; a chunk's ver is the counter it was last written under.
 * I2. slot = 64*chunk + bit; a row's bit in live is set. (A set bit without a row is a slot
 *     lost to a failed statement: harmless, 'optimize' takes it back.)
 * I3. Memory shared with an open cursor (n_ref > 1) never changes: a new one is read instead.
 * I4. sum is a hash over id, v and the cells: sq_index_check.c finds any changed byte of a row.
 *
 * Cost: a write is four short nested statements; a search asks one (microseconds) first.
 */
#include "sq_index.h"

#include <inttypes.h>

#define INDEX_MAX_SLOT     ((int64_t)1 << 31)
#define INDEX_MAX_TOUCHED  ((size_t)1 << 20)
#define INDEX_MAX_SEGMENTS 256
#define GEN_MAX_BYTES      (16 * (1 + SQ_GEN_HISTORY))

const char *const sq_index_shadow[] = {"rows", "chunks", "state", NULL};

typedef struct gen_record {
    char bytes[GEN_MAX_BYTES];
    cell raw;
    sq_generation now;
} gen_record;

/* ---- entries ---------------------------------------------------------------------------- */

void sq_memory_unref(sq_memory *m) {
    if (m == NULL || --m->n_ref > 0) return;
    if (m->ix) m->ix->ops->close(m->ix);
    filter_free(m->cells);
    rec_free(m);
}

static void drop_memory(sq_index *ix) {
    sq_memory_unref(ix->mem);
    ix->mem = NULL;
    ix->n_segment = ix->n_touched = ix->n_applied = 0;
}

static void drop_statements(sq_index *ix) {
    for (int i = 0; i < INDEX_ST_N; i++) {
        sqlite3_finalize(ix->st[i]);
        ix->st[i] = NULL;
    }
}

void sq_index_forget(sq_index *ix) {
    drop_memory(ix);
    drop_statements(ix);
    ix->want_bump = true;
    ix->last = (sq_generation){0};
}

static void entry_free(sq_index *ix) {
    sq_index_forget(ix);
    rec_free(ix->segment);
    rec_free(ix->touched);
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
    if (is_transaction) ix->has_bumped = false;
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
    [INDEX_ST_GEN_GET] = "SELECT v FROM \"%w\".\"%w_state\" WHERE k = 'gen'",
    [INDEX_ST_GEN_SET] = "REPLACE INTO \"%w\".\"%w_state\"(k, v) VALUES('gen', ?1)",
    [INDEX_ST_FIND] = "SELECT slot FROM \"%w\".\"%w_rows\" WHERE id = ?1",
    [INDEX_ST_FREE] = "SELECT chunk, live FROM \"%w\".\"%w_chunks\""
                      " WHERE chunk >= ?1 AND live <> -1 ORDER BY chunk LIMIT 1",
    [INDEX_ST_NEXT_CHUNK] =
        "SELECT coalesce(max(chunk) + 1, 0) FROM \"%w\".\"%w_chunks\"",
    [INDEX_ST_CHUNK_SET] =
        "INSERT INTO \"%w\".\"%w_chunks\"(chunk, ver, live) VALUES(?1, ?2, ?3)"
        " ON CONFLICT(chunk) DO UPDATE SET ver = ?2, live = live | ?3",
    [INDEX_ST_CHUNK_UNSET] =
        "UPDATE \"%w\".\"%w_chunks\" SET ver = ?2, live = live & ~?3"
        " WHERE chunk = ?1",
    [INDEX_ST_DELETE] = "DELETE FROM \"%w\".\"%w_rows\" WHERE slot = ?1",
    [INDEX_ST_NEWER] = "SELECT chunk FROM \"%w\".\"%w_chunks\" WHERE ver > ?1",
};

static rec_status statement(sq_index *ix, const sq_index_def *d, int which,
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
static rec_status run_ints(sq_index *ix, const sq_index_def *d, int which,
                           const int64_t *arg, int n_arg, rec_err *err) {
    sqlite3_stmt *st = NULL;
    bool row = false;
    rec_status s = statement(ix, d, which, &st, err);
    for (int i = 0; i < n_arg && s == REC_OK; i++)
        if (sqlite3_bind_int64(st, i + 1, arg[i]) != SQLITE_OK) s = rec_nomem(err);
    if (s == REC_OK) s = sq_step(st, d->what, &row, err);
    return s;
}

static rec_status read_generation(sq_index *ix, const sq_index_def *d, gen_record *g,
                                  rec_err *err) {
    sqlite3_stmt *st = NULL;
    bool row = false;
    g->raw = (cell){0};
    rec_status s = statement(ix, d, INDEX_ST_GEN_GET, &st, err);
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
    return s == REC_OK ? sq_generation_parse(d->table, &g->raw, &g->now, err) : s;
}

/* ---- creation ------------------------------------------------------------------------------- */

rec_status sq_index_create(sqlite3 *db, const char *schema, const sq_index_def *d,
                           rec_err *err) {
    char *names = column_list(d, "c%d, ");
    cell format = {.type = CELL_INT, .i = INDEX_FORMAT};
    sq_generation first;
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
    if (s == REC_OK) s = sq_state_create(db, schema, d->table, err);
    if (s == REC_OK) s = sq_state_set(db, schema, d->table, "format", &format, err);
    if (s == REC_OK) s = sq_generation_bump(db, schema, d->table, &first, err);
    return s;
}

/* ---- rows to memory --------------------------------------------------------------------------- */

/* The row that st stands on goes into memory at its slot. */
static rec_status absorb_row(sq_memory *m, const sq_index_def *d, sqlite3_stmt *st,
                             rec_err *err) {
    int64_t slot = sqlite3_column_int64(st, 0);
    if (slot < 0 || slot >= INDEX_MAX_SLOT)
        return rec_corrupt(
            err, "%s: %s_rows holds the slot %" PRId64 ", allowed are 0 to %" PRId64,
            d->what, d->table, slot, INDEX_MAX_SLOT - 1);
    cell id = sq_column_cell(st, 1), v = sq_column_cell(st, 2);
    rec_status s = sq_index_check_id(d, slot, &id, err);
    if (s == REC_OK) s = sq_index_check_vector(d, slot, &v, err);
    if (s == REC_OK)
        s = v.type == CELL_NULL ? m->ix->ops->remove(m->ix, (uint32_t)slot, err)
                                : m->ix->ops->add(m->ix, (uint32_t)slot, v.p, err);
    if (s == REC_OK) s = filter_put(m->cells, (uint32_t)slot, 0, &id, err);
    for (int i = 0; i < d->n_filter && s == REC_OK; i++) {
        cell c = sq_column_cell(st, 3 + i);
        s = filter_put(m->cells, (uint32_t)slot, 1 + i, &c, err);
    }
    if (s == REC_OK && (size_t)slot >= m->n_slots) m->n_slots = (size_t)slot + 1;
    return s;
}

/* Slots are dense, so chunk rows bound them; without this a hostile slot asks for gigabytes. */
static rec_status slot_bound(sq_index *ix, const sq_index_def *d, int64_t *bound,
                             rec_err *err) {
    sqlite3_stmt *st = NULL;
    bool row = false;
    rec_status s =
        sq_prepare(ix->conn->db, d->what, &st, err,
                   "SELECT (SELECT count(*) FROM \"%w\".\"%w_chunks\") * 64,"
                   " (SELECT max(slot) FROM \"%w\".\"%w_rows\"),"
                   " (SELECT v FROM \"%w\".\"%w_state\" WHERE k = 'format')",
                   ix->schema, ix->name, ix->schema, ix->name, ix->schema, ix->name);
    if (s == REC_OK) s = sq_step(st, d->what, &row, err);
    if (s == REC_OK && row) {
        *bound = sqlite3_column_int64(st, 0);
        int64_t max_slot = sqlite3_column_int64(st, 1),
                format = sqlite3_column_int64(st, 2);
        if (format != INDEX_FORMAT)
            s = rec_corrupt(err,
                            "%s: storage format %" PRId64 ", this version knows %d",
                            d->what, format, INDEX_FORMAT);
        else if (sqlite3_column_type(st, 1) != SQLITE_NULL && max_slot >= *bound)
            s = rec_corrupt(err,
                            "%s: slot %" PRId64
                            " lies outside the chunks that %s_chunks lists; "
                            "'rebuild' repairs that",
                            d->what, max_slot, d->table);
    }
    sqlite3_finalize(st);
    return s;
}

static rec_status memory_new(const sq_index_def *d, sq_memory **out, rec_err *err) {
    sq_memory *m = rec_zeros(1, sizeof *m);
    *out = NULL;
    if (m == NULL) return rec_nomem(err);
    m->n_ref = 1;
    m->cells = filter_new(1 + d->n_filter);
    rec_status s = m->cells ? REC_OK : rec_nomem(err);
    if (s == REC_OK) s = index_kind(d->cfg.kind)->open(&m->ix, &d->cfg, err);
    if (s == REC_OK)
        *out = m;
    else
        sq_memory_unref(m);
    return s;
}

static rec_status read_all(sq_index *ix, const sq_index_def *d, sq_memory **out,
                           rec_err *err) {
    sqlite3_stmt *st = NULL;
    sq_memory *m = NULL;
    rec_run run;
    int64_t bound = 0, n = 0;
    bool row = true;
    *out = NULL;
    sq_run_init(ix->conn, &run, false);
    rec_status s = slot_bound(ix, d, &bound, err);
    if (s == REC_OK) s = memory_new(d, &m, err);
    if (s == REC_OK) s = sq_index_select(ix, d, "", &st, err);
    while (s == REC_OK) {
        s = sq_step(st, d->what, &row, err);
        if (s != REC_OK || !row) break;
        s = absorb_row(m, d, st, err);
        if (s == REC_OK && ++n % 256 == 0) s = run_check(&run, err);
    }
    sqlite3_finalize(st);
    if (s == REC_OK)
        *out = m;
    else
        sq_memory_unref(m);
    return s;
}

/* Chunk c again: what the table has, and nothing else. */
static rec_status read_chunk(sq_index *ix, const sq_index_def *d, sq_memory *m,
                             uint32_t c, rec_err *err) {
    sqlite3_stmt *st = NULL;
    uint64_t found = 0;
    bool row = false;
    rec_status s = statement(ix, d, INDEX_ST_CHUNK_ROWS, &st, err);
    if (s != REC_OK) return s;
    int64_t first = (int64_t)c * 64;
    if (sqlite3_bind_int64(st, 1, first) || sqlite3_bind_int64(st, 2, first + 63))
        return rec_nomem(err);
    while (s == REC_OK) {
        s = sq_step(st, d->what, &row, err);
        if (s != REC_OK || !row) break;
        found |= (uint64_t)1 << (sqlite3_column_int64(st, 0) - first);
        s = absorb_row(m, d, st, err);
    }
    sqlite3_reset(st);
    for (unsigned bit = 0; bit < 64 && s == REC_OK; bit++) {
        uint32_t slot = (uint32_t)first + bit;
        if (found >> bit & 1 || slot >= m->n_slots) continue;
        filter_drop(m->cells, slot);
        s = m->ix->ops->remove(m->ix, slot, err);
    }
    return s;
}

/* ---- coherence -------------------------------------------------------------------------------- */

static rec_status push_segment(sq_index *ix, const sq_generation *g, rec_err *err) {
    if (ix->n_segment ==
        INDEX_MAX_SEGMENTS) { /* forget the older half: reload from there */
        size_t half = INDEX_MAX_SEGMENTS / 2;
        memmove(ix->segment, ix->segment + half, half * sizeof *ix->segment);
        ix->n_segment = half;
    }
    rec_status s = rec_grow(&ix->segment, &ix->cap_segment, ix->n_segment + 1,
                            sizeof *ix->segment, err);
    if (s == REC_OK) ix->segment[ix->n_segment++] = (index_segment){*g, ix->n_touched};
    return s;
}

static rec_status collect_newer(sq_index *ix, const sq_index_def *d, uint64_t counter,
                                bitmap *stale, rec_err *err) {
    sqlite3_stmt *st = NULL;
    bool row = false;
    rec_status s = statement(ix, d, INDEX_ST_NEWER, &st, err);
    if (s != REC_OK) return s;
    if (sqlite3_bind_int64(st, 1, (int64_t)counter)) return rec_nomem(err);
    while ((s = sq_step(st, d->what, &row, err)) == REC_OK && row) {
        int64_t c = sqlite3_column_int64(st, 0);
        if (c >= 0 && (size_t)c < stale->n_bit) bitmap_set(stale, (size_t)c);
    }
    return s;
}

/* Bring the memory from segment `base` (1-based) to the stored generation. */
static rec_status catch_up(sq_index *ix, const sq_index_def *d, const gen_record *g,
                           size_t base, rec_err *err) {
    size_t keep = base < ix->n_segment ? ix->segment[base].first : ix->n_touched;
    size_t from = keep < ix->n_applied ? keep : ix->n_applied;
    sq_generation start = ix->segment[base - 1].gen;
    bool is_foreign = !sq_generation_equal(&start, &g->now);
    bitmap stale = {0};
    int64_t bound = 0;
    rec_status s = REC_OK;
    if (from < ix->n_touched || is_foreign) {
        s = slot_bound(ix, d, &bound, err);
        /* Chunks that memory has and the table no longer lists count too. */
        size_t n_chunks = (size_t)bound / 64, n_mem = ix->mem->n_slots / 64 + 1;
        if (s == REC_OK)
            s = bitmap_init(&stale, n_chunks > n_mem ? n_chunks : n_mem, false, err);
        for (size_t i = from; i < ix->n_touched && s == REC_OK; i++)
            if (ix->touched[i] < stale.n_bit) bitmap_set(&stale, ix->touched[i]);
        if (s == REC_OK && is_foreign)
            s = collect_newer(ix, d, start.counter, &stale, err);
    }
    for (size_t w = 0; w < (stale.n_bit + 63) / 64 && s == REC_OK; w++)
        for (uint64_t left = stale.word[w]; left && s == REC_OK; left &= left - 1)
            s = read_chunk(ix, d, ix->mem,
                           (uint32_t)(w * 64 + (size_t)__builtin_ctzll(left)), err);
    bitmap_clear(&stale);
    if (s != REC_OK) return s;
    ix->n_touched = ix->n_applied = keep;
    ix->n_segment = base;
    if (is_foreign) { /* our own line of history ends here */
        ix->n_segment = ix->n_touched = ix->n_applied = 0;
        s = push_segment(ix, &g->now, err);
    }
    return s;
}

/* Where our line of history meets the stored one: the newest of our segments that the record
 * knows; 0 = nowhere. */
static size_t find_base(const sq_index *ix, const gen_record *g) {
    size_t i = ix->n_segment;
    while (i > 0 && !sq_generation_in(&g->raw, &ix->segment[i - 1].gen)) i--;
    return i;
}

/* Memory agrees with the tables, or is gone. */
static rec_status revalidate(sq_index *ix, const sq_index_def *d, const gen_record *g,
                             rec_err *err) {
    if (ix->mem == NULL) return REC_OK;
    size_t base = find_base(ix, g);
    bool is_current = base > 0 && base == ix->n_segment &&
                      ix->n_applied == ix->n_touched &&
                      sq_generation_equal(&ix->segment[base - 1].gen, &g->now);
    if (is_current) return REC_OK;
    if (base == 0 || ix->mem->n_ref > 1) { /* I3 */
        drop_memory(ix);
        return REC_OK;
    }
    rec_status s = catch_up(ix, d, g, base, err);
    if (s != REC_OK) drop_memory(ix);
    return s;
}

rec_status sq_index_memory(sq_index *ix, const sq_index_def *d, sq_memory **out,
                           rec_err *err) {
    gen_record g;
    *out = NULL;
    rec_status s = read_generation(ix, d, &g, err);
    if (s == REC_OK) s = revalidate(ix, d, &g, err);
    if (s == REC_OK && ix->mem == NULL) {
        s = read_all(ix, d, &ix->mem, err);
        if (s == REC_OK) s = push_segment(ix, &g.now, err);
        if (s != REC_OK) drop_memory(ix);
    }
    if (s != REC_OK) return s;
    ix->mem->n_ref++;
    *out = ix->mem;
    return REC_OK;
}

/* ---- writing ----------------------------------------------------------------------------------- */

static rec_status store_generation(sq_index *ix, const sq_index_def *d,
                                   const gen_record *g, bool is_same, rec_err *err) {
    bytes_writer w = {0};
    sqlite3_stmt *st = NULL;
    sq_generation next;
    bool row = false;
    rec_status s = sq_generation_next(&g->raw, is_same, &next, &w, err);
    if (s == REC_OK) s = statement(ix, d, INDEX_ST_GEN_SET, &st, err);
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
    ix->first_free = 0;
    if (ix->mem) s = push_segment(ix, &next, err);
    if (s != REC_OK) drop_memory(ix);
    return s;
}

/* I1. What every write does first. */
static rec_status begin_write(sq_index *ix, const sq_index_def *d, rec_err *err) {
    gen_record g;
    rec_status s = read_generation(ix, d, &g, err);
    if (s != REC_OK) return s;
    bool is_ours = sq_generation_equal(&g.now, &ix->last);
    if (ix->mem && !sq_generation_equal(&g.now, &ix->segment[ix->n_segment - 1].gen))
        s = revalidate(ix, d, &g, err);
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
        drop_memory(ix);
    else
        ix->touched[ix->n_touched++] = chunk;
    return s;
}

rec_status sq_index_find(sq_index *ix, const sq_index_def *d, const cell *id,
                         int64_t *slot, rec_err *err) {
    sqlite3_stmt *st = NULL;
    bool row = false;
    *slot = SQ_NO_SLOT;
    rec_status s = statement(ix, d, INDEX_ST_FIND, &st, err);
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
    rec_status s = sq_prepare(ix->conn->db, d->what, &st, err,
                              "SELECT coalesce(max(id), 0) FROM \"%w\".\"%w_rows\"",
                              ix->schema, ix->name);
    if (s == REC_OK) s = sq_step(st, d->what, &row, err);
    if (s == REC_OK && row) *out = sqlite3_column_int64(st, 0);
    sqlite3_finalize(st);
    return s;
}

/* The smallest free slot. */
static rec_status free_slot(sq_index *ix, const sq_index_def *d, int64_t *slot,
                            rec_err *err) {
    sqlite3_stmt *st = NULL;
    bool row = false;
    rec_status s = statement(ix, d, INDEX_ST_FREE, &st, err);
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
        s = statement(ix, d, INDEX_ST_NEXT_CHUNK, &st, err);
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
    return run_ints(ix, d, which, arg, 3, err);
}

static rec_status write_row(sq_index *ix, const sq_index_def *d,
                            const sq_index_row *row, int64_t slot, bool is_new,
                            rec_err *err) {
    sqlite3_stmt *st = NULL;
    size_t n_v = vec_nbyte(d->type, d->cfg.dim);
    cell number = {.type = CELL_INT, .i = slot}, v = {0}, sum = {.type = CELL_INT};
    bool more = false;
    rec_status s =
        statement(ix, d, is_new ? INDEX_ST_INSERT : INDEX_ST_REPLACE, &st, err);
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
    int64_t other = SQ_NO_SLOT;
    bool is_new = *slot == SQ_NO_SLOT;
    rec_status s = begin_write(ix, d, err);
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
    rec_status s = begin_write(ix, d, err);
    if (s == REC_OK) s = touch(ix, slot, err);
    if (s == REC_OK) s = mark(ix, d, slot, INDEX_ST_CHUNK_UNSET, false, err);
    if (s == REC_OK) s = run_ints(ix, d, INDEX_ST_DELETE, &slot, 1, err);
    if (s == REC_OK) s = mark(ix, d, slot, INDEX_ST_CHUNK_UNSET, true, err);
    if (slot / 64 < ix->first_free) ix->first_free = slot / 64;
    return s;
}
