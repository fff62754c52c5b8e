/* linalg_ref.c - dense algebra without BLAS: readable, portable, the yardstick of the tests.
 *
 * linalg.c hands its work to OpenBLAS; a build with REC_NO_BLAS runs on this file instead,
 * and the unit tests compare the two.
 *
 *     la_ref_gemm   C = alpha op(A) op(B) + beta C. op(A) and op(B) are read through two
 *                   strides each; B is copied in blocks of rows that stay in the cache, and
 *                   the inner loop is y += a x.
 *     la_ref_eigh   Householder reduction to tridiagonal form, then implicit QL with
 *                   Wilkinson shifts (Golub and Van Loan, Matrix Computations, 8.3), in
 *                   double: the vectors are orthonormal to float precision for any input.
 *
 * Cost: gemm about 2 m n k flops at the speed of the axpy kernel; eigh about 9 n^3.
 */
#include "core.h"

#include <math.h>

/* ---- gemm ------------------------------------------------------------------------------ */

#define GEMM_BLOCK_N 256 /* columns of a packed row: y and x stay in L1 */

static void scale_row(float *c, float beta, size_t n) {
    if (beta == 0)
        memset(c, 0, n * sizeof *c); /* also over NaN, as BLAS does */
    else if (beta != 1)
        for (size_t j = 0; j < n; j++) c[j] *= beta;
}

void la_ref_gemm(const la_gemm_args *g) {
    const rec_kernels *kern = vec_kernels();
    float row[GEMM_BLOCK_N];
    size_t a_row = g->trans_a ? 1 : g->lda, a_col = g->trans_a ? g->lda : 1;
    for (size_t i = 0; i < g->m; i++) scale_row(g->c + i * g->ldc, g->beta, g->n);
    for (size_t j0 = 0; j0 < g->n; j0 += GEMM_BLOCK_N) {
        size_t width = g->n - j0 < GEMM_BLOCK_N ? g->n - j0 : GEMM_BLOCK_N;
        for (size_t k = 0; k < g->k; k++) {
            const float *b =
                g->trans_b ? g->b + j0 * g->ldb + k : g->b + k * g->ldb + j0;
            for (size_t j = 0; j < width; j++)
                row[j] = b[j * (g->trans_b ? g->ldb : 1)];
            for (size_t i = 0; i < g->m; i++) {
                float a = g->alpha * g->a[i * a_row + k * a_col];
                if (a != 0) kern->axpy(g->c + i * g->ldc + j0, a, row, width);
            }
        }
    }
}

/* ---- symmetric eigenproblem ---------------------------------------------------------------- */

/* Householder: a (n x n, symmetric) becomes Q^T with rows as basis vectors; d diagonal, e
 * sub-diagonal with e[0] unused. Step k clears row k left of its neighbour. */
static void tridiagonalize(double *a, size_t n, double *d, double *e) {
    for (size_t k = n; k-- > 1;) {
        double *row = a + k * n, scale = 0, h = 0;
        for (size_t j = 0; j < k; j++) scale += fabs(row[j]);
        if (k == 1 || scale == 0) {
            e[k] = row[k - 1];
            d[k] = 0; /* no reflection in this step */
            continue;
        }
        for (size_t j = 0; j < k; j++) {
            row[j] /= scale;
            h += row[j] * row[j];
        }
        double f = row[k - 1], g = f >= 0 ? -sqrt(h) : sqrt(h);
        e[k] = scale * g;
        h -= f * g; /* h = |u|^2 / 2 */
        row[k - 1] = f - g;
        double uAu = 0;
        for (size_t i = 0; i < k; i++) { /* p = A u / h, in e[0..k) */
            double p = 0;
            for (size_t j = 0; j <= i; j++) p += a[i * n + j] * row[j];
            for (size_t j = i + 1; j < k; j++) p += a[j * n + i] * row[j];
            e[i] = p / h;
            uAu += e[i] * row[i];
            a[i * n + k] = row[i] / h; /* u / h, for the accumulation below */
        }
        double K = uAu / (2 * h);
        for (size_t i = 0; i < k; i++) e[i] -= K * row[i];
        for (size_t i = 0; i < k; i++) /* A -= u q^T + q u^T */
            for (size_t j = 0; j <= i; j++)
                a[i * n + j] -= row[i] * e[j] + e[i] * row[j];
        d[k] = h;
    }
}

