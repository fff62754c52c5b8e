/* test_corrupt.c - shadow tables of a rec_model changed behind its back.
 *
 *   one database with a trained model of every algorithm --copy--> one connection a damage
 *       damage, integrity-check, every function, train, every function again, DROP
 *
 * bare     bytes change and the checksum stands: integrity-check must find each of them
 * mended   the checksum is made to fit, so that the decoders themselves are put to the test: an error, or an answer
 *          whose scores are numbers
 * rows     rows of <t>_data and <t>_state go, come, or hold something else: integrity-check must find it
 *
 * Nothing may crash or take long, training makes a model whose bytes were damaged whole again, and DROP always
 * works. Most is worth the most under ASan: REC_LIB=build/asan/rec with its library preloaded.
 */
#include "host.h"
#include "host_hash.h"

#include <signal.h>
#include <time.h>
#include <unistd.h>

#define DENSE_BYTES   24 /* of every part; then every STRIDE-th */
#define MENDED_POINTS 14
#define BARE_POINTS   6
#define LIMIT_SECONDS 10

static const char *const setup =
    "CREATE TABLE movies(movie_id INTEGER PRIMARY KEY, title TEXT, genres TEXT, year "
    "INT, overview TEXT);"
    "INSERT INTO movies VALUES (1,'Alpha','Comedy|Drama',1990,'a man walks a dog in "
    "the city'),"
    "(2,'Beta','Drama',1995,'a woman sails the sea alone'),"
    "(3,'Gamma Ray','Action',2001,'robots fight over the city'),"
    "(4,'Delta','Comedy',2005,'a dog sails the sea with robots'),"
    "(5,'Epsilon','Action|Drama',2010,'a man and a woman fight robots');"
    "CREATE TABLE ratings(user_id TEXT, movie_id INT, rating REAL, rated_at INT);"
    "CREATE INDEX ru ON ratings(user_id);"
    "INSERT INTO ratings VALUES "
    "('u1',1,5,100),('u1',2,4,110),('u2',1,4,120),('u2',3,5,130),"
    "('u3',2,5,140),('u3',4,3,150),('u4',5,4,160),('u4',3,2,170);"
    "CREATE VIRTUAL TABLE pop USING rec_model(algorithm=popularity, "
    "interactions=ratings, user=user_id, item=movie_id,"
    " value=rating, time=rated_at, feedback=explicit);"
    "CREATE VIRTUAL TABLE taste USING rec_model(algorithm=als, factors=3, epochs=2, "
    "interactions=ratings, user=user_id,"
    " item=movie_id, feedback=implicit, positive='rating >= 3', items=movies, "
    "title=title);"
    "CREATE VIRTUAL TABLE stars USING rec_model(algorithm=als, factors=2, epochs=2, "
    "interactions=ratings, user=user_id,"
    " item=movie_id, value=rating, feedback=explicit);"
    "CREATE VIRTUAL TABLE web USING rec_model(algorithm=graph, filter=bspm, factors=2, "
    "interactions=ratings, user=user_id, item=movie_id, value=rating, "
    "feedback=implicit);"
    "CREATE VIRTUAL TABLE pairs USING rec_model(algorithm=bpr, factors=3, epochs=2, "
    "interactions=ratings, user=user_id, item=movie_id);"
    "CREATE VIRTUAL TABLE waves USING rec_model(algorithm=lightgcn, factors=3, "
    "epochs=2, interactions=ratings, user=user_id, item=movie_id);"
    "CREATE VIRTUAL TABLE towers USING rec_model(algorithm=two_tower, factors=2, "
    "epochs=2, interactions=ratings, user=user_id, item=movie_id, items=movies, "
    "text='title, overview');"
    "CREATE VIRTUAL TABLE steps USING rec_model(algorithm=sequence, factors=8, "
    "heads=1, layers=1, window=3, epochs=1, interactions=ratings, user=user_id, "
    "item=movie_id, time=rated_at);"
    "CREATE VIRTUAL TABLE about USING rec_model(algorithm=content, embedder='lsa(3)', "
    "items=movies, item=movie_id,"
    " title=title, text='title, overview', facets='genres[|], year', "
    "interactions=ratings, user=user_id, value=rating,"
    " feedback=explicit);"
    "CREATE VIRTUAL TABLE near USING rec_model(algorithm=itemknn, "
    "interactions=ratings, "
    "user=user_id, item=movie_id);"
    "CREATE VIRTUAL TABLE ridge USING rec_model(algorithm=ease, interactions=ratings, "
    "user=user_id, item=movie_id, value=rating, feedback=explicit);"
    "CREATE VIRTUAL TABLE reader USING rec_model(algorithm=hybrid, cf=taste, "
    "content=about);"
    "INSERT INTO steps(steps) VALUES ('train');"
    "INSERT INTO near(near) VALUES ('train'); INSERT INTO ridge(ridge) VALUES "
    "('train');"
    "INSERT INTO pop(pop) VALUES ('train'); INSERT INTO taste(taste) VALUES ('train');"
    "INSERT INTO web(web) VALUES ('train'); INSERT INTO pairs(pairs) VALUES ('train'); "
    "INSERT INTO waves(waves) VALUES ('train'); INSERT INTO towers(towers) VALUES "
    "('train');"
    "INSERT INTO stars(stars) VALUES ('train'); INSERT INTO about(about) VALUES "
    "('train');"
    "INSERT INTO reader(reader) VALUES ('train'); INSERT INTO taste(taste) VALUES "
    "('epochs=3')";
