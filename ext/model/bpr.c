/* bpr.c - Bayesian personalised ranking: what a user chose goes above what they did not.
 *
 *     loss = sum over likes (u, i) of  -s log sigma(x_u . y_i - x_u . y_j),   j not liked by u
 *
 * (Rendle and others 2009), with matrix factorisation as the scorer and s the strength of the like.
 * The counterexample j is drawn from a pool of items that each batch draws afresh:
 *
 *     negatives=uniform   any item
 *     negatives=popular   by (number of likes)^.75
 *     negatives=hard      of `candidates` uniform items the one that scores highest for the user:
 *                         most items are ranked well after an epoch and teach nothing (dynamic
 *                         negative sampling: Zhang and others 2013)
 *
 * A batch computes the slopes of all its pairs from the factors as they are, then sums them row by
 * row (nn/table.c), then moves each row once by Adam. So any number of threads gives the same bits,
 * and the sparse sums, not locks or races, are what makes it parallel.
 *
 *     likes, shuffled --> | batch: u i j slope | --> gradients by user row --> Adam
 *                                                \-> gradients by item row --> Adam
 *
 * Only the item factors are kept. A user is folded in from their history when a question is asked,
 * by the exact ridge solution of als_solve.c,
 *
 *     x = argmin sum_j s_j (1 - x . y_j)^2 + alpha0 sum_all (x . y_i)^2 + lambda |x|^2
 *
 * which ranks better than the user vectors of the training do (Recall@20 .153 against .146 on the held-out
 * last tenths of Gowalla's histories, factors=64, 20 epochs, 4 candidates): those have seen a
 * few hundred noisy steps, this is the optimum for the factors as they are now. Item factors are
 * scaled to a mean square length of 1, so that alpha0 and lambda mean the same for every data set.
 *
 * Warm start: item factors come from the previous model, user factors from folding everybody in at
 * the length that users had; a fifth of the epochs then does.
 *
 * Invariants
 *   I1  items' items is diagonal (principal axes); spectrum = alpha0 times that diagonal, >= 0.
 *   I2  the factors of an item without likes are 0.
 *   I3  all stored numbers are finite; lambda > 0, item_length and user_length >= 0.
 *
 * Stored: u32 version, n_items, factors; f64 alpha0, lambda, item_length, user_length; the rule of
 * likes (u32, f64, f64); f32 spectrum[factors]; mat items.
 * Cost: an epoch is likes x (candidates + 4) products of `factors` numbers, and the steps of the rows
 * touched; a fold-in is als_solve's.
 */
#include "als.h"

#include "../nn/nn.h"

#include <math.h>

#define BPR_VERSION     1
#define BPR_MAX_FACTORS 1024
#define BPR_POOL        1024 /* items that the counterexamples of a batch come from */
#define BPR_PIECE       256  /* likes in a piece of the parallel loop */
#define BPR_POPULAR     .75  /* exponent of negatives=popular */
#define BPR_INIT_LENGTH .8   /* of a factor vector before training */
#define BPR_LAST_RATE   .05  /* share of the learning rate that is left at the end */
#define BPR_WARM_EPOCHS .2   /* share of the epochs after a warm start */
#define BPR_WARM_RATE   .3
/* Few likes still make this many steps an epoch, down to this many pairs a step. */
#define BPR_EPOCH_STEPS 32
#define BPR_LEAST_BATCH 64

typedef enum { BPR_UNIFORM, BPR_POPULAR_ITEMS, BPR_HARD } bpr_negatives;

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

static const bpr *self(const rec_model *m) {
    return (const bpr *)m;
}

static void bpr_close(rec_model *m) {
    bpr *b = (bpr *)m;
    if (!b) return;
    rec_free(b->spectrum);
    mat_clear(&b->items);
    rec_free(b);
}

static bpr *bpr_new(uint32_t n_items, uint32_t factors, rec_err *err) {
    bpr *m = rec_zeros(1, sizeof *m);
    if (m) m->spectrum = rec_zeros(factors, sizeof *m->spectrum);
    if (!m || !m->spectrum) {
        bpr_close((rec_model *)m);
        rec_nomem(err);
        return NULL;
    }
    m->base.ops = &bpr_ops;
    m->n_items = n_items;
    m->factors = factors;
    return m;
}

