/* provider.c - wire formats, and the one way to ask a model.
 *
 *     llm_ask:  settings -> body -> kept answer? -> admit -> key -> POST -> status -> parse -> keep
 *                             ^                                  |
 *                             +-- weaker schema, another seed ---+   at most MAX_VARIANTS times
 *
 * A protocol is a row of `providers`: the path that is joined to base_url, a function that writes the body
 * and one that reads the answer. Adding one is a row and two functions.
 *
 * openai, the chat form that most servers speak. Three things are known to go wrong with it and shape this
 * file: the schema must be nested (response_format.json_schema.schema) or servers ignore it without a word;
 * a schema may be refused, so a 400 that speaks of it lowers the level for this row and asks again; and an
 * answer that ended for any reason but "stop" is not an answer, however well it parses. The schema also
 * stands in the system text, for servers that drop the field.
 *
 * P1. Only fields that the row's options set are sent, besides model, messages and response_format.
 * P2. Errors name the row, the host, the HTTP status and the model.
 * P3. 401, 403 and 404 are mistakes of configuration and stop the statement (REC_RANGE). Everything else
 *     that goes wrong is REC_NET, and the builtin answers instead.
 * P4. The key is read after the cache and the limits have agreed to the call, and wiped after it.
 */
#include "llm.h"

#include <strings.h>

#define MAX_VARIANTS   3
#define MAX_ERROR_TEXT 200

typedef struct parsed {
    char *text; /* owned */
    int64_t prompt_tokens, completion_tokens;
} parsed;

typedef struct provider {
    const char *name, *path;
    json *(*build)(const llm_config *c, const llm_settings *o, const llm_prompt *p,
                   schema_level level, int variant);
    rec_status (*parse)(const json *response, parsed *out, rec_err *err);
} provider;

/* ---- openai: building ------------------------------------------------------------------------- */

static json *text_json(const char *s) {
    return json_new_text(s, strlen(s));
}

/* The row's `extra` wins over what we would send. */
static bool put(json *body, const json *extra, const char *key, json *value) {
    const json *other = json_get(extra, key);
    if (!other) return json_set(body, key, value);
    json_delete(value);
    return json_set(body, key, json_copy(other));
}

static bool push_message(json *messages, const char *role, const char *content) {
    json *m = json_new_object();
    bool ok = json_set(m, "role", text_json(role)) &&
              json_set(m, "content", text_json(content));
    if (ok) return json_push(messages, m);
    json_delete(m);
    return false;
}

