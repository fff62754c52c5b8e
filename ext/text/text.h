/* text.h - words, catalogues and requests. No SQLite, no JSON, no network.
 *
 *     tokenize    UTF-8 text -> folded word stems                       tokenize.c, stem.c
 *     dict        strings <-> numbers, with spelling search              dict.c
 *     corpus      documents -> term dictionary and counts               tfidf.c
 *     lsa         TF-IDF + randomised SVD: text -> vector                lsa.c
 *     catalog     the items as they are now: keys, titles, facets        spec.c, catalog.c
 *     vocabulary  phrases -> facet values, roles of facets               vocabulary.c
 *     titles      titles as typed -> items                               titles.c
 *     facets      filters over the catalogue                             facets.c
 *     query       a sentence -> structured request (rules, no model)     query*.c
 */
#ifndef REC_TEXT_H
#define REC_TEXT_H

#include "../core/core.h"
#include "../index/index.h"

/* ---- tokenize.c ------------------------------------------------------------------ */

#define UTF8_BAD UINT32_MAX
/* Character at s[*at], *at < n; *at moves past it. A byte that is not valid UTF-8 is UTF8_BAD. */
uint32_t utf8_next(const char *s, size_t n, size_t *at);
size_t utf8_put(char *out, uint32_t c); /* writes 1..4 bytes, returns how many */

#define TOKEN_MAX_BYTES 64
typedef struct token {
    char text[TOKEN_MAX_BYTES +
              1]; /* folded: lower case, accents removed (Latin), stemmed if asked */
    uint16_t n_text;
    size_t begin, end;       /* bytes of the original word in the input */
    bool is_number, is_stop; /* English stop word */
    bool after_break;        /* a sentence or clause mark stands before it */
} token;
typedef struct tokenizer {
    const char *s; /* borrowed, need not be valid UTF-8 */
    size_t n, at;
    bool stem, internal_break;
} tokenizer;
void tokenizer_start(tokenizer *t, const char *s, size_t n, bool stem);
/* Next word: letters and digits of any script (CJK: one character a token); an apostrophe
 * inside a word is dropped ("director's" -> "director"). Words over TOKEN_MAX_BYTES are cut. */
bool tokenizer_next(tokenizer *t, token *out);
/* Porter2-like English stemmer, in place; leaves words with non-ASCII letters alone. */
size_t stem_english(char *word, size_t n);
/* Lower-case, accent-free copy for comparing names ("Amélie" -> "amelie"): returns length. */
size_t text_fold(char *out, size_t cap, const char *s, size_t n);
bool text_is_stop(const char *word, size_t n);
bool text_in_list(const char *const *sorted, size_t n_list, const char *word, size_t n);
/* Damerau-Levenshtein distance over bytes, at most `limit` (returns limit+1 beyond). */
int text_edit_distance(const char *a, size_t na, const char *b, size_t nb, int limit);

/* ---- dict.c: strings numbered 0..n-1 in order of insertion ----------------------- */

typedef struct dict dict;
dict *dict_new(void);
void dict_free(dict *d);
size_t dict_count(const dict *d);
rec_status dict_add(dict *d, const char *s, size_t nbyte, uint32_t *pos, rec_err *err);
uint32_t dict_find(const dict *d, const char *s,
                   size_t nbyte); /* KEYS_NONE if absent */
/* Borrowed until the next dict_add; NUL-terminated. */
const char *dict_get(const dict *d, uint32_t pos, size_t *nbyte);
size_t dict_nbyte(const dict *d);
/* Prepare dict_near; strings added later are not found by it. */
rec_status dict_index_spelling(dict *d, rec_err *err);
/* Nearest string at an edit distance of 1..limit (limit <= 2; every string at distance 1 is
 * seen, at distance 2 those that one deletion on either side can reach). Ties: the first that
 * was added. KEYS_NONE if there is none; *distance may be NULL. */
uint32_t dict_near(const dict *d, const char *s, size_t nbyte, int limit,
                   int *distance);

/* ---- tfidf.c: corpus ------------------------------------------------------------- */

