/* hnsw_check.c - the invariants of hnsw.c, each verified from scratch, and recall.
 *
 * The check believes no counter: it recounts. Order matters: lists are walked only after their
 * lengths and targets have been found good (I2, I3, I4), the tree only after that (I6, I7).
 *
 *   I7 in one pass over the nodes: follow parents until a node that is known to lead to the
 *   entry, then note the whole path. Every link of the tree is looked up in its parent's list.
 *
 * Cost: codes are made again for every vector (I5), the rest is O(links).
 */
#include "hnsw.h"

#include <math.h>

/* ---- I1: counts ---------------------------------------------------------------------------------- */

static rec_status check_counts(const hnsw *ix, rec_err *err) {
    size_t n[3] = {0}, n_at[HNSW_MAX_LEVEL + 1] = {0};
    for (size_t s = 0; s < ix->n_slots; s++) {
        uint8_t state = ix->state[s];
        if (state > NODE_LINKED)
            return rec_corrupt(err, "slot %zu has state %d (I1)", s, state);
        n[state]++;
        if ((ix->live[s >> 6] >> (s & 63) & 1) != (state != NODE_EMPTY))
            return rec_corrupt(err, "live bit of slot %zu is wrong (I1)", s);
        if (state == NODE_LINKED) n_at[hnsw_level(ix, (uint32_t)s)]++;
        uint32_t at = state == NODE_DELTA ? hnsw_node(ix, (uint32_t)s)->parent : 0;
        if (state == NODE_DELTA && (at >= ix->n_delta || ix->delta[at] != s))
            return rec_corrupt(err, "slot %zu is not at its place in the delta (I1)",
                               s);
    }
    if (n[NODE_DELTA] != ix->n_delta || n[NODE_LINKED] != ix->n_linked ||
        n[NODE_DELTA] + n[NODE_LINKED] != ix->n_live)
        return rec_corrupt(
            err, "%zu rows, %zu linked, %zu in the delta, counted %zu, %zu, %zu (I1)",
            ix->n_live, ix->n_linked, ix->n_delta, n[NODE_DELTA] + n[NODE_LINKED],
            n[NODE_LINKED], n[NODE_DELTA]);
    if (ix->n_stale)
        return rec_corrupt(err, "%zu nodes are stale after ready (I1)", ix->n_stale);
    if (memcmp(n_at, ix->n_at, sizeof n_at) != 0)
        return rec_corrupt(err, "nodes per level are counted wrongly (I1)");
    return REC_OK;
}

/* ---- I2, I3, I4: lists --------------------------------------------------------------------------- */

static rec_status check_list(const hnsw *ix, uint32_t slot, int layer, rec_err *err) {
    const uint32_t *list = hnsw_list(ix, slot, layer);
    if (list[0] > hnsw_width(ix, layer))
        return rec_corrupt(err, "node %u has %u links at layer %d (I3)", slot, list[0],
                           layer);
    for (uint32_t i = 1; i <= list[0]; i++) {
        if (list[i] == slot)
            return rec_corrupt(err, "node %u links to itself at layer %d (I3)", slot,
                               layer);
        for (uint32_t j = 1; j < i; j++)
            if (list[i] == list[j])
                return rec_corrupt(err, "node %u links twice to %u at layer %d (I3)",
                                   slot, list[i], layer);
        if (!hnsw_is_linked(ix, list[i]) || hnsw_level(ix, list[i]) < layer)
            return rec_corrupt(
                err, "node %u links to %u at layer %d, where that is not (I4)", slot,
                list[i], layer);
    }
    return REC_OK;
}

static rec_status check_lists(const hnsw *ix, rec_err *err) {
    rec_status rc = REC_OK;
    for (uint32_t s = 0; s < ix->n_slots; s++) {
        int level = ix->state[s] == NODE_LINKED ? hnsw_level(ix, s) : 0;
        if ((level > 0) != (ix->upper[s] != NULL))
            return rec_corrupt(err, "node %u of level %d has wrong layers (I2)", s,
                               level);
    }
    for (uint32_t s = 0; s < ix->n_slots && !rc; s++) {
        if (ix->state[s] != NODE_LINKED) continue;
        for (int l = hnsw_level(ix, s); l >= 0 && !rc; l--)
            rc = check_list(ix, s, l, err);
    }
    return rc;
}

/* ---- I5: codes ------------------------------------------------------------------------------------ */

