/* linked.c - a trained list of neighbours: users at query time, and the stored form.
 *
 *     implicit   score(i) = sum over the history of x_j w_ji
 *     explicit   score(i) = mean + b_u + b_i + sum x_j w_ji / (sum |w_ji| + damping)   a mean
 *                           mean + b_u + b_i + sum x_j w_ji                            a sum
 *
 * The history is that of the query, so a click of a second ago counts, and who never was in the
 * training data is served as anybody else. The score is a sum over the history: its parts are
 * the explanation, and they are exact.
 *
 * similar() reads the row of an item: whom it speaks for. Rows whose weights are no cosines are
 * shown relative to their strongest.
 *
 * Invariants
 *   I1  rows is n_items x n_items and sound (links.c).
 *   I2  mean and biases are finite; implicit: mean > 0. damping is finite and >= 0.
 *
 * Stored: u32 version, feedback, curve, is_mean, is_relative, n_items; f64 mean, damping;
 * explicit: f32 bias[n_items]; links.
 * Cost of a score: the links of the history, about a nanosecond each, and a pass over the items.
 */
#include "links.h"

#include <math.h>

#define LINKED_VERSION 1
#define LINKED_MAX     1e30f

static const linked *self(const rec_model *m) {
    return (const linked *)m;
}

void linked_close(rec_model *m) {
    linked *k = (linked *)m;
    if (!k) return;
    rec_free(k->bias);
    links_clear(&k->rows);
    rec_free(k);
}

static linked *new_linked(const rec_model_ops *ops, feedback_kind feedback,
                          uint32_t n_items, rec_err *err) {
    linked *m = rec_zeros(1, sizeof *m);
    if (m) {
        m->base.ops = ops;
        m->feedback = feedback;
        m->n_items = n_items;
        m->mean = 1;
        if (feedback != FEEDBACK_EXPLICIT ||
            (m->bias = rec_zeros(n_items, sizeof *m->bias)))
            return m;
        linked_close(&m->base);
    }
    rec_nomem(err);
    return NULL;
}

linked *linked_new(const rec_model_ops *ops, const dataset *d, rec_err *err) {
    return new_linked(ops, d->feedback, d->n_items, err);
}

uint32_t linked_n_items(const rec_model *m) {
    return self(m)->n_items;
}

const lsa *linked_language(const rec_model *m) {
    (void)m;
    return NULL;
}

/* ---- a user at query time -------------------------------------------------------------------- */

/* What row j of the history counts; 0 if it says nothing. */
static float value_at(const linked *m, const model_query *q, size_t j, double bias) {
    if (q->item[j] >= m->n_items || !isfinite(q->weight[j])) return 0;
    if (!m->bias) return linked_value(m, q->weight[j]);
    if (!isfinite(q->value[j])) return 0;
    return (float)(q->value[j] - m->mean - bias - m->bias[q->item[j]]);
}

bool linked_knows(const rec_model *model, const model_query *q) {
    const linked *m = self(model);
    links_reader r;
    for (size_t j = 0; j < q->n; j++)
        if (q->item[j] < m->n_items && (m->bias || q->weight[j] > 0) &&
            (m->bias || links_row(&m->rows, q->item[j], &r) > 0))
            return true;
    return false;
}

/* sum[i] += x w_ji, size[i] += |w_ji| (size may be NULL). */
static void add_row(const linked *m, uint32_t item, float x, float *sum, float *size) {
    uint32_t col[LINKS_BLOCK];
    float weight[LINKS_BLOCK];
    links_reader r;
    links_row(&m->rows, item, &r);
    for (size_t n; (n = links_next(&r, col, weight)) > 0;) {
        for (size_t i = 0; i < n; i++) sum[col[i]] += x * weight[i];
        for (size_t i = 0; size && i < n; i++) size[col[i]] += fabsf(weight[i]);
    }
}

static float bounded_score(double x) {
    if (x > LINKED_MAX) return LINKED_MAX;
    return x > -LINKED_MAX ? (float)x : -LINKED_MAX; /* NaN too */
}

static double item_share(const linked *m, double sum, double size) {
    if (!m->is_mean) return sum;
    return size + m->damping > 0 ? sum / (size + m->damping) : 0;
}

/* Scores of all items into sum[n_items]; size[n_items] is scratch for a mean, else NULL. */
static void score_all(const linked *m, const model_query *q, float *sum, float *size) {
    double bias = m->bias ? linked_user_bias(m, q) : 0;
    memset(sum, 0, m->n_items * sizeof *sum);
    if (size) memset(size, 0, m->n_items * sizeof *size);
    for (size_t j = 0; j < q->n; j++) {
        float x = value_at(m, q, j, bias);
        if (x != 0 || size) add_row(m, q->item[j], x, sum, size);
    }
    for (size_t i = 0; i < m->n_items; i++) {
        double s = item_share(m, sum[i], size ? size[i] : 0);
        sum[i] = bounded_score(m->bias ? m->mean + bias + m->bias[i] + s : s);
    }
}

float linked_cold_score(const rec_model *model, const model_query *q) {
    const linked *m = self(model);
    return m->bias ? bounded_score(m->mean + linked_user_bias(m, q)) : 0;
}

rec_status linked_score(const rec_model *model, const model_query *q,
                        const uint32_t *items, size_t n, float *out, rec_err *err) {
    const linked *m = self(model);
    bool whole = !items && n == m->n_items;
    float *sum = whole ? out : rec_array(m->n_items, sizeof *sum);
    float *size = m->is_mean ? rec_array(m->n_items, sizeof *size) : NULL;
    rec_status st = sum && (size || !m->is_mean) ? REC_OK : rec_nomem(err);
    if (!st) score_all(m, q, sum, size);
    float cold = st || whole ? 0 : linked_cold_score(model, q);
    for (size_t i = 0; i < n && !whole; i++) {
        uint32_t item = items ? items[i] : (uint32_t)i;
        out[i] = !st && item < m->n_items ? sum[item] : cold;
    }
    if (!whole) rec_free(sum);
    rec_free(size);
    return st;
}

