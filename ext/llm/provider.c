/* provider.c - the one way to ask a model: one prompt, or many at once.
 *
 *   prompts -> bodies -> the same as an earlier one? -> kept answer? --> open
 *                                                                        |
 *              +---- weaker schema, another seed: open again ------------+
 *              |                                                         v
 *   reply <- keep <- parse <- status <- http_post_many <- key <- admit (a round)
 *
 * A round posts everything that is still open, `concurrency` requests at a time over the session's connections, in
 * the caller's thread. Nearly always there is one round; a second follows where the limits cut the first short, or
 * where a server refused a form of the request that has another (at most MAX_VARIANTS).
 *
 * P1. Prompts of a batch that make the same request are asked once, and all get that answer.
 * P2. Errors name the row, the host, the HTTP status and the model.
 * P3. 401, 403 and 404 are mistakes of configuration and stop the statement (REC_RANGE). Everything else
 *     that goes wrong is REC_NET: that prompt alone failed, and the builtin answers instead.
 * P4. The key is read after the cache and the limits have agreed to the call, and wiped after it.
 * P5. What a server has answered is kept and counted before anything else can stop the batch, an interrupt
 *     included: nothing is paid for twice.
 *
 * Cost: our own work is the body, its comparison with kept ones and the reading of the answer, well under a millisecond.
 */
#include "llm.h"

#include <strings.h>

#define MAX_VARIANTS   3
#define MAX_ERROR_TEXT 200

static rec_status make_body(const protocol_call *q, char **out, rec_err *err) {
    *out = NULL;
    return protocol_body(q, out, err);
}

rec_status provider_body(llm_session *s, const llm_config *c, const llm_prompt *p,
                         char **out, rec_err *err) {
    llm_settings o;
    *out = NULL;
    rec_status st = llm_settings_parse(c ? c->options : NULL, &o, err);
    protocol_call q = {.c = c, .o = &o, .p = p};
    if (!st && c) q.level = *llm_config_level(s, c);
    if (!st) st = make_body(&q, out, err);
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
                        says(why, "structured output") || says(why, "grammar") ||
                        says(why, "output_config");
    if ((status == 400 || status == 422) && about_schema && level != SCHEMA_NONE)
        return VARIANT_WEAKER_SCHEMA;
    return VARIANT_NONE;
}

/* ---- asking ----------------------------------------------------------------------------------------------- */

void llm_reply_clear(llm_reply *r) {
    rec_free(r->text), rec_free(r->key);
    *r = (llm_reply){0};
}

typedef struct question { /* one prompt on its way */
    char *body;           /* owned */
    protocol_answer got;  /* owned text */
    size_t
        same_as; /* the first prompt that makes this request: itself, or an earlier one */
    bool is_open;
    schema_level level; /* that the body was made with */
    int n_variant, seed, http, retries;
    int64_t ms;
} question;

typedef struct
    asking { /* a batch on its way; all but settings, url, key and q borrowed */
    llm_session *s;
    const llm_batch *b;
    llm_reply *out;
    rec_err *errs;
    llm_settings o;
    char *url;
    secret key;
    question *q; /* [n] */
} asking;

static rec_status fail_at(const llm_config *c, int status, rec_status code,
                          const char *why, rec_err *err) {
    url_parts u;
    char code_text[24] = "";
    url_check(c->base_url, &u, NULL);
    if (status) rec_format(code_text, sizeof code_text, "HTTP %d, ", status);
    return rec_fail(err, code, "llm '%.40s' (%.*s, %smodel %.60s): %.240s", c->name,
                    (int)u.n_host, u.host, code_text, c->model ? c->model : "-", why);
}

/* What an answer that is no success says; owned why. */
static rec_status refused(const llm_config *c, int status, const char *why,
                          rec_err *err) {
    bool is_config = status == 401 || status == 403 || status == 404; /* P3 */
    if (status >= 300 && status < 400) why = "redirects are not followed";
    return fail_at(c, status, is_config ? REC_RANGE : REC_NET,
                   *why ? why : "no message", err);
}

static size_t note(const llm_config *c, llm_session *s, const question *q,
                   const char *function, const char *status) {
    llm_usage_row u = {.function = function,
                       .model = c->model ? c->model : c->name,
                       .status = status,
                       .http = q->http,
                       .retries = q->retries,
                       .cache_hit = !q->is_open,
                       .prompt_tokens = q->got.prompt_tokens,
                       .completion_tokens = q->got.completion_tokens,
                       .ms = q->ms};
    return llm_usage_add(s, &u);
}

