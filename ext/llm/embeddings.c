/* embeddings.c - texts -> vectors by a server: POST /v1/embeddings.
 *
 *     {"model": "m", "input": ["a", "b"], "encoding_format": "float"}
 *         -> {"data": [{"index": 0, "embedding": [..]}, ..], "usage": {..}}
 *
 * Servers bound a request in two ways, by the number of texts and by their tokens, and what they answer beyond is
 * anything from 400 to 500. So requests are cut by both (`embed_batch`, `embed_tokens` of the row's options, a token
 * taken as TOKEN_BYTES bytes), and one that is refused all the same is halved until the text that is to blame stands
 * alone; that one is tried shorter, and then given up without harm to the rest.
 *
 * A server that answers nothing at all is another thing: then everything stops, and who called keeps what was made.
 * The same if MAX_REFUSED texts were refused before the first vector came: the fault is not the texts'.
 *
 * Numbers come as a list, or as base64 of float32 from servers that insist. The order is that of "index".
 *
 * Invariants
 *   V1  every vector has *dim finite numbers.
 *   V2  no text longer than embed_tokens * TOKEN_BYTES bytes is sent; texts are cut between characters.
 */
#include "llm.h"

#include <math.h>

#define TOKEN_BYTES 3
#define MAX_REFUSED 8
#define MAX_SHORTER 3 /* times that a refused text is halved */
#define EMBED_PATH  "/embeddings"

rec_status llm_embed_begin(llm_session *s, const char *name, bool in_transaction,
                           llm_embedder_call *out, rec_err *err) {
    *out = (llm_embedder_call){.s = s, .in_transaction = in_transaction};
    static const protocol_kind kinds[] = {PROTOCOL_EMBED, PROTOCOL_CHAT, PROTOCOL_NONE};
    rec_status st = llm_choose_kind(s, name, kinds, &out->c, err);
    bool is_other = !st && out->c && strcmp(out->c->protocol, "anthropic") == 0;
    if (!st && (!out->c || is_other))
        st = rec_fail(err, REC_RANGE,
                      "llm '%.60s' makes no embeddings: name a row of llm_models",
                      name       ? name
                      : is_other ? out->c->name
                                 : "builtin");
    return st ? st : llm_settings_parse(out->c->options, &out->o, err);
}

void llm_embed_end(llm_embedder_call *e) {
    llm_settings_clear(&e->o);
}

rec_status llm_embed_identity(const llm_embedder_call *e, uint64_t *out, rec_err *err) {
    bytes_writer w = {0};
    char *extra = e->o.extra ? json_print(e->o.extra) : NULL;
    bytes_printf(&w, "%s\n%s\n%s\n", e->c->base_url, e->c->model ? e->c->model : "",
                 extra ? extra : "");
    rec_status st = w.status || (e->o.extra && !extra) ? rec_nomem(err) : REC_OK;
    *out = st ? 0 : rec_hash(w.data, w.n, 1) | 1;
    bytes_clear(&w);
    rec_free(extra);
    return st;
}

/* ---- the request ------------------------------------------------------------------------------- */

/* V2. */
static size_t cut(const char *s, size_t n, size_t most) {
    if (n <= most) return n;
    while (most && ((unsigned char)s[most] & 0xC0) == 0x80) most--;
    return most;
}

static size_t most_bytes(const llm_embedder_call *e) {
    return (size_t)e->o.embed_tokens * TOKEN_BYTES;
}

size_t llm_embed_fit(const llm_embedder_call *e, const llm_texts *t) {
    size_t n = 0, sum = 0;
    while (n < t->n && n < (size_t)e->o.embed_batch) {
        sum += cut(t->text[n], t->nbyte[n], most_bytes(e));
        if (n && sum > most_bytes(e)) break;
        n++;
    }
    return n;
}

