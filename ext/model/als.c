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
 * Cost per epoch: als_solve.c, and three products of n x d x d.
 * The trained model, at query time and in its stored form: als_model.c.
 */
#include "als.h"

#include <math.h>

#define ALS_LAMBDA_IMPLICIT       .01
#define ALS_LAMBDA_SPARSE         .0035 /* at 64 factors and fewer */
#define ALS_ALPHA0_PER_DENSITY    12
#define ALS_ALPHA0_MORE_IF_SPARSE 33
#define ALS_USER_SCALE            .5 /* of sparse data; 0 of dense ones */
#define ALS_ITEM_SCALE            .3
#define ALS_ALPHA0_LEAST          .005
#define ALS_ALPHA0_MOST           .3
#define ALS_LAMBDA_EXPLICIT       .1
#define ALS_INIT_DEVIATION        .1  /* over sqrt(factors) */
#define ALS_MOST_EXACT            512 /* factors up to which solver=auto is exact */
/* Multiply-adds in a piece of the parallel loop: a few milliseconds. */
#define ALS_PIECE_WORK ((size_t)1 << 21)

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

/* Does the solver start from the row's factors of the epoch before? */
static bool als_improves(als_solver s) {
    return s == ALS_CG || s == ALS_BLOCKS;
}

static rec_status half_piece(void *ctx, size_t begin, size_t end, int worker,
                             rec_err *err) {
    half_job *job = ctx;
    const als_half *h = job->h;
    als_scratch *s = &job->scratch[worker];
    uint32_t dim = job->solved->dim;
    bool improves = als_improves(h->solver);
    float x[ALS_MAX_FACTORS + 1];
    (void)err;
    for (size_t i = begin; i < end; i++) {
        size_t from = h->ptr[i], to = h->ptr[i + 1];
        als_history history = {.row = h->row + from,
                               .weight = h->weight + from,
                               .target = h->target ? h->target + from : NULL,
                               .n = to - from,
                               .lambda = h->lambda[i],
                               .prior = h->prior ? mat_row(h->prior, i) : NULL};
        if (improves) {
            memcpy(x, mat_row(job->solved, i), dim * sizeof *x);
            x[dim] = job->bias ? job->bias[i] : 0;
        }
        double gain = h->solver == ALS_CG
                          ? als_cg(&h->task, &history, h->cg_steps, s, x)
                      : h->solver == ALS_BLOCKS ? als_blocks(&h->task, &history, s, x)
                                                : als_solve(&h->task, &history, s, x);
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

rec_status als_half_fast(const als_half *h, mat *solved, float *bias, double *loss,
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

/* *m = *m times b. */
static rec_status turn(mat *m, const float *b, rec_run *run, rec_err *err) {
    mat turned = {0};
    rec_status st = la_mat_mul(m, b, m->dim, &turned, run, err);
    if (st) return st;
    mat_clear(m);
    *m = turned;
    return REC_OK;
}

/* Turn m into its principal axes: afterwards m' m is diagonal, spectrum = alpha0 * diagonal. `other`, the
 * side that will be improved from where it is, turns with it; NULL: it will be solved anew. */
static rec_status principal_axes(mat *m, mat *other, double alpha0, float *spectrum,
                                 rec_run *run, rec_err *err) {
    size_t dim = m->dim;
    float *axes = rec_array(dim * dim, sizeof *axes),
          *cols = rec_array(dim * dim, sizeof *cols);
    rec_status st = axes && cols ? la_gram(m, axes, run, err) : rec_nomem(err);
    if (!st) st = la_eigh(axes, dim, spectrum, err);
    if (!st) {
        for (size_t e = 0; e < dim; e++)
            for (size_t k = 0; k < dim; k++) cols[k * dim + e] = axes[e * dim + k];
        st = turn(m, cols, run, err);
    }
    if (!st && other) st = turn(other, cols, run, err);
    for (size_t e = 0; !st && e < dim; e++)
        spectrum[e] = spectrum[e] > 0 ? (float)(alpha0 * spectrum[e]) : 0;
    rec_free(axes);
    rec_free(cols);
    return st;
}

rec_status als_principal_axes(mat *m, double alpha0, float *spectrum, rec_run *run,
                              rec_err *err) {
    return principal_axes(m, NULL, alpha0, spectrum, run, err);
}

/* ---- settings that nobody gave ----------------------------------------------------------------- */

/* How sparse the data are: 0 from one pair in a hundred on (films that one rates by the dozen), 1
 * below one in a thousand (places, books, shops). What suits the settings changes between them. */
static double sparseness(const dataset *d) {
    double pairs = (double)d->n_users * d->n_items;
    double density = pairs > 0 && d->n > 0 ? (double)d->n / pairs : 1;
    return fmin(1, fmax(0, -2 - log10(density)));
}

/* The values of alpha0 that the literature found best, from .007 to .3, follow the density of the data: the
 * more a user has seen, the more it means that they left something alone. Scaled confidences want more. */
static double usual_alpha0(const dataset *d) {
    double pairs = (double)d->n_users * d->n_items, s = sparseness(d);
    double per = ALS_ALPHA0_PER_DENSITY + s * ALS_ALPHA0_MORE_IF_SPARSE;
    double alpha0 = pairs > 0 ? per * (double)d->n / pairs : 0;
    return fmin(ALS_ALPHA0_MOST, fmax(ALS_ALPHA0_LEAST, alpha0));
}

/* The more factors, the less each is penalised: their sum takes what it needs. */
static double usual_lambda(const als *m, const dataset *d) {
    if (als_is_explicit(m)) return ALS_LAMBDA_EXPLICIT;
    double sparse =
        ALS_LAMBDA_SPARSE * pow(64. / (m->factors > 64 ? m->factors : 64), .27);
    return exp(log(ALS_LAMBDA_IMPLICIT) +
               sparseness(d) * (log(sparse) - log(ALS_LAMBDA_IMPLICIT)));
}

static double scale_or_usual(const model_options *o, const char *name, double usual,
                             const dataset *d) {
    return opt_text(o, name) ? opt_num(o, name) : usual * sparseness(d);
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
    als_solver solver;
    int cg_steps;
    als_features features;
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
    als_features_clear(&t->features);
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
    if (als_is_explicit(m)) {
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

/* item_scale: |item|^-item_scale over the mean confidence; user weights become confidences. */
static void scale_weights(als *m, als_data *t, const dataset *d,
                          const model_options *o) {
    double item_scale = scale_or_usual(o, "item_scale", ALS_ITEM_SCALE, d), sum = 0;
    bool as_is = als_is_explicit(m) || m->extra > 0;
    for (size_t i = 0; i < d->n_items; i++) {
        size_t degree = t->item_ptr[i + 1] - t->item_ptr[i];
        if (!degree)
            m->item_scale[i] = 0;
        else
            m->item_scale[i] =
                als_is_explicit(m) ? 1 : (float)pow((double)degree, -item_scale);
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

static rec_status data_init(als_data *t, als *m, const model_fit_args *a,
                            rec_err *err) {
    const dataset *d = a->data;
    rec_status st = data_alloc(t, d, m, err);
    if (st) return st;
    t->solver = (als_solver)opt_num(a->options, "solver");
    if (t->solver == ALS_AUTO)
        t->solver = m->factors > ALS_MOST_EXACT ? ALS_BLOCKS : ALS_CHOLESKY;
    t->cg_steps = (int)opt_num(a->options, "cg_steps");
    t->user_ptr = d->ptr;
    t->user_item = d->item;
    if (als_is_explicit(m)) standardise(m, d);
    count_items(t, d);
    scale_weights(m, t, d, a->options);
    for (size_t j = 0; t->user_target && j < d->n; j++)
        t->user_target[j] = als_standard_rating(m, d->value[j]);
    turn_to_items(t, d);
    for (size_t u = 0; u < d->n_users; u++)
        t->user_lambda[u] = als_row_lambda(m, t->user_weight + d->ptr[u],
                                           d->ptr[u + 1] - d->ptr[u], d->n_items);
    for (size_t i = 0; i < d->n_items; i++)
        t->item_lambda[i] =
            als_row_lambda(m, t->item_weight + t->item_ptr[i],
                           t->item_ptr[i + 1] - t->item_ptr[i], d->n_users);
    st = als_features_init(&t->features, m, t->item_ptr, a, err);
    for (size_t i = 0; i < d->n_items; i++) t->item_lambda[i] *= t->features.firmness;
    return st;
}

/* ---- training ------------------------------------------------------------------------------------ */

/* The model before, if it is of the same kind; else NULL. */
static const als *als_starts_from(const model_fit_args *a) {
    if (!a->previous || a->previous->ops != &als_ops) return NULL;
    const als *old = als_self(a->previous);
    bool fits = old->feedback == a->data->feedback &&
                old->factors == (uint32_t)opt_num(a->options, "factors");
    return fits ? old : NULL;
}

/* Random, or the factors that the item had in the model before. */
static void init_items(als *m, const model_fit_args *a) {
    const als *old = als_starts_from(a);
    rng r;
    rng_seed(&r, a->seed, 0);
    double deviation = ALS_INIT_DEVIATION / sqrt((double)m->factors);
    for (size_t i = 0; i < m->n_items; i++) {
        float *row = mat_row(&m->items, i);
        for (size_t k = 0; k < m->factors; k++) {
            float x = (float)(rng_normal(&r) * deviation);
            row[k] = m->item_scale[i] > 0 ? x : 0;
        }
        size_t was = a->previous_item ? a->previous_item[i] : i;
        if (!old || was >= old->n_items || !(m->item_scale[i] > 0) ||
            !(old->item_scale[was] > 0))
            continue;
        memcpy(row, mat_row(&old->items, was), m->factors * sizeof *row);
        if (m->bias) m->bias[i] = old->bias[was];
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

/* The items are drawn to what their features say of them: als_features.c. The items of the epoch before stand in
 * the axes of the users. */
static rec_status draw_items(als *m, als_data *t, als_half *items, rec_run *run,
                             rec_err *err) {
    if (!t->features.is_on || !(t->features.strength > 0)) return REC_OK;
    rec_status st = als_features_fit(&t->features, m, run, err);
    items->prior = &t->features.guess;
    items->task.dense = true;
    items->solver = ALS_CHOLESKY;
    return st;
}

static rec_status train_epoch(als *m, als_data *t, als_half_step step, bool is_first,
                              rec_run *run, rec_err *err) {
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
                      .alpha0 = m->alpha0,
                      .solver = t->solver,
                      .cg_steps = t->cg_steps};
    bool improves = als_improves(t->solver);
    bool turns = improves || t->features.is_on; /* the items with the users */
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
    if (!m->bias)
        st = principal_axes(&m->items, improves ? &t->users : NULL, m->alpha0,
                            m->spectrum, run, err);
    if (!st) st = step(&users, &t->users, t->user_bias, t->loss, run, err);
    if (!st && !m->bias)
        st = principal_axes(&t->users, turns ? &m->items : NULL, m->alpha0,
                            t->user_spectrum, run, err);
    if (!st && !is_first) st = draw_items(m, t, &items, run, err);
    if (!st) st = step(&items, &m->items, m->bias, t->loss, run, err);
    return st;
}

static void log_epoch(const als *m, const als_data *t, const model_fit_args *a,
                      int epoch, double start) {
    double loss = penalty(&t->users, t->user_bias, t->user_lambda);
    for (size_t i = 0; i < m->n_items; i++) loss += t->loss[i];
    rec_log_row row = {.phase = "als",
                       .epoch = epoch,
                       .loss = a->data->n ? loss / (double)a->data->n : NAN,
                       .value = NAN,
                       .seconds = rec_seconds() - start};
    run_log(a->run, &row);
}

static rec_status train(als *m, als_data *t, const als_plan *plan,
                        const model_fit_args *a, rec_err *err) {
    double start = rec_seconds();
    rec_status st = REC_OK;
    bool stop = false;
    run_progress(a->run, "als", 0);
    for (int e = 1; !st && !stop && e <= plan->epochs; e++) {
        bool is_first = e == 1 && !als_starts_from(a);
        st = train_epoch(m, t, plan->step, is_first, a->run, err);
        if (!st && !m->bias && (plan->watch || e == plan->epochs))
            st = principal_axes(&m->items, als_improves(t->solver) ? &t->users : NULL,
                                m->alpha0, m->spectrum, a->run, err);
        if (st) break;
        if (plan->watch)
            st = plan->watch(plan->ctx, m, e, &stop, err);
        else
            log_epoch(m, t, a, e, start);
        run_progress(a->run, "als", (double)e / plan->epochs);
    }
    if (!st && t->features.is_on) {
        m->features_print = a->data->docs->column_print;
        st = als_features_fill(&t->features, m, t->item_ptr, a->run, err);
    }
    return st;
}

/* From a model before, an eighth of the passes suffices. More agree less with a training from nothing, whose few
 * passes are part of what keeps it from fitting too closely. */
static int usual_epochs(const model_fit_args *a) {
    int factors = (int)opt_num(a->options, "factors");
    int epochs = (int)opt_num(a->options, "epochs");
    if (!opt_text(a->options, "epochs"))
        epochs = a->data->feedback == FEEDBACK_EXPLICIT ? 10
                 : factors < 256                        ? 8
                 : factors < 512                        ? 5
                                                        : 3;
    return als_starts_from(a) ? (epochs + 7) / 8 : epochs;
}

static void read_options(als *m, const model_options *o, const dataset *d) {
    double alpha = opt_num(o, "alpha");
    m->alpha0 = opt_text(o, "alpha0") ? opt_num(o, "alpha0") : usual_alpha0(d);
    if (alpha > 0) m->alpha0 = m->extra = 1 / alpha;
    if (als_is_explicit(m)) m->alpha0 = m->extra = 0;
    m->lambda = opt_num(o, "lambda");
    if (!(m->lambda > 0)) m->lambda = usual_lambda(m, d);
    m->damping = als_is_explicit(m) ? opt_num(o, "damping") : 0;
    m->nu = opt_num(o, "nu");
    m->user_scale =
        als_is_explicit(m) ? 0 : scale_or_usual(o, "user_scale", ALS_USER_SCALE, d);
}

rec_status als_train(const model_fit_args *a, const als_plan *plan, als **out,
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
        init_items(m, a);
        st = train(m, &t, plan, a, err);
    }
    data_clear(&t);
    if (!st) st = als_ops.check(&m->base, err);
    if (st)
        als_close(&m->base);
    else
        *out = m;
    return st;
}

rec_status als_fit_with(const model_fit_args *a, als_half_step step, rec_model **out,
                        rec_err *err) {
    als_plan plan = {.epochs = usual_epochs(a), .step = step};
    als *m = NULL;
    *out = NULL;
    rec_status st = REC_OK;
    if (opt_num(a->options, "early_stop") > 0 && !als_starts_from(a))
        st = als_best_epochs(a, step, &plan.epochs, err);
    if (!st) st = als_train(a, &plan, &m, err);
    if (!st) *out = &m->base;
    return st;
}

rec_status als_fit(const model_fit_args *a, rec_model **out, rec_err *err) {
    return als_fit_with(a, als_half_fast, out, err);
}
