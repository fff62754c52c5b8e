/* keys.c - user and item keys: INTEGER or TEXT on the outside, 0..n-1 inside.
 *
 *     slot[]   power of two, open addressing, linear probing     u32 position or KEYS_NONE
 *                |
 *                v
 *     entry[]  in order of insertion                             hash, integer or text
 *                                                                        |
 *     text     chunks that never move                            "tt0111161" ...
 *
 * Everything behind the SQL border works on positions; this is the only place that knows
 * what a key looks like. The integer 1 and the text '1' are different keys, as in SQLite.
 *
 * Stored form: u64 count, then per key u8 kind (0 integer, 1 text), then u64 bits or str.
 *
 * Invariants
 *   I1  slot[] is at most 3/4 full, so every probe meets an empty slot.
 *   I2  No two entries are equal; keyset_read refuses bytes that say otherwise.
 *   I3  Text handed out stays where it is until keyset_free: chunks are only added.
 *   I4  keyset_order depends on the keys alone, never on the order of insertion.
 *
 * Cost: O(1) to add and find; 24 bytes an entry, 5 to 11 bytes of slots, and the text.
 */
#include "core.h"

#define KEYS_INTEGER    0
#define KEYS_TEXT       1
#define KEYS_MAX        0x7fffffffu /* positions; KEYS_NONE stays free */
#define KEYS_MIN_SLOTS  16
#define KEYS_TEXT_CHUNK ((size_t)64 << 10)
#define KEYS_SEED       0x6b657973u

typedef struct entry {
    union {
        int64_t i;
        const char *text;
    } u;
    uint32_t n_text;
    uint32_t is_text;
    uint64_t hash;
} entry;

typedef struct text_chunk {
    struct text_chunk *next;
    size_t n, cap;
    char data[];
} text_chunk;

struct keyset {
    entry *entry; /* owned */
    size_t n, cap;
    uint32_t *slot; /* owned; n_slot is 0 or a power of two */
    size_t n_slot;
    text_chunk *chunk; /* owned list; the first one takes new text */
    size_t n_text_bytes;
};

int key_compare(const rec_key *a, const rec_key *b) {
    if (a->is_text != b->is_text) return a->is_text ? 1 : -1;
    if (!a->is_text) return (a->i > b->i) - (a->i < b->i);
    size_t n = a->n_text < b->n_text ? a->n_text : b->n_text;
    int c = n ? memcmp(a->text, b->text, n) : 0;
    return c ? c : (a->n_text > b->n_text) - (a->n_text < b->n_text);
}

keyset *keyset_new(void) {
    return rec_zeros(1, sizeof(keyset));
}

void keyset_free(keyset *ks) {
    if (!ks) return;
    while (ks->chunk) {
        text_chunk *next = ks->chunk->next;
        rec_free(ks->chunk);
        ks->chunk = next;
    }
    rec_free(ks->entry);
    rec_free(ks->slot);
    rec_free(ks);
}

size_t keyset_count(const keyset *ks) {
    return ks->n;
}

size_t keyset_nbyte(const keyset *ks) {
    return sizeof *ks + ks->cap * sizeof(entry) + ks->n_slot * sizeof(uint32_t) +
           ks->n_text_bytes;
}

rec_key keyset_get(const keyset *ks, uint32_t pos) {
    rec_key key = {0};
    assert(pos < ks->n);
    const entry *e = &ks->entry[pos];
    key.is_text = e->is_text;
    if (key.is_text)
        key.text = e->u.text, key.n_text = e->n_text;
    else
        key.i = e->u.i;
    return key;
}

/* ---- table ------------------------------------------------------------------------- */

static uint64_t key_hash(const rec_key *key) {
    if (key->is_text) return rec_hash(key->text, key->n_text, KEYS_SEED);
    return rec_mix((uint64_t)key->i);
}

static bool entry_is(const entry *e, const rec_key *key, uint64_t hash) {
    if (e->hash != hash || e->is_text != (uint32_t)key->is_text) return false;
    if (!key->is_text) return e->u.i == key->i;
    return e->n_text == key->n_text &&
           (key->n_text == 0 || memcmp(e->u.text, key->text, key->n_text) == 0);
}

/* Slot that holds the key, or the empty slot where it belongs. */
static size_t find_slot(const keyset *ks, const rec_key *key, uint64_t hash) {
    size_t mask = ks->n_slot - 1, at = (size_t)hash & mask;
    while (ks->slot[at] != KEYS_NONE && !entry_is(&ks->entry[ks->slot[at]], key, hash))
        at = (at + 1) & mask;
    return at;
}

uint32_t keyset_find(const keyset *ks, const rec_key *key) {
    if (ks->n_slot == 0) return KEYS_NONE;
    return ks->slot[find_slot(ks, key, key_hash(key))];
}

static rec_status grow_slots(keyset *ks, rec_err *err) {
    size_t n_slot = ks->n_slot ? ks->n_slot * 2 : KEYS_MIN_SLOTS, mask = n_slot - 1;
    uint32_t *slot = rec_array(n_slot, sizeof *slot);
    if (!slot) return rec_nomem(err);
    memset(slot, 0xff, n_slot * sizeof *slot); /* KEYS_NONE */
    for (size_t i = 0; i < ks->n; i++) {
        size_t at = (size_t)ks->entry[i].hash & mask;
        while (slot[at] != KEYS_NONE) at = (at + 1) & mask;
        slot[at] = (uint32_t)i;
    }
    rec_free(ks->slot);
    ks->slot = slot;
    ks->n_slot = n_slot;
    return REC_OK;
}

