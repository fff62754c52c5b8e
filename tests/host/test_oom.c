/* test_oom.c - out of memory at every allocation, once and from then on.
 *
 *   for each scenario, for each mode (one failure; every one from the n-th), for each n that is chosen:
 *       fresh copy of the set-up (tables, trained models), arm, run, disarm
 *       a statement that fails must say "out of memory"; the database must then be sound; after close
 *       not one byte may be left
 *
 * SQLite's own allocator is replaced, and the extension takes its memory from SQLite, so one counter sees both.
 *
 * Which n: a run without failures notes for every allocation the way to it (a hash of the nearest return addresses
 * on the stack that lie in the extension). Allocations that are reached by the same way meet the same error paths, so
 * the first of each way fails, and of the others every n up to DENSE, then every n/DENSE-th. The second mode takes every
 * other one of these: what it has of its own is that cleaning up meets failures, too.
 *
 * The check of the whole database after a run is made when the run changed a byte of it, else now and then.
 */
#include <dlfcn.h>
#include <execinfo.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define DENSE      16
#define NEAR       4       /* of them that are in the extension */
#define DEEP       64      /* return addresses that are looked at */
#define MAX_ALLOCS 4000000 /* of a scenario */
#define MAX_WAYS   65536   /* a power of two */
#define CHECK_EACH 16      /* runs that changed nothing */

static sqlite3_mem_methods real;
static long countdown = -1; /* -1: never fail */
static int persistent, tripped;
static long live;

/* ---- which allocations ------------------------------------------------------------------------- */

static unsigned char *chosen; /* by n - 1 */
static long n_noted;
static unsigned long way_hash[MAX_WAYS];
static unsigned char way_seen[MAX_WAYS];
static void *lib_base; /* of the extension */
static int is_noting;

static void *base_of(void *address) {
    Dl_info info;
    return dladdr(address, &info) ? info.dli_fbase : NULL;
}

static int is_ours(void *address) {
    static void *known[4096]; /* dladdr takes a while */
    static unsigned char ours[4096];
    size_t at = ((size_t)address >> 1) % 4096;
    if (known[at] != address)
        known[at] = address, ours[at] = base_of(address) == lib_base;
    return ours[at];
}

static unsigned long way_here(void) {
    void *frame[DEEP];
    unsigned long h = 1469598103934665603u;
    int n = backtrace(frame, DEEP);
    for (int i = 0, near = 0; i < n && near < NEAR; i++)
        if (is_ours(frame[i]) && ++near)
            h = (h ^ (unsigned long)frame[i]) * 1099511628211u;
    return h ? h : 1;
}

static void note(void) {
    if (n_noted == MAX_ALLOCS) return;
    unsigned long h = way_here(), at = h % MAX_WAYS;
    while (way_hash[at] && way_hash[at] != h) at = (at + 1) % MAX_WAYS;
    way_hash[at] = h;
    chosen[n_noted++] = !way_seen[at];
    way_seen[at] = 1;
}

/* After noting: the ways' own ones, and a stride over all. */
static void choose_stride(long dense) {
    for (long n = 1; n <= n_noted; n += 1 + n / dense) chosen[n - 1] = 1;
}

static int fail_now(void) {
    if (is_noting) {
        note();
        return 0;
    }
    if (countdown < 0) return 0;
    if (countdown > 0) {
        countdown--;
        return 0;
    }
    tripped = 1;
    if (!persistent) countdown = -1;
    return 1;
}
static void *f_malloc(int n) {
    if (fail_now()) return NULL;
    void *p = real.xMalloc(n);
    if (p) live++;
    return p;
}
static void *f_realloc(void *p, int n) {
    return fail_now() ? NULL : real.xRealloc(p, n);
}
static void f_free(void *p) {
    if (p) live--;
    real.xFree(p);
}

typedef struct scenario {
    const char *name, *tables, *models, *run,
        *after; /* the first two without failures */
    long dense; /* 0 = DENSE */
} scenario;

