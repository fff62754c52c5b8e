/* hnsw_codec.c - 64 slots of links as bytes, and back, believing nothing.
 *
 *   u8 version | u8 m | u16 0 | u64 linked: bit i = slot 64*chunk + i
 *   for each set bit:   u32 parent | for layer 0..level:  u8 n | n times u32 slot
 *   u64 hash of all before, seeded with (seed, chunk): a row cannot stand in for another
 *
 * Numbers are little-endian. Levels follow from seed and slot, codes from the vector, so
 * neither is stored: what is not stored cannot be wrong.
 *
 * load checks every number alone (length, version, m, ranges, slots that hold a vector, no
 * node linked to itself or twice to another), in a first pass that changes nothing; a second
 * one stores. What needs other chunks is left to ready:
 *
 *   - targets are linked and have that layer (I3, I4 of hnsw.c)
 *   - parents link to their children and lead to one root (I7), which has the highest level (I6)
 *
 * For chunks that were not loaded this time these are facts from before, unless the file lies;
 * walks therefore never trust a link beyond "is a slot", and hnsw_check compares everything.
 */
#include "hnsw.h"

#define CODEC_VERSION 1
#define HEAD_BYTES    12
#define HASH_BYTES    8

static uint64_t chunk_seed(const hnsw *ix, uint32_t chunk) {
    return rec_mix(ix->seed ^ ((uint64_t)chunk << 16 | ix->m));
}

static size_t chunk_end(const hnsw *ix, uint32_t chunk) {
    size_t end = ((size_t)chunk + 1) * HNSW_CHUNK;
    return end < ix->n_slots ? end : ix->n_slots;
}

/* ---- save -------------------------------------------------------------------------------------- */

static void put_node(const hnsw *ix, uint32_t slot, bytes_writer *w) {
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
    uint32_t first = chunk * HNSW_CHUNK;
    uint64_t linked = 0;
    size_t begin = w->n;
    for (size_t s = first; s < chunk_end(ix, chunk); s++)
        if (ix->state[s] == NODE_LINKED) linked |= (uint64_t)1 << (s - first);
    if (!linked) return REC_OK;
    bytes_put_u8(w, CODEC_VERSION);
    bytes_put_u8(w, (uint8_t)ix->m);
    bytes_put_u8(w, 0);
    bytes_put_u8(w, 0);
    bytes_put_u64(w, linked);
    for (uint64_t bits = linked; bits; bits &= bits - 1)
        put_node(ix, first + (uint32_t)__builtin_ctzll(bits), w);
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
        if (r->status || seen[i] == slot || !hnsw_is_live(ix, seen[i]))
            return rec_corrupt(err,
                               "node %u links to %u at layer %d, which is no other row",
                               slot, seen[i], layer);
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
        size_t slot = (size_t)chunk * HNSW_CHUNK + (unsigned)__builtin_ctzll(bits);
        if (!hnsw_is_live(ix, slot))
            return rec_corrupt(
                err, "links are stored for slot %zu, which holds no vector", slot);
        uint32_t parent = bytes_get_u32(r);
        if (r->status || !hnsw_is_live(ix, parent))
            return rec_corrupt(err, "parent %u of node %zu is no row", parent, slot);
        for (int l = 0; l <= hnsw_level(ix, (uint32_t)slot) && !rc; l++)
            rc = check_list(ix, (uint32_t)slot, l, r, err);
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
    uint32_t list[2 * HNSW_MAX_M], parent = bytes_get_u32(r);
    int level = hnsw_level(ix, slot);
    hnsw_delta_drop(ix, slot);
    ix->state[slot] = NODE_LINKED;
    hnsw_node(ix, slot)->parent = parent;
    for (int l = 0; l <= level; l++) {
        uint32_t n = bytes_get_u8(r);
        for (uint32_t i = 0; i < n; i++) list[i] = bytes_get_u32(r);
        hnsw_set_list(ix, slot, l, list, n);
    }
    ix->n_at[level]++;
    ix->n_linked++;
    if (parent == slot) ix->entry = slot;
}

static void set_dirty(hnsw *ix, uint32_t chunk, bool is_dirty) {
    atomic_store_explicit(&ix->dirty[chunk], is_dirty, memory_order_relaxed);
}

rec_status hnsw_load(rec_index *base, uint32_t chunk, bytes_reader *r, rec_err *err) {
    hnsw *ix = (hnsw *)base;
    uint64_t linked = 0;
    if ((size_t)chunk * HNSW_CHUNK >= ix->n_slots)
        return r->n == 0
                   ? REC_OK
                   : rec_corrupt(err, "links are stored for chunk %u beyond the rows",
                                 chunk);
    /* Room for all in the delta: forgetting must not fail. */
    rec_status rc =
        rec_grow(&ix->delta, &ix->cap_delta, ix->n_live, sizeof *ix->delta, err);
    if (rc) return rc;
    forget_chunk(ix, chunk);
    ix->is_ready = false;
    set_dirty(ix, chunk, r->n == 0 ? false : true);
    if (r->n == 0) return REC_OK;
    bytes_reader first = *r;
    rc = check_bytes(ix, chunk, &first, &linked, err);
    if (!rc) rc = make_upper(ix, chunk, linked, err);
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

/* ---- ready: what needs more than one chunk ----------------------------------------------------------- */

static rec_status check_targets(const hnsw *ix, uint32_t slot, rec_err *err) {
    for (int l = hnsw_level(ix, slot); l >= 0; l--) {
        const uint32_t *list = hnsw_list(ix, slot, l);
        for (uint32_t i = 1; i <= list[0]; i++)
            if (!hnsw_is_linked(ix, list[i]) || hnsw_level(ix, list[i]) < l)
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
    for (uint32_t c = 0; (size_t)c * HNSW_CHUNK < ix->n_slots; c++) {
        forget_chunk(ix, c);
        set_dirty(ix, c, true); /* the stored rows are to be replaced */
    }
    ix->entry = HNSW_NONE;
    ix->top = -1;
}

rec_status hnsw_ready(rec_index *base, rec_err *err) {
    hnsw *ix = (hnsw *)base;
    if (ix->is_ready) return REC_OK;
    uint8_t *is_rooted = rec_zeros(ix->n_slots, 1);
    if (!is_rooted) return rec_nomem(err);
    rec_status rc = check_entry(ix, err);
    if (!rc && ix->n_linked) is_rooted[ix->entry] = 1;
    if (!rc) rc = check_fresh(ix, is_rooted, err);
    rec_free(is_rooted);
    if (rc) forget_all(ix);
    memset(ix->fresh, 0, (ix->n_slots + HNSW_CHUNK - 1) / HNSW_CHUNK);
    ix->is_ready = true;
    return rc;
}
