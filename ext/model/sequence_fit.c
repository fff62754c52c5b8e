/* sequence_fit.c - training of `sequence`: what follows each place of each history.
 *
 *     likes of u by time     a b c d e f          window 3, f is kept for validation
 *     pieces                 [a b c d e]  ->      in  a       out  b
 *                                                 in  b c d   out  c d e
 *
 *     forward    E[in] --encoder--> H [n x d]     logits H E' [n x items]     softmax, cross-entropy
 *     backward   dH = G E                         dE = G' H + what comes back through E[in]
 *
 * G is softmax - [target]. The loss decides what these models reach, not the architecture: with all
 * items as counterexamples the same encoder finds the next item half again as often as with one drawn
 * at random (Klenitskiy and Vasilev 2023; Petrov and Macdonald 2023). Logits are made for some rows at
 * a time, so that memory stays bounded; all products go through la_gemm.
 *
 * Stopping. A share of the users with three likes or more keeps its newest like back. After each epoch
 * all items but the history are ranked for them, with ties counted against the model, and NDCG@100 is
 * logged; at 10 it would be 0 for the first epochs of a sparse table. Training stops when it has not risen
 * for `patience` epochs, but not within the first FIT_LEAST_STEPS steps, and the best epoch is what is kept.
 * Few users tell little: the share grows, to a half at most, where it would give fewer than
 * FIT_ENOUGH_ASKED. With fewer than FIT_LEAST_ASKED nothing is kept back, and all epochs are made.
 *
 * A loss that is not a number ends training: the best epoch is kept if there was one, otherwise the
 * error says what to do. A warm start takes vectors and layers of a previous model of the same shape, and
 * makes a fifth of the epochs.
 *
 * Invariants
 *   I1  a piece has 1..window inputs, and each like but a user's first is a target exactly once;
 *   I2  a seed gives the same model for any number of threads.
 *
 * Cost of an epoch: 3 * targets * items * d multiply-adds, and about 36 * blocks * targets * d^2.
 */
#include "sequence.h"

#include <math.h>

#define FIT_DEVIATION    .02
#define FIT_LOGITS       ((size_t)4 << 20) /* made at once */
#define FIT_LEAST_ROWS   16
#define FIT_MOST_ASKED   10000 /* users of the validation */
#define FIT_LEAST_ASKED  32
#define FIT_ASKED_AT     256 /* users that are ranked at once */
#define FIT_ASKED_CUT    100
#define FIT_LEAST_STEPS  800
#define FIT_ENOUGH_ASKED 500
#define FIT_WARM_EPOCHS  .2
#define FIT_RAMP_STEPS   20
#define FIT_EPOCH_STEPS  16 /* few histories still make so many steps an epoch, */
#define FIT_LEAST_BATCH  4  /* down to so many histories a step */

typedef struct piece { /* item[from .. from + n] of the lines: n inputs, n targets */
    size_t from, n;
} piece;

typedef struct fitter {
    sequence *m;
    const model_fit_args *a;
    size_t dim, window, n_items, batch;
    size_t *ptr;    /* [n_users+1] likes of a user by time; owned, as all below */
    uint32_t *item; /* [ptr[n_users]] */
    piece *part;    /* what is learned */
    size_t n_part, cap_part;
    uint32_t *order, *asked; /* of the pieces; users of the validation */
    size_t n_asked;
    nn_table table; /* E, while it is trained */
    mat slope;      /* dE */
    nn_tape tape;
    size_t *bound;                                  /* [batch+1] rows of a batch */
    float *x, *dx, *h, *dh, *logit, *weight, *loss; /* rows of a batch; a block */
    uint32_t *target;
    size_t cap_rows, cap_logit;
    mat best_items;
    float *best_net; /* all parameters of the encoder */
    double best;     /* NDCG of the best epoch; < 0: none yet */
    int best_epoch;
    uint64_t step;
    int epochs;
} fitter;

static void fitter_clear(fitter *f) {
    rec_free(f->ptr);
    rec_free(f->item);
    rec_free(f->part);
    rec_free(f->order);
    rec_free(f->asked);
    nn_table_clear(&f->table);
    mat_clear(&f->slope);
    nn_tape_clear(&f->tape);
    rec_free(f->bound);
    rec_free(f->x);
    rec_free(f->dx);
    rec_free(f->h);
    rec_free(f->dh);
    rec_free(f->logit);
    rec_free(f->weight);
    rec_free(f->loss);
    rec_free(f->target);
    mat_clear(&f->best_items);
    rec_free(f->best_net);
}

