/* hnsw_walk.c - search of one layer: Algorithm 2 of the paper, and the descent of Algorithm 5.
 *
 *   pool   [ k0 k1 k2 | k3 k4 ... k_ef-1 ]      ascending; | the first one not expanded yet
 *            done       waiting
 *
 * The paper keeps two heaps, candidates and results. While no filter tells them apart, one
 * sorted array of ef numbers is both: take the first that is not expanded, look at its
 * neighbours, insert those nearer than the last. A binary search and a memmove of some
 * hundred bytes are cheaper than two heaps up to HNSW_POOL_MAX; beyond, and for filters, see
 * hnsw_filter.c.
 *
 * The cost is memory: every neighbour is a record somewhere else. So the neighbours of BEAM
 * nodes are first all looked up in the marks, then all fetched into the second-level cache at
 * once, then compared as one batch. Expanding three nodes at once also looks at a few nodes
 * more: at equal ef recall is higher, at equal recall as many keys are computed.
 *
 * Measured on 100k x 256, one thread, queries a second at equal recall:
 *   fetching into the second-level cache, not the first         + 10 %  (more can be under way)
 *   all records of a batch at once, not four or eight ahead     + 30 %
 *   the lists of the nodes to expand, fetched the same way      + 5 to 10 %
 *   large pages                                                 + 8 %
 * and left out: nodes ordered so that neighbours lie together (4 %); codes and links apart,
 * though records are shorter then (- 10 %); fetching lists of probable next nodes (nothing).
 *
 * Equal vectors are a wall: thousands of them fill any pool, and what lies behind is never
 * met. So a walk keeps one of all twins (equal codes) in its pool, the one in the lowest
 * slot, until it has come to its end; then the others join, as far as they are among the ef
 * nearest, and it goes on among them. The build never looks at the others (hnsw_build.c says
 * how they are linked). Only equal keys are compared code by code, which are rare where
 * vectors differ.
 *
 * Marks are one byte a slot that equals the number of the walk; they are cleared once in 255
 * walks. A slot beyond the marks (added while a search was open) counts as seen.
 *
 * Invariants
 *   I1. A walk expands each node at most once, so it ends whatever the links are.
 *   I2. Order is by (key, slot): results do not depend on the order of a list.
 */
#include "hnsw.h"

#define BEAM       3  /* nodes expanded together */
#define POLL_EVERY 64 /* expansions */

/* ---- candidates: lists, heaps, sorting ---------------------------------------------------------- */

rec_status cand_reserve(cand_list *l, size_t n_more, rec_err *err) {
    if (l->cap - l->n >= n_more) return REC_OK;
    return rec_grow(&l->a, &l->cap, l->n + n_more, sizeof *l->a, err);
}

static void min_down(cand *a, size_t n, size_t at) {
    cand x = a[at];
    for (size_t child; (child = 2 * at + 1) < n; at = child) {
        if (child + 1 < n && a[child + 1] < a[child]) child++;
        if (a[child] >= x) break;
        a[at] = a[child];
    }
    a[at] = x;
}

void cand_min_make(cand_list *l) {
    for (size_t i = l->n / 2; i-- > 0;) min_down(l->a, l->n, i);
}

void cand_min_push(cand_list *l, cand c) {
    size_t at = l->n++;
    for (; at > 0 && l->a[(at - 1) / 2] > c; at = (at - 1) / 2)
        l->a[at] = l->a[(at - 1) / 2];
    l->a[at] = c;
}

cand cand_min_pop(cand_list *l) {
    cand top = l->a[0], last = l->a[--l->n];
    if (l->n) {
        l->a[0] = last;
        min_down(l->a, l->n, 0);
    }
    return top;
}

static void max_down(cand *a, size_t n, size_t at) {
    cand x = a[at];
    for (size_t child; (child = 2 * at + 1) < n; at = child) {
        if (child + 1 < n && a[child + 1] > a[child]) child++;
        if (a[child] <= x) break;
        a[at] = a[child];
    }
    a[at] = x;
}

