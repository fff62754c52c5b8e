/* sq_index_check.c - is what a rec_index stores sound, and putting it in order again.
 *
 *   check      every row: slot, key, length, finite, sum; its bit in _chunks; ver <= counter;
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
    int64_t *live; /* masks by chunk */
    size_t n_live, cap_live, n_rows, n_vectors;
} checker;

static rec_status read_masks(checker *k, uint64_t counter, rec_err *err) {
    sqlite3_stmt *st = NULL;
    bool row = false;
    rec_status s = sq_prepare(k->ix->conn->db, k->d->what, &st, err,
                              "SELECT chunk, ver, live FROM \"%w\".\"%w_chunks\""
                              " WHERE chunk < " INDEX_HEAD_TEXT " ORDER BY chunk",
                              k->ix->schema, k->ix->name);
    while (s == REC_OK) {
        s = sq_step(st, k->d->what, &row, err);
        if (s != REC_OK || !row) break;
        if (sqlite3_column_int64(st, 0) != (int64_t)k->n_live ||
            sqlite3_column_type(st, 2) != SQLITE_INTEGER)
            s = rec_corrupt(err, "%s: row %zu of %s_chunks is missing or damaged",
                            k->d->what, k->n_live, k->d->table);
        else if (sqlite3_column_int64(st, 1) < 0 ||
                 (uint64_t)sqlite3_column_int64(st, 1) > counter)
            s = rec_corrupt(
                err, "%s: chunk %zu claims a change in generation %lld of %llu (I1)",
                k->d->what, k->n_live, (long long)sqlite3_column_int64(st, 1),
                (unsigned long long)counter);
        if (s == REC_OK)
            s = rec_grow(&k->live, &k->cap_live, k->n_live + 1, sizeof *k->live, err);
        if (s == REC_OK) k->live[k->n_live++] = sqlite3_column_int64(st, 2);
    }
    sqlite3_finalize(st);
    return s;
}

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
    int64_t slot = sqlite3_column_int64(st, 0), sum = 0;
    cell v = sq_column_cell(st, 2), want = sq_column_cell(st, 3 + k->d->n_filter);
    sq_index_row row = {.id = sq_column_cell(st, 1), .filter = k->filter};
    for (int i = 0; i < k->d->n_filter; i++) k->filter[i] = sq_column_cell(st, 3 + i);
    if (slot < 0 || slot / 64 >= (int64_t)k->n_live ||
        !((uint64_t)k->live[slot / 64] >> (slot % 64) & 1))
        return rec_corrupt(
            err, "%s: slot %" PRId64 " of %s_rows is not marked in %s_chunks (I2)",
            k->d->what, slot, k->d->table, k->d->table);
    rec_status s = sq_index_check_id(k->d, slot, &row.id, err);
    if (s == REC_OK) s = sq_index_check_vector(k->d, slot, &v, err);
    if (s != REC_OK) return s;
    row.v = v.type == CELL_BLOB ? v.p : NULL;
    k->n_rows++;
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

static rec_status check_format(sq_index *ix, const sq_index_def *d, rec_err *err) {
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
    if (s == REC_OK) s = check_format(ix, d, err);
    k.filter = rec_zeros((size_t)d->n_filter, sizeof(cell));
    if (s == REC_OK && k.filter == NULL) s = rec_nomem(err);
    if (s == REC_OK) s = read_masks(&k, now.counter, err);
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
    rec_free(k.live);
    return s;
}

/* ---- order ------------------------------------------------------------------------------------- */

/* Ascending slots of every row. */
static rec_status read_slots(sq_index *ix, const sq_index_def *d, int64_t **out,
                             size_t *n, rec_err *err) {
    sqlite3_stmt *st = NULL;
    size_t cap = 0;
    bool row = false;
    *out = NULL;
    *n = 0;
    rec_status s = sq_prepare(ix->conn->db, d->what, &st, err,
                              "SELECT slot FROM \"%w\".\"%w_rows\" ORDER BY slot",
                              ix->schema, ix->name);
    while (s == REC_OK) {
        s = sq_step(st, d->what, &row, err);
        if (s != REC_OK || !row) break;
        s = rec_grow(out, &cap, *n + 1, sizeof **out, err);
        if (s == REC_OK) (*out)[(*n)++] = sqlite3_column_int64(st, 0);
    }
    sqlite3_finalize(st);
    return s;
}