/* ---- histories ------------------------------------------------------------------------------ */

static rec_status order_likes(fitter *f, rec_err *err) {
    const dataset *d = f->a->data;
    moment *m = NULL;
    size_t cap = 0, at = 0;
    rec_status st = REC_OK;
    f->ptr = rec_zeros((size_t)d->n_users + 1, sizeof *f->ptr);
    f->item = rec_array(d->n, sizeof *f->item);
    if (!f->ptr || !f->item) return rec_nomem(err);
    for (uint32_t u = 0; !st && u < d->n_users; u++) {
        size_t n = 0;
        st = rec_grow(&m, &cap, d->ptr[u + 1] - d->ptr[u], sizeof *m, err);
        for (size_t j = d->ptr[u]; !st && j < d->ptr[u + 1]; j++)
            if (liked_strength(&f->m->likes, d->weight[j], d->value[j]) > 0)
                m[n++] = moment_of(d->item[j], d->time[j]);
        if (n) moments_sort(m, n);
        for (size_t j = 0; j < n; j++) f->item[at++] = m[j].item;
        f->ptr[u + 1] = at;
    }
    rec_free(m);
    return st;
}

static size_t n_likes(const fitter *f, uint32_t user) {
    return f->ptr[user + 1] - f->ptr[user];
}

static bool is_asked(const fitter *f, uint32_t user, double share) {
    uint64_t x = rec_mix(f->a->seed ^ rec_mix(user));
    return n_likes(f, user) >= 3 && (double)(x >> 11) * 0x1p-53 < share;
}

static size_t count_asked(const fitter *f, double share) {
    size_t n = 0;
    for (uint32_t u = 0; u < f->a->data->n_users; u++) n += is_asked(f, u, share);
    return n;
}

/* The share that the option asks for, within what tells enough and costs little. */
static double share_asked(const fitter *f) {
    double share = opt_num(f->a->options, "validation");
    size_t n = count_asked(f, share);
    if (n > FIT_MOST_ASKED && share < 1)
        return share * (double)FIT_MOST_ASKED / (double)n;
    if (n >= FIT_ENOUGH_ASKED || !(share > 0) || share >= .5) return share;
    double all = (double)count_asked(f, 1) + 1;
    return fmax(share, fmin(.5, FIT_ENOUGH_ASKED / all));
}

static rec_status choose_asked(fitter *f, rec_err *err) {
    double share = share_asked(f);
    size_t n = count_asked(f, share);
    f->asked = rec_array(n, sizeof *f->asked);
    if (!f->asked) return rec_nomem(err);
    for (uint32_t u = 0; n >= FIT_LEAST_ASKED && u < f->a->data->n_users; u++)
        if (is_asked(f, u, share)) f->asked[f->n_asked++] = u;
    return REC_OK;
}

/* Pieces of each user from the newest target back (I1). */
static rec_status cut(fitter *f, rec_err *err) {
    rec_status st = REC_OK;
    size_t next = 0;
    for (uint32_t u = 0; !st && u < f->a->data->n_users; u++) {
        size_t n = n_likes(f, u);
        if (next < f->n_asked && f->asked[next] == u) {
            next++;
            n--;
        }
        for (size_t left = n ? n - 1 : 0; !st && left;) {
            size_t take = left < f->window ? left : f->window;
            left -= take;
            st = rec_grow(&f->part, &f->cap_part, f->n_part + 1, sizeof *f->part, err);
            if (!st) f->part[f->n_part++] = (piece){f->ptr[u] + left, take};
        }
    }
    if (st) return st;
    f->order = rec_array(f->n_part, sizeof *f->order);
    if (!f->order) return rec_nomem(err);
    for (size_t k = 0; k < f->n_part; k++) f->order[k] = (uint32_t)k;
    return REC_OK;
}

/* ---- room -------------------------------------------------------------------------------------- */