rec_status linked_similar(const rec_model *model, uint32_t item, float *out,
                          rec_err *err) {
    const linked *m = self(model);
    float most = 1;
    if (item >= m->n_items)
        return rec_fail(err, REC_RANGE, "%s: item %u of %u", m->base.ops->name, item,
                        m->n_items);
    memset(out, 0, m->n_items * sizeof *out);
    add_row(m, item, 1, out, NULL);
    if (m->is_relative) {
        most = 0;
        for (size_t i = 0; i < m->n_items; i++) most = fmaxf(most, fabsf(out[i]));
    }
    for (size_t i = 0; i < m->n_items && most > 0; i++) {
        float s = out[i] / most;
        out[i] = s > 1 ? 1 : s < -1 ? -1 : s;
    }
    out[item] = 1;
    return REC_OK;
}

rec_status linked_explain(const rec_model *model, const model_query *q, uint32_t item,
                          explain_fn fn, void *ctx, rec_err *err) {
    const linked *m = self(model);
    double bias = m->bias ? linked_user_bias(m, q) : 0, size = 0;
    if (item >= m->n_items) return REC_OK;
    float *weight = rec_array(q->n, sizeof *weight);
    if (!weight) return rec_nomem(err);
    for (size_t j = 0; j < q->n; j++) {
        weight[j] =
            q->item[j] < m->n_items ? links_find(&m->rows, q->item[j], item) : 0;
        size += fabsf(weight[j]);
    }
    rec_status st = REC_OK;
    if (m->bias)
        st = fn(ctx, "bias", item, NULL, 0, m->mean + bias + m->bias[item], err);
    for (size_t j = 0; !st && j < q->n; j++) {
        float part = bounded_score(
            item_share(m, (double)value_at(m, q, j, bias) * weight[j], size));
        if (part != 0) st = fn(ctx, "item", q->item[j], NULL, 0, part, err);
    }
    rec_free(weight);
    return st;
}

/* ---- stored form -------------------------------------------------------------------------------- */

rec_status linked_save(const rec_model *model, bytes_writer *w, rec_err *err) {
    const linked *m = self(model);
    const uint32_t head[] = {LINKED_VERSION, (uint32_t)m->feedback, (uint32_t)m->curve,
                             m->is_mean,     m->is_relative,        m->n_items};
    for (size_t i = 0; i < sizeof head / sizeof head[0]; i++) bytes_put_u32(w, head[i]);
    bytes_put_f64(w, m->mean);
    bytes_put_f64(w, m->damping);
    if (m->bias) bytes_put_f32s(w, m->bias, m->n_items);
    links_write(&m->rows, w);
    return w->status ? rec_nomem(err) : REC_OK;
}

static rec_status check_numbers(const linked *m, rec_err *err) {
    const char *name = m->base.ops->name;
    if (!isfinite(m->mean) || fabs(m->mean) > (double)LINKED_MAX ||
        (!m->bias && !(m->mean > 0)) || !(m->damping >= 0) || !isfinite(m->damping))
        return rec_corrupt(err, "%s: mean %g, damping %g", name, m->mean, m->damping);
    if (m->bias && !vec_is_finite(m->bias, m->n_items))
        return rec_corrupt(err, "%s: an item bias is not finite", name);
    if (m->rows.n_rows != m->n_items || m->rows.n_cols != m->n_items)
        return rec_corrupt(err, "%s: neighbours %u x %u of %u items", name,
                           m->rows.n_rows, m->rows.n_cols, m->n_items);
    return REC_OK;
}

rec_status linked_check(const rec_model *model, rec_err *err) {
    const linked *m = self(model);
    rec_status st = check_numbers(m, err);
    return st ? st : links_check(&m->rows, err);
}

rec_status linked_load(const rec_model_ops *ops, bytes_reader *r, rec_model **out,
                       rec_err *err) {
    uint32_t head[6];
    *out = NULL;
    for (size_t i = 0; i < 6; i++) head[i] = bytes_get_u32(r);
    if (r->status || head[0] != LINKED_VERSION || head[1] > FEEDBACK_EXPLICIT ||
        head[2] > CURVE_BINARY || head[3] > 1 || head[4] > 1)
        return rec_corrupt(err, "%s: header has version %u, feedback %u, curve %u",
                           ops->name, head[0], head[1], head[2]);
    if ((r->n - r->at) / 8 < head[5])
        return rec_corrupt(err, "%s: %zu bytes for %u items", ops->name, r->n - r->at,
                           head[5]);
    linked *m = new_linked(ops, (feedback_kind)head[1], head[5], err);
    if (!m) return REC_NOMEM;
    m->curve = (value_curve)head[2];
    m->is_mean = head[3];
    m->is_relative = head[4];
    m->mean = bytes_get_f64(r);
    m->damping = bytes_get_f64(r);
    if (m->bias) bytes_get_f32s(r, m->bias, m->n_items);
    rec_status st = links_read(r, &m->rows, err);
    if (!st) st = check_numbers(m, err);
    if (st)
        linked_close(&m->base);
    else
        *out = &m->base;
    return st;
}

size_t linked_nbyte(const rec_model *model) {
    const linked *m = self(model);
    return sizeof *m + links_nbyte(&m->rows) +
           (m->bias ? m->n_items * sizeof(float) : 0);
}
