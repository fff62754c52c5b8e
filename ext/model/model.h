/* model.h - recommenders: one struct of functions per algorithm, one line per algorithm.
 *
 *     model      registry of algorithms, options                         model.c
 *     tune       drawing options from their ranges                       tune.c
 *     cost       the memory that a training needs                        cost.c
 *     signal     what an interaction row means: weight, age, liked       signal.c
 *     dataset    rows -> users x items, in compressed rows               dataset.c
 *     popularity als content                                             <name>.c
 *     near       graph index over the vectors of a large model           near.c
 *     topdot     the best items of many users at once, by their vectors  topdot.c
 *     best       the same for any model                                  best.c
 *     hybrid     calibrate and blend the scores of other models          hybrid.c
 *     split      what is learned from, and what is asked about           split.c
 *     metrics    how good lists are: the evaluator                       metrics*.c
 *
 *     rows (user, item, value, time)          items (key, title, facets, text)
 *            | signal, dataset                        | catalog, corpus
 *            v                                        v
 *        dataset ------------------ fit --------------> model --- save ---> bytes
 *                                                        |
 *     history, sentence ---> model_query ---> score ---> float[n_items]
 *
 * A model numbers items 0..n_items-1 (ascending key at training). It never sees keys, SQL or
 * tables: the caller maps its live catalogue to model items, and applies seen, eligible and
 * filters to the scores. User factors are never needed to score: a user is what they did
 * (model_query), folded in each time, so a click of a second ago counts.
 */
#ifndef REC_MODEL_H
#define REC_MODEL_H

#include "../core/core.h"
#include "../index/index.h"
#include "../text/embed.h"
#include "../text/text.h"

/* ---- model.c: options and registry ---------------------------------------------------------- */

typedef enum {
    OPT_INT,
    OPT_REAL,
    OPT_TEXT,
    OPT_ENUM,
    OPT_FORM, /* a name with an optional number: weighted(.5); choices lists the names */
    OPT_EMBEDDER /* embed_parse reads it: lsa(256), column(image):0.5 */
} opt_kind;
typedef struct model_option {
    const char *name;
    opt_kind kind;
    double min, max;     /* OPT_INT, OPT_REAL, the number of OPT_FORM: inclusive */
    const char *def;     /* default, as it would be written; NULL = none */
    const char *choices; /* OPT_ENUM, OPT_FORM: "cosine|bm25" */
    const char *help;    /* half a sentence with its unit */
} model_option;
#define MODEL_MAX_OPTIONS 32
typedef struct model_options {
    const model_option *def; /* borrowed, static */
    size_t n;
    double num[MODEL_MAX_OPTIONS];
    char *text[MODEL_MAX_OPTIONS]; /* owned; NULL = default text or none */
    bool is_set[MODEL_MAX_OPTIONS];
} model_options;
void options_init(model_options *o, const model_option *def, size_t n); /* defaults */
void options_clear(model_options *o);
/* REC_RANGE names the option, the value found and what is allowed. *known: is the name one of
 * ours (when false nothing was done and REC_OK is returned). */
rec_status options_set(model_options *o, const char *name, const char *value,
                       bool *known, rec_err *err);
/* The number; for OPT_ENUM the place in choices, for OPT_FORM the number in brackets (that of
 * the default when there are none). 0 for an option that the algorithm does not have. */
double opt_num(const model_options *o, const char *name);
const char *opt_text(const model_options *o,
                     const char *name); /* value or default or NULL */

/* ---- tune.c: drawing options ------------------------------------------------------------------ */

#define TUNE_TEXT 64
/* One value of a range as it would be written. REC_RANGE explains a range that is none. */
rec_status tune_draw(const char *range, const model_option *def, rng *r,
                     char out[TUNE_TEXT], rec_err *err);
/* Do the conditions hold for these options? */
bool tune_applies(const char *only, const model_options *o, bool is_explicit);

/* ---- signal.c: what a row of the interactions means (SQL.md section 2, Signals) ---------------- */

