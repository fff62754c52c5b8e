/* embedding_fit.c - training for models in which a user is the sum of what they like.
 *
 * Each step takes some users, hides a share of each one's likes (targets), and asks that the sum of the
 * others point to the hidden ones rather than to those hidden from the rest of the batch:
 *
 *     likes of u      a b c d e f         hidden  c f          x_u = z_a + z_b + z_d + z_e
 *
 *     loss = sum over hidden t of  -log  e^(cos(x_u, z_t) / T)
 *                                        -----------------------------------------------------------
 *                                        the same + sum over candidates c of e^(cos(x_u, z_c) / T) / q_c
 *
 * Candidates are the items that are hidden for anybody in the batch. Those that u likes (accidental
 * hits) do not compete. Popular items are candidates more often than others; q_c, the chance that c
 * is one, undoes that, so that the sum stands for all items (softmax.c). It is part of training
 * alone. To the cosines, here and where models are used, what an item's popularity is worth is added
 * (embedding.c): directions then need not spend themselves on what everybody likes, which lifts Recall@20 on
 * the held-out tenths of Gowalla's histories from .162 to .174 (two_tower, factors=64, 10 epochs).
 *
 * Two things make it cheap. A target is predicted by a history that does not hold it, as at query
 * time, so nothing like weights of a thousand epochs is needed to unlearn that items resemble
 * themselves. And the wrong candidates of a user are summed once for all of the user's targets: an
 * epoch costs users x candidates products, not likes x candidates.
 *
 * How vectors come about is the owner's: `forward` gives those of a batch's items, `backward` takes
 * their gradients.
 *
 *     choose -> forward -> sums, unit length -> logits -> softmax -> gradients by item -> backward
 *
 * Invariants
 *   I1  every user of a batch has at least one target and one like that is none;
 *   I2  is_target is 0 everywhere, place is KEYS_NONE everywhere between batches;
 *   I3  the gradient of item b->item[k] is row k of the sums.
 *
 * Cost of a batch of n users and m candidates: 3 n m factors in three products, n m exponentials.
 */
#include "embedding.h"

#include <math.h>

#define FIT_LAST_RATE   .05 /* share of the learning rate left at the end */
#define FIT_RAMP_STEPS  20  /* the first steps are smaller: moments are not known yet */
#define FIT_WARM_EPOCHS .2
#define FIT_WARM_RATE   .3
/* Few users still make this many steps an epoch, down to this many users a step. */
#define FIT_EPOCH_STEPS    16
#define FIT_LEAST_BATCH    16
#define FIT_MAX_CANDIDATES 16384
#define FIT_PIECE          64 /* users in a piece of the parallel loop */
#define FIT_LEAST_CHANCE   1e-12
/* Share of popularity that training counts with. What is learned of likes that were there to be
 * seen holds less for likes to come, so that popularity weighs more where it is used. */
#define FIT_PRIOR_SHARE .75

typedef struct fitter {
    const embedding_fit_args *a;
    const embedding_net *net;
    const liked *likes;
    size_t dim, batch, n_order;
    double share, temperature, popularity;
    uint32_t *order; /* users that can be learned from, shuffled; owned, as all below */
    uint8_t *is_target; /* [likes->n] */
    uint32_t *place;    /* [n_items] place in `item` */
    float *log_chance;  /* [n_items] that the item is a candidate */
    uint32_t *item;     /* of the batch */
    float *row, *unit,
        *slope; /* [n_item x dim] vectors; unit and gradient: candidates */
    float *sum, *user, *pull; /* [n_user x dim] sum of likes, unit length, gradient */
    float *logit;             /* [n_user x n_candidate] */
    float *log_q, *prior, *weight, *loss;
    size_t *ptr; /* [n_user+1] into col and weight: candidates that the user likes */
    uint32_t *col;
    size_t cap_item, cap_row, cap_unit, cap_slope, cap_logit, cap_log_q, cap_prior,
        cap_weight, cap_col;
    nn_grad grad;
    mat source; /* gradients of users, then of candidates */
    embedding_batch b;
} fitter;

