/* JSON: what the scan refuses, what comes back exactly, what is built. */
#include "../../ext/llm/llm.h"
#include "unit.h"

static json *parse(const char *s) {
    rec_err err = {0};
    return json_parse(s, strlen(s), &err);
}

static bool refused(const char *s, size_t n, const char *word) {
    rec_err err = {0};
    json *j = json_parse(s, n, &err);
    bool ok = !j && err.code == REC_RANGE && strstr(err.msg, word);
    if (!ok) fprintf(stderr, "  %.40s -> %s\n", s, j ? "accepted" : err.msg);
    json_delete(j);
    return ok;
}
#define REFUSED(s, word) CHECK(refused(s, strlen(s), word))

static bool same(const char *in, const char *want) {
    json *j = parse(in);
    char *text = json_print(j);
    bool ok = text && strcmp(text, want) == 0;
    if (!ok)
        fprintf(stderr, "  %s -> %s, expected %s\n", in, text ? text : "(null)", want);
    rec_free(text);
    json_delete(j);
    return ok;
}

static void test_values(void) {
    CHECK(same(" [1, 2.5, -3, 1e3, true, false, null, \"a\"] \n",
               "[1,2.5,-3,1000,true,false,null,\"a\"]"));
    CHECK(same("{\"a\":{\"b\":[]},\"c\":\"\\u00e9\\n\"}",
               "{\"a\":{\"b\":[]},\"c\":\"é\\n\"}"));
    CHECK(same("\"\\ud83d\\ude00\"", "\"😀\""));
    CHECK(same("42", "42"));
    json *j = parse("{\"A\":1,\"a\":2,\"t\":\"x\",\"b\":true}");
    CHECK(json_number(json_get(j, "a"), 0) == 2);
    CHECK(json_get(j, "B") == NULL && json_get(NULL, "a") == NULL);
    CHECK(strcmp(json_text(json_get(j, "t")), "x") == 0 &&
          json_text(json_get(j, "a")) == NULL);
    CHECK(json_truth(json_get(j, "b"), false) && json_truth(NULL, true));
    CHECK(json_count(j) == 4 && strcmp(json_key(json_first(j)), "A") == 0);
    CHECK(json_number(json_next(json_first(j)), 0) == 2);
    json_delete(j);
}

static void test_integers(void) {
    CHECK(same("[9007199254740993, -9223372036854775808, 9223372036854775807]",
               "[9007199254740993,-9223372036854775808,9223372036854775807]"));
    CHECK(same("[1,[12345678901234567,2,{\"a\":98765432109876543}],3]",
               "[1,[12345678901234567,2,{\"a\":98765432109876543}],3]"));
    static const struct {
        const char *text;
        bool ok;
        int64_t want;
    } c[] = {{"7", true, 7},
             {"-0", true, 0},
             {"1e3", true, 1000},
             {"42.0", true, 42},
             {"1.5", false, 0},
             {"9007199254740993", true, 9007199254740993},
             {"-9223372036854775808", true, INT64_MIN},
             {"9223372036854775807", true, INT64_MAX},
             {"9223372036854775808", false, 0},
             {"123456789012345678901234567890", false, 0},
             {"\"7\"", false, 0}};
    for (size_t i = 0; i < sizeof c / sizeof c[0]; i++) {
        json *j = parse(c[i].text), *k = json_copy(j);
        int64_t x = 1;
        CHECK(json_int64(j, &x) == c[i].ok && (!c[i].ok || x == c[i].want));
        CHECK(json_int64(k, &x) == c[i].ok && (!c[i].ok || x == c[i].want));
        json_delete(j), json_delete(k);
    }
    json *big = parse("123456789012345678901234567890");
    CHECK(json_is_number(big) &&
          fabs(json_number(big, 0) / 1.2345678901234568e29 - 1) < 1e-12);
    json_delete(big);
}

