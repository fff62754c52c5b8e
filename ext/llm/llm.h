/* llm.h - language: read a request, order candidates, say why; a model if there is one.
 *
 *     json       the only user of cJSON: parse with caps, build, print       json.c
 *     secret     keys by the name of an environment variable                 secret.c
 *     http       the only user of libcurl: one POST with every bound         http.c
 *     registry   llm_models of one connection, answers kept, usage, limits   registry.c
 *     cache      answers that were paid for                                  cache.c
 *     protocol   wire formats: what is sent, what comes back                 protocol.c
 *     provider   the one way to ask: one prompt or many                      provider.c
 *     prompt     request bodies; untrusted text is data                      prompt.c
 *     answer     validate and repair what a model said                       answer.c
 *     request    the object that a sentence becomes, as JSON                 request.c
 *     rewrite    sentence -> that object (builtin rules, then a model)       rewrite.c
 *     rewrite_check  a model's answer through the catalogue                 rewrite_check.c
 *     rerank     candidates -> order with reasons                            rerank.c
 *     listwise   a model orders candidates, window by window                 listwise.c
 *     ranker     a reranking endpoint orders candidates                      ranker.c
 *     builtin    the deterministic reranker and reasons                      builtin.c
 *     explain    one sentence for one item                                   explain.c
 *     preferences  what a conversation says about taste                      preferences.c
 *     claims     which sentences of a model may stand beside a record        claims.c
 *     enrich     a fuller description of an item, facts apart                enrich.c
 *     enrich_builtin  the same out of the catalogue                          enrich_builtin.c
 *     profile    a short text on a user's taste                              profile.c
 *     embeddings texts -> vectors by a server                                embeddings.c
 *     static_file  a table of token vectors out of two files                 static_file.c
 *
 * No SQLite here. Everything works with no server; a server's answer is checked against the
 * catalogue and the candidates, and on failure the builtin answers with status 'fallback'.
 */
#ifndef REC_LLM_H
#define REC_LLM_H

#include "../core/core.h"
#include "../text/embed.h"
#include "../text/text.h"

/* ---- json.c ------------------------------------------------------------------------------------ */

#define JSON_MAX_DEPTH 32
#define JSON_MAX_BYTES ((size_t)16 << 20)
typedef struct cJSON json; /* opaque outside json.c */
/* Strict UTF-8, depth and size caps, nothing after the value. NULL on error (err says where). */
json *json_parse(const char *text, size_t nbyte, rec_err *err);
void json_delete(json *j);
bool json_is_object(const json *j), json_is_array(const json *j),
    json_is_string(const json *j), json_is_number(const json *j),
    json_is_bool(const json *j), json_is_null(const json *j);
json *json_get(const json *obj,
               const char *key); /* case-sensitive; borrowed; NULL if absent */
json *json_first(const json *j); /* first child of an array or object */
json *json_next(const json *child);
const char *json_key(const json *child); /* name within its object */
const char *json_text(const json *j);    /* string value or NULL; borrowed */
double json_number(const json *j, double otherwise);
bool json_truth(const json *j, bool otherwise);
size_t json_count(const json *j);
json *json_new_object(void), *json_new_array(void), *json_new_null(void);
json *json_new_text(const char *s, size_t nbyte), *json_new_number(double x),
    *json_new_bool(bool b);
json *json_new_int(int64_t x); /* exact over the whole range */
json *json_copy(const json *j);
/* Append; `value` is taken, also on failure. A NULL container or value fails (OOM), so calls can
 * be chained and checked once: returns false. */
bool json_set(json *obj, const char *key, json *value);
bool json_push(json *array, json *value);
char *json_print(const json *j);              /* owned: rec_free; NULL on OOM */
bool json_int64(const json *j, int64_t *out); /* a number that is a whole int64 */

/* ---- secret.c ---------------------------------------------------------------------------------- */

typedef struct secret { /* a key, for the time of one request */
    char *text;         /* owned; NULL without a key */
    size_t nbyte;
} secret;
/* Could this be the name of a variable, rather than a key pasted in its place? */
bool secret_is_name(const char *name);
/* Read the variable now. An empty name gives no key; a variable that is not set, or holds
 * control characters, is REC_RANGE. No message ever holds a value. */
rec_status secret_read(const char *name, secret *out, rec_err *err);
/* Overwrite every occurrence of the key in text with '*'. */
void secret_redact(const secret *k, char *text, size_t nbyte);
void secret_wipe(secret *k); /* overwrite and free */