static void fitter_clear(fitter *f) {
    rec_free(f->order);
    rec_free(f->is_target);
    rec_free(f->place);
    rec_free(f->log_chance);
    rec_free(f->item);
    rec_free(f->row);
    rec_free(f->unit);
    rec_free(f->slope);
    rec_free(f->sum);
    rec_free(f->user);
    rec_free(f->pull);
    rec_free(f->logit);
    rec_free(f->log_q);
    rec_free(f->prior);
    rec_free(f->weight);
    rec_free(f->loss);
    rec_free(f->ptr);
    rec_free(f->col);
    nn_grad_clear(&f->grad);
    mat_clear(&f->source);
}

/* ---- which likes are hidden --------------------------------------------------------------- */

/* Share of a user's likes that are hidden in a step: fewer of a very long history, so that the
 * candidates of a batch stay within bounds. */
static double share_of(const fitter *f, size_t n_likes) {
    double most = (double)(FIT_MAX_CANDIDATES / f->batch);
    return fmin(f->share, most / (double)n_likes);
}

/* log q: an item that is hidden lambda times in a batch on average is hidden at least once with
 * chance 1 - e^-lambda. */
static void count_chances(fitter *f) {
    const liked *l = f->likes;
    for (size_t k = 0; k < f->n_order; k++) {
        uint32_t u = f->order[k];
        double share = share_of(f, l->ptr[u + 1] - l->ptr[u]);
        for (size_t j = l->ptr[u]; j < l->ptr[u + 1]; j++)
            f->log_chance[l->item[j]] += (float)share;
    }
    double batches = f->n_order ? (double)f->batch / (double)f->n_order : 0;
    if (batches > 1) batches = 1;
    for (size_t i = 0; i < l->n_items; i++)
        f->log_chance[i] = (float)log(
            fmax(-expm1(-(double)f->log_chance[i] * batches), FIT_LEAST_CHANCE));
}

static void hide_likes(fitter *f, uint32_t user, rng *r) {
    size_t from = f->likes->ptr[user], n = f->likes->ptr[user + 1] - from, n_hidden = 0;
    double share = share_of(f, n);
    for (size_t j = 0; j < n; j++)
        n_hidden += f->is_target[from + j] = rng_unit(r) < share;
    uint32_t any = rng_below(r, (uint32_t)n);
    if (n_hidden == 0) f->is_target[from + any] = 1; /* I1 */
    if (n_hidden == n) f->is_target[from + any] = 0;
}

static void place_item(fitter *f, uint32_t item) {
    if (f->place[item] != KEYS_NONE) return;
    f->place[item] = (uint32_t)f->b.n_item;
    f->item[f->b.n_item++] = item;
}

/* Targets first, then what only stands in histories, in the order of the likes (I3). */
static rec_status choose(fitter *f, rec_err *err) {
    const liked *l = f->likes;
    size_t n = 0;
    rng r;
    rng_seed(&r, f->a->seed ^ rec_mix(f->b.number), 1);
    for (size_t k = 0; k < f->b.n_user; k++)
        n += l->ptr[f->b.user[k] + 1] - l->ptr[f->b.user[k]];
    if (n > l->n_items) n = l->n_items;
    rec_status st = rec_grow(&f->item, &f->cap_item, n, sizeof *f->item, err);
    if (st) return st;
    f->b.item = f->item;
    f->b.n_item = 0;
    for (size_t k = 0; k < f->b.n_user; k++) {
        uint32_t u = f->b.user[k];
        hide_likes(f, u, &r);
        for (size_t j = l->ptr[u]; j < l->ptr[u + 1]; j++)
            if (f->is_target[j]) place_item(f, l->item[j]);
    }
    f->b.n_candidate = f->b.n_item;
    for (size_t k = 0; k < f->b.n_user; k++) {
        uint32_t u = f->b.user[k];
        for (size_t j = l->ptr[u]; j < l->ptr[u + 1]; j++)
            if (!f->is_target[j]) place_item(f, l->item[j]);
    }
    return REC_OK;
}

static void forget(fitter *f) { /* I2 */
    const liked *l = f->likes;
    for (size_t k = 0; k < f->b.n_user; k++) {
        uint32_t u = f->b.user[k];
        memset(f->is_target + l->ptr[u], 0, l->ptr[u + 1] - l->ptr[u]);
    }
    for (size_t k = 0; k < f->b.n_item; k++) f->place[f->item[k]] = KEYS_NONE;
}

