/* als.c - weighted matrix factorisation by alternating least squares.
 *
 *     user u = x_u, item i = y_i, both in R^d;   score(u, i) = x_u . y_i
 *
 * Implicit (Hu, Koren, Volinsky 2008, in the form of Rendle et al. 2021, "Revisiting the
 * Performance of iALS"): everything that a user did not touch counts as a weak 0,
 *
 *     sum_seen w_ui (p_ui - x_u.y_i)^2  +  alpha0 sum_all (x_u.y_i)^2
 *       + lambda sum_u (n_u + alpha0 |I|)^nu |x_u|^2  +  the same for items
 *
 * with p = 1 for a liked item and 0 for a disliked one (a negative weight w counts as |w| that
 * the user would not have it). Weights are divided by their mean, so that seconds watched and
 * numbers of purchases need no other settings. Hu and Koren's c = 1 + alpha r is the same family:
 * alpha=40 sets alpha0 = 1/40, keeps weights as they are and adds alpha0 to them on the right
 * side, which is their objective divided by alpha.
 *
 * Explicit: ratings are standardised to z = (r - mean) / deviation and
 *
 *     sum_rated w (z - b_u - b_i - x_u.y_i)^2 + lambda sum_u W_u (|x_u|^2 + b_u^2) + items
 *
 * (W_u: the user's sum of weights, Zhou et al. 2008). The score is in rating units. lambda W_u
 * grows with the evidence and so never tells one enthusiast from a hundred; `damping`, added to
 * every row's penalty, draws rows with few ratings to the mean. Without it the top of every list
 * is films that one person rated 5; the error on held-out ratings falls as well.
 *
 *     items Y --axes--> users given items --axes--> items given users     one epoch
 *
 * An epoch ends with the items, and only they are kept: a user is folded in at query time by the
 * routine that the epochs use, so the vector of a user of the training data is exactly what the
 * next half-epoch would have given.
 *
 * Invariants
 *   I1  items' items is diagonal (principal axes); spectrum = alpha0 times that diagonal.
 *   I2  item_scale is 0 exactly for items without training rows; their factors are 0.
 *   I3  all stored numbers are finite, spectrum >= 0, lambda > 0, deviation > 0.
 *
 * Stored: u32 version, feedback, n_items, factors; f64 alpha0, extra, lambda, nu, user_scale,
 * damping, mean, deviation; f32 spectrum[factors], item_scale[n_items], explicit: bias[n_items]; mat
 * items. Cost per epoch: als_solve.c, and three products of n x d x d.
 */
#include "model.h"

#include <math.h>

#define ALS_VERSION            1
#define ALS_MIN_FACTORS        1
#define ALS_MAX_FACTORS        1024
#define ALS_MIN_LAMBDA         1e-6
#define ALS_MAX_LAMBDA         1e6
#define ALS_LAMBDA_IMPLICIT    .01
#define ALS_ALPHA0_PER_DENSITY 12
#define ALS_ALPHA0_LEAST       .005
#define ALS_ALPHA0_MOST        .3
#define ALS_LAMBDA_EXPLICIT    .1
#define ALS_MAX_RATING         1e31 /* signal.c refuses values beyond 1e30 */
#define ALS_INIT_DEVIATION     .1   /* over sqrt(factors) */
/* Multiply-adds in a piece of the parallel loop: a few milliseconds. */
#define ALS_PIECE_WORK ((size_t)1 << 21)

typedef struct als {
    rec_model base;
    feedback_kind feedback;
    uint32_t n_items, factors;
    double alpha0, extra, lambda, nu, user_scale; /* extra: Hu and Koren's addition */
    double damping;                               /* explicit; 0 when implicit */
    double mean, deviation; /* of ratings; 0 and 1 when implicit */
    float *spectrum;        /* [factors] owned */
    float *item_scale;      /* [n_items] owned: confidence per weight */
    float *bias;            /* [n_items] owned; NULL when implicit */
    mat items;              /* n_items x factors */
} als;

static const als *self(const rec_model *m) {
    return (const als *)m;
}

static bool is_explicit(const als *m) {
    return m->feedback == FEEDBACK_EXPLICIT;
}

static void als_close(rec_model *m) {
    als *a = (als *)m;
    if (!a) return;
    rec_free(a->spectrum);
    rec_free(a->item_scale);
    rec_free(a->bias);
    mat_clear(&a->items);
    rec_free(a);
}

