/* itemknn.c - items that the same people take: neighbours by co-occurrence.
 *
 *     C_ji = sum over users of f_u x_uj x_ui            who took both, busy users less
 *     w_ji = (C_ji / (p_j q_i + shrinkage)) ^ power                       k best i for every j
 *            (C_ji / (p_j q_i) * C_ji / (C_ji + shrinkage)) ^ power       cosine and tfidf
 *
 *     similarity   x                          f_u              p_j           q_i
 *     cosine       x                          1                |x_j|         |x_i|
 *     tfidf        sqrt(x)                    idf_u^2          |x_j|         |x_i|
 *     bm25         x (k1+1) / (k1 K_i + x)    idf_u^2          1             1
 *     rp3beta      x^alpha                    D_u^-alpha       D_j^alpha     D_i^beta
 *     general      x                          D_u^-user_scale  D_j^item_scale  D_i^target_scale
 *
 * D is a sum of x, |.| a Euclidean norm, K_i = 1 - b + b D_i / mean D, and idf_u = ln(items /
 * (1 + items of u)): a user with few items says more about them. rp3beta is the random walk item
 * -> user -> item of three steps with popular ends held back (Paudel et al. 2017); general leaves
 * its three exponents free.
 *
 * A cosine is 1 for two items that one same user took. What few say counts less by C / (C +
 * shrinkage): a share that knows nothing of how popular the two are, where an addition to the
 * denominator does (on Gowalla .1446 against .1388 Recall@20 of the cosine).
 *
 * Explicit feedback compares ratings less their biases by cosine, with shrinkage in the
 * denominator, keeps what agrees, and predicts the bias plus a mean over the neighbours (Koren 2010).
 *
 * Invariants
 *   I1  Bit-identical for any number of threads (cooccur.c).
 *   I2  Weights are finite and > 0; an item is no neighbour of itself.
 *
 * Cost: sum over users of (history length)^2 multiply-adds, bounded by max_history; memory: 16
 * bytes an interaction, 8 bytes an item and thread, and the links.
 */
#include "links.h"

#include <math.h>

#define KNN_MIN_K       1
#define KNN_MAX_K       100000
#define KNN_MAX_HISTORY 1000000
#define KNN_SHRINKAGE   10 /* of the cosines, when the option is not given */

typedef enum { KNN_GENERAL, KNN_COSINE, KNN_TFIDF, KNN_BM25, KNN_RP3BETA } knn_kind;

typedef struct knn_job {
    cooccur c;
    rated data;
    float *user_factor, *source, *target; /* owned; [n_users], [n_items] p, q */
    float power;
    links_rows *row; /* [threads] owned */
    linked *model;
} knn_job;

/* ---- weights --------------------------------------------------------------------------------- */

static float to_factor(double x) {
    return x > 1e15 ? 1e15f : x > 1e-15 ? (float)x : 1e-15f;
}

static double row_sum(const rated_side *s, size_t row, bool of_squares) {
    double sum = 0;
    for (size_t j = s->ptr[row]; j < s->ptr[row + 1]; j++)
        sum += of_squares ? (double)s->x[j] * s->x[j] : s->x[j];
    return sum;
}

/* x -> what the similarity multiplies, on both sides alike. D are sums of the x before. */
static void reweigh(rated_side *s, size_t n_rows, bool by_item, knn_kind kind,
                    const float *item_length, const model_options *o) {
    double k1 = opt_num(o, "k1"), alpha = opt_num(o, "alpha");
    for (size_t row = 0; row < n_rows; row++)
        for (size_t j = s->ptr[row]; j < s->ptr[row + 1]; j++) {
            double x = s->x[j], length = item_length[by_item ? row : s->other[j]];
            if (kind == KNN_TFIDF) x = sqrt(x);
            if (kind == KNN_BM25) x = x * (k1 + 1) / (k1 * length + x);
            if (kind == KNN_RP3BETA && x != 1) x = pow(x, alpha);
            s->x[j] = (float)x;
        }
}

static void weigh_users(knn_job *w, knn_kind kind, const model_options *o) {
    const rated *r = &w->data;
    double exponent =
        kind == KNN_RP3BETA ? opt_num(o, "alpha") : opt_num(o, "user_scale");
    for (size_t u = 0; u < r->n_users; u++) {
        double degree = row_sum(&r->user, u, false), f = 1;
        double n = (double)(r->user.ptr[u + 1] - r->user.ptr[u]);
        if (kind == KNN_GENERAL || kind == KNN_RP3BETA) f = pow(degree, -exponent);
        if (kind == KNN_TFIDF || kind == KNN_BM25) {
            f = log((double)r->n_items / (1 + n));
            f = f > 0 ? f * f : 0;
        }
        w->user_factor[u] = n > 0 ? to_factor(f) : 0;
    }
}

