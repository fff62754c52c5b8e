/* protocol.c - wire formats: what is sent to which path under which header, and what comes back.
 *
 *     openai         /v1/chat/completions   the chat form that most servers speak
 *     anthropic      /v1/messages           system apart, x-api-key, output_config.format
 *     rerank         /v1/rerank             Jina's form: llama-server, vLLM, Jina
 *     rerank-cohere  /v2/rerank
 *     rerank-voyage  /v1/rerank             top_k, "data"
 *     rerank-tei     /rerank                "texts", a bare array
 *     embeddings     /v1/embeddings         built and read by embeddings.c
 *
 * A protocol is a row of `protocols`. A chat needs two functions, one that writes the body and one that reads
 * the answer; a reranker is described by its fields alone, because all of them differ in names only.
 *
 * Three things are known to go wrong with the chat form and shape this file: the schema must be nested
 * (response_format.json_schema.schema) or servers ignore it without a word; the schema also stands in the
 * system text, for servers that drop the field; and an answer that ended for any reason but "stop" is no
 * answer, however well it parses.
 *
 * A ranking is read into one text, [0.9,null,0.1]: the score of every document in the order of the request, null
 * where the server left one out. So it is kept, counted and repaired like any other answer.
 *
 * P1. Only fields that the row's options set are sent, besides those that a protocol cannot do without.
 * P2. The row's `extra` wins over what would be sent.
 */
#include "llm.h"

#include <math.h>

#define ANTHROPIC_MAX_TOKENS 4096 /* the protocol demands a number */

struct protocol {
    const char *name, *path;
    const char *version; /* goes before the path where base_url has none */
    protocol_kind kind;
    const char *key_header, *header;
    json *(*build)(const protocol *pr, const protocol_call *q);
    rec_status (*parse)(const json *r, const llm_prompt *p, protocol_answer *out,
                        rec_err *err);
    const char *documents, *top; /* names of fields; NULL: not sent */
    const char *constant;        /* JSON object of fields that are always sent */
};

/* ---- building ------------------------------------------------------------------------------- */

static json *text_json(const char *s) {
    return json_new_text(s, strlen(s));
}

/* P2. */
static bool put(json *body, const json *extra, const char *key, json *value) {
    const json *other = json_get(extra, key);
    if (!other) return json_set(body, key, value);
    json_delete(value);
    return json_set(body, key, json_copy(other));
}

/* Add those of `more` that the body has not. */
static bool put_rest(json *body, const json *more) {
    bool ok = true;
    for (const json *e = json_first(more); e && ok; e = json_next(e))
        if (!json_get(body, json_key(e)))
            ok = json_set(body, json_key(e), json_copy(e));
    return ok;
}

static json *done(json *body, bool ok, const json *extra) {
    if (ok && put_rest(body, extra)) return body;
    json_delete(body);
    return NULL;
}

static json *model_json(const llm_config *c) {
    return c && c->model ? text_json(c->model) : json_new_null();
}

static bool push_message(json *messages, const char *role, const char *content) {
    json *m = json_new_object();
    bool ok = json_set(m, "role", text_json(role)) &&
              json_set(m, "content", text_json(content));
    if (ok) return json_push(messages, m);
    json_delete(m);
    return false;
}

/* The instructions, and the schema once more in words. Owned; empty without either; NULL on OOM. */
static char *system_text(const llm_prompt *p) {
    bytes_writer w = {0};
    char *schema = p->schema ? json_print(p->schema) : NULL;
    bytes_puts(&w, p->system ? p->system : "");
    if (schema) {
        bytes_puts(
            &w,
            "\nAnswer with one JSON object, and nothing else, that follows this JSON "
            "schema:\n");
        bytes_puts(&w, schema);
    }
    bool ok = !p->schema || schema;
    rec_free(schema);
    char *text = bytes_take_text(&w);
    if (ok) return text;
    rec_free(text);
    return NULL;
}

static json *openai_messages(const llm_prompt *p) {
    char *text = system_text(p);
    json *messages = json_new_array();
    bool ok = text && (!*text || push_message(messages, "system", text)) &&
              push_message(messages, "user", p->user);
    rec_free(text);
    if (ok) return messages;
    json_delete(messages);
    return NULL;
}

static json *openai_format(const llm_prompt *p, schema_level level) {
    json *f = json_new_object();
    if (level == SCHEMA_OBJECT) {
        json_set(f, "type", text_json("json_object"));
        return f;
    }
    json *s = json_new_object();
    bool ok = json_set(s, "name", text_json(p->schema_name)) &&
              json_set(s, "strict", json_new_bool(true)) &&
              json_set(s, "schema", json_copy(p->schema));
    ok = ok && json_set(f, "type", text_json("json_schema"));
    if (ok && json_set(f, "json_schema", s)) return f;
    if (!ok) json_delete(s);
    json_delete(f);
    return NULL;
}

