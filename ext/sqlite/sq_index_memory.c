/* sq_index_memory.c - the memory of a rec_index, always in step with its shadow tables.
 *
 *   xFilter --> sq_index_memory: stored generation == that of the memory?   use it
 *                                a pair of our own line of history is       re-read the chunks
 *                                in the stored record                       we touched since, and
 *                                                                           those with a newer ver
 *                                neither                                    read everything
 *
 * There is one path from bytes to memory. `segment` is a generation that this connection saw or
 * made, and where in `touched` (chunks of rows written) and `saved` (chunks of links written) the
 * writes under it begin:
 *
 *   segment   G7        G8 (savepoint)   G9
 *   touched   [3 3 5    | 0 5            | 9 ]          chunk numbers
 *                    ^ applied: memory knows the writes before this
 *
 * ROLLBACK TO that leads back to G7 shows as 'gen' = G7: chunks 0 5 9 are read again, and links
 * saved under G8 and G9 are dirty again. No callback is needed for that; callbacks only say when
 * the next write must make a new pair.
 *
 * I3. Memory shared with an open cursor (n_ref > 1) never changes: a new one is read instead.
 *
 * Cost: a search asks for one row (microseconds) first. Reading everything is one pass over
 * <t>_rows and one over <t>_graph.
 */
#include "sq_index.h"

#include <inttypes.h>

#define INDEX_MAX_SEGMENTS 256
/* Vectors that may leave the memory one by one before the links are forgotten as a whole: a repair
 * takes about five times as long as linking a row anew. */
#define GONE_MIN   1024
#define GONE_SHARE 8

/* ---- rows to memory --------------------------------------------------------------------------- */

/* One more vector that memory has goes away or changes. */
static void note_gone(sq_memory *m) {
    index_stats stats;
    if (m->ix->ops->link == NULL || m->has_forgotten) return;
    m->ix->ops->stats(m->ix, &stats);
    size_t limit = stats.n_rows / GONE_SHARE;
    if (++m->n_gone <= (limit > GONE_MIN ? limit : GONE_MIN)) return;
    sq_graph_forget(m);
    m->has_forgotten = true;
}

static rec_status absorb_vector(sq_memory *m, uint32_t slot, const cell *v,
                                rec_err *err) {
    const void *have = m->ix->ops->get(m->ix, slot);
    if (v->type == CELL_BLOB) {
        if (have && memcmp(have, v->p, v->nbyte) == 0) return REC_OK;
        if (have) note_gone(m);
        return m->ix->ops->add(m->ix, slot, v->p, err);
    }
    if (have) note_gone(m);
    return m->ix->ops->remove(m->ix, slot, err);
}

/* The row that st stands on goes into memory at its slot, which I2 has bounded: without that, a
 * hostile slot would ask for gigabytes. */
