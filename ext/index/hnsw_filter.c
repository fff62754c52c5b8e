/* hnsw_filter.c - walks that may return only some of what they meet, and walks that go on.
 *
 *   share of the linked slots that are allowed
 *   0 %                                                                        100 %
 *   |---- exact scan ----|------ two hops -------|---- filter while walking -----|
 *    few rows: compare     open only allowed       open everything, keep what is
 *    them all              nodes, look through     allowed
 *                          the others
 *
 * Algorithm 2 with the two heaps of the paper: `open` (nearest first, to expand) and the
 * results, `pool` (farthest first, at most `width`). What is allowed and does not stay in the
 * pool goes to a third heap, `rest`: the next call begins with it, so a stream can be resumed
 * at any time and no node is compared twice.
 *
 * Two hops: when few nodes are allowed, a walk that opens all of them compares mostly for
 * nothing, and a walk that opens only allowed ones falls apart into islands. In between, a
 * neighbour that is not allowed is looked through: its allowed neighbours count as neighbours
 * (Patel et al. 2024, ACORN-1).
 *
 * How many slots are allowed is known exactly, but not where. So a filtered search begins as a
 * narrow search without the filter, and counts: of what it met around the query, which share
 * is allowed? About as many as everywhere: go on from there, nothing is lost. Far fewer: what
 * is allowed lies elsewhere, and no walk from here finds it before an exact scan would. The
 * local share also chooses between the two ways of walking.
 *
 * Either walk gives up after max_keys comparisons; the caller then scans exactly, so no filter
 * costs more than about one and a half exact scans.
 */
#include "hnsw.h"

/* Width of the search that looks around. */
#define PROBE_WIDTH 32
/* Less than this part of the expected number of allowed slots nearby: they are elsewhere. */
#define FAR_SHARE 0.3
/* Above this share nearby, opening everything is cheaper than looking through. */
#define WALK_SHARE 0.35
/* One exact comparison reads a stored vector, one key a code: their price in keys. */
#define EXACT_PRICE 2
/* Keys that a walk computes for each node of its width, about. */
#define KEYS_PER_NODE 9
#define POLL_EVERY    16

/* ---- the plan --------------------------------------------------------------------------------- */

hnsw_plan hnsw_choose(const hnsw *ix, size_t n_allowed, bool is_filtered, size_t k,
                      uint32_t ef) {
    double n = (double)ix->n_linked, some = (double)n_allowed;
    if (ix->n_linked == 0 || !ix->is_ready || n_allowed <= ef) return PLAN_EXACT;
    if (k >= n_allowed - n_allowed / 2) return PLAN_EXACT;
    if (some * EXACT_PRICE <= (double)ef * KEYS_PER_NODE) return PLAN_EXACT;
    if (!is_filtered) return ef <= HNSW_POOL_MAX ? PLAN_WALK : PLAN_FILTERED;
    double walk = (double)ef * KEYS_PER_NODE * n / some;
    if (some * EXACT_PRICE <= walk) return PLAN_EXACT;
    return PLAN_FILTERED;
}

/* ---- neighbours ----------------------------------------------------------------------------------- */

static inline bool is_allowed(const hnsw *ix, const bitmap *allowed, uint32_t slot) {
    return hnsw_is_live(ix, slot) && (!allowed || bitmap_has(allowed, slot));
}

static size_t gather_all(const hnsw *ix, hnsw_scratch *s, uint32_t slot) {
    const uint32_t *list = hnsw_list(ix, slot, 0);
    size_t n = 0;
    for (uint32_t i = 1; i <= list[0]; i++)
        if (!hnsw_seen(s, list[i])) s->near[n++] = list[i];
    return n;
}

/* At most m0 of them: a node's second neighbourhood may be a thousand. */
static size_t gather_two_hop(const hnsw *ix, hnsw_scratch *s, uint32_t slot,
                             const bitmap *allowed) {
    const uint32_t *list = hnsw_list(ix, slot, 0);
    size_t n = 0;
    uint32_t through[2 * HNSW_MAX_M], n_through = 0;
    for (uint32_t i = 1; i <= list[0]; i++) {
        if (hnsw_seen(s, list[i])) continue;
        if (is_allowed(ix, allowed, list[i])) {
            s->near[n++] = list[i];
        } else {
            through[n_through++] = list[i];
            __builtin_prefetch(hnsw_list(ix, list[i], 0), 0, 2);
        }
    }
    for (uint32_t t = 0; t < n_through && n < ix->m0; t++) {
        const uint32_t *next = hnsw_list(ix, through[t], 0);
        for (uint32_t i = 1; i <= next[0] && n < ix->m0; i++)
            if (is_allowed(ix, allowed, next[i]) && !hnsw_seen(s, next[i]))
                s->near[n++] = next[i];
    }
    return n;
}