static const char base_tables[] =
    "CREATE TABLE movies(movie_id INTEGER PRIMARY KEY, title TEXT, genres TEXT, year "
    "INT, overview TEXT);"
    "INSERT INTO movies VALUES (1,'Alpha','Comedy|Drama',1990,'a man walks a dog in "
    "the city'),"
    "(2,'Beta','Drama',1995,'a woman sails the sea alone'),(3,'Gamma "
    "Ray','Action',2001,'robots fight over the city'),"
    "(4,'Delta','Comedy',2005,'a dog sails the sea with "
    "robots'),(5,'Epsilon','Action|Drama',2010,'a man and a woman fight robots');"
    "CREATE TABLE ratings(user_id INT, movie_id INT, rating REAL, rated_at INT);"
    "CREATE INDEX ru ON ratings(user_id);"
    "INSERT INTO ratings VALUES "
    "(1,1,5,100),(1,2,4,110),(2,1,4,120),(2,3,5,130),(3,2,5,140),(3,4,3,150),(4,5,4,"
    "160),(4,3,2,170);"
    "CREATE VIEW ok AS SELECT movie_id AS item FROM movies WHERE year > 1990;";

#define CREATE_MODELS                                                                 \
    "CREATE VIRTUAL TABLE pop USING rec_model(algorithm=popularity, "                 \
    "interactions=ratings, user=user_id, item=movie_id, time=rated_at, "              \
    "half_life='2 days');"                                                            \
    "CREATE VIRTUAL TABLE taste USING rec_model(algorithm=als, factors=4, epochs=1, " \
    "interactions=ratings, user=user_id, item=movie_id, feedback=implicit, "          \
    "positive='rating >= 3', items=movies, title=title);"                             \
    "CREATE VIRTUAL TABLE stars USING rec_model(algorithm=als, factors=2, epochs=1, " \
    "interactions=ratings, user=user_id, item=movie_id, value=rating, "               \
    "feedback=explicit);"                                                             \
    "CREATE VIRTUAL TABLE web USING rec_model(algorithm=graph, filter=bspm, "         \
    "factors=2, interactions=ratings, user=user_id, item=movie_id);"                  \
    "CREATE VIRTUAL TABLE pairs USING rec_model(algorithm=bpr, factors=2, "           \
    "epochs=1, interactions=ratings, user=user_id, item=movie_id);"                   \
    "CREATE VIRTUAL TABLE waves USING rec_model(algorithm=lightgcn, factors=2, "      \
    "epochs=1, interactions=ratings, user=user_id, item=movie_id);"                   \
    "CREATE VIRTUAL TABLE towers USING rec_model(algorithm=two_tower, factors=2, "    \
    "epochs=1, interactions=ratings, user=user_id, item=movie_id, items=movies, "     \
    "text=overview);"                                                                 \
    "CREATE VIRTUAL TABLE about USING rec_model(algorithm=content, "                  \
    "embedder='lsa(4)', items=movies, item=movie_id, title=title, text='title, "      \
    "overview', facets='genres[|], year', interactions=ratings, user=user_id, "       \
    "value=rating, feedback=explicit);"                                               \
    "CREATE VIRTUAL TABLE near USING rec_model(algorithm=itemknn, "                   \
    "interactions=ratings, user=user_id, item=movie_id, value=rating, "               \
    "feedback=explicit);"                                                             \
    "CREATE VIRTUAL TABLE ridge USING rec_model(algorithm=ease, form=sparse, "        \
    "interactions=ratings, user=user_id, item=movie_id);"                             \
    "CREATE VIRTUAL TABLE reader USING rec_model(algorithm=hybrid, cf=taste, "        \
    "content=about, eligible=ok);"
#define TRAIN_MODELS                                                    \
    "INSERT INTO pop(pop) VALUES ('train'); SELECT rec_train('taste');" \
    "INSERT INTO stars(stars) VALUES ('train');"                        \
    "INSERT INTO web(web) VALUES ('train');"                            \
    "INSERT INTO waves(waves) VALUES ('train');"                        \
    "INSERT INTO towers(towers) VALUES ('train');"                      \
    "INSERT INTO pairs(pairs) VALUES ('train');"                        \
    "INSERT INTO near(near) VALUES ('train');"                          \
    "INSERT INTO ridge(ridge) VALUES ('train');"                        \
    "INSERT INTO about(about) VALUES ('train'); SELECT rec_train('reader');"

#define MODELS CREATE_MODELS TRAIN_MODELS
#define CHECK_MODELS                                                                   \
    "INSERT INTO pop(pop) VALUES ('integrity-check'); INSERT INTO taste(taste) "       \
    "VALUES ('integrity-check'); INSERT INTO stars(stars) VALUES ('integrity-check');" \
    "INSERT INTO web(web) VALUES ('integrity-check');"                                 \
    "INSERT INTO waves(waves) VALUES ('integrity-check');"                             \
    "INSERT INTO towers(towers) VALUES ('integrity-check');"                           \
    "INSERT INTO pairs(pairs) VALUES ('integrity-check');"                             \
    "INSERT INTO near(near) VALUES ('integrity-check');"                               \
    "INSERT INTO ridge(ridge) VALUES ('integrity-check');"                             \
    "INSERT INTO about(about) VALUES ('integrity-check'); INSERT INTO reader(reader) " \
    "VALUES ('integrity-check');"

