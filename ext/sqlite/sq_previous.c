/* sq_previous.c - what the last training left, and whether the next one may go on from it.
 *
 *   a training         pairs (user, item) --hash of both keys--> those with `shift` leading zeros
 *                                                                     |
 *                                                            part 'trace' of <name>_data
 *   the next training  the same of today's pairs ------------> compared: which are new, which are gone?
 *                      few, and the definition is the same --> the stored model is where the fit starts
 *
 * Most models are sums over many people, and a twentieth of new rows moves them little: a fit that starts from
 * the vectors of the model before needs a fraction of the passes. That holds only while most of what the model
 * was fitted to is still there, so this is measured and not assumed: a count of rows would not tell a table that
 * grew from one that was replaced. A sample of the pairs by a bound on their hash tells it from some 30 KB, since
 * a pair that is in the sample of one training is in that of the next if it is still in the table.
 *
 * Starting from nothing takes no time below SQ_GROW_LEAST pairs: then nothing is traced or reused. When no pair
 * came or went (the sum of all hashes is exact) there is nothing to go on to: the training starts from nothing
 * and gives the model that the data and the seed determine.
 *
 * Invariants
 *   I1  Stored bytes that are damaged or of another kind are no reason to fail: a training replaces them, so it
 *       starts from nothing. Lack of memory, an interrupt and errors of the database end it.
 *   I2  The decision depends on the stored bytes and the data alone, not on threads, time or load.
 *   I3  The trace is written in the transaction of the model it belongs to.
 *
 * Cost: two hashes a pair, 8 bytes a user and an item; the stored model in memory while the next is fitted.
 */
#include "sq_train.h"

#include <stdlib.h>

#define SQ_GROW_LEAST   10000 /* or REC_GROW_MIN in the environment */
#define SQ_GROW_MOST    .2    /* new and lost pairs over old ones up to which it is */
#define TRACE_VERSION   1
#define TRACE_MOST      4096 /* pairs in a sample, about */
#define TRACE_MAX_SHIFT 40

typedef struct pair_hashes { /* of every key */
    const dataset *d;
    uint64_t *user, *item; /* owned */
} pair_hashes;

static void trace_clear(sq_trace *t) {
    rec_free(t->hash);
    memset(t, 0, sizeof *t);
}

void sq_previous_clear(sq_previous *p) {
    if (p->model) p->model->ops->close(p->model);
    rec_free(p->item);
    trace_clear(&p->trace);
    memset(p, 0, sizeof *p);
}

/* From how many pairs on a training is worth shortening. */
static size_t least_pairs(void) {
    const char *s = getenv("REC_GROW_MIN");
    long n = s ? strtol(s, NULL, 10) : 0;
    return n > 0 ? (size_t)n : SQ_GROW_LEAST;
}

/* ---- the trace of the data ------------------------------------------------------------------- */

static uint64_t hash_key(const rec_key *k) {
    return k->is_text ? rec_hash(k->text, k->n_text, 1) : rec_mix((uint64_t)k->i);
}

static rec_status hash_keys(const sq_trained *now, pair_hashes *h, rec_err *err) {
    const dataset *d = now->data;
    *h = (pair_hashes){.d = d,
                       .user = rec_array(d->n_users, sizeof *h->user),
                       .item = rec_array(d->n_items, sizeof *h->item)};
    if (!h->user || !h->item) return rec_nomem(err);
    for (uint32_t u = 0; u < d->n_users; u++) {
        rec_key key = keyset_get(now->users, u);
        h->user[u] = hash_key(&key);
    }
    for (uint32_t i = 0; i < d->n_items; i++) {
        rec_key key = catalog_key(now->items, i);
        h->item[i] = rec_mix(~hash_key(&key)); /* (a, b) is not (b, a) */
    }
    return REC_OK;
}

/* A rating that changed is another pair; a weight that grew or decayed is not. */
static uint64_t hash_pair(const pair_hashes *h, size_t user, size_t at) {
    const dataset *d = h->d;
    uint64_t x = h->user[user] + h->item[d->item[at]];
    uint32_t bits = 0;
    if (d->feedback == FEEDBACK_EXPLICIT) memcpy(&bits, &d->value[at], sizeof bits);
    return rec_mix(x ^ rec_mix(bits));
}

static int by_size(const void *a, const void *b, void *ctx) {
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    (void)ctx;
    return (x > y) - (x < y);
}

