/* index_bench.h - parts of the program that measures the vector index (index_bench.c has the map). */
#ifndef INDEX_BENCH_H
#define INDEX_BENCH_H

#include <sqlite3.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define K           10 /* neighbours asked for, everywhere */
#define MAX_REPEATS 99
#define MAX_ENGINES 6

/* ---- index_bench.c: options and small tools ---------------------------------------------------- */

typedef struct setup { /* the command line: index_bench CASE DIR name=value ... */
    const char *program, *dir;
    const char *lib;               /* our extension */
    const char *vec0, *vectorlite; /* theirs, NULL without */
    const char *metric;            /* cosine | ip */
    const char *graph;             /* options of our table */
    const char *efs;               /* widths at which recall is printed */
    const char *prefix;            /* of every line */
    int rounds, builds, threads;
    size_t queries; /* at most so many; 0 = all */
    bool has_hnswlib, has_c;
} setup;

double now(void);                   /* seconds on the wall */
void use_threads(int n);            /* of our extension, from here on */
double median(double *x, size_t n); /* sorts */
double percentile(const double *sorted, size_t n, double p);
void line(const setup *s, const char *value_format, double value, const char *name, ...)
    __attribute__((format(printf, 4, 5)));
void skip(const setup *s, const char *name, const char *why);
void *need(void *p); /* or exit */
void die(const char *what, const char *why);
const char *in_dir(const setup *s, const char *name, char out[600]);

/* ---- index_data.c: vectors, queries, true neighbours --------------------------------------------- */

typedef struct data {
    float *base, *query; /* n x dim, n_query x dim */
    uint32_t *truth;     /* n_query x K rows of base, nearest first */
    size_t n, n_query;
    uint32_t dim;
} data;
int data_make(const char *dir, size_t n, uint32_t dim, size_t n_query);
int data_make_als(const char *dir, const char *train, uint32_t factors, size_t n_query);
/* Without `whole` the queries alone. */
data data_open(const setup *s, bool whole);
void data_close(data *d);
/* Share of the true neighbours among n_query x K answers. */
double data_recall(const data *d, const int64_t *row, size_t n_query);

/* ---- index_engine.c: everybody who answers queries ------------------------------------------------- */

sqlite3 *host_open(const setup *s, const char *path); /* with our extension */
sqlite3 *host_open_peer(const char *path, const char *lib);
void run_sql(sqlite3 *db, const char *format, ...);
/* false, and a line on stderr, when CREATE refuses. */
bool try_create(const setup *s, sqlite3 *db, const char *what, const char *sql);
sqlite3_stmt *prepare(sqlite3 *db, const char *sql);
void copy_file(const char *from,
               const char *to); /* of a database that nobody has open */
void remove_db(const char *path);
/* source.db: table src(id INTEGER PRIMARY KEY, v BLOB), id = row + 1. */
void make_source(const setup *s, const data *d);
char *index_ddl(const setup *s, uint32_t dim, const char *columns, const char *options);

typedef struct engine engine;
struct engine {
    const char *name;
    size_t (*ask)(engine *e, const float *query, uint32_t ef, int64_t *row);
    void (*close)(engine *e);
    sqlite3 *db;
    sqlite3_stmt *st; /* ?1 = vector, ?2 = ef */
    void *handle;     /* hnswlib's index, or ours from C */
    uint32_t dim;
};
/* A prepared statement that gives (id, distance); the engine owns db. */
void engine_sql(engine *e, const char *name, sqlite3 *db, const char *sql,
                uint32_t dim);
bool engine_hnswlib(engine *e, const setup *s, const data *d);
void engine_c(engine *e, const setup *s, const data *d); /* our graph without SQL */
bool engine_vectorlite(engine *e, const setup *s, const data *d);
double build_c(const setup *s, const data *d, void **index); /* seconds */
double build_hnswlib(const data *d, void **peer);
/* Seconds for all queries, one after the other; the rows answered, -1 for those missing. */
double ask_all(engine *e, const data *d, size_t n_query, uint32_t ef, int64_t *row);

/* ---- cases -------------------------------------------------------------------------------------------- */

int case_queries(const setup *s); /* index_query.c */
int case_flat(const setup *s);
int case_filter(const setup *s); /* index_filter.c */
int case_build(const setup *s);  /* index_table.c */
int case_cold(const setup *s);
int case_cold_one(const setup *s);
int case_insert(const setup *s);
int case_halves(const setup *s);

#endif
