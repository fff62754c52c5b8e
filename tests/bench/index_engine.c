/* index_engine.c - everybody who answers queries, behind one function: ask(query, ef) -> rows.
 *
 *     name         what it is
 *     rec          a prepared statement over a rec_index, the way a program uses it
 *     rec_c        our graph called from C without SQL: what SQL costs is the difference
 *     hnswlib      called from C++ through index_peer.cpp
 *     vectorlite   hnswlib inside SQLite, a prepared statement
 *     sqlite_vec   exact, a prepared statement (index_query.c)
 *
 * A statement binds ?1 = vector and ?2 = ef, and gives (id, distance); ids are row + 1. */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "../../ext/index/index.h"
#include "index_bench.h"
#include "index_peer.h"
#undef malloc
#undef free

/* ---- databases ---------------------------------------------------------------------------------- */

static sqlite3 *open_with(const char *path, const char *lib, const char *entry) {
    sqlite3 *db;
    char *message = NULL;
    if (sqlite3_open(path, &db)) die(path, sqlite3_errmsg(db));
    sqlite3_db_config(db, SQLITE_DBCONFIG_ENABLE_LOAD_EXTENSION, 1, NULL);
    if (lib && sqlite3_load_extension(db, lib, entry, &message)) die(lib, message);
    return db;
}

sqlite3 *host_open(const setup *s, const char *path) {
    return open_with(path, s->lib, NULL);
}

sqlite3 *host_open_peer(const char *path, const char *lib) {
    const char *slash = lib ? strrchr(lib, '/') : NULL;
    bool is_vec0 = slash && strncmp(slash + 1, "vec0", 4) == 0;
    return open_with(path, lib, is_vec0 ? "sqlite3_vec_init" : NULL);
}

void run_sql(sqlite3 *db, const char *format, ...) {
    va_list ap;
    va_start(ap, format);
    char *sql = need(sqlite3_vmprintf(format, ap)), *message = NULL;
    va_end(ap);
    if (sqlite3_exec(db, sql, NULL, NULL, &message)) die(sql, message);
    sqlite3_free(sql);
}

bool try_create(const setup *s, sqlite3 *db, const char *what, const char *sql) {
    char *message = NULL;
    if (sqlite3_exec(db, sql, NULL, NULL, &message) == SQLITE_OK) return true;
    skip(s, what, message ? message : "CREATE fails");
    sqlite3_free(message);
    return false;
}

sqlite3_stmt *prepare(sqlite3 *db, const char *sql) {
    sqlite3_stmt *st;
    if (sqlite3_prepare_v2(db, sql, -1, &st, NULL)) die(sql, sqlite3_errmsg(db));
    return st;
}

void remove_db(const char *path) {
    static const char *const suffix[] = {"", "-wal", "-shm", "-journal"};
    char name[700];
    for (size_t i = 0; i < sizeof suffix / sizeof *suffix; i++) {
        snprintf(name, sizeof name, "%s%s", path, suffix[i]);
        unlink(name);
    }
}

void copy_file(const char *from, const char *to) {
    static char block[1 << 16];
    remove_db(to);
    FILE *in = fopen(from, "rb"), *out = fopen(to, "wb");
    if (!in || !out) die(from, "cannot be copied");
    for (size_t n; (n = fread(block, 1, sizeof block, in)) > 0;)
        if (fwrite(block, 1, n, out) != n) die(to, "cannot be written");
    fclose(in);
    if (fclose(out)) die(to, "cannot be written");
}

