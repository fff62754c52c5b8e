/* index_world.h - one set of rows in three tables: what the tests of rec_index compare.
 *
 *     v (or w, after a rename)   the index under test: kind=hnsw, or $REC_KIND
 *     f                          the same with kind=flat
 *     p                          an ordinary table
 *     src(i, e)                  vectors to choose from, the same in every process; never changes
 *
 * Every statement is run on all three and must succeed or fail in all three and change as many rows. A comparison
 * asks all three the same question:
 *
 *     p   sorting by rec_distance         every id and distance that may be returned
 *     f   kind=flat                       the k nearest of them, in order
 *     v   ef >= rows                      what f says: ids, order, distances to the bit
 *     v   a small ef                      rows of p only, their distances right and ascending, as many as were asked for
 *
 * Equal distances come in the order of slots; where the two indexes have their rows in other slots, ids of equal
 * distance are compared as sets and against the slots of v. Elements are chosen so that every type holds them
 * exactly, so a vector reads back as the same float32 BLOB from all three.
 */
#ifndef REC_INDEX_WORLD_H
#define REC_INDEX_WORLD_H

#include "host.h"

#include <math.h>

#define WORLD_SRC     3000
#define WORLD_MAX_DIM 64
#define WORLD_LOG     12
#define WORLD_EF      1000000

typedef enum { DATA_REAL, DATA_WHOLE, DATA_EIGHTHS, DATA_BYTES, DATA_BITS } world_data;

typedef struct world_cfg {
    const char *type, *metric, *options; /* options: of kind=hnsw */
    unsigned dim;
    world_data data;
    bool is_text, is_wal;
    double tol; /* between rec_distance and an index */
} world_cfg;

static const world_cfg *world; /* of this round */
static uint64_t seed;          /* the one stream of random numbers */
static float world_src[WORLD_SRC][WORLD_MAX_DIM];
static char world_log[WORLD_LOG][240];
static unsigned world_n_log;
static long world_n_search, world_n_walk; /* comparisons; those with a small ef */
static long world_n_pulled,
    world_n_lost; /* rows asked for with a small ef; not given */

static uint32_t below(uint32_t n) {
    return host_below(&seed, n);
}

static const char *world_kind(void) {
    const char *kind = getenv("REC_KIND");
    return kind ? kind : "hnsw";
}
static bool world_is_graph(void) {
    return strcmp(world_kind(), "hnsw") == 0;
}

/* ---- what was done --------------------------------------------------------------------------- */

static void world_note(const char *who, const char *sql) {
    snprintf(world_log[world_n_log++ % WORLD_LOG], sizeof world_log[0], "%s: %.220s",
             who, sql);
}

static inline void world_print_log(void) {
    for (unsigned i = world_n_log < WORLD_LOG ? 0 : world_n_log - WORLD_LOG;
         i < world_n_log; i++)
        fprintf(stderr, "    %s\n", world_log[i % WORLD_LOG]);
}

/* ---- rows ------------------------------------------------------------------------------------- */

static void world_make_src(void) {
    uint64_t s = 88172645463325252u;
    static float center[20][WORLD_MAX_DIM];
    for (int i = 0; i < 20; i++)
        for (unsigned j = 0; j < world->dim; j++)
            center[i][j] = (float)host_below(&s, 2001) / 1000.0f - 1.0f;
    for (int i = 0; i < WORLD_SRC; i++) {
        const float *c = center[host_below(&s, 20)];
        bool is_copy = i > 0 && i % 10 == 0; /* exact ties */
        bool is_crowd = i > 3 && i % 8 == 3; /* many at one point */
        int from = is_copy ? (int)host_below(&s, (uint32_t)i) : i;
        for (unsigned j = 0; j < world->dim; j++) {
            float x = c[j] + (float)host_below(&s, 1001) / 1000.0f - 0.5f;
            switch (world->data) {
            case DATA_REAL: break;
            case DATA_WHOLE: x = floorf(4.0f * x); break;
            case DATA_EIGHTHS: x = floorf(16.0f * x) / 8.0f; break;
            case DATA_BYTES: x = floorf(80.0f * x); break;
            default: x = x > 0.0f; break;
            }
            world_src[i][j] = is_copy ? world_src[from][j] : x;
            if (is_crowd) world_src[i][j] = world_src[3][j];
        }
    }
    memset(world_src[7], 0, sizeof world_src[7]); /* a vector without a direction */
}

