/* sq_embed.c - what embedders reach outside: files, servers, and vectors that were paid for already.
 *
 *   training    texts of all items --> kept? --no--> batches --> server --> kept      part 'embed.<identity>.<n>'
 *                                        `--yes--> row                                of <name>_data
 *   question    one sentence --> server (llm_embed_text keeps it for a while)
 *
 * A vector is known by a hash of its text and of the model that made it (identity). Under rec_train every
 * KEEP_ROWS vectors, or KEEP_SECONDS of them, are committed in a transaction of their own; whatever stops the training, the next one
 * asks only for what is missing. What a finished training used is put into one part, so that the next pays for
 * changed texts alone. The INSERT form keeps nothing on the way: its transaction undoes all or nothing.
 *
 * Files are opened at training alone, by the model that names them; their table becomes part of the model.
 *
 * Invariants
 *   K1  a kept row has dim finite numbers; a part whose bytes do not add up is passed over and made again.
 *   K2  only the thread that called SQLite asks a server.
 *
 * Part: u32 version, u32 dim, u64 n, then n times (u64 hash, f32 numbers[dim]).
 */
#include "sq.h"

#include <math.h>

#define KEEP_VERSION 1
#define KEEP_ROWS    256
#define KEEP_SECONDS 2.0
#define KEEP_NAME    40 /* bytes of a part's name */
#define MAX_HASH     (~(uint64_t)0 >> 1)

/* ---- definitions ---------------------------------------------------------------------------- */

void sq_embed_spec(const sq_model_cfg *cfg, embed_spec *out) {
    const char *text = cfg->ops ? opt_text(&cfg->options, "embedder") : NULL;
    out->n = out->n_column = 0;
    if (text && embed_parse(text, out, NULL) != REC_OK) out->n = out->n_column = 0;
}

unsigned sq_embed_needs(const sq_model_cfg *cfg) {
    embed_spec spec;
    sq_embed_spec(cfg, &spec);
    return embed_needs(&spec);
}

bool sq_view_asks(const sq_view *v) {
    if (sq_embed_needs(&v->cfg) & EMBED_ASKS_SERVER) return true;
    for (size_t i = 0; i < v->n_member; i++)
        if (sq_view_asks(v->member[i].view)) return true;
    return false;
}

/* ---- a sentence --------------------------------------------------------------------------------- */

static rec_status check_identity(const llm_embedder_call *call, uint64_t *identity,
                                 rec_err *err) {
    uint64_t now;
    rec_status s = llm_embed_identity(call, &now, err);
    if (s == REC_OK && *identity && *identity != now)
        s = rec_fail(
            err, REC_RANGE,
            "llm('%.60s'): the row of llm_models names another server, model or "
            "extra fields than those that made the items' vectors; train again",
            call->c->name);
    *identity = now;
    return s;
}

static rec_status ask_sentence(sq_conn *c, const embed_ask *q, mat *rows,
                               rec_err *err) {
    llm_embedder_call call;
    float *x = NULL;
    uint32_t dim = 0;
    rec_status s = llm_embed_begin(c->llm, q->name, false, &call, err);
    if (s == REC_OK) s = check_identity(&call, q->identity, err);
    if (s == REC_OK) s = llm_embed_text(&call, q->text, q->n_text, &x, &dim, err);
    if (s == REC_OK) s = mat_init(rows, 1, dim, err);
    if (s == REC_OK) memcpy(mat_row(rows, 0), x, dim * sizeof *x);
    rec_free(x);
    llm_embed_end(&call);
    return s;
}

static rec_status ask_question(void *ctx, const embed_ask *q, mat *rows, rec_err *err) {
    *rows = (mat){0};
    if (!q->items) return ask_sentence(ctx, q, rows, err);
    return rec_fail(err, REC_RANGE, "llm('%.60s'): items are embedded at training",
                    q->name);
}

static rec_status open_nothing(void *ctx, const char *path, static_table **out,
                               rec_err *err) {
    (void)ctx;
    *out = NULL;
    return rec_fail(err, REC_RANGE, "static('%.100s'): files are opened at training",
                    path);
}

embed_env sq_embed_questions(sq_conn *c) {
    return (embed_env){.ctx = c, .open_static = open_nothing, .ask = ask_question};
}

/* ---- vectors that are there already ------------------------------------------------------------- */

struct sq_kept {
    sq_kept *next;
    uint64_t identity;
    keyset *hash;   /* owned: of the text -> row */
    float *row;     /* owned: [n x dim] */
    uint8_t *used;  /* owned: [n] by this training */
    uint32_t dim;   /* 0: no row yet */
    size_t n_saved; /* rows that parts hold */
    uint32_t n_part;
    size_t cap_row, cap_used;
};

