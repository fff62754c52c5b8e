/* hnsw.c - the graph index: storage of nodes, and the life of one index.
 *
 *   layer 2            5 ---------------- 61                       upper[5]: n, m slots
 *   layer 1      2 --- 5 ------ 18 ------ 61                       upper[..]
 *   layer 0   0  2  3  5  9 11  18  20 .. 61 62 64                 records of one stride
 *
 *   record    | code 01011.. | add mul | parent | n | slot slot slot ... (2m) |
 *   delta     63 65 66 ...                         have a vector, no links yet
 *
 * What a walk reads of a node at layer 0 lies in one record: its code and, behind it, the
 * links. Vectors lie apart: they are read only for what is handed out. The layers above hold
 * one node in m, their links are small arrays of their own.
 *
 * A slot is EMPTY, DELTA (added, found by scanning) or LINKED (part of the graph). add only
 * ever makes DELTA, so a one-row transaction costs one record; hnsw_link turns DELTA into
 * LINKED, a slice or all. Codes, levels and the tree are derived: links and parents alone are
 * saved, vectors alone suffice to build everything again.
 *
 * Invariants (hnsw_check verifies them in this order)
 *   I1  n_live, n_linked, n_delta and n_at[] count what state[] says; live bits equal
 *       state != EMPTY; delta[] lists each DELTA slot once, at the place its record says.
 *       n_wide counts the rows of which hnsw_is_wide.
 *       Nothing is stale (only between load and ready a slot without a vector may be LINKED).
 *   I2  A linked node's level is hnsw_level(seed, slot): it has upper layers if and only if
 *       that is above 0.
 *   I3  A list holds at most 2m slots at layer 0 and m above; no slot twice; not the node.
 *   I4  A link's target is linked and has that layer.
 *   I5  Codes equal those that quant_encode makes of the stored vector, inverse its norm.
 *   I6  entry is linked and its level is the highest, top; with no linked node it is NONE and
 *       top is -1.
 *   I7  Every linked node but the entry has a parent that links to it at layer 0, and parents
 *       lead to the entry: every linked node is within reach of the entry at layer 0.
 *   I8  If the reverse lists are on, they hold exactly the links, once for every layer.
 *   I9  A linked node's links equal those of its chunk's last save unless the chunk is dirty
 *       (kept by the setters of hnsw_graph.c; the round trip of the codec tests it).
 *
 * Memory per vector at m=16, 256 float32, int8: 1024 + 448 + about 15 for the layers above.
 */
#include "hnsw.h"

#include <math.h>

#define BLOCK_BYTES   ((size_t)16 << 20)
#define ALIGN         64
#define LARGE_PAGE    ((size_t)2 << 20)
#define FIRST_RECORDS 64

/* ---- arenas --------------------------------------------------------------------------------- */

void arena_init(arena *a, size_t stride) {
    *a = (arena){.stride = stride};
    a->shift = 6;
    while (a->shift < 20 && (stride << (a->shift + 1)) <= BLOCK_BYTES) a->shift++;
}

static rec_status new_block(size_t n, size_t stride, void **block, uint8_t **at,
                            rec_err *err) {
    size_t nbyte, padded;
    *block = NULL;
    *at = NULL;
    if (!rec_mul(n, stride, &nbyte)) return rec_nomem(err);
    size_t align = nbyte >= 2 * LARGE_PAGE ? LARGE_PAGE : ALIGN;
    if (!rec_add(nbyte, align, &padded)) return rec_nomem(err);
    *block = rec_malloc(padded);
    if (!*block) return rec_nomem(err);
    *at = (uint8_t *)(((uintptr_t)*block + align - 1) & ~(uintptr_t)(align - 1));
    if (align == LARGE_PAGE) rec_want_large_pages(*at, nbyte);
    return REC_OK;
}

