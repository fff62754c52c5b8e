/* hnsw.h - what the files of the graph index share; nobody else includes it.
 *
 *     quant          codes: the short form of a vector that a walk reads     quant.c
 *     hnsw           storage, the life of an index, its table of functions   hnsw.c
 *     graph          links, their reverse, the tree that keeps all in reach  hnsw_graph.c
 *     walk           Algorithms 2 and 5: search of one layer                 hnsw_walk.c
 *     build          Algorithms 1, 3 and 4: insertion in batches             hnsw_build.c
 *     delete         unlink and repair                                       hnsw_delete.c
 *     search         streams: graph, delta, exact rest                       hnsw_search.c
 *     filter         searches that may return only some of the slots         hnsw_filter.c
 *     codec          chunks of 64 slots as bytes and back                    hnsw_codec.c
 *     check          invariants, recall                                      hnsw_check.c
 *
 * Yu. A. Malkov, D. A. Yashunin: Efficient and robust approximate nearest neighbor search
 * using Hierarchical Navigable Small World graphs (2018), "the paper" below.
 */
#ifndef REC_HNSW_H
#define REC_HNSW_H

#include "index.h"

#define HNSW_MIN_M     4 /* links a node chooses for itself in a layer */
#define HNSW_DEFAULT_M 16
#define HNSW_MAX_M     64
#define HNSW_MIN_EF \
    INDEX_MIN_EF /* width of a search: how many of the nearest it keeps */
#define HNSW_DEFAULT_EF       64
#define HNSW_MAX_EF           INDEX_MAX_EF
#define HNSW_MIN_BUILD_EF     8
#define HNSW_DEFAULT_BUILD_EF 200
#define HNSW_MAX_BUILD_EF     4000
#define HNSW_MAX_LEVEL        12
#define HNSW_MAX_SLOTS        ((size_t)1 << 31) /* slot << 1 | flag fits 32 bits */
#define HNSW_CHUNK            INDEX_CHUNK
#define HNSW_NONE             UINT32_MAX
#define HNSW_BATCH            256 /* nodes that one step of the build links */
#define HNSW_POOL_MAX         1024 /* widest search that keeps a sorted array, not heaps */
#define TWIN_DEPTH            64 /* levels of a tree of twins, m wide */
#define HNSW_SPARES           4  /* scratch memories kept for the next searches */

typedef struct hnsw hnsw;

/* ---- quant.c -------------------------------------------------------------------------------
 *
 * A key orders what a walk meets, smaller is nearer; it is an estimate of the distance up to
 * constants of the query. All kinds of code share one shape, `raw` being the kernel's value:
 *
 *     key = q.base + q.a * meta.add + q.b * meta.mul * raw(q, code)
 *
 *              cosine                 ip                       l2
 *     int8     -c.q / |c||q|          -s t c.q                 |x|^2 + |q|^2 - 2 s t c.q
 *     float16, none                   the metric itself on the short or the stored vector
 *     bit      -cos(pi h / dim)       -|x||q| cos(pi h / dim)  |x|^2 + |q|^2 - 2 |x||q| cos
 *
 * ip is the plain product, between stored vectors too. The textbook reduction to l2, an axis
 * that makes all lengths equal to the largest, was measured on 50,000 vectors of lognormal
 * lengths (spread .3) at ef=40: recall@10 .35 against .95, as the axis outweighs all others. */

typedef enum { QUANT_NONE, QUANT_F16, QUANT_I8, QUANT_BIT } quant_kind;

typedef struct quant {
    quant_kind kind;
    vec_type type;
    vec_metric metric;
    uint32_t dim;
    size_t nbyte;  /* of a code, padded to 64; 0 for none */
    size_t nquery; /* bytes that a query needs for its prepared form */
    const rec_kernels *k;
    float *cosine; /* QUANT_BIT: cos(pi h / dim), h = 0..dim; owned */
} quant;

typedef struct quant_meta {
    float add; /* squared length of the vector as decoded from its code */
    float mul; /* see the table above */
} quant_meta;

