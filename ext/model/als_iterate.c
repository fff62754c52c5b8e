/* als_iterate.c - rows of a factorisation made better rather than solved: steps from where the last epoch ended.
 *
 * Both start from x, the row's factors of the epoch before in the axes of this one, and lower the same
 * objective as als_solve.c. Over the epochs they arrive where the exact solver does.
 *
 * CG (Takacs, Pilaszy, Tikk 2011: a few steps of conjugate gradients suffice). The system is D + H'WH with D
 * diagonal, for the fixed side stands in principal axes; so D itself is the preconditioner, and
 *
 *     D^-1/2 (D + H'WH) D^-1/2  =  I + something of rank m
 *
 * has only m eigenvalues other than 1. That is why three steps, where a plain CG needs more.   m d (2 steps + 1)
 *
 * Blocks (Rendle and others 2021, "iALS++"): Newton's method on 64 factors at a time, the others held.
 *
 *     e = pull - W H x               what the history still asks for, one number a row
 *     for each block B:   (D_B + H_B' W H_B) delta = H_B' e - D_B x_B;   x_B += delta,  e -= W H_B delta
 *
 * In principal axes the blocks of D do not touch each other, so a block costs nothing but its own history.
 * Histories that are short for als_solve.c are solved exactly there: that is cheaper than blocks are.
 *                                                                    m d 64 / 2 + d 64^2 / 6, for d^2 m / 2 + d^3 / 6
 * Invariants
 *   I1  the objective never rises (in exact arithmetic), from any finite x;
 *   I2  an empty history gives x = 0;
 *   I3  no allocation, and sums in an order that does not depend on threads.
 */
#include "als.h"

#include <math.h>

/* ---- conjugate gradients ---------------------------------------------------------------------- */

/* h_j . x, and to += f h_j, with the bias' column of ones. */
static inline float row_dot(const rec_kernels *v, const als_task *t, uint32_t row,
                            const float *x) {
    size_t dim = t->fixed->dim;
    return v->dot(mat_row(t->fixed, row), x, dim) + (t->bias ? x[dim] : 0);
}

static inline void row_add(const rec_kernels *v, const als_task *t, uint32_t row,
                           float f, float *to) {
    size_t dim = t->fixed->dim;
    v->axpy(to, f, mat_row(t->fixed, row), dim);
    if (t->bias) to[dim] += f;
}

/* r = H'c - (D + H'WH) x; returns 2 c'Hx - x'(D + H'WH)x, by how much x is better than 0. */
static double residual(const als_task *t, const als_history *h, const float *d,
                       const float *x, float *r) {
    const rec_kernels *v = vec_kernels();
    size_t dim = als_n_unknown(t);
    double gain = 0;
    memset(r, 0, dim * sizeof *r);
    for (size_t j = 0; j < h->n && j < ALS_FETCH_ROWS; j++) als_fetch_ahead(t, h, j);
    for (size_t j = 0; j < h->n; j++) {
        als_fetch_ahead(t, h, j + ALS_FETCH_ROWS);
        float w = als_weight(h->weight[j]), c = als_pull(t, h, j);
        float s = row_dot(v, t, h->row[j], x);
        row_add(v, t, h->row[j], c - w * s, r);
        gain += (double)c * s;
    }
    for (size_t k = 0; k < dim; k++) {
        r[k] -= d[k] * x[k];
        gain += (double)r[k] * x[k];
    }
    return gain;
}

double als_cg(const als_task *t, const als_history *h, int steps, als_scratch *s,
              float *x) {
    const rec_kernels *v = vec_kernels();
    size_t dim = als_n_unknown(t), part = s->n_vec / 4;
    float *d = s->vec, *r = d + part, *p = r + part, *q = p + part;
    if (h->n == 0) {
        memset(x, 0, dim * sizeof *x);
        return 0;
    }
    als_diagonal(t, h->lambda, d);
    double gain = residual(t, h, d, x, r), rho = 0;
    for (size_t k = 0; k < dim; k++) {
        p[k] = r[k] / d[k];
        rho += (double)r[k] * p[k];
    }
    for (int i = 0; i < steps && rho > 0 && isfinite(rho); i++) {
        double curve = 0, next = 0;
        for (size_t k = 0; k < dim; k++) q[k] = d[k] * p[k];
        for (size_t j = 0; j < h->n; j++)
            row_add(v, t, h->row[j],
                    als_weight(h->weight[j]) * row_dot(v, t, h->row[j], p), q);
        for (size_t k = 0; k < dim; k++) curve += (double)p[k] * q[k];
        double a = rho / curve;
        if (!(curve > 0) || !isfinite(a)) break;
        for (size_t k = 0; k < dim; k++) {
            x[k] += (float)(a * p[k]);
            r[k] -= (float)(a * q[k]);
            next += (double)r[k] * r[k] / d[k];
        }
        gain += a * rho;
        double b = next / rho;
        rho = next;
        for (size_t k = 0; k < dim; k++) p[k] = (float)(r[k] / d[k] + b * p[k]);
    }
    return gain;
}

