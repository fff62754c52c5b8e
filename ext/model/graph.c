/* graph.c - closed-form filters on the graph of users and items.
 *
 * Whoever took an item is joined to it by an edge. What somebody took is a signal on the items;
 * a filter spreads it over the graph, and what arrives is the score. Nothing is trained by steps.
 *
 *     R~ = F R G     F = user degree ^ -user_scale,  G = item degree ^ -item_scale
 *     P  = R~' R~ / its largest eigenvalue           items to users and back: two hops
 *     V                                              leading eigenvectors of P, by rsvd.c
 *
 *     linear   y = D^linear_out P D^-linear_in h                     D = item degrees
 *     ideal    y = D^ideal_out V V' D^-ideal_in h                    h = the history
 *     gfcf     linear + `ideal` times ideal          Shen and others 2021, "How Powerful is Graph
 *                                                    Convolution for Recommendation?"
 *     bspm     gfcf, then sharpened                  Choi and others 2023, "Blurring-Sharpening
 *                                                    Process Models for Collaborative Filtering"
 *
 * Blurring gives everybody what everybody takes; sharpening runs the heat equation backwards in
 * the other sense, dy/dt = -P y for the time `sharpen`, in `steps` steps of Euler or of
 * Runge and Kutta. One such step is a polynomial in P:
 *
 *     euler   1 - tP          rk4   1 - tP + t^2/2 P^2 - t^3/6 P^3 + t^4/24 P^4
 *
 * What differs from the papers: they use 1/2 for all degrees of R~ and none or 1/2 for the
 * history. Exponents of their own do better on validation rows; and P is divided by its
 * largest eigenvalue, which is 1 for theirs, so that `ideal` and `sharpen` mean the same for all.
 *
 *     the stored model:  edges in compressed rows   +   V in float16
 *     item-item products are computed from the edges: exact, and no matrix of items x items
 *
 * An edge is as strong as its weight over the typical one (the geometric mean), between 1/64 and
 * 64. Explicit ratings: (rating - mean) / deviation up to 2; ratings below the mean make no edge,
 * but count against an item's neighbours in a history, as dislikes do.
 *
 * Training again with up to an eighth of new edges since the eigenvectors were computed keeps them: the
 * linear part has all edges, and a new item's row follows from those of the items that its users took. With
 * more, the decomposition starts from them, and one product with the graph does what three do from random
 * vectors.
 *
 * Invariants
 *   I1  users' edges ascend within a row, lie below n_items, and are finite and > 0.
 *   I2  degree[i] is the sum of item i's edges (to rounding); 0 makes the item's score 0.
 *   I3  eigenvalues descend from 1 and are >= 0; the eigenvectors are finite.
 *   I4  settings lie within the bounds of their options; largest > 0, deviation > 0.
 *
 * Cost: rsvd.c; memory 16 bytes an edge while training. At query time: graph_model.c.
 */
#include "graph.h"

#include <math.h>

#define GRAPH_OVERSAMPLE       10
#define GRAPH_INHERIT_PART     8 /* new edges for the known ones of a basis */
#define GRAPH_USER_SCALE       .35
#define GRAPH_USER_SCALE_SHARP .3
#define GRAPH_MAX_STRENGTH     64.f
#define GRAPH_MAX_RATING       2.f

/* ---- edges ------------------------------------------------------------------------------------- */

float graph_strength(const graph *m, float weight, float value) {
    if (!isfinite(weight) || !isfinite(value)) return 0;
    if (m->feedback == FEEDBACK_EXPLICIT) {
        float z = (float)((value - m->mean) / m->deviation);
        if (z > GRAPH_MAX_RATING) z = GRAPH_MAX_RATING;
        return weight * (z > -GRAPH_MAX_RATING ? z : -GRAPH_MAX_RATING);
    }
    if (weight == 0) return 0;
    float x = (float)fabs(weight / m->deviation);
    if (!(x > 1 / GRAPH_MAX_STRENGTH)) x = 1 / GRAPH_MAX_STRENGTH;
    if (x > GRAPH_MAX_STRENGTH) x = GRAPH_MAX_STRENGTH;
    return weight > 0 ? x : -x;
}

