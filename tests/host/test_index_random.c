/* test_index_random.c - a rec_index through random histories, against kind=flat and an ordinary table.
 *
 *     main process    db      writes, transactions, savepoints, DDL, commands
 *                     second  a connection that writes and searches committed states
 *                     reader  holds an older snapshot for a while (WAL)
 *     child process   this program again: writes and searches when it is told to, over a pipe
 *
 * REC_OPS operations (10,000) from the seed REC_SEED, over the rounds below: each another type, metric, key and
 * journal. After every operation a search with ef >= rows must give what kind=flat gives; every few operations the
 * whole comparison of index_world.h runs, and 'integrity-check'. At the end, a race: the child writes as fast as
 * it can while this process reads, and every snapshot must be whole.
 *
 *   test_index_random [round]         one round alone
 *   test_index_random child <round> <file>
 */
#include "index_world.h"

#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#define MAX_ROWS     2800
#define CHECK_EVERY  15
#define ROWS_EVERY   50
#define SOUND_EVERY  100
#define RACE_WRITES  60
#define BUSY_MS      20000
#define DEFAULT_SEED 20

extern char **environ;

static const world_cfg rounds[] = {
    {"float32", "cosine", ", m=8, ef_construction=40", 8, DATA_REAL, false, false,
     2e-6},
    {"float32", "l2", ", codes=none", 12, DATA_WHOLE, true, true, 1e-6},
    {"float32", "ip", ", codes=float16, m=8", 16, DATA_REAL, false, true, 2e-6},
    {"float16", "l1", ", m=4, ef_construction=20", 8, DATA_EIGHTHS, false, true, 1e-6},
    {"int8", "l2", ", codes=int8", 16, DATA_BYTES, true, false, 1e-6},
    {"bit", "hamming", "", 24, DATA_BITS, false, true, 0},
    {"float32", "cosine", ", codes=bit", 64, DATA_REAL, true, true, 2e-6},
    {"int8", "cosine", ", m=6, ef_construction=30", 12, DATA_BYTES, false, true, 2e-6},
    {"int8", "ip", ", codes=int8, m=8", 10, DATA_BYTES, false, false, 1e-6},
    {"int8", "l1", ", codes=bit", 40, DATA_BYTES, true, true, 1e-6},
    {"float16", "cosine", ", codes=int8", 16, DATA_EIGHTHS, true, true, 2e-6},
    {"float16", "ip", ", codes=bit, m=8", 32, DATA_EIGHTHS, false, true, 2e-6},
    {"float16", "l2", ", m=6, ef_construction=30", 6, DATA_EIGHTHS, false, false, 1e-6},
};
#define N_ROUNDS (sizeof rounds / sizeof rounds[0])

static sqlite3 *db, *second, *reader;
static char path[200], copy[220];
static int depth; /* 0: no transaction; 1: BEGIN; 2..: savepoints within */
static bool has_copy, has_open;    /* a backup; a snapshot held by reader */
static int64_t last_ver, n_linked; /* newest links; commits that made some */
static const char *program;

/* ---- writes ----------------------------------------------------------------------------------- */

static const char *any_g(void) {
    static const char *const g[] = {"'a'", "'b'", "'Bc'", "NULL"};
    return g[below(4)];
}

static void write_many(sqlite3 *c) {
    /* Some write so many that the commit links them. */
    uint32_t n = below(6) ? 50 + below(300) : 2100 + below(300);
    uint32_t from = below(WORLD_SRC - n), to = below(2000);
    const char *key = world->is_text ? "'k' || " : "";
    switch (below(6)) {
    case 0:
    case 1:
        world_write(
            c,
            "INSERT OR REPLACE INTO @(id, e, g, n) SELECT %s(i + %u), e, %s, i %% 100 "
            "FROM src WHERE i >= %u AND i < %u",
            key, to, any_g(), from, from + n);
        break;
    case 2:
        world_write(c,
                    "INSERT OR IGNORE INTO @(id, e, g, n) SELECT %s(i * 3 %% 4001), e, "
                    "char(97 + i %% 5), i %% 97 FROM src WHERE i >= %u AND i < %u",
                    key, from, from + n);
        break;
    case 3: /* fails at the last row at the latest */
        world_write(
            c,
            "INSERT INTO @(id, e, g, n) SELECT %s(min(i, %u) + 3000), e, 'm', 1 FROM "
            "src WHERE i >= %u AND i < %u",
            key, from + n - 2, from, from + n);
        break;
    case 4:
        world_write(
            c,
            "UPDATE @ SET e = (SELECT e FROM src WHERE i = @.n * 7 + %u) WHERE n < %u",
            below(2000), below(60));
        break;
    default:
        world_write(c, "UPDATE @ SET g = %s, n = n + 1 WHERE n < 40", any_g());
        break;
    }
}