typedef struct quant_query {
    uint8_t *own; /* nquery bytes, owned */
    const void
        *code; /* what the kernel takes: int8[], bits, float[] or the stored form */
    float base, a, b;
    int32_t shift; /* codes are biased by 128: what that adds to a product */
} quant_query;

rec_status quant_init(quant *z, const index_cfg *cfg, rec_err *err);
void quant_clear(quant *z);
rec_status quant_query_init(quant_query *q, const quant *z, rec_err *err);
void quant_query_clear(quant_query *q);
/* Code and meta of a stored vector. code: nbyte bytes, may be NULL for QUANT_NONE. */
void quant_encode(const quant *z, const void *v, uint8_t *code, quant_meta *meta);
/* The query is a float32 vector (or bits, or the int8 form) from outside. */
void quant_from_query(const quant *z, quant_query *q, const float *x,
                      const void *stored);
/* The query is a node; v is its stored vector. */
void quant_from_node(const quant *z, quant_query *q, const uint8_t *code,
                     const quant_meta *meta, const void *v);
/* key[i] of n nodes. */
void quant_keys(const hnsw *ix, const quant_query *q, const uint32_t *slot, size_t n,
                float *key);

/* How near a node may be at least, from its key: what int8 codes cannot hide. */
typedef struct quant_bound {
    double length, rest; /* of the query (cosine: 1); of what its code leaves out */
    double half;         /* times the scale of a code: length of what that leaves out */
    double slack;        /* float32 sums, relative */
} quant_bound;
/* x: the query that q was made from. False: codes of this kind or metric have no bound. */
bool quant_bound_init(quant_bound *b, const quant *z, const quant_query *q,
                      const float *x);
double quant_least(const hnsw *ix, const quant_bound *b, const quant_query *q,
                   uint32_t slot, float key);

/* Exact distances, by the formulas and with the rounding of kind=flat. */
typedef struct exact_query {
    const float *x;     /* copy of the query; NULL for bits */
    const void *stored; /* int8 and bit: the query in stored form */
    uint8_t *own;       /* holds both */
    index_exact f;
} exact_query;
rec_status exact_init(exact_query *e, const hnsw *ix, const index_query *q,
                      rec_err *err);
void exact_clear(exact_query *e);
float exact_key(const hnsw *ix, const exact_query *e, uint32_t slot);
/* Is it so long or so short that codes say nothing (wide.c)? */
static inline bool exact_is_wide(const exact_query *e) {
    return e->f.inverse < 0;
}

/* ---- hnsw.c: storage ------------------------------------------------------------------------ */

/* Fixed-stride records in blocks below 2 GiB, aligned to 64 bytes. The first block grows by
 * doubling until it is full, so that small tables stay small. */
typedef struct arena {
    uint8_t **at; /* aligned starts; owned */
    void **block; /* what the allocator gave; owned */
    size_t n_blocks, cap_blocks, cap_at;
    size_t n_first; /* records in block 0 while it is the only one */
    size_t stride;
    unsigned shift; /* records in a full block = 1 << shift */
} arena;
void arena_init(arena *a, size_t stride);
rec_status arena_reserve(arena *a, size_t n,
                         rec_err *err); /* new records are not set */
void arena_clear(arena *a);
size_t arena_nbyte(const arena *a);
static inline uint8_t *arena_at(const arena *a, size_t i) {
    return a->at[i >> a->shift] + (i & (((size_t)1 << a->shift) - 1)) * a->stride;
}

typedef enum { NODE_EMPTY, NODE_DELTA, NODE_LINKED } node_state;

/* A node's record: code, then this, then m0 links. n stands right before the links, so a
 * list is one pointer in every layer: list[0] = n, list[1..n] = slots, nearest first not
 * guaranteed. */
typedef struct node {
    quant_meta meta;
    uint32_t
        parent; /* linked: its parent in the tree (itself: the root); delta: its place there */
    uint32_t n;
} node;

typedef struct back_edge {
    uint32_t source, next;
} back_edge;

