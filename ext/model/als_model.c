/* als_model.c - a trained factorisation: users at query time, and the stored form.
 *
 *     history --fold_in--> x --x . y_i--> scores      als.c has the objective and the training
 *
 * A user has no stored vector: the history is solved for with the routine that the epochs use, so somebody who came
 * a second ago is served as one of the training data is.
 *
 * Invariants: those of als.c; als_check holds stored bytes against I2 and I3.
 *
 * Stored: u32 version, feedback, n_items, factors; f64 alpha0, extra, lambda, nu, user_scale, damping,
 * mean, deviation; f32 spectrum[factors], item_scale[n_items], explicit: bias[n_items]; mat items;
 * u32 features (0: none), u64 their print, f32 map[(features + 1) x (factors, explicit + 1)] (als_features.c).
 */
#include "als.h"

#include <math.h>

#define ALS_VERSION    2
#define ALS_MAX_RATING 1e31 /* signal.c refuses values beyond 1e30 */

void als_close(rec_model *m) {
    als *a = (als *)m;
    if (!a) return;
    rec_free(a->spectrum);
    rec_free(a->item_scale);
    rec_free(a->bias);
    rec_free(a->map);
    mat_clear(&a->items);
    rec_free(a);
}

/* Without the factor matrix. */
als *als_new(feedback_kind feedback, uint32_t n_items, uint32_t factors, rec_err *err) {
    als *m = rec_zeros(1, sizeof *m);
    if (!m) {
        rec_nomem(err);
        return NULL;
    }
    m->base.ops = &als_ops;
    m->feedback = feedback;
    m->n_items = m->n_trained = n_items;
    m->factors = factors;
    m->deviation = 1;
    m->spectrum = rec_zeros(factors, sizeof *m->spectrum);
    m->item_scale = rec_zeros(n_items, sizeof *m->item_scale);
    if (als_is_explicit(m)) m->bias = rec_zeros(n_items, sizeof *m->bias);
    if (m->spectrum && m->item_scale && (m->bias || !als_is_explicit(m))) return m;
    als_close(&m->base);
    rec_nomem(err);
    return NULL;
}

float als_standard_rating(const als *m, float value) {
    return (float)((value - m->mean) / m->deviation);
}

/* The penalty of one row: implicit by its number of rows and the size of the other side,
 * explicit by its sum of weights. */
float als_row_lambda(const als *m, const float *weight, size_t n, size_t n_other) {
    double size = (double)n + m->alpha0 * (double)n_other;
    if (als_is_explicit(m)) {
        size = 0;
        for (size_t j = 0; j < n; j++) size += weight[j];
        if (!(size > 1e-6)) size = 1e-6;
        return (float)(m->lambda * size + m->damping);
    }
    return (float)(m->lambda * pow(size > 0 ? size : 1, m->nu));
}

const mat *als_item_factors(const rec_model *m) {
    return &als_self(m)->items;
}

/* ---- a user at query time ------------------------------------------------------------------------- */

static bool is_trained_item(const als *m, uint32_t item) {
    return item < m->n_items && m->item_scale[item] > 0;
}

static size_t read_history(const als *m, const model_query *q, als_user *u) {
    size_t n = 0;
    for (size_t j = 0; j < q->n; j++) {
        if (!is_trained_item(m, q->item[j]) || !isfinite(q->weight[j])) continue;
        if (als_is_explicit(m) && !isfinite(q->value[j])) continue;
        u->row[n] = q->item[j];
        u->weight[n] = q->weight[j] * m->item_scale[q->item[j]];
        u->target[n] = als_is_explicit(m) ? als_standard_rating(m, q->value[j]) : 0;
        n++;
    }
    float scale = n && m->user_scale > 0 ? (float)pow((double)n, -m->user_scale) : 1;
    for (size_t j = 0; j < n; j++) u->weight[j] *= scale;
    return n;
}

