/* sq.h - layer S: the only code that knows SQLite.
 *
 * One section per .c file:
 *     sq_error     rec_err <-> SQLite codes and messages
 *     sq_value     sqlite3_value <-> cell, key, vector
 *     sq_args      CREATE VIRTUAL TABLE arguments
 *     sq_stmt      nested statements
 *     sq_shadow    shadow tables: names, state row, generations, parts
 *     sq_registry  what one connection holds; interrupts, progress
 *     sq_plan      constraints and predicates shared by the virtual tables
 *     sq_index*, vt_index*   rec_index, with a header of its own: sq_index.h
 *     sq_options   rec_model: the parsed CREATE statement
 *     sq_expr      positive=: an expression from the schema, made safe
 *     sq_source    the user's ordinary tables: columns, rules
 *     sq_catalog   the items as they are now
 *     sq_history   the interactions
 *     sq_tables    which rec_models there are
 *     sq_model     a trained model with the live catalogue: views
 *     sq_profile   what is known of a user
 *     sq_score     scores, explanations, similar items
 *     sq_allowed   rules, requests, rankings
 *     sq_preferences  what users say of their taste: sq_preferences.h
 *     sq_fit       fitting, for a training and for models in memory only (sq_eval.h)
 *     sq_train     training, both ways
 *     sq_check     integrity-check and the other commands of a model
 *     vt_model*    rec_model as a virtual table
 *     tf_*, fn_*, vt_tables  functions, with a header of their own: tf.h
 *
 *   statement --> vt_model / fn_model / vt_tables --> sq_model --> model/ (scores)
 *                      |                                 |
 *                 sq_registry (views kept)          sq_source (history, catalogue)
 *
 * Rules: every sqlite3_* code is looked at; text of nested SQL is built with %w and %Q only;
 * nothing a file, a blob or a model says is trusted; no thread ever touches sqlite3*.
 */
#ifndef REC_SQ_H
#define REC_SQ_H

#include "../core/core.h"
#include "../index/index.h"
#include "../llm/llm.h"
#include "../model/model.h"
#include "../text/text.h"

#include "../vendor/sqlite3ext.h"
#ifndef SQ_ENTRY_POINT
SQLITE_EXTENSION_INIT3
#endif

typedef struct sq_conn sq_conn;

/* ---- sq_error.c ------------------------------------------------------------------------------- */

int sq_code(
    rec_status
        s); /* NOMEM->SQLITE_NOMEM, CORRUPT->SQLITE_CORRUPT_VTAB, INTR->SQLITE_INTERRUPT, else SQLITE_ERROR */
/* A failed nested statement: rc and sqlite3_errmsg become *err; `what` names the object. */
rec_status sq_fail_rc(sqlite3 *db, int rc, const char *what, rec_err *err);
void sq_result_error(sqlite3_context *ctx, const rec_err *err);
int sq_vtab_error(sqlite3_vtab *vtab,
                  const rec_err *err); /* sets zErrMsg, returns the code */
int sq_vtab_destroy_error(sqlite3_vtab *vtab, const rec_err *err); /* in xDestroy */

/* ---- sq_value.c -------------------------------------------------------------------------------- */

cell cell_null(void), cell_int(int64_t i), cell_real(double r), /* NaN gives NULL */
    cell_text(const char *s, size_t n), /* borrowed; NULL gives a NULL cell */
    cell_str(const char *s);
cell sq_cell(sqlite3_value *v);               /* borrowed until the value changes */
cell sq_column_cell(sqlite3_stmt *st, int i); /* borrowed until the next step */
void sq_result_cell(sqlite3_context *ctx, const cell *c); /* copies */
rec_status sq_bind_cell(sqlite3_stmt *st, int i, const cell *c, rec_err *err);
rec_status sq_bind_key(sqlite3_stmt *st, int i, const rec_key *k, rec_err *err);
cell sq_key_cell(const rec_key *k);
typedef enum { AFFINITY_INTEGER, AFFINITY_TEXT } key_affinity;
/* Coerce to the affinity ('42' -> 42, 42.0 -> 42 under INTEGER; 42 -> '42' under TEXT, text in
 * *buf when needed). false: NULL, or no key can equal it. A blob is REC_RANGE. */
bool sq_key(const cell *c, key_affinity a, char buf[32], rec_key *out,
            rec_status *status, rec_err *err);
/* Affinity of a declared type, as SQLite finds it: 'i' integer, 'r' real, 'n' numeric, 't' text, 'b' none. */
char sq_affinity(const char *type);
/* The value as a column of that affinity would store it. Owned: sq_cell_free. */
rec_status sq_value_as(sqlite3_value *v, char affinity, cell *out, rec_err *err);
rec_status sq_cell_copy(const cell *c, cell *out,
                        rec_err *err); /* owned: sq_cell_free */
void sq_cell_free(cell *c);
/* Vector argument: BLOB = little-endian float32, or text = JSON array. *out: float[*dim], owned.
 * want_dim 0 = any. NULL value: *out NULL and REC_OK. `what` starts the message. */
rec_status sq_vector(sqlite3_value *v, uint32_t want_dim, const char *what, float **out,
                     uint32_t *dim, rec_err *err);