/* One allocation after the other, all of the same number of rows. */
static rec_status rows_room(fitter *f, size_t n, rec_err *err) {
    if (n <= f->cap_rows) return REC_OK;
    float **wide[] = {&f->x, &f->dx, &f->h, &f->dh};
    f->cap_rows = 0;
    for (size_t k = 0; k < sizeof wide / sizeof *wide; k++) {
        rec_free(*wide[k]);
        *wide[k] = rec_array(n, f->dim * sizeof(float));
        if (!*wide[k]) return rec_nomem(err);
    }
    rec_free(f->weight);
    rec_free(f->loss);
    rec_free(f->target);
    f->weight = rec_array(n, sizeof *f->weight);
    f->loss = rec_array(n, sizeof *f->loss);
    f->target = rec_array(n, sizeof *f->target);
    if (!f->weight || !f->loss || !f->target) return rec_nomem(err);
    f->cap_rows = n;
    return REC_OK;
}

static size_t block_rows(const fitter *f) {
    size_t n = FIT_LOGITS / f->n_items;
    return n < FIT_LEAST_ROWS ? FIT_LEAST_ROWS : n;
}

static void gather(const fitter *f, const uint32_t *item, size_t n, float *x) {
    for (size_t i = 0; i < n; i++)
        memcpy(x + i * f->dim, mat_row(&f->table.w, item[i]), f->dim * sizeof *x);
}

/* ---- all items against some rows -------------------------------------------------------------- */

/* Items of chunk c of E: [first, first + n). */
static size_t chunk_items(const fitter *f, size_t c, size_t *first) {
    size_t most = (size_t)1 << f->table.w.shift;
    *first = c << f->table.w.shift;
    return f->n_items - *first < most ? f->n_items - *first : most;
}

/* logit[n x items] = h E' */
static rec_status make_logits(fitter *f, const float *h, size_t n, rec_err *err) {
    size_t need;
    if (!rec_mul(n, f->n_items, &need)) return rec_nomem(err);
    rec_status st = rec_grow(&f->logit, &f->cap_logit, need, sizeof *f->logit, err);
    for (size_t c = 0; !st && c < f->table.w.n_chunks; c++) {
        size_t first, m = chunk_items(f, c, &first);
        la_gemm_args p = {.trans_b = true, .m = n, .n = m, .k = f->dim, .alpha = 1};
        p.a = h;
        p.b = f->table.w.chunk[c];
        p.c = f->logit + first;
        p.lda = p.ldb = f->dim;
        p.ldc = f->n_items;
        la_gemm(&p);
    }
    return st;
}

/* dh = G E, dE += G' h, G in place of the logits. */
static void spread_gradient(fitter *f, const float *h, size_t n, float *dh) {
    for (size_t c = 0; c < f->table.w.n_chunks; c++) {
        size_t first, m = chunk_items(f, c, &first);
        la_gemm_args p = {.m = n, .n = f->dim, .k = m, .alpha = 1, .beta = c ? 1 : 0};
        p.a = f->logit + first;
        p.lda = f->n_items;
        p.b = f->table.w.chunk[c];
        p.c = dh;
        p.ldb = p.ldc = f->dim;
        la_gemm(&p);
        la_gemm_args q = {
            .trans_a = true, .m = m, .n = f->dim, .k = n, .alpha = 1, .beta = 1};
        q.a = f->logit + first;
        q.lda = f->n_items;
        q.b = h;
        q.c = f->slope.chunk[c];
        q.ldb = q.ldc = f->dim;
        la_gemm(&q);
    }
}

static rec_status compare(fitter *f, const float *h, size_t n, rec_err *err) {
    rec_status st = REC_OK;
    size_t most = block_rows(f);
    for (size_t at = 0; !st && at < n; at += most) {
        size_t k = n - at < most ? n - at : most;
        st = make_logits(f, h + at * f->dim, k, err);
        if (st) return st;
        nn_softmax_args s = {f->logit,       k,           f->n_items, f->target + at,
                             f->weight + at, f->loss + at};
        st = nn_softmax(&s, f->a->run, err);
        if (!st) spread_gradient(f, h + at * f->dim, k, f->dh + at * f->dim);
        if (!st) st = run_check(f->a->run, err);
    }
    return st;
}

/* ---- a step ------------------------------------------------------------------------------------- */

