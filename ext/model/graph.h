/* graph.h - graph filters: what training (graph.c) and the trained model (graph_model.c) share. */
#ifndef REC_GRAPH_H
#define REC_GRAPH_H

#include "model.h"

#define GRAPH_MIN_FACTORS 1
#define GRAPH_MAX_FACTORS 1024
#define GRAPH_MAX_STEPS   16
#define GRAPH_MAX_SHARPEN 20

typedef enum { GRAPH_LINEAR, GRAPH_IDEAL, GRAPH_GFCF, GRAPH_BSPM } graph_filter;
typedef enum { GRAPH_EULER, GRAPH_RK4 } graph_solver;

/* One side of the graph: the edges of row r are ptr[r]..ptr[r+1]. */
typedef struct graph_side {
    size_t *ptr;     /* [rows + 1] owned, as all below */
    uint32_t *other; /* ascending within a row */
    float *strength; /* NULL: every edge is 1 */
} graph_side;

typedef struct graph {
    rec_model base;
    graph_filter filter;
    graph_solver solver;
    uint32_t steps;
    feedback_kind feedback;
    uint32_t n_users, n_items, factors; /* factors: 0 for GRAPH_LINEAR */
    double user_scale, item_scale;      /* exponents of the degrees in an edge */
    double linear_in, linear_out, ideal_in, ideal_out;
    double ideal, sharpen;  /* weight of the ideal part; time of sharpening */
    double mean, deviation; /* explicit: of the ratings; implicit: 0, typical weight */
    uint64_t basis; /* edges there were when the eigenvectors were last computed */
    float largest;  /* largest eigenvalue of the item-item graph; 1 for linear */
    graph_side users, items;
    float *degree;              /* [n_items] owned, as all below */
    float *user_norm;           /* [n_users] degree^-2 user_scale */
    float *item_norm;           /* [n_items] degree^-item_scale, 0 without edges */
    float *enter[2], *leave[2]; /* [n_items] for the linear and the ideal part */
    float *value;               /* [factors] eigenvalues over the largest, descending */
    uint16_t **half; /* eigenvectors times sqrt(n_items) as float16, chunks */
    float *length;   /* [n_items] of eigenvectors weighted by value */
} graph;

/* Rows of the eigenvectors lie in chunks, as those of a mat. */
#define GRAPH_CHUNK_ROWS 4096
static inline uint16_t *graph_half_row(const graph *m, size_t item) {
    return m->half[item / GRAPH_CHUNK_ROWS] +
           item % GRAPH_CHUNK_ROWS * (size_t)m->factors;
}
static inline const graph *graph_self(const rec_model *m) {
    return (const graph *)m;
}

/* graph.c */
rec_status graph_fit(const model_fit_args *a, rec_model **out, rec_err *err);
/* How much a row of the interactions connects; negative: dislike. */
float graph_strength(const graph *m, float weight, float value);

/* graph_model.c */
void graph_close(rec_model *m); /* NULL is fine */
rec_status graph_alloc_items(graph *m, rec_err *err);
rec_status graph_alloc_factors(graph *m, uint32_t factors, rec_err *err);
/* From m->users and its counts: the item side, degrees, norms, and what enters and leaves. */
rec_status graph_finish_edges(graph *m, rec_err *err);
void graph_finish_factors(graph *m);
bool graph_has_linear(const graph *m);
double graph_ideal_weight(const graph *m); /* of the ideal part in the score */
bool graph_sharpens(const graph *m);
/* How much row j of a history puts into the filter; 0 for items without edges. */
float graph_asked(const graph *m, const model_query *q, size_t j);

/* graph_block.c: graph_ops.best */
rec_status graph_best(const rec_model *model, const model_best *b, rec_run *run,
                      rec_err *err);
#endif