static rec_status fold_in(const als *m, const model_query *q, bool dense, als_user *u,
                          rec_err *err) {
    als_task task = {.fixed = &m->items,
                     .bias = m->bias,
                     .spectrum = m->spectrum,
                     .extra = (float)m->extra,
                     .dense = dense};
    rec_status st = als_user_init(u, &task, q->n, err);
    if (st) return st;
    size_t n = read_history(m, q, u);
    return als_user_solve(u, n, als_row_lambda(m, u->weight, n, m->n_trained), err);
}

static float finite_or(double x, double otherwise) {
    return isfinite((float)x) ? (float)x : (float)otherwise;
}

/* x[factors] and, explicit, the user's bias x[factors]. */
static rec_status als_fold(const rec_model *model, const model_query *q, float *x,
                           rec_err *err) {
    als_user u;
    rec_status st = fold_in(als_self(model), q, false, &u, err);
    if (st) return st;
    memcpy(x, u.x, ((size_t)als_self(model)->factors + 1) * sizeof *x);
    als_user_clear(&u);
    return REC_OK;
}

/* The score that belongs to the product of user and item. */
static float scale_score(const als *m, const float *x, uint32_t item, float product) {
    double s = product;
    if (als_is_explicit(m))
        s = m->mean + m->deviation *
                          (s + x[m->factors] + (item < m->n_items ? m->bias[item] : 0));
    return finite_or(s, m->mean);
}

static float item_score(const rec_model *model, const float *x, uint32_t item) {
    const als *m = als_self(model);
    return scale_score(m, x, item,
                       vec_kernels()->dot(mat_row(&m->items, item), x, m->factors));
}

static rec_status als_score(const rec_model *model, const model_query *q,
                            const uint32_t *items, size_t n, float *out, rec_err *err) {
    const als *m = als_self(model);
    als_user u;
    for (size_t i = 0; i < n; i++) out[i] = 0;
    rec_status st = fold_in(m, q, false, &u, err);
    if (st) return st;
    bool whole = !items && n == m->n_items;
    if (whole) mat_times_vec(&m->items, u.x, out);
    for (size_t i = 0; i < n; i++) {
        uint32_t item = items ? items[i] : (uint32_t)i;
        if (!whole && item < m->n_items)
            out[i] = item_score(model, u.x, item);
        else
            out[i] = scale_score(m, u.x, item, out[i]);
    }
    als_user_clear(&u);
    return REC_OK;
}

static uint32_t als_n_items(const rec_model *m) {
    return als_self(m)->n_items;
}

/* Dislikes alone say nothing of what an implicit user would like: all scores would be 0. */
static bool als_knows(const rec_model *model, const model_query *q) {
    const als *m = als_self(model);
    for (size_t j = 0; j < q->n; j++)
        if (is_trained_item(m, q->item[j]) && (als_is_explicit(m) || q->weight[j] > 0))
            return true;
    return false;
}

/* Explicit: mean + the user's bias. No memory, no bias: the mean alone. */
static float als_cold_score(const rec_model *model, const model_query *q) {
    const als *m = als_self(model);
    als_user u;
    if (!als_is_explicit(m)) return 0;
    if (q->n == 0 || fold_in(m, q, false, &u, NULL)) return finite_or(m->mean, 0);
    double s = m->mean + m->deviation * u.x[m->factors];
    als_user_clear(&u);
    return finite_or(s, m->mean);
}

static double user_shift(const rec_model *model, const float *x) {
    const als *m = als_self(model);
    return m->mean + m->deviation * (double)x[m->factors];
}

static rec_status als_best(const rec_model *model, const model_best *b, rec_run *run,
                           rec_err *err) {
    const als *m = als_self(model);
    best_vectors v = {.rows = &m->items,
                      .bias = m->bias,
                      .scale = m->deviation,
                      .width = (size_t)m->factors + 1,
                      .fold = als_fold,
                      .shift = als_is_explicit(m) ? user_shift : NULL,
                      .score = item_score};
    return best_by_vectors(model, &v, b, run, err);
}

/* Explicit scores have a bias beside the product. */
static const mat *als_vectors(const rec_model *model, vec_metric *metric) {
    *metric = METRIC_IP;
    return als_is_explicit(als_self(model)) ? NULL : &als_self(model)->items;
}