static void kept_free(sq_kept *k) {
    if (!k) return;
    keyset_free(k->hash);
    rec_free(k->row);
    rec_free(k->used);
    rec_free(k);
}

static uint32_t kept_find(const sq_kept *k, uint64_t hash) {
    rec_key key = {.i = (int64_t)(hash & MAX_HASH)};
    return keyset_find(k->hash, &key);
}

static rec_status kept_add(sq_kept *k, uint64_t hash, const float *x, rec_err *err) {
    rec_key key = {.i = (int64_t)(hash & MAX_HASH)};
    size_t n = keyset_count(k->hash);
    uint32_t at;
    rec_status s =
        rec_grow(&k->row, &k->cap_row, (n + 1) * k->dim, sizeof *k->row, err);
    if (s == REC_OK) s = rec_grow(&k->used, &k->cap_used, n + 1, sizeof *k->used, err);
    if (s == REC_OK) s = keyset_add(k->hash, &key, &at, err);
    if (s != REC_OK || at < n) return s;
    memcpy(k->row + (size_t)at * k->dim, x, k->dim * sizeof *x);
    k->used[at] = 0;
    return REC_OK;
}

static void part_name(const sq_kept *k, uint32_t i, char out[KEEP_NAME]) {
    rec_format(out, KEEP_NAME, "embed.%llu.%u", (unsigned long long)k->identity, i);
}

/* K1. false: damaged. */
static rec_status read_rows(sq_kept *k, const uint8_t *data, size_t n, bool *is_sound,
                            rec_err *err) {
    bytes_reader r = {.data = data, .n = n};
    uint32_t version = bytes_get_u32(&r), dim = bytes_get_u32(&r);
    uint64_t n_row = bytes_get_u64(&r);
    rec_status s = REC_OK;
    *is_sound = !r.status && version == KEEP_VERSION && dim >= VEC_MIN_DIM &&
                dim <= VEC_MAX_DIM && (!k->dim || k->dim == dim) &&
                (r.n - r.at) / (8 + (size_t)dim * 4) == n_row &&
                (r.n - r.at) % (8 + (size_t)dim * 4) == 0;
    if (!*is_sound) return REC_OK;
    float *x = rec_array(dim, sizeof *x);
    if (!x) return rec_nomem(err);
    k->dim = dim;
    for (uint64_t i = 0; i < n_row && s == REC_OK; i++) {
        uint64_t hash = bytes_get_u64(&r);
        bytes_get_f32s(&r, x, dim);
        if (vec_is_finite(x, dim)) s = kept_add(k, hash, x, err);
    }
    rec_free(x);
    return s;
}

/* Parts are numbered without a gap. */
static rec_status read_kept(const sq_embedding *e, sq_kept *k, rec_err *err) {
    for (;;) {
        char part[KEEP_NAME];
        uint8_t *data = NULL;
        size_t n = 0;
        bool is_sound;
        rec_err why = {0};
        part_name(k, k->n_part, part);
        rec_status s =
            sq_part_read(e->c->db, e->schema, e->name, part, &data, &n, &why);
        bool is_there = data != NULL || s == REC_CORRUPT;
        if (s == REC_OK && data) s = read_rows(k, data, n, &is_sound, &why);
        rec_free(data);
        if (s != REC_OK && s != REC_CORRUPT) {
            if (err) *err = why;
            return s;
        }
        if (!is_there) break;
        k->n_part++;
    }
    k->n_saved = keyset_count(k->hash);
    return REC_OK;
}

static rec_status open_kept(sq_embedding *e, uint64_t identity, sq_kept **out,
                            rec_err *err) {
    for (*out = e->kept; *out; *out = (*out)->next)
        if ((*out)->identity == identity) return REC_OK;
    sq_kept *k = rec_zeros(1, sizeof *k);
    if (!k) return rec_nomem(err);
    k->identity = identity;
    k->hash = keyset_new();
    rec_status s = k->hash ? read_kept(e, k, err) : rec_nomem(err);
    if (s != REC_OK) {
        kept_free(k);
        return s;
    }
    k->next = e->kept;
    e->kept = *out = k;
    return REC_OK;
}

/* Rows [from, n), or those of them that are in use. */
static void put_rows(const sq_kept *k, size_t from, bool used_only, bytes_writer *w) {
    size_t n = keyset_count(k->hash), n_put = 0;
    for (size_t i = from; i < n; i++) n_put += !used_only || k->used[i];
    bytes_put_u32(w, KEEP_VERSION);
    bytes_put_u32(w, k->dim);
    bytes_put_u64(w, n_put);
    for (size_t i = from; i < n; i++) {
        if (used_only && !k->used[i]) continue;
        bytes_put_u64(w, (uint64_t)keyset_get(k->hash, (uint32_t)i).i);
        bytes_put_f32s(w, k->row + i * k->dim, k->dim);
    }
}

