/* embedding.c - an item is one vector, a user the sum of what they like.
 *
 *     x = sum_j s_j z_j        score(i) = cos(x, z_i) + b_i,   b_i = popularity log(1 + likes of i)
 *
 * z_j are the vectors of the history, s_j the strengths of its likes. Nothing of a user is stored,
 * and the sum is what training optimised: a history of a second ago is scored exactly as one of
 * the training data would be. How long z_j is says how much item j tells of a user's taste; for
 * an item on offer the length does not count, but b_i does: directions say what is special about
 * a user, and what everybody likes is left to a number that needs no learning.
 *
 * The score is linear in the likes once |x| is known, so an explanation gives each like its exact
 * share s_j z_j . z_i / (|x| |z_i|), and popularity its own, b_i.
 *
 *     row i of vectors   [ z_i / |z_i| | b_i / 16 ]     length[i] = |z_i|     direction [ x / |x| | 16 ]
 *
 * so that a score is one product of two rows, while the cosine of two items' rows is that of their
 * directions but for some thousandths: popularity is no resemblance.
 *
 * Invariants
 *   I1  vectors and lengths are finite, lengths not negative; a row without its last number has length 1 or 0;
 *   I2  an item with length 0 scores b_i and tells nothing of a user.
 *
 * Stored (embedding_write): the rule of likes (u32, f64, f64), mat vectors, f32 length[n_items].
 * Cost: a score is one product of `factors` + 1 numbers an item.
 */
#include "embedding.h"

#include <math.h>

#define PRIOR_UNIT 16 /* a power of two: nothing is lost by it */

static const embedding *self(const rec_model *m) {
    return (const embedding *)m;
}

void embedding_clear(embedding *e) {
    mat_clear(&e->vectors);
    rec_free(e->length);
    e->length = NULL;
}

void *embedding_new(const rec_model_ops *ops, size_t nbyte, rec_err *err) {
    embedding *e = rec_zeros(1, nbyte);
    if (e)
        e->base.ops = ops;
    else
        rec_nomem(err);
    return e;
}

static size_t factors_of(const embedding *e) {
    return e->vectors.dim - 1;
}

rec_status embedding_measure(embedding *e, size_t from, rec_err *err) {
    rec_status st =
        rec_grow(&e->length, &e->cap_length, e->vectors.n_rows, sizeof *e->length, err);
    for (size_t i = from; !st && i < e->vectors.n_rows; i++) {
        float *row = mat_row(&e->vectors, i);
        e->length[i] = vec_norm(row, factors_of(e));
        if (!vec_normalize(row, factors_of(e))) e->length[i] = 0;
    }
    return st;
}

rec_status embedding_take(embedding *e, mat *z, const liked *l, double popularity,
                          rec_err *err) {
    rec_status st = mat_init(&e->vectors, z->n_rows, z->dim + 1, err);
    for (size_t i = 0; !st && i < z->n_rows; i++) {
        float *row = mat_row(&e->vectors, i);
        memcpy(row, mat_row(z, i), z->dim * sizeof *row);
        if (!vec_is_finite(row, z->dim))
            st = rec_fail(err, REC_RANGE,
                          "%s: training left the range of numbers; lower rate=",
                          e->base.ops->name);
        row[z->dim] = embedding_prior(popularity, l->degree[i]) / PRIOR_UNIT;
    }
    mat_clear(z);
    e->likes = l->rule;
    return st ? st : embedding_measure(e, 0, err);
}

void embedding_vector(const embedding *e, uint32_t item, float *z) {
    const float *row = mat_row(&e->vectors, item);
    for (size_t k = 0; k < factors_of(e); k++) z[k] = row[k] * e->length[item];
}

float embedding_prior(double popularity, uint32_t degree) {
    return (float)(popularity * log1p(degree));
}

uint32_t embedding_n_items(const rec_model *m) {
    return (uint32_t)self(m)->vectors.n_rows;
}

/* ---- a user at query time ----------------------------------------------------------------- */

/* Of like j in the sum over the rows of `vectors`; 0: it does not count. */
static float weight_of(const embedding *e, const model_query *q, size_t j) {
    if (q->item[j] >= e->vectors.n_rows) return 0;
    return liked_strength(&e->likes, q->weight[j], q->value[j]) * e->length[q->item[j]];
}

/* The sum over the history; returns its length, 0 for one that has no direction. */
static double sum_user(const embedding *e, const model_query *q, float *x) {
    memset(x, 0, e->vectors.dim * sizeof *x);
    for (size_t j = 0; j < q->n; j++) {
        float s = weight_of(e, q, j);
        if (s > 0)
            vec_kernels()->axpy(x, s, mat_row(&e->vectors, q->item[j]), factors_of(e));
    }
    double length = (double)vec_norm(x, factors_of(e));
    return isfinite(length) ? length : 0;
}

/* Who likes nothing that is known has no direction, not even that of popularity. */
rec_status embedding_direction(const rec_model *m, const model_query *q, float *x,
                               rec_err *err) {
    const embedding *e = self(m);
    (void)err;
    if (!(sum_user(e, q, x) > 0) || !vec_normalize(x, factors_of(e)))
        memset(x, 0, e->vectors.dim * sizeof *x);
    else
        x[factors_of(e)] = PRIOR_UNIT;
    return REC_OK;
}

