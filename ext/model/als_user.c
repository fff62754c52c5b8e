/* als_user.c - a history solved for: the user that it makes, and what each part of it contributes.
 *
 *     rows h_j, weights, targets  --als_user_solve-->  x         score = x . y
 *     y  --als_user_turn-->  v = A^-1 y                          score = sum_j weight_j target_j h_j . v
 *
 * als folds its users in with the routine of its epochs; bpr, which is trained by steps, takes the same optimum for
 * the factors that it found. A is the matrix of the user's normal equations (als_solve.c).
 *
 * I1. An als_user that a function below has failed on holds no memory.
 */
#include "als.h"

void als_user_clear(als_user *u) {
    rec_free(u->row);
    rec_free(u->weight);
    rec_free(u->target);
    rec_free(u->x);
    als_scratch_clear(&u->scratch);
    memset(u, 0, sizeof *u);
}

rec_status als_user_init(als_user *u, const als_task *task, size_t n_rows,
                         rec_err *err) {
    memset(u, 0, sizeof *u);
    u->task = *task;
    u->row = rec_array(n_rows, sizeof *u->row);
    u->weight = rec_array(n_rows, sizeof *u->weight);
    u->target = rec_array(n_rows, sizeof *u->target);
    u->x = rec_zeros((size_t)task->fixed->dim + 1, sizeof *u->x);
    if (u->row && u->weight && u->target && u->x) return REC_OK;
    als_user_clear(u);
    return rec_nomem(err);
}

rec_status als_user_solve(als_user *u, size_t n, float lambda, rec_err *err) {
    u->history = (als_history){.row = u->row,
                               .weight = u->weight,
                               .target = u->task.bias ? u->target : NULL,
                               .n = n,
                               .lambda = lambda};
    rec_status st = als_scratch_init(&u->scratch, &u->task, n, err);
    if (st)
        als_user_clear(u);
    else
        als_solve(&u->task, &u->history, &u->scratch, u->x);
    return st;
}

void als_user_turn(als_user *u, uint32_t item) {
    uint32_t dim = u->task.fixed->dim;
    memcpy(u->x, mat_row(u->task.fixed, item), dim * sizeof *u->x);
    u->x[dim] = 1;
    als_solve_rhs(&u->task, &u->history, &u->scratch, u->x, u->x);
}

double als_user_share(const als_user *u, size_t j) {
    return (double)vec_kernels()->dot(mat_row(u->task.fixed, u->row[j]), u->x,
                                      u->task.fixed->dim);
}
