/* registry.c - what one connection knows about models: rows, limits, usage.
 *
 *     llm_models   rows --- choose ---> provider.c
 *     llm_usage    ring of the last LLM_USAGE_ROWS calls
 *     llm_cache    answers kept                                      cache.c
 *
 * Everything lives in memory and ends with the connection. Nothing comes from a table of the database file:
 * a file that somebody sends must not be able to choose where a key goes. With no row inserted, the
 * environment may name a server (read once, at the first use):
 *
 *     REC_LLM_BASE_URL   required; the row is called 'default'
 *     REC_LLM_MODEL      model name
 *     REC_LLM_PROTOCOL   'openai' unless set
 *     REC_LLM_KEY_ENV    name of the variable that holds the key; REC_LLM_API_KEY if that one is set
 *     REC_LLM_OPTIONS    JSON as in the options column
 *
 * R1. A variable that holds a key belongs to the first host that it was registered with; on this
 *     connection no other host gets it.
 * R2. Calls and tokens are counted before and after every request; a limit that is reached is an error,
 *     not a fallback: a bill must not grow because nobody looked.
 */
#include "llm.h"

#include <stdlib.h>
#include <strings.h>
#include <time.h>

#define MAX_TEXT_OPTION 16384

typedef struct config_row {
    llm_config c; /* first: a pointer to it is a pointer to the row */
    schema_level level;
    bool has_level;
} config_row;

typedef struct key_binding { /* R1 */
    char *key_env, *host;
} key_binding;

typedef struct usage_entry {
    llm_usage_row row;
    char function[24], model[80], status[12];
} usage_entry;

struct llm_session {
    config_row *row[LLM_MAX_CONFIGS];
    size_t n_row;
    key_binding *binding;
    size_t n_binding, cap_binding;
    bool env_read;
    rec_err env_error; /* why the environment's row could not be made */
    bool (*interrupted)(void *);
    bool (*in_write)(void *);
    void *interrupted_ctx, *in_write_ctx;
    http *http;
    usage_entry usage[LLM_USAGE_ROWS];
    size_t n_usage; /* ever */
    int64_t n_calls, n_tokens;
    int64_t began_calls, began_tokens; /* those when a function of SQL began */
    llm_cache *cache;
};

static void config_clear(llm_config *c) {
    rec_free(c->name), rec_free(c->protocol), rec_free(c->base_url);
    rec_free(c->model), rec_free(c->key_env), rec_free(c->options);
    *c = (llm_config){0};
}

llm_session *llm_session_new(void) {
    llm_session *s = rec_zeros(1, sizeof *s);
    if (!s) return NULL;
    s->cache = llm_cache_new();
    if (s->cache) return s;
    rec_free(s);
    return NULL;
}

void llm_session_free(llm_session *s) {
    if (!s) return;
    for (size_t i = 0; i < s->n_row; i++) {
        config_clear(&s->row[i]->c);
        rec_free(s->row[i]);
    }
    for (size_t i = 0; i < s->n_binding; i++)
        rec_free(s->binding[i].key_env), rec_free(s->binding[i].host);
    rec_free(s->binding);
    llm_cache_free(s->cache);
    http_free(s->http);
    rec_free(s);
}

void llm_session_set_interrupt(llm_session *s, bool (*fn)(void *), void *ctx) {
    s->interrupted = fn, s->interrupted_ctx = ctx;
}
void llm_session_set_in_write(llm_session *s, bool (*fn)(void *), void *ctx) {
    s->in_write = fn, s->in_write_ctx = ctx;
}
void llm_session_request(const llm_session *s, http_request *q) {
    q->interrupted = s->interrupted, q->ctx = s->interrupted_ctx;
}
llm_cache *llm_session_cache(llm_session *s) {
    return s->cache;
}
http *llm_session_http(llm_session *s) {
    if (!s->http) s->http = http_new();
    return s->http;
}

/* ---- options of a row ------------------------------------------------------------------------- */

static rec_status bad_option(rec_err *err, const char *name, const char *rule) {
    return rec_fail(err, REC_RANGE, "llm_models: option \"%s\" must be %s", name, rule);
}