/* Without the factor matrix. */
static als *als_new(feedback_kind feedback, uint32_t n_items, uint32_t factors,
                    rec_err *err) {
    als *m = rec_zeros(1, sizeof *m);
    if (!m) {
        rec_nomem(err);
        return NULL;
    }
    m->base.ops = &als_ops;
    m->feedback = feedback;
    m->n_items = n_items;
    m->factors = factors;
    m->deviation = 1;
    m->spectrum = rec_zeros(factors, sizeof *m->spectrum);
    m->item_scale = rec_zeros(n_items, sizeof *m->item_scale);
    if (is_explicit(m)) m->bias = rec_zeros(n_items, sizeof *m->bias);
    if (m->spectrum && m->item_scale && (m->bias || !is_explicit(m))) return m;
    als_close(&m->base);
    rec_nomem(err);
    return NULL;
}

/* ---- half an epoch -------------------------------------------------------------------------- */

typedef struct half_job {
    const als_half *h;
    mat *solved;
    float *bias;
    double *loss;
    als_scratch *scratch; /* one a worker */
} half_job;

/* What the history would cost if x were 0. */
static double loss_at_zero(const als_half *h, size_t begin, size_t end) {
    double sum = 0;
    for (size_t j = begin; j < end; j++) {
        double w = fabsf(h->weight[j]);
        if (h->target) {
            double t = h->target[j] - h->task.bias[h->row[j]];
            sum += w * t * t;
        } else if (h->weight[j] > 0)
            sum += w + h->task.extra;
    }
    return sum;
}

static rec_status half_piece(void *ctx, size_t begin, size_t end, int worker,
                             rec_err *err) {
    half_job *job = ctx;
    const als_half *h = job->h;
    als_scratch *s = &job->scratch[worker];
    uint32_t dim = job->solved->dim;
    float x[ALS_MAX_FACTORS + 1];
    (void)err;
    for (size_t i = begin; i < end; i++) {
        size_t from = h->ptr[i], to = h->ptr[i + 1];
        als_history history = {.row = h->row + from,
                               .weight = h->weight + from,
                               .target = h->target ? h->target + from : NULL,
                               .n = to - from,
                               .lambda = h->lambda[i]};
        double gain = als_solve(&h->task, &history, s, x);
        memcpy(mat_row(job->solved, i), x, dim * sizeof *x);
        if (job->bias) job->bias[i] = x[dim];
        job->loss[i] = loss_at_zero(h, from, to) - gain;
    }
    return REC_OK;
}

static size_t longest_row(const size_t *ptr, size_t n) {
    size_t most = 0;
    for (size_t i = 0; i < n; i++)
        if (ptr[i + 1] - ptr[i] > most) most = ptr[i + 1] - ptr[i];
    return most;
}

static rec_status half_fast(const als_half *h, mat *solved, float *bias, double *loss,
                            rec_run *run, rec_err *err) {
    size_t n_worker = (size_t)run_threads(run), dim = solved->dim;
    half_job job = {h, solved, bias, loss, rec_zeros(n_worker, sizeof *job.scratch)};
    rec_status st = job.scratch ? REC_OK : rec_nomem(err);
    size_t longest = longest_row(h->ptr, h->n_rows),
           grain = ALS_PIECE_WORK / (dim * dim + 1);
    for (size_t i = 0; !st && i < n_worker; i++)
        st = als_scratch_init(&job.scratch[i], &h->task, longest, err);
    if (grain > 256) grain = 256;
    if (!st) st = threads_for(run, h->n_rows, grain + 1, half_piece, &job, err);
    for (size_t i = 0; job.scratch && i < n_worker; i++)
        als_scratch_clear(&job.scratch[i]);
    rec_free(job.scratch);
    return st;
}

/* Turn m into its principal axes: afterwards m' m is diagonal, spectrum = alpha0 * diagonal. */
static rec_status principal_axes(mat *m, double alpha0, float *spectrum, rec_run *run,
                                 rec_err *err) {
    size_t dim = m->dim;
    mat turned = {0};
    float *axes = rec_array(dim * dim, sizeof *axes),
          *cols = rec_array(dim * dim, sizeof *cols);
    rec_status st = axes && cols ? la_gram(m, axes, run, err) : rec_nomem(err);
    if (!st) st = la_eigh(axes, dim, spectrum, err);
    if (!st) {
        for (size_t e = 0; e < dim; e++)
            for (size_t k = 0; k < dim; k++) cols[k * dim + e] = axes[e * dim + k];
        st = la_mat_mul(m, cols, (uint32_t)dim, &turned, run, err);
    }
    if (!st) {
        mat_clear(m);
        *m = turned;
        for (size_t e = 0; e < dim; e++)
            spectrum[e] = spectrum[e] > 0 ? (float)(alpha0 * spectrum[e]) : 0;
    }
    rec_free(axes);
    rec_free(cols);
    return st;
}

