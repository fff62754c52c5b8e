/* test_index_bytes.c - every byte of what a rec_index stores, changed.
 *
 *   one database with an index that has links, gaps and rows that wait --copy--> one connection a damage
 *       damage, integrity-check, searches, writes that link, rebuild, DROP
 *
 * cells    every column of every shadow table, in some rows: NULL, other types, other lengths, the value of another
 *          row; rows that go and rows that come twice
 * bytes    of vectors and of chunks of links: single bytes, cuts, growth
 * mended   chunks of links whose checksum is made to fit, so that the links themselves are put to the test
 * file     bytes of the database file at random places
 *
 * What stands in <t>_rows is the truth: a search with ef >= rows gives an error or exactly what sorting these rows by
 * rec_distance gives; damage to derived tables must not change a single answer. A small ef gives an error or rows
 * with their true distances. 'integrity-check' finds every change of rows and links; 'rebuild' mends what is derived;
 * DROP always works. Most is worth the most under ASan: make CONFIG=asan build/asan/host/test_index_bytes, and
 * REC_LIB=build/asan/rec.
 */
#include "host_hash.h"
#include "index_world.h"

#include <signal.h>
#include <unistd.h>

#define N_ROWS        280
#define LIMIT_SECONDS 20
#define DENSE_BYTES   12 /* of a BLOB; then POINTS more */
#define POINTS        6
#define FILE_POINTS   150
#define N_QUERIES     2
#define MAX_KEPT      64

static const world_cfg shape = {
    "float32", "l2", ", m=4, ef_construction=16", 6, DATA_WHOLE, false, false, 1e-6};
static unsigned char *image;
static sqlite3_int64 n_image;
static long n_cases, n_errors, n_answers;
static char last[300]; /* for died() */

/* ---- the sound database --------------------------------------------------------------------------- */

static void make_image(void) {
    sqlite3 *db = host_open(":memory:");
    host_exec(db, "PRAGMA page_size = 1024");
    world_create(db);
    world_write(
        db,
        "INSERT INTO @ SELECT i, e, char(97 + i %% 3), i %% 50 FROM src WHERE i < %d",
        N_ROWS);
    host_exec(db, "INSERT INTO v(v) VALUES ('optimize')");
    world_write(
        db, "INSERT INTO @ SELECT i, e, 'z', i FROM src WHERE i BETWEEN 1000 AND 1029");
    world_write(db, "DELETE FROM @ WHERE id %% 31 = 5");
    world_write(
        db, "UPDATE @ SET e = (SELECT e FROM src WHERE i = 2000) WHERE id %% 61 = 7");
    world_check_integrity(db, "sound");
    if (world_is_graph())
        HOST_CHECK(host_int(db, "SELECT count(*) FROM v_graph") >= 3,
                   "too few chunks of links");
    host_exec(
        db,
        "DROP TABLE f; DROP TABLE p; CREATE TABLE kept AS SELECT id, e, g, n FROM v");
    image = sqlite3_serialize(db, "main", &n_image, 0);
    if (image == NULL) exit(2);
    sqlite3_close(db);
}

static sqlite3 *copy(void) {
    sqlite3 *db = host_open(":memory:");
    unsigned char *p = sqlite3_malloc64((sqlite3_uint64)n_image);
    if (p == NULL) exit(2);
    memcpy(p, image, (size_t)n_image);
    sqlite3_deserialize(db, "main", p, n_image, n_image,
                        SQLITE_DESERIALIZE_FREEONCLOSE | SQLITE_DESERIALIZE_RESIZEABLE);
    return db;
}

/* ---- what must hold whatever the damage ------------------------------------------------------------- */

typedef struct damage {
    const char *table; /* suffix */
    const char *what;
    bool must_notice; /* by 'integrity-check' */
    bool is_derived;  /* no answer may differ, rebuild mends all of it */
    bool is_unseen; /* rows changed after they were read: nothing tells a connection */
} damage;

