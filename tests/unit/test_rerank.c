/* llm_rerank: every id once and in the right order, whatever a model says. No network: the answer of a
 * request is put into the session's cache beforehand. */
#include <stdlib.h>

#include "../../ext/llm/llm.h"
#include "unit.h"
#undef malloc
#undef realloc
#undef free

#define URL "http://127.0.0.1:9/v1/chat/completions"

static const char films[] =
    "[{\"id\":7,\"title\":\"Quiet Harbour\",\"overview\":\"A widow keeps a harbour "
    "cafe.\",\"score\":0.9},"
    "{\"id\":\"b\",\"title\":\"The Dark Bathhouse\",\"overview\":\"A girl works for "
    "spirits, in a dark bathhouse "
    "of 1941.\",\"score\":0.5,\"year\":2001,\"genres\":[\"Fantasy\",\"Animation\"]},"
    "{\"id\":3,\"title\":\"Robots\",\"score\":0.7}]";

static rerank_result run(llm_session *s, const char *query, const char *list,
                         const char *options, rec_err *err) {
    rerank_result r;
    *err = (rec_err){0};
    llm_rerank(s, query, query ? strlen(query) : 0, list, strlen(list), options, &r,
               err);
    return r;
}

static bool ids_are(const rerank_result *r, const char *want) {
    char got[400] = "";
    size_t at = 0;
    for (size_t i = 0; i < r->n && at < 380; i++)
        at += rec_format(got + at, sizeof got - at, "%s%s", i ? " " : "", r->row[i].id);
    if (strcmp(got, want) != 0) fprintf(stderr, "  ids %s, expected %s\n", got, want);
    return strcmp(got, want) == 0;
}

static void check_rows(const rerank_result *r) { /* what holds of every result */
    for (size_t i = 0; i < r->n; i++) {
        CHECK(r->row[i].rank == (int)i + 1 && r->row[i].why && *r->row[i].why);
        CHECK(r->row[i].grounded == (r->row[i].quote != NULL));
        CHECK(i == 0 || r->row[i].score <= r->row[i - 1].score);
        for (size_t k = 0; k < i; k++) CHECK(strcmp(r->row[i].id, r->row[k].id) != 0);
    }
}

static void test_builtin(void) {
    llm_session *s = llm_session_new();
    rec_err err;
    rerank_result r = run(s, NULL, films, NULL, &err);
    CHECK(ids_are(&r, "7 3 \"b\""));
    check_rows(&r);
    CHECK(strcmp(r.row[0].status, "builtin") == 0 && strstr(r.row[0].why, "taste"));
    rerank_result_clear(&r);
    r = run(s, "dark spirits", films, NULL, &err);
    CHECK(ids_are(&r, "\"b\" 7 3"));
    check_rows(&r);
    CHECK(strcmp(r.row[0].why, "Matches \"spirits\" and \"dark\" in overview") == 0);
    CHECK(strcmp(r.row[0].field, "overview") == 0 && r.row[0].grounded);
    CHECK(strcmp(r.row[0].quote,
                 "A girl works for spirits, in a dark bathhouse of 1941") == 0 ||
          strstr(films, r.row[0].quote));
    rerank_result_clear(&r);
    r = run(s, "harbours", films, "{\"diversify\":0}", &err);
    CHECK(ids_are(&r, "7 3 \"b\"") && strstr(r.row[0].why, "\"Harbour\" in title"));
    rerank_result_clear(&r);
    r = run(
        s, "nothing of this", films,
        "{\"history\":[{\"id\":1,\"title\":\"The Old Dark Bathhouse\",\"value\":5}]}",
        &err);
    CHECK(r.n == 3 &&
          strcmp(r.row[2].why, "Like The Old Dark Bathhouse, which you rated 5") == 0);
    CHECK(strcmp(r.row[2].field, "history") == 0);
    rerank_result_clear(&r);
    r = run(s, "x", "[]", NULL, &err);
    CHECK(r.n == 0 && !err.code);
    rerank_result_clear(&r);
    r = run(s, "", "[{\"id\":9223372036854775807},{\"id\":\"\"}]", NULL, &err);
    CHECK(ids_are(&r, "9223372036854775807 \"\"") && strstr(r.row[0].why, "retrieval"));
    rerank_result_clear(&r);
    llm_session_free(s);
}

