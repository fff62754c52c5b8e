/* hnsw_codec.c - 64 slots of links as bytes, and back, believing nothing.
 *
 *   u8 version | u8 m | u16 0 | u64 linked: bit i = slot 64*chunk + i
 *   for each set bit:   u32 vector | u32 parent | for layer 0..level:  u8 n | n times u32 slot
 *   u64 hash of all before, seeded with (seed, chunk): a row cannot stand in for another
 *
 * Numbers are little-endian. Levels follow from seed and slot, codes from the vector, so
 * neither is stored: what is not stored cannot be wrong. `vector` is a hash of the vector that
 * the node had (the low half of rec_hash with the seed).
 *
 * Rows may have changed while nobody who changed them had the graph in memory. Such a node is
 * stale: its slot holds no vector, or one with another hash. It is linked all the same, as
 * others lead through it, and ready, once the structure is known to be sound, takes each one
 * out with the ordinary repair (hnsw_delete.c). Slots beyond the last row are made for stale
 * nodes as long as there are few; a chunk still farther away is only checked and noted, and
 * ready then forgets the graph, as it does when STALE_SHARE of it are stale: building again
 * is cheaper then.
 *
 * load checks every number alone (length, version, m, ranges, no node linked to itself or
 * twice to another), in a first pass that changes nothing; a second one stores. What needs
 * other chunks is left to ready:
 *
 *   - targets are linked and have that layer (I3, I4 of hnsw.c)
 *   - parents link to their children and lead to one root (I7), which has the highest level (I6)
 *
 * For chunks that were not loaded this time these are facts from before, unless the file lies;
 * walks therefore never trust a link beyond "is a slot", and hnsw_check compares everything.
 */
#include "hnsw.h"

#define CODEC_VERSION 2
#define HEAD_BYTES    12
#define HASH_BYTES    8
#define STALE_SHARE   4    /* one node in four: build again ... */
#define STALE_FEW     1024 /* ... but up to so many are always taken out one by one */
#define BEYOND_FEW \
    4096 /* slots beyond the rows that load makes for stale nodes, at least */

static uint64_t chunk_seed(const hnsw *ix, uint32_t chunk) {
    return rec_mix(ix->seed ^ ((uint64_t)chunk << 16 | ix->m));
}

static size_t chunk_end(const hnsw *ix, uint32_t chunk) {
    size_t end = ((size_t)chunk + 1) * HNSW_CHUNK;
    return end < ix->n_slots ? end : ix->n_slots;
}

/* How far stale nodes may reach: half as far again as the rows, so not in step with the file. */
static size_t most_slots(const hnsw *ix) {
    size_t few = ix->n_row_slots / 2 > BEYOND_FEW ? ix->n_row_slots / 2 : BEYOND_FEW;
    return ix->n_row_slots + few;
}

static uint32_t vector_hash(const hnsw *ix, uint32_t slot) {
    return (uint32_t)rec_hash(hnsw_vec(ix, slot), ix->vec_nbyte, ix->seed);
}

/* ---- save -------------------------------------------------------------------------------------- */

static void put_node(const hnsw *ix, uint32_t slot, bytes_writer *w) {
    bytes_put_u32(w, vector_hash(ix, slot));
    bytes_put_u32(w, hnsw_node(ix, slot)->parent);
    for (int l = 0; l <= hnsw_level(ix, slot); l++) {
        const uint32_t *list = hnsw_list(ix, slot, l);
        bytes_put_u8(w, (uint8_t)list[0]);
        for (uint32_t i = 1; i <= list[0]; i++) bytes_put_u32(w, list[i]);
    }
}

rec_status hnsw_save(const rec_index *base, uint32_t chunk, bytes_writer *w,
                     rec_err *err) {
    const hnsw *ix = (const hnsw *)base;
    size_t first = (size_t)chunk * HNSW_CHUNK, begin = w->n;
    uint64_t linked = 0;
    for (size_t s = first; s < chunk_end(ix, chunk); s++)
        if (ix->state[s] == NODE_LINKED) linked |= (uint64_t)1 << (s - first);
    if (!linked) return REC_OK;
    bytes_put_u8(w, CODEC_VERSION);
    bytes_put_u8(w, (uint8_t)ix->m);
    bytes_put_u8(w, 0);
    bytes_put_u8(w, 0);
    bytes_put_u64(w, linked);
    for (uint64_t bits = linked; bits; bits &= bits - 1)
        put_node(ix, (uint32_t)first + (uint32_t)__builtin_ctzll(bits), w);
    if (w->status == REC_OK)
        bytes_put_u64(w,
                      rec_hash(w->data + begin, w->n - begin, chunk_seed(ix, chunk)));
    return w->status == REC_OK ? REC_OK : rec_nomem(err);
}