typedef enum { FEEDBACK_IMPLICIT, FEEDBACK_EXPLICIT } feedback_kind;
typedef enum {
    DUP_DEFAULT,
    DUP_SUM,
    DUP_LAST,
    DUP_MAX
} dup_rule; /* default: implicit sum, explicit last */
#define SIGNAL_MAX_EVENTS 32
typedef struct signal_spec {
    feedback_kind feedback;
    bool has_value, has_time, has_event;
    dup_rule duplicates;
    double since, until, half_life; /* unix seconds; NaN = none; half_life in seconds */
    char event[SIGNAL_MAX_EVENTS][32];
    double event_weight[SIGNAL_MAX_EVENTS];
    size_t n_event;
} signal_spec;
/* 'view:.1, click:.3, skip:-.5' */
rec_status signal_parse_weights(const char *text, signal_spec *s, rec_err *err);
/* '90 days', '12 hours', '3600' -> seconds */
rec_status signal_parse_span(const char *text, double *seconds, rec_err *err);
/* unix seconds, milliseconds (>= 1e11) or ISO text "2024-05-01[ T]12:30[:15[.5]][Z|+02:00]" -> unix
 * seconds, UTC. false if it is no time. */
bool signal_parse_time(const cell *c, double *seconds);

typedef struct signal_row { /* one row of the interactions, raw */
    cell value, time, event;
    bool is_positive; /* result of positive=..., true without one */
} signal_row;
typedef struct signal_out {
    bool use; /* counts for the profile; false: seen only */
    float
        weight; /* implicit: confidence (negative: dislike); explicit: 1 (before decay) */
    float value; /* the rating, else the weight */
    double time; /* unix seconds, NaN if unknown */
} signal_out;
/* REC_RANGE: an unlisted event kind, or an explicit row without a number, explained. A NULL value
 * under implicit counts as not used. Decay is applied later (signal_decay) once `now` is known. */
rec_status signal_read(const signal_spec *s, const signal_row *row, signal_out *out,
                       rec_err *err);
float signal_decay(const signal_spec *s, double time,
                   double now); /* 2^-(age/half_life), 1 without */

/* ---- dataset.c ------------------------------------------------------------------------------------- */

typedef struct interaction {
    uint32_t user, item;
    float weight, value;
    double time;
} interaction;
/* Users x items in compressed rows; within a user ascending item. */
typedef struct dataset {
    uint32_t n_users, n_items;
    size_t n;       /* interactions after duplicates were merged */
    size_t *ptr;    /* [n_users+1] */
    uint32_t *item; /* [n] */
    float *weight;  /* [n] */
    float *value;   /* [n] */
    double *time;   /* [n] unix seconds, NaN unknown */
    feedback_kind feedback;
    bool has_value, has_time;
    double now;           /* newest interaction, NaN without times */
    const corpus *docs;   /* borrowed: item texts, one document an item; NULL without */
    const catalog *items; /* borrowed: facets; item numbers equal; NULL without */
} dataset;
/* Sorts rows (in place), merges duplicates by the rule, applies decay. ptr.. are owned. */
rec_status dataset_build(const signal_spec *s, interaction *rows, size_t n,
                         uint32_t n_users, uint32_t n_items, dataset *out,
                         rec_err *err);
void dataset_clear(dataset *d);
/* Merge duplicates of one user's rows in place (query-time twin of dataset_build): returns the
 * new count; result ascending by item. */
size_t interactions_merge(const signal_spec *s, interaction *rows, size_t n,
                          double now);
/* Hash of one user's merged rows: equal history, equal hash. */
uint64_t interactions_hash(const interaction *rows, size_t n);

/* ---- the interface ------------------------------------------------------------------------------------ */

enum {
    MODEL_NEEDS_INTERACTIONS = 1,
    MODEL_NEEDS_ITEMS = 2,
    MODEL_NEEDS_TEXT = 4, /* text= or facets= */
    MODEL_NEEDS_TIME = 8,
    MODEL_NEEDS_MEMBERS = 16, /* blends other models: fit/score are NULL */
    MODEL_READS_TEXT = 32,    /* uses docs and facets when there are any */
    MODEL_PREDICTS = 64,      /* feedback=explicit: scores are ratings */
    MODEL_GROWS = 128         /* a fit that starts from `previous` takes less time */
};

typedef struct rec_model rec_model;
typedef struct
    model_query { /* one user (or nobody) at query time, in model item numbers */
    const uint32_t *item; /* what they did, ascending, unique (borrowed) */
    const float
        *weight; /* implicit: confidence, negative for dislikes; explicit: 1 x decay */
    const float *value; /* explicit: the rating; implicit: the weight */
    const double *time; /* unix seconds, NaN unknown */
    size_t n;
    const char *text; /* a sentence, or NULL */
    size_t n_text;
    const embed_env *env; /* for sentences that only somebody outside can embed; NULL */
} model_query;

/* Receives the parts of an explanation. Kinds: item (number = model item), facet / term (text),
 * popularity, bias, query. Weights add up to about the score where the model is linear. */