static void world_fill_src(sqlite3 *db) {
    sqlite3_stmt *st = NULL;
    host_exec(db, "CREATE TABLE src(i INTEGER PRIMARY KEY, e BLOB); BEGIN");
    sqlite3_prepare_v2(db, "INSERT INTO src VALUES (?1, ?2)", -1, &st, NULL);
    for (int i = 0; i < WORLD_SRC; i++) {
        sqlite3_bind_int(st, 1, i);
        if (i % 40 == 39)
            sqlite3_bind_null(st, 2);
        else
            sqlite3_bind_blob(st, 2, world_src[i], (int)(4 * world->dim),
                              SQLITE_STATIC);
        HOST_CHECK(sqlite3_step(st) == SQLITE_DONE, "%s", sqlite3_errmsg(db));
        sqlite3_reset(st);
    }
    sqlite3_finalize(st);
    host_exec(db, "COMMIT");
}

static void world_create(sqlite3 *db) {
    const char *key = world->is_text ? "TEXT" : "INTEGER";
    host_exec(
        db,
        "CREATE VIRTUAL TABLE v USING rec_index(id %s PRIMARY KEY, e %s[%u], g TEXT, n "
        "INTEGER, metric=%s, kind=%s%s);"
        "CREATE VIRTUAL TABLE f USING rec_index(id %s PRIMARY KEY, e %s[%u], g TEXT, n "
        "INTEGER, metric=%s, kind=flat);"
        "CREATE TABLE p(id %s PRIMARY KEY NOT NULL, e, g TEXT, n INTEGER)",
        key, world->type, world->dim, world->metric, world_kind(),
        world_is_graph() ? world->options : "", key, world->type, world->dim,
        world->metric, key);
    world_fill_src(db);
}

/* The name of the index in what this connection sees. */
static const char *world_name(sqlite3 *db) {
    const char *name =
        host_text(db, "SELECT name FROM sqlite_master WHERE name IN ('v', 'w')");
    return name[0] == 'w' ? "w" : "v";
}

static const char *world_key(uint32_t id) {
    static char out[4][32];
    static int at;
    char *to = out[at = (at + 1) % 4];
    snprintf(to, 32, world->is_text ? "'k%u'" : "%u", id);
    return to;
}

/* template with @ for the table */
static char *world_sql(const char *pattern, const char *table) {
    size_t n = strlen(pattern) + 1;
    for (const char *p = pattern; *p; p++) n += *p == '@' ? strlen(table) : 0;
    char *out = malloc(n), *to = out;
    if (out == NULL) exit(2);
    for (const char *p = pattern; *p; p++) {
        if (*p == '@') {
            memcpy(to, table, strlen(table));
            to += strlen(table);
        } else {
            *to++ = *p;
        }
    }
    *to = 0;
    return out;
}

