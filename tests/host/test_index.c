/* test_index.c - what a rec_index promises a host program: plans, snapshots, copies, limits.
 *
 * Plans are read through EXPLAIN QUERY PLAN, whose text for a virtual table is idxNum:idxStr. */
#include "host.h"

#include <unistd.h>

static char path[200], copy[220];
static bool is_graph; /* kind=hnsw, linked; else kind=flat */

static const char *plan(sqlite3 *db, const char *where) {
    static char out[300];
    sqlite3_stmt *st = NULL;
    char *sql = sqlite3_mprintf("EXPLAIN QUERY PLAN SELECT id FROM v WHERE %s", where);
    out[0] = 0;
    if (sqlite3_prepare_v2(db, sql, -1, &st, NULL) == SQLITE_OK &&
        sqlite3_step(st) == SQLITE_ROW) {
        const char *text = (const char *)sqlite3_column_text(st, 3);
        const char *at = strstr(text, "INDEX ");
        snprintf(out, sizeof out, "%s", at ? at + 6 : text);
    }
    sqlite3_finalize(st);
    sqlite3_free(sql);
    return out;
}

static void fill(sqlite3 *db) {
    host_exec(
        db,
        "CREATE VIRTUAL TABLE v USING rec_index(id INTEGER PRIMARY KEY, e float32[2], "
        "g TEXT,"
        " n INTEGER, metric=l1, kind=%s);"
        "WITH RECURSIVE c(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM c WHERE i < 200)"
        " INSERT INTO v SELECT i, json_array(i, 0), 'g' || (i %% 3), i FROM c;",
        is_graph ? "hnsw" : "flat");
    if (is_graph) host_exec(db, "INSERT INTO v(v) VALUES ('optimize')");
}

static void test_plans(void) {
    static const struct {
        const char *where, *flat, *graph;
    } c[] = {
        {"id = 3", "1:key: =!0;", "1:key: =!0;"},
        {"id = ?", "1:key: =0;", "1:key: =0;"},
        {"rowid = 3", "1:key: =!-1;", "1:key: =!-1;"},
        {"n = 3", "0:all rows: ", "0:all rows: "},
        {"e MATCH '[1,1]' AND k = 5", "3:exact scan: m!1;", "3:graph: m!1;"},
        {"e MATCH ? AND n >= 3 AND g IN ('a', 'b') AND k = ?",
         "3:exact scan of the rows that pass: m1;",
         "3:graph or exact scan of the rows that pass: m1;"},
        {"e MATCH ? AND g LIKE 'a%' AND n IS NULL LIMIT 5",
         "3:exact scan of the rows that pass: m1;",
         "3:graph or exact scan of the rows that pass: m1;"},
        {"e MATCH ? AND rowid > 3 AND k = 5", "3:exact scan of the rows that pass: m1;",
         "3:graph or exact scan of the rows that pass: m1;"},
        {"e MATCH ? AND g = 'A' COLLATE NOCASE", "3:exact scan: m1;", "3:graph: m1;"},
        {"e MATCH ? AND distance < 0.5 ORDER BY distance LIMIT 5 OFFSET 2",
         "3:exact scan: m1;", "3:graph: m1;"},
    };
    sqlite3 *db = host_open(":memory:");
    fill(db);
    for (size_t i = 0; i < sizeof c / sizeof c[0]; i++) {
        const char *got = plan(db, c[i].where),
                   *want = is_graph ? c[i].graph : c[i].flat;
        /* Further terms come in SQLite's own order, and not every version offers LIMIT. */
        HOST_CHECK(strncmp(got, want, strlen(want)) == 0, "%s: %s, expected %s",
                   c[i].where, got, want);
    }
    sqlite3_close(db);
}

/* Bound parameters of every kind; one prepared statement over changing contents. */
static void test_bindings(void) {
    sqlite3 *db = host_open(":memory:");
    sqlite3_stmt *st = NULL;
    float q[2] = {50.0f, 0.0f};
    fill(db);
    int rc = sqlite3_prepare_v2(
        db, "SELECT id FROM v WHERE e MATCH ?1 AND n > ?2 AND g = ?3 AND k = ?4", -1,
        &st, NULL);
    HOST_CHECK(rc == SQLITE_OK, "%s", sqlite3_errmsg(db));
    for (int i = 0; i < 20; i++) {
        sqlite3_bind_blob(st, 1, q, sizeof q, SQLITE_STATIC);
        sqlite3_bind_int(st, 2, 20);
        sqlite3_bind_text(st, 3, "g1", -1, SQLITE_STATIC);
        sqlite3_bind_int(st, 4, 3);
        int n = 0, first = 0;
        while (sqlite3_step(st) == SQLITE_ROW)
            if (n++ == 0) first = sqlite3_column_int(st, 0);
        HOST_CHECK(n == 3 && first == (i == 0 ? 49 : 1000 + i - 1),
                   "%d: %d rows, first %d", i, n, first);
        sqlite3_reset(st);
        host_exec(db, "INSERT OR REPLACE INTO v VALUES (%d, '[%f,0]', 'g1', 21)",
                  1000 + i, 50.9 - i * 0.04);
    }
    sqlite3_finalize(st);
    HOST_CHECK(sqlite3_close(db) == SQLITE_OK, "close");
}