static rec_status option_int(const json *j, const char *name, int64_t min, int64_t max,
                             int64_t *out, rec_err *err) {
    if (json_int64(j, out) && *out >= min && *out <= max) return REC_OK;
    return rec_fail(err, REC_RANGE,
                    "llm_models: option \"%s\" must be an integer from %lld to %lld",
                    name, (long long)min, (long long)max);
}

static rec_status option_schema(const json *j, schema_level *out, rec_err *err) {
    static const char *const names[] = {"json_schema", "json_object", "none"};
    const char *s = json_text(j);
    for (int i = 0; s && i < 3; i++)
        if (strcmp(s, names[i]) == 0) {
            *out = (schema_level)i;
            return REC_OK;
        }
    return bad_option(err, "schema", "json_schema, json_object or none");
}

static rec_status option_field(const json *j, char out[40], rec_err *err) {
    const char *s = json_text(j);
    if (!s || !*s || strlen(s) >= 40)
        return bad_option(err, "max_tokens_field", "a field's name");
    memcpy(out, s, strlen(s) + 1);
    return REC_OK;
}

/* The name of a header, such as api-key. */
static rec_status option_header(const json *j, char out[48], rec_err *err) {
    const char *s = json_text(j);
    size_t n = s ? strlen(s) : 0;
    bool ok = n > 0 && n < 40;
    for (size_t i = 0; i < n; i++)
        ok = ok && ((s[i] >= 'a' && s[i] <= 'z') || (s[i] >= 'A' && s[i] <= 'Z') ||
                    (s[i] >= '0' && s[i] <= '9') || s[i] == '-' || s[i] == '_');
    if (!ok) return bad_option(err, "key_header", "a header's name, such as api-key");
    rec_format(out, 48, "%s: ", s);
    return REC_OK;
}

typedef struct int_option {
    const char *name;
    int64_t min, max;
    size_t offset;
    bool is_long;
} int_option;

static const int_option int_options[] = {
    {"max_tokens", 1, 1000000, offsetof(llm_settings, max_tokens), false},
    {"timeout_ms", HTTP_MIN_TIMEOUT_MS, HTTP_MAX_TIMEOUT_MS,
     offsetof(llm_settings, timeout_ms), false},
    {"retries", 0, HTTP_MAX_RETRIES, offsetof(llm_settings, retries), false},
    {"concurrency", 1, LLM_MAX_CONCURRENCY, offsetof(llm_settings, concurrency), false},
    {"rank_batch", 1, LLM_MAX_RANK_BATCH, offsetof(llm_settings, rank_batch), false},
    {"embed_batch", 1, EMBED_MAX_BATCH, offsetof(llm_settings, embed_batch), false},
    {"embed_tokens", EMBED_MIN_TOKENS, EMBED_MAX_TOKENS,
     offsetof(llm_settings, embed_tokens), false},
    {"max_calls", 0, INT64_MAX, offsetof(llm_settings, max_calls), true},
    {"max_total_tokens", 0, INT64_MAX, offsetof(llm_settings, max_total_tokens), true},
    {"call_max_calls", 0, INT64_MAX, offsetof(llm_settings, call_max_calls), true},
    {"call_max_tokens", 0, INT64_MAX, offsetof(llm_settings, call_max_tokens), true},
};

/* *is_known: the option is one of the numbers above. */
static rec_status option_number(const json *j, llm_settings *o, bool *is_known,
                                rec_err *err) {
    for (size_t i = 0; i < sizeof int_options / sizeof int_options[0]; i++) {
        const int_option *k = &int_options[i];
        int64_t x = 0;
        if (strcmp(k->name, json_key(j)) != 0) continue;
        *is_known = true;
        rec_status st = option_int(j, k->name, k->min, k->max, &x, err);
        if (st) return st;
        char *to = (char *)o + k->offset;
        if (k->is_long)
            *(int64_t *)(void *)to = x;
        else
            *(int *)(void *)to = (int)x;
        return REC_OK;
    }
    return REC_OK;
}

