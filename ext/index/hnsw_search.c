/* hnsw_search.c - a search as a stream in strictly ascending (distance, slot).
 *
 *      graph batches      |  ef  |   2 ef   |     4 ef      | ...   then the exact rest
 *      exact distances    | sort |   sort   |     sort      |
 *                              \     |          /
 *      delta, all exact  ------ merge ----------------------->  rows, for as long as pulled
 *
 * The first batch is the search of width ef; its rows get their exact distances and are
 * sorted. When they have been handed out, the walk goes on from what it has met and not
 * expanded, for twice as many rows, and so on. A row of a later batch that is nearer than one
 * already handed out is skipped: it is lost recall, and order stays strict. Rows of the delta
 * are all compared at the start, so none of them is ever lost. When the walk has nothing left,
 * or has met half of the graph, what remains beyond the last row is scanned exactly.
 *
 * Nothing here looks at k but the choice of the plan, which goes exact when at least half of
 * the rows that may be returned are asked for: below that, rows and their order are the same
 * for every k.
 *
 * With few rows to choose from (hnsw_choose) the whole search is exact, in the arithmetic of
 * kind=flat; with ef >= the number of allowed rows, too.
 *
 * A search owns its memory. Rows may be added and removed while it is open: removed ones are
 * left out, new ones need not show.
 */
#include "hnsw.h"

#include <math.h>

#define AHEAD      16 /* vectors fetched before they are compared */
#define POLL_WORDS 16 /* interrupts are asked for every 1024 slots of a scan */

typedef struct hnsw_search {
    index_search base;
    const hnsw *ix;
    const bitmap *allowed;
    hnsw_scratch *s;
    exact_query exact;
    hnsw_plan plan;
    heap_walk walk; /* of this batch or the next */
    size_t n_allowed;
    bool is_begun, is_walked; /* first batch is done; there is no further one */
    bool is_tail;             /* `rows` holds the exact rest */
    bool has_last, has_delta_head;
    ranking rows, delta; /* of the batch or the rest; of the delta */
    topk_entry last, head, delta_head;
    bool has_head;
} hnsw_search;

static bool comes_before(const topk_entry *a, const topk_entry *b) {
    return a->value < b->value || (a->value == b->value && a->id < b->id);
}

/* ---- exact scans ------------------------------------------------------------------------------ */

/* Linked slots that are allowed, and with want_delta those of the delta; beyond `last`. */
static rec_status scan(hnsw_search *h, bool want_delta, ranking *out, rec_err *err) {
    const hnsw *ix = h->ix;
    size_t n = 0, n_words = (ix->n_slots + 63) / 64;
    topk_entry *a = rec_array(h->n_allowed, sizeof *a);
    rec_status rc = a ? REC_OK : rec_nomem(err);
    for (size_t w = 0; !rc && w < n_words; w++) {
        uint64_t bits = hnsw_word(ix, h->allowed, w);
        if (w % POLL_WORDS == 0) rc = run_check(h->walk.run, err);
        for (; bits && !rc; bits &= bits - 1) {
            uint32_t slot = (uint32_t)(w * 64 + (unsigned)__builtin_ctzll(bits));
            if (!want_delta && ix->state[slot] != NODE_LINKED) continue;
            topk_entry e = {exact_key(ix, &h->exact, slot), slot};
            if (h->has_last && !comes_before(&h->last, &e)) continue;
            if (n < h->n_allowed) a[n++] = e;
        }
    }
    if (!rc) return ranking_init(out, a, n, err);
    rec_free(a);
    return rc;
}

static rec_status scan_delta(hnsw_search *h, rec_err *err) {
    const hnsw *ix = h->ix;
    if (ix->n_delta == 0) return REC_OK;
    topk_entry *a = rec_array(ix->n_delta, sizeof *a);
    if (!a) return rec_nomem(err);
    size_t n = 0;
    for (size_t i = 0; i < ix->n_delta; i++) {
        uint32_t slot = ix->delta[i];
        rec_status rc =
            i % (POLL_WORDS * 64) == 0 ? run_check(h->walk.run, err) : REC_OK;
        if (rc) {
            rec_free(a);
            return rc;
        }
        if (!h->allowed || bitmap_has(h->allowed, slot))
            a[n++] = (topk_entry){exact_key(ix, &h->exact, slot), slot};
    }
    return ranking_init(&h->delta, a, n, err);
}

