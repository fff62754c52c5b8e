/* query.h - what the files of the request rules share with each other, and nobody else.
 *
 *     sentence -> words     query_lex.c      words, quotes, currency, number forms
 *              -> English   query_foreign.c   the known words of six more languages
 *              -> titles    query_titles.c   "like X", quoted and capitalised titles
 *              -> numbers   query_amount.c   units, decades, spans
 *                           query_number.c   comparisons, which facet, bounds
 *              -> revise    query_revise.c   "older ones", "any year": changes of the request before
 *              -> not       query_negation.c "no X", "without Y", "anything but Z"
 *              -> values    query_facets.c   facet values, conjunction, flags
 *              -> request   query.c          intent, what is left, confidence, question
 *
 * Each step marks the words that it has used; later steps leave them alone.
 */
#ifndef REC_QUERY_H
#define REC_QUERY_H

#include "text.h"

#define QUERY_MAX_WORDS   256 /* of one request; what follows is not read */
#define AGE_MAX           21  /* years that "from 8 years" and "8+" may mean */
#define QUERY_MAX_TITLES  16  /* that one request can name */
#define QUERY_MAX_SIMILAR 64  /* searches by similarity that one request may cost */

typedef enum {
    USE_FREE,  /* nobody's yet */
    USE_RULE,  /* an operator, a unit, a cue: not searched for */
    USE_FACET, /* names a value that is wanted: may be searched for too */
    USE_VALUE, /* the same, of a facet whose words are of no use to a search (languages) */
    USE_NOT,  /* names what is not wanted */
    USE_TITLE /* part of an item's title */
} word_use;

typedef struct qword {
    token t;         /* unstemmed */
    bool is_capital; /* begins with a capital letter */
    bool is_joined;  /* hyphen or slash, without spaces, to the word before */
    bool is_slash;   /* that was a slash */
    bool is_quoted;
    bool is_negated;                                  /* in the scope of a negation */
    bool has_number, is_decade, is_ordinal, has_plus; /* 90s, 19th, 4+ */
    bool has_currency; /* $, EUR sign ... before or behind */
    double number;
    char unit[8]; /* letters glued to the number: "min", "gb" */
    word_use use;
} qword;

typedef struct query_state {
    const char *text;
    size_t nbyte;
    qword *w; /* owned */
    size_t n;
    const catalog *c; /* NULL: no catalogue */
    const text_space *space;
    const lsa *l; /* of space; NULL: none */
    query_request *out;
    rec_err *err;
    title_hit title[QUERY_MAX_TITLES];
    bool is_disliked[QUERY_MAX_TITLES]; /* beside title: "not like X" */
    size_t n_titles, n_similar;
    double doubt;          /* 0..1: lowers the confidence */
    bool is_title_request; /* the request is a title */
    bool has_bad_range;    /* bounds that contradict each other */
} query_state;

/* query_lex.c */
rec_status query_lex(query_state *q);
bool word_is(const query_state *q, size_t i, const char *word);
/* Number of words that match the pattern ("more than") from i on, 0 = no match. '_' in the
 * pattern matches one word of any kind. */
size_t words_at(const query_state *q, size_t i, const char *pattern);
/* The same for the words that end before i. */
size_t words_before(const query_state *q, size_t i, const char *pattern);
bool word_in(const query_state *q, size_t i, const char *list); /* " a b c " */
bool word_is_generic(const query_state *q, size_t i); /* film, book, something ... */
bool word_is_vague(const query_state *q, size_t i);   /* good, please, recommend ... */
bool word_is_free(const query_state *q, size_t i);
void words_use(query_state *q, size_t i, size_t n, word_use use);
/* Value of the number that begins at word i in figures or words ("two and a half"): how many
 * words, 0 = none. */
size_t number_at(const query_state *q, size_t i, double *out);
facet_role query_role(const query_state *q, size_t facet);
int query_role_find(const query_state *q, facet_role role); /* facet or -1 */
void query_doubt(query_state *q, double d);

/* query_foreign.c: is the sentence in another language? Then its known words are English
 * from here on. */
bool query_translate(query_state *q);

/* query_titles.c */
void query_titles(query_state *q);
/* Does a phrase of facet values begin at word i? How many words, 0 = no. */
size_t query_phrase_at(const query_state *q, size_t i, const vocab_entry **e,
                       size_t *n_entry);
/* query_amount.c */
typedef enum {
    OP_NONE,
    OP_LT,
    OP_LE,
    OP_GT,
    OP_GE,
    OP_EQ,
    OP_ABOUT,
    OP_BETWEEN
} compare_op;

typedef struct amount {
    double lo, hi;
    facet_role role; /* ROLE_NONE: the unit does not tell */
    int facet;       /* >= 0: the unit is a facet's name */
    bool is_decade, is_range, is_hours, has_plus, is_figure;
    bool is_narrowed; /* "early", "late": how early is anybody's guess */
    size_t n;         /* words */
} amount;

/* The amount that begins at word i; returns its words, 0 = none. */
size_t amount_at(const query_state *q, size_t i, amount *a);
/* Extend the amount at i by a connector and a second one ("to 100", "-95"). */
void amount_join(const query_state *q, size_t i, compare_op op, amount *a);
bool amount_is_year(double x);
int amount_facet(const query_state *q,
                 size_t i); /* numeric facet that word i names, or -1 */

/* query_number.c */
rec_status query_numbers(query_state *q);
/* query_revise.c */
rec_status query_revisions(query_state *q);
/* Does word i name a facet or what it holds ("brand", "colour", "genre")? */
bool query_names_facet(query_state *q, size_t i);
/* query_facets.c */
rec_status query_values(query_state *q);
/* query_negation.c */
void query_negation(query_state *q); /* marks is_negated */
rec_status
query_excluded(query_state *q); /* none and exclude from the words so marked */
/* The entries of a phrase that count: one facet, its best rank; moves *e, returns how many. */
size_t query_choose(const query_state *q, const vocab_entry **e, size_t n);
rec_status query_add_value(query_state *q, const vocab_entry *e, char which);

#endif
