/* sq_index_check.c - is what a rec_index stores sound, and putting it in order again.
 *
 *   check      every row: slot, key, length, finite, sum; its place in _chunks; ver <= counter;
 *              what is in memory equals what is stored
 *   optimize   rows of the highest slots move into the gaps; _chunks is written anew
 *   rebuild    the same, and a lost or damaged _state or _chunks is written anew
 *
 * Rows are the truth: neither command changes a key, a vector or a cell, so a row whose bytes
 * were damaged stays reported until it is updated or deleted.
 *
 * I1-I4 are those of sq_index.c. A check only reads, so it works on a read-only file.
 */
#include "sq_index.h"

#include <inttypes.h>

/* ---- one row -------------------------------------------------------------------------------- */

/* A hash over the key, every filter cell and the vector, cut to 63 bits so that it is a
 * non-negative INTEGER. */
rec_status sq_index_row_sum(const sq_index_def *d, const sq_index_row *row,
                            int64_t *out, rec_err *err) {
    bytes_writer w = {0};
    for (int i = -1; i < d->n_filter; i++) {
        const cell *c = i < 0 ? &row->id : &row->filter[i];
        bytes_put_u8(&w, (uint8_t)c->type);
        if (c->type == CELL_INT)
            bytes_put_u64(&w, (uint64_t)c->i);
        else if (c->type == CELL_REAL)
            bytes_put_f64(&w, c->r);
        else if (c->type != CELL_NULL)
            bytes_put_str(&w, c->p, c->nbyte);
    }
    size_t n_v = row->v ? vec_nbyte(d->type, d->cfg.dim) : 0;
    bytes_put_u64(&w, rec_hash(row->v ? row->v : "", n_v, row->v != NULL));
    bool is_ok = w.status == REC_OK;
    *out = is_ok ? (int64_t)(rec_hash(w.data, w.n, 0) >> 1) : 0;
    bytes_clear(&w);
    return is_ok ? REC_OK : rec_nomem(err);
}

rec_status sq_index_check_id(const sq_index_def *d, int64_t slot, const cell *id,
                             rec_err *err) {
    if (id->type == (d->key == INDEX_KEY_TEXT ? CELL_TEXT : CELL_INT)) return REC_OK;
    return rec_corrupt(err,
                       "%s: slot %" PRId64 " of %s_rows has a key of the wrong type",
                       d->what, slot, d->table);
}

rec_status sq_index_check_vector(const sq_index_def *d, int64_t slot, const cell *v,
                                 rec_err *err) {
    size_t want = vec_nbyte(d->type, d->cfg.dim);
    if (v->type == CELL_NULL) return REC_OK;
    if (v->type != CELL_BLOB || v->nbyte != want)
        return rec_corrupt(
            err, "%s: slot %" PRId64 " of %s_rows holds %zu bytes, a vector has %zu",
            d->what, slot, d->table, v->nbyte, want);
    if (d->type != VEC_F32 && d->type != VEC_F16) return REC_OK;
    size_t unit = want / d->cfg.dim;
    float x[256];
    for (uint32_t at = 0; at < d->cfg.dim; at += 256) {
        uint32_t n = d->cfg.dim - at < 256 ? d->cfg.dim - at : 256;
        index_decode(d->type, v->p + at * unit, n, x);
        if (!vec_is_finite(x, n))
            return rec_corrupt(err,
                               "%s: slot %" PRId64 " of %s_rows holds NaN or infinity",
                               d->what, slot, d->table);
    }
    return REC_OK;
}

/* ---- check ------------------------------------------------------------------------------------ */

typedef struct checker {
    sq_index *ix;
    const sq_index_def *d;
    sq_memory *mem; /* NULL: quick */
    cell *filter;
    sq_slots slots;
    size_t n_vectors;
} checker;