/* ---- a step ---------------------------------------------------------------------------------- */

static rec_status grow_floats(float **p, size_t *cap, size_t n, size_t dim,
                              rec_err *err) {
    size_t need;
    if (!rec_mul(n, dim, &need)) return rec_nomem(err);
    return rec_grow(p, cap, need, sizeof **p, err);
}

static rec_status make_room(fitter *f, rec_err *err) {
    size_t n = f->b.n_user, m = f->b.n_candidate, n_like = 0;
    for (size_t k = 0; k < n; k++)
        n_like += f->likes->ptr[f->b.user[k] + 1] - f->likes->ptr[f->b.user[k]];
    rec_status st = grow_floats(&f->row, &f->cap_row, f->b.n_item, f->dim, err);
    if (!st) st = grow_floats(&f->unit, &f->cap_unit, m, f->dim, err);
    if (!st) st = grow_floats(&f->slope, &f->cap_slope, m, f->dim, err);
    if (!st) st = grow_floats(&f->logit, &f->cap_logit, n, m, err);
    if (!st) st = rec_grow(&f->log_q, &f->cap_log_q, m, sizeof *f->log_q, err);
    if (!st) st = rec_grow(&f->prior, &f->cap_prior, m, sizeof *f->prior, err);
    if (!st) st = rec_grow(&f->weight, &f->cap_weight, n_like, sizeof *f->weight, err);
    if (!st) st = rec_grow(&f->col, &f->cap_col, n_like, sizeof *f->col, err);
    if (!st) st = nn_grad_begin(&f->grad, n_like + m, err);
    if (!st && f->source.n_rows < n + m) st = mat_resize(&f->source, n + m, err);
    return st;
}

static rec_status sum_users(void *ctx, size_t begin, size_t end, int worker,
                            rec_err *err) {
    fitter *f = ctx;
    const liked *l = f->likes;
    (void)worker, (void)err;
    for (size_t k = begin; k < end; k++) {
        float *x = f->sum + k * f->dim;
        uint32_t u = f->b.user[k];
        memset(x, 0, f->dim * sizeof *x);
        for (size_t j = l->ptr[u]; j < l->ptr[u + 1]; j++)
            if (!f->is_target[j])
                vec_kernels()->axpy(x, l->strength[j],
                                    f->row + f->place[l->item[j]] * f->dim, f->dim);
    }
    return REC_OK;
}

/* Which candidates each user likes: targets with their strength, accidental hits with 0. A user counts
 * as the root of the number of their targets, or the longest histories would decide everything. */
static void list_right(fitter *f) {
    const liked *l = f->likes;
    size_t n = 0;
    for (size_t k = 0; k < f->b.n_user; k++) {
        uint32_t u = f->b.user[k];
        size_t n_target = 0;
        for (size_t j = l->ptr[u]; j < l->ptr[u + 1]; j++) n_target += f->is_target[j];
        float share = 1 / sqrtf((float)n_target); /* I1 */
        f->ptr[k] = n;
        for (size_t j = l->ptr[u]; j < l->ptr[u + 1]; j++) {
            if (f->place[l->item[j]] >= f->b.n_candidate) continue;
            f->col[n] = f->place[l->item[j]];
            f->weight[n++] = f->is_target[j] ? share * l->strength[j] : 0;
        }
    }
    f->ptr[f->b.n_user] = n;
    for (size_t c = 0; c < f->b.n_candidate; c++) {
        uint32_t item = f->item[c];
        float prior = embedding_prior(f->popularity, l->degree[item]);
        f->log_q[c] = f->log_chance[item];
        f->prior[c] = (float)(FIT_PRIOR_SHARE / f->temperature) * prior;
    }
}