/* What graph_strength compares with. Constant ratings: nobody disliked anything. */
static void measure_ratings(graph *m, const dataset *d) {
    double w = 0, sum = 0, square = 0;
    for (size_t j = 0; j < d->n; j++)
        w += d->weight[j], sum += (double)d->weight[j] * d->value[j];
    m->mean = w > 0 ? sum / w : 0;
    for (size_t j = 0; j < d->n; j++) {
        double z = d->value[j] - m->mean;
        square += d->weight[j] * z * z;
    }
    double deviation = w > 0 ? sqrt(square / w) : 0;
    m->deviation = deviation;
    if (!isfinite(m->mean)) m->mean = 0;
    if (isfinite(deviation) && deviation > 1e-6 * fabs(m->mean) && deviation > 0)
        return;
    m->deviation = fabs(m->mean) > 0 ? fabs(m->mean) : 1;
    m->mean -= m->deviation;
}

static void measure_weights(graph *m, const dataset *d) {
    double sum = 0, n = 0;
    for (size_t j = 0; j < d->n; j++)
        if (d->weight[j] > 0 && isfinite(d->weight[j])) sum += log(d->weight[j]), n++;
    m->mean = 0;
    m->deviation = n > 0 ? exp(sum / n) : 1;
    if (fabs(m->deviation - 1) < 1e-6) m->deviation = 1;
}

/* The users' side; strengths only if they differ from 1. */
static rec_status take_edges(graph *m, const dataset *d, rec_err *err) {
    size_t n = 0;
    bool is_plain = true;
    for (size_t j = 0; j < d->n; j++) {
        float x = graph_strength(m, d->weight[j], d->value[j]);
        n += x > 0;
        is_plain = is_plain && !(x > 0 && x != 1);
    }
    m->users.ptr = rec_zeros((size_t)m->n_users + 1, sizeof *m->users.ptr);
    m->users.other = rec_array(n, sizeof *m->users.other);
    if (!is_plain) m->users.strength = rec_array(n, sizeof *m->users.strength);
    if (!m->users.ptr || !m->users.other || (!is_plain && !m->users.strength))
        return rec_nomem(err);
    n = 0;
    for (size_t u = 0; u < m->n_users; u++) {
        for (size_t j = d->ptr[u]; j < d->ptr[u + 1]; j++) {
            float x = graph_strength(m, d->weight[j], d->value[j]);
            if (!(x > 0)) continue;
            if (m->users.strength) m->users.strength[n] = x;
            m->users.other[n++] = d->item[j];
        }
        m->users.ptr[u + 1] = n;
    }
    return REC_OK;
}

/* ---- eigenvectors ------------------------------------------------------------------------------- */

/* Borrows the structure of a side; only the values are its own. */
static rec_status weigh_side(const graph *m, bool by_user, csr *out, rec_err *err) {
    const graph_side *s = by_user ? &m->users : &m->items;
    size_t n_rows = by_user ? m->n_users : m->n_items;
    *out = (csr){.n_rows = n_rows,
                 .n_cols = by_user ? m->n_items : m->n_users,
                 .n_val = s->ptr[n_rows],
                 .ptr = s->ptr,
                 .col = s->other};
    out->val = rec_array(out->n_val, sizeof *out->val);
    if (!out->val) return rec_nomem(err);
    for (size_t r = 0; r < n_rows; r++)
        for (size_t j = s->ptr[r]; j < s->ptr[r + 1]; j++) {
            size_t u = by_user ? r : s->other[j], i = by_user ? s->other[j] : r;
            out->val[j] = (s->strength ? s->strength[j] : 1) * sqrtf(m->user_norm[u]) *
                          m->item_norm[i];
        }
    return REC_OK;
}

/* Keeps what there is: values over the largest, vectors as float16. */
static rec_status keep_factors(graph *m, const float *s, const mat *v, rec_err *err) {
    uint32_t n = 0;
    while (n < v->dim && s[n] > 0) n++;
    rec_status st = graph_alloc_factors(m, n ? n : 1, err);
    float *row = rec_array(v->dim, sizeof *row);
    if (!st && !row) st = rec_nomem(err);
    if (!st) {
        m->largest = n ? s[0] * s[0] : 1;
        for (uint32_t k = 0; k < n; k++) m->value[k] = s[k] / s[0] * (s[k] / s[0]);
        float scale = sqrtf((float)m->n_items);
        for (size_t i = 0; i < m->n_items; i++) {
            for (uint32_t k = 0; k < m->factors; k++) row[k] = mat_row(v, i)[k] * scale;
            vec_kernels()->f16_from_f32(graph_half_row(m, i), row, m->factors);
        }
        graph_finish_factors(m);
    }
    rec_free(row);
    return st;
}