/* Pairs of today under t->shift; sum and n_pairs are of all. */
static rec_status take_trace(const pair_hashes *h, sq_trace *t, rec_err *err) {
    const dataset *d = h->d;
    uint64_t most = UINT64_MAX >> t->shift;
    size_t cap = 0;
    t->n_pairs = d->n;
    for (size_t u = 0; u < d->n_users; u++)
        for (size_t at = d->ptr[u]; at < d->ptr[u + 1]; at++) {
            uint64_t x = hash_pair(h, u, at);
            t->sum += x;
            if (x > most) continue;
            rec_status s = rec_grow(&t->hash, &cap, t->n + 1, sizeof *t->hash, err);
            if (s != REC_OK) return s;
            t->hash[t->n++] = x;
        }
    rec_sort(t->hash, t->n, sizeof *t->hash, by_size, NULL);
    return REC_OK;
}

static rec_status hash_definition(const sq_trained *now, uint64_t *out, rec_err *err) {
    const sq_table *table;
    char *full = sqlite3_mprintf("\"%w\".\"%w\"", now->schema, now->name), *text = NULL;
    rec_status s =
        full ? sq_table_find(now->c, NULL, full, &table, err) : rec_nomem(err);
    if (s == REC_OK) s = sq_table_create_text(now->c, table, NULL, 0, &text, err);
    if (s == REC_OK) *out = rec_hash(text, strlen(text), 0);
    sqlite3_free(full);
    rec_free(text);
    return s;
}

/* ---- the trace of the last training ------------------------------------------------------------ */

static bool is_trace(bytes_reader *r, sq_trace *t, size_t *n) {
    bool is_ours = bytes_get_u32(r) == TRACE_VERSION;
    t->shift = bytes_get_u32(r);
    t->definition = bytes_get_u64(r);
    t->n_pairs = bytes_get_u64(r);
    t->sum = bytes_get_u64(r);
    *n = (r->n - r->at) / 8;
    return is_ours && r->status == REC_OK && t->shift <= TRACE_MAX_SHIFT && *n > 0 &&
           *n * 8 == r->n - r->at;
}

/* t->n is 0 if there is none. */
static rec_status read_trace(sqlite3 *db, const char *schema, const char *name,
                             sq_trace *t, rec_err *err) {
    uint8_t *data = NULL;
    size_t nbyte = 0, n = 0;
    memset(t, 0, sizeof *t);
    rec_status s = sq_part_read(db, schema, name, "trace", &data, &nbyte, err);
    bytes_reader r = {.data = data, .n = nbyte};
    if (s == REC_OK && data && !is_trace(&r, t, &n))
        s = rec_corrupt(err, "%s: part 'trace' of %s_data has %zu bytes", name, name,
                        nbyte);
    if (s == REC_OK && data) {
        t->hash = rec_array(n, sizeof *t->hash);
        if (!t->hash) s = rec_nomem(err);
        for (; s == REC_OK && t->n < n; t->n++) t->hash[t->n] = bytes_get_u64(&r);
    }
    rec_free(data);
    return s;
}

rec_status sq_previous_check(sqlite3 *db, const char *schema, const char *name,
                             rec_err *err) {
    sq_trace t;
    rec_status s = read_trace(db, schema, name, &t, err);
    for (size_t i = 0; s == REC_OK && i < t.n; i++)
        if (t.hash[i] > UINT64_MAX >> t.shift || (i && t.hash[i - 1] > t.hash[i]))
            s = rec_corrupt(err, "%s: pair %zu of the trace is out of order", name, i);
    trace_clear(&t);
    return s;
}

/* New and lost pairs over the old ones: both samples are ascending. */
static double share_changed(const sq_trace *old, const sq_trace *now) {
    size_t both = 0;
    for (size_t a = 0, b = 0; a < old->n && b < now->n;) {
        uint64_t x = old->hash[a], y = now->hash[b];
        both += x == y;
        a += x <= y;
        b += y <= x;
    }
    return (double)(old->n - both + now->n - both) / (double)old->n;
}

/* ---- the stored model ------------------------------------------------------------------------------ */

static rec_status load_model(const sq_trained *now, sq_previous *p, rec_err *err) {
    const rec_model_ops *ops = now->cfg->ops;
    uint8_t *data = NULL;
    size_t nbyte = 0, n = 0;
    rec_status s =
        sq_part_read(now->c->db, now->schema, now->name, "model", &data, &nbyte, err);
    bytes_reader r = {.data = data, .n = nbyte};
    const char *algorithm = data ? bytes_get_str(&r, &n) : NULL;
    if (s == REC_OK && algorithm && n == strlen(ops->name) &&
        memcmp(algorithm, ops->name, n) == 0)
        s = ops->load(&r, &p->model, err);
    rec_free(data);
    return s;
}

