/* sq_index_slot.c - which slots of a rec_index are taken, and by which rows.
 *
 *   <t>_chunks   chunk | ver | live             | ids
 *                0     | 7   | 1 1 0 1 0 0 ...  | 17 +1 +40          slots 0, 1, 3: keys 17, 18, 58
 *                1     | 9   | 1 0 0 0 0 0 ...  | 59
 *                HEAD  | ...                      sq_index.c
 *
 * A row is found by its rowid in <t>_rows: the key where that is INTEGER, so that a new row
 * changes one B-tree of rows and none beside it; the slot where it is TEXT. `ids` leads from slots
 * back to INTEGER keys: without it, the rows of a chunk could not be read again alone. Of a TEXT
 * key it is NULL: rowid = slot.
 *
 * I2. slot = 64*chunk + bit; the bit of a row is set in live, and ids names the row there. So no
 *     two rows have one slot. (A set bit without a row is a slot lost to a failed statement:
 *     harmless, 'optimize' takes it back.)
 *
 * Cost: ids of keys that ascend one by one take a byte each, so a chunk is about 80 bytes and a
 * table of 100,000 rows has 32 pages of chunks.
 */
#include "sq_index.h"

#include <inttypes.h>

#define VARINT_MAX 10 /* bytes of 64 bits, 7 in each */

/* ---- one chunk ------------------------------------------------------------------------------- */

/* Keys of taken slots, each as the difference from the one before, sign in the lowest bit, seven
 * bits a byte, the highest bit set where more follow. */
static size_t encode_ids(const index_chunk *c, uint8_t *out) {
    uint64_t before = 0;
    size_t n = 0;
    for (uint64_t left = c->live; left; left &= left - 1) {
        uint64_t id = (uint64_t)c->row[__builtin_ctzll(left)], gap = id - before;
        uint64_t code = gap << 1 ^ (uint64_t)((int64_t)gap >> 63);
        before = id;
        for (; code > 127; code >>= 7) out[n++] = (uint8_t)(code | 128);
        out[n++] = (uint8_t)code;
    }
    return n;
}

static bool decode_ids(index_chunk *c, const uint8_t *p, size_t n) {
    uint64_t before = 0;
    size_t at = 0;
    for (uint64_t left = c->live; left; left &= left - 1) {
        uint64_t code = 0;
        int shift = 0;
        for (;; shift += 7) {
            if (at == n || shift > 63) return false;
            code |= (uint64_t)(p[at] & 127) << shift;
            if (p[at++] < 128) break;
        }
        before += code >> 1 ^ (0 - (code & 1));
        c->row[__builtin_ctzll(left)] = (int64_t)before;
    }
    return at == n;
}

/* live and ids stand in columns 1 and 2 of st. */
static rec_status decode(const sq_index_def *d, sqlite3_stmt *st, int64_t number,
                         index_chunk *out, rec_err *err) {
    bool is_sound = sqlite3_column_type(st, 1) == SQLITE_INTEGER;
    cell ids = sq_column_cell(st, 2);
    out->number = number;
    out->live = (uint64_t)sqlite3_column_int64(st, 1);
    if (d->key == INDEX_KEY_TEXT)
        for (int i = 0; i < INDEX_CHUNK; i++) out->row[i] = number * INDEX_CHUNK + i;
    else
        is_sound = is_sound && ids.type == CELL_BLOB &&
                   decode_ids(out, (const uint8_t *)ids.p, ids.nbyte);
    if (is_sound) return REC_OK;
    return rec_corrupt(err,
                       "%s: row %" PRId64 " of %s_chunks is missing or damaged (I2); "
                       "'rebuild' repairs that",
                       d->what, number, d->table);
}

rec_status sq_chunk_read(sq_index *ix, const sq_index_def *d, int64_t number,
                         index_chunk *out, rec_err *err) {
    sqlite3_stmt *st = NULL;
    bool row = false;
    *out = (index_chunk){.number = number};
    rec_status s = sq_index_statement(ix, d, INDEX_ST_CHUNK_GET, &st, err);
    if (s == REC_OK && sqlite3_bind_int64(st, 1, number)) s = rec_nomem(err);
    if (s == REC_OK) s = sq_step(st, d->what, &row, err);
    if (s == REC_OK && row) s = decode(d, st, number, out, err);
    if (st) sqlite3_reset(st);
    return s;
}