/* ---- counterexamples ------------------------------------------------------------------------- */

typedef struct trainer {
    const liked *likes;
    nn_table users, items;
    nn_grad user_grad, item_grad;
    nn_adam adam;
    bpr_negatives negatives;
    uint32_t candidates;
    size_t batch;
    uint64_t seed;
    double
        *chance; /* [n_items+1] running sum, negatives=popular; owned, as all below */
    uint32_t *order; /* [n] likes, shuffled */
    uint32_t *
        other; /* [batch] item j of each pair, KEYS_NONE: the user likes all that was drawn */
    float *slope, *loss; /* [batch] */
    uint32_t pool[BPR_POOL];
    float *pool_row;      /* [BPR_POOL x factors] their factors side by side */
    size_t first, n_pair; /* the batch is order[first .. first + n_pair) */
    uint64_t n_done;      /* batches so far: the stream of their random numbers */
} trainer;

static void trainer_clear(trainer *t) {
    nn_table_clear(&t->users);
    nn_table_clear(&t->items);
    nn_grad_clear(&t->user_grad);
    nn_grad_clear(&t->item_grad);
    rec_free(t->chance);
    rec_free(t->order);
    rec_free(t->other);
    rec_free(t->slope);
    rec_free(t->loss);
    rec_free(t->pool_row);
}

static uint32_t draw_popular(const trainer *t, rng *r) {
    uint32_t lo = 0, hi = t->likes->n_items;
    double x = rng_unit(r) * t->chance[hi];
    while (hi - lo > 1) {
        uint32_t mid = lo + (hi - lo) / 2;
        if (t->chance[mid] <= x)
            lo = mid;
        else
            hi = mid;
    }
    return lo;
}

static void draw_pool(trainer *t) {
    rng r;
    size_t dim = t->items.w.dim;
    rng_seed(&r, t->seed, 2 * t->n_done);
    for (size_t k = 0; k < BPR_POOL; k++) {
        t->pool[k] = t->negatives == BPR_POPULAR_ITEMS
                         ? draw_popular(t, &r)
                         : rng_below(&r, t->likes->n_items);
        memcpy(t->pool_row + k * dim, mat_row(&t->items.w, t->pool[k]),
               dim * sizeof(float));
    }
}

/* The place in the pool of the user's counterexample, KEYS_NONE if they like all that was drawn. */
static uint32_t choose_other(const trainer *t, uint32_t user, rng *r, float *score) {
    const rec_kernels *k = vec_kernels();
    const float *x = mat_row(&t->users.w, user);
    size_t dim = t->users.w.dim;
    uint32_t best = KEYS_NONE;
    for (uint32_t c = 0; c < t->candidates; c++) {
        uint32_t at = rng_below(r, BPR_POOL);
        float s = k->dot(x, t->pool_row + at * dim, dim);
        if (best != KEYS_NONE && !(s > *score)) continue;
        if (liked_has(t->likes, user, t->pool[at])) continue;
        best = at;
        *score = s;
    }
    return best;
}

/* ---- a batch ----------------------------------------------------------------------------------- */

/* log(1 + e^-x) */
static float soft_minus(float x) {
    return x > 0 ? log1pf(expf(-x)) : -x + log1pf(expf(x));
}

static rec_status compare_pairs(void *ctx, size_t begin, size_t end, int worker,
                                rec_err *err) {
    trainer *t = ctx;
    const rec_kernels *kernels = vec_kernels();
    rng r;
    (void)worker, (void)err;
    rng_seed(&r, t->seed ^ rec_mix(begin + 1), 2 * t->n_done + 1);
    for (size_t k = begin; k < end; k++) {
        size_t like = t->order[t->first + k];
        uint32_t user = t->likes->user[like];
        const float *x = mat_row(&t->users.w, user);
        float other = 0, strength = t->likes->strength[like];
        uint32_t at = choose_other(t, user, &r, &other);
        t->other[k] = at == KEYS_NONE ? KEYS_NONE : t->pool[at];
        t->slope[k] = t->loss[k] = 0;
        if (at == KEYS_NONE) continue;
        const float *y = mat_row(&t->items.w, t->likes->item[like]);
        float gap = kernels->dot(x, y, t->users.w.dim) - other;
        t->slope[k] = strength / (1 + expf(gap));
        t->loss[k] = strength * soft_minus(gap);
    }
    return REC_OK;
}