typedef rec_status (*explain_fn)(void *ctx, const char *kind, uint32_t item,
                                 const char *text, size_t n_text, double weight,
                                 rec_err *err);

typedef struct model_fit_args {
    const dataset *data;
    const model_options *options;
    uint64_t seed;
    const rec_model *previous;     /* warm start; NULL */
    const uint32_t *previous_item; /* [n_items] their numbers in previous, KEYS_NONE for
                                      new ones; NULL = the same numbers (borrowed) */
    rec_run *run;
    const embed_env *env; /* files and servers, for embedders; NULL: none */
} model_fit_args;

/* The best items of several users: see rec_model_ops.best. Everything is borrowed. */
typedef struct model_best {
    const model_query *query; /* [n] of which the model knows something */
    const bitmap *allowed;    /* [n] over the items of the model */
    const uint32_t
        *place;  /* [n_items] unique: the smaller goes first among equal scores */
    topk *found; /* [n] receives (-score, place), may hold entries already */
    size_t n;
} model_best;

/* What rec_tune tries: "log .001 1" (even over the decades), "lin 0 1", or "cosine|bm25", values to choose
 * from. only: conditions, all of which must hold: "implicit", "explicit", "similarity=general"; NULL = always. */
typedef struct model_tune {
    const char *name, *range, *only;
} model_tune;

typedef struct rec_model_ops {
    const char *name; /* algorithm=als */
    unsigned needs;   /* MODEL_NEEDS_* */
    const model_option *options;
    size_t n_options;
    const model_tune *tune; /* NULL: nothing to search */
    size_t n_tune;
    rec_status (*fit)(const model_fit_args *a, rec_model **out, rec_err *err);
    uint32_t (*n_items)(const rec_model *m);
    /* Is there anything in q that this model can work with? If not, the caller falls back. */
    bool (*knows)(const rec_model *m, const model_query *q);
    /* out[i] = score of items[i], or of item i when items is NULL (n = n_items). Finite,
     * larger is better. Thread-safe for different out. */
    rec_status (*score)(const rec_model *m, const model_query *q, const uint32_t *items,
                        size_t n, float *out, rec_err *err);
    /* May be NULL. For every user of b what pushing the scores of their allowed items, as `score`
     * gives them, would leave in found. On the threads of run; memory: bounded, of the order of n
     * users. */
    rec_status (*best)(const rec_model *m, const model_best *b, rec_run *run,
                       rec_err *err);
    /* May be NULL, both. Vectors of the items such that `score` puts items in the order (up to ties) of their
     * products (METRIC_IP) or cosines with the vector that `direction` makes of a question. NULL if this model
     * has none. */
    const mat *(*vectors)(const rec_model *m, vec_metric *metric);
    rec_status (*direction)(const rec_model *m, const model_query *q, float *x,
                            rec_err *err);
    /* out[n_items]: similarity to `item`, in [-1,1]. */
    rec_status (*similar)(const rec_model *m, uint32_t item, float *out, rec_err *err);
    rec_status (*explain)(const rec_model *m, const model_query *q, uint32_t item,
                          explain_fn fn, void *ctx, rec_err *err);
    /* What an item that this model has no row for scores for q (e.g. 0, or mean + user bias). */
    float (*cold_score)(const rec_model *m, const model_query *q);
    /* Append items that came after training, one document each; NULL if it cannot. Item
     * numbers go on from n_items. In memory only. */
    rec_status (*extend)(rec_model *m, const corpus *docs, const catalog *items,
                         const uint32_t *which, size_t n, rec_err *err);
    const lsa *(*language)(const rec_model *m); /* text space, or NULL */
    doc_terms (*terms)(
        const rec_model
            *m); /* the heaviest of each item in that space; with language */
    /* Serialised form: named parts (FORMAT.md). load refuses damage with REC_CORRUPT. */
    rec_status (*save)(const rec_model *m, bytes_writer *w, rec_err *err);
    rec_status (*load)(bytes_reader *r, rec_model **out, rec_err *err);
    rec_status (*check)(const rec_model *m, rec_err *err);
    size_t (*nbyte)(const rec_model *m);
    void (*close)(rec_model *m);
} rec_model_ops;
struct rec_model { /* first member of every algorithm's own struct */
    const rec_model_ops *ops;
};
const rec_model_ops *model_algorithm(const char *name); /* NULL if there is none */
/* The number of an item in a->previous, KEYS_NONE if that does not have it. */
uint32_t model_previous_item(const model_fit_args *a, uint32_t item);
void model_algorithm_names(char *out, size_t cap); /* "popularity, als, ..." */