void cand_max_push(cand_list *l, cand c) {
    size_t at = l->n++;
    for (; at > 0 && l->a[(at - 1) / 2] < c; at = (at - 1) / 2)
        l->a[at] = l->a[(at - 1) / 2];
    l->a[at] = c;
}

cand cand_max_pop(cand_list *l) {
    cand top = l->a[0], last = l->a[--l->n];
    if (l->n) {
        l->a[0] = last;
        max_down(l->a, l->n, 0);
    }
    return top;
}

void cand_sort(cand *a, size_t n) {
    if (n > 32) { /* heap sort: no recursion, no bad case */
        for (size_t i = n / 2; i-- > 0;) max_down(a, n, i);
        for (size_t i = n; i-- > 1;) {
            cand top = a[0];
            a[0] = a[i];
            max_down(a, i, 0);
            a[i] = top;
        }
        return;
    }
    for (size_t i = 1; i < n; i++) {
        cand x = a[i];
        size_t j = i;
        for (; j > 0 && a[j - 1] > x; j--) a[j] = a[j - 1];
        a[j] = x;
    }
}

size_t cand_place(const cand *a, size_t n, cand c) {
    size_t lo = 0;
    while (n > 0) {
        size_t half = n / 2;
        bool is_right = a[lo + half] < c;
        lo = is_right ? lo + half + 1 : lo;
        n = is_right ? n - half - 1 : half;
    }
    return lo;
}

/* ---- scratch memory ------------------------------------------------------------------------------- */

void hnsw_scratch_free(hnsw_scratch *s) {
    if (!s) return;
    rec_free(s->mark);
    rec_free(s->pool.a);
    rec_free(s->spill.a);
    rec_free(s->open.a);
    rec_free(s->rest.a);
    rec_free(s->twin.a);
    rec_free(s->tied.a);
    rec_free(s->near_rows.a);
    rec_free(s->near);
    rec_free(s->key);
    quant_query_clear(&s->query);
    quant_query_clear(&s->other);
    rec_free(s);
}

static rec_status scratch_new(const hnsw *ix, hnsw_scratch **out, rec_err *err) {
    hnsw_scratch *s = rec_zeros(1, sizeof *s);
    if (!s) return rec_nomem(err);
    /* A batch of the build compares with all that came before in it. */
    s->cap_near = BEAM * ix->m0 + HNSW_BATCH;
    s->near = rec_array(s->cap_near, sizeof *s->near);
    s->key = rec_array(s->cap_near, sizeof *s->key);
    rec_status rc = s->near && s->key ? REC_OK : rec_nomem(err);
    if (!rc) rc = quant_query_init(&s->query, &ix->q, err);
    if (!rc) rc = quant_query_init(&s->other, &ix->q, err);
    if (rc)
        hnsw_scratch_free(s);
    else
        *out = s;
    return rc;
}

/* Spares are taken and given back by atomic exchange: searches of several threads may use
 * one index as long as nobody changes it. */
rec_status hnsw_scratch_get(const hnsw *cix, hnsw_scratch **out, rec_err *err) {
    hnsw *ix = (hnsw *)cix; /* only the spares, which are atomic */
    for (int i = 0; i < HNSW_SPARES; i++)
        if ((*out = atomic_exchange(&ix->spare[i], NULL)) != NULL) return REC_OK;
    return scratch_new(ix, out, err);
}

void hnsw_scratch_put(const hnsw *cix, hnsw_scratch *s) {
    hnsw *ix = (hnsw *)cix;
    for (int i = 0; s && i < HNSW_SPARES; i++) {
        hnsw_scratch *none = NULL;
        if (atomic_compare_exchange_strong(&ix->spare[i], &none, s)) return;
    }
    hnsw_scratch_free(s);
}

