/* ease_sparse.c - each item explained by its nearest neighbours.
 *
 *     N = the nearest items of i           by the scaled co-occurrence G_ji
 *     (G_NN + lambda I) b = G_Ni           one small system an item
 *     w_ji = b_j t_i / p_j
 *
 * EASE inverts the whole Gram matrix; but all but a hundred of an item's weights are next to
 * nothing, and which hundred is known beforehand. Restricted to them the regression costs
 * N^3 / 6, needs no square matrix, and cannot lean on accidents of far items: it is more exact
 * on held-out data, not less (SLIM, Ning and Karypis 2011, with its elastic net replaced by a
 * choice of neighbours).
 *
 *     cooccur --row of i--> N and G_Ni, by target
 *             --what lies right of the diagonal--> gram
 *     item i:   rows of N --entries with a slot--> A (N x N) --spd.c--> b
 *     b by target --transposed--> links by source
 *
 * The scan of a hundred rows for those columns that are in N is most of the work, so half of the
 * matrix is stored, as plain numbers. Entries beyond the EASE_GRAM largest of their row count
 * as 0: they are the smallest of popular items.
 *
 * Invariants
 *   I1  Each system is built and solved by one thread: bit-identical for any number of threads.
 *   I2  Weights are finite: spd.c solves damped where a system is singular.
 *
 * Cost: the product (cooccur.c), N rows of at most EASE_GRAM entries an item, N^3 / 6 an item.
 */
#include "ease.h"

#include <math.h>

#define EASE_GRAM  4000
#define EASE_GRAIN 16
#define EASE_SHARE .25 /* of the time: the product */

typedef struct gram_chunk { /* LINKS_CHUNK rows, entries right of the diagonal */
    uint32_t *col;          /* owned, as val */
    float *val;
    uint32_t at[LINKS_CHUNK + 1];
} gram_chunk;
typedef struct gram_rows { /* the chunk at which one thread works */
    uint32_t *col;         /* owned, as val */
    float *val;
    size_t n, cap_col, cap_val;
} gram_rows;
typedef struct system_scratch { /* one a worker */
    float *a, *x;               /* owned, as all below; [ld x pad], [pad] */
    uint16_t *slot;             /* [n_items] 1 + place in N */
    uint32_t *hit;              /* [EASE_GRAM] */
    uint64_t *key;              /* [EASE_GRAM] */
    gram_rows own;
} system_scratch;
typedef struct sparse_job {
    ease_job *job;
    gram_chunk *gram;    /* owned */
    size_t n_best;       /* N */
    uint32_t *neighbour; /* [n_items x N] owned, as the next two */
    float *weight;       /* first G_Ni, then what is stored */
    uint32_t *count;     /* [n_items] */
    system_scratch *scratch;
} sparse_job;

/* ---- the product --------------------------------------------------------------------------- */

/* The best N of the n entries of row i, ascending by item. */
static void choose(const sparse_job *s, system_scratch *w, uint32_t row,
                   const uint32_t *id, const float *value, size_t n) {
    uint32_t *out = s->neighbour + (size_t)row * s->n_best;
    float *weight = s->weight + (size_t)row * s->n_best;
    uint64_t least = 0;
    size_t kept = 0;
    for (size_t i = 0; i < n; i++)
        w->key[i] = order_key(fabsf(value[i]) * s->job->order[id[i]], id[i]);
    if (n > s->n_best) least = kth_largest(w->key, n, s->n_best);
    for (size_t i = 0; i < n; i++) {
        if (order_key(fabsf(value[i]) * s->job->order[id[i]], id[i]) < least) continue;
        out[kept] = id[i];
        weight[kept++] = value[i];
    }
    s->count[row] = (uint32_t)kept;
}

/* A chunk is complete: it gets memory of its own, of the right size. */
static rec_status keep_chunk(gram_chunk *c, gram_rows *own, rec_err *err) {
    if (own->n > UINT32_MAX) return rec_nomem(err);
    c->col = rec_array(own->n, sizeof *c->col);
    c->val = rec_array(own->n, sizeof *c->val);
    if (!c->col || !c->val) return rec_nomem(err);
    memcpy(c->col, own->col, own->n * sizeof *c->col);
    memcpy(c->val, own->val, own->n * sizeof *c->val);
    own->n = 0;
    return REC_OK;
}

