/* flat.c - the exact index: compare with everything. The definition of every other kind.
 *
 *   slots   0 ............ 2^shift-1 | 2^shift ...        chunks of at most FLAT_CHUNK_BYTES,
 *   chunk 0 [ row ][ row ] ... [ row ] chunk 1 [ row ] ... rows contiguous in stored form
 *   live    1111 0111 ...                                  64 slots a word
 *   inverse 1/|v| ...                                      cosine only
 *
 * A search walks words of 64 slots: mask = live & allowed, distances of the set bits into 64
 * floats, then either a bounded heap (k known) or one array for all (a stream, ordered lazily
 * by `ranking`). A key is the distance that is handed out (index_finish in index.h).
 * With codes=int8 or float16 most rows are turned away by a bound (flat_codes.c); rows, order
 * and distances are the same, bit for bit.
 *
 * I1. n_rows is the number of set bits in live; bits at and beyond n_slots are 0.
 * I2. inverse[slot] is 1/|v|, 0 for a zero vector (its cosine distance is 1), or INDEX_WIDE.
 * I3. Order is (key, slot), the same with and without k, with and without codes.
 * I4. The code of a slot is what flat_codes_put makes of its vector.
 *
 * Cost: one kernel call a row; a query over 100 MB of vectors runs at the speed of memory.
 */
#include "flat.h"

#define FLAT_CHUNK_BYTES ((size_t)256 << 10)
#define SETTLE_SHARE     16 /* a stream compares all once it has compared one in so many */

typedef struct flat_search {
    index_search base;
    const flat_index *f;
    bool is_topk, is_lazy; /* is_lazy: `rest` is ordered by lower bounds */
    bool has_last;
    float last; /* key handed out last, is_lazy */
    topk best;
    ranking rest;
    size_t at, n_met;
    flat_query q; /* is_lazy */
} flat_search;

/* ---- storage ---------------------------------------------------------------------------- */

static void flat_close(rec_index *ix) {
    flat_index *f = (flat_index *)ix;
    if (f == NULL) return;
    flat_codes_clear(f);
    for (size_t c = 0; c < f->n_chunks; c++) rec_free(f->chunk[c]);
    rec_free(f->chunk);
    rec_free(f->live);
    rec_free(f->inverse);
    rec_free(f);
}

static rec_status flat_open(rec_index **out, const index_cfg *cfg, rec_err *err) {
    *out = NULL;
    if (cfg->dim < VEC_MIN_DIM || cfg->dim > VEC_MAX_DIM)
        return rec_fail(err, REC_RANGE, "%u dimensions, allowed are %d to %d", cfg->dim,
                        VEC_MIN_DIM, VEC_MAX_DIM);
    if ((cfg->metric == METRIC_HAMMING) != (cfg->type == VEC_BIT))
        return rec_fail(err, REC_RANGE, "metric=%s does not go with %s vectors",
                        vec_metric_name(cfg->metric), vec_type_name(cfg->type));
    flat_index *f = rec_zeros(1, sizeof *f);
    if (f == NULL) return rec_nomem(err);
    f->base.ops = &flat_ops;
    f->type = cfg->type;
    f->metric = cfg->metric;
    f->dim = cfg->dim;
    f->nbyte = vec_nbyte(cfg->type, cfg->dim);
    while (f->shift < 16 && (f->nbyte << (f->shift + 1)) <= FLAT_CHUNK_BYTES)
        f->shift++;
    rec_status s = flat_codes_init(f, cfg, err);
    if (s == REC_OK)
        *out = &f->base;
    else
        flat_close(&f->base);
    return s;
}

/* Room for `slot`; new slots are empty. */
static rec_status reserve(flat_index *f, uint32_t slot, rec_err *err) {
    size_t n_words = (size_t)slot / 64 + 1, old_words = f->cap_live;
    rec_status s = rec_grow(&f->live, &f->cap_live, n_words, sizeof(uint64_t), err);
    if (s != REC_OK) return s;
    if (f->cap_live > old_words)
        memset(f->live + old_words, 0, (f->cap_live - old_words) * sizeof(uint64_t));
    if (f->metric == METRIC_COSINE) {
        s = rec_grow(&f->inverse, &f->cap_inverse, (size_t)slot + 1, sizeof(float),
                     err);
        if (s != REC_OK) return s;
    }
    size_t want = ((size_t)slot >> f->shift) + 1;
    s = rec_grow(&f->chunk, &f->cap_chunks, want, sizeof(uint8_t *), err);
    while (s == REC_OK && f->n_chunks < want) {
        uint8_t *fresh = rec_array((size_t)1 << f->shift, f->nbyte);
        if (fresh == NULL) return rec_nomem(err);
        f->chunk[f->n_chunks++] = fresh;
    }
    return s == REC_OK ? flat_codes_reserve(f, slot, err) : s;
}

