/* lsa.c - the embedded embedder: latent semantic analysis of the catalogue's own text.
 *
 *      terms                       dim                 dim
 *     +--------+                  +---+               +---+
 *     |  A     | documents   ~=   | U | diag(S)  *  ( | V | terms )^T
 *     +--------+                  +---+               +---+
 *
 * A holds (1 + log tf) * idf with unit rows, idf = 1 + log((1+n)/(1+df)). Deerwester et al.
 * 1990, "Indexing by Latent Semantic Analysis"; the factors come from the randomised SVD of
 * core. A text is embedded by folding it in: the weights of its terms times V, scaled to unit
 * length. The documents of the fit go through the same routine (A V = U S, so nothing is
 * lost): a query, an item that was there and an item that came later are vectors of one kind.
 *
 * Two kinds of term share the vocabulary: word stems, kept when they are neither too rare nor
 * too frequent, and whole features ("genres=comedy"), kept always.
 *
 * Words near a vector are found in two passes: an int8 scan of the unit vectors of the more
 * frequent words (rare ones make poor advice: their vectors are noise), then exact cosines of
 * the best, both with dimensions weighted by S^1/2. Both are small enough to run within every
 * request.
 *
 * Invariants
 *  I1  every term vector is finite; v has one row a term; idf > 0.
 *  I2  vocabulary, vectors and surfaces are numbered alike.
 *  I3  embedding allocates nothing and depends on the bytes of the text alone.
 *
 * Cost: fit = rsvd; 10,000 documents of 100 words at 256 dimensions take a few seconds. Embed:
 * dim multiply-adds a word. Near terms: LSA_NEAR_WORDS * dim byte products.
 */
#include "text.h"
#include <math.h>

#define LSA_OVERSAMPLE  16
#define LSA_POWER       2
#define LSA_NEAR_WORDS  8192
#define LSA_NEAR_MIN_DF 3
#define LSA_NEAR_MAX_DF 0.08 /* share of documents: what is everywhere says nothing */
#define LSA_NEAR_DAMP   10   /* documents that halve the trust in a word's vector */
#define LSA_TEXT_TERMS  768  /* distinct terms of one text that count */
#define LSA_TEXT_SLOTS  1024 /* hash slots for them; a power of two */
#define LSA_VERSION     1

struct lsa {
    dict *terms;       /* owned: stem or feature by term number */
    dict *surfaces;    /* owned: surface forms */
    uint32_t *surface; /* owned, by term: number in surfaces */
    uint8_t *is_feature;
    uint32_t *df;
    float *idf;
    mat v; /* n_terms x dim */
    float *
        s; /* owned, dim: singular values, the weights of the dimensions between words */
    size_t n_terms, n_docs;
    uint32_t *near_term; /* owned: the words that lsa_near_terms may name */
    int8_t *near_code;   /* owned: n_near x dim, unit vectors times 127 */
    size_t n_near;
};

void lsa_free(lsa *l) {
    if (!l) return;
    dict_free(l->terms);
    dict_free(l->surfaces);
    rec_free(l->surface);
    rec_free(l->is_feature);
    rec_free(l->df);
    rec_free(l->idf);
    rec_free(l->near_term);
    rec_free(l->near_code);
    rec_free(l->s);
    mat_clear(&l->v);
    rec_free(l);
}

static lsa *lsa_new(size_t n_terms) {
    lsa *l = rec_zeros(1, sizeof *l);
    if (!l) return NULL;
    l->n_terms = n_terms;
    l->terms = dict_new();
    l->surfaces = dict_new();
    l->surface = rec_zeros(n_terms, sizeof *l->surface);
    l->is_feature = rec_zeros(n_terms, 1);
    l->df = rec_zeros(n_terms, sizeof *l->df);
    l->idf = rec_zeros(n_terms, sizeof *l->idf);
    if (l->terms && l->surfaces && l->surface && l->is_feature && l->df && l->idf)
        return l;
    lsa_free(l);
    return NULL;
}

/* ---- vocabulary ------------------------------------------------------------------ */

typedef struct
    lsa_choice { /* order in which terms are kept: features, then by df, then age */
    uint32_t term, df;
    bool is_feature;
} lsa_choice;

static bool choice_before(const lsa_choice *a, const lsa_choice *b) {
    if (a->is_feature != b->is_feature) return a->is_feature;
    return a->df != b->df ? a->df > b->df : a->term < b->term;
}