/* ---- http.c ---------------------------------------------------------------------------------------- */

#define HTTP_MAX_BODY           ((size_t)4 << 20)
#define HTTP_CONNECT_MS         5000
#define HTTP_MIN_TIMEOUT_MS     10
#define HTTP_MAX_TIMEOUT_MS     3600000
#define HTTP_DEFAULT_TIMEOUT_MS 60000
#define HTTP_MAX_RETRIES        10
#define HTTP_DEFAULT_RETRIES    2

typedef struct http http; /* connections kept open between requests */
typedef struct http_request {
    const char *url; /* checked by url_check */
    const char *body;
    size_t nbyte;
    const secret *key;              /* or NULL */
    const char *key_header;         /* what goes before it; NULL: a bearer token */
    const char *header;             /* one line more, or NULL */
    long timeout_ms;                /* for everything: attempts, waits between them */
    int retries;                    /* attempts after the first */
    bool (*interrupted)(void *ctx); /* asked every HTTP_POLL_MS; may be NULL */
    void *ctx;
} http_request;
typedef struct http_response {
    int status; /* 0: none came */
    char *body; /* owned, NUL-terminated, the key overwritten */
    size_t nbyte;
    int retries; /* made */
    int64_t ms;
} http_response;
typedef struct url_parts { /* borrowed from the URL */
    bool is_https;
    const char *host, *path; /* path starts with '/' or is empty */
    size_t n_host, n_path;
} url_parts;
/* http or https, a host, no user, query, fragment, space or control character. */
rec_status url_check(const char *url, url_parts *out, rec_err *err);
http *http_new(void);
void http_free(http *h);
/* One POST with retries. REC_OK whenever a response came, whatever its status; REC_NET if none did;
 * REC_INTR, REC_NOMEM; REC_RANGE if this build has no network. */
rec_status http_post(http *h, const http_request *q, http_response *out, rec_err *err);
/* Several at once, `concurrency` of them under way at a time. The interrupt of the first is asked. The status and
 * error of each stand in its job; what is returned is REC_OK, or why all of them ended early (REC_INTR, REC_NOMEM).
 * Whichever it is, responses that had come are there, and are to be cleared. */
typedef struct http_job {
    http_request q;
    http_response out;
    rec_status status;
    rec_err err;
} http_job;
rec_status http_post_many(http *h, http_job *job, size_t n, size_t concurrency,
                          rec_err *err);
void http_response_clear(http_response *r);

/* ---- registry.c: one per connection --------------------------------------------------------------- */

#define LLM_MAX_CONFIGS       64
#define LLM_USAGE_ROWS        128
#define LLM_CACHE_ROWS        128
#define LLM_CACHE_BYTES       ((size_t)8 << 20)
#define LLM_MEMO_SECONDS      5.0 /* how long an answer, or a failure, stands as it was */
#define LLM_DEFAULT_MAX_CALLS 10000

typedef struct
    llm_config { /* a row of llm_models; strings owned by the registry, NULL = none */
    char *name, *protocol, *base_url, *model, *key_env, *options;
} llm_config;
typedef struct llm_usage_row {
    int64_t at_ms;                         /* unix ms */
    const char *function, *model, *status; /* ok, cache, repaired, rejected, failed */
    int http, retries, cache_hit;
    int64_t prompt_tokens, completion_tokens, ms;
} llm_usage_row;
#define LLM_MAX_CONCURRENCY     64
#define LLM_DEFAULT_CONCURRENCY 4
#define LLM_MAX_RANK_BATCH      1000
#define LLM_DEFAULT_RANK_BATCH \
    100 /* documents; a server with a lower bound says so in its row */
typedef struct protocol protocol;
typedef enum {
    PROTOCOL_NONE,
    PROTOCOL_CHAT,
    PROTOCOL_RANK,
    PROTOCOL_EMBED
} protocol_kind;
typedef struct llm_cache llm_cache;
typedef struct llm_session llm_session;
llm_session *llm_session_new(void);
void llm_session_free(llm_session *s);
/* Interrupt poll for waits on the network (may be NULL). */
void llm_session_set_interrupt(llm_session *s, bool (*fn)(void *), void *ctx);
/* Is the caller inside a write transaction of its own? Asked before the network is used. */
void llm_session_set_in_write(llm_session *s, bool (*fn)(void *), void *ctx);
/* Insert or replace by name. Refuses an unknown protocol, a bad URL (scheme, userinfo, control
 * characters), bad options, a key_env that looks like a key rather than a variable's name, and one
 * that another host has had on this connection. */
