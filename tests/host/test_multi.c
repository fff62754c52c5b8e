/* test_multi.c - many connections, two threads, a forked child.
 *
 *   churn     100 connections come and go, a third of them after work: not one byte of SQLite's memory is left
 *   threads   each with a connection of its own: the same training in both gives the same answer, over and over
 *   file      one thread trains and writes, the other reads the same file in WAL mode: every answer is whole
 *   fork      a child of a process that has trained opens a connection of its own and trains
 *
 * make tsan runs this as well: threads of one connection's training must not meet those of the other.
 */
#include "host.h"

#include <pthread.h>
#include <sys/wait.h>
#include <unistd.h>

#define N_CONNECTIONS 100
#define N_ROUNDS      4
#define CHILD_SECONDS 60

static const char *const tables =
    "CREATE TABLE items(item INTEGER PRIMARY KEY, title TEXT);"
    "CREATE TABLE plays(user INT, item INT); CREATE INDEX pu ON plays(user);"
    "WITH RECURSIVE n(i) AS (VALUES (1) UNION ALL SELECT i + 1 FROM n WHERE i < 200)"
    " INSERT INTO items SELECT i, printf('w%d w%d w%d', i % 17, i % 29, i % 7) FROM n;"
    "WITH RECURSIVE n(i) AS (VALUES (0) UNION ALL SELECT i + 1 FROM n WHERE i < 7999)"
    " INSERT INTO plays SELECT i % 400 + 1, (i * 7919 + i / 400 * 104729) % 200 + 1 "
    "FROM n;";
static const char *const models =
    "CREATE VIRTUAL TABLE taste USING rec_model(algorithm=als, factors=32, epochs=2, "
    "interactions=plays, user=user,"
    " item=item, items=items, title=title);"
    "CREATE VIRTUAL TABLE about USING rec_model(algorithm=content, embedder='lsa(16)', "
    "items=items, item=item,"
    " text=title, interactions=plays, user=user);"
    "CREATE VIRTUAL TABLE reader USING rec_model(algorithm=hybrid, cf=taste, "
    "content=about);"
    "CREATE VIRTUAL TABLE v USING rec_index(e float32[2]);";
static const char *const train =
    "SELECT rec_train('taste'); INSERT INTO about(about) VALUES ('train');";
static const char *const ask = "SELECT group_concat(item || ':' || round(score, 3)) "
                               "FROM rec_recommend('reader', 7, 10)";

/* host.h counts without a lock: threads keep their findings to themselves. */
typedef struct worker {
    const char *path;
    pthread_t thread;
    int n_failed, n_done;
    char answer[1000], message[300];
} worker;

static bool step(worker *w, sqlite3 *db, const char *sql) {
    char *message = NULL;
    int rc = sqlite3_exec(db, sql, NULL, NULL, &message);
    w->n_done++;
    if (rc != SQLITE_OK) {
        w->n_failed++;
        snprintf(w->message, sizeof w->message, "%.100s: %s", sql,
                 message ? message : "?");
    }
    sqlite3_free(message);
    return rc == SQLITE_OK;
}

static void answer(worker *w, sqlite3 *db, const char *sql, char *out, size_t cap) {
    sqlite3_stmt *st = NULL;
    out[0] = 0;
    if (sqlite3_prepare_v2(db, sql, -1, &st, NULL) == SQLITE_OK &&
        sqlite3_step(st) == SQLITE_ROW)
        snprintf(out, cap, "%s", (const char *)sqlite3_column_text(st, 0));
    else {
        w->n_failed++;
        snprintf(w->message, sizeof w->message, "%.100s: %s", sql, sqlite3_errmsg(db));
    }
    sqlite3_finalize(st);
}

static void churn(void) {
    sqlite3_close(host_open(":memory:")); /* one-time set-up is no leak */
    sqlite3_int64 before = sqlite3_memory_used();
    for (int i = 0; i < N_CONNECTIONS; i++) {
        sqlite3 *db = host_open(":memory:");
        if (i % 3 == 0) {
            host_exec(db, "%s%s%s",
                      "CREATE TABLE items(item, title); INSERT INTO items VALUES (1, "
                      "'red car'), (2, 'red car'), (3, 'old red car');"
                      "CREATE TABLE plays(user, item); INSERT INTO plays VALUES (7, "
                      "1), (7, 2), (8, 1);",
                      models, train);
            host_text(db, "%s", ask);
            host_exec(db, "INSERT INTO v(e) VALUES ('[1,2]'); SELECT * FROM v WHERE e "
                          "MATCH '[1,1]' AND k = 1;");
        }
        HOST_CHECK(sqlite3_close(db) == SQLITE_OK, "close %d", i);
    }
    HOST_CHECK(sqlite3_memory_used() == before, "%lld bytes before, %lld after",
               (long long)before, (long long)sqlite3_memory_used());
}