/* Bytes that are no UTF-8 or no JSON text are left out. */
static json *text_json(const char *s, size_t n) {
    bytes_writer w = {0};
    for (size_t at = 0; at < n;) {
        size_t begin = at;
        uint32_t c = utf8_next(s, n, &at);
        bool is_control = c < ' ' && c != '\n' && c != '\t';
        if (c != UTF8_BAD && !is_control) bytes_put(&w, s + begin, at - begin);
    }
    char *copy = bytes_take_text(&w);
    json *j = copy ? json_new_text(copy, strlen(copy)) : NULL;
    rec_free(copy);
    return j;
}

static char *make_body(const llm_embedder_call *e, const llm_texts *t) {
    json *b = json_new_object(), *input = json_new_array();
    const json *x = e->o.extra;
    bool ok = input != NULL;
    for (size_t i = 0; i < t->n && ok; i++)
        ok = json_push(
            input, text_json(t->text[i], cut(t->text[i], t->nbyte[i], most_bytes(e))));
    if (e->c->model && !json_get(x, "model"))
        ok =
            ok && json_set(b, "model", json_new_text(e->c->model, strlen(e->c->model)));
    ok = json_set(b, "input", input) && ok;
    if (!json_get(x, "encoding_format"))
        ok = json_set(b, "encoding_format", json_new_text("float", 5)) && ok;
    for (const json *j = json_first(x); j && ok; j = json_next(j))
        ok = json_set(b, json_key(j), json_copy(j));
    char *body = ok ? json_print(b) : NULL;
    json_delete(b);
    return body;
}

/* ---- the answer ----------------------------------------------------------------------------------- */

static int base64_digit(char c) {
    if (c >= 'A' && c <= 'Z') return c - 'A';
    if (c >= 'a' && c <= 'z') return c - 'a' + 26;
    if (c >= '0' && c <= '9') return c - '0' + 52;
    return c == '+' ? 62 : c == '/' ? 63 : -1;
}

/* Little-endian float32 in base64; returns how many, 0 = damaged. out: NULL to count. */
static size_t read_base64(const char *s, float *out) {
    uint32_t bits = 0, word = 0;
    int n_bit = 0;
    size_t n = 0;
    for (; *s && *s != '='; s++) {
        int d = base64_digit(*s);
        if (d < 0) return 0;
        bits = bits << 6 | (uint32_t)d;
        n_bit += 6;
        if (n_bit < 8) continue;
        n_bit -= 8;
        word |= (bits >> n_bit & 0xFF) << (n % 4 * 8);
        if (++n % 4) continue;
        if (out) memcpy(out + n / 4 - 1, &word, sizeof word);
        word = 0;
    }
    return n % 4 ? 0 : n / 4;
}

static size_t read_numbers(const json *j, float *out) {
    size_t n = 0;
    if (json_text(j)) return read_base64(json_text(j), out);
    for (const json *x = json_first(j); x; x = json_next(x), n++) {
        if (!json_is_number(x)) return 0;
        if (out) out[n] = (float)json_number(x, 0);
    }
    return n;
}

/* V1: *out stays NULL unless the numbers are as they must be. */
static rec_status read_vector(const json *j, float **out, uint32_t *dim, rec_err *err) {
    size_t n = read_numbers(j, NULL);
    if (n < VEC_MIN_DIM || n > VEC_MAX_DIM)
        return rec_fail(err, REC_NET, "an embedding holds no numbers");
    if (*dim && n != *dim)
        return rec_fail(err, REC_NET, "an embedding has %zu numbers after one of %u", n,
                        *dim);
    float *x = rec_array(n, sizeof *x);
    if (!x) return rec_nomem(err);
    read_numbers(j, x);
    if (!vec_is_finite(x, n)) {
        rec_free(x);
        return rec_fail(err, REC_NET, "an embedding holds a number that is not finite");
    }
    *dim = (uint32_t)n;
    *out = x;
    return REC_OK;
}

