/* test_grow.c - trainings that go on from the stored model.
 *
 *   600 people of three tastes, some 11,000 pairs; a twentieth of them comes after the first training
 *   every algorithm that grows: the report and the log say so; the bytes are the same for 1 and 3 threads; the
 *   lists are those of a training from nothing, up to the share that stands in the table below
 *   algorithms that do not: the increment is the full training, byte for byte
 *   another connection sees the old model until COMMIT; an interrupt leaves every byte as it was
 *   damage to what the last training left: the next one succeeds and repairs it
 */
#include "host.h"
#include "host_hash.h"

#include <pthread.h>
#include <unistd.h>

#define DIR_TEMPLATE "/tmp/rec_grow_XXXXXX"

typedef struct subject {
    const char *name, *options;
    bool grows;
    double least; /* share of the lists of a full training */
} subject;

static const subject subjects[] = {
    {"als", "factors=8, epochs=12, alpha0=.1, lambda=.01", true, .9},
    {"graph", "factors=16", true, .9},
    {"bpr", "factors=8, epochs=10", true, .5},
    {"lightgcn", "factors=8, epochs=5", true, .5},
    {"two_tower", "factors=8, epochs=5", true, .5},
    {"itemknn", "k=50", false, 1},
    {"ease", "form=sparse", false, 1},
    {"popularity", "half_life='90 days', time=at", false, 1},
};

static const char world[] =
    "CREATE TABLE buys(user INTEGER, item INTEGER, at INTEGER);"
    "WITH RECURSIVE u(i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM u WHERE i < 599),"
    " v(j) AS (SELECT 0 UNION ALL SELECT j + 1 FROM v WHERE j < 239)"
    "INSERT INTO buys SELECT i, j * 2, 1700000000 + i * 1000 + j FROM u, v"
    " WHERE (i % 3 = j % 3 OR j % 7 = 0) AND (i * 7919 + j * 104729) % 101 < 23;"
    "CREATE INDEX buys_user ON buys(user);"
    "CREATE TABLE later AS SELECT * FROM buys WHERE (user * 31 + item * 17) % 20 = 0;"
    "DELETE FROM buys WHERE (user * 31 + item * 17) % 20 = 0;";

static void create(sqlite3 *db, const subject *s) {
    host_exec(db, "%s", world);
    host_exec(db,
              "CREATE VIRTUAL TABLE m USING rec_model(algorithm=%s, %s, "
              "interactions=buys, user=user, item=item)",
              s->name, s->options);
}

static void train(sqlite3 *db, const char *command) {
    int rc = host_try(db, "INSERT INTO m(m) VALUES ('%s')", command);
    HOST_CHECK(rc == SQLITE_OK, "%s: %s", command, sqlite3_errmsg(db));
}

static bool is_incremental(sqlite3 *db) {
    return host_int(db, "SELECT count(*) FROM m_log WHERE phase = 'incremental'") == 1;
}

/* Of everything that a training stores but the generation and the clock. */
static uint64_t bytes_of(sqlite3 *db) {
    sqlite3_stmt *st = NULL;
    uint64_t h = 0;
    sqlite3_prepare_v2(db,
                       "SELECT part || chunk, bytes FROM m_data UNION ALL SELECT k, "
                       "CAST(v AS BLOB) FROM m_state WHERE k IN ('trained_rows', "
                       "'n_users', 'n_items') ORDER BY 1",
                       -1, &st, NULL);
    while (sqlite3_step(st) == SQLITE_ROW)
        for (int i = 0; i < 2; i++) {
            const void *p = sqlite3_column_blob(st, i);
            h = host_hash(p ? p : "", (size_t)sqlite3_column_bytes(st, i), h);
        }
    sqlite3_finalize(st);
    return h;
}

/* ---- what comes out ---------------------------------------------------------------------- */

