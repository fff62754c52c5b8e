/* filter: SQLite's comparison semantics as a table of cases; columns, pools, bitmaps. */
#include "unit.h"

#include "../../ext/index/index.h"
#include "alloc.h"

static cell null_cell(void) {
    return (cell){.type = CELL_NULL};
}
static cell int_cell(int64_t i) {
    return (cell){.type = CELL_INT, .i = i};
}
static cell real_cell(double r) {
    return (cell){.type = CELL_REAL, .r = r};
}
static cell text_cell(const char *s) {
    return (cell){.type = CELL_TEXT, .p = s, .nbyte = strlen(s)};
}
static cell blob_cell(const char *s) {
    return (cell){.type = CELL_BLOB, .p = s, .nbyte = strlen(s)};
}

static void test_order(void) {
    /* Strictly ascending, but where the next is marked equal. */
    cell a[] = {null_cell(),           real_cell(-INFINITY),
                int_cell(INT64_MIN),   int_cell(-1),
                real_cell(-0.5),       int_cell(0),
                real_cell(0.25),       int_cell(1),
                real_cell(1.5),        int_cell((1ll << 53) + 1),
                int_cell(INT64_MAX),   real_cell(1e300),
                text_cell(""),         text_cell("A"),
                text_cell("AB"),       text_cell("a"),
                text_cell("\xc3\xa4"), blob_cell(""),
                blob_cell("A")};
    int n = sizeof a / sizeof a[0];
    for (int i = 0; i < n; i++)
        for (int j = 0; j < n; j++) {
            int d = cell_compare(&a[i], &a[j]);
            CHECK(i < j ? d < 0 : i > j ? d > 0 : d == 0);
        }
    cell big = int_cell((1ll << 53) + 1), near = real_cell(9007199254740992.0),
         one = real_cell(1.0), i1 = int_cell(1), top = real_cell(9223372036854775808.0),
         max = int_cell(INT64_MAX);
    CHECK(cell_compare(&big, &near) > 0); /* no rounding to double */
    CHECK(cell_compare(&one, &i1) == 0);
    CHECK(cell_compare(&max, &top) < 0);
}

static bool holds(pred_op op, cell value, cell c) {
    predicate p = {.op = op, .value = value};
    return predicate_match(&p, &c);
}

static void test_operators(void) {
    CHECK(holds(PRED_EQ, int_cell(3), real_cell(3.0)) &&
          !holds(PRED_EQ, int_cell(3), text_cell("3")));
    CHECK(holds(PRED_NE, int_cell(3), text_cell("3")) &&
          !holds(PRED_NE, int_cell(3), null_cell()));
    CHECK(holds(PRED_LT, text_cell("a"), int_cell(99)) &&
          holds(PRED_GT, int_cell(5), text_cell("")));
    CHECK(holds(PRED_LE, int_cell(5), int_cell(5)) &&
          !holds(PRED_LT, int_cell(5), int_cell(5)));
    CHECK(holds(PRED_GE, int_cell(5), int_cell(5)) &&
          !holds(PRED_GT, int_cell(5), int_cell(5)));
    for (int op = PRED_EQ; op <= PRED_GE; op++) { /* unknown, hence false */
        CHECK(!holds((pred_op)op, null_cell(), int_cell(1)));
        CHECK(!holds((pred_op)op, int_cell(1), null_cell()));
        CHECK(!holds((pred_op)op, null_cell(), null_cell()));
    }
    CHECK(holds(PRED_IS, null_cell(), null_cell()) &&
          !holds(PRED_IS, null_cell(), int_cell(0)));
    CHECK(holds(PRED_ISNOT, int_cell(1), null_cell()) &&
          !holds(PRED_ISNOT, null_cell(), null_cell()));
    CHECK(holds(PRED_ISNULL, null_cell(), null_cell()) &&
          !holds(PRED_ISNULL, null_cell(), int_cell(0)));
    CHECK(holds(PRED_NOTNULL, null_cell(), int_cell(0)) &&
          !holds(PRED_NOTNULL, null_cell(), null_cell()));
}

static void test_in(void) {
    cell set[] = {text_cell("b"), int_cell(7),  null_cell(),
                  real_cell(2.5), int_cell(-3), text_cell("a"),
                  int_cell(7),    null_cell(),  blob_cell("a")};
    predicate p = {.op = PRED_IN, .set = set, .n_set = 9};
    predicate_sort_set(&p);
    CHECK(p.n_set == 7);
    cell yes[] = {int_cell(-3), real_cell(2.5), real_cell(7.0), text_cell("a"),
                  blob_cell("a")};
    cell no[] = {int_cell(0), text_cell(""),  text_cell("c"),
                 null_cell(), blob_cell("b"), text_cell("7")};
    for (int i = 0; i < 5; i++) CHECK(predicate_match(&p, &yes[i]));
    for (int i = 0; i < 6; i++) CHECK(!predicate_match(&p, &no[i]));
    p.n_set = 0;
    CHECK(!predicate_match(&p, &yes[0]));
    cell many[500];
    for (int i = 0; i < 500; i++) many[i] = int_cell((i * 197) % 500 * 2);
    p = (predicate){.op = PRED_IN, .set = many, .n_set = 500};
    predicate_sort_set(&p);
    for (int i = 0; i < 1000; i++) {
        cell c = int_cell(i);
        CHECK(predicate_match(&p, &c) == (i % 2 == 0));
    }
}

