/* hnsw_search.c - a search as a stream of rows in ascending distance.
 *
 *      graph, by codes    |  ef  |   2 ef   |     4 ef      | ...   then the exact rest
 *      delta, by codes    ---^
 *      exact distances    | as pulled ...                   |      | all that is farther |
 *                         ------------------------------------------->  rows, while pulled
 *
 * The first batch is the search of width ef, then every row of the delta as if the walk had
 * met it too: the ef best of both are a batch. The nearer half is handed out; then the walk
 * goes on from what it has met and not expanded, for twice as many rows, and so on, the
 * farther half of each batch being part of the next. A row of a
 * later batch that is nearer than one already handed out is skipped: it is lost recall, and
 * distances ascend; the far end of a batch is where what is nearer has not been met yet, so
 * holding it back leaves few such rows. When the walk has nothing left, or has met half of the
 * graph, what remains from the last distance on is scanned exactly.
 *
 * A batch ascends by the keys of codes. Its rows get their exact distances in that order, and
 * no more of them than it takes: the nearest so far is handed out once its distance lies well
 * below the key of the first row without one. How far keys are off is seen in the rows
 * compared, whose errors lie in low .. high; a row without a distance may be off by that range
 * again. Which rows are compared follows from the rows handed out, not from k.
 *
 *     pool   | compared: a heap by distance | key ascends ........... |
 *            nearest < key + low - (high - low): hand it out
 *
 * Measured on 100k x 256, k = 10: 16 rows are compared, of 24 as of 64, recall is the same to
 * four digits; at ef 64 a query takes 20 % less time. Where all distances are as small as the
 * errors of codes, nearly all rows are compared.
 *
 * A row that is exactly as far as the last one is not late, whatever its slot: `tied` holds the
 * slots handed out at the last distance, and all others at that distance still come. So among
 * thousands of equal vectors none is lost; slots ascend within a batch and within the rest.
 *
 * The delta comes after the walk, not before: rows of the delta near the query would fill the
 * pool and end the walk before it has come down to their neighbours in the graph.
 *
 * Nothing here looks at k but the choice of the plan, which goes exact when at least half of
 * the rows that may be returned are asked for: below that, rows and their order are the same
 * for every k.
 *
 * With few rows to choose from (hnsw_choose), or with vectors so long or short that codes do
 * not bear them (wide.c), the whole search is exact, in the arithmetic of
 * kind=flat; with ef >= the number of allowed rows, too.
 *
 * With a limit, rows beyond it need not come: a scan leaves out those whose codes show that
 * they are (quant_least), and compares the others.
 *
 * A search owns its memory. Rows may be added and removed while it is open: removed ones are
 * left out, new ones need not show.
 */
#include "hnsw.h"

#include <math.h>

#define AHEAD         16 /* vectors fetched before they are compared */
#define COMPARE_FIRST 16 /* rows of a batch compared before the first is handed out */
#define COMPARE_NEXT  4
#define POLL_WORDS    16 /* interrupts are asked for every 1024 slots of a scan */

typedef struct hnsw_search {
    index_search base;
    const hnsw *ix;
    const bitmap *allowed;
    hnsw_scratch *s;
    exact_query exact;
    bool has_limit, has_bound;
    double limit; /* has_limit: what is farther need not come */
    quant_bound bound;
    hnsw_plan plan;
    heap_walk walk; /* of this batch or the next */
    size_t n_allowed;
    bool is_begun, is_walked; /* first batch is done; there is no further one */
    bool is_tail;             /* `rows` holds the exact rest */
    ranking rows;             /* of the exact rest */
    size_t n_may;             /* rows of the batch that may be handed out yet */
    size_t n_compared;        /* of s->pool; their distances are in s->near_rows */
    float low, high;          /* of distance_key - key, over those compared */
    topk_entry last;
    bool has_last;
    size_t n_sorted; /* of the slots in s->tied, handed out at the value of `last` */
} hnsw_search;

/* ---- what has been handed out ------------------------------------------------------------------ */

/* Nothing that a later batch brings may be nearer than `last`, or come twice. */
static rec_status note_last(hnsw_search *h, const topk_entry *e, rec_err *err) {
    bool is_same = h->has_last && h->last.value == e->value;
    h->last = *e;
    h->has_last = true;
    if (h->is_tail) return REC_OK; /* each once anyway */
    cand_list *tied = &h->s->tied;
    if (!is_same) tied->n = h->n_sorted = 0;
    rec_status rc = cand_reserve(tied, 1, err);
    if (!rc) tied->a[tied->n++] = e->id;
    return rc;
}