rec_status llm_config_put(llm_session *s, const llm_config *c, rec_err *err);
bool llm_config_delete(llm_session *s, const char *name);
size_t llm_config_count(llm_session *s);
const llm_config *llm_config_at(const llm_session *s, size_t i);
const llm_config *llm_config_find(llm_session *s, const char *name);
size_t llm_usage_count(const llm_session *s);
llm_usage_row llm_usage_at(const llm_session *s, size_t i); /* oldest first */

/* For the rest of llm/. */
typedef enum { SCHEMA_STRICT, SCHEMA_OBJECT, SCHEMA_NONE } schema_level;
typedef struct llm_settings { /* the options of a row */
    char max_tokens_field[40];
    int max_tokens; /* 0 = not sent */
    bool has_temperature, in_transaction;
    double temperature;
    schema_level schema;
    int timeout_ms, retries, concurrency;
    char key_header[48];                 /* "name: "; empty = that of the protocol */
    int rank_batch;                      /* documents a request for a ranking */
    int embed_batch, embed_tokens;       /* at most, a request for embeddings */
    int64_t max_calls, max_total_tokens; /* of the connection; 0 tokens = no limit */
    int64_t call_max_calls,
        call_max_tokens; /* of one call of a function; 0 = no limit */
    json *extra;         /* owned: merged into the request, or NULL */
} llm_settings;
rec_status llm_settings_parse(const char *options, llm_settings *out, rec_err *err);
void llm_settings_clear(llm_settings *o);
/* The row that a call uses: the one named, else the first. *out NULL: the builtin (nothing is
 * registered, or name is "builtin"). */
rec_status llm_choose(llm_session *s, const char *name, const llm_config **out,
                      rec_err *err);
/* The same among rows of these kinds; without a name the first kind of the list that has a row. */
rec_status llm_choose_kind(llm_session *s, const char *name, const protocol_kind *kinds,
                           const llm_config **out, rec_err *err);
/* A function of SQL begins: what it may spend is counted from here. */
void llm_session_begin(llm_session *s);
/* Refuses a call beyond the limits, or within a write transaction; *n becomes how many of as many calls may be
 * made before it has to be asked again. */
rec_status llm_admit(llm_session *s, const llm_settings *o, bool in_transaction,
                     size_t *n, rec_err *err);
http *llm_session_http(llm_session *s); /* NULL on OOM, or without a network */
void llm_session_request(const llm_session *s,
                         http_request *q); /* fills the interrupt poll */
schema_level *llm_config_level(llm_session *s,
                               const llm_config *c); /* lowered after a 400 */
/* Counts calls and tokens too; returns the number of the row, for llm_usage_mark. */
size_t llm_usage_add(llm_session *s, const llm_usage_row *row);
void llm_usage_mark(llm_session *s, size_t nth, const char *status);
/* Answers by the whole text of their request. A failure is kept for LLM_MEMO_SECONDS, and so is an
 * answer that llm_cache_reject found useless; `is_fresh`: kept no longer than that. */
typedef struct llm_cached {
    const char
        *text; /* borrowed until the next put: the answer, or a failure's message */
    rec_status failure; /* REC_OK: an answer */
    bool is_fresh;
} llm_cached;
bool llm_cache_get(llm_session *s, const char *key, size_t nbyte, llm_cached *out);
typedef struct llm_answer { /* borrowed */
    const char *key;
    size_t n_key;
    const char *function, *model; /* may be NULL */
    const char *text;
    rec_status failure;
} llm_answer;
void llm_cache_put(llm_session *s, const llm_answer *a);
void llm_cache_reject(llm_session *s, const char *key, size_t nbyte);

/* The same kept beyond the connection by whoever can: SQL, a table that the user has named. Failures to do so
 * are nobody's concern. */