/* ---- load: first pass, one node at a time --------------------------------------------------------- */

static rec_status check_list(const hnsw *ix, uint32_t slot, int layer, bytes_reader *r,
                             rec_err *err) {
    uint32_t seen[2 * HNSW_MAX_M], n = bytes_get_u8(r);
    if (r->status || n > hnsw_width(ix, layer))
        return rec_corrupt(err,
                           "node %u has %u links at layer %d, at most %u are allowed",
                           slot, n, layer, hnsw_width(ix, layer));
    for (uint32_t i = 0; i < n; i++) {
        seen[i] = bytes_get_u32(r);
        if (r->status || seen[i] == slot || seen[i] >= HNSW_MAX_SLOTS)
            return rec_corrupt(
                err, "node %u links to %u at layer %d, which is no other slot", slot,
                seen[i], layer);
        for (uint32_t j = 0; j < i; j++)
            if (seen[j] == seen[i])
                return rec_corrupt(err, "node %u links twice to %u at layer %d", slot,
                                   seen[i], layer);
    }
    return REC_OK;
}

static rec_status check_nodes(const hnsw *ix, uint32_t chunk, uint64_t linked,
                              bytes_reader *r, rec_err *err) {
    rec_status rc = REC_OK;
    for (uint64_t bits = linked; bits && !rc; bits &= bits - 1) {
        uint32_t slot = chunk * HNSW_CHUNK + (uint32_t)__builtin_ctzll(bits);
        (void)bytes_get_u32(r); /* hash of the vector */
        uint32_t parent = bytes_get_u32(r);
        if (r->status || parent >= HNSW_MAX_SLOTS)
            return rec_corrupt(err, "parent %u of node %u is no slot", parent, slot);
        for (int l = 0; l <= hnsw_level(ix, slot) && !rc; l++)
            rc = check_list(ix, slot, l, r, err);
    }
    if (!rc && r->at + HASH_BYTES != r->n)
        rc = rec_corrupt(err, "links of chunk %u: %zu bytes, %zu were expected", chunk,
                         r->n, r->at + HASH_BYTES);
    return rc;
}

static rec_status check_bytes(const hnsw *ix, uint32_t chunk, bytes_reader *r,
                              uint64_t *linked, rec_err *err) {
    *linked = 0;
    if (r->n < HEAD_BYTES + HASH_BYTES)
        return rec_corrupt(err, "links of chunk %u: %zu bytes are too few", chunk,
                           r->n);
    bytes_reader tail = {.data = r->data + r->n - HASH_BYTES, .n = HASH_BYTES};
    if (bytes_get_u64(&tail) !=
        rec_hash(r->data, r->n - HASH_BYTES, chunk_seed(ix, chunk)))
        return rec_corrupt(err, "links of chunk %u fail their checksum", chunk);
    unsigned version = bytes_get_u8(r), m = bytes_get_u8(r);
    (void)bytes_get(r, 2);
    if (version != CODEC_VERSION || m != ix->m)
        return rec_corrupt(err,
                           "links of chunk %u have version %u and m=%u, not %d and %u",
                           chunk, version, m, CODEC_VERSION, ix->m);
    *linked = bytes_get_u64(r);
    if (*linked == 0) return rec_corrupt(err, "links of chunk %u name no node", chunk);
    return check_nodes(ix, chunk, *linked, r, err);
}

/* ---- load: second pass ------------------------------------------------------------------------------ */

static void forget_chunk(hnsw *ix, uint32_t chunk) {
    for (size_t s = (size_t)chunk * HNSW_CHUNK; s < chunk_end(ix, chunk); s++)
        if (ix->state[s] == NODE_LINKED) hnsw_forget(ix, (uint32_t)s);
}