static rec_status read_data(const json *r, size_t n, float **vector, uint32_t *dim,
                            rec_err *err) {
    const json *data = json_get(r, "data");
    rec_status st = REC_OK;
    double place = 0;
    if (!json_is_array(data) || json_count(data) != n)
        return rec_fail(err, REC_NET, "the response has %zu of %zu embeddings",
                        json_count(data), n);
    for (const json *j = json_first(data); j && !st; j = json_next(j), place++) {
        double i = json_number(json_get(j, "index"), place);
        if (!(i >= 0 && i < (double)n) || vector[(size_t)i])
            st =
                rec_fail(err, REC_NET, "the response has no embedding for every index");
        else
            st = read_vector(json_get(j, "embedding"), &vector[(size_t)i], dim, err);
    }
    for (size_t i = 0; st && i < n; i++) {
        rec_free(vector[i]);
        vector[i] = NULL;
    }
    return st;
}

/* ---- one request and what follows from its failure ----------------------------------------------- */

/* *is_refusal: there was an answer, so fewer or shorter texts may do. */
static rec_status request(llm_embedder_call *e, const llm_texts *t, float **vector,
                          uint32_t *dim, bool *is_refusal, rec_err *err) {
    json *r = NULL;
    int status = 0;
    char *body = make_body(e, t);
    *is_refusal = false;
    if (!body) return rec_nomem(err);
    llm_call q = {.c = e->c,
                  .o = &e->o,
                  .path = EMBED_PATH,
                  .body = body,
                  .function = "llm_embed",
                  .in_transaction = e->in_transaction};
    rec_status st = llm_post(e->s, &q, &r, &status, err);
    rec_err why = {0};
    if (!st) st = read_data(r, t->n, vector, dim, &why);
    if (st && why.code)
        rec_fail(err, st, "llm '%.40s', %.60s: %s", e->c->name, EMBED_PATH, why.msg);
    *is_refusal = st == REC_NET && status != 0 && status != 429 && status != 503;
    json_delete(r);
    rec_free(body);
    if (!st) e->n_made += t->n;
    return st;
}

static rec_status give_up(llm_embedder_call *e, rec_status st, rec_err *err) {
    e->n_refused++;
    if (err) e->refusal = *err;
    if (e->n_made == 0 && e->n_refused >= MAX_REFUSED) return st;
    if (err) *err = (rec_err){.code = REC_OK};
    return REC_OK;
}

static rec_status one_shorter(llm_embedder_call *e, const llm_texts *t, float **vector,
                              uint32_t *dim, rec_status st, rec_err *err) {
    size_t n = cut(t->text[0], t->nbyte[0], most_bytes(e));
    bool is_refusal = true;
    for (int i = 0; i < MAX_SHORTER && st == REC_NET && is_refusal; i++) {
        n = cut(t->text[0], n, n / 2);
        if (n < EMBED_MIN_TOKENS) break;
        llm_texts one = {t->text, &n, 1};
        st = request(e, &one, vector, dim, &is_refusal, err);
    }
    return st == REC_NET && is_refusal ? give_up(e, st, err) : st;
}

rec_status llm_embed_batch(llm_embedder_call *e, const llm_texts *t, float **vector,
                           uint32_t *dim, rec_err *err) {
    bool is_refusal;
    if (t->n == 0) return REC_OK;
    rec_status st = request(e, t, vector, dim, &is_refusal, err);
    if (!is_refusal) return st;
    if (t->n == 1) return one_shorter(e, t, vector, dim, st, err);
    size_t half = t->n / 2;
    llm_texts left = {t->text, t->nbyte, half},
              right = {t->text + half, t->nbyte + half, t->n - half};
    st = llm_embed_batch(e, &left, vector, dim, err);
    return st ? st : llm_embed_batch(e, &right, vector + half, dim, err);
}

/* ---- one sentence --------------------------------------------------------------------------------------- */

