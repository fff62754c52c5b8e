/* Facet columns, the catalogue, filters over it and over single records. */
#include "text_fixture.h"

static void test_parse(void) {
    facet_spec s[CATALOG_MAX_FACETS];
    size_t n;
    rec_err err = {0};
    CHECK(facet_parse("genres[|], year , category[ > ],tags[,], \"my col\"[;]", s, &n,
                      &err) == REC_OK);
    CHECK(n == 5 && !strcmp(s[0].name, "genres") && !strcmp(s[0].sep, "|") &&
          !s[0].is_path);
    CHECK(!strcmp(s[1].name, "year") && !s[1].sep[0]);
    CHECK(s[2].is_path && !strcmp(s[2].sep, ">"));
    CHECK(!strcmp(s[3].sep, ",") && !strcmp(s[4].name, "my col") &&
          !strcmp(s[4].sep, ";"));
    CHECK(facet_parse("", s, &n, &err) == REC_OK && n == 0);
    CHECK(facet_parse(NULL, s, &n, &err) == REC_OK && n == 0);
    static const char *const bad[] = {
        "a,,b",
        "a,",
        ",a",
        "a[",
        "a[]",
        "a b[|] c",
        "a,A",
        "\"a",
        "a[123456789]",
        "[|]",
        "a0123456789012345678901234567890123456789012345678901234567890123456789"};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        err = (rec_err){0};
        CHECK(facet_parse(bad[i], s, &n, &err) == REC_RANGE && err.msg[0]);
    }
}

typedef struct collected {
    char text[600];
    size_t n;
} collected;
static rec_status collect(void *ctx, const char *v, size_t n, rec_err *err) {
    collected *c = ctx;
    (void)err;
    c->n += rec_format(c->text + c->n, sizeof c->text - c->n, "<%.*s>", (int)n, v);
    return REC_OK;
}
static bool splits(const char *spec, const char *cell_text, const char *expected) {
    facet_spec s[2];
    size_t n;
    bool is_array;
    collected c = {{0}, 0};
    facet_parse(spec, s, &n, NULL);
    facet_split(&s[0], cell_text, strlen(cell_text), &is_array, collect, &c, NULL);
    if (strcmp(c.text, expected)) fprintf(stderr, "%s -> %s\n", cell_text, c.text);
    return strcmp(c.text, expected) == 0;
}

static void test_split(void) {
    CHECK(splits("g[|]", "Comedy| Drama ||", "<Comedy><Drama>"));
    CHECK(splits("g", "Comedy|Drama", "<Comedy|Drama>"));
    CHECK(splits("g", "[\"Comedy\", \"Dra\\u006da\"]", "<Comedy><Drama>"));
    CHECK(splits("g", "[]", ""));
    CHECK(splits("g", "[1, 2.5, null, \"x\"]", "<1><2.5><x>"));
    CHECK(splits("g", "[\"a\\ud83d\\ude00b\"]",
                 "<a\xf0\x9f\x98\x80"
                 "b>"));
    CHECK(splits("g", "[broken", "<[broken>"));
    CHECK(splits("g", "[\"a\",]", "<[\"a\",]>"));
    CHECK(splits("g", "[\"a\"] b", "<[\"a\"] b>"));
    CHECK(splits("g", "[REC] 2", "<[REC] 2>"));
    CHECK(splits("c[>]", "Audio > Headphones >Wireless",
                 "<Audio><Audio>Headphones><Audio>Headphones>Wireless>"));
    CHECK(splits("c[>]", ">>", ""));
    CHECK(splits("c[>]", "[\"A>B\",\"C\"]", "<A><A>B><C>"));
    CHECK(splits("g[, ]", "a, b", "<a><b>"));
}

static void test_catalog(void) {
    rec_err err = {0};
    catalog *c;
    CHECK(fixture_catalog(film_rows, FILM_FACETS, &c, &err) == REC_OK);
    CHECK(catalog_n_items(c) == 27 && catalog_n_facets(c) == 5);
    CHECK(facet_kind(c, 0) == FACET_MULTI && facet_kind(c, 1) == FACET_NUMBER);
    CHECK(facet_kind(c, 3) == FACET_TEXT && facet_kind(c, 4) == FACET_NUMBER);
    CHECK(facet_find(c, "Year", 4) == 1 && facet_find(c, "nope", 4) == -1);
    double min, max, x;
    facet_range(c, 1, &min, &max);
    CHECK(min == 1922 && max == 2019);
    CHECK(facet_item_number(c, 1, 0, &x) && x == 2001 &&
          !facet_item_number(c, 1, 26, &x));
    const uint32_t *v;
    CHECK(facet_item_values(c, 0, 0, &v) == 3 && facet_item_values(c, 0, 26, &v) == 0);
    CHECK(facet_item_values(c, 1, 0, &v) == 0 && !facet_item_number(c, 0, 0, &x));
    rec_key k = {.i = 102};
    size_t n;
    CHECK(catalog_find(c, &k) == 2 && !memcmp(catalog_title(c, 2, &n), "Matrix", 6));
    k.i = 5;
    CHECK(catalog_find(c, &k) == KEYS_NONE && catalog_key(c, 3).i == 103);
    CHECK(catalog_nbyte(c) > 1000);
    catalog_free(c);
}

