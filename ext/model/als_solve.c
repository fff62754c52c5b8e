/* als_solve.c - the exact solution for one row of a factorisation, by the cheaper of two ways.
 *
 * A history of m rows h_j (of the fixed side) with weights w_j asks for
 *
 *     (D + H' W H) x = H' c          D diagonal, H is m x d, c_j = w_j + extra if liked, else 0
 *
 * D = alpha0 * (fixed' fixed) + lambda I would be a full matrix; in the principal axes of the
 * fixed side it is diagonal. One d x d eigen-decomposition and one product per half-epoch buy that
 * for all rows together, and nothing has to be rotated back: the objective does not know in
 * which axes it is written. With F = W^1/2 H D^-1/2 (m x d) and r = W^-1/2 c the solution is
 *
 *     short histories (Woodbury)   (I + F F') z = r,   x = D^-1 H' W^1/2 z      m^2 d / 2 + m^3 / 6
 *     long histories (Cholesky)    (D + H' W H) x = H' c                        m d^2 / 2 + d^3 / 6
 *
 * The m x m matrix is the identity plus something positive, so single precision does. Most
 * histories are short: on a typical log 95 % have fewer than 64 rows.
 *
 * Explicit ratings use the same two ways with D = lambda I and one more unknown, the row's own
 * bias, whose column in H is 1; the target is the rating less the fixed side's bias.
 *
 *     panel, short   d x stride(m)   F transposed: column j is history row j
 *     panel, long    64 x stride(d)  W^1/2 H, sixty-four rows at a time
 *
 * Invariants
 *   I1  both ways minimise the same objective (tests compare them to each other and to a plain
 *       double-precision solver);
 *   I2  an empty history gives x = 0;
 *   I3  no allocation in als_solve, so it runs in threads with one scratch each.
 */
#include "als.h"

#include <math.h>

#define ALS_FETCH_FLOATS 128 /* the processor sees the rest of a long row coming */
/* Confidences are cut to this range: beyond it single precision no longer tells a history row
 * that is all-important from one that does not count. */
#define ALS_MIN_WEIGHT 1e-6f
#define ALS_MAX_WEIGHT 1e6f
/* Least diagonal of D, relative to its largest element. */
#define ALS_MIN_DIAGONAL 1e-9f

size_t als_n_unknown(const als_task *t) {
    return t->fixed->dim + (t->bias ? 1 : 0);
}

/* Up to how many rows a history counts as short. By arithmetic both ways are equal at m = d;
 * the short way also has to turn F round. */
size_t als_short_limit(const als_task *t) {
    return t->dense ? 0 : als_n_unknown(t) * 3 / 4;
}

rec_status als_scratch_init(als_scratch *s, const als_task *t, size_t n_row,
                            rec_err *err) {
    size_t dim = als_n_unknown(t),
           m = n_row < als_short_limit(t) ? n_row : als_short_limit(t);
    memset(s, 0, sizeof *s);
    s->n_panel = dim * spd_stride(m);
    s->n_system = spd_pad(m) * spd_stride(m);
    if (n_row > als_short_limit(t)) {
        size_t panel = ALS_BLOCK_ROWS * spd_stride(dim);
        size_t system = spd_pad(dim) * spd_stride(dim);
        if (s->n_panel < panel) s->n_panel = panel;
        if (s->n_system < system) s->n_system = system;
    }
    s->n_vec = 4 * spd_pad(dim > m ? dim : m);
    s->left = rec_zeros(n_row, sizeof *s->left);
    s->panel = rec_zeros(s->n_panel, sizeof *s->panel);
    s->system = rec_zeros(s->n_system, sizeof *s->system);
    s->vec = rec_zeros(s->n_vec, sizeof *s->vec);
    if (s->left && s->panel && s->system && s->vec) return REC_OK;
    als_scratch_clear(s);
    return rec_nomem(err);
}

void als_scratch_clear(als_scratch *s) {
    rec_free(s->left);
    rec_free(s->panel);
    rec_free(s->system);
    rec_free(s->vec);
    memset(s, 0, sizeof *s);
}

/* Rows lie all over the fixed side, and waiting for them takes longer than the arithmetic: ask
 * for row j of the history some rows before it is read. */
void als_fetch_ahead(const als_task *t, const als_history *h, size_t j) {
#if defined(__GNUC__)
    if (j >= h->n) return;
    const float *row = mat_row(t->fixed, h->row[j]);
    size_t n = t->fixed->dim < ALS_FETCH_FLOATS ? t->fixed->dim : ALS_FETCH_FLOATS;
    for (size_t k = 0; k < n; k += 16) __builtin_prefetch(row + k);
#else
    (void)t, (void)h, (void)j;
#endif
}