/* Before may_come: slots that were handed out at the last distance, ascending. */
static void sort_tied(hnsw_search *h) {
    if (!h->s || h->n_sorted == h->s->tied.n) return;
    cand_sort(h->s->tied.a, h->s->tied.n);
    h->n_sorted = h->s->tied.n;
}

static bool may_come(const hnsw_search *h, const topk_entry *e) {
    if (!h->has_last || e->value > h->last.value) return true;
    if (e->value < h->last.value) return false;
    const cand_list *tied = &h->s->tied;
    size_t at = cand_place(tied->a, tied->n, e->id);
    return at == tied->n || tied->a[at] != e->id;
}

/* ---- exact scans ------------------------------------------------------------------------------ */

/* Of these slots, those whose code does not show that they lie beyond the limit. */
static size_t within_limit(hnsw_search *h, uint32_t *slot, size_t n) {
    float key[64];
    size_t n_kept = 0;
    quant_keys(h->ix, &h->s->query, slot, n, key);
    for (size_t i = 0; i < n; i++) {
        double least = quant_least(h->ix, &h->bound, &h->s->query, slot[i], key[i]);
        if (!(least > h->limit)) slot[n_kept++] = slot[i];
    }
    return n_kept;
}

/* All that is allowed and has not come yet, from the distance of `last` on. */
static rec_status scan(hnsw_search *h, rec_err *err) {
    const hnsw *ix = h->ix;
    size_t n = 0, cap = 0, n_words = (ix->n_slots + 63) / 64;
    topk_entry *a = NULL;
    ranking_clear(&h->rows);
    sort_tied(h);
    size_t n_most = h->has_limit ? 1 : h->n_allowed;
    rec_status rc = rec_grow(&a, &cap, n_most, sizeof *a, err);
    for (size_t w = 0; !rc && w < n_words; w++) {
        uint32_t slot[64];
        size_t n_slot = 0;
        if (w % POLL_WORDS == 0 && (rc = run_check(h->walk.run, err))) break;
        for (uint64_t bits = hnsw_word(ix, h->allowed, w); bits; bits &= bits - 1)
            slot[n_slot++] = (uint32_t)(w * 64 + (unsigned)__builtin_ctzll(bits));
        if (h->has_bound && n_slot) n_slot = within_limit(h, slot, n_slot);
        rc = rec_grow(&a, &cap, n + n_slot, sizeof *a, err);
        for (size_t i = 0; i < n_slot && !rc; i++) {
            topk_entry e = {exact_key(ix, &h->exact, slot[i]), slot[i]};
            bool is_far = h->has_limit && (double)e.value > h->limit;
            if (!is_far && may_come(h, &e)) a[n++] = e;
        }
    }
    if (!rc) return ranking_init(&h->rows, a, n, err);
    rec_free(a);
    return rc;
}

/* ---- batches from the graph -------------------------------------------------------------------- */

/* A distance on the scale of the keys of codes, up to a constant (hnsw.h, quant.c). */
static float distance_key(const hnsw *ix, float distance) {
    if (ix->q.metric == METRIC_L2) return distance * distance;
    return ix->q.metric == METRIC_COSINE ? distance - 1 : distance;
}

/* How many rows of the pool get their distance in one go. The angle that bits give is no
 * estimate that has bounds worth the name: all of them. */
static size_t n_to_compare(const hnsw_search *h) {
    size_t left = h->s->pool.n - h->n_compared;
    size_t n = h->n_compared ? COMPARE_NEXT : COMPARE_FIRST;
    return h->ix->q.kind == QUANT_BIT || n > left ? left : n;
}

/* The next rows of the pool get their distances; those nearer than the last are lost. */
static void compare_some(hnsw_search *h, size_t n) {
    const hnsw *ix = h->ix;
    const cand *a = h->s->pool.a + h->n_compared;
    sort_tied(h);
    for (size_t i = 0; i < AHEAD && i < n; i++) hnsw_fetch_vec(ix, cand_slot(a[i]));
    for (size_t i = 0; i < n; i++) {
        uint32_t slot = cand_slot(a[i]);
        if (i + AHEAD < n) hnsw_fetch_vec(ix, cand_slot(a[i + AHEAD]));
        if (!hnsw_is_live(ix, slot)) continue;
        topk_entry e = {exact_key(ix, &h->exact, slot), slot};
        float error = distance_key(ix, e.value) - cand_key(a[i]);
        if (error < h->low) h->low = error;
        if (error > h->high) h->high = error;
        if (may_come(h, &e)) cand_min_push(&h->s->near_rows, cand_make(e.value, slot));
    }
    h->n_compared += n;
}