typedef struct corpus_entry {
    uint32_t term;
    float weight; /* sum of the weights with which the term was added, > 0 */
} corpus_entry;
typedef struct corpus_vectors { /* what a column of the items holds: a vector each */
    mat rows; /* n_docs or fewer x dim; dim 0 until the first vector */
} corpus_vectors;
#define CORPUS_MAX_COLUMNS 8
typedef struct corpus { /* grows document by document; terms are stems; read by lsa.c */
    dict *words, *terms;  /* unstemmed words; stems and features */
    uint32_t *word_term;  /* by word: its stem */
    uint32_t *word_count; /* by word: occurrences */
    uint8_t *is_feature;  /* by term */
    uint32_t *mark;       /* by term: entry where it was last put */
    corpus_entry *entry;  /* documents one after the other */
    size_t *doc_start;    /* n_docs + 1, into entry */
    size_t n_docs, n_entry;
    size_t cap_word_term, cap_word_count, cap_feature, cap_mark, cap_entry, cap_doc;
    /* For embedders that are not made of terms (embed.h); set before the first document. */
    bool keeps_text, has_no_terms;
    bytes_writer text; /* of all documents, one after the other */
    size_t *text_end;  /* [n_docs] owned; NULL without keeps_text */
    size_t cap_text_end;
    corpus_vectors column[CORPUS_MAX_COLUMNS]; /* in the order of embed_columns */
    uint64_t
        column_print; /* not 0: column 0 holds another model's vectors, and which */
} corpus;
corpus *corpus_new(void);
void corpus_free(corpus *c);
/* Add text to document `doc` (may be called several times for one document; ascending doc). */
rec_status corpus_add(corpus *c, uint32_t doc, const char *text, size_t nbyte,
                      float weight, rec_err *err);
/* Add one whole feature such as "genres=comedy" to a document, not tokenised. */
rec_status corpus_add_feature(corpus *c, uint32_t doc, const char *name, size_t nbyte,
                              float weight, rec_err *err);
/* The vector that the item has in a column: finite numbers, as many as all others there. */
rec_status corpus_add_vector(corpus *c, size_t column, uint32_t doc, const float *v,
                             uint32_t dim, rec_err *err);
const char *corpus_text(const corpus *c, size_t doc,
                        size_t *nbyte); /* with keeps_text */
bool corpus_is_content(const token *t); /* is the (unstemmed) token a term? */
size_t corpus_n_docs(const corpus *c);
size_t corpus_n_terms(const corpus *c);

/* ---- lsa.c: the embedded embedder ------------------------------------------------ */

#define LSA_MIN_DIM     2
#define LSA_MAX_DIM     1024
#define LSA_DEFAULT_DIM 256
#define LSA_MIN_DF      2
#define LSA_MAX_TERMS   131072 /* features first, then words by document frequency */
typedef struct lsa lsa;        /* vocabulary, idf, term vectors */
typedef struct lsa_args {
    uint32_t dim; /* wanted; cut to what the data allow */
    uint64_t seed;
    uint32_t min_df; /* terms in fewer documents are dropped (features are kept) */
    float max_df;    /* share of documents above which a term is dropped, (0,1] */
} lsa_args;
/* Fit on a corpus: TF-IDF (1+log tf) * idf, unit rows, truncated SVD. docs: n_docs x dim unit
 * document vectors (zero for empty documents), initialised here. */
rec_status lsa_fit(const corpus *c, const lsa_args *args, lsa **out, mat *docs,
                   rec_run *run, rec_err *err);
uint32_t lsa_dim(const lsa *l);
size_t lsa_n_terms(const lsa *l); /* terms are numbered 0..n-1 */
size_t lsa_nbyte(const lsa *l);   /* memory held, about */
/* Fold any corpus document / text into the space: out[dim], unit length; false if no term is
 * known (out is zero). Text, features and documents go through the same vocabulary. */
bool lsa_embed(const lsa *l, const char *text, size_t nbyte, float *out);
bool lsa_knows(const lsa *l, const char *text, size_t nbyte); /* a word of it */
rec_status lsa_embed_corpus(const lsa *l, const corpus *c, mat *docs, rec_err *err);
/* Words (no features, no numbers) nearest to a vector, best first: writes up to k <=
 * LSA_MAX_NEAR term numbers; returns how many. */
#define LSA_MAX_NEAR 64
size_t lsa_near_terms(const lsa *l, const float *v, size_t k, uint32_t *term,
                      float *score);
const char *lsa_term(const lsa *l, uint32_t term, size_t *nbyte); /* stem or feature */
const char *lsa_surface(const lsa *l, uint32_t term,
                        size_t *nbyte); /* most common full word */
