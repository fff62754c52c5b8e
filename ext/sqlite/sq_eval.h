/* sq_eval.h - models made anew in memory, to be asked what they were not told.
 *
 *     sq_copy       a model and its members, read, split, fitted: nothing is written      sq_copy.c
 *     sq_gate_fit   weights of a hybrid's members                                        sq_gate_fit.c
 *     sq_eval_options    what an evaluation is asked to do, from JSON                     sq_eval_options.c
 *     sq_eval_task  who is asked about what                                               sq_eval_task.c
 *     sq_keep       the stored model against a new one                                     sq_keep.c
 *     sq_evaluate   lists of all users, and one row of figures each                       sq_evaluate.c
 */
#ifndef REC_SQ_EVAL_H
#define REC_SQ_EVAL_H

#include "sq_gate.h"

/* ---- sq_copy.c ------------------------------------------------------------------------------- */

typedef struct sq_copy sq_copy;
struct sq_copy {
    sq_view
        *view; /* owned; its items are numbered as those that the model was fitted to */
    rec_model *model, *popularity; /* owned; the view points to them */
    corpus *docs;                  /* owned */
    keyset *users;                 /* owned; of the interactions, and more */
    interaction *row; /* [ptr[n_users]] owned; by user, each in table order */
    size_t *ptr;      /* [n_users+1] owned */
    uint32_t n_users; /* that have rows */
    uint8_t *part;    /* owned; split_part of each row */
    uint32_t
        *user_at; /* [n_users], owned; their numbers in the split; NULL: the same */
    uint32_t *item_at;                   /* [n_items], owned; likewise */
    sq_copy *member[HYBRID_MAX_MEMBERS]; /* owned */
    size_t n_member;
    size_t n_trained,
        n_trained_users; /* of the last fit: pairs, and users who have any */
    double seconds;
    hybrid_gate gate; /* of a hybrid whose weights are found; the view points to it */
    sq_gate_items gate_items; /* owned */
};
/* Reads definition, items and interactions, members included. Close even after a failure. */
rec_status sq_copy_read(sq_conn *c, const char *in_schema, const char *name,
                        rec_run *run, sq_copy **out, rec_err *err);
void sq_copy_close(sq_copy *m); /* NULL is fine */
/* The copy, or the first of its members, that has interactions: its numbers are those of splits. NULL if none. */
sq_copy *sq_copy_base(sq_copy *m);
/* Match users and items of the copy with those of base, once they are known. */
rec_status sq_copy_match(sq_copy *m, const sq_copy *base, rec_err *err);
/* Fit to what the split leaves for training, with the options that view->cfg holds now. Again replaces the model. */
rec_status sq_copy_fit(sq_copy *m, const split *s, rec_run *run, rec_err *err);
/* What the copy may know of a user: rows of PART_TRAIN and PART_PROFILE. On any thread. */
rec_status sq_copy_profile(const sq_copy *m, const rec_key *user, sq_profile *out,
                           rec_err *err);

/* ---- sq_gate_fit.c: weights of a hybrid's members ---------------------------------------------- */

/* Fits the members (again and again, with less than all rows), and leaves them so. within: what may be looked at;
 * NULL = every row. items: gate=learned. */
rec_status sq_gate_fit(sq_copy *m, const split *within, hybrid_gate *out,
                       sq_gate_items *items, rec_run *run, rec_err *err);

/* ---- sq_eval_options.c --------------------------------------------------------------------------- */

typedef enum {
    EVAL_RECALL,
    EVAL_NDCG,
    EVAL_MAP,
    EVAL_MRR,
    EVAL_HIT,
    EVAL_PRECISION,
    EVAL_NOVELTY,
    EVAL_LIFT,
    EVAL_DIVERSITY,
    EVAL_SERENDIPITY,
    EVAL_CALIBRATION,
    EVAL_COVERAGE,
    EVAL_GINI,
    EVAL_AUC,
    EVAL_RMSE,
    EVAL_N
} eval_metric;
extern const char *const eval_names[EVAL_N];