static rec_status flat_add(rec_index *ix, uint32_t slot, const void *v, rec_err *err) {
    flat_index *f = (flat_index *)ix;
    rec_status s = reserve(f, slot, err);
    if (s != REC_OK) return s;
    memcpy(flat_row(f, slot), v, f->nbyte);
    if (f->metric == METRIC_COSINE)
        f->inverse[slot] = index_inverse_norm(f->type, v, f->dim);
    flat_codes_put(f, slot, v);
    if (!flat_is_live(f, slot)) f->n_rows++;
    f->live[slot >> 6] |= (uint64_t)1 << (slot & 63);
    if (slot >= f->n_slots) f->n_slots = (size_t)slot + 1;
    return REC_OK;
}

static rec_status flat_remove(rec_index *ix, uint32_t slot, rec_err *err) {
    flat_index *f = (flat_index *)ix;
    (void)err;
    if (!flat_is_live(f, slot)) return REC_OK;
    f->live[slot >> 6] &= ~((uint64_t)1 << (slot & 63));
    memset(flat_row(f, slot), 0,
           f->nbyte); /* a deleted vector is gone from memory too */
    flat_codes_wipe(f, slot);
    f->n_rows--;
    return REC_OK;
}

static const void *flat_get(const rec_index *ix, uint32_t slot) {
    const flat_index *f = (const flat_index *)ix;
    return flat_is_live(f, slot) ? flat_row(f, slot) : NULL;
}

/* ---- distances --------------------------------------------------------------------------- */

static rec_status query_init(flat_query *q, const flat_index *f, const index_query *iq,
                             rec_err *err) {
    *q = (flat_query){.exact = {f->metric, f->type, f->dim, iq->vector, 0},
                      .bits = iq->bits};
    if (f->type == VEC_BIT) return REC_OK;
    if (f->type == VEC_I8) {
        q->own = rec_malloc(f->nbyte);
        if (q->own == NULL) return rec_nomem(err);
        rec_status s = index_encode(VEC_I8, iq->vector, f->dim, q->own, err);
        if (s != REC_OK) return s;
        q->i8 = (const int8_t *)q->own;
    }
    if (f->metric == METRIC_COSINE)
        q->exact.inverse = index_inverse_norm(VEC_F32, iq->vector, f->dim);
    return REC_OK;
}

static void score_f32(const flat_index *f, const flat_query *q, size_t slot0,
                      uint64_t mask, float out[64]) {
    float (*fn)(const float *, const float *, size_t) =
        f->metric == METRIC_L2   ? vec_kernels()->l2sq
        : f->metric == METRIC_L1 ? vec_kernels()->l1
                                 : vec_kernels()->dot;
    unsigned j;
    FOR_BITS(j, mask)
    out[j] =
        fn(q->exact.x, (const float *)(const void *)flat_row(f, slot0 + j), f->dim);
}

static void score_f16(const flat_index *f, const flat_query *q, size_t slot0,
                      uint64_t mask, float out[64]) {
    float (*fn)(const float *, const uint16_t *, size_t) =
        f->metric == METRIC_L2   ? vec_kernels()->l2sq_f16
        : f->metric == METRIC_L1 ? vec_kernels()->l1_f16
                                 : vec_kernels()->dot_f16;
    unsigned j;
    FOR_BITS(j, mask)
    out[j] =
        fn(q->exact.x, (const uint16_t *)(const void *)flat_row(f, slot0 + j), f->dim);
}

static void score_i8(const flat_index *f, const flat_query *q, size_t slot0,
                     uint64_t mask, float out[64]) {
    int64_t (*fn)(const int8_t *, const int8_t *, size_t) =
        f->metric == METRIC_L2   ? vec_kernels()->l2sq_i8
        : f->metric == METRIC_L1 ? vec_kernels()->l1_i8
                                 : vec_kernels()->dot_i8;
    unsigned j;
    FOR_BITS(j, mask)
    out[j] = (float)fn(q->i8, (const int8_t *)flat_row(f, slot0 + j), f->dim);
}

static void score_bits(const flat_index *f, const flat_query *q, size_t slot0,
                       uint64_t mask, float out[64]) {
    uint32_t (*fn)(const uint8_t *, const uint8_t *, size_t) = vec_kernels()->hamming;
    unsigned j;
    FOR_BITS(j, mask) out[j] = (float)fn(q->bits, flat_row(f, slot0 + j), f->nbyte);
}