bool lsa_term_is_feature(const lsa *l, uint32_t term);
uint32_t lsa_find_term(const lsa *l, const char *stem,
                       size_t nbyte); /* KEYS_NONE if unknown */
float lsa_idf(const lsa *l, uint32_t term);
uint32_t lsa_df(const lsa *l, uint32_t term); /* documents that have it */
const float *lsa_term_vector(const lsa *l, uint32_t term);
void lsa_free(lsa *l);
void lsa_write(const lsa *l, bytes_writer *w);
rec_status lsa_read(bytes_reader *r, lsa **out, rec_err *err);

/* ---- related.c: words of the items that a request is about ----------------------- */

typedef struct term_share { /* of an item's vector */
    uint32_t term;
    float share;
} term_share;
typedef struct doc_terms { /* borrowed: the heaviest terms of each item */
    const size_t *ptr;     /* [n_docs + 1] */
    const term_share *term;
    size_t n_docs;
} doc_terms;
typedef struct related related; /* inverted lists */
/* What a request is read with, all borrowed; NULL where there is none. */
typedef struct text_space {
    const lsa *l;
    const related *near; /* made of docs, or of an earlier state of them */
    doc_terms docs;
} text_space;
rec_status related_new(const doc_terms *docs, const lsa *l, related **out,
                       rec_err *err);
void related_free(related *r);
size_t related_nbyte(const related *r);
/* Up to k words of the items that have the words of the request (term numbers; they are sorted in place), the
 * best first. Returns how many; 0 also without memory. */
size_t related_terms(const text_space *s, uint32_t *word, size_t n_word, size_t k,
                     uint32_t *term, float *score);

/* ---- catalog.c: the items as they are now ---------------------------------------- */

typedef enum { FACET_NUMBER, FACET_TEXT, FACET_MULTI, FACET_PATH } facet_type;
#define CATALOG_MAX_FACETS 32
#define FACET_MAX_VALUE    512 /* bytes of a text value; longer ones are cut */
typedef struct facet_spec {    /* from facets='genres[|], year, category[>]' */
    char name[64];
    char sep[8]; /* "" none; "|" ...; ">" means a path */
    bool is_path;
} facet_spec;
/* Parse the option text; column names and separators only. */
rec_status facet_parse(const char *text, facet_spec *out, size_t *n, rec_err *err);
/* Calls fn for every value of a text cell: the elements of a JSON array of strings, the parts
 * between separators, or a path with all its ancestors ("a>b>c": a, a>b, a>b>c). Values are
 * trimmed, never empty. Returns whether it was an array. The first failure stops it. */
typedef rec_status (*facet_value_fn)(void *ctx, const char *value, size_t nbyte,
                                     rec_err *err);
rec_status facet_split(const facet_spec *spec, const char *text, size_t nbyte,
                       bool *is_array, facet_value_fn fn, void *ctx, rec_err *err);
/* How values are compared: folded, spaces collapsed, no spaces around the > of a path.
 * out[FACET_MAX_VALUE]; returns the length. */
size_t facet_fold(char *out, const char *s, size_t n);
/* A number that is the whole text (spaces around it allowed). */
bool text_whole_number(const char *s, size_t n, double *out);

/* Items numbered 0..n-1 in the order in which they were added; built in one pass, then read
 * only. Facet values of text facets are interned: value number -> text, with counts. */
typedef struct catalog catalog;
typedef struct title_index title_index;
typedef struct vocabulary vocabulary;
catalog *catalog_new(const facet_spec *spec, size_t n_facets);
catalog *catalog_ref(catalog *c); /* one more owner */
void catalog_free(catalog *c);    /* the last owner frees it */
/* Adds an item and returns its number; a repeated key is ignored (*pos is the first's). Facet
 * cells: NULL, number, or text ("Comedy|Drama", a JSON array of strings, or a path). */
rec_status catalog_add(catalog *c, const rec_key *key, const char *title,
                       size_t n_title, const cell *facets, uint32_t *pos, rec_err *err);
rec_status catalog_finish(catalog *c,
                          rec_err *err); /* types, vocabulary, counts, title index */
size_t catalog_n_items(const catalog *c);
uint32_t catalog_find(const catalog *c, const rec_key *key); /* KEYS_NONE if absent */
rec_key catalog_key(const catalog *c, uint32_t item);
const char *catalog_title(const catalog *c, uint32_t item,
                          size_t *nbyte); /* NULL if none */
