/* index.h - vector indexes: near vectors by slot number.
 *
 *     index    registry of kinds, configuration, vector conversions    index.c
 *     wide     distances of very long and very short vectors            wide.c
 *     flat     exact scan: the definition of every other kind           flat.c, flat_codes.c
 *     hnsw     a graph over the same vectors                            hnsw*.c, quant.c
 *     filter   typed columns beside the vectors, predicates -> bitmap   filter.c
 *
 *         slot      0      1      2      3   ...
 *         vector   [dim]  [dim]  free   [dim]        chunks of rows, stored type
 *         column a  1990   NULL          'x'         filter.c
 *         bitmap    1      0      0      1           which slots a search may return
 *
 * An index is a map from slot (a dense 32-bit number that the caller assigns and reuses) to
 * a vector. Keys, rows and transactions belong to the caller (ext/sqlite/sq_index.c). A kind
 * is a rec_index_ops and one line in index_kinds[]; a graph kind keeps its links beside and
 * has its derived chunks saved and loaded by the caller.
 */
#ifndef REC_INDEX_H
#define REC_INDEX_H

#include "../core/core.h"

#include <float.h>
#include <math.h>

/* ---- index.c: configuration, conversions, registry -------------------------------------- */

typedef struct index_cfg {
    vec_type type;                   /* element type that is stored */
    vec_metric metric;               /* METRIC_HAMMING if and only if type is VEC_BIT */
    uint32_t dim;                    /* VEC_MIN_DIM..VEC_MAX_DIM */
    const char *kind;                /* "flat" */
    const char *codes;               /* what a search reads first; NULL = "none" */
    uint32_t m, ef_construction, ef; /* graph kinds; 0 = default */
    uint64_t seed;
} index_cfg;

/* A bitmap over slots; bit i of word i/64. */
typedef struct bitmap {
    uint64_t *word; /* owned */
    size_t n_bit;
} bitmap;
rec_status bitmap_init(bitmap *b, size_t n_bit, bool value, rec_err *err);
void bitmap_clear(bitmap *b);
size_t bitmap_count(const bitmap *b);
static inline bool bitmap_has(const bitmap *b, size_t i) {
    return i < b->n_bit && (b->word[i >> 6] >> (i & 63) & 1);
}
static inline void bitmap_set(bitmap *b, size_t i) {
    b->word[i >> 6] |= (uint64_t)1 << (i & 63);
}
static inline void bitmap_unset(bitmap *b, size_t i) {
    b->word[i >> 6] &= ~((uint64_t)1 << (i & 63));
}

typedef struct index_query {
    const float *vector; /* float32[dim]; for VEC_BIT use bits */
    const uint8_t *bits; /* VEC_BIT: dim/8 rounded up bytes */
    const bitmap
        *allowed; /* NULL = every live slot; else only slots set here (borrowed) */
    size_t k;     /* how many will be pulled; 0 = unknown, a stream */
    uint32_t ef;  /* graph kinds: search width, 0 = default */
    bool has_limit;
    double limit; /* has_limit: rows that are farther need not come */
    rec_run *run; /* interrupts, as long as the search is open; may be NULL */
} index_query;

/* A search hands out (slot, distance) in ascending (distance, slot) order for as long as it
 * is pulled; row order does not depend on k. Distances, smaller is nearer:
 *   cosine  1 - cos(a,b), in [0,2] (a zero vector: 1)      ip  -dot(a,b)
 *   l2      sqrt(sum (a-b)^2)    l1  sum |a-b|             hamming  bits that differ
 * as float32: what lies beyond its range is the largest number, what lies below it 0. */
typedef struct index_search index_search; /* each kind derives: first member `ops` */
typedef struct rec_index rec_index;       /* each kind derives: first member `ops` */

typedef struct index_stats {
    size_t n_rows, nbyte, n_delta; /* n_delta: rows not in the derived structure yet */
    int n_levels;
    uint32_t ef; /* width of a search that names none; 0: the kind has no width */
} index_stats;

/* Width of a search of a graph kind: at CREATE, for the table, for one query. */
#define INDEX_MIN_EF 1
#define INDEX_MAX_EF 1000000

#define INDEX_CHUNK 64 /* slots of a saved chunk */