static rec_status absorb_row(sq_memory *m, const sq_index_def *d, sqlite3_stmt *st,
                             rec_err *err) {
    int64_t slot = sqlite3_column_int64(st, 0);
    cell id = sq_column_cell(st, 1), v = sq_column_cell(st, 2);
    rec_status s = sq_index_check_id(d, slot, &id, err);
    if (s == REC_OK) s = sq_index_check_vector(d, slot, &v, err);
    if (s == REC_OK) s = absorb_vector(m, (uint32_t)slot, &v, err);
    if (s == REC_OK) s = filter_put(m->cells, (uint32_t)slot, 0, &id, err);
    for (int i = 0; i < d->n_filter && s == REC_OK; i++) {
        cell c = sq_column_cell(st, 3 + i);
        s = filter_put(m->cells, (uint32_t)slot, 1 + i, &c, err);
    }
    if (s == REC_OK && (size_t)slot >= m->n_slots) m->n_slots = (size_t)slot + 1;
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

static rec_status read_ef(sq_index *ix, const sq_index_def *d, sq_memory *m,
                          rec_err *err) {
    sqlite3_stmt *st = NULL;
    bool row = false;
    m->ef = d->cfg.ef;
    if (!sq_graph_exists(d)) return REC_OK;
    rec_status s = sq_index_statement(ix, d, INDEX_ST_EF_GET, &st, err);
    if (s == REC_OK) s = sq_step(st, d->what, &row, err);
    if (s == REC_OK && row) {
        int64_t ef = sqlite3_column_int64(st, 0);
        if (ef > 0 && ef <= UINT32_MAX) m->ef = (uint32_t)ef;
    }
    if (st) sqlite3_reset(st);
    return s;
}

static rec_status read_rows(sq_index *ix, const sq_index_def *d, const sq_slots *slots,
                            sq_memory *m, rec_err *err) {
    sqlite3_stmt *st = NULL;
    rec_run run;
    int64_t n = 0;
    bool row = true;
    sq_run_init(ix->conn, &run, false);
    rec_status s = sq_index_select(ix, d, "", &st, err);
    while (s == REC_OK) {
        s = sq_step(st, d->what, &row, err);
        if (s != REC_OK || !row) break;
        sq_place at = sq_index_place(d, st);
        s = sq_slots_check(slots, d, &at, err);
        if (s == REC_OK) s = absorb_row(m, d, st, err);
        if (s == REC_OK && ++n % 256 == 0) s = run_check(&run, err);
    }
    sqlite3_finalize(st);
    return s;
}

rec_status sq_index_read(sq_index *ix, const sq_index_def *d, sq_memory **out,
                         rec_err *err) {
    double start = rec_seconds();
    sq_memory *m = NULL;
    sq_slots slots = {0};
    *out = NULL;
    rec_status s = sq_index_check_format(ix, d, err);
    if (s == REC_OK) s = sq_slots_read(ix, d, UINT64_MAX, &slots, err);
    if (s == REC_OK) s = memory_new(d, &m, err);
    if (s == REC_OK) s = read_rows(ix, d, &slots, m, err);
    sq_slots_clear(&slots);
    if (s == REC_OK) s = read_ef(ix, d, m, err);
    if (s == REC_OK && sq_graph_exists(d)) s = sq_graph_load(ix, d, m, err);
    if (s == REC_OK) {
        m->load_seconds = rec_seconds() - start;
        *out = m;
    } else {
        sq_memory_unref(m);
    }
    return s;
}

/* Rows of a chunk whose rowids are first to last. *found: their bits. */
static rec_status read_range(sq_index *ix, const sq_index_def *d, const index_chunk *c,
                             int64_t first, int64_t last, uint64_t *found,
                             rec_err *err) {
    sqlite3_stmt *st = NULL;
    bool row = false;
    rec_status s = sq_index_statement(ix, d, INDEX_ST_CHUNK_ROWS, &st, err);
    if (s == REC_OK &&
        (sqlite3_bind_int64(st, 1, first) || sqlite3_bind_int64(st, 2, last)))
        s = rec_nomem(err);
    while (s == REC_OK) {
        s = sq_step(st, d->what, &row, err);
        if (s != REC_OK || !row) break;
        sq_place at = sq_index_place(d, st);
        if (!sq_chunk_has(c, &at)) continue;
        *found |= (uint64_t)1 << at.slot % INDEX_CHUNK;
        s = absorb_row(ix->mem, d, st, err);
    }
    if (st) sqlite3_reset(st);
    return s;
}

/* All rows of a chunk, keys that follow each other in one go. A bit without its row is damage, or
 * a lost slot: REC_CORRUPT, and reading all rows will tell (sq_index_revalidate). */
static rec_status read_live(sq_index *ix, const sq_index_def *d, const index_chunk *c,
                            rec_err *err) {
    uint64_t found = 0;
    rec_status s = REC_OK;
    for (uint64_t left = c->live; left && s == REC_OK;) {
        int64_t first = c->row[__builtin_ctzll(left)], last = first;
        while ((left &= left - 1) != 0 && last < INT64_MAX &&
               c->row[__builtin_ctzll(left)] == last + 1)
            last++;
        s = read_range(ix, d, c, first, last, &found, err);
    }
    if (s != REC_OK || found == c->live) return s;
    return rec_corrupt(err, "%s: row %" PRId64 " of %s_chunks names missing rows",
                       d->what, c->number, d->table);
}

/* Chunk number c again: what the table has, and nothing else. */
static rec_status read_chunk(sq_index *ix, const sq_index_def *d, uint32_t number,
                             rec_err *err) {
    sq_memory *m = ix->mem;
    index_chunk c;
    rec_status s = sq_chunk_read(ix, d, number, &c, err);
    if (s == REC_OK) s = read_live(ix, d, &c, err);
    for (unsigned bit = 0; bit < INDEX_CHUNK && s == REC_OK; bit++) {
        uint32_t slot = number * INDEX_CHUNK + bit;
        if (c.live >> bit & 1 || slot >= m->n_slots) continue;
        filter_drop(m->cells, slot);
        if (m->ix->ops->get(m->ix, slot)) note_gone(m);
        s = m->ix->ops->remove(m->ix, slot, err);
    }
    return s;
}

/* ---- coherence -------------------------------------------------------------------------------- */

rec_status sq_index_push_segment(sq_index *ix, const sq_generation *g, rec_err *err) {
    if (ix->n_segment ==
        INDEX_MAX_SEGMENTS) { /* forget the older half: reload from there */
        size_t half = INDEX_MAX_SEGMENTS / 2;
        memmove(ix->segment, ix->segment + half, half * sizeof *ix->segment);
        ix->n_segment = half;
    }
    rec_status s = rec_grow(&ix->segment, &ix->cap_segment, ix->n_segment + 1,
                            sizeof *ix->segment, err);
    if (s == REC_OK)
        ix->segment[ix->n_segment++] = (index_segment){*g, ix->n_touched, ix->n_saved};
    return s;
}

/* Chunks are dense, so their number bounds them: a hostile one asks for nothing. */
static rec_status count_chunks(sq_index *ix, const sq_index_def *d, size_t *n,
                               rec_err *err) {
    sqlite3_stmt *st = NULL;
    bool row = false;
    rec_status s = sq_index_statement(ix, d, INDEX_ST_CHUNK_COUNT, &st, err);
    if (s == REC_OK) s = sq_step(st, d->what, &row, err);
    *n = s == REC_OK && row ? (size_t)sqlite3_column_int64(st, 0) : 0;
    if (st) sqlite3_reset(st);
    return s;
}

static rec_status collect_newer(sq_index *ix, const sq_index_def *d, uint64_t counter,
                                bitmap *stale, rec_err *err) {
    sqlite3_stmt *st = NULL;
    bool row = false;
    rec_status s = sq_index_statement(ix, d, INDEX_ST_NEWER, &st, err);
    if (s != REC_OK) return s;
    if (sqlite3_bind_int64(st, 1, (int64_t)counter)) return rec_nomem(err);
    while ((s = sq_step(st, d->what, &row, err)) == REC_OK && row) {
        int64_t c = sqlite3_column_int64(st, 0);
        if (c >= 0 && (size_t)c < stale->n_bit) bitmap_set(stale, (size_t)c);
    }
    return s;
}

/* Chunks of rows that memory must read again: those that we touched from `from` on, those that
 * others wrote, and those that the table no longer lists. */
static rec_status collect_stale(sq_index *ix, const sq_index_def *d, size_t from,
                                const sq_generation *foreign, bitmap *stale,
                                rec_err *err) {
    size_t n_chunks = 0;
    rec_status s = count_chunks(ix, d, &n_chunks, err);
    if (s != REC_OK) return s;
    size_t n_mem = ix->mem->n_slots / 64 + 1;
    s = bitmap_init(stale, n_chunks > n_mem ? n_chunks : n_mem, false, err);
    for (size_t i = from; i < ix->n_touched && s == REC_OK; i++)
        if (ix->touched[i] < stale->n_bit) bitmap_set(stale, ix->touched[i]);
    for (size_t c = n_chunks; c < n_mem && s == REC_OK; c++) bitmap_set(stale, c);
    if (s == REC_OK && foreign) s = collect_newer(ix, d, foreign->counter, stale, err);
    return s;
}

static rec_status read_stale(sq_index *ix, const sq_index_def *d, const bitmap *stale,
                             rec_err *err) {
    rec_status s = REC_OK;
    for (size_t w = 0; w < (stale->n_bit + 63) / 64 && s == REC_OK; w++)
        for (uint64_t left = stale->word[w]; left && s == REC_OK; left &= left - 1)
            s = read_chunk(ix, d, (uint32_t)(w * 64 + (size_t)__builtin_ctzll(left)),
                           err);
    return s;
}

/* Links that were saved under generations that are gone are not what is stored. */
static void undo_saves(sq_index *ix, size_t keep) {
    for (size_t i = keep; i < ix->n_saved; i++)
        ix->mem->ix->ops->set_dirty(ix->mem->ix, ix->saved[i], true);
    ix->n_saved = keep;
}

/* Bring the memory from segment `base` (1-based) to the stored generation. Links that others
 * saved are taken as they are stored, together with all that we changed ourselves: what is stored
 * fits together at every generation. */
static rec_status catch_up(sq_index *ix, const sq_index_def *d, const sq_index_gen *g,
                           size_t base, rec_err *err) {
    bool is_last = base == ix->n_segment;
    size_t keep = is_last ? ix->n_touched : ix->segment[base].first;
    size_t from = keep < ix->n_applied ? keep : ix->n_applied;
    sq_generation start = ix->segment[base - 1].gen;
    bool is_foreign = !sq_generation_equal(&start, &g->now);
    bool is_graph = sq_graph_exists(d);
    bitmap stale = {0}, links = {0};
    rec_status s = REC_OK;
    undo_saves(ix, is_last ? ix->n_saved : ix->segment[base].first_saved);
    ix->mem->n_gone = 0;
    ix->mem->has_forgotten = false;
    if (from < ix->n_touched || is_foreign)
        s = collect_stale(ix, d, from, is_foreign ? &start : NULL, &stale, err);
    if (s == REC_OK && is_foreign && is_graph)
        s = sq_graph_newer(ix, d, start.counter, &stale, &links, err);
    if (s == REC_OK) s = read_stale(ix, d, &stale, err);
    if (s == REC_OK && links.n_bit > 0) s = sq_graph_reload(ix, d, &links, err);
    if (s == REC_OK) s = read_ef(ix, d, ix->mem, err);
    bitmap_clear(&stale);
    bitmap_clear(&links);
    if (s != REC_OK) return s;
    ix->n_touched = ix->n_applied = keep;
    ix->n_segment = base;
    if (is_foreign) { /* our own line of history ends here */
        ix->n_segment = ix->n_touched = ix->n_applied = ix->n_saved = 0;
        s = sq_index_push_segment(ix, &g->now, err);
    }
    return s;
}

/* Where our line of history meets the stored one: the newest of our segments that the record
 * knows; 0 = nowhere. */
static size_t find_base(const sq_index *ix, const sq_index_gen *g) {
    size_t i = ix->n_segment;
    while (i > 0 && !sq_generation_in(&g->raw, &ix->segment[i - 1].gen)) i--;
    return i;
}

/* Memory agrees with the tables, or is gone. */
rec_status sq_index_revalidate(sq_index *ix, const sq_index_def *d,
                               const sq_index_gen *g, rec_err *err) {
    if (ix->mem == NULL) return REC_OK;
    size_t base = find_base(ix, g);
    bool is_current = base > 0 && base == ix->n_segment &&
                      ix->n_applied == ix->n_touched &&
                      sq_generation_equal(&ix->segment[base - 1].gen, &g->now);
    if (is_current) return REC_OK;
    if (base == 0 || ix->mem->n_ref > 1) { /* I3 */
        sq_index_drop_memory(ix);
        return REC_OK;
    }
    rec_err why = {0};
    rec_status s = catch_up(ix, d, g, base, &why);
    if (s == REC_OK) return s;
    sq_index_drop_memory(ix);
    if (s == REC_CORRUPT) return REC_OK; /* reading everything says what is wrong */
    *err = why;
    return s;
}

rec_status sq_index_memory(sq_index *ix, const sq_index_def *d, sq_memory **out,
                           rec_err *err) {
    sq_index_gen g;
    *out = NULL;
    rec_status s = sq_index_generation(ix, d, &g, err);
    if (s == REC_OK) s = sq_index_revalidate(ix, d, &g, err);
    if (s == REC_OK && ix->mem == NULL) {
        s = sq_index_read(ix, d, &ix->mem, err);
        if (s == REC_OK) s = sq_index_push_segment(ix, &g.now, err);
        if (s != REC_OK) sq_index_drop_memory(ix);
    }
    if (s != REC_OK) return s;
    ix->mem->n_ref++;
    *out = ix->mem;
    return REC_OK;
}