/* What is new goes into a part of its own. */
static rec_status save_new(sq_embedding *e, sq_kept *k, rec_err *err) {
    char part[KEEP_NAME];
    bytes_writer w = {0};
    if (!e->keep || keyset_count(k->hash) == k->n_saved) return REC_OK;
    part_name(k, k->n_part, part);
    put_rows(k, k->n_saved, false, &w);
    rec_status s =
        w.status == REC_OK ? e->keep(e->keep_ctx, part, &w, err) : rec_nomem(err);
    bytes_clear(&w);
    if (s != REC_OK) return s;
    k->n_saved = keyset_count(k->hash);
    k->n_part++;
    return REC_OK;
}

rec_status sq_embed_write(sq_embedding *e, rec_err *err) {
    rec_status s = sq_exec(e->c->db, e->name, err,
                           "DELETE FROM \"%w\".\"%w_data\" WHERE part GLOB 'embed.*'",
                           e->schema, e->name);
    for (const sq_kept *k = e->kept; k && s == REC_OK; k = k->next) {
        char part[KEEP_NAME];
        bytes_writer w = {0};
        part_name(k, 0, part);
        put_rows(k, 0, true, &w);
        s = w.status == REC_OK
                ? sq_part_write(e->c->db, e->schema, e->name, part, w.data, w.n, err)
                : rec_nomem(err);
        bytes_clear(&w);
    }
    return s;
}

void sq_embed_end(sq_embedding *e) {
    while (e->kept) {
        sq_kept *k = e->kept;
        e->kept = k->next;
        kept_free(k);
    }
}

/* ---- all items ---------------------------------------------------------------------------------------- */

typedef struct items_job {
    sq_embedding *e;
    const embed_ask *q;
    llm_embedder_call call;
    sq_kept *kept;
    const char **text; /* owned, as all below: [embed_batch] the next batch */
    size_t *nbyte;
    uint64_t *hash;
    float **vector;
    size_t n, at; /* in the batch; the next document */
    double saved; /* when */
} items_job;

static bool is_blank(const char *s, size_t n) {
    for (size_t i = 0; i < n; i++)
        if (!strchr(" \t\r\n", s[i])) return false;
    return true;
}

static uint64_t text_hash(const items_job *j, size_t doc, const char **text,
                          size_t *nbyte) {
    *text = corpus_text(j->q->items, doc, nbyte);
    while (*nbyte && strchr(" \t\r\n", (*text)[*nbyte - 1])) --*nbyte;
    return rec_hash(*text, *nbyte, j->kept->identity);
}

static rec_status start_job(items_job *j, rec_err *err) {
    size_t most = (size_t)j->call.o.embed_batch;
    j->text = rec_array(most, sizeof *j->text);
    j->nbyte = rec_array(most, sizeof *j->nbyte);
    j->hash = rec_array(most, sizeof *j->hash);
    j->vector = rec_zeros(most, sizeof *j->vector);
    j->saved = rec_seconds();
    return j->text && j->nbyte && j->hash && j->vector ? REC_OK : rec_nomem(err);
}

static void end_job(items_job *j) {
    rec_free(j->text);
    rec_free(j->nbyte);
    rec_free(j->hash);
    rec_free(j->vector);
    llm_embed_end(&j->call);
}

/* The next texts of which there is no vector, as many as fit a request. */
static void next_batch(items_job *j) {
    size_t first = j->at, n_doc = corpus_n_docs(j->q->items);
    for (j->n = 0; j->at < n_doc && j->n < (size_t)j->call.o.embed_batch; j->at++) {
        uint64_t h = text_hash(j, j->at, &j->text[j->n], &j->nbyte[j->n]);
        if (is_blank(j->text[j->n], j->nbyte[j->n]) ||
            kept_find(j->kept, h) != KEYS_NONE)
            continue;
        j->hash[j->n++] = h;
    }
    llm_texts t = {j->text, j->nbyte, j->n};
    size_t fits = j->n ? llm_embed_fit(&j->call, &t) : 0;
    if (fits == j->n) return;
    for (size_t n = 0, doc = first;;
         doc++) { /* go back to the first that does not fit */
        const char *text;
        size_t nbyte;
        text_hash(j, doc, &text, &nbyte);
        if (text != j->text[n] || nbyte != j->nbyte[n]) continue;
        if (n++ < fits) continue;
        j->at = doc;
        j->n = fits;
        return;
    }
}

