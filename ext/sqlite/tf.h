/* tf.h - functions over models and table functions, inside layer S.
 *
 *   tvf_def (name, columns, arguments, open) --vt_tables.c--> eponymous virtual table, scalar form
 *   tf_call.c reads the arguments: model, user, item, k, filters
 *
 * sq.h is what these functions stand on; this header is what they share with each other. Adding a
 * function is a tvf_def in the fitting tf_*.c and a line in vt_table_functions[].
 */
#ifndef REC_TF_H
#define REC_TF_H

#include "sq.h"

/* ---- vt_tables.c: table functions ------------------------------------------------------------------------------ */

/* One row of a table that describes table functions. Rows are pulled one by one; cells are borrowed until the
 * next call. `open` gets argument values in the order of `args`, NULL where not given; they stay valid until close. */
typedef struct tvf_result tvf_result;
struct tvf_result {
    bool (*next)(tvf_result *r, cell *row, rec_status *status, rec_err *err);
    void (*close)(tvf_result *r);
};
typedef struct tvf_def {
    const char *name;
    const char *columns; /* "item, score REAL, rank INTEGER, source TEXT" */
    const char *args;    /* "model, user, k": hidden columns, in order */
    int n_required;      /* the first n arguments must be given */
    bool direct_only;
    int rank_column; /* column in whose ascending order rows come; -1 none */
    double cost;
    rec_status (*open)(sq_conn *c, sqlite3_value **arg, tvf_result **out, rec_err *err);
} tvf_def;
/* Eager results: add rows (cells are copied), then hand over. */
typedef struct tvf_rows tvf_rows;
tvf_rows *tvf_rows_new(int n_column); /* NULL on OOM */
rec_status tvf_rows_add(tvf_rows *r, const cell *row, rec_err *err);
void tvf_rows_free(tvf_rows *r);
tvf_result *tvf_rows_result(tvf_rows *taken);            /* NULL on OOM (rows freed) */
int tvf_register(sq_conn *c, const tvf_def *def);        /* eponymous virtual table */
int tvf_register_scalar(sq_conn *c, const tvf_def *def); /* the same as a JSON array */

/* ---- tf_call.c: what the functions over models share --------------------------------------------------------------- */

/* Open the model that an argument names; a NULL or a number is REC_RANGE. Close with sq_view_close. */
rec_status tf_view(sq_conn *c, const char *function, sqlite3_value *model,
                   sq_view **out, rec_err *err);
/* Between enter and leave tf_view keeps the view with argument i of a scalar function: for later rows, if that is
 * a constant. Leave whether entering failed or not. */
typedef struct tf_held {
    sqlite3_context *ctx;
    int arg;
    sq_hold *hold, *outer;
    bool is_entered, is_new;
} tf_held;
rec_status tf_hold_enter(sq_conn *c, sqlite3_context *ctx, int i, tf_held *out,
                         rec_err *err);
void tf_hold_leave(sq_conn *c, tf_held *h);
/* tf_view of argument i between the two; the connection is the user data of the function. */
rec_status tf_view_kept(sqlite3_context *ctx, const char *function,
                        sqlite3_value **argv, int i, sq_view **out, rec_err *err);
/* A key argument, coerced; text is borrowed from the value, or lies in buf. */
typedef struct tf_key {
    rec_key key;
    bool is_null; /* the argument is NULL or not given */
    bool is_key;  /* false: no row can have such a key */
    char buf[32];
} tf_key;
rec_status tf_read_key(const char *function, const char *what, sqlite3_value *v,
                       key_affinity a, tf_key *out, rec_err *err);
/* The catalogue number of an item argument; KEYS_NONE: NULL, or outside the catalogue. */
rec_status tf_item(const sq_view *v, const char *function, const char *what,
                   sqlite3_value *arg, uint32_t *out, rec_err *err);
/* k: *out -1 when NULL or not given. */
rec_status tf_k(const char *function, sqlite3_value *v, int64_t *out, rec_err *err);
/* Text argument: NULL when NULL or not given; anything but text is REC_RANGE. */
rec_status tf_text(const char *function, const char *what, sqlite3_value *v,
                   const char **out, size_t *nbyte, rec_err *err);
/* Profile of a user argument who may be unknown; `key` must outlive the profile. */
rec_status tf_profile(sq_view *v, const tf_key *key, const query_request *request,
                      sq_profile *out, rec_err *err);
cell tf_item_cell(const sq_view *v, uint32_t item); /* borrowed until the view closes */
cell tf_title_cell(const sq_view *v, uint32_t item); /* NULL without a title */
/* The view, or the first of its members, that reads interactions / has facets; NULL if none does. */
const sq_view *tf_with_interactions(const sq_view *v);
const sq_view *tf_with_facets(const sq_view *v);
size_t tf_facet_items(const catalog *c,
                      size_t facet); /* items that have a value of a text facet */
/* "main"."ratings": a source table of the model, quoted, for SQL text; owned, sqlite3_free. NULL on OOM. */
char *tf_source_name(const sq_view *v, const char *table, rec_err *err);
/* Whose rows stand for the user: the profile itself, or that of the first member that has any (then with the
 * member's view, whose catalogue numbers they are). */
void tf_profile_rows(const sq_view *v, const sq_profile *p, const sq_view **view,
                     const sq_profile **profile);
/* Filters from JSON: the filters of a rewrite object, or the whole object. */
rec_status tf_filters(const char *function, const char *text, size_t nbyte,
                      filters *out, rec_err *err);

/* ---- tf_index.c: rec_index tables as the schema tables describe them ---------------------------------------------------- */

typedef struct tf_index {
    char *schema, *name, *key, *vector; /* owned; key: its column, or rowid */
    char *arguments;                    /* owned; what stands in the brackets */
    char kind[16];
    bool is_cosine;
} tf_index;
void tf_index_clear(tf_index *ix);
/* `arguments` of a tf_index, parsed; sq_args_clear. */
rec_status tf_index_arguments(const char *s, sq_args *out, rec_err *err);
/* fn may take what *ix owns (and zero it). schema, name: NULL = any. */
typedef rec_status (*tf_index_fn)(void *ctx, tf_index *ix, rec_err *err);
rec_status tf_index_each(sq_conn *c, const char *schema, const char *name,
                         tf_index_fn fn, void *ctx, rec_err *err);
/* 'name' or 'schema.name'. */
rec_status tf_index_find(sq_conn *c, const char *name, bool *found, tf_index *out,
                         rec_err *err);

/* ---- tf_recommend.c, tf_similar.c, tf_explain.c, tf_user.c, tf_models.c: table functions ----------------------------- */

extern const tvf_def tf_recommend_def, tf_hybrid_def, tf_similar_def,
    tf_similar_users_def, tf_explain_def, tf_user_def, tf_why_not_def, tf_models_def,
    tf_index_stats_def, tf_check_def, tf_evaluate_def, tf_compare_def, tf_tune_def,
    tf_diversify_def;

void fn_tools(sqlite3_context *ctx, int argc,
              sqlite3_value **argv); /* fn_tools.c: rec_tools() */

/* One sentence that names only what made the score, owned (tf_explain.c). */
rec_status tf_reason(sq_view *v, const sq_profile *p, uint32_t item, char **out,
                     rec_err *err);

extern const tvf_def
    *const vt_table_functions[]; /* NULL-terminated: rec_recommend ... */
extern const tvf_def *const vt_llm_functions[];
extern const tvf_def llm_enrich_each_def; /* fn_enrich.c */

#endif