static rec_status fill_batch(fitter *f, const uint32_t *which, size_t n_piece,
                             rec_err *err) {
    size_t n = 0;
    f->bound[0] = 0;
    for (size_t k = 0; k < n_piece; k++) f->bound[k + 1] = n += f->part[which[k]].n;
    rec_status st = rows_room(f, n, err);
    for (size_t k = 0; !st && k < n_piece; k++) {
        const piece *p = &f->part[which[k]];
        size_t at = f->bound[k];
        gather(f, f->item + p->from, p->n, f->x + at * f->dim);
        memcpy(f->target + at, f->item + p->from + 1, p->n * sizeof *f->target);
    }
    for (size_t i = 0; !st && i < n; i++) f->weight[i] = 1 / (float)n;
    return st;
}

static void add_inputs(fitter *f, const uint32_t *which, size_t n_piece) {
    for (size_t k = 0; k < n_piece; k++) {
        const piece *p = &f->part[which[k]];
        for (size_t i = 0; i < p->n; i++)
            vec_kernels()->axpy(mat_row(&f->slope, f->item[p->from + i]), 1,
                                f->dx + (f->bound[k] + i) * f->dim, f->dim);
    }
}

static rec_status train_step(fitter *f, const uint32_t *which, size_t n_piece,
                             const nn_adam *adam, double *loss, rec_err *err) {
    const float *h;
    rec_run *run = f->a->run;
    rec_status st = fill_batch(f, which, n_piece, err);
    if (st) return st;
    nn_batch b = {.x = f->x,
                  .ptr = f->bound,
                  .n_seq = n_piece,
                  .dropout = (float)opt_num(f->a->options, "dropout"),
                  .seed = rec_mix(f->a->seed ^ rec_mix(f->step++))};
    size_t n = f->bound[n_piece];
    for (size_t c = 0; c < f->slope.n_chunks; c++) {
        size_t first, m = chunk_items(f, c, &first);
        memset(f->slope.chunk[c], 0, m * f->dim * sizeof(float));
    }
    st = nn_encoder_forward(&f->m->net, &b, &f->tape, &h, run, err);
    if (!st) st = compare(f, h, n, err);
    if (!st) st = nn_encoder_backward(&f->m->net, &b, &f->tape, f->dh, f->dx, run, err);
    if (st) return st;
    for (size_t i = 0; i < n; i++) *loss += (double)f->loss[i] * (double)n;
    add_inputs(f, which, n_piece);
    nn_encoder_step(&f->m->net, adam);
    return nn_table_step_all(&f->table, &f->slope, adam, run, err);
}

/* ---- validation ----------------------------------------------------------------------------------- */

/* 1 / log2(1 + place) of the newest like of a user, whose logits may be spoilt; 0 beyond the cut. */
static double gain_of(const fitter *f, uint32_t user, float *logit) {
    uint32_t want = f->item[f->ptr[user + 1] - 1];
    float own = logit[want];
    size_t before = 0;
    for (size_t j = f->ptr[user]; j < f->ptr[user + 1]; j++)
        logit[f->item[j]] = -INFINITY;
    for (size_t i = 0; i < f->n_items; i++) before += !(logit[i] < own);
    return before < FIT_ASKED_CUT ? 1 / log2((double)before + 2) : 0;
}

static rec_status ask_some(fitter *f, const uint32_t *user, size_t n, double *sum,
                           rec_err *err) {
    const float *out;
    size_t bound[FIT_ASKED_AT + 1] = {0};
    for (size_t k = 0; k < n; k++) {
        size_t len = n_likes(f, user[k]) - 1;
        bound[k + 1] = bound[k] + (len < f->window ? len : f->window);
    }
    rec_status st = rows_room(f, bound[n], err);
    if (st) return st;
    for (size_t k = 0; k < n; k++) {
        size_t len = bound[k + 1] - bound[k];
        gather(f, f->item + f->ptr[user[k] + 1] - 1 - len, len,
               f->x + bound[k] * f->dim);
    }
    nn_batch b = {.x = f->x, .ptr = bound, .n_seq = n};
    st = nn_encoder_forward(&f->m->net, &b, &f->tape, &out, f->a->run, err);
    for (size_t k = 0; !st && k < n; k++)
        memcpy(f->h + k * f->dim, out + (bound[k + 1] - 1) * f->dim,
               f->dim * sizeof *f->h);
    size_t most = block_rows(f);
    for (size_t at = 0; !st && at < n; at += most) {
        size_t k = n - at < most ? n - at : most;
        st = make_logits(f, f->h + at * f->dim, k, err);
        for (size_t i = 0; !st && i < k; i++)
            *sum += gain_of(f, user[at + i], f->logit + i * f->n_items);
        if (!st) st = run_check(f->a->run, err);
    }
    return st;
}