/* ---- training data, seen from both sides ------------------------------------------------------ */

typedef struct als_data {
    const size_t *user_ptr; /* borrowed, as user_item */
    const uint32_t *user_item;
    float *user_weight, *user_target; /* owned, as all below; target: explicit only */
    size_t *item_ptr;
    uint32_t *item_user;
    float *item_weight, *item_target;
    float *user_lambda, *item_lambda;
    double *loss; /* [max(n_users, n_items)] */
    float *user_bias, *user_spectrum;
    mat users;
} als_data;

static void data_clear(als_data *t) {
    rec_free(t->user_weight);
    rec_free(t->user_target);
    rec_free(t->item_ptr);
    rec_free(t->item_user);
    rec_free(t->item_weight);
    rec_free(t->item_target);
    rec_free(t->user_lambda);
    rec_free(t->item_lambda);
    rec_free(t->loss);
    rec_free(t->user_bias);
    rec_free(t->user_spectrum);
    mat_clear(&t->users);
}

static rec_status data_alloc(als_data *t, const dataset *d, const als *m,
                             rec_err *err) {
    size_t most = d->n_users > d->n_items ? d->n_users : d->n_items;
    bool ok = (t->user_weight = rec_array(d->n, sizeof(float))) != NULL;
    ok = ok && (t->item_ptr = rec_zeros((size_t)d->n_items + 2, sizeof(size_t)));
    ok = ok && (t->item_user = rec_array(d->n, sizeof(uint32_t)));
    ok = ok && (t->item_weight = rec_array(d->n, sizeof(float)));
    ok = ok && (t->user_lambda = rec_array(d->n_users, sizeof(float)));
    ok = ok && (t->item_lambda = rec_array(d->n_items, sizeof(float)));
    ok = ok && (t->loss = rec_zeros(most, sizeof(double)));
    ok = ok && (t->user_spectrum = rec_zeros(m->factors, sizeof(float)));
    if (is_explicit(m)) {
        ok = ok && (t->user_target = rec_array(d->n, sizeof(float)));
        ok = ok && (t->item_target = rec_array(d->n, sizeof(float)));
        ok = ok && (t->user_bias = rec_zeros(d->n_users, sizeof(float)));
    }
    if (!ok) return rec_nomem(err);
    return mat_init(&t->users, d->n_users, m->factors, err);
}

/* Mean and deviation of the ratings. */
static void standardise(als *m, const dataset *d) {
    double w = 0, sum = 0, square = 0;
    for (size_t i = 0; i < d->n; i++) {
        w += d->weight[i];
        sum += (double)d->weight[i] * d->value[i];
    }
    m->mean = w > 0 ? sum / w : 0;
    for (size_t i = 0; i < d->n; i++) {
        double z = d->value[i] - m->mean;
        square += d->weight[i] * z * z;
    }
    double deviation = w > 0 ? sqrt(square / w) : 0;
    bool is_constant = deviation <= 1e-6 * fabs(m->mean);
    m->deviation = deviation > 0 && !is_constant ? deviation : 1;
}

static float standard_rating(const als *m, float value) {
    return (float)((value - m->mean) / m->deviation);
}

/* item_scale: |item|^-item_scale over the mean confidence; user weights become confidences. */
static void scale_weights(als *m, als_data *t, const dataset *d,
                          const model_options *o) {
    double item_scale = opt_num(o, "item_scale"), sum = 0;
    bool as_is = is_explicit(m) || m->extra > 0;
    for (size_t i = 0; i < d->n_items; i++) {
        size_t degree = t->item_ptr[i + 1] - t->item_ptr[i];
        if (!degree)
            m->item_scale[i] = 0;
        else
            m->item_scale[i] =
                is_explicit(m) ? 1 : (float)pow((double)degree, -item_scale);
    }
    for (size_t u = 0; u < d->n_users; u++) {
        size_t n = d->ptr[u + 1] - d->ptr[u];
        double f = n && m->user_scale > 0 ? pow((double)n, -m->user_scale) : 1;
        for (size_t j = d->ptr[u]; j < d->ptr[u + 1]; j++) {
            double w = d->weight[j] * f * m->item_scale[d->item[j]];
            t->user_weight[j] = (float)w;
            sum += fabs(w);
        }
    }
    if (as_is || !(sum > 0)) return;
    double unit = (double)d->n / sum;
    for (size_t i = 0; i < d->n_items; i++) m->item_scale[i] *= (float)unit;
    for (size_t j = 0; j < d->n; j++)
        t->user_weight[j] = (float)(t->user_weight[j] * unit);
}