static void write_one(sqlite3 *c) {
    const char *id = world_key(below(2500)), *id2 = world_key(below(2500));
    uint32_t i = below(WORLD_SRC), n = below(100);
    switch (below(10)) {
    case 0:
    case 1:
        world_write(c,
                    "INSERT INTO @(id, e, g, n) VALUES (%s, (SELECT e FROM src WHERE i "
                    "= %u), %s, %u)",
                    id, i, any_g(), n);
        break;
    case 2:
    case 3:
        world_write(c,
                    "INSERT OR REPLACE INTO @(id, e, g, n) VALUES (%s, (SELECT e FROM "
                    "src WHERE i = "
                    "%u), %s, %u)",
                    id, i, any_g(), n);
        break;
    case 4:
        world_write(c,
                    "UPDATE @ SET e = (SELECT e FROM src WHERE i = %u) WHERE id = "
                    "(SELECT id FROM p WHERE id >= %s ORDER BY id LIMIT 1)",
                    i, id);
        break;
    case 5:
        world_write(c, "UPDATE %s @ SET id = %s WHERE id = %s",
                    below(2) ? "OR REPLACE" : "", id, id2);
        break;
    case 6:
        world_write(c, "DELETE FROM @ WHERE id = %s OR n = %u AND g = 'b'", id, n);
        break;
    case 7: /* fails at the last row when id exists already, or at the second */
        world_write(
            c,
            "INSERT %s INTO @(id, e, g, n) VALUES (%s, (SELECT e FROM src WHERE i = "
            "%u), 'm', 1), "
            "(%s, (SELECT e FROM src WHERE i = %u), 'm', 2), (%s, NULL, 'm', 3)",
            below(2) ? "OR IGNORE" : "", id, i, id2, i / 2, world_key(below(2500)));
        break;
    case 8: /* OR FAIL keeps what came before the conflict */
        world_write(c,
                    "INSERT OR FAIL INTO @(id, e, g, n) SELECT %s(id + 1), e, 'f', 3 "
                    "FROM (SELECT i + %u AS "
                    "id, e FROM src WHERE i BETWEEN %u AND %u)",
                    world->is_text ? "'k' || " : "", below(1500), i, i + 3);
        break;
    default:
        world_write(c,
                    "UPDATE @ SET g = %s, n = %u WHERE id BETWEEN %s AND %s AND n < 3",
                    any_g(), n, id, id2);
        break;
    }
}

static void write_some(sqlite3 *c) {
    if (below(60)) {
        write_one(c);
        return;
    }
    if (host_int(c, "SELECT count(*) FROM p") < MAX_ROWS)
        write_many(c);
    else
        world_write(c, below(2) ? "DELETE FROM @ WHERE n %% 2 = 0 OR g IS NULL"
                                : "DELETE FROM @ WHERE n > 30");
}

/* ---- the other process -------------------------------------------------------------------------- */

typedef struct child {
    pid_t pid;
    FILE *to, *from;
} child;