/* Those that go on from the stored model. */
#define TRAIN_GROWING                                                         \
    "SELECT rec_train('taste'); INSERT INTO stars(stars) VALUES ('train');"   \
    "INSERT INTO web(web) VALUES ('train'); INSERT INTO waves(waves) VALUES " \
    "('train'); INSERT INTO towers(towers) VALUES ('train'); INSERT INTO "    \
    "pairs(pairs) VALUES ('train');"
#define CHECK_GROWING                                                                \
    "INSERT INTO taste(taste) VALUES ('integrity-check'); INSERT INTO stars(stars) " \
    "VALUES ('integrity-check'); INSERT INTO web(web) VALUES ('integrity-check'); "  \
    "INSERT INTO waves(waves) VALUES ('integrity-check'); INSERT INTO "              \
    "towers(towers) VALUES ('integrity-check'); INSERT INTO pairs(pairs) VALUES "    \
    "('integrity-check');"

static const scenario scenarios[] = {
    {"sequence",
     "CREATE TABLE walks(user INT, item INT, at INT); CREATE INDEX wu ON walks(user);"
     "INSERT INTO walks VALUES (1,1,5),(1,2,6),(1,3,7),(2,2,1),(2,3,2),(3,1,3);",
     "",
     "CREATE VIRTUAL TABLE s USING rec_model(algorithm=sequence, factors=8, layers=1, "
     "heads=1, window=3, epochs=1, interactions=walks, time=at);"
     "INSERT INTO s(s) VALUES ('train'); SELECT item FROM rec_recommend('s', 1, 2);"
     "SELECT user, item FROM s WHERE k = 2; SELECT * FROM rec_explain('s', 1, 2);"
     "SELECT item FROM rec_similar('s', 1, 2);"
     "INSERT INTO s(s) VALUES ('integrity-check'); DROP TABLE s;",
     "", 0},
    {"index", "", "",
     "CREATE VIRTUAL TABLE v USING rec_index(id INTEGER PRIMARY KEY, e float32[4], tag "
     "TEXT, metric=l2);"
     "INSERT INTO v(id, e, tag) VALUES "
     "(1,'[1,0,0,0]','a'),(2,'[0,1,0,0]','b'),(3,'[0,0,1,0]',NULL);"
     "BEGIN; INSERT INTO v(id, e, tag) VALUES (4,'[0,0,0,1]','a'); SAVEPOINT s; DELETE "
     "FROM v WHERE id = 1;"
     "ROLLBACK TO s; UPDATE v SET tag = 'c' WHERE id = 2; COMMIT;"
     "SELECT id, distance FROM v WHERE e MATCH '[1,1,0,0]' AND tag IN ('a','c') ORDER "
     "BY distance LIMIT 3;"
     "SELECT id FROM v WHERE e MATCH '[1,1,0,0]' AND k = 2;"
     "SELECT * FROM rec_similar('v', 2, 2);"
     "INSERT INTO v(v) VALUES ('rebuild'), ('optimize'), ('integrity-check');"
     "SELECT rec_vector_json(rec_normalize('[3,4]')), "
     "rec_distance('[1,2]','[2,1]','l2');"
     "SELECT rec_vector_json(rec_centroid(e, 2)) FROM v; ALTER TABLE v RENAME TO w; "
     "DROP TABLE w;",
     "", 0},
    {"graph",
     "CREATE VIRTUAL TABLE v USING rec_index(id INTEGER PRIMARY KEY, e float32[4], tag "
     "TEXT, metric=l2, "
     "kind=hnsw, m=4, ef_construction=8);"
     "WITH RECURSIVE c(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM c WHERE i < 200) "
     "INSERT INTO v SELECT i, "
     "json_array(i * 37 % 101, i * 53 % 89, i % 7, i % 11), 'a' || i % 3 FROM c;"
     "INSERT INTO v(v) VALUES ('optimize'); DELETE FROM v WHERE id % 50 = 7; INSERT "
     "INTO v VALUES (500, "
     "'[1,2,3,4]', 'b');",
     "CREATE TABLE kept(x); INSERT INTO kept SELECT count(*) FROM v;",
     "SELECT id, distance FROM v WHERE e MATCH '[9,9,1,1]' AND ef = 4 ORDER BY "
     "distance LIMIT 70;"
     "SELECT id FROM v WHERE e MATCH '[9,9,1,1]' AND k = 5 AND ef = 4;"
     "SELECT id FROM v WHERE e MATCH '[9,9,1,1]' AND k = 5 AND ef = 3 AND tag = 'a1';"
     "BEGIN; INSERT INTO v VALUES (600, '[5,5,5,5]', 'c'); DELETE FROM v WHERE id IN "
     "(3, 4); SAVEPOINT s; "
     "UPDATE v SET e = '[1,1,1,1]' WHERE id = 5; SELECT id FROM v WHERE e MATCH "
     "'[1,1,1,1]' AND k = 3 AND ef = "
     "4; ROLLBACK TO s; SELECT id FROM v WHERE e MATCH '[1,1,1,1]' AND k = 3 AND ef = "
     "4; COMMIT;"
     "INSERT INTO v(v) VALUES ('ef=10'), ('integrity-check'); SELECT * FROM "
     "rec_index_stats('v', 3, 2); SELECT * FROM rec_check;"
     "SELECT * FROM rec_similar('v', 10, 2); INSERT INTO v(v) VALUES ('optimize'); "
     "INSERT INTO v(v) VALUES "
     "('rebuild');",
     "INSERT INTO v(v) VALUES ('integrity-check');", 0},
    {"graph_life", "", "",
     "CREATE VIRTUAL TABLE v USING rec_index(e float32[2], kind=hnsw); INSERT INTO v "
     "VALUES ('[1,2]'), ('[3,4]'); "
     "INSERT INTO v(v) VALUES ('optimize'); BEGIN; DELETE FROM v WHERE rowid = 1; "
     "ALTER TABLE v RENAME TO w; COMMIT; "
     "SELECT rowid FROM w WHERE e MATCH '[1,1]' AND k = 3; DROP TABLE w;",
     "PRAGMA integrity_check;", 0},
    {"graph_link",
     "CREATE VIRTUAL TABLE v USING rec_index(id TEXT PRIMARY KEY, e int8[3], "
     "kind=hnsw, metric=l2, m=4, "
     "ef_construction=8);"
     "WITH RECURSIVE c(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM c WHERE i < 2046) "
     "INSERT INTO v SELECT i, "
     "json_array(i % 101, i * 53 % 89, i % 7) FROM c;",
     "CREATE TABLE kept(x);",
     "BEGIN; INSERT INTO v VALUES ('x', '[1,2,3]'), ('y', '[3,4,5]'), ('z', "
     "'[5,6,7]'); COMMIT; SELECT id FROM v "
     "WHERE e MATCH '[1,2,3]' AND k = 3 AND ef = 4;",
     "INSERT INTO v(v) VALUES ('integrity-check');", 0},
    {"create", base_tables, "",
     CREATE_MODELS "INSERT INTO taste(taste) VALUES ('factors=3');"
                   "ALTER TABLE pop RENAME TO charts; DROP TABLE charts;",
     "PRAGMA integrity_check;", 0},
    {"train", base_tables, CREATE_MODELS, TRAIN_MODELS, "PRAGMA integrity_check;", 0},
    {"grow", base_tables, CREATE_MODELS TRAIN_GROWING,
     "INSERT INTO ratings VALUES (5, 1, 5, 400);" TRAIN_GROWING
     "SELECT count(*) FROM taste_log WHERE phase = 'incremental';",
     CHECK_GROWING, 100},
    {"embedders", base_tables,
     "ALTER TABLE movies ADD COLUMN look; UPDATE movies SET look = '[1,2]' WHERE "
     "movie_id "
     "< 4;"
     "CREATE VIRTUAL TABLE look USING rec_model(algorithm=content, items=movies, "
     "item=movie_id, text=overview, facets='genres[|], year', "
     "feature_weights='year:1', "
     "embedder='lsa(3), column(look):0.5', centroids=2, interactions=ratings, "
     "user=user_id);"
     "CREATE VIRTUAL TABLE warm USING rec_model(algorithm=als, factors=2, epochs=2, "
     "interactions=ratings, user=user_id, items=movies, item=movie_id, features=look);"
     "SELECT rec_train('look'); SELECT rec_train('warm');",
     "SELECT rec_train('look'); INSERT INTO warm(warm) VALUES ('train');"
     "SELECT item, score FROM look WHERE user = 1; SELECT item, score FROM warm WHERE "
     "user = 1;"
     "INSERT INTO movies VALUES (6,'Zeta','Drama',1991,'a dog',x'0000803f00000000');"
     "SELECT item, score FROM look WHERE history = '[1]'; SELECT item, score FROM warm "
     "WHERE user = 2;",
     "INSERT INTO look(look) VALUES ('integrity-check'); INSERT INTO warm(warm) VALUES "
     "('integrity-check');",
     0},
    {"relation", base_tables, MODELS,
     "SELECT item, score FROM taste WHERE user = 1 AND seen = 0 ORDER BY score DESC "
     "LIMIT 2;"
     "SELECT user, item, score, source FROM taste WHERE k = 1;"
     "SELECT item, score FROM about WHERE history = '[1,2]' AND item IN (3,4,5);"
     "SELECT item FROM web WHERE user = 2 AND k = 2; SELECT item FROM "
     "rec_similar('web', 1, 2);"
     "SELECT item FROM near WHERE user = 2 AND k = 2; SELECT item FROM "
     "rec_similar('ridge', 1, 2);"
     "SELECT item FROM stars WHERE user = 2 AND k = 2; SELECT item FROM pop WHERE user "
     "= 77 AND k = 2;"
     "INSERT INTO ratings VALUES (9, 3, 5, 200); INSERT INTO movies VALUES (6, 'Zeta', "
     "'Drama', 2012, 'a robot at sea');"
     "SELECT user, item FROM reader WHERE k = 2 AND query = 'robots';",
     CHECK_MODELS, 0},
    {"lists", base_tables, MODELS,
     "SELECT user, item FROM web WHERE k = 2; SELECT user, item FROM pairs WHERE k = 2;"
     "SELECT user, item FROM waves WHERE k = 2;"
     "SELECT user, item FROM towers WHERE k = 2;"
     "SELECT user, item FROM near WHERE k = 2; SELECT user, item FROM ridge WHERE k = "
     "2;"
     "SELECT user, item FROM pop WHERE k = 2; SELECT user, item FROM about WHERE k = 2;"
     "SELECT user, item FROM stars WHERE k = 2;",
     CHECK_MODELS, 0},
    {"gate", base_tables,
     CREATE_MODELS TRAIN_MODELS
     "CREATE VIRTUAL TABLE found USING rec_model(algorithm=hybrid, cf=taste, "
     "near=near, content=about, gate=weighted); CREATE VIRTUAL TABLE wise USING "
     "rec_model(algorithm=hybrid, cf=pop, near=near, content=about, gate=learned);"
     "SELECT rec_train('found');",
     "INSERT INTO found(found) VALUES ('train'); SELECT rec_train('wise');"
     "SELECT user, item, score FROM found WHERE k = 2;"
     "SELECT * FROM rec_hybrid('found', 1, 'a dog at sea', 3);"
     "SELECT * FROM rec_explain('found', 1, 3);",
     "INSERT INTO found(found) VALUES ('integrity-check');", 0},
    {"functions", base_tables, MODELS,
     "SELECT * FROM rec_recommend('reader', 1, 3); SELECT * FROM rec_similar('about', "
     "1, "
     "2);"
     "SELECT * FROM rec_similar_users('taste', 1, 2);"
     "SELECT * FROM rec_hybrid('reader', 1, 'a dog at sea after 1999', 3);"
     "SELECT * FROM rec_explain('reader', 1, 3); SELECT rec_reason('reader', 1, 3), "
     "rec_recommend('taste', 1, 2);"
     "SELECT * FROM rec_check('reader'); SELECT * FROM rec_user('reader', 1); SELECT * "
     "FROM rec_why_not('reader', 1, 1); "
     "SELECT * FROM rec_models;"
     "SELECT rec_rrf(rank, 1) FROM rec_recommend('pop', 1) GROUP BY item; SELECT "
     "length(rec_tools());"
     "SELECT rec_cf_score('reader', 1, 4), rec_similarity('about', 1, 2), "
     "rec_hybrid_score('reader', 2, 4);",
     CHECK_MODELS, 0},
    {"preferences", base_tables,
     MODELS
     "CREATE TABLE said(user, kind, key, value, weight); INSERT INTO said VALUES "
     "(1, 'item', 4, NULL, 1), (1, 'item', 5, NULL, -1), (2, 'facet', 'genres', "
     "'Drama', 1), (NULL, 'facet', 'year', '..2005', -.5), (2, 'word', NULL, "
     "'robot', 1);"
     "INSERT INTO reader(reader) VALUES ('preferences=said');"
     "INSERT INTO about(about) VALUES ('preferences=said');",
     "SELECT * FROM rec_recommend('reader', 2, 3); SELECT * FROM rec_user('about', 1);"
     "SELECT * FROM rec_explain('reader', 2, 3); SELECT * FROM rec_why_not('about', 1, "
     "5);"
     "SELECT user, item FROM about WHERE k = 2; SELECT user, item FROM reader WHERE k "
     "= "
     "2;"
     "SELECT * FROM rec_diversify('[1, 2, 3, 4]', '{\"model\": \"about\", "
     "\"popularity\": 0.2}');"
     "SELECT * FROM rec_diversify('[{\"id\": 1, \"genres\": \"a|b\"}, {\"id\": 2}]', "
     "'{\"model\": \"about\", \"method\": \"calibrated\", \"facet\": "
     "\"genres[|]\", \"user\": 1, \"caps\": {\"genres\": 1}}');"
     "SELECT * FROM rec_diversify('[{\"id\": 1, \"vector\": [1, 2]}, {\"id\": "
     "\"x\"}]');",
     CHECK_MODELS, 0},
    {"evaluate", base_tables, MODELS,
     "SELECT * FROM rec_evaluate('pop', '{\"split\": \"temporal\", \"k\": [1, 3], "
     "\"bootstrap\": 20, \"bucket\": \"history\"}');"
     "SELECT * FROM rec_evaluate('reader', '{\"split\": \"leave-one-out\", "
     "\"bootstrap\": 20}');"
     "SELECT * FROM rec_evaluate('reader', '{\"stage\": \"candidates\", "
     "\"bootstrap\": 3}'); SELECT * FROM rec_evaluate('pop', '{\"bucket\": "
     "\"item\", \"bootstrap\": 3}');"
     "SELECT * FROM rec_compare('stars', 'about', '{\"split\": \"user\", \"k\": 2, "
     "\"bootstrap\": 20}');"
     "CREATE TEMP TABLE asked(user_id INT, movie_id INT);"
     "INSERT INTO asked VALUES (1, 3), (9, 1), (2, 99);"
     "CREATE TABLE main.asked AS SELECT * FROM asked;"
     "SELECT * FROM rec_evaluate('taste', '{\"table\": \"asked\", \"bootstrap\": 5, "
     "\"users\": 1}');"
     "DROP TABLE main.asked; DROP TABLE temp.asked;",
     CHECK_MODELS, 0},
    {"tune", base_tables, MODELS,
     "SELECT * FROM rec_tune('taste', '{\"trials\": 2}');"
     "SELECT rec_train('taste', '{\"keep_if\": \"ndcg@2\"}');"
     "INSERT INTO ratings VALUES (1, 5, 5, 300), (3, 1, 4, 310);"
     "SELECT rec_train('taste', '{\"keep_if\": \"ndcg@2\"}');"
     "SELECT rec_train('pop', '{\"keep_if\": \"ndcg@2\"}');",
     CHECK_MODELS, 0},
    {"language", base_tables, MODELS,
     "SELECT llm_rewrite('comedies like Alpha, not drama, after 1995 with a dog', "
     "'reader');"
     "SELECT * FROM llm_rerank('dog', "
     "json_array(json_object('id',1,'title','Alpha','overview','a dog "
     "walks','score',.5),"
     "json_object('id',2,'title','Beta','overview','a cat','score',.7)));"
     "SELECT length(llm_rewrite_request('a dog', 'reader'));"
     "INSERT INTO llm_models(name, base_url) VALUES ('x', 'http://127.0.0.1:1'); "
     "DELETE "
     "FROM llm_models; SELECT * FROM llm_usage;"
     "SELECT rec_match('{\"year\":{\"min\":1995}}', '{\"year\":1999}', 'reader');",
     "", 0},
    {"converse", base_tables, MODELS,
     "SELECT llm_converse('reader', NULL, 'hello', '{\"user\": 1, \"k\": 1, "
     "\"preferences\": [{\"kind\": \"word\", \"value\": \"cat\", \"weight\": 0.5}]}');"
     "SELECT llm_converse('reader', llm_converse('reader', '{\"k\": 1}', 'no drama') "
     "-> "
     "'state', 'Not that one. A bit older, with a dog, like Alpha');"
     "SELECT llm_converse('reader', llm_converse('reader', '{\"k\": 1}', 'hello') -> "
     "'state', 'what year is the first one?');",
     "", 0},
    {"enrich", base_tables, MODELS,
     "SELECT * FROM llm_enrich_each('[{\"id\":1,\"title\":\"A dog (1999)\",\"genres\":"
     "\"Drama\"},3,{\"id\":\"x\"}]', '{\"model\":\"reader\"}');"
     "SELECT llm_enrich('{\"title\":\"A dog\",\"words\":[\"cat\",2]}');"
     "SELECT llm_enrich_hash('{\"title\":\"A\"}'), "
     "length(llm_enrich_request('{\"title\":\"A\"}'));"
     "SELECT llm_profile('reader', 1), llm_profile('reader', 2, '{\"form\":\"json\"}');"
     "SELECT length(llm_profile_request('reader', 1));",
     "", 0},
};