static rec_status grow_first(arena *a, size_t n, rec_err *err) {
    size_t full = (size_t)1 << a->shift, want = a->n_first ? a->n_first : FIRST_RECORDS;
    while (want < n && want < full) want *= 2;
    if (want > full) want = full;
    if (want <= a->n_first) return REC_OK;
    void *block;
    uint8_t *at;
    rec_status rc = new_block(want, a->stride, &block, &at, err);
    if (rc) return rc;
    if (a->n_blocks) {
        memcpy(at, a->at[0], a->n_first * a->stride);
        rec_free(a->block[0]);
    }
    a->block[0] = block;
    a->at[0] = at;
    a->n_blocks = 1;
    a->n_first = want;
    return REC_OK;
}

rec_status arena_reserve(arena *a, size_t n, rec_err *err) {
    size_t want = (n + ((size_t)1 << a->shift) - 1) >> a->shift;
    if (want < 1) want = 1;
    rec_status rc = rec_grow(&a->at, &a->cap_at, want, sizeof *a->at, err);
    if (!rc) rc = rec_grow(&a->block, &a->cap_blocks, want, sizeof *a->block, err);
    if (!rc && a->n_blocks <= 1) rc = grow_first(a, n, err);
    while (!rc && a->n_blocks < want) {
        rc = new_block((size_t)1 << a->shift, a->stride, &a->block[a->n_blocks],
                       &a->at[a->n_blocks], err);
        if (!rc) a->n_blocks++;
    }
    return rc;
}

void arena_clear(arena *a) {
    for (size_t i = 0; i < a->n_blocks; i++) rec_free(a->block[i]);
    rec_free(a->block);
    rec_free(a->at);
    *a = (arena){0};
}

size_t arena_nbyte(const arena *a) {
    size_t per = a->n_blocks > 1 ? (size_t)1 << a->shift : a->n_first;
    return a->n_blocks * per * a->stride + (a->cap_at + a->cap_blocks) * sizeof(void *);
}

/* ---- opening and closing ---------------------------------------------------------------------- */

static void hnsw_close(rec_index *base) {
    hnsw *ix = (hnsw *)base;
    if (!ix) return;
    for (size_t i = 0; i < ix->n_slots; i++) rec_free(ix->upper[i]);
    for (int i = 0; i < HNSW_SPARES; i++)
        hnsw_scratch_free(atomic_load_explicit(&ix->spare[i], memory_order_relaxed));
    hnsw_back_clear(ix);
    arena_clear(&ix->vec);
    arena_clear(&ix->node);
    quant_clear(&ix->q);
    rec_free(ix->state);
    rec_free(ix->upper);
    rec_free(ix->inverse);
    rec_free(ix->live);
    rec_free(ix->dirty);
    rec_free(ix->fresh);
    rec_free(ix->stale);
    rec_free(ix->delta);
    rec_free(ix);
}

static rec_status check_option(const char *name, uint32_t *x, uint32_t fallback,
                               uint32_t min, uint32_t max, rec_err *err) {
    if (*x == 0) *x = fallback;
    if (*x >= min && *x <= max) return REC_OK;
    return rec_fail(err, REC_RANGE, "%s=%u is not allowed, use %u to %u", name, *x, min,
                    max);
}

static rec_status read_config(hnsw *ix, const index_cfg *cfg, rec_err *err) {
    if (cfg->dim < VEC_MIN_DIM || cfg->dim > VEC_MAX_DIM)
        return rec_fail(err, REC_RANGE, "%u dimensions, allowed are %d to %d", cfg->dim,
                        VEC_MIN_DIM, VEC_MAX_DIM);
    if ((cfg->metric == METRIC_HAMMING) != (cfg->type == VEC_BIT))
        return rec_fail(err, REC_RANGE, "metric=%s does not go with %s vectors",
                        vec_metric_name(cfg->metric), vec_type_name(cfg->type));
    ix->m = cfg->m;
    ix->ef_construction = cfg->ef_construction;
    ix->ef = cfg->ef;
    ix->seed = cfg->seed;
    rec_status rc =
        check_option("m", &ix->m, HNSW_DEFAULT_M, HNSW_MIN_M, HNSW_MAX_M, err);
    if (!rc)
        rc =
            check_option("ef_construction", &ix->ef_construction, HNSW_DEFAULT_BUILD_EF,
                         HNSW_MIN_BUILD_EF, HNSW_MAX_BUILD_EF, err);
    if (!rc)
        rc =
            check_option("ef", &ix->ef, HNSW_DEFAULT_EF, HNSW_MIN_EF, HNSW_MAX_EF, err);
    ix->m0 = 2 * ix->m;
    return rc;
}

