/* http.c - one POST with every bound; the only file that includes libcurl.
 *
 *        +----------------- a job ------------------------------------------+
 *   -->  | ready? -> attempt: easy handle on the multi handle -> status, body | --> or why not
 *        |   ^                                              |                |
 *        |   +-- wait (Retry-After, or doubling with jitter) <-- worth another attempt?
 *        +-------------------------------------------------------------------+
 *
 * All jobs of a call run on the multi handle that the session keeps, at most `concurrency` at a time, in
 * the caller's thread: connections are used again, and one loop that wakes every HTTP_POLL_MS, or when
 * something happens, asks whether somebody has interrupted. http_post is the case of one job.
 *
 * H1. One deadline covers all attempts and all waits of a job: from its begin it never takes longer than
 *     timeout_ms (a name lookup that hangs is waited for by libcurl itself).
 * H2. No redirect is followed, no proxy is asked for a private host, TLS is verified, nothing but http
 *     and https is spoken, no cookie, no netrc, no signal, no compressed answers (a bomb of zeros
 *     would pass the cap).
 * H3. A host that was not registered as private is not reached at a private, loopback or link-local
 *     address, whatever its name resolves to (unless a proxy of the environment does the resolving).
 * H4. More than HTTP_MAX_BODY bytes of answer end the transfer.
 * H5. The key is in the header list of one attempt, which is overwritten afterwards.
 * H6. Retries: connection failures, 408, 429, 502, 503, 504, 529; a 500 once, and only if its text is not
 *     that of a permanent error (servers answer 500 to a request that is too long, for one).
 *
 * libcurl is initialised once in the process, which is thread-safe under the once flag, and never
 * cleaned up: the host may use it too.
 */
#include "llm.h"

#define HTTP_POLL_MS        40
#define HTTP_BACKOFF_MS     400
#define HTTP_MAX_BACKOFF_MS 10000
#define HTTP_MAX_URL        2048

static void fail_no_url(rec_err *err, const char *why) {
    rec_fail(err, REC_RANGE,
             "base_url: %s (expected http://host[:port][/path] or https://...)", why);
}

rec_status url_check(const char *url, url_parts *out, rec_err *err) {
    *out = (url_parts){0};
    const char *why = NULL, *s = url;
    size_t n = strlen(url);
    out->is_https = n > 8 && memcmp(url, "https://", 8) == 0;
    if (n > HTTP_MAX_URL)
        why = "it is too long";
    else if (!out->is_https && !(n > 7 && memcmp(url, "http://", 7) == 0))
        why = "it does not start with http:// or https:// and a host";
    for (size_t i = 0; i < n && !why; i++) {
        if ((unsigned char)url[i] <= ' ' || (unsigned char)url[i] >= 0x7F)
            why = "it holds a space, a control character or a letter outside ASCII";
        else if (url[i] == '@')
            why = "it holds a user or a password";
        else if (url[i] == '?' || url[i] == '#')
            why = "it holds a query or a fragment";
        else if (url[i] == '\\')
            why = "it holds a backslash";
    }
    if (!why) {
        s += out->is_https ? 8 : 7;
        size_t n_authority = strcspn(s, "/");
        const char *end = s + n_authority, *colon = s;
        if (*s == '[') colon = memchr(s, ']', n_authority); /* IPv6 */
        colon = colon ? memchr(colon, ':', (size_t)(end - colon)) : NULL;
        out->host = s, out->n_host = (size_t)((colon ? colon : end) - s);
        out->path = end, out->n_path = strlen(end);
        if (out->n_host == 0) why = "it has no host";
    }
    if (!why) return REC_OK;
    fail_no_url(err, why);
    return REC_RANGE;
}

void http_response_clear(http_response *r) {
    rec_free(r->body);
    *r = (http_response){0};
}

#ifdef REC_OMIT_NETWORK

http *http_new(void) {
    return NULL;
}
void http_free(http *h) {
    (void)h;
}
rec_status http_post_many(http *h, http_job *job, size_t n, size_t concurrency,
                          rec_err *err) {
    (void)h, (void)job, (void)n, (void)concurrency;
    return rec_fail(
        err, REC_RANGE,
        "this build has no network (REC_OMIT_NETWORK); only the builtin answers");
}

