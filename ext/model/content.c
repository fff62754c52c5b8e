/* content.c - items that read like what the user liked, or like what the user asked for.
 *
 *     text= and facets= of an item --corpus--> terms --embedders--> unit vector v_i
 *
 *     what they did      u = sum_j w_j v_j, scaled to unit length       \
 *                        implicit: w = the weight (dislikes subtract)    > score = cosines,
 *                        explicit: w = decay x (rating - usual + s / 2) /  blended
 *     what they ask      t = vector of the sentence
 *
 * With a history and a sentence the score is text_weight cos(t, v_i) + (1 - text_weight)
 * cos(u, v_i). The usual rating of a user is their mean, drawn towards everybody's mean by
 * CONTENT_USUAL_PRIOR imagined ratings; s is the deviation of all ratings. So what a user rated
 * as usual counts for them, for they did choose it, and what they rated clearly below counts
 * against. If the weights cancel out, the plain centroid stands in. With centroids=K the history
 * is put in up to K groups (tastes.c), and the score is the cosine with the nearest of their centroids.
 *
 * Vectors come from embedders (text/embed.h), of which there may be several side by side. Where words
 * are among them, the vector is linear in its terms, v_i = sum_t a_it V_t, and the score in v_i.
 * So the share of a term in a score is exact, a_it (V_t . u), and an explanation can name the
 * genre or the word that did it. All features and the CONTENT_MAX_WORDS heaviest words of each
 * item are kept for that.
 *
 * Items that came after training are embedded by the same vocabulary (extend).
 *
 * Invariants
 *   I1  vectors has n_items rows of set.dim floats, each of unit length or zero; with several
 *       embedders also shorter (embed.c).
 *   I2  term_ptr is ascending from 0, n_items + 1 long; terms are numbers of the vocabulary.
 *
 * Stored: u32 version, u32 feedback, f64 mean, deviation, text_weight, u32 centroids, the
 * embedders (embed.c), mat vectors, u64 term_ptr[n_items + 1], then as often as its last says
 * (u32 term, f32 share).
 * Cost: fit is that of the embedders; a score is one or two dot products an item.
 */
#include "content.h"

#include <math.h>

#define CONTENT_VERSION   2
#define CONTENT_MAX_WORDS 16
/* Catalogues smaller than this keep the words that only one item has. */
#define CONTENT_SMALL_CATALOG    200
#define CONTENT_MAX_REASON_SHARE (1. / 3)
#define CONTENT_MAX_REASONS      8

static void content_close(rec_model *m) {
    content *c = (content *)m;
    if (!c) return;
    embed_set_clear(&c->set);
    mat_clear(&c->vectors);
    rec_free(c->term_ptr);
    rec_free(c->term);
    rec_free(c);
}

static content *content_new(rec_err *err) {
    content *c = rec_zeros(1, sizeof *c);
    if (!c)
        rec_nomem(err);
    else
        c->base.ops = &content_ops;
    return c;
}

/* ---- building: terms of each item ----------------------------------- */

typedef struct term_list { /* scratch: the terms of one document, heaviest first */
    term_share *a;         /* owned */
    size_t n, cap;
    uint32_t *number; /* owned: corpus term -> vocabulary, KEYS_NONE if dropped */
    float *vector;    /* owned: [dim] */
} term_list;

static void term_list_clear(term_list *t) {
    rec_free(t->a);
    rec_free(t->number);
    rec_free(t->vector);
}

static rec_status term_list_init(term_list *t, const content *c, const corpus *docs,
                                 rec_err *err) {
    *t = (term_list){0};
    if (!c->language) return REC_OK;
    t->number = rec_array(corpus_n_terms(docs), sizeof *t->number);
    t->vector = rec_array(lsa_dim(c->language), sizeof *t->vector);
    if (!t->number || !t->vector) {
        term_list_clear(t);
        return rec_nomem(err);
    }
    for (uint32_t k = 0; k < corpus_n_terms(docs); k++) {
        size_t n;
        const char *s = dict_get(docs->terms, k, &n);
        t->number[k] = lsa_find_term(c->language, s, n);
    }
    return REC_OK;
}

