/* graph_model.c - a trained graph filter: scores, explanations, and the stored form.
 *
 *     h --enter--> items -> users -> items --leave--> +--> sharpen --> y      graph.c has the formulas
 *       --enter--> eigenvectors -> back    --leave--> |
 *
 * A user is their history, so whoever came a second ago is served like one of the training data. y is
 * linear in the history as long as nothing is cut off: the share of one item is exact, and all shares come
 * from one pass of the transposed filter from the item that is explained.
 *
 * A step over the graph goes from what is not 0: for a history that is the users of its items and what
 * those took. Sharpening has no zeros left to skip and walks over every edge, once for each power of P.
 *
 *     a list on Gowalla (810,128 edges, 40,981 items), ranking included, ms of one core
 *     linear .3      ideal, 320 eigenvectors 1.6      gfcf, 320: 2      bspm, 256, rk4: 6.5
 *
 * Similar items: cosine of the rows of V weighted by the eigenvalues, which is that of the columns of R~
 * cut to the leading directions; without eigenvectors that of the columns themselves.
 *
 * Stored: u32 version, filter, solver, steps, feedback, n_users, n_items, factors, has strengths;
 * f64 user_scale, item_scale, linear_in, linear_out, ideal_in, ideal_out, ideal, sharpen, mean, deviation;
 * u64 basis; f32 largest; u32 edges of each user; u32 items of the edges; strengths: f32 each; f32 degree[n_items];
 * f32 value[factors]; float16 eigenvectors, item by item.
 */
#include "graph.h"

#include <math.h>

#define GRAPH_VERSION   1
#define GRAPH_SUM_ERROR 1e-3 /* of a stored degree against its edges */

/* ---- memory ------------------------------------------------------------------------------------- */

static size_t n_chunks(const graph *m) {
    return ((size_t)m->n_items + GRAPH_CHUNK_ROWS - 1) / GRAPH_CHUNK_ROWS;
}

static void side_clear(graph_side *s) {
    rec_free(s->ptr);
    rec_free(s->other);
    rec_free(s->strength);
}

void graph_close(rec_model *model) {
    graph *m = (graph *)model;
    if (!m) return;
    side_clear(&m->users);
    side_clear(&m->items);
    rec_free(m->degree);
    rec_free(m->user_norm);
    rec_free(m->item_norm);
    for (int k = 0; k < 2; k++) {
        rec_free(m->enter[k]);
        rec_free(m->leave[k]);
    }
    for (size_t c = 0; m->half && c < n_chunks(m); c++) rec_free(m->half[c]);
    rec_free(m->half);
    rec_free(m->value);
    rec_free(m->length);
    rec_free(m);
}

rec_status graph_alloc_items(graph *m, rec_err *err) {
    size_t n = m->n_items;
    bool ok = (m->degree = rec_zeros(n, sizeof(float))) != NULL;
    ok = ok && (m->user_norm = rec_zeros(m->n_users, sizeof(float)));
    ok = ok && (m->item_norm = rec_zeros(n, sizeof(float)));
    for (int k = 0; k < 2 && ok; k++) {
        ok = (m->enter[k] = rec_zeros(n, sizeof(float))) != NULL;
        ok = ok && (m->leave[k] = rec_zeros(n, sizeof(float)));
    }
    return ok ? REC_OK : rec_nomem(err);
}

rec_status graph_alloc_factors(graph *m, uint32_t factors, rec_err *err) {
    m->factors = factors;
    m->value = rec_zeros(factors, sizeof *m->value);
    m->length = rec_zeros(m->n_items, sizeof *m->length);
    m->half = rec_zeros(n_chunks(m), sizeof *m->half);
    if (!m->value || !m->length || !m->half) return rec_nomem(err);
    for (size_t c = 0; c < n_chunks(m); c++) {
        m->half[c] = rec_array((size_t)GRAPH_CHUNK_ROWS * factors, sizeof **m->half);
        if (!m->half[c]) return rec_nomem(err);
    }
    return REC_OK;
}

/* ---- what follows from the edges ------------------------------------------------------------------- */