/* BLOBs that rec_vector(x, type) made carry SQ_VECTOR_SUBTYPE + type; sq_vector reads them. */
#define SQ_VECTOR_SUBTYPE 0xE0u
vec_type sq_vector_subtype(sqlite3_value *v); /* VEC_F32 for everything else */
rec_status sq_vector_from_bytes(vec_type t, const void *p, size_t nbyte,
                                const char *what, float **out, uint32_t *dim,
                                rec_err *err);

#define SQ_MAX_K 9e15 /* a larger k of a query asks for all rows, as this one does */

/* ---- sq_args.c ---------------------------------------------------------------------------------- */

typedef struct sq_arg {
    char *name;  /* owned; option name, or NULL for a column definition */
    char *value; /* owned; dequoted option value, or the column definition's text */
} sq_arg;
typedef struct sq_args {
    sq_arg *a;
    size_t n;
} sq_args;
/* argv[3..]: `name = value` is an option, anything else a column. Balanced brackets and quotes. */
rec_status sq_args_parse(int argc, const char *const *argv, sq_args *out, rec_err *err);
/* REC_RANGE where argument i is an option that an earlier argument names, too. */
rec_status sq_args_once(const sq_args *args, size_t i, rec_err *err);
void sq_args_clear(sq_args *a);
/* One SQL identifier at *s (bare, "..", `..`, [..]) -> owned text; *s moves on. NULL if none. */
char *sq_identifier(const char **s, rec_err *err);

/* ---- sq_stmt.c ------------------------------------------------------------------------------------ */

/* Prepare sqlite3_mprintf(fmt, ...) as a nested statement; `what` names the object in errors. */
rec_status sq_prepare(sqlite3 *db, const char *what, sqlite3_stmt **out, rec_err *err,
                      const char *fmt, ...);
/* Step: *row true on a row; REC_OK at the end with *row false. */
rec_status sq_step(sqlite3_stmt *st, const char *what, bool *row, rec_err *err);
rec_status sq_exec(sqlite3 *db, const char *what, rec_err *err, const char *fmt, ...);

/* ---- sq_shadow.c ---------------------------------------------------------------------------------- */

/* Every rec_index and rec_model has <name>_state(k TEXT PRIMARY KEY, v). Row 'gen' holds the
 * generation: a counter and a random nonce, with the last SQ_GEN_HISTORY pairs before it. Being a row
 * it follows ROLLBACK and snapshots; the nonce tells apart two histories that reached one counter. */
#define SQ_GEN_HISTORY 32
typedef struct sq_generation {
    uint64_t counter, nonce;
} sq_generation;
bool sq_generation_equal(const sq_generation *a, const sq_generation *b);
/* The stored record v: its newest pair; whether `old` is in it. For callers with a statement of their own. */
rec_status sq_generation_parse(const char *name, const cell *v, sq_generation *out,
                               rec_err *err);
bool sq_generation_in(const cell *v, const sq_generation *old);
/* The record that follows v. is_same_transaction: the newest pair was never committed, so nobody else can have
 * seen it: it is replaced instead of kept. */
rec_status sq_generation_next(const cell *v, bool is_same_transaction,
                              sq_generation *out, bytes_writer *w, rec_err *err);
rec_status sq_state_create(sqlite3 *db, const char *schema, const char *name,
                           rec_err *err);
rec_status sq_data_create(sqlite3 *db, const char *schema, const char *name,
                          rec_err *err);
rec_status sq_generation_read(sqlite3 *db, const char *schema, const char *name,
                              sq_generation *out, rec_err *err);
rec_status sq_generation_bump(sqlite3 *db, const char *schema, const char *name,
                              sq_generation *out, rec_err *err);
/* The last write of every change to a model: the next generation, and row 'sum' over all the others. */
rec_status sq_state_seal(sqlite3 *db, const char *schema, const char *name,
                         rec_err *err);
rec_status sq_state_check(sqlite3 *db, const char *schema, const char *name,
                          rec_err *err);
rec_status sq_state_set(sqlite3 *db, const char *schema, const char *name,
                        const char *k, const cell *v, rec_err *err);
/* *v: text and blobs copied, owned (rec_free p). type CELL_NULL if there is no such row. */
rec_status sq_state_get(sqlite3 *db, const char *schema, const char *name,
                        const char *k, cell *v, rec_err *err);
rec_status sq_shadow_drop(sqlite3 *db, const char *schema, const char *name,
                          const char *const *suffix,
                          rec_err *err); /* NULL-terminated list */
rec_status sq_shadow_rename(sqlite3 *db, const char *schema, const char *from,
                            const char *to, const char *const *suffix, rec_err *err);
/* Long blobs in <name>_data(part TEXT, chunk INTEGER, bytes BLOB): pieces of SQ_PART_BYTES, last piece
 * short, with a checksum row. read: *out owned. */
#define SQ_PART_BYTES ((size_t)1 << 20)
rec_status sq_part_write(sqlite3 *db, const char *schema, const char *name,
                         const char *part, const void *p, size_t n, rec_err *err);
rec_status sq_part_read(sqlite3 *db, const char *schema, const char *name,
                        const char *part, uint8_t **out, size_t *n,
                        rec_err *err); /* *out NULL, n 0 if absent */

