/* links.c - weighted neighbours of every item, in about three bytes each.
 *
 *     row  | u32 n | f32 scale | n x f16 weight / scale | n x gap |     columns ascend
 *
 *     columns 7 9 300      gaps  7, 1, 255 + u32 290         gap = column - (last column + 1)
 *
 * Two thousand neighbours of forty thousand items are 80 million links: as (u32, f32) pairs 650
 * MB, here 250 MB at worst. Gaps of dense lists fit in a byte; a weight needs no more than half
 * precision, relative to the largest of its row, because hundreds of them are added up. The same
 * bytes lie in memory and in the file, so loading is one pass that checks them.
 *
 * Rows lie in chunks of LINKS_CHUNK, each written by whoever computed it.
 *
 * Invariants
 *   I1  A row's columns ascend strictly and are below n_cols; n <= n_cols.
 *   I2  scale is finite and >= 0; weights are finite, |weight| <= scale.
 *   I3  A chunk ends where its last row ends.
 *
 * Stored: u32 n_rows, u32 n_cols; per chunk u32 bytes and the rows.
 */
#include "links.h"

#include <float.h>
#include <math.h>

#define LINKS_HEAD 8   /* n, scale */
#define LINKS_FAR  255 /* a gap that does not fit in a byte follows as u32 */

static uint32_t get_u32(const uint8_t *p) {
    return (uint32_t)p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 |
           (uint32_t)p[3] << 24;
}

static size_t rows_in_chunk(const links *l, size_t c) {
    size_t left = l->n_rows - c * LINKS_CHUNK;
    return left < LINKS_CHUNK ? left : LINKS_CHUNK;
}

rec_status links_init(links *l, uint32_t n_rows, uint32_t n_cols, rec_err *err) {
    *l = (links){.n_rows = n_rows, .n_cols = n_cols};
    l->n_chunks = ((size_t)n_rows + LINKS_CHUNK - 1) / LINKS_CHUNK;
    l->chunk = rec_zeros(l->n_chunks, sizeof *l->chunk);
    return l->chunk ? REC_OK : rec_nomem(err);
}

void links_clear(links *l) {
    for (size_t c = 0; l->chunk && c < l->n_chunks; c++) rec_free(l->chunk[c].data);
    rec_free(l->chunk);
    memset(l, 0, sizeof *l);
}

/* ---- writing ---------------------------------------------------------------------------- */

static void put_weights(bytes_writer *w, const float *weight, size_t n, float scale) {
    const rec_kernels *k = vec_kernels();
    float inverse = scale > 0 ? 1 / scale : 0;
    for (size_t i = 0; i < n; i += LINKS_BLOCK) {
        float part[LINKS_BLOCK];
        uint16_t half[LINKS_BLOCK];
        uint8_t byte[2 * LINKS_BLOCK];
        size_t m = n - i < LINKS_BLOCK ? n - i : LINKS_BLOCK;
        for (size_t j = 0; j < m; j++) part[j] = weight[i + j] * inverse;
        k->f16_from_f32(half, part, m);
        for (size_t j = 0; j < m; j++) {
            byte[2 * j] = (uint8_t)half[j];
            byte[2 * j + 1] = (uint8_t)(half[j] >> 8);
        }
        bytes_put(w, byte, 2 * m);
    }
}

static void put_gaps(bytes_writer *w, const uint32_t *col, size_t n) {
    uint8_t byte[LINKS_BLOCK + 8];
    size_t at = 0;
    uint32_t next = 0;
    for (size_t i = 0; i < n; i++) {
        uint32_t gap = col[i] - next;
        next = col[i] + 1;
        if (gap < LINKS_FAR)
            byte[at++] = (uint8_t)gap;
        else {
            byte[at++] = LINKS_FAR;
            for (int shift = 0; shift < 32; shift += 8)
                byte[at++] = (uint8_t)(gap >> shift);
        }
        if (at >= LINKS_BLOCK) {
            bytes_put(w, byte, at);
            at = 0;
        }
    }
    bytes_put(w, byte, at);
}

