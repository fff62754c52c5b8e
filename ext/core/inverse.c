/* inverse.c - the inverse of a large symmetric positive definite matrix, in place.
 *
 * The sweep operator (Goodnight 1979), a block of rows K at a time:
 *
 *     D = A_KK^-1      A_KK = -D      A_Kj = D A_Kj      A_ij -= A_iK D A_Kj
 *
 * After every block has had its turn the matrix is -A^-1. It stays symmetric throughout, so the
 * upper triangle is enough, and all but the small inverse is matrix multiplication. Between the
 * products the host is asked for interrupts: no LAPACK routine would allow that.
 *
 *     panel P  (K x n)   the block's rows, gathered from both sides of the diagonal
 *     T = D P            then each block of rows i: A[i, i..n) -= P[:, i]' T[:, i..n)
 *
 * Invariants
 *   I1  Only the upper triangle is read; the result is full and symmetric.
 *   I2  A matrix that is not positive definite to working precision is refused (REC_RANGE).
 *
 * Cost: n^3 multiply-adds, half of them in the upper triangle; 2 x INV_BLOCK x n floats.
 */
#include "core.h"

#include <math.h>

#define INV_BLOCK 128
#define INV_STRIP 512 /* rows of one product: a fraction of a second at n = 20000 */

typedef struct sweep {
    float *a; /* n x n */
    size_t n;
    float *panel, *turned; /* [INV_BLOCK x n] owned */
    double *small;         /* [INV_BLOCK^2] owned, as block: D */
    float *block;
} sweep;

/* Rows [at, at + m) of the symmetric matrix into the panel. */
static void gather(const sweep *s, size_t at, size_t m) {
    for (size_t r = 0; r < m; r++) {
        float *row = s->panel + r * s->n;
        memcpy(row + at + r, s->a + (at + r) * s->n + at + r,
               (s->n - at - r) * sizeof *row);
    }
    for (size_t j = 0; j < at + m; j++)
        for (size_t r = j < at ? 0 : j - at + 1; r < m; r++)
            s->panel[r * s->n + j] = s->a[j * s->n + at + r];
}

/* small = inverse of the m x m block at `at` of the panel; false if a pivot is lost. */
static bool invert_block(const sweep *s, size_t at, size_t m) {
    double *d = s->small;
    for (size_t r = 0; r < m; r++)
        for (size_t c = 0; c < m; c++) d[r * m + c] = s->panel[r * s->n + at + c];
    for (size_t k = 0; k < m; k++) { /* the same sweep, one row at a time */
        double pivot = d[k * m + k];
        if (!(pivot > 0) || !isfinite(pivot)) return false;
        for (size_t r = 0; r < m; r++) {
            double f = d[r * m + k] / pivot;
            if (r == k) continue;
            for (size_t c = 0; c < m; c++)
                if (c != k) d[r * m + c] -= f * d[k * m + c];
        }
        for (size_t r = 0; r < m; r++)
            if (r != k) d[r * m + k] = d[k * m + r] = d[r * m + k] / pivot;
        d[k * m + k] = -1 / pivot;
    }
    for (size_t i = 0; i < m * m; i++) d[i] = -d[i];
    return true;
}

/* turned = D panel. */
static void turn(const sweep *s, size_t m) {
    for (size_t i = 0; i < m * m; i++) s->block[i] = (float)s->small[i];
    la_gemm(&(la_gemm_args){.m = m,
                            .n = s->n,
                            .k = m,
                            .alpha = 1,
                            .a = s->block,
                            .b = s->panel,
                            .c = s->turned,
                            .lda = m,
                            .ldb = s->n,
                            .ldc = s->n});
}

/* A_ij -= P_i' T_j for the rows outside the block, then the block's own rows and columns. */
static rec_status update(const sweep *s, size_t at, size_t m, rec_run *run,
                         rec_err *err) {
    for (size_t i = 0; i < s->n; i += INV_STRIP) {
        rec_status st = run_check(run, err);
        if (st) return st;
        size_t rows = s->n - i < INV_STRIP ? s->n - i : INV_STRIP;
        la_gemm(&(la_gemm_args){.trans_a = true,
                                .m = rows,
                                .n = s->n - i,
                                .k = m,
                                .alpha = -1,
                                .beta = 1,
                                .a = s->panel + i,
                                .b = s->turned + i,
                                .c = s->a + i * s->n + i,
                                .lda = s->n,
                                .ldb = s->n,
                                .ldc = s->n});
    }
    for (size_t r = 0; r < m; r++) { /* T is D P: what the block's rows become */
        for (size_t j = 0; j < at; j++)
            s->a[j * s->n + at + r] = s->turned[r * s->n + j];
        memcpy(s->a + (at + r) * s->n + at + m, s->turned + r * s->n + at + m,
               (s->n - at - m) * sizeof *s->a);
    }
    return REC_OK;
}

static rec_status sweep_block(const sweep *s, size_t at, rec_run *run, rec_err *err) {
    size_t m = s->n - at < INV_BLOCK ? s->n - at : INV_BLOCK;
    gather(s, at, m);
    if (!invert_block(s, at, m))
        return rec_fail(err, REC_RANGE,
                        "inverse: the matrix is not positive definite at row %zu", at);
    turn(s, m);
    rec_status st = update(s, at, m, run, err);
    for (size_t r = 0; !st && r < m; r++)
        for (size_t c = r; c < m; c++)
            s->a[(at + r) * s->n + at + c] = -s->block[r * m + c];
    return st;
}

rec_status la_spd_inverse(float *a, size_t n, rec_run *run, rec_err *err) {
    size_t cells;
    if (!rec_mul(n, INV_BLOCK, &cells)) return rec_nomem(err);
    sweep s = {.a = a,
               .n = n,
               .panel = rec_array(cells, sizeof(float)),
               .turned = rec_array(cells, sizeof(float)),
               .block = rec_array(INV_BLOCK * INV_BLOCK, sizeof(float)),
               .small = rec_array(INV_BLOCK * INV_BLOCK, sizeof(double))};
    rec_status st = s.panel && s.turned && s.small && s.block ? REC_OK : rec_nomem(err);
    for (size_t at = 0; !st && at < n; at += INV_BLOCK) {
        st = sweep_block(&s, at, run, err);
        run_progress(run, "inverse", (double)(at + 1) / (double)n);
    }
    for (size_t i = 0; !st && i < n; i++)
        for (size_t j = i; j < n; j++) a[j * n + i] = a[i * n + j] = -a[i * n + j];
    rec_free(s.panel);
    rec_free(s.turned);
    rec_free(s.small);
    rec_free(s.block);
    return st;
}