typedef struct llm_store {
    void *ctx;
    char *(*get)(void *ctx, const char *key, size_t nbyte,
                 double *age); /* owned, or NULL; age in seconds */
    void (*put)(void *ctx, const llm_answer *a);
    void (*drop)(void *ctx, const char *key, size_t nbyte);
} llm_store;
void llm_cache_set_store(llm_session *s, const llm_store *store); /* NULL: none */
void llm_cache_set_ttl(llm_session *s, int64_t seconds);          /* 0: no end */
typedef struct llm_cache_row {
    const char *function, *model, *status; /* answer, failure, rejected */
    size_t nbyte;
    double age;
    int64_t hits;
} llm_cache_row;
/* The i-th place of LLM_CACHE_ROWS; false: it is empty. */
bool llm_cache_at(llm_session *s, size_t i, llm_cache_row *out);
void llm_cache_forget(llm_session *s, size_t i);
llm_cache *llm_cache_new(void);
void llm_cache_free(llm_cache *c);
llm_cache *llm_session_cache(llm_session *s);

/* ---- prompt.c: what a model is shown --------------------------------------------------------------- */

/* Copy of text as data for a prompt: invalid UTF-8, control, zero-width, bidi and tag characters
 * removed, white space runs made one space, look-alikes of candidate handles broken, at most max_chars
 * characters. Owned. NULL on OOM. */
char *prompt_clean(const char *text, size_t nbyte, size_t max_chars);
typedef struct llm_prompt { /* all owned */
    char *system, *user;    /* the user part is JSON: data, never instructions */
    json *schema;           /* of the answer, or NULL for free text */
    json *documents;        /* to be ranked: an array of texts; else NULL */
    const char *schema_name;
} llm_prompt;
void llm_prompt_clear(llm_prompt *p);

/* ---- protocol.c: wire formats ------------------------------------------------------------------------ */

typedef struct protocol_call {
    const llm_config *c; /* NULL: openai, and the model is null */
    const llm_settings *o;
    const llm_prompt *p;
    schema_level level;
    int seed; /* 0 = not sent */
} protocol_call;
typedef struct protocol_answer {
    char *
        text; /* owned; of a ranking: "[0.9,null,..]", a score or null for each document */
    int64_t prompt_tokens, completion_tokens;
} protocol_answer;
const protocol *protocol_find(const char *name); /* NULL if there is none */
bool provider_exists(const char *protocol,
                     rec_err *err); /* false: err lists those there are */
protocol_kind protocol_kind_of(const llm_config *c);
/* The header lines that the protocol, or the row, asks for. */
void protocol_headers(const llm_config *c, const llm_settings *o, http_request *q);
rec_status protocol_body(const protocol_call *q, char **out, rec_err *err);
/* REC_NET: the response holds no answer. */
rec_status protocol_parse(const llm_config *c, const json *response,
                          const llm_prompt *p, protocol_answer *out, rec_err *err);
/* base_url and a path joined (NULL: the protocol's own); owned. A base with a version segment (/v1) is taken as
 * it is, another gets that of the protocol first. */
char *protocol_url(const llm_config *c, const char *path, rec_err *err);

/* ---- provider.c: asking ------------------------------------------------------------------------------ */

/* The request body, owned; c may be NULL (then the model is null). */
rec_status provider_body(llm_session *s, const llm_config *c, const llm_prompt *p,
                         char **out, rec_err *err);
typedef struct llm_reply {
    char *text; /* owned: the model's words, not yet looked at */
    char *key;  /* owned: for llm_cache_reject */
    bool is_cached;
    size_t usage; /* its row, for llm_usage_mark */
} llm_reply;
void llm_reply_clear(llm_reply *r);
typedef struct llm_batch { /* borrowed */
    const llm_config *c;
    const llm_prompt *p; /* [n] */
    size_t n;
    const char *function;
    bool in_transaction;
    int concurrency; /* requests under way at a time; 0: the row's option */
} llm_batch;
/* Ask all of them; out[n], errs[n]. errs[i].code is REC_OK, or REC_NET: that one failed, and the builtin answers in
 * its place. What is returned is REC_OK, or why everything stops (then every reply is empty): REC_RANGE, the
 * configuration is wrong or a limit is reached; REC_INTR; REC_NOMEM. Answers that had come are kept by the session
 * all the same. Prompts that make the same request are asked once. */
rec_status llm_ask_many(llm_session *s, const llm_batch *b, llm_reply *out,
                        rec_err *errs, rec_err *err);
/* The case of one; REC_NET: it failed. */
rec_status llm_ask(llm_session *s, const llm_config *c, const llm_prompt *p,
                   const char *function, bool in_transaction, llm_reply *out,
                   rec_err *err);

/* One POST to another path of the row's server ("/embeddings"), with its limits, key and usage. *status:
 * that of HTTP, 0 if none came. REC_OK: *out holds the response (owned); failures are as those of llm_ask. */