static void count_items(als_data *t, const dataset *d) {
    size_t *ptr = t->item_ptr;
    for (size_t j = 0; j < d->n; j++) ptr[d->item[j] + 1]++;
    for (size_t i = 0; i < d->n_items; i++) ptr[i + 1] += ptr[i];
}

/* The same interactions by item; ptr is used as the writing position and moved back. */
static void turn_to_items(als_data *t, const dataset *d) {
    size_t *ptr = t->item_ptr;
    for (uint32_t u = 0; u < d->n_users; u++)
        for (size_t j = d->ptr[u]; j < d->ptr[u + 1]; j++) {
            size_t at = ptr[d->item[j]]++;
            t->item_user[at] = u;
            t->item_weight[at] = t->user_weight[j];
            if (t->user_target) t->item_target[at] = t->user_target[j];
        }
    for (size_t i = d->n_items; i > 0; i--) ptr[i] = ptr[i - 1];
    ptr[0] = 0;
}

/* The penalty of one row: implicit by its number of rows and the size of the other side,
 * explicit by its sum of weights. */
static float row_lambda(const als *m, const float *weight, size_t n, size_t n_other) {
    double size = (double)n + m->alpha0 * (double)n_other;
    if (is_explicit(m)) {
        size = 0;
        for (size_t j = 0; j < n; j++) size += weight[j];
        if (!(size > 1e-6)) size = 1e-6;
        return (float)(m->lambda * size + m->damping);
    }
    return (float)(m->lambda * pow(size > 0 ? size : 1, m->nu));
}

static rec_status data_init(als_data *t, als *m, const model_fit_args *a,
                            rec_err *err) {
    const dataset *d = a->data;
    rec_status st = data_alloc(t, d, m, err);
    if (st) return st;
    t->user_ptr = d->ptr;
    t->user_item = d->item;
    if (is_explicit(m)) standardise(m, d);
    count_items(t, d);
    scale_weights(m, t, d, a->options);
    for (size_t j = 0; t->user_target && j < d->n; j++)
        t->user_target[j] = standard_rating(m, d->value[j]);
    turn_to_items(t, d);
    for (size_t u = 0; u < d->n_users; u++)
        t->user_lambda[u] = row_lambda(m, t->user_weight + d->ptr[u],
                                       d->ptr[u + 1] - d->ptr[u], d->n_items);
    for (size_t i = 0; i < d->n_items; i++)
        t->item_lambda[i] = row_lambda(m, t->item_weight + t->item_ptr[i],
                                       t->item_ptr[i + 1] - t->item_ptr[i], d->n_users);
    return REC_OK;
}

/* ---- training ------------------------------------------------------------------------------------ */

static void init_items(als *m, uint64_t seed) {
    rng r;
    rng_seed(&r, seed, 0);
    double deviation = ALS_INIT_DEVIATION / sqrt((double)m->factors);
    for (size_t i = 0; i < m->n_items; i++) {
        float *row = mat_row(&m->items, i);
        for (size_t k = 0; k < m->factors; k++) {
            float x = (float)(rng_normal(&r) * deviation);
            row[k] = m->item_scale[i] > 0 ? x : 0;
        }
    }
}

static double penalty(const mat *x, const float *bias, const float *lambda) {
    double sum = 0;
    for (size_t i = 0; i < x->n_rows; i++) {
        const float *row = mat_row(x, i);
        double norm = bias ? (double)bias[i] * bias[i] : 0;
        for (size_t k = 0; k < x->dim; k++) norm += (double)row[k] * row[k];
        sum += lambda[i] * norm;
    }
    return sum;
}

