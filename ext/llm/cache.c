/* cache.c - answers that were paid for, by the whole text of their request.
 *
 *     get:  memory --miss--> store (a table, if the user has named one) --> into memory
 *     put:  memory, and the store if it is an answer
 *     reject:  forgotten by the store at once, by memory after LLM_MEMO_SECONDS
 *
 * Memory holds LLM_CACHE_ROWS entries and LLM_CACHE_BYTES bytes; what was used longest ago makes room. It follows no
 * transaction: what was answered before a ROLLBACK is still there.
 *
 * C1. Whole requests are compared, not hashes of them: rows of strangers are part of a request.
 * C2. A failure, and an answer that the caller rejected, is forgotten after LLM_MEMO_SECONDS and never gets into the
 *     store. Within that time it stands, so that an expression which SQLite evaluates twice costs one call and gives
 *     one answer.
 * C3. Nothing older than ttl seconds is given out.
 */
#include "llm.h"

typedef struct cache_entry {
    char *key, *text, *function, *model; /* owned; the last two may be NULL */
    size_t n_key, n_text;
    rec_status failure; /* REC_OK: text is an answer; else it is the message */
    bool is_rejected;
    double at;
    int64_t hits;
    uint64_t used;
} cache_entry;

struct llm_cache {
    cache_entry entry[LLM_CACHE_ROWS];
    size_t nbyte;
    uint64_t clock;
    int64_t ttl; /* seconds; 0 = for as long as there is room */
    llm_store store;
};

llm_cache *llm_cache_new(void) {
    return rec_zeros(1, sizeof(llm_cache));
}

static void clear(llm_cache *c, cache_entry *e) {
    c->nbyte -= e->n_key + e->n_text;
    rec_free(e->key), rec_free(e->text);
    rec_free(e->function), rec_free(e->model);
    *e = (cache_entry){0};
}

void llm_cache_free(llm_cache *c) {
    if (!c) return;
    for (size_t i = 0; i < LLM_CACHE_ROWS; i++) clear(c, &c->entry[i]);
    rec_free(c);
}

void llm_cache_set_store(llm_session *s, const llm_store *store) {
    llm_session_cache(s)->store = store ? *store : (llm_store){0};
}

void llm_cache_set_ttl(llm_session *s, int64_t seconds) {
    llm_session_cache(s)->ttl = seconds;
}

/* ---- rows, for whoever lists them ------------------------------------------------------------------ */

bool llm_cache_at(llm_session *s, size_t i, llm_cache_row *out) {
    const cache_entry *e = &llm_session_cache(s)->entry[i];
    if (!e->key) return false;
    *out = (llm_cache_row){.function = e->function,
                           .model = e->model,
                           .status = e->failure       ? "failure"
                                     : e->is_rejected ? "rejected"
                                                      : "answer",
                           .nbyte = e->n_key + e->n_text,
                           .age = rec_seconds() - e->at,
                           .hits = e->hits};
    return true;
}

void llm_cache_forget(llm_session *s, size_t i) {
    llm_cache *c = llm_session_cache(s);
    cache_entry *e = &c->entry[i];
    if (e->key && c->store.drop) c->store.drop(c->store.ctx, e->key, e->n_key);
    if (e->key) clear(c, e);
}

/* ---- get and put ---------------------------------------------------------------------------------------- */

static cache_entry *find(llm_cache *c, const char *key, size_t nbyte) {
    for (size_t i = 0; i < LLM_CACHE_ROWS; i++) {
        cache_entry *e = &c->entry[i];
        if (e->key && e->n_key == nbyte && memcmp(e->key, key, nbyte) == 0)
            return e; /* C1 */
    }
    return NULL;
}

/* A free place, making room by what was used longest ago. */
static cache_entry *place(llm_cache *c, size_t need) {
    for (;;) {
        cache_entry *oldest = &c->entry[0], *empty = NULL;
        for (size_t i = 0; i < LLM_CACHE_ROWS; i++) {
            cache_entry *e = &c->entry[i];
            if (!e->key)
                empty = e;
            else if (!oldest->key || e->used < oldest->used)
                oldest = e;
        }
        if (empty && c->nbyte + need <= LLM_CACHE_BYTES) return empty;
        if (!oldest->key) return empty; /* nothing left to drop */
        clear(c, oldest);
    }
}

/* A cache may forget: running out of memory here is no error. */
static cache_entry *keep(llm_cache *c, const llm_answer *a) {
    size_t n_text = a->text ? strlen(a->text) : 0;
    if (a->n_key + n_text > LLM_CACHE_BYTES / 4) return NULL;
    cache_entry *e = find(c, a->key, a->n_key);
    if (e) clear(c, e);
    cache_entry made = {.key = rec_strndup(a->key, a->n_key),
                        .text = a->text ? rec_strdup(a->text) : NULL,
                        .function = a->function ? rec_strdup(a->function) : NULL,
                        .model = a->model ? rec_strdup(a->model) : NULL,
                        .failure = a->failure};
    if (!made.key || (a->text && !made.text)) {
        clear(c, &made);
        return NULL;
    }
    made.n_key = a->n_key, made.n_text = n_text;
    made.at = rec_seconds();
    made.used = ++c->clock;
    e = place(c, a->n_key + n_text);
    *e = made;
    c->nbyte += a->n_key + n_text;
    return e;
}

/* What the store has becomes an entry of memory, older than fresh. */
static cache_entry *from_store(llm_cache *c, const char *key, size_t nbyte) {
    double age = 0;
    if (!c->store.get) return NULL;
    char *text = c->store.get(c->store.ctx, key, nbyte, &age);
    if (!text) return NULL;
    llm_answer a = {.key = key, .n_key = nbyte, .text = text};
    cache_entry *e = c->ttl && age >= (double)c->ttl ? NULL : keep(c, &a); /* C3 */
    if (e) e->at -= age > LLM_MEMO_SECONDS ? age : LLM_MEMO_SECONDS;
    rec_free(text);
    return e;
}

bool llm_cache_get(llm_session *s, const char *key, size_t nbyte, llm_cached *out) {
    llm_cache *c = llm_session_cache(s);
    *out = (llm_cached){0};
    cache_entry *e = find(c, key, nbyte);
    if (e && c->ttl && rec_seconds() - e->at >= (double)c->ttl) { /* C3 */
        clear(c, e);
        e = NULL;
    }
    if (!e) e = from_store(c, key, nbyte);
    if (!e) return false;
    out->is_fresh = rec_seconds() - e->at < LLM_MEMO_SECONDS;
    if (!out->is_fresh && (e->failure || e->is_rejected)) { /* C2 */
        clear(c, e);
        return false;
    }
    e->used = ++c->clock;
    e->hits++;
    out->text = e->text;
    out->failure = e->failure;
    return true;
}

void llm_cache_put(llm_session *s, const llm_answer *a) {
    llm_cache *c = llm_session_cache(s);
    keep(c, a);
    if (a->failure == REC_OK && a->text && c->store.put) c->store.put(c->store.ctx, a);
}

void llm_cache_reject(llm_session *s, const char *key, size_t nbyte) {
    llm_cache *c = llm_session_cache(s);
    cache_entry *e = find(c, key, nbyte);
    if (e) e->is_rejected = true;
    if (c->store.drop) c->store.drop(c->store.ctx, key, nbyte);
}