static rec_status make_upper(hnsw *ix, uint32_t chunk, uint64_t linked, rec_err *err) {
    for (uint64_t bits = linked; bits; bits &= bits - 1) {
        uint32_t slot = chunk * HNSW_CHUNK + (uint32_t)__builtin_ctzll(bits);
        int level = hnsw_level(ix, slot);
        if (level == 0 || ix->upper[slot]) continue;
        ix->upper[slot] = rec_zeros((size_t)level * (ix->m + 1), sizeof(uint32_t));
        if (!ix->upper[slot]) return rec_nomem(err);
    }
    return REC_OK;
}

static void drop_upper(hnsw *ix, uint32_t chunk) {
    for (size_t s = (size_t)chunk * HNSW_CHUNK; s < chunk_end(ix, chunk); s++) {
        rec_free(ix->upper[s]);
        ix->upper[s] = NULL;
    }
}

static void store_node(hnsw *ix, uint32_t slot, bytes_reader *r) {
    uint32_t list[2 * HNSW_MAX_M], hash = bytes_get_u32(r), parent = bytes_get_u32(r);
    int level = hnsw_level(ix, slot);
    if (hnsw_is_live(ix, slot))
        hnsw_delta_drop(ix, slot);
    else
        hnsw_wipe(ix, slot);
    hnsw_set_stale(ix, slot, !hnsw_is_live(ix, slot) || hash != vector_hash(ix, slot));
    ix->state[slot] = NODE_LINKED;
    hnsw_node(ix, slot)->parent = parent;
    for (int l = 0; l <= level; l++) {
        uint32_t n = bytes_get_u8(r);
        for (uint32_t i = 0; i < n; i++) {
            list[i] = bytes_get_u32(r);
            /* A chunk to come may make that slot; reverse lists have no head for it. */
            if (list[i] >= ix->n_slots) hnsw_back_clear(ix);
        }
        hnsw_set_list(ix, slot, l, list, n);
    }
    ix->n_at[level]++;
    ix->n_linked++;
    if (parent == slot) ix->entry = slot;
}

static void set_dirty(hnsw *ix, uint32_t chunk, bool is_dirty) {
    atomic_store_explicit(&ix->dirty[chunk], is_dirty, memory_order_relaxed);
}

/* Slots for the chunk, if it is not too far beyond the rows. */
static rec_status reserve(hnsw *ix, uint32_t chunk, rec_err *err) {
    size_t end = ((size_t)chunk + 1) * HNSW_CHUNK;
    return end <= most_slots(ix) ? hnsw_reserve_slots(ix, end, err) : REC_OK;
}

static rec_status load_bytes(hnsw *ix, uint32_t chunk, bytes_reader *r, rec_err *err) {
    bytes_reader first = *r;
    uint64_t linked = 0;
    rec_status rc = check_bytes(ix, chunk, &first, &linked, err);
    if (!rc) rc = reserve(ix, chunk, err);
    if (rc) return rc;
    if ((size_t)chunk * HNSW_CHUNK >= ix->n_slots) {
        ix->is_worn = true;
        return REC_OK;
    }
    rc = make_upper(ix, chunk, linked, err);
    if (rc) {
        drop_upper(ix, chunk);
        return rc;
    }
    (void)bytes_get(r, HEAD_BYTES);
    for (uint64_t bits = linked; bits; bits &= bits - 1)
        store_node(ix, chunk * HNSW_CHUNK + (uint32_t)__builtin_ctzll(bits), r);
    set_dirty(ix, chunk, false);
    ix->fresh[chunk] = 1;
    return REC_OK;
}

rec_status hnsw_load(rec_index *base, uint32_t chunk, bytes_reader *r, rec_err *err) {
    hnsw *ix = (hnsw *)base;
    if (chunk >= HNSW_MAX_SLOTS / HNSW_CHUNK)
        return rec_corrupt(err, "links are stored for chunk %u, the last one is %zu",
                           chunk, HNSW_MAX_SLOTS / HNSW_CHUNK - 1);
    rec_status rc = r->n ? hnsw_reserve_dirty(ix, (size_t)chunk + 1, err) : REC_OK;
    if (rc) return rc;
    forget_chunk(ix, chunk);
    ix->is_ready = false;
    if (chunk < ix->n_dirty) set_dirty(ix, chunk, r->n != 0);
    return r->n ? load_bytes(ix, chunk, r, err) : REC_OK;
}

/* ---- ready: what needs more than one chunk ----------------------------------------------------------- */