static rec_status turn_edges(graph *m, rec_err *err) {
    const graph_side *u = &m->users;
    size_t n = u->ptr[m->n_users];
    m->items.ptr = rec_zeros((size_t)m->n_items + 2, sizeof *m->items.ptr);
    m->items.other = rec_array(n, sizeof *m->items.other);
    if (u->strength) m->items.strength = rec_array(n, sizeof *m->items.strength);
    if (!m->items.ptr || !m->items.other || (u->strength && !m->items.strength))
        return rec_nomem(err);
    size_t *ptr =
        m->items.ptr + 1; /* one ahead: as writing positions they end in place */
    for (size_t j = 0; j < n; j++) ptr[u->other[j] + 1]++;
    for (size_t i = 0; i < m->n_items; i++) ptr[i + 1] += ptr[i];
    for (uint32_t r = 0; r < m->n_users; r++)
        for (size_t j = u->ptr[r]; j < u->ptr[r + 1]; j++) {
            size_t at = ptr[u->other[j]]++;
            m->items.other[at] = r;
            if (u->strength) m->items.strength[at] = u->strength[j];
        }
    return REC_OK;
}

static double degree_of(const graph_side *s, size_t row) {
    double sum = (double)(s->ptr[row + 1] - s->ptr[row]);
    if (!s->strength) return sum;
    sum = 0;
    for (size_t j = s->ptr[row]; j < s->ptr[row + 1]; j++) sum += s->strength[j];
    return sum;
}

rec_status graph_finish_edges(graph *m, rec_err *err) {
    rec_status st = turn_edges(m, err);
    if (!st) st = graph_alloc_items(m, err);
    if (st) return st;
    for (size_t u = 0; u < m->n_users; u++) {
        double d = degree_of(&m->users, u);
        m->user_norm[u] = d > 0 ? (float)pow(d, -2 * m->user_scale) : 0;
    }
    for (size_t i = 0; i < m->n_items; i++) {
        double d = degree_of(&m->items, i);
        m->degree[i] = (float)d;
        if (!(d > 0)) continue;
        m->item_norm[i] = (float)pow(d, -m->item_scale);
        m->enter[0][i] = (float)pow(d, -m->linear_in);
        m->leave[0][i] = (float)pow(d, m->linear_out);
        m->enter[1][i] = (float)pow(d, -m->ideal_in);
        m->leave[1][i] = (float)pow(d, m->ideal_out);
    }
    return REC_OK;
}

/* Lengths of V diag(value): what a cosine divides by. */
void graph_finish_factors(graph *m) {
    for (size_t i = 0; i < m->n_items; i++) {
        const uint16_t *row = graph_half_row(m, i);
        float x[GRAPH_MAX_FACTORS];
        double sum = 0;
        vec_kernels()->f32_from_f16(x, row, m->factors);
        for (size_t k = 0; k < m->factors; k++)
            sum += (double)m->value[k] * x[k] * x[k];
        m->length[i] = (float)sqrt(sum);
    }
}

/* ---- the filter --------------------------------------------------------------------------------------- */

typedef struct graph_room { /* owned */
    float *in, *out, *hop;  /* [n_items] */
    float *user;            /* [n_users]; 0 between steps */
    float *sum;             /* [factors] */
} graph_room;

static void room_clear(graph_room *r) {
    rec_free(r->in);
    rec_free(r->out);
    rec_free(r->hop);
    rec_free(r->user);
    rec_free(r->sum);
    memset(r, 0, sizeof *r);
}

static rec_status room_init(graph_room *r, const graph *m, rec_err *err) {
    r->in = rec_zeros(m->n_items, sizeof *r->in);
    r->out = rec_zeros(m->n_items, sizeof *r->out);
    r->hop = rec_zeros(m->n_items, sizeof *r->hop);
    r->user = rec_zeros(m->n_users, sizeof *r->user);
    r->sum = rec_zeros(m->factors, sizeof *r->sum);
    if (r->in && r->out && r->hop && r->user && r->sum) return REC_OK;
    room_clear(r);
    return rec_nomem(err);
}

/* to[other] += f * strength along the edges of a row. */
static inline void spread(const graph_side *s, size_t row, float f, float *to) {
    size_t begin = s->ptr[row], end = s->ptr[row + 1];
    if (s->strength)
        for (size_t j = begin; j < end; j++) to[s->other[j]] += f * s->strength[j];
    else
        for (size_t j = begin; j < end; j++) to[s->other[j]] += f;
}