/* ---- the walk ---------------------------------------------------------------------------------------- */

static rec_status reserve(hnsw_scratch *s, size_t n, rec_err *err) {
    rec_status rc = cand_reserve(&s->open, n, err);
    return rc ? rc : cand_reserve(&s->rest, n, err);
}

static void keep(hnsw_scratch *s, cand c, size_t width) {
    if (s->pool.n < width) {
        cand_max_push(&s->pool, c);
    } else if (width > 0 && c < s->pool.a[0]) {
        cand_min_push(&s->rest, cand_max_pop(&s->pool));
        cand_max_push(&s->pool, c);
    } else {
        cand_min_push(&s->rest, c);
    }
}

static void meet(const hnsw *ix, hnsw_scratch *s, const quant_query *q,
                 const heap_walk *w, size_t n) {
    quant_keys(ix, q, s->near, n, s->key);
    s->n_keys += n;
    for (size_t i = 0; i < n; i++) {
        cand c = cand_make(s->key[i], s->near[i]);
        cand_min_push(&s->open, c);
        if (is_allowed(ix, w->allowed, s->near[i])) keep(s, c, w->width);
    }
}

rec_status hnsw_heap_walk(const hnsw *ix, hnsw_scratch *s, const quant_query *q,
                          const heap_walk *w, bool *is_over, rec_err *err) {
    s->pool.n = 0;
    *is_over = false;
    rec_status rc = cand_reserve(&s->pool, w->width + 1, err);
    if (rc) return rc;
    while (s->rest.n && s->pool.n < w->width)
        cand_max_push(&s->pool, cand_min_pop(&s->rest));
    for (size_t steps = 1; s->open.n; steps++) {
        if (s->pool.n == w->width && s->open.a[0] > s->pool.a[0]) break;
        if (s->n_keys > w->max_keys) {
            *is_over = true;
            return REC_OK;
        }
        if (steps % POLL_EVERY == 0 && (rc = run_check(w->run, err))) return rc;
        if ((rc = reserve(s, ix->m0, err))) return rc;
        uint32_t slot = cand_slot(cand_min_pop(&s->open));
        if (s->open.n)
            __builtin_prefetch(hnsw_list(ix, cand_slot(s->open.a[0]), 0), 0, 2);
        size_t n = w->mode == WALK_ALL ? gather_all(ix, s, slot)
                                       : gather_two_hop(ix, s, slot, w->allowed);
        meet(ix, s, q, w, n);
    }
    cand_sort(s->pool.a, s->pool.n);
    if (s->pool.n < w->width) *is_over = true;
    return REC_OK;
}

/* ---- where to begin ------------------------------------------------------------------------------------ */

static bool take_met(const hnsw *ix, hnsw_scratch *s, const bitmap *allowed, cand c) {
    if (!(c & CAND_DONE)) s->open.a[s->open.n++] = c;
    if (!is_allowed(ix, allowed, cand_slot(c))) return false;
    s->rest.a[s->rest.n++] = c & ~CAND_DONE;
    return true;
}

/* What a walk with a sorted pool met becomes the two heaps; returns how much of it may be
 * returned. */
rec_status hnsw_to_heaps(const hnsw *ix, hnsw_scratch *s, const bitmap *allowed,
                         bool want_pool, size_t *n_allowed, rec_err *err) {
    *n_allowed = 0;
    rec_status rc = reserve(s, s->pool.n + s->spill.n, err);
    if (rc) return rc;
    for (size_t i = 0; i < s->pool.n && want_pool; i++)
        *n_allowed += take_met(ix, s, allowed, s->pool.a[i]);
    for (size_t i = 0; i < s->spill.n; i++)
        *n_allowed += take_met(ix, s, allowed, s->spill.a[i]);
    s->spill.n = 0;
    cand_min_make(&s->open);
    cand_min_make(&s->rest);
    return REC_OK;
}

rec_status hnsw_probe(const hnsw *ix, hnsw_scratch *s, const quant_query *q,
                      heap_walk *w, size_t n_allowed, bool *is_far, rec_err *err) {
    walk_args a = {.ef = PROBE_WIDTH, .want_spill = true, .run = w->run};
    size_t n_near;
    *is_far = false;
    a.start = hnsw_descend(ix, s, q, 0, &a.start_key);
    rec_status rc = hnsw_walk(ix, s, q, &a, err);
    size_t n_met = s->pool.n + s->spill.n;
    if (!rc) rc = hnsw_to_heaps(ix, s, w->allowed, true, &n_near, err);
    if (rc) return rc;
    double expected = (double)n_met * (double)n_allowed / (double)ix->n_live;
    *is_far = w->allowed && (double)n_near < FAR_SHARE * expected;
    w->mode = (double)n_near < WALK_SHARE * (double)n_met ? WALK_TWO_HOP : WALK_ALL;
    return REC_OK;
}