size_t catalog_nbyte(const catalog *c);
size_t catalog_n_facets(const catalog *c);
const char *facet_name(const catalog *c, size_t facet);
int facet_find(const catalog *c, const char *name,
               size_t nbyte); /* -1 if there is none */
facet_type facet_kind(const catalog *c, size_t facet);
size_t facet_n_values(const catalog *c, size_t facet); /* text kinds */
const char *facet_value(const catalog *c, size_t facet, uint32_t value, size_t *nbyte);
/* Mark (set to 1) the values of a text facet that equal s when folded; returns how many. */
size_t facet_mark_equal(const catalog *c, size_t facet, const char *s, size_t nbyte,
                        uint8_t *mark);
size_t facet_value_count(const catalog *c, size_t facet,
                         uint32_t value); /* items that have it */
void facet_range(const catalog *c, size_t facet, double *min,
                 double *max); /* numbers */
/* Values of an item: text kinds give value numbers (paths: with all ancestors). */
size_t facet_item_values(const catalog *c, size_t facet, uint32_t item,
                         const uint32_t **values);
bool facet_item_number(const catalog *c, size_t facet, uint32_t item,
                       double *out);                    /* false: NULL */
const title_index *catalog_titles(const catalog *c);    /* NULL until catalog_finish */
const vocabulary *catalog_vocabulary(const catalog *c); /* NULL until catalog_finish */

/* ---- titles.c: titles as somebody would type them -------------------------------- */

#define TITLE_MAX_WORDS 24
typedef struct title_key { /* zero-filled, then title_key_add word by word */
    char text[200];
    size_t n, n_words;
    bool is_full,
        has_article; /* too long to be a key; a leading article was left out */
} title_key;
void title_key_add(title_key *k, const char *word,
                   size_t n); /* word: folded, not stemmed */
rec_status titles_build(const catalog *c, title_index **out, rec_err *err);
void titles_free(title_index *x);
size_t titles_nbyte(const title_index *x);
uint32_t titles_key(const title_index *x,
                    const title_key *k); /* exact; KEYS_NONE if absent */
/* Most similar key by spelling and words; score 0..1, 1 = the same words. */
uint32_t titles_fuzzy(const title_index *x, const title_key *k, double *score);
/* Items that have the key, ascending, full titles before short forms ("Star Wars" for "Star
 * Wars: Episode IV"); is_short: even the first is a short form. */
size_t titles_items(const title_index *x, uint32_t key, const uint32_t **items,
                    bool *is_short);
bool titles_has_word(const title_index *x, const char *word, size_t n);

/* ---- vocabulary.c, synonyms.c: which phrase names which value -------------------- */

typedef enum {
    ROLE_NONE,
    ROLE_YEAR,
    ROLE_PRICE,
    ROLE_RATING,
    ROLE_RUNTIME,
    ROLE_PAGES,
    ROLE_AGE,
    ROLE_STOCK,
    ROLE_FLAG /* numbers 0 and 1 */,
    ROLE_LANGUAGE,
    ROLE_COUNTRY,
    ROLE_PERSON,
    ROLE_KIND,
    ROLE_BRAND,
    ROLE_COLOUR
} facet_role;
typedef enum { /* best first */
               VOCAB_NAME,
               VOCAB_LEAF,
               VOCAB_PART,
               VOCAB_SYNONYM,
               VOCAB_SURNAME,
               VOCAB_N_RANKS
} vocab_rank;
typedef struct vocab_entry {
    uint32_t value;
    uint16_t facet;
    uint8_t rank; /* vocab_rank */
} vocab_entry;
#define VOCAB_MAX_WORDS    6
#define VOCAB_MAX_ENTRIES  32 /* values of one phrase */
#define VOCAB_MIN_SPELLING 5
typedef struct vocab_phrase {   /* zero-filled, then word by word */
    char light[160], full[160]; /* plural endings off; full stems behind a mark */
    size_t n_light, n_full, n_words, n_content;
    bool is_full;
} vocab_phrase;
void vocab_phrase_add(vocab_phrase *p, const token *t); /* t unstemmed */
size_t word_singular(char *w, size_t n); /* in place; may write up to 8 bytes */
extern const char
    *const text_synonyms[]; /* NULL-terminated; synonyms.c tells the form */