/* ---- the parts of a system ------------------------------------------------------------------ */

static float root_weight(float w) {
    w = fabsf(w);
    if (!(w > ALS_MIN_WEIGHT)) w = ALS_MIN_WEIGHT;
    return sqrtf(w < ALS_MAX_WEIGHT ? w : ALS_MAX_WEIGHT);
}

float als_weight(float w) {
    w = root_weight(w);
    return w * w;
}

/* c_j, the weight of row j on the right side. */
float als_pull(const als_task *t, const als_history *h, size_t j) {
    float s = root_weight(h->weight[j]);
    if (t->bias) return s * s * (h->target[j] - t->bias[h->row[j]]);
    return h->weight[j] > 0 ? s * s + t->extra : 0;
}

void als_diagonal(const als_task *t, float lambda, float *d) {
    size_t dim = als_n_unknown(t);
    float most = 0;
    for (size_t k = 0; k < dim; k++) {
        d[k] = lambda + (t->spectrum && k < t->fixed->dim ? t->spectrum[k] : 0);
        if (d[k] > most) most = d[k];
    }
    float least = most * ALS_MIN_DIAGONAL + 1e-20f;
    for (size_t k = 0; k < dim; k++)
        if (!(d[k] > least)) d[k] = least;
}

/* ---- short histories ---------------------------------------------------------------------------- */

typedef struct quad { /* four rows of a history */
    const float *row[4];
    float scale[4]; /* root of each one's weight; 0 = padding */
} quad;

/* out[k * ld + i] = row i [k] * scale[i] * root[k] for four rows: a transposition, done four by
 * four in registers where the compiler can say so (a third of an epoch at 256 factors if not). */
static void put_quad(const quad *q, const float *root, size_t n, float *out,
                     size_t ld) {
    size_t k = 0;
#if defined(__has_builtin)
#if __has_builtin(__builtin_shufflevector)
    typedef float v4 __attribute__((vector_size(16)));
    for (; k + 4 <= n; k += 4, out += 4 * ld) {
        v4 a[4], r, low[2], high[2], col[4];
        memcpy(&r, root + k, sizeof r);
        for (int i = 0; i < 4; i++) {
            memcpy(&a[i], q->row[i] + k, sizeof a[i]);
            a[i] *= r * q->scale[i];
        }
        for (int i = 0; i < 2; i++) {
            low[i] = __builtin_shufflevector(a[2 * i], a[2 * i + 1], 0, 4, 1, 5);
            high[i] = __builtin_shufflevector(a[2 * i], a[2 * i + 1], 2, 6, 3, 7);
        }
        col[0] = __builtin_shufflevector(low[0], low[1], 0, 1, 4, 5);
        col[1] = __builtin_shufflevector(low[0], low[1], 2, 3, 6, 7);
        col[2] = __builtin_shufflevector(high[0], high[1], 0, 1, 4, 5);
        col[3] = __builtin_shufflevector(high[0], high[1], 2, 3, 6, 7);
        for (size_t c = 0; c < 4; c++) memcpy(out + c * ld, &col[c], sizeof col[c]);
    }
#endif
#endif
    for (; k < n; k++, out += ld)
        for (size_t i = 0; i < 4; i++) out[i] = q->row[i][k] * (root[k] * q->scale[i]);
}

/* F transposed into the panel, four history rows at a time. Columns that pad m are zero. */
static void gather_columns(const als_task *t, const als_history *h, const float *root,
                           float *panel, size_t ld) {
    size_t factors = t->fixed->dim;
    for (size_t j = 0; j < spd_pad(h->n); j += 4) {
        quad q;
        for (size_t i = 0; i < 4; i++) {
            bool is_row = j + i < h->n;
            als_fetch_ahead(t, h, j + i + ALS_FETCH_ROWS);
            q.row[i] = mat_row(t->fixed, h->row[is_row ? j + i : 0]);
            q.scale[i] = is_row ? root_weight(h->weight[j + i]) : 0;
        }
        put_quad(&q, root, factors, panel + j, ld);
        for (size_t i = 0; t->bias && i < 4; i++)
            panel[factors * ld + j + i] = q.scale[i] * root[factors];
    }
}