static rec_status train_epoch(als *m, als_data *t, als_half_step step, rec_run *run,
                              rec_err *err) {
    als_half users = {.task = {.fixed = &m->items,
                               .bias = m->bias,
                               .spectrum = m->spectrum,
                               .extra = (float)m->extra},
                      .n_rows = t->users.n_rows,
                      .ptr = t->user_ptr,
                      .row = t->user_item,
                      .weight = t->user_weight,
                      .target = t->user_target,
                      .lambda = t->user_lambda,
                      .alpha0 = m->alpha0};
    als_half items = users;
    items.task.fixed = &t->users;
    items.task.bias = t->user_bias;
    items.task.spectrum = t->user_spectrum;
    items.n_rows = m->n_items;
    items.ptr = t->item_ptr;
    items.row = t->item_user;
    items.weight = t->item_weight;
    items.target = t->item_target;
    items.lambda = t->item_lambda;
    rec_status st = REC_OK;
    if (!m->bias) st = principal_axes(&m->items, m->alpha0, m->spectrum, run, err);
    if (!st) st = step(&users, &t->users, t->user_bias, t->loss, run, err);
    if (!st && !m->bias)
        st = principal_axes(&t->users, m->alpha0, t->user_spectrum, run, err);
    if (!st) st = step(&items, &m->items, m->bias, t->loss, run, err);
    return st;
}

static rec_status train(als *m, als_data *t, als_half_step step,
                        const model_fit_args *a, rec_err *err) {
    int epochs = (int)opt_num(a->options, "epochs");
    double start = rec_seconds();
    rec_status st = REC_OK;
    run_progress(a->run, "als", 0);
    for (int e = 1; !st && e <= epochs; e++) {
        st = train_epoch(m, t, step, a->run, err);
        if (st) break;
        double loss = penalty(&t->users, t->user_bias, t->user_lambda);
        for (size_t i = 0; i < m->n_items; i++) loss += t->loss[i];
        rec_log_row row = {.phase = "als",
                           .epoch = e,
                           .loss = a->data->n ? loss / (double)a->data->n : NAN,
                           .value = NAN,
                           .seconds = rec_seconds() - start};
        run_log(a->run, &row);
        run_progress(a->run, "als", (double)e / epochs);
    }
    if (!st && !m->bias)
        st = principal_axes(&m->items, m->alpha0, m->spectrum, a->run, err);
    return st;
}

/* The values of alpha0 that the literature found best, from .007 to .3, follow the density of
 * the data: the more a user has seen, the more it means that they left something alone. */
static double usual_alpha0(const dataset *d) {
    double pairs = (double)d->n_users * d->n_items;
    double alpha0 = pairs > 0 ? ALS_ALPHA0_PER_DENSITY * (double)d->n / pairs : 0;
    return fmin(ALS_ALPHA0_MOST, fmax(ALS_ALPHA0_LEAST, alpha0));
}

static void read_options(als *m, const model_options *o, const dataset *d) {
    double alpha = opt_num(o, "alpha");
    m->alpha0 = opt_text(o, "alpha0") ? opt_num(o, "alpha0") : usual_alpha0(d);
    if (alpha > 0) m->alpha0 = m->extra = 1 / alpha;
    if (is_explicit(m)) m->alpha0 = m->extra = 0;
    m->lambda = opt_num(o, "lambda");
    if (!(m->lambda > 0))
        m->lambda = is_explicit(m) ? ALS_LAMBDA_EXPLICIT : ALS_LAMBDA_IMPLICIT;
    m->damping = is_explicit(m) ? opt_num(o, "damping") : 0;
    m->nu = opt_num(o, "nu");
    m->user_scale = is_explicit(m) ? 0 : opt_num(o, "user_scale");
}

rec_status als_fit_with(const model_fit_args *a, als_half_step step, rec_model **out,
                        rec_err *err) {
    const dataset *d = a->data;
    als_data t = {0};
    *out = NULL;
    als *m =
        als_new(d->feedback, d->n_items, (uint32_t)opt_num(a->options, "factors"), err);
    if (!m) return REC_NOMEM;
    read_options(m, a->options, d);
    rec_status st = mat_init(&m->items, m->n_items, m->factors, err);
    if (!st) st = data_init(&t, m, a, err);
    if (!st) {
        init_items(m, a->seed);
        st = train(m, &t, step, a, err);
    }
    data_clear(&t);
    if (!st) st = als_ops.check(&m->base, err);
    if (st)
        als_close(&m->base);
    else
        *out = &m->base;
    return st;
}

static rec_status als_fit(const model_fit_args *a, rec_model **out, rec_err *err) {
    return als_fit_with(a, half_fast, out, err);
}

const mat *als_item_factors(const rec_model *m) {
    return &self(m)->items;
}

/* ---- a user at query time ------------------------------------------------------------------------- */

typedef struct
    folded {       /* a query's history in the model's terms, and the user it makes */
    uint32_t *row; /* owned, as all below */
    float *weight, *target, *x;
    als_history history;
    als_task task;
    als_scratch scratch;
} folded;

static void folded_clear(folded *f) {
    rec_free(f->row);
    rec_free(f->weight);
    rec_free(f->target);
    rec_free(f->x);
    als_scratch_clear(&f->scratch);
}