/* One life: a part of the rows, all rows, from nothing. Hashes of the three models. */
static void live(const subject *s, const char *threads, uint64_t hash[3]) {
    sqlite3 *db = host_open(":memory:");
    setenv("REC_THREADS", threads, 1);
    create(db, s);
    train(db, "train");
    HOST_CHECK(!is_incremental(db), "%s: the first", s->name);
    hash[0] = bytes_of(db);
    host_exec(db, "INSERT INTO buys SELECT * FROM later");
    train(db, "train");
    HOST_CHECK(is_incremental(db) == s->grows, "%s: the second", s->name);
    HOST_CHECK(!s->grows || host_int(db, "SELECT value FROM m_log LIMIT 1") ==
                                host_int(db, "SELECT count(*) FROM later"),
               "%s: rows", s->name);
    HOST_CHECK(host_try(db, "INSERT INTO m(m) VALUES ('integrity-check')") == SQLITE_OK,
               "%s: %s", s->name, sqlite3_errmsg(db));
    hash[1] = bytes_of(db);
    host_exec(db, "CREATE TABLE top AS SELECT user, item FROM m WHERE k = 10 AND "
                  "seen = 0");
    train(db, "rebuild");
    HOST_CHECK(!is_incremental(db), "%s: rebuild", s->name);
    hash[2] = bytes_of(db);
    double same = (double)host_int(db, "SELECT count(*) FROM (SELECT user, item FROM m "
                                       "WHERE k = 10 AND seen = 0) JOIN top "
                                       "USING (user, item)"),
           all = (double)host_int(db, "SELECT count(*) FROM top");
    HOST_CHECK(all == 6000 && same >= s->least * all, "%s: %.3f of the lists agree",
               s->name, same / all);
    sqlite3_close(db);
}

static void test_subject(const subject *s) {
    uint64_t one[3], three[3];
    live(s, "1", one);
    live(s, "3", three);
    for (int i = 0; i < 3; i++)
        HOST_CHECK(one[i] == three[i], "%s: model %d, 1 and 3 threads", s->name, i);
    HOST_CHECK((one[1] == one[2]) == !s->grows, "%s: increment and full", s->name);
}

/* ---- while it is made -------------------------------------------------------------------- */

static void test_readers(void) {
    char dir[] = DIR_TEMPLATE, path[64];
    if (!mkdtemp(dir)) exit(2);
    snprintf(path, sizeof path, "%s/a.db", dir);
    sqlite3 *db = host_open(path), *other = host_open(path);
    host_exec(db, "PRAGMA journal_mode = WAL");
    create(db, &subjects[0]);
    train(db, "train");
    uint64_t before = bytes_of(other);
    host_exec(db, "BEGIN; INSERT INTO buys SELECT * FROM later");
    train(db, "train");
    HOST_CHECK(is_incremental(db) && bytes_of(db) != before, "within");
    HOST_CHECK(bytes_of(other) == before, "the other sees the old one");
    host_exec(db, "ROLLBACK");
    HOST_CHECK(bytes_of(db) == before, "ROLLBACK");
    host_exec(db, "BEGIN; INSERT INTO buys SELECT * FROM later");
    train(db, "train");
    host_exec(db, "COMMIT");
    HOST_CHECK(bytes_of(other) != before && is_incremental(other), "COMMIT");
    HOST_CHECK(host_int(other, "SELECT count(*) FROM m WHERE user = 3 AND k = 10") > 0,
               "answers");
    sqlite3_close(db);
    sqlite3_close(other);
    snprintf(path, sizeof path, "rm -rf %s", dir);
    HOST_CHECK(system(path) == 0, "%s", path);
}

typedef struct bell {
    sqlite3 *db;
    unsigned after_us;
} bell;
static void *ring(void *p) {
    const bell *b = p;
    usleep(b->after_us);
    sqlite3_interrupt(b->db);
    return NULL;
}

static void test_interrupt(void) {
    sqlite3 *db = host_open(":memory:");
    int n_stopped = 0;
    create(db, &subjects[0]);
    train(db, "train");
    uint64_t before = bytes_of(db);
    host_exec(db, "INSERT INTO buys SELECT * FROM later");
    for (unsigned us = 500; us < 100000; us = us * 3 / 2) {
        pthread_t thread;
        bell b = {db, us};
        pthread_create(&thread, NULL, ring, &b);
        int rc = host_try(db, "SELECT rec_train('m')");
        pthread_join(thread, NULL);
        if (rc == SQLITE_OK) break;
        n_stopped++;
        HOST_CHECK(rc == SQLITE_INTERRUPT && bytes_of(db) == before, "after %u us: %s",
                   us, sqlite3_errmsg(db));
    }
    HOST_CHECK(n_stopped > 0, "none was stopped");
    train(db, "train");
    HOST_CHECK(bytes_of(db) != before, "and then");
    sqlite3_close(db);
}