static void choice_sift(lsa_choice *a, size_t i, size_t n) {
    lsa_choice x = a[i];
    for (size_t child; (child = 2 * i + 1) < n; i = child) {
        if (child + 1 < n && choice_before(&a[child], &a[child + 1])) child++;
        if (!choice_before(&x, &a[child])) break;
        a[i] = a[child];
    }
    a[i] = x;
}

static void choice_sort(lsa_choice *a, size_t n) {
    for (size_t i = n / 2; i-- > 0;) choice_sift(a, i, n);
    for (size_t i = n; i-- > 1;) {
        lsa_choice x = a[0];
        a[0] = a[i], a[i] = x;
        choice_sift(a, 0, i);
    }
}

static size_t choose_terms(const corpus *c, const uint32_t *df, uint32_t min_df,
                           double max_df, lsa_choice *out) {
    size_t n = 0, n_terms = corpus_n_terms(c);
    for (uint32_t t = 0; t < n_terms; t++) {
        if (!df[t]) continue;
        bool keep = c->is_feature[t] || (df[t] >= min_df && df[t] <= max_df);
        if (keep) out[n++] = (lsa_choice){t, df[t], c->is_feature[t]};
    }
    choice_sort(out, n);
    return n < LSA_MAX_TERMS ? n : LSA_MAX_TERMS;
}

/* The form of each stem that was written most often; the first one among equals. */
static rec_status choose_surfaces(const corpus *c, lsa *l, const uint32_t *number,
                                  rec_err *err) {
    uint32_t *best = rec_zeros(l->n_terms, sizeof *best);
    if (!best) return rec_nomem(err);
    for (uint32_t w = 0; w < dict_count(c->words); w++) {
        uint32_t t = number[c->word_term[w]];
        if (t == KEYS_NONE || c->word_count[w] <= best[t]) continue;
        best[t] = c->word_count[w];
        l->surface[t] = w;
    }
    rec_status rc = REC_OK;
    for (uint32_t t = 0; !rc && t < l->n_terms; t++) {
        size_t n;
        const char *s =
            best[t] ? dict_get(c->words, l->surface[t], &n) : dict_get(l->terms, t, &n);
        rc = dict_add(l->surfaces, s, n, &l->surface[t], err);
    }
    rec_free(best);
    return rc;
}

/* number[corpus term] = term here or KEYS_NONE. */
static rec_status fill_vocabulary(const corpus *c, lsa *l, const lsa_choice *choice,
                                  uint32_t *number, rec_err *err) {
    rec_status rc = REC_OK;
    size_t n_all = corpus_n_terms(c);
    for (size_t i = 0; i < n_all; i++) number[i] = KEYS_NONE;
    for (uint32_t t = 0; !rc && t < l->n_terms; t++) {
        size_t n;
        const char *s = dict_get(c->terms, choice[t].term, &n);
        uint32_t made;
        rc = dict_add(l->terms, s, n, &made, err);
        number[choice[t].term] = t;
        l->is_feature[t] = choice[t].is_feature;
        l->df[t] = choice[t].df;
        l->idf[t] =
            (float)(1 + log((1.0 + (double)l->n_docs) / (1.0 + (double)choice[t].df)));
    }
    return rc ? rc : choose_surfaces(c, l, number, err);
}

static rec_status make_vocabulary(const corpus *c, const lsa_args *args, lsa **out,
                                  uint32_t *number, rec_err *err) {
    size_t n_all = corpus_n_terms(c), n = 0;
    rec_status rc = REC_OK;
    uint32_t *df = rec_zeros(n_all, sizeof *df);
    lsa_choice *choice = rec_array(n_all, sizeof *choice);
    if (!df || !choice) {
        rc = rec_nomem(err);
        goto done;
    }
    for (size_t i = 0; i < c->n_entry; i++) df[c->entry[i].term]++;
    double max_df = ceil((double)args->max_df * (double)c->n_docs);
    n = choose_terms(c, df, args->min_df, max_df, choice);
    /* A handful of documents may share no word at all: then every word counts. */
    if (!n) n = choose_terms(c, df, 1, (double)c->n_docs, choice);
    if (!n) {
        rc = rec_fail(err, REC_RANGE, "lsa: the text of %zu items holds no word",
                      c->n_docs);
        goto done;
    }
    *out = lsa_new(n);
    if (!*out) {
        rc = rec_nomem(err);
        goto done;
    }
    (*out)->n_docs = c->n_docs;
    rc = fill_vocabulary(c, *out, choice, number, err);
done:
    rec_free(df);
    rec_free(choice);
    return rc;
}