/* Is the nearest row compared nearer than all that are not, as far as their codes tell? */
static bool is_settled(const hnsw_search *h) {
    const hnsw_scratch *s = h->s;
    if (h->n_compared == s->pool.n) return true;
    float spread = h->high - h->low;
    float bound = cand_key(s->pool.a[h->n_compared]) + h->low - spread;
    return distance_key(h->ix, cand_key(s->near_rows.a[0])) < bound;
}

/* The next row of the batch. */
static bool next_of_batch(hnsw_search *h, topk_entry *e) {
    cand_list *rows = &h->s->near_rows;
    if (h->n_may == 0) return false;
    while (rows->n == 0 || !is_settled(h)) {
        if (h->n_compared == h->s->pool.n) return false;
        compare_some(h, n_to_compare(h));
    }
    cand c = cand_min_pop(rows);
    *e = (topk_entry){cand_key(c), cand_slot(c)};
    h->n_may--;
    return true;
}

/* The pool is a new batch, together with what was held back of the last one. */
static rec_status begin_batch(hnsw_search *h, rec_err *err) {
    cand_list *rows = &h->s->near_rows;
    size_t n = h->s->pool.n;
    if (h->is_walked) rows->n = 0;
    rec_status rc = cand_reserve(rows, n, err);
    n += rows->n;
    h->n_may = rc ? 0 : n - n / 2;
    h->n_compared = 0;
    h->low = INFINITY;
    h->high = -INFINITY;
    return rc;
}

/* The delta joins what the walk has found. Nothing links to it, so it is not opened. */
static rec_status meet_delta(hnsw_search *h, rec_err *err) {
    const hnsw *ix = h->ix;
    hnsw_scratch *s = h->s;
    rec_status rc = cand_reserve(&s->spill, ix->n_delta, err);
    for (size_t i = 0; i < ix->n_delta && !rc;) {
        size_t n = 0;
        for (; i < ix->n_delta && n < s->cap_near; i++) {
            uint32_t slot = ix->delta[i];
            bool is_wanted = !h->allowed || bitmap_has(h->allowed, slot);
            if (is_wanted && !hnsw_seen(s, slot)) s->near[n++] = slot;
        }
        quant_keys(ix, &s->query, s->near, n, s->key);
        hnsw_pool_take(ix, s, n, (uint32_t)h->walk.width, TAKE_SPILL | TAKE_CLOSED);
        rc = run_check(h->walk.run, err);
    }
    return rc;
}

static rec_status first_batch(hnsw_search *h, rec_err *err) {
    const hnsw *ix = h->ix;
    hnsw_scratch *s = h->s;
    bool is_far;
    rec_status rc = hnsw_walk_begin(ix, s, err);
    s->n_keys = 0;
    if (rc) return rc;
    if (h->plan == PLAN_WALK) {
        walk_args w = {
            .ef = (uint32_t)h->walk.width, .want_spill = true, .run = h->walk.run};
        w.start = hnsw_descend(ix, s, &s->query, 0, &w.start_key);
        return hnsw_walk(ix, s, &s->query, &w, err);
    }
    rc = hnsw_probe(ix, s, &s->query, &h->walk, h->n_allowed, &is_far, err);
    if (!rc && is_far)
        h->is_walked = true;
    else if (!rc)
        rc = hnsw_heap_walk(ix, s, &s->query, &h->walk, &h->is_walked, err);
    return rc;
}

static rec_status next_batch(hnsw_search *h, rec_err *err) {
    const hnsw *ix = h->ix;
    hnsw_scratch *s = h->s;
    size_t n_kept;
    rec_status rc = REC_OK;
    if (!h->is_begun) {
        rc = first_batch(h, err);
        if (!rc && !h->is_walked) rc = meet_delta(h, err);
        h->is_begun = true;
    } else {
        compare_some(h, s->pool.n - h->n_compared);
        rc = hnsw_to_heaps(ix, s, h->allowed, false, &n_kept, err);
        if (h->walk.width < h->n_allowed) h->walk.width *= 2;
        if (!rc) rc = hnsw_heap_walk(ix, s, &s->query, &h->walk, &h->is_walked, err);
    }
    if (h->is_walked) s->pool.n = 0; /* cut off or given up: the exact rest is all */
    return rc ? rc : begin_batch(h, err);
}