static rec_status check_codes(const hnsw *ix, rec_err *err) {
    uint8_t *code = rec_zeros(ix->q.nbyte, 1);
    if (!code) return rec_nomem(err);
    size_t n_wide = 0;
    rec_status rc = REC_OK;
    for (uint32_t s = 0; s < ix->n_slots && !rc; s++) {
        if (ix->state[s] == NODE_EMPTY) continue;
        n_wide += hnsw_is_wide(ix, hnsw_vec(ix, s));
        quant_meta meta;
        quant_encode(&ix->q, hnsw_vec(ix, s), code, &meta);
        if (memcmp(code, hnsw_code(ix, s), ix->q.nbyte) != 0 ||
            memcmp(&meta, &hnsw_node(ix, s)->meta, sizeof meta) != 0)
            rc = rec_corrupt(err, "the code of slot %u is not that of its vector (I5)",
                             s);
        else if (ix->inverse &&
                 ix->inverse[s] !=
                     index_inverse_norm(ix->q.type, hnsw_vec(ix, s), ix->q.dim))
            rc = rec_corrupt(err, "the norm of slot %u is not that of its vector (I5)",
                             s);
    }
    rec_free(code);
    if (!rc && n_wide != ix->n_wide)
        rc = rec_corrupt(err, "%zu rows are very long or short, %zu were counted (I1)",
                         n_wide, ix->n_wide);
    return rc;
}

/* ---- I6, I7: entry and reach -------------------------------------------------------------------------- */

static rec_status check_entry(const hnsw *ix, rec_err *err) {
    int top = HNSW_MAX_LEVEL;
    while (top >= 0 && ix->n_at[top] == 0) top--;
    if (top != ix->top)
        return rec_corrupt(err, "top level is %d, not %d (I6)", top, ix->top);
    if (top < 0) {
        if (ix->entry == HNSW_NONE) return REC_OK;
        return rec_corrupt(err, "the entry point is %u in an empty graph (I6)",
                           ix->entry);
    }
    if (!hnsw_is_linked(ix, ix->entry) || hnsw_level(ix, ix->entry) != top)
        return rec_corrupt(err, "the entry point %u is not of level %d (I6)", ix->entry,
                           top);
    if (hnsw_node(ix, ix->entry)->parent != ix->entry)
        return rec_corrupt(err, "the entry point %u is not the root (I7)", ix->entry);
    return REC_OK;
}

rec_status hnsw_check_rooted(const hnsw *ix, uint32_t slot, uint8_t *is_rooted,
                             rec_err *err) {
    size_t steps = 0;
    for (uint32_t at = slot; !is_rooted[at]; steps++) {
        uint32_t up = hnsw_node(ix, at)->parent;
        if (steps > ix->n_linked || up == at || !hnsw_is_linked(ix, up) ||
            !hnsw_has_link(ix, up, at, 0))
            return rec_corrupt(err, "node %u is out of reach of the entry point (I7)",
                               slot);
        at = up;
    }
    for (uint32_t at = slot; !is_rooted[at]; at = hnsw_node(ix, at)->parent)
        is_rooted[at] = 1;
    return REC_OK;
}

static rec_status check_reach(const hnsw *ix, rec_err *err) {
    uint8_t *is_rooted = rec_zeros(ix->n_slots, 1);
    if (!is_rooted) return rec_nomem(err);
    rec_status rc = REC_OK;
    if (ix->n_linked) is_rooted[ix->entry] = 1;
    for (uint32_t s = 0; s < ix->n_slots && !rc; s++)
        if (ix->state[s] == NODE_LINKED) rc = hnsw_check_rooted(ix, s, is_rooted, err);
    rec_free(is_rooted);
    return rc;
}

/* ---- I8: reverse lists ---------------------------------------------------------------------------------- */

static size_t n_layers_with(const hnsw *ix, uint32_t from, uint32_t to) {
    size_t n = 0;
    for (int l = hnsw_level(ix, from); l >= 0; l--)
        n += hnsw_has_layer(ix, to, l) && hnsw_has_link(ix, from, to, l);
    return n;
}

