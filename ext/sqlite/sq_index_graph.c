/* sq_index_graph.c - the links of a graph kind: kept in <t>_graph, loaded, made at commit.
 *
 *   INSERT ... COMMIT      rows only; 'waiting' counts them
 *                          waiting >= LINK_MIN:  memory up to date -> link a slice -> save
 *   INSERT ... SELECT      a transaction that wrote much links all it wrote, on all cores
 *   'optimize'             links all that waits
 *   'rebuild'              forgets every link and builds from the vectors
 *
 * Linking one row changes some thirty chunks of 64 nodes, a quarter of a megabyte to write, but
 * linking two thousand changes each chunk once. So a commit of one row makes no link: it waits,
 * and every search compares the rows that wait (they are at most LINK_MIN while one connection
 * searches and writes) one by one. The commit that finds LINK_MIN of them waiting links them.
 *
 *   a row of <t>_graph    bytes of rec_index_ops.save | u64 ver, again
 *
 * Links are derived: whatever is stored here, answers come from the vectors of <t>_rows. A row
 * that was deleted or replaced by a writer that did not have the graph in memory leaves its links
 * stale; whoever loads them takes the node out (index.h, load). A reader's repairs stay private:
 * they are dirty chunks, which the next one to save overwrites.
 *
 * I5. A chunk of links in memory that is not dirty equals the stored one.
 * I6. The links stored at any generation fit together.
 * I7. ver of a row is at most the counter, and stands in its bytes, too.
 *
 * Cost of a commit that links: about .2 ms a row and core (256 float32, ef_construction 200), and
 * the changed chunks, 8 KB each.
 */
#include "sq_index.h"

#define LINK_MIN       2048 /* rows that wait before a commit links them */
#define LINK_ALL_SHARE 8 /* a transaction that wrote 1/8 of the table links all of it */
#define PROGRESS_MIN   ((size_t)10000) /* rows: below, no progress is drawn */
#define VER_BYTES      8

bool sq_graph_exists(const sq_index_def *d) {
    return index_kind(d->cfg.kind)->link != NULL;
}

rec_status sq_graph_create(sqlite3 *db, const char *schema, const sq_index_def *d,
                           bool may_exist, rec_err *err) {
    /* UNIQUE: an index on ver that follows a renamed table. */
    return sq_exec(db, d->what, err,
                   "CREATE TABLE %s\"%w\".\"%w_graph\"(chunk INTEGER PRIMARY KEY, ver"
                   " INTEGER, bytes BLOB, UNIQUE(ver, chunk))",
                   may_exist ? "IF NOT EXISTS " : "", schema, d->table);
}

/* ---- loading -------------------------------------------------------------------------------- */

static void note_damage(sq_memory *m, const rec_err *why) {
    if (m->is_damaged) return;
    m->is_damaged = true;
    rec_format(m->damage, sizeof m->damage, "%s", why->msg);
}

/* The row that st stands on: chunk, ver, bytes. REC_CORRUPT is noted, and REC_OK returned. */
static rec_status load_row(sq_memory *m, const sq_index_def *d, sqlite3_stmt *st,
                           rec_err *err) {
    rec_err why = {0};
    int64_t chunk = sqlite3_column_int64(st, 0), ver = sqlite3_column_int64(st, 1);
    cell c = sq_column_cell(st, 2);
    bytes_reader r = {.data = (const uint8_t *)c.p, .n = c.nbyte};
    rec_status s = REC_OK;
    if (chunk < 0 || chunk >= INDEX_MAX_SLOT / INDEX_CHUNK || c.type != CELL_BLOB ||
        c.nbyte < VER_BYTES) {
        s = rec_corrupt(&why, "row %lld of %s_graph is damaged", (long long)chunk,
                        d->table);
    } else {
        bytes_reader tail = {.data = r.data + r.n - VER_BYTES, .n = VER_BYTES};
        r.n -= VER_BYTES;
        if ((int64_t)bytes_get_u64(&tail) != ver)
            s = rec_corrupt(&why,
                            "row %lld of %s_graph: ver differs from its bytes (I7)",
                            (long long)chunk, d->table);
        else
            s = m->ix->ops->load(m->ix, (uint32_t)chunk, &r, &why);
    }
    if (s == REC_OK) return s;
    if (s != REC_CORRUPT) {
        *err = why;
        return s;
    }
    note_damage(m, &why);
    return REC_OK;
}