static void test_diversity(void) {
    llm_session *s = llm_session_new();
    rec_err err;
    const char *list = "[{\"id\":1,\"title\":\"Space War "
                       "One\",\"score\":10},{\"id\":2,\"title\":\"Space War "
                       "Two\",\"score\":9.5},{\"id\":3,\"title\":\"Garden "
                       "Party\",\"score\":9},{\"id\":4,\"title\":\"x\","
                       "\"score\":0}]";
    rerank_result r = run(s, NULL, list, "{\"diversify\":0}", &err);
    CHECK(ids_are(&r, "1 2 3 4"));
    rerank_result_clear(&r);
    r = run(s, NULL, list, NULL, &err);
    CHECK(ids_are(&r, "1 3 2 4"));
    check_rows(&r);
    rerank_result_clear(&r);
    llm_session_free(s);
}

static void test_errors(void) {
    static const struct {
        const char *list, *options, *word;
    } bad[] = {{"{}", NULL, "an object, expected an array"},
               {"[1]", NULL, "candidate 1 is a number"},
               {"[{\"title\":\"x\"}]", NULL, "candidate 1 has no id"},
               {"[{\"id\":null}]", NULL, "null id"},
               {"[{\"id\":1},{\"id\":\"1\"},{\"id\":1}]", NULL, "id 1 occurs twice"},
               {"[{\"id\":1,\"score\":\"high\"}]", NULL, "a string as score"},
               {"[", NULL, "candidates: JSON"},
               {"[]", "[]", "options are an array"},
               {"[]", "{\"reed\":3}", "no option \"reed\""},
               {"[]", "{\"read\":0}", "from 1 to 200"},
               {"[]", "{\"diversify\":2}", "from 0 to 1"},
               {"[]", "{\"seed\":0.5}", "integer"},
               {"[]", "{\"history\":{}}", "history"},
               {"[]", "{\"history\":[{}]}", "history item 1"},
               {"[]", "{\"llm\":\"nobody\"}", "'nobody'"}};
    llm_session *s = llm_session_new();
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        rec_err err;
        rerank_result r = run(s, "q", bad[i].list, bad[i].options, &err);
        bool ok =
            r.n == 0 && !r.row && err.code == REC_RANGE && strstr(err.msg, bad[i].word);
        if (!ok) fprintf(stderr, "  %s: %s\n", bad[i].list, err.msg);
        CHECK(ok);
    }
    llm_session_free(s);
}

/* ---- with a model ---------------------------------------------------------------------------------- */

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

/* What the model is to answer to this call: put into the cache, under the very body that will be sent. */
static void answer_with(llm_session *s, const char *query, const char *list,
                        const char *options, const char *answer) {
    char *body = NULL;
    rec_err err = {0};
    CHECK(llm_rerank_request(s, query, strlen(query), list, strlen(list), options,
                             &body, &err) == REC_OK);
    bytes_writer w = {0};
    bytes_puts(&w, "openai " URL "\n");
    bytes_puts(&w, body ? body : "");
    llm_cache_put(s, &(llm_answer){.key = (const char *)w.data,
                                   .n_key = w.n,
                                   .text = answer,
                                   .failure = REC_OK});
    bytes_clear(&w);
    rec_free(body);
}

/* The handle that the request gives to the candidate with this title. */
static void handle_of(llm_session *s, const char *query, const char *list,
                      const char *title, char out[8]) {
    char *body = NULL;
    rec_err err = {0};
    llm_rerank_request(s, query, strlen(query), list, strlen(list), NULL, &body, &err);
    json *b = json_parse(body, strlen(body), &err);
    const char *user =
        json_text(json_get(json_next(json_first(json_get(b, "messages"))), "content"));
    json *u = json_parse(user, strlen(user), &err);
    out[0] = 0;
    for (json *c = json_first(json_get(u, "candidates")); c; c = json_next(c))
        if (strcmp(json_text(json_get(c, "title")), title) == 0)
            rec_format(out, 8, "%s", json_text(json_get(c, "handle")));
    CHECK(!strstr(body, "score\\\":0.9") && !strstr(body, "\\\"id\\\""));
    json_delete(b), json_delete(u);
    rec_free(body);
}

