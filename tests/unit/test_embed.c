/* Embedders: what embedder= may say, token tables, several parts side by side, stored forms, no memory. */
#include "model_data.h"

static bool refuses(const char *text, const char *word) {
    embed_spec spec;
    rec_err err = {0};
    return embed_parse(text, &spec, &err) == REC_RANGE && strstr(err.msg, word);
}

static void test_parse(void) {
    embed_spec s;
    rec_err err = {0};
    CHECK(!embed_parse(" lsa ", &s, &err) && s.n == 1 && s.part[0].dim == 256);
    CHECK(!embed_parse(
        "lsa(64), column( a b ):.5,llm('it''s'), static(\"/x, (y)\") : 2", &s, &err));
    CHECK(s.n == 4 && s.n_column == 1 && s.part[0].dim == 64 && s.part[1].weight == .5);
    CHECK(strcmp(embed_column(&s, 0), "a b") == 0 && !embed_column(&s, 1));
    CHECK(strcmp(s.part[2].arg, "it's") == 0 && strcmp(s.part[3].arg, "/x, (y)") == 0);
    CHECK(s.part[3].weight == 2 && (embed_needs(&s) & EMBED_OUTSIDE) == EMBED_OUTSIDE);
    const char *const bad[][2] = {{"", "there is no"},
                                  {"lsa(", "closing bracket"},
                                  {"lsa(2,", "bracket"},
                                  {"lsa(1)", "dimensions"},
                                  {"lsa(2.5)", "dimensions"},
                                  {"lsa(x)", "dimensions"},
                                  {"lsa,", "there is no"},
                                  {"lsa lsa", "comma"},
                                  {"lsa:0", "weight"},
                                  {"lsa:1e9", "weight"},
                                  {"lsa:", "weight"},
                                  {"llm", "which"},
                                  {"column()", "which"},
                                  {"static", "which"},
                                  {"llm('x", "quote"},
                                  {"lsa(2), lsa(2)", "twice"},
                                  {"bert(768)", "allowed"},
                                  {"column(a),column(b),column(c),column(d),column(e),"
                                   "column(f),column(g),column(h),lsa",
                                   "more than 8"}};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        if (!refuses(bad[i][0], bad[i][1])) CHECK(!bad[i][0]);
    char many[700];
    memset(many, 'x', sizeof many);
    memcpy(many, "llm(", 4);
    many[sizeof many - 1] = 0;
    CHECK(refuses(many, "more than 511"));
}

/* ---- token tables ------------------------------------------------------------------------- */

static static_table *make_table(bool is_unigram) {
    static const char *const piece[] = {"un",   "##believ",     "##able", "!",
                                        "film", "\xE5\xBD\xB1", "[UNK]"};
    static const char *const gram[] = {"\xE2\x96\x81"
                                       "un",
                                       "believ",
                                       "able",
                                       "!",
                                       "\xE2\x96\x81"
                                       "film",
                                       "\xE2\x96\x81",
                                       "u"};
    static_table *t = rec_zeros(1, sizeof *t);
    uint32_t at;
    t->tokens = dict_new();
    t->lower_case = true;
    memcpy(t->prefix, "##", 3);
    if (is_unigram) t->score = rec_zeros(7, sizeof *t->score);
    t->is_skipped = rec_zeros(7, 1);
    t->is_skipped[6] = !is_unigram;
    CHECK(!mat_init(&t->rows, 7, 2, NULL));
    for (uint32_t i = 0; i < 7; i++) {
        const char *s = is_unigram ? gram[i] : piece[i];
        CHECK(!dict_add(t->tokens, s, strlen(s), &at, NULL) && at == i);
        if (is_unigram) t->score[i] = -1 - (float)i;
        mat_row(&t->rows, i)[0] = 1;
        mat_row(&t->rows, i)[1] = (float)i;
    }
    return t;
}

typedef struct found {
    uint32_t id[64];
    size_t n;
} found;
static void take(void *ctx, uint32_t id) {
    found *f = ctx;
    if (f->n < 64) f->id[f->n++] = id;
}
static bool spells(const static_table *t, const char *text, size_t n,
                   const char *want) {
    found f = {.n = 0};
    char got[200] = "";
    size_t at = 0;
    wordpiece_each(t, text, n, take, &f);
    for (size_t i = 0; i < f.n; i++)
        at += rec_format(got + at, sizeof got - at, "%u ", f.id[i]);
    return strcmp(got, want) == 0;
}

