/* als_stop.c - how many epochs are best for rows that training does not see.
 *
 *     rows of a user   |  kept .................... | held: the newest tenth |
 *                         train, epoch by epoch -->   how well is it found?
 *
 * The factorisation is trained on what is kept, and after each epoch asked for what is held: implicit by
 * NDCG@20 over all items but the kept ones, explicit by the RMSE. It ends when `early_stop` epochs in a row
 * brought nothing better. What is stored is then trained on all rows, with the number of epochs that was best.
 *
 * Without times the held rows are chosen by a hash, so a repetition holds the same. A user keeps at least one
 * row. At most STOP_MAX_USERS users are ranked for, spread evenly.
 *
 * Invariants
 *   I1  kept and held are disjoint, and together all rows.
 *   I2  Every user's value is written by one thread and summed in order: the same for any number of threads.
 *
 * Cost: a training on nine tenths of the rows, and users x items x factors per epoch.
 */
#include "als.h"

#include <math.h>

#define STOP_MAX_USERS 1000
#define STOP_TOP       20

typedef struct holdout { /* owned */
    dataset kept;        /* ptr, item, weight, value, time */
    size_t *ptr;         /* [n_users + 1] into item and value */
    uint32_t *item;      /* ascending within a user */
    float *value;
    uint32_t *user; /* those who are asked */
    size_t n_user;
} holdout;

typedef struct stopper { /* the state of als_watch */
    const model_fit_args *a;
    const holdout *h;
    const als *m; /* being judged */
    double *sum;  /* [n_user] owned by the caller */
    double best, start;
    int best_epoch, patience;
} stopper;

static void holdout_clear(holdout *h) {
    dataset_clear(&h->kept);
    rec_free(h->ptr);
    rec_free(h->item);
    rec_free(h->value);
    rec_free(h->user);
}

typedef struct held_row {
    double key; /* time, or a hash */
    uint32_t place;
} held_row;

static int newest_first(const void *x, const void *y, void *ctx) {
    const held_row *a = x, *b = y;
    (void)ctx;
    if (a->key != b->key) return a->key > b->key ? -1 : 1;
    return (a->place > b->place) - (a->place < b->place);
}

/* is_held[j] for the rows of user u; row: room for them. */
static size_t choose(const dataset *d, size_t u, held_row *row, bool *is_held) {
    size_t from = d->ptr[u], n = d->ptr[u + 1] - from,
           n_held = n > 1 ? (n + 9) / 10 : 0;
    for (size_t j = 0; j < n; j++) {
        double t = d->time[from + j];
        uint64_t h = rec_mix(((uint64_t)u << 32) ^ d->item[from + j]);
        row[j] = (held_row){isfinite(t) ? t : (double)(h >> 11) * -1, (uint32_t)j};
        is_held[j] = false;
    }
    rec_sort(row, n, sizeof *row, newest_first, NULL);
    for (size_t j = 0; j < n_held; j++) is_held[row[j].place] = true;
    return n_held;
}

static rec_status holdout_alloc(holdout *h, const dataset *d, rec_err *err) {
    dataset *k = &h->kept;
    *k = *d;
    k->ptr = rec_zeros((size_t)d->n_users + 1, sizeof *k->ptr);
    k->item = rec_array(d->n, sizeof *k->item);
    k->weight = rec_array(d->n, sizeof *k->weight);
    k->value = rec_array(d->n, sizeof *k->value);
    k->time = rec_array(d->n, sizeof *k->time);
    h->ptr = rec_zeros((size_t)d->n_users + 1, sizeof *h->ptr);
    h->item = rec_array(d->n, sizeof *h->item);
    h->value = rec_array(d->n, sizeof *h->value);
    h->user = rec_array(STOP_MAX_USERS, sizeof *h->user);
    if (k->ptr && k->item && k->weight && k->value && k->time && h->ptr && h->item &&
        h->value && h->user)
        return REC_OK;
    return rec_nomem(err);
}

static size_t longest_history(const dataset *d) {
    size_t most = 0;
    for (size_t u = 0; u < d->n_users; u++)
        if (d->ptr[u + 1] - d->ptr[u] > most) most = d->ptr[u + 1] - d->ptr[u];
    return most;
}

static void split_rows(holdout *h, const dataset *d, held_row *row, bool *is_held) {
    size_t n = 0, n_held = 0;
    for (size_t u = 0; u < d->n_users; u++) {
        size_t from = d->ptr[u];
        choose(d, u, row, is_held);
        for (size_t j = from; j < d->ptr[u + 1]; j++) {
            if (is_held[j - from]) {
                h->item[n_held] = d->item[j];
                h->value[n_held++] = d->value[j];
                continue;
            }
            h->kept.item[n] = d->item[j];
            h->kept.weight[n] = d->weight[j];
            h->kept.value[n] = d->value[j];
            h->kept.time[n++] = d->time[j];
        }
        h->kept.ptr[u + 1] = n;
        h->ptr[u + 1] = n_held;
    }
    h->kept.n = n;
}

