/* llm.h - language: read a request, order candidates, say why; a model if there is one.
 *
 *     json       the only user of cJSON: parse with caps, build, print       json.c
 *     secret     keys by the name of an environment variable                 secret.c
 *     http       the only user of libcurl: one POST with every bound         http.c
 *     registry   llm_models of one connection, answers kept, usage, limits   registry.c
 *     provider   wire formats: openai (chat completions)                     provider.c
 *     prompt     request bodies; untrusted text is data                      prompt.c
 *     answer     validate and repair what a model said                       answer.c
 *     rewrite    sentence -> SQL.md's object (builtin rules, then a model)   rewrite.c
 *     rerank     candidates -> order with reasons                            rerank.c
 *     builtin    the deterministic reranker and reasons                      builtin.c
 *
 * No SQLite here. Everything works with no server; a server's answer is checked against the
 * catalogue and the candidates, and on failure the builtin answers with status 'fallback'.
 */
#ifndef REC_LLM_H
#define REC_LLM_H

#include "../core/core.h"
#include "../text/text.h"

/* ---- json.c ------------------------------------------------------------------------------------ */

#define JSON_MAX_DEPTH 32
#define JSON_MAX_BYTES ((size_t)16 << 20)
typedef struct cJSON json; /* opaque outside json.c */
/* Strict UTF-8, depth and size caps, nothing after the value. NULL on error (err says where). */
json *json_parse(const char *text, size_t nbyte, rec_err *err);
void json_delete(json *j);
bool json_is_object(const json *j), json_is_array(const json *j), json_is_string(const json *j),
    json_is_number(const json *j), json_is_bool(const json *j), json_is_null(const json *j);
json *json_get(const json *obj, const char *key);  /* case-sensitive; borrowed; NULL if absent */
json *json_first(const json *j);                   /* first child of an array or object */
json *json_next(const json *child);
const char *json_key(const json *child);           /* name within its object */
const char *json_text(const json *j);              /* string value or NULL; borrowed */
double json_number(const json *j, double otherwise);
bool json_truth(const json *j, bool otherwise);
size_t json_count(const json *j);
json *json_new_object(void), *json_new_array(void), *json_new_null(void);
json *json_new_text(const char *s, size_t nbyte), *json_new_number(double x), *json_new_bool(bool b);
json *json_new_int(int64_t x); /* exact over the whole range */
json *json_copy(const json *j);
/* Append; `value` is taken, also on failure. A NULL container or value fails (OOM), so calls can
 * be chained and checked once: returns false. */
bool json_set(json *obj, const char *key, json *value);
bool json_push(json *array, json *value);
char *json_print(const json *j); /* owned: rec_free; NULL on OOM */
bool json_int64(const json *j, int64_t *out); /* a number that is a whole int64 */

/* ---- registry.c: one per connection --------------------------------------------------------------- */

typedef struct llm_config { /* a row of llm_models; strings owned by the registry */
    char *name, *protocol, *base_url, *model, *key_env, *options;
} llm_config;
typedef struct llm_usage_row {
    int64_t at_ms; /* unix ms */
    const char *function, *model, *status;
    int http, retries, cache_hit;
    int64_t prompt_tokens, completion_tokens, ms;
} llm_usage_row;
typedef struct llm_session llm_session;
llm_session *llm_session_new(void);
void llm_session_free(llm_session *s);
/* Interrupt poll for waits on the network (may be NULL). */
void llm_session_set_interrupt(llm_session *s, bool (*fn)(void *), void *ctx);
/* Insert or replace by name. Refuses an unknown protocol, a bad URL (scheme, userinfo, control
 * characters), and a key_env that looks like a key rather than a variable's name. */
rec_status llm_config_put(llm_session *s, const llm_config *c, rec_err *err);
bool llm_config_delete(llm_session *s, const char *name);
size_t llm_config_count(const llm_session *s);
const llm_config *llm_config_at(const llm_session *s, size_t i);
const llm_config *llm_config_find(const llm_session *s, const char *name);
size_t llm_usage_count(const llm_session *s);
llm_usage_row llm_usage_at(const llm_session *s, size_t i);

/* ---- what the functions see of a model's items ------------------------------------------------------ */

typedef struct llm_context {
    const catalog *items; /* borrowed; NULL without a model */
    const lsa *language;  /* borrowed or NULL */
} llm_context;

/* ---- rewrite.c ------------------------------------------------------------------------------------------ */

/* llm_rewrite: the whole object of SQL.md section 5 as text, owned (rec_free). options is JSON text
 * or NULL: {"context": ..., "llm": name}. */
rec_status llm_rewrite(llm_session *s, const char *text, size_t nbyte, const llm_context *ctx,
                       const char *options, char **out, rec_err *err);
rec_status llm_rewrite_request(llm_session *s, const char *text, size_t nbyte,
                               const llm_context *ctx, const char *options, char **out,
                               rec_err *err);
/* JSON filters object -> filters; REC_RANGE names what is wrong. */
rec_status filters_from_json(const json *j, filters *out, rec_err *err);
/* The rewrite object -> request; like_items keys are resolved through the catalogue. */
rec_status request_from_json(const json *j, const catalog *c, query_request *out, rec_err *err);

/* ---- rerank.c ---------------------------------------------------------------------------------------------- */

typedef struct rerank_row {
    int rank;
    char *id;    /* owned: JSON text of the candidate's id as given (42 or "a") */
    double score;
    char *why, *field, *quote; /* owned; field and quote may be NULL */
    bool grounded;
    const char *status; /* llm | cache | builtin | fallback | retrieval */
} rerank_row;
typedef struct rerank_result {
    rerank_row *row; /* owned */
    size_t n;
} rerank_result;
void rerank_result_clear(rerank_result *r);
rec_status llm_rerank(llm_session *s, const char *query, size_t n_query, const char *candidates,
                      size_t n_candidates, const char *options, rerank_result *out, rec_err *err);
rec_status llm_rerank_request(llm_session *s, const char *query, size_t n_query,
                              const char *candidates, size_t n_candidates, const char *options,
                              char **out, rec_err *err);

/* ---- plumbing ------------------------------------------------------------------------------------------------ */

/* llm_complete: text of the model's answer, owned. There is no builtin for it. */
rec_status llm_complete(llm_session *s, const char *prompt, size_t nbyte, const char *options,
                        char **out, rec_err *err);

#endif
