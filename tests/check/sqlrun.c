/* sqlrun.c - the smallest shell that can run a golden: compiled against any SQLite amalgamation.
 *
 *   sqlrun [-batch] [-init FILE] [-cmd TEXT]... DB < file.sql
 *
 * Rows print as `a|b|c`, errors as `Error: message`, as the sqlite3 shell's list mode does. Dot commands: .load,
 * .dbconfig defensive on|off, .print, .read; .mode and others are ignored. One line, one command; SQL may span lines.
 */
#include "sqlite3.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void run_file(sqlite3 *db, FILE *f);

#define PLAN_MAX 64
typedef struct plan_row {
    int id, parent;
    char *detail; /* owned */
} plan_row;

/* EXPLAIN QUERY PLAN as the shell draws it. */
static void plan_tree(const plan_row *p, int n, int parent, const char *indent) {
    for (int i = 0, last; i < n; i++) {
        if (p[i].parent != parent) continue;
        last = 1;
        for (int j = i + 1; j < n; j++) last = last && p[j].parent != parent;
        printf("%s%s%s\n", indent, last ? "`--" : "|--", p[i].detail);
        char *deeper = sqlite3_mprintf("%s%s", indent, last ? "   " : "|  ");
        plan_tree(p, n, p[i].id, deeper);
        sqlite3_free(deeper);
    }
}
static int run_plan(sqlite3_stmt *st) {
    plan_row row[PLAN_MAX];
    int n = 0, rc;
    while ((rc = sqlite3_step(st)) == SQLITE_ROW && n < PLAN_MAX)
        row[n++] = (plan_row){sqlite3_column_int(st, 0), sqlite3_column_int(st, 1),
                              sqlite3_mprintf("%s", sqlite3_column_text(st, 3))};
    puts("QUERY PLAN");
    plan_tree(row, n, 0, "");
    while (n > 0) sqlite3_free(row[--n].detail);
    return rc;
}

static void run_sql(sqlite3 *db, const char *sql) {
    while (sql && *sql) {
        sqlite3_stmt *st = NULL;
        if (sqlite3_prepare_v2(db, sql, -1, &st, &sql) != SQLITE_OK) {
            printf("Error: %s\n", sqlite3_errmsg(db));
            return; /* the rest of the line is skipped, as the shell does */
        }
        if (!st) continue;
        int rc = sqlite3_stmt_isexplain(st) == 2 ? run_plan(st) : SQLITE_ROW;
        while (rc == SQLITE_ROW && (rc = sqlite3_step(st)) == SQLITE_ROW) {
            for (int i = 0; i < sqlite3_column_count(st); i++) {
                const char *text = (const char *)sqlite3_column_text(st, i);
                printf("%s%s", i ? "|" : "", text ? text : "");
            }
            putchar('\n');
        }
        if (rc != SQLITE_DONE) printf("Error: %s\n", sqlite3_errmsg(db));
        sqlite3_finalize(st);
        if (rc != SQLITE_DONE) return;
    }
}

static void run_dot(sqlite3 *db, char *line) {
    line[strcspn(line, "\r\n")] = 0;
    if (strncmp(line, ".load ", 6) == 0) {
        char *err = NULL;
        sqlite3_db_config(db, SQLITE_DBCONFIG_ENABLE_LOAD_EXTENSION, 1, NULL);
        if (sqlite3_load_extension(db, line + 6, NULL, &err) != SQLITE_OK)
            printf("Error: %s\n", err ? err : "cannot load");
        sqlite3_free(err);
    } else if (strncmp(line, ".dbconfig defensive o", 21) == 0) {
        sqlite3_db_config(db, SQLITE_DBCONFIG_DEFENSIVE, line[21] == 'n', NULL);
    } else if (strncmp(line, ".print ", 7) == 0) {
        printf("%s\n", line + 7);
    } else if (strncmp(line, ".read ", 6) == 0) {
        FILE *f = fopen(line + 6, "r");
        if (f)
            run_file(db, f), fclose(f);
        else
            printf("Error: cannot open \"%s\"\n", line + 6);
    }
}

static void run_file(sqlite3 *db, FILE *f) {
    char *sql = NULL, *line = NULL;
    size_t n_sql = 0, cap = 0;
    ssize_t n;
    while ((n = getline(&line, &cap, f)) >= 0) {
        if (n_sql == 0 && line[0] == '.') {
            run_dot(db, line);
            continue;
        }
        if (n_sql == 0 &&
            (strncmp(line, "--", 2) == 0 || line[strspn(line, " \r\n")] == 0))
            continue;
        sql = realloc(sql, n_sql + (size_t)n + 1);
        memcpy(sql + n_sql, line, (size_t)n + 1);
        n_sql += (size_t)n;
        if (!sqlite3_complete(sql)) continue;
        run_sql(db, sql);
        n_sql = 0;
    }
    if (n_sql) run_sql(db, sql);
    free(sql);
    free(line);
}

int main(int argc, char **argv) {
    const char *path = ":memory:";
    sqlite3 *db = NULL;
    for (int i = 1; i < argc; i++) {
        if (strcmp(argv[i], "-init") == 0 || strcmp(argv[i], "-cmd") == 0)
            i++;
        else if (argv[i][0] != '-')
            path = argv[i];
    }
    setvbuf(stdout, NULL, _IOLBF, 0);
    if (sqlite3_open(path, &db) != SQLITE_OK) return 1;
    for (int i = 1; i + 1 < argc; i++) {
        if (strcmp(argv[i], "-cmd") != 0) continue;
        char *text = argv[++i];
        if (text[0] == '.')
            run_dot(db, text);
        else
            run_sql(db, text);
    }
    run_file(db, stdin);
    return sqlite3_close(db) == SQLITE_OK
               ? 0
               : (printf("Error: statements left open\n"), 1);
}
