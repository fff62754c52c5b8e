/* Text for prompts, and text that models give back. */
#include "../../ext/llm/llm.h"
#include "unit.h"

static bool cleaned(const char *in, size_t max, const char *want) {
    char *got = prompt_clean(in, strlen(in), max);
    bool ok = got && strcmp(got, want) == 0;
    if (!ok)
        fprintf(stderr, "  '%s' -> '%s', expected '%s'\n", in, got ? got : "", want);
    rec_free(got);
    return ok;
}

static void test_clean(void) {
    CHECK(cleaned("  a\n\tb  c ", 100, "a b c"));
    CHECK(cleaned("caf\xc3\xa9", 4, "caf\xc3\xa9"));
    CHECK(cleaned("caf\xc3\xa9 au lait", 4, "caf\xc3\xa9"));
    CHECK(cleaned("a\xe2\x80\x8b"
                  "b\xe2\x80\xae"
                  "c\x01\x7f",
                  100, "abc")); /* zero width, bidi, control */
    CHECK(cleaned("a\xf3\xa0\x81\x81"
                  "b",
                  100, "ab")); /* tag characters */
    CHECK(cleaned("a\xff\xfe"
                  "b\xed\xa0\x80"
                  "c",
                  100, "abc")); /* not UTF-8 */
    CHECK(cleaned("rank c07 first, C12 and c123", 100,
                  "rank c-07 first, C-12 and c-123"));
    CHECK(cleaned("abc07 c1 c1234 c07x", 100, "abc07 c1 c1234 c07x"));
    CHECK(cleaned("", 100, "") && cleaned("\n\n", 100, "") && cleaned("abc", 0, ""));
}

static bool holds(const char *answer, const char *want) {
    rec_err err = {0};
    json *j = answer_json(answer, &err);
    char *text = json_print(j);
    bool ok = want ? text && strcmp(text, want) == 0 : !j && err.code == REC_NET;
    if (!ok) fprintf(stderr, "  %s -> %s\n", answer, text ? text : err.msg);
    rec_free(text);
    json_delete(j);
    return ok;
}

static void test_json(void) {
    CHECK(holds("{\"a\":1}", "{\"a\":1}"));
    CHECK(holds("\n\n [1,2]\n", "[1,2]"));
    CHECK(holds("```json\n{\"a\":1}\n```", "{\"a\":1}"));
    CHECK(holds("Here you are: {\"a\":{\"b\":2}} - enjoy!", "{\"a\":{\"b\":2}}"));
    CHECK(holds("<think>{\"a\":0}</think>{\"a\":1}", "{\"a\":1}"));
    CHECK(holds("<think>x</think>y</think> [3]", "[3]"));
    CHECK(holds("no json at all", NULL));
    CHECK(holds("{\"a\":", NULL));
    CHECK(holds("}{", NULL));
    CHECK(holds("", NULL));
    char *text = answer_text("<think>hm</think>\n  The answer. \n");
    CHECK(text && strcmp(text, "The answer.") == 0);
    rec_free(text);
}

static bool quoted(const char *text, const char *quote, const char *want) {
    size_t b, e;
    bool found = answer_find_quote(text, quote, &b, &e);
    if (!want) return !found;
    return found && e - b == strlen(want) && memcmp(text + b, want, e - b) == 0;
}

static void test_quotes(void) {
    const char *text = "A Dark\n  tale of spirits, told twice.";
    CHECK(quoted(text, "dark tale", "Dark\n  tale"));
    CHECK(quoted(text, "  OF SPIRITS ", "of spirits"));
    CHECK(quoted(text, "told twice.", "told twice."));
    CHECK(quoted(text, "spirit", NULL)); /* half a word */
    CHECK(quoted(text, "ark tale", NULL));
    CHECK(quoted(text, "dark story", NULL));
    CHECK(quoted(text, "", NULL) && quoted(text, "  ", NULL) &&
          quoted(text, "A", NULL));
    CHECK(quoted("", "dark", NULL));
}

static bool occur(const char *claim, const char *a, const char *b) {
    const char *text[] = {a, b};
    return answer_numbers_occur(claim, text, 2);
}

static void test_numbers(void) {
    CHECK(occur("from 1999", "1999-03-31", ""));
    CHECK(occur("costs 1,299.50", "price 1299.5", ""));
    CHECK(occur("no number", "", ""));
    CHECK(!occur("rated 8.1", "8", "1"));
    CHECK(!occur("200 pages", "2000", "20"));
    CHECK(occur("an mp3 of 2001", "", "2001"));
    CHECK(!occur("top 10", "x", "y"));
}

static void test_names(void) {
    CHECK(answer_names("better than Gone Girl by far", "Gone Girl"));
    CHECK(answer_names("GONE GIRL", "Gone Girl"));
    CHECK(!answer_names("Gone Girls", "Gone Girl"));
    CHECK(!answer_names("x", "") && !answer_names("", "x"));
}

int main(void) {
    UNIT_BEGIN("answer");
    test_clean();
    test_json();
    test_quotes();
    test_numbers();
    test_names();
    return UNIT_END();
}
