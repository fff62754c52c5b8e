/* core.h - the ground floor: C11 + libm + BLAS. No SQLite, no network, no stdio.
 *
 * One section per .c file, in the order in which they build on each other:
 *
 *     mem      allocator, checked sizes, status, sorting             mem.c
 *     format   messages and numbers as text                          format.c
 *     bytes    byte writer and bounds-checked reader, hash           bytes.c
 *     rng      seeded random numbers                                 rng.c
 *     keys     INTEGER or TEXT keys <-> dense numbers 0..n-1         keys.c
 *     heap     bounded top-k and lazy ranking                        heap.c
 *     diversify  lists that are good as a whole                      diversify.c
 *     threads  parallel loop, interrupt, progress, log               threads.c
 *     mat      row-chunked float matrix                              mat.c
 *     sparse   compressed sparse rows                                sparse.c
 *     linalg   GEMM, SYRK, eigen (the only BLAS user)     linalg*.c
 *     rsvd     randomised SVD of a sparse matrix                     rsvd.c
 *     vec      distance kernels, run-time dispatch                   vec_*.c
 *
 * Conventions. Functions that can fail return rec_status and take rec_err last.
 * Out-parameters are set to a safe value on entry. "owned" = the caller frees it with
 * the function named, "borrowed" = valid until the named event, "taken" = the callee
 * frees it. `_init/_clear` work in place, `_new/_free` on the heap. A zero-filled
 * struct is always safe to clear.
 */
#ifndef REC_CORE_H
#define REC_CORE_H

#include <assert.h>
#include <limits.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

static_assert(sizeof(float) == 4 && CHAR_BIT == 8, "IEEE float32 and 8-bit bytes");

#if defined(__GNUC__)
#define REC_PRINTF(fmt, args) __attribute__((format(printf, fmt, args)))
#else
#define REC_PRINTF(fmt, args)
#endif

/* ---- mem.c: status, errors, allocator ------------------------------------------ */

typedef enum {
    REC_OK = 0,
    REC_NOMEM,   /* allocation failed, or a size overflowed */
    REC_CORRUPT, /* stored bytes break an invariant */
    REC_RANGE,   /* a value from the caller is not allowed */
    REC_INTR,    /* interrupted by the user */
    REC_IO,      /* a host callback failed; its own message stands in rec_err */
    REC_NET,     /* the network or a server failed */
    REC_BUG      /* an invariant of this program broke */
} rec_status;

typedef struct rec_err {
    rec_status code;
    char
        msg[640]; /* UTF-8, NUL-terminated; no allocation, so it works without memory */
    int host;     /* REC_IO: the host's own code, 0 = none (set by sqlite/sq_error.c) */
} rec_err;

/* Set err (may be NULL) and return code. Messages name the object, the value found
 * and the rule. A message already present is kept when code is REC_NOMEM. */
rec_status rec_fail(rec_err *err, rec_status code, const char *fmt, ...)
    REC_PRINTF(3, 4);
/* The one place where stored damage is reported; returns REC_CORRUPT. */
rec_status rec_corrupt(rec_err *err, const char *fmt, ...) REC_PRINTF(2, 3);
rec_status rec_nomem(rec_err *err);
/* snprintf without stdio's locale surprises: supports %s %.*s %d %u %lld %llu %zu %g %f
 * %.Nf %.Ng %c %% and always NUL-terminates. Returns the length written (without NUL). */
size_t rec_format(char *out, size_t cap, const char *fmt, ...) REC_PRINTF(3, 4);
size_t rec_vformat(char *out, size_t cap, const char *fmt, va_list ap);

/* Largest single allocation that SQLite's allocator grants (SQLITE_MAX_ALLOCATION_SIZE). */
#define REC_MAX_ALLOC ((size_t)2147483391)

/* The allocator: rec.c points it at SQLite's, tests at failing ones.
 * Defaults to libc. Set once, before any other call. Blocks are 8-byte aligned only. */
typedef struct rec_allocator {
    void *(*alloc)(size_t nbyte);
    void *(*resize)(void *p, size_t nbyte);
    void (*release)(void *p);
} rec_allocator;
void rec_set_allocator(const rec_allocator *a);