static const char *const models[] = {"pop",   "taste", "stars",  "web",
                                     "pairs", "waves", "towers", "steps",
                                     "near",  "ridge", "about",  "reader"};
static const char *const parts[] = {"model", "popularity", "items", "users"};
#define N_OF(a) (sizeof(a) / sizeof((a)[0]))

static unsigned char *whole,
    *image; /* all models; the one under test, and what it is for */
static sqlite3_int64 n_whole, n_image;

static sqlite3 *copy_of(const unsigned char *bytes, sqlite3_int64 n) {
    sqlite3 *db = host_open(":memory:");
    unsigned char *p = sqlite3_malloc64((sqlite3_uint64)n);
    if (!p) exit(2);
    memcpy(p, bytes, (size_t)n);
    sqlite3_deserialize(db, "main", p, n, n,
                        SQLITE_DESERIALIZE_FREEONCLOSE | SQLITE_DESERIALIZE_RESIZEABLE);
    return db;
}

static sqlite3 *copy(void) {
    return copy_of(image, n_image);
}

/* The hybrid and its two members stay together; every other model is alone, which makes the
 * copies small and whatever looks at all models quick. */
static bool is_family(const char *model) {
    return strcmp(model, "taste") == 0 || strcmp(model, "about") == 0 ||
           strcmp(model, "reader") == 0;
}

static void make_image(const char *model) {
    sqlite3 *db = copy_of(whole, n_whole);
    for (size_t i = 0; i < N_OF(models); i++)
        if (strcmp(models[i], model) != 0 &&
            !(is_family(model) && is_family(models[i])))
            host_exec(db, "DROP TABLE %s", models[i]);
    host_exec(db, "VACUUM");
    sqlite3_free(image);
    image = sqlite3_serialize(db, "main", &n_image, 0);
    sqlite3_close(db);
    if (!image) exit(2);
}

