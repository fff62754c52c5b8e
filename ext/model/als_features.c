/* als_features.c - what an item is like, as a guess at its factors: features= of als.
 *
 *     features of item i  f_i (a content model's vector, and a 1)      guess  m_i = g_i W' f_i
 *
 *     W = argmin  sum_i c_i |y_i - g_i W' f_i|^2 + mu |W|^2            ridge over the items that people touched
 *
 * An item nobody has touched has no factors: its guess takes their place, so it has a collaborative score on its first
 * day. And the penalty of every other item draws it to its guess in place of 0,
 *
 *     lambda_i |y_i|^2   becomes   s lambda_i |y_i - p m_i|^2
 *
 * so that what few people said of an item is read in the light of what is known of its like (a Gaussian prior whose mean is a
 * regression on features: Agarwal and Chen 2009, "Regression-based latent factor models", without the variances). W
 * is fitted anew in every epoch, to the items of the epoch before. features_prior=x: p = min(x, 1), s = max(x, 1).
 *
 * g_i is how far the rows of an item can take it. Features say what an item is like, not how many chose it, and
 * that is known: of n_i rows with the weight 1 against alpha0 of everybody,
 *
 *     g_i = n_i / (n_i + alpha0 |U|)         the factor that the objective gives one direction of taste, all users alike
 *
 * Without it an item that two people saw is guessed to be as popular as the known items it resembles, and lists of
 * thin data fill with such. Of an item without rows nobody knows how popular it will be, and features tell some of that: when
 * training ends the map is fitted once more with g = 1, for such items alone. Explicit: g = 1.
 *
 * s, unless it is said: plain factors must be free to leave 0 and so are penalised little; on few rows they fit noise.
 * Drawn to a guess they lose nothing by a firm hand. What matters is the product of both sides' penalties, for what one
 * side loses in length the other takes on; s raises that of two rows without interactions to ALS_FIRM, if it is less.
 *
 * c_i = n_i / (n_i + ALS_KNOWN_AT) where g is 1: factors from few rows are hardly known themselves; else g_i sees to that.
 * The bias of explicit ratings is one more factor.
 *
 * Invariants
 *   G1  map has (n_feature + 1) x (factors + 1 if explicit) finite numbers, and belongs to features of one print.
 *   G2  an item without features is drawn to 0, as without features=.
 *
 * Cost an epoch: n d^2 / 2 for the ridge with d features, and a Cholesky of the factors for every item.
 */
#include "als.h"

#include <math.h>

#define ALS_KNOWN_AT 20. /* rows of an item that make its factors half known */
#define ALS_RIDGE    .1  /* mu over the mean diagonal of the features' products */
/* By MovieLens thinned to 10, 25, 50 and 100 %: 6 to 24 differ little where there is much, more is better on little. */
#define ALS_FIRM      20.
#define ALS_MOST_FIRM 1000.

static size_t n_unknown(const als *m) {
    return (size_t)m->factors + (als_is_explicit(m) ? 1 : 0);
}

void als_features_clear(als_features *f) {
    mat_clear(&f->rows);
    mat_clear(&f->known);
    mat_clear(&f->guess);
    rec_free(f->root);
    rec_free(f->reach);
    rec_free(f->inverse);
    *f = (als_features){.strength = 0};
}

static const mat *given(const corpus *docs) {
    return docs && docs->column_print ? &docs->column[0].rows : NULL;
}

/* Items that have a vector: it, and a 1. */
static rec_status copy_rows(als_features *f, const mat *from, const dataset *d,
                            rec_err *err) {
    rec_status st = mat_init(&f->rows, d->n_items, from->dim + 1, err);
    for (size_t i = 0; !st && i < from->n_rows && i < d->n_items; i++) {
        const float *x = mat_row(from, i);
        if (!(vec_norm(x, from->dim) > 0)) continue;
        memcpy(mat_row(&f->rows, i), x, from->dim * sizeof *x);
        mat_row(&f->rows, i)[from->dim] = 1;
    }
    return st;
}