rec_status vocabulary_build(const catalog *c, vocabulary **out, rec_err *err);
void vocabulary_free(vocabulary *v);
size_t vocabulary_nbyte(const vocabulary *v);
facet_role vocabulary_role(const vocabulary *v, size_t facet);
/* Entries of a phrase, best rank first (borrowed); returns how many. */
size_t vocabulary_find(const vocabulary *v, const char *phrase, size_t n,
                       const vocab_entry **e);
size_t vocabulary_match(const vocabulary *v, const vocab_phrase *p,
                        const vocab_entry **e);
/* The same for a misspelt phrase: same first letter, distance 1 (2 from 8 letters on). */
size_t vocabulary_near(const vocabulary *v, const char *phrase, size_t n,
                       const vocab_entry **e);

/* ---- facets.c: filters (SQL.md section 5) ---------------------------------------- */

/* One condition on one facet. Text: any / all / none lists of values; number: min, max, and
 * any / none as numbers. */
typedef struct facet_cond {
    char name[64];
    char **any, **all, **none; /* owned text values (numbers as decimal text) */
    size_t n_any, n_all, n_none;
    bool has_min, has_max;
    double min, max; /* inclusive */
} facet_cond;
typedef struct filters {
    facet_cond *cond; /* owned */
    size_t n_cond;
} filters;
void facet_cond_clear(facet_cond *c);
void filters_clear(filters *f);
facet_cond *filters_at(filters *f, const char *name,
                       rec_err *err); /* found or added; NULL on OOM */
rec_status facet_cond_add(facet_cond *c, char which /* 'a' any, 'l' all, 'n' none */,
                          const char *value, size_t nbyte, rec_err *err);
/* Clear the bits of items that fail. A NULL facet fails any, all, min, max and passes none.
 * An unknown facet name is REC_RANGE and names the facets there are. */
rec_status filters_apply(const filters *f, const catalog *c, bitmap *items,
                         rec_err *err);
/* One record against the filters without a catalogue (rec_match): value of facet `name`. */
typedef bool (*filters_lookup)(void *ctx, const char *name, cell *out);
bool filters_match(const filters *f, filters_lookup lookup, void *ctx,
                   const facet_spec *spec, size_t n_spec);

/* ---- query.c: a sentence -> a request -------------------------------------------- */

typedef enum {
    INTENT_TRANSACTIONAL,
    INTENT_INFORMATIONAL,
    INTENT_NAVIGATIONAL,
    INTENT_CHITCHAT
} query_intent;
const char *query_intent_name(query_intent i);
typedef struct text_list {
    char **a; /* owned */
    size_t n;
} text_list;
rec_status text_list_add(text_list *l, const char *s, size_t nbyte, rec_err *err);
void text_list_clear(text_list *l);
#define QUERY_MAX_REVISIONS 8
typedef struct query_revision { /* of an earlier request; no part of the object */
    size_t facet;
    int direction; /* -1 lower, 1 higher, 0 dropped */
} query_revision;
typedef struct query_request { /* the object of SQL.md section 5 */
    char *query;               /* owned: what is left to search for */
    text_list expansions, exclude;
    query_intent intent;
    filters filters;
    uint32_t *like_items; /* owned: item numbers of the catalogue */
    size_t n_like;
    uint32_t *dislike_items; /* owned: "nothing like Shrek"; no part of the object */
    size_t n_dislike;
    query_revision revision[QUERY_MAX_REVISIONS];
    size_t n_revision;
    double confidence; /* 0..1 */
    bool needs_clarification;
    char *question; /* owned or NULL */
} query_request;
void query_request_clear(query_request *q);
/* The rules: numbers, ranges, decades, negation, titles, facet values, intent. Every value is
 * in the catalogue's vocabulary, every number follows from the text. catalog and space may be
 * NULL (then there are no filters / no expansions). */
rec_status query_parse(const char *text, size_t nbyte, const catalog *c,
                       const text_space *s, query_request *out, rec_err *err);
/* Change a condition of the earlier request: lower or higher than its bounds, or none left (lists are the
 * caller's). is_whole: the facet counts in whole steps (years). */
void query_revise_cond(const query_revision *r, bool is_whole, facet_cond *old);
/* Titles that the text names, longest first: item numbers and the bytes that name them. */
typedef struct title_hit {
    uint32_t item;
    size_t begin, end;
    double score; /* 1 = verbatim */
} title_hit;
rec_status query_find_titles(const char *text, size_t nbyte, const catalog *c,
                             title_hit *out, size_t cap, size_t *n, rec_err *err);

#endif
