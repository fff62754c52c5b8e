/* converse.h - what the files of the conversation share with each other, and with fn_converse.c.
 *
 *     state JSON --converse_state.c--> talk --converse_hear.c--> talk with what was said
 *                                              |
 *                     scores of the host --converse_belief.c--> belief over live items
 *                                              |
 *                          converse_ask.c: the question that tells most
 *                                              |
 *                          converse_say.c: words; converse.c: the turn and its JSON
 */
#ifndef REC_CONVERSE_H
#define REC_CONVERSE_H

#include "llm.h"

#define CONVERSE_MAX_STATE     ((size_t)1 << 20)
#define CONVERSE_MAX_UTTERANCE ((size_t)64 << 10)
#define CONVERSE_MAX_SAID      256
#define CONVERSE_MAX_ITEMS     20000 /* shown, rejected: of one session */
#define CONVERSE_MAX_ASKED     128
#define CONVERSE_MAX_OPTIONS   10
#define CONVERSE_MIN_K         1
#define CONVERSE_MAX_K         100
#define CONVERSE_DEFAULT_K     10
#define CONVERSE_MAX_TURNS     100000

/* ---- what was said --------------------------------------------------------------------------- */

typedef enum { SAID_VALUE, SAID_RANGE, SAID_WORD, SAID_ITEM } said_kind;
/* weight: the sign is like or dislike; an item that does not fit keeps 10^(-2|weight|) of its belief. */
typedef struct said {
    said_kind kind;
    int facet;       /* value, range: number in the catalogue */
    char *value;     /* owned: value, word */
    double min, max; /* range; infinite where open */
    uint32_t item;   /* item */
    double weight;   /* -1..1 */
    int group;       /* equal groups are alternatives */
    bool is_answer;  /* to a question: soft; else the reader's own demand */
} said;

typedef enum { ASK_NONE, ASK_FACET, ASK_WORDS, ASK_PAIR, ASK_RELAX } ask_kind;
typedef struct ask_option {
    char *value; /* owned */
    size_t count;
    double min, max; /* of a numeric facet */
    uint32_t item;   /* of a pair */
} ask_option;
typedef struct ask {
    ask_kind kind;
    int facet; /* facet: its number; relax: that of the constraint, or -1 */
    int group; /* relax: what to give up */
    ask_option option[CONVERSE_MAX_OPTIONS];
    size_t n;
    double gain; /* bits */
} ask;
void ask_clear(ask *a);

typedef struct item_list { /* catalogue numbers, each once */
    uint32_t *a;           /* owned */
    size_t n, cap;
} item_list;
bool item_list_has(const item_list *l, uint32_t item);
rec_status item_list_add(item_list *l, uint32_t item, rec_err *err);
void item_list_remove(item_list *l, uint32_t item);

typedef struct talk { /* a state in memory; zero-filled is safe to clear */
    int turn;
    said *said; /* owned */
    size_t n_said, cap_said;
    item_list shown, rejected, liked, disliked;
    item_list last;  /* the list shown last, in its order */
    text_list asked; /* "facet:genres", "word:robot" */
    ask pending;
    json *
        given; /* owned: user, filters, k, llm as the first state carried them; or NULL */
} talk;
void talk_clear(talk *t);
/* Forget what was said; what was shown or rejected stays out of sight. */
void talk_start_over(talk *t);
/* Takes s.value. The newer word on a thing replaces the older. */
rec_status talk_say(talk *t, said s, rec_err *err);
void talk_unsay(talk *t, size_t i);
/* Drop what was said on a facet. Returns how many. */
size_t talk_unsay_facet(talk *t, int facet);
int talk_new_group(const talk *t);
rec_status talk_mark_asked(talk *t, const char *what, const char *name, rec_err *err);
bool talk_was_asked(const talk *t, const char *what, const char *name);

rec_status talk_from_json(const char *text, size_t nbyte, const char *model,
                          const catalog *c, talk *out, rec_err *err);
json *talk_to_json(const talk *t, const char *model, const catalog *c); /* NULL: OOM */
json *catalog_key_json(const catalog *c, uint32_t item);

/* ---- the turn ----------------------------------------------------------------------------------- */

/* What the host does for the engine; item numbers are those of the catalogue. */
typedef struct converse_host {
    void *ctx;
    /* out[n_items]: a score an item, for the user and what they like and ask for in words. */
    rec_status (*prior)(void *ctx, const query_request *q, float *out, rec_err *err);
    /* Items that may be shown: rules, filters of the caller, not consumed. */
    rec_status (*allowed)(void *ctx, bitmap *out, rec_err *err);
    /* Likeness to one item, NaN where unknown. */
    rec_status (*similar)(void *ctx, uint32_t item, float *out, rec_err *err);
    /* One sentence of claims that hold, owned. */
    rec_status (*reason)(void *ctx, uint32_t item, char **out, rec_err *err);
    const uint32_t
        *doc; /* [n_items]: row in language.docs, or KEYS_NONE; NULL: no words */
} converse_host;

