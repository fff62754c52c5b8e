/* embed_llm.c - llm(name): vectors by a server, whichever embed_env asks.
 *
 *     texts of all items --env->ask--> rows        at training; what is kept of earlier answers, the host knows
 *     a sentence         --env->ask--> one row     at query time
 *
 * Items that came after training have zeros until the next one: a question must not cost a call for each.
 *
 * What is stored names the model that made the vectors by a hash, `identity`, so that a sentence is never
 * compared in the space of another model.
 *
 * Stored: str name, u64 identity, u32 dim.
 */
#include "embed.h"

typedef struct embed_remote {
    embedder base;
    char name[EMBED_MAX_ARG];
    uint64_t identity;
    uint32_t dim;
} embed_remote;

static const embed_remote *self(const embedder *e) {
    return (const embed_remote *)e;
}

static rec_status remote_new(const char *name, embed_remote **out, rec_err *err) {
    embed_remote *e = rec_zeros(1, sizeof *e);
    *out = e;
    if (!e) return rec_nomem(err);
    e->base.ops = &llm_embedder;
    rec_format(e->name, sizeof e->name, "%s", name);
    return REC_OK;
}

static void remote_close(embedder *e) {
    rec_free(e);
}

static rec_status remote_parse(embed_part *p, rec_err *err) {
    if (p->arg[0]) return REC_OK;
    return rec_fail(err, REC_RANGE,
                    "embedder=llm: which? llm('name') names a row of llm_models");
}

static size_t normalize_rows(mat *rows) {
    size_t n = 0;
    for (size_t i = 0; i < rows->n_rows; i++)
        n += vec_normalize(mat_row(rows, i), rows->dim);
    return n;
}

static rec_status remote_fit(const embed_fit_args *a, embedder **out, mat *rows,
                             rec_err *err) {
    embed_remote *e = NULL;
    *out = NULL;
    *rows = (mat){0};
    if (!a->env)
        return rec_fail(err, REC_RANGE, "llm(%.60s): no server can be asked here",
                        a->part->arg);
    rec_status st = remote_new(a->part->arg, &e, err);
    if (st) return st;
    embed_ask ask = {
        .name = e->name, .items = a->items, .identity = &e->identity, .run = a->run};
    st = a->env->ask(a->env->ctx, &ask, rows, err);
    if (!st && !normalize_rows(rows))
        st = rec_fail(err, REC_RANGE, "llm(%.60s): none of %zu items has a text",
                      e->name, corpus_n_docs(a->items));
    e->dim = rows->dim;
    if (st) {
        mat_clear(rows);
        remote_close(&e->base);
    } else
        *out = &e->base;
    return st;
}

static uint32_t remote_dim(const embedder *e) {
    return self(e)->dim;
}

static rec_status remote_items(const embedder *e, const corpus *c, const embed_part *p,
                               mat *rows, rec_err *err) {
    (void)p;
    return mat_init(rows, corpus_n_docs(c), self(e)->dim, err);
}

static rec_status remote_text(const embedder *e, const embed_env *env, const char *text,
                              size_t nbyte, float *out, bool *known, rec_err *err) {
    const embed_remote *r = self(e);
    uint64_t identity = r->identity;
    mat rows = {0};
    memset(out, 0, r->dim * sizeof *out);
    *known = false;
    if (!env || nbyte == 0) return REC_OK;
    embed_ask ask = {
        .name = r->name, .text = text, .n_text = nbyte, .identity = &identity};
    rec_status st = env->ask(env->ctx, &ask, &rows, err);
    if (!st && rows.dim != r->dim)
        st = rec_fail(
            err, REC_RANGE,
            "llm(%.60s): a vector of %u numbers came, the items have %u; train "
            "again",
            r->name, rows.dim, r->dim);
    if (!st) {
        memcpy(out, mat_row(&rows, 0), r->dim * sizeof *out);
        *known = vec_normalize(out, r->dim);
    }
    mat_clear(&rows);
    return st;
}

static const lsa *remote_language(const embedder *e) {
    (void)e;
    return NULL;
}

static void remote_save(const embedder *e, bytes_writer *w) {
    bytes_put_str(w, self(e)->name, strlen(self(e)->name));
    bytes_put_u64(w, self(e)->identity);
    bytes_put_u32(w, self(e)->dim);
}

static rec_status remote_load(bytes_reader *r, embedder **out, rec_err *err) {
    embed_remote *e = NULL;
    size_t n;
    *out = NULL;
    const char *name = bytes_get_str(r, &n);
    uint64_t identity = bytes_get_u64(r);
    uint32_t dim = bytes_get_u32(r);
    if (r->status || !name || n >= EMBED_MAX_ARG || dim < VEC_MIN_DIM ||
        dim > VEC_MAX_DIM)
        return rec_corrupt(err, "llm: vectors of %u numbers", dim);
    rec_status st = remote_new("", &e, err);
    if (st) return st;
    memcpy(e->name, name, n);
    e->identity = identity;
    e->dim = dim;
    *out = &e->base;
    return REC_OK;
}

static size_t remote_nbyte(const embedder *e) {
    (void)e;
    return sizeof(embed_remote);
}

const embedder_ops llm_embedder = {
    .name = "llm",
    .usage = "llm('name')",
    .needs = EMBED_READS_TEXT | EMBED_ASKS_SERVER,
    .parse = remote_parse,
    .fit = remote_fit,
    .dim = remote_dim,
    .items = remote_items,
    .text = remote_text,
    .language = remote_language,
    .save = remote_save,
    .load = remote_load,
    .nbyte = remote_nbyte,
    .close = remote_close,
};