#else

#include <arpa/inet.h>
#include <curl/curl.h>
#include <netinet/in.h>
#include <pthread.h>
#include <stdlib.h>
#include <strings.h>
#include <sys/socket.h>

struct http {
    CURLM *multi;
    uint64_t jitter;
};

static pthread_once_t curl_once = PTHREAD_ONCE_INIT;
static void curl_start(void) {
    curl_global_init(CURL_GLOBAL_DEFAULT);
}

http *http_new(void) {
    pthread_once(&curl_once, curl_start);
    http *h = rec_zeros(1, sizeof *h);
    if (!h) return NULL;
    h->multi = curl_multi_init();
    h->jitter = 1;
    if (h->multi) return h;
    rec_free(h);
    return NULL;
}

void http_free(http *h) {
    if (!h) return;
    curl_multi_cleanup(h->multi);
    rec_free(h);
}

/* ---- addresses -------------------------------------------------------------------------------- */

static bool private_v4(const uint8_t a[4]) {
    return a[0] == 0 || a[0] == 10 || a[0] == 127 || a[0] >= 224 ||
           (a[0] == 169 && a[1] == 254) || (a[0] == 172 && (a[1] & 0xF0) == 16) ||
           (a[0] == 192 && a[1] == 168) || (a[0] == 100 && (a[1] & 0xC0) == 64);
}

static bool private_v6(const uint8_t a[16]) {
    static const uint8_t mapped[12] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xFF, 0xFF};
    static const uint8_t nat64[12] = {0, 0x64, 0xFF, 0x9B};
    static const uint8_t zero[15] = {0};
    if (memcmp(a, mapped, 12) == 0 || memcmp(a, nat64, 12) == 0)
        return private_v4(a + 12);
    if (memcmp(a, zero, 15) == 0) return true; /* :: and ::1 */
    return (a[0] & 0xFE) == 0xFC || (a[0] == 0xFE && (a[1] & 0xC0) == 0x80) ||
           a[0] == 0xFF;
}

static bool ends_with(const char *s, size_t n, const char *tail) {
    size_t k = strlen(tail);
    return n >= k && strncasecmp(s + n - k, tail, k) == 0;
}

/* Was this host registered as one of the user's own: a private address, localhost, a name without a dot
 * or under a suffix that the public name service does not have? */
static bool private_host(const char *host, size_t n) {
    char buf[256];
    uint8_t a[16];
    if (n >= sizeof buf) return false;
    bool v6 = n > 2 && host[0] == '[' && host[n - 1] == ']';
    memcpy(buf, host + v6, n - 2 * v6);
    buf[n - 2 * v6] = 0;
    if (v6) return inet_pton(AF_INET6, buf, a) == 1 && private_v6(a);
    if (inet_pton(AF_INET, buf, a) == 1) return private_v4(a);
    return !memchr(host, '.', n) || ends_with(host, n, ".localhost") ||
           ends_with(host, n, ".local") || ends_with(host, n, ".internal") ||
           ends_with(host, n, ".lan") || ends_with(host, n, ".home.arpa");
}

/* A proxy resolves names itself and usually lives at a private address. */
static bool has_proxy(bool is_https) {
    static const char *const plain[] = {"http_proxy", "all_proxy", "ALL_PROXY"};
    static const char *const tls[] = {"https_proxy", "HTTPS_PROXY", "all_proxy",
                                      "ALL_PROXY"};
    const char *const *names = is_https ? tls : plain;
    for (size_t i = 0; i < (is_https ? 4u : 3u); i++) {
        const char *v = getenv(names[i]);
        if (v && *v) return true;
    }
    return false;
}

/* ---- one attempt ------------------------------------------------------------------------------- */

typedef struct attempt {
    const http_request *q;
    url_parts url;
    bool is_private;  /* registered as one of the user's own */
    bool any_address; /* H3 */
    bool refused_address, too_long, no_memory;
    bytes_writer body;
    double retry_after_s; /* from the server's header, -1 = none */
    char why[CURL_ERROR_SIZE];
    CURLcode code;
    int status;
} attempt;

