/* embed.h - texts and items as vectors, whoever makes them.
 *
 *     embed         the table of embedders; embedder='lsa(256), column(image):0.5'   embed.c
 *     embed_lsa     the catalogue's own words: TF-IDF and an SVD                     embed_lsa.c
 *     embed_static  a table of token vectors out of a file, averaged                 embed_static.c
 *     embed_llm     any server that answers /v1/embeddings                           embed_llm.c
 *     embed_column  vectors that the items already have                              embed_column.c
 *     wordpiece     text -> tokens of somebody else's vocabulary                     wordpiece.c
 *
 * An embedder is one file with one embedder_ops, and one line in the table of embed.c. It is fitted once to
 * all items, and afterwards turns items and sentences into vectors of one space. What lies outside (files, the
 * network) is reached through embed_env alone, which the host fills in: nothing here opens or sends anything.
 */
#ifndef REC_EMBED_H
#define REC_EMBED_H

#include "text.h"

#define EMBED_MAX_PARTS  8
#define EMBED_MAX_ARG    512 /* bytes of what stands in the brackets */
#define EMBED_MIN_WEIGHT 1e-3
#define EMBED_MAX_WEIGHT 1e3

typedef struct embedder_ops embedder_ops;
typedef struct embedder { /* first member of every embedder's own struct */
    const embedder_ops *ops;
} embedder;

typedef struct embed_part {
    const embedder_ops *ops;
    char arg[EMBED_MAX_ARG]; /* unquoted */
    uint32_t dim;            /* lsa(256): 256; else 0 */
    size_t column;           /* column(name): its place in corpus.column */
    double weight;
} embed_part;
typedef struct embed_spec { /* a parsed embedder= */
    embed_part part[EMBED_MAX_PARTS];
    size_t n, n_column;
} embed_spec;

/* ---- wordpiece.c, embed_static.c -------------------------------------------------------------- */

typedef struct static_table { /* what a tokenizer.json and a safetensors file say */
    dict *tokens;             /* owned: token -> row */
    float *score; /* owned: [n] log probability of a token; NULL: WordPiece */
    uint8_t
        *is_skipped; /* owned: [n] special tokens, which no text means; NULL: none */
    mat rows;        /* n x dim */
    char prefix[16]; /* of a piece that goes on with a word: "##" */
    bool lower_case; /* fold letters before looking them up */
} static_table;
void static_table_free(static_table *t);
typedef void (*wordpiece_fn)(void *ctx, uint32_t id);
/* Calls fn for the tokens of a text; words that the vocabulary cannot spell are passed over. */
void wordpiece_each(const static_table *t, const char *text, size_t nbyte,
                    wordpiece_fn fn, void *ctx);

/* ---- the world outside --------------------------------------------------------------------------- */

typedef struct embed_ask {
    const char *name;    /* of a row of llm_models */
    const corpus *items; /* all of its texts; NULL: the one below */
    const char *text;
    size_t n_text;
    uint64_t *
        identity; /* which model answers; 0 before the first time: filled in. Another is REC_RANGE */
    rec_run *run;
} embed_ask;
typedef struct embed_env {
    void *ctx;
    rec_status (*open_static)(void *ctx, const char *path, static_table **out,
                              rec_err *err);
    /* rows: initialised here, one a text; a row of zeros: nobody could make a vector of it. */
    rec_status (*ask)(void *ctx, const embed_ask *q, mat *rows, rec_err *err);
} embed_env;

/* ---- the interface ----------------------------------------------------------------------------------- */

enum {
    EMBED_READS_TERMS = 1,  /* terms and features of the corpus */
    EMBED_READS_TEXT = 2,   /* texts as they came */
    EMBED_READS_COLUMN = 4, /* a column of vectors */
    EMBED_OPENS_FILE = 8,
    EMBED_ASKS_SERVER = 16
};
#define EMBED_OUTSIDE (EMBED_OPENS_FILE | EMBED_ASKS_SERVER)

typedef struct embed_fit_args {
    const corpus *items;
    const embed_part *part;
    const lsa_args *words; /* dim aside */
    const embed_env *env;  /* NULL: nothing outside can be reached */
    rec_run *run;
} embed_fit_args;

struct embedder_ops {
    const char *name, *usage;                         /* "lsa", "lsa(2..1024)" */
    unsigned needs;                                   /* EMBED_* */
    rec_status (*parse)(embed_part *p, rec_err *err); /* checks arg */
    /* rows: n_docs x dim, unit length or zero; initialised here. REC_RANGE if no item gets one. */
    rec_status (*fit)(const embed_fit_args *a, embedder **out, mat *rows, rec_err *err);
    uint32_t (*dim)(const embedder *e);
    /* The same for items that came later. What only somebody outside can embed is zero. */
    rec_status (*items)(const embedder *e, const corpus *c, const embed_part *p,
                        mat *rows, rec_err *err);
    /* out[dim]: unit, or zero and *known false. */
    rec_status (*text)(const embedder *e, const embed_env *env, const char *text,
                       size_t nbyte, float *out, bool *known, rec_err *err);
    const lsa *(*language)(const embedder *e); /* NULL if it has no words */
    void (*save)(const embedder *e, bytes_writer *w);
    rec_status (*load)(bytes_reader *r, embedder **out, rec_err *err);
    size_t (*nbyte)(const embedder *e);
    void (*close)(embedder *e);
};
extern const embedder_ops lsa_embedder, static_embedder, llm_embedder, column_embedder;

/* ---- embed.c --------------------------------------------------------------------------------------------- */

/* "lsa(256), static('path'), column(image):0.5" */
rec_status embed_parse(const char *text, embed_spec *out, rec_err *err);
unsigned embed_needs(const embed_spec *s);
/* Columns in the order of corpus.column: names of the i-th; NULL beyond the last. */
const char *embed_column(const embed_spec *s, size_t i);

typedef struct embed_set { /* fitted embedders side by side: one vector */
    embed_part part[EMBED_MAX_PARTS];
    embedder *made[EMBED_MAX_PARTS]; /* owned */
    uint32_t at[EMBED_MAX_PARTS];    /* where the numbers of each begin */
    float scale[EMBED_MAX_PARTS];    /* root of its share of the weights */
    size_t n;
    uint32_t dim;
} embed_set;
/* args->part is set here. items: rows of length 1 (one part) or at most 1; zero: nothing known. */
rec_status embed_set_fit(const embed_spec *s, const embed_fit_args *args,
                         embed_set *out, mat *items, rec_err *err);
rec_status embed_set_items(const embed_set *s, const corpus *c, mat *rows,
                           rec_err *err);
/* out[dim], in the scale of the items. */
rec_status embed_set_text(const embed_set *s, const embed_env *env, const char *text,
                          size_t nbyte, float *out, bool *known, rec_err *err);
/* The words of the first part that has any, and where its numbers stand; NULL: none. */
const lsa *embed_set_language(const embed_set *s, uint32_t *at, float *scale);
bool embed_set_asks(const embed_set *s); /* does a sentence go to a server? */
void embed_set_save(const embed_set *s, bytes_writer *w);
rec_status embed_set_load(bytes_reader *r, embed_set *out, rec_err *err);
size_t embed_set_nbyte(const embed_set *s);
void embed_set_clear(embed_set *s);

#endif