rec_status hnsw_walk_begin(const hnsw *ix, hnsw_scratch *s, rec_err *err) {
    rec_status rc = rec_grow(&s->mark, &s->cap_mark, ix->n_slots, 1, err);
    if (rc) return rc;
    if (s->epoch == UINT8_MAX) {
        memset(s->mark, 0, s->n_mark);
        s->epoch = 0;
    }
    if (ix->n_slots > s->n_mark) {
        memset(s->mark + s->n_mark, 0, ix->n_slots - s->n_mark);
        s->n_mark = ix->n_slots;
    }
    s->epoch++;
    s->pool.n = s->spill.n = s->open.n = s->rest.n = s->twin.n = 0;
    return REC_OK;
}

/* ---- Algorithm 5, first half: down the layers --------------------------------------------------------- */

uint32_t hnsw_descend(const hnsw *ix, hnsw_scratch *s, const quant_query *q, int layer,
                      float *key) {
    uint32_t at = ix->entry;
    quant_keys(ix, q, &at, 1, key);
    cand best = cand_make(*key, at);
    for (int l = ix->top; l > layer; l--)
        for (bool is_better = hnsw_has_layer(ix, at, l); is_better;) {
            const uint32_t *list = hnsw_list(ix, at, l);
            is_better = false;
            quant_keys(ix, q, list + 1, list[0], s->key);
            s->n_keys += list[0];
            for (uint32_t i = 0; i < list[0]; i++) {
                cand c = cand_make(s->key[i], list[1 + i]);
                if (c < best) best = c, is_better = true;
            }
            at = cand_slot(best);
            is_better = is_better && hnsw_has_layer(ix, at, l);
        }
    *key = cand_key(best);
    return at;
}

/* ---- Algorithm 2 ---------------------------------------------------------------------------------------- */

/* Where the pool has a twin of c, whose place would be `at`; pool->n if it has none. Keys of
 * twins are equal, so they lie around `at`. */
static size_t find_twin(const hnsw *ix, const cand_list *pool, size_t at, cand c) {
    const cand *a = pool->a;
    for (size_t i = at; i < pool->n && a[i] >> 32 == c >> 32; i++)
        if (hnsw_is_twin(ix, cand_slot(a[i]), cand_slot(c))) return i;
    for (size_t i = at; i-- > 0 && a[i] >> 32 == c >> 32;)
        if (hnsw_is_twin(ix, cand_slot(a[i]), cand_slot(c))) return i;
    return pool->n;
}

/* Of the two twins the lower slot stays: at < pool place if that is c. */
static void keep_one(hnsw_scratch *s, size_t at, size_t place, cand c, unsigned how) {
    cand *a = s->pool.a, out = c;
    if (at <= place) {
        out = a[place];
        memmove(a + at + 1, a + at, (place - at) * sizeof *a);
        a[at] = c;
    }
    if (how & TAKE_SPILL) s->twin.a[s->twin.n++] = out;
}

/* One candidate; returns its place, ef if the pool stays as it is. */
static size_t take(const hnsw *ix, hnsw_scratch *s, cand c, uint32_t ef, unsigned how) {
    cand *a = s->pool.a, closed = how & TAKE_CLOSED ? CAND_DONE : 0;
    bool is_full = s->pool.n == ef;
    if (is_full && c >= a[ef - 1]) {
        if (how & TAKE_SPILL) s->spill.a[s->spill.n++] = c;
        return ef;
    }
    size_t at = cand_place(a, s->pool.n, c), twin = s->pool.n;
    if (how & TAKE_DISTINCT) twin = find_twin(ix, &s->pool, at, c);
    if (twin < s->pool.n) {
        keep_one(s, at, twin, c, how);
        return at <= twin ? at : ef;
    }
    if (is_full) {
        if (how & TAKE_SPILL) s->spill.a[s->spill.n++] = a[ef - 1] | closed;
        s->pool.n--;
    }
    memmove(a + at + 1, a + at, (s->pool.n - at) * sizeof *a);
    a[at] = c;
    s->pool.n++;
    return at;
}

