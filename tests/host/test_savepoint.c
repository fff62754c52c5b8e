/* test_savepoint.c - a rec_index against an ordinary table, through random histories.
 *
 * Every operation is applied to the index `v` and to the plain table `p` of the same file:
 * insert, update, delete, replace, multi-row statements that fail half-way, savepoints,
 * rollbacks, vacuum, rename, reopen, a second connection that writes. After each, both must hold
 * the same rows, and a search must give what sorting the plain table by rec_distance gives.
 * The second connection has a memory of its own and searches committed states now and then.
 * Distances are l1 of small whole numbers, so they are exact on every machine.
 *
 *   test_savepoint [seed [operations]]
 */
#include "host.h"

#include <unistd.h>

#define N_IDS 60
#define DIM   4

static uint64_t seed;
static sqlite3 *db, *second;
static char path[200];
static int depth; /* 0: no transaction; 1: BEGIN; 2..: savepoints within */
static bool is_text;
static const char *name = "v";

static const char *vector_text(void) {
    static char out[100];
    if (host_below(&seed, 12) == 0) return "NULL";
    snprintf(out, sizeof out, "'[%u,%u,%u,%u]'", host_below(&seed, 50),
             host_below(&seed, 50), host_below(&seed, 50), host_below(&seed, 50));
    return out;
}

static const char *key_text(uint32_t id) {
    static char out[4][32];
    static int at;
    char *to = out[at = (at + 1) % 4];
    snprintf(to, 32, is_text ? "'k%u'" : "%u", id);
    return to;
}

/* The same statement on both; both succeed or both fail. */
static void both(sqlite3 *c, const char *fmt, const char *rest) {
    int a = host_try(c, fmt, name, rest), b = host_try(c, fmt, "p", rest);
    HOST_CHECK((a == SQLITE_OK) == (b == SQLITE_OK), "%s | %s: index %d, table %d, %s",
               fmt, rest, a, b, sqlite3_errmsg(c));
}

static void write_some(sqlite3 *c) {
    char rest[400];
    uint32_t id = host_below(&seed, N_IDS), id2 = host_below(&seed, N_IDS);
    const char *g = host_below(&seed, 5) ? "'a'" : "NULL";
    switch (host_below(&seed, 9)) {
    case 0:
    case 1:
        snprintf(rest, sizeof rest, "VALUES(%s,%s,%s,%u)", key_text(id), vector_text(),
                 g, host_below(&seed, 9));
        both(c, "INSERT INTO %s(id,e,g,n) %s", rest);
        break;
    case 2:
        snprintf(rest, sizeof rest, "VALUES(%s,%s,%s,3)", key_text(id), vector_text(),
                 g);
        both(c, "INSERT OR REPLACE INTO %s(id,e,g,n) %s", rest);
        break;
    case 3:
        snprintf(rest, sizeof rest, "SET e=%s, n=n+1 WHERE id=%s", vector_text(),
                 key_text(id));
        both(c, "UPDATE %s %s", rest);
        break;
    case 4:
        snprintf(rest, sizeof rest, "SET id=%s WHERE id=%s", key_text(id),
                 key_text(id2));
        both(c, host_below(&seed, 2) ? "UPDATE OR REPLACE %s %s" : "UPDATE %s %s",
             rest);
        break;
    case 5:
        snprintf(rest, sizeof rest, "WHERE id=%s OR n=%u", key_text(id),
                 host_below(&seed, 30));
        both(c, "DELETE FROM %s %s", rest);
        break;
    case 6: /* fails at the last row when id exists already, or at the second */
        snprintf(rest, sizeof rest,
                 "VALUES(%s,'[1,1,1,1]','m',1),(%s,'[2,2,2,2]','m',2),(%s,NULL,'m',3)",
                 key_text(id), key_text(id2), key_text(host_below(&seed, N_IDS)));
        both(c,
             host_below(&seed, 2) ? "INSERT INTO %s(id,e,g,n) %s"
                                  : "INSERT OR IGNORE INTO %s(id,e,g,n) %s",
             rest);
        break;
    case 7: /* OR FAIL keeps what came before the conflict */
        snprintf(rest, sizeof rest,
                 "VALUES(%s,'[3,1,1,1]','f',1),(%s,'[4,2,2,2]','f',2)", key_text(id),
                 key_text(id2));
        both(c, "INSERT OR FAIL INTO %s(id,e,g,n) %s", rest);
        break;
    default:
        snprintf(rest, sizeof rest, "SET g='u', n=n+1 WHERE n < %u",
                 host_below(&seed, 6));
        both(c, "UPDATE %s %s", rest);
        break;
    }
}

