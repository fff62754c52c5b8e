/* test_index_damage.c - shadow tables changed behind the back of a rec_index.
 *
 * Whatever stands in them: 'integrity-check' finds it, every query answers or says what is wrong,
 * nothing crashes, and the table can be dropped. `rebuild` puts derived rows in order again.
 */
#include "host.h"

static const char *const setup = /* %s: INTEGER or TEXT */
    "CREATE VIRTUAL TABLE v USING rec_index(id %s PRIMARY KEY, e float32[2], g "
    "TEXT, n INTEGER);"
    "WITH RECURSIVE c(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM c WHERE i < 150)"
    " INSERT INTO v SELECT i, json_array(i, i %% 7), 'g' || (i %% 3), i FROM c;";

typedef struct damage {
    const char *sql;
    const char *message; /* part of what integrity-check says */
    bool is_rebuilt;     /* 'rebuild' repairs it */
} damage;

static const damage damages[] = {
    {"UPDATE v_rows SET v = x'0000803f0000803f' WHERE slot = 70",
     "slot 70 of v_rows does not match", false},
    {"UPDATE v_rows SET c0 = 'other' WHERE slot = 3", "slot 3 of v_rows does not match",
     false},
    {"UPDATE v_rows SET c1 = NULL WHERE slot = 3", "slot 3 of v_rows does not match",
     false},
    {"UPDATE v_rows SET id = 9999 WHERE slot = 3", "slot 3 of v_rows", false},
    {"UPDATE v_rows SET sum = sum + 1 WHERE slot = 3",
     "slot 3 of v_rows does not match", false},
    {"UPDATE v_rows SET sum = 'x' WHERE slot = 3", "slot 3 of v_rows does not match",
     false},
    {"UPDATE v_rows SET v = x'00' WHERE slot = 5", "slot 5 of v_rows holds 1 bytes",
     false},
    {"UPDATE v_rows SET v = zeroblob(1000000) WHERE slot = 5", "holds 1000000 bytes",
     false},
    {"UPDATE v_rows SET v = 'text' WHERE slot = 5", "slot 5 of v_rows holds 4 bytes",
     false},
    {"UPDATE v_rows SET v = 17 WHERE slot = 5", "slot 5 of v_rows holds", false},
    {"UPDATE v_rows SET v = x'0000c07f0000803f' WHERE slot = 5",
     "holds NaN or infinity", false},
    {"UPDATE v_rows SET slot = -1 WHERE slot = 5", "slot -1", true},
    {"UPDATE v_rows SET slot = 4000000000000 WHERE slot = 5", "slot 4000000000000",
     true},
    {"UPDATE v_rows SET slot = 2000000000 WHERE slot = 5", "slot 2000000000", true},
    {"UPDATE v_rows SET slot = 1000 WHERE slot = 70", "slot 1000", true},
    {"UPDATE v_rows SET slot = 1 << 62 WHERE slot = 70", "slot 4611686018427387904",
     true},
    {"UPDATE v_rows SET slot = -9223372036854775808 WHERE slot = 70",
     "slot -9223372036854775808", true},
    {"UPDATE v_chunks SET live = 0 WHERE chunk = 1", "v_chunks", true},
    {"UPDATE v_chunks SET live = live & ~8 WHERE chunk = 1", "v_chunks", true},
    {"UPDATE v_chunks SET live = -1 - (live & 8) WHERE chunk = 0", "v_chunks", true},
    {"UPDATE v_chunks SET live = 'x' WHERE chunk = 1", "row 1 of v_chunks", true},
    {"UPDATE v_chunks SET ver = 1 << 60", "claims a change", true},
    {"UPDATE v_chunks SET ver = -1", "claims a change", true},
    {"UPDATE v_chunks SET chunk = 99 WHERE chunk = 1", "row 1 of v_chunks", true},
    {"UPDATE v_chunks SET chunk = -99 WHERE chunk = 1", "row 0 of v_chunks", true},
    {"DELETE FROM v_chunks", "v_chunks", true},
    {"DELETE FROM v_state", "storage format", true},
    {"DELETE FROM v_chunks WHERE chunk = 33554432", "generation record", true},
    {"UPDATE v_chunks SET live = x'00' WHERE chunk = 33554432", "generation record",
     true},
    {"UPDATE v_chunks SET live = zeroblob(100000) WHERE chunk = 33554432",
     "generation record", true},
    {"UPDATE v_chunks SET live = 5 WHERE chunk = 33554432", "generation record", true},
    {"UPDATE v_state SET v = 77 WHERE k = 'format'", "storage format 77", true},
    {"DROP TABLE v_chunks", "no such table", true},
    {"DROP TABLE v_state", "no such table", true},
    {"DROP TABLE v_rows", "no such table", false},
};

