/* best.c - the best items of many users at once, for every model that says what one user is.
 *
 *     by vectors    histories  --fold, a few users a piece-->  vectors  --topdot-->  the best items of each
 *     by scores     histories  --score, one user a piece-->  float[n_items]  --allowed-->  the best items of each
 *     by order      items sorted once  --the first that a user is allowed-->  where all users share one order
 *
 * The scores are those of one question: topdot only decides which pairs are worth computing.
 *
 * I1. A user's vector and list do not depend on who else is asked for, nor on the number of threads.
 *
 * Cost: by vectors, one fold-in a user and n_items * dim multiply-adds in registers, memory width floats a
 * user; by scores, what `score` costs, memory n_items floats a worker; by order, a sort for all users.
 */
#include "model.h"

#include <math.h>

#define FOLD_GRAIN  4 /* users of a piece: a long history takes a millisecond */
#define SCORE_GRAIN 1
#define ORDER_GRAIN 16

/* ---- by vectors ---------------------------------------------------------------------------------- */

typedef struct vector_block {
    const rec_model *m;
    const best_vectors *v;
    const model_best *b;
    float *x;      /* [n][width] owned */
    double *shift; /* [n] owned; NULL without */
} vector_block;

static rec_status fold_users(void *ctx, size_t begin, size_t end, int worker,
                             rec_err *err) {
    const vector_block *k = ctx;
    rec_status st = REC_OK;
    (void)worker;
    for (size_t u = begin; u < end && !st; u++) {
        float *x = k->x + u * k->v->width;
        st = k->v->fold(k->m, &k->b->query[u], x, err);
        if (k->shift) k->shift[u] = k->v->shift(k->m, x);
    }
    return st;
}

static float score_pair(const void *ctx, size_t user, uint32_t item) {
    const vector_block *k = ctx;
    return k->v->score(k->m, k->x + user * k->v->width, item);
}

rec_status best_by_vectors(const rec_model *m, const best_vectors *v,
                           const model_best *b, rec_run *run, rec_err *err) {
    vector_block k = {.m = m, .v = v, .b = b};
    k.x = rec_array(b->n, v->width * sizeof *k.x);
    if (v->shift) k.shift = rec_array(b->n, sizeof *k.shift);
    rec_status st = k.x && (k.shift || !v->shift) ? REC_OK : rec_nomem(err);
    if (!st) st = threads_for(run, b->n, FOLD_GRAIN, fold_users, &k, err);
    topdot t = {.rows = v->rows,
                .length = v->length,
                .bias = v->bias,
                .x = k.x,
                .n = b->n,
                .stride = v->width,
                .scale = v->scale,
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

float vectors_cosine(double product, double length_a, double length_b) {
    double c = product / (length_a * length_b);
    return !isfinite(c) ? 0 : c > 1 ? 1 : c < -1 ? -1 : (float)c;
}

void vectors_alike(const mat *rows, const float *length, uint32_t item, float *out) {
    const float *a = mat_row(rows, item);
    float norm = length ? length[item] : vec_norm(a, rows->dim);
    for (size_t i = 0; i < rows->n_rows; i++) {
        const float *b = mat_row(rows, i);
        out[i] =
            vectors_cosine((double)vec_kernels()->dot(b, a, rows->dim), (double)norm,
                           (double)(length ? length[i] : vec_norm(b, rows->dim)));
    }
}

/* ---- by scores ----------------------------------------------------------------------------------- */

typedef struct score_block {
    const rec_model *m;
    const model_best *b;
    size_t n_items;
    float **score; /* [workers] owned, each [n_items], made by its worker */
} score_block;

static rec_status score_users(void *ctx, size_t begin, size_t end, int worker,
                              rec_err *err) {
    const score_block *k = ctx;
    const model_best *b = k->b;
    float *score = k->score[worker];
    rec_status st = REC_OK;
    if (!score) score = k->score[worker] = rec_array(k->n_items, sizeof *score);
    if (!score) return rec_nomem(err);
    for (size_t u = begin; u < end && !st; u++) {
        st = k->m->ops->score(k->m, &b->query[u], NULL, k->n_items, score, err);
        for (size_t i = 0; !st && i < k->n_items; i++)
            if (-score[i] <= topk_bound(&b->found[u]) &&
                bitmap_has(&b->allowed[u], i) && isfinite(score[i]))
                topk_push(&b->found[u], -score[i], b->place[i]);
    }
    return st;
}

rec_status best_by_scores(const rec_model *m, const model_best *b, rec_run *run,
                          rec_err *err) {
    size_t n_workers = (size_t)run_threads(run);
    score_block k = {.m = m,
                     .b = b,
                     .n_items = m->ops->n_items(m),
                     .score = rec_zeros(n_workers, sizeof *k.score)};
    rec_status st = k.score ? REC_OK : rec_nomem(err);
    if (!st) st = threads_for(run, b->n, SCORE_GRAIN, score_users, &k, err);
    for (size_t w = 0; k.score && w < n_workers; w++) rec_free(k.score[w]);
    rec_free(k.score);
    return st;
}

/* ---- by order ------------------------------------------------------------------------------------- */

typedef struct order_block {
    const model_best *b;
    topk_entry *order; /* [n] owned: (-score, item), best first */
    size_t n;
} order_block;

static rec_status take_first(void *ctx, size_t begin, size_t end, int worker,
                             rec_err *err) {
    const order_block *k = ctx;
    const model_best *b = k->b;
    (void)worker, (void)err;
    for (size_t u = begin; u < end; u++) {
        topk *found = &b->found[u];
        size_t n_taken = 0;
        for (size_t i = 0; i < k->n && n_taken < found->k; i++) {
            topk_entry e = k->order[i];
            if (e.value > topk_bound(found)) break;
            if (!bitmap_has(&b->allowed[u], e.id)) continue;
            topk_push(found, e.value, b->place[e.id]);
            n_taken++;
        }
    }
    return REC_OK;
}

static int by_score(const void *a, const void *b, void *ctx) {
    const topk_entry *x = a, *y = b;
    const uint32_t *place = ctx;
    if (x->value != y->value) return x->value < y->value ? -1 : 1;
    return place[x->id] < place[y->id] ? -1 : place[x->id] > place[y->id];
}

rec_status best_by_order(const float *score, size_t n, const model_best *b,
                         rec_run *run, rec_err *err) {
    order_block k = {.b = b, .order = rec_array(n, sizeof *k.order)};
    if (!k.order) return rec_nomem(err);
    for (size_t i = 0; i < n; i++)
        if (isfinite(score[i]))
            k.order[k.n++] = (topk_entry){.value = -score[i], .id = (uint32_t)i};
    rec_sort(k.order, k.n, sizeof *k.order, by_score, (void *)b->place);
    rec_status st = threads_for(run, b->n, ORDER_GRAIN, take_first, &k, err);
    rec_free(k.order);
    return st;
}