static void test_tokens(void) {
    static_table *t = make_table(false), *g = make_table(true);
    CHECK(spells(t, "Unbelievable! film", 18, "0 1 2 3 4 "));
    CHECK(spells(t,
                 "F\xC3\xADlm\xE5\xBD\xB1"
                 "film",
                 12, "4 5 4 "));
    CHECK(spells(t, "fi\xCC\x80lm", 6, "4 "));
    CHECK(spells(t, "unfilm xyz [UNK]", 16, ""));
    CHECK(spells(t, "", 0, "") && spells(t, "\xFF\xFE film\0un", 10, "4 0 "));
    CHECK(spells(g, "Unbelievable film", 17, "0 1 2 4 "));
    CHECK(spells(g, "u?u", 3, "5 6 6 "));
    char *text =
        rec_zeros(1, 1 << 20); /* one word of a megabyte, and of many letters */
    for (int i = 0; i < 1 << 20; i++) text[i] = "un"[i & 1];
    found f = {.n = 0};
    wordpiece_each(t, text, 1 << 20, take, &f);
    wordpiece_each(g, text, 1 << 20, take, &f);
    for (int i = 0; i < 1 << 20; i++) text[i] = (char)(i * 2654435761u >> 24);
    wordpiece_each(t, text, 1 << 20, take, &f);
    wordpiece_each(g, text, 1 << 20, take, &f);
    rec_free(text);
    static_table_free(t);
    static_table_free(g);
}

/* ---- fitted --------------------------------------------------------------------------------- */

typedef struct world { /* outside */
    bool is_unigram, is_down;
    uint32_t dim;
} world;

static rec_status open_static(void *ctx, const char *path, static_table **out,
                              rec_err *err) {
    int saved = unit_countdown;
    (void)path, (void)err;
    unit_countdown = -1;
    *out = make_table(((world *)ctx)->is_unigram);
    unit_countdown = saved;
    return REC_OK;
}

static rec_status ask(void *ctx, const embed_ask *q, mat *rows, rec_err *err) {
    const world *w = ctx;
    size_t n = q->items ? corpus_n_docs(q->items) : 1;
    *rows = (mat){0};
    if (w->is_down) return rec_fail(err, REC_NET, "down");
    *q->identity = 7;
    rec_status st = mat_init(rows, n, w->dim, err);
    for (size_t i = 0; !st && i < n; i++) {
        size_t nbyte = q->n_text;
        const char *s = q->items ? corpus_text(q->items, i, &nbyte) : q->text;
        for (size_t k = 0; k < nbyte; k++)
            mat_row(rows, i)[(unsigned char)s[k] % w->dim] += 1;
    }
    return st;
}

static rec_status make_corpus(corpus **out, rec_err *err) {
    static const char *const text[] = {"un film", "unbelievable! film film", "",
                                       "un un un", "unbelievable"};
    rec_status st = REC_OK;
    corpus *c = *out = corpus_new();
    if (!c) return rec_nomem(err);
    c->keeps_text = true;
    for (uint32_t i = 0; !st && i < 5; i++) {
        float v[3] = {(float)i, 1, 0};
        st = corpus_add(c, i, text[i], strlen(text[i]), 1, err);
        if (!st) st = corpus_add_feature(c, i, i % 2 ? "k=a" : "k=b", 3, 2, err);
        if (!st && i != 3) st = corpus_add_vector(c, 0, i, v, 3, err);
    }
    return st;
}

static rec_status fit_all(world *w, embed_set *set, mat *rows, corpus **c,
                          rec_err *err) {
    embed_spec spec;
    lsa_args words = {.min_df = 1, .max_df = 1};
    embed_env env = {w, open_static, ask};
    *set = (embed_set){.n = 0};
    *rows = (mat){0};
    rec_status st = make_corpus(c, err);
    embed_fit_args a = {.items = *c, .words = &words, .env = &env};
    if (!st)
        st = embed_parse("lsa(2), column(v):.5, static('t'), llm(m):2", &spec, err);
    return st ? st : embed_set_fit(&spec, &a, set, rows, err);
}