static rec_status check_targets(const hnsw *ix, uint32_t slot, rec_err *err) {
    for (int l = hnsw_level(ix, slot); l >= 0; l--) {
        const uint32_t *list = hnsw_list(ix, slot, l);
        for (uint32_t i = 1; i <= list[0]; i++)
            if (!hnsw_is_linked(ix, list[i]) || (l > 0 && hnsw_level(ix, list[i]) < l))
                return rec_corrupt(
                    err, "node %u links to %u at layer %d, where that is not (I4)",
                    slot, list[i], l);
    }
    return REC_OK;
}

static rec_status check_entry(hnsw *ix, rec_err *err) {
    ix->top = HNSW_MAX_LEVEL;
    while (ix->top >= 0 && ix->n_at[ix->top] == 0) ix->top--;
    if (ix->n_linked == 0) {
        ix->entry = HNSW_NONE;
        return REC_OK;
    }
    if (!hnsw_is_linked(ix, ix->entry) ||
        hnsw_node(ix, ix->entry)->parent != ix->entry ||
        hnsw_level(ix, ix->entry) != ix->top)
        return rec_corrupt(err, "the entry point is missing or not of level %d (I6)",
                           ix->top);
    return REC_OK;
}

static rec_status check_fresh(const hnsw *ix, uint8_t *is_rooted, rec_err *err) {
    rec_status rc = REC_OK;
    for (size_t s = 0; s < ix->n_slots && !rc; s++) {
        if (ix->state[s] != NODE_LINKED || !ix->fresh[s / HNSW_CHUNK]) continue;
        rc = check_targets(ix, (uint32_t)s, err);
        if (!rc) rc = hnsw_check_rooted(ix, (uint32_t)s, is_rooted, err);
    }
    return rc;
}

static void forget_all(hnsw *ix) {
    hnsw_back_clear(ix);
    for (uint32_t c = 0; (size_t)c * HNSW_CHUNK < ix->n_slots; c++) forget_chunk(ix, c);
    memset(ix->fresh, 0, (ix->n_slots + HNSW_CHUNK - 1) / HNSW_CHUNK);
    ix->entry = HNSW_NONE;
    ix->top = -1;
    ix->is_worn = false;
    ix->is_ready = true;
}

void hnsw_forget_all(rec_index *base) {
    forget_all((hnsw *)base);
}

static bool is_worn(const hnsw *ix) {
    size_t most = ix->n_linked / STALE_SHARE;
    return ix->is_worn || ix->n_stale > (most > STALE_FEW ? most : STALE_FEW);
}

static rec_status check_structure(hnsw *ix, rec_err *err) {
    uint8_t *is_rooted = rec_zeros(ix->n_slots, 1);
    if (!is_rooted) return rec_nomem(err);
    rec_status rc = check_entry(ix, err);
    if (!rc && ix->n_linked) is_rooted[ix->entry] = 1;
    if (!rc) rc = check_fresh(ix, is_rooted, err);
    rec_free(is_rooted);
    return rc;
}

/* Some .2 ms each, and there may be tens of thousands. */
static rec_status cut_stale(hnsw *ix, rec_run *run, rec_err *err) {
    rec_status rc = REC_OK;
    for (size_t w = 0; ix->n_stale && !rc; w++)
        while (ix->stale[w] && !rc) {
            unsigned bit = (unsigned)__builtin_ctzll(ix->stale[w]);
            rc = run_check(run, err);
            if (!rc) rc = hnsw_cut(ix, (uint32_t)(w * 64 + bit), err);
        }
    return rc;
}

rec_status hnsw_ready(rec_index *base, rec_run *run, rec_err *err) {
    hnsw *ix = (hnsw *)base;
    if (ix->is_ready) return REC_OK;
    if (is_worn(ix)) {
        forget_all(ix);
        return REC_OK;
    }
    rec_status rc = check_structure(ix, err);
    if (!rc) rc = cut_stale(ix, run, err);
    if (rc == REC_NOMEM || rc == REC_INTR) return rc;
    if (rc) {
        forget_all(ix);
        for (size_t c = 0; c < ix->n_dirty; c++) /* stored rows are to be replaced */
            set_dirty(ix, (uint32_t)c, true);
        return rc;
    }
    if (ix->fresh) memset(ix->fresh, 0, (ix->n_slots + HNSW_CHUNK - 1) / HNSW_CHUNK);
    ix->is_ready = true;
    return REC_OK;
}