/* Run statements; the first failure's code is returned, its message kept. */
static int run(sqlite3 *db, const char *sql, char *message, size_t cap) {
    while (sql && *sql) {
        sqlite3_stmt *st = NULL;
        int rc = sqlite3_prepare_v2(db, sql, -1, &st, &sql);
        if (rc == SQLITE_OK && !st) continue;
        if (rc == SQLITE_OK)
            while ((rc = sqlite3_step(st)) == SQLITE_ROW)
                for (int i = 0; i < sqlite3_column_count(st); i++)
                    sqlite3_column_text(st, i);
        if (rc != SQLITE_DONE) {
            snprintf(message, cap, "%s", sqlite3_errmsg(db));
            int primary = sqlite3_errcode(db) & 0xff;
            sqlite3_finalize(st);
            return primary ? primary : SQLITE_ERROR;
        }
        sqlite3_finalize(st);
    }
    return SQLITE_OK;
}

static const char *lib_name(void) {
    return getenv("REC_LIB") ? getenv("REC_LIB") : "build/release/rec";
}

/* Where the extension, which is loaded, begins. */
static void *library_base(void) {
    static const char *const suffix[] = {"", ".so", ".dylib"};
    for (int i = 0; i < 3; i++) {
        char path[1000];
        snprintf(path, sizeof path, "%s%s%s", strchr(lib_name(), '/') ? "" : "./",
                 lib_name(), suffix[i]);
        void *lib = dlopen(path, RTLD_NOW);
        if (lib) return base_of(dlsym(lib, "sqlite3_rec_init"));
    }
    return NULL;
}

