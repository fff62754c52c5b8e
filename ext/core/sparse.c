/* sparse.c - compressed sparse rows: the shape of interactions and of term counts.
 *
 *     ptr  0     2        5  5          row i is col/val[ptr[i] .. ptr[i+1])
 *     col  1 4 | 0 1 7 |  |
 *     val  . . | . . . |  |
 *
 * csr_from_entries sorts by counting, first by column, then by row (each pass keeps the
 * order of equals): two sweeps over the entries, no comparisons. A transpose is one such
 * sweep.
 *
 * Stored form: u64 n_rows, u64 n_cols, u64 n_val, per row u32 length, then n_val u32
 * columns, then n_val float32.
 *
 * Invariants
 *   I1  ptr[0] = 0, ptr ascending, ptr[n_rows] = n_val.
 *   I2  Columns ascend strictly within a row and are below n_cols < 2^32 - 1.
 *   I3  Values are finite when they come from csr_read.
 *   I4  csr_times_mat adds in the order of the columns: bit-identical for any thread count.
 *
 * Cost: csr_from_entries O(n + n_rows + n_cols) and 12 n bytes of scratch memory.
 */
#include "core.h"

#include <math.h>

#define CSR_MAX_SIDE ((size_t)UINT32_MAX - 1)

void csr_clear(csr *a) {
    rec_free(a->ptr);
    rec_free(a->col);
    rec_free(a->val);
    memset(a, 0, sizeof *a);
}

static rec_status csr_alloc(csr *a, size_t n_rows, size_t n_cols, size_t n_val,
                            rec_err *err) {
    size_t n_ptr;
    memset(a, 0, sizeof *a);
    if (!rec_add(n_rows, 1, &n_ptr)) return rec_nomem(err);
    a->ptr = rec_zeros(n_ptr, sizeof *a->ptr);
    a->col = rec_array(n_val, sizeof *a->col);
    a->val = rec_array(n_val, sizeof *a->val);
    if (!a->ptr || !a->col || !a->val) {
        csr_clear(a);
        return rec_nomem(err);
    }
    a->n_rows = n_rows;
    a->n_cols = n_cols;
    a->n_val = n_val;
    return REC_OK;
}

/* Counts in place[1..n] become starting places in place[0..n-1]. */
static void counts_to_places(size_t *place, size_t n) {
    for (size_t i = 0; i < n; i++) place[i + 1] += place[i];
}

/* ---- building -------------------------------------------------------------------------- */

static rec_status check_entries(const csr_entry *e, size_t n, size_t n_rows,
                                size_t n_cols, rec_err *err) {
    if (n_rows > CSR_MAX_SIDE || n_cols > CSR_MAX_SIDE)
        return rec_fail(err, REC_RANGE, "a sparse matrix of %zu x %zu is too large",
                        n_rows, n_cols);
    for (size_t i = 0; i < n; i++)
        if (e[i].row >= n_rows || e[i].col >= n_cols)
            return rec_fail(err, REC_RANGE, "entry (%u, %u) lies outside of %zu x %zu",
                            e[i].row, e[i].col, n_rows, n_cols);
    return REC_OK;
}

/* One stable counting pass from `from` to `to`, by row or by column. */
static void scatter(const csr_entry *from, csr_entry *to, size_t n, size_t *place,
                    bool by_row) {
    for (size_t i = 0; i < n; i++)
        to[place[by_row ? from[i].row : from[i].col]++] = from[i];
}

/* e: sorted by (row, col). Sums equal places to the front; returns how many are left. */
static size_t merge_equal(csr_entry *e, size_t n) {
    size_t w = 0;
    for (size_t i = 0; i < n; i++) {
        if (w > 0 && e[w - 1].row == e[i].row && e[w - 1].col == e[i].col)
            e[w - 1].val += e[i].val;
        else
            e[w++] = e[i];
    }
    return w;
}

static rec_status sort_entries(csr_entry *e, size_t n, size_t n_rows, size_t n_cols,
                               rec_err *err) {
    size_t n_place = (n_rows > n_cols ? n_rows : n_cols) + 1;
    csr_entry *tmp = rec_array(n, sizeof *tmp);
    size_t *place = rec_zeros(n_place, sizeof *place);
    rec_status rc = tmp && place ? REC_OK : rec_nomem(err);
    if (rc) goto done;
    for (size_t i = 0; i < n; i++) place[e[i].col + 1]++;
    counts_to_places(place, n_cols);
    scatter(e, tmp, n, place, false);
    memset(place, 0, n_place * sizeof *place);
    for (size_t i = 0; i < n; i++) place[e[i].row + 1]++;
    counts_to_places(place, n_rows);
    scatter(tmp, e, n, place, true);
done:
    rec_free(tmp);
    rec_free(place);
    return rc;
}

rec_status csr_from_entries(csr *out, csr_entry *e, size_t n, size_t n_rows,
                            size_t n_cols, rec_err *err) {
    memset(out, 0, sizeof *out);
    rec_status rc = check_entries(e, n, n_rows, n_cols, err);
    if (!rc) rc = sort_entries(e, n, n_rows, n_cols, err);
    if (rc) return rc;
    n = merge_equal(e, n);
    if ((rc = csr_alloc(out, n_rows, n_cols, n, err))) return rc;
    for (size_t i = 0; i < n; i++) {
        out->ptr[e[i].row + 1]++;
        out->col[i] = e[i].col;
        out->val[i] = e[i].val;
    }
    counts_to_places(out->ptr, n_rows);
    return REC_OK;
}

