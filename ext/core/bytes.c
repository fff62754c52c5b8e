/* bytes.c - the writer and the reader of everything that is stored, and two hashes.
 *
 * All numbers are little-endian, whatever the machine:
 *
 *     u8 | u32 (4) | u64 (8) | f32 (bits as u32) | f64 (bits as u64) | str = u32 n, n bytes
 *
 * Both sides carry a sticky status, so a codec reads as a plain list of fields and is
 * checked once at its end.
 *
 * Invariants
 *   I1  After a failure the writer changes nothing more and the reader returns zeros.
 *   I2  The reader never looks past n: every read asks `nbyte <= n - at` first, and at <= n
 *       always, so the subtraction cannot wrap.
 *   I3  rec_hash depends on bytes and seed only: hashes may be stored.
 *
 * Cost: writing is amortised O(1) a byte (doubling).
 */
#include "core.h"

/* ---- writer ------------------------------------------------------------------------- */

/* Room for nbyte more; NULL after a failure. */
static uint8_t *writer_room(bytes_writer *w, size_t nbyte) {
    size_t need;
    if (w->status) return NULL;
    if (!rec_add(w->n, nbyte, &need))
        w->status = REC_NOMEM;
    else
        w->status = rec_grow(&w->data, &w->cap, need, 1, NULL);
    if (w->status) return NULL;
    uint8_t *p = w->data + w->n;
    w->n = need;
    return p;
}

void bytes_put(bytes_writer *w, const void *p, size_t nbyte) {
    if (nbyte == 0) return;
    uint8_t *out = writer_room(w, nbyte);
    if (out) memcpy(out, p, nbyte);
}

void bytes_put_u8(bytes_writer *w, uint8_t x) {
    bytes_put(w, &x, 1);
}

static void put_le(bytes_writer *w, uint64_t x, size_t nbyte) {
    uint8_t *out = writer_room(w, nbyte);
    for (size_t i = 0; out && i < nbyte; i++) out[i] = (uint8_t)(x >> (8 * i));
}

void bytes_put_u32(bytes_writer *w, uint32_t x) {
    put_le(w, x, 4);
}

void bytes_put_u64(bytes_writer *w, uint64_t x) {
    put_le(w, x, 8);
}

void bytes_put_f32(bytes_writer *w, float x) {
    uint32_t u;
    memcpy(&u, &x, 4);
    put_le(w, u, 4);
}

void bytes_put_f64(bytes_writer *w, double x) {
    uint64_t u;
    memcpy(&u, &x, 8);
    put_le(w, u, 8);
}

void bytes_put_f32s(bytes_writer *w, const float *x, size_t n) {
    size_t nbyte;
    if (!rec_mul(n, sizeof *x, &nbyte)) {
        if (!w->status) w->status = REC_NOMEM;
        return;
    }
    uint8_t *out = nbyte ? writer_room(w, nbyte) : NULL;
    for (size_t i = 0; out && i < n; i++, out += 4) {
        uint32_t u;
        memcpy(&u, x + i, 4);
        out[0] = (uint8_t)u, out[1] = (uint8_t)(u >> 8);
        out[2] = (uint8_t)(u >> 16), out[3] = (uint8_t)(u >> 24);
    }
}

void bytes_put_str(bytes_writer *w, const char *s, size_t nbyte) {
    if (nbyte >
        UINT32_MAX) { /* its length would not fit, and it could not be read back */
        if (!w->status) w->status = REC_RANGE;
        return;
    }
    bytes_put_u32(w, (uint32_t)nbyte);
    bytes_put(w, s, nbyte);
}

void bytes_puts(bytes_writer *w, const char *s) {
    bytes_put(w, s, strlen(s));
}

#define PRINTF_ROOM ((size_t)256)

void bytes_printf(bytes_writer *w, const char *fmt, ...) {
    /* rec_vformat says how much it wrote, not how much it wanted: a full buffer means try
     * again with more room. UTF-8 is cut up to 3 bytes early, hence the margin of 4. */
    for (size_t room = PRINTF_ROOM; !w->status; room *= 4) {
        va_list ap;
        uint8_t *out = writer_room(w, room);
        if (!out) return;
        w->n -= room;
        va_start(ap, fmt);
        size_t n = rec_vformat((char *)out, room, fmt, ap);
        va_end(ap);
        if (n + 4 < room) {
            w->n += n;
            return;
        }
    }
}

void bytes_clear(bytes_writer *w) {
    rec_free(w->data);
    memset(w, 0, sizeof *w);
}

char *bytes_take_text(bytes_writer *w) {
    bytes_put_u8(w, 0);
    if (w->status) {
        bytes_clear(w);
        return NULL;
    }
    char *text = (char *)w->data;
    memset(w, 0, sizeof *w);
    return text;
}

/* ---- reader --------------------------------------------------------------------------- */

