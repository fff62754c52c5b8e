/* llm_rewrite: the object, the rules, and a model's answer through the catalogue. No network: answers are
 * put into the session's cache beforehand. */
#include <stdlib.h>

#include "../../ext/llm/llm.h"
#include "unit.h"
#undef malloc
#undef realloc
#undef free

#define URL "http://127.0.0.1:9/v1/chat/completions"

static catalog *films(void) {
    static const struct {
        int key;
        const char *title, *genres;
        int year;
    } row[] = {{5618, "Spirited Away (Sen to Chihiro no kamikakushi) (2001)",
                "Adventure|Animation|Fantasy", 2001},
               {318, "Shawshank Redemption, The (1994)", "Crime|Drama", 1994},
               {260, "Star Wars: Episode IV - A New Hope (1977)",
                "Action|Adventure|Sci-Fi", 1977},
               {588, "Aladdin (1992)", "Animation|Children|Comedy|Musical", 1992},
               {7361, "Eternal Sunshine of the Spotless Mind (2004)",
                "Drama|Romance|Sci-Fi", 2004}};
    facet_spec spec[CATALOG_MAX_FACETS];
    size_t n_spec = 0;
    rec_err err = {0};
    if (facet_parse("genres[|], year", spec, &n_spec, &err)) return NULL;
    catalog *c = catalog_new(spec, n_spec);
    for (size_t i = 0; i < sizeof row / sizeof row[0]; i++) {
        rec_key k = {.i = row[i].key};
        cell facets[2] = {
            {.type = CELL_TEXT, .p = row[i].genres, .nbyte = strlen(row[i].genres)},
            {.type = CELL_INT, .i = row[i].year}};
        uint32_t pos;
        if (catalog_add(c, &k, row[i].title, strlen(row[i].title), facets, &pos, &err))
            return NULL;
    }
    return catalog_finish(c, &err) ? NULL : c;
}

static json *rewrite(llm_session *s, const catalog *c, const char *text,
                     const char *options) {
    llm_context ctx = {.items = c};
    char *out = NULL;
    rec_err err = {0};
    rec_status st = llm_rewrite(s, text, strlen(text), &ctx, options, &out, &err);
    if (st) fprintf(stderr, "  %s: %s\n", text, err.msg);
    json *j = out ? json_parse(out, strlen(out), &err) : NULL;
    rec_free(out);
    return j;
}

/* Compact text of one member, for comparisons. */
static bool member_is(const json *j, const char *key, const char *want) {
    char *got = json_print(json_get(j, key));
    bool ok = got && strcmp(got, want) == 0;
    if (!ok)
        fprintf(stderr, "  %s is %s, expected %s\n", key, got ? got : "(none)", want);
    rec_free(got);
    return ok;
}

static void test_shape(const catalog *c) {
    static const char *const keys[] = {
        "query",    "expansions", "intent",     "filters",
        "exclude",  "like_items", "confidence", "needs_clarification",
        "question", "status",     "error"};
    llm_session *s = llm_session_new();
    static const char *const texts[] = {
        "", "   ", "hello", "\xff\xfe", "a dark film after 2005", "?!", "0"};
    for (size_t t = 0; t < sizeof texts / sizeof texts[0]; t++)
        for (int with = 0; with < 2; with++) {
            json *j = rewrite(s, with ? c : NULL, texts[t], NULL);
            const json *m = json_first(j);
            for (int k = 0; k < 11; k++, m = json_next(m))
                CHECK(m && strcmp(json_key(m), keys[k]) == 0);
            CHECK(m == NULL && member_is(j, "status", "\"builtin\"") &&
                  member_is(j, "error", "null"));
            json_delete(j);
        }
    llm_session_free(s);
}

