/* linalg.c - dense algebra over BLAS; the only file that knows BLAS.
 *
 * OpenBLAS is reached through its plain C interface. Three things keep it a good guest in
 * somebody else's process:
 *
 *   I1  Its thread count is never changed: it is global to the process, and the host may
 *       use the same library. It is never called from within threads_for.
 *   I2  No call is longer than PIECE_FLOPS of work; interrupts are looked at between calls.
 *   I3  It never sees a size above INT_MAX, its own index type.
 *
 * Matrices are row-major. A mat is worked through chunk by chunk, each chunk being one GEMM
 * operand:
 *
 *     la_gram     G  = sum over chunks of  C^T C          dim x dim
 *     la_mat_mul  OUT chunk = M chunk * B                 rows x p
 *     la_mat_tmul P  = sum over pieces of  A^T B          dim_a x dim_b
 *
 * Small systems, thousands of them in parallel, are no work for BLAS: see model/spd.c. With
 * REC_NO_BLAS everything here goes to linalg_ref.c.
 *
 * la_orthonormalize is Cholesky-QR twice (Fukaya and others 2014): M <- M R^-1 with R^T R =
 * M^T M, and again to remove what rounding left. That squares the condition number. When the
 * first factor says that columns nearly depend on each other, a factor of M^T M plus a small
 * diagonal makes M well conditioned first (Fukaya and others 2020). When that does not help,
 * columns really depend on each other, and classical Gram-Schmidt with one repetition takes
 * over, column by column.
 */
#include "core.h"

#include <math.h>

#ifndef REC_NO_BLAS
#include <cblas.h>
/* LAPACK's Fortran entry; the last two are the hidden lengths of the character arguments. */
extern void ssyevd_(const char *jobz, const char *uplo, const int *n, float *a,
                    const int *lda, float *w, float *work, const int *lwork, int *iwork,
                    const int *liwork, int *info, size_t n_jobz, size_t n_uplo);
#endif

#define PIECE_FLOPS ((size_t)1000 * 1000 * 1000) /* about 20 ms on one core */

const char *la_backend(void) {
#ifdef REC_NO_BLAS
    return "builtin";
#else
    return "openblas";
#endif
}

/* ---- products -------------------------------------------------------------------------- */

void la_gemm(const la_gemm_args *g) {
    if (g->m == 0 || g->n == 0) return;
#ifndef REC_NO_BLAS
    if (g->k > 0 && g->m <= INT_MAX && g->n <= INT_MAX && g->k <= INT_MAX &&
        g->lda <= INT_MAX && g->ldb <= INT_MAX && g->ldc <= INT_MAX) {
        cblas_sgemm(CblasRowMajor, g->trans_a ? CblasTrans : CblasNoTrans,
                    g->trans_b ? CblasTrans : CblasNoTrans, (int)g->m, (int)g->n,
                    (int)g->k, g->alpha, g->a, (int)g->lda, g->b, (int)g->ldb, g->beta,
                    g->c, (int)g->ldc);
        return;
    }
#endif
    la_ref_gemm(g);
}

/* G += X^T X for X[n_rows x dim], at least the upper triangle. */
static void gram_add(const float *x, size_t n_rows, size_t dim, float *g) {
#ifndef REC_NO_BLAS
    cblas_ssyrk(CblasRowMajor, CblasUpper, CblasTrans, (int)dim, (int)n_rows, 1, x,
                (int)dim, 1, g, (int)dim);
#else
    la_gemm_args p = {true, false, dim, dim, n_rows, 1, 1, x, x, g, dim, dim, dim};
    la_gemm(&p);
#endif
}

/* Rows that may go into one call when each costs `flops`. */
static size_t piece_rows(size_t flops) {
    size_t n = PIECE_FLOPS / (flops ? flops : 1);
    return n ? n : 1;
}

rec_status la_gram(const mat *m, float *g, rec_run *run, rec_err *err) {
    size_t dim = m->dim, step = piece_rows(dim * dim);
    memset(g, 0, dim * dim * sizeof *g);
    for (size_t c = 0; c < m->n_chunks; c++) {
        size_t n = mat_chunk_rows(m, c);
        for (size_t i = 0; i < n; i += step) {
            rec_status rc = run_check(run, err);
            if (rc) return rc;
            gram_add(m->chunk[c] + i * dim, n - i < step ? n - i : step, dim, g);
        }
    }
    for (size_t i = 0; i < dim; i++)
        for (size_t j = 0; j < i; j++) g[i * dim + j] = g[j * dim + i];
    return REC_OK;
}

/* Longest run of rows from i on that is contiguous in m. */
static size_t run_of_rows(const mat *m, size_t i) {
    size_t c = i >> m->shift;
    return mat_chunk_rows(m, c) - (i - (c << m->shift));
}