void *rec_malloc(size_t nbyte);           /* NULL for 0 or > REC_MAX_ALLOC */
void *rec_realloc(void *p, size_t nbyte); /* p stays valid on failure */
void rec_free(void *p);                   /* NULL is fine */
void *rec_array(size_t n, size_t size); /* checked n*size, not cleared; n=0 -> 1 byte */
void *rec_zeros(size_t n, size_t size); /* the same, zero-filled */
char *rec_strdup(const char *s);        /* owned: rec_free */
char *rec_strndup(const char *s, size_t nbyte); /* owned: rec_free; NUL added */
bool rec_mul(size_t a, size_t b, size_t *out);  /* false on overflow */
bool rec_add(size_t a, size_t b, size_t *out);
/* Sort n elements of `size` (at most 64) bytes in place: O(n log n) always, no allocation.
 * Deterministic, not stable: let cmp be a strict order where the order of equals matters. */
typedef int (*rec_compare)(const void *a, const void *b, void *ctx);
void rec_sort(void *base, size_t n, size_t size, rec_compare cmp, void *ctx);
/* Make *parr (n_cap elements of `size`) hold at least n_need: doubles. */
rec_status rec_grow(void *parr, size_t *n_cap, size_t n_need, size_t size,
                    rec_err *err);

/* ---- bytes.c: writer and reader with a sticky status ------------------------------- */

typedef struct bytes_writer {
    uint8_t *data; /* owned; rec_free, or take it and zero the struct */
    size_t n, cap;
    rec_status status; /* sticky: later calls are no-ops */
} bytes_writer;
void bytes_put(bytes_writer *w, const void *p, size_t nbyte);
void bytes_put_u8(bytes_writer *w, uint8_t x);
void bytes_put_u32(bytes_writer *w,
                   uint32_t x); /* little-endian, as all that we store */
void bytes_put_u64(bytes_writer *w, uint64_t x);
void bytes_put_f32(bytes_writer *w, float x);
void bytes_put_f64(bytes_writer *w, double x);
void bytes_put_f32s(bytes_writer *w, const float *x, size_t n); /* n times f32 */
void bytes_put_str(bytes_writer *w, const char *s,
                   size_t nbyte); /* u32 length + bytes */
void bytes_printf(bytes_writer *w, const char *fmt, ...) REC_PRINTF(2, 3);
void bytes_puts(bytes_writer *w, const char *s); /* bytes of s, no length, no NUL */
void bytes_clear(bytes_writer *w);
/* NUL-terminated text of the writer, owned by the caller; the writer is emptied. NULL on
 * failure. */
char *bytes_take_text(bytes_writer *w);

typedef struct bytes_reader {
    const uint8_t *data; /* borrowed */
    size_t n, at;
    rec_status status; /* sticky; reads past the end give 0 and REC_CORRUPT */
} bytes_reader;
const void *bytes_get(bytes_reader *r, size_t nbyte); /* borrowed; NULL past the end */
uint8_t bytes_get_u8(bytes_reader *r);
uint32_t bytes_get_u32(bytes_reader *r);
uint64_t bytes_get_u64(bytes_reader *r);
float bytes_get_f32(bytes_reader *r);
double bytes_get_f64(bytes_reader *r);
void bytes_get_f32s(bytes_reader *r, float *out, size_t n); /* zeros past the end */
const char *bytes_get_str(bytes_reader *r,
                          size_t *nbyte); /* borrowed, not terminated */

uint64_t rec_hash(const void *p, size_t nbyte,
                  uint64_t seed); /* stable across machines */
uint64_t rec_mix(uint64_t x);     /* splitmix64 finaliser */

/* ---- rng.c: xoshiro256** ---------------------------------------------------------- */

typedef struct rng {
    uint64_t s[4];
} rng;
void rng_seed(rng *r, uint64_t seed, uint64_t stream); /* streams are independent */
uint64_t rng_u64(rng *r);
uint32_t rng_below(rng *r, uint32_t n); /* unbiased, 0..n-1; n >= 1 */
double rng_unit(rng *r);                /* [0, 1) */
double rng_normal(rng *r);              /* mean 0, variance 1 */
void rng_shuffle_u32(rng *r, uint32_t *a, size_t n);

/* ---- keys.c: user and item keys ----------------------------------------------------- */