/* ---- sq_registry.c -------------------------------------------------------------------------------- */

typedef struct sq_view sq_view;
typedef struct sq_index sq_index;
typedef struct sq_table sq_table;
typedef struct sq_frame { /* a model that is being read for: see sq_tables.c */
    const char *schema, *name;
    struct sq_frame *up;
    bool is_entered;
} sq_frame;
typedef struct sq_progress { /* of the one long computation that runs on a connection */
    const char *name;        /* what is trained; borrowed, set before sq_run_init */
    const char *path;        /* file to append to, or NULL */
    char phase[40];          /* last shown */
    double started, last, last_done;
    bool to_terminal, is_drawn;
} sq_progress;
struct
    sq_conn { /* one per connection; reference-counted by every function and module */
    sqlite3 *db;
    int n_ref;
    llm_session *llm;
    sq_table *tables;  /* list: rec_models that are connected */
    sq_frame *frames;  /* stack: models that are being read for */
    sq_view *views;    /* list: newest view of each model */
    sq_index *indexes; /* list: memory of each index */
    void (*drop_indexes)(
        sq_conn *c); /* set by sq_index.c with the first index; frees the list */
    struct tvf_memo
        *last_call; /* vt_tables.c: last call's rows, one block of rec_malloc */
    struct sq_hold *
        hold; /* where tf_view keeps the view of the call being opened; NULL: nowhere */
    int depth;     /* nesting of sq_view_open, for cycles */
    embed_env env; /* for sentences: what sq_embed_questions gives */
    sq_progress progress;
    void *log; /* sq_train.c: collects epochs while a training runs */
};
sq_conn *sq_conn_new(sqlite3 *db); /* n_ref 1 */
void sq_conn_ref(sq_conn *c);
void sq_conn_unref(void *c); /* destructor for create_function_v2 / create_module_v2 */
bool sq_interrupted(void *conn);
/* Fill a rec_run for work on this connection: threads (REC_THREADS), interrupts, and, when
 * want_progress, the bar on stderr (TTY only) or lines appended to REC_PROGRESS=path. */
void sq_run_init(sq_conn *c, rec_run *run, bool want_progress);
/* From how many items on a training builds an index over them: MODEL_INDEX_MIN, or REC_INDEX_MIN in the
 * environment. */
size_t sq_index_min(void);
void sq_run_finish(rec_run *run); /* ends the progress line */
/* Changes whenever anything that a nested query in `schema` may read may have changed. Equal tokens:
 * equal data. A token taken inside a write transaction is never equal to another. */
typedef struct sq_token {
    int64_t data_version, total_changes, schema_version;
    bool is_volatile;
} sq_token;
rec_status sq_token_read(sq_conn *c, const char *schema, sq_token *out, rec_err *err);
bool sq_token_equal(const sq_token *a, const sq_token *b);

/* ---- sq_plan.c -------------------------------------------------------------------------------------- */

/* Constraints travel from xBestIndex to xFilter in idxStr, printable: one item per argument, "<op><column>;"
 * with op a letter (PLAN_OPS). */
typedef struct plan_item {
    char
        op; /* '=' eq, '!' ne, '<' '>' 'l' le 'g' ge, 'i' is, 'j' isnot, 'n' isnull, 'N' notnull, 'I' in-list, 'L' like, 'G' glob, 'k' limit, 'o' offset, 'm' match */
    int column;
    bool is_literal; /* the right side is a literal (sqlite3_vtab_rhs_value knows it) */
} plan_item;
#define PLAN_MAX_ITEMS 64
/* The letter for an sqlite op code, 0 if we do not take it. */
char plan_op_letter(int sqlite_op);
/* sqlite3_malloc'ed idxStr; strategy: words for people, without a colon, or "". */
char *plan_write(const char *strategy, const plan_item *items, size_t n);
rec_status plan_read(const char *idx_str, plan_item *items, size_t *n, rec_err *err);
/* A predicate from an item and its argument (IN lists, letter 'I', through sqlite3_vtab_in_first/next):
 * owned copies; predicate_free. affinity: sq_affinity of the column's declared type. out->column is
 * PLAN_NO_PREDICATE when only SQLite can decide: skip it. */
#define PLAN_NO_PREDICATE (-1)
rec_status plan_predicate(const plan_item *item, sqlite3_value *arg, char affinity,
                          predicate *out, rec_err *err);
void predicate_free(predicate *p);

/* ---- sq_options.c ------------------------------------------------------------------------------------- */

#define SQ_MAX_TEXT_COLUMNS 16
typedef struct sq_member {
    char label[64]; /* cf */
    char *model;    /* owned; name in the schema of the hybrid, or schema.name */
} sq_member;
typedef struct
    sq_model_cfg { /* a CREATE statement with the overrides of <name>_state applied */
    const rec_model_ops *ops;
    model_options options;
    signal_spec signal;
    bool has_feedback; /* feedback= was given */
    char *interactions, *user, *item, *value, *time, *event,
        *positive; /* owned or NULL */
    char *items, *item_key, *title;
    char *text[SQ_MAX_TEXT_COLUMNS];
    size_t n_text;
    facet_spec facet[CATALOG_MAX_FACETS];
    size_t n_facet;
    char *eligible, *owned, *lexical, *preferences;
    bool repeat;
    uint64_t seed;
    sq_member member[HYBRID_MAX_MEMBERS];
    size_t n_member;
} sq_model_cfg;
/* Parse and check (names, types, ranges, exclusions; no table is read). An empty value is an option that a command
 * took away. */
