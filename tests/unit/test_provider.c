/* The registry, URLs, request bodies, kept answers, keys. */
#include "../../ext/llm/llm.h"
#include "unit.h"

static llm_config row(const char *name, const char *url, const char *key_env,
                      const char *options) {
    return (llm_config){.name = (char *)name,
                        .protocol = (char *)"openai",
                        .base_url = (char *)url,
                        .model = (char *)"m",
                        .key_env = (char *)key_env,
                        .options = (char *)options};
}

static bool put_fails(llm_session *s, llm_config c, const char *word) {
    rec_err err = {0};
    rec_status st = llm_config_put(s, &c, &err);
    bool ok = st == REC_RANGE && strstr(err.msg, word);
    if (!ok) fprintf(stderr, "  %s: %s\n", word, st ? err.msg : "accepted");
    return ok;
}

static bool puts_ok(llm_session *s, llm_config c) {
    rec_err err = {0};
    rec_status st = llm_config_put(s, &c, &err);
    if (st) fprintf(stderr, "  %s\n", err.msg);
    return st == REC_OK;
}

static void test_rows(void) {
    llm_session *s = llm_session_new();
    rec_err err = {0};
    const llm_config *c;
    CHECK(llm_choose(s, NULL, &c, &err) == REC_OK && c == NULL);
    CHECK(llm_choose(s, "builtin", &c, &err) == REC_OK && c == NULL);
    CHECK(llm_choose(s, "x", &c, &err) == REC_RANGE && strstr(err.msg, "no rows"));
    CHECK(puts_ok(s, row("a", "https://api.example.com/v1/", "A_KEY", NULL)));
    CHECK(puts_ok(s, row("b", "http://localhost:8080", NULL, "{\"temperature\":0}")));
    CHECK(llm_config_count(s) == 2 && strcmp(llm_config_at(s, 1)->name, "b") == 0);
    CHECK(llm_choose(s, NULL, &c, &err) == REC_OK && strcmp(c->name, "a") == 0);
    CHECK(llm_choose(s, "b", &c, &err) == REC_OK && strcmp(c->name, "b") == 0);
    CHECK(llm_choose(s, "c", &c, &err) == REC_RANGE && strstr(err.msg, "a, b"));
    CHECK(put_fails(s, row("", "http://x", NULL, NULL), "name"));
    CHECK(put_fails(s, row("builtin", "http://x", NULL, NULL), "builtin"));
    CHECK(put_fails(s, row("x", NULL, NULL, NULL), "base_url"));
    CHECK(put_fails(s, row("x", "ftp://x", NULL, NULL), "http://"));
    CHECK(put_fails(s, row("x", "file:///etc/passwd", NULL, NULL), "http://"));
    CHECK(put_fails(s, row("x", "http://", NULL, NULL), "host"));
    CHECK(put_fails(s, row("x", "http:///v1", NULL, NULL), "host"));
    CHECK(put_fails(s, row("x", "http://me:pw@host/", NULL, NULL), "password"));
    CHECK(put_fails(s, row("x", "http://host/\r\nX: y", NULL, NULL), "control"));
    CHECK(put_fails(s, row("x", "http://host/?a=b", NULL, NULL), "query"));
    CHECK(put_fails(s, row("x", "http://x", "sk-abc123", NULL), "NAME"));
    CHECK(put_fails(s, row("x", "http://x", "hf_AbCd1234EfGh", NULL), "NAME"));
    CHECK(put_fails(s, row("x", "https://evil.example", "A_KEY", NULL), "bound"));
    CHECK(puts_ok(s, row("x", "https://API.example.com", "A_KEY", NULL)));
    llm_config other = row("y", "http://x", NULL, NULL);
    other.protocol = (char *)"grpc";
    CHECK(put_fails(s, other, "openai"));
    CHECK(llm_config_delete(s, "a") && !llm_config_delete(s, "a") &&
          llm_config_count(s) == 2);
    CHECK(put_fails(s, row("x", "https://evil.example", "A_KEY", NULL), "bound"));
    llm_session_free(s);
}

static void test_options(void) {
    static const struct {
        const char *options, *word;
    } bad[] = {{"[]", "object"},
               {"{", "JSON"},
               {"{\"temperatur\":1}", "no option"},
               {"{\"temperature\":3}", "0 to 2"},
               {"{\"max_tokens\":0}", "from 1"},
               {"{\"max_tokens\":1.5}", "integer"},
               {"{\"timeout_ms\":1}", "from 10"},
               {"{\"retries\":11}", "to 10"},
               {"{\"schema\":\"yes\"}", "json_object"},
               {"{\"extra\":1}", "object"},
               {"{\"in_transaction\":1}", "true or false"}};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        llm_settings o;
        rec_err err = {0};
        bool ok = llm_settings_parse(bad[i].options, &o, &err) == REC_RANGE &&
                  strstr(err.msg, bad[i].word);
        if (!ok) fprintf(stderr, "  %s: %s\n", bad[i].options, err.msg);
        CHECK(ok);
        llm_settings_clear(&o);
    }
}