/* ---- before anything is sent ------------------------------------------------------------------------ */

static rec_status question_body(asking *a, size_t i, rec_err *err) {
    question *q = &a->q[i];
    protocol_call call = {.c = a->b->c, .o = &a->o, .p = &a->b->p[i]};
    call.level = q->level = *llm_config_level(a->s, a->b->c);
    call.seed = q->seed;
    rec_free(q->body);
    return make_body(&call, &q->body, err);
}

static rec_status question_key(asking *a, size_t i, rec_err *err) {
    bytes_writer w = {0};
    bytes_printf(&w, "%s %s\n", a->b->c->protocol, a->url);
    bytes_puts(&w, a->q[i].body);
    a->out[i].key = bytes_take_text(&w);
    return a->out[i].key ? REC_OK : rec_nomem(err);
}

/* The kept answer or failure, if there is one; else the question is open. */
static rec_status look_up(asking *a, size_t i, rec_err *err) {
    llm_cached hit;
    llm_reply *r = &a->out[i];
    a->q[i].is_open = !llm_cache_get(a->s, r->key, strlen(r->key), &hit);
    if (a->q[i].is_open) return REC_OK;
    r->usage =
        note(a->b->c, a->s, &a->q[i], a->b->function, hit.failure ? "failed" : "cache");
    if (hit.failure) {
        rec_fail(&a->errs[i], hit.failure, "%s", hit.text);
        return REC_OK;
    }
    r->text = rec_strdup(hit.text);
    r->is_cached = !hit.is_fresh;
    return r->text ? REC_OK : rec_nomem(err);
}

/* P1. */
static rec_status prepare(asking *a, rec_err *err) {
    dict *seen = dict_new();
    size_t *first = rec_array(a->b->n, sizeof *first);
    rec_status st = seen && first ? REC_OK : rec_nomem(err);
    for (size_t i = 0; i < a->b->n && !st; i++) {
        uint32_t pos = 0;
        size_t n = dict_count(seen);
        st = question_body(a, i, err);
        if (!st) st = question_key(a, i, err);
        if (!st) st = dict_add(seen, a->out[i].key, strlen(a->out[i].key), &pos, err);
        if (st) break;
        if (pos == n) first[pos] = i;
        a->q[i].same_as = first[pos];
        if (a->q[i].same_as == i) st = look_up(a, i, err);
    }
    dict_free(seen);
    rec_free(first);
    return st;
}

/* ---- what came back ------------------------------------------------------------------------------------ */

/* P5. The question has its answer, or its failure. */
static rec_status conclude(asking *a, size_t i, rec_status st, const rec_err *why) {
    question *q = &a->q[i];
    llm_reply *r = &a->out[i];
    llm_answer kept = {.key = r->key,
                       .n_key = strlen(r->key),
                       .function = a->b->function,
                       .model = a->b->c->model,
                       .text = st ? why->msg : q->got.text,
                       .failure = st};
    r->usage = note(a->b->c, a->s, q, a->b->function, st ? "failed" : "ok");
    if (st == REC_OK || st == REC_NET) llm_cache_put(a->s, &kept);
    if (st) a->errs[i] = *why;
    if (!st) r->text = q->got.text, q->got.text = NULL;
    q->is_open = false;
    return st == REC_NET ? REC_OK : st;
}

static rec_status read_answer(asking *a, size_t i, const http_response *h,
                              rec_err *err) {
    rec_err why = {0};
    json *r = json_parse(h->body, h->nbyte, &why);
    rec_status st = r ? protocol_parse(a->b->c, r, &a->b->p[i], &a->q[i].got, &why)
                    : why.code == REC_NOMEM ? REC_NOMEM
                                            : REC_NET;
    json_delete(r);
    if (st == REC_NOMEM) return rec_nomem(err);
    return st ? fail_at(a->b->c, a->q[i].http, REC_NET, why.msg, err) : REC_OK;
}

/* Another form of the request, if one may help: then the question stays open, and *again is true. */
static rec_status try_other(asking *a, size_t i, const char *why, bool *again,
                            rec_err *err) {
    question *q = &a->q[i];
    schema_level *level = llm_config_level(a->s, a->b->c);
    variant_kind kind =
        q->n_variant + 1 < MAX_VARIANTS
            ? other_variant(q->http, why, q->level, a->b->p[i].schema != NULL)
            : VARIANT_NONE;
    *again = kind != VARIANT_NONE;
    if (!*again) return REC_OK;
    /* Many may have been refused at once; the first lowers the level for all. */
    if (kind == VARIANT_WEAKER_SCHEMA && *level == q->level) (*level)++;
    q->n_variant++;
    q->seed = kind == VARIANT_OTHER_SEED ? q->n_variant : 0;
    return question_body(a, i, err);
}