extern const rec_model_ops popularity_ops, als_ops, content_ops, hybrid_ops, graph_ops;
extern const rec_model_ops itemknn_ops;
extern const rec_model_ops ease_ops;
extern const rec_model_ops bpr_ops, lightgcn_ops, two_tower_ops, sequence_ops;

/* ---- cost.c ------------------------------------------------------------------------------------ */

/* Bytes that fitting is sure to allocate beyond the data; 0 where little is. */
double model_fit_bytes(const rec_model_ops *ops, const model_fit_args *a);

/* ---- popularity.c: also every model's fallback --------------------------------------------------------- */

/* Damped popularity of an item, comparable across items: implicit sum of decayed weights / users;
 * explicit damped mean (prior_weight ratings at the global mean). */
float popularity_score(const rec_model *m, uint32_t item);
/* The weights of its interactions, added up; 0 for an item without any. */
float popularity_weight(const rec_model *m, uint32_t item);

/* ---- topdot.c: the best rows of a matrix for many vectors at once --------------------------- */

/* score(v, row) = scale * (x_v . row / length[row] + bias[row]) + shift[v], up to rounding; what is kept is
 * exactly what `score` says. */
typedef struct topdot {
    const mat *rows;
    const float
        *length; /* [n_rows] those of the rows, then |x_v| is at most 1; NULL: 1 */
    const float *bias; /* [n_rows] or NULL */
    const float *x;    /* [n] vectors, `stride` floats apart */
    size_t n, stride;
    double scale;                                            /* > 0 */
    const double *shift;                                     /* [n] or NULL */
    float (*score)(const void *ctx, size_t v, uint32_t row); /* any thread */
    const void *ctx;
    const bitmap *allowed; /* [n] over rows */
    const uint32_t *place; /* [n_rows] */
    topk *found;           /* [n] receives (-score, place) */
} topdot;
rec_status topdot_run(const topdot *t, rec_run *run, rec_err *err);

/* ---- best.c: what rec_model_ops.best is, for three kinds of models -------------------------- */

typedef struct best_vectors {
    const mat *rows;     /* as those of a topdot, and the next three */
    const float *length; /* NULL: rows are taken as they are */
    const float *bias;
    double scale;
    size_t width; /* floats of a folded user; the first rows->dim are the vector */
    rec_status (*fold)(const rec_model *m, const model_query *q, float *x,
                       rec_err *err);
    double (*shift)(const rec_model *m, const float *x); /* NULL: 0 */
    /* What ops.score gives the item for the user who was folded into x, to the bit. */
    float (*score)(const rec_model *m, const float *x, uint32_t item);
} best_vectors;
rec_status best_by_vectors(const rec_model *m, const best_vectors *v,
                           const model_best *b, rec_run *run, rec_err *err);
/* By ops.score, a user at a time on each thread. */
rec_status best_by_scores(const rec_model *m, const model_best *b, rec_run *run,
                          rec_err *err);
/* All users share the scores score[n]. */
rec_status best_by_order(const float *score, size_t n, const model_best *b,
                         rec_run *run, rec_err *err);
/* In [-1,1]; 0 where a length is 0 or a number is none. */
float vectors_cosine(double product, double length_a, double length_b);
/* out[n_rows]: cosine of each row with row `item`. length: of the rows, NULL = not known. */
void vectors_alike(const mat *rows, const float *length, uint32_t item, float *out);

/* ---- near.c: an index over the vectors of many items ----------------------------------------- */

/* From how many items on a model has one. Scoring all of 100,000 x 64 takes 2 ms. */
#define MODEL_INDEX_MIN 100000

typedef struct item_graph item_graph;
rec_status near_build(const mat *rows, vec_metric metric, rec_run *run,
                      item_graph **out, rec_err *err);
/* Rows that were appended to `rows` since. They are scanned. */
rec_status near_add(item_graph *near, const mat *rows, rec_err *err);
rec_status near_save(const item_graph *near, bytes_writer *w, rec_err *err);
rec_status near_load(bytes_reader *r, const mat *rows, vec_metric metric,
                     item_graph **out, rec_err *err);
rec_status near_check(const item_graph *near, rec_err *err);
size_t near_n(const item_graph *near);
size_t near_nbyte(const item_graph *near);
void near_free(item_graph *near); /* NULL is fine */
typedef struct near_query {
    const float *direction;
    const bitmap *allowed; /* over items; NULL = all */
    size_t n;              /* how many, at most */
    rec_run *run;
} near_query;
/* item[q->n]: the best allowed items, nearly; fewer only if no more are allowed. Thread-safe. */
rec_status near_find(const item_graph *near, const near_query *q, uint32_t *item,
                     size_t *n, rec_err *err);