static size_t on_body(char *p, size_t size, size_t n, void *ctx) {
    attempt *a = ctx;
    size_t nbyte = size * n; /* size is 1 */
    if (a->body.n + nbyte > HTTP_MAX_BODY) {
        a->too_long = true;
        return 0;
    }
    bytes_put(&a->body, p, nbyte);
    if (a->body.status) a->no_memory = true;
    return a->no_memory ? 0 : nbyte;
}

/* Retry-After in seconds; the form with a date is left to the doubling wait. */
static size_t on_header(char *p, size_t size, size_t n, void *ctx) {
    attempt *a = ctx;
    static const char name[] = "retry-after:";
    size_t nbyte = size * n, at = sizeof name - 1;
    if (nbyte > at && strncasecmp(p, name, at) == 0) {
        double x;
        while (at < nbyte && (p[at] == ' ' || p[at] == '\t')) at++;
        if (rec_parse_number(p + at, nbyte - at, &x) && x >= 0) a->retry_after_s = x;
    }
    return nbyte;
}

static curl_socket_t on_socket(void *ctx, curlsocktype purpose,
                               struct curl_sockaddr *s) {
    attempt *a = ctx;
    (void)purpose;
    uint8_t v6[16], v4[4];
    bool is_private = false;
    if (s->family == AF_INET) {
        const struct sockaddr_in *in = (const void *)&s->addr;
        memcpy(v4, &in->sin_addr, sizeof v4);
        is_private = private_v4(v4);
    } else if (s->family == AF_INET6) {
        const struct sockaddr_in6 *in = (const void *)&s->addr;
        memcpy(v6, &in->sin6_addr, sizeof v6);
        is_private = private_v6(v6);
    }
    if (is_private && !a->any_address) {
        a->refused_address = true;
        return CURL_SOCKET_BAD;
    }
    return socket(s->family, s->socktype, s->protocol);
}

static void set_limits(CURL *e, const attempt *a, long left_ms) {
    const char *schemes = a->url.is_https ? "https" : "http";
#if LIBCURL_VERSION_NUM >= 0x075500
    curl_easy_setopt(e, CURLOPT_PROTOCOLS_STR, schemes);
#else
    (void)schemes;
    curl_easy_setopt(e, CURLOPT_PROTOCOLS,
                     a->url.is_https ? CURLPROTO_HTTPS : CURLPROTO_HTTP);
#endif
    curl_easy_setopt(e, CURLOPT_FOLLOWLOCATION, 0L);
    curl_easy_setopt(e, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(e, CURLOPT_CONNECTTIMEOUT_MS,
                     left_ms < HTTP_CONNECT_MS ? left_ms : (long)HTTP_CONNECT_MS);
    curl_easy_setopt(e, CURLOPT_TIMEOUT_MS, left_ms);
    /* A model that thinks sends nothing for long, so a stall is what lasts the whole call. */
    curl_easy_setopt(e, CURLOPT_LOW_SPEED_LIMIT, 1L);
    curl_easy_setopt(e, CURLOPT_LOW_SPEED_TIME, left_ms / 1000 + 1);
    curl_easy_setopt(e, CURLOPT_SSL_VERIFYPEER, 1L);
    curl_easy_setopt(e, CURLOPT_SSL_VERIFYHOST, 2L);
    curl_easy_setopt(e, CURLOPT_NETRC, (long)CURL_NETRC_IGNORED);
    if (a->is_private) curl_easy_setopt(e, CURLOPT_PROXY, "");
    /* Slim containers keep their certificates elsewhere and say so in one of these. */
    const char *ca = getenv("CURL_CA_BUNDLE");
    if (!ca || !*ca) ca = getenv("SSL_CERT_FILE");
    if (ca && *ca) curl_easy_setopt(e, CURLOPT_CAINFO, ca);
}

static CURL *attempt_handle(attempt *a, struct curl_slist *headers, long left_ms) {
    CURL *e = curl_easy_init();
    if (!e) return NULL;
    set_limits(e, a, left_ms);
    curl_easy_setopt(e, CURLOPT_URL, a->q->url);
    curl_easy_setopt(e, CURLOPT_POST, 1L);
    curl_easy_setopt(e, CURLOPT_POSTFIELDS, a->q->body);
    curl_easy_setopt(e, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)a->q->nbyte);
    curl_easy_setopt(e, CURLOPT_HTTPHEADER, headers);
    curl_easy_setopt(e, CURLOPT_USERAGENT, "sqlite-rec");
    curl_easy_setopt(e, CURLOPT_WRITEFUNCTION, on_body);
    curl_easy_setopt(e, CURLOPT_WRITEDATA, a);
    curl_easy_setopt(e, CURLOPT_HEADERFUNCTION, on_header);
    curl_easy_setopt(e, CURLOPT_HEADERDATA, a);
    curl_easy_setopt(e, CURLOPT_OPENSOCKETFUNCTION, on_socket);
    curl_easy_setopt(e, CURLOPT_OPENSOCKETDATA, a);
    curl_easy_setopt(e, CURLOPT_ERRORBUFFER, a->why);
    return e;
}