/* ---- batches from the graph -------------------------------------------------------------------- */

/* The rows of the pool with their exact distances; those nearer than the last are lost. */
static rec_status rescore(hnsw_search *h, rec_err *err) {
    const hnsw *ix = h->ix;
    const cand_list *pool = &h->s->pool;
    ranking_clear(&h->rows);
    topk_entry *a = rec_array(pool->n, sizeof *a);
    if (!a) return rec_nomem(err);
    size_t n = 0;
    for (size_t i = 0; i < AHEAD && i < pool->n; i++)
        hnsw_fetch_vec(ix, cand_slot(pool->a[i]));
    for (size_t i = 0; i < pool->n; i++) {
        uint32_t slot = cand_slot(pool->a[i]);
        if (i + AHEAD < pool->n) hnsw_fetch_vec(ix, cand_slot(pool->a[i + AHEAD]));
        if (!hnsw_is_linked(ix, slot)) continue;
        topk_entry e = {exact_key(ix, &h->exact, slot), slot};
        if (!h->has_last || comes_before(&h->last, &e)) a[n++] = e;
    }
    return ranking_init(&h->rows, a, n, err);
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
        h->is_begun = true;
    } else {
        rc = hnsw_to_heaps(ix, s, h->allowed, false, &n_kept, err);
        if (h->walk.width < h->n_allowed) h->walk.width *= 2;
        if (!rc) rc = hnsw_heap_walk(ix, s, &s->query, &h->walk, &h->is_walked, err);
    }
    if (h->is_walked) s->pool.n = 0; /* cut off or given up: the exact rest is all */
    return rc ? rc : rescore(h, err);
}

/* ---- start ----------------------------------------------------------------------------------------- */

void hnsw_end(index_search *base) {
    hnsw_search *h = (hnsw_search *)base;
    if (!h) return;
    ranking_clear(&h->rows);
    ranking_clear(&h->delta);
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
    h->n_allowed = count_allowed(ix, q->allowed);
    h->walk = (heap_walk){q->allowed, WALK_ALL, ef, h->n_allowed / 2, q->run};
    h->plan = hnsw_choose(ix, h->n_allowed, q->allowed != NULL, q->k, ef);
    rec_status rc = exact_init(&h->exact, ix, q, err);
    if (!rc && h->plan == PLAN_EXACT) {
        h->is_tail = true;
        rc = scan(h, true, &h->rows, err);
    } else if (!rc) {
        rc = hnsw_scratch_get(ix, &h->s, err);
        if (!rc) {
            quant_from_query(&ix->q, &h->s->query, h->exact.x, h->exact.stored);
            rc = scan_delta(h, err);
        }
        if (!rc) rc = next_batch(h, err);
    }
    if (rc)
        hnsw_end(&h->base);
    else
        *out = &h->base;
    return rc;
}

/* ---- rows --------------------------------------------------------------------------------------------- */

/* Fill h->head from the batches, then from the exact rest. */
static rec_status fill_head(hnsw_search *h, rec_err *err) {
    rec_status rc = REC_OK;
    while (!h->has_head && !rc) {
        h->has_head = ranking_next(&h->rows, &h->head);
        if (h->has_head || h->is_tail) break;
        if (!h->is_walked) {
            rc = next_batch(h, err);
        } else {
            ranking_clear(&h->rows);
            h->is_tail = true;
            rc = scan(h, false, &h->rows, err);
        }
    }
    return rc;
}

bool hnsw_next(index_search *base, uint32_t *slot, float *distance, rec_status *status,
               rec_err *err) {
    hnsw_search *h = (hnsw_search *)base;
    for (;;) {
        *status = fill_head(h, err);
        if (*status) return false;
        if (!h->has_delta_head)
            h->has_delta_head = ranking_next(&h->delta, &h->delta_head);
        if (!h->has_head && !h->has_delta_head) return false;
        bool is_delta = h->has_delta_head &&
                        (!h->has_head || comes_before(&h->delta_head, &h->head));
        topk_entry e = is_delta ? h->delta_head : h->head;
        *(is_delta ? &h->has_delta_head : &h->has_head) = false;
        h->last = e;
        h->has_last = true;
        if (!hnsw_is_live(h->ix, e.id)) continue; /* removed since the search began */
        *slot = e.id;
        *distance = h->ix->q.metric == METRIC_L2 ? sqrtf(e.value) : e.value;
        return true;
    }
}