/* ---- fit ------------------------------------------------------------------------- */

static float tf_weight(float tf) {
    return tf > 1 ? 1 + logf(tf) : tf;
}

/* A: unit rows; number[] translates corpus terms (KEYS_NONE: dropped). */
static rec_status build_matrix(const corpus *c, const lsa *l, const uint32_t *number,
                               csr *a, rec_err *err) {
    csr_entry *e = rec_array(c->n_entry, sizeof *e);
    if (!e) return rec_nomem(err);
    size_t n = 0;
    for (size_t d = 0; d < c->n_docs; d++) {
        size_t begin = n;
        double norm = 0;
        for (size_t i = c->doc_start[d]; i < c->doc_start[d + 1]; i++) {
            uint32_t t = number[c->entry[i].term];
            if (t == KEYS_NONE) continue;
            float x = tf_weight(c->entry[i].weight) * l->idf[t];
            norm += (double)x * x;
            e[n++] = (csr_entry){(uint32_t)d, t, x};
        }
        float scale = norm > 0 ? (float)(1 / sqrt(norm)) : 0;
        for (size_t i = begin; i < n; i++) e[i].val *= scale;
    }
    rec_status rc = csr_from_entries(a, e, n, c->n_docs, l->n_terms, err);
    rec_free(e);
    return rc;
}

static rec_status check_args(const lsa_args *a, rec_err *err) {
    if (a->dim < LSA_MIN_DIM || a->dim > LSA_MAX_DIM)
        return rec_fail(err, REC_RANGE, "lsa: %u dimensions, allowed are %d to %d",
                        a->dim, LSA_MIN_DIM, LSA_MAX_DIM);
    if (!(a->max_df > 0 && a->max_df <= 1))
        return rec_fail(err, REC_RANGE, "lsa: max_df is %g, allowed is 0 < max_df <= 1",
                        (double)a->max_df);
    return REC_OK;
}

static rec_status factorise(const lsa_args *args, const csr *a, lsa *l, rec_run *run,
                            rec_err *err) {
    csr at = {0};
    rec_status rc = csr_transpose(a, &at, err);
    size_t rank = args->dim;
    if (rank > a->n_rows) rank = a->n_rows;
    if (rank > a->n_cols) rank = a->n_cols;
    l->s = rec_zeros(rank, sizeof *l->s);
    if (!rc && !l->s) rc = rec_nomem(err);
    rsvd_args svd = {.a = a,
                     .at = &at,
                     .rank = (uint32_t)rank,
                     .oversample = LSA_OVERSAMPLE,
                     .n_power = LSA_POWER,
                     .seed = args->seed,
                     .phase = "lsa"};
    if (!rc) rc = rsvd(&svd, NULL, l->s, &l->v, run, err);
    csr_clear(&at);
    return rc;
}

/* docs = A V with unit rows. */
static rec_status fold_matrix(const csr *a, const lsa *l, mat *docs, rec_run *run,
                              rec_err *err) {
    rec_status rc = mat_init(docs, a->n_rows, l->v.dim, err);
    if (!rc) rc = csr_times_mat(a, &l->v, docs, run, err);
    for (size_t i = 0; !rc && i < docs->n_rows; i++)
        vec_normalize(mat_row(docs, i), docs->dim);
    return rc;
}

static rec_status index_near(lsa *l, rec_err *err);

rec_status lsa_fit(const corpus *c, const lsa_args *args, lsa **out, mat *docs,
                   rec_run *run, rec_err *err) {
    *out = NULL;
    *docs = (mat){0};
    csr a = {0};
    lsa *l = NULL;
    uint32_t *number = NULL;
    rec_status rc = check_args(args, err);
    if (rc) return rc;
    number = rec_array(corpus_n_terms(c), sizeof *number);
    if (!number) return rec_nomem(err);
    rc = make_vocabulary(c, args, &l, number, err);
    if (!rc) rc = build_matrix(c, l, number, &a, err);
    if (!rc) rc = factorise(args, &a, l, run, err);
    if (!rc) rc = fold_matrix(&a, l, docs, run, err);
    if (!rc) rc = index_near(l, err);
    csr_clear(&a);
    rec_free(number);
    if (rc) {
        mat_clear(docs);
        lsa_free(l);
        return rc;
    }
    *out = l;
    return REC_OK;
}