/* Rows with other distances than rec_distance says, or that do not exist. */
static void check_answers(sqlite3 *db, const damage *d, const float *q) {
    static hits all, got;
    static const char *const ends[] = {" AND ef = 1000000", " AND ef = 4",
                                       " AND ef = 4 AND k = 3",
                                       " AND g = 'a' AND ef = 1000000"};
    for (int i = 0; i < 4; i++) {
        char sql[300];
        snprintf(sql, sizeof sql,
                 "SELECT id, distance FROM v WHERE e MATCH ?1%s ORDER BY distance",
                 ends[i]);
        if (world_ask(db, sql, q, &got) != SQLITE_OK) {
            n_errors++;
            const char *message = sqlite3_errmsg(db);
            HOST_CHECK(strstr(message, "rec_index(v)") ||
                           strstr(message, "malformed") || strstr(message, "v_") ||
                           strstr(message, "corrupt"),
                       "%s: %s: %s", d->what, sql, message);
            continue;
        }
        n_answers++;
        /* Indexes know nothing of rows whose vector is not one; rec_distance would fail there. */
        int rc = world_ask(db,
                           i == 3 ? "SELECT id, rec_distance(v, ?1, 'l2') FROM v_rows "
                                    "WHERE typeof(v) = 'blob' AND "
                                    "c0 = 'a' ORDER BY 2, slot"
                                  : "SELECT id, rec_distance(v, ?1, 'l2') FROM v_rows "
                                    "WHERE typeof(v) = 'blob' ORDER "
                                    "BY 2, slot",
                           q, &all);
        HOST_CHECK(rc == SQLITE_OK, "%s: a search answers, but %s", d->what,
                   sqlite3_errmsg(db));
        if (rc != SQLITE_OK) continue;
        bool same = got.n == all.n;
        for (size_t j = 0; j < got.n && same && i % 3 == 0; j++)
            same = got.a[j].id == all.a[j].id && is_near(got.a[j].d, all.a[j].d);
        if (i % 3 == 0)
            HOST_CHECK(same, "%s: %s: %zu rows are not the %zu stored ones in order",
                       d->what, sql, got.n, all.n);
        if (all.n) qsort(all.a, all.n, sizeof *all.a, hit_by_id);
        const char *wrong = world_false(&got, &all);
        HOST_CHECK(wrong[0] == 0, "%s: %s: %s", d->what, sql, wrong);
    }
}

static void check_all_answers(sqlite3 *db, const damage *d, int n) {
    for (int i = 0; i < n && !d->is_unseen; i++) {
        long errors = n_errors;
        check_answers(db, d, world_src[200 * i + 3]);
        if (n_errors > errors) break; /* one error is like the next */
    }
}

/* Everything else that a user may do; only crashes and hangs count here. */
static void use(sqlite3 *db) {
    host_try(db, "SELECT * FROM v WHERE e MATCH '[1,1,1,1,1,1]' AND k = 5 AND n < 9 "
                 "AND distance < 40");
    host_try(db, "SELECT * FROM v WHERE e MATCH '[1,1,1,1,1,1]' LIMIT 3 OFFSET 100");
    host_try(db, "SELECT * FROM v");
    host_try(db, "SELECT * FROM v WHERE id = 6");
    host_try(db, "SELECT * FROM rec_similar('v', 6, 3)");
    host_try(db, "SELECT * FROM rec_models");
    host_try(db, "PRAGMA integrity_check");
    host_try(db, "BEGIN");
    host_try(db, "UPDATE v SET n = n + 1 WHERE id < 70");
    host_try(db, "DELETE FROM v WHERE id BETWEEN 20 AND 90");
    host_try(db, "INSERT INTO v SELECT i + 5000, e, 'new', 1 FROM src WHERE i BETWEEN "
                 "300 AND 340");
    host_try(db, "SELECT * FROM v WHERE e MATCH '[1,1,1,1,1,1]' AND k = 5");
    host_try(db, "ALTER TABLE v RENAME TO w");
    host_try(db, "ROLLBACK");
    if (sqlite3_get_autocommit(db) == 0) host_try(db, "ROLLBACK");
}

