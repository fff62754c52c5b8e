/* dict.c - strings numbered from 0, and the nearest one to a misspelt word.
 *
 *     bytes   "action\0adventure\0..."          one growing block
 *     start   0, 7, 17, ...                     n + 1 offsets
 *     slot    open addressing, power of two, at most half full: string number + 1
 *
 * Spelling search is the symmetric deletion index of Garbe's SymSpell: every string of 4 to
 * 40 bytes is filed under the hashes of itself and of itself with one byte left out. Two
 * strings at distance 1 (also a swap of neighbours) always share one of these, so a lookup
 * makes |word| + 1 probes and verifies the few candidates with the true distance.
 *
 *     adventure -> dventure aventure adenture ...    query "advnture" -> itself -> found
 *
 * Invariants
 *  I1  start is ascending; string i is bytes[start[i] .. start[i+1]-1), NUL behind it.
 *  I2  near is sorted by (hash, string).
 *
 * Cost: about 40 bytes a string plus the bytes; the spelling index 8 bytes a letter.
 */
#include "text.h"

#define DICT_HASH_SEED     0x9E3779B97F4A7C15u
#define SPELLING_MIN_BYTES 4
#define SPELLING_MAX_BYTES 40

typedef struct near_entry {
    uint32_t hash, pos;
} near_entry;

struct dict {
    char *bytes;      /* owned */
    uint32_t *start;  /* owned, n + 1 */
    uint32_t *hash;   /* owned, n: low bits of rec_hash */
    uint32_t *slot;   /* owned, n_slot: number + 1, 0 = empty */
    near_entry *near; /* owned; NULL until dict_index_spelling */
    size_t n, n_slot, n_near;
    size_t cap_bytes, cap_start, cap_hash;
};

dict *dict_new(void) {
    return rec_zeros(1, sizeof(dict));
}

void dict_free(dict *d) {
    if (!d) return;
    rec_free(d->bytes);
    rec_free(d->start);
    rec_free(d->hash);
    rec_free(d->slot);
    rec_free(d->near);
    rec_free(d);
}

size_t dict_count(const dict *d) {
    return d->n;
}

size_t dict_nbyte(const dict *d) {
    return sizeof *d + d->cap_bytes + (d->cap_start + d->cap_hash + d->n_slot) * 4 +
           d->n_near * sizeof(near_entry);
}

const char *dict_get(const dict *d, uint32_t pos, size_t *nbyte) {
    if (nbyte) *nbyte = d->start[pos + 1] - d->start[pos] - 1;
    return d->bytes + d->start[pos];
}

static uint32_t hash32(const char *s, size_t n) {
    return (uint32_t)rec_hash(s, n, DICT_HASH_SEED);
}

static bool dict_equal(const dict *d, uint32_t pos, const char *s, size_t n) {
    size_t len;
    const char *have = dict_get(d, pos, &len);
    return len == n && memcmp(have, s, n) == 0;
}

uint32_t dict_find(const dict *d, const char *s, size_t nbyte) {
    if (!d->n_slot) return KEYS_NONE;
    uint32_t h = hash32(s, nbyte);
    for (size_t i = h & (d->n_slot - 1); d->slot[i]; i = (i + 1) & (d->n_slot - 1)) {
        uint32_t pos = d->slot[i] - 1;
        if (d->hash[pos] == h && dict_equal(d, pos, s, nbyte)) return pos;
    }
    return KEYS_NONE;
}

static void slot_put(uint32_t *slot, size_t n_slot, uint32_t h, uint32_t pos) {
    size_t i = h & (n_slot - 1);
    while (slot[i]) i = (i + 1) & (n_slot - 1);
    slot[i] = pos + 1;
}

static rec_status dict_rehash(dict *d, rec_err *err) {
    size_t n_slot = d->n_slot ? d->n_slot * 2 : 64;
    uint32_t *slot = rec_zeros(n_slot, sizeof *slot);
    if (!slot) return rec_nomem(err);
    for (size_t i = 0; i < d->n; i++) slot_put(slot, n_slot, d->hash[i], (uint32_t)i);
    rec_free(d->slot);
    d->slot = slot;
    d->n_slot = n_slot;
    return REC_OK;
}

static rec_status dict_reserve(dict *d, size_t nbyte, rec_err *err) {
    size_t used = d->n ? d->start[d->n] : 0;
    if (nbyte >= UINT32_MAX - used || d->n >= UINT32_MAX / 2) return rec_nomem(err);
    rec_status rc = rec_grow(&d->bytes, &d->cap_bytes, used + nbyte + 1, 1, err);
    if (!rc) rc = rec_grow(&d->start, &d->cap_start, d->n + 2, sizeof *d->start, err);
    if (!rc) rc = rec_grow(&d->hash, &d->cap_hash, d->n + 1, sizeof *d->hash, err);
    if (!rc && (d->n + 1) * 2 > d->n_slot) rc = dict_rehash(d, err);
    return rc;
}