static rec_status settle(asking *a, size_t i, http_job *job, rec_err *err) {
    question *q = &a->q[i];
    rec_err why = {0};
    q->http = job->out.status;
    q->retries += job->out.retries, q->ms += job->out.ms;
    rec_status st = job->status;
    if (st == REC_INTR || st == REC_NOMEM) return rec_fail(err, st, "%s", job->err.msg);
    if (st) {
        st = fail_at(a->b->c, q->http, st, job->err.msg, &why);
    } else if (q->http >= 200 && q->http < 300) {
        st = read_answer(a, i, &job->out, &why);
    } else {
        bool again = false;
        char *text = error_text(&job->out);
        if (!text) return rec_nomem(err);
        st = try_other(a, i, text, &again, err);
        if (!st && !again) st = refused(a->b->c, q->http, text, &why);
        rec_free(text);
        if (again) return st;
    }
    if (st == REC_NOMEM) return rec_nomem(err);
    st = conclude(a, i, st, &why);
    return st ? rec_fail(err, st, "%s", why.msg) : REC_OK;
}

/* ---- a round ---------------------------------------------------------------------------------------------- */

static http_request request_of(const asking *a, const question *q) {
    int64_t left = a->o.timeout_ms - q->ms;
    http_request h = {.url = a->url,
                      .body = q->body,
                      .nbyte = strlen(q->body),
                      .key = &a->key,
                      .timeout_ms = left > 1 ? (long)left : 1,
                      .retries = a->o.retries};
    protocol_headers(a->b->c, &a->o, &h);
    llm_session_request(a->s, &h);
    return h;
}

/* The first n open questions: post them, take what came, whatever became of the others. */
static rec_status post_round(asking *a, size_t n, rec_err *err) {
    http_job *job = rec_zeros(n, sizeof *job);
    size_t *of = rec_array(n, sizeof *of), k = 0;
    int most = a->b->concurrency ? a->b->concurrency : a->o.concurrency;
    rec_status st = job && of ? REC_OK : rec_nomem(err), whole = REC_OK;
    rec_err why = {0};
    for (size_t i = 0; i < a->b->n && k < n && !st; i++) {
        if (!a->q[i].is_open) continue;
        job[k].q = request_of(a, &a->q[i]);
        of[k++] = i;
    }
    if (!st) whole = http_post_many(llm_session_http(a->s), job, k, (size_t)most, &why);
    bool is_sent = !st && (!whole || whole == REC_INTR || whole == REC_NOMEM);
    for (size_t j = 0; is_sent && j < k; j++) {
        rec_status one =
            job[j].status && whole ? REC_OK : settle(a, of[j], &job[j], err);
        if (!st) st = one;
    }
    for (size_t j = 0; job && j < n; j++) http_response_clear(&job[j].out);
    rec_free(job), rec_free(of);
    if (st || !whole) return st;
    if (whole == REC_INTR || whole == REC_NOMEM)
        return rec_fail(err, whole, "%s", why.msg);
    return fail_at(a->b->c, 0, whole, why.msg, err);
}

static rec_status run_rounds(asking *a, rec_err *err) {
    for (;;) {
        rec_err why = {0};
        size_t n = 0;
        for (size_t i = 0; i < a->b->n; i++) n += a->q[i].is_open;
        if (n == 0) return REC_OK;
        rec_status st = llm_admit(a->s, &a->o, a->b->in_transaction, &n, err);
        if (!st && !a->key.text && (st = secret_read(a->b->c->key_env, &a->key, &why)))
            st = fail_at(a->b->c, 0, st, why.msg, err);
        if (!st) st = post_round(a, n, err);
        if (st) return st;
    }
}

/* P1: those that waited for another. */
static rec_status share(asking *a, rec_err *err) {
    for (size_t i = 0; i < a->b->n; i++) {
        size_t of = a->q[i].same_as;
        if (of == i) continue;
        const llm_reply *r = &a->out[of];
        bool ok = a->errs[of].code == REC_OK;
        a->out[i].usage =
            note(a->b->c, a->s, &a->q[i], a->b->function, ok ? "cache" : "failed");
        a->errs[i] = a->errs[of];
        a->out[i].is_cached = r->is_cached;
        if (ok && !(a->out[i].text = rec_strdup(r->text))) return rec_nomem(err);
    }
    return REC_OK;
}

