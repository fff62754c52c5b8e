/* embed_column.c - column(name): vectors that the items already have.
 *
 *     items.image_vec   BLOB float32, or JSON   --unit length-->   part of the item's vector
 *
 * Whoever made them, of images, sound or another model's text: a sentence has none, so this part of its vector
 * is zero. Items without a vector have zeros.
 *
 * Stored: u32 dim.
 */
#include "embed.h"

typedef struct embed_given {
    embedder base;
    uint32_t dim;
} embed_given;

static rec_status given_new(uint32_t dim, embedder **out, rec_err *err) {
    embed_given *e = rec_zeros(1, sizeof *e);
    *out = NULL;
    if (!e) return rec_nomem(err);
    *e = (embed_given){.base.ops = &column_embedder, .dim = dim};
    *out = &e->base;
    return REC_OK;
}

static rec_status given_parse(embed_part *p, rec_err *err) {
    if (p->arg[0]) return REC_OK;
    return rec_fail(err, REC_RANGE,
                    "embedder=column: which? column(image_vec) names a "
                    "column of the items table");
}

static rec_status given_rows(uint32_t dim, const corpus *c, const embed_part *p,
                             mat *rows, size_t *n_known, rec_err *err) {
    const mat *from = &c->column[p->column].rows;
    rec_status st = mat_init(rows, corpus_n_docs(c), dim, err);
    *n_known = 0;
    if (!st && from->dim && from->dim != dim)
        st = rec_fail(err, REC_RANGE,
                      "column(%.60s): vectors have %u numbers, at training they had %u",
                      p->arg, from->dim, dim);
    for (size_t i = 0; !st && i < from->n_rows && i < rows->n_rows; i++) {
        memcpy(mat_row(rows, i), mat_row(from, i), dim * sizeof(float));
        *n_known += vec_normalize(mat_row(rows, i), dim);
    }
    if (st) mat_clear(rows);
    return st;
}

static rec_status given_fit(const embed_fit_args *a, embedder **out, mat *rows,
                            rec_err *err) {
    uint32_t dim = a->items->column[a->part->column].rows.dim;
    size_t n_known = 0;
    *out = NULL;
    *rows = (mat){0};
    rec_status st =
        dim ? given_rows(dim, a->items, a->part, rows, &n_known, err) : REC_OK;
    if (!st && !n_known)
        st = rec_fail(err, REC_RANGE,
                      "column(%.60s): none of %zu items has a vector there",
                      a->part->arg, corpus_n_docs(a->items));
    if (!st) st = given_new(dim, out, err);
    if (st) mat_clear(rows);
    return st;
}

static uint32_t given_dim(const embedder *e) {
    return ((const embed_given *)e)->dim;
}

static rec_status given_items(const embedder *e, const corpus *c, const embed_part *p,
                              mat *rows, rec_err *err) {
    size_t n_known;
    return given_rows(given_dim(e), c, p, rows, &n_known, err);
}

static rec_status given_text(const embedder *e, const embed_env *env, const char *text,
                             size_t nbyte, float *out, bool *known, rec_err *err) {
    (void)env, (void)text, (void)nbyte, (void)err;
    memset(out, 0, given_dim(e) * sizeof *out);
    *known = false;
    return REC_OK;
}

static const lsa *given_language(const embedder *e) {
    (void)e;
    return NULL;
}

static void given_save(const embedder *e, bytes_writer *w) {
    bytes_put_u32(w, given_dim(e));
}

static rec_status given_load(bytes_reader *r, embedder **out, rec_err *err) {
    uint32_t dim = bytes_get_u32(r);
    *out = NULL;
    if (r->status || dim < VEC_MIN_DIM || dim > VEC_MAX_DIM)
        return rec_corrupt(err, "column: vectors of %u numbers", dim);
    return given_new(dim, out, err);
}

static size_t given_nbyte(const embedder *e) {
    (void)e;
    return sizeof(embed_given);
}

static void given_close(embedder *e) {
    rec_free(e);
}

const embedder_ops column_embedder = {
    .name = "column",
    .usage = "column(name)",
    .needs = EMBED_READS_COLUMN,
    .parse = given_parse,
    .fit = given_fit,
    .dim = given_dim,
    .items = given_items,
    .text = given_text,
    .language = given_language,
    .save = given_save,
    .load = given_load,
    .nbyte = given_nbyte,
    .close = given_close,
};