typedef struct llm_call {
    const llm_config *c;
    const llm_settings *o;
    const char *path, *body, *function;
    bool in_transaction;
} llm_call;
rec_status llm_post(llm_session *s, const llm_call *q, json **out, int *status,
                    rec_err *err);

/* ---- answer.c: nothing that a model said is believed --------------------------------------------------- */

/* The JSON within an answer: without a </think> prefix, a fence, words around it. NULL if there is
 * none. */
json *answer_json(const char *text, rec_err *err);
/* Answer text without a </think> prefix and surrounding white space; owned. */
char *answer_text(const char *text);
/* Find quote in text, letter case and runs of white space aside. *begin, *end: where it stands. */
bool answer_find_quote(const char *text, const char *quote, size_t *begin, size_t *end);
/* Does every number of claim occur in one of the texts? */
bool answer_numbers_occur(const char *claim, const char *const *text, size_t n_text);
/* Does `claim` contain `name` between word boundaries, letter case aside? */
bool answer_names(const char *claim, const char *name);

/* ---- embeddings.c: texts -> vectors by a server ---------------------------------------------------- */

#define EMBED_MAX_BATCH      2048
#define EMBED_DEFAULT_BATCH  32
#define EMBED_MIN_TOKENS     16
#define EMBED_MAX_TOKENS     1000000
#define EMBED_DEFAULT_TOKENS 8000
typedef struct llm_texts { /* borrowed */
    const char *const *text;
    const size_t *nbyte;
    size_t n;
} llm_texts;
typedef struct llm_embedder_call {
    llm_session *s;
    const llm_config *c; /* borrowed from the session */
    llm_settings o;
    bool in_transaction;
    size_t n_made, n_refused;
    rec_err refusal; /* the last */
} llm_embedder_call;
/* Refuses a name that is not in llm_models. Clear with llm_embed_end. */
rec_status llm_embed_begin(llm_session *s, const char *name, bool in_transaction,
                           llm_embedder_call *out, rec_err *err);
void llm_embed_end(llm_embedder_call *e);
/* A hash of what decides the numbers: server, model, extra fields. */
rec_status llm_embed_identity(const llm_embedder_call *e, uint64_t *out, rec_err *err);
/* How many of the texts fit one request, at least 1. */
size_t llm_embed_fit(const llm_embedder_call *e, const llm_texts *t);
/* One request, or several where the server refuses: vector[i] owned float[*dim] (*dim 0: the first answer decides), or
 * NULL for a text that it will not have. REC_NET: the server is gone, or has refused everything so far; what was
 * made stays in vector. */
rec_status llm_embed_batch(llm_embedder_call *e, const llm_texts *t, float **vector,
                           uint32_t *dim, rec_err *err);
/* One text, kept for a while by the session; *out: owned. */
rec_status llm_embed_text(llm_embedder_call *e, const char *text, size_t nbyte,
                          float **out, uint32_t *dim, rec_err *err);

/* llm_embed: a text's numbers, owned; options {"llm": name, "in_transaction": bool} or NULL. */
rec_status llm_embed(llm_session *s, const char *text, size_t nbyte,
                     const char *options, float **out, uint32_t *dim, rec_err *err);
rec_status llm_embed_request(llm_session *s, const char *text, size_t nbyte,
                             const char *options, char **out, rec_err *err);

/* ---- static_file.c: tokenizer.json and model.safetensors ---------------------------------------- */

/* path: a folder with both, or the safetensors file. */
rec_status static_file_open(const char *path, static_table **out, rec_err *err);

/* ---- what the functions see of a model's items ------------------------------------------------------ */

typedef struct llm_context {
    const catalog *items; /* borrowed; NULL without a model */
    text_space language;  /* borrowed */
} llm_context;

/* ---- rewrite.c ------------------------------------------------------------------------------------------ */

/* llm_rewrite: the whole object of SQL.md section 5 as text, owned (rec_free). options is JSON text
 * or NULL: {"context": ..., "llm": name}. */
rec_status llm_rewrite(llm_session *s, const char *text, size_t nbyte,
                       const llm_context *ctx, const char *options, char **out,
                       rec_err *err);
rec_status llm_rewrite_request(llm_session *s, const char *text, size_t nbyte,
                               const llm_context *ctx, const char *options, char **out,
                               rec_err *err);
/* Facets with their most frequent values or their range, for a prompt; owned, NULL on OOM. */
json *llm_vocabulary(const catalog *c);