/* (F' C F + mu I)^-1 does not change from epoch to epoch. */
static rec_status invert(als_features *f, rec_run *run, rec_err *err) {
    size_t dim = f->rows.dim;
    double trace = 0;
    if (!f->inverse) f->inverse = rec_array(dim * dim, sizeof *f->inverse);
    if (!f->inverse) return rec_nomem(err);
    rec_status st = la_gram(&f->known, f->inverse, run, err);
    if (st) return st;
    for (size_t k = 0; k < dim; k++) trace += (double)f->inverse[k * dim + k];
    float mu = (float)(ALS_RIDGE * trace / (double)dim + 1e-6);
    for (size_t k = 0; k < dim; k++) f->inverse[k * dim + k] += mu;
    return la_spd_inverse(f->inverse, dim, run, err);
}

/* p and s. */
static void read_prior(als_features *f, const als *m, const model_fit_args *a) {
    const dataset *d = a->data;
    double said = opt_num(a->options, "features_prior"), firm = 1;
    bool is_said = opt_text(a->options, "features_prior") != NULL;
    double both = (double)als_row_lambda(m, NULL, 0, d->n_users) *
                  als_row_lambda(m, NULL, 0, d->n_items);
    if (is_said)
        firm = said;
    else if (!als_is_explicit(m) && both > 0)
        firm = ALS_FIRM / both;
    f->strength = is_said ? (float)fmin(said, 1) : 1;
    f->firmness = (float)fmin(fmax(firm, 1), ALS_MOST_FIRM);
}

/* The rows of known, with g and c of every item; those of the map for items without rows when everybody is 0. */
static rec_status weigh_rows(als_features *f, const als *m, const size_t *item_ptr,
                             double everybody, rec_run *run, rec_err *err) {
    size_t dim = f->rows.dim;
    for (size_t i = 0; i < m->n_items; i++) {
        double n = (double)(item_ptr[i + 1] - item_ptr[i]);
        bool has_features = mat_row(&f->rows, i)[dim - 1] > 0;
        f->reach[i] = everybody > 0 ? (float)(n / (n + everybody)) : 1;
        f->root[i] = 0;
        if (has_features && n > 0)
            f->root[i] = everybody > 0 ? 1 : (float)sqrt(n / (n + ALS_KNOWN_AT));
        memset(mat_row(&f->known, i), 0, dim * sizeof(float));
        vec_kernels()->axpy(mat_row(&f->known, i), f->root[i] * f->reach[i],
                            mat_row(&f->rows, i), dim);
    }
    return invert(f, run, err);
}

rec_status als_features_init(als_features *f, const als *m, const size_t *item_ptr,
                             const model_fit_args *a, rec_err *err) {
    const mat *from = given(a->data->docs);
    *f = (als_features){.firmness = 1};
    if (!from || !from->dim) return REC_OK;
    read_prior(f, m, a);
    rec_status st = copy_rows(f, from, a->data, err);
    if (!st) st = mat_init(&f->known, m->n_items, f->rows.dim, err);
    if (!st) {
        f->root = rec_zeros(m->n_items, sizeof *f->root);
        f->reach = rec_zeros(m->n_items, sizeof *f->reach);
        if (!f->root || !f->reach) st = rec_nomem(err);
    }
    double everybody = als_is_explicit(m) ? 0 : m->alpha0 * a->data->n_users;
    if (!st) st = weigh_rows(f, m, item_ptr, everybody, a->run, err);
    f->is_on = !st;
    return st;
}

/* Factors and biases of the items, each times its root: what the ridge is fitted to. */
static rec_status weigh_items(const als_features *f, const als *m, mat *out,
                              rec_err *err) {
    rec_status st = mat_init(out, m->n_items, (uint32_t)n_unknown(m), err);
    for (size_t i = 0; !st && i < m->n_items; i++) {
        float *y = mat_row(out, i);
        vec_kernels()->axpy(y, f->root[i], mat_row(&m->items, i), m->factors);
        if (m->bias) y[m->factors] = f->root[i] * m->bias[i];
    }
    return st;
}

