/* sq_shadow.c - what every virtual table of ours keeps beside itself in the same file.
 *
 *   <name>_state   k -> v      'gen': generation, 'format': version, settings; a model also 'sum': of the others
 *   <name>_data    part, chunk -> bytes                       long blobs (models)
 *
 * The generation record, little-endian u64s:
 *
 *   counter nonce | counter nonce | counter nonce | ...   at most 1 + SQ_GEN_HISTORY pairs
 *   `-- now        `-- the one before ...
 *
 * Memory that was built from the tables remembers the pair it was built at. Being a row, the
 * pair obeys ROLLBACK, ROLLBACK TO and the snapshot of a WAL reader, so comparing it inside
 * the reading statement says whether memory and tables agree; no callback is needed for that.
 *
 * I1. The nonce is random: two histories that reached the same counter differ (a connection
 *     bumps 5 to 6 and rolls back, another commits its own 6).
 * I2. Counters grow by one a pair along one line of history.
 * I3. Every byte is checked before use: length, multiples, checksums of parts.
 */
#include "sq.h"

#define PAIR_BYTES ((size_t)16)

rec_status sq_state_create(sqlite3 *db, const char *schema, const char *name,
                           rec_err *err) {
    return sq_exec(db, name, err,
                   "CREATE TABLE \"%w\".\"%w_state\"(k TEXT PRIMARY KEY, v)", schema,
                   name);
}

rec_status sq_data_create(sqlite3 *db, const char *schema, const char *name,
                          rec_err *err) {
    return sq_exec(
        db, name, err,
        "CREATE TABLE \"%w\".\"%w_data\"(part TEXT, chunk INTEGER, bytes BLOB,"
        " PRIMARY KEY(part, chunk))",
        schema, name);
}

/* ---- state rows ------------------------------------------------------------------------- */

rec_status sq_state_set(sqlite3 *db, const char *schema, const char *name,
                        const char *k, const cell *v, rec_err *err) {
    sqlite3_stmt *st = NULL;
    bool row = false;
    rec_status s = sq_prepare(db, name, &st, err,
                              "REPLACE INTO \"%w\".\"%w_state\"(k, v) VALUES(%Q, ?1)",
                              schema, name, k);
    if (s == REC_OK) s = sq_bind_cell(st, 1, v, err);
    if (s == REC_OK) s = sq_step(st, name, &row, err);
    sqlite3_finalize(st);
    return s;
}

rec_status sq_state_get(sqlite3 *db, const char *schema, const char *name,
                        const char *k, cell *v, rec_err *err) {
    sqlite3_stmt *st = NULL;
    bool row = false;
    *v = (cell){0};
    rec_status s =
        sq_prepare(db, name, &st, err, "SELECT v FROM \"%w\".\"%w_state\" WHERE k = %Q",
                   schema, name, k);
    if (s == REC_OK) s = sq_step(st, name, &row, err);
    if (s == REC_OK && row) {
        cell c = sq_column_cell(st, 0);
        s = sq_cell_copy(&c, v, err);
    }
    sqlite3_finalize(st);
    return s;
}

/* ---- generations -------------------------------------------------------------------------- */

static sq_generation pair_at(const char *p, size_t i) {
    uint8_t b[PAIR_BYTES];
    memcpy(b, p + i * PAIR_BYTES, PAIR_BYTES);
    sq_generation g = {0};
    for (int k = 7; k >= 0; k--) {
        g.counter = g.counter << 8 | b[k];
        g.nonce = g.nonce << 8 | b[8 + k];
    }
    return g;
}

static bool gen_is_valid(const cell *v) {
    return v->type == CELL_BLOB && v->nbyte >= PAIR_BYTES &&
           v->nbyte % PAIR_BYTES == 0 && v->nbyte <= PAIR_BYTES * (1 + SQ_GEN_HISTORY);
}

rec_status sq_generation_parse(const char *name, const cell *v, sq_generation *out,
                               rec_err *err) {
    *out = (sq_generation){0};
    if (!gen_is_valid(v))
        return rec_corrupt(err, "%s: row 'gen' of %s_state is missing or damaged", name,
                           name);
    *out = pair_at(v->p, 0);
    return REC_OK;
}

