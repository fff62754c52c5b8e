/* ease.c - ridge regression of every item on the others.
 *
 *     x_i ~ sum over j of x_j B_ji,  B_ii = 0,  penalty lambda |B|^2        score(i) = h . B_i
 *
 * EASE (Steck 2019) is the strongest linear item model there is, because what two items have in
 * common with a third counts once, where itemknn counts it twice. Two forms:
 *
 *     form=dense    all items explain an item: exact, n^2 bytes, n^3 time    ease_dense.c
 *     form=sparse   the nearest `neighbours` do                               ease_sparse.c
 *     form=auto     dense where max_bytes allows it, else sparse
 *
 * Both solve a scaled problem:  row u of X times D_u^(-user_scale / 2), column i over p_i =
 * D_i^item_scale, and afterwards column i of B times t_i = D_i^target_scale (D: sums of x). With
 * user_scale=0 and item_scale = target_scale = 0 it is EASE as published. Busy users count less;
 * a penalty on scaled columns is one that falls on rare items and popular ones alike; and a
 * target_scale below item_scale holds popular items back.
 *
 * Explicit: X holds ratings less their biases, and the score is the bias plus the sum.
 *
 * Invariants: of the trained model those of linked.c.
 */
#include "ease.h"

#include <math.h>

#define EASE_MIN_NEIGHBOURS 1
#define EASE_MAX_NEIGHBOURS 2000
#define EASE_MAX_HISTORY    1000000
#define EASE_MIN_RIDGE \
    1e-5f /* of the largest diagonal: a smaller one is lost in float32 */

typedef enum { FORM_AUTO, FORM_SPARSE, FORM_DENSE } ease_form;

static double row_sum(const rated_side *s, size_t row) {
    double sum = 0;
    for (size_t j = s->ptr[row]; j < s->ptr[row + 1]; j++) sum += fabsf(s->x[j]);
    return sum;
}

static float degree_factor(double degree, double exponent) {
    double x = degree > 0 ? pow(degree, exponent) : 1;
    return x > 1e12 ? 1e12f : x > 1e-12 ? (float)x : 1e-12f;
}

/* Factors from degrees, and the diagonal of the scaled Gram matrix. */
static void weigh(ease_job *job) {
    const rated *r = &job->data;
    const model_options *o = job->options;
    double user = opt_num(o, "user_scale"), item = opt_num(o, "item_scale"),
           target = opt_num(o, "target_scale");
    for (size_t u = 0; u < r->n_users; u++)
        job->user_factor[u] = degree_factor(row_sum(&r->user, u), -user);
    for (size_t i = 0; i < r->n_items; i++) {
        double degree = row_sum(&r->item, i), sum = 0;
        job->scale[i] = degree_factor(degree, item);
        job->target[i] = degree_factor(degree, target);
        job->order[i] = degree_factor(degree, item - opt_num(o, "order_scale"));
        for (size_t j = r->item.ptr[i]; j < r->item.ptr[i + 1]; j++)
            sum += (double)r->item.x[j] * r->item.x[j] *
                   job->user_factor[r->item.other[j]];
        job->diagonal[i] = (float)(sum / ((double)job->scale[i] * job->scale[i]));
    }
}

/* Values of 1e15 beside ones of 1 make a Gram matrix that lambda alone does not hold regular. */
static float ridge(const ease_job *job) {
    float most = 0, lambda = (float)opt_num(job->options, "lambda");
    for (size_t i = 0; i < job->data.n_items; i++)
        if (job->diagonal[i] > most) most = job->diagonal[i];
    return lambda > most * EASE_MIN_RIDGE ? lambda : most * EASE_MIN_RIDGE;
}

/* dense or sparse; refuses what does not fit before anything is computed. */
static rec_status choose_form(const model_fit_args *a, ease_form *form, rec_err *err) {
    double most = opt_num(a->options, "max_bytes"),
           need = ease_dense_bytes(a->data->n_items);
    *form = (ease_form)opt_num(a->options, "form");
    if (*form == FORM_AUTO) *form = need <= most ? FORM_DENSE : FORM_SPARSE;
    if (*form == FORM_DENSE && need > most)
        return rec_fail(err, REC_RANGE,
                        "ease: form=dense needs %.0f MB for %u items, max_bytes=%.0f "
                        "allows %.0f MB; form=sparse does not need it",
                        ceil(need / 1e6), a->data->n_items, most, floor(most / 1e6));
    return REC_OK;
}

