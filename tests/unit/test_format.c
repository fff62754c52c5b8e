/* Text out of numbers against libc, numbers out of text, vectors out of JSON. */
#include "unit.h"

#include "alloc.h"

static void same(const char *got, const char *want) {
    CHECK(strcmp(got, want) == 0);
    if (strcmp(got, want) != 0) fprintf(stderr, "   got %s\n   want %s\n", got, want);
}

static void check_double(double x) {
    char ours[1600], libc[1600];
    double back;
#define BOTH(fmt)                                                                \
    (rec_format(ours, sizeof ours, fmt, x), snprintf(libc, sizeof libc, fmt, x), \
     same(ours, libc))
    BOTH("%g"), BOTH("%f"), BOTH("%.0f"), BOTH("%.1f"), BOTH("%.3g"), BOTH("%.9g");
    BOTH("%.2f"), BOTH("%.0g"), BOTH("%.17g"); /* the last one must read back */
#undef BOTH
    CHECK(rec_parse_number(ours, strlen(ours), &back) == strlen(ours) && back == x);
}

static void test_doubles(void) {
    static const double some[] = {0,
                                  -0.0,
                                  0.1,
                                  0.5,
                                  1.5,
                                  2.5,
                                  99.95,
                                  999999,
                                  999999.5,
                                  1e6,
                                  123456,
                                  1e-4,
                                  9.9999e-5,
                                  1e22,
                                  1e23,
                                  1e300,
                                  1e-300,
                                  5e-324,
                                  2.2250738585072014e-308,
                                  1.7976931348623157e308,
                                  9007199254740991.0,
                                  0.045,
                                  1e15};
    unsigned long long seed = 11;
    for (size_t i = 0; i < sizeof some / sizeof *some; i++) {
        check_double(some[i]);
        check_double(-some[i]);
    }
    for (int i = 0; i < 3000; i++) {
        uint64_t u = unit_rand(&seed);
        double x;
        memcpy(&x, &u, sizeof x);
        if (isfinite(x)) check_double(x);
        check_double((double)(float)(unit_uniform(&seed) * 2 - 1));
        check_double((double)(int64_t)(u % 2000001) / 1000 - 1000);
    }
    char b[40];
    rec_format(b, sizeof b, "%g %f %g", INFINITY, -INFINITY, NAN);
    same(b, "inf -inf nan");
}

static void test_directives(void) {
    char b[100];
    rec_format(b, sizeof b, "%s|%.*s|%.2s|%d|%u|%lld|%llu|%zu|%c|%%|%ld", "a", 2, "xyz",
               "pqr", -5, 7u, LLONG_MIN, ULLONG_MAX, SIZE_MAX, 'q', -3L);
    same(b, "a|xy|pq|-5|7|-9223372036854775808|18446744073709551615|"
            "18446744073709551615|q|%|-3");
    CHECK(rec_format(b, 0, "x") == 0);
    CHECK(rec_format(b, 1, "x") == 0 && b[0] == 0);
    CHECK(rec_format(b, 4, "abcdef") == 3);
    same(b, "abc");
    same((rec_format(b, 4, "ab\xc3\xa9z"), b), "ab");         /* 2 bytes do not fit */
    same((rec_format(b, 5, "ab\xc3\xa9z"), b), "ab\xc3\xa9"); /* they do */
    same((rec_format(b, 4, "\xe2\x82\xac\xe2\x82\xac"), b), "\xe2\x82\xac");
    same((rec_format(b, 6, "\xf0\x9f\x98\x80\xf0\x9f\x98\x80"), b), "\xf0\x9f\x98\x80");
}

static void parse(const char *s, size_t n_used, double want) {
    double x = -1;
    CHECK(rec_parse_number(s, strlen(s), &x) == n_used);
    CHECK(x == want);
}

static void test_parse(void) {
    parse("12", 2, 12), parse("-0.5e1x", 6, -5), parse("+3", 2, 3), parse("", 0, 0);
    parse("-", 0, 0), parse(".", 0, 0), parse(".5", 2, 0.5), parse("5.", 2, 5);
    parse("1e", 1, 1), parse("1e+", 1, 1), parse("1e5", 3, 1e5), parse("abc", 0, 0);
    parse("1,5", 1, 1), parse("0x10", 1, 0), parse("1e400", 5, INFINITY);
    parse("-1e400", 6, -INFINITY), parse("1e-400", 6, 0), parse("0e999999999", 11, 0);
    parse("1e99999999999999999999", 22, INFINITY);
    parse("00000000000000000000000000012", 29, 12);
    parse("123456789012345678901234567890", 30, 123456789012345678901234567890.0);
    parse("0.000000000000000000000000000001", 32, 1e-30);
    parse("4.9406564584124654e-324", 23, 5e-324);
    parse("1.7976931348623157e308", 22, 1.7976931348623157e308);
    double x;
    CHECK(rec_parse_number("123", 2, &x) == 2 && x == 12); /* stops at n */
}

static void vector_fails(const char *s, const char *part) {
    float *v;
    uint32_t dim;
    rec_err err = {0};
    CHECK(vec_parse_json(s, strlen(s), &v, &dim, &err) == REC_RANGE);
    CHECK(v == NULL && dim == 0 && strstr(err.msg, part) != NULL);
    if (!strstr(err.msg, part)) fprintf(stderr, "   message: %s\n", err.msg);
}

static void test_vectors(void) {
    static const char text[] = " [1, 2.5,\n-3e-4 ,0]\t";
    float *v;
    uint32_t dim;
    rec_err err = {0};
    CHECK(!vec_parse_json(text, strlen(text), &v, &dim, &err) && dim == 4);
    CHECK(v[0] == 1 && v[1] == 2.5f && v[2] == -3e-4f && v[3] == 0);
    rec_free(v);
    vector_fails("", "ends where '['"), vector_fails("[]", "no values");
    vector_fails("[1", "ends where ','"), vector_fails("[1,]", "']' at position 4");
    vector_fails("[1] 2", "'2' at position 5, expected the end");
    vector_fails("[[1]]", "'[' at position 2"),
        vector_fails("[1e39]", "out of the range");
    vector_fails("[NaN]", "'N'"), vector_fails("[+1]", "'+'"),
        vector_fails("[\"1\"]", "'\"'");
    vector_fails("[1;2]", "';'"), vector_fails("[null]", "'n'");
    vector_fails("[\xc3\xa9]", "byte 195");
    char *big = malloc(2 * (VEC_MAX_DIM + 1) + 2);
    for (int n = VEC_MAX_DIM; n <= VEC_MAX_DIM + 1; n++) {
        for (int i = 0; i < n; i++) big[2 * i] = i ? ',' : '[', big[2 * i + 1] = '1';
        big[2 * n] = ']';
        rec_status rc = vec_parse_json(big, (size_t)(2 * n + 1), &v, &dim, &err);
        CHECK(n == VEC_MAX_DIM ? rc == REC_OK && dim == VEC_MAX_DIM : rc == REC_RANGE);
        rec_free(v);
    }
    free(big);
    ALLOC_LOOP(rc = vec_parse_json(text, strlen(text), &v, &dim, NULL); rec_free(v));
}

int main(void) {
    UNIT_BEGIN("format");
    alloc_install();
    test_doubles();
    test_directives();
    test_parse();
    test_vectors();
    CHECK(unit_live == 0);
    return UNIT_END();
}