bool sq_generation_equal(const sq_generation *a, const sq_generation *b) {
    return a->counter == b->counter && a->nonce == b->nonce;
}

bool sq_generation_in(const cell *v, const sq_generation *old) {
    if (!gen_is_valid(v)) return false;
    for (size_t i = 0; i < v->nbyte / PAIR_BYTES; i++) {
        sq_generation g = pair_at(v->p, i);
        if (sq_generation_equal(&g, old)) return true;
    }
    return false;
}

rec_status sq_generation_read(sqlite3 *db, const char *schema, const char *name,
                              sq_generation *out, rec_err *err) {
    cell v;
    *out = (sq_generation){0};
    rec_status s = sq_state_get(db, schema, name, "gen", &v, err);
    if (s == REC_OK) s = sq_generation_parse(name, &v, out, err);
    sq_cell_free(&v);
    return s;
}

/* A missing row starts at counter 1; a damaged one is replaced with a fresh history, which no
 * memory agrees with, so everybody reloads. */
rec_status sq_generation_next(const cell *v, bool is_same_transaction,
                              sq_generation *out, bytes_writer *w, rec_err *err) {
    size_t n_old = gen_is_valid(v) ? v->nbyte / PAIR_BYTES : 0;
    size_t skip = is_same_transaction && n_old > 0;
    *out = n_old > 0 ? pair_at(v->p, 0) : (sq_generation){0};
    out->counter++;
    sqlite3_randomness((int)sizeof out->nonce, &out->nonce);
    n_old -= skip;
    if (n_old > SQ_GEN_HISTORY) n_old = SQ_GEN_HISTORY;
    bytes_put_u64(w, out->counter);
    bytes_put_u64(w, out->nonce);
    if (n_old > 0) bytes_put(w, v->p + skip * PAIR_BYTES, n_old * PAIR_BYTES);
    return w->status == REC_OK ? REC_OK : rec_nomem(err);
}

rec_status sq_generation_bump(sqlite3 *db, const char *schema, const char *name,
                              sq_generation *out, rec_err *err) {
    cell v, now = {.type = CELL_BLOB};
    bytes_writer w = {0};
    *out = (sq_generation){0};
    rec_status s = sq_state_get(db, schema, name, "gen", &v, err);
    if (s == REC_OK) s = sq_generation_next(&v, false, out, &w, err);
    if (s == REC_OK) {
        now.p = (const char *)w.data;
        now.nbyte = w.n;
        s = sq_state_set(db, schema, name, "gen", &now, err);
    }
    bytes_clear(&w);
    sq_cell_free(&v);
    return s;
}

/* ---- the sum of a model's rows ---------------------------------------------------------- */

/* Rows in any order: hashes are added. The type is part of the hash: 1, 1.0 and '1' differ. */
static rec_status row_hash(sqlite3_stmt *st, uint64_t *sum, rec_err *err) {
    bytes_writer w = {0};
    cell k = sq_column_cell(st, 0), v = sq_column_cell(st, 1);
    uint64_t bits;
    memcpy(&bits, &v.r, sizeof bits);
    bytes_put_str(&w, k.p ? k.p : "", k.nbyte);
    bytes_put_u32(&w, (uint32_t)k.type);
    bytes_put_u32(&w, (uint32_t)v.type);
    bytes_put_u64(&w, v.type == CELL_REAL ? bits : (uint64_t)v.i);
    bytes_put(&w, v.p ? v.p : "", v.nbyte);
    if (w.status == REC_OK) *sum += rec_hash(w.data, w.n, 0);
    rec_status s = w.status == REC_OK ? REC_OK : rec_nomem(err);
    bytes_clear(&w);
    return s;
}

