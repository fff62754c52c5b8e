/* test_large.c - a catalogue that is large enough for an index (REC_INDEX_MIN lowers what large means).
 *
 *   lists by the index, compared with lists from scoring everything (a condition on every score asks for that):
 *   nearly the same items, the same scores, no rule broken, never fewer rows than there are
 *   pulled on without k: every item once, ranks without a gap
 *   as one question, as rec_recommend, and for all users at once: the same list
 *   items that came and went, texts and sentences, likeness, damage, a smaller model afterwards
 */
#include "host.h"

#define N_ITEMS 6000
#define N_USERS 240
#define EXACT   " AND score < 1e9" /* known only when all is scored */

static void fill(sqlite3 *db) {
    uint64_t s = 99;
    host_exec(
        db,
        "BEGIN; CREATE TABLE items(item INTEGER PRIMARY KEY, title TEXT, words TEXT);"
        "CREATE TABLE plays(user INT, item INT); CREATE INDEX pu ON plays(user);");
    for (int i = 1; i <= N_ITEMS; i++)
        host_exec(db,
                  "INSERT INTO items VALUES (%d, 'title %d', 'a%d a%d b%d b%d c%d')", i,
                  i, i % 20, i % 20 + i % 3 * 20, i % 113, i * 7 % 113,
                  (int)host_below(&s, 900));
    for (int u = 1; u <= N_USERS; u++)
        for (uint32_t j = 0; j < 60; j++) {
            uint32_t i = 1 + host_below(&s, N_ITEMS / 20) * 20 + (uint32_t)u % 20;
            host_exec(db, "INSERT INTO plays VALUES (%d, %u)", u,
                      i > N_ITEMS ? i - 20 : i);
        }
    host_exec(db,
              "INSERT INTO plays SELECT 2000 + item, item FROM items;"
              "INSERT INTO plays SELECT 2000 + item, 1 + (item + 19) %% %d FROM items;"
              "CREATE VIEW some AS SELECT item FROM items WHERE item %% 4 < 3;"
              "CREATE TABLE has(user INT, item INT); COMMIT",
              N_ITEMS);
}

/* Rows of both lists together, of 10 a user over some users. */
static double overlap(sqlite3 *db, const char *model, const char *asked) {
    int same = 0, all = 0;
    for (int u = 1; u <= N_USERS; u += 7) {
        host_exec(
            db,
            "DROP TABLE IF EXISTS temp.a; DROP TABLE IF EXISTS temp.b;"
            "CREATE TEMP TABLE a AS SELECT * FROM %s WHERE user = %d AND k = 10 %s;"
            "CREATE TEMP TABLE b AS SELECT * FROM %s WHERE user = %d AND k = 10 "
            "%s" EXACT,
            model, u, asked, model, u, asked);
        HOST_CHECK(host_int(db, "SELECT count(*) FROM a") == 10, "%s: ten for %d",
                   model, u);
        same += (int)host_int(
            db, "SELECT count(*) FROM a JOIN b USING (item, score, seen, source)");
        all += (int)host_int(db, "SELECT count(*) FROM b");
        HOST_CHECK(
            host_int(db, "SELECT count(*) FROM a x JOIN a y ON x.rank + 1 = y.rank AND "
                         "x.score < y.score") == 0,
            "%s: in order for %d", model, u);
    }
    return all ? (double)same / all : 0;
}