static rec_status option_one(const json *j, llm_settings *o, rec_err *err) {
    const char *k = json_key(j);
    bool is_known = false;
    rec_status st = option_number(j, o, &is_known, err);
    if (is_known) return st;
    if (strcmp(k, "max_tokens_field") == 0)
        return option_field(j, o->max_tokens_field, err);
    if (strcmp(k, "key_header") == 0) return option_header(j, o->key_header, err);
    if (strcmp(k, "schema") == 0) return option_schema(j, &o->schema, err);
    if (strcmp(k, "temperature") == 0) {
        o->temperature = json_number(j, -1), o->has_temperature = true;
        if (!(o->temperature >= 0 && o->temperature <= 2))
            st = bad_option(err, k, "a number from 0 to 2");
    } else if (strcmp(k, "in_transaction") == 0) {
        o->in_transaction = json_truth(j, false);
        if (!json_is_bool(j)) st = bad_option(err, k, "true or false");
    } else if (strcmp(k, "extra") == 0) {
        if (!json_is_object(j))
            return bad_option(err, k, "an object that is merged into the request");
        json_delete(o->extra);
        o->extra = json_copy(j);
        if (!o->extra) st = rec_nomem(err);
    } else {
        st = rec_fail(
            err, REC_RANGE,
            "llm_models: no option \"%s\" (there are max_tokens_field, max_tokens, "
            "temperature, schema, timeout_ms, retries, concurrency, max_calls, "
            "max_total_tokens, call_max_calls, call_max_tokens, in_transaction, "
            "key_header, rank_batch, embed_batch, embed_tokens, extra)",
            k);
    }
    return st;
}

void llm_settings_clear(llm_settings *o) {
    json_delete(o->extra);
    o->extra = NULL;
}

rec_status llm_settings_parse(const char *options, llm_settings *out, rec_err *err) {
    *out = (llm_settings){.max_tokens_field = "max_tokens",
                          .timeout_ms = HTTP_DEFAULT_TIMEOUT_MS,
                          .retries = HTTP_DEFAULT_RETRIES,
                          .concurrency = LLM_DEFAULT_CONCURRENCY,
                          .rank_batch = LLM_DEFAULT_RANK_BATCH,
                          .embed_batch = EMBED_DEFAULT_BATCH,
                          .embed_tokens = EMBED_DEFAULT_TOKENS,
                          .max_calls = LLM_DEFAULT_MAX_CALLS};
    if (!options || !*options) return REC_OK;
    rec_err why = {0};
    json *j = json_parse(options, strlen(options), &why);
    rec_status st = REC_OK;
    if (!j)
        st = rec_fail(err, why.code, "llm_models: options: %s", why.msg);
    else if (!json_is_object(j))
        st = rec_fail(err, REC_RANGE, "llm_models: options must be a JSON object");
    for (const json *c = json_first(j); c && st == REC_OK; c = json_next(c))
        st = option_one(c, out, err);
    json_delete(j);
    if (st) llm_settings_clear(out);
    return st;
}

/* ---- rows ------------------------------------------------------------------------------------------ */

static rec_status check_text(const char *column, const char *v, rec_err *err) {
    size_t n = v ? strlen(v) : 0;
    if (n > MAX_TEXT_OPTION)
        return rec_fail(err, REC_RANGE, "llm_models: %s has more than %d bytes", column,
                        MAX_TEXT_OPTION);
    for (size_t i = 0; i < n; i++)
        if ((unsigned char)v[i] < ' ')
            return rec_fail(err, REC_RANGE, "llm_models: %s holds a control character",
                            column);
    return REC_OK;
}

static key_binding *find_binding(llm_session *s, const char *key_env) {
    for (size_t i = 0; i < s->n_binding; i++)
        if (strcmp(s->binding[i].key_env, key_env) == 0) return &s->binding[i];
    return NULL;
}

