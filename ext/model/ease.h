/* ease.h - ridge regression of every item on the others: what the files of ease share.
 *
 *     options, what is fitted, the registry entry        ease.c
 *     each item on its nearest neighbours                ease_sparse.c
 *     each item on all others, in closed form            ease_dense.c
 */
#ifndef REC_EASE_H
#define REC_EASE_H
#include "links.h"

typedef struct ease_job {
    const model_options *options;
    linked *model;
    rated data;
    float *user_factor; /* [n_users] f, owned, as the next four */
    float *scale;       /* [n_items] p: columns are divided by it */
    float *diagonal;    /* [n_items] of the scaled Gram matrix */
    float *target;      /* [n_items] what a column of the solution is multiplied by */
    float *
        order; /* [n_items] sparse: what entries are multiplied by to choose neighbours */
    float lambda;
    rec_run *run;
} ease_job;
/* Both fill job->model->rows. */
rec_status ease_sparse(ease_job *job, rec_err *err);
rec_status ease_dense(ease_job *job, rec_err *err);

double ease_dense_bytes(uint32_t n_items); /* what training by ease_dense takes */
/* The matrix is one allocation of 4 of the 7 bytes a cell. */
#define EASE_MAX_BYTES 3.7e9

#endif
