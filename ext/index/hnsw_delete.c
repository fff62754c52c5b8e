/* hnsw_delete.c - real deletes: a node leaves the graph and its neighbourhood closes.
 *
 *        a --> x --> c          a --------> c      sources of x (who links to it) take x off
 *        b --> x --> d    =>    b --> d            and may take its neighbours instead
 *
 * Reverse lists (hnsw_graph.c) name every source. Each keeps its other links and takes over
 * the nearest links of x in that layer that pass the heuristic which built the list; close to
 * the repair of FreshDiskANN (Singh et al. 2021, Algorithm 4). Children of x in the
 * tree get a new parent: a node that links to them already and does not lie below them, or
 * any node with room from the parent of x downwards.
 *
 *   1  what may fail comes first: reverse lists, scratch
 *   2  another root, if x is the entry
 *   3  sources repaired, layer by layer
 *   4  x drops its links and becomes a row of the delta (from where remove() takes it)
 *   5  children adopted; at that time x is in no list, so no walk down the tree meets it
 *
 * Nothing of this needs the vector of x: a node whose row was deleted or replaced by somebody
 * who had no graph ("stale", found by load) goes the same way. While others are stale, too,
 * none of them is taken over by a source, and a stale source takes over what fits, unranked:
 * it only hands those links on when its own turn comes.
 *
 * Cost: about in-degree times one choice among 2m + 2m candidates, 0.1 to 0.3 ms.
 */
#include "hnsw.h"

#define REPAIR_MAX 2 /* links of the deleted node that one source takes over */

static size_t in_degree(const hnsw *ix, uint32_t slot) {
    size_t n = 0;
    for (uint32_t e = ix->back.head[slot]; e != HNSW_NONE; e = ix->back.edge[e].next)
        n++;
    return n;
}

/* A linked node of the highest level but `without`, lowest slot first; NONE if there is none. */
static uint32_t highest(const hnsw *ix, uint32_t without) {
    uint32_t best = HNSW_NONE;
    int level = -1;
    for (uint32_t s = 0; s < ix->n_slots && level < ix->top; s++) {
        if (ix->state[s] != NODE_LINKED || s == without) continue;
        int l = hnsw_level(ix, s);
        if (l > level) level = l, best = s;
    }
    return best;
}

static void move_entry(hnsw *ix, uint32_t from) {
    uint32_t to = highest(ix, from);
    if (to == HNSW_NONE) {
        ix->entry = HNSW_NONE;
        ix->top = -1;
    } else {
        hnsw_reroot(ix, to);
        ix->top = hnsw_level(ix, to);
    }
}

/* ---- sources ------------------------------------------------------------------------------------ */

/* The links of `slot` but x to out[], then those of x but `slot` and stale ones to near[]. */
static size_t gather_repair(const hnsw *ix, hnsw_scratch *s, uint32_t slot, uint32_t x,
                            int layer, uint32_t *out, uint32_t *n_out) {
    const uint32_t *own = hnsw_list(ix, slot, layer), *gone = hnsw_list(ix, x, layer);
    size_t n = 0;
    *n_out = 0;
    for (uint32_t i = 1; i <= own[0]; i++)
        if (own[i] != x) out[(*n_out)++] = own[i];
    for (uint32_t i = 1; i <= gone[0]; i++)
        if (gone[i] != slot && gone[i] != x && !hnsw_is_stale(ix, gone[i]) &&
            !hnsw_has_link(ix, slot, gone[i], layer))
            s->near[n++] = gone[i];
    return n;
}

/* What is left of the list was chosen before and stays: choosing it all again would prune a
 * little more with every delete, and recall would decay. Of the links of x the nearest that
 * are diverse come in; without one, the nearest takes the place of x. */
static void repair(hnsw *ix, hnsw_scratch *s, uint32_t slot, uint32_t x, int layer) {
    uint32_t out[2 * HNSW_MAX_M], n_out, n_before;
    size_t n = gather_repair(ix, s, slot, x, layer, out, &n_out);
    if (hnsw_is_stale(ix, slot)) {
        for (size_t i = 0; i < n && n_out < hnsw_width(ix, layer); i++)
            out[n_out++] = s->near[i];
        hnsw_set_list(ix, slot, layer, out, n_out);
        return;
    }
    quant_from_node(&ix->q, &s->query, hnsw_code(ix, slot), &hnsw_node(ix, slot)->meta,
                    hnsw_vec(ix, slot));
    quant_keys(ix, &s->query, s->near, n, s->key);
    for (size_t i = 0; i < n; i++) s->pool.a[i] = cand_make(s->key[i], s->near[i]);
    cand_sort(s->pool.a, n);
    n_before = n_out;
    for (size_t i = 0; i < n && n_out < n_before + REPAIR_MAX; i++)
        if (n_out < hnsw_width(ix, layer) &&
            hnsw_is_diverse(ix, s, s->pool.a[i], out, n_out))
            out[n_out++] = cand_slot(s->pool.a[i]);
    if (n > 0 && n_out == n_before) out[n_out++] = cand_slot(s->pool.a[0]);
    hnsw_set_list(ix, slot, layer, out, n_out);
}

/* The chain changes while sources drop x, so it is copied first. */
static void repair_sources(hnsw *ix, hnsw_scratch *s, uint32_t x) {
    s->spill.n = 0;
    for (uint32_t e = ix->back.head[x]; e != HNSW_NONE; e = ix->back.edge[e].next)
        s->spill.a[s->spill.n++] = ix->back.edge[e].source;
    cand_sort(s->spill.a, s->spill.n);
    for (size_t i = 0; i < s->spill.n; i++) {
        uint32_t slot = (uint32_t)s->spill.a[i];
        if (i > 0 && s->spill.a[i] == s->spill.a[i - 1])
            continue; /* in several layers */
        for (int l = hnsw_level(ix, x); l >= 0; l--)
            if (hnsw_has_layer(ix, slot, l) && hnsw_has_link(ix, slot, x, l))
                repair(ix, s, slot, x, l);
    }
}