typedef struct converse_args {
    llm_session *s;
    const llm_config *config; /* NULL: builtin wording */
    bool in_transaction;
    const llm_context *ctx; /* items are needed */
    const char *model;      /* its name, for the state */
    const filters *fixed;   /* the caller's: never asked about; may be NULL */
    const char *utterance;  /* may be NULL */
    size_t n_utterance;
    size_t k;
} converse_args;
/* One turn; *t is the state before and after. *out: the answer of SQL.md section 5, owned. */
rec_status converse_turn(const converse_args *a, const converse_host *host, talk *t,
                         char **out, rec_err *err);

/* ---- converse_hear.c ------------------------------------------------------------------------------ */

typedef struct heard { /* what this utterance was, besides what it said */
    bool is_chitchat, is_start_over, is_reject, is_stop_asking, is_unsure, changed;
    bool relaxed;               /* a constraint was given up */
    uint32_t about;             /* a question about this shown item, or KEYS_NONE */
    int about_facet;            /* ... about this facet of it, or -1 */
    uint32_t chosen;            /* "I'll take the second one", or KEYS_NONE */
    bool is_thanks;             /* chitchat that ends things */
    bool is_question_elsewhere; /* about something that was not shown */
} heard;
rec_status converse_hear(const converse_args *a, const converse_host *host, talk *t,
                         heard *h, rec_err *err);

/* ---- converse_answer.c: the inside of hearing ------------------------------------------------- */

#define WEIGHT_DEMAND 0.8
#define WEIGHT_DENIAL 1.0
#define WEIGHT_ANSWER 0.6
#define WEIGHT_WORD   0.5
#define WEIGHT_LIKE   0.7
/* Against options that were offered and not named. */
#define WEIGHT_UNPICKED_VALUE 0.2
#define WEIGHT_UNPICKED_WORD  0.2
#define WEIGHT_NONE           0.35 /* "none of these" */
typedef struct hearing {
    const converse_args *a;
    const converse_host *host;
    talk *t;
    heard *h;
    const char *text; /* one sentence */
    size_t nbyte;
    char *words; /* owned: " not that one " */
    bool is_picked[CONVERSE_MAX_OPTIONS], is_denied[CONVERSE_MAX_OPTIONS];
    bool answered;
    bool is_starved; /* an allocation failed where no status is returned */
    rec_err *err;
} hearing;

/* Words folded, one blank between and around. Owned. */
char *hearing_words(const char *s, size_t n);
bool hearing_has(const hearing *x, const char *phrase),
    hearing_has_any(const hearing *x, const char *const *list, size_t n);
#define HAS_ANY(x, list) hearing_has_any(x, list, sizeof(list) / sizeof(list)[0])
rec_status hearing_say_text(hearing *x, said_kind kind, int facet, const char *value,
                            double weight, int group, bool is_answer);
rec_status hearing_say_range(hearing *x, int facet, double min, double max,
                             double weight, int group, bool is_answer);
rec_status hearing_say_item(hearing *x, uint32_t item, double weight);
/* Options that the sentence names; values that were not offered; a number; what was not named. */
rec_status hear_options(hearing *x);
rec_status hear_values(hearing *x);
rec_status hear_number(hearing *x);
rec_status hear_unpicked(hearing *x, double factor);
rec_status hear_give_up(hearing *x, bool *is_done);

/* ---- converse_belief.c ------------------------------------------------------------------------------ */

typedef struct belief {
    size_t n;
    float *p;       /* [n] owned: sums to 1 over live items, 0 elsewhere */
    bitmap allowed; /* by the host */
    size_t n_live;
    size_t n_fit;      /* live items that fail no demand of the reader */
    int give_up;       /* n_fit 0: the group whose removal opens most, or -1 */
    size_t give_opens; /* ... how many items that opens */
} belief;
rec_status belief_make(const converse_args *a, const converse_host *host, const talk *t,
                       belief *out, rec_err *err);
void belief_clear(belief *b);
/* Does the text value stand in the item's facet? */
bool item_has_value(const catalog *c, int facet, uint32_t item, const char *value);
/* Does the item have the word (a surface form) among its heaviest? */
bool item_has_term(const converse_args *a, const converse_host *host, uint32_t item,
                   uint32_t term);
uint32_t word_term(const converse_args *a, const char *word, size_t n);

/* ---- converse_ask.c ----------------------------------------------------------------------------------- */

rec_status converse_ask(const converse_args *a, const converse_host *host,
                        const talk *t, const belief *b, ask *out, rec_err *err);

/* ---- converse_say.c ----------------------------------------------------------------------------------- */

typedef struct saying {
    char *reply, *question; /* owned; question NULL: none */
} saying;
rec_status converse_say(const converse_args *a, const converse_host *host,
                        const talk *t, const heard *h, const belief *b, const ask *q,
                        const uint32_t *item, size_t n_item, saying *out, rec_err *err);
/* "up to 1959", "1990-1999": words of a range. */
void range_words(double min, double max, char *out, size_t cap);
void facet_words(const catalog *c, int facet, char *out,
                 size_t cap); /* "in_stock" -> "in stock" */

#endif