/* logits = cosines / T; after the softmax, gradients of both sides. */
static rec_status compare(fitter *f, double *loss, rec_err *err) {
    size_t n = f->b.n_user, m = f->b.n_candidate, dim = f->dim;
    float scale = (float)(1 / f->temperature);
    nn_unit_forward(f->sum, n, dim, f->user);
    nn_unit_forward(f->row, m, dim, f->unit);
    la_gemm_args to_logit = {false,   true,    n,        m,   dim, scale, 0,
                             f->user, f->unit, f->logit, dim, dim, m};
    la_gemm(&to_logit);
    nn_sampled_args s = {f->logit,  n,        m,       f->ptr,  f->col,
                         f->weight, f->log_q, f->loss, f->prior};
    rec_status st = nn_sampled_softmax(&s, f->a->run, err);
    if (st) return st;
    for (size_t k = 0; k < n; k++) *loss += (double)f->loss[k];
    la_gemm_args to_user = {false,    false,   n,       dim, m,   scale, 0,
                            f->logit, f->unit, f->pull, m,   dim, dim};
    la_gemm(&to_user);
    la_gemm_args to_item = {true,     false,   m,        dim, n,   scale, 0,
                            f->logit, f->user, f->slope, m,   dim, dim};
    la_gemm(&to_item);
    nn_unit_backward(f->sum, f->pull, n, dim, f->pull);
    nn_unit_backward(f->row, f->slope, m, dim, f->slope);
    return run_check(f->a->run, err);
}

static rec_status sum_gradients(fitter *f, rec_err *err) {
    const liked *l = f->likes;
    size_t n = f->b.n_user, m = f->b.n_candidate, at = m;
    for (size_t k = 0; k < n; k++)
        memcpy(mat_row(&f->source, k), f->pull + k * f->dim, f->dim * sizeof(float));
    for (size_t c = 0; c < m; c++) {
        memcpy(mat_row(&f->source, n + c), f->slope + c * f->dim,
               f->dim * sizeof(float));
        f->grad.entry[c] = (nn_entry){(uint32_t)c, (uint32_t)(n + c), 1};
    }
    for (size_t k = 0; k < n; k++) {
        uint32_t u = f->b.user[k];
        for (size_t j = l->ptr[u]; j < l->ptr[u + 1]; j++)
            if (!f->is_target[j])
                f->grad.entry[at++] =
                    (nn_entry){f->place[l->item[j]], (uint32_t)k, l->strength[j]};
    }
    f->grad.n = at;
    return nn_grad_sum(&f->grad, &f->source, f->a->run, err);
}

static rec_status step(fitter *f, const nn_adam *adam, double *loss, rec_err *err) {
    rec_status st = choose(f, err);
    if (!st) st = make_room(f, err);
    if (!st) st = f->net->forward(f->net->ctx, &f->b, f->row, err);
    if (!st) st = threads_for(f->a->run, f->b.n_user, FIT_PIECE, sum_users, f, err);
    if (!st) {
        list_right(f);
        st = compare(f, loss, err);
    }
    if (!st) st = sum_gradients(f, err);
    if (!st) st = f->net->backward(f->net->ctx, &f->b, &f->grad, adam, err);
    forget(f);
    f->b.number++;
    return st;
}

/* ---- the loop --------------------------------------------------------------------------------- */

static rec_status fitter_init(fitter *f, const embedding_fit_args *a,
                              const embedding_net *net, rec_err *err) {
    const liked *l = a->likes;
    size_t dim = (size_t)opt_num(a->options, "factors");
    *f = (fitter){.a = a,
                  .net = net,
                  .likes = l,
                  .dim = dim,
                  .batch = (size_t)opt_num(a->options, "batch"),
                  .share = opt_num(a->options, "targets"),
                  .temperature = opt_num(a->options, "temperature"),
                  .popularity = opt_num(a->options, "popularity")};
    f->order = rec_array(l->n_users, sizeof *f->order);
    if (!f->order) return rec_nomem(err);
    for (uint32_t u = 0; u < l->n_users; u++)
        if (l->ptr[u + 1] - l->ptr[u] > 1) f->order[f->n_order++] = u;
    size_t few = f->n_order / FIT_EPOCH_STEPS;
    if (few < FIT_LEAST_BATCH) few = FIT_LEAST_BATCH;
    if (f->batch > few) f->batch = few;
    f->is_target = rec_zeros(l->n, 1);
    f->place = rec_array(l->n_items, sizeof *f->place);
    f->log_chance = rec_zeros(l->n_items, sizeof *f->log_chance);
    f->sum = rec_array(f->batch * dim, sizeof *f->sum);
    f->user = rec_array(f->batch * dim, sizeof *f->user);
    f->pull = rec_array(f->batch * dim, sizeof *f->pull);
    f->loss = rec_array(f->batch, sizeof *f->loss);
    f->ptr = rec_array(f->batch + 1, sizeof *f->ptr);
    if (!f->is_target || !f->place || !f->log_chance || !f->sum || !f->user ||
        !f->pull || !f->loss || !f->ptr)
        return rec_nomem(err);
    for (size_t i = 0; i < l->n_items; i++) f->place[i] = KEYS_NONE;
    f->b = (embedding_batch){.likes = l, .is_target = f->is_target};
    count_chances(f);
    rec_status st = nn_grad_init(&f->grad, l->n_items, (uint32_t)dim, err);
    return st ? st : mat_init(&f->source, 0, (uint32_t)dim, err);
}

