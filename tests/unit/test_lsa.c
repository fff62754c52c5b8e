/* The corpus and the embedded embedder: neighbours, folding in, the stored form. */
#include "text_fixture.h"

#define N_DOCS 12
static const char *const docs_text[N_DOCS] = {
    "The rocket left orbit and the astronauts saw the moon",
    "Astronauts on the moon repair their rocket in orbit",
    "A rocket to the moon, astronauts in orbit around the planet",
    "Orbiting the planet, an astronaut dreams of the moon",
    "The detective found the murder weapon near the victim",
    "A murder, a victim, and a detective who follows every clue",
    "The clue led the detective to the victim of the murder",
    "Detectives hunt a murderer through clues and victims",
    "Butter, flour and sugar make a cake in the oven",
    "The cake bakes in the oven with butter and sugar",
    "Sugar and flour: baking cakes in an old oven",
    "",
};

static corpus *make_corpus(rec_err *err) {
    corpus *c = corpus_new();
    rec_status rc = c ? REC_OK : rec_nomem(err);
    for (uint32_t d = 0; !rc && d < N_DOCS; d++) {
        rc = corpus_add(c, d, docs_text[d], strlen(docs_text[d]), 1, err);
        if (!rc && d == 8) rc = corpus_add_feature(c, d, "shelf=rare", 10, 1, err);
    }
    if (!rc) return c;
    corpus_free(c);
    return NULL;
}
static const lsa_args args = {.dim = 6, .seed = 1, .min_df = 2, .max_df = 0.9f};

static double cosine(const mat *m, size_t a, size_t b) {
    return vec_kernels()->dot(mat_row(m, a), mat_row(m, b), m->dim);
}

static void test_corpus(void) {
    corpus *c = corpus_new();
    rec_err err = {0};
    CHECK(corpus_add(c, 1, "dark comedies, dark days", 24, 1, &err) == REC_OK);
    CHECK(corpus_n_docs(c) == 2 && corpus_n_terms(c) == 3 && c->n_entry == 3);
    CHECK(c->doc_start[1] == 0 && c->entry[0].weight == 2);
    CHECK(corpus_add(c, 1, "Dark", 4, 3, &err) == REC_OK && c->entry[0].weight == 5);
    CHECK(corpus_add(c, 4, "", 0, 1, &err) == REC_OK && corpus_n_docs(c) == 5);
    CHECK(corpus_add(c, 2, "x", 1, 1, &err) == REC_RANGE);
    CHECK(corpus_add_feature(c, 4, "genres=comedy", 13, 2, &err) == REC_OK);
    CHECK(corpus_n_terms(c) == 4 && c->is_feature[3]);
    CHECK(corpus_add(c, 5, "the of and a b", 14, 1, &err) == REC_OK &&
          corpus_n_terms(c) == 4);
    corpus_free(c);
}

static bool near_holds(const lsa *l, const char *text, const char *word) {
    float v[LSA_MAX_DIM];
    uint32_t term[10];
    size_t n =
        lsa_embed(l, text, strlen(text), v) ? lsa_near_terms(l, v, 6, term, NULL) : 0;
    for (size_t i = 0; i < n; i++) {
        size_t m;
        const char *s = lsa_surface(l, term[i], &m);
        if (m == strlen(word) && memcmp(s, word, m) == 0) return true;
    }
    return false;
}

static void test_space(void) {
    rec_err err = {0};
    corpus *c = make_corpus(&err);
    lsa *l;
    mat docs, again;
    CHECK(lsa_fit(c, &args, &l, &docs, NULL, &err) == REC_OK);
    CHECK(lsa_dim(l) == 6 && docs.n_rows == N_DOCS);
    for (size_t a = 0; a < 3;
         a++) /* each topic is nearer to itself than to the others */
        for (size_t b = 4; b < 11; b++)
            CHECK(cosine(&docs, a, 3) > cosine(&docs, a, b) + 0.3);
    CHECK(cosine(&docs, 8, 9) > 0.5 && cosine(&docs, 4, 6) > 0.5);
    CHECK(vec_norm(mat_row(&docs, 11), 6) == 0); /* the empty document */
    CHECK(lsa_embed_corpus(l, c, &again, &err) == REC_OK);
    for (size_t i = 0; i < N_DOCS; i++)
        CHECK(memcmp(mat_row(&docs, i), mat_row(&again, i), 6 * sizeof(float)) == 0);
    float v[6];
    for (size_t i = 0; i < 8; i++) { /* text and document are one path */
        CHECK(lsa_embed(l, docs_text[i], strlen(docs_text[i]), v));
        CHECK_NEAR(vec_kernels()->dot(v, mat_row(&docs, i), 6), 1, 1e-5);
    }
    CHECK(!lsa_embed(l, "qwertz", 6, v) && v[0] == 0);
    CHECK(!lsa_embed(l, NULL, 0, v));
    CHECK(near_holds(l, "moon", "astronauts") && near_holds(l, "victims", "detective"));
    CHECK(!near_holds(l, "moon", "cake") && near_holds(l, "sugar", "oven"));
    uint32_t t = lsa_find_term(l, "shelf=rare", 10);
    CHECK(t != KEYS_NONE && lsa_term_is_feature(l, t)); /* kept although it is rare */
    CHECK(lsa_find_term(l, "repair", 6) == KEYS_NONE && lsa_idf(l, t) > 1);
    mat_clear(&docs);
    mat_clear(&again);
    lsa_free(l);
    corpus_free(c);
}