/* Nothing of a damaged graph is used; every answer is still right. */
static rec_status finish_load(sq_conn *conn, sq_memory *m, rec_err *err) {
    rec_err why = {0};
    rec_run run;
    sq_run_init(conn, &run, false);
    rec_status s = m->ix->ops->ready(m->ix, &run, &why);
    if (s != REC_OK && s != REC_CORRUPT) {
        *err = why;
        return s;
    }
    if (s == REC_CORRUPT) note_damage(m, &why);
    if (m->is_damaged) sq_graph_forget(m);
    return REC_OK;
}

rec_status sq_graph_load(sq_index *ix, const sq_index_def *d, sq_memory *m,
                         rec_err *err) {
    sqlite3_stmt *st = NULL;
    bool row = false;
    rec_status s = sq_prepare(ix->conn->db, d->what, &st, err,
                              "SELECT chunk, ver, bytes FROM \"%w\".\"%w_graph\"",
                              ix->schema, ix->name);
    while (s == REC_OK) {
        s = sq_step(st, d->what, &row, err);
        if (s != REC_OK || !row) break;
        s = load_row(m, d, st, err);
    }
    sqlite3_finalize(st);
    return s == REC_OK ? finish_load(ix->conn, m, err) : s;
}

void sq_graph_forget(sq_memory *m) {
    m->ix->ops->forget(m->ix);
}

/* ---- catching up ------------------------------------------------------------------------------ */

static rec_status read_newer(sq_index *ix, const sq_index_def *d, uint64_t counter,
                             bitmap *out, bool *any, rec_err *err) {
    sqlite3_stmt *st = NULL;
    bool row = false;
    rec_status s = sq_index_statement(ix, d, INDEX_ST_GRAPH_NEWER, &st, err);
    if (s == REC_OK && sqlite3_bind_int64(st, 1, (int64_t)counter)) s = rec_nomem(err);
    while (s == REC_OK && (s = sq_step(st, d->what, &row, err)) == REC_OK && row) {
        int64_t c = sqlite3_column_int64(st, 0);
        *any = true;
        if (c < 0 || c >= INDEX_MAX_SLOT / INDEX_CHUNK) continue;
        if ((size_t)c >= out->n_bit) {
            bitmap wider;
            s = bitmap_init(&wider, 2 * (size_t)c + 64, false, err);
            if (s != REC_OK) break;
            memcpy(wider.word, out->word, (out->n_bit + 63) / 64 * sizeof *out->word);
            bitmap_clear(out);
            *out = wider;
        }
        bitmap_set(out, (size_t)c);
    }
    if (st) sqlite3_reset(st);
    return s;
}

rec_status sq_graph_newer(sq_index *ix, const sq_index_def *d, uint64_t counter,
                          const bitmap *stale, bitmap *out, rec_err *err) {
    rec_index *g = ix->mem->ix;
    size_t n_chunks = ix->mem->n_slots / INDEX_CHUNK + 1;
    if (n_chunks < stale->n_bit) n_chunks = stale->n_bit;
    bool any = false;
    bytes_reader none = {0};
    rec_status s = bitmap_init(out, n_chunks, false, err);
    if (s == REC_OK) s = read_newer(ix, d, counter, out, &any, err);
    if (s != REC_OK || !any) {
        bitmap_clear(out);
        return s;
    }
    for (uint32_t c = g->ops->next_dirty(g, 0); c != UINT32_MAX;
         c = g->ops->next_dirty(g, c + 1))
        if (c < out->n_bit) bitmap_set(out, c);
    for (size_t w = 0; w < (stale->n_bit + 63) / 64; w++)
        out->word[w] |= stale->word[w];
    for (size_t c = 0; c < out->n_bit && s == REC_OK; c++)
        if (bitmap_has(out, c)) s = g->ops->load(g, (uint32_t)c, &none, err);
    return s;
}