static int heavier(const void *pa, const void *pb, void *ctx) {
    const term_share *a = pa, *b = pb;
    (void)ctx;
    if (a->share != b->share) return a->share > b->share ? -1 : 1;
    return a->term < b->term ? -1 : a->term > b->term;
}

/* Terms of a document with their share in its vector. */
static rec_status list_terms(term_list *t, const content *c, const corpus *docs,
                             size_t doc, rec_err *err) {
    uint32_t dim = lsa_dim(c->language);
    size_t begin = docs->doc_start[doc], end = docs->doc_start[doc + 1];
    rec_status st = rec_grow(&t->a, &t->cap, end - begin, sizeof *t->a, err);
    if (st) return st;
    t->n = 0;
    memset(t->vector, 0, dim * sizeof *t->vector);
    for (size_t e = begin; e < end; e++) {
        uint32_t term = t->number[docs->entry[e].term];
        float tf = docs->entry[e].weight;
        if (term == KEYS_NONE) continue;
        float a = (tf > 1 ? 1 + logf(tf) : tf) * lsa_idf(c->language, term);
        vec_kernels()->axpy(t->vector, a, lsa_term_vector(c->language, term), dim);
        t->a[t->n++] = (term_share){term, a};
    }
    float norm = vec_norm(t->vector, dim) / c->words_scale;
    if (!(norm > 0)) t->n = 0;
    for (size_t i = 0; i < t->n; i++) t->a[i].share /= norm;
    rec_sort(t->a, t->n, sizeof *t->a, heavier, NULL);
    return REC_OK;
}

/* Append the terms of `doc` as those of the item after the last one listed. */
static rec_status append_terms(content *c, term_list *t, const corpus *docs, size_t doc,
                               size_t item, rec_err *err) {
    size_t n_word = 0;
    t->n = 0;
    rec_status st =
        rec_grow(&c->term_ptr, &c->cap_ptr, item + 2, sizeof *c->term_ptr, err);
    if (!st && t->number && doc < corpus_n_docs(docs))
        st = list_terms(t, c, docs, doc, err);
    if (!st)
        st = rec_grow(&c->term, &c->cap_term, c->n_term + t->n, sizeof *c->term, err);
    if (st) return st;
    if (item == 0) c->term_ptr[0] = 0;
    for (size_t i = 0; i < t->n; i++) {
        bool is_word = !lsa_term_is_feature(c->language, t->a[i].term);
        if (is_word && n_word++ >= CONTENT_MAX_WORDS) continue;
        c->term[c->n_term++] = t->a[i];
    }
    c->term_ptr[item + 1] = c->n_term;
    return REC_OK;
}

static rec_status add_terms(content *c, const corpus *docs, const uint32_t *which,
                            size_t from, size_t n, rec_err *err) {
    term_list t;
    rec_status st = term_list_init(&t, c, docs, err);
    if (st) return st;
    for (size_t i = 0; !st && i < n; i++)
        st = append_terms(c, &t, docs, which ? which[i] : i, from + i, err);
    term_list_clear(&t);
    return st;
}

static void read_ratings(content *c, const dataset *d) {
    double w = 0, sum = 0, square = 0;
    for (size_t i = 0; i < d->n; i++) {
        w += d->weight[i];
        sum += (double)d->weight[i] * d->value[i];
    }
    c->mean = w > 0 ? sum / w : 0;
    for (size_t i = 0; i < d->n; i++) {
        double z = d->value[i] - c->mean;
        square += d->weight[i] * z * z;
    }
    c->deviation = w > 0 ? sqrt(square / w) : 0;
}

static void find_words(content *c) {
    c->words_scale = 1;
    c->language = embed_set_language(&c->set, &c->words_at, &c->words_scale);
}

/* Catalogues without a single word are told what is missing. */
static rec_status explain_nothing(rec_status st, const dataset *d, rec_err *err) {
    if (st != REC_RANGE || !err || !strstr(err->msg, "holds no word")) return st;
    return rec_fail(err, REC_RANGE,
                    "content: the text and facets of %u items hold no word to go by",
                    d->n_items);
}

