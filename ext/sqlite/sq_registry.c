/* sq_registry.c - what one connection holds, and how long work asks, stops and shows itself.
 *
 *   create_function_v2 --+
 *   create_module_v2   --+--> sq_conn (n_ref) --+-- views    newest view of each rec_model
 *   (one reference each) +                      +-- indexes  memory of each rec_index
 *                                               +-- llm      providers, answers kept, usage
 *
 * Memory that is derived from tables lives here and not in sqlite3_vtab objects: SQLite may hold two
 * objects for one table (ALTER inside a transaction) and drops them at VACUUM or any schema change.
 *
 * I1. Everything here belongs to one connection and is touched under its mutex only.
 * I2. No prepared statement is kept: an unfinalised one would make sqlite3_close refuse.
 * I3. Only the thread that called SQLite asks for interrupts and draws progress.
 * I4. Nothing of the process is changed; stderr is written to only when it is a terminal.
 *
 * Cost: a poll is a flag read from SQLite 3.41 on, before that a nested SELECT 1 (about 3 us; the core
 * asks about once a millisecond). A token is three one-row pragmas, about 10 us.
 */
#include "sq.h"

#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

#define PROGRESS_MIN_SECONDS      0.1 /* between two drawings */
#define PROGRESS_BAR_CELLS        30
#define SQLITE_HAS_IS_INTERRUPTED 3041000

/* ---- the connection -------------------------------------------------------------------------- */

sq_conn *sq_conn_new(sqlite3 *db) {
    sq_conn *c = rec_zeros(1, sizeof *c);
    if (!c) return NULL;
    c->db = db;
    c->n_ref = 1;
    c->llm = llm_session_new();
    if (!c->llm) {
        rec_free(c);
        return NULL;
    }
    llm_session_set_interrupt(c->llm, sq_interrupted, c);
    c->env = sq_embed_questions(c);
    return c;
}

void sq_conn_ref(sq_conn *c) {
    c->n_ref++;
}

void sq_conn_unref(void *p) {
    sq_conn *c = p;
    if (!c || --c->n_ref > 0) return;
    sq_views_drop(c, NULL, NULL);
    if (c->drop_indexes) c->drop_indexes(c);
    llm_session_free(c->llm);
    rec_free(c->last_call);
    rec_free(c);
}

/* ---- interrupts ------------------------------------------------------------------------------- */

/* Before 3.41 there is no call that reads the flag, but a statement that starts while it is set is
 * interrupted itself: SQLite clears it only when nothing runs any more. */
static bool probe_interrupt(sqlite3 *db) {
    sqlite3_stmt *st = NULL;
    int rc = sqlite3_prepare_v2(db, "SELECT 1", -1, &st, NULL);
    if (rc == SQLITE_OK) rc = sqlite3_step(st);
    sqlite3_finalize(st);
    return rc == SQLITE_INTERRUPT;
}

bool sq_interrupted(void *conn) {
    sq_conn *c = conn;
#ifndef SQLITE_CORE /* linked in, the call would have to be there at link time */
    if (sqlite3_libversion_number() >= SQLITE_HAS_IS_INTERRUPTED)
        return sqlite3_is_interrupted(c->db) != 0;
#endif
    return probe_interrupt(c->db);
}

/* ---- progress ----------------------------------------------------------------------------------- */

/* "taste als [#####.........................]  17%  1.2 s" on a terminal. */
static void draw_bar(sq_progress *p, const char *phase, double done, double seconds) {
    char bar[PROGRESS_BAR_CELLS + 1], line[200];
    int full = (int)(done * PROGRESS_BAR_CELLS);
    for (int i = 0; i < PROGRESS_BAR_CELLS; i++) bar[i] = i < full ? '#' : '.';
    bar[PROGRESS_BAR_CELLS] = 0;
    size_t n =
        rec_format(line, sizeof line, "\r%.40s %.24s [%s] %d%% %.1f s\033[K",
                   p->name ? p->name : "rec", phase, bar, (int)(done * 100), seconds);
    if (write(STDERR_FILENO, line, n) < 0) p->to_terminal = false;
    p->is_drawn = true;
}

static void append_line(sq_progress *p, const char *phase, double done) {
    char line[200];
    size_t n = rec_format(line, sizeof line, "%.80s %.40s %.2f\n",
                          p->name ? p->name : "rec", phase, done);
    int fd = open(p->path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644);
    /* A log that cannot be written must not stop the training: give up on it. */
    if (fd < 0 || write(fd, line, n) < 0) p->path = NULL;
    if (fd >= 0) close(fd);
}

/* Drawn at most ten times a second, but the first and the last state of a phase always. */
static void show_progress(void *conn, const char *phase, double done) {
    sq_progress *p = &((sq_conn *)conn)->progress;
    double now = rec_seconds();
    if (done < 0) done = 0;
    if (done > 1) done = 1;
    bool is_new = strncmp(p->phase, phase, sizeof p->phase - 1) != 0;
    if (!is_new && done < 1 && now - p->last < PROGRESS_MIN_SECONDS) return;
    if (!is_new && done >= 1 && p->last_done >= 1) return;
    p->last = now;
    p->last_done = done;
    rec_format(p->phase, sizeof p->phase, "%s", phase);
    if (p->to_terminal) draw_bar(p, phase, done, now - p->started);
    if (p->path) append_line(p, phase, done);
}