static void test_builtin(const catalog *c) {
    llm_session *s = llm_session_new();
    json *j = rewrite(
        s, c, "animated films after 1995 like Spirited Away, but no musicals", NULL);
    CHECK(member_is(json_get(j, "filters"), "year", "{\"min\":1996}"));
    CHECK(member_is(json_get(j, "filters"), "genres",
                    "{\"any\":[\"Animation\"],\"none\":[\"Musical\"]}"));
    CHECK(member_is(j, "like_items", "[5618]"));
    json_delete(j);
    j = rewrite(s, c, "and not animated", "{\"context\":[\"dramas from the 90s\"]}");
    CHECK(member_is(json_get(j, "filters"), "year", "{\"min\":1990,\"max\":1999}"));
    CHECK(member_is(json_get(j, "filters"), "genres",
                    "{\"any\":[\"Drama\"],\"none\":[\"Animation\"]}"));
    json_delete(j);
    j = rewrite(s, c, "before 1980",
                "{\"context\":[{\"role\":\"user\",\"content\":\"dramas from the 90s\"},"
                "{\"role\":\"assistant\",\"content\":\"comedies after 2001\"}]}");
    CHECK(member_is(json_get(j, "filters"), "year", "{\"max\":1979}"));
    CHECK(member_is(json_get(j, "filters"), "genres", "{\"any\":[\"Drama\"]}"));
    json_delete(j);
    llm_session_free(s);
}

static void test_errors(void) {
    static const struct {
        const char *options, *word;
    } bad[] = {{"[]", "object"},
               {"{", "options: JSON"},
               {"{\"contex\":1}", "no option \"contex\""},
               {"{\"context\":1}", "context"},
               {"{\"context\":[{}]}", "context"},
               {"{\"llm\":3}", "llm"},
               {"{\"llm\":\"nobody\"}", "'nobody'"},
               {"{\"in_transaction\":0}", "true or false"}};
    llm_session *s = llm_session_new();
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        char *out = NULL;
        rec_err err = {0};
        rec_status st = llm_rewrite(s, "x", 1, NULL, bad[i].options, &out, &err);
        bool ok = st == REC_RANGE && !out && strstr(err.msg, bad[i].word);
        if (!ok) fprintf(stderr, "  %s: %s\n", bad[i].options, err.msg);
        CHECK(ok);
    }
    char *out = NULL;
    rec_err err = {0};
    char *big = rec_zeros(70000, 1);
    memset(big, 'a', 69999);
    CHECK(llm_rewrite(s, big, 69999, NULL, NULL, &out, &err) == REC_RANGE &&
          strstr(err.msg, "69999"));
    rec_free(big);
    llm_session_free(s);
}

/* ---- with a model ------------------------------------------------------------------------------------ */

static llm_session *with_model(void) {
    llm_session *s = llm_session_new();
    rec_err err = {0};
    llm_config c = {.name = (char *)"m",
                    .base_url = (char *)"http://127.0.0.1:9",
                    .model = (char *)"m",
                    .options = (char *)"{\"retries\":0,\"timeout_ms\":200}"};
    CHECK(llm_config_put(s, &c, &err) == REC_OK);
    return s;
}

static json *answered(const catalog *c, const char *text, const char *answer) {
    llm_session *s = with_model();
    llm_context ctx = {.items = c};
    char *body = NULL;
    rec_err err = {0};
    CHECK(llm_rewrite_request(s, text, strlen(text), &ctx, NULL, &body, &err) ==
          REC_OK);
    CHECK(body && json_count(NULL) == 0 && strstr(body, "json_schema"));
    bytes_writer key = {0};
    bytes_puts(&key, "openai " URL "\n"), bytes_puts(&key, body ? body : "");
    llm_cache_put(s, &(llm_answer){.key = (const char *)key.data,
                                   .n_key = key.n,
                                   .text = answer,
                                   .failure = REC_OK});
    bytes_clear(&key);
    rec_free(body);
    json *j = rewrite(s, c, text, NULL);
    llm_session_free(s);
    return j;
}