static void test_refused(void) {
    REFUSED("", "not valid");
    REFUSED("[1,2", "within brackets");
    REFUSED("]", "closing bracket");
    REFUSED("[1 2]", "not valid");
    REFUSED("{\"a\"}", "not valid");
    REFUSED("[1]x", "after the value");
    REFUSED("1 2", "after the value");
    REFUSED("01", "bad number");
    REFUSED("[1.]", "bad number");
    REFUSED("-", "bad number");
    REFUSED("[1e]", "bad number");
    REFUSED("1e999", "out of range");
    REFUSED("\"abc", "without end");
    REFUSED("\"a\\u0000b\"", "\\u0000");
    REFUSED("\"\\ud83d\"", "not valid");
    REFUSED("nan", "not valid");
    REFUSED("\"\xff\"", "UTF-8");
    REFUSED("\"\xc0\xaf\"", "UTF-8");
    REFUSED("\"\xed\xa0\x80\"", "UTF-8");
    REFUSED("\"\xf4\x90\x80\x80\"", "UTF-8");
    REFUSED("\xc3\xa9", "outside a string");
    CHECK(refused("\"a\0b\"", 5, "NUL"));
    CHECK(refused("1\0", 2, "NUL"));
    char deep[80];
    memset(deep, '[', 40), memset(deep + 40, ']', 40);
    CHECK(refused(deep, 80, "32 levels"));
    json *ok = NULL;
    rec_err err = {0};
    CHECK((ok = json_parse(deep + 8, 64, &err)) != NULL);
    json_delete(ok);
    static char huge[1 << 20];
    memset(huge, '[', sizeof huge);
    CHECK(refused(huge, sizeof huge, "32 levels"));
    CHECK(refused(huge, JSON_MAX_BYTES + 1, "are read"));
}

static void test_build(void) {
    json *j = json_new_object(), *a = json_new_array();
    CHECK(json_push(a, json_new_int(INT64_MIN)) && json_push(a, json_new_int(-5)));
    CHECK(json_push(a, json_new_int(1000000000000000)) &&
          json_push(a, json_new_number(.1)));
    CHECK(json_push(a, json_new_number(INFINITY)) && json_push(a, json_new_bool(true)));
    CHECK(json_set(j, "a", a) && json_set(j, "s", json_new_text("x\"y and more", 3)));
    CHECK(json_set(j, "n", json_new_null()) &&
          json_set(j, "e", json_new_text(NULL, 9)));
    CHECK(!json_set(j, "x", NULL) && !json_set(NULL, "x", json_new_null()));
    CHECK(!json_push(NULL, json_new_object()));
    char *text = json_print(j);
    CHECK(text &&
          strcmp(text,
                 "{\"a\":[-9223372036854775808,-5,1000000000000000,0.1,null,true],"
                 "\"s\":\"x\\\"y\",\"n\":null,\"e\":\"\"}") == 0);
    rec_free(text);
    json_delete(j);
    CHECK(json_print(NULL) == NULL && json_copy(NULL) == NULL);
}

/* Whatever bytes come, the answer is a tree or a message, never a crash. */
static void test_noise(void) {
    static const char seed[] =
        "{\"a\":[1,2.5e3,\"x\\n\\u00e9\",{\"b\":null}],\"c\":12345678901234567890}";
    unsigned long long rnd = 7;
    int accepted = 0;
    for (int round = 0; round < 20000; round++) {
        char s[sizeof seed];
        memcpy(s, seed, sizeof seed);
        size_t n = sizeof seed - 1;
        for (int k = 0; k < 1 + round % 3; k++)
            s[unit_rand(&rnd) % n] = (char)unit_rand(&rnd);
        rec_err err = {0};
        json *j = json_parse(s, round % 5 ? n : unit_rand(&rnd) % n, &err);
        accepted += j != NULL;
        if (!j && (err.code != REC_RANGE || !err.msg[0])) unit_failed++;
        char *text = json_print(j);
        json *again = text ? json_parse(text, strlen(text), &err) : NULL;
        if (j && !again) unit_failed++;
        rec_free(text);
        json_delete(j), json_delete(again);
    }
    CHECK(accepted > 0);
}

int main(void) {
    UNIT_BEGIN("json");
    test_values();
    test_integers();
    test_refused();
    test_build();
    test_noise();
    return UNIT_END();
}