static double solve_short(const als_task *t, const als_history *h, als_scratch *s,
                          float *x) {
    const spd_kernels *spd = spd_routines();
    size_t dim = als_n_unknown(t), n = spd_pad(h->n), ld = spd_stride(h->n);
    size_t factors = t->fixed->dim, part = s->n_vec / 4;
    float *d = s->vec, *root = d + part, *r = root + part, *z = r + part;
    als_diagonal(t, h->lambda, d);
    for (size_t k = 0; k < dim; k++) root[k] = 1 / sqrtf(d[k]);
    gather_columns(t, h, root, s->panel, ld);
    memset(s->system, 0, n * ld * sizeof *s->system);
    for (size_t j = 0; j < n; j++) s->system[j * ld + j] = 1;
    spd->rank_k(s->system, n, ld, s->panel, dim);
    spd->chol(s->system, n, ld);
    for (size_t j = 0; j < n; j++)
        z[j] = r[j] = j < h->n ? als_pull(t, h, j) / root_weight(h->weight[j]) : 0;
    spd->solve(s->system, n, ld, z);
    memset(x, 0, dim * sizeof *x);
    double gain = 0; /* c'H x = r'(I - M^-1) r = r'(r - z) */
    for (size_t j = 0; j < h->n; j++) {
        float f = z[j] * root_weight(h->weight[j]);
        spd->add(x, mat_row(t->fixed, h->row[j]), f, factors);
        if (t->bias) x[factors] += f;
        gain += (double)r[j] * (r[j] - z[j]);
    }
    for (size_t k = 0; k < dim; k++) x[k] /= d[k];
    return gain;
}

/* ---- long histories ------------------------------------------------------------------------------ */

/* System = D + H' W H, factored; b = H' c when wanted. */
static void build_dense(const als_task *t, const als_history *h, als_scratch *s,
                        float *b) {
    const spd_kernels *spd = spd_routines();
    size_t dim = als_n_unknown(t), n = spd_pad(dim), ld = spd_stride(dim);
    size_t factors = t->fixed->dim;
    memset(s->system, 0, n * ld * sizeof *s->system);
    als_diagonal(t, h->lambda, s->vec);
    for (size_t k = 0; k < n; k++) s->system[k * ld + k] = k < dim ? s->vec[k] : 1;
    if (b) memset(b, 0, n * sizeof *b);
    for (size_t begin = 0; begin < h->n; begin += ALS_BLOCK_ROWS) {
        size_t rows = h->n - begin < ALS_BLOCK_ROWS ? h->n - begin : ALS_BLOCK_ROWS;
        for (size_t j = 0; j < rows; j++) {
            const float *row = mat_row(t->fixed, h->row[begin + j]);
            als_fetch_ahead(t, h, begin + j + ALS_FETCH_ROWS);
            float w = root_weight(h->weight[begin + j]), *out = s->panel + j * ld;
            for (size_t k = 0; k < factors; k++) out[k] = w * row[k];
            for (size_t k = factors; k < n; k++) out[k] = 0;
            if (t->bias) out[factors] = w;
            if (b) spd->add(b, out, als_pull(t, h, begin + j) / w, dim);
        }
        spd->rank_k(s->system, n, ld, s->panel, rows);
    }
    if (b && h->prior) spd->add(b, h->prior, h->lambda, dim);
    spd->chol(s->system, n, ld);
}

static double solve_long(const als_task *t, const als_history *h, als_scratch *s,
                         float *x) {
    size_t dim = als_n_unknown(t), part = s->n_vec / 4;
    float *b = s->vec + part, *y = b + part;
    build_dense(t, h, s, b);
    memcpy(y, b, spd_pad(dim) * sizeof *y);
    spd_routines()->solve(s->system, spd_pad(dim), spd_stride(dim), y);
    double gain = 0;
    for (size_t k = 0; k < dim; k++) {
        x[k] = y[k];
        gain += (double)b[k] * y[k];
    }
    return gain;
}

double als_solve(const als_task *t, const als_history *h, als_scratch *s, float *x) {
    if (h->n == 0) {
        memset(x, 0, als_n_unknown(t) * sizeof *x);
        return 0;
    }
    return h->n <= als_short_limit(t) ? solve_short(t, h, s, x)
                                      : solve_long(t, h, s, x);
}

void als_solve_rhs(const als_task *t, const als_history *h, als_scratch *s,
                   const float *rhs, float *out) {
    size_t dim = als_n_unknown(t), part = s->n_vec / 4;
    float *y = s->vec + part;
    build_dense(t, h, s, NULL);
    memset(y, 0, spd_pad(dim) * sizeof *y);
    memcpy(y, rhs, dim * sizeof *y);
    spd_routines()->solve(s->system, spd_pad(dim), spd_stride(dim), y);
    memcpy(out, y, dim * sizeof *out);
}