static rec_status als_direction(const rec_model *model, const model_query *q, float *x,
                                rec_err *err) {
    size_t n = als_self(model)->factors;
    float *whole = rec_array(n + 1, sizeof *whole);
    rec_status st = whole ? als_fold(model, q, whole, err) : rec_nomem(err);
    if (!st) memcpy(x, whole, n * sizeof *x);
    rec_free(whole);
    return st;
}

static rec_status als_similar(const rec_model *model, uint32_t item, float *out,
                              rec_err *err) {
    const als *m = als_self(model);
    if (item >= m->n_items)
        return rec_fail(err, REC_RANGE, "als: item %u of %u", item, m->n_items);
    vectors_alike(&m->items, NULL, item, out);
    return REC_OK;
}

/* score = rhs' A^-1 y = sum over the history of c_j h_j . v with v = A^-1 y: each row's share. */
static rec_status als_explain(const rec_model *model, const model_query *q,
                              uint32_t item, explain_fn fn, void *ctx, rec_err *err) {
    const als *m = als_self(model);
    als_user u;
    if (item >= m->n_items) return REC_OK;
    rec_status st = fold_in(m, q, true, &u, err);
    if (st) return st;
    als_user_turn(&u, item);
    if (als_is_explicit(m))
        st =
            fn(ctx, "bias", item, NULL, 0, m->mean + m->deviation * m->bias[item], err);
    for (size_t j = 0; !st && j < u.history.n; j++) {
        uint32_t row = u.row[j];
        double c = u.weight[j] > 0 ? u.weight[j] + m->extra : 0;
        double s = als_user_share(&u, j);
        if (als_is_explicit(m)) {
            c = m->deviation * u.weight[j] * (u.target[j] - m->bias[row]);
            s += u.x[m->factors];
        }
        if (c != 0) st = fn(ctx, "item", row, NULL, 0, finite_or(c * s, 0), err);
    }
    als_user_clear(&u);
    return st;
}

static const lsa *als_language(const rec_model *m) {
    (void)m;
    return NULL;
}

/* ---- stored form ---------------------------------------------------------------------------------- */

static size_t als_n_map(const als *m) { /* unknowns of an item */
    return (size_t)m->factors + (als_is_explicit(m) ? 1 : 0);
}

static rec_status als_save(const rec_model *model, bytes_writer *w, rec_err *err) {
    const als *m = als_self(model);
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
    size_t n_map = m->map ? ((size_t)m->n_feature + 1) * als_n_map(m) : 0;
    bytes_put_u32(w, m->map ? m->n_feature : 0);
    bytes_put_u64(w, m->features_print);
    for (size_t i = 0; i < n_map; i++) bytes_put_f32(w, m->map[i]);
    return w->status ? rec_nomem(err) : REC_OK;
}

static bool all_finite(const float *x, size_t n, bool allow_negative) {
    for (size_t i = 0; i < n; i++)
        if (!isfinite(x[i]) || (!allow_negative && x[i] < 0)) return false;
    return true;
}

static rec_status read_map(als *m, bytes_reader *r, rec_err *err) {
    m->n_feature = bytes_get_u32(r);
    m->features_print = bytes_get_u64(r);
    size_t n = ((size_t)m->n_feature + 1) * als_n_map(m);
    if (r->status || m->n_feature > VEC_MAX_DIM ||
        (m->n_feature && (r->n - r->at) / 4 < n))
        return rec_corrupt(err, "als: a map of %u features", m->n_feature);
    if (!m->n_feature) return REC_OK;
    m->map = rec_array(n, sizeof *m->map);
    if (!m->map) return rec_nomem(err);
    for (size_t i = 0; i < n; i++) m->map[i] = bytes_get_f32(r);
    if (all_finite(m->map, n, true)) return REC_OK;
    return rec_corrupt(err, "als: the map of features is not finite");
}