rec_status csr_transpose(const csr *a, csr *out, rec_err *err) {
    rec_status rc = csr_alloc(out, a->n_cols, a->n_rows, a->n_val, err);
    if (rc) return rc;
    size_t *place = rec_zeros(a->n_cols + 1, sizeof *place);
    if (!place) {
        csr_clear(out);
        return rec_nomem(err);
    }
    for (size_t i = 0; i < a->n_val; i++) out->ptr[a->col[i] + 1]++;
    counts_to_places(out->ptr, a->n_cols);
    memcpy(place, out->ptr, (a->n_cols + 1) * sizeof *place);
    for (size_t row = 0; row < a->n_rows; row++)
        for (size_t i = a->ptr[row]; i < a->ptr[row + 1]; i++) {
            size_t at = place[a->col[i]]++;
            out->col[at] = (uint32_t)row;
            out->val[at] = a->val[i];
        }
    rec_free(place);
    return REC_OK;
}

/* ---- product ------------------------------------------------------------------------------ */

typedef struct product {
    const csr *a;
    const mat *x;
    mat *y;
} product;

static rec_status product_rows(void *ctx, size_t begin, size_t end, int worker,
                               rec_err *err) {
    const product *p = ctx;
    const rec_kernels *k = vec_kernels();
    size_t dim = p->x->dim;
    (void)worker, (void)err;
    for (size_t row = begin; row < end; row++) {
        float *y = mat_row(p->y, row);
        memset(y, 0, dim * sizeof *y);
        for (size_t i = p->a->ptr[row]; i < p->a->ptr[row + 1]; i++)
            k->axpy(y, p->a->val[i], mat_row(p->x, p->a->col[i]), dim);
    }
    return REC_OK;
}

#define PRODUCT_PIECE ((size_t)8 << 20) /* multiplications in a piece: a few ms */

rec_status csr_times_mat(const csr *a, const mat *x, mat *y, rec_run *run,
                         rec_err *err) {
    if (x->n_rows != a->n_cols || y->n_rows != a->n_rows || y->dim != x->dim)
        return rec_fail(err, REC_BUG,
                        "product of %zu x %zu with %zu x %u into %zu x %u", a->n_rows,
                        a->n_cols, x->n_rows, x->dim, y->n_rows, y->dim);
    product p = {a, x, y};
    size_t work = a->n_rows ? (a->n_val / a->n_rows + 1) * x->dim : 1;
    size_t grain = PRODUCT_PIECE / work + 1;
    if (grain > 4096) grain = 4096;
    return threads_for(run, a->n_rows, grain, product_rows, &p, err);
}

/* ---- stored form ----------------------------------------------------------------------------- */

void csr_write(const csr *a, bytes_writer *w) {
    bytes_put_u64(w, a->n_rows);
    bytes_put_u64(w, a->n_cols);
    bytes_put_u64(w, a->n_val);
    for (size_t i = 0; i < a->n_rows; i++)
        bytes_put_u32(w, (uint32_t)(a->ptr[i + 1] - a->ptr[i]));
    for (size_t i = 0; i < a->n_val; i++) bytes_put_u32(w, a->col[i]);
    bytes_put_f32s(w, a->val, a->n_val);
}

static rec_status read_rows(bytes_reader *r, csr *a, rec_err *err) {
    for (size_t i = 0; i < a->n_rows; i++) {
        uint32_t n = bytes_get_u32(r);
        if (n > a->n_val - a->ptr[i]) /* I1 */
            return rec_corrupt(err, "stored sparse matrix: row %zu passes the end", i);
        a->ptr[i + 1] = a->ptr[i] + n;
    }
    if (a->ptr[a->n_rows] != a->n_val)
        return rec_corrupt(err, "stored sparse matrix: rows hold %zu values of %zu",
                           a->ptr[a->n_rows], a->n_val);
    for (size_t row = 0; row < a->n_rows; row++)
        for (size_t i = a->ptr[row]; i < a->ptr[row + 1]; i++) {
            a->col[i] = bytes_get_u32(r);
            if (a->col[i] >= a->n_cols ||
                (i > a->ptr[row] && a->col[i] <= a->col[i - 1]))
                return rec_corrupt(
                    err, "stored sparse matrix: row %zu has a wrong column %u", row,
                    a->col[i]); /* I2 */
        }
    bytes_get_f32s(r, a->val, a->n_val);
    if (r->status) return rec_corrupt(err, "stored sparse matrix: cut short");
    if (!vec_is_finite(a->val, a->n_val)) /* I3 */
        return rec_corrupt(err, "stored sparse matrix: a value is not finite");
    return REC_OK;
}

rec_status csr_read(bytes_reader *r, csr *out, rec_err *err) {
    memset(out, 0, sizeof *out);
    uint64_t n_rows = bytes_get_u64(r), n_cols = bytes_get_u64(r),
             n_val = bytes_get_u64(r);
    size_t left = r->n - r->at;
    if (r->status || n_cols > CSR_MAX_SIDE || n_rows > left / 4 || n_val > left / 8 ||
        n_rows * 4 + n_val * 8 > left)
        return rec_corrupt(
            err, "stored sparse matrix: the header does not fit in %zu bytes", left);
    rec_status rc = csr_alloc(out, (size_t)n_rows, (size_t)n_cols, (size_t)n_val, err);
    if (!rc) rc = read_rows(r, out, err);
    if (rc) csr_clear(out);
    return rc;
}