static double now(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

/* The checksum of a part, as stored: u64 length, u64 hash, little-endian. */
static void put_u64(unsigned char *p, uint64_t x) {
    for (int i = 0; i < 8; i++) p[i] = (unsigned char)(x >> (8 * i));
}

static void put_blob(sqlite3 *db, const char *model, const char *part, int chunk,
                     const unsigned char *p, size_t n) {
    sqlite3_stmt *st = NULL;
    char *sql =
        sqlite3_mprintf("UPDATE %s_data SET bytes = ?1 WHERE part = %Q AND chunk = %d",
                        model, part, chunk);
    sqlite3_prepare_v2(db, sql, -1, &st, NULL);
    sqlite3_bind_blob(st, 1, p, (int)n, SQLITE_TRANSIENT);
    HOST_CHECK(sqlite3_step(st) == SQLITE_DONE && sqlite3_changes(db) == 1, "%s %s",
               model, part);
    sqlite3_finalize(st);
    sqlite3_free(sql);
}

/* Owned; NULL where the model has no such part. */
static unsigned char *get_blob(sqlite3 *db, const char *model, const char *part,
                               size_t *n) {
    sqlite3_stmt *st = NULL;
    unsigned char *out = NULL;
    char *sql = sqlite3_mprintf(
        "SELECT bytes FROM %s_data WHERE part = %Q AND chunk = 0", model, part);
    sqlite3_prepare_v2(db, sql, -1, &st, NULL);
    *n = 0;
    if (sqlite3_step(st) == SQLITE_ROW) {
        *n = (size_t)sqlite3_column_bytes(st, 0);
        out = malloc(*n + 64);
        if (!out) exit(2);
        memcpy(out, sqlite3_column_blob(st, 0), *n);
    }
    sqlite3_finalize(st);
    sqlite3_free(sql);
    return out;
}

/* Everything that a user may do; only crashes, hangs and scores that are no numbers count here. */
static void use(sqlite3 *db, const char *m, const char *what) {
    sqlite3_stmt *st = NULL;
    char *sql = sqlite3_mprintf("SELECT score FROM %s WHERE user = 'u1'", m);
    if (sqlite3_prepare_v2(db, sql, -1, &st, NULL) == SQLITE_OK)
        while (sqlite3_step(st) == SQLITE_ROW)
            HOST_CHECK(
                sqlite3_column_type(st, 0) == SQLITE_FLOAT &&
                    sqlite3_column_double(st, 0) - sqlite3_column_double(st, 0) == 0,
                "%s: %s: a score is %s", m, what, sqlite3_column_text(st, 0));
    sqlite3_finalize(st);
    sqlite3_free(sql);
    host_try(
        db,
        "SELECT * FROM %s WHERE user = 'u1' AND seen = 0 ORDER BY score DESC LIMIT 3",
        m);
    host_try(db, "SELECT * FROM %s WHERE k = 1", m);
    host_try(db, "SELECT * FROM %s WHERE history = '[1,2]' AND item IN (3,4)", m);
    host_try(db, "SELECT * FROM rec_recommend('%s', 'u2', 3)", m);
    host_try(db, "SELECT * FROM rec_similar('%s', 1, 2)", m);
    host_try(db, "SELECT * FROM rec_similar_users('%s', 'u1', 2)", m);
    host_try(db, "SELECT * FROM rec_explain('%s', 'u1', 3)", m);
    host_try(db, "SELECT * FROM rec_user('%s', 'u1')", m);
    host_try(db, "SELECT * FROM rec_why_not('%s', 'u1', 4)", m);
    host_try(db, "SELECT * FROM rec_hybrid('%s', 'u1', 'a dog at sea after 1999', 3)",
             m);
    host_try(db, "SELECT rec_similarity('%s', 1, 2), rec_cf_score('%s', 'u1', 4)", m,
             m);
    host_try(db,
             "SELECT rec_recommend('reader', 'u1', 3), rec_reason('reader', 'u1', 3)");
    host_try(db, "SELECT * FROM rec_models");
}

/* After the damage: the whole life of the model, down to its end. */
static const char *last_model, *last_what; /* for died() */
static void live_on(sqlite3 *db, const char *m, const char *what, bool must_notice,
                    bool must_heal) {
    last_model = m, last_what = what;
    alarm(LIMIT_SECONDS);
    int rc = host_try(db, "INSERT INTO %s(%s) VALUES ('integrity-check')", m, m);
    HOST_CHECK(rc != SQLITE_OK || !must_notice, "%s: %s is not noticed", m, what);
    use(db, m, what);
    host_try(db, "PRAGMA integrity_check");
    rc = host_try(db, "INSERT INTO %s(%s) VALUES ('train')", m, m);
    if (must_heal) {
        HOST_CHECK(rc == SQLITE_OK, "%s: %s: train says %s", m, what,
                   sqlite3_errmsg(db));
        rc = host_try(db, "INSERT INTO %s(%s) VALUES ('integrity-check')", m, m);
        HOST_CHECK(rc == SQLITE_OK, "%s: %s: after training %s", m, what,
                   sqlite3_errmsg(db));
        use(db, m, what);
    }
    rc = host_try(db, "DROP TABLE %s", m);
    HOST_CHECK(rc == SQLITE_OK, "%s: %s: drop says %s", m, what, sqlite3_errmsg(db));
    HOST_CHECK(host_int(db,
                        "SELECT count(*) FROM sqlite_master WHERE name = '%s' OR name "
                        "LIKE '%s\\_%%' ESCAPE '\\'",
                        m, m) == 0,
               "%s: %s: something is left", m, what);
    HOST_CHECK(sqlite3_close(db) == SQLITE_OK, "%s: %s: close", m, what);
    alarm(0);
}

typedef enum {
    SET_ZERO,
    SET_ONES,
    ADD_ONE,
    SET_HUGE,
    TRUNCATE,
    EXTEND,
    N_CHANGES
} change;
static const char *const change_names[] = {"00",       "ff",  "+1",
                                           "7f7f7f7f", "cut", "longer"};

/* false: the bytes are as they were. p has room for 64 bytes more. */
static bool apply(change c, unsigned char *p, size_t *n, size_t at) {
    unsigned char old = p[at];
    switch (c) {
    case SET_ZERO: p[at] = 0; break;
    case SET_ONES: p[at] = 0xff; break;
    case ADD_ONE: p[at]++; break;
    case SET_HUGE:
        for (size_t i = at; i < at + 4 && i < *n; i++) p[i] = 0x7f;
        return true;
    case TRUNCATE: *n = at; return true;
    default:
        memset(p + *n, 0, 64);
        *n += 1 + at % 63;
        return true;
    }
    return p[at] != old;
}

static void bytes(const char *model, const char *part, bool mend) {
    size_t n, points = mend ? MENDED_POINTS : BARE_POINTS;
    sqlite3 *base = copy();
    unsigned char *sound = get_blob(base, model, part, &n), tail[16];
    sqlite3_close(base);
    if (!sound) return;
    unsigned char *p = malloc(n + 64);
    if (!p) exit(2);
    size_t stride = n / points + 1, dense = mend ? DENSE_BYTES : 0;
    for (size_t at = 0; at < n; at += at < dense ? 1 : stride) {
        for (change c = 0; c < N_CHANGES; c++) {
            /* Cuts and growth differ little from place to place, and single bytes by the place. */
            if (c >= SET_HUGE && at % 4 != 0) continue;
            size_t n_now = n;
            char what[80];
            memcpy(p, sound, n);
            if (!apply(c, p, &n_now, at)) continue;
            snprintf(what, sizeof what, "%s byte %zu %s%s", part, at, change_names[c],
                     mend ? ", mended" : "");
            sqlite3 *db = copy();
            put_blob(db, model, part, 0, p, n_now);
            put_u64(tail, n_now),
                put_u64(tail + 8, host_hash(p, n_now,
                                            host_hash((const unsigned char *)part,
                                                      strlen(part), 0)));
            if (mend) put_blob(db, model, part, -1, tail, sizeof tail);
            live_on(db, model, what, !mend, true);
        }
    }
    free(p);
    free(sound);
}

/* %s: the model. Nothing of this may go unnoticed. heals: training writes all of it anew. */
typedef struct damage {
    const char *sql;
    bool heals;
} damage;
static const damage row_damages[] = {
    {"DELETE FROM %s_data", true},
    {"DELETE FROM %s_data WHERE chunk = 0", true},
    {"DELETE FROM %s_data WHERE chunk = -1", true},
    {"DELETE FROM %s_data WHERE part = 'model'", true},
    {"DELETE FROM %s_data WHERE part = 'popularity'", true},
    {"DELETE FROM %s_data WHERE part = 'items'", true},
    {"DELETE FROM %s_data WHERE part = 'users'", true},
    {"UPDATE %s_data SET bytes = NULL", true},
    {"UPDATE %s_data SET bytes = 5 WHERE chunk = 0", true},
    {"UPDATE %s_data SET bytes = 'text' WHERE chunk = -1", true},
    {"UPDATE %s_data SET bytes = zeroblob(0) WHERE chunk = 0", true},
    {"UPDATE %s_data SET bytes = zeroblob(5000000) WHERE chunk = 0 AND part = 'model'",
     true},
    {"UPDATE %s_data SET bytes = x'ffffffffffffffff0000000000000000' WHERE chunk = -1",
     true},
    {"UPDATE %s_data SET bytes = x'ffffffffffffff7f0000000000000000' WHERE chunk = -1",
     true},
    {"UPDATE %s_data SET chunk = 7 WHERE chunk = 0", true},
    {"UPDATE %s_data SET chunk = 'x' WHERE chunk = 0", true},
    {"UPDATE %s_data SET chunk = NULL WHERE chunk = 0", false},
    {"UPDATE %s_data SET part = part || 'x'", false},
    {"UPDATE %s_data SET part = CASE part WHEN 'model' THEN 'popularity' WHEN "
     "'popularity' THEN 'model' ELSE part"
     " END || char(1); UPDATE %s_data SET part = replace(part, char(1), '')",
     true},
    {"INSERT INTO %s_data SELECT part, 1, bytes FROM %s_data WHERE chunk = 0", true},
    {"INSERT INTO %s_data SELECT part, -2, bytes FROM %s_data WHERE chunk = 0", true},
    {"INSERT INTO %s_data VALUES ('other', 0, x'00')", false},
    {"INSERT INTO %s_data VALUES (NULL, 0, x'00')", false},
    {"DROP TABLE %s_data", false},
    {"DROP TABLE %s_state", false},
    {"DELETE FROM %s_state", false},
    {"INSERT INTO %s_state VALUES ('other', 1)", false},
    {"INSERT INTO %s_state VALUES ('option.factors', 'many')", false},
    {"INSERT INTO %s_state VALUES ('option.interactions', 'nowhere')", false},
    {"INSERT INTO %s_state VALUES (NULL, 1)", false},
    {"UPDATE %s_state SET k = k || 'x' WHERE k = 'format'", false},
};
static const char *const state_values[] = {
    "NULL",     "-1", "9e999", "-9223372036854775808", "'TEXT'", "zeroblob(100000)",
    "v || '0'",
};

static void rows(const char *model) {
    for (size_t i = 0; i < N_OF(row_damages); i++) {
        sqlite3 *db = copy();
        bool is_hybrid = strcmp(model, "reader") == 0;
        int changes = sqlite3_total_changes(db);
        host_exec(db, row_damages[i].sql, model, model);
        bool changed = sqlite3_total_changes(db) != changes ||
                       strncmp(row_damages[i].sql, "DROP", 4) == 0;
        live_on(db, model, row_damages[i].sql, changed,
                row_damages[i].heals && !(is_hybrid && changed));
    }
}

static void state(const char *model) {
    char keys[40][40];
    size_t n = 0;
    sqlite3_stmt *st = NULL;
    sqlite3 *base = copy();
    char *sql = sqlite3_mprintf("SELECT k FROM %s_state", model);
    sqlite3_prepare_v2(base, sql, -1, &st, NULL);
    while (sqlite3_step(st) == SQLITE_ROW && n < N_OF(keys))
        snprintf(keys[n++], sizeof keys[0], "%.39s",
                 (const char *)sqlite3_column_text(st, 0));
    sqlite3_finalize(st);
    sqlite3_free(sql);
    sqlite3_close(base);
    for (size_t i = 0; i < n; i++)
        for (size_t j = 0; j <= N_OF(state_values); j++) {
            char what[2000];
            sqlite3 *db = copy();
            if (j < N_OF(state_values))
                snprintf(what, sizeof what,
                         "UPDATE %s_state SET v = %s WHERE k = '%s' AND v IS NOT %s",
                         model, state_values[j], keys[i], state_values[j]);
            else
                snprintf(what, sizeof what, "DELETE FROM %s_state WHERE k = '%s'",
                         model, keys[i]);
            host_exec(db, "%s", what);
            live_on(db, model, what, sqlite3_changes(db) > 0, false);
        }
}

/* Which damage it was, when the program dies of it. */
static void died(int sig) {
    fprintf(stderr, "signal %d after: %s: %s\n", sig, last_model, last_what);
    _Exit(1);
}

int main(int argc, char **argv) {
    if (!getenv("CORE")) signal(SIGABRT, died);
    signal(SIGALRM, died);
    setenv("REC_THREADS", "1", 1);
    setenv("REC_PROGRESS", "0", 1);
    sqlite3 *db = host_open(":memory:");
    host_exec(db, "%s", setup);
    whole = sqlite3_serialize(db, "main", &n_whole, 0);
    if (!whole) return 2;
    for (size_t i = 0; i < N_OF(models); i++) {
        double start = now();
        if (argc > 1 && strcmp(argv[1], models[i]) != 0) continue;
        make_image(models[i]);
        for (size_t j = 0; j < N_OF(parts); j++) {
            bytes(models[i], parts[j], false);
            /* The other parts are alike in all models. */
            if (j == 0 || strcmp(models[i], "taste") == 0)
                bytes(models[i], parts[j], true);
        }
        rows(models[i]);
        state(models[i]);
        printf("%s: %.1f s\n", models[i], now() - start);
    }
    sqlite3_free(image);
    sqlite3_free(whole);
    sqlite3_close(db); /* open until now: the library stays loaded */
    return host_end("corrupt");
}