rec_status sq_cfg_parse(const sq_args *args, const char *table, sq_model_cfg *out,
                        rec_err *err);
void sq_cfg_clear(sq_model_cfg *cfg);
/* "factors, lambda, ...": the options of this algorithm, for messages. */
void sq_cfg_options(const sq_model_cfg *cfg, char *out, size_t cap);

/* ---- sq_expr.c ------------------------------------------------------------------------------------------- */

#define SQ_MAX_COLUMNS 2000 /* SQLite's own default limit */
typedef struct sq_columns { /* of a table or view */
    char **name;            /* owned, as SQLite spells them */
    key_affinity *affinity; /* of the declared type */
    bool *is_typed;         /* INTEGER or TEXT affinity is declared */
    size_t n;
} sq_columns;
/* An expression over the columns of one row (no calls, no sub-queries), written anew with every column as
 * t."name". REC_RANGE names the token that is not allowed. *out: owned. */
rec_status sq_expr_write(const char *text, const sq_columns *columns, char **out,
                         rec_err *err);

/* ---- sq_source.c: the user's tables: names, columns, rules ----------------------------------------------- */

/* SELECT <list> FROM <schema>.<source> AS t <tail>, built column by column; prepare takes the list. */
typedef struct sq_select {
    const char *schema, *source,
        *tail; /* borrowed; tail: "WHERE ..." made with %w, or NULL */
    bytes_writer list;
    int n_column;
} sq_select;
void sq_select_column(sq_select *q, const char *column); /* NULL: the constant NULL */
void sq_select_expr(sq_select *q, const char *safe);     /* made by sq_expr_write */
rec_status sq_select_prepare(sq_conn *c, sq_select *q, sqlite3_stmt **out,
                             rec_err *err);
/* Parameters ?1 and ?2: the key as INTEGER and as TEXT, as far as both exist. */
rec_status sq_bind_key_twice(sqlite3_stmt *st, const rec_key *key, rec_err *err);

/* The columns of a source; an error if it is not there. Source names resolve in `schema` ("temp": as SQLite). */
rec_status sq_columns_read(sq_conn *c, const char *schema, const char *source,
                           sq_columns *out, rec_err *err);
int sq_columns_find(const sq_columns *t, const char *name); /* -1 if there is none */
void sq_columns_list(const sq_columns *t, char *out,
                     size_t cap); /* "a, b, c" for messages */
void sq_columns_clear(sq_columns *t);
/* Check at CREATE that every table and column named exists and can be read; find key affinities (NULL: not asked). */
rec_status sq_source_check(sq_conn *c, const char *schema, const char *table,
                           const sq_model_cfg *cfg, key_affinity *user,
                           key_affinity *item, rec_err *err);
/* Clear from `allowed` what eligible= does not list and what owned= lists, for this user. With nobody to ask
 * for, an item is eligible if anybody may have it. */
rec_status sq_source_rules(sq_conn *c, const char *schema, const sq_model_cfg *cfg,
                           const rec_key *user /* NULL: nobody */, key_affinity item,
                           const catalog *items, bitmap *allowed, rec_err *err);
/* Do they depend on the user? */
rec_status sq_source_rules_personal(sq_conn *c, const char *schema,
                                    const sq_model_cfg *cfg, bool *yes, rec_err *err);

/* ---- sq_catalog.c ----------------------------------------------------------------------------------------- */

typedef struct
    sq_items { /* the items as they are now, ascending by key, with facets and titles */
    bool
        want_docs; /* set before the call: also docs, one document an item from text= and facets= */
    catalog *items; /* owned; NULL after a failure */
    corpus *docs;   /* owned; NULL unless wanted */
    uint64_t print; /* hash of all that was read */
} sq_items;
rec_status sq_source_catalog(sq_conn *c, const char *schema, const sq_model_cfg *cfg,
                             key_affinity item, sq_items *out, rec_run *run,
                             rec_err *err);
/* weight[n_facet] by feature_weights=; -1: not named. */
rec_status sq_facet_weights(const sq_model_cfg *cfg, double *weight, rec_err *err);
/* Only out->print, as the other would set it now: one pass that builds nothing. */
rec_status sq_source_print(sq_conn *c, const char *schema, const sq_model_cfg *cfg,
                           key_affinity item, sq_items *out, rec_run *run,
                           rec_err *err);

/* ---- sq_history.c: the interactions --------------------------------------------------------------------------- */