static json *openai_build(const protocol *pr, const protocol_call *q) {
    json *b = json_new_object();
    const json *x = q->o->extra;
    (void)pr;
    bool ok = put(b, x, "model", model_json(q->c));
    ok = ok && put(b, x, "messages", openai_messages(q->p));
    if (q->o->has_temperature)
        ok = ok && put(b, x, "temperature", json_new_number(q->o->temperature));
    if (q->o->max_tokens)
        ok = ok && put(b, x, q->o->max_tokens_field, json_new_int(q->o->max_tokens));
    if (q->seed) ok = ok && put(b, x, "seed", json_new_int(q->seed));
    if (q->p->schema && q->level != SCHEMA_NONE)
        ok = ok && put(b, x, "response_format", openai_format(q->p, q->level));
    return done(b, ok, x);
}

/* {"format": {"type": "json_schema", "schema": ..}} */
static json *anthropic_format(const llm_prompt *p) {
    json *config = json_new_object(), *f = json_new_object();
    bool ok = json_set(f, "type", text_json("json_schema")) &&
              json_set(f, "schema", json_copy(p->schema));
    if (ok && json_set(config, "format", f)) return config;
    if (!ok) json_delete(f);
    json_delete(config);
    return NULL;
}

static json *anthropic_build(const protocol *pr, const protocol_call *q) {
    json *b = json_new_object(), *messages = json_new_array();
    const json *x = q->o->extra;
    char *text = system_text(q->p);
    int most = q->o->max_tokens ? q->o->max_tokens : ANTHROPIC_MAX_TOKENS;
    (void)pr;
    bool ok = text && push_message(messages, "user", q->p->user);
    ok = ok && put(b, x, "model", model_json(q->c));
    ok = ok && put(b, x, "max_tokens", json_new_int(most));
    if (ok && *text) ok = put(b, x, "system", text_json(text));
    rec_free(text);
    if (ok)
        ok = put(b, x, "messages", messages);
    else
        json_delete(messages);
    if (q->o->has_temperature)
        ok = ok && put(b, x, "temperature", json_new_number(q->o->temperature));
    if (q->p->schema && q->level == SCHEMA_STRICT)
        ok = ok && put(b, x, "output_config", anthropic_format(q->p));
    return done(b, ok, x);
}

static json *rank_build(const protocol *pr, const protocol_call *q) {
    json *b = json_new_object();
    const json *x = q->o->extra;
    json *constant = json_parse(pr->constant, strlen(pr->constant), NULL);
    bool ok = constant != NULL;
    if (q->c && q->c->model) ok = ok && put(b, x, "model", model_json(q->c));
    ok = ok && put(b, x, "query", text_json(q->p->user));
    ok = ok && put(b, x, pr->documents, json_copy(q->p->documents));
    if (pr->top)
        ok = ok &&
             put(b, x, pr->top, json_new_int((int64_t)json_count(q->p->documents)));
    b = done(b, ok, x);
    if (b && !put_rest(b, constant)) {
        json_delete(b);
        b = NULL;
    }
    json_delete(constant);
    return b;
}

/* ---- reading ---------------------------------------------------------------------------------- */

/* A string, or an array of parts of which those of type text count. */
static char *content_text(const json *content) {
    bytes_writer w = {0};
    if (json_text(content)) bytes_puts(&w, json_text(content));
    if (json_is_array(content))
        for (const json *part = json_first(content); part; part = json_next(part)) {
            const char *type = json_text(json_get(part, "type"));
            const char *text = json_text(json_get(part, "text"));
            if (text && (!type || strcmp(type, "text") == 0)) bytes_puts(&w, text);
        }
    return bytes_take_text(&w);
}

/* How an answer ended; the names are those of every server that is known. */
static rec_status check_end(const char *field, const char *reason, rec_err *err) {
    static const char *const good[] = {"stop", "eos", "eos_token", "end_turn",
                                       "stop_sequence"};
    static const char *const cut[] = {"length", "max_tokens",
                                      "model_context_window_exceeded"};
    if (!reason) return REC_OK;
    for (size_t i = 0; i < sizeof good / sizeof good[0]; i++)
        if (strcmp(reason, good[i]) == 0) return REC_OK;
    for (size_t i = 0; i < sizeof cut / sizeof cut[0]; i++)
        if (strcmp(reason, cut[i]) == 0)
            return rec_fail(err, REC_NET,
                            "the answer was cut off at the token limit (%s %s)", field,
                            reason);
    if (strcmp(reason, "content_filter") == 0)
        return rec_fail(err, REC_NET, "the answer was withheld (%s content_filter)",
                        field);
    if (strcmp(reason, "refusal") == 0)
        return rec_fail(err, REC_NET, "the model refused (%s refusal)", field);
    return rec_fail(err, REC_NET, "the answer did not end with stop (%s %.40s)", field,
                    reason);
}

