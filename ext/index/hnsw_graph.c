/* hnsw_graph.c - links, who links back, and the tree that keeps every node within reach.
 *
 *   links (layer 0)          tree (subset of the links)       reverse lists
 *     7 -> 3 12 20             entry 7                          3  <- 7 12
 *     3 -> 7 9                 +-- 3                            12 <- 7 20
 *    12 -> 3 20                |   +-- 9                        20 <- 7 12
 *    20 -> 12                  +-- 12 -- 20                     9  <- 3
 *
 * Pruning drops links: a node may lose every link that leads to it and never be found again.
 * So one link to each node, from its parent, is not pruned; parents form a tree whose root is
 * the entry point, and reach is a fact that can be checked rather than a hope. A node takes
 * its nearest neighbour with room as parent, a link that pruning would nearly always keep
 * anyway. No node has more children than half of its list, so that the other half is free to
 * follow the heuristic.
 *
 * To unlink a node its in-links must be known. Reverse lists hold them: 8 bytes a link, built
 * in one pass when the first delete needs them and kept up by the one setter of lists below.
 * They are a cache: when there is no memory to add to them, they are dropped.
 *
 * Costs: setting a list O(m^2) comparisons, plus chains of the targets that were dropped.
 */
#include "hnsw.h"

/* ---- reverse lists ---------------------------------------------------------------------------- */

void hnsw_back_clear(hnsw *ix) {
    rec_free(ix->back.head);
    rec_free(ix->back.edge);
    ix->back = (hnsw_back){0};
}

void hnsw_back_grow(hnsw *ix) {
    hnsw_back *b = &ix->back;
    if (!b->is_on) return;
    size_t n_old = b->cap_head;
    if (rec_grow(&b->head, &b->cap_head, ix->n_slots, sizeof *b->head, NULL)) {
        hnsw_back_clear(ix);
        return;
    }
    for (size_t i = n_old; i < b->cap_head; i++) b->head[i] = HNSW_NONE;
}

static rec_status back_add(hnsw_back *b, uint32_t target, uint32_t source,
                           rec_err *err) {
    uint32_t at = b->free_edge;
    if (at != HNSW_NONE) {
        b->free_edge = b->edge[at].next;
    } else {
        if (b->n_edge >= HNSW_NONE) return rec_nomem(err);
        rec_status rc =
            rec_grow(&b->edge, &b->cap_edge, b->n_edge + 1, sizeof *b->edge, err);
        if (rc) return rc;
        at = (uint32_t)b->n_edge++;
    }
    b->edge[at] = (back_edge){source, b->head[target]};
    b->head[target] = at;
    return REC_OK;
}

static void back_drop(hnsw_back *b, uint32_t target, uint32_t source) {
    uint32_t *at = &b->head[target];
    while (*at != HNSW_NONE && b->edge[*at].source != source) at = &b->edge[*at].next;
    if (*at == HNSW_NONE) return;
    uint32_t gone = *at;
    *at = b->edge[gone].next;
    b->edge[gone].next = b->free_edge;
    b->free_edge = gone;
}

rec_status hnsw_back_build(hnsw *ix, rec_err *err) {
    hnsw_back *b = &ix->back;
    if (b->is_on) return REC_OK;
    b->free_edge = HNSW_NONE;
    rec_status rc = rec_grow(&b->head, &b->cap_head, ix->n_slots, sizeof *b->head, err);
    for (size_t i = 0; !rc && i < b->cap_head; i++) b->head[i] = HNSW_NONE;
    for (uint32_t s = 0; !rc && s < ix->n_slots; s++) {
        if (ix->state[s] != NODE_LINKED) continue;
        for (int l = hnsw_level(ix, s); !rc && l >= 0; l--) {
            const uint32_t *list = hnsw_list(ix, s, l);
            for (uint32_t i = 1; !rc && i <= list[0]; i++)
                rc = back_add(b, list[i], s, err);
        }
    }
    if (rc)
        hnsw_back_clear(ix);
    else
        b->is_on = true;
    return rc;
}

/* ---- lists --------------------------------------------------------------------------------------- */

void hnsw_touch(hnsw *ix, uint32_t slot) {
    atomic_store_explicit(&ix->dirty[slot / HNSW_CHUNK], 1, memory_order_relaxed);
}

static bool list_has(const uint32_t *slots, uint32_t n, uint32_t x) {
    for (uint32_t i = 0; i < n; i++)
        if (slots[i] == x) return true;
    return false;
}

bool hnsw_has_link(const hnsw *ix, uint32_t from, uint32_t to, int layer) {
    const uint32_t *list = hnsw_list(ix, from, layer);
    return list_has(list + 1, list[0], to);
}