/* to = P (from * enter); enter: NULL = 1. from and to may not be the same. */
static void hop(const graph *m, const float *from, const float *enter, float *user,
                float *to) {
    for (size_t i = 0; i < m->n_items; i++)
        if (from[i] != 0)
            spread(&m->items, i, from[i] * m->item_norm[i] * (enter ? enter[i] : 1),
                   user);
    memset(to, 0, m->n_items * sizeof *to);
    for (size_t u = 0; u < m->n_users; u++) {
        if (user[u] == 0) continue;
        spread(&m->users, u, user[u] * m->user_norm[u], to);
        user[u] = 0;
    }
    float unit = 1 / m->largest;
    for (size_t i = 0; i < m->n_items; i++) to[i] *= m->item_norm[i] * unit;
}

/* sum = V' (from * enter) / n_items: both ends of the product stand in float16 times its root. */
static void project(const graph *m, const float *from, const float *enter, float *sum) {
    float row[GRAPH_MAX_FACTORS];
    const rec_kernels *k = vec_kernels();
    float unit = 1 / (float)m->n_items;
    memset(sum, 0, m->factors * sizeof *sum);
    for (size_t i = 0; i < m->n_items; i++) {
        if (from[i] == 0 || enter[i] == 0) continue;
        k->f32_from_f16(row, graph_half_row(m, i), m->factors);
        k->axpy(sum, from[i] * enter[i] * unit, row, m->factors);
    }
}

/* y <- (polynomial of one step)^steps of P applied to y; uses in and hop. */
static void sharpen(const graph *m, graph_room *r, float *y) {
    int order = m->solver == GRAPH_RK4 ? 4 : 1;
    float t = (float)(m->sharpen / m->steps);
    for (uint32_t s = 0; s < m->steps; s++) {
        float c = 1, *from = r->in, *to = r->hop;
        memcpy(from, y, m->n_items * sizeof *from);
        for (int k = 1; k <= order; k++) {
            hop(m, from, NULL, r->user, to);
            c *= -t / (float)k;
            vec_kernels()->axpy(y, c, to, m->n_items);
            float *next = from;
            from = to;
            to = next;
        }
    }
}

bool graph_has_linear(const graph *m) {
    return m->filter != GRAPH_IDEAL;
}
double graph_ideal_weight(const graph *m) {
    return m->filter == GRAPH_LINEAR ? 0 : m->filter == GRAPH_IDEAL ? 1 : m->ideal;
}

/* out = blurred from: linear + ideal; `back`: the transposed. some: the items whose result is wanted
 * from the ideal part, NULL = all. */
static void blur(const graph *m, graph_room *r, const float *from, bool back,
                 const uint32_t *some, size_t n_some) {
    float *const *enter = (float *const *)(back ? m->leave : m->enter);
    float *const *leave = (float *const *)(back ? m->enter : m->leave);
    const rec_kernels *k = vec_kernels();
    float w = (float)graph_ideal_weight(m);
    memset(r->out, 0, m->n_items * sizeof *r->out);
    if (graph_has_linear(m)) hop(m, from, enter[0], r->user, r->out);
    for (size_t i = 0; graph_has_linear(m) && i < m->n_items; i++)
        r->out[i] *= leave[0][i];
    if (!(w > 0) || !m->factors) return;
    project(m, from, enter[1], r->sum);
    for (size_t j = 0; j < (some ? n_some : m->n_items); j++) {
        size_t i = some ? some[j] : j;
        if (i < m->n_items && leave[1][i] > 0)
            r->out[i] +=
                w * leave[1][i] * k->dot_f16(r->sum, graph_half_row(m, i), m->factors);
    }
}

/* ---- questions ---------------------------------------------------------------------------------------- */

static uint32_t graph_n_items(const rec_model *m) {
    return graph_self(m)->n_items;
}

float graph_asked(const graph *m, const model_query *q, size_t j) {
    if (q->item[j] >= m->n_items || !(m->degree[q->item[j]] > 0)) return 0;
    return graph_strength(m, q->weight[j], q->value[j]);
}

static bool graph_knows(const rec_model *model, const model_query *q) {
    for (size_t j = 0; j < q->n; j++)
        if (graph_asked(graph_self(model), q, j) > 0) return true;
    return false;
}

bool graph_sharpens(const graph *m) {
    return m->filter == GRAPH_BSPM && m->sharpen > 0;
}

