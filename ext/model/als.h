/* als.h - weighted matrix factorisation: what training (als.c) and the trained model (als_model.c) share. */
#ifndef REC_ALS_H
#define REC_ALS_H

#include "model.h"

#define ALS_MIN_FACTORS 1
#define ALS_MAX_FACTORS 1024
#define ALS_MIN_LAMBDA  1e-6
#define ALS_MAX_LAMBDA  1e6

typedef struct als {
    rec_model base;
    feedback_kind feedback;
    uint32_t n_items, factors;
    double alpha0, extra, lambda, nu, user_scale; /* extra: Hu and Koren's addition */
    double damping;                               /* explicit; 0 when implicit */
    double mean, deviation; /* of ratings; 0 and 1 when implicit */
    float *spectrum;        /* [factors] owned */
    float *item_scale;      /* [n_items] owned: confidence per weight */
    float *bias;            /* [n_items] owned; NULL when implicit */
    mat items;              /* n_items x factors */
    uint32_t n_trained;     /* items before extend */
    float *
        map; /* owned: (n_feature + 1) x (factors, and the bias): als_features.c; NULL: no features= */
    uint32_t n_feature;
    uint64_t features_print; /* of the vectors that the map is for */
} als;

static inline const als *als_self(const rec_model *m) {
    return (const als *)m;
}
static inline bool als_is_explicit(const als *m) {
    return m->feedback == FEEDBACK_EXPLICIT;
}

/* als_model.c. Without the factor matrix; NULL and err when there is no memory. */
als *als_new(feedback_kind feedback, uint32_t n_items, uint32_t factors, rec_err *err);
void als_close(rec_model *m); /* NULL is fine */
float als_standard_rating(const als *m, float value);
/* The penalty of a row that has n weights and n_other rows on the other side. */
float als_row_lambda(const als *m, const float *weight, size_t n, size_t n_other);

/* als_user.c: a history in the model's terms, and the user it makes. */
typedef struct als_user { /* the arrays are owned */
    uint32_t *row;        /* [n] rows of task.fixed, to be filled before solving */
    float *weight;        /* [n] */
    float *target;        /* [n] explicit only */
    float *x;             /* [factors + 1] the user; explicit: the last is their bias */
    als_history history;
    als_task task;
    als_scratch scratch;
} als_user;
/* Room for n_rows. Whatever fails leaves nothing to clear. */
rec_status als_user_init(als_user *u, const als_task *task, size_t n_rows,
                         rec_err *err);
rec_status als_user_solve(als_user *u, size_t n, float lambda, rec_err *err);
void als_user_clear(als_user *u);
/* To explain a score, task.dense: x becomes A^-1 y of an item; then the product of row j with it. */
void als_user_turn(als_user *u, uint32_t item);
double als_user_share(const als_user *u, size_t j);

/* als_solve.c: the parts of a row's system, as als_iterate.c needs them. */
#define ALS_BLOCK_ROWS 64                  /* history rows in a panel */
size_t als_n_unknown(const als_task *t);   /* factors, and the bias */
size_t als_short_limit(const als_task *t); /* up to so many rows Woodbury is cheaper */
float als_weight(float w);                 /* confidence of a history row, > 0 */
float als_pull(const als_task *t, const als_history *h, size_t j); /* right side */
void als_diagonal(const als_task *t, float lambda, float *d);

/* Ask for row j of the history before it is read; ALS_FETCH_ROWS ahead is right. */
#define ALS_FETCH_ROWS 8
void als_fetch_ahead(const als_task *t, const als_history *h, size_t j);

/* als_iterate.c: x[factors (+1)] is improved; both return by how much it is better than 0. */
#define ALS_BLOCK 64 /* factors in a block */
double als_cg(const als_task *t, const als_history *h, int steps, als_scratch *s,
              float *x);
double als_blocks(const als_task *t, const als_history *h, als_scratch *s, float *x);

/* als_features.c: guesses at factors from what items are like. */
typedef struct als_features { /* of a training */
    bool is_on;
    float strength, firmness; /* p, s */
    mat rows;                 /* n_items x (features, and a 1); zero rows: none known */
    mat known;                /* the same, times root and reach */
    mat guess; /* n_items x (factors, and the bias), times strength; no rows in the first epoch */
    float *root;    /* owned: [n_items] root of c_i */
    float *reach;   /* owned: [n_items] g_i */
    float *inverse; /* owned: of the ridge's left side */
} als_features;
rec_status als_features_init(als_features *f, const als *m, const size_t *item_ptr,
                             const model_fit_args *a, rec_err *err);
/* The map, and from it every guess, from the items as they are. */
rec_status als_features_fit(als_features *f, als *m, rec_run *run, rec_err *err);
/* Items without training rows get their guess; from now on the map is for such items. */
rec_status als_features_fill(als_features *f, als *m, const size_t *item_ptr,
                             rec_run *run, rec_err *err);
void als_features_clear(als_features *f);
rec_status als_extend(rec_model *model, const corpus *docs, const catalog *items,
                      const uint32_t *which, size_t n, rec_err *err);

/* als_stop.c: how many epochs are best for rows that training does not see. */
rec_status als_best_epochs(const model_fit_args *a, als_half_step step, int *epochs,
                           rec_err *err);

/* als.c */
rec_status als_half_fast(const als_half *h, mat *solved, float *bias, double *loss,
                         rec_run *run, rec_err *err);
typedef rec_status (*als_watch)(void *ctx, als *m, int epoch, bool *stop, rec_err *err);
typedef struct als_plan { /* how long to train, and who looks on */
    int epochs;
    als_watch watch; /* called after every epoch, the items in principal axes; NULL */
    void *ctx;
    als_half_step step;
} als_plan;
rec_status als_train(const model_fit_args *a, const als_plan *plan, als **out,
                     rec_err *err);
rec_status als_fit(const model_fit_args *a, rec_model **out, rec_err *err);
/* Turn m into its principal axes: afterwards m' m is diagonal, spectrum[m->dim] = alpha0 *
 * diagonal. */
rec_status als_principal_axes(mat *m, double alpha0, float *spectrum, rec_run *run,
                              rec_err *err);
#endif
