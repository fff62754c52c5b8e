/* content.h - items that read like what the user liked: what the model (content.c) and its users
 * (content_profile.c) share. */
#ifndef REC_CONTENT_H
#define REC_CONTENT_H

#include "model.h"

typedef struct content {
    rec_model base;
    feedback_kind feedback;
    double mean;         /* of the ratings of the training data; 0 when implicit */
    double deviation;    /* of the same; 0 when implicit or constant */
    double text_weight;  /* 0..1 */
    uint32_t n_taste;    /* centroids of a user, at most */
    embed_set set;       /* owned: what makes vectors of items and sentences */
    const lsa *language; /* the words of the set; NULL: it has none */
    uint32_t words_at;   /* where their numbers stand in a vector */
    float words_scale;
    mat vectors;      /* n_items x dim */
    size_t *term_ptr; /* [n_items+1] owned */
    term_share *term; /* owned */
    size_t cap_ptr, n_term, cap_term;
} content;

static inline const content *content_self(const rec_model *m) {
    return (const content *)m;
}
static inline size_t content_size(const content *c) { /* items */
    return c->vectors.n_rows;
}

/* ---- content_profile.c ------------------------------------------------------------------- */

typedef struct content_profile {
    float *user, *text; /* owned, [dim] each: unit or zero */
    double norm;        /* length of the user's weighted sum before scaling */
    double usual;       /* explicit: the user's usual rating */
    bool is_plain;      /* the weights cancelled out: plain centroid */
    double user_share, text_share; /* in the score; add up to 1, or are 0 */
    float *
        taste; /* owned, [n_taste x dim]: several centroids, each unit or zero; NULL: one */
    uint8_t *of; /* owned, [q->n]: the taste of a row */
    size_t n_taste;
} content_profile;

/* REC_NET and others: the sentence could not be embedded. Clear with content_profile_clear. */
rec_status content_profile_init(const content *c, const model_query *q,
                                content_profile *p, rec_err *err);
void content_profile_clear(content_profile *p);
/* What row j of the history counts, dislikes below 0. */
double content_weight(const content *c, const content_profile *p, const model_query *q,
                      size_t j);
/* The weighted sum over the history (or those rows of it that are of one taste; KEYS_NONE: all),
 * scaled to unit length. Returns the length before; 0 if nothing is left. */
double content_sum(const content *c, const model_query *q, const content_profile *p,
                   uint32_t taste, float *out);
/* The centroid that an item is nearest to, and its cosine: KEYS_NONE if there is only one. */
uint32_t content_nearest(const content *c, const content_profile *p, const float *item,
                         float *best);
float content_cosine(const float *a, const float *b, uint32_t dim);

#endif