static void *train_alone(void *p) {
    worker *w = p;
    sqlite3 *db = host_open(":memory:");
    step(w, db, tables);
    step(w, db, models);
    for (int i = 0; i < N_ROUNDS; i++) {
        char now[sizeof w->answer];
        step(w, db, train);
        answer(w, db, ask, now, sizeof now);
        if (i && strcmp(now, w->answer) != 0) w->n_failed++;
        memcpy(w->answer, now, sizeof now);
        step(w, db, "SELECT * FROM reader WHERE k = 3 AND user < 20");
    }
    sqlite3_close(db);
    return NULL;
}

static void *write_file(void *p) {
    worker *w = p;
    sqlite3 *db = host_open(w->path);
    sqlite3_busy_timeout(db, 20000);
    for (int i = 0; i < N_ROUNDS; i++) {
        step(w, db, "INSERT INTO plays SELECT 1000 + count(*), 5 FROM plays");
        step(w, db,
             "BEGIN IMMEDIATE; INSERT INTO v(e) VALUES ('[1,2]'), ('[3,4]'); COMMIT");
        step(w, db, train);
    }
    sqlite3_close(db);
    return NULL;
}

static void *read_file(void *p) {
    worker *w = p;
    sqlite3 *db = host_open(w->path);
    sqlite3_busy_timeout(db, 20000);
    for (int i = 0; i < 6 * N_ROUNDS; i++) {
        char n[40];
        answer(w, db, "SELECT count(*) FROM reader WHERE user = 7", n, sizeof n);
        if (strcmp(n, "200") != 0) w->n_failed++;
        answer(w, db, "SELECT count(*) % 2 FROM v WHERE e MATCH '[1,1]'", n, sizeof n);
        if (strcmp(n, "0") != 0) w->n_failed++;
        answer(w, db, ask, w->answer, sizeof w->answer);
    }
    sqlite3_close(db);
    return NULL;
}

static void both(const char *what, worker *a, worker *b, void *(*fa)(void *),
                 void *(*fb)(void *)) {
    pthread_create(&a->thread, NULL, fa, a);
    pthread_create(&b->thread, NULL, fb, b);
    pthread_join(a->thread, NULL);
    pthread_join(b->thread, NULL);
    HOST_CHECK(a->n_failed == 0, "%s: %d: %s", what, a->n_failed, a->message);
    HOST_CHECK(b->n_failed == 0, "%s: %d: %s", what, b->n_failed, b->message);
}

static void threads(void) {
    worker a = {0}, b = {0};
    both("threads", &a, &b, train_alone, train_alone);
    HOST_CHECK(strlen(a.answer) > 20 && strcmp(a.answer, b.answer) == 0, "%s, %s",
               a.answer, b.answer);
}

static void file(void) {
    char path[] = "/tmp/rec_multi_XXXXXX", other[sizeof path + 8];
    int fd = mkstemp(path);
    HOST_CHECK(fd >= 0, "%s", path);
    if (fd < 0) return;
    close(fd);
    worker a = {.path = path}, b = {.path = path};
    sqlite3 *db = host_open(path);
    host_exec(db, "PRAGMA journal_mode = wal; PRAGMA synchronous = off; %s%s%s", tables,
              models, train);
    both("file", &a, &b, write_file, read_file);
    host_exec(db, "INSERT INTO taste(taste) VALUES ('integrity-check'); INSERT INTO "
                  "v(v) VALUES ('integrity-check')");
    HOST_CHECK(sqlite3_close(db) == SQLITE_OK, "close");
    const char *suffix[] = {"", "-wal", "-shm"};
    for (int i = 0; i < 3; i++)
        snprintf(other, sizeof other, "%s%s", path, suffix[i]), unlink(other);
}

static void fork_child(void) {
    int status = -1;
    fflush(NULL);
    pid_t pid = fork();
    if (pid == 0) {
        worker w = {0};
        alarm(CHILD_SECONDS);
        train_alone(&w);
        _exit(w.n_failed != 0);
    }
    HOST_CHECK(pid > 0 && waitpid(pid, &status, 0) == pid && status == 0,
               "the child ended with %d", status);
}

int main(void) {
    setenv("REC_THREADS", "3", 1);
    setenv("REC_PROGRESS", "0", 1);
    churn();
    threads();
    file();
    if (!getenv("REC_NO_FORK"))
        fork_child(); /* TSan does not follow threads into a child */
    return host_end("multi");
}