/* The rest of the life of a damaged index. */
static void live_on(sqlite3 *db, const damage *d) {
    n_cases++;
    snprintf(last, sizeof last, "%s", d->what);
    alarm(LIMIT_SECONDS);
    int rc = host_try(db, "INSERT INTO v(v) VALUES ('integrity-check')");
    HOST_CHECK(rc != SQLITE_OK || !d->must_notice, "%s: integrity-check finds nothing",
               d->what);
#if SQLITE_VERSION_NUMBER >= 3044000
    if (d->must_notice && sqlite3_libversion_number() >= 3044000)
        HOST_CHECK(strcmp(host_text(db, "PRAGMA integrity_check"), "ok") != 0,
                   "%s: PRAGMA integrity_check finds nothing", d->what);
#endif
    check_all_answers(db, d, N_QUERIES);
    use(db);
    /* Linking starts from what is there. */
    host_try(db, "INSERT INTO v SELECT i + 7000, e, 'late', 1 FROM src WHERE i BETWEEN "
                 "400 AND 480");
    check_all_answers(db, d, 1);
    if (n_cases % 3 == 0) {
        host_try(db, "INSERT INTO v(v) VALUES ('optimize')");
        check_all_answers(db, d, 1);
    }
    rc = host_try(db, "INSERT INTO v(v) VALUES ('rebuild')");
    if (d->is_derived) {
        HOST_CHECK(rc == SQLITE_OK, "%s: rebuild says %s", d->what, sqlite3_errmsg(db));
        rc = host_try(db, "INSERT INTO v(v) VALUES ('integrity-check')");
        HOST_CHECK(rc == SQLITE_OK, "%s: after rebuild %s", d->what,
                   sqlite3_errmsg(db));
        HOST_CHECK(host_int(db, "SELECT count(*) FROM v JOIN kept USING (id) WHERE v.e "
                                "IS kept.e AND v.g = "
                                "kept.g AND v.n = kept.n") ==
                       host_int(db, "SELECT count(*) FROM kept"),
                   "%s: after rebuild rows are missing", d->what);
    }
    check_all_answers(db, d, 1);
    rc = host_try(db, "DROP TABLE v");
    HOST_CHECK(rc == SQLITE_OK, "%s: drop says %s", d->what, sqlite3_errmsg(db));
    HOST_CHECK(
        host_int(db, "SELECT count(*) FROM sqlite_master WHERE name LIKE 'v%%'") == 0,
        "%s: something is left", d->what);
    HOST_CHECK(sqlite3_close(db) == SQLITE_OK, "%s: close", d->what);
    alarm(0);
}

/* Memory holds the sound rows when the damage is done. */
static void load(sqlite3 *db) {
    host_exec(db, "SELECT * FROM v WHERE e MATCH '[1,1,1,1,1,1]' AND k = 1");
}

/* ---- cells ------------------------------------------------------------------------------------------- */

static const char *const values[] = {
    "NULL",
    "-1",
    "0",
    "1 << 40",
    "9e999",
    "'text'",
    "zeroblob(0)",
    "zeroblob(100000)",
    "CAST(%s || x'00' AS BLOB)",
    "substr(%s, 1, length(%s) / 2)",
    "%s + 1",
    "CAST(%s AS TEXT)",
    "(SELECT %s FROM %s WHERE rowid = (SELECT max(rowid) FROM %s WHERE rowid <> "
    "x.rowid))",
};
#define N_OF(a) (sizeof(a) / sizeof((a)[0]))

static bool is_table(const char *table, const char *suffix) {
    return strcmp(table + 1, suffix) == 0;
}

/* What a change of this column of this table must lead to. */
static damage expect(const char *table, const char *column, const char *what) {
    damage d = {.table = table, .what = what};
    bool is_rows = is_table(table, "_rows"), is_graph = is_table(table, "_graph");
    /* Slots are where rows lie, not what they are; another sound one changes nothing. */
    d.must_notice = (is_rows && strcmp(column, "slot") != 0) || is_graph;
    d.is_derived = !is_rows || strcmp(column, "slot") == 0;
    return d;
}

