/* index_table.c - what a table costs besides its queries.
 *
 *   build    hnswlib on one thread, our graph from C on two, INSERT ... SELECT + COMMIT into a file,
 *            in turn; leaves hnswlib.bin and rec.db (then in WAL mode) for the other cases. Size of the file.
 *   cold     A new process (page cache warm) from sqlite3_open to the first row, the extension's
 *            loading included; resident memory that its first query adds; then warm queries over the file
 *            beside the same table in ":memory:".
 *   insert   Transactions of one row at full size, in turn with an ordinary table of BLOBs in a
 *            file of its own (each pays for its own checkpoints): WAL, synchronous=NORMAL.
 *   halves   Half of the rows deleted and inserted again: recall beside the fresh build. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "../../ext/index/index.h"
#include "index_bench.h"
#include "index_peer.h"
#undef malloc
#undef free

#define QUERY "SELECT id, distance FROM t WHERE v MATCH ?1 AND k = 10"

/* ---- build ------------------------------------------------------------------------------------------ */

static double one_number(sqlite3 *db, const char *sql) {
    sqlite3_stmt *st = prepare(db, sql);
    if (sqlite3_step(st) != SQLITE_ROW) die(sql, sqlite3_errmsg(db));
    double n = sqlite3_column_double(st, 0);
    sqlite3_finalize(st);
    return n;
}

static double table_bytes(sqlite3 *db) {
    return one_number(
        db, "SELECT page_count * page_size FROM pragma_page_count, pragma_page_size");
}

/* Seconds of INSERT ... SELECT + COMMIT, and of linking what COMMIT left for later. */
static bool build_sql(const setup *s, const data *d, double *insert, double *later) {
    char path[600], source[600];
    remove_db(in_dir(s, "rec.db", path));
    sqlite3 *db = host_open(s, path);
    char *ddl = index_ddl(s, d->dim, "", s->graph);
    bool is_there = try_create(s, db, "build.rec", ddl);
    sqlite3_free(ddl);
    if (is_there) {
        run_sql(db, "ATTACH '%q' AS s", in_dir(s, "source.db", source));
        use_threads(s->threads);
        double t0 = now();
        run_sql(db, "BEGIN; INSERT INTO t(id, v) SELECT id, v FROM s.src; COMMIT");
        double t1 = now();
        run_sql(db, "INSERT INTO t(t) VALUES ('optimize')");
        *insert = t1 - t0, *later = now() - t1;
        use_threads(1);
        run_sql(db, "DETACH s");
        run_sql(db, "PRAGMA journal_mode = WAL");
    }
    sqlite3_close(db);
    if (!is_there) remove_db(path);
    return is_there;
}

static void print_size(const setup *s, const data *d) {
    char path[600];
    sqlite3 *db = host_open(s, in_dir(s, "rec.db", path));
    double raw = (double)d->n * d->dim * sizeof(float), n = table_bytes(db);
    line(s, "%.0f", one_number(db, "SELECT waiting FROM rec_index_stats('t')"),
         "build.rows_not_linked");
    line(s, "%.0f",
         one_number(db, "SELECT memory_bytes / rows FROM rec_index_stats('t')"),
         "size.memory_bytes_per_vector_counted");
    sqlite3_close(db);
    line(s, "%.1f", n / 1e6, "size.file_mb");
    line(s, "%.1f", raw / 1e6, "size.vectors_mb");
    line(s, "%.3f", n / raw, "size.file_over_vectors");
}

static void build_and_save_hnswlib(const setup *s, const data *d, double *second) {
#ifdef HAVE_HNSWLIB
    char path[600];
    void *peer;
    *second = build_hnswlib(d, &peer);
    peer_save(peer, in_dir(s, "hnswlib.bin", path));
    peer_free(peer);
#else
    (void)s, (void)d, (void)second;
#endif
}