typedef struct
    sq_interactions { /* rows that count for profiles, in catalogue numbers */
    interaction *row; /* owned */
    size_t n, cap;
    size_t n_rows; /* rows with a user and an item of the catalogue, counting or not */
    size_t n_skipped; /* NULL keys, items outside the catalogue */
    size_t n_undated; /* of a training: rows in n_rows whose time= is NULL or no time */
} sq_interactions;
void sq_interactions_clear(sq_interactions *x);
typedef struct sq_keys { /* how keys become numbers */
    key_affinity user, item;
    const catalog *items;
} sq_keys;
/* All rows; users are numbered ascending by key into *users (owned). */
rec_status sq_source_interactions(sq_conn *c, const char *schema,
                                  const sq_model_cfg *cfg, key_affinity user,
                                  key_affinity item, const catalog *items,
                                  keyset **users, sq_interactions *out, rec_run *run,
                                  rec_err *err);
/* One user's rows: profile rows are added to `out` (raw, unmerged), every item touched to `seen`. */
rec_status sq_source_user(sq_conn *c, const char *schema, const sq_model_cfg *cfg,
                          const rec_key *user, const sq_keys *keys,
                          sq_interactions *out, bitmap *seen, rec_err *err);
/* All histories in memory, if a query for one user would scan the table (else, or if they are too many, *out is
 * NULL). Freed with sq_batch_free. */
typedef struct sq_batch sq_batch;
rec_status sq_batch_read(sq_conn *c, const char *schema, const sq_model_cfg *cfg,
                         const sq_keys *keys, sq_batch **out, rec_err *err);
rec_status sq_batch_user(const sq_batch *b, const rec_key *user, sq_interactions *out,
                         bitmap *seen, rec_err *err);
void sq_batch_free(sq_batch *b);
/* The same for every user, ascending by key, in one pass. *user: borrowed until the next call, NULL at the end.
 * `seen` is not cleared. */
typedef struct sq_users sq_users;
rec_status sq_users_open(sq_conn *c, const char *schema, const sq_model_cfg *cfg,
                         const sq_keys *keys, sq_users **out, rec_err *err);
rec_status sq_users_next(sq_users *u, const rec_key **user, sq_interactions *out,
                         bitmap *seen, rec_err *err);
void sq_users_close(sq_users *u); /* NULL is fine */

/* ---- sq_tables.c: which rec_models there are -------------------------------------------------------------- */

struct sq_table { /* a connected rec_model; vt_model.c makes one in xConnect */
    sq_table *next;
    char *schema, *name; /* owned by the virtual table */
    sq_args args;        /* of CREATE */
    bool is_outside;     /* its embedder, or a member's, opens files or asks servers */
};
void sq_table_add(sq_conn *c, sq_table *t);
void sq_table_remove(sq_conn *c, sq_table *t);
/* 'model' or 'schema.model'; without a schema: in in_schema, or (NULL, temp) wherever SQL would find it. *out is
 * borrowed until the next statement runs. REC_RANGE names the models that there are. */
rec_status sq_table_find(sq_conn *c, const char *in_schema, const char *name,
                         const sq_table **out, rec_err *err);
/* CREATE's options, those that commands have set, and one more (may be NULL). Clear with sq_cfg_clear. */
rec_status sq_table_config(sq_conn *c, const sq_table *t, const sq_arg *set,
                           sq_model_cfg *out, rec_err *err);
/* The CREATE statement as it would have to be written now, with other values of some options. *out: owned. `t` may
 * not be used afterwards. */
rec_status sq_table_create_text(sq_conn *c, const sq_table *t, const sq_arg *set,
                                size_t n_set, char **out, rec_err *err);
rec_status sq_table_affinity(sq_conn *c, const sq_table *t, key_affinity *user,
                             key_affinity *item, rec_err *err);
/* Every rec_model of every schema: fn(ctx, schema, name). */
typedef rec_status (*sq_model_fn)(void *ctx, const char *schema, const char *name,
                                  rec_err *err);
rec_status sq_model_each(sq_conn *c, sq_model_fn fn, void *ctx, rec_err *err);
/* Refuses a model that is entered already: a cycle. Leave whether entering failed or not. */
rec_status sq_enter(sq_conn *c, sq_frame *f, const char *schema, const char *name,
                    rec_err *err);
void sq_leave(sq_conn *c, sq_frame *f);
bool sq_is_entered(const sq_conn *c, const char *schema, const char *name);

/* ---- sq_model.c ------------------------------------------------------------------------------------------- */

typedef enum {
    SOURCE_MODEL,
    SOURCE_FOLD_IN,
    SOURCE_CONTENT,
    SOURCE_POPULARITY
} score_source;
const char *score_source_name(score_source s);

/* A view is one trained model joined with the catalogue as it is now: immutable, reference-counted, kept
 * by the connection until the model or the data change. */
typedef struct sq_loaded
    sq_loaded; /* what was read from <name>_data; shared by views */