const mat *embedding_vectors(const rec_model *m, vec_metric *metric) {
    *metric = METRIC_IP;
    return &self(m)->vectors;
}

bool embedding_knows(const rec_model *m, const model_query *q) {
    for (size_t j = 0; j < q->n; j++)
        if (weight_of(self(m), q, j) > 0) return true;
    return false;
}

static float item_score(const rec_model *m, const float *x, uint32_t item) {
    const mat *v = &self(m)->vectors;
    float s = vec_kernels()->dot(mat_row(v, item), x, v->dim);
    return isfinite(s) ? s : 0;
}

rec_status embedding_score(const rec_model *m, const model_query *q,
                           const uint32_t *items, size_t n, float *out, rec_err *err) {
    const embedding *e = self(m);
    float *x = rec_array(e->vectors.dim, sizeof *x);
    for (size_t i = 0; i < n; i++) out[i] = 0;
    if (!x) return rec_nomem(err);
    rec_status st = embedding_direction(m, q, x, err);
    for (size_t i = 0; !st && i < n; i++) {
        uint32_t item = items ? items[i] : (uint32_t)i;
        if (item < e->vectors.n_rows) out[i] = item_score(m, x, item);
    }
    rec_free(x);
    return st;
}

rec_status embedding_best(const rec_model *m, const model_best *b, rec_run *run,
                          rec_err *err) {
    const embedding *e = self(m);
    best_vectors v = {.rows = &e->vectors,
                      .scale = 1,
                      .width = e->vectors.dim,
                      .fold = embedding_direction,
                      .score = item_score};
    return best_by_vectors(m, &v, b, run, err);
}

float embedding_cold_score(const rec_model *m, const model_query *q) {
    (void)m, (void)q;
    return 0;
}

rec_status embedding_similar(const rec_model *m, uint32_t item, float *out,
                             rec_err *err) {
    const embedding *e = self(m);
    if (item >= e->vectors.n_rows)
        return rec_fail(err, REC_RANGE, "%s: item %u of %zu", m->ops->name, item,
                        e->vectors.n_rows);
    vectors_alike(&e->vectors, NULL, item, out);
    return REC_OK;
}

rec_status embedding_explain(const rec_model *m, const model_query *q, uint32_t item,
                             explain_fn fn, void *ctx, rec_err *err) {
    const embedding *e = self(m);
    if (item >= e->vectors.n_rows) return REC_OK;
    float *x = rec_array(e->vectors.dim, sizeof *x);
    if (!x) return rec_nomem(err);
    double length = sum_user(e, q, x);
    rec_free(x);
    rec_status st = REC_OK;
    const float *offered = mat_row(&e->vectors, item);
    for (size_t j = 0; !st && length > 0 && j < q->n; j++) {
        float s = weight_of(e, q, j);
        if (!(s > 0)) continue;
        const float *own = mat_row(&e->vectors, q->item[j]);
        double share = s * vec_kernels()->dot(own, offered, factors_of(e)) / length;
        st = fn(ctx, "item", q->item[j], NULL, 0, isfinite(share) ? share : 0, err);
    }
    double prior = PRIOR_UNIT * (double)offered[factors_of(e)];
    if (!st && length > 0 && prior > 0)
        st = fn(ctx, "popularity", KEYS_NONE, NULL, 0, prior, err);
    return st;
}

/* ---- stored form ---------------------------------------------------------------------------- */

void embedding_write(const embedding *e, bytes_writer *w) {
    like_rule_write(&e->likes, w);
    mat_write(&e->vectors, w);
    bytes_put_f32s(w, e->length, e->vectors.n_rows);
}

rec_status embedding_read(bytes_reader *r, embedding *e, rec_err *err) {
    rec_status st = like_rule_read(r, &e->likes, err);
    if (!st) st = mat_read(r, &e->vectors, err);
    if (st) return st;
    if (r->status || e->vectors.dim < 2 || factors_of(e) > EMBEDDING_MAX_FACTORS ||
        e->vectors.n_rows >= KEYS_NONE)
        return rec_corrupt(err, "%s: %zu x %u vectors", e->base.ops->name,
                           e->vectors.n_rows, e->vectors.dim);
    st =
        rec_grow(&e->length, &e->cap_length, e->vectors.n_rows, sizeof *e->length, err);
    if (st) return st;
    bytes_get_f32s(r, e->length, e->vectors.n_rows);
    return r->status ? rec_corrupt(err, "%s: lengths of %zu vectors are cut short",
                                   e->base.ops->name, e->vectors.n_rows)
                     : REC_OK;
}

rec_status embedding_check(const rec_model *m, rec_err *err) {
    const embedding *e = self(m);
    for (size_t i = 0; i < e->vectors.n_rows; i++)
        if (!vec_is_finite(mat_row(&e->vectors, i), e->vectors.dim) ||
            !isfinite(e->length[i]) || e->length[i] < 0) /* I1 */
            return rec_corrupt(err, "%s: the vector of item %zu is not finite",
                               m->ops->name, i);
    return REC_OK;
}

size_t embedding_nbyte(const rec_model *m) {
    return mat_nbyte(&self(m)->vectors) + self(m)->cap_length * sizeof(float);
}