static struct curl_slist *attempt_headers(const http_request *q) {
    const secret *key = q->key;
    const char *scheme = q->key_header ? q->key_header : "Authorization: Bearer ";
    size_t n_scheme = strlen(scheme);
    struct curl_slist *list = curl_slist_append(NULL, "Content-Type: application/json"),
                      *more;
    if (!list) return NULL;
    if ((more = curl_slist_append(list, "Accept: application/json"))) list = more;
    if ((more = curl_slist_append(list, "Expect:"))) list = more; /* no 100-continue */
    if (q->header && (more = curl_slist_append(list, q->header))) list = more;
    if (!key || !key->text) return list;
    secret line = {.nbyte = n_scheme + key->nbyte};
    line.text = rec_array(line.nbyte + 1, 1);
    more = NULL;
    if (line.text) {
        memcpy(line.text, scheme, n_scheme);
        memcpy(line.text + n_scheme, key->text, key->nbyte + 1);
        more = curl_slist_append(list, line.text);
    }
    secret_wipe(&line);
    if (!more) curl_slist_free_all(list);
    return more;
}

/* H5. */
static void wipe_headers(struct curl_slist *list) {
    for (struct curl_slist *l = list; l; l = l->next)
        for (volatile char *p = l->data; *p; p++) *p = 0;
    curl_slist_free_all(list);
}

static bool interrupted(const http_request *q) {
    return q->interrupted && q->interrupted(q->ctx);
}

/* ---- retries -------------------------------------------------------------------------------------- */

/* Lower-case search in the first bytes of an answer. */
static bool body_says(const attempt *a, const char *word) {
    size_t n = a->body.n < 2000 ? a->body.n : 2000, k = strlen(word);
    for (size_t i = 0; i + k <= n; i++)
        if (strncasecmp((const char *)a->body.data + i, word, k) == 0) return true;
    return false;
}

/* H6. "peg-native" is a server whose grammar rejected its own model's words: another seed is
 * needed, which is not for this file to choose. */
static bool is_permanent_500(const attempt *a) {
    static const char *const signs[] = {"too large",  "too long",   "parse error",
                                        "context",    "schema",     "batch size",
                                        "peg-native", "not support"};
    for (size_t i = 0; i < sizeof signs / sizeof signs[0]; i++)
        if (body_says(a, signs[i])) return true;
    return false;
}

static bool worth_retrying(const attempt *a, int n_500) {
    if (a->code != CURLE_OK)
        return !a->refused_address && !a->too_long && !a->no_memory &&
               (a->code == CURLE_COULDNT_CONNECT ||
                a->code == CURLE_OPERATION_TIMEDOUT ||
                a->code == CURLE_COULDNT_RESOLVE_HOST || a->code == CURLE_RECV_ERROR ||
                a->code == CURLE_SEND_ERROR || a->code == CURLE_GOT_NOTHING ||
                a->code == CURLE_PARTIAL_FILE);
    switch (a->status) {
    case 408:
    case 429:
    case 502:
    case 503:
    case 504:
    case 529: return true;
    case 500: return n_500 <= 1 && !is_permanent_500(a);
    default: return false;
    }
}