/* A column that turns from numbers to text keeps what it had. */
static void test_types(void) {
    facet_spec s = {.name = "size"};
    catalog *c = catalog_new(&s, 1);
    cell cells[] = {{.type = CELL_INT, .i = 10},
                    {.type = CELL_REAL, .r = 2.5},
                    {.type = CELL_NULL},
                    {.type = CELL_TEXT, .p = " ", .nbyte = 1},
                    {.type = CELL_TEXT, .p = "12", .nbyte = 2},
                    {.type = CELL_TEXT, .p = "XL", .nbyte = 2},
                    {.type = CELL_INT, .i = 10},
                    {.type = CELL_TEXT, .p = "xl", .nbyte = 2}};
    uint32_t pos, first;
    for (size_t i = 0; i < 8; i++) {
        rec_key k = {.is_text = true, .text = "abcdefgh" + i, .n_text = 1};
        CHECK(catalog_add(c, &k, NULL, 0, &cells[i], &pos, NULL) == REC_OK && pos == i);
    }
    rec_key again = {.is_text = true, .text = "c", .n_text = 1};
    CHECK(catalog_add(c, &again, "t", 1, &cells[0], &first, NULL) == REC_OK &&
          first == 2);
    CHECK(catalog_n_items(c) == 8 && catalog_finish(c, NULL) == REC_OK);
    CHECK(facet_kind(c, 0) == FACET_TEXT && facet_n_values(c, 0) == 5);
    size_t n;
    CHECK(!strcmp(facet_value(c, 0, 0, &n), "10") && facet_value_count(c, 0, 0) == 2);
    CHECK(!strcmp(facet_value(c, 0, 1, &n), "2.5"));
    uint8_t mark[5] = {0};
    CHECK(facet_mark_equal(c, 0, "Xl", 2, mark) == 2);
    CHECK(catalog_title(c, 0, &n) == NULL);
    catalog_free(c);
}

/* ---- filters ---------------------------------------------------------------------------- */

static facet_cond *cond(filters *f, const char *name, char which, const char *value) {
    facet_cond *c = filters_at(f, name, NULL);
    if (value) facet_cond_add(c, which, value, strlen(value), NULL);
    return c;
}

typedef struct row_cells { /* the facets of one item as rec_match sees them */
    const catalog *c;
    uint32_t item;
    char text[CATALOG_MAX_FACETS][300];
} row_cells;
static bool lookup_row(void *ctx, const char *name, cell *out) {
    row_cells *r = ctx;
    int f = facet_find(r->c, name, strlen(name));
    if (f < 0) return false;
    if (facet_kind(r->c, (size_t)f) == FACET_NUMBER) {
        out->type = facet_item_number(r->c, (size_t)f, r->item, &out->r) ? CELL_REAL
                                                                         : CELL_NULL;
        return true;
    }
    const uint32_t *v;
    size_t n = facet_item_values(r->c, (size_t)f, r->item, &v), used = 0, len;
    bool is_path = facet_kind(r->c, (size_t)f) == FACET_PATH;
    r->text[f][0] = 0;
    for (size_t i = is_path && n ? n - 1 : 0; i < n;
         i++) /* a path: the longest, which is last */
        used += rec_format(r->text[f] + used, 300 - used, "%s%s", used ? "|" : "",
                           facet_value(r->c, (size_t)f, v[i], &len));
    *out = (cell){.type = used ? CELL_TEXT : CELL_NULL, .p = r->text[f], .nbyte = used};
    return true;
}

/* Items that pass; filters_match must agree on every one. */
static size_t n_passing(const catalog *c, const filters *f, const char *facets) {
    bitmap b = {0};
    facet_spec spec[CATALOG_MAX_FACETS];
    size_t n_spec;
    facet_parse(facets, spec, &n_spec, NULL);
    bitmap_init(&b, catalog_n_items(c), true, NULL);
    CHECK(filters_apply(f, c, &b, NULL) == REC_OK);
    for (uint32_t i = 0; i < catalog_n_items(c); i++) {
        row_cells r = {.c = c, .item = i};
        CHECK(filters_match(f, lookup_row, &r, spec, n_spec) == bitmap_has(&b, i));
    }
    size_t n = bitmap_count(&b);
    bitmap_clear(&b);
    return n;
}