/* The session keeps {"data": [{"embedding": [..]}]} by row, model and text. */
static rec_status kept_text(llm_embedder_call *e, const bytes_writer *key, float **out,
                            uint32_t *dim, bool *is_kept, rec_err *err) {
    llm_cached hit;
    *is_kept = llm_cache_get(e->s, (const char *)key->data, key->n, &hit);
    if (!*is_kept) return REC_OK;
    if (hit.failure) return rec_fail(err, hit.failure, "%s", hit.text);
    json *j = json_parse(hit.text, strlen(hit.text), NULL);
    rec_status st = j ? read_vector(j, out, dim, err) : rec_nomem(err);
    json_delete(j);
    return st;
}

static void keep(llm_embedder_call *e, const bytes_writer *key, const char *text,
                 rec_status failure) {
    llm_answer a = {.key = (const char *)key->data,
                    .n_key = key->n,
                    .function = "llm_embed",
                    .model = e->c->model,
                    .text = text,
                    .failure = failure};
    llm_cache_put(e->s, &a);
}

static void keep_text(llm_embedder_call *e, const bytes_writer *key, const float *x,
                      uint32_t dim) {
    json *list = json_new_array();
    for (uint32_t i = 0; i < dim && list; i++)
        if (!json_push(list, json_new_number((double)x[i]))) {
            json_delete(list);
            return;
        }
    char *text = list ? json_print(list) : NULL;
    if (text) keep(e, key, text, REC_OK);
    rec_free(text);
    json_delete(list);
}

rec_status llm_embed_text(llm_embedder_call *e, const char *text, size_t nbyte,
                          float **out, uint32_t *dim, rec_err *err) {
    bytes_writer key = {0};
    uint64_t identity;
    bool is_kept = false;
    *out = NULL;
    *dim = 0;
    rec_status st = llm_embed_identity(e, &identity, err);
    bytes_printf(&key, "embedding %llu\n", (unsigned long long)identity);
    bytes_put(&key, text, nbyte);
    if (!st && key.status) st = rec_nomem(err);
    if (!st) st = kept_text(e, &key, out, dim, &is_kept, err);
    if (!st && !is_kept) {
        llm_texts one = {&text, &nbyte, 1};
        bool is_refusal;
        st = request(e, &one, out, dim, &is_refusal, err);
        if (!st) keep_text(e, &key, *out, *dim);
        if (st == REC_NET && err) keep(e, &key, err->msg, st);
    }
    bytes_clear(&key);
    return st;
}

/* ---- llm_embed ------------------------------------------------------------------------------------------- */

static rec_status begin(llm_session *s, const char *function, const char *options,
                        options_common *o, llm_embedder_call *e, rec_err *err) {
    rec_status st = options_common_read(function, options, o, err);
    if (!st && o->system)
        st = rec_fail(err, REC_RANGE, "%s: option \"system\" is for answers in words",
                      function);
    return st ? st : llm_embed_begin(s, o->llm, o->in_transaction, e, err);
}

rec_status llm_embed(llm_session *s, const char *text, size_t nbyte,
                     const char *options, float **out, uint32_t *dim, rec_err *err) {
    options_common o;
    llm_embedder_call e = {0};
    *out = NULL;
    rec_status st = begin(s, "llm_embed", options, &o, &e, err);
    if (!st) st = llm_embed_text(&e, text, nbyte, out, dim, err);
    llm_embed_end(&e);
    options_common_clear(&o);
    return st;
}

rec_status llm_embed_request(llm_session *s, const char *text, size_t nbyte,
                             const char *options, char **out, rec_err *err) {
    options_common o;
    llm_embedder_call e = {0};
    llm_texts one = {&text, &nbyte, 1};
    *out = NULL;
    rec_status st = begin(s, "llm_embed_request", options, &o, &e, err);
    if (!st && !(*out = make_body(&e, &one))) st = rec_nomem(err);
    llm_embed_end(&e);
    options_common_clear(&o);
    return st;
}