typedef struct rec_key {
    bool is_text;
    int64_t i;        /* when !is_text */
    const char *text; /* when is_text: borrowed, n_text bytes, UTF-8, not terminated */
    size_t n_text;
} rec_key;
int key_compare(const rec_key *a,
                const rec_key *b); /* integers before text, then memcmp */

#define KEYS_NONE UINT32_MAX
typedef struct keyset keyset; /* keys numbered in order of insertion */
keyset *keyset_new(void);
void keyset_free(keyset *ks);
size_t keyset_count(const keyset *ks);
/* Number of the key, adding it if new. *pos is 0..count-1. */
rec_status keyset_add(keyset *ks, const rec_key *key, uint32_t *pos, rec_err *err);
uint32_t keyset_find(const keyset *ks, const rec_key *key); /* KEYS_NONE if absent */
rec_key keyset_get(const keyset *ks, uint32_t pos); /* borrowed until free or add */
/* perm[n]: positions in ascending key order (the same whatever the order of insertion). */
rec_status keyset_order(const keyset *ks, uint32_t *perm, rec_err *err);
size_t keyset_nbyte(const keyset *ks); /* memory held */
void keyset_write(const keyset *ks, bytes_writer *w);
rec_status keyset_read(bytes_reader *r, keyset **out, rec_err *err);

/* ---- heap.c: best k of many ---------------------------------------------------------- */

typedef struct topk_entry {
    float value; /* distance: smaller is better */
    uint32_t id; /* ties: smaller id first */
} topk_entry;
typedef struct topk {
    topk_entry *a; /* owned; max-heap while filling, ascending after topk_sort */
    size_t n, k;
} topk;
rec_status topk_init(topk *h, size_t k, rec_err *err);
void topk_clear(topk *h);
float topk_bound(const topk *h); /* +inf until full, then the worst kept */
void topk_insert(topk *h, float value,
                 uint32_t id); /* topk_push after its quick test */
static inline void topk_push(topk *h, float value, uint32_t id) {
    /* The negation lets NaN through to topk_insert, which ranks it last. */
    if (h->n < h->k || !(value > h->a[0].value)) topk_insert(h, value, id);
}
void topk_sort(topk *h);

/* Lazy ranking: hand out entries in ascending (value, id) order for as long as they are
 * asked for. O(n) to start, O(log n) amortised each; the first k cost about O(n + k log k).
 * Order is strict and does not depend on how many are pulled. */
typedef struct ranking {
    topk_entry *a; /* owned */
    size_t n, at, sorted;
} ranking;
rec_status ranking_init(ranking *r, topk_entry *taken, size_t n, rec_err *err);
bool ranking_next(ranking *r, topk_entry *out);
void ranking_clear(ranking *r);

/* ---- diversify.c: lists that are good as a whole -------------------------------------- */

typedef enum { DIVERSIFY_MMR, DIVERSIFY_XQUAD, DIVERSIFY_CALIBRATED } diversify_method;
#define DIVERSIFY_LAMBDA .3 /* by default */
/* out[j] = how alike candidates `chosen` and other[j] are: 1 the same, 0 not at all. */
typedef rec_status (*diversify_alike)(void *ctx, uint32_t chosen, const uint32_t *other,
                                      size_t n, float *out, rec_err *err);
typedef struct diversify_args { /* everything is borrowed until diversify_clear */
    diversify_method method;
    double lambda;          /* share of diversity, 0..1 */
    size_t n;               /* candidates */
    const float *relevance; /* [n] finite */
    diversify_alike alike;  /* of mmr */
    void *ctx;
    const size_t *aspect_start; /* [n+1] into aspect; NULL: no aspects */
    const uint32_t *aspect;     /* < n_aspect; unique within a candidate */
    const float *part; /* beside each aspect: how much of the candidate it is, >= 0 */
    size_t n_aspect;
    const double *wish; /* [n_aspect] of xquad and calibrated: sums to 1 */
    const uint32_t
        *cap; /* [n_aspect] how often each may come; NULL: as often as it likes */
} diversify_args;
typedef struct diversify {
    diversify_args args;
    uint32_t *left; /* [n_left] owned: who may still come, most relevant first */
    size_t n_left;
    float *nearest, *row; /* [n] owned */
    double *served;       /* [n_aspect] owned */
    uint32_t *count;      /* [n_aspect] owned */
    double total;         /* sum of the parts of the chosen ones */
} diversify;
rec_status diversify_init(diversify *d, const diversify_args *args, rec_err *err);
/* The next of the list and what it was worth. *more false: nobody is left. */
rec_status diversify_next(diversify *d, uint32_t *chosen, double *value, bool *more,
                          rec_err *err);