int case_build(const setup *s) {
    data d = data_open(s, true);
    double peer[MAX_REPEATS] = {0}, c[MAX_REPEATS] = {0}, sql[MAX_REPEATS],
           later[MAX_REPEATS];
    bool has_sql = true;
    make_source(s, &d);
    for (int i = 0; i < s->builds; i++) {
        if (s->has_hnswlib) build_and_save_hnswlib(s, &d, &peer[i]);
        if (s->has_c) {
            void *ix;
            c[i] = build_c(s, &d, &ix);
            ((rec_index *)ix)->ops->close(ix);
        }
        has_sql = has_sql && build_sql(s, &d, &sql[i], &later[i]);
    }
    size_t n = (size_t)s->builds;
    double peer_s = median(peer, n), c_s = median(c, n);
    if (peer_s > 0) line(s, "%.2f", peer_s, "build.hnswlib_1_thread_s");
    if (c_s > 0) line(s, "%.2f", c_s, "build.rec_c_%d_threads_s", s->threads);
    if (peer_s > 0 && c_s > 0)
        line(s, "%.3f", c_s / peer_s, "build.rec_c_over_hnswlib");
    if (has_sql) {
        for (size_t i = 0; i < n; i++) sql[i] += later[i];
        double sql_s = median(sql, n);
        line(s, "%.2f", sql_s, "build.rec_%d_threads_s", s->threads);
        line(s, "%.2f", median(later, n), "build.rec_of_which_optimize_s");
        if (peer_s > 0) line(s, "%.3f", sql_s / peer_s, "build.rec_over_hnswlib");
        print_size(s, &d);
    }
    data_close(&d);
    return 0;
}

/* The table that case_build left; false, and a line, if there is none. */
static bool has_table(const setup *s, const char *what, char path[600]) {
    if (access(in_dir(s, "rec.db", path), R_OK) == 0) return true;
    skip(s, what, "there is no rec.db (case build)");
    return false;
}

/* ---- cold ------------------------------------------------------------------------------------------- */

static double resident_bytes(void) {
    long total = 0, resident = 0;
    FILE *f = fopen("/proc/self/statm", "r");
    if (!f || fscanf(f, "%ld %ld", &total, &resident) != 2) return 0;
    fclose(f);
    return (double)resident * (double)sysconf(_SC_PAGESIZE);
}

/* In a process of its own; prints for case_cold. */
int case_cold_one(const setup *s) {
    char path[600];
    data d = data_open(s, false);
    in_dir(s, "rec.db", path);
    double t0 = now();
    sqlite3 *db = host_open(s, path);
    double t1 = now(), before = resident_bytes();
    double t2 = now();
    sqlite3_stmt *st = prepare(db, QUERY);
    sqlite3_bind_blob(st, 1, d.query, (int)d.dim * 4, SQLITE_STATIC);
    if (sqlite3_step(st) != SQLITE_ROW) die("cold", sqlite3_errmsg(db));
    double t3 = now();
    printf("%.6f %.6f %.0f\n", t1 - t0, t3 - t2, resident_bytes() - before);
    sqlite3_finalize(st);
    sqlite3_close(db);
    data_close(&d);
    return 0;
}

static void run_cold_one(const setup *s, double *open_s, double *first_s,
                         double *bytes) {
    char command[2000];
    snprintf(command, sizeof command, "'%s' cold-one '%s' 'lib=%s'", s->program, s->dir,
             s->lib);
    FILE *f = popen(command, "r");
    if (!f || fscanf(f, "%lf %lf %lf", open_s, first_s, bytes) != 3 || pclose(f))
        die("cold", "the other process failed");
}

static sqlite3 *open_copy_in_memory(const setup *s, const char *path) {
    sqlite3 *file = host_open(s, path), *memory = host_open(s, ":memory:");
    sqlite3_backup *b = sqlite3_backup_init(memory, "main", file, "main");
    if (!b || sqlite3_backup_step(b, -1) != SQLITE_DONE)
        die("backup", sqlite3_errmsg(memory));
    sqlite3_backup_finish(b);
    sqlite3_close(file);
    return memory;
}