static rec_status transfer_failed(const attempt *a, rec_err *err) {
    int n = (int)a->url.n_host;
    const char *host = a->url.host;
    if (a->no_memory) return rec_nomem(err);
    if (a->refused_address)
        return rec_fail(
            err, REC_NET,
            "%.*s resolves to a private address, which only a host registered "
            "by such an address or a local name may have",
            n, host);
    if (a->too_long)
        return rec_fail(err, REC_NET, "%.*s sent more than %zu bytes", n, host,
                        HTTP_MAX_BODY);
    return rec_fail(err, REC_NET, "%.*s: %s", n, host,
                    a->why[0] ? a->why : curl_easy_strerror(a->code));
}

#define REDACT_MIN_BYTES \
    12 /* a shorter key is a placeholder and may occur in honest answers */

static rec_status hand_over(attempt *a, http_response *out, rec_err *err) {
    if (a->code != CURLE_OK) return transfer_failed(a, err);
    size_t n = a->body.n;
    const secret *k = a->q->key;
    if (k && (k->nbyte >= REDACT_MIN_BYTES || a->status >= 300))
        secret_redact(k, (char *)a->body.data, n);
    out->body = bytes_take_text(&a->body);
    if (!out->body) return rec_nomem(err);
    out->nbyte = n, out->status = a->status;
    return REC_OK;
}

/* ---- several at once ------------------------------------------------------------------------------ */

typedef struct transfer {
    http_job *job;
    attempt a;
    CURL *easy;                 /* while an attempt runs */
    struct curl_slist *headers; /* the same */
    double start, deadline;     /* 0: not begun */
    double ready;               /* when the next attempt may begin */
    int nth, n_500;
    bool is_done;
} transfer;

static void attempt_end(http *h, transfer *t) {
    if (t->easy) {
        curl_multi_remove_handle(h->multi, t->easy);
        curl_easy_cleanup(t->easy);
    }
    wipe_headers(t->headers);
    t->easy = NULL, t->headers = NULL;
}

static void job_end(http *h, transfer *t, rec_status st) {
    attempt_end(h, t);
    bytes_clear(&t->a.body);
    t->job->status = st;
    t->job->out.ms = (int64_t)((rec_seconds() - t->start) * 1000);
    t->is_done = true;
}

static void job_begin(http *h, transfer *t) {
    const http_request *q = &t->job->q;
    t->start = rec_seconds();
    t->deadline = t->start + (double)q->timeout_ms / 1000;
    t->a.q = q;
    rec_status st = url_check(q->url, &t->a.url, &t->job->err);
    if (st) {
        job_end(h, t, st);
        return;
    }
    t->a.is_private = private_host(t->a.url.host, t->a.url.n_host);
    t->a.any_address = t->a.is_private || has_proxy(t->a.url.is_https);
}

static void attempt_begin(http *h, transfer *t) {
    attempt *a = &t->a;
    long left = (long)((t->deadline - rec_seconds()) * 1000) + 1;
    bytes_clear(&a->body);
    a->why[0] = 0, a->status = 0, a->retry_after_s = -1;
    a->code = CURLE_FAILED_INIT;
    t->headers = attempt_headers(a->q);
    t->easy = t->headers ? attempt_handle(a, t->headers, left > 1 ? left : 1) : NULL;
    if (t->easy) curl_easy_setopt(t->easy, CURLOPT_PRIVATE, t);
    if (!t->easy || curl_multi_add_handle(h->multi, t->easy) != CURLM_OK)
        job_end(h, t, rec_nomem(&t->job->err));
}

/* Seconds before the next attempt: what the server asked for, or doubling with jitter. */
static double back_off(http *h, const transfer *t) {
    double ms = HTTP_BACKOFF_MS;
    for (int i = 0; i < t->nth && ms < HTTP_MAX_BACKOFF_MS; i++) ms *= 2;
    h->jitter = rec_mix(h->jitter + t->a.q->nbyte);
    ms *= .75 + .5 * (double)(h->jitter >> 40) / (double)(1 << 24);
    if (t->a.retry_after_s >= 0) ms = t->a.retry_after_s * 1000;
    return (ms < HTTP_MAX_BACKOFF_MS ? ms : HTTP_MAX_BACKOFF_MS) / 1000;
}