/* Two entries a pair on either side: towards i, away from j. */
static void write_entries(trainer *t) {
    nn_entry *by_user = t->user_grad.entry, *by_item = t->item_grad.entry;
    size_t n = 0;
    for (size_t k = 0; k < t->n_pair; k++) {
        size_t like = t->order[t->first + k];
        uint32_t u = t->likes->user[like], i = t->likes->item[like], j = t->other[k];
        float s = t->slope[k];
        if (j == KEYS_NONE) continue;
        by_user[n] = (nn_entry){u, i, -s};
        by_item[n++] = (nn_entry){i, u, -s};
        by_user[n] = (nn_entry){u, j, s};
        by_item[n++] = (nn_entry){j, u, s};
    }
    t->user_grad.n = t->item_grad.n = n;
}

static rec_status train_batch(trainer *t, double *loss, rec_run *run, rec_err *err) {
    draw_pool(t);
    rec_status st = threads_for(run, t->n_pair, BPR_PIECE, compare_pairs, t, err);
    if (!st) st = nn_grad_begin(&t->user_grad, 2 * t->n_pair, err);
    if (!st) st = nn_grad_begin(&t->item_grad, 2 * t->n_pair, err);
    if (st) return st;
    write_entries(t);
    for (size_t k = 0; k < t->n_pair; k++) *loss += (double)t->loss[k];
    st = nn_grad_sum(&t->user_grad, &t->items.w, run, err);
    if (!st) st = nn_grad_sum(&t->item_grad, &t->users.w, run, err);
    if (!st) st = nn_table_step(&t->users, &t->user_grad, &t->adam, run, err);
    if (!st) st = nn_table_step(&t->items, &t->item_grad, &t->adam, run, err);
    t->n_done++;
    return st;
}

/* ---- training ------------------------------------------------------------------------------------ */

static rec_status trainer_init(trainer *t, const liked *likes, const model_fit_args *a,
                               rec_err *err) {
    uint32_t dim = (uint32_t)opt_num(a->options, "factors");
    double deviation = BPR_INIT_LENGTH / sqrt(dim);
    *t = (trainer){.likes = likes,
                   .adam = NN_ADAM_USUAL((float)opt_num(a->options, "rate")),
                   .negatives = (bpr_negatives)opt_num(a->options, "negatives"),
                   .batch = (size_t)opt_num(a->options, "batch"),
                   .seed = a->seed};
    size_t share = likes->n / BPR_EPOCH_STEPS;
    if (share < BPR_LEAST_BATCH) share = BPR_LEAST_BATCH;
    if (t->batch > share) t->batch = share;
    t->adam.penalty = (float)opt_num(a->options, "penalty");
    t->candidates =
        t->negatives == BPR_HARD ? (uint32_t)opt_num(a->options, "candidates") : 1;
    t->chance = rec_zeros((size_t)likes->n_items + 1, sizeof *t->chance);
    t->order = rec_array(likes->n, sizeof *t->order);
    t->other = rec_array(t->batch, sizeof *t->other);
    t->slope = rec_array(t->batch, sizeof *t->slope);
    t->loss = rec_array(t->batch, sizeof *t->loss);
    t->pool_row = rec_array((size_t)BPR_POOL * dim, sizeof *t->pool_row);
    if (!t->chance || !t->order || !t->other || !t->slope || !t->loss || !t->pool_row)
        return rec_nomem(err);
    for (size_t i = 0; i < likes->n_items; i++)
        t->chance[i + 1] = t->chance[i] + pow(likes->degree[i], BPR_POPULAR);
    for (size_t k = 0; k < likes->n; k++) t->order[k] = (uint32_t)k;
    rec_status st =
        nn_table_init(&t->users, likes->n_users, dim, deviation, rec_mix(a->seed), err);
    if (!st)
        st = nn_table_init(&t->items, likes->n_items, dim, deviation,
                           rec_mix(a->seed + 1), err);
    if (!st) st = nn_grad_init(&t->user_grad, likes->n_users, dim, err);
    if (!st) st = nn_grad_init(&t->item_grad, likes->n_items, dim, err);
    return st;
}