static rec_status fit_into(content *c, const model_fit_args *a, rec_err *err) {
    const dataset *d = a->data;
    bool is_small = d->n_items < CONTENT_SMALL_CATALOG;
    lsa_args words = {.seed = a->seed,
                      .min_df = (uint32_t)opt_num(a->options, "min_df"),
                      .max_df = (float)opt_num(a->options, "max_df")};
    embed_fit_args args = {
        .items = d->docs, .words = &words, .env = a->env, .run = a->run};
    embed_spec spec;
    if (!words.min_df) words.min_df = is_small ? 1 : LSA_MIN_DF;
    if (!(words.max_df > 0)) words.max_df = is_small ? 1 : .3f;
    c->feedback = d->feedback;
    if (d->feedback == FEEDBACK_EXPLICIT) read_ratings(c, d);
    c->text_weight = opt_num(a->options, "text_weight");
    c->n_taste = (uint32_t)opt_num(a->options, "centroids");
    rec_status st = embed_parse(opt_text(a->options, "embedder"), &spec, err);
    if (!st) st = embed_set_fit(&spec, &args, &c->set, &c->vectors, err);
    if (st) return explain_nothing(st, d, err);
    find_words(c);
    st = mat_resize(&c->vectors, d->n_items, err);
    if (!st) st = add_terms(c, d->docs, NULL, 0, d->n_items, err);
    return st;
}

static rec_status content_fit(const model_fit_args *a, rec_model **out, rec_err *err) {
    *out = NULL;
    if (!a->data->docs)
        return rec_fail(
            err, REC_RANGE,
            "content: there is nothing to read; name columns of the items table in "
            "text= or facets=");
    content *c = content_new(err);
    if (!c) return REC_NOMEM;
    rec_status st = fit_into(c, a, err);
    if (st)
        content_close(&c->base);
    else
        *out = &c->base;
    return st;
}

static rec_status content_extend(rec_model *m, const corpus *docs, const catalog *items,
                                 const uint32_t *which, size_t n, rec_err *err) {
    content *c = (content *)m;
    size_t before = content_size(c), n_term = c->n_term;
    mat all;
    (void)items;
    if (n == 0 || !docs) return REC_OK;
    rec_status st = embed_set_items(&c->set, docs, &all, err);
    if (st) return st;
    st = add_terms(c, docs, which, before, n, err);
    if (!st) st = mat_resize(&c->vectors, before + n, err);
    if (!st) {
        for (size_t i = 0; i < n; i++)
            if (which[i] < all.n_rows)
                memcpy(mat_row(&c->vectors, before + i), mat_row(&all, which[i]),
                       all.dim * sizeof(float));
    }
    mat_clear(&all);
    if (st) { /* as it was */
        c->n_term = n_term;
        if (content_size(c) > before) mat_resize(&c->vectors, before, NULL);
    }
    return st;
}

/* ---- scores ---------------------------------------------------------------------------------- */

/* A server is not asked twice: that it may know the sentence is enough here, and `score` tells
 * what went wrong. */
static bool content_knows(const rec_model *m, const model_query *q) {
    model_query history = *q;
    content_profile p;
    bool asks = q->text && q->n_text && q->env && embed_set_asks(&content_self(m)->set);
    if (asks) return true;
    history.env = NULL;
    if (content_profile_init(content_self(m), &history, &p, NULL)) return false;
    bool knows = p.user_share > 0 || p.text_share > 0;
    content_profile_clear(&p);
    return knows;
}

/* Both parts are linear: one vector, in the place of the user's, holds the blend. */
static void blend(content_profile *p, uint32_t dim) {
    for (uint32_t k = 0; k < dim; k++)
        p->user[k] = (float)(p->user_share * p->user[k] + p->text_share * p->text[k]);
}

static rec_status content_direction(const rec_model *m, const model_query *q, float *x,
                                    rec_err *err) {
    const content *c = content_self(m);
    content_profile p;
    rec_status st = content_profile_init(c, q, &p, err);
    if (st) return st;
    blend(&p, c->vectors.dim);
    memcpy(x, p.user, c->vectors.dim * sizeof *x);
    content_profile_clear(&p);
    return REC_OK;
}