typedef struct rec_index_ops {
    const char *name; /* as written in SQL: kind=flat */
    /* Names of the options that the kind takes beyond metric and kind, NULL at the end. */
    const char *const *options;
    /* Refuses values that are out of range or do not go together (0: the default). */
    rec_status (*open)(rec_index **out, const index_cfg *cfg, rec_err *err);
    /* v: vec_nbyte(type, dim) bytes in stored form (index_encode). Replaces what the slot
     * held. Cosine kinds may keep a normalised copy or the norm. */
    rec_status (*add)(rec_index *ix, uint32_t slot, const void *v, rec_err *err);
    rec_status (*remove)(rec_index *ix, uint32_t slot, rec_err *err);
    const void *(*get)(const rec_index *ix,
                       uint32_t slot); /* borrowed; NULL if empty */
    rec_status (*search)(const rec_index *ix, const index_query *q, index_search **out,
                         rec_err *err);
    /* false at the end; a failure is returned through *status. */
    bool (*next)(index_search *s, uint32_t *slot, float *distance, rec_status *status,
                 rec_err *err);
    void (*end)(index_search *s);
    /* What the search has done so far, a constant for people: "scan", "graph, two hops" ... */
    const char *(*how)(const index_search *s);
    rec_status (*check)(const rec_index *ix, rec_err *err);
    void (*stats)(const rec_index *ix, index_stats *out);
    void (*close)(rec_index *ix);
    /* Derived structures: NULL, all of them, for kinds that have none. They are kept in
     * chunks of INDEX_CHUNK slots, follow from the vectors alone, and may be built again at
     * any time.
     *
     * save  Bytes of one chunk, appended to w; none if no slot of it is linked (delete the
     *       row).
     * load  Make the chunk what the bytes say (no bytes: no slot of it is linked; its vectors
     *       wait in the delta). Add the rows first. Other chunks may still be missing, and rows
     *       may have changed since the chunk was saved: what is linked without its vector, or
     *       with another one, is "stale" until ready. REC_CORRUPT leaves the chunk unlinked
     *       and dirty.
     * ready Call once after loads, before anything else: compares the chunks loaded with the
     *       others, then takes every stale node out of the structure, as remove() would: its
     *       slot is empty, or its new vector waits in the delta, and the chunks that this
     *       changed are dirty. With very many stale ones nothing is linked any more, which is
     *       no error. On REC_CORRUPT nothing is linked any more either, and all chunks are
     *       dirty. Every answer is right in any case, and link() builds the graph again. After
     *       REC_NOMEM or REC_INTR answers
     *       are exact, and ready may be called again.
     *
     * So whoever only changes rows needs neither the structure in memory nor its stored
     * chunks. To follow changed rows: load every changed chunk with no bytes, add and remove
     * the changed vectors (cheap: they are not linked then; adding what a slot holds already
     * does nothing), load the chunks, ready. After a ROLLBACK the same with the chunks that the
     * transaction saved or left dirty. */
    rec_status (*save)(const rec_index *ix, uint32_t chunk, bytes_writer *w,
                       rec_err *err);
    rec_status (*load)(rec_index *ix, uint32_t chunk, bytes_reader *r, rec_err *err);
    rec_status (*ready)(rec_index *ix, rec_run *run, rec_err *err);
    /* add() leaves a vector in the delta, which every search scans; link() moves up to
     * max_nodes of it into the structure, in order of slot, on all threads of run; the
     * result does not depend on their number. Interruptible: what is linked by then stays. */
    rec_status (*link)(rec_index *ix, size_t max_nodes, rec_run *run, rec_err *err);
    /* Nothing is linked any more: every vector waits in the delta, answers are exact, chunks
     * that had links are dirty. Before so many changes that removing linked rows one by one
     * (0.3 ms) would cost more than building again. */
    void (*forget)(rec_index *ix);
    /* First chunk >= from whose saved bytes are out of date, UINT32_MAX if there is none;
     * the caller clears the flag once the bytes are written; load() clears it, too. It may
     * lie beyond the rows. */
    uint32_t (*next_dirty)(const rec_index *ix, uint32_t from);
    void (*set_dirty)(rec_index *ix, uint32_t chunk, bool is_dirty);
} rec_index_ops;
struct rec_index {
    const rec_index_ops *ops;
};
struct index_search {
    const rec_index_ops *ops;
};

const rec_index_ops *index_kind(const char *name); /* NULL if there is none */
/* "flat, ..." : every kind, for messages. */
void index_kind_names(char *out, size_t cap);
/* float32[dim] -> stored bytes. int8: values must be integers -128..127; bit: 0 or 1, bit i
 * is bit i%8 of byte i/8. Refuses non-finite values and float16 overflow. */
rec_status index_encode(vec_type t, const float *x, uint32_t dim, void *out,
                        rec_err *err);
void index_decode(vec_type t, const void *v, uint32_t dim, float *out);
/* Distance between two stored vectors (both of type t), as defined above. */
double index_distance(vec_metric m, vec_type t, const void *a, const void *b,
                      uint32_t dim);

/* Recall@k of a kind on itself: n_sample of its vectors (chosen by seed) are searched for
 * with width ef (0 = default) and exactly; *recall: share of the true k nearest that were
 * found, a distance equal to the k-th counting as found. 1 for an empty index. */
typedef struct recall_args {
    size_t n_sample, k;
    uint32_t ef;
    uint64_t seed;
} recall_args;
rec_status index_recall(const rec_index *ix, const index_cfg *cfg, const recall_args *a,
                        double *recall, rec_run *run, rec_err *err);