static rec_status hnsw_open(rec_index **out, const index_cfg *cfg, rec_err *err) {
    *out = NULL;
    hnsw *ix = rec_zeros(1, sizeof *ix);
    if (!ix) return rec_nomem(err);
    ix->base.ops = &hnsw_ops;
    ix->entry = HNSW_NONE;
    ix->top = -1;
    ix->is_ready = true;
    rec_status rc = read_config(ix, cfg, err);
    if (!rc) rc = quant_init(&ix->q, cfg, err);
    if (!rc) {
        size_t stride = ix->q.nbyte + sizeof(node) + ix->m0 * sizeof(uint32_t);
        size_t unit = ix->q.nbyte ? ALIGN : 16;
        ix->vec_nbyte = vec_nbyte(cfg->type, cfg->dim);
        size_t vec_unit = ix->vec_nbyte >= 256 ? ALIGN : 4;
        arena_init(&ix->node, (stride + unit - 1) / unit * unit);
        arena_init(&ix->vec, (ix->vec_nbyte + vec_unit - 1) / vec_unit * vec_unit);
        *out = &ix->base;
    } else {
        hnsw_close(&ix->base);
    }
    return rc;
}

/* ---- slots ------------------------------------------------------------------------------------- */

int hnsw_level(const hnsw *ix, uint32_t slot) {
    uint64_t h = rec_mix(ix->seed ^ rec_mix((uint64_t)slot + 1));
    int level = 0;
    for (; level < HNSW_MAX_LEVEL && h % ix->m == 0; level++) h /= ix->m;
    return level;
}

rec_status hnsw_reserve_dirty(hnsw *ix, size_t n_chunks, rec_err *err) {
    if (n_chunks <= ix->n_dirty) return REC_OK;
    rec_status rc =
        rec_grow(&ix->dirty, &ix->cap_dirty, n_chunks, sizeof *ix->dirty, err);
    if (rc) return rc;
    while (ix->n_dirty < n_chunks) atomic_init(&ix->dirty[ix->n_dirty++], 0);
    return REC_OK;
}

/* Every per-slot array grows before n_slots does, so a failure leaves the index as it was. */
rec_status hnsw_reserve_slots(hnsw *ix, size_t n, rec_err *err) {
    if (n <= ix->n_slots) return REC_OK;
    if (n > HNSW_MAX_SLOTS)
        return rec_fail(err, REC_RANGE, "slot %zu: an index holds at most %zu", n - 1,
                        HNSW_MAX_SLOTS);
    size_t n_words = (n + 63) / 64, old_words = (ix->n_slots + 63) / 64;
    rec_status rc = arena_reserve(&ix->vec, n, err);
    if (!rc) rc = arena_reserve(&ix->node, n, err);
    if (!rc) rc = rec_grow(&ix->state, &ix->cap_state, n, sizeof *ix->state, err);
    if (!rc) rc = rec_grow(&ix->upper, &ix->cap_upper, n, sizeof *ix->upper, err);
    if (!rc && ix->q.metric == METRIC_COSINE)
        rc = rec_grow(&ix->inverse, &ix->cap_inverse, n, sizeof *ix->inverse, err);
    if (!rc) rc = rec_grow(&ix->live, &ix->cap_live, n_words, sizeof *ix->live, err);
    if (!rc) rc = rec_grow(&ix->stale, &ix->cap_stale, n_words, sizeof *ix->stale, err);
    if (!rc) rc = hnsw_reserve_dirty(ix, n_words, err);
    if (!rc) rc = rec_grow(&ix->fresh, &ix->cap_fresh, n_words, sizeof *ix->fresh, err);
    if (rc) return rc;
    memset(ix->state + ix->n_slots, NODE_EMPTY, n - ix->n_slots);
    memset(ix->upper + ix->n_slots, 0, (n - ix->n_slots) * sizeof *ix->upper);
    for (size_t w = old_words; w < n_words; w++) {
        ix->live[w] = ix->stale[w] = 0;
        ix->fresh[w] = 0;
    }
    ix->n_slots = n;
    hnsw_back_grow(ix);
    return REC_OK;
}