static float score_tastes(const content *c, const content_profile *p, size_t item) {
    const float *v = mat_row(&c->vectors, item);
    float user;
    content_nearest(c, p, v, &user);
    return (float)(p->user_share * user +
                   p->text_share * content_cosine(v, p->text, c->vectors.dim));
}

static rec_status content_score(const rec_model *m, const model_query *q,
                                const uint32_t *items, size_t n, float *out,
                                rec_err *err) {
    const content *c = content_self(m);
    uint32_t dim = c->vectors.dim;
    content_profile p;
    for (size_t i = 0; i < n; i++) out[i] = 0;
    rec_status st = content_profile_init(c, q, &p, err);
    if (st) return st;
    bool has_tastes = p.n_taste > 1 && p.user_share > 0;
    if (!has_tastes) blend(&p, dim);
    for (size_t i = 0; i < n; i++) {
        size_t item = items ? items[i] : i;
        if (item >= content_size(c)) continue;
        out[i] = has_tastes ? score_tastes(c, &p, item)
                            : content_cosine(mat_row(&c->vectors, item), p.user, dim);
    }
    content_profile_clear(&p);
    return REC_OK;
}

static float item_score(const rec_model *m, const float *x, uint32_t item) {
    const content *c = content_self(m);
    return content_cosine(mat_row(&c->vectors, item), x, c->vectors.dim);
}

static rec_status content_best(const rec_model *m, const model_best *b, rec_run *run,
                               rec_err *err) {
    if (content_self(m)->n_taste > 1) return best_by_scores(m, b, run, err);
    best_vectors v = {.rows = &content_self(m)->vectors,
                      .scale = 1,
                      .width = content_self(m)->vectors.dim,
                      .fold = content_direction,
                      .score = item_score};
    return best_by_vectors(m, &v, b, run, err);
}

static rec_status content_similar(const rec_model *m, uint32_t item, float *out,
                                  rec_err *err) {
    const content *c = content_self(m);
    if (item >= content_size(c))
        return rec_fail(err, REC_RANGE, "content: item %u of %zu", item,
                        content_size(c));
    const float *v = mat_row(&c->vectors, item);
    for (size_t i = 0; i < content_size(c); i++)
        out[i] = content_cosine(mat_row(&c->vectors, i), v, c->vectors.dim);
    return REC_OK;
}

/* Vectors of several parts may be shorter than 1, and that counts. With several centroids a user
 * is no single direction. */
static const mat *content_vectors(const rec_model *m, vec_metric *metric) {
    *metric = content_self(m)->set.n > 1 ? METRIC_IP : METRIC_COSINE;
    return content_self(m)->n_taste > 1 ? NULL : &content_self(m)->vectors;
}

static float content_cold_score(const rec_model *m, const model_query *q) {
    (void)m, (void)q;
    return 0;
}

/* ---- explanations ------------------------------------------------------------------------------------ */

/* Mark the terms that the items they liked have, and the words of the sentence. */
static void mark_terms(const content *c, const model_query *q, const content_profile *p,
                       bitmap *known) {
    for (size_t j = 0; j < q->n; j++) {
        uint32_t item = q->item[j];
        if (item >= content_size(c) || !(content_weight(c, p, q, j) > 0)) continue;
        for (size_t e = c->term_ptr[item]; e < c->term_ptr[item + 1]; e++)
            bitmap_set(known, c->term[e].term);
    }
    tokenizer tk;
    token t;
    if (!q->text || !c->language) return;
    tokenizer_start(&tk, q->text, q->n_text, true);
    while (tokenizer_next(&tk, &t)) {
        uint32_t term = lsa_find_term(c->language, t.text, t.n_text);
        if (term != KEYS_NONE) bitmap_set(known, term);
    }
}