static rec_status chunk_write(sq_index *ix, const sq_index_def *d, const index_chunk *c,
                              uint64_t ver, rec_err *err) {
    sqlite3_stmt *st = NULL;
    uint8_t ids[INDEX_CHUNK * VARINT_MAX];
    bool row = false;
    rec_status s = sq_index_statement(ix, d, INDEX_ST_CHUNK_SET, &st, err);
    if (s != REC_OK) return s;
    if (sqlite3_bind_int64(st, 1, c->number) ||
        sqlite3_bind_int64(st, 2, (int64_t)ver) ||
        sqlite3_bind_int64(st, 3, (int64_t)c->live) ||
        (d->key != INDEX_KEY_TEXT &&
         sqlite3_bind_blob(st, 4, ids, (int)encode_ids(c, ids), SQLITE_STATIC)))
        s = rec_nomem(err);
    if (s == REC_OK) s = sq_step(st, d->what, &row, err);
    sqlite3_clear_bindings(st);
    return s;
}

/* ---- one slot --------------------------------------------------------------------------------- */

/* The chunk of the smallest free slot; a new one where all are full. */
static rec_status free_chunk(sq_index *ix, const sq_index_def *d, index_chunk *out,
                             rec_err *err) {
    sqlite3_stmt *st = NULL;
    bool row = false;
    if (ix->has_filling && ix->filling.live != UINT64_MAX) {
        *out = ix->filling;
        return REC_OK;
    }
    rec_status s = sq_index_statement(ix, d, INDEX_ST_FREE, &st, err);
    if (s == REC_OK && sqlite3_bind_int64(st, 1, ix->first_free)) s = rec_nomem(err);
    if (s == REC_OK) s = sq_step(st, d->what, &row, err);
    if (s == REC_OK && row) s = decode(d, st, sqlite3_column_int64(st, 0), out, err);
    if (st) sqlite3_reset(st);
    if (s != REC_OK || row) return s;
    *out = (index_chunk){0};
    s = sq_index_statement(ix, d, INDEX_ST_NEXT_CHUNK, &st, err);
    if (s == REC_OK) s = sq_step(st, d->what, &row, err);
    if (s == REC_OK && row) out->number = sqlite3_column_int64(st, 0);
    if (st) sqlite3_reset(st);
    return s;
}

rec_status sq_slot_take(sq_index *ix, const sq_index_def *d, const cell *id,
                        int64_t *slot, rec_err *err) {
    index_chunk c;
    rec_status s = free_chunk(ix, d, &c, err);
    if (s != REC_OK) return s;
    if (c.number < 0 || c.number >= INDEX_HEAD)
        return rec_corrupt(err, "%s: no slot is free below %" PRId64, d->what,
                           INDEX_MAX_SLOT);
    if (c.live == UINT64_MAX)
        return rec_corrupt(err, "%s: %s_chunks is damaged", d->what, d->table);
    int bit = __builtin_ctzll(~c.live);
    c.live |= (uint64_t)1 << bit;
    c.row[bit] = id->i;
    *slot = c.number * INDEX_CHUNK + bit;
    ix->has_filling = false;
    s = chunk_write(ix, d, &c, ix->last.counter, err);
    if (s != REC_OK) return s;
    ix->first_free = c.number;
    ix->filling = c;
    ix->has_filling = true;
    return REC_OK;
}

rec_status sq_slot_touch(sq_index *ix, const sq_index_def *d, int64_t slot,
                         rec_err *err) {
    int64_t arg[2] = {slot / INDEX_CHUNK, (int64_t)ix->last.counter};
    return sq_index_run(ix, d, INDEX_ST_CHUNK_TOUCH, arg, 2, err);
}

/* A slot that another row claims stays that row's. */
rec_status sq_slot_release(sq_index *ix, const sq_index_def *d, const sq_place *at,
                           rec_err *err) {
    index_chunk c;
    int bit = (int)(at->slot % INDEX_CHUNK);
    rec_status s = sq_chunk_read(ix, d, at->slot / INDEX_CHUNK, &c, err);
    if (s != REC_OK || !sq_chunk_has(&c, at)) return s;
    c.live &= ~((uint64_t)1 << bit);
    if (c.number < ix->first_free) ix->first_free = c.number;
    ix->has_filling = false;
    return chunk_write(ix, d, &c, ix->last.counter, err);
}