void hnsw_set_list(hnsw *ix, uint32_t slot, int layer, const uint32_t *slots,
                   uint32_t n) {
    uint32_t *list = hnsw_list(ix, slot, layer);
    hnsw_back *b = &ix->back;
    rec_status rc = REC_OK;
    if (b->is_on) {
        for (uint32_t i = 1; i <= list[0]; i++)
            if (!list_has(slots, n, list[i])) back_drop(b, list[i], slot);
        for (uint32_t i = 0; !rc && i < n; i++)
            if (!list_has(list + 1, list[0], slots[i]))
                rc = back_add(b, slots[i], slot, NULL);
        if (rc) hnsw_back_clear(ix);
    }
    if (n) memmove(list + 1, slots, n * sizeof *slots);
    list[0] = n;
    hnsw_touch(ix, slot);
}

/* ---- the tree -------------------------------------------------------------------------------------- */

void hnsw_set_parent(hnsw *ix, uint32_t slot, uint32_t parent) {
    hnsw_node(ix, slot)->parent = parent;
    hnsw_touch(ix, slot);
}

static bool is_child(const hnsw *ix, uint32_t slot, uint32_t of) {
    return slot != of && ix->state[slot] == NODE_LINKED &&
           hnsw_node(ix, slot)->parent == of;
}

uint32_t hnsw_n_children(const hnsw *ix, uint32_t slot) {
    const uint32_t *list = hnsw_list(ix, slot, 0);
    uint32_t n = 0;
    for (uint32_t i = 1; i <= list[0]; i++) n += is_child(ix, list[i], slot);
    return n;
}

bool hnsw_is_below(const hnsw *ix, uint32_t slot, uint32_t ancestor) {
    /* Bounded: damaged bytes may have closed the parents to a ring. */
    for (size_t i = 0; i <= ix->n_linked; i++) {
        if (slot == ancestor) return true;
        uint32_t up = hnsw_node(ix, slot)->parent;
        if (up == slot || !hnsw_is_linked(ix, up)) return false;
        slot = up;
    }
    return true;
}

uint32_t hnsw_vacancy(const hnsw *ix, uint32_t from) {
    for (size_t steps = 0; hnsw_n_children(ix, from) >= ix->m && steps <= ix->n_linked;
         steps++) {
        const uint32_t *list = hnsw_list(ix, from, 0);
        uint32_t i = 1;
        while (!is_child(ix, list[i], from)) i++;
        from = list[i];
    }
    return from;
}

uint32_t hnsw_twin_child(const hnsw *ix, uint32_t of, uint32_t slot, uint32_t salt) {
    const uint32_t *list = hnsw_list(ix, of, 0);
    uint32_t twin[2 * HNSW_MAX_M], n = 0;
    for (uint32_t i = 1; i <= list[0]; i++)
        if (is_child(ix, list[i], of) && hnsw_is_twin(ix, list[i], slot))
            twin[n++] = list[i];
    return n ? twin[rec_mix((uint64_t)salt << 32 | slot) % n] : HNSW_NONE;
}

static void force_link(hnsw *ix, uint32_t from, uint32_t to) {
    uint32_t list[1 + 2 * HNSW_MAX_M];
    memcpy(list, hnsw_list(ix, from, 0), (1 + ix->m0) * sizeof *list);
    uint32_t n = list[0], at = n;
    if (list_has(list + 1, n, to)) return;
    if (n == ix->m0) {
        at = n - 1;
        while (at > 0 && is_child(ix, list[1 + at], from)) at--;
    } else {
        n++;
    }
    list[1 + at] = to;
    hnsw_set_list(ix, from, 0, list + 1, n);
}

void hnsw_adopt(hnsw *ix, uint32_t parent, uint32_t child) {
    force_link(ix, parent, child);
    hnsw_set_parent(ix, child, parent);
}

/*   old root 1 -> 2 -> 3 (to)      becomes      3 -> 2 -> 1
 *
 * A node on the path gets one child more and loses one, except for `to`, whose m children at
 * most leave room in a list of 2m. */
void hnsw_reroot(hnsw *ix, uint32_t to) {
    uint32_t at = to, up = hnsw_node(ix, to)->parent;
    hnsw_set_parent(ix, to, to);
    for (size_t i = 0; up != at && i <= ix->n_linked; i++) {
        uint32_t next = hnsw_node(ix, up)->parent;
        if (next == up) next = HNSW_NONE;
        hnsw_adopt(ix, at, up);
        if (next == HNSW_NONE) break;
        at = up, up = next;
    }
    ix->entry = to;
}