/* Who links to whom, all layers together: a chain of sources for every target. A cache: built
 * when a delete first needs it, kept up from then on, dropped when memory runs out. */
typedef struct hnsw_back {
    bool is_on;
    uint32_t *head; /* [n_slots] */
    back_edge *edge;
    size_t cap_head, n_edge, cap_edge;
    uint32_t free_edge; /* chain of unused ones */
} hnsw_back;

typedef struct hnsw_scratch hnsw_scratch;

struct hnsw {
    rec_index base;
    quant q;
    uint32_t m, m0, ef_construction, ef;
    uint64_t seed;
    size_t vec_nbyte;
    arena vec, node; /* stored vectors; node records */
    size_t n_slots;  /* all arrays below are this long */
    uint8_t *state;  /* node_state */
    uint32_t *
        *upper; /* layers 1..level of a linked node: (1 + m) numbers a layer; owned */
    float *inverse; /* cosine: 1/|v| */
    uint64_t *live; /* bit: state is not NODE_EMPTY */
    atomic_uchar
        *dirty;      /* per chunk of 64 slots: links changed since they were saved */
    uint8_t *fresh;  /* per chunk: loaded since the last ready */
    uint64_t *stale; /* bit: LINKED, but for a vector that is gone or another one */
    size_t cap_state, cap_upper, cap_inverse, cap_live, cap_dirty, cap_fresh, cap_stale;
    size_t n_dirty;     /* chunks that dirty[] knows: some may lie beyond the slots */
    size_t n_row_slots; /* slots that rows have reached */
    size_t n_stale;     /* 0 but between load and ready */
    uint32_t *delta;    /* slots that have a vector and no links; room for every row */
    size_t n_delta, cap_delta;
    size_t n_live, n_linked;
    size_t
        n_wide; /* rows whose length float32 sums do not bear: searches compare all */
    size_t n_at[HNSW_MAX_LEVEL + 1]; /* linked nodes whose level is exactly this */
    uint32_t
        entry; /* root of the tree, a node of the highest level; HNSW_NONE if empty */
    int top;   /* its level; -1 if empty */
    bool is_ready; /* false between load and ready: searches scan */
    bool is_worn;  /* more is stale than slots were made for: ready forgets all */
    hnsw_back back;
    _Atomic(hnsw_scratch *) spare[HNSW_SPARES];
};

static inline uint8_t *hnsw_code(const hnsw *ix, uint32_t slot) {
    return arena_at(&ix->node, slot);
}
static inline node *hnsw_node(const hnsw *ix, uint32_t slot) {
    return (node *)(void *)(arena_at(&ix->node, slot) + ix->q.nbyte);
}
static inline const void *hnsw_vec(const hnsw *ix, uint32_t slot) {
    return arena_at(&ix->vec, slot);
}
/* The list of a node that has this layer: [0] = n, then n slots. */
static inline uint32_t *hnsw_list(const hnsw *ix, uint32_t slot, int layer) {
    return layer == 0 ? &hnsw_node(ix, slot)->n
                      : ix->upper[slot] + (size_t)(layer - 1) * (ix->m + 1);
}
static inline uint32_t hnsw_width(const hnsw *ix, int layer) {
    return layer == 0 ? ix->m0 : ix->m;
}
static inline void hnsw_fetch_vec(const hnsw *ix, uint32_t slot) {
    const char *v = hnsw_vec(ix, slot);
    for (size_t i = 0; i < ix->vec_nbyte && i < 1024; i += 64)
        __builtin_prefetch(v + i, 0, 2);
}
static inline bool hnsw_is_live(const hnsw *ix, size_t slot) {
    return slot < ix->n_slots && (ix->live[slot >> 6] >> (slot & 63) & 1);
}
static inline bool hnsw_is_stale(const hnsw *ix, size_t slot) {
    return ix->n_stale && (ix->stale[slot >> 6] >> (slot & 63) & 1);
}
static inline bool hnsw_is_linked(const hnsw *ix, size_t slot) {
    return slot < ix->n_slots && ix->state[slot] == NODE_LINKED;
}
/* Level of a slot: geometric with ratio 1/m, from (seed, slot) alone, so a graph can be built
 * again with the same levels. */