static bool is_trained_item(const als *m, uint32_t item) {
    return item < m->n_items && m->item_scale[item] > 0;
}

static void read_history(const als *m, const model_query *q, folded *f) {
    size_t n = 0;
    for (size_t j = 0; j < q->n; j++) {
        if (!is_trained_item(m, q->item[j]) || !isfinite(q->weight[j])) continue;
        if (is_explicit(m) && !isfinite(q->value[j])) continue;
        f->row[n] = q->item[j];
        f->weight[n] = q->weight[j] * m->item_scale[q->item[j]];
        f->target[n] = is_explicit(m) ? standard_rating(m, q->value[j]) : 0;
        n++;
    }
    float scale = n && m->user_scale > 0 ? (float)pow((double)n, -m->user_scale) : 1;
    for (size_t j = 0; j < n; j++) f->weight[j] *= scale;
    f->history = (als_history){.row = f->row,
                               .weight = f->weight,
                               .target = is_explicit(m) ? f->target : NULL,
                               .n = n,
                               .lambda = row_lambda(m, f->weight, n, m->n_items)};
}

static rec_status fold_in(const als *m, const model_query *q, bool dense, folded *f,
                          rec_err *err) {
    memset(f, 0, sizeof *f);
    f->row = rec_array(q->n, sizeof *f->row);
    f->weight = rec_array(q->n, sizeof *f->weight);
    f->target = rec_array(q->n, sizeof *f->target);
    f->x = rec_zeros((size_t)m->factors + 1, sizeof *f->x);
    if (!f->row || !f->weight || !f->target || !f->x) {
        folded_clear(f);
        return rec_nomem(err);
    }
    f->task = (als_task){.fixed = &m->items,
                         .bias = m->bias,
                         .spectrum = m->spectrum,
                         .extra = (float)m->extra,
                         .dense = dense};
    read_history(m, q, f);
    rec_status st = als_scratch_init(&f->scratch, &f->task, f->history.n, err);
    if (st)
        folded_clear(f);
    else
        als_solve(&f->task, &f->history, &f->scratch, f->x);
    return st;
}

static float finite_or(double x, double otherwise) {
    return isfinite((float)x) ? (float)x : (float)otherwise;
}

static rec_status als_score(const rec_model *model, const model_query *q,
                            const uint32_t *items, size_t n, float *out, rec_err *err) {
    const als *m = self(model);
    const rec_kernels *k = vec_kernels();
    folded f;
    for (size_t i = 0; i < n; i++) out[i] = 0;
    rec_status st = fold_in(m, q, false, &f, err);
    if (st) return st;
    bool whole = !items && n == m->n_items;
    if (whole) mat_times_vec(&m->items, f.x, out);
    for (size_t i = 0; i < n; i++) {
        uint32_t item = items ? items[i] : (uint32_t)i;
        bool has_row = item < m->n_items;
        double s = out[i];
        if (!whole && has_row) s = k->dot(mat_row(&m->items, item), f.x, m->factors);
        if (is_explicit(m))
            s = m->mean +
                m->deviation * (s + f.x[m->factors] + (has_row ? m->bias[item] : 0));
        out[i] = finite_or(s, m->mean);
    }
    folded_clear(&f);
    return REC_OK;
}

static uint32_t als_n_items(const rec_model *m) {
    return self(m)->n_items;
}

/* Dislikes alone say nothing of what an implicit user would like: all scores would be 0. */
static bool als_knows(const rec_model *model, const model_query *q) {
    const als *m = self(model);
    for (size_t j = 0; j < q->n; j++)
        if (is_trained_item(m, q->item[j]) && (is_explicit(m) || q->weight[j] > 0))
            return true;
    return false;
}

/* Explicit: mean + the user's bias. No memory, no bias: the mean alone. */
static float als_cold_score(const rec_model *model, const model_query *q) {
    const als *m = self(model);
    folded f;
    if (!is_explicit(m)) return 0;
    if (q->n == 0 || fold_in(m, q, false, &f, NULL)) return finite_or(m->mean, 0);
    double s = m->mean + m->deviation * f.x[m->factors];
    folded_clear(&f);
    return finite_or(s, m->mean);
}