static rec_status keep_gram_row(void *ctx, uint32_t row, const uint32_t *id,
                                float *value, size_t n, int worker, rec_err *err) {
    sparse_job *s = ctx;
    system_scratch *w = &s->scratch[worker];
    gram_rows *own = &w->own;
    gram_chunk *c = &s->gram[row / LINKS_CHUNK];
    size_t from = 0;
    choose(s, w, row, id, value, n);
    while (from < n && id[from] < row) from++;
    n -= from;
    rec_status st = rec_grow(&own->col, &own->cap_col, own->n + n + 1, 4, err);
    if (!st) st = rec_grow(&own->val, &own->cap_val, own->n + n + 1, 4, err);
    if (st) return st;
    memcpy(own->col + own->n, id + from, n * sizeof *id);
    memcpy(own->val + own->n, value + from, n * sizeof *value);
    own->n += n;
    c->at[row % LINKS_CHUNK + 1] = (uint32_t)own->n;
    bool is_last =
        row % LINKS_CHUNK == LINKS_CHUNK - 1 || row == s->job->data.n_items - 1;
    return is_last ? keep_chunk(c, own, err) : REC_OK;
}

/* ---- one item ------------------------------------------------------------------------------ */

/* Upper triangle of G_NN + lambda I, padded with unknowns that come out as 0. */
static void build_system(const sparse_job *s, system_scratch *w, const uint32_t *id,
                         size_t n) {
    size_t pad = spd_pad(n), ld = spd_stride(n);
    memset(w->a, 0, pad * ld * sizeof *w->a);
    for (size_t a = 0; a < n; a++) {
        const gram_chunk *c = &s->gram[id[a] / LINKS_CHUNK];
        size_t from = c->at[id[a] % LINKS_CHUNK], to = c->at[id[a] % LINKS_CHUNK + 1];
        const uint32_t *col = c->col + from;
        const float *val = c->val + from;
        float *row = w->a + a * ld;
        size_t n_hit = 0;
        for (size_t j = 0; j < to - from; j++) {
            w->hit[n_hit] = (uint32_t)j; /* written over by the next unless it counts */
            n_hit += w->slot[col[j]] != 0;
        }
        for (size_t h = 0; h < n_hit; h++)
            row[w->slot[col[w->hit[h]]] - 1] = val[w->hit[h]];
        row[a] = s->job->diagonal[id[a]] + s->job->lambda;
    }
    for (size_t a = n; a < pad; a++) w->a[a * ld + a] = 1;
}

static void solve_item(const sparse_job *s, system_scratch *w, uint32_t item) {
    const ease_job *job = s->job;
    const spd_kernels *spd = spd_routines();
    size_t n = s->count[item], pad = spd_pad(n), ld = spd_stride(n);
    const uint32_t *id = s->neighbour + (size_t)item * s->n_best;
    float *weight = s->weight + (size_t)item * s->n_best;
    for (size_t a = 0; a < n; a++) w->slot[id[a]] = (uint16_t)(a + 1);
    build_system(s, w, id, n);
    memset(w->x, 0, pad * sizeof *w->x);
    memcpy(w->x, weight, n * sizeof *w->x);
    spd->chol(w->a, pad, ld);
    spd->solve(w->a, pad, ld, w->x);
    for (size_t a = 0; a < n; a++) {
        float x = w->x[a] * job->target[item] / job->scale[id[a]];
        w->slot[id[a]] = 0;
        weight[a] = isfinite(x) ? x : 0;
    }
}

static rec_status solve_items(void *ctx, size_t begin, size_t end, int worker,
                              rec_err *err) {
    sparse_job *s = ctx;
    for (size_t i = begin; i < end; i++) {
        rec_status st = worker_check(s->job->run, worker, err);
        if (st) return st;
        solve_item(s, &s->scratch[worker], (uint32_t)i);
    }
    if (worker == 0)
        run_progress(s->job->run, "ease",
                     EASE_SHARE +
                         (1 - EASE_SHARE) * (double)end / s->job->data.n_items);
    return REC_OK;
}

static rec_status scratch_init(system_scratch *w, size_t n_best, size_t n_items,
                               rec_err *err) {
    w->a = rec_array(spd_pad(n_best) * spd_stride(n_best), sizeof *w->a);
    w->x = rec_array(spd_pad(n_best), sizeof *w->x);
    w->slot = rec_zeros(n_items, sizeof *w->slot);
    w->hit = rec_array(EASE_GRAM + 1, sizeof *w->hit);
    w->key = rec_array(EASE_GRAM, sizeof *w->key);
    return w->a && w->x && w->slot && w->hit && w->key ? REC_OK : rec_nomem(err);
}

static void scratch_clear(system_scratch *w) {
    rec_free(w->a);
    rec_free(w->x);
    rec_free(w->slot);
    rec_free(w->hit);
    rec_free(w->key);
    rec_free(w->own.col);
    rec_free(w->own.val);
}