int hnsw_level(const hnsw *ix, uint32_t slot);
/* Twins: nodes whose codes are equal, so no walk can tell them apart. */
static inline bool hnsw_is_twin(const hnsw *ix, uint32_t a, uint32_t b) {
    if (ix->q.kind == QUANT_NONE)
        return memcmp(hnsw_vec(ix, a), hnsw_vec(ix, b), ix->vec_nbyte) == 0;
    return memcmp(hnsw_code(ix, a), hnsw_code(ix, b), ix->q.nbyte) == 0 &&
           memcmp(&hnsw_node(ix, a)->meta, &hnsw_node(ix, b)->meta,
                  sizeof(quant_meta)) == 0;
}
/* Links from outside a loaded chunk may be wrong until hnsw_check: walks ask before they read
 * an upper list. */
static inline bool hnsw_has_layer(const hnsw *ix, uint32_t slot, int layer) {
    return layer == 0 || (ix->upper[slot] && hnsw_level(ix, slot) >= layer);
}
/* The node leaves (or enters) the delta; its vector stays. */
void hnsw_delta_drop(hnsw *ix, uint32_t slot);
void hnsw_delta_put(hnsw *ix, uint32_t slot);
void hnsw_set_stale(hnsw *ix, uint32_t slot, bool is_stale);
bool hnsw_is_wide(const hnsw *ix, const void *v);
void hnsw_wipe(hnsw *ix, uint32_t slot); /* vector and record are zeros */
rec_status hnsw_reserve_slots(hnsw *ix, size_t n, rec_err *err);
rec_status hnsw_reserve_dirty(hnsw *ix, size_t n_chunks, rec_err *err);
static inline uint64_t hnsw_word(const hnsw *ix, const bitmap *allowed, size_t w) {
    if (!allowed) return ix->live[w];
    return w * 64 < allowed->n_bit ? ix->live[w] & allowed->word[w] : 0;
}

/* ---- hnsw_graph.c ------------------------------------------------------------------------- */

/* The only places that change links and parents. */
void hnsw_set_list(hnsw *ix, uint32_t slot, int layer, const uint32_t *list,
                   uint32_t n);
void hnsw_set_parent(hnsw *ix, uint32_t slot, uint32_t parent);
void hnsw_touch(hnsw *ix, uint32_t slot); /* its chunk has to be saved */
bool hnsw_has_link(const hnsw *ix, uint32_t from, uint32_t to, int layer);
uint32_t hnsw_n_children(const hnsw *ix, uint32_t slot);
/* Make `to` the root: reverses the tree edges between it and the old root. */
void hnsw_reroot(hnsw *ix, uint32_t to);
/* Add `child` to the layer-0 list of `parent`, in place of its last link that is no tree edge
 * if the list is full, and make it the parent. */
void hnsw_adopt(hnsw *ix, uint32_t parent, uint32_t child);
bool hnsw_is_below(const hnsw *ix, uint32_t slot, uint32_t ancestor);
/* A node that may take one more child: `from` itself or a descendant. */
uint32_t hnsw_vacancy(const hnsw *ix, uint32_t from);
/* One of the children of `of` that are twins of `slot`, chosen by (slot, salt); NONE. */
uint32_t hnsw_twin_child(const hnsw *ix, uint32_t of, uint32_t slot, uint32_t salt);
rec_status hnsw_back_build(hnsw *ix, rec_err *err);
void hnsw_back_clear(hnsw *ix);
void hnsw_back_grow(hnsw *ix); /* after n_slots has grown */

/* ---- hnsw_walk.c ---------------------------------------------------------------------------- */

/* A candidate is one number: ordered key | slot | expanded?, so comparing numbers orders by
 * (key, slot). */