rec_status lsa_embed_corpus(const lsa *l, const corpus *c, mat *docs, rec_err *err) {
    *docs = (mat){0};
    csr a = {0};
    size_t n_all = corpus_n_terms(c);
    uint32_t *number = rec_array(n_all, sizeof *number);
    if (!number) return rec_nomem(err);
    for (uint32_t t = 0; t < n_all; t++) {
        size_t n;
        const char *s = dict_get(c->terms, t, &n);
        number[t] = dict_find(l->terms, s, n);
    }
    rec_status rc = build_matrix(c, l, number, &a, err);
    if (!rc) rc = fold_matrix(&a, l, docs, NULL, err);
    if (rc) mat_clear(docs);
    csr_clear(&a);
    rec_free(number);
    return rc;
}

/* ---- embedding one text ---------------------------------------------------------- */

typedef struct text_terms { /* distinct terms of a text, in order of appearance */
    uint16_t slot[LSA_TEXT_SLOTS]; /* index + 1 */
    uint32_t term[LSA_TEXT_TERMS];
    float tf[LSA_TEXT_TERMS];
    size_t n;
} text_terms;

static void count_term(text_terms *x, uint32_t term) {
    size_t i = (size_t)rec_mix(term) & (LSA_TEXT_SLOTS - 1);
    for (; x->slot[i]; i = (i + 1) & (LSA_TEXT_SLOTS - 1)) {
        if (x->term[x->slot[i] - 1] != term) continue;
        x->tf[x->slot[i] - 1] += 1;
        return;
    }
    if (x->n == LSA_TEXT_TERMS) return;
    x->term[x->n] = term;
    x->tf[x->n] = 1;
    x->slot[i] = (uint16_t)++x->n;
}

bool lsa_embed(const lsa *l, const char *text, size_t nbyte, float *out) {
    uint32_t dim = l->v.dim;
    text_terms x;
    memset(x.slot, 0, sizeof x.slot);
    x.n = 0;
    tokenizer tk;
    token t;
    tokenizer_start(&tk, text, nbyte, false);
    while (tokenizer_next(&tk, &t)) {
        if (!corpus_is_content(&t)) continue;
        size_t n = stem_english(t.text, t.n_text);
        uint32_t term = dict_find(l->terms, t.text, n);
        if (term != KEYS_NONE && !l->is_feature[term]) count_term(&x, term);
    }
    memset(out, 0, dim * sizeof *out);
    for (size_t i = 0; i < x.n; i++) {
        uint32_t k = x.term[i];
        vec_kernels()->axpy(out, tf_weight(x.tf[i]) * l->idf[k], mat_row(&l->v, k),
                            dim);
    }
    return x.n && vec_normalize(out, dim);
}

/* ---- words near a vector --------------------------------------------------------- */

static bool is_near_word(const lsa *l, uint32_t t, uint32_t min_df) {
    if (l->is_feature[t] || l->df[t] < min_df) return false;
    if (l->df[t] > 20 && l->df[t] > LSA_NEAR_MAX_DF * (double)l->n_docs) return false;
    size_t n;
    const char *s = dict_get(l->terms, t, &n);
    return n >= 3 && (s[0] < '0' || s[0] > '9');
}

/* Words are numbered by falling df, so the first that qualify are the most frequent. */
/* out = x in the geometry between words, unit: each dimension times the root of its singular
 * value, halfway between that of the documents (1) and of plain co-occurrence (S). */
static bool near_vector(const lsa *l, const float *x, float *out) {
    for (uint32_t j = 0; j < l->v.dim; j++) out[j] = x[j] * sqrtf(l->s[j]);
    return vec_normalize(out, l->v.dim);
}

static rec_status index_near(lsa *l, rec_err *err) {
    size_t n = l->n_terms < LSA_NEAR_WORDS ? l->n_terms : LSA_NEAR_WORDS,
           dim = l->v.dim;
    uint32_t min_df = l->n_docs >= 1000 ? LSA_NEAR_MIN_DF : 1;
    float *unit = rec_array(dim, sizeof *unit);
    l->near_term = rec_array(n, sizeof *l->near_term);
    l->near_code = rec_array(n, dim);
    if (!unit || !l->near_term || !l->near_code) {
        rec_free(unit);
        return rec_nomem(err);
    }
    for (uint32_t t = 0; t < l->n_terms && l->n_near < n; t++) {
        if (!is_near_word(l, t, min_df) || !near_vector(l, mat_row(&l->v, t), unit))
            continue;
        int8_t *code = l->near_code + l->n_near * dim;
        for (size_t j = 0; j < dim; j++) code[j] = (int8_t)lrintf(unit[j] * 127);
        l->near_term[l->n_near++] = t;
    }
    rec_free(unit);
    return REC_OK;
}