static sqlite3 *open_loaded(void) {
    sqlite3 *db = NULL;
    const char *lib = lib_name();
    sqlite3_open(":memory:", &db);
    sqlite3_db_config(db, SQLITE_DBCONFIG_ENABLE_LOAD_EXTENSION, 1, NULL);
    char *err = NULL;
    if (sqlite3_load_extension(db, lib, NULL, &err) != SQLITE_OK) {
        fprintf(stderr, "cannot load %s: %s\n", lib, err);
        exit(2);
    }
    return db;
}

/* What a scenario starts from, made once and copied for every run. */
typedef struct start {
    unsigned char *image;
    sqlite3_int64 n;
} start;

static start make_start(const scenario *s) {
    char message[400] = "";
    start out = {0};
    sqlite3 *db = open_loaded();
    int rc = run(db, "CREATE TABLE any(x)", message, sizeof message);
    if (rc == SQLITE_OK) rc = run(db, s->tables, message, sizeof message);
    if (rc == SQLITE_OK) rc = run(db, s->models, message, sizeof message);
    if (rc == SQLITE_OK) out.image = sqlite3_serialize(db, "main", &out.n, 0);
    sqlite3_close(db);
    if (!out.image) {
        fprintf(stderr, "%s: set-up failed: %s\n", s->name, message);
        exit(2);
    }
    return out;
}