static rec_status als_similar(const rec_model *model, uint32_t item, float *out,
                              rec_err *err) {
    const als *m = self(model);
    const rec_kernels *k = vec_kernels();
    if (item >= m->n_items)
        return rec_fail(err, REC_RANGE, "als: item %u of %u", item, m->n_items);
    const float *a = mat_row(&m->items, item);
    float norm = vec_norm(a, m->factors);
    for (size_t i = 0; i < m->n_items; i++) {
        const float *b = mat_row(&m->items, i);
        double s =
            (double)k->dot(a, b, m->factors) / ((double)norm * vec_norm(b, m->factors));
        out[i] = !isfinite(s) ? 0 : s > 1 ? 1 : s < -1 ? -1 : (float)s;
    }
    return REC_OK;
}

/* score = rhs' A^-1 y = sum over the history of c_j h_j . v with v = A^-1 y: each row's share. */
static rec_status als_explain(const rec_model *model, const model_query *q,
                              uint32_t item, explain_fn fn, void *ctx, rec_err *err) {
    const als *m = self(model);
    folded f;
    if (item >= m->n_items) return REC_OK;
    rec_status st = fold_in(m, q, true, &f, err);
    if (st) return st;
    memcpy(f.x, mat_row(&m->items, item), m->factors * sizeof *f.x);
    f.x[m->factors] = 1;
    als_solve_rhs(&f.task, &f.history, &f.scratch, f.x, f.x);
    if (is_explicit(m))
        st =
            fn(ctx, "bias", item, NULL, 0, m->mean + m->deviation * m->bias[item], err);
    for (size_t j = 0; !st && j < f.history.n; j++) {
        uint32_t row = f.row[j];
        double c = f.weight[j] > 0 ? f.weight[j] + m->extra : 0;
        double s = vec_kernels()->dot(mat_row(&m->items, row), f.x, m->factors);
        if (is_explicit(m)) {
            c = m->deviation * f.weight[j] * (f.target[j] - m->bias[row]);
            s += f.x[m->factors];
        }
        if (c != 0) st = fn(ctx, "item", row, NULL, 0, finite_or(c * s, 0), err);
    }
    folded_clear(&f);
    return st;
}

static const lsa *als_language(const rec_model *m) {
    (void)m;
    return NULL;
}

/* ---- stored form ---------------------------------------------------------------------------------- */

static rec_status als_save(const rec_model *model, bytes_writer *w, rec_err *err) {
    const als *m = self(model);
    const double number[] = {m->alpha0,     m->extra,   m->lambda, m->nu,
                             m->user_scale, m->damping, m->mean,   m->deviation};
    bytes_put_u32(w, ALS_VERSION);
    bytes_put_u32(w, (uint32_t)m->feedback);
    bytes_put_u32(w, m->n_items);
    bytes_put_u32(w, m->factors);
    for (size_t i = 0; i < sizeof number / sizeof number[0]; i++)
        bytes_put_f64(w, number[i]);
    for (size_t i = 0; i < m->factors; i++) bytes_put_f32(w, m->spectrum[i]);
    for (size_t i = 0; i < m->n_items; i++) bytes_put_f32(w, m->item_scale[i]);
    for (size_t i = 0; m->bias && i < m->n_items; i++) bytes_put_f32(w, m->bias[i]);
    mat_write(&m->items, w);
    return w->status ? rec_nomem(err) : REC_OK;
}

static bool all_finite(const float *x, size_t n, bool allow_negative) {
    for (size_t i = 0; i < n; i++)
        if (!isfinite(x[i]) || (!allow_negative && x[i] < 0)) return false;
    return true;
}

static rec_status als_check(const rec_model *model, rec_err *err) {
    const als *m = self(model);
    if (!(m->alpha0 >= 0 && m->extra >= 0 && m->lambda > 0 && m->nu >= 0 &&
          m->user_scale >= 0) ||
        !(isfinite(m->alpha0 + m->extra + m->lambda + m->nu + m->user_scale +
                   m->damping)))
        return rec_corrupt(err, "als: alpha0 %g, lambda %g, nu %g", m->alpha0,
                           m->lambda, m->nu);
    if (!(fabs(m->mean) < ALS_MAX_RATING && m->deviation > 0 &&
          m->deviation < ALS_MAX_RATING))
        return rec_corrupt(err, "als: ratings of mean %g, deviation %g", m->mean,
                           m->deviation);
    if (!all_finite(m->spectrum, m->factors, false))
        return rec_corrupt(err, "als: the spectrum is not finite and positive");
    if (!all_finite(m->item_scale, m->n_items, false))
        return rec_corrupt(err, "als: an item scale is not finite and positive");
    if (m->bias && !all_finite(m->bias, m->n_items, true))
        return rec_corrupt(err, "als: an item bias is not finite");
    for (size_t i = 0; i < m->n_items; i++)
        if (!all_finite(mat_row(&m->items, i), m->factors, true))
            return rec_corrupt(err, "als: the factors of item %zu are not finite", i);
    return REC_OK;
}