rec_status als_features_fit(als_features *f, als *m, rec_run *run, rec_err *err) {
    size_t dim = f->rows.dim, n = n_unknown(m);
    float *right = rec_array(dim * n, sizeof *right);
    mat y = {0};
    if (!m->map) m->map = rec_zeros(dim * n, sizeof *m->map);
    rec_status st = right && m->map ? weigh_items(f, m, &y, err) : rec_nomem(err);
    if (!st) st = la_mat_tmul(&f->known, &y, right, run, err);
    if (!st) {
        la_gemm_args g = {.m = dim,
                          .n = n,
                          .k = dim,
                          .alpha = 1,
                          .a = f->inverse,
                          .b = right,
                          .c = m->map,
                          .lda = dim,
                          .ldb = n,
                          .ldc = n};
        la_gemm(&g);
        m->n_feature = (uint32_t)dim - 1;
        mat_clear(&f->guess);
        st = la_mat_mul(&f->rows, m->map, (uint32_t)n, &f->guess, run, err);
    }
    for (size_t i = 0; !st && i < m->n_items; i++)
        for (size_t k = 0; k < n; k++)
            mat_row(&f->guess, i)[k] *= f->strength * f->reach[i];
    mat_clear(&y);
    rec_free(right);
    return st;
}

/* The guess at an item's factors and bias, from its features. */
static void guess(const als *m, const float *x, uint32_t item) {
    size_t n = n_unknown(m);
    float *y = mat_row(&m->items, item), bias = 0;
    memset(y, 0, m->factors * sizeof *y);
    for (size_t k = 0; k <= m->n_feature; k++) {
        float f = k < m->n_feature ? x[k] : 1;
        const float *row = m->map + k * n;
        vec_kernels()->axpy(y, f, row, m->factors);
        if (m->bias) bias += f * row[m->factors];
    }
    if (m->bias) m->bias[item] = bias;
}

rec_status als_features_fill(als_features *f, als *m, const size_t *item_ptr,
                             rec_run *run, rec_err *err) {
    rec_status st = weigh_rows(f, m, item_ptr, 0, run, err);
    if (!st) st = als_features_fit(f, m, run, err);
    if (st) return st;
    for (uint32_t i = 0; i < m->n_items; i++)
        if (!(m->item_scale[i] > 0) && mat_row(&f->rows, i)[m->n_feature] > 0)
            guess(m, mat_row(&f->rows, i), i);
    return REC_OK;
}

/* ---- items that came after training ------------------------------------------------------------- */

static rec_status make_room(als *m, size_t n, rec_err *err) {
    size_t before = m->n_items, cap_scale = before, cap_bias = before;
    rec_status st =
        rec_grow(&m->item_scale, &cap_scale, before + n, sizeof *m->item_scale, err);
    if (!st && m->bias)
        st = rec_grow(&m->bias, &cap_bias, before + n, sizeof *m->bias, err);
    if (!st) st = mat_resize(&m->items, before + n, err);
    for (size_t i = before; !st && i < before + n; i++) {
        m->item_scale[i] = 0;
        if (m->bias) m->bias[i] = 0;
    }
    return st;
}

rec_status als_extend(rec_model *model, const corpus *docs, const catalog *items,
                      const uint32_t *which, size_t n, rec_err *err) {
    als *m = (als *)model;
    const mat *from = given(docs);
    (void)items;
    if (n == 0) return REC_OK;
    rec_status st = make_room(m, n, err);
    if (st) return st;
    uint32_t before = m->n_items;
    m->n_items += (uint32_t)n;
    bool fits = from && m->map && from->dim == m->n_feature &&
                docs->column_print == m->features_print;
    for (size_t i = 0; fits && i < n; i++)
        if (which[i] < from->n_rows && vec_norm(mat_row(from, which[i]), from->dim) > 0)
            guess(m, mat_row(from, which[i]), before + (uint32_t)i);
    return REC_OK;
}