static rec_status holdout_init(holdout *h, const dataset *d, rec_err *err) {
    size_t most = longest_history(d), n = 0, with = 0;
    held_row *row = rec_array(most, sizeof *row);
    bool *is_held = rec_array(most, sizeof *is_held);
    rec_status st = row && is_held ? REC_OK : rec_nomem(err);
    if (!st) st = holdout_alloc(h, d, err);
    if (!st) {
        split_rows(h, d, row, is_held);
        for (size_t u = 0; u < d->n_users; u++) with += h->ptr[u + 1] > h->ptr[u];
        size_t every = with / STOP_MAX_USERS + 1, at = 0;
        for (uint32_t u = 0; u < d->n_users; u++)
            if (h->ptr[u + 1] > h->ptr[u] && at++ % every == 0) h->user[n++] = u;
        h->n_user = n;
    }
    rec_free(row);
    rec_free(is_held);
    return st;
}

/* ---- how good is it ------------------------------------------------------------------------------- */

/* The best STOP_TOP items that q does not hold. */
static rec_status best_items(const model_query *q, float *score, size_t n, topk *top,
                             rec_err *err) {
    rec_status st = topk_init(top, STOP_TOP, err);
    if (st) return st;
    for (size_t j = 0; j < q->n; j++) score[q->item[j]] = -INFINITY;
    for (size_t i = 0; i < n; i++)
        if (score[i] > -INFINITY) topk_push(top, -score[i], (uint32_t)i);
    topk_sort(top);
    return REC_OK;
}

static rec_status judge_user(stopper *s, size_t at, rec_err *err) {
    const holdout *h = s->h;
    const dataset *k = &h->kept;
    uint32_t u = h->user[at], ranked[STOP_TOP];
    size_t from = h->ptr[u], n = h->ptr[u + 1] - from, p = k->ptr[u];
    bool rank = !als_is_explicit(s->m);
    model_query q = {.item = k->item + p,
                     .weight = k->weight + p,
                     .value = k->value + p,
                     .time = k->time + p,
                     .n = k->ptr[u + 1] - p};
    size_t n_score = rank ? s->m->n_items : n;
    float *score = rec_array(n_score, sizeof *score);
    topk top = {0};
    if (!score) return rec_nomem(err);
    rec_status st = als_ops.score(&s->m->base, &q, rank ? NULL : h->item + from,
                                  n_score, score, err);
    s->sum[at] = 0;
    if (!st && rank) st = best_items(&q, score, n_score, &top, err);
    if (!st && rank) {
        double recall;
        for (size_t i = 0; i < top.n; i++) ranked[i] = top.a[i].id;
        metrics_at(ranked, top.n, h->item + from, n, STOP_TOP, &recall, &s->sum[at]);
    }
    for (size_t j = 0; !st && !rank && j < n; j++) {
        double e = (double)score[j] - h->value[from + j];
        s->sum[at] += e * e;
    }
    topk_clear(&top);
    rec_free(score);
    return st;
}

static rec_status judge_piece(void *ctx, size_t begin, size_t end, int worker,
                              rec_err *err) {
    rec_status st = REC_OK;
    (void)worker;
    for (size_t i = begin; i < end && !st; i++) st = judge_user(ctx, i, err);
    return st;
}

static rec_status watch(void *ctx, als *m, int epoch, bool *stop, rec_err *err) {
    stopper *s = ctx;
    bool is_explicit = als_is_explicit(m);
    s->m = m;
    rec_status st = threads_for(s->a->run, s->h->n_user, 2, judge_piece, s, err);
    if (st) return st;
    double sum = 0, n = (double)s->h->n_user;
    for (size_t i = 0; i < s->h->n_user; i++) sum += s->sum[i];
    if (is_explicit) {
        n = 0;
        for (size_t i = 0; i < s->h->n_user; i++)
            n += (double)(s->h->ptr[s->h->user[i] + 1] - s->h->ptr[s->h->user[i]]);
    }
    double value = is_explicit ? sqrt(sum / n) : sum / n;
    double worth = is_explicit ? -value : value;
    if (s->best_epoch == 0 || worth > s->best) {
        s->best = worth;
        s->best_epoch = epoch;
    }
    *stop = epoch - s->best_epoch >= s->patience;
    rec_log_row row = {.phase = "validate",
                       .epoch = epoch,
                       .loss = NAN,
                       .metric = is_explicit ? "rmse" : "ndcg@20",
                       .value = value,
                       .seconds = rec_seconds() - s->start};
    run_log(s->a->run, &row);
    return REC_OK;
}

rec_status als_best_epochs(const model_fit_args *a, als_half_step step, int *epochs,
                           rec_err *err) {
    holdout h = {0};
    als *m = NULL;
    stopper s = {.a = a,
                 .h = &h,
                 .start = rec_seconds(),
                 .patience = (int)opt_num(a->options, "early_stop")};
    rec_status st = holdout_init(&h, a->data, err);
    s.sum = rec_zeros(h.n_user, sizeof *s.sum);
    if (!st && !s.sum) st = rec_nomem(err);
    if (!st && h.n_user) {
        model_fit_args part = *a;
        part.data = &h.kept;
        als_plan plan = {.epochs = *epochs, .step = step, .watch = watch, .ctx = &s};
        st = als_train(&part, &plan, &m, err);
        if (!st) *epochs = s.best_epoch;
    }
    als_close(m ? &m->base : NULL);
    rec_free(s.sum);
    holdout_clear(&h);
    return st;
}