static void test_model(void) {
    llm_session *s = with_model();
    rec_err err;
    char harbour[8], bath[8], robots[8], answer[1000];
    handle_of(s, "q", films, "Quiet Harbour", harbour);
    handle_of(s, "q", films, "The Dark Bathhouse", bath);
    handle_of(s, "q", films, "Robots", robots);
    CHECK(harbour[0] && bath[0] && robots[0]);
    rec_format(
        answer, sizeof answer,
        "{\"%s\":{\"why\":\"She keeps a "
        "cafe\",\"field\":\"overview\",\"quote\":\"KEEPS a  harbour\",\"score\":10},"
        "\"%s\":{\"why\":\"Made in "
        "2007\",\"field\":\"title\",\"quote\":\"Robots\",\"score\":90},"
        "\"%s\":{\"why\":\"Set in 1941\",\"field\":\"overview\",\"quote\":\"of "
        "1941\",\"score\":50}}",
        harbour, robots, bath);
    answer_with(s, "q", films, NULL, answer);
    rerank_result r = run(s, "q", films, NULL, &err);
    CHECK(ids_are(&r, "3 \"b\" 7"));
    check_rows(&r);
    CHECK(r.n == 3 && strcmp(r.row[0].status, "llm") == 0);
    CHECK(r.n == 3 && !r.row[0].grounded); /* 2007 stands nowhere */
    CHECK(r.n == 3 && strcmp(r.row[1].why, "Set in 1941") == 0); /* 1941 does */
    CHECK(r.n == 3 &&
          strcmp(r.row[2].quote, "keeps a harbour") == 0); /* as the record has it */
    rerank_result_clear(&r);
    r = run(s, "q", films, "{\"llm\":\"builtin\"}", &err);
    CHECK(ids_are(&r, "7 3 \"b\"") && strcmp(r.row[0].status, "builtin") == 0);
    rerank_result_clear(&r);
    /* Naming another candidate, or a handle, is not shown. */
    rec_format(
        answer, sizeof answer,
        "{\"%s\":{\"why\":\"Better than Quiet "
        "Harbour\",\"field\":\"title\",\"quote\":\"Robots\",\"score\":9},"
        "\"%s\":{\"why\":\"Like %s\",\"field\":\"overview\",\"quote\":\"works for "
        "spirits\",\"score\":8},"
        "\"%s\":{\"why\":\"See "
        "https://x.example\",\"field\":\"title\",\"quote\":\"Quiet\",\"score\":7}}",
        robots, bath, robots, harbour);
    handle_of(s, "z", films, "Robots", robots);
    answer_with(s, "q", films, "{\"seed\":0}", answer);
    r = run(s, "q", films, "{\"seed\":0}", &err);
    for (size_t i = 0; i < r.n; i++) CHECK(!r.row[i].grounded);
    rerank_result_clear(&r);
    llm_session_free(s);
}

static void test_broken_answers(void) {
    static const char *const bad[] = {
        "", "no", "{}", "[]", "null", "{\"c99\":{}}", "{\"c01\"", "[1,2,3]", "\"c01\""};
    rec_err err;
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        llm_session *s = with_model();
        answer_with(s, "spirits", films, NULL, bad[i]);
        rerank_result r = run(s, "spirits", films, NULL, &err);
        CHECK(ids_are(&r, "7 \"b\" 3") && !err.code);
        CHECK(r.n == 3 && strcmp(r.row[0].status, "fallback") == 0);
        check_rows(&r);
        rerank_result_clear(&r);
        CHECK(llm_usage_count(s) == 1 &&
              strcmp(llm_usage_at(s, 0).status, "rejected") == 0);
        llm_session_free(s);
    }
    llm_session *s =
        with_model(); /* nobody listens on port 9: the fallback, and the same again from memory */
    for (int i = 0; i < 2; i++) {
        rerank_result r = run(s, "spirits", films, NULL, &err);
        CHECK(r.n == 3 && strcmp(r.row[0].status, "fallback") == 0);
        rerank_result_clear(&r);
    }
    CHECK(llm_usage_count(s) == 2 && llm_usage_at(s, 1).cache_hit);
    llm_session_free(s);
}