#define EVAL_MAX_K 8 /* cuts */
typedef enum { BUCKET_NONE, BUCKET_HISTORY, BUCKET_ITEM, BUCKET_AGE } eval_bucket;
/* The relevant items in groups: by how many users had them in training, or by days since the first did. */
#define EVAL_MAX_GROUPS 8
typedef struct eval_options {
    split_spec split;
    char *table;                         /* owned; SPLIT_TABLE */
    size_t k[EVAL_MAX_K];                /* ascending */
    size_t n_k, n_times;                 /* n_times: of the bootstrap */
    bool wants[EVAL_N], is_chosen;       /* is_chosen: metrics were named */
    bool is_min, is_unmasked, is_staged; /* is_staged: "stage": "candidates" */
    eval_bucket bucket;
    double level, relevance; /* relevance: value from which on, NaN = by default */
    size_t most_users;       /* 0 = all */
} eval_options;
/* text: JSON or NULL. Clear with eval_options_clear. */
rec_status eval_options_read(const char *function, const char *text, eval_options *out,
                             rec_err *err);
/* "ndcg@10", "rmse": the only metric, one of accuracy; without @ the cut stays. */
rec_status eval_metric_read(const char *function, const char *text, eval_options *out,
                            rec_err *err);
void eval_options_clear(eval_options *o);

/* ---- sq_evaluate.c -------------------------------------------------------------------------------- */

typedef struct eval_task { /* who is asked about what */
    const eval_options *options;
    sq_conn *c;
    sq_copy *base; /* borrowed */
    split split;   /* owned */
    dataset
        test; /* owned; what they did, in numbers of base; users beyond base->n_users from a table */
    double threshold; /* NaN: any positive weight */
    uint32_t *user;   /* [n_users] owned; who has relevant test items, or values */
    size_t *ptr;      /* [n_users+1] owned; relevant items of each, ascending */
    uint32_t *item;   /* owned */
    size_t n_users, n_outside;
    uint32_t *degree;  /* [n_items] owned; users who had it in training */
    size_t *who_ptr;   /* owned; [n_items+1] those users, ascending */
    uint32_t *who;     /* owned */
    uint32_t *history; /* [n_users] owned; pairs before the test */
    uint32_t *popular; /* owned; items by falling degree */
    uint8_t *group;    /* [n_items] owned: BUCKET_ITEM, BUCKET_AGE: 1..; else NULL */
    size_t n_groups;
    size_t n_learned; /* users that are learned from */
} eval_task;
rec_status eval_task_init(eval_task *t, sq_conn *c, sq_copy *base,
                          const eval_options *o, rec_run *run, rec_err *err);
void eval_task_clear(eval_task *t);
/* "item 1-4", "age 30-89 days" */
const char *eval_group_name(const eval_task *t, size_t group);

typedef struct eval_table { /* one model's figures */
    metrics_table table;    /* cell owned */
    eval_metric *metric;    /* [n_metric] owned */
    metrics_form *form;     /* [n_metric] owned */
    size_t *k;              /* [n_metric] owned; 0 = none */
    double *whole;          /* [n_metric] owned; of all lists together; NaN elsewhere */
    uint8_t *group; /* [n_metric] owned; relevant items of that group alone; 0: all */
    uint32_t *
        rank; /* owned; of each relevant item of the task in its user's list, 0: not there; NULL unless is_staged */
    double seconds; /* of making the lists */
} eval_table;
/* Fits the copy to the split and asks it for the lists of all users. */
rec_status eval_run(const eval_task *t, sq_copy *m, eval_table *out, rec_run *run,
                    rec_err *err);
/* The same of a copy that is fitted, or whose view is one that is stored. */
rec_status eval_ask(const eval_task *t, sq_copy *m, eval_table *out, rec_run *run,
                    rec_err *err);
/* The one figure of a table that has one, so that more is better. NaN if nobody counts. */
rec_status eval_goodness(const eval_task *t, const eval_table *of, double *out,
                         size_t *n_users, rec_run *run, rec_err *err);
void eval_table_clear(eval_table *t);
/* ---- sq_keep.c: is a new model as good as the one that is stored? ----------------------------------- */

typedef struct sq_verdict {
    double before, now; /* more is better; NaN if nobody could be asked */
    size_t n_users;
    bool is_worse; /* or nobody could be asked */
} sq_verdict;
/* metric: "ndcg@10". A model that is not trained yet is no better than any. */
rec_status sq_keep_check(sq_conn *c, const char *schema, const char *name,
                         const char *metric, rec_run *run, sq_verdict *out,
                         rec_err *err);

/* ---- sq_evaluate.c, in words ------------------------------------------------------------------------- */

/* The columns that say how it was done. */
void eval_split_text(const eval_task *t, char *out, size_t cap);
void eval_relevance_text(const eval_task *t, char *out, size_t cap);
const char *eval_denominator(const eval_options *o, eval_metric m);

#endif