void hnsw_delta_drop(hnsw *ix, uint32_t slot) {
    uint32_t at = hnsw_node(ix, slot)->parent, last = ix->delta[--ix->n_delta];
    ix->delta[at] = last;
    hnsw_node(ix, last)->parent = at;
}

/* Cannot fail: add() has made room for every row. */
void hnsw_delta_put(hnsw *ix, uint32_t slot) {
    node *nd = hnsw_node(ix, slot);
    nd->parent = (uint32_t)ix->n_delta;
    nd->n = 0;
    ix->delta[ix->n_delta++] = slot;
    ix->state[slot] = NODE_DELTA;
}

void hnsw_set_stale(hnsw *ix, uint32_t slot, bool is_stale) {
    uint64_t *word = &ix->stale[slot >> 6], bit = (uint64_t)1 << (slot & 63);
    if (((*word & bit) != 0) == is_stale) return;
    *word ^= bit;
    ix->n_stale += is_stale ? (size_t)1 : (size_t)-1;
}

void hnsw_wipe(hnsw *ix, uint32_t slot) {
    memset(arena_at(&ix->vec, slot), 0, ix->vec.stride);
    memset(arena_at(&ix->node, slot), 0, ix->node.stride);
    if (ix->inverse) ix->inverse[slot] = 0;
}

bool hnsw_is_wide(const hnsw *ix, const void *v) {
    return ix->q.type == VEC_F32 && index_inverse_norm(VEC_F32, v, ix->q.dim) < 0;
}

static void empty_slot(hnsw *ix, uint32_t slot) { /* it is in the delta */
    hnsw_delta_drop(ix, slot);
    ix->state[slot] = NODE_EMPTY;
    ix->live[slot >> 6] &= ~((uint64_t)1 << (slot & 63));
    ix->n_live--;
    ix->n_wide -= hnsw_is_wide(ix, hnsw_vec(ix, slot));
    hnsw_wipe(ix, slot); /* deleted data leaves memory, too */
}

static rec_status hnsw_remove(rec_index *base, uint32_t slot, rec_err *err) {
    hnsw *ix = (hnsw *)base;
    if (!hnsw_is_live(ix, slot)) return REC_OK;
    if (ix->state[slot] == NODE_LINKED) {
        rec_status rc = hnsw_unlink(ix, slot, err);
        if (rc) return rc;
    }
    empty_slot(ix, slot);
    return REC_OK;
}

