/* bpr.h - Bayesian personalised ranking: what training (bpr_fit.c) and the trained model (bpr.c) share. */
#ifndef REC_BPR_H
#define REC_BPR_H

#include "model.h"

typedef struct bpr {
    rec_model base;
    uint32_t n_items, factors;
    double alpha0, lambda; /* of the fold-in */
    double
        item_length; /* root mean square length of items in training; they have 1 here */
    double user_length; /* the same of users */
    like_rule likes;
    float *spectrum; /* [factors] owned */
    mat items;       /* n_items x factors */
} bpr;

static inline const bpr *bpr_self(const rec_model *m) {
    return (const bpr *)m;
}

/* bpr.c. Without the factors of items; NULL and err when there is no memory. */
bpr *bpr_new(uint32_t n_items, uint32_t factors, rec_err *err);
void bpr_close(rec_model *m); /* NULL is fine */
bool bpr_has_factors(const bpr *m, uint32_t item);
bool bpr_knows(const rec_model *m, const model_query *q);
/* x[factors] of a history. */
rec_status bpr_fold(const rec_model *m, const model_query *q, float *x, rec_err *err);

/* bpr_fit.c */
rec_status bpr_fit(const model_fit_args *a, rec_model **out, rec_err *err);

#endif