static rec_status check_memory_row(const checker *k, int64_t slot, const cell *v,
                                   rec_err *err) {
    const void *have = k->mem->ix->ops->get(k->mem->ix, (uint32_t)slot);
    bool is_same = v->type == CELL_NULL
                       ? have == NULL
                       : have != NULL && memcmp(have, v->p, v->nbyte) == 0;
    if (is_same) return REC_OK;
    return rec_corrupt(err, "%s: slot %" PRId64 " differs between memory and %s_rows",
                       k->d->what, slot, k->d->table);
}

static rec_status check_row(checker *k, sqlite3_stmt *st, rec_err *err) {
    sq_place at = sq_index_place(k->d, st);
    int64_t slot = at.slot, sum = 0;
    cell v = sq_column_cell(st, 2), want = sq_column_cell(st, 3 + k->d->n_filter);
    sq_index_row row = {.id = sq_column_cell(st, 1), .filter = k->filter};
    for (int i = 0; i < k->d->n_filter; i++) k->filter[i] = sq_column_cell(st, 3 + i);
    rec_status s = sq_slots_check(&k->slots, k->d, &at, err);
    if (s == REC_OK) s = sq_index_check_id(k->d, slot, &row.id, err);
    if (s == REC_OK) s = sq_index_check_vector(k->d, slot, &v, err);
    if (s != REC_OK) return s;
    row.v = v.type == CELL_BLOB ? v.p : NULL;
    k->n_vectors += row.v != NULL;
    if (k->mem == NULL) return REC_OK;
    s = sq_index_row_sum(k->d, &row, &sum, err);
    if (s == REC_OK && (want.type != CELL_INT || want.i != sum))
        s = rec_corrupt(
            err, "%s: slot %" PRId64 " of %s_rows does not match its checksum (I4)",
            k->d->what, slot, k->d->table);
    if (s == REC_OK) s = check_memory_row(k, slot, &v, err);
    return s;
}

static rec_status check_rows(checker *k, rec_err *err) {
    sqlite3_stmt *st = NULL;
    rec_run run;
    bool row = false;
    sq_run_init(k->ix->conn, &run, false);
    rec_status s = sq_index_select(k->ix, k->d, "", &st, err);
    while (s == REC_OK) {
        s = sq_step(st, k->d->what, &row, err);
        if (s != REC_OK || !row) break;
        s = check_row(k, st, err);
        if (s == REC_OK) s = run_check(&run, err);
    }
    sqlite3_finalize(st);
    return s;
}

rec_status sq_index_check_format(sq_index *ix, const sq_index_def *d, rec_err *err) {
    cell v;
    rec_status s = sq_state_get(ix->conn->db, ix->schema, ix->name, "format", &v, err);
    if (s == REC_OK && (v.type != CELL_INT || v.i != INDEX_FORMAT))
        s = rec_corrupt(err, "%s: storage format %" PRId64 ", this version knows %d",
                        d->what, v.i, INDEX_FORMAT);
    sq_cell_free(&v);
    return s;
}

/* What others would load now is sound; is_quick and all: bytes are read anew. */
static rec_status check_links(sq_index *ix, const sq_index_def *d, uint64_t counter,
                              rec_err *err) {
    sqlite3_stmt *st = NULL;
    sq_memory *m = NULL;
    rec_err inner = {0};
    bool row = false;
    rec_status s = sq_prepare(
        ix->conn->db, d->what, &st, err,
        "SELECT chunk, ver FROM \"%w\".\"%w_graph\" WHERE typeof(ver) <> 'integer' OR"
        " ver NOT BETWEEN 0 AND %lld LIMIT 1",
        ix->schema, ix->name, (long long)counter);
    if (s == REC_OK) s = sq_step(st, d->what, &row, err);
    if (s == REC_OK && row)
        s = rec_corrupt(
            err, "%s: row %lld of %s_graph claims generation %s of %llu (I7)", d->what,
            (long long)sqlite3_column_int64(st, 0), d->table,
            (const char *)sqlite3_column_text(st, 1), (unsigned long long)counter);
    sqlite3_finalize(st);
    if (s == REC_OK) s = sq_index_read(ix, d, &m, err);
    if (s == REC_OK && m->is_damaged)
        s = rec_corrupt(err, "%s: %s; 'rebuild' makes the links anew", d->what,
                        m->damage);
    if (s == REC_OK && m->ix->ops->check(m->ix, &inner) != REC_OK)
        s = rec_corrupt(err, "%s: %s", d->what, inner.msg);
    sq_memory_unref(m);
    return s;
}