/* The eigenvectors of the model before, item by item; the others' rows are 0. */
static rec_status start_from(const model_fit_args *a, uint32_t n_items, mat *start,
                             rec_err *err) {
    const graph *old = graph_self(a->previous);
    rec_status st = mat_init(start, n_items, old->factors, err);
    for (size_t i = 0; !st && i < n_items; i++) {
        size_t was = a->previous_item ? a->previous_item[i] : i;
        if (was < old->n_items)
            vec_kernels()->f32_from_f16(mat_row(start, i), graph_half_row(old, was),
                                        old->factors);
    }
    return st;
}

/* The row that item i would have: (P V)_i over the eigenvalues, through the users who took it. */
static void extend_row(const graph *m, size_t i, float *sum, float *row) {
    const rec_kernels *k = vec_kernels();
    memset(sum, 0, m->factors * sizeof *sum);
    for (size_t e = m->items.ptr[i]; e < m->items.ptr[i + 1]; e++) {
        size_t u = m->items.other[e];
        float x = (m->items.strength ? m->items.strength[e] : 1) * m->user_norm[u] *
                  m->item_norm[i] / m->largest;
        for (size_t j = m->users.ptr[u]; j < m->users.ptr[u + 1]; j++) {
            size_t other = m->users.other[j];
            if (other == i) continue;
            k->f32_from_f16(row, graph_half_row(m, other), m->factors);
            k->axpy(sum,
                    x * (m->users.strength ? m->users.strength[j] : 1) *
                        m->item_norm[other],
                    row, m->factors);
        }
    }
    for (size_t f = 0; f < m->factors; f++)
        sum[f] = m->value[f] > 0 ? sum[f] / m->value[f] : 0;
}

/* The number that item i had in a model, KEYS_NONE if it had no edges there. */
static uint32_t old_item(const model_fit_args *a, size_t i) {
    const graph *old = graph_self(a->previous);
    uint32_t was = a->previous_item ? a->previous_item[i] : (uint32_t)i;
    return was < old->n_items && old->degree[was] > 0 ? was : KEYS_NONE;
}

static rec_status extend_rows(graph *m, const model_fit_args *a, rec_err *err) {
    float *sum = rec_zeros(m->factors, sizeof *sum);
    float *row = rec_zeros(m->factors, sizeof *row);
    rec_status st = sum && row ? REC_OK : rec_nomem(err);
    for (size_t i = 0; !st && i < m->n_items; i++) {
        if (old_item(a, i) != KEYS_NONE) continue;
        extend_row(m, i, sum, row);
        vec_kernels()->f16_from_f32(graph_half_row(m, i), sum, m->factors);
        st = run_check(a->run, err);
    }
    rec_free(sum);
    rec_free(row);
    return st;
}

/* The eigenvectors of the model before, as they are; rows of new items follow from them. */
static rec_status inherit_factors(graph *m, const model_fit_args *a, rec_err *err) {
    const graph *old = graph_self(a->previous);
    rec_status st = graph_alloc_factors(m, old->factors, err);
    if (st) return st;
    m->largest = old->largest;
    m->basis = old->basis;
    memcpy(m->value, old->value, m->factors * sizeof *m->value);
    for (size_t i = 0; i < m->n_items; i++) {
        uint32_t was = old_item(a, i);
        uint16_t *to = graph_half_row(m, i);
        if (was == KEYS_NONE)
            memset(to, 0, m->factors * sizeof *to);
        else
            memcpy(to, graph_half_row(old, was), m->factors * sizeof *to);
    }
    st = extend_rows(m, a, err);
    if (!st) graph_finish_factors(m);
    return st;
}