static void compare(sqlite3 *db, const char *model) {
    HOST_CHECK(overlap(db, model, "") >= .95, "%s", model);
    HOST_CHECK(overlap(db, model, "AND seen = 0") >= .95, "%s unseen", model);
    host_exec(db,
              "DROP TABLE IF EXISTS temp.every; CREATE TEMP TABLE every AS SELECT "
              "user, item, "
              "score, rank, source FROM %s WHERE k = 10 AND seen = 0",
              model);
    for (int u = 1; u <= N_USERS; u += 29) {
        host_exec(db,
                  "DROP TABLE IF EXISTS temp.f; CREATE TEMP TABLE f AS SELECT * FROM "
                  "rec_recommend('%s', %d, 10)",
                  model, u);
        HOST_CHECK(
            host_int(
                db,
                "SELECT count(*) FROM f JOIN (SELECT * FROM %s WHERE user = %d AND "
                "k = 10 AND seen = 0) USING (item, score, rank, source)",
                model, u) == 10,
            "%s: rec_recommend is the table, user %d", model, u);
        HOST_CHECK(
            host_int(
                db,
                "SELECT count(*) FROM f JOIN (SELECT * FROM every WHERE user = %d) "
                "USING (item, score, rank, source)",
                u) == 10,
            "%s: all at once is one by one, user %d", model, u);
    }
}

static void pull_all(sqlite3 *db, const char *model, const char *asked, int64_t want) {
    host_exec(db,
              "DROP TABLE IF EXISTS temp.p; CREATE TEMP TABLE p AS SELECT rowid AS r, "
              "* FROM %s "
              "WHERE %s",
              model, asked);
    HOST_CHECK(host_int(db, "SELECT count(DISTINCT item) FROM p") == want,
               "%s WHERE %s", model, asked);
    HOST_CHECK(host_int(db, "SELECT count(*) FROM p") == want, "%s WHERE %s: %s", model,
               asked, host_text(db, "SELECT count(*) FROM p"));
    HOST_CHECK(host_int(db, "SELECT count(*) FROM p WHERE rank <> r") == 0,
               "ranks follow");
    HOST_CHECK(host_int(db,
                        "SELECT count(*) FROM (SELECT * FROM %s WHERE %s LIMIT 300)",
                        model, asked) == (want < 300 ? want : 300),
               "LIMIT 300");
}

static void check_rules(sqlite3 *db) {
    host_exec(db,
              "INSERT INTO has SELECT 9, item FROM ruled WHERE user = 9 AND k = 40");
    HOST_CHECK(host_int(db, "SELECT count(*) FROM ruled WHERE user = 9 AND k = 300") ==
                   300,
               "all of k");
    HOST_CHECK(
        host_int(db,
                 "SELECT count(*) FROM ruled WHERE user = 9 AND k = 300 AND (item IN "
                 "(SELECT item FROM has) OR item %% 4 = 3)") == 0,
        "rules hold");
    pull_all(db, "ruled", "user = 9", 4500 - 40);
    host_exec(
        db,
        "DELETE FROM has; INSERT INTO has SELECT 9, item FROM items WHERE item > 12");
    HOST_CHECK(host_int(db, "SELECT count(*) FROM rec_recommend('ruled', 9, 10)") <= 9,
               "nine are left");
    HOST_CHECK(host_int(db, "SELECT count(*) FROM ruled WHERE user = 9 AND k = 10") ==
                   9,
               "nine");
    host_exec(db, "DELETE FROM has");
}

/* Items like an item: by the index against a pass over all of them. */
static void check_similar(sqlite3 *db, const char *model) {
    int same = 0;
    for (int i = 10; i < 5000; i += 499) {
        host_exec(db,
                  "DROP TABLE IF EXISTS temp.s; CREATE TEMP TABLE s AS SELECT * FROM "
                  "rec_similar('%s', %d) LIMIT 10",
                  model, i);
        HOST_CHECK(
            host_int(db,
                     "SELECT count(*) FROM rec_similar('%s', %d, 10) WHERE item <> %d",
                     model, i, i) == 10,
            "alike");
        same +=
            (int)host_int(db,
                          "SELECT count(*) FROM s JOIN rec_similar('%s', %d, 10) n ON "
                          "abs(s.score - n.score) < 1e-6 AND s.rank = n.rank",
                          model, i);
    }
    HOST_CHECK(same >= 95, "rec_similar of %s: %d of 100", model, same);
}