static rec_status state_sum(sqlite3 *db, const char *schema, const char *name,
                            int64_t *out, rec_err *err) {
    sqlite3_stmt *st = NULL;
    uint64_t sum = 0;
    bool row = false;
    rec_status s = sq_prepare(
        db, name, &st, err, "SELECT k, v FROM \"%w\".\"%w_state\" WHERE k IS NOT 'sum'",
        schema, name);
    while (s == REC_OK && (s = sq_step(st, name, &row, err)) == REC_OK && row)
        s = row_hash(st, &sum, err);
    sqlite3_finalize(st);
    *out = (int64_t)sum;
    return s;
}

rec_status sq_state_seal(sqlite3 *db, const char *schema, const char *name,
                         rec_err *err) {
    sq_generation g;
    int64_t sum = 0;
    rec_status s = sq_generation_bump(db, schema, name, &g, err);
    if (s == REC_OK) s = state_sum(db, schema, name, &sum, err);
    cell v = cell_int(sum);
    return s == REC_OK ? sq_state_set(db, schema, name, "sum", &v, err) : s;
}

rec_status sq_state_check(sqlite3 *db, const char *schema, const char *name,
                          rec_err *err) {
    int64_t sum = 0;
    cell v;
    rec_status s = state_sum(db, schema, name, &sum, err);
    if (s != REC_OK) return s;
    s = sq_state_get(db, schema, name, "sum", &v, err);
    if (s == REC_OK && (v.type != CELL_INT || v.i != sum))
        s = rec_corrupt(err, "%s: the rows of %s_state fail their checksum", name,
                        name);
    sq_cell_free(&v);
    return s;
}

/* ---- tables -------------------------------------------------------------------------------- */

rec_status sq_shadow_drop(sqlite3 *db, const char *schema, const char *name,
                          const char *const *suffix, rec_err *err) {
    rec_status s = REC_OK;
    for (; *suffix && s == REC_OK; suffix++)
        s = sq_exec(db, name, err, "DROP TABLE IF EXISTS \"%w\".\"%w_%w\"", schema,
                    name, *suffix);
    return s;
}

static rec_status table_exists(sqlite3 *db, const char *schema, const char *name,
                               const char *suffix, bool *yes, rec_err *err) {
    sqlite3_stmt *st = NULL;
    rec_status s = sq_prepare(db, name, &st, err,
                              "SELECT 1 FROM \"%w\".sqlite_master WHERE type = 'table'"
                              " AND lower(name) = lower('%q_%q')",
                              schema, name, suffix);
    *yes = false;
    if (s == REC_OK) s = sq_step(st, name, yes, err);
    sqlite3_finalize(st);
    return s;
}

rec_status sq_shadow_rename(sqlite3 *db, const char *schema, const char *from,
                            const char *to, const char *const *suffix, rec_err *err) {
    rec_status s = REC_OK;
    for (; *suffix && s == REC_OK; suffix++) {
        bool exists = false;
        s = table_exists(db, schema, from, *suffix, &exists, err);
        if (s == REC_OK && exists)
            s = sq_exec(db, from, err,
                        "ALTER TABLE \"%w\".\"%w_%w\" RENAME TO \"%w_%w\"", schema,
                        from, *suffix, to, *suffix);
    }
    return s;
}

/* ---- parts: chunk 0.. hold the bytes, chunk -1 holds u64 length, u64 hash -------------------- */

/* The name goes in first: parts that changed places are found. */
static uint64_t part_hash(const char *part, const void *p, size_t n) {
    return rec_hash(n ? p : "", n, rec_hash(part, strlen(part), 0));
}

static rec_status put_chunk(sqlite3_stmt *st, const char *name, int64_t chunk,
                            const void *p, size_t n, rec_err *err) {
    bool row = false;
    int rc = sqlite3_bind_int64(st, 1, chunk);
    if (rc == SQLITE_OK) rc = sqlite3_bind_blob64(st, 2, p, n, SQLITE_STATIC);
    if (rc != SQLITE_OK) return sq_fail_rc(sqlite3_db_handle(st), rc, name, err);
    rec_status s = sq_step(st, name, &row, err);
    sqlite3_clear_bindings(st);
    return s;
}