struct sq_view {
    int n_ref;
    sq_view *next; /* registry list */
    sq_conn *conn;
    char *schema, *name; /* owned */
    sq_model_cfg cfg;    /* hybrids without items= have those of a member */
    sq_loaded *loaded;   /* holds a reference; owns model .. user_hash below */
    key_affinity user_affinity, item_affinity;
    sq_generation generation;
    sq_token token;
    catalog *items; /* live catalogue, shared; item numbers below are its numbers */
    uint64_t items_print; /* of what it was read from; 0: not read from a table */
    bool has_text_print; /* ... with the texts, for a model that was extended by them */
    item_graph *near;    /* index over the vectors of the model, or NULL */
    item_graph *alike;   /* the same by cosine, where near goes by products */
    rec_model *model;    /* NULL before the first training, and for hybrids */
    rec_model *popularity; /* fallback; NULL before the first training */
    uint32_t *model_item;  /* [n_items] model number or KEYS_NONE */
    uint32_t *
        catalog_item; /* [model n_items] catalogue number or KEYS_NONE (item was deleted) */
    uint32_t
        *tie_item;   /* [n_items] items in the order in which equal scores are listed */
    bool is_outside; /* as its sq_table says */
    keyset *trained_users; /* and the hash of each one's history at training */
    uint64_t *user_hash;
    double now; /* newest interaction at training */
    sq_batch *
        batch; /* histories, once several users were asked for without an index; or NULL */
    size_t n_asked;
    struct sq_map *map;                 /* of sq_block.c, once it was needed; or NULL */
    struct sq_peers *peers;             /* of sq_peers.c, likewise */
    struct sq_preferences *preferences; /* of sq_preferences.c, likewise */
    related *related; /* of the words of the items, once language was needed; or NULL */
    double liked_value; /* explicit: the rating that an item of `history` stands for */
    double trained_at;  /* unix seconds, 0 = never */
    int64_t trained_rows;
    struct sq_view_member {
        sq_view *view;  /* holds a reference */
        uint32_t *item; /* [n_items] the member's catalogue number or KEYS_NONE */
        double weight;
        bool is_content;
        const char *label; /* borrowed from cfg */
    } member[HYBRID_MAX_MEMBERS];
    size_t n_member;
    const hybrid_gate *
        gate; /* gate=weighted, gate=learned: borrowed from what was loaded, or of a copy; or NULL */
    float *gate_popular, *gate_age; /* [n_items] owned, gate=learned: see gate_ask */
};
/* 'model' or 'schema.model'. REC_RANGE if there is no such rec_model (names those there are); an untrained
 * model is opened too (view->model NULL). Close with sq_view_close. */
rec_status sq_view_open(sq_conn *c, const char *name, sq_view **out, rec_err *err);
/* A name as a definition in that schema has it. */
rec_status sq_view_open_in(sq_conn *c, const char *in_schema, const char *name,
                           sq_view **out, rec_err *err);
void sq_view_close(sq_view *v);
/* For cursors and auxdata, which live within one run of one statement: open into *held if it is NULL, else keep
 * *held until this connection writes something, also inside a write transaction (where sq_view_open reads
 * everything again). What others commit meanwhile is for the next statement. */
rec_status sq_view_hold(sq_conn *c, const char *name, sq_view **held, rec_err *err);
/* The same where the name may differ from call to call. */
typedef struct sq_hold {
    char *name;    /* owned: as it was asked for */
    sq_view *view; /* holds a reference */
} sq_hold;
rec_status sq_hold_view(sq_conn *c, const char *name, sq_hold *h, sq_view **out,
                        rec_err *err);
void sq_hold_clear(sq_hold *h);
/* A hybrid that stands in no table: v holds conn, names, cfg, affinities and the views of its members; the rest is
 * filled in. */
rec_status sq_view_blend(sq_view *v, rec_run *run, rec_err *err);
/* Forget the kept views of one model, or (schema NULL) of all: the model was dropped, renamed, detached. */
void sq_views_drop(sq_conn *c, const char *schema, const char *name);
/* REC_RANGE "taste has not been trained: SELECT rec_train('taste')" unless it can score. */
rec_status sq_view_require_trained(const sq_view *v, rec_err *err);
/* The catalogue with the language model of the view or of its members, for llm_* functions. */
void sq_view_language(sq_view *v, llm_context *out);
/* The item's number in the text space of that context, KEYS_NONE if it has none. */
uint32_t sq_view_doc(sq_view *v, const rec_key *key);
size_t sq_view_n_items(const sq_view *v);

typedef struct sq_wishes sq_wishes; /* sq_preferences.h */
typedef struct sq_who {  /* who asks: a user, or a history, or nobody; and a sentence */
    const rec_key *user; /* NULL = none (already coerced) */
    const char *history; /* JSON array of item keys, or NULL */
    size_t n_history;
    const char *query; /* a sentence, or NULL */
    size_t n_query;
    const query_request *
        request; /* the llm_rewrite object, or NULL (its like_items are catalogue numbers) */
    const sq_wishes *wishes; /* set while profiles of members are read */
} sq_who;
typedef struct sq_profile sq_profile;
struct sq_profile {   /* what is known of them, in catalogue numbers */
    sq_who who;       /* borrowed parts */
    interaction *row; /* owned; merged, ascending by item */
    size_t n, cap;
    bitmap seen;   /* items touched */
    bool is_known; /* user was in the training data */
    bool is_fresh; /* history differs from training: fold_in */
    sq_wishes
        *wishes; /* owned or NULL: of the view that was asked, not of its members */
    sq_profile *
        member; /* hybrids: [n_member], owned; each in its member's catalogue numbers */
    size_t n_member;
};
rec_status sq_profile_read(sq_view *v, const sq_who *who, sq_profile *out,
                           rec_err *err);