/* ---- request.c: the object of SQL.md section 5 --------------------------------------------------------- */

/* JSON filters object -> filters; REC_RANGE names what is wrong. */
rec_status filters_from_json(const json *j, filters *out, rec_err *err);
/* The rewrite object -> request; like_items keys are resolved through the catalogue. Keys may be missing;
 * one of the wrong type is REC_RANGE. */
rec_status request_from_json(const json *j, const catalog *c, query_request *out,
                             rec_err *err);
/* The object, every key present. error may be NULL. NULL on OOM. */
json *request_to_json(const query_request *q, const catalog *c, const char *status,
                      const char *error);
bool query_intent_from_name(const char *name, query_intent *out);
bool request_list_has(char *const *a, size_t n, const char *s);
/* Add a value to any ('a'), all ('l') or none ('n') of a condition, an item to those liked; once. */
rec_status request_add_value(facet_cond *c, char which, const char *v, rec_err *err);
rec_status request_add_like(query_request *q, uint32_t item, rec_err *err);

/* ---- rewrite_check.c --------------------------------------------------------------------------------- */

typedef struct rewrite_text { /* what somebody said; borrowed */
    const char *text;
    size_t nbyte;
} rewrite_text;
/* Lay a model's answer over *out, which holds what the rules found (a copy is in *rules). REC_NET if the
 * answer is no object. */
rec_status rewrite_check(const json *answer, const rewrite_text *said, size_t n_said,
                         const catalog *c, query_request *out,
                         const query_request *rules, rec_err *err);

/* ---- rerank.c ---------------------------------------------------------------------------------------------- */