static sqlite3 *open_ready(const start *from) {
    sqlite3 *db = open_loaded();
    unsigned char *p = sqlite3_malloc64((sqlite3_uint64)from->n);
    if (!p) exit(2);
    memcpy(p, from->image, (size_t)from->n);
    sqlite3_deserialize(db, "main", p, from->n, from->n,
                        SQLITE_DESERIALIZE_FREEONCLOSE | SQLITE_DESERIALIZE_RESIZEABLE);
    return db;
}

/* Whether the database is, byte for byte, what the run began with. */
static int is_unchanged(sqlite3 *db, const start *from) {
    sqlite3_int64 n = 0;
    unsigned char *p = sqlite3_serialize(db, "main", &n, SQLITE_SERIALIZE_NOCOPY);
    return p && n == from->n && memcmp(p, from->image, (size_t)n) == 0;
}

/* Fills `chosen`; returns how many runs that makes. */
static long choose(const scenario *s, const start *from) {
    char message[400];
    memset(way_hash, 0, sizeof way_hash);
    memset(way_seen, 0, sizeof way_seen);
    n_noted = 0;
    sqlite3 *db = open_ready(from);
    is_noting = 1;
    run(db, s->run, message, sizeof message);
    is_noting = 0;
    sqlite3_close(db);
    choose_stride(s->dense ? s->dense : DENSE);
    long n = 0;
    for (long i = 0; i < n_noted; i++) n += chosen[i];
    return n;
}