/* As many entries as links, and every entry's count right: then they are the same multiset. */
static rec_status check_back(const hnsw *ix, rec_err *err) {
    size_t n_link = 0, n_back = 0;
    if (!ix->back.is_on) return REC_OK;
    for (uint32_t s = 0; s < ix->n_slots; s++) {
        for (int l = ix->state[s] == NODE_LINKED ? hnsw_level(ix, s) : -1; l >= 0; l--)
            n_link += hnsw_list(ix, s, l)[0];
        for (uint32_t e = ix->back.head[s]; e != HNSW_NONE; e = ix->back.edge[e].next) {
            uint32_t source = ix->back.edge[e].source;
            size_t n = 0;
            if (++n_back > ix->back.n_edge)
                return rec_corrupt(err, "reverse lists run in a circle (I8)");
            for (uint32_t f = ix->back.head[s]; f != HNSW_NONE;
                 f = ix->back.edge[f].next)
                n += ix->back.edge[f].source == source;
            if (!hnsw_is_linked(ix, source) || n != n_layers_with(ix, source, s))
                return rec_corrupt(err, "reverse list of %u is wrong about %u (I8)", s,
                                   source);
        }
    }
    if (n_link != n_back)
        return rec_corrupt(err, "%zu links, but %zu in the reverse lists (I8)", n_link,
                           n_back);
    return REC_OK;
}

rec_status hnsw_check(const rec_index *base, rec_err *err) {
    const hnsw *ix = (const hnsw *)base;
    if (!ix->is_ready)
        return rec_fail(err, REC_BUG, "hnsw: checked between load and ready");
    rec_status rc = check_counts(ix, err);
    if (!rc) rc = check_lists(ix, err);
    if (!rc) rc = check_codes(ix, err);
    if (!rc) rc = check_entry(ix, err);
    if (!rc) rc = check_reach(ix, err);
    if (!rc) rc = check_back(ix, err);
    return rc;
}

/* ---- recall -------------------------------------------------------------------------------------------------- */

/* The distances of the k nearest, ascending; *n of them. */
static rec_status nearest(const rec_index *ix, const index_query *q, float *d,
                          size_t *n, rec_err *err) {
    index_search *s = NULL;
    uint32_t slot;
    rec_status rc = ix->ops->search(ix, q, &s, err);
    *n = 0;
    while (!rc && *n < q->k && ix->ops->next(s, &slot, &d[*n], &rc, err)) ++*n;
    ix->ops->end(s);
    return rc;
}

static rec_status recall_of(const rec_index *ix, index_query *q, uint32_t ef, float *d,
                            size_t n_found[2], rec_err *err) {
    size_t n_true, n;
    q->ef = UINT32_MAX; /* wider than any index: exact */
    rec_status rc = nearest(ix, q, d, &n_true, err);
    if (rc || n_true == 0) return rc;
    float limit = d[n_true - 1];
    q->ef = ef;
    rc = nearest(ix, q, d, &n, err);
    n_found[1] += n_true;
    for (size_t i = 0; i < n && i < n_true; i++) n_found[0] += d[i] <= limit;
    return rc;
}

/* A slot in use, from a hashed place on; the caller knows that there is one. */
static uint32_t some_slot(const rec_index *ix, size_t n_slots, rng *r) {
    uint32_t slot = rng_below(r, (uint32_t)n_slots);
    while (!ix->ops->get(ix, slot)) slot = slot + 1 == n_slots ? 0 : slot + 1;
    return slot;
}

static size_t count_slots(const rec_index *ix, size_t n_rows) {
    size_t n = 0;
    for (size_t found = 0; found < n_rows; n++)
        found += ix->ops->get(ix, (uint32_t)n) != NULL;
    return n;
}

rec_status index_recall(const rec_index *ix, const index_cfg *cfg, const recall_args *a,
                        double *recall, rec_run *run, rec_err *err) {
    index_stats st;
    size_t n_found[2] = {0, 0};
    rng r;
    *recall = 1;
    ix->ops->stats(ix, &st);
    if (st.n_rows == 0) return REC_OK;
    float *x = rec_array(cfg->dim, sizeof *x), *d = rec_array(a->k + 1, sizeof *d);
    rec_status rc = x && d ? REC_OK : rec_nomem(err);
    size_t n_slots = count_slots(ix, st.n_rows);
    rng_seed(&r, a->seed, 0);
    for (size_t i = 0; i < a->n_sample && !rc; i++) {
        const void *v = ix->ops->get(ix, some_slot(ix, n_slots, &r));
        index_decode(cfg->type, v, cfg->dim, x);
        index_query q = {.vector = x, .bits = v, .k = a->k, .run = run};
        rc = recall_of(ix, &q, a->ef, d, n_found, err);
    }
    if (!rc && n_found[1]) *recall = (double)n_found[0] / (double)n_found[1];
    rec_free(x);
    rec_free(d);
    return rc;
}