typedef uint64_t cand;
static inline cand cand_make(float key, uint32_t slot) {
    uint32_t u;
    memcpy(&u, &key, sizeof u);
    u ^= (uint32_t)((int32_t)u >> 31) | 0x80000000u;
    return (uint64_t)u << 32 | (uint64_t)slot << 1;
}
static inline uint32_t cand_slot(cand c) {
    return (uint32_t)c >> 1;
}
static inline float cand_key(cand c) {
    uint32_t u = (uint32_t)(c >> 32);
    float key;
    u ^= (u >> 31) ? 0x80000000u : 0xffffffffu;
    memcpy(&key, &u, sizeof key);
    return key;
}
#define CAND_DONE ((cand)1)

typedef struct cand_list {
    cand *a; /* owned */
    size_t n, cap;
} cand_list;
rec_status cand_reserve(cand_list *l, size_t n_more, rec_err *err);
void cand_sort(cand *a, size_t n);
size_t cand_place(const cand *a, size_t n, cand c); /* how many of a[] come before c */
/* Binary heaps, smallest (min) or largest (max) first. */
void cand_min_push(cand_list *l, cand c); /* room was reserved */
cand cand_min_pop(cand_list *l);
void cand_min_make(cand_list *l);
void cand_max_push(cand_list *l, cand c);
cand cand_max_pop(cand_list *l);

/* Memory of one search or one worker; kept and reused. */
struct hnsw_scratch {
    uint8_t *mark; /* [n_mark] == epoch: seen by this walk */
    size_t n_mark, cap_mark;
    uint8_t epoch;
    cand_list pool;      /* ascending; the best ef so far */
    cand_list spill;     /* met, not kept in the pool */
    cand_list open;      /* min-heap: to expand */
    cand_list rest;      /* min-heap: met, allowed, not handed out */
    cand_list twin;      /* met, but a twin of a node in the pool */
    cand_list tied;      /* slots that a stream has handed out at its last distance */
    cand_list near_rows; /* min-heap: rows of a stream by distance, not handed out */
    uint32_t *near;      /* [cap_near]: neighbours to look at */
    float *key;          /* [cap_near] */
    size_t cap_near;
    size_t n_keys; /* keys computed by this walk */
    quant_query query, other;
};
rec_status hnsw_scratch_get(const hnsw *ix, hnsw_scratch **out, rec_err *err);
void hnsw_scratch_put(const hnsw *ix, hnsw_scratch *s); /* NULL is fine */
void hnsw_scratch_free(hnsw_scratch *s);
rec_status hnsw_walk_begin(const hnsw *ix, hnsw_scratch *s, rec_err *err);
static inline bool hnsw_seen(hnsw_scratch *s, uint32_t slot) { /* and marks it */
    if (slot >= s->n_mark || s->mark[slot] == s->epoch) return true;
    s->mark[slot] = s->epoch;
    return false;
}
/* Greedy descent with width 1 from the top down to, not including, `layer`. */
uint32_t hnsw_descend(const hnsw *ix, hnsw_scratch *s, const quant_query *q, int layer,
                      float *key);
/* Algorithm 2 with a sorted pool: on return s->pool holds the ef nearest that the walk met,
 * ascending. want_spill: what was met and not kept is in s->spill. */
typedef struct walk_args {
    int layer;
    uint32_t ef, start;
    float start_key;
    bool want_spill;
    rec_run *run;
} walk_args;
rec_status hnsw_walk(const hnsw *ix, hnsw_scratch *s, const quant_query *q,
                     const walk_args *w, rec_err *err);

/* Insert near[0..n) with key[0..n) into the pool (room was reserved), at most ef in all.
 * Returns the first place that changed, ef if none did. */
enum {
    TAKE_SPILL = 1,    /* what falls out goes to the spill, twins to s->twin */
    TAKE_CLOSED = 2,   /* none of it is to be expanded, nor what falls out for it */
    TAKE_DISTINCT = 4, /* of twins the pool keeps the one in the lowest slot */
};
size_t hnsw_pool_take(const hnsw *ix, hnsw_scratch *s, size_t n, uint32_t ef,
                      unsigned how);