/* A reader keeps its snapshot while a writer commits. */
static void test_snapshot(void) {
    sqlite3 *a = host_open(path), *b = host_open(path);
    const char *sql =
        "SELECT count(*) || ':' || min(distance) FROM v WHERE e MATCH '[0,0]'";
    host_exec(a, "PRAGMA journal_mode=wal");
    fill(a);
    host_exec(b, "BEGIN");
    HOST_CHECK(strcmp(host_text(b, "%s", sql), "200:1.0") == 0, "%s", host_buf);
    host_exec(a, "DELETE FROM v WHERE id < 50; INSERT INTO v(e) VALUES ('[0.5,0]')");
    HOST_CHECK(strcmp(host_text(a, "%s", sql), "152:0.5") == 0, "%s", host_buf);
    HOST_CHECK(strcmp(host_text(b, "%s", sql), "200:1.0") == 0, "%s", host_buf);
    host_exec(b, "COMMIT");
    HOST_CHECK(strcmp(host_text(b, "%s", sql), "152:0.5") == 0, "%s", host_buf);
    /* Forty generations later there is nothing to catch up from; reading anew is as good. */
    for (int i = 0; i < 40; i++)
        host_exec(a, "UPDATE v SET e = '[%d,3]' WHERE id = 60", i);
    HOST_CHECK(
        strcmp(host_text(b, "SELECT distance FROM v WHERE e MATCH '[39,3]' AND k = 1"),
               "0.0") == 0,
        "%s", host_buf);
    sqlite3_close(a);
    sqlite3_close(b);
}

static void check_copy(const char *file, const char *what) {
    sqlite3 *db = host_open(file);
    HOST_CHECK(host_int(db, "SELECT count(*) FROM v WHERE e MATCH '[0,0]'") == 152,
               "%s", what);
    HOST_CHECK(strcmp(host_text(db, "PRAGMA integrity_check"), "ok") == 0, "%s: %s",
               what, host_buf);
    host_exec(db, "INSERT INTO v(v) VALUES ('integrity-check')");
    sqlite3_close(db);
}

/* Backup over a connection that has the index in memory, VACUUM INTO, a read-only file. */
static void test_copies(void) {
    sqlite3 *from = host_open(path), *to = host_open(copy);
    fill(to);
    host_exec(to, "SELECT * FROM v WHERE e MATCH '[0,0]' AND k = 1");
    sqlite3_backup *b = sqlite3_backup_init(to, "main", from, "main");
    HOST_CHECK(b && sqlite3_backup_step(b, -1) == SQLITE_DONE, "backup");
    sqlite3_backup_finish(b);
    HOST_CHECK(host_int(to, "SELECT count(*) FROM v WHERE e MATCH '[0,0]'") == 152,
               "after backup");
    sqlite3_close(to);
    check_copy(copy, "backup");
    unlink(copy);
    host_exec(from, "VACUUM INTO '%q'", copy);
    sqlite3_close(from);
    check_copy(copy, "vacuum into");
    sqlite3 *ro = NULL;
    sqlite3_open_v2(copy, &ro, SQLITE_OPEN_READONLY, NULL);
    host_load(ro);
    HOST_CHECK(
        host_int(ro, "SELECT count(*) FROM v WHERE e MATCH '[0,0]' AND n > 100") == 100,
        "read-only");
    HOST_CHECK(strcmp(host_text(ro, "PRAGMA integrity_check"), "ok") == 0, "%s",
               host_buf);
    HOST_CHECK(host_try(ro, "DELETE FROM v") == SQLITE_READONLY, "%s",
               sqlite3_errmsg(ro));
    sqlite3_close(ro);
    unlink(copy);
}

/* A writer that finds the file locked gets SQLITE_BUSY, as with any table. */
static void test_busy(void) {
    sqlite3 *a = host_open(path), *b = host_open(path);
    host_exec(a, "BEGIN IMMEDIATE");
    HOST_CHECK(host_try(b, "INSERT INTO v(e) VALUES ('[1,1]')") == SQLITE_BUSY, "%s",
               sqlite3_errmsg(b));
    host_exec(a, "COMMIT");
    host_exec(b, "INSERT INTO v(e) VALUES ('[1,1]')");
    sqlite3_close(a);
    sqlite3_close(b);
}

int main(void) {
    char side[260];
    snprintf(path, sizeof path, "/tmp/rec_index_%d.db", (int)getpid());
    snprintf(copy, sizeof copy, "%s.copy", path);
    for (int kind = 0; kind < 2; kind++) {
        is_graph = kind == 1;
        test_plans();
        test_bindings();
        test_snapshot();
        test_copies();
        test_busy();
        static const char *const ends[] = {"", "-wal", "-shm", ".copy-wal",
                                           ".copy-shm"};
        for (int i = 0; i < 5; i++)
            snprintf(side, sizeof side, "%s%s", path, ends[i]), unlink(side);
    }
    return host_end("index");
}
