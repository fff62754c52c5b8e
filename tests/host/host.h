/* host.h - what a C program needs to test the extension from outside.
 *
 *   sqlite3 *db = host_open("file.db");     opens and loads the extension (REC_LIB or build/release/rec)
 *   host_exec(db, "INSERT INTO t VALUES(%d)", 1);          must succeed
 *   host_try(db, "...")                                    returns the code
 *   host_int(db, "SELECT count(*) FROM t"), host_text(db, "SELECT ...") -> host_buf
 *   HOST_CHECK(cond, "what %d", i)   counts; prints and goes on
 *   return host_end("savepoint");    "savepoint: 12 passed, 0 failed"
 */
#ifndef REC_HOST_H
#define REC_HOST_H

#include <sqlite3.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int host_passed, host_failed;
static char host_buf[4096];

#define HOST_CHECK(cond, ...)                                                  \
    do {                                                                       \
        if (cond)                                                              \
            host_passed++;                                                     \
        else {                                                                 \
            host_failed++;                                                     \
            fprintf(stderr, "%s:%d: failed: %s: ", __FILE__, __LINE__, #cond); \
            fprintf(stderr, __VA_ARGS__);                                      \
            fputc('\n', stderr);                                               \
        }                                                                      \
    } while (0)

static inline int host_end(const char *name) {
    printf("%s: %d passed, %d failed\n", name, host_passed, host_failed);
    return host_failed != 0 || host_passed == 0;
}

static inline const char *host_lib(void) {
    const char *lib = getenv("REC_LIB");
    return lib ? lib : "build/release/rec";
}

static inline void host_load(sqlite3 *db) {
    char *msg = NULL;
    sqlite3_enable_load_extension(db, 1);
    if (sqlite3_load_extension(db, host_lib(), NULL, &msg) != SQLITE_OK) {
        fprintf(stderr, "%s cannot be loaded: %s\n", host_lib(), msg ? msg : "?");
        exit(2);
    }
}

static inline sqlite3 *host_open(const char *path) {
    sqlite3 *db = NULL;
    if (sqlite3_open(path, &db) != SQLITE_OK) {
        fprintf(stderr, "%s cannot be opened: %s\n", path, sqlite3_errmsg(db));
        exit(2);
    }
    host_load(db);
    return db;
}

static inline int host_try(sqlite3 *db, const char *fmt, ...) {
    va_list ap;
    va_start(ap, fmt);
    char *sql = sqlite3_vmprintf(fmt, ap);
    va_end(ap);
    int rc = sqlite3_exec(db, sql, NULL, NULL, NULL);
    sqlite3_free(sql);
    return rc;
}

static inline void host_exec(sqlite3 *db, const char *fmt, ...) {
    va_list ap;
    va_start(ap, fmt);
    char *sql = sqlite3_vmprintf(fmt, ap);
    va_end(ap);
    int rc = sqlite3_exec(db, sql, NULL, NULL, NULL);
    HOST_CHECK(rc == SQLITE_OK, "%.200s: %s", sql, sqlite3_errmsg(db));
    sqlite3_free(sql);
}

/* First column of the first row as text; "" for NULL or no row. */
static inline const char *host_text(sqlite3 *db, const char *fmt, ...) {
    va_list ap;
    va_start(ap, fmt);
    char *sql = sqlite3_vmprintf(fmt, ap);
    va_end(ap);
    sqlite3_stmt *st = NULL;
    int rc = sqlite3_prepare_v2(db, sql, -1, &st, NULL);
    if (rc == SQLITE_OK) rc = sqlite3_step(st);
    const char *text =
        rc == SQLITE_ROW ? (const char *)sqlite3_column_text(st, 0) : NULL;
    snprintf(host_buf, sizeof host_buf, "%s", text ? text : "");
    HOST_CHECK(rc == SQLITE_ROW || rc == SQLITE_DONE, "%.200s: %s", sql,
               sqlite3_errmsg(db));
    sqlite3_finalize(st);
    sqlite3_free(sql);
    return host_buf;
}

static inline int64_t host_int(sqlite3 *db, const char *fmt, ...) {
    va_list ap;
    va_start(ap, fmt);
    char *sql = sqlite3_vmprintf(fmt, ap);
    va_end(ap);
    int64_t x = atoll(host_text(db, "%s", sql));
    sqlite3_free(sql);
    return x;
}

/* Deterministic stream of test data. */
static inline uint64_t host_rand(uint64_t *s) {
    *s ^= *s << 13, *s ^= *s >> 7, *s ^= *s << 17;
    return *s;
}
static inline uint32_t host_below(uint64_t *s, uint32_t n) {
    return (uint32_t)((host_rand(s) >> 16) % n);
}
#endif