static rec_status ask_batch(items_job *j, rec_err *err) {
    llm_texts t = {j->text, j->nbyte, j->n};
    rec_status s = llm_embed_batch(&j->call, &t, j->vector, &j->kept->dim, err);
    rec_err why = {0};
    rec_status kept = REC_OK;
    for (size_t i = 0; i < j->n; i++) {
        if (j->vector[i] && kept == REC_OK)
            kept = kept_add(j->kept, j->hash[i], j->vector[i], &why);
        rec_free(j->vector[i]);
        j->vector[i] = NULL;
    }
    if (s != REC_OK || kept == REC_OK) return s;
    if (err) *err = why;
    return kept;
}

static rec_status ask_all(items_job *j, rec_err *err) {
    size_t n_doc = corpus_n_docs(j->q->items);
    rec_status s = REC_OK;
    for (next_batch(j); j->n && s == REC_OK; next_batch(j)) {
        s = ask_batch(j, err);
        size_t n_new = keyset_count(j->kept->hash) - j->kept->n_saved;
        bool is_due = n_new >= KEEP_ROWS || rec_seconds() - j->saved > KEEP_SECONDS;
        if (s == REC_OK && is_due) {
            s = save_new(j->e, j->kept, err);
            j->saved = rec_seconds();
        }
        run_progress(j->q->run, "embed", (double)j->at / (double)n_doc);
        if (s == REC_OK) s = run_check(j->q->run, err);
    }
    return s;
}

/* Whatever stopped it, what was paid for is kept. */
static rec_status stopped(items_job *j, rec_status s, rec_err *err) {
    rec_err why = {0};
    size_t n_new = keyset_count(j->kept->hash) - j->kept->n_saved;
    bool is_kept = j->e->keep && save_new(j->e, j->kept, &why) == REC_OK;
    if (s != REC_NET || !err) return s;
    char said[sizeof err->msg];
    memcpy(said, err->msg, sizeof said);
    return rec_fail(err, s, "%.300s (%zu of %zu items have a vector%s)", said,
                    keyset_count(j->kept->hash), corpus_n_docs(j->q->items),
                    !is_kept || (!n_new && !j->kept->n_saved)
                        ? ""
                        : ", which is kept: rec_train goes on from there");
}

static void log_refused(const items_job *j) {
    if (!j->call.n_refused) return;
    rec_log_row row = {.phase = "embed",
                       .epoch = 1,
                       .loss = NAN,
                       .metric = "refused",
                       .value = (double)j->call.n_refused};
    run_log(j->q->run, &row);
}

static rec_status fill_rows(items_job *j, mat *rows, rec_err *err) {
    size_t n_doc = corpus_n_docs(j->q->items);
    sq_kept *k = j->kept;
    if (!k->dim && j->call.n_refused) {
        if (err) *err = j->call.refusal;
        return REC_NET;
    }
    if (!k->dim)
        return rec_fail(err, REC_RANGE, "llm('%.60s'): none of %zu items has a text",
                        j->q->name, n_doc);
    rec_status s = mat_init(rows, n_doc, k->dim, err);
    for (size_t i = 0; i < n_doc && s == REC_OK; i++) {
        const char *text;
        size_t nbyte;
        uint32_t at = kept_find(k, text_hash(j, i, &text, &nbyte));
        if (at == KEYS_NONE) continue;
        k->used[at] = 1;
        memcpy(mat_row(rows, i), k->row + (size_t)at * k->dim, k->dim * sizeof(float));
    }
    return s;
}

static rec_status ask_items(sq_embedding *e, const embed_ask *q, mat *rows,
                            rec_err *err) {
    items_job j = {.e = e, .q = q};
    rec_status s = llm_embed_begin(e->c->llm, q->name, e->in_transaction, &j.call, err);
    if (s == REC_OK) s = check_identity(&j.call, q->identity, err);
    if (s == REC_OK) s = open_kept(e, *q->identity, &j.kept, err);
    if (s == REC_OK) s = start_job(&j, err);
    if (s == REC_OK) {
        s = ask_all(&j, err);
        if (s != REC_OK) s = stopped(&j, s, err);
    }
    if (s == REC_OK) s = fill_rows(&j, rows, err);
    if (s == REC_OK) log_refused(&j);
    end_job(&j);
    return s;
}

static rec_status ask_training(void *ctx, const embed_ask *q, mat *rows, rec_err *err) {
    sq_embedding *e = ctx;
    *rows = (mat){0};
    return q->items ? ask_items(e, q, rows, err) : ask_sentence(e->c, q, rows, err);
}

static rec_status open_file(void *ctx, const char *path, static_table **out,
                            rec_err *err) {
    (void)ctx;
    return static_file_open(path, out, err);
}

void sq_embed_start(sq_embedding *e) {
    e->env = (embed_env){.ctx = e, .open_static = open_file, .ask = ask_training};
    e->kept = NULL;
}