static rec_status graph_score(const rec_model *model, const model_query *q,
                              const uint32_t *items, size_t n, float *out,
                              rec_err *err) {
    const graph *m = graph_self(model);
    graph_room r = {0};
    for (size_t i = 0; i < n; i++) out[i] = 0;
    if (!graph_knows(model, q)) return REC_OK;
    rec_status st = room_init(&r, m, err);
    if (st) return st;
    for (size_t j = 0; j < q->n; j++) {
        float x = graph_asked(m, q, j);
        if (x != 0) r.in[q->item[j]] = x;
    }
    /* A repeated item would count twice in a part of the items. */
    bool whole = graph_sharpens(m) || !items || n > 1;
    blur(m, &r, r.in, false, whole ? NULL : items, n);
    if (graph_sharpens(m)) sharpen(m, &r, r.out);
    for (size_t i = 0; i < n; i++) {
        uint32_t item = items ? items[i] : (uint32_t)i;
        if (item < m->n_items && m->degree[item] > 0 && isfinite(r.out[item]))
            out[i] = r.out[item];
    }
    room_clear(&r);
    return REC_OK;
}

static float graph_cold_score(const rec_model *m, const model_query *q) {
    (void)m, (void)q;
    return 0;
}

static rec_status graph_explain(const rec_model *model, const model_query *q,
                                uint32_t item, explain_fn fn, void *ctx, rec_err *err) {
    const graph *m = graph_self(model);
    graph_room r = {0};
    if (item >= m->n_items || !(m->degree[item] > 0)) return REC_OK;
    rec_status st = room_init(&r, m, err);
    float *from = rec_zeros(m->n_items, sizeof *from);
    if (!st && !from) st = rec_nomem(err);
    if (!st) {
        from[item] = 1;
        if (graph_sharpens(m)) sharpen(m, &r, from);
        blur(m, &r, from, true, NULL, 0);
    }
    for (size_t j = 0; !st && j < q->n; j++) {
        float x = graph_asked(m, q, j);
        if (x == 0) continue;
        double share = (double)x * r.out[q->item[j]];
        st = fn(ctx, "item", q->item[j], NULL, 0, isfinite((float)share) ? share : 0,
                err);
    }
    rec_free(from);
    room_clear(&r);
    return st;
}

static float cosine(double product, double a, double b) {
    double s = product / (a * b);
    return !isfinite(s) ? 0 : s > 1 ? 1 : s < -1 ? -1 : (float)s;
}

static void similar_by_factors(const graph *m, uint32_t item, float *out) {
    float row[GRAPH_MAX_FACTORS];
    const rec_kernels *k = vec_kernels();
    k->f32_from_f16(row, graph_half_row(m, item), m->factors);
    for (size_t f = 0; f < m->factors; f++) row[f] *= m->value[f];
    for (size_t i = 0; i < m->n_items; i++)
        out[i] = cosine((double)k->dot_f16(row, graph_half_row(m, i), m->factors),
                        m->length[item], m->length[i]);
}

static rec_status similar_by_edges(const graph *m, uint32_t item, float *out,
                                   rec_err *err) {
    graph_room r = {0};
    rec_status st = room_init(&r, m, err);
    double *length = rec_array(m->n_items, sizeof *length);
    if (!st && !length) st = rec_nomem(err);
    for (size_t i = 0; !st && i < m->n_items; i++) {
        double sum = 0;
        for (size_t j = m->items.ptr[i]; j < m->items.ptr[i + 1]; j++) {
            double x = m->items.strength ? m->items.strength[j] : 1;
            sum += x * x * m->user_norm[m->items.other[j]];
        }
        length[i] = sqrt(sum / m->largest) * m->item_norm[i];
    }
    if (!st) {
        r.in[item] = 1;
        hop(m, r.in, NULL, r.user, r.out);
        for (size_t i = 0; i < m->n_items; i++)
            out[i] = cosine(r.out[i], length[item], length[i]);
    }
    rec_free(length);
    room_clear(&r);
    return st;
}

static rec_status graph_similar(const rec_model *model, uint32_t item, float *out,
                                rec_err *err) {
    const graph *m = graph_self(model);
    if (item >= m->n_items)
        return rec_fail(err, REC_RANGE, "graph: item %u of %u", item, m->n_items);
    if (!m->factors) return similar_by_edges(m, item, out, err);
    similar_by_factors(m, item, out);
    return REC_OK;
}

static const lsa *graph_language(const rec_model *m) {
    (void)m;
    return NULL;
}

/* ---- stored form ----------------------------------------------------------------------------------------- */