static void check_sentence(sqlite3 *db) {
    HOST_CHECK(
        host_int(db, "SELECT count(*) FROM about WHERE query = 'a7 b50' AND k = 10") ==
            10,
        "sentence");
    HOST_CHECK(
        host_int(db,
                 "SELECT count(*) FROM (SELECT item FROM about WHERE query = 'a7 b50' "
                 "AND k = 10) "
                 "JOIN (SELECT item FROM about WHERE query = 'a7 b50' AND k = 10" EXACT
                 ") USING (item)") >= 9,
        "sentence");
}

int main(void) {
    setenv("REC_PROGRESS", "0", 1);
    setenv("REC_INDEX_MIN", "3000", 1);
    sqlite3 *db = host_open(":memory:");
    fill(db);
    host_exec(db, "CREATE VIRTUAL TABLE taste USING rec_model(algorithm=als, "
                  "factors=16, epochs=3, "
                  "interactions=plays, user=user, item=item, items=items);"
                  "CREATE VIRTUAL TABLE ruled USING rec_model(algorithm=als, "
                  "factors=16, epochs=3, "
                  "interactions=plays, user=user, item=item, items=items, "
                  "eligible=some, owned=has);"
                  "CREATE VIRTUAL TABLE about USING rec_model(algorithm=content, "
                  "embedder='lsa(32)', "
                  "items=items, item=item, title=title, text='title, words', "
                  "interactions=plays, user=user);"
                  "CREATE VIRTUAL TABLE nodes USING rec_model(algorithm=lightgcn, "
                  "factors=16, epochs=1, "
                  "interactions=plays, user=user, item=item, items=items);"
                  "INSERT INTO nodes(nodes) VALUES ('train');"
                  "INSERT INTO taste(taste) VALUES ('train'); INSERT INTO ruled(ruled) "
                  "VALUES ('train');"
                  "INSERT INTO about(about) VALUES ('train')");
    HOST_CHECK(
        host_int(db, "SELECT count(*) > 0 FROM taste_data WHERE part = 'near'") == 1,
        "there is an index");
    compare(db, "taste");
    compare(db, "about");
    pull_all(db, "taste", "user = 5", N_ITEMS);
    pull_all(db, "taste", "user = 999999", N_ITEMS);
    pull_all(db, "taste", "user = 5 AND k = 1000", 1000);
    pull_all(db, "about", "history = '[7, 8]' AND k = 100", 100);
    check_rules(db);
    check_sentence(db);
    check_similar(db, "about");
    check_similar(db, "taste");
    check_similar(db, "nodes");
    host_exec(db, "INSERT INTO taste(taste) VALUES ('integrity-check'); INSERT INTO "
                  "about(about) VALUES ('integrity-check')");

    host_exec(db, "DELETE FROM items WHERE item %% 10 = 1;"
                  "INSERT INTO items SELECT item + 100000, title, words FROM items "
                  "WHERE item < 50");
    compare(db, "taste");
    compare(db, "about");
    pull_all(db, "taste", "user = 5", host_int(db, "SELECT count(*) FROM items"));
    HOST_CHECK(
        host_int(
            db,
            "SELECT count(*) FROM rec_similar('about', 12, 10) WHERE item = 100012") ==
            1,
        "its copy is new");

    host_exec(db, "UPDATE taste_data SET bytes = zeroblob(length(bytes)) WHERE part = "
                  "'near' AND chunk = 0");
    HOST_CHECK(host_try(db, "INSERT INTO taste(taste) VALUES ('integrity-check')") !=
                   SQLITE_OK,
               "damage is found");
    setenv("REC_INDEX_MIN", "100000", 1);
    host_exec(db, "INSERT INTO taste(taste) VALUES ('train'); INSERT INTO taste(taste) "
                  "VALUES ('integrity-check')");
    HOST_CHECK(host_int(db, "SELECT count(*) FROM taste_data WHERE part IN ('near', "
                            "'alike')") == 0,
               "no index any more");
    HOST_CHECK(overlap(db, "taste", "") == 1, "exact again");
    HOST_CHECK(sqlite3_close(db) == SQLITE_OK, "nothing is left open");
    return host_end("large");
}