static void test_refusals(void) {
    rec_err err = {0};
    corpus *c = corpus_new();
    lsa *l;
    mat docs;
    CHECK(lsa_fit(c, &args, &l, &docs, NULL, &err) == REC_RANGE && !l && err.msg[0]);
    corpus_add(c, 0, "the of", 6, 1, &err);
    CHECK(lsa_fit(c, &args, &l, &docs, NULL, &err) == REC_RANGE);
    corpus_add(c, 0, "moon", 4, 1, &err); /* one word is enough, below min_df too */
    CHECK(lsa_fit(c, &args, &l, &docs, NULL, &err) == REC_OK && lsa_dim(l) == 1);
    lsa_free(l);
    mat_clear(&docs);
    lsa_args bad = args;
    bad.dim = 1;
    CHECK(lsa_fit(c, &bad, &l, &docs, NULL, &err) == REC_RANGE);
    bad.dim = LSA_MAX_DIM + 1;
    CHECK(lsa_fit(c, &bad, &l, &docs, NULL, &err) == REC_RANGE);
    bad.dim = 6, bad.max_df = 0;
    CHECK(lsa_fit(c, &bad, &l, &docs, NULL, &err) == REC_RANGE);
    corpus_free(c);
}

/* Written and read back; then every truncation and 3,000 damaged copies: refused or sound. */
static void test_stored(void) {
    rec_err err = {0};
    corpus *c = make_corpus(&err);
    lsa *l, *back;
    mat docs;
    lsa_fit(c, &args, &l, &docs, NULL, &err);
    bytes_writer w = {0}, w2 = {0};
    lsa_write(l, &w);
    bytes_reader r = {.data = w.data, .n = w.n};
    CHECK(lsa_read(&r, &back, &err) == REC_OK && r.at == w.n);
    lsa_write(back, &w2);
    CHECK(w2.n == w.n && memcmp(w.data, w2.data, w.n) == 0);
    float a[6], b[6];
    lsa_embed(l, "rocket victim", 13, a);
    lsa_embed(back, "rocket victim", 13, b);
    CHECK(memcmp(a, b, sizeof a) == 0);
    lsa_free(back);
    for (size_t n = 0; n < w.n; n += n < 200 ? 1 : 7) {
        r = (bytes_reader){.data = w.data, .n = n};
        CHECK(lsa_read(&r, &back, &err) != REC_OK && !back);
    }
    unsigned long long seed = 5;
    for (int round = 0; round < 3000; round++) {
        memcpy(w2.data, w.data, w.n);
        for (int k = 0; k < 1 + round % 4; k++)
            w2.data[unit_rand(&seed) % (round % 2 ? w.n : 60)] =
                (uint8_t)(unit_rand(&seed) >> 8);
        r = (bytes_reader){.data = w2.data, .n = w.n};
        if (lsa_read(&r, &back, &err) == REC_OK) {
            uint32_t term[8];
            if (lsa_dim(back) == 6 && lsa_embed(back, "moon cake", 9, b))
                CHECK(lsa_near_terms(back, b, 8, term, NULL) <= 8);
            lsa_free(back);
        }
    }
    bytes_clear(&w);
    bytes_clear(&w2);
    mat_clear(&docs);
    lsa_free(l);
    corpus_free(c);
}

static rec_status fit_once(rec_err *err) {
    corpus *c = make_corpus(err);
    lsa *l = NULL, *back = NULL;
    mat docs = {0}, more = {0};
    bytes_writer w = {0};
    rec_status rc = c ? lsa_fit(c, &args, &l, &docs, NULL, err) : REC_NOMEM;
    if (!rc) rc = lsa_embed_corpus(l, c, &more, err);
    if (!rc) lsa_write(l, &w);
    if (!rc) rc = w.status;
    bytes_reader r = {.data = w.data, .n = w.n};
    if (!rc) rc = lsa_read(&r, &back, err);
    bytes_clear(&w);
    mat_clear(&docs);
    mat_clear(&more);
    lsa_free(l);
    lsa_free(back);
    corpus_free(c);
    return rc;
}

int main(void) {
    UNIT_BEGIN("lsa");
    alloc_install();
    test_corpus();
    test_space();
    test_refusals();
    test_stored();
    rec_err err = {0};
    ALLOC_LOOP(rc = fit_once(&err));
    CHECK(unit_live == 0);
    return UNIT_END();
}
