/* hnsw_build.c - insertion: Algorithms 1, 3 and 4 of the paper, in batches on all cores.
 *
 *   delta  | a b c d e f ... |            one batch: HNSW_BATCH slots in ascending order
 *              | | | |
 *   search     each looks for its neighbours in the graph as it was before the batch, and
 *              among those before it in the batch               parallel, reads the graph
 *   parents    each gets a tree parent                          serial, cheap
 *   connect    the links back: pairs (target, new node), sorted; each target's list is
 *              written by one worker                            parallel, disjoint lists
 *
 * The paper inserts one by one; hnswlib runs that on threads under locks, and the graph then
 * depends on their timing. Here nothing a worker reads changes while it reads, every list has
 * one writer, and its pairs come in a fixed order: the graph is the same bit for bit whatever
 * the number of threads. A node loses nothing by the frozen view, as the nodes before it in
 * its batch are compared with one by one.
 *
 * Differences from the paper: links back are added for all new nodes of a batch at once, so a
 * full list is pruned once a batch; tree children are kept when pruning (hnsw_graph.c); a list
 * with room takes its candidates unpruned, as hnswlib does.
 *
 * Equal vectors (twins: equal codes) would link to each other only, and lists full of them lead
 * nowhere. So a walk offers one of them, no list chooses two that are equal to its node or to
 * one another, and all of them hang below one as a tree of their own, part of the tree that
 * keeps all in reach: who meets one of them finds them all, and every one has its links to
 * vectors that differ.
 *
 * Memory is reserved before a step begins: workers allocate nothing (a host may have built
 * SQLite without mutexes), and nothing can fail once a batch has begun to change the graph.
 *
 * Cost per node: one search of width ef_construction, m choices among its result, about 2m
 * insertions into other lists, of which some prune.
 */
#include "hnsw.h"

#define GRAIN_SEARCH  4  /* nodes a piece */
#define GRAIN_CONNECT 32 /* lists a piece */
/* Above so many nodes the reverse lists are dropped rather than kept up on one thread. */
#define SERIAL_MAX (4 * HNSW_BATCH)

typedef struct build {
    hnsw *ix;
    rec_run *run;
    bool is_serial;
    int n_workers;
    hnsw_scratch **scratch; /* [n_workers] */
    uint32_t slot[HNSW_BATCH];
    uint8_t level[HNSW_BATCH];
    size_t n;
    cand_list pairs; /* target << 16 | layer << 12 | place in the batch, ascending */
    size_t *group;   /* starts of equal (target, layer) in pairs */
    size_t n_groups, cap_groups;
} build;

static_assert(HNSW_BATCH <= 1 << 12 && HNSW_MAX_LEVEL < 1 << 4, "fields of a pair");

/* ---- Algorithm 4: the heuristic ---------------------------------------------------------------- */

bool hnsw_is_diverse(const hnsw *ix, hnsw_scratch *s, cand c, const uint32_t *chosen,
                     uint32_t n) {
    uint32_t slot = cand_slot(c);
    float limit = cand_key(c), key[4];
    quant_from_node(&ix->q, &s->other, hnsw_code(ix, slot), &hnsw_node(ix, slot)->meta,
                    hnsw_vec(ix, slot));
    for (uint32_t i = 0; i < n; i += 4) {
        uint32_t some = n - i < 4 ? n - i : 4;
        quant_keys(ix, &s->other, chosen + i, some, key);
        for (uint32_t j = 0; j < some; j++)
            if (key[j] < limit ||
                (key[j] == limit && hnsw_is_twin(ix, slot, chosen[i + j])))
                return false;
    }
    return true;
}

uint32_t hnsw_choose_links(const hnsw *ix, hnsw_scratch *s, const choice *c,
                           uint32_t *out) {
    uint32_t n = 0, n_keep = 0;
    bool want_keep = c->keep_parent != HNSW_NONE;
    for (size_t i = 0; want_keep && i < c->n; i++)
        n_keep += hnsw_node(ix, cand_slot(c->from[i]))->parent == c->keep_parent;
    for (size_t i = 0; i < c->n && n < c->n_max; i++) {
        uint32_t slot = cand_slot(c->from[i]);
        bool is_kept = want_keep && hnsw_node(ix, slot)->parent == c->keep_parent;
        if (is_kept)
            n_keep--;
        else if (n + n_keep >= c->n_max)
            continue;
        else if (c->n > c->n_max && !hnsw_is_diverse(ix, s, c->from[i], out, n))
            continue;
        out[n++] = slot;
    }
    return n;
}

/* ---- search: Algorithm 1 up to the choice of neighbours ------------------------------------------ */

