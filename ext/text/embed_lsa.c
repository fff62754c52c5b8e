/* embed_lsa.c - lsa(dims): the catalogue's own words.
 *
 *     terms and features --lsa_fit--> item vectors, and a space that sentences are folded into
 *
 * The embedded default: nothing to download, nothing to ask. lsa.c has the mathematics.
 *
 * Stored: what lsa_write writes.
 */
#include "embed.h"

typedef struct embed_lsa {
    embedder base;
    lsa *words; /* owned */
} embed_lsa;

static const embed_lsa *self(const embedder *e) {
    return (const embed_lsa *)e;
}

static void lsa_close(embedder *e) {
    if (!e) return;
    lsa_free(((embed_lsa *)e)->words);
    rec_free(e);
}

static embed_lsa *lsa_embedder_new(rec_err *err) {
    embed_lsa *e = rec_zeros(1, sizeof *e);
    if (e)
        e->base.ops = &lsa_embedder;
    else
        rec_nomem(err);
    return e;
}

static rec_status lsa_parse(embed_part *p, rec_err *err) {
    double x = LSA_DEFAULT_DIM;
    size_t n = strlen(p->arg);
    if (n && rec_parse_number(p->arg, n, &x) != n) x = 0;
    if (!(x >= LSA_MIN_DIM && x <= LSA_MAX_DIM) || x != (double)(uint32_t)x)
        return rec_fail(err, REC_RANGE,
                        "embedder=lsa(%.40s): dimensions from %d to %d are allowed",
                        p->arg, LSA_MIN_DIM, LSA_MAX_DIM);
    p->dim = (uint32_t)x;
    return REC_OK;
}

static rec_status lsa_embedder_fit(const embed_fit_args *a, embedder **out, mat *rows,
                                   rec_err *err) {
    lsa_args args = *a->words;
    embed_lsa *e = lsa_embedder_new(err);
    *out = NULL;
    *rows = (mat){0};
    if (!e) return REC_NOMEM;
    args.dim = a->part->dim;
    rec_status st = lsa_fit(a->items, &args, &e->words, rows, a->run, err);
    if (!st && lsa_dim(e->words) == 0)
        st = rec_fail(err, REC_RANGE, "lsa: the text of %zu items holds no word",
                      corpus_n_docs(a->items));
    if (st) {
        mat_clear(rows);
        lsa_close(&e->base);
    } else
        *out = &e->base;
    return st;
}

static uint32_t dim_of(const embedder *e) {
    return lsa_dim(self(e)->words);
}

static rec_status lsa_items(const embedder *e, const corpus *c, const embed_part *p,
                            mat *rows, rec_err *err) {
    (void)p;
    return lsa_embed_corpus(self(e)->words, c, rows, err);
}

static rec_status lsa_text(const embedder *e, const embed_env *env, const char *text,
                           size_t nbyte, float *out, bool *known, rec_err *err) {
    (void)env, (void)err;
    *known = lsa_embed(self(e)->words, text, nbyte, out);
    return REC_OK;
}

static const lsa *lsa_language(const embedder *e) {
    return self(e)->words;
}

static void lsa_save(const embedder *e, bytes_writer *w) {
    lsa_write(self(e)->words, w);
}

static rec_status lsa_load(bytes_reader *r, embedder **out, rec_err *err) {
    embed_lsa *e = lsa_embedder_new(err);
    *out = NULL;
    if (!e) return REC_NOMEM;
    rec_status st = lsa_read(r, &e->words, err);
    if (st)
        lsa_close(&e->base);
    else
        *out = &e->base;
    return st;
}

static size_t nbyte_of(const embedder *e) {
    return sizeof(embed_lsa) + lsa_nbyte(self(e)->words);
}

const embedder_ops lsa_embedder = {
    .name = "lsa",
    .usage = "lsa(2..1024)",
    .needs = EMBED_READS_TERMS,
    .parse = lsa_parse,
    .fit = lsa_embedder_fit,
    .dim = dim_of,
    .items = lsa_items,
    .text = lsa_text,
    .language = lsa_language,
    .save = lsa_save,
    .load = lsa_load,
    .nbyte = nbyte_of,
    .close = lsa_close,
};