/* Keys of the slots slot0 + j for every bit j of mask. */
static void score_word(const flat_index *f, const flat_query *q, size_t slot0,
                       uint64_t mask, float out[64]) {
    unsigned j;
    switch (f->type) {
    case VEC_F32: score_f32(f, q, slot0, mask, out); break;
    case VEC_F16: score_f16(f, q, slot0, mask, out); break;
    case VEC_I8: score_i8(f, q, slot0, mask, out); break;
    case VEC_BIT: score_bits(f, q, slot0, mask, out); break;
    }
    bool is_cosine = f->metric == METRIC_COSINE;
    FOR_BITS(j, mask)
    out[j] = index_finish(&q->exact, flat_row(f, slot0 + j),
                          is_cosine ? f->inverse[slot0 + j] : 0, out[j]);
}

float flat_key(const flat_index *f, const flat_query *q, size_t slot) {
    float out[64];
    unsigned j = slot & 63;
    score_word(f, q, slot - j, (uint64_t)1 << j, out);
    return out[j];
}

/* ---- search ------------------------------------------------------------------------------- */

static rec_status scan_topk(const flat_index *f, const flat_query *q,
                            const index_query *iq, topk *best, rec_err *err) {
    float out[64], bound = topk_bound(best);
    unsigned j;
    for (size_t w = 0; w * 64 < f->n_slots; w++) {
        uint64_t mask = flat_word(f, iq->allowed, w);
        if (w % FLAT_POLL_WORDS == 0) {
            rec_status s = run_check(iq->run, err);
            if (s != REC_OK) return s;
        }
        if (mask == 0) continue;
        score_word(f, q, w * 64, mask, out);
        /* Slots ascend, so an equal key never displaces what is kept (I3). */
        FOR_BITS(j, mask)
        if (out[j] < bound) {
            topk_push(best, out[j], (uint32_t)(w * 64 + j));
            bound = topk_bound(best);
        }
    }
    topk_sort(best);
    return REC_OK;
}

static rec_status scan_all(const flat_index *f, const flat_query *q,
                           const index_query *iq, ranking *rest, rec_err *err) {
    size_t n = 0, cap = 0;
    for (size_t w = 0; w * 64 < f->n_slots; w++)
        cap += (size_t)__builtin_popcountll(flat_word(f, iq->allowed, w));
    topk_entry *all = rec_array(cap, sizeof *all);
    if (all == NULL) return rec_nomem(err);
    float out[64];
    unsigned j;
    for (size_t w = 0; w * 64 < f->n_slots; w++) {
        uint64_t mask = flat_word(f, iq->allowed, w);
        rec_status s = w % FLAT_POLL_WORDS == 0 ? run_check(iq->run, err) : REC_OK;
        if (s != REC_OK) {
            rec_free(all);
            return s;
        }
        if (mask == 0) continue;
        score_word(f, q, w * 64, mask, out);
        FOR_BITS(j, mask) {
            all[n].value = out[j];
            all[n++].id = (uint32_t)(w * 64 + j);
        }
    }
    return ranking_init(rest, all, n, err);
}

static void flat_end(index_search *s) {
    flat_search *fs = (flat_search *)s;
    if (fs == NULL) return;
    topk_clear(&fs->best);
    ranking_clear(&fs->rest);
    rec_free(fs->q.own);
    rec_free(fs);
}

static rec_status search_codes(flat_search *fs, const index_query *iq, rec_err *err) {
    rec_status s = flat_codes_scan(fs->f, iq, &fs->rest, err);
    if (s != REC_OK) return s;
    if (fs->is_topk) {
        flat_codes_best(fs->f, &fs->q, &fs->rest, &fs->best);
        ranking_clear(&fs->rest);
        return REC_OK;
    }
    fs->q.own = rec_array(fs->f->dim, sizeof(float)); /* the caller's may go away */
    if (fs->q.own == NULL) return rec_nomem(err);
    memcpy(fs->q.own, iq->vector, fs->f->dim * sizeof(float));
    fs->q.exact.x = (const float *)(const void *)fs->q.own;
    fs->is_lazy = true;
    return REC_OK;
}

static rec_status flat_search_start(const rec_index *ix, const index_query *iq,
                                    index_search **out, rec_err *err) {
    const flat_index *f = (const flat_index *)ix;
    *out = NULL;
    flat_search *fs = rec_zeros(1, sizeof *fs);
    if (fs == NULL) return rec_nomem(err);
    fs->base.ops = &flat_ops;
    fs->f = f;
    fs->is_topk = iq->k > 0 && iq->k < f->n_rows; /* else: hand out everything anyway */
    rec_status s = query_init(&fs->q, f, iq, err);
    if (s == REC_OK && fs->is_topk) s = topk_init(&fs->best, iq->k, err);
    if (s == REC_OK)
        s = flat_codes_serve(f, iq) ? search_codes(fs, iq, err)
            : fs->is_topk           ? scan_topk(f, &fs->q, iq, &fs->best, err)
                                    : scan_all(f, &fs->q, iq, &fs->rest, err);
    if (s == REC_OK)
        *out = &fs->base;
    else
        flat_end(&fs->base);
    return s;
}