/* ---- start ----------------------------------------------------------------------------------------- */

void hnsw_end(index_search *base) {
    hnsw_search *h = (hnsw_search *)base;
    if (!h) return;
    ranking_clear(&h->rows);
    exact_clear(&h->exact);
    hnsw_scratch_put(h->ix, h->s);
    rec_free(h);
}

static size_t count_allowed(const hnsw *ix, const bitmap *allowed) {
    size_t n = 0;
    if (!allowed) return ix->n_live;
    for (size_t w = 0; w < (ix->n_slots + 63) / 64; w++) {
        uint64_t word = hnsw_word(ix, allowed, w);
        if (word) n += (size_t)__builtin_popcountll(word);
    }
    return n;
}

/* The query for codes, and, with a limit, what they can say for certain. */
static rec_status prepare_codes(hnsw_search *h, rec_err *err) {
    const hnsw *ix = h->ix;
    rec_status rc = hnsw_scratch_get(ix, &h->s, err);
    if (rc) return rc;
    h->s->tied.n = h->s->near_rows.n = 0;
    quant_from_query(&ix->q, &h->s->query, h->exact.x, h->exact.stored);
    bool is_bounded = h->has_limit && !exact_is_wide(&h->exact) && !ix->n_wide;
    h->has_bound =
        is_bounded && quant_bound_init(&h->bound, &ix->q, &h->s->query, h->exact.x);
    return REC_OK;
}

rec_status hnsw_search_start(const rec_index *base, const index_query *q,
                             index_search **out, rec_err *err) {
    const hnsw *ix = (const hnsw *)base;
    *out = NULL;
    hnsw_search *h = rec_zeros(1, sizeof *h);
    if (!h) return rec_nomem(err);
    uint32_t ef = q->ef ? q->ef : ix->ef;
    h->base.ops = &hnsw_ops;
    h->ix = ix;
    h->allowed = q->allowed;
    h->has_limit = q->has_limit;
    h->limit = q->limit;
    h->n_allowed = count_allowed(ix, q->allowed);
    h->walk = (heap_walk){q->allowed, WALK_ALL, ef, h->n_allowed / 2, q->run};
    h->plan = hnsw_choose(ix, h->n_allowed, q->allowed != NULL, q->k, ef);
    rec_status rc = exact_init(&h->exact, ix, q, err);
    if (exact_is_wide(&h->exact) || ix->n_wide) h->plan = PLAN_EXACT;
    h->is_tail = h->plan == PLAN_EXACT;
    if (!rc && (!h->is_tail || h->has_limit)) rc = prepare_codes(h, err);
    if (!rc) rc = h->is_tail ? scan(h, err) : next_batch(h, err);
    if (rc)
        hnsw_end(&h->base);
    else
        *out = &h->base;
    return rc;
}

/* ---- rows --------------------------------------------------------------------------------------------- */

/* From the batches, then from the exact rest. */
static bool next_row(hnsw_search *h, topk_entry *e, rec_status *status, rec_err *err) {
    for (*status = REC_OK; !*status;) {
        if (h->is_tail) return ranking_next(&h->rows, e);
        if (next_of_batch(h, e)) return true;
        h->is_tail = h->is_walked;
        *status = h->is_tail ? scan(h, err) : next_batch(h, err);
    }
    return false;
}

bool hnsw_next(index_search *base, uint32_t *slot, float *distance, rec_status *status,
               rec_err *err) {
    hnsw_search *h = (hnsw_search *)base;
    topk_entry e;
    while (next_row(h, &e, status, err)) {
        if ((*status = note_last(h, &e, err))) return false;
        if (!hnsw_is_live(h->ix, e.id)) continue; /* removed since the search began */
        *slot = e.id;
        *distance = e.value;
        return true;
    }
    return false;
}

const char *hnsw_how(const index_search *base) {
    const hnsw_search *h = (const hnsw_search *)base;
    if (h->plan == PLAN_EXACT) return "exact scan";
    if (h->is_tail) return "graph, then exact scan";
    if (!h->allowed) return "graph";
    return h->walk.mode == WALK_ALL ? "graph, filter in the walk" : "graph, two hops";
}