static void run_warm(const setup *s, const char *path) {
    data d = data_open(s, false);
    double second[2][MAX_REPEATS], us[2];
    size_t n_query = d.n_query < 2000 ? d.n_query : 2000;
    int64_t *row = need(malloc(n_query * K * sizeof *row));
    engine e[2];
    engine_sql(&e[0], "file", host_open(s, path), QUERY, d.dim);
    engine_sql(&e[1], "memory", open_copy_in_memory(s, path), QUERY, d.dim);
    for (int round = -1; round < s->rounds; round++)
        for (int i = 0; i < 2; i++) {
            double t = ask_all(&e[i], &d, n_query, 0, row);
            if (round >= 0) second[i][round] = t;
        }
    for (int i = 0; i < 2; i++) {
        us[i] = 1e6 * median(second[i], (size_t)s->rounds) / (double)n_query;
        line(s, "%.1f", us[i], "warm.%s_us", e[i].name);
        e[i].close(&e[i]);
    }
    line(s, "%.3f", us[0] / us[1], "warm.file_over_memory");
    free(row);
    data_close(&d);
}

int case_cold(const setup *s) {
    double open_s[MAX_REPEATS], first_s[MAX_REPEATS], both_s[MAX_REPEATS],
        bytes[MAX_REPEATS];
    char path[600];
    if (!has_table(s, "cold", path)) return 0;
    for (int i = -1; i < s->rounds; i++) { /* the first one fills the page cache */
        int at = i < 0 ? 0 : i;
        run_cold_one(s, &open_s[at], &first_s[at], &bytes[at]);
        both_s[at] = open_s[at] + first_s[at];
    }
    size_t n = (size_t)s->rounds;
    data d = data_open(s, false);
    line(s, "%.4f", median(open_s, n), "cold.open_s");
    line(s, "%.4f", median(first_s, n), "cold.first_query_s");
    line(s, "%.4f", median(both_s, n), "cold.open_to_first_row_s");
    line(s, "%.0f", median(bytes, n) / (double)d.n, "size.memory_bytes_per_vector");
    data_close(&d);
    run_warm(s, path);
    return 0;
}

/* ---- one row at a time --------------------------------------------------------------------------------- */

#define N_INSERT 5000

static sqlite3_stmt *prepare_insert(sqlite3 *db) {
    run_sql(db, "PRAGMA journal_mode = WAL; PRAGMA synchronous = NORMAL");
    return prepare(db, "INSERT INTO t(id, v) VALUES (?1, ?2)");
}

static double insert_one(sqlite3_stmt *st, size_t id, const float *v, uint32_t dim) {
    double begin = now();
    sqlite3_bind_int64(st, 1, (sqlite3_int64)id);
    sqlite3_bind_blob(st, 2, v, (int)dim * 4, SQLITE_STATIC);
    int rc = sqlite3_step(st);
    sqlite3_reset(st); /* the COMMIT of autocommit is within step */
    if (rc != SQLITE_DONE) die("insert", sqlite3_errmsg(sqlite3_db_handle(st)));
    return 1e6 * (now() - begin);
}

/* p50, p99, p99.9, largest, mean; each over that of the ordinary table. */
static void print_inserts(const setup *s, double *us[2], size_t n) {
    static const char *const who[] = {"rec", "blob"};
    static const char *const what[] = {"p50", "p99", "p99.9", "max", "mean"};
    double v[2][5];
    for (int i = 0; i < 2; i++) {
        double sum = 0;
        median(us[i], n);
        for (size_t j = 0; j < n; j++) sum += us[i][j];
        v[i][0] = percentile(us[i], n, .5), v[i][1] = percentile(us[i], n, .99);
        v[i][2] = percentile(us[i], n, .999), v[i][3] = us[i][n - 1];
        v[i][4] = sum / (double)n;
        for (int j = 0; j < 5; j++)
            line(s, "%.1f", v[i][j], "insert.%s_%s_us", who[i], what[j]);
    }
    for (int j = 0; j < 5; j++)
        line(s, "%.2f", v[0][j] / v[1][j], "insert.%s_over_blob", what[j]);
}