static rec_status read_body(als *m, bytes_reader *r, rec_err *err) {
    double *number[] = {&m->alpha0,     &m->extra,   &m->lambda, &m->nu,
                        &m->user_scale, &m->damping, &m->mean,   &m->deviation};
    for (size_t i = 0; i < sizeof number / sizeof number[0]; i++)
        *number[i] = bytes_get_f64(r);
    for (size_t i = 0; i < m->factors; i++) m->spectrum[i] = bytes_get_f32(r);
    for (size_t i = 0; i < m->n_items; i++) m->item_scale[i] = bytes_get_f32(r);
    for (size_t i = 0; m->bias && i < m->n_items; i++) m->bias[i] = bytes_get_f32(r);
    rec_status st = mat_read(r, &m->items, err);
    if (st) return st;
    if (r->status || m->items.n_rows != m->n_items || m->items.dim != m->factors)
        return rec_corrupt(err, "als: %zu x %u factors for %u items and %u factors",
                           m->items.n_rows, m->items.dim, m->n_items, m->factors);
    return als_check(&m->base, err);
}

static rec_status als_load(bytes_reader *r, rec_model **out, rec_err *err) {
    *out = NULL;
    uint32_t version = bytes_get_u32(r), feedback = bytes_get_u32(r);
    uint32_t n_items = bytes_get_u32(r), factors = bytes_get_u32(r);
    if (r->status || version != ALS_VERSION || feedback > FEEDBACK_EXPLICIT ||
        factors < ALS_MIN_FACTORS || factors > ALS_MAX_FACTORS)
        return rec_corrupt(err, "als: header has version %u, feedback %u, %u factors",
                           version, feedback, factors);
    if ((r->n - r->at) / 4 < n_items)
        return rec_corrupt(err, "als: %zu bytes for %u items", r->n - r->at, n_items);
    als *m = als_new((feedback_kind)feedback, n_items, factors, err);
    if (!m) return REC_NOMEM;
    rec_status st = read_body(m, r, err);
    if (st)
        als_close(&m->base);
    else
        *out = &m->base;
    return st;
}

static size_t als_nbyte(const rec_model *model) {
    const als *m = self(model);
    return sizeof *m + mat_nbyte(&m->items) + m->factors * sizeof(float) +
           (size_t)m->n_items * (m->bias ? 2 : 1) * sizeof(float);
}

// clang-format off
static const model_option als_options[] = {
    {"factors", OPT_INT, ALS_MIN_FACTORS, ALS_MAX_FACTORS, "64", NULL, "numbers that describe an item"},
    {"epochs", OPT_INT, 1, 1000, "10", NULL, "passes over users and items"},
    {"alpha0", OPT_REAL, 0, 1e3, NULL, NULL, "implicit: weight of what was not touched; default 12 x density, .005 to .3"},
    {"alpha", OPT_REAL, 1e-6, 1e6, NULL, NULL, "implicit: confidence 1 + alpha r, in place of alpha0"},
    {"lambda", OPT_REAL, ALS_MIN_LAMBDA, ALS_MAX_LAMBDA, NULL, NULL, "penalty on factors; default .01, explicit .08"},
    {"damping", OPT_REAL, 0, 1e6, "2", NULL, "explicit: added to the penalty; rows with few ratings stay near the mean"},
    {"nu", OPT_REAL, 0, 2, "1", NULL, "implicit: penalty grows with (rows + alpha0 others)^nu"},
    {"user_scale", OPT_REAL, 0, 2, "0", NULL, "implicit: confidences times (rows of the user)^-user_scale"},
    {"item_scale", OPT_REAL, 0, 2, "0", NULL, "implicit: confidences times (rows of the item)^-item_scale"},
};
// clang-format on

const rec_model_ops als_ops = {
    .name = "als",
    .needs = MODEL_NEEDS_INTERACTIONS,
    .options = als_options,
    .n_options = sizeof als_options / sizeof als_options[0],
    .fit = als_fit,
    .n_items = als_n_items,
    .knows = als_knows,
    .score = als_score,
    .similar = als_similar,
    .explain = als_explain,
    .cold_score = als_cold_score,
    .language = als_language,
    .save = als_save,
    .load = als_load,
    .check = als_check,
    .nbyte = als_nbyte,
    .close = als_close,
};