/* A word of a small catalogue may stand in most of its items: it is no reason for one of them. */
static bool is_everywhere(const content *c, uint32_t term) {
    return !lsa_term_is_feature(c->language, term) &&
           lsa_df(c->language, term) >
               CONTENT_MAX_REASON_SHARE * (double)content_size(c);
}

/* The terms of the item that the profile shares, best first: their share of the score. */
static rec_status explain_terms(const content *c, const content_profile *p,
                                const bitmap *known, uint32_t item, explain_fn fn,
                                void *ctx, rec_err *err) {
    if (!c->language) return REC_OK;
    uint32_t dim = lsa_dim(c->language);
    const float *user = p->user + c->words_at, *text = p->text + c->words_at;
    size_t begin = c->term_ptr[item], n = 0, n_all = c->term_ptr[item + 1] - begin;
    term_share *best = rec_array(n_all, sizeof *best);
    if (!best) return rec_nomem(err);
    for (size_t e = begin; e < begin + n_all; e++) {
        term_share t = c->term[e];
        const float *v = lsa_term_vector(c->language, t.term);
        t.share *= (float)(p->user_share * vec_kernels()->dot(v, user, dim) +
                           p->text_share * vec_kernels()->dot(v, text, dim));
        if (bitmap_has(known, t.term) && t.share > 0 && !is_everywhere(c, t.term))
            best[n++] = t;
    }
    rec_sort(best, n, sizeof *best, heavier, NULL);
    rec_status st = REC_OK;
    for (size_t i = 0; !st && i < n && i < CONTENT_MAX_REASONS; i++) {
        size_t nbyte;
        bool is_feature = lsa_term_is_feature(c->language, best[i].term);
        const char *word = is_feature ? lsa_term(c->language, best[i].term, &nbyte)
                                      : lsa_surface(c->language, best[i].term, &nbyte);
        st = fn(ctx, is_feature ? "facet" : "term", item, word, nbyte, best[i].share,
                err);
    }
    rec_free(best);
    return st;
}

/* Of several centroids, the one that the item is nearest to made the score. */
static uint32_t choose_taste(const content *c, const model_query *q, uint32_t item,
                             content_profile *p) {
    float best;
    uint32_t taste = content_nearest(c, p, mat_row(&c->vectors, item), &best);
    if (taste != KEYS_NONE) p->norm = content_sum(c, q, p, taste, p->user);
    return taste;
}

static rec_status explain_items(const content *c, content_profile *p,
                                const model_query *q, uint32_t item, explain_fn fn,
                                void *ctx, rec_err *err) {
    const float *v = mat_row(&c->vectors, item);
    uint32_t taste = choose_taste(c, q, item, p);
    rec_status st = REC_OK;
    for (size_t j = 0; !st && p->user_share > 0 && p->norm > 0 && j < q->n; j++) {
        if (q->item[j] >= content_size(c) || (taste != KEYS_NONE && p->of[j] != taste))
            continue;
        double w = content_weight(c, p, q, j) / p->norm * p->user_share;
        w *= content_cosine(v, mat_row(&c->vectors, q->item[j]), c->vectors.dim);
        if (w != 0 && isfinite(w)) st = fn(ctx, "item", q->item[j], NULL, 0, w, err);
    }
    return st;
}

static rec_status content_explain(const rec_model *m, const model_query *q,
                                  uint32_t item, explain_fn fn, void *ctx,
                                  rec_err *err) {
    const content *c = content_self(m);
    bitmap known = {0};
    content_profile p;
    if (item >= content_size(c)) return REC_OK;
    rec_status st = content_profile_init(c, q, &p, err);
    if (st) return st;
    st = bitmap_init(&known, c->language ? lsa_n_terms(c->language) : 0, false, err);
    if (!st && p.text_share > 0)
        st = fn(ctx, "query", item, q->text, q->n_text,
                p.text_share *
                    content_cosine(mat_row(&c->vectors, item), p.text, c->vectors.dim),
                err);
    if (!st) st = explain_items(c, &p, q, item, fn, ctx, err);
    if (!st) {
        mark_terms(c, q, &p, &known);
        st = explain_terms(c, &p, &known, item, fn, ctx, err);
    }
    bitmap_clear(&known);
    content_profile_clear(&p);
    return st;
}

