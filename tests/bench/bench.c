/* bench.c - what the shell cannot time: prepared statements run many times in one process.
 *
 *   bench queries DB LIB "SELECT ... ?1 ..." N     ?1 = 1..N; prints p50 and p99 in milliseconds
 *
 * Each result is a line `name,value` on stdout.
 */
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

static double now(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}
static void die(sqlite3 *db, const char *what) {
    fprintf(stderr, "bench: %s: %s\n", what, db ? sqlite3_errmsg(db) : "");
    exit(1);
}
static sqlite3 *open_db(const char *path, const char *lib, const char *entry) {
    sqlite3 *db;
    char *err = NULL;
    if (sqlite3_open(path, &db) != SQLITE_OK) die(db, path);
    sqlite3_db_config(db, SQLITE_DBCONFIG_ENABLE_LOAD_EXTENSION, 1, NULL);
    if (sqlite3_load_extension(db, lib, entry, &err) != SQLITE_OK) die(db, err);
    return db;
}
static int by_value(const void *a, const void *b) {
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static int run_queries(char **argv) {
    sqlite3 *db = open_db(argv[0], argv[1], NULL);
    int n = atoi(argv[3]);
    double *ms = malloc(sizeof(double) * (size_t)n);
    sqlite3_stmt *st;
    if (sqlite3_prepare_v2(db, argv[2], -1, &st, NULL) != SQLITE_OK) die(db, argv[2]);
    for (int i = -3; i < n; i++) { /* three warm-up calls */
        double t = now();
        sqlite3_bind_int(st, 1, i < 0 ? 1 : i + 1);
        int rc;
        while ((rc = sqlite3_step(st)) == SQLITE_ROW) sqlite3_column_text(st, 0);
        if (rc != SQLITE_DONE) die(db, "step");
        sqlite3_reset(st);
        if (i >= 0) ms[i] = 1e3 * (now() - t);
    }
    qsort(ms, (size_t)n, sizeof *ms, by_value);
    printf("p50_ms,%.3f\np99_ms,%.3f\n", ms[n / 2], ms[(int)(.99 * (n - 1))]);
    return 0;
}

int main(int argc, char **argv) {
    if (argc == 6 && strcmp(argv[1], "queries") == 0) return run_queries(argv + 2);
    fprintf(stderr, "usage: bench queries DB LIB SQL N\n");
    return 2;
}