/* One UPDATE of one cell in a fresh copy; false where it changes nothing or is not allowed. */
static bool change(sqlite3 *db, const char *table, const char *column, int64_t row,
                   const char *to) {
    char *before = sqlite3_mprintf(
        "%s",
        host_text(db, "SELECT typeof(\"%w\") || hex(\"%w\") FROM %s WHERE rowid = %lld",
                  column, column, table, (long long)row));
    char *sql = sqlite3_mprintf("UPDATE %s AS x SET \"%w\" = %s WHERE rowid = %lld",
                                table, column, to, (long long)row);
    bool is_done = host_try(db, "%s", sql) == SQLITE_OK;
    const char *after =
        host_text(db, "SELECT typeof(\"%w\") || hex(\"%w\") FROM %s WHERE rowid = %lld",
                  column, column, table, (long long)row);
    is_done = is_done && strcmp(before, after) != 0;
    sqlite3_free(before);
    sqlite3_free(sql);
    return is_done;
}

static void cells_of(const char *table, const char *column, const int64_t *row,
                     int n_row) {
    for (int r = 0; r < n_row; r++)
        for (size_t i = 0; i < N_OF(values); i++) {
            char to[300], what[1000];
            bool is_other = i == N_OF(values) - 1;
            snprintf(to, sizeof to, values[i], column, is_other ? table : column,
                     table);
            snprintf(what, sizeof what, "%s.%s of row %lld = %.200s", table, column,
                     (long long)row[r], to);
            for (int loaded = 0; loaded < 2; loaded++) {
                sqlite3 *db = copy();
                if (loaded) load(db);
                damage d = expect(table, column, what);
                d.is_unseen = loaded && is_table(table, "_rows");
                if (change(db, table, column, row[r], to))
                    live_on(db, &d);
                else
                    sqlite3_close(db);
                if ((i + (size_t)r) % 2) break; /* half of them only before loading */
            }
        }
}

static void rows_of(const char *table) {
    static const char *const sql[] = {
        "DELETE FROM %s",
        "DELETE FROM %s WHERE rowid = (SELECT min(rowid) FROM %s)",
        "DELETE FROM %s WHERE rowid = (SELECT max(rowid) FROM %s)",
        "DELETE FROM %s WHERE rowid %% 2",
        "UPDATE %s SET rowid = -rowid - 1",
        "UPDATE %s SET rowid = rowid + 1000000",
        "UPDATE %s SET rowid = 4000000000 WHERE rowid = (SELECT max(rowid) FROM %s)",
        "DROP TABLE %s",
    };
    for (size_t i = 0; i < N_OF(sql); i++) {
        char what[300];
        snprintf(what, sizeof what, sql[i], table, table);
        sqlite3 *db = copy();
        if (i % 2) load(db);
        if (host_try(db, "%s", what) != SQLITE_OK) {
            sqlite3_close(db);
            continue;
        }
        damage d = expect(table, "", what);
        /* Deleted rows are gone: that is no damage to what is left, though their chunks know of them. */
        if (is_table(table, "_rows")) d.must_notice = false;
        if (is_table(table, "_rows")) d.is_derived = false;
        d.is_unseen = i % 2 && is_table(table, "_rows");
        /* Without their chunk of links rows only wait to be linked. */
        if (is_table(table, "_graph") && i < 4) d.must_notice = false;
        live_on(db, &d);
    }
}

static void cells(void) {
    char tables[8][40], columns[16][40];
    int n_tables = 0;
    sqlite3_stmt *st = NULL;
    sqlite3 *base = copy();
    sqlite3_prepare_v2(base,
                       "SELECT name FROM sqlite_master WHERE name LIKE 'v!_%' ESCAPE "
                       "'!' AND type = 'table'",
                       -1, &st, NULL);
    while (sqlite3_step(st) == SQLITE_ROW && n_tables < 8)
        snprintf(tables[n_tables++], 40, "%.39s",
                 (const char *)sqlite3_column_text(st, 0));
    sqlite3_finalize(st);
    HOST_CHECK(n_tables == (world_is_graph() ? 4 : 3), "%d shadow tables", n_tables);
    for (int t = 0; t < n_tables; t++) {
        int n = 0;
        char *sql =
            sqlite3_mprintf("SELECT name FROM pragma_table_info(%Q)", tables[t]);
        sqlite3_prepare_v2(base, sql, -1, &st, NULL);
        while (sqlite3_step(st) == SQLITE_ROW && n < 16)
            snprintf(columns[n++], 40, "%.39s",
                     (const char *)sqlite3_column_text(st, 0));
        sqlite3_finalize(st);
        sqlite3_free(sql);
        int64_t row[3];
        row[0] = host_int(base, "SELECT min(rowid) FROM %s", tables[t]);
        row[1] = host_int(base, "SELECT max(rowid) FROM %s", tables[t]);
        row[2] = host_int(base, "SELECT rowid FROM %s WHERE rowid > %lld", tables[t],
                          (long long)row[0]);
        for (int c = 0; c < n; c++) cells_of(tables[t], columns[c], row, c % 2 ? 2 : 1);
        rows_of(tables[t]);
    }
    sqlite3_close(base);
}