/* ---- blocks -------------------------------------------------------------------------------------- */

typedef struct block { /* factors begin..begin+n, padded for spd.c */
    size_t begin, n, pad, ld;
} block;

static float column_of(const als_task *t, uint32_t row, size_t k) {
    return k < t->fixed->dim ? mat_row(t->fixed, row)[k] : 1;
}

/* System = D_B + H_B'WH_B, g = H_B'e - D_B x_B. */
static void build_block(const als_task *t, const als_history *h, const block *b,
                        const float *x, als_scratch *s, float *g) {
    const spd_kernels *spd = spd_routines();
    const float *d = s->vec + b->begin;
    memset(s->system, 0, b->pad * b->ld * sizeof *s->system);
    memset(g, 0, b->pad * sizeof *g);
    for (size_t k = 0; k < b->pad; k++) s->system[k * b->ld + k] = k < b->n ? d[k] : 1;
    for (size_t k = 0; k < b->n; k++) g[k] = -d[k] * x[b->begin + k];
    for (size_t begin = 0; begin < h->n; begin += ALS_BLOCK_ROWS) {
        size_t rows = h->n - begin < ALS_BLOCK_ROWS ? h->n - begin : ALS_BLOCK_ROWS;
        for (size_t j = 0; j < rows; j++) {
            float root = sqrtf(als_weight(h->weight[begin + j]));
            float *out = s->panel + j * b->ld;
            for (size_t k = 0; k < b->pad; k++)
                out[k] =
                    k < b->n ? root * column_of(t, h->row[begin + j], b->begin + k) : 0;
            spd->add(g, out, s->left[begin + j] / root, b->n);
        }
        spd->rank_k(s->system, b->pad, b->ld, s->panel, rows);
    }
    spd->chol(s->system, b->pad, b->ld);
}

/* One Newton step on a block; returns what it gained. */
static double solve_block(const als_task *t, const als_history *h, const block *b,
                          als_scratch *s, float *x) {
    float g[ALS_BLOCK], delta[ALS_BLOCK];
    double gain = 0;
    build_block(t, h, b, x, s, g);
    memcpy(delta, g, b->pad * sizeof *delta);
    spd_routines()->solve(s->system, b->pad, b->ld, delta);
    for (size_t k = 0; k < b->n; k++) {
        x[b->begin + k] += delta[k];
        gain += (double)delta[k] * g[k];
    }
    for (size_t j = 0; j < h->n; j++) {
        float sum = 0;
        for (size_t k = 0; k < b->n; k++)
            sum += column_of(t, h->row[j], b->begin + k) * delta[k];
        s->left[j] -= als_weight(h->weight[j]) * sum;
    }
    return gain;
}

double als_blocks(const als_task *t, const als_history *h, als_scratch *s, float *x) {
    const rec_kernels *v = vec_kernels();
    size_t dim = als_n_unknown(t), part = s->n_vec / 4;
    if (h->n <= als_short_limit(t)) return als_solve(t, h, s, x);
    als_diagonal(t, h->lambda, s->vec);
    double gain = residual(t, h, s->vec, x, s->vec + part);
    for (size_t j = 0; j < h->n; j++)
        s->left[j] =
            als_pull(t, h, j) - als_weight(h->weight[j]) * row_dot(v, t, h->row[j], x);
    for (size_t begin = 0; begin < dim; begin += ALS_BLOCK) {
        size_t n = dim - begin < ALS_BLOCK ? dim - begin : ALS_BLOCK;
        block b = {begin, n, spd_pad(n), spd_stride(n)};
        gain += solve_block(t, h, &b, s, x);
    }
    return gain;
}