/* The statement on all three; the same outcome in all three. */
static int world_write(sqlite3 *db, const char *fmt, ...) {
    va_list ap;
    va_start(ap, fmt);
    char *pattern = sqlite3_vmprintf(fmt, ap);
    va_end(ap);
    const char *tables[3] = {"p", "f", world_name(db)};
    int rc[3], changes[3];
    char messages[3][200];
    for (int i = 0; i < 3; i++) {
        char *sql = world_sql(pattern, tables[i]);
        if (i == 2) world_note("write", sql);
        rc[i] = sqlite3_exec(db, sql, NULL, NULL, NULL);
        changes[i] = rc[i] == SQLITE_OK ? sqlite3_changes(db) : 0;
        snprintf(messages[i], sizeof messages[i], "%s",
                 rc[i] == SQLITE_OK ? "ok" : sqlite3_errmsg(db));
        free(sql);
    }
    HOST_CHECK((rc[2] == SQLITE_OK) == (rc[0] == SQLITE_OK) &&
                   (rc[1] == SQLITE_OK) == (rc[0] == SQLITE_OK),
               "%.200s: table %d %s, flat %d %s, index %d %s", pattern, rc[0],
               messages[0], rc[1], messages[1], rc[2], messages[2]);
    HOST_CHECK(changes[0] == changes[1] && changes[0] == changes[2],
               "%.200s: changes %d in the table, %d flat, %d index", pattern,
               changes[0], changes[1], changes[2]);
    sqlite3_free(pattern);
    return rc[0];
}

/* ---- contents ---------------------------------------------------------------------------------- */

static bool world_same_value(sqlite3_stmt *a, sqlite3_stmt *b, int i) {
    int type = sqlite3_column_type(a, i);
    if (type != sqlite3_column_type(b, i)) return false;
    if (type == SQLITE_NULL) return true;
    if (type == SQLITE_INTEGER)
        return sqlite3_column_int64(a, i) == sqlite3_column_int64(b, i);
    const void *pa = sqlite3_column_blob(a, i), *pb = sqlite3_column_blob(b, i);
    int n = sqlite3_column_bytes(a, i);
    return n == sqlite3_column_bytes(b, i) &&
           (n == 0 || memcmp(pa, pb, (size_t)n) == 0);
}

/* Table x and p hold the same rows, value by value. */
static inline void world_check_rows(sqlite3 *db, const char *x, const char *where) {
    sqlite3_stmt *st[2] = {0};
    const char *names[2] = {x, "p"};
    int rc[2] = {SQLITE_ROW, SQLITE_ROW}, n = 0;
    for (int i = 0; i < 2; i++) {
        char *sql = sqlite3_mprintf("SELECT id, e, g, n FROM %s ORDER BY id", names[i]);
        HOST_CHECK(sqlite3_prepare_v2(db, sql, -1, &st[i], NULL) == SQLITE_OK, "%s: %s",
                   where, sqlite3_errmsg(db));
        sqlite3_free(sql);
    }
    bool same = st[0] && st[1];
    for (; same; n++) {
        for (int i = 0; i < 2; i++) rc[i] = sqlite3_step(st[i]);
        if (rc[0] != SQLITE_ROW || rc[1] != SQLITE_ROW) break;
        for (int i = 0; i < 4 && same; i++) same = world_same_value(st[0], st[1], i);
    }
    HOST_CHECK(same && rc[0] == SQLITE_DONE && rc[1] == SQLITE_DONE,
               "%s: row %d of %s and p differ (%d, %d: %s)", where, n, x, rc[0], rc[1],
               sqlite3_errmsg(db));
    sqlite3_finalize(st[0]);
    sqlite3_finalize(st[1]);
}

/* ---- searches ----------------------------------------------------------------------------------- */

typedef struct hit {
    int64_t id;
    double d;
} hit;
typedef struct hits {
    hit *a;
    size_t n, cap;
} hits;

/* Rows (id, distance) of a query whose ?1 is the vector. */
static int world_ask(sqlite3 *db, const char *sql, const float *q, hits *out) {
    sqlite3_stmt *st = NULL;
    int rc = sqlite3_prepare_v2(db, sql, -1, &st, NULL);
    out->n = 0;
    if (rc != SQLITE_OK) return rc;
    sqlite3_bind_blob(st, 1, q, (int)(4 * world->dim), SQLITE_STATIC);
    while ((rc = sqlite3_step(st)) == SQLITE_ROW) {
        if (out->n == out->cap) {
            out->cap = 2 * out->cap + 64;
            out->a = realloc(out->a, out->cap * sizeof *out->a);
            if (out->a == NULL) exit(2);
        }
        const char *id = (const char *)sqlite3_column_text(st, 0);
        if (id == NULL) id = "-1";
        out->a[out->n++] =
            (hit){atoll(id[0] == 'k' ? id + 1 : id), sqlite3_column_double(st, 1)};
    }
    sqlite3_finalize(st);
    return rc == SQLITE_DONE ? SQLITE_OK : rc;
}