static void test_filters(void) {
    catalog *c;
    filters f = {0};
    rec_err err = {0};
    fixture_catalog(film_rows, FILM_FACETS, &c, &err);
#define PASS(expected) \
    (CHECK(n_passing(c, &f, FILM_FACETS) == (expected)), filters_clear(&f))
    PASS(27);
    cond(&f, "genres", 'a', "animation");
    PASS(3);
    cond(&f, "genres", 'a', "ANIMATION");
    cond(&f, "genres", 'a', "Western");
    PASS(4);
    cond(&f, "genres", 'l', "Comedy");
    cond(&f, "genres", 'l', "Romance");
    PASS(4);
    cond(&f, "genres", 'n', "Drama"); /* NULL passes none */
    PASS(20);
    cond(&f, "genres", 'a', "no such genre");
    PASS(0);
    cond(&f, "genres", 'n', "no such genre");
    PASS(27);
    facet_cond *y = cond(&f, "year", 'a', NULL);
    y->has_min = true, y->min = 2001;
    PASS(6); /* NULL fails min */
    y = cond(&f, "year", 'a', "1995");
    PASS(3);
    cond(&f, "year", 'n', "1995");
    PASS(24);
    cond(&f, "year", 'a', "abc");
    PASS(0);
    y = cond(&f, "genres", 'a', NULL);
    y->has_max = true, y->max = 5; /* no genre is a number */
    PASS(0);
    cond(&f, "language", 'a', "FR");
    y = cond(&f, "runtime", 'a', NULL);
    y->has_min = y->has_max = true, y->min = 100, y->max = 200;
    PASS(1);
    cond(&f, "nope", 'a', "x");
    bitmap b = {0};
    bitmap_init(&b, 27, true, NULL);
    CHECK(filters_apply(&f, c, &b, &err) == REC_RANGE && strstr(err.msg, "nope") &&
          strstr(err.msg, "genres"));
    bitmap_clear(&b);
    filters_clear(&f);
    catalog_free(c);
    fixture_catalog(shop_rows, SHOP_FACETS, &c, &err);
#undef PASS
#define PASS(expected) \
    (CHECK(n_passing(c, &f, SHOP_FACETS) == (expected)), filters_clear(&f))
    cond(&f, "category", 'a', "audio");
    PASS(4);
    cond(&f, "category", 'a', "Audio > headphones");
    PASS(2);
    cond(&f, "category", 'n', "Kitchen>Cookware");
    PASS(12);
#undef PASS
    catalog_free(c);
}

/* A record without a description of its columns. */
static bool lookup_text(void *ctx, const char *name, cell *out) {
    (void)name;
    *out = (cell){.type = CELL_TEXT, .p = ctx, .nbyte = strlen(ctx)};
    return true;
}
static void test_bare_record(void) {
    filters f = {0};
    cond(&f, "genres", 'a', "Drama");
    CHECK(filters_match(&f, lookup_text, "Comedy|Drama", NULL, 0));
    CHECK(filters_match(&f, lookup_text, "[\"Comedy\",\"drama\"]", NULL, 0));
    CHECK(!filters_match(&f, lookup_text, "Comedy", NULL, 0));
    CHECK(!filters_match(&f, lookup_text, "", NULL, 0));
    filters_clear(&f);
    cond(&f, "genres", 'n', "Drama");
    CHECK(filters_match(&f, lookup_text, "", NULL, 0));
    filters_clear(&f);
    facet_cond *y = cond(&f, "year", 'a', NULL);
    y->has_min = true, y->min = 2000;
    CHECK(filters_match(&f, lookup_text, "2001", NULL, 0));
    CHECK(!filters_match(&f, lookup_text, "1999", NULL, 0));
    filters_clear(&f);
}

static rec_status build_all(rec_err *err) {
    catalog *c;
    rec_status rc = fixture_catalog(film_rows, FILM_FACETS, &c, err);
    if (rc) return rc;
    filters f = {0};
    bitmap b = {0};
    facet_cond *x = filters_at(&f, "genres", err);
    rc = x ? facet_cond_add(x, 'a', "Comedy", 6, err) : REC_NOMEM;
    if (!rc) rc = bitmap_init(&b, catalog_n_items(c), true, err);
    if (!rc) rc = filters_apply(&f, c, &b, err);
    bitmap_clear(&b);
    filters_clear(&f);
    catalog_free(c);
    return rc;
}

int main(void) {
    UNIT_BEGIN("facets");
    alloc_install();
    test_parse();
    test_split();
    test_catalog();
    test_types();
    test_filters();
    test_bare_record();
    rec_err err = {0};
    ALLOC_LOOP(rc = build_all(&err));
    CHECK(unit_live == 0);
    return UNIT_END();
}