static rec_status hnsw_add(rec_index *base, uint32_t slot, const void *v,
                           rec_err *err) {
    hnsw *ix = (hnsw *)base;
    if (hnsw_is_live(ix, slot) && memcmp(hnsw_vec(ix, slot), v, ix->vec_nbyte) == 0)
        return REC_OK;
    rec_status rc = hnsw_reserve_slots(ix, (size_t)slot + 1, err);
    if (!rc)
        rc = rec_grow(&ix->delta, &ix->cap_delta, ix->n_live + 1, sizeof *ix->delta,
                      err);
    if (!rc && ix->state[slot] == NODE_LINKED) rc = hnsw_unlink(ix, slot, err);
    if (rc) return rc;
    if (ix->state[slot] == NODE_EMPTY) {
        hnsw_delta_put(ix, slot);
        ix->live[slot >> 6] |= (uint64_t)1 << (slot & 63);
        ix->n_live++;
    } else {
        ix->n_wide -= hnsw_is_wide(ix, hnsw_vec(ix, slot));
    }
    ix->n_wide += hnsw_is_wide(ix, v);
    if (slot >= ix->n_row_slots) ix->n_row_slots = (size_t)slot + 1;
    memcpy(arena_at(&ix->vec, slot), v, ix->vec_nbyte);
    quant_encode(&ix->q, v, hnsw_code(ix, slot), &hnsw_node(ix, slot)->meta);
    if (ix->q.metric == METRIC_COSINE)
        ix->inverse[slot] = index_inverse_norm(ix->q.type, v, ix->q.dim);
    return REC_OK;
}

static const void *hnsw_get(const rec_index *base, uint32_t slot) {
    const hnsw *ix = (const hnsw *)base;
    return hnsw_is_live(ix, slot) ? hnsw_vec(ix, slot) : NULL;
}

/* ---- what has changed, and figures ---------------------------------------------------------------- */

static uint32_t hnsw_next_dirty(const rec_index *base, uint32_t from) {
    const hnsw *ix = (const hnsw *)base;
    for (size_t c = from; c < ix->n_dirty; c++)
        if (atomic_load_explicit(&ix->dirty[c], memory_order_relaxed))
            return (uint32_t)c;
    return HNSW_NONE;
}

static void hnsw_set_dirty(rec_index *base, uint32_t chunk, bool is_dirty) {
    hnsw *ix = (hnsw *)base;
    if (chunk < ix->n_dirty)
        atomic_store_explicit(&ix->dirty[chunk], is_dirty, memory_order_relaxed);
}

static void hnsw_stats(const rec_index *base, index_stats *out) {
    const hnsw *ix = (const hnsw *)base;
    *out = (index_stats){.n_rows = ix->n_live,
                         .n_delta = ix->n_delta,
                         .n_levels = ix->top + 1,
                         .ef = ix->ef};
    size_t n_upper = 0;
    for (int l = 1; l <= HNSW_MAX_LEVEL; l++) n_upper += (size_t)l * ix->n_at[l];
    out->nbyte = sizeof *ix + arena_nbyte(&ix->vec) + arena_nbyte(&ix->node) +
                 n_upper * (ix->m + 1) * sizeof(uint32_t) + ix->cap_state +
                 ix->cap_upper * sizeof *ix->upper +
                 ix->cap_inverse * sizeof *ix->inverse +
                 ix->cap_live * sizeof *ix->live + ix->cap_dirty + ix->cap_fresh +
                 ix->cap_stale * sizeof *ix->stale + ix->cap_delta * sizeof *ix->delta +
                 ix->back.cap_head * sizeof *ix->back.head +
                 ix->back.cap_edge * sizeof *ix->back.edge;
}

static const char *const hnsw_options[] = {"codes", "m",    "ef_construction",
                                           "ef",    "seed", NULL};

const rec_index_ops hnsw_ops = {
    .name = "hnsw",
    .options = hnsw_options,
    .open = hnsw_open,
    .add = hnsw_add,
    .remove = hnsw_remove,
    .get = hnsw_get,
    .search = hnsw_search_start,
    .next = hnsw_next,
    .end = hnsw_end,
    .how = hnsw_how,
    .check = hnsw_check,
    .stats = hnsw_stats,
    .close = hnsw_close,
    .save = hnsw_save,
    .load = hnsw_load,
    .ready = hnsw_ready,
    .link = hnsw_link,
    .forget = hnsw_forget_all,
    .next_dirty = hnsw_next_dirty,
    .set_dirty = hnsw_set_dirty,
};