/* One run with the n-th allocation failing. Returns 1 while n was reached; counts complaints in *bad. */
static int one(const scenario *s, const start *from, long n, int *bad) {
    char message[400] = "";
    long before = live;
    sqlite3 *db = open_ready(from);
    tripped = 0;
    countdown = n - 1;
    int rc = run(db, s->run, message, sizeof message);
    countdown = -1;
    int reached = tripped;
    if (rc != SQLITE_OK &&
        !(reached && (rc == SQLITE_NOMEM || strstr(message, "out of memory")))) {
        fprintf(stderr, "%s n=%ld persistent=%d: rc=%d %s\n", s->name, n, persistent,
                rc, message);
        (*bad)++;
    }
    if (!sqlite3_get_autocommit(db)) run(db, "ROLLBACK", message, sizeof message);
    static int n_unchanged;
    int want_check = !is_unchanged(db, from) || n_unchanged++ % CHECK_EACH == 0;
    if (want_check && (rc == SQLITE_OK || s->models[0])) {
        if (run(db, s->after, message, sizeof message) != SQLITE_OK) {
            fprintf(stderr, "%s n=%ld persistent=%d: after: %s\n", s->name, n,
                    persistent, message);
            (*bad)++;
        }
    }
    if (sqlite3_close(db) != SQLITE_OK) {
        fprintf(stderr, "%s n=%ld persistent=%d: statements left open\n", s->name, n,
                persistent);
        (*bad)++, sqlite3_close_v2(db);
    }
    if (live != before) {
        fprintf(stderr, "%s n=%ld persistent=%d: %ld allocations leaked\n", s->name, n,
                persistent, live - before);
        (*bad)++, live = before;
    }
    return reached;
}