typedef struct near_hit {
    float score;
    uint32_t at; /* in near_term, later the term */
} near_hit;

/* Keep the best `cap` hits, best first; equal scores keep their order. */
static size_t near_insert(near_hit *hit, size_t n, size_t cap, near_hit x) {
    if (n == cap && !(x.score > hit[n - 1].score)) return n;
    size_t i = n < cap ? n++ : n - 1;
    for (; i > 0 && hit[i - 1].score < x.score; i--) hit[i] = hit[i - 1];
    hit[i] = x;
    return n;
}

/* Cosine, lowered for words that few documents back. */
static float near_score(const lsa *l, uint32_t term, const float *unit) {
    float other[LSA_MAX_DIM], df = (float)l->df[term];
    if (!near_vector(l, mat_row(&l->v, term), other)) return 0;
    return vec_kernels()->dot(unit, other, l->v.dim) * df / (df + LSA_NEAR_DAMP);
}

size_t lsa_near_terms(const lsa *l, const float *v, size_t k, uint32_t *term,
                      float *score) {
    enum { NEAR_FIRST = 2 * LSA_MAX_NEAR };
    near_hit first[NEAR_FIRST], best[LSA_MAX_NEAR];
    float unit[LSA_MAX_DIM];
    int8_t code[LSA_MAX_DIM];
    size_t dim = l->v.dim, n_first = 0, n = 0;
    if (!near_vector(l, v, unit)) return 0;
    if (k > LSA_MAX_NEAR) k = LSA_MAX_NEAR;
    for (size_t j = 0; j < dim; j++) code[j] = (int8_t)lrintf(unit[j] * 127);
    for (size_t i = 0; i < l->n_near; i++) {
        float df = (float)l->df[l->near_term[i]];
        int64_t dot = vec_kernels()->dot_i8(code, l->near_code + i * dim, dim);
        near_hit h = {(float)dot * df / (df + LSA_NEAR_DAMP), (uint32_t)i};
        n_first = near_insert(first, n_first, NEAR_FIRST, h);
    }
    for (size_t i = 0; k && i < n_first; i++) {
        uint32_t t = l->near_term[first[i].at];
        near_hit h = {near_score(l, t, unit), t};
        if (h.score > 0) n = near_insert(best, n, k, h);
    }
    for (size_t i = 0; i < n; i++) {
        term[i] = best[i].at;
        if (score) score[i] = best[i].score;
    }
    return n;
}

/* ---- reading the model ----------------------------------------------------------- */

uint32_t lsa_dim(const lsa *l) {
    return l->v.dim;
}

size_t lsa_n_terms(const lsa *l) {
    return l->n_terms;
}

size_t lsa_nbyte(const lsa *l) {
    size_t per_term = 2 * sizeof(uint32_t) + sizeof(float) + sizeof(uint8_t);
    return sizeof *l + dict_nbyte(l->terms) + dict_nbyte(l->surfaces) +
           mat_nbyte(&l->v) + l->n_terms * per_term +
           l->n_near * (l->v.dim + sizeof(uint32_t));
}

const char *lsa_term(const lsa *l, uint32_t term, size_t *nbyte) {
    return dict_get(l->terms, term, nbyte);
}

const char *lsa_surface(const lsa *l, uint32_t term, size_t *nbyte) {
    return dict_get(l->surfaces, l->surface[term], nbyte);
}

bool lsa_term_is_feature(const lsa *l, uint32_t term) {
    return l->is_feature[term];
}

uint32_t lsa_find_term(const lsa *l, const char *stem, size_t nbyte) {
    return dict_find(l->terms, stem, nbyte);
}

bool lsa_knows(const lsa *l, const char *text, size_t nbyte) {
    tokenizer tk;
    token t;
    tokenizer_start(&tk, text, nbyte, true);
    while (tokenizer_next(&tk, &t))
        if (lsa_find_term(l, t.text, t.n_text) != KEYS_NONE) return true;
    return false;
}