static rec_status train(trainer *t, int epochs, rec_run *run, rec_err *err) {
    double start = rec_seconds(),
           per_epoch = ceil((double)t->likes->n / (double)t->batch);
    float rate = t->adam.rate;
    rec_status st = REC_OK;
    run_progress(run, "bpr", 0);
    for (int e = 1; !st && e <= epochs; e++) {
        double loss = 0;
        rng r;
        rng_seed(&r, ~t->seed, (uint64_t)e);
        rng_shuffle_u32(&r, t->order, t->likes->n);
        for (t->first = 0; !st && t->first < t->likes->n; t->first += t->n_pair) {
            size_t left = t->likes->n - t->first;
            double done = (double)t->n_done / (per_epoch * epochs);
            t->n_pair = left < t->batch ? left : t->batch;
            t->adam.rate = rate * (float)(1 - (1 - BPR_LAST_RATE) * done);
            st = train_batch(t, &loss, run, err);
        }
        if (st) break;
        rec_log_row row = {.phase = "bpr",
                           .epoch = e,
                           .loss = loss / (double)t->likes->n,
                           .value = NAN,
                           .seconds = rec_seconds() - start};
        run_log(run, &row);
        run_progress(run, "bpr", (double)e / epochs);
    }
    return st;
}

/* Root mean square length of the rows that count. */
static double length_of(const mat *m, const uint32_t *degree) {
    double sum = 0, n = 0;
    for (size_t i = 0; i < m->n_rows; i++) {
        if (degree && !degree[i]) continue;
        double norm = vec_norm(mat_row(m, i), m->dim);
        sum += norm * norm;
        n++;
    }
    return n > 0 ? sqrt(sum / n) : 0;
}

static void scale_row(float *row, size_t dim, double f) {
    for (size_t k = 0; k < dim; k++) row[k] = (float)(row[k] * f);
}

/* The trained item factors move into the model: length, axes, spectrum. */
static rec_status keep_items(bpr *m, trainer *t, rec_run *run, rec_err *err) {
    m->item_length = length_of(&t->items.w, t->likes->degree);
    m->user_length = length_of(&t->users.w, NULL);
    if (!isfinite(m->item_length) || !isfinite(m->user_length))
        return rec_fail(err, REC_RANGE,
                        "bpr: training left the range of numbers; lower rate=");
    m->items = t->items.w;
    t->items.w = (mat){0};
    double f = m->item_length > 0 ? 1 / m->item_length : 0;
    for (uint32_t i = 0; i < m->n_items; i++)
        scale_row(mat_row(&m->items, i), m->factors, t->likes->degree[i] ? f : 0);
    return als_principal_axes(&m->items, m->alpha0, m->spectrum, run, err);
}

/* ---- a user at query time --------------------------------------------------------------------------- */

static bool has_factors(const bpr *m, uint32_t item) {
    if (item >= m->n_items) return false;
    const float *y = mat_row(&m->items, item);
    for (size_t k = 0; k < m->factors; k++)
        if (y[k] != 0) return true;
    return false;
}

static float like_of(const bpr *m, const model_query *q, size_t j) {
    float s = liked_strength(&m->likes, q->weight[j], q->value[j]);
    return s > 0 && has_factors(m, q->item[j]) ? s : 0;
}

static rec_status fold_in(const bpr *m, const model_query *q, bool dense, als_user *u,
                          rec_err *err) {
    als_task task = {.fixed = &m->items, .spectrum = m->spectrum, .dense = dense};
    size_t n = 0;
    rec_status st = als_user_init(u, &task, q->n, err);
    if (st) return st;
    for (size_t j = 0; j < q->n; j++) {
        float s = like_of(m, q, j);
        if (!(s > 0)) continue;
        u->row[n] = q->item[j];
        u->weight[n++] = s;
    }
    return als_user_solve(u, n, (float)m->lambda, err);
}

static float finite_or_0(double x) {
    return isfinite((float)x) ? (float)x : 0;
}

static rec_status bpr_fold(const rec_model *model, const model_query *q, float *x,
                           rec_err *err) {
    als_user u;
    rec_status st = fold_in(self(model), q, false, &u, err);
    if (st) return st;
    memcpy(x, u.x, self(model)->factors * sizeof *x);
    als_user_clear(&u);
    return REC_OK;
}

