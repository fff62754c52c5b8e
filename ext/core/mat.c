/* mat.c - a matrix of float32 in chunks of rows.
 *
 *     chunk[0]  | row 0 | row 1 | ... | row 2^shift - 1 |     each row: dim floats
 *     chunk[1]  | row 2^shift ...                       |
 *     chunk[2]  | ... | row n_rows-1 |                        the last one is short
 *
 * One allocation may not pass 2 GiB and 4 MiB blocks suit every allocator, so a matrix of a
 * million vectors is a list of chunks. A chunk is contiguous with stride dim, which makes
 * it an operand for GEMM. Rows per chunk are a power of two: mat_row is a shift and a mask.
 *
 * Stored form: u64 n_rows, u32 dim, then n_rows * dim float32, little-endian.
 *
 * Invariants
 *   I1  dim >= 1; chunk c holds exactly mat_chunk_rows(m, c) rows.
 *   I2  Rows that come into being are zero.
 *   I3  mat_read takes no more memory than the bytes that are really there, and lets no NaN
 *       or infinity in: a stored model cannot poison the sums of a search.
 */
#include "core.h"

#include <math.h>

static unsigned shift_for(uint32_t dim) {
    unsigned shift = 0;
    while (((size_t)2 << shift) * dim * sizeof(float) <= MAT_CHUNK_BYTES) shift++;
    return shift;
}

void mat_clear(mat *m) {
    for (size_t c = 0; c < m->n_chunks; c++) rec_free(m->chunk[c]);
    rec_free(m->chunk);
    memset(m, 0, sizeof *m);
}

rec_status mat_init(mat *m, size_t n_rows, uint32_t dim, rec_err *err) {
    memset(m, 0, sizeof *m);
    if (dim == 0) return rec_fail(err, REC_RANGE, "a matrix needs at least one column");
    m->dim = dim;
    m->shift = shift_for(dim);
    rec_status rc = mat_resize(m, n_rows, err);
    if (rc) mat_clear(m);
    return rc;
}

/* Chunk c from n_old to n_new rows (n_new >= 1); new rows are zero (I2). */
static rec_status resize_chunk(mat *m, size_t c, size_t n_old, size_t n_new,
                               rec_err *err) {
    size_t nbyte;
    if (!rec_mul(n_new * m->dim, sizeof(float), &nbyte)) return rec_nomem(err);
    float *p = rec_realloc(m->chunk[c], nbyte);
    if (!p) return rec_nomem(err);
    m->chunk[c] = p;
    if (n_new > n_old)
        memset(p + n_old * m->dim, 0, (n_new - n_old) * m->dim * sizeof(float));
    return REC_OK;
}

static void shrink(mat *m, size_t n_rows) {
    size_t per = (size_t)1 << m->shift, n_chunks = (n_rows + per - 1) >> m->shift;
    for (size_t c = n_chunks; c < m->n_chunks; c++) rec_free(m->chunk[c]);
    m->n_chunks = n_chunks;
    m->n_rows = n_rows;
    if (n_chunks == 0) return;
    size_t last = mat_chunk_rows(m, n_chunks - 1);
    /* Giving memory back may fail, and then the larger block serves as well. */
    (void)resize_chunk(m, n_chunks - 1, last, last, NULL);
}

rec_status mat_resize(mat *m, size_t n_rows, rec_err *err) {
    if (n_rows <= m->n_rows) {
        shrink(m, n_rows);
        return REC_OK;
    }
    size_t per = (size_t)1 << m->shift, before = m->n_rows, end, cap = m->n_chunks;
    if (!rec_add(n_rows, per - 1, &end)) return rec_nomem(err);
    size_t n_chunks = end >> m->shift;
    if (n_chunks > cap) {
        rec_status rc = rec_grow(&m->chunk, &cap, n_chunks, sizeof *m->chunk, err);
        if (rc) return rc;
    }
    /* n_rows and n_chunks follow chunk by chunk, so that a failure leaves a valid matrix. */
    while (m->n_rows < n_rows) {
        size_t c = m->n_rows >> m->shift, first = c << m->shift;
        size_t n_old = m->n_rows - first, left = n_rows - first;
        if (c == m->n_chunks) m->chunk[c] = NULL;
        rec_status rc = resize_chunk(m, c, n_old, left < per ? left : per, err);
        if (rc) {
            shrink(m, before);
            return rc;
        }
        m->n_chunks = c + 1;
        m->n_rows = first + (left < per ? left : per);
    }
    return REC_OK;
}

size_t mat_nbyte(const mat *m) {
    return m->n_rows * m->dim * sizeof(float) + m->n_chunks * sizeof *m->chunk;
}

void mat_write(const mat *m, bytes_writer *w) {
    bytes_put_u64(w, m->n_rows);
    bytes_put_u32(w, m->dim);
    for (size_t i = 0; i < m->n_rows; i++) bytes_put_f32s(w, mat_row(m, i), m->dim);
}

rec_status mat_read(bytes_reader *r, mat *out, rec_err *err) {
    memset(out, 0, sizeof *out);
    uint64_t n_rows = bytes_get_u64(r);
    uint32_t dim = bytes_get_u32(r);
    if (r->status || dim == 0)
        return rec_corrupt(err, "stored matrix: %u columns, expected 1 or more", dim);
    if (n_rows > (r->n - r->at) / sizeof(float) / dim) /* I3 */
        return rec_corrupt(
            err, "stored matrix: %llu rows of %u floats do not fit in %zu bytes",
            (unsigned long long)n_rows, dim, r->n - r->at);
    rec_status rc = mat_init(out, (size_t)n_rows, dim, err);
    for (size_t i = 0; i < n_rows && !rc; i++) {
        bytes_get_f32s(r, mat_row(out, i), dim);
        if (!vec_is_finite(mat_row(out, i), dim))
            rc = rec_corrupt(
                err, "stored matrix: row %zu holds a value that is not finite", i);
    }
    if (rc) mat_clear(out);
    return rc;
}

void mat_times_vec(const mat *m, const float *v, float *out) {
    const rec_kernels *k = vec_kernels();
    for (size_t i = 0; i < m->n_rows; i++) out[i] = k->dot(mat_row(m, i), v, m->dim);
}