/* K_i of BM25 into target, which is overwritten later. */
static void bm25_lengths(knn_job *w, double b) {
    const rated *r = &w->data;
    double total = 0;
    for (size_t i = 0; i < r->n_items; i++)
        total += w->target[i] = (float)row_sum(&r->item, i, false);
    double mean = total > 0 ? total / r->n_items : 1;
    for (size_t i = 0; i < r->n_items; i++)
        w->target[i] = (float)(1 - b + b * w->target[i] / mean);
}

static void weigh_items(knn_job *w, knn_kind kind, const model_options *o) {
    const rated *r = &w->data;
    double source =
        kind == KNN_RP3BETA ? opt_num(o, "alpha") : opt_num(o, "item_scale");
    double target =
        kind == KNN_RP3BETA ? opt_num(o, "beta") : opt_num(o, "target_scale");
    for (size_t i = 0; i < r->n_items; i++) {
        if (kind == KNN_COSINE || kind == KNN_TFIDF) {
            double norm = 0; /* with the factors of the users, so that it is a cosine */
            for (size_t j = r->item.ptr[i]; j < r->item.ptr[i + 1]; j++)
                norm += (double)r->item.x[j] * r->item.x[j] *
                        w->user_factor[r->item.other[j]];
            w->source[i] = w->target[i] = to_factor(sqrt(norm));
        } else if (kind == KNN_BM25)
            w->source[i] = w->target[i] = 1;
        else {
            double degree = row_sum(&r->item, i, false);
            w->source[i] = to_factor(degree > 0 ? pow(degree, source) : 1);
            w->target[i] = to_factor(degree > 0 ? pow(degree, target) : 1);
        }
    }
}

/* Exponents of degrees are of the degrees before reweigh. */
static void weigh(knn_job *w, knn_kind kind, const model_options *o) {
    weigh_users(w, kind, o);
    if (kind == KNN_BM25) bm25_lengths(w, opt_num(o, "b"));
    if (kind == KNN_GENERAL || kind == KNN_RP3BETA) weigh_items(w, kind, o);
    if (kind == KNN_BM25 || kind == KNN_RP3BETA || kind == KNN_TFIDF) {
        reweigh(&w->data.user, w->data.n_users, false, kind, w->target, o);
        reweigh(&w->data.item, w->data.n_items, true, kind, w->target, o);
    }
    if (kind != KNN_GENERAL && kind != KNN_RP3BETA) weigh_items(w, kind, o);
}

/* ---- training ------------------------------------------------------------------------------------- */

/* A row of the chunk that this worker is at; the last one makes it a chunk. */
static rec_status keep_row(void *ctx, uint32_t row, const uint32_t *id, float *value,
                           size_t n, int worker, rec_err *err) {
    const knn_job *w = ctx;
    for (size_t i = 0; i < n && w->power != 1; i++) value[i] = powf(value[i], w->power);
    return links_add(&w->model->rows, &w->row[worker], row, id, value, n, err);
}

static rec_status job_init(knn_job *w, const model_fit_args *a, rec_err *err) {
    const model_options *o = a->options;
    const dataset *d = a->data;
    knn_kind kind = (knn_kind)opt_num(o, "similarity");
    linked *m = w->model;
    if (m->bias) kind = KNN_COSINE;
    bool is_cosine = kind == KNN_COSINE || kind == KNN_TFIDF;
    m->curve = (value_curve)opt_num(o, "curve");
    m->is_mean = m->bias != NULL;
    m->is_relative = !is_cosine;
    m->damping = m->bias ? opt_num(o, "damping") : 0;
    w->power = (float)opt_num(o, "power");
    rec_status st = rated_init(&w->data, m, d, (size_t)opt_num(o, "max_history"), err);
    if (st) return st;
    w->user_factor = rec_array(d->n_users, sizeof(float));
    w->source = rec_array(d->n_items, sizeof(float));
    w->target = rec_zeros(d->n_items, sizeof(float));
    w->row = links_rows_new(run_threads(a->run));
    if (!w->user_factor || !w->source || !w->target || !w->row) return rec_nomem(err);
    weigh(w, kind, o);
    double shrinkage = is_cosine ? KNN_SHRINKAGE : 0;
    if (opt_text(o, "shrinkage")) shrinkage = opt_num(o, "shrinkage");
    bool by_support =
        is_cosine && !m->bias; /* sums of ratings less biases have signs */
    w->c = (cooccur){.data = &w->data,
                     .user_factor = w->user_factor,
                     .source = w->source,
                     .target = w->target,
                     .shrinkage = by_support ? 0 : (float)shrinkage,
                     .support = by_support ? (float)shrinkage : 0,
                     .k = (size_t)opt_num(o, "k"),
                     .run = a->run,
                     .phase = "itemknn",
                     .share = 1};
    return links_init(&m->rows, d->n_items, d->n_items, err);
}