/* Few new edges move the leading directions little: below this share they stay as they are. */
static bool may_inherit(const graph *m, const model_fit_args *a, uint32_t factors) {
    if (!a->previous || a->previous->ops != &graph_ops) return false;
    const graph *old = graph_self(a->previous);
    uint64_t n = m->users.ptr[m->n_users];
    return old->factors == factors && old->user_scale == m->user_scale &&
           old->item_scale == m->item_scale && n >= old->basis &&
           n - old->basis <= old->basis / GRAPH_INHERIT_PART;
}

static rec_status find_factors(graph *m, const model_fit_args *a, uint32_t factors,
                               rec_err *err) {
    uint32_t side = m->n_users < m->n_items ? m->n_users : m->n_items;
    csr by_user = {0}, by_item = {0};
    mat v = {0}, start = {0};
    bool warm = a->previous && a->previous->ops == &graph_ops &&
                graph_self(a->previous)->factors >= factors / 2 &&
                graph_self(a->previous)->filter != GRAPH_LINEAR;
    if (factors > side) factors = side;
    if (factors && may_inherit(m, a, factors)) return inherit_factors(m, a, err);
    m->basis = m->users.ptr[m->n_users];
    float *s = rec_zeros((size_t)factors + 1, sizeof *s);
    rec_status st = s ? weigh_side(m, true, &by_user, err) : rec_nomem(err);
    if (!st) st = weigh_side(m, false, &by_item, err);
    if (!st && warm) st = start_from(a, m->n_items, &start, err);
    rsvd_args x = {.a = &by_user,
                   .at = &by_item,
                   .rank = factors,
                   .oversample = warm ? 0 : GRAPH_OVERSAMPLE,
                   .n_power = warm ? 0 : (int)opt_num(a->options, "power"),
                   .seed = a->seed,
                   .start = warm ? &start : NULL,
                   .phase = "graph"};
    if (!st && factors)
        st = rsvd(&x, NULL, s, &v, a->run, err);
    else if (!st)
        st = mat_init(&v, m->n_items, 1, err);
    if (!st) st = keep_factors(m, s, &v, err);
    rec_free(by_user.val);
    rec_free(by_item.val);
    rec_free(s);
    mat_clear(&v);
    mat_clear(&start);
    return st;
}

/* ---- training ------------------------------------------------------------------------------------- */

static void read_options(graph *m, const model_options *o) {
    m->filter = (graph_filter)opt_num(o, "filter");
    m->solver = (graph_solver)opt_num(o, "solver");
    m->steps = (uint32_t)opt_num(o, "steps");
    m->user_scale = m->filter == GRAPH_BSPM ? GRAPH_USER_SCALE_SHARP : GRAPH_USER_SCALE;
    if (opt_text(o, "user_scale")) m->user_scale = opt_num(o, "user_scale");
    m->item_scale = opt_num(o, "item_scale");
    m->linear_in = opt_num(o, "linear_in");
    m->linear_out = opt_num(o, "linear_out");
    m->ideal_in = opt_num(o, "ideal_in");
    m->ideal_out = opt_num(o, "ideal_out");
    m->ideal = opt_num(o, "ideal");
    m->sharpen = opt_num(o, "sharpen");
}

rec_status graph_fit(const model_fit_args *a, rec_model **out, rec_err *err) {
    const dataset *d = a->data;
    *out = NULL;
    graph *m = rec_zeros(1, sizeof *m);
    if (!m) return rec_nomem(err);
    m->base.ops = &graph_ops;
    m->feedback = d->feedback;
    m->n_users = d->n_users;
    m->n_items = d->n_items;
    m->largest = 1;
    read_options(m, a->options);
    run_progress(a->run, "graph", 0);
    if (d->feedback == FEEDBACK_EXPLICIT)
        measure_ratings(m, d);
    else
        measure_weights(m, d);
    rec_status st = take_edges(m, d, err);
    if (!st) st = graph_finish_edges(m, err);
    if (!st) st = run_check(a->run, err);
    if (!st && m->filter != GRAPH_LINEAR)
        st = find_factors(m, a, (uint32_t)opt_num(a->options, "factors"), err);
    if (!st) st = graph_ops.check(&m->base, err);
    if (st)
        graph_close(&m->base);
    else
        *out = &m->base;
    return st;
}
