/* als_reference.c - als.c as one would write it on a blackboard.
 *
 * For every row, the normal equations in full, in double precision:
 *
 *     A = alpha0 * Y'Y + sum_j |w_j| h_j h_j' + lambda I        b = sum_j c_j h_j
 *     A = L L',   L z = b,   L' x = z
 *
 * No principal axes, no Woodbury, no threads. Tests train both and compare the scores; that the
 * fast way works in rotated axes does not show, for scores are inner products.
 *
 * Speeds are compared with half_cholesky: as many multiply-adds as here, a d x d system for every
 * row however short, but with the kernels and the threads of the fast way, so that what is left
 * of a ratio is what the other way of solving is worth.
 *
 * Cost per row: m d^2 + d^3 / 3.
 */
#include "als.h"

#include <math.h>

/* In place, lower triangle. */
static void plain_cholesky(double *a, size_t n) {
    for (size_t i = 0; i < n; i++)
        for (size_t j = 0; j <= i; j++) {
            double sum = a[i * n + j];
            for (size_t k = 0; k < j; k++) sum -= a[i * n + k] * a[j * n + k];
            a[i * n + j] = i == j ? sqrt(sum > 0 ? sum : 1e-30) : sum / a[j * n + j];
        }
}

static void plain_solve(const double *l, size_t n, double *x) {
    for (size_t i = 0; i < n; i++) {
        for (size_t k = 0; k < i; k++) x[i] -= l[i * n + k] * x[k];
        x[i] /= l[i * n + i];
    }
    for (size_t i = n; i-- > 0;) {
        for (size_t k = i + 1; k < n; k++) x[i] -= l[k * n + i] * x[k];
        x[i] /= l[i * n + i];
    }
}

/* gram[n x n] = alpha0 Y'Y; the bias column, if there is one, stays 0. */
static void plain_gram(const als_half *h, size_t n, double *gram) {
    const mat *y = h->task.fixed;
    for (size_t r = 0; r < y->n_rows; r++) {
        const float *row = mat_row(y, r);
        for (size_t i = 0; i < y->dim; i++)
            for (size_t j = 0; j < y->dim; j++)
                gram[i * n + j] += h->alpha0 * row[i] * row[j];
    }
}

/* Add history row j to the system; what it would cost alone. */
static double plain_add(const als_half *h, size_t j, size_t n, double *a, double *b) {
    const float *row = mat_row(h->task.fixed, h->row[j]);
    double w = fabs((double)h->weight[j]), c = h->weight[j] > 0 ? w + h->task.extra : 0,
           p = 1;
    if (h->target) {
        p = (double)h->target[j] - h->task.bias[h->row[j]];
        c = w * p;
    }
    for (size_t i = 0; i < n; i++) {
        double hi = i < h->task.fixed->dim ? row[i] : 1;
        b[i] += c * hi;
        for (size_t k = 0; k < n; k++)
            a[i * n + k] += w * hi * (k < h->task.fixed->dim ? row[k] : 1);
    }
    return c * p;
}

static rec_status half_plain(const als_half *h, mat *solved, float *bias, double *loss,
                             rec_run *run, rec_err *err) {
    size_t dim = solved->dim, n = dim + (bias ? 1 : 0);
    double *gram = rec_zeros(n * n, sizeof *gram), *a = rec_array(n * n, sizeof *a);
    double *x = rec_array(n, sizeof *x), *b = rec_array(n, sizeof *b);
    rec_status st = gram && a && x && b ? REC_OK : rec_nomem(err);
    if (!st && h->alpha0 > 0) plain_gram(h, n, gram);
    for (size_t r = 0; !st && r < h->n_rows; r++) {
        memcpy(a, gram, n * n * sizeof *a);
        memset(b, 0, n * sizeof *b);
        for (size_t i = 0; i < n; i++) a[i * n + i] += h->lambda[r];
        loss[r] = 0;
        for (size_t j = h->ptr[r]; j < h->ptr[r + 1]; j++)
            loss[r] += plain_add(h, j, n, a, b);
        memcpy(x, b, n * sizeof *x);
        plain_cholesky(a, n);
        plain_solve(a, n, x);
        for (size_t i = 0; i < n; i++) loss[r] -= b[i] * x[i];
        for (size_t i = 0; i < dim; i++) mat_row(solved, r)[i] = (float)x[i];
        if (bias) bias[r] = (float)x[dim];
        st = run_check(run, err);
    }
    rec_free(gram);
    rec_free(a);
    rec_free(x);
    rec_free(b);
    return st;
}

rec_status als_fit_reference(const model_fit_args *a, rec_model **out, rec_err *err) {
    return als_fit_with(a, half_plain, out, err);
}

static rec_status half_cholesky(const als_half *h, mat *solved, float *bias,
                                double *loss, rec_run *run, rec_err *err) {
    als_half every = *h;
    every.task.dense = true;
    every.solver = ALS_CHOLESKY;
    return als_half_fast(&every, solved, bias, loss, run, err);
}

rec_status als_fit_cholesky(const model_fit_args *a, rec_model **out, rec_err *err) {
    return als_fit_with(a, half_cholesky, out, err);
}