static bool joins(const char *base, const char *want) {
    llm_config c = row("x", base, NULL, NULL);
    rec_err err = {0};
    char *url = protocol_url(&c, NULL, &err);
    bool ok = url && strcmp(url, want) == 0;
    if (!ok) fprintf(stderr, "  %s -> %s\n", base, url ? url : err.msg);
    rec_free(url);
    return ok;
}

static void test_urls(void) {
    CHECK(joins("http://h", "http://h/v1/chat/completions"));
    CHECK(joins("http://h:80/", "http://h:80/v1/chat/completions"));
    CHECK(joins("https://h/v1", "https://h/v1/chat/completions"));
    CHECK(joins("https://h/v1///", "https://h/v1/chat/completions"));
    CHECK(joins("https://h/api/v1", "https://h/api/v1/chat/completions"));
    CHECK(
        joins("https://h/v1beta/openai/", "https://h/v1beta/openai/chat/completions"));
    CHECK(joins("https://h/proxy", "https://h/proxy/v1/chat/completions"));
    CHECK(joins("https://h/x/chat/completions", "https://h/x/chat/completions"));
    CHECK(joins("http://[::1]:8080", "http://[::1]:8080/v1/chat/completions"));
    url_parts u;
    CHECK(url_check("http://[::1]:8080/a", &u, NULL) == REC_OK && u.n_host == 5 &&
          !u.is_https);
    CHECK(url_check("https://h.example:1/a/b", &u, NULL) == REC_OK && u.n_host == 9 &&
          u.n_path == 4);
}

static bool body_is(llm_session *s, const char *options, const char *want) {
    llm_config c = row("b", "http://h", NULL, options);
    rec_err err = {0};
    char *body = NULL;
    llm_prompt p = {.system = rec_strdup("S"),
                    .user = rec_strdup("U\"\n"),
                    .schema = json_parse("{\"type\":\"object\"}", 17, &err),
                    .schema_name = "n"};
    bool ok = llm_config_put(s, &c, &err) == REC_OK &&
              provider_body(s, llm_config_find(s, "b"), &p, &body, &err) == REC_OK &&
              strcmp(body, want) == 0;
    if (!ok) fprintf(stderr, "  %s\n", body ? body : err.msg);
    rec_free(body);
    llm_prompt_clear(&p);
    return ok;
}

#define SYSTEM                                                                         \
    "{\"role\":\"system\",\"content\":\"S\\nAnswer with one JSON object, and nothing " \
    "else, that follows this "                                                         \
    "JSON schema:\\n{\\\"type\\\":\\\"object\\\"}\"}"
#define START                                \
    "{\"model\":\"m\",\"messages\":[" SYSTEM \
    ",{\"role\":\"user\",\"content\":\"U\\\"\\n\"}]"
#define STRICT                                                                       \
    "\"response_format\":{\"type\":\"json_schema\",\"json_schema\":{\"name\":\"n\"," \
    "\"strict\":true,"                                                               \
    "\"schema\":{\"type\":\"object\"}}}"

static void test_bodies(void) {
    llm_session *s = llm_session_new();
    CHECK(body_is(s, NULL, START "," STRICT "}"));
    CHECK(body_is(s, "{\"schema\":\"json_object\"}",
                  START ",\"response_format\":{\"type\":\"json_object\"}}"));
    CHECK(body_is(s, "{\"schema\":\"none\"}", START "}"));
    CHECK(body_is(s, "{\"temperature\":0,\"max_tokens\":800}",
                  START ",\"temperature\":0,\"max_tokens\":800," STRICT "}"));
    CHECK(body_is(s,
                  "{\"max_tokens\":9,\"max_tokens_field\":\"max_completion_tokens\","
                  "\"schema\":\"none\"}",
                  START ",\"max_completion_tokens\":9}"));
    CHECK(body_is(s,
                  "{\"schema\":\"none\",\"extra\":{\"top_p\":1,\"a\":{\"b\":["
                  "12345678901234567]}}}",
                  START ",\"top_p\":1,\"a\":{\"b\":[12345678901234567]}}"));
    CHECK(body_is(s, "{\"extra\":{\"response_format\":{\"type\":\"text\"}}}",
                  START ",\"response_format\":{\"type\":\"text\"}}"));
    llm_session_free(s);
}

static void put(llm_session *s, const char *key, size_t nbyte, const char *text,
                rec_status failure) {
    llm_answer a = {.key = key, .n_key = nbyte, .text = text, .failure = failure};
    llm_cache_put(s, &a);
}

