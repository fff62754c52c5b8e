/* ease_dense.c - each item explained by all others, in closed form.
 *
 *     P = (G + lambda I)^-1        b_ji = -P_ji / P_ii        w_ji = b_ji t_i / p_j
 *
 * Steck 2019, "Embarrassingly Shallow Autoencoders for Sparse Data": the ridge regression of
 * every column of X on all others, with a zero diagonal, needs one inverse. It is the exact form of
 * what ease_sparse.c cuts down, at the price of a square matrix of all items: 4 bytes a cell
 * while it is inverted, 3 as it is stored. So there is a budget, and whoever exceeds it is told
 * the number before anything is computed.
 *
 * Invariants
 *   I1  Rows of G are added up by one thread, users ascending: bit-identical for any number.
 *
 * Cost: n^3 multiply-adds, 7 n^2 bytes.
 */
#include "ease.h"

#include <math.h>

typedef struct dense_job {
    ease_job *job;
    float *g;        /* [n x n] owned */
    links_rows *row; /* one a worker, owned */
    uint32_t *all;   /* [n] 0.. owned */
} dense_job;

double ease_dense_bytes(uint32_t n_items) {
    return 7.0 * n_items * n_items;
}

static rec_status add_rows(void *ctx, size_t begin, size_t end, int worker,
                           rec_err *err) {
    const dense_job *d = ctx;
    const ease_job *job = d->job;
    const rated_side *items = &job->data.item, *users = &job->data.user;
    size_t n = job->data.n_items;
    for (size_t j = begin; j < end; j++) {
        float *row = d->g + j * n;
        rec_status st = worker_check(job->run, worker, err);
        if (st) return st;
        for (size_t a = items->ptr[j]; a < items->ptr[j + 1]; a++) {
            uint32_t u = items->other[a];
            float x = items->x[a] * job->user_factor[u];
            for (size_t b = users->ptr[u]; b < users->ptr[u + 1]; b++)
                row[users->other[b]] += x * users->x[b];
        }
        for (size_t i = 0; i < n; i++) row[i] /= job->scale[j] * job->scale[i];
        row[j] += job->lambda;
    }
    return REC_OK;
}

/* Row j of P becomes row j of the model: whom item j speaks for. */
static rec_status keep_rows(void *ctx, size_t begin, size_t end, int worker,
                            rec_err *err) {
    const dense_job *d = ctx;
    const ease_job *job = d->job;
    size_t n = job->data.n_items;
    rec_status st = REC_OK;
    for (size_t j = begin; !st && j < end; j++) {
        float *row = d->g + j * n;
        for (size_t i = 0; i < n; i++) {
            float x = -row[i] / d->job->diagonal[i] * job->target[i] / job->scale[j];
            row[i] = i != j && isfinite(x) ? x : 0;
        }
        st = links_add(&job->model->rows, &d->row[worker], (uint32_t)j, d->all, row, n,
                       err);
    }
    return st;
}

rec_status ease_dense(ease_job *job, rec_err *err) {
    size_t n = job->data.n_items, n_cells;
    dense_job d = {.job = job, .row = links_rows_new(run_threads(job->run))};
    d.g = rec_mul(n, n, &n_cells) ? rec_zeros(n_cells, sizeof *d.g) : NULL;
    d.all = rec_array(n, sizeof *d.all);
    rec_status st = d.row && d.g && d.all ? REC_OK : rec_nomem(err);
    for (uint32_t i = 0; !st && i < n; i++) d.all[i] = i;
    if (!st) st = threads_for(job->run, n, 16, add_rows, &d, err);
    if (!st) st = la_spd_inverse(d.g, n, job->run, err);
    for (size_t i = 0; !st && i < n; i++) job->diagonal[i] = d.g[i * n + i];
    if (!st) st = threads_for(job->run, n, LINKS_CHUNK, keep_rows, &d, err);
    links_rows_free(d.row, run_threads(job->run));
    rec_free(d.g);
    rec_free(d.all);
    return st;
}