static float item_score(const rec_model *model, const float *x, uint32_t item) {
    const bpr *m = self(model);
    return finite_or_0(vec_kernels()->dot(mat_row(&m->items, item), x, m->factors));
}

static rec_status bpr_score(const rec_model *model, const model_query *q,
                            const uint32_t *items, size_t n, float *out, rec_err *err) {
    const bpr *m = self(model);
    als_user u;
    for (size_t i = 0; i < n; i++) out[i] = 0;
    rec_status st = fold_in(m, q, false, &u, err);
    if (st) return st;
    for (size_t i = 0; i < n; i++) {
        uint32_t item = items ? items[i] : (uint32_t)i;
        if (item < m->n_items) out[i] = item_score(model, u.x, item);
    }
    als_user_clear(&u);
    return REC_OK;
}

static rec_status bpr_best(const rec_model *model, const model_best *b, rec_run *run,
                           rec_err *err) {
    const bpr *m = self(model);
    best_vectors v = {.rows = &m->items,
                      .scale = 1,
                      .width = m->factors,
                      .fold = bpr_fold,
                      .score = item_score};
    return best_by_vectors(model, &v, b, run, err);
}

static const mat *bpr_vectors(const rec_model *m, vec_metric *metric) {
    *metric = METRIC_IP;
    return &self(m)->items;
}

static uint32_t bpr_n_items(const rec_model *m) {
    return self(m)->n_items;
}

static bool bpr_knows(const rec_model *model, const model_query *q) {
    for (size_t j = 0; j < q->n; j++)
        if (like_of(self(model), q, j) > 0) return true;
    return false;
}

static float bpr_cold_score(const rec_model *m, const model_query *q) {
    (void)m, (void)q;
    return 0;
}

static rec_status bpr_similar(const rec_model *model, uint32_t item, float *out,
                              rec_err *err) {
    const bpr *m = self(model);
    if (item >= m->n_items)
        return rec_fail(err, REC_RANGE, "bpr: item %u of %u", item, m->n_items);
    vectors_alike(&m->items, NULL, item, out);
    return REC_OK;
}

/* score = c' A^-1 y = sum over the history of s_j h_j . v with v = A^-1 y: each like's share. */
static rec_status bpr_explain(const rec_model *model, const model_query *q,
                              uint32_t item, explain_fn fn, void *ctx, rec_err *err) {
    als_user u;
    if (item >= self(model)->n_items) return REC_OK;
    rec_status st = fold_in(self(model), q, true, &u, err);
    if (st) return st;
    als_user_turn(&u, item);
    for (size_t j = 0; !st && j < u.history.n; j++)
        st = fn(ctx, "item", u.row[j], NULL, 0,
                finite_or_0(u.weight[j] * als_user_share(&u, j)), err);
    als_user_clear(&u);
    return st;
}

/* ---- fit --------------------------------------------------------------------------------------------- */

typedef struct warm_job {
    const bpr *from;
    const dataset *data;
    trainer *t;
} warm_job;

static rec_status warm_users(void *ctx, size_t begin, size_t end, int worker,
                             rec_err *err) {
    const warm_job *job = ctx;
    (void)worker;
    for (size_t u = begin; u < end; u++) {
        const dataset *d = job->data;
        model_query q = {.item = d->item + d->ptr[u],
                         .weight = d->weight + d->ptr[u],
                         .value = d->value + d->ptr[u],
                         .n = d->ptr[u + 1] - d->ptr[u]};
        if (!bpr_knows(&job->from->base, &q)) continue;
        rec_status st =
            bpr_fold(&job->from->base, &q, mat_row(&job->t->users.w, u), err);
        if (st) return st;
    }
    return REC_OK;
}

