/* embedding.h - models in which an item is one vector and a user the sum of what they like: what
 * training (embedding_fit.c), the trained model (embedding.c) and its owners (lightgcn.c,
 * two_tower.c) share. */
#ifndef REC_EMBEDDING_H
#define REC_EMBEDDING_H

#include "../nn/nn.h"
#include "model.h"

#define EMBEDDING_MAX_FACTORS 1024

/* ---- embedding.c: the trained model ---------------------------------------------------- */

typedef struct embedding { /* first member of its owners' structs */
    rec_model base;
    like_rule likes;
    mat vectors;   /* n_items x (factors + 1): of unit length, and embedding.c's last */
    float *length; /* [n_items] of each vector as it was trained; owned */
    size_t cap_length;
} embedding;
/* An owner's struct of nbyte, all 0; NULL and err when there is no memory. */
void *embedding_new(const rec_model_ops *ops, size_t nbyte, rec_err *err);
void embedding_clear(embedding *e);
/* Trained vectors z become the model's; z is emptied. */
rec_status embedding_take(embedding *e, mat *z, const liked *l, double popularity,
                          rec_err *err);
/* Rows from `from` on hold vectors of any length, which become unit vectors and lengths. */
rec_status embedding_measure(embedding *e, size_t from, rec_err *err);
void embedding_vector(const embedding *e, uint32_t item, float *z); /* as trained */
float embedding_prior(double popularity, uint32_t degree);
uint32_t embedding_n_items(const rec_model *m);
bool embedding_knows(const rec_model *m, const model_query *q);
rec_status embedding_score(const rec_model *m, const model_query *q,
                           const uint32_t *items, size_t n, float *out, rec_err *err);
rec_status embedding_best(const rec_model *m, const model_best *b, rec_run *run,
                          rec_err *err);
const mat *embedding_vectors(const rec_model *m, vec_metric *metric);
rec_status embedding_direction(const rec_model *m, const model_query *q, float *x,
                               rec_err *err);
rec_status embedding_similar(const rec_model *m, uint32_t item, float *out,
                             rec_err *err);
rec_status embedding_explain(const rec_model *m, const model_query *q, uint32_t item,
                             explain_fn fn, void *ctx, rec_err *err);
float embedding_cold_score(const rec_model *m, const model_query *q);
rec_status embedding_check(const rec_model *m, rec_err *err);
void embedding_write(const embedding *e, bytes_writer *w);
rec_status embedding_read(bytes_reader *r, embedding *e, rec_err *err);
size_t embedding_nbyte(const rec_model *m); /* without the owner's struct */

/* ---- embedding_fit.c: training ------------------------------------------------------------ */

typedef struct embedding_batch {
    const liked *likes;
    const uint8_t *is_target; /* [likes->n]: of the users of this batch; else 0 */
    const uint32_t *user,
        *item; /* each once; the first n_candidate items have a target */
    size_t n_user, n_item, n_candidate;
    uint64_t number; /* of the batch, 0.. */
} embedding_batch;
typedef struct
    embedding_net { /* what turns parameters into vectors, and gradients into steps */
    void *ctx;
    /* row[b->n_item x factors]: vectors of the batch's items. */
    rec_status (*forward)(void *ctx, const embedding_batch *b, float *row,
                          rec_err *err);
    /* g->sum row k is the gradient of item b->item[k]; g->touched may be written. */
    rec_status (*backward)(void *ctx, const embedding_batch *b, nn_grad *g,
                           const nn_adam *a, rec_err *err);
} embedding_net;
typedef struct embedding_fit_args {
    const liked *likes;
    const model_options
        *options; /* factors epochs rate temperature targets batch popularity decay */
    const char *phase;
    uint64_t seed;
    bool is_warm; /* parameters come from an earlier model: fewer and smaller steps */
    rec_run *run;
} embedding_fit_args;
rec_status embedding_train(const embedding_fit_args *a, const embedding_net *net,
                           rec_err *err);
/* A whole fit. The owner's part of training: m is new, but for its rule of likes. */
typedef rec_status (*embedding_fit_into)(rec_model *m, const model_fit_args *a,
                                         const liked *l, rec_err *err);
rec_status embedding_fit(const rec_model_ops *ops, size_t nbyte, embedding_fit_into fit,
                         const model_fit_args *a, rec_model **out, rec_err *err);

// clang-format off
#define EMBEDDING_OPTIONS(epochs, rate, temperature, targets, batch) \
    {"factors", OPT_INT, 1, EMBEDDING_MAX_FACTORS, "128", NULL, "numbers that describe an item"}, \
    {"epochs", OPT_INT, 1, 10000, epochs, NULL, "passes over the users"}, \
    {"rate", OPT_REAL, 1e-6, 1, rate, NULL, "learning rate of Adam, falls to a twentieth"}, \
    {"temperature", OPT_REAL, .01, 10, temperature, NULL, "cosines are divided by it; lower looks at harder counterexamples"}, \
    {"targets", OPT_REAL, .01, .9, targets, NULL, "share of a history that is predicted from the rest"}, \
    {"batch", OPT_INT, 16, 2048, batch, NULL, "users in a step, at most"}, \
    {"popularity", OPT_REAL, 0, 1, ".1", NULL, "times log(1 + likes) of an item, added to its cosine"}, \
    {"decay", OPT_REAL, 0, 100, "0", NULL, "of vectors in a step, times the learning rate"}
// clang-format on

// clang-format off
#define EMBEDDING_TUNE \
    {"factors", "64|128", NULL}, {"epochs", "20|40|80", NULL}, {"rate", "log .002 .05", NULL}, \
    {"temperature", "log .05 .2", NULL}, {"popularity", "lin 0 .2", NULL}, {"targets", "lin .1 .6", NULL}, {"batch", "256|512|1024|2048", NULL}
// clang-format on

#endif