static void test_cache(void) {
    llm_session *s = llm_session_new();
    llm_cached hit;
    CHECK(!llm_cache_get(s, "k", 1, &hit));
    put(s, "k", 1, "answer", REC_OK);
    CHECK(llm_cache_get(s, "k", 1, &hit) && hit.is_fresh && !hit.failure &&
          strcmp(hit.text, "answer") == 0);
    put(s, "k", 1, "it broke", REC_NET);
    CHECK(llm_cache_get(s, "k", 1, &hit) && hit.failure == REC_NET &&
          strcmp(hit.text, "it broke") == 0);
    char key[16];
    for (int i = 0; i < 3 * LLM_CACHE_ROWS; i++) {
        size_t n = rec_format(key, sizeof key, "key %d", i);
        put(s, key, n, key, REC_OK);
        CHECK(llm_cache_get(s, key, n, &hit) && strcmp(hit.text, key) == 0);
    }
    CHECK(!llm_cache_get(s, "k", 1, &hit)); /* made room */
    size_t n_big = LLM_CACHE_BYTES / 5;
    char *big = rec_zeros(n_big + 1, 1);
    memset(big, 'x', n_big);
    for (int i = 0; i < 8; i++) {
        big[0] = (char)('a' + i);
        put(s, big, n_big, "t", REC_OK);
    }
    CHECK(llm_cache_get(s, big, n_big, &hit));
    big[0] = 'a';
    CHECK(!llm_cache_get(s, big, n_big, &hit));
    rec_free(big);
    llm_session_free(s);
}

static bool yes(void *ctx) {
    return *(bool *)ctx;
}

static void test_limits(void) {
    llm_session *s = llm_session_new();
    rec_err err = {0};
    bool writing = true;
    size_t n = 1;
    llm_session_set_in_write(s, yes, &writing);
    llm_settings o;
    CHECK(llm_settings_parse("{\"max_calls\":2,\"max_total_tokens\":50}", &o, &err) ==
          REC_OK);
    CHECK(llm_admit(s, &o, false, &n, &err) == REC_RANGE &&
          strstr(err.msg, "transaction"));
    CHECK(llm_admit(s, &o, true, &n, &err) == REC_OK);
    writing = false;
    CHECK(llm_admit(s, &o, false, &n, &err) == REC_OK);
    llm_usage_row u = {
        .function = "f", .model = "m", .status = "ok", .prompt_tokens = 40};
    llm_usage_add(s, &u);
    CHECK(llm_admit(s, &o, false, &n, &err) == REC_OK);
    u.cache_hit = 1;
    llm_usage_add(s, &u); /* costs nothing */
    CHECK(llm_admit(s, &o, false, &n, &err) == REC_OK);
    u.cache_hit = 0;
    llm_usage_add(s, &u);
    CHECK(llm_admit(s, &o, false, &n, &err) == REC_RANGE && strstr(err.msg, "2 calls"));
    o.max_calls = 10;
    CHECK(llm_admit(s, &o, false, &n, &err) == REC_RANGE &&
          strstr(err.msg, "80 tokens"));
    llm_usage_mark(s, 2, "repaired");
    CHECK(llm_usage_count(s) == 3 &&
          strcmp(llm_usage_at(s, 2).status, "repaired") == 0);
    for (int i = 0; i < 2 * LLM_USAGE_ROWS; i++) u.ms = i, llm_usage_add(s, &u);
    CHECK(llm_usage_count(s) == LLM_USAGE_ROWS &&
          llm_usage_at(s, 0).ms == LLM_USAGE_ROWS);
    CHECK(llm_usage_at(s, LLM_USAGE_ROWS - 1).ms == 2 * LLM_USAGE_ROWS - 1);
    llm_settings_clear(&o);
    llm_session_free(s);
}

static void test_secrets(void) {
    secret k;
    rec_err err = {0};
    CHECK(secret_read(NULL, &k, &err) == REC_OK && !k.text);
    CHECK(secret_read("REC_NO_SUCH_VARIABLE", &k, &err) == REC_RANGE &&
          strstr(err.msg, "not set"));
    setenv("REC_UNIT_KEY", "SECRET-CANARY-1", 1);
    CHECK(secret_read("REC_UNIT_KEY", &k, &err) == REC_OK && k.nbyte == 15);
    char text[] = "key SECRET-CANARY-1 and SECRET-CANARY-1!";
    secret_redact(&k, text, strlen(text));
    CHECK(strcmp(text, "key *************** and ***************!") == 0);
    secret_wipe(&k);
    CHECK(!k.text && k.nbyte == 0);
    setenv("REC_UNIT_KEY", "two\r\nlines", 1);
    CHECK(secret_read("REC_UNIT_KEY", &k, &err) == REC_RANGE &&
          !strstr(err.msg, "two"));
    CHECK(secret_is_name("OPENAI_API_KEY") && secret_is_name("my_key") &&
          secret_is_name("KEY2"));
    CHECK(!secret_is_name("") && !secret_is_name("2KEY") && !secret_is_name("sk-x") &&
          !secret_is_name("a b"));
}

int main(void) {
    UNIT_BEGIN("provider");
    test_rows();
    test_options();
    test_urls();
    test_bodies();
    test_cache();
    test_limits();
    test_secrets();
    return UNIT_END();
}