size_t hnsw_pool_take(const hnsw *ix, hnsw_scratch *s, size_t n, uint32_t ef,
                      unsigned how) {
    cand closed = how & TAKE_CLOSED ? CAND_DONE : 0;
    size_t first = ef;
    for (size_t i = 0; i < n; i++) {
        cand c = cand_make(s->key[i], s->near[i]) | closed;
        size_t at = take(ix, s, c, ef, how);
        if (at < first) first = at;
    }
    return first;
}

/* Twins that the walk has set aside enter the pool; the walk goes on from them. */
static rec_status take_twins(const hnsw *ix, hnsw_scratch *s, uint32_t ef, size_t *at,
                             rec_err *err) {
    rec_status rc = cand_reserve(&s->spill, s->twin.n, err);
    for (size_t i = 0; i < s->twin.n && !rc; i++) {
        size_t place = take(ix, s, s->twin.a[i], ef, TAKE_SPILL);
        if (place < *at) *at = place;
    }
    s->twin.n = 0;
    return rc;
}

static size_t gather(const hnsw *ix, hnsw_scratch *s, size_t n, uint32_t slot,
                     int layer) {
    if (layer > 0 && !hnsw_has_layer(ix, slot, layer)) return n;
    const uint32_t *list = hnsw_list(ix, slot, layer);
    for (uint32_t i = 1; i <= list[0]; i++)
        if (!hnsw_seen(s, list[i])) s->near[n++] = list[i];
    return n;
}

static inline void fetch_list(const hnsw *ix, uint32_t slot, int layer) {
    if (layer > 0) return; /* upper lists are small and mostly cached */
    const char *list = (const char *)hnsw_list(ix, slot, layer);
    for (size_t i = 0; i <= hnsw_width(ix, layer) * sizeof(uint32_t); i += 64)
        __builtin_prefetch(list + i, 0, 2);
}

/* Take the next nodes to expand from place *at on, at most BEAM, and gather their neighbours;
 * *at becomes the first place that was taken. */
static size_t expand(const hnsw *ix, hnsw_scratch *s, int layer, size_t *at) {
    cand *a = s->pool.a;
    uint32_t slot[BEAM];
    size_t n_slot = 0, n = 0, i = *at;
    while (i < s->pool.n && a[i] & CAND_DONE) i++;
    *at = i;
    for (; i < s->pool.n && n_slot < BEAM; i++) {
        if (a[i] & CAND_DONE) continue;
        a[i] |= CAND_DONE;
        fetch_list(ix, slot[n_slot++] = cand_slot(a[i]), layer);
    }
    for (size_t j = 0; j < n_slot; j++) n = gather(ix, s, n, slot[j], layer);
    return n;
}

static rec_status reserve_step(const hnsw *ix, hnsw_scratch *s, rec_err *err) {
    rec_status rc = cand_reserve(&s->spill, BEAM * ix->m0, err);
    return rc ? rc : cand_reserve(&s->twin, BEAM * ix->m0, err);
}

rec_status hnsw_walk(const hnsw *ix, hnsw_scratch *s, const quant_query *q,
                     const walk_args *w, rec_err *err) {
    unsigned how = TAKE_DISTINCT | (w->want_spill ? TAKE_SPILL : 0);
    s->pool.n = 0;
    rec_status rc = cand_reserve(&s->pool, (size_t)w->ef + 1, err);
    if (rc) return rc;
    (void)hnsw_seen(s, w->start);
    s->pool.a[s->pool.n++] = cand_make(w->start_key, w->start);
    for (size_t at = 0, steps = 1;; steps++) {
        if (at >= s->pool.n) {
            if (s->twin.n == 0) return REC_OK;
            if ((rc = take_twins(ix, s, w->ef, &at, err))) return rc;
            how = TAKE_SPILL;
        }
        if (steps % POLL_EVERY == 0 && (rc = run_check(w->run, err))) return rc;
        if (w->want_spill && (rc = reserve_step(ix, s, err))) return rc;
        size_t n = expand(ix, s, w->layer, &at);
        quant_keys(ix, q, s->near, n, s->key);
        s->n_keys += n;
        size_t first = hnsw_pool_take(ix, s, n, w->ef, how);
        if (first < at) at = first;
    }
}