/* ---- bytes --------------------------------------------------------------------------------------------- */

static unsigned char *get_blob(const char *sql, size_t *n) {
    sqlite3 *db = copy();
    sqlite3_stmt *st = NULL;
    unsigned char *out = NULL;
    sqlite3_prepare_v2(db, sql, -1, &st, NULL);
    if (sqlite3_step(st) == SQLITE_ROW) {
        *n = (size_t)sqlite3_column_bytes(st, 0);
        out = malloc(*n + MAX_KEPT);
        if (out == NULL) exit(2);
        memcpy(out, sqlite3_column_blob(st, 0), *n);
    }
    sqlite3_finalize(st);
    sqlite3_close(db);
    return out;
}

static void put_blob(sqlite3 *db, const char *sql, const unsigned char *p, size_t n) {
    sqlite3_stmt *st = NULL;
    sqlite3_prepare_v2(db, sql, -1, &st, NULL);
    sqlite3_bind_blob(st, 1, p, (int)n, SQLITE_TRANSIENT);
    HOST_CHECK(sqlite3_step(st) == SQLITE_DONE && sqlite3_changes(db) == 1, "%s: %s",
               sql, sqlite3_errmsg(db));
    sqlite3_finalize(st);
}

typedef enum {
    FLIP,
    SET_ZERO,
    SET_ONES,
    SET_HUGE,
    TRUNCATE,
    EXTEND,
    N_CHANGES
} change_kind;
static const char *const change_names[] = {"flipped",  "00",  "ff",
                                           "7f7f7f7f", "cut", "longer"};

/* false: the bytes are as they were. p has room for MAX_KEPT bytes more. */
static bool apply(change_kind c, unsigned char *p, size_t *n, size_t at) {
    unsigned char old = p[at];
    switch (c) {
    case FLIP: p[at] ^= (unsigned char)(1u << (at % 8)); break;
    case SET_ZERO: p[at] = 0; break;
    case SET_ONES: p[at] = 0xff; break;
    case SET_HUGE:
        for (size_t i = at; i < at + 4 && i < *n; i++) p[i] = 0x7f;
        return true;
    case TRUNCATE: *n = at; return true;
    default:
        memset(p + *n, 0, MAX_KEPT);
        *n += 1 + at % (MAX_KEPT - 1);
        return true;
    }
    return p[at] != old;
}

/* The checksum of a chunk of links stands before the last eight bytes, which are ver. */
static bool mend(unsigned char *p, size_t n, uint64_t start) {
    if (n < 16) return false;
    uint64_t h = host_hash(p, n - 16, start);
    for (int i = 0; i < 8; i++) p[n - 16 + (size_t)i] = (unsigned char)(h >> (8 * i));
    return true;
}