static void test_patterns(void) {
    struct {
        const char *pattern, *text;
        bool like, glob;
    } c[] = {
        {"", "", true, true},
        {"", "a", false, false},
        {"abc", "ABC", true, false},
        {"abc", "abc", true, true},
        {"%", "", true, false},
        {"%", "anything", true, false},
        {"a%c", "abbc", true, false},
        {"a%c", "abcd", false, false},
        {"%a%b%", "xxaxxbxx", true, false},
        {"_", "\xc3\xa4", true, false},
        {"__", "\xc3\xa4", false, false},
        {"\xc3\xa4", "\xc3\x84", false, false},
        {"a_c", "aXc", true, false},
        {"%%%", "", true, false},
        {"%_", "", false, false},
        {"%aab", "aaaaaab", true, false},
        {"*", "abc", false, true},
        {"a*c", "abbc", false, true},
        {"?", "\xc3\xa4", false, true},
        {"[abc]", "b", false, true},
        {"[^abc]", "b", false, false},
        {"[^abc]", "d", false, true},
        {"[a-c]x", "bx", false, true},
        {"[a-c]x", "dx", false, false},
        {"[]]", "]", false, true},
        {"[", "[", true, false},
        {"[a-]", "-", false, true},
        {"*[0-9]", "ab7", false, true},
        {"A*", "abc", false, false},
        {"[\xc3\xa4-\xc3\xb6]", "\xc3\xa5", false, true},
        {"%\xe2\x82\xac", "5 \xe2\x82\xac", true, false},
    };
    for (size_t i = 0; i < sizeof c / sizeof c[0]; i++) {
        CHECK(holds(PRED_LIKE, text_cell(c[i].pattern), text_cell(c[i].text)) ==
              c[i].like);
        CHECK(holds(PRED_GLOB, text_cell(c[i].pattern), text_cell(c[i].text)) ==
              c[i].glob);
    }
    CHECK(holds(PRED_LIKE, text_cell("19%"), int_cell(1990)) &&
          holds(PRED_LIKE, text_cell("%.0"), real_cell(3)));
    CHECK(holds(PRED_LIKE, text_cell("1.0e+20"), real_cell(1e20)) &&
          holds(PRED_LIKE, text_cell("0.5"), real_cell(.5)));
    CHECK(!holds(PRED_LIKE, text_cell("%"), null_cell()) &&
          !holds(PRED_LIKE, null_cell(), text_cell("a")));
}

static void test_table(void) {
    rec_err err = {0};
    filter_table *t = filter_new(2);
    char buf[40];
    for (uint32_t i = 0; i < 1000; i++) {
        rec_format(buf, sizeof buf, "t%u", i % 10);
        cell a = i % 7 ? text_cell(buf) : null_cell(),
             b = i % 2 ? int_cell(i) : real_cell(i + 0.5);
        CHECK(filter_put(t, i, 0, &a, &err) == REC_OK &&
              filter_put(t, i, 1, &b, &err) == REC_OK);
    }
    CHECK(filter_get(t, 5000, 0).type == CELL_NULL);
    cell c = filter_get(t, 13, 0);
    CHECK(c.type == CELL_TEXT && c.nbyte == 2 && memcmp(c.p, "t3", 2) == 0);
    predicate p[2] = {{.column = 0, .op = PRED_EQ, .value = text_cell("t3")},
                      {.column = 1, .op = PRED_LT, .value = int_cell(500)}};
    bitmap b = {0};
    CHECK(bitmap_init(&b, 1100, true, &err) == REC_OK);
    CHECK(filter_apply(t, p, 2, &b, NULL, &err) == REC_OK);
    for (uint32_t i = 0; i < 1100; i++)
        CHECK(bitmap_has(&b, i) == (i < 500 && i % 10 == 3 && i % 7 != 0));
    bitmap_clear(&b);
    filter_drop(t, 13);
    CHECK(filter_get(t, 13, 0).type == CELL_NULL &&
          filter_get(t, 13, 1).type == CELL_NULL);
    p[0].column = 2;
    CHECK(bitmap_init(&b, 10, true, &err) == REC_OK);
    CHECK(filter_apply(t, p, 1, &b, NULL, &err) == REC_BUG);
    bitmap_clear(&b);
    filter_free(t);
}