typedef struct rerank_row {
    int rank;
    char *id; /* owned: JSON text of the candidate's id as given (42 or "a") */
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
rec_status llm_rerank(llm_session *s, const char *query, size_t n_query,
                      const char *candidates, size_t n_candidates, const char *options,
                      rerank_result *out, rec_err *err);
rec_status llm_rerank_request(llm_session *s, const char *query, size_t n_query,
                              const char *candidates, size_t n_candidates,
                              const char *options, char **out, rec_err *err);

/* For builtin.c, prompts and checks: the candidates as parsed. */
#define RERANK_MAX_CANDIDATES 10000
#define RERANK_MAX_FIELDS     32
#define RERANK_MIN_READ       1
#define RERANK_MAX_READ       200
#define RERANK_DEFAULT_READ   50
#define RERANK_WINDOW         20
#define RERANK_STRIDE         10
#define RERANK_MAX_HISTORY    50
#define RERANK_DIVERSITY \
    0.2 /* of the builtin; a model's order is left alone unless asked */
typedef struct candidate_field {
    const char *name; /* borrowed from the JSON */
    char *text;       /* owned; lists are joined with ", " */
    bool is_number;
} candidate_field;
typedef struct candidate {
    char *id;               /* owned: JSON text */
    candidate_field *field; /* owned */
    size_t n_field;
    double score; /* NaN = not given */
} candidate;
typedef struct history_item {
    candidate c; /* id and text fields */
    char *value; /* owned, as text; NULL = not given */
} history_item;
typedef struct candidates {
    json *root, *options; /* owned: names are borrowed from them */
    candidate *c; /* owned; in retrieval order: descending score, then as given */
    size_t n;
    history_item *history; /* owned */
    size_t n_history;
} candidates;
const char *candidate_title(const candidate *c); /* NULL if there is none */
const char *candidate_text(const candidate *c,
                           const char *field); /* NULL if there is none */

/* ---- builtin.c ------------------------------------------------------------------------------------------------ */

typedef struct builtin builtin; /* tokens and statistics of one list */
rec_status builtin_new(const char *query, size_t nbyte, const candidates *all,
                       builtin **out, rec_err *err);
void builtin_free(builtin *b);
/* relevance[n] in 0..1: retrieval score and text match. */
void builtin_relevance(const builtin *b, float *relevance);
/* Maximal marginal relevance over `relevance`: order[n] gets candidate numbers, value[n] what each was worth
 * when it was chosen (not ascending). diversity 0 = sort. */
rec_status builtin_diversify(const builtin *b, const float *relevance, size_t n,
                             double diversity, uint32_t *order, float *value,
                             rec_err *err);
/* Fill why, field, quote, grounded of a row for candidate i. */
rec_status builtin_reason(const builtin *b, uint32_t i, rerank_row *row, rec_err *err);

/* ---- listwise.c ------------------------------------------------------------------------------------------------ */

typedef struct rerank_options {
    size_t n_read;    /* how many candidates a model reads */
    double diversity; /* 0..1, NaN = by default */
    double alpha;     /* share of the model's order in the final one, 0..1 */
    uint64_t seed;
    const char *llm; /* borrowed */
    bool in_transaction;
} rerank_options;
typedef struct listwise_args {
    const char *query; /* may be NULL */
    size_t n_query;
    const candidates *all;
    const rerank_options *options;
    const builtin *b; /* reasons where the model's do not stand */
} listwise_args;
/* Order by a model into out->row (room for all). REC_NET: it failed, and out is as it was. */
rec_status listwise_rank(llm_session *s, const llm_config *config,
                         const listwise_args *a, rerank_result *out, rec_err *err);
/* The first prompt that listwise_rank would send; config may be NULL. */
rec_status listwise_prompt(const llm_config *config, const listwise_args *a,
                           llm_prompt *p, rec_err *err);
/* Append candidate i; its reason is the builtin's, or left empty when b is NULL. */
rec_status rerank_add_row(rerank_result *out, const candidates *all, const builtin *b,
                          uint32_t i, double score, const char *status, rec_err *err);

/* ---- ranker.c ------------------------------------------------------------------------------------------------- */

/* Order by a reranking endpoint: order[n_read] candidate numbers. *is_fresh becomes true if anything was asked. */
rec_status ranker_order(llm_session *s, const llm_config *config,
                        const listwise_args *a, uint32_t *order, bool *is_fresh,
                        rec_err *err);
rec_status ranker_prompt(const listwise_args *a, llm_prompt *p, rec_err *err);

/* ---- complete.c ------------------------------------------------------------------------------------------------ */

/* llm_complete: text of the model's answer, owned. There is no builtin for it. */
rec_status llm_complete(llm_session *s, const char *prompt, size_t nbyte,
                        const char *options, char **out, rec_err *err);
/* Options that most functions take: {"llm": name, "system": text, "in_transaction": bool}. Clear it also
 * after a failure. */
typedef struct options_common {
    json *root;               /* owned */
    const char *llm, *system; /* borrowed from it */
    bool in_transaction;
} options_common;
rec_status options_common_read(const char *function, const char *text,
                               options_common *o, rec_err *err);
void options_common_clear(options_common *o);

/* ---- explain.c ------------------------------------------------------------------------------------------------- */

typedef struct explain_args {          /* JSON texts */
    const char *user, *item, *options; /* user and options may be NULL */
    size_t n_user, n_item;
} explain_args;
/* llm_explain: one sentence, owned. */
rec_status llm_explain(llm_session *s, const explain_args *a, char **out, rec_err *err);
rec_status llm_explain_request(llm_session *s, const explain_args *a, char **out,
                               rec_err *err);

/* ---- preferences.c --------------------------------------------------------------------------------------------- */

typedef enum { PREFERENCE_ITEM, PREFERENCE_FACET, PREFERENCE_WORD } preference_kind;
typedef struct preference { /* a row; texts owned */
    preference_kind kind;
    char *key;   /* item: the key as text; facet: its name; word: empty */
    char *value; /* facet: a value or a range "min..max"; word: the word; item: NULL */
    bool key_is_text; /* item: the key is TEXT, not INTEGER */
    double weight;    /* -1..1 */
    char *quote;      /* the user's words that say so */
} preference;
typedef struct preference_list { /* what was said last stands last */
    preference *row;
    size_t n;
    const char *status; /* llm | cache | builtin | fallback */
} preference_list;
void preference_list_clear(preference_list *l);
/* llm_preferences: text is a transcript, plain ("User: ..." lines or no marks) or JSON (a list of texts or of
 * {"role", "content"}). */
rec_status llm_preferences(llm_session *s, const char *text, size_t nbyte,
                           const llm_context *ctx, const char *options,
                           preference_list *out, rec_err *err);
rec_status llm_preferences_request(llm_session *s, const char *text, size_t nbyte,
                                   const llm_context *ctx, const char *options,
                                   char **out, rec_err *err);

/* ---- claims.c ------------------------------------------------------------------------------------------------- */

typedef enum { CLAIM_STATED, CLAIM_INFERRED, CLAIM_INVENTED } claim_kind;
typedef struct claims claims; /* what a record says */
/* text[n]: borrowed for as long as the claims live. */
rec_status claims_new(const char *const *text, size_t n_text, claims **out,
                      rec_err *err);
void claims_free(claims *c);
/* is_phrase: no sentence, so that a capital letter at its beginning is that of a name. */
claim_kind claims_judge(const claims *c, const char *sentence, bool is_phrase);
/* Is the word the name of a facet value, or of a part of one? c may be NULL. */
bool claims_is_value(const catalog *c, const char *word, size_t nbyte);
size_t claims_sentence(const char *s); /* bytes up to and with the end of the first */

/* ---- enrich.c ------------------------------------------------------------------------------------------------- */

#define ENRICH_VERSION    1 /* of prompt, checks and builtin: part of every source hash */
#define ENRICH_MAX_ITEMS  10000
#define ENRICH_MAX_FIELDS 32
typedef struct enrich_field {
    const char *name; /* borrowed from the JSON */
    char *text;       /* owned, cleaned; the parts of a list are joined with ", " */
    bool is_number, is_list, is_title;
} enrich_field;
typedef struct enrich_record { /* one item as it was given */
    char *id;                  /* owned: JSON text, NULL without one */
    enrich_field field[ENRICH_MAX_FIELDS];
    const char *text[ENRICH_MAX_FIELDS]; /* the texts of the fields, borrowed */
    size_t n_field;
} enrich_record;
typedef struct enrichment { /* all owned, NULL = none */
    char *id;               /* JSON text */
    char *description;      /* facts: sentences that stand in the record */
    text_list tags;         /* facts: words of the record */
    char *audience, *mood;  /* inferred */
    text_list inferred; /* sentences, tags and words that the record does not hold */
    char *text;         /* all of it, for an embedder */
    char source_hash[17];
    char *model, *error;
    const char *status; /* llm | cache | builtin | fallback | failed */
} enrichment;
typedef struct enrichment_list {
    enrichment *row; /* owned */
    size_t n;
} enrichment_list;
void enrichment_list_clear(enrichment_list *l);
typedef struct enrich_args {     /* JSON texts */
    const char *items, *options; /* options may be NULL */
    size_t n_items;
} enrich_args;
/* The name in option "model": *out owned, NULL without one. */
rec_status llm_enrich_model(const char *function, const char *options, char **out,
                            rec_err *err);
/* A list of items; what is wrong with one of them stands in its row. */
rec_status llm_enrich_each(llm_session *s, const enrich_args *a, const llm_context *ctx,
                           enrichment_list *out, rec_err *err);
/* One item, as a JSON object; owned. A record that cannot be read is an error here. */
rec_status llm_enrich(llm_session *s, const enrich_args *a, const llm_context *ctx,
                      char **out, rec_err *err);
rec_status llm_enrich_request(llm_session *s, const enrich_args *a,
                              const llm_context *ctx, char **out, rec_err *err);
void llm_hash_text(uint64_t h, char out[17]); /* 16 hexadecimal digits */
/* The source_hash that the item would get; owned. */
rec_status llm_enrich_hash(llm_session *s, const enrich_args *a, const llm_context *ctx,
                           char **out, rec_err *err);

/* ---- enrich_builtin.c ------------------------------------------------------------------------------------------ */

rec_status enrich_builtin(const enrich_record *r, const llm_context *ctx,
                          enrichment *out, rec_err *err);

/* ---- profile.c --------------------------------------------------------------------------------------------------- */

typedef struct profile_item { /* something the user had; borrowed */
    rec_key key;
    const char *title; /* NULL = none */
    size_t n_title;
    double value;
    uint32_t doc; /* its number in the text space, KEYS_NONE = none */
} profile_item;
typedef struct profile_facet { /* one that they have more often than others; borrowed */
    const char *facet, *value; /* facet is not NUL-terminated */
    size_t n_facet, n_value;
    double share;
} profile_facet;
typedef struct profile_args {
    profile_item *item; /* newest first */
    size_t n_item;
    profile_facet *facet; /* the most telling first */
    size_t n_facet;
    const char *options; /* JSON text or NULL */
} profile_args;
/* llm_profile: a text, or with {"form": "json"} an object; owned. NULL for somebody without a history. */
rec_status llm_profile(llm_session *s, const profile_args *a, const llm_context *ctx,
                       char **out, bool *is_json, rec_err *err);
rec_status llm_profile_request(llm_session *s, const profile_args *a,
                               const llm_context *ctx, char **out, bool *is_json,
                               rec_err *err);

#endif