/* R1. */
static rec_status bind_key(llm_session *s, const char *key_env, const url_parts *url,
                           rec_err *err) {
    if (!key_env || !*key_env) return REC_OK;
    key_binding *b = find_binding(s, key_env);
    if (b && strlen(b->host) == url->n_host &&
        strncasecmp(b->host, url->host, url->n_host) == 0)
        return REC_OK;
    if (b)
        return rec_fail(
            err, REC_RANGE,
            "llm_models: the key in %s is bound to the host %s on this connection; "
            "use another variable for %.*s",
            key_env, b->host, (int)url->n_host, url->host);
    rec_status st =
        rec_grow(&s->binding, &s->cap_binding, s->n_binding + 1, sizeof *b, err);
    if (st) return st;
    b = &s->binding[s->n_binding];
    b->key_env = rec_strdup(key_env);
    b->host = rec_strndup(url->host, url->n_host);
    if (b->key_env && b->host) {
        s->n_binding++;
        return REC_OK;
    }
    rec_free(b->key_env), rec_free(b->host);
    return rec_nomem(err);
}

static rec_status check_config(const llm_config *c, url_parts *url, rec_err *err) {
    rec_err why = {0};
    rec_status st = REC_OK;
    if (!c->name || !*c->name)
        return rec_fail(err, REC_RANGE, "llm_models: name must not be empty");
    if (strcmp(c->name, "builtin") == 0)
        return rec_fail(
            err, REC_RANGE,
            "llm_models: 'builtin' is the name of the rules that need no server");
    if (!c->base_url || !*c->base_url)
        return rec_fail(err, REC_RANGE, "llm_models: base_url is missing");
    if ((st = url_check(c->base_url, url, &why)))
        return rec_fail(err, st, "llm_models: %s", why.msg);
    if (c->protocol && !provider_exists(c->protocol, &why))
        return rec_fail(err, REC_RANGE, "llm_models: %s", why.msg);
    if (c->key_env && *c->key_env && !secret_is_name(c->key_env))
        return rec_fail(
            err, REC_RANGE,
            "llm_models: key_env must be the NAME of an environment variable, such as "
            "OPENAI_API_KEY, never the key");
    const char *const names[] = {"name", "model", "options"};
    const char *const values[] = {c->name, c->model, c->options};
    for (int i = 0; i < 2; i++)
        if ((st = check_text(names[i], values[i], err))) return st;
    llm_settings o;
    st = llm_settings_parse(c->options, &o, err);
    llm_settings_clear(&o);
    return st;
}

static rec_status copy_text(char **out, const char *v, rec_err *err) {
    *out = NULL;
    if (!v || !*v) return REC_OK;
    *out = rec_strdup(v);
    return *out ? REC_OK : rec_nomem(err);
}

static rec_status copy_config(llm_config *out, const llm_config *c, rec_err *err) {
    *out = (llm_config){0};
    rec_status st = copy_text(&out->name, c->name, err);
    if (!st) st = copy_text(&out->protocol, c->protocol ? c->protocol : "openai", err);
    if (!st) st = copy_text(&out->base_url, c->base_url, err);
    if (!st) st = copy_text(&out->model, c->model, err);
    if (!st) st = copy_text(&out->key_env, c->key_env, err);
    if (!st) st = copy_text(&out->options, c->options, err);
    if (st) config_clear(out);
    return st;
}

static size_t find_row(const llm_session *s, const char *name) {
    size_t i = 0;
    while (i < s->n_row && strcmp(s->row[i]->c.name, name) != 0) i++;
    return i;
}

static rec_status put(llm_session *s, const llm_config *c, rec_err *err) {
    url_parts url;
    rec_status st = check_config(c, &url, err);
    if (st) return st;
    size_t i = find_row(s, c->name);
    if (i == LLM_MAX_CONFIGS)
        return rec_fail(err, REC_RANGE, "llm_models: more than %d rows",
                        LLM_MAX_CONFIGS);
    llm_config copy;
    st = copy_config(&copy, c, err);
    if (!st) st = bind_key(s, copy.key_env, &url, err);
    config_row *r = st ? NULL : i < s->n_row ? s->row[i] : rec_zeros(1, sizeof *r);
    if (!st && !r) st = rec_nomem(err);
    if (st) {
        config_clear(&copy);
        return st;
    }
    config_clear(&r->c);
    *r = (config_row){.c = copy};
    s->row[i] = r;
    if (i == s->n_row) s->n_row++;
    return REC_OK;
}