/* An attempt has ended: another one later, or the job is done. */
static void attempt_done(http *h, transfer *t, CURLcode code) {
    long status = 0;
    t->a.code = code;
    if (code == CURLE_OK) curl_easy_getinfo(t->easy, CURLINFO_RESPONSE_CODE, &status);
    t->a.status = (int)status;
    attempt_end(h, t);
    t->n_500 += status == 500;
    t->ready = rec_seconds() + back_off(h, t);
    if (t->nth < t->a.q->retries && worth_retrying(&t->a, t->n_500) &&
        t->ready < t->deadline) {
        t->nth++;
        t->job->out.retries++;
        return;
    }
    job_end(h, t, hand_over(&t->a, &t->job->out, &t->job->err));
}

/* Begin what may begin; returns how many are under way, and the time at which the next may begin. */
static size_t start_ready(http *h, transfer *t, size_t n, size_t most, double *next) {
    size_t n_running = 0;
    double now = rec_seconds();
    *next = now + HTTP_POLL_MS / 1000.0;
    for (size_t i = 0; i < n; i++) n_running += t[i].easy != NULL;
    for (size_t i = 0; i < n && n_running < most; i++) {
        if (t[i].is_done || t[i].easy) continue;
        if (!t[i].start) job_begin(h, &t[i]);
        if (t[i].is_done) continue;
        if (t[i].ready > now) {
            if (t[i].ready < *next) *next = t[i].ready;
            continue;
        }
        attempt_begin(h, &t[i]);
        n_running += t[i].easy != NULL;
    }
    return n_running;
}

static bool all_done(const transfer *t, size_t n) {
    for (size_t i = 0; i < n; i++)
        if (!t[i].is_done) return false;
    return true;
}

static rec_status run_all(http *h, transfer *t, size_t n, size_t most, rec_err *err) {
    while (!all_done(t, n)) {
        double next;
        int running = 0, left = 0;
        if (interrupted(&t[0].job->q)) return rec_fail(err, REC_INTR, "interrupted");
        start_ready(h, t, n, most, &next);
        CURLMcode mc = curl_multi_perform(h->multi, &running);
        bool any = false;
        for (CURLMsg *m; (m = curl_multi_info_read(h->multi, &left));) {
            transfer *of = NULL;
            if (m->msg != CURLMSG_DONE) continue;
            CURLcode code = m->data.result;
            curl_easy_getinfo(m->easy_handle, CURLINFO_PRIVATE, (char **)&of);
            attempt_done(h, of, code);
            any = true;
        }
        double wait = (next - rec_seconds()) * 1000;
        if (mc == CURLM_OK && !any && wait > 0)
            mc = curl_multi_poll(h->multi, NULL, 0, (int)wait + 1, NULL);
        if (mc != CURLM_OK)
            return rec_fail(err, REC_NET, "%s", curl_multi_strerror(mc));
    }
    return REC_OK;
}

rec_status http_post_many(http *h, http_job *job, size_t n, size_t concurrency,
                          rec_err *err) {
    if (!n) return REC_OK;
    transfer *t = h ? rec_zeros(n, sizeof *t) : NULL;
    if (!t) return rec_nomem(err);
    for (size_t i = 0; i < n; i++) {
        t[i].job = &job[i];
        job[i].out = (http_response){0};
        job[i].status = REC_OK;
        job[i].err = (rec_err){0};
    }
    rec_status st = run_all(h, t, n, concurrency ? concurrency : 1, err);
    for (size_t i = 0; i < n; i++) {
        if (t[i].is_done) continue;
        job_end(h, &t[i], st);
        http_response_clear(&job[i].out);
    }
    rec_free(t);
    return st;
}

#endif

rec_status http_post(http *h, const http_request *q, http_response *out, rec_err *err) {
    http_job job = {.q = *q};
    rec_status st = http_post_many(h, &job, 1, 1, err);
    *out = job.out;
    if (st || !job.status) return st;
    return rec_fail(err, job.status, "%s", job.err.msg);
}
