/* topdot.c - the best rows of a matrix for many vectors at once, scored as one vector at a time would be.
 *
 *                      vectors, 32 to a panel
 *                    +------------------------+
 *     rows of    ==  |  product >= the limit  |  ==>  pairs that may be among   ==>  score(), exactly,
 *     the matrix ==  |  of its vector ?       |  ==>  the k best: one in        ==>  and into the k best,
 *                    +------------------------+       some hundreds                  which raises the limit
 *
 * A score computed in a block rounds differently from the same score computed alone, and a list must not depend on
 * how many others were asked for. So the fast product only finds out which pairs are worth a look. Any two
 * ways to sum d products of floats differ by at most 2 d u |x| |y| (Higham, Accuracy and Stability of Numerical
 * Algorithms, 3.5; u = 2^-24), and whatever comes within that of the limit is computed by the routine that a
 * single question uses. In random order a vector sees about k log(n / k) of n rows this way.
 *
 * Invariants
 *   I1  found[v] holds what pushing every allowed row's score would have left there: values, ids, ties.
 *   I2  A vector's result depends on that vector alone, not on its neighbours in the panel or on threads.
 *   I3  No piece of work takes longer than about 20 ms.
 *
 * Cost: n_vectors * n_rows * dim multiply-adds, done in registers; memory: the panels, dim floats a vector.
 */
#include "model.h"

#include <math.h>

#define TOPDOT_LANES  32 /* vectors of a panel */
#define TOPDOT_STRIP  64 /* rows between two looks at the limits */
#define TOPDOT_PANELS 2  /* of one piece: a strip is read once for all of them */
#define TOPDOT_PIECE  ((size_t)1 << 26) /* multiply-adds of one piece, about */
/* Fewer vectors than this are scored row by row: most of a panel would be empty. */
#define TOPDOT_FEW 3
/* A vector that may have less than this share of the rows is scored row by row, too. */
#define TOPDOT_SPARSE (1. / 16)

typedef struct topdot_strip {
    const float *panel, *limit; /* dim x TOPDOT_LANES; [TOPDOT_LANES] */
    const float *row, *bias;    /* n_rows x dim, contiguous; bias may be NULL */
    const float *length;        /* [n_rows] of the rows, or NULL: 1 */
    size_t dim, n_rows, n_lanes;
} topdot_strip;
typedef struct topdot_hit {
    uint16_t row, lane;
} topdot_hit;
typedef size_t (*topdot_strips)(const topdot_strip *s, topdot_hit *out);

typedef float topdot_v4 __attribute__((vector_size(16)));
#define TD(name) ref_##name
#define TD_ATTR
#define TD_V  topdot_v4
#define TD_W  4
#define TD_NV 2
#define TD_MR 4
#include "topdot_kernel.h"

#if defined(__x86_64__) && defined(__GNUC__)
typedef float topdot_v8 __attribute__((vector_size(32)));
#define TD(name) avx2_##name
#define TD_ATTR  __attribute__((target("avx2,fma")))
#define TD_V     topdot_v8
#define TD_W     8
#define TD_NV    2
#define TD_MR    6
#include "topdot_kernel.h"

typedef float topdot_v16 __attribute__((vector_size(64)));
#define TD(name) avx512_##name
#define TD_ATTR  __attribute__((target("avx512f,fma")))
#define TD_V     topdot_v16
#define TD_W     16
#define TD_NV    2
#define TD_MR    8
#include "topdot_kernel.h"
#endif

static topdot_strips routine(void) {
#if defined(__x86_64__) && defined(__GNUC__)
    const char *name = vec_kernels()->name;
    if (strcmp(name, "avx512") == 0) return avx512_strips;
    if (strcmp(name, "avx2") == 0) return avx2_strips;
#endif
    return ref_strips;
}

/* ---- one call ---------------------------------------------------------------------------------------------- */

typedef struct sweep {
    const topdot *t;
    topdot_strips strips;
    size_t n_panels, begin, end; /* rows of this round */
    double longest, most_bias;   /* over all rows: |row| / length, |bias| */
    float *panel;                /* [n_panels][dim][TOPDOT_LANES] owned */
    double *norm;                /* [n] owned: |x| */
    bool *is_sparse;             /* [n] owned: see TOPDOT_SPARSE */
    topdot_hit *hit;             /* [n_threads][TOPDOT_STRIP * TOPDOT_LANES] owned */
} sweep;

