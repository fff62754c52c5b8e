/* embed_static.c - static('folder'): the average of token vectors that somebody has trained.
 *
 *     text --wordpiece--> tokens --table--> vectors --sum, unit length--> vector
 *
 * The form of Model2Vec (van Dongen and Tulkens 2024): a sentence transformer distilled into one vector a token,
 * weighted beforehand, so that plain averages do. No network runs, a text of 100 words takes some microseconds.
 *
 * The table becomes part of the trained model: a database that is copied elsewhere needs no file, and a file that
 * changes does not change what a sentence means. Numbers are rounded to float16 before anything is embedded, so
 * that items and sentences meet the same ones.
 *
 * Invariants
 *   S1  one row a token; all numbers are float16 and finite; scores are finite.
 *
 * Stored: u32 tokens, u32 dim, u32 flags (1 scores, 2 skipped, 4 lower case), str prefix; each token: str,
 * f32 score if there are scores, u8 skipped if any; then float16 numbers[tokens x dim].
 * Cost: 2 bytes a number stored, 4 in memory.
 */
#include "embed.h"

#include <math.h>

enum { HAS_SCORES = 1, HAS_SKIPPED = 2, IS_LOWER = 4 };

typedef struct embed_table {
    embedder base;
    static_table *t; /* owned */
} embed_table;

static const static_table *table(const embedder *e) {
    return ((const embed_table *)e)->t;
}

static void table_close(embedder *e) {
    if (!e) return;
    static_table_free(((embed_table *)e)->t);
    rec_free(e);
}

/* t is taken. */
static rec_status table_new(static_table *t, embedder **out, rec_err *err) {
    embed_table *e = rec_zeros(1, sizeof *e);
    *out = NULL;
    if (!e) {
        static_table_free(t);
        return rec_nomem(err);
    }
    *e = (embed_table){.base.ops = &static_embedder, .t = t};
    *out = &e->base;
    return REC_OK;
}

static rec_status table_parse(embed_part *p, rec_err *err) {
    if (p->arg[0]) return REC_OK;
    return rec_fail(err, REC_RANGE,
                    "embedder=static: which? static('path') names a folder with "
                    "tokenizer.json and model.safetensors");
}

/* ---- embedding ---------------------------------------------------------------------------- */

typedef struct pool {
    const mat *rows;
    float *sum;
} pool;

static void add_token(void *ctx, uint32_t id) {
    pool *p = ctx;
    vec_kernels()->axpy(p->sum, 1, mat_row(p->rows, id), p->rows->dim);
}

static bool embed(const static_table *t, const char *text, size_t nbyte, float *out) {
    pool p = {&t->rows, out};
    memset(out, 0, t->rows.dim * sizeof *out);
    wordpiece_each(t, text, nbyte, add_token, &p);
    return vec_normalize(out, t->rows.dim);
}

typedef struct table_job {
    const static_table *t;
    const corpus *c;
    mat *rows;
} table_job;

static rec_status embed_piece(void *ctx, size_t begin, size_t end, int worker,
                              rec_err *err) {
    table_job *job = ctx;
    (void)worker, (void)err;
    for (size_t i = begin; i < end; i++) {
        size_t n;
        const char *text = corpus_text(job->c, i, &n);
        embed(job->t, text, n, mat_row(job->rows, i));
    }
    return REC_OK;
}

static rec_status embed_all(const static_table *t, const corpus *c, mat *rows,
                            rec_run *run, rec_err *err) {
    table_job job = {t, c, rows};
    rec_status st = mat_init(rows, corpus_n_docs(c), t->rows.dim, err);
    if (!st) st = threads_for(run, rows->n_rows, 16, embed_piece, &job, err);
    if (st) mat_clear(rows);
    return st;
}

