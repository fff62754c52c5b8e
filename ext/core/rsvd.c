/* rsvd.c - the leading singular vectors of a sparse matrix, by random sampling.
 *
 * Halko, Martinsson, Tropp, "Finding structure with randomness", SIAM Review 2011:
 * Algorithm 4.4 finds an orthonormal Q whose span nearly holds the range of A, Algorithm 5.1
 * turns Q into the factors.
 *
 *     A  n_rows x n_cols (sparse)       p = rank + oversample columns are carried along
 *
 *     Y = A G                 G random normal, n_cols x p; or directions known from before
 *     Q = orth(Y)
 *     n_power times:          Z = orth(A^T Q),  Q = orth(A Z)
 *     B^T = A^T Q             n_cols x p
 *     B B^T = W diag W^T      p x p, la_eigh
 *     V = B^T W / s,  U = Q W
 *
 * Differences from the paper: the small problem is solved through the Gram matrix B B^T,
 * which squares the condition number; so the singular values are not the roots of its
 * eigenvalues, but the lengths of the columns of B^T W, which are accurate to rounding
 * relative to s[0]. What is smaller than that is reported as zero.
 *
 * Invariants
 *   I1  s descends; s[i] = 0 exactly where the matrix has no more content, and then column
 *       i of u and v is zero.
 *   I2  In each column of v the entry of largest magnitude (the first one of equals) is
 *       positive; u follows. So signs do not depend on the seed.
 *
 * Cost: (2 n_power + 2) sparse products of 2 nnz p flops, and as many orthonormalisations
 * of 4 n p^2 flops.
 */
#include "core.h"

#include <math.h>

#define RSVD_ROUNDING 1e-6f /* times sqrt(p) s[0]: smaller singular values are noise */

typedef struct job {
    const rsvd_args *args;
    uint32_t p;
    int step, n_steps;
    mat q, z; /* n_rows x p, n_cols x p */
    float *w; /* p x p: eigenvectors as rows, then sorted columns */
    rec_run *run;
    rec_err *err;
} job;

static void advance(job *j) {
    j->step++;
    run_progress(j->run, j->args->phase, (double)j->step / j->n_steps);
}

static rec_status start_random(job *j) {
    rec_status rc = mat_init(&j->z, j->args->a->n_cols, j->p, j->err);
    for (size_t i = 0; i < j->z.n_rows && !rc; i++) {
        rng r;
        rng_seed(&r, j->args->seed, i);
        float *row = mat_row(&j->z, i);
        for (uint32_t k = 0; k < j->p; k++) row[k] = (float)rng_normal(&r);
        const mat *start = j->args->start;
        if (start)
            memcpy(row, mat_row(start, i),
                   (start->dim < j->p ? start->dim : j->p) * sizeof *row);
        if (i % 1024 == 0) rc = run_check(j->run, j->err);
    }
    return rc;
}

/* to = M * from, then orthonormal columns unless it is the last product. */
static rec_status multiply(job *j, const csr *m, const mat *from, mat *to, bool ortho) {
    rec_status rc = csr_times_mat(m, from, to, j->run, j->err);
    if (!rc && ortho) rc = la_orthonormalize(to, j->run, j->err);
    if (!rc) advance(j);
    return rc;
}

static rec_status find_range(job *j) {
    const rsvd_args *x = j->args;
    rec_status rc = mat_init(&j->q, x->a->n_rows, j->p, j->err);
    if (!rc) rc = start_random(j);
    if (!rc) rc = multiply(j, x->a, &j->z, &j->q, true);
    for (int i = 0; i < x->n_power && !rc; i++) {
        rc = multiply(j, x->at, &j->q, &j->z, true);
        if (!rc) rc = multiply(j, x->a, &j->z, &j->q, true);
    }
    if (!rc) rc = multiply(j, x->at, &j->q, &j->z, false); /* z = B^T */
    return rc;
}

/* w: p x p with columns = eigenvectors of B B^T, largest first. */
static rec_status small_problem(job *j) {
    size_t p = j->p;
    float *value = rec_array(p, sizeof *value), *g = rec_array(p * p, sizeof *g);
    rec_status rc = value && g ? REC_OK : rec_nomem(j->err);
    if (!rc) rc = la_gram(&j->z, g, j->run, j->err);
    if (!rc) rc = la_eigh(g, p, value, j->err);
    for (size_t i = 0; i < p && !rc; i++)
        for (size_t k = 0; k < p; k++) j->w[k * p + i] = g[(p - 1 - i) * p + k];
    rec_free(value);
    rec_free(g);
    return rc;
}

typedef struct column {
    double length;
    uint32_t at;
} column;