int case_insert(const setup *s) {
    char table[600], mine[600], plain[600], source[600];
    if (!has_table(s, "insert", table)) return 0;
    data d = data_open(s, false);
    size_t n = d.n_query < N_INSERT ? d.n_query : N_INSERT;
    copy_file(table, in_dir(s, "insert.db", mine));
    remove_db(in_dir(s, "plain.db", plain));
    sqlite3 *db[2] = {host_open(s, mine), host_open(s, plain)};
    run_sql(db[1],
            "ATTACH '%q' AS s; CREATE TABLE t(id INTEGER PRIMARY KEY, v BLOB); "
            "INSERT INTO t SELECT id, v FROM s.src; DETACH s",
            in_dir(s, "source.db", source));
    double *us[2] = {need(malloc(n * sizeof **us)), need(malloc(n * sizeof **us))};
    run_sql(db[0],
            "SELECT id FROM t WHERE v MATCH rec_vector((SELECT v FROM t LIMIT 1)) "
            "AND k = 1"); /* loaded: case cold has that time */
    sqlite3_stmt *st[2] = {prepare_insert(db[0]), prepare_insert(db[1])};
    for (size_t i = 0; i < n; i++)
        for (int turn = 0; turn < 2; turn++) {
            size_t who = (i + (size_t)turn) % 2;
            us[who][i] = insert_one(st[who], d.n + 1 + i, d.query + i * d.dim, d.dim);
        }
    print_inserts(s, us, n);
    for (int i = 0; i < 2; i++) {
        sqlite3_finalize(st[i]);
        sqlite3_close(db[i]);
        free(us[i]);
    }
    remove_db(mine);
    remove_db(plain);
    data_close(&d);
    return 0;
}

/* ---- half of the rows away and back ---------------------------------------------------------------------- */

static void recall_of_table(const setup *s, const data *d, const char *path,
                            const char *when, double *recall) {
    engine e;
    int64_t *row = need(malloc(d->n_query * K * sizeof *row));
    engine_sql(&e, "rec", host_open(s, path), QUERY " AND ef = ?2", d->dim);
    int i = 0;
    for (const char *at = s->efs; *at && i < MAX_REPEATS; i++) {
        char *end;
        uint32_t ef = (uint32_t)strtoul(at, &end, 10);
        ask_all(&e, d, d->n_query, ef, row);
        recall[i] = data_recall(d, row, d->n_query);
        line(s, "%.4f", recall[i], "halves.%s_recall_ef%u", when, ef);
        at = *end == ',' ? end + 1 : end;
    }
    for (; i < MAX_REPEATS; i++) recall[i] = 0;
    e.close(&e);
    free(row);
}

int case_halves(const setup *s) {
    char table[600], path[600], source[600];
    double fresh[MAX_REPEATS], again[MAX_REPEATS], loss = -1;
    if (!has_table(s, "halves", table)) return 0;
    data d = data_open(s, true);
    copy_file(table, in_dir(s, "halves.db", path));
    recall_of_table(s, &d, path, "fresh", fresh);
    sqlite3 *db = host_open(s, path);
    run_sql(db, "ATTACH '%q' AS s", in_dir(s, "source.db", source));
    use_threads(s->threads);
    double t0 = now();
    run_sql(db, "DELETE FROM t WHERE id %% 2 = 0");
    double t1 = now();
    run_sql(db, "INSERT INTO t(id, v) SELECT id, v FROM s.src WHERE id %% 2 = 0");
    run_sql(db, "INSERT INTO t(t) VALUES ('optimize')");
    double t2 = now();
    use_threads(1);
    line(s, "%.2f", t1 - t0, "halves.delete_s");
    line(s, "%.2f", t2 - t1, "halves.insert_s");
    line(s, "%.3f", table_bytes(db) / ((double)d.n * d.dim * sizeof(float)),
         "halves.file_over_vectors");
    sqlite3_close(db);
    recall_of_table(s, &d, path, "after", again);
    for (int i = 0; i < MAX_REPEATS; i++)
        if (fresh[i] - again[i] > loss) loss = fresh[i] - again[i];
    line(s, "%.4f", loss, "halves.recall_lost");
    remove_db(path);
    data_close(&d);
    return 0;
}