/* ---- damage ------------------------------------------------------------------------------ */

/* Four bytes of a part from `at` on are turned by x; mend: the checksum is that of what stands there. */
static void damage(sqlite3 *db, const char *part, int at, int x, bool mend) {
    sqlite3_stmt *st = NULL;
    unsigned char *p, tail[16];
    sqlite3_prepare_v2(db, "SELECT bytes FROM m_data WHERE part = ?1 AND chunk = 0", -1,
                       &st, NULL);
    sqlite3_bind_text(st, 1, part, -1, SQLITE_STATIC);
    HOST_CHECK(sqlite3_step(st) == SQLITE_ROW, "%s is there", part);
    size_t n = (size_t)sqlite3_column_bytes(st, 0);
    p = malloc(n + 1);
    if (!p) exit(2);
    memcpy(p, sqlite3_column_blob(st, 0), n);
    sqlite3_finalize(st);
    for (size_t i = (size_t)at; i < (size_t)at + 4 && i < n; i++)
        p[i] ^= (unsigned char)x;
    uint64_t sum[2] = {
        n, host_hash(p, n, host_hash((const unsigned char *)part, strlen(part), 0))};
    for (int i = 0; i < 16; i++) tail[i] = (unsigned char)(sum[i / 8] >> (8 * (i % 8)));
    for (int k = 0; k <= mend; k++) {
        sqlite3_prepare_v2(
            db, "UPDATE m_data SET bytes = ?1 WHERE part = ?2 AND chunk = ?3", -1, &st,
            NULL);
        sqlite3_bind_blob(st, 1, k ? tail : p, k ? 16 : (int)n, SQLITE_TRANSIENT);
        sqlite3_bind_text(st, 2, part, -1, SQLITE_STATIC);
        sqlite3_bind_int(st, 3, -k);
        HOST_CHECK(sqlite3_step(st) == SQLITE_DONE, "%s", part);
        sqlite3_finalize(st);
    }
    free(p);
}

static void test_damage(void) {
    static const char *const part[] = {"trace", "model", "items"};
    sqlite3 *db = host_open(":memory:");
    create(db, &subjects[0]);
    train(db, "train");
    host_exec(db, "CREATE TABLE kept AS SELECT part, chunk, bytes FROM m_data;"
                  "INSERT INTO buys SELECT * FROM later");
    for (int i = 0; i < 3; i++)
        for (int at = 0; at < 64; at += 12)
            for (int how = 0; how < 4; how++) {
                bool mend = how & 1;
                host_exec(db, "DELETE FROM m_data; INSERT INTO m_data(part, chunk, "
                              "bytes) SELECT part, chunk, bytes FROM kept");
                damage(db, part[i], at, how & 2 ? 0xff : 1, mend);
                train(db, "train");
                HOST_CHECK(mend || !is_incremental(db), "%s byte %d", part[i], at);
                HOST_CHECK(
                    host_try(db, "INSERT INTO m(m) VALUES ('integrity-check')") ==
                        SQLITE_OK,
                    "%s byte %d: %s", part[i], at, sqlite3_errmsg(db));
            }
    host_exec(db, "UPDATE m_data SET bytes = x'00' WHERE part = 'trace' AND chunk = 0");
    HOST_CHECK(host_try(db, "INSERT INTO m(m) VALUES ('integrity-check')") != SQLITE_OK,
               "a damaged trace is noticed: %s", sqlite3_errmsg(db));
    sqlite3_close(db);
}

int main(void) {
    setenv("REC_PROGRESS", "0", 1);
    for (size_t i = 0; i < sizeof subjects / sizeof *subjects; i++)
        test_subject(&subjects[i]);
    test_readers();
    test_interrupt();
    test_damage();
    return host_end("grow");
}