static void add_mates(const build *b, hnsw_scratch *s, size_t i, int layer) {
    size_t n = 0;
    for (size_t j = 0; j < i; j++)
        if (b->level[j] >= layer) s->near[n++] = b->slot[j];
    quant_keys(b->ix, &s->query, s->near, n, s->key);
    hnsw_pool_take(b->ix, s, n, b->ix->ef_construction, TAKE_DISTINCT);
}

static rec_status find_neighbours(build *b, hnsw_scratch *s, size_t i, rec_err *err) {
    hnsw *ix = b->ix;
    uint32_t slot = b->slot[i], list[2 * HNSW_MAX_M];
    walk_args w = {.ef = ix->ef_construction, .start = ix->entry};
    quant_from_node(&ix->q, &s->query, hnsw_code(ix, slot), &hnsw_node(ix, slot)->meta,
                    hnsw_vec(ix, slot));
    if (ix->top >= 0)
        w.start = hnsw_descend(ix, s, &s->query, b->level[i], &w.start_key);
    for (int l = b->level[i]; l >= 0; l--) {
        rec_status rc = hnsw_walk_begin(ix, s, err);
        w.layer = l;
        if (!rc && l <= ix->top) {
            rc = hnsw_walk(ix, s, &s->query, &w, err);
            w.start = cand_slot(s->pool.a[0]);
            w.start_key = cand_key(s->pool.a[0]);
        }
        if (rc) return rc;
        add_mates(b, s, i, l);
        choice c = {s->pool.a, s->pool.n, ix->m, HNSW_NONE};
        hnsw_set_list(ix, slot, l, list, hnsw_choose_links(ix, s, &c, list));
    }
    return REC_OK;
}

static rec_status search_piece(void *ctx, size_t begin, size_t end, int worker,
                               rec_err *err) {
    build *b = ctx;
    rec_status rc = REC_OK;
    for (size_t i = begin; !rc && i < end; i++)
        rc = find_neighbours(b, b->scratch[worker], i, err);
    return rc;
}

/* ---- parents ---------------------------------------------------------------------------------------- */

static bool has_room(const build *b, size_t i, uint32_t parent, uint32_t n_max) {
    uint32_t n = hnsw_n_children(b->ix, parent);
    for (size_t j = 0; j < i; j++) /* not in the parent's list yet */
        n += hnsw_node(b->ix, b->slot[j])->parent == parent && b->slot[j] != parent;
    return n < n_max;
}

/* A twin of the node with room, below `from`, or before it in the batch; NONE. */
static uint32_t find_twin_parent(const build *b, size_t i, uint32_t from) {
    const hnsw *ix = b->ix;
    uint32_t slot = b->slot[i];
    for (uint32_t depth = 0; from != HNSW_NONE && depth < TWIN_DEPTH; depth++) {
        if (has_room(b, i, from, ix->m)) return from;
        from = hnsw_twin_child(ix, from, slot, depth);
    }
    size_t first = i ? (size_t)(rec_mix(slot) % i) : 0;
    for (size_t j = 0; j < i; j++) {
        uint32_t mate = b->slot[(first + j) % i];
        if (hnsw_is_twin(ix, mate, slot) && has_room(b, i, mate, ix->m)) return mate;
    }
    return HNSW_NONE;
}

/* The link to a twin, if there is one, becomes one to the twin that is its parent. */
static uint32_t join_twins(build *b, size_t i) {
    hnsw *ix = b->ix;
    uint32_t slot = b->slot[i], list[2 * HNSW_MAX_M], n = hnsw_list(ix, slot, 0)[0],
             k = 0;
    memcpy(list, hnsw_list(ix, slot, 0) + 1, n * sizeof *list);
    while (k < n && !hnsw_is_twin(ix, list[k], slot)) k++;
    if (k == n) return HNSW_NONE;
    uint32_t parent = find_twin_parent(b, i, list[k]);
    if (parent == HNSW_NONE || hnsw_has_link(ix, slot, parent, 0)) return parent;
    list[k] = parent;
    hnsw_set_list(ix, slot, 0, list, n);
    return parent;
}

/* A twin; else the nearest chosen neighbour with room, which keeps one place for a twin; else
 * the node before in the batch, which has no child yet; else any node below the nearest. */
static uint32_t find_parent(build *b, size_t i) {
    const uint32_t *list = hnsw_list(b->ix, b->slot[i], 0);
    uint32_t twin = join_twins(b, i);
    if (twin != HNSW_NONE) return twin;
    for (uint32_t k = 1; k <= list[0]; k++)
        if (has_room(b, i, list[k], b->ix->m - 1)) return list[k];
    if (i > 0) return b->slot[i - 1];
    return list[0] ? hnsw_vacancy(b->ix, list[1]) : b->slot[i];
}