/* Factors of the previous model take the place of random ones. */
static rec_status start_from(const model_fit_args *a, trainer *t, rec_err *err) {
    const dataset *d = a->data;
    bpr from =
        *self(a->previous); /* its items in the new numbering: borrowed otherwise */
    warm_job job = {&from, d, t};
    rec_status st = mat_init(&from.items, d->n_items, from.factors, err);
    if (st) return st;
    from.n_items = d->n_items;
    for (uint32_t i = 0; i < d->n_items; i++) {
        uint32_t was = model_previous_item(a, i);
        if (was == KEYS_NONE || !has_factors(self(a->previous), was)) continue;
        float *row = mat_row(&t->items.w, i);
        memcpy(row, mat_row(&self(a->previous)->items, was),
               from.factors * sizeof *row);
        memcpy(mat_row(&from.items, i), row, from.factors * sizeof *row);
        scale_row(row, from.factors, from.item_length);
    }
    st = threads_for(a->run, d->n_users, BPR_PIECE, warm_users, &job, err);
    mat_clear(&from.items);
    double length = length_of(&t->users.w, NULL);
    double f = length > 0 ? from.user_length / length : 1;
    for (size_t u = 0; u < d->n_users; u++)
        scale_row(mat_row(&t->users.w, u), from.factors, f);
    return st;
}

static bool can_start_from(const rec_model *previous, uint32_t factors) {
    return previous && previous->ops == &bpr_ops &&
           self(previous)->factors == factors && self(previous)->item_length > 0 &&
           self(previous)->user_length > 0;
}

static rec_status fit_into(bpr *m, const model_fit_args *a, const liked *likes,
                           rec_err *err) {
    trainer t;
    int epochs = (int)opt_num(a->options, "epochs");
    rec_status st = trainer_init(&t, likes, a, err);
    if (!st && can_start_from(a->previous, m->factors)) {
        st = start_from(a, &t, err);
        epochs = (int)ceil(epochs * BPR_WARM_EPOCHS);
        t.adam.rate *= (float)BPR_WARM_RATE;
    }
    if (!st) st = train(&t, epochs, a->run, err);
    if (!st) st = keep_items(m, &t, a->run, err);
    trainer_clear(&t);
    return st;
}

static rec_status bpr_fit(const model_fit_args *a, rec_model **out, rec_err *err) {
    liked likes;
    *out = NULL;
    rec_status st = liked_init(&likes, a->data, err);
    if (st) return st;
    bpr *m = bpr_new(a->data->n_items, (uint32_t)opt_num(a->options, "factors"), err);
    if (!m) st = REC_NOMEM;
    if (!st) {
        m->alpha0 = opt_num(a->options, "alpha0");
        m->lambda = opt_num(a->options, "lambda");
        m->likes = likes.rule;
        st = fit_into(m, a, &likes, err);
    }
    liked_clear(&likes);
    if (!st) st = bpr_ops.check(&m->base, err);
    if (st)
        bpr_close((rec_model *)m);
    else
        *out = &m->base;
    return st;
}

/* ---- stored form ---------------------------------------------------------------------------------------- */

static const lsa *bpr_language(const rec_model *m) {
    (void)m;
    return NULL;
}

static rec_status bpr_save(const rec_model *model, bytes_writer *w, rec_err *err) {
    const bpr *m = self(model);
    bytes_put_u32(w, BPR_VERSION);
    bytes_put_u32(w, m->n_items);
    bytes_put_u32(w, m->factors);
    bytes_put_f64(w, m->alpha0);
    bytes_put_f64(w, m->lambda);
    bytes_put_f64(w, m->item_length);
    bytes_put_f64(w, m->user_length);
    like_rule_write(&m->likes, w);
    bytes_put_f32s(w, m->spectrum, m->factors);
    mat_write(&m->items, w);
    return w->status ? rec_nomem(err) : REC_OK;
}

static rec_status bpr_check(const rec_model *model, rec_err *err) {
    const bpr *m = self(model);
    if (!(m->alpha0 >= 0 && m->lambda > 0 && m->item_length >= 0 &&
          m->user_length >= 0 &&
          isfinite(m->alpha0 + m->lambda + m->item_length + m->user_length)))
        return rec_corrupt(err, "bpr: alpha0 %g, lambda %g, lengths %g and %g",
                           m->alpha0, m->lambda, m->item_length, m->user_length);
    for (size_t k = 0; k < m->factors; k++)
        if (!isfinite(m->spectrum[k]) || m->spectrum[k] < 0)
            return rec_corrupt(err, "bpr: the spectrum is not finite and positive");
    for (size_t i = 0; i < m->n_items; i++)
        if (!vec_is_finite(mat_row(&m->items, i), m->factors))
            return rec_corrupt(err, "bpr: the factors of item %zu are not finite", i);
    return REC_OK;
}

