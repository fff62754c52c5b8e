/* sq_preferences.h - what users say of their taste, inside layer S.
 *
 *   preferences=my_prefs  --sq_preferences.c-->  wishes of a profile  --> rows of the history, scores, what is allowed
 */
#ifndef REC_SQ_PREFERENCES_H
#define REC_SQ_PREFERENCES_H

#include "sq.h"

typedef enum { WISH_ITEM, WISH_FACET, WISH_WORD } wish_kind;

/* Items that a facet value or a word is about. Kept by the view, made when somebody first asks. */
typedef struct sq_target {
    wish_kind kind;
    char *key, *value; /* owned: facet and its value, or NULL and the word */
    uint32_t *item;    /* owned: [n] ascending, numbers of the view that keeps it */
    float *strength;   /* owned: [n] 0..1 */
    size_t n;
    bool is_ready;
} sq_target;

typedef struct sq_wish {
    const sq_target *target; /* NULL: an item */
    uint32_t item;           /* of the view; KEYS_NONE with a target */
    double weight;           /* -1..1 */
} sq_wish;
struct sq_wishes {       /* of one profile */
    const sq_view *view; /* whose numbers they are in: the one that was asked */
    sq_wish *a;          /* owned */
    size_t n;
};

/* *out: what the tables of the view and of its members say for this user (NULL: nobody); NULL if there is nothing.
 * On the connection's thread. */
rec_status sq_wishes_read(sq_view *v, const rec_key *user, sq_wishes **out,
                          rec_err *err);
void sq_wishes_free(sq_wishes *w); /* NULL is fine */
void sq_preferences_free(struct sq_preferences *p);
/* Items of the wishes as rows of the history, in the numbers of v. */
rec_status sq_wishes_rows(const sq_view *v, const sq_wishes *w, sq_profile *p,
                          rec_err *err);
/* Clear the items that somebody wants never to see. */
void sq_wishes_allow(const sq_wishes *w, bitmap *allowed);
bool sq_wishes_refuse(const sq_wishes *w, uint32_t item);
/* Does anything move scores? Then a list is not what a model alone would give. */
bool sq_wishes_bend(const sq_wishes *w);
rec_status sq_wishes_score(const sq_wishes *w, sq_scores *s, rec_err *err);
/* What the wishes add to the score of one item, given all scores without them: kind "preference". */
rec_status sq_wishes_explain(const sq_wishes *w, const sq_scores *s, uint32_t item,
                             explain_fn fn, void *ctx, rec_err *err);
/* "genres=Drama", a word; owned. */
char *sq_target_text(const sq_target *t, rec_err *err);
/* Is preferences= of the configuration a table that can be read so? */
rec_status sq_preferences_check(const sq_model_cfg *cfg, const sq_columns *t,
                                const char *table, rec_err *err);

#endif
