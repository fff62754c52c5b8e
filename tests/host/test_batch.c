/* test_batch.c - all users at once: the same rows as one user after the other, to the last bit.
 *
 *   models    every algorithm; als, popularity and itemknn with ratings too
 *   since the training: new users, longer histories, items that came and items that went
 *   rules     none, eligible= for all, eligible= by user, owned=
 *   asked     k with and without seen, one item, lists of items, scores, ranges of users
 *   threads   all, 1, 3
 *
 * Each answer is compared with a table that is filled user by user.
 */
#include "host.h"

#define N_USERS 90
#define N_ITEMS 500

static void fill(sqlite3 *db) {
    uint64_t s = 4711;
    host_exec(db,
              "BEGIN;"
              "CREATE TABLE items(item INTEGER PRIMARY KEY, title TEXT, words TEXT);"
              "CREATE TABLE plays(user INT, item INT, stars REAL);"
              "CREATE INDEX pu ON plays(user);"
              "CREATE TABLE mine(user INT, item INT); CREATE INDEX mu ON mine(user);"
              "CREATE TABLE has(user INT, item INT); CREATE INDEX hu ON has(user);");
    for (int i = 1; i <= N_ITEMS; i++)
        host_exec(db, "INSERT INTO items VALUES (%d, 'title %d', 'w%d w%d w%d w%d')",
                  i * 3, i, i % 7, i % 31, i % 11, i * 17 % 101);
    for (int u = 1; u <= N_USERS; u++)
        for (uint32_t j = 0, n = 1 + host_below(&s, u % 10 ? 20 : 150); j < n; j++) {
            uint32_t i = 1 + host_below(&s, N_ITEMS / 2) * (1 + (u + j) % 2);
            host_exec(db, "INSERT INTO plays VALUES (%d, %u, %u)", u, i * 3,
                      1 + (i + (uint32_t)u) % 5);
            if (j % 3)
                host_exec(db, "INSERT INTO mine VALUES (%d, %u)", u, (i % 97) * 3);
            if (j % 7 == 0)
                host_exec(db, "INSERT INTO has VALUES (%d, %u)", u, (i % 89) * 3);
        }
    host_exec(db, "CREATE VIEW even AS SELECT item FROM items WHERE item %% 2 = 0;"
                  "CREATE VIEW own AS SELECT user, item FROM mine;"
                  "COMMIT");
}

#define COLUMNS "interactions=plays, user=user, item=item, items=items, title=title"
static const char *const models[][2] = {
    {"imp", "algorithm=als, factors=24, epochs=2, " COLUMNS},
    {"expl",
     "algorithm=als, factors=8, epochs=2, value=stars, feedback=explicit, " COLUMNS},
    {"pop", "algorithm=popularity, " COLUMNS},
    {"about", "algorithm=content, embedder='lsa(16)', text='title, words', " COLUMNS},
    {"hyb", "algorithm=hybrid, cf=imp, content=about"},
    {"ok", "algorithm=als, factors=5, epochs=1, eligible=even, " COLUMNS},
    {"own_ok", "algorithm=als, factors=5, epochs=1, eligible=own, " COLUMNS},
    {"owned", "algorithm=als, factors=5, epochs=1, owned=has, " COLUMNS},
    {"again", "algorithm=als, factors=5, epochs=1, repeat=1, " COLUMNS},
    {"knn", "algorithm=itemknn, " COLUMNS},
    {"knn_stars", "algorithm=itemknn, value=stars, feedback=explicit, " COLUMNS},
    {"pop_stars", "algorithm=popularity, value=stars, feedback=explicit, " COLUMNS},
    {"ridge", "algorithm=ease, " COLUMNS},
    {"web", "algorithm=graph, factors=16, " COLUMNS},
    {"sharp", "algorithm=graph, filter=bspm, factors=16, value=stars, "
              "feedback=implicit, " COLUMNS},
    {"pairs", "algorithm=bpr, factors=12, epochs=2, " COLUMNS},
    {"nodes", "algorithm=lightgcn, factors=12, epochs=2, " COLUMNS},
    {"steps", "algorithm=sequence, factors=8, epochs=1, time=stars, " COLUMNS},
    {"towers",
     "algorithm=two_tower, factors=12, epochs=2, text='title, words', " COLUMNS},
    {"found", "algorithm=hybrid, a=imp, b=knn, c=about, d=pop, gate=weighted"},
    {"wise", "algorithm=hybrid, a=expl, b=web, c=about, d=pop, gate=learned"},
};
static const char *const questions[] = {
    "k = 10 AND seen = 0",
    "k = 10",
    "k = 5 AND seen = 1",
    "k = 1 AND user > 70",
    "item = 33",
    "item IN (3, 33, 36, 1500, 99999) AND seen = 0",
    "item IN (SELECT item FROM items WHERE item % 5 = 0) AND k = 3",
    "k = 4 AND score > 0.1",
    "k = 4 AND score < 0.1",
    "k = 4 AND source <> 'popularity'",
    "k = 0",
    "k = 7 AND rank <= 2",
    "user BETWEEN 10 AND 14",
};
#define N_OF(a) (sizeof(a) / sizeof((a)[0]))