static int hit_by_distance(const void *a, const void *b) {
    const hit *x = a, *y = b;
    if (x->d != y->d) return x->d < y->d ? -1 : 1;
    return (x->id > y->id) - (x->id < y->id);
}
static int hit_by_id(const void *a, const void *b) {
    const hit *x = a, *y = b;
    return (x->id > y->id) - (x->id < y->id);
}

static bool is_near(double a, double b) {
    return a == b || fabs(a - b) <= world->tol * (1.0 + fabs(a) + fabs(b));
}

/* Empty, or what is wrong with rows as answers at all: order, distances, rows that do not match. */
static const char *world_false(const hits *got, const hits *all_by_id) {
    static char out[200];
    for (size_t i = 0; i < got->n; i++) {
        const hit *h = &got->a[i], *in;
        in = all_by_id->n ? bsearch(h, all_by_id->a, all_by_id->n, sizeof *h, hit_by_id)
                          : NULL;
        snprintf(out, sizeof out, "row %zu of %zu, id %lld, distance %.9g", i, got->n,
                 (long long)h->id, h->d);
        if (in == NULL) return strcat(out, ": matches no row");
        if (!is_near(in->d, h->d))
            return sprintf(out + strlen(out), ", should be %.9g", in->d), out;
        if (i && h->d < h[-1].d) return strcat(out, ": not ascending");
    }
    hits sorted = {malloc((got->n + 1) * sizeof(hit)), got->n, got->n};
    if (sorted.a == NULL) exit(2);
    if (got->n) memcpy(sorted.a, got->a, got->n * sizeof(hit));
    if (got->n) qsort(sorted.a, got->n, sizeof(hit), hit_by_id);
    out[0] = 0;
    for (size_t i = 1; i < got->n; i++)
        if (sorted.a[i].id == sorted.a[i - 1].id)
            snprintf(out, sizeof out, "id %lld comes twice", (long long)sorted.a[i].id);
    free(sorted.a);
    return out;
}

/* Are the rows of the two indexes in the same slots? Then their order is the same as well. */
static bool world_same_slots(sqlite3 *db, const char *v) {
    return host_int(
               db,
               "SELECT count(*) FROM %s_rows a LEFT JOIN f_rows b USING (slot) WHERE "
               "a.id IS NOT b.id",
               v) == 0;
}

static int64_t world_slot(sqlite3 *db, const char *v, int64_t id) {
    return host_int(db, "SELECT slot FROM %s_rows WHERE id = %s", v,
                    world_key((uint32_t)id));
}

/* Empty, or where the exact answers of the index part from those of flat. */
static const char *world_differs(sqlite3 *db, const char *v, const hits *got,
                                 const hits *want) {
    static char out[240];
    out[0] = 0;
    size_t n = got->n < want->n ? got->n : want->n, i = 0;
    while (i < n && got->a[i].id == want->a[i].id && got->a[i].d == want->a[i].d) i++;
    if (i == n && got->n == want->n) return out;
    if (i == n) {
        snprintf(out, sizeof out, "%zu rows, expected %zu", got->n, want->n);
        return out;
    }
    snprintf(out, sizeof out,
             "row %zu of %zu is id %lld at %.9g, expected %lld at %.9g", i, want->n,
             (long long)got->a[i].id, got->a[i].d, (long long)want->a[i].id,
             want->a[i].d);
    if (got->n != want->n || world_same_slots(db, v)) return out;
    for (i = 0; i < n; i++)
        if (got->a[i].d != want->a[i].d) return out;
    for (i = 1; i < n; i++)
        if (got->a[i].d == got->a[i - 1].d &&
            world_slot(db, v, got->a[i].id) < world_slot(db, v, got->a[i - 1].id))
            return sprintf(out + strlen(out), " (slots descend: %lld, %lld at %.9g)",
                           (long long)got->a[i - 1].id, (long long)got->a[i].id,
                           got->a[i].d),
                   out;
    out[0] = 0;
    return out;
}

