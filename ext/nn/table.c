/* table.c - embeddings: rows that a step touches, and no others.
 *
 * A batch names a few thousand rows of a table that may have millions. Its gradients come as entries
 * (row, from, coef): "add coef times row `from` of the source". Entries are chained by row,
 *
 *     entry   0:(7,a) 1:(2,b) 2:(7,c) 3:(9,d)          touched   7   2   9
 *     head[7] -> 0 -> 2     head[2] -> 1               sum       a+c b   d
 *
 * then each touched row is summed and stepped by whichever thread takes it. A row belongs to one
 * piece and its chain has one order, so the result is the same for any number of threads; locks,
 * atomics and lost updates do not come into it.
 *
 * Adam is lazy: the moments of a row that a batch does not name stay as they are, and a row counts
 * its own steps, so that the first gradient of a rare item is corrected as a first gradient.
 *
 * Invariants
 *   I1  head[] is KEYS_NONE everywhere between calls;
 *   I2  sum has n_touched rows that mean something, row k for touched[k], each row named once.
 *
 * Cost: entries x dim for the sums, touched x dim for the step; O(entries) of it on one thread.
 */
#include "nn.h"

#include <math.h>

#define TABLE_PIECE 256 /* rows; some tens of microseconds */

rec_status nn_table_init(nn_table *t, size_t n_rows, uint32_t dim, double deviation,
                         uint64_t seed, rec_err *err) {
    memset(t, 0, sizeof *t);
    t->step = rec_zeros(n_rows, sizeof *t->step);
    rec_status st = t->step ? REC_OK : rec_nomem(err);
    if (!st) st = mat_init(&t->w, n_rows, dim, err);
    if (!st) st = mat_init(&t->m, n_rows, dim, err);
    if (!st) st = mat_init(&t->v, n_rows, dim, err);
    if (st) {
        nn_table_clear(t);
        return st;
    }
    rng r;
    rng_seed(&r, seed, dim);
    for (size_t i = 0; i < n_rows; i++)
        for (uint32_t k = 0; k < dim; k++)
            mat_row(&t->w, i)[k] = (float)(deviation * rng_normal(&r));
    return REC_OK;
}

void nn_table_clear(nn_table *t) {
    mat_clear(&t->w);
    mat_clear(&t->m);
    mat_clear(&t->v);
    rec_free(t->step);
    memset(t, 0, sizeof *t);
}

/* ---- gradients by row -------------------------------------------------------------- */

rec_status nn_grad_init(nn_grad *g, size_t n_rows, uint32_t dim, rec_err *err) {
    *g = (nn_grad){.n_rows = n_rows};
    g->head = rec_array(n_rows, sizeof *g->head);
    rec_status st = g->head ? mat_init(&g->sum, 0, dim, err) : rec_nomem(err);
    if (st) {
        nn_grad_clear(g);
        return st;
    }
    for (size_t i = 0; i < n_rows; i++) g->head[i] = KEYS_NONE;
    return REC_OK;
}

void nn_grad_clear(nn_grad *g) {
    rec_free(g->entry);
    rec_free(g->head);
    rec_free(g->next);
    rec_free(g->touched);
    mat_clear(&g->sum);
    memset(g, 0, sizeof *g);
}

rec_status nn_grad_begin(nn_grad *g, size_t n, rec_err *err) {
    g->n = 0;
    rec_status st = rec_grow(&g->entry, &g->cap, n, sizeof *g->entry, err);
    if (!st) st = rec_grow(&g->next, &g->cap_next, n, sizeof *g->next, err);
    if (!st) g->n = n;
    return st;
}

/* Chains by row in the order of the entries; head[row] is the number of its first entry. */
static size_t chain(nn_grad *g) {
    size_t n_touched = 0;
    for (size_t e = g->n; e-- > 0;) {
        uint32_t row = g->entry[e].row;
        n_touched += g->head[row] == KEYS_NONE;
        g->next[e] = g->head[row];
        g->head[row] = (uint32_t)e;
    }
    return n_touched;
}

typedef struct sum_job {
    nn_grad *g;
    const mat *source;
} sum_job;

static rec_status sum_rows(void *ctx, size_t begin, size_t end, int worker,
                           rec_err *err) {
    const sum_job *job = ctx;
    nn_grad *g = job->g;
    const rec_kernels *kernels = vec_kernels();
    size_t dim = g->sum.dim;
    (void)worker, (void)err;
    for (size_t k = begin; k < end; k++) {
        float *out = mat_row(&g->sum, k);
        memset(out, 0, dim * sizeof *out);
        for (uint32_t e = g->head[g->touched[k]]; e != KEYS_NONE; e = g->next[e])
            kernels->axpy(out, g->entry[e].coef, mat_row(job->source, g->entry[e].from),
                          dim);
    }
    return REC_OK;
}

rec_status nn_grad_sum(nn_grad *g, const mat *source, rec_run *run, rec_err *err) {
    size_t most = g->n < g->n_rows ? g->n : g->n_rows;
    g->n_touched = 0;
    rec_status st =
        rec_grow(&g->touched, &g->cap_touched, most, sizeof *g->touched, err);
    if (st) return st;
    size_t n_touched = chain(g);
    for (size_t e = 0; e < g->n; e++)
        if (g->head[g->entry[e].row] == e) g->touched[g->n_touched++] = g->entry[e].row;
    if (g->sum.n_rows < n_touched) st = mat_resize(&g->sum, n_touched, err);
    sum_job job = {g, source};
    if (!st) st = threads_for(run, n_touched, TABLE_PIECE, sum_rows, &job, err);
    for (size_t k = 0; k < n_touched; k++) g->head[g->touched[k]] = KEYS_NONE; /* I1 */
    return st;
}

/* ---- steps -------------------------------------------------------------------------- */

typedef struct step_job {
    nn_table *t;
    const uint32_t *row; /* NULL: row k of the gradient is row k of the table */
    const mat *g;
    const nn_adam *a;
} step_job;

static rec_status step_rows(void *ctx, size_t begin, size_t end, int worker,
                            rec_err *err) {
    const step_job *job = ctx;
    nn_table *t = job->t;
    (void)worker, (void)err;
    for (size_t k = begin; k < end; k++) {
        size_t row = job->row ? job->row[k] : k;
        nn_moments x = {.w = mat_row(&t->w, row),
                        .m = mat_row(&t->m, row),
                        .v = mat_row(&t->v, row),
                        .g = mat_row(job->g, k),
                        .n = t->w.dim,
                        .step = ++t->step[row]};
        nn_adam_update(job->a, &x);
    }
    return REC_OK;
}

rec_status nn_table_step(nn_table *t, const nn_grad *g, const nn_adam *a, rec_run *run,
                         rec_err *err) {
    step_job job = {t, g->touched, &g->sum, a};
    return threads_for(run, g->n_touched, TABLE_PIECE, step_rows, &job, err);
}

rec_status nn_table_step_all(nn_table *t, const mat *g, const nn_adam *a, rec_run *run,
                             rec_err *err) {
    step_job job = {t, NULL, g, a};
    return threads_for(run, t->w.n_rows, TABLE_PIECE, step_rows, &job, err);
}