/* ---- what others use -------------------------------------------------------------------------------- */

static uint32_t content_n_items(const rec_model *m) {
    return (uint32_t)content_size(content_self(m));
}

static const lsa *content_language(const rec_model *m) {
    return content_self(m)->language;
}

static doc_terms content_terms(const rec_model *m) {
    const content *c = content_self(m);
    return (doc_terms){c->term_ptr, c->term, content_size(c)};
}

const mat *content_item_vectors(const rec_model *m) {
    return &content_self(m)->vectors;
}

bool content_embed(const rec_model *m, const char *text, size_t nbyte, float *out) {
    bool known = false;
    return embed_set_text(&content_self(m)->set, NULL, text, nbyte, out, &known,
                          NULL) == REC_OK &&
           known;
}

/* ---- stored form ------------------------------------------------------------------------------------- */

static rec_status content_save(const rec_model *m, bytes_writer *w, rec_err *err) {
    const content *c = content_self(m);
    bytes_put_u32(w, CONTENT_VERSION);
    bytes_put_u32(w, (uint32_t)c->feedback);
    bytes_put_f64(w, c->mean);
    bytes_put_f64(w, c->deviation);
    bytes_put_f64(w, c->text_weight);
    bytes_put_u32(w, c->n_taste);
    embed_set_save(&c->set, w);
    mat_write(&c->vectors, w);
    for (size_t i = 0; i <= content_size(c); i++)
        bytes_put_u64(w, content_size(c) ? c->term_ptr[i] : 0);
    for (size_t e = 0; e < c->n_term; e++) {
        bytes_put_u32(w, c->term[e].term);
        bytes_put_f32(w, c->term[e].share);
    }
    return w->status ? rec_nomem(err) : REC_OK;
}

static rec_status content_check(const rec_model *m, rec_err *err) {
    const content *c = content_self(m);
    if (!isfinite(c->mean) || !isfinite(c->deviation) ||
        !(c->text_weight >= 0 && c->text_weight <= 1))
        return rec_corrupt(err, "content: mean %g, text weight %g", c->mean,
                           c->text_weight);
    if (c->vectors.dim != c->set.dim)
        return rec_corrupt(err, "content: vectors of %u numbers for embedders of %u",
                           c->vectors.dim, c->set.dim);
    for (size_t i = 0; i < content_size(c); i++) {
        float norm = vec_norm(mat_row(&c->vectors, i), c->vectors.dim);
        bool is_short = c->set.n > 1 && norm < 1;
        if (!(norm == 0 || is_short || fabsf(norm - 1) < 1e-3f))
            return rec_corrupt(err, "content: the vector of item %zu has length %g", i,
                               (double)norm);
        if (c->term_ptr[i] > c->term_ptr[i + 1] || c->term_ptr[i + 1] > c->n_term)
            return rec_corrupt(
                err, "content: the terms of item %zu end before they begin", i);
    }
    size_t n_known = c->language ? lsa_n_terms(c->language) : 0;
    for (size_t e = 0; e < c->n_term; e++)
        if (c->term[e].term >= n_known || !isfinite(c->term[e].share))
            return rec_corrupt(err, "content: term %u is not in the vocabulary",
                               c->term[e].term);
    return REC_OK;
}

static rec_status read_terms(content *c, bytes_reader *r, rec_err *err) {
    size_t n = content_size(c) + 1;
    if ((r->n - r->at) / 8 < n)
        return rec_corrupt(err, "content: %zu bytes for the terms of %zu items",
                           r->n - r->at, n - 1);
    rec_status st = rec_grow(&c->term_ptr, &c->cap_ptr, n, sizeof *c->term_ptr, err);
    if (st) return st;
    for (size_t i = 0; i < n; i++) c->term_ptr[i] = (size_t)bytes_get_u64(r);
    size_t n_term = c->term_ptr[n - 1];
    if (c->term_ptr[0] != 0 || (r->n - r->at) / 8 < n_term)
        return rec_corrupt(err, "content: %zu bytes for %zu terms", r->n - r->at,
                           n_term);
    st = rec_grow(&c->term, &c->cap_term, n_term, sizeof *c->term, err);
    if (st) return st;
    for (c->n_term = 0; c->n_term < n_term; c->n_term++) {
        c->term[c->n_term].term = bytes_get_u32(r);
        c->term[c->n_term].share = bytes_get_f32(r);
    }
    return REC_OK;
}