/* Ten thousand answers of noise, handles and scores: every id comes back exactly once. */
static void test_malformed(void) {
    static const char *const pieces[] = {
        "\"c01\"", "\"c02\"", "\"c03\"", "\"c04\"", "\"c05\"",   "\"c06\"", ":",
        ",",       "{",       "}",       "[",       "]",         "90",      "-5",
        "1e999",   "null",    "{}",      "\"why\"", "\"score\"", "\"x\""};
    char list[400];
    size_t at = rec_format(list, sizeof list, "[");
    for (int i = 1; i <= 6; i++)
        at += rec_format(list + at, sizeof list - at,
                         "%s{\"id\":%d,\"title\":\"Film number %d\"}", i > 1 ? "," : "",
                         i, i);
    rec_format(list + at, sizeof list - at, "]");
    llm_session *s = with_model();
    char *body = NULL;
    rec_err err = {0};
    CHECK(llm_rerank_request(s, "q", 1, list, strlen(list), NULL, &body, &err) ==
          REC_OK);
    bytes_writer key = {0};
    bytes_puts(&key, "openai " URL "\n"), bytes_puts(&key, body);
    rec_free(body);
    unsigned long long rnd = 11;
    int n_llm = 0, n_bad = 0;
    for (int round = 0; round < 10000; round++) {
        bytes_writer a = {0};
        bool well_formed = round % 2;
        if (well_formed) bytes_puts(&a, "{");
        for (unsigned k = 0; k < 1 + unit_rand(&rnd) % 12; k++) {
            if (!well_formed)
                bytes_puts(&a, pieces[unit_rand(&rnd) % 20]);
            else
                bytes_printf(&a, "%s\"c%s%d\":{\"score\":%d}", k ? "," : "",
                             unit_rand(&rnd) % 9 ? "0" : "", (int)(unit_rand(&rnd) % 9),
                             (int)(unit_rand(&rnd) % 300) - 100);
        }
        if (well_formed) bytes_puts(&a, "}");
        char *text = bytes_take_text(&a);
        llm_cache_put(s, &(llm_answer){.key = (const char *)key.data,
                                       .n_key = key.n,
                                       .text = text,
                                       .failure = REC_OK});
        rec_free(text);
        rerank_result r = run(s, "q", list, NULL, &err);
        bool seen[7] = {0};
        for (size_t i = 0; i < r.n; i++) {
            int id = r.row[i].id[0] - '0';
            if (id < 1 || id > 6 || seen[id])
                n_bad++;
            else
                seen[id] = true;
        }
        if (r.n != 6 || err.code)
            n_bad++;
        else
            n_llm += strcmp(r.row[0].status, "llm") == 0;
        rerank_result_clear(&r);
    }
    CHECK(n_bad == 0 && n_llm > 1000 && n_llm < 9999);
    bytes_clear(&key);
    llm_session_free(s);
}

/* Every allocation of a call fails in turn, with a model and without: a clean error, nothing left. */
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
    static const char liked[] = "{\"history\":[{\"id\":1,\"title\":\"Dark\"}]}";
    static const rec_allocator failing = {failing_alloc, failing_resize,
                                          failing_release};
    rec_set_allocator(&failing);
    for (int model = 0; model < 2; model++) {
        int n_failed = 0, n_wrong = 0;
        for (long nth = 0;; nth++) {
            long before = unit_live;
            llm_session *s = model ? with_model() : llm_session_new();
            if (model)
                answer_with(s, "spirits", films, liked,
                            "{\"c01\":{\"score\":5,\"why\":\"x\",\"field\":"
                            "\"title\",\"quote\":\"Robots\"},\"c02\":{},\"c03\":{}}");
            rec_err err;
            unit_countdown = nth;
            rerank_result r = run(s, "spirits", films, liked, &err);
            bool done = unit_countdown >= 0 && err.code == REC_OK && unit_countdown > 0;
            unit_countdown = -1;
            if (err.code) n_failed++;
            if (err.code && (err.code != REC_NOMEM || r.row)) n_wrong++;
            rerank_result_clear(&r);
            llm_session_free(s);
            if (unit_live != before) n_wrong++;
            if (done || nth > 5000) break;
        }
        CHECK(n_failed > 20 && n_wrong == 0);
    }
}

int main(void) {
    UNIT_BEGIN("rerank");
    test_builtin();
    test_diversity();
    test_errors();
    test_model();
    test_broken_answers();
    test_malformed();
    test_memory();
    return UNIT_END();
}