static void encode_row(bytes_writer *w, const uint32_t *col, const float *weight,
                       size_t n) {
    float scale = 0;
    for (size_t i = 0; i < n; i++) scale = fmaxf(scale, fabsf(weight[i]));
    bool is_tiny = scale < FLT_MIN; /* 1 / scale would not be finite */
    bytes_put_u32(w, is_tiny ? 0 : (uint32_t)n);
    bytes_put_f32(w, is_tiny ? 0 : scale);
    if (is_tiny) return;
    put_weights(w, weight, n, scale);
    put_gaps(w, col, n);
}

static rec_status set_chunk(links *l, size_t c, links_rows *own, rec_err *err) {
    links_chunk *chunk = &l->chunk[c];
    size_t n = rows_in_chunk(l, c);
    if (own->w.status || own->w.n > UINT32_MAX) return rec_nomem(err);
    chunk->data = rec_array(own->w.n, 1);
    if (!chunk->data) return rec_nomem(err);
    memcpy(chunk->data, own->w.data, own->w.n);
    memcpy(chunk->at, own->at, n * sizeof *own->at);
    for (size_t i = n; i <= LINKS_CHUNK; i++) chunk->at[i] = (uint32_t)own->w.n;
    own->w.n = 0;
    return REC_OK;
}

rec_status links_add(links *l, links_rows *own, uint32_t row, const uint32_t *col,
                     const float *weight, size_t n, rec_err *err) {
    own->at[row % LINKS_CHUNK] = (uint32_t)own->w.n;
    encode_row(&own->w, col, weight, n);
    if (row % LINKS_CHUNK == LINKS_CHUNK - 1 || row == l->n_rows - 1)
        return set_chunk(l, row / LINKS_CHUNK, own, err);
    return REC_OK;
}

links_rows *links_rows_new(int n_threads) {
    return rec_zeros((size_t)n_threads, sizeof(links_rows));
}

void links_rows_free(links_rows *rows, int n_threads) {
    for (int i = 0; rows && i < n_threads; i++) bytes_clear(&rows[i].w);
    rec_free(rows);
}

/* ---- reading ------------------------------------------------------------------------------ */

static const uint8_t *row_start(const links *l, uint32_t row) {
    const links_chunk *c = &l->chunk[row / LINKS_CHUNK];
    return c->data + c->at[row % LINKS_CHUNK];
}

uint32_t links_row(const links *l, uint32_t row, links_reader *r) {
    memset(r, 0, sizeof *r);
    if (row >= l->n_rows) return 0;
    const uint8_t *p = row_start(l, row);
    uint32_t bits = get_u32(p + 4);
    r->left = get_u32(p);
    memcpy(&r->scale, &bits, sizeof bits);
    r->weight = p + LINKS_HEAD;
    r->gap = r->weight + 2 * (size_t)r->left;
    return r->left;
}

size_t links_next(links_reader *r, uint32_t *col, float *weight) {
    uint16_t half[LINKS_BLOCK];
    size_t n = r->left < LINKS_BLOCK ? r->left : LINKS_BLOCK;
    const uint8_t *gap = r->gap;
    uint32_t next = r->next;
    for (size_t i = 0; i < n; i++)
        half[i] = (uint16_t)(r->weight[2 * i] | r->weight[2 * i + 1] << 8);
    vec_kernels()->f32_from_f16(weight, half, n);
    for (size_t i = 0; i < n; i++) weight[i] *= r->scale;
    for (size_t i = 0; i < n; i++) {
        uint32_t g = *gap++;
        if (g == LINKS_FAR) {
            g = get_u32(gap);
            gap += 4;
        }
        col[i] = next + g;
        next = col[i] + 1;
    }
    r->weight += 2 * n;
    r->gap = gap;
    r->next = next;
    r->left -= (uint32_t)n;
    return n;
}

float links_find(const links *l, uint32_t row, uint32_t col) {
    links_reader r;
    uint32_t cols[LINKS_BLOCK];
    float weight[LINKS_BLOCK];
    links_row(l, row, &r);
    for (size_t n; (n = links_next(&r, cols, weight)) > 0;) {
        if (cols[n - 1] < col) continue;
        for (size_t i = 0; i < n; i++)
            if (cols[i] == col) return weight[i];
        return 0;
    }
    return 0;
}

size_t links_count(const links *l) {
    size_t sum = 0;
    links_reader r;
    for (uint32_t row = 0; row < l->n_rows; row++) sum += links_row(l, row, &r);
    return sum;
}