static size_t smallest(size_t a, size_t b, size_t c) {
    size_t x = a < b ? a : b;
    return x < c ? x : c;
}

rec_status la_mat_mul(const mat *m, const float *b, uint32_t p, mat *out, rec_run *run,
                      rec_err *err) {
    rec_status rc = mat_init(out, m->n_rows, p, err);
    size_t dim = m->dim, step = piece_rows(2 * dim * p), n;
    for (size_t i = 0; i < m->n_rows && !rc; i += n) {
        n = smallest(run_of_rows(m, i), run_of_rows(out, i), step);
        la_gemm_args g = {false, false,           n,   p, dim, 1, 0, mat_row(m, i),
                          b,     mat_row(out, i), dim, p, p};
        la_gemm(&g);
        rc = run_check(run, err);
    }
    if (rc) mat_clear(out);
    return rc;
}

rec_status la_mat_tmul(const mat *a, const mat *b, float *p, rec_run *run,
                       rec_err *err) {
    if (a->n_rows != b->n_rows)
        return rec_fail(err, REC_BUG, "product of matrices with %zu and %zu rows",
                        a->n_rows, b->n_rows);
    size_t n_a = a->dim, n_b = b->dim, step = piece_rows(2 * n_a * n_b), n;
    memset(p, 0, n_a * n_b * sizeof *p);
    rec_status rc = REC_OK;
    for (size_t i = 0; i < a->n_rows && !rc; i += n) {
        n = smallest(run_of_rows(a, i), run_of_rows(b, i), step);
        la_gemm_args g = {true,          false,         n_a, n_b, n,   1,  1,
                          mat_row(a, i), mat_row(b, i), p,   n_a, n_b, n_b};
        la_gemm(&g);
        rc = run_check(run, err);
    }
    return rc;
}

/* ---- eigenproblem -------------------------------------------------------------------------- */

#ifdef REC_NO_BLAS
rec_status la_eigh(float *a, size_t n, float *w, rec_err *err) {
    return la_ref_eigh(a, n, w, err);
}
#else
/* LAPACK reads and writes columns; a symmetric matrix does not mind, and its columns of
 * vectors are our rows. */
rec_status la_eigh(float *a, size_t n, float *w, rec_err *err) {
    if (n == 0) return REC_OK;
    if (n > LA_MAX_EIGH)
        return rec_fail(err, REC_RANGE, "eigenvalues of %zu x %zu: at most %d", n, n,
                        LA_MAX_EIGH);
    int size = (int)n, info = 0, n_work = 1 + 6 * size + 2 * size * size;
    int n_iwork = 3 + 5 * size;
    float *work = rec_array((size_t)n_work, sizeof *work);
    int *iwork = rec_array((size_t)n_iwork, sizeof *iwork);
    rec_status rc = work && iwork ? REC_OK : rec_nomem(err);
    if (!rc) {
        ssyevd_("V", "U", &size, a, &size, w, work, &n_work, iwork, &n_iwork, &info, 1,
                1);
        if (info)
            rc = rec_fail(err, REC_BUG, "eigenvalues of %zu x %zu do not converge", n,
                          n);
    }
    rec_free(work);
    rec_free(iwork);
    return rc;
}
#endif

/* ---- orthonormal columns ----------------------------------------------------------------------- */

#define ORTHO_SAFE  1e-4 /* share of |column|^2 that must be new for Cholesky-QR */
#define ORTHO_SHIFT 2e-6 /* times dim and |column|^2: above the rounding of M^T M */
#define ORTHO_EMPTY \
    1e-10 /* below this share (10^-5 of the length) a column is rounding */

/* R^-1 (upper triangular, p x p) of the Cholesky factor of G + shift diag(G), in double.
 * False when some column is too close to the span of those before it. */
static bool inverse_factor(const float *g, size_t p, double shift, double *r,
                           float *inv) {
    double safe = shift > 0 ? shift / 4 : ORTHO_SAFE;
    for (size_t j = 0; j < p; j++) { /* r: upper, column by column */
        double left = g[j * p + j] * (1 + shift);
        for (size_t i = 0; i < j; i++) {
            double s = g[i * p + j];
            for (size_t k = 0; k < i; k++) s -= r[i * p + k] * r[j * p + k];
            r[j * p + i] = s / r[i * p + i]; /* kept as the lower factor */
            left -= r[j * p + i] * r[j * p + i];
        }
        if (!(left > safe * g[j * p + j])) return false;
        r[j * p + j] = sqrt(left);
    }
    memset(inv, 0, p * p * sizeof *inv);
    /* Row j of L^-1 overwrites row j of L; L^-T is its transpose. */
    for (size_t j = 0; j < p; j++) {
        double d = 1 / r[j * p + j];
        for (size_t i = 0; i < j; i++) {
            double s = 0;
            for (size_t k = i; k < j; k++) s -= r[j * p + k] * r[k * p + i];
            inv[i * p + j] = (float)(s * d);
        }
        for (size_t i = 0; i < j; i++) r[j * p + i] = inv[i * p + j];
        r[j * p + j] = d;
        inv[j * p + j] = (float)d;
    }
    return true;
}