float lsa_idf(const lsa *l, uint32_t term) {
    return l->idf[term];
}

uint32_t lsa_df(const lsa *l, uint32_t term) {
    return l->df[term];
}

const float *lsa_term_vector(const lsa *l, uint32_t term) {
    return mat_row(&l->v, term);
}

/* ---- stored form: version, counts, terms, vectors -------------------------------- */

void lsa_write(const lsa *l, bytes_writer *w) {
    bytes_put_u32(w, LSA_VERSION);
    bytes_put_u64(w, l->n_docs);
    bytes_put_u32(w, (uint32_t)l->n_terms);
    for (uint32_t t = 0; t < l->n_terms; t++) {
        size_t n;
        const char *s = dict_get(l->terms, t, &n);
        bytes_put_str(w, s, n);
        s = lsa_surface(l, t, &n);
        bytes_put_str(w, s, n);
        bytes_put_u8(w, l->is_feature[t]);
        bytes_put_u32(w, l->df[t]);
        bytes_put_f32(w, l->idf[t]);
    }
    mat_write(&l->v, w);
    for (uint32_t j = 0; j < l->v.dim; j++) bytes_put_f32(w, l->s[j]);
}

static rec_status read_term(bytes_reader *r, lsa *l, uint32_t t, rec_err *err) {
    size_t n = 0, n_surface = 0;
    const char *s = bytes_get_str(r, &n), *surface = bytes_get_str(r, &n_surface);
    l->is_feature[t] = bytes_get_u8(r) != 0;
    l->df[t] = bytes_get_u32(r);
    l->idf[t] = bytes_get_f32(r);
    if (r->status || !s || !surface)
        return rec_corrupt(err, "lsa: the vocabulary ends early");
    if (!(l->idf[t] > 0 && l->idf[t] < 1e6f))
        return rec_corrupt(err, "lsa: idf of term %u is not a positive number", t);
    uint32_t made;
    rec_status rc = dict_add(l->terms, s, n, &made, err);
    if (!rc && made != t) return rec_corrupt(err, "lsa: term %u stands twice", t);
    return rc ? rc : dict_add(l->surfaces, surface, n_surface, &l->surface[t], err);
}

static rec_status read_weights(bytes_reader *r, lsa *l, rec_err *err) {
    l->s = rec_zeros(l->v.dim, sizeof *l->s);
    if (!l->s) return rec_nomem(err);
    for (uint32_t j = 0; j < l->v.dim; j++) {
        l->s[j] = bytes_get_f32(r);
        if (!(l->s[j] >= 0 && l->s[j] < 1e12f))
            return rec_corrupt(err, "lsa: singular value %u is not a number", j);
    }
    return r->status ? rec_corrupt(err, "lsa: the singular values end early") : REC_OK;
}

rec_status lsa_read(bytes_reader *r, lsa **out, rec_err *err) {
    *out = NULL;
    uint32_t version = bytes_get_u32(r);
    uint64_t n_docs = bytes_get_u64(r);
    uint32_t n_terms = bytes_get_u32(r);
    if (r->status || version != LSA_VERSION)
        return rec_corrupt(err, "lsa: version %u, expected %d", version, LSA_VERSION);
    /* A term takes at least 17 bytes, which bounds what a damaged count can make us allocate. */
    if (!n_terms || n_terms > LSA_MAX_TERMS || n_terms > (r->n - r->at) / 17 ||
        n_docs > UINT32_MAX)
        return rec_corrupt(err, "lsa: %u terms in %zu bytes", n_terms, r->n - r->at);
    lsa *l = lsa_new(n_terms);
    if (!l) return rec_nomem(err);
    l->n_docs = (size_t)n_docs;
    rec_status rc = REC_OK;
    for (uint32_t t = 0; !rc && t < n_terms; t++) rc = read_term(r, l, t, err);
    if (!rc) rc = mat_read(r, &l->v, err);
    if (!rc && (l->v.n_rows != n_terms || l->v.dim < 1 || l->v.dim > LSA_MAX_DIM))
        rc = rec_corrupt(err, "lsa: vectors are %zu x %u for %u terms", l->v.n_rows,
                         l->v.dim, n_terms);
    if (!rc) rc = read_weights(r, l, err);
    if (!rc) rc = index_near(l, err);
    if (rc) {
        lsa_free(l);
        return rc;
    }
    *out = l;
    return REC_OK;
}