void diversify_clear(diversify *d);

/* ---- threads.c: parallel loops, interrupts, progress --------------------------------- */

#define THREADS_MIN     1
#define THREADS_MAX     64
#define THREADS_DEFAULT 0 /* 0 = number of processors */

typedef struct rec_log_row {
    const char *phase;  /* "als", "lsa" ... (borrowed) */
    int epoch;          /* 1.. */
    double loss;        /* NaN = none */
    const char *metric; /* NULL = none */
    double value;
    double seconds; /* since the training began */
} rec_log_row;

/* What a long computation needs from its host. All callbacks run on the calling thread
 * only and may be NULL. A NULL rec_run means: one thread, never interrupted, silent. */
typedef struct rec_run {
    int n_threads;                  /* as THREADS_*; 0 = processors */
    bool (*interrupted)(void *ctx); /* cheap; asked at most about once a millisecond */
    void (*progress)(void *ctx, const char *phase, double done); /* 0 <= done <= 1 */
    void (*log)(void *ctx, const rec_log_row *row);
    void *ctx;
    atomic_int stop;  /* internal: set once interrupted */
    uint64_t next_ns; /* internal: next time to ask */
} rec_run;

rec_status run_check(rec_run *run, rec_err *err); /* REC_INTR once interrupted */
void run_progress(rec_run *run, const char *phase, double done);
void run_log(rec_run *run, const rec_log_row *row);
int run_threads(const rec_run *run); /* resolved count, THREADS_MIN..THREADS_MAX */
double rec_seconds(void);            /* monotonic clock */
/* Hint: [p, p+nbyte) is read at random places, large pages would help. Nothing else
 * changes. */
void rec_want_large_pages(void *p, size_t nbyte);

/* Call fn for [begin,end) pieces of [0,n), `grain` long (the last shorter), on
 * run_threads() threads; the calling thread works too and asks for interrupts between
 * pieces, so pieces should take < 20 ms. Pieces are cut the same way whatever the number of
 * threads: fn must write only to places that belong to its piece, then results are
 * bit-identical. worker: 0..run_threads()-1, for scratch memory. The first failure stops
 * the loop and is returned. Every thread has ended when this returns. If a thread cannot
 * be started the work goes on with fewer. */
typedef rec_status (*threads_fn)(void *ctx, size_t begin, size_t end, int worker,
                                 rec_err *err);
rec_status threads_for(rec_run *run, size_t n, size_t grain, threads_fn fn, void *ctx,
                       rec_err *err);

/* ---- mat.c: float[n_rows][dim] in chunks --------------------------------------------- */

/* One allocation may not pass 2 GiB, so rows lie in chunks of 2^shift rows. Rows are
 * contiguous within a chunk, stride dim: a chunk is a matrix for GEMM. */
#define MAT_CHUNK_BYTES ((size_t)4 << 20) /* at most; at least one row */
typedef struct mat {
    size_t n_rows, n_chunks;
    uint32_t dim;
    unsigned shift; /* rows per chunk = 1 << shift */
    float **chunk;  /* owned */
} mat;
rec_status mat_init(mat *m, size_t n_rows, uint32_t dim,
                    rec_err *err);                          /* zero-filled */
rec_status mat_resize(mat *m, size_t n_rows, rec_err *err); /* new rows are zero */
void mat_clear(mat *m);
static inline float *mat_row(const mat *m, size_t i) {
    return m->chunk[i >> m->shift] + (i & (((size_t)1 << m->shift) - 1)) * m->dim;
}
static inline size_t mat_chunk_rows(const mat *m, size_t c) { /* rows in chunk c */
    size_t per = (size_t)1 << m->shift, left = m->n_rows - (c << m->shift);
    return left < per ? left : per;
}
size_t mat_nbyte(const mat *m);
void mat_write(const mat *m, bytes_writer *w); /* n_rows u64, dim u32, float32 LE */
rec_status mat_read(bytes_reader *r, mat *out,
                    rec_err *err); /* refuses NaN and infinity */
