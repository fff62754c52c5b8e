/* tf_diversify.h - inside rec_diversify: what its two files share.
 *
 *   tf_diversify.c          the call: options, candidates, relevance, likeness, rows
 *   tf_diversify_aspects.c  what candidates are about, what is wished for, caps
 */
#ifndef REC_TF_DIVERSIFY_H
#define REC_TF_DIVERSIFY_H

#include "tf.h"

#include <math.h>

#define DIVERSIFY_NAME       "rec_diversify"
#define DIVERSIFY_MAX_FACETS 8

typedef struct candidate_in {
    cell id;          /* text: borrowed from the JSON */
    const json *from; /* borrowed; a plain id has no fields */
    float *vector;    /* owned */
    uint32_t item;    /* of the model, or KEYS_NONE */
    double score, popularity;
} candidate_in;

typedef struct facet_in { /* a facet that the options name */
    facet_spec spec;
    int of_model; /* its number in the items of `facets`, -1: it has no such facet */
    bool is_wished, is_capped;
    uint32_t cap;
} facet_in;

typedef struct listing {
    tvf_result base;
    json *candidates, *options; /* owned */
    diversify_method method;
    double lambda, discount;
    int64_t k, n_given;
    sq_view *view;         /* holds a reference; NULL without options.model */
    const sq_view *facets; /* the view, or a member, that has them; NULL */
    candidate_in *c;       /* owned: [n] */
    size_t n;
    uint32_t dim;
    facet_in facet[DIVERSIFY_MAX_FACETS];
    size_t n_facet;
    dict *aspects; /* owned: facet number, separator, folded value */
    size_t *start; /* owned, as all below: what diversify borrows */
    uint32_t *aspect, *cap;
    float *part, *relevance, *similar;
    double *wish;
    size_t cap_aspect, cap_part, n_entry;
    diversify d;
} listing;

/* ---- tf_diversify.c ---------------------------------------------------------------------------- */

rec_status diversify_refuse(const char *option, const char *rule, rec_err *err);
bool diversify_is_key(const json *j);
cell diversify_cell(const json *j); /* of a key; borrowed */

/* ---- tf_diversify_aspects.c ---------------------------------------------------------------------- */

/* start, aspect, part of all candidates. */
rec_status diversify_aspects(listing *l, rec_err *err);
rec_status diversify_wish(listing *l, rec_err *err);
rec_status diversify_caps(listing *l, rec_err *err);

#endif