rec_status sq_index_check(sq_index *ix, const sq_index_def *d, bool is_quick,
                          rec_err *err) {
    checker k = {.ix = ix, .d = d};
    sq_generation now;
    index_stats stats;
    sq_index_gen g;
    rec_status s = sq_index_generation(ix, d, &g, err);
    now = g.now;
    if (s == REC_OK) s = sq_index_check_format(ix, d, err);
    k.filter = rec_zeros((size_t)d->n_filter, sizeof(cell));
    if (s == REC_OK && k.filter == NULL) s = rec_nomem(err);
    if (s == REC_OK) s = sq_slots_read(ix, d, now.counter, &k.slots, err);
    if (s == REC_OK && sq_graph_exists(d)) s = check_links(ix, d, now.counter, err);
    if (s == REC_OK && !is_quick) s = sq_index_memory(ix, d, &k.mem, err);
    if (s == REC_OK) s = check_rows(&k, err);
    if (s == REC_OK && k.mem) {
        k.mem->ix->ops->stats(k.mem->ix, &stats);
        if (stats.n_rows != k.n_vectors)
            s = rec_corrupt(err, "%s: memory has %zu vectors, %s_rows has %zu", d->what,
                            stats.n_rows, d->table, k.n_vectors);
        rec_err inner = {0};
        if (s == REC_OK && k.mem->ix->ops->check(k.mem->ix, &inner) != REC_OK)
            s = rec_corrupt(err, "%s: %s", d->what, inner.msg);
    }
    sq_memory_unref(k.mem);
    rec_free(k.filter);
    sq_slots_clear(&k.slots);
    return s;
}

/* ---- order ------------------------------------------------------------------------------------- */

/* Where every row is, by slot. */
static rec_status read_places(sq_index *ix, const sq_index_def *d, sq_place **out,
                              size_t *n, rec_err *err) {
    sqlite3_stmt *st = NULL;
    size_t cap = 0;
    bool row = false;
    *out = NULL;
    *n = 0;
    rec_status s =
        sq_prepare(ix->conn->db, d->what, &st, err,
                   "SELECT slot, rowid FROM \"%w\".\"%w_rows\" ORDER BY 1, 2",
                   ix->schema, ix->name);
    while (s == REC_OK) {
        s = sq_step(st, d->what, &row, err);
        if (s != REC_OK || !row) break;
        s = rec_grow(out, &cap, *n + 1, sizeof **out, err);
        if (s == REC_OK) (*out)[(*n)++] = sq_index_place(d, st);
    }
    sqlite3_finalize(st);
    return s;
}

/* n rows shall have the slots 0..n-1: who claims one of them first has it, the others fill the
 * gaps. owner[slot]: number of the row in `at`; outside: numbers of those that move. */
static void share_slots(const sq_place *at, size_t n, size_t *owner, size_t *outside) {
    size_t n_outside = 0;
    for (size_t i = 0; i < n; i++) owner[i] = SIZE_MAX;
    for (size_t i = 0; i < n; i++) {
        int64_t slot = at[i].slot;
        if (slot >= 0 && slot < (int64_t)n && owner[slot] == SIZE_MAX)
            owner[slot] = i;
        else
            outside[n_outside++] = i;
    }
}