/* A predicate; is_handed: SQLite hands all of it over, so k counts after it. */
static void world_filter(char *out, size_t cap, bool *is_handed) {
    uint32_t x = below(100);
    *is_handed = true;
    switch (below(16)) {
    case 0: snprintf(out, cap, "AND n < %u", x); break;
    case 1: snprintf(out, cap, "AND n BETWEEN %u AND %u", x, x + below(30)); break;
    case 2: snprintf(out, cap, "AND g = 'a'"); break;
    case 3: snprintf(out, cap, "AND g IS NULL AND n > 5"); break;
    case 4: snprintf(out, cap, "AND g IN ('a', 'f', 'x')"); break;
    case 5: snprintf(out, cap, "AND g LIKE 'B%%' AND n <> %u", x); break;
    case 6: snprintf(out, cap, "AND id IN (SELECT id FROM p WHERE n = %u)", x); break;
    case 7:
        snprintf(out, cap, "AND id IN (%s, %s, %s)", world_key(below(3000)),
                 world_key(below(3000)), world_key(below(3000)));
        break;
    case 8: snprintf(out, cap, "AND n %% 3 = 1"), *is_handed = false; break;
    case 9: snprintf(out, cap, "AND (g = 'a' OR n < %u)", x), *is_handed = false; break;
    default: out[0] = 0; break;
    }
}

static void world_query(float *q) {
    memcpy(q, world_src[below(WORLD_SRC)], sizeof world_src[0]);
    if (below(3) == 0) return; /* perhaps a row itself: distance 0 */
    const float *other = world_src[below(WORLD_SRC)];
    for (unsigned j = 0; j < world->dim; j++)
        if (below(3) == 0) q[j] = other[j];
}