static void test_model(const catalog *c) {
    json *j = answered(c, "something dark, after 2000, no songs please",
                       "{\"query\":\" dark\\u202e  tale "
                       "\",\"expansions\":[\"night\",3,\"night\",\"\"],\"intent\":"
                       "\"informational\",\"filters\":[{\"facet\":\"genres\",\"op\":"
                       "\"any\",\"value\":\"ANIMATION\"},"
                       "{\"facet\":\"genres\",\"op\":\"any\",\"value\":\"Steampunk\"},{"
                       "\"facet\":\"genres\",\"op\":\"none\","
                       "\"value\":\"musicals\"},{\"facet\":\"genres\",\"op\":\"drop\","
                       "\"value\":\"Drama\"},{\"facet\":"
                       "\"year\",\"op\":\"max\",\"value\":\"1850\"},{\"facet\":"
                       "\"year\",\"op\":\"min\",\"value\":\"1999\"},"
                       "{\"facet\":\"price\",\"op\":\"max\",\"value\":\"5\"}],"
                       "\"exclude\":[\"songs\",\"clowns\"],\"like\":"
                       "[\"Spirited Away\",\"No Such "
                       "Film\"],\"confidence\":7,\"needs_clarification\":true,"
                       "\"question\":null}");
    CHECK(member_is(j, "status", "\"llm\"") && member_is(j, "query", "\"dark tale\""));
    CHECK(member_is(j, "expansions", "[\"night\"]") &&
          member_is(j, "intent", "\"informational\""));
    CHECK(member_is(json_get(j, "filters"), "year",
                    "{\"min\":2001}")); /* the rules win on numbers */
    CHECK(member_is(json_get(j, "filters"), "genres",
                    "{\"any\":[\"Animation\"],\"none\":[\"Musical\"]}"));
    CHECK(json_count(json_get(j, "filters")) == 2);
    CHECK(member_is(j, "like_items", "[5618]") && member_is(j, "confidence", "1"));
    CHECK(member_is(j, "needs_clarification", "false") &&
          member_is(j, "question", "null"));
    char *exclude = json_print(json_get(j, "exclude"));
    CHECK(exclude && !strstr(exclude, "clowns"));
    rec_free(exclude);
    json_delete(j);
    /* The object form of filters, and a number that is in the words. */
    j = answered(c, "a drama of 2004 or so",
                 "{\"filters\":{\"genres\":{\"any\":[\"drama\"],\"all\":\"sci-fi\"},"
                 "\"nonsense\":{\"min\":2004}}}");
    CHECK(member_is(j, "status", "\"llm\""));
    CHECK(member_is(json_get(j, "filters"), "genres",
                    "{\"any\":[\"Drama\"],\"all\":[\"Sci-Fi\"]}"));
    json_delete(j);
}

static void test_fallback(const catalog *c) {
    static const char *const bad[] = {"", "sorry", "[]", "null", "{\"query\":", "12"};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        json *j = answered(c, "dramas after 2001", bad[i]);
        CHECK(member_is(j, "status", "\"fallback\"") &&
              json_text(json_get(j, "error")));
        CHECK(member_is(json_get(j, "filters"), "year", "{\"min\":2002}"));
        json_delete(j);
    }
    llm_session *s = with_model(); /* nobody listens */
    json *j = rewrite(s, c, "dramas", NULL);
    CHECK(member_is(j, "status", "\"fallback\"") &&
          strstr(json_text(json_get(j, "error")), "127.0.0.1"));
    json_delete(j);
    llm_session_free(s);
}

/* ---- reading the object -------------------------------------------------------------------------------- */

static bool reads(const catalog *c, const char *text, const char *want) {
    rec_err err = {0};
    query_request q;
    json *in = json_parse(text, strlen(text), &err);
    rec_status st = request_from_json(in, c, &q, &err);
    json *o = st ? NULL : request_to_json(&q, c, "builtin", NULL);
    char *got = json_print(o);
    bool ok =
        got ? strstr(got, want) != NULL : st == REC_RANGE && strstr(err.msg, want);
    if (!ok) fprintf(stderr, "  %s -> %s\n", text, got ? got : err.msg);
    rec_free(got);
    if (!st) query_request_clear(&q);
    json_delete(in), json_delete(o);
    return ok;
}