/* start: of the checksum, 0 = leave it as it is. */
static void bytes(const char *table, const char *column, int64_t row, uint64_t start) {
    char get[200], put[200];
    size_t n = 0;
    snprintf(get, sizeof get, "SELECT %s FROM %s WHERE rowid = %lld", column, table,
             (long long)row);
    snprintf(put, sizeof put, "UPDATE %s SET %s = ?1 WHERE rowid = %lld", table, column,
             (long long)row);
    unsigned char *sound = get_blob(get, &n);
    HOST_CHECK(sound && n > 0, "%s", get);
    if (sound == NULL) return;
    unsigned char *p = malloc(n + MAX_KEPT);
    if (p == NULL) exit(2);
    size_t stride = n / POINTS + 1;
    for (size_t at = 0; at < n; at += at < DENSE_BYTES ? 1 : stride)
        for (change_kind c = 0; c < N_CHANGES; c++) {
            if (c >= SET_HUGE && at % 5 != 0) continue;
            size_t n_now = n;
            char what[200];
            memcpy(p, sound, n);
            if (!apply(c, p, &n_now, at)) continue;
            if (start && !mend(p, n_now, start)) continue;
            snprintf(what, sizeof what, "%s.%s of row %lld, byte %zu of %zu %s%s",
                     table, column, (long long)row, at, n, change_names[c],
                     start ? ", mended" : "");
            sqlite3 *db = copy();
            bool is_loaded = (at + c) % 3 == 0;
            if (is_loaded) load(db);
            put_blob(db, put, p, n_now);
            damage d = expect(table, column, what);
            d.is_unseen = is_loaded && is_table(table, "_rows");
            if (start) d.must_notice = false;
            live_on(db, &d);
        }
    free(p);
    free(sound);
}

static void links(void) {
    if (!world_is_graph()) return;
    size_t n = 0;
    unsigned char *p = get_blob("SELECT bytes FROM v_graph WHERE chunk = 1", &n);
    uint64_t start = host_mix((uint64_t)1 << 16 | 4), want = 0;
    for (int i = 0; p && n > 16 && i < 8; i++)
        want |= (uint64_t)p[n - 16 + (size_t)i] << (8 * i);
    HOST_CHECK(p && n > 16 && host_hash(p, n - 16, start) == want,
               "the checksum of links is another one");
    free(p);
    bytes("v_graph", "bytes", 0, 0);
    bytes("v_graph", "bytes", 1, 0);
    bytes("v_graph", "bytes", 1, start);
}

/* ---- the file -------------------------------------------------------------------------------------------- */

/* SQLite itself notices some, reads others as other rows; only crashes and hangs count. */
static void file(void) {
    for (int i = 0; i < FILE_POINTS; i++) {
        sqlite3 *db = copy();
        sqlite3_int64 n;
        if (i % 2) load(db);
        unsigned char *p = sqlite3_serialize(db, "main", &n, SQLITE_SERIALIZE_NOCOPY);
        size_t at = 100 + below((uint32_t)n - 100);
        snprintf(last, sizeof last, "byte %zu of the file", at);
        alarm(LIMIT_SECONDS);
        if (p) p[at] ^= (unsigned char)(1u << below(8));
        use(db);
        host_try(db, "INSERT INTO v(v) VALUES ('integrity-check')");
        host_try(db, "INSERT INTO v(v) VALUES ('optimize')");
        host_try(db, "SELECT * FROM v WHERE e MATCH '[1,1,1,1,1,1]' AND ef = 4 ORDER "
                     "BY distance");
        host_try(db, "INSERT INTO v(v) VALUES ('rebuild')");
        host_try(db, "DROP TABLE v");
        HOST_CHECK(sqlite3_close(db) == SQLITE_OK, "%s: close", last);
        alarm(0);
    }
}

static void died(int sig) {
    char text[400];
    int n = snprintf(text, sizeof text, "%s: signal %d\n", last, sig);
    if (write(2, text, (size_t)n) < 0) _exit(4);
    _exit(3);
}

int main(void) {
    signal(SIGALRM, died);
    if (!getenv("REC_ASAN"))
        signal(SIGSEGV, died), signal(SIGBUS, died), signal(SIGFPE, died);
    setenv("REC_PROGRESS", "0", 1);
    world = &shape;
    seed = 12345;
    world_make_src();
    make_image();
    sqlite3 *db = copy();
    damage none = {.table = "", .what = "no damage", .is_derived = true};
    live_on(db, &none);
    cells();
    bytes("v_rows", "v", 70, 0);
    links();
    file();
    sqlite3_free(image);
    printf("%ld damages, %ld searches answered, %ld refused\n", n_cases, n_answers,
           n_errors);
    return host_end("index_bytes");
}