/* The stored numbers in their order, with the bounds of I4. */
typedef struct graph_number {
    double *at, min, max;
} graph_number;
#define GRAPH_N_NUMBERS 10
static void list_numbers(graph *m, graph_number out[GRAPH_N_NUMBERS]) {
    const graph_number list[GRAPH_N_NUMBERS] = {
        {&m->user_scale, 0, 2},  {&m->item_scale, 0, 2},
        {&m->linear_in, -2, 2},  {&m->linear_out, -2, 2},
        {&m->ideal_in, -2, 2},   {&m->ideal_out, -2, 2},
        {&m->ideal, 0, 1e3},     {&m->sharpen, 0, GRAPH_MAX_SHARPEN},
        {&m->mean, -1e38, 1e38}, {&m->deviation, 1e-45, 1e38}};
    memcpy(out, list, sizeof list);
}

static rec_status graph_save(const rec_model *model, bytes_writer *w, rec_err *err) {
    const graph *m = graph_self(model);
    const uint32_t head[] = {GRAPH_VERSION, m->filter,   m->solver,
                             m->steps,      m->feedback, m->n_users,
                             m->n_items,    m->factors,  m->users.strength != NULL};
    graph_number number[GRAPH_N_NUMBERS];
    size_t n = m->users.ptr[m->n_users];
    for (size_t i = 0; i < sizeof head / sizeof head[0]; i++) bytes_put_u32(w, head[i]);
    list_numbers((graph *)model, number);
    for (size_t i = 0; i < GRAPH_N_NUMBERS; i++) bytes_put_f64(w, *number[i].at);
    bytes_put_u64(w, m->basis);
    bytes_put_f32(w, m->largest);
    for (size_t u = 0; u < m->n_users; u++)
        bytes_put_u32(w, (uint32_t)(m->users.ptr[u + 1] - m->users.ptr[u]));
    for (size_t j = 0; j < n; j++) bytes_put_u32(w, m->users.other[j]);
    if (m->users.strength) bytes_put_f32s(w, m->users.strength, n);
    bytes_put_f32s(w, m->degree, m->n_items);
    bytes_put_f32s(w, m->value, m->factors);
    for (size_t i = 0; i < m->n_items && m->factors; i++)
        for (size_t k = 0; k < m->factors; k++) {
            uint16_t x = graph_half_row(m, i)[k];
            const uint8_t byte[2] = {(uint8_t)x, (uint8_t)(x >> 8)};
            bytes_put(w, byte, sizeof byte);
        }
    return w->status ? rec_nomem(err) : REC_OK;
}

static rec_status check_numbers(const graph *m, rec_err *err) {
    graph_number number[GRAPH_N_NUMBERS];
    list_numbers((graph *)m, number);
    for (size_t i = 0; i < GRAPH_N_NUMBERS; i++)
        if (!(*number[i].at >= number[i].min && *number[i].at <= number[i].max))
            return rec_corrupt(err, "graph: setting %zu is %g, allowed %g to %g", i,
                               *number[i].at, number[i].min, number[i].max);
    if (!(m->largest > 0 && isfinite(m->largest)))
        return rec_corrupt(err, "graph: largest eigenvalue %g", m->largest);
    for (size_t k = 0; k < m->factors; k++)
        if (!(m->value[k] >= 0 && m->value[k] <= (k ? m->value[k - 1] : 1)))
            return rec_corrupt(err, "graph: eigenvalue %zu is %g", k, m->value[k]);
    return REC_OK;
}

static rec_status graph_check(const rec_model *model, rec_err *err) {
    const graph *m = graph_self(model);
    const graph_side *s = &m->users;
    for (size_t u = 0; u < m->n_users; u++)
        for (size_t j = s->ptr[u]; j < s->ptr[u + 1]; j++) {
            bool ascends = j == s->ptr[u] || s->other[j - 1] < s->other[j];
            if (!ascends || s->other[j] >= m->n_items)
                return rec_corrupt(err, "graph: user %zu has an edge to item %u of %u",
                                   u, s->other[j], m->n_items);
            if (s->strength && !(s->strength[j] > 0 && isfinite(s->strength[j])))
                return rec_corrupt(err, "graph: user %zu has an edge of strength %g", u,
                                   s->strength[j]);
        }
    for (size_t i = 0; i < m->n_items; i++) {
        double d = degree_of(&m->items, i);
        if (!(fabs(d - m->degree[i]) <= GRAPH_SUM_ERROR * d))
            return rec_corrupt(err, "graph: item %zu has degree %g, its edges %g", i,
                               m->degree[i], d);
        if (m->factors && !isfinite(m->length[i]))
            return rec_corrupt(err, "graph: the factors of item %zu are not finite", i);
    }
    return check_numbers(m, err);
}