static child child_start(size_t round) {
    child c = {0};
    int down[2], up[2];
    char number[20];
    snprintf(number, sizeof number, "%zu", round);
    char *argv[] = {(char *)program, "child", number, path, NULL};
    posix_spawn_file_actions_t fa;
    if (pipe(down) || pipe(up)) exit(2);
    posix_spawn_file_actions_init(&fa);
    posix_spawn_file_actions_adddup2(&fa, down[0], 0);
    posix_spawn_file_actions_adddup2(&fa, up[1], 1);
    posix_spawn_file_actions_addclose(&fa, down[1]);
    posix_spawn_file_actions_addclose(&fa, up[0]);
    if (posix_spawn(&c.pid, program, &fa, NULL, argv, environ)) exit(2);
    posix_spawn_file_actions_destroy(&fa);
    close(down[0]), close(up[1]);
    c.to = fdopen(down[1], "w"), c.from = fdopen(up[0], "r");
    return c;
}

/* Its answer: how many checks failed in it since it began; -1 when it is gone. */
static int child_wait(child *c) {
    char line[40];
    return fgets(line, sizeof line, c->from) ? atoi(line) : -1;
}
static void child_send(child *c, char what, unsigned n) {
    fprintf(c->to, "%c %llu %u\n", what, (unsigned long long)host_rand(&seed), n);
    fflush(c->to);
}
static void child_do(child *c, char what, unsigned n) {
    char note[40];
    snprintf(note, sizeof note, "%c %u", what, n);
    world_note("child", note);
    child_send(c, what, n);
    int failed = child_wait(c);
    HOST_CHECK(failed == 0, "%d checks failed in the second process", failed);
}
static void child_stop(child *c) {
    int status = -1;
    fclose(c->to);
    fclose(c->from);
    HOST_CHECK(waitpid(c->pid, &status, 0) == c->pid && status == 0,
               "the second process ended with %d", status);
}

static int child_main(size_t round, const char *file) {
    char line[100], what;
    unsigned n;
    unsigned long long s;
    world = &rounds[round];
    world_make_src();
    db = host_open(file);
    sqlite3_busy_timeout(db, BUSY_MS);
    host_exec(db, "PRAGMA synchronous = OFF");
    while (fgets(line, sizeof line, stdin) &&
           sscanf(line, "%c %llu %u", &what, &s, &n) == 3) {
        seed = s;
        if (what == 'c') world_check_search(db, true, "second process");
        if (what == 'c') world_check_integrity(db, "second process");
        for (unsigned i = 0; i < n && (what == 'w' || what == 'r'); i++) {
            if (what == 'r') host_exec(db, "BEGIN IMMEDIATE");
            write_some(db);
            if (what == 'r') host_exec(db, below(5) ? "COMMIT" : "ROLLBACK");
        }
        if (host_failed && what != 'r') world_print_log();
        printf("%d\n", host_failed);
        fflush(stdout);
    }
    return sqlite3_close(db) != SQLITE_OK;
}

/* ---- operations ----------------------------------------------------------------------------------- */

static void run(const char *fmt, ...) {
    va_list ap;
    va_start(ap, fmt);
    char *sql = sqlite3_vmprintf(fmt, ap);
    va_end(ap);
    world_note("db", sql);
    host_exec(db, "%s", sql);
    sqlite3_free(sql);
}

static void open_main(void) {
    db = host_open(path);
    sqlite3_busy_timeout(db, BUSY_MS);
    host_exec(db, "PRAGMA synchronous = OFF");
}

static void step_transaction(void) {
    switch (below(6)) {
    case 0:
        if (depth == 0)
            run("BEGIN"), depth = 1;
        else
            run("SAVEPOINT s%d", depth), depth++;
        break;
    case 1:
        if (depth > 1) { /* what was opened after it is gone */
            int to = 1 + (int)below((uint32_t)depth - 1);
            run("ROLLBACK TO s%d", to);
            depth = to + 1;
        }
        break;
    case 2:
        if (depth > 1) depth--, run("RELEASE s%d", depth);
        break;
    case 3:
        if (depth > 0) run("COMMIT"), depth = 0;
        break;
    case 4:
        if (depth > 0) run("ROLLBACK"), depth = 0;
        break;
    default:
        if (depth == 0) run("SAVEPOINT s0"), run("SAVEPOINT s1"), depth = 2;
        break;
    }
}

