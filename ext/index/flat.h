/* flat.h - inside kind=flat: the exact scan (flat.c) and the codes read before it (flat_codes.c).
 *
 *     flat.c          vectors by slot, exact keys, the plain scan, the operations
 *     flat_codes.c    short codes with bounds on the key: who need not be compared at all
 *
 * A key is the distance that is handed out; smaller is nearer.
 */
#ifndef REC_FLAT_H
#define REC_FLAT_H

#include "hnsw.h" /* quant: the codes themselves */

#include <math.h>

typedef struct flat_codes {
    quant z;      /* kind QUANT_NONE: there are no codes */
    size_t n_row; /* rows of a chunk, a multiple of 64 */
    uint8_t **chunk;
    size_t n_chunks, cap_chunks;
} flat_codes;

typedef struct flat_index {
    rec_index base;
    vec_type type;
    vec_metric metric;
    uint32_t dim;
    size_t nbyte;   /* of a row */
    unsigned shift; /* rows in a chunk = 1 << shift */
    uint8_t **chunk;
    size_t n_chunks, cap_chunks;
    uint64_t *live;
    size_t cap_live; /* words */
    float *inverse;
    size_t cap_inverse;
    size_t n_slots, n_rows;
    flat_codes codes;
} flat_index;

static inline uint8_t *flat_row(const flat_index *f, size_t slot) {
    return f->chunk[slot >> f->shift] +
           (slot & (((size_t)1 << f->shift) - 1)) * f->nbyte;
}

static inline bool flat_is_live(const flat_index *f, size_t slot) {
    return slot < f->n_slots && (f->live[slot >> 6] >> (slot & 63) & 1);
}

/* Of the slots 64 w .. 64 w + 63: which a search may return. */
static inline uint64_t flat_word(const flat_index *f, const bitmap *allowed, size_t w) {
    uint64_t mask = f->live[w];
    if (allowed) mask &= w * 64 < allowed->n_bit ? allowed->word[w] : 0;
    return mask;
}

#define FLAT_POLL_WORDS 16 /* ask for interrupts every 1024 slots */

#define FOR_BITS(j, mask)                                              \
    for (uint64_t bits_ = (mask);                                      \
         bits_ != 0 && ((j) = (unsigned)__builtin_ctzll(bits_), true); \
         bits_ &= bits_ - 1)

/* ---- flat.c ------------------------------------------------------------------------------ */

typedef struct flat_query {
    index_exact exact;
    const int8_t *i8;
    const uint8_t *bits;
    uint8_t *own; /* what x or i8 points at, if it is a copy */
} flat_query;

/* Exact key of one slot, with the rounding of the plain scan. */
float flat_key(const flat_index *f, const flat_query *q, size_t slot);

/* ---- flat_codes.c -------------------------------------------------------------------------- */

rec_status flat_codes_init(flat_index *f, const index_cfg *cfg, rec_err *err);
void flat_codes_clear(flat_index *f);
static inline bool flat_has_codes(const flat_index *f) {
    return f->codes.z.kind != QUANT_NONE;
}
/* Room for the code of `slot`; does nothing without codes, as the next two. */
rec_status flat_codes_reserve(flat_index *f, size_t slot, rec_err *err);
void flat_codes_put(flat_index *f, size_t slot, const void *v);
void flat_codes_wipe(flat_index *f, size_t slot);
bool flat_codes_are_right(const flat_index *f, size_t slot);
size_t flat_codes_nbyte(const flat_index *f);

/* Would reading codes first be right and worth it for this query? */
bool flat_codes_serve(const flat_index *f, const index_query *iq);
/* Every row that can be among the k nearest (k = 0: every row), with a lower bound on its
 * distance, as a ranking by that bound. */
rec_status flat_codes_scan(const flat_index *f, const index_query *iq, ranking *out,
                           rec_err *err);
/* The k nearest of such a ranking, exactly. */
void flat_codes_best(const flat_index *f, const flat_query *q, ranking *from,
                     topk *best);
/* The next nearest of such a ranking, exactly. n_met: rows compared and not handed out yet,
 * which this call keeps in the part of the ranking that it has read; 0 at first. */
bool flat_codes_next(const flat_index *f, const flat_query *q, ranking *from,
                     size_t *n_met, topk_entry *out);

#endif