static int compare_columns(const void *a, const void *b, void *ctx) {
    const column *x = a, *y = b;
    (void)ctx;
    if (x->length != y->length) return x->length > y->length ? -1 : 1;
    return (x->at > y->at) - (x->at < y->at);
}

/* Lengths of the columns of m, in double, in descending order. */
static void order_columns(const mat *m, column *c) {
    for (uint32_t k = 0; k < m->dim; k++) c[k] = (column){0, k};
    for (size_t i = 0; i < m->n_rows; i++) {
        const float *row = mat_row(m, i);
        for (uint32_t k = 0; k < m->dim; k++) c[k].length += (double)row[k] * row[k];
    }
    for (uint32_t k = 0; k < m->dim; k++) c[k].length = sqrt(c[k].length);
    rec_sort(c, m->dim, sizeof *c, compare_columns, NULL);
}

/* out(:, k) = from(:, c[k].at) * scale[k] for the first `rank` columns. */
static rec_status pick_columns(const mat *from, const column *c, const double *scale,
                               uint32_t rank, mat *out, rec_err *err) {
    rec_status rc = mat_init(out, from->n_rows, rank, err);
    for (size_t i = 0; i < from->n_rows && !rc; i++) {
        const float *row = mat_row(from, i);
        float *to = mat_row(out, i);
        for (uint32_t k = 0; k < rank; k++) to[k] = (float)(row[c[k].at] * scale[k]);
    }
    return rc;
}

/* sign[k] = -1 where column k of v has to be turned (I2). */
static void find_signs(const mat *v, const column *c, uint32_t rank, double *sign) {
    for (uint32_t k = 0; k < rank; k++) {
        float best = 0;
        for (size_t i = 0; i < v->n_rows; i++) {
            float x = mat_row(v, i)[c[k].at];
            if (fabsf(x) > fabsf(best)) best = x;
        }
        sign[k] = best < 0 ? -1 : 1;
    }
}

static rec_status take_factors(job *j, mat *u, float *s, mat *v) {
    uint32_t p = j->p, rank = j->args->rank;
    mat bw = {0}, qw = {0};
    column *c = rec_array(p, sizeof *c);
    double *scale = rec_array(rank, sizeof *scale);
    rec_status rc = c && scale ? REC_OK : rec_nomem(j->err);
    if (!rc) rc = la_mat_mul(&j->z, j->w, p, &bw, j->run, j->err);
    if (!rc && u) rc = la_mat_mul(&j->q, j->w, p, &qw, j->run, j->err);
    if (rc) goto done;
    order_columns(&bw, c);
    double least = c[0].length * RSVD_ROUNDING * sqrt(p);
    find_signs(&bw, c, rank, scale);
    for (uint32_t k = 0; k < rank; k++) {
        s[k] = c[k].length > least ? (float)c[k].length : 0;
        if (s[k] == 0) scale[k] = 0;
    }
    if (u) rc = pick_columns(&qw, c, scale, rank, u, j->err);
    for (uint32_t k = 0; k < rank; k++)
        if (scale[k] != 0) scale[k] /= c[k].length;
    if (!rc) rc = pick_columns(&bw, c, scale, rank, v, j->err);
done:
    mat_clear(&bw);
    mat_clear(&qw);
    rec_free(c);
    rec_free(scale);
    return rc;
}

rec_status rsvd(const rsvd_args *args, mat *u, float *s, mat *v, rec_run *run,
                rec_err *err) {
    size_t n_rows = args->a->n_rows, n_cols = args->a->n_cols;
    size_t side = n_rows < n_cols ? n_rows : n_cols;
    if (u) memset(u, 0, sizeof *u);
    memset(v, 0, sizeof *v);
    if (args->rank == 0 || args->rank > side)
        return rec_fail(err, REC_RANGE, "rank %u of a matrix of %zu x %zu: 1 to %zu",
                        args->rank, n_rows, n_cols, side);
    job j = {.args = args, .run = run, .err = err, .n_steps = 2 * args->n_power + 3};
    size_t p = (size_t)args->rank + args->oversample, n_sq;
    j.p = (uint32_t)(p < side ? p : side);
    rec_status rc = REC_OK;
    if (!rec_mul(j.p, j.p, &n_sq) || !(j.w = rec_array(n_sq, sizeof(float))))
        rc = rec_nomem(err);
    if (!rc) rc = find_range(&j);
    if (!rc) rc = small_problem(&j);
    if (!rc) rc = take_factors(&j, u, s, v);
    if (!rc)
        advance(&j);
    else {
        if (u) mat_clear(u);
        mat_clear(v);
    }
    mat_clear(&j.q);
    mat_clear(&j.z);
    rec_free(j.w);
    return rc;
}