/* ---- hnsw_filter.c: walks with two heaps, for filters and for going on -------------------- */

typedef enum { WALK_ALL, WALK_TWO_HOP } walk_mode;
typedef struct heap_walk {
    const bitmap *allowed; /* NULL = all */
    walk_mode mode;
    size_t width;    /* how many to find */
    size_t max_keys; /* give up beyond (the caller scans exactly) */
    rec_run *run;
} heap_walk;
/* Go on from s->open and s->rest until the `width` nearest are known or nothing is open;
 * they are then in s->pool, ascending. *is_over: nothing is left, or max_keys was passed. */
rec_status hnsw_heap_walk(const hnsw *ix, hnsw_scratch *s, const quant_query *q,
                          const heap_walk *w, bool *is_over, rec_err *err);
/* A narrow search without the filter: fills the heaps and chooses w->mode. *is_far: hardly
 * anything around the query is allowed, an exact scan is cheaper than any walk. */
rec_status hnsw_probe(const hnsw *ix, hnsw_scratch *s, const quant_query *q,
                      heap_walk *w, size_t n_allowed, bool *is_far, rec_err *err);
/* What hnsw_walk met (its pool, too, if want_pool) becomes s->open and s->rest. */
rec_status hnsw_to_heaps(const hnsw *ix, hnsw_scratch *s, const bitmap *allowed,
                         bool want_pool, size_t *n_allowed, rec_err *err);
typedef enum { PLAN_EXACT, PLAN_FILTERED, PLAN_WALK } hnsw_plan;
hnsw_plan hnsw_choose(const hnsw *ix, size_t n_allowed, bool is_filtered, size_t k,
                      uint32_t ef);

/* ---- the functions behind hnsw_ops ----------------------------------------------------------- */

rec_status hnsw_link(rec_index *ix, size_t max_nodes, rec_run *run, rec_err *err);
rec_status hnsw_unlink(hnsw *ix, uint32_t slot, rec_err *err);
/* The same while the index is not ready: for ready itself. */
rec_status hnsw_cut(hnsw *ix, uint32_t slot, rec_err *err);
/* LINKED -> DELTA without repair; EMPTY if there is no vector. */
void hnsw_forget(hnsw *ix, uint32_t slot);
void hnsw_forget_all(rec_index *ix);
rec_status hnsw_search_start(const rec_index *ix, const index_query *q,
                             index_search **out, rec_err *err);
bool hnsw_next(index_search *s, uint32_t *slot, float *distance, rec_status *status,
               rec_err *err);
void hnsw_end(index_search *s);
const char *hnsw_how(const index_search *s);
rec_status hnsw_save(const rec_index *ix, uint32_t chunk, bytes_writer *w,
                     rec_err *err);
rec_status hnsw_load(rec_index *ix, uint32_t chunk, bytes_reader *r, rec_err *err);
rec_status hnsw_ready(rec_index *ix, rec_run *run, rec_err *err);
rec_status hnsw_check(const rec_index *ix, rec_err *err);
/* Do the parents of a linked slot lead to one that is_rooted[], each linking to the one below?
 * Notes all on the way in is_rooted[n_slots]. */
rec_status hnsw_check_rooted(const hnsw *ix, uint32_t slot, uint8_t *is_rooted,
                             rec_err *err);
/* Is the candidate nearer to the node that its key refers to than to each of those chosen? */
bool hnsw_is_diverse(const hnsw *ix, hnsw_scratch *s, cand c, const uint32_t *chosen,
                     uint32_t n);
/* Algorithm 4: up to n_max of the candidates, which ascend by their key to a common node, so
 * that each is nearer to that node than to those chosen before. Children of keep_parent are
 * chosen whatever they cost. Returns how many, in out[]. */
typedef struct choice {
    const cand *from;
    size_t n;
    uint32_t n_max;
    uint32_t keep_parent; /* HNSW_NONE = none */
} choice;
uint32_t hnsw_choose_links(const hnsw *ix, hnsw_scratch *s, const choice *c,
                           uint32_t *out);

#endif