/* The same from rows that the caller puts between the two calls (raw, into row, n, cap and seen): streams. */
rec_status sq_profile_start(const sq_view *v, const sq_who *who, sq_profile *out,
                            rec_err *err);
rec_status sq_profile_finish(const sq_view *v, sq_profile *p, rec_err *err);
/* The rows that the model knows, in its numbers, ascending. *out: owned. */
rec_status sq_profile_for_model(const sq_view *v, const sq_profile *p,
                                interaction **out, size_t *n, rec_err *err);
void sq_profile_clear(sq_profile *p);

typedef struct sq_scores { /* one score for every item of the catalogue */
    size_t n;
    float *score;               /* [n] owned */
    uint8_t *source;            /* [n] score_source, owned */
    float *cf, *content, *gate; /* [n] owned, hybrids only, NaN where absent */
} sq_scores;
/* A question in the numbers of the model of the view, and what it points to (owned). */
typedef struct sq_asked {
    model_query q;
    interaction *row;
    uint32_t *item;
    float *weight, *value;
    double *time;
    bytes_writer text;
} sq_asked;
rec_status sq_ask(const sq_view *v, const sq_profile *p, sq_asked *out, rec_err *err);
void sq_asked_clear(sq_asked *a);
/* What the scores of a model that knows the asker are called. */
score_source sq_model_source(const sq_view *v, const sq_profile *p);
rec_status sq_score(sq_view *v, const sq_profile *p, rec_run *run, sq_scores *out,
                    rec_err *err);
void sq_scores_clear(sq_scores *s);
/* Items that may be shown: all, less seen (want_unseen; never for repeat=1), less owned and ineligible (of the view
 * and of its members), less what request->filters refuses. */
rec_status sq_allowed(sq_view *v, const sq_profile *p, bool want_unseen, bitmap *out,
                      rec_err *err);
/* Clear the items whose title, texts or facets have one of the phrases (word for word, by stems). */
rec_status sq_drop_phrases(sq_view *v, const text_list *phrases, bitmap *items,
                           rec_err *err);
/* (*out)[n_items], owned: items in the order in which equal scores are listed. */
rec_status sq_tie_order(const catalog *items, uint32_t **out, rec_err *err);
/* Descending score, ties by a hash of the item key (so entries hold places in tie_item, not items: pull with
 * sq_rank_next). most: how many will be pulled, -1: unknown. Clear with ranking_clear. */
rec_status sq_rank(const sq_view *v, const sq_scores *s, const bitmap *allowed,
                   int64_t most, ranking *out, rec_err *err);
/* The next best: catalogue number and score. false at the end. */
bool sq_rank_next(const sq_view *v, ranking *r, uint32_t *item, float *score);
/* Does any rule of the view or its members depend on who asks? If not, sq_allowed without unseen is the same for
 * everybody. */
rec_status sq_rules_personal(const sq_view *v, bool *yes, rec_err *err);
/* How well the words of the sentence match in the FTS5 table of lexical=: out[items], 0 where they do not. */
rec_status sq_lexical(const sq_view *v, const sq_who *who, float *out, rec_err *err);
/* What made the score: calls fn with catalogue item numbers (kind "item"), facets, terms. */
rec_status sq_explain(sq_view *v, const sq_profile *p, uint32_t item, explain_fn fn,
                      void *ctx, rec_err *err);
/* out[n_items of the catalogue]: similarity to item, NaN where unknown. */
rec_status sq_similar(sq_view *v, uint32_t item, float *out, score_source *source,
                      rec_err *err);

/* ---- sq_block.c: the best items of many users at once, or of one in a large catalogue -------------------------------------------------- */

typedef struct sq_block_user {
    rec_key key;
    char *text;         /* owned: the key, if it is text */
    sq_profile profile; /* owned */
    bitmap allowed;     /* owned; over the items of the catalogue */
    topk found;      /* owned; after sq_block_score: the best, as entries of sq_rank */
    uint8_t *source; /* owned; [found.n] score_source of each */
} sq_block_user;
typedef struct sq_block {
    sq_view *view;       /* borrowed */
    size_t k;            /* rows a user, at most */
    sq_block_user *user; /* [cap] owned; n of them are in use */
    size_t n, cap;
    const struct sq_map *map; /* of the view */
    bool is_exact;            /* no index, however many items */
} sq_block;
rec_status sq_block_init(sq_block *b, sq_view *v, size_t k, rec_err *err);
/* Room for one more: *out is cleared, the caller fills key, profile and allowed. */
rec_status sq_block_add(sq_block *b, const rec_key *key, sq_block_user **out,
                        rec_err *err);
/* The lists of all users, on all cores: what sq_score and sq_rank would give each of them. */
rec_status sq_block_score(sq_block *b, rec_run *run, rec_err *err);
void sq_map_free(struct sq_map *m); /* NULL is fine */
void sq_block_empty(sq_block *b);   /* no users */
/* Is a list of k rows found by an index, so that a block of one user is worth it? */
bool sq_block_has_index(const sq_view *v, int64_t k);
/* The k items most similar to one, by the index (sq_block_has_index, and v->model->ops->vectors says cosine):
 * entries of sq_rank with similarities. */