/* S1. */
static rec_status round_numbers(static_table *t, const char *path, rec_err *err) {
    uint16_t *half = rec_array(t->rows.dim, sizeof *half);
    if (!half) return rec_nomem(err);
    rec_status st = REC_OK;
    for (size_t i = 0; !st && i < t->rows.n_rows; i++) {
        float *x = mat_row(&t->rows, i);
        vec_kernels()->f16_from_f32(half, x, t->rows.dim);
        vec_kernels()->f32_from_f16(x, half, t->rows.dim);
        if (!vec_is_finite(x, t->rows.dim))
            st = rec_fail(err, REC_RANGE,
                          "static(%.100s): a number of token %zu is not finite, or too "
                          "large for float16",
                          path, i);
    }
    rec_free(half);
    return st;
}

static rec_status table_fit(const embed_fit_args *a, embedder **out, mat *rows,
                            rec_err *err) {
    static_table *t = NULL;
    *out = NULL;
    *rows = (mat){0};
    if (!a->env)
        return rec_fail(err, REC_RANGE, "static(%.100s): no file can be opened here",
                        a->part->arg);
    rec_status st = a->env->open_static(a->env->ctx, a->part->arg, &t, err);
    if (!st) st = round_numbers(t, a->part->arg, err);
    if (!st) st = embed_all(t, a->items, rows, a->run, err);
    size_t n_known = 0;
    for (size_t i = 0; !st && i < rows->n_rows; i++)
        n_known += vec_norm(mat_row(rows, i), rows->dim) > 0;
    if (!st && !n_known)
        st = rec_fail(
            err, REC_RANGE,
            "static(%.100s): the text of %zu items holds no word that it knows",
            a->part->arg, corpus_n_docs(a->items));
    if (!st) return table_new(t, out, err);
    static_table_free(t);
    mat_clear(rows);
    return st;
}

static uint32_t table_dim(const embedder *e) {
    return table(e)->rows.dim;
}

static rec_status table_items(const embedder *e, const corpus *c, const embed_part *p,
                              mat *rows, rec_err *err) {
    (void)p;
    return embed_all(table(e), c, rows, NULL, err);
}

static rec_status table_text(const embedder *e, const embed_env *env, const char *text,
                             size_t nbyte, float *out, bool *known, rec_err *err) {
    (void)env, (void)err;
    *known = embed(table(e), text, nbyte, out);
    return REC_OK;
}

static const lsa *table_language(const embedder *e) {
    (void)e;
    return NULL;
}

/* ---- stored form ---------------------------------------------------------------------------- */

static void table_save(const embedder *e, bytes_writer *w) {
    const static_table *t = table(e);
    uint16_t half[64];
    bytes_put_u32(w, (uint32_t)t->rows.n_rows);
    bytes_put_u32(w, t->rows.dim);
    bytes_put_u32(w, (t->score ? HAS_SCORES : 0u) | (t->is_skipped ? HAS_SKIPPED : 0u) |
                         (t->lower_case ? IS_LOWER : 0u));
    bytes_put_str(w, t->prefix, strlen(t->prefix));
    for (uint32_t i = 0; i < t->rows.n_rows; i++) {
        size_t n;
        const char *s = dict_get(t->tokens, i, &n);
        bytes_put_str(w, s, n);
        if (t->score) bytes_put_f32(w, t->score[i]);
        if (t->is_skipped) bytes_put_u8(w, t->is_skipped[i]);
    }
    for (size_t i = 0; i < t->rows.n_rows; i++)
        for (uint32_t at = 0; at < t->rows.dim; at += 64) {
            uint32_t n = t->rows.dim - at < 64 ? t->rows.dim - at : 64;
            vec_kernels()->f16_from_f32(half, mat_row(&t->rows, i) + at, n);
            for (uint32_t k = 0; k < n; k++) {
                bytes_put_u8(w, (uint8_t)half[k]);
                bytes_put_u8(w, (uint8_t)(half[k] >> 8));
            }
        }
}