static void compare(sqlite3 *db, const char *model, const char *question) {
    static const char columns[] = "user, item, score, rank, seen, source";
    sqlite3_stmt *users = NULL;
    host_exec(db,
              "DROP TABLE IF EXISTS temp.one; DROP TABLE IF EXISTS temp.all_;"
              "CREATE TEMP TABLE all_ AS SELECT %s FROM %s WHERE %s",
              columns, model, question);
    host_exec(db, "CREATE TEMP TABLE one AS SELECT * FROM all_ LIMIT 0");
    sqlite3_prepare_v2(db, "SELECT DISTINCT user FROM plays ORDER BY user", -1, &users,
                       NULL);
    while (sqlite3_step(users) == SQLITE_ROW)
        host_exec(db, "INSERT INTO one SELECT %s FROM %s WHERE user = %d AND %s",
                  columns, model, sqlite3_column_int(users, 0), question);
    sqlite3_finalize(users);
    int64_t n = host_int(db, "SELECT count(*) FROM one");
    HOST_CHECK(n == host_int(db, "SELECT count(*) FROM all_"), "%s: %s", model,
               question);
    n = host_int(
        db, "SELECT count(*) FROM one a JOIN all_ b ON a.rowid = b.rowid WHERE a.user "
            "IS NOT b.user OR a.item IS NOT b.item OR a.score IS NOT b.score OR a.rank "
            "IS NOT b.rank OR a.seen IS NOT b.seen OR a.source IS NOT b.source");
    HOST_CHECK(n == 0, "%s: %s: %d rows differ", model, question, (int)n);
}

static void compare_all(sqlite3 *db) {
    for (size_t m = 0; m < N_OF(models); m++)
        for (size_t q = 0; q < N_OF(questions); q++)
            compare(db, models[m][0], questions[q]);
}

/* More than the users of one block, then an answer that is written while it is read, and one that is left. */
static void compare_many(sqlite3 *db) {
    host_exec(
        db,
        "WITH RECURSIVE n(i) AS (VALUES (1) UNION ALL SELECT i + 1 FROM n WHERE "
        "i < 9) INSERT INTO plays SELECT user + 1000 * i, item, stars FROM plays, n "
        "WHERE user <= 90");
    compare(db, "imp", "k = 3 AND seen = 0");
    host_exec(db,
              "CREATE TABLE list AS SELECT user, item FROM imp WHERE k = 0;"
              "INSERT INTO list SELECT user, item FROM imp WHERE k = 2 AND seen = 0");
    HOST_CHECK(host_int(db, "SELECT count(*) FROM list") ==
                   2 * host_int(db, "SELECT count(DISTINCT user) FROM plays"),
               "INSERT ... SELECT");
    for (int n = 1; n < 300; n += 70)
        HOST_CHECK(
            host_int(db,
                     "SELECT count(*) FROM (SELECT 1 FROM imp WHERE k = 2 LIMIT %d)",
                     n) == n,
            "the first %d", n);
}

int main(void) {
    setenv("REC_PROGRESS", "0", 1);
    sqlite3 *db = host_open(":memory:");
    fill(db);
    for (size_t m = 0; m < N_OF(models); m++) {
        host_exec(db, "CREATE VIRTUAL TABLE %s USING rec_model(%s)", models[m][0],
                  models[m][1]);
        host_exec(db, "INSERT INTO %s(%s) VALUES ('train')", models[m][0],
                  models[m][0]);
    }
    compare_all(db);
    host_exec(
        db,
        "INSERT INTO plays SELECT 400 + user, item, stars FROM plays WHERE user < 20;"
        "INSERT INTO plays SELECT user, 33, 5 FROM plays WHERE user < 40;"
        "INSERT INTO items VALUES (1, 'new', 'w1 w2'), (100000, 'newer', 'w3 w7');"
        "INSERT INTO plays VALUES (7, 1, 4), (1000, 1, 5), (1001, 100000, 1);"
        "DELETE FROM items WHERE item IN (36, 300, 303)");
    for (int threads = 1; threads <= 3; threads += 2) {
        char n[8];
        snprintf(n, sizeof n, "%d", threads);
        setenv("REC_THREADS", n, 1);
        compare_all(db);
    }
    compare_many(db);
    HOST_CHECK(sqlite3_close(db) == SQLITE_OK, "nothing is left open");
    return host_end("batch");
}
