/* popularity.c - what most people like: the floor that every other model must beat, and what
 * every other model falls back to when it knows nothing of a user.
 *
 *     implicit   score = sum of positive weights, decayed, / number of users
 *                        (with weights of 1: the share of users who took the item)
 *     explicit   score = (sum w r + prior mu) / (sum w + prior)       mu = mean rating
 *
 * The explicit score is a damped mean: `prior` imagined ratings at the global mean stand beside
 * the real ones, so one enthusiast cannot put an unknown film on top. A small prior orders
 * items by quality and fills lists with the obscure; 25 asks for a few dozen ratings before an
 * item can leave the mean, which on MovieLens yields the films that one expects to see.
 *
 * Dislikes (negative weights) do not lower an implicit score: popular things are also disliked
 * more often, and the damped mean is there for those who want quality.
 *
 * Invariants
 *   I1  weight[] and score[] are finite, weight[] >= 0, both n_items long.
 *   I2  score() does not depend on the query: popularity knows everybody equally.
 *
 * Stored: u32 version, u32 feedback, u32 n_items, u32 n_users, f32 mean, f32 score[n_items],
 * f32 weight[n_items]. Cost: one pass over the interactions.
 */
#include "model.h"

#include <math.h>

#define POPULARITY_VERSION   1
#define POPULARITY_MIN_PRIOR 0
#define POPULARITY_MAX_PRIOR 1e6

typedef struct popularity {
    rec_model base;
    feedback_kind feedback;
    uint32_t n_items, n_users;
    float mean;    /* explicit: mu */
    float *score;  /* [n_items] owned */
    float *weight; /* [n_items] owned: sum of positive weights */
} popularity;

static const popularity *self(const rec_model *m) {
    return (const popularity *)m;
}

static void popularity_close(rec_model *m) {
    if (!m) return;
    rec_free(self(m)->score);
    rec_free(self(m)->weight);
    rec_free(m);
}

static popularity *popularity_new(uint32_t n_items, rec_err *err) {
    popularity *p = rec_zeros(1, sizeof *p);
    if (p) {
        p->base.ops = &popularity_ops;
        p->n_items = n_items;
        p->score = rec_zeros(n_items, sizeof *p->score);
        p->weight = rec_zeros(n_items, sizeof *p->weight);
        if (p->score && p->weight) return p;
        popularity_close(&p->base);
    }
    rec_nomem(err);
    return NULL;
}

static float to_float(double x) {
    return isfinite((float)x) ? (float)x : 0;
}

/* Sums in double: a float sum of many ones stops at 2^24. sum[2i] += w, sum[2i+1] += w v. */
static void add_up(const dataset *d, double *sum, double *sum_w, double *sum_wv) {
    for (size_t i = 0; i < d->n; i++) {
        if (!(d->weight[i] > 0)) continue;
        double w = d->weight[i], wv = w * d->value[i];
        sum[2 * (size_t)d->item[i]] += w;
        sum[2 * (size_t)d->item[i] + 1] += wv;
        *sum_w += w;
        *sum_wv += wv;
    }
}

static rec_status popularity_fit(const model_fit_args *a, rec_model **out,
                                 rec_err *err) {
    const dataset *d = a->data;
    double prior = opt_num(a->options, "prior"), sum_w = 0, sum_wv = 0;
    *out = NULL;
    popularity *p = popularity_new(d->n_items, err);
    if (!p) return REC_NOMEM;
    double *sum = rec_zeros((size_t)d->n_items * 2, sizeof *sum);
    if (!sum) {
        popularity_close(&p->base);
        return rec_nomem(err);
    }
    add_up(d, sum, &sum_w, &sum_wv);
    double mean = sum_w > 0 ? sum_wv / sum_w : 0;
    p->feedback = d->feedback;
    p->n_users = d->n_users;
    p->mean = d->feedback == FEEDBACK_EXPLICIT ? to_float(mean) : 0;
    for (size_t i = 0; i < d->n_items; i++) {
        double w = sum[2 * i], wv = sum[2 * i + 1], s = mean;
        if (d->feedback == FEEDBACK_IMPLICIT)
            s = w / (d->n_users ? d->n_users : 1);
        else if (w + prior > 0)
            s = (wv + prior * mean) / (w + prior);
        p->score[i] = to_float(s);
        p->weight[i] = to_float(w);
    }
    rec_free(sum);
    run_progress(a->run, "popularity", 1);
    *out = &p->base;
    return REC_OK;
}

static uint32_t popularity_n_items(const rec_model *m) {
    return self(m)->n_items;
}

static bool popularity_knows(const rec_model *m, const model_query *q) {
    (void)m, (void)q;
    return true;
}

static float popularity_cold_score(const rec_model *m, const model_query *q) {
    (void)q;
    return self(m)->mean;
}

float popularity_score(const rec_model *m, uint32_t item) {
    return item < self(m)->n_items ? self(m)->score[item] : self(m)->mean;
}

float popularity_weight(const rec_model *m, uint32_t item) {
    return item < self(m)->n_items ? self(m)->weight[item] : 0;
}

static rec_status popularity_scores(const rec_model *m, const model_query *q,
                                    const uint32_t *items, size_t n, float *out,
                                    rec_err *err) {
    (void)q, (void)err;
    for (size_t i = 0; i < n; i++)
        out[i] = popularity_score(m, items ? items[i] : (uint32_t)i);
    return REC_OK;
}

