/* fn_llm.c - the scalar functions over language.
 *
 *   llm_rewrite(text [, model [, options]])              JSON object of SQL.md section 5
 *   llm_complete(prompt [, options])                     text
 *   llm_embed(text [, options])                          vector (BLOB)
 *   llm_embed_request(text [, options])                  what would be sent for it
 *   llm_explain(user, item [, options])                  one sentence
 *   llm_preferences_request(transcript [, model [, options]]), llm_explain_request(user, item [, options])
 *   llm_rewrite_request(text [, model [, options]])      what would be sent: the body, never a key
 *   llm_rerank_request(query, candidates [, options])    the same
 *
 * I1. Every function is SQLITE_DIRECTONLY: a view or trigger in a file that somebody sends cannot call a server
 *     with that file's rows. None is DETERMINISTIC.
 * I2. A NULL text, prompt or list of candidates gives NULL. A NULL model is none, NULL options are none.
 * I3. What is REC_NET inside has become a fallback before it reaches this file, except for llm_complete
 *     and llm_embed, which have nothing to fall back on.
 */
#include "tf.h"

#define JSON_SUBTYPE 'J' /* as SQLite's own JSON functions mark their results */

static void finish(sqlite3_context *ctx, rec_status st, rec_err *err, char *text,
                   bool is_json) {
    if (st) {
        if (err->code == REC_OK) err->code = st;
        sq_result_error(ctx, err);
    } else if (text) {
        sqlite3_result_text64(ctx, text, strlen(text), SQLITE_TRANSIENT, SQLITE_UTF8);
        if (is_json) sqlite3_result_subtype(ctx, JSON_SUBTYPE);
    }
    rec_free(text);
}

static rec_status text_arg(const char *function, const char *what, int n,
                           sqlite3_value **v, int i, const char **out, size_t *nbyte,
                           rec_err *err) {
    return tf_text(function, what, i < n ? v[i] : NULL, out, nbyte, err);
}

/* ---- llm_rewrite --------------------------------------------------------------------------------- */

typedef rec_status (*rewrite_fn)(llm_session *s, const char *text, size_t nbyte,
                                 const llm_context *ctx, const char *options,
                                 char **out, rec_err *err);

static void rewrite_call(sqlite3_context *ctx, int n, sqlite3_value **v,
                         const char *name, rewrite_fn fn) {
    sq_conn *c = sqlite3_user_data(ctx);
    const char *text = NULL, *options = NULL;
    size_t n_text = 0, n_options = 0;
    char *out = NULL;
    sq_view *view = NULL;
    llm_context language = {0};
    rec_err err = {0};
    rec_status st = text_arg(name, "text", n, v, 0, &text, &n_text, &err);
    if (!st) st = text_arg(name, "options", n, v, 2, &options, &n_options, &err);
    bool has_model = n > 1 && sqlite3_value_type(v[1]) != SQLITE_NULL;
    if (!st && has_model) st = tf_view_kept(ctx, name, v, 1, &view, &err);
    if (!st && view) sq_view_language(view, &language);
    if (!st && text) st = fn(c->llm, text, n_text, &language, options, &out, &err);
    if (view) sq_view_close(view);
    finish(ctx, st, &err, out, true);
}

static void fn_rewrite(sqlite3_context *ctx, int n, sqlite3_value **v) {
    rewrite_call(ctx, n, v, "llm_rewrite", llm_rewrite);
}
static void fn_rewrite_request(sqlite3_context *ctx, int n, sqlite3_value **v) {
    rewrite_call(ctx, n, v, "llm_rewrite_request", llm_rewrite_request);
}

static void fn_preferences_request(sqlite3_context *ctx, int n, sqlite3_value **v) {
    rewrite_call(ctx, n, v, "llm_preferences_request", llm_preferences_request);
}

/* ---- llm_rerank_request ---------------------------------------------------------------------------- */

static void fn_rerank_request(sqlite3_context *ctx, int n, sqlite3_value **v) {
    static const char name[] = "llm_rerank_request";
    sq_conn *c = sqlite3_user_data(ctx);
    const char *query = NULL, *list = NULL, *options = NULL;
    size_t n_query = 0, n_list = 0, n_options = 0;
    char *out = NULL;
    rec_err err = {0};
    rec_status st = text_arg(name, "query", n, v, 0, &query, &n_query, &err);
    if (!st) st = text_arg(name, "candidates", n, v, 1, &list, &n_list, &err);
    if (!st) st = text_arg(name, "options", n, v, 2, &options, &n_options, &err);
    if (!st && list)
        st = llm_rerank_request(c->llm, query, n_query, list, n_list, options, &out,
                                &err);
    finish(ctx, st, &err, out, true);
}

/* ---- llm_explain ------------------------------------------------------------------------------------ */

static void
explain_call(sqlite3_context *ctx, int n, sqlite3_value **v, const char *name,
             rec_status (*fn)(llm_session *, const explain_args *, char **, rec_err *),
             bool is_json) {
    sq_conn *c = sqlite3_user_data(ctx);
    explain_args a = {0};
    size_t n_options = 0;
    char *out = NULL;
    rec_err err = {0};
    rec_status st = text_arg(name, "the user", n, v, 0, &a.user, &a.n_user, &err);
    if (!st) st = text_arg(name, "the item", n, v, 1, &a.item, &a.n_item, &err);
    if (!st) st = text_arg(name, "options", n, v, 2, &a.options, &n_options, &err);
    if (!st && a.item) st = fn(c->llm, &a, &out, &err);
    finish(ctx, st, &err, out, is_json);
}