/* ---- spd.c: small symmetric positive definite systems -------------------------------------- */

/* Row-major float matrices of spd_pad(n) rows and stride ld = spd_stride(n); see spd.c. */
#define SPD_PAD 16
typedef struct spd_kernels {
    /* A[n x ld] += P^T P, P is k x ld; upper triangle. n is padded. */
    void (*rank_k)(float *a, size_t n, size_t ld, const float *p, size_t k);
    void (*chol)(float *a, size_t n,
                 size_t ld); /* A -> U, with 1 / U[i][i] on the diagonal */
    void (*solve)(const float *u, size_t n, size_t ld, float *x);
    void (*add)(float *y, const float *x, float f, size_t n); /* y += f x, any n */
} spd_kernels;
size_t spd_pad(size_t n);
size_t spd_stride(size_t n);
const spd_kernels *spd_routines(void); /* for the instruction set of vec_kernels() */

/* ---- als_solve.c: one half of an epoch, or one fold-in --------------------------------------- */

/* Find x that minimises, over the rows h_j of `fixed` that a history names,
 *     implicit   sum_j |w_j| (p_j - x.h_j)^2 + x' diag(spectrum) x + lambda |x|^2
 *     explicit   sum_j  w_j (t_j - b_j - x.h_j - b)^2 + lambda (|x|^2 + b^2)
 * p_j = 1 for w_j > 0, else 0. `fixed` stands in principal axes: fixed' fixed is diagonal. */
typedef struct als_task {
    const mat *fixed;
    const float *bias;     /* explicit: b_j of the rows of fixed; NULL = implicit */
    const float *spectrum; /* [factors] alpha0 * eigenvalues; NULL = 0 */
    float extra; /* added to the weight of a liked row on the right side (Hu, Koren) */
    bool dense;  /* always Cholesky in the space of factors */
} als_task;
typedef struct als_history {
    const uint32_t *row;          /* rows of fixed */
    const float *weight, *target; /* target: explicit only */
    size_t n;
    float lambda; /* > 0 */
    const float
        *prior; /* [unknowns] x is drawn there; NULL: to 0. The task must be `dense` */
} als_history;
typedef struct als_scratch {
    float *panel, *system; /* owned */
    float *vec;            /* owned: diagonal, its root, right side, solution */
    float *left;           /* owned: one number a history row (als_iterate.c) */
    size_t n_panel, n_system, n_vec;
} als_scratch;
/* Room for histories of up to n_row rows. */
rec_status als_scratch_init(als_scratch *s, const als_task *t, size_t n_row,
                            rec_err *err);
void als_scratch_clear(als_scratch *s);
/* x[factors] (+ x[factors] = b when explicit). Returns b'x of the normal equations, the amount
 * by which the history's loss fell. */
double als_solve(const als_task *t, const als_history *h, als_scratch *s, float *x);
/* out = A^-1 rhs for the history's system; rhs and out have factors (+1 explicit) entries. The
 * task must be `dense`. */
void als_solve_rhs(const als_task *t, const als_history *h, als_scratch *s,
                   const float *rhs, float *out);

/* ---- als.c: what tests and benchmarks reach ------------------------------------------------------------- */

/* Item factors (n_items x factors), borrowed. */
const mat *als_item_factors(const rec_model *m);
/* Half an epoch: all rows of one side, given the other (task.fixed). loss[n_rows] receives the
 * loss over each row's history with its own penalty. */
typedef enum { ALS_AUTO, ALS_CHOLESKY, ALS_CG, ALS_BLOCKS } als_solver;
typedef struct als_half {
    als_task task;
    als_solver solver; /* ALS_CG and ALS_BLOCKS start from what `solved` holds */
    int cg_steps;
    size_t n_rows;
    const size_t *ptr;            /* [n_rows+1] */
    const uint32_t *row;          /* rows of task.fixed */
    const float *weight, *target; /* target: NULL when implicit */
    const float *lambda;          /* [n_rows] */
    const mat *prior;             /* [n_rows] of als_history, or NULL */
    double alpha0;
} als_half;
typedef rec_status (*als_half_step)(const als_half *h, mat *solved, float *bias,
                                    double *loss, rec_run *run, rec_err *err);
rec_status als_fit_with(const model_fit_args *a, als_half_step step, rec_model **out,
                        rec_err *err);