static rec_status take_content(const json *content, protocol_answer *out,
                               rec_err *err) {
    out->text = content_text(content);
    if (!out->text) return rec_nomem(err);
    if (*out->text) return REC_OK;
    return rec_fail(err, REC_NET, "the answer is empty");
}

static int64_t count_of(const json *usage, const char *key) {
    double x = json_number(json_get(usage, key), 0);
    return x > 0 && x < 1e12 ? (int64_t)x : 0;
}

static rec_status openai_parse(const json *r, const llm_prompt *p, protocol_answer *out,
                               rec_err *err) {
    const json *choice = json_first(json_get(r, "choices")),
               *usage = json_get(r, "usage"), *message = json_get(choice, "message");
    (void)p;
    out->prompt_tokens = count_of(usage, "prompt_tokens");
    out->completion_tokens = count_of(usage, "completion_tokens");
    if (!json_is_object(message))
        return rec_fail(err, REC_NET, "the response has no choices[0].message");
    const char *refusal = json_text(json_get(message, "refusal"));
    if (refusal && *refusal)
        return rec_fail(err, REC_NET, "the model refused: %.120s", refusal);
    rec_status st =
        check_end("finish_reason", json_text(json_get(choice, "finish_reason")), err);
    return st ? st : take_content(json_get(message, "content"), out, err);
}

static rec_status anthropic_parse(const json *r, const llm_prompt *p,
                                  protocol_answer *out, rec_err *err) {
    const json *usage = json_get(r, "usage"), *content = json_get(r, "content");
    (void)p;
    out->prompt_tokens = count_of(usage, "input_tokens") +
                         count_of(usage, "cache_read_input_tokens") +
                         count_of(usage, "cache_creation_input_tokens");
    out->completion_tokens = count_of(usage, "output_tokens");
    rec_status st =
        check_end("stop_reason", json_text(json_get(r, "stop_reason")), err);
    if (!st && !json_is_array(content))
        st = rec_fail(err, REC_NET, "the response has no content");
    return st ? st : take_content(content, out, err);
}

/* One result: its document's number, or -1 where it names none. */
static int64_t result_index(const json *e, size_t n) {
    int64_t i;
    if (!json_int64(json_get(e, "index"), &i) || i < 0 || (size_t)i >= n) return -1;
    return i;
}

/* The array [{"index", "relevance_score" or "score"}] stands alone or under results or data. The first of two
 * entries for a document counts, one for no document is passed over. */
static rec_status rank_parse(const json *r, const llm_prompt *p, protocol_answer *out,
                             rec_err *err) {
    size_t n = json_count(p->documents), n_found = 0;
    const json *list = json_is_array(r) ? r : json_get(r, "results");
    const json *usage = json_get(r, "usage");
    if (!list) list = json_get(r, "data");
    out->prompt_tokens = count_of(
        usage, json_get(usage, "prompt_tokens") ? "prompt_tokens" : "total_tokens");
    if (!json_is_array(list))
        return rec_fail(err, REC_NET, "the response has no list of results");
    double *score = rec_array(n, sizeof *score);
    if (!score) return rec_nomem(err);
    for (size_t i = 0; i < n; i++) score[i] = NAN;
    for (const json *e = json_first(list); e; e = json_next(e)) {
        int64_t i = result_index(e, n);
        double x = json_number(json_get(e, "relevance_score"),
                               json_number(json_get(e, "score"), NAN));
        if (i < 0 || !isfinite(x) || !isnan(score[i])) continue;
        score[i] = x;
        n_found++;
    }
    bytes_writer w = {0};
    for (size_t i = 0; i < n; i++) {
        bytes_puts(&w, i ? "," : "[");
        if (isnan(score[i]))
            bytes_puts(&w, "null");
        else
            bytes_printf(&w, "%.17g", score[i]);
    }
    bytes_puts(&w, n ? "]" : "[]");
    rec_free(score);
    out->text = bytes_take_text(&w);
    if (!out->text) return rec_nomem(err);
    return n_found ? REC_OK
                   : rec_fail(err, REC_NET, "the response ranks none of the documents");
}

/* ---- the table ---------------------------------------------------------------------------------- */

#define BEARER "Authorization: Bearer "