static rec_status read_body(bpr *m, bytes_reader *r, rec_err *err) {
    m->alpha0 = bytes_get_f64(r);
    m->lambda = bytes_get_f64(r);
    m->item_length = bytes_get_f64(r);
    m->user_length = bytes_get_f64(r);
    rec_status st = like_rule_read(r, &m->likes, err);
    if (st) return st;
    bytes_get_f32s(r, m->spectrum, m->factors);
    st = mat_read(r, &m->items, err);
    if (st) return st;
    if (r->status || m->items.n_rows != m->n_items || m->items.dim != m->factors)
        return rec_corrupt(err, "bpr: %zu x %u factors for %u items and %u factors",
                           m->items.n_rows, m->items.dim, m->n_items, m->factors);
    return bpr_check(&m->base, err);
}

static rec_status bpr_load(bytes_reader *r, rec_model **out, rec_err *err) {
    *out = NULL;
    uint32_t version = bytes_get_u32(r), n_items = bytes_get_u32(r),
             factors = bytes_get_u32(r);
    if (r->status || version != BPR_VERSION || factors < 1 || factors > BPR_MAX_FACTORS)
        return rec_corrupt(err, "bpr: header has version %u, %u factors", version,
                           factors);
    bpr *m = bpr_new(n_items, factors, err);
    if (!m) return REC_NOMEM;
    rec_status st = read_body(m, r, err);
    if (st)
        bpr_close(&m->base);
    else
        *out = &m->base;
    return st;
}

static size_t bpr_nbyte(const rec_model *model) {
    const bpr *m = self(model);
    return sizeof *m + mat_nbyte(&m->items) + m->factors * sizeof(float);
}

// clang-format off
static const model_option bpr_options[] = {
    {"factors", OPT_INT, 1, BPR_MAX_FACTORS, "64", NULL, "numbers that describe an item"},
    {"epochs", OPT_INT, 1, 10000, "40", NULL, "passes over the likes"},
    {"negatives", OPT_ENUM, 0, 2, "hard", "uniform|popular|hard", "which items a like is compared with"},
    {"candidates", OPT_INT, 1, 1000, "16", NULL, "negatives=hard: drawn, and the one that scores highest taken"},
    {"rate", OPT_REAL, 1e-6, 1, ".01", NULL, "learning rate of Adam, falls to a twentieth"},
    {"penalty", OPT_REAL, 0, 100, ".03", NULL, "on factors, in each step of a row"},
    {"batch", OPT_INT, 16, 1000000, "8192", NULL, "pairs in a step, at most"},
    {"alpha0", OPT_REAL, 0, 1e3, ".02", NULL, "fold-in: weight of what was not touched"},
    {"lambda", OPT_REAL, 1e-6, 1e6, "5", NULL, "fold-in: penalty on the user's factors"},
};
// clang-format on

static const model_tune bpr_tune[] = {
    {"rate", "log .002 .05", NULL}, {"penalty", "log .005 .2", NULL},
    {"epochs", "20|40|80", NULL},   {"candidates", "4|8|16|32", "negatives=hard"},
    {"lambda", "log .5 20", NULL},  {"alpha0", "log .002 .2", NULL},
};

const rec_model_ops bpr_ops = {
    .name = "bpr",
    .needs = MODEL_NEEDS_INTERACTIONS | MODEL_GROWS,
    .options = bpr_options,
    .n_options = sizeof bpr_options / sizeof bpr_options[0],
    .tune = bpr_tune,
    .n_tune = sizeof bpr_tune / sizeof bpr_tune[0],
    .fit = bpr_fit,
    .n_items = bpr_n_items,
    .knows = bpr_knows,
    .score = bpr_score,
    .best = bpr_best,
    .vectors = bpr_vectors,
    .direction = bpr_fold,
    .similar = bpr_similar,
    .explain = bpr_explain,
    .cold_score = bpr_cold_score,
    .language = bpr_language,
    .save = bpr_save,
    .load = bpr_load,
    .check = bpr_check,
    .nbyte = bpr_nbyte,
    .close = bpr_close,
};