/* als_reference.c. The readable reference: the same objective, solved plainly in double. */
rec_status als_fit_reference(const model_fit_args *a, rec_model **out, rec_err *err);
/* A d x d Cholesky for every row, by the routines and on the threads of the fast way. */
rec_status als_fit_cholesky(const model_fit_args *a, rec_model **out, rec_err *err);

/* ---- tastes.c: likes in groups ---------------------------------------------------------------- */

#define TASTES_MAX 16
/* The n rows that `item` names, in up to k groups by direction: of[j] = the group of row j, 0..*n_group-1.
 * weight[j] > 0: what the row counts; others join the nearest group. Deterministic. */
typedef struct tastes_args {
    const mat *rows;
    const uint32_t *item; /* < rows->n_rows */
    const double *weight;
    size_t n, k;
} tastes_args;
rec_status tastes_group(const tastes_args *a, uint8_t *of, size_t *n_group,
                        rec_err *err);

/* ---- content.c --------------------------------------------------------------------------------------------- */

/* Unit item vectors (n_items x dim), borrowed; and the vector of a sentence. */
const mat *content_item_vectors(const rec_model *m);
bool content_embed(const rec_model *m, const char *text, size_t nbyte, float *out);

/* ---- hybrid.c ---------------------------------------------------------------------------------------------- */

#define HYBRID_MIN_MEMBERS 1
#define HYBRID_MAX_MEMBERS 16
typedef struct hybrid_part { /* one member's scores over the same n items */
    const float *score; /* [n]; NaN where the member has nothing to say (borrowed) */
    double weight;      /* share of this member, >= 0 */
    bool is_content;    /* goes to content_score rather than cf_score */
} hybrid_part;
typedef struct hybrid_blend_args {
    const hybrid_part *part;
    size_t n_part, n;
    const bitmap *pool; /* items over which scores are calibrated; NULL = all */
} hybrid_blend_args;
/* Calibrate each part to zero mean and unit variance over the pool, then out[n] = weighted sum
 * over the parts that speak for the item (weights renormalised per item). gate[n] (may be NULL) =
 * share of the collaborative parts. */
rec_status hybrid_blend(const hybrid_blend_args *a, float *out, float *gate,
                        rec_err *err);

/* ---- gate.c: how far to lean on each member ------------------------------------------------------------------ */

#define GATE_LIST 60   /* candidates that a member names */
#define GATE_CUT  20   /* of the list whose goodness the weights are chosen by */
enum {                 /* what a learned gate looks at */
       GATE_X_HISTORY, /* log2(1 + items of the user) */
       GATE_X_NEW,     /* 1 / (1 + items of the user) */
       GATE_X_POPULAR, /* log2(1 + users of the item) */
       GATE_X_AGE, /* log2(1 + days since the item was first seen); 0 without times */
       GATE_X_MARGIN, /* how far the member's first stands above its list */
       GATE_X_QUERY,  /* is there a sentence? */
       GATE_N_X
};
extern const char *const gate_x_names[GATE_N_X];
/* Weight of member m for a question: exp(bias[m] + sum coef[m][j] * (x[j] - mean[j]) / spread[j]), over the sum
 * of the members that know the item. gate=weighted has no coef. */
typedef struct hybrid_gate {
    uint32_t n_member;
    bool is_learned;
    double bias[HYBRID_MAX_MEMBERS], coef[HYBRID_MAX_MEMBERS][GATE_N_X];
    double mean[GATE_N_X], spread[GATE_N_X];
} hybrid_gate;
void gate_write(const hybrid_gate *g, bytes_writer *w);
rec_status gate_read(bytes_reader *r, hybrid_gate *out, rec_err *err);
rec_status gate_check(const hybrid_gate *g, rec_err *err);

typedef struct gate_list { /* what a member has to say to one user; n = 0: nothing */
    uint32_t *item;        /* [n + n_had] best first, owned by whoever made the list */
    float *score;          /* [n + n_had] descending */
    size_t n, n_had; /* then what the user had, as far as it would stand in the list */
} gate_list;
typedef struct gate_scale {            /* of a list: z = (score - mean) * factor */
    double mean, factor, last, margin; /* z of its last and of its first */
} gate_scale;
typedef struct gate_ask {
    const gate_list *list; /* [n_member], and n_extra after them (borrowed, as all) */
    size_t n_member, n_extra;
    double extra[1]; /* [n_extra] weight of each, where the members share 1 */
    double history;  /* items of the user */
    bool has_query;
    const double *prior;  /* [n_member] the weights are multiplied by; NULL */
    const float *popular; /* [items] users of each; NULL */
    const float *age;     /* [items] days; NULL */
    /* Does the member know the item at all? It is silent of others. */
    bool (*knows)(const void *ctx, size_t member, uint32_t item);
    const void *ctx;
    gate_scale scale[HYBRID_MAX_MEMBERS + 1]; /* gate_prepare fills it */
} gate_ask;
void gate_prepare(gate_ask *a);
/* w[n_member] of an item, adding up to 1; 0 for members that are silent. */
void gate_weights(const hybrid_gate *g, const gate_ask *a, uint32_t item, double *w);
void gate_features(const gate_ask *a, uint32_t item, double x[GATE_N_X]);
double gate_logit(const hybrid_gate *g, size_t m, const double x[GATE_N_X],
                  double margin);
