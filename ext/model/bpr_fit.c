/* bpr_fit.c - training for Bayesian personalised ranking: pairs, slopes, steps.
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
 * Warm start: item factors come from the previous model, user factors from folding everybody in at
 * the length that users had; a fifth of the epochs then does.
 *
 * Invariants
 *   I1  What a batch draws depends on the seed and the number of the batch alone.
 *   I2  The factors of an item without likes leave as 0.
 *
 * Cost: an epoch is likes x (candidates + 4) products of `factors` numbers, and the steps of the rows
 * touched.
 */
#include "bpr.h"

#include "../nn/nn.h"
#include "als.h"

#include <math.h>

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
        *bpr_self(a->previous); /* its items in the new numbering: borrowed otherwise */
    warm_job job = {&from, d, t};
    rec_status st = mat_init(&from.items, d->n_items, from.factors, err);
    if (st) return st;
    from.n_items = d->n_items;
    for (uint32_t i = 0; i < d->n_items; i++) {
        uint32_t was = model_previous_item(a, i);
        if (was == KEYS_NONE || !bpr_has_factors(bpr_self(a->previous), was)) continue;
        float *row = mat_row(&t->items.w, i);
        memcpy(row, mat_row(&bpr_self(a->previous)->items, was),
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
           bpr_self(previous)->factors == factors &&
           bpr_self(previous)->item_length > 0 && bpr_self(previous)->user_length > 0;
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

rec_status bpr_fit(const model_fit_args *a, rec_model **out, rec_err *err) {
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