/* Where each item of today stood. Keys that do not belong to the model: there is no model. */
static rec_status map_items(const sq_trained *now, sq_previous *p, rec_err *err) {
    uint8_t *data = NULL;
    size_t nbyte = 0;
    keyset *old = NULL;
    uint32_t n_items = now->data->n_items;
    rec_status s =
        sq_part_read(now->c->db, now->schema, now->name, "items", &data, &nbyte, err);
    bytes_reader r = {.data = data, .n = nbyte};
    if (s == REC_OK && data) s = keyset_read(&r, &old, err);
    if (s == REC_OK && (!old || keyset_count(old) != p->model->ops->n_items(p->model)))
        s = rec_corrupt(err, "%s: the keys of the items are not those of the model",
                        now->name);
    if (s == REC_OK && !(p->item = rec_array(n_items, sizeof *p->item)))
        s = rec_nomem(err);
    for (uint32_t i = 0; s == REC_OK && i < n_items; i++) {
        rec_key key = catalog_key(now->items, i);
        p->item[i] = keyset_find(old, &key);
    }
    keyset_free(old);
    rec_free(data);
    return s;
}

static void forget_model(sq_previous *p) {
    if (p->model) p->model->ops->close(p->model);
    rec_free(p->item);
    p->model = NULL;
    p->item = NULL;
}

/* Compares with the last training; reads its model if the next may go on from it. */
static rec_status find_model(const sq_trained *now, const pair_hashes *h,
                             sq_previous *p, rec_err *err) {
    sq_trace old, same = {0};
    rec_status s = read_trace(now->c->db, now->schema, now->name, &old, err);
    same.shift = old.shift;
    if (s == REC_OK && old.n) s = take_trace(h, &same, err);
    bool is_one = s == REC_OK && old.n && old.definition == p->trace.definition &&
                  !(old.n_pairs == same.n_pairs && old.sum == same.sum);
    if (is_one) p->changed = share_changed(&old, &same);
    if (is_one && p->changed <= SQ_GROW_MOST) {
        s = load_model(now, p, err);
        if (s == REC_OK && p->model) s = map_items(now, p, err);
    }
    trace_clear(&old);
    trace_clear(&same);
    if (s != REC_OK) forget_model(p);
    if (s != REC_CORRUPT) return s;
    memset(err, 0, sizeof *err); /* I1 */
    return REC_OK;
}

rec_status sq_previous_read(const sq_trained *now, bool want_model, sq_previous *out,
                            rec_err *err) {
    pair_hashes h = {0};
    memset(out, 0, sizeof *out);
    if (!(now->cfg->ops->needs & MODEL_GROWS) || now->data->n < least_pairs())
        return REC_OK;
    sq_trace *t = &out->trace;
    while (now->data->n >> t->shift > TRACE_MOST) t->shift++;
    rec_status s = hash_keys(now, &h, err);
    if (s == REC_OK) s = take_trace(&h, t, err);
    if (s == REC_OK) s = hash_definition(now, &t->definition, err);
    if (s == REC_OK && want_model) s = find_model(now, &h, out, err);
    rec_free(h.user);
    rec_free(h.item);
    return s;
}

rec_status sq_previous_write(const sq_trained *now, const sq_previous *p,
                             rec_err *err) {
    const sq_trace *t = &p->trace;
    bytes_writer w = {0};
    if (t->n == 0)
        return sq_exec(now->c->db, now->name, err,
                       "DELETE FROM \"%w\".\"%w_data\" WHERE part = 'trace'",
                       now->schema, now->name);
    bytes_put_u32(&w, TRACE_VERSION);
    bytes_put_u32(&w, t->shift);
    bytes_put_u64(&w, t->definition);
    bytes_put_u64(&w, t->n_pairs);
    bytes_put_u64(&w, t->sum);
    for (size_t i = 0; i < t->n; i++) bytes_put_u64(&w, t->hash[i]);
    rec_status s = w.status == REC_OK
                       ? sq_part_write(now->c->db, now->schema, now->name, "trace",
                                       w.data, w.n, err)
                       : rec_nomem(err);
    bytes_clear(&w);
    return s;
}