/* ---- wide.c: distances from what kernels give, right for every length of vector -------------- */

#define INDEX_WIDE_MIN 1e-30f /* of sums of squares that float32 adds up well */
#define INDEX_WIDE_MAX 1e30f
#define INDEX_WIDE     (-1.0f) /* instead of 1/|v|: distances need double */
static inline bool index_is_narrow(float square) {
    return square >= INDEX_WIDE_MIN && square <= INDEX_WIDE_MAX;
}
/* 1/|v|; 0 for a zero vector; INDEX_WIDE for a length that float32 sums do not bear. */
float index_inverse_norm(vec_type t, const void *v, uint32_t dim);
/* index_distance in double. No bits. */
double index_wide_distance(vec_metric m, vec_type ta, const void *a, vec_type tb,
                           const void *b, uint32_t dim);

/* A query against stored vectors. */
typedef struct index_exact {
    vec_metric metric;
    vec_type type;
    uint32_t dim;
    const float *x; /* borrowed; not used for bits */
    float inverse;  /* index_inverse_norm of x: cosine */
} index_exact;
float index_finish_wide(const index_exact *q, const void *v);
/* The distance handed out, from the kernel's sum for (q, v) and, cosine, that of v's norm. */
static inline float index_finish(const index_exact *q, const void *v, float inverse,
                                 float raw) {
    if (q->metric == METRIC_COSINE && inverse >= 0 && q->inverse >= 0) {
        float d = 1.0f - raw * inverse * q->inverse;
        return d < 0 ? 0 : d > 2 ? 2 : d;
    }
    if (q->metric == METRIC_L2 && (index_is_narrow(raw) || q->type == VEC_I8))
        return sqrtf(raw);
    bool is_sum = q->metric == METRIC_IP || q->metric == METRIC_L1;
    if (is_sum && fabsf(raw) <= FLT_MAX)
        return q->metric == METRIC_IP ? 0.0f - raw : raw; /* no -0.0 */
    return q->metric == METRIC_HAMMING ? raw : index_finish_wide(q, v);
}

/* ---- flat.c, flat_codes.c ---------------------------------------------------------------- */

/* With codes=int8 or float16 a search reads those first and leaves out every row that a bound
 * shows to be too far: rows, order and distances are those of codes=none, bit for bit.
 * codes=bit is refused; types and metrics that gain nothing from a code go without. */
extern const rec_index_ops flat_ops;

/* ---- hnsw*.c, quant.c: a graph (Malkov & Yashunin 2018) --------------------------------- */

extern const rec_index_ops hnsw_ops;

/* ---- filter.c: values and predicates with SQLite's meaning ------------------------------------- */

typedef enum { CELL_NULL, CELL_INT, CELL_REAL, CELL_TEXT, CELL_BLOB } cell_type;
typedef struct cell {
    cell_type type;
    int64_t i;
    double r;
    const char *p; /* text or blob: borrowed, nbyte bytes */
    size_t nbyte;
} cell;
int cell_compare(const cell *a,
                 const cell *b); /* SQLite order, BINARY: NULL < number < text < blob */

typedef enum {
    PRED_EQ,
    PRED_NE,
    PRED_LT,
    PRED_LE,
    PRED_GT,
    PRED_GE,
    PRED_IS,
    PRED_ISNOT,
    PRED_ISNULL,
    PRED_NOTNULL,
    PRED_IN,
    PRED_LIKE,
    PRED_GLOB
} pred_op;
typedef struct predicate {
    int column; /* 0.. */
    pred_op op;
    cell value; /* owned copies of text/blob when made by pred_copy */
    cell *set;  /* PRED_IN: ascending by cell_compare, NULLs left out */
    size_t n_set;
} predicate;
/* Does the cell satisfy the predicate? NULL comparisons are false (unknown). LIKE folds
 * ASCII case and knows % and _; GLOB knows * ? [..]; both match whole UTF-8 characters. */
bool predicate_match(const predicate *p, const cell *c);
void predicate_sort_set(predicate *p); /* sort ascending, drop NULLs */

typedef struct filter_table filter_table; /* columns of cells by slot */
filter_table *filter_new(int n_column);
void filter_free(filter_table *t);
rec_status filter_put(filter_table *t, uint32_t slot, int column, const cell *c,
                      rec_err *err);
void filter_drop(filter_table *t, uint32_t slot);
cell filter_get(const filter_table *t, uint32_t slot, int column); /* borrowed */
/* The cell will be asked for soon: into the cache with it. */
void filter_fetch(const filter_table *t, uint32_t slot, int column);
/* Clear the bits of `out` (over slots) that fail any predicate. */
rec_status filter_apply(const filter_table *t, const predicate *p, size_t n,
                        bitmap *out, rec_run *run, rec_err *err);
size_t filter_nbyte(const filter_table *t);

#endif