static rec_status sparse_init(sparse_job *s, rec_err *err) {
    int n_worker = run_threads(s->job->run);
    size_t n_items = s->job->data.n_items, n;
    if (!rec_mul(n_items, s->n_best, &n)) return rec_nomem(err);
    s->gram = rec_zeros(n_items / LINKS_CHUNK + 1, sizeof *s->gram);
    s->neighbour = rec_array(n, sizeof *s->neighbour);
    s->weight = rec_array(n, sizeof *s->weight);
    s->count = rec_zeros(n_items, sizeof *s->count);
    s->scratch = rec_zeros((size_t)n_worker, sizeof *s->scratch);
    if (!s->gram || !s->neighbour || !s->weight || !s->count || !s->scratch)
        return rec_nomem(err);
    rec_status st = REC_OK;
    for (int i = 0; !st && i < n_worker; i++)
        st = scratch_init(&s->scratch[i], s->n_best, n_items, err);
    return st;
}

static void gram_clear(sparse_job *s) {
    for (size_t c = 0; s->gram && c <= s->job->data.n_items / LINKS_CHUNK; c++) {
        rec_free(s->gram[c].col);
        rec_free(s->gram[c].val);
    }
    rec_free(s->gram);
    s->gram = NULL;
}

static void sparse_clear(sparse_job *s) {
    int n_worker = run_threads(s->job->run);
    gram_clear(s);
    for (int i = 0; s->scratch && i < n_worker; i++) scratch_clear(&s->scratch[i]);
    rec_free(s->scratch);
    rec_free(s->neighbour);
    rec_free(s->weight);
    rec_free(s->count);
}

/* ---- from lists by target to lists by source -------------------------------------------------- */

static rec_status transpose(sparse_job *s, csr *out, rec_err *err) {
    size_t n_items = s->job->data.n_items, n = 0;
    out->n_rows = out->n_cols = n_items;
    out->ptr = rec_zeros(n_items + 2, sizeof *out->ptr);
    if (!out->ptr) return rec_nomem(err);
    size_t *place = out->ptr + 1; /* runs from the start of a row to its end */
    for (size_t i = 0; i < n_items; i++)
        for (size_t a = 0; a < s->count[i]; a++, n++) {
            size_t j = s->neighbour[i * s->n_best + a];
            if (j + 1 < n_items) place[j + 1]++;
        }
    for (size_t j = 1; j < n_items; j++) place[j] += place[j - 1];
    out->n_val = n;
    out->col = rec_array(n, sizeof *out->col);
    out->val = rec_array(n, sizeof *out->val);
    if (!out->col || !out->val) return rec_nomem(err);
    for (size_t i = 0; i < n_items; i++)
        for (size_t a = 0; a < s->count[i]; a++) {
            size_t at = place[s->neighbour[i * s->n_best + a]]++;
            out->col[at] = (uint32_t)i;
            out->val[at] = s->weight[i * s->n_best + a];
        }
    return REC_OK;
}

static rec_status keep_rows(sparse_job *s, rec_err *err) {
    links *l = &s->job->model->rows;
    csr by_source = {0};
    links_rows *own = links_rows_new(1);
    rec_status st = own ? transpose(s, &by_source, err) : rec_nomem(err);
    for (uint32_t j = 0; !st && j < l->n_rows; j++) {
        size_t from = by_source.ptr[j], n = by_source.ptr[j + 1] - from;
        st = links_add(l, own, j, by_source.col + from, by_source.val + from, n, err);
    }
    csr_clear(&by_source);
    links_rows_free(own, 1);
    return st;
}

rec_status ease_sparse(ease_job *job, rec_err *err) {
    sparse_job s = {.job = job, .n_best = (size_t)opt_num(job->options, "neighbours")};
    cooccur c = {.data = &job->data,
                 .user_factor = job->user_factor,
                 .source = job->scale,
                 .target = job->scale,
                 .k = EASE_GRAM,
                 .is_signed = job->model->bias != NULL,
                 .run = job->run,
                 .phase = "ease",
                 .share = EASE_SHARE};
    rec_status st = sparse_init(&s, err);
    if (!st) st = cooccur_rows(&c, keep_gram_row, &s, err);
    if (!st)
        st = threads_for(job->run, job->data.n_items, EASE_GRAIN, solve_items, &s, err);
    gram_clear(&s);
    if (!st) st = keep_rows(&s, err);
    sparse_clear(&s);
    return st;
}