/* ---- all of them ------------------------------------------------------------------------------ */

void sq_slots_clear(sq_slots *x) {
    rec_free(x->chunk);
    *x = (sq_slots){0};
}

static rec_status add_chunk(const sq_index_def *d, sqlite3_stmt *st, uint64_t counter,
                            sq_slots *out, rec_err *err) {
    int64_t number = sqlite3_column_int64(st, 0), ver = sqlite3_column_int64(st, 3);
    if (number != (int64_t)out->n_chunk)
        return rec_corrupt(err,
                           "%s: row %zu of %s_chunks is missing or damaged (I2); "
                           "'rebuild' repairs that",
                           d->what, out->n_chunk, d->table);
    if (ver < 0 || (uint64_t)ver > counter)
        return rec_corrupt(
            err, "%s: chunk %zu claims a change in generation %lld of %llu (I1)",
            d->what, out->n_chunk, (long long)ver, (unsigned long long)counter);
    rec_status s = rec_grow(&out->chunk, &out->cap_chunk, out->n_chunk + 1,
                            sizeof *out->chunk, err);
    if (s == REC_OK) s = decode(d, st, number, &out->chunk[out->n_chunk], err);
    if (s == REC_OK) out->n_chunk++;
    return s;
}

rec_status sq_slots_read(sq_index *ix, const sq_index_def *d, uint64_t counter,
                         sq_slots *out, rec_err *err) {
    sqlite3_stmt *st = NULL;
    bool row = false;
    *out = (sq_slots){0};
    rec_status s = sq_prepare(ix->conn->db, d->what, &st, err,
                              "SELECT chunk, live, ids, ver FROM \"%w\".\"%w_chunks\""
                              " WHERE chunk < " INDEX_HEAD_TEXT " ORDER BY chunk",
                              ix->schema, ix->name);
    while (s == REC_OK) {
        s = sq_step(st, d->what, &row, err);
        if (s != REC_OK || !row) break;
        s = add_chunk(d, st, counter, out, err);
    }
    sqlite3_finalize(st);
    if (s != REC_OK) sq_slots_clear(out);
    return s;
}

bool sq_chunk_has(const index_chunk *c, const sq_place *at) {
    int bit = (int)(at->slot % INDEX_CHUNK);
    return at->slot >= 0 && at->slot / INDEX_CHUNK == c->number && c->live >> bit & 1 &&
           c->row[bit] == at->rowid;
}

rec_status sq_slots_check(const sq_slots *x, const sq_index_def *d, const sq_place *at,
                          rec_err *err) {
    if (at->slot >= 0 && (uint64_t)at->slot / INDEX_CHUNK < x->n_chunk &&
        sq_chunk_has(&x->chunk[at->slot / INDEX_CHUNK], at))
        return REC_OK;
    return rec_corrupt(err,
                       "%s: slot %" PRId64 " of %s_rows is not marked in %s_chunks as "
                       "that of row %" PRId64 " (I2); 'rebuild' repairs that",
                       d->what, at->slot, d->table, d->table, at->rowid);
}

rec_status sq_slots_write(sq_index *ix, const sq_index_def *d, const int64_t *rowid,
                          size_t n, rec_err *err) {
    ix->has_filling = false;
    rec_status s =
        sq_exec(ix->conn->db, d->what, err,
                "DELETE FROM \"%w\".\"%w_chunks\" WHERE chunk <> " INDEX_HEAD_TEXT,
                ix->schema, ix->name);
    for (size_t first = 0; first < n && s == REC_OK; first += INDEX_CHUNK) {
        index_chunk c = {.number = (int64_t)(first / INDEX_CHUNK)};
        for (size_t i = 0; i < INDEX_CHUNK && first + i < n; i++) {
            c.live |= (uint64_t)1 << i;
            c.row[i] = rowid[first + i];
        }
        s = chunk_write(ix, d, &c, ix->last.counter, err);
    }
    return s;
}