rec_status llm_ask_many(llm_session *s, const llm_batch *b, llm_reply *out,
                        rec_err *errs, rec_err *err) {
    asking a = {.s = s, .b = b, .out = out, .errs = errs};
    for (size_t i = 0; i < b->n; i++) out[i] = (llm_reply){0}, errs[i] = (rec_err){0};
    if (b->n == 0) return REC_OK;
    rec_status st = llm_settings_parse(b->c->options, &a.o, err);
    if (!st && !(a.url = protocol_url(b->c, NULL, err)))
        st = err && err->code ? err->code : REC_RANGE;
    if (!st && !(a.q = rec_zeros(b->n, sizeof *a.q))) st = rec_nomem(err);
    if (!st) st = prepare(&a, err);
    if (!st) st = run_rounds(&a, err);
    if (!st) st = share(&a, err);
    secret_wipe(&a.key);
    llm_settings_clear(&a.o);
    for (size_t i = 0; i < b->n && a.q; i++)
        rec_free(a.q[i].body), rec_free(a.q[i].got.text);
    rec_free(a.q), rec_free(a.url);
    for (size_t i = 0; i < b->n && st; i++) llm_reply_clear(&out[i]);
    return st;
}

rec_status llm_ask(llm_session *s, const llm_config *c, const llm_prompt *p,
                   const char *function, bool in_transaction, llm_reply *out,
                   rec_err *err) {
    llm_batch b = {
        .c = c, .p = p, .n = 1, .function = function, .in_transaction = in_transaction};
    rec_err why = {0};
    rec_status st = llm_ask_many(s, &b, out, &why, err);
    if (st || !why.code) return st;
    llm_reply_clear(out);
    return rec_fail(err, why.code, "%s", why.msg);
}

/* ---- other paths -------------------------------------------------------------------------------------------- */

static rec_status read_response(const llm_config *c, const http_response *h,
                                question *got, json **out, rec_err *err) {
    rec_err why = {0};
    if (h->status < 200 || h->status >= 300) {
        char *text = error_text(h);
        rec_status st = text ? refused(c, h->status, text, err) : rec_nomem(err);
        rec_free(text);
        return st;
    }
    *out = json_parse(h->body, h->nbyte, &why);
    if (!*out && why.code == REC_NOMEM) return rec_nomem(err);
    if (!*out) return fail_at(c, h->status, REC_NET, why.msg, err);
    const json *usage = json_get(*out, "usage");
    double tokens = json_number(json_get(usage, "prompt_tokens"), 0);
    got->got.prompt_tokens = tokens > 0 && tokens < 1e12 ? (int64_t)tokens : 0;
    return REC_OK;
}

static rec_status post_one(llm_session *s, const llm_call *q, const char *url,
                           const secret *key, http_response *h, rec_err *err) {
    http_request r = {.url = url,
                      .body = q->body,
                      .nbyte = strlen(q->body),
                      .key = key,
                      .timeout_ms = q->o->timeout_ms,
                      .retries = q->o->retries};
    rec_err why = {0};
    protocol_headers(q->c, q->o, &r);
    llm_session_request(s, &r);
    rec_status st = http_post(llm_session_http(s), &r, h, &why);
    if (st == REC_INTR || st == REC_NOMEM) return rec_fail(err, st, "%s", why.msg);
    return st ? fail_at(q->c, 0, st, why.msg, err) : REC_OK;
}

rec_status llm_post(llm_session *s, const llm_call *q, json **out, int *status,
                    rec_err *err) {
    question got = {.is_open = true};
    http_response h = {0};
    secret key = {0};
    rec_err why = {0};
    size_t n = 1;
    *out = NULL;
    *status = 0;
    rec_status st = llm_admit(s, q->o, q->in_transaction, &n, err);
    if (st) return st;
    char *url = protocol_url(q->c, q->path, err);
    if (!url) return err && err->code ? err->code : REC_RANGE;
    if ((st = secret_read(q->c->key_env, &key, &why)))
        st = fail_at(q->c, 0, st, why.msg, err);
    bool is_sent = !st;
    if (!st) st = post_one(s, q, url, &key, &h, err);
    *status = got.http = h.status;
    got.retries = h.retries, got.ms = h.ms;
    if (!st) st = read_response(q->c, &h, &got, out, err);
    if (is_sent && st != REC_INTR && st != REC_NOMEM)
        note(q->c, s, &got, q->function, st ? "failed" : "ok");
    http_response_clear(&h);
    secret_wipe(&key);
    rec_free(url);
    return st;
}