/* n rows shall have the slots 0..n-1: those outside fill the gaps, the rest stays. */
static rec_status fill_gaps(sq_index *ix, const sq_index_def *d, const int64_t *slot,
                            size_t n, rec_err *err) {
    sqlite3_stmt *st = NULL;
    bool row = false;
    size_t low = 0, high = n; /* [low, high): slots that are inside already */
    while (low < n && slot[low] < 0) low++;
    while (high > low && slot[high - 1] >= (int64_t)n) high--;
    rec_status s = sq_prepare(ix->conn->db, d->what, &st, err,
                              "UPDATE \"%w\".\"%w_rows\" SET slot = ?1 WHERE slot = ?2",
                              ix->schema, ix->name);
    size_t inside = low, outside = 0;
    for (int64_t target = 0; target < (int64_t)n && s == REC_OK; target++) {
        if (inside < high && slot[inside] == target) {
            inside++;
            continue;
        }
        if (outside == low) outside = high; /* the negative ones, then the high ones */
        if (sqlite3_bind_int64(st, 1, target) ||
            sqlite3_bind_int64(st, 2, slot[outside++]))
            s = rec_nomem(err);
        if (s == REC_OK) s = sq_step(st, d->what, &row, err);
    }
    sqlite3_finalize(st);
    return s;
}

/* _chunks for n rows without gaps. */
static rec_status write_chunks(sq_index *ix, const sq_index_def *d, size_t n,
                               uint64_t ver, rec_err *err) {
    rec_status s =
        sq_exec(ix->conn->db, d->what, err,
                "DELETE FROM \"%w\".\"%w_chunks\" WHERE chunk <> " INDEX_HEAD_TEXT,
                ix->schema, ix->name);
    size_t full = n / 64, rest = n % 64;
    if (s == REC_OK && full > 0)
        s = sq_exec(ix->conn->db, d->what, err,
                    "WITH RECURSIVE c(i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM c "
                    "WHERE i + 1 <"
                    " %lld) INSERT INTO \"%w\".\"%w_chunks\" SELECT i, %lld, -1 FROM c",
                    (long long)full, ix->schema, ix->name, (long long)ver);
    if (s == REC_OK && rest > 0)
        s = sq_exec(ix->conn->db, d->what, err,
                    "INSERT INTO \"%w\".\"%w_chunks\" VALUES(%lld, %lld, %lld)",
                    ix->schema, ix->name, (long long)full, (long long)ver,
                    (long long)(((uint64_t)1 << rest) - 1));
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
        "CREATE TABLE IF NOT EXISTS \"%w\".\"%w_chunks\"(chunk INTEGER PRIMARY KEY,"
        " ver INTEGER, live INTEGER)",
        ix->schema, ix->name, ix->schema, ix->name);
    if (s == REC_OK)
        s = sq_state_set(ix->conn->db, ix->schema, ix->name, "format", &format, err);
    if (s == REC_OK && sq_index_generation(ix, d, &g, &ignored) != REC_OK)
        s = sq_index_head_create(ix->conn->db, ix->schema, d, err);
    return s;
}

static rec_status put_in_order(sq_index *ix, const sq_index_def *d, bool is_fresh,
                               rec_err *err) {
    int64_t *slot = NULL;
    size_t n = 0;
    rec_status s = REC_OK;
    sq_index_forget(ix);
    if (is_fresh) s = make_tables(ix, d, err);
    if (s == REC_OK) s = sq_index_begin_write(ix, d, err);
    if (s == REC_OK) s = read_slots(ix, d, &slot, &n, err);
    if (s == REC_OK) s = fill_gaps(ix, d, slot, n, err);
    /* ver of every chunk is the new counter, so whoever catches up reads all of them. */
    if (s == REC_OK) s = write_chunks(ix, d, n, ix->last.counter, err);
    rec_free(slot);
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