/* Edges of the users, checked (I1) before anything is computed from them. */
static rec_status read_edges(graph *m, bytes_reader *r, bool is_weighted,
                             rec_err *err) {
    size_t n = 0, left = (r->n - r->at) / 4;
    if (left < m->n_users)
        return rec_corrupt(err, "graph: %zu bytes for %u users", r->n - r->at,
                           m->n_users);
    m->users.ptr = rec_zeros((size_t)m->n_users + 1, sizeof *m->users.ptr);
    if (!m->users.ptr) return rec_nomem(err);
    for (size_t u = 0; u < m->n_users; u++) m->users.ptr[u + 1] = n += bytes_get_u32(r);
    left = (r->n - r->at) / (is_weighted ? 8 : 4);
    if (r->status || n > left)
        return rec_corrupt(err, "graph: %zu edges do not fit in %zu bytes", n,
                           r->n - r->at);
    m->users.other = rec_array(n, sizeof *m->users.other);
    if (is_weighted) m->users.strength = rec_array(n, sizeof *m->users.strength);
    if (!m->users.other || (is_weighted && !m->users.strength)) return rec_nomem(err);
    for (size_t j = 0; j < n; j++) {
        m->users.other[j] = bytes_get_u32(r);
        if (m->users.other[j] >= m->n_items)
            return rec_corrupt(err, "graph: an edge to item %u of %u",
                               m->users.other[j], m->n_items);
    }
    if (is_weighted) bytes_get_f32s(r, m->users.strength, n);
    return REC_OK;
}

static rec_status read_factors(graph *m, bytes_reader *r, uint32_t factors,
                               rec_err *err) {
    if (!factors) return REC_OK;
    if ((r->n - r->at) / 2 / factors < m->n_items)
        return rec_corrupt(err, "graph: %zu bytes for %u items of %u factors",
                           r->n - r->at, m->n_items, factors);
    rec_status st = graph_alloc_factors(m, factors, err);
    if (st) return st;
    bytes_get_f32s(r, m->value, factors);
    for (size_t i = 0; i < m->n_items; i++) {
        const uint8_t *byte = bytes_get(r, (size_t)factors * 2);
        uint16_t *row = graph_half_row(m, i);
        for (size_t k = 0; byte && k < factors; k++)
            row[k] = (uint16_t)(byte[2 * k] | byte[2 * k + 1] << 8);
        if (!byte) return rec_corrupt(err, "graph: the factors end at item %zu", i);
    }
    graph_finish_factors(m);
    return REC_OK;
}

static rec_status read_body(graph *m, bytes_reader *r, const uint32_t *head,
                            rec_err *err) {
    graph_number number[GRAPH_N_NUMBERS];
    list_numbers(m, number);
    for (size_t i = 0; i < GRAPH_N_NUMBERS; i++) *number[i].at = bytes_get_f64(r);
    m->basis = bytes_get_u64(r);
    m->largest = bytes_get_f32(r);
    rec_status st = check_numbers(m, err);
    if (!st) st = read_edges(m, r, head[8] != 0, err);
    if (!st && (r->n - r->at) / 4 < m->n_items)
        st =
            rec_corrupt(err, "graph: %zu bytes for %u items", r->n - r->at, m->n_items);
    if (!st) st = graph_finish_edges(m, err);
    if (st) return st;
    bytes_get_f32s(r, m->degree, m->n_items);
    st = read_factors(m, r, head[7], err);
    if (!st && r->status) st = rec_corrupt(err, "graph: the model is cut short");
    return st ? st : graph_check(&m->base, err);
}