/* For both, so that their rows stay in the same slots. */
static void command(const char *what) {
    const char *v = world_name(db);
    run("INSERT INTO %s(%s) VALUES ('%s'); INSERT INTO f(f) VALUES ('%s')", v, v, what,
        what);
}

static void drop_snapshot(void) {
    if (has_open) world_note("reader", "COMMIT"), host_exec(reader, "COMMIT");
    has_open = false;
}

static void backup(sqlite3 *to, sqlite3 *from) {
    sqlite3_backup *b = sqlite3_backup_init(to, "main", from, "main");
    HOST_CHECK(b != NULL, "backup: %s", sqlite3_errmsg(to));
    int rc = b ? sqlite3_backup_step(b, -1) : SQLITE_ERROR;
    if (b) sqlite3_backup_finish(b);
    HOST_CHECK(rc == SQLITE_DONE, "backup: %d, %s", rc, sqlite3_errmsg(to));
}

/* A copy is a whole index; back over the file that it came from, it is older than what memories know. */
static void step_backup(const char *where) {
    if (has_copy && below(2)) {
        drop_snapshot();
        sqlite3 *from = host_open(copy);
        world_note("db", "restore");
        backup(db, from);
        sqlite3_close(from);
        has_copy = false;
        return;
    }
    unlink(copy);
    sqlite3 *to = host_open(copy);
    world_note("db", "backup");
    backup(to, db);
    world_check_search(to, true, where);
    world_check_integrity(to, where);
    sqlite3_close(to);
    has_copy = true;
}

static void step_reader(const char *where) {
    if (!world->is_wal) {
        if (depth == 0) world_check_search(reader, true, where);
    } else if (!has_open) {
        world_note("reader", "BEGIN");
        host_exec(reader, "BEGIN");
        host_int(reader, "SELECT count(*) FROM p");
        has_open = true;
    } else {
        world_check_rows(reader, world_name(reader), where);
        world_check_search(reader, true, where);
        if (below(3) == 0) drop_snapshot();
    }
}

static void step_rename(void) {
    const char *v = world_name(db);
    run("ALTER TABLE %s RENAME TO %s", v, v[0] == 'v' ? "w" : "v");
}

static void step_alone(child *c, uint32_t kind,
                       const char *where) { /* outside transactions */
    if (kind < 35) {
        world_note("second", "");
        write_some(second);
    } else if (kind < 50)
        world_check_search(second, true, where);
    else if (kind < 70)
        child_do(c, 'w', 1 + below(3));
    else if (kind < 80)
        child_do(c, 'c', 0);
    else if (kind < 88)
        step_backup(where);
    else if (kind < 94) {
        drop_snapshot();
        run("VACUUM");
    } else {
        world_note("db", "reopen");
        sqlite3_close(db);
        open_main();
    }
}

static void step(child *c, int i) {
    char where[80];
    snprintf(where, sizeof where, "%s %s, operation %d, depth %d", world->type,
             world->metric, i, depth);
    uint32_t kind = below(1000);
    if (kind < 600)
        write_some(db);
    else if (kind < 800)
        step_transaction();
    else if (kind < 920) {
        if (depth == 0) step_alone(c, below(100), where);
    } else if (kind < 950)
        step_reader(where);
    else if (kind < 965)
        step_rename();
    else if (kind < 975)
        command("optimize");
    else if (kind < 980)
        command("rebuild");
    else if (kind < 985)
        run("ANALYZE");
    else if (kind < 990)
        run("CREATE TABLE IF NOT EXISTS other%d(x)", i % 3);
    else
        world_check_rows(db, "f", where);
    world_check_search(db, i % CHECK_EVERY == 0, where);
    if (i % ROWS_EVERY == 0) world_check_rows(db, world_name(db), where);
    if (i % SOUND_EVERY == 0) world_check_integrity(db, where);
    if (depth > 0 || !world_is_graph()) return;
    int64_t ver = host_int(db, "SELECT max(ver) FROM %s_graph", world_name(db));
    bool is_command = kind >= 965 && kind < 980;
    n_linked += ver > last_ver && !is_command;
    last_ver = ver;
}