static const protocol protocols[] = {
    {.name = "openai",
     .path = "/chat/completions",
     .version = "/v1",
     .kind = PROTOCOL_CHAT,
     .key_header = BEARER,
     .build = openai_build,
     .parse = openai_parse},
    {.name = "anthropic",
     .path = "/messages",
     .version = "/v1",
     .kind = PROTOCOL_CHAT,
     .key_header = "x-api-key: ",
     .header = "anthropic-version: 2023-06-01",
     .build = anthropic_build,
     .parse = anthropic_parse},
    {.name = "rerank",
     .path = "/rerank",
     .version = "/v1",
     .kind = PROTOCOL_RANK,
     .key_header = BEARER,
     .build = rank_build,
     .parse = rank_parse,
     .documents = "documents",
     .top = "top_n",
     .constant = "{\"return_documents\":false}"},
    {.name = "rerank-cohere",
     .path = "/rerank",
     .version = "/v2",
     .kind = PROTOCOL_RANK,
     .key_header = BEARER,
     .build = rank_build,
     .parse = rank_parse,
     .documents = "documents",
     .top = "top_n",
     .constant = "{}"},
    {.name = "rerank-voyage",
     .path = "/rerank",
     .version = "/v1",
     .kind = PROTOCOL_RANK,
     .key_header = BEARER,
     .build = rank_build,
     .parse = rank_parse,
     .documents = "documents",
     .top = "top_k",
     .constant = "{\"return_documents\":false,\"truncation\":true}"},
    {.name = "rerank-tei",
     .path = "/rerank",
     .version = "",
     .kind = PROTOCOL_RANK,
     .key_header = BEARER,
     .build = rank_build,
     .parse = rank_parse,
     .documents = "texts",
     .constant = "{\"raw_scores\":false,\"return_text\":false,\"truncate\":true}"},
    {.name = "embeddings",
     .path = "/embeddings",
     .version = "/v1",
     .kind = PROTOCOL_EMBED,
     .key_header = BEARER},
};
#define N_PROTOCOLS (sizeof protocols / sizeof protocols[0])

const protocol *protocol_find(const char *name) {
    for (size_t i = 0; i < N_PROTOCOLS; i++)
        if (strcmp(protocols[i].name, name) == 0) return &protocols[i];
    return NULL;
}

bool provider_exists(const char *name, rec_err *err) {
    if (protocol_find(name)) return true;
    char have[200] = "";
    for (size_t i = 0, at = 0; i < N_PROTOCOLS; i++)
        at += rec_format(have + at, sizeof have - at, "%s%s", i ? ", " : "",
                         protocols[i].name);
    rec_fail(err, REC_RANGE, "protocol '%.40s' is not known (there are: %s)", name,
             have);
    return false;
}

protocol_kind protocol_kind_of(const llm_config *c) {
    return protocol_find(c->protocol)->kind;
}

void protocol_headers(const llm_config *c, const llm_settings *o, http_request *q) {
    const protocol *pr = protocol_find(c->protocol);
    q->key_header = o->key_header[0] ? o->key_header : pr->key_header;
    q->header = pr->header;
}

rec_status protocol_body(const protocol_call *q, char **out, rec_err *err) {
    const protocol *pr = protocol_find(q->c ? q->c->protocol : "openai");
    json *b = pr->build ? pr->build(pr, q) : NULL;
    *out = b ? json_print(b) : NULL;
    json_delete(b);
    return *out ? REC_OK : rec_nomem(err);
}

rec_status protocol_parse(const llm_config *c, const json *response,
                          const llm_prompt *p, protocol_answer *out, rec_err *err) {
    return protocol_find(c->protocol)->parse(response, p, out, err);
}

/* ---- the URL --------------------------------------------------------------------------------------- */

/* Does a segment of the path look like v1, v2, v1beta? */
static bool has_version(const char *path, size_t n) {
    for (size_t i = 0; i + 2 < n; i++)
        if (path[i] == '/' && path[i + 1] == 'v' && path[i + 2] >= '0' &&
            path[i + 2] <= '9')
            return true;
    return false;
}

static bool ends_with(const url_parts *u, size_t n, const char *path) {
    size_t k = strlen(path);
    return n >= k && memcmp(u->path + n - k, path, k) == 0;
}

/* A base that is the whole URL of the row's own protocol serves other paths beside it. */
char *protocol_url(const llm_config *c, const char *path, rec_err *err) {
    const protocol *pr = protocol_find(c->protocol);
    url_parts u;
    if (url_check(c->base_url, &u, err)) return NULL;
    if (!path) path = pr->path;
    size_t n = u.n_path;
    while (n && u.path[n - 1] == '/') n--;
    bool is_whole = ends_with(&u, n, path);
    bool is_own = !is_whole && ends_with(&u, n, pr->path);
    if (is_own) n -= strlen(pr->path);
    bytes_writer w = {0};
    bytes_put(&w, c->base_url, (size_t)(u.path - c->base_url) + n);
    if (!is_whole && !is_own && !has_version(u.path, n)) bytes_puts(&w, pr->version);
    if (!is_whole) bytes_puts(&w, path);
    char *url = bytes_take_text(&w);
    if (!url) rec_nomem(err);
    return url;
}