/* The row that the environment describes, once. A wrong description is told to whoever needs a model. */
static void read_environment(llm_session *s) {
    if (s->env_read) return;
    s->env_read = true;
    const char *url = getenv("REC_LLM_BASE_URL");
    if (!url || !*url || s->n_row) return;
    const char *key_env = getenv("REC_LLM_KEY_ENV"), *plain = getenv("REC_LLM_API_KEY");
    if ((!key_env || !*key_env) && plain && *plain) key_env = "REC_LLM_API_KEY";
    const char *speaks = getenv("REC_LLM_PROTOCOL");
    llm_config c = {.name = (char *)"default",
                    .base_url = (char *)url,
                    .protocol = (char *)(speaks && *speaks ? speaks : "openai"),
                    .model = getenv("REC_LLM_MODEL"),
                    .key_env = (char *)key_env,
                    .options = getenv("REC_LLM_OPTIONS")};
    rec_err why = {0};
    if (put(s, &c, &why))
        rec_fail(&s->env_error, why.code, "REC_LLM_* in the environment: %s", why.msg);
}

rec_status llm_config_put(llm_session *s, const llm_config *c, rec_err *err) {
    return put(s, c, err);
}

bool llm_config_delete(llm_session *s, const char *name) {
    size_t i = find_row(s, name);
    if (i == s->n_row) return false;
    config_clear(&s->row[i]->c);
    rec_free(s->row[i]);
    for (s->n_row--; i < s->n_row; i++) s->row[i] = s->row[i + 1];
    return true;
}

size_t llm_config_count(llm_session *s) {
    read_environment(s);
    return s->n_row;
}
const llm_config *llm_config_at(const llm_session *s, size_t i) {
    return &s->row[i]->c;
}
const llm_config *llm_config_find(llm_session *s, const char *name) {
    read_environment(s);
    size_t i = find_row(s, name);
    return i < s->n_row ? &s->row[i]->c : NULL;
}

static rec_status choose_named(llm_session *s, const char *name,
                               const protocol_kind *kinds, const llm_config **out,
                               rec_err *err) {
    size_t n = llm_config_count(s);
    const llm_config *c = llm_config_find(s, name);
    for (size_t k = 0; c && kinds[k] && !*out; k++)
        if (protocol_kind_of(c) == kinds[k]) *out = c;
    if (*out) return REC_OK;
    if (c)
        return rec_fail(err, REC_RANGE,
                        "the model '%s' in llm_models speaks %s, which does not answer "
                        "this",
                        name, c->protocol);
    char have[200] = "";
    for (size_t i = 0, at = 0; i < n && at < 160; i++)
        at += rec_format(have + at, sizeof have - at, "%s%.40s", i ? ", " : "",
                         s->row[i]->c.name);
    return rec_fail(err, REC_RANGE, "there is no model '%s' in llm_models (%s%s)", name,
                    n ? "there are: builtin, " : "it has no rows", have);
}

rec_status llm_choose_kind(llm_session *s, const char *name, const protocol_kind *kinds,
                           const llm_config **out, rec_err *err) {
    *out = NULL;
    if (name && strcmp(name, "builtin") == 0) return REC_OK;
    if (name) return choose_named(s, name, kinds, out, err);
    size_t n = llm_config_count(s);
    if (n == 0 && s->env_error.code) {
        *err = s->env_error;
        return err->code;
    }
    for (size_t k = 0; kinds[k] && !*out; k++)
        for (size_t i = 0; i < n && !*out; i++)
            if (protocol_kind_of(llm_config_at(s, i)) == kinds[k])
                *out = llm_config_at(s, i);
    return REC_OK;
}

rec_status llm_choose(llm_session *s, const char *name, const llm_config **out,
                      rec_err *err) {
    static const protocol_kind chat[] = {PROTOCOL_CHAT, PROTOCOL_NONE};
    return llm_choose_kind(s, name, chat, out, err);
}

schema_level *llm_config_level(llm_session *s, const llm_config *c) {
    config_row *r = s->row[find_row(s, c->name)];
    if (!r->has_level) {
        llm_settings o;
        if (llm_settings_parse(r->c.options, &o, NULL) == REC_OK) r->level = o.schema;
        llm_settings_clear(&o);
        r->has_level = true;
    }
    return &r->level;
}