/* The child writes without a pause; what is read here meanwhile is one snapshot after another. */
static void race(child *c) {
    if (!world->is_wal) return;
    child_send(c, 'r', RACE_WRITES);
    for (int i = 0; i < RACE_WRITES / 3; i++) {
        host_exec(second, "BEGIN");
        world_check_search(second, true, "race");
        if (i % 4 == 0) world_check_rows(second, world_name(second), "race");
        host_exec(second, "COMMIT");
        if (i % 8 == 0) world_check_integrity(second, "race"); /* a write to SQLite */
    }
    int failed = child_wait(c);
    HOST_CHECK(failed == 0, "race: %d checks failed in the second process", failed);
}

static void round_run(size_t r, int n_ops) {
    world = &rounds[r];
    world_make_src();
    depth = 0;
    has_copy = has_open = false;
    last_ver = 0;
    unlink(path);
    open_main();
    host_exec(db, "PRAGMA journal_mode = %s", world->is_wal ? "wal" : "delete");
    world_create(db);
    second = host_open(path);
    reader = host_open(path);
    sqlite3_busy_timeout(second, BUSY_MS);
    host_exec(second, "PRAGMA synchronous = OFF");
    child c = child_start(r);
    for (int i = 0; i < n_ops && host_failed < 3; i++) {
        int before = host_failed;
        step(&c, i);
        if (before == 0 && host_failed) world_print_log();
    }
    drop_snapshot();
    if (depth > 0) run("COMMIT");
    depth = 0;
    if (host_failed == 0) race(&c);
    child_stop(&c);
    world_check_rows(db, world_name(db), "end");
    world_check_integrity(db, "end");
    sqlite3_close(second);
    sqlite3_close(reader);
    run("DROP TABLE %s", world_name(db));
    HOST_CHECK(host_int(db, "SELECT count(*) FROM sqlite_master WHERE name LIKE "
                            "'v!_%%' ESCAPE '!' OR name "
                            "LIKE 'w!_%%' ESCAPE '!'") == 0,
               "shadow tables are left");
    sqlite3_close(db);
}

int main(int argc, char **argv) {
    program = argv[0];
    if (argc == 4 && strcmp(argv[1], "child") == 0)
        return child_main((size_t)atoi(argv[2]) % N_ROUNDS, argv[3]);
    const char *ops = getenv("REC_OPS"), *first = getenv("REC_SEED");
    int n_ops = ops ? atoi(ops) : 10000;
    uint64_t start = first ? strtoull(first, NULL, 0) : DEFAULT_SEED;
    setenv("REC_PROGRESS", "0", 1);
    printf("REC_SEED=%llu REC_OPS=%d\n", (unsigned long long)start, n_ops);
    fflush(stdout);
    snprintf(path, sizeof path, "/tmp/rec_random_%d.db", (int)getpid());
    snprintf(copy, sizeof copy, "%s.copy", path);
    for (size_t r = 0; r < N_ROUNDS && host_failed == 0; r++) {
        seed = start * 2654435761u + r * 977 + 88172645463325252u;
        if (argc > 1 && (size_t)atoi(argv[1]) != r) continue;
        round_run(r, n_ops / (argc > 1 ? 1 : (int)N_ROUNDS) + 1);
    }
    static const char *const ends[] = {"",      "-wal",      "-shm",     "-journal",
                                       ".copy", ".copy-wal", ".copy-shm"};
    for (int i = 0; i < 7; i++) {
        char side[260];
        snprintf(side, sizeof side, "%s%s", path, ends[i]);
        unlink(side);
    }
    printf("%lld commits made links\n", (long long)n_linked);
    printf("%ld searches, %ld of them against the table and with a small ef (%ld of "
           "%ld rows met too late)\n",
           world_n_search, world_n_walk, world_n_lost, world_n_pulled);
    if (world_is_graph() && n_ops > 5000)
        HOST_CHECK(host_failed || n_linked > 0, "no commit made links");
    return host_end("index_random");
}