static void set_parents(build *b) {
    hnsw *ix = b->ix;
    for (size_t i = 0; i < b->n; i++) {
        uint32_t slot = b->slot[i];
        hnsw_delta_drop(ix, slot);
        hnsw_set_parent(ix, slot, HNSW_NONE);
        ix->state[slot] = NODE_LINKED;
        ix->n_at[b->level[i]]++;
        ix->n_linked++;
    }
    for (size_t i = 0; i < b->n; i++)
        hnsw_set_parent(ix, b->slot[i], find_parent(b, i));
}

/* ---- connect: links back ------------------------------------------------------------------------------ */

static rec_status reserve_pairs(build *b, rec_err *err) {
    size_t n = 0;
    for (size_t i = 0; i < b->n; i++) n += (size_t)(b->level[i] + 1) * b->ix->m + 1;
    b->pairs.n = 0;
    rec_status rc = cand_reserve(&b->pairs, n, err);
    if (!rc) rc = rec_grow(&b->group, &b->cap_groups, n + 1, sizeof *b->group, err);
    return rc;
}

static void make_pairs(build *b) {
    const hnsw *ix = b->ix;
    cand_list *p = &b->pairs;
    for (size_t i = 0; i < b->n; i++) {
        for (int l = 0; l <= b->level[i]; l++) {
            const uint32_t *list = hnsw_list(ix, b->slot[i], l);
            for (uint32_t k = 1; k <= list[0]; k++)
                p->a[p->n++] = (uint64_t)list[k] << 16 | (uint64_t)l << 12 | i;
        }
        uint32_t parent = hnsw_node(ix, b->slot[i])->parent;
        if (parent != b->slot[i] && !hnsw_has_link(ix, b->slot[i], parent, 0))
            p->a[p->n++] = (uint64_t)parent << 16 | i;
    }
    cand_sort(p->a, p->n);
    b->n_groups = 0;
    for (size_t i = 0; i < p->n; i++)
        if (i == 0 || p->a[i] >> 12 != p->a[i - 1] >> 12) b->group[b->n_groups++] = i;
    b->group[b->n_groups] = p->n;
}

static void prune_into(build *b, hnsw_scratch *s, uint32_t slot, int layer, size_t n) {
    hnsw *ix = b->ix;
    uint32_t out[2 * HNSW_MAX_M];
    quant_from_node(&ix->q, &s->query, hnsw_code(ix, slot), &hnsw_node(ix, slot)->meta,
                    hnsw_vec(ix, slot));
    quant_keys(ix, &s->query, s->near, n, s->key);
    for (size_t i = 0; i < n; i++) s->pool.a[i] = cand_make(s->key[i], s->near[i]);
    cand_sort(s->pool.a, n);
    choice c = {s->pool.a, n, hnsw_width(ix, layer), layer == 0 ? slot : HNSW_NONE};
    hnsw_set_list(ix, slot, layer, out, hnsw_choose_links(ix, s, &c, out));
}

static rec_status connect_piece(void *ctx, size_t begin, size_t end, int worker,
                                rec_err *err) {
    build *b = ctx;
    hnsw_scratch *s = b->scratch[worker];
    (void)err;
    for (size_t g = begin; g < end; g++) {
        cand first = b->pairs.a[b->group[g]];
        uint32_t slot = (uint32_t)(first >> 16);
        int layer = (int)(first >> 12 & 15);
        const uint32_t *list = hnsw_list(b->ix, slot, layer);
        size_t n = list[0];
        memcpy(s->near, list + 1, n * sizeof *list);
        for (size_t i = b->group[g]; i < b->group[g + 1]; i++) {
            uint32_t mate = b->slot[b->pairs.a[i] & 0xfff];
            if (!hnsw_has_link(b->ix, slot, mate, layer)) s->near[n++] = mate;
        }
        if (n <= hnsw_width(b->ix, layer))
            hnsw_set_list(b->ix, slot, layer, s->near, (uint32_t)n);
        else
            prune_into(b, s, slot, layer, n);
    }
    return REC_OK;
}

/* ---- one batch ------------------------------------------------------------------------------------------ */

static rec_status each(build *b, rec_run *run, size_t n, size_t grain, threads_fn fn,
                       rec_err *err) {
    if (!b->is_serial) return threads_for(run, n, grain, fn, b, err);
    rec_status rc = REC_OK;
    for (size_t i = 0; !rc && i < n; i += grain) {
        rc = run_check(run, err);
        if (!rc) rc = fn(b, i, n - i < grain ? n : i + grain, 0, err);
    }
    return rc;
}