static json *openai_messages(const llm_prompt *p) {
    bytes_writer system = {0};
    bytes_puts(&system, p->system ? p->system : "");
    char *schema = p->schema ? json_print(p->schema) : NULL;
    bool ok = !p->schema || schema;
    if (schema) {
        bytes_puts(
            &system,
            "\nAnswer with one JSON object, and nothing else, that follows this JSON "
            "schema:\n");
        bytes_puts(&system, schema);
    }
    rec_free(schema);
    bool has_system = system.n > 0;
    char *text = bytes_take_text(&system);
    json *messages = json_new_array();
    ok = ok && text && (!has_system || push_message(messages, "system", text)) &&
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

static json *openai_build(const llm_config *c, const llm_settings *o,
                          const llm_prompt *p, schema_level level, int variant) {
    json *b = json_new_object();
    const json *x = o->extra;
    bool ok = put(b, x, "model", c && c->model ? text_json(c->model) : json_new_null());
    ok = ok && put(b, x, "messages", openai_messages(p));
    if (o->has_temperature)
        ok = ok && put(b, x, "temperature", json_new_number(o->temperature));
    if (o->max_tokens)
        ok = ok && put(b, x, o->max_tokens_field, json_new_int(o->max_tokens));
    if (variant) ok = ok && put(b, x, "seed", json_new_int(variant));
    if (p->schema && level != SCHEMA_NONE)
        ok = ok && put(b, x, "response_format", openai_format(p, level));
    for (const json *e = json_first(x); e && ok; e = json_next(e))
        if (!json_get(b, json_key(e))) ok = json_set(b, json_key(e), json_copy(e));
    if (ok) return b;
    json_delete(b);
    return NULL;
}

/* ---- openai: reading ---------------------------------------------------------------------------- */

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

static bool ended_well(const char *reason) {
    static const char *const good[] = {"stop", "eos", "eos_token", "end_turn"};
    for (size_t i = 0; reason && i < sizeof good / sizeof good[0]; i++)
        if (strcmp(reason, good[i]) == 0) return true;
    return reason == NULL;
}

static rec_status openai_parse(const json *r, parsed *out, rec_err *err) {
    const json *choice = json_first(json_get(r, "choices")),
               *usage = json_get(r, "usage");
    const json *message = json_get(choice, "message");
    out->prompt_tokens = (int64_t)json_number(json_get(usage, "prompt_tokens"), 0);
    out->completion_tokens =
        (int64_t)json_number(json_get(usage, "completion_tokens"), 0);
    if (!json_is_object(message))
        return rec_fail(err, REC_NET, "the response has no choices[0].message");
    const char *refusal = json_text(json_get(message, "refusal"));
    const char *reason = json_text(json_get(choice, "finish_reason"));
    if (refusal && *refusal)
        return rec_fail(err, REC_NET, "the model refused: %.120s", refusal);
    if (reason && strcmp(reason, "length") == 0)
        return rec_fail(
            err, REC_NET,
            "the answer was cut off at the token limit (finish_reason length)");
    if (reason && strcmp(reason, "content_filter") == 0)
        return rec_fail(err, REC_NET,
                        "the answer was withheld (finish_reason content_filter)");
    if (!ended_well(reason))
        return rec_fail(err, REC_NET,
                        "the answer did not end with stop (finish_reason %.40s)",
                        reason);
    out->text = content_text(json_get(message, "content"));
    if (!out->text) return rec_nomem(err);
    if (*out->text) return REC_OK;
    return rec_fail(err, REC_NET, "the answer is empty");
}

static const provider providers[] = {
    {"openai", "/chat/completions", openai_build, openai_parse},
};
#define N_PROVIDERS (sizeof providers / sizeof providers[0])

static const provider *provider_find(const char *name) {
    for (size_t i = 0; i < N_PROVIDERS; i++)
        if (strcmp(providers[i].name, name) == 0) return &providers[i];
    return NULL;
}

bool provider_exists(const char *protocol, rec_err *err) {
    if (provider_find(protocol)) return true;
    char have[100] = "";
    for (size_t i = 0, at = 0; i < N_PROVIDERS; i++)
        at += rec_format(have + at, sizeof have - at, "%s%s", i ? ", " : "",
                         providers[i].name);
    rec_fail(err, REC_RANGE, "protocol '%.40s' is not known (there is: %s)", protocol,
             have);
    return false;
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

/* A base that is the whole URL of a chat serves other paths beside it. */
static char *join_url(const llm_config *c, const char *path, rec_err *err) {
    const char *own = provider_find(c->protocol)->path;
    url_parts u;
    if (url_check(c->base_url, &u, err)) return NULL;
    size_t n = u.n_path;
    while (n && u.path[n - 1] == '/') n--;
    bool is_whole = ends_with(&u, n, path);
    bool is_chat = !is_whole && ends_with(&u, n, own);
    if (is_chat) n -= strlen(own);
    bytes_writer w = {0};
    bytes_put(&w, c->base_url, (size_t)(u.path - c->base_url) + n);
    if (!is_whole && !is_chat && !has_version(u.path, n)) bytes_puts(&w, "/v1");
    if (!is_whole) bytes_puts(&w, path);
    char *url = bytes_take_text(&w);
    if (!url) rec_nomem(err);
    return url;
}

char *provider_url(const llm_config *c, rec_err *err) {
    return join_url(c, provider_find(c->protocol)->path, err);
}

static rec_status make_body(const llm_config *c, const llm_settings *o,
                            const llm_prompt *p, schema_level level, int variant,
                            char **out, rec_err *err) {
    const provider *pr = provider_find(c ? c->protocol : "openai");
    json *b = pr->build(c, o, p, level, variant);
    *out = b ? json_print(b) : NULL;
    json_delete(b);
    return *out ? REC_OK : rec_nomem(err);
}

rec_status provider_body(llm_session *s, const llm_config *c, const llm_prompt *p,
                         char **out, rec_err *err) {
    llm_settings o;
    *out = NULL;
    rec_status st = llm_settings_parse(c ? c->options : NULL, &o, err);
    if (!st)
        st = make_body(c, &o, p, c ? *llm_config_level(s, c) : SCHEMA_STRICT, 0, out,
                       err);
    llm_settings_clear(&o);
    return st;
}

/* ---- what a failing server says ----------------------------------------------------------------------- */

static const char *error_in(const json *r) {
    const json *e = json_get(r, "error"), *d = json_get(r, "detail");
    if (json_text(json_get(e, "message"))) return json_text(json_get(e, "message"));
    if (json_text(e)) return json_text(e);
    if (json_text(json_get(r, "message"))) return json_text(json_get(r, "message"));
    if (json_text(d)) return json_text(d);
    if (json_text(json_first(d))) return json_text(json_first(d));
    return json_text(json_get(json_first(d), "msg"));
}

/* Owned; NULL on OOM. */
static char *error_text(const http_response *h) {
    json *r = json_parse(h->body, h->nbyte, NULL);
    const char *s = r ? error_in(r) : NULL;
    char *text = s ? prompt_clean(s, strlen(s), MAX_ERROR_TEXT)
                   : prompt_clean(h->body, h->nbyte, MAX_ERROR_TEXT);
    json_delete(r);
    return text;
}

static bool says(const char *text, const char *word) {
    size_t n = strlen(text), k = strlen(word);
    for (size_t i = 0; i + k <= n; i++)
        if (strncasecmp(text + i, word, k) == 0) return true;
    return false;
}

typedef enum { VARIANT_NONE, VARIANT_WEAKER_SCHEMA, VARIANT_OTHER_SEED } variant_kind;

/* Is this failure one that another form of the same request can avoid? */
static variant_kind other_variant(int status, const char *why, schema_level level,
                                  bool has_schema) {
    if (!has_schema) return VARIANT_NONE;
    if (status == 500 && says(why, "peg-native")) return VARIANT_OTHER_SEED;
    bool about_schema = says(why, "response_format") || says(why, "schema") ||
                        says(why, "structured output") || says(why, "grammar");
    if ((status == 400 || status == 422) && about_schema && level != SCHEMA_NONE)
        return VARIANT_WEAKER_SCHEMA;
    return VARIANT_NONE;
}

/* ---- asking ----------------------------------------------------------------------------------------------- */

void llm_reply_clear(llm_reply *r) {
    rec_free(r->text), rec_free(r->key);
    *r = (llm_reply){0};
}

typedef struct asking { /* one llm_ask on its way */
    llm_session *s;
    const llm_config *c;
    const llm_prompt *p;
    llm_settings o;
    char *url, *body; /* owned */
    secret key;
    parsed got; /* owned text */
    double deadline;
    int http, retries;
    int64_t ms;
} asking;

static rec_status ask_fail(const asking *a, rec_status code, const char *why,
                           rec_err *err) {
    url_parts u;
    char status[24] = "";
    url_check(a->c->base_url, &u, NULL);
    if (a->http) rec_format(status, sizeof status, "HTTP %d, ", a->http);
    return rec_fail(err, code, "llm '%.40s' (%.*s, %smodel %.60s): %.240s", a->c->name,
                    (int)u.n_host, u.host, status, a->c->model ? a->c->model : "-",
                    why);
}

static rec_status post_once(asking *a, http_response *h, rec_err *err) {
    http *net = llm_session_http(a->s);
    double left = (a->deadline - rec_seconds()) * 1000;
    http_request q = {.url = a->url,
                      .body = a->body,
                      .nbyte = strlen(a->body),
                      .key = &a->key,
                      .timeout_ms = left > 1 ? (long)left : 1,
                      .retries = a->o.retries};
    llm_session_request(a->s, &q);
    rec_err why = {0};
    a->http = 0;
    rec_status st = http_post(net, &q, h, &why);
    a->http = h->status, a->retries += h->retries, a->ms += h->ms;
    if (st == REC_INTR || st == REC_NOMEM) return rec_fail(err, st, "%s", why.msg);
    return st ? ask_fail(a, st, why.msg, err) : REC_OK;
}

static rec_status read_answer(asking *a, const http_response *h, rec_err *err) {
    rec_err why = {0};
    json *r = json_parse(h->body, h->nbyte, &why);
    rec_status st =
        r ? provider_find(a->c->protocol)->parse(r, &a->got, &why) : REC_NET;
    json_delete(r);
    if (st == REC_NOMEM) return rec_nomem(err);
    return st ? ask_fail(a, REC_NET, why.msg, err) : REC_OK;
}

/* Post, and again in another form where that may help. */
static rec_status converse(asking *a, rec_err *err) {
    schema_level *level = llm_config_level(a->s, a->c);
    for (int variant = 0;; variant++) {
        http_response h = {0};
        rec_status st = post_once(a, &h, err);
        if (!st && h.status >= 200 && h.status < 300) {
            st = read_answer(a, &h, err);
            http_response_clear(&h);
            return st;
        }
        char *why = st ? NULL : error_text(&h);
        http_response_clear(&h);
        if (st) return st;
        if (!why) return rec_nomem(err);
        variant_kind kind =
            variant + 1 < MAX_VARIANTS
                ? other_variant(a->http, why, *level, a->p->schema != NULL)
                : VARIANT_NONE;
        if (kind == VARIANT_NONE) {
            bool is_config =
                a->http == 401 || a->http == 403 || a->http == 404; /* P3 */
            if (a->http >= 300 && a->http < 400)
                st = ask_fail(a, REC_NET, "redirects are not followed", err);
            else
                st = ask_fail(a, is_config ? REC_RANGE : REC_NET,
                              *why ? why : "no message", err);
            rec_free(why);
            return st;
        }
        rec_free(why);
        if (kind == VARIANT_WEAKER_SCHEMA) (*level)++;
        rec_free(a->body);
        st = make_body(a->c, &a->o, a->p, *level,
                       kind == VARIANT_OTHER_SEED ? variant + 1 : 0, &a->body, err);
        if (st) return st;
    }
}

static void note(const asking *a, const char *function, const char *status,
                 bool is_hit) {
    llm_usage_row u = {.function = function,
                       .model = a->c->model ? a->c->model : a->c->name,
                       .status = status,
                       .http = a->http,
                       .retries = a->retries,
                       .cache_hit = is_hit,
                       .prompt_tokens = a->got.prompt_tokens,
                       .completion_tokens = a->got.completion_tokens,
                       .ms = a->ms};
    llm_usage_add(a->s, &u);
}

/* The kept answer or failure, if there is one. */
static bool ask_cache(asking *a, const char *function, llm_reply *out, rec_status *st,
                      rec_err *err) {
    llm_cached hit;
    if (!llm_cache_get(a->s, out->key, strlen(out->key), &hit)) return false;
    note(a, function, hit.failure ? "failed" : "cache", true);
    if (hit.failure) {
        *st = rec_fail(err, hit.failure, "%s", hit.text);
        return true;
    }
    out->text = rec_strdup(hit.text);
    out->is_cached = !hit.is_fresh;
    *st = out->text ? REC_OK : rec_nomem(err);
    return true;
}

static rec_status ask_server(asking *a, const char *function, bool in_transaction,
                             llm_reply *out, rec_err *err) {
    rec_err why = {0};
    rec_status st = llm_admit(a->s, &a->o, in_transaction, err);
    if (st) return st;
    if ((st = secret_read(a->c->key_env, &a->key, &why)))
        return ask_fail(a, st, why.msg, err);
    a->deadline = rec_seconds() + a->o.timeout_ms / 1000.0;
    st = converse(a, &why);
    if (st) *err = why;
    if (st == REC_INTR || st == REC_NOMEM) return st;
    note(a, function, st ? "failed" : "ok", false);
    if (st == REC_OK)
        llm_cache_put(a->s, out->key, strlen(out->key), a->got.text, REC_OK);
    if (st == REC_NET)
        llm_cache_put(a->s, out->key, strlen(out->key), why.msg, REC_NET);
    out->text = a->got.text, a->got.text = NULL;
    return st;
}

rec_status llm_ask(llm_session *s, const llm_config *c, const llm_prompt *p,
                   const char *function, bool in_transaction, llm_reply *out,
                   rec_err *err) {
    *out = (llm_reply){0};
    asking a = {.s = s, .c = c, .p = p};
    rec_status st = llm_settings_parse(c->options, &a.o, err);
    if (!st && !(a.url = provider_url(c, err))) st = err->code;
    if (!st) st = make_body(c, &a.o, p, *llm_config_level(s, c), 0, &a.body, err);
    if (!st) {
        bytes_writer w = {0};
        bytes_printf(&w, "%s %s\n", c->protocol, a.url);
        bytes_puts(&w, a.body);
        out->key = bytes_take_text(&w);
        if (!out->key) st = rec_nomem(err);
    }
    if (!st && !ask_cache(&a, function, out, &st, err))
        st = ask_server(&a, function, in_transaction, out, err);
    secret_wipe(&a.key);
    llm_settings_clear(&a.o);
    rec_free(a.url), rec_free(a.body), rec_free(a.got.text);
    if (st) llm_reply_clear(out);
    return st;
}

/* ---- other paths -------------------------------------------------------------------------------------------- */

static rec_status post_failed(asking *a, const http_response *h, rec_err *err) {
    char *why = error_text(h);
    if (!why) return rec_nomem(err);
    bool is_config = a->http == 401 || a->http == 403 || a->http == 404; /* P3 */
    rec_status st =
        ask_fail(a, is_config ? REC_RANGE : REC_NET,
                 a->http >= 300 && a->http < 400 ? "redirects are not followed"
                 : *why                          ? why
                                                 : "no message",
                 err);
    rec_free(why);
    return st;
}

static rec_status read_response(asking *a, const http_response *h, json **out,
                                rec_err *err) {
    rec_err why = {0};
    if (a->http < 200 || a->http >= 300) return post_failed(a, h, err);
    *out = json_parse(h->body, h->nbyte, &why);
    if (!*out)
        return why.code == REC_NOMEM ? rec_nomem(err)
                                     : ask_fail(a, REC_NET, why.msg, err);
    const json *usage = json_get(*out, "usage");
    a->got.prompt_tokens = (int64_t)json_number(json_get(usage, "prompt_tokens"), 0);
    return REC_OK;
}

rec_status llm_post(llm_session *s, const llm_call *q, json **out, int *status,
                    rec_err *err) {
    asking a = {.s = s, .c = q->c, .o = *q->o, .body = (char *)q->body};
    rec_err why = {0};
    http_response h = {0};
    *out = NULL;
    *status = 0;
    rec_status st = llm_admit(s, q->o, q->in_transaction, err);
    if (st) return st;
    if (!(a.url = join_url(q->c, q->path, err))) return err ? err->code : REC_RANGE;
    if ((st = secret_read(q->c->key_env, &a.key, &why)))
        st = ask_fail(&a, st, why.msg, err);
    a.deadline = rec_seconds() + q->o->timeout_ms / 1000.0;
    bool is_sent = !st;
    if (!st) st = post_once(&a, &h, err);
    if (!st) st = read_response(&a, &h, out, err);
    *status = a.http;
    if (is_sent && st != REC_INTR && st != REC_NOMEM)
        note(&a, q->function, st ? "failed" : "ok", false);
    http_response_clear(&h);
    secret_wipe(&a.key);
    rec_free(a.url);
    return st;
}