rec_status sq_block_similar(sq_view *v, uint32_t item, const bitmap *allowed, size_t k,
                            topk *out, rec_err *err);
void sq_block_clear(sq_block *b);

/* ---- sq_peers.c: users compared with users --------------------------------------------------------------- */

/* The users of a view that has interactions, as they are now. *out == v->peers: the view keeps them, else they are
 * the caller's (sq_peers_free). */
typedef struct sq_peers sq_peers;
rec_status sq_peers_open(sq_view *v, sq_peers **out, rec_err *err);
const keyset *sq_peers_users(const sq_peers *p);
/* *out (owned): everybody who shares an item with the user: negated cosine, number in sq_peers_users. NULL if there
 * is no such user. */
rec_status sq_peers_like(const sq_peers *p, const rec_key *who, topk_entry **out,
                         size_t *n, rec_err *err);
void sq_peers_free(sq_peers *p); /* NULL is fine */
/* What a view came to keep: histories, maps, peers. */
void sq_view_forget(sq_view *v);

/* ---- sq_fit.c: from a definition and its tables to a fitted model ----------------------------------------- */

bool sq_wants_text(const sq_model_cfg *cfg);
/* What an item that somebody simply likes is worth where ratings are given. */
double sq_typical_liking(const dataset *d);
/* The fallback of every algorithm. */
rec_status sq_fit_popularity(const dataset *d, uint64_t seed, rec_run *run,
                             rec_model **out, rec_err *err);
/* Is there memory for this training? REC_RANGE says how much it needs and how much there is. */
rec_status sq_fit_room(const char *name, const rec_model_ops *ops,
                       const model_fit_args *a, rec_err *err);

/* ---- sq_train.c --------------------------------------------------------------------------------------------- */

/* Train and store. standalone: rec_train (own short transactions; refused inside one); else the INSERT form,
 * within the caller's transaction. *report: JSON text of what was done, owned. */
rec_status sq_train(sq_conn *c, const char *name, const char *options, bool standalone,
                    char **report, rec_err *err);

/* ---- sq_check.c --------------------------------------------------------------------------------------------- */

/* Everything that is stored of a model, against itself: REC_CORRUPT names what is wrong. */
rec_status sq_model_check(sq_conn *c, const char *schema, const char *name,
                          rec_err *err);
/* The members of a configuration: they exist, their keys agree, no model is its own member. Affinities of the
 * first are returned. */
rec_status sq_members_check(sq_conn *c, const char *schema, const char *table,
                            const sq_model_cfg *cfg, key_affinity *user,
                            key_affinity *item, rec_err *err);
/* Run a command of INSERT INTO m(m) VALUES (...): train, rebuild, integrity-check, name=value. */
rec_status sq_command(sq_conn *c, const char *schema, const char *name,
                      const char *command, rec_err *err);

/* ---- vt_model.c, vt_model_cursor.c: rec_model ------------------------------------------------------------- */

enum {
    MODEL_USER,
    MODEL_ITEM,
    MODEL_SCORE,
    MODEL_RANK,
    MODEL_SEEN,
    MODEL_SOURCE,
    MODEL_HISTORY,
    MODEL_QUERY,
    MODEL_K,
    MODEL_COMMAND,
    MODEL_N_COLUMNS
}; /* columns */
#define SQ_MODEL_FORMAT 1

typedef struct vt_model_table {
    sqlite3_vtab base;
    sq_conn *conn;
    sq_table table;
    char user_affinity, item_affinity; /* 'i' or 't' */
} vt_model_table;
int vt_model_open(sqlite3_vtab *vtab, sqlite3_vtab_cursor **out);
int vt_model_close(sqlite3_vtab_cursor *cur);
int vt_model_filter(sqlite3_vtab_cursor *cur, int idx_num, const char *idx_str,
                    int argc, sqlite3_value **argv);
int vt_model_next(sqlite3_vtab_cursor *cur);
int vt_model_eof(sqlite3_vtab_cursor *cur);
int vt_model_column(sqlite3_vtab_cursor *cur, sqlite3_context *ctx, int column);
int vt_model_rowid(sqlite3_vtab_cursor *cur, sqlite3_int64 *out);

/* ---- the tables of rec.c: what is registered ---------------------------------------------------------------------- */

typedef struct sq_function {
    const char *name;
    int n_arg; /* -1 = any */
    int flags; /* SQLITE_UTF8 | ... */
    void (*scalar)(sqlite3_context *, int, sqlite3_value **);
    void (*step)(sqlite3_context *, int, sqlite3_value **); /* aggregates */
    void (*final)(sqlite3_context *);
} sq_function; /* user data of every function is its sq_conn */
extern const sq_function fn_vector_functions[], fn_model_functions[],
    fn_llm_functions[], fn_converse_functions[],
    fn_enrich_functions[]; /* end with NULL name; table functions: tf.h */
int vt_index_register(sq_conn *c);
int vt_model_register(sq_conn *c);
int vt_llm_register(
    sq_conn *c); /* llm_models (writable) and other non-function tables */
int vt_llm_cache_register(sq_conn *c);

#include "sq_embed.h"

#endif
