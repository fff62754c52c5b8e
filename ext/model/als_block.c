/* als_block.c - a factorisation asked for many users at once.
 *
 *     histories  --als_fold, a few users a piece-->  vectors  --topdot-->  the best items of each
 *
 * The scores are those of one question: topdot only decides which pairs are worth computing.
 *
 * I1. A user's vector and list do not depend on who else is asked for.
 *
 * Cost: one fold-in a user, and n_items * factors multiply-adds a user in registers.
 */
#include "als.h"

#define FOLD_GRAIN 4 /* users of a piece: a long history takes a millisecond */

typedef struct block {
    const als *m;
    const model_best *b;
    float *x;      /* [n][factors + 1] owned */
    double *shift; /* [n] owned; NULL when implicit */
} block;

static rec_status fold_users(void *ctx, size_t begin, size_t end, int worker,
                             rec_err *err) {
    const block *k = ctx;
    size_t stride = (size_t)k->m->factors + 1;
    rec_status st = REC_OK;
    (void)worker;
    for (size_t u = begin; u < end && !st; u++) {
        float *x = k->x + u * stride;
        st = als_fold(k->m, &k->b->query[u], x, err);
        if (k->shift)
            k->shift[u] = k->m->mean + k->m->deviation * (double)x[k->m->factors];
    }
    return st;
}

static float score_pair(const void *ctx, size_t user, uint32_t item) {
    const block *k = ctx;
    return als_item_score(k->m, k->x + user * ((size_t)k->m->factors + 1), item);
}

rec_status als_best(const rec_model *model, const model_best *b, rec_run *run,
                    rec_err *err) {
    const als *m = als_self(model);
    block k = {.m = m, .b = b};
    k.x = rec_array(b->n, ((size_t)m->factors + 1) * sizeof *k.x);
    if (als_is_explicit(m)) k.shift = rec_array(b->n, sizeof *k.shift);
    rec_status st = k.x && (k.shift || !als_is_explicit(m)) ? REC_OK : rec_nomem(err);
    if (!st) st = threads_for(run, b->n, FOLD_GRAIN, fold_users, &k, err);
    topdot t = {.rows = &m->items,
                .bias = m->bias,
                .x = k.x,
                .n = b->n,
                .stride = (size_t)m->factors + 1,
                .scale = m->deviation,
                .shift = k.shift,
                .score = score_pair,
                .ctx = &k,
                .allowed = b->allowed,
                .place = b->place,
                .found = b->found};
    if (!st) st = topdot_run(&t, run, err);
    rec_free(k.x);
    rec_free(k.shift);
    return st;
}

/* Explicit scores have a bias beside the product. */
const mat *als_vectors(const rec_model *model, vec_metric *metric) {
    *metric = METRIC_IP;
    return als_is_explicit(als_self(model)) ? NULL : &als_self(model)->items;
}

rec_status als_direction(const rec_model *model, const model_query *q, float *x,
                         rec_err *err) {
    const als *m = als_self(model);
    float *whole = rec_array((size_t)m->factors + 1, sizeof *whole);
    rec_status st = whole ? als_fold(m, q, whole, err) : rec_nomem(err);
    if (!st) memcpy(x, whole, m->factors * sizeof *x);
    rec_free(whole);
    return st;
}