/* REC_PROGRESS: unset or 1 = a bar if stderr is a terminal; 0 = nothing; else a file to append to. */
static void progress_start(sq_progress *p) {
    const char *want = getenv("REC_PROGRESS");
    p->to_terminal = false;
    p->is_drawn = false;
    p->path = NULL;
    p->phase[0] = 0;
    p->last_done = 0;
    p->last = p->started = rec_seconds();
    if (!want || !*want || strcmp(want, "1") == 0)
        p->to_terminal = isatty(STDERR_FILENO) == 1;
    else if (strcmp(want, "0") != 0)
        p->path = want;
}

static int wanted_threads(void) {
    const char *s = getenv("REC_THREADS");
    if (!s) return THREADS_DEFAULT;
    long n = strtol(s, NULL, 10);
    return n >= THREADS_MIN && n <= THREADS_MAX ? (int)n : THREADS_DEFAULT;
}

size_t sq_index_min(void) {
    const char *s = getenv("REC_INDEX_MIN");
    long n = s ? strtol(s, NULL, 10) : 0;
    return n > 0 ? (size_t)n : MODEL_INDEX_MIN;
}

void sq_run_init(sq_conn *c, rec_run *run, bool want_progress) {
    memset(run, 0, sizeof *run);
    run->n_threads = wanted_threads();
    run->interrupted = sq_interrupted;
    run->ctx = c;
    if (!want_progress) return;
    progress_start(&c->progress);
    if (c->progress.to_terminal || c->progress.path) run->progress = show_progress;
}

void sq_run_finish(rec_run *run) {
    sq_conn *c = run->ctx;
    if (!c || !run->progress || !c->progress.is_drawn) return;
    c->progress.is_drawn = false;
    if (write(STDERR_FILENO, "\r\033[K", 4) < 0) c->progress.to_terminal = false;
}

/* ---- has anything changed? -------------------------------------------------------------------- */

static rec_status read_pragma(sqlite3 *db, const char *schema, const char *pragma,
                              int64_t *out, rec_err *err) {
    sqlite3_stmt *st = NULL;
    bool row = false;
    rec_status s = sq_prepare(db, schema, &st, err, "PRAGMA \"%w\".%s", schema, pragma);
    if (s == REC_OK) s = sq_step(st, schema, &row, err);
    if (s == REC_OK) *out = row ? sqlite3_column_int64(st, 0) : 0;
    sqlite3_finalize(st);
    return s;
}

/* What a TEMP model reads may lie in any schema: mix the versions of all of them. */
static rec_status read_all_schemas(sqlite3 *db, sq_token *out, rec_err *err) {
    sqlite3_stmt *st = NULL;
    bool row = true;
    rec_status s = sq_prepare(db, "database_list", &st, err, "PRAGMA database_list");
    while (s == REC_OK && (s = sq_step(st, "database_list", &row, err)) == REC_OK &&
           row) {
        const char *name = (const char *)sqlite3_column_text(st, 1);
        int64_t data = 0, schema = 0;
        if (!name) s = rec_nomem(err);
        if (s == REC_OK) s = read_pragma(db, name, "data_version", &data, err);
        if (s == REC_OK) s = read_pragma(db, name, "schema_version", &schema, err);
        uint64_t place = rec_hash(name ? name : "", name ? strlen(name) : 0, 0);
        out->data_version ^= (int64_t)rec_mix(place + (uint64_t)data);
        out->schema_version ^= (int64_t)rec_mix(~place + (uint64_t)schema);
    }
    sqlite3_finalize(st);
    return s;
}

/* data_version moves when another connection commits, total_changes when this one writes,
 * schema_version when a table or view is redefined. Only ROLLBACK TO moves none of them, which is why
 * nothing that was read inside a write transaction is trusted later. */
rec_status sq_token_read(sq_conn *c, const char *schema, sq_token *out, rec_err *err) {
    memset(out, 0, sizeof *out);
    bool is_temp = sqlite3_stricmp(schema, "temp") == 0;
    rec_status s;
    if (is_temp) {
        s = read_all_schemas(c->db, out, err);
    } else {
        s = read_pragma(c->db, schema, "data_version", &out->data_version, err);
        if (s == REC_OK)
            s = read_pragma(c->db, schema, "schema_version", &out->schema_version, err);
    }
    out->total_changes = sqlite3_total_changes64(c->db);
    out->is_volatile =
        sqlite3_txn_state(c->db, is_temp ? NULL : schema) == SQLITE_TXN_WRITE;
    return s;
}

bool sq_token_equal(const sq_token *a, const sq_token *b) {
    return !a->is_volatile && !b->is_volatile && a->data_version == b->data_version &&
           a->total_changes == b->total_changes &&
           a->schema_version == b->schema_version;
}