static rec_status job_init(ease_job *job, const model_fit_args *a, rec_err *err) {
    const dataset *d = a->data;
    linked *m = job->model;
    m->curve = (value_curve)opt_num(a->options, "curve");
    m->is_relative = true;
    rec_status st =
        rated_init(&job->data, m, d, (size_t)opt_num(a->options, "max_history"), err);
    if (st) return st;
    job->user_factor = rec_array(d->n_users, sizeof(float));
    job->scale = rec_array(d->n_items, sizeof(float));
    job->diagonal = rec_array(d->n_items, sizeof(float));
    job->target = rec_array(d->n_items, sizeof(float));
    job->order = rec_array(d->n_items, sizeof(float));
    if (!job->order || !job->user_factor || !job->scale || !job->diagonal ||
        !job->target)
        return rec_nomem(err);
    weigh(job);
    job->lambda = ridge(job);
    return links_init(&m->rows, d->n_items, d->n_items, err);
}

static void job_clear(ease_job *job) {
    rated_clear(&job->data);
    rec_free(job->user_factor);
    rec_free(job->scale);
    rec_free(job->diagonal);
    rec_free(job->target);
    rec_free(job->order);
}

static rec_status ease_fit(const model_fit_args *a, rec_model **out, rec_err *err) {
    double start = rec_seconds();
    ease_form form;
    *out = NULL;
    rec_status st = choose_form(a, &form, err);
    if (st) return st;
    ease_job job = {.options = a->options,
                    .run = a->run,
                    .model = linked_new(&ease_ops, a->data, err)};
    if (!job.model) return REC_NOMEM;
    st = job_init(&job, a, err);
    if (!st) st = form == FORM_DENSE ? ease_dense(&job, err) : ease_sparse(&job, err);
    job_clear(&job);
    if (st) {
        linked_close(&job.model->base);
        return st;
    }
    rec_log_row row = {.phase = "ease",
                       .epoch = 1,
                       .loss = NAN,
                       .metric =
                           form == FORM_DENSE ? "dense weights" : "sparse weights",
                       .value = (double)links_count(&job.model->rows),
                       .seconds = rec_seconds() - start};
    run_log(a->run, &row);
    run_progress(a->run, "ease", 1);
    *out = &job.model->base;
    return REC_OK;
}

static rec_status ease_load(bytes_reader *r, rec_model **out, rec_err *err) {
    return linked_load(&ease_ops, r, out, err);
}

// clang-format off
static const model_option ease_options[] = {
    {"form", OPT_ENUM, 0, 0, "auto", "auto|sparse|dense", "all items explain an item (dense) or its neighbours do"},
    {"neighbours", OPT_INT, EASE_MIN_NEIGHBOURS, EASE_MAX_NEIGHBOURS, "100", NULL, "sparse: items that explain an item"},
    {"max_bytes", OPT_REAL, 0, EASE_MAX_BYTES, "500000000", NULL, "dense: memory that training may take"},
    {"lambda", OPT_REAL, 1e-6, 1e9, "5", NULL, "penalty on weights of scaled columns"},
    {"user_scale", OPT_REAL, 0, 3, ".5", NULL, "exponent by which users with long histories count less"},
    {"item_scale", OPT_REAL, 0, 3, ".25", NULL, "exponent by which popular items explain less"},
    {"target_scale", OPT_REAL, 0, 3, ".3", NULL, "exponent by which scores of popular items rise again"},
    {"order_scale", OPT_REAL, 0, 3, ".28", NULL, "sparse: exponent by which popular items are chosen less as neighbours"},
    {"curve", OPT_ENUM, 0, 0, "log", "log|linear|binary", "implicit: what a weight counts"},
    {"max_history", OPT_INT, 2, EASE_MAX_HISTORY, "5000", NULL, "items of a user that count in training; more are sampled"},
};
// clang-format on

static const model_tune ease_tune[] = {
    {"lambda", "log .5 50", NULL},     {"user_scale", "lin 0 1", NULL},
    {"item_scale", "lin 0 .6", NULL},  {"target_scale", "lin 0 .6", NULL},
    {"order_scale", "lin 0 .6", NULL},
};

const rec_model_ops ease_ops = {
    .name = "ease",
    .needs = MODEL_NEEDS_INTERACTIONS,
    .options = ease_options,
    .n_options = sizeof ease_options / sizeof ease_options[0],
    .tune = ease_tune,
    .n_tune = sizeof ease_tune / sizeof ease_tune[0],
    .fit = ease_fit,
    .n_items = linked_n_items,
    .knows = linked_knows,
    .score = linked_score,
    .best = best_by_scores,
    .similar = linked_similar,
    .explain = linked_explain,
    .cold_score = linked_cold_score,
    .language = linked_language,
    .save = linked_save,
    .load = ease_load,
    .check = linked_check,
    .nbyte = linked_nbyte,
    .close = linked_close,
};