static rec_status content_load(bytes_reader *r, rec_model **out, rec_err *err) {
    *out = NULL;
    uint32_t version = bytes_get_u32(r), feedback = bytes_get_u32(r);
    double mean = bytes_get_f64(r), deviation = bytes_get_f64(r);
    double text_weight = bytes_get_f64(r);
    uint32_t n_taste = bytes_get_u32(r);
    if (r->status || version != CONTENT_VERSION || feedback > FEEDBACK_EXPLICIT ||
        n_taste < 1 || n_taste > TASTES_MAX)
        return rec_corrupt(err, "content: header has version %u, feedback %u", version,
                           feedback);
    content *c = content_new(err);
    if (!c) return REC_NOMEM;
    c->feedback = (feedback_kind)feedback;
    c->mean = mean;
    c->deviation = deviation;
    c->text_weight = text_weight;
    c->n_taste = n_taste;
    rec_status st = embed_set_load(r, &c->set, err);
    if (!st) find_words(c);
    if (!st) st = mat_read(r, &c->vectors, err);
    if (!st) st = read_terms(c, r, err);
    if (!st) st = content_check(&c->base, err);
    if (st)
        content_close(&c->base);
    else
        *out = &c->base;
    return st;
}

static size_t content_nbyte(const rec_model *m) {
    const content *c = content_self(m);
    return sizeof *c + mat_nbyte(&c->vectors) + c->cap_term * sizeof *c->term +
           c->cap_ptr * sizeof *c->term_ptr + embed_set_nbyte(&c->set);
}

// clang-format off
static const model_option content_options[] = {
    {"embedder", OPT_EMBEDDER, 0, 0, "lsa(256)", NULL, "what makes vectors: lsa(dims), static('path'), llm('name'), column(name); several with weights: lsa(256), column(image):0.5"},
    {"centroids", OPT_INT, 1, TASTES_MAX, "1", NULL, "a user's tastes: likes are put in so many groups, and an item is near one of them"},
    {"feature_weights", OPT_TEXT, 0, 0, NULL, NULL, "what facets count beside the words, as in 'genres:3, year:1'; default 2, numbers 0"},
    {"text_weight", OPT_REAL, 0, 1, "0.5", NULL, "share of the sentence where there is a history too"},
    {"min_df", OPT_INT, 1, 1000, NULL, NULL, "words in fewer items are dropped; default 2, small catalogues 1"},
    {"max_df", OPT_REAL, 0.001, 1, NULL, NULL, "words in a larger share of the items are dropped; default .3"},
};
// clang-format on

static const model_tune content_tune[] = {
    {"embedder", "lsa(64)|lsa(128)|lsa(256)", NULL},
    {"min_df", "1|2|3|5", NULL},
    {"max_df", "lin .1 .6", NULL},
};

const rec_model_ops content_ops = {
    .name = "content",
    .needs = MODEL_NEEDS_ITEMS | MODEL_NEEDS_TEXT | MODEL_READS_TEXT,
    .options = content_options,
    .n_options = sizeof content_options / sizeof content_options[0],
    .tune = content_tune,
    .n_tune = sizeof content_tune / sizeof content_tune[0],
    .fit = content_fit,
    .n_items = content_n_items,
    .knows = content_knows,
    .score = content_score,
    .best = content_best,
    .vectors = content_vectors,
    .direction = content_direction,
    .similar = content_similar,
    .explain = content_explain,
    .cold_score = content_cold_score,
    .extend = content_extend,
    .language = content_language,
    .terms = content_terms,
    .save = content_save,
    .load = content_load,
    .check = content_check,
    .nbyte = content_nbyte,
    .close = content_close,
};