/* NAN without users to ask. */
static rec_status ask(fitter *f, double *ndcg, rec_err *err) {
    double sum = 0;
    rec_status st = REC_OK;
    for (size_t at = 0; !st && at < f->n_asked; at += FIT_ASKED_AT) {
        size_t n = f->n_asked - at;
        st = ask_some(f, f->asked + at, n < FIT_ASKED_AT ? n : FIT_ASKED_AT, &sum, err);
    }
    *ndcg = f->n_asked ? sum / (double)f->n_asked : NAN;
    return st;
}

/* ---- the best epoch ------------------------------------------------------------------------------- */

/* All parameters of the encoder to or from one array. */
static void copy_net(nn_encoder *net, float *flat, bool is_out) {
    nn_param *p[NN_MAX_PARAMS];
    size_t n = nn_encoder_params(net, p);
    for (size_t k = 0; k < n; flat += p[k++]->n)
        memcpy(is_out ? flat : p[k]->w, is_out ? p[k]->w : flat,
               p[k]->n * sizeof *flat);
}

static void copy_items(const mat *from, mat *to) {
    for (size_t i = 0; i < from->n_rows; i++)
        memcpy(mat_row(to, i), mat_row(from, i), from->dim * sizeof(float));
}

static rec_status best_room(fitter *f, rec_err *err) {
    nn_param *p[NN_MAX_PARAMS];
    size_t n = nn_encoder_params(&f->m->net, p), n_float = 0;
    for (size_t k = 0; k < n; k++) n_float += p[k]->n;
    f->best_net = rec_array(n_float, sizeof *f->best_net);
    if (!f->best_net) return rec_nomem(err);
    return mat_init(&f->best_items, f->n_items, (uint32_t)f->dim, err);
}

static void keep_best(fitter *f, int epoch, double ndcg) {
    if (!(ndcg > f->best)) return;
    f->best = ndcg;
    f->best_epoch = epoch;
    copy_net(&f->m->net, f->best_net, true);
    copy_items(&f->table.w, &f->best_items);
}

static void restore_best(fitter *f) {
    if (f->best < 0) return;
    copy_net(&f->m->net, f->best_net, false);
    copy_items(&f->best_items, &f->table.w);
}

/* ---- the loop ------------------------------------------------------------------------------------- */

static rec_status train_epoch(fitter *f, int epoch, double *loss, rec_err *err) {
    nn_adam adam = NN_ADAM_USUAL((float)opt_num(f->a->options, "rate"));
    float rate = adam.rate;
    size_t n_target = 0;
    rec_status st = REC_OK;
    rng r;
    rng_seed(&r, ~f->a->seed, (uint64_t)epoch);
    rng_shuffle_u32(&r, f->order, f->n_part);
    *loss = 0;
    for (size_t at = 0; !st && at < f->n_part; at += f->batch) {
        size_t n = f->n_part - at < f->batch ? f->n_part - at : f->batch;
        adam.rate = rate * (float)fmin(1, (double)(f->step + 1) / FIT_RAMP_STEPS);
        st = train_step(f, f->order + at, n, &adam, loss, err);
        n_target += f->bound[n];
    }
    *loss = n_target ? *loss / (double)n_target : NAN;
    return st;
}

static rec_status train_epochs(fitter *f, rec_err *err) {
    int epochs = f->epochs, patience = (int)opt_num(f->a->options, "patience");
    double start = rec_seconds(), loss = NAN, ndcg = NAN;
    rec_status st = REC_OK;
    run_progress(f->a->run, "sequence", 0);
    for (int e = 1; !st && f->n_part && e <= epochs; e++) {
        st = train_epoch(f, e, &loss, err);
        if (st) return st;
        if (!isfinite(loss)) {
            if (f->best >= 0) break;
            return rec_fail(
                err, REC_RANGE,
                "sequence: the loss of epoch %d is no number; lower rate=", e);
        }
        st = ask(f, &ndcg, err);
        if (st) return st;
        keep_best(f, e, ndcg);
        rec_log_row row = {.phase = "sequence",
                           .epoch = e,
                           .loss = loss,
                           .metric = f->n_asked ? "ndcg@100" : NULL,
                           .value = ndcg,
                           .seconds = rec_seconds() - start};
        run_log(f->a->run, &row);
        run_progress(f->a->run, "sequence", (double)e / epochs);
        if (f->n_asked && e - f->best_epoch >= patience && f->step >= FIT_LEAST_STEPS)
            break;
    }
    restore_best(f);
    return st;
}