/* Where the key is INTEGER, the slot is derived and ids leads back to the key. */
static const damage integer_damages[] = {
    {"UPDATE v_rows SET slot = 7 WHERE slot = 5", "slot 7 of v_rows is not marked",
     true},
    {"UPDATE v_rows SET slot = 145 - slot WHERE slot IN (5, 140)",
     "slot 140 of v_rows is not marked", true},
    {"UPDATE v_rows SET slot = 149 - slot", "is not marked", true},
    {"UPDATE v_rows SET slot = 0", "slot 0 of v_rows is not marked", true},
    {"UPDATE v_rows SET slot = 'x' WHERE slot = 5", "slot -1 of v_rows is not marked",
     true},
    {"UPDATE v_rows SET slot = 0.5 WHERE slot = 5", "slot -1 of v_rows is not marked",
     true},
    {"UPDATE v_rows SET id = -9223372036854775808 WHERE slot = 70", "slot 70 of v_rows",
     false},
    {"UPDATE v_chunks SET ids = x'' WHERE chunk = 1", "row 1 of v_chunks", true},
    {"UPDATE v_chunks SET ids = NULL WHERE chunk = 1", "row 1 of v_chunks", true},
    {"UPDATE v_chunks SET ids = 'text' WHERE chunk = 1", "row 1 of v_chunks", true},
    {"UPDATE v_chunks SET ids = zeroblob(1000000) WHERE chunk = 1", "row 1 of v_chunks",
     true},
    {"UPDATE v_chunks SET ids = zeroblob(64) WHERE chunk = 1", "is not marked", true},
    {"UPDATE v_chunks SET ids = CAST(x'ffffffffffffffffffffffffffffffffffff' || ids AS "
     "BLOB) WHERE "
     "chunk = 1",
     "row 1 of v_chunks", true},
    {"UPDATE v_chunks SET ids = CAST(substr(ids, 1, length(ids) - 1) || x'80' AS BLOB) "
     "WHERE chunk = "
     "1",
     "row 1 of v_chunks", true},
    {"UPDATE v_chunks SET ids = CAST(x'fdffffffffffffffff01' || substr(ids, 3) AS "
     "BLOB) WHERE chunk "
     "= 1",
     "is not marked", true},
    {"UPDATE v_chunks SET ids = (SELECT ids FROM v_chunks WHERE chunk = 0) WHERE chunk "
     "= 1",
     "is not marked", true},
};

static const damage text_damages[] = {
    {"UPDATE v_rows SET id = x'00' WHERE slot = 5", "key of the wrong type", false},
};

/* Everything that a user may do; only crashes and hangs count here. */
static void use(sqlite3 *db) {
    host_try(db, "SELECT * FROM v WHERE e MATCH '[1,1]' AND k = 5 AND g = 'g1'");
    host_try(db, "SELECT * FROM v WHERE e MATCH '[1,1]' ORDER BY distance");
    host_try(db, "SELECT * FROM v");
    host_try(db, "SELECT * FROM v WHERE id = 6");
    host_try(db, "PRAGMA integrity_check");
    host_try(db, "BEGIN");
    host_try(db, "INSERT INTO v VALUES (500, '[1,2]', 'x', 1)");
    host_try(db, "UPDATE v SET n = n + 1");
    host_try(db, "SELECT * FROM v WHERE e MATCH '[1,1]' AND k = 5");
    host_try(db, "DELETE FROM v WHERE id < 100");
    host_try(db, "SELECT * FROM v WHERE e MATCH '[1,1]' AND k = 5");
    host_try(db, "INSERT INTO v(v) VALUES ('optimize')");
    host_try(db, "ALTER TABLE v RENAME TO w");
    host_try(db, "ROLLBACK");
}

/* want_loaded: memory holds the sound rows when the damage is done. */
static void one(const damage *d, const char *key, bool want_loaded) {
    sqlite3 *db = host_open(":memory:");
    host_exec(db, setup, key);
    if (want_loaded) host_exec(db, "SELECT * FROM v WHERE e MATCH '[1,1]' AND k = 1");
    host_exec(db, "%s", d->sql);
    int rc = host_try(db, "INSERT INTO v(v) VALUES ('integrity-check')");
    HOST_CHECK(rc != SQLITE_OK && strstr(sqlite3_errmsg(db), d->message), "%s: %d, %s",
               d->sql, rc, sqlite3_errmsg(db));
    host_text(db, "SELECT message FROM rec_check('v')"); /* the same by reading alone */
    HOST_CHECK(strstr(host_buf, d->message), "%s: %s", d->sql, host_buf);
    use(db);
    rc = host_try(db, "INSERT INTO v(v) VALUES ('rebuild')");
    if (d->is_rebuilt) {
        HOST_CHECK(rc == SQLITE_OK, "%s: rebuild says %s", d->sql, sqlite3_errmsg(db));
        rc = host_try(db, "INSERT INTO v(v) VALUES ('integrity-check')");
        HOST_CHECK(rc == SQLITE_OK, "%s: after rebuild %s", d->sql, sqlite3_errmsg(db));
        HOST_CHECK(host_int(db, "SELECT count(*) FROM v WHERE e MATCH '[1,1]'") == 150,
                   "%s", d->sql);
    }
    use(db);
    rc = host_try(db, "DROP TABLE v");
    HOST_CHECK(rc == SQLITE_OK, "%s: drop says %s", d->sql, sqlite3_errmsg(db));
    HOST_CHECK(host_int(db, "SELECT count(*) FROM sqlite_master") == 0,
               "%s: something is left", d->sql);
    HOST_CHECK(sqlite3_close(db) == SQLITE_OK, "%s: close", d->sql);
}