void make_source(const setup *s, const data *d) {
    char path[600], part[700];
    if (access(in_dir(s, "source.db", path), R_OK) == 0) return;
    snprintf(part, sizeof part, "%s.part", path);
    remove_db(part);
    sqlite3 *db = open_with(part, NULL, NULL);
    run_sql(db, "CREATE TABLE src(id INTEGER PRIMARY KEY, v BLOB); BEGIN");
    sqlite3_stmt *st = prepare(db, "INSERT INTO src VALUES (?1, ?2)");
    for (size_t i = 0; i < d->n; i++) {
        sqlite3_bind_int64(st, 1, (sqlite3_int64)i + 1);
        sqlite3_bind_blob(st, 2, d->base + i * d->dim, (int)d->dim * 4, SQLITE_STATIC);
        if (sqlite3_step(st) != SQLITE_DONE) die(part, sqlite3_errmsg(db));
        sqlite3_reset(st);
    }
    sqlite3_finalize(st);
    run_sql(db, "COMMIT");
    sqlite3_close(db);
    if (rename(part, path)) die(path, "cannot be written");
}

char *index_ddl(const setup *s, uint32_t dim, const char *columns,
                const char *options) {
    return need(
        sqlite3_mprintf("CREATE VIRTUAL TABLE t USING rec_index(id INTEGER PRIMARY "
                        "KEY, v float32[%u]%s, metric=%s, %s)",
                        dim, columns, s->metric, options));
}

/* ---- statements ----------------------------------------------------------------------------------- */

static size_t ask_sql(engine *e, const float *query, uint32_t ef, int64_t *row) {
    size_t n = 0;
    int rc;
    double sum = 0;
    sqlite3_bind_blob(e->st, 1, query, (int)(e->dim * 4), SQLITE_STATIC);
    if (ef) sqlite3_bind_int64(e->st, 2, ef);
    while ((rc = sqlite3_step(e->st)) == SQLITE_ROW) {
        if (n == K) die(e->name, "more rows than were asked for");
        row[n++] = sqlite3_column_int64(e->st, 0) - 1;
        sum += sqlite3_column_double(e->st, 1);
    }
    if (rc != SQLITE_DONE || !(sum == sum)) die(e->name, sqlite3_errmsg(e->db));
    sqlite3_reset(e->st);
    return n;
}

static void close_sql(engine *e) {
    sqlite3_finalize(e->st);
    sqlite3_close(e->db);
}

void engine_sql(engine *e, const char *name, sqlite3 *db, const char *sql,
                uint32_t dim) {
    *e = (engine){.name = name,
                  .ask = ask_sql,
                  .close = close_sql,
                  .db = db,
                  .st = prepare(db, sql),
                  .dim = dim};
}

/* vectorlite keeps its graph in a file of its own, written when the connection closes. */
static void build_vectorlite(const setup *s, const data *d, const char *ddl) {
    sqlite3 *db = host_open_peer(":memory:", s->vectorlite);
    double begin = now();
    run_sql(db, "%s", ddl);
    run_sql(db, "BEGIN");
    sqlite3_stmt *st = prepare(db, "INSERT INTO t(rowid, v) VALUES (?1, ?2)");
    for (size_t i = 0; i < d->n; i++) {
        sqlite3_bind_int64(st, 1, (sqlite3_int64)i + 1);
        sqlite3_bind_blob(st, 2, d->base + i * d->dim, (int)d->dim * 4, SQLITE_STATIC);
        if (sqlite3_step(st) != SQLITE_DONE) die("vectorlite", sqlite3_errmsg(db));
        sqlite3_reset(st);
    }
    sqlite3_finalize(st);
    run_sql(db, "COMMIT");
    line(s, "%.1f", now() - begin, "build.vectorlite_s");
    if (sqlite3_close(db)) die("vectorlite", "the connection does not close");
}

bool engine_vectorlite(engine *e, const setup *s, const data *d) {
    char path[600];
    if (!s->vectorlite) {
        skip(s, "vectorlite", "it is not there");
        return false;
    }
    in_dir(s, "vectorlite.bin", path);
    char *ddl =
        need(sqlite3_mprintf("CREATE VIRTUAL TABLE t USING vectorlite(v float32[%u] "
                             "%s, hnsw(max_elements=%llu, ef_construction=200, "
                             "M=16), '%s')",
                             d->dim, s->metric, (unsigned long long)d->n, path));
    if (access(path, R_OK)) build_vectorlite(s, d, ddl);
    sqlite3 *db = host_open_peer(":memory:", s->vectorlite);
    run_sql(db, "%s", ddl);
    sqlite3_free(ddl);
    engine_sql(
        e, "vectorlite", db,
        "SELECT rowid, distance FROM t WHERE knn_search(v, knn_param(?1, 10, ?2))",
        d->dim);
    return true;
}