static rec_status train_epochs(fitter *f, int epochs, nn_adam adam, rec_err *err) {
    const double pi = 3.14159265358979;
    double start = rec_seconds(), rate = adam.rate;
    size_t per_epoch = f->batch ? (f->n_order + f->batch - 1) / f->batch : 0;
    rec_status st = REC_OK;
    run_progress(f->a->run, f->a->phase, 0);
    for (int e = 1; !st && e <= epochs; e++) {
        double loss = 0;
        rng r;
        rng_seed(&r, ~f->a->seed, (uint64_t)e);
        rng_shuffle_u32(&r, f->order, f->n_order);
        for (size_t at = 0; !st && at < f->n_order; at += f->b.n_user) {
            double done = (double)f->b.number / (double)(per_epoch * (size_t)epochs);
            double ramp = fmin(1, (double)(f->b.number + 1) / FIT_RAMP_STEPS);
            double fall =
                FIT_LAST_RATE + (1 - FIT_LAST_RATE) * (.5 + .5 * cos(pi * done));
            size_t left = f->n_order - at;
            f->b.user = f->order + at;
            f->b.n_user = left < f->batch ? left : f->batch;
            adam.rate = (float)(rate * ramp * fall);
            st = step(f, &adam, &loss, err);
        }
        if (st) break;
        rec_log_row row = {.phase = f->a->phase,
                           .epoch = e,
                           .loss = f->n_order ? loss / (double)f->n_order : NAN,
                           .value = NAN,
                           .seconds = rec_seconds() - start};
        run_log(f->a->run, &row);
        run_progress(f->a->run, f->a->phase, (double)e / epochs);
    }
    return st;
}

rec_status embedding_train(const embedding_fit_args *a, const embedding_net *net,
                           rec_err *err) {
    fitter f;
    int epochs = (int)opt_num(a->options, "epochs");
    nn_adam adam = NN_ADAM_USUAL((float)opt_num(a->options, "rate"));
    adam.decay = (float)opt_num(a->options, "decay");
    if (a->is_warm) {
        epochs = (int)ceil(epochs * FIT_WARM_EPOCHS);
        adam.rate *= (float)FIT_WARM_RATE;
    }
    rec_status st = fitter_init(&f, a, net, err);
    if (!st) st = train_epochs(&f, epochs, adam, err);
    fitter_clear(&f);
    return st;
}

/* ---- a model ------------------------------------------------------------------------------------ */

rec_status embedding_fit(const rec_model_ops *ops, size_t nbyte, embedding_fit_into fit,
                         const model_fit_args *a, rec_model **out, rec_err *err) {
    liked likes;
    *out = NULL;
    rec_status st = liked_init(&likes, a->data, err);
    if (st) return st;
    embedding *e = embedding_new(ops, nbyte, err);
    if (e) e->likes = likes.rule;
    st = e ? fit(&e->base, a, &likes, err) : REC_NOMEM;
    liked_clear(&likes);
    if (!st && embedding_check(&e->base, NULL))
        st = rec_fail(err, REC_RANGE,
                      "%s: training left the range of numbers; lower rate=", ops->name);
    if (!st)
        *out = &e->base;
    else if (e)
        ops->close(&e->base);
    return st;
}