/* ---- beginning -------------------------------------------------------------------------------------- */

static const sequence *earlier(const fitter *f) {
    const sequence *p = (const sequence *)f->a->previous;
    if (!p || p->base.ops != &sequence_ops) return NULL;
    const nn_encoder_shape *s = &p->net.shape, *t = &f->m->net.shape;
    bool is_same = s->dim == t->dim && s->n_heads == t->n_heads &&
                   s->n_blocks == t->n_blocks && s->window == t->window;
    return is_same ? p : NULL;
}

static void start_from(fitter *f, const sequence *from) {
    nn_encoder net = from->net; /* the list wants to write */
    nn_param *was[NN_MAX_PARAMS], *now[NN_MAX_PARAMS];
    size_t n = nn_encoder_params(&net, was);
    nn_encoder_params(&f->m->net, now);
    for (size_t k = 0; k < n; k++)
        memcpy(now[k]->w, was[k]->w, now[k]->n * sizeof(float));
    for (uint32_t i = 0; i < f->n_items; i++) {
        uint32_t before = model_previous_item(f->a, i);
        if (before != KEYS_NONE)
            memcpy(mat_row(&f->table.w, i), mat_row(&from->items, before),
                   f->dim * sizeof(float));
    }
}

static rec_status fitter_init(fitter *f, sequence *m, const model_fit_args *a,
                              rec_err *err) {
    const model_options *o = a->options;
    *f = (fitter){.m = m,
                  .a = a,
                  .dim = (size_t)opt_num(o, "factors"),
                  .window = (size_t)opt_num(o, "window"),
                  .batch = (size_t)opt_num(o, "batch"),
                  .n_items = a->data->n_items,
                  .best = -1};
    nn_encoder_shape shape = {.dim = (uint32_t)f->dim,
                              .n_heads = (uint32_t)opt_num(o, "heads"),
                              .n_blocks = (uint32_t)opt_num(o, "layers"),
                              .window = (uint32_t)f->window};
    rng r;
    rng_seed(&r, a->seed, 3);
    if (f->dim % shape.n_heads)
        return rec_fail(err, REC_RANGE, "factors=%zu is not a multiple of heads=%u",
                        f->dim, shape.n_heads);
    rec_status st = nn_encoder_init(&m->net, &shape, &r, err);
    if (!st)
        st = nn_table_init(&f->table, f->n_items, shape.dim, FIT_DEVIATION,
                           rec_mix(a->seed), err);
    if (!st) st = mat_init(&f->slope, f->n_items, shape.dim, err);
    if (!st) st = order_likes(f, err);
    if (!st) st = choose_asked(f, err);
    if (!st) st = cut(f, err);
    if (!st) st = best_room(f, err);
    if (st) return st;
    size_t few = f->n_part / FIT_EPOCH_STEPS;
    if (few < FIT_LEAST_BATCH) few = FIT_LEAST_BATCH;
    if (f->batch > few) f->batch = few;
    f->bound = rec_array(f->batch + 1, sizeof *f->bound);
    if (!f->bound) return rec_nomem(err);
    const sequence *from = earlier(f);
    double epochs = opt_num(o, "epochs");
    f->epochs = (int)(from ? ceil(epochs * FIT_WARM_EPOCHS) : epochs);
    if (from) start_from(f, from);
    return REC_OK;
}

rec_status sequence_train(sequence *m, const model_fit_args *a, rec_err *err) {
    fitter f;
    rec_status st = fitter_init(&f, m, a, err);
    if (!st) st = train_epochs(&f, err);
    if (!st) {
        m->items = f.table.w;
        memset(&f.table.w, 0, sizeof f.table.w);
    }
    fitter_clear(&f);
    return st;
}