/* ---- limits and usage -------------------------------------------------------------------------------- */

void llm_session_begin(llm_session *s) {
    s->began_calls = s->n_calls, s->began_tokens = s->n_tokens;
}

static rec_status check_limit(int64_t used, int64_t most, const char *who,
                              const char *what, const char *option, rec_err *err) {
    if (used < most) return REC_OK;
    return rec_fail(err, REC_RANGE, "llm: this %s has %s %lld %s, and %s is %lld", who,
                    what[0] == 'c' ? "made" : "used", (long long)used, what, option,
                    (long long)most);
}

rec_status llm_admit(llm_session *s, const llm_settings *o, bool in_transaction,
                     size_t *n, rec_err *err) {
    int64_t calls = s->n_calls - s->began_calls, tokens = s->n_tokens - s->began_tokens;
    rec_status st =
        check_limit(s->n_calls, o->max_calls, "connection", "calls", "max_calls", err);
    if (!st && o->max_total_tokens)
        st = check_limit(s->n_tokens, o->max_total_tokens, "connection", "tokens",
                         "max_total_tokens", err);
    if (!st && o->call_max_calls)
        st = check_limit(calls, o->call_max_calls, "call", "calls", "call_max_calls",
                         err);
    if (!st && o->call_max_tokens)
        st = check_limit(tokens, o->call_max_tokens, "call", "tokens",
                         "call_max_tokens", err);
    if (st) return st;
    int64_t left = o->max_calls - s->n_calls;
    if (o->call_max_calls && o->call_max_calls - calls < left)
        left = o->call_max_calls - calls;
    /* What an answer will cost is not known before it is there. */
    if ((o->max_total_tokens || o->call_max_tokens) && left > o->concurrency)
        left = o->concurrency;
    if ((uint64_t)left < *n) *n = (size_t)left;
    if (!in_transaction && !o->in_transaction && s->in_write &&
        s->in_write(s->in_write_ctx))
        return rec_fail(
            err, REC_RANGE,
            "llm: a write transaction is open, and a call to a server would hold its "
            "lock: COMMIT first, or set the option \"in_transaction\": true");
    return REC_OK;
}

static void copy_cut(char *out, size_t cap, const char *s) {
    size_t n = s ? strlen(s) : 0;
    if (n >= cap) n = cap - 1;
    while (s && n && ((unsigned char)s[n] & 0xC0) == 0x80) n--; /* whole characters */
    if (n) memcpy(out, s, n);
    out[n] = 0;
}

size_t llm_usage_add(llm_session *s, const llm_usage_row *row) {
    usage_entry *u = &s->usage[s->n_usage++ % LLM_USAGE_ROWS];
    struct timespec now;
    u->row = *row;
    clock_gettime(CLOCK_REALTIME, &now);
    u->row.at_ms = (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
    copy_cut(u->function, sizeof u->function, row->function);
    copy_cut(u->model, sizeof u->model, row->model);
    copy_cut(u->status, sizeof u->status, row->status);
    if (!row->cache_hit) {
        s->n_calls += 1 + row->retries;
        s->n_tokens += row->prompt_tokens + row->completion_tokens;
    }
    return s->n_usage - 1;
}

void llm_usage_mark(llm_session *s, size_t nth, const char *status) {
    if (nth >= s->n_usage || s->n_usage - nth > LLM_USAGE_ROWS) return;
    usage_entry *u = &s->usage[nth % LLM_USAGE_ROWS];
    copy_cut(u->status, sizeof u->status, status);
}

size_t llm_usage_count(const llm_session *s) {
    return s->n_usage < LLM_USAGE_ROWS ? s->n_usage : LLM_USAGE_ROWS;
}

llm_usage_row llm_usage_at(const llm_session *s, size_t i) {
    size_t first = s->n_usage < LLM_USAGE_ROWS ? 0 : s->n_usage % LLM_USAGE_ROWS;
    const usage_entry *u = &s->usage[(first + i) % LLM_USAGE_ROWS];
    llm_usage_row row = u->row;
    row.function = u->function, row.model = u->model, row.status = u->status;
    return row;
}