#define HITS ((size_t)TOPDOT_STRIP * TOPDOT_LANES)
#define UNIT 0x1p-23 /* of rounding, twice */

/* What a product that is not in vain is at least, less what either sum may be off. */
static float limit_of(const sweep *s, size_t v) {
    const topdot *t = s->t;
    double bound = -(double)topk_bound(&t->found[v]),
           shift = t->shift ? t->shift[v] : 0;
    if (isinf(bound))
        return (float)bound; /* not full yet: everything; none wanted: nothing */
    double scale = t->scale, limit = (bound - shift) / scale;
    double off = UNIT * ((double)t->rows->dim + 8) * s->norm[v] * s->longest;
    off += 8 * UNIT * ((fabs(bound) + fabs(shift)) / scale + s->most_bias) + 1e-37;
    float x = (float)(limit - off);
    return isfinite(x) ? nextafterf(x, -INFINITY) : -INFINITY;
}

static void look_at(const sweep *s, size_t v, uint32_t row) {
    const topdot *t = s->t;
    if (!bitmap_has(&t->allowed[v], row)) return;
    float score = t->score(t->ctx, v, row);
    if (isfinite(score)) topk_push(&t->found[v], -score, t->place[row]);
}

/* Rows that follow one another in memory, at most TOPDOT_STRIP and not past `end`. */
static size_t strip_rows(const mat *m, size_t i, size_t end) {
    size_t per = (size_t)1 << m->shift, left = per - (i & (per - 1));
    if (left > end - i) left = end - i;
    return left < TOPDOT_STRIP ? left : TOPDOT_STRIP;
}

static void sweep_strip(const sweep *s, size_t panel, size_t row, size_t n,
                        topdot_hit *hit) {
    const topdot *t = s->t;
    size_t dim = t->rows->dim, first = panel * TOPDOT_LANES;
    size_t n_lanes = t->n - first < TOPDOT_LANES ? t->n - first : TOPDOT_LANES;
    float limit[TOPDOT_LANES];
    for (size_t l = 0; l < TOPDOT_LANES; l++)
        limit[l] =
            l < n_lanes && !s->is_sparse[first + l] ? limit_of(s, first + l) : INFINITY;
    size_t n_asked = 0;
    for (size_t l = 0; l < n_lanes; l++) n_asked += limit[l] < INFINITY;
    if (n_asked == 0) return;
    topdot_strip strip = {.panel = s->panel + panel * dim * TOPDOT_LANES,
                          .limit = limit,
                          .row = mat_row(t->rows, row),
                          .bias = t->bias ? t->bias + row : NULL,
                          .length = t->length ? t->length + row : NULL,
                          .dim = dim,
                          .n_rows = n,
                          .n_lanes = n_lanes};
    size_t n_hits = s->strips(&strip, hit);
    for (size_t h = 0; h < n_hits; h++)
        if (hit[h].lane < n_lanes)
            look_at(s, first + hit[h].lane, (uint32_t)(row + hit[h].row));
}

static rec_status sweep_panels(void *ctx, size_t begin, size_t end, int worker,
                               rec_err *err) {
    const sweep *s = ctx;
    topdot_hit *hit = s->hit + (size_t)worker * HITS;
    (void)err;
    for (size_t row = s->begin, n; row < s->end; row += n) {
        n = strip_rows(s->t->rows, row, s->end);
        for (size_t p = begin; p < end; p++) sweep_strip(s, p, row, n, hit);
    }
    return REC_OK;
}

/* Only the allowed rows of a vector that may have few. */
static rec_status sweep_sparse(void *ctx, size_t begin, size_t end, int worker,
                               rec_err *err) {
    const sweep *s = ctx;
    (void)worker, (void)err;
    for (size_t v = begin; v < end; v++) {
        const bitmap *b = &s->t->allowed[v];
        for (size_t w = 0; s->is_sparse[v] && w < (b->n_bit + 63) / 64; w++) {
            uint64_t word = b->word[w];
            for (size_t row = w * 64; word; row++, word >>= 1)
                if (word & 1) look_at(s, v, (uint32_t)row);
        }
    }
    return REC_OK;
}