rec_status sq_graph_reload(sq_index *ix, const sq_index_def *d, const bitmap *chunks,
                           rec_err *err) {
    rec_status s = REC_OK;
    ix->mem->is_damaged = false;
    for (size_t c = 0; c < chunks->n_bit && s == REC_OK; c++) {
        sqlite3_stmt *st = NULL;
        bool row = false;
        if (!bitmap_has(chunks, c)) continue;
        s = sq_index_statement(ix, d, INDEX_ST_GRAPH_GET, &st, err);
        if (s == REC_OK && sqlite3_bind_int64(st, 1, (int64_t)c)) s = rec_nomem(err);
        if (s == REC_OK) s = sq_step(st, d->what, &row, err);
        if (s == REC_OK && row) s = load_row(ix->mem, d, st, err);
        if (st) sqlite3_reset(st);
    }
    return s == REC_OK ? finish_load(ix->conn, ix->mem, err) : s;
}

/* ---- saving ------------------------------------------------------------------------------------ */

static rec_status note_saved(sq_index *ix, uint32_t chunk, rec_err *err) {
    rec_status s =
        rec_grow(&ix->saved, &ix->cap_saved, ix->n_saved + 1, sizeof *ix->saved, err);
    if (s == REC_OK) ix->saved[ix->n_saved++] = chunk;
    return s;
}

static rec_status save_chunk(sq_index *ix, const sq_index_def *d, uint32_t chunk,
                             uint64_t ver, bytes_writer *w, rec_err *err) {
    rec_index *g = ix->mem->ix;
    sqlite3_stmt *st = NULL;
    bool row = false;
    w->n = 0;
    rec_status s = g->ops->save(g, chunk, w, err);
    bytes_put_u64(w, ver);
    if (s == REC_OK && w->status != REC_OK) s = rec_nomem(err);
    if (s == REC_OK) s = sq_index_statement(ix, d, INDEX_ST_GRAPH_SET, &st, err);
    if (s == REC_OK &&
        (sqlite3_bind_int64(st, 1, chunk) || sqlite3_bind_int64(st, 2, (int64_t)ver) ||
         sqlite3_bind_blob64(st, 3, w->data, w->n, SQLITE_STATIC)))
        s = rec_nomem(err);
    if (s == REC_OK) s = note_saved(ix, chunk, err);
    if (s == REC_OK) s = sq_step(st, d->what, &row, err);
    if (st) sqlite3_clear_bindings(st);
    if (s == REC_OK) g->ops->set_dirty(g, chunk, false);
    return s;
}

/* Write every chunk that differs, under the generation of the memory, and how many rows wait. */
static rec_status save(sq_index *ix, const sq_index_def *d, rec_err *err) {
    rec_index *g = ix->mem->ix;
    bytes_writer w = {0};
    index_stats stats;
    uint64_t ver = ix->segment[ix->n_segment - 1].gen.counter;
    rec_status s = REC_OK;
    for (uint32_t c = g->ops->next_dirty(g, 0); c != UINT32_MAX && s == REC_OK;
         c = g->ops->next_dirty(g, c + 1))
        s = save_chunk(ix, d, c, ver, &w, err);
    bytes_clear(&w);
    g->ops->stats(g, &stats);
    int64_t waiting = (int64_t)stats.n_delta;
    if (s == REC_OK) s = sq_index_run(ix, d, INDEX_ST_WAITING_SET, &waiting, 1, err);
    return s;
}

static rec_status link(sq_index *ix, const sq_index_def *d, size_t max_nodes,
                       rec_err *err) {
    rec_run run;
    rec_index *g = ix->mem->ix;
    rec_err inner = {0};
    index_stats stats;
    g->ops->stats(g, &stats);
    size_t n = stats.n_delta < max_nodes ? stats.n_delta : max_nodes;
    ix->conn->progress.name = d->table;
    sq_run_init(ix->conn, &run, n >= PROGRESS_MIN);
    rec_status s = g->ops->link(g, max_nodes, &run, &inner);
    sq_run_finish(&run);
    ix->conn->progress.name = NULL;
    if (s == REC_NOMEM) return rec_nomem(err);
    return s == REC_OK ? s : rec_fail(err, s, "%s: %s", d->what, inner.msg);
}

/* ---- commit --------------------------------------------------------------------------------------- */

static rec_status count_waiting(sq_index *ix, const sq_index_def *d, size_t n_more,
                                int64_t *out, rec_err *err) {
    sqlite3_stmt *st = NULL;
    bool row = false;
    rec_status s = sq_index_statement(ix, d, INDEX_ST_WAITING_ADD, &st, err);
    if (s == REC_OK && sqlite3_bind_int64(st, 1, (int64_t)n_more)) s = rec_nomem(err);
    if (s == REC_OK) s = sq_step(st, d->what, &row, err);
    *out = s == REC_OK && row ? sqlite3_column_int64(st, 0) : 0;
    if (st) sqlite3_reset(st);
    return s;
}