static rec_status popularity_best(const rec_model *m, const model_best *b, rec_run *run,
                                  rec_err *err) {
    return best_by_order(self(m)->score, self(m)->n_items, b, run, err);
}

static rec_status popularity_similar(const rec_model *m, uint32_t item, float *out,
                                     rec_err *err) {
    (void)item;
    for (size_t i = 0; i < self(m)->n_items; i++) out[i] = 0;
    return rec_fail(
        err, REC_RANGE,
        "popularity does not know which items are alike; every other algorithm does");
}

static rec_status popularity_explain(const rec_model *m, const model_query *q,
                                     uint32_t item, explain_fn fn, void *ctx,
                                     rec_err *err) {
    (void)q;
    char text[96];
    const popularity *p = self(m);
    double weight = item < p->n_items ? p->weight[item] : 0;
    size_t n;
    if (p->feedback == FEEDBACK_EXPLICIT)
        n = rec_format(text, sizeof text, "%.0f ratings, damped mean %.2f", weight,
                       (double)popularity_score(m, item));
    else if (weight == floor(weight) && weight < 1e9)
        n = rec_format(text, sizeof text, "chosen %.0f times by %u users", weight,
                       p->n_users);
    else
        n = rec_format(text, sizeof text, "total weight %.2f over %u users", weight,
                       p->n_users);
    return fn(ctx, "popularity", item, text, n, popularity_score(m, item), err);
}

static const lsa *popularity_language(const rec_model *m) {
    (void)m;
    return NULL;
}

/* ---- stored form ------------------------------------------------------------------------- */

static rec_status popularity_save(const rec_model *m, bytes_writer *w, rec_err *err) {
    const popularity *p = self(m);
    bytes_put_u32(w, POPULARITY_VERSION);
    bytes_put_u32(w, (uint32_t)p->feedback);
    bytes_put_u32(w, p->n_items);
    bytes_put_u32(w, p->n_users);
    bytes_put_f32(w, p->mean);
    for (size_t i = 0; i < p->n_items; i++) bytes_put_f32(w, p->score[i]);
    for (size_t i = 0; i < p->n_items; i++) bytes_put_f32(w, p->weight[i]);
    return w->status ? rec_nomem(err) : REC_OK;
}

static rec_status popularity_check(const rec_model *m, rec_err *err) {
    const popularity *p = self(m);
    if (!isfinite(p->mean))
        return rec_corrupt(err, "popularity: the mean is not finite");
    for (size_t i = 0; i < p->n_items; i++)
        if (!isfinite(p->score[i]) || !isfinite(p->weight[i]) || p->weight[i] < 0)
            return rec_corrupt(err, "popularity: item %zu has score %g, weight %g", i,
                               (double)p->score[i], (double)p->weight[i]);
    return REC_OK;
}

static rec_status popularity_load(bytes_reader *r, rec_model **out, rec_err *err) {
    *out = NULL;
    uint32_t version = bytes_get_u32(r), feedback = bytes_get_u32(r);
    uint32_t n_items = bytes_get_u32(r), n_users = bytes_get_u32(r);
    float mean = bytes_get_f32(r);
    if (r->status || version != POPULARITY_VERSION || feedback > FEEDBACK_EXPLICIT)
        return rec_corrupt(err, "popularity: header has version %u, feedback %u",
                           version, feedback);
    if ((r->n - r->at) / 8 < n_items)
        return rec_corrupt(err, "popularity: %zu bytes for %u items", r->n - r->at,
                           n_items);
    popularity *p = popularity_new(n_items, err);
    if (!p) return REC_NOMEM;
    p->feedback = (feedback_kind)feedback;
    p->n_users = n_users;
    p->mean = mean;
    for (size_t i = 0; i < n_items; i++) p->score[i] = bytes_get_f32(r);
    for (size_t i = 0; i < n_items; i++) p->weight[i] = bytes_get_f32(r);
    rec_status st = popularity_check(&p->base, err);
    if (st)
        popularity_close(&p->base);
    else
        *out = &p->base;
    return st;
}

static size_t popularity_nbyte(const rec_model *m) {
    return sizeof(popularity) + (size_t)self(m)->n_items * 2 * sizeof(float);
}

static const model_option popularity_options[] = {
    {"prior", OPT_REAL, POPULARITY_MIN_PRIOR, POPULARITY_MAX_PRIOR, "25", NULL,
     "explicit: imagined ratings at the global mean beside an item's own"},
};

static const model_tune popularity_tune[] = {
    {"prior", "log 1 200", "explicit"},
};

const rec_model_ops popularity_ops = {
    .name = "popularity",
    .needs = MODEL_NEEDS_INTERACTIONS | MODEL_PREDICTS,
    .options = popularity_options,
    .n_options = sizeof popularity_options / sizeof popularity_options[0],
    .tune = popularity_tune,
    .n_tune = sizeof popularity_tune / sizeof popularity_tune[0],
    .fit = popularity_fit,
    .n_items = popularity_n_items,
    .knows = popularity_knows,
    .score = popularity_scores,
    .best = popularity_best,
    .similar = popularity_similar,
    .explain = popularity_explain,
    .cold_score = popularity_cold_score,
    .language = popularity_language,
    .save = popularity_save,
    .load = popularity_load,
    .check = popularity_check,
    .nbyte = popularity_nbyte,
    .close = popularity_close,
};