static void test_reading(const catalog *c) {
    CHECK(reads(c, "{}",
                "{\"query\":\"\",\"expansions\":[],\"intent\":\"transactional\","
                "\"filters\":{}"));
    CHECK(reads(c,
                "{\"filters\":{\"year\":{\"min\":1990,\"any\":[1994,\"1995\"]},"
                "\"genres\":{\"any\":\"Drama\"}}}",
                "\"filters\":{\"year\":{\"any\":[1994,1995],\"min\":1990},\"genres\":{"
                "\"any\":[\"Drama\"]}}"));
    CHECK(reads(c, "{\"like_items\":[318,\"588\",99999]}", "\"like_items\":[318,588]"));
    CHECK(reads(c,
                "{\"question\":null,\"exclude\":null,\"filters\":null,\"unknown\":1}",
                "\"exclude\":[]"));
    CHECK(reads(c, "[]", "object"));
    CHECK(reads(c, "{\"query\":5}", "\"query\""));
    CHECK(reads(c, "{\"filters\":[]}", "filters"));
    CHECK(reads(c, "{\"filters\":{\"year\":1990}}", "\"year\""));
    CHECK(reads(c, "{\"filters\":{\"year\":{\"least\":1990}}}", "\"least\""));
    CHECK(reads(c, "{\"filters\":{\"year\":{\"min\":\"old\"}}}", "\"min\" of year"));
    CHECK(reads(c, "{\"filters\":{\"year\":{\"any\":[null]}}}", "\"any\" of year"));
    CHECK(reads(c, "{\"exclude\":\"gore\"}", "\"exclude\""));
    CHECK(reads(c, "{\"like_items\":[[]]}", "\"like_items\""));
    CHECK(reads(c, "{\"intent\":\"buy\"}", "\"intent\""));
    CHECK(reads(c, "{\"confidence\":\"high\"}", "\"confidence\""));
}

/* Every allocation of a call fails in turn: a clean error, nothing left. */
static void *failing_alloc(size_t n) {
    if (unit_fail_now()) return NULL;
    void *p = (malloc)(n);
    unit_live += p != NULL;
    return p;
}
static void *failing_resize(void *p, size_t n) {
    if (unit_fail_now()) return NULL;
    void *q = (realloc)(p, n);
    unit_live += !p && q;
    return q;
}
static void failing_release(void *p) {
    unit_live -= p != NULL;
    (free)(p);
}

static void test_memory(void) {
    static const char before_it[] = "{\"context\":[\"films of the 90s\"]}";
    static const rec_allocator failing = {failing_alloc, failing_resize,
                                          failing_release};
    static const char text[] = "dramas after 2001 like Spirited Away, no musicals";
    rec_set_allocator(&failing);
    catalog *c = films();
    llm_context ctx = {.items = c};
    for (int model = 0; model < 2; model++) {
        int n_failed = 0, n_wrong = 0;
        for (long nth = 0;; nth++) {
            long before = unit_live;
            llm_session *s = model ? with_model() : llm_session_new();
            char *body = NULL, *out = NULL;
            rec_err err = {0};
            if (model && !llm_rewrite_request(s, text, strlen(text), &ctx, before_it,
                                              &body, &err)) {
                bytes_writer key = {0};
                bytes_puts(&key, "openai " URL "\n"), bytes_puts(&key, body);
                llm_answer kept = {
                    .key = (const char *)key.data,
                    .n_key = key.n,
                    .text =
                        "{\"query\":\"x\",\"filters\":[{\"facet\":\"genres\",\"op\":"
                        "\"any\",\"value\":\"drama\"}],\"like\":[\"Aladdin\"],"
                        "\"exclude\":[\"musicals\"]}"};
                llm_cache_put(s, &kept);
                bytes_clear(&key);
            }
            rec_free(body);
            unit_countdown = nth;
            rec_status st =
                llm_rewrite(s, text, strlen(text), &ctx, before_it, &out, &err);
            bool done = st == REC_OK && unit_countdown > 0;
            unit_countdown = -1;
            if (st) n_failed++;
            if (st && (st != REC_NOMEM || out)) {
                n_wrong++;
                fprintf(stderr, "  allocation %ld: %d %s\n", nth, (int)st, err.msg);
            }
            rec_free(out);
            llm_session_free(s);
            if (unit_live != before) n_wrong++;
            if (done || nth > 20000) break;
        }
        CHECK(n_failed > 20 && n_wrong == 0);
    }
    catalog_free(c);
}

int main(void) {
    UNIT_BEGIN("rewrite");
    catalog *c = films();
    CHECK(c != NULL);
    test_shape(c);
    test_builtin(c);
    test_errors();
    test_model(c);
    test_fallback(c);
    test_reading(c);
    catalog_free(c);
    test_memory();
    return UNIT_END();
}