rec_status dict_add(dict *d, const char *s, size_t nbyte, uint32_t *pos, rec_err *err) {
    *pos = dict_find(d, s, nbyte);
    if (*pos != KEYS_NONE) return REC_OK;
    rec_status rc = dict_reserve(d, nbyte, err);
    if (rc) return rc;
    uint32_t at = d->n ? d->start[d->n] : 0;
    if (nbyte) memcpy(d->bytes + at, s, nbyte);
    d->bytes[at + nbyte] = 0;
    d->start[d->n] = at;
    d->start[d->n + 1] = at + (uint32_t)nbyte + 1;
    d->hash[d->n] = hash32(s, nbyte);
    *pos = (uint32_t)d->n++;
    slot_put(d->slot, d->n_slot, d->hash[*pos], *pos);
    return REC_OK;
}

/* ---- spelling -------------------------------------------------------------------- */

static bool near_less(const near_entry *a, const near_entry *b) {
    return a->hash != b->hash ? a->hash < b->hash : a->pos < b->pos;
}

static void near_sift(near_entry *a, size_t i, size_t n) {
    near_entry x = a[i];
    for (size_t child; (child = 2 * i + 1) < n; i = child) {
        if (child + 1 < n && near_less(&a[child], &a[child + 1])) child++;
        if (!near_less(&x, &a[child])) break;
        a[i] = a[child];
    }
    a[i] = x;
}

static void near_sort(near_entry *a, size_t n) { /* heap sort: no memory, no bad case */
    for (size_t i = n / 2; i-- > 0;) near_sift(a, i, n);
    for (size_t i = n; i-- > 1;) {
        near_entry x = a[0];
        a[0] = a[i], a[i] = x;
        near_sift(a, 0, i);
    }
}

/* Hash of s without byte `skip` (skip == n: all of it). */
static uint32_t hash_without(const char *s, size_t n, size_t skip) {
    char rest[SPELLING_MAX_BYTES];
    if (skip >= n) return hash32(s, n);
    memcpy(rest, s, skip);
    memcpy(rest + skip, s + skip + 1, n - skip - 1);
    return hash32(rest, n - 1);
}

static bool is_spelling_size(size_t n) {
    return n >= SPELLING_MIN_BYTES && n <= SPELLING_MAX_BYTES;
}

rec_status dict_index_spelling(dict *d, rec_err *err) {
    size_t n = 0, len;
    for (uint32_t i = 0; i < d->n; i++) {
        dict_get(d, i, &len);
        if (is_spelling_size(len)) n += len + 1;
    }
    near_entry *near = rec_array(n, sizeof *near);
    if (!near) return rec_nomem(err);
    size_t at = 0;
    for (uint32_t i = 0; i < d->n; i++) {
        const char *s = dict_get(d, i, &len);
        for (size_t skip = 0; is_spelling_size(len) && skip <= len; skip++)
            near[at++] = (near_entry){hash_without(s, len, skip), i};
    }
    near_sort(near, at);
    rec_free(d->near);
    d->near = near;
    d->n_near = at;
    return REC_OK;
}

static size_t near_begin(const dict *d, uint32_t hash) {
    size_t lo = 0, hi = d->n_near;
    while (lo < hi) {
        size_t mid = (lo + hi) / 2;
        if (d->near[mid].hash < hash)
            lo = mid + 1;
        else
            hi = mid;
    }
    return lo;
}

uint32_t dict_near(const dict *d, const char *s, size_t nbyte, int limit,
                   int *distance) {
    uint32_t best = KEYS_NONE;
    int best_distance = limit + 1;
    for (size_t skip = 0; is_spelling_size(nbyte) && skip <= nbyte; skip++) {
        uint32_t h = hash_without(s, nbyte, skip);
        for (size_t i = near_begin(d, h); i < d->n_near && d->near[i].hash == h; i++) {
            size_t len;
            const char *have = dict_get(d, d->near[i].pos, &len);
            int e = text_edit_distance(s, nbyte, have, len, limit);
            if (e < 1 || e > best_distance) continue;
            if (e == best_distance && (e > limit || d->near[i].pos >= best)) continue;
            best = d->near[i].pos;
            best_distance = e;
        }
    }
    if (distance) *distance = best_distance;
    return best;
}