/* ---- our graph from C ------------------------------------------------------------------------------- */

static size_t ask_c(engine *e, const float *query, uint32_t ef, int64_t *row) {
    rec_index *ix = e->handle;
    index_query q = {.vector = query, .k = K, .ef = ef};
    index_search *search;
    rec_status status;
    uint32_t slot;
    float distance;
    size_t n = 0;
    if (ix->ops->search(ix, &q, &search, NULL)) die(e->name, "search fails");
    while (n < K && ix->ops->next(search, &slot, &distance, &status, NULL))
        row[n++] = slot;
    ix->ops->end(search);
    return n;
}

static void close_c(engine *e) {
    rec_index *ix = e->handle;
    ix->ops->close(ix);
}

double build_c(const setup *s, const data *d, void **index) {
    rec_err err = {0};
    rec_index *ix;
    index_cfg cfg = {.dim = d->dim,
                     .metric = strcmp(s->metric, "ip") ? METRIC_COSINE : METRIC_IP,
                     .codes = "int8",
                     .m = 16,
                     .ef_construction = 200};
    rec_run run = {.n_threads = s->threads};
    double begin = now();
    if (hnsw_ops.open(&ix, &cfg, &err)) die("rec_c", err.msg);
    for (size_t i = 0; i < d->n; i++)
        if (ix->ops->add(ix, (uint32_t)i, d->base + i * d->dim, &err))
            die("rec_c", err.msg);
    if (ix->ops->link(ix, SIZE_MAX, &run, &err)) die("rec_c", err.msg);
    *index = ix;
    return now() - begin;
}

void engine_c(engine *e, const setup *s, const data *d) {
    *e = (engine){.name = "rec_c", .ask = ask_c, .close = close_c, .dim = d->dim};
    build_c(s, d, &e->handle);
}

/* ---- hnswlib ------------------------------------------------------------------------------------------- */

#ifdef HAVE_HNSWLIB
static size_t ask_hnswlib(engine *e, const float *query, uint32_t ef, int64_t *row) {
    return peer_ask(e->handle, query, K, ef, row);
}

static void close_hnswlib(engine *e) {
    peer_free(e->handle);
}

double build_hnswlib(const data *d, void **peer) {
    double begin = now();
    *peer = peer_new(d->dim, d->n);
    for (size_t i = 0; i < d->n; i++) peer_add(*peer, d->base + i * d->dim, i);
    return now() - begin;
}

bool engine_hnswlib(engine *e, const setup *s, const data *d) {
    char path[600];
    *e = (engine){
        .name = "hnswlib", .ask = ask_hnswlib, .close = close_hnswlib, .dim = d->dim};
    if (!s->has_hnswlib) {
        skip(s, "hnswlib", "hnswlib=0");
        return false;
    }
    e->handle = peer_load(d->dim, in_dir(s, "hnswlib.bin", path));
    if (e->handle) return true;
    build_hnswlib(d, &e->handle);
    peer_save(e->handle, path);
    return true;
}
#else
double build_hnswlib(const data *d, void **peer) {
    (void)d;
    *peer = NULL;
    return 0;
}

bool engine_hnswlib(engine *e, const setup *s, const data *d) {
    (void)d;
    *e = (engine){0};
    skip(s, "hnswlib", "libhnswlib-dev or a C++ compiler is not there");
    return false;
}
#endif

/* ---- everybody ------------------------------------------------------------------------------------------ */

double ask_all(engine *e, const data *d, size_t n_query, uint32_t ef, int64_t *row) {
    for (size_t i = 0; i < n_query * K; i++) row[i] = -1;
    double begin = now();
    for (size_t q = 0; q < n_query; q++)
        e->ask(e, d->query + q * d->dim, ef, row + q * K);
    return now() - begin;
}