static rec_status als_check(const rec_model *model, rec_err *err) {
    const als *m = als_self(model);
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
    st = read_map(m, r, err);
    return st ? st : als_check(&m->base, err);
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
    const als *m = als_self(model);
    return sizeof *m + mat_nbyte(&m->items) + m->factors * sizeof(float) +
           (size_t)m->n_items * (m->bias ? 2 : 1) * sizeof(float);
}

// clang-format off
static const model_option als_options[] = {
    {"factors", OPT_INT, ALS_MIN_FACTORS, ALS_MAX_FACTORS, "64", NULL, "numbers that describe an item"},
    {"epochs", OPT_INT, 1, 1000, NULL, NULL, "passes over users and items; default 8, from 256 factors on 5, from 512 on 3; explicit 10"},
    {"solver", OPT_ENUM, 0, 0, "auto", "auto|cholesky|cg|blocks", "cholesky: exact; cg: steps from the last epoch; blocks: 64 factors at a time; auto: exact up to 512 factors, then blocks"},
    {"cg_steps", OPT_INT, 1, 100, "3", NULL, "solver=cg: steps a row and epoch"},
    {"early_stop", OPT_INT, 0, 100, "0", NULL, "epochs without a better validation before training ends; 0: no validation"},
    {"alpha0", OPT_REAL, 0, 1e3, NULL, NULL, "implicit: weight of what was not touched; default 12 x density (sparse data: 45), .005 to .3"},
    {"alpha", OPT_REAL, 1e-6, 1e6, NULL, NULL, "implicit: confidence 1 + alpha r, in place of alpha0"},
    {"lambda", OPT_REAL, ALS_MIN_LAMBDA, ALS_MAX_LAMBDA, NULL, NULL, "penalty on factors; default .01 (sparse data: less, and less with more factors), explicit .1"},
    {"damping", OPT_REAL, 0, 1e6, "2", NULL, "explicit: added to the penalty; rows with few ratings stay near the mean"},
    {"nu", OPT_REAL, 0, 2, "1", NULL, "implicit: penalty grows with (rows + alpha0 others)^nu"},
    {"user_scale", OPT_REAL, 0, 2, NULL, NULL, "implicit: confidences times (rows of the user)^-user_scale; default 0, sparse data .5"},
    {"features", OPT_TEXT, 0, 0, NULL, NULL, "a content model: what its item vectors say of factors draws items with few rows there, and stands in for those without any"},
    {"features_prior", OPT_REAL, 0, 1000, NULL, NULL, "features=: how far items with rows are drawn; 0: only those without; above 1: that many times the penalty; default: 1 or more, the less data the more"},
    {"item_scale", OPT_REAL, 0, 2, NULL, NULL, "implicit: confidences times (rows of the item)^-item_scale; default 0, sparse data .3"},
};
// clang-format on

static const model_tune als_tune[] = {
    {"lambda", "log .0005 .1", "implicit"}, {"lambda", "log .01 1", "explicit"},
    {"alpha0", "log .005 .5", "implicit"},  {"user_scale", "lin 0 .8", "implicit"},
    {"item_scale", "lin 0 .6", "implicit"}, {"epochs", "3|5|8|12", "implicit"},
    {"damping", "log .5 20", "explicit"},
};

const rec_model_ops als_ops = {
    .name = "als",
    .needs = MODEL_NEEDS_INTERACTIONS | MODEL_PREDICTS | MODEL_GROWS,
    .options = als_options,
    .n_options = sizeof als_options / sizeof als_options[0],
    .tune = als_tune,
    .n_tune = sizeof als_tune / sizeof als_tune[0],
    .fit = als_fit,
    .n_items = als_n_items,
    .knows = als_knows,
    .score = als_score,
    .best = als_best,
    .vectors = als_vectors,
    .direction = als_direction,
    .similar = als_similar,
    .explain = als_explain,
    .cold_score = als_cold_score,
    .extend = als_extend,
    .language = als_language,
    .save = als_save,
    .load = als_load,
    .check = als_check,
    .nbyte = als_nbyte,
    .close = als_close,
};