/* A long text per cell, replaced again and again: memory does not grow without end. */
static void test_squeeze(void) {
    rec_err err = {0};
    filter_table *t = filter_new(1);
    static char text[2000];
    size_t most = 0;
    for (uint32_t i = 0; i < 20000; i++) {
        memset(text, 'a' + (int)(i % 26), sizeof text);
        memcpy(text, &i, sizeof i);
        cell c = {
            .type = i % 2 ? CELL_TEXT : CELL_BLOB, .p = text, .nbyte = sizeof text};
        if (filter_put(t, i % 50, 0, &c, &err) != REC_OK) CHECK(false);
        if (filter_nbyte(t) > most) most = filter_nbyte(t);
    }
    CHECK(most < (size_t)8 << 20);
    for (uint32_t i = 19950; i < 20000; i++) {
        cell c = filter_get(t, i % 50, 0);
        CHECK(c.nbyte == sizeof text && memcmp(c.p, &i, sizeof i) == 0);
    }
    filter_free(t);
}

static rec_status life(void) {
    rec_err err = {0};
    filter_table *t = filter_new(2);
    rec_status s = t ? REC_OK : REC_NOMEM;
    char buf[40];
    bitmap b = {0};
    for (uint32_t i = 0; i < 150 && s == REC_OK; i++) {
        rec_format(buf, sizeof buf, "text %u", i);
        cell c = text_cell(buf);
        s = filter_put(t, i, (int)(i % 2), &c, &err);
    }
    predicate p = {.op = PRED_LIKE, .value = text_cell("%1")};
    if (s == REC_OK) s = bitmap_init(&b, 150, true, &err);
    if (s == REC_OK) s = filter_apply(t, &p, 1, &b, NULL, &err);
    bitmap_clear(&b);
    filter_free(t);
    return s;
}

/* filter_apply against predicate_match, cell by cell: columns of one kind and mixed ones, values at
 * every edge, dense and sparse bitmaps. */
#define N_BLOCK_SLOTS 777

static cell block_cell(uint64_t *x, int column) {
    static const int64_t whole[] = {
        INT64_MIN,       INT64_MIN + 1, -3,       -1, 0, 1, 2, 7,
        (1ll << 53) + 1, INT64_MAX - 1, INT64_MAX};
    static const double real[] = {-INFINITY,
                                  -1e300,
                                  -9223372036854775808.0,
                                  -2.5,
                                  -0.0,
                                  0.0,
                                  5e-324,
                                  0.5,
                                  7.0,
                                  9007199254740992.0,
                                  9223372036854775808.0,
                                  INFINITY};
    static const char *const text[] = {"", "a", "ab", "b", "7"};
    *x = *x * 6364136223846793005u + 1442695040888963407u;
    uint64_t r = *x >> 33;
    int kind = column == 4 ? (int)(r % 5) : column;
    if (column < 4 && r % 97 == 0) kind = -1; /* some blocks are pure, some are not */
    r /= 97;
    if (kind == 0) return int_cell(whole[r % 11]);
    if (kind == 1) return real_cell(real[r % 12]);
    if (kind == 2) return text_cell(text[r % 5]);
    return kind == 3 ? blob_cell(text[r % 5]) : null_cell();
}

static void check_blocks(const filter_table *t, const predicate *p, size_t stride) {
    bitmap b;
    rec_err err = {0};
    CHECK(bitmap_init(&b, N_BLOCK_SLOTS + 70, false, &err) == REC_OK);
    for (size_t i = 0; i < b.n_bit; i += stride) bitmap_set(&b, i);
    CHECK(filter_apply(t, p, 1, &b, NULL, &err) == REC_OK);
    size_t n_wrong = 0;
    for (size_t i = 0; i < b.n_bit; i++) {
        cell c = filter_get(t, (uint32_t)i, p->column);
        bool want = i < N_BLOCK_SLOTS && i % stride == 0 && predicate_match(p, &c);
        n_wrong += want != bitmap_has(&b, i);
    }
    CHECK(n_wrong == 0);
    bitmap_clear(&b);
}

static void test_blocks(void) {
    filter_table *t = filter_new(5);
    rec_err err = {0};
    uint64_t x = 1;
    for (uint32_t i = 0; i < N_BLOCK_SLOTS; i++)
        for (int c = 0; c < 5; c++) {
            cell v = block_cell(&x, c);
            CHECK(filter_put(t, i, c, &v, &err) == REC_OK);
        }
    for (int round = 0; round < 400; round++)
        for (pred_op op = PRED_EQ; op <= PRED_GLOB; op++) {
            cell set[4] = {0};
            int column = round % 5, kind = round % 3 ? column : 4;
            for (int i = 0; i < 4; i++) set[i] = block_cell(&x, kind);
            predicate p = {.column = column, .op = op, .value = set[0]};
            if (op == PRED_IN) p.set = set, p.n_set = (size_t)round % 5;
            if (op == PRED_IN) predicate_sort_set(&p);
            check_blocks(t, &p, 1);
            check_blocks(t, &p, 13);
        }
    filter_free(t);
}

int main(void) {
    UNIT_BEGIN("filter");
    test_blocks();
    test_order();
    test_operators();
    test_in();
    test_patterns();
    test_table();
    test_squeeze();
    alloc_install();
    ALLOC_LOOP(rc = life());
    return UNIT_END();
}
