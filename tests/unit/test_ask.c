/* Asking many at once, against a server inside this process: wall time and CPU of our own, single flight, refusals of
 * one or all, limits, an interrupt in the middle of a batch. The prompt's text tells the server what to do. */
#include <arpa/inet.h>
#include <netinet/in.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "../../ext/llm/llm.h"
#include "unit.h"
#undef malloc
#undef realloc
#undef free

#define MAX_MESSAGE 65536

static atomic_int n_requests, n_connections, n_at_once, most_at_once;

static void nap(int ms) {
    nanosleep(&(struct timespec){ms / 1000, ms % 1000 * 1000000L}, NULL);
}

/* One request from the connection, NUL-terminated; false at its end. */
static bool read_request(int fd, char *buf) {
    size_t n = 0, need = 0;
    for (;;) {
        ssize_t got = read(fd, buf + n, MAX_MESSAGE - 1 - n);
        if (got <= 0) return false;
        n += (size_t)got;
        buf[n] = 0;
        char *body = strstr(buf, "\r\n\r\n"), *length = strstr(buf, "Content-Length:");
        if (!body || !length) continue;
        need = (size_t)(body + 4 - buf) + strtoul(length + 15, NULL, 10);
        if (n >= need) return true;
    }
}

static void write_all(int fd, const char *s) {
    for (size_t n = strlen(s); n;) {
        ssize_t k = write(fd, s, n);
        if (k <= 0) return;
        s += k, n -= (size_t)k;
    }
}

static void respond(int fd, const char *status, const char *body) {
    char head[200];
    rec_format(head, sizeof head,
               "HTTP/1.1 %s\r\nContent-Type: application/json\r\nContent-Length: "
               "%zu\r\n\r\n",
               status, strlen(body));
    write_all(fd, head);
    write_all(fd, body);
}

#define GOOD(text)                                                               \
    "{\"choices\":[{\"finish_reason\":\"stop\",\"message\":{\"content\":\"" text \
    "\"}}],"                                                                     \
    "\"usage\":{\"prompt_tokens\":7,\"completion_tokens\":3}}"

static void *serve(void *arg) {
    int fd = (int)(intptr_t)arg;
    char *buf = (malloc)(MAX_MESSAGE);
    n_connections++;
    while (buf && read_request(fd, buf)) {
        int now = ++n_at_once, most = most_at_once;
        while (now > most && !atomic_compare_exchange_weak(&most_at_once, &most, now)) {
        }
        n_requests++;
        if (strstr(buf, "SLOW")) nap(200);
        if (strstr(buf, "HANG")) nap(3000);
        n_at_once--;
        if (strstr(buf, "REFUSE") ||
            (strstr(buf, "PICKY") && strstr(buf, "json_schema")))
            respond(fd, "400 Bad Request",
                    "{\"error\":{\"message\":\"response_format is not supported\"}}");
        else if (strstr(buf, "LOCKED"))
            respond(fd, "401 Unauthorized", "{\"error\":\"no\"}");
        else if (strstr(buf, "BROKEN"))
            respond(fd, "200 OK", "{\"choices\":[{\"finish_reason\":\"length\"");
        else
            respond(fd, "200 OK", GOOD("yes"));
    }
    (free)(buf);
    close(fd);
    return NULL;
}

static void *accept_all(void *arg) {
    for (;;) {
        int fd = accept((int)(intptr_t)arg, NULL, NULL);
        pthread_t t;
        if (fd < 0) return NULL;
        if (pthread_create(&t, NULL, serve, (void *)(intptr_t)fd) == 0)
            pthread_detach(t);
    }
}