const void *bytes_get(bytes_reader *r, size_t nbyte) {
    if (r->status) return NULL;
    if (r->at > r->n || nbyte > r->n - r->at) { /* I2 */
        r->status = REC_CORRUPT;
        return NULL;
    }
    static const uint8_t nothing[1] = {0};
    const uint8_t *p = r->data ? r->data + r->at : nothing;
    r->at += nbyte;
    return p;
}

static uint64_t get_le(bytes_reader *r, size_t nbyte) {
    const uint8_t *p = bytes_get(r, nbyte);
    uint64_t x = 0;
    for (size_t i = 0; p && i < nbyte; i++) x |= (uint64_t)p[i] << (8 * i);
    return x;
}

uint8_t bytes_get_u8(bytes_reader *r) {
    return (uint8_t)get_le(r, 1);
}

uint32_t bytes_get_u32(bytes_reader *r) {
    return (uint32_t)get_le(r, 4);
}

uint64_t bytes_get_u64(bytes_reader *r) {
    return get_le(r, 8);
}

float bytes_get_f32(bytes_reader *r) {
    uint32_t u = (uint32_t)get_le(r, 4);
    float x;
    memcpy(&x, &u, 4);
    return x;
}

double bytes_get_f64(bytes_reader *r) {
    uint64_t u = get_le(r, 8);
    double x;
    memcpy(&x, &u, 8);
    return x;
}

void bytes_get_f32s(bytes_reader *r, float *out, size_t n) {
    size_t nbyte;
    const uint8_t *p = rec_mul(n, sizeof *out, &nbyte) ? bytes_get(r, nbyte) : NULL;
    if (!p) {
        if (!r->status) r->status = REC_CORRUPT;
        if (n) memset(out, 0, n * sizeof *out);
        return;
    }
    for (size_t i = 0; i < n; i++, p += 4) {
        uint32_t u = (uint32_t)p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 |
                     (uint32_t)p[3] << 24;
        memcpy(out + i, &u, 4);
    }
}

const char *bytes_get_str(bytes_reader *r, size_t *nbyte) {
    *nbyte = bytes_get_u32(r);
    const char *s = bytes_get(r, *nbyte);
    if (!s) *nbyte = 0;
    return s;
}

/* ---- hashes -------------------------------------------------------------------------- */

uint64_t rec_mix(uint64_t x) {
    x += 0x9e3779b97f4a7c15u;
    x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9u;
    x = (x ^ (x >> 27)) * 0x94d049bb133111ebu;
    return x ^ (x >> 31);
}

static uint64_t load_le(const uint8_t *p, size_t nbyte) {
    uint64_t x = 0;
    for (size_t i = 0; i < nbyte; i++) x |= (uint64_t)p[i] << (8 * i);
    return x;
}

#define HASH_LANES 4
#define HASH_PRIME 0x9fb21c651e98df25u

static inline uint64_t load_word(const uint8_t *b) {
    uint64_t x;
    memcpy(&x, b, sizeof x);
#if defined(__BYTE_ORDER__) && __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__
    x = __builtin_bswap64(x);
#endif
    return x;
}

/* Long inputs go through four lanes side by side, so that a step waits for its own lane only (a
 * vector of 1 KB: 6 GB/s instead of 2). Every step is a bijection of its lane: a single changed
 * word always changes the hash of its lane. */
static const uint8_t *hash_lanes(const uint8_t *b, size_t *nbyte, uint64_t *h) {
    uint64_t lane[HASH_LANES];
    for (uint64_t i = 0; i < HASH_LANES; i++) lane[i] = rec_mix(*h + i);
    for (; *nbyte >= 8 * HASH_LANES; *nbyte -= 8 * HASH_LANES, b += 8 * HASH_LANES)
        for (size_t i = 0; i < HASH_LANES; i++) {
            uint64_t x = (lane[i] ^ load_word(b + 8 * i)) * HASH_PRIME;
            lane[i] = x ^ x >> 32;
        }
    for (size_t i = 0; i < HASH_LANES; i++) *h = rec_mix(*h ^ lane[i]);
    return b;
}

/* The length goes in first, so that strings that differ by trailing zero bytes differ; then eight
 * bytes a step. Not meant to resist an attacker who knows the seed. */
uint64_t rec_hash(const void *p, size_t nbyte, uint64_t seed) {
    const uint8_t *b = p;
    uint64_t h = rec_mix(seed ^ (uint64_t)nbyte * 0xff51afd7ed558ccdu);
    if (nbyte >= 8 * HASH_LANES) b = hash_lanes(b, &nbyte, &h);
    for (; nbyte >= 8; b += 8, nbyte -= 8) h = rec_mix(h ^ load_word(b));
    if (nbyte) h = rec_mix(h ^ load_le(b, nbyte));
    return h;
}
