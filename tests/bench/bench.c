/* bench.c - what the shell cannot time: prepared statements run many times in one process.
 *
 *   bench queries DB LIB "SELECT ... ?1 ..." N     ?1 = 1..N; prints p50 and p99 in milliseconds
 *   bench flat LIB VECLIB ROWS DIM QUERIES         queries/s of rec_index (flat, l2) and sqlite-vec, interleaved in
 *                                                  one process on one thread, and how many of the ids agree
 *   bench flat LIB - ROWS DIM QUERIES              the same without the peer
 *
 * Each result is a line `name,value` on stdout.
 */
#include <math.h>
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

static unsigned long long state = 88172645463325252ull;
static float uniform(void) {
    state ^= state << 13, state ^= state >> 7, state ^= state << 17;
    return (float)((double)(state >> 11) / 9007199254740992.0 - .5);
}

typedef struct engine {
    sqlite3 *db;
    sqlite3_stmt *st;
    double seconds;
    sqlite3_int64 ids[10];
} engine;

static void fill(engine *e, const char *create, const char *insert, const char *query,
                 const float *v, int rows, int dim) {
    sqlite3_stmt *st;
    if (sqlite3_exec(e->db, create, NULL, NULL, NULL) != SQLITE_OK) die(e->db, create);
    sqlite3_exec(e->db, "BEGIN", NULL, NULL, NULL);
    if (sqlite3_prepare_v2(e->db, insert, -1, &st, NULL) != SQLITE_OK)
        die(e->db, insert);
    for (int i = 0; i < rows; i++) {
        sqlite3_bind_int(st, 1, i + 1);
        sqlite3_bind_blob(st, 2, v + (size_t)i * (size_t)dim, dim * 4, SQLITE_STATIC);
        if (sqlite3_step(st) != SQLITE_DONE) die(e->db, insert);
        sqlite3_reset(st);
    }
    sqlite3_finalize(st);
    if (sqlite3_exec(e->db, "COMMIT", NULL, NULL, NULL) != SQLITE_OK)
        die(e->db, "COMMIT");
    if (sqlite3_prepare_v2(e->db, query, -1, &e->st, NULL) != SQLITE_OK)
        die(e->db, query);
}
static void ask(engine *e, const float *q, int dim) {
    double t = now();
    sqlite3_bind_blob(e->st, 1, q, dim * 4, SQLITE_STATIC);
    int n = 0;
    memset(e->ids, 0, sizeof e->ids);
    while (sqlite3_step(e->st) == SQLITE_ROW)
        if (n < 10) e->ids[n++] = sqlite3_column_int64(e->st, 0);
    if (n != 10) die(e->db, "fewer than 10 rows");
    sqlite3_reset(e->st);
    e->seconds += now() - t;
}

static int run_flat(char **argv) {
    int rows = atoi(argv[2]), dim = atoi(argv[3]), queries = atoi(argv[4]);
    int peer = strcmp(argv[1], "-") != 0, agree = 0;
    float *v = malloc(sizeof(float) * (size_t)rows * (size_t)dim),
          *q = malloc(sizeof(float) * (size_t)dim);
    for (size_t i = 0; i < (size_t)rows * (size_t)dim; i++) v[i] = uniform();
    char create[200];
    engine a = {0}, b = {0};
    a.db = open_db(":memory:", argv[0], NULL);
    snprintf(create, sizeof create,
             "CREATE VIRTUAL TABLE t USING rec_index(id INTEGER PRIMARY KEY, e "
             "float32[%d], metric=l2)",
             dim);
    double t = now();
    fill(&a, create, "INSERT INTO t(id, e) VALUES (?1, ?2)",
         "SELECT id FROM t WHERE e MATCH ?1 AND k = 10", v, rows, dim);
    printf("rec_insert_s,%.2f\n", now() - t);
    if (peer) {
        b.db = open_db(":memory:", argv[1], "sqlite3_vec_init");
        snprintf(
            create, sizeof create,
            "CREATE VIRTUAL TABLE t USING vec0(id INTEGER PRIMARY KEY, e float[%d])",
            dim);
        t = now();
        fill(&b, create, "INSERT INTO t(id, e) VALUES (?1, ?2)",
             "SELECT id FROM t WHERE e MATCH ?1 AND k = 10 ORDER BY distance", v, rows,
             dim);
        printf("sqlite_vec_insert_s,%.2f\n", now() - t);
    }
    for (int i = 0; i < queries + 2; i++) {
        for (int j = 0; j < dim; j++) q[j] = uniform();
        ask(&a, q, dim);
        if (peer) ask(&b, q, dim);
        if (i < 2) a.seconds = b.seconds = 0; /* warm-up */
        for (int j = 0; j < 10 && peer && i >= 2; j++) agree += a.ids[j] == b.ids[j];
    }
    printf("rec_qps,%.1f\n", queries / a.seconds);
    if (peer)
        printf("sqlite_vec_qps,%.1f\nratio,%.2f\nids_agree,%.4f\n", queries / b.seconds,
               b.seconds / a.seconds, agree / (10.0 * queries));
    return 0;
}

int main(int argc, char **argv) {
    if (argc == 6 && strcmp(argv[1], "queries") == 0) return run_queries(argv + 2);
    if (argc == 7 && strcmp(argv[1], "flat") == 0) return run_flat(argv + 2);
    fprintf(
        stderr,
        "usage: bench queries DB LIB SQL N | bench flat LIB VECLIB ROWS DIM QUERIES\n");
    return 2;
}