/* One round of Cholesky-QR: out = M R^-1; *done = false and no out when the factor cannot
 * be trusted. */
static rec_status cholesky_qr(const mat *m, double shift, mat *out, bool *done,
                              rec_run *run, rec_err *err) {
    size_t p = m->dim, n_sq;
    memset(out, 0, sizeof *out);
    *done = false;
    if (!rec_mul(p, p, &n_sq)) return rec_nomem(err);
    float *g = rec_array(n_sq, sizeof *g), *inv = rec_array(n_sq, sizeof *inv);
    double *r = rec_zeros(n_sq, sizeof *r);
    rec_status rc = g && inv && r ? REC_OK : rec_nomem(err);
    if (!rc) rc = la_gram(m, g, run, err);
    if (!rc && inverse_factor(g, p, shift, r, inv)) {
        rc = la_mat_mul(m, inv, m->dim, out, run, err);
        *done = !rc;
    }
    rec_free(g);
    rec_free(inv);
    rec_free(r);
    return rc;
}

/* Replaces *m by the next round of Cholesky-QR if there is one. */
static rec_status refine(mat *m, bool *done, rec_run *run, rec_err *err) {
    mat next;
    rec_status rc = cholesky_qr(m, 0, &next, done, run, err);
    if (*done) {
        mat_clear(m);
        *m = next;
    }
    return rc;
}

/* The shifted round and one plain round: *done = false and M unchanged if both together do
 * not make the columns independent. */
static rec_status precondition(mat *m, bool *done, rec_run *run, rec_err *err) {
    mat next;
    rec_status rc = cholesky_qr(m, ORTHO_SHIFT * (m->dim + 100), &next, done, run, err);
    if (*done) rc = refine(&next, done, run, err);
    if (*done) {
        mat_clear(m);
        *m = next;
    } else
        mat_clear(&next);
    return rc;
}

/* Subtracts from column j its part along columns 0..j-1 (c: double[j] scratch). */
static void remove_projection(mat *m, size_t j, double *c) {
    memset(c, 0, j * sizeof *c);
    for (size_t i = 0; i < m->n_rows; i++) {
        const float *row = mat_row(m, i);
        double x = row[j];
        if (x == 0) continue;
        for (size_t k = 0; k < j; k++) c[k] += x * row[k];
    }
    for (size_t i = 0; i < m->n_rows; i++) {
        float *row = mat_row(m, i);
        double s = 0;
        for (size_t k = 0; k < j; k++) s += c[k] * row[k];
        row[j] = (float)(row[j] - s);
    }
}

static double column_square(const mat *m, size_t j) {
    double s = 0;
    for (size_t i = 0; i < m->n_rows; i++) {
        double x = mat_row(m, i)[j];
        s += x * x;
    }
    return s;
}

static void scale_column(mat *m, size_t j, double by) {
    for (size_t i = 0; i < m->n_rows; i++) {
        float *x = mat_row(m, i) + j;
        *x = (float)(*x * by);
    }
}

/* Classical Gram-Schmidt, each projection done twice; "twice is enough" (Giraud and others
 * 2005). */
static rec_status gram_schmidt(mat *m, rec_run *run, rec_err *err) {
    double *c = rec_array(m->dim, sizeof *c);
    rec_status rc = c ? REC_OK : rec_nomem(err);
    for (size_t j = 0; j < m->dim && !rc; j++) {
        double before = column_square(m, j);
        if (before > 0) scale_column(m, j, 1 / sqrt(before));
        remove_projection(m, j, c);
        double left = column_square(m, j);
        if (before > 0 && left > ORTHO_EMPTY) {
            scale_column(m, j, 1 / sqrt(left));
            remove_projection(m, j, c);
            left = column_square(m, j);
            scale_column(m, j, 1 / sqrt(left));
        } else
            scale_column(m, j, 0);
        rc = run_check(run, err);
    }
    rec_free(c);
    return rc;
}

rec_status la_orthonormalize(mat *m, rec_run *run, rec_err *err) {
    bool done;
    rec_status rc = refine(m, &done, run, err);
    if (!rc && !done) rc = precondition(m, &done, run, err);
    if (rc) return rc;
    return done ? refine(m, &done, run, err) : gram_schmidt(m, run, err);
}