size_t links_nbyte(const links *l) {
    size_t sum = l->n_chunks * sizeof *l->chunk;
    for (size_t c = 0; c < l->n_chunks; c++) sum += l->chunk[c].at[LINKS_CHUNK];
    return sum;
}

/* ---- stored form ---------------------------------------------------------------------------- */

void links_write(const links *l, bytes_writer *w) {
    bytes_put_u32(w, l->n_rows);
    bytes_put_u32(w, l->n_cols);
    for (size_t c = 0; c < l->n_chunks; c++) {
        uint32_t n = l->chunk[c].at[LINKS_CHUNK];
        bytes_put_u32(w, n);
        bytes_put(w, l->chunk[c].data, n);
    }
}

/* Length in bytes of the row at p, of at most n bytes; 0 if it breaks I1 or I2. */
static size_t checked_row(const uint8_t *p, size_t n, uint32_t n_cols) {
    if (n < LINKS_HEAD) return 0;
    uint32_t count = get_u32(p), bits = get_u32(p + 4);
    size_t at = LINKS_HEAD;
    float scale;
    memcpy(&scale, &bits, sizeof bits);
    if (!(scale >= 0) || !isfinite(scale) || count > n_cols ||
        (n - at) / 3 < count) /* I2, I1 */
        return 0;
    for (uint32_t i = 0; i < count; i++, at += 2) { /* I2: |f16| <= 1 */
        uint32_t half = (uint32_t)p[at] | (uint32_t)p[at + 1] << 8;
        if ((half & 0x7fff) > 0x3c00) return 0;
    }
    uint64_t next = 0;
    for (uint32_t i = 0; i < count; i++) { /* I1 */
        if (at >= n) return 0;
        uint64_t gap = p[at++];
        if (gap == LINKS_FAR) {
            if (n - at < 4) return 0;
            gap = get_u32(p + at);
            at += 4;
        }
        next += gap + 1;
        if (next > n_cols) return 0;
    }
    return at;
}

/* Finds the rows of chunk c in its n bytes. */
static rec_status index_chunk(const links *l, size_t c, const uint8_t *p, size_t n,
                              uint32_t *at, rec_err *err) {
    size_t pos = 0, n_rows = rows_in_chunk(l, c);
    for (size_t i = 0; i < n_rows; i++) {
        size_t used = checked_row(p + pos, n - pos, l->n_cols);
        if (used == 0)
            return rec_corrupt(err, "neighbours of item %zu are damaged",
                               c * LINKS_CHUNK + i);
        at[i] = (uint32_t)pos;
        pos += used;
    }
    if (pos != n) /* I3 */
        return rec_corrupt(err, "neighbours from item %zu on have %zu bytes of %zu",
                           c * LINKS_CHUNK, pos, n);
    for (size_t i = n_rows; i <= LINKS_CHUNK; i++) at[i] = (uint32_t)n;
    return REC_OK;
}

rec_status links_check(const links *l, rec_err *err) {
    uint32_t at[LINKS_CHUNK + 1];
    for (size_t c = 0; c < l->n_chunks; c++) {
        const links_chunk *k = &l->chunk[c];
        rec_status st = index_chunk(l, c, k->data, k->at[LINKS_CHUNK], at, err);
        if (st) return st;
    }
    return REC_OK;
}

rec_status links_read(bytes_reader *r, links *out, rec_err *err) {
    memset(out, 0, sizeof *out);
    uint32_t n_rows = bytes_get_u32(r), n_cols = bytes_get_u32(r);
    if (r->status || (r->n - r->at) / LINKS_HEAD < n_rows)
        return rec_corrupt(err, "neighbours: %zu bytes for %u items", r->n - r->at,
                           n_rows);
    rec_status st = links_init(out, n_rows, n_cols, err);
    for (size_t c = 0; !st && c < out->n_chunks; c++) {
        links_chunk *k = &out->chunk[c];
        uint32_t n = bytes_get_u32(r);
        const uint8_t *p = bytes_get(r, n);
        if (r->status || !p)
            st = rec_corrupt(err, "neighbours: cut short at item %zu", c * LINKS_CHUNK);
        if (!st) st = index_chunk(out, c, p, n, k->at, err);
        if (!st && !(k->data = rec_array(n, 1))) st = rec_nomem(err);
        if (!st) memcpy(k->data, p, n);
    }
    if (st) links_clear(out);
    return st;
}