static void fn_explain(sqlite3_context *ctx, int n, sqlite3_value **v) {
    explain_call(ctx, n, v, "llm_explain", llm_explain, false);
}
static void fn_explain_request(sqlite3_context *ctx, int n, sqlite3_value **v) {
    explain_call(ctx, n, v, "llm_explain_request", llm_explain_request, true);
}

/* ---- llm_complete ------------------------------------------------------------------------------------ */

static void fn_complete(sqlite3_context *ctx, int n, sqlite3_value **v) {
    static const char name[] = "llm_complete";
    sq_conn *c = sqlite3_user_data(ctx);
    const char *prompt = NULL, *options = NULL;
    size_t n_prompt = 0, n_options = 0;
    char *out = NULL;
    rec_err err = {0};
    rec_status st = text_arg(name, "prompt", n, v, 0, &prompt, &n_prompt, &err);
    if (!st) st = text_arg(name, "options", n, v, 1, &options, &n_options, &err);
    if (!st && prompt) st = llm_complete(c->llm, prompt, n_prompt, options, &out, &err);
    finish(ctx, st, &err, out, false);
}

/* ---- llm_embed --------------------------------------------------------------------------------------- */

static rec_status embed_options(sqlite3_value **v, int n, const char *name,
                                const char **options, rec_err *err) {
    size_t n_options = 0;
    return text_arg(name, "options", n, v, 1, options, &n_options, err);
}

static void fn_embed(sqlite3_context *ctx, int n, sqlite3_value **v) {
    sq_conn *c = sqlite3_user_data(ctx);
    const char *text = NULL, *options = NULL;
    size_t n_text = 0;
    float *x = NULL;
    uint32_t dim = 0;
    rec_err err = {0};
    rec_status st = text_arg("llm_embed", "text", n, v, 0, &text, &n_text, &err);
    if (!st) st = embed_options(v, n, "llm_embed", &options, &err);
    if (!st && text) st = llm_embed(c->llm, text, n_text, options, &x, &dim, &err);
    if (!st && x)
        sqlite3_result_blob64(ctx, x, dim * sizeof *x, SQLITE_TRANSIENT);
    else
        finish(ctx, st, &err, NULL, false);
    rec_free(x);
}

static void fn_embed_request(sqlite3_context *ctx, int n, sqlite3_value **v) {
    static const char name[] = "llm_embed_request";
    sq_conn *c = sqlite3_user_data(ctx);
    const char *text = NULL, *options = NULL;
    size_t n_text = 0;
    char *out = NULL;
    rec_err err = {0};
    rec_status st = text_arg(name, "text", n, v, 0, &text, &n_text, &err);
    if (!st) st = embed_options(v, n, name, &options, &err);
    if (!st && text) st = llm_embed_request(c->llm, text, n_text, options, &out, &err);
    finish(ctx, st, &err, out, true);
}

#define FLAGS (SQLITE_UTF8 | SQLITE_DIRECTONLY | SQLITE_RESULT_SUBTYPE)

const sq_function fn_llm_functions[] = {
    {"llm_rewrite", 1, FLAGS, fn_rewrite, NULL, NULL},
    {"llm_rewrite", 2, FLAGS, fn_rewrite, NULL, NULL},
    {"llm_rewrite", 3, FLAGS, fn_rewrite, NULL, NULL},
    {"llm_rewrite_request", 1, FLAGS, fn_rewrite_request, NULL, NULL},
    {"llm_rewrite_request", 2, FLAGS, fn_rewrite_request, NULL, NULL},
    {"llm_rewrite_request", 3, FLAGS, fn_rewrite_request, NULL, NULL},
    {"llm_preferences_request", 1, FLAGS, fn_preferences_request, NULL, NULL},
    {"llm_preferences_request", 2, FLAGS, fn_preferences_request, NULL, NULL},
    {"llm_preferences_request", 3, FLAGS, fn_preferences_request, NULL, NULL},
    {"llm_rerank_request", 2, FLAGS, fn_rerank_request, NULL, NULL},
    {"llm_rerank_request", 3, FLAGS, fn_rerank_request, NULL, NULL},
    {"llm_explain", 2, SQLITE_UTF8 | SQLITE_DIRECTONLY, fn_explain, NULL, NULL},
    {"llm_explain", 3, SQLITE_UTF8 | SQLITE_DIRECTONLY, fn_explain, NULL, NULL},
    {"llm_explain_request", 2, FLAGS, fn_explain_request, NULL, NULL},
    {"llm_explain_request", 3, FLAGS, fn_explain_request, NULL, NULL},
    {"llm_complete", 1, SQLITE_UTF8 | SQLITE_DIRECTONLY, fn_complete, NULL, NULL},
    {"llm_complete", 2, SQLITE_UTF8 | SQLITE_DIRECTONLY, fn_complete, NULL, NULL},
    {"llm_embed", 1, SQLITE_UTF8 | SQLITE_DIRECTONLY, fn_embed, NULL, NULL},
    {"llm_embed", 2, SQLITE_UTF8 | SQLITE_DIRECTONLY, fn_embed, NULL, NULL},
    {"llm_embed_request", 1, FLAGS, fn_embed_request, NULL, NULL},
    {"llm_embed_request", 2, FLAGS, fn_embed_request, NULL, NULL},
    {NULL, 0, 0, NULL, NULL, NULL},
};