int main(int argc, char **argv) {
    sqlite3_config(SQLITE_CONFIG_GETMALLOC, &real);
    sqlite3_mem_methods mine = real;
    mine.xMalloc = f_malloc, mine.xRealloc = f_realloc, mine.xFree = f_free;
    sqlite3_config(SQLITE_CONFIG_MALLOC, &mine);
    sqlite3_config(SQLITE_CONFIG_LOOKASIDE, 0, 0); /* every allocation is a real one */
    sqlite3_initialize();
    setenv("REC_THREADS", "1", 1);
    setenv("REC_PROGRESS", "0", 1);
    setenv("REC_GROW_MIN", "1", 1);
    int bad = 0, passed = 0;
    sqlite3 *keeps_library = open_loaded();
    lib_base = library_base();
    chosen = malloc(MAX_ALLOCS);
    if (!chosen || !lib_base) return 2;
    for (size_t i = 0; i < sizeof scenarios / sizeof *scenarios; i++) {
        const scenario *s = &scenarios[i];
        if (argc > 1 && strcmp(argv[1], s->name) != 0) continue;
        int first_bad = bad;
        start from = make_start(s);
        one(s, &from, 1000000000,
            &bad); /* one clean run first: one-time set-up is no leak */
        long n_runs = choose(s, &from);
        for (persistent = 0; persistent < 2; persistent++) {
            long n_chosen = 0;
            for (long n = argc > 2 ? atol(argv[2]) : 1; n <= n_noted && bad < 20; n++)
                if (chosen[n - 1] && (!persistent || n_chosen++ % 2 == 0))
                    one(s, &from, n, &bad);
            printf("%s, %s: %ld of %ld allocations\n", s->name,
                   persistent ? "persistent" : "transient",
                   persistent ? (n_runs + 1) / 2 : n_runs, n_noted);
        }
        sqlite3_free(from.image);
        passed += bad == first_bad;
    }
    free(chosen);
    sqlite3_close(keeps_library);
    printf("oom: %d passed, %d failed\n", passed, bad);
    return bad != 0;
}