/* rowid[slot] in the end. */
static rec_status fill_gaps(sq_index *ix, const sq_index_def *d, const sq_place *at,
                            size_t n, int64_t *rowid, rec_err *err) {
    sqlite3_stmt *st = NULL;
    size_t *owner = rec_array(n, sizeof *owner), *outside = rec_array(n, sizeof *owner);
    bool row = false;
    rec_status s = owner && outside ? REC_OK : rec_nomem(err);
    if (s == REC_OK)
        s = sq_prepare(ix->conn->db, d->what, &st, err,
                       "UPDATE \"%w\".\"%w_rows\" SET slot = ?1 WHERE rowid = ?2",
                       ix->schema, ix->name);
    if (s == REC_OK) share_slots(at, n, owner, outside);
    for (size_t slot = 0, next = 0; slot < n && s == REC_OK; slot++) {
        bool is_gap = owner[slot] == SIZE_MAX;
        int64_t before = at[is_gap ? outside[next++] : owner[slot]].rowid;
        rowid[slot] = d->key == INDEX_KEY_TEXT ? (int64_t)slot : before;
        if (!is_gap) continue;
        if (sqlite3_bind_int64(st, 1, (int64_t)slot) ||
            sqlite3_bind_int64(st, 2, before))
            s = rec_nomem(err);
        if (s == REC_OK) s = sq_step(st, d->what, &row, err);
    }
    sqlite3_finalize(st);
    rec_free(owner);
    rec_free(outside);
    return s;
}

/* What a rebuild needs to find: tables, format, and a head row that can be read. */
static rec_status make_tables(sq_index *ix, const sq_index_def *d, rec_err *err) {
    cell format = {.type = CELL_INT, .i = INDEX_FORMAT};
    sq_index_gen g;
    rec_err ignored = {0};
    rec_status s = sq_exec(
        ix->conn->db, d->what, err,
        "CREATE TABLE IF NOT EXISTS \"%w\".\"%w_state\"(k TEXT PRIMARY KEY, v);"
        "CREATE TABLE IF NOT EXISTS \"%w\".\"%w_chunks\"(" INDEX_CHUNKS_COLUMNS ")",
        ix->schema, ix->name, ix->schema, ix->name);
    if (s == REC_OK)
        s = sq_state_set(ix->conn->db, ix->schema, ix->name, "format", &format, err);
    if (s == REC_OK && sq_index_generation(ix, d, &g, &ignored) != REC_OK)
        s = sq_index_head_create(ix->conn->db, ix->schema, d, err);
    return s;
}

static rec_status put_in_order(sq_index *ix, const sq_index_def *d, bool is_fresh,
                               rec_err *err) {
    sq_place *at = NULL;
    int64_t *rowid = NULL;
    size_t n = 0;
    rec_status s = REC_OK;
    sq_index_forget(ix);
    if (is_fresh) s = make_tables(ix, d, err);
    if (s == REC_OK) s = sq_index_begin_write(ix, d, 0, err);
    if (s == REC_OK) s = read_places(ix, d, &at, &n, err);
    if (s == REC_OK && (rowid = rec_array(n, sizeof *rowid)) == NULL)
        s = rec_nomem(err);
    if (s == REC_OK) s = fill_gaps(ix, d, at, n, rowid, err);
    /* ver of every chunk is the new counter, so whoever catches up reads all of them. */
    if (s == REC_OK) s = sq_slots_write(ix, d, rowid, n, err);
    rec_free(at);
    rec_free(rowid);
    return s;
}

rec_status sq_index_optimize(sq_index *ix, const sq_index_def *d, rec_err *err) {
    rec_status s = put_in_order(ix, d, false, err);
    return s == REC_OK ? sq_graph_build(ix, d, false, err) : s;
}

rec_status sq_index_rebuild(sq_index *ix, const sq_index_def *d, rec_err *err) {
    rec_status s = put_in_order(ix, d, true, err);
    return s == REC_OK ? sq_graph_build(ix, d, true, err) : s;
}