void gate_softmax(size_t n, double *w); /* -infinity gives 0 */
typedef struct gate_union {
    uint32_t *item; /* [n] owned: everything that any list names, ascending */
    float *z;       /* [n][n_member + n_extra] owned: NaN of silent members */
    size_t n;
} gate_union;
rec_status gate_gather(const gate_ask *a, gate_union *out, rec_err *err);
void gate_union_clear(gate_union *u);
typedef struct gate_found {
    uint32_t *item; /* [n] owned: every candidate, ascending */
    float *score;   /* [n] owned */
    size_t n;
} gate_found;
rec_status gate_blend(const hybrid_gate *g, const gate_ask *a, gate_found *out,
                      rec_err *err);
void gate_found_clear(gate_found *f);

/* ---- gate_fit.c: weights from rows that the members have not seen ---------------------------------------------- */

typedef struct gate_set gate_set; /* questions with their answers */
gate_set *gate_set_new(size_t n_member, bool is_learned); /* NULL: no memory */
void gate_set_free(gate_set *s);                          /* NULL is fine */
size_t gate_set_n(const gate_set *s);                     /* that can be answered */
/* want: ascending, unique. A question that no member can answer is left out. */
rec_status gate_set_add(gate_set *s, const gate_ask *a, const uint32_t *want,
                        size_t n_want, rec_err *err);
typedef struct gate_figures { /* of the chosen weights, over the questions of the set */
    double recall, ndcg;      /* at GATE_CUT */
    double best, equal;       /* ndcg of the best member, and of equal weights */
} gate_figures;
rec_status gate_fit(const gate_set *s, hybrid_gate *out, gate_figures *figures,
                    rec_run *run, rec_err *err);

/* ---- liked.c: interactions as plain likes --------------------------------------------------------------- */

typedef struct like_rule {
    feedback_kind feedback;
    double unit;      /* mean weight of the training rows, > 0 */
    double threshold; /* explicit: ratings from here on are likes */
} like_rule;
like_rule like_rule_of(const dataset *d);
/* How strong a like is: 0 = none, about 1 for a usual one. */
float liked_strength(const like_rule *r, float weight, float value);
void like_rule_write(const like_rule *r, bytes_writer *w);
rec_status like_rule_read(bytes_reader *b, like_rule *r, rec_err *err);
typedef struct liked { /* the likes of a dataset, user by user */
    like_rule rule;
    uint32_t n_users, n_items;
    size_t n;
    size_t *ptr;           /* [n_users+1] owned, as all below */
    uint32_t *item, *user; /* [n] */
    float *strength;       /* [n] */
    uint32_t *degree;      /* [n_items] */
} liked;
rec_status liked_init(liked *l, const dataset *d, rec_err *err);
void liked_clear(liked *l);
bool liked_has(const liked *l, uint32_t user, uint32_t item);

/* ---- split.c: what is learned from, and what is asked about afterwards --------------------------------------- */

