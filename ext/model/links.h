/* links.h - models that are lists of weighted neighbours: what itemknn and ease share.
 *
 *     links   the lists themselves, compact, in memory as stored         links.c
 *     rated   interactions as numbers, seen from both sides              linked_data.c
 *     cooccur who is taken together, row by row                          cooccur.c
 *     linked  the trained model: users at query time, the stored form    linked.c
 *
 *     dataset --rated--> users x items --cooccur; itemknn.c, ease.c--> links --linked--> scores
 */
#ifndef REC_LINKS_H
#define REC_LINKS_H
#include "model.h"

/* ---- links.c ------------------------------------------------------------------------------ */

#define LINKS_CHUNK \
    64 /* rows in a chunk: one allocation, one piece of a parallel loop */
#define LINKS_BLOCK 128 /* links that links_next hands out at most */
typedef struct links_chunk {
    uint8_t *data;                /* owned */
    uint32_t at[LINKS_CHUNK + 1]; /* where rows begin */
} links_chunk;
typedef struct links {
    uint32_t n_rows, n_cols;
    size_t n_chunks;
    links_chunk *chunk; /* owned */
} links;
rec_status links_init(links *l, uint32_t n_rows, uint32_t n_cols, rec_err *err);
void links_clear(links *l);
typedef struct links_rows { /* rows of the chunk at which one thread works */
    bytes_writer w;
    uint32_t at[LINKS_CHUNK];
} links_rows;
links_rows *links_rows_new(int n_threads); /* one a thread; links_rows_free */
void links_rows_free(links_rows *rows, int n_threads);
/* Columns ascending, weights finite. Rows of a chunk come from one thread, in order; chunks may
 * come from different threads at once. */
rec_status links_add(links *l, links_rows *own, uint32_t row, const uint32_t *col,
                     const float *weight, size_t n, rec_err *err);
typedef struct links_reader {
    const uint8_t *weight, *gap; /* borrowed from the links */
    uint32_t left, next;
    float scale;
} links_reader;
uint32_t links_row(const links *l, uint32_t row, links_reader *r); /* how many links */
/* The next links, at most LINKS_BLOCK; 0 at the end. */
size_t links_next(links_reader *r, uint32_t *col, float *weight);
float links_find(const links *l, uint32_t row,
                 uint32_t col); /* 0 if there is no link */
size_t links_count(const links *l);
size_t links_nbyte(const links *l);
void links_write(const links *l, bytes_writer *w);
rec_status links_read(bytes_reader *r, links *out, rec_err *err);
rec_status links_check(const links *l, rec_err *err);

/* ---- linked_data.c ------------------------------------------------------------------------- */

typedef enum { CURVE_LOG, CURVE_LINEAR, CURVE_BINARY } value_curve;
/* One side of the training data in compressed rows. */
typedef struct rated_side {
    size_t *ptr;     /* [n + 1] owned, as all below */
    uint32_t *other; /* ascending within a row */
    float *x;
} rated_side;
typedef struct rated {
    uint32_t n_users, n_items;
    size_t n;
    rated_side user, item;
} rated;

/* ---- cooccur.c ------------------------------------------------------------------------------- */

typedef struct cooccur {
    const rated *data;            /* borrowed, as the next three */
    const float *user_factor;     /* [n_users] f */
    const float *source, *target; /* [n_items] p, q */
    float shrinkage;              /* added to p q */
    float support;  /* C that halves a value: C / (C + support) of it is left; 0: all */
    size_t k;       /* how many of a row */
    bool is_signed; /* the k largest by size; else those above 0 alone */
    rec_run *run;
    const char *phase;
    double share; /* of the phase: progress at the end */
} cooccur;
/* One row; value may be changed. Rows of LINKS_CHUNK items come from one thread, in order. */
typedef rec_status (*cooccur_fn)(void *ctx, uint32_t row, const uint32_t *id,
                                 float *value, size_t n, int worker, rec_err *err);
rec_status cooccur_rows(const cooccur *c, cooccur_fn fn, void *ctx, rec_err *err);
/* Within a piece of a parallel loop: has the work been interrupted? */
rec_status worker_check(rec_run *run, int worker, rec_err *err);
/* The k-th largest of n different keys, 1 <= k <= n; the keys are used up. */
uint64_t kth_largest(uint64_t *key, size_t n, size_t k);
/* Strictly ordered: by value > 0, then by a hash of the item. */
uint64_t order_key(float value, uint32_t id);

/* ---- linked.c --------------------------------------------------------------------------------- */

typedef struct linked {
    rec_model base;
    feedback_kind feedback;
    value_curve curve;
    bool is_mean;     /* explicit: mean over the neighbours, not their sum */
    bool is_relative; /* similarity: the strongest neighbour of a row counts as 1 */
    uint32_t n_items;
    double mean;    /* explicit: of the ratings; implicit: of the weights */
    double damping; /* is_mean: imagined similarity that says nothing */
    float *bias;    /* [n_items] owned; explicit only */
    links rows;     /* row: an item of the history; columns: what it speaks for */
} linked;
linked *linked_new(const rec_model_ops *ops, const dataset *d, rec_err *err);
void linked_close(rec_model *m);
/* Learns mean and biases, and turns the data into numbers: implicit by the curve (dislikes are
 * left out), explicit less the biases of user and item. Of users with more than max_history
 * items a hashed choice of that many counts. */
rec_status rated_init(rated *r, linked *m, const dataset *d, size_t max_history,
                      rec_err *err);
void rated_clear(rated *r);
/* What a rating or weight counts, and an explicit user's bias. */
float linked_value(const linked *m, float weight);
double linked_user_bias(const linked *m, const model_query *q);

uint32_t linked_n_items(const rec_model *m);
bool linked_knows(const rec_model *m, const model_query *q);
rec_status linked_score(const rec_model *m, const model_query *q, const uint32_t *items,
                        size_t n, float *out, rec_err *err);
rec_status linked_similar(const rec_model *m, uint32_t item, float *out, rec_err *err);
rec_status linked_explain(const rec_model *m, const model_query *q, uint32_t item,
                          explain_fn fn, void *ctx, rec_err *err);
float linked_cold_score(const rec_model *m, const model_query *q);
const lsa *linked_language(const rec_model *m);
rec_status linked_save(const rec_model *m, bytes_writer *w, rec_err *err);
rec_status linked_load(const rec_model_ops *ops, bytes_reader *r, rec_model **out,
                       rec_err *err);
rec_status linked_check(const rec_model *m, rec_err *err);
size_t linked_nbyte(const rec_model *m);

#endif