/* Rows as one text, vectors as JSON; of the plain table too. */
static void compare(sqlite3 *c, const char *where) {
    static char want[60000], got[60000];
    const char *sql =
        "SELECT group_concat(id || ':' || coalesce(rec_vector_json(e), '-') || ':' ||"
        " coalesce(g, '-') || ':' || n, ' ') FROM (SELECT * FROM %s ORDER BY id)";
    sqlite3_stmt *st;
    for (int i = 0; i < 2; i++) {
        char *text = sqlite3_mprintf(sql, i ? "p" : name);
        int rc = sqlite3_prepare_v2(c, text, -1, &st, NULL);
        HOST_CHECK(rc == SQLITE_OK, "%s: %s", where, sqlite3_errmsg(c));
        if (rc == SQLITE_OK) rc = sqlite3_step(st);
        const char *row =
            rc == SQLITE_ROW ? (const char *)sqlite3_column_text(st, 0) : NULL;
        snprintf(i ? want : got, sizeof want, "%s", row ? row : "");
        sqlite3_finalize(st);
        sqlite3_free(text);
    }
    HOST_CHECK(strcmp(want, got) == 0, "%s: contents differ\n  index %s\n  table %s",
               where, got, want);
    char q[40];
    snprintf(q, sizeof q, "[%u,%u,%u,%u]", host_below(&seed, 50), host_below(&seed, 50),
             host_below(&seed, 50), host_below(&seed, 50));
    const char *filter = host_below(&seed, 2) ? "AND n < 4 AND g IS NOT NULL" : "";
    char a[600];
    snprintf(a, sizeof a, "%s",
             host_text(c,
                       "SELECT group_concat(CAST(distance AS INTEGER), ' ') FROM "
                       "(SELECT distance FROM %s"
                       " WHERE e MATCH '%s' AND k = 8 %s ORDER BY distance)",
                       name, q, filter));
    const char *b = host_text(c,
                              "SELECT group_concat(CAST(d AS INTEGER), ' ') FROM "
                              "(SELECT rec_distance(e, '%s', 'l1') AS d"
                              " FROM p WHERE e IS NOT NULL %s ORDER BY d LIMIT 8)",
                              q, filter);
    HOST_CHECK(strcmp(a, b) == 0, "%s: search differs\n  index %s\n  table %s", where,
               a, b);
}

static void reopen(void) {
    sqlite3_close(db);
    db = host_open(path);
}

static void step_transaction(void) {
    switch (host_below(&seed, 6)) {
    case 0:
        if (depth == 0)
            host_exec(db, "BEGIN"), depth = 1;
        else
            host_exec(db, "SAVEPOINT s%d", depth), depth++;
        break;
    case 1:
        if (depth > 1) { /* what was opened after it is gone */
            int to = 1 + (int)host_below(&seed, (uint32_t)depth - 1);
            host_exec(db, "ROLLBACK TO s%d", to);
            depth = to + 1;
        }
        break;
    case 2:
        if (depth > 1) depth--, host_exec(db, "RELEASE s%d", depth);
        break;
    case 3:
        if (depth > 0) host_exec(db, "COMMIT"), depth = 0;
        break;
    case 4:
        if (depth > 0) host_exec(db, "ROLLBACK"), depth = 0;
        break;
    default:
        if (depth == 0)
            host_exec(db, "SAVEPOINT s0"), host_exec(db, "SAVEPOINT s1"), depth = 2;
        break;
    }
}

static void step(int i) {
    char where[60];
    snprintf(where, sizeof where, "seed op %d, depth %d", i, depth);
    uint32_t kind = host_below(&seed, 100);
    if (kind < 62)
        write_some(db);
    else if (kind < 88)
        step_transaction();
    else if (depth == 0 && kind < 93)
        write_some(second);
    else if (depth == 0 && kind < 95)
        host_exec(db, "VACUUM");
    else if (depth == 0 && kind < 96)
        reopen();
    else if (kind < 97)
        host_exec(db, "INSERT INTO %s(%s) VALUES('optimize')", name, name);
    else if (kind < 98)
        host_exec(db, "CREATE TABLE IF NOT EXISTS other%d(x)", i % 3);
    else if (kind < 99)
        host_exec(db, "INSERT INTO %s(%s) VALUES('rebuild')", name, name);
    else {
        const char *to = strcmp(name, "v") == 0 ? "w" : "v";
        if (depth == 0) { /* inside a transaction the name would roll back too */
            host_exec(db, "ALTER TABLE %s RENAME TO %s", name, to);
            name = to;
        }
    }
    compare(db, where);
    if (depth == 0 && i % 5 == 0) compare(second, where);
    if (i % 10 == 0)
        host_exec(db, "INSERT INTO %s(%s) VALUES('integrity-check')", name, name);
}

int main(int argc, char **argv) {
    uint64_t first = argc > 1 ? strtoull(argv[1], NULL, 0) : 20;
    int n = argc > 2 ? atoi(argv[2]) : 1200;
    snprintf(path, sizeof path, "/tmp/rec_savepoint_%d.db", (int)getpid());
    for (int round = 0; round < 4; round++) {
        seed = first * 2654435761u + (uint64_t)round * 977 + 88172645463325252u;
        is_text = round % 2 == 1;
        name = "v";
        depth = 0;
        unlink(path);
        db = host_open(path);
        host_exec(db, "PRAGMA journal_mode=%s; PRAGMA synchronous=OFF",
                  round % 2 ? "wal" : "delete");
        const char *key = is_text ? "TEXT" : "INTEGER";
        host_exec(db,
                  "CREATE VIRTUAL TABLE v USING rec_index(id %s PRIMARY KEY, e "
                  "float32[4], g TEXT,"
                  " n INTEGER, metric=l1, kind=%s)",
                  key, round < 2 ? "flat" : "hnsw");
        host_exec(db, "CREATE TABLE p(id %s PRIMARY KEY, e, g TEXT, n INTEGER)", key);
        second = host_open(path);
        for (int i = 0; i < n && host_failed < 10; i++) step(i);
        sqlite3_close(db);
        sqlite3_close(second);
    }
    char side[220];
    unlink(path);
    snprintf(side, sizeof side, "%s-wal", path), unlink(side);
    snprintf(side, sizeof side, "%s-shm", path), unlink(side);
    return host_end("savepoint");
}