typedef enum {
    SPLIT_LAST,     /* the newest pairs of each user */
    SPLIT_RANDOM,   /* pairs of each user by chance */
    SPLIT_TEMPORAL, /* all rows after a moment */
    SPLIT_USER,     /* whole users */
    SPLIT_TABLE     /* the rows are what is asked about */
} split_kind;
typedef struct split_spec {
    split_kind kind;
    double share;   /* of pairs, rows or users that are held out, 0..1 */
    size_t n_last;  /* SPLIT_LAST: so many pairs instead, 0 = by share */
    double cutoff;  /* SPLIT_TEMPORAL: the moment, NaN = by share */
    bool is_repeat; /* consumed items may return */
    double sample;  /* share of the users that take part at all; 0 = all */
    const uint8_t
        *may_ask; /* SPLIT_LAST: [n_users] of whom pairs are held out; NULL = all */
    const uint32_t
        *keep; /* [n_users] so many pairs of a user stay, 0 = by share; NULL */
    const struct split *within; /* only what that one trains on; NULL (borrowed) */
    uint64_t seed;
} split_spec;
typedef enum {
    PART_TRAIN,   /* learned from, and part of the user's history */
    PART_PROFILE, /* part of the history only: of a user that is held out */
    PART_TEST,
    PART_NONE /* later than the cutoff and not asked about, or of a user who takes no part */
} split_part;
typedef struct split { /* pairs that are asked about, in compressed rows */
    uint32_t n_users;
    size_t *ptr;                /* [n_users+1] owned, as all below */
    uint32_t *item;             /* [ptr[n_users]] ascending within a user */
    uint8_t *is_held;           /* [n_users] SPLIT_USER, else NULL */
    uint8_t *is_out;            /* [n_users] takes no part; NULL: all do */
    double cutoff;              /* NaN without */
    const struct split *within; /* borrowed; NULL */
} split;
/* Rows of user u: row[ptr[u]] .. row[ptr[u+1]], in table order. */
rec_status split_make(const split_spec *s, const interaction *row, const size_t *ptr,
                      uint32_t n_users, split *out, rec_err *err);
bool split_has(const split *s, uint32_t user, uint32_t item);
/* Where a row belongs. user, item: KEYS_NONE where the split does not know them. */
split_part split_of(const split *s, uint32_t user, uint32_t item, double time);
void split_clear(split *s);

/* ---- metrics.c: one ranked list ----------------------------------------------------------------------------------- */

typedef struct metrics_list {
    const uint32_t *ranked; /* best first */
    size_t n_ranked;
    const uint32_t *test; /* ascending, unique */
    size_t n_test;
} metrics_list;
typedef struct metrics_ranked {
    double recall, recall_min, ndcg, map, mrr, hit, precision;
} metrics_ranked;
void metrics_rank(const metrics_list *l, size_t k, metrics_ranked *out);
/* Recall@k and NDCG@k alone: recall = hits / n_test, ideal DCG over min(k, n_test). */
void metrics_at(const uint32_t *ranked, size_t n_ranked, const uint32_t *test,
                size_t n_test, size_t k, double *recall, double *ndcg);
/* Over the allowed items; scratch has room for n_test. NaN if nothing can be compared. */
double metrics_auc(const float *score, const bitmap *allowed, const uint32_t *test,
                   size_t n_test, float *scratch);

/* ---- metrics_lists.c: what lists are like -------------------------------------------------------------------------- */

#define METRICS_KL_MIX .01 /* of the history's mix in the list's: no division by 0 */
/* shown[n]: in how many lists each item stands. gini sorts it. */
double metrics_coverage(const uint32_t *shown, size_t n);
double metrics_gini(uint32_t *shown, size_t n);
/* degree[item]: users who had it, of n_users; 0 counts as 1. */
double metrics_novelty(const uint32_t *ranked, size_t n, const uint32_t *degree,
                       size_t n_users);
double metrics_jaccard(const uint32_t *a, size_t n, const uint32_t *b, size_t m);
double metrics_cosine(const uint32_t *a, size_t n, const uint32_t *b, size_t m);
typedef double (*metrics_alike)(const void *ctx, uint32_t a, uint32_t b);
double metrics_diversity(const uint32_t *ranked, size_t n, metrics_alike alike,
                         const void *ctx);
double metrics_serendipity(const metrics_list *l, const uint32_t *popular,
                           size_t n_popular, size_t k);
/* had, shown: weight of each of n facet values in the history and in the list. */
double metrics_calibration(const double *had, const double *shown, size_t n);

/* ---- metrics_boot.c: means over users and their intervals ------------------------------------------------------------ */

typedef enum { FORM_MEAN, FORM_ROOT, FORM_LIFT } metrics_form; /* x, sqrt x, x - 1 */
typedef struct metrics_table {
    size_t n_users, n_metric;
    float *cell;              /* [n_users][n_metric][2] part and count */
    const metrics_form *form; /* [n_metric] */
} metrics_table;
typedef struct boot_spec {
    const metrics_table *other; /* of the same shape: differences to it; NULL */
    const uint32_t *user;       /* [n_user] which rows of the table */
    size_t n_user, n_times;
    double level; /* of the interval, .95 */
    uint64_t seed;
} boot_spec;
typedef struct boot_result {
    double value, low, high; /* NaN where nobody counts */
    size_t n_user;
} boot_result;
rec_status metrics_bootstrap(const metrics_table *t, const boot_spec *spec,
                             boot_result *out /* [n_metric] */, rec_run *run,
                             rec_err *err);

#endif