/* out[i] = dot(row i, v) for every row. */
void mat_times_vec(const mat *m, const float *v, float *out);

/* ---- sparse.c: compressed sparse rows ------------------------------------------------ */

typedef struct csr {
    size_t n_rows, n_cols, n_val;
    size_t *ptr;   /* [n_rows+1], ascending (owned) */
    uint32_t *col; /* [n_val], ascending within a row (owned) */
    float *val;    /* [n_val] (owned) */
} csr;
typedef struct csr_entry {
    uint32_t row, col;
    float val;
} csr_entry;
/* Sorts the entries (in place); equal (row, col) are summed. */
rec_status csr_from_entries(csr *out, csr_entry *e, size_t n, size_t n_rows,
                            size_t n_cols, rec_err *err);
rec_status csr_transpose(const csr *a, csr *out, rec_err *err);
void csr_clear(csr *a);
/* Y (n_rows x Y->dim) = A * X, X has n_cols rows. Parallel over rows, exact order. */
rec_status csr_times_mat(const csr *a, const mat *x, mat *y, rec_run *run,
                         rec_err *err);
void csr_write(const csr *a, bytes_writer *w);
rec_status csr_read(bytes_reader *r, csr *out, rec_err *err); /* checks every bound */

/* ---- linalg*.c: dense algebra; row-major, strides in elements ----------------------- */

/* C[m x n] = alpha * op(A) op(B) + beta * C; op(A) is m x k, op(B) is k x n. Calling thread
 * only, never from within threads_for (OpenBLAS has its own threads). */
typedef struct la_gemm_args {
    bool trans_a, trans_b;
    size_t m, n, k;
    float alpha, beta;
    const float *a, *b;
    float *c;
    size_t lda, ldb, ldc;
} la_gemm_args;
void la_gemm(const la_gemm_args *g);
/* G[dim x dim] = sum over rows of M: row^T row (full symmetric). Interruptible in chunks. */
rec_status la_gram(const mat *m, float *g, rec_run *run, rec_err *err);
/* OUT (n_rows x p) = M (n_rows x dim) * B (dim x p, row-major); out is initialised here. */
rec_status la_mat_mul(const mat *m, const float *b, uint32_t p, mat *out, rec_run *run,
                      rec_err *err);
/* P (dim_a x dim_b) = A^T B, both with n_rows rows. */
rec_status la_mat_tmul(const mat *a, const mat *b, float *p, rec_run *run,
                       rec_err *err);
/* Eigen-decomposition of symmetric a[n x n]: on return the ROWS of a are the orthonormal
 * eigenvectors, w[n] ascending. */
rec_status la_eigh(float *a, size_t n, float *w, rec_err *err);
/* Orthonormalise the columns of M (n_rows x dim) in place (Cholesky-QR twice, falls back to
 * Gram-Schmidt); columns without content become zero. */
rec_status la_orthonormalize(mat *m, rec_run *run, rec_err *err);
/* What a build without BLAS uses, and the yardstick of the tests (linalg_ref.c). */
void la_ref_gemm(const la_gemm_args *g);
rec_status la_ref_eigh(float *a, size_t n, float *w, rec_err *err);
/* a[n x n], symmetric positive definite (only the upper triangle is read) -> its inverse, full.
 * Interruptible; REC_RANGE if it is not positive definite. (inverse.c) */
rec_status la_spd_inverse(float *a, size_t n, rec_run *run, rec_err *err);
#define LA_MAX_EIGH 16384
const char *la_backend(void); /* "openblas" or "builtin" (REC_NO_BLAS) */

/* ---- rsvd.c: randomised truncated SVD ----------------------------------------------------- */

/* A ~= U diag(s) V^T (Halko, Martinsson, Tropp 2011, Algorithms 4.4 and 5.1). u: n_rows x
 * rank, s[rank] descending, v: n_cols x rank; u and v are initialised here; u may be NULL.
 * rank must be <= min(n_rows, n_cols); trailing values may be 0. Deterministic from seed. */
