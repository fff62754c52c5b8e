/* test_bad_input.c - trainings that cannot go as asked, and what is left afterwards.
 *
 *   memory that does not suffice: refused with the number before anything starts, the old model answers
 *   a table that another connection changes while it is read: one snapshot, whole
 *   a hundred thousand users with one interaction each: every algorithm trains and answers
 */
#include "host.h"

#define N_LONELY 100000

static const char *const algorithms[] = {"popularity",
                                         "itemknn",
                                         "ease",
                                         "als, factors=8",
                                         "graph, factors=8",
                                         "bpr, factors=8, epochs=1",
                                         "lightgcn, factors=8, epochs=1",
                                         "two_tower, factors=8, epochs=1",
                                         "sequence, factors=8, epochs=1, time=item"};
#define N_ALGORITHMS (sizeof algorithms / sizeof *algorithms)

static void fill(sqlite3 *db, int n_users, int n_items, int n_rows) {
    host_exec(
        db,
        "CREATE TABLE rows(user INTEGER, item INTEGER); CREATE INDEX rows_user ON "
        "rows(user);"
        "WITH RECURSIVE c(i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM c WHERE i < %d)"
        "INSERT INTO rows SELECT i %% %d, i * 7919 %% %d FROM c",
        n_rows - 1, n_users, n_items);
}

/* ---- memory --------------------------------------------------------------------------------- */

static void test_memory(void) {
    sqlite3 *db = host_open(":memory:");
    fill(db, 5000, 900, 20000);
    host_exec(db, "CREATE VIRTUAL TABLE m USING rec_model(algorithm=als, factors=4, "
                  "epochs=2, interactions=rows);"
                  "SELECT rec_train('m'); INSERT INTO m(m) VALUES ('factors=1000');");
    int64_t at = host_int(db, "SELECT v FROM m_state WHERE k = 'gen'");
    host_exec(db, "PRAGMA hard_heap_limit = 20000000");
    HOST_CHECK(host_try(db, "SELECT rec_train('m')") == SQLITE_ERROR, "als in 20 MB");
    const char *why = sqlite3_errmsg(db);
    HOST_CHECK(strstr(why, "m: training needs at least 24.") &&
                   strstr(why, "PRAGMA hard_heap_limit leaves 1"),
               "%s", why);
    HOST_CHECK(host_try(db, "INSERT INTO m(m) VALUES ('train')") == SQLITE_ERROR,
               "inside a transaction");
    HOST_CHECK(host_try(db, "SELECT * FROM rec_evaluate('m')") == SQLITE_ERROR,
               "an evaluation");
    HOST_CHECK(host_int(db, "SELECT v FROM m_state WHERE k = 'gen'") == at,
               "nothing was written");
    HOST_CHECK(host_int(db, "SELECT count(*) FROM rec_recommend('m', 3, 10)") == 10,
               "the old model answers");
    sqlite3_hard_heap_limit64(0); /* the PRAGMA can only lower it */
    host_exec(db, "SELECT rec_train('m')");
    HOST_CHECK(host_int(db, "SELECT count(*) FROM rec_recommend('m', 3, 10)") == 10,
               "with memory it trains");
    sqlite3_close(db);
}

/* ---- a table that changes ------------------------------------------------------------------------ */

typedef struct writer {
    sqlite3 *db;
    int n_calls, n_written;
} writer;

/* Called while the other connection computes; writes a few times and lets it go on. */
static int disturb(void *ctx) {
    writer *w = ctx;
    if (++w->n_calls % 50 || w->n_written >= 20) return 0;
    if (host_try(w->db,
                 "DELETE FROM rows WHERE rowid IN (SELECT rowid FROM rows LIMIT 100); "
                 "INSERT INTO rows SELECT 900000 + %d, item FROM rows LIMIT 5",
                 w->n_written) == SQLITE_OK)
        w->n_written++;
    return 0;
}

static void test_change(void) {
    const char *path = "build/test/bad_input.db";
    remove(path);
    remove("build/test/bad_input.db-wal");
    sqlite3 *db = host_open(path);
    writer w = {.db = NULL};
    host_exec(db, "PRAGMA journal_mode = wal");
    fill(db, 2000, 300, 30000);
    host_exec(
        db,
        "CREATE VIRTUAL TABLE m USING rec_model(algorithm=itemknn, interactions=rows)");
    w.db = host_open(path);
    sqlite3_progress_handler(db, 100, disturb, &w);
    HOST_CHECK(host_try(db, "SELECT rec_train('m')") == SQLITE_OK, "%s",
               sqlite3_errmsg(db));
    sqlite3_progress_handler(db, 0, NULL, NULL);
    HOST_CHECK(w.n_written > 3, "the table changed meanwhile (%d)", w.n_written);
    HOST_CHECK(host_int(db, "SELECT trained_rows FROM rec_models") == 30000,
               "the rows of one moment");
    HOST_CHECK(host_int(db, "SELECT users FROM rec_models") == 2000,
               "the users of one moment");
    HOST_CHECK(host_int(db, "SELECT count(*) FROM rec_recommend('m', 900000, 5)") == 5,
               "who came meanwhile is answered");
    host_exec(db, "INSERT INTO m(m) VALUES ('integrity-check')");
    sqlite3_close(w.db);
    sqlite3_close(db);
    remove(path);
}

/* ---- one interaction each ------------------------------------------------------------------------- */

static void test_lonely(void) {
    sqlite3 *db = host_open(":memory:");
    fill(db, N_LONELY, 500, N_LONELY);
    for (size_t i = 0; i < N_ALGORITHMS; i++) {
        host_exec(db,
                  "DROP TABLE IF EXISTS m; CREATE VIRTUAL TABLE m USING "
                  "rec_model(algorithm=%s, interactions=rows)",
                  algorithms[i]);
        HOST_CHECK(host_try(db, "SELECT rec_train('m')") == SQLITE_OK, "%s: %s",
                   algorithms[i], sqlite3_errmsg(db));
        HOST_CHECK(host_int(db, "SELECT count(*) FROM rec_recommend('m', 77, 10)") ==
                       10,
                   "%s answers", algorithms[i]);
        HOST_CHECK(host_int(db, "SELECT count(*) FROM rec_recommend('m', -1, 10)") ==
                       10,
                   "%s answers a stranger", algorithms[i]);
    }
    sqlite3_close(db);
}

int main(void) {
    test_memory();
    test_change();
    test_lonely();
    return host_end("bad_input");
}