static rec_status itemknn_fit(const model_fit_args *a, rec_model **out, rec_err *err) {
    double start = rec_seconds();
    *out = NULL;
    knn_job w = {.model = linked_new(&itemknn_ops, a->data, err)};
    if (!w.model) return REC_NOMEM;
    rec_status st = job_init(&w, a, err);
    if (!st) st = cooccur_rows(&w.c, keep_row, &w, err);
    if (!st) {
        rec_log_row row = {.phase = "itemknn",
                           .epoch = 1,
                           .loss = NAN,
                           .metric = "neighbours",
                           .value = (double)links_count(&w.model->rows),
                           .seconds = rec_seconds() - start};
        run_log(a->run, &row);
        run_progress(a->run, "itemknn", 1);
    }
    links_rows_free(w.row, run_threads(a->run));
    rated_clear(&w.data);
    rec_free(w.user_factor);
    rec_free(w.source);
    rec_free(w.target);
    if (st)
        linked_close(&w.model->base);
    else
        *out = &w.model->base;
    return st;
}

static rec_status itemknn_load(bytes_reader *r, rec_model **out, rec_err *err) {
    return linked_load(&itemknn_ops, r, out, err);
}

// clang-format off
static const model_option itemknn_options[] = {
    {"similarity", OPT_ENUM, 0, 0, "general", "general|cosine|tfidf|bm25|rp3beta", "how two items are compared; explicit: cosine of ratings less biases"},
    {"k", OPT_INT, KNN_MIN_K, KNN_MAX_K, "500", NULL, "neighbours kept of each item"},
    {"shrinkage", OPT_REAL, 0, 1e9, NULL, NULL, "cosines: common users that count half (default 10); else added to the denominator (default 0)"},
    {"power", OPT_REAL, .01, 10, "1", NULL, "exponent of a similarity"},
    {"user_scale", OPT_REAL, 0, 3, ".73", NULL, "general: exponent by which users with long histories count less"},
    {"item_scale", OPT_REAL, 0, 3, ".68", NULL, "general: exponent by which a popular item of the history counts less"},
    {"target_scale", OPT_REAL, 0, 3, ".3", NULL, "general: exponent by which popular items are held back"},
    {"alpha", OPT_REAL, 0, 3, ".55", NULL, "rp3beta: exponent of a step of the walk"},
    {"beta", OPT_REAL, 0, 3, ".3", NULL, "rp3beta: exponent by which popular items are held back"},
    {"k1", OPT_REAL, 0, 1e4, "1.2", NULL, "bm25: where repeated use saturates"},
    {"b", OPT_REAL, 0, 1, ".75", NULL, "bm25: how much popular items are held back"},
    {"curve", OPT_ENUM, 0, 0, "log", "log|linear|binary", "implicit: what a weight counts"},
    {"damping", OPT_REAL, 0, 1e6, "1", NULL, "explicit: similarity that pulls to the bias"},
    {"max_history", OPT_INT, 2, KNN_MAX_HISTORY, "5000", NULL, "items of a user that count in training; more are sampled"},
};
// clang-format on

static const model_tune itemknn_tune[] = {
    {"k", "100|200|500|1000|2000", NULL},
    {"power", "lin .6 1.4", NULL},
    {"user_scale", "lin .3 1.1", "implicit,similarity=general"},
    {"item_scale", "lin .3 1", "implicit,similarity=general"},
    {"target_scale", "lin 0 .6", "implicit,similarity=general"},
    {"shrinkage", "log 1 200", "similarity=cosine"},
    {"alpha", "lin .3 1.2", "similarity=rp3beta"},
    {"beta", "lin 0 .8", "similarity=rp3beta"},
    {"k1", "log .1 10", "similarity=bm25"},
    {"b", "lin .2 1", "similarity=bm25"},
    {"damping", "log .1 20", "explicit"},
};

const rec_model_ops itemknn_ops = {
    .name = "itemknn",
    .needs = MODEL_NEEDS_INTERACTIONS,
    .options = itemknn_options,
    .n_options = sizeof itemknn_options / sizeof itemknn_options[0],
    .tune = itemknn_tune,
    .n_tune = sizeof itemknn_tune / sizeof itemknn_tune[0],
    .fit = itemknn_fit,
    .n_items = linked_n_items,
    .knows = linked_knows,
    .score = linked_score,
    .best = best_by_scores,
    .similar = linked_similar,
    .explain = linked_explain,
    .cold_score = linked_cold_score,
    .language = linked_language,
    .save = linked_save,
    .load = itemknn_load,
    .check = linked_check,
    .nbyte = linked_nbyte,
    .close = linked_close,
};