static rec_status read_tokens(bytes_reader *r, static_table *t, uint32_t n,
                              uint32_t flags, rec_err *err) {
    rec_status st = REC_OK;
    uint32_t made;
    t->tokens = dict_new();
    if (flags & HAS_SCORES) t->score = rec_zeros(n, sizeof *t->score);
    if (flags & HAS_SKIPPED) t->is_skipped = rec_zeros(n, 1);
    if (!t->tokens || ((flags & HAS_SCORES) && !t->score) ||
        ((flags & HAS_SKIPPED) && !t->is_skipped))
        return rec_nomem(err);
    for (uint32_t i = 0; !st && i < n; i++) {
        size_t len;
        const char *s = bytes_get_str(r, &len);
        if (!s) return rec_corrupt(err, "static: token %u of %u is missing", i, n);
        st = dict_add(t->tokens, s, len, &made, err);
        if (!st && made != i) return rec_corrupt(err, "static: token %u again", made);
        if (t->score) t->score[i] = bytes_get_f32(r);
        if (t->score && !isfinite(t->score[i]))
            return rec_corrupt(err, "static: token %u has no score", i);
        if (t->is_skipped) t->is_skipped[i] = bytes_get_u8(r);
    }
    return st;
}

static rec_status read_rows(bytes_reader *r, static_table *t, uint32_t n, uint32_t dim,
                            rec_err *err) {
    if ((r->n - r->at) / 2 / dim < n)
        return rec_corrupt(err, "static: %zu bytes for %u x %u numbers", r->n - r->at,
                           n, dim);
    uint16_t half[64];
    rec_status st = mat_init(&t->rows, n, dim, err);
    for (size_t i = 0; !st && i < n; i++) {
        for (uint32_t at = 0; at < dim; at += 64) {
            uint32_t k = dim - at < 64 ? dim - at : 64;
            for (uint32_t j = 0; j < k; j++) {
                half[j] = bytes_get_u8(r);
                half[j] |= (uint16_t)(bytes_get_u8(r) << 8);
            }
            vec_kernels()->f32_from_f16(mat_row(&t->rows, i) + at, half, k);
        }
        if (!vec_is_finite(mat_row(&t->rows, i), dim))
            st = rec_corrupt(err, "static: a number of token %zu is not finite", i);
    }
    return st;
}

static rec_status table_load(bytes_reader *r, embedder **out, rec_err *err) {
    uint32_t n = bytes_get_u32(r), dim = bytes_get_u32(r), flags = bytes_get_u32(r);
    size_t n_prefix;
    const char *prefix = bytes_get_str(r, &n_prefix);
    *out = NULL;
    if (r->status || !prefix || n_prefix >= sizeof((static_table *)0)->prefix ||
        n == 0 || n > r->n / 4 || dim < VEC_MIN_DIM || dim > VEC_MAX_DIM || flags > 7)
        return rec_corrupt(err, "static: header of %u tokens of %u numbers", n, dim);
    static_table *t = rec_zeros(1, sizeof *t);
    if (!t) return rec_nomem(err);
    memcpy(t->prefix, prefix, n_prefix);
    t->lower_case = flags & IS_LOWER;
    rec_status st = read_tokens(r, t, n, flags, err);
    if (!st) st = read_rows(r, t, n, dim, err);
    if (!st) return table_new(t, out, err);
    static_table_free(t);
    return st;
}

static size_t table_nbyte(const embedder *e) {
    const static_table *t = table(e);
    return sizeof(embed_table) + sizeof *t + dict_nbyte(t->tokens) +
           mat_nbyte(&t->rows);
}

const embedder_ops static_embedder = {
    .name = "static",
    .usage = "static('path')",
    .needs = EMBED_READS_TEXT | EMBED_OPENS_FILE,
    .parse = table_parse,
    .fit = table_fit,
    .dim = table_dim,
    .items = table_items,
    .text = table_text,
    .language = table_language,
    .save = table_save,
    .load = table_load,
    .nbyte = table_nbyte,
    .close = table_close,
};
