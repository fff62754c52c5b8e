/* sq_gate.h - hybrids whose weights are found by training: their members' lists, and what is stored.
 *
 *     sq_gate       lists of the members for one user or many; the stored form      sq_gate.c
 *     sq_gate_fit   the training                                  sq_eval.h, sq_gate_fit.c
 */
#ifndef REC_SQ_GATE_H
#define REC_SQ_GATE_H

#include "sq.h"

#define SQ_QUERY_CF_SHARE \
    0.8 /* of a collaborative member's weight, what a sentence leaves */

typedef struct sq_gate_items { /* what a learned gate knows of the items, by key */
    keyset *keys;              /* owned, as all; NULL unless learned */
    float *popular;            /* users */
    double *first;             /* when it was first seen, NaN unknown */
    double now;
} sq_gate_items;
void sq_gate_items_clear(sq_gate_items *i);
/* Is the gate one that training finds? */
bool sq_gate_is_fitted(const sq_model_cfg *cfg);
void sq_gate_write(const sq_model_cfg *cfg, const hybrid_gate *g,
                   const sq_gate_items *items, bytes_writer *w);
typedef struct sq_stored_gate {
    hybrid_gate gate;
    sq_gate_items items; /* owned */
    bool fits;           /* it was trained, and for this definition */
} sq_stored_gate;
/* What <name>_data holds. */
rec_status sq_gate_load(const sq_view *v, sq_stored_gate *out, rec_err *err);
/* The features of the items of the view, and plain weights of the members. */
rec_status sq_gate_use(sq_view *v, const hybrid_gate *g, const sq_gate_items *items,
                       rec_err *err);
/* list[n][v->n_member], owned by the caller (sq_gate_free): what the members have to say to each of n users, whose
 * profiles are read; to those whose `allowed` holds what they had, of that too. */
rec_status sq_gate_lists(sq_view *v, const sq_block_user *user, size_t n,
                         gate_list *list, rec_run *run, rec_err *err);
void sq_gate_free(gate_list *list, size_t n);
/* A question; list is borrowed. */
void sq_gate_ask(const sq_view *v, const sq_profile *p, const gate_list *list,
                 double prior[HYBRID_MAX_MEMBERS], bool has_request, gate_ask *out);
/* Does member m of the view have a score of its own for an item? */
bool sq_gate_knows(const void *view, size_t m, uint32_t item);
/* May lists of users be made by sq_gate_lists? */
bool sq_gate_has_blocks(const sq_view *v, size_t k);

#endif