typedef struct rsvd_args {
    const csr *a, *at; /* the matrix and its transpose */
    uint32_t rank, oversample;
    int n_power;
    uint64_t seed;
    const mat
        *start; /* n_cols x any: directions to begin with; NULL = random (borrowed) */
    const char *phase; /* progress */
} rsvd_args;
rec_status rsvd(const rsvd_args *args, mat *u, float *s, mat *v, rec_run *run,
                rec_err *err);

/* ---- vec_*.c: kernels ------------------------------------------------------------------------ */

typedef enum { VEC_F32, VEC_F16, VEC_I8, VEC_BIT } vec_type; /* element types */
typedef enum {
    METRIC_COSINE,
    METRIC_IP,
    METRIC_L2,
    METRIC_L1,
    METRIC_HAMMING
} vec_metric;

#define VEC_MIN_DIM 1
#define VEC_MAX_DIM 16384

const char *vec_type_name(vec_type t); /* "float32" "float16" "int8" "bit" */
const char *vec_metric_name(vec_metric m);
size_t vec_nbyte(vec_type t, uint32_t dim); /* bit: dim/8 rounded up */

/* One table per instruction set, all with the meaning of vec_ref.c. Pointers need no
 * alignment. Integer kernels widen before they multiply; sums are exact. */
typedef struct rec_kernels {
    const char *name; /* "ref" "avx2" "avx512" "neon" */
    float (*dot)(const float *a, const float *b, size_t dim);
    float (*l2sq)(const float *a, const float *b, size_t dim);
    float (*l1)(const float *a, const float *b, size_t dim);
    float (*dot_f16)(const float *a, const uint16_t *b, size_t dim); /* b: IEEE half */
    float (*l2sq_f16)(const float *a, const uint16_t *b, size_t dim);
    float (*l1_f16)(const float *a, const uint16_t *b, size_t dim);
    int64_t (*dot_i8)(const int8_t *a, const int8_t *b, size_t dim);
    int64_t (*l2sq_i8)(const int8_t *a, const int8_t *b, size_t dim);
    int64_t (*l1_i8)(const int8_t *a, const int8_t *b, size_t dim);
    /* Four codes against one query: out[j] = sum code[j][i] * q[i]. n: a multiple of 64, at
     * most VEC_MAX_DIM, so sums fit 32 bits. */
    void (*dot4_u8i8)(const uint8_t *const code[4], const int8_t *q, size_t n,
                      int32_t out[4]);
    uint32_t (*hamming)(const uint8_t *a, const uint8_t *b, size_t nbyte);
    void (*axpy)(float *y, float alpha, const float *x, size_t dim); /* y += alpha x */
    void (*f16_from_f32)(uint16_t *out, const float *x, size_t dim);
    void (*f32_from_f16)(float *out, const uint16_t *x, size_t dim);
} rec_kernels;
/* Best table for this machine (CPUID and XCR0), chosen once; REC_SIMD=ref|avx2|avx512|neon
 * in the environment forces a lower one. Never NULL. */
const rec_kernels *vec_kernels(void);
/* Table by name, NULL if this machine cannot run it (tests compare all of them). */
const rec_kernels *vec_kernels_named(const char *name);
extern const rec_kernels vec_ref_kernels;
#if defined(__x86_64__) || defined(__i386__)
extern const rec_kernels vec_avx2_kernels, vec_avx512_kernels;
#elif defined(__aarch64__)
extern const rec_kernels vec_neon_kernels;
#endif
float vec_norm(const float *x, size_t dim);
bool vec_normalize(float *x, size_t dim); /* false: zero vector, left as it is */
bool vec_is_finite(const float *x, size_t dim);
/* Text "[1, 2.5, -3e-4]" -> float[*dim], owned. Locale-free. Refuses NaN, infinities, nested
 * or trailing text, dim outside VEC_MIN_DIM..VEC_MAX_DIM. */
rec_status vec_parse_json(const char *text, size_t nbyte, float **out, uint32_t *dim,
                          rec_err *err);
/* Locale-free number parser: the longest decimal number at s; returns its length, 0 = none. */
size_t rec_parse_number(const char *s, size_t n, double *out);

/* The libc allocator is out of bounds everywhere but in mem.c. */
#ifndef REC_MEM_IMPLEMENTATION
#define malloc  use_rec_malloc
#define calloc  use_rec_zeros
#define realloc use_rec_realloc
#define free    use_rec_free
#define strdup  use_rec_strdup
#endif

#endif