static int start_server(void) {
    struct sockaddr_in a = {.sin_family = AF_INET,
                            .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t n = sizeof a;
    pthread_t t;
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    if (fd < 0 || bind(fd, (void *)&a, n) || listen(fd, 128) ||
        getsockname(fd, (void *)&a, &n))
        return -1;
    if (pthread_create(&t, NULL, accept_all, (void *)(intptr_t)fd)) return -1;
    pthread_detach(t);
    return ntohs(a.sin_port);
}

/* ---- batches ---------------------------------------------------------------------------- */

#define MOST 64
static int port;

typedef struct batch {
    llm_session *s;
    llm_prompt p[MOST];
    llm_reply out[MOST];
    rec_err errs[MOST], err;
    llm_batch b;
} batch;

static void begin(batch *t, const char *options) {
    char url[60];
    *t = (batch){.s = llm_session_new()};
    rec_format(url, sizeof url, "http://127.0.0.1:%d", port);
    llm_config c = {.name = (char *)"m", .base_url = url, .options = (char *)options};
    CHECK(llm_config_put(t->s, &c, &t->err) == REC_OK);
    t->b = (llm_batch){.c = llm_config_find(t->s, "m"), .p = t->p, .function = "test"};
    n_requests = n_connections = most_at_once = 0;
}

static void add(batch *t, const char *text, bool has_schema) {
    llm_prompt *p = &t->p[t->b.n++];
    p->user = rec_strdup(text);
    if (has_schema) {
        p->schema = json_new_object();
        p->schema_name = "x";
    }
}

static rec_status ask(batch *t) {
    for (size_t i = 0; i < t->b.n; i++) llm_reply_clear(&t->out[i]);
    t->err = (rec_err){0};
    return llm_ask_many(t->s, &t->b, t->out, t->errs, &t->err);
}

static void end(batch *t) {
    for (size_t i = 0; i < t->b.n; i++) {
        llm_reply_clear(&t->out[i]);
        llm_prompt_clear(&t->p[i]);
    }
    llm_session_free(t->s);
}

static size_t n_good(const batch *t) {
    size_t n = 0;
    for (size_t i = 0; i < t->b.n; i++)
        n += !t->errs[i].code && t->out[i].text && strcmp(t->out[i].text, "yes") == 0;
    return n;
}

static double cpu_seconds(void) {
    struct timespec t;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static void test_many(void) {
    batch t;
    char text[40];
    begin(&t, "{\"concurrency\":8}");
    for (int i = 0; i < 64; i++) {
        rec_format(text, sizeof text, "SLOW %d", i);
        add(&t, text, true);
    }
    double wall = rec_seconds(), cpu = cpu_seconds();
    CHECK(ask(&t) == REC_OK && n_good(&t) == 64);
    wall = rec_seconds() - wall, cpu = cpu_seconds() - cpu;
    printf("ask: 64 answers of 200 ms, 8 at a time: %.2f s, %.2f ms of CPU each\n",
           wall, cpu * 1000 / 64);
    CHECK(wall < 2.2 && wall > 1.5);
    CHECK(cpu < .064);
    CHECK(n_requests == 64 && most_at_once == 8 && n_connections <= 8);
    CHECK(ask(&t) == REC_OK && n_good(&t) == 64 && n_requests == 64); /* kept */
    end(&t);
}

static void test_single_flight(void) {
    batch t;
    begin(&t, NULL);
    for (int i = 0; i < 12; i++) add(&t, i % 3 ? "same" : "other", false);
    CHECK(ask(&t) == REC_OK && n_good(&t) == 12 && n_requests == 2);
    CHECK(llm_usage_count(t.s) == 12);
    end(&t);
    begin(&t, "{\"retries\":0}"); /* a failure is shared, too */
    for (int i = 0; i < 5; i++) add(&t, "BROKEN", false);
    CHECK(ask(&t) == REC_OK && n_good(&t) == 0 && n_requests == 1);
    for (int i = 0; i < 5; i++) CHECK(t.errs[i].code == REC_NET && !t.out[i].text);
    end(&t);
}

static void test_refusals(void) {
    batch t;
    char text[40];
    begin(&t, NULL); /* the schema is refused by all: one level lower, once */
    for (int i = 0; i < 6; i++) {
        rec_format(text, sizeof text, "PICKY %d", i);
        add(&t, text, true);
    }
    CHECK(ask(&t) == REC_OK && n_good(&t) == 6 && n_requests == 12);
    CHECK(*llm_config_level(t.s, t.b.c) == SCHEMA_OBJECT);
    end(&t);
    begin(&t, NULL); /* one that nothing helps fails alone */
    add(&t, "fine", true), add(&t, "REFUSE", true), add(&t, "good", true);
    CHECK(ask(&t) == REC_OK && n_good(&t) == 2 && t.errs[1].code == REC_NET);
    CHECK(n_requests == 5);
    end(&t);
    begin(&t,
          NULL); /* a wrong key stops everything, and the answers that came are kept */
    add(&t, "fine", false), add(&t, "LOCKED", false), add(&t, "good", false);
    CHECK(ask(&t) == REC_RANGE && strstr(t.err.msg, "401") && !t.out[0].text);
    t.b.n = 1;
    CHECK(ask(&t) == REC_OK && n_good(&t) == 1 && n_requests == 3);
    t.b.n = 3;
    end(&t);
}

static void test_limits(void) {
    batch t;
    char text[40];
    begin(&t, "{\"max_calls\":5}");
    for (int i = 0; i < 8; i++) {
        rec_format(text, sizeof text, "limit %d", i);
        add(&t, text, false);
    }
    CHECK(ask(&t) == REC_RANGE && strstr(t.err.msg, "max_calls is 5") &&
          n_requests == 5);
    end(&t);
    begin(&t, "{\"call_max_calls\":3}"); /* of one call: the next has its own */
    for (int i = 0; i < 8; i++) {
        rec_format(text, sizeof text, "limit %d", i);
        add(&t, text, false);
    }
    llm_session_begin(t.s);
    CHECK(ask(&t) == REC_RANGE && strstr(t.err.msg, "this call") && n_requests == 3);
    llm_session_begin(t.s);
    CHECK(ask(&t) == REC_RANGE && n_requests == 6); /* goes on where it stopped */
    llm_session_begin(t.s);
    CHECK(ask(&t) == REC_OK && n_requests == 8 && n_good(&t) == 8);
    end(&t);
    begin(&t, "{\"call_max_tokens\":25,\"concurrency\":2}"); /* ten an answer */
    for (int i = 0; i < 8; i++) {
        rec_format(text, sizeof text, "tokens %d", i);
        add(&t, text, false);
    }
    llm_session_begin(t.s);
    CHECK(ask(&t) == REC_RANGE && strstr(t.err.msg, "tokens") && n_requests == 4);
    end(&t);
}

static bool soon(void *ctx) {
    return rec_seconds() > *(double *)ctx;
}

static void test_interrupt(void) {
    batch t;
    double at = rec_seconds() + .3;
    begin(&t, "{\"concurrency\":2}");
    add(&t, "quick", false), add(&t, "HANG", false), add(&t, "fast", false);
    llm_session_set_interrupt(t.s, soon, &at);
    CHECK(ask(&t) == REC_INTR && !t.out[0].text);
    CHECK(rec_seconds() - at < .1);
    llm_session_set_interrupt(t.s, NULL, NULL);
    t.p[1].user[0] = 'B'; /* what had come is there: one new request */
    CHECK(ask(&t) == REC_OK && n_good(&t) == 3 && n_requests == 4);
    end(&t);
}

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

/* Every allocation of a batch fails in turn. */
static void test_memory(void) {
    static const rec_allocator failing = {failing_alloc, failing_resize,
                                          failing_release};
    rec_set_allocator(&failing);
    int n_failed = 0, n_wrong = 0;
    for (long nth = 0; nth < 3000; nth++) {
        batch t;
        long before = unit_live;
        begin(&t, NULL);
        add(&t, "PICKY", true), add(&t, "fine", false), add(&t, "fine", false);
        unit_countdown = nth;
        rec_status st = ask(&t);
        bool done = unit_countdown > 0;
        unit_countdown = -1;
        if (st) n_failed++;
        if (st && (st != REC_NOMEM || t.out[0].text || t.out[1].text)) n_wrong++;
        end(&t);
        if (unit_live != before) n_wrong++;
        if (done) break;
    }
    CHECK(n_failed > 20 && n_wrong == 0);
}

int main(void) {
    UNIT_BEGIN("ask");
    signal(SIGPIPE, SIG_IGN);
    port = start_server();
    CHECK(port > 0);
    test_many();
    test_single_flight();
    test_refusals();
    test_limits();
    test_interrupt();
    test_memory();
    return UNIT_END();
}