static rec_status sweep_few(void *ctx, size_t begin, size_t end, int worker,
                            rec_err *err) {
    const sweep *s = ctx;
    (void)worker, (void)err;
    for (size_t v = begin; v < end; v++)
        for (size_t row = s->begin; row < s->end; row++) look_at(s, v, (uint32_t)row);
    return REC_OK;
}

#define MEASURE_ROWS 4096 /* between two looks at the clock */

/* A row over its length. Where numbers as large or as small as this lose digits, nothing is known. */
static double relative_length(double norm) {
    return norm == 0 || (norm > 1e-18 && norm < 1e18) ? 1 : INFINITY;
}

static rec_status measure(sweep *s, rec_run *run, rec_err *err) {
    const topdot *t = s->t;
    size_t dim = t->rows->dim;
    rec_status st = REC_OK;
    for (size_t i = 0; i < t->rows->n_rows && !st; i++) {
        double norm = (double)vec_norm(mat_row(t->rows, i), dim);
        s->longest = fmax(s->longest, t->length ? relative_length(norm) : norm);
        if (t->bias) s->most_bias = fmax(s->most_bias, fabs((double)t->bias[i]));
        if (i % MEASURE_ROWS == 0) st = run_check(run, err);
    }
    for (size_t v = 0; v < t->n; v++)
        s->norm[v] = (double)vec_norm(t->x + v * t->stride, dim);
    return st;
}

static void fill_panels(sweep *s) {
    const topdot *t = s->t;
    size_t dim = t->rows->dim;
    for (size_t v = 0; v < t->n; v++) {
        float *out =
            s->panel + v / TOPDOT_LANES * dim * TOPDOT_LANES + v % TOPDOT_LANES;
        for (size_t k = 0; k < dim; k++)
            out[k * TOPDOT_LANES] = t->x[v * t->stride + k];
    }
}

static rec_status sweep_init(sweep *s, const topdot *t, rec_run *run, rec_err *err) {
    *s = (sweep){.t = t, .strips = routine()};
    if (t->n < TOPDOT_FEW) return REC_OK;
    s->n_panels = (t->n + TOPDOT_LANES - 1) / TOPDOT_LANES;
    s->panel =
        rec_zeros(s->n_panels, (size_t)t->rows->dim * TOPDOT_LANES * sizeof *s->panel);
    s->norm = rec_zeros(t->n, sizeof *s->norm);
    s->is_sparse = rec_zeros(t->n, sizeof *s->is_sparse);
    s->hit = rec_array((size_t)run_threads(run) * HITS, sizeof *s->hit);
    if (!s->panel || !s->norm || !s->is_sparse || !s->hit) return rec_nomem(err);
    for (size_t v = 0; v < t->n; v++)
        s->is_sparse[v] = (double)bitmap_count(&t->allowed[v]) <
                          TOPDOT_SPARSE * (double)t->rows->n_rows;
    fill_panels(s);
    return measure(s, run, err);
}

rec_status topdot_run(const topdot *t, rec_run *run, rec_err *err) {
    sweep s;
    rec_status st = sweep_init(&s, t, run, err);
    if (st == REC_OK && t->n >= TOPDOT_FEW)
        st = threads_for(run, t->n, TOPDOT_LANES, sweep_sparse, &s, err);
    size_t lanes = t->n < TOPDOT_FEW ? 1 : TOPDOT_PANELS * TOPDOT_LANES;
    size_t span = TOPDOT_PIECE / (lanes * t->rows->dim) + TOPDOT_STRIP;
    for (size_t n = t->rows->n_rows; st == REC_OK && s.begin < n; s.begin = s.end) {
        s.end = n - s.begin < span ? n : s.begin + span;
        st = t->n < TOPDOT_FEW
                 ? threads_for(run, t->n, 1, sweep_few, &s, err)
                 : threads_for(run, s.n_panels, TOPDOT_PANELS, sweep_panels, &s, err);
    }
    rec_free(s.panel);
    rec_free(s.norm);
    rec_free(s.is_sparse);
    rec_free(s.hit);
    return st;
}