/* Multiplies the reflections out of what tridiagonalize left behind, first to last. */
static void accumulate(double *a, size_t n, double *d) {
    if (n > 0) d[0] = 0;
    for (size_t k = 0; k < n; k++) {
        if (d[k] != 0)
            for (size_t j = 0; j < k; j++) {
                double g = 0;
                for (size_t i = 0; i < k; i++) g += a[k * n + i] * a[i * n + j];
                for (size_t i = 0; i < k; i++) a[i * n + j] -= g * a[i * n + k];
            }
        d[k] = a[k * n + k];
        a[k * n + k] = 1;
        for (size_t j = 0; j < k; j++) a[k * n + j] = a[j * n + k] = 0;
    }
}

static void transpose_square(double *a, size_t n) {
    for (size_t i = 0; i < n; i++)
        for (size_t j = 0; j < i; j++) {
            double t = a[i * n + j];
            a[i * n + j] = a[j * n + i];
            a[j * n + i] = t;
        }
}

static void rotate_rows(double *x, double *y, size_t n, double c, double s) {
    for (size_t i = 0; i < n; i++) {
        double t = y[i];
        y[i] = s * x[i] + c * t;
        x[i] = c * x[i] - s * t;
    }
}

#define QL_MAX_ROUNDS 60 /* per eigenvalue; 2 is usual */

/* One implicit QL sweep from m up to l on the tridiagonal (d, e), e shifted down by one. */
static void ql_sweep(double *d, double *e, double *z, size_t n, size_t l, size_t m) {
    double g = (d[l + 1] - d[l]) / (2 * e[l]), r = hypot(g, 1);
    g = d[m] - d[l] + e[l] / (g + (g >= 0 ? r : -r));
    double s = 1, c = 1, p = 0;
    for (size_t i = m; i-- > l;) {
        double f = s * e[i], b = c * e[i];
        r = hypot(f, g);
        e[i + 1] = r;
        if (r == 0) { /* the matrix came apart here: start over with the parts */
            d[i + 1] -= p;
            e[m] = 0;
            return;
        }
        s = f / r;
        c = g / r;
        g = d[i + 1] - p;
        r = (d[i] - g) * s + 2 * c * b;
        p = s * r;
        d[i + 1] = g + p;
        g = c * r - b;
        rotate_rows(z + i * n, z + (i + 1) * n, n, c, s);
    }
    d[l] -= p;
    e[l] = g;
    e[m] = 0;
}

static rec_status ql_implicit(double *d, double *e, double *z, size_t n, rec_err *err) {
    for (size_t i = 1; i < n; i++) e[i - 1] = e[i];
    if (n > 0) e[n - 1] = 0;
    for (size_t l = 0; l < n; l++) {
        for (int round = 0;; round++) {
            size_t m = l;
            while (m + 1 < n && fabs(e[m]) > 1e-16 * (fabs(d[m]) + fabs(d[m + 1]))) m++;
            if (m == l) break;
            if (round == QL_MAX_ROUNDS)
                return rec_fail(err, REC_BUG,
                                "eigenvalues of %zu x %zu do not converge", n, n);
            ql_sweep(d, e, z, n, l, m);
        }
    }
    return REC_OK;
}

typedef struct eigen_pair {
    double value;
    size_t row;
} eigen_pair;

static int compare_pairs(const void *a, const void *b, void *ctx) {
    const eigen_pair *x = a, *y = b;
    (void)ctx;
    if (x->value != y->value) return x->value < y->value ? -1 : 1;
    return (x->row > y->row) - (x->row < y->row);
}

rec_status la_ref_eigh(float *a, size_t n, float *w, rec_err *err) {
    size_t n_sq;
    rec_status rc = REC_OK;
    double *z = rec_mul(n, n, &n_sq) ? rec_array(n_sq, sizeof *z) : NULL;
    double *d = rec_zeros(n, sizeof *d), *e = rec_zeros(n, sizeof *e);
    eigen_pair *order = rec_array(n, sizeof *order);
    if (!z || !d || !e || !order) rc = rec_nomem(err);
    if (rc) goto done;
    for (size_t i = 0; i < n_sq; i++) z[i] = a[i];
    tridiagonalize(z, n, d, e);
    accumulate(z, n, d);
    transpose_square(z, n); /* rotations then work on rows, which lie together */
    if ((rc = ql_implicit(d, e, z, n, err))) goto done;
    for (size_t i = 0; i < n; i++) order[i] = (eigen_pair){d[i], i};
    rec_sort(order, n, sizeof *order, compare_pairs, NULL);
    for (size_t i = 0; i < n; i++) {
        w[i] = (float)order[i].value;
        for (size_t j = 0; j < n; j++) a[i * n + j] = (float)z[order[i].row * n + j];
    }
done:
    rec_free(z);
    rec_free(d);
    rec_free(e);
    rec_free(order);
    return rc;
}