/* After ALTER TABLE, or a ROLLBACK TO that undoes one, SQLite also commits the object of the name
 * that is gone. */
static bool is_there(const sq_index *ix) {
    char *table = sqlite3_mprintf("%s_state", ix->name);
    bool there = table == NULL || sqlite3_table_column_metadata(
                                      ix->conn->db, ix->schema, table, NULL, NULL, NULL,
                                      NULL, NULL, NULL) == SQLITE_OK;
    sqlite3_free(table);
    return there;
}

rec_status sq_graph_commit(sq_index *ix, const sq_index_def *d, rec_err *err) {
    size_t n_written = ix->n_written, n_more = ix->n_uncounted;
    int64_t waiting;
    sq_memory *m = NULL;
    index_stats stats;
    ix->n_written = ix->n_uncounted = 0;
    if (n_written == 0 || !sq_graph_exists(d)) return REC_OK;
    if (n_more == 0 && ix->waiting < LINK_MIN) return REC_OK;
    if (!is_there(ix)) return REC_OK;
    rec_status s = count_waiting(ix, d, n_more, &waiting, err);
    if (s != REC_OK || waiting < LINK_MIN) return s;
    s = sq_index_memory(ix, d, &m, err);
    if (s != REC_OK) return s;
    if (m->n_ref == 2) { /* else an open cursor reads it: next time */
        m->ix->ops->stats(m->ix, &stats);
        bool is_bulk = n_written >= stats.n_rows / LINK_ALL_SHARE;
        size_t slice = 2 * n_written > LINK_MIN ? 2 * n_written : LINK_MIN;
        if (stats.n_delta >= LINK_MIN) s = link(ix, d, is_bulk ? SIZE_MAX : slice, err);
        if (s == REC_OK) s = save(ix, d, err);
    }
    sq_memory_unref(m);
    return s;
}

/* ---- commands -------------------------------------------------------------------------------------- */

rec_status sq_graph_build(sq_index *ix, const sq_index_def *d, bool is_fresh,
                          rec_err *err) {
    sq_memory *m = NULL;
    rec_status s = REC_OK;
    if (!sq_graph_exists(d)) return s;
    sq_index_forget(ix);
    if (is_fresh) s = sq_graph_create(ix->conn->db, ix->schema, d, true, err);
    if (s == REC_OK && is_fresh)
        s = sq_exec(ix->conn->db, d->what, err, "DELETE FROM \"%w\".\"%w_graph\"",
                    ix->schema, ix->name);
    if (s == REC_OK) s = sq_index_memory(ix, d, &m, err);
    if (s == REC_OK) s = link(ix, d, SIZE_MAX, err);
    if (s == REC_OK) s = save(ix, d, err);
    size_t n_chunks = m ? (m->n_slots + INDEX_CHUNK - 1) / INDEX_CHUNK : 0;
    if (s == REC_OK)
        s = sq_exec(ix->conn->db, d->what, err,
                    "DELETE FROM \"%w\".\"%w_graph\" WHERE chunk >= %lld", ix->schema,
                    ix->name, (long long)n_chunks);
    sq_memory_unref(m);
    return s;
}

rec_status sq_graph_set_ef(sq_index *ix, const sq_index_def *d, const char *value,
                           rec_err *err) {
    cell c = {.type = CELL_INT};
    index_cfg cfg = d->cfg;
    rec_index *probe = NULL;
    rec_err inner = {0};
    rec_status s = sq_index_def_number("ef", value, &cfg.ef, &inner);
    if (s == REC_OK) s = index_kind(cfg.kind)->open(&probe, &cfg, &inner);
    if (probe) probe->ops->close(probe);
    if (s == REC_NOMEM) return rec_nomem(err);
    if (s != REC_OK) return rec_fail(err, s, "%s: %s", d->what, inner.msg);
    c.i = cfg.ef;
    s = sq_index_begin_write(ix, d, 0, err);
    if (s == REC_OK)
        s = sq_state_set(ix->conn->db, ix->schema, ix->name, "ef", &c, err);
    if (s == REC_OK && ix->mem) ix->mem->ef = cfg.ef;
    return s;
}