/* One question to v, f and with want_plain to p. */
static inline void world_check_search(sqlite3 *db, bool want_plain, const char *where) {
    static hits all, flat, exact, some, page;
    float q[WORLD_MAX_DIM];
    char filter[200], sql[600], v[2] = "";
    bool is_handed;
    strcpy(v, world_name(db));
    world_query(q);
    world_filter(filter, sizeof filter, &is_handed);
    static const unsigned sizes[] = {1, 5, 10, 10, 30, 100, 1000};
    unsigned n = below(16) ? sizes[below(7)] : 100000;
    bool is_k = is_handed && below(2);
    const char *shape =
        is_k ? "SELECT id, distance FROM %s WHERE e MATCH ?1 %s%s AND k = %u"
             : "SELECT id, distance FROM %s WHERE e MATCH ?1 %s%s ORDER BY "
               "distance LIMIT %u";
    world_n_search++;
    snprintf(sql, sizeof sql, shape, "f", filter, "", n);
    int rc = world_ask(db, sql, q, &flat);
    HOST_CHECK(rc == SQLITE_OK, "%s: %s: %s", where, sql, sqlite3_errmsg(db));
    snprintf(sql, sizeof sql, shape, v, filter, " AND ef = 1000000", n);
    rc = world_ask(db, sql, q, &exact);
    HOST_CHECK(rc == SQLITE_OK, "%s: %s: %s", where, sql, sqlite3_errmsg(db));
    const char *wrong = world_differs(db, v, &exact, &flat);
    HOST_CHECK(wrong[0] == 0, "%s: %s: %s", where, sql, wrong);
    if (!want_plain) return;

    snprintf(sql, sizeof sql,
             "SELECT id, rec_distance(e, ?1, '%s') FROM p WHERE e IS NOT NULL %s",
             world->metric, filter);
    rc = world_ask(db, sql, q, &all);
    HOST_CHECK(rc == SQLITE_OK, "%s: %s: %s", where, sql, sqlite3_errmsg(db));
    size_t n_want = all.n < n ? all.n : n;
    if (all.n) qsort(all.a, all.n, sizeof *all.a, hit_by_distance);
    HOST_CHECK(flat.n == n_want, "%s: %s %u: flat gives %zu rows of %zu", where, filter,
               n, flat.n, all.n);
    for (size_t i = 0; i < flat.n && i < all.n; i++)
        if (!is_near(flat.a[i].d, all.a[i].d)) {
            HOST_CHECK(false, "%s: %s: flat row %zu at %.9g, expected %.9g", where,
                       filter, i, flat.a[i].d, all.a[i].d);
            break;
        }
    if (all.n) qsort(all.a, all.n, sizeof *all.a, hit_by_id);
    wrong = world_false(&flat, &all);
    HOST_CHECK(wrong[0] == 0, "%s: %s: flat: %s", where, filter, wrong);

    char ef[40] = "";
    if (below(4)) snprintf(ef, sizeof ef, " AND ef = %u", 1 + below(24));
    snprintf(sql, sizeof sql, shape, v, filter, ef, n);
    rc = world_ask(db, sql, q, &some);
    HOST_CHECK(rc == SQLITE_OK, "%s: %s: %s", where, sql, sqlite3_errmsg(db));
    world_n_walk++;
    wrong = world_false(&some, &all);
    HOST_CHECK(wrong[0] == 0, "%s: %s: %s", where, sql, wrong);
    /* A row that a stream meets too late is lost, of rough codes many; k = n is given in full. */
    bool is_rough = strstr(world->options, "codes=bit") != NULL;
    bool is_sure = is_k || (is_handed && !is_rough && 2 * (size_t)n < all.n);
    HOST_CHECK(some.n == n_want || (!is_sure && some.n < n_want),
               "%s: %s: %zu rows, %zu match", where, sql, some.n, all.n);
    world_n_lost += (long)(n_want - some.n);
    world_n_pulled += (long)n_want;
    /* Row order depends on ef alone, so a later page is the tail of the whole. */
    if (is_k && (is_rough || 2 * (size_t)n >= all.n)) return; /* perhaps exact */
    size_t from = some.n ? below((uint32_t)some.n) : 0;
    snprintf(
        sql, sizeof sql,
        "SELECT id, distance FROM %s WHERE e MATCH ?1 %s%s ORDER BY distance LIMIT %zu "
        "OFFSET %zu",
        v, filter, ef, some.n - from, from);
    rc = world_ask(db, sql, q, &page);
    HOST_CHECK(rc == SQLITE_OK, "%s: %s: %s", where, sql, sqlite3_errmsg(db));
    bool same = page.n == some.n - from;
    for (size_t i = 0; i < page.n && same; i++)
        same = page.a[i].id == some.a[from + i].id && page.a[i].d == some.a[from + i].d;
    HOST_CHECK(same, "%s: %s: %zu rows, not the tail of %s %u", where, sql, page.n,
               is_k ? "k =" : "LIMIT", n);
}

static void world_check_integrity(sqlite3 *db, const char *where) {
    const char *v = world_name(db);
    int rc = host_try(db, "INSERT INTO %s(%s) VALUES ('integrity-check')", v, v);
    HOST_CHECK(rc == SQLITE_OK, "%s: integrity-check: %s", where, sqlite3_errmsg(db));
    rc = host_try(db, "INSERT INTO f(f) VALUES ('integrity-check')");
    HOST_CHECK(rc == SQLITE_OK, "%s: integrity-check of f: %s", where,
               sqlite3_errmsg(db));
}

#endif