static void check_set(const embed_set *set, world *w, const mat *rows,
                      const corpus *c) {
    embed_env env = {w, open_static, ask};
    float x[32], y[32];
    bool known;
    rec_err err = {0};
    mat again;
    CHECK(set->dim == 2 + 3 + 2 + w->dim && rows->dim == set->dim);
    CHECK(!embed_set_text(set, &env, "un film", 7, x, &known, &err) && known);
    for (uint32_t k = 0; k < set->dim;
         k++) /* item 0 is that text, but for its vector */
        if (k >= set->at[2]) CHECK_NEAR(x[k], mat_row(rows, 0)[k], 1e-5);
    CHECK(x[set->at[1]] == 0 && x[set->at[1] + 1] == 0);
    CHECK_NEAR(vec_norm(mat_row(rows, 0), set->dim), 1, 1e-4);
    CHECK(vec_norm(mat_row(rows, 2), set->dim) < 1);
    CHECK(!embed_set_items(set, c, &again, &err));
    for (uint32_t k = 0; k < set->at[3]; k++)
        CHECK_NEAR(mat_row(&again, 1)[k], mat_row(rows, 1)[k], 1e-5);
    CHECK(mat_row(&again, 1)[set->at[3]] == 0 && embed_set_asks(set));
    mat_clear(&again);
    bytes_writer b = {0};
    embed_set set2;
    embed_set_save(set, &b);
    bytes_reader r = {.data = b.data, .n = b.n};
    CHECK(!b.status && !embed_set_load(&r, &set2, &err) && r.at == r.n);
    CHECK(!embed_set_text(&set2, &env, "un film", 7, y, &known, &err));
    CHECK(memcmp(x, y, set->dim * sizeof *x) == 0 && embed_set_nbyte(&set2) > 0);
    embed_set_clear(&set2);
    for (size_t n = 0; n < b.n; n++) { /* cut anywhere, bent anywhere */
        r = (bytes_reader){.data = b.data, .n = n};
        CHECK(embed_set_load(&r, &set2, &err) && set2.n == 0);
        b.data[n] ^= 0x55;
        r = (bytes_reader){.data = b.data, .n = b.n};
        if (!embed_set_load(&r, &set2, &err)) embed_set_clear(&set2);
        b.data[n] ^= 0x55;
    }
    bytes_clear(&b);
}

static void test_fitted(void) {
    for (int unigram = 0; unigram < 2; unigram++) {
        world w = {unigram, false, 5};
        embed_set set;
        mat rows;
        corpus *c;
        rec_err err = {0};
        float x[32];
        bool known;
        CHECK(!fit_all(&w, &set, &rows, &c, &err));
        check_set(&set, &w, &rows, c);
        embed_env env = {&w, open_static, ask};
        w.dim = 6;
        CHECK(embed_set_text(&set, &env, "un", 2, x, &known, &err) == REC_RANGE);
        w.is_down = true;
        CHECK(embed_set_text(&set, &env, "un", 2, x, &known, &err) == REC_NET);
        CHECK(!embed_set_text(&set, NULL, "un", 2, x, &known, &err) && known);
        embed_set_clear(&set);
        mat_clear(&rows);
        corpus_free(c);
        CHECK(fit_all(&w, &set, &rows, &c, &err) == REC_NET && !set.n && !rows.n_rows);
        corpus_free(c);
        w = (world){unigram, false, 5};
        ALLOC_LOOP(rc = fit_all(&w, &set, &rows, &c, &err); embed_set_clear(&set);
                   mat_clear(&rows); corpus_free(c));
    }
}

static void test_tastes(void) {
    mat rows;
    uint32_t item[12];
    double weight[12];
    uint8_t of[12];
    size_t n;
    rec_err err = {0};
    CHECK(!mat_init(&rows, 12, 2, &err));
    for (uint32_t i = 0; i < 12; i++) {
        item[i] = i;
        weight[i] = i == 11 ? -1 : 1e30;
        mat_row(&rows, i)[i < 6] = 1;
    }
    tastes_args a = {&rows, item, weight, 12, 4};
    CHECK(!tastes_group(&a, of, &n, &err) && n == 2);
    for (int i = 0; i < 12; i++) CHECK(of[i] == of[i < 6 ? 0 : 6]);
    CHECK(of[0] != of[6]);
    a.n = 5;
    CHECK(!tastes_group(&a, of, &n, &err) && n == 1 && of[4] == 0);
    a.n = 0;
    CHECK(!tastes_group(&a, of, &n, &err) && n == 1);
    a.n = 12;
    ALLOC_LOOP(rc = tastes_group(&a, of, &n, &err));
    mat_clear(&rows);
}

int main(void) {
    UNIT_BEGIN("embed");
    alloc_install();
    test_parse();
    test_tokens();
    test_fitted();
    test_tastes();
    CHECK(unit_live == 0);
    return UNIT_END();
}