/* Single rows in the order of their bounds cost three times what they cost in a row: once
 * many have been compared, the others are, too, and the ranking is one of keys. A row that
 * was replaced since the search began must not come before what has been handed out. */
static rec_status settle(flat_search *fs, rec_err *err) {
    const flat_index *f = fs->f;
    ranking *r = &fs->rest;
    bitmap left = {0};
    float out[64];
    unsigned j;
    rec_status s = bitmap_init(&left, f->n_slots, false, err);
    if (s != REC_OK) return s;
    for (size_t i = r->at; i < r->n; i++) bitmap_set(&left, r->a[i].id);
    size_t n = fs->n_met; /* what has been met lies in front, with its key */
    for (size_t w = 0; w * 64 < f->n_slots; w++) {
        uint64_t mask = flat_word(f, &left, w);
        if (mask) score_word(f, &fs->q, w * 64, mask, out);
        FOR_BITS(j, mask)
        if (!fs->has_last || out[j] >= fs->last)
            r->a[n++] = (topk_entry){out[j], (uint32_t)(w * 64 + j)};
    }
    bitmap_clear(&left);
    fs->is_lazy = false;
    return ranking_init(r, r->a, n, err);
}

static bool flat_next(index_search *s, uint32_t *slot, float *distance,
                      rec_status *status, rec_err *err) {
    flat_search *fs = (flat_search *)s;
    topk_entry e = {0};
    *status = REC_OK;
    if (fs->is_lazy && fs->rest.at > fs->rest.n / SETTLE_SHARE) {
        *status = settle(fs, err);
        if (*status != REC_OK) return false;
    }
    if (fs->is_topk) {
        if (fs->at == fs->best.n) return false;
        e = fs->best.a[fs->at++];
    } else if (fs->is_lazy) {
        if (!flat_codes_next(fs->f, &fs->q, &fs->rest, &fs->n_met, &e)) return false;
        fs->last = e.value;
        fs->has_last = true;
    } else if (!ranking_next(&fs->rest, &e)) {
        return false;
    }
    *slot = e.id;
    *distance = e.value;
    return true;
}

/* ---- check and statistics -------------------------------------------------------------------- */

static rec_status flat_check(const rec_index *ix, rec_err *err) {
    const flat_index *f = (const flat_index *)ix;
    size_t n = 0;
    for (size_t slot = 0; slot < f->cap_live * 64; slot++) {
        if (!(f->live[slot >> 6] >> (slot & 63) & 1)) continue;
        n++;
        if (slot >= f->n_slots)
            return rec_corrupt(err, "slot %zu lies beyond the end (I1)", slot);
        if (f->metric == METRIC_COSINE &&
            f->inverse[slot] != index_inverse_norm(f->type, flat_row(f, slot), f->dim))
            return rec_corrupt(err, "norm of slot %zu is wrong (I2)", slot);
        if (!flat_codes_are_right(f, slot))
            return rec_corrupt(err, "code of slot %zu is wrong (I4)", slot);
    }
    if (n != f->n_rows)
        return rec_corrupt(err, "%zu slots are in use, %zu were counted (I1)", n,
                           f->n_rows);
    return REC_OK;
}

static void flat_stats(const rec_index *ix, index_stats *out) {
    const flat_index *f = (const flat_index *)ix;
    *out = (index_stats){.n_rows = f->n_rows};
    out->nbyte = f->n_chunks * (f->nbyte << f->shift) + f->cap_live * 8 +
                 f->cap_inverse * 4 + f->cap_chunks * sizeof(void *) + sizeof *f +
                 flat_codes_nbyte(f);
}

static const char *flat_how(const index_search *s) {
    (void)s;
    return "scan";
}

static const char *const flat_options[] = {"codes", NULL};

const rec_index_ops flat_ops = {
    .name = "flat",
    .options = flat_options,
    .open = flat_open,
    .add = flat_add,
    .remove = flat_remove,
    .get = flat_get,
    .search = flat_search_start,
    .next = flat_next,
    .end = flat_end,
    .how = flat_how,
    .check = flat_check,
    .stats = flat_stats,
    .close = flat_close,
};