static rec_status make_upper(build *b, rec_err *err) {
    hnsw *ix = b->ix;
    for (size_t i = 0; i < b->n; i++) {
        b->level[i] = (uint8_t)hnsw_level(ix, b->slot[i]);
        if (b->level[i] == 0) continue;
        ix->upper[b->slot[i]] =
            rec_zeros((size_t)b->level[i] * (ix->m + 1), sizeof(uint32_t));
        if (!ix->upper[b->slot[i]]) return rec_nomem(err);
    }
    return REC_OK;
}

/* The batch never happened: its nodes stay in the delta. */
static void abandon(build *b) {
    hnsw *ix = b->ix;
    for (size_t i = 0; i < b->n; i++) {
        uint32_t slot = b->slot[i];
        for (int l = ix->upper[slot] ? b->level[i] : 0; l >= 0; l--)
            hnsw_set_list(ix, slot, l, NULL, 0);
        rec_free(ix->upper[slot]);
        ix->upper[slot] = NULL;
    }
}

static void raise_entry(build *b) {
    hnsw *ix = b->ix;
    size_t best = 0;
    for (size_t i = 1; i < b->n; i++)
        if (b->level[i] > b->level[best]) best = i;
    if (ix->entry == HNSW_NONE) ix->entry = b->slot[0];
    if (b->level[best] <= ix->top) return;
    if (ix->entry != b->slot[best]) hnsw_reroot(ix, b->slot[best]);
    ix->top = b->level[best];
}

/* After an interrupt the links back are finished all the same: it takes a millisecond, and
 * the alternative is a graph that is half linked. So the second loop gets a run of its own. */
static rec_status link_batch(build *b, rec_err *err) {
    memset(b->level, 0, sizeof b->level);
    rec_status rc = make_upper(b, err);
    if (!rc) rc = reserve_pairs(b, err);
    if (!rc) rc = each(b, b->run, b->n, GRAIN_SEARCH, search_piece, err);
    if (rc) {
        abandon(b);
        return rc;
    }
    rec_run quiet = {.n_threads = b->n_workers};
    set_parents(b);
    make_pairs(b);
    rc = each(b, &quiet, b->n_groups, GRAIN_CONNECT, connect_piece, err);
    raise_entry(b);
    return rc;
}

/* ---- all of it -------------------------------------------------------------------------------------------- */

static void build_clear(build *b) {
    for (int i = 0; b->scratch && i < b->n_workers; i++)
        hnsw_scratch_put(b->ix, b->scratch[i]);
    rec_free(b->scratch);
    rec_free(b->pairs.a);
    rec_free(b->group);
}

static rec_status build_init(build *b, size_t n_nodes, rec_err *err) {
    hnsw *ix = b->ix;
    if (n_nodes > SERIAL_MAX) hnsw_back_clear(ix);
    b->is_serial = ix->back.is_on;
    b->n_workers = b->is_serial ? 1 : run_threads(b->run);
    b->scratch = rec_zeros((size_t)b->n_workers, sizeof(void *));
    rec_status rc = b->scratch ? REC_OK : rec_nomem(err);
    size_t n_pool = ix->ef_construction + ix->m0 + HNSW_BATCH;
    for (int i = 0; !rc && i < b->n_workers; i++) {
        rc = hnsw_scratch_get(ix, &b->scratch[i], err);
        if (!rc) rc = hnsw_walk_begin(ix, b->scratch[i], err);
        if (!rc) rc = cand_reserve(&b->scratch[i]->pool, n_pool, err);
    }
    return rc;
}

rec_status hnsw_link(rec_index *base, size_t max_nodes, rec_run *run, rec_err *err) {
    hnsw *ix = (hnsw *)base;
    rec_err why = {0};
    rec_status rc = hnsw_ready(base, run, &why);
    if (rc == REC_NOMEM || rc == REC_INTR) { /* damage: all is delta now */
        if (err) *err = why;
        return rc;
    }
    size_t n_all = ix->n_delta, n = n_all < max_nodes ? n_all : max_nodes;
    if (n == 0) return REC_OK;
    cand_list order = {0};
    build *b = rec_zeros(1, sizeof *b);
    if (!b) return rec_nomem(err);
    b->ix = ix;
    b->run = run;
    rc = cand_reserve(&order, n_all, err);
    if (!rc) rc = build_init(b, n, err);
    for (size_t i = 0; !rc && i < n_all; i++) order.a[i] = ix->delta[i];
    if (!rc) cand_sort(order.a, n_all);
    for (size_t at = 0; !rc && at < n; at += b->n) {
        b->n = n - at < HNSW_BATCH ? n - at : HNSW_BATCH;
        for (size_t i = 0; i < b->n; i++) b->slot[i] = (uint32_t)order.a[at + i];
        rc = link_batch(b, err);
        run_progress(run, "link", (double)(at + b->n) / (double)n);
    }
    build_clear(b);
    rec_free(b);
    rec_free(order.a);
    return rc;
}