rec_status sq_part_write(sqlite3 *db, const char *schema, const char *name,
                         const char *part, const void *p, size_t n, rec_err *err) {
    sqlite3_stmt *st = NULL;
    bytes_writer tail = {0};
    rec_status s =
        sq_exec(db, name, err, "DELETE FROM \"%w\".\"%w_data\" WHERE part = %Q", schema,
                name, part);
    if (s == REC_OK)
        s = sq_prepare(
            db, name, &st, err,
            "INSERT INTO \"%w\".\"%w_data\"(part, chunk, bytes) VALUES(%Q, ?1, ?2)",
            schema, name, part);
    for (size_t at = 0; s == REC_OK && at < n; at += SQ_PART_BYTES) {
        size_t len = n - at < SQ_PART_BYTES ? n - at : SQ_PART_BYTES;
        s = put_chunk(st, name, (int64_t)(at / SQ_PART_BYTES), (const char *)p + at,
                      len, err);
    }
    bytes_put_u64(&tail, n);
    bytes_put_u64(&tail, part_hash(part, p, n));
    if (s == REC_OK && tail.status != REC_OK) s = rec_nomem(err);
    if (s == REC_OK) s = put_chunk(st, name, -1, tail.data, tail.n, err);
    bytes_clear(&tail);
    sqlite3_finalize(st);
    return s;
}

/* The length is believed only as far as the pieces bear it out: memory grows with what was
 * really read. */
static rec_status read_chunks(sqlite3_stmt *st, const char *name, const char *part,
                              bytes_writer *w, uint64_t want[2], rec_err *err) {
    bool row = false;
    int64_t next = -1;
    for (;; next++) {
        rec_status s = sq_step(st, name, &row, err);
        if (s != REC_OK || !row) return s;
        cell c = sq_column_cell(st, 1);
        bool fits = sqlite3_column_type(st, 0) == SQLITE_INTEGER &&
                    sqlite3_column_int64(st, 0) == next && c.type == CELL_BLOB;
        if (next < 0) {
            bytes_reader r = {.data = (const uint8_t *)c.p, .n = c.nbyte};
            fits = fits && c.nbyte == 16;
            want[0] = bytes_get_u64(&r);
            want[1] = bytes_get_u64(&r);
        } else {
            uint64_t left = want[0] - w->n; /* I3: w->n never passes want[0] */
            fits = fits && left > 0 &&
                   c.nbyte == (left < SQ_PART_BYTES ? left : SQ_PART_BYTES);
            if (fits) bytes_put(w, c.p, c.nbyte);
            if (w->status != REC_OK) return rec_nomem(err);
        }
        if (!fits)
            return rec_corrupt(err, "%s: part '%s', piece %lld of %s_data is damaged",
                               name, part, (long long)next, name);
    }
}

rec_status sq_part_read(sqlite3 *db, const char *schema, const char *name,
                        const char *part, uint8_t **out, size_t *n, rec_err *err) {
    sqlite3_stmt *st = NULL;
    bytes_writer w = {0};
    uint64_t want[2] = {UINT64_MAX, 0};
    *out = NULL;
    *n = 0;
    rec_status s =
        sq_prepare(db, name, &st, err,
                   "SELECT chunk, bytes FROM \"%w\".\"%w_data\" WHERE part = %Q"
                   " ORDER BY chunk",
                   schema, name, part);
    if (s == REC_OK) s = read_chunks(st, name, part, &w, want, err);
    sqlite3_finalize(st);
    bool is_absent = want[0] == UINT64_MAX && w.n == 0;
    if (s == REC_OK && !is_absent &&
        (w.n != want[0] || part_hash(part, w.data, w.n) != want[1]))
        s = rec_corrupt(err, "%s: part '%s' of %s_data fails its checksum", name, part,
                        name);
    if (s == REC_OK && !is_absent) {
        *n = w.n;
        *out = w.data ? w.data : rec_malloc(1); /* an empty part is not an absent one */
        if (*out == NULL) s = rec_nomem(err);
    } else {
        bytes_clear(&w);
    }
    return s;
}