static const char *keep_text(keyset *ks, const char *text, size_t n, rec_err *err) {
    text_chunk *c = ks->chunk;
    if (!c || n > c->cap - c->n) {
        size_t cap = n > KEYS_TEXT_CHUNK ? n : KEYS_TEXT_CHUNK, nbyte;
        if (!c && cap == KEYS_TEXT_CHUNK) cap = KEYS_TEXT_CHUNK / 16; /* small sets */
        if (cap < n) cap = n;
        if (!rec_add(cap, sizeof *c, &nbyte) || !(c = rec_malloc(nbyte))) {
            rec_nomem(err);
            return NULL;
        }
        c->n = 0;
        c->cap = cap;
        c->next = ks->chunk;
        ks->chunk = c;
        ks->n_text_bytes += nbyte;
    }
    char *p = c->data + c->n;
    if (n) memcpy(p, text, n);
    c->n += n;
    return p;
}

rec_status keyset_add(keyset *ks, const rec_key *key, uint32_t *pos, rec_err *err) {
    uint64_t hash = key_hash(key);
    *pos = KEYS_NONE;
    if (ks->n_slot) *pos = ks->slot[find_slot(ks, key, hash)];
    if (*pos != KEYS_NONE) return REC_OK;
    if (ks->n >= KEYS_MAX)
        return rec_fail(err, REC_RANGE, "more than %u different keys", KEYS_MAX);
    if (key->is_text && key->n_text > UINT32_MAX)
        return rec_fail(err, REC_RANGE, "a key of %zu bytes is too long", key->n_text);
    rec_status rc = rec_grow(&ks->entry, &ks->cap, ks->n + 1, sizeof(entry), err);
    if (rc) return rc;
    if (ks->n + 1 > ks->n_slot / 4 * 3 && (rc = grow_slots(ks, err)))
        return rc; /* I1 */
    entry *e = &ks->entry[ks->n];
    e->hash = hash;
    e->is_text = key->is_text;
    e->n_text = 0;
    if (key->is_text) {
        e->u.text = keep_text(ks, key->text, key->n_text, err);
        if (!e->u.text) return REC_NOMEM;
        e->n_text = (uint32_t)key->n_text;
    } else
        e->u.i = key->i;
    ks->slot[find_slot(ks, key, hash)] = (uint32_t)ks->n;
    *pos = (uint32_t)ks->n++;
    return REC_OK;
}

/* ---- order -------------------------------------------------------------------------- */

static int compare_positions(const void *a, const void *b, void *ctx) {
    uint32_t pa, pb;
    memcpy(&pa, a, sizeof pa);
    memcpy(&pb, b, sizeof pb);
    rec_key ka = keyset_get(ctx, pa), kb = keyset_get(ctx, pb);
    return key_compare(&ka, &kb);
}

rec_status keyset_order(const keyset *ks, uint32_t *perm, rec_err *err) {
    (void)
        err; /* sorting in place cannot fail; the signature leaves room for a faster way */
    bool sorted = true;
    for (size_t i = 0; i < ks->n; i++) {
        perm[i] = (uint32_t)i;
        if (i > 0 && sorted)
            sorted = compare_positions(&perm[i - 1], &perm[i], (void *)ks) < 0;
    }
    if (!sorted) rec_sort(perm, ks->n, sizeof *perm, compare_positions, (void *)ks);
    return REC_OK;
}

/* ---- stored form ---------------------------------------------------------------------- */

void keyset_write(const keyset *ks, bytes_writer *w) {
    bytes_put_u64(w, ks->n);
    for (size_t i = 0; i < ks->n; i++) {
        const entry *e = &ks->entry[i];
        bytes_put_u8(w, e->is_text ? KEYS_TEXT : KEYS_INTEGER);
        if (e->is_text)
            bytes_put_str(w, e->u.text, e->n_text);
        else
            bytes_put_u64(w, (uint64_t)e->u.i);
    }
}

static rec_status read_key(bytes_reader *r, rec_key *key, rec_err *err) {
    memset(key, 0, sizeof *key);
    uint8_t kind = bytes_get_u8(r);
    if (kind == KEYS_TEXT) {
        key->is_text = true;
        key->text = bytes_get_str(r, &key->n_text);
    } else if (kind == KEYS_INTEGER) {
        uint64_t u = bytes_get_u64(r);
        memcpy(&key->i, &u, sizeof u);
    } else
        return rec_corrupt(err, "stored keys: unknown kind %u", kind);
    if (r->status) return rec_corrupt(err, "stored keys: cut short");
    return REC_OK;
}

rec_status keyset_read(bytes_reader *r, keyset **out, rec_err *err) {
    *out = NULL;
    uint64_t n = bytes_get_u64(r);
    if (r->status || n > (r->n - r->at) / 5) /* the shortest key takes 5 bytes */
        return rec_corrupt(err, "stored keys: a count of %llu does not fit",
                           (unsigned long long)n);
    keyset *ks = keyset_new();
    if (!ks) return rec_nomem(err);
    rec_status rc = REC_OK;
    for (uint64_t i = 0; i < n && !rc; i++) {
        rec_key key;
        uint32_t pos;
        if ((rc = read_key(r, &key, err))) break;
        if ((rc = keyset_add(ks, &key, &pos, err))) break;
        if (pos != i)
            rc = rec_corrupt(err, "stored keys: key %llu stands twice",
                             (unsigned long long)i); /* I2 */
    }
    if (rc)
        keyset_free(ks);
    else
        *out = ks;
    return rc;
}