static void all(const damage *d, size_t n, const char *key) {
    for (size_t i = 0; i < n; i++) {
        one(&d[i], key, false);
        one(&d[i], key, true);
    }
}

/* A damaged row is healed by writing it again, or goes by its key. */
static void heal(void) {
    sqlite3 *db = host_open(":memory:");
    host_exec(db, setup, "INTEGER");
    host_exec(db, "UPDATE v_rows SET v = x'00' WHERE id IN (5, 6)");
    host_exec(db, "UPDATE v SET e = '[5,5]' WHERE id = 5; DELETE FROM v WHERE id = 6");
    host_exec(db, "INSERT INTO v(v) VALUES ('integrity-check')");
    sqlite3_close(db);
}

/* Ids and bits of rows that are not there, and an id that stands twice: slots that are lost until
 * 'optimize', also for a memory that catches up. */
static void missing(void) {
    for (int is_loaded = 0; is_loaded < 2; is_loaded++) {
        sqlite3 *db = host_open(":memory:");
        host_exec(db, setup, "INTEGER");
        host_exec(db, "DELETE FROM v WHERE id IN (5, 140)");
        if (is_loaded) host_exec(db, "SELECT * FROM v WHERE e MATCH '[1,1]' AND k = 1");
        host_exec(
            db, "UPDATE v_chunks SET live = -1, ids = CAST(substr(ids, 1, 4) || "
                "x'c801c301' || substr(ids, 6) AS BLOB) WHERE chunk = 0;" /* 104 */
                "UPDATE v_chunks SET live = live | 2048, ids = CAST(substr(ids, 1, 12)"
                " || x'0202' || substr(ids, 14) AS BLOB) WHERE chunk = 2"); /* 140 */
        use(db);
        host_exec(db, "INSERT INTO v(v) VALUES ('integrity-check')");
        host_exec(db, "UPDATE v SET n = 0 WHERE id = 4");
        HOST_CHECK(host_int(db, "SELECT count(*) FROM v WHERE e MATCH '[1,1]'") == 148,
                   "loaded %d", is_loaded);
        host_exec(db, "INSERT INTO v VALUES (5, '[1,1]', 'a', 1)");
        HOST_CHECK(host_int(db, "SELECT slot FROM v_rows WHERE id = 5") == 150,
                   "loaded %d", is_loaded);
        HOST_CHECK(host_int(db, "SELECT count(*) FROM v WHERE e MATCH '[1,1]'") == 149,
                   "loaded %d", is_loaded);
        host_exec(db, "UPDATE v SET n = 0 WHERE id IN (104, 139)");
        HOST_CHECK(host_int(db, "SELECT count(*) FROM v WHERE e MATCH '[1,1]'") == 149,
                   "loaded %d", is_loaded);
        host_exec(db, "INSERT INTO v(v) VALUES ('optimize'), ('integrity-check')");
        HOST_CHECK(host_int(db, "SELECT max(slot) FROM v_rows") == 148, "loaded %d",
                   is_loaded);
        HOST_CHECK(host_int(db, "SELECT count(*) FROM v WHERE e MATCH '[1,1]'") == 149,
                   "loaded %d", is_loaded);
        sqlite3_close(db);
    }
}

/* Rows are written while a search over the same memory is being read. */
static void write_while_reading(void) {
    sqlite3 *db = host_open(":memory:");
    sqlite3_stmt *st = NULL;
    host_exec(db, setup, "INTEGER");
    int n = 0;
    sqlite3_prepare_v2(db,
                       "SELECT id, e FROM v WHERE e MATCH '[1,1]' ORDER BY distance",
                       -1, &st, NULL);
    while (sqlite3_step(st) == SQLITE_ROW) {
        n++;
        host_exec(db, "UPDATE v SET e = '[9,9]', n = 0 WHERE id = %d",
                  sqlite3_column_int(st, 0));
        host_exec(db, "INSERT INTO v(e) VALUES ('[1,2]')");
        if (n % 20 == 0) {
            HOST_CHECK(host_int(db, "SELECT count(*) FROM v WHERE e MATCH '[1,1]'") ==
                           150 + n,
                       "%d", n);
            HOST_CHECK(sqlite3_column_bytes(st, 1) == 8, "%d", n);
        }
    }
    HOST_CHECK(n == 150, "%d rows were read", n);
    sqlite3_finalize(st);
    host_exec(db, "INSERT INTO v(v) VALUES ('integrity-check')");
    sqlite3_close(db);
}

int main(void) {
    all(damages, sizeof damages / sizeof *damages, "INTEGER");
    all(damages, sizeof damages / sizeof *damages, "TEXT");
    all(integer_damages, sizeof integer_damages / sizeof *integer_damages, "INTEGER");
    all(text_damages, sizeof text_damages / sizeof *text_damages, "TEXT");
    heal();
    missing();
    write_while_reading();
    return host_end("index_damage");
}