static rec_status graph_load(bytes_reader *r, rec_model **out, rec_err *err) {
    uint32_t head[9];
    *out = NULL;
    for (size_t i = 0; i < 9; i++) head[i] = bytes_get_u32(r);
    bool has_factors = head[1] != GRAPH_LINEAR;
    if (r->status || head[0] != GRAPH_VERSION || head[1] > GRAPH_BSPM ||
        head[2] > GRAPH_RK4 || head[3] < 1 || head[3] > GRAPH_MAX_STEPS ||
        head[4] > FEEDBACK_EXPLICIT || head[7] > GRAPH_MAX_FACTORS ||
        (head[7] > 0) != has_factors || head[8] > 1)
        return rec_corrupt(err, "graph: header has version %u, filter %u, %u factors",
                           head[0], head[1], head[7]);
    graph *m = rec_zeros(1, sizeof *m);
    if (!m) return rec_nomem(err);
    m->base.ops = &graph_ops;
    m->filter = (graph_filter)head[1];
    m->solver = (graph_solver)head[2];
    m->steps = head[3];
    m->feedback = (feedback_kind)head[4];
    m->n_users = head[5];
    m->n_items = head[6];
    rec_status st = read_body(m, r, head, err);
    if (st)
        graph_close(&m->base);
    else
        *out = &m->base;
    return st;
}

static size_t graph_nbyte(const rec_model *model) {
    const graph *m = graph_self(model);
    size_t n = m->users.ptr[m->n_users], each = m->users.strength ? 8 : 4;
    return sizeof *m + 2 * n * each +
           ((size_t)m->n_users + m->n_items) * (sizeof(size_t) + sizeof(float)) +
           (size_t)m->n_items * (6 * sizeof(float) + m->factors * sizeof(uint16_t));
}

// clang-format off
static const model_option graph_options[] = {
    {"filter", OPT_ENUM, 0, 0, "gfcf", "linear|ideal|gfcf|bspm", "linear: two hops; ideal: leading eigenvectors; gfcf: both; bspm: both, sharpened"},
    {"factors", OPT_INT, GRAPH_MIN_FACTORS, GRAPH_MAX_FACTORS, "320", NULL, "eigenvectors of the ideal part"},
    {"ideal", OPT_REAL, 0, 1e3, ".3", NULL, "gfcf, bspm: weight of the ideal part"},
    {"sharpen", OPT_REAL, 0, GRAPH_MAX_SHARPEN, "1.6", NULL, "bspm: time of sharpening"},
    {"steps", OPT_INT, 1, GRAPH_MAX_STEPS, "1", NULL, "bspm: steps of sharpening"},
    {"solver", OPT_ENUM, 0, 0, "rk4", "euler|rk4", "bspm: how a step is made"},
    {"user_scale", OPT_REAL, 0, 2, NULL, NULL, "an edge counts (degree of the user)^-user_scale; default .35, bspm .3"},
    {"item_scale", OPT_REAL, 0, 2, ".4", NULL, "an edge counts (degree of the item)^-item_scale"},
    {"linear_in", OPT_REAL, -2, 2, ".3", NULL, "linear part: items of the history times degree^-linear_in"},
    {"linear_out", OPT_REAL, -2, 2, ".2", NULL, "linear part: scores times degree^linear_out"},
    {"ideal_in", OPT_REAL, -2, 2, ".45", NULL, "ideal part: items of the history times degree^-ideal_in"},
    {"ideal_out", OPT_REAL, -2, 2, ".3", NULL, "ideal part: scores times degree^ideal_out"},
    {"power", OPT_INT, 0, 8, "1", NULL, "power iterations of the decomposition"},
};
// clang-format on

static const model_tune graph_tune[] = {
    {"factors", "64|128|256|448", NULL},   {"user_scale", "lin .1 .7", NULL},
    {"item_scale", "lin .1 .7", NULL},     {"linear_in", "lin 0 .6", NULL},
    {"linear_out", "lin -.2 .5", NULL},    {"ideal", "log .05 2", "filter=gfcf"},
    {"ideal", "log .05 2", "filter=bspm"}, {"ideal_in", "lin .1 .7", NULL},
    {"ideal_out", "lin 0 .6", NULL},       {"sharpen", "lin .4 3", "filter=bspm"},
};

const rec_model_ops graph_ops = {
    .name = "graph",
    .needs = MODEL_NEEDS_INTERACTIONS | MODEL_GROWS,
    .options = graph_options,
    .n_options = sizeof graph_options / sizeof graph_options[0],
    .tune = graph_tune,
    .n_tune = sizeof graph_tune / sizeof graph_tune[0],
    .fit = graph_fit,
    .n_items = graph_n_items,
    .knows = graph_knows,
    .score = graph_score,
    .best = graph_best,
    .similar = graph_similar,
    .explain = graph_explain,
    .cold_score = graph_cold_score,
    .language = graph_language,
    .save = graph_save,
    .load = graph_load,
    .check = graph_check,
    .nbyte = graph_nbyte,
    .close = graph_close,
};