/* ---- children ------------------------------------------------------------------------------------- */

static size_t copy_children(const hnsw *ix, uint32_t x, uint32_t *out) {
    const uint32_t *list = hnsw_list(ix, x, 0);
    size_t n = 0;
    for (uint32_t i = 1; i <= list[0]; i++)
        if (ix->state[list[i]] == NODE_LINKED && hnsw_node(ix, list[i])->parent == x)
            out[n++] = list[i];
    return n;
}

/* Somebody who links to the child and may take it; sources from low to high slots, so that the
 * choice does not depend on the order of the chain. */
static uint32_t find_foster(const hnsw *ix, uint32_t child) {
    uint32_t best = HNSW_NONE;
    if (!ix->back.is_on) return best;
    for (uint32_t e = ix->back.head[child]; e != HNSW_NONE; e = ix->back.edge[e].next) {
        uint32_t slot = ix->back.edge[e].source;
        if (slot < best && hnsw_is_linked(ix, slot) &&
            hnsw_has_link(ix, slot, child, 0) && hnsw_n_children(ix, slot) < ix->m &&
            !hnsw_is_below(ix, slot, child))
            best = slot;
    }
    return best;
}

/* Twins stay together (hnsw_build.c): below the grandparent, if it is one, or below a sibling
 * that has its parent already. */
static uint32_t find_twin_foster(const hnsw *ix, const uint32_t *child, size_t i,
                                 uint32_t grandparent) {
    uint32_t slot = child[i], from = HNSW_NONE;
    if (hnsw_is_linked(ix, grandparent) && hnsw_is_twin(ix, grandparent, slot))
        from = grandparent;
    for (size_t j = 0; j < i && from == HNSW_NONE; j++)
        if (hnsw_is_twin(ix, child[j], slot)) from = child[j];
    for (uint32_t depth = 0; from != HNSW_NONE && depth < TWIN_DEPTH; depth++) {
        if (hnsw_n_children(ix, from) < ix->m && !hnsw_is_below(ix, from, slot))
            return from;
        from = hnsw_twin_child(ix, from, slot, depth);
    }
    return HNSW_NONE;
}

static void adopt_children(hnsw *ix, const uint32_t *child, size_t n,
                           uint32_t grandparent) {
    for (size_t i = 0; i < n; i++) hnsw_set_parent(ix, child[i], HNSW_NONE);
    for (size_t i = 0; i < n; i++) {
        uint32_t twin = find_twin_foster(ix, child, i, grandparent), foster = twin;
        if (twin == HNSW_NONE) foster = find_foster(ix, child[i]);
        if (twin != HNSW_NONE)
            hnsw_adopt(ix, twin, child[i]);
        else if (foster != HNSW_NONE)
            hnsw_set_parent(ix, child[i], foster);
        else
            hnsw_adopt(ix, hnsw_vacancy(ix, grandparent), child[i]);
    }
}

/* ---- unlink ----------------------------------------------------------------------------------------- */

void hnsw_forget(hnsw *ix, uint32_t slot) {
    int level = hnsw_level(ix, slot);
    for (int l = level; l >= 0; l--) hnsw_set_list(ix, slot, l, NULL, 0);
    rec_free(ix->upper[slot]);
    ix->upper[slot] = NULL;
    ix->n_at[level]--;
    ix->n_linked--;
    hnsw_set_stale(ix, slot, false);
    if (hnsw_is_live(ix, slot)) {
        hnsw_delta_put(ix, slot);
    } else {
        ix->state[slot] = NODE_EMPTY;
        hnsw_wipe(ix, slot);
    }
}

static rec_status reserve(hnsw *ix, uint32_t slot, hnsw_scratch **s, rec_err *err) {
    rec_status rc = hnsw_back_build(ix, err);
    if (!rc) rc = hnsw_scratch_get(ix, s, err);
    if (!rc) rc = hnsw_walk_begin(ix, *s, err);
    if (!rc) rc = cand_reserve(&(*s)->pool, 2 * (size_t)ix->m0, err);
    if (!rc) rc = cand_reserve(&(*s)->spill, in_degree(ix, slot) + ix->m0, err);
    return rc;
}

rec_status hnsw_cut(hnsw *ix, uint32_t x, rec_err *err) {
    hnsw_scratch *s = NULL;
    uint32_t child[2 * HNSW_MAX_M];
    rec_status rc = reserve(ix, x, &s, err);
    if (!rc) {
        if (ix->entry == x) move_entry(ix, x);
        uint32_t parent = hnsw_node(ix, x)->parent;
        repair_sources(ix, s, x);
        size_t n = copy_children(ix, x, child);
        hnsw_forget(ix, x);
        adopt_children(ix, child, n, parent);
    }
    hnsw_scratch_put(ix, s);
    return rc;
}

rec_status hnsw_unlink(hnsw *ix, uint32_t x, rec_err *err) {
    rec_status rc = hnsw_ready(&ix->base, NULL, NULL);
    if (rc == REC_NOMEM) return rec_nomem(err);
    /* Damage may have unlinked all, and x may have been stale. */
    return hnsw_is_linked(ix, x) ? hnsw_cut(ix, x, err) : REC_OK;
}
